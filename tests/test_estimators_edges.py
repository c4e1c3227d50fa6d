"""Estimators whose parameters change after a fit or contradict each other, and incomplete data."""

import functools

import numpy as np
import pytest

pytest.importorskip("sklearn")

from sklearn.datasets import load_iris, make_multilabel_classification, make_regression
from sklearn.metrics import d2_pinball_score
from sklearn.neural_network import MLPRegressor as Theirs

import chainrule as cr

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning", "ignore:The network predicts")

X, Y = load_iris(return_X_y=True)
X = (X - X.mean(axis=0)) / X.std(axis=0)
X_VALUES, Y_VALUES = make_regression(120, 6, noise=10.0, random_state=0)
Y_VALUES /= Y_VALUES.std()
SMALL = {"hidden_layer_sizes": 5, "max_iter": 20, "random_state": 0}


def same(a, b):
    return np.array_equal(a.network_.parameters, b.network_.parameters)


def test_activation_of_a_fitted_estimator_may_change():
    ours, theirs = cr.MLPRegressor(**SMALL, warm_start=True), Theirs(**SMALL, warm_start=True)
    for activation in ("relu", "tanh"):
        for estimator in (ours, theirs):
            estimator.set_params(activation=activation).fit(X_VALUES, Y_VALUES)
    assert ours.loss_ == pytest.approx(theirs.loss_, rel=1e-9)
    for estimator in (ours, theirs):
        estimator.set_params(activation="logistic").partial_fit(X_VALUES, Y_VALUES)
    assert ours.loss_ == pytest.approx(theirs.loss_, rel=1e-9)
    for estimator in (ours, theirs):
        estimator.set_params(activation="relu")
    np.testing.assert_allclose(ours.predict(X_VALUES), theirs.predict(X_VALUES), rtol=1e-9)


def test_loss_of_a_fitted_estimator_may_change():
    estimator = cr.MLPRegressor(**SMALL, warm_start=True).fit(X_VALUES, np.abs(Y_VALUES))
    linear = estimator.predict(X_VALUES)
    estimator.set_params(loss="poisson")
    np.testing.assert_allclose(estimator.predict(X_VALUES), np.exp(linear))
    assert estimator.fit(X_VALUES, np.abs(Y_VALUES)).out_activation_ == "exp"
    with pytest.raises(ValueError, match="needs 2 outputs, the network has 1: call fit with warm_start=False"):
        estimator.set_params(loss=cr.Quantile([0.1, 0.9])).predict(X_VALUES)


def test_class_weights_may_name_absent_classes():
    weights = {0: 2.0, 1: 3.0}
    rows = np.flatnonzero(Y != 0)
    by_class = cr.MLPClassifier(**SMALL, class_weight=weights).partial_fit(X[rows], Y[rows], classes=[0, 1, 2])
    plain = cr.MLPClassifier(**SMALL)
    assert same(by_class, plain.partial_fit(X[rows], Y[rows], np.where(Y[rows] == 1, 3.0, 1.0), classes=[0, 1, 2]))
    cr.MLPClassifier(**SMALL, class_weight=weights).fit(X, Y, X_val=X[rows], y_val=Y[rows])
    with pytest.raises(ValueError, match=r"class_weight names \[7\], the classes are \[0, 1, 2\]"):
        cr.MLPClassifier(**SMALL, class_weight={7: 1.0}).fit(X, Y)
    with pytest.raises(ValueError, match="class_weight must be a dict"):
        cr.MLPClassifier(**SMALL, class_weight=[1.0, 2.0, 3.0]).fit(X, Y)


def test_class_weights_of_labels_equal_their_product_as_sample_weights():
    X_labels, labels = make_multilabel_classification(100, n_classes=2, random_state=0)
    by_class = cr.MLPClassifier(**SMALL, class_weight=[{1: 2.0}, {0: 3.0, 1: 1.0}]).fit(X_labels, labels)
    weights = np.where(labels[:, 0], 2.0, 1.0) * np.where(labels[:, 1], 1.0, 3.0)
    assert same(by_class, cr.MLPClassifier(**SMALL).fit(X_labels, labels, weights))


def test_class_weights_do_not_change_the_score():
    estimator = cr.MLPClassifier(**SMALL, class_weight={0: 50.0}).fit(X, Y, X_val=X, y_val=Y)
    assert estimator.best_validation_score_ == pytest.approx(estimator.score(X, Y))


def test_changed_solver_starts_with_a_new_state():
    estimator = cr.MLPClassifier(**SMALL).fit(X, Y)
    fresh = cr.MLPClassifier(**SMALL, solver="sgd").partial_fit(X, Y, classes=[0, 1, 2])
    fresh.network_.parameters[:] = estimator.network_.parameters
    fresh._optimizer.state = None
    for one in (estimator, fresh):
        one.set_params(solver="sgd", random_state=1, learning_rate_init=0.1).partial_fit(X, Y)
    assert same(estimator, fresh)


def test_lbfgs_keeps_the_best_weights():
    y = np.random.RandomState(0).randn(120)
    estimator = cr.MLPRegressor(hidden_layer_sizes=50, random_state=0, solver="lbfgs", alpha=0.0)
    estimator.fit(X_VALUES[::2], y[::2], X_val=X_VALUES[1::2], y_val=y[1::2])
    assert estimator.history_.stop_reason == "no_improvement"
    assert estimator.best_validation_score_ == max(estimator.validation_scores_)
    assert estimator.score(X_VALUES[1::2], y[1::2]) == pytest.approx(estimator.best_validation_score_)


@pytest.mark.parametrize("option", [{"weight_decay": 0.1}, {"learning_rate": cr.Cosine()}])
@pytest.mark.parametrize("solver", ["lbfgs", cr.LBFGS()])
def test_weight_decay_and_schedules_with_lbfgs_raise(solver, option):
    with pytest.raises(ValueError, match="L-BFGS has no"):
        cr.MLPClassifier(**SMALL, solver=solver, **option).fit(X, Y)


def test_metrics_without_validation_data_raise():
    for solver in ("adam", "lbfgs"):
        with pytest.raises(ValueError, match="eval_metric needs validation data: choose early_stopping=True or pass"):
            cr.MLPClassifier(**SMALL, solver=solver, eval_metric="auc").fit(X, Y)


def _closeness(scale, y, predictions):
    return -scale * float(np.abs(predictions - y).mean())


def test_metrics_without_a_name_are_named_after_their_function():
    metric = functools.partial(_closeness, 2.0)
    estimator = cr.MLPRegressor(**SMALL, eval_metric=[metric, "loss", "rmse"])
    estimator.fit(X_VALUES, Y_VALUES, X_val=X_VALUES, y_val=Y_VALUES)
    assert list(estimator.history_.metrics) == ["_closeness", "rmse"]
    assert estimator.best_validation_score_ == max(estimator.history_.metrics["_closeness"])
    with pytest.raises(ValueError, match="'loss' must not come first in a longer list"):
        estimator.set_params(eval_metric=["loss", "rmse"]).fit(X_VALUES, Y_VALUES)


def test_score_of_quantiles_is_the_mean_d2_pinball_score():
    levels = [0.1, 0.5, 0.9]
    estimator = cr.MLPRegressor(cr.Quantile(levels), 8, max_iter=200, learning_rate_init=0.01, random_state=0)
    quantiles = estimator.fit(X_VALUES, Y_VALUES).predict(X_VALUES).T
    scores = [d2_pinball_score(Y_VALUES, q, alpha=level) for q, level in zip(quantiles, levels, strict=True)]
    assert estimator.score(X_VALUES, Y_VALUES) == pytest.approx(np.mean(scores))
    assert np.mean(scores) > 0.5


def test_categorical_features_make_number_columns_levels():
    pd, _ = pytest.importorskip("pandas"), pytest.importorskip("narwhals")
    table = pd.DataFrame({"size": X[:, 0], "kind": Y.astype(float)})
    estimator = cr.MLPClassifier(**SMALL, categorical_features=["kind"]).fit(table, Y)
    assert estimator.network_.layer_sizes[0] > 3
    assert cr.MLPClassifier(**SMALL, categorical_features=[1]).fit(table.to_numpy(), Y).network_.layer_sizes[0] > 3
    with pytest.raises(ValueError, match="the table has no column 'sort', which categorical_features names"):
        cr.MLPClassifier(**SMALL, categorical_features=["sort"]).fit(table, Y)


def test_missing_values_after_a_fit_without_missing_values_raise_with_the_remedy():
    pd, _ = pytest.importorskip("pandas"), pytest.importorskip("narwhals")
    table = pd.DataFrame(X, columns=list("abcd")).copy()
    estimator = cr.MLPClassifier(**SMALL).fit(table, Y)
    table.loc[3, "b"] = np.nan
    with pytest.raises(ValueError, match=r"(?s)NaN.*fit with preprocess=True"):
        estimator.predict(table)


def test_errors_of_quantiles_on_tables_are_in_the_unit_of_the_targets():
    pd, _ = pytest.importorskip("pandas"), pytest.importorskip("narwhals")
    table = pd.DataFrame(X_VALUES, columns=list("abcdef")).assign(text="t")
    for metric in ("mae", "rmse"):
        estimator = cr.MLPRegressor(cr.Quantile([0.2, 0.8]), **SMALL, eval_metric=metric)
        estimator.fit(table, Y_VALUES, X_val=table, y_val=Y_VALUES)
        errors = estimator.predict(table) - Y_VALUES[:, None]
        expected = np.abs(errors).mean() if metric == "mae" else np.sqrt((errors**2).mean(axis=0)).mean()
        assert estimator.best_validation_score_ == pytest.approx(expected, rel=1e-5)


def test_linear_model_needs_no_activation():
    named, listed = (cr.MLPClassifier((), activation=a, max_iter=20, random_state=0) for a in ("relu", []))
    assert same(named.fit(X, Y), listed.fit(X, Y))


def test_wrong_loss_and_callbacks_raise():
    with pytest.raises(ValueError, match=r"'loss' parameter of MLPRegressor must be the name of a loss.*Got \(5,\)"):
        cr.MLPRegressor((5,)).fit(X_VALUES, Y_VALUES)
    for callbacks in (None, print):
        with pytest.raises(TypeError, match="must be an iterable of callbacks, such as"):
            cr.MLPRegressor(callbacks=callbacks).fit(X_VALUES, Y_VALUES)


def test_falling_scores_of_a_lower_is_better_metric_are_improvements():
    """If scores fall in every epoch, each epoch counts as an improvement."""
    scores = iter(np.linspace(9, 1, 40))

    def falling(y, predictions):
        return next(scores)

    falling.more_is_better = False
    clf = cr.MLPClassifier(eval_metric=falling, max_iter=20, random_state=0).fit(X, Y, X_val=X, y_val=Y)
    assert clf.best_validation_score_ == min(clf.validation_scores_)
    assert clf._no_improvement_count == 0


@pytest.mark.parametrize("method", ["fit", "partial_fit"])
@pytest.mark.parametrize(
    ("name", "value"),
    [("hidden_layer_sizes", 7), ("hidden_layer_sizes", (5, 5)), ("dtype", "float32"), ("preprocess", True)],
)
@pytest.mark.parametrize("kind", [cr.MLPClassifier, cr.MLPRegressor])
def test_changed_layers_under_warm_start_raise(kind, name, value, method):
    estimator = kind(**SMALL, warm_start=True).fit(X, Y)
    parameters = estimator.network_.parameters.copy()
    with pytest.raises(ValueError, match=f"{name} was .* when the network was made and is .* warm_start=False"):
        getattr(estimator.set_params(**{name: value}), method)(X, Y)
    assert np.array_equal(estimator.network_.parameters, parameters)
    assert estimator.set_params(warm_start=False).fit(X, Y).network_.parameters.size > 0


def test_layers_may_be_a_list_tuple_or_array_under_warm_start():
    estimator = cr.MLPRegressor(**SMALL, warm_start=True).fit(X, Y)
    for sizes in ([5], (5,), np.array([5])):
        estimator.set_params(hidden_layer_sizes=sizes, dtype=None).fit(X, Y).partial_fit(X, Y)


@pytest.mark.parametrize(("before", "after"), [("squared_error", "poisson"), ("poisson", "absolute_error")])
def test_warm_start_with_a_loss_of_another_unit_raises(before, after):
    pd, _ = pytest.importorskip("pandas"), pytest.importorskip("narwhals")
    table, values = pd.DataFrame(X).rename(columns=str).assign(kind="a"), 100 + 10 * X[:, 0]
    estimator = cr.MLPRegressor(before, **SMALL, warm_start=True).fit(table, values)
    predictions = estimator.predict(table)
    estimator.set_params(loss=after)
    for use in (estimator.predict, lambda table: estimator.fit(table, values)):
        with pytest.raises(ValueError, match=r"needs other targets than the network.*fit with warm_start=False"):
            use(table)
    assert (estimator.set_params(loss=before).predict(table) == predictions).all()


@pytest.mark.parametrize("schedule", [cr.Cosine(), cr.OneCycle(), {"learning_rate": cr.Cosine(warmup=1)}])
@pytest.mark.parametrize("kind", [cr.MLPClassifier, cr.MLPRegressor])
def test_partial_fit_needs_the_length_of_a_schedule(kind, schedule):
    given = {"classes": [0, 1, 2]} if kind is cr.MLPClassifier else {}
    with pytest.raises(ValueError, match="has no length, and a fit of one epoch is too short for it: set its epochs"):
        kind(**SMALL, learning_rate=schedule).partial_fit(X, Y, **given)
    with pytest.raises(ValueError, match="set its epochs"):
        kind(**SMALL, learning_rate=schedule).fit(X, Y).partial_fit(X, Y)


@pytest.mark.parametrize("schedule", [cr.Cosine(epochs=30), cr.OneCycle(epochs=30), cr.Cosine(restart_every=2)])
def test_partial_fit_with_the_length_of_a_schedule_learns(schedule):
    estimator = cr.MLPRegressor(**SMALL, learning_rate=schedule, learning_rate_init=0.05)
    costs = [estimator.partial_fit(X_VALUES, Y_VALUES).loss_ for _ in range(20)]
    assert costs[-1] < costs[5] < costs[0]
