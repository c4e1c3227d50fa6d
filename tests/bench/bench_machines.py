"""Measures training on two Dask workers and two MPI ranks: a step's overhead, and the gain from the second worker.

Each worker and rank has one thread. `overhead` is the time of a step minus that of the slowest worker's gradients;
`gain` is the time of a full-batch step on one worker divided by that on two, measured alternately.
"""

import argparse
import itertools
import json
import os
import subprocess
import sys
import time
from pathlib import Path

import numpy as np

import chainrule as cr
from chainrule import dask, mpi

SIZES = {"10 k": [40, 100, 60, 1], "1 M": [500, 1000, 500, 1]}
GAIN = [100, 512, 512, 1], 16_384  # a network of 0.3 M parameters, and the rows of a step


def problem(sizes, rows):
    random = np.random.default_rng(0)
    X = random.normal(size=(rows, sizes[0])).astype("float32")
    return cr.Network(sizes, loss="squared_error", seed=0), X, X[:, 0] * X[:, 1]


class Clock:
    """A callback that notes the seconds of each epoch, which has one step."""

    def __init__(self):
        self.ends = []

    def __call__(self, logs):
        self.ends.append(time.perf_counter())

    def seconds(self):
        return np.diff(self.ends)


def on_dask(client, sizes, rows, steps):
    """Return the seconds of each step, and those of the slowest worker's gradients."""
    from dask.array import from_array

    net, X, y = problem(sizes, rows)
    times, clock = [], Clock()
    dask._Driver._warn_if_slow = lambda driver, step, work: times.append(work)
    data = from_array(X, chunks=(4096, sizes[0])), from_array(y, chunks=4096)
    dask.fit(net, *data, client=client, epochs=steps, callbacks=[clock])
    return clock.seconds(), np.array(times[1:])


def on_rank(sizes, rows, steps):
    """Return the same for this MPI job."""
    from mpi4py import MPI

    net, X, y = problem(sizes, rows)
    times, clock = [], Clock()
    compute = cr.Network.partial_gradients

    def timed(*arguments, **options):
        begin = time.perf_counter()
        part = compute(*arguments, **options)
        times.append(time.perf_counter() - begin)
        return part

    cr.Network.partial_gradients = timed
    comm = MPI.COMM_WORLD
    own = slice(rows * comm.rank // comm.size, rows * (comm.rank + 1) // comm.size)
    mpi.fit(net, X[own], y[own], epochs=steps, callbacks=[clock], n_threads=1)
    cr.Network.partial_gradients = compute
    work = np.reshape(times, (steps, -1)).sum(axis=1)[1:]
    return clock.seconds(), np.max(comm.allgather(work), axis=0)


def job(mpiexec, ranks, *arguments):
    command = [mpiexec, "-n", str(ranks), sys.executable, "-m", "mpi4py", __file__, "--rank", json.dumps(arguments)]
    library = Path(mpiexec).resolve().parents[1] / "lib"
    result = subprocess.run(
        command, env={**os.environ, "LD_LIBRARY_PATH": str(library)}, capture_output=True, text=True, check=True
    )
    return [np.array(times) for times in json.loads(result.stdout)]


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--mpiexec", default="mpiexec", help="path of the program")
    parser.add_argument("--rank", type=json.loads, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.rank is not None:
        times = on_rank(*options.rank)
        from mpi4py import MPI

        if MPI.COMM_WORLD.rank == 0:
            print(json.dumps([part.tolist() for part in times]))
        return
    from distributed import Client, LocalCluster

    settings = {"threads_per_worker": 1, "dashboard_address": ":0"}
    with (
        LocalCluster(n_workers=1, **settings) as small,
        LocalCluster(n_workers=2, **settings) as large,
        Client(small, set_as_default=False) as alone,
        Client(large, set_as_default=False) as both,
    ):
        run = {
            "Dask": lambda workers, *task: on_dask((alone, both)[workers - 1], *task),
            "MPI": lambda workers, *task: job(options.mpiexec, workers, *task),
        }
        for (name, function), (label, sizes) in itertools.product(run.items(), SIZES.items()):
            times = [function(2, sizes, 1024, 30) for _ in range(options.rounds)]
            overhead = 1000 * np.concatenate([seconds - work for seconds, work in times])
            print(f"{name}, {label}: overhead median {np.median(overhead):.2f} ms, best {overhead.min():.2f} ms")
        for label, sizes in SIZES.items():
            before = time.process_time()
            on_dask(both, sizes, 1024, 30)
            used = 1000 * (time.process_time() - before) / 30
            print(f"Dask, {label}: {used:.0f} ms of processor time per step in this process and its scheduler")
        for name, function in run.items():
            pairs = [[function(workers, *GAIN, 6)[0] for workers in (1, 2)] for _ in range(options.rounds)]
            one, two = (np.concatenate(times) for times in zip(*pairs, strict=True))
            print(
                f"{name}: a step takes {1000 * one.min():.0f} ms on one, {1000 * two.min():.0f} ms on two "
                f"(best): gain {one.min() / two.min():.2f}; "
                f"of the medians {np.median(one) / np.median(two):.2f}"
            )


if __name__ == "__main__":
    main()
