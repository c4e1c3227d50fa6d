"""Plots of learning curves, decision regions, the gradient check, and networks. They need the extra `plot`.

Each function takes a file to write or matplotlib axes to draw on, and returns the axes. The colors are those of Okabe
and Ito, which color-blind people can distinguish. Everything shown by color is also shown by shape, width or text.
"""

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray

from chainrule import _core
from chainrule._arguments import integer
from chainrule._optional import require
from chainrule._suggest import explained

PathOrAxes: TypeAlias = "str | os.PathLike[str] | Any"
_Floats: TypeAlias = NDArray[np.floating[Any]]

COLORS = ("#0072B2", "#D55E00", "#009E73", "#E69F00", "#CC79A7", "#56B4E9", "#F0E442", "#000000")
MARKERS = ("o", "s", "^", "D", "v", "P", "X", "*")
_POSITIVE, _NEGATIVE = COLORS[0], COLORS[1]
_GRAY = "0.45"


@explained
def learning_curves(history: Any, path_or_axes: PathOrAxes = None, *, unit: str = "epoch") -> Any:
    """Draw learning curves, with a thin line at the best epoch. `History.plot` calls this.

    Parameters
    ----------
    history : History
        The costs and metrics to draw.
    path_or_axes : str or path or matplotlib Axes, optional
        See `decision_regions`.
    unit : str, default "epoch"
        Label of the horizontal axis: the unit of the entries of the history, such as "stage" for a table estimator.

    Examples
    --------
    >>> import chainrule as cr
    >>> history = cr.Network([1, 1], loss="squared_error", seed=0).fit([[-1.0], [1.0]], [-1.0, 1.0], epochs=3)
    >>> axes = cr.plots.learning_curves(history, "learning_curves.png")  # doctest: +SKIP
    """
    curves = dict(history.metrics)
    if np.ptp(history.learning_rate) > 0:
        curves["learning rate"] = history.learning_rate
    with _drawing(path_or_axes, figsize=(6.4, 4.8), below=len(curves)) as (axes, *others):
        epochs = np.arange(1, history.epochs + 1)
        style = {"marker": "o"} if history.epochs == 1 else {}  # a single point would not show as a line
        axes.plot(epochs, history.loss, color=COLORS[0], label="training", **style)
        if history.validation is not None:
            axes.plot(epochs, history.validation, color=COLORS[1], label="validation", **style)
        for panel, (name, values) in zip(others, curves.items(), strict=False):
            panel.plot(epochs, values, color=COLORS[2 if name in history.metrics else 7], **style)
            panel.set_ylabel(name)
        if history.validation is not None and history.best_epoch:
            label = f"best {history.watched}: {unit} {history.best_epoch}"
            for panel in (axes, *others):
                panel.axvline(history.best_epoch, color="gray", linewidth=0.8, zorder=1, label=label)
        ticks = {"integer": True, "min_n_ticks": 1, "steps": [1, 2, 5, 10]}
        axes.xaxis.set_major_locator(require("matplotlib.ticker", "plot").MaxNLocator("auto", **ticks))
        axes.set(ylabel="cost", title=f"stopped by: {history.stop_reason}")
        [axes, *others][-1].set_xlabel(unit)
        axes.legend()
    return axes


@explained
def learning_rates(finder: Any, path_or_axes: PathOrAxes = None) -> Any:
    """Draw the cost of each step against its learning rate, and the suggestion. `LearningRateFinder.plot` calls this.

    Parameters
    ----------
    finder : LearningRateFinder
        The rates and costs to draw.
    path_or_axes : str or path or matplotlib Axes, optional
        See `decision_regions`.

    Examples
    --------
    >>> import chainrule as cr
    >>> net = cr.Network([1, 4, 1], loss="squared_error", seed=0)
    >>> finder = cr.LearningRateFinder(net, [[-1.0], [1.0]], [-1.0, 1.0])
    >>> axes = cr.plots.learning_rates(finder, "rates.png")  # doctest: +SKIP
    """
    with _drawing(path_or_axes, figsize=(6.4, 4.8)) as (axes,):
        axes.plot(finder.rates, finder.losses, color=_GRAY, linewidth=0.7, label="cost of the batch")
        axes.plot(finder.rates, finder.smoothed, color=COLORS[0], label="smoothed")
        axes.axvline(finder.suggestion, color=COLORS[1], label=f"suggestion: {finder.suggestion:.2g}")
        top = 1.1 * float(finder.smoothed.max())
        axes.set(
            xscale="log", ylim=(min(0.0, float(finder.smoothed.min())), top), xlabel="learning rate", ylabel="cost"
        )
        axes.legend()
    return axes


@explained
def gradient_check(report: Any, path_or_axes: PathOrAxes = None) -> Any:
    """Draw the error of each derivative against its size, and the expected limit. `GradientReport.plot` calls this.

    Parameters
    ----------
    report : GradientReport
        The result of `check_gradients`.
    path_or_axes : str or path or matplotlib Axes, optional
        See `decision_regions`.

    Examples
    --------
    >>> import chainrule as cr
    >>> report = cr.check_gradients([([[1.0]], [0.0])], [[3.0], [5.0]], [2.0, 5.0], loss="squared_error")
    >>> axes = cr.plots.gradient_check(report, "gradients.png")  # doctest: +SKIP
    """
    layers = [(abs(difference), abs(backward - difference)) for backward, difference in report.derivatives]
    sizes, errors = (np.concatenate(part) for part in zip(*layers, strict=True))
    largest = float(np.nanmax(np.maximum(sizes, errors), initial=0.0)) or 1.0
    floor = largest * 1e-18  # so that zeros can be drawn on logarithmic axes
    low, high = float(max(sizes[sizes > 0].min(initial=largest), floor)), 3 * largest
    bottom = float(max(errors[errors > 0].min(initial=largest * 1e-12), floor)) / 10
    with _drawing(path_or_axes) as (axes,):
        for i, (size, error) in enumerate(layers):
            shown = np.maximum(np.nan_to_num(size, nan=low), low), np.maximum(np.nan_to_num(error, nan=high), bottom)
            style = {"marker": MARKERS[i % len(MARKERS)], "color": COLORS[i % len(COLORS)]}
            axes.scatter(*shown, s=22, alpha=0.65, linewidths=0, label=f"layer {i + 1}", rasterized=True, **style)
        limit = 1e-6 * largest
        top = 3 * max(float(np.nanmax(errors, initial=0.0)), limit)
        axes.axhspan(limit, 10 * top, color=COLORS[1], alpha=0.12, linewidth=0)
        axes.axhline(limit, color=COLORS[1], linewidth=1)
        axes.set(xscale="log", yscale="log", xlim=(low / 3, high), ylim=(bottom / 3, 10 * top))
        axes.text(high / 1.2, limit * 1.5, "1e-6 of the largest", color=COLORS[1], ha="right", va="bottom", fontsize=9)
        verdict = f"{report.compared} derivatives, relative error {report.relative_error:.1e}"
        axes.set(xlabel="|finite difference|", ylabel="|backward - finite difference|", title=verdict)
        axes.grid(alpha=0.25, linewidth=0.6)
        axes.legend(loc="lower right")
    return axes


@explained
def decision_regions(
    model: Any, X: Any, y: ArrayLike, path_or_axes: PathOrAxes = None, *, resolution: int = 300
) -> Any:
    """Draw the predictions of a model of two features over the plane, with the data on top.

    Each class has a color and a marker. The higher the predicted probability, the stronger the color of a region. Lines
    separate the predicted classes. Predictions of a single value are drawn as filled contours with a scale.

    Parameters
    ----------
    model : Network or estimator
        An estimator with ``predict_proba`` and ``classes_`` is a classifier, one with only ``predict`` a regressor.
    X : array_like, shape (m, 2)
        The data. If it is a data frame, the names of its columns label the axes.
    y : array_like, shape (m,)
        Classes of the model, or values.
    path_or_axes : str or path or matplotlib Axes, optional
        A file to write (its suffix sets the format), or axes to draw on. Default: axes of a new pyplot figure.
    resolution : int, default 300
        Number of points along each axis.

    Returns
    -------
    matplotlib.axes.Axes
        The axes of the plot.

    Raises
    ------
    ImportError
        If matplotlib is not installed; the message gives the command that installs it.
    ValueError
        If X does not have two columns, if y does not fit X or the model, or if the model has several outputs that are
        not classes.

    Examples
    --------
    >>> import chainrule as cr
    >>> X, y = [[0, 0], [0, 1], [1, 0], [1, 1]], [0, 1, 1, 0]
    >>> net = cr.Network([2, 8, 1], activation="tanh", loss="binary_cross_entropy", seed=0)
    >>> history = net.fit(X, y, optimizer=cr.Adam(learning_rate=0.05))
    >>> axes = cr.plots.decision_regions(net, X, y, "xor.png")  # doctest: +SKIP
    """
    columns = X.columns if hasattr(X, "to_numpy") else None
    points = np.asarray(X if columns is None else X.to_numpy(), dtype=np.float64)
    if points.ndim != 2 or points.shape[1] != 2:
        raise ValueError(f"decision regions need two features, X has shape {points.shape}")
    target = np.asarray(y)
    if target.ndim == 0 or len(target) != len(points):
        raise ValueError(f"y has shape {target.shape}, X has {len(points)} rows")
    if not np.isfinite(points).any(axis=0).all():
        raise ValueError("a feature has no finite value")
    names = ["feature 1", "feature 2"] if columns is None else [str(name) for name in columns]
    finite = np.where(np.isfinite(points), points, np.nan)  # points with an infinite coordinate are not drawn
    low, high = np.nanmin(finite, axis=0), np.nanmax(finite, axis=0)
    margin = np.where(high > low, 0.06 * (high - low), 1.0)
    (left, bottom), (right, top) = low - margin, high + margin
    across, up = np.linspace(left, right, resolution), np.linspace(bottom, top, resolution)
    grid: Any = np.stack([part.ravel() for part in np.meshgrid(across, up)], axis=1)
    if columns is not None:  # scikit-learn warns if the names that were seen during fit are missing
        grid = type(X)(dict(zip(columns, grid.T, strict=True)))
    classes, predicted = _predict(model, grid)
    target = _values(target) if classes is None else _labels(target, classes)
    with _drawing(path_or_axes) as (axes,):
        if classes is None:
            values = predicted.reshape(resolution, resolution)
            limits = {"vmin": min(values.min(), np.nanmin(target)), "vmax": max(values.max(), np.nanmax(target))}
            filled = axes.contourf(across, up, values, 24, cmap="cividis", zorder=-1, **limits)
            axes.scatter(*points.T, c=target, s=26, cmap="cividis", edgecolors="white", linewidths=0.7, **limits)
            axes.set_rasterization_zorder(0)  # before Matplotlib 3.11, contours cannot be rasterized individually
            axes.figure.colorbar(filled, ax=axes, label="prediction")
        else:
            _draw_regions(axes, predicted.reshape(resolution, resolution, -1), across, up)
            for i, label in enumerate(classes):
                rows = points[target == label]
                style = {"marker": MARKERS[i % len(MARKERS)], "color": COLORS[i % len(COLORS)]}
                axes.scatter(*rows.T, s=26, edgecolors="white", linewidths=0.7, label=str(label), zorder=3, **style)
            axes.legend(title="class", framealpha=0.9)
        axes.set(xlabel=names[0], ylabel=names[1], xlim=(left, right), ylim=(bottom, top))
    return axes


def _values(y: NDArray[Any]) -> _Floats:
    if y.size != len(y):
        raise ValueError(f"y has shape {y.shape}, the model predicts one value")
    return y.reshape(len(y)).astype(np.float64)


def _labels(y: NDArray[Any], classes: Sequence[Any]) -> NDArray[Any]:
    """Return one label per row, even if y is a matrix with a column for each class."""
    if y.ndim == 2 and y.shape[1] == len(classes) > 1:
        y = np.asarray(classes)[y.argmax(axis=1)]
    elif y.size != len(y):
        raise ValueError(f"y has shape {y.shape}, the model has {len(classes)} classes")
    y = y.reshape(len(y))
    known = set(np.asarray(classes).tolist())
    if unknown := [label for label in y.tolist() if label not in known]:
        raise ValueError(f"y has the label {unknown[0]!r}, the model's classes are {list(classes)}")
    return y


def _predict(model: Any, X: Any) -> tuple[Sequence[Any] | None, _Floats]:
    """Return classes and their probabilities, or None and values."""
    classes: Sequence[Any] | None = None
    if hasattr(model, "predict_proba"):
        classes, probabilities = model.classes_, model.predict_proba(X)
        if isinstance(probabilities, list) or np.ndim(model.predict(X[:1])) > 1:
            raise ValueError("decision regions need classes or a single value, the model predicts several labels")
        predicted = np.asarray(probabilities)
    else:
        predicted = np.asarray(model.predict(np.asarray(X) if hasattr(model, "loss_name") else X))
    predicted = predicted.reshape(len(X), -1)
    output = _core.LOSSES[model.loss_name].output if hasattr(model, "loss_name") else None
    if output == "logistic" and predicted.shape[1] == 1:
        classes, predicted = range(2), np.hstack([1 - predicted, predicted])
    elif output == "softmax":
        classes = range(predicted.shape[1])
    if predicted.shape[1] != (1 if classes is None else len(classes)):
        raise ValueError(f"decision regions need classes or a single value, the model has {predicted.shape[1]} outputs")
    return classes, predicted


def _draw_regions(axes: Any, probabilities: _Floats, across: _Floats, up: _Floats) -> None:
    n_classes = probabilities.shape[2]
    palette = np.array([require("matplotlib.colors", "plot").to_rgb(color) for color in COLORS])
    winner = probabilities.argmax(axis=2)
    sure = (probabilities.max(axis=2) - 1 / n_classes) / (1 - 1 / n_classes) if n_classes > 1 else np.ones(winner.shape)
    strength = (0.12 + 0.38 * np.clip(sure, 0, 1))[..., None]
    image = 1 - strength * (1 - palette[winner % len(COLORS)])
    extent = (across[0], across[-1], up[0], up[-1])
    axes.imshow(image, extent=extent, origin="lower", aspect="auto", interpolation="bilinear", zorder=0)
    for label in range(n_classes):
        others = np.delete(probabilities, label, axis=2).max(axis=2, initial=-np.inf)
        lead = probabilities[..., label] - others
        if n_classes > 1 and lead.min() < 0 < lead.max():
            axes.contour(across, up, lead, levels=[0.0], colors="0.25", linewidths=0.9, zorder=2)


@explained
def draw_network(network: Any, path_or_axes: PathOrAxes = None, *, max_units: int = 12) -> Any:
    """Draw units as circles and weights as lines, with color by sign and width by size. Biases color the units.

    The largest absolute weight and bias of each layer, which have full width and color, are written below the layer.

    Parameters
    ----------
    network : Network
        The network to draw. `Network.plot` calls this function.
    path_or_axes : str or path or matplotlib Axes, optional
        See `decision_regions`.
    max_units : int, default 12
        If a layer has more units, only its first units and its last one are drawn.

    Examples
    --------
    >>> import chainrule as cr
    >>> net = cr.Network([2, 8, 1], loss="squared_error", seed=0)
    >>> axes = cr.plots.draw_network(net, "network.png")  # doctest: +SKIP
    """
    sizes = network.layer_sizes
    units = [_shown_units(size, integer("max_units", max_units, low=1)) for size in sizes]
    heights = [_heights(shown, size) for shown, size in zip(units, sizes, strict=True)]
    half = max(float(y.max()) for y in heights)
    places = [_DISTANCE * layer for layer in range(len(sizes))]
    lines = require("matplotlib.collections", "plot").LineCollection
    with _drawing(path_or_axes, figsize=(2.1 * len(sizes) - 0.6, 1.9 + 0.95 * half)) as (axes,):
        for i, (weights, biases) in enumerate(zip(network.weights, network.biases, strict=True)):
            part = np.asarray(weights)[np.ix_(units[i + 1], units[i])]
            ends = [[(places[i], y0), (places[i + 1], y1)] for y1 in heights[i + 1] for y0 in heights[i]]
            colors, strength = _weigh(part.ravel(), float(abs(weights).max()))
            order = strength.argsort()  # the strongest on top
            style = {"linewidths": 0.4 + 2.4 * strength[order], "colors": colors[order], "zorder": 1}
            axes.add_collection(lines([ends[k] for k in order], **style))
            text = f"|w| ≤ {abs(weights).max():.2g}\n|b| ≤ {abs(biases).max():.2g}"
            middle = (places[i] + places[i + 1]) / 2
            axes.text(middle, -half - 0.6, text, ha="center", va="top", fontsize=8, color=_GRAY)
            filled, _ = _weigh(np.asarray(biases)[units[i + 1]], float(abs(biases).max()))
            _draw_units(axes, places[i + 1], heights[i + 1], filled, len(units[i + 1]) < sizes[i + 1])
        _draw_units(axes, places[0], heights[0], np.full((len(units[0]), 4), 0.92), len(units[0]) < sizes[0])
        output = _core.LOSSES[network.loss_name].output
        names = ["input", *network.activations, output]
        for place, size, name in zip(places, sizes, names, strict=True):
            axes.text(place, half + 0.65, f"{size}\n{name}", ha="center", va="bottom", fontsize=9)
        for color, label in ((_POSITIVE, "positive"), (_NEGATIVE, "negative")):
            axes.plot([], [], color=color, linewidth=2.5, label=label)
        axes.legend(loc="upper center", bbox_to_anchor=(0.5, 0.0), ncols=2, frameon=False, fontsize=8)
        axes.set(xlim=(-0.8, places[-1] + 0.8), ylim=(-half - 1.7, half + 1.8), aspect="equal")
        axes.set_axis_off()
    return axes


_DISTANCE = 4.0  # between two layers; two units are 1 apart


def _shown_units(size: int, max_units: int) -> NDArray[np.intp]:
    """Return the numbers of the units that are drawn: all, or the first ones and the last one."""
    return np.arange(size) if size <= max_units else np.append(np.arange(max(max_units - 2, 1)), size - 1)


def _heights(shown: NDArray[np.intp], size: int) -> _Floats:
    """Return the heights of the units. If some are left out, there is a gap before the last one."""
    places = np.arange(len(shown), dtype=np.float64)
    places[-1] += len(shown) < size
    middle: float = places[-1] / 2
    return middle - places


def _weigh(values: Any, largest: float) -> tuple[_Floats, _Floats]:
    """Return colors by sign, more opaque for larger values, and the sizes relative to the largest."""
    to_rgb = require("matplotlib.colors", "plot").to_rgb
    sizes = np.nan_to_num(abs(values.astype(np.float64)), posinf=0.0)  # draw NaN and infinity like zero
    strength = sizes / largest if 0 < largest < np.inf else 0.0 * sizes
    colors = np.where((values >= 0)[:, None], to_rgb(_POSITIVE), to_rgb(_NEGATIVE))
    return np.column_stack([colors, 0.08 + 0.92 * strength]), strength


def _draw_units(axes: Any, place: float, heights: _Floats, colors: _Floats, elided: bool) -> None:
    circle = require("matplotlib.patches", "plot").Circle
    for y, (*rgb, alpha) in zip(heights, colors, strict=True):
        color = 1 - alpha * (1 - np.array(rgb))  # opaque, so that no line shows through
        axes.add_patch(circle((place, y), 0.32, facecolor=color, edgecolor="0.2", linewidth=1, zorder=2))
    if elided:
        axes.text(place, float(heights[-2:].mean()), "⋮", ha="center", va="center", fontsize=14, zorder=3)


@contextmanager
def _drawing(
    path_or_axes: PathOrAxes, figsize: tuple[float, float] = (6.4, 4.8), below: int = 0
) -> Iterator[Sequence[Any]]:
    """Yield the axes to draw on, with smaller axes below, and write the figure to a file if a path is given.

    If the caller gives axes, only these are yielded.
    """
    if path_or_axes is not None and not isinstance(path_or_axes, (str, os.PathLike)):
        yield (path_or_axes,)
        return
    make: Any = require("matplotlib.figure", "plot").Figure
    if path_or_axes is None:
        make = require("matplotlib.pyplot", "plot").figure
    figure = make(figsize=(figsize[0], figsize[1] + 1.3 * below), layout="constrained")
    heights = [figsize[1], *below * [1.3]]
    yield figure.subplots(1 + below, sharex=True, squeeze=False, height_ratios=heights)[:, 0]
    figure.align_ylabels()
    if path_or_axes is not None:
        figure.savefig(path_or_axes, dpi=150)
