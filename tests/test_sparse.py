"""Sparse X in any form gives the results of the dense X and is never made dense; malformed matrices raise."""

from types import SimpleNamespace

import numpy as np
import pytest
import reference
import scipy.sparse as sp
from models import assert_fit_many_equals_fits, network
from processes import run
from test_invariance import ACTIVATION
from test_memory import needs_proc

import chainrule as cr

SIZES = {"one layer, one output": [60, 1], "one layer": [60, 7], "ragged": [40, 33, 5, 1], "wide": [300, 150, 3]}
LOSS = {1: "binary_cross_entropy", 3: "softmax_cross_entropy", 7: "squared_error"}


def problem(sizes, m, dtype="float64", density=0.1):
    """A network, X in both forms, Y and weights; some rows and columns are empty."""
    loss = LOSS[sizes[-1]]
    params, X, Y, w = reference.problem(sizes, m, loss, dtype=dtype)
    rng = np.random.default_rng(3)
    X = np.where(rng.random(X.shape) < density, X, 0).astype(dtype)
    X[0] = 0
    X[:, sizes[0] // 2] = 0
    return network(params, ACTIVATION[loss], loss), sp.csr_array(X), X, Y, w


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("sizes", SIZES.values(), ids=SIZES)
@pytest.mark.parametrize("m", [5, 31, 300, 700])
def test_sparse_equals_dense(isa, threads, sizes, m, dtype):
    net, S, X, Y, w = problem(sizes, m, dtype)
    assert np.array_equal(net.predict(S), net.predict(X))
    assert np.array_equal(net.logits(S), net.logits(X))
    assert net.loss(S, Y, w, 0.1) == net.loss(X, Y, w, 0.1)
    got, sparse = net.loss_and_gradients(S, Y, w, 0.1)
    want, dense = net.loss_and_gradients(X, Y, w, 0.1)
    assert got == want
    small = net.parameters.size <= 16384
    if m <= 32 or not small:  # one chain over the rows of a leaf in both; the dense one of a small network has several
        assert np.array_equal(sparse.parameters, dense.parameters)
    else:
        assert reference.error(sparse.parameters, dense.parameters) < 50 * np.finfo(dtype).eps


@pytest.mark.parametrize("settings", [{}, {"batch_size": 32}, {"batch_size": 5}, {"optimizer": cr.SGD(momentum=0.9)}])
@pytest.mark.parametrize("sizes", SIZES.values(), ids=SIZES)
def test_training_equals_dense(sizes, settings):
    net, S, X, Y, w = problem(sizes, 90)
    other, *_ = problem(sizes, 90)
    settings = {"epochs": 4, "l2": 0.01, "sample_weight": w, "seed": 5, **settings}
    history = net.fit(S, Y, validation=(S[:40], Y[:40]), **settings)
    expected = other.fit(X, Y, validation=(X[:40], Y[:40]), **settings)
    assert reference.error(net.parameters, other.parameters) < 1e-10
    assert reference.error(history.loss, expected.loss) < 1e-10
    assert reference.error(history.validation, expected.validation) < 1e-10


def test_sparse_and_dense_validation_give_the_same_bits():
    net, S, X, Y, _ = problem([40, 33, 5, 1], 90)
    other, *_ = problem([40, 33, 5, 1], 90)
    one = net.fit(S, Y, epochs=2, batch_size=32, validation=(X, Y), seed=1)
    two = other.fit(S, Y, epochs=2, batch_size=32, validation=(S, Y), seed=1)
    assert np.array_equal(net.parameters, other.parameters)
    assert np.array_equal(one.validation, two.validation)


def test_fit_many_shares_a_sparse_matrix():
    _, S, _, Y, _ = problem([40, 33, 5, 1], 90)
    assert_fit_many_equals_fits(lambda: problem([40, 33, 5, 1], 90)[0], S, Y)


def test_every_sparse_format_gives_the_same_prediction():
    net, S, X, _, _ = problem([40, 33, 5, 1], 20)
    want = net.predict(X)
    forms = [sp.csr_matrix(X), sp.csc_array(X), sp.coo_array(X), sp.lil_matrix(X), sp.bsr_array(X), S[::-1][::-1]]
    for form in forms:
        assert np.array_equal(net.predict(form), want)
    whole = sp.csr_array(np.round(100 * X).astype(np.int16))
    assert np.array_equal(net.predict(whole), net.predict(whole.toarray()))
    assert np.array_equal(net.predict(S.astype(np.float32)), net.predict(X.astype(np.float32)))
    assert net.predict(S[:0]).shape == (0, 1)
    assert np.array_equal(net.predict(sp.csr_array((3, 40))), net.predict(np.zeros((3, 40))))
    long = sp.csr_array(X)
    long.indices, long.indptr = long.indices.astype(np.int64), long.indptr.astype(np.int64)
    assert np.array_equal(net.predict(long), want)


def test_unsorted_and_duplicate_columns_are_summed():
    net, *_ = problem([40, 33, 5, 1], 3)
    X = sp.csr_array((np.array([1.0, 2.0, 4.0, 8.0]), np.array([7, 3, 7, 0]), np.array([0, 3, 3, 4])), shape=(3, 40))
    indices = X.indices.copy()
    assert np.array_equal(net.predict(X), net.predict(X.toarray()))
    assert np.array_equal(X.indices, indices), "the caller's matrix stays as it is"


def csr(indptr, indices, data, shape=(2, 40)):
    """A matrix that SciPy might refuse to make."""
    arrays = {"indptr": np.asarray(indptr), "indices": np.asarray(indices), "data": np.asarray(data)}
    return SimpleNamespace(format="csr", shape=shape, tocsr=None, **arrays)


BROKEN = {
    "no order": csr([0, 2, 1], [0, 1], [1.0, 2.0]),
    "negative": csr([-1, 0, 1], [0, 1], [1.0, 2.0]),
    "beyond the end": csr([0, 1, 3], [0, 1], [1.0, 2.0]),
    "too few values": csr([0, 1, 2], [0, 1], [1.0]),
    "too few ends": csr([0, 2], [0, 1], [1.0, 2.0]),
    "column too large": csr([0, 1, 2], [0, 40], [1.0, 2.0]),
    "column negative": csr([0, 1, 2], [-1, 1], [1.0, 2.0]),
    "column beyond int32": csr([0, 1, 2], [0, 2**32], [1.0, 2.0]),
    "columns that are not integers": csr([0, 1, 2], [0.0, 1.0], [1.0, 2.0]),
    "ends that are not integers": csr([0.0, 1.0, 2.0], [0, 1], [1.0, 2.0]),
    "complex": csr([0, 1, 2], [0, 1], [1.0, 2.0j]),
    "a table of values": csr([0, 1, 2], [0, 1], [[1.0], [2.0]]),
    "one dimension": csr([0, 1, 2], [0, 1], [1.0, 2.0], shape=(40,)),
    "columns beyond int32": csr([0, 1, 2], np.uint32([0, 2**31]), [1.0, 2.0]),
    "columns beyond int64": csr([0, 1, 2], np.uint64([0, 2**63]), [1.0, 2.0]),
    "rows that end beyond int64": csr(np.uint64([0, 1, 2**63]), [0, 1], [1.0, 2.0]),
    "another width": csr([0, 1, 2], [0, 1], [1.0, 2.0], shape=(2, 39)),
}


@pytest.mark.parametrize("X", BROKEN.values(), ids=BROKEN)
def test_malformed_matrices_raise(X):
    net, *_ = problem([40, 33, 5, 1], 3)
    before = net.parameters.copy()
    for use in (net.predict, net.logits, lambda X: net.loss(X, np.ones(2)), lambda X: net.fit(X, np.ones(2))):
        with pytest.raises((ValueError, TypeError), match=r"X\b"):
            use(X)
    assert np.array_equal(net.parameters, before)


def test_input_gradients_and_bf16_of_sparse_inputs_raise():
    net, S, _, Y, _ = problem([60, 7], 20, "float32")
    with pytest.raises(ValueError, match="inputs=True is not available for a sparse X"):
        net.loss_and_gradients(S, Y, inputs=True)
    with pytest.raises(ValueError, match="bf16"):
        net.fit(S, Y, precision="bf16")


@needs_proc
def test_sparse_input_is_never_converted_to_dense():
    taken, parameters = map(int, run("memory.sparse_fit").split())
    # A dense X would take 4 GB, and a dense batch of 64 rows 13 MB. The full batch of 20,000 rows has 40 leaves, so up
    # to six partial sums are kept at a time.
    assert taken < (6 + 6) * parameters + 8e6
