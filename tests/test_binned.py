"""Binned rows against their features in NumPy: the same network, loss, gradients and training; bad rows are refused."""

import pickle

import numpy as np
import pytest
import reference
from models import assert_fit_many_equals_fits, network
from test_invariance import ACTIVATION

import chainrule as cr
from chainrule.binned import BinnedFeatures

LAYOUTS = {
    "numbers": [("value", 1), ("bins", 5)] * 4,
    "mixed": [("levels", 3), ("value", 1), ("bins", 16), ("bins", 1), ("levels", 1), ("bins", 2), ("value", 1)],
    "levels": [("levels", 7), ("levels", 300)],
    "values": [("value", 1)] * 9,
    "many columns": [("value", 1), ("bins", 3), ("levels", 2)] * 40,  # more entries than a kernel takes at a time
}
HIDDEN = {"one output": [1], "one layer": [7], "ragged": [33, 5, 1], "wide": [150, 64, 3]}
LOSS = {1: "binary_cross_entropy", 3: "softmax_cross_entropy", 7: "squared_error"}


def rows(layout, m, dtype="float32", seed=0):
    """Binned rows, and their features by the definition of each column."""
    random = np.random.default_rng(seed)
    codes, values, features = [], [], []
    for kind, count in layout:
        if kind == "levels":
            code = random.integers(0, count + 1, m)
            features.append(np.eye(count + 1, count)[code])
            codes.append(code)
            continue
        if kind == "value":
            value = random.normal(size=m).astype(dtype)
            features.append(value[:, None])
        else:
            edges = np.cumsum(random.uniform(0.5, 2, count + 1)).astype(dtype)
            x = random.uniform(edges[0] - 1, edges[-1] + 1, m).astype(dtype)
            x[: len(edges)] = edges[:m]
            code = np.clip(np.searchsorted(edges, x, "right") - 1, 0, count - 1)
            value = np.clip((x - edges[code]) / (edges[code + 1] - edges[code]), 0, 1)
            features.append(reference.piecewise_linear(x, edges))
            codes.append(code)
        values.append(value)
    columns = [np.stack(arrays, axis=1) if arrays else np.zeros((m, 0), int) for arrays in (codes, values)]
    return cr.BinnedRows(*columns, layout), np.concatenate(features, axis=1).astype(dtype)


def problem(layout, hidden, m, dtype="float64"):
    """A network, binned rows, their features, targets and weights."""
    loss = LOSS[hidden[-1]]
    X, features = rows(layout, m, dtype)
    params, _, Y, w = reference.problem([features.shape[1], *hidden], m, loss, dtype=dtype)
    return network(params, ACTIVATION[loss], loss), X, features, Y, w


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("layout", LAYOUTS.values(), ids=LAYOUTS)
def test_features_equal_their_definition(layout, dtype):
    X, features = rows(layout, 50, dtype)
    assert X.shape == features.shape
    assert X.toarray().dtype == (dtype if X.values.size else "float32")
    assert np.array_equal(np.asarray(X, dtype), X.toarray().astype(dtype))
    assert reference.error(X.toarray(), features) < 4 * np.finfo(dtype).eps


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("hidden", HIDDEN.values(), ids=HIDDEN)
@pytest.mark.parametrize("layout", LAYOUTS.values(), ids=LAYOUTS)
@pytest.mark.parametrize("m", [1, 31, 700])
def test_network_equals_the_network_on_features(isa, threads, layout, hidden, m, dtype):
    net, X, features, Y, w = problem(layout, hidden, m, dtype)
    params = [(W.astype(float), b.astype(float)) for W, b in zip(net.weights, net.biases, strict=True)]
    exact, activations = features.astype(float), net.activations
    z, a = reference.forward(params, exact, activations, net.loss_spec)
    grads, _ = reference.backward(params, z, a, Y, activations, net.loss_spec, w, 0.1)
    tolerance = 100 * np.finfo(dtype).eps
    assert reference.error(net.logits(X), z[-1]) < tolerance
    assert reference.error(net.predict(X), a[-1]) < tolerance
    loss, gradients = net.loss_and_gradients(X, Y, w, 0.1)
    assert loss == net.loss(X, Y, w, 0.1)
    assert reference.error(loss, reference.cost(params, z[-1], Y, net.loss_spec, w, 0.1)) < tolerance
    for got, (dW, db) in zip(zip(gradients.weights, gradients.biases, strict=True), grads, strict=True):
        assert reference.error(got[0], dW, scale=0.1) < tolerance
        assert reference.error(got[1], db, scale=0.1) < tolerance


@pytest.mark.parametrize("hidden", [[6, 1], [3]])
@pytest.mark.parametrize("layout", ["numbers", "mixed"])
def test_gradients_equal_central_differences(layout, hidden):
    net, X, _, Y, w = problem(LAYOUTS[layout], hidden, 40)
    report = net.check_gradients(X, Y, w, l2=0.1)
    assert report.relative_error < 1e-6


SETTINGS = {
    "all rows": {},
    "batches": {"batch_size": 32},
    "few rows": {"batch_size": 3},
    "momentum": {"optimizer": cr.SGD(momentum=0.9), "batch_size": 40},
    "clipped by norm": {"clip_norm": 0.05, "batch_size": 32},
    "clipped by value": {"clip_value": 0.001, "batch_size": 32},
    "averaged": {"ema": 0.9, "batch_size": 32},
    "dropout": {"dropout": 0.3, "batch_size": 32},
    "L-BFGS": {"optimizer": cr.LBFGS()},
    "groups": {"groups": [cr.Group(layers=[0], kind="weights", learning_rate=3.0)], "batch_size": 32},
}


@pytest.mark.parametrize("settings", SETTINGS.values(), ids=SETTINGS)
@pytest.mark.parametrize("hidden", [[33, 5, 1], [150, 64, 3]], ids=["ragged", "wide"])
@pytest.mark.parametrize("layout", ["numbers", "mixed"])
def test_training_equals_training_on_features(layout, hidden, settings):
    net, X, features, Y, w = problem(LAYOUTS[layout], hidden, 90)
    other, *_ = problem(LAYOUTS[layout], hidden, 90)
    settings = {"epochs": 4, "l2": 0.01, "sample_weight": w, "seed": 5, **settings}
    history = net.fit(X, Y, validation=(X[:40], Y[:40]), **settings)
    expected = other.fit(features, Y, validation=(features[:40], Y[:40]), **settings)
    assert reference.error(net.parameters, other.parameters) < 1e-8
    assert reference.error(history.loss, expected.loss) < 1e-8
    assert reference.error(history.validation, expected.validation) < 1e-8


@pytest.mark.parametrize("batch_size", [None, 9001])
def test_batches_of_several_slabs_train_like_features(batch_size):
    net, X, features, Y, w = problem([("value", 1), ("bins", 8), ("levels", 3)], [40, 1], 9900)
    other = problem([("value", 1), ("bins", 8), ("levels", 3)], [40, 1], 1)[0]
    assert np.array_equal(net.parameters, other.parameters)
    settings = {"epochs": 2, "batch_size": batch_size, "sample_weight": w, "seed": 1}
    net.fit(X, Y, **settings)
    other.fit(features, Y, **settings)
    assert reference.error(net.parameters, other.parameters) < 1e-10


def test_fit_many_equals_single_fits_on_chosen_rows():
    _, X, _, Y, _ = problem(LAYOUTS["mixed"], [33, 5, 1], 90)
    assert_fit_many_equals_fits(lambda: problem(LAYOUTS["mixed"], [33, 5, 1], 90)[0], X, Y)


def test_types_of_codes_change_no_bit():
    net, X, *_ = problem(LAYOUTS["mixed"], [33, 5, 1], 30)
    want = net.predict(X)
    assert X.codes.dtype == np.uint8
    for dtype in (np.uint16, np.int32, np.int64, ">u2"):
        for codes in (X.codes.astype(dtype), np.asfortranarray(X.codes.astype(dtype))):
            other = cr.BinnedRows(codes, np.asfortranarray(X.values), X.layout)
            assert other.codes.dtype == (dtype if dtype in (np.uint16, np.int32) else np.uint8)
            assert np.array_equal(net.predict(other), want)
    copy = pickle.loads(pickle.dumps(X))
    assert np.array_equal(net.predict(copy), want)
    assert np.array_equal(net.predict(X[[3, 1]]), want[[3, 1]])
    assert len(X[5:9]) == 4


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("layout", LAYOUTS.values(), ids=LAYOUTS)
def test_features_computed_when_read_give_the_same_bits_as_an_array(layout, dtype):
    nets = [problem(layout, [33, 5, 1], 90, dtype)[0] for _ in range(2)]
    _, X, _, Y, w = problem(layout, [33, 5, 1], 90, dtype)
    for codes in (np.uint8, np.uint16, np.int32):
        if X.codes.size and X.codes.max() > np.iinfo(codes).max:
            continue
        features = BinnedFeatures(cr.BinnedRows(X.codes.astype(codes), X.values, layout))
        places = np.arange(90)[::-2]
        settings = {"batch_size": 7, "epochs": 2, "sample_weight": w, "validation": 0.2}
        costs = [
            net.fit(x, Y, **settings).loss.tolist()
            for net, x in zip(nets, (features, features.rows.toarray()), strict=True)
        ]
        assert costs[0] == costs[1]
        assert nets[0].parameters.tobytes() == nets[1].parameters.tobytes()
        assert np.array_equal(nets[0].predict(features[places]), nets[1].predict(X.toarray()[places]))
        assert nets[0].loss(features, Y) == nets[1].loss(X.toarray(), Y)


def test_batches_without_rows_have_cost_0_and_cannot_be_fitted():
    net, X, _, Y, _ = problem(LAYOUTS["mixed"], [33, 5, 1], 3)
    assert net.predict(X[:0]).shape == (0, 1)
    loss, gradients = net.loss_and_gradients(X[:0], Y[:0])
    assert loss == 0
    assert not gradients.parameters.any()
    with pytest.raises(ValueError, match="X has no rows"):
        net.fit(X[:0], Y[:0])


LAYOUT = [("value", 1), ("bins", 4), ("levels", 3)]
BAD_ENTRIES = {
    "bin too large": ([4, 0], [0, 0.5], r"code 4 in row 1 for layout\[1\], 4 bins, expected from 0 to 3"),
    "bin negative": ([-1, 0], [0, 0.5], r"code -1 in row 1 for layout\[1\]"),
    "level too large": ([0, 4], [0, 0.5], r"code 4 in row 1 for layout\[2\], 3 levels, expected from 0 to 3"),
    "level negative": ([0, -1], [0, 0.5], r"code -1 in row 1 for layout\[2\]"),
    "fraction below 0": ([0, 0], [0, -0.1], r"value -0.1\d* in row 1 for layout\[1\], 4 bins, expected the fraction"),
    "fraction above 1": ([0, 0], [0, 1.1], r"value 1.1\d* in row 1"),
    "fraction NaN": ([0, 0], [0, np.nan], "value -?nan in row 1"),
    "fraction infinite": ([0, 0], [0, np.inf], "value inf in row 1"),
}


@pytest.mark.parametrize(("codes", "values", "message"), BAD_ENTRIES.values(), ids=BAD_ENTRIES)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_bad_entries_raise_before_training(codes, values, message, dtype):
    net = cr.Network([8, 5, 1], loss="squared_error", dtype=dtype, seed=0)
    before = net.parameters.copy()
    good = cr.BinnedRows([[3, 3], [0, 2]], [[9, 1], [0, 0]], LAYOUT)
    X = cr.BinnedRows([[3, 3], codes], [[9, 1], values], LAYOUT)
    for use in (net.predict, net.logits, lambda X: net.loss(X, np.ones(2)), lambda X: net.fit(X, np.ones(2))):
        use(good)
        net.parameters[:] = before
        with pytest.raises(ValueError, match=message):
            use(X)
    with pytest.raises(ValueError, match="validation: X has"):
        net.fit(good, np.ones(2), validation=(X, np.ones(2)))
    with pytest.raises(ValueError, match=r"networks\[0\]: X has"):
        cr.fit_many([net], X, np.ones(2))
    assert np.array_equal(net.parameters, before)


BAD_ROWS = {
    "too few codes": ([[0]], [[0, 0]], LAYOUT, r"codes has shape \(1, 1\), the layout expects \(rows, 2\)"),
    "too many values": ([[0, 0]], [[0, 0, 0]], LAYOUT, r"values has shape \(1, 3\), the layout expects \(rows, 2\)"),
    "one dimension": ([0, 0], [[0, 0]], LAYOUT, "codes has shape"),
    "other numbers of rows": ([[0, 0]], [[0, 0], [0, 0]], LAYOUT, "codes has 1 rows, values has 2"),
    "codes that are not integers": ([[0.5, 0]], [[0, 0]], LAYOUT, "codes has dtype float64, expected integers"),
    "codes beyond int32": ([[2**40, 0]], [[0, 0]], LAYOUT, "codes range from 0 to 1099511627776"),
    "text": ([[0, 0]], [["a", "b"]], LAYOUT, "values has dtype <U1"),
    "complex": ([[0, 0]], [[1j, 0]], LAYOUT, "values has dtype complex128"),
    "no layout": ([[0, 0]], [[0, 0]], None, "layout must be a sequence"),
    "no columns": (np.zeros((1, 0), int), np.zeros((1, 0)), [], "layout has no columns"),
    "unknown kind": ([[0, 0]], [[0, 0]], [("bin", 3)], "'bins'"),
    "not a pair": ([[0, 0]], [[0, 0]], ["bins"], r"layout\[0\] is 'bins', expected \(kind, number of features\)"),
    "no features": ([[0, 0]], [[0, 0]], [("bins", 0)], r"number of features in layout\[0\] is 0"),
    "wide value": ([[0, 0]], [[0, 0]], [("value", 2)], r"layout\[0\] is a value with 2 features, expected 1"),
}


@pytest.mark.parametrize(("codes", "values", "layout", "message"), BAD_ROWS.values(), ids=BAD_ROWS)
def test_arrays_that_do_not_match_the_layout_raise(codes, values, layout, message):
    with pytest.raises((ValueError, TypeError), match=message):
        cr.BinnedRows(codes, values, layout)


def test_arrays_changed_after_construction_raise():
    net = cr.Network([8, 5, 1], loss="squared_error", seed=0)
    for name, array in {
        "codes": np.zeros((1, 2), np.uint8),
        "values": np.zeros((2, 3), np.float32),
        "layout": (("bins", 7), ("value", 1)),
    }.items():
        X = cr.BinnedRows([[0, 0], [1, 1]], [[0, 0], [1, 1]], LAYOUT)
        setattr(X, name, array)
        with pytest.raises(ValueError, match="the arrays of X have a different type, shape or order"):
            net.predict(X)


def test_operations_that_need_features_raise():
    net, X, features, Y, _ = problem(LAYOUTS["mixed"], [7], 20, "float32")
    for use in (lambda: net.loss_and_gradients(X, Y, inputs=True), lambda: net.trace(X, Y)):
        with pytest.raises(
            ValueError, match=r"not available for binned rows; pass some of the rows as an array: X\[:100\]"
        ):
            use()
    with pytest.raises(ValueError, match="input_dropout is not available for binned rows"):
        net.fit(X, Y, input_dropout=0.1)
    with pytest.raises(ValueError, match="bf16"):
        net.fit(X, Y, precision="bf16")
    with pytest.raises(ValueError, match="X has 8 columns, the network expects"):
        net.predict(cr.BinnedRows([[0, 0]], [[0, 0]], LAYOUT))
    identity = np.eye(features.shape[1]), np.zeros(features.shape[1])
    assert reference.error(cr.forward([identity], X, loss="squared_error").z[0], features) < 1e-6
