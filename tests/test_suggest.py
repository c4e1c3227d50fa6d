"""Unknown names and arguments: the message suggests the one that was meant, and only one that is valid there."""

import pytest

from chainrule import _core, _suggest
from chainrule._suggest import closest, did_you_mean, listed, unknown


@pytest.mark.parametrize(
    ("value", "options", "meant"),
    [
        ("sigmoid", _core.ACTIVATIONS, "logistic"),
        ("swish", _core.ACTIVATIONS, "silu"),
        ("ReLU", _core.ACTIVATIONS, "relu"),
        ("LeakyReLU", _core.ACTIVATIONS, "leaky_relu"),
        ("leaky-relu", _core.ACTIVATIONS, "leaky_relu"),
        ("hardtanh", _core.ACTIVATIONS, "hard_tanh"),
        ("linear", _core.ACTIVATIONS, "identity"),
        ("mse", _core.LOSSES, "squared_error"),
        ("MSELoss", _core.LOSSES, "squared_error"),
        ("mae", _core.LOSSES, "absolute_error"),
        ("l1", _core.LOSSES, "absolute_error"),
        ("bce", _core.LOSSES, "binary_cross_entropy"),
        ("BCEWithLogitsLoss", _core.LOSSES, "binary_cross_entropy"),
        ("binary_crossentropy", _core.LOSSES, "binary_cross_entropy"),
        ("binary:logistic", _core.LOSSES, "binary_cross_entropy"),
        ("log_loss", _core.LOSSES, "binary_cross_entropy"),
        ("sparse_categorical_crossentropy", _core.LOSSES, "softmax_cross_entropy"),
        ("nll", _core.LOSSES, "softmax_cross_entropy"),
        ("smooth_l1", _core.LOSSES, "huber"),
        ("pinball", _core.LOSSES, "quantile"),
        ("acc", _core.METRICS, "accuracy"),
        ("roc_auc", _core.METRICS, "auc"),
        ("AUROC", _core.METRICS, "auc"),
        ("logloss", _core.METRICS, "log_loss"),
        ("neg_log_loss", _core.METRICS, "log_loss"),
        ("mse", _core.METRICS, "rmse"),
        ("R2", _core.METRICS, "r2"),
        ("xavier", _core.INITS, "glorot_uniform"),
        ("kaiming_normal", _core.INITS, "he_normal"),
        ("L-BFGS-B", ["adam", "lbfgs", "sgd"], "lbfgs"),
        ("half", _core.PRECISIONS, "bf16"),
        ("acuracy", _core.METRICS, "accuracy"),
        ("hinge", _core.LOSSES, None),
        ("", _core.LOSSES, None),
        ("sigmoid", ["relu", "tanh"], None),  # only what is valid there
        ("Größe", ["größe", "gewicht"], "größe"),
        (3, ["3 ", "4"], "3 "),
    ],
)
def test_the_name_that_was_meant(value, options, meant):
    assert closest(value, options) == meant
    assert did_you_mean(value, options) == (f", did you mean {meant!r}?" if meant else "")


def test_every_habit_leads_to_a_name_of_this_library():
    """A target of the table that exists nowhere would never be suggested."""
    import inspect

    import chainrule as cr

    calls = [
        cr.Network,
        cr.Network.fit,
        cr.MLPClassifier,
        cr.MLPClassifier.fit,
        cr.Stop,
        cr.Group,
        cr.Huber,
        cr.Quantile,
    ]
    calls += [cr.SGD, cr.Adam, cr.RMSprop, cr.Adagrad, cr.LBFGS]
    calls += [cr.Cosine, cr.OneCycle, cr.StepDecay, cr.ReduceOnPlateau]
    names = {name for call in calls for name in inspect.signature(call).parameters}
    names |= {
        *_core.ACTIVATIONS,
        *_core.LOSSES,
        *_core.METRICS,
        *_core.INITS,
        *_core.PRECISIONS,
        "adam",
        "sgd",
        "lbfgs",
    }
    names |= {"float64"}
    for word, targets in _suggest._ELSEWHERE.items():
        assert word == _suggest._plain(word)
        assert {*targets} <= names, word


def test_a_message_lists_ten_of_thousands_of_names():
    names = [f"column {i}" for i in range(5000)]
    message = unknown("column", "colum 7", names)
    assert message == (
        "column 'colum 7' is unknown, did you mean 'column 7'? Expected one of "
        + ", ".join(names[:10])
        + " and 4,990 more"
    )
    assert listed(names[:20]) == ", ".join(names[:20])


def test_a_long_name_is_cut():
    assert len(unknown("loss", "x" * 10**6, ["huber"])) < 200
