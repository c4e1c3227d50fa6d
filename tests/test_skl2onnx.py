"""skl2onnx converts pipelines and ensembles with our estimators: ONNX Runtime computes what they predict."""

import numpy as np
import onnx
import onnxruntime
import pandas as pd
import pytest
import skl2onnx
from skl2onnx.common.data_types import DoubleTensorType, FloatTensorType, Int64TensorType, StringTensorType
from sklearn.compose import make_column_transformer
from sklearn.ensemble import VotingClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

import chainrule as cr
from chainrule.exchange.skl2onnx import register

register()
pytestmark = pytest.mark.filterwarnings("ignore:Stochastic Optimizer", "ignore:The network predicts")
RNG = np.random.default_rng(0)
X = (10 * RNG.normal(size=(200, 4))).astype(np.float32)
SIGN = (X[:, 0] > 0).astype(int)
THREE = SIGN + (X[:, 1] > 0)
MATRIX = [("X", FloatTensorType([None, 4]))]
TABLE = pd.DataFrame(
    {
        "town": RNG.choice(["Ayr", "Ely", None], 200),
        "size": X[:, 0].astype(float),
        "rooms": RNG.integers(1, 5, 200),
        "same": 1.0,
        "flag": X[:, 1] > 0,
    }
)
COLUMNS = {
    "town": (StringTensorType([None, 1]), object),
    "size": (DoubleTensorType([None, 1]), np.float64),
    "rooms": (Int64TensorType([None, 1]), np.int64),
    "same": (FloatTensorType([None, 1]), np.float32),
    "flag": (StringTensorType([None, 1]), object),
}
TYPES = [(name, kind) for name, (kind, _) in COLUMNS.items()]
CELLS = {name: TABLE[[name]].fillna("").to_numpy(dtype) for name, (_, dtype) in COLUMNS.items()}
CELLS["flag"] = CELLS["flag"].astype(str).astype(object)


def mlp(**options):
    return cr.MLPClassifier(hidden_layer_sizes=(16,), max_iter=20, random_state=0, **options)


def convert(model, types, inputs, **options):
    proto = skl2onnx.convert_sklearn(model, initial_types=types, **options)
    onnx.checker.check_model(proto, full_check=True)
    session = onnxruntime.InferenceSession(proto.SerializeToString(), providers=["CPUExecutionProvider"])
    return session.run(None, inputs)


LABELS = {
    "integers": SIGN,
    "three": THREE,
    "text": np.array(["a", "b", "c"])[THREE],
    "booleans": SIGN == 1,
    "floats": SIGN.astype(float),
    "several": (X > 0).astype(int),
    "one": np.full(200, "same"),
}


@pytest.mark.parametrize("labels", LABELS)
def test_pipeline_with_a_classifier(labels):
    pipeline = make_pipeline(StandardScaler(), mlp()).fit(X, LABELS[labels])
    found, probabilities = convert(pipeline, MATRIX, {"X": X}, options={"zipmap": False})
    np.testing.assert_allclose(probabilities, pipeline.predict_proba(X), rtol=0, atol=1e-6)
    assert (found == pipeline.predict(X)).all()
    if labels != "several":
        found, maps = convert(pipeline, MATRIX, {"X": X})
        assert (found == pipeline.predict(X)).all()
        assert [list(row.values()) for row in maps] == probabilities.tolist()
        assert list(maps[0]) == pipeline.classes_.tolist()
        options = {id(pipeline): {"zipmap": False, "nocl": True}}
        found, _ = convert(pipeline, MATRIX, {"X": X}, options=options)
        assert (pipeline.classes_[found] == pipeline.predict(X)).all()


@pytest.mark.parametrize("y", [X[:, 0], X[:, :2]], ids=["one target", "two targets"])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_pipeline_with_a_regressor(y, dtype):
    regressor = cr.MLPRegressor(hidden_layer_sizes=(16,), max_iter=20, random_state=0, dtype=dtype)
    pipeline = make_pipeline(StandardScaler(), regressor).fit(X, y)
    [values] = convert(pipeline, [("X", DoubleTensorType([None, 4]))], {"X": X.astype(float)})
    assert values.dtype == dtype
    np.testing.assert_allclose(values, pipeline.predict(X).reshape(values.shape), rtol=0, atol=1e-5)


def test_search_and_ensemble():
    grid = GridSearchCV(mlp(), {"alpha": [0.1, 1.0]}, cv=2)
    both = VotingClassifier([("net", mlp()), ("grid", grid)], voting="soft", flatten_transform=False).fit(X, THREE)
    _, probabilities = convert(both, MATRIX, {"X": X}, options={"zipmap": False})
    np.testing.assert_allclose(probabilities, both.predict_proba(X), rtol=0, atol=1e-6)


@pytest.mark.parametrize("shuffled", [False, True])
def test_tables_have_an_input_for_each_column(shuffled):
    types = TYPES[::-1] if shuffled else TYPES
    classifier = cr.TableClassifier(categorical_features=["rooms", "town", "flag"], random_state=0).fit(TABLE, THREE)
    _, probabilities = convert(classifier, types, CELLS, options={"zipmap": False})
    np.testing.assert_allclose(probabilities, classifier.predict_proba(TABLE), rtol=0, atol=1e-6)
    regressor = cr.TableRegressor(random_state=0).fit(TABLE, X[:, 1])
    [values] = convert(regressor, types, CELLS)
    np.testing.assert_allclose(values[:, 0], regressor.predict(TABLE), rtol=0, atol=1e-5)


def test_encoder_before_another_estimator():
    encoder = cr.TableEncoder(bins=4, categorical_features=["rooms", "town", "flag"])
    pipeline = make_pipeline(encoder, LogisticRegression()).fit(TABLE, SIGN)
    _, probabilities = convert(pipeline, TYPES, CELLS, options={"zipmap": False})
    np.testing.assert_allclose(probabilities, pipeline.predict_proba(TABLE), rtol=0, atol=1e-5)
    names = [(f"input_{i}", kind) for i, (_, kind) in enumerate(TYPES)]
    by_place = {f"input_{i}": cells for i, cells in enumerate(CELLS.values())}
    _, again = convert(pipeline, names, by_place, options={"zipmap": False})
    assert (again == probabilities).all()


def test_a_table_as_one_matrix():
    pipeline = make_pipeline(StandardScaler(), cr.TableClassifier(random_state=0)).fit(X, SIGN)
    _, probabilities = convert(pipeline, MATRIX, {"X": X}, options={"zipmap": False})
    np.testing.assert_allclose(probabilities, pipeline.predict_proba(X), rtol=0, atol=2e-5)  # scaled in float32


def test_a_column_transformer_before_the_estimator():
    transformer = make_column_transformer((StandardScaler(), ["size", "rooms"]), ("drop", ["town", "same", "flag"]))
    pipeline = make_pipeline(transformer, mlp()).fit(TABLE, SIGN)
    _, probabilities = convert(pipeline, TYPES, CELLS, options={"zipmap": False})
    np.testing.assert_allclose(probabilities, pipeline.predict_proba(TABLE), rtol=0, atol=1e-5)


def test_refusals():
    pipeline = make_pipeline(StandardScaler(), mlp()).fit(X, SIGN)
    with pytest.raises(ValueError, match="target_opset is 12, the estimator needs 13 or later"):
        convert(pipeline, MATRIX, {"X": X}, target_opset=12)
    classifier = cr.TableClassifier(random_state=0).fit(TABLE, SIGN)
    with pytest.raises(ValueError, match=r"no input for the column 'town', only for \['flag', 'rooms', 'size'\]"):
        convert(classifier, [type for type in TYPES if type[0] not in ("town", "same")], CELLS)
