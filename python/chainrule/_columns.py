"""Encoders for columns, one class for each kind of column.

`_formats` examines the text of a column, and `fit_column` chooses the encoder. The command line turns its warnings into
errors. An encoder is a frozen dataclass; its state consists of strings, numbers, lists and dictionaries.
"""

import dataclasses
import math
import re
import reprlib
import sys
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from itertools import pairwise
from typing import Any, ClassVar, TypeAlias

import numpy as np
from numpy.typing import NDArray

from chainrule._formats import ORDERS, SEVERAL, DateFormat, Examination, Format, NumberFormat, check_state
from chainrule._frames import Codes, Column, Floats
from chainrule._quantiles import deviation, find_edges, quantiles

FORMAT = 3  # version of the encoders' state: 1 had no text formats, 2 no bin edges
FARTHEST = 1e30  # scaled numbers are clipped here, so that inf / inf never occurs
ENOUGH = 10  # warn if no row has a listed level and at least this many rows have other levels
Part: TypeAlias = tuple[NDArray[np.intp] | None, Floats | None]  # codes and values of a column of `BinnedRows`
_WHOLE = re.compile(r"([+-]?(?:0|[1-9][0-9]*))\.0+")  # a whole number that is written as a float
_BOOLEANS = {"true": "1", "false": "0"}


def find_codes(codes: Codes, names: Sequence[str], levels: Sequence[str], unseen: int, missing: int) -> Codes:
    """Return the position of each row's level in `levels`.

    A value may be written in several ways: "1.0" also matches "1", and " a" matches "a". If the levels are booleans
    (only True and False, or only 0 and 1), "true", "TRUE" and 1 match True. Exact matches take precedence.
    """
    place = {level: i for i, level in enumerate(levels)}
    alike, is_boolean = simplified(levels)
    found = [place[name] if name in place else alike.get(_simplify(name, is_boolean), unseen) for name in names]
    return np.array([*found, missing], dtype=np.intp)[codes]


def simplified(levels: Sequence[str]) -> tuple[dict[str, int], bool]:
    """Return the positions of the levels by their simplified text, if no two share it, and whether they are booleans.

    >>> simplified(["1", "1.0", "2.0"]), simplified(["False", "True"])
    (({'2': 2}, False), ({'0': 0, '1': 1}, True))
    """
    plain = set(map(_without_zeros, levels))
    is_boolean = bool(levels) and (plain <= {"0", "1"} or {level.lower() for level in plain} <= _BOOLEANS.keys())
    keys = [_simplify(level, is_boolean) for level in levels]
    counts = Counter(keys)
    return {key: i for i, key in enumerate(keys) if counts[key] == 1}, is_boolean


def _simplify(level: str, is_boolean: bool) -> str:
    level = _without_zeros(level)
    return _BOOLEANS.get(level.lower(), level) if is_boolean else level


def _without_zeros(level: str) -> str:
    level = level.strip()
    match = _WHOLE.fullmatch(level)
    return match[1] if match else level


@dataclasses.dataclass(frozen=True)
class NumberColumn:
    """Encodes numbers as x' / sqrt(1 + (x'/3)²) with x' = (x - median) / scale; a missing number becomes the median.

    `scale` is q75 - q25; if that is zero, the standard deviation (with bins) or max - min (without). If that is zero
    too, the feature is zero. `indicator` adds a feature that is 1 for missing values. `format` is used to read text.
    `edges` are the bin edges; each bin adds a feature that grows from 0 to 1 within the bin.
    """

    kind: ClassVar[str] = "number"
    name: str
    median: float
    scale: float
    indicator: bool
    format: Any = None  # a NumberFormat, or a DateFormat in a DateColumn
    edges: tuple[float, ...] = ()

    @classmethod
    def fit(
        cls, name: str, values: Floats, weight: Floats | None, settings: "Settings", format: Format | None = None
    ) -> "NumberColumn | IgnoredColumn":
        """Learn median, scale and bins from the values that are not missing."""
        missing = np.isnan(values)
        present = values[~missing]
        more_to_come = settings.more_to_come
        if not present.size:
            return cls(name, 0.0, 1.0, True, format) if more_to_come else IgnoredColumn(name, "no values")
        weight = None if weight is None else weight[~missing]
        order = None if weight is None else np.argsort(present, kind="stable")
        ordered = np.sort(present) if order is None else present[order]
        ordered_weight = None if weight is None else weight[order]
        q25, median, q75 = quantiles(ordered, [0.25, 0.5, 0.75], ordered_weight).tolist()
        scale = q75 - q25
        if scale == 0 and (low := float(ordered[0])) < (high := float(ordered[-1])):
            scale = deviation(present, weight) if settings.bins else high - low
        if scale == 0 and more_to_come:
            scale = abs(median) or 1.0
        if scale == 0 and not missing.any():
            return IgnoredColumn(name, "one value only")
        edges = find_edges(ordered, settings.bins, ordered_weight) if settings.bins else ()
        return cls(name, median, scale, more_to_come or bool(missing.any()), format, edges)

    @property
    def width(self) -> int:
        return 1 + self.n_bins + self.indicator

    @property
    def n_bins(self) -> int:
        """The number of bins."""
        return max(len(self.edges) - 1, 0)

    @property
    def feature_names(self) -> list[str]:
        bins = [f"{self.name} from {low} to {high}" for low, high in pairwise(self.edges)]
        return [self.name, *bins] + [f"{self.name} missing"] * self.indicator

    def check(self) -> None:
        """Raise ValueError for a state that `fit` cannot have learned."""
        if not math.isfinite(self.median) or not math.isfinite(self.scale) or self.scale < 0:
            raise ValueError(f"column {self.name!r}: median {self.median}, scale {self.scale}")
        if self.scale == 0 and not self.indicator:
            raise ValueError(f"column {self.name!r}: scale 0 and no indicator: it has no features")
        rising = all(low < high for low, high in pairwise(self.edges))
        if self.edges and not (rising and len(self.edges) > 2):
            raise ValueError(f"column {self.name!r}: the edges of its bins are {reprlib.repr(self.edges)}")

    def read(self, column: Column) -> Floats:
        return column.numbers(self.format)

    @property
    def layout(self) -> list[tuple[str, int]]:
        bins = [("bins", self.n_bins)] if self.edges else []
        return [("value", 1), *bins, *([("levels", 1)] if self.indicator else [])]

    def encode(self, column: Column) -> tuple[list[Part], str | None]:
        """Return the codes and values of the features, and a warning if there is one."""
        values = self.read(column)
        missing = np.isnan(values)
        present = np.where(missing, self.median, values) if missing.any() else values
        scaled = np.zeros(len(present))
        with np.errstate(over="ignore"):
            if self.scale > 0:
                scaled = np.clip((present - self.median) / self.scale, -FARTHEST, FARTHEST)
            parts: list[Part] = [(None, scaled / np.hypot(1.0, scaled / 3.0))]
            if self.edges:
                edges = np.array(self.edges)
                bins = np.searchsorted(edges[1:-1], present, side="right")
                fractions = (present - edges.take(bins)) / np.diff(edges).take(bins)
                parts.append((bins, np.clip(fractions, 0, 1)))
        if self.indicator:
            return [*parts, (np.where(missing, 0, 1), None)], None
        return parts, _warn_of_gaps(column, missing, "each is replaced by the median")


@dataclasses.dataclass(frozen=True)
class DateColumn(NumberColumn):
    """Encodes dates as numbers: days since 1970-01-01; a time of day is the fraction of the day."""

    kind: ClassVar[str] = "date"

    def read(self, column: Column) -> Floats:
        return column.dates(self.format)


@dataclasses.dataclass(frozen=True)
class LevelColumn:
    """Encodes levels as one feature each, which is 1 in rows with that level, in the order levels, other, missing.

    With `other`, levels that are not listed share one feature; without it their features are all 0. So are those of a
    missing value if no value was missing during fit.
    """

    kind: ClassVar[str] = "levels"
    name: str
    levels: tuple[str, ...]
    other: bool
    missing: bool

    @classmethod
    def fit(
        cls, name: str, codes: Codes, names: Sequence[str], weight: Floats | None, settings: "Settings"
    ) -> "LevelColumn | IgnoredColumn":
        """Learn the levels. If there are more than `max_levels`, keep the most frequent that occur more than once."""
        max_levels, more_to_come = settings.max_levels, settings.more_to_come
        present = codes >= 0
        of_levels = np.bincount(codes[present], None if weight is None else weight[present], len(names))
        counts = dict(zip(names, of_levels.tolist(), strict=True))
        missing = more_to_come or bool((codes < 0).any())
        levels = sorted(counts)
        if not levels and not more_to_come:
            return IgnoredColumn(name, "no values")
        if len(levels) > max_levels:
            repeated = [level for level in levels if counts[level] > 1]
            levels = sorted(sorted(repeated, key=lambda level: (-counts[level], level))[:max_levels])
            if not levels and not missing:
                return IgnoredColumn(name, "every value is different")
        elif len(levels) == 1 and not missing:
            return IgnoredColumn(name, "one value only")
        return cls(name, tuple(levels), more_to_come or len(counts) > len(levels), missing)

    @property
    def width(self) -> int:
        return len(self.levels) + self.other + self.missing

    @property
    def feature_names(self) -> list[str]:
        parts = [f"={level}" for level in self.levels] + [" other"] * self.other + [" missing"] * self.missing
        return [self.name + part for part in parts]

    def check(self) -> None:
        """Raise ValueError for a state that `fit` cannot have learned."""
        if twice := [level for level, count in Counter(self.levels).items() if count > 1]:
            raise ValueError(f"column {self.name!r} has the level {twice[0]!r} more than once")
        if not self.width:
            raise ValueError(f"column {self.name!r} has no levels")

    @property
    def layout(self) -> list[tuple[str, int]]:
        return [("levels", self.width)]

    def encode(self, column: Column) -> tuple[list[Part], str | None]:
        """Return the index of each row's feature, and a warning if there is one."""
        codes, names = column.levels()
        other = len(self.levels) if self.other else self.width
        gap = self.width - 1 if self.missing else self.width
        listed = find_codes(codes, names, self.levels, unseen=-1, missing=gap)
        missing = codes < 0
        unseen = listed < 0
        parts: list[Part] = [(np.where(unseen, other, listed), None)]
        if self.other and (not self.levels or (~(unseen | missing)).any() or unseen.sum() < ENOUGH):
            unseen[:] = False  # rare levels seen during fit are not listed either
        if unseen.any():
            place = int(unseen.argmax())
            return parts, (
                f"column {self.name!r}: {_of(unseen, 'cells')} hold levels that were not seen during fit, such as "
                f"{reprlib.repr(names[codes[place]])} in row {column.row_number(place)}: "
                + ("all share one feature" if self.other else "their features are 0")
                + "; correct them, or fit with rows that have them"
            )
        return parts, None if self.missing else _warn_of_gaps(column, missing, "their features are 0")


@dataclasses.dataclass(frozen=True)
class IgnoredColumn:
    """A constant or empty column, or text that is different in every row. It may be absent from tables to predict."""

    kind: ClassVar[str] = "ignored"
    name: str
    reason: str

    @property
    def width(self) -> int:
        return 0

    @property
    def feature_names(self) -> list[str]:
        return []

    def check(self) -> None:
        """Accept every state."""

    @property
    def layout(self) -> list[tuple[str, int]]:
        return []

    def encode(self, column: Column) -> tuple[list[Part], str | None]:
        """Return no features."""
        return [], None


Encoder: TypeAlias = NumberColumn | DateColumn | LevelColumn | IgnoredColumn
_KINDS: dict[str, type[Encoder]] = {kind.kind: kind for kind in (NumberColumn, DateColumn, LevelColumn, IgnoredColumn)}


def _of(rows: NDArray[np.bool_], what: str) -> str:
    return f"{int(rows.sum()):,} of {len(rows):,} {what}"


def _warn_of_gaps(column: Column, missing: NDArray[np.bool_], consequence: str) -> str | None:
    if not missing.any():
        return None
    return (
        f"column {column.name!r}: {_of(missing, 'cells')} are missing, the first in row "
        f"{column.row_number(int(missing.argmax()))}, but none were during fit: {consequence}; "
        "fill them, or fit with rows that have missing values"
    )


_OPTIONAL = {"format", "edges"}  # entries that a state may lack


def to_state(column: Encoder) -> dict[str, Any]:
    """Return the state of an encoder, ready for JSON."""
    state = {"kind": column.kind, **dataclasses.asdict(column)}
    if isinstance(column, LevelColumn):
        state["levels"] = list(column.levels)
    if isinstance(column, NumberColumn):
        state["edges"] = list(column.edges)
    return {key: value for key, value in state.items() if key not in _OPTIONAL or value}


def from_state(state: dict[str, Any]) -> Encoder:
    """Return the encoder of a state that `to_state` wrote."""
    values = dict(state)
    kind = values.pop("kind", None)
    if not isinstance(kind, str) or kind not in _KINDS:
        raise ValueError(f"a column's kind is {reprlib.repr(kind)}, expected one of {', '.join(_KINDS)}")
    fields = {field.name: field.type for field in dataclasses.fields(_KINDS[kind])}
    if fields.keys() - _OPTIONAL != values.keys() - (_OPTIONAL & fields.keys()):
        found = reprlib.repr(sorted(map(str, values)))
        raise ValueError(f"a column of kind {kind} has the entries {found}, expected {sorted(fields)}")
    name = reprlib.repr(values["name"])
    for key, value in values.items():
        if key == "format":
            values[key] = (NumberFormat if kind == "number" else DateFormat)(**check_state(kind, value))
        elif fields[key] is float and type(value) is int and _is_finite(value):
            values[key] = float(value)
        elif fields[key] == tuple[str, ...]:
            if not isinstance(value, list) or not all(isinstance(level, str) for level in value):
                raise ValueError(f"column {name}: {key} is not a list of strings")
            values[key] = tuple(value)
        elif key == "edges":
            if not isinstance(value, list) or not all(map(_is_finite, value)):
                raise ValueError(f"column {name}: edges is not a list of finite numbers")
            values[key] = tuple(map(float, value))
        elif type(value) is not fields[key]:
            raise ValueError(f"column {name}: {key} is {reprlib.repr(value)}")
    column = _KINDS[kind](**values)
    column.check()
    return column


def _is_finite(value: Any) -> bool:
    return type(value) in (int, float) and abs(value) <= sys.float_info.max


def check_format(state: Mapping[str, Any]) -> None:
    """Raise ValueError unless this is the state of an encoder in a version that this release reads."""
    version = state.get("format")
    if type(version) is not int:
        raise ValueError("not the state of an encoder: it has no format version")
    if version > FORMAT:
        raise ValueError(f"the encoding has format {version}, this chainrule reads up to {FORMAT}: upgrade chainrule")


_NAME_IT = "name the column in categorical_features if its values are categories"
_WORDS = {"number": "numbers", "date": "dates"}


@dataclasses.dataclass(frozen=True)
class Settings:
    """Settings for learning columns; see `TableEncoder` and `TableEncoding.learn`."""

    max_levels: int = 100
    date_order: str | None = None
    decimal: str | None = None
    bins: int = 0
    more_to_come: bool = False


def fit_column(
    column: Column, categorical: bool, weight: Floats | None, settings: Settings, warn: Callable[[str], None]
) -> Encoder:
    """Learn the encoder of one column; call `warn` with each problem that the user should know about.

    A row of weight w counts as w rows; without weights, each row counts once.

    Raises
    ------
    ValueError
        For text that can be read as numbers or dates in several ways; the message names the option that decides.
    """
    more_to_come = settings.more_to_come
    if column.missing().all():
        if not more_to_come:
            return IgnoredColumn(column.name, "no values")
        has_type = not categorical and column.values.dtype.kind != "O"
        kind, format = column.kind_of_type() if has_type else "levels", None
    else:
        kind, format = ("levels", None) if categorical else _read_text(column, settings, warn)
    if kind == "number":
        return NumberColumn.fit(column.name, column.numbers(_number_format(format)), weight, settings, format)
    if kind == "date":
        return DateColumn.fit(column.name, column.dates(_date_format(format)), weight, settings, format)
    return LevelColumn.fit(column.name, *column.levels(), weight, settings)


def _number_format(format: Format | None) -> NumberFormat | None:
    return format if isinstance(format, NumberFormat) else None


def _date_format(format: Format | None) -> DateFormat | None:
    return format if isinstance(format, DateFormat) else None


def _read_text(column: Column, settings: Settings, warn: Callable[[str], None]) -> tuple[str, Format | None]:
    """Return the kind of a column, and the format of its text.

    Text of digits only is encoded as levels, because it may be codes. If some cells cannot be read, the text is encoded
    as levels too, with a warning, so that words do not become missing values. `MARKERS` are missing values.
    """
    kind = column.kind_of_type()
    if kind != "text":
        return kind, column.format_of_type()
    found = column.examine().narrow(decimal=settings.decimal, date_order=settings.date_order)
    if found.kind == "levels":
        return "levels", None
    if found.mistakes:
        if "date" in column.kinds_of_types():  # dates are not levels
            raise ValueError(f"{describe_mistakes(column, found)}: correct them")
        warn(f"{describe_mistakes(column, found)}, so all are encoded as levels: correct them, or {_NAME_IT}")
        return "levels", None
    if found.whole:
        if found.markers:
            warn(f"{_describe_markers(column, found)}, so all are encoded as levels: convert them, or {_NAME_IT}")
        elif found.distinct > min(settings.max_levels, max(SEVERAL, found.cells / 2)):
            what = f"column {column.name!r} holds {found.distinct:,} different whole numbers as text"
            warn(f"{what}, which are encoded as levels: convert them if they are amounts, or {_NAME_IT}")
        return "levels", None
    if found.ask:
        question = describe_question(column, found, lambda choice: f"{found.ask}={choice!r}")
        raise ValueError(f"{question} of TableEncoder, or {_NAME_IT}")
    format = found.formats[0]
    if found.markers:
        warn(f"{_describe_markers(column, found)}, which are read as missing: replace them with None, or {_NAME_IT}")
        format = format or DateFormat("ymd")  # a date format reads markers
    return found.kind, format


def describe_mistakes(column: Column, found: Examination) -> str:
    """Describe the cells that do not fit the format of the column: column, count, example and row."""
    first = next(iter(found.mistakes))
    n_wrong = sum(found.mistakes.values())
    such = f", such as {found.example!r}," if found.example else ","
    return (
        f"column {column.name!r} holds {_WORDS[found.kind]}{such} but {n_wrong:,} of {found.cells:,} cells cannot "
        f"be read as such, the first {reprlib.repr(first)} in row {column.row_of(first)}"
    )


def _describe_markers(column: Column, found: Examination) -> str:
    first = next(iter(found.markers))
    return (
        f"column {column.name!r} holds {_WORDS[found.kind]} as text, and {sum(found.markers.values()):,} of "
        f"{found.cells:,} cells hold markers of missing values, the first {first!r} in row {column.row_of(first)}"
    )


def describe_question(column: Column, found: Examination, option: Callable[[str], str]) -> str:
    """Describe the possible readings of an ambiguous column; `option` formats the option that selects one of them."""
    if found.ask == "decimal":
        readings = "with a decimal point or a decimal comma"
    else:
        readings = "as " + " or ".join(ORDERS[choice] for choice in found.choices)
    return (
        f"column {column.name!r} holds {_WORDS[found.kind]} such as {found.example!r}, which can be read {readings}: "
        f"choose {' or '.join(map(option, found.choices))}"
    )
