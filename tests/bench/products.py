"""The matrix products to measure: cubes, and forward, dW and dA of every layer of W4 to W7."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, TypeAlias

import numpy as np

from workloads import WORKLOADS

_Array: TypeAlias = np.ndarray[Any, Any]


@dataclass(frozen=True)
class Product:
    """A product of m x k and k x n, and which of its operands is transposed in memory."""

    name: str
    m: int
    n: int
    k: int
    transposed: str = ""  # "a", "b" or neither

    @property
    def multiply_adds(self) -> int:
        """Multiply-adds."""
        return self.m * self.n * self.k

    def operands(self, dtype: str) -> tuple[_Array, _Array]:
        """Return random a and b, with the strides that they have in a training step."""

        def random(rows: int, columns: int, transposed: bool) -> _Array:
            shape = (columns, rows) if transposed else (rows, columns)
            stored = np.random.default_rng(rows + columns).standard_normal(shape).astype(dtype)
            return stored.T if transposed else stored

        return random(self.m, self.k, self.transposed == "a"), random(self.k, self.n, self.transposed == "b")


def products(w7_rows: int | None = None) -> Iterator[Product]:
    """Yield every product once; those of W7 with `w7_rows` rows per batch, if given."""
    for m, n, k in ((1024, 1024, 1024), (512, 1024, 1024), (256, 256, 256)):
        yield Product(f"{n}^3" if m == n == k else f"{m}x{n}x{k}", m, n, k)
    for name in ("W4", "W5", "W5b", "W6", "W7"):
        workload = WORKLOADS[name]
        rows = w7_rows if name == "W7" and w7_rows else workload.batch
        for layer, (n_in, n_out) in enumerate(pairwise(workload.layer_sizes), 1):
            yield Product(f"{name} forward {layer}", rows, n_out, n_in, "b")
            yield Product(f"{name} dW {layer}", n_out, n_in, rows, "a")
            if layer > 1:
                yield Product(f"{name} dA {layer}", rows, n_in, n_out)
