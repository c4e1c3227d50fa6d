"""Dates and times of day out of text, all texts of one shape at once.

The shape of a text is the text with every digit as 0. A regular expression matches the shape once; where its groups
stand in the shape, the digits of all texts of that shape are read as columns of a matrix.
"""

import functools
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

Integers: TypeAlias = NDArray[np.int64]

ORDERS = {"dmy": "day/month/year", "mdy": "month/day/year", "ymd": "year/month/day"}
TIME = "time"  # the order of texts that are times of day
MICROSECONDS = 86_400_000_000  # of a day
LONGEST = 48  # characters of a date or number
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
    """Return a stripped text with every digit as 0.

    >>> shape_of("3 Jan 2020")
    '0 Jan 0000'
    """
    return text.translate(_AS_SHAPE)


@functools.lru_cache(maxsize=4096)
def match(shape: str) -> re.Match[str] | None:
    """Match the shape of a date or a time of day."""
    if len(shape) > LONGEST or "0" not in shape:
        return None
    found = next((found for pattern in _PATTERNS if (found := pattern.fullmatch(shape))), None)
    return found if found and ("name" not in found.re.groupindex or _month(found["name"])) else None


def is_iso(shape: str) -> bool:
    """Return whether a shape is that of a date as ISO 8601 has it."""
    return _ISO.fullmatch(shape) is not None


def is_time(found: re.Match[str]) -> bool:
    """Return whether a match is a time of day without a date."""
    return not found.re.groupindex.keys() & {"year", "third"}


def needs_order(found: re.Match[str]) -> bool:
    """Return whether the order of day, month and year has to be known."""
    return "third" in found.re.groupindex


def common_shape(texts: Sequence[str]) -> str | None:
    """Return the shape that all texts have, if they have one."""
    lengths = set(map(len, texts))
    if len(lengths) != 1 or not 0 < lengths.pop() <= LONGEST:
        return None
    characters = np.array(texts).view(np.uint32).reshape(len(texts), -1)
    if characters.shape[1] != len(texts[0]):  # NumPy cuts zeros at the end off
        return None
    shapes = np.where((characters >= ord("0")) & (characters <= ord("9")), ord("0"), characters)
    return shape_of(texts[0]) if (shapes == shapes[0]).all() else None


def by_shape(texts: Sequence[str]) -> dict[str, Sequence[int]]:
    """Return the places of the texts of each shape."""
    if (shape := common_shape(texts)) is not None:
        return {shape: range(len(texts))}
    places: dict[str, Any] = {}
    for place, text in enumerate(texts):
        places.setdefault(shape_of(text), []).append(place)
    return places


def read(texts: Sequence[str], order: str | None) -> tuple[Integers, NDArray[np.bool_]]:
    """Read stripped texts.

    Parameters
    ----------
    texts : sequence of str
        Dates, or times of day.
    order : {"dmy", "mdy", "ymd", "time"}, optional
        That of numbers where the year is not first; or times of day alone are read. Default: dates as ISO 8601 has
        them alone.

    Returns
    -------
    moments : ndarray
        Microseconds since 1970-01-01 (UTC), or of the day; 0 where a text is not a date.
    known : ndarray
        Where a text is a date.
    """
    return read_shapes(texts, by_shape(texts), order)


def read_shapes(
    texts: Sequence[str], groups: Mapping[str, Sequence[int]], order: str | None
) -> tuple[Integers, NDArray[np.bool_]]:
    """Read texts as `read` does, with the places of each shape; texts of no shape are not read."""
    moments, known = np.zeros(len(texts), dtype=np.int64), np.zeros(len(texts), dtype=bool)
    for shape, places in groups.items():
        found = match(shape)
        if found is not None and (is_time(found) == (order == TIME) if order else is_iso(shape)):
            moments[places], known[places] = _read_shape([texts[place] for place in places], found, order)
    return np.where(known, moments, 0), known


def _read_shape(texts: list[str], found: re.Match[str], order: str | None) -> tuple[Integers, NDArray[np.bool_]]:
    """Read texts of one shape."""
    groups = found.re.groupindex
    characters = np.array(texts).view(np.uint32).reshape(len(texts), -1).astype(np.int64)

    def field(name: str) -> Integers:
        start, end = found.span(name)  # (-1, -1), nothing, for a group that did not match: 0
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
    if not wide:  # as strptime has it: 1969 to 2068
        year = year + np.where(year < 69, 2000, 1900)
    months = ((year - 1970) * 12 + np.clip(month, 1, 12) - 1).astype("datetime64[M]")
    days = months.astype("datetime64[D]") + (day - 1)
    known &= (year > 0) & (month >= 1) & (month <= 12) & (days.astype("datetime64[M]") == months)
    return moments + days.astype(np.int64) * MICROSECONDS, known


def _clock(field: Callable[[str], Integers], found: re.Match[str]) -> tuple[Integers, NDArray[np.bool_]]:
    """Return the time of day in microseconds, in UTC where a zone is given, and where it exists."""
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
    """Return the number of a month by its English name, also shortened; 0 where it is none."""
    low = "sep" if name.lower() == "sept" else name.lower()
    return next((i for i, month in enumerate(_MONTHS, 1) if low in (month, month[:3])), 0)
