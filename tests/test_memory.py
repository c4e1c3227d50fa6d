"""Input and settings that could lead a careless implementation outside of its memory, or a process to its end."""

import subprocess
import sys

import numpy as np
import pytest
import reference
from models import problem

import chainrule as cr


@pytest.mark.parametrize("m", [2, 40, 700])
def test_rows_that_are_one_row_in_memory(isa, m):
    net, params, X, Y, _ = problem([5, 20, 2], m, "squared_error")
    same = np.broadcast_to(X[0], X.shape)
    dense = np.ascontiguousarray(same)
    assert same.strides[0] == 0
    want, grads = net.loss_and_gradients(dense, Y, inputs=True)
    got, got_grads = net.loss_and_gradients(same, Y, inputs=True)
    assert (got, net.loss(same, Y)) == (want, net.loss(dense, Y))
    assert np.array_equal(got_grads.parameters, grads.parameters)
    assert np.array_equal(got_grads.inputs, grads.inputs)
    assert np.array_equal(net.predict(same), net.predict(dense))
    cache = cr.forward(params, same, activation="tanh", loss="squared_error")
    flat = reference.flatten(cr.backward(params, cache, Y))
    assert np.array_equal(flat, grads.parameters)
    net.fit(same, Y, epochs=3)
    other, *_ = problem([5, 20, 2], m, "squared_error")
    other.fit(dense, Y, epochs=3)
    assert np.array_equal(net.parameters, other.parameters)


@pytest.mark.skipif(len(cr.available_isas()) < 2, reason="this CPU has one instruction set")
def test_the_instruction_set_stays_while_a_fit_runs():
    net, _, X, Y, _ = problem([5, 20, 2], 40, "squared_error")
    before = cr.get_isa()
    other = next(name for name in cr.available_isas() if name != before)
    with pytest.raises(RuntimeError, match="instruction set cannot change"):
        net.fit(X, Y, callbacks=[lambda logs: cr.set_isa(other)])
    assert cr.get_isa() == before
    cr.set_isa(other)  # afterwards it may
    cr.set_isa(before)


@pytest.mark.parametrize("pair", [np.ones((2, 5)), "Wb", {0: np.ones((2, 5)), 1: np.ones(2)}, 3, None])
def test_what_is_no_pair_of_arrays_is_refused_or_read(pair):
    with pytest.raises((TypeError, ValueError)):
        cr.forward([pair], np.ones((3, 5)), activation="tanh", loss="squared_error")


def test_matrices_and_masked_arrays():
    net = cr.Network([3, 4], loss="softmax_cross_entropy", seed=0)
    X = np.ones((5, 3))
    with pytest.raises(TypeError, match="X is a masked array"):
        net.predict(np.ma.masked_equal(X, 2))
    labels = np.array([[0], [1], [2], [3], [0]])
    old = labels.view(np.matrix)
    assert net.loss(X.view(np.matrix), old) == net.loss(X, labels)


@pytest.mark.parametrize("m", [1, 513, 9000])  # a chain of rows and one more; more than a slab
def test_the_cost_has_the_same_bits_from_arrays_and_network(m):
    net, params, X, Y, w = problem([4, 6, 2], m, "squared_error")
    cache = cr.forward(params, X, activation="tanh", loss="squared_error")
    assert cr.cost(params, cache, Y, w, 0.1) == net.loss(X, Y, w, 0.1) == net.loss_and_gradients(X, Y, w, 0.1)[0]


def test_thousands_of_threads_are_not_started():
    program = (
        "import resource, numpy as np, chainrule as cr\n"
        "resource.setrlimit(resource.RLIMIT_NPROC, (200, 200))\n"
        "net = cr.Network([784, 1000, 10], loss='squared_error', seed=0)\n"
        "print(net.predict(np.ones((4000, 784)), n_threads=100000).shape)\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=120)
    assert (done.returncode, done.stdout.strip()) == (0, "(4000, 10)"), done.stderr
