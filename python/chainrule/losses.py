"""Losses with parameters, as values; a loss without, or with its default ones, may also be given by its name."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from math import inf
from typing import Any, TypeAlias

from chainrule import _core
from chainrule._arguments import one_of, real, returned
from chainrule._suggest import did_you_mean, explained


@explained
@dataclass(frozen=True)
class Huber:
    """The loss "huber": half the squared error up to ``delta``, then linear.

    ``L = Σ_j ½ d²`` where ``|d| ≤ delta``, else ``delta (|d| - ½ delta)``, with ``d = z_j - y_j``.

    Parameters
    ----------
    delta : float, default 1
        Where the two meet, above 0.

    Examples
    --------
    >>> import chainrule as cr
    >>> cr.Network([3, 1], loss=cr.Huber(delta=2.0))
    Network([3, 1], loss=Huber(delta=2.0), dtype='float32')
    """

    delta: float = 1.0

    def __post_init__(self) -> None:
        object.__setattr__(self, "delta", real("delta", self.delta))
        if not 0 < self.delta < inf:
            raise ValueError(f"delta is {self.delta:g}, expected a number above 0")


@explained
@dataclass(frozen=True)
class Quantile:
    """The loss "quantile": each output estimates a quantile of y.

    ``L = Σ_j max((1 - level_j) d, -level_j d)`` with ``d = z_j - y``. y has one column,
    the target of every output; for several targets train a network for each.

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

    def __post_init__(self) -> None:
        given: Iterable[Any] = self.levels if isinstance(self.levels, Iterable) else [self.levels]
        levels = tuple(real(f"levels[{i}]", level) for i, level in enumerate(given))
        if not levels:
            raise ValueError("levels is empty, expected one for each output")
        for i, level in enumerate(levels):
            if not 0 < level < 1:
                raise ValueError(f"levels[{i}] is {level:g}, expected a number between 0 and 1")
        object.__setattr__(self, "levels", levels)


@explained
@dataclass(frozen=True)
class SoftmaxCrossEntropy:
    """The loss "softmax_cross_entropy": of targets that are mixed with the uniform distribution.

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

    def __post_init__(self) -> None:
        object.__setattr__(self, "label_smoothing", real("label_smoothing", self.label_smoothing))
        if not 0 <= self.label_smoothing <= 1:
            raise ValueError(f"label_smoothing is {self.label_smoothing:g}, expected a number from 0 to 1")


Loss: TypeAlias = str | Huber | Quantile | SoftmaxCrossEntropy
"""What is taken as a loss: its name, or a value."""

# Output activations of the losses that have another than identity.
OUTPUTS = {"binary_cross_entropy": "logistic", "softmax_cross_entropy": "softmax", "poisson": "exp"}
CustomLoss: TypeAlias = Callable[[Any, Any, Any], tuple[float, Any]]
"""A loss of one's own: of logits, y and weight the cost of a batch and its derivatives by the logits."""


def custom(loss: CustomLoss | None) -> CustomLoss | None:
    """Take a loss of one's own, its answers to be checked by type, or None for the network's."""
    if loss is None:
        return None
    if not callable(loss):
        raise TypeError(f"loss must be callable here, a name belongs to Network(loss=); got {loss!r}")

    def checked(logits: Any, y: Any, weight: Any) -> tuple[float, Any]:
        answer = loss(logits, y, weight)
        if not isinstance(answer, tuple) or len(answer) != 2:
            raise TypeError("loss must return (cost, gradient by the logits)")
        return returned("the cost that loss returned", answer[0]), answer[1]

    return checked


_NAMES: dict[type[Any], str] = {Huber: "huber", Quantile: "quantile", SoftmaxCrossEntropy: "softmax_cross_entropy"}
_KINDS = {name: kind for kind, name in _NAMES.items()}


def to_core(loss: Loss) -> tuple[str, list[float]]:
    """Return the loss as the core takes it: name and parameters."""
    if isinstance(loss, str):
        return one_of("loss", loss, _core.LOSSES), []
    if type(loss) not in _NAMES:
        raise TypeError(f"loss must be a string, got {loss!r}{did_you_mean(loss, _core.LOSSES)}")
    (value,) = vars(loss).values()
    return _NAMES[type(loss)], list(value) if isinstance(value, tuple) else [value]


def from_core(name: str, parameters: Sequence[float]) -> Loss:
    """Return the loss that the core describes so: a name where it says all."""
    if name not in _KINDS:
        return name
    kind = _KINDS[name]
    loss: Loss = kind(tuple(parameters)) if kind is Quantile else kind(*parameters)
    return name if loss == kind() or not parameters else loss


def output_activation(name: str) -> str:
    """Return the activation of the last layer that a loss decides."""
    return OUTPUTS.get(name, "identity")
