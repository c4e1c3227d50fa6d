"""A model and the settings for reading its table: `train` writes them, `predict` reads them without scikit-learn."""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from chainrule import _core, _json
from chainrule._columns import Encoder, LevelColumn, NumberColumn
from chainrule._formats import Format, NumberFormat
from chainrule._frames import as_column
from chainrule.cli._console import warn
from chainrule.cli._rows import class_numbers, known_texts
from chainrule.cli._scores import as_text, score_classes, score_values
from chainrule.cli._tables import (
    Reading,
    Table,
    check_columns,
    number_names,
    read_frame,
    read_numbers,
    without_markers,
)
from chainrule.model_file import READING, Model, read_model
from chainrule.network import Network
from chainrule.table import TableEncoding
from chainrule.target import Standardizer

if TYPE_CHECKING:
    import pandas as pd

# The losses for a target that is a number.
LOSSES = [name for name, loss in _core.LOSSES.items() if not loss.of_classes and not loss.one_per_output]
SHOWN = 12  # the maximum number of columns of a kind, or of classes, to list


@dataclasses.dataclass(frozen=True)
class TableModel:
    """A model for a table, and the settings for reading files with that table.

    Attributes
    ----------
    model : Model
        The model.
    reading : Reading
        Settings for reading a file.
    n_columns : int
        Number of columns of the training file, including the target; 0 in model files written by development versions
        before the first release.
    """

    model: Model
    features: TableEncoding
    reading: Reading
    n_columns: int

    @classmethod
    def load(cls, path: str) -> "TableModel | Network":
        """Read a model. If the file has no encoding of a table, return only the network.

        Raises
        ------
        ValueError
            As for `chainrule.load`, and if the settings for reading the table are invalid.
        """
        model = read_model(path)
        if not isinstance(model, Model):
            return model
        if model.encoder is None:
            return model.network
        try:
            state = dict(_json.parse(model.metadata.get(READING, "{}")))
            n_columns = int(state.pop("n_columns", 0))
            return cls(model, model.encoder, Reading(**state), n_columns)
        except (ValueError, TypeError) as error:
            raise ValueError(f"{path} has invalid settings for reading tables: {error}") from error

    @property
    def name(self) -> str:
        """The name of the target column; empty if an estimator was saved without one."""
        return self.model.target.name or "prediction"

    def read(
        self, path: str, keep: Sequence[str] = (), separator: str | None = None, encoding: str | None = None
    ) -> tuple["pd.DataFrame", "pd.DataFrame"]:
        """Read a table with the settings used in training, or with another separator and encoding.

        Return the table, and the columns to copy, whose text is unchanged.

        Parameters
        ----------
        path : str
            The file.
        keep : sequence of str
            Columns that are copied.
        separator, encoding : str, optional
            As in `Reading`.
        """
        columns = self.features.columns
        levels = [c for c in columns if isinstance(c, LevelColumn)]
        words = [c.name for c in levels if not set(c.levels) <= {"True", "False"}]  # pandas also converts TRUE and true
        numbers = [c for c in columns if isinstance(c, NumberColumn)]  # includes dates
        written = [c.name for c in numbers if c.format not in (None, NumberFormat())]
        reading = self.reading.override(separator, encoding)
        classes = self.model.target.classes
        named = [] if classes is None or classes.dtype.kind not in "UO" else [self.name]
        table, _ = read_frame(path, reading, [*words, *written, *named, *keep], self._names)
        check_columns(table, keep, path)
        kept = table[list(keep)].copy()
        return without_markers(table, [c.name for c in numbers]), kept

    def _names(self, count: int) -> list[str]:
        """Return the names of `count` columns of a file without a header, which may lack the target."""
        names = number_names(self.n_columns)
        if count == self.n_columns - 1:
            names.remove(self.name)
        elif count != self.n_columns:
            raise ValueError(f"the table has {count} columns, the training table had {self.n_columns} with the target")
        return names

    def score(self, truth: "pd.Series", outputs: NDArray[Any]) -> str:
        """Return the scores of the outputs for rows with a known target; empty if there are none."""
        target = self.model.target
        if target.classes is None:
            values = read_numbers(truth, self.reading)
            known = ~np.isnan(values)
            if not known.any():
                return ""
            scores = score_values(values[known], target.decode(outputs[known]))
        else:
            classes, unseen = class_numbers(as_column(known_texts(truth, target.labels)[0]), target.labels)
            if unseen is not None:
                warn(f"{int((classes == -1).sum())} rows are not scored: the training table has no class {unseen!r}")
            known = classes >= 0
            if not known.any():
                return ""
            scores = score_classes(classes[known], target.probabilities(outputs[known]))
        return f"{int(known.sum())} rows: {as_text(scores)}"


def save(estimator: Any, path: str, target: str, table: Table) -> None:
    """Write a trained estimator and the data that `TableModel` needs; without times, so equal fits give equal files."""
    estimator.set_params(callbacks=(), n_threads=None)
    estimator.history_ = dataclasses.replace(estimator.history_, seconds=0.0)
    metadata = {READING: _json.write({**dataclasses.asdict(table.reading), "n_columns": table.frame.shape[1]})}
    from chainrule.estimators._files import save as save_estimator  # needs scikit-learn, which `predict` does not

    save_estimator(estimator, path, metadata, target=target)


def with_formats(encoding: TableEncoding, formats: Mapping[str, Format]) -> TableEncoding:
    """Return an encoding that also reads text in the formats of the training file."""
    columns = [
        dataclasses.replace(column, format=formats[column.name])
        if isinstance(column, NumberColumn) and column.name in formats
        else column
        for column in encoding.columns
    ]
    return TableEncoding(columns)


def describe(network: Network) -> str:
    """Describe a network on one line."""
    widths = "-".join(map(str, network.layer_sizes))
    activations = ", ".join(dict.fromkeys(network.activations)) or "no hidden layer"
    return f"{widths}, {activations}, {network.loss_name}, {network.parameters.size:,} parameters ({network.dtype})"


def describe_columns(features: TableEncoding) -> list[str]:
    """Describe the columns and their encoding, one line per kind."""
    words = {"number": "numbers", "date": "dates", "levels": "levels", "ignored": "left out"}
    lines = []
    for kind, word in words.items():
        if columns := [column for column in features.columns if column.kind == kind]:
            more = f", ... ({len(columns) - SHOWN} more)" if len(columns) > SHOWN else ""
            lines.append(f"{word} ({len(columns)}): " + ", ".join(map(_describe_column, columns[:SHOWN])) + more)
    return lines


def _describe_column(column: Encoder) -> str:
    if isinstance(column, LevelColumn):
        return f"{column.name} {len(column.levels)}" + "+other" * column.other + "+missing" * column.missing
    if isinstance(column, NumberColumn):
        return column.name + "+missing" * column.indicator
    return f"{column.name} ({column.reason})"


def describe_target(name: str, labels: Sequence[str], standardizer: Standardizer | None) -> str:
    """Describe the target on one line."""
    if labels:
        shown = ", ".join(labels[:SHOWN]) + (", ..." if len(labels) > SHOWN else "")
        return f"{name}, {len(labels)} classes: {shown}"
    unit = standardizer and f" (mean {standardizer.mean:.6g}, standard deviation {standardizer.std:.6g})"
    return f"{name}, a number{unit or ''}"
