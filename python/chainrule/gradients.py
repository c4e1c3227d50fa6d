"""The gradient check: backpropagation against finite differences."""

import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from chainrule._names import ActivationName
from chainrule._suggest import explained
from chainrule.functional import Array, Params, backward, check_layers, cost, forward
from chainrule.losses import Loss


@dataclass(frozen=True)
class WorstElement:
    """The parameter of one layer whose two derivatives differ most."""

    layer: int
    name: str
    backward: float
    difference: float
    relative_error: float


@dataclass(frozen=True)
class GradientReport:
    """The result of `check_gradients`; ``print`` shows it as a table.

    Attributes
    ----------
    relative_error : float
        ``max |backward - difference| / max(|backward|, |difference|)``, where each maximum is taken separately over all
        parameters.
    compared : int
        Number of derivatives that were compared, which is the number of parameters.
    layers : tuple of WorstElement
        For every layer, the element whose two derivatives differ most, and the relative error of the layer.
    derivatives : tuple of (ndarray, ndarray)
        For every layer, the derivatives of backward and the finite differences, with respect to W row by row, then b.

    Examples
    --------
    >>> import chainrule as cr
    >>> report = cr.check_gradients([([[1.0]], [0.0])], [[3.0], [5.0]], [2.0, 5.0], loss="squared_error")
    >>> print(report)  # doctest: +ELLIPSIS
    2 derivatives, relative error ...
    layer  worst               backward    difference  relative error
        1  ...
    """

    relative_error: float
    compared: int
    layers: tuple[WorstElement, ...]
    derivatives: tuple[tuple[Array, Array], ...] = field(repr=False, compare=False)

    def __str__(self) -> str:
        lines = [
            f"{self.compared} derivatives, relative error {self.relative_error:.1e}",
            f"{'layer':>5}  {'worst':<14}{'backward':>14}{'difference':>14}{'relative error':>16}",
        ]
        for w in self.layers:
            lines.append(f"{w.layer:>5}  {w.name:<14}{w.backward:>14.6g}{w.difference:>14.6g}{w.relative_error:>16.1e}")
        return "\n".join(lines)

    def plot(self, path_or_axes: "str | os.PathLike[str] | Any" = None) -> Any:
        """Draw the error of each derivative: `plots.gradient_check`, which needs the extra ``plot``.

        Examples
        --------
        >>> import chainrule as cr
        >>> params = cr.init_params([2, 3, 1], seed=0)
        >>> report = cr.check_gradients(params, [[0.0, 1.0]], [1.0], activation="tanh", loss="binary_cross_entropy")
        >>> axes = report.plot("gradients.png")  # doctest: +SKIP
        """
        from chainrule.plots import gradient_check

        return gradient_check(self, path_or_axes)


@explained
def check_gradients(
    params: Params,
    X: ArrayLike,
    Y: ArrayLike,
    *,
    activation: ActivationName | Sequence[ActivationName] = "relu",
    loss: Loss,
    sample_weight: ArrayLike | None = None,
    l2: float = 0.0,
) -> GradientReport:
    """Compare `backward` with central differences ``(J(θ + h) - J(θ - h)) / 2h`` for every parameter, in float64.

    The step is ``h = 1e-6 max(1, |θ|)``. Expect a relative error below 1e-6. If the input of a relu is within h of 0,
    where it has a kink, the two may differ although both are correct. This takes two forward passes per parameter.

    Parameters
    ----------
    params : list of (W, b)
        The parameters, which are converted to float64 and not changed.
    X, Y, activation, loss, sample_weight, l2
        See `forward` and `cost`.

    Returns
    -------
    GradientReport
        The result, which prints as a table. NaN counts as the largest difference.

    Raises
    ------
    ValueError, TypeError
        As for `forward` and `cost`.

    Examples
    --------
    >>> import chainrule as cr
    >>> params = cr.init_params([2, 3, 1], seed=0)
    >>> X, Y = [[0.0, 0.0], [0.0, 1.0], [1.0, 0.0], [1.0, 1.0]], [0, 1, 1, 0]
    >>> report = cr.check_gradients(params, X, Y, activation="tanh", loss="binary_cross_entropy")
    >>> report.compared, report.relative_error < 1e-6
    (13, True)
    """
    check_layers("params", params)
    theta = [(_copy(W), _copy(b)) for W, b in params]
    cache = forward(theta, X, activation=activation, loss=loss)

    def evaluate() -> float:
        return cost(theta, forward(theta, cache.a[0], activation=activation, loss=loss), Y, sample_weight, l2)

    return compare(theta, backward(theta, cache, Y, sample_weight, l2), evaluate)


def compare(
    theta: Sequence[tuple[Array, Array]], gradients: Sequence[tuple[Array, Array]], evaluate: Callable[[], float]
) -> GradientReport:
    """Compare gradients with respect to theta with finite differences of ``evaluate()``, which depends on theta."""
    layers, errors, scales, derivatives = [], [], [], []
    for layer, (arrays, exact) in enumerate(zip(theta, gradients, strict=True), 1):
        names = [f"{letter}{list(i)}" for letter, x in zip("Wb", arrays, strict=True) for i in np.ndindex(x.shape)]
        computed = np.concatenate([gradient.ravel() for gradient in exact])
        differences = np.array([d for x in arrays for d in _differences(x, evaluate)])
        derivatives.append((computed, differences))
        error = abs(computed - differences)
        worst = int(error.argmax())  # a NaN counts as the largest
        errors.append(float(error[worst]))
        scales.append(float(np.maximum(abs(computed), abs(differences)).max()))
        relative = _ratio(errors[-1], scales[-1])
        layers.append(WorstElement(layer, names[worst], float(computed[worst]), float(differences[worst]), relative))
    compared = sum(W.size + b.size for W, b in theta)
    return GradientReport(_ratio(np.max(errors), np.max(scales)), compared, tuple(layers), tuple(derivatives))


def _ratio(error: float, scale: float) -> float:
    return float(error / scale) if scale else 0.0


def _copy(x: ArrayLike) -> NDArray[np.float64]:
    return np.asarray(x).astype(np.float64, order="C", casting="same_kind")


def _differences(x: Array, evaluate: Callable[[], float]) -> Iterator[float]:
    for i in np.ndindex(x.shape):
        value = float(x[i])
        h = 1e-6 * max(1.0, abs(value))
        x[i] = above = value + h
        cost_above = evaluate()
        x[i] = below = value - h
        cost_below = evaluate()
        x[i] = value
        yield (cost_above - cost_below) / (above - below)
