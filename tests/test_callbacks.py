"""The package's callbacks: their output per epoch, also after a failure, for any logs and any fit."""

import copy
import csv
import io
import math
import pickle
import sys
from pathlib import Path

import numpy as np
import pytest

import chainrule as cr

X, Y = np.linspace(-1, 1, 20).reshape(-1, 1), np.linspace(-1, 1, 20) ** 2
LOGS = {"loss": 0.25, "validation": None, "accuracy": np.float32(0.5), "snapshot": print, "note": "hello"}


def fit(*callbacks, epochs=5, **options):
    net = cr.Network([1, 4, 1], loss="squared_error", seed=0)
    return net.fit(X, Y, epochs=epochs, callbacks=callbacks, **options)


def imitate(callback, epochs, first=1, **logs):
    """Call a callback as a fit would."""
    callback.on_train_begin(None)
    for epoch in range(first, first + epochs):
        callback.on_epoch_end({"epoch": epoch, **LOGS, **logs})


def rows(path):
    with open(path, encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


# The bar


@pytest.fixture
def console():
    return pytest.importorskip("rich.console").Console(file=io.StringIO(), force_terminal=True, width=120)


@pytest.mark.parametrize("epochs", [5, None])
def test_the_bar_ends_with_the_last_epoch(console, epochs):
    history = fit(cr.ProgressBar(epochs, console=console), validation=(X, Y))
    last = console.file.getvalue().rstrip().rpartition("epoch")[2]
    assert ("5/5" if epochs else "5 ") in last
    assert f"loss {history.loss[-1]:.4f} validation {history.validation[-1]:.4f}" in last
    assert "seconds" not in last


def test_the_bar_shows_metrics_and_ignores_other_entries(console):
    bar = cr.ProgressBar(3, console=console)
    imitate(bar, 3, learning_rate=0.001)
    bar.on_train_end(None)
    assert "loss 0.2500 accuracy 0.5000" in console.file.getvalue()
    assert "learning_rate" not in console.file.getvalue()


def test_the_bar_is_drawn_at_most_ten_times_a_second(console):
    fit(cr.ProgressBar(5000, console=console), epochs=5000)
    assert console.file.getvalue().count("epoch") < 100


def test_fit_that_raises_restores_the_terminal(console):
    def fail(logs):
        raise LookupError("enough")

    before = sys.stdout, sys.stderr
    bar = cr.ProgressBar(5, console=console)
    with pytest.raises(LookupError):
        fit(bar, fail)
    assert (sys.stdout, sys.stderr) == before
    written = console.file.getvalue()
    assert written.rfind("\x1b[?25h") > written.rfind("\x1b[?25l")  # the cursor is visible,
    assert written.endswith("\n\x1b[?25h")  # and the line is complete
    fit(bar)
    assert "5/5" in console.file.getvalue()


def test_output_printed_during_a_fit_stays_above_the_bar(console):
    bar = cr.ProgressBar(2, console=console)
    fit(bar, lambda logs: bar.console.print("first" if logs["epoch"] == 1 else "second"), epochs=2)
    written = console.file.getvalue()
    assert written.index("first") < written.index("second") < written.rindex("2/2")


def test_progress_bar_without_rich_names_the_extra(monkeypatch):
    monkeypatch.setitem(sys.modules, "rich.console", None)
    with pytest.raises(ImportError, match=r"chainrule\[cli\]"):
        cr.ProgressBar()


def test_wrong_numbers_of_epochs_raise():
    pytest.importorskip("rich")
    with pytest.raises(ValueError, match="epochs is 0"):
        cr.ProgressBar(0)
    with pytest.raises(TypeError, match="epochs must be an integer"):
        cr.ProgressBar("many")


# The CSV file


@pytest.mark.parametrize("validation", [None, (X, Y)])
def test_the_file_has_a_row_for_each_epoch(tmp_path, validation):
    history = fit(cr.CSVLog(tmp_path / "log.csv"), validation=validation)
    written = rows(tmp_path / "log.csv")
    assert [int(row["epoch"]) for row in written] == [1, 2, 3, 4, 5]
    assert [float(row["loss"]) for row in written] == history.loss.tolist()
    if validation is None:
        assert "validation" not in written[0]
    else:
        assert [float(row["validation"]) for row in written] == history.validation.tolist()


def test_the_columns_are_the_numbers_of_the_first_epoch(tmp_path):
    log = cr.CSVLog(tmp_path / "log.csv")
    imitate(log, 1)
    log.on_epoch_end({"epoch": 2, "loss": math.nan, "later": 1.0})
    assert (tmp_path / "log.csv").read_text() == "epoch,loss,accuracy\n1,0.25,0.5\n2,nan,\n"


def test_row_is_written_when_its_epoch_ends(tmp_path):
    seen = []
    fit(cr.CSVLog(str(tmp_path / "log.csv")), lambda logs: seen.append(len(rows(tmp_path / "log.csv"))))
    assert seen == [1, 2, 3, 4, 5]


def test_new_fit_replaces_the_file_or_appends(tmp_path):
    for append, expected in ((False, [1, 2]), (False, [1, 2]), (True, [1, 2, 1, 2])):
        log = cr.CSVLog(tmp_path / "log.csv", append=append)
        fit(log, epochs=2)
        assert [int(row["epoch"]) for row in rows(tmp_path / "log.csv")] == expected
    fit(log, epochs=1)  # the same object again
    assert [int(row["epoch"]) for row in rows(tmp_path / "log.csv")] == [1, 2, 1, 2, 1]


def test_resumed_fit_replaces_the_rows_that_it_repeats(tmp_path):
    imitate(cr.CSVLog(tmp_path / "log.csv"), 10)
    with open(tmp_path / "log.csv", "a") as file:
        file.write("11,0.2")  # killed here
    imitate(cr.CSVLog(tmp_path / "log.csv", append=True), 5, first=8)
    assert [int(row["epoch"]) for row in rows(tmp_path / "log.csv")] == list(range(1, 13))


@pytest.mark.parametrize("content", ["", "epo", "epoch,loss,accuracy\n", "epoch,loss,accuracy\n1,"])
def test_appending_to_an_incomplete_first_row_starts_the_file_again(tmp_path, content):
    (tmp_path / "log.csv").write_text(content)
    imitate(cr.CSVLog(tmp_path / "log.csv", append=True), 2)
    assert [int(row["epoch"]) for row in rows(tmp_path / "log.csv")] == [1, 2]


def test_a_file_with_other_columns_is_kept(tmp_path):
    (tmp_path / "log.csv").write_text("name,price\na,1\n")
    with pytest.raises(ValueError, match=r"columns name,price, this fit epoch,loss,accuracy"):
        imitate(cr.CSVLog(tmp_path / "log.csv", append=True), 2)
    assert (tmp_path / "log.csv").read_text() == "name,price\na,1\n"


def test_missing_folder_raises_file_not_found_error(tmp_path):
    with pytest.raises(FileNotFoundError):
        fit(cr.CSVLog(tmp_path / "nowhere" / "log.csv"))


# Callbacks for other packages


class Recorder:
    def __init__(self):
        self.sent = []
        self.flushed = 0

    def add_scalar(self, name, value, step):
        self.sent.append((name, value, step))

    def flush(self):
        self.flushed += 1

    def log_metric(self, *arguments, step):
        self.sent.append((*arguments, step))

    def log_param(self, *arguments):
        self.sent.append(arguments)

    def log_artifact(self, *arguments):
        self.sent.append((*arguments[:-2], Path(arguments[-2]).name, arguments[-1]))
        self.stored = cr.load(arguments[-2])


def test_tensorboard_writer_receives_every_epoch():
    writer = Recorder()
    history = fit(cr.TensorBoard(writer, prefix="a/"), epochs=2, validation=(X, Y))
    losses = [(name, value, step) for name, value, step in writer.sent if name == "a/loss"]
    assert losses == [("a/loss", history.loss[0], 1), ("a/loss", history.loss[1], 2)]
    assert ("a/validation", history.validation[1], 2) in writer.sent
    assert writer.flushed == 1


@pytest.mark.parametrize("run", [(), ("run 7",)])
def test_mlflow_client_receives_every_number_as_a_float(run):
    client = Recorder()
    callback = cr.MLflow(client, *run)
    callback.on_epoch_end({"epoch": 3, **LOGS})
    assert client.sent == [(*run, "loss", 0.25, 3), (*run, "accuracy", 0.5, 3)]
    assert all(type(entry[-2]) is float for entry in client.sent)


@pytest.mark.parametrize("run", [(), ("run 7",)])
def test_mlflow_client_receives_configuration_numbers_and_model(run):
    client = Recorder()
    net = cr.Network([1, 3, 1], activation="tanh", loss=cr.Huber(2.0), seed=5)
    net.fit(X, Y, epochs=2, callbacks=[cr.MLflow(client, *run, prefix="a/", model="best/model.safetensors")])
    names = [entry[len(run)] for entry in client.sent]
    configuration = ["a/layer_sizes", "a/activations", "a/loss", "a/dtype", "a/seed"]
    assert names == [*configuration, *["a/loss", "a/learning_rate", "a/seconds"] * 2, "model.safetensors"]
    assert client.sent[0] == (*run, "a/layer_sizes", "[1, 3, 1]")
    assert client.sent[2] == (*run, "a/loss", "Huber(delta=2.0)")
    assert client.sent[-1] == (*run, "model.safetensors", "best")
    assert (client.stored.parameters == net.parameters).all()


def test_history_becomes_a_data_frame():
    pytest.importorskip("pandas")
    history = fit(lambda logs: None, epochs=3, validation=(X, Y), metrics=["r2"])
    frame = history.to_frame()
    assert list(frame.columns) == ["loss", "validation", "r2", "learning_rate"]
    assert frame.index.tolist() == [1, 2, 3]
    assert (frame["validation"] == history.validation).all()


@pytest.mark.parametrize(("make", "method"), [(cr.TensorBoard, "add_scalar"), (cr.MLflow, "log_metric")])
def test_objects_without_the_logging_method_raise_type_error(make, method):
    with pytest.raises(TypeError, match=f"a method {method}, got list"):
        make([])
    with pytest.raises(TypeError, match="prefix must be a string"):
        make(Recorder(), prefix=3)


def test_copied_tracker_callback_logs_to_the_same_tracker():
    callback = cr.TensorBoard(Recorder())
    assert copy.deepcopy([callback])[0]._target is callback._target


@pytest.mark.parametrize("copied", [copy.deepcopy, lambda callback: pickle.loads(pickle.dumps(callback))])
@pytest.mark.parametrize("name", ["CSVLog", "ProgressBar", "TensorBoard", "Checkpoint"])
def test_copied_and_pickled_callbacks_work(name, copied, tmp_path):
    arguments = {"ProgressBar": 5, "TensorBoard": Recorder()}
    fit(copied(getattr(cr, name)(arguments.get(name, tmp_path / "file"))))


def test_estimators_accept_callbacks(tmp_path, console):
    base = pytest.importorskip("sklearn.base")
    writer = Recorder()
    callbacks = [cr.ProgressBar(5, console=console), cr.CSVLog(tmp_path / "log.csv"), cr.TensorBoard(writer)]
    clf = cr.MLPClassifier(4, max_iter=5, tol=0.5, n_iter_no_change=3, early_stopping=True, random_state=0)
    clf = base.clone(clf.set_params(callbacks=[*callbacks, cr.Checkpoint(tmp_path / "file")]))
    clf.fit(np.tile(X, (10, 1)), np.tile(Y > 0.3, 10))
    written = rows(tmp_path / "log.csv")
    assert [float(row["loss"]) for row in written] == clf.loss_curve_
    assert [float(row["accuracy"]) for row in written] == clf.validation_scores_
    assert ("accuracy", clf.validation_scores_[0], 1) in writer.sent
    net, state = cr.load_checkpoint(tmp_path / "file")
    assert state.epoch == clf.n_iter_
    assert net.parameters.tobytes() == clf.network_.parameters.tobytes()
