"""The steps of backpropagation as functions on NumPy arrays: forward, cost, backward, update.

The core checks types, shapes and values.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import ArrayLike, DTypeLike, NDArray

from chainrule import _core
from chainrule._arguments import dtype_name, one_of, optional_integer, real, seed_number, sizes
from chainrule._lists import with_lists
from chainrule._names import ActivationName, InitName
from chainrule._suggest import did_you_mean, explained
from chainrule.losses import Loss, to_core

Array: TypeAlias = NDArray[np.floating[Any]]
Params: TypeAlias = Sequence[tuple[ArrayLike, ArrayLike]]


@dataclass(frozen=True, eq=False)
class Cache:
    """The intermediate results of `forward` that `cost` and `backward` need.

    Attributes
    ----------
    z : list of ndarray
        ``Z[l]`` of every layer with weights, shape (m, n_l). ``z[0]`` belongs to the first of these layers, and
        ``z[-1]`` holds the logits.
    a : list of ndarray
        ``A[l]``, shape (m, n_l). This list has one more entry than ``z``: ``a[0]`` is X, ``a[-1]`` is the prediction.
    activations : tuple of str
        One name per hidden layer.
    loss : str, or a loss such as Huber
        The loss, which determines the output activation.

    Examples
    --------
    >>> import chainrule as cr
    >>> cache = cr.forward(cr.init_params([2, 3, 1], seed=0), [[0.0, 1.0]], activation="tanh", loss="squared_error")
    >>> cache
    Cache(activations=('tanh',), loss='squared_error')
    >>> [z.shape for z in cache.z], [a.shape for a in cache.a]
    ([(1, 3), (1, 1)], [(1, 2), (1, 3), (1, 1)])
    """

    z: list[Array] = field(repr=False)
    a: list[Array] = field(repr=False)
    activations: tuple[str, ...]
    loss: Loss


def per_hidden_layer(activation: str | Sequence[str], hidden_layers: int) -> tuple[str, ...]:
    """Repeat one name for every hidden layer. A sequence is returned unchanged; the core checks its length."""
    if isinstance(activation, str):
        return (one_of("activation", activation, _core.ACTIVATIONS),) * hidden_layers
    if not isinstance(activation, Iterable):
        raise TypeError(
            f"activation must be a name or a sequence of names, got {activation!r}"
            + did_you_mean(activation, _core.ACTIVATIONS)
        )
    return tuple(one_of(f"activation[{i}]", given, _core.ACTIVATIONS) for i, given in enumerate(activation))


def check_layers(name: str, value: Any) -> None:
    """Raise unless the value is a sequence of (W, b); the core checks the arrays."""
    if not isinstance(value, (list, tuple, Sequence)) or isinstance(value, str):
        raise TypeError(f"{name} must be a list of (W, b), one for each layer, got {type(value).__name__}")
    for i, layer in enumerate(value):
        if not isinstance(layer, (list, tuple, Sequence)) or isinstance(layer, str) or len(layer) != 2:
            raise TypeError(f"{name}[{i}] must be (W, b), got {type(layer).__name__}")


def _check_cache(cache: Any) -> None:
    if not isinstance(cache, Cache):
        raise TypeError(f"cache must be the result of forward, got {type(cache).__name__}")


@explained
def init_params(
    layer_sizes: Sequence[int], *, init: InitName = "glorot_uniform", seed: int = 0, dtype: DTypeLike = "float32"
) -> list[tuple[Array, Array]]:
    """Draw initial weights; biases are 0.

    ========================  ==============================================================
    ``init``                  distribution of the elements of ``W[l]``
    ========================  ==============================================================
    ``"glorot_uniform"``      uniform on ±√(6 / (n_{l-1} + n_l))  [1]_, eq. 16
    ``"glorot_normal"``       normal with variance 2 / (n_{l-1} + n_l)  [1]_, eq. 12
    ``"he_uniform"``          uniform on ±√(6 / n_{l-1})
    ``"he_normal"``           normal with variance 2 / n_{l-1}  [2]_, eq. 10
    ``"lecun_uniform"``       uniform on ±√(3 / n_{l-1})
    ``"lecun_normal"``        normal with variance 1 / n_{l-1}  [3]_, eq. 16
    ``"given"``               none; all weights are 0 until the caller sets them
    ========================  ==============================================================

    Parameters
    ----------
    layer_sizes : sequence of int
        Numbers of columns of X, of units of each hidden layer, and of outputs.
    init : str, default "glorot_uniform"
        The table of `forward` gives the default for each activation.
    seed : int, default 0
        From 0 to 2**64 - 1. The same seed gives the same parameters on every machine.
    dtype : {"float32", "float64"}, default "float32"
        Type of the parameters.

    Returns
    -------
    list of (W, b)
        ``W[l]`` of shape (n_l, n_{l-1}), ``b[l]`` of shape (n_l,).

    Raises
    ------
    ValueError
        For fewer than two sizes, a size below 1, an unknown name, or a seed out of range.
    TypeError
        For another dtype, or an argument of another type.

    References
    ----------
    .. [1] Glorot and Bengio, Understanding the difficulty of training deep feedforward neural networks, AISTATS 2010.
    .. [2] He et al., Delving deep into rectifiers, ICCV 2015.
    .. [3] LeCun et al., Efficient BackProp, Neural Networks: Tricks of the Trade, 1998.

    Examples
    --------
    >>> import chainrule as cr
    >>> [(W.shape, b.shape) for W, b in cr.init_params([20, 64, 1], seed=0)]
    [((64, 20), (64,)), ((1, 64), (1,))]
    """
    return _core.init_params(
        sizes(layer_sizes), one_of("init", init, _core.INITS), seed_number(seed), dtype_name(dtype)
    )


@with_lists
@explained
def forward(
    params: Params,
    X: ArrayLike,
    *,
    activation: ActivationName | Sequence[ActivationName] = "relu",
    loss: Loss,
    n_threads: int | None = None,
) -> Cache:
    """Compute the prediction: ``Z[l] = A[l-1] W[l]ᵀ + b[l]``, ``A[l] = g(Z[l])``, with ``A[0] = X``.

    {activations}

    Parameters
    ----------
    params : list of (W, b)
        The parameters. Their dtype, float32 or float64, is that of the result.
    X : array_like, shape (m, n_0)
        One example per row. If the data has one example per column, pass ``X.T``, which is not copied.
    activation : str or sequence of str, default "relu"
        One name of the table, or one per hidden layer.
    loss : str, or a loss such as Huber
        Determines the activation of the last layer; the table of `cost` lists both.
    n_threads : int, optional
        Default: `get_num_threads`. The result is the same for any number.

    Returns
    -------
    Cache
        ``cache.a[-1]`` is the prediction, shape (m, n_L).

    Raises
    ------
    ValueError
        For shapes that do not fit, or an unknown name.
    TypeError
        For arrays that do not hold real numbers.

    Examples
    --------
    >>> import chainrule as cr
    >>> params = [([[1.0, 1.0]], [0.0]), ([[2.0]], [-1.0])]
    >>> cr.forward(params, [[3.0, 4.0], [3.0, -4.0]], activation="relu", loss="squared_error").a[-1].tolist()
    [[13.0], [-1.0]]
    """
    check_layers("params", params)
    activations = per_hidden_layer(activation, len(params) - 1)
    z, a = _core.forward(params, X, activations, to_core(loss), optional_integer("n_threads", n_threads))
    return Cache(z, a, activations, loss)


@with_lists
@explained
def cost(params: Params, cache: Cache, Y: ArrayLike, sample_weight: ArrayLike | None = None, l2: float = 0.0) -> float:
    """Compute ``J = (1/Σw) Σ_i w_i L(ŷ_i, y_i) + (λ/2) Σ_l ‖W[l]‖²``.

    L is computed from the logits, so it is finite for all finite logits. If there are no rows, the first sum is 0.

    {losses}

    Parameters
    ----------
    params : list of (W, b)
        The parameters, which are needed only for the penalty.
    cache : Cache
        The result of `forward`.
    Y : array_like, shape (m,) or (m, n_L)
        Numbers in the range that the table gives. "binary_cross_entropy" with several outputs takes one number per
        label, "softmax_cross_entropy" class numbers (m,) or rows of probabilities (m, n_L), and "quantile" one column
        (m,) for all levels.
    sample_weight : array_like, shape (m,), optional
        The weights w, not negative; default 1 each.
    l2 : float, default 0
        The penalty λ; biases are not penalized.

    Returns
    -------
    float
        The cost J, in the unit of the loss (nats for the entropies).

    Raises
    ------
    ValueError
        For shapes that do not fit, class numbers out of range, a weight below 0, or none above 0.

    Examples
    --------
    >>> import chainrule as cr
    >>> params = [([[1.0]], [0.0])]
    >>> cr.cost(params, cr.forward(params, [[3.0], [5.0]], loss="squared_error"), [2.0, 5.0])
    0.25
    """
    check_layers("params", params)
    _check_cache(cache)
    return _core.cost(params, cache.z[-1], Y, to_core(cache.loss), sample_weight, real("l2", l2))


@explained
def backward(
    params: Params,
    cache: Cache,
    Y: ArrayLike,
    sample_weight: ArrayLike | None = None,
    l2: float = 0.0,
    *,
    n_threads: int | None = None,
) -> list[tuple[Array, Array]]:
    """Compute the gradients of `cost` by backpropagation, from the last layer to the first.

    ::

        dZ[L]   = (A[L] - Y) · w/Σw
        dW[l]   = dZ[l]ᵀ A[l-1] + λ W[l]
        db[l]   = Σ_rows dZ[l]
        dA[l-1] = dZ[l] W[l]
        dZ[l-1] = dA[l-1] ⊙ g'(Z[l-1])

    For ``"softmax_cross_entropy"`` the first line is ``(A[L] Σ_j Y_j - Y) · w/Σw``, which is the same if the rows of Y
    sum to 1. For other losses it is the derivative of the loss, which is taken to be 0 where a loss with a kink has a
    residual of 0. At a kink of an activation the left derivative is used, except that hard_tanh has 0 at both kinks.

    Parameters
    ----------
    params : list of (W, b)
        The parameters with which the cache was computed.
    cache : Cache
        The result of `forward`.
    Y, sample_weight, l2
        See `cost`.
    n_threads : int, optional
        See `forward`.

    Returns
    -------
    list of (dW, db)
        The gradients, with the shapes and dtype of params.

    Raises
    ------
    ValueError
        For shapes that do not fit, class numbers out of range, a weight below 0, or none above 0.

    References
    ----------
    Rumelhart, Hinton and Williams, Learning representations by back-propagating errors, Nature 323 (1986) 533-536.

    Examples
    --------
    >>> import chainrule as cr
    >>> params = [([[1.0]], [0.0])]
    >>> [(dW, db)] = cr.backward(params, cr.forward(params, [[3.0], [5.0]], loss="squared_error"), [2.0, 5.0])
    >>> dW.tolist(), db.tolist()
    ([[1.5]], [0.5])
    """
    check_layers("params", params)
    _check_cache(cache)
    loss, penalty, threads = to_core(cache.loss), real("l2", l2), optional_integer("n_threads", n_threads)
    return _core.backward(params, cache.z, cache.a, Y, cache.activations, loss, sample_weight, penalty, threads)[0]


@explained
def update(params: Params, grads: Params, learning_rate: float, out: Params | None = None) -> list[tuple[Array, Array]]:
    """Take one step of gradient descent: ``W - α dW``, ``b - α db``.

    Parameters
    ----------
    params, grads : list of (W, b)
        The parameters and, with the same shapes, their gradients.
    learning_rate : float
        The step size α.
    out : list of (W, b), optional
        Arrays to write the result to; ``out=params`` updates in place. Default: new arrays.

    Returns
    -------
    list of (W, b)
        The new parameters.

    Raises
    ------
    ValueError
        For shapes that differ, or an ``out`` that cannot be written.

    Examples
    --------
    >>> import chainrule as cr
    >>> [(W, b)] = cr.update([([[1.0]], [0.0])], [([[1.5]], [0.5])], learning_rate=0.5)
    >>> W.tolist(), b.tolist()
    ([[0.25]], [-0.25])
    """
    check_layers("params", params)
    check_layers("grads", grads)
    return _core.update(params, grads, real("learning_rate", learning_rate), out)
