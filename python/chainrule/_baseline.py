"""The cost of the best constant prediction. A model whose cost is not lower has learned nothing."""

import math
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from chainrule import _core
from chainrule.losses import Loss, to_core

_Array = NDArray[np.float64]

# The inverse of each output activation: the logit of a prediction.
_LINKS: dict[str, Callable[[Any], Any]] = {
    "identity": lambda mean: mean,
    "logistic": lambda mean: np.log(mean) - np.log1p(-mean),
    "exp": np.log,
}


def constant_cost(loss: Loss, y: ArrayLike, weight: ArrayLike | None = None, *, outputs: int | None = None) -> float:
    """Compute the lowest possible cost of a model with the same logits for every row, in float64.

    This is the minimum over z of `cost` without a penalty, ``(1/Σw) Σ_i w_i L(z, y_i)``. If the best constant is
    neither the mean nor a quantile, a search finds it to one part in a million of the range of y. The cost is flat
    there, so the relative error of the result is only about 1e-12.

    Parameters
    ----------
    loss : str or loss such as Huber
        A built-in loss.
    y : array_like, shape (m,) or (m, n_L)
        Targets as the loss expects them (see `cost`); at least one row. It may be masked, see `Network.fit`.
    weight : array_like, shape (m,), optional
        Weights of the rows, not negative, at least one above 0; default 1 each.
    outputs : int, optional
        Number of classes, needed if y holds class numbers and the last classes may have no rows, because label
        smoothing spreads over all classes. Default: the largest class number plus 1.

    Returns
    -------
    float
        The cost; infinite or NaN if y is not finite.

    Examples
    --------
    >>> from chainrule._baseline import constant_cost
    >>> constant_cost("squared_error", [1.0, 3.0])  # predicting the mean, 2, costs 1/2 in each row
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
    if traits.one_per_output:
        return sum([_lowest_cost((name, [value]), targets[:, 0], w) for value in parameters or [traits.default]])
    if not np.ma.is_masked(y):
        return sum([_lowest_cost((name, parameters), column, w) for column in targets.T])
    there = ~np.ma.getmaskarray(np.ma.asarray(y)).T
    weights = [w[rows] for rows in there]
    total = np.array([part.sum() for part in weights])
    lowest = [
        _lowest_cost((name, parameters), column[rows], part / part.sum())
        for column, rows, part in zip(targets.T, there, weights, strict=True)
    ]
    return float(len(total) * (total @ lowest) / total.sum())


def _lowest_cost(loss: tuple[str, list[float]], column: _Array, w: _Array) -> float:
    """Compute the lowest cost of one output."""
    traits = _core.LOSSES[loss[0]]

    def cost(logit: float) -> float:
        return float(w @ _core.losses(np.full((len(column), 1), logit), column, loss))

    if traits.best_constant == "mean":
        mean = np.clip(w @ column, column.min(), column.max())  # rounding may make the sum of the weights exceed 1
        with np.errstate(divide="ignore"):
            logit = float(_LINKS[traits.output](mean))
        if np.isinf(logit) and np.isfinite(mean):  # all targets are at the same end of the allowed range
            return 0.0
        return cost(logit)
    if traits.best_constant == "quantile":
        return cost(_weighted_quantile(column, w, loss[1][0] if traits.one_per_output else 0.5))
    return _minimum(cost, float(column.min()), float(column.max()))


def _weighted_quantile(column: _Array, w: _Array, level: float) -> float:
    """Return the weighted quantile: the lowest value with at least this share of the weight at or below it."""
    order = np.argsort(column)
    place = int(np.searchsorted(np.cumsum(w[order]), level))
    return float(column[order[min(place, len(order) - 1)]])


def _minimum(cost: Callable[[float], float], low: float, high: float) -> float:
    """Find the minimum of a convex function between two points by golden-section search."""
    ratio = (math.sqrt(5) - 1) / 2
    left, right = high - ratio * (high - low), low + ratio * (high - low)
    at_left, at_right = cost(left), cost(right)
    for _ in range(29):  # ratio^29 is 1e-6
        if at_left < at_right:
            high, right, at_right = right, left, at_left
            left = high - ratio * (high - low)
            at_left = cost(left)
        else:
            low, left, at_left = left, right, at_right
            right = low + ratio * (high - low)
            at_right = cost(right)
    return min(at_left, at_right)


def _x_log_x(x: Any) -> Any:
    return x * np.log(np.where(x == 0, 1, x))


def _softmax_cost(targets: _Array, w: _Array, smoothing: float = 0.0, *, outputs: int | None = None) -> float:
    if targets.shape[1] == 1:
        shares: Any = np.bincount(targets[:, 0].astype(np.intp), weights=w, minlength=outputs or 0)
    else:
        shares = w @ targets
    shares = (1 - smoothing) * shares + smoothing / len(shares)
    return float(_x_log_x(shares.sum()) - _x_log_x(shares).sum())
