"""Rows of a table as bin and level numbers.

The first layer can then look up precomputed sums instead of multiplying.
"""

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from chainrule import _core
from chainrule._arguments import integer, one_of
from chainrule._suggest import explained

_CODES = (np.uint8, np.uint16, np.int32)


@explained
class BinnedRows:
    r"""Rows of binned numbers, levels and values, which `Network` accepts in place of an array of features.

    A network gives the same results as for the features, `toarray()`, up to rounding, but the time per row does not
    depend on the numbers of bins and levels. Each column of the layout has these features:

    =================  ============  ==================================================================================
    column             takes         features
    =================  ============  ==================================================================================
    ``("value", 1)``   a value       the value
    ``("bins", B)``    a code and a  for bin b and fraction f: 1 in the first b features, f in the next, 0 in the rest.
                       value         If the bins have the edges :math:`e_0, ..., e_B` and a number x in bin b has
                                     :math:`f = (x - e_b)/(e_{b+1} - e_b)`, feature j is
                                     :math:`\min(\max((x - e_j)/(e_{j+1} - e_j), 0), 1)`
    ``("levels", L)``  a code        1 in the feature with this number, 0 in the others; code L: all are 0
    =================  ============  ==================================================================================

    Parameters
    ----------
    codes : array_like of int, shape (m, columns of bins and levels)
        Numbers of bins and levels, from 0. Arrays of uint8, uint16 or int32 are kept without a copy; others are
        converted to the smallest of these types that fits.
    values : array_like, shape (m, columns of values and bins)
        Values, and fractions from 0 to 1. Arrays of float32 or float64 are kept without a copy; others are converted to
        float32.
    layout : sequence of (str, int)
        Kind and number of features of each column, in the order of the features.

    Attributes
    ----------
    codes, values, layout
        As above.
    shape : (int, int)
        The numbers of rows and features.

    Raises
    ------
    ValueError
        For an unknown kind or a wrong shape. Codes and fractions are checked when the rows are passed to a network.
    TypeError
        For codes that are not integers, and for values that are not real numbers.

    Examples
    --------
    A size (1.5 and 4), the bins of the size with the edges 0, 1, 2 and 6, and a color:

    >>> import chainrule as cr
    >>> X = cr.BinnedRows([[1, 0], [2, 1]], [[1.5, 0.5], [4.0, 0.5]], [("value", 1), ("bins", 3), ("levels", 2)])
    >>> X.toarray()
    array([[1.5, 1. , 0.5, 0. , 1. , 0. ],
           [4. , 1. , 1. , 0.5, 0. , 1. ]])
    >>> net = cr.Network([6, 8, 1], loss="squared_error", seed=0)
    >>> history = net.fit(X, [10.0, 20.0], epochs=2)
    """

    codes: NDArray[Any]
    values: NDArray[Any]
    layout: tuple[tuple[str, int], ...]
    shape: tuple[int, int]

    def __init__(self, codes: ArrayLike, values: ArrayLike, layout: Sequence[tuple[str, int]]) -> None:
        self.layout = tuple(_columns(layout))
        if not self.layout:
            raise ValueError("layout has no columns")
        self.codes, self.values = _codes(codes), _values(values)
        counts = {kind: sum(name == kind for name, _ in self.layout) for kind in _core.COLUMN_KINDS}
        for name, array, expected in (
            ("codes", self.codes, counts["bins"] + counts["levels"]),
            ("values", self.values, counts["bins"] + counts["value"]),
        ):
            if array.ndim != 2 or array.shape[1] != expected:
                raise ValueError(f"{name} has shape {array.shape}, the layout expects (rows, {expected})")
        if len(self.codes) != len(self.values):
            raise ValueError(f"codes has {len(self.codes)} rows, values has {len(self.values)}")
        self.shape = len(self.codes), sum(features for _, features in self.layout)

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, rows: Any) -> "BinnedRows":
        """Return the rows of a slice, of row numbers or of a mask."""
        part = object.__new__(BinnedRows)
        part.codes, part.values, part.layout = _codes(self.codes[rows]), _values(self.values[rows]), self.layout
        part.shape = len(part.codes), self.shape[1]
        return part

    def toarray(self) -> NDArray[Any]:
        """Return the features, shape (m, n_features)."""
        features = np.zeros(self.shape, self.values.dtype)
        codes, values = iter(self.codes.T), iter(self.values.T)
        start = 0
        for kind, count in self.layout:
            columns = features[:, start : start + count]
            code = None if kind == "value" else next(codes)
            write_features(columns, code, None if kind == "levels" else next(values))
            start += count
        return features

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> NDArray[Any]:
        if copy is False:
            raise ValueError("the features of BinnedRows are computed, so an array of them is always a copy")
        return self.toarray().astype(dtype, copy=False)


class BinnedFeatures:
    """The features of binned rows as dense inputs: a network gives the same bits as for ``rows.toarray()``.

    Reading a row computes its features, so they are never all in memory.

    Attributes
    ----------
    rows : BinnedRows
        The binned rows, made by a `TableEncoding`: their codes are not checked.
    shape : (int, int)
        The numbers of rows and features.
    dtype : dtype
        The type of the features.
    """

    def __init__(self, rows: BinnedRows) -> None:
        self.rows, self.shape, self.dtype = rows, rows.shape, rows.values.dtype

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, rows: Any) -> "BinnedFeatures":
        """Return some rows; see `BinnedRows`."""
        return BinnedFeatures(self.rows[rows])


def write_features(out: NDArray[Any], codes: NDArray[Any] | None, values: NDArray[Any] | None) -> None:
    """Write the features of one column of a layout into `out`, an array of zeros of shape (m, width)."""
    if codes is None:
        out[:, 0] = values
        return
    if values is not None:
        out[:] = np.arange(out.shape[1]) < codes[:, None]
    rows = np.flatnonzero(codes < out.shape[1])
    out[rows, codes[rows]] = 1 if values is None else values[rows]


def _columns(layout: Any) -> Iterator[tuple[str, int]]:
    if not isinstance(layout, Iterable):
        raise TypeError(f"layout must be a sequence of (kind, number of features), got {layout!r:.100}")
    for i, column in enumerate(layout):
        if not isinstance(column, Sequence) or isinstance(column, str) or len(column) != 2:
            raise ValueError(f"layout[{i}] is {column!r:.100}, expected (kind, number of features)")
        kind = one_of(f"the kind in layout[{i}]", column[0], _core.COLUMN_KINDS)
        features = integer(f"the number of features in layout[{i}]", column[1], low=1)
        if kind == "value" and features != 1:
            raise ValueError(f"layout[{i}] is a value with {features} features, expected 1")
        yield kind, features


def _codes(codes: ArrayLike) -> NDArray[Any]:
    array = np.asarray(codes)
    if array.dtype.kind not in "iu" and array.size:
        raise TypeError(f"codes has dtype {array.dtype}, expected integers")
    if array.dtype in _CODES:
        return np.require(array, requirements=["C", "A"])
    low, high = (int(array.min()), int(array.max())) if array.size else (0, 0)
    for dtype in _CODES:
        if np.iinfo(dtype).min <= low and high <= np.iinfo(dtype).max:
            return np.require(array, dtype, ["C", "A"])
    raise ValueError(f"codes range from {low} to {high}, expected numbers that fit in int32")


def _values(values: ArrayLike) -> NDArray[Any]:
    array = np.asarray(values)
    if array.dtype.kind not in "biuf" and array.size:
        raise TypeError(f"values has dtype {array.dtype}, expected real numbers")
    is_double = array.dtype.kind == "f" and array.dtype.itemsize == 8
    return np.require(array, np.float64 if is_double else np.float32, ["C", "A"])
