"""The learning-rate finder: what it suggests, what it leaves unchanged, what it refuses."""

import numpy as np
import pytest

import chainrule as cr

RNG = np.random.default_rng(0)
X = RNG.normal(size=(500, 5))
Y = X[:, 0] * X[:, 1]


def network(**options):
    return cr.Network([5, 16, 1], activation="tanh", loss="squared_error", seed=3, **options)


def test_network_is_unchanged_and_equal_searches_are_equal():
    net = network()
    before = net.parameters.copy()
    first, second = (cr.LearningRateFinder(net, X, Y) for _ in range(2))
    assert (net.parameters == before).all()
    assert first.suggestion == second.suggestion
    assert (first.losses == second.losses).all()


def test_suggested_rate_trains_better_than_rates_far_from_it():
    rate = cr.LearningRateFinder(network(), X, Y).suggestion
    costs = []
    for factor in (1 / 300, 1, 300):
        net = network()
        try:
            net.fit(X, Y, optimizer=cr.Adam(learning_rate=factor * rate), batch_size=32, epochs=20)
        except cr.DivergenceError:
            costs.append(np.inf)
        else:
            costs.append(net.loss(X, Y))
    assert costs[1] < min(costs[0], costs[2])


def test_costs_are_those_of_the_steps_by_gradient_descent():
    net = network(dtype="float64")
    finder = cr.LearningRateFinder(net, X, Y, optimizer=cr.SGD(), batch_size=8, low=1e-3, high=1e-1, steps=5)
    random, twin = np.random.default_rng(3), network(dtype="float64")
    for rate, loss in zip(finder.rates, finder.losses, strict=True):
        rows = random.integers(500, size=8)
        value, gradients = twin.loss_and_gradients(X[rows], Y[rows])
        expected = net.loss(X, Y) + value - net.loss(X[rows], Y[rows])
        assert loss == pytest.approx(expected, rel=1e-12)
        twin.parameters[:] -= rate * gradients.parameters
    assert finder.losses[0] == pytest.approx(net.loss(X, Y), rel=1e-12)
    np.testing.assert_allclose(finder.rates, np.geomspace(1e-3, 1e-1, 5))


def test_search_ends_when_the_cost_has_risen_or_is_not_finite():
    finder = cr.LearningRateFinder(network(), X, Y, optimizer=cr.SGD(), high=1e9)
    assert len(finder.rates) == len(finder.losses) < 100
    assert np.isfinite(finder.losses).all()


def test_sparse_rows_and_weights_are_accepted():
    sparse = pytest.importorskip("scipy.sparse")
    dense = cr.LearningRateFinder(network(), X, Y, np.ones(500), steps=10)
    rows = cr.LearningRateFinder(network(), sparse.csr_matrix(X), Y, steps=10)
    np.testing.assert_allclose(dense.losses, rows.losses, rtol=1e-5)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"optimizer": cr.LBFGS()}, "LBFGS"),
        ({"low": 1.0, "high": 0.5}, "low must be above 0 and below high"),
        ({"low": 0.0}, "low must be above 0"),
        ({"steps": 1}, "steps"),
    ],
)
def test_wrong_arguments_raise_value_error(options, message):
    with pytest.raises(ValueError, match=message):
        cr.LearningRateFinder(network(), X, Y, **options)


def test_plot_shows_costs_and_the_suggestion(tmp_path):
    pytest.importorskip("matplotlib")
    finder = cr.LearningRateFinder(network(), X, Y)
    axes = finder.plot(tmp_path / "rates.png")
    assert (tmp_path / "rates.png").stat().st_size > 1000
    assert axes.get_xscale() == "log"
    assert axes.lines[2].get_xdata()[0] == finder.suggestion
