"""Compares the speed of the estimators with scikit-learn's in alternating fits on the same data, or in a grid search.

CHAINRULE_DATA=folder python tests/bench/bench_estimators.py [SET ...] --threads 1 [--rounds 3] [--grid]
"""

from __future__ import annotations

import argparse
import statistics
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

import machine

# The maximum number of rows, and parameters other than the defaults: few epochs, so that a round takes seconds.
SETS: dict[str, tuple[int | None, dict[str, Any]]] = {
    "iris": (None, {}),
    "breast_cancer": (None, {}),
    "digits": (None, {"max_iter": 50}),
    "adult": (None, {"max_iter": 5}),
    "covertype15k": (None, {"max_iter": 10}),
    "sleep": (None, {"max_iter": 3}),
    "fashion_mnist": (60_000, {"max_iter": 2}),
}


def load(name: str) -> tuple[np.ndarray, np.ndarray]:
    """Return standardized float32 features, and classes."""
    if name in ("iris", "breast_cancer", "digits"):
        import sklearn.datasets

        X, y = getattr(sklearn.datasets, f"load_{name}")(return_X_y=True)
    else:
        import datasets
        from bench_quality import encoding

        data = datasets.load(name)
        X, y = encoding(data, scaled=True).fit_transform(data.X), data.y
    X = np.asarray(X, np.float32)
    return (X - X.mean(axis=0)) / np.maximum(X.std(axis=0), 1e-6), np.asarray(y)


def timed(function: Callable[[], object]) -> float:
    """Return the time of a call in seconds; ignore its warnings."""
    time.sleep(0.3)  # idle threads of the other library spin for a while
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # a few epochs do not converge
        start = time.perf_counter()
        function()
    return time.perf_counter() - start


def alternate(ours: Callable[[], object], theirs: Callable[[], object], rounds: int) -> tuple[float, float, float]:
    """Return the medians of both times and of their ratios in the same round, after a warm-up round."""
    pairs = [(timed(ours), timed(theirs)) for _ in range(rounds + 1)][1:]
    mine, other = zip(*pairs, strict=True)
    return statistics.median(mine), statistics.median(other), statistics.median(b / a for a, b in pairs)


def grid_search(classifier: Any) -> Callable[[], object]:
    """Return a search of 24 candidates in three folds, in two processes."""
    from sklearn.model_selection import GridSearchCV

    X, y = load("digits")
    grid = {
        "alpha": [1e-5, 1e-4, 1e-3],
        "learning_rate_init": [1e-3, 3e-3],
        "hidden_layer_sizes": [(50,), (100,), (50, 50), (100, 50)],
    }
    search = GridSearchCV(classifier(max_iter=20, random_state=0), grid, n_jobs=2, cv=3)
    return lambda: search.fit(X, y)


def main() -> None:
    """Measure the data sets named on the command line, or all."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("sets", nargs="*", choices=[*SETS, []], help="default: all")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--grid", action="store_true", help="measure a grid search instead of single fits")
    parser.add_argument("--output", type=Path, help="a JSON file for compare.py")
    options = parser.parse_args()
    machine.pin(2 if options.grid else options.threads)
    from sklearn.neural_network import MLPClassifier as Theirs

    import chainrule as cr

    def fit(classifier: Any, name: str) -> Callable[[], object]:
        rows, parameters = SETS[name]
        X, y = load(name)
        return lambda: classifier(random_state=0, **parameters).fit(X[:rows], y[:rows])

    results = []
    for name in ["grid search of 24"] if options.grid else options.sets or SETS:
        ours, theirs = (grid_search(c) if options.grid else fit(c, name) for c in (cr.MLPClassifier, Theirs))
        mine, other, ratio = alternate(ours, theirs, options.rounds)
        results.append({"name": name, "seconds": mine, "scikit-learn": other, "ratio": ratio})
    machine.print_table(
        ["fit", "chainrule", "scikit-learn", "ratio"],
        [
            [r["name"], machine.seconds(r["seconds"]), machine.seconds(r["scikit-learn"]), f"{r['ratio']:.1f}"]
            for r in results
        ],
    )
    if options.output:
        machine.write_json(options.output, results, threads=options.threads)


if __name__ == "__main__":
    main()
