"""Reads tables: data frames that narwhals supports, and NumPy arrays, as named columns of NumPy arrays.

Only this module reads tables. `Frame.column` converts the columns of each library to NumPy. `Column` determines the
kind of a column from its values alone, so that pandas, polars, Arrow and NumPy give the same features for the same
data.
"""

import datetime
import decimal
import functools
import operator
import reprlib
from collections import Counter
from collections.abc import Callable, Sequence
from itertools import repeat
from typing import Any, TypeAlias, TypeVar, cast

import numpy as np
from numpy.typing import NDArray

from chainrule import _optional
from chainrule._formats import (
    MICROSECONDS,
    TIME,
    DateFormat,
    Examination,
    Format,
    NumberFormat,
    examine,
    is_marker,
    read_dates,
)
from chainrule._objects import refuse_dask
from chainrule.rows import Rows

Method = TypeVar("Method", bound=Callable[..., Any])
Value = TypeVar("Value")
Floats: TypeAlias = NDArray[np.float64]
Codes: TypeAlias = NDArray[np.intp]

EXACT = 2**53  # whole numbers up to this size are exact in float64
LARGEST = 1e300  # differences and ranges of numbers up to this are finite in float64
_NUMBERS = (int, float, decimal.Decimal, np.integer, np.floating)
# scikit-learn's estimator checks look for "argument must be ... string ... number" in the message.
_EXPECTED = "the argument must be a column of strings, numbers, booleans or dates: convert it or leave it out"
_SHAPED = {1: "a series or an array of 1 dimension", 2: "a data frame or an array of 2 dimensions"}


def _once(method: Method) -> Method:
    """Cache the results of a method of a column by its arguments."""

    @functools.wraps(method)
    def call(self: "Column", *args: Any) -> Any:
        key = (method.__name__, *args)
        if key not in self._results:
            self._results[key] = method(self, *args)
        return self._results[key]

    return cast(Method, call)


def _by_row(method: Method) -> Method:
    """Cache arrays with one entry per row. A column made by `take` indexes the arrays of the original column."""
    cached = _once(method)

    @functools.wraps(method)
    def call(self: "Column", *args: Any) -> Any:
        if self._whole is None:
            return cached(self, *args)
        arrays = call(self._whole, *args)
        return tuple(array[self._rows] for array in arrays) if isinstance(arrays, tuple) else arrays[self._rows]

    return cast(Method, call)


class CodedValues:
    """Values that repeat, as codes. Only messages need them as an array of objects.

    Attributes
    ----------
    codes : array of int
        The code of each row, in order of appearance; -1 for a missing value.
    distinct : list
        The value of each code.
    """

    dtype = np.dtype(object)  # of the decoded values

    def __init__(self, codes: NDArray[Any], values: Sequence[Any]) -> None:
        self.codes, self.distinct = _in_order(codes, values)

    def __len__(self) -> int:
        return len(self.codes)

    def __getitem__(self, rows: NDArray[np.intp]) -> "CodedValues":
        return CodedValues(self.codes[rows], self.distinct)

    def decoded(self) -> NDArray[Any]:
        """Return an array of objects, with None for missing values."""
        return np.fromiter([*self.distinct, None], dtype=object, count=len(self.distinct) + 1)[self.codes]


class Column:
    """One column as an array. Missing values are NaN, NaT or, in an array of objects, None.

    Parameters
    ----------
    name : str
        The name to use in messages.
    values : array or CodedValues
        Numbers, dates or objects, shape (m,).
    categorical : bool
        True if the column has a categorical type: all its values are levels, even numbers.
    row_number : callable
        Returns the row of the table, counted from 1, for a position in `values`.
    """

    def __init__(
        self,
        name: str,
        values: "NDArray[Any] | CodedValues",
        categorical: bool = False,
        row_number: Callable[[int], int] | None = None,
    ) -> None:
        self.name = name
        self._values = values
        self.categorical = categorical
        self.row_number = row_number or (lambda place: place + 1)
        self._results: dict[Any, Any] = {}  # cache of `_once`
        self._whole: Column | None = None  # the column from which `take` made this one
        self._rows: NDArray[np.intp]

    def __len__(self) -> int:
        return len(self._values)

    @functools.cached_property
    def values(self) -> NDArray[Any]:
        """The values as an array."""
        return self._values.decoded() if isinstance(self._values, CodedValues) else self._values

    def take(self, rows: NDArray[np.intp]) -> "Column":
        """Return a column of these rows. Both columns share one cache, so that each value is read once."""
        part = Column(self.name, self._values[rows], self.categorical, lambda place: self.row_number(int(rows[place])))
        part._whole, part._rows = self, rows
        return part

    @_by_row
    def missing(self) -> NDArray[np.bool_]:
        """Return a mask of the missing values."""
        if isinstance(self._values, CodedValues):
            return self._values.codes < 0
        if self.values.dtype.kind == "O":
            return np.fromiter(map(operator.is_, self.values, repeat(None)), dtype=bool, count=len(self))
        missing: NDArray[np.bool_] = self.values != self.values  # NaN and NaT
        return missing

    def kind_of_type(self) -> str:
        """Return `"number"`, `"date"`, `"levels"` or `"text"`; text mixed with numbers or dates is `"text"`.

        Raises
        ------
        TypeError
            For values of any other type; the message names the first.
        """
        of_arrays = {"i": "number", "u": "number", "f": "number", "b": "levels", "M": "date"}
        if self._values.dtype.kind in of_arrays:
            return of_arrays[self._values.dtype.kind]
        kinds = self.kinds_of_types()
        if "other" in kinds:
            wrong = self._where(lambda value: _kind_of(type(value)) == "other") & ~self.missing()
            raise TypeError(f"{self._describe(wrong)}: {_EXPECTED}")
        if ("text" in kinds and kinds <= {"text", "number"}) or kinds == {"text", "date"}:
            return "text"
        if kinds == {"time"}:
            return "date"
        return kinds.pop() if kinds in ({"number"}, {"date"}) else "levels"

    def format_of_type(self) -> Format | None:
        """Return the format of a column without text: a `DateFormat` if all values are times of day, else None."""
        return DateFormat(TIME) if self.kinds_of_types() == {"time"} else None

    def kinds_of_types(self) -> set[str]:
        """Return the kinds of the values' types: "number", "date", "time", "text", "boolean" or "other"."""
        return {_kind_of(kind) for kind in self._types()}

    def kind(self) -> str:
        """Return `"number"`, `"date"` or `"levels"`; text counts as numbers or dates if it is unambiguous."""
        return self.kind_and_format()[0]

    def kind_and_format(self) -> tuple[str, Format | None]:
        """Return the kind, and the format for reading numbers or dates that are text."""
        kind = self.kind_of_type()
        if kind != "text":
            return kind, self.format_of_type()
        found = self.examine()
        clean = len(found.formats) == 1 and not found.whole and not found.markers and not found.mistakes
        return (found.kind, found.formats[0]) if clean else ("levels", None)

    @_once
    def examine(self) -> Examination:
        """Find out whether a column of text holds numbers or dates, and which of its cells do not fit.

        Examples
        --------
        >>> import numpy as np
        >>> from chainrule._frames import as_column
        >>> column = as_column(np.array(["31/12/2023", "01/02/2024", "?"] * 10 + ["soon"]), "day")
        >>> found = column.examine()
        >>> found.kind, found.formats, found.markers, found.mistakes, found.ask
        ('date', (DateFormat(order='dmy'),), {'?': 10}, {'soon': 1}, '')
        >>> column.row_of("soon")
        31
        """
        codes, texts = self._texts()
        counts = np.bincount(codes[codes >= 0], minlength=len(texts)).tolist()
        kinds: Counter[str] = Counter()
        for kind, count in Counter(map(type, self.values[codes < 0].tolist())).items():
            kinds[_kind_of(kind)] += count
        return examine(dict(zip(texts, counts, strict=True)), kinds["number"], kinds["date"])

    def row_of(self, value: object) -> int:
        """Return the row of the table, counted from 1, of the first cell that is `value`."""
        return self.row_number(self.values.tolist().index(value))

    def numbers(self, format: NumberFormat | None = None) -> Floats:
        """Return the values as float64, with NaN for missing ones; raise ValueError for one that is not finite.

        With a format, text is read in it and `MARKERS` are missing values. Without one, `float` reads the text.
        """
        numbers, wrong = self._read_numbers(format)
        self.refuse(wrong, "a number" if format is None else f"a number such as {format.example}")
        self.refuse(np.abs(numbers) > LARGEST, f"a number between -{LARGEST:g} and {LARGEST:g}")
        return numbers

    @_by_row
    def _read_numbers(self, format: NumberFormat | None) -> tuple[Floats, NDArray[np.bool_]]:
        """Return the values as float64, with NaN for missing ones and non-numbers, and a mask of non-numbers."""
        if self.values.dtype.kind in "iufb":
            return self.values.astype(np.float64), np.zeros(len(self), dtype=bool)
        codes, texts = self._texts()
        read = np.array([_number(text) for text in texts]) if format is None else format.read(texts)
        numbers = np.append(read, np.nan)[codes]
        missing = self.missing()
        others = np.flatnonzero((codes < 0) & ~missing)
        numbers[others] = [_number(value) for value in self.values[others]]
        gaps = missing if format is None else missing | self._marked()
        return numbers, np.isnan(numbers) & ~gaps

    def dates(self, format: DateFormat | None = None) -> Floats:
        """Return the values as days since 1970-01-01 (UTC), with NaN for missing ones; raise ValueError for others.

        With a format, text is read in it and `MARKERS` are missing values. Without one, text must be ISO 8601 dates.
        """
        days, wrong = self._read_dates(format)
        what = "time" if format is not None and format.order == TIME else "date"
        self.refuse(wrong, f"a {what} such as {'2024-01-31' if format is None else format.example}")
        return days

    @_by_row
    def _read_dates(self, format: DateFormat | None) -> tuple[Floats, NDArray[np.bool_]]:
        """Return the values in days since 1970-01-01, with NaN for missing ones, and a mask of non-dates."""
        missing, is_time = self.missing(), format is not None and format.order == TIME
        if self.values.dtype.kind == "M" and not is_time:
            moments = self.values.astype("datetime64[us]").astype(np.int64)
            return np.where(missing, np.nan, moments / MICROSECONDS), np.zeros(len(self), dtype=bool)
        codes, texts = self._texts()
        read, known = read_dates([text.strip() for text in texts], None) if format is None else format.read(texts)
        moments, found = np.append(read, 0)[codes], np.append(known, False)[codes]
        for place in np.flatnonzero((codes < 0) & ~missing):
            moment = _microseconds(self.values[place], is_time)
            moments[place], found[place] = moment or 0, moment is not None
        gaps = missing if format is None else missing | self._marked()
        return np.where(gaps, np.nan, moments / MICROSECONDS), ~found & ~gaps

    @_once
    def _texts(self) -> tuple[Codes, list[str]]:
        """Return the code of each row, -1 if it is not text, and the text of each code."""
        if self._whole is not None:
            return _take_codes(*self._whole._texts(), self._rows)
        if isinstance(self._values, CodedValues) and self._types() <= {str}:
            return self._values.codes, self._values.distinct
        values = self.values.tolist() if self.values.dtype.kind == "O" else [None] * len(self)
        if self._types() != {str}:
            values = [value if isinstance(value, str) else None for value in values]
        return _number_names(values)

    @_by_row
    def _marked(self) -> NDArray[np.bool_]:
        """Return a mask of the cells whose text is one of `MARKERS`."""
        codes, texts = self._texts()
        return np.array([*map(is_marker, texts), False])[codes]

    def levels(self) -> tuple[Codes, list[str]]:
        """Return the code of each row, -1 if it is missing, and the level of each code as text.

        Whole numbers give the same level for every type (`1`, `1.0`, `"1"`), because a column becomes float as soon as
        one of its values is missing.
        """
        allowed = (str, bool, np.bool_, *_NUMBERS)
        if not self.categorical and not all(issubclass(kind, allowed) for kind in self._types()):
            wrong = self._where(lambda value: value is not None and not isinstance(value, allowed))
            self.refuse(wrong & ~self.missing(), "text, numbers or booleans")
        return self._read_levels()

    @_once
    def _read_levels(self) -> tuple[Codes, list[str]]:
        """Return what `levels` returns, without checking the types."""
        if self._whole is not None:
            return _take_codes(*self._whole._read_levels(), self._rows)
        if self._types() == {str}:
            return self._texts()
        if isinstance(self._values, CodedValues):
            places, names = _number_names(list(map(level_name, self._values.distinct)))
            return np.append(places, -1)[self._values.codes], names
        pairs = zip(self.values, self.missing().tolist(), strict=True)
        return _number_names([None if missing else level_name(value) for value, missing in pairs])

    @_once
    def _types(self) -> set[type]:
        """Return the types of the values."""
        if isinstance(self._values, CodedValues):
            return set(map(type, self._values.distinct))
        if self.values.dtype.kind != "O":
            return {self.values.dtype.type}
        return set(map(type, self.values.tolist())) - {type(None)}

    def _where(self, condition: Callable[[Any], bool]) -> NDArray[np.bool_]:
        return np.fromiter(map(condition, self.values), dtype=bool, count=len(self))

    def refuse(self, wrong: NDArray[np.bool_], expected: str) -> None:
        """Raise a ValueError that names the first wrong value, if there is one."""
        if wrong.any():
            raise ValueError(f"{self._describe(wrong)}, expected {expected}")

    def _describe(self, wrong: NDArray[np.bool_]) -> str:
        """Describe the first of the wrong values."""
        place = int(wrong.argmax())
        value = self.values[place]
        if isinstance(value, np.datetime64 | np.timedelta64):  # Python's type has no nanoseconds
            value = value.astype(f"{value.dtype.char}8[us]")
        try:
            shown = reprlib.repr(value.item() if isinstance(value, np.generic) else value)
        except ValueError:  # Python cannot print integers of more than 4300 digits
            shown = f"an integer of {int(value).bit_length()} bits"
        return f"column {self.name!r} holds {shown} in row {self.row_number(place)}"


def _number_names(names: list[str | None]) -> tuple[Codes, list[str]]:
    """Return a code for each name, -1 for None, and the name of each code in order of appearance."""
    codes = {name: code for code, name in enumerate(name for name in dict.fromkeys(names) if name is not None)}
    places = codes | {None: -1}
    return np.fromiter(map(places.__getitem__, names), dtype=np.intp, count=len(names)), list(codes)


def _take_codes(codes: Codes, names: list[str], rows: NDArray[np.intp]) -> tuple[Codes, list[str]]:
    """Return what `_number_names` returns for the names of some rows."""
    return _in_order(codes[rows], names)


def _in_order(codes: NDArray[Any], values: Sequence[Value]) -> tuple[Codes, list[Value]]:
    """Return the codes of values in order of appearance, and these values; -1 stands for a missing one."""
    first = np.full(len(values) + 1, len(codes))  # code -1 indexes the last entry
    first[codes[::-1]] = np.arange(len(codes))[::-1]  # the last assignment to an entry remains
    present = np.flatnonzero(first[:-1] < len(codes))
    order = present[np.argsort(first[present])]
    numbers = np.full(len(values) + 1, -1)
    numbers[order] = np.arange(len(order))
    return numbers[codes], [values[code] for code in order]


def level_name(value: object) -> str:
    """Return a level as text. The text of a number does not depend on its type.

    >>> level_name(2.0), level_name("2"), level_name(decimal.Decimal("2.00")), level_name(True)
    ('2', '2', '2', 'True')
    """
    if isinstance(value, float | np.floating):
        number = float(value)
        if number.is_integer():
            return str(int(number))
        # format as float32: 0.1 in float32 is 0.10000000149 in float64
        if abs(number) < 1e38 and (single := np.float32(number)) == number:
            return str(single)
        return str(number)
    if isinstance(value, decimal.Decimal):
        text = f"{value:f}" if value else "0"
        return text.rstrip("0").rstrip(".") if "." in text else text
    return str(value)


def _kind_of(kind: type) -> str:
    """Return the kind of a type's values."""
    dates = (datetime.date, np.datetime64)
    words = {(str,): "text", (bool, np.bool_): "boolean", dates: "date", (datetime.time,): "time", _NUMBERS: "number"}
    return next((word for kinds, word in words.items() if issubclass(kind, kinds)), "other")


def _number(value: Any) -> float:
    """Return the value of a number, or of a string that `float` accepts, otherwise NaN."""
    if isinstance(value, str):
        try:
            return np.nan if "_" in value else float(value)
        except ValueError:
            return np.nan
    try:
        return float(value) if isinstance(value, (*_NUMBERS, np.bool_)) else np.nan
    except OverflowError:  # raised for whole numbers beyond 1e308
        return np.inf


def _microseconds(value: Any, is_time: bool) -> int | None:
    """Return a date as microseconds since 1970-01-01 (UTC) or a time as microseconds of the day, else None."""
    if is_time:
        if not isinstance(value, datetime.time):
            return None
        return ((value.hour * 60 + value.minute) * 60 + value.second) * 1_000_000 + value.microsecond
    if isinstance(value, datetime.datetime):
        value = value.replace(tzinfo=None) - (value.utcoffset() or datetime.timedelta())
    elif not isinstance(value, datetime.date | np.datetime64):
        return None
    return int(np.datetime64(value, "us").astype(np.int64))


class Frame:
    """A table whose columns are read on demand.

    Parameters
    ----------
    table : data frame or array
        An eager data frame that narwhals supports, or an array of two dimensions.
    keep : bool
        Keep each column after reading it, so that a second access is fast but memory grows.
    first : int
        The number of the first row, for messages, if the table is a part of a larger one.

    Raises
    ------
    TypeError
        For a Dask collection.
    ValueError
        If `table` is not a table or has two columns of the same name.
    """

    def __init__(self, table: Any, keep: bool = False, first: int = 0) -> None:
        refuse_dask("X", table)
        self._keep, self._first = keep, first
        self._index: Any = None
        self._table: Any  # an array, or a list of series as `_read` takes them
        self._columns: dict[int, Column] = {}
        self.labels = column_names(table)  # the names in the data frame; None: an array
        if self.labels is not None:
            self.names = list(map(str, self.labels))
            if twice := [name for name, count in Counter(self.names).items() if count > 1]:
                raise ValueError(f"the table has more than one column {twice[0]!r}")
            data = _narwhals().from_native(table, eager_only=True)
            self._index = _narwhals().maybe_get_index(data)
            # a list, because looking up a column by name would search all columns
            is_pandas = data.implementation.is_pandas()
            self._table = [c for _, c in data.to_native().items()] if is_pandas else list(data.iter_columns())
            self.shape = len(data), len(self.names)
        else:
            self._table = _as_array(table, 2)
            self.shape = self._table.shape
            self.names = [f"x{i}" for i in range(self.shape[1])]

    @classmethod
    def of(cls, table: Any, keep: bool = False) -> "Frame":
        """Return a table, or `Rows` in files, as a frame; it may already be one."""
        if isinstance(table, Rows):
            return FileFrame(table)
        return table if isinstance(table, Frame) else cls(table, keep)

    def __len__(self) -> int:
        return self.shape[0]

    def column(self, place: int, rows: NDArray[np.intp] | None = None) -> Column:
        """Return a column by its position, or some rows of it."""
        column = self._columns.get(place)
        if column is None:
            values = self._table[:, place] if self.labels is None else self._table[place]
            # not self, which would make a reference cycle and delay freeing the memory
            index, first = self._index, self._first
            column = _read(self.names[place], values, lambda row: first + _row_number(index, row))
            if self._keep:
                self._columns[place] = column
        return column if rows is None else column.take(rows)


class FileFrame(Frame):
    """A table in files, of which one column at a time is in memory.

    Parameters
    ----------
    rows : Rows
        The files.
    """

    def __init__(self, rows: Rows) -> None:
        self.rows = rows
        self.labels = self.names = list(rows.columns)
        self.shape = rows.shape

    def column(self, place: int, rows: NDArray[np.intp] | None = None) -> Column:
        """Read a column by its position, and return it or some rows of it."""
        values = _narwhals().from_native(self.rows.column(self.names[place]), series_only=True)
        column = _read(self.names[place], values, lambda row: row + 1)
        return column if rows is None else column.take(rows)


def is_frame(table: Any) -> bool:
    """Return whether an object is a data frame; narwhals is imported only if its type has `columns`."""
    return hasattr(type(table), "columns") and bool(_narwhals().dependencies.is_into_dataframe(table))


def has_numeric_types(table: Any) -> bool:
    """Return whether the types of all columns of a data frame are numeric or boolean."""
    narwhals = _narwhals()
    types = narwhals.from_native(table, eager_only=True).schema.values()
    return all(kind.is_numeric() or kind == narwhals.Boolean for kind in types)


def column_names(table: Any) -> list[Any] | None:
    """Return the column names of a data frame, or None for another object."""
    if not is_frame(table):
        return None
    return list(getattr(table, "column_names", table.columns))  # in Arrow, `columns` holds the values


def as_column(values: Any, name: str = "") -> Column:
    """Make a column from a series that narwhals supports, or from an array or list of one dimension.

    Parameters
    ----------
    values : series, array or list
        Shape (m,).
    name : str, optional
        Default: the name of the series, or y.
    """
    if isinstance(values, np.ndarray | list | tuple | range):
        return _read(name or "y", _as_array(values, 1), lambda place: place + 1)
    series = _narwhals().from_native(values, series_only=True, pass_through=True)
    if not isinstance(series, _narwhals().Series):
        raise TypeError(f"expected {_SHAPED[1]}, got {type(values).__name__}")
    index = _narwhals().maybe_get_index(series)
    own = series.to_native() if series.implementation.is_pandas() else series
    return _read(name or str(series.name), own, lambda place: _row_number(index, place))


def _narwhals() -> Any:
    return _optional.require("narwhals", "sklearn")


def _row_number(index: Any, row: int) -> int:
    """Return the number of a row, counted from 1. An integer index gives the row's number in the original table."""
    label = None if index is None else index[row]
    return (int(label) if isinstance(label, int | np.integer) else row) + 1


def _as_array(values: Any, n_dimensions: int) -> NDArray[Any]:
    expected = f"expected {_SHAPED[n_dimensions]}"
    if hasattr(values, "toarray"):
        raise ValueError(f"{expected}, got a sparse matrix, whose columns cannot be encoded: pass X.toarray()")
    if isinstance(values, dict):
        raise ValueError(f"{expected}, got a dict: convert it with pandas.DataFrame")
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


def _read(name: str, values: Any, row_number: Callable[[int], int]) -> Column:
    """Return the column of an array, a pandas series or a narwhals series."""
    if isinstance(values, np.ndarray):
        if values.dtype.kind in "OUS":
            plain = (None if is_missing(value) else value for value in values.tolist())
            values = np.fromiter(plain, dtype=object, count=len(values))
        return Column(name, values, row_number=row_number)
    if not isinstance(values, _narwhals().Series):  # pandas, whose own types narwhals reads more slowly
        if isinstance(values.dtype, np.dtype) and values.dtype.kind in "iuf":
            return Column(name, values.to_numpy(), row_number=row_number)
        if hasattr(values.array, "codes"):
            coded = CodedValues(values.array.codes, values.array.categories.tolist())
            return Column(name, coded, True, row_number)
        values = _narwhals().from_native(values, series_only=True)
    dtype = values.dtype
    kind = type(dtype).__name__
    has_array = kind not in ("Decimal", "Int128", "UInt128")  # these types have no NumPy array
    categorical = kind in ("Categorical", "Enum")
    if (dtype.is_numeric() and has_array) or kind in ("Date", "Datetime", "Unknown"):
        array = values.to_numpy()  # times with a zone become UTC
        if dtype.is_integer() and array.dtype.kind not in "iu":  # because of gaps
            array = _integers_with_gaps(values)
        if array.dtype.kind != "O" or dtype.is_integer():
            return Column(name, array, row_number=row_number)
    if categorical or kind == "String":
        native = values.to_native()
        if values.implementation.is_pandas():
            codes, distinct = native.factorize()
            return Column(name, CodedValues(codes, distinct.tolist()), categorical, row_number)
        if values.implementation.is_pyarrow() and (found := _coded(native)) is not None:
            return Column(name, found, categorical, row_number)
    objects = np.fromiter(values.to_list(), dtype=object, count=len(values))
    objects[values.is_null().to_numpy().astype(bool)] = None
    return Column(name, objects, categorical, row_number)


def _coded(column: Any) -> CodedValues | None:
    """Return the values of an Arrow column of categories or text, or None if a category is missing."""
    coded = column if hasattr(column.type, "value_type") else column.dictionary_encode()
    chunks = coded.unify_dictionaries().chunks
    if not chunks:
        return None
    values = chunks[0].dictionary.to_pylist()
    codes = [chunk.indices.fill_null(-1).to_numpy(zero_copy_only=False) for chunk in chunks]
    return None if None in values else CodedValues(np.concatenate(codes), values)


def _integers_with_gaps(values: Any) -> NDArray[Any]:
    """Return integers as float64 with NaN if all are exact in float64, otherwise as objects with None."""
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
    if value is None or type(value).__name__ == "NAType":  # pandas.NA cannot be compared
        return True
    comparable = (float, decimal.Decimal, datetime.datetime, np.generic)
    return isinstance(value, comparable) and bool(value != value)  # NaN and NaT
