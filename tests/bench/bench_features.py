"""Measures the cost of training features: steps of W4 and W5 with each feature, relative to plain steps of the round.

python tests/bench/bench_features.py --threads 1 [--rounds 9]
"""

from __future__ import annotations

import argparse
import statistics
from pathlib import Path
from typing import Any

import numpy as np

import machine

LAYERS = {"W4": ([54, 256, 256, 7], 256), "W5": ([784, 128, 10], 128)}
STEPS, EPOCHS = 50, 3


def features() -> dict[str, dict[str, Any]]:
    """Return the options of each variant; validation uses a fifth of the rows."""
    import chainrule as cr

    most = {
        "optimizer": cr.AdamW(),
        "clip_norm": 1.0,
        "ema": 0.999,
        "schedules": cr.Cosine(warmup=1),
        "dropout": 0.1,
    }
    single = {"AdamW" if name == "optimizer" else name: {name: value} for name, value in most.items()}
    return {"plain": {}, **single, "validation": {"validation": True}, "all": {**most, "validation": True}}


def main() -> None:
    """Print the ratio of each variant to plain steps."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--output", type=Path, help="a JSON file for compare.py")
    options = parser.parse_args()
    machine.pin(options.threads)
    import chainrule as cr

    rng = np.random.default_rng(0)
    results = []
    for name, (sizes, batch) in LAYERS.items():
        rows = batch * STEPS
        X = rng.normal(size=(rows * 6 // 5, sizes[0])).astype(np.float32)
        y = rng.integers(0, sizes[-1], len(X)).astype(np.int32)
        held_out = X[rows:], y[rows:]
        times: dict[str, list[float]] = {way: [] for way in features()}
        for _ in range(options.rounds):
            for way, settings in features().items():
                net = cr.Network(sizes, loss="softmax_cross_entropy", seed=0)
                given = settings | ({"validation": held_out} if settings.get("validation") else {})
                history = net.fit(X[:rows], y[:rows], batch_size=batch, epochs=EPOCHS, **given)
                times[way].append(history.seconds / (STEPS * EPOCHS))
        for way, seconds in times.items():
            ratio = statistics.median(s / plain for s, plain in zip(seconds, times["plain"], strict=True))
            results.append({"name": f"{name} {way}", "seconds": statistics.median(seconds), "ratio": ratio})
    rows_of_table = [[r["name"], machine.seconds(r["seconds"]), f"{r['ratio']:.2f}"] for r in results]
    machine.print_table(["step", "time", "through plain"], rows_of_table)
    if options.output:
        machine.write_json(options.output, results, threads=options.threads)


if __name__ == "__main__":
    main()
