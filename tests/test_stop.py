"""How a fit ends: every criterion fires at the right epoch and is named; callbacks, divergence, options, plots."""

import numpy as np
import pytest
import reference
from models import network, problem

import chainrule as cr

# A convex problem, on which plain gradient descent is slow and steady.
DESCENT = {"optimizer": cr.SGD(learning_rate=0.05), "epochs": 5000}


@pytest.fixture
def convex():
    """A network without a hidden layer, its data, and the oracle's costs and gradient norms."""
    net, params, X, Y, _ = problem([3, 1], 50)
    _, losses, norms = reference.train(params, X, Y, [], "squared_error", reference.sgd, 5000, learning_rate=0.05)
    return net, X, Y, losses, norms


def test_loss_below_stops(convex):
    net, X, Y, losses, _ = convex
    value = losses[40] * (1 + 1e-9)
    history = net.fit(X, Y, stop=cr.Stop(loss_below=value), **DESCENT)
    assert (history.stop_reason, history.epochs) == ("loss_below", 41)


@pytest.mark.parametrize("in_a_row", [1, 4])
def test_loss_change_below_stops(convex, in_a_row):
    net, X, Y, losses, _ = convex
    value = (losses[29] - losses[30]) * (1 + 1e-6)
    assert value > 1e-6
    history = net.fit(X, Y, stop=cr.Stop(loss_change_below=value, loss_change_epochs=in_a_row), **DESCENT)
    assert (history.stop_reason, history.epochs) == ("loss_change_below", 30 + in_a_row)


def test_gradient_norm_below_stops(convex):
    net, X, Y, _, norms = convex
    history = net.fit(X, Y, stop=cr.Stop(gradient_norm_below=norms[60] * (1 + 1e-9)), **DESCENT)
    assert (history.stop_reason, history.epochs) == ("gradient_norm_below", 61)


def test_no_improvement_of_the_training_cost_stops():
    X, Y = np.ones((4, 1)), np.zeros(4)
    net = cr.Network([1, 1], loss="squared_error", dtype="float64", seed=0)
    net.parameters[:] = [1.0, 1.0]
    history = net.fit(X, Y, optimizer=cr.SGD(learning_rate=1.1), epochs=100, stop=cr.Stop(no_improvement=7))
    assert np.diff(history.loss).min() > 0  # steps too long: the cost only grows
    assert (history.stop_reason, history.epochs) == ("no_improvement", 8)


def test_no_improvement_restores_the_best_parameters():
    random = np.random.default_rng(0)
    X, Y = random.normal(size=(60, 10)), random.normal(size=(60, 1))  # nothing to learn but noise
    net = cr.Network([10, 50, 1], activation="tanh", loss="squared_error", dtype="float64", seed=0)
    validation = (X[30:], Y[30:])
    history = net.fit(
        X[:30], Y[:30], validation=validation, stop=cr.Stop(no_improvement=20), optimizer=cr.Adam(learning_rate=0.01)
    )
    assert history.stop_reason == "no_improvement"
    assert history.epochs == history.validation.argmin() + 1 + 20
    assert history.validation[-1] > history.validation.min()
    assert net.loss(*validation) == pytest.approx(history.validation.min(), rel=1e-12)


def test_seconds_ends_the_training(convex):
    net, X, Y, _, _ = convex
    history = net.fit(X, Y, epochs=10**9, stop=cr.Stop(seconds=0.01))
    assert history.stop_reason == "seconds"
    assert history.seconds >= 0.01
    assert 1 <= history.epochs == len(history.loss)


def test_unmet_criterion_does_not_stop(convex):
    net, X, Y, _, _ = convex
    stop = cr.Stop(loss_below=-1.0, gradient_norm_below=1e-300, no_improvement=10, seconds=1e6)
    assert net.fit(X, Y, optimizer=cr.SGD(learning_rate=0.05), epochs=20, stop=stop).stop_reason == "epochs"


class Recorder:
    def __init__(self, stop_after=None):
        self.events, self.logs, self.stop_after = [], [], stop_after

    def on_train_begin(self, network):
        self.events.append(network)

    def on_epoch_end(self, logs):
        self.events.append("epoch")
        self.logs.append(logs)
        return len(self.logs) == self.stop_after

    def on_train_end(self, history):
        self.events.append(history)


def test_callbacks_receive_the_numbers_of_the_history():
    net, _, X, Y, _ = problem([3, 4, 1], 20)
    recorder, calls, predictions = Recorder(), [], []
    history = net.fit(
        X,
        Y,
        epochs=3,
        validation=(X, Y),
        callbacks=[recorder, calls.append, lambda logs: predictions.append(net.predict(X))],
    )
    assert recorder.events == [net, "epoch", "epoch", "epoch", history]
    assert calls == recorder.logs
    assert [logs["epoch"] for logs in calls] == [1, 2, 3]
    assert [logs["loss"] for logs in calls] == history.loss.tolist()
    assert [logs["validation"] for logs in calls] == history.validation.tolist()
    assert 0 < calls[0]["seconds"] <= calls[1]["seconds"] <= calls[2]["seconds"] <= history.seconds
    assert np.array_equal(predictions[-1], net.predict(X))
    assert not np.array_equal(predictions[0], predictions[1])


def test_a_callback_may_stop():
    net, _, X, Y, _ = problem([3, 4, 1], 20)
    first, last = Recorder(stop_after=2), Recorder()
    history = net.fit(X, Y, epochs=9, callbacks=[first, last])
    assert (history.stop_reason, history.epochs) == ("callback", 2)
    assert len(last.logs) == 2
    assert last.logs[0]["validation"] is None
    assert net.fit(X, Y, epochs=9, callbacks=[lambda logs: logs["epoch"] == 4]).epochs == 4
    assert net.fit(X, Y, epochs=9, callbacks=[lambda logs: np.bool_(logs["epoch"] == 4)]).epochs == 4
    assert net.fit(X, Y, epochs=9, callbacks=[lambda logs: logs["loss"]]).epochs == 9  # something, but not True


def test_training_continues_from_parameters_written_by_a_callback():
    net, params, X, Y, _ = problem([3, 4, 1], 20)

    def restart(logs):
        net.parameters[:] = reference.flatten(params)

    history = net.fit(X, Y, optimizer=cr.SGD(learning_rate=0.1), epochs=4, callbacks=[restart])
    assert np.array_equal(history.loss, [history.loss[0]] * 4)


def test_exception_in_a_callback_is_raised():
    net, _, X, Y, _ = problem([3, 4, 1], 20)

    def fail(logs):
        raise LookupError("no such thing")

    with pytest.raises(LookupError, match="no such thing"):
        net.fit(X, Y, callbacks=[fail])
    assert np.isfinite(net.fit(X, Y, epochs=2).loss).all()
    with pytest.raises(TypeError, match="callback must be callable"):
        net.fit(X, Y, callbacks=[3])


@pytest.mark.parametrize("batch_size", [None, 4])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_divergence_is_an_error_and_keeps_finite_parameters(isa, dtype, batch_size):
    net, _, X, Y, _ = problem([3, 4, 1], 20, activation="relu", dtype=dtype)
    with pytest.raises(cr.DivergenceError, match="learning_rate"):
        net.fit(X, Y, optimizer=cr.SGD(learning_rate=1e6), batch_size=batch_size, epochs=1000)
    assert np.isfinite(net.parameters).all()
    assert issubclass(cr.DivergenceError, FloatingPointError)


def test_nan_in_the_data_raises_divergence_error():
    net, _, X, Y, _ = problem([3, 4, 1], 20)
    before = net.parameters.copy()
    X[3, 1] = np.nan
    with pytest.raises(cr.DivergenceError, match=r"in epoch 1; the network keeps the parameters that it had before\."):
        net.fit(X, Y)
    assert np.array_equal(net.parameters, before)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"epochs": 0}, r"^epochs is 0, expected at least 1"),
        ({"batch_size": 0}, r"^batch_size is 0, expected at least 1"),
        ({"l2": -1.0}, r"^l2 is -1"),
        ({"n_threads": 0}, r"^n_threads is 0, expected at least 1"),
        ({"sample_weight": np.zeros(20)}, r"^sample_weight "),
        ({"sample_weight": np.ones(19)}, r"^sample_weight has shape \(19,\), expected \(20,\)"),
        ({"validation": (np.ones((5, 4)), np.ones(5))}, r"^validation: X has 4 columns"),
    ],
)
def test_wrong_options_leave_the_network_unchanged(options, message):
    net, _, X, Y, _ = problem([3, 4, 1], 20)
    before = net.parameters.copy()
    with pytest.raises(ValueError, match=message):
        net.fit(X, Y, **options)
    assert np.array_equal(net.parameters, before)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"epochs": 1.5}, r"^epochs must be an integer, got 1\.5$"),
        ({"batch_size": "a"}, r"^batch_size must be an integer, got 'a'$"),
        ({"l2": "a"}, r"^l2 must be a number, got 'a'$"),
        ({"shuffle": "no"}, r"^shuffle must be True, False or an instance such as WithinParts\(65536\), got 'no'$"),
        ({"n_threads": 1.0}, r"^n_threads must be an integer, got 1\.0$"),
        ({"seed": "a"}, r"^seed must be an integer, got 'a'$"),
        ({"stop": cr.Stop}, r"^stop must be an instance such as Stop\(no_improvement=10\), got <class"),
        ({"stop": {}}, r"^stop must be an instance .*, got \{\}$"),
        ({"stop": ()}, r"^stop must be an instance .*, got \(\)$"),
        ({"callbacks": print}, r"^callbacks must be an iterable of callbacks, such as \[print\], got <built-in"),
    ],
)
def test_wrong_option_types_raise_before_any_callback(options, message):
    net, _, X, Y, _ = problem([3, 4, 1], 20)
    recorder = Recorder()
    with pytest.raises(TypeError, match=message):
        net.fit(X, Y, **{"callbacks": [recorder], **options})
    assert recorder.events == []


def test_options_may_be_scalars_of_numpy():
    net, params, X, Y, _ = problem([3, 4, 1], 20)
    again = network(params)
    net.fit(X, Y, epochs=3, batch_size=8, l2=0.5, shuffle=True, n_threads=1, seed=7)
    numbers = {"epochs": np.int32(3), "batch_size": np.uint8(8), "n_threads": np.int64(1), "seed": np.int64(7)}
    again.fit(X, Y, l2=np.float32(0.5), shuffle=np.True_, **numbers)
    assert np.array_equal(net.parameters, again.parameters)
    assert net.fit(X, Y, epochs=1, batch_size=10**12).epochs == 1
    with pytest.raises(ValueError, match=r"^epochs is 1000000000000, expected"):
        net.fit(X, Y, epochs=10**12)


def test_failed_fit_does_not_call_the_end_callback():
    net, _, X, Y, _ = problem([3, 4, 1], 20, activation="relu")
    recorder = Recorder()
    with pytest.raises(cr.DivergenceError):
        net.fit(X, Y, optimizer=cr.SGD(learning_rate=1e6), epochs=1000, callbacks=[recorder])
    assert recorder.events == [net, *["epoch"] * len(recorder.logs)]


def test_wrong_data_raises_and_is_named():
    net, _, X, Y, _ = problem([3, 4, 1], 20)
    with pytest.raises(ValueError, match=r"X has 2 columns.*3"):
        net.predict(X[:, :2])
    with pytest.raises(ValueError, match=r"^y has 19 rows, X has 20$"):
        net.loss(X, Y[:19])
    with pytest.raises(TypeError, match="optimizer"):
        net.fit(X, Y, optimizer="adam")
    with pytest.raises(TypeError, match="float16"):
        cr.Network([3, 1], loss="squared_error", dtype="float16")
    with pytest.raises(ValueError, match="layer_sizes"):
        cr.Network([3], loss="squared_error")
    with pytest.raises(ValueError, match="activation"):
        cr.Network([3, 2, 1], activation=["relu", "relu"], loss="squared_error")
    with pytest.raises(ValueError, match="activation is an empty list"):
        cr.Network([3, 2, 1], activation=[], loss="squared_error")


@pytest.mark.parametrize(
    ("make", "settings", "name"),
    [
        (cr.SGD, {"learning_rate": -0.1}, "learning_rate"),
        (cr.SGD, {"learning_rate": float("nan")}, "learning_rate"),
        (cr.SGD, {"momentum": -0.1}, "momentum"),
        (cr.SGD, {"nesterov": True}, "momentum"),
        (cr.Adam, {"learning_rate": float("inf")}, "learning_rate"),
        (cr.Adam, {"beta1": 1.0}, "beta1"),
        (cr.Adam, {"beta2": -0.5}, "beta2"),
        (cr.Adam, {"epsilon": -1e-8}, "epsilon"),
        (cr.Stop, {"loss_below": float("nan")}, "loss_below"),
        (cr.Stop, {"loss_change_below": -1.0}, "loss_change_below"),
        (cr.Stop, {"loss_change_below": 1e-3, "loss_change_epochs": 0}, "loss_change_epochs"),
        (cr.Stop, {"gradient_norm_below": -1.0}, "gradient_norm_below"),
        (cr.Stop, {"no_improvement": 0}, "no_improvement"),
        (cr.Stop, {"seconds": -1.0}, "seconds"),
    ],
)
def test_wrong_settings_raise_at_construction(make, settings, name):
    with pytest.raises(ValueError, match=name):
        make(**settings)


def test_history_plot_draws_the_costs(tmp_path):
    pytest.importorskip("matplotlib").use("agg")
    net, _, X, Y, _ = problem([3, 4, 1], 20)
    history = net.fit(X, Y, epochs=5, validation=(X, Y))
    axes = history.plot(tmp_path / "curve.png")
    assert (tmp_path / "curve.png").read_bytes().startswith(b"\x89PNG")
    training, validation, best = axes.get_lines()
    assert training.get_xdata().tolist() == [1, 2, 3, 4, 5]
    assert training.get_ydata().tolist() == history.loss.tolist()
    assert validation.get_ydata().tolist() == history.validation.tolist()
    assert set(best.get_xdata()) == {history.validation.argmin() + 1}
    assert all(tick == round(tick) for tick in axes.get_xticks())
    assert history.plot(axes) is axes


def test_the_plot_of_one_epoch_shows_a_point(tmp_path):
    pytest.importorskip("matplotlib").use("agg")
    net, _, X, Y, _ = problem([3, 4, 1], 20)
    axes = net.fit(X, Y, epochs=1).plot(tmp_path / "curve.png")
    [training] = axes.get_lines()
    assert training.get_marker() == "o"
    assert all(tick == round(tick) for tick in axes.get_xticks())


def test_missing_matplotlib_names_the_extra_for_history_plot(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "matplotlib.figure", None)
    net, _, X, Y, _ = problem([3, 4, 1], 20)
    with pytest.raises(ImportError, match=r'pip install "chainrule\[plot\]"'):
        net.fit(X, Y, epochs=1).plot("curve.png")
