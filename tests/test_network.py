"""Network: its views, copies, predictions and derivatives."""

import copy
import gc
import pickle

import numpy as np
import pytest
import reference
from models import problem

import chainrule as cr
from chainrule import _core

LOSSES = _core.LOSSES


def test_weights_and_biases_are_views_of_the_parameters():
    net = cr.Network([3, 4, 2], loss="squared_error", seed=0)
    assert [W.shape for W in net.weights] == [(4, 3), (2, 4)]
    assert [b.shape for b in net.biases] == [(4,), (2,)]
    net.parameters[:] = np.arange(26)
    assert np.array_equal(net.weights[0].ravel(), np.arange(12))
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


def test_initial_parameters_are_those_of_init_params():
    net = cr.Network([5, 6, 2], activation="relu", loss="squared_error", init="he_normal", seed=9, dtype="float64")
    want = cr.init_params([5, 6, 2], init="he_normal", seed=9, dtype="float64")
    assert np.array_equal(net.parameters, reference.flatten(want))
    assert cr.Network([5, 6, 2], loss="squared_error").init == "he_uniform"
    assert cr.Network([5, 6, 2], activation="tanh", loss="squared_error").init == "glorot_uniform"
    first, second = (cr.Network([5, 6, 2], loss="squared_error") for _ in range(2))
    assert not np.array_equal(first.parameters, second.parameters)


def test_what_it_says_of_itself():
    net = cr.Network([2, 4, 4, 1], activation="tanh", loss="binary_cross_entropy")
    assert repr(net) == "Network([2, 4, 4, 1], activation='tanh', loss='binary_cross_entropy', dtype='float32')"
    assert repr(cr.Network([2, 1], loss="squared_error")) == "Network([2, 1], loss='squared_error', dtype='float32')"
    assert (net.layer_sizes, net.activations, net.loss_name) == ((2, 4, 4, 1), ("tanh", "tanh"), "binary_cross_entropy")
    assert net.dtype == np.float32


@pytest.mark.parametrize("clone", [copy.copy, copy.deepcopy, lambda net: pickle.loads(pickle.dumps(net))])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_copies(clone, dtype):
    net, _, X, _, _ = problem([3, 5, 2], 7, dtype=dtype)
    same = clone(net)
    assert repr(same) == repr(net)
    assert np.array_equal(same.predict(X), net.predict(X))
    same.parameters[:] = 0
    assert net.parameters.all()
    assert same.weights[0].sum() == 0


@pytest.mark.parametrize("m", [1, 2, 70, 9001])  # a row, few, many, more than any block of rows
@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("activation", _core.ACTIVATIONS)
def test_loss_and_gradients(isa, threads, activation, loss, m):
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


def test_the_array_functions_say_the_same():
    net, params, X, Y, w = problem([6, 17, 3], 70, "softmax_cross_entropy")
    cache = cr.forward(params, X, activation="tanh", loss="softmax_cross_entropy")
    J, grads = net.loss_and_gradients(X, Y, w, 0.1)
    assert reference.error(net.predict(X), cache.a[-1]) <= 1e-14
    assert reference.error(J, cr.cost(params, cache, Y, w, 0.1)) <= 1e-14
    assert reference.error(grads.parameters, reference.flatten(cr.backward(params, cache, Y, w, 0.1))) <= 1e-14
