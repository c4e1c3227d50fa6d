"""Reads a network or estimator from a model file; `model_file` defines the format."""

import os
from typing import Any

from chainrule._disk import StrPath
from chainrule._suggest import explained
from chainrule.model_file import find_model, load_with_metadata, unreadable_estimator


@explained
def load(path: StrPath) -> Any:
    """Read a model file that `Network.save`, the ``save`` of an estimator, or `chainrule train` wrote.

    Parameters
    ----------
    path : str or path
        A safetensors file.

    Returns
    -------
    Network, MLPClassifier, MLPRegressor, TableClassifier or TableRegressor
        The saved object, with bit-identical parameters. An estimator makes the same predictions as before; it needs the
        extra `sklearn`.

    Raises
    ------
    ValueError
        If the file is not a safetensors file or not a chainrule model, is damaged or inconsistent, or has a newer
        format.
    ImportError
        If it holds an estimator and scikit-learn is not installed.
    OSError
        If the file cannot be read.

    Notes
    -----
    The checksum is checked if the file has one; files written by development versions before the first release have
    none. A program that copies the tensors and the metadata, in any order, keeps the checksum valid. One that changes
    them must omit `chainrule.sha256`.

    Examples
    --------
    >>> import chainrule as cr
    >>> cr.load("model.safetensors").predict([[1.0, 2.0]])  # doctest: +SKIP
    """
    network, metadata = load_with_metadata(path)
    model = find_model(path, network, metadata)
    if model is None:
        return network
    try:
        from chainrule import estimators
        from chainrule.estimators._files import make_estimator
    except ImportError as error:
        raise ImportError(f"{os.fspath(path)} holds an estimator, {model.kind}: {error}", name=error.name) from error
    with unreadable_estimator(path):
        return make_estimator(getattr(estimators, model.kind), model)
