"""The estimators on a Dask cluster: the same bits as locally; labels, weights, validation data, lazy predictions."""

import pickle

import numpy as np
import pytest
from children.dask_fit import data

import chainrule as cr

distributed = pytest.importorskip("distributed", reason="the extra dask is not installed")
da = pytest.importorskip("dask.array", reason="the extra dask is not installed")
base = pytest.importorskip("sklearn.base")
pytestmark = [
    pytest.mark.filterwarnings("ignore:a step takes"),
    pytest.mark.filterwarnings("ignore:lbfgs failed to converge"),
    pytest.mark.filterwarnings("ignore:Stochastic Optimizer"),
]
X, Y, W = data()
NAMES = np.array(["no", "yes"])[Y]
VALUES = X[:, 0] * X[:, 1]
OPTIONS = {"hidden_layer_sizes": (10,), "max_iter": 8, "random_state": 3}


@pytest.fixture(scope="module")
def client():
    options = {"threads_per_worker": 1, "dashboard_address": ":0", "memory_limit": 0}
    with (
        distributed.LocalCluster(n_workers=2, processes=True, **options) as cluster,
        distributed.Client(cluster, set_as_default=False, timeout=60) as client,
    ):
        yield client


def chunked(array, size=2500):
    return da.from_array(array, chunks=(size, *array.shape[1:]))


def fitted(estimator, client, *arrays, **options):
    estimator.client = client
    return estimator.fit(*map(chunked, arrays), **options)


def weights(estimator):
    return [array.tobytes() for array in (*estimator.coefs_, *estimator.intercepts_)]


@pytest.mark.parametrize(
    "settings",
    [
        {"solver": "lbfgs"},
        {"solver": cr.Adam(learning_rate=0.01), "batch_size": 9000},
        {"solver": "sgd", "batch_size": 3000, "shuffle": False, "class_weight": "balanced"},
        {"solver": "lbfgs", "class_weight": {"yes": 2.0}, "dtype": "float64"},
    ],
)
def test_a_classifier_gives_the_same_bits_as_the_local_one(client, settings):
    for weight in ([], [W]):
        local = cr.MLPClassifier(**OPTIONS, **settings).fit(X, NAMES, *weight)
        remote = fitted(cr.DaskMLPClassifier(**OPTIONS, **settings), client, X, NAMES, *weight)
        assert weights(remote) == weights(local)
        assert remote.loss_curve_ == pytest.approx(local.loss_curve_, rel=1e-14)
        assert remote.classes_.tolist() == ["no", "yes"]
        assert (remote.n_iter_, remote.t_, remote.n_features_in_) == (local.n_iter_, local.t_, 6)


def test_a_regressor_gives_the_same_bits_as_the_local_one(client):
    for y in (VALUES, VALUES[:, np.newaxis], np.stack([VALUES, X[:, 2]], axis=1)):
        local = cr.MLPRegressor(**OPTIONS, solver="lbfgs").fit(X, y if y.shape[-1] != 1 else y[:, 0], W)
        remote = fitted(cr.DaskMLPRegressor(**OPTIONS), client, X, y, W)
        assert weights(remote) == weights(local)


LABELS = np.stack([Y, X[:, 1] > 0.5, X[:, 2] > X[:, 3]], axis=1).astype(int)


@pytest.mark.parametrize("by_class", [None, "balanced", [{0: 1.0, 1: 2.0}, {1: 3.0}, {0: 0.5}]])
def test_several_labels_equal_the_local_estimator_bit_for_bit(client, by_class):
    settings = {**OPTIONS, "class_weight": by_class, "solver": "lbfgs"}
    local = cr.MLPClassifier(**settings).fit(X, LABELS, W)
    remote = fitted(cr.DaskMLPClassifier(**settings), client, X, LABELS, W)
    assert weights(remote) == weights(local)
    assert remote.classes_.tolist() == [0, 1, 2]
    assert np.array_equal(client.compute(remote.predict(chunked(X))).result(), local.predict(X))
    assert remote.score(chunked(X), chunked(LABELS)) == local.score(X, LABELS)


EARLY = {"early_stopping": True, "validation_fraction": 0.2, "n_iter_no_change": 2, "max_iter": 40}


@pytest.mark.parametrize("by_class", [None, "balanced"])
@pytest.mark.parametrize(
    "batches",
    [
        {"batch_size": 10_000, "shuffle": False},
        {"batch_size": 3000, "shuffle": cr.WithinParts(1024)},
        {"batch_size": 3000, "shuffle": False},
    ],
)
@pytest.mark.parametrize("y", [NAMES, LABELS], ids=["classes", "labels"])
def test_early_stopping_holds_out_the_rows_of_the_local_estimator(client, y, batches, by_class):
    settings = {**OPTIONS, **EARLY, "solver": cr.Adam(learning_rate=0.03), "class_weight": by_class, **batches}
    weight = [] if by_class is None else [W]
    local_settings = {**settings, "batch_size": min(batches["batch_size"], 7200)}
    local = cr.MLPClassifier(**local_settings).fit(X, y, *weight)
    remote = fitted(cr.DaskMLPClassifier(**settings), client, X, y, *weight)
    assert weights(remote) == weights(local)
    assert remote.validation_scores_ == local.validation_scores_
    assert (remote.n_iter_, remote.t_, remote.history_.stop_reason) == (
        local.n_iter_,
        local.t_,
        local.history_.stop_reason,
    )


def test_early_stopping_of_a_regressor_holds_out_the_rows_of_the_local_one(client):
    settings = {**OPTIONS, **EARLY, "solver": "adam", "batch_size": 2048, "shuffle": cr.WithinParts(512)}
    local = cr.MLPRegressor(**settings).fit(X, VALUES, W)
    remote = fitted(cr.DaskMLPRegressor(**settings), client, X, VALUES, W)
    assert weights(remote) == weights(local)
    assert remote.validation_scores_ == local.validation_scores_


def test_dask_estimators_have_no_partial_fit(client):
    for estimator in (cr.DaskMLPClassifier(solver="adam"), cr.DaskMLPRegressor()):
        assert not hasattr(estimator, "partial_fit")
        with pytest.raises(AttributeError, match=r"has no partial_fit: .*warm_start=True.*to_local\(\)"):
            estimator.partial_fit(chunked(X), chunked(Y))


def test_tables_and_several_classes(client):
    pd, dd = pytest.importorskip("pandas"), pytest.importorskip("dask.dataframe")
    y = (X[:, 0] > 0).astype(int) * 5 + (X[:, 1] > 1)
    table = pd.DataFrame(X.astype("float64"), columns=list("abcdef")).assign(y=y)
    parts = dd.from_pandas(table, npartitions=3)
    local = cr.MLPClassifier(**OPTIONS, solver="lbfgs").fit(table[list("abcdef")], y)
    remote = cr.DaskMLPClassifier(**OPTIONS)
    remote.client = client
    remote.fit(parts[list("abcdef")], parts["y"])
    assert weights(remote) == weights(local)
    assert remote.feature_names_in_.tolist() == list("abcdef")
    assert remote.classes_.tolist() == [0, 1, 5, 6]
    found = client.compute(remote.predict(parts[list("abcdef")])).result()
    assert found.tolist() == local.predict(table[list("abcdef")]).tolist()


def test_predictions_of_dask_arrays_are_lazy_and_equal_those_of_the_local_estimator(client):
    clf = fitted(cr.DaskMLPClassifier(**OPTIONS), client, X, NAMES)
    local = clf.to_local()
    assert type(local) is cr.MLPClassifier
    for method in ("predict", "predict_proba", "predict_log_proba"):
        lazy, expected = getattr(clf, method)(chunked(X, 4000)), getattr(local, method)(X)
        assert isinstance(lazy, da.Array)
        assert (lazy.dtype, lazy.shape) == (expected.dtype, expected.shape)
        assert np.array_equal(client.compute(lazy).result(), expected)
        assert np.array_equal(getattr(clf, method)(X), expected)
    assert clf.score(chunked(X), chunked(NAMES)) == local.score(X, NAMES)
    assert clf.score(chunked(X), chunked(NAMES), chunked(W)) == pytest.approx(local.score(X, NAMES, W))
    reg = fitted(cr.DaskMLPRegressor(**OPTIONS), client, X, VALUES)
    assert reg.score(chunked(X), chunked(VALUES)) == reg.to_local().score(X, VALUES)


def test_validation_data_end_the_training_as_in_the_local_estimator(client):
    settings = {**OPTIONS, "solver": cr.Adam(learning_rate=0.05), "n_iter_no_change": 2, "max_iter": 60}
    easy = np.where(X[:, 0] > X[:, 1], "more", "less")
    held_out = {"X_val": X[:1000], "y_val": easy[:1000]}
    local = cr.MLPClassifier(**settings, batch_size=8000).fit(X[1000:], easy[1000:], **held_out)
    for data_set in (held_out, {name: chunked(array) for name, array in held_out.items()}):
        remote = fitted(cr.DaskMLPClassifier(**settings), client, X[1000:], easy[1000:], **data_set)
        assert weights(remote) == weights(local)
        assert remote.validation_scores_ == local.validation_scores_
        assert remote.history_.stop_reason == local.history_.stop_reason == "no_improvement"


def test_a_warm_start_continues_and_copies_keep_no_client(client):
    local = cr.MLPClassifier(**OPTIONS, solver="lbfgs", warm_start=True).fit(X, NAMES).fit(X, NAMES)
    clf = fitted(cr.DaskMLPClassifier(**OPTIONS, warm_start=True), client, X, NAMES)
    fitted(clf, client, X, NAMES)
    assert weights(clf) == weights(local)
    unpickled = pickle.loads(pickle.dumps(clf))
    assert weights(unpickled) == weights(clf)
    with pytest.raises(ValueError, match=r"No (global )?clients? found"):
        _ = base.clone(unpickled).client


def test_the_default_client_is_used(client):
    with distributed.Client(client.scheduler.address, set_as_default=True):
        clf = cr.DaskMLPClassifier(**OPTIONS).fit(chunked(X), chunked(NAMES))
    assert weights(clf) == weights(cr.MLPClassifier(**OPTIONS, solver="lbfgs").fit(X, NAMES))


@pytest.mark.parametrize(
    ("arrays", "options", "error", "message"),
    [
        ((X, NAMES), {}, TypeError, "X must be a dask array or table, got ndarray"),
        ((chunked(X), NAMES), {}, TypeError, "y must be a dask array or table, got ndarray"),
        ((chunked(X), chunked(np.stack([Y, Y + 1], 1))), {}, ValueError, "y has 2 columns of classes"),
        ((chunked(X), chunked(NAMES)), {"preprocess": True}, ValueError, "preprocess is not available"),
        ((chunked(X), chunked(NAMES)), {"solver": "adam", "batch_size": 50}, ValueError, "set shuffle=WithinParts"),
        ((chunked(X), chunked(NAMES)), {"loss": print}, ValueError, "a function as loss .*: .* fit MLPClassifier on X"),
        ((chunked(X), chunked(NAMES)), {"eval_metric": "auc"}, ValueError, "eval_metric needs validation data"),
        ((chunked(X), chunked(NAMES)), {"alpha": -1.0}, ValueError, "The 'alpha' parameter"),
    ],
)
def test_wrong_calls_are_refused_and_change_nothing(client, arrays, options, error, message):
    clf = cr.DaskMLPClassifier(**OPTIONS).set_params(**options)
    clf.client = client
    with pytest.raises(error, match=message):
        clf.fit(*arrays)
    assert not hasattr(clf, "coefs_")
