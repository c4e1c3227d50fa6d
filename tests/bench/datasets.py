"""Reads the data sets in the folder CHAINRULE_DATA, and digits, as pandas data frames: features, target, task."""

from __future__ import annotations

import json
import os
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

import machine

sys.path.append(str(machine.HERE.parents[1] / "python" / "examples"))

Frame = Any  # pandas.DataFrame; pandas is imported at first use


@dataclass(frozen=True)
class Dataset:
    """A table and its target; `numeric` and `categorical` name its columns."""

    name: str
    task: str
    X: Frame
    y: np.ndarray
    numeric: list[str]
    categorical: list[str]


def names() -> list[str]:
    """Return the names of the available data sets."""
    return sorted(path.parent.name for path in folder().glob("*/meta.json"))


def folder() -> Path:
    """Return the folder with the data."""
    if "CHAINRULE_DATA" not in os.environ:
        raise SystemExit("set CHAINRULE_DATA to the folder with the data")
    return Path(os.environ["CHAINRULE_DATA"])


def load(name: str) -> Dataset:
    """Read a data set: `data.csv.gz` as described by `meta.json`, images of Fashion-MNIST, or scikit-learn's digits."""
    import pandas as pd

    if name == "digits":
        from sklearn.datasets import load_digits

        X, digits = load_digits(return_X_y=True, as_frame=True)
        return Dataset(name, "classification", X, digits.to_numpy(), list(X), [])
    meta = json.loads((folder() / name / "meta.json").read_text())
    if name == "fashion_mnist":
        from fashion_mnist import read_part

        parts = [read_part(folder() / name, part) for part in ("train", "t10k")]
        X = pd.DataFrame(np.concatenate([images for images, _ in parts])).rename(columns="pixel {}".format)
        return Dataset(name, meta["task"], X, np.concatenate([labels for _, labels in parts]), list(X), [])
    table = pd.read_csv(folder() / name / "data.csv.gz", keep_default_na=False, na_values=[""])
    y = table.pop(meta["target"]).to_numpy()
    return Dataset(name, meta["task"], table, y, meta["numeric"], meta["categorical"])
