"""L-BFGS on columns of any scale, in both precisions: a step lost to rounding does not count as convergence."""

import numpy as np
import pytest

import chainrule as cr
from chainrule.estimators import MLPClassifier, MLPRegressor

random = np.random.default_rng(0)
X = random.normal(size=(500, 5))
Y = X @ [1.0, -2.0, 0.5, 3.0, 0.0]
NOISY = Y + random.normal(size=500)


def fit(X, y, dtype="float32", epochs=1500, **options):
    net = cr.Network([X.shape[1], 20, 1], loss="squared_error", dtype=dtype, seed=0)
    return net, net.fit(X, y, optimizer=cr.LBFGS(), epochs=epochs, **options)


@pytest.mark.parametrize("y", [Y, NOISY], ids=["exact", "noisy"])
@pytest.mark.parametrize("weight", [None, random.uniform(0, 2, 500)], ids=["", "weighted"])
@pytest.mark.parametrize("scale", [1e4, 1e6])
def test_stall_on_large_columns_is_the_stop_reason(scale, weight, y):
    net, history = fit(X * scale, y, sample_weight=weight)
    assert history.stop_reason == "stalled"
    _, grads = net.loss_and_gradients(X * scale, y, weight)
    assert abs(grads.parameters).max() > net.loss(X * scale, y, weight)


def test_an_exact_fit_of_large_columns_and_targets_is_convergence():
    for scale in (1e4, 1e6):
        net, history = fit(X * scale, Y * scale)
        assert history.stop_reason == "converged"
        assert net.loss(X * scale, Y * scale) < 1e-9 * np.var(Y * scale)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("y", [Y, NOISY, 1e4 * Y, 1e-3 * NOISY], ids=["exact", "noisy", "large", "small"])
@pytest.mark.parametrize("sizes", [[5, 1], [5, 3, 1]])
def test_convergence_on_scaled_columns_is_reported_as_converged(sizes, y, dtype):
    for l2 in (0.0, 1e-3):
        net = cr.Network(sizes, activation="tanh", loss="squared_error", dtype=dtype, seed=0)
        history = net.fit(X, y, optimizer=cr.LBFGS(), epochs=3000, l2=l2)
        slow = abs(y).max() > 1e3 and len(sizes) > 2  # the tolerances are absolute
        assert history.stop_reason == "converged" or (slow and history.stop_reason == "epochs")


def test_a_kink_of_relu_on_scaled_columns_is_convergence():
    iris = pytest.importorskip("sklearn.datasets").load_iris()
    standard = (iris.data - iris.data.mean(axis=0)) / iris.data.std(axis=0)
    for dtype in ("float32", "float64"):
        net = cr.Network([4, 20, 3], activation="relu", loss="softmax_cross_entropy", dtype=dtype, seed=0)
        assert net.fit(standard, iris.target, optimizer=cr.LBFGS(), epochs=1000, l2=1e-3).stop_reason == "converged"


def test_fitting_again_from_the_optimum_converges_immediately():
    net = cr.Network([5, 1], loss="squared_error", seed=0)
    net.fit(X, NOISY, optimizer=cr.LBFGS(), epochs=500)
    history = net.fit(X, NOISY, optimizer=cr.LBFGS(), epochs=500)
    assert history.stop_reason == "converged"
    assert history.epochs <= 3


def test_gradient_step_continues_if_the_pairs_are_unreliable():
    """Without it the training ends 60 iterations earlier, at a cost that is 1.5 % higher."""
    data = pytest.importorskip("sklearn.datasets").load_breast_cancer()
    net = cr.Network([30, 20, 2], activation="relu", loss="softmax_cross_entropy", dtype="float64", seed=0)
    history = net.fit(data.data, data.target, optimizer=cr.LBFGS(), epochs=1000)
    assert history.loss[-1] < 0.1429
    assert (np.diff(history.loss) <= 0).all()


def test_resuming_a_stalled_fit_stalls_again():
    net, history = fit(X * 1e4, Y, keep_state=True)
    before = net.loss(X * 1e4, Y)
    again = net.fit(X * 1e4, Y, optimizer=cr.LBFGS(), epochs=100, resume=history.state)
    assert again.stop_reason in ("stalled", "epochs")
    assert net.loss(X * 1e4, Y) <= before


@pytest.mark.parametrize("make", [MLPRegressor, MLPClassifier])
def test_an_estimator_names_the_remedy_for_a_stall(make):
    classes = make is MLPClassifier
    estimator = make(
        hidden_layer_sizes=(20,), solver="lbfgs", max_iter=5000, random_state=0, activation="relu", dtype="float32"
    )
    y = (NOISY > 0).astype(int) if classes else NOISY
    with pytest.warns(UserWarning, match=r"(?s)^lbfgs stalled .*spread of about 1, or choose dtype=\"float64\"\."):
        estimator.fit(X * 1e6, y)
    assert estimator.history_.stop_reason == "stalled"
