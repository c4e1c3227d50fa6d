"""Many networks in one call: each gives the same result as if fitted alone, even if others fail."""

import os
import sys
import threading

import numpy as np
import pytest
from processes import run

import chainrule as cr
from chainrule.many import fit_in_stages

random = np.random.default_rng(0)
X = random.normal(size=(300, 6)).astype("float32")
Y = (X[:, :1] * X[:, 1:2]).astype("float32")
W = random.uniform(0.5, 2, 300)
FOLD = np.arange(300) % 3
ORDER = random.permutation(300)[:130]


def networks(dtype="float32", widths=(5, 40, 1, 17, 8, 8, 33)):
    return [cr.Network([6, w, 1], loss="squared_error", seed=i, dtype=dtype) for i, w in enumerate(widths)]


# One value per network of `networks`; rows and validation as numbers, masks or data
SETTINGS = {
    "optimizer": [cr.Adam(learning_rate=0.01), cr.SGD(learning_rate=0.05, momentum=0.9), None] * 2 + [cr.SGD()],
    "batch_size": [32, None, 1, 100, 7, None, 1000],
    "epochs": [7, 30, 2, 9, 5, 12, 3],
    "shuffle": [True, True, False, False, True, False, True],
    "l2": [0.0, 0.01, 0.0, 0.1, 0.0, 0.0, 0.5],
    "seed": [None, 3, 3, 4, 5, None, 6],
    "rows": [FOLD != 0, ORDER, np.array([5, 5, 2, 299]), None, ORDER[::2], ORDER, None],
    "validation": [FOLD == 0, None, (X[:9], Y[:9], W[:9]), FOLD == 1, ORDER[:5], None, None],
    "stop": [None, cr.Stop(loss_change_below=0.02), None, cr.Stop(no_improvement=2), *[None] * 3],
}


def one_by_one(nets, data, weights):
    """Fit each alone, on copies of its rows."""
    for i, net in enumerate(nets):
        own = {name: values[i] for name, values in SETTINGS.items()}
        rows = slice(None) if (chosen := own.pop("rows")) is None else chosen
        if isinstance(own["validation"], np.ndarray):
            held_out = own["validation"]
            own["validation"] = (data[held_out], Y[held_out], None if weights is None else weights[held_out])
        yield net.fit(data[rows], Y[rows], sample_weight=None if weights is None else weights[rows], **own)


def assert_same(got, want):
    for one, other in zip(got, want, strict=True):
        assert np.array_equal(one.loss, other.loss)
        assert (one.epochs, one.stop_reason) == (other.epochs, other.stop_reason)
        assert (one.validation is None) == (other.validation is None)
        assert one.validation is None or np.array_equal(one.validation, other.validation)


@pytest.mark.parametrize("n_threads", [1, 2, 3, 16])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("weights", [None, W])
def test_fit_many_equals_single_fits(dtype, weights, n_threads):
    alone, together, data = networks(dtype), networks(dtype), X.astype(dtype)
    want = list(one_by_one(alone, data, weights))
    got = cr.fit_many(together, data, Y, sample_weight=weights, n_threads=n_threads, **SETTINGS)
    assert_same(got, want)
    assert {history.stop_reason for history in got} > {"epochs"}
    for net, other in zip(together, alone, strict=True):
        assert np.array_equal(net.parameters, other.parameters)


@pytest.mark.parametrize("n_threads", [1, 2])
def test_fit_many_of_64_networks_equals_64_fits(n_threads):
    x = np.random.default_rng(1).standard_normal((1000, 20), dtype="float32")
    y = x[:, :3].prod(axis=1, keepdims=True)
    make = lambda: [cr.Network([20, 32, 1], loss="squared_error", dtype="float32", seed=s) for s in range(64)]  # noqa: E731
    settings = {"optimizer": cr.Adam(), "batch_size": 32, "epochs": 10}
    alone, together = make(), make()
    want = [net.fit(x, y, n_threads=1, **settings) for net in alone]
    assert_same(cr.fit_many(together, x, y, n_threads=n_threads, **settings), want)
    assert all(np.array_equal(a.parameters, b.parameters) for a, b in zip(alone, together, strict=True))
    assert len({history.loss[-1] for history in want}) == 64


@pytest.mark.parametrize("view", [np.asfortranarray(X), X[::-1, ::-1], X.astype("float16"), X.astype("float64")])
def test_data_of_any_layout_and_shared_settings_equal_single_fits(view):
    alone, together = networks(), networks()
    settings = {"optimizer": cr.Adam(), "batch_size": 10, "epochs": 4, "stop": cr.Stop(), "seed": 1}
    held_out = (view[:50], Y[:50])
    want = [net.fit(view[ORDER], Y[ORDER], validation=held_out, **settings) for net in alone]
    got = cr.fit_many(together, view, Y, rows=ORDER, validation=np.arange(50), n_threads=3, **settings)
    assert_same(got, want)
    assert_same(cr.fit_many(networks(), view, Y, rows=ORDER, validation=held_out, **settings), want)
    assert all(np.array_equal(a.parameters, b.parameters) for a, b in zip(alone, together, strict=True))


class Recorder:
    """A callback that stores its arguments."""

    def __init__(self):
        self.told = []

    def on_train_begin(self, network):
        self.told.append(network.layer_sizes)

    def on_epoch_end(self, logs):
        self.told.append({name: value for name, value in logs.items() if name not in ("seconds", "snapshot")})
        return logs["epoch"] == 6

    def on_train_end(self, history):
        self.told.append(history.stop_reason)


def half_of_square(logits, y, weight):
    w = np.ones(len(y)) if weight is None else weight
    difference = logits - y
    return float((w * (difference[:, 0] ** 2)).sum() / 2 / w.sum()), difference * (w / w.sum())[:, np.newaxis]


@pytest.mark.parametrize("n_threads", [1, 3])
@pytest.mark.parametrize("weights", [None, W])
def test_metrics_callbacks_losses_and_states_belong_to_their_fit(weights, n_threads):
    def middle(y, predictions, *weight):
        return float(abs(predictions - y).mean())

    each = {
        "validation": [0.25, (X[:40], Y[:40]), 0.5, (X[:40], Y[:40])],
        "metrics": ["rmse", ("mae", "r2"), (middle,), ()],
        "loss": [None, half_of_square, None, half_of_square],
        "seed": [1, None, 3, 4],
        "keep_state": [True, False, True, True],
        "epochs": [9, 4, 3, 2],
    }
    same = {"batch_size": 40, "optimizer": cr.Adam(learning_rate=0.01), "stop": cr.Stop(no_improvement=8)}
    widths = (5, 40, 8, 3)
    alone, together = networks(widths=widths), networks(widths=widths)
    told, told_together = [Recorder() for _ in alone], [Recorder() for _ in alone]
    want = [
        net.fit(X, Y, sample_weight=weights, callbacks=[told[i]], **{name: of[i] for name, of in each.items()}, **same)
        for i, net in enumerate(alone)
    ]
    callbacks = [(recorder,) for recorder in told_together]
    got = cr.fit_many(together, X, Y, sample_weight=weights, callbacks=callbacks, n_threads=n_threads, **each, **same)
    assert_same(got, want)
    assert [one.told for one in told_together] == [one.told for one in told]
    assert [history.stop_reason for history in got] == ["callback", "epochs", "epochs", "epochs"]
    for i, (one, other) in enumerate(zip(got, want, strict=True)):
        assert one.metrics.keys() == other.metrics.keys()
        assert all(np.array_equal(one.metrics[name], other.metrics[name]) for name in one.metrics)
        assert (one.watched, one.best_epoch) == (other.watched, other.best_epoch)
        assert (one.state is None) == (not each["keep_state"][i])
    resume = [None if history.state is None else history.state for history in got]
    for net, before in zip(alone, resume, strict=True):
        net.fit(X, Y, epochs=2, resume=before, **{**same, "stop": None})
    again = cr.fit_many(together, X, Y, epochs=2, resume=resume, n_threads=n_threads, **{**same, "stop": None})
    assert [history.epochs for history in again] == [2] * 4
    for net, other in zip(together, alone, strict=True):
        assert np.array_equal(net.parameters, other.parameters)


def test_validation_fraction_applies_to_the_chosen_rows():
    random = np.random.default_rng(1)
    classes = random.integers(0, 2, 300)
    net, other = (cr.Network([6, 9, 1], loss="binary_cross_entropy", seed=0) for _ in range(2))
    [got] = cr.fit_many([net], X, classes, rows=ORDER, validation=0.2, metrics=("auc",), epochs=5, batch_size=20)
    want = other.fit(X[ORDER], classes[ORDER], validation=0.2, metrics="auc", epochs=5, batch_size=20)
    assert_same([got], [want])
    assert np.array_equal(got.metrics["auc"], want.metrics["auc"])
    assert np.array_equal(net.parameters, other.parameters)


def test_the_error_of_a_diverged_fit_has_its_history():
    nets = networks(widths=(5, 5))
    rates = [cr.SGD(learning_rate=0.01), cr.SGD(learning_rate=1e8)]
    _, error = cr.fit_many(nets, X, Y, optimizer=rates, batch_size=10, epochs=20, metrics=("mae",), validation=0.1)
    assert isinstance(error, cr.DivergenceError)
    assert error.history.stop_reason == "diverged"
    assert list(error.history.metrics) == ["mae"]


def test_a_callback_that_raises_ends_its_own_fit():
    def fail(logs):
        raise LookupError("no such thing")

    nets = networks(widths=(5, 5, 5))
    results = cr.fit_many(nets, X, Y, epochs=3, callbacks=[(), (fail,), ()], n_threads=2)
    assert [type(result) for result in results] == [cr.History, LookupError, cr.History]


def test_losses_and_outputs_may_differ():
    random = np.random.default_rng(1)
    classes = random.integers(0, 2, 300)
    kinds = [
        (1, "binary_cross_entropy"),
        (2, "softmax_cross_entropy"),
        (1, "squared_error"),
        (3, "softmax_cross_entropy"),
    ]
    make = lambda: [cr.Network([6, 9, n], loss=loss, seed=0) for n, loss in kinds]  # noqa: E731
    alone, together = make(), make()
    cr.fit_many(together, X, classes, epochs=5, batch_size=20)
    for net, other in zip(alone, together, strict=True):
        net.fit(X, classes, epochs=5, batch_size=20)
        assert np.array_equal(net.parameters, other.parameters)


def test_few_large_networks_use_all_threads_in_turn():
    make = lambda: [cr.Network([6, 700, 700, 1], loss="squared_error", seed=s) for s in range(2)]  # noqa: E731
    alone, together = make(), make()
    cr.fit_many(together, X, Y, epochs=3, n_threads=3)
    for net, other in zip(alone, together, strict=True):
        net.fit(X, Y, epochs=3, n_threads=1)
        assert np.array_equal(net.parameters, other.parameters)


@pytest.mark.parametrize("n_threads", [1, 3])
def test_failing_network_returns_its_error_and_the_others_train(n_threads):
    alone, together = networks(), networks()
    rates = [cr.SGD(learning_rate=0.01)] * 7
    rates[2] = cr.SGD(learning_rate=1e30)
    got = cr.fit_many(together, X, Y, optimizer=rates, batch_size=10, epochs=20, n_threads=n_threads)
    assert [i for i, result in enumerate(got) if not isinstance(result, cr.History)] == [2]
    with pytest.raises(cr.DivergenceError) as own:
        alone[2].fit(X, Y, optimizer=rates[2], batch_size=10, epochs=20)
    assert isinstance(got[2], cr.DivergenceError)
    assert str(got[2]) == str(own.value)
    assert np.isfinite(together[2].parameters).all()
    want = [alone[i].fit(X, Y, optimizer=rates[i], batch_size=10, epochs=20) for i in (0, 6)]
    assert_same([got[0], got[6]], want)


@pytest.mark.parametrize("n_threads", [1, 3])
def test_progress_is_called_once_per_network_in_the_calling_thread(n_threads):
    told, here = [], threading.get_ident()
    results = cr.fit_many(
        networks(), X, Y, batch_size=5, epochs=10, n_threads=n_threads,
        progress=lambda logs: told.append((threading.get_ident(), logs)),
    )  # fmt: skip
    assert {thread for thread, _ in told} == {here}
    logs = [one for _, one in told]
    assert sorted(one["network"] for one in logs) == list(range(7))
    assert [one["finished"] for one in logs] == list(range(1, 8))
    assert all(one["networks"] == 7 for one in logs)
    for one in logs:
        assert_same([one["result"]], [results[one["network"]]])
    if n_threads == 1:  # the costliest first
        assert logs[0]["network"] == 1
        assert logs[-1]["network"] == 2


@pytest.mark.parametrize(("n_threads", "epochs"), [(1, [3, 3, 3]), (3, [3, 10**9, 10**9])])
def test_exception_in_progress_ends_all_fits(n_threads, epochs):
    nets = networks(widths=(400, 3, 3))
    before = [net.parameters.copy() for net in nets]

    def refuse(logs):
        assert logs["network"] == 0
        raise RuntimeError("enough")

    with pytest.raises(RuntimeError, match="enough"):
        cr.fit_many(nets, X, Y, batch_size=50, epochs=epochs, progress=refuse, n_threads=n_threads)
    assert all(np.isfinite(net.parameters).all() for net in nets)
    if n_threads == 1:
        assert np.array_equal(nets[1].parameters, before[1])


WRONG = {
    "networks.1. is the same object as networks.0.": lambda a, b: cr.fit_many([a, a], X, Y),
    "networks.1. is float64": lambda a, b: cr.fit_many([a, *networks("float64")[1:]], X, Y),
    "epochs has 1 entries, expected one for each of the 2": lambda a, b: cr.fit_many([a, b], X, Y, epochs=[1]),
    "networks.1.: epochs is 0": lambda a, b: cr.fit_many([a, b], X, Y, epochs=[1, 0]),
    "networks.1.: X has 6 columns": lambda a, b: cr.fit_many([a, cr.Network([7, 1], loss="squared_error")], X, Y),
    "networks.0.: rows contains 300": lambda a, b: cr.fit_many([a, b], X, Y, rows=np.array([1, 300])),
    "rows contains -1": lambda a, b: cr.fit_many([a, b], X, Y, validation=np.array([-1])),
    "rows: a mask has 3 entries, X has 300": lambda a, b: cr.fit_many([a, b], X, Y, rows=np.ones(3, bool)),
    "rows selects no row": lambda a, b: cr.fit_many([a, b], X, Y, rows=[None, np.zeros(300, bool)]),
    "rows: expected row numbers or a mask for each": lambda a, b: cr.fit_many([a, b], X, Y, rows=[0, 1]),
    "sample_weight is 0 for every row": lambda a, b: cr.fit_many(
        [a, b], X, Y, rows=FOLD == 0, sample_weight=(FOLD != 0).astype(float)
    ),
    "validation: X has 5 columns": lambda a, b: cr.fit_many([a, b], X, Y, validation=(X[:, :5], Y)),
    "batch_size is 0": lambda a, b: cr.fit_many([a, b], X, Y, batch_size=[None, 0]),
    "y has 3 rows, X has 300": lambda a, b: cr.fit_many([a, b], X, Y[:3]),
}  # fmt: skip


@pytest.mark.parametrize("text", WRONG)
def test_wrong_arguments_raise_before_training(text):
    pair = networks()[:2]
    before = [net.parameters.copy() for net in pair]
    with pytest.raises(ValueError, match=text):
        WRONG[text](*pair)
    assert all(np.array_equal(net.parameters, old) for net, old in zip(pair, before, strict=True))


@pytest.mark.parametrize(
    ("settings", "text"),
    [
        ({"optimizer": [cr.Adam(), "adam"]}, "optimizer must be an instance"),
        ({"epochs": 1.5}, "epochs must be an integer"),
        ({"progress": 3}, "progress must be callable"),
    ],
)
def test_wrong_types_raise_type_error(settings, text):
    with pytest.raises(TypeError, match=text):
        cr.fit_many(networks()[:2], X, Y, **settings)
    with pytest.raises(TypeError, match=r"networks\[0\] must be a Network"):
        cr.fit_many([3], X, Y)


def test_empty_list_of_networks_returns_an_empty_list():
    assert cr.fit_many([], X, Y) == []


@pytest.mark.skipif(sys.platform == "win32", reason="a process cannot send itself signals on Windows")
@pytest.mark.parametrize("n_threads", [1, 2, 3])
def test_ctrl_c_interrupts_all_networks(n_threads):
    assert run("interrupt.networks_trained_together", n_threads) == "interrupted\n"


@pytest.mark.skipif(not os.path.exists("/proc/self/status"), reason="needs /proc")
@pytest.mark.parametrize(("dtype", "megabytes"), [("float32", 0), ("float64", 64)])
def test_networks_share_one_copy_of_the_data(dtype, megabytes):
    """Besides the data, converted at most once, a call holds row numbers (3.2 MB for each order) and batches."""
    assert int(run("memory.networks_trained_together", dtype)) < (megabytes + 50) * 2**20


def test_exception_in_a_schedule_is_the_result_of_its_network():
    def failing(epoch):
        raise KeyError(epoch)

    nets = networks(widths=(5, 5, 5, 5))
    schedules = [failing, lambda epoch: -1.0, lambda epoch: None, lambda epoch: 1.0]
    results = cr.fit_many(nets, X, Y, epochs=3, schedules=schedules)
    assert [type(result) for result in results] == [KeyError, ValueError, TypeError, cr.History]
    assert "returned the factor -1" in str(results[1])


@pytest.mark.parametrize("error", [SystemExit, KeyboardInterrupt])
def test_system_exit_and_keyboard_interrupt_end_the_call(error):
    def ending(epoch):
        raise error(3)

    epochs = [2 * 10**8, 10**8]  # the costliest network begins first, even if one thread trains both
    with pytest.raises(error):
        cr.fit_many(networks(widths=(5, 5)), X, Y, epochs=epochs, schedules=[ending, lambda epoch: 1.0])


STAGED = {"optimizer": cr.Adam(learning_rate=0.01), "batch_size": 50, "ema": 0.9}


def train_in_stages(nets, more_epochs, n_threads, **settings):
    fit_in_stages(
        nets, X, Y, more_epochs, rows=None, sample_weight=W, n_threads=n_threads, epochs=2, **STAGED, **settings
    )


@pytest.mark.parametrize("n_threads", [1, 2, 16])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_stages_give_the_same_bits_as_one_fit(dtype, n_threads):
    nets, alone = networks(dtype), networks(dtype)
    stages = []

    def more_epochs(costs):
        predictions = [net.predict(X, n_threads=n_threads) for net in nets]
        stages.append((costs.copy(), predictions))
        return [3, 1, 0][len(stages) - 1]

    train_in_stages(nets, more_epochs, n_threads)
    for i, net in enumerate(alone):
        whole = net.fit(X, Y, sample_weight=W, epochs=6, **STAGED)
        assert [costs[i] for costs, _ in stages] == whole.loss[[1, 4, 5]].tolist()
        assert net.parameters.tobytes() == nets[i].parameters.tobytes()
        assert stages[-1][1][i].tobytes() == net.predict(X).tobytes()
        assert stages[0][1][i].tobytes() != net.predict(X).tobytes()


@pytest.mark.parametrize("n_threads", [1, 2])
def test_a_stage_that_fails_ends_the_training(n_threads):
    nets, stages = networks(widths=(5, 40, 6)), []

    def two_more(costs):
        stages.append(costs)
        return 2

    with pytest.raises(cr.DivergenceError, match="in epoch 4"):
        train_in_stages(nets, two_more, n_threads, schedules=lambda epoch: 1e30 if epoch == 3 else 1.0)
    assert len(stages) == 1
    with pytest.raises(ZeroDivisionError):
        train_in_stages(nets, lambda costs: 1 / 0, n_threads)
    assert all(net.fit(X, Y, epochs=1).epochs == 1 for net in nets)  # no call trains them any more


def test_a_fit_that_has_stopped_stays_stopped():
    nets, stages = networks(widths=(5, 40)), []

    def three_stages(costs):
        stages.append(costs.copy())
        return 3 if len(stages) < 3 else 0

    train_in_stages(nets, three_stages, 2, stop=[cr.Stop(seconds=1e-9), None])
    (first, second), (first_again, second_again) = stages[0], stages[-1]
    assert first == first_again
    assert second != second_again
