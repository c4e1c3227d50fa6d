"""How a column is learnt: its kind, the format of its text, and what a user is asked or warned of.

`_formats` examines the texts of a column; this module decides what an encoder does with the result. Where it warns, the
command refuses.
"""

import dataclasses
import reprlib
from collections.abc import Callable

from chainrule import _formats
from chainrule._column import Column
from chainrule._columns import DateColumn, Encoder, IgnoredColumn, LevelColumn, NumberColumn
from chainrule._dates import ORDERS
from chainrule._formats import DateFormat, Examination, Format, NumberFormat

_NAME_IT = "name the column in categorical_features if its values are names"
_WORDS = {"number": "numbers", "date": "dates"}


@dataclasses.dataclass(frozen=True)
class Settings:
    """How columns are learnt; see `TableEncoder` and `TableEncoding.learn`."""

    max_levels: int = 100
    date_order: str | None = None
    decimal: str | None = None
    more_to_come: bool = False


def fit_column(column: Column, categorical: bool, settings: Settings, warn: Callable[[str], None]) -> Encoder:
    """Return the encoder of one column; `warn` is called with what a user should know of it.

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
        return NumberColumn.fit(column.name, column.numbers(_number_format(format)), format, more_to_come)
    if kind == "date":
        return DateColumn.fit(column.name, column.dates(_date_format(format)), format, more_to_come)
    return LevelColumn.fit(column.name, *column.levels(), settings.max_levels, more_to_come)


def _number_format(format: Format | None) -> NumberFormat | None:
    return format if isinstance(format, NumberFormat) else None


def _date_format(format: Format | None) -> DateFormat | None:
    return format if isinstance(format, DateFormat) else None


def _read_text(column: Column, settings: Settings, warn: Callable[[str], None]) -> tuple[str, Format | None]:
    """Return the kind of a column, and the format of its text.

    Text of plain digits alone stays levels, since this is how codes are marked as such; so does text of which a part
    cannot be read, with a warning, since a gap must not be made where a word stood. Markers of gaps are gaps.
    """
    kind = column.kind_of_type()
    if kind != "text":
        return kind, column.format_of_type()
    found = column.examine().narrow(decimal=settings.decimal, date_order=settings.date_order)
    if found.kind == "levels":
        return "levels", None
    if found.mistakes:
        if "date" in column.kinds_of_types():  # which are no levels
            raise ValueError(f"{_describe_mistakes(column, found)}: correct them")
        warn(f"{_describe_mistakes(column, found)}, so all are taken for levels: correct them, or {_NAME_IT}")
        return "levels", None
    if found.whole:
        if found.markers:
            warn(f"{_describe_markers(column, found)}, so all are taken for levels: convert them, or {_NAME_IT}")
        elif found.distinct > min(settings.max_levels, max(_formats.SEVERAL, found.cells / 2)):
            what = f"column {column.name!r} holds {found.distinct:,} different whole numbers as text"
            warn(f"{what}, which are taken for levels: convert them if they are amounts, or {_NAME_IT}")
        return "levels", None
    if found.ask:
        raise ValueError(f"{_describe_question(column, found)}, or {_NAME_IT}")
    format = found.formats[0]
    if found.markers:
        warn(f"{_describe_markers(column, found)}, which are taken for gaps: replace them by None, or {_NAME_IT}")
        format = format or DateFormat("ymd")  # which reads markers
    return found.kind, format


def _describe_mistakes(column: Column, found: Examination) -> str:
    """Return which cells cannot be read as what most are: column, count, example and row."""
    first = next(iter(found.mistakes))
    n_wrong = sum(found.mistakes.values())
    such = f", such as {found.example!r}," if found.example else ","
    return (
        f"column {column.name!r} holds {_WORDS[found.kind]}{such} but {n_wrong:,} of {found.cells:,} cells cannot "
        f"be read so, the first {reprlib.repr(first)} in row {column.row_of(first)}"
    )


def _describe_markers(column: Column, found: Examination) -> str:
    first = next(iter(found.markers))
    return (
        f"column {column.name!r} holds {_WORDS[found.kind]} as text and in {sum(found.markers.values()):,} of "
        f"{found.cells:,} cells marks of a gap, the first {first!r} in row {column.row_of(first)}"
    )


def _describe_question(column: Column, found: Examination) -> str:
    """Return how an ambiguous column could be read, and which option decides."""
    if found.ask == "decimal":
        readings = "with a decimal point or a decimal comma"
    else:
        readings = "as " + " or ".join(ORDERS[choice] for choice in found.choices)
    options = " or ".join(f"{found.ask}={choice!r}" for choice in found.choices)
    return (
        f"column {column.name!r} holds {_WORDS[found.kind]} such as {found.example!r}, which can be read {readings}: "
        f"choose {options} of TableEncoder"
    )
