"""Trains the table estimators in stages and keeps the parameters after the stage that is best on held-out rows."""

import dataclasses
import functools
import time
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from chainrule import _core
from chainrule._core import DivergenceError
from chainrule.estimators._data import Data
from chainrule.estimators._recipe import Recipe
from chainrule.losses import to_core
from chainrule.many import fit_many
from chainrule.network import Network
from chainrule.schedules import Cosine
from chainrule.training import Callbacks, History, Stop, TrainingState


@dataclasses.dataclass(frozen=True)
class HeldOut:
    """The held-out rows of each network, on which the mean of the networks' logits is evaluated.

    Attributes
    ----------
    data : Data
        Rows, targets and weights of all rows that any network holds out.
    parts : list of array of int or slice
        For each network, the positions of its held-out rows in `data`; a slice means all of them.
    loss : str, loss or callable
        The loss of the evaluation.
    """

    data: Data
    parts: Sequence[NDArray[np.intp] | slice]
    loss: Any

    @functools.cached_property
    def _inputs(self) -> list[Any]:
        """The inputs of the held-out rows of each network."""
        return [self.data.X if isinstance(part, slice) else self.data.X[part] for part in self.parts]

    @functools.cached_property
    def _counts(self) -> NDArray[Any]:
        """The number of networks that hold each row out."""
        counts = np.zeros((len(self.data), 1))
        for part in self.parts:
            counts[part] += 1
        return counts

    def logits(self, networks: Sequence[Network], n_threads: int | None) -> NDArray[Any]:
        """Compute the logits of each row: the mean over the networks that hold the row out."""
        total = np.zeros((len(self.data), networks[0].layer_sizes[-1]))
        for network, part, X in zip(networks, self.parts, self._inputs, strict=True):
            total[part] += network.logits(X, n_threads=n_threads)
        mean: NDArray[Any] = total / self._counts
        return mean

    def losses(self, logits: NDArray[Any]) -> NDArray[Any]:
        """Compute the loss of each row, times its weight relative to the mean weight. A callable gives one value."""
        y, weight = self.data.y, self.data.weight
        if callable(self.loss):
            return np.array([float(self.loss(logits, y, weight)[0])])
        losses = _core.losses(logits, y, to_core(self.loss))
        return losses if weight is None else losses * (weight / weight.mean())

    def cost(self, logits: NDArray[Any]) -> float:
        """Compute the cost of logits. NaN becomes infinity."""
        return finite_mean(self.losses(logits))

    def best_scale(self, logits: NDArray[Any]) -> float:
        """Find the factor of the logits (inverse temperature) that minimizes the cross-entropy."""
        low, high = -1.5, 1.5  # the logarithm of the factor
        for _ in range(20):  # the cost is convex in the factor: ternary search
            third = (high - low) / 3
            if self.cost(logits * np.exp(low + third)) < self.cost(logits * np.exp(high - third)):
                high -= third
            else:
                low += third
        return float(np.exp((low + high) / 2))


def finite_mean(losses: NDArray[Any]) -> float:
    """Return the mean, or infinity if it is not finite."""
    cost = float(np.mean(losses))
    return cost if np.isfinite(cost) else np.inf


def improves(stages: Sequence[NDArray[Any]], least_gain: float) -> bool:
    """Return whether the last two stages lowered the cost of the held-out rows.

    The lower cost of the two is compared with the lowest cost of the earlier stages. It must be lower by the fraction
    `least_gain`, or miss this limit by less than half a standard error of the differences between the rows' losses.

    Parameters
    ----------
    stages : sequence of arrays
        The losses of the held-out rows after each stage so far.
    """
    if len(stages) < 3:
        return True
    before, last = min(stages[:-2], key=finite_mean), min(stages[-2:], key=finite_mean)
    cost = finite_mean(before)
    if not np.isfinite(cost):
        return True
    difference = last - before
    rise = float(np.mean(difference)) + least_gain * abs(cost)
    return rise < 0 or rise < 0.5 * float(np.std(difference)) / np.sqrt(len(difference))


@dataclasses.dataclass
class Stages:
    """Trains networks with a falling learning rate, in stages, after each of which the held-out rows are evaluated.

    Attributes
    ----------
    networks : list of Network
        Trained in place; at the end each has the parameters of the best stage.
    data : Data
        All rows to train on, encoded.
    rows : list of array of int, or None
        For each network, the rows of `data` to train on.
    held_out : HeldOut or None
        Rows on which stages are compared. None: there is a single stage, and the training cost is reported.
    epochs : int
        After `run`: the number of epochs that led to the kept parameters.
    logits : array or None
        After `run`: the logits of the held-out rows with the kept parameters.
    """

    recipe: Recipe
    networks: Sequence[Network]
    data: Data
    rows: list[Any]
    held_out: HeldOut | None
    loss: Any  # callable or None
    seconds: float
    n_threads: int | None
    callbacks: Callbacks
    epochs: int = dataclasses.field(default=0, init=False)
    logits: NDArray[Any] | None = dataclasses.field(default=None, init=False)
    _states: list[TrainingState | None] = dataclasses.field(default_factory=list, init=False)

    def run(self, seed: int) -> History:
        """Train; return a history with one entry per stage instead of per epoch."""
        begin = time.monotonic()
        losses: list[float] = []
        costs: list[float] = []
        of_rows: list[NDArray[Any]] = []
        best, reason, epochs, duration, logits = None, "epochs", 0, 0.0, None
        n_rows = min(len(self.data) if rows is None else len(rows) for rows in self.rows)
        n_outputs = self.networks[0].layer_sizes[-1]
        lengths = self.recipe.stages(n_rows, n_outputs, self.held_out is not None)
        settings = self.recipe.fit_settings(self.data.X.shape[1], n_rows)
        settings["schedules"] = {"learning_rate": Cosine(epochs=sum(lengths), warmup=1.0)}
        self._states = [None] * len(self.networks)
        for stage, length in enumerate(lengths):
            left = self.seconds - (time.monotonic() - begin)
            if stage and duration * length / lengths[stage - 1] > left:
                reason = "seconds"
                break
            start = time.monotonic()
            try:
                loss = self._fit({**settings, "epochs": length}, seed, left)
                if self.held_out is None:
                    of_rows.append(np.array([loss]))
                else:
                    logits = self.held_out.logits(self.networks, self.n_threads)
                    of_rows.append(self.held_out.losses(logits))
            except (DivergenceError, KeyboardInterrupt) as error:
                if best is None:
                    raise
                reason = "diverged" if isinstance(error, DivergenceError) else "interrupted"
                break
            duration = time.monotonic() - start
            epochs += length
            losses.append(loss)
            costs.append(finite_mean(of_rows[-1]))
            if best is None or costs[-1] < costs[best]:
                best, self.epochs, self.logits = stage, epochs, logits
                parameters = [network.parameters.copy() for network in self.networks]
            logs = {
                "epoch": epochs,
                "loss": loss,
                "validation": None if self.held_out is None else costs[-1],
                "learning_rate": self.recipe.learning_rate,
                "seconds": time.monotonic() - begin,
            }
            try:
                stops = self.callbacks.stop(logs)
            except KeyboardInterrupt:
                reason = "interrupted"
                break
            if stops:
                reason = "callback"
                break
            if not improves(of_rows, self.recipe.least_gain(n_outputs)):
                reason = "no_improvement"
                break
        for network, values in zip(self.networks, parameters, strict=True):
            network.parameters[...] = values
        assert best is not None
        return History(
            loss=np.array(losses),
            validation=None if self.held_out is None else np.array(costs),
            metrics={},
            learning_rate=np.full(len(losses), self.recipe.learning_rate),
            epochs=len(losses),
            best_epoch=best + 1,
            stop_reason=reason,
            seconds=time.monotonic() - begin,
            state=None,
            watched="loss" if self.held_out is None else "validation",
            skipped_updates=0,
        )

    def _fit(self, settings: dict[str, Any], seed: int, seconds: float) -> float:
        """Train every network for a stage; return the mean of their last costs."""
        at_once = min(self.n_threads or _core.get_num_threads(), len(self.networks))
        stop = None if np.isinf(seconds) else Stop(seconds=max(seconds, 1e-3) * at_once / len(self.networks))
        results = fit_many(
            self.networks,
            self.data.X,
            self.data.y,
            rows=self.rows,
            sample_weight=self.data.weight,
            loss=self.loss,
            stop=stop,
            seed=[seed + 1000 * i for i in range(len(self.networks))],
            n_threads=self.n_threads,
            resume=self._states,
            keep_state=True,
            **settings,
        )
        histories = []
        for result in results:
            if isinstance(result, Exception):
                raise result
            histories.append(result)
        self._states = [history.state for history in histories]
        return float(np.mean([history.loss[-1] for history in histories]))
