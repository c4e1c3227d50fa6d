"""The array functions against the oracle and against finite differences, on every instruction set."""

from contextlib import contextmanager

import numpy as np
import pytest
import reference
from hypothesis import given, settings
from hypothesis import strategies as st
from models import loss_for

import chainrule as cr
from chainrule import _core

ACTIVATIONS, LOSSES = tuple(_core.ACTIVATIONS), tuple(_core.LOSSES)
TOLERANCE = {"float64": 1e-12, "float32": 1e-5}
# Losses and activations are independent, so not every pair is tested.
PAIRS = [(activation, "squared_error") for activation in ACTIVATIONS] + [("tanh", loss) for loss in LOSSES]
WIDTHS = [1, 2, 7, 8, 9, 13, 14, 15, 16, 17, 31, 32, 33, 48, 64, 65]


@contextmanager
def using_isa(name):
    before = cr.get_isa()
    cr.set_isa(name)
    try:
        yield
    finally:
        cr.set_isa(before)


def to_float64(params):
    return [(W.astype("float64"), b.astype("float64")) for W, b in params]


def errors(params, X, Y, activation, loss, w=None, l2=0.0, scale=0.0):
    """The relative errors of forward, cost and backward; the oracle computes in float64 from the same numbers."""
    activations = [activation] * (len(params) - 1) if isinstance(activation, str) else activation
    exact, x = to_float64(params), X.astype("float64")
    z, a = reference.forward(exact, x, activations, loss)
    cache = cr.forward(params, X, activation=activation, loss=loss_for(loss, len(params[-1][1])))
    assert {v.dtype for v in [*cache.z, *cache.a]} == {X.dtype}
    pairs = [*zip(cache.z, z, strict=True), *zip(cache.a, a, strict=True)]
    if len(X):
        pairs.append((cr.cost(params, cache, Y, w, l2), reference.cost(exact, z[-1], Y, loss, w, l2)))
        grads = cr.backward(params, cache, Y, w, l2)
        assert {v.dtype for pair in grads for v in pair} == {X.dtype}
        expected, _ = reference.backward(exact, z, a, Y, activations, loss, w, l2)
        pairs += [p for g, e in zip(grads, expected, strict=True) for p in zip(g, e, strict=True)]
    return [reference.error(got, want, scale) for got, want in pairs]


def test_oracle_has_every_activation_and_loss():
    assert set(reference.ACTIVATIONS) == set(ACTIVATIONS)
    assert set(reference.LOSSES) == set(LOSSES)


@pytest.mark.parametrize("dtype", TOLERANCE)
@pytest.mark.parametrize(("activation", "loss"), PAIRS)
@pytest.mark.parametrize(("m", "sizes"), [(5, [3, 4, 2]), (50, [20, 33, 17, 3]), (130, [40, 65, 1]), (600, [8, 9, 2])])
def test_forward_cost_and_backward_equal_the_oracle(isa, dtype, loss, activation, m, sizes):
    params, X, Y, w = reference.problem(sizes, m, loss, seed=m, dtype=dtype)
    assert max(errors(params, X, Y, activation, loss)) <= TOLERANCE[dtype]
    assert max(errors(params, X, Y, activation, loss, w, l2=0.1)) <= TOLERANCE[dtype]


@pytest.mark.parametrize("dtype", TOLERANCE)
def test_each_hidden_layer_may_have_its_own_activation(isa, dtype):
    params, X, Y, _ = reference.problem([6, 10, 9, 8, 7, 3], 40, "squared_error", dtype=dtype)
    assert max(errors(params, X, Y, ["relu", "tanh", "logistic", "identity"], "squared_error")) <= TOLERANCE[dtype]


@settings(max_examples=300)
@given(
    st.sampled_from(cr.available_isas()),
    st.sampled_from(list(TOLERANCE)),
    st.sampled_from(LOSSES),
    st.sampled_from([0, 1, *WIDTHS]),
    st.lists(st.sampled_from(WIDTHS), min_size=2, max_size=6),
    st.data(),
)
def test_random_shapes_equal_the_oracle(isa, dtype, loss, m, sizes, data):
    hidden = len(sizes) - 2
    activations = data.draw(st.lists(st.sampled_from(ACTIVATIONS), min_size=hidden, max_size=hidden))
    params, X, Y, w = reference.problem(sizes, m, loss, seed=data.draw(st.integers(0, 99)), dtype=dtype)
    # scale 1, because with few elements every one may be a small difference between numbers of order 1
    with using_isa(isa):
        assert max(errors(params, X, Y, activations, loss, w, l2=0.01, scale=1.0)) <= TOLERANCE[dtype]


def away_from_kinks(sizes, m, activation, loss):
    """A problem whose hidden layers have no input near 0, where relu has no derivative."""
    for seed in range(100):
        params, X, Y, w = reference.problem(sizes, m, loss, seed)
        z, _ = reference.forward(params, X, [activation] * (len(sizes) - 2), loss)
        if min(abs(v).min() for v in z[:-1]) > 1e-3:
            return params, X, Y, w
    raise AssertionError("no such problem")


@pytest.mark.parametrize(("activation", "loss"), PAIRS)
def test_gradients_equal_finite_differences(isa, activation, loss):
    params, X, Y, w = away_from_kinks([4, 5, 3, 2], 6, activation, loss)
    before = reference.flatten(params)
    for weights, l2 in ((None, 0.0), (w, 0.3)):
        spec = loss_for(loss, 2)
        report = cr.check_gradients(params, X, Y, activation=activation, loss=spec, sample_weight=weights, l2=l2)
        assert report.compared == before.size
        assert report.relative_error <= 1e-6
        assert max(layer.relative_error for layer in report.layers) <= 1e-6
    assert np.array_equal(reference.flatten(params), before)


@pytest.mark.parametrize(("activation", "loss"), PAIRS)
def test_oracle_equals_finite_differences(activation, loss):
    params, X, Y, w = away_from_kinks([3, 4, 2], 5, activation, loss)

    def J(theta, X):
        changed = reference.unflatten(theta, params)
        return reference.cost(changed, reference.forward(changed, X, [activation], loss)[0][-1], Y, loss, w, 0.3)

    theta, h = reference.flatten(params), 1e-6
    grads, dX = reference.backward(
        params, *reference.forward(params, X, [activation], loss), Y, [activation], loss, w, 0.3
    )
    steps = h * np.eye(theta.size)
    assert (
        reference.error([(J(theta + s, X) - J(theta - s, X)) / (2 * h) for s in steps], reference.flatten(grads)) < 1e-6
    )
    steps = h * np.eye(X.size).reshape(-1, *X.shape)
    assert reference.error([(J(theta, X + s) - J(theta, X - s)) / (2 * h) for s in steps], dX.ravel()) < 1e-6


def test_check_gradients_finds_one_wrong_element(monkeypatch):
    params, X, Y, _ = reference.problem([3, 4, 2], 5, "squared_error")
    backward = _core.backward

    def wrong(*arguments):
        grads, dz = backward(*arguments)
        grads[1][0][0, 3] += 0.01
        return grads, dz

    monkeypatch.setattr(_core, "backward", wrong)
    report = cr.check_gradients(params, X, Y, activation="tanh", loss="squared_error")
    first, second = report.layers
    assert first.relative_error < 1e-6 < report.relative_error
    assert (second.layer, second.name) == (2, "W[0, 3]")
    assert second.backward - second.difference == pytest.approx(0.01, rel=1e-4)
    assert "W[0, 3]" in str(report)
    assert f"{report.relative_error:.1e}" in str(report)


def test_check_gradients_does_not_hide_nan():
    params, X, Y, _ = reference.problem([3, 4, 2], 5, "squared_error")
    X[2, 1] = np.nan
    assert np.isnan(cr.check_gradients(params, X, Y, activation="tanh", loss="squared_error").relative_error)


@pytest.mark.parametrize("dtype", TOLERANCE)
@pytest.mark.parametrize("loss", ["binary_cross_entropy", "softmax_cross_entropy"])
def test_huge_logits_have_a_finite_cost_and_right_gradients(isa, dtype, loss):
    params = [(np.array([[1.0], [-1.0]], dtype), np.zeros(2, dtype))]
    X = np.array([[1e4], [-1e4], [80.0], [-800.0], [0.0]], dtype)
    Y = np.array([[0, 1], [0, 1], [1, 0], [0, 1], [1, 0]], dtype)
    assert max(errors(params, X, Y, (), loss)) <= TOLERANCE[dtype]
    cache = cr.forward(params, X, loss=loss)
    assert np.isfinite(cr.cost(params, cache, Y))
    assert np.array_equal(cache.a[-1][:2], [[1, 0], [0, 1]])


@pytest.mark.parametrize("loss", LOSSES)
def test_integer_weights_equal_repeated_rows(loss):
    params, X, Y, _ = reference.problem([5, 6, 3], 8, loss)
    weights = np.array([1, 2, 1, 0, 2, 1, 1, 3.0])
    rows = np.repeat(np.arange(8), weights.astype(int))
    spec = loss_for(loss, 3)
    weighted, repeated = (cr.forward(params, x, activation="tanh", loss=spec) for x in (X, X[rows]))
    assert cr.cost(params, weighted, Y, weights) == pytest.approx(cr.cost(params, repeated, Y[rows]), rel=1e-13)
    got, want = cr.backward(params, weighted, Y, weights), cr.backward(params, repeated, Y[rows])
    assert reference.error(reference.flatten(got), reference.flatten(want)) < 1e-13


def test_targets_may_have_one_dimension_or_two():
    params, X, Y, _ = reference.problem([4, 3], 9, "softmax_cross_entropy")
    cache = cr.forward(params, X, loss="softmax_cross_entropy")
    for same in (np.eye(3)[Y], Y.astype("float32"), Y.tolist()):
        assert cr.cost(params, cache, same) == cr.cost(params, cache, Y)
        assert np.array_equal(cr.backward(params, cache, same)[0][0], cr.backward(params, cache, Y)[0][0])
    for loss in ("binary_cross_entropy", "squared_error"):
        params, X, Y, _ = reference.problem([4, 1], 9, loss)
        cache = cr.forward(params, X, loss=loss)
        assert cr.cost(params, cache, Y[:, 0]) == cr.cost(params, cache, Y)


def test_update_subtracts_the_scaled_gradient():
    params, X, Y, _ = reference.problem([4, 5, 2], 9, "squared_error")
    grads = cr.backward(params, cr.forward(params, X, activation="tanh", loss="squared_error"), Y)
    want = reference.flatten(params) - 0.1 * reference.flatten(grads)
    new = cr.update(params, grads, learning_rate=0.1)
    assert reference.error(reference.flatten(new), want) < 1e-15
    assert not np.shares_memory(new[0][0], params[0][0])
    same = cr.update(params, grads, learning_rate=0.1, out=params)
    assert np.shares_memory(same[0][0], params[0][0])
    assert np.array_equal(reference.flatten(params), reference.flatten(new))


@pytest.mark.parametrize("dtype", TOLERANCE)
@pytest.mark.parametrize("init", sorted({*_core.INITS} - {"given"}))
def test_initial_weights_have_the_variance_of_their_scheme(init, dtype):
    sizes = [300, 200, 100]
    params = cr.init_params(sizes, init=init, seed=7, dtype=dtype)
    for (W, b), n_in, n_out in zip(params, sizes[:-1], sizes[1:], strict=True):
        variance = {"he": 2 / n_in, "lecun": 1 / n_in, "glorot": 2 / (n_in + n_out)}[init.partition("_")[0]]
        assert W.shape == (n_out, n_in)
        assert W.dtype == b.dtype == dtype
        assert not b.any()
        assert abs(W.mean()) < 5 * (variance / W.size) ** 0.5
        assert W.var() == pytest.approx(variance, rel=0.05)
        bound = (3 * variance) ** 0.5
        assert abs(W).max() <= bound * (1 + 1e-6) if init.endswith("uniform") else abs(W).max() > bound
        assert len(np.unique(W)) > 0.99 * W.size
    flat = reference.flatten(params)
    assert np.array_equal(flat, reference.flatten(cr.init_params(sizes, init=init, seed=7, dtype=dtype)))
    assert not np.array_equal(flat, reference.flatten(cr.init_params(sizes, init=init, seed=8, dtype=dtype)))


def test_given_parameters_are_zero_until_written():
    params = cr.init_params([3, 4, 2], init="given", seed=5)
    assert not reference.flatten(params).any()
    net = cr.Network([3, 4, 2], loss="squared_error", init="given", seed=5)
    assert (net.init, net.parameters.any()) == ("given", False)


def test_wrong_arguments_raise_and_name_the_argument():
    params, X, Y, w = reference.problem([3, 4, 2], 5, "squared_error")
    forward = {"activation": "tanh", "loss": "squared_error"}
    cache = cr.forward(params, X, **forward)
    with pytest.raises(ValueError, match=r"X has 4 columns.*3"):
        cr.forward(params, np.ones((5, 4)), **forward)
    with pytest.raises(ValueError, match=r"^activation 'sigmoid' is unknown"):
        cr.forward(params, X, activation="sigmoid", loss="squared_error")
    with pytest.raises(ValueError, match=r"^loss 'hinge' is unknown"):
        cr.forward(params, X, activation="tanh", loss="hinge")
    with pytest.raises(ValueError, match="activation"):
        cr.forward(params, X, activation=["tanh", "relu"], loss="squared_error")
    with pytest.raises(ValueError, match=r"^y has 4 rows, X has 5$"):
        cr.cost(params, cache, Y[:4])
    with pytest.raises(ValueError, match="sample_weight"):
        cr.cost(params, cache, Y, sample_weight=w[:4])
    with pytest.raises(ValueError, match="sample_weight"):
        cr.cost(params, cache, Y, sample_weight=-w)
    with pytest.raises(ValueError, match="sample_weight"):
        cr.backward(params, cache, Y, sample_weight=0 * w)
    with pytest.raises(ValueError, match="shape"):
        cr.update(params, params[::-1], learning_rate=0.1)
    with pytest.raises(ValueError, match="layer_sizes"):
        cr.init_params([3])
    with pytest.raises(ValueError, match="layer_sizes"):
        cr.init_params([3, 0, 1])
    with pytest.raises(ValueError, match=r"^init 'xavier' is unknown"):
        cr.init_params([3, 1], init="xavier")
    with pytest.raises(TypeError, match="float16"):
        cr.init_params([3, 1], dtype="float16")
    with pytest.raises(TypeError, match=r"^layer_sizes\[1\] must be an integer, got 1\.0$"):
        cr.init_params([3, 1.0])
    with pytest.raises(TypeError, match=r"^init must be a string, got None$"):
        cr.init_params([3, 1], init=None)
    with pytest.raises(
        TypeError, match=r"^loss must be a name such as 'huber' or a loss object such as Huber\(\), got None$"
    ):
        cr.forward(params, X, activation="tanh", loss=None)
    with pytest.raises(TypeError, match=r"^n_threads must be an integer, got 1\.5$"):
        cr.forward(params, X, **forward, n_threads=1.5)
    with pytest.raises(TypeError, match=r"^l2 must be a number, got 'a'$"):
        cr.cost(params, cache, Y, l2="a")
    with pytest.raises(TypeError, match=r"^l2 must be a number, got None$"):
        cr.backward(params, cache, Y, l2=None)
    with pytest.raises(TypeError, match=r"^learning_rate must be a number, got '0\.1'$"):
        cr.update(params, params, learning_rate="0.1")


@pytest.mark.parametrize("labels", [[0, 1, 3], [0, -1, 1], [0.0, 0.5, 1.0], [0, 1, np.nan]])
def test_invalid_class_numbers_raise_value_error(labels):
    params, X, _, _ = reference.problem([2, 3], 3, "softmax_cross_entropy")
    cache = cr.forward(params, X, loss="softmax_cross_entropy")
    with pytest.raises(ValueError, match="class"):
        cr.cost(params, cache, labels)
    with pytest.raises(ValueError, match="class"):
        cr.backward(params, cache, labels)
