"""A network together with how its table is read and encoded: what `train` writes and `predict` reads."""

import dataclasses
import json
from collections.abc import Collection
from typing import TYPE_CHECKING, Any

from numpy.typing import NDArray

from chainrule import _columns
from chainrule._frames import as_column
from chainrule.cli._console import warn
from chainrule.cli._format import Reading
from chainrule.cli._scores import as_text, score_classes, score_values
from chainrule.cli._tables import read_table
from chainrule.cli._target import without_markers
from chainrule.files import load_with_metadata, save
from chainrule.network import Network
from chainrule.table import TableEncoding
from chainrule.target import TargetEncoder

if TYPE_CHECKING:
    import pandas as pd

LOSSES = ("squared_error", "absolute_error", "huber", "poisson")  # of a number to predict
SHOWN = 12  # columns of a kind, or classes, that are named
_KEY = "table"  # the entry of the file's metadata


@dataclasses.dataclass(frozen=True)
class TableModel:
    """A trained network, the encoders of its features and target, and how its tables are read."""

    network: Network
    features: TableEncoding
    target: TargetEncoder
    reading: Reading = dataclasses.field(default_factory=Reading)
    n_columns: int = 0

    def predict(self, table: "pd.DataFrame", n_threads: int | None = None) -> NDArray[Any]:
        """Return what the network says of each row, (m, n_outputs), for `TargetEncoder.decode`."""
        return self.network.predict(self.features.transform(table), n_threads=n_threads)

    def read(
        self, path: str, texts: Collection[str] = (), separator: str | None = None, encoding: str | None = None
    ) -> "pd.DataFrame":
        """Read a table as the one of the training was read, but for what is said otherwise.

        Parameters
        ----------
        path : str
            The file.
        texts : collection of str
            Further columns that stay as they are written.
        separator, encoding : str, optional
            As in `Reading`.
        """
        columns = self.features.columns
        levels = [c for c in columns if isinstance(c, _columns.LevelColumn)]
        words = [c.name for c in levels if not set(c.levels) <= {"True", "False"}]  # pandas knows TRUE and true, too
        numbers = [c.name for c in columns if isinstance(c, _columns.NumberColumn)]  # and dates
        settings = self.reading.override(separator, encoding)
        table, _ = read_table(path, settings, numbers=numbers, texts=[*words, *texts])
        if not settings.header and self.n_columns:
            table.columns = self._names(table.shape[1])
        return table

    def _names(self, count: int) -> list[str]:
        """Return the names of so many columns of a file without a header, in which the target may be absent."""
        names = [str(place + 1) for place in range(self.n_columns)]
        if count == self.n_columns - 1:
            names.remove(self.target.name)
        elif count != self.n_columns:
            raise ValueError(f"the table has {count} columns, the training's had {self.n_columns} with the target")
        return names

    def score(self, truth: "pd.Series", predictions: NDArray[Any]) -> str:
        """Return the scores of predictions where the target is known, or nothing where it never is."""
        if self.target.task == "regression":
            known = truth.notna().to_numpy()
            if not known.any():
                return ""
            scores = score_values(as_column(truth[known]).numbers(), self.target.decode(predictions[known]))
        else:
            codes, names = as_column(without_markers(truth)[0]).levels()
            classes = _columns.find_codes(codes, names, self.target.labels, unseen=-1, missing=-2)
            if (classes == -1).any():
                value = names[codes[classes == -1][0]]
                warn(f"{int((classes == -1).sum())} rows are not scored: the training had no class {value!r}")
            known = classes >= 0
            if not known.any():
                return ""
            scores = score_classes(classes[known], self.target.probabilities(predictions[known]))
        return f"{int(known.sum())} rows: {as_text(scores)}"

    def save(self, path: str) -> None:
        """Write all of it to a safetensors file."""
        state = {
            "features": self.features.to_dict(),
            "target": self.target.to_dict(),
            "reading": dataclasses.asdict(self.reading),
            "n_columns": self.n_columns,
        }
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
            features, target = TableEncoding.from_dict(state["features"]), TargetEncoder.from_dict(state["target"])
            reading = Reading(**state.get("reading", {"missing": state.get("missing", ())}))
            n_columns = int(state.get("n_columns", 0))
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise ValueError(f"{path} has a table encoding that cannot be read: {error}") from error
        sizes = (features.n_features, target.n_outputs)
        if sizes != (network.layer_sizes[0], network.layer_sizes[-1]) or not _fits(target, network.loss_name):
            raise ValueError(f"{path} has a table encoding that does not fit its network: {sizes} for {network!r}")
        return cls(network, features, target, reading, n_columns)


def _fits(target: TargetEncoder, loss: str) -> bool:
    return loss in LOSSES if target.task == "regression" else loss == target.loss


def describe(network: Network) -> str:
    """Return a network on one line."""
    widths = "-".join(map(str, network.layer_sizes))
    activations = ", ".join(dict.fromkeys(network.activations)) or "no hidden layer"
    return f"{widths}, {activations}, {network.loss_name}, {network.parameters.size:,} parameters ({network.dtype})"


def describe_columns(features: TableEncoding) -> list[str]:
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
