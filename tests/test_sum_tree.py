"""The order of sums over rows, compared with NumPy: a batch's gradient is a binary tree of sums of 512 rows each.

The gradient is that of a weighted mean, so a leaf alone has a different factor, 1 / (sum of its weights), than the same
leaf within a batch. The weights here are powers of two that give every leaf a sum of 512 or 1,024, and the batch 512
times a power of two. Then the factors are powers of two too, and the two results for a leaf differ exactly by such a
factor.
"""

import functools

import numpy as np
import pytest
import reference
import scipy.sparse as sp
from models import network

import chainrule as cr

LEAF = 512
ROWS = [512, 513, 1024, 1536, 1537, 2048, 2560, 3000, 3584, 5000, 10_000, 20_000]
# name: (layer sizes, how sparse X is or 0 for dense); networks with up to 16,384 parameters count as small: they use
# another layout and shorter chains
NETWORKS = {
    "dense": ([40, 200, 60, 3], 0),
    "small": ([20, 33, 5, 2], 0),
    "small, one output": ([7, 20, 1], 0),
    "sparse": ([300, 60, 3], 8),
    "an entry a row": ([600, 30, 1], 300),
    "small sparse": ([90, 20, 1], 8),
}


def powers_of_two(count, total):
    """Return this number of powers of two with this sum, which is a power of two."""
    powers = [total]
    while len(powers) < count:
        half = powers.pop(0) / 2
        powers += [half, half]
    return powers


def weights_for(m):
    leaves = [min(LEAF, m - first) for first in range(0, m, LEAF)]
    doubled = 2 ** (len(leaves) - 1).bit_length() - len(leaves)  # this many leaves have twice the weight
    return np.concatenate([powers_of_two(rows, LEAF * (1 + (i < doubled))) for i, rows in enumerate(leaves)])


def tree(leaves):
    """Add arrays as a binary tree; the left branch takes the first 2^k, the largest power of two below their number."""
    if len(leaves) == 1:
        return leaves[0]
    front = 2 ** ((len(leaves) - 1).bit_length() - 1)
    return tree(leaves[:front]) + tree(leaves[front:])


@functools.cache
def problem(name, m, dtype):
    """The parameters and the examples, read-only because every instruction set uses them."""
    sizes, sparse = NETWORKS[name]
    params, X, Y, _ = reference.problem(sizes, m, "squared_error", dtype=dtype)
    if sparse:
        # Columns that occur in all leaves, in some, in one and in none.
        density = np.random.default_rng(1).random(sizes[0]) ** sparse / 2
        X = sp.csr_array(np.where(np.random.default_rng(2).random(X.shape) < density, X, 0).astype(dtype))
    return params, X, Y, weights_for(m)


def gradient_by_network(net, _, X, Y, w, n_threads=1):
    return net.loss_and_gradients(X, Y, w, n_threads=n_threads)[1].parameters


def gradient_by_functions(_, params, X, Y, w, n_threads=1):
    cache = cr.forward(params, X, activation="tanh", loss="squared_error", n_threads=n_threads)
    return reference.flatten(cr.backward(params, cache, Y, w, n_threads=n_threads))


def expected_gradient(gradient, net, params, X, Y, w):
    rows = [slice(first, first + LEAF) for first in range(0, len(w), LEAF)]
    return tree([gradient(net, params, X[s], Y[s], w[s]) * net.dtype.type(w[s].sum() / w.sum()) for s in rows])


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("m", ROWS)
@pytest.mark.parametrize("name", NETWORKS)
def test_gradient_of_a_batch_is_the_tree_of_its_leaves(isa, name, m, dtype):
    params, X, Y, w = problem(name, m, dtype)
    net = network(params)
    expected = expected_gradient(gradient_by_network, net, params, X, Y, w)
    assert gradient_by_network(net, params, X, Y, w, n_threads=3).tobytes() == expected.tobytes()
    # A step of training, of any schedule: p - 1 * gradient is rounded once.
    trained = net.parameters - expected
    net.fit(X, Y, sample_weight=w, optimizer=cr.SGD(learning_rate=1), epochs=1, n_threads=3)
    assert np.array_equal(net.parameters, trained)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("m", [513, 1537, 3584, 10_000])
@pytest.mark.parametrize("name", [name for name, (_, sparse) in NETWORKS.items() if not sparse])
def test_backward_of_a_batch_is_the_tree_of_its_leaves(isa, name, m, dtype):
    params, X, Y, w = problem(name, m, dtype)
    net = network(params)
    expected = expected_gradient(gradient_by_functions, net, params, X, Y, w)
    assert gradient_by_functions(net, params, X, Y, w, n_threads=3).tobytes() == expected.tobytes()


def test_tree_of_up_to_three_leaves_is_the_sequential_sum():
    order = np.random.default_rng(0).normal(size=(7, 1000)).astype(np.float32)
    for n in (1, 2, 3):
        assert np.array_equal(tree(list(order[:n])), functools.reduce(np.add, order[:n]))
    assert not np.array_equal(tree(list(order[:4])), functools.reduce(np.add, order[:4]))
    assert np.array_equal(tree(list(order)), ((order[0] + order[1]) + (order[2] + order[3])) +
                          ((order[4] + order[5]) + order[6]))  # fmt: skip
