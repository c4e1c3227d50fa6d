"""A watched metric without a value is replaced by the validation cost, with a warning."""

import contextlib

import numpy as np
import pytest

import chainrule as cr
from chainrule.estimators import MLPClassifier, MLPRegressor

random = np.random.default_rng(0)
X = random.normal(size=(120, 4))
V = random.normal(size=(60, 4))
Y = X[:, 0] + 0.3 * random.normal(size=120)
CONSTANT = np.full(60, 0.1)  # the computed mean is not exactly 0.1
OPTIONS = {"optimizer": cr.Adam(learning_rate=0.05), "batch_size": 32, "epochs": 30, "seed": 1}
WATCHED = r"^the metric {} is {} in epoch {}\b.*; instead, the validation cost of all epochs"


def network(outputs=1, loss="squared_error"):
    return cr.Network([4, 8, outputs], activation="tanh", loss=loss, dtype="float64", seed=0)


def outcome(history, net):
    epochs = history.loss.tolist(), history.validation.tolist(), history.learning_rate.tolist()
    return epochs, history.best_epoch, history.stop_reason, history.watched, net.parameters.tobytes()


def scripted(scores):
    """A metric that returns these values, one an epoch."""
    left = iter(scores)

    def metric(y_true, y_pred, sample_weight=None):
        return next(left)

    return metric


CASES = {
    "r2 of constant targets": ("r2", "squared_error", 1, Y, CONSTANT, None),
    "r2 where the rows with a weight are constant": (
        "r2", "squared_error", 1, Y, np.r_[CONSTANT[:-1], 5.0], np.r_[np.ones(59), 0.0],
    ),
    "r2 where one output of two is constant": (
        "r2", "squared_error", 2, np.c_[Y, Y], np.c_[V[:, 0], CONSTANT], None,
    ),
    "auc without a class": ("auc", "binary_cross_entropy", 1, Y > 0, np.ones(60), None),
    "auc where a class has no weight": (
        "auc", "binary_cross_entropy", 1, Y > 0, np.arange(60) % 2, np.arange(60) % 2 * 1.0,
    ),
    "auc without one class of three": (
        "auc", "softmax_cross_entropy", 3, np.arange(120) % 3, np.arange(60) % 2, None,
    ),
    "a callable that returns NaN": (lambda y, p, w=None: np.nan, "squared_error", 1, Y, V[:, 0], None),
    "a callable that returns infinity": (lambda y, p, w=None: np.inf, "squared_error", 1, Y, V[:, 0], None),
    "a callable that returns minus infinity": (lambda y, p, w=None: -np.inf, "squared_error", 1, Y, V[:, 0], None),
}  # fmt: skip


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("with_ema", [False, True], ids=["", "ema"])
def test_validation_cost_replaces_the_metric_from_the_first_epoch(case, with_ema):
    metric, loss, outputs, y, y_held, weight = CASES[case]
    held = (V, y_held) if weight is None else (V, y_held, weight)
    options = OPTIONS | {"validation": held, "stop": cr.Stop(no_improvement=4), "ema": 0.9 if with_ema else None}
    options["schedules"] = cr.ReduceOnPlateau(factor=0.5, patience=2)
    by_cost, by_metric = network(outputs, loss), network(outputs, loss)
    wanted = outcome(by_cost.fit(X, y, **options), by_cost)
    with pytest.warns(UserWarning, match=WATCHED.format("(auc|r2|<lambda>)", "(nan|-?inf)", 1)) as warned:
        history = by_metric.fit(X, y, metrics=[metric, lambda *given: 0.0], **options)
    assert len(warned) == 1
    assert warned[0].filename == __file__
    assert history.watched == "validation"
    assert not np.isfinite(next(iter(history.metrics.values()))).any()
    assert outcome(history, by_metric) == wanted
    assert history.epochs > 1


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("more_is_better", [True, False])
def test_metric_lost_midway_selects_the_best_epoch_by_cost(bad, more_is_better):
    scores = [0.5, 0.1, 0.2, 0.3, 0.4, bad, *[0.45] * 30]
    metric = scripted(scores)
    metric.more_is_better = more_is_better
    options = OPTIONS | {"validation": (V, V[:, 0]), "stop": cr.Stop(no_improvement=6), "l2": 0.0}
    by_cost, by_metric = network(), network()
    wanted = outcome(by_cost.fit(X, Y, **options), by_cost)
    with pytest.warns(UserWarning, match=WATCHED.format("metric", "(nan|-?inf)", 6)):
        history = by_metric.fit(X, Y, metrics=metric, **options)
    assert outcome(history, by_metric) == wanted


def test_plateau_counts_from_the_epoch_that_lost_the_metric():
    costs_rise = {"optimizer": cr.SGD(learning_rate=1e-9), "batch_size": None, "shuffle": False}
    options = OPTIONS | costs_rise | {"validation": (X, Y), "epochs": 12}
    schedule = cr.ReduceOnPlateau(factor=0.5, patience=2, min_delta=1.0)  # no epoch is an improvement
    with pytest.warns(UserWarning, match="epoch 3"):
        history = network().fit(X, Y, metrics=scripted([1.0, 2.5, np.nan, *[9.0] * 9]), schedules=schedule, **options)
    rates = history.learning_rate / 1e-9
    assert rates.tolist() == [1, 1, 1, 1, 1, 0.5, 0.5, 0.5, 0.25, 0.25, 0.25, 0.125]


@pytest.mark.parametrize("interrupted_after", [2, 5, 8])
def test_resuming_after_a_lost_metric_equals_an_uninterrupted_fit(interrupted_after):
    scores = [0.5, 0.1, 0.2, 0.3, 0.4, np.nan, *[0.45] * 30]
    options = OPTIONS | {"validation": (V, V[:, 0]), "stop": cr.Stop(no_improvement=50)}

    def expecting_a_warning(yes):
        return pytest.warns(UserWarning, match="in epoch 6;") if yes else contextlib.nullcontext()

    once = network()
    with expecting_a_warning(True):
        whole = once.fit(X, Y, metrics=scripted(scores), **options | {"epochs": 12})
    twice = network()
    with expecting_a_warning(interrupted_after > 5):
        first = twice.fit(X, Y, metrics=scripted(scores), keep_state=True, **options | {"epochs": interrupted_after})
    with expecting_a_warning(interrupted_after <= 5):
        rest = twice.fit(
            X, Y, metrics=scripted(scores[interrupted_after:]), resume=first.state,
            **options | {"epochs": 12 - interrupted_after},
        )  # fmt: skip
    assert rest.watched == whole.watched == "validation"
    assert twice.parameters.tobytes() == once.parameters.tobytes()
    if whole.best_epoch > interrupted_after:
        assert rest.best_epoch == whole.best_epoch - interrupted_after


def test_watched_metric_is_in_the_history():
    def watched(**options):
        return network().fit(X, Y, epochs=2, **options).watched

    assert watched() == "loss"
    assert watched(validation=(V, V[:, 0])) == "validation"
    assert watched(validation=(V, V[:, 0]), metrics=["mae", "r2"]) == "mae"
    assert watched(validation=(V, V[:, 0]), metrics=[scripted([1, 2])]) == "metric"
    [history] = cr.fit_many([network()], X, Y, epochs=2)
    assert history.watched == "loss"


def test_unwatched_metric_may_be_undefined():
    history = network().fit(X, Y, epochs=2, validation=(V, CONSTANT), metrics=["mae", "r2"])
    assert history.watched == "mae"
    assert np.isnan(history.metrics["r2"]).all()


def test_constant_targets_do_not_warn():
    history = network().fit(X, np.ones(120), epochs=3, validation=0.2, metrics="r2", stop=cr.Stop(no_improvement=2))
    assert history.watched == "validation"
    assert np.isnan(history.metrics["r2"]).all()


def test_r2_is_defined_for_targets_that_differ_in_the_last_digit():
    y = CONSTANT.copy()
    y[7] = np.nextafter(0.1, 1)
    history = network().fit(X, Y, epochs=1, validation=(V, y), metrics="r2")
    assert np.isfinite(history.metrics["r2"]).all()


def test_other_metrics_are_defined_where_a_class_is_absent():
    names = ["balanced_accuracy", "accuracy", "log_loss"]
    net = network(loss="binary_cross_entropy")
    history = net.fit(X, Y > 0, epochs=2, validation=(V, np.ones(60)), metrics=names)
    assert np.isfinite([history.metrics[name] for name in names]).all()
    assert history.watched == "balanced_accuracy"


pytestmark = pytest.mark.filterwarnings("ignore:.*hasn't converged yet")
FAST = {"hidden_layer_sizes": (8,), "max_iter": 30, "n_iter_no_change": 5, "random_state": 0, "early_stopping": True}


def test_regressor_with_constant_held_out_targets_keeps_training():
    early = MLPRegressor(**FAST)
    with pytest.warns(UserWarning, match=WATCHED.format("r2", "nan", 1)):
        early.fit(X, Y, X_val=V, y_val=np.full(60, Y.mean()))
    assert early.history_.watched == "validation"
    assert early.history_.best_epoch == int(early.history_.validation.argmin()) + 1
    assert early.n_iter_ > 6
    assert np.isnan(early.best_validation_score_)


def test_classifier_with_a_class_absent_from_held_out_rows_keeps_training():
    classifier = MLPClassifier(**FAST, eval_metric="auc")
    rows = Y > 0
    with pytest.warns(UserWarning, match=WATCHED.format("auc", "nan", 1)):
        classifier.fit(X, rows, X_val=X[rows], y_val=rows[rows])
    assert classifier.history_.watched == "validation"
    assert classifier.history_.best_epoch == int(classifier.history_.validation.argmin()) + 1


def test_estimator_metric_that_returns_nan_warns():
    regressor = MLPRegressor(**FAST, eval_metric=lambda y_true, y_pred: np.nan)
    with pytest.warns(UserWarning, match=WATCHED.format("<lambda>", "nan", 1)):
        regressor.fit(X, Y)
    assert regressor.history_.best_epoch == int(regressor.history_.validation.argmin()) + 1
