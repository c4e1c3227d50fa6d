"""Reduces an estimator or a network to what its predictions need: the input of every converter.

`Network` has methods that call converters, so the converters do not import it.
"""

from dataclasses import dataclass
from typing import Any

from chainrule.table import TableEncoding
from chainrule.target import Target


@dataclass(frozen=True)
class ReducedModel:
    """The parts of a model that its predictions need.

    Attributes
    ----------
    kind : str
        The name of the class that is converted.
    network : Network
        The network; not a copy.
    encoder : TableEncoding or None
        Turns a table into the inputs of the network; None if they are plain numbers.
    target : Target
        The target that is predicted.
    """

    kind: str
    network: Any
    encoder: TableEncoding | None
    target: Target


def reduce(subject: Any) -> ReducedModel:
    """Return the network, the encoding of a table and the target of a fitted estimator, or of a `Network`.

    Raises
    ------
    NotFittedError
        If the estimator is not fitted.
    """
    if not hasattr(subject, "get_params"):
        return ReducedModel(type(subject).__name__, subject, None, Target(""))
    from chainrule.estimators import _sklearn  # needs scikit-learn, which networks do not

    _sklearn.validation.check_is_fitted(subject)
    encoder = getattr(subject, "encoder_", None)
    encoding = None if encoder is None else encoder.encoding_
    return ReducedModel(type(subject).__name__, subject._ensure_network(), encoding, subject._target())
