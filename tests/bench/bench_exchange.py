"""Compares predictions of exported models: ONNX Runtime, headers in C and this package, on single rows and on batches.

CHAINRULE_DATA=folder python tests/bench/bench_exchange.py --threads 1 [titanic adult] [--rows 1 1000] [--rounds 15]

"predict" is the estimator's, on a data frame. "feed + run" makes ONNX Runtime's inputs from this data frame and runs
the model. "run" starts from these inputs, like a server that receives typed columns. "C" is the header of `to_c`,
compiled with gcc -O3 -march=native, in one thread; its rows are structs. In each round, the ways run in turn.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

import c_header
import machine

SETS = ("titanic", "adult", "california", "digits", "network")
Ways = dict[str, Callable[[], Any]]


def session(path: Path, n_threads: int) -> Any:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = n_threads
    return onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])


def fitted(name: str) -> tuple[Any, Any]:
    """Return an estimator, or a network of plain numbers, and the rows that it was trained on."""
    import chainrule as cr

    if name == "network":
        X = np.random.default_rng(0).normal(size=(10_000, 64)).astype(np.float32)
        return cr.Network([64, 256, 256, 10], activation="silu", loss="softmax_cross_entropy", seed=0), X
    if name == "digits":
        import pandas as pd
        from sklearn.datasets import load_digits

        X, y = load_digits(return_X_y=True)
        X = pd.DataFrame(X).rename(columns="pixel {}".format)
        return cr.TableClassifier(random_state=0).fit(X, y), X
    import datasets

    data = datasets.load(name)
    kind = cr.TableClassifier if data.task == "classification" else cr.TableRegressor
    return kind(random_state=0).fit(data.X, data.y), data.X


def ways(model: Any, X: Any, path: Path, n_threads: int) -> Ways:
    """Return the ways to predict on X, by name."""
    feed = model.to_onnx(path)
    run = session(path, n_threads).run
    in_c = {name: c_header.compiled(model, X, path.parent, kind) for name, kind in (("C", None), ("C, int8", "int8"))}
    predict = getattr(model, "predict_proba", model.predict)
    if feed is None:
        return {"predict": lambda: predict(X, n_threads=n_threads), "run": lambda: run(None, {"X": X}), **in_c}
    model.n_threads = n_threads
    inputs = feed(X)
    return {
        "predict": lambda: predict(X),
        "feed + run": lambda: run(None, feed(X)),
        "run": lambda: run(None, inputs),
        **in_c,
    }


def measure(ways: Ways, rounds: int) -> dict[str, list[float]]:
    """Return the seconds of a call of each way in each round."""
    calls = {}
    for name, way in ways.items():
        way()
        begin = time.perf_counter()
        way()
        calls[name] = max(1, int(0.05 / (time.perf_counter() - begin)))
    times: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(rounds):
        for name, way in ways.items():
            begin = time.perf_counter()
            for _ in range(calls[name]):
                way()
            times[name].append((time.perf_counter() - begin) / calls[name])
    return times


def main() -> None:
    """Print the time of each way, and its ratio to ours."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("sets", nargs="*", metavar="set", help="default: " + " ".join(SETS), default=SETS)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--rows", type=int, nargs="+", default=[1, 1000, 10_000])
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--output", type=Path, help="a JSON file for compare.py")
    options = parser.parse_args()
    machine.pin(options.threads)
    warnings.simplefilter("ignore")  # levels that occur only in rows that were held out
    results = []
    for name in options.sets:
        model, X = fitted(name)
        for rows in options.rows:
            places = np.arange(rows) % len(X)
            part = X[places] if isinstance(X, np.ndarray) else X.iloc[places].reset_index(drop=True)
            with tempfile.TemporaryDirectory() as folder:
                times = measure(ways(model, part, Path(folder) / "model.onnx", options.threads), options.rounds)
            for way, seconds in times.items():
                ratio = statistics.median(s / ours for s, ours in zip(seconds, times["predict"], strict=True))
                results.append(
                    {"name": f"{name}, {rows:,} rows, {way}", "seconds": statistics.median(seconds), "ratio": ratio}
                )
    table = [[r["name"], machine.seconds(r["seconds"]), f"{r['ratio']:.2f}"] for r in results]
    machine.print_table(["set, rows, way", "time", "through predict"], table)
    if options.output:
        machine.write_json(options.output, results, threads=options.threads)


if __name__ == "__main__":
    main()
