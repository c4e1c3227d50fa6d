"""A fit that raises leaves the estimator as it was: with the old model, or with none."""

import pickle
import warnings

import numpy as np
import pytest

pytest.importorskip("sklearn")
pytest.importorskip("pandas")
pytest.importorskip("narwhals")

import pandas as pd
from sklearn.exceptions import ConvergenceWarning, NotFittedError

import chainrule as cr

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning", "ignore:The network predicts")

RNG = np.random.default_rng(0)
X = RNG.normal(size=(60, 3))
THREE = np.repeat(["a", "b", "c"], 20)
TWO = np.repeat([7, 8], 30)
VALUES = X @ [1.0, 2.0, 3.0]
TABLE = pd.DataFrame({"size": X[:, 0], "town": np.tile(["Ayr", "Bath", "Ely"], 20)})
SMALL = {"hidden_layer_sizes": 4, "max_iter": 3, "random_state": 0}


class RaisesAtTheStart:
    def on_train_begin(self, network):
        raise RuntimeError("not today")


def raise_in_epoch_2(logs):
    if logs["epoch"] == 2:
        raise RuntimeError("not today")


class InterruptsAtTheStart:
    def on_train_begin(self, network):
        raise KeyboardInterrupt


def raise_interrupt(logits, y, weight):
    raise KeyboardInterrupt


# Fits that raise: parameters of the estimator, and arguments.
CLASSIFIER_REFUSALS = {
    "weights of another length": ({}, {"sample_weight": [1.0]}),
    "weights below 0": ({}, {"sample_weight": np.r_[-1.0, np.ones(59)]}),
    "weights that are all 0": ({}, {"sample_weight": np.zeros(60)}),
    "weights that are NaN": ({}, {"sample_weight": np.full(60, np.nan)}),
    "fewer rows of y": ({}, {"y": TWO[1:]}),
    "NaN in X": ({}, {"X": np.full((60, 3), np.nan)}),
    "text in X": ({}, {"X": np.full((60, 3), "text")}),
    "a parameter out of range": ({"alpha": -1.0}, {}),
    "dropout of 1": ({"dropout": 1.0}, {}),
    "an unknown activation": ({"activation": "none such"}, {}),
    "a wrong number of activations": ({"activation": ["relu", "tanh", "relu"]}, {}),
    "layers of 0 units": ({"hidden_layer_sizes": (0,)}, {}),
    "validation data of other columns": ({}, {"X_val": X[:, :2], "y_val": TWO}),
    "validation data of other classes": ({}, {"X_val": X, "y_val": np.full(60, 99)}),
    "validation data without targets": ({}, {"X_val": X}),
    "too few rows to hold some out": ({"early_stopping": True, "validation_fraction": 0.01}, {}),
    "a metric without held-out rows": ({"eval_metric": "auc"}, {}),
    "an unknown metric": ({"eval_metric": "none such"}, {"X_val": X, "y_val": TWO}),
    "a callback that raises at the start": ({"callbacks": [RaisesAtTheStart()]}, {}),
    "a callback that raises in the second epoch": ({"callbacks": [raise_in_epoch_2]}, {}),
    "an object that is not a callback": ({"callbacks": [1]}, {}),
    "an interrupt at the start": ({"callbacks": [InterruptsAtTheStart()]}, {}),
    "class weights of unknown classes": ({"class_weight": {"x": 1.0}}, {}),
    "a solver without schedules": ({"solver": "lbfgs", "learning_rate": cr.Cosine()}, {}),
    "a cost that becomes NaN": ({"solver": "sgd", "learning_rate_init": 1e300}, {}),
    "a sparse table": ({"preprocess": True}, {"X": pytest.importorskip("scipy.sparse").csr_matrix(X)}),
}
REGRESSOR_REFUSALS = {
    "dropout of 1": ({"dropout": 1.0}, {}),
    "values that are text": ({}, {"y": THREE}),
    "values that are infinite": ({}, {"y": np.full(60, np.inf)}),
    "several targets for quantiles": ({"loss": cr.Quantile([0.1, 0.9])}, {"y": np.c_[VALUES, VALUES]}),
    "counts below 0": ({"loss": "poisson"}, {"y": -np.abs(VALUES)}),
    "amounts of 0": ({"loss": "gamma"}, {"y": 0 * VALUES}),
    "a callback that raises in the second epoch": ({"callbacks": [raise_in_epoch_2]}, {}),
    "a loss that raises": ({"loss": raise_interrupt}, {}),
    "validation data with other targets": ({}, {"X_val": X, "y_val": np.c_[VALUES, VALUES]}),
}


def state_of(estimator):
    """Return all attributes, as bytes, and the parameters of the network."""
    attributes = {name: value for name, value in vars(estimator).items() if name not in estimator.get_params()}
    network = attributes.get("network_")
    return pickle.dumps(attributes), None if network is None else network.parameters.tobytes()


def assert_refused(estimator, method, arguments):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with pytest.raises((Exception, KeyboardInterrupt)):  # the type does not matter here
            getattr(estimator, method)(**arguments)


CASES = [
    pytest.param(kind, y, *refusal, id=f"{kind.__name__}: {name}")
    for kind, y, refusals in [
        (cr.MLPClassifier, TWO, CLASSIFIER_REFUSALS),
        (cr.MLPRegressor, VALUES, REGRESSOR_REFUSALS),
    ]
    for name, refusal in refusals.items()
]


@pytest.mark.parametrize(("kind", "y", "parameters", "arguments"), CASES)
def test_first_fit_that_raises_leaves_no_model(kind, y, parameters, arguments):
    estimator = kind(**SMALL | parameters)
    assert_refused(estimator, "fit", {"X": X, "y": y} | arguments)
    assert set(vars(estimator)) == set(estimator.get_params())
    with pytest.raises(NotFittedError):
        estimator.predict(X)


@pytest.mark.parametrize("trained_on", [X, TABLE], ids=["after an array", "after a table"])
@pytest.mark.parametrize("warm_start", [False, True])
@pytest.mark.parametrize(("kind", "y", "parameters", "arguments"), CASES)
def test_fit_that_raises_leaves_the_old_model(kind, y, parameters, arguments, warm_start, trained_on):
    estimator = kind(**SMALL).fit(trained_on, THREE if kind is cr.MLPClassifier else VALUES)
    predictions, state = estimator.predict(trained_on), state_of(estimator)
    before = estimator.get_params()
    estimator.set_params(**parameters, warm_start=warm_start)
    assert_refused(estimator, "fit", {"X": X, "y": y} | arguments)
    assert state_of(estimator) == state
    assert (estimator.set_params(**before).predict(trained_on) == predictions).all()


PARTIAL_REFUSALS = [
    ({"sample_weight": [1.0]}, {}),
    ({}, {"dropout": 1.0}),
    ({}, {"callbacks": [RaisesAtTheStart()]}),
    ({}, {"early_stopping": True}),
    ({}, {"learning_rate": cr.OneCycle()}),
]
LATER_REFUSALS = [
    ({"y": np.full(60, "d")}, {}),
    ({"X": X[:, :2]}, {}),
    ({"classes": ["a", "b"]}, {}),
    ({}, {"hidden_layer_sizes": 7}),
]


@pytest.mark.parametrize(("arguments", "parameters"), PARTIAL_REFUSALS)
def test_first_partial_fit_that_raises_leaves_no_model(arguments, parameters):
    estimator = cr.MLPClassifier(**SMALL | parameters)
    assert_refused(estimator, "partial_fit", {"X": X, "y": THREE, "classes": ["a", "b", "c"]} | arguments)
    assert set(vars(estimator)) == set(estimator.get_params())


@pytest.mark.parametrize(("arguments", "parameters"), PARTIAL_REFUSALS + LATER_REFUSALS)
def test_partial_fit_that_raises_changes_nothing(arguments, parameters):
    given = {"X": X, "y": THREE, "classes": ["a", "b", "c"]}
    estimator = cr.MLPClassifier(**SMALL).partial_fit(**given)
    state = state_of(estimator)
    assert_refused(estimator.set_params(**parameters), "partial_fit", given | arguments)
    assert state_of(estimator) == state


def test_fit_within_a_fit_raises_and_changes_nothing():
    refused = []

    def fit_again(logs):
        for method in ("fit", "partial_fit"):
            with pytest.raises(RuntimeError, match="this MLPRegressor is being trained by another call") as error:
                getattr(estimator, method)(X, VALUES)
            refused.append(str(error.value))

    estimator = cr.MLPRegressor(**SMALL, callbacks=[fit_again])
    estimator.fit(X, VALUES)
    assert len(refused) == 2 * estimator.n_iter_
    expected = cr.MLPRegressor(**SMALL).fit(X, VALUES)
    assert estimator.network_.parameters.tobytes() == expected.network_.parameters.tobytes()
    assert estimator.set_params(callbacks=()).partial_fit(X, VALUES).t_ > expected.t_


def test_array_after_table_and_table_after_array_raise():
    for first, second in [(TABLE, X), (X, TABLE)]:
        estimator = cr.MLPRegressor(**SMALL).fit(first, VALUES)
        state = state_of(estimator)
        for method in ("fit", "partial_fit"):
            assert_refused(estimator.set_params(warm_start=True), method, {"X": second, "y": VALUES})
            assert state_of(estimator) == state


def test_interrupt_after_the_first_epoch_keeps_the_parameters():
    def interrupt(logs):
        if logs["epoch"] == 2:
            raise KeyboardInterrupt

    estimator = cr.MLPRegressor(**SMALL, callbacks=[interrupt])
    with pytest.warns(UserWarning, match="interrupted"):
        estimator.fit(X, VALUES)
    assert estimator.predict(X).shape == (60,)


def test_interrupt_before_the_training_is_reraised():
    with pytest.raises(KeyboardInterrupt):
        cr.MLPRegressor(**SMALL, callbacks=[InterruptsAtTheStart()]).fit(X, VALUES)


def test_warning_turned_into_an_error_leaves_no_model():
    estimator = cr.MLPRegressor(**SMALL)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with pytest.raises(ConvergenceWarning):
            estimator.fit(X, VALUES)
    assert not hasattr(estimator, "network_")


@pytest.mark.parametrize("make", [cr.MLPRegressor, cr.TableRegressor])
def test_text_as_a_regression_target_advises_converting_it(make):
    with pytest.raises(ValueError, match=r"pandas\.to_numeric .*'\$1,234'"):
        make().fit(TABLE, ["$1,234"] * 60)
