"""The column to predict: as class numbers or standardized values, and back from a network's outputs."""

import dataclasses
import re
from collections import Counter
from collections.abc import Callable, Iterable
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from chainrule import _columns
from chainrule._formats import NumberFormat
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


@dataclasses.dataclass(frozen=True)
class Target:
    """What is predicted.

    Attributes
    ----------
    name : str
        The column's name; empty where it had none.
    classes : ndarray or None
        In the order of their numbers; None for values.
    y_type : str
        "binary", "multiclass" or "multilabel-indicator"; empty for values.
    sparse : bool
        Whether several labels came as a sparse matrix.
    standardizer : Standardizer or None
        Brings what the network predicts into the unit of the target; None where that is its own.
    """

    name: str
    classes: NDArray[Any] | None = None
    y_type: str = ""
    sparse: bool = False
    standardizer: Standardizer | None = None

    @property
    def labels(self) -> list[str]:
        """The classes as texts; empty for values."""
        return [] if self.classes is None else [str(label) for label in self.classes.tolist()]

    @property
    def multilabel(self) -> bool:
        """Whether a row has several labels, each 0 or 1."""
        return self.y_type.startswith("multilabel")

    def decode(self, outputs: NDArray[Any]) -> NDArray[Any]:
        """Turn what the network predicts, (m, n_outputs), into labels or values, (m,) or (m, several)."""
        if self.classes is None:
            values = outputs[:, 0] if outputs.shape[1] == 1 else outputs
            return values if self.standardizer is None else self.standardizer.restore(values)
        if self.multilabel:
            return (outputs > 0.5).astype(np.int64)
        numbers = outputs.argmax(axis=1) if outputs.shape[1] > 1 else (outputs[:, 0] > 0.5).astype(np.intp)
        chosen: NDArray[Any] = self.classes[np.minimum(numbers, len(self.classes) - 1)]
        return chosen

    def probabilities(self, outputs: NDArray[Any]) -> NDArray[Any]:
        """Return the probability of each class, shape (m, number of labels)."""
        if self.classes is not None and len(self.classes) == 1 and not self.multilabel:
            return np.ones((len(outputs), 1), outputs.dtype)
        return np.hstack([1 - outputs, outputs]) if outputs.shape[1] == 1 and not self.multilabel else outputs

    def to_dict(self) -> dict[str, Any]:
        """Return all of it, ready for JSON."""
        return {
            "name": self.name,
            "classes": None if self.classes is None else array_to_dict(self.classes),
            "y_type": self.y_type,
            "sparse": self.sparse,
            "mean": None if self.standardizer is None else np.asarray(self.standardizer.mean).tolist(),
            "std": None if self.standardizer is None else np.asarray(self.standardizer.std).tolist(),
        }

    @classmethod
    def from_dict(cls, state: Any) -> "Target":
        """Return the target of a state that `to_dict` wrote; ValueError where it is not one."""
        match state:
            case {
                "name": str(name),
                "classes": classes,
                "y_type": "" | "binary" | "multiclass" | "multilabel-indicator" as y_type,
                "sparse": bool(sparse),
                "mean": mean,
                "std": std,
            } if (classes is None) == (y_type == "") and (mean is None) == (std is None):
                scaling = None if mean is None else read_standardizer(mean, std)
                found = None if classes is None else array_from_dict(classes)
                if found is not None and len(set(found.tolist())) != len(found):
                    raise ValueError("its target has a class twice")
                return cls(name, found, y_type, sparse, scaling)
        raise ValueError(f"its target is {state!r:.200}")


class TargetEncoder:
    """Encodes the column to predict: as class numbers, or as values.

    Parameters
    ----------
    task : {"classification", "regression"}, optional
        Default: by the column. Text, booleans and categories are classes; so are whole numbers of at most 10
        different values; all other numbers are values.

    Attributes
    ----------
    name : str
        The column's name.
    labels : list of str
        The classes in the order of their numbers: by value where all are numbers, else by name. Empty for values.
    standardizer : Standardizer or None
        Of the values that the encoder was fitted on; None for classes.
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
    >>> target.task, target.labels
    ('classification', ['no', 'yes'])
    """

    def __init__(self, task: str | None = None) -> None:
        if task not in (None, "classification", "regression"):
            raise ValueError(f"task is {task!r}, expected 'classification' or 'regression'")
        self.task = task
        self.name = ""
        self.labels: list[str] = []
        self.standardizer: Standardizer | None = None
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
            self.labels, self.standardizer, number_format = sorted(counts, key=_by_value(counts)), None, None
        else:
            format = column.kind_and_format()[1]
            number_format = format if isinstance(format, NumberFormat) else None
            numbers = column.numbers(number_format)
            if (numbers == numbers[0]).all():
                raise ValueError(f"the target {name!r} has one value only")
            self.labels, self.standardizer = [], Standardizer.fit(numbers)
        self.task, self.name, self.number_format = task, name, number_format
        return self

    def transform(self, values: Any) -> NDArray[Any]:
        """Return what an estimator is trained on: class numbers (m,), or values (m,).

        Raises
        ------
        ValueError
            For a missing value, a class that was not seen at fit, text where numbers were; the message names the value.
        """
        if not self.name:
            raise ValueError("the encoder is not fitted: call fit with the training part first")
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


def array_to_dict(array: NDArray[Any]) -> dict[str, Any]:
    """Return an array of numbers, texts, booleans, or objects that are these, ready for JSON."""
    if array.dtype.kind not in "biufUO":
        raise TypeError(f"an array of {array.dtype} cannot be stored in a model file: numbers and texts can")
    values = array.tolist()
    if array.dtype.kind == "O":
        values = [value.item() if isinstance(value, np.generic) else value for value in array.ravel().tolist()]
        if wrong := [value for value in values if not isinstance(value, (bool, int, float, str, type(None)))]:
            raise TypeError(f"{wrong[0]!r:.100} cannot be stored in a model file: numbers and texts can")
        values = values if array.ndim == 1 else np.array(values, dtype=object).reshape(array.shape).tolist()
    return {"dtype": array.dtype.str.lstrip("<>=|"), "values": values}


def array_from_dict(state: Any) -> NDArray[Any]:
    """Return the array of a state that `array_to_dict` wrote."""
    match state:
        case {"dtype": str(dtype), "values": list(values)} if re.fullmatch(r"b1|[iuf]\d{1,2}|U\d{1,4}|O", dtype):
            return np.array(values, dtype=dtype)
    raise ValueError(f"expected an array, got {state!r:.100}")


def read_standardizer(mean: Any, std: Any) -> Standardizer:
    """Return the standardizer of a mean and a standard deviation, each a number or a list; ValueError for others."""
    values = [np.asarray(value, dtype=np.float64) for value in (mean, std)]
    if values[0].shape != values[1].shape or values[0].ndim > 1:
        raise ValueError("mean and std of its target have different shapes")
    if not (np.isfinite(values).all() and (values[1] > 0).all()):
        raise ValueError(
            f"its target has mean {mean!r:.100} and std {std!r:.100}, expected finite numbers, std above 0"
        )
    return Standardizer(*(value if value.ndim else value[()] for value in values))
