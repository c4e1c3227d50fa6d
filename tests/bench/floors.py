"""Computes the least time of a step on one core: products at the measured peak, bytes at the measured bandwidths.

Bytes: the rows of the batch and their targets are read once; parameters and the optimizer's moments are read and
written once (a prediction reads parameters and writes the output). Each is counted at the bandwidth of the smallest
cache that holds all of the data, or all of the state; in the first level it is free. So are the activations and
gradients of a step, as if they never left the core.
"""

from __future__ import annotations

import time
from math import inf
from statistics import median

import machine

machine.pin(1)  # before NumPy reads the environment

import numpy as np  # noqa: E402

from chainrule import _core  # noqa: E402
from workloads import WORKLOADS, Adam, Workload  # noqa: E402

LEVELS = {"L2": 256 << 10, "L3": 8 << 20, "DRAM": 256 << 20}  # bytes that a copy reads and writes


def bandwidth(size: int) -> float:
    """Return the bytes per second that copies within this number of bytes read and write."""
    source, target = np.ones(size // 2, np.uint8), np.ones(size // 2, np.uint8)
    repeats, runs = max(1, (64 << 20) // size), []
    for _ in range(9):
        start = time.perf_counter()
        for _ in range(repeats):
            np.copyto(target, source)
        runs.append(size * repeats / (time.perf_counter() - start))
    return median(runs)


def traffic(workload: Workload) -> list[tuple[int, int]]:
    """Return (bytes moved per step, total bytes) for the data and for the state."""
    sizes, optimizer = workload.layer_sizes, workload.optimizer
    row = 4 * (sizes[0] + sizes[-1] if workload.loss == "squared_error" or optimizer is None else sizes[0] + 1)
    data = workload.models * workload.batch * row, workload.rows * row
    if optimizer is None:
        return [data, (4 * workload.parameters, 4 * workload.parameters)]
    moments = 2 if isinstance(optimizer, Adam) else int(optimizer.momentum > 0)
    state = 4 * workload.parameters * (1 + moments)
    return [data, (workload.models * 2 * state, state)]  # several models train one after the other


def main() -> None:
    """Print the measured machine and a row for each workload."""
    peak = _core.peak_gflops("float32", 1, 0.3)
    speed = {level: bandwidth(size) for level, size in LEVELS.items()}
    rates = ", ".join(f"{level} {measured / 1e9:.0f} GB/s" for level, measured in speed.items())
    print(f"{_core.get_isa()}: {peak:.0f} GFLOP/s; copies within {rates}")
    speed["L1"] = inf
    holds = {"L1": 32 << 10, "L2": 1 << 20, "L3": 32 << 20}
    rows = []
    for workload in WORKLOADS.values():
        cells, seconds = [], 0.0
        for moved, whole in traffic(workload):
            level = next((level for level, size in holds.items() if whole <= size), "DRAM")
            seconds += moved / speed[level]
            cells.append(f"{moved / 1e3:,.1f} {level}")
        products = workload.floor(peak)
        rows.append([workload.name, f"{workload.parameters:,}", f"{workload.operations / 1e6:,.4g}", *cells,
                     machine.seconds(products), machine.seconds(seconds or None)])  # fmt: skip
    header = ["workload", "parameters", "MFLOP", "data kB", "state kB", "products", "bytes"]
    machine.print_table(header, rows)


if __name__ == "__main__":
    main()
