"""The training settings of the table estimators for each effort, and the networks and fits made from them."""

import dataclasses
import math
from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from chainrule._names import ActivationName
from chainrule.network import Network
from chainrule.optimizers import AdamW, Group

FEW = 64  # tables with fewer rows hold out no rows
FIRST = 4  # epochs of the first stage
WIDE = 20_000  # with as many rows and more than two outputs, the hidden layers are twice as wide
SOME = 2_000  # with fewer rows, the held-out rows cannot tell recipes apart
HELD_OUT = 5  # without validation data, one row in 5 is held out


@dataclasses.dataclass(frozen=True)
class Recipe:
    """The training settings of a table estimator.

    Attributes
    ----------
    bins, most_bins : int
        Number of bins of each numeric column of a small table, and of a large one; see `n_bins` and `TableEncoder`.
    hidden, activation
        Hidden layers of each network, and their activation; see `layer_sizes`.
    networks : int
        Number of networks to train; their logits are averaged.
    folds : int
        Number of different fifths of the rows that the networks hold out, in turn. Not used with validation data.
    learning_rate : float
        Learning rate of the weights; each layer divides it by √n_in, as in the neural tangent parametrization.
    first_rate : float
        Factor on the learning rate of the first layer's weights for at most 1,000 rows; see `first_factor`.
    bias_rate : float
        Factor on the learning rate of all biases.
    beta2, dropout, label_smoothing : float
        β₂ of the optimizer, dropout of hidden units, label smoothing for classes.
    weight_decay : float
        Decay of the weights with at most `steps` steps per epoch. With more steps it is smaller in proportion, so that
        the weights decay as much per epoch: with more rows, the decay has to suppress less noise.
    steps : int
        Number of steps per epoch, approximately; see `batch_size`.
    average : float
        Number of epochs over which the weights are averaged, by an exponential moving average.
    longest, most_rows
        The largest number of epochs, and the limit for large tables; see `stages`.
    gain : float
        The fraction by which the last two stages must lower the cost of the held-out rows; see `least_gain`.
    brier : bool
        Compare the probabilities of the held-out rows by their Brier score; see `HeldOut.scores`.
    others : tuple of Recipe
        Further recipes to try with `SOME` to `WIDE` rows; the networks with the best held-out rows are kept.
    least_outputs : int
        Among `others`: the least number of outputs with which the recipe is tried.
    """

    bins: int = 32
    most_bins: int = 64
    hidden: tuple[int, ...] = (64, 32)
    activation: ActivationName = "mish"
    networks: int = 2
    folds: int = 2
    learning_rate: float = 0.07
    first_rate: float = 1.5
    bias_rate: float = 0.1
    beta2: float = 0.95
    weight_decay: float = 0.3
    dropout: float = 0.0
    label_smoothing: float = 0.0
    steps: int = 25
    average: float = 2.0
    longest: int = 100
    most_rows: float = 4500.0
    gain: float = 0.02
    brier: bool = False
    others: tuple["Recipe", ...] = ()
    least_outputs: int = 1

    def to_try(self, n_rows: int, n_outputs: int) -> tuple["Recipe", ...]:
        """Return the recipes to try for a table of `n_rows` rows."""
        others = self.others if SOME <= n_rows < WIDE else ()
        return (self, *(recipe for recipe in others if n_outputs >= recipe.least_outputs))

    def n_bins(self, n_rows: int) -> int:
        """Return the number of bins of each numeric column: about one per 256 rows, from `bins` to `most_bins`."""
        return int(np.clip(2 ** round(np.log2(n_rows / 256)), self.bins, self.most_bins))

    def batch_size(self, n_rows: int, n_outputs: int) -> int | None:
        """Return a power of 2 that gives about `steps` steps per epoch, or None (all rows) for small tables.

        It is at most 256, or 512 with wide layers.
        """
        if n_rows < FEW:
            return None
        return int(np.clip(2 ** round(np.log2(n_rows / self.steps)), 16, 256 * _widening(n_rows, n_outputs)))

    def first_factor(self, n_rows: int) -> float:
        """Return the factor on the learning rate of the first layer's weights: `first_rate`, twice from 4,000 rows on.

        Between 1,000 and 4,000 rows it is proportional to √n_rows: with more rows, finer differences between the bins
        are more than noise.
        """
        return self.first_rate * min(2.0, math.sqrt(max(1.0, n_rows / 1000)))

    def least_gain(self, n_outputs: int) -> float:
        """Return the fraction by which the cost must fall: `gain`, and proportionally less with more than 2 outputs."""
        return self.gain * 2 / max(2, n_outputs)

    def layer_sizes(self, n_inputs: int, n_rows: int, n_outputs: int) -> list[int]:
        """Return the layer sizes of each network: `hidden`, or twice as wide; see `WIDE`."""
        return [n_inputs, *(_widening(n_rows, n_outputs) * width for width in self.hidden), n_outputs]

    def make_network(self, sizes: Sequence[int], loss: Any, dtype: str, seed: int) -> Network:
        """Return a network with normally distributed weights and biases, and zeros in the last layer."""
        random = np.random.default_rng(seed)
        layers = [
            (random.standard_normal((n_out, n_in)) / np.sqrt(n_in), random.standard_normal(n_out))
            for n_in, n_out in pairwise(sizes)
        ]
        layers[-1] = (np.zeros_like(layers[-1][0]), np.zeros(sizes[-1]))
        return Network(sizes, activation=self.activation, loss=loss, init=layers, dtype=dtype, seed=seed)

    def fit_settings(self, sizes: Sequence[int], n_rows: int) -> dict[str, Any]:
        """Return the settings of `Network.fit`, except epochs and schedule, for these layers and number of rows."""
        batch_size = self.batch_size(n_rows, sizes[-1])
        steps = math.ceil(n_rows / (batch_size or n_rows))
        decay = self.weight_decay * min(1.0, self.steps / steps)
        # The rounding errors of gradients that are 0 must not move the weights: in small tables, a row of weight 2 has
        # the same effect as two rows.
        epsilon = 1e-5 if n_rows < FEW else 1e-7
        groups = [Group(kind="biases", learning_rate=self.bias_rate, weight_decay=0.0)]
        for layer, n_in in enumerate(sizes[:-1]):
            factor = self.first_factor(n_rows) if layer == 0 else 1.0
            groups.append(Group(layers=[layer], kind="weights", learning_rate=factor / np.sqrt(n_in)))
        return {
            "optimizer": AdamW(learning_rate=self.learning_rate, beta2=self.beta2, epsilon=epsilon, weight_decay=decay),
            "groups": tuple(groups),
            "batch_size": batch_size,
            "ema": math.exp(-1 / (self.average * steps)),
            "dropout": 0.0 if n_rows < FEW else self.dropout,
        }

    def stages(self, n_rows: int, n_outputs: int, held_out: bool) -> list[int]:
        """Return the number of epochs of each stage, given the number of training rows and whether rows are held out.

        The rows times the epochs are at most ``most_rows * sqrt(n_rows)``, and proportionally more with more than two
        outputs; but there are at least 4 epochs and at most `longest`. Each stage makes the total number of epochs
        about 1.5 times as large. Without held-out rows there is one stage.
        """
        most = max(FIRST, min(self.longest, int(self.most_rows * max(1, n_outputs / 2) / math.sqrt(n_rows))))
        ends = [0]
        while ends[-1] < most:
            end = max(FIRST, ends[-1] + math.ceil(ends[-1] / 2))
            ends.append(end if held_out and end * 5 // 4 < most else most)
        return [end - begin for begin, end in pairwise(ends)]

    def most_epochs(self, n_rows: int, n_outputs: int) -> int:
        """Return the largest number of epochs of a fit to `n_rows` rows, some of which it holds out."""
        rows = n_rows if n_rows < FEW else n_rows - math.ceil(n_rows / HELD_OUT)
        return sum(self.stages(rows, n_outputs, n_rows >= FEW))


_CLASSES = Recipe(
    bins=16,
    hidden=(64, 64),
    learning_rate=0.05,
    first_rate=2.5,
    bias_rate=1.0,
    dropout=0.05,
    label_smoothing=0.02,
    steps=20,
    most_rows=3000.0,
    gain=0.01,
)
_VALUES = Recipe()
_ACCURATE: dict[str, Any] = {
    "folds": 5,
    "steps": 40,
    "brier": True,
}
_SMALL: dict[str, Any] = {**_ACCURATE, "networks": 10, "longest": 400, "most_rows": 20_000.0, "gain": 0.0}
_WIDE: dict[str, Any] = {
    **_ACCURATE,
    "networks": 5,
    "most_rows": 12_000.0,
    "gain": -math.inf,  # the cost of wide networks may rise for some stages before it falls further
}
_WIDE_VALUES = dataclasses.replace(
    _VALUES, **_WIDE, hidden=(256, 128), first_rate=0.5, weight_decay=0.2, dropout=0.15, longest=200
)
_SMOOTH_VALUES = dataclasses.replace(_WIDE_VALUES, bins=2, most_bins=2, dropout=0.0, longest=80)
_WIDE_CLASSES = dataclasses.replace(
    _CLASSES,
    **_WIDE,
    hidden=(256, 256, 256),
    bins=2,
    most_bins=2,
    dropout=0.1,
    weight_decay=0.02,
    longest=72,
    least_outputs=3,  # wide networks overfit tables with two classes after a few epochs
)

RECIPES = {
    ("fast", "classes"): _CLASSES,
    ("fast", "values"): _VALUES,
    ("accurate", "classes"): dataclasses.replace(_CLASSES, **_SMALL, others=(_WIDE_CLASSES,)),
    ("accurate", "values"): dataclasses.replace(_VALUES, **_SMALL, others=(_WIDE_VALUES, _SMOOTH_VALUES)),
}


def _widening(n_rows: int, n_outputs: int) -> int:
    """Return the factor on the widths of the hidden layers and on the largest batch size."""
    return 2 if n_rows >= WIDE and n_outputs > 2 else 1


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
