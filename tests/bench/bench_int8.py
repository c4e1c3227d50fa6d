"""Measures the effect of 8-bit weights: scores of headers in C with and without them, and the sizes of programs.

CHAINRULE_DATA=folder python tests/bench/bench_int8.py [titanic adult] [--seed 0]

Each estimator is trained on four fifths of the rows and predicts the others. The sizes are those of programs for a
Cortex-M4, with the mathematical functions of newlib and about 3 kB of start-up code, if arm-none-eabi-gcc is installed.
"""

from __future__ import annotations

import argparse
import re
import shutil
import subprocess
import tempfile
import warnings
from pathlib import Path
from typing import Any

import numpy as np

import c_header
import datasets
import machine

SETS = ("titanic", "adult", "california", "digits")
ARM = "arm-none-eabi-gcc -std=c99 -Os -mcpu=cortex-m4 -mthumb -mfloat-abi=hard -mfpu=fpv4-sp-d16 --specs=nosys.specs"


def load(name: str) -> tuple[Any, np.ndarray, bool]:
    """Return the features, the target, and whether it has classes."""
    if name == "digits":
        from sklearn.datasets import load_digits

        X, y = load_digits(return_X_y=True)
        return X.astype(np.float32), y, True
    data = datasets.load(name)
    return data.X, data.y, data.task == "classification"


def fit(kind: str, X: Any, y: np.ndarray, classes: bool) -> Any:
    """Return a fitted estimator."""
    import chainrule as cr

    settings = {"preprocess": not isinstance(X, np.ndarray)} if kind == "MLP" else {}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # 200 epochs may be too few
        return getattr(cr, f"{kind}{'Classifier' if classes else 'Regressor'}")(random_state=0, **settings).fit(X, y)


def score(estimator: Any, outputs: np.ndarray, y: np.ndarray) -> str:
    """Return accuracy and log loss, or the root mean squared error."""
    if not hasattr(estimator, "classes_"):
        return f"RMSE {np.sqrt(((outputs[:, 0] - y) ** 2).mean()):,.0f}"
    numbers = np.searchsorted(estimator.classes_, y)
    likelihood = np.maximum(outputs[np.arange(len(y)), numbers], 1e-15)
    return f"{(outputs.argmax(axis=1) == numbers).mean():.3f}, {-np.log(likelihood).mean():.4f}"


def size(header: Path) -> str:
    """Return the size of a program for a microcontroller that predicts one row."""
    if shutil.which("arm-none-eabi-gcc") is None:
        return ""
    name, text = header.stem, header.read_text()
    match = re.search(rf"{name}_predict\(const (struct \w+|float) \*\w+, (float|double) \*", text)
    assert match is not None
    row = f"{match[1]} row[1];" if "struct" in match[1] else f"float row[{name.upper()}_INPUTS];"
    main = f'#include "{name}.h"\n{row}\n{match[2]} out[{name.upper()}_OUTPUTS];\n'
    main += f"int main(void) {{ (void){name}_predict(row, out); return 0; }}\n"
    (header.parent / "main.c").write_text(main)
    subprocess.run([*ARM.split(), "main.c", "-o", "program", "-lm"], cwd=header.parent, check=True, capture_output=True)
    sizes = subprocess.run(
        ["arm-none-eabi-size", "program"], cwd=header.parent, check=True, capture_output=True, text=True
    )
    return f"{int(sizes.stdout.splitlines()[1].split()[3]):,}"


def main() -> None:
    """Print a line for each estimator."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("sets", nargs="*", metavar="set", help="default: " + " ".join(SETS), default=SETS)
    parser.add_argument("--seed", type=int, default=0, help="selects the rows to train on")
    options = parser.parse_args()
    table = []
    for name in options.sets:
        X, y, classes = load(name)
        order = np.random.default_rng(options.seed).permutation(len(y))
        train, test = order[: len(y) * 4 // 5], order[len(y) * 4 // 5 :]
        rows = X.__getitem__ if isinstance(X, np.ndarray) else X.iloc.__getitem__
        for kind in ("Table", "MLP"):
            estimator = fit(kind, rows(train), y[train], classes)
            cells, found = [], []
            with tempfile.TemporaryDirectory() as folder:
                for weights in (None, "int8"):
                    found.append(c_header.compiled(estimator, rows(test), Path(folder), weights)())
                    header = Path(folder) / f"model_{weights or 'plain'}.h"
                    cells += [score(estimator, found[-1], y[test]), size(header)]
            change = f"{np.abs(found[1] - found[0]).max():.4g}"
            table.append([f"{kind}, {name}", cells[0], cells[2], change, cells[1], cells[3]])
    machine.print_table(["estimator", "score", "with int8", "largest change", "bytes", "with int8"], table)


if __name__ == "__main__":
    main()
