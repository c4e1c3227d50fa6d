"""Optimizers and their settings.

Formulas and most defaults follow torch.optim; Lion and ScheduleFreeAdamW follow their authors.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from chainrule._arguments import integer, one_of
from chainrule._settings import Settings, documented

__all__ = ["LBFGS", "SGD", "Adagrad", "Adam", "AdamW", "Group", "Lion", "RMSprop", "ScheduleFreeAdamW"]


@dataclass(frozen=True)
class Optimizer(Settings):
    """Base of all optimizers."""


@documented
@dataclass(frozen=True, kw_only=True)
class SGD(Optimizer):
    """Stochastic gradient descent, optionally with momentum.

    With the gradient g of the batch's cost, and v = g in the first step::

        v = momentum · v + g
        θ = θ - learning_rate · v                      (g itself where momentum is 0)
        θ = θ - learning_rate · (g + momentum · v)     (nesterov)

    As in PyTorch, the learning rate multiplies the velocity. With ``rate_in_velocity`` it multiplies the gradient
    instead, as in Sutskever's form and in scikit-learn. The two differ only if the learning rate changes during
    training.

    Parameters
    ----------
    {parameters}

    References
    ----------
    Polyak, Some methods of speeding up the convergence of iteration methods, USSR Comput. Math. 4 (1964) 1-17.
    Sutskever et al., On the importance of initialization and momentum in deep learning, ICML 2013.

    Examples
    --------
    >>> import chainrule as cr
    >>> cr.SGD(learning_rate=0.1, momentum=0.9).momentum
    0.9
    """

    learning_rate: float = 1e-3
    momentum: float = 0.0
    nesterov: bool = False
    rate_in_velocity: bool = False
    weight_decay: float = 0.0


@documented
@dataclass(frozen=True, kw_only=True)
class Adam(Optimizer):
    """Adaptive moment estimation.

    With the gradient g of step t = 1, 2, ..., and m = v = 0 before the first::

        m = beta1 · m + (1 - beta1) · g
        v = beta2 · v + (1 - beta2) · g²
        θ = θ - learning_rate · (m / (1 - beta1^t)) / (√(v / (1 - beta2^t)) + epsilon)

    Parameters
    ----------
    {parameters}

    References
    ----------
    Kingma and Ba, Adam: a method for stochastic optimization, ICLR 2015, algorithm 1.

    Examples
    --------
    >>> import chainrule as cr
    >>> cr.Adam(learning_rate=0.01).beta2
    0.999
    """

    learning_rate: float = 1e-3
    beta1: float = 0.9
    beta2: float = 0.999
    epsilon: float = 1e-8
    epsilon_hat: bool = False
    weight_decay: float = 0.0


@documented
@dataclass(frozen=True, kw_only=True)
class AdamW(Adam):
    """`Adam` with decoupled weight decay: before each step ``θ = (1 - learning_rate · weight_decay) θ``.

    Parameters
    ----------
    {parameters}

    References
    ----------
    Loshchilov and Hutter, Decoupled weight decay regularization, ICLR 2019.

    Examples
    --------
    >>> import chainrule as cr
    >>> cr.AdamW(learning_rate=0.01).weight_decay
    0.01
    """

    weight_decay: float = 0.01


@documented
@dataclass(frozen=True, kw_only=True)
class RMSprop(Optimizer):
    """Gradients divided by the root of a running mean of their squares.

    With the gradient g, and v = a = m = 0 before the first step::

        v = alpha · v + (1 - alpha) · g²
        a = alpha · a + (1 - alpha) · g        (if centered, v - a² replaces v below)
        m = momentum · m + g / (√v + epsilon)
        θ = θ - learning_rate · m

    Parameters
    ----------
    {parameters}

    References
    ----------
    Tieleman and Hinton, Lecture 6.5 - RMSProp, COURSERA: Neural networks for machine learning, 2012.
    Graves, Generating sequences with recurrent neural networks, arXiv:1308.0850, 2013 (centered).

    Examples
    --------
    >>> import chainrule as cr
    >>> cr.RMSprop(momentum=0.9).alpha
    0.99
    """

    learning_rate: float = 1e-2
    alpha: float = 0.99
    epsilon: float = 1e-8
    momentum: float = 0.0
    centered: bool = False
    weight_decay: float = 0.0


@documented
@dataclass(frozen=True, kw_only=True)
class Adagrad(Optimizer):
    """Gradients divided by the root of the sum of all their squares so far.

    With the gradient g of step t = 1, 2, ..., and v = initial_accumulator before the first::

        v = v + g²
        θ = θ - learning_rate / (1 + (t - 1) · learning_rate_decay) · g / (√v + epsilon)

    Parameters
    ----------
    {parameters}

    References
    ----------
    Duchi, Hazan and Singer, Adaptive subgradient methods for online learning, JMLR 12, 2011.

    Examples
    --------
    >>> import chainrule as cr
    >>> cr.Adagrad(learning_rate=0.1).epsilon
    1e-10
    """

    learning_rate: float = 1e-2
    learning_rate_decay: float = 0.0
    initial_accumulator: float = 0.0
    epsilon: float = 1e-10
    weight_decay: float = 0.0


@documented
@dataclass(frozen=True, kw_only=True)
class Lion(Optimizer):
    """Steps of constant size: only the sign of each element of a mean of the gradients is used.

    With the gradient g, and m = 0 before the first step::

        θ = θ - learning_rate · sign(beta1 · m + (1 - beta1) · g)
        m = beta2 · m + (1 - beta2) · g

    Parameters
    ----------
    {parameters}

    References
    ----------
    Chen et al., Symbolic discovery of optimization algorithms, NeurIPS 2023.

    Examples
    --------
    >>> import chainrule as cr
    >>> cr.Lion(weight_decay=0.1).beta2
    0.99
    """

    learning_rate: float = 1e-4
    beta1: float = 0.9
    beta2: float = 0.99
    weight_decay: float = 0.0


@documented
@dataclass(frozen=True, kw_only=True)
class ScheduleFreeAdamW(Optimizer):
    """`AdamW` that averages its iterates, so it needs neither a decaying learning rate nor a planned number of epochs.

    With y the parameters during training, g the gradient at y in step t = 1, 2, ..., and v = 0 and z = x = y before the
    first step::

        v = beta2 · v + (1 - beta2) · g²
        z = z - learning_rate · (g / (√(v / (1 - beta2^t)) + epsilon) + weight_decay · y)
        x = (1 - c) · x + c · z             where c = learning_rate² / Σ learning_rate² over all steps so far
        y = (1 - beta1) · z + beta1 · x

    After every epoch the network has x as its parameters, so predictions and validation use x. The recorded costs are
    those at y.

    Parameters
    ----------
    {parameters}

    References
    ----------
    Defazio et al., The road less scheduled, NeurIPS 2024.

    Examples
    --------
    >>> import chainrule as cr
    >>> cr.ScheduleFreeAdamW(weight_decay=0.1).learning_rate
    0.0025
    """

    learning_rate: float = 2.5e-3
    beta1: float = 0.9
    beta2: float = 0.999
    epsilon: float = 1e-8
    weight_decay: float = 0.0


@documented
@dataclass(frozen=True, kw_only=True)
class LBFGS(Optimizer):
    """Limited-memory BFGS with a line search for the strong Wolfe conditions, on the whole data set.

    An epoch is one iteration. Training ends with the stop reason "converged" when a tolerance below is reached. It ends
    with "stalled" if no step that the dtype can represent lowers the cost although the derivatives are not small: then
    scale the columns of X (and y) to a spread of about 1, or use dtype "float64".

    Parameters
    ----------
    {parameters}

    References
    ----------
    Liu and Nocedal, On the limited memory BFGS method for large scale optimization, Math. Programming 45 (1989).
    Nocedal and Wright, Numerical optimization, 2006, algorithms 3.5, 3.6 and 7.4.

    Examples
    --------
    >>> import chainrule as cr
    >>> net = cr.Network([1, 1], loss="squared_error", seed=0)
    >>> history = net.fit([[-1.0], [1.0]], [-2.0, 4.0], optimizer=cr.LBFGS())
    >>> net.parameters.round(3).tolist(), history.stop_reason
    ([3.0, 1.0], 'converged')
    """

    learning_rate: float = 1.0
    history: int = 10
    max_evaluations: int | None = None
    tolerance_gradient: float = 1e-7
    tolerance_change: float = 1e-9
    unit_first_step: bool = False


@documented
@dataclass(frozen=True, kw_only=True)
class Group(Settings):
    """Factors for the learning rate and the weight decay of some parameters.

    Parameters
    ----------
    {parameters}

    Examples
    --------
    No decay for biases, and a first layer that learns slowly:

    >>> import chainrule as cr
    >>> groups = [cr.Group(kind="biases", weight_decay=0.0), cr.Group(layers=[0], learning_rate=0.1)]
    >>> net = cr.Network([2, 8, 1], loss="squared_error", seed=0)
    >>> history = net.fit([[0.0, 1.0]], [1.0], optimizer=cr.AdamW(), groups=groups, epochs=2)
    """

    layers: Iterable[int] | None = None
    kind: str | None = None
    learning_rate: float = 1.0
    weight_decay: float = 1.0

    def __post_init__(self) -> None:
        if self.kind is not None:
            one_of("the kind of a group", self.kind, ("weights", "biases"))
        if self.layers is not None:
            if not isinstance(self.layers, Iterable):
                raise TypeError(f"layers must be indices of layers such as [0], got {self.layers!r}")
            layers = tuple(integer(f"layers[{i}]", layer) for i, layer in enumerate(self.layers))
            object.__setattr__(self, "layers", layers)
        super().__post_init__()
