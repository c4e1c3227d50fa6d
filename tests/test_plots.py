"""Plots: what is drawn where, files and axes, models and data of every kind; nothing is cut or overlaps."""

import dataclasses
import itertools
import sys

import numpy as np
import pytest

import chainrule as cr
from chainrule import plots

matplotlib = pytest.importorskip("matplotlib")
matplotlib.use("agg")
pyplot = pytest.importorskip("matplotlib.pyplot")
RNG = np.random.default_rng(0)
POINTS = RNG.normal(size=(60, 2))


def new_axes():
    return matplotlib.figure.Figure().add_subplot()


def texts(axes):
    return [text.get_text() for text in axes.texts]


def trained(loss, y, n_outputs=1):
    net = cr.Network([2, 8, n_outputs], activation="tanh", loss=loss, seed=0)
    net.fit(POINTS, y, optimizer=cr.Adam(learning_rate=0.05), epochs=50)
    return net


# Files and axes


def draw_network(place):
    return cr.Network([2, 3, 1], loss="squared_error", seed=0).plot(place)


def draw_gradient_check(place):
    return check().plot(place)


def draw_history(place):
    return cr.Network([2, 3, 1], loss="squared_error", seed=0).fit(POINTS, POINTS[:, 0], epochs=9).plot(place)


def draw_regions(place):
    y = POINTS[:, 0]
    return plots.decision_regions(trained("squared_error", y), POINTS, y, place, resolution=50)


def draw_all_curves(place):
    net = cr.Network([2, 3, 1], loss="squared_error", seed=0)
    options = {"validation": 0.3, "metrics": ["r2", "rmse"], "schedules": cr.Cosine()}
    return net.fit(POINTS, POINTS[:, 0], epochs=30, **options).plot(place)


DRAWINGS = (draw_network, draw_gradient_check, draw_history, draw_all_curves, draw_regions)
DRAW = {draw.__name__: draw for draw in DRAWINGS}


def check():
    params = cr.init_params([2, 5, 3], seed=0, dtype="float64")
    return cr.check_gradients(params, POINTS, np.ones((60, 3)), activation="tanh", loss="squared_error")


@pytest.mark.parametrize("what", DRAW)
@pytest.mark.parametrize("suffix", ["png", "svg", "pdf"])
def test_a_file_is_written(what, suffix, tmp_path):
    path = tmp_path / f"plot.{suffix}"
    figures = pyplot.get_fignums()
    DRAW[what](path if suffix == "png" else str(path))
    assert path.stat().st_size > 2000
    assert pyplot.get_fignums() == figures


@pytest.mark.parametrize("what", DRAW)
def test_axes_are_drawn_on(what):
    axes = new_axes()
    assert DRAW[what](axes) is axes
    assert axes.has_data()


@pytest.mark.parametrize("what", DRAW)
def test_default_axes_belong_to_a_pyplot_figure(what):
    axes = DRAW[what](None)
    assert pyplot.gcf() is axes.figure
    pyplot.close(axes.figure)


@pytest.mark.parametrize("what", DRAW)
def test_missing_matplotlib_names_the_extra(what, monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    with pytest.raises(ImportError, match=r'pip install "chainrule\[plot\]"'):
        DRAW[what]("plot.png")


@pytest.mark.parametrize("what", DRAW)
def test_no_text_is_cut_or_covered(what):
    axes = DRAW[what](None)
    figure = axes.figure
    figure.draw_without_rendering()
    shown = [text for text in figure.findobj(matplotlib.text.Text) if text.get_visible() and text.get_text()]
    boxes = [box for text in shown if (box := text.get_window_extent()).width > 1]
    inside = figure.bbox.padded(1)
    every_axis = [axis for panel in figure.axes for axis in (panel.xaxis, panel.yaxis)]
    ticks = {id(label) for axis in every_axis for label in axis.get_ticklabels(which="both")}
    for text in shown:
        box = text.get_window_extent()
        if id(text) not in ticks:  # labels of ticks beyond the limits are there, but not drawn
            assert inside.x0 <= box.x0 and box.x1 <= inside.x1, text  # noqa: PT018
            assert inside.y0 <= box.y0 and box.y1 <= inside.y1, text  # noqa: PT018
    own = [text.get_window_extent() for text in axes.texts if text.get_text() != "⋮"]
    assert not any(a.overlaps(b) for a, b in itertools.combinations(own, 2))
    assert boxes
    pyplot.close(figure)


# Learning curves


def test_metrics_and_changing_learning_rate_have_separate_curves():
    y = (POINTS[:, 0] > 0).astype(int)
    net = cr.Network([2, 8, 1], loss="binary_cross_entropy", seed=0)
    history = net.fit(POINTS, y, epochs=20, validation=0.5, metrics=["auc", "accuracy"], schedules=cr.Cosine())
    axes = history.plot()
    panels = axes.figure.axes
    assert panels[0] is axes
    assert [panel.get_ylabel() for panel in panels] == ["cost", "auc", "accuracy", "learning rate"]
    for panel, values in zip(panels[1:], [*history.metrics.values(), history.learning_rate], strict=True):
        assert panel.lines[0].get_ydata().tolist() == values.tolist()
    assert f"best auc: epoch {history.best_epoch}" in [text.get_text() for text in axes.get_legend().get_texts()]
    pyplot.close(axes.figure)

    axes = new_axes()
    history.plot(axes)  # given axes show only the cost
    assert len(axes.figure.axes) == 1


# The network


def test_a_network_shows_every_weight_by_sign_and_size():
    net = cr.Network([3, 4, 2], loss="softmax_cross_entropy", seed=0)
    net.weights[0] = np.arange(-6.0, 6.0).reshape(4, 3)
    axes = net.plot(new_axes())
    first, second = axes.collections
    assert len(first.get_segments()) == 12
    assert len(second.get_segments()) == 8
    widths, colors = np.array(first.get_linewidths()), first.get_colors()
    assert np.all(np.diff(widths) >= 0)  # the strongest on top
    sizes = np.sort(abs(net.weights[0]).ravel())
    np.testing.assert_allclose((widths - widths[0]) / (widths[-1] - widths[0]), sizes / 6, atol=1e-12)
    red, blue = matplotlib.colors.to_rgb(plots.COLORS[1]), matplotlib.colors.to_rgb(plots.COLORS[0])
    assert sorted(map(tuple, colors[:, :3].tolist())) == sorted([red] * 6 + [blue] * 6)
    assert len(axes.patches) == 9
    assert {"3\ninput", "4\nrelu", "2\nsoftmax", "|w| ≤ 6\n|b| ≤ 0"} <= set(texts(axes))


@pytest.mark.parametrize(("max_units", "circles", "dots"), [(12, 22, 1), (3, 6, 2), (1, 6, 2)])
def test_large_layers_are_elided(max_units, circles, dots):
    net = cr.Network([784, 9, 2], loss="softmax_cross_entropy", seed=0)
    axes = net.plot(new_axes(), max_units=max_units)
    assert len(axes.patches) == circles
    assert texts(axes).count("⋮") == dots
    assert "784\ninput" in texts(axes)


def test_max_units_is_checked():
    net = cr.Network([2, 1], loss="squared_error", seed=0)
    with pytest.raises(ValueError, match="max_units is 0"):
        net.plot(max_units=0)


@pytest.mark.parametrize("value", [0.0, np.nan, np.inf])
def test_network_with_zero_or_non_finite_weights_is_drawn(value, tmp_path):
    net = cr.Network([2, 3, 1], loss="squared_error", seed=0)
    net.parameters[:] = value
    net.plot(tmp_path / "net.png")


# Decision regions


def test_regions_of_two_classes_show_points_and_legend():
    y = (POINTS[:, 0] > 0).astype(int)
    net = trained("binary_cross_entropy", y)
    axes = plots.decision_regions(net, POINTS, y, new_axes(), resolution=50)
    [image] = axes.images
    pixels = image.get_array()
    assert pixels.shape == (50, 50, 3)
    blue, red = (np.array(matplotlib.colors.to_rgb(color)) for color in plots.COLORS[:2])
    assert np.dot(pixels[25, 0] - pixels[25, -1], blue - red) > 0  # class 0 is on the left
    assert [text.get_text() for text in axes.get_legend().get_texts()] == ["0", "1"]


@pytest.mark.parametrize("form", ["numbers", "one-hot"])
def test_points_of_each_of_many_classes_are_drawn(form):
    rng = np.random.default_rng(1)
    numbers = rng.integers(0, 10, 60)
    y = np.eye(10)[numbers] if form == "one-hot" else numbers
    axes = plots.decision_regions(trained("softmax_cross_entropy", y, 10), POINTS, y, new_axes(), resolution=20)
    drawn = [len(points.get_offsets()) for points in axes.collections if points.get_label().isdigit()]
    assert drawn == np.bincount(numbers, minlength=10).tolist()


def test_regions_of_an_estimator_show_its_names():
    pd = pytest.importorskip("pandas")
    neighbors = pytest.importorskip("sklearn.neighbors")
    frame = pd.DataFrame(POINTS, columns=["width", "height"])
    y = np.where(POINTS[:, 0] > 0, "large", "small")
    axes = plots.decision_regions(neighbors.KNeighborsClassifier().fit(frame, y), frame, y, new_axes(), resolution=20)
    assert (axes.get_xlabel(), axes.get_ylabel()) == ("width", "height")
    assert [text.get_text() for text in axes.get_legend().get_texts()] == ["large", "small"]
    regressor = neighbors.KNeighborsRegressor().fit(frame, POINTS[:, 0])
    plots.decision_regions(regressor, frame, POINTS[:, 0], new_axes(), resolution=20)


def test_regions_of_a_constant_feature_have_a_margin():
    X = np.column_stack([POINTS[:, 0], np.ones(60)])
    axes = plots.decision_regions(trained("squared_error", X[:, 0]), X, X[:, 0], new_axes(), resolution=20)
    assert axes.get_ylim() == (0.0, 2.0)


@pytest.mark.parametrize("library", ["pandas", "polars"])
def test_regions_of_a_frame_ignore_missing_values(library):
    points = POINTS.copy()
    points[3, 1] = np.nan
    frame = pytest.importorskip(library).DataFrame({"width": points[:, 0], "height": points[:, 1]})
    axes = plots.decision_regions(trained("squared_error", POINTS[:, 0]), frame, POINTS[:, 0], new_axes(), resolution=9)
    assert (axes.get_xlabel(), axes.get_ylabel()) == ("width", "height")
    low, high = axes.get_ylim()
    assert low < np.nanmin(points[:, 1]) < np.nanmax(points[:, 1]) < high


@pytest.mark.parametrize(
    ("y", "message"),
    [
        (np.zeros(59), r"y has shape \(59,\), X has 60 rows"),
        (0, r"y has shape \(\), X has 60 rows"),
        (np.full(60, 2), r"y has the label 2, the model's classes are \[0, 1\]"),
        (np.zeros((60, 3)), r"y has shape \(60, 3\), the model has 2 classes"),
    ],
)
def test_labels_of_wrong_shape_or_class_raise(y, message):
    with pytest.raises(ValueError, match=message):
        plots.decision_regions(trained("binary_cross_entropy", POINTS[:, 0] > 0), POINTS, y, new_axes(), resolution=9)


@pytest.mark.filterwarnings("ignore:The network predicts")  # tol=1 ends training at once
def test_regions_of_multilabel_models_raise():
    model = pytest.importorskip("sklearn.neighbors").KNeighborsClassifier().fit(POINTS, POINTS > 0)
    for labels in (model, cr.MLPClassifier(2, solver="lbfgs", max_iter=500, tol=1.0).fit(POINTS, POINTS > 0)):
        with pytest.raises(ValueError, match="the model predicts several labels"):
            plots.decision_regions(labels, POINTS, POINTS > 0, new_axes(), resolution=9)


def test_models_without_two_inputs_raise():
    net = cr.Network([3, 1], loss="squared_error", seed=0)
    with pytest.raises(ValueError, match=r"two features, X has shape \(60, 3\)"):
        plots.decision_regions(net, np.ones((60, 3)), np.ones(60))
    for loss in ("squared_error", "binary_cross_entropy"):
        with pytest.raises(ValueError, match="the model has 2 outputs"):
            plots.decision_regions(cr.Network([2, 2], loss=loss, seed=0), POINTS, np.ones(60))


# The gradient check


def test_the_report_keeps_every_derivative():
    report = check()
    assert sum(len(exact) for exact, _ in report.derivatives) == report.compared
    worst = max(float(abs(a - b).max()) for a, b in report.derivatives)
    scale = max(float(np.maximum(abs(a), abs(b)).max()) for a, b in report.derivatives)
    assert report.relative_error == worst / scale
    assert report == check()


def test_the_gradient_check_shows_every_derivative():
    report = check()
    axes = report.plot(new_axes())
    shown = [points for points in axes.collections if points.get_label().startswith("layer")]
    assert [len(points.get_offsets()) for points in shown] == [15, 18]
    (low, high), (bottom, top) = axes.get_xlim(), axes.get_ylim()
    for points in shown:
        x, y = np.asarray(points.get_offsets()).T
        assert np.all((low < x) & (x < high) & (bottom < y) & (y < top))
    assert f"{report.relative_error:.1e}" in axes.get_title()


@pytest.mark.parametrize("value", [0.0, np.nan])
def test_a_gradient_check_of_unusual_derivatives(value, tmp_path):
    params = [(np.full((2, 2), value), np.zeros(2)), (np.full((1, 2), value), np.zeros(1))]
    cr.check_gradients(params, POINTS, np.zeros(60), loss="squared_error").plot(tmp_path / "gradients.png")


def test_wrong_derivatives_are_drawn_in_the_colored_part():
    report = check()
    (exact, difference), *rest = report.derivatives
    wrong = dataclasses.replace(report, derivatives=((exact + 1.0, difference), *rest))
    axes = wrong.plot(new_axes())
    first = next(points for points in axes.collections if points.get_label() == "layer 1")
    limit = axes.lines[0].get_ydata()[0]
    assert np.all(np.asarray(first.get_offsets())[:, 1] > limit)
