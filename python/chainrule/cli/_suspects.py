"""Finds columns that seem to be identifiers of the rows: a model would learn the order of the table or single rows."""

import re
import shlex
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from chainrule._frames import as_column
from chainrule.cli._format import UNNAMED

if TYPE_CHECKING:
    import pandas as pd

_MIN_ROWS = 10
_NEARLY = 0.9  # of the values differ
_COLLISIONS = 10  # expected of as many random whole numbers in the same range: e^-10 is the probability of none
_IN_ORDER = 30  # rows, so that the steps of an experiment are no index
_ID = re.compile(
    rf"(?i:(^|[\W_])(ids?|index|idx|key|uuid|guid|nr|no|number|num|row|rownames?|record|serial)([\W_]?\d+)?$)"
    rf"|[a-z](Id|ID|Key|No|Nr)$|^{re.escape(UNNAMED)}\d+$"
)
_TIME = re.compile(r"year|month|week|day|date|hour|minute|second|time|period|quarter|age", re.IGNORECASE)


def find_suspects(table: "pd.DataFrame", names: Sequence[str]) -> Iterator[str]:
    """Yield a sentence for each of the columns to learn from that seems to be an index or an identifier."""
    for name in names if len(names) > 1 else ():
        if (reason := _suspicion(str(name), table[name])) is not None:
            yield f"column {name!r} {reason}: leave it out with --ignore {shlex.quote(str(name))}"


def _suspicion(name: str, values: "pd.Series") -> str | None:
    column = as_column(values)
    missing = column.missing()
    present = len(column) - int(missing.sum())
    if present < _MIN_ROWS:
        return None
    kind = "levels" if column.categorical else column.kind()
    if kind == "number":
        return _suspect_numbers(name, column.numbers()[~missing])
    if kind != "levels" or column.values.dtype.kind == "b":
        return None
    distinct = len(column.levels()[1])
    if distinct >= _NEARLY * present:
        return f"has {distinct:,} different texts in {present:,} rows, as names and identifiers do"
    return None


def _suspect_numbers(name: str, values: NDArray[np.float64]) -> str | None:
    if (values != np.trunc(values)).any():
        return None
    count = len(values)
    low, high = float(values.min()), float(values.max())
    distinct = len(np.unique(values))
    if distinct < count:
        nearly = distinct >= _NEARLY * count and _ID.search(name)
        return f"has {distinct:,} different whole numbers in {count:,} rows, as identifiers do" if nearly else None
    if high - low == count - 1 and low in (0, 1):
        return f"numbers the rows from {low:.0f} to {high:.0f}, as an index does"
    in_order = count >= _IN_ORDER and bool((np.diff(values) > 0).all() or (np.diff(values) < 0).all())
    crowded = count * (count - 1) / (2 * (high - low + 1)) >= _COLLISIONS
    if _ID.search(name) or ((in_order or crowded) and not _TIME.search(name)):
        return f"has a whole number of its own in each of {count:,} rows, as identifiers do"
    return None
