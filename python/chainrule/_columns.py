"""The columns of a table: what kind each is, and how one of each kind becomes float32 features.

Only `read_kind`, `read_numbers`, `read_dates` and `read_levels` look into a pandas column; the encoders below them see
NumPy arrays. An encoder is a frozen record of what was learnt at fit, so that `dataclasses.asdict` is its state.
"""

import dataclasses
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar, TypeAlias, cast

import numpy as np
from numpy.typing import NDArray

from chainrule import _optional

if TYPE_CHECKING:
    import pandas as pd

Floats: TypeAlias = NDArray[np.float64]
Codes: TypeAlias = NDArray[np.intp]

FORMAT = 1  # of the state of encoders
LARGEST = 1e300  # differences and ranges of numbers up to this are finite in float64
FARTHEST = 1e30  # scaled numbers beyond this are encoded alike; keeps inf / inf out of the clipping
_ISO_DATE = r"\d{4}-\d\d-\d\d([ T]\d\d:\d\d(:\d\d(\.\d+)?)?(Z|[+-]\d\d:?\d\d)?)?"
_WHOLE = re.compile(r"([+-]?(?:0|[1-9]\d*))\.0+")  # a whole number that is written as a float

# pandas' infer_dtype -> the kind of column
_KINDS = {
    "integer": "number", "floating": "number", "mixed-integer-float": "number", "decimal": "number",
    "string": "levels", "boolean": "levels", "categorical": "levels", "mixed": "levels", "mixed-integer": "levels",
    "datetime64": "date", "datetime": "date", "date": "date",
}  # fmt: skip


def read_kind(column: "pd.Series", name: str) -> str:
    """Return `"number"`, `"date"` or `"levels"`; text is a date where every value is written as ISO 8601 has it."""
    pd = _optional.require("pandas", "cli")
    inferred = pd.api.types.infer_dtype(column, skipna=True)
    if inferred == "string" and are_dates(column.dropna()):
        return "date"
    if inferred not in _KINDS:
        raise ValueError(
            f"column {name!r} holds values of type {inferred}, expected numbers, text, truth values or dates: "
            "convert it to one of these, or leave it out"
        )
    return _KINDS[inferred]


def are_dates(column: "pd.Series") -> bool:
    """Return whether every text of a column without missing values is a date as ISO 8601 has it."""
    return bool(column.astype(str).str.fullmatch(_ISO_DATE).all())


def row_number(column: "pd.Series", place: int) -> int:
    """Return the row of a value, counted from 1: by the index, so that a part of a table names the table's row."""
    label = column.index[place]
    return (int(label) if isinstance(label, int | np.integer) else place) + 1


def _refuse(column: "pd.Series", wrong: NDArray[np.bool_], name: str, expected: str) -> None:
    if wrong.any():
        row = int(wrong.argmax())
        value = column.iloc[row]
        shown = value.item() if isinstance(value, np.generic) else value
        raise ValueError(f"column {name!r} holds {shown!r} in row {row_number(column, row)}, expected {expected}")


def read_numbers(column: "pd.Series", name: str) -> Floats:
    """Return a column as float64, missing values as NaN; anything that is not a finite number is refused."""
    pd = _optional.require("pandas", "cli")
    expected = "a number"
    if pd.api.types.infer_dtype(column, skipna=True) in ("datetime64", "datetime", "date", "complex", "timedelta64"):
        _refuse(column, column.notna().to_numpy(dtype=bool), name, expected)
    if not pd.api.types.is_numeric_dtype(column.dtype):
        numbers = pd.to_numeric(column.astype(object), errors="coerce")
        _refuse(column, (numbers.isna() & column.notna()).to_numpy(dtype=bool), name, expected)
        column = numbers
    values = cast(Floats, column.to_numpy(dtype=np.float64, na_value=np.nan))
    with np.errstate(invalid="ignore"):
        _refuse(column, np.abs(values) > LARGEST, name, f"a number between -{LARGEST:g} and {LARGEST:g}")
    return values


def read_dates(column: "pd.Series", name: str) -> Floats:
    """Return a column of dates as days since 1970-01-01 (UTC), missing values as NaN."""
    pd = _optional.require("pandas", "cli")
    expected = "a date such as 2024-01-31"
    if pd.api.types.infer_dtype(column, skipna=True) in ("integer", "floating", "boolean"):
        _refuse(column, column.notna().to_numpy(dtype=bool), name, expected)
    if pd.api.types.is_datetime64_any_dtype(column.dtype):
        stamps = pd.to_datetime(column, utc=True)
    else:
        stamps = pd.to_datetime(column.astype(object), utc=True, errors="coerce", format="ISO8601")
    _refuse(column, (stamps.isna() & column.notna()).to_numpy(dtype=bool), name, expected)
    # microseconds reach from the year 1 to 9999, nanoseconds only from 1678 to 2262
    days = (stamps.dt.as_unit("us") - pd.Timestamp("1970-01-01", tz="UTC").as_unit("us")) / pd.Timedelta(days=1)
    return cast(Floats, days.to_numpy(dtype=np.float64, na_value=np.nan))


def read_levels(column: "pd.Series", name: str) -> tuple[Codes, list[str]]:
    """Return the code of each row, -1 where missing, and the level that each code stands for, as text.

    Whole numbers read the same whatever type they come in (`1`, `1.0`, `"1"`), since a column turns to float as soon as
    one of its values is missing. Two codes may stand for one level.
    """
    pd = _optional.require("pandas", "cli")
    try:
        codes, uniques = pd.factorize(column)
    except TypeError as error:  # lists and the like
        raise ValueError(f"column {name!r} holds values that are no levels: {error}") from error
    for value in uniques:
        if not isinstance(value, str | bool | int | float | np.generic):
            raise ValueError(f"column {name!r} holds {value!r}, expected text, numbers or truth values")
    return np.asarray(codes, dtype=np.intp), [level_name(value) for value in uniques]


def level_name(value: object) -> str:
    """Return a level as text.

    >>> level_name(2.0), level_name("2"), level_name(True)
    ('2', '2', 'True')
    """
    if isinstance(value, float | np.floating) and float(value).is_integer():
        return str(int(value))
    return str(value)


def find_codes(codes: Codes, names: Sequence[str], levels: Iterable[str], unseen: int, missing: int) -> Codes:
    """Return the place of each row's level within `levels`; "1.0" is also found as "1", and the reverse."""
    place = {level: i for i, level in enumerate(levels)}
    alike = {_without_zeros(level): i for level, i in place.items()}
    found = [place.get(name, alike.get(_without_zeros(name), unseen)) for name in names]
    return np.array([*found, missing], dtype=np.intp)[codes]


def _without_zeros(level: str) -> str:
    match = _WHOLE.fullmatch(level)
    return match[1] if match else level


@dataclasses.dataclass(frozen=True)
class NumberColumn:
    """Numbers: missing ones become the median; x' = (x - median) / scale; x' / sqrt(1 + (x'/3)²).

    `scale` is q75 - q25, where that is zero max - min, and where that is zero too the feature is zero. `indicator` adds
    a feature that is 1 where the value is missing.
    """

    kind: ClassVar[str] = "number"
    name: str
    median: float
    scale: float
    indicator: bool

    @classmethod
    def fit(cls, name: str, values: Floats) -> "NumberColumn | IgnoredColumn":
        """Learn median and scale from the values that are not missing."""
        missing = np.isnan(values)
        present = values[~missing]
        if not present.size:
            return IgnoredColumn(name, "no values")
        q25, median, q75 = (float(q) for q in np.quantile(present, [0.25, 0.5, 0.75]))
        scale = q75 - q25 or float(present.max() - present.min())
        if scale == 0 and not missing.any():
            return IgnoredColumn(name, "one value only")
        return cls(name, median, scale, bool(missing.any()))

    @property
    def width(self) -> int:
        return 1 + self.indicator

    def read(self, column: "pd.Series") -> Floats:
        return read_numbers(column, self.name)

    def encode(self, column: "pd.Series", out: NDArray[np.float32]) -> None:
        """Write the features into `out`, (m, width) and zero."""
        values = self.read(column)
        missing = np.isnan(values)
        if self.scale > 0:
            with np.errstate(over="ignore"):
                scaled = (np.where(missing, self.median, values) - self.median) / self.scale
            scaled = np.clip(scaled, -FARTHEST, FARTHEST)
            out[:, 0] = scaled / np.hypot(1.0, scaled / 3.0)
        if self.indicator:
            out[:, 1] = missing


@dataclasses.dataclass(frozen=True)
class DateColumn(NumberColumn):
    """Dates: the number of days since 1970-01-01, encoded as a number."""

    kind: ClassVar[str] = "date"

    def read(self, column: "pd.Series") -> Floats:
        return read_dates(column, self.name)


@dataclasses.dataclass(frozen=True)
class LevelColumn:
    """Levels: one feature each that is 1 where the row has that level, in the order levels, other, missing.

    With `other`, levels that are not listed share one feature; without it they are all zeros. So is a missing value
    where none was missing at fit.
    """

    kind: ClassVar[str] = "levels"
    name: str
    levels: tuple[str, ...]
    other: bool
    missing: bool

    @classmethod
    def fit(cls, name: str, codes: Codes, names: Sequence[str], max_levels: int) -> "LevelColumn | IgnoredColumn":
        """Learn the levels; of more than `max_levels` the most frequent stay, of those that are seen more than once."""
        counts: Counter[str] = Counter()
        for level, count in zip(names, np.bincount(codes[codes >= 0], minlength=len(names)).tolist(), strict=True):
            if count:  # a pandas categorical lists levels without a row
                counts[level] += count
        missing = bool((codes < 0).any())
        kept = sorted(counts)
        if not kept:
            return IgnoredColumn(name, "no values")
        if len(kept) > max_levels:
            kept = sorted(sorted((k for k in kept if counts[k] > 1), key=lambda k: (-counts[k], k))[:max_levels])
            if not kept and not missing:
                return IgnoredColumn(name, "every value is different")
        elif len(kept) == 1 and not missing:
            return IgnoredColumn(name, "one value only")
        return cls(name, tuple(kept), len(counts) > len(kept), missing)

    @property
    def width(self) -> int:
        return len(self.levels) + self.other + self.missing

    def encode(self, column: "pd.Series", out: NDArray[np.float32]) -> None:
        """Write the features into `out`, (m, width) and zero."""
        codes, names = read_levels(column, self.name)
        unseen = len(self.levels) if self.other else -1
        place = find_codes(codes, names, self.levels, unseen, missing=self.width - 1 if self.missing else -1)
        rows = np.flatnonzero(place >= 0)
        out[rows, place[rows]] = 1

    def find_stranger(self, column: "pd.Series") -> str | None:
        """Return a level of a column of which no level is listed here; None where one is, or all are missing."""
        codes, names = read_levels(column, self.name)
        codes = codes[codes >= 0]
        known = find_codes(codes, names, self.levels, unseen=-1, missing=-1) >= 0
        return names[codes[0]] if codes.size and not known.any() else None


@dataclasses.dataclass(frozen=True)
class IgnoredColumn:
    """A column that can teach nothing; a table to predict on need not have it."""

    kind: ClassVar[str] = "ignored"
    name: str
    reason: str

    @property
    def width(self) -> int:
        return 0

    def encode(self, column: "pd.Series", out: NDArray[np.float32]) -> None:
        """Write nothing."""


Column: TypeAlias = NumberColumn | DateColumn | LevelColumn | IgnoredColumn


def fit_column(name: str, column: "pd.Series", categorical: bool, max_levels: int) -> Column:
    """Return the encoder of one column."""
    if column.isna().all():
        return IgnoredColumn(name, "no values")
    kind = "levels" if categorical else read_kind(column, name)
    if kind == "number":
        return NumberColumn.fit(name, read_numbers(column, name))
    if kind == "date":
        return DateColumn.fit(name, read_dates(column, name))
    return LevelColumn.fit(name, *read_levels(column, name), max_levels)


def check_format(state: Mapping[str, Any]) -> None:
    """Refuse what is not the state of an encoder, or is one that a later version wrote."""
    version = state.get("format")
    if type(version) is not int:
        raise ValueError("not the state of an encoder: it has no format version")
    if version > FORMAT:
        raise ValueError(f"the encoding has format {version}, this chainrule reads up to {FORMAT}: upgrade chainrule")
