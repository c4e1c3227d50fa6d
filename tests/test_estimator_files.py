"""Estimators in model files: a loaded estimator predicts, scores and fits like an unpickled one."""

import contextlib
import json
import pickle
import warnings
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import safetensors.numpy
import scipy.sparse
from processes import run
from sklearn.base import clone
from sklearn.exceptions import NotFittedError

import chainrule as cr
from chainrule.estimators._files import RECORD, _write_parameters
from chainrule.estimators._files import save as save_estimator
from chainrule.model_file import Model, load_with_metadata, read_model, typed_labels

pytestmark = pytest.mark.filterwarnings("ignore:Stochastic Optimizer")
GOLDEN = Path(__file__).parent / "data" / "golden_table.safetensors"
RNG = np.random.default_rng(0)
X = RNG.normal(size=(60, 3))
SIGN = (X[:, 0] > 0).astype(int)
THREE = SIGN + (X[:, 1] > 0)
LABELS = (X > 0).astype(int)
VALUES = 3 * X[:, 0] + 100
TABLE = pd.DataFrame(
    {
        "size": np.where(X[:, 0] > 1, np.nan, X[:, 0]),
        "kind": np.where(X[:, 1] > 0, "old", "new"),
        "flag": X[:, 2] > 0,
        "day": pd.Timestamp("2020-01-01") + pd.to_timedelta(np.arange(60), "D"),
    }
)


def classifier(**options):
    return cr.MLPClassifier((5,), **{"max_iter": 5, "random_state": 0, **options})


def regressor(**options):
    return cr.MLPRegressor(**{"hidden_layer_sizes": (5,), "max_iter": 5, "random_state": 0, **options})


def own_metric(y, predictions):
    return float(np.mean(y == y))


CASES = {
    "two classes": (classifier(), X, SIGN),
    "classes of int8": (classifier(), X, THREE.astype(np.int8)),
    "classes of float": (classifier(), X, THREE.astype(float)),
    "classes of bool": (classifier(), X, SIGN == 1),
    "classes of text": (classifier(), X, np.array(["b", "ä", "c\n"])[THREE]),
    "classes of objects": (classifier(), X, np.array(["b", "ä", "c"], dtype=object)[THREE]),
    "a large class": (classifier(), X, 2**62 + SIGN),
    "several labels": (classifier(), X, LABELS),
    "sparse labels": (classifier(), X, scipy.sparse.csr_matrix(LABELS)),
    "smoothed": (classifier(loss=cr.SoftmaxCrossEntropy(0.1)), X, SIGN),
    "table": (classifier(), TABLE, np.array(["b", "a", "c"])[THREE]),
    "named columns": (classifier(), pd.DataFrame(X, columns=["a", "b", "c"]), SIGN),
    "sparse rows": (classifier(), scipy.sparse.csr_matrix(X), SIGN),
    "options": (
        classifier(
            activation=["gelu"],
            solver=cr.AdamW(learning_rate=0.01),
            learning_rate=cr.Cosine(epochs=20, warmup=2),
            n_iter_no_change=np.inf,
            class_weight={0: 2.0, np.int64(1): 1.0},
            dropout=[0.1],
            alpha=np.float32(0.1),
            dtype=np.float64,
            early_stopping=True,
            eval_metric=["auc", "accuracy"],
        ),
        X,
        SIGN,
    ),
    "random state": (classifier(random_state=np.random.RandomState(5)), X, SIGN),
    "lbfgs": (classifier(solver="lbfgs"), X.astype(np.float32), THREE),
    "linear": (cr.MLPClassifier((), max_iter=5, random_state=0), X, THREE),
    "values": (regressor(), X, VALUES),
    "several targets": (regressor(), X, X[:, :2]),
    "quantiles": (regressor(loss=cr.Quantile([0.1, 0.9])), X, VALUES),
    "huber": (regressor(loss=cr.Huber(2.0), solver=cr.LBFGS()), X, VALUES),
    "poisson": (regressor(loss="poisson"), X, SIGN),
    "tweedie": (regressor(loss=cr.Tweedie(1.2)), X, SIGN),
    "values of a table": (regressor(), TABLE, VALUES),
    "several targets of a table": (regressor(), TABLE, X[:, :2] * [1, 1000]),
    "quantiles of a table": (regressor(loss=cr.Quantile([0.1, 0.9])), TABLE, VALUES),
    "chosen categories": (regressor(categorical_features=["flag"], preprocess=True), TABLE, VALUES),
    "an encoder with settings": (regressor(preprocess=cr.TableEncoder(max_levels=5, decimal=",")), TABLE, VALUES),
    "an array as a table": (regressor(preprocess=True, categorical_features=[False, True, False]), X.round(), VALUES),
}


@pytest.fixture(scope="module", params=CASES)
def fitted(request):
    estimator, rows, y = CASES[request.param]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return clone(estimator).fit(rows, y), rows, y


def same(found, expected):
    if scipy.sparse.issparse(expected):
        assert scipy.sparse.issparse(found)
        found, expected = found.toarray(), expected.toarray()
    assert found.dtype == expected.dtype
    np.testing.assert_array_equal(found, expected, strict=True)


def test_loaded_estimator_equals_the_unpickled_one(fitted, tmp_path):
    estimator, rows, y = fitted
    estimator.save(tmp_path / "model")
    loaded, pickled = cr.load(tmp_path / "model"), pickle.loads(pickle.dumps(estimator))
    assert type(loaded) is type(estimator)
    assert _write_parameters(loaded) == _write_parameters(estimator)
    for method in ("predict", "predict_proba"):
        if hasattr(estimator, method):
            same(getattr(loaded, method)(rows), getattr(pickled, method)(rows))
    assert loaded.score(rows, y) == pickled.score(rows, y)
    assert vars(pickled).keys() - vars(loaded).keys() <= {"_optimizer"}
    assert vars(loaded).keys() <= vars(pickled).keys()
    if hasattr(pickled, "encoder_"):
        assert vars(loaded.encoder_).keys() == vars(pickled.encoder_).keys()
        assert repr(loaded.encoder_) == repr(pickled.encoder_)
    for name in {*RECORD, "n_features_in_", "out_activation_", "n_layers_", "n_outputs_"} - {"history_"}:
        if name in vars(pickled):
            assert getattr(loaded, name) == getattr(pickled, name), name
    assert loaded.history_.stop_reason == pickled.history_.stop_reason
    np.testing.assert_array_equal(loaded.history_.loss, pickled.history_.loss)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        same(loaded.fit(rows, y).predict(rows), pickled.fit(rows, y).predict(rows))
    assert loaded.network_.parameters.tobytes() == pickled.network_.parameters.tobytes()


def test_light_path_gives_the_same_predictions(fitted, tmp_path):
    estimator, rows, _ = fitted
    save_estimator(estimator, tmp_path / "model", {"reading": "{}"}, target="what")
    model = read_model(tmp_path / "model")
    assert isinstance(model, Model)
    assert (model.kind, model.target.name, model.metadata) == (type(estimator).__name__, "what", {"reading": "{}"})
    expected = estimator.predict(rows)
    same(model.predict(rows), expected.toarray() if scipy.sparse.issparse(expected) else expected)
    if hasattr(estimator, "predict_proba"):
        same(model.target.probabilities(model.outputs(rows)), estimator.predict_proba(rows))
        assert model.target.labels == [str(label) for label in estimator.classes_.tolist()]


def test_saving_a_loaded_estimator_writes_the_same_file(fitted, tmp_path):
    fitted[0].save(tmp_path / "first", {"note": "a"})
    cr.load(tmp_path / "first").save(tmp_path / "second", {"note": "a"})
    assert (tmp_path / "second").read_bytes() == (tmp_path / "first").read_bytes()
    network, metadata = load_with_metadata(tmp_path / "first")
    assert isinstance(network, cr.Network)
    assert metadata["note"] == "a"


def test_the_light_path_needs_no_scikit_learn_and_the_estimator_names_the_extra(tmp_path):
    classifier().fit(TABLE, SIGN).save(tmp_path / "model")
    TABLE.to_pickle(tmp_path / "table")
    output = run("without.estimator_file", str(tmp_path / "model"), str(tmp_path / "table")).splitlines()
    assert output[0] == f"{cr.load(tmp_path / 'model').predict(TABLE).sum()} ['0', '1']"
    message = 'holds an estimator, MLPClassifier: this needs sklearn: pip install "chainrule[sklearn]"'
    assert output[1] == f"{tmp_path / 'model'} {message}"


def test_partial_fit_after_load_starts_with_new_moments(tmp_path):
    estimator = classifier().fit(X, SIGN)
    estimator.save(tmp_path / "model")
    loaded = cr.load(tmp_path / "model")
    before = loaded.network_.parameters.copy()
    loaded.partial_fit(X, SIGN)
    assert not np.array_equal(loaded.network_.parameters, before)
    assert loaded.n_iter_ == 1
    del estimator._optimizer
    estimator.partial_fit(X, SIGN)
    assert vars(loaded)["loss_curve_"] == vars(estimator)["loss_curve_"]


def test_assigned_weights_are_saved(tmp_path):
    estimator = regressor().fit(X, VALUES)
    estimator.coefs_ = [np.ones((3, 4)), np.ones((4, 1))]
    estimator.intercepts_ = [np.zeros(4), np.zeros(1)]
    estimator.save(tmp_path / "model")
    same(cr.load(tmp_path / "model").predict(X), estimator.predict(X))


# Errors


def test_saving_functions_raises_and_names_the_remedy(tmp_path):
    def own_loss(logits, y, weight):
        return 1.0, np.zeros_like(logits)

    for options, remedy in [
        ({"loss": own_loss}, r"loss=<function.*own_loss.*set_params\(loss='squared_error'\) first"),
        ({"learning_rate": lambda epoch: 1.0}, r"learning_rate=<function.*set_params\(learning_rate='constant'\)"),
        ({"early_stopping": True, "eval_metric": own_metric}, r"eval_metric=.*set_params\(eval_metric=None\)"),
        ({"early_stopping": True, "eval_metric": ["r2", own_metric]}, r"eval_metric=.*set_params\(eval_metric=None\)"),
    ]:
        estimator = regressor(**options).fit(X, VALUES)
        with pytest.raises(ValueError, match=remedy):
            estimator.save(tmp_path / "model")
        assert not list(tmp_path.iterdir())
    with pytest.raises(ValueError, match=r"set_params\(loss='log_loss'\)"):
        classifier(loss=own_loss).fit(X, LABELS).save(tmp_path / "model")
    estimator = regressor(loss=own_loss).fit(X, VALUES)
    expected = estimator.predict(X)
    estimator.set_params(loss="squared_error").save(tmp_path / "model")
    same(cr.load(tmp_path / "model").predict(X), expected)


def test_callbacks_are_left_out_with_a_warning(tmp_path):
    estimator = classifier(callbacks=[lambda logs: None]).fit(X, SIGN)
    with pytest.warns(UserWarning, match=r"contains no code: callbacks=\[<function .* is not saved") as caught:
        estimator.save(tmp_path / "model")
    assert len(caught) == 1
    assert caught[0].filename == __file__
    assert cr.load(tmp_path / "model").callbacks == ()


def test_saving_unfitted_or_other_objects_raises(tmp_path):
    class Mine(cr.MLPClassifier):
        pass

    with pytest.raises(NotFittedError):
        classifier().save(tmp_path / "model")
    with pytest.raises(TypeError, match="got Mine: pickle it"):
        Mine(max_iter=2).fit(X, SIGN).save(tmp_path / "model")
    with pytest.raises(ValueError, match=r"'chainrule.estimator' is reserved: choose another name"):
        classifier().fit(X, SIGN).save(tmp_path / "model", {"chainrule.estimator": ""})
    diverged = classifier().fit(X, SIGN)
    diverged.coefs_[0][0, 0] = np.nan
    with pytest.raises(ValueError, match="hold NaN or infinity"):
        diverged.save(tmp_path / "model")
    assert not list(tmp_path.iterdir())


@contextlib.contextmanager
def edited_state(path):
    """Yield the state of the estimator in a file, and write what the block makes of it, without a checksum."""
    with safetensors.safe_open(path, framework="numpy") as file:
        metadata = file.metadata()
        tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    del metadata["chainrule.sha256"]
    state = json.loads(metadata["chainrule.estimator"])
    yield state
    metadata["chainrule.estimator"] = json.dumps(state)
    path.write_bytes(safetensors.numpy.save(tensors, metadata))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"format": 2}, "format 2, this chainrule reads up to 1: upgrade chainrule"),
        ({"format": None}, "no format version"),
        ({"kind": "TableEncoder"}, "kind is 'TableEncoder', expected one of MLPClassifier, MLPRegressor"),
        ({"kind": "MLPRegressor"}, "target does not fit its kind"),
        ({"target": None}, "its target is None"),
        ({"parameters": None}, "not iterable"),
        ({"parameters": {"solver": {"eval": "1"}}}, "unknown kind 'eval'"),
        ({"parameters": {"solver": {"Adam": {"rate": 1}}}}, "Adam has no argument 'rate'"),
        ({"parameters": {"learning": 1}}, "the parameter 'learning', unknown to this version: upgrade"),
        ({"parameters": {"alpha": -1.0}}, "'alpha' parameter of MLPClassifier must be"),
        ({"parameters": {"loss": {"Huber": {"delta": 1.0}}}}, "loss"),
        ({"record": {"predict": 1}}, "its record 'predict' is 1"),
        ({"n_features_in": 4}, "it has 4 features, but the network has 3 inputs"),
        ({"features": {"format": 1, "columns": []}}, "it has no features"),
        ({"features": {"format": 1}}, "no list of columns"),
        ({"classes": {"dtype": "i8", "values": [0, 1, 2]}}, "target does not fit the network's 1 outputs"),
        ({"classes": {"dtype": "V8", "values": [0, 1]}}, "expected an array"),
        ({"classes": {"dtype": "i8", "values": [1, 1]}}, "its target has a class twice"),
        ({"n_features_in": float("nan")}, "it has the number NaN"),
        ({"record": {"loss_": [1e999]}}, "it has the number Infinity"),
        ({"mean": 0.0, "std": 0.0}, "expected finite numbers, std above 0"),
        ({"mean": 0.0}, "its target is"),
        ({"y_type": "several"}, "its target is"),
    ],
)
def test_contradictory_state_raises_and_names_the_file(tmp_path, changes, message):
    path = tmp_path / "model"
    classifier().fit(X, SIGN).save(path)
    with edited_state(path) as state:
        for name, value in changes.items():
            (state if name in state else state["target"])[name] = value
    with pytest.raises(ValueError, match=f"model holds an estimator that cannot be read: .*{message}"):
        cr.load(path)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"scale": -1.0}, "column 'size'"),
        ({"scale": 0.0, "indicator": False}, "column 'size'"),
        ({"median": "1"}, "column 'size'"),
        ({"name": "kind"}, "more than one column 'kind'"),
        ({"kind": "code"}, "a column's kind is 'code'"),
    ],
)
def test_impossible_encoding_raises_and_names_the_file(tmp_path, changes, message):
    path = tmp_path / "model"
    classifier().fit(TABLE, SIGN).save(path)
    with edited_state(path) as state:
        state["features"]["columns"][0] |= changes
    for read in (cr.load, read_model):
        with pytest.raises(ValueError, match=f"model holds an estimator that cannot be read: .*{message}"):
            read(path)


def test_damaged_estimator_raises(tmp_path):
    path = tmp_path / "model"
    classifier().fit(TABLE, SIGN).save(path)
    data = bytearray(path.read_bytes())
    data[data.index(b"early_stopping") + 20] ^= 1
    path.write_bytes(data)
    with pytest.raises(ValueError, match=r"model is damaged: .*checksum"):
        cr.load(path)
    with pytest.raises(ValueError, match=r"model is damaged: .*checksum"):
        read_model(path)


# The command's models


@pytest.mark.filterwarnings("ignore:column 'zip'. 1 of 12 cells hold levels that were not seen during fit")
def test_command_model_of_version_0_1_0_loads_as_an_estimator():
    expected = json.loads(GOLDEN.with_suffix(".json").read_text(encoding="utf-8"))
    table = pd.read_csv(GOLDEN.with_suffix(".csv"), dtype={"zip": str})
    table = table.assign(note="")[["age", "zip", "flag", "since", "note"]]
    estimator, model = cr.load(GOLDEN), read_model(GOLDEN)
    assert estimator.predict(table).tolist() == model.predict(table).tolist() == expected["labels"]
    np.testing.assert_allclose(estimator.predict_proba(table), expected["predictions"], rtol=1e-5, atol=1e-6)
    assert model.target.name == "kind"
    assert json.loads(model.metadata["reading"]) == {"missing": []}
    assert estimator.get_params()["preprocess"] is True
    assert estimator.fit(table, expected["labels"]).classes_.tolist() == ["mid", "new", "old"]


def test_network_with_a_metadata_entry_table_loads_as_a_network(tmp_path):
    for text in ("of mine", "{}", '{"features": 1}', "[" * 10**5):
        cr.Network([2, 1], loss="squared_error").save(tmp_path / "model", {"table": text})
        assert isinstance(cr.load(tmp_path / "model"), cr.Network)
        assert isinstance(read_model(tmp_path / "model"), cr.Network)


def test_labels_of_an_old_file_keep_their_type():
    assert typed_labels(["1", "2", "10"]).tolist() == [1, 2, 10]
    assert typed_labels(["0.5", "1.0"]).tolist() == [0.5, 1.0]
    assert typed_labels(["False", "True"]).tolist() == [False, True]
    assert typed_labels(["01", "02"]).tolist() == ["01", "02"]
