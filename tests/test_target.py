"""The target column: the choice of the task, encoding and decoding, exact state."""

import json

import narwhals as nw
import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from chainrule._formats import NumberFormat
from chainrule.cli._rows import TargetEncoder
from chainrule.target import Standardizer, Target


@pytest.mark.parametrize(
    ("column", "labels"),
    [
        (["no", "yes", "no"], ["no", "yes"]),
        ([True, False, True], ["False", "True"]),
        ([10, 9, 2], ["2", "9", "10"]),
        ([2.0, 1.0, 2.0], ["1", "2"]),
        (["10", "9", "10"], ["9", "10"]),
        (pd.Series(["b", "a", "b"], dtype="category"), ["a", "b"]),
        (range(11), []),
        ([0.5, 1.5, 0.5], []),
    ],
)
def test_task_is_inferred_from_the_target(column, labels):
    target = TargetEncoder().fit(pd.Series(column, name="y"))
    assert target.labels == labels
    assert target.task == ("classification" if labels else "regression")


@pytest.mark.parametrize("library", ["pandas", "pyarrow", "narwhals"])
def test_series_of_any_library(library):
    values = [0.5, 1.5, 0.25]
    series = {
        "pandas": lambda: pd.Series(values, name="y"),
        "pyarrow": lambda: pa.chunked_array([values]),
        "narwhals": lambda: nw.from_native(pd.Series(values, name="y"), series_only=True),
    }[library]()
    assert TargetEncoder().fit(series, "y").transform(series).tolist() == values


def test_task_argument_overrides_the_inferred_task():
    column = pd.Series([1, 2, 4], name="y")
    assert TargetEncoder("regression").fit(column).labels == []
    assert TargetEncoder("classification").fit(pd.Series([0.5, 1.5, 0.5], name="y")).labels == ["0.5", "1.5"]
    with pytest.raises(ValueError, match="task is 'clustering'"):
        TargetEncoder("clustering")


def test_two_classes_have_one_output_and_more_have_one_each():
    two = Target("y", np.array(["a", "b"]), "binary")
    np.testing.assert_array_equal(two.probabilities(np.array([[0.25]])), [[0.75, 0.25]])
    assert two.decode(np.array([[0.25], [0.75]])).tolist() == ["a", "b"]
    three = Target("y", np.array(["a", "b", "c"]), "multiclass")
    assert three.decode(np.array([[0.1, 0.2, 0.7], [0.5, 0.3, 0.2]])).tolist() == ["c", "a"]
    encoder = TargetEncoder().fit(pd.Series(["a", "b", "c"], name="y"))
    assert encoder.transform(pd.Series(["c", "a"])).tolist() == ["c", "a"]


def test_one_class_is_certain():
    np.testing.assert_array_equal(Target("y", np.array(["a"]), "binary").probabilities(np.array([[0.25]])), [[1.0]])


def test_values_are_standardized_and_restored():
    column = pd.Series([100.5, 200.0, 350.0, -20.0], name="y")
    encoder = TargetEncoder().fit(column)
    assert (encoder.task, encoder.transform(column).tolist()) == ("regression", column.tolist())
    standard = encoder.standardizer.apply(column)
    np.testing.assert_allclose([standard.mean(), standard.std()], [0, 1], atol=1e-15)
    target = Target("y", standardizer=encoder.standardizer)
    np.testing.assert_allclose(target.decode(standard[:, None]), column, rtol=1e-14)


def test_targets_are_standardized_separately():
    values = np.array([[1.0, 1e6, 3.0], [2.0, 3e6, 3.0], [6.0, 8e6, 3.0]])
    standardizer = Standardizer.fit(values)
    standard = standardizer.apply(values)
    np.testing.assert_allclose(standard.mean(axis=0), 0, atol=1e-15)
    np.testing.assert_allclose(standard.std(axis=0), [1, 1, 0], atol=1e-15)
    np.testing.assert_allclose(standardizer.restore(standard.astype(np.float32)), values, rtol=1e-6)


@pytest.mark.parametrize(
    ("column", "task", "message"),
    [
        (["a", "a"], None, "has 1 class"),
        ([1, None, 2], None, "missing in row 2"),
        ([0.5, 0.5], None, "one value only"),
        (["2024-01-01", "2024-01-02"], None, "holds dates"),
        ([f"text {i}" for i in range(20)], None, "20 different classes in 20 rows"),
        (["a", "b"], "regression", "column 'y' holds 'a' in row 1, expected a number"),
        ([1e300, -1e300], "regression", "too large"),
    ],
)
def test_invalid_targets_raise(column, task, message):
    with pytest.raises(ValueError, match=message):
        TargetEncoder(task).fit(pd.Series(column, name="y"))


def test_unseen_class_raises():
    target = TargetEncoder().fit(pd.Series(["a", "b"], name="y"))
    with pytest.raises(ValueError, match="holds 'c', expected one of"):
        target.transform(pd.Series(["a", "c"]))


def test_classes_match_other_spellings():
    target = TargetEncoder().fit(pd.Series(["1", "x"], name="y"))
    assert target.transform(pd.Series(["x", "1.0"])).tolist() == ["x", "1"]


CLASSES = Target("y", np.array(["a", "b"], dtype=object), "binary")
VALUES = Target("y", standardizer=Standardizer.fit([0.5, 1.5, 7.25]))


@pytest.mark.parametrize("target", [CLASSES, VALUES, Target("y", np.array([1, 2, 3]), "multiclass")], ids=str)
def test_the_state_of_a_target_is_exact(target):
    state = json.loads(json.dumps(target.to_dict()))
    again = Target.from_dict(state)
    assert again.to_dict() == target.to_dict()
    assert (again.classes is None) or (again.classes.dtype == target.classes.dtype)
    for wrong in ({"format": 1}, state | {"y_type": "clustering"}):
        with pytest.raises(ValueError, match=r"its target is"):
            Target.from_dict(wrong)


def test_unfitted_target_raises():
    with pytest.raises(ValueError, match="not fitted"):
        TargetEncoder().transform([1.0])


def test_values_as_text_are_read_in_their_format():
    target = TargetEncoder().fit(pd.Series(["12,5 €", "3,25 €", "1.000,00 €"], name="y"))
    assert (target.task, target.number_format) == ("regression", NumberFormat(",", "€"))
    assert target.transform(pd.Series(["7,5 €", "3,25 €"])).tolist() == [7.5, 3.25]
    with pytest.raises(ValueError, match=r"column 'y' holds '7.5' in row 1, expected a number such as €1,5"):
        target.transform(pd.Series(["7.5"]))
    assert TargetEncoder("classification").fit(pd.Series(["12,5", "3,25"], name="y")).labels == ["12,5", "3,25"]


def test_ambiguous_values_raise():
    with pytest.raises(
        ValueError, match="the target 'y' holds numbers such as '1,234', which can be read in several ways"
    ):
        TargetEncoder().fit(pd.Series(["1,234", "2,345"], name="y"))
    with pytest.raises(ValueError, match="the target 'y' holds dates"):
        TargetEncoder().fit(pd.Series(["31/12/2023", "01/02/2024"], name="y"))


@pytest.mark.parametrize(
    "changes",
    [
        {"mean": float("nan")},
        {"mean": float("inf")},
        {"mean": "x"},
        {"mean": None},
        {"mean": [0.0]},
        {"std": 0},
        {"std": -1.0},
        {"std": float("nan")},
        {"std": float("inf")},
        {"name": None},
        {"classes": {"dtype": "O", "values": ["a"]}},
        {"sparse": 3},
    ],
    ids=str,
)
def test_invalid_states_of_values_raise(changes):
    with pytest.raises(ValueError, match=r"target|could not convert"):
        Target.from_dict(VALUES.to_dict() | changes)


@pytest.mark.parametrize("labels", [["a", "a"], 3, None], ids=str)
def test_invalid_states_of_classes_raise(labels):
    with pytest.raises(ValueError, match=r"its target has a class twice|expected an array"):
        Target.from_dict(CLASSES.to_dict() | {"classes": {"dtype": "O", "values": labels}})


def test_nested_states_raise():
    deep = []
    for _ in range(100_000):
        deep = [deep]
    for entry in ("name", "classes", "y_type", "sparse", "mean"):
        with pytest.raises((ValueError, RecursionError)):
            Target.from_dict(VALUES.to_dict() | {entry: deep})
