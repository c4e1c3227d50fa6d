"""Network: views, copies, predictions and derivatives."""

import copy
import gc
import pickle

import numpy as np
import pytest
import reference
from models import problem

import chainrule as cr
from chainrule import _core

PAIRS = [(activation, "squared_error") for activation in _core.ACTIVATIONS] + [("tanh", loss) for loss in _core.LOSSES]


def test_weights_and_biases_are_views_of_the_parameters():
    net = cr.Network([3, 4, 2], loss="squared_error", seed=0)
    assert [W.shape for W in net.weights] == [(4, 3), (2, 4)]
    assert [b.shape for b in net.biases] == [(4,), (2,)]
    net.parameters[:] = np.arange(26)
    assert np.array_equal(net.weights[0].ravel(order="F"), np.arange(12))
    assert np.array_equal(net.biases[1], [24, 25])
    net.weights[1][0, 0] = -1
    net.biases[0][:] = 7
    assert net.parameters[16] == -1
    assert net.parameters[12:16].tolist() == [7] * 4
    net.parameters[:] = 0
    net.biases[1][:] = [5, 6]
    assert net.predict(np.ones((1, 3))).tolist() == [[5, 6]]


def test_a_view_keeps_the_parameters_alive():
    view = cr.Network([500, 500, 1], loss="squared_error", seed=3).weights[0]
    gc.collect()
    noise = [cr.Network([500, 500, 1], loss="squared_error", seed=4) for _ in range(5)]
    again = cr.Network([500, 500, 1], loss="squared_error", seed=3)
    assert np.array_equal(view, again.weights[0])
    assert not np.array_equal(view, noise[0].weights[0])


def test_initial_parameters_equal_init_params():
    net = cr.Network([5, 6, 2], activation="relu", loss="squared_error", init="he_normal", seed=9, dtype="float64")
    want = cr.init_params([5, 6, 2], init="he_normal", seed=9, dtype="float64")
    assert np.array_equal(net.parameters, reference.flatten(want))
    defaults = {"relu": "he_uniform", "mish": "he_uniform", "selu": "lecun_uniform", "tanh": "glorot_uniform"}
    for activation, init in defaults.items():
        assert cr.Network([5, 6, 2], activation=activation, loss="squared_error").init == init
    assert cr.Network([5, 6, 6, 2], activation=["selu", "gelu"], loss="squared_error").init == "he_uniform"
    assert cr.Network([5, 2], loss="squared_error").init == "glorot_uniform"


def test_initial_parameters_are_copied():
    layers = cr.init_params([5, 6, 2], seed=9)
    want = reference.flatten(layers)
    net = cr.Network([5, 6, 2], loss="squared_error", init=layers)
    layers[0][0][...] = 0
    assert net.init == "given"
    assert np.array_equal(net.parameters, want)
    with pytest.raises(ValueError, match=r"^init has 1 layers, layer_sizes has 2$"):
        cr.Network([5, 6, 2], loss="squared_error", init=layers[:1])
    with pytest.raises(ValueError, match=r"^init\[1\]: b has shape \(6,\), expected \(2,\)$"):
        cr.Network([5, 6, 2], loss="squared_error", init=[layers[0], (layers[1][0], layers[0][1])])
    first, second = (cr.Network([5, 6, 2], loss="squared_error") for _ in range(2))
    assert not np.array_equal(first.parameters, second.parameters)


def test_attributes_and_repr_describe_the_network():
    net = cr.Network([2, 4, 4, 1], activation="tanh", loss="binary_cross_entropy")
    assert repr(net) == "Network([2, 4, 4, 1], activation='tanh', loss='binary_cross_entropy', dtype='float32')"
    assert repr(cr.Network([2, 1], loss="squared_error")) == "Network([2, 1], loss='squared_error', dtype='float32')"
    assert (net.layer_sizes, net.activations, net.loss_name) == ((2, 4, 4, 1), ("tanh", "tanh"), "binary_cross_entropy")
    assert net.dtype == np.float32


@pytest.mark.parametrize("clone", [copy.copy, copy.deepcopy, lambda net: pickle.loads(pickle.dumps(net))])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_copies_are_equal_and_independent(clone, dtype):
    net, _, X, _, _ = problem([3, 5, 2], 7, dtype=dtype)
    same = clone(net)
    assert repr(same) == repr(net)
    assert np.array_equal(same.predict(X), net.predict(X))
    same.parameters[:] = 0
    assert net.parameters.all()
    assert same.weights[0].sum() == 0


class Named(cr.Network):
    def __init__(self, names):
        super().__init__([len(names), 2], loss="squared_error", seed=1)
        self.names = names


@pytest.mark.parametrize("clone", [copy.copy, copy.deepcopy, lambda net: pickle.loads(pickle.dumps(net))])
def test_copies_of_a_subclass_keep_its_attributes(clone):
    net = Named(["a", "b", "c"])
    net.itself = net
    same = clone(net)
    assert type(same) is Named
    assert (same.names, same.init, same.seed) == (["a", "b", "c"], "glorot_uniform", 1)
    assert (same.names is net.names) == (clone is copy.copy)
    assert (same.itself is net) == (clone is copy.copy)
    assert not np.shares_memory(same.parameters, net.parameters)


def test_assignment_to_a_layer_writes_it():
    net = cr.Network([3, 4, 2], loss="squared_error", seed=0)
    _, grads = net.loss_and_gradients(np.ones((1, 3)), np.ones((1, 2)))
    for arrays in (net.weights, net.biases, grads.weights, grads.biases):
        values = np.arange(arrays[1].size, dtype="float32").reshape(arrays[1].shape)
        arrays[1] = values
        arrays[1] -= 2 * values
        assert np.array_equal(arrays[1], -values)
        with pytest.raises(ValueError, match="broadcast"):
            arrays[1] = np.zeros(5)
    assert np.array_equal(net.parameters[-10:], -np.r_[np.arange(8).reshape(2, 4).ravel(order="F"), 0:2])


@pytest.mark.parametrize("seed", [np.int64(3), np.uint8(3), np.array(3)])
def test_a_seed_may_be_any_integer(seed, tmp_path):
    pytest.importorskip("safetensors")
    net = cr.Network([3, 2], loss="squared_error", seed=seed)
    assert (type(net.seed), net.seed) == (int, 3)
    net.save(tmp_path / "net.safetensors")
    same = cr.load(tmp_path / "net.safetensors")
    assert (same.seed, same.parameters.tolist()) == (3, net.parameters.tolist())
    assert np.array_equal(cr.init_params([3, 2], seed=seed)[0][0], cr.init_params([3, 2], seed=3)[0][0])
    assert cr.Network([3, 2], loss="squared_error", seed=2**64 - 1).seed == 2**64 - 1


@pytest.mark.parametrize("seed", [-1, 2**64])
def test_seed_out_of_range_raises(seed):
    message = rf"^seed is {seed}, expected from 0 to {2**64 - 1}$"
    for call in (
        lambda: cr.Network([3, 2], loss="squared_error", seed=seed),
        lambda: cr.init_params([3, 2], seed=seed),
        lambda: cr.Network([3, 2], loss="squared_error").fit(np.ones((4, 3)), np.ones((4, 2)), seed=seed),
    ):
        with pytest.raises(ValueError, match=message):
            call()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"loss": None}, r"^loss must be a name such as 'huber' or a loss object such as Huber\(\), got None$"),
        ({"layer_sizes": [3, 2.0, 1]}, r"^layer_sizes\[1\] must be an integer, got 2\.0$"),
        ({"layer_sizes": 3}, r"^layer_sizes must be a sequence of integers, got 3$"),
        ({"activation": 3}, r"^activation must be a name or a sequence of names, got 3$"),
        ({"activation": ["relu", 3]}, r"^activation\[1\] must be a string, got 3$"),
        ({"init": 3}, r"^init must be a name or a list of \(W, b\), got 3$"),
        ({"init": [3]}, r"^init\[0\] must be \(W, b\), got int$"),
        ({"layer_sizes": [3, 1], "init": [([[1j, 0, 0]], [0])]}, "complex128.*float32"),
        ({"seed": 1.5}, r"^seed must be an integer, got 1\.5$"),
    ],
)
def test_wrong_types_raise_and_are_named(options, message):
    with pytest.raises(TypeError, match=message):
        cr.Network(**{"layer_sizes": [3, 2, 1], "loss": "squared_error", **options})


def test_an_empty_init_is_not_the_default():
    with pytest.raises(ValueError, match=r"^init '' is unknown"):
        cr.Network([3, 1], loss="squared_error", init="")


def test_wrong_types_of_global_settings_raise_and_are_named():
    with pytest.raises(TypeError, match=r"^n_threads must be an integer, got 1\.5$"):
        cr.set_num_threads(1.5)
    with pytest.raises(TypeError, match=r"^instruction set must be a string, got 3$"):
        cr.set_isa(3)


@pytest.mark.parametrize("m", [1, 2, 70, 9001])  # a row, few, many, more than any block of rows
@pytest.mark.parametrize(("activation", "loss"), PAIRS)
def test_loss_and_gradients_equal_the_oracle(isa, threads, activation, loss, m):
    net, params, X, Y, w = problem([6, 17, 9, 3], m, loss, activation)
    activations = [activation] * 2
    z, a = reference.forward(params, X, activations, loss)
    want, dX = reference.backward(params, z, a, Y, activations, loss, w, 0.1)
    J, grads = net.loss_and_gradients(X, Y, w, 0.1, inputs=True)
    assert reference.error(net.logits(X), z[-1]) <= 1e-12
    assert reference.error(net.predict(X), a[-1]) <= 1e-12
    assert reference.error(J, reference.cost(params, z[-1], Y, loss, w, 0.1)) <= 1e-12
    assert reference.error(net.loss(X, Y, w, 0.1), J) <= 1e-14
    assert reference.error(grads.parameters, reference.flatten(want)) <= 1e-12
    assert reference.error(grads.inputs, dX) <= 1e-12
    for got, (dW, db) in zip(zip(grads.weights, grads.biases, strict=True), want, strict=True):
        assert reference.error(got[0], dW) <= 1e-12
        assert reference.error(got[1], db) <= 1e-12
    assert np.shares_memory(grads.weights[1], grads.parameters)
    assert net.loss_and_gradients(X, Y)[1].inputs is None


def test_network_and_array_functions_give_the_same_bits():
    net, params, X, Y, w = problem([6, 17, 3], 70, "softmax_cross_entropy")
    cache = cr.forward(params, X, activation="tanh", loss="softmax_cross_entropy")
    J, grads = net.loss_and_gradients(X, Y, w, 0.1)
    assert reference.error(net.predict(X), cache.a[-1]) <= 1e-14
    assert reference.error(J, cr.cost(params, cache, Y, w, 0.1)) <= 1e-14
    assert reference.error(grads.parameters, reference.flatten(cr.backward(params, cache, Y, w, 0.1))) <= 1e-14


@pytest.mark.parametrize("sizes", [[30, 1], [3000, 1], [40, 1, 1], [30, 5], [70, 20, 1]])
@pytest.mark.parametrize("rows", [1, 5, 300])
def test_layout_of_X_changes_no_bit(sizes, rows):
    net = cr.Network(sizes, loss="squared_error", seed=0)
    X = np.random.default_rng(0).standard_normal((rows, sizes[0]), dtype=np.float32)
    want = net.predict(X)
    for same in (np.asfortranarray(X), np.repeat(X, 2, axis=1)[:, ::2], np.flip(np.flip(X).copy())):
        assert np.array_equal(net.predict(same), want)
