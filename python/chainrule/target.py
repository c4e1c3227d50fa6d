"""The column to predict: classes as numbers, values brought to mean 0 and standard deviation 1."""

import dataclasses
import reprlib
import sys
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from chainrule import _columns
from chainrule._formats import NumberFormat, check_state
from chainrule._frames import Column, as_column
from chainrule._suggest import did_you_mean, listed

MAX_CLASSES = 10  # whole numbers of more different values are amounts


@dataclasses.dataclass(frozen=True)
class Standardizer:
    """Brings values to mean 0 and standard deviation 1, those of several targets each for itself, and back.

    Parameters
    ----------
    mean, std : array or float
        Of each target.

    Examples
    --------
    >>> import numpy as np
    >>> from chainrule.target import Standardizer
    >>> standardizer = Standardizer.fit(np.array([10.0, 20.0, 30.0]))
    >>> standardizer.restore(standardizer.apply(np.array([20.0, 40.0])))
    array([20., 40.])
    """

    mean: Any
    std: Any

    @classmethod
    def fit(cls, values: ArrayLike) -> "Standardizer":
        """Learn from values (m,) or (m, targets); ValueError where they are too large."""
        numbers = np.asarray(values, dtype=np.float64)
        with np.errstate(over="ignore", invalid="ignore"):
            mean, std = numbers.mean(axis=0), numbers.std(axis=0)
        if not np.isfinite(std).all():
            raise ValueError("the target holds numbers that are too large")
        return cls(mean, np.where(std == 0, 1.0, std))

    def apply(self, values: ArrayLike) -> NDArray[np.float64]:
        """Return values in the new unit, for the network."""
        standard: NDArray[np.float64] = (np.asarray(values, dtype=np.float64) - self.mean) / self.std
        return standard

    def restore(self, outputs: ArrayLike) -> NDArray[np.float64]:
        """Return what the network predicts in the old unit."""
        restored: NDArray[np.float64] = np.asarray(outputs, dtype=np.float64) * self.std + self.mean
        return restored


class TargetEncoder:
    """Encodes the column to predict: class numbers, or values, which a network predicts in a unit of its own.

    Parameters
    ----------
    task : {"classification", "regression"}, optional
        Default: by the column. Text, truth values and categories are classes; so are whole numbers of at most 10
        different values; all other numbers are values.

    Attributes
    ----------
    name : str
        The column's name.
    labels : list of str
        The classes in the order of their numbers: by value where all are numbers, else by name. Empty for values.
    mean, std : float
        Of the values that the encoder was fitted on, the network's 0 and 1; 0 and 1 for classes.
    number_format : NumberFormat or None
        How values are read that are text, such as ``12,5``.

    Examples
    --------
    >>> import pandas as pd
    >>> from chainrule.target import TargetEncoder
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
        self.number_format: NumberFormat | None = None

    def fit(self, values: Any, name: str = "") -> "TargetEncoder":
        """Learn from a series or an array, shape (m,), without missing values; `name` stands for the series' own.

        Raises
        ------
        ValueError
            For missing values, fewer than two classes or values, text that hardly ever repeats, dates, infinite
            numbers.
        """
        column = as_column(values, name)
        name = column.name
        _refuse_missing(column)
        task = self.task or _infer_task(column)
        if task == "classification":
            codes, names = column.levels()
            counts = Counter(names[code] for code in codes.tolist())
            if len(counts) < 2:
                raise ValueError(f"the target {name!r} has {len(counts)} class, at least 2 are needed")
            if len(counts) > max(MAX_CLASSES, len(column) / 2):
                raise ValueError(f"the target {name!r} has {len(counts)} different classes in {len(column)} rows")
            self.labels, self.mean, self.std = sorted(counts, key=_by_value(counts)), 0.0, 1.0
            number_format = None
        else:
            format = column.kind_and_format()[1]
            number_format = format if isinstance(format, NumberFormat) else None
            numbers = column.numbers(number_format)
            if (numbers == numbers[0]).all():
                raise ValueError(f"the target {name!r} has one value only")
            standardizer = Standardizer.fit(numbers)
            self.labels, self.mean, self.std = [], float(standardizer.mean), float(standardizer.std)
        self.task, self.name, self.number_format = task, name, number_format
        return self

    def transform(self, values: Any) -> NDArray[Any]:
        """Return what an estimator is trained on: class numbers (m,), or values (m,).

        Raises
        ------
        ValueError
            For a missing value, a class that was not seen at fit, text where numbers were; the message names the value.
        """
        self._check_fitted()
        column = as_column(values, self.name)
        _refuse_missing(column)
        if self.task == "regression":
            return column.numbers(self.number_format)
        codes, names = column.levels()
        classes = _columns.find_codes(codes, names, self.labels, unseen=-1, missing=-1)
        if (classes < 0).any():
            unseen = min(names[code] for code in codes[classes < 0])
            hint = did_you_mean(unseen, self.labels)
            raise ValueError(f"the target {self.name!r} holds {unseen!r}, expected one of {listed(self.labels)}{hint}")
        return classes

    def decode(self, predictions: ArrayLike) -> NDArray[Any]:
        """Turn what `Network.predict` returns, (m, n_outputs), into labels (m,) of text, or values (m,) of float64."""
        self._check_fitted()
        outputs = self._outputs(predictions)
        if self.task == "regression":
            return Standardizer(self.mean, self.std).restore(outputs[:, 0])
        return np.array(self.labels, dtype=object)[self.class_numbers(outputs)]

    def class_numbers(self, predictions: ArrayLike) -> NDArray[np.intp]:
        """Return the most probable class of each row of `Network.predict`."""
        outputs = self._outputs(predictions)
        return np.asarray(outputs[:, 0] > 0.5 if self.n_outputs == 1 else outputs.argmax(axis=1), dtype=np.intp)

    def probabilities(self, predictions: ArrayLike) -> NDArray[Any]:
        """Return the probability of each class, shape (m, number of labels)."""
        outputs = self._outputs(predictions)
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
        state = {**vars(self), "labels": list(self.labels)}
        if self.number_format is None:  # older versions read the states without
            del state["number_format"]
            return {"format": 1, **state}
        return {"format": _columns.FORMAT, **state, "number_format": dataclasses.asdict(self.number_format)}

    @classmethod
    def from_dict(cls, state: Mapping[str, Any]) -> "TargetEncoder":
        """Return the encoder of a state that `to_dict` wrote; ValueError where it is not one."""
        _columns.check_format(state)
        match dict(state):
            case {"task": str(task), "name": str(name), "labels": list(labels), "mean": mean, "std": std}:
                encoder = cls(task)
                encoder.name, encoder.labels = name, labels
                if "number_format" in state:
                    encoder.number_format = NumberFormat(**check_state("number", state["number_format"]))
                is_number = all(
                    type(value) in (int, float) and abs(value) <= sys.float_info.max for value in (mean, std)
                )
                is_text = all(isinstance(label, str) for label in labels) and len(set(labels)) == len(labels)
                n_fits = len(labels) >= 2 if task == "classification" else not labels
                if name and is_number and std > 0 and is_text and n_fits:
                    encoder.mean, encoder.std = float(mean), float(std)
                    return encoder
        raise ValueError(f"not the state of a target encoder: {reprlib.repr(dict(state))}")

    def _outputs(self, predictions: ArrayLike) -> NDArray[Any]:
        outputs = np.asarray(predictions)
        if outputs.dtype.kind not in "biuf":
            raise TypeError(f"predictions has dtype {outputs.dtype}, expected real numbers")
        if outputs.ndim != 2 or outputs.shape[1] != self.n_outputs:
            raise ValueError(f"predictions has shape {outputs.shape}, expected (m, {self.n_outputs})")
        return outputs if outputs.dtype.kind == "f" else outputs.astype(np.float64)

    def _check_fitted(self) -> None:
        if not self.name:
            raise ValueError("the encoder is not fitted: call fit with the training part first")


def _refuse_missing(column: Column) -> None:
    if (missing := column.missing()).any():
        raise ValueError(f"the target {column.name!r} is missing in row {column.row_number(int(missing.argmax()))}")


def _infer_task(column: Column) -> str:
    kind, format = ("levels", None) if column.categorical else column.kind_and_format()
    if kind == "date":
        raise ValueError(f"the target {column.name!r} holds dates, expected classes or numbers")
    if kind == "levels":
        if not column.categorical and column.kind_of_type() == "text" and (found := column.examine()).ask:
            raise ValueError(
                f"the target {column.name!r} holds {found.kind}s such as {found.example!r}, which can be read in "
                "several ways: convert the column"
            )
        return "classification"
    values = np.unique(column.numbers(format if isinstance(format, NumberFormat) else None))
    return "classification" if len(values) <= MAX_CLASSES and (values == np.trunc(values)).all() else "regression"


def _by_value(labels: Iterable[str]) -> Callable[[str], Any]:
    try:
        _ = [float(label) for label in labels]
    except ValueError:
        return str
    return lambda label: (float(label), label)
