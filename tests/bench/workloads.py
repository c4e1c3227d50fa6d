"""The table of workloads: network, optimizer, data, and the least time of the arithmetic.

The unit of a training workload is a step, including shuffling and gathering; that of a prediction is a call. W1 to W8
and P1 are float32. To add one, add a line to WORKLOADS: every peer, the checks and the report read this table.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from itertools import pairwise
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

Array: TypeAlias = NDArray[np.float32]
Params: TypeAlias = list[tuple[Array, Array]]  # (W, b) of each layer; W is (n_out, n_in)


@dataclass(frozen=True)
class SGD:
    """Gradient descent; the fields are the arguments of chainrule.SGD and torch.optim.SGD."""

    learning_rate: float
    momentum: float = 0.0


@dataclass(frozen=True)
class Adam:
    """Adam with the usual defaults: beta1 0.9, beta2 0.999, epsilon 1e-8."""

    learning_rate: float = 1e-3


@dataclass(frozen=True)
class Workload:
    """One line of the table. If `optimizer` is None, the workload predicts all rows in one call."""

    name: str
    layer_sizes: tuple[int, ...]
    activation: str
    loss: str
    rows: int
    batch: int
    optimizer: SGD | Adam | None
    target: tuple[float, float]  # best peer's time / ours, 1 and 2 threads
    models: int = 1  # separate networks on the same data; a step is one of each

    @property
    def full_batch(self) -> bool:
        """True if a step uses all rows, so that nothing is shuffled or gathered."""
        return self.batch == self.rows

    @property
    def steps_per_epoch(self) -> int:
        """Number of steps or calls in one unit of `Session.run`."""
        return self.rows // self.batch

    @property
    def parameters(self) -> int:
        """Weights and biases."""
        return sum((n_in + 1) * n_out for n_in, n_out in pairwise(self.layer_sizes))

    @property
    def operations(self) -> int:
        """Floating-point operations of the products of one step; the inputs need no gradient."""
        shapes = list(pairwise(self.layer_sizes))
        weights = sum(n_in * n_out for n_in, n_out in shapes)
        first = shapes[0][0] * shapes[0][1]
        return 2 * self.models * self.batch * (weights if self.optimizer is None else 3 * weights - first)

    def floor(self, gflops: float) -> float:
        """Time of one step in seconds if the machine only computes these products at `gflops`."""
        return self.operations / (gflops * 1e9)

    def shortened(self, rows: int) -> Workload:
        """Return the same step on at most this number of rows, but at least one batch."""
        return replace(self, rows=min(self.rows, max(rows // self.batch, 1) * self.batch))


def _train(name: str, sizes: tuple[int, ...], activation: str, loss: str, rows: int, batch: int,
           optimizer: SGD | Adam, target: tuple[float, float]) -> Workload:  # fmt: skip
    # Whole batches only (W4: 99,840 of the 100,000 rows), so that every peer does the same number of equal steps.
    return Workload(name, sizes, activation, loss, rows - rows % batch, batch, optimizer, target)


def _predict(name: str, rows: int, target: tuple[float, float]) -> Workload:
    return Workload(name, (54, 256, 256, 7), "relu", "softmax_cross_entropy", rows, rows, None, target)


_BCE, _CE, _SE = "binary_cross_entropy", "softmax_cross_entropy", "squared_error"
_ALL = [
    _train("W1", (20, 64, 1), "tanh", _BCE, 1_000, 1_000, SGD(0.1), (1.7, 2.8)),
    _train("W2", (2, 4, 1), "tanh", _BCE, 4, 4, SGD(0.1), (4.0, 4.0)),
    _train("W3", (32, 32, 1), "tanh", _SE, 10_000, 1, SGD(1e-3), (6.0, 6.0)),
    _train("W4", (54, 256, 256, 7), "relu", _CE, 100_000, 256, Adam(), (1.45, 2.0)),
    _train("W5", (784, 128, 10), "relu", _CE, 60_000, 128, Adam(), (1.5, 1.85)),
    _train("W5b", (784, 128, 10), "relu", _CE, 60_000, 32, Adam(), (1.6, 2.0)),
    _train("W6", (784, 1024, 1024, 10), "relu", _CE, 16_384, 512, SGD(1e-3, momentum=0.9), (1.07, 1.12)),
    _train("W7", (1024, 4096, 4096, 1024), "relu", _SE, 8_192, 1_024, SGD(1e-5), (1.05, 1.08)),
    replace(_train("W8", (20, 32, 1), "relu", _SE, 1_000, 32, Adam(), (7.0, 7.0)), models=64),
    _predict("P1-1", 1, (2.2, 2.2)),
    _predict("P1-100", 100, (1.1, 1.25)),
    _predict("P1-100k", 100_000, (1.6, 1.65)),
]
WORKLOADS = {workload.name: workload for workload in _ALL}


@dataclass(frozen=True)
class Problem:
    """A workload with its seeded synthetic data and starting parameters: the same for every peer."""

    workload: Workload

    @cached_property
    def X(self) -> Array:
        """Inputs, (rows, n0): standard normal, or the four rows of XOR."""
        w = self.workload
        if w.layer_sizes[0] == 2:
            return np.array([[0, 0], [0, 1], [1, 0], [1, 1]], dtype=np.float32)
        return np.random.default_rng(1).standard_normal((w.rows, w.layer_sizes[0]), dtype=np.float32)

    @cached_property
    def y(self) -> NDArray[Any]:
        """Targets of a noisy linear teacher: 0/1 (rows, 1), class numbers (rows,), or values (rows, k)."""
        w = self.workload
        if w.layer_sizes[0] == 2:
            return np.array([[0], [1], [1], [0]], dtype=np.float32)
        rng = np.random.default_rng(2)
        n_in, n_out = w.layer_sizes[0], w.layer_sizes[-1]
        teacher = rng.standard_normal((n_in, n_out), dtype=np.float32) / np.float32(np.sqrt(n_in))
        z = self.X @ teacher + 0.5 * rng.standard_normal((w.rows, n_out), dtype=np.float32)
        if w.loss == _CE:
            return np.asarray(z.argmax(axis=1))
        return np.asarray((z > 0).astype(np.float32) if w.loss == _BCE else z)

    def params(self, model: int = 0) -> Params:
        """Return fresh starting parameters: Glorot (tanh) or He (relu) uniform weights, zero biases."""
        rng = np.random.default_rng(3 + model)
        params = []
        for n_in, n_out in pairwise(self.workload.layer_sizes):
            limit = np.sqrt(6 / (n_in if self.workload.activation == "relu" else n_in + n_out))
            params.append((rng.uniform(-limit, limit, (n_out, n_in)).astype(np.float32), np.zeros(n_out, np.float32)))
        return params

    def all_params(self) -> list[Params]:
        """Return the starting parameters of every model."""
        return [self.params(model) for model in range(self.workload.models)]

    def mean_loss(self, results: list[Params]) -> float:
        """Return the mean of the models' losses."""
        return float(np.mean([self.loss(result) for result in results]))

    def loss(self, result: Params | NDArray[Any]) -> float:
        """Return the loss of trained parameters or of predictions in float64, by which peers are compared."""
        if not isinstance(result, list):
            return float(-np.log(np.asarray(result, np.float64)[np.arange(len(self.y)), self.y]).mean())
        a = self.X.astype(np.float64)
        for layer, (W, b) in enumerate(result):
            z = a @ W.astype(np.float64).T + b
            if layer + 1 < len(result):
                a = np.tanh(z) if self.workload.activation == "tanh" else np.maximum(z, 0)
        if self.workload.loss == _CE:
            return float((np.logaddexp.reduce(z, axis=1) - z[np.arange(len(z)), self.y]).mean())
        if self.workload.loss == _BCE:
            return float((np.logaddexp(0, z) - self.y * z).mean())
        return float(0.5 * ((z - self.y) ** 2).sum(axis=1).mean())
