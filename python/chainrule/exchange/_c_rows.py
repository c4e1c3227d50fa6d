"""Makes the rows for the self-test of a C header."""

import datetime
from typing import Any

import numpy as np
from numpy.typing import NDArray

from chainrule._columns import DateColumn, Encoder, IgnoredColumn, LevelColumn
from chainrule._formats import MICROSECONDS, TIME, DateFormat
from chainrule.table import TableEncoding

_ROWS = 16
_FAR = 1e30  # the largest number in the rows, which even a 32-bit double can hold
_LAST_DAY = 100_000.0


def make_numbers(n_inputs: int) -> NDArray[np.float64]:
    """Return rows of numbers that float32 represents exactly."""
    return np.random.default_rng(0).normal(size=(_ROWS, n_inputs)).astype(np.float32).astype(np.float64)


def make_table(encoding: TableEncoding) -> list[list[Any]]:
    """Return the values of each column as C has them: numbers, NaN, texts, None.

    All values of the first row are missing; the next two have unknown levels and extreme numbers.
    """
    random = np.random.default_rng(0)
    return [_make_column(column, random) for column in encoding.columns]


def _make_column(column: Encoder, random: np.random.Generator) -> list[Any]:
    missing = random.random(_ROWS) < 0.1
    missing[:3] = [True, False, False]
    if isinstance(column, IgnoredColumn):
        return [None] * _ROWS
    if isinstance(column, LevelColumn):
        texts = [*column.levels, "?"]
        places = random.integers(0, len(texts), _ROWS)
        places[1:3] = len(column.levels)
        return [None if gap else texts[place] for gap, place in zip(missing, places, strict=True)]
    low, high = (column.edges[0], column.edges[-1]) if column.edges else (column.median, column.median)
    margin = high - low or column.scale or 1.0
    values = random.uniform(low - margin, high + margin, _ROWS)
    values[1:3] = [_FAR, -_FAR]
    if isinstance(column, DateColumn):
        values = np.floor(np.clip(values, *_days(column)) * MICROSECONDS) / MICROSECONDS
    return [np.nan if gap else float(f"{value:.17g}") for gap, value in zip(missing, values.tolist(), strict=True)]


def _days(column: DateColumn) -> tuple[float, float]:
    return (0.0, 1 - 1 / MICROSECONDS) if _is_time(column) else (-_LAST_DAY, _LAST_DAY)


def _is_time(column: DateColumn) -> bool:
    return isinstance(column.format, DateFormat) and column.format.order == TIME


def as_python(encoding: TableEncoding, columns: list[list[Any]]) -> NDArray[Any]:
    """Return the table as an array of objects that the encoding reads."""
    table = np.empty((_ROWS, len(columns)), dtype=object)
    for place, (column, values) in enumerate(zip(encoding.columns, columns, strict=True)):
        for row, value in enumerate(values):
            if isinstance(column, DateColumn) and value == value:
                value = _moment(round(value * MICROSECONDS), _is_time(column))
            table[row, place] = None if value != value else value
    return table


def _moment(microseconds: int, is_time: bool) -> Any:
    moment = datetime.datetime(1970, 1, 1) + datetime.timedelta(microseconds=microseconds)
    return moment.time() if is_time else moment
