"""Unknown names and arguments: the message suggests the one that was meant, and only one that is valid there."""

import inspect
import re
from pathlib import Path

import numpy as np
import pytest

import chainrule as cr
from chainrule import TableEncoder, _core, _suggest
from chainrule._suggest import closest, did_you_mean, listed, unknown
from chainrule.cli._rows import TargetEncoder
from chainrule.schedules import Schedule


def fit(X=((0.0,), (1.0,)), y=(0.0, 1.0), **options):
    return cr.Network([1, 1], loss="squared_error", seed=0).fit(X, y, epochs=1, **options)


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
def test_misspelled_names_get_a_suggestion(value, options, meant):
    assert closest(value, options) == meant
    assert did_you_mean(value, options) == (f", did you mean {meant!r}?" if meant else "")


def test_names_of_other_libraries_suggest_a_valid_name():
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
    calls += [cr.TableEncoder, cr.Cosine, cr.OneCycle, cr.StepDecay, cr.ReduceOnPlateau]
    names = {name for call in calls for name in inspect.signature(call).parameters}
    for known in (_core.ACTIVATIONS, _core.LOSSES, _core.METRICS, _core.INITS, _core.PRECISIONS):
        names |= {*known}
    names |= {"float64", "adam", "lbfgs", "sgd", "threads", *_suggest.instances(Schedule)}
    for word, targets in _suggest._ELSEWHERE.items():
        assert word == _suggest._plain(word)
        assert {*targets} <= names, word


@pytest.mark.parametrize("section", ["Network", "Network.fit", "Stop"])
def test_names_translated_in_the_guide_suggest_a_valid_name(section):
    """The last column of a table holds them."""
    page = Path(__file__).parent.parent / "python" / "docs" / "parameters.md"
    [table] = re.findall(rf"^## {section}\n(.*?)^## ", page.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)
    parameters = inspect.signature(eval(f"cr.{section}")).parameters
    rows = re.findall(r"^\| `.*\| (.*)\|$", table, re.MULTILINE)
    others = [name for row in rows for name in re.findall(r"`(\w+)`", row)]
    assert others
    assert [name for name in others if closest(name, parameters) is None] == []


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


class Elsewhere:
    """An object of another library."""

    def __repr__(self):
        return f"a {type(self).__name__}"


class Swish(Elsewhere):
    pass


class MSELoss(Elsewhere):
    pass


class SGD(Elsewhere):
    pass


def xavier_normal_(tensor):
    """A function that stands for one of another library."""


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (
            lambda: cr.Network([2, 3, 1], activation="sigmoid", loss="huber"),
            ValueError,
            "activation 'sigmoid' is unknown, did you mean 'logistic'? Expected one of identity, logistic, tanh, ",
        ),
        (
            lambda: cr.Network([2, 3, 3, 1], activation=["relu", "Swish"], loss="huber"),
            ValueError,
            "activation[1] 'Swish' is unknown, did you mean 'silu'? Expected",
        ),
        (lambda: cr.Network([2, 1], loss="mse"), ValueError, "loss 'mse' is unknown, did you mean 'squared_error'?"),
        (
            lambda: cr.Network([2, 1], loss="huber", init="kaiming"),
            ValueError,
            "init 'kaiming' is unknown, did you mean 'he_uniform'?",
        ),
        (
            lambda: cr.Network([2, 1], loss="huber", dtype="fp32"),
            TypeError,
            "dtype 'fp32' is unknown, did you mean 'float32'? Expected one of float32, float64",
        ),
        (lambda: cr.Network([2, 1], loss="huber", dtype="half"), TypeError, "dtype must be float32 or float64, got "),
        (lambda: cr.init_params([2, 1], init="xavier"), ValueError, "did you mean 'glorot_uniform'?"),
        (lambda: cr.init_params([2, 1], dtype="fp64"), TypeError, "did you mean 'float64'?"),
        (
            lambda: cr.forward([([[1.0]], [0.0])], [[1.0]], loss="bce"),
            ValueError,
            "did you mean 'binary_cross_entropy'?",
        ),
        (
            lambda: cr.check_gradients([([[1.0]], [0.0])], [[1.0]], [1.0], loss="mae"),
            ValueError,
            "did you mean 'absolute_error'?",
        ),
        (lambda: cr.set_isa("AVX-2"), ValueError, "instruction set 'AVX-2' is unknown, did you mean 'avx2'?"),
        (lambda: cr.Group(kind="bias"), ValueError, "the kind of a group 'bias' is unknown, did you mean 'biases'?"),
        (lambda: fit(precision="half"), ValueError, "precision 'half' is unknown, did you mean 'bf16'?"),
        (
            lambda: fit(metrics="roc_auc", validation=0.5),
            ValueError,
            "metric 'roc_auc' is unknown, did you mean 'auc'? Expected one of accuracy, ",
        ),
        (
            lambda: cr.Network([2, 3, 1], activation=Swish(), loss="huber"),
            TypeError,
            "activation must be a name or a sequence of names, got a Swish, did you mean 'silu'?",
        ),
        (lambda: cr.Network([2, 3, 1], activation=[Swish], loss="huber"), TypeError, ", did you mean 'silu'?"),
        (lambda: cr.Network([2, 1], loss=MSELoss()), TypeError, "got a MSELoss, did you mean 'squared_error'?"),
        (lambda: cr.Network([2, 1], loss=cr.Huber), TypeError, ", did you mean 'huber'?"),
        (lambda: cr.Network([2, 1], loss="huber", init=xavier_normal_), TypeError, "did you mean 'glorot_normal'?"),
        (lambda: cr.adam, AttributeError, "module 'chainrule' has no attribute 'adam', did you mean 'Adam'?"),
        (lambda: cr.early_exit, AttributeError, "module 'chainrule' has no attribute 'early_exit'"),
        (lambda: fit(optimizer=SGD()), TypeError, "got a SGD, did you mean SGD()?"),
        (lambda: fit(optimizer="sgd"), TypeError, "instance such as Adam(), got 'sgd', did you mean SGD()?"),
        (lambda: fit(optimizer=cr.AdamW), TypeError, ", did you mean AdamW()?"),
        (lambda: fit(schedules="cosine"), TypeError, "or callable, got 'cosine', did you mean Cosine()?"),
        (lambda: fit(schedules={"dropout": "StepLR"}), TypeError, "did you mean StepDecay()?"),
        (
            lambda: fit(schedules={"lr": cr.Cosine()}),
            ValueError,
            "schedules: the key 'lr' is unknown, did you mean 'learning_rate'?",
        ),
    ],
)
def test_unknown_names_of_every_list_get_suggestions(call, error, message):
    with pytest.raises(error, match=re.escape(message)):
        call()


X, Y = np.linspace(-1, 1, 40).reshape(20, 2), np.arange(20) % 2


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"activation": "sigmoid"}, "Got 'sigmoid' instead. Did you mean 'logistic'?"),
        ({"activation": ["ReLU"]}, "Got ['ReLU'] instead. Did you mean 'relu'?"),
        ({"solver": "Adam"}, "Did you mean 'adam'?"),
        ({"solver": "adamw"}, "Did you mean AdamW()?"),
        ({"solver": cr.RMSprop}, "Did you mean RMSprop()?"),
        ({"learning_rate": "cosine"}, "Did you mean Cosine()?"),
        ({"learning_rate": "inv_scaling"}, "Did you mean 'invscaling'?"),
        ({"batch_size": "Auto"}, "Did you mean 'auto'?"),
        ({"preprocess": "Auto"}, "Did you mean 'auto'?"),
        ({"dtype": "fp32"}, "Did you mean 'float32'?"),
        ({"early_stopping": True, "eval_metric": "roc_auc"}, "Did you mean 'auc'?"),
        ({"early_stopping": True, "eval_metric": ["auc", "acc"]}, "Did you mean 'accuracy'?"),
        ({"hidden_layer_sizes": (5, None)}, "hidden_layer_sizes[1] must be an int above 0, got None"),
        ({"hidden_layer_sizes": (5, 2.5)}, "hidden_layer_sizes[1] must be an int above 0, got 2.5"),
        ({"hidden_layer_sizes": [[5, 5]]}, "hidden_layer_sizes[0] must be an int above 0, got [5, 5]"),
        ({"hidden_layer_sizes": np.ones((2, 2), int)}, "hidden_layer_sizes[0] must be an int above 0, got array"),
        ({"hidden_layer_sizes": (5, "5")}, "hidden_layer_sizes[1] must be an int above 0, got '5'"),
        ({"hidden_layer_sizes": (5, -3)}, "hidden_layer_sizes must be > 0, got [5, -3]."),
        ({"hidden_layer_sizes": "100"}, "Got '100' instead."),
        ({"hidden_layer_sizes": np.array(5)}, "Got array(5) instead."),
        ({"hidden_layer_sizes": 0}, "Got 0 instead."),
        ({"callbacks": iter([print])}, "is an iterator, which the first fit would use up: choose callbacks=list(...)."),
        ({"callbacks": (print for _ in range(3))}, "choose callbacks=list(...)."),
        ({"dropout": iter([0.5])}, "choose dropout=list(...)."),
    ],
)
@pytest.mark.parametrize("kind", ["MLPClassifier", "MLPRegressor"])
def test_wrong_parameters_of_estimators_get_suggestions(kind, settings, message):
    pytest.importorskip("sklearn")
    estimator = getattr(cr, kind)(**settings)
    with pytest.raises(ValueError, match=re.escape(message)):
        estimator.fit(X, Y)
    assert not hasattr(estimator, "network_")


@pytest.mark.parametrize(
    ("kind", "loss", "meant"),
    [
        ("MLPClassifier", "bce", "log_loss"),
        ("MLPClassifier", "CrossEntropyLoss", "log_loss"),
        ("MLPRegressor", "mse", "squared_error"),
        ("MLPRegressor", "SmoothL1", "huber"),
    ],
)
def test_unknown_losses_of_estimators_get_suggestions(kind, loss, meant):
    pytest.importorskip("sklearn")
    with pytest.raises(ValueError, match=f"(?i)did you mean '{meant}'"):
        getattr(cr, kind)(loss=loss).fit(X, Y)


def test_columns_of_tables_are_suggested():
    pd, _ = pytest.importorskip("pandas"), pytest.importorskip("narwhals")
    table = pd.DataFrame({"age": [20.0, 30.0, 40.0], "home": ["own", "rent", "own"]})
    with pytest.raises(ValueError, match="no column 'Home', which categorical_features names, did you mean 'home'"):
        TableEncoder(categorical_features=["Home"]).fit(table)
    encoder = TableEncoder().fit(table)
    with pytest.raises(ValueError, match=r"lacks a column that the encoder was fitted on: 'age'; it has 'Age'$"):
        encoder.transform(table.rename(columns={"age": "Age"}))
    with pytest.raises(ValueError, match=r"lacks a column that the encoder was fitted on: 'age'$"):
        encoder.transform(table[["home"]])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["train", "t.csv", "--target", "y", "--activation", "sigmoid"], ", did you mean 'logistic'?"),
        (["train", "t.csv", "--target", "y", "--loss", "mse"], ", did you mean 'squared_error'?"),
        (["train", "t.csv", "--target", "y", "--task", "Regresion"], ", did you mean 'regression'?"),
        (
            ["train", "t.csv", "--target", "y", "--batchsize", "5"],
            "arguments: --batchsize 5, did you mean '--batch-size'?",
        ),
        (["train", "t.csv", "--target", "y", "--max-iter=5"], "arguments: --max-iter=5, did you mean '--epochs'?"),
        (["predict", "m", "t.csv", "--n-jobs", "2"], "arguments: --n-jobs 2, did you mean '--threads'?"),
        (["trian", "t.csv"], ", did you mean 'train'?"),
        (["info", "m", "--foo"], "unrecognized arguments: --foo\n"),
    ],
)
def test_the_command_suggests_values_and_options(arguments, message, capsys):
    from chainrule.cli._parser import parse

    with pytest.raises(SystemExit):
        parse(arguments)
    assert message in capsys.readouterr().err


def test_settings_of_table_encoders_are_suggested():
    table = np.array([[1.0, 2.0], [3.0, 4.0]])
    with pytest.raises(ValueError, match=r"date_order is 'D/M/Y', expected .*, did you mean 'dmy'"):
        TableEncoder(date_order="D/M/Y").fit(table)
    with pytest.raises(ValueError, match=r"expected 'from_dtype' or a list of columns\. Did you mean 'from_dtype'"):
        TableEncoder(categorical_features="from_dtypes").fit(table)


def test_classes_are_suggested_and_thousands_are_not_listed():
    pytest.importorskip("sklearn")
    many = np.array([f"class {i % 3000}" for i in range(3000)])
    wrong = {"Class 7": 2.0}
    with pytest.raises(ValueError, match=r"and 2,990 more\], did you mean 'class 7'") as caught:
        cr.MLPClassifier(class_weight=wrong, max_iter=1).fit(np.arange(3000.0)[:, None], many)
    assert len(str(caught.value)) < 300
    for y in (Y, np.stack([Y, 1 - Y], axis=1)):
        with pytest.raises(ValueError, match="or None, got 'Balance', did you mean 'balanced'"):
            cr.MLPClassifier(class_weight="Balance").fit(X, y)
    pd, _ = pytest.importorskip("pandas"), pytest.importorskip("narwhals")
    target = TargetEncoder().fit(pd.Series(["red", "blue"], name="color"))
    with pytest.raises(ValueError, match="holds 'Red', expected one of blue, red, did you mean 'red'"):
        target.transform(pd.Series(["Red"]))
