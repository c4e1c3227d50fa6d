"""Any table in: a data frame that narwhals knows, or a NumPy array, as named columns of NumPy arrays.

The only module that looks into tables. `Frame.column` knows the libraries and `Column` the values: what a column holds
is decided and read from these alone, so that pandas, polars, Arrow and NumPy give the same features for the same data.
"""

import datetime
import decimal
import re
from collections import Counter
from collections.abc import Callable
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from chainrule import _optional

Floats: TypeAlias = NDArray[np.float64]
Codes: TypeAlias = NDArray[np.intp]

LARGEST = 1e300  # differences and ranges of numbers up to this are finite in float64
_ISO_DATE = re.compile(r"(\d{4}-\d\d-\d\d)(?:[ T](\d\d:\d\d(?::\d\d(?:\.\d+)?)?)(?:Z|([+-])(\d\d):?(\d\d))?)?")
_MICROSECONDS = 86_400_000_000  # of a day
_NUMBERS = (int, float, decimal.Decimal, np.integer, np.floating)
_EXPECTED = "numbers, text, truth values or dates: convert the column to one of these, or leave it out"
_SHAPED = {1: "a series or an array of 1 dimension", 2: "a data frame or an array of 2 dimensions"}


class Column:
    """One column: its values as an array whose missing values are NaN, NaT or, among objects, None.

    Parameters
    ----------
    name : str
        For messages.
    values : array
        Shape (m,): of numbers, dates or objects.
    categorical : bool
        Whether the table's type for it says that its values are names of levels.
    row_number : callable
        The row of the table, counted from 1, of a place in `values`.
    """

    def __init__(
        self, name: str, values: NDArray[Any], categorical: bool = False, row_number: Callable[[int], int] | None = None
    ) -> None:
        self.name = name
        self.values = values
        self.categorical = categorical
        self.row_number = row_number or (lambda place: place + 1)

    def __len__(self) -> int:
        return len(self.values)

    def missing(self) -> NDArray[np.bool_]:
        """Return where values are missing."""
        if self.values.dtype.kind == "O":
            return self._where(lambda value: value is None)
        missing: NDArray[np.bool_] = self.values != self.values  # NaN and NaT
        return missing

    def is_plain(self) -> bool:
        """Return whether all values are numbers or truth values and none is missing."""
        if self.values.dtype.kind == "O":
            return self._types() <= {bool} and not self.missing().any()
        return self.values.dtype.kind in "iufb" and not self.missing().any()

    def kind(self) -> str:
        """Return `"number"`, `"date"` or `"levels"`; text is a date where every value is written as ISO 8601 has it."""
        of_arrays = {"i": "number", "u": "number", "f": "number", "b": "levels", "M": "date"}
        if self.values.dtype.kind != "O":
            if self.values.dtype.kind not in of_arrays:
                self.refuse(~self.missing(), _EXPECTED)
            return of_arrays.get(self.values.dtype.kind, "levels")
        kinds = {_kind_of(kind) for kind in self._types()}
        if "other" in kinds:
            self.refuse(self._where(lambda value: value is not None and _kind_of(type(value)) == "other"), _EXPECTED)
        if kinds == {"text"} and all(map(_ISO_DATE.fullmatch, set(self.values.tolist()) - {None})):
            return "date"
        return kinds.pop() if kinds in ({"number"}, {"date"}) else "levels"

    def numbers(self) -> Floats:
        """Return the values as float64, missing ones as NaN; anything that is not a finite number is refused."""
        expected = "a number"
        if self.values.dtype.kind == "O":
            numbers = np.fromiter(map(_number, self.values), dtype=np.float64, count=len(self))
            self.refuse(np.isnan(numbers) & ~self.missing(), expected)
        elif self.values.dtype.kind in "iufb":
            numbers = self.values.astype(np.float64)
        else:
            self.refuse(~self.missing(), expected)
            return np.full(len(self), np.nan)
        self.refuse(np.abs(numbers) > LARGEST, f"a number between -{LARGEST:g} and {LARGEST:g}")
        return numbers

    def dates(self) -> Floats:
        """Return the values as days since 1970-01-01 (UTC), missing ones as NaN; what is no date is refused."""
        missing = self.missing()
        if self.values.dtype.kind == "M":
            moments = self.values.astype("datetime64[us]").astype(np.int64)
        else:
            values = self.values.tolist() if self.values.dtype.kind == "O" else [None] * len(self)
            known = {value: _microseconds(value) for value in set(values)}
            found = list(map(known.__getitem__, values))
            wrong = np.array([moment is None for moment in found], dtype=bool) & ~missing
            self.refuse(wrong, "a date such as 2024-01-31")
            moments = np.array([moment or 0 for moment in found], dtype=np.int64)
        return np.where(missing, np.nan, moments / _MICROSECONDS)

    def levels(self) -> tuple[Codes, list[str]]:
        """Return the code of each row, -1 where missing, and the level that each code stands for, as text.

        Whole numbers read the same whatever type they come in (`1`, `1.0`, `"1"`), since a column turns to float as
        soon as one of its values is missing.
        """
        allowed = (str, bool, np.bool_, *_NUMBERS)
        types = self._types()
        if not all(issubclass(kind, allowed) for kind in types):
            wrong = self._where(lambda value: value is not None and not isinstance(value, allowed))
            self.refuse(wrong & ~self.missing(), "text, numbers or truth values")
        names: list[str | None] = self.values.tolist()
        if types != {str}:
            pairs = zip(self.values, self.missing().tolist(), strict=True)
            names = [None if missing else level_name(value) for value, missing in pairs]
        levels = [name for name in dict.fromkeys(names) if name is not None]
        place = {name: code for code, name in enumerate(levels)} | {None: -1}
        return np.fromiter(map(place.__getitem__, names), dtype=np.intp, count=len(self)), levels

    def _types(self) -> set[type]:
        """Return the types of the values."""
        if self.values.dtype.kind != "O":
            return {self.values.dtype.type}
        return set(map(type, self.values.tolist())) - {type(None)}

    def _where(self, condition: Callable[[Any], bool]) -> NDArray[np.bool_]:
        return np.fromiter(map(condition, self.values), dtype=bool, count=len(self))

    def refuse(self, wrong: NDArray[np.bool_], expected: str) -> None:
        """Raise ValueError with the first of the values that are wrong, if one is."""
        if wrong.any():
            place = int(wrong.argmax())
            value = self.values[place]
            if isinstance(value, np.datetime64 | np.timedelta64):  # of which Python's has no nanoseconds
                value = value.astype(f"{value.dtype.char}8[us]")
            shown = value.item() if isinstance(value, np.generic) else value
            raise ValueError(
                f"column {self.name!r} holds {shown!r} in row {self.row_number(place)}, expected {expected}"
            )


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
        self._data: Any
        self.has_names = is_frame(table)
        if self.has_names:
            names = getattr(table, "column_names", table.columns)  # of Arrow, whose columns are the values
            self.names = [str(name) for name in names]
            if twice := [name for name, count in Counter(self.names).items() if count > 1]:
                raise ValueError(f"the table has more than one column {twice[0]!r}")
            self._data = _narwhals().from_native(table, eager_only=True)
            self._index = _narwhals().maybe_get_index(self._data)
        else:
            self._data = _as_array(table, 2)
            self.names = [f"x{i}" for i in range(self._data.shape[1])]

    def __len__(self) -> int:
        return len(self._data) if self._rows is None else len(self._rows)

    def column(self, place: int) -> Column:
        """Return a column by its place."""
        values = self._data[:, place]
        if self._rows is not None:
            values = values[self._rows]
        return _read(self.names[place], values, self._row_number)

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
        return _read(name or "y", _as_array(values, 1), lambda place: place + 1)
    series = _narwhals().from_native(values, series_only=True, pass_through=True)
    if not isinstance(series, _narwhals().Series):
        raise TypeError(f"expected {_SHAPED[1]}, got {type(values).__name__}")
    index = _narwhals().maybe_get_index(series)
    return _read(name or str(series.name), series, lambda place: _row_number(index, place))


def level_name(value: object) -> str:
    """Return a level as text.

    >>> level_name(2.0), level_name("2"), level_name(True)
    ('2', '2', 'True')
    """
    if isinstance(value, float | np.floating) and float(value).is_integer():
        return str(int(value))
    return str(value)


def _narwhals() -> Any:
    return _optional.require("narwhals", "sklearn")


def _row_number(index: Any, row: int) -> int:
    """Return a row, counted from 1: by the index, so that a part of a table names the table's row."""
    label = None if index is None else index[row]
    return (int(label) if isinstance(label, int | np.integer) else row) + 1


def _as_array(values: Any, n_dimensions: int) -> NDArray[Any]:
    array = values if isinstance(values, np.ndarray) else np.array(values, dtype=object)
    if array.ndim != n_dimensions:
        got = f"an array of shape {array.shape}" if array.ndim else f"{type(values).__name__}"
        raise ValueError(f"expected {_SHAPED[n_dimensions]}, got {got}")
    return array


def _read(name: str, values: Any, row_number: Callable[[int], int]) -> Column:
    """Return the column of a narwhals series or an array."""
    if isinstance(values, np.ndarray):
        if values.dtype.kind in "OUS":
            plain = (None if is_missing(value) else value for value in values.tolist())
            values = np.fromiter(plain, dtype=object, count=len(values))
        return Column(name, values, row_number=row_number)
    kind = type(values.dtype).__name__
    if values.dtype.is_numeric() or kind in ("Date", "Datetime", "Unknown"):
        array = values.to_numpy()  # the moments of a time zone in UTC
        if array.dtype.kind != "O":
            return Column(name, array, row_number=row_number)
    objects = np.fromiter(values.to_list(), dtype=object, count=len(values))
    objects[values.is_null().to_numpy().astype(bool)] = None
    return Column(name, objects, kind in ("Categorical", "Enum"), row_number)


def is_missing(value: object) -> bool:
    if value is None or type(value).__name__ == "NAType":  # pandas.NA, which refuses to be compared
        return True
    comparable = (float, decimal.Decimal, datetime.datetime, np.generic)
    return isinstance(value, comparable) and bool(value != value)  # NaN and NaT


def _kind_of(kind: type) -> str:
    """Return what the values of a type are."""
    words = {(str,): "text", (bool, np.bool_): "truth", (datetime.date, np.datetime64): "date", _NUMBERS: "number"}
    return next((word for kinds, word in words.items() if issubclass(kind, kinds)), "other")


def _number(value: Any) -> float:
    """Return a number, or a text that is one; NaN for the rest."""
    if isinstance(value, str):
        try:
            return np.nan if "_" in value else float(value)
        except ValueError:
            return np.nan
    return float(value) if isinstance(value, (*_NUMBERS, np.bool_)) else np.nan


def _microseconds(value: Any) -> int | None:
    """Return a moment in microseconds since 1970-01-01 (UTC), None for the rest."""
    minutes = 0
    if isinstance(value, str):
        match = _ISO_DATE.fullmatch(value)
        if match is None:
            return None
        day, clock, sign, hours, rest = match.groups()
        value = f"{day}T{clock[:15]}" if clock else day
        minutes = int(sign + hours) * 60 + int(sign + rest) if sign else 0
    elif isinstance(value, datetime.datetime):
        value = value.replace(tzinfo=None) - (value.utcoffset() or datetime.timedelta())
    elif not isinstance(value, datetime.date | np.datetime64):
        return None
    try:
        return int(np.datetime64(value, "us").astype(np.int64)) - minutes * 60_000_000
    except ValueError:  # the 30th of February
        return None
