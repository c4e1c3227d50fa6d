"""The cost of the best constant prediction, for every loss, against a general minimizer."""

import numpy as np
import pytest
from scipy.optimize import minimize

import chainrule as cr
from chainrule import _core
from chainrule._baseline import constant_cost

random = np.random.default_rng(5)
M = 41
VALUES = random.normal(3, 4, (M, 2))
WEIGHTS = random.uniform(0, 2, M) * (np.arange(M) % 5 > 0)
LABELS = random.integers(0, 3, M)
CASES = {
    "squared_error": ("squared_error", VALUES),
    "absolute_error": ("absolute_error", VALUES),
    "huber": ("huber", VALUES),
    "huber of a delta": (cr.Huber(delta=3.0), VALUES),
    "huber of a large delta": (cr.Huber(delta=1e6), VALUES),
    "quantile": (cr.Quantile(0.8), VALUES[:, :1]),
    "quantile by name": ("quantile", VALUES[:, 0]),
    "levels of one column": (cr.Quantile([0.05, 0.5, 0.9]), VALUES[:, 0]),
    "poisson": ("poisson", random.poisson(2, (M, 2))),
    "gamma": ("gamma", random.gamma(2, 1, (M, 2))),
    "tweedie": (cr.Tweedie(1.3), random.poisson(1, (M, 2)) * random.gamma(2, 1, (M, 2))),
    "binary_cross_entropy": ("binary_cross_entropy", random.integers(0, 2, (M, 3))),
    "probabilities of a label": ("binary_cross_entropy", random.uniform(0, 1, M)),
    "class numbers": ("softmax_cross_entropy", LABELS),
    "rows of probabilities": ("softmax_cross_entropy", random.dirichlet(np.ones(4), M)),
    "smoothed labels": (cr.SoftmaxCrossEntropy(label_smoothing=0.2), LABELS),
}


def lowest_cost(loss, y, weight, outputs):
    """Minimize the network's cost over its biases from several starts, because some losses have kinks."""
    net = cr.Network([1, outputs], loss=loss, dtype="float64", seed=0)
    X = np.zeros((len(y), 1))

    def cost(biases):
        net.biases[0][:] = biases
        return net.loss(X, y, weight)

    starts = [np.zeros(outputs), np.full(outputs, np.mean(y))]
    options = {"xatol": 1e-10, "fatol": 1e-14, "maxiter": 20000, "maxfev": 20000}
    best = min((minimize(cost, start, method="Nelder-Mead", options=options) for start in starts), key=lambda r: r.fun)
    return minimize(cost, best.x, method="Nelder-Mead", options=options).fun


@pytest.mark.parametrize("weight", [None, WEIGHTS], ids=["", "weighted"])
@pytest.mark.parametrize("case", CASES)
def test_baseline_cost_equals_the_minimum_over_constants(case, weight):
    loss, y = CASES[case]
    _, parameters = cr.losses.to_core(loss)
    outputs = max(1 if y.ndim == 1 else y.shape[1], len(parameters), 3 if y is LABELS else 1)
    assert constant_cost(loss, y, weight) == pytest.approx(lowest_cost(loss, y, weight, outputs), rel=1e-6)


def test_every_loss_is_tested():
    assert {cr.losses.to_core(loss)[0] for loss, _ in CASES.values()} == set(_core.LOSSES)


@pytest.mark.parametrize("case", CASES)
def test_integer_weights_equal_repeated_rows(case):
    random = np.random.default_rng(1)
    loss, y = CASES[case]
    counts = random.integers(0, 4, M)
    assert constant_cost(loss, y, counts) == pytest.approx(constant_cost(loss, np.repeat(y, counts, axis=0)), rel=1e-12)


@pytest.mark.parametrize("loss", _core.LOSSES)
def test_constant_targets_have_baseline_cost_0(loss):
    assert constant_cost(loss, np.ones(7)) == pytest.approx(0, abs=1e-13)
    if loss != "gamma":  # its targets must be above 0
        assert constant_cost(loss, np.zeros(7)) == pytest.approx(0, abs=1e-13)


def test_smoothing_spreads_over_classes_without_rows():
    loss = cr.SoftmaxCrossEntropy(label_smoothing=0.4)
    labels = np.array([0, 1, 1])
    rows = np.eye(4)[labels]
    assert constant_cost(loss, labels, outputs=4) == pytest.approx(constant_cost(loss, rows), rel=1e-14)
    assert constant_cost(loss, labels) == pytest.approx(constant_cost(loss, rows[:, :2]), rel=1e-14)


def test_large_offsets_lose_no_digits():
    y = 1e8 + np.array([0.0, 1.0, 2.0, 3.0])
    assert constant_cost("squared_error", y) == 0.625
    assert constant_cost("absolute_error", y) == 1.0
