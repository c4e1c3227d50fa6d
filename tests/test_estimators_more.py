"""Features of the estimators that scikit-learn's do not have."""

import numpy as np
import pytest

pytest.importorskip("sklearn")

from sklearn.datasets import load_iris, make_multilabel_classification, make_regression
from sklearn.metrics import accuracy_score, log_loss, r2_score
from sklearn.model_selection import train_test_split

import chainrule as cr

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning", "ignore:The network predicts")

X, Y = load_iris(return_X_y=True)
X = (X - X.mean(axis=0)) / X.std(axis=0)
X_VALUES, Y_VALUES = make_regression(120, 6, noise=10.0, random_state=0)
Y_VALUES /= Y_VALUES.std()


def classifier(**parameters):
    defaults = {"hidden_layer_sizes": 8, "max_iter": 20, "random_state": 0, "learning_rate_init": 0.01}
    return cr.MLPClassifier(**{**defaults, **parameters})


def regressor(**parameters):
    defaults = {"hidden_layer_sizes": 8, "max_iter": 20, "random_state": 0, "learning_rate_init": 0.01}
    return cr.MLPRegressor(**{**defaults, **parameters})


def same(a, b):
    return np.array_equal(a.network_.parameters, b.network_.parameters)


def like(estimator, X, y, **options):
    """A network that begins where an estimator does, trained by `Network.fit` itself."""
    fresh = cr.MLPClassifier if isinstance(estimator, cr.MLPClassifier) else cr.MLPRegressor
    first = fresh(**{**estimator.get_params(), "max_iter": 1, "learning_rate_init": 1e-300, "solver": "adam",
                     "learning_rate": "constant", "dropout": 0.0, "input_dropout": 0.0, "weight_decay": 0.0,
                     "ema": None, "batch_size": len(X)})  # fmt: skip
    network = first.fit(X, y).network_
    options = {
        "l2": 1e-4,
        "l2_per_row": True,
        "batch_size": min(200, len(X)),
        "epochs": 20,
        "shuffle": False,
        **options,
    }
    network.fit(X, y, stop=cr.Stop(no_improvement=11, min_delta=1e-4), **options)
    return network


def test_parameters_keep_scikit_learn_order_and_defaults():
    import inspect

    from sklearn import neural_network

    for name in ("MLPClassifier", "MLPRegressor"):
        theirs = inspect.signature(getattr(neural_network, name)).parameters
        ours = inspect.signature(getattr(cr, name)).parameters
        assert list(ours)[: len(theirs)] == list(theirs)
        for parameter, value in theirs.items():
            assert (ours[parameter].default, ours[parameter].kind) == (value.default, value.kind)
        assert all(value.kind is value.KEYWORD_ONLY for value in list(ours.values())[len(theirs) :])


@pytest.mark.parametrize(
    "solver", [cr.AdamW(learning_rate=0.01), cr.RMSprop(learning_rate=0.01), cr.Adagrad(learning_rate=0.1)]
)
def test_optimizers_give_the_same_bits_as_network_fit(solver):
    estimator = classifier(solver=solver, shuffle=False)
    network = like(estimator, X, Y, optimizer=solver)
    assert np.array_equal(estimator.fit(X, Y).network_.parameters, network.parameters)


def test_lbfgs_optimizer_trains_and_has_no_partial_fit():
    estimator = classifier(solver=cr.LBFGS(history=5), max_iter=200, alpha=1.0).fit(X, Y)
    assert estimator.score(X, Y) > 0.95
    assert not hasattr(estimator, "partial_fit")


@pytest.mark.parametrize("schedule", [cr.Cosine(warmup=2), cr.OneCycle(), lambda epoch: 0.9**epoch])
def test_schedules_give_the_same_bits_as_network_fit(schedule):
    estimator = classifier(learning_rate=schedule, solver=cr.Adam(learning_rate=0.02), shuffle=False)
    network = like(estimator, X, Y, optimizer=cr.Adam(learning_rate=0.02), schedules=schedule)
    assert np.array_equal(estimator.fit(X, Y).network_.parameters, network.parameters)
    assert len(set(estimator.history_.learning_rate)) > 1


@pytest.mark.parametrize("option", [{"weight_decay": 0.1}, {"clip_norm": 0.1}, {"ema": 0.9}, {"dropout": 0.5},
                                    {"input_dropout": 0.2}, {"dropout": [0.4]}])  # fmt: skip
def test_options_reach_the_network(option):
    estimator = regressor(**option, shuffle=False)
    given = dict(option)
    adam = cr.Adam(learning_rate=0.01, epsilon_hat=True, weight_decay=given.pop("weight_decay", 0.0))
    plain = regressor(shuffle=False).fit(X_VALUES, Y_VALUES)
    estimator.fit(X_VALUES, Y_VALUES)
    assert not same(estimator, plain)
    if "dropout" not in option and "input_dropout" not in option:  # the estimator draws their seed
        network = like(estimator, X_VALUES, Y_VALUES, optimizer=adam, **given)
        assert np.array_equal(estimator.network_.parameters, network.parameters)


@pytest.mark.parametrize("activation", ["gelu", "silu", "leaky_relu", ["mish", "tanh"], ("sin", "relu")])
def test_activations_may_be_one_name_or_one_per_layer(activation):
    estimator = classifier(hidden_layer_sizes=(8, 6), activation=activation, solver="lbfgs", max_iter=200).fit(X, Y)
    assert estimator.network_.activations == ((activation,) * 2 if isinstance(activation, str) else tuple(activation))
    assert estimator.score(X, Y) > 0.9


@pytest.mark.parametrize("loss", ["absolute_error", "huber", "huber, delta"])
def test_regression_losses_reach_a_score(loss):
    loss = cr.Huber(delta=0.5) if loss == "huber, delta" else loss
    estimator = regressor(loss=loss, max_iter=500).fit(X_VALUES, Y_VALUES)
    assert estimator.score(X_VALUES, Y_VALUES) > 0.9
    assert estimator.out_activation_ == "identity"


def test_quantiles_cover_their_share_of_rows():
    estimator = regressor(loss=cr.Quantile(levels=[0.1, 0.9]), max_iter=800, early_stopping=True, tol=0.0)
    low, high = estimator.fit(X_VALUES, Y_VALUES).predict(X_VALUES).T
    assert 0.6 < np.mean((low <= Y_VALUES) & (high >= Y_VALUES)) < 0.95
    assert estimator.best_validation_score_ == min(estimator.validation_scores_)


def test_label_smoothing_bounds_the_probabilities():
    for y in (Y, Y > 0):
        estimator = classifier(loss=cr.SoftmaxCrossEntropy(label_smoothing=0.2), max_iter=500, alpha=0.0).fit(X, y)
        assert estimator.out_activation_ == "softmax"
        assert np.median(estimator.predict_proba(X).max(axis=1)) < 0.95
        assert estimator.score(X, y) > 0.9


def test_custom_loss_equals_the_built_in():
    def loss(logits, y, weight):
        error = logits[:, 0] - y.reshape(-1)
        return 0.5 * float(np.mean(error**2)), (error / len(y)).reshape(-1, 1)

    own, built_in = (regressor(loss=name, max_iter=10).fit(X_VALUES, Y_VALUES) for name in (loss, "squared_error"))
    np.testing.assert_allclose(own.predict(X_VALUES), built_in.predict(X_VALUES), rtol=1e-6)


def test_losses_for_the_other_task_raise():
    with pytest.raises(ValueError, match="'loss' parameter of MLPClassifier must be 'log_loss'"):
        classifier(loss="squared_error").fit(X, Y)
    with pytest.raises(ValueError, match="hinge"):
        regressor(loss="hinge").fit(X_VALUES, Y_VALUES)


def test_class_weights_equal_sample_weights():
    weights = {0: 1.0, 1: 3.0, 2: 0.5}
    by_class = classifier(class_weight=weights).fit(X, Y)
    assert same(by_class, classifier().fit(X, Y, sample_weight=[weights[label] for label in Y]))
    both = classifier(class_weight=weights).fit(X, Y, sample_weight=np.arange(150.0))
    assert same(both, classifier().fit(X, Y, sample_weight=[i * weights[label] for i, label in enumerate(Y)]))
    rows = np.r_[0:50, 50:60, 100:105]
    balanced = classifier(class_weight="balanced").fit(X[rows], Y[rows])
    assert same(balanced, classifier(class_weight={0: 65 / 150, 1: 65 / 30, 2: 65 / 15}).fit(X[rows], Y[rows]))
    names = np.array(["a", "b", "c"])[Y]
    assert same(by_class, classifier(class_weight={"a": 1.0, "b": 3.0, "c": 0.5}).fit(X, names))


def test_class_weights_in_partial_fit_equal_sample_weights():
    by_class = classifier(class_weight={0: 2.0}).partial_fit(X, Y, classes=[0, 1, 2])
    assert same(by_class, classifier().partial_fit(X, Y, np.where(Y == 0, 2.0, 1.0), classes=[0, 1, 2]))
    with pytest.raises(ValueError, match="dict"):
        classifier(class_weight="balanced").partial_fit(X, Y, classes=[0, 1, 2])


def test_validation_data_are_watched():
    train, held_out = train_test_split(np.arange(150), random_state=1)
    estimator = classifier(max_iter=300, n_iter_no_change=3, learning_rate_init=0.1)
    estimator.fit(X[train], Y[train], X_val=X[held_out], y_val=Y[held_out])
    assert estimator.n_iter_ < 300
    assert len(estimator.validation_scores_) == estimator.n_iter_
    score = accuracy_score(Y[held_out], estimator.predict(X[held_out]))
    assert score == estimator.best_validation_score_ == max(estimator.validation_scores_)


def test_validation_data_use_their_own_weights():
    weight = np.linspace(0.0, 1.0, 150)
    estimator = classifier(eval_metric="log_loss", class_weight={0: 5.0})
    estimator.fit(X, Y, weight[::-1], X_val=X, y_val=Y, sample_weight_val=weight)
    expected = log_loss(Y, estimator.predict_proba(X), sample_weight=weight)
    assert estimator.best_validation_score_ == pytest.approx(expected, rel=1e-9)


def test_eval_metrics_are_recorded_and_the_first_one_stops():
    data = {"X_val": X[::2], "y_val": Y[::2]}
    estimator = classifier(eval_metric=["balanced_accuracy", "log_loss"]).fit(X, Y, **data)
    assert list(estimator.history_.metrics) == ["balanced_accuracy", "log_loss"]
    assert estimator.validation_scores_ == estimator.history_.metrics["balanced_accuracy"].tolist()
    loss = classifier(eval_metric="loss").fit(X, Y, **data)
    assert loss.best_validation_score_ == min(loss.validation_scores_) == loss.history_.validation.min()

    def mistakes(y, probabilities):
        return float(np.sum(probabilities.argmax(axis=1) != y))

    mistakes.more_is_better = False
    own = classifier(eval_metric=mistakes).fit(X, Y, **data)
    assert own.best_validation_score_ == min(own.validation_scores_)
    assert own.best_validation_score_ == np.sum(own.predict(X[::2]) != Y[::2])
    values = regressor(eval_metric="mae").fit(X_VALUES, Y_VALUES, X_val=X_VALUES, y_val=Y_VALUES)
    assert values.best_validation_score_ == pytest.approx(np.abs(values.predict(X_VALUES) - Y_VALUES).mean())
    assert r2_score(Y_VALUES, values.predict(X_VALUES)) == pytest.approx(values.score(X_VALUES, Y_VALUES))


def test_early_stopping_watches_all_labels_together():
    X_labels, labels = make_multilabel_classification(200, random_state=0)
    estimator = classifier().fit(X_labels, labels, X_val=X_labels, y_val=labels)
    assert estimator.best_validation_score_ == pytest.approx(estimator.score(X_labels, labels))


def test_validation_split_is_stratified():
    seen = []

    class Spy:
        def on_train_begin(self, network):
            seen.append(network)

    y = np.repeat([0, 1, 2], [90, 30, 30])
    estimator = classifier(early_stopping=True, stratify=True, validation_fraction=0.2, callbacks=[Spy()])
    with pytest.MonkeyPatch.context() as patch:
        fit = cr.Network.fit
        patch.setattr(cr.Network, "fit", lambda net, X, y, **options: seen.append(options) or fit(net, X, y, **options))
        estimator.fit(X, y)
    assert np.bincount(seen[0]["validation"].y).tolist() == [18, 6, 6]
    assert seen[1] is estimator.network_


def test_callbacks_receive_logs_and_may_stop():
    logs = []
    classifier(callbacks=[logs.append, lambda log: log["epoch"] == 7]).fit(X, Y)
    assert [log["epoch"] for log in logs] == [1, 2, 3, 4, 5, 6, 7]


def test_time_limit_ends_after_the_epoch():
    estimator = classifier(time_limit=1e-9, max_iter=1000, tol=0.0).fit(X, Y)
    assert estimator.n_iter_ == 1
    assert estimator.history_.stop_reason == "seconds"


def test_dtype_sets_type_of_network_and_probabilities():
    estimator = classifier(dtype="float32").fit(X, Y)
    assert estimator.network_.dtype == estimator.predict_proba(X).dtype == "float32"
    assert same(estimator, classifier().fit(X.astype("float32"), Y))
    with pytest.raises(ValueError, match="'dtype' parameter of MLPClassifier must be 'float32', 'float64' or None"):
        classifier(dtype="int32").fit(X, Y)


@pytest.mark.parametrize("parameters", [{}, {"solver": "lbfgs"}, {"dropout": 0.3, "batch_size": 20, "ema": 0.9},
                                        {"early_stopping": True, "solver": "sgd"}])  # fmt: skip
def test_number_of_threads_changes_no_bit(parameters):
    one, many = (classifier(hidden_layer_sizes=100, n_threads=n, **parameters).fit(X, Y) for n in (1, 3))
    assert same(one, many)
    assert one.loss_curve_ == many.loss_curve_
    assert np.array_equal(one.predict_proba(X), many.predict_proba(X))


def test_sparse_rows_give_the_same_bits_as_dense_rows():
    sparse = pytest.importorskip("scipy.sparse")
    rows = np.where(X > 0.5, X, 0.0)
    for convert in (sparse.csr_matrix, sparse.csc_array, sparse.coo_array):
        a, b = classifier().fit(rows, Y), classifier().fit(convert(rows), Y)
        np.testing.assert_allclose(a.network_.parameters, b.network_.parameters, rtol=1e-9)
        np.testing.assert_allclose(a.predict_proba(rows), b.predict_proba(convert(rows)), rtol=1e-9)


def test_sparse_labels_give_the_same_bits_as_dense_labels():
    sparse = pytest.importorskip("scipy.sparse")
    X_labels, labels = make_multilabel_classification(100, random_state=0)
    a, b = classifier().fit(X_labels, labels), classifier().fit(X_labels, sparse.csr_matrix(labels))
    assert same(a, b)
    assert sparse.issparse(b.predict(X_labels))
    assert (b.predict(X_labels) != a.predict(X_labels)).sum() == 0
