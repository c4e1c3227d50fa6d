"""Dropout: the units that a step drops, their effect on the gradients, and what they depend on."""

import numpy as np
import pytest
import reference
import scipy.sparse as sp
from models import network
from test_invariance import ACTIVATION
from test_invariance import DROPOUT as RATES

import chainrule as cr
from chainrule import _core

SHAPES = {  # sizes, rows, batch size, loss
    "by rows": ([30, 70, 33, 3], 700, 600, "softmax_cross_entropy"),
    "by outputs": ([20, 300, 200, 5], 90, 64, "squared_error"),
    "few rows": ([20, 40, 1], 21, 5, "binary_cross_entropy"),
    "one row": ([20, 40, 1], 9, 1, "squared_error"),
    "slabs": ([12, 40, 2], 9900, 9001, "squared_error"),
}


def factors(rows, columns, place, rate, seed=0, step=0, dtype="float64"):
    return _core.dropout_factors(rows, columns, place, rate, seed, step, dtype)


@pytest.mark.parametrize("rate", [0.1, 0.5, 0.9])
def test_fraction_of_dropped_units_equals_the_rate(rate):
    f = factors(1000, 400, 1, rate)
    kept = round(65536 * (1 - rate)) / 65536
    assert set(np.unique(f)) == {0, 1 / kept}
    deviation = 5 * np.sqrt(kept * (1 - kept))
    assert abs((f > 0).mean() - kept) < deviation / np.sqrt(f.size)
    assert abs((f > 0).mean(axis=0) - kept).max() < deviation / np.sqrt(len(f))
    assert abs((f > 0).mean(axis=1) - kept).max() < deviation / np.sqrt(f.shape[1])


def test_units_are_dropped_independently():
    f = [factors(500, 300, place, 0.5, seed, step) - 1 for place, seed, step in np.ndindex(2, 2, 2)]
    shifted = [f[0][:-1] * f[0][1:], f[0][:, :-1] * f[0][:, 1:], f[0][:-8] * f[0][8:]]
    for product in [*(f[0] * other for other in f[1:]), *shifted]:
        assert abs(product.mean()) < 5 / np.sqrt(product.size)


def step_of_the_oracle(params, X, Y, w, activation, loss, rates, seed, step):
    """One step of SGD(learning_rate=0.1)."""
    widths = [X.shape[1], *(len(b) for _, b in params[:-1])]
    rates = [rates["input_dropout"], *[rates["dropout"]] * (len(params) - 1)]
    f = [
        factors(len(X), width, place, rate, seed, step) if rate else 1
        for place, (width, rate) in enumerate(zip(widths, rates, strict=True))
    ]
    g, slope = reference.ACTIVATIONS[activation]
    z, a = [], [X * f[0]]
    for (W, b), factor in zip(params, [*f[1:], None], strict=True):
        z.append(a[-1] @ W.T + b)
        a.append(reference.LOSSES[loss][0](z[-1]) if factor is None else g(z[-1]) * factor)
    dz = (a[-1] - reference.targets(Y, a[-1].shape[1], loss)) * (w / w.sum())[:, None]
    new = []
    for layer in reversed(range(len(params))):
        W, b = params[layer]
        new.insert(0, (W - 0.1 * dz.T @ a[layer], b - 0.1 * dz.sum(axis=0)))
        if layer:
            dz = dz @ W * slope(z[layer - 1]) * f[layer]
    return new


@pytest.mark.parametrize(
    ("rates", "sparse"),
    [
        (RATES, False),
        (RATES, True),
        ({"dropout": 0.3, "input_dropout": 0.0}, False),
        ({"dropout": 0, "input_dropout": 0.4}, False),
    ],
)
@pytest.mark.parametrize("shape", SHAPES)
def test_training_equals_the_oracle(isa, shape, rates, sparse):
    sizes, m, batch, loss = SHAPES[shape]
    params, X, Y, w = reference.problem(sizes, m, loss)
    net = network(params, ACTIVATION[loss], loss)
    settings = {"optimizer": cr.SGD(learning_rate=0.1), "batch_size": batch, "shuffle": False, "seed": 2**40 + 3}
    net.fit(sp.csr_array(X) if sparse else X, Y, sample_weight=w, epochs=2, **settings, **rates)
    step = 0
    for _ in range(2):
        for first in range(0, m, batch):
            part = slice(first, first + batch)
            arguments = X[part], Y[part], w[part], ACTIVATION[loss], loss, rates, settings["seed"], step
            params = step_of_the_oracle(params, *arguments)
            step += 1
    assert reference.error(net.parameters, reference.flatten(params)) < 1e-9


@pytest.mark.parametrize("activation", _core.ACTIVATIONS)
def test_gradient_with_dropout_equals_finite_differences(activation):
    """The gradient equals central differences of the cost with the same units dropped."""
    params, X, Y, _ = reference.problem([5, 7, 6, 2], 30, "squared_error")
    theta = reference.flatten(params)

    def after(start, **settings):
        net = network(params, activation)
        net.parameters[:] = start
        history = net.fit(X, Y, epochs=1, optimizer=cr.SGD(learning_rate=1.0), seed=1, **RATES, **settings)
        return history.loss[0], start - net.parameters

    _, gradient = after(theta)
    direction = np.random.default_rng(0).normal(size=theta.size)
    h = 1e-6
    slope = (after(theta + h * direction)[0] - after(theta - h * direction)[0]) / (2 * h)
    assert abs(slope - gradient @ direction) < 1e-6 * (1 + abs(slope))


def trained(shape, **settings):
    sizes, m, batch, loss = SHAPES[shape]
    params, X, Y, w = reference.problem(sizes, m, loss, dtype="float32")
    net = network(params, ACTIVATION[loss], loss)
    history = net.fit(X, Y, sample_weight=w, batch_size=batch, epochs=2, seed=3, **settings)
    return net.parameters.tobytes() + history.loss.tobytes()


@pytest.mark.parametrize("shape", SHAPES)
def test_rate_0_equals_no_dropout(shape):
    plain = trained(shape)
    hidden = len(SHAPES[shape][0]) - 2
    assert trained(shape, dropout=0.0, input_dropout=0.0) == plain == trained(shape, dropout=[0.0] * hidden)
    assert trained(shape, dropout=0.5) != plain
    assert trained(shape, dropout=0.5, schedules={"dropout": lambda epoch: 0.0}) == plain


def test_dropped_units_depend_on_seed_layer_and_schedule():
    params, X, Y, _ = reference.problem([20, 40, 40, 1], 50, "squared_error")

    def fit(seed=0, **settings):
        net = network(params)
        net.fit(X, Y, batch_size=25, shuffle=False, epochs=2, seed=seed, **settings)
        return net.parameters.tobytes()

    assert fit(dropout=0.5) == fit(dropout=(0.5, 0.5)) == fit(dropout=0.25, schedules={"dropout": lambda epoch: 2.0})
    assert len({fit(dropout=rates) for rates in [(0.5, 0.0), (0.0, 0.5), 0.5, 0.0]}) == 4
    assert fit(dropout=0.5, seed=1) != fit(dropout=0.5)


def test_dropout_does_not_affect_prediction_or_validation():
    params, X, Y, _ = reference.problem([20, 40, 1], 50, "squared_error")
    net = network(params)
    history = net.fit(X, Y, validation=(X, Y), batch_size=10, epochs=3, **RATES)
    assert history.validation[-1] == net.loss(X, Y)
    assert np.array_equal(net.predict(X), net.predict(X))


def test_resumed_training_drops_the_same_units():
    params, X, Y, _ = reference.problem([20, 40, 1], 50, "squared_error")
    whole, halves = network(params), network(params)
    whole.fit(X, Y, batch_size=10, epochs=4, seed=7, **RATES)
    first = halves.fit(X, Y, batch_size=10, epochs=2, seed=7, keep_state=True, **RATES)
    halves.fit(X, Y, batch_size=10, epochs=2, resume=first.state, **RATES)
    assert np.array_equal(whole.parameters, halves.parameters)


def test_fit_many_equals_fits_with_dropout():
    params, X, Y, _ = reference.problem([20, 40, 30, 1], 50, "squared_error")
    alone, together = [network(params) for _ in range(3)], [network(params) for _ in range(3)]
    rates = [0.0, 0.5, (0.1, 0.2)]
    cr.fit_many(together, X, Y, dropout=rates, input_dropout=[0.1, 0.0, 0.2], epochs=3, batch_size=10, seed=1)
    for net, other, rate, inputs in zip(alone, together, rates, [0.1, 0.0, 0.2], strict=True):
        net.fit(X, Y, dropout=rate, input_dropout=inputs, epochs=3, batch_size=10, seed=1)
        assert np.array_equal(net.parameters, other.parameters)


@pytest.mark.parametrize(
    ("settings", "error", "message"),
    [
        ({"dropout": 1.0}, ValueError, "dropout is 1, expected 0 <= dropout < 1"),
        ({"dropout": [0.1, -0.1]}, ValueError, "dropout is -0.1"),
        ({"dropout": float("nan")}, ValueError, "dropout is nan"),
        ({"input_dropout": 1.5}, ValueError, "input_dropout is 1.5"),
        ({"dropout": [0.1] * 3}, ValueError, "dropout has 3 entries, the network has 2 hidden layers"),
        ({"dropout": "much"}, TypeError, "dropout must be a number"),
        ({"dropout": [None, 0.1]}, TypeError, r"dropout\[0\] must be a number"),
        ({"dropout": 0.5, "optimizer": cr.LBFGS()}, ValueError, "L-BFGS does not support dropout"),
    ],
)
def test_wrong_rates_raise(settings, error, message):
    params, X, Y, _ = reference.problem([5, 4, 4, 1], 10, "squared_error")
    net = network(params)
    with pytest.raises(error, match=message):
        net.fit(X, Y, **settings)
    assert np.array_equal(net.parameters, reference.flatten(params))
