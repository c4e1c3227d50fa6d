"""What goes round a fit: when to stop, what was recorded, whom to tell."""

import os
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from chainrule import _core
from chainrule._arguments import flag, integer, optional_integer, real
from chainrule.optimizers import Adam, Optimizer


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
        Stop when the validation cost, or without validation the training cost, has not reached a new minimum for this
        many epochs. With validation the parameters of the best epoch are then restored, however the training ended.
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
    seconds: float | None = None

    def __post_init__(self) -> None:
        _core.check_stop(dict(vars(self)))


def _optimizer_as_core(value: Any) -> tuple[str, dict[str, Any]]:
    optimizer = Adam() if value is None else value
    if not isinstance(optimizer, Optimizer):
        raise TypeError(f"optimizer must be an instance such as Adam(), got {optimizer!r}")
    return optimizer.as_core()


def _stop_as_core(value: Any) -> dict[str, Any]:
    stop = Stop() if value is None else value
    if not isinstance(stop, Stop):
        raise TypeError(f"stop must be an instance such as Stop(no_improvement=10), got {stop!r}")
    return dict(vars(stop))


# The settings of a fit: how each is checked by type, and brought to the core.
SETTINGS: Mapping[str, Callable[[Any], Any]] = {
    "optimizer": _optimizer_as_core,
    "batch_size": lambda value: optional_integer("batch_size", value, high=2**63 - 1),
    "epochs": lambda value: integer("epochs", value),
    "shuffle": lambda value: flag("shuffle", value),
    "l2": lambda value: real("l2", value),
    "stop": _stop_as_core,
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
    epochs : int
        How many epochs were run.
    stop_reason : str
        "epochs" when all were run, a field of `Stop`, or "callback".
    seconds : float
        Wall-clock time.

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
    epochs: int
    stop_reason: str
    seconds: float

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
        for callback in callbacks:
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

    def epoch_end(self) -> Callable[[dict[str, Any]], bool] | None:
        """One function for the core to call: it tells everybody, and says whether anybody wants to stop."""

        def tell(logs: dict[str, Any]) -> bool:
            answers = [hook(logs) for hook in self._epoch]  # all of them, also after one that wants to stop
            return any(isinstance(answer, (bool, np.bool_)) and answer for answer in answers)

        return tell if self._epoch else None

    def train_end(self, history: History) -> None:
        """Tell everybody that the fit ended."""
        for hook in self._end:
            hook(history)
