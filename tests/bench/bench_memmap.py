"""Measures peak memory and time of shuffled epochs on a numpy.memmap larger than the memory that the fit may use.

python tests/bench/bench_memmap.py [--gigabytes 4] [--dtype uint8] [--columns 1000] [--hidden 64] [--batch 256]
"""

import argparse
import tempfile
import time
from pathlib import Path

import numpy as np

import chainrule as cr
from resident import anonymous_memory, resident


def write(path: Path, rows: int, columns: int, dtype: str) -> None:
    rng = np.random.default_rng(0)
    with path.open("wb") as file:
        for first in range(0, rows, 10_000):
            values = rng.random((min(10_000, rows - first), columns), dtype=np.float32)
            (values if dtype == "float32" else values * 100).astype(dtype).tofile(file)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--gigabytes", type=float, default=4)
    parser.add_argument("--dtype", default="float32", help="float32, or a type that is converted, such as uint8")
    parser.add_argument("--columns", type=int, default=1000)
    parser.add_argument("--hidden", type=int, nargs="*", default=[64])
    parser.add_argument("--batch", type=int, default=256)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--epochs", type=int, default=2)
    parser.add_argument("--folder", help="folder for the file; default: a temporary one")
    options = parser.parse_args()
    dtype = np.dtype(options.dtype)
    rows = int(options.gigabytes * 1e9 / (dtype.itemsize * options.columns))
    settings = {"batch_size": options.batch, "epochs": options.epochs, "n_threads": options.threads}
    with tempfile.TemporaryDirectory(dir=options.folder) as folder:
        path = Path(folder, "x")
        write(path, rows, options.columns, options.dtype)
        X = np.memmap(path, dtype, "r", shape=(rows, options.columns))
        y = np.ones(rows, np.float32)
        net = cr.Network([options.columns, *options.hidden, 1], loss="squared_error", seed=0)
        net.fit(X[:1000].copy(), y[:1000], **settings)
        before = resident("VmRSS")
        start = time.perf_counter()
        with anonymous_memory() as found:
            net.fit(X, y, **settings)
        seconds = (time.perf_counter() - start) / options.epochs
        more = (resident("VmHWM") - before) / 1e6
        print(f"{path.stat().st_size / 1e9:.2f} GB, {rows} rows: {seconds:.2f} s an epoch, {more:.0f} MB more at most")
        print(f"{found[1] / 1e6:.0f} MB of anonymous memory at most")


if __name__ == "__main__":
    main()
