"""The training settings of the table estimators for each effort, and the networks and fits made from them."""

import dataclasses
from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from chainrule.network import Network
from chainrule.optimizers import AdamW, Group
from chainrule.schedules import Cosine

FEW = 64  # with fewer rows, none are held out


@dataclasses.dataclass(frozen=True)
class Recipe:
    """The settings of a training.

    Attributes
    ----------
    bins : int
        Bins of each column of numbers; see `TableEncoder`.
    hidden, activation
        Of each network.
    networks : int
        Number of networks to train; their logits are averaged.
    folds : int
        Number of parts into which the rows are divided; each network holds out one part. Not used with eval_set.
    learning_rate : float
        Learning rate of the weights. A layer uses 1/√n_in of it, as in the neural tangent parametrization.
    first_rate, bias_rate : float
        Factors on the learning rate of the first layer's weights and of all biases.
    beta2, weight_decay, dropout, label_smoothing : float
        Of the optimizer, of weights, of hidden units, of the cross-entropy of classes.
    first_cycle, cycles : int
        A cycle is a fit with a cosine schedule and a new optimizer. Epochs of the first one, each later one has twice
        as many as the one before; and how many there are at most.
    least_gain : float
        A cycle that lowers the cost of the held-out rows by a smaller part is the last.
    """

    bins: int = 16
    hidden: tuple[int, ...] = (64, 64)
    activation: str = "mish"
    networks: int = 2
    folds: int = 1
    learning_rate: float = 0.1
    first_rate: float = 1.0
    bias_rate: float = 0.1
    beta2: float = 0.95
    weight_decay: float = 0.1
    dropout: float = 0.1
    label_smoothing: float = 0.0
    first_cycle: int = 4
    cycles: int = 5
    least_gain: float = 0.015

    def batch_size(self, n_rows: int) -> int | None:
        """Return the batch size: about 40 steps per epoch; all rows if there are few."""
        if n_rows < FEW:
            return None
        return int(np.clip(2 ** round(np.log2(n_rows / 40)), 16, 256))

    def make_network(self, n_inputs: int, n_outputs: int, loss: Any, dtype: str, seed: int) -> Network:
        """Make a network with normally distributed weights and biases, and zeros in the last layer."""
        random = np.random.default_rng(seed)
        sizes = [n_inputs, *self.hidden, n_outputs]
        layers = [
            (random.standard_normal((n_out, n_in)) / np.sqrt(n_in), random.standard_normal(n_out))
            for n_in, n_out in pairwise(sizes)
        ]
        layers[-1] = (np.zeros_like(layers[-1][0]), np.zeros(n_outputs))
        return Network(sizes, activation=self.activation, loss=loss, init=layers, dtype=dtype, seed=seed)

    def fit_settings(self, n_inputs: int, n_rows: int) -> dict[str, Any]:
        """Return the settings of `Network.fit`, except the schedule, for this number of rows."""
        groups = [Group(kind="biases", learning_rate=self.bias_rate, weight_decay=0.0)]
        for layer, n_in in enumerate([n_inputs, *self.hidden]):
            factor = self.first_rate if layer == 0 else 1.0
            groups.append(Group(layers=[layer], kind="weights", learning_rate=factor / np.sqrt(n_in)))
        return {
            "optimizer": AdamW(learning_rate=self.learning_rate, beta2=self.beta2, weight_decay=self.weight_decay),
            "groups": tuple(groups),
            "batch_size": self.batch_size(n_rows),
            "dropout": 0.0 if n_rows < FEW else self.dropout,
        }

    def schedule(self, cycle: int, once: bool) -> dict[str, Any]:
        """Return epochs and schedule of a cycle, counted from 0; `once` joins all cycles into one."""
        epochs = self.epochs(self.cycles if once else cycle + 1) - (0 if once else self.epochs(cycle))
        return {"epochs": epochs, "schedules": {"learning_rate": Cosine(warmup=min(1.0, epochs / 8))}}

    def epochs(self, cycles: int) -> int:
        """Return the total number of epochs of the first cycles."""
        return int(self.first_cycle * (2**cycles - 1))


_CLASSES = Recipe(learning_rate=0.06, first_rate=5.0, label_smoothing=0.05)
_VALUES = Recipe()
_ACCURATE: dict[str, Any] = {"networks": 10, "folds": 5, "cycles": 6, "least_gain": 0.002}

RECIPES = {
    ("fast", "classes"): _CLASSES,
    ("fast", "values"): _VALUES,
    ("accurate", "classes"): dataclasses.replace(_CLASSES, **_ACCURATE),
    ("accurate", "values"): dataclasses.replace(_VALUES, **_ACCURATE),
}


def merge(networks: Sequence[Network], loss: Any, scale: float = 1.0) -> Network:
    """Merge networks into one whose logits are the mean of theirs times `scale`.

    Examples
    --------
    >>> import chainrule as cr, numpy as np
    >>> from chainrule.estimators._recipe import merge
    >>> nets = [cr.Network([2, 3, 3, 1], loss="squared_error", seed=seed) for seed in range(2)]
    >>> both = merge(nets, "squared_error")
    >>> both.layer_sizes
    (2, 6, 6, 1)
    >>> X = np.ones((1, 2))
    >>> np.allclose(both.predict(X), (nets[0].predict(X) + nets[1].predict(X)) / 2, atol=1e-6)
    True
    """
    first = networks[0]
    last = len(first.weights) - 1
    layers = []
    for layer in range(last + 1):
        weights: list[NDArray[Any]] = [network.weights[layer] for network in networks]
        biases: list[NDArray[Any]] = [network.biases[layer] for network in networks]
        if layer == last:
            share = scale / len(networks)
            layers.append((np.hstack(weights) * share, np.sum(biases, axis=0) * share))
        else:
            layers.append((np.vstack(weights) if layer == 0 else _block_diagonal(weights), np.concatenate(biases)))
    sizes = [first.layer_sizes[0], *(len(b) for _, b in layers)]
    return Network(
        sizes, activation=list(first.activations), loss=loss, init=layers, dtype=first.dtype, seed=first.seed
    )


def _block_diagonal(matrices: Sequence[NDArray[Any]]) -> NDArray[Any]:
    n_out, n_in = matrices[0].shape
    whole = np.zeros((len(matrices), n_out, len(matrices), n_in), matrices[0].dtype)
    for i, matrix in enumerate(matrices):
        whole[i, :, i] = matrix
    return whole.reshape(len(matrices) * n_out, -1)
