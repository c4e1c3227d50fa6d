"""Measures peak memory and time of shuffled epochs on a numpy.memmap that is larger than the memory to use.

python tests/bench/bench_memmap.py [--gigabytes 4] [--columns 1000] [--hidden 64] [--batch 256] [--threads 2]
"""

import argparse
import tempfile
import time
from pathlib import Path

import numpy as np

import chainrule as cr


def resident(name: str) -> float:
    """Return the memory of this process in MB, read from /proc."""
    with open("/proc/self/status", encoding="ascii") as status:
        return int(status.read().split(name + ":")[1].split()[0]) * 1024 / 1e6


def write(path: Path, rows: int, columns: int) -> None:
    rng = np.random.default_rng(0)
    with path.open("wb") as file:
        for first in range(0, rows, 10_000):
            rng.random((min(10_000, rows - first), columns), dtype=np.float32).tofile(file)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--gigabytes", type=float, default=4)
    parser.add_argument("--columns", type=int, default=1000)
    parser.add_argument("--hidden", type=int, nargs="*", default=[64])
    parser.add_argument("--batch", type=int, default=256)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--epochs", type=int, default=2)
    parser.add_argument("--folder", help="folder for the file; default: a temporary one")
    options = parser.parse_args()
    rows = int(options.gigabytes * 1e9 / (4 * options.columns))
    settings = {"batch_size": options.batch, "epochs": options.epochs, "n_threads": options.threads}
    with tempfile.TemporaryDirectory(dir=options.folder) as folder:
        path = Path(folder, "x.float32")
        write(path, rows, options.columns)
        X = np.memmap(path, np.float32, "r", shape=(rows, options.columns))
        y = np.ones(rows, np.float32)
        net = cr.Network([options.columns, *options.hidden, 1], loss="squared_error", seed=0)
        net.fit(X[:1000].copy(), y[:1000], **settings)
        before = resident("VmRSS")
        start = time.perf_counter()
        net.fit(X, y, **settings)
        seconds = (time.perf_counter() - start) / options.epochs
        peak = resident("VmHWM") - before
        print(f"{path.stat().st_size / 1e9:.2f} GB, {rows} rows: {seconds:.2f} s an epoch, {peak:.0f} MB at most")


if __name__ == "__main__":
    main()
