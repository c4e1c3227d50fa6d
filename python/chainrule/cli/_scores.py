"""How well predictions fit: several scores of each task, with weights, in NumPy."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

_Scores = dict[str, float]
_CERTAIN = float(np.finfo(np.float32).eps)  # probabilities are float32; keeps the logarithm of 0 finite


def score_classes(truth: NDArray[np.intp], probabilities: NDArray[Any], weight: NDArray[Any] | None = None) -> _Scores:
    """Return accuracy, balanced accuracy, AUC and log loss by name.

    Parameters
    ----------
    truth : array of int
        Class numbers, shape (m,).
    probabilities : array
        Shape (m, classes).
    weight : array, optional
        Of the rows; default 1 each.

    Notes
    -----
    Balanced accuracy is the mean, over the classes that occur, of the part of a class that is recognised. The AUC of
    several classes is the mean over those of one against the rest; it is absent where one class alone occurs.
    """
    weights = np.ones(len(truth)) if weight is None else np.asarray(weight, dtype=np.float64)
    right = probabilities.argmax(axis=1) == truth
    of_class = np.bincount(truth, weights, minlength=probabilities.shape[1])
    found = np.bincount(truth, weights * right, minlength=probabilities.shape[1])
    present = np.flatnonzero(of_class > 0)
    scores = {"accuracy": float(np.average(right, weights=weights))}
    scores["balanced accuracy"] = float(np.mean(found[present] / of_class[present]))
    if len(present) > 1:
        columns = [1] if probabilities.shape[1] == 2 else present
        areas = [area_under_roc(truth == column, probabilities[:, column], weights) for column in columns]
        scores["AUC"] = float(np.mean(areas))
    chosen = np.asarray(probabilities[np.arange(len(truth)), truth], dtype=np.float64)
    scores["log loss"] = float(np.average(-np.log(np.maximum(chosen, _CERTAIN)), weights=weights))
    return scores


def area_under_roc(positive: NDArray[np.bool_], values: NDArray[Any], weight: NDArray[Any]) -> float:
    """Return the probability that a positive row has a larger value than another; equal values count half.

    Examples
    --------
    >>> import numpy as np
    >>> from chainrule.cli._scores import area_under_roc
    >>> area_under_roc(np.array([False, True, True]), np.array([0.1, 0.1, 0.9]), np.ones(3))
    0.75
    """
    _, place = np.unique(values, return_inverse=True)
    positives, negatives = np.bincount(place, weight * positive), np.bincount(place, weight * ~positive)
    below = np.cumsum(negatives) - negatives
    return float((positives * (below + negatives / 2)).sum() / (positives.sum() * negatives.sum()))


def score_values(truth: NDArray[np.float64], predicted: NDArray[Any], weight: NDArray[Any] | None = None) -> _Scores:
    """Return RMSE, MAE and R² by name; R² is absent where all values are the same."""
    errors = predicted - truth
    scores = {"RMSE": float(np.sqrt(np.average(errors**2, weights=weight)))}
    scores["MAE"] = float(np.average(np.abs(errors), weights=weight))
    spread = np.average((truth - np.average(truth, weights=weight)) ** 2, weights=weight)
    if spread > 0:
        scores["R²"] = 1 - scores["RMSE"] ** 2 / float(spread)
    return scores


def as_text(scores: _Scores, trivial: tuple[str, float] | None = None) -> str:
    """Return scores on one line, the trivial predictor's behind the first."""
    errors = {"RMSE", "MAE"}  # which have the target's unit
    parts = [f"{name} {value:.6g}" if name in errors else f"{name} {value:.4f}" for name, value in scores.items()]
    if trivial is not None:
        value = f"{trivial[1]:.6g}" if next(iter(scores)) in errors else f"{trivial[1]:.4f}"
        parts[0] += f" (always {trivial[0]}: {value})"
    return ", ".join(parts)
