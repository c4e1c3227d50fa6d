"""Converts estimators to scikit-learn's."""

import inspect
from typing import Any

import numpy as np

from chainrule import _core
from chainrule._optional import require
from chainrule.exchange._model import reduce
from chainrule.target import Target

neural_network: Any = require("sklearn.neural_network", "sklearn")
LabelBinarizer: Any = require("sklearn.preprocessing", "sklearn").LabelBinarizer
make_pipeline: Any = require("sklearn.pipeline", "sklearn").make_pipeline

ACTIVATIONS = ("identity", "logistic", "tanh", "relu")  # of scikit-learn's estimators
# Results of a fit that have the same name and meaning on both sides.
RECORD = (
    "n_iter_",
    "t_",
    "loss_",
    "best_loss_",
    "loss_curve_",
    "validation_scores_",
    "best_validation_score_",
    "n_features_in_",
    "feature_names_in_",
    "_no_improvement_count",
)


def to_sklearn(estimator: Any) -> Any:
    """Convert an estimator to scikit-learn's; the method ``to_sklearn`` of the estimators describes it."""
    model = reduce(estimator)
    network, target = model.network, model.target
    hidden = set(network.activations) or {"relu"}
    if len(hidden) > 1 or not hidden <= set(ACTIVATIONS):
        raise ValueError(
            f"the network has the activations {', '.join(network.activations)}; scikit-learn's estimators have one of "
            f"{', '.join(ACTIVATIONS)} for all hidden layers"
        )
    if target.bounds is not None:
        raise ValueError("predictions are limited to the range of the targets, which scikit-learn's are not")
    if target.classes is not None and network.layer_sizes[-1] == 2 and target.y_type == "binary":
        raise ValueError("the network has two outputs for two classes; scikit-learn's estimators have one")
    kind = neural_network.MLPRegressor if target.classes is None else neural_network.MLPClassifier
    converted = kind(**_parameters(estimator, kind, hidden.pop(), network))
    output = _core.LOSSES[network.loss_name].output
    known = ("identity", "exp") if target.classes is None else ("logistic", "softmax")
    if output not in known or (output == "exp" and "loss" not in inspect.signature(kind).parameters):
        raise ValueError(f"the loss {network.loss_name} has an output that the installed {kind.__name__} does not have")
    coefs = [W.T.copy() for W in network.weights]
    intercepts = [b.copy() for b in network.biases]
    if target.standardizer is not None:
        mean, std = np.atleast_1d(target.standardizer.mean), np.atleast_1d(target.standardizer.std)
        coefs[-1] = (coefs[-1] * std).astype(coefs[-1].dtype)
        intercepts[-1] = (intercepts[-1] * std + mean).astype(intercepts[-1].dtype)
    converted.coefs_, converted.intercepts_ = coefs, intercepts
    converted.n_layers_, converted.n_outputs_ = len(network.layer_sizes), network.layer_sizes[-1]
    converted.out_activation_ = output
    for name in RECORD:
        if hasattr(estimator, name):
            setattr(converted, name, getattr(estimator, name))
    if target.classes is not None:
        converted._label_binarizer = _binarizer(target)
        converted.classes_ = target.classes
    if model.encoder is None:
        return converted
    converted.n_features_in_ = network.layer_sizes[0]
    vars(converted).pop("feature_names_in_", None)
    return make_pipeline(estimator.encoder_, converted)


def _parameters(estimator: Any, kind: Any, activation: str, network: Any) -> dict[str, Any]:
    """Return the parameters that scikit-learn's estimator also has, including those that describe the network."""
    own = estimator.get_params(deep=False)
    known = inspect.signature(kind).parameters
    parameters = {name: own[name] for name in known if name in own and _is_theirs(name, own[name])}
    loss = {"loss": "poisson" if network.loss_name == "poisson" else "squared_error"} if "loss" in known else {}
    hidden = tuple(network.layer_sizes[1:-1])
    return {**parameters, **loss, "activation": activation, "hidden_layer_sizes": hidden}


def _is_theirs(name: str, value: Any) -> bool:
    """Return whether scikit-learn accepts the value; it does not know this package's optimizers and schedules."""
    if name in ("solver", "learning_rate"):
        return isinstance(value, str) and value in ("lbfgs", "sgd", "adam", "constant", "invscaling", "adaptive")
    return True


def _binarizer(target: Target) -> Any:
    """Return scikit-learn's encoder of the classes."""
    encoder = LabelBinarizer()
    encoder.classes_, encoder.y_type_ = target.classes, target.y_type
    encoder.sparse_input_ = target.sparse
    return encoder
