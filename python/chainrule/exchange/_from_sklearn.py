"""Converts scikit-learn's estimators to those of this package."""

from typing import Any

from chainrule._optional import require
from chainrule.estimators import MLPClassifier, MLPRegressor
from chainrule.estimators._labels import Labels
from chainrule.exchange.sklearn import RECORD, neural_network

check_is_fitted: Any = require("sklearn.utils.validation", "sklearn").check_is_fitted


def to_estimator(estimator: Any) -> Any:
    """Make an estimator of this package from scikit-learn's; `from_sklearn` describes it."""
    kinds = {neural_network.MLPClassifier: MLPClassifier, neural_network.MLPRegressor: MLPRegressor}
    if type(estimator) not in kinds:
        raise TypeError(
            "estimator must be sklearn.neural_network.MLPClassifier or MLPRegressor, "
            f"got {type(estimator).__module__}.{type(estimator).__name__}"
        )
    check_is_fitted(estimator)
    converted: Any = kinds[type(estimator)]().set_params(**estimator.get_params())
    if type(estimator) is neural_network.MLPClassifier:
        encoder = estimator._label_binarizer
        converted._label_binarizer = Labels("", encoder.classes_, encoder.y_type_, bool(encoder.sparse_input_))
        converted.classes_ = encoder.classes_
    layers = [(W.T, b) for W, b in zip(estimator.coefs_, estimator.intercepts_, strict=True)]
    sizes = [len(estimator.coefs_[0]), *map(len, estimator.intercepts_)]
    network = converted._make_network(sizes, layers, converted._network_loss(), estimator.coefs_[0].dtype)
    converted._restore(network)
    for name in RECORD:
        if hasattr(estimator, name):
            setattr(converted, name, getattr(estimator, name))
    return converted
