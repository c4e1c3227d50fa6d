"""Masked entries of y: missing targets contribute nothing to cost, gradients and metrics.

This holds for every loss that allows several targets.
"""

import numpy as np
import pytest
import reference
from models import loss_for, problem

import chainrule as cr
from chainrule import _core

LOSSES = [name for name, loss in _core.LOSSES.items() if loss.output != "softmax" and not loss.one_per_output]
SIZES, ROWS = [6, 9, 4], 70
OPTIMIZERS = {
    "sgd": cr.SGD(learning_rate=0.1, momentum=0.5),
    "adam": cr.Adam(learning_rate=0.01),
    "adamw": cr.AdamW(learning_rate=0.01),
    "rmsprop": cr.RMSprop(learning_rate=0.01),
    "adagrad": cr.Adagrad(learning_rate=0.1),
    "lion": cr.Lion(learning_rate=0.01),
    "schedule-free": cr.ScheduleFreeAdamW(),
    "lbfgs": cr.LBFGS(),
}


def masked_problem(loss="squared_error", dtype="float64", sizes=SIZES, rows=ROWS):
    """Return a network, its parameters, X, y with a third of its entries masked, and weights; row 5 has no target."""
    net, params, X, Y, w = problem(sizes, rows, loss, dtype=dtype)
    mask = np.random.default_rng(1).random(Y.shape) < 1 / 3
    mask[5] = True
    return net, params, X, np.ma.array(Y, mask=mask), w.astype(dtype)


def cost(params, X, y, w, loss):
    """Compute the cost by its formula: the number of targets times the weighted mean over those that are there."""
    z, _ = reference.forward(params, X, ["tanh"], loss)
    there = ~np.ma.getmaskarray(y)
    losses = [reference.LOSSES[loss][1](z[-1][:, [j]], y.data[:, [j]]) for j in range(y.shape[1])]
    weight = w[:, None] * there
    return y.shape[1] * (weight * np.stack(losses, axis=1)).sum() / weight.sum()


def masked_loss(loss):
    """Return a custom loss that computes the same, and its gradient, in NumPy."""

    def function(logits, y, weight):
        there, k = ~np.ma.getmaskarray(y), y.shape[1]
        z, values = logits.astype("float64"), np.ma.filled(y, 1.0).astype("float64")
        scale = there * (1.0 if weight is None else weight[:, None])
        scale = scale * (k / scale.sum() if scale.any() else 0.0)
        losses = [reference.LOSSES[loss][1](z[:, [j]], values[:, [j]]) for j in range(k)]
        return float((scale * np.stack(losses, axis=1)).sum()), scale * reference.LOSSES[loss][2](z, values)

    return function


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("loss", LOSSES)
def test_cost_and_gradient_equal_the_formula(isa, loss, dtype):
    net, params, X, y, w = masked_problem(loss, dtype)
    exact = [(W.astype("float64"), b.astype("float64")) for W, b in params]
    tolerance = {"float32": 1e-5, "float64": 1e-12}[dtype]
    wide = np.ma.array(y.data.astype("float64"), mask=y.mask)
    value, grads = net.loss_and_gradients(X, y, w)
    assert value == pytest.approx(cost(exact, X.astype("float64"), wide, w.astype("float64"), loss), rel=tolerance)
    assert net.loss(X, y, w) == value
    _, want = net.loss_and_gradients(X, y, w, loss=masked_loss(loss))
    assert reference.error(grads.parameters, want.parameters) <= tolerance
    if dtype == "float64" and loss != "absolute_error":
        assert net.check_gradients(X, y, w).relative_error < 1e-6


@pytest.mark.parametrize("loss", LOSSES)
def test_masked_values_have_no_influence_and_an_all_false_mask_changes_no_bit(isa, loss):
    for dtype in ("float32", "float64"):
        net, _, X, y, w = masked_problem(loss, dtype)
        value, grads = net.loss_and_gradients(X, y, w)
        for hidden in (np.nan, -1e30, np.inf):
            other = np.ma.array(np.where(y.mask, hidden, y.data).astype(dtype), mask=y.mask)
            again, same = net.loss_and_gradients(X, other, w)
            assert (again, same.parameters.tobytes()) == (value, grads.parameters.tobytes())
        value, grads = net.loss_and_gradients(X, y.data, w)
        again, same = net.loss_and_gradients(X, np.ma.array(y.data, mask=False), w)
        assert (again, same.parameters.tobytes()) == (value, grads.parameters.tobytes())
        alone = net.losses(X, y)
        assert alone[5] == 0
        assert np.isfinite(alone).all()


def trained(net, X, y, w, optimizer, **settings):
    batch_size = None if isinstance(optimizer, cr.LBFGS) else 16
    history = net.fit(X, y, sample_weight=w, optimizer=optimizer, batch_size=batch_size, epochs=4, seed=0, **settings)
    return net.parameters.copy(), history


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
@pytest.mark.parametrize("loss", ["squared_error", "binary_cross_entropy"])
def test_training_equals_that_with_a_custom_loss(loss, optimizer):
    net, _, X, y, w = masked_problem(loss)
    theirs, history = trained(masked_problem(loss)[0], X, y, w, OPTIMIZERS[optimizer], loss=masked_loss(loss))
    ours, own = trained(net, X, y, w, OPTIMIZERS[optimizer])
    assert reference.error(ours, theirs) < 1e-9
    if optimizer == "lbfgs":
        np.testing.assert_allclose(own.loss, history.loss, rtol=1e-9)


@pytest.mark.parametrize("sizes", [SIZES, [6, 200, 120, 4]])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_training_has_the_same_bits_for_any_threads_and_instruction_set(sizes, dtype):
    found = set()
    before = cr.get_isa()
    try:
        for isa in cr.available_isas():
            if isa == "baseline":
                continue
            cr.set_isa(isa)
            for n_threads in (1, 2, 3):
                net, _, X, y, w = masked_problem("squared_error", dtype, sizes, rows=600)
                net.fit(X, y, sample_weight=w, batch_size=200, epochs=2, seed=0, n_threads=n_threads)
                found.add(net.parameters.tobytes())
    finally:
        cr.set_isa(before)
    assert len(found) <= 1


def test_a_batch_without_targets_changes_nothing():
    net, _, X, y, _ = masked_problem()
    y[:16] = np.ma.masked
    parameters = net.parameters.copy()
    history = net.fit(X[:32], y[:32], optimizer=cr.SGD(learning_rate=0.1), batch_size=16, epochs=1, shuffle=False)
    _, want = masked_problem()[0].loss_and_gradients(X[16:32], y[16:32])
    np.testing.assert_allclose(net.parameters, parameters - 0.1 * want.parameters, rtol=1e-12)
    assert np.isfinite(history.loss).all()


def test_validation_and_metrics_use_the_targets_that_are_there():
    metrics = pytest.importorskip("sklearn.metrics")
    net, _, X, y, w = masked_problem(rows=200)
    held_out = (X[100:], y[100:], w[100:])
    found = net.fit(X[:100], y[:100], validation=held_out, metrics=["r2", "mae", "rmse"], epochs=3)
    assert found.validation[-1] == pytest.approx(net.loss(*held_out), rel=1e-12)
    there, predictions = ~held_out[1].mask, net.predict(X[100:])
    columns = [(held_out[1].data[there[:, j], j], predictions[there[:, j], j], w[100:][there[:, j]]) for j in range(4)]
    for name, score in [
        ("r2", metrics.r2_score),
        ("mae", metrics.mean_absolute_error),
        ("rmse", metrics.root_mean_squared_error),
    ]:
        want = np.mean([score(a, b, sample_weight=c) for a, b, c in columns])
        assert found.metrics[name][-1] == pytest.approx(want, rel=1e-9)

    def own(y_true, y_pred):
        assert isinstance(y_true, np.ma.MaskedArray)
        return float(abs(y_true - y_pred).mean())

    again = net.fit(X, y, validation=0.25, metrics=own, epochs=1)
    assert np.isfinite(again.metrics["own"]).all()


def test_metrics_of_labels_use_the_labels_that_are_there():
    metrics = pytest.importorskip("sklearn.metrics")
    net, _, X, y, _ = masked_problem("binary_cross_entropy", rows=200)
    names = ["auc", "average_precision", "log_loss", "accuracy", "balanced_accuracy"]
    found = net.fit(X, y, validation=(X, y), metrics=names, epochs=2).metrics
    there, p = ~y.mask, net.predict(X)
    columns = [(y.data[there[:, j], j], p[there[:, j], j]) for j in range(4)]
    mean = {
        "auc": np.mean([metrics.roc_auc_score(a, b) for a, b in columns]),
        "average_precision": np.mean([metrics.average_precision_score(a, b) for a, b in columns]),
        "log_loss": metrics.log_loss(y.data[there], p[there]),
        "accuracy": np.mean([np.all((p > 0.5)[i][t] == y.data[i][t]) for i, t in enumerate(there) if t.any()]),
        "balanced_accuracy": np.mean([metrics.balanced_accuracy_score(a, b > 0.5) for a, b in columns]),
    }
    for name, want in mean.items():
        assert found[name][-1] == pytest.approx(want, rel=1e-6), name


def test_many_networks_train_on_masked_targets():
    net, _, X, y, w = masked_problem()
    others = [masked_problem()[0] for _ in range(2)]
    cr.fit_many(others, X, y, sample_weight=w, epochs=3, batch_size=16, seed=0)
    net.fit(X, y, sample_weight=w, epochs=3, batch_size=16, seed=0)
    assert all(np.array_equal(net.parameters, other.parameters) for other in others)


def test_unusable_masks_raise():
    net, _, X, y, _ = masked_problem()
    alone = cr.Network([6, 1], loss="squared_error", seed=0)
    for target in (y[:, 0], y[:, :1]):
        row = int(np.flatnonzero(np.ma.getmaskarray(target))[0])
        with pytest.raises(ValueError, match=rf"^y has no target in row {row}, where it is masked: leave such rows"):
            alone.fit(X, target)
    with pytest.raises(ValueError, match="has 4 outputs and the loss softmax_cross_entropy"):
        cr.Network([6, 4], loss="softmax_cross_entropy", seed=0).fit(X, y)
    with pytest.raises(ValueError, match="no target in row"):
        cr.Network([6, 4], loss=loss_for("quantile", 4), seed=0).fit(X, y[:, :1])
    y[:, 2] = np.ma.masked
    with pytest.raises(ValueError, match=r"^y has no target in column 2: every row is masked$"):
        net.fit(X, y)
    with pytest.raises(ValueError, match="partial_gradients is not available for masked targets"):
        net.partial_gradients(X, y, first=0, total_rows=ROWS)
    with pytest.raises(cr.DivergenceError):
        net.fit(X, np.ma.filled(y, np.nan))


def values_and_labels():
    """Return X, three targets that depend on it and three labels, with garbage in the masked third of the entries."""
    random = np.random.default_rng(0)
    X = random.normal(size=(240, 4)).astype("float32")
    values = np.c_[X[:, 0] + X[:, 1], 10 + 5 * X[:, 2], X[:, 3] - X[:, 0]].astype("float64")
    mask = random.random(values.shape) < 1 / 3
    mask[7] = True
    labels = (values > np.median(values, axis=0)).astype(int)
    labels = np.where(mask, 1 - labels, labels)
    return X, np.ma.array(np.where(mask, 1e6, values), mask=mask), np.ma.array(labels, mask=mask.copy())


def estimators():
    pytest.importorskip("sklearn")
    settings = {"hidden_layer_sizes": 16, "learning_rate_init": 0.02, "max_iter": 150, "random_state": 0}
    return {
        "MLPRegressor": (cr.MLPRegressor(**settings), False),
        "standardized": (cr.MLPRegressor(**settings, preprocess=True, early_stopping=True), False),
        "MLPClassifier": (cr.MLPClassifier(**settings, early_stopping=True), True),
        "TableRegressor": (cr.TableRegressor(random_state=0), False),
        "TableClassifier": (cr.TableClassifier(random_state=0), True),
    }


@pytest.mark.filterwarnings("ignore:.*converged")
@pytest.mark.parametrize("name", ["MLPRegressor", "standardized", "MLPClassifier", "TableRegressor", "TableClassifier"])
def test_estimators_train_and_score_on_the_targets_that_are_there(name):
    base = pytest.importorskip("sklearn.base")
    X, values, labels = values_and_labels()
    estimator, of_labels = estimators()[name]
    y = labels if of_labels else values
    estimator.fit(X, y)
    other = np.ma.array(np.where(y.mask, 1 if of_labels else -7.0, y.data), mask=y.mask)
    again = base.clone(estimator).fit(X, other)
    assert again.network_.parameters.tobytes() == estimator.network_.parameters.tobytes()
    assert estimator.score(X, y) == again.score(X, other)
    predictions, there = estimator.predict(X), ~y.mask
    if of_labels:
        assert (predictions == y.data)[there].mean() > 0.9
        rows = there.any(axis=1)
        assert estimator.score(X, y) == ((predictions == y.data) | y.mask).all(axis=1)[rows].mean()
        return
    spread = [np.var(y.data[rows, j]) for j, rows in enumerate(there.T)]
    errors = [np.mean((predictions - y.data)[rows, j] ** 2) for j, rows in enumerate(there.T)]
    assert estimator.score(X, y) == pytest.approx(np.mean(1 - np.array(errors) / spread))
    assert estimator.score(X, y) > 0.9
    if hasattr(estimator, "standardizer_"):
        assert (abs(estimator.standardizer_.mean) < 20).all()
    if name == "TableRegressor":
        assert (predictions <= [y.data[rows, j].max() for j, rows in enumerate(there.T)]).all()


def test_estimators_refuse_unusable_masks():
    pytest.importorskip("sklearn")
    X, values, labels = values_and_labels()
    for estimator in (cr.MLPRegressor(), cr.TableRegressor()):
        with pytest.raises(ValueError, match=r"^y is a masked array with a masked entry in row"):
            estimator.fit(X, values[:, 0])
    values[:, 1] = np.ma.masked
    with pytest.raises(ValueError, match=r"^y has no target in column 1: every row is masked$"):
        cr.MLPRegressor().fit(X, values)
    with pytest.raises(ValueError, match=r"^class_weight needs every label, y has masked entries$"):
        cr.MLPClassifier(class_weight=[{0: 2.0}] * 3).fit(X, labels)
    with pytest.raises(ValueError, match="contains NaN"):
        cr.MLPRegressor().fit(X, np.where(labels.mask, np.nan, labels.data))
