"""Measures memory and time of fits on Parquet files against the same fit on arrays in memory, and compares the bits.

python tests/bench/bench_rows.py [--gigabytes 2] [--columns 100] [--part 65536] [--hidden 256 128] [--threads 2]
"""

import argparse
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

import chainrule as cr
from resident import anonymous_memory


def write(folder: Path, rows: int, columns: int, part: int) -> None:
    """Write files of four row groups each."""
    rng = np.random.default_rng(0)
    for number, first in enumerate(range(0, rows, 4 * part)):
        values = rng.random((columns + 1, min(4 * part, rows - first)), dtype=np.float32)
        table = pa.table({f"x{i}": column for i, column in enumerate(values)})
        pq.write_table(table, folder / f"{number:05}.parquet", row_group_size=part, compression="snappy")


def fit(options: argparse.Namespace) -> None:
    """Train in this process; print wall and processor time of an epoch, the peak of anonymous memory, and the bits."""
    rows = cr.Rows(options.child, target="x0")
    data, y = (rows, None) if options.source == "files" else (rows.read(0, rows.shape[0]), rows.y)
    net = cr.Network([rows.shape[1], *options.hidden, 1], loss="squared_error", seed=0)
    settings = {"batch_size": options.batch, "epochs": options.epochs, "n_threads": options.threads}
    start, cpu = time.perf_counter(), time.process_time()
    with anonymous_memory() as found:
        net.fit(data, y, shuffle=cr.WithinParts(options.part), **settings)
    seconds, cpu = time.perf_counter() - start, time.process_time() - cpu
    bits = float(np.abs(net.parameters.astype(float)).sum()).hex()
    print(seconds / options.epochs, cpu / options.epochs, found[1] / 1e6, bits)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--gigabytes", type=float, default=2)
    parser.add_argument("--columns", type=int, default=100)
    parser.add_argument("--part", type=int, default=65536)
    parser.add_argument("--hidden", type=int, nargs="*", default=[256, 128])
    parser.add_argument("--batch", type=int, default=512)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--epochs", type=int, default=1)
    parser.add_argument("--times", type=int, default=3)
    parser.add_argument("--folder", help="folder for the files; default: a temporary one")
    parser.add_argument("--child", help=argparse.SUPPRESS)
    parser.add_argument("--source", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.child:
        fit(options)
        return
    rows = int(options.gigabytes * 1e9 / (4 * options.columns))
    with tempfile.TemporaryDirectory(dir=options.folder) as folder:
        write(Path(folder), rows, options.columns, options.part)
        found: dict[str, list[list[str]]] = {"arrays": [], "files": []}
        for _ in range(options.times):
            for source, results in found.items():
                command = [sys.executable, *sys.argv, "--child", folder, "--source", source]
                results.append(subprocess.run(command, check=True, capture_output=True, text=True).stdout.split())
        group = options.part * options.columns * 4 / 1e6
        print(f"{rows} rows, {options.columns} columns, {options.gigabytes} GB; a row group has {group:.0f} MB")
        for source, results in found.items():
            seconds, memory = min(float(result[0]) for result in results), max(float(result[2]) for result in results)
            print(f"{source}: {seconds:.2f} s an epoch, {memory:.0f} MB of anonymous memory")
        wall, cpu = (
            statistics.median(float(b[i]) / float(a[i]) for a, b in zip(found["arrays"], found["files"], strict=True))
            for i in range(2)
        )
        bits = {result[3] for results in found.values() for result in results}
        same = "the same" if len(bits) == 1 else "different"
        print(f"files / arrays: {wall:.2f} of the time, {cpu:.2f} of the processor time; {same} bits")


if __name__ == "__main__":
    main()
