"""`TableEncoder` as a scikit-learn transformer; spellings of levels; unseen levels, missing values, later rows."""

import copy
import pickle
import warnings
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from processes import run

import chainrule as cr
from chainrule._columns import NumberColumn
from chainrule.table import TableEncoding

sklearn = pytest.importorskip("sklearn")
compose = pytest.importorskip("sklearn.compose")
exceptions = pytest.importorskip("sklearn.exceptions")
pipeline = pytest.importorskip("sklearn.pipeline")

TABLE = pd.DataFrame({"age": [20.0, 30.0, None, 40.0], "home": ["own", "rent", "own", None]})
NAMES = ["age", "age missing", "home=own", "home=rent", "home missing"]


def encode(fitted, later, **settings):
    """Fit on one column, transform another; a warning is an error."""
    encoder = cr.TableEncoder(**settings).fit(pd.DataFrame({"x": fitted}))
    return encoder.transform(pd.DataFrame({"x": later}))


def test_pipeline_does_not_pass_y_as_rows():
    rng = np.random.default_rng(0)
    X = pd.DataFrame({"x": rng.normal(size=200), "town": rng.choice(["a", "b"], 200)})
    y = (X.x > 0).astype(int).to_numpy()
    model = pipeline.make_pipeline(cr.TableEncoder(), sklearn.linear_model.LogisticRegression()).fit(X, y)
    assert model.score(X, y) > 0.95
    assert model[0].encoding_.to_dict() == TableEncoding.learn(X).to_dict()
    assert sklearn.model_selection.cross_val_score(model, X, y).min() > 0.9
    search = sklearn.model_selection.GridSearchCV(model, {"tableencoder__max_levels": [1, 5]}).fit(X, y)
    assert search.best_score_ > 0.9


def test_fit_transform_equals_fit_then_transform():
    encoder = cr.TableEncoder()
    features = encoder.fit_transform(TABLE, [0, 1, 1, 0])
    assert features.tobytes() == cr.TableEncoder().fit(TABLE, [0, 1, 1, 0]).transform(TABLE).tobytes()
    assert encoder.n_features_in_ == 2
    assert encoder.feature_names_in_.tolist() == ["age", "home"]
    assert encoder.get_feature_names_out().tolist() == encoder.get_feature_names_out(["age", "home"]).tolist() == NAMES


def test_given_feature_names_are_used_and_checked():
    encoder = cr.TableEncoder().fit(TABLE.to_numpy(dtype=object))
    assert not hasattr(encoder, "feature_names_in_")
    assert encoder.get_feature_names_out()[2] == "x1=own"
    assert encoder.get_feature_names_out(["a", "b"])[2] == "b=own"
    with pytest.raises(ValueError, match=r"input_features should have length equal to number of features \(2\), got 1"):
        encoder.get_feature_names_out(["a"])
    with pytest.raises(ValueError, match="input_features is not equal to feature_names_in_"):
        encoder.fit(TABLE).get_feature_names_out(["age", "house"])
    assert not hasattr(encoder.fit(TABLE.to_numpy(dtype=object)), "feature_names_in_")


def test_parameters_survive_clone_and_show_in_repr():
    encoder = cr.TableEncoder(max_levels=3, decimal=",")
    expected = {"categorical_features": "from_dtype", "max_levels": 3, "date_order": None, "decimal": ",", "bins": None}
    assert encoder.get_params() == sklearn.base.clone(encoder).get_params() == expected
    assert repr(encoder) == "TableEncoder(decimal=',', max_levels=3)"
    assert encoder.set_params(max_levels=1).fit(TABLE).encoding_.feature_names[-2:] == ["home other", "home missing"]


def test_set_output_gives_data_frames():
    for output, kind in (("pandas", pd.DataFrame), ("polars", pytest.importorskip("polars").DataFrame)):
        encoder = cr.TableEncoder().set_output(transform=output).fit(TABLE)
        features = encoder.transform(TABLE)
        assert isinstance(features, kind)
        assert list(features.columns) == NAMES
        assert isinstance(encoder.encoding_.transform(TABLE), np.ndarray)
    parts = compose.make_column_transformer((cr.TableEncoder(), ["home"]), remainder="passthrough")
    assert parts.fit_transform(TABLE).shape == (4, 4)


def test_unfitted_encoder_raises_not_fitted_error():
    for use in (lambda e: e.transform(TABLE), lambda e: e.get_feature_names_out()):
        with pytest.raises(exceptions.NotFittedError, match="This TableEncoder instance is not fitted yet"):
            use(cr.TableEncoder())
    assert cr.TableEncoder().columns == ()


def test_fit_that_raises_leaves_the_encoder_unchanged():
    encoder = cr.TableEncoder().fit(TABLE)
    with pytest.raises(ValueError, match="inf"):
        encoder.fit(pd.DataFrame({"other": [1.0, np.inf]}))
    assert encoder.feature_names_in_.tolist() == ["age", "home"]
    assert encoder.transform(TABLE).shape == (4, 5)


def test_encoders_are_copied_and_pickled():
    encoder = cr.TableEncoder(max_levels=7).fit(TABLE)
    for again in (pickle.loads(pickle.dumps(encoder)), copy.deepcopy(encoder)):
        assert again.transform(TABLE).tobytes() == encoder.transform(TABLE).tobytes()
        assert again.get_params() == encoder.get_params()


def test_an_encoding_needs_no_scikit_learn():
    run("without.table_encoding")


# The same value is the same level

BOOLEANS = {
    "bool": [True, False],
    "numpy": np.array([True, False], dtype=object),
    "nullable": pd.array([True, False], dtype="boolean"),
    "category": pd.Categorical([True, False]),
    "text": ["True", "False"],
    "lower": ["true", "false"],
    "upper": ["TRUE", "FALSE"],
    "int": pd.Categorical([1, 0]),
    "float": pd.Categorical([1.0, 0.0]),
    "digits": ["1", "0"],
    "padded": [" true", "false "],
}


@pytest.mark.parametrize("later", BOOLEANS)
@pytest.mark.parametrize("fitted", BOOLEANS)
def test_booleans_match_other_spellings(fitted, later):
    seen = encode(BOOLEANS[fitted], BOOLEANS[fitted], categorical_features=["x"])
    assert encode(BOOLEANS[fitted], BOOLEANS[later], categorical_features=["x"]).tolist() == seen.tolist()
    assert sorted(seen.tolist()) == [[0, 1], [1, 0]]


def test_booleans_as_plain_numbers():
    assert encode([True, False], [1, 0]).tolist() == [[0, 1], [1, 0]]
    assert encode([True, False, None], [1.0, np.nan]).tolist() == [[0, 1, 0], [0, 0, 1]]
    assert encode([1, 0], [True, False]).tolist() == encode([1, 0], [1, 0]).tolist()
    assert encode([1.0, 0.0, None], pd.array([True, None], dtype="boolean")).shape == (2, 2)


@pytest.mark.parametrize(
    ("fitted", "later", "unseen"),
    [(["0", "1", "2"], [True], "True"), (["yes", "no"], [True], "True"), (["true", "maybe"], ["TRUE"], "TRUE")],
)
def test_numbers_and_words_are_not_booleans(fitted, later, unseen):
    with pytest.warns(
        UserWarning, match=f"1 of 1 cells hold levels that were not seen during fit, such as '{unseen}' in row 1"
    ):
        assert not encode(fitted, later).any()


def test_numbers_in_another_type_and_spaces_are_the_same_level():
    for later in ([1, 2], [1.0, 2.0], ["1", "2"], ["1.0", "2.0"], [" 1", "2 "], pd.array([1, 2], dtype="Int64")):
        assert encode(["1", "2"], later).tolist() == [[1, 0], [0, 1]]
    assert encode([" a", "b"], ["a", "b "]).tolist() == [[1, 0], [0, 1]]
    assert encode(["a", " a"], ["a", " a"]).tolist() == [[0, 1], [1, 0]]
    with pytest.warns(UserWarning, match="such as 'a ' in row 1"):  # "a " matches both levels
        assert not encode([" a", "a"], ["a "]).any()


def test_classes_match_other_spellings():
    from chainrule.cli._rows import TargetEncoder

    target = TargetEncoder().fit([True, False, True])
    assert target.transform(["true", "FALSE", " True"]).tolist() == target.transform([1, 0, 1.0]).tolist() == [1, 0, 1]


# Warnings


def messages(table, later, **settings):
    encoder = cr.TableEncoder(**settings).fit(table)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        encoder.transform(later)
    assert all(warning.category is UserWarning for warning in caught)
    return [str(warning.message) for warning in caught]


def test_unseen_levels_warn():
    table = pd.DataFrame({"x": ["a", "b", None]})
    assert messages(table, pd.DataFrame({"x": ["a", "c", "d", "c", None]})) == [
        "column 'x': 3 of 5 cells hold levels that were not seen during fit, such as 'c' in row 2: their features are "
        "0; correct them, or fit with rows that have them"
    ]
    assert messages(table, pd.DataFrame({"x": ["a", None]})) == []
    assert messages(table, pd.DataFrame({"x": ["a", "c"]}, index=[7, 9]))[0].count("row 10") == 1


def test_missing_values_warn_if_there_were_none_at_fit():
    table = pd.DataFrame({"n": [1.0, 2.0], "d": pd.to_datetime(["2024-01-01", "2024-01-03"]), "l": ["a", "b"]})
    later = pd.DataFrame({"n": [1.0, None], "d": pd.to_datetime([None, "2024-01-03"]), "l": [None, None]})
    found = messages(table, later)
    assert [text[:60] for text in found] == [
        "column 'n': 1 of 2 cells are missing, the first in row 2, bu",
        "column 'd': 1 of 2 cells are missing, the first in row 1, bu",
        "column 'l': 2 of 2 cells are missing, the first in row 1, bu",
    ]
    assert messages(pd.concat([table, later]), later) == []


def test_shared_feature_warns_if_no_row_has_a_listed_level():
    table = pd.DataFrame({"x": ["a"] * 3 + ["b"] * 2 + ["c", "d"]})
    assert messages(table, pd.DataFrame({"x": ["c"] * 9}), max_levels=2) == []
    assert messages(table, pd.DataFrame({"x": ["C"] * 19 + ["a"]}), max_levels=2) == []
    [text] = messages(table, pd.DataFrame({"x": ["A"] * 10}), max_levels=2)
    assert (
        "10 of 10 cells hold levels that were not seen during fit, such as 'A' in row 1: all share one feature" in text
    )


def test_warnings_name_ten_columns_and_count_the_others():
    table = pd.DataFrame({f"x{i}": ["a", "b"] for i in range(25)})
    found = messages(table, table.replace("a", "c"))
    assert len(found) == 11
    assert found[-1] == "15 more columns have similar problems"
    assert messages(table, table) == []


def test_warn_false_silences_warnings():
    encoding = TableEncoding.learn(pd.DataFrame({"x": ["a", "b"]}))
    assert not encoding.transform(pd.DataFrame({"x": ["c"]}), warn=False).any()


@pytest.mark.parametrize(
    "wrap", [lambda e: e.encoding_.transform, lambda e: e.transform, lambda e: e.set_output().transform]
)
def test_warnings_point_to_the_calling_line(wrap):
    transform = wrap(cr.TableEncoder().fit(pd.DataFrame({"x": ["a", "b"]})))
    with pytest.warns(UserWarning, match="not seen") as caught:
        transform(pd.DataFrame({"x": ["c"]}))
    assert Path(caught[0].filename) == Path(__file__)


# More rows will come


def test_first_part_of_a_table_drops_no_column():
    first = pd.DataFrame({
        "number": [5.0, 5.0, 5.0],
        "zero": [0, 0, 0],
        "level": ["a", "a", "a"],
        "empty": [np.nan] * 3,
        "nothing": pd.Series([None] * 3, dtype=object),
        "flag": [True] * 3,
        "day": pd.to_datetime(["2024-01-01"] * 3),
    })  # fmt: skip
    encoding = TableEncoding.learn(first, more_to_come=True)
    kinds = [column.kind for column in encoding.columns]
    assert kinds == ["number", "number", "levels", "number", "levels", "levels", "date"]
    assert [column.scale for column in encoding.columns if isinstance(column, NumberColumn)][:3] == [5, 1, 1]
    later = pd.DataFrame({
        "number": [10.0, None],
        "zero": [1, 0],
        "level": ["b", None],
        "empty": [1.0, np.nan],
        "nothing": ["x", None],
        "flag": pd.array([False, None], dtype="boolean"),
        "day": pd.to_datetime(["2025-01-01", None]),
    })  # fmt: skip
    features = dict(zip(encoding.feature_names, encoding.transform(later).T.tolist(), strict=True))
    one = 1 / np.hypot(1, 1 / 3)
    assert features["number"] == pytest.approx([one, 0])
    assert features["zero"] == pytest.approx([one, 0])
    assert features["empty"] == pytest.approx([one, 0])
    for name in ("level other", "nothing other", "flag other"):
        assert features[name] == [1, 0]
    for name in ("number", "level", "empty", "nothing", "flag", "day"):
        assert features[f"{name} missing"] == [0, 1]
    assert TableEncoding.from_dict(encoding.to_dict()).columns == encoding.columns
    assert [column.kind for column in TableEncoding.learn(first.assign(x=range(3))).columns[:-1]] == ["ignored"] * 7


@pytest.mark.parametrize("levels", [3, 300])
def test_binned_inputs_have_the_features_of_transform(levels):
    random = np.random.default_rng(0)
    x = random.normal(size=900)
    table = pd.DataFrame({"x": x, "town": (np.arange(900) % levels).astype(str), "size": random.integers(0, 9, 900)})
    table.loc[::7, ["x", "town"]] = None
    encoding = cr.TableEncoder(bins=16, max_levels=400).fit(table[:800]).encoding_
    later = table.assign(town=np.where(table.index < 100, "unseen", table.town))
    later.loc[::11, "x"] *= 100
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        features, inputs = encoding.transform(later), encoding.inputs(later, "float32", rows=np.arange(50, 900))
    assert inputs.codes.dtype == (np.uint8 if levels == 3 else np.uint16)
    np.testing.assert_array_equal(inputs.toarray(), features[50:])


def test_inputs_without_bins_are_the_features():
    table = pd.DataFrame({"x": [1.0, 2.0, 4.0], "y": ["a", "b", "a"]})
    encoding = cr.TableEncoder().fit(table).encoding_
    inputs = encoding.inputs(table, "float64")
    np.testing.assert_array_equal(inputs, encoding.transform(table))
    assert inputs.dtype == np.float64
