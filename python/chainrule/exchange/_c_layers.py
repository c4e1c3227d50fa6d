"""Converts the weights of a network to the order and the type in which a C header stores them."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

FEW = 8  # a layer with fewer outputs is stored and computed output by output
_LARGEST = 127  # the largest integer in 8 bits


@dataclass(frozen=True)
class Layer:
    """The weights of a layer as a header stores them.

    Attributes
    ----------
    stored : array
        Weights, or sums of weights; integers in units of `scale` if they have 8 bits.
    used : array, shape (n_out, n_in)
        The weights that `stored` stands for.
    bias : array, shape (n_out,)
        The biases.
    scale : array, shape (n_out,), or None
        The units of the integers, one for each output.
    blocks : int
        `used` has this many blocks on its diagonal, and zeros outside.
    starts : list of int
        The first row in `stored` of each part of a table's features.
    """

    stored: Floats
    used: Floats
    bias: Floats
    scale: Floats | None = None
    blocks: int = 1
    starts: Sequence[int] = ()


def store(W: Floats, bias: Floats, is_int8: bool) -> Layer:
    """Store a layer block by block, each input by input or, if it has few outputs, output by output.

    >>> store(np.array([[1.0, 2.0, 0.0, 0.0], [0.0, 0.0, 3.0, 4.0]]), np.zeros(2), False).stored.tolist()
    [[[1.0, 2.0]], [[3.0, 4.0]]]
    """
    rounded, scale = _round(W.T, is_int8)
    W, used = rounded.T, (rounded * scale).T
    count = _count_blocks(W)
    n_out, n_in = W.shape[0] // count, W.shape[1] // count
    blocks = [W[i * n_out : (i + 1) * n_out, i * n_in : (i + 1) * n_in] for i in range(count)]
    stored = np.stack(blocks if n_out < FEW else [block.T for block in blocks])
    return Layer(stored, used, bias, scale if is_int8 else None, count)


def _count_blocks(W: Floats) -> int:
    """Return the largest number of equal blocks on the diagonal outside of which W is 0, as in merged networks."""
    n_out, n_in = W.shape
    for count in range(math.gcd(n_out, n_in), 1, -1):
        if n_out % count == 0 == n_in % count:
            inside = W.reshape(count, n_out // count, count, n_in // count)[np.arange(count), :, np.arange(count)]
            if np.count_nonzero(inside) == np.count_nonzero(W):
                return count
    return 1


def store_table(W: Floats, bias: Floats, layout: Sequence[tuple[str, int]], is_int8: bool) -> Layer:
    """Store the first layer of a table: for each part of the layout of `BinnedRows`, the rows to look up.

    Each row holds the weights of one feature. For bins, there is a row for each edge, with the sums of the weights of
    the bins below the edge, because the features of these bins are all 1.

    >>> W = np.array([[5.0, 1.0, 2.0]])
    >>> store_table(W, np.zeros(1), [("value", 1), ("bins", 2)], False).stored.tolist()
    [[5.0], [0.0], [1.0], [3.0]]
    """
    parts, first = [], 0
    for kind, width in layout:
        rows = W.T[first : first + width]
        parts.append(np.cumsum(np.vstack([np.zeros(len(W)), rows]), axis=0) if kind == "bins" else rows)
        first += width
    ends = np.cumsum([len(part) for part in parts])
    stored, scale = _round(np.vstack(parts), is_int8)
    used = [
        np.diff(part, axis=0) if kind == "bins" else part
        for part, (kind, _) in zip(np.split(stored * scale, ends[:-1]), layout, strict=True)
    ]
    return Layer(stored, np.vstack(used).T, bias, scale if is_int8 else None, 1, [0, *ends[:-1].tolist()])


def _round(rows: Floats, is_int8: bool) -> tuple[Floats, Floats]:
    """Return the weights of each output, in a column, as integers in units of the column, and these units."""
    if not is_int8:
        return rows, np.ones(rows.shape[1])
    largest = np.abs(rows).max(axis=0)
    scale = np.where(largest > 0, largest, 1.0) / _LARGEST
    return np.rint(rows / scale), scale
