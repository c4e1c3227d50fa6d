"""The cost of the best constant prediction: a model whose cost is not lower has learnt nothing."""

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from chainrule import _core
from chainrule.losses import Loss, to_core

_Array = NDArray[np.float64]

# The logits by the prediction, of each output activation.
_LINKS: dict[str, Callable[[Any], Any]] = {
    "identity": lambda mean: mean,
    "logistic": lambda mean: np.log(mean) - np.log1p(-mean),
    "exp": np.log,
}


def constant_cost(loss: Loss, y: ArrayLike, weight: ArrayLike | None = None, *, outputs: int | None = None) -> float:
    """Compute the lowest cost of logits that are the same for every row, in float64.

    The cost is that of `cost` without a penalty: ``(1/Σw) Σ_i w_i L(z, y_i)``, lowest over all z. It is exact, but for
    "huber", whose constant is found to one part in 2^30 of its range.

    Parameters
    ----------
    loss : str or loss such as Huber
        A built-in loss.
    y : array_like, shape (m,) or (m, n_L)
        What the loss expects, see `cost`; at least one row.
    weight : array_like, shape (m,), optional
        Weights of the rows, not negative, at least one above 0; default 1 each.
    outputs : int, optional
        Number of classes, where y holds class numbers and the last classes may have no row: label smoothing spreads
        over all classes. Default: the largest class number plus 1.

    Returns
    -------
    float
        The cost; infinite or NaN where y is not finite.

    Examples
    --------
    >>> from chainrule._baseline import constant_cost
    >>> constant_cost("squared_error", [1.0, 3.0])  # the mean, 2, costs 1/2 in each row
    0.5
    >>> constant_cost("absolute_error", [1.0, 3.0, 8.0], [1.0, 1.0, 2.0])
    3.0
    """
    name, parameters = to_core(loss)
    targets = np.asarray(y, dtype=np.float64)
    if targets.ndim == 1:
        targets = targets[:, None]
    w = np.ones(len(targets)) if weight is None else np.asarray(weight, dtype=np.float64)
    w = w / w.sum()
    traits = _core.LOSSES[name]
    if traits.output == "softmax":
        return _softmax_cost(targets, w, *parameters, outputs=outputs)
    if traits.of_mean:
        return sum([_cost_of_mean(name, parameters, column, w) for column in targets.T])
    if name == "quantile":
        return sum([_quantile_cost(targets[:, 0], w, level) for level in parameters or [0.5]])
    cost: Callable[[_Array, _Array], float] = {
        "absolute_error": lambda column, w: 2 * _quantile_cost(column, w, 0.5),
        "huber": lambda column, w: _huber_cost(column, w, *parameters),
    }[name]
    return sum([cost(column, w) for column in targets.T])


def _cost_of_mean(name: str, parameters: list[float], column: _Array, w: _Array) -> float:
    mean = np.clip(w @ column, column.min(), column.max())  # the sum of the weights may round to above 1
    with np.errstate(divide="ignore"):
        logit = float(_LINKS[_core.LOSSES[name].output](mean))
    if np.isinf(logit) and np.isfinite(mean):  # all targets are the least, or the greatest, possible one
        return 0.0
    return float(w @ _core.losses(np.full((len(column), 1), logit), column, (name, parameters)))


def _x_log_x(x: Any) -> Any:
    return x * np.log(np.where(x == 0, 1, x))


def _softmax_cost(targets: _Array, w: _Array, smoothing: float = 0.0, *, outputs: int | None = None) -> float:
    if targets.shape[1] == 1:
        shares: Any = np.bincount(targets[:, 0].astype(np.intp), weights=w, minlength=outputs or 0)
    else:
        shares = w @ targets
    shares = (1 - smoothing) * shares + smoothing / len(shares)
    return float(_x_log_x(shares.sum()) - _x_log_x(shares).sum())


def _weighted_quantile(column: _Array, w: _Array, level: float) -> float:
    """Return the lowest value at or below which at least this share of the weight lies."""
    order = np.argsort(column)
    place = int(np.searchsorted(np.cumsum(w[order]), level))
    return float(column[order[min(place, len(order) - 1)]])


def _quantile_cost(column: _Array, w: _Array, level: float) -> float:
    d = _weighted_quantile(column, w, level) - column
    return float(w @ np.maximum((1 - level) * d, -level * d))


def _huber_cost(column: _Array, w: _Array, delta: float = 1.0) -> float:
    """Find by bisection where the slope is 0: within delta of the median, where half of the weight pulls with delta."""
    middle = _weighted_quantile(column, w, 0.5)
    low, high = max(middle - delta, column.min()), min(middle + delta, column.max())
    for _ in range(30):
        z = (low + high) / 2
        if w @ np.clip(z - column, -delta, delta) > 0:
            high = z
        else:
            low = z
    d = abs(column - (low + high) / 2)
    c = np.minimum(d, delta)
    return float(w @ (c * (d - c / 2)))
