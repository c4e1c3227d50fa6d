"""Losses with parameters. A loss without parameters, or with the default ones, can be given by its name."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, TypeAlias

from chainrule import _core
from chainrule._arguments import one_of, real, returned
from chainrule._names import LossName
from chainrule._suggest import did_you_mean, explained

__all__ = ["Huber", "Quantile", "SoftmaxCrossEntropy", "Tweedie"]


class ParametricLoss:
    """Base of losses with one parameter, the field of the subclass. The core lists its name, default and range."""

    core_name: ClassVar[str]

    def __init_subclass__(cls, core_name: str) -> None:
        cls.core_name = core_name

    def __post_init__(self) -> None:
        traits = _core.LOSSES[self.core_name]
        name, value = str(traits.parameter), getattr(self, str(traits.parameter))
        if traits.one_per_output:
            value = tuple(value) if isinstance(value, Iterable) else (value,)
            if not value:
                raise ValueError(f"{name} is empty, expected one for each output")
            value = tuple(self._checked(f"{name}[{i}]", one) for i, one in enumerate(value))
        else:
            value = self._checked(name, value)
        object.__setattr__(self, name, value)

    def _checked(self, name: str, value: Any) -> float:
        number = real(name, value)
        _core.check_loss_parameter(self.core_name, name, number)
        return number


@explained
@dataclass(frozen=True)
class Huber(ParametricLoss, core_name="huber"):
    """The loss "huber": half the squared error up to ``delta``, linear beyond it.

    ``L = Σ_j ½ d²`` where ``|d| ≤ delta``, else ``delta (|d| - ½ delta)``, with ``d = z_j - y_j``.

    Parameters
    ----------
    delta : float, default 1
        The error at which the two parts meet; above 0.

    Examples
    --------
    >>> import chainrule as cr
    >>> cr.Network([3, 1], loss=cr.Huber(delta=2.0))
    Network([3, 1], loss=Huber(delta=2.0), dtype='float32')
    """

    delta: float = 1.0


@explained
@dataclass(frozen=True)
class Quantile(ParametricLoss, core_name="quantile"):
    """The loss "quantile": each output estimates a quantile of y.

    ``L = Σ_j max((1 - level_j) d, -level_j d)`` with ``d = z_j - y``. y has one column, which is the target of every
    output. For several targets, train one network for each.

    Parameters
    ----------
    levels : float or sequence of float, default (0.5,)
        One for each output, between 0 and 1.

    Examples
    --------
    >>> import chainrule as cr
    >>> net = cr.Network([1, 3], loss=cr.Quantile(levels=[0.1, 0.5, 0.9]), seed=0)
    >>> net.parameters[:] = 0
    >>> net.loss([[0.0]], [2.0])  # 0.2 + 1.0 + 1.8
    3.0
    """

    levels: float | Sequence[float] = (0.5,)


@explained
@dataclass(frozen=True)
class SoftmaxCrossEntropy(ParametricLoss, core_name="softmax_cross_entropy"):
    """The loss "softmax_cross_entropy" with label smoothing: targets are mixed with the uniform distribution.

    ``L = Σ_j t_j (log Σ_k exp(z_k) - z_j)`` with ``t_j = (1 - label_smoothing) y_j + label_smoothing / n_L``.

    Parameters
    ----------
    label_smoothing : float, default 0
        From 0 to 1.

    Examples
    --------
    >>> import chainrule as cr
    >>> cr.Network([4, 3], loss=cr.SoftmaxCrossEntropy(label_smoothing=0.1)).loss_name
    'softmax_cross_entropy'
    """

    label_smoothing: float = 0.0


@explained
@dataclass(frozen=True)
class Tweedie(ParametricLoss, core_name="tweedie"):
    """The loss "tweedie": half the deviance of amounts with mean exp(z), many of which may be 0 (claims, sales, rain).

    ``L = Σ_j exp((2-p) z_j) / (2-p) - y_j exp((1-p) z_j) / (1-p) + y_j^(2-p) / ((1-p) (2-p))`` with ``p = power``. It
    assumes that the variance of y is proportional to mean^p.

    Parameters
    ----------
    power : float, default 1.5
        Between 1 and 2. The limit 1 is "poisson", the limit 2 is "gamma".

    Examples
    --------
    >>> import chainrule as cr
    >>> net = cr.Network([1, 1], loss=cr.Tweedie(power=1.5), seed=0)
    >>> net.parameters[:] = 0
    >>> net.loss([[0.0], [0.0]], [0.0, 4.0])  # 2 and 2
    2.0
    """

    power: float = 1.5


Loss: TypeAlias = LossName | ParametricLoss
"""A loss: its name, or an instance of a class such as `Huber`."""

CustomLoss: TypeAlias = Callable[[Any, Any, Any], tuple[float, Any]]
"""A custom loss: takes logits, y and weight, returns the cost of a batch and its gradient with respect to logits."""


def custom(loss: CustomLoss | None) -> CustomLoss | None:
    """Wrap a custom loss so that the types of its results are checked; None means the network's loss."""
    if loss is None:
        return None
    if not callable(loss):
        raise TypeError(f"loss takes a callable here; pass a loss name to Network(loss=) instead. Got {loss!r}")

    def checked(logits: Any, y: Any, weight: Any) -> tuple[float, Any]:
        answer = loss(logits, y, weight)
        if not isinstance(answer, tuple) or len(answer) != 2:
            raise TypeError("loss must return (cost, gradient with respect to the logits)")
        return returned("the cost that loss returned", answer[0]), answer[1]

    return checked


def to_core(loss: Loss) -> tuple[str, list[float]]:
    """Return the name and the parameters of a loss, as the core takes them."""
    if isinstance(loss, str):
        return one_of("loss", loss, _core.LOSSES), []
    if not isinstance(loss, ParametricLoss):
        raise TypeError(
            "loss must be a name such as 'huber' or a loss object such as Huber(), "
            f"got {loss!r}{did_you_mean(loss, _core.LOSSES)}"
        )
    (value,) = vars(loss).values()
    return loss.core_name, list(value) if isinstance(value, tuple) else [value]


def from_core(name: LossName, parameters: Sequence[float]) -> Loss:
    """Return the loss with this name and these parameters: only the name if they are the defaults."""
    kinds: dict[str, Any] = {kind.core_name: kind for kind in ParametricLoss.__subclasses__()}
    if name not in kinds or not parameters:
        return name
    loss: Loss = kinds[name](tuple(parameters) if _core.LOSSES[name].one_per_output else parameters[0])
    return name if loss == kinds[name]() else loss
