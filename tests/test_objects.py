"""Objects that are not arrays: nullable and Arrow-backed tables, DLPack, lists; errors name the row and column."""

import fractions

import numpy as np
import pytest

import chainrule as cr

pd = pytest.importorskip("pandas")
pl = pytest.importorskip("polars")
pa = pytest.importorskip("pyarrow")

A = np.arange(12.0).reshape(6, 2)
NET = cr.Network([2, 3, 1], loss="squared_error", seed=0)


class OnlyDLPack:
    def __init__(self, array):
        self._array = array

    def __dlpack__(self, **options):
        return self._array.__dlpack__(**options)

    def __dlpack_device__(self):
        return self._array.__dlpack_device__()


class OnlyInterface:
    def __init__(self, array):
        self._array, self.__array_interface__ = array, array.__array_interface__


BOTH = {"a": A[:, 0] > 3, "b": A[:, 1]}
TABLES = {
    "Int64": (pd.DataFrame(A.astype(int)).astype("Int64"), A),
    "Float64": (pd.DataFrame(A).astype("Float64"), A),
    "Float32": (pd.DataFrame(A).astype("Float32"), A),
    "boolean": (pd.DataFrame(A > 3).astype("boolean"), A > 3),
    "Arrow-backed integers": (pd.DataFrame(A.astype(int)).astype("int64[pyarrow]"), A),
    "Arrow-backed numbers": (pd.DataFrame(A).astype("double[pyarrow]"), A),
    "Arrow-backed booleans": (pd.DataFrame(A > 3).astype("bool[pyarrow]"), A > 3),
    "booleans beside numbers": (pd.DataFrame(BOTH), np.c_[BOTH["a"], BOTH["b"]]),
    "nullable beside NumPy's": (
        pd.DataFrame({"a": pd.array([1, 2], dtype="Int64"), "b": [0.5, 1.5]}), [[1, 0.5], [2, 1.5]],
    ),
    "a column of objects": (pd.DataFrame({"a": np.array([1, True], object), "b": [0.5, 2]}), [[1, 0.5], [1, 2]]),
    "columns of one name": (pd.DataFrame(A.astype(int), columns=["a", "a"]).astype("Int64"), A),
    "sparse columns": (pd.DataFrame(A).astype(pd.SparseDtype(float)), A),
    "polars": (pl.DataFrame(BOTH), np.c_[BOTH["a"], BOTH["b"]]),
    "polars Int128": (
        pl.DataFrame({"a": [1, 2], "b": [3, 4]}, schema={"a": pl.Int128, "b": pl.Int128}), [[1, 3], [2, 4]],
    ),
    "an Arrow table": (pa.table(BOTH), np.c_[BOTH["a"], BOTH["b"]]),
    "an Arrow batch": (pa.record_batch(BOTH), np.c_[BOTH["a"], BOTH["b"]]),
    "DLPack": (OnlyDLPack(A), A),
    "DLPack of float32": (OnlyDLPack(A.astype("float32")), A),
    "the array interface": (OnlyInterface(A), A),
    "a list of large integers": ([[10**30, 1.5], [True, 2]], [[1e30, 1.5], [1, 2]]),
    "fractions": ([[fractions.Fraction(1, 2), 2]], [[0.5, 2]]),
}  # fmt: skip


@pytest.mark.parametrize("name", TABLES)
def test_numeric_tables_are_accepted(name):
    table, values = TABLES[name]
    want = np.asarray(values, float)
    assert np.array_equal(NET.predict(table), NET.predict(want))
    assert np.array_equal(NET.logits(table), NET.logits(want))
    y = np.zeros(len(want))
    assert NET.loss(table, y) == NET.loss(want, y)
    params = cr.init_params([2, 1], seed=0)
    forward = {"activation": "tanh", "loss": "squared_error"}
    assert np.array_equal(cr.forward(params, table, **forward).a[-1], cr.forward(params, want, **forward).a[-1])
    if abs(want).max() < 1e6:
        nets = [cr.Network([2, 3, 1], loss="squared_error", seed=0) for _ in range(3)]
        nets[0].fit(table, y, epochs=3, batch_size=2, validation=(table, y))
        nets[1].fit(want, y, epochs=3, batch_size=2)
        cr.fit_many([nets[2]], table, y, epochs=3, batch_size=2)
        assert np.array_equal(nets[0].parameters, nets[1].parameters)
        assert np.array_equal(nets[2].parameters, nets[1].parameters)


COLUMNS = {
    "Int64": pd.Series([1, 2, 3], dtype="Int64"),
    "boolean": pd.Series([True, False, True], dtype="boolean"),
    "Arrow-backed": pd.Series([1, 2, 3], dtype="int64[pyarrow]"),
    "objects": pd.Series([1, True, 2.5], dtype=object),
    "polars": pl.Series([1, 2, 3]),
    "polars Int128": pl.Series([1, 2, 3], dtype=pl.Int128),
    "Arrow": pa.chunked_array([[1, 2], [3]]),
    "Arrow booleans": pa.array([True, False, True]),
    "DLPack": OnlyDLPack(np.arange(3)),
    "large integers": [10**20, 1, 2],
}


@pytest.mark.parametrize("name", COLUMNS)
def test_columns_are_accepted_as_targets_and_weights(name):
    column = COLUMNS[name]
    entries = [1, 2, 3] if name == "polars Int128" else [0, 1, 2] if name == "DLPack" else column
    values = np.array([float(str(x).replace("True", "1").replace("False", "0")) for x in entries])
    assert NET.loss(A[:3], column, column) == NET.loss(A[:3], values, values)


def gap_in(frame):
    return frame, ValueError, r"^X has no value in row 1, column 'b': fill it in"


REFUSED = {
    "a gap among Int64": gap_in(pd.DataFrame({"a": [1, 2], "b": [1, None]}).astype("Int64")),
    "a gap among Float64": gap_in(pd.DataFrame({"a": [1, 2], "b": [1, None]}).astype("Float64")),
    "a gap among boolean": gap_in(pd.DataFrame({"a": [1, 2], "b": pd.array([True, None], dtype="boolean")})),
    "a gap among Arrow-backed": gap_in(pd.DataFrame({"a": [1, 2], "b": [1, None]}).astype("int64[pyarrow]")),
    "a gap of polars": gap_in(pl.DataFrame({"a": [1, 2], "b": [1, None]})),
    "a gap of polars Int128": gap_in(pl.DataFrame({"a": [1, 2], "b": [1, None]}, schema_overrides={"b": pl.Int128})),
    "a gap of Arrow": gap_in(pa.table({"a": [1, 2], "b": [1, None]})),
    "text in pandas": (
        pd.DataFrame({"a": [1, 2], "b": ["x", "y"]}), TypeError, r"^X has the text 'x' in row 0, column 'b', expected",
    ),
    "text in a categorical column": (
        pd.DataFrame({"a": [1, 2], "b": pd.Categorical(["x", "y"])}), TypeError, r"the text 'x' in row 0, column 'b'",
    ),
    "text in polars": (pl.DataFrame({"a": [1, 2], "b": ["x", "y"]}), TypeError, r"the text 'x' in row 0, column 'b'"),
    "text in Arrow": (pa.table({"a": [1, 2], "b": ["x", "y"]}), TypeError, r"the text 'x' in row 0, column 'b'"),
    "one text among objects": (
        pd.DataFrame({"a": [1, 2], "b": np.array([1, "y"], object)}), TypeError, r"the text 'y' in row 1, column 'b'",
    ),
    "text in a list": ([[1.0, 2], [3, "a"]], TypeError, r"^X has the text 'a' in row 1, column 1, expected numbers$"),
    "text in an array": (np.array([["1", "2"]]), TypeError, r"^X has the text '1' in row 0, column 0, expected"),
    "text in an array of objects": (np.array([[1.0, "2"]], object), TypeError, r"the text '2' in row 0, column 1"),
    "None in a list": ([[1.0, None]], TypeError, r"^X has None in row 0, column 1, an object of type NoneType"),
    "complex among objects": ([[10**30, 1j]], TypeError, r"^X has 1j in row 0, column 1, an object of type complex"),
    "dates": (
        pd.DataFrame({"a": [1, 2], "b": pd.date_range("2020", periods=2)}), TypeError,
        r"^X has dtype datetime64\[.*\] in column 'b', expected numbers$",
    ),
    "an integer beyond float64": (
        [[1, 2], [3, 10**310]], ValueError, r"^X has a number in row 1, column 1 that is too large for float64$",
    ),
    "an integer of 5000 digits": ([[10**5000, 2]], ValueError, r"in row 0, column 0 that is too large"),
    "an integer beyond float64 among objects": (np.array([[1, -(10**310)]], object), ValueError, "row 0, column 1"),
    "a dict": ({"a": [1, 2], "b": [1, 2]}, TypeError, r"^X must be an array of numbers, got an object of type dict$"),
    "a generator": ((x for x in A), TypeError, r"^X must be an array of numbers, got an object of type generator$"),
    "rows of different lengths": (
        [[1, 2], [3]], ValueError, r"^X has rows of different lengths: 2 in row 0, 1 in row 1$",
    ),
    "an array of objects": (A.astype(object), TypeError, r"^X has dtype object, expected float32"),
}  # fmt: skip


@pytest.mark.parametrize("name", REFUSED)
def test_other_objects_raise_and_the_argument_is_named(name):
    value, error, message = REFUSED[name]
    with pytest.raises(error, match=message):
        NET.predict(value)


@pytest.mark.parametrize("y", [pd.Series([1, None], dtype="Int64"), pl.Series([1, None]), pa.array([1, None])])
def test_missing_values_in_targets_and_weights_raise_and_the_row_is_named(y):
    with pytest.raises(ValueError, match=r"^y has no value in row 1: fill it in"):
        NET.loss(A[:2], y)
    with pytest.raises(ValueError, match=r"^sample_weight has no value in row 1: fill it in"):
        NET.loss(A[:2], [1, 2], y)


def test_nan_in_a_nullable_column_is_not_missing():
    assert np.isnan(NET.predict(pd.DataFrame({"a": [1, np.nan], "b": [1, 2]}))).ravel().tolist() == [False, True]


def test_float_table_is_read_without_a_copy():
    frame = pd.DataFrame(A)
    cache = cr.forward(cr.init_params([2, 1], seed=0, dtype="float64"), frame, loss="squared_error")
    assert np.shares_memory(cache.a[0], frame.to_numpy())
