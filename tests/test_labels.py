"""Labels of any type, missing labels, a single class, class weights, masked arrays."""

import contextlib
import dataclasses
import datetime

import numpy as np
import pytest

pytest.importorskip("sklearn")
pytest.importorskip("pandas")

import pandas as pd
from sklearn.model_selection import cross_val_score
from sklearn.multioutput import MultiOutputClassifier

import chainrule as cr

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning", "ignore:The network predicts")

RNG = np.random.default_rng(0)
X = RNG.normal(size=(60, 3))
SMALL = {"hidden_layer_sizes": 4, "max_iter": 3, "random_state": 0}
LABELS = {
    "int": np.tile([1, 2, 5], 20),
    "bool": np.tile([True, False, True], 20),
    "float": np.tile([1.0, 2.0, 5.0], 20),
    "text": np.tile(["a", "b", "c"], 20),
    "huge": np.tile([2**53, 2**53 + 1, 2**53 + 2], 20),
}
MAKE = {
    "objects": lambda y: y.astype(object),
    "list": lambda y: y.tolist(),
    "series": pd.Series,
    "series of objects": lambda y: pd.Series(y, dtype=object),
    "categories": lambda y: pd.Series(y).astype("category"),
    "nullable": lambda y: pd.Series(y).convert_dtypes(),
    "a column": lambda y: pd.DataFrame({"y": y.astype(object)})["y"],
    "polars": lambda y: pytest.importorskip("polars").Series(y),
}


@pytest.mark.parametrize("make", MAKE.values(), ids=MAKE)
@pytest.mark.parametrize("kind", LABELS)
def test_labels_are_predicted_as_given_for_every_container(kind, make):
    expected = cr.MLPClassifier(**SMALL).fit(X, LABELS[kind])
    estimator = cr.MLPClassifier(**SMALL).fit(X, make(LABELS[kind]))
    assert estimator.classes_.tolist() == expected.classes_.tolist()
    assert estimator.predict(X).tolist() == expected.predict(X).tolist()
    assert set(estimator.classes_.tolist()) == set(LABELS[kind].tolist())
    partly = cr.MLPClassifier(**SMALL).partial_fit(X, make(LABELS[kind]), classes=make(np.unique(LABELS[kind])))
    assert partly.classes_.tolist() == expected.classes_.tolist()
    watched = cr.MLPClassifier(**SMALL).fit(X, LABELS[kind], X_val=X, y_val=make(LABELS[kind]))
    assert watched.best_validation_score_ == watched.score(X, make(LABELS[kind]))


def test_label_matrix_may_be_objects_or_lists():
    rng = np.random.default_rng(1)
    labels = rng.integers(0, 2, (60, 2))
    expected = cr.MLPClassifier(**SMALL).fit(X, labels)
    for given in (labels.astype(object), labels.tolist(), labels.astype(bool).astype(object)):
        estimator = cr.MLPClassifier(**SMALL).fit(X, given)
        assert estimator.predict_proba(X).tobytes() == expected.predict_proba(X).tobytes()
        cr.MLPClassifier(**SMALL).partial_fit(X, given, classes=[0, 1]).partial_fit(X, given)


@pytest.mark.parametrize("missing", [None, np.nan, pd.NA, pd.NaT, float("nan")])
@pytest.mark.parametrize("kind", ["int", "bool", "text"])
def test_missing_label_raises_with_its_row(kind, missing):
    y = LABELS[kind].astype(object)
    y[7] = missing
    for given in (y, y.tolist(), pd.Series(y, dtype=object)):
        with pytest.raises(ValueError, match=r"y has a missing label in row 7: .*[Ll]eave such rows out"):
            cr.MLPClassifier(**SMALL).fit(X, given)
    with pytest.raises(ValueError, match="missing label in row 7"):
        cr.MLPClassifier(**SMALL).fit(X, LABELS[kind], X_val=X, y_val=y)


@pytest.mark.parametrize("kind", ["Int64", "boolean", "string", "category"])
def test_missing_label_in_a_table_column_raises_with_its_row(kind):
    y = pd.Series(LABELS["bool"] if kind == "boolean" else LABELS["int"]).astype(kind)
    y[7] = None
    with pytest.raises(ValueError, match=r"missing label in row 7|contains NaN"):
        cr.MLPClassifier(**SMALL).fit(X, y)


def test_labels_of_several_kinds_raise():
    y = LABELS["text"].astype(object)
    y[[3, 4]] = 1, True
    with pytest.raises(ValueError, match=r"several kinds: 'a' \(text\) in row 0, 1 \(an integer\) in row 3"):
        cr.MLPClassifier(**SMALL).fit(X, y)
    y = LABELS["int"].astype(object)
    y[5] = 2.5
    with pytest.raises(ValueError, match="continuous"):
        cr.MLPClassifier(**SMALL).fit(X, y)
    with pytest.raises(ValueError, match=r"[Uu]nknown label type"):
        cr.MLPClassifier(**SMALL).fit(X, [datetime.date(2024, 1, 1 + i % 3) for i in range(60)])


@pytest.mark.parametrize("solver", ["adam", "lbfgs"])
@pytest.mark.parametrize("y", [np.zeros(60), np.full(60, "a"), np.ones(60, bool)], ids=lambda y: y.dtype.kind)
def test_single_class_has_one_column_of_probabilities(y, solver):
    for loss in ("log_loss", cr.SoftmaxCrossEntropy(label_smoothing=0.1)):
        estimator = cr.MLPClassifier(**SMALL, solver=solver, loss=loss).fit(X, y)
        assert estimator.predict_proba(X).tolist() == [[1.0]] * 60
        assert estimator.predict_log_proba(X).tolist() == [[0.0]] * 60
        assert estimator.predict(X).tolist() == y.tolist()
        assert estimator.score(X, y) == 1.0
    partly = cr.MLPClassifier(**SMALL).partial_fit(X, y, classes=y[:1])
    assert partly.predict_proba(X).shape == (60, 1)


def test_partial_fit_takes_chunks_of_one_class_with_warm_start():
    estimator = cr.MLPClassifier(**SMALL, warm_start=True)
    plain = cr.MLPClassifier(**SMALL)
    for chunk in (slice(0, 1), slice(1, 2), slice(2, 30)):
        for each in (estimator, plain):
            each.partial_fit(X[chunk], LABELS["int"][chunk], classes=[1, 2, 5])
    assert estimator.network_.parameters.tobytes() == plain.network_.parameters.tobytes()
    with pytest.raises(ValueError, match="warm_start can only be used where `y` has the same classes"):
        estimator.fit(X[:2], LABELS["int"][:2])


def test_class_weights_may_name_a_class_that_a_fold_lacks():
    rare = np.repeat(["common", "rare"], [58, 2])
    estimator = cr.MLPClassifier(**SMALL, class_weight={"common": 1.0, "rare": 5.0})
    estimator.fit(X[:58], rare[:58])
    scores = cross_val_score(estimator, X, rare, cv=[(np.arange(58), np.arange(58, 60))], error_score="raise")
    assert scores.shape == (1,)
    with pytest.raises(ValueError, match=r"class_weight names \['Rare'\], the classes are \['common', 'rare'\]"):
        estimator.set_params(class_weight={"common": 1.0, "Rare": 5.0}).fit(X, rare)


@pytest.mark.parametrize("weight", [-1.0, np.nan, np.inf, "2", None])
def test_invalid_class_weight_raises(weight):
    with pytest.raises(ValueError, match=r"class_weight of 1 is .*, expected a finite number of at least 0"):
        cr.MLPClassifier(**SMALL, class_weight={1: weight}).fit(X, LABELS["int"])


@pytest.mark.parametrize("count", [0, 1, 3])
def test_class_weights_of_labels_need_one_entry_each(count):
    rng = np.random.default_rng(1)
    labels = rng.integers(0, 2, (60, 2))
    with pytest.raises(ValueError, match=f"class_weight has {count} entries, y has 2 columns of labels"):
        cr.MLPClassifier(**SMALL, class_weight=[{1: 2.0}] * count).fit(X, labels)


@pytest.mark.parametrize("kind", [cr.MLPClassifier, cr.MLPRegressor])
def test_masked_entries_raise(kind):
    masked = np.ma.array(X, mask=np.zeros_like(X, bool))
    y = np.ma.array(LABELS["int"], mask=np.zeros(60, bool))
    estimator = kind(**SMALL).fit(masked, y)  # nothing is masked yet
    assert (estimator.predict(masked) == kind(**SMALL).fit(X, LABELS["int"]).predict(X)).all()
    masked[4, 1] = y[6] = np.ma.masked
    for arguments, text in [
        ({"X": masked}, "X is a masked array with a masked entry in row 4, column 1"),
        ({"y": y}, "y is a masked array with a masked entry in row 6"),
        ({"sample_weight": np.ma.masked_less(np.ones(60), 2)}, "sample_weight is a masked array"),
        ({"X_val": masked, "y_val": LABELS["int"]}, "X is a masked array"),
    ]:
        for preprocess in (False, True):
            with pytest.raises(ValueError, match=text):
                kind(**SMALL, preprocess=preprocess).fit(**{"X": X, "y": LABELS["int"]} | arguments)
    with pytest.raises(ValueError, match="X is a masked array"):
        estimator.predict(masked)


@pytest.mark.parametrize("kind", [cr.MLPClassifier, cr.TableClassifier])
@pytest.mark.parametrize("text", [False, True])
def test_several_columns_of_classes_name_and_work_with_multi_output_classifier(kind, text):
    y = np.column_stack([np.digitize(X[:, 0], [-0.5, 0.5]), X[:, 1] > 0, np.digitize(X[:, 2], [-0.3, 0.2, 0.8])])
    y = y.astype(str) if text else y
    for given in (y, pd.DataFrame(y), y.tolist()):
        with pytest.raises(
            ValueError, match=r"^y has 3 columns of classes.*sklearn\.multioutput\.MultiOutputClassifier"
        ):
            kind().fit(X, given)
    settings = SMALL if kind is cr.MLPClassifier else {"random_state": 0}
    together = MultiOutputClassifier(kind(**settings)).fit(X, y)
    alone = [kind(**settings).fit(X, column).predict(X) for column in y.T]
    assert together.predict(X).tolist() == np.column_stack(alone).tolist()
    with pytest.raises(ValueError, match="continuous"):
        kind().fit(X, X[:, :2])


def test_quantiles_predict_one_target():
    for y in (np.c_[X[:, 0], X[:, 1]], np.c_[X[:, 0], X[:, 1], X[:, 2]]):
        with pytest.raises(ValueError, match=f"several levels of one target, y has {y.shape[1]} columns"):
            cr.MLPRegressor(cr.Quantile([0.1, 0.9]), **SMALL).fit(X, y)
    assert cr.MLPRegressor(cr.Quantile([0.1, 0.9]), **SMALL).fit(X, X[:, 0]).predict(X).shape == (60, 2)


@pytest.mark.parametrize("columns", [(), (1,), (2,)], ids=["(m,)", "(m, 1)", "(m, 2)"])
def test_custom_loss_of_the_guide_works_in_an_estimator(columns):
    rng = np.random.default_rng(1)

    def log_cosh(logits, y, weight):
        assert y.shape == logits.shape
        error = logits - y
        return np.mean(np.logaddexp(error, -error) - np.log(2)), np.tanh(error) / error.size

    y = rng.normal(size=(60, *columns))
    estimator = cr.MLPRegressor(log_cosh, **SMALL | {"max_iter": 200, "learning_rate_init": 0.05})
    with pytest.warns(UserWarning, match="A column-vector y") if columns == (1,) else contextlib.nullcontext():
        estimator.fit(X, y)
    assert estimator.loss_curve_[-1] < 0.9 * estimator.loss_curve_[0]


def test_custom_loss_of_two_classes_gets_labels_like_the_logits():
    def logistic(logits, y, weight):
        assert y.shape == logits.shape
        probability = 1 / (1 + np.exp(-logits))
        cost = np.mean(np.logaddexp(0, logits) - y * logits)
        return float(cost), (probability - y) / len(y)

    own = cr.MLPClassifier(**SMALL, loss=logistic).fit(X, LABELS["bool"])
    built_in = cr.MLPClassifier(**SMALL).fit(X, LABELS["bool"])
    np.testing.assert_allclose(own.predict_proba(X), built_in.predict_proba(X), rtol=1e-9)


def test_classes_in_another_order_keep_their_numbers():
    """Old model files order numeric text by its value."""
    estimator = cr.MLPClassifier(**SMALL).fit(X, LABELS["text"])
    labels = dataclasses.replace(estimator._label_binarizer, classes=np.array(["c", "a", "b"]))
    assert labels.encode(np.array(["a", "b", "c", "a"])).tolist() == [1, 2, 0, 1]
    assert labels.encode(labels.decode(np.eye(3))).tolist() == [0, 1, 2]
