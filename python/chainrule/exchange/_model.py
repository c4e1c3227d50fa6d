"""Reduces an estimator or a network to what its predictions need: the input of every converter."""

from typing import Any

from chainrule.model_file import Model
from chainrule.network import Network
from chainrule.target import Target


def reduce(subject: Any) -> Model:
    """Return the network, the encoding of a table and the target of a fitted estimator, or of a network.

    Parameters
    ----------
    subject : Network, MLPClassifier, MLPRegressor, TableClassifier or TableRegressor
        What to convert. The network is not copied.

    Raises
    ------
    NotFittedError
        If the estimator is not fitted.
    """
    if isinstance(subject, Network):
        return Model("Network", subject, None, Target(""), {}, {})
    from chainrule.estimators import _sklearn  # needs scikit-learn, which networks do not

    _sklearn.validation.check_is_fitted(subject)
    encoder = getattr(subject, "encoder_", None)
    encoding = None if encoder is None else encoder.encoding_
    return Model(type(subject).__name__, subject._ensure_network(), encoding, subject._target(), {}, {})
