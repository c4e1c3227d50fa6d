"""Schedules: how a learning rate, a weight decay or a dropout rate changes, as a factor on the value that was set.

A callable that takes the number of the epoch, from 0, and returns the factor is a schedule too.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

from chainrule import _core
from chainrule._arguments import returned
from chainrule._suggest import did_you_mean, explained, instances, unknown


@dataclass(frozen=True)
class Schedule:
    """What every schedule shares: the core checks its settings when it is made."""

    def __post_init__(self) -> None:
        _core.check_schedule(*self.as_core())

    def as_core(self) -> tuple[str, dict[str, Any]]:
        """Name and settings, as the core takes them."""
        return type(self).__name__.lower(), dict(vars(self))


@explained
@dataclass(frozen=True, kw_only=True)
class StepDecay(Schedule):
    """The factor ``factor^⌊epoch / every⌋``: torch's StepLR.

    Parameters
    ----------
    every : int, default 30
        Epochs between two reductions.
    factor : float, default 0.1
        Above 0.

    Examples
    --------
    >>> import chainrule as cr
    >>> net = cr.Network([1, 1], loss="squared_error", seed=0)
    >>> history = net.fit([[1.0]], [1.0], optimizer=cr.SGD(learning_rate=1.0), epochs=4,
    ...                   schedules=cr.StepDecay(every=2, factor=0.5))
    >>> history.learning_rate.tolist()
    [1.0, 1.0, 0.5, 0.5]
    """

    every: int = 30
    factor: float = 0.1


@explained
@dataclass(frozen=True, kw_only=True)
class ExponentialDecay(Schedule):
    """The factor ``factor^epoch``: torch's ExponentialLR.

    Parameters
    ----------
    factor : float, default 0.95
        Above 0.

    Examples
    --------
    >>> import chainrule as cr
    >>> cr.ExponentialDecay(factor=0.9)
    ExponentialDecay(factor=0.9)
    """

    factor: float = 0.95


@explained
@dataclass(frozen=True, kw_only=True)
class InverseScaling(Schedule):
    """The factor ``1 / (1 + scale · epoch)^power``; with scale the number of rows, scikit-learn's "invscaling".

    Parameters
    ----------
    power : float, default 0.5
        The exponent.
    scale : float, default 1
        Not negative.

    Examples
    --------
    >>> import chainrule as cr
    >>> cr.InverseScaling(power=1.0)
    InverseScaling(power=1.0, scale=1.0)
    """

    power: float = 0.5
    scale: float = 1.0


@explained
@dataclass(frozen=True, kw_only=True)
class Cosine(Schedule):
    """A linear rise over ``warmup`` epochs, then ``lowest + (1 - lowest)(1 + cos πu) / 2``, u from 0 to 1.

    It changes in every step. With ``restart_every`` u begins again after so many epochs, and each period is
    ``period_factor`` times as long as the one before: torch's CosineAnnealingLR and CosineAnnealingWarmRestarts.

    Parameters
    ----------
    epochs : float, optional
        Length of all, the warm-up included. Default: that of the fit that begins the training. A fit of one epoch, or
        one that goes on beyond that length, must be given it, unless there is ``restart_every``.
    warmup : float, default 0
        Epochs, or parts of one.
    restart_every : float, optional
        Epochs of the first period.
    period_factor : float, default 1
        1 or more.
    lowest : float, default 0
        The factor at the end.

    References
    ----------
    Loshchilov and Hutter, SGDR: stochastic gradient descent with warm restarts, ICLR 2017.

    Examples
    --------
    >>> import chainrule as cr
    >>> net = cr.Network([1, 1], loss="squared_error", seed=0)
    >>> history = net.fit([[1.0]], [1.0], optimizer=cr.SGD(learning_rate=1.0), epochs=4, schedules=cr.Cosine(warmup=2))
    >>> history.learning_rate.round(3).tolist()
    [0.5, 1.0, 1.0, 0.5]
    """

    epochs: float | None = None
    warmup: float = 0.0
    restart_every: float | None = None
    period_factor: float = 1.0
    lowest: float = 0.0


@explained
@dataclass(frozen=True, kw_only=True)
class OneCycle(Schedule):
    """From ``start`` up to 1 in the first part of all steps, then down to ``end``, along cosines; in every step.

    Parameters
    ----------
    epochs : float, optional
        Length of all. Default: that of the fit that begins the training. A fit of one epoch, or one that goes on beyond
        that length, must be given it.
    warmup : float, default 0.3
        The part of the steps that rise.
    start, end : float, default 1/25 and 1/250000
        The factors at both ends; torch's OneCycleLR has these.

    References
    ----------
    Smith and Topin, Super-convergence: very fast training of neural networks using large learning rates, 2018.

    Examples
    --------
    >>> import chainrule as cr
    >>> cr.OneCycle(epochs=20).warmup
    0.3
    """

    epochs: float | None = None
    warmup: float = 0.3
    start: float = 1 / 25
    end: float = 1 / 250000


@explained
@dataclass(frozen=True, kw_only=True)
class ReduceOnPlateau(Schedule):
    """The factor is multiplied by ``factor`` whenever more than ``patience`` epochs brought no improvement.

    What is watched is what `Stop.no_improvement` watches.

    Parameters
    ----------
    factor : float, default 0.1
        Between 0 and 1.
    patience : int, default 10
        Epochs.
    min_delta : float, default 0
        By how much an epoch must be better than the best so far to count.
    lowest : float, default 0
        The factor is not reduced below.

    Examples
    --------
    >>> import chainrule as cr
    >>> cr.ReduceOnPlateau(factor=0.5).patience
    10
    """

    factor: float = 0.1
    patience: int = 10
    min_delta: float = 0.0
    lowest: float = 0.0


AnySchedule: TypeAlias = Schedule | Callable[[int], float]
RATES = ("learning_rate", "weight_decay", "dropout")


def schedules_as_core(value: AnySchedule | Mapping[str, AnySchedule] | None) -> dict[str, Any]:
    """Bring the schedules of a fit, by the name of their rate or one for the learning rate, to the core's form."""
    named = value if isinstance(value, Mapping) else {} if value is None else {"learning_rate": value}
    for name, schedule in named.items():
        if name not in RATES:
            raise ValueError(unknown("the rate of a schedule", name, RATES))
        if isinstance(schedule, type) or not (isinstance(schedule, Schedule) or callable(schedule)):
            hint = did_you_mean(schedule, instances(Schedule))
            raise TypeError(
                f"schedules: {name} must be a schedule such as Cosine(), or callable, got {schedule!r}{hint}"
            )
    return {name: s.as_core() if isinstance(s, Schedule) else _checked(name, s) for name, s in named.items()}


def _checked(name: str, schedule: Callable[[int], float]) -> Callable[[int], float]:
    def factor(epoch: int) -> float:
        return returned(f"schedules: what {name} returned in epoch {epoch}", schedule(epoch))

    return factor
