"""Schedules: factors by which the learning rate, the weight decay or the dropout rates are multiplied during training.

A callable that takes the number of the epoch, counted from 0, and returns the factor is a schedule too.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TypeAlias

from chainrule._arguments import returned
from chainrule._settings import SETTINGS, Settings, documented
from chainrule._suggest import did_you_mean, instances, unknown

__all__ = ["Cosine", "ExponentialDecay", "InverseScaling", "OneCycle", "ReduceOnPlateau", "StepDecay"]


@dataclass(frozen=True)
class Schedule(Settings):
    """Base of all schedules."""


@documented
@dataclass(frozen=True, kw_only=True)
class StepDecay(Schedule):
    """The factor ``factor^⌊epoch / every⌋``: PyTorch's StepLR.

    Parameters
    ----------
    {parameters}

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


@documented
@dataclass(frozen=True, kw_only=True)
class ExponentialDecay(Schedule):
    """The factor ``factor^epoch``: PyTorch's ExponentialLR.

    Parameters
    ----------
    {parameters}

    Examples
    --------
    >>> import chainrule as cr
    >>> cr.ExponentialDecay(factor=0.9)
    ExponentialDecay(factor=0.9)
    """

    factor: float = 0.95


@documented
@dataclass(frozen=True, kw_only=True)
class InverseScaling(Schedule):
    """The factor ``1 / (1 + scale · epoch)^power``: scikit-learn's "invscaling" if scale is the number of rows.

    Parameters
    ----------
    {parameters}

    Examples
    --------
    >>> import chainrule as cr
    >>> cr.InverseScaling(power=1.0)
    InverseScaling(power=1.0, scale=1.0)
    """

    power: float = 0.5
    scale: float = 1.0


@documented
@dataclass(frozen=True, kw_only=True)
class Cosine(Schedule):
    """A linear rise over ``warmup`` epochs, then ``lowest + (1 - lowest)(1 + cos πu) / 2``, u from 0 to 1.

    It changes in every step. With ``restart_every``, u starts again after that many epochs, and each later period is
    ``period_factor`` times as long as the one before. PyTorch: CosineAnnealingLR and CosineAnnealingWarmRestarts.

    Parameters
    ----------
    {parameters}

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


@documented
@dataclass(frozen=True, kw_only=True)
class OneCycle(Schedule):
    """A rise from ``start`` to 1 over the first part of the steps, then a fall to ``end``, both along a cosine.

    It changes in every step.

    Parameters
    ----------
    {parameters}

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


@documented
@dataclass(frozen=True, kw_only=True)
class ReduceOnPlateau(Schedule):
    """Multiplies the factor by ``factor`` whenever there was no improvement for more than ``patience`` epochs.

    The watched value is that of `Stop.no_improvement`.

    Parameters
    ----------
    {parameters}

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


def schedules_by_name(value: AnySchedule | Mapping[str, AnySchedule] | None) -> dict[str, AnySchedule]:
    """Return the schedules of a fit by the name of the setting. A single schedule is for the learning rate."""
    named = value if isinstance(value, Mapping) else {} if value is None else {"learning_rate": value}
    return {name: _checked(name, schedule) for name, schedule in named.items()}


def _checked(name: str, schedule: AnySchedule) -> AnySchedule:
    if name not in SETTINGS["schedules"]:
        raise ValueError(unknown("schedules: the key", name, list(SETTINGS["schedules"])))
    if isinstance(schedule, Schedule):
        return schedule
    if isinstance(schedule, type) or not callable(schedule):
        hint = did_you_mean(schedule, instances(Schedule))
        raise TypeError(f"schedules: {name} must be a schedule such as Cosine(), or callable, got {schedule!r}{hint}")

    def factor(epoch: int) -> float:
        return returned(f"schedules: the factor that {name} returned in epoch {epoch}", schedule(epoch))

    return factor
