"""Compares the table estimators to gradient boosting: errors and times on each table of CHAINRULE_DATA, and on digits.

Each split draws 64 % of the rows for training, 16 % for early stopping and 20 % for the test. For each seed, every
model is fitted once, one after the other, in the same process and with the same number of threads. The time is that of
`fit` on the data frame. LightGBM uses at most 1,000 rounds, early stopping after 50, and its own handling of categories
and gaps. The error is 1 - accuracy or the RMSE. Ratios divide the means over splits and seeds by those of LightGBM.
"""

from __future__ import annotations

import argparse
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

import datasets
import machine
from datasets import Dataset

Fit = Callable[..., Any]  # (classes, X, y, (X_valid, y_valid), seed, threads) -> a fitted model


def fit_lightgbm(classes: bool, X: Any, y: Any, valid: Any, seed: int, threads: int) -> Any:
    import lightgbm

    kind = lightgbm.LGBMClassifier if classes else lightgbm.LGBMRegressor
    model = kind(n_estimators=1000, random_state=seed, n_jobs=threads, verbosity=-1)
    return model.fit(X, y, eval_set=[valid], callbacks=[lightgbm.early_stopping(50, verbose=False)])


def fit_ours(effort: str) -> Fit:
    def fit(classes: bool, X: Any, y: Any, valid: Any, seed: int, threads: int) -> Any:
        import chainrule as cr

        kind = cr.TableClassifier if classes else cr.TableRegressor
        return kind(effort=effort, random_state=seed, n_threads=threads).fit(X, y, X_val=valid[0], y_val=valid[1])

    return fit


def fit_catboost(classes: bool, X: Any, y: Any, valid: Any, seed: int, threads: int) -> Any:
    import catboost

    kind = catboost.CatBoostClassifier if classes else catboost.CatBoostRegressor
    names = [name for name in X if X[name].dtype == "category"]
    text = dict.fromkeys(names, "object")
    X, X_valid = (table.astype(text).fillna(dict.fromkeys(names, "")) for table in (X, valid[0]))
    model = kind(random_seed=seed, thread_count=threads, verbose=False, allow_writing_files=False, cat_features=names)
    model.fit(X, y, eval_set=(X_valid, valid[1]))
    return _OnText(model, text, names)


class _OnText:
    """Wraps a model that needs tables whose categories are text without gaps."""

    def __init__(self, model: Any, text: dict[str, str], names: list[str]) -> None:
        self._model, self._text, self._names = model, text, names

    def _convert(self, X: Any) -> Any:
        return X.astype(self._text).fillna(dict.fromkeys(self._names, ""))

    def predict(self, X: Any) -> Any:
        return self._model.predict(self._convert(X))

    def predict_proba(self, X: Any) -> Any:
        return self._model.predict_proba(self._convert(X))


def fit_histogram(classes: bool, X: Any, y: Any, valid: Any, seed: int, threads: int) -> Any:
    from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor

    kind = HistGradientBoostingClassifier if classes else HistGradientBoostingRegressor
    return kind(random_state=seed).fit(X, y)


MODELS: dict[str, Fit] = {
    "LightGBM": fit_lightgbm,
    "fast": fit_ours("fast"),
    "accurate": fit_ours("accurate"),
    "CatBoost": fit_catboost,
    "HistGradientBoosting": fit_histogram,
}


def measure(data: Dataset, split: int, seed: int, models: list[str], threads: int) -> list[dict[str, float]]:
    """Return error, log loss and time of each model."""
    classes = data.task == "classification"
    y = np.unique(data.y, return_inverse=True)[1] if classes else data.y.astype(float)
    order = np.random.default_rng(split).permutation(len(y))
    train, valid, test = np.split(order, [int(0.64 * len(y)), int(0.8 * len(y))])
    X = data.X.astype(dict.fromkeys(data.categorical, "category"))
    results = []
    for name in models:
        tables = [X.iloc[rows].reset_index(drop=True) for rows in (train, valid, test)]
        begin = time.perf_counter()
        model = MODELS[name](classes, tables[0], y[train], (tables[1], y[valid]), seed, threads)
        result = {"seconds": time.perf_counter() - begin}
        if classes:
            shares = np.clip(model.predict_proba(tables[2]), 1e-15, 1)
            result["error"] = float(np.mean(shares.argmax(axis=1) != y[test]))
            result["log loss"] = float(-np.mean(np.log(shares[np.arange(len(test)), y[test]])))
        else:
            result["error"] = float(np.sqrt(np.mean((model.predict(tables[2]) - y[test]) ** 2)))
        results.append(result)
    return results


def mean(result: dict[str, Any], model: str, key: str) -> float:
    """Return the mean of a model on a set."""
    return float(np.mean([run[key] for run in result["runs"][model]]))


def table(results: list[dict[str, Any]], models: list[str]) -> str:
    """Return the results as Markdown, with a summary."""
    first, others = models[0], models[1:]
    heads = "".join(f" {name} | ratio | log loss | s | x |" for name in others)
    lines = [f"| set | rows | {first} | log loss | s |{heads}", "|" + "---|" * (5 + 5 * len(others))]
    ratios: dict[str, dict[str, list[float]]] = {name: {"error": [], "log loss": [], "seconds": []} for name in others}
    for result in results:
        has_log_loss = "log loss" in result["runs"][first][0]
        cells = [result["name"], f"{result['rows']:,}", f"{mean(result, first, 'error'):.4g}"]
        cells += [
            f"{mean(result, first, 'log loss'):.4f}" if has_log_loss else "",
            f"{mean(result, first, 'seconds'):.3f}",
        ]
        for name in others:
            found = {}
            for key in ratios[name]:
                if key != "log loss" or has_log_loss:
                    found[key] = mean(result, name, key) / mean(result, first, key)
                    ratios[name][key].append(found[key])
            cells += [f"{mean(result, name, 'error'):.4g}", f"{found['error']:.3f}"]
            cells += [f"{found['log loss']:.3f}" if has_log_loss else ""]
            cells += [f"{mean(result, name, 'seconds'):.3f}", f"{found['seconds']:.2f}"]
        lines.append(f"| {' | '.join(cells)} |")
    lines.append("")
    for name in others:
        parts = []
        for key, values in ratios[name].items():
            if values:
                average = np.exp(np.mean(np.log(np.maximum(values, 1e-9))))
                lower = sum(value < 1 for value in values)
                parts.append(f"{key} {average:.3f} (lower on {lower} of {len(values)}, worst {max(values):.2f})")
        lines.append(f"{name} / {first}, geometric mean: {', '.join(parts)}.")
    return "\n".join(lines)


def main() -> None:
    """Measure, print the table, and write it to a file."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("sets", nargs="*", help="names of data sets; default: all tables")
    default = ["LightGBM", "fast"]
    parser.add_argument("--models", nargs="+", choices=MODELS, default=default, help="ratios are to the first model")
    parser.add_argument("--splits", type=int, nargs="+", default=range(5, 15), help="0 to 3 are reserved for tuning")
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--markdown", type=Path, help="write the table to this file")
    parser.add_argument("--output", type=Path, default=Path("bench_tables.json"))
    args = parser.parse_args()
    warnings.simplefilter("ignore")
    results = []
    for name in args.sets or sorted({*datasets.names(), "digits"} - {"fashion_mnist"}):
        data = datasets.load(name)
        measure(data, args.splits[0], 0, args.models, args.threads)  # warm-up of imports and CPU clock
        runs: dict[str, list[Any]] = {model: [] for model in args.models}
        for split in args.splits:
            for seed in range(args.seeds):
                for model, run in zip(args.models, measure(data, split, seed, args.models, args.threads), strict=True):
                    runs[model].append({"split": split, "seed": seed, **run})
        results.append({"name": name, "rows": int(0.64 * len(data.y)), "runs": runs})
        print(table(results[-1:], args.models).splitlines()[2], flush=True)
    text = table(results, args.models)
    print(text)
    if args.markdown:
        args.markdown.write_text(text + "\n", encoding="utf-8")
    machine.write_json(args.output, results)


if __name__ == "__main__":
    main()
