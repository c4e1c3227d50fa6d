"""Optimizers as values: names, defaults and meaning of their settings are those of torch.optim."""

from dataclasses import dataclass
from typing import Any

from chainrule import _core


@dataclass(frozen=True)
class Optimizer:
    """What every optimizer shares: the core checks its settings when it is made."""

    def __post_init__(self) -> None:
        _core.check_optimizer(*self.as_core())

    def as_core(self) -> tuple[str, dict[str, Any]]:
        """Name and settings, as the core takes them."""
        return type(self).__name__.lower(), dict(vars(self))


@dataclass(frozen=True, kw_only=True)
class SGD(Optimizer):
    """Stochastic gradient descent, with momentum if wanted; with the whole data set as batch, gradient descent.

    With the gradient g of the batch's cost, and v = g in the first step::

        v = momentum · v + g
        θ = θ - learning_rate · v                      (g itself where momentum is 0)
        θ = θ - learning_rate · (g + momentum · v)     (nesterov)

    As in PyTorch the learning rate multiplies the velocity; in Sutskever's form it is inside, which differs only
    when the learning rate changes during training.

    Parameters
    ----------
    learning_rate : float, default 1e-3
        The step size, above 0.
    momentum : float, default 0
        The part of the velocity that is kept, in [0, 1).
    nesterov : bool, default False
        Look ahead by one step; needs a momentum above 0.

    Raises
    ------
    ValueError
        For a setting out of range.

    References
    ----------
    Polyak, Some methods of speeding up the convergence of iteration methods, USSR Comput. Math. 4 (1964) 1-17.
    Sutskever et al., On the importance of initialization and momentum in deep learning, ICML 2013.

    Examples
    --------
    >>> import chainrule as cr
    >>> cr.SGD(learning_rate=0.1, momentum=0.9)
    SGD(learning_rate=0.1, momentum=0.9, nesterov=False)
    """

    learning_rate: float = 1e-3
    momentum: float = 0.0
    nesterov: bool = False


@dataclass(frozen=True, kw_only=True)
class Adam(Optimizer):
    """Adaptive moment estimation.

    With the gradient g of step t = 1, 2, ..., and m = v = 0 before the first::

        m = beta1 · m + (1 - beta1) · g
        v = beta2 · v + (1 - beta2) · g²
        θ = θ - learning_rate · (m / (1 - beta1^t)) / (√(v / (1 - beta2^t)) + epsilon)

    Parameters
    ----------
    learning_rate : float, default 1e-3
        About the largest change of a parameter in one step; above 0.
    beta1, beta2 : float, default 0.9 and 0.999
        The parts of the first and second moment that are kept; in [0, 1).
    epsilon : float, default 1e-8
        Added to the corrected root; not negative.

    Raises
    ------
    ValueError
        For a setting out of range.

    References
    ----------
    Kingma and Ba, Adam: a method for stochastic optimization, ICLR 2015, algorithm 1.

    Examples
    --------
    >>> import chainrule as cr
    >>> cr.Adam(learning_rate=0.01)
    Adam(learning_rate=0.01, beta1=0.9, beta2=0.999, epsilon=1e-08)
    """

    learning_rate: float = 1e-3
    beta1: float = 0.9
    beta2: float = 0.999
    epsilon: float = 1e-8
