"""Helpers of estimators for tables: recognize them, learn their encoding, compute metrics in the targets' unit."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from chainrule import _core
from chainrule._frames import Frame
from chainrule.encoder import TableEncoder
from chainrule.estimators import _sklearn
from chainrule.rows import Rows
from chainrule.table import needs_encoding
from chainrule.target import Standardizer
from chainrule.validation import metric_name, more_is_better

_AT_ONCE = 2**19  # numbers of an Arrow table that are converted at a time: columns of several chunks are joined before


def in_unit_of_targets(metric: Any, standardizer: Standardizer) -> Any:
    """Wrap a metric so that it is computed in the unit of the targets, although these are standardized."""
    if isinstance(metric, str) and (_core.METRICS[metric].unit_free or _core.METRICS[metric].of_classes):
        return metric

    def measured(y: NDArray[Any], predictions: NDArray[Any], *weight: NDArray[Any]) -> float:
        y, predictions = standardizer.restore(y), standardizer.restore(predictions)
        if not isinstance(metric, str):
            return float(metric(y, predictions, *weight))
        columns = predictions.reshape(len(y), -1)
        targets = y.reshape(len(y), -1)  # may be masked
        if targets.shape != columns.shape:
            targets = np.broadcast_to(targets, columns.shape)
        return _core.score(metric, "squared_error", columns, targets, *weight)

    measured.__name__ = metric_name(metric)
    vars(measured)["more_is_better"] = more_is_better(metric)
    return measured


def is_table(estimator: Any, X: Any, first: bool) -> bool:
    """Return whether an estimator encodes X. ``preprocess`` decides in the first fit; later fits do the same.

    "auto" uses only the types of the columns, never their values, so that all parts of the data are treated alike.
    """
    if not first:
        return hasattr(estimator, "encoder_")
    if estimator.preprocess == "auto":
        return _names_categories(estimator) or needs_encoding(X)
    return encodes_always(estimator)


def encodes_always(estimator: Any) -> bool:
    """Return whether ``preprocess`` asks for the encoding of all data."""
    return isinstance(estimator.preprocess, TableEncoder) or estimator.preprocess is True


def _names_categories(estimator: Any) -> bool:
    """Return whether ``categorical_features`` names columns."""
    chosen = estimator.categorical_features
    return chosen != "from_dtype" if isinstance(chosen, str) else chosen is not None and np.size(chosen) > 0


@contextmanager
def advice(X: Any) -> Iterator[None]:
    """Add to an error about missing values or text that ``preprocess=True`` accepts both."""
    try:
        yield
    except ValueError as error:
        if "NaN" not in str(error) and not needs_encoding(X):
            raise
        raise ValueError(
            f"{error}\nThe estimator takes plain numbers: fit with preprocess=True for tables with missing values or "
            "text"
        ) from error


def as_table(X: Any) -> Any:
    """Return Rows, a data frame or an array that scikit-learn recognizes. Lists become an array of objects."""
    if isinstance(X, Rows):
        return X
    if hasattr(X, "toarray"):
        raise ValueError(
            "the columns of a sparse matrix cannot be encoded: pass X.toarray(), or fit an MLP "
            "estimator with preprocess=False"
        )
    if hasattr(X, "to_native"):  # a narwhals frame, in which scikit-learn does not find the names of the columns
        return X.to_native()
    if not hasattr(X, "__len__"):  # an object without a length that NumPy can convert
        return np.asarray(X)
    return np.array(X, dtype=object) if isinstance(X, (list, tuple)) else X


def is_plain(X: Any) -> bool:
    """Return whether X is an Arrow table of numbers without gaps."""
    if not (hasattr(X, "column_names") and hasattr(X, "itercolumns")) or needs_encoding(X):
        return False
    return X.num_columns > 0 and not any(column.null_count for column in X.itercolumns())


def as_array(X: Any, dtype: DTypeLike) -> NDArray[Any]:
    """Convert a plain Arrow table, some rows at a time, so that there is no second copy."""
    array = np.empty(X.shape, dtype)
    rows = max(_AT_ONCE // X.num_columns, 1)
    for start in range(0, len(array), rows):
        columns = X.slice(start, rows).itercolumns()
        _core.write_columns([column.to_numpy() for column in columns], array[start : start + rows])
    return array


def learn(estimator: Any, table: Frame, rows: NDArray[np.intp] | None, more_to_come: bool) -> TableEncoder:
    """Learn the encoding from the training rows. more_to_come: see `TableEncoding.learn`."""
    if not isinstance(estimator.preprocess, TableEncoder):
        encoder = TableEncoder(categorical_features=estimator.categorical_features)
    elif _names_categories(estimator):
        raise ValueError("categorical_features is given twice: preprocess is a TableEncoder, which has it too")
    else:
        encoder = _sklearn.base.clone(estimator.preprocess)
    return encoder.learn(table, rows=rows, more_to_come=more_to_come)
