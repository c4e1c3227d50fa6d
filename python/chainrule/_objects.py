"""Converts objects to arrays of numbers: tables, nullable columns, Python numbers, DLPack.

It imports no table library, but recognizes tables of pandas, polars and Arrow by their methods.
"""

from collections.abc import Callable
from numbers import Real
from typing import Any

import numpy as np
from numpy.typing import NDArray

_MISSING = ("NoneType", "NAType", "NaTType")


def numbers(value: Any, name: str) -> NDArray[Any]:
    """Convert to an array of real numbers. An array of another dtype is returned unchanged; the caller rejects it.

    Raises
    ------
    TypeError
        For a string or another object that is not a real number; the message names its row and column.
    ValueError
        For a missing entry, an integer too large for float64, and rows of different lengths; the message names the
        place.
    """
    refuse_dask(name, value)
    if columns := [] if _is_uniform(value) else _columns_of(value):
        return np.stack([_one_column(column, name, label) for label, column in columns], axis=1)
    _refuse_gaps(value, name, "")
    if hasattr(value, "__dlpack__") and not hasattr(value, "__array__"):
        try:
            return np.from_dlpack(value)
        except (BufferError, RuntimeError) as error:
            raise TypeError(f"{name} cannot be read by NumPy: {error}") from error
    return _array(value, name)


def nan_where_masked(y: Any) -> Any:
    """Replace masked entries by NaN, converting to a float array; return any other y unchanged."""
    if not isinstance(y, np.ma.MaskedArray):
        return y
    values = np.ma.getdata(y)
    if not np.ma.is_masked(y):
        return values
    kind = values.dtype if values.dtype in (np.float32, np.float64) else np.float64
    return np.where(np.ma.getmaskarray(y), np.nan, values.astype(kind)).astype(kind)


def first_masked_row(y: Any) -> int:
    """Return the number of the first row with a masked entry."""
    return int(np.argwhere(np.ma.getmaskarray(y))[0][0])


def refuse_dask(name: str, value: Any) -> None:
    """Raise TypeError for a Dask collection, which NumPy would gather in memory without a warning."""
    if hasattr(value, "__dask_graph__"):
        raise TypeError(
            f"{name} is a Dask collection, which this call would gather in memory: train with chainrule.dask.fit, "
            f"DaskMLPClassifier or DaskMLPRegressor, which do not gather it, or call {name}.compute() to gather it"
        )


def _columns_of(value: Any) -> list[tuple[Any, Any]]:
    """Return the labels and columns of a table, or an empty list for another object."""
    if hasattr(value, "iloc") and hasattr(value, "columns"):  # pandas
        return [(label, value.iloc[:, j]) for j, label in enumerate(value.columns)]
    if hasattr(value, "get_columns") and hasattr(value, "columns"):  # polars
        return list(zip(value.columns, value.get_columns(), strict=True))
    if hasattr(value, "column_names") and hasattr(value, "columns"):  # Arrow
        return list(zip(value.column_names, value.columns, strict=True))
    return []


def _is_uniform(table: Any) -> bool:
    """Return whether NumPy can convert a pandas table to a numeric array without an array of objects."""
    if not hasattr(table, "dtypes") or not hasattr(table, "iloc") or not hasattr(table, "columns"):
        return False
    kinds = {dtype.kind if isinstance(dtype, np.dtype) else "O" for dtype in table.dtypes}
    return kinds <= set("iuf") or kinds == {"b"}


def _entries(column: Any) -> list[Any]:
    return list(column.to_pylist() if hasattr(column, "to_pylist") else column)


def _refuse_gaps(column: Any, name: str, place: str) -> None:
    """Raise ValueError for a missing entry that is not NaN, such as None or pandas.NA."""
    if hasattr(column, "null_count"):  # polars, Arrow
        missing = bool(column.null_count() if callable(column.null_count) else column.null_count)
    else:
        nullable = hasattr(column, "isna") and not isinstance(getattr(column, "dtype", np.dtype(float)), np.dtype)
        missing = nullable and bool(np.any(column.isna()))
    if missing:
        rows = (i for i, entry in enumerate(_entries(column)) if _is_missing(entry))
        raise _gap(name, f" in row {next(rows, 0)}{place}")


def _is_missing(entry: Any) -> bool:
    return type(entry).__name__ in _MISSING or (isinstance(entry, float) and entry != entry)


def _gap(name: str, place: str) -> ValueError:
    return ValueError(f"{name} has no value{place}: fill it in, or leave out the row or the column")


def _one_column(column: Any, name: str, label: Any) -> NDArray[Any]:
    _refuse_gaps(column, name, f", column {label!r}")
    array = _as_array(column)
    if array.dtype.kind in "OUS":
        return _from_objects(array.astype(object), name, lambda index: f" in row {index[0]}, column {label!r}")
    if array.dtype.kind not in "biuf":
        raise TypeError(f"{name} has dtype {array.dtype} in column {label!r}, expected numbers")
    return array


def _as_array(column: Any) -> NDArray[Any]:
    try:
        return np.asarray(column)
    except Exception:
        if hasattr(column, "null_count"):  # 128-bit integers of polars
            return np.array(_entries(column), dtype=object)
        raise


def _array(value: Any, name: str) -> NDArray[Any]:
    """Convert with NumPy. A list of objects becomes an array of numbers; an array of objects is returned unchanged."""
    try:
        array = _as_array(value)
    except ValueError as error:
        if isinstance(value, (list, tuple)) and "inhomogeneous" in str(error):
            raise ValueError(f"{name} has rows of different lengths{_first_ragged(value)}") from error
        raise
    if array.dtype.kind not in "OUS":
        return array
    if array.ndim == 0 and not isinstance(value, (Real, str)):
        raise TypeError(f"{name} must be an array of numbers, got an object of type {type(value).__name__}")
    objects = np.array(value, dtype=object) if isinstance(value, (list, tuple)) else array.astype(object)
    found = _from_objects(objects, name, _at)
    return array if isinstance(value, np.ndarray) else found


def _first_ragged(rows: Any) -> str:
    lengths = [len(row) if isinstance(row, (list, tuple, np.ndarray)) else 1 for row in rows]
    odd = next((i for i, length in enumerate(lengths) if length != lengths[0]), None)
    return "" if odd is None else f": {lengths[0]} in row 0, {lengths[odd]} in row {odd}"


def _at(index: tuple[int, ...]) -> str:
    return "".join(
        f"{',' if k else ' in'} {what} {i}" for k, (what, i) in enumerate(zip(("row", "column"), index, strict=False))
    )


def _from_objects(array: NDArray[Any], name: str, place: Callable[[tuple[int, ...]], str]) -> NDArray[Any]:
    """Convert objects to float64, or raise for the first that is not a real number."""
    kinds = set(map(type, array.ravel().tolist()))
    if all(map(_is_number, kinds)):
        try:
            return array.astype(np.float64)
        except OverflowError:
            pass
    for index, entry in np.ndenumerate(array):
        if isinstance(entry, (str, bytes)):
            raise TypeError(f"{name} has the text {_short(entry)}{place(index)}, expected numbers")
        if not _is_number(type(entry)):
            kind = type(entry).__name__
            raise TypeError(f"{name} has {_short(entry)}{place(index)}, an object of type {kind}, expected numbers")
        try:
            float(entry)
        except OverflowError:
            raise ValueError(f"{name} has a number{place(index)} that is too large for float64") from None
    return array


def _is_number(kind: type[Any]) -> bool:
    return issubclass(kind, (Real, np.bool_)) and not issubclass(kind, np.timedelta64)  # a subclass of np.signedinteger


def _short(entry: Any) -> str:
    text = repr(entry)
    return text if len(text) <= 40 else f"{text[:40]}…"
