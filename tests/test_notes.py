"""The lecture notes' two-layer network: its training, with examples in rows or columns, and two misprints."""

import numpy as np
import pytest
import reference

import chainrule as cr

FORWARD = {"activation": "tanh", "loss": "binary_cross_entropy"}


@pytest.fixture
def notes():
    """Data with one example per column, as in the notes: X (n0, m), Y (1, m)."""
    random = np.random.default_rng(5)
    X = random.normal(size=(2, 300))
    return X, (X[0] * X[1] > 0).astype(float)[None]


def test_two_hundred_iterations_equal_the_oracle_in_both_layouts(isa, notes):
    X, Y = notes
    start = cr.init_params([2, 16, 1], seed=0, dtype="float64")
    want, losses, _ = reference.train(
        start, X.T, Y.T, ["tanh"], "binary_cross_entropy", reference.sgd, 200, learning_rate=1.0
    )
    assert losses[-1] < 0.5 * losses[0]
    for rows, targets in ((np.ascontiguousarray(X.T), np.ascontiguousarray(Y.T)), (X.T, Y.T)):
        params = start
        for _ in range(200):
            cache = cr.forward(params, rows, **FORWARD)
            assert np.shares_memory(cache.a[0], rows)  # the columns are read in place
            params = cr.update(params, cr.backward(params, cache, targets), learning_rate=1.0)
        assert reference.error(reference.flatten(params), reference.flatten(want)) <= 1e-10
        assert cr.cost(params, cr.forward(params, rows, **FORWARD), targets) < losses[-1]


def differences(params, X, Y, layer, which):
    """The derivatives with respect to one array, from the definition."""
    array, h = params[layer][which], 1e-6
    result = np.empty_like(array)
    for i in np.ndindex(array.shape):
        costs = []
        for step in (h, -h):
            changed = [tuple(x.copy() for x in pair) for pair in params]
            changed[layer][which][i] += step
            costs.append(cr.cost(changed, cr.forward(changed, X.T, **FORWARD), Y.T))
        result[i] = (costs[0] - costs[1]) / (2 * h)
    return result


def test_two_equations_as_printed_contradict_finite_differences(notes):
    X, Y = notes
    m = X.shape[1]
    params = cr.init_params([2, 3, 1], seed=0, dtype="float64")
    cache = cr.forward(params, X.T, **FORWARD)
    (dW1, db1), _ = cr.backward(params, cache, Y.T)
    W2 = params[1][0]
    A1, A2 = cache.a[1].T, cache.a[2].T
    dZ2 = A2 - Y
    dZ1 = W2.T @ dZ2 * (1 - A1**2)

    # "dW[1] = (1/m) dZ[2]" does not even have the shape of W[1]; the chain rule gives (1/m) dZ[1] Xᵀ.
    true = differences(params, X, Y, layer=0, which=0)
    assert (dZ2 / m).shape == (1, 300) != true.shape == (3, 2)
    assert reference.error(dZ1 @ X.T / m, true) < 1e-6
    assert reference.error(dW1, true) < 1e-6

    # "db[1] = (1/m) Σ dZ[1]", summed over all elements, is one number for three units; only examples must be summed.
    true = differences(params, X, Y, layer=0, which=1)
    printed = dZ1.sum() / m
    assert printed.shape == () != true.shape == (3,)
    assert min(abs(printed - true)) > 0.01 * max(abs(true))
    assert reference.error(dZ1.sum(axis=1) / m, true) < 1e-6
    assert reference.error(db1, true) < 1e-6
