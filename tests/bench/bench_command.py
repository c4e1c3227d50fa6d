"""Prints scores and warnings of `chainrule train` on each table of CHAINRULE_DATA, for several seeds.

The target and the task of each data set come from its `meta.json`; all other columns are features. Standard error is
printed: the command should not warn on these tables. `--command` names another installation to compare with.
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

_SCORES = {"classification": r"accuracy ([^\s,]+)", "regression": r"RMSE ([^\s,]+)"}


def train(command: str, name: str, seed: int) -> tuple[float, str]:
    """Return the test score of one training, and its standard error."""
    meta = json.loads((datasets.folder() / name / "meta.json").read_text())
    table = datasets.folder() / name / "data.csv.gz"
    options = ["--target", meta["target"], "--task", meta["task"], "--seed", str(seed)]
    with tempfile.TemporaryDirectory() as folder:
        arguments = [*shlex.split(command), "train", str(table), *options]
        done = subprocess.run(arguments, cwd=folder, capture_output=True, text=True)
    if done.returncode:
        raise SystemExit(f"{shlex.join(arguments)}\n{done.stderr}")
    found = re.search(r"^test +.*?" + _SCORES[meta["task"]], done.stdout, re.MULTILINE)
    assert found is not None, done.stdout
    return float(found[1]), done.stderr


def main() -> None:
    """Run the benchmark for the arguments of the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("sets", nargs="*", help="default: all that lie there as a table")
    parser.add_argument("--seeds", type=int, default=3, help="default: 3")
    parser.add_argument("--command", default=f"{sys.executable} -m chainrule", help="default: this installation")
    options = parser.parse_args()
    tables = [name for name in datasets.names() if (datasets.folder() / name / "data.csv.gz").exists()]
    print("| set | score | mean | each seed |\n|---|---|---|---|")
    for name in options.sets or tables:
        trained = [train(options.command, name, seed) for seed in range(options.seeds)]
        scores = [score for score, _ in trained]
        kind = _SCORES[json.loads((datasets.folder() / name / "meta.json").read_text())["task"]].split()[0]
        each = ", ".join(f"{score:g}" for score in scores)
        print(f"| {name} | {kind} | {np.mean(scores):.5g} | {each} |", flush=True)
        for said in dict.fromkeys(said for _, said in trained if said):
            print(said, flush=True)


if __name__ == "__main__":
    main()
