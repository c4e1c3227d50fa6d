"""A network together with how its table is read and encoded: what `train` writes and `predict` reads."""

import dataclasses
import json
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from chainrule import _columns
from chainrule._frames import as_column
from chainrule.cli._tables import read_table
from chainrule.files import load_with_metadata, save
from chainrule.network import Network
from chainrule.table import TableEncoder
from chainrule.target import TargetEncoder

if TYPE_CHECKING:
    import pandas as pd

SHOWN = 12  # columns of a kind, or classes, that are named
_KEY = "table"  # the entry of the file's metadata


@dataclasses.dataclass(frozen=True)
class TableModel:
    """A trained network, the encoders of its features and target, and the values that mean missing."""

    network: Network
    features: TableEncoder
    target: TargetEncoder
    missing: Sequence[str] = ()

    def predict(self, table: "pd.DataFrame", n_threads: int | None = None) -> NDArray[Any]:
        """Return what the network says of each row, (m, n_outputs), for `TargetEncoder.decode`."""
        return self.network.predict(self.features.transform(table), n_threads=n_threads)

    def read(self, path: str) -> "pd.DataFrame":
        """Read a table as the one of the training was read."""
        columns = self.features.columns
        levels = [c for c in columns if isinstance(c, _columns.LevelColumn)]
        texts = [c.name for c in levels if not set(c.levels) <= {"True", "False"}]  # pandas knows TRUE and true, too
        numbers = [c.name for c in columns if isinstance(c, _columns.NumberColumn)]  # and dates
        return read_table(path, missing=self.missing, numbers=numbers, texts=texts)

    def find_strangers(self, table: "pd.DataFrame") -> dict[str, str]:
        """Return a value of each column of which the training had none."""
        columns = [c for c in self.features.columns if isinstance(c, _columns.LevelColumn)]
        found = {column.name: column.find_stranger(as_column(table[column.name])) for column in columns}
        return {name: value for name, value in found.items() if value is not None}

    def save(self, path: str) -> None:
        """Write all of it to a safetensors file."""
        state = {"features": self.features.to_dict(), "target": self.target.to_dict(), "missing": list(self.missing)}
        save(self.network, path, {_KEY: json.dumps(state)})

    @classmethod
    def load(cls, path: str) -> "TableModel | Network":
        """Read a model; a file without a table's encoding holds a network only.

        Raises
        ------
        ValueError
            As `chainrule.load`, and for an encoding that does not fit the network.
        """
        network, metadata = load_with_metadata(path)
        if _KEY not in metadata:
            return network
        try:
            state = json.loads(metadata[_KEY])
            features, target = TableEncoder.from_dict(state["features"]), TargetEncoder.from_dict(state["target"])
            missing = tuple(str(value) for value in state["missing"])
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise ValueError(f"{path} has a table encoding that cannot be read: {error}") from error
        sizes = (features.n_features, target.n_outputs)
        if sizes != (network.layer_sizes[0], network.layer_sizes[-1]) or target.loss != network.loss_name:
            raise ValueError(f"{path} has a table encoding that does not fit its network: {sizes} for {network!r}")
        return cls(network, features, target, missing)


def describe(network: Network) -> str:
    """Return a network on one line."""
    widths = "-".join(map(str, network.layer_sizes))
    activations = ", ".join(dict.fromkeys(network.activations)) or "no hidden layer"
    return f"{widths}, {activations}, {network.loss_name}, {network.parameters.size:,} parameters ({network.dtype})"


def describe_columns(features: TableEncoder) -> list[str]:
    """Return the columns and their encoding, one line a kind."""
    words = {"number": "numbers", "date": "dates", "levels": "levels", "ignored": "left out"}
    lines = []
    for kind, word in words.items():
        if columns := [column for column in features.columns if column.kind == kind]:
            more = f", ... ({len(columns) - SHOWN} more)" if len(columns) > SHOWN else ""
            lines.append(f"{word} ({len(columns)}): " + ", ".join(map(_describe_column, columns[:SHOWN])) + more)
    return lines


def _describe_column(column: _columns.Encoder) -> str:
    if isinstance(column, _columns.LevelColumn):
        return f"{column.name} {len(column.levels)}" + "+other" * column.other + "+missing" * column.missing
    if isinstance(column, _columns.NumberColumn):
        return column.name + "+missing" * column.indicator
    return f"{column.name} ({column.reason})"


def describe_target(target: TargetEncoder) -> str:
    """Return what is predicted, on one line."""
    if target.task == "regression":
        return f"{target.name}, a number (mean {target.mean:.6g}, standard deviation {target.std:.6g})"
    shown = ", ".join(target.labels[:SHOWN]) + (", ..." if len(target.labels) > SHOWN else "")
    return f"{target.name}, {len(target.labels)} classes: {shown}"


def score(target: TargetEncoder, predictions: NDArray[Any], column: "pd.Series", training: "pd.Series") -> str:
    """Return the score of predictions against that of the trivial predictor, learnt from the training's column."""
    if target.task == "classification":
        truth, seen = target.transform(column), target.transform(training)
        majority = int(np.bincount(seen).argmax())
        accuracy = np.mean(target.class_numbers(predictions) == truth)
        return f"accuracy {accuracy:.4f} (always {target.labels[majority]!r}: {np.mean(truth == majority):.4f})"
    truth = as_column(column).numbers()
    error = np.sqrt(np.mean((target.decode(predictions) - truth) ** 2))
    trivial = np.sqrt(np.mean((target.mean - truth) ** 2))
    return f"RMSE {error:.6g} (always the mean: {trivial:.6g})"
