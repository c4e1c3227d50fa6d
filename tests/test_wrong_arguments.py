"""Calls with wrong arguments: the message suggests the intended one, under the name that the caller used."""

import inspect
import re
import warnings

import numpy as np
import pytest

import chainrule as cr
from chainrule import _core
from chainrule.optimizers import Optimizer
from chainrule.schedules import Schedule

X, Y = np.linspace(-1, 1, 40).reshape(20, 2), np.arange(20) % 2
NET = cr.Network([2, 1], loss="squared_error", seed=0)
LOSSES = ", ".join(_core.LOSSES)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: cr.Adam(lr=0.1), "Adam has no argument 'lr', did you mean 'learning_rate'?"),
        (lambda: cr.SGD(learningRate=0.1), "SGD has no argument 'learningRate', did you mean 'learning_rate'?"),
        (lambda: cr.AdamW(betas=(0.9, 0.99)), "AdamW has no argument 'betas', did you mean 'beta1'?"),
        (lambda: cr.RMSprop(rho=0.9), "RMSprop has no argument 'rho', did you mean 'alpha'?"),
        (lambda: cr.LBFGS(history_size=5), "LBFGS has no argument 'history_size', did you mean 'history'?"),
        (lambda: cr.Adagrad(lr_decay=0.1), "did you mean 'learning_rate_decay'?"),
        (lambda: cr.Group(lr=0.1), "Group has no argument 'lr', did you mean 'learning_rate'?"),
        (lambda: cr.Stop(patience=3), "Stop has no argument 'patience', did you mean 'no_improvement'?"),
        (lambda: cr.StepDecay(step_size=3), "StepDecay has no argument 'step_size', did you mean 'every'?"),
        (lambda: cr.ExponentialDecay(gamma=0.9), "did you mean 'factor'?"),
        (lambda: cr.Cosine(T_max=3), "Cosine has no argument 'T_max', did you mean 'epochs'?"),
        (lambda: cr.OneCycle(pct_start=0.3), "did you mean 'warmup'?"),
        (lambda: cr.ReduceOnPlateau(min_lr=0.1), "did you mean 'lowest'?"),
        (lambda: cr.Huber(beta=1.0), "Huber has no argument 'beta', did you mean 'delta'?"),
        (lambda: cr.Quantile(quantiles=[0.5]), "Quantile has no argument 'quantiles', did you mean 'levels'?"),
        (lambda: cr.SoftmaxCrossEntropy(smoothing=0.1), "did you mean 'label_smoothing'?"),
        (lambda: cr.Network([2, 1], los="huber"), "Network has no argument 'los', did you mean 'loss'?"),
        (lambda: cr.Network(hidden=[3], loss="huber"), "did you mean 'layer_sizes'?"),
        (lambda: cr.Network([4, 8, 1]), f"Network needs loss=, one of {LOSSES}"),
        (lambda: cr.forward([], X), f"forward needs loss=, one of {LOSSES}"),
        (lambda: cr.Network(), "Network needs layer_sizes"),
        (lambda: NET.fit(X), "Network.fit needs y"),
        (
            lambda: NET.fit(X, Y, validation_data=(X, Y)),
            "Network.fit has no argument 'validation_data', did you mean 'val",
        ),
        (lambda: NET.fit(X, Y, lr=0.1), "did you mean 'optimizer'?"),
        (lambda: NET.fit(X, Y, max_iter=5), "did you mean 'epochs'?"),
        (lambda: NET.fit(X, Y, cr.Adam()), "Network.fit takes 2 arguments by position, got 3; by name: optimizer=, "),
        (lambda: NET.fit(X, X=X), "Network.fit got X twice, by position and by name"),
        (lambda: NET.losses(X, X, workers=2), "Network.losses has no argument 'workers', did you mean 'n_threads'?"),
        (lambda: NET.loss(X, Y, alpha=0.1), "Network.loss has no argument 'alpha', did you mean 'l2'?"),
        (lambda: NET.save(file="x"), "Network.save has no argument 'file'; its arguments are path, metadata"),
        (lambda: cr.fit_many([NET], X, Y, n_jobs=2), "fit_many has no argument 'n_jobs', did you mean 'n_threads'?"),
        (
            lambda: cr.init_params([2, 1], initializer="x"),
            "init_params has no argument 'initializer', did you mean 'init'?",
        ),
        (lambda: cr.Adam(eps=1e-8, lr=0.1), "Adam has no argument 'eps', did you mean 'epsilon'?"),
        (lambda: cr.Adam(0.1), "Adam takes no arguments by position, got 1; by name: learning_rate=, beta1=, "),
        (lambda: cr.set_num_threads(), "set_num_threads needs n_threads"),
        (lambda: cr.CSVLog(filename="x"), "CSVLog has no argument 'filename'"),
    ],
)
def test_wrong_arguments_are_explained(call, message):
    with pytest.raises(TypeError, match="^" + re.escape(message) if message[0].isupper() else re.escape(message)):
        call()


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (
            lambda: cr.MLPClassifier(hidden=3),
            TypeError,
            "MLPClassifier has no argument 'hidden', did you mean 'hidden_l",
        ),
        (lambda: cr.MLPRegressor(optimizer="adam"), TypeError, "did you mean 'solver'?"),
        (lambda: cr.MLPClassifier(epochs=3), TypeError, "did you mean 'max_iter'?"),
        (lambda: cr.MLPClassifier(lr=0.1), TypeError, "did you mean 'learning_rate_init'?"),
        (
            lambda: cr.MLPClassifier().fit(X, Y, validation_data=(X, Y)),
            TypeError,
            "MLPClassifier.fit has no argument 'validation_data', did you mean 'eval_set'?",
        ),
        (
            lambda: cr.MLPRegressor().partial_fit(X, Y, weights=1),
            TypeError,
            "MLPRegressor.partial_fit has no argument 'weights', did you mean 'sample_weight'?",
        ),
        (
            lambda: cr.TableEncoder(max_categories=5),
            TypeError,
            "TableEncoder has no argument 'max_categories', did you ",
        ),
        (lambda: cr.MLPRegressor(cat_features=[0]), TypeError, "did you mean 'categorical_features'?"),
        (lambda: cr.MLPClassifier().fit(X), ValueError, "requires y to be passed, but the target y is None"),
        (lambda: cr.MLPClassifier().set_params(lr=0.1), ValueError, "]. Did you mean 'learning_rate_init'?"),
    ],
)
def test_wrong_arguments_of_estimators_are_explained(call, error, message):
    pytest.importorskip("sklearn")
    with pytest.raises(error, match=re.escape(message)):
        call()


def test_messages_use_the_name_of_a_subclass():
    class MyNetwork(cr.Network):
        pass

    with pytest.raises(TypeError, match=r"^MyNetwork needs loss="):
        MyNetwork([2, 1])
    with pytest.raises(TypeError, match=r"^MyNetwork.fit has no argument 'epoch', did you mean 'epochs'"):
        MyNetwork([2, 1], loss="huber").fit(X, Y, epoch=3)


def test_type_error_raised_inside_a_call_is_unchanged():
    def callback(logs):
        raise TypeError("needs no explanation")

    with pytest.raises(TypeError, match=r"^needs no explanation$") as caught:
        NET.fit(X, Y, epochs=1, callbacks=[callback])
    assert caught.value.__cause__ is None


def test_signatures_are_unchanged():
    assert str(inspect.signature(cr.Huber)) == "(delta: float = 1.0) -> None"
    assert list(inspect.signature(cr.Network).parameters)[:2] == ["layer_sizes", "activation"]
    assert list(inspect.signature(cr.Network.predict).parameters) == ["self", "X", "n_threads"]


# Internal names, and messages of Python and pybind11 about internals.
INTERNAL = re.compile(
    r"\bState\b|Evaluation|Perceptron|NetworkFloat|_core|incompatible function|has no attribute|not iterable|has no len"
    r"|not subscriptable|unsupported operand|unhashable|__init__\(\)|std::|float\(\) argument|cannot be interpreted"
)
WRONG = [None, "x", b"x", -1, 2.5, float("nan"), [], {"a": 1}, object(), [None], np.array(["a"]), 1j, cr.Adam, {1}]
PARAMS = cr.init_params([2, 1])
RIGHT = {
    "X": X, "y": Y, "Y": Y, "params": PARAMS, "grads": PARAMS, "cache": cr.forward(PARAMS, X, loss="huber"),
    "loss": "huber", "layer_sizes": [2, 1], "networks": [NET], "network": NET, "learning_rate": 0.1, "path": "file",
}  # fmt: skip
FUNCTIONS = {
    name: getattr(cr, name)
    for name in cr.__all__
    if name[0].islower() and name not in ("plots", "show_config", "available_isas", "get_isa", "get_num_threads")
} | {
    f"Network.{name}": member
    for name, member in inspect.getmembers(NET, inspect.ismethod)
    if not name.startswith("_") and name != "plot"
}
VALUES = {name: getattr(cr, name) for name in ("Network", "Stop", "Group", "Huber", "Quantile", "SoftmaxCrossEntropy")}
VALUES |= {kind.__name__: kind for base in (Optimizer, Schedule) for kind in base.__subclasses__()}
FUNCTIONS |= VALUES | {"CSVLog": cr.CSVLog, "Checkpoint": cr.Checkpoint}


def message_of(function, **arguments):
    """Return the error of the call or None; only errors meant for the caller are allowed."""
    try:
        function(**arguments)
    except (TypeError, ValueError, OSError, cr.DivergenceError) as error:
        return str(error)
    return ""


@pytest.mark.parametrize("name", FUNCTIONS)
def test_messages_about_wrong_values_hide_internals(name, tmp_path, monkeypatch):
    if "torch" in name:
        pytest.importorskip("torch")
    monkeypatch.chdir(tmp_path)
    function = FUNCTIONS[name]
    parameters = inspect.signature(function).parameters
    needed = {p.name: RIGHT.get(p.name) for p in parameters.values() if p.default is p.empty}
    few = {"epochs": 2} if "epochs" in parameters and name in ("Network.fit", "fit_many") else {}
    for parameter in parameters:
        for value in WRONG:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                message = message_of(function, **{**needed, **few, parameter: value})
            assert not INTERNAL.search(message), (parameter, value)
    cr.set_num_threads(None)


@pytest.mark.parametrize("name", ["MLPClassifier", "MLPRegressor"])
def test_messages_of_estimators_hide_internals(name):
    pytest.importorskip("sklearn")
    kind = getattr(cr, name)
    for parameter in [*inspect.signature(kind).parameters, "X", "y", "sample_weight", "X_val", "eval_set"]:
        for value in WRONG:
            data = {"X": X, "y": Y} | ({"y_val": Y} if parameter == "X_val" else {})
            settings = {"max_iter": 2, "verbose": False}
            (settings if parameter in inspect.signature(kind).parameters else data)[parameter] = value
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                message = message_of(lambda settings, data: kind(**settings).fit(**data), settings=settings, data=data)
            assert not INTERNAL.search(message), (parameter, value)


@pytest.mark.parametrize("name", ["predict", "logits"])
def test_quick_methods_raise_python_errors_with_their_public_name(name):
    method = getattr(NET, name)
    with pytest.raises(TypeError, match=rf"^Network\.{name}\(\) got an unexpected keyword argument 'workers'"):
        method(X, workers=2)
    assert not hasattr(method, "__wrapped__")
