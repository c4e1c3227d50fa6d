"""Arrays of every layout and type, into every function: the right result or a clear error, never a crash."""

import tempfile

import numpy as np
import pytest
import reference
from models import network

import chainrule as cr

LOSS = "binary_cross_entropy"
FORWARD = {"activation": "tanh", "loss": LOSS}


def spread(x):
    """Every second row and third column of a larger array."""
    buffer = np.full([n * step + 1 for n, step in zip(x.shape, (2, 3), strict=False)], np.nan, x.dtype)
    view = buffer[tuple(slice(1, None, step) for step in (2, 3)[: x.ndim])][tuple(map(slice, x.shape))]
    view[...] = x
    return view


def backwards(x):
    return np.flip(np.ascontiguousarray(np.flip(x)))


def misaligned(x):
    view = np.zeros(x.nbytes + 1, np.uint8)[1:].view(x.dtype).reshape(x.shape)
    view[...] = x
    assert not view.flags.aligned
    return view


def read_only(x):
    x = x.copy()
    x.flags.writeable = False
    return x


def memory_map(x):
    with tempfile.TemporaryFile() as file:
        view = np.memmap(file, x.dtype, "w+", shape=x.shape)
    view[...] = x
    return view


LAYOUTS = {
    "C": np.ascontiguousarray,
    "Fortran": np.asfortranarray,
    "strided": spread,
    "negative strides": backwards,
    "misaligned": misaligned,
    "big-endian": lambda x: x.astype(x.dtype.newbyteorder(">")),
    "read-only": read_only,
    "slice of columns": lambda x: np.concatenate([x, x], axis=-1)[..., : x.shape[-1]],
    "memory map": memory_map,
    "list": lambda x: x.tolist(),
}


def with_params(call):
    return lambda params, X, Y, w: call(params, cr.forward(params, X, **FORWARD), Y, w)


def with_network(call):
    def run(params, X, Y, w):
        net = network([tuple(np.array(x, float) for x in pair) for pair in params], "tanh", LOSS)
        return call(net, X, Y, w)

    return run


def fitted(net, X, Y, w, **options):
    net.fit(X, Y, sample_weight=w, epochs=2, batch_size=8, validation=(X, Y, w), **options)
    return net.parameters


# Each takes (params, X, Y, w) and returns one array or number.
FUNCTIONS = {
    "forward": with_params(lambda params, cache, Y, w: np.hstack([*cache.z, *cache.a])),
    "cost": with_params(lambda params, cache, Y, w: cr.cost(params, cache, Y, w, 0.1)),
    "backward": with_params(lambda params, cache, Y, w: reference.flatten(cr.backward(params, cache, Y, w, 0.1))),
    "update": lambda params, X, Y, w: reference.flatten(cr.update(params, params, 0.25)),
    "check_gradients": lambda params, X, Y, w: (
        cr.check_gradients(params, X, Y, sample_weight=w, **FORWARD).relative_error
    ),
    "logits": with_network(lambda net, X, Y, w: net.logits(X)),
    "predict": with_network(lambda net, X, Y, w: net.predict(X)),
    "loss": with_network(lambda net, X, Y, w: net.loss(X, Y, w, 0.1)),
    "loss_and_gradients": with_network(lambda net, X, Y, w: net.loss_and_gradients(X, Y, w, 0.1)[1].parameters),
    "inputs": with_network(lambda net, X, Y, w: net.loss_and_gradients(X, Y, w, inputs=True)[1].inputs),
    "fit": with_network(fitted),
}
TAKES_Y = ["cost", "backward", "check_gradients", "loss", "loss_and_gradients", "inputs", "fit"]
TAKES_PARAMS = ["forward", "cost", "backward", "update", "check_gradients"]


@pytest.fixture
def arguments():
    return reference.problem([5, 7, 2], 19, LOSS)


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("name", FUNCTIONS)
def test_every_layout_gives_the_result_of_a_c_ordered_array(name, layout, arguments, isa):
    params, X, Y, w = arguments
    function, change = FUNCTIONS[name], LAYOUTS[layout]
    want = function(params, X, Y, w)
    assert np.array_equal(function(params, change(X), Y, w), want)
    assert np.array_equal(function(params, X, change(Y), w), want)
    assert np.array_equal(function(params, X, Y, change(w)), want)
    assert np.array_equal(function([(change(W), change(b)) for W, b in params], X, Y, w), want)


@pytest.mark.parametrize("dtype", ["float32", "float64", "float16", "int8", "uint8", "int64", "uint64", "bool"])
@pytest.mark.parametrize("name", FUNCTIONS)
def test_every_real_dtype_is_accepted(name, dtype, arguments):
    params, X, Y, w = arguments
    X, Y, w = ((abs(x) > 0.7).astype(dtype) for x in (X, Y, w))
    want = FUNCTIONS[name](params, X.astype("float64"), Y.astype("float64"), w.astype("float64"))
    assert np.array_equal(FUNCTIONS[name](params, X, Y, w), want)


TYPES = {"float32": "float32", "float64": "float64", "int64": "float32", "float16": "float32"}


@pytest.mark.parametrize(("given", "result"), TYPES.items())
def test_results_have_the_dtype_of_the_parameters(given, result):
    params = [(np.ones((2, 3), given), np.ones(2, given))]
    cache = cr.forward(params, np.ones((4, 3)), loss="squared_error")
    assert {x.dtype for x in [*cache.z, *cache.a]} == {np.dtype(result)}
    assert {x.dtype for x in cr.update(params, params, 0.5)[0]} == {np.dtype(result)}


REFUSED = {
    "complex": lambda x: x.astype(complex),
    "object": lambda x: x.astype(object),
    "text": lambda x: x.astype(str),
    "datetime": lambda x: x.astype("int64").astype("M8[s]"),
    "record": lambda x: np.zeros(x.shape, [("a", float)]),
    "None": lambda x: None,
    "list with None": lambda x: np.where(np.arange(x.size).reshape(x.shape), x, None).tolist(),
}


@pytest.mark.parametrize("kind", REFUSED)
@pytest.mark.parametrize("name", [name for name in FUNCTIONS if name != "update"])
def test_other_types_raise_type_error(name, kind, arguments):
    params, X, Y, w = arguments
    function, change = FUNCTIONS[name], REFUSED[kind]
    message = {"complex": "complex", "object": "object", "datetime": "datetime", "None": "None|object"}.get(kind)
    with pytest.raises(TypeError, match=message):
        function(params, change(X), Y, w)
    if name in TAKES_Y:
        with pytest.raises(TypeError, match=message):
            function(params, X, change(Y), w)
        if kind != "None":  # no weights
            with pytest.raises(TypeError, match=message):
                function(params, X, Y, change(w))


@pytest.mark.parametrize("kind", [kind for kind in REFUSED if kind not in ("text", "list with None")])
@pytest.mark.parametrize("name", TAKES_PARAMS)
def test_other_types_of_parameters_raise_type_error(name, kind, arguments):
    params, X, Y, w = arguments
    for i in (0, 1):
        changed = [tuple(REFUSED[kind](x) if j == i else x for j, x in enumerate(pair)) for pair in params]
        with pytest.raises(TypeError):
            FUNCTIONS[name](changed, X, Y, w)


WRONG_SHAPES = {
    "0-d": lambda x: np.float64(1.0),
    "a dimension too few": lambda x: x[0],
    "3-d": lambda x: x.reshape(*x.shape, *[1] * (3 - x.ndim)),
    "(n, 0)": lambda x: np.zeros((len(x), 0)),
    "(0, 0)": lambda x: np.zeros((0, 0)),
    "a row too few": lambda x: x[1:],
}


@pytest.mark.parametrize("kind", WRONG_SHAPES)
@pytest.mark.parametrize("name", [name for name in FUNCTIONS if name != "update"])
def test_wrong_shapes_raise_value_error(name, kind, arguments):
    params, X, Y, w = arguments
    function, change = FUNCTIONS[name], WRONG_SHAPES[kind]
    if kind != "a row too few":
        with pytest.raises(ValueError, match=r"^(validation: )?X has|^y has 19 rows, X has 0"):
            function(params, change(X), Y, w)
    if name in TAKES_Y:
        with pytest.raises(ValueError, match=r"^y has"):
            function(params, X, change(Y), w)
        with pytest.raises(ValueError, match=r"^sample_weight has shape"):
            function(params, X, Y, change(w))
        with pytest.raises(ValueError, match=r"^y has 19 rows, X has 18"):
            function(params, X[1:], Y, w[1:])


@pytest.mark.parametrize("name", [name for name in TAKES_PARAMS if name != "update"])
@pytest.mark.parametrize(
    "params",
    [
        [],
        [(np.ones((2, 5)), np.ones(3))],
        [(np.ones((3, 5)), np.ones(3)), (np.ones((2, 4)), np.ones(2))],
        [(np.ones(5), np.ones(1))],
        [(np.ones((2, 5)), np.ones((2, 1)))],
        [(np.ones((0, 5)), np.ones(0))],
    ],
)
def test_parameters_of_inconsistent_shapes_raise_value_error(name, params, arguments):
    _, X, Y, w = arguments
    with pytest.raises(ValueError):  # noqa: PT011
        FUNCTIONS[name](params, X, Y, w)


def test_empty_batches_have_empty_results_and_cannot_be_fitted(arguments):
    params, X, Y, w = arguments
    net = network(params, "tanh", LOSS)
    nothing = X[:0], Y[:0], w[:0]
    penalty = 0.5 * sum((W**2).sum() for W, _ in params)
    assert net.predict(X[:0]).shape == net.logits(X[:0]).shape == (0, 2)
    cache = cr.forward(params, X[:0], **FORWARD)
    assert [z.shape for z in cache.z] == [(0, 7), (0, 2)]
    loss, grads = net.loss_and_gradients(*nothing, l2=1.0, inputs=True)
    for J in (loss, net.loss(*nothing, l2=1.0), cr.cost(params, cache, Y[:0], l2=1.0)):
        assert pytest.approx(penalty, rel=1e-12) == J
    for dW, (again, db), (W, _) in zip(grads.weights, cr.backward(params, cache, Y[:0], l2=1.0), params, strict=True):
        assert np.array_equal(dW, W)
        assert np.array_equal(again, W)
        assert not db.any()
    assert grads.inputs.shape == (0, 5)
    with pytest.raises(ValueError, match="no rows"):
        net.fit(*nothing[:2])


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("order", ["C", "F"])
def test_arrays_of_the_right_type_are_not_copied(dtype, order):
    params, X, _, _ = reference.problem([5, 7, 2], 19, LOSS, dtype=dtype)
    X = read_only(X).copy(order)
    assert np.shares_memory(cr.forward(params, X, **FORWARD).a[0], X)


def test_nan_and_infinity_propagate(arguments):
    params, X, _, _ = arguments
    X[3, 1], X[5, 0] = np.nan, np.inf
    predicted = network(params, "identity", LOSS).predict(X)
    assert np.isnan(predicted[3]).all()
    assert np.isfinite(np.delete(predicted, [3, 5], axis=0)).all()


def parameters_in(buffer):
    """One layer in a flat buffer of 12 numbers."""
    return [(buffer[:9].reshape(3, 3), buffer[9:])]


@pytest.mark.parametrize("shift", range(-5, 6))
def test_update_between_overlapping_arrays(shift):
    for overlapped in (0, 1):  # the parameters, the gradients
        buffer = np.random.default_rng(0).normal(size=12 + 10)
        arguments = [parameters_in(np.arange(12.0)), parameters_in(np.arange(12.0))]
        arguments[overlapped] = parameters_in(buffer[5:17])
        params, grads = map(reference.flatten, arguments)
        out = parameters_in(buffer[5 + shift : 17 + shift])
        cr.update(*arguments, 0.5, out=out)
        assert np.array_equal(reference.flatten(out), params - 0.5 * grads)  # one rounding: times 0.5 is exact


@pytest.mark.parametrize("layout", [name for name in LAYOUTS if name not in ("list", "read-only")])
def test_update_into_any_layout(layout, arguments):
    params = arguments[0]
    want = reference.flatten(cr.update(params, params, 0.5))
    out = [tuple(LAYOUTS[layout](x) for x in pair) for pair in params]
    try:
        cr.update(params, params, 0.5, out=out)
    except (TypeError, ValueError):
        assert layout in ("misaligned", "big-endian")
    else:
        assert np.array_equal(reference.flatten(out), want)


@pytest.mark.parametrize(
    ("change", "error"),
    [
        (read_only, ValueError),
        (lambda x: x[:1], ValueError),
        (lambda x: x.astype("float32"), TypeError),
        (lambda x: x.tolist(), TypeError),
    ],
)
def test_update_raises_on_output_arrays_it_cannot_write(change, error, arguments):
    params = arguments[0]
    out = [tuple(np.zeros_like(x) for x in pair) for pair in params]
    out[1] = (out[1][0], change(out[1][1]))
    with pytest.raises(error, match="out"):
        cr.update(params, params, 0.5, out=out)
    assert not reference.flatten(out[:1]).any()
