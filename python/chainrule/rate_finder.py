"""Tries learning rates on a copy of a network, from small to large, and suggests one."""

import dataclasses
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from chainrule._arguments import integer, real
from chainrule._core import DivergenceError
from chainrule._suggest import explained
from chainrule.network import Network
from chainrule.optimizers import LBFGS, Adam, Optimizer

_SMOOTHING = 0.9  # weight of the earlier costs in the smoothed cost
_TOO_HIGH = 4.0  # the search ends when the smoothed cost is this many times its first value


@explained
class LearningRateFinder:
    """Trains a copy of a network with a learning rate that grows at each step (Smith 2015), and suggests a rate.

    As long as the rate is too small, the cost hardly changes; then it falls, and once the rate is too large, it rises.
    The suggestion is a tenth of the rate at which the smoothed cost is lowest. The search ends when the smoothed cost
    is four times its first value, or not finite.

    Costs vary more between batches than one step changes them, so each cost is corrected: it is that of the step's
    batch, minus the cost of the unchanged network on the same rows, plus the cost of the unchanged network on all rows.

    Parameters
    ----------
    network : Network
        The network, which is not changed.
    X, y, sample_weight
        As for `Network.fit`. Each step uses `batch_size` rows, drawn with replacement.
    optimizer : Optimizer, optional
        Its learning rate is replaced. Default: `Adam`.
    batch_size : int, default 32
        Number of rows of a step.
    low, high : float, default 1e-7, 10
        The smallest and the largest rate to try; the rates between them are a geometric series.
    steps : int, default 100
        Number of rates.

    Attributes
    ----------
    rates, losses : ndarray of float64, shape (steps until the end,)
        The rate of each step, and the cost before it.
    smoothed : ndarray of float64
        Exponentially smoothed costs.
    suggestion : float
        The rate to try first.

    Raises
    ------
    ValueError, TypeError
        For L-BFGS, which has no such rate, a `low` that is not below `high`, and as for `Network.fit`.

    Examples
    --------
    >>> import chainrule as cr, numpy as np
    >>> X = np.random.default_rng(0).normal(size=(1000, 5))
    >>> net = cr.Network([5, 32, 1], activation="tanh", loss="squared_error", seed=0)
    >>> finder = cr.LearningRateFinder(net, X, X[:, 0] * X[:, 1])
    >>> 1e-3 < finder.suggestion < 0.3
    True
    """

    def __init__(
        self,
        network: Network,
        X: ArrayLike,
        y: ArrayLike,
        sample_weight: ArrayLike | None = None,
        *,
        optimizer: Optimizer | None = None,
        batch_size: int = 32,
        low: float = 1e-7,
        high: float = 10.0,
        steps: int = 100,
    ) -> None:
        chosen: Any = Adam() if optimizer is None else optimizer
        if isinstance(chosen, LBFGS):
            raise ValueError("LBFGS searches along a line in each step: its learning_rate needs no finder")
        low, high = real("low", low), real("high", high)
        if not 0 < low < high:
            raise ValueError(f"low must be above 0 and below high, got low={low} and high={high}")
        rates = np.geomspace(low, high, integer("steps", steps, low=2))
        rows: Any = X if hasattr(X, "tocsr") else np.asarray(X)
        targets = np.asanyarray(y)
        weight = None if sample_weight is None else np.asarray(sample_weight)
        layers = list(zip(network.weights, network.biases, strict=True))
        twin = Network(
            network.layer_sizes,
            activation=network.activations,
            loss=network.loss_spec,
            init=layers,
            dtype=network.dtype,
            seed=network.seed,
        )
        random = np.random.default_rng(network.seed)
        size = min(integer("batch_size", batch_size), len(targets))
        start = network.loss(X, y, sample_weight)
        state, losses = None, list[float]()
        for rate in rates.tolist():
            batch = random.integers(len(targets), size=size)
            part = rows[batch], targets[batch], None if weight is None else weight[batch]
            try:
                history = twin.fit(
                    *part[:2],
                    sample_weight=part[2],
                    optimizer=dataclasses.replace(chosen, learning_rate=rate),
                    epochs=1,
                    resume=state,
                    keep_state=True,
                )
            except DivergenceError:
                if not losses:
                    raise
                break
            state = history.state
            losses.append(start + float(history.loss[-1]) - network.loss(*part))
            if _smooth(np.array(losses))[-1] > _TOO_HIGH * start:
                break
        self.rates: NDArray[np.float64] = rates[: len(losses)]
        self.losses: NDArray[np.float64] = np.array(losses)
        self.smoothed = _smooth(self.losses)
        self.suggestion = float(self.rates[self.smoothed.argmin()]) / 10

    def __repr__(self) -> str:
        return f"LearningRateFinder(suggestion={self.suggestion:.3g})"

    def plot(self, path_or_axes: Any = None) -> Any:
        """Draw the costs against the rates: `plots.learning_rates`, which needs the extra ``plot``."""
        from chainrule.plots import learning_rates

        return learning_rates(self, path_or_axes)


def _smooth(losses: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return exponentially weighted means of the costs up to each one."""
    mean, smoothed = 0.0, []
    for step, loss in enumerate(losses.tolist(), 1):
        mean = _SMOOTHING * mean + (1 - _SMOOTHING) * loss
        smoothed.append(mean / (1 - _SMOOTHING**step))
    return np.array(smoothed)
