"""Prints scores and warnings of `chainrule train` on each table of CHAINRULE_DATA, for several seeds.

The target and the task of each data set come from its `meta.json`; all other columns are features. Standard error is
printed: the command should not warn on these tables. `--command` names another installation to compare with;
`--options "--hidden 128,64"` trains a plain network.
"""

from __future__ import annotations

import argparse
import json
import re
import shlex
import subprocess
import sys
import tempfile

import numpy as np

import datasets

_SCORES = {"classification": ["accuracy", "log loss", "Brier"], "regression": ["RMSE", "MAE", "R²"]}


def train(command: str, name: str, seed: int, more: str) -> tuple[dict[str, float], str]:
    """Train once; return the test scores, the seconds, and what was printed on standard error."""
    meta = json.loads((datasets.folder() / name / "meta.json").read_text())
    table = datasets.folder() / name / "data.csv.gz"
    options = ["--target", meta["target"], "--task", meta["task"], "--seed", str(seed), *shlex.split(more)]
    with tempfile.TemporaryDirectory() as folder:
        arguments = [*shlex.split(command), "train", str(table), *options]
        done = subprocess.run(arguments, cwd=folder, capture_output=True, text=True)
    if done.returncode:
        raise SystemExit(f"{shlex.join(arguments)}\n{done.stderr}")
    scores = {"seconds": float(re.search(r"^stopped .*? ([\d.]+) s:", done.stdout, re.MULTILINE)[1])}
    test = re.search(r"^test .*", done.stdout, re.MULTILINE)[0]
    for score in _SCORES[meta["task"]]:
        if found := re.search(rf"[, ]{score} ([^\s,]+)", test):  # an older installation may not have it
            scores[score] = float(found[1])
    return scores, done.stderr


def main() -> None:
    """Run the benchmark for the arguments of the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("sets", nargs="*", help="default: all tables in CHAINRULE_DATA")
    parser.add_argument("--seeds", type=int, default=3, help="default: 3")
    parser.add_argument("--command", default=f"{sys.executable} -m chainrule", help="default: this installation")
    parser.add_argument("--options", default="", help="further options of `chainrule train`")
    options = parser.parse_args()
    tables = [name for name in datasets.names() if (datasets.folder() / name / "data.csv.gz").exists()]
    print("| set | score | mean | each seed |\n|---|---|---|---|")
    for name in options.sets or tables:
        trained = [train(options.command, name, seed, options.options) for seed in range(options.seeds)]
        for score in trained[0][0]:
            values = [scores[score] for scores, _ in trained]
            print(f"| {name} | {score} | {np.mean(values):.5g} | {', '.join(f'{x:g}' for x in values)} |", flush=True)
        for message in dict.fromkeys(message for _, message in trained if message):
            print(message, flush=True)


if __name__ == "__main__":
    main()
