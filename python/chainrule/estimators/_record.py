"""Records the results of a fit in an estimator (curves, scores, the optimizer's state); prints lines and warnings."""

import dataclasses
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from chainrule._warn import warn
from chainrule.estimators import _options, _sklearn
from chainrule.estimators._data import Data
from chainrule.network import Network
from chainrule.optimizers import Optimizer
from chainrule.schedules import Cosine, OneCycle
from chainrule.training import History, TrainingState
from chainrule.validation import more_is_better


@dataclass
class OptimizerState:
    """The state from which `partial_fit` continues.

    Attributes
    ----------
    learning_rate : float
        Learning rate of the next step.
    state : TrainingState
        Moments, averages and counts, in the form that `Network.fit` takes.
    kind : str
        Class name of the optimizer.
    """

    learning_rate: float
    state: TrainingState | None
    kind: str

    def of_network(self, network: Network, optimizer: Optimizer) -> TrainingState | None:
        """Return the state with the current parameters of the network, which the user may have changed."""
        if self.state is None or self.kind != type(optimizer).__name__:  # interrupted, or another optimizer
            return None
        vectors = {name: vector for name, vector in self.state.vectors.items() if not name.startswith("best")}
        if "average" not in vectors:
            vectors["parameters"] = network.parameters
        return dataclasses.replace(
            self.state, vectors=vectors, numbers={**self.state.numbers, "best_epoch": np.zeros(1)}
        )


class Printer:
    """A callback that prints the same lines as scikit-learn."""

    def __init__(self, estimator: Any, watched: str | None) -> None:
        self._estimator, self._watched = estimator, watched
        self._rate = -np.inf

    def on_epoch_end(self, logs: dict[str, Any]) -> None:
        """Print the results of an epoch."""
        rate = logs["learning_rate"]
        if rate < self._rate and _options.is_adaptive(self._estimator):
            print(f"{no_improvement(self._estimator, self._watched)} Setting learning rate to {rate:f}")
        self._rate = rate
        print(f"Iteration {logs['epoch']}, loss = {logs['loss']:.8f}")
        if self._watched is not None:
            print(f"Validation score: {logs[self._watched]:f}")

    def on_train_end(self, history: History) -> None:
        """Print the reason why training ended."""
        if history.stop_reason == "no_improvement":
            print(f"{no_improvement(self._estimator, self._watched)} Stopping.")
        elif history.stop_reason == "learning_rate_below":
            print(f"{no_improvement(self._estimator, self._watched)} Learning rate too small. Stopping.")


def no_improvement(estimator: Any, watched: str | None) -> str:
    """Return the sentence that says what did not improve."""
    what, epochs = "Training loss" if watched is None else "Validation score", estimator.n_iter_no_change
    return f"{what} did not improve more than tol={estimator.tol:f} for {epochs} consecutive epochs."


def begin(estimator: Any) -> None:
    """Set the attributes to their values at the start of a fit."""
    estimator.n_iter_ = estimator.t_ = estimator._no_improvement_count = 0
    estimator.loss_curve_, estimator._learning_rates = [], []
    estimator.best_loss_ = np.inf
    estimator.validation_scores_ = estimator.best_validation_score_ = None


def with_diverged_epoch(history: History) -> History:
    """Return a history with one more epoch, in which everything is NaN."""

    def longer(values: NDArray[np.float64]) -> NDArray[np.float64]:
        return np.append(values, np.nan)

    return dataclasses.replace(
        history,
        loss=longer(history.loss),
        validation=None if history.validation is None else longer(history.validation),
        metrics={name: longer(values) for name, values in history.metrics.items()},
        learning_rate=longer(history.learning_rate),
        epochs=history.epochs + 1,
        best_epoch=history.best_epoch or 1,
    )


def record(
    estimator: Any, history: History, n_rows: int, loss: float, watched: str | None, metrics: tuple[Any, ...]
) -> None:
    """Set the attributes that describe a fit. ``loss`` is the last cost, ``watched`` names the watched value."""
    estimator.history_ = history
    estimator.n_iter_ = history.epochs
    estimator.t_ += n_rows * history.epochs
    estimator.loss_curve_ += history.loss.tolist()
    estimator.loss_ = loss
    if watched is None:
        estimator.best_loss_ = float(np.fmin.reduce(estimator.loss_curve_))
        losses = np.array(estimator.loss_curve_)
    else:
        assert history.validation is not None
        scores = history.validation if watched == "validation" else history.metrics[watched]
        estimator.best_loss_ = None
        estimator.validation_scores_ = (estimator.validation_scores_ or []) + scores.tolist()
        estimator.best_validation_score_ = float(scores[history.best_epoch - 1])
        losses = np.array(estimator.validation_scores_) * (-1 if metrics and more_is_better(metrics[0]) else 1)
        if history.watched == "validation":  # also if the metric could not be watched
            losses = history.validation
    estimator._learning_rates += history.learning_rate.tolist()
    count, rate = epochs_without_improvement(losses, estimator.tol), _options.next_learning_rate(estimator)
    if _options.is_adaptive(estimator):
        lowered = np.flatnonzero(np.diff(estimator._learning_rates) < 0)
        count = min(count, len(losses) - 1 - int(np.max(lowered, initial=-1)))
        rate = estimator._learning_rates[-1]
        if count > estimator.n_iter_no_change and history.stop_reason == "epochs":
            count, rate = 0, rate / 5
    estimator._no_improvement_count = count
    estimator._optimizer = OptimizerState(rate, history.state, type(_options.optimizer(estimator, rate)).__name__)


def epochs_without_improvement(losses: NDArray[np.float64], tol: float) -> int:
    """Count the epochs since the loss was last lower, by ``tol``, than in all earlier epochs."""
    best = np.fmin.accumulate(losses)
    worse = losses[1:] > best[:-1] - tol
    return len(losses) - 1 - int(np.max(np.flatnonzero(~worse) + 1, initial=0))


def warn_at_end(estimator: Any, history: History, data: Data | None, part: str) -> None:
    """Warn once if training has not converged, or if the network predicts the data no better than a constant."""
    useless = [] if data is None else _why_useless(estimator, data, part)
    unfinished = _why_unfinished(estimator, history)
    if unfinished or useless:
        warn(" ".join(unfinished + useless), _sklearn.exceptions.ConvergenceWarning if unfinished else UserWarning)


def _why_unfinished(estimator: Any, history: History) -> list[str]:
    """Return the reason why training has not converged; empty if it has."""
    if _options.is_stochastic(estimator.solver):
        if history.stop_reason == "epochs" and not isinstance(estimator.learning_rate, (Cosine, OneCycle)):
            return [
                f"Stochastic Optimizer: Maximum iterations ({estimator.max_iter}) "
                "reached and the optimization hasn't converged yet."
            ]
    elif history.stop_reason == "stalled":
        dtype = estimator.network_.dtype
        return [
            f"lbfgs stalled after {history.epochs} iteration(s) and did not converge: no step that {dtype} can "
            "represent lowers the cost. Scale the columns of X (and y) to a spread of about 1"
            + ("." if dtype == "float64" else ', or choose dtype="float64".')
        ]
    elif history.stop_reason not in ("converged", "no_improvement"):
        return [
            f"lbfgs failed to converge after {history.epochs} iteration(s) ({history.stop_reason}).\n\n"
            f"Increase the number of iterations to improve the convergence (max_iter={estimator.max_iter}).\n"
            "You might also want to scale the data."
        ]
    return []


def _why_useless(estimator: Any, data: Data, part: str) -> list[str]:
    """Return a warning with a remedy if the network predicts the data no better than a constant, otherwise nothing."""
    bound = estimator.loss_curve_[-1] if part == "training" else np.inf  # the last cost includes the penalty
    warning = estimator._no_better_than_constant(data, part, bound)
    if not warning:
        return []
    if hasattr(estimator, "encoder_"):
        remedy = "Try another learning_rate_init, a larger max_iter or a smaller alpha"
    else:
        scale_y = " and y (sklearn.compose.TransformedTargetRegressor)" if estimator._y_numeric else ""
        remedy = f"Scale X (sklearn.preprocessing.StandardScaler){scale_y}, or fit with preprocess=True"
    return [f"{warning} {remedy}."]
