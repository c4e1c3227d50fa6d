"""How a column of each kind becomes float32 features.

An encoder is a frozen record of what was learnt at fit, so that `dataclasses.asdict` is its state.
"""

import dataclasses
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, ClassVar, TypeAlias

import numpy as np
from numpy.typing import NDArray

from chainrule._frames import Codes, Column, Floats

FORMAT = 1  # of the state of encoders
FARTHEST = 1e30  # scaled numbers beyond this are encoded alike; keeps inf / inf out of the clipping
_WHOLE = re.compile(r"([+-]?(?:0|[1-9]\d*))\.0+")  # a whole number that is written as a float


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

    def read(self, column: Column) -> Floats:
        return column.numbers()

    def encode(self, column: Column, out: NDArray[np.float32]) -> None:
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

    def read(self, column: Column) -> Floats:
        return column.dates()


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
        counts = dict(zip(names, np.bincount(codes[codes >= 0], minlength=len(names)).tolist(), strict=True))
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

    def encode(self, column: Column, out: NDArray[np.float32]) -> None:
        """Write the features into `out`, (m, width) and zero."""
        codes, names = column.levels()
        unseen = len(self.levels) if self.other else -1
        place = find_codes(codes, names, self.levels, unseen, missing=self.width - 1 if self.missing else -1)
        rows = np.flatnonzero(place >= 0)
        out[rows, place[rows]] = 1

    def find_stranger(self, column: Column) -> str | None:
        """Return a level of a column of which no level is listed here; None where one is, or all are missing."""
        codes, names = column.levels()
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

    def encode(self, column: Column, out: NDArray[np.float32]) -> None:
        """Write nothing."""


Encoder: TypeAlias = NumberColumn | DateColumn | LevelColumn | IgnoredColumn


def fit_column(column: Column, categorical: bool, max_levels: int) -> Encoder:
    """Return the encoder of one column."""
    if column.missing().all():
        return IgnoredColumn(column.name, "no values")
    kind = "levels" if categorical else column.kind()
    if kind == "number":
        return NumberColumn.fit(column.name, column.numbers())
    if kind == "date":
        return DateColumn.fit(column.name, column.dates())
    return LevelColumn.fit(column.name, *column.levels(), max_levels)


def check_format(state: Mapping[str, Any]) -> None:
    """Refuse what is not the state of an encoder, or is one that a later version wrote."""
    version = state.get("format")
    if type(version) is not int:
        raise ValueError("not the state of an encoder: it has no format version")
    if version > FORMAT:
        raise ValueError(f"the encoding has format {version}, this chainrule reads up to {FORMAT}: upgrade chainrule")
