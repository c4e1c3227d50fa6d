"""Inputs and settings that could make an implementation access wrong memory or end the process; memory of a fit."""

from pathlib import Path

import numpy as np
import pytest
import reference
from models import problem
from processes import run

import chainrule as cr


@pytest.mark.parametrize("m", [2, 40, 700])
def test_broadcast_rows_give_the_same_bits_as_copied_rows(isa, m):
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
def test_instruction_set_cannot_change_during_a_fit():
    net, _, X, Y, _ = problem([5, 20, 2], 40, "squared_error")
    before = cr.get_isa()
    other = next(name for name in cr.available_isas() if name != before)
    with pytest.raises(RuntimeError, match="cannot change the instruction set"):
        net.fit(X, Y, callbacks=[lambda logs: cr.set_isa(other)])
    assert cr.get_isa() == before
    cr.set_isa(other)  # afterwards it may
    cr.set_isa(before)


@pytest.mark.parametrize("pair", [np.ones((2, 5)), "Wb", {0: np.ones((2, 5)), 1: np.ones(2)}, 3, None])
def test_layers_that_are_not_pairs_of_arrays_raise(pair):
    with pytest.raises((TypeError, ValueError)):
        cr.forward([pair], np.ones((3, 5)), activation="tanh", loss="squared_error")


def test_masked_arrays_raise_and_numpy_matrices_are_accepted():
    net = cr.Network([3, 4], loss="softmax_cross_entropy", seed=0)
    X = np.ones((5, 3))
    with pytest.raises(TypeError, match="X is a masked array"):
        net.predict(np.ma.masked_equal(X, 2))
    labels = np.array([[0], [1], [2], [3], [0]])
    old = labels.view(np.matrix)
    assert net.loss(X.view(np.matrix), old) == net.loss(X, labels)


@pytest.mark.parametrize("m", [1, 513, 9000])  # one row; a leaf plus one row; more than a slab
def test_the_cost_has_the_same_bits_from_arrays_and_network(m):
    net, params, X, Y, w = problem([4, 6, 2], m, "squared_error")
    cache = cr.forward(params, X, activation="tanh", loss="squared_error")
    assert cr.cost(params, cache, Y, w, 0.1) == net.loss(X, Y, w, 0.1) == net.loss_and_gradients(X, Y, w, 0.1)[0]


def test_thousands_of_threads_are_not_started():
    assert run("memory.thousands_of_threads") == "(4000, 10)\n"


needs_proc = pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="needs /proc")


@needs_proc
@pytest.mark.parametrize(
    ("batch", "classes", "bytes_per_row"),
    [
        pytest.param(None, False, 0, id="all-rows"),
        pytest.param(256, False, 8, id="their-order"),
        pytest.param(256, True, 12, id="class-numbers"),  # checked as float64 and kept as int32; then the order
    ],
)
def test_memory_of_a_fit_on_a_million_rows(batch, classes, bytes_per_row):
    rows = 1_000_000
    taken, _ = map(int, run("memory.fit", rows, batch, [16], classes, ["Adam", {}], {}).split())
    assert taken <= bytes_per_row * rows + 4e6


@needs_proc
@pytest.mark.parametrize(
    ("optimizer", "moments"),
    [(["SGD", {}], 0), (["SGD", {"momentum": 0.9}], 1), (["Adam", {}], 2)],
    ids=["sgd", "momentum", "adam"],
)
@pytest.mark.parametrize("batch", [256, 1000])  # 4 and 16 million values: activations and their gradients
@pytest.mark.parametrize("clipped", [False, True])
def test_memory_of_a_fit_of_many_parameters(optimizer, moments, batch, clipped):
    more = {"clip_norm": 1.0} if clipped else {}
    taken, parameters = map(int, run("memory.fit", 1000, batch, [4000, 4000], False, optimizer, more).split())
    weights = 2  # one layout each for the forward and the backward product
    # one slab if all gradients are kept in an array, otherwise the whole batch
    rows = min(batch, 512) if clipped else batch
    assert taken <= (weights + moments + clipped) * parameters + rows * 16_068 * 4 + 12e6


@needs_proc
@pytest.mark.parametrize(("mode", "total"), [("r", 0), ("r+", 0), ("c", 1200)])
def test_fit_on_a_mapped_file_releases_its_pages(tmp_path, mode, total):
    taken, found = map(float, run("memory.mapped_fit", str(tmp_path / "x.bin"), mode).split())
    assert found == total  # changes to a private map are kept
    assert taken < 200e6 or mode == "c"
