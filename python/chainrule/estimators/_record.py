"""What a fit leaves in an estimator, curves, scores and the state of the optimizer; and what is said about it."""

import warnings
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from chainrule.estimators import _options, _sklearn
from chainrule.training import History

LOWER_IS_BETTER = ("validation", "log_loss", "mae", "rmse")


@dataclass
class OptimizerState:
    """What `partial_fit` goes on from.

    Attributes
    ----------
    learning_rate : float
        Of the next step.
    state : TrainingState
        Moments, averages and counts, as `Network.fit` takes them.
    """

    learning_rate: float
    state: Any


class Printer:
    """A callback that prints what scikit-learn prints."""

    def __init__(self, estimator: Any, watched: str | None) -> None:
        self._estimator, self._watched = estimator, watched
        self._rate = -np.inf

    def on_epoch_end(self, logs: dict[str, Any]) -> None:
        """Tell how an epoch went."""
        rate = logs["learning_rate"]
        if rate < self._rate and _options.is_adaptive(self._estimator):
            print(f"{no_improvement(self._estimator, self._watched)} Setting learning rate to {rate:f}")
        self._rate = rate
        print(f"Iteration {logs['epoch']}, loss = {logs['loss']:.8f}")
        if self._watched is not None:
            print(f"Validation score: {logs[self._watched]:f}")

    def on_train_end(self, history: History) -> None:
        """Tell why the training ended."""
        if history.stop_reason == "no_improvement":
            print(f"{no_improvement(self._estimator, self._watched)} Stopping.")
        elif history.stop_reason == "learning_rate_below":
            print(f"{no_improvement(self._estimator, self._watched)} Learning rate too small. Stopping.")


def watched_name(metrics: tuple[Any, ...]) -> str:
    """Name of what is watched of the validation data, in the history and in the logs of callbacks."""
    if not metrics:
        return "validation"
    return metrics[0] if isinstance(metrics[0], str) else str(metrics[0].__name__)


def no_improvement(estimator: Any, watched: str | None) -> str:
    """Say what did not improve."""
    what, epochs = "Training loss" if watched is None else "Validation score", estimator.n_iter_no_change
    return f"{what} did not improve more than tol={estimator.tol:f} for {epochs} consecutive epochs."


def begin(estimator: Any) -> None:
    """Set the attributes that a first fit starts from."""
    estimator.n_iter_ = estimator.t_ = estimator._no_improvement_count = 0
    estimator.loss_curve_ = []
    estimator.best_loss_ = np.inf
    estimator.validation_scores_ = estimator.best_validation_score_ = None


def record(estimator: Any, history: History, n_rows: int, watched: str | None) -> None:
    """Set the attributes that tell how a fit went; ``watched`` names what was watched on the validation data."""
    estimator.history_ = history
    estimator.n_iter_ = history.epochs
    estimator.t_ += n_rows * history.epochs
    estimator.loss_curve_ += history.loss.tolist()
    estimator.loss_ = estimator.loss_curve_[-1]
    if watched is None:
        estimator.best_loss_ = float(np.fmin.reduce(estimator.loss_curve_))
        losses = np.array(estimator.loss_curve_)
    else:
        scores = history.validation if watched == "validation" else history.metrics[watched]
        estimator.best_loss_ = None
        estimator.validation_scores_ = (estimator.validation_scores_ or []) + scores.tolist()
        estimator.best_validation_score_ = float(scores[history.best_epoch - 1])
        losses = np.array(estimator.validation_scores_) * (1 if watched in LOWER_IS_BETTER else -1)
    count = epochs_without_improvement(losses, estimator.tol)
    if _options.is_adaptive(estimator):
        lowered = np.flatnonzero(np.diff(history.learning_rate))
        count = min(count, history.epochs - 1 - int(lowered[-1])) if len(lowered) else count
    estimator._no_improvement_count = count
    rate = history.learning_rate[-1] if _options.is_adaptive(estimator) else _options.next_learning_rate(estimator)
    estimator._optimizer = OptimizerState(float(rate), history.state)


def epochs_without_improvement(losses: NDArray[np.float64], tol: float) -> int:
    """How many epochs ago the last one was whose loss was lower than the lowest before by ``tol``."""
    best = np.fmin.accumulate(losses)
    worse = losses[1:] > best[:-1] - tol
    return len(losses) - 1 - int(np.max(np.flatnonzero(~worse) + 1, initial=0))


def warn(estimator: Any, history: History) -> None:
    """Warn where the training did not end by itself."""
    if not _options.is_stochastic(estimator.solver):
        if history.stop_reason in ("epochs", "evaluations"):
            what = (
                f"{estimator.max_iter} iterations"
                if history.stop_reason == "epochs"
                else f"{estimator.max_fun} evaluations"
            )
            warnings.warn(
                f"lbfgs failed to converge after {history.epochs} iteration(s): the limit of {what} is reached.\n\n"
                "Increase the number of iterations to improve the convergence "
                f"(max_iter={estimator.max_iter}).\nYou might also want to scale the data.",
                _sklearn.exceptions.ConvergenceWarning,
                stacklevel=4,
            )
    elif history.stop_reason == "epochs":
        warnings.warn(
            f"Stochastic Optimizer: Maximum iterations ({estimator.max_iter}) "
            "reached and the optimization hasn't converged yet.",
            _sklearn.exceptions.ConvergenceWarning,
            stacklevel=4,
        )
