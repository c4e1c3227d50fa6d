"""Quantiles, standard deviation and bins of a column; a row of weight w counts as w rows.

Quantiles and bins take the values in ascending order, so that a column is sorted once.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


def quantiles(values: Floats, levels: Sequence[float] | Floats, weight: Floats | None = None) -> Floats:
    """Compute quantiles as `numpy.quantile` does, of values in ascending order.

    Whole weights give the same result as repeated values, up to rounding. Weights must be at least 1.

    >>> quantiles(np.array([1.0, 2.0, 5.0]), [0.5, 0.75], np.array([3.0, 1.0, 1.0]))
    array([1., 2.])
    >>> np.quantile([1, 1, 1, 2, 5], [0.5, 0.75])
    array([1., 2.])
    """
    found: Floats
    if weight is None:
        position = np.asarray(levels) * (len(values) - 1)
        place = position.astype(np.intp)
        low, high = values[place], values[np.minimum(place + 1, len(values) - 1)]
        part, step = position - place, high - low
        found = np.where(part < 0.5, low + step * part, high - step * (1 - part))  # exact at both ends
        return found
    last = np.cumsum(weight) - 1  # the position, from 0, of the last copy of each value
    places = np.stack([last - weight + 1, last], axis=1)
    found = np.interp(np.asarray(levels) * last[-1], places.ravel(), np.repeat(values, 2))
    return found


def deviation(values: Floats, weight: Floats | None = None) -> float:
    """Compute the standard deviation of values that are not all equal."""
    distances = np.abs(values - np.average(values, weights=weight))
    largest = distances.max()  # its square may be infinite
    return float(largest * np.sqrt(np.average((distances / largest) ** 2, weights=weight)))


def find_edges(values: Floats, bins: int, weight: Floats | None = None) -> tuple[float, ...]:
    """Find the edges of about this many bins with the same weight; fewer than three edges mean no bins.

    A value that is heavier than a bin becomes an edge between two bins, and the other edges are quantiles of the rest.
    If there are no more distinct values than edges, each value is an edge. The values are in ascending order.

    >>> find_edges(np.array([0.0, 0.0, 0.0, 1.0, 2.0, 3.0, 4.0, 5.0]), 4)
    (0.0, 1.0, 2.333333333333333, 3.6666666666666665, 5.0)
    """
    first = np.flatnonzero(np.append(True, values[1:] != values[:-1]))
    levels = values[first]
    if len(levels) > bins + 1:
        counts = np.diff(first, append=len(values))
        weights = counts if weight is None else np.bincount(np.repeat(np.arange(len(levels)), counts), weight)
        heavy = weights > weights.sum() / bins
        n_bins = max(bins - int(heavy.sum()), 2)
        light = np.repeat(~heavy, counts)
        rest = quantiles(values[light], np.linspace(0, 1, n_bins + 1), None if weight is None else weight[light])
        levels = np.unique(np.concatenate([rest, levels[heavy]]))
    return tuple(levels.tolist()) if len(levels) > 2 else ()
