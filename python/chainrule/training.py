"""What goes round a fit: when to stop, what was recorded, whom to tell."""

import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from chainrule import _core
from chainrule._arguments import flag, integer, one_of, optional_integer, real
from chainrule._suggest import did_you_mean, explained, instances
from chainrule._warn import warn
from chainrule.optimizers import Adam, Group, Optimizer
from chainrule.schedules import schedules_as_core


@explained
@dataclass(frozen=True, kw_only=True)
class Stop:
    """When training has converged: the first criterion that holds after an epoch ends it and is named in the history.

    Parameters
    ----------
    loss_below : float, optional
        Stop when the epoch's cost is below this value.
    loss_change_below : float, optional
        Stop when the cost changed by less than this, up or down, in each of the last ``loss_change_epochs`` epochs.
    loss_change_epochs : int, default 1
        How many epochs in a row.
    gradient_norm_below : float, optional
        Stop when the Euclidean norm of the gradient of the epoch's last step is below this value.
    no_improvement : int, optional
        Stop when what is watched has not improved for this many epochs: the first of the metrics, or without metrics
        the validation cost, or without validation the training cost. With validation the parameters of the best epoch
        are then restored, however the training ended. A metric that is NaN or infinite in an epoch cannot be watched:
        a warning says so, and from there on the validation cost decides, as if it had from the first epoch.
    min_delta : float, default 0
        By how much an epoch must be better than the best so far to be an improvement.
    learning_rate_below : float, optional
        Stop on a plateau of `ReduceOnPlateau` when the learning rate is not above this value any more.
    seconds : float, optional
        Stop after the epoch in which this much time has passed.

    Raises
    ------
    ValueError
        For a setting out of range.

    Examples
    --------
    >>> import chainrule as cr
    >>> net = cr.Network([1, 1], loss="squared_error", seed=0)
    >>> stop = cr.Stop(loss_below=1e-3, no_improvement=50)
    >>> net.fit([[-1.0], [1.0]], [-1.0, 1.0], optimizer=cr.SGD(learning_rate=0.5), stop=stop).stop_reason
    'loss_below'
    """

    loss_below: float | None = None
    loss_change_below: float | None = None
    loss_change_epochs: int = 1
    gradient_norm_below: float | None = None
    no_improvement: int | None = None
    min_delta: float = 0.0
    learning_rate_below: float | None = None
    seconds: float | None = None

    def __post_init__(self) -> None:
        _core.check_stop(dict(vars(self)))


def _optimizer_as_core(value: Any) -> tuple[str, dict[str, Any]]:
    optimizer = Adam() if value is None else value
    if not isinstance(optimizer, Optimizer):
        hint = did_you_mean(optimizer, instances(Optimizer))
        raise TypeError(f"optimizer must be an instance such as Adam(), got {optimizer!r}{hint}")
    return optimizer.as_core()


def _stop_as_core(value: Any) -> dict[str, Any]:
    stop = Stop() if value is None else value
    if not isinstance(stop, Stop):
        raise TypeError(f"stop must be an instance such as Stop(no_improvement=10), got {stop!r}")
    return dict(vars(stop))


def _groups_as_core(value: Any) -> list[dict[str, Any]]:
    groups = value if isinstance(value, Iterable) else (value,)
    groups = list(groups)
    for group in groups:
        if not isinstance(group, Group):
            raise TypeError(f"groups must be instances of Group, got {group!r}")
    return [group.as_core() for group in groups]


def optional_real(name: str, value: Any) -> float | None:
    """Take a real number, or None for the default."""
    return None if value is None else real(name, value)


def _dropout_as_core(value: Any) -> list[float]:
    """One rate for all hidden layers, or one for each."""
    if isinstance(value, Iterable) and not isinstance(value, str):
        return [real(f"dropout[{i}]", rate) for i, rate in enumerate(value)]
    return [real("dropout", value)]


# The settings of a fit: how each is checked by type, and brought to the core.
SETTINGS: Mapping[str, Callable[[Any], Any]] = {
    "optimizer": _optimizer_as_core,
    "batch_size": lambda value: optional_integer("batch_size", value, high=2**63 - 1),
    "epochs": lambda value: integer("epochs", value),
    "shuffle": lambda value: flag("shuffle", value),
    "l2": lambda value: real("l2", value),
    "l2_per_row": lambda value: flag("l2_per_row", value),
    "groups": _groups_as_core,
    "dropout": _dropout_as_core,
    "input_dropout": lambda value: real("input_dropout", value),
    "clip_norm": lambda value: optional_real("clip_norm", value),
    "clip_value": lambda value: optional_real("clip_value", value),
    "ema": lambda value: optional_real("ema", value),
    "schedules": schedules_as_core,
    "precision": lambda value: one_of("precision", value, _core.PRECISIONS),
    "stop": _stop_as_core,
}


@explained
@dataclass(frozen=True, eq=False, repr=False)
class TrainingState:
    """A training between two epochs: what the next one depends on, for `Network.fit` to go on with.

    It holds copies, so that it stays what it is while the training goes on.

    Attributes
    ----------
    epoch : int
        Epochs done.
    seed : int
        For the order of the rows, and dropout.
    numbers : dict of str to ndarray of float64
        How far optimizer, schedules and criteria are.
    vectors : dict of str to ndarray, shape (P,)
        Parameters, moments, averages, in the order of `Network.parameters`.

    Examples
    --------
    >>> import chainrule as cr
    >>> X, y = [[0.0], [1.0], [2.0]], [1.0, 3.0, 5.0]
    >>> net = cr.Network([1, 4, 1], loss="squared_error", seed=0)
    >>> history = net.fit(X, y, batch_size=1, epochs=3, keep_state=True)
    >>> history.state
    TrainingState(epoch=3)
    >>> _ = net.fit(X, y, batch_size=1, epochs=2, resume=history.state)
    >>> once = cr.Network([1, 4, 1], loss="squared_error", seed=0)
    >>> _ = once.fit(X, y, batch_size=1, epochs=5)
    >>> bool((net.parameters == once.parameters).all())
    True
    """

    epoch: int
    seed: int
    numbers: Mapping[str, NDArray[np.float64]]
    vectors: Mapping[str, NDArray[np.floating[Any]]]

    def __repr__(self) -> str:
        return f"TrainingState(epoch={self.epoch})"

    def as_core(self) -> dict[str, Any]:
        """Return the state, as the core takes it."""
        return {**vars(self), "numbers": dict(self.numbers), "vectors": dict(self.vectors)}


# Where a metric has no value.
_UNDEFINED = {
    "auc": " (it is not defined where the held-out rows lack a class)",
    "r2": " (it is not defined where the held-out targets of an output are all equal)",
}


@dataclass(frozen=True, eq=False)
class History:
    """What happened during a fit.

    Attributes
    ----------
    loss : ndarray of float64, shape (epochs,)
        The training cost of each epoch: the mean of its batches' costs, each weighted by its rows' weights and taken
        before its step. With the whole data set as batch, the cost before the step.
    validation : ndarray of float64, shape (epochs,), or None
        The cost of the validation data after each epoch, without the penalty.
    metrics : dict of str to ndarray of float64, shape (epochs,)
        The metrics of the validation data after each epoch.
    learning_rate : ndarray of float64, shape (epochs,)
        That of the last step of each epoch.
    epochs : int
        How many epochs were run.
    best_epoch : int
        The one, from 1, that was best by what `Stop.no_improvement` watches; 0 if none was better than before a resume.
    stop_reason : str
        "epochs" when all were run, a field of `Stop`, "converged", "stalled" or "max_evaluations" (`LBFGS`), or
        "callback"; "diverged" or "interrupted" in the history that comes with an exception.
    seconds : float
        Wall-clock time.
    state : TrainingState or None
        To resume from, where it was asked for by ``keep_state`` or the fit was itself resumed.
    watched : str
        What decided in the end which epoch is the best: the name of the first metric, "validation" for the validation
        cost, or "loss" for the training cost.

    Notes
    -----
    A network has learnt something if its cost, best of held-out data, is below that of the best constant prediction,
    such as ``y.var(axis=0).sum() / 2`` for "squared_error" and the entropy of the classes' shares for a cross-entropy.
    If it is not, scale the columns of X, and y, to a spread of about 1.

    Examples
    --------
    >>> import chainrule as cr
    >>> net = cr.Network([1, 1], loss="squared_error", seed=0)
    >>> history = net.fit([[-1.0], [1.0]], [-1.0, 1.0], epochs=3)
    >>> history.epochs, history.stop_reason, history.loss.shape, history.validation
    (3, 'epochs', (3,), None)
    """

    loss: NDArray[np.float64] = field(repr=False)
    validation: NDArray[np.float64] | None = field(repr=False)
    metrics: Mapping[str, NDArray[np.float64]] = field(repr=False)
    learning_rate: NDArray[np.float64] = field(repr=False)
    epochs: int
    best_epoch: int
    stop_reason: str
    seconds: float
    state: TrainingState | None = field(repr=False)
    watched: str

    @classmethod
    def from_core(cls, result: dict[str, Any], metrics: Sequence[str]) -> "History":
        """Make one of what the core returns, and the names of its metrics."""
        state = result.get("state")
        named = dict(zip(metrics, result["metrics"], strict=True))
        watched = metrics[0] if result["watched"] == "metric" else result["watched"]
        state = None if state is None else TrainingState(**state)
        return cls(**{**result, "metrics": named, "state": state, "watched": watched})

    def warn_if_unwatched(self, first_epoch: int, y: Any) -> None:
        """Warn where the first metric could not be watched; first_epoch is the number of the history's first epoch.

        Not where the targets y, too, are all equal: then there is nothing to learn, and nothing to choose between.
        """
        for name, values in list(self.metrics.items())[:1]:
            unwatched = np.flatnonzero(~np.isfinite(values))
            if len(unwatched) and not (name in _UNDEFINED and bool((np.asarray(y) == np.asarray(y)[:1]).all())):
                first = unwatched[0]
                warn(
                    f"the metric {name} is {values[first]:g} in epoch {first_epoch + first}{_UNDEFINED.get(name, '')}; "
                    "the validation cost decides instead which epoch is the best and when to stop, as if it had from "
                    "the first epoch: hold out other rows, or watch another metric"
                )

    def plot(self, path_or_axes: "str | os.PathLike[str] | Any" = None) -> Any:
        """Draw the learning curve, with a thin line at the best epoch by validation. Needs the extra ``plot``.

        Parameters
        ----------
        path_or_axes : str or path or matplotlib Axes, optional
            A file to write (its suffix decides the format), or axes to draw on. Default: axes of a new pyplot figure.

        Returns
        -------
        matplotlib.axes.Axes
            The axes drawn on.

        Raises
        ------
        ImportError
            Without matplotlib; the message holds the command that installs it.

        Examples
        --------
        >>> import chainrule as cr
        >>> history = cr.Network([1, 1], loss="squared_error", seed=0).fit([[-1.0], [1.0]], [-1.0, 1.0], epochs=3)
        >>> axes = history.plot("learning_curve.png")  # doctest: +SKIP
        """
        from chainrule.plots import learning_curves

        return learning_curves(self, path_or_axes)


class Callbacks:
    """Many callbacks as one: plain callables are told of every epoch, objects of what they have a method for."""

    def __init__(self, callbacks: Iterable[Any]) -> None:
        self._begin: list[Callable[[Any], Any]] = []
        self._epoch: list[Callable[[dict[str, Any]], Any]] = []
        self._end: list[Callable[[History], Any]] = []
        if not isinstance(callbacks, Iterable):
            raise TypeError(f"callbacks must be an iterable of callbacks, such as [print], got {callbacks!r}")
        self.wants_state = False
        for callback in callbacks:
            self.wants_state |= bool(getattr(callback, "wants_state", False))
            hooks = ((self._begin, "on_train_begin"), (self._epoch, "on_epoch_end"), (self._end, "on_train_end"))
            found = [(told, getattr(callback, name)) for told, name in hooks if hasattr(callback, name)]
            if not found and not callable(callback):
                raise TypeError(
                    "a callback must be callable or have on_train_begin, on_epoch_end or on_train_end; "
                    f"got {type(callback).__name__}"
                )
            for told, hook in found or [(self._epoch, callback)]:
                told.append(hook)

    def train_begin(self, network: Any) -> None:
        """Tell everybody that a fit begins."""
        for hook in self._begin:
            hook(network)

    def epoch_end(self, metrics: Sequence[str]) -> Callable[[dict[str, Any], Callable[[], Any]], bool] | None:
        """One function for the core to call: it tells everybody, and says whether anybody wants to stop."""

        def tell(core_logs: dict[str, Any], snapshot: Callable[[], Any]) -> bool:
            values = dict(zip(metrics, core_logs.pop("metrics").tolist(), strict=True))
            logs = {**core_logs, **values, "snapshot": lambda: TrainingState(**snapshot())}
            answers = [hook(logs) for hook in self._epoch]  # all of them, also after one that wants to stop
            return any(isinstance(answer, (bool, np.bool_)) and answer for answer in answers)

        return tell if self._epoch else None

    def train_end(self, history: History) -> None:
        """Tell everybody that the fit ended."""
        for hook in self._end:
            hook(history)
