"""The data of a fit: rows, targets and weights, checked as in scikit-learn, and held-out rows."""

import dataclasses
from collections.abc import Iterator, Mapping, Set
from numbers import Number
from typing import Any

import numpy as np
from numpy.typing import NDArray

from chainrule._arguments import refuse_dict
from chainrule._objects import refuse_dask
from chainrule.estimators import _sklearn
from chainrule.network import Network
from chainrule.rows import Rows
from chainrule.validation import RowsHeldOut, one_data_set


@dataclasses.dataclass(frozen=True)
class Data:
    """Examples for training or validation; y is in the form that the network takes.

    Attributes
    ----------
    rows, held_out : ndarray of int, or None
        Row numbers of the training rows (None: all) and of the held-out rows (None: none are held out).
    """

    X: Any
    y: NDArray[Any]
    weight: NDArray[Any] | None
    rows: NDArray[np.intp] | None = None
    held_out: NDArray[np.intp] | None = None

    def __len__(self) -> int:
        return len(self.y) if self.rows is None else len(self.rows)

    def part(self, rows: NDArray[np.intp] | None) -> "Data":
        """Copy some rows. None returns all rows without a copy."""
        if rows is None:
            return self
        return Data(self.X[rows], self.y[rows], None if self.weight is None else self.weight[rows])

    def targets(self) -> NDArray[Any]:
        """Return the targets of the training rows."""
        return self.y if self.rows is None else self.y[self.rows]

    def cost_of(self, network: Network, n_threads: int | None) -> float:
        """Compute the cost of a network on all rows."""
        return network.loss(self.X, self.y, self.weight, n_threads=n_threads)

    def as_validation(self) -> Any:
        """Return the held-out rows, or all rows if none are held out, as ``validation`` of `Network.fit`."""
        if self.rows is None or self.held_out is None:
            return (self.X, self.y) if self.weight is None else (self.X, self.y, self.weight)
        weight = None if self.weight is None else self.weight[self.held_out]
        return RowsHeldOut(self.rows, self.held_out, self.y[self.held_out], weight)


def refuse_masked(name: str, array: Any) -> None:
    """Raise ValueError for an array with masked entries."""
    if isinstance(array, np.ma.MaskedArray) and np.ma.is_masked(array):
        place = tuple(int(i) for i in np.argwhere(np.ma.getmaskarray(array))[0])
        where = f"row {place[0]}" + (f", column {place[1]}" if len(place) > 1 else "")
        raise ValueError(
            f"{name} is a masked array with a masked entry in {where}: leave such rows out or fill them, for instance "
            f"with {name}.filled(np.nan), and set preprocess=True for missing values in X"
        )


def split_mask(y: Any) -> tuple[Any, NDArray[np.bool_] | None]:
    """Fill each masked entry of a 2-D y with some valid target of its column.

    Return the filled array and the mask (None if nothing is masked).
    """
    if not isinstance(y, np.ma.MaskedArray) or not np.ma.is_masked(y) or y.ndim != 2 or y.shape[1] == 1:
        return y, None
    mask, filled = np.ma.getmaskarray(y), np.array(np.ma.getdata(y))
    for j, missing in enumerate(mask.T):
        if missing.all():
            raise ValueError(f"y has no target in column {j}: every row is masked")
        filled[missing, j] = filled[np.argmin(missing), j]
    return filled, mask


def with_mask(y: NDArray[Any], mask: NDArray[np.bool_] | None) -> NDArray[Any]:
    """Return the targets with the mask that `split_mask` took from them."""
    return y if mask is None else np.ma.array(y, mask=mask)


def _may_be_array(value: Any) -> bool:
    """Return whether a value can become an array: a number, a sequence, an array, a table."""
    protocols = ("shape", "__len__", "__array__", "__dlpack__", "__dataframe__", "__arrow_c_stream__")
    known = isinstance(value, Number) or any(hasattr(value, protocol) for protocol in protocols)
    return known and not isinstance(value, (str, bytes, Set, Iterator))


def check_rows(X: Any) -> None:
    """Raise ValueError unless X has rows and columns. Their entries are checked later."""
    refuse_dict("X", X)
    refuse_dask("X", X)
    refuse_masked("X", X)
    if isinstance(X, (list, tuple)) and X and isinstance(X[0], Mapping):
        raise TypeError("X is a list of dicts, expected two dimensions: (rows, columns); use pandas.DataFrame(X)")
    if not _may_be_array(X):
        raise TypeError(f"X must have two dimensions, (rows, columns), got {type(X).__name__}")
    if hasattr(X, "shape"):
        dimensions = len(X.shape)
    elif isinstance(X, (list, tuple)):
        dimensions = 1 if X and (isinstance(X[0], str) or not hasattr(X[0], "__len__")) else 2
    else:
        dimensions = 0 if isinstance(X, Number) else 2
    if dimensions < 2:
        raise ValueError(
            f"Expected 2D array, got {'1D' if dimensions else 'scalar'} array instead. Reshape your data: give a "
            "single row as [row], a single column as numpy.reshape(column, (-1, 1))"
        )


def check_weights(sample_weight: Any, n_rows: int) -> NDArray[Any] | None:
    """Check the weights of the rows: one number for each, or one for all."""
    if sample_weight is None:
        return None
    refuse_dask("sample_weight", sample_weight)
    refuse_masked("sample_weight", sample_weight)
    if isinstance(sample_weight, Mapping) or not _may_be_array(sample_weight):
        raise TypeError(f"sample_weight must be numbers, one for each row, got {type(sample_weight).__name__}")
    if isinstance(sample_weight, Number):
        sample_weight = np.full(n_rows, sample_weight)
    array: NDArray[Any] = _sklearn.validation.check_array(
        sample_weight, ensure_2d=False, dtype=[np.float64, np.float32], input_name="sample_weight"
    )
    if array.ndim != 1:
        raise ValueError(
            f"Sample weights must be 1D array or scalar, got {array.ndim}D array. "
            f"Expected either a scalar value or a 1D array of length {n_rows}."
        )
    if array.shape != (n_rows,):
        raise ValueError(f"sample_weight.shape == {array.shape}, expected {(n_rows,)}!")
    if not array.any():
        raise ValueError("Sample weights must contain at least one non-zero number.")
    for row in np.flatnonzero(array < 0)[:1]:
        raise ValueError(f"sample_weight[{row}] is {array[row]:g}, expected a non-negative number")
    return array


def validation_data(X_val: Any, y_val: Any, sample_weight_val: Any, eval_set: Any) -> tuple[Any, ...] | None:
    """Return the validation data given to `fit`, (X, y) or (X, y, sample_weight), or None.

    Raises ValueError for a part without the others, or if eval_set is given too.
    """
    parts = {"X_val": X_val, "y_val": y_val, "sample_weight_val": sample_weight_val}
    given = [name for name, value in parts.items() if value is not None]
    if eval_set is not None:
        if given:
            raise ValueError(f"both eval_set and {given[0]} are given: pass the validation data once")
        return (eval_set, eval_set.y) if isinstance(eval_set, Rows) else one_data_set("eval_set", eval_set)
    if isinstance(X_val, Rows) and y_val is None:
        y_val = X_val.y
    if X_val is None and given:
        raise ValueError(f"{given[0]} is given without X_val")
    if X_val is None:
        return None
    if y_val is None:
        raise ValueError("X_val is given without y_val")
    return X_val, y_val, sample_weight_val


def split(data: Data, fraction: float, stratify: Any, random: np.random.RandomState) -> Data:
    """Hold out a fraction of the rows: the same rows as in scikit-learn."""
    rows, held_out = _sklearn.model_selection.train_test_split(
        np.arange(len(data)), random_state=random, test_size=fraction, stratify=stratify
    )
    if len(held_out) < 2:
        raise ValueError("The validation set is too small. Increase 'validation_fraction' or the size of your dataset.")
    return dataclasses.replace(data, rows=rows, held_out=held_out)
