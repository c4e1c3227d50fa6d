"""Tables to arrays: the formulas by hand, every type of column, errors that name column and value, exact state."""

import datetime
import decimal
import json

import hypothesis.strategies as st
import numpy as np
import pandas as pd
import pytest
from hypothesis import given

from chainrule import TableEncoder, _frames

NAN = np.nan


def frame(**columns):
    return pd.DataFrame(columns)


def encode(train, test=None, **options):
    encoder = TableEncoder(**options).fit(train)
    features = encoder.transform(train if test is None else test)
    assert features.dtype == np.float32
    assert features.shape[1] == encoder.n_features == len(encoder.feature_names)
    return features


def clip(x):
    return x / np.sqrt(1 + (x / 3) ** 2)


# Numbers


def test_numbers_are_standardized_by_the_formula():
    x = np.array([1.0, 2.0, 3.0, 4.0, 100.0])
    np.testing.assert_allclose(encode(frame(x=x))[:, 0], clip((x - 3) / (4 - 2)), rtol=1e-6)


def test_equal_quartiles_use_the_range_as_scale():
    x = np.array([0.0] * 9 + [5.0])
    np.testing.assert_allclose(encode(frame(x=x))[:, 0], clip(x / 5), rtol=1e-6)


def test_missing_numbers_become_the_median_and_are_indicated():
    features = encode(frame(x=[1.0, 2.0, 3.0, NAN]))
    np.testing.assert_array_equal(features[3], [0, 1])
    np.testing.assert_array_equal(features[:3, 1], 0)


def test_a_constant_column_with_gaps_keeps_only_the_missing_indicator():
    np.testing.assert_array_equal(encode(frame(x=[7.0, NAN, 7.0])), [[0, 0], [0, 1], [0, 0]])


def test_numbers_missing_only_later_become_the_median():
    with pytest.warns(UserWarning, match="column .x.: 1 of 2 cells are missing, the first in row 2, but none were"):
        features = encode(frame(x=[1.0, 2.0, 4.0]), frame(x=[4.0, NAN]))
    assert features[1] == 0
    assert features[0] > 0


def test_extreme_numbers_stay_within_the_clipping():
    features = encode(frame(x=[0.0, 1e-300, 2e-300, 3e-300]), frame(x=[1e300, -1e300]))
    np.testing.assert_allclose(features[:, 0], [3, -3], rtol=1e-6)


@pytest.mark.parametrize(
    "column",
    [
        pd.Series([1, 2, 4, 5], dtype="int8"),
        pd.Series([1, 2, 4, 5], dtype="Int64"),
        pd.Series([1, 2, 4, 5], dtype="float16"),
        pd.Series([1, 2, 4, 5], dtype="int64[pyarrow]"),
        pd.Series([1, 2.0, np.float32(4), np.int8(5)], dtype=object),
        pd.Series([decimal.Decimal(i) for i in (1, 2, 4, 5)]),
    ],
    ids=lambda column: str(column.dtype),
)
def test_numbers_of_every_type_encode_alike(column):
    np.testing.assert_array_equal(encode(frame(x=column)), encode(frame(x=[1.0, 2.0, 4.0, 5.0])))


def test_numeric_text_is_accepted_in_a_number_column():
    np.testing.assert_array_equal(encode(frame(x=[1, 2, 4]), frame(x=["4", "1"])), encode(frame(x=[1, 2, 4]))[[2, 0]])


@pytest.mark.parametrize(
    "dates",
    [
        ["2024-01-01", "2024-01-03", None],
        ["2024-01-01 00:00", "2024-01-03T00:00:00Z", None],
        [datetime.date(2024, 1, 1), datetime.date(2024, 1, 3), None],
        pd.to_datetime(pd.Series(["2024-01-01", "2024-01-03", None])),
        pd.to_datetime(pd.Series(["2024-01-01", "2024-01-03", None]), utc=True),
    ],
    ids=["text", "text with time", "date", "datetime64", "with zone"],
)
def test_dates_are_days(dates):
    expected = encode(frame(x=[19723.0, 19725.0, NAN]))
    np.testing.assert_allclose(encode(frame(x=dates)), expected, rtol=1e-6)


# Levels


def test_a_feature_per_level_and_one_for_missing():
    column = ["b", "a", None, "b"]
    np.testing.assert_array_equal(encode(frame(x=column)), [[0, 1, 0], [1, 0, 0], [0, 0, 1], [0, 1, 0]])


def test_unseen_levels_are_zeros():
    message = "column 'x': 1 of 2 cells hold levels that were not seen during fit, such as 'c' in row 1: their features"
    with pytest.warns(UserWarning, match=message):
        assert encode(frame(x=["a", "b"]), frame(x=["c", "a"])).tolist() == [[0, 0], [1, 0]]
    with pytest.warns(
        UserWarning, match="column 'x': 1 of 2 cells are missing, the first in row 2.*their features are 0"
    ):
        assert encode(frame(x=["a", "b"]), frame(x=["b", None])).tolist() == [[0, 1], [0, 0]]


def test_rare_levels_share_a_feature():
    train = frame(x=["a"] * 3 + ["b"] * 2 + ["c", "d"])
    features = encode(train, frame(x=["a", "b", "c", "never seen"]), max_levels=3)
    np.testing.assert_array_equal(features, [[1, 0, 0], [0, 1, 0], [0, 0, 1], [0, 0, 1]])


def test_the_most_frequent_levels_are_kept():
    train = frame(x=[f"level {i:03}" for i in range(150) for _ in range(2 + (i >= 50))])
    encoder = TableEncoder().fit(train)
    assert encoder.columns[0].levels == tuple(f"level {i:03}" for i in range(50, 150))


@pytest.mark.parametrize(
    "column",
    [
        pd.Series([True, False, None], dtype="boolean"),
        pd.Series([True, False, None], dtype=object),
        pd.Series(["True", "False", None], dtype="category"),
        pd.Series(["True", "False", None], dtype="string"),
        pd.Series(["True", "False", None], dtype="string[pyarrow]"),
        pd.Series(["True", "False", None], dtype=object),
    ],
    ids=lambda column: str(column.dtype),
)
def test_levels_of_every_type_encode_alike(column):
    np.testing.assert_array_equal(encode(frame(x=column)), [[0, 1, 0], [1, 0, 0], [0, 0, 1]])


def test_whole_numbers_are_one_level_in_any_type():
    train = frame(x=[1, 2, 3])
    expected = encode(train, frame(x=[3, 1]), categorical_features=["x"])
    for column in ([3.0, 1.0], ["3", "1"], pd.Series([3, 1], dtype="category")):
        np.testing.assert_array_equal(encode(train, frame(x=column), categorical_features=["x"]), expected)


def test_whole_numbers_match_levels_in_other_spellings():
    for levels, later in ((["1", "2"], ["1.0", "2.00"]), (["1.0", "2.0"], ["1", "2"])):
        features = encode(frame(x=levels), frame(x=later), categorical_features=["x"])
        np.testing.assert_array_equal(features, [[1, 0], [0, 1]])
    features = encode(frame(x=["1", "1.0"]), frame(x=["1.0", "1"]), categorical_features=["x"])
    np.testing.assert_array_equal(features, [[0, 1], [1, 0]])
    with pytest.warns(UserWarning, match="such as '01' in row 1"):
        assert not encode(frame(x=["1", "2"]), frame(x=["01"])).any()


def test_category_without_rows_is_not_a_level():
    column = pd.Series(["a", "b"], dtype=pd.CategoricalDtype(["a", "b", "c"]))
    assert TableEncoder().fit(frame(x=column)).feature_names == ["x=a", "x=b"]


# Tables


def test_constant_and_empty_columns_are_ignored_and_may_be_absent():
    names = [f"name {i}" for i in range(101)]
    train = frame(x=range(101), one=5, level="a", empty=[None] * 101, unique=names)
    encoder = TableEncoder().fit(train)
    reasons = [column.reason for column in encoder.columns[1:]]
    assert reasons == ["one value only", "one value only", "no values", "every value is different"]
    np.testing.assert_array_equal(encoder.transform(train[["x"]]), encoder.transform(train))


def test_order_and_extra_columns_do_not_matter():
    train = frame(x=[1, 2, 3], y=["a", "b", "a"])
    np.testing.assert_array_equal(encode(train, frame(y=train.y, z=0, x=train.x)), encode(train))


def test_absent_columns_raise_with_their_names():
    encoder = TableEncoder().fit(frame(x=[1, 2], y=["a", "b"], z=[3, 4]))
    with pytest.raises(ValueError, match=r"lacks 2 columns .*'x', 'z'"):
        encoder.transform(frame(y=["a"]))


@pytest.mark.parametrize(
    ("train", "later", "message"),
    [
        ([1, 2, 3], [1, "many"], "column 'x' holds 'many' in row 2, expected a number"),
        ([1, 2, 3], [1, np.inf], "column 'x' holds inf in row 2, expected a number between"),
        ([1, 2, 3], pd.to_datetime(pd.Series(["2024-01-01"])), "expected a number"),
        ([1, 2, 3], [1j], "expected a number"),
        (["2024-01-01", "2024-01-02"], ["soon"], "column 'x' holds 'soon' in row 1, expected a date"),
        (["2024-01-01", "2024-01-02"], [3], "expected a date"),
        (["a", "b"], [["a"]], "column 'x' holds"),
        (["a", "b"], pd.to_datetime(pd.Series(["2024-01-01"])), "column 'x' holds"),
    ],
)
def test_values_of_another_kind_raise(train, later, message):
    encoder = TableEncoder().fit(frame(x=train))
    with pytest.raises(ValueError, match=message):
        encoder.transform(frame(x=later))


@pytest.mark.parametrize(
    ("table", "message"),
    [
        (frame(x=[1.0, np.inf]), "column 'x' holds inf in row 2"),
        (frame(x=[1, 1]), "no column to learn from"),
        (frame(x=[]), "no rows"),
        (pd.DataFrame([[1, 2], [3, 4]], columns=["x", "x"]), "more than one column 'x'"),
    ],
)
def test_tables_that_cannot_be_encoded_raise(table, message):
    with pytest.raises(ValueError, match=message):
        TableEncoder().fit(table)


@pytest.mark.parametrize("values", [[1j, 2j], pd.to_timedelta(pd.Series([1, 2])), [[1], [2]], [{"a": 1}, {}]])
def test_columns_of_other_types_raise_type_error(values):
    expected = r"column 'x' holds .* in row 1: the argument must be a column of strings, numbers, booleans or dates"
    with pytest.raises(TypeError, match=expected):
        TableEncoder().fit(frame(x=values))


def test_unfitted_encoder_raises():
    with pytest.raises(ValueError, match="not fitted"):
        TableEncoder().transform(frame(x=[1]))
    with pytest.raises(ValueError, match="no column 'y'"):
        TableEncoder(categorical_features=["y"]).fit(frame(x=[1, 2]))


NUMBERS = st.none() | st.integers(-(10**6), 10**6) | st.floats(-1e300, 1e300)
LEVELS = st.none() | st.booleans() | st.text(max_size=3)
DATES = st.none() | st.datetimes(datetime.datetime(1700, 1, 1), datetime.datetime(2200, 1, 1))  # the range of pandas 2
CELLS = {"number": NUMBERS, "level": LEVELS, "date": DATES}


ROWS = st.lists(st.fixed_dictionaries(CELLS))


@pytest.mark.filterwarnings("ignore:column '(number|level|date)'")
@given(ROWS.filter(len), ROWS, st.integers(1, 5))
def test_the_state_is_exact_and_features_are_bounded(train, test, max_levels):
    tables = []
    for rows in (train, test):
        table = pd.DataFrame({key: pd.Series([row[key] for row in rows], dtype=object) for key in CELLS})
        tables.append(table.assign(constant=range(len(rows))))
    encoder = TableEncoder(max_levels=max_levels)
    if len(train) == 1:
        tables[0] = pd.concat([tables[0], tables[0].assign(constant=-1)], ignore_index=True)
    encoder.fit(tables[0])
    again = TableEncoder.from_dict(json.loads(json.dumps(encoder.to_dict())))
    assert again.to_dict() == encoder.to_dict()
    for table in tables:
        features = encoder.transform(table)
        assert (np.abs(features) <= 3).all()
        assert again.transform(table).tobytes() == features.tobytes()
    single = [encoder.transform(tables[0].iloc[[i]]) for i in range(len(tables[0]))]
    np.testing.assert_array_equal(np.concatenate(single), encoder.transform(tables[0]))


def spoil(state, **changes):
    return state | {"columns": [state["columns"][0] | changes]}


def test_invalid_states_raise():
    state = TableEncoder().fit(frame(x=[1, 2])).to_dict()
    for wrong, message in [
        ({}, "no format version"),
        (state | {"format": 4}, "upgrade chainrule"),
        (state | {"columns": 3}, "no list of columns"),
        (spoil(state, kind="image"), "kind is 'image'"),
        (spoil(state, scale="wide"), "scale is 'wide'"),
        (spoil(state, scale=0), "scale 0 and no indicator"),
        (spoil(state, scale=-1), "scale -1"),
        (spoil(state, scale=NAN), "scale nan"),
        (spoil(state, median=np.inf), "median inf"),
        (spoil(state, median=10**400), "median is 1000"),
        (spoil(state, name=3), "name is 3"),
        (spoil(state, indicator=1), "indicator is 1"),
        (spoil(state, format={"decimal": ";", "unit": ""}), "is not a number format"),
        (spoil(state, format={"order": "dmy"}), "must have the strings"),
        (state | {"columns": state["columns"] * 2}, "more than one column 'x'"),
        (state | {"columns": []}, "it has no features"),
        (spoil(state, more=1), "has the entries"),
        (spoil(state, kind="levels"), "has the entries"),
    ]:
        with pytest.raises(ValueError, match=message):
            TableEncoder.from_dict(wrong)
    levels = TableEncoder().fit(frame(x=["a", "b"])).to_dict()
    with pytest.raises(ValueError, match="not a list of strings"):
        TableEncoder.from_dict(spoil(levels, levels=[1]))
    with pytest.raises(ValueError, match="has the level 'a' more than once"):
        TableEncoder.from_dict(spoil(levels, levels=["a", "b", "a"]))
    with pytest.raises(ValueError, match="has no levels"):
        TableEncoder.from_dict(spoil(levels, levels=[]))
    bins = TableEncoder(bins=2).fit(frame(x=[1, 2, 3])).to_dict()
    for edges in ([1.0, 3.0], [1.0, 3.0, 2.0], [1.0, 1.0, 2.0]):
        with pytest.raises(ValueError, match="the edges of its bins are"):
            TableEncoder.from_dict(spoil(bins, edges=edges))
    for edges in (1.0, "12", [1, 2, "3"], [1, 2, NAN], [1, 2, 10**400]):
        with pytest.raises(ValueError, match="edges is not a list of finite numbers"):
            TableEncoder.from_dict(spoil(bins, edges=edges))


def test_nested_states_raise():
    deep = []
    for _ in range(100_000):
        deep = [deep]
    state = TableEncoder().fit(frame(x=[1, 2])).to_dict()
    for wrong in (
        spoil(state, kind=deep),
        spoil(state, name=deep),
        spoil(state, median=deep),
        spoil(state, format=deep),
    ):
        with pytest.raises(ValueError, match=r"kind is|name is|median is|format of a column"):
            TableEncoder.from_dict(wrong)


def test_a_constant_column_with_missing_values_has_a_scale_of_0():
    state = TableEncoder().fit(frame(x=[7.0, NAN])).to_dict()
    assert state["columns"][0]["scale"] == 0
    np.testing.assert_array_equal(TableEncoder.from_dict(state).transform(frame(x=[7.0, NAN])), [[0, 0], [0, 1]])


def test_level_names_are_the_shortest_decimal_of_numbers():
    assert [_frames.level_name(v) for v in (1.0, np.float32(2), 1.5, "01", True)] == ["1", "2", "1.5", "01", "True"]
    decimals = ["1.50", "100", "1E+2", "-0.0", "12345678901234567890123456789012345.10"]
    expected = ["1.5", "100", "100", "0", "12345678901234567890123456789012345.1"]
    assert [_frames.level_name(decimal.Decimal(text)) for text in decimals] == expected
    assert [_frames.level_name(value) for value in (np.inf, -np.inf, 1e20)] == ["inf", "-inf", "1" + 20 * "0"]
