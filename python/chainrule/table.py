"""Tables in, arrays out: pandas columns of numbers, text, truth values and dates, with gaps, as float32 features.

What was learnt from the training part is plain data, so that it is stored with the model and `predict` repeats it.
The formulas are those of RealMLP (Holzmüller, Grinsztajn, Steinwart 2024, "Better by default", https://arxiv.org/abs/2407.04491).
"""

from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from chainrule import _columns

if TYPE_CHECKING:
    import pandas as pd

FORMAT = 1
MAX_CLASSES = 10  # whole numbers of more different values are amounts


class TableEncoder:
    r"""Encodes the columns of a table as float32 features.

    ============  ========================================================================================
    column        features
    ============  ========================================================================================
    numbers       :math:`x' / \sqrt{1 + (x'/3)^2}` with :math:`x' = (x - \mathrm{median})/(q_{75} - q_{25})`,
                  missing values as the median, and where some were missing at fit a feature that is 1 for those
    dates         the days since 1970-01-01, as numbers (`datetime`, or text as ISO 8601 has it)
    text, truth   a feature per level, 1 where the row has it; missing is a level of its own; all zeros for a level
    values,       that was not seen at fit. Of more than `max_levels` levels the most frequent are kept, of those
    categories    seen more than once, and one feature stands for all others
    the rest      no values, one value only, or text that is different in every row: left out
    ============  ========================================================================================

    Where the quartiles are equal the range takes the place of their difference.

    Parameters
    ----------
    categorical : collection of str, default=()
        Columns whose numbers are the names of levels.
    max_levels : int, default=100
        The number of levels of a column that get a feature.

    Attributes
    ----------
    columns : list
        The encoder of each column, in the order of the table; empty before `fit`.

    Examples
    --------
    >>> import pandas as pd
    >>> from chainrule.table import TableEncoder
    >>> table = pd.DataFrame({"age": [20.0, 30.0, None, 40.0], "home": ["own", "rent", "own", None]})
    >>> encoder = TableEncoder().fit(table)
    >>> encoder.feature_names
    ['age', 'age missing', 'home=own', 'home=rent', 'home missing']
    >>> encoder.transform(table)[:, 1:]
    array([[0., 1., 0., 0.],
           [0., 0., 1., 0.],
           [1., 1., 0., 0.],
           [0., 0., 0., 1.]], dtype=float32)
    """

    def __init__(self, *, categorical: Collection[str] = (), max_levels: int = 100) -> None:
        self.categorical = tuple(categorical)
        self.max_levels = max_levels
        self.columns: list[_columns.Column] = []

    def fit(self, table: "pd.DataFrame") -> "TableEncoder":
        """Learn from the rows of a table (m, any number of columns), the training part, how each column is encoded.

        Raises
        ------
        ValueError
            A column that cannot be encoded, an infinite number, two columns of one name, no column that tells rows apart.
        """
        names = _names(table)
        if unknown := [name for name in self.categorical if name not in names]:
            raise ValueError(f"the table has no column {unknown[0]!r}, named as categorical")
        if not len(table):
            raise ValueError("the table has no rows")
        columns = [
            _columns.fit_column(name, table.iloc[:, i], name in self.categorical, self.max_levels)
            for i, name in enumerate(names)
        ]
        if not any(column.width for column in columns):
            raise ValueError("the table has no column to learn from")
        self.columns = columns
        return self

    def transform(self, table: "pd.DataFrame") -> NDArray[np.float32]:
        """Return the features (m, n_features) of a table; its columns may come in any order and there may be more.

        Raises
        ------
        ValueError
            A column is missing, or holds a value of another kind than at fit; the message names column, value and row.
        """
        if not self.columns:
            raise ValueError("the encoder is not fitted: call fit with the training part first")
        place = {name: i for i, name in enumerate(_names(table))}
        if lacking := [column.name for column in self.columns if column.width and column.name not in place]:
            names = ", ".join(map(repr, lacking[:10])) + (", ..." if len(lacking) > 10 else "")
            count = "a column" if len(lacking) == 1 else f"{len(lacking)} columns"
            raise ValueError(f"the table lacks {count} that the encoder was fitted on: {names}")
        features = np.zeros((len(table), self.n_features), dtype=np.float32)
        start = 0
        for column in self.columns:
            if column.width:
                column.encode(table.iloc[:, place[column.name]], features[:, start : start + column.width])
                start += column.width
        return features

    @property
    def n_features(self) -> int:
        """The number of features that `transform` returns."""
        return sum(column.width for column in self.columns)

    @property
    def feature_names(self) -> list[str]:
        """The name of each feature."""
        names: list[str] = []
        for column in self.columns:
            if isinstance(column, _columns.LevelColumn):
                parts = [f"={level}" for level in column.levels] + [" other"] * column.other
                names += [column.name + part for part in parts + [" missing"] * column.missing]
            elif isinstance(column, _columns.NumberColumn):
                names += [column.name] + [f"{column.name} missing"] * column.indicator
        return names

    def to_dict(self) -> dict[str, Any]:
        """Return all that was learnt, as numbers, texts, lists and dictionaries: ready for JSON."""
        return {"format": FORMAT, "columns": [_columns.to_dict(column) for column in self.columns]}

    @classmethod
    def from_dict(cls, state: Mapping[str, Any]) -> "TableEncoder":
        """Return the encoder of a state that `to_dict` wrote; ValueError where it is not one."""
        _check_format(state)
        if not isinstance(state.get("columns"), list) or not all(isinstance(c, dict) for c in state["columns"]):
            raise ValueError("not the state of a table encoder: it has no list of columns")
        encoder = cls()
        encoder.columns = [_columns.from_dict(column) for column in state["columns"]]
        return encoder


class TargetEncoder:
    """Encodes the column to predict: class numbers, or values brought to mean 0 and standard deviation 1.

    Parameters
    ----------
    task : {"classification", "regression"}, optional
        Default: by the column. Text, truth values and categories are classes; so are whole numbers of at most 10 different
        values; all other numbers are values.

    Attributes
    ----------
    name : str
        The column's name.
    labels : list of str
        The classes in the order of their numbers: by value where all are numbers, else by name. Empty for values.
    mean, std : float
        Of the values that the encoder was fitted on; 0 and 1 for classes.

    Examples
    --------
    >>> import pandas as pd
    >>> from chainrule.table import TargetEncoder
    >>> column = pd.Series(["yes", "no", "yes"], name="answer")
    >>> target = TargetEncoder().fit(column)
    >>> target.transform(column)
    array([1, 0, 1])
    >>> target.loss, target.decode([[0.7], [0.2]]).tolist()
    ('binary_cross_entropy', ['yes', 'no'])
    """

    def __init__(self, task: str | None = None) -> None:
        if task not in (None, "classification", "regression"):
            raise ValueError(f"task is {task!r}, expected 'classification' or 'regression'")
        self.task = task
        self.name = ""
        self.labels: list[str] = []
        self.mean = 0.0
        self.std = 1.0

    def fit(self, column: "pd.Series") -> "TargetEncoder":
        """Learn from a column, shape (m,), without missing values.

        Raises
        ------
        ValueError
            For missing values, fewer than two classes or values, text that hardly ever repeats, dates, infinite numbers.
        """
        name = str(column.name)
        _refuse_missing(column, name)
        task = self.task or _infer_task(column, name)
        if task == "classification":
            codes, names = _columns.read_levels(column, name)
            counts = Counter(names[code] for code in codes.tolist())
            if len(counts) < 2:
                raise ValueError(f"the target {name!r} has {len(counts)} class, at least 2 are needed")
            if len(counts) > max(MAX_CLASSES, len(column) / 2):
                raise ValueError(f"the target {name!r} has {len(counts)} different classes in {len(column)} rows")
            self.labels, self.mean, self.std = sorted(counts, key=_by_value(counts)), 0.0, 1.0
        else:
            values = _columns.read_numbers(column, name)
            mean, std = float(values.mean()), float(values.std())
            if not 0 < std < np.inf:
                raise ValueError(f"the target {name!r} has one value only" if std == 0 else f"the target {name!r} is too large")
            self.labels, self.mean, self.std = [], mean, std
        self.task, self.name = task, name
        return self

    def transform(self, column: "pd.Series") -> NDArray[Any]:
        """Return what the network is trained on: class numbers (m,), or standardised values (m,) as float32.

        Raises
        ------
        ValueError
            For a missing value, a class that was not seen at fit, text where numbers were; the message names the value.
        """
        self._check_fitted()
        _refuse_missing(column, self.name)
        if self.task == "regression":
            return ((_columns.read_numbers(column, self.name) - self.mean) / self.std).astype(np.float32)
        codes, names = _columns.read_levels(column, self.name)
        if unseen := sorted(set(names) - set(self.labels)):
            raise ValueError(f"the target {self.name!r} holds {unseen[0]!r}, expected one of {self.labels}")
        return _columns.find_codes(codes, names, self.labels, unseen=-1, missing=-1)

    def decode(self, predictions: ArrayLike) -> NDArray[Any]:
        """Turn what `Network.predict` returns, (m, n_outputs), into labels (m,) of text, or values (m,) of float64."""
        self._check_fitted()
        outputs = np.asarray(predictions)
        if self.task == "regression":
            return outputs[:, 0].astype(np.float64) * self.std + self.mean
        return np.array(self.labels, dtype=object)[self.class_numbers(outputs)]

    def class_numbers(self, predictions: ArrayLike) -> NDArray[np.intp]:
        """Return the most probable class of each row of `Network.predict`."""
        outputs = np.asarray(predictions)
        return np.asarray(outputs[:, 0] > 0.5 if self.n_outputs == 1 else outputs.argmax(axis=1), dtype=np.intp)

    def probabilities(self, predictions: ArrayLike) -> NDArray[Any]:
        """Return the probability of each class, shape (m, number of labels)."""
        outputs = np.asarray(predictions)
        return np.concatenate([1 - outputs, outputs], axis=1) if self.n_outputs == 1 else outputs

    @property
    def n_outputs(self) -> int:
        """The number of outputs that the network needs: one for values and for two classes."""
        return len(self.labels) if len(self.labels) > 2 else 1

    @property
    def loss(self) -> str:
        """The loss that the network needs."""
        if self.task == "regression":
            return "squared_error"
        return "softmax_cross_entropy" if self.n_outputs > 1 else "binary_cross_entropy"

    def to_dict(self) -> dict[str, Any]:
        """Return all that was learnt, ready for JSON."""
        self._check_fitted()
        return {"format": FORMAT, **vars(self), "labels": list(self.labels)}

    @classmethod
    def from_dict(cls, state: Mapping[str, Any]) -> "TargetEncoder":
        """Return the encoder of a state that `to_dict` wrote; ValueError where it is not one."""
        _check_format(state)
        match dict(state):
            case {"task": str(task), "name": str(name), "labels": list(labels), "mean": int() | float(), "std": int() | float()}:
                encoder = cls(task)
                encoder.name, encoder.labels = name, [str(label) for label in labels]
                encoder.mean, encoder.std = float(state["mean"]), float(state["std"])
                if (task == "classification") == (len(labels) >= 2):
                    return encoder
        raise ValueError(f"not the state of a target encoder: {dict(state)!r:.200}")

    def _check_fitted(self) -> None:
        if not self.name:
            raise ValueError("the encoder is not fitted: call fit with the training part first")


def _check_format(state: Mapping[str, Any]) -> None:
    version = state.get("format")
    if not isinstance(version, int):
        raise ValueError("not the state of an encoder: it has no format version")
    if version > FORMAT:
        raise ValueError(f"the table encoding has format {version}, this chainrule reads up to {FORMAT}: upgrade chainrule")


def _names(table: "pd.DataFrame") -> list[str]:
    names = [str(name) for name in table.columns]
    if twice := [name for name, count in Counter(names).items() if count > 1]:
        raise ValueError(f"the table has more than one column {twice[0]!r}")
    return names


def _refuse_missing(column: "pd.Series", name: str) -> None:
    if (missing := column.isna().to_numpy()).any():
        raise ValueError(f"the target {name!r} is missing in row {int(missing.argmax()) + 1}")


def _infer_task(column: "pd.Series", name: str) -> str:
    kind = _columns.read_kind(column, name)
    if kind == "date":
        raise ValueError(f"the target {name!r} holds dates, expected classes or numbers")
    if kind == "levels":
        return "classification"
    values = np.unique(_columns.read_numbers(column, name))
    return "classification" if len(values) <= MAX_CLASSES and (values == np.trunc(values)).all() else "regression"


def _by_value(labels: Iterable[str]) -> Callable[[str], Any]:
    try:
        _ = [float(label) for label in labels]
    except ValueError:
        return str
    return lambda label: (float(label), label)
