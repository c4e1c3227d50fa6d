"""The command line: what it prints and writes, exit codes, and that `predict` repeats the encoding of `train`."""

import io
import os
import re
import shutil
import signal
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from processes import start
from tables import failure, make_table, run, train

import chainrule as cr
from chainrule import many
from chainrule.cli import _rows
from chainrule.cli._model import TableModel
from chainrule.estimators import _stages
from chainrule.estimators._recipe import RECIPES

pytestmark = pytest.mark.usefixtures("elsewhere")


# train


def test_train_prints_columns_task_and_score(houses, capsys):
    assert run("train", houses, "--target", "dear", "--ignore", "price", "--epochs", "400", "--plot") == 0
    printed = capsys.readouterr()
    for expected in (
        "300 rows, 10 columns",
        "dear, 2 classes: no, yes",
        "size+missing",
        "zip 3, garden 2",
        "heating 3+missing",
        "dates (1): built",
        "id (every value is different)",
        "216 training, 24 validation, 60 test",
        "-128-64-1, tanh, binary_cross_entropy",
        "Adam(learning_rate=0.002",
        "no lower validation cost",
        "houses.safetensors",
        "houses.png",
    ):
        assert expected in printed.out
    accuracy, trivial = map(float, re.search(r"accuracy (\S+) \(always 'no': (\S+)\)", printed.out).groups())
    assert accuracy > 0.8
    assert trivial == 0.5
    assert printed.err == ""
    with open("houses.png", "rb") as file:
        assert file.read(8) == b"\x89PNG\r\n\x1a\n"


def test_the_recipe_for_tables_is_described(houses, capsys):
    assert run("train", houses, "--target", "dear", "--ignore", "price", "--time-limit", 60) == 0
    printed = capsys.readouterr()
    for expected in (
        "size+missing",
        "rows      240 training, 60 test\n",
        "training  recipe for tables, effort fast, at most 60 seconds\n",
        "the parameters are those of stage ",
        "-128-128-2, mish, softmax_cross_entropy, ",
    ):
        assert expected in printed.out
    accuracy, trivial = map(float, re.search(r"accuracy (\S+) \(always 'no': (\S+)\)", printed.out).groups())
    assert accuracy > 0.8
    assert trivial == 0.5
    assert printed.err == ""


def test_categorical_option_makes_numbers_levels():
    make_table().assign(code=["007", "010", "100"] * 100).to_csv("t.csv", index=False)
    train("t.csv", "--target", "dear", "--categorical", "rooms", "--categorical", "code", "--epochs", 1)
    levels = {c.name: c.levels for c in TableModel.load("t.safetensors").features.columns if c.kind == "levels"}
    assert levels["rooms"] == ("1", "2", "3", "4", "5")
    assert levels["code"] == ("007", "010", "100")
    assert levels["zip"] == ("00501", "01234", "A1")


def test_options_of_a_regression_take_effect(houses, capsys):
    arguments = ["--hidden", "16", "--activation", "relu", "--epochs", 40, "--batch-size", 32, "--learning-rate", 0.01]
    more = ["--l2", 0.001, "--test-size", 0.1, "--seed", 3, "--threads", 1, "--output", "m.safetensors"]
    assert run("train", houses, "--target", "price", "--ignore", "dear", *arguments, *more) == 0
    printed = capsys.readouterr().out
    for expected in ("price, a number", "-16-1, relu, squared_error", "batches of 32, l2 0.001, at most 40", "30 test"):
        assert expected in printed
    error, trivial = map(float, re.search(r"RMSE (\S+) \(always the mean: (\S+)\)", printed).groups())
    assert error < trivial / 3


def test_hidden_none_trains_a_linear_model(houses, capsys):
    assert run("train", houses, "--target", "price", "--ignore", "dear", "--hidden", "none") == 0
    assert "no hidden layer" in capsys.readouterr().out


def test_task_option_overrides_the_inferred_task(houses, capsys):
    assert run("train", houses, "--target", "district", "--epochs", 2) == 0
    assert "district, 5 classes: 1, 2, 3, 4, 5" in capsys.readouterr().out
    assert run("train", houses, "--target", "district", "--epochs", 2, "--task", "regression") == 0
    assert "district, a number" in capsys.readouterr().out


def test_outputs_are_named_after_the_table(houses, capsys):
    for name in ("sales.2023.csv", "sales.2024.CSV"):
        shutil.copy(houses, name)
        assert run("train", name, "--target", "dear", "--epochs", 1, "--plot", "curve") == 0
        assert "curve.png" in capsys.readouterr().out
    assert {path.name for path in Path().iterdir()} == {
        houses, "sales.2023.csv", "sales.2024.CSV", "sales.2023.safetensors", "sales.2024.safetensors", "curve.png",
    }  # fmt: skip


@pytest.mark.parametrize("options", [[], ["--epochs", 5]])
def test_same_seed_gives_the_same_file_for_any_number_of_threads(houses, options):
    contents = []
    for seed, threads in ((0, 1), (0, 3), (1, 1)):
        train(houses, "--target", "dear", *options, "--seed", seed, "--threads", threads)
        with open("houses.safetensors", "rb") as file:
            contents.append(file.read())
    assert contents[0] == contents[1] != contents[2]


def test_rows_without_a_target_are_left_out(capsys):
    make_table().assign(dear=["yes", "no", None] * 100).to_csv("t.csv", index=False)
    assert run("train", "t.csv", "--target", "dear", "--epochs", 1) == 0
    assert "100 rows left out: no target" in capsys.readouterr().out


@pytest.mark.parametrize(("options", "last"), [
    (["--epochs", 3], 3),
    ([], RECIPES["fast", "classes"].most_epochs(240, 2)),
])  # fmt: skip
def test_train_on_a_terminal_draws_a_live_bar(houses, capsys, monkeypatch, options, last):
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    assert run("train", houses, "--target", "dear", *options) == 0
    assert re.search(rf"epoch.*\d/{last}\b.*loss \d.*validation \d", capsys.readouterr().err)


def test_interruption_saves_the_model(houses, capsys, monkeypatch):
    fit = cr.Network.fit

    def interrupted(self, *args, callbacks, **options):
        def stop(logs):
            if logs["epoch"] == 3:
                raise KeyboardInterrupt

        return fit(self, *args, callbacks=[*callbacks, stop], **options)

    monkeypatch.setattr(cr.Network, "fit", interrupted)
    assert run("train", houses, "--target", "dear", "--activation", "tanh", "--plot") == 1
    printed = capsys.readouterr()
    assert "after 3 epochs" in printed.out
    assert re.search(r"interrupted; the parameters are those of epoch \d+", printed.out)
    assert "accuracy" in printed.out
    assert printed.err == "chainrule: interrupted\n"
    assert run("predict", "houses.safetensors", houses) == 0


@pytest.mark.skipif(sys.platform == "win32", reason="needs POSIX signals")
@pytest.mark.parametrize(("name", "code", "reason"), [("SIGINT", 1, "interrupted"), ("SIGTERM", 143, "terminated")])
def test_a_signal_during_the_second_stage_saves_the_first(houses, capsys, monkeypatch, name, code, reason):
    def send():
        os.kill(os.getpid(), getattr(signal, name))

    def fit_in_stages(networks, X, y, end_stage, **settings):
        many.fit_in_stages(networks, X, y, lambda costs: (end_stage(costs), send())[0], **settings)

    monkeypatch.setattr(_stages, "fit_in_stages", fit_in_stages)
    assert run("train", houses, "--target", "dear", "--plot") == code
    printed = capsys.readouterr()
    assert "after 1 stage, " in printed.out
    assert "interrupted; the parameters are those of stage 1\n" in printed.out
    assert "curve     houses.png" in printed.out
    assert printed.err == f"chainrule: {reason}\n"
    assert run("predict", "houses.safetensors", houses, "--output", "p.csv") == 0
    monkeypatch.setattr(_stages, "fit_in_stages", lambda *_, **settings: send())
    assert run("train", houses, "--target", "dear", "--output", "none.safetensors") == code  # in the first stage
    assert not Path("none.safetensors").exists()


def test_ctrl_c_while_pandas_reads_exits_with_one_line(houses, capsys, monkeypatch):
    class Pressed(io.StringIO):
        def read(self, *_):
            raise KeyboardInterrupt

    monkeypatch.setattr("pandas.io.common.open", lambda *_, **options: Pressed(), raising=False)
    assert run("train", houses, "--target", "dear") == 1
    assert capsys.readouterr().err == "chainrule: interrupted\n"


@pytest.mark.skipif(sys.platform == "win32", reason="needs POSIX signals")
def test_ctrl_c_during_training_saves_the_model(houses):
    options = ["--target", "price", "--ignore", "dear", "--hidden", "1024,1024", "--learning-rate", "1e-6"]
    with start("cli.report_epochs", "train", houses, *options, "--epochs", "1000000") as process:
        for line in process.stdout:
            if line.startswith("epoch"):
                break
        process.send_signal(signal.SIGINT)
        out, error = process.communicate(timeout=60)
    assert (process.returncode, error) == (1, "chainrule: interrupted\n"), out
    assert "model     houses.safetensors" in out
    cr.load("houses.safetensors")


# predict


@pytest.mark.parametrize("options", [[], ["--epochs", 20]])
@pytest.mark.parametrize("target", ["dear", "price", "district"])
def test_predict_repeats_the_encoding(houses, capsys, target, options):
    train(houses, "--target", target, *options)
    table = make_table(40, seed=5)
    table.to_csv("new.csv", index=False)
    columns = [column for column in table.columns[::-1] if column not in (target, "id")]
    table.assign(extra=1)[["extra", *columns]].to_csv("other.tsv.gz", index=False, sep="\t")
    typed = table.assign(size=pd.to_numeric(table["size"], errors="coerce"), built=pd.to_datetime(table.built))
    typed.to_parquet("typed.parquet")
    for name in ("new.csv", "other.tsv.gz", "typed.parquet"):
        assert run("predict", "houses.safetensors", name, "--output", f"{name}.out.csv") == 0
    texts = [Path(f"{name}.out.csv").read_text() for name in ("new.csv", "other.tsv.gz", "typed.parquet")]
    assert texts[0] == texts[1] == texts[2]
    lines = texts[0].splitlines()
    assert lines[0] == target
    assert len(set(lines[1:])) > 1
    capsys.readouterr()
    for row in range(0, 40, 5):  # a single row, in which a column's type may differ
        table.iloc[[row]].drop(columns=target).to_csv("row.csv", index=False)
        assert run("predict", "houses.safetensors", "row.csv") == 0
        assert capsys.readouterr().out.splitlines()[1] == lines[row + 1]


def test_predictions_have_the_printed_score(houses, capsys):
    assert run("train", houses, "--target", "dear", "--ignore", "price", "--test-size", 0.3) == 0
    printed = float(re.search(r"accuracy (\S+)", capsys.readouterr().out)[1])
    table = make_table()
    rng = np.random.default_rng(0)
    test = _rows.split((table.dear == "yes").to_numpy().astype(np.intp), 0.3, rng)[1]
    table.iloc[test].to_csv("test.csv", index=False)
    assert run("predict", "houses.safetensors", "test.csv") == 0
    predicted = capsys.readouterr().out.splitlines()[1:]
    assert np.mean(predicted == table.dear.iloc[test].to_numpy()) == pytest.approx(printed, abs=1e-4)


def test_written_values_have_the_printed_score(capsys):
    table = make_table().assign(price=lambda t: 1e9 + t.price / t.price.std())
    table.to_csv("t.csv", index=False)
    assert run("train", "t.csv", "--target", "price", "--ignore", "dear") == 0
    printed = float(re.search(r"RMSE (\S+)", capsys.readouterr().out)[1])
    test = _rows.split(np.zeros(300, dtype=np.intp), 0.2, np.random.default_rng(0))[1]
    table.iloc[test].to_csv("test.csv", index=False)
    assert run("predict", "t.safetensors", "test.csv", "--output", "p.csv") == 0
    error = np.sqrt(np.mean((pd.read_csv("p.csv").price.to_numpy() - table.price.iloc[test].to_numpy()) ** 2))
    assert error == pytest.approx(printed, rel=1e-5)


def test_column_without_a_known_level_warns(houses, capsys):
    train(houses, "--target", "dear", "--epochs", 1)
    make_table(20).assign(zip=["elsewhere", None] * 10).drop(columns="dear").to_csv("new.csv", index=False)
    assert run("predict", "houses.safetensors", "new.csv") == 0
    assert capsys.readouterr().err == (
        "chainrule: warning: column 'zip': 10 of 20 cells hold levels that were not seen during fit, such as "
        "'elsewhere' in row 1: their features are 0; correct them, or fit with rows that have them\n"
    )


@pytest.mark.parametrize("options", [[], ["--epochs", 20]])
def test_probabilities_option_writes_probabilities(houses, capsys, options):
    train(houses, "--target", "district", *options)
    assert run("predict", "houses.safetensors", houses, "--probabilities", "--output", "p.csv") == 0
    predicted = pd.read_csv("p.csv")
    assert list(predicted) == ["district", *(f"probability {i}" for i in range(1, 6))]
    probabilities = predicted.iloc[:, 1:].to_numpy()
    np.testing.assert_allclose(probabilities.sum(axis=1), 1, rtol=1e-5)
    np.testing.assert_array_equal(probabilities.argmax(axis=1) + 1, predicted.district)
    train(houses, "--target", "price", "--epochs", 1)
    assert "have no probabilities" in failure(capsys, "predict", "houses.safetensors", houses, "--probabilities")


def test_missing_option_makes_only_its_values_missing(capsys):
    table = make_table().assign(rooms=lambda t: t.rooms.where(t.rooms != 3, -999))
    table.to_csv("t.csv", index=False)
    train("t.csv", "--target", "dear", "--missing", "-999", "--missing", "NA", "--epochs", 1)
    model = TableModel.load("t.safetensors")
    _, rooms, _, _, heating, *_ = model.features.columns
    assert rooms.indicator
    assert heating.levels == ("None", "gas")
    read, _ = model.read("t.csv")
    assert read.rooms.isna().sum() == (table.rooms == -999).sum()
    assert read.heating.isna().sum() == ((table.heating == "NA") | table.heating.isna()).sum()


# info and demo


def test_info_describes_models_and_the_installation(houses, capsys):
    train(houses, "--target", "dear", "--epochs", 1)
    assert run("info", "houses.safetensors") == 0
    printed = capsys.readouterr().out
    assert "binary_cross_entropy" in printed
    assert "dear, 2 classes" in printed
    assert "heating 3+missing" in printed
    cr.Network([2, 1], loss="squared_error", seed=0).save("plain.safetensors")
    assert run("info", "plain.safetensors") == 0
    assert "2-1, no hidden layer, squared_error, 3 parameters (float32)" in capsys.readouterr().out
    assert run("info") == 0
    assert cr.__version__ in capsys.readouterr().out


@pytest.mark.parametrize(("dataset", "least"), [("digits", 0.96), ("breast_cancer", 0.93)])
def test_demo_reaches_its_accuracy_and_writes_its_files(dataset, least, capsys, tmp_path):
    arguments = [] if dataset == "digits" else [dataset]
    assert run("demo", *arguments) == 0
    accuracy, trivial = re.search(r"accuracy (\S+) \(always '.*': (\S+)\)", capsys.readouterr().out).groups()
    assert float(accuracy) >= least > float(trivial)
    assert {path.name for path in tmp_path.iterdir()} == {f"{dataset}.png", f"{dataset}.safetensors"}


# Real data


@pytest.mark.parametrize(
    ("name", "target", "pattern", "accepted"),
    [
        ("adult", "income", r"accuracy (\S+)", lambda accuracy: accuracy >= 0.85),
        ("california", "median_house_value", r"RMSE (\S+)", lambda error: error <= 55_000),
    ],
)
def test_real_tables_reach_their_scores(chainrule_data, name, target, pattern, accepted, capsys):
    assert run("train", chainrule_data / name / "data.csv.gz", "--target", target, "--plot", f"{name}.png") == 0
    assert accepted(float(re.search(pattern, capsys.readouterr().out)[1]))
