"""Compares training on binned rows to training on their features: 14 binned numbers, 64-64-1, mish, AdamW.

python tests/bench/bench_binned.py --threads 1 [--bins 16 64] [--batch 64 256] [--columns 14] [--rounds 7]
"""

from __future__ import annotations

import argparse
import statistics
from pathlib import Path

import numpy as np

import machine

ROWS, EPOCHS = 8192, 2


def main() -> None:
    """Print the time of a step on features and on binned rows, and the ratio of the two."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--bins", type=int, nargs="+", default=[16, 64])
    parser.add_argument("--batch", type=int, nargs="+", default=[64, 128, 256])
    parser.add_argument("--columns", type=int, default=14)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--output", type=Path, help="a JSON file for compare.py")
    options = parser.parse_args()
    machine.pin(options.threads)
    import chainrule as cr

    rng = np.random.default_rng(0)
    results = []
    for bins in options.bins:
        codes = rng.integers(0, bins, (ROWS, options.columns), np.uint8)
        values = rng.random((ROWS, 2 * options.columns), np.float32)
        X = cr.BinnedRows(codes, values, [("value", 1), ("bins", bins)] * options.columns)
        y = values.sum(axis=1)
        y = (y - y.mean()) / y.std()
        for batch in options.batch:
            times: dict[str, list[float]] = {"binned": [], "features": []}
            for _ in range(options.rounds):
                for way, inputs in {"binned": X, "features": X.toarray()}.items():
                    net = cr.Network([X.shape[1], 64, 64, 1], activation="mish", loss="squared_error", seed=0)
                    settings = {"optimizer": cr.AdamW(), "dropout": 0.1, "batch_size": batch, "epochs": EPOCHS}
                    history = net.fit(inputs, y, seed=0, **settings)
                    times[way].append(history.seconds / (EPOCHS * ROWS // batch))
            ratio = statistics.median(f / b for f, b in zip(times["features"], times["binned"], strict=True))
            for way, seconds in times.items():
                name = f"{bins} bins, batch {batch}, {way}"
                results.append({"name": name, "seconds": statistics.median(seconds), "ratio": ratio})
    table = [[r["name"], machine.seconds(r["seconds"]), f"{r['ratio']:.2f}"] for r in results]
    machine.print_table(["step", "time", "features through binned"], table)
    if options.output:
        machine.write_json(options.output, results, threads=options.threads)


if __name__ == "__main__":
    main()
