"""Trains the table estimators in stages and keeps the parameters after the stage that is best on held-out rows."""

import dataclasses
import functools
import time
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from chainrule import _core
from chainrule._core import DivergenceError
from chainrule.estimators._data import Data
from chainrule.estimators._recipe import Recipe
from chainrule.losses import to_core
from chainrule.many import fit_in_stages
from chainrule.network import Network
from chainrule.schedules import Cosine
from chainrule.training import Callbacks, History, Stop

_AT_ONCE = 8192  # held-out rows that are copied at a time


@dataclasses.dataclass(frozen=True)
class HeldOut:
    """The held-out rows of each network, on which the mean of the networks' logits is evaluated.

    Attributes
    ----------
    data : Data
        Rows, targets and weights.
    rows : array of int, or None
        The rows of `data` that any network holds out; None: all rows.
    parts : list of array of int or slice
        For each network, the positions of its held-out rows in `rows`; a slice means all of them.
    loss : str, loss or callable
        The loss of the evaluation.
    brier : bool
        Compare stages by the Brier score of the scaled probabilities instead of the cross-entropy.
    """

    data: Data
    rows: NDArray[np.intp] | None
    parts: Sequence[NDArray[np.intp] | slice]
    loss: Any
    brier: bool = False

    @functools.cached_property
    def y(self) -> NDArray[Any]:
        """The targets of the held-out rows."""
        return self.data.y if self.rows is None else self.data.y[self.rows]

    @functools.cached_property
    def weight(self) -> NDArray[Any] | None:
        """The weights of the held-out rows."""
        weight = self.data.weight
        return weight if weight is None or self.rows is None else weight[self.rows]

    @functools.cached_property
    def _counts(self) -> NDArray[Any]:
        """The number of networks that hold each row out."""
        counts = np.zeros((len(self.y), 1))
        for part in self.parts:
            counts[part] += 1
        return counts

    def _pieces(self, part: NDArray[np.intp] | slice) -> Iterator[tuple[Any, Any]]:
        """Yield positions in `rows` and the inputs of these rows, of which only some are copied at a time."""
        for start in range(0, len(self.y) if isinstance(part, slice) else len(part), _AT_ONCE):
            piece: Any = slice(start, start + _AT_ONCE)
            piece = piece if isinstance(part, slice) else part[piece]
            yield piece, self.data.X[piece if self.rows is None else self.rows[piece]]

    def logits(self, networks: Sequence[Network], n_threads: int | None) -> NDArray[Any]:
        """Compute the logits of each row: the mean over the networks that hold the row out."""
        total = np.zeros((len(self.y), networks[0].layer_sizes[-1]))
        for network, part in zip(networks, self.parts, strict=True):
            for piece, X in self._pieces(part):
                total[piece] += network.logits(X, n_threads=n_threads)
        mean: NDArray[Any] = total / self._counts
        return mean

    def cost_of(self, network: Network, n_threads: int | None) -> float:
        """Compute the cost of a network on all held-out rows."""
        costs, totals = [], []
        for piece, X in self._pieces(slice(None)):
            y, weight = self.y[piece], None if self.weight is None else self.weight[piece]
            there = ~np.ma.getmaskarray(y).reshape(len(y), -1)
            total = float(there.mean(axis=1) @ (np.ones(len(y)) if weight is None else weight))
            if total > 0:
                costs.append(network.loss(X, y, weight, n_threads=n_threads))
                totals.append(total)
        return float(np.average(costs, weights=totals))

    def losses(self, logits: NDArray[Any]) -> NDArray[Any]:
        """Compute the loss of each row, times its weight relative to the mean weight. A callable gives one value."""
        y, weight = self.y, self.weight
        if callable(self.loss):
            return np.array([float(self.loss(logits, y, weight)[0])])
        losses = _core.losses(logits, y, to_core(self.loss))
        return losses if weight is None else losses * (weight / weight.mean())

    def cost(self, logits: NDArray[Any]) -> float:
        """Compute the cost of logits. NaN becomes infinity."""
        return finite_mean(self.losses(logits))

    def scores(self, logits: NDArray[Any]) -> NDArray[Any]:
        """Compute the values by which stages are compared: the losses, or the Brier scores times the weights.

        The Brier score of a row is the squared distance between the probabilities and the indicator of the class. It is
        bounded: unlike the cross-entropy, it is not decided by a few rows with confident wrong predictions.
        """
        if not self.brier:
            return self.losses(logits)
        scaled = logits * self.best_scale(logits)
        shares = np.exp(scaled - scaled.max(axis=1, keepdims=True))
        shares /= shares.sum(axis=1, keepdims=True)
        shares[np.arange(len(shares)), self.y.astype(np.intp)] -= 1
        scores: NDArray[Any] = np.sum(np.square(shares), axis=1)
        weight = self.weight
        return scores if weight is None else scores * (weight / weight.mean())

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
    earlier : int
        The number of epochs of earlier stages, which the callbacks count too.
    epochs, trained : int
        After `run`: the numbers of epochs that led to the kept parameters, and of all epochs.
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
    earlier: int = 0
    epochs: int = dataclasses.field(default=0, init=False)
    trained: int = dataclasses.field(default=0, init=False)
    logits: NDArray[Any] | None = dataclasses.field(default=None, init=False)

    def run(self, seed: int) -> History:
        """Train; return a history with one entry per stage instead of per epoch."""
        self._begin = self._stage_begin = time.monotonic()
        self._losses: list[float] = []
        self._costs: list[float] = []
        self._of_rows: list[NDArray[Any]] = []
        self._best = 0  # the best stage, counted from 1
        self._reason = "epochs"
        n_rows = min(len(self.data) if rows is None else len(rows) for rows in self.rows)
        n_outputs, count = self.networks[0].layer_sizes[-1], len(self.networks)
        self._least_gain = self.recipe.least_gain(n_outputs)
        self._lengths = self.recipe.stages(n_rows, n_outputs, self.held_out is not None)
        at_once = min(self.n_threads or _core.get_num_threads(), count)
        try:
            fit_in_stages(
                self.networks,
                self.data.X,
                self.data.y,
                self._end_stage,
                rows=self.rows,
                sample_weight=self.data.weight,
                loss=self.loss,
                epochs=self._lengths[0],
                schedules={"learning_rate": Cosine(epochs=sum(self._lengths), warmup=1.0)},
                stop=None if np.isinf(self.seconds) else Stop(seconds=max(self.seconds, 1e-3) * at_once / count),
                seed=[seed + 1000 * i for i in range(count)],
                n_threads=self.n_threads,
                **self.recipe.fit_settings(self.networks[0].layer_sizes, n_rows),
            )
        except (DivergenceError, KeyboardInterrupt) as error:
            if not self._best:
                raise
            self._reason = "diverged" if isinstance(error, DivergenceError) else "interrupted"
        for network, values in zip(self.networks, self._parameters, strict=True):
            network.parameters[...] = values
        return History(
            loss=np.array(self._losses),
            validation=None if self.held_out is None else np.array(self._costs),
            metrics={},
            learning_rate=np.full(len(self._losses), self.recipe.learning_rate),
            epochs=len(self._losses),
            best_epoch=self._best,
            stop_reason=self._reason,
            seconds=time.monotonic() - self._begin,
            state=None,
            watched="loss" if self.held_out is None else "validation",
            skipped_updates=0,
        )

    def _end_stage(self, losses: list[float]) -> int:
        """Evaluate the networks after a stage; return the number of epochs of the next stage, or 0 to stop."""
        loss, logits = float(np.mean(losses)), None
        if self.held_out is None:
            self._of_rows.append(np.array([loss]))
        else:
            logits = self.held_out.logits(self.networks, self.n_threads)
            self._of_rows.append(self.held_out.scores(logits))
        self._losses.append(loss)
        self._costs.append(finite_mean(self._of_rows[-1]))
        done = len(self._losses)
        self.trained = sum(self._lengths[:done])
        if not self._best or self._costs[-1] < self._costs[self._best - 1]:
            self._best, self.epochs, self.logits = done, self.trained, logits
            self._parameters = [network.parameters.copy() for network in self.networks]
        duration = time.monotonic() - self._stage_begin
        logs = {
            "epoch": self.earlier + self.trained,
            "loss": loss,
            "validation": None if self.held_out is None else self._costs[-1],
            "learning_rate": self.recipe.learning_rate,
            "seconds": time.monotonic() - self._begin,
        }
        if self.callbacks.stop(logs):
            self._reason = "callback"
        elif not improves(self._of_rows, self._least_gain):
            self._reason = "no_improvement"
        elif done < len(self._lengths):
            self._stage_begin = time.monotonic()
            left = self.seconds - (self._stage_begin - self._begin)
            if duration * self._lengths[done] / self._lengths[done - 1] <= left:
                return self._lengths[done]
            self._reason = "seconds"
        return 0
