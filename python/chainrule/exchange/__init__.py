"""Converts networks and estimators to the formats of other programs, and back.

A module such as `exchange.torch` needs the package it is named after, which is imported when a function is called.
"""

from typing import Any

from chainrule._suggest import explained
from chainrule.losses import Loss
from chainrule.network import Network


@explained
def from_torch(module: Any, *, loss: Loss | None = None, seed: int | None = None) -> Network:
    """Make a network from a PyTorch module, with a copy of its weights.

    The module is traced with `torch.fx`; it may be a `torch.nn.Sequential` or a class with a ``forward`` that applies
    `torch.nn.Linear` and activations one after the other. Dropout and changes of shape (``flatten``, ``view``,
    ``squeeze``) are left out: pass ``dropout=`` and rows of shape (m, n_0) to `Network.fit`. Needs the extra ``torch``.

    Parameters
    ----------
    module : torch.nn.Module
        The module, in float32 or float64, on any device.
    loss : str, or a loss such as Huber, optional
        See `Network`. A module that ends with logits or values does not determine the loss: give
        "softmax_cross_entropy" for `torch.nn.CrossEntropyLoss`, "binary_cross_entropy" for
        `torch.nn.BCEWithLogitsLoss`, "squared_error" for `torch.nn.MSELoss`. Default for a module that ends with a
        softmax or log-softmax: "softmax_cross_entropy"; with a sigmoid: "binary_cross_entropy".
    seed : int, optional
        See `Network`.

    Returns
    -------
    Network
        It predicts what the module computes; after a log-softmax, the probabilities.

    Raises
    ------
    ValueError
        For a module with another layer, with a skip connection, or whose last activation belongs to another loss; the
        message names the layer.
    ImportError
        If PyTorch is not installed.

    Examples
    --------
    >>> import chainrule as cr
    >>> import torch
    >>> module = torch.nn.Sequential(torch.nn.Linear(4, 8), torch.nn.Tanh(), torch.nn.Linear(8, 3))
    >>> cr.from_torch(module, loss="softmax_cross_entropy", seed=0)
    Network([4, 8, 3], activation='tanh', loss='softmax_cross_entropy', dtype='float32')
    """
    from chainrule.exchange.torch import read_module

    return Network(**read_module(module, loss), seed=seed)


@explained
def from_sklearn(estimator: Any) -> Any:
    """Make an estimator of this package from a fitted one of scikit-learn, with a copy of its weights.

    Parameters
    ----------
    estimator : sklearn.neural_network.MLPClassifier or MLPRegressor
        A fitted estimator.

    Returns
    -------
    MLPClassifier or MLPRegressor
        It has the same parameters and classes, and predicts the same up to rounding. `partial_fit` and ``warm_start``
        continue from the weights, with new moments of the optimizer.

    Raises
    ------
    TypeError
        For another estimator, a pipeline or a subclass.
    ValueError
        For a loss that the estimators here do not have.
    NotFittedError
        If the estimator is not fitted.

    Examples
    --------
    >>> import chainrule as cr
    >>> from sklearn.datasets import load_iris
    >>> from sklearn.neural_network import MLPClassifier
    >>> X, y = load_iris(return_X_y=True)
    >>> theirs = MLPClassifier(20, solver="lbfgs", alpha=0.1, max_iter=1000, random_state=0).fit(X, y)
    >>> ours = cr.from_sklearn(theirs)
    >>> bool((ours.predict(X) == theirs.predict(X)).all())
    True
    """
    from chainrule.exchange._from_sklearn import to_estimator

    return to_estimator(estimator)
