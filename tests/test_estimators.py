"""Estimators compared with scikit-learn's: the same parameters and random_state give the same training at each step."""

import warnings

import numpy as np
import pytest

pytest.importorskip("sklearn")

from sklearn import neural_network
from sklearn.datasets import load_iris, make_multilabel_classification, make_regression
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import GammaRegressor, PoissonRegressor, TweedieRegressor

import chainrule as cr

pytestmark = [
    pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning"),
    pytest.mark.filterwarnings("ignore:Got `batch_size`"),
    pytest.mark.filterwarnings("ignore:The network predicts"),
]

X_IRIS, Y_IRIS = load_iris(return_X_y=True)
ROWS = np.random.default_rng(0).permutation(150)
X_IRIS, Y_IRIS = X_IRIS[ROWS] - X_IRIS.mean(axis=0), Y_IRIS[ROWS]
X_LABELS, Y_LABELS = make_multilabel_classification(100, 8, n_classes=4, random_state=0)
X_VALUES, Y_VALUES = make_regression(120, 6, noise=10.0, random_state=0)
Y_VALUES /= 50.0
WEIGHTS = np.random.default_rng(1).integers(1, 4, 150).astype(float)

SOLVERS = {
    "adam": {"batch_size": 32, "learning_rate_init": 0.01},
    "adam, own moments": {"beta_1": 0.8, "beta_2": 0.99, "epsilon": 1e-4, "batch_size": 50, "alpha": 0.1},
    "gradient descent": {"solver": "sgd", "momentum": 0.0, "learning_rate_init": 0.1},
    "nesterov": {"solver": "sgd", "learning_rate_init": 0.02, "batch_size": 40},
    "momentum": {"solver": "sgd", "learning_rate_init": 0.02, "batch_size": 40, "nesterovs_momentum": False},
    "invscaling": {"solver": "sgd", "learning_rate": "invscaling", "learning_rate_init": 0.2, "power_t": 0.2},
    "invscaling, batches": {
        "solver": "sgd",
        "learning_rate": "invscaling",
        "learning_rate_init": 0.2,
        "batch_size": 30,
    },
    "adaptive": {
        "solver": "sgd",
        "learning_rate": "adaptive",
        "learning_rate_init": 0.1,
        "n_iter_no_change": 2,
        "tol": 1e-2,
        "batch_size": 50,
        "max_iter": 400,
    },
}
DATA = {
    "two classes": ("MLPClassifier", X_IRIS, Y_IRIS == 1),
    "three classes": ("MLPClassifier", X_IRIS, Y_IRIS),
    "labels": ("MLPClassifier", X_LABELS, Y_LABELS),
    "values": ("MLPRegressor", X_VALUES, Y_VALUES),
    "counts": ("MLPRegressor", X_VALUES, np.round(np.abs(Y_VALUES))),
}


def pair(name, parameters):
    """Two estimators with the same parameters: scikit-learn's and ours."""
    parameters = {"random_state": 0, "shuffle": False, "hidden_layer_sizes": (7, 5), "max_iter": 40, **parameters}
    return getattr(neural_network, name)(**parameters), getattr(cr, name)(**parameters)


def assert_same_training(theirs, ours, tolerance=1e-8):
    for a, b in zip([*theirs.coefs_, *theirs.intercepts_], [*ours.coefs_, *ours.intercepts_], strict=True):
        np.testing.assert_allclose(b, a, rtol=0, atol=tolerance * max(1.0, np.abs(a).max()))
    np.testing.assert_allclose(ours.loss_curve_, theirs.loss_curve_, rtol=tolerance)
    names = ["n_iter_", "t_", "n_layers_", "n_outputs_", "out_activation_", "n_features_in_", "_no_improvement_count"]
    assert [getattr(ours, name) for name in names] == [getattr(theirs, name) for name in names]
    for name in ["loss_", "best_loss_", "best_validation_score_", "validation_scores_"]:
        if getattr(theirs, name) is None:
            assert getattr(ours, name) is None
        else:
            np.testing.assert_allclose(getattr(ours, name), getattr(theirs, name), rtol=tolerance)


@pytest.mark.parametrize("solver", SOLVERS)
@pytest.mark.parametrize("data", DATA)
def test_training_equals_scikit_learn_step_by_step(data, solver):
    name, X, y = DATA[data]
    parameters = {**SOLVERS[solver], **({"loss": "poisson"} if data == "counts" else {})}
    theirs, ours = pair(name, parameters)
    assert_same_training(theirs.fit(X, y), ours.fit(X, y))
    np.testing.assert_allclose(ours.predict(X), theirs.predict(X), rtol=1e-7)
    if name == "MLPClassifier":
        np.testing.assert_array_equal(ours.classes_, theirs.classes_)
        np.testing.assert_allclose(ours.predict_proba(X), theirs.predict_proba(X), rtol=1e-7)
        np.testing.assert_allclose(ours.predict_log_proba(X), theirs.predict_log_proba(X), rtol=1e-6)


@pytest.mark.parametrize("activation", ["identity", "logistic", "tanh", "relu"])
@pytest.mark.parametrize("hidden", [(), 3, [4, 3, 2]])
def test_activations_equal_scikit_learn(activation, hidden):
    theirs, ours = pair("MLPClassifier", {"activation": activation, "hidden_layer_sizes": hidden})
    assert_same_training(theirs.fit(X_IRIS, Y_IRIS), ours.fit(X_IRIS, Y_IRIS))


@pytest.mark.parametrize("data", DATA)
@pytest.mark.parametrize("solver", ["adam", "nesterov", "adaptive"])
@pytest.mark.parametrize("weighted", [False, True])
def test_early_stopping_equals_scikit_learn(data, solver, weighted):
    name, X, y = DATA[data]
    parameters = {**SOLVERS[solver], "early_stopping": True, "validation_fraction": 0.3, "max_iter": 100}
    theirs, ours = pair(name, parameters)
    weight = WEIGHTS[: len(X)] if weighted else None
    theirs.fit(X, y, weight), ours.fit(X, y, weight)
    if weighted:  # scikit-learn weights batches in the mean by their number of rows, chainrule by their sample weights
        theirs.loss_curve_ = ours.loss_curve_
        theirs.loss_ = ours.loss_
    assert_same_training(theirs, ours)


@pytest.mark.parametrize("data", DATA)
def test_sample_weights_equal_scikit_learn(data):
    name, X, y = DATA[data]
    theirs, ours = pair(name, {"tol": 0.0})
    weight = WEIGHTS[: len(X)]
    assert_same_training(theirs.fit(X, y, sample_weight=weight), ours.fit(X, y, sample_weight=weight))


@pytest.mark.parametrize("data", DATA)
@pytest.mark.parametrize("solver", SOLVERS)
def test_partial_fit_equals_scikit_learn(data, solver):
    name, X, y = DATA[data]
    theirs, ours = pair(name, SOLVERS[solver])
    extra = {"classes": np.unique(y)} if data in ("two classes", "three classes") else {}
    extra = {"classes": [0, 1, 2, 3]} if data == "labels" else extra
    for rows in [slice(0, 40), slice(40, 100), slice(3, 6), slice(None)] * 3:
        for estimator in (theirs, ours):
            estimator.partial_fit(X[rows], y[rows], **extra)
        extra = {}
    assert_same_training(theirs, ours)
    assert ours._optimizer.learning_rate == pytest.approx(theirs._optimizer.learning_rate) or "adam" in solver


@pytest.mark.parametrize(
    "solver", sorted({*SOLVERS} - {"adaptive"})
)  # chainrule's fit ends with one more reduction of the adaptive rate
def test_partial_fit_continues_after_fit(solver):
    theirs, ours = pair("MLPRegressor", SOLVERS[solver])
    for estimator in (theirs, ours):
        estimator.fit(X_VALUES, Y_VALUES)
        for _ in range(5):
            estimator.partial_fit(X_VALUES[:30], Y_VALUES[:30], sample_weight=WEIGHTS[:30])
    assert_same_training(theirs, ours)


@pytest.mark.parametrize("solver", sorted({*SOLVERS} - {"adaptive"}))
def test_warm_start_equals_scikit_learn(solver):
    theirs, ours = pair("MLPClassifier", {**SOLVERS[solver], "warm_start": True, "max_iter": 5, "tol": 0.0})
    for _ in range(3):
        theirs.fit(X_IRIS, Y_IRIS), ours.fit(X_IRIS, Y_IRIS)
        assert_same_training(theirs, ours)


def test_partial_fit_keeps_weights_written_by_the_user():
    theirs, ours = pair("MLPRegressor", {})
    for estimator in (theirs, ours):
        estimator.partial_fit(X_VALUES, Y_VALUES)
        estimator.coefs_[0][...] = 0.5
        estimator.partial_fit(X_VALUES, Y_VALUES)
    assert_same_training(theirs, ours)


def test_float32_trains_in_float32():
    theirs, ours = pair("MLPRegressor", {"max_iter": 10})
    X = X_VALUES.astype("float32")
    theirs.fit(X, Y_VALUES), ours.fit(X, Y_VALUES)
    assert ours.network_.dtype == ours.coefs_[0].dtype == ours.predict(X).dtype == "float32"
    np.testing.assert_allclose(ours.predict(X), theirs.predict(X), rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("seed", [0, 5])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_initial_weights_equal_scikit_learn(seed, dtype):
    theirs, ours = pair("MLPClassifier", {"activation": "logistic", "random_state": seed, "max_iter": 1})
    for estimator in (theirs, ours):
        estimator.set_params(learning_rate_init=1e-300).fit(X_IRIS.astype(dtype), Y_IRIS)
    for a, b in zip([*theirs.coefs_, *theirs.intercepts_], [*ours.coefs_, *ours.intercepts_], strict=True):
        np.testing.assert_array_equal(a, b)


def test_lbfgs_reaches_the_same_optimum():
    parameters = {"solver": "lbfgs", "hidden_layer_sizes": (), "alpha": 1.0, "max_iter": 1000, "tol": 1e-8}
    theirs, ours = pair("MLPClassifier", parameters)
    theirs.fit(X_IRIS, Y_IRIS), ours.fit(X_IRIS, Y_IRIS)
    assert ours.loss_ == pytest.approx(theirs.loss_, rel=1e-6)
    np.testing.assert_allclose(ours.predict_proba(X_IRIS), theirs.predict_proba(X_IRIS), atol=1e-3)


@pytest.mark.parametrize(
    ("loss", "glm"),
    [
        ("poisson", PoissonRegressor(alpha=0.1, tol=1e-10, max_iter=1000)),
        ("gamma", GammaRegressor(alpha=0.1, tol=1e-10, max_iter=1000)),
        (cr.Tweedie(1.7), TweedieRegressor(power=1.7, alpha=0.1, link="log", tol=1e-10, max_iter=1000)),
    ],
    ids=["poisson", "gamma", "tweedie"],
)
def test_losses_with_a_log_link_equal_generalized_linear_models(loss, glm):
    y = np.random.default_rng(0).poisson(np.exp(X_VALUES[:, 0] + 1.0)).astype(float)
    y += 0.5 if loss == "gamma" else 0.0
    glm.fit(X_VALUES, y)
    ours = cr.MLPRegressor(
        loss, (), solver="lbfgs", alpha=0.1 * len(y), tol=1e-10, max_iter=1000, random_state=0, dtype="float64"
    ).fit(X_VALUES, y)
    np.testing.assert_allclose(ours.predict(X_VALUES), glm.predict(X_VALUES), rtol=1e-4)
    np.testing.assert_allclose(ours.coefs_[0][:, 0], glm.coef_, atol=1e-4)


def test_verbose_output_equals_scikit_learn(capsys):
    outputs = []
    for solver in [{"tol": 0.3}, SOLVERS["adaptive"], {"early_stopping": True, "tol": 0.1}]:
        for estimator in pair("MLPClassifier", {**solver, "verbose": True, "max_iter": 100, "n_iter_no_change": 3}):
            estimator.fit(X_IRIS, Y_IRIS)
            outputs.append(capsys.readouterr().out)
    assert outputs[0::2] == outputs[1::2]
    assert all("Iteration 1, loss = " in text for text in outputs)


def test_error_messages_equal_scikit_learn():
    def failure(estimator, method="fit", **data):
        with pytest.raises((ValueError, TypeError), match=r"\w") as error:
            getattr(estimator, method)(**{"X": X_IRIS, "y": Y_IRIS, **data})
        return str(error.value)

    changes = [
        {"alpha": -1}, {"batch_size": 0}, {"learning_rate_init": 0}, {"max_iter": 0.5}, {"shuffle": 1}, {"tol": -1.0},
        {"random_state": -1}, {"momentum": 2}, {"beta_1": 1}, {"epsilon": 0}, {"verbose": -1}, {"max_fun": 0},
        {"hidden_layer_sizes": (3, -1)}, {"hidden_layer_sizes": 0}, {"validation_fraction": 1.0},
        {"n_iter_no_change": -1}, {"early_stopping": True, "validation_fraction": 0.001},
    ]  # fmt: skip
    for change in changes:
        a, b = (failure(estimator) for estimator in pair("MLPClassifier", change))
        assert a == b, change
    X_bad = X_IRIS.copy()
    X_bad[3, 1] = np.nan
    for data in [{"X": X_bad}, {"X": X_IRIS[:, :0]}, {"y": Y_IRIS[:9]}, {"sample_weight": [1.0]}]:
        a, b = (failure(estimator, **data) for estimator in pair("MLPClassifier", {}))
        ours = b.split("`estimator`")[0].split("\nThe estimator takes plain numbers: ")[0]  # chainrule adds a remedy
        assert a.split("`estimator`")[0] == ours, data
    for name in ("predict", "score"):
        a, b = (
            failure(e, name, y=Y_IRIS) if name == "score" else failure_of_predict(e) for e in pair("MLPRegressor", {})
        )
        assert a == b


def failure_of_predict(estimator):
    with pytest.raises(ValueError, match="not fitted yet") as error:
        estimator.predict(X_VALUES)
    return str(error.value)


def test_convergence_warning_equals_scikit_learn():
    for estimator in pair("MLPClassifier", {"max_iter": 3}):
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            estimator.fit(X_IRIS, Y_IRIS)
        [warning] = caught
        assert warning.category is ConvergenceWarning
        assert "Maximum iterations (3) reached and the optimization hasn't converged yet." in str(warning.message)
        assert warning.filename == __file__ or estimator.__module__.startswith("sklearn")
