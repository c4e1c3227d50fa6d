"""Nanoseconds per element of the elementwise functions on one core, on every ISA, beside NumPy's."""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any

import machine

machine.pin(1)  # before NumPy reads the environment

import numpy as np  # noqa: E402

from chainrule import _core  # noqa: E402

NUMPY: dict[str, Callable[[Any], Any]] = {
    "exp": np.exp,
    "log1p": np.log1p,
    "tanh": np.tanh,
    "logistic": lambda x: 1 / (1 + np.exp(-x)),
}
N = 16_384  # fits the second-level cache, and a call's overhead vanishes


def seconds_of(function: Callable[[], object], repeats: int = 50) -> float:
    """Return the seconds of one call."""
    start = time.perf_counter()
    for _ in range(repeats):
        function()
    return (time.perf_counter() - start) / repeats


def main() -> None:
    """Print one table and write the JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--output", type=Path, default=Path("bench_elementwise.json"))
    args = parser.parse_args()
    isas, active = _core.available_isas(), _core.get_isa()
    results, rows = [], []
    for dtype in ("float32", "float64"):
        x = np.abs(np.random.default_rng(0).standard_normal(N)).astype(dtype)
        for name, function in NUMPY.items():
            times: dict[str, list[float]] = {who: [] for who in [*isas, "numpy"]}
            for _ in range(args.rounds):
                for isa in isas:
                    _core.set_isa(isa)
                    times[isa].append(seconds_of(partial(_core.elementwise, name, x)))
                times["numpy"].append(seconds_of(partial(function, x)))
            found = {who: median(rounds) / N for who, rounds in times.items()}
            rows.append([f"{name} {dtype}", *(f"{found[who] * 1e9:.3f}" for who in found)])
            results += [{"name": f"{name} {dtype} {who}", "seconds": taken} for who, taken in found.items()]
    _core.set_isa(active)
    machine.print_table(["ns per element", *isas, "numpy"], rows)
    machine.write_json(args.output, results)


if __name__ == "__main__":
    main()
