"""Parts of a batch, and fits whose gradients come from a function: the same bits as the batch and `Network.fit`."""

import os
import pickle
import re
import signal

import numpy as np
import pytest
import reference
import scipy.sparse as sp
from hypothesis import given, settings
from hypothesis import strategies as st
from models import network
from test_binned import LAYOUTS as BINNED_LAYOUTS
from test_binned import problem as binned_problem

import chainrule as cr
from chainrule import scale

LEAF = 512
# name: (layer sizes, loss); networks with up to 16,384 parameters count as small: they use another layout and shorter
# chains
NETWORKS = {
    "small, classes": ([6, 20, 3], "softmax_cross_entropy"),
    "small, one output": ([7, 12, 1], "binary_cross_entropy"),
    "large, values": ([40, 200, 60, 2], "squared_error"),
}
OPTIMIZERS = {
    "sgd": {"optimizer": cr.SGD(learning_rate=0.05, momentum=0.5)},
    "adam": {"optimizer": cr.Adam(learning_rate=0.01)},
    "lbfgs": {"optimizer": cr.LBFGS()},
}
BATCHES = {"batch_size": 1500, "shuffle": True}
SETTINGS = {
    "l2": {"l2": 0.1},
    "l2 per row": {"l2": 3.0, "l2_per_row": True},
    "dropout": {"dropout": 0.3, "input_dropout": 0.2, **BATCHES},
    "scheduled dropout": {"dropout": 0.3, "schedules": {"dropout": cr.StepDecay(factor=0.5)}, **BATCHES},
    "clipped": {"clip_norm": 0.05, "clip_value": 0.004, **BATCHES},
    "skipping": BATCHES,  # also run with SKIPS
    "averaged": {"ema": 0.9, "schedules": cr.Cosine(epochs=10, warmup=2), **BATCHES},
    "groups": {"groups": cr.Group(layers=[0], learning_rate=0.1), **BATCHES},
    "stopped": {"stop": cr.Stop(gradient_norm_below=1e-3, loss_below=1e-9), **BATCHES},
    "in order": {"batch_size": 700, "shuffle": False},
}
ROWS = 3700
SKIPS = {"small, classes": 0.347, "small, one output": 0.15, "large, values": 9.2}  # norms of some gradients


def problem(name, dtype="float32", rows=ROWS, weighted=True):
    sizes, loss = NETWORKS[name]
    params, X, Y, w = reference.problem(sizes, rows, loss, dtype=dtype)
    return params, loss, X, Y, w.astype(dtype) if weighted else None


def weight_of(w, rows):
    return float(rows) if w is None else float(np.cumsum(w, dtype="float64")[-1])


def parts_of(net, X, Y, w, count, n_threads=None, **options):
    """The parts of a batch, in another order than that of the rows."""
    rows = X.shape[0]
    parts = [
        net.partial_gradients(
            X[start:stop],
            Y[start:stop],
            None if w is None else w[start:stop],
            first=start,
            total_rows=rows,
            total_weight=weight_of(w, rows),
            n_threads=n_threads,
            **options,
        )
        for start, stop in scale.aligned_parts(rows, count)
    ]
    return parts[1:] + parts[:1]


def local_source(worker, X, Y, w, count, n_threads=None):
    """A source that computes each batch in aligned parts, with a network that shares only the parameters."""

    def source(batch):
        worker.parameters[:] = batch.parameters
        own = None if w is None else w[batch.rows]
        place = {name: getattr(batch, name) for name in ("step", "seed", "dropout", "input_dropout")}
        parts = parts_of(worker, X[batch.rows], Y[batch.rows], own, count, n_threads, **place)
        return scale.combine(parts).of_batch()

    return source


def assert_equal_fits(name, settings, *, dtype="float32", count=3, n_threads=None, weighted=True, rows=ROWS):
    params, loss, X, Y, w = problem(name, dtype, rows, weighted)
    nets = [network(params, loss=loss) for _ in range(3)]
    expected = nets[0].fit(X, Y, sample_weight=w, n_threads=n_threads, **settings)
    source = local_source(nets[2], X, Y, w, count, n_threads)
    history = scale.fit(nets[1], source, rows, n_threads=n_threads, **settings)
    if settings.get("l2") and name.startswith("small"):  # fit sums the penalty of small networks in another order
        assert np.allclose(history.loss, expected.loss, rtol=1e-14, atol=0)
    else:
        assert history.loss.tolist() == expected.loss.tolist()
    assert nets[1].parameters.tobytes() == nets[0].parameters.tobytes()
    assert not np.array_equal(nets[0].parameters, reference.flatten(params))
    assert (history.stop_reason, history.epochs) == (expected.stop_reason, expected.epochs)
    assert history.skipped_updates == expected.skipped_updates
    return history


@pytest.mark.parametrize("n_threads", [1, 2])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("optimizer", OPTIMIZERS)
@pytest.mark.parametrize("name", NETWORKS)
def test_full_batches_in_parts_give_the_same_bits_as_fit(name, optimizer, dtype, n_threads):
    for count in (1, 2, 3, 7):
        more = {"epochs": 3, "l2": 0.01, "seed": 5, **OPTIMIZERS[optimizer]}
        assert_equal_fits(name, more, dtype=dtype, count=count, n_threads=n_threads)


@pytest.mark.parametrize("setting", SETTINGS)
@pytest.mark.parametrize("optimizer", ["sgd", "adam"])
@pytest.mark.parametrize("name", NETWORKS)
def test_settings_of_fit_give_the_same_bits_with_a_source(name, optimizer, setting):
    more = {"epochs": 3, "seed": 5, **OPTIMIZERS[optimizer], **SETTINGS[setting]}
    if setting == "skipping":
        more["skip_updates_above"] = SKIPS[name]
    history = assert_equal_fits(name, more)
    assert bool(history.skipped_updates) == (setting == "skipping")
    assert_equal_fits(name, more, weighted=False)


@pytest.mark.parametrize("isa", cr.available_isas())
def test_every_instruction_set_adds_parts_to_the_same_bits(isa):
    before = cr.get_isa()
    cr.set_isa(isa)
    try:
        for name in NETWORKS:
            assert_equal_fits(name, {"epochs": 2, "seed": 1, **BATCHES})
    finally:
        cr.set_isa(before)


@settings(max_examples=40)
@given(rows=st.integers(1, 9000), count=st.integers(1, 9), name=st.sampled_from(list(NETWORKS)))
def test_parts_of_any_number_of_rows_add_up_to_the_batch(rows, count, name):
    params, loss, X, Y, w = problem(name, rows=rows)
    net = network(params, loss=loss)
    value, expected = net.loss_and_gradients(X, Y, w)
    gradient, cost, weight = scale.combine(parts_of(net, X, Y, w, count)).of_batch()
    assert cost == value
    assert weight == weight_of(w, rows)
    assert gradient.tobytes() == expected.parameters.tobytes()


@settings(max_examples=60)
@given(rows=st.integers(1, 20_000), count=st.integers(1, 40))
def test_aligned_parts_cover_the_batch_and_are_as_many_as_requested(rows, count):
    parts = scale.aligned_parts(rows, count)
    leaves = -(-rows // LEAF)
    assert len(parts) >= min(count, leaves)
    assert [start for start, _ in parts[1:]] == [stop for _, stop in parts[:-1]]
    assert (parts[0][0], parts[-1][1]) == (0, rows)


def test_parts_of_different_sizes_add_up_to_the_batch():
    params, loss, X, Y, w = problem("large, values", rows=7 * LEAF - 3)
    net = network(params, loss=loss)
    total = {"total_rows": len(X), "total_weight": weight_of(w, len(X))}
    parts = [
        net.partial_gradients(
            X[a * LEAF : b * LEAF], Y[a * LEAF : b * LEAF], w[a * LEAF : b * LEAF], first=a * LEAF, **total
        )
        for a, b in [(4, 7), (0, 2), (3, 4), (2, 3)]
    ]
    gradient, _, _ = scale.combine(parts).of_batch()
    assert gradient.tobytes() == net.loss_and_gradients(X, Y, w)[1].parameters.tobytes()


def test_a_part_is_the_tree_node_of_its_leaves():
    params, loss, X, Y, _ = problem("large, values", rows=4 * LEAF)
    net = network(params, loss=loss)
    rows = slice(2 * LEAF, 4 * LEAF)
    part = net.partial_gradients(X[rows], Y[rows], first=2 * LEAF, total_rows=4 * LEAF)
    alone = net.loss_and_gradients(X[rows], Y[rows])[1].parameters  # gradient of the mean over half of the rows
    assert np.array_equal(2 * part.gradient, alone)


def test_partial_gradients_of_sparse_rows_sum_to_the_gradient():
    params, loss, X, Y, w = problem("large, values")
    X = np.where(X > 0.5, X, 0)
    net = network(params, loss=loss)
    expected = net.loss_and_gradients(sp.csr_matrix(X), Y, w)
    gradient, cost, _ = scale.combine(parts_of(net, sp.csr_matrix(X), Y, w, 3)).of_batch()
    assert cost == expected[0]
    assert np.array_equal(gradient, expected[1].parameters)


def test_a_part_may_have_only_weights_of_zero():
    params, loss, X, Y, w = problem("small, classes")
    w[LEAF : 2 * LEAF] = 0
    net = network(params, loss=loss)
    expected = net.loss_and_gradients(X, Y, w)[1].parameters
    gradient, _, _ = scale.combine(parts_of(net, X, Y, w, 8)).of_batch()
    assert np.array_equal(gradient, expected)


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
@pytest.mark.parametrize("name", NETWORKS)
def test_a_resumed_fit_with_a_source_gives_the_same_bits_as_uninterrupted_training(name, optimizer):
    params, loss, X, Y, w = problem(name)
    batches = {} if optimizer == "lbfgs" else {**BATCHES, "dropout": 0.2}
    once, worker, resumed = (network(params, loss=loss) for _ in range(3))
    more = {"seed": 3, **OPTIMIZERS[optimizer], **batches}
    once.fit(X, Y, sample_weight=w, epochs=5, **more)
    source = local_source(worker, X, Y, w, 3)
    state = scale.fit(resumed, source, len(X), epochs=2, keep_state=True, **more).state
    resumed.parameters[:] = 0
    scale.fit(resumed, source, len(X), epochs=3, resume=state, **more)
    assert resumed.parameters.tobytes() == once.parameters.tobytes()


def test_validation_and_callbacks_are_those_of_fit():
    params, loss, X, Y, w = problem("small, classes")
    nets = [network(params, loss=loss) for _ in range(3)]
    logs = [[], []]
    more = {"validation": (X[:90], Y[:90]), "metrics": "accuracy", "epochs": 3, "stop": cr.Stop(no_improvement=2)}
    nets[0].fit(X, Y, sample_weight=w, callbacks=[logs[0].append], **more, **BATCHES)
    scale.fit(nets[1], local_source(nets[2], X, Y, w, 2), len(X), callbacks=[logs[1].append], **more, **BATCHES)
    kept = ("epoch", "loss", "validation", "accuracy", "learning_rate")
    assert [[log[key] for key in kept] for log in logs[0]] == [[log[key] for key in kept] for log in logs[1]]


@pytest.mark.parametrize(
    ("first", "rows", "total"),
    [(100, 512, 2000), (512, 1024, 4096), (0, 1536, 4096), (0, 700, 2000), (1024, 2048, 4096), (512, 988, 1500)],
)
def test_rows_that_are_not_aligned_raise_value_error(first, rows, total):
    net = cr.Network([2, 1], loss="squared_error", seed=0)
    with pytest.raises(ValueError, match=f"the rows {first} to {first + rows - 1} of {total} are not an aligned part"):
        net.partial_gradients(np.zeros((rows, 2)), np.zeros(rows), first=first, total_rows=total)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"first": -512}, "the part has rows -512 to -511, the batch has rows 0 to 1$"),
        ({"first": 512}, "the part has rows 512 to 513, the batch has rows 0 to 1$"),
        ({"total_weight": np.nan}, "total_weight is nan"),
        ({"total_weight": -1.0}, "total_weight is -1"),
        ({"step": -1}, "step is -1"),
        ({"seed": -1}, "seed is -1"),
        ({"dropout": [1.0]}, "dropout is 1, expected 0 <= dropout < 1"),
        ({"dropout": [0.1, 0.1]}, "dropout has 2 entries, the network has 1 hidden layers"),
        ({"input_dropout": -0.5}, "input_dropout is -0.5"),
        ({"sample_weight": [1.0, 1.0]}, "total_weight, the sum over the whole batch, must be given"),
        ({"sample_weight": [1.0, -1.0], "total_weight": 1.0}, r"sample_weight\[1\] is -1"),
        ({"X": np.zeros((2, 3))}, "X has 3 columns, the network expects 2"),
        ({"X": np.zeros((0, 2)), "y": []}, "a part of a batch needs at least one row"),
    ],
)
def test_wrong_arguments_of_a_part_are_named(wrong, message):
    net = cr.Network([2, 3, 1], loss="squared_error", seed=0)
    given = {"X": np.zeros((2, 2)), "y": [0.0, 0.0], "first": 0, "total_rows": 2, **wrong}
    with pytest.raises(ValueError, match=message):
        net.partial_gradients(given.pop("X"), given.pop("y"), given.pop("sample_weight", None), **given)


@pytest.mark.parametrize("hidden", [[3], [150, 64, 3]], ids=["small", "large"])
@pytest.mark.parametrize("layout", BINNED_LAYOUTS.values(), ids=BINNED_LAYOUTS)
def test_partial_gradients_of_binned_rows_sum_to_the_gradient(layout, hidden):
    net, X, _, Y, w = binned_problem(layout, hidden, 3700, "float32")
    value, expected = net.loss_and_gradients(X, Y, w)
    gradient, cost, _ = scale.combine(parts_of(net, X, Y, w.astype("float32"), 3)).of_batch()
    assert cost == value
    assert gradient.tobytes() == expected.parameters.tobytes()
    fitted, followed, worker = (pickle.loads(pickle.dumps(net)) for _ in range(3))
    more = {"epochs": 3, "seed": 5, "dropout": 0.2 if len(hidden) > 1 else 0.0, **BATCHES}
    history = fitted.fit(X, Y, sample_weight=w, **more)
    found = scale.fit(followed, local_source(worker, X, Y, w.astype("float32"), 3), 3700, **more)
    assert found.loss.tolist() == history.loss.tolist()
    assert followed.parameters.tobytes() == fitted.parameters.tobytes()


def test_binned_rows_have_no_input_dropout():
    rows = cr.BinnedRows(np.zeros((600, 1), "uint8"), np.zeros((600, 1)), [("bins", 4)])
    net = cr.Network([4, 1], loss="squared_error", seed=0)
    with pytest.raises(ValueError, match="input_dropout is not available for binned rows"):
        net.partial_gradients(rows, np.zeros(600), first=0, total_rows=600, input_dropout=0.5)


def part(first, rows, total, weight=1.0, size=3):
    stop = first + rows
    return scale.PartialGradients(first, stop, total, weight, np.zeros(size, "float32"), np.zeros(1))


@pytest.mark.parametrize(
    ("left", "right", "message"),
    [
        (part(0, 512, 2048), part(1024, 512, 2048), "are not the two halves"),
        (part(512, 512, 2048), part(1024, 512, 2048), "are not the two halves"),
        (part(512, 512, 2048), part(0, 512, 2048), "are not the two halves"),
        (part(0, 1024, 4096), part(1024, 512, 4096), "are not the two halves"),
        (part(0, 512, 1500), part(512, 988, 1500), "are not the two halves"),
        (part(0, 512, 1024), part(512, 512, 2048), "different batches: total_rows is 1024 and 2048"),
        (part(0, 512, 1024), part(512, 512, 1024, 2.0), "different batches: total_weight is 1.0 and 2.0"),
        (part(0, 512, 1024), part(512, 512, 1024, size=4), "different networks"),
    ],
)
def test_parts_that_are_not_neighbors_in_the_tree_cannot_be_added(left, right, message):
    with pytest.raises(ValueError, match=message):
        left + right


def test_incomplete_batches_raise_value_error():
    with pytest.raises(ValueError, match="no parts"):
        scale.combine([])
    with pytest.raises(ValueError, match="an aligned part of a batch of 2048 rows: 0 to 512, 1024 to 2048"):
        scale.combine([part(1024, 1024, 2048), part(0, 512, 2048)])
    with pytest.raises(ValueError, match="do not make up"):  # twice the same
        scale.combine([part(0, 512, 1024), part(0, 512, 1024), part(512, 512, 1024)])
    with pytest.raises(ValueError, match="the rows 0 to 512 are not the whole batch of 1024 rows"):
        part(0, 512, 1024).of_batch()


def fit_with(source, *, optimizer="adam", **more):
    """Fit with a source that replaces a working one from the third call on; return the network and its bits."""
    params, loss, X, Y, w = problem("small, classes")
    net, worker, twin = (network(params, loss=loss) for _ in range(3))
    good, calls = local_source(worker, X, Y, w, 2), []
    seen = []

    def run(batch):
        calls.append(batch.step)
        if len(calls) < 3:
            return good(batch)
        seen.append(batch.parameters.copy())
        return source(good, batch)

    more = {**OPTIMIZERS[optimizer], "epochs": 5, "seed": 0, **more}
    return net, lambda: scale.fit(net, run, len(X), **more), seen, twin


class OwnError(Exception):
    pass


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
@pytest.mark.parametrize("error", [OwnError("worker 3 is lost"), KeyboardInterrupt(), SystemExit(3)])
def test_exception_of_the_source_is_raised_after_the_last_complete_step(optimizer, error):
    def fail(good, batch):
        raise error

    net, run, seen, _ = fit_with(fail, optimizer=optimizer, **({} if optimizer == "lbfgs" else BATCHES))
    with pytest.raises(type(error)) as caught:
        run()
    assert caught.value is error
    if optimizer != "lbfgs":  # L-BFGS was at a trial point
        assert np.array_equal(net.parameters, seen[0])
    assert np.isfinite(net.parameters).all()
    if isinstance(error, KeyboardInterrupt):
        assert caught.value.history.stop_reason == "interrupted"
    X, Y = problem("small, classes")[2:4]
    net.fit(X, Y, epochs=1)  # the network can be trained again


def test_ctrl_c_within_the_source_ends_the_fit():
    def interrupt(good, batch):
        os.kill(os.getpid(), signal.SIGINT)
        return good(batch)

    net, run, seen, _ = fit_with(interrupt, **BATCHES)
    with pytest.raises(KeyboardInterrupt):
        run()
    assert np.array_equal(net.parameters, seen[0])


@pytest.mark.parametrize(
    ("result", "error", "message"),
    [
        (lambda g, loss, w: (g[:-1], loss, w), ValueError, "the gradient that source returned"),
        (lambda g, loss, w: (g[None], loss, w), ValueError, "the gradient that source returned"),
        (lambda g, loss, w: (g + 0j, loss, w), TypeError, "the gradient that source returned"),
        (lambda g, loss, w: (None, loss, w), TypeError, "got None as the gradient"),
        (lambda g, loss, w: (g, loss), TypeError, re.escape("source must return (gradient, loss, weight), got tuple")),
        (lambda g, loss, w: g, TypeError, "got ndarray"),
        (lambda g, loss, w: (g, "low", w), TypeError, "the loss that source returned is 'low'"),
        (lambda g, loss, w: (g, loss, None), TypeError, "the weight that source returned is None"),
        (lambda g, loss, w: (g, loss, 0.0), ValueError, "source returned the weight 0"),
        (lambda g, loss, w: (g, loss, np.nan), ValueError, "source returned the weight nan"),
    ],
)
@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_wrong_results_of_a_source_are_named(optimizer, result, error, message):
    net, run, seen, _ = fit_with(lambda good, batch: result(*good(batch)), optimizer=optimizer)
    with pytest.raises(error, match=message):
        run()
    if optimizer != "lbfgs":
        assert np.array_equal(net.parameters, seen[0])


@pytest.mark.parametrize("optimizer", ["sgd", "adam"])
@pytest.mark.parametrize("place", ["loss", "gradient"])
def test_nan_from_a_source_is_a_divergence_and_finite_parameters_stay(optimizer, place):
    def spoil(good, batch):
        gradient, loss, weight = good(batch)
        return (gradient, np.nan, weight) if place == "loss" else (gradient * np.nan, loss, weight)

    net, run, _, _ = fit_with(spoil, optimizer=optimizer, callbacks=[lambda logs: None])
    message = r"became NaN or infinite in epoch 3; the network keeps the parameters of the end of epoch 2\."
    with pytest.raises(cr.DivergenceError, match=message) as caught:
        run()
    assert np.isfinite(net.parameters).all()
    assert caught.value.history.epochs == 2


def test_the_source_cannot_change_the_network():
    def change(good, batch):
        batch.parameters[:] = 0

    _, run, _, _ = fit_with(change)
    with pytest.raises(ValueError, match="read-only"):
        run()


@pytest.mark.parametrize(
    ("wrong", "error", "message"),
    [
        ({"source": 3}, TypeError, "source must be callable, got 3"),
        ({"rows": 0}, ValueError, "rows is 0"),
        ({"rows": 2.5}, TypeError, "rows must be an integer"),
        ({"validation": 0.2}, ValueError, "a source has no rows to hold out"),
        ({"loss": lambda z, y, w: (0.0, z)}, ValueError, "a source computes the gradients: do not set a custom loss"),
        ({"precision": "bf16"}, ValueError, "bf16|a source computes the gradients"),
        ({"epoch": 3}, TypeError, "a fit has no setting 'epoch'"),
        ({"optimizer": cr.LBFGS(), "batch_size": 10}, ValueError, "L-BFGS needs all rows in one batch"),
    ],
)
def test_wrong_arguments_of_a_fit_with_a_source_change_nothing(wrong, error, message):
    net = cr.Network([2, 3, 1], loss="squared_error", seed=0)
    before = net.parameters.copy()
    given = {"source": lambda batch: pytest.fail("called"), "rows": 100, **wrong}
    with pytest.raises(error, match=message):
        scale.fit(net, given.pop("source"), given.pop("rows"), **given)
    assert np.array_equal(net.parameters, before)


def test_the_length_of_a_leaf_is_that_of_the_core():
    net = cr.Network([1, 200, 90, 1], loss="squared_error", seed=0)  # not small: one chain per leaf
    X = np.ones((1100, 1))
    assert len(net.partial_gradients(X, X, first=0, total_rows=1100).losses) == -(-1100 // scale.LEAF)
