"""Scores of predictions: several for each task, with weights."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from chainrule import _core

_Scores = dict[str, float]


def score_classes(truth: NDArray[np.intp], probabilities: NDArray[Any], weight: NDArray[Any] | None = None) -> _Scores:
    """Return accuracy, balanced accuracy, AUC, log loss and Brier score by name.

    Parameters
    ----------
    truth : array of int
        Class numbers, shape (m,).
    probabilities : array
        Shape (m, classes).
    weight : array, optional
        Weights of the rows; default 1 each.

    Notes
    -----
    Balanced accuracy is the mean recall of the classes that occur. The AUC of several classes is the mean of the AUCs
    of each class against the rest; it is omitted if only one class occurs. The Brier score is the mean squared error of
    the probability of the second of two classes, and of several classes the sum over them, as in scikit-learn.
    """
    two = probabilities.shape[1] == 2
    loss = "binary_cross_entropy" if two else "softmax_cross_entropy"
    predicted = probabilities[:, 1:] if two else probabilities

    def score(metric: str) -> float:
        return _core.score(metric, loss, predicted, truth, weight)

    scores = {"accuracy": score("accuracy"), "balanced accuracy": score("balanced_accuracy")}
    present = np.flatnonzero(np.bincount(truth, weight))
    if len(present) > 1:
        columns = present[1:] if two else present
        one_against_rest = truth[:, np.newaxis] == columns
        scores["AUC"] = _core.score("auc", "binary_cross_entropy", probabilities[:, columns], one_against_rest, weight)
    of_truth = truth[:, np.newaxis] == np.arange(1 if two else 0, probabilities.shape[1])
    squares = ((predicted.astype(np.float64) - of_truth) ** 2).sum(axis=1)
    return {**scores, "log loss": score("log_loss"), "Brier": float(np.average(squares, weights=weight))}


def score_values(truth: NDArray[np.float64], predicted: NDArray[Any], weight: NDArray[Any] | None = None) -> _Scores:
    """Return RMSE, MAE and R² by name; R² is omitted if all values are the same."""
    metrics = {"RMSE": "rmse", "MAE": "mae", "R²": "r2"}
    scores = {
        name: _core.score(metric, "squared_error", predicted[:, np.newaxis], truth, weight)
        for name, metric in metrics.items()
    }
    return {name: value for name, value in scores.items() if not np.isnan(value)}


def as_text(scores: _Scores, trivial: tuple[str, float] | None = None) -> str:
    """Return scores on one line; the score of the trivial predictor follows the first one."""
    errors = {"RMSE", "MAE"}  # which have the target's unit
    parts = [f"{name} {value:.6g}" if name in errors else f"{name} {value:.4f}" for name, value in scores.items()]
    if trivial is not None:
        value = f"{trivial[1]:.6g}" if next(iter(scores)) in errors else f"{trivial[1]:.4f}"
        parts[0] += f" (always {trivial[0]}: {value})"
    return ", ".join(parts)
