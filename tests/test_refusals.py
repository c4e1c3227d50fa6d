"""Impossible arguments raise immediately, with a message that names the argument and the value."""

import re

import numpy as np
import pytest
from models import problem

import chainrule as cr

NET, _, X, Y, _ = problem([3, 4, 2], 6)


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda: cr.Group(kind="foo"), ValueError, "kind of a group 'foo' is unknown, expected one of weights, biases"),
        (lambda: cr.Group(learning_rate=-1), ValueError, "learning_rate of a group is -1, expected 0 or more"),
        (lambda: cr.Group(weight_decay=np.nan), ValueError, "weight_decay of a group is nan, expected 0 or more"),
        (lambda: cr.Group(learning_rate="x"), TypeError, "learning_rate must be a number, got 'x'"),
        (lambda: cr.Group(layers=3), TypeError, "layers must be indices of layers such as [0], got 3"),
        (lambda: cr.Group(layers=[0.5]), TypeError, "layers[0] must be an integer, got 0.5"),
        (lambda: cr.Huber(0), ValueError, "delta is 0, expected a positive number"),
        (lambda: cr.Huber(np.inf), ValueError, "delta is inf, expected a positive number"),
        (lambda: cr.Tweedie(2), ValueError, "power is 2, expected 1 < power < 2"),
        (lambda: cr.SoftmaxCrossEntropy(2), ValueError, "label_smoothing is 2, expected 0 <= label_smoothing <= 1"),
        (lambda: cr.Quantile([]), ValueError, "levels is empty"),
        (lambda: cr.StepDecay(every=2**40), ValueError, "every is 1099511627776, expected from -2147483648 to "),
        (lambda: cr.Adam(learning_rate=10**400), ValueError, "learning_rate is too large for a floating-point"),
        (lambda: cr.StepDecay(every=-(2**40)), ValueError, "every is -1099511627776, expected from "),
        (lambda: cr.Group(learning_rate=10**400), ValueError, "learning_rate is too large for a floating-point"),
        (lambda: cr.StepDecay(every=2.5), TypeError, "every must be an integer, got 2.5"),
        (lambda: cr.Quantile([0.5, 1]), ValueError, "levels[1] is 1, expected 0 < levels[1] < 1"),
    ],
)
def test_wrong_values_raise_at_construction(make, error, message):
    with pytest.raises(error, match=re.escape(message)):
        make()


def test_quantile_accepts_one_level():
    assert cr.Quantile(0.5) == cr.Quantile([0.5])


def test_layers_of_a_group_may_come_from_an_iterator():
    group = cr.Group(layers=iter([0]), learning_rate=0.0)
    assert group.layers == (0,)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"loss": "mse"}, "loss takes a callable here; pass a loss name to Network(loss=) instead. Got 'mse'"),
        ({"groups": 3}, "groups must be instances of Group, got 3"),
        ({"schedules": cr.Cosine}, "learning_rate must be a schedule such as Cosine()"),
        (
            {"schedules": {"dropout": lambda epoch: None}, "dropout": 0.1},
            "schedules: the factor that dropout returned in epoch 0 is None, expected a number",
        ),
        ({"validation": X}, "validation must be (X, y), (X, y, sample_weight) or a fraction, got ndarray"),
        ({"validation": "x"}, "validation must be (X, y), (X, y, sample_weight) or a fraction, got 'x'"),
    ],
)
def test_wrong_types_of_settings_raise_before_the_fit(options, message):
    with pytest.raises(TypeError, match=re.escape(message)):
        NET.fit(X, Y, epochs=2, **options)


@pytest.mark.parametrize(
    ("name", "arguments"),
    [("trace", {}), ("example_gradients", {}), ("example_gradient_norms", {}), ("inputs=True", {"inputs": True})],
)
def test_derivatives_by_example_of_a_sparse_matrix_raise(name, arguments):
    sparse = pytest.importorskip("scipy.sparse").csr_matrix(X)
    method = getattr(NET, "loss_and_gradients" if arguments else name)
    with pytest.raises(ValueError, match=f"{name} is not available for a sparse X"):
        method(sparse, Y, **arguments)


@pytest.mark.parametrize("optimizer", [cr.SGD(), cr.Adam(), cr.Adagrad()])
def test_a_first_step_that_fails_leaves_the_network_unchanged(optimizer):
    net, _, X, Y, _ = problem([3, 4, 2], 6)
    before = net.parameters.copy()
    with pytest.raises(ZeroDivisionError):
        net.fit(X, Y, optimizer=optimizer, ema=0.9, loss=lambda logits, y, weight: 1 / 0)
    assert np.array_equal(net.parameters, before)


@pytest.mark.parametrize("start", ["", "a", "aa"])
def test_a_long_name_is_cut_between_characters(start):
    with pytest.raises(ValueError, match=r"activation 'a*é+' is unknown"):
        cr.Network([2, 2, 1], activation=start + "é" * 90, loss="squared_error")
