"""Compares the scores of chainrule's and scikit-learn's estimators on each data set of CHAINRULE_DATA.

same  both with scikit-learn's default parameters, on the same encoding: standardized numbers, one-hot levels
own   chainrule on the raw table, with one recipe for all sets; scikit-learn with its defaults on a simple encoding:
      medians for missing numbers, one-hot levels, nothing scaled

Each seed selects another test set (a fifth of the rows) and sets the same initial weights. Scores: accuracy and R².
"""

from __future__ import annotations

import argparse
import time
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

import datasets
import machine
from datasets import Dataset

FEWER = {"fashion_mnist": 10_000}  # training and test rows of a set on which scikit-learn would take minutes
FITS = ("same", "same, scikit-learn", "own", "default, scikit-learn")


def encoding(data: Dataset, *, scaled: bool) -> Any:
    """Return scikit-learn's transformers for the numbers and the levels of a table; missing is a level."""
    from sklearn.compose import make_column_transformer
    from sklearn.impute import SimpleImputer
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import OneHotEncoder, StandardScaler

    numeric = make_pipeline(SimpleImputer(strategy="median"), *([StandardScaler()] if scaled else []))
    levels = OneHotEncoder(handle_unknown="ignore", sparse_output=False)
    return make_column_transformer((numeric, data.numeric), (levels, data.categorical))


def recipe(rows: int) -> dict[str, Any]:
    """Return our parameters for a table with this number of rows."""
    import chainrule as cr

    return {
        "hidden_layer_sizes": (256, 128),
        "activation": "relu",
        "solver": cr.AdamW(learning_rate=2e-3, weight_decay=0.02),
        "learning_rate": cr.Cosine(),
        "alpha": 0.0,
        "dropout": 0.1,
        "batch_size": min(max(rows // 50, 16), 256),  # 50 steps per epoch, within 16 to 256 rows
        "max_iter": 60,
        "early_stopping": True,
        "eval_metric": "loss",
        "n_iter_no_change": 20,
        "tol": 0.0,
        "preprocess": True,
    }


def measure(data: Dataset, seed: int) -> list[tuple[float, float]]:
    """Return score and time of each entry of FITS."""
    from sklearn import neural_network
    from sklearn.compose import TransformedTargetRegressor
    from sklearn.model_selection import train_test_split
    from sklearn.preprocessing import StandardScaler

    import chainrule as cr

    classes = data.task == "classification"
    rows = np.random.default_rng(seed).permutation(len(data.y))[: FEWER.get(data.name)]
    strata = data.y[rows] if classes else None
    train, test = train_test_split(rows, test_size=0.2, random_state=seed, stratify=strata)
    name = "MLPClassifier" if classes else "MLPRegressor"
    ours, theirs = getattr(cr, name), getattr(neural_network, name)

    def fit(model: Any, encoder: Any = None) -> tuple[float, float]:
        X, X_test = data.X.iloc[train], data.X.iloc[test]
        if encoder is not None:
            X, X_test = encoder.fit_transform(X), encoder.transform(X_test)
        begin = time.perf_counter()
        model.fit(X, data.y[train])
        return float(model.score(X_test, data.y[test])), time.perf_counter() - begin

    def same(estimator: Any) -> Any:
        return estimator if classes else TransformedTargetRegressor(estimator, transformer=StandardScaler())

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # neither has converged
        return [
            fit(same(ours(random_state=seed)), encoding(data, scaled=True)),
            fit(same(theirs(random_state=seed)), encoding(data, scaled=True)),
            fit(ours(**recipe(len(train)), random_state=seed)),
            fit(theirs(random_state=seed), encoding(data, scaled=False)),
        ]


def compare(ours: Sequence[float], theirs: Sequence[float]) -> tuple[float, float]:
    """Return the difference of the mean scores and its standard error over the seeds."""
    difference = float(np.mean(ours) - np.mean(theirs))
    return difference, float(np.sqrt((np.var(ours, ddof=1) + np.var(theirs, ddof=1)) / len(ours)))


def table(results: list[dict[str, Any]], seeds: int) -> str:
    """Return the results as Markdown, with a summary."""
    lines = [
        f"| set | rows | score | {' | '.join(FITS)} | same: difference | own: difference |",
        "|" + "---|" * 9,
    ]
    same, own = [], []
    for result in results:
        scores = result["scores"]
        cells = [f"{np.mean(of_fit):.4f} ± {np.std(of_fit, ddof=1) / len(of_fit) ** 0.5:.4f}" for of_fit in scores]
        for verdicts, (a, b) in ((same, scores[:2]), (own, scores[2:])):
            difference, error = compare(a, b)
            good = difference >= -error if verdicts is same else difference > 0
            verdicts.append(good)
            cells.append(f"{difference:+.4f} ± {error:.4f}{'' if good else ' **worse**'}")
        note = f" of {result['all_rows']:,}" if result["rows"] < result["all_rows"] else ""
        lines.append(f"| {result['name']} | {result['rows']:,}{note} | {result['score']} | {' | '.join(cells)} |")
    seconds = [sum(np.sum(result["times"][k]) for result in results) for k in range(len(FITS))]
    lines += [
        "",
        f"Means of {seeds} seeds ± standard errors. On {sum(same)} of {len(same)} sets, chainrule is at most one "
        "standard error worse than scikit-learn with the same parameters; on tables, it is better than scikit-learn's "
        f"defaults on {sum(own)} of {len(own)}. Total time of the fits: "
        + "; ".join(f"“{n}” {s:.0f} s" for n, s in zip(FITS, seconds, strict=True))
        + ".",
    ]
    return "\n".join(lines)


def main() -> None:
    """Measure, print the table, and write it to a file."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("sets", nargs="*", help="names of data sets; default: all")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--first-seed", type=int, default=0, help="vary it to see whether a difference was chance")
    parser.add_argument("--markdown", type=Path, help="write the table to this file")
    parser.add_argument("--output", type=Path, default=Path("bench_quality.json"))
    args = parser.parse_args()
    machine.pin(1)
    results = []
    for name in args.sets or datasets.names():
        data = datasets.load(name)
        runs = [measure(data, seed) for seed in range(args.first_seed, args.first_seed + args.seeds)]
        scores, times = (np.array(runs)[:, :, k].T.tolist() for k in (0, 1))
        score = "accuracy" if data.task == "classification" else "R²"
        rows = {"rows": FEWER.get(name, len(data.y)), "all_rows": len(data.y)}
        results.append({"name": name, **rows, "score": score, "scores": scores, "times": times, "seconds": times[2][0]})
        print(
            f"{name}: " + ", ".join(f"{fit} {np.mean(s):.4f}" for fit, s in zip(FITS, scores, strict=True)), flush=True
        )
    text = table(results, args.seeds)
    print(text)
    if args.markdown:
        args.markdown.write_text(text + "\n", encoding="utf-8")
    machine.write_json(args.output, results)


if __name__ == "__main__":
    main()
