"""Data frames of every library and arrays: the same data give the same features and the same error messages."""

import datetime
import decimal
import pickle
import sys

import numpy as np
import pandas as pd
import pytest
from processes import run
from tables import DATA, LIBRARIES, in_arrow_within_pandas, in_narwhals, in_objects, in_pandas, in_polars

from chainrule import TableEncoder
from chainrule._frames import Frame, as_column, level_name
from chainrule.table import needs_encoding

NAN = np.nan


@pytest.fixture(params=LIBRARIES, ids=lambda function: function.__name__)
def library(request):
    return request.param


def test_the_same_data_give_the_same_features(library):
    table, expected = library(DATA), TableEncoder().fit(pd.DataFrame(DATA, dtype=object))
    encoder = TableEncoder().fit(table)
    features = encoder.transform(table)
    assert features.tobytes() == expected.transform(pd.DataFrame(DATA)).tobytes()
    if library is not in_objects:
        assert encoder.to_dict() == expected.to_dict()
        assert encoder.transform(in_pandas(DATA)).tobytes() == features.tobytes()
        assert expected.get_feature_names_out().tolist() == encoder.feature_names
    kinds = [column.kind for column in encoder.columns]
    assert kinds == ["number"] * 3 + ["levels"] * 3 + ["date"] * 3 + ["ignored"] * 2


def test_chosen_rows_encode_like_a_table_of_them(library):
    table, rows = library(DATA), np.array([5, 0, 3])
    encoder = TableEncoder().fit(table, rows=rows)
    part = library({name: [values[row] for row in rows] for name, values in DATA.items()})
    assert encoder.to_dict() == TableEncoder().fit(part).to_dict()
    assert encoder.transform(table, rows=rows).tobytes() == encoder.transform(part).tobytes()


def test_an_encoder_can_be_pickled(library):
    table = library(DATA)
    encoder = TableEncoder().fit(table)
    assert pickle.loads(pickle.dumps(encoder)).transform(table).tobytes() == encoder.transform(table).tobytes()


def test_every_library_gives_the_same_error_message(library):
    encoder = TableEncoder().fit(library(DATA))
    for name, value, expected in [
        ("real", np.inf, "a number between"),
        ("real", "many", "a number"),
        ("iso", "2024-02-30", "a date such as"),
    ]:
        row = {column: values[:1] for column, values in DATA.items()} | {name: [value]}
        shown = f"column '{'x' + str(list(DATA).index(name)) if library is in_objects else name}' holds {value!r} in "
        later = (in_pandas if library is in_arrow_within_pandas else library)(row)
        with pytest.raises(ValueError, match=rf"{shown}row 1, expected {expected}"):
            encoder.transform(later)


def test_messages_count_rows_of_the_whole_table(library):
    table = library(DATA | {"real": [0.5, 1.0, 2.0, 3.0, np.inf, 4.0]})
    with pytest.raises(ValueError, match="holds inf in row 5"):
        TableEncoder().fit(table, rows=np.array([0, 1, 4, 5]))
    assert TableEncoder().fit(table, rows=np.array([0, 1, 2])).columns


def test_which_tables_need_an_encoding(library):
    plain = {name: np.arange(6.0) for name in DATA} | {"truth": [True, False] * 3, "whole": range(6)}
    if library in (in_pandas, in_narwhals):
        frame = pd.DataFrame(plain)
        assert not needs_encoding(frame)
        for column in ("text", "level", "day", "truth", "iso"):
            assert needs_encoding(frame.assign(**{column: DATA[column]})), column
        assert needs_encoding(frame.astype({"whole": "category"}))
    assert needs_encoding(library(DATA)) == (library is not in_objects)


@pytest.mark.parametrize("thing", [np.ones((2, 2)), [[1, 2]], None, 3, "text", pd.Series([1, 2])])
def test_values_that_are_not_data_frames_need_no_encoding(thing):
    assert not needs_encoding(thing)


def test_categorical_features_may_be_names_numbers_or_a_mask(library):
    numbers = {"level": [1, 2, 2, 1, 5, 1]}
    if library is in_polars:
        numbers = {"level": list(map(str, numbers["level"]))}
    table = library(DATA | numbers)
    names = ["level", "whole"] if library is not in_objects else [5, 0]

    def levels(chosen):
        encoder = TableEncoder(categorical_features=chosen).fit(table)
        return {i for i, column in enumerate(encoder.columns) if column.kind == "levels"} - {3, 4}

    mask = [name in ("level", "whole") for name in DATA]
    assert levels(names) == levels(mask) == levels([5, 0]) == {0, 5}
    assert levels("from_dtype") == ({5} if library is not in_objects else set())
    assert levels(None) == levels([]) == ({5} if library is in_polars else set())


@pytest.mark.parametrize(
    ("chosen", "message"),
    [
        ("all", "expected 'from_dtype'"),
        (["y"], "no column 'y'"),
        ([1], "has the column 1, the table has 1"),
        ([True, False], "has 2 booleans, the table has 1 columns"),
    ],
)
def test_wrong_categorical_features_raise(chosen, message):
    with pytest.raises(ValueError, match=message):
        TableEncoder(categorical_features=chosen).fit(pd.DataFrame({"x": [1, 2]}))


@pytest.mark.parametrize(
    "array",
    [
        np.array([[1, 2], [2, 5], [4, 4]]),
        np.array([[1, 2], [2, 5], [4, 4]], dtype="float32"),
        np.array([["1", 2.0], [np.int8(2), "5"], [decimal.Decimal(4), 4]], dtype=object)[:, ::-1][:, ::-1],
    ],
)
def test_arrays_of_numbers_encode_like_a_table(array):
    expected = TableEncoder().fit(pd.DataFrame({"x0": [1, 2, 4], "x1": [2, 5, 4]}))
    assert expected.transform(array).tobytes() == expected.transform(array.astype(float)).tobytes()
    if array.dtype != object:
        assert TableEncoder().fit(array).to_dict() == expected.to_dict()


def test_every_kind_of_missing_value_in_arrays_is_missing():
    values = [1.0, None, NAN, np.float32(NAN), pd.NA, pd.NaT, decimal.Decimal("nan"), np.datetime64("NaT", "D")]
    assert as_column(np.array(values, dtype=object)).missing().tolist() == [False] + [True] * 7
    assert as_column(values).missing().tolist() == [False] + [True] * 7
    dates = np.array(["2024-01-01", "NaT"], dtype="datetime64[D]")
    np.testing.assert_array_equal(as_column(dates).dates(), [19723, NAN])
    assert as_column(np.array(["1", "a"])).kind() == "levels"


def test_arrays_of_another_width_or_shape_raise():
    encoder = TableEncoder().fit(np.arange(6.0).reshape(3, 2))
    with pytest.raises(ValueError, match="X has 3 features, but TableEncoder is expecting 2 features"):
        encoder.transform(np.ones((2, 3)))
    for thing in (np.ones(3), pd.Series([1.0]), None):
        with pytest.raises(ValueError, match=r"expected a data frame or an array of 2 dimensions, got"):
            encoder.transform(thing)


def test_lazy_frames_raise():
    lazy = pytest.importorskip("polars").LazyFrame({"x": [1, 2]})
    assert not needs_encoding(lazy)
    with pytest.raises(ValueError, match="got LazyFrame"):
        TableEncoder().fit(lazy)


def test_column_names_may_be_numbers():
    table = pd.DataFrame([[1, "a"], [2, "b"]])
    assert TableEncoder().fit(table).feature_names == ["0", "1=a", "1=b"]
    with pytest.raises(ValueError, match="more than one column '1'"):
        Frame(pd.DataFrame([[1, 2]], columns=[1, "1"]))


def test_levels_of_mixed_types_do_not_depend_on_row_order():
    for values in ([True, 1, "1", 1.0], [1, "1", 1.0, True]):
        codes, names = as_column(values).levels()
        assert [names[code] for code in codes] == [level_name(value) for value in values]


@pytest.mark.parametrize("name", ["polars", "pyarrow"])
def test_tables_of_one_library_import_no_other(name):
    pytest.importorskip(name)
    run("without.table_of_one_library", name)


def test_arrays_need_no_narwhals(monkeypatch):
    monkeypatch.setitem(sys.modules, "narwhals", None)
    assert TableEncoder().fit([[1, "a"], [2, "b"]]).n_features == 3
    assert not needs_encoding(np.ones((2, 2)))
    with pytest.raises(ImportError, match=r"chainrule\[sklearn\]"):
        TableEncoder().fit(pd.DataFrame({"x": [1, 2]}))
    assert not needs_encoding(pd.DataFrame({"x": ["a", "b"]}))


def test_rows_are_positions_and_messages_use_the_index():
    table = pd.DataFrame({"x": [1.0, 2.0, 3.0, np.inf]}, index=[30, 20, 10, 0])
    rows = np.array([2, 0])
    encoder = TableEncoder().fit(table, rows=rows)
    assert encoder.to_dict() == TableEncoder().fit(pd.DataFrame({"x": [3.0, 1.0]})).to_dict()
    with pytest.raises(ValueError, match="holds inf in row 1,"):
        encoder.transform(table, rows=np.array([1, 3]))
    with pytest.raises(ValueError, match="holds inf in row 4,"):
        encoder.transform(table.set_index(pd.Index(list("abcd"))), rows=np.array([1, 3]))


IDS = [2**53 + 1, 2**53 + 3, None, 2**53 + 1]


@pytest.mark.parametrize("kind", ["Int64", "UInt64", "int64[pyarrow]", "object", "polars", "pyarrow"])
def test_large_integers_next_to_a_missing_value_are_exact(kind):
    if kind in ("polars", "pyarrow"):
        module = pytest.importorskip(kind)
        table = (module.table if kind == "pyarrow" else module.DataFrame)({"x": IDS})
    else:
        table = pd.DataFrame({"x": pd.array(IDS, dtype=kind) if kind != "object" else pd.Series(IDS, dtype=object)})
    encoder = TableEncoder(categorical_features=["x"]).fit(table)
    assert encoder.columns[0].levels == ("9007199254740993", "9007199254740995")
    assert encoder.transform(table).tolist() == [[1, 0, 0], [0, 1, 0], [0, 0, 1], [1, 0, 0]]
    numbers = TableEncoder().fit(table)
    assert numbers.columns[0].median == 2.0**53
    assert numbers.transform(table)[:, 1].tolist() == [0, 0, 1, 0]


def test_integers_next_to_a_missing_value_are_floats_if_exact():
    column = Frame(pd.DataFrame({"x": pd.array([2**53, None, -(2**53)], dtype="Int64")})).column(0)
    assert column.values.dtype == np.float64
    np.testing.assert_array_equal(column.numbers(), [2.0**53, NAN, -(2.0**53)])


@pytest.mark.parametrize("kind", ["Int128", "UInt128"])
def test_integers_of_128_bits_encode_like_64_bits(kind):
    polars = pytest.importorskip("polars")
    if not hasattr(polars, kind):
        pytest.skip("this polars has no such type")
    table = polars.DataFrame({"x": polars.Series([1, 2, None, 4]).cast(getattr(polars, kind))})
    expected = polars.DataFrame({"x": [1, 2, None, 4]})
    assert TableEncoder().fit(table).to_dict() == TableEncoder().fit(expected).to_dict()
    levels = TableEncoder(categorical_features=["x"]).fit(table)
    assert levels.transform(expected).tobytes() == levels.transform(table).tobytes()


@pytest.mark.parametrize("library", ["pandas", "polars", "pyarrow"])
def test_decimals_are_the_same_levels_as_other_numbers(library):
    values = [decimal.Decimal("1.50"), decimal.Decimal("2.00"), None]
    module = pytest.importorskip(library)
    table = (module.table if library == "pyarrow" else module.DataFrame)({"x": values})
    encoder = TableEncoder(categorical_features=["x"]).fit(table)
    assert encoder.columns[0].levels == ("1.5", "2")
    assert encoder.transform(pd.DataFrame({"x": [1.5, 2, None]})).tolist() == np.eye(3).tolist()


@pytest.mark.parametrize("library", ["pandas", "polars", "pyarrow", "numpy"])
def test_floats_of_32_bits_are_the_same_levels(library):
    values = np.array([0.1, 2.5, 1e-5, 3.0], dtype="float32")
    expected = TableEncoder(categorical_features=[0]).fit(pd.DataFrame({"x0": [0.1, 2.5, 1e-5, 3.0]}))
    assert expected.columns[0].levels == ("0.1", "1e-05", "2.5", "3")
    if library == "numpy":
        table = values[:, None]
    else:
        module = pytest.importorskip(library)
        table = (module.table if library == "pyarrow" else module.DataFrame)({"x0": values})
    assert TableEncoder(categorical_features=[0]).fit(table).to_dict() == expected.to_dict()
    assert expected.transform(table).sum(axis=1).tolist() == [1, 1, 1, 1]
    category = TableEncoder().fit(pd.DataFrame({"x0": pd.Categorical(values)}))
    assert category.to_dict() == expected.to_dict()


def test_integers_beyond_float64_raise_with_column_and_row():
    for power in (310, 5000):
        table = pd.DataFrame({"x": pd.Series([1, 10**power], dtype=object)})
        with pytest.raises(
            ValueError, match=r"column 'x' holds .* in row 2, expected a number between -1e\+300 and 1e\+300"
        ):
            TableEncoder().fit(table)


def test_times_of_day_are_fractions_of_the_day(library):
    if library in (in_narwhals, in_arrow_within_pandas):
        pytest.skip("pandas has no type for them")
    table = library(DATA | {"day": [datetime.time(6), datetime.time(18), None] * 2})
    [column] = [column for column in TableEncoder().fit(table).columns if column.name in ("day", "x6")]
    assert (column.kind, column.median, column.scale) == ("date", 0.5, 0.5)


def test_times_of_day_are_not_dates():
    times = pd.DataFrame({"x": [datetime.time(6), datetime.time(18)]})
    dates = pd.DataFrame({"x": [datetime.date(2024, 1, 1), datetime.date(2024, 1, 2)]})
    encoder = TableEncoder().fit(times)
    assert encoder.transform(pd.DataFrame({"x": ["6:00", "18:00"]})).tolist() == encoder.transform(times).tolist()
    with pytest.raises(ValueError, match=r"holds datetime.date\(2024, 1, 1\) in row 1, expected a time such as 23:59"):
        encoder.transform(dates)
    with pytest.raises(ValueError, match="in row 1, expected a time such as 23:59"):
        encoder.transform(dates.astype("datetime64[ns]"))
    with pytest.raises(ValueError, match=r"holds datetime.time\(6, 0\) in row 1, expected a date such as 2024-01-31"):
        TableEncoder().fit(dates).transform(times)
    with pytest.raises(ValueError, match=r"holds datetime.time\(6, 0\) in row 1, expected text, numbers or booleans"):
        TableEncoder().fit(pd.concat([times, dates]))


def test_intervals_and_dates_as_categories_are_levels():
    table = pd.DataFrame({"x": pd.cut(pd.Series([1.0, 2.0, 9.0]), [0, 5, 10])})
    assert TableEncoder().fit(table).feature_names == ["x=(0, 5]", "x=(5, 10]"]
    assert TableEncoder().fit(table).transform(table[:1]).tolist() == [[1, 0]]


def test_masked_values_are_missing():
    for values in ([[1.0, 2.0], [3.0, 5.0]], [[1, 2], [3, 5]], [["a", "x"], ["b", "y"]]):
        masked = np.ma.masked_array(values, mask=[[False, True], [False, False]])
        plain = np.array(values, dtype=object)
        plain[0, 1] = None
        encoder = TableEncoder().fit(plain)
        assert TableEncoder().fit(masked).to_dict() == encoder.to_dict()
        assert encoder.transform(masked).tobytes() == encoder.transform(plain).tobytes()


@pytest.mark.parametrize(
    ("thing", "message"),
    [
        (
            pd.Series([1, 2]),
            r"got Series\. Reshape your data: one column is array.reshape\(-1, 1\) or series.to_frame\(\)",
        ),
        ([1, 2], r"got an array of shape \(2,\)\. Reshape your data"),
        ({"a": [1, 2]}, "got a dict: convert it with pandas.DataFrame"),
        (np.ones((2, 2), dtype=complex), "got dtype complex128. Complex data not supported"),
        (np.ones((2, 2, 2)), r"got an array of shape \(2, 2, 2\)"),
        ("text", "got str"),
        (pd.DataFrame(index=[1, 2]), r"0 feature\(s\) \(shape=\(2, 0\)\) while a minimum of 1 is required"),
    ],
    ids=str,
)
def test_values_that_are_not_tables_raise_and_are_described(thing, message):
    with pytest.raises(ValueError, match=message):
        TableEncoder().fit(thing)


def test_sparse_matrices_raise():
    with pytest.raises(ValueError, match=r"got a sparse matrix, whose columns cannot be encoded: pass X\.toarray\(\)"):
        TableEncoder().fit(pytest.importorskip("scipy.sparse").csr_matrix(np.eye(3)))


def count_calls(code):
    """Return how many functions Python calls in a function: a measure of time that does not depend on the machine."""
    calls = 0

    def count(frame, event, argument):
        nonlocal calls
        calls += event in ("call", "c_call")

    sys.setprofile(count)
    try:
        code()
    finally:
        sys.setprofile(None)
    return calls


@pytest.mark.parametrize("library", ["pandas", "polars", "pyarrow", "names"])
def test_number_of_calls_is_linear_in_the_columns(library):
    def work(n_columns):
        data = {f"x{i}": [1.0, 2.0, float(i)] for i in range(n_columns)}
        module = pytest.importorskip("pandas" if library == "names" else library)
        table = (module.table if library == "pyarrow" else module.DataFrame)(data)
        encoder = TableEncoder(categorical_features=list(data)[::2] if library == "names" else "from_dtype")
        return count_calls(lambda: encoder.fit(table).transform(table))

    work(10)
    assert work(400) < 4.5 * work(100)


def test_arrow_dates_and_dictionaries_encode_like_pandas():
    pa = pytest.importorskip("pyarrow")
    day, later = datetime.datetime(2024, 1, 1), datetime.datetime(2024, 1, 3, 12)
    moments = TableEncoder().fit(pd.DataFrame({"x": [day, later, None]})).to_dict()
    berlin = pa.array([day, later, None], pa.timestamp("us", "UTC")).cast(pa.timestamp("us", "Europe/Berlin"))
    for array in (pa.array([day, later, None], pa.timestamp("ns")), berlin):
        assert TableEncoder().fit(pa.table({"x": array})).to_dict() == moments
    dates = pa.array([day.date(), later.date(), None], pa.date32())
    assert TableEncoder().fit(pa.table({"x": dates})).columns[0].scale == 1
    booleans = TableEncoder().fit(pa.table({"x": pa.array([True, False, None])}))
    assert booleans.columns[0].levels == ("False", "True")
    for values in ([1, 2, 1, None], ["a", "b", "a", None]):
        levels = TableEncoder().fit(pa.table({"x": pa.array(values).dictionary_encode()}))
        assert levels.columns[0].levels == tuple(map(str, values[:2]))
    with pytest.raises(
        TypeError, match=r"column 'x' holds datetime.timedelta\(days=1\) in row 1: the argument must be"
    ):
        TableEncoder().fit(pa.table({"x": pa.array([datetime.timedelta(1)], pa.duration("s"))}))


@pytest.mark.parametrize("kind", ["category", "str", "object"])
def test_text_of_pandas_gives_the_same_levels_in_every_type(kind):
    texts = ["b", None, "c", "b", "a", "c"]
    column = as_column(pd.Series(texts, dtype="category").cat.add_categories(["unused"]).astype(kind))
    for rows in (np.arange(6), np.array([5, 1, 4, 4])):
        codes, names = column.take(rows).levels()
        chosen = [texts[row] for row in rows]
        assert names == list(dict.fromkeys(text for text in chosen if text is not None))
        assert [None if code < 0 else names[code] for code in codes] == chosen
        assert column.take(rows).missing().tolist() == [text is None for text in chosen]
        assert column.take(rows).values.tolist() == chosen
        assert column.row_of("a") == 5
