"""Recognizes and reads columns of text that holds numbers or dates.

The format is determined from the whole column: 25/04/2024 shows that the day comes first in 03/04/2024 too; 0,5 shows
that the comma in 1,234 is the decimal mark. If all cells can be read in two ways, `examine` returns both formats.

All texts of one shape are read together. The shape of a text is the text with every digit replaced by 0. A regular
expression matches the shape once, and the positions of its groups select columns of a matrix with the digits of all
texts of that shape.
"""

import dataclasses
import functools
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

Integers: TypeAlias = NDArray[np.int64]

ORDERS = {"dmy": "day/month/year", "mdy": "month/day/year", "ymd": "year/month/day"}
TIME = "time"  # the order of texts that are times of day
MICROSECONDS = 86_400_000_000  # per day
LONGEST = 48  # characters in the longest text that can be a date or a number
_AS_SHAPE = str.maketrans("123456789", "000000000")
_MONTHS = ["january", "february", "march", "april", "may", "june", "july", "august", "september", "october",
           "november", "december"]  # fmt: skip
_MONTH = r"(?P<name>[A-Za-z]{3,9})\.?"
_DAY = r"(?P<day>0{1,2})(?:st|nd|rd|th)?"
_WEEKDAY = r"(?:(?:Mon|Tues?|Wed(?:nes)?|Thu(?:rs?)?|Fri|Sat(?:ur)?|Sun)(?:day)?\.?,? )?"
_DATES = [
    r"(?P<year>0000)(?P<separator>[-/.])(?P<month>0{1,2})(?P=separator)(?P<day>0{1,2})",
    r"(?P<first>0{1,2})(?P<separator>[-/.])(?P<second>0{1,2})(?P=separator)(?P<third>0000)",
    r"(?P<first>0{1,2})/(?P<second>0{1,2})/(?P<third>00)",
    r"(?P<first>00)(?P<separator>[-.])(?P<second>00)(?P=separator)(?P<third>00)",
    rf"{_WEEKDAY}{_DAY}(?: of|\.)?[ -/.]?{_MONTH},?[ -/]?(?P<year>0000|00)",
    rf"{_WEEKDAY}{_MONTH}[ -/]{_DAY},?[ -/](?P<year>0000|00)",
    rf"(?P<year>0000)[ -/]{_MONTH}[ -/]{_DAY}",
    rf"{_MONTH}[ -/]?(?P<year>0000)",  # the first day of the month
]
_CLOCK = r"(?P<hours>0{1,2}):(?P<minutes>00)(?::(?P<seconds>00)(?:[.,](?P<fraction>0{1,9}))?)?"
_HALF = r"(?: ?(?P<half>[AaPp])\.?[Mm]\.?)?"
_ZONE = r"(?: ?(?:Z|UTC|GMT)| ?(?P<zone>[+-])(?P<zone_hours>00):?(?P<zone_minutes>00))?"
_PATTERNS = [re.compile(rf"{date}(?:(?:T|,? +){_CLOCK}{_HALF}{_ZONE})?") for date in _DATES]
_PATTERNS.append(re.compile(_CLOCK + _HALF))
_ISO = re.compile(r"0000-00-00(?:[ T]00:00(?::00(?:\.0+)?)?(?:Z|[+-]00:?00)?)?")


def shape_of(text: str) -> str:
    """Return a stripped text with every digit replaced by 0.

    >>> shape_of("3 Jan 2020")
    '0 Jan 0000'
    """
    return text.translate(_AS_SHAPE)


@functools.lru_cache(maxsize=4096)
def match_date(shape: str) -> re.Match[str] | None:
    """Match the shape of a date or a time of day."""
    if len(shape) > LONGEST or "0" not in shape:
        return None
    found = next((found for pattern in _PATTERNS if (found := pattern.fullmatch(shape))), None)
    return found if found and ("name" not in found.re.groupindex or _month(found["name"])) else None


def is_iso(shape: str) -> bool:
    """Return whether a shape is that of an ISO 8601 date."""
    return _ISO.fullmatch(shape) is not None


def is_time(found: re.Match[str]) -> bool:
    """Return whether a match is a time of day without a date."""
    return not found.re.groupindex.keys() & {"year", "third"}


def needs_order(found: re.Match[str]) -> bool:
    """Return whether a match is ambiguous without the order of day, month and year."""
    return "third" in found.re.groupindex


def common_shape(texts: Sequence[str]) -> str | None:
    """Return the common shape of all texts, or None."""
    lengths = set(map(len, texts))
    if len(lengths) != 1 or not 0 < lengths.pop() <= LONGEST:
        return None
    characters = np.array(texts).view(np.uint32).reshape(len(texts), -1)
    if characters.shape[1] != len(texts[0]):  # NumPy drops trailing zeros
        return None
    shapes = np.where((characters >= ord("0")) & (characters <= ord("9")), ord("0"), characters)
    return shape_of(texts[0]) if (shapes == shapes[0]).all() else None


def by_shape(texts: Sequence[str]) -> dict[str, Sequence[int]]:
    """Return the positions of the texts of each shape."""
    if (shape := common_shape(texts)) is not None:
        return {shape: range(len(texts))}
    places: dict[str, Any] = {}
    for place, text in enumerate(texts):
        places.setdefault(shape_of(text), []).append(place)
    return places


def read_dates(texts: Sequence[str], order: str | None) -> tuple[Integers, NDArray[np.bool_]]:
    """Read stripped texts.

    Parameters
    ----------
    texts : sequence of str
        Dates, or times of day.
    order : {"dmy", "mdy", "ymd", "time"}, optional
        The order of the numbers if the year is not first, or "time" to read only times of day. Default: read only
        ISO 8601 dates.

    Returns
    -------
    moments : ndarray
        Microseconds since 1970-01-01 (UTC), or of the day; 0 for a text that is not a date.
    known : ndarray
        A mask of the texts that are dates.
    """
    return read_dates_by_shape(texts, by_shape(texts), order)


def read_dates_by_shape(
    texts: Sequence[str], groups: Mapping[str, Sequence[int]], order: str | None
) -> tuple[Integers, NDArray[np.bool_]]:
    """Read texts like `read_dates`, given the positions of each shape; skip positions that are not listed."""
    moments, known = np.zeros(len(texts), dtype=np.int64), np.zeros(len(texts), dtype=bool)
    for shape, places in groups.items():
        found = match_date(shape)
        if found is not None and (is_time(found) == (order == TIME) if order else is_iso(shape)):
            moments[places], known[places] = _read_shape([texts[place] for place in places], found, order)
    return np.where(known, moments, 0), known


def _read_shape(texts: list[str], found: re.Match[str], order: str | None) -> tuple[Integers, NDArray[np.bool_]]:
    """Read texts of one shape."""
    groups = found.re.groupindex
    characters = np.array(texts).view(np.uint32).reshape(len(texts), -1).astype(np.int64)

    def field(name: str) -> Integers:
        start, end = found.span(name)  # (-1, -1) for a group that did not match, which gives 0
        return (characters[:, start:end] - ord("0")) @ 10 ** np.arange(end - start)[::-1]

    moments, known = _clock(field, found)
    if is_time(found):
        return moments, known
    if needs_order(found):
        order = order or "ymd"
        parts = dict(zip(order, map(field, ("first", "second", "third")), strict=True))
        year, month, day = parts["y"], parts["m"], parts["d"]
        wide = len(found["third"]) == 4
        if order == "ymd" and (wide or len(found["first"]) == 1):
            return moments, np.zeros(len(texts), dtype=bool)
    else:
        year, wide = field("year"), len(found["year"]) == 4
        month = field("month") if "month" in groups else np.full(len(texts), _month(found["name"]))
        day = field("day") if "day" in groups else np.ones(len(texts), dtype=np.int64)
    if not wide:  # as in strptime: 1969 to 2068
        year = year + np.where(year < 69, 2000, 1900)
    months = ((year - 1970) * 12 + np.clip(month, 1, 12) - 1).astype("datetime64[M]")
    days = months.astype("datetime64[D]") + (day - 1)
    known &= (year > 0) & (month >= 1) & (month <= 12) & (days.astype("datetime64[M]") == months)
    return moments + days.astype(np.int64) * MICROSECONDS, known


def _clock(field: Callable[[str], Integers], found: re.Match[str]) -> tuple[Integers, NDArray[np.bool_]]:
    """Return times of day in microseconds, converted to UTC if there is a zone, and a mask of the valid ones."""
    hours, minutes, seconds = field("hours"), field("minutes"), field("seconds")
    known = (hours < 24) & (minutes < 60) & (seconds < 60)
    if half := found["half"]:
        known &= (hours >= 1) & (hours <= 12)
        hours = hours % 12 + 12 * (half in "Pp")
    moments = ((hours * 60 + minutes) * 60 + seconds) * 1_000_000
    if fraction := found["fraction"]:
        moments += field("fraction") * 1_000_000 // 10 ** len(fraction)
    if "zone" in found.re.groupindex and found["zone"]:
        shift = (field("zone_hours") * 60 + field("zone_minutes")) * 60_000_000
        moments += shift if found["zone"] == "-" else -shift
    return moments, known


def _month(name: str) -> int:
    """Return the number of a month by its English name or abbreviation; 0 for another word."""
    low = "sep" if name.lower() == "sept" else name.lower()
    return next((i for i, month in enumerate(_MONTHS, 1) if low in (month, month[:3])), 0)


# Texts that mean a missing value in a column of numbers or dates, in lower case.
MARKERS = frozenset(["", "?", "-", "--", ".", "na", "n/a", "n.a.", "#n/a", "<na>", "nan", "nat", "null", "none"])
_LONGEST_MARKER = max(map(len, MARKERS))
MOSTLY = 0.9  # if at least this fraction of the cells are numbers or dates, the other cells are mistakes
SEVERAL = 20  # or if there are at least this many distinct numbers or dates, and at most _MARKS other texts
_MARKS = 2
_UNITS = 5  # a column with more units does not hold numbers: it may hold house numbers such as 12a, 7f

_CURRENCY = "$€£¥₹₩₽"
_CODES = "USD|EUR|GBP|CHF|JPY|CNY|INR|CAD|AUD|NZD|SEK|NOK|DKK|PLN|CZK|HUF|BRL|MXN|ZAR"
_SPACES = " \u00a0\u2009\u202f'’"  # separators of groups of three digits
_CORE = rf"0(?:[.,{_SPACES}]?0)*\.?|[.,]0+"
_NUMBER = re.compile(
    rf"(?P<open>\()? ?(?P<sign>[-+−])? ?(?P<prefix>[A-Z]{{0,3}}[{_CURRENCY}]|(?:{_CODES})(?= ?0))?[ \u00a0]?"
    rf"(?P<minus>[-−](?=[0.,]))?(?P<core>{_CORE})(?P<exponent>[eE][-+]?0+)?"
    rf"[ \u00a0\u202f]?(?P<suffix>[%‰°{_CURRENCY}]|°?[^\W\d_]{{1,10}}[²³]?(?:/[^\W\d_]{{1,6}}[²³]?)?)?(?P<close>\))?"
)
_GROUPED = {
    ".": re.compile(rf"0{{1,3}}(?:,000)+(?:\.0*)?|0{{1,2}}(?:,00)+,000(?:\.0*)?|0{{1,3}}(?:[{_SPACES}]000)+(?:\.0*)?"),
    ",": re.compile(rf"0{{1,3}}(?:\.000)+(?:,0+)?|0{{1,3}}(?:[{_SPACES}]000)+(?:,0+)?"),
}
_PLAIN = {".": re.compile(r"0+(?:\.0*)?|\.0+"), ",": re.compile(r"0+(?:,0+)?|,0+")}
_EQUAL_GROUPS = re.compile(rf"000(?:[{_SPACES}]000)+")  # typical of telephone numbers
_SEPARATORS = str.maketrans("", "", _SPACES)


@functools.lru_cache(maxsize=4096)
def _match_number(shape: str) -> re.Match[str] | None:
    """Match the shape of a number (see `shape_of`)."""
    if len(shape) > LONGEST or "0" not in shape:
        return None
    found = _NUMBER.fullmatch(shape)
    if not found or bool(found["open"]) != bool(found["close"]) or (found["sign"] and found["minus"]):
        return None
    if found["open"] and (found["sign"] or found["minus"]):
        return None
    patterns = [*_GROUPED.values(), *_PLAIN.values()]
    return found if any(pattern.fullmatch(found["core"]) for pattern in patterns) else None


def _unit(found: re.Match[str]) -> str:
    return (found["prefix"] or "") + (found["suffix"] or "")


@dataclasses.dataclass(frozen=True)
class NumberFormat:
    """A format of numbers as text.

    Parameters
    ----------
    decimal : {".", ","}
        The decimal mark. The other mark, spaces and apostrophes may separate groups of three digits.
    unit : str
        The unit before or after every number, such as ``"%"``, ``"$"`` or ``"kg"``.
    """

    decimal: str = "."
    unit: str = ""

    def __post_init__(self) -> None:
        if self.decimal not in (".", ",") or not isinstance(self.unit, str):
            raise ValueError(f"decimal={self.decimal!r}, unit={self.unit!r} is not a number format")

    def read(self, texts: Sequence[str]) -> NDArray[np.float64]:
        """Read texts; return NaN for each that is not a number in this format."""
        stripped = [text.strip() for text in texts]
        return _read_numbers(stripped, by_shape(stripped), self.decimal, self.unit)

    @property
    def example(self) -> str:
        """A number in this format."""
        number = f"1{self.decimal}5"
        return number + f" {self.unit}" * bool(self.unit) if self.unit not in _CURRENCY else self.unit + number


@dataclasses.dataclass(frozen=True)
class DateFormat:
    """A format of dates as text.

    Parameters
    ----------
    order : {"dmy", "mdy", "ymd", "time"}
        The order of day, month and year in dates such as 03/04/2024, or "time" for times of day. Every order also reads
        dates with a month name or with the year first.
    """

    order: str

    def __post_init__(self) -> None:
        if self.order not in (*ORDERS, TIME):
            raise ValueError(f"order={self.order!r} is not a date format")

    def read(self, texts: Sequence[str]) -> tuple[Integers, NDArray[np.bool_]]:
        """Read texts as microseconds since 1970-01-01 (UTC); also return a mask of the texts that are dates."""
        return read_dates([text.strip() for text in texts], self.order)

    @property
    def example(self) -> str:
        """A date in this format."""
        return {"dmy": "31/01/2024", "mdy": "01/31/2024", "ymd": "2024-01-31", TIME: "23:59"}[self.order]


Format: TypeAlias = NumberFormat | DateFormat
# the formats, a mask of the texts they read, and a mask of the texts that look like numbers or dates in any format
_Found: TypeAlias = tuple[tuple[Format | None, ...], NDArray[np.bool_], NDArray[np.bool_]]


@dataclasses.dataclass(frozen=True)
class Examination:
    """The result of examining the texts of a column.

    Attributes
    ----------
    kind : {"number", "date", "levels"}
        The kind of most cells; "levels" if most are neither numbers nor dates, or if a number begins with a zero (such
        as 007), which suggests codes.
    formats : tuple of NumberFormat or DateFormat or None
        The formats of the cells; None stands for ISO 8601 dates. Empty for levels. Several formats mean that the column
        is ambiguous: each reads the same number of cells, but the values differ; `ask` names the option that decides.
    cells : int
        The number of cells that are not missing.
    markers : dict of str to int
        The cells in `MARKERS`, and how often each occurs. They are missing values unless the kind is "levels".
    mistakes : dict of str to int
        The other cells that cannot be read in the format, and how often each occurs.
    whole : bool
        True if all numbers are plain digits without sign, separator or unit: they may be codes.
    distinct : int
        The number of different texts that can be read.
    example : str
        A text that can be read in every format, if there is one.
    """

    kind: Literal["number", "date", "levels"]
    formats: tuple[Format | None, ...] = ()
    cells: int = 0
    markers: Mapping[str, int] = dataclasses.field(default_factory=dict)
    mistakes: Mapping[str, int] = dataclasses.field(default_factory=dict)
    whole: bool = False
    distinct: int = 0
    example: str = ""

    @property
    def ask(self) -> str:
        """The option that decides between several formats: ``"decimal"``, ``"date_order"``, or empty for one format."""
        if len(self.formats) < 2:
            return ""
        return "decimal" if self.kind == "number" else "date_order"

    @property
    def choices(self) -> list[str]:
        """The possible values of the option `ask`."""
        return [_choice(format) for format in self.formats] if self.ask else []

    def narrow(self, *, decimal: str | None = None, date_order: str | None = None) -> "Examination":
        """Return a copy with only the format that the option `ask` names, or `self` if no format matches."""
        named = {"decimal": decimal, "date_order": date_order}.get(self.ask)
        chosen = tuple(format for format in self.formats if self.ask and _choice(format) == named)
        return dataclasses.replace(self, formats=chosen) if chosen else self


def _choice(format: Format | None) -> str:
    if isinstance(format, NumberFormat):
        return format.decimal
    return "ymd" if format is None else format.order


def is_marker(text: str) -> bool:
    """Return whether a text means a missing value in a column of numbers or dates."""
    stripped = text.strip()
    return len(stripped) <= _LONGEST_MARKER and stripped.lower() in MARKERS


def examine(texts: Mapping[str, int], numbers: int = 0, dates: int = 0) -> Examination:
    """Determine the kind and the formats of a column's texts; `Column.examine` calls this.

    Parameters
    ----------
    texts : mapping of str to int
        The different texts, and how often each occurs.
    numbers, dates : int
        The number of cells that already have the type of a number or a date.
    """
    cells = sum(texts.values()) + numbers + dates
    markers = {text: count for text, count in texts.items() if is_marker(text)}
    unmarked = cells - sum(markers.values())
    levels = Examination("levels", cells=cells)
    names = [text for text in texts if text not in markers] if markers else list(texts)
    if not names:
        return levels
    stripped = [text.strip() for text in names]
    counts = np.fromiter(map(texts.__getitem__, names), dtype=np.int64, count=len(names))
    groups: dict[str, Any] = {}
    if common := common_shape(stripped):
        if match_date(common) or _match_number(common):
            groups = {common: range(len(names))}
        elif not numbers + dates:
            return levels
    else:
        others = 0
        for place, text in enumerate(stripped):
            shape = shape_of(text)
            if match_date(shape) or _match_number(shape):
                groups.setdefault(shape, []).append(place)
            else:
                others += texts[names[place]]
                if 2 * others > unmarked:  # decide early, without examining the rest of a column of text
                    return levels
    weights = {shape: int(counts[places].sum()) for shape, places in groups.items()}
    n_dates = sum(weight for shape, weight in weights.items() if match_date(shape)) + dates
    kind: Literal["number", "date"] = "date" if 2 * n_dates >= sum(weights.values()) + numbers + dates else "number"
    groups = {shape: places for shape, places in groups.items() if bool(match_date(shape)) == (kind == "date")}
    formats, read, alike = (_number_formats if kind == "number" else _date_formats)(stripped, counts, groups)
    n_alike = int(counts[alike].sum()) + (numbers if kind == "number" else dates)
    few = int((~alike).sum()) <= _MARKS and int(alike.sum()) >= SEVERAL and 2 * n_alike >= unmarked
    if not formats or not (n_alike >= MOSTLY * unmarked or few):
        return levels
    mistakes = {names[place]: int(counts[place]) for place in np.flatnonzero(~read)}
    whole = kind == "number" and not numbers and all(set(shape) == {"0"} for shape in groups)
    example = names[int(read.argmax())] if read.any() else ""
    return Examination(kind, formats, cells, markers, mistakes, whole, int(read.sum()), example)


def _number_formats(texts: list[str], counts: Integers, groups: dict[str, Sequence[int]]) -> _Found:
    """Return the formats that read most of the texts; none for codes, telephone numbers and house numbers."""
    nothing: _Found = ((), np.zeros(len(texts), dtype=bool), np.zeros(len(texts), dtype=bool))
    if not groups:  # no text looks like a number
        return (NumberFormat(),), nothing[1], nothing[2]
    matches = {shape: found for shape in groups if (found := _match_number(shape))}
    codes = ((shape, match.start("core")) for shape, match in matches.items() if match["core"].startswith("00"))
    if any(texts[place][start] == "0" for shape, start in codes for place in groups[shape]):
        return nothing
    spaced = [match["core"] for match in matches.values() if set(match["core"]) & set(_SPACES)]
    if (spaced and all(map(_EQUAL_GROUPS.fullmatch, spaced))) or all(match["open"] for match in matches.values()):
        return nothing
    alike = np.zeros(len(texts), dtype=bool)
    alike[[place for places in groups.values() for place in places]] = True
    units: dict[str, int] = {}
    for shape, match in matches.items():
        units[_unit(match)] = units.get(_unit(match), 0) + int(counts[groups[shape]].sum())
    if len(units) > 1 and (len(units) > _UNITS or alike.sum() < SEVERAL):
        return nothing
    unit = max(units, key=lambda name: units[name])
    values = {decimal: _read_numbers(texts, groups, decimal, unit) for decimal in (".", ",")}
    read = {decimal: ~np.isnan(numbers) for decimal, numbers in values.items()}
    totals = {decimal: int(counts[known].sum()) for decimal, known in read.items()}
    best = [decimal for decimal, total in totals.items() if total == max(totals.values())]
    if len(best) == 2 and np.array_equal(values["."], values[","], equal_nan=True):
        best = ["."]
    elif len(best) == 2:
        best = _settle(list(matches.values()), unit)
    return tuple(NumberFormat(decimal, unit) for decimal in best), read[best[0]], alike


def _settle(matches: list[re.Match[str]], unit: str) -> list[str]:
    """Return the possible decimal marks of numbers that can be read with either mark."""
    cores = [match["core"] for match in matches]
    separators = {mark for mark in ".," if any(mark in core for core in cores)}
    whole = {len(core) for core in cores if not set(core) & set(".,")}
    if separators == {","} and whole and max(whole) <= 3:  # 999 and 1,234 but no 1000: commas separate thousands
        return ["."]
    if separators == {"."} and not whole and not set(unit) & set(_CURRENCY):  # all have three decimals
        return ["."]
    return [".", ","]


def _read_numbers(
    texts: Sequence[str], groups: Mapping[str, Sequence[int]], decimal: str, unit: str
) -> NDArray[np.float64]:
    """Read stripped texts by shape; return NaN for those that are not numbers with this decimal mark and unit."""
    values = np.full(len(texts), np.nan)
    group = "," if decimal == "." else "."
    for shape, places in groups.items():
        found = _match_number(shape)
        if found is None or _unit(found) != unit:
            continue
        grouped = bool(_GROUPED[decimal].fullmatch(found["core"])) and not found["exponent"]
        if not grouped and not _PLAIN[decimal].fullmatch(found["core"]):
            continue
        start, end = found.start("core"), found.end("exponent" if found["exponent"] else "core")
        sign = -1.0 if found["open"] or (found["sign"] or found["minus"] or "+") in "-−" else 1.0
        numbers = [texts[place][start:end] for place in places]
        if grouped:  # 0,125 is not 125
            numbers = ["nan" if text[0] == "0" else text.translate(_SEPARATORS).replace(group, "") for text in numbers]
        if decimal == ",":
            numbers = [text.replace(",", ".") for text in numbers]
        values[places] = sign * np.fromiter(map(float, numbers), dtype=np.float64, count=len(numbers))
    return values


def _date_formats(texts: list[str], counts: Integers, groups: dict[str, Sequence[int]]) -> _Found:
    """Return the formats that read most of the texts."""
    matches = {shape: found for shape in groups if (found := match_date(shape))}
    iso = all(map(is_iso, matches))
    orders = ["ymd", "dmy", "mdy"] if any(map(needs_order, matches.values())) else ["ymd"]
    if any(map(is_time, matches.values())):
        orders.append(TIME)
    read = {order: read_dates_by_shape(texts, groups, order) for order in orders}
    totals = {order: int(counts[known].sum()) for order, (_, known) in read.items()}
    best: list[str] = []
    for order, (moments, _) in read.items():
        same = any(np.array_equal(moments, read[other][0]) for other in best)
        if totals[order] == max(totals.values()) and not same:
            best.append(order)
    alike = np.any([known for _, known in read.values()], axis=0)
    return (None,) if iso else tuple(map(DateFormat, best)), read[best[0]][1], alike


def check_state(kind: str, state: Any) -> dict[str, str]:
    """Raise ValueError unless `state` is the state of a format, as `dataclasses.asdict` returns it."""
    fields = {field.name for field in dataclasses.fields(NumberFormat if kind == "number" else DateFormat)}
    if not isinstance(state, dict) or state.keys() != fields or not all(isinstance(v, str) for v in state.values()):
        raise ValueError(f"the format of a column of kind {kind} must have the strings {sorted(fields)}")
    return state
