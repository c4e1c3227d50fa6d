"""Chooses held-out rows and computes metrics of their predictions."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial
from numbers import Real
from typing import Any

import numpy as np
from numpy.typing import NDArray

from chainrule import _core
from chainrule._arguments import one_of, returned
from chainrule._suggest import listed
from chainrule.functional import Array
from chainrule.rows import Rows

RESERVED_NAMES = frozenset(
    {"epoch", "loss", "validation", "learning_rate", "seconds", "snapshot"}
)  # keys of callbacks' logs


def metric_name(metric: str | Callable[..., float]) -> str:
    """Return the name under which a metric is recorded.

    Examples
    --------
    >>> from functools import partial
    >>> from chainrule.validation import metric_name
    >>> metric_name("auc"), metric_name(max), metric_name(partial(max, default=0.0))
    ('auc', 'max', 'max')
    """
    if isinstance(metric, str):
        return metric
    while isinstance(metric, partial):
        metric = metric.func
    return str(getattr(metric, "__name__", type(metric).__name__))


def more_is_better(metric: Any) -> bool:
    """Return whether a higher value of a metric, given as a name or a callable, is better."""
    return bool(getattr(_core.METRICS[metric] if isinstance(metric, str) else metric, "more_is_better", True))


def _numbered(name: str, names: list[str]) -> str:
    """Return the name or, if it is already used, "name_2", "name_3", and so on."""
    candidates = (name, *(f"{name}_{i}" for i in range(2, len(names) + 2)))
    return next(candidate for candidate in candidates if candidate not in names)


def one_data_set(name: str, value: Any, alternative: str = "") -> tuple[Any, ...]:
    """Check an argument given as (X, y) or (X, y, sample_weight).

    A list with one such tuple, the form of other libraries, means the tuple.

    Examples
    --------
    >>> from chainrule.validation import one_data_set
    >>> one_data_set("eval_set", [([[0.0]], [1])])
    ([[0.0]], [1])
    """
    if isinstance(value, list) and len(value) == 1 and isinstance(value[0], tuple):
        value = value[0]
    expected = f"{name} must be (X, y){',' if alternative else ' or'} (X, y, sample_weight){alternative}"
    if not isinstance(value, (tuple, list)):
        raise TypeError(f"{expected}, got {repr(value) if isinstance(value, str) else type(value).__name__}")
    if value and all(_is_data_set(entry) for entry in value):
        raise ValueError(f"{expected}, got {len(value)} data sets: choose the one to watch")
    if len(value) not in (2, 3):
        raise ValueError(f"{expected}, got {len(value)} {'entry' if len(value) == 1 else 'entries'}")
    return tuple(value)


def _is_data_set(value: Any) -> bool:
    """Return whether a value is (X, y) or (X, y, sample_weight), where X has two dimensions."""
    if not isinstance(value, tuple) or len(value) not in (2, 3):
        return False
    X = value[0]
    return len(getattr(X, "shape", ())) == 2 or (isinstance(X, list) and isinstance(next(iter(X), None), Iterable))


@dataclass(frozen=True)
class RowsHeldOut:
    """Rows of a fit's data that an estimator holds out.

    Attributes
    ----------
    rows, held_out : ndarray of int
        Row numbers of the training rows and of the validation rows.
    y, weight : ndarray
        Targets and weights of the held-out rows, for metrics that are functions. weight is None if there are no
        weights.
    """

    rows: NDArray[np.intp]
    held_out: NDArray[np.intp]
    y: Any
    weight: Any


class HeldOut:
    """The validation data of a fit, in the form that the core takes.

    Attributes
    ----------
    rows, validation_rows : ndarray of int, or None
        Row numbers of the training rows and of the held-out rows, if a part of the data is held out.
    data : tuple, or None
        (X, y) or (X, y, sample_weight), if the validation data are separate.
    """

    def __init__(
        self,
        validation: Any,
        y: Any,
        sample_weight: Any,
        loss: str,
        seed: int,
        rows: NDArray[np.intp] | None = None,
        validation_rows: NDArray[np.intp] | None = None,
    ) -> None:
        self.rows, self.validation_rows = rows, validation_rows
        self.data: tuple[Any, ...] | None = None
        self._y: Any = None
        self._weight: Any = None
        if isinstance(validation, RowsHeldOut):
            self.rows, self.validation_rows = validation.rows, validation.held_out
            self._y, self._weight = validation.y, validation.weight
            return
        if isinstance(validation, Real):
            train, held = split_rows(y if rows is None else np.asarray(y)[rows], float(validation), loss, seed)
            self.rows, self.validation_rows = (train, held) if rows is None else (rows[train], rows[held])
        elif validation is not None:
            if isinstance(validation, Rows):
                validation = validation, validation.y
            self.data = one_data_set("validation", validation, " or a fraction")
            _, self._y, self._weight = (*self.data, None)[:3]
        if self.validation_rows is not None:
            self._y = np.asanyarray(y)[self.validation_rows]
            self._weight = None if sample_weight is None else np.asarray(sample_weight)[self.validation_rows]

    def metrics(self, metrics: Any) -> tuple[list[str], list[tuple[Any, bool]]]:
        """Return the names of the metrics, and the metrics for the core: names, or functions of predictions."""
        if isinstance(metrics, str) or callable(metrics):
            metrics = (metrics,)
        if not isinstance(metrics, Iterable):
            raise TypeError(f"metrics must be names or callables, got {metrics!r}")
        names: list[str] = []
        wanted: list[tuple[Any, bool]] = []
        for metric in metrics:
            if isinstance(metric, str):
                wanted.append((one_of("metric", metric, _core.METRICS), True))
            elif callable(metric):
                wanted.append((self._scorer(metric), more_is_better(metric)))
            else:
                raise TypeError(f"a metric must be callable or one of {listed(_core.METRICS)}; got {metric!r}")
            name = metric_name(metric)
            if name in RESERVED_NAMES:
                raise ValueError(f"a metric has the name {name!r}, which the logs use for something else: rename it")
            names.append(_numbered(name, names))
        if names and self._y is None and self.data is None:
            raise ValueError("metrics need validation rows: set validation= to data or a fraction")
        return names, wanted

    def _scorer(self, metric: Callable[..., float]) -> Callable[[Array], float]:
        y = np.asanyarray(self._y)  # may be masked
        arguments = () if self._weight is None else (np.asarray(self._weight),)

        def score(predictions: Array) -> float:
            of_one = predictions.shape[1] == 1 and y.ndim == 1
            answer = metric(y, predictions[:, 0] if of_one else predictions, *arguments)
            return returned(f"the value that the metric {metric_name(metric)} returned", answer)

        return score


def split_rows(y: Any, fraction: float, loss: str, seed: int) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Return ascending row numbers to train on and to hold out; both have the same share of each class.

    Examples
    --------
    >>> import numpy as np
    >>> from chainrule.validation import split_rows
    >>> train, held_out = split_rows(np.repeat([0, 1], 10), 0.2, "softmax_cross_entropy", seed=0)
    >>> len(train), int((held_out < 10).sum()), int((held_out >= 10).sum())
    (16, 2, 2)
    """
    if not 0 < fraction < 1:
        raise ValueError(f"validation is {fraction}, expected data or a fraction between 0 and 1")
    count = len(y)
    wanted = round(count * fraction)
    if not 0 < wanted < count:
        raise ValueError(f"validation is {fraction}, which leaves none of {count} rows to train on or none to hold out")
    order = spread_rows(y, loss, seed)
    return np.sort(order[wanted:]), np.sort(order[:wanted])


def spread_rows(y: Any, loss: str, seed: int) -> NDArray[np.intp]:
    """Return the row numbers in random order; for classes, each part of the order has about the same class shares."""
    labels = np.asarray(y)
    order = np.random.default_rng(seed).permutation(len(labels))
    if _core.LOSSES[loss].output == "softmax" and labels.ndim == 2 and labels.shape[1] > 1:
        labels = labels.argmax(axis=1)
    if _core.LOSSES[loss].of_classes and (labels.ndim == 1 or labels.shape[1] == 1):
        # Spread each class evenly over the order, so that the first rows have the same class shares as all rows.
        _, numbers = np.unique(labels.reshape(-1)[order], return_inverse=True)
        by_class = np.argsort(numbers, kind="stable")
        sizes = np.bincount(numbers)
        place = np.concatenate([(np.arange(size) + 0.5) / size for size in sizes])
        order = order[by_class[np.argsort(place, kind="stable")]]
    return order
