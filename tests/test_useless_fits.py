"""A fit that is no better than a constant prediction warns once; which frames "auto" encodes."""

import warnings

import numpy as np
import pytest

pytest.importorskip("sklearn")
pytest.importorskip("pandas")
pytest.importorskip("narwhals")

import pandas as pd
from sklearn.datasets import load_breast_cancer
from sklearn.exceptions import ConvergenceWarning
from sklearn.model_selection import train_test_split

import chainrule as cr

RNG = np.random.default_rng(0)
X = RNG.normal(size=(400, 3))
PRICES = 2e5 + 5e4 * X @ [1.0, 2.0, 3.0]
RAW = X * [1.0, 1e3, 1e5] + [0.0, 1e4, 1e6]  # unscaled columns, such as years and incomes
LABELS = np.where(X[:, 0] + X[:, 1] > 0, "yes", "no")
AT_ONCE = {"learning_rate_init": 1e-12, "tol": 1e15, "random_state": 0}  # stops almost at once


def warnings_of(estimator, *arguments, **named):
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        estimator.fit(*arguments, **named)
    return [(w.category, str(w.message)) for w in caught]


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize(
    ("estimator", "y"),
    [
        (cr.MLPRegressor(**AT_ONCE, solver="sgd"), PRICES),
        (cr.MLPRegressor(**AT_ONCE), 1e-4 * X[:, 0]),
        (cr.MLPRegressor(**AT_ONCE), np.c_[1e-4 * X[:, 0], 1e-4 * X[:, 1]]),
        (cr.MLPRegressor("absolute_error", **AT_ONCE), -PRICES),
        (cr.MLPRegressor(cr.Huber(delta=2.0), **AT_ONCE), -PRICES),
        (cr.MLPRegressor(cr.Quantile([0.1, 0.9]), **AT_ONCE), -PRICES),
        (cr.MLPRegressor("poisson", **AT_ONCE, activation="logistic"), 1e3 + 10 * X[:, 0]),
        (cr.MLPClassifier(**AT_ONCE), LABELS),
        (cr.MLPClassifier(**AT_ONCE), np.digitize(X[:, 0], [-0.5, 0.5])),
        (cr.MLPClassifier(**AT_ONCE), (X[:, :2] > 0).astype(int)),
    ],
    ids=lambda value: repr(value) if hasattr(value, "fit") else str(value.shape),
)
def test_fit_that_is_no_better_than_a_constant_warns_once(estimator, y, dtype):
    data = RAW.astype(dtype)
    for held_out in ({}, {"X_val": data, "y_val": y}):
        (found,) = warnings_of(estimator, data, y, **held_out)
        assert found[0] is UserWarning
        assert f"predicts the {'held-out' if held_out else 'training'} rows no better" in found[1]
        assert "fit with preprocess=True" in found[1]
        assert ("TransformedTargetRegressor" in found[1]) == isinstance(estimator, cr.MLPRegressor)


def test_warning_is_joined_with_the_convergence_warning():
    ((category, text),) = warnings_of(cr.MLPRegressor(max_iter=2, random_state=0), X, PRICES)
    assert category is ConvergenceWarning
    assert "Maximum iterations (2) reached" in text
    assert "no better than a constant" in text


def test_warning_changes_no_number():
    estimator, twin = (cr.MLPRegressor(random_state=0) for _ in range(2))
    warnings_of(estimator, RAW, 1e-4 * X[:, 0])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        twin.fit(RAW, 1e-4 * X[:, 0])
    assert estimator.network_.parameters.tobytes() == twin.network_.parameters.tobytes()
    assert estimator.loss_curve_ == twin.loss_curve_


def test_remedy_in_the_warning_helps():
    estimator = cr.MLPRegressor(random_state=0, max_iter=100)
    ((_, text),) = warnings_of(estimator, RAW, 1e-4 * X[:, 0])
    assert "preprocess=True" in text
    assert estimator.score(RAW, 1e-4 * X[:, 0]) < 0
    estimator.set_params(preprocess=True, learning_rate_init=0.01, n_iter_no_change=100)
    assert not [text for _, text in warnings_of(estimator, RAW, 1e-4 * X[:, 0]) if "no better" in text]
    assert estimator.score(RAW, 1e-4 * X[:, 0]) > 0.95


@pytest.mark.parametrize("solver", ["adam", "lbfgs"])
def test_useful_fit_is_silent(solver):
    settings = {"solver": solver, "random_state": 0, "learning_rate_init": 0.01, "max_iter": 2000}
    data, labels = load_breast_cancer(return_X_y=True)
    data = (data - data.mean(axis=0)) / data.std(axis=0)
    train, test, y_train, y_test = train_test_split(data, labels, random_state=0)
    assert warnings_of(cr.MLPClassifier(**settings), train, y_train, X_val=test, y_val=y_test) == []
    assert warnings_of(cr.MLPClassifier(**settings, class_weight="balanced"), train, y_train) == []
    assert warnings_of(cr.MLPClassifier(**settings, class_weight={0: 50.0}), train, y_train) == []
    assert warnings_of(cr.MLPRegressor(**settings, alpha=0.1), X, PRICES / 1e5) == []


def test_constant_targets_do_not_warn():
    settings = {"random_state": 0, "max_iter": 1000}
    assert warnings_of(cr.MLPRegressor(**settings), X, np.ones(400)) == []
    assert warnings_of(cr.MLPClassifier(**settings), X, np.ones(400)) == []
    weights = (LABELS == "yes").astype(float)  # rows of one class alone count
    assert warnings_of(cr.MLPClassifier(**settings), X, LABELS, weights) == []


def test_encoded_table_suggests_another_remedy():
    rng = np.random.default_rng(1)
    table = pd.DataFrame({"noise": rng.normal(size=400), "town": rng.choice(["Ayr", "Ely"], 400)})
    noise = rng.normal(size=400)
    ((_, text),) = warnings_of(cr.MLPRegressor(**AT_ONCE | {"random_state": 1}, early_stopping=True), table, noise)
    assert "held-out rows no better than a constant" in text
    assert "preprocess" not in text


def test_partial_fit_does_not_warn():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        cr.MLPRegressor(random_state=0).partial_fit(RAW, PRICES)


def test_auto_depends_only_on_column_types():
    numbers = pd.DataFrame(X, columns=list("abc"))
    mixed = numbers.assign(town=np.where(X[:, 0] > 0, "Ayr", "Ely"))
    settings = {"max_iter": 2, "random_state": 0}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for table, y in [(numbers, PRICES), (numbers.astype({"a": "Float64"}), PRICES), (numbers > 0, PRICES)]:
            assert not hasattr(cr.MLPRegressor(**settings).fit(table, y), "encoder_")
        for part in (mixed, mixed[:50], mixed.astype({"town": "category"})[50:]):
            assert hasattr(cr.MLPRegressor(**settings).fit(part, PRICES[part.index]), "encoder_")


@pytest.mark.parametrize("library", ["pandas", "nullable", "polars"])
def test_numbers_with_a_missing_value_raise_with_the_remedy(library):
    table = pd.DataFrame(X, columns=list("abc"))
    table.loc[7, "b"] = None
    if library == "nullable":
        table = table.astype("Float64")
    elif library == "polars":
        table = pytest.importorskip("polars").from_pandas(table)
    with pytest.raises(ValueError, match=r"(?s)NaN.*fit with preprocess=True"):
        cr.MLPRegressor(max_iter=2).fit(table, PRICES)
    estimator = cr.MLPRegressor(preprocess=True, learning_rate_init=0.01, random_state=0).fit(table, PRICES)
    assert estimator.score(table, PRICES) > 0.99
