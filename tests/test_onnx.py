"""ONNX models: ONNX Runtime computes what the network or the estimator predicts, tables included."""

import gzip
import json
import pickle
import sys
import warnings

import hypothesis
import hypothesis.strategies as st
import numpy as np
import onnx
import onnx.reference
import onnxruntime
import pandas as pd
import pytest
import scipy.sparse
from sklearn.datasets import load_digits
from sklearn.exceptions import NotFittedError
from tables import DATA, LIBRARIES

import chainrule as cr
from chainrule import _core
from chainrule.exchange._model import ReducedModel, reduce
from chainrule.exchange.onnx import build
from chainrule.table import TableEncoding
from chainrule.target import Target

pytestmark = pytest.mark.filterwarnings("ignore:Stochastic Optimizer", "ignore:The network predicts")
RNG = np.random.default_rng(0)
TOLERANCE = {np.dtype("float32"): 1e-6, np.dtype("float64"): 1e-12}


def outputs(model, inputs):
    """Return the outputs of a model, a path or a ModelProto, by name."""
    data = str(model) if not hasattr(model, "SerializeToString") else model.SerializeToString()
    session = onnxruntime.InferenceSession(data, providers=["CPUExecutionProvider"])
    names = [output.name for output in session.get_outputs()]
    return dict(zip(names, session.run(names, inputs), strict=True))


def check(path):
    model = onnx.load(path)
    onnx.checker.check_model(model, full_check=True)
    return model


def difference(found, expected):
    """Return the largest difference relative to the largest expected number."""
    assert found.shape == expected.shape
    assert found.dtype == expected.dtype
    assert (np.isfinite(found) == np.isfinite(expected)).all()
    finite = np.isfinite(expected)
    return np.abs(found - expected)[finite].max(initial=0) / np.abs(expected)[finite].max(initial=1e-30)


def assert_same(estimator, path, inputs, X):
    """The model's outputs are those of the estimator; labels may differ where two classes are equally likely."""
    found, dtype = outputs(path, inputs), estimator.network_.dtype
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # levels that were not seen during fit
        expected = estimator.predict(X)
        if not hasattr(estimator, "classes_"):
            [values] = found.values()
            assert found.keys() == {"value" if values.ndim == 1 else "values"}
            assert difference(values, expected) <= TOLERANCE[dtype]
            return
        probabilities = estimator.predict_proba(X)
    assert found.keys() == {"label", "probabilities"}
    assert difference(found["probabilities"], probabilities) <= TOLERANCE[dtype]
    expected = expected.toarray() if hasattr(expected, "toarray") else expected
    assert found["label"].shape == expected.shape
    differs = found["label"] != expected
    if expected.ndim == 2:
        assert (np.abs(probabilities - 0.5)[differs] < 1e-6).all()
    elif probabilities.shape[1] > 1:
        first, second = np.sort(probabilities[differs], axis=1).T[:-3:-1]
        assert (first - second < 1e-6).all()
    else:
        assert not differs.any()


# Networks


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("loss", _core.LOSSES)
@pytest.mark.parametrize("activation", _core.ACTIVATIONS)
def test_every_activation_and_loss_predicts_the_same(tmp_path, activation, loss, dtype):
    spec = cr.Quantile([0.1, 0.5, 0.9]) if loss == "quantile" else loss
    net = cr.Network([6, 20, 20, 3], activation=activation, loss=spec, dtype=dtype, seed=1)
    net.parameters[:] += RNG.normal(0, 0.1, len(net.parameters))
    net.to_onnx(tmp_path / "model.onnx")
    model = check(tmp_path / "model.onnx")
    assert [(opset.domain, opset.version) for opset in model.opset_import] == [("", 13)]
    assert {prop.key: prop.value for prop in model.metadata_props} == {
        "chainrule.kind": "Network",
        "chainrule.version": cr.__version__,
    }
    X = RNG.normal(size=(500, 6)).astype(dtype)
    found = outputs(tmp_path / "model.onnx", {"X": X})["prediction"]
    slope = np.abs(net.logits(X)).max() if _core.LOSSES[loss].output == "exp" else 1  # relative errors of exp(z)
    assert difference(found, net.predict(X)) <= max(1, slope) * TOLERANCE[net.dtype]


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("activation", _core.ACTIVATIONS)
def test_activations_are_right_far_from_zero(activation, dtype):
    net = cr.Network([1, 1, 1], activation=activation, loss="squared_error", dtype=dtype, seed=0)
    net.parameters[:] = [1, 0, 1, 0]
    X = np.concatenate([np.linspace(-120, 120, 20_001), [-1e30, -1e6, -300, 300, 1e6, 1e30]])[:, np.newaxis].astype(
        dtype
    )
    if activation == "sin":
        X = X[np.abs(X) < 1e7][:, np.newaxis]
    model, _ = build(reduce(net), is_network=True)
    found, expected = outputs(model, {"X": X})["prediction"], net.predict(X)
    assert (np.abs(found - expected) <= 0.5 * TOLERANCE[net.dtype] * np.maximum(1, np.abs(expected))).all()


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("loss", ["binary_cross_entropy", "softmax_cross_entropy", "poisson"])
def test_small_predictions_are_as_accurate_as_large_ones(loss, dtype):
    net = cr.Network([1, 2], loss=loss, dtype=dtype, seed=0)
    net.parameters[:] = [1, -1, 0, 0]
    X = np.linspace(-40, 40, 10_001).astype(dtype)[:, np.newaxis]
    found, expected = outputs(build(reduce(net), is_network=True)[0], {"X": X})["prediction"], net.predict(X)
    np.testing.assert_allclose(found, expected, rtol=TOLERANCE[net.dtype], atol=0)


def test_a_network_that_is_not_finite_is_refused(tmp_path):
    net = cr.Network([1, 1], loss="squared_error", seed=0)
    net.parameters[:] = [1, np.nan]
    with pytest.raises(ValueError, match="parameters that are NaN or infinite"):
        net.to_onnx(tmp_path / "model.onnx")


# Estimators that take plain numbers

X = RNG.normal(size=(200, 4))
X32 = X.astype(np.float32)
SIGN = (X[:, 0] + X[:, 1] ** 2 > 0.5).astype(int)
THREE = SIGN + (X[:, 2] > 0)
WORDS = np.array(["b", "ä", "c\n"], dtype=object)[THREE]
VALUES = 1e4 + 300 * X[:, 0]


def distance(logits, y, weight):
    return float(np.mean((logits - y) ** 2)), 2 * (logits - y) / logits.size


def classifier(**options):
    return cr.MLPClassifier(**{"hidden_layer_sizes": (16,), "max_iter": 20, "random_state": 0, **options})


def regressor(loss="squared_error", **options):
    return cr.MLPRegressor(loss, **{"hidden_layer_sizes": (16,), "max_iter": 20, "random_state": 0, **options})


PLAIN = {
    "two classes": (classifier(), SIGN),
    "three classes": (classifier(), THREE),
    "int8": (classifier(), THREE.astype(np.int8)),
    "large integers": (classifier(), 2**62 + SIGN),
    "float": (classifier(), THREE.astype(float)),
    "bool": (classifier(), SIGN == 1),
    "objects": (classifier(), WORDS),
    "text": (classifier(), WORDS.astype(str)),
    "one class": (classifier(), np.array(["same"] * 200)),
    "several labels": (classifier(), (X > 0).astype(int)),
    "sparse labels": (classifier(), scipy.sparse.csr_matrix((X > 0).astype(int))),
    "smoothed": (classifier(loss=cr.SoftmaxCrossEntropy(0.1)), SIGN),
    "smoothed, one class": (classifier(loss=cr.SoftmaxCrossEntropy(0.1)), np.zeros(200)),
    "values": (regressor(), VALUES),
    "several values": (regressor(), X @ X[:4].T),
    "quantiles": (regressor(cr.Quantile([0.1, 0.9])), X[:, 0]),
    "counts": (regressor("poisson"), THREE),
    "tweedie": (regressor(cr.Tweedie(1.2)), THREE),
    "custom loss": (regressor(distance), X[:, 0]),
    "float64": (classifier(dtype="float64", activation=["mish", "gelu"], hidden_layer_sizes=(16, 8)), THREE),
}


@pytest.mark.parametrize("name", PLAIN)
def test_estimators_of_plain_numbers(tmp_path, name):
    estimator, y = PLAIN[name]
    estimator = estimator.fit(X32 if estimator.dtype is None else X, y)
    feed = estimator.to_onnx(tmp_path / "model.onnx")
    model = check(tmp_path / "model.onnx")
    assert {prop.key: prop.value for prop in model.metadata_props}["chainrule.kind"] == type(estimator).__name__
    for rows in (X, X[:1], RNG.normal(size=(100_000, 4)), scipy.sparse.csr_matrix(X)):
        assert_same(estimator, tmp_path / "model.onnx", feed(rows), rows)


def test_feed_refuses_columns_in_another_order_and_gaps(tmp_path):
    table = pd.DataFrame(X, columns=["a", "b", "c", "d"])
    feed = classifier().fit(table, SIGN).to_onnx(tmp_path / "model.onnx")
    assert feed(table)["X"].dtype == np.float64
    with pytest.raises(ValueError, match="'b', 'a'"):
        feed(table[["b", "a", "c", "d"]])
    with pytest.raises(ValueError, match="not finite"):
        feed(table.assign(b=np.nan))


def test_an_unfitted_estimator_is_refused(tmp_path):
    with pytest.raises(NotFittedError):
        classifier().to_onnx(tmp_path / "model.onnx")


def test_the_error_for_a_missing_package_names_the_extra(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "onnx", None)
    monkeypatch.delitem(sys.modules, "onnx.helper")
    net = cr.Network([1, 1], loss="squared_error", seed=0)
    with pytest.raises(ImportError, match=r"chainrule\[onnx\]"):
        net.to_onnx(tmp_path / "model.onnx")
    assert list(tmp_path.iterdir()) == []


# Tables


def features(encoding, table, dtype="float32"):
    """Return the features of a graph: the prediction of a network that returns its inputs."""
    identity = [(np.eye(encoding.n_features), np.zeros(encoding.n_features))]
    sizes = [encoding.n_features] * 2
    net = cr.Network(sizes, loss="squared_error", init=identity, dtype=dtype, seed=0)
    model, feed = build(ReducedModel("Network", net, encoding, Target("")), is_network=True)
    return outputs(model, feed(table))["prediction"]


def encoded(encoding, table, dtype="float32"):
    """Return the features that predictions use."""
    inputs = encoding.inputs(table, dtype, warn=False)
    return inputs.toarray() if isinstance(inputs, cr.BinnedRows) else inputs


TEXT = pd.DataFrame(
    {
        "day": ["25/12/2023", "01/02/2024", None, "3/4/1999"] * 5,
        "clock": ["12:30", "00:00", "23:59:59", None] * 5,
        "price": ["$1,234.50", "$2.25", "($7.00)", None] * 5,
        "share": ["12.5%", "3%", "-", "99%"] * 5,
        "moment": pd.to_datetime(["2020-01-01 12:00", None, "2021-05-05 00:00", "1950-01-01 07:08"] * 5),
        "mixed": np.array([1.5, "2", None, "x"] * 5, dtype=object),
        "code": ["01", "1", "1.0", None] * 5,
        "flag": [True, False, None, True] * 5,
        "full": ["", " ", "a", "nan"] * 5,
        "rare": [*"abcdefghij", *"aabbccddee"],
        "size": [1e300, -1e300, 0.0, 5.0] * 5,
        "some": [np.nan, np.nan, 3.0, 3.0] * 5,
        "same": [7] * 20,
    }
)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("bins", [0, 4])
@pytest.mark.parametrize("library", LIBRARIES)
def test_features_of_every_kind_of_column(library, bins, dtype):
    table = library(DATA)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        encoding = TableEncoding.learn(table, bins=bins)
    found = features(encoding, table, dtype)
    np.testing.assert_allclose(found, encoded(encoding, table, dtype), rtol=2e-7, atol=0)
    if dtype == "float64":
        assert (found == found.astype(np.float32)).all() == (bins == 0)


@pytest.mark.parametrize("max_levels", [3, 100])
@pytest.mark.parametrize("bins", [0, 4])
@pytest.mark.filterwarnings("ignore:column")
def test_features_of_text_missing_values_and_extreme_numbers(bins, max_levels):
    encoding = TableEncoding.learn(
        TEXT, bins=bins, max_levels=max_levels, categorical_features=["rare", "code", "full"]
    )
    np.testing.assert_allclose(features(encoding, TEXT), encoded(encoding, TEXT), rtol=2e-7, atol=0)
    other = TEXT.assign(
        rare=["?", None, "nan", "", " a", "b ", "None", "<NA>", "missing", "other"] * 2,
        code=[1, 1.0, "01.0", " 01", "2", None, "", "nan", True, "1.00"] * 2,
        full=["b", None, "nan", "", " a", "a ", "None", "<NA>", "missing", "\t"] * 2,
        flag=["true", " FALSE ", 1, "0.0", "no", None, 1.0, np.True_, "", "nan"] * 2,
        some=[-1e300, 1e300, np.nan, 3.0, 4.0] * 4,
    )
    np.testing.assert_allclose(features(encoding, other), encoded(encoding, other), rtol=2e-7, atol=0)
    missing = TEXT.iloc[:3].assign(**dict.fromkeys(TEXT.columns.drop("moment"), None), moment=pd.NaT)
    np.testing.assert_array_equal(features(encoding, missing), encoded(encoding, missing))


LEVELS = st.lists(
    st.one_of(
        st.none(),
        st.text(max_size=3),
        st.sampled_from(["", "nan", "None", "<NA>", "missing", "other", " a", "a", "1", "1.0", "True", "true", " 0"]),
    ),
    min_size=2,
    max_size=30,
)


@hypothesis.given(LEVELS, LEVELS, st.integers(1, 4), st.booleans())
def test_any_levels(seen, later, max_levels, more_to_come):
    options = {"max_levels": max_levels, "more_to_come": more_to_come, "categorical_features": [0]}
    try:
        encoding = TableEncoding.learn(np.array(seen, dtype=object)[:, np.newaxis], **options)
    except ValueError:
        hypothesis.reject()
    table = np.array([*seen, *later], dtype=object)[:, np.newaxis]
    np.testing.assert_array_equal(features(encoding, table), encoded(encoding, table))


def test_a_graph_reads_texts_without_feed():
    """Programs that have no data frame write texts by hand."""
    table = pd.DataFrame(
        {"town": ["Ayr", "Ely", None, "7"], "flag": [True, False, True, False], "full": ["", "a", "b", None]}
    )
    encoding = TableEncoding.learn(table)
    identity = [(np.eye(encoding.n_features), np.zeros(encoding.n_features))]
    net = cr.Network([encoding.n_features] * 2, loss="squared_error", init=identity)
    model, _ = build(ReducedModel("Network", net, encoding, Target("")), is_network=True)
    assert encoding.feature_names[:4] == ["town=7", "town=Ayr", "town=Ely", "town missing"]
    same = {
        "town": [
            ["Ayr", " Ayr", "Ayr ", " Ayr "],
            ["7", "7.0", " 7.0"],
            ["", "nan", "None", "<NA>", np.nan, None, pd.NA],
            ["Rye", "ayr", "Aÿr"],
        ],
        "flag": [["True", "TRUE", "true", "1", "1.0"], ["False", "FALSE", " false", "0"], ["", "nan", "yes"]],
        "full": [["", " "], ["a", " a"], ["nan", "None"], ["c"]],
    }
    for column, groups in same.items():
        rows = []
        for texts in groups:
            inputs = {name: np.full((len(texts), 1), "Ely", dtype=object) for name in same}
            found = outputs(model, {**inputs, column: np.array(texts, dtype=object)[:, np.newaxis]})["prediction"]
            assert (found == found[0]).all()
            rows.append(tuple(found[0]))
        assert len(set(rows)) == len(groups)
    descriptions = {value.name: value.doc_string for value in model.graph.input}
    assert descriptions == {
        "town": "text; '' if missing",
        "flag": "text; '' if missing",
        "full": "text; 'nan' if missing",
    }


def test_infinite_numbers_count_as_the_largest():
    table = np.array([[np.nan, 1.0, 0.0], [3.0, np.nan, 1.0], [3.0, 2.0, 5.0]] * 5)
    table[0, 1:] = -1e200, 1e300
    for bins in (0, 4):
        encoding = TableEncoding.learn(table, bins=bins)
        identity = [(np.eye(encoding.n_features), np.zeros(encoding.n_features))]
        net = cr.Network([encoding.n_features] * 2, loss="squared_error", init=identity)
        model, _ = build(ReducedModel("Network", net, encoding, Target("")), is_network=True)
        for sign in (-1, 1):
            rows = {f"x{i}": np.array([[sign * np.inf]]) for i in range(3)}
            found = outputs(model, rows)["prediction"]
            np.testing.assert_allclose(found, encoded(encoding, np.full((1, 3), sign * 1e300)), rtol=2e-7)


# ONNX Runtime drops the subtraction of a constant that rounds to 0 in float32, so magnitudes below 1e-40 are not
# tested.
FLOATS = st.floats(1e-40, 1e300)
NUMBERS = st.lists(st.one_of(st.none(), st.integers(-5, 5), FLOATS, FLOATS.map(lambda x: -x)), min_size=2, max_size=40)


@hypothesis.given(NUMBERS, NUMBERS, st.integers(0, 6), st.booleans(), st.sampled_from(["float32", "float64"]))
@pytest.mark.filterwarnings("ignore:column")
def test_any_numbers(seen, later, bins, more_to_come, dtype):
    columns = [np.array(seen, dtype=object), np.array(seen[::-1], dtype=object) == 1]
    try:
        encoding = TableEncoding.learn(np.array(columns, dtype=object).T, bins=bins, more_to_come=more_to_come)
    except ValueError:
        hypothesis.reject()
    values = np.array([*seen, *later], dtype=object)
    table = np.stack([values, np.ones(len(values), dtype=bool)], axis=1)
    found, expected = features(encoding, table, dtype), encoded(encoding, table, dtype)
    np.testing.assert_allclose(found, expected, rtol=2e-7, atol=1e-40)


@pytest.mark.filterwarnings("ignore:column")
def test_reference_implementation_agrees_with_onnx_runtime(tmp_path):
    """The reference implementation of ONNX runs the operators in Python."""
    estimator = cr.TableClassifier(random_state=0).fit(TEXT[["share", "code", "flag", "moment"]], TEXT["full"].notna())
    table = TEXT[["share", "code", "flag", "moment"]]
    feed = estimator.to_onnx(tmp_path / "model.onnx")
    found = onnx.reference.ReferenceEvaluator(str(tmp_path / "model.onnx")).run(None, feed(table))
    np.testing.assert_allclose(found[1], estimator.predict_proba(table), rtol=0, atol=1e-6)


@pytest.mark.filterwarnings("ignore:column")
def test_a_loaded_estimator_writes_the_same_file(tmp_path):
    table = TEXT[["share", "code", "flag", "moment"]]
    estimator = cr.TableRegressor(random_state=0).fit(table, np.arange(20.0))
    estimator.save(tmp_path / "model.safetensors")
    estimator.to_onnx(tmp_path / "one.onnx")
    cr.load(tmp_path / "model.safetensors").to_onnx(tmp_path / "two.onnx")
    assert (tmp_path / "one.onnx").read_bytes() == (tmp_path / "two.onnx").read_bytes()


def table_estimators(name, n_outputs):
    kind = (cr.TableClassifier, cr.MLPClassifier) if n_outputs else (cr.TableRegressor, cr.MLPRegressor)
    return {
        "table": kind[0](random_state=0),
        "mlp": kind[1](hidden_layer_sizes=(32,), max_iter=5, preprocess=True, random_state=0),
    }[name]


def awkward(X):
    """Return rows with unknown levels, with everything missing, and with extreme numbers."""
    rows = pd.concat([X[:5]] * 6, ignore_index=True)
    numbers = X.dtypes.map(pd.api.types.is_numeric_dtype)
    for column in X:
        values = rows[column].astype(float if numbers[column] else object)
        if numbers[column]:
            values[5:20] = np.repeat([np.nan, 1e300, -1e300], 5)
        else:
            values[5:20] = np.repeat(["never seen", None, " "], 5)
        rows[column] = values
    return rows


@pytest.mark.parametrize("kind", ["table", "mlp"])
@pytest.mark.parametrize("name", ["titanic", "adult", "california"])
def test_tables_with_text_and_missing_values(tmp_path, chainrule_data, name, kind):
    meta = json.loads((chainrule_data / name / "meta.json").read_text())
    with gzip.open(chainrule_data / name / "data.csv.gz") as file:
        table = pd.read_csv(file, keep_default_na=False, na_values=[""])
    y = table.pop(meta["target"])
    estimator = table_estimators(kind, meta["task"] == "classification").fit(table, y)
    feed = pickle.loads(pickle.dumps(estimator.to_onnx(tmp_path / "model.onnx")))
    model = check(tmp_path / "model.onnx")
    assert [(opset.domain, opset.version) for opset in model.opset_import] == [("", 13), ("ai.onnx.ml", 2)]
    assert [value.name for value in model.graph.input] == [c.name for c in estimator.encoder_.columns if c.width]
    many = pd.concat([table] * -(-100_000 // len(table)), ignore_index=True)[:100_000]
    for rows in (table, table[:1], awkward(table), *([many] if kind == "table" else [])):
        assert_same(estimator, tmp_path / "model.onnx", feed(rows), rows)
    reordered = feed(table.iloc[:, ::-1])
    assert all((reordered[key] == values).sum() == (values == values).sum() for key, values in feed(table).items())


def test_digits(tmp_path):
    X, y = load_digits(return_X_y=True)
    for estimator in (cr.TableClassifier(random_state=0), cr.MLPClassifier(max_iter=20, random_state=0)):
        estimator.fit(X, y)
        feed = estimator.to_onnx(tmp_path / "model.onnx")
        check(tmp_path / "model.onnx")
        for rows in (X, X[:1]):
            assert_same(estimator, tmp_path / "model.onnx", feed(rows), rows)


@pytest.mark.filterwarnings("ignore:column")
def test_names_of_inputs(tmp_path):
    names = ["value", "label", "", "X", "sepal length (cm)", "Gemm_4", "rows", "value_"]
    table = pd.DataFrame(RNG.normal(size=(100, 8)), columns=names).assign(label=["a", "b"] * 50)
    estimator = cr.TableRegressor(random_state=0).fit(table, table["value"])
    feed = estimator.to_onnx(tmp_path / "model.onnx")
    check(tmp_path / "model.onnx")
    assert list(feed(table)) == ["value__", "label_", "_", *names[3:]]
    assert_same(estimator, tmp_path / "model.onnx", feed(table), table)


@pytest.mark.filterwarnings("ignore:column")
@pytest.mark.parametrize("n", [20, 200])
def test_several_targets_with_their_bounds(tmp_path, n):
    """Fewer than 64 rows are trained on in float64."""
    table = pd.DataFrame({"size": RNG.normal(size=n), "town": ["Ayr", "Ely"] * (n // 2)})
    y = np.stack([table["size"] * 100, 5 - (table.town == "Ayr")], axis=1)
    for loss, target in (("squared_error", y), (cr.Quantile([0.2, 0.8]), y[:, 0]), ("poisson", np.abs(y[:, 1]))):
        estimator = cr.TableRegressor(loss=loss, random_state=0).fit(table, target)
        feed = estimator.to_onnx(tmp_path / "model.onnx")
        far = table.assign(size=[-1e300, 1e300] * (n // 2))
        for rows in (table, far):
            assert_same(estimator, tmp_path / "model.onnx", feed(rows), rows)


def test_feed_refuses_what_predict_refuses(tmp_path):
    table = pd.DataFrame({"size": RNG.normal(size=100), "town": ["Ayr", "Ely"] * 50})
    estimator = cr.TableClassifier(random_state=0).fit(table, table["town"])
    feed = estimator.to_onnx(tmp_path / "model.onnx")
    for wrong in (table.assign(size=np.inf), table.assign(size="five")):
        with pytest.raises(ValueError, match="size") as of_predict:
            estimator.predict(wrong)
        with pytest.raises(ValueError, match="size") as of_feed:
            feed(wrong)
        assert str(of_feed.value) == str(of_predict.value)
    endless = {"size": np.array([[np.inf], [-np.inf]]), "town": np.array([["Ayr"], ["Ely"]])}
    assert_same(estimator, tmp_path / "model.onnx", endless, table[:2].assign(size=[1e300, -1e300]))
