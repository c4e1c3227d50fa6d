"""Any table in: a data frame that narwhals knows, or a NumPy array, as named columns of NumPy arrays.

The only module that looks into tables. `Frame.column` knows the libraries and `Column` the values: what a column holds
is decided and read from these alone, so that pandas, polars, Arrow and NumPy give the same features for the same data.
"""

import datetime
import decimal
from collections import Counter
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from chainrule import _optional
from chainrule._column import Column

EXACT = 2**53  # whole numbers up to this are exact in float64
_SHAPED = {1: "a series or an array of 1 dimension", 2: "a data frame or an array of 2 dimensions"}


class Frame:
    """A table, or some rows of it, by columns.

    Parameters
    ----------
    table : data frame or array
        What narwhals takes for an eager data frame, or an array of two dimensions.
    rows : array of int, optional
        The rows to see; default: all.

    Raises
    ------
    ValueError
        For two columns of one name, no rows, or what is no table.
    """

    def __init__(self, table: Any, rows: NDArray[np.intp] | None = None) -> None:
        self._rows = rows
        self._index: Any = None
        self._columns: Any  # an array, or a list of the narwhals series
        self.has_names = is_frame(table)
        if self.has_names:
            self.names = [str(name) for name in column_names(table) or ()]
            if twice := [name for name, count in Counter(self.names).items() if count > 1]:
                raise ValueError(f"the table has more than one column {twice[0]!r}")
            data = _narwhals().from_native(table, eager_only=True)
            self._index = _narwhals().maybe_get_index(data)
            self._columns = list(data.iter_columns())  # by its name each column would be searched among all
            self._length = len(data)
        else:
            self._columns = _as_array(table, 2)
            self.names = [f"x{i}" for i in range(self._columns.shape[1])]
            self._length = len(self._columns)
        if rows is not None and np.array_equal(rows, np.arange(self._length)):
            self._rows = None  # all, in their order: nothing is to be copied

    def __len__(self) -> int:
        return self._length if self._rows is None else len(self._rows)

    def column(self, place: int) -> Column:
        """Return a column by its place."""
        values = self._columns[place] if self.has_names else self._columns[:, place]
        return _read(self.names[place], values, self._rows, self._row_number)

    def _row_number(self, place: int) -> int:
        return _row_number(self._index, place if self._rows is None else int(self._rows[place]))


def is_frame(table: Any) -> bool:
    """Return whether something is a data frame; nothing is imported where it cannot be one."""
    return hasattr(type(table), "columns") and bool(_narwhals().dependencies.is_into_dataframe(table))


def has_numeric_types(table: Any) -> bool:
    """Return whether the types of all columns of a data frame are numeric or boolean."""
    narwhals = _narwhals()
    types = narwhals.from_native(table, eager_only=True).schema.values()
    return all(kind.is_numeric() or kind == narwhals.Boolean for kind in types)


def column_names(table: Any) -> list[Any] | None:
    """Return the names of a data frame's columns, None for anything else."""
    if not is_frame(table):
        return None
    return list(getattr(table, "column_names", table.columns))  # of Arrow, whose columns are the values


def as_column(values: Any, name: str = "") -> Column:
    """Return the column of a series that narwhals knows, or of an array or a list of one dimension.

    Parameters
    ----------
    values : series, array or list
        Shape (m,).
    name : str, optional
        Default: the series' own, or y.
    """
    if isinstance(values, np.ndarray | list | tuple | range):
        return _read(name or "y", _as_array(values, 1), None, lambda place: place + 1)
    series = _narwhals().from_native(values, series_only=True, pass_through=True)
    if not isinstance(series, _narwhals().Series):
        raise TypeError(f"expected {_SHAPED[1]}, got {type(values).__name__}")
    index = _narwhals().maybe_get_index(series)
    return _read(name or str(series.name), series, None, lambda place: _row_number(index, place))


def _narwhals() -> Any:
    return _optional.require("narwhals", "sklearn")


def _row_number(index: Any, row: int) -> int:
    """Return a row, counted from 1: by the index, so that a part of a table names the table's row."""
    label = None if index is None else index[row]
    return (int(label) if isinstance(label, int | np.integer) else row) + 1


def _as_array(values: Any, n_dimensions: int) -> NDArray[Any]:
    expected = f"expected {_SHAPED[n_dimensions]}"
    if hasattr(values, "toarray"):
        raise ValueError(f"{expected}, got a sparse matrix, which has no columns to encode: use its toarray()")
    if isinstance(values, dict):
        raise ValueError(f"{expected}, got a dict: make it a data frame, as pandas.DataFrame does")
    if isinstance(values, np.ma.MaskedArray):
        masked = np.ma.getmaskarray(values)
        values = values.data
        if masked.any():
            values = values.astype(object)
            values[masked] = None
    array = values if isinstance(values, np.ndarray) else np.array(values, dtype=object)
    if array.dtype.kind == "c":
        raise ValueError(f"{expected}, got dtype {array.dtype}. Complex data not supported")
    if array.ndim != n_dimensions:
        got = f"an array of shape {array.shape}" if array.ndim and isinstance(values, np.ndarray | list | tuple) else ""
        advice = ""
        if n_dimensions == 2 and array.ndim == 1:
            advice = ". Reshape your data: one column is array.reshape(-1, 1) or series.to_frame()"
        raise ValueError(f"{expected}, got {got or type(values).__name__}{advice}")
    return array


def _read(name: str, values: Any, rows: NDArray[np.intp] | None, row_number: Callable[[int], int]) -> Column:
    """Return the column of a narwhals series or an array, or some rows of it."""

    def select(values: Any) -> Any:  # of an array of NumPy is ten times faster than of a series
        return values if rows is None else values[rows]

    if isinstance(values, np.ndarray):
        values = select(values)
        if values.dtype.kind in "OUS":
            plain = (None if is_missing(value) else value for value in values.tolist())
            values = np.fromiter(plain, dtype=object, count=len(values))
        return Column(name, values, row_number=row_number)
    dtype = values.dtype
    kind = type(dtype).__name__
    has_array = kind not in ("Decimal", "Int128", "UInt128")  # of NumPy's types
    if dtype.is_integer() and has_array and values.null_count():
        return Column(name, select(_integers_with_gaps(values)), row_number=row_number)
    if (dtype.is_numeric() and has_array) or kind in ("Date", "Datetime", "Unknown"):
        array = values.to_numpy()  # the moments of a time zone in UTC
        if array.dtype.kind != "O":
            return Column(name, select(array), row_number=row_number)
    values = select(values)
    objects = np.fromiter(values.to_list(), dtype=object, count=len(values))
    objects[values.is_null().to_numpy().astype(bool)] = None
    return Column(name, objects, kind in ("Categorical", "Enum"), row_number)


def _integers_with_gaps(values: Any) -> NDArray[Any]:
    """Return integers as float64 with NaN where that holds each of them, else as objects with None."""
    missing = values.is_null().to_numpy().astype(bool)
    integers = values.fill_null(0).to_numpy()
    if integers.max() <= EXACT and integers.min() >= -EXACT:
        floats: NDArray[Any] = integers.astype(np.float64)
        floats[missing] = np.nan
        return floats
    objects: NDArray[Any] = integers.astype(object)
    objects[missing] = None
    return objects


def is_missing(value: object) -> bool:
    if value is None or type(value).__name__ == "NAType":  # pandas.NA, which refuses to be compared
        return True
    comparable = (float, decimal.Decimal, datetime.datetime, np.generic)
    return isinstance(value, comparable) and bool(value != value)  # NaN and NaT
