"""Metrics of validation rows, held-out fractions, and the metric that stops training: scikit-learn as the oracle."""

from functools import partial

import numpy as np
import pytest
import sklearn.metrics as skm

import chainrule as cr
from chainrule import _core
from chainrule.validation import split_rows

random = np.random.default_rng(0)
X = random.normal(size=(120, 4))
V = random.normal(size=(80, 4))
weights = random.uniform(0.5, 2, 80)


def scored(loss, y, y_validation, metrics, outputs, weight=None, epochs=3):
    """Each metric after the last epoch, and the predictions there."""
    net = cr.Network([4, 6, outputs], activation="tanh", loss=loss, dtype="float64", seed=0)
    held_out = (V, y_validation) if weight is None else (V, y_validation, weight)
    history = net.fit(X, y, epochs=epochs, validation=held_out, metrics=metrics)
    assert {name: len(values) for name, values in history.metrics.items()} == dict.fromkeys(metrics, epochs)
    return {name: values[-1] for name, values in history.metrics.items()}, net.predict(V)


@pytest.mark.parametrize("weight", [None, weights], ids=["", "weighted"])
def test_classification_metrics_equal_scikit_learn(weight):
    random = np.random.default_rng(1)
    y, y_validation = random.integers(0, 3, 120), random.integers(0, 3, 80)
    names = ["accuracy", "balanced_accuracy", "log_loss", "auc", "average_precision"]
    got, p = scored("softmax_cross_entropy", y, y_validation, names, 3, weight)
    aucs = [skm.roc_auc_score(y_validation == k, p[:, k], sample_weight=weight) for k in range(3)]
    assert got == pytest.approx(
        {
            "accuracy": skm.accuracy_score(y_validation, p.argmax(axis=1), sample_weight=weight),
            "balanced_accuracy": skm.balanced_accuracy_score(y_validation, p.argmax(axis=1), sample_weight=weight),
            "log_loss": skm.log_loss(y_validation, p, sample_weight=weight),
            "auc": np.mean(aucs),
            "average_precision": skm.average_precision_score(y_validation, p, sample_weight=weight),
        },
        rel=1e-12,
    )


@pytest.mark.parametrize("weight", [None, weights], ids=["", "weighted"])
def test_binary_metrics_equal_scikit_learn(weight):
    random = np.random.default_rng(1)
    y, y_validation = random.integers(0, 2, 120), random.integers(0, 2, 80)
    names = ["auc", "accuracy", "balanced_accuracy", "log_loss", "average_precision"]
    got, p = scored("binary_cross_entropy", y, y_validation, names, 1, weight)
    p = p[:, 0]
    assert got == pytest.approx(
        {
            "auc": skm.roc_auc_score(y_validation, p, sample_weight=weight),
            "accuracy": skm.accuracy_score(y_validation, p > 0.5, sample_weight=weight),
            "balanced_accuracy": skm.balanced_accuracy_score(y_validation, p > 0.5, sample_weight=weight),
            "log_loss": skm.log_loss(y_validation, p, sample_weight=weight),
            "average_precision": skm.average_precision_score(y_validation, p, sample_weight=weight),
        },
        rel=1e-12,
    )


def test_multilabel_metrics_equal_scikit_learn():
    random = np.random.default_rng(1)
    y, y_validation = random.integers(0, 2, (120, 3)), random.integers(0, 2, (80, 3))
    names = ["accuracy", "balanced_accuracy", "log_loss", "auc", "average_precision"]
    got, p = scored("binary_cross_entropy", y, y_validation, names, 3)
    recalls = [
        skm.recall_score(y_validation[:, j], p[:, j] > 0.5, pos_label=label) for j in range(3) for label in (0, 1)
    ]
    assert got == pytest.approx(
        {
            "accuracy": skm.accuracy_score(y_validation, p > 0.5),
            "balanced_accuracy": np.mean(recalls),
            "log_loss": np.mean([skm.log_loss(y_validation[:, j], p[:, j]) for j in range(3)]),
            "auc": skm.roc_auc_score(y_validation, p),
            "average_precision": skm.average_precision_score(y_validation, p),
        },
        rel=1e-12,
    )


@pytest.mark.parametrize("weight", [None, np.arange(60) % 3], ids=["", "weighted"])
@pytest.mark.parametrize(
    ("metric", "oracle"), [("auc", skm.roc_auc_score), ("average_precision", skm.average_precision_score)]
)
def test_equal_predictions_are_one_threshold(metric, oracle, weight):
    random = np.random.default_rng(1)
    net = cr.Network([1, 1], loss="binary_cross_entropy", dtype="float64", seed=0)
    held_out = np.round(random.normal(size=(60, 1))), random.integers(0, 2, 60)
    validation = held_out if weight is None else (*held_out, weight)
    history = net.fit([[0.0], [1.0]], [0, 1], epochs=1, validation=validation, metrics=metric)
    expected = oracle(held_out[1], net.predict(held_out[0])[:, 0], sample_weight=weight)
    assert history.metrics[metric][0] == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("weight", [None, weights], ids=["", "weighted"])
@pytest.mark.parametrize("outputs", [1, 2])
def test_regression_metrics_equal_scikit_learn(weight, outputs):
    random = np.random.default_rng(1)
    y, y_validation = random.normal(size=(120, outputs)), random.normal(size=(80, outputs))
    got, p = scored("squared_error", y, y_validation, ["r2", "mae", "rmse", "mape"], outputs, weight)
    assert got == pytest.approx(
        {
            "r2": skm.r2_score(y_validation, p, sample_weight=weight),
            "mae": skm.mean_absolute_error(y_validation, p, sample_weight=weight),
            "rmse": skm.root_mean_squared_error(y_validation, p, sample_weight=weight),
            "mape": skm.mean_absolute_percentage_error(y_validation, p, sample_weight=weight),
        },
        rel=1e-12,
    )


def test_mape_of_zero_targets_equals_scikit_learn():
    y, predictions = np.array([0.0, -2.0, 3.0]), np.array([[0.0], [1.0], [2.0]])
    assert _core.score("mape", "squared_error", predictions, y) == pytest.approx((1.5 + 1 / 3) / 3)
    expected = skm.mean_absolute_percentage_error(y, predictions + 1)
    assert _core.score("mape", "squared_error", predictions + 1, y) == pytest.approx(expected, rel=1e-12)


def test_callable_metric_receives_targets_unchanged():
    random = np.random.default_rng(1)
    y, y_validation = random.normal(size=120), random.normal(size=80)
    seen = []

    def largest_error(y_true, y_pred, sample_weight):
        seen.append((y_true, y_pred, sample_weight))
        return abs(y_true - y_pred).max()

    largest_error.more_is_better = False
    net = cr.Network([4, 1], loss="squared_error", dtype="float64", seed=0)
    history = net.fit(X, y, epochs=2, validation=(V, y_validation, weights), metrics=[largest_error, "mae"])
    y_true, y_pred, w = seen[-1]
    assert np.array_equal(y_true, y_validation)
    assert np.array_equal(w, weights)
    assert np.array_equal(y_pred, net.predict(V)[:, 0])
    assert history.metrics["largest_error"][-1] == abs(y_true - y_pred).max()
    assert list(history.metrics) == ["largest_error", "mae"]


def test_exception_in_a_callable_metric_is_raised():
    net = cr.Network([4, 1], loss="squared_error", seed=0)
    with pytest.raises(ZeroDivisionError):
        net.fit(X, X[:, 0], validation=(V, V[:, 0]), metrics=lambda y, p: 1 / 0, epochs=3)


@pytest.mark.parametrize(("more_is_better", "best"), [(True, 3), (False, 1)])
def test_the_first_metric_is_watched(more_is_better, best):
    """The scripted scores determine the stop and the best epoch."""
    scores = iter([0.1, 0.5, 0.9, 0.3, 0.2, 0.1, 0.1])
    parameters = []

    def scripted(y_true, y_pred):
        return next(scores)

    scripted.more_is_better = more_is_better
    net = cr.Network([4, 1], loss="squared_error", seed=0)
    history = net.fit(
        X,
        X[:, 0],
        epochs=7,
        validation=(V, V[:, 0]),
        metrics=scripted,
        stop=cr.Stop(no_improvement=3),
        callbacks=[lambda logs: parameters.append(net.parameters.copy())],
    )
    assert history.stop_reason == "no_improvement"
    assert history.best_epoch == best
    assert history.epochs == best + 3
    assert np.array_equal(net.parameters, parameters[best - 1])


def test_an_improvement_below_min_delta_does_not_count():
    scores = iter([0.5, 0.505, 0.509, 0.515, 0.52])
    net = cr.Network([4, 1], loss="squared_error", seed=0)
    stop = cr.Stop(no_improvement=2, min_delta=0.01)
    history = net.fit(X, X[:, 0], epochs=5, validation=(V, V[:, 0]), metrics=lambda y, p: next(scores), stop=stop)
    assert history.epochs == 3
    assert history.best_epoch == 3  # the best parameters are kept, however small the improvement


def test_a_plateau_at_a_low_rate_ends_the_training():
    net = cr.Network([4, 1], loss="squared_error", seed=0)
    history = net.fit(
        X,
        X[:, 0],
        optimizer=cr.SGD(learning_rate=1.0),
        epochs=100,
        validation=(V, V[:, 0]),
        metrics=lambda y, p: 0.0,
        schedules=cr.ReduceOnPlateau(factor=0.1, patience=1),
        stop=cr.Stop(learning_rate_below=0.05),
    )
    assert history.learning_rate == pytest.approx([1, 1, 1, 0.1, 0.1, 0.01, 0.01])
    assert history.stop_reason == "learning_rate_below"


@pytest.mark.parametrize("loss", ["softmax_cross_entropy", "binary_cross_entropy", "squared_error"])
def test_validation_fraction_holds_rows_out(loss):
    y = np.repeat([0, 1], [90, 30])
    outputs = 2 if loss == "softmax_cross_entropy" else 1
    net = cr.Network([4, 5, outputs], loss=loss, dtype="float64", seed=3)
    seen = []
    net.fit(X, y, epochs=2, validation=0.2, metrics=lambda y, p: seen.append(y) or 0.0)
    assert len(seen[0]) == 24
    if loss != "squared_error":
        assert seen[0].sum() == 6
    from chainrule.validation import split_rows

    train, held_out = split_rows(y, 0.2, loss, 3)
    assert sorted([*train, *held_out]) == list(range(120))
    by_hand = cr.Network([4, 5, outputs], loss=loss, dtype="float64", seed=3)
    history = by_hand.fit(X[train], y[train], epochs=2, validation=(X[held_out], y[held_out]))
    assert np.array_equal(net.parameters, by_hand.parameters)
    assert history.validation.shape == (2,)


def named(name):
    """A metric of this name."""

    def metric(y_true, y_pred):
        return 1.0

    metric.__name__ = name
    return metric


def test_metrics_with_equal_names_are_numbered():
    net = cr.Network([4, 1], loss="squared_error", seed=0)
    constant = partial(lambda y_true, y_pred, value: value, value=2.0)
    metrics = [constant, named("f_2"), named("f"), named("f"), "mae", named("mae"), named("f")]
    history = net.fit(X, X[:, 0], epochs=2, validation=(V, V[:, 0]), metrics=metrics)
    assert list(history.metrics) == ["<lambda>", "f_2", "f", "f_3", "mae", "mae_2", "f_4"]
    assert history.metrics["<lambda>"].tolist() == [2.0, 2.0]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"metrics": "accuracy"}, "validation"),
        ({"metrics": "accuracy", "validation": (V, V[:, 0])}, "is for classes"),
        ({"metrics": "acuracy", "validation": (V, V[:, 0])}, "'acuracy' is unknown"),
        ({"metrics": named("loss"), "validation": (V, V[:, 0])}, "'loss', which the logs use"),
        ({"validation": 1.5}, "fraction between 0 and 1"),
        ({"validation": 1e-9}, "leaves none"),
    ],
)
def test_wrong_metrics_and_validation_raise(arguments, message):
    net = cr.Network([4, 1], loss="squared_error", seed=0)
    before = net.parameters.copy()
    with pytest.raises(ValueError, match=message):
        net.fit(X, X[:, 0], **arguments)
    assert np.array_equal(net.parameters, before)


@pytest.mark.parametrize("soft", [False, True])
def test_label_matrix_is_split_stratified(soft):
    rows = np.eye(3)[np.repeat([0, 1, 2], [60, 30, 10])]
    y = 0.8 * rows + 0.01 * np.random.default_rng(0).uniform(size=rows.shape) if soft else rows
    _, held_out = split_rows(y, 0.2, "softmax_cross_entropy", seed=0)
    assert rows[held_out].sum(axis=0).tolist() == [12, 6, 2]
