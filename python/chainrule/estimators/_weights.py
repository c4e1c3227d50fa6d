"""Weights in scikit-learn's layout, (n_in, n_out), and biases: views of a network's parameters."""

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from chainrule.network import Network


class Layers(list[NDArray[Any]]):
    """Views of a network's parameters, one per layer. Assigning to an entry writes to its elements."""

    def __setitem__(self, layer: Any, values: Any) -> None:
        self[layer][...] = values


def coefs(network: Network) -> Layers:
    """View the weights of each layer, shape (n_in, n_out)."""
    return Layers(weights.T for weights in network.weights)


def intercepts(network: Network) -> Layers:
    """View the biases of each layer."""
    return Layers(network.biases)


def draw(
    layer_sizes: Sequence[int], activation: str | Sequence[str], random: np.random.RandomState
) -> list[tuple[NDArray[np.float64], NDArray[np.float64]]]:
    """Draw initial weights and biases, the same numbers that scikit-learn draws from the same generator.

    The distribution is uniform between -b and b with b² = 6 / (n_in + n_out), or 2 / (n_in + n_out) if the layer has
    a logistic activation. The last layer is treated like the one before.
    """
    shapes = list(pairwise(layer_sizes))
    names = (
        [activation] * len(shapes) if isinstance(activation, str) else [*activation, *activation[-1:]] or ["identity"]
    )
    layers = []
    for (n_in, n_out), name in zip(shapes, names, strict=False):  # the network checks the number of names
        bound = np.sqrt((2.0 if name == "logistic" else 6.0) / (n_in + n_out))
        weights = random.uniform(-bound, bound, (n_in, n_out)).T
        layers.append((weights, random.uniform(-bound, bound, n_out)))
    return layers


def pack(weights: Sequence[NDArray[Any]], biases: Sequence[NDArray[Any]]) -> NDArray[Any]:
    """Return all weights, each row by row, followed by all biases, as one array."""
    return np.concatenate([array.ravel() for array in (*weights, *biases)])


def unpack(network: Network, packed: NDArray[Any]) -> None:
    """Set all parameters from the result of `pack`."""
    views = [*coefs(network), *intercepts(network)]
    parts = np.split(packed, np.cumsum([view.size for view in views])[:-1])
    for view, part in zip(views, parts, strict=True):
        view[...] = part.reshape(view.shape)
