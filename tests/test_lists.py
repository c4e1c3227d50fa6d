"""The core's lists describe losses and metrics correctly, and the documentation shows every name."""

import dataclasses
import re

import numpy as np
import pytest
from models import loss_for

import chainrule as cr
from chainrule import _core
from chainrule.losses import ParametricLoss

KINDS = {kind.core_name: kind for kind in ParametricLoss.__subclasses__()}


def test_every_loss_with_a_parameter_has_a_class_with_its_default():
    assert KINDS.keys() == {name for name, traits in _core.LOSSES.items() if traits.parameter}
    for name, kind in KINDS.items():
        traits = _core.LOSSES[name]
        [field] = dataclasses.fields(kind)
        assert field.name == traits.parameter
        assert field.default == ((traits.default,) if traits.one_per_output else traits.default)
        outputs = 1 if traits.one_per_output else 2
        assert cr.Network([2, outputs], loss=kind(), seed=0).loss_spec == name


@pytest.mark.parametrize(
    ("function", "names"),
    [(cr.forward, _core.ACTIVATIONS), (cr.cost, _core.LOSSES), (cr.Network.fit, _core.METRICS)],
    ids=["activations", "losses", "metrics"],
)
def test_the_docstring_lists_every_name(function, names):
    assert re.findall(r'^ *"(\w+)"  ', function.__doc__, re.MULTILINE) == [*names]


def test_every_loss_has_a_default_metric_that_suits_it():
    watched = {name: traits.metric for name, traits in _core.LOSSES.items()}
    assert watched.pop("quantile") is None
    for name, metric in watched.items():
        assert metric == ("accuracy" if _core.LOSSES[name].of_classes else "r2")
        assert _core.METRICS[metric].of_classes == _core.LOSSES[name].of_classes


def values_around(targets):
    """Return valid and invalid targets of a loss, by the text of its range."""
    return {
        "0 <= y <= 1": ([0.0, 0.3, 1.0], [-0.1, 1.1]),
        "0 or more": ([0.0, 0.3, 7.0], [-0.1]),
        "a positive number": ([0.3, 7.0], [0.0, -0.1]),
        "any number": ([-3.0, 0.0, 3.0], []),
    }[targets]


@pytest.mark.parametrize("loss", _core.LOSSES)
def test_targets_outside_the_range_raise(loss):
    traits = _core.LOSSES[loss]
    net = cr.Network([1, 2], loss=loss_for(loss, 2), seed=0)
    allowed, refused = values_around(traits.targets)
    for value in allowed:
        assert np.isfinite(net.loss([[1.0]], [[value, value]]))
    for value in refused:
        with pytest.raises(ValueError, match=rf"^y\[0, 0\] is {value:g}, {loss} expects {traits.targets}$"):
            net.loss([[1.0]], [[value, value]])


def scored(metric, y, predictions):
    loss = "binary_cross_entropy" if _core.METRICS[metric].of_classes else "squared_error"
    return _core.score(metric, loss, predictions[:, None], y)


@pytest.mark.parametrize("metric", _core.METRICS)
def test_right_predictions_score_best(metric):
    y = np.array([0.0, 1.0, 1.0, 0.0, 1.0])
    right, wrong = np.abs(y - 0.1), np.abs(y - 0.8)
    assert (scored(metric, y, right) > scored(metric, y, wrong)) == _core.METRICS[metric].more_is_better


@pytest.mark.parametrize("metric", [name for name, traits in _core.METRICS.items() if not traits.of_classes])
def test_unit_free_metrics_do_not_change_with_shift_and_scale(metric):
    y, predictions = np.random.default_rng(0).normal(4, 1, (2, 20))
    of_others = scored(metric, 10 * y + 3, 10 * predictions + 3)
    assert (of_others == pytest.approx(scored(metric, y, predictions))) == _core.METRICS[metric].unit_free


@pytest.mark.parametrize("metric", [name for name, traits in _core.METRICS.items() if traits.undefined])
def test_undefined_metrics_are_nan(metric):
    assert np.isnan(scored(metric, np.zeros(4), np.linspace(0.1, 0.4, 4)))


def test_classification_metrics_need_a_classification_loss():
    with pytest.raises(ValueError, match=r"^the metric auc is for classes, the loss poisson is not$"):
        _core.score("auc", "poisson", np.ones((2, 1)), [0.0, 1.0])
