"""Selects the rows and columns for training: target, training, validation and test parts, weights, identifiers."""

import dataclasses
import re
import shlex
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from chainrule._columns import find_codes
from chainrule._formats import NumberFormat, is_marker
from chainrule._frames import EXACT, Column, as_column
from chainrule._suggest import did_you_mean, listed
from chainrule.cli._console import warn
from chainrule.cli._tables import UNNAMED, blank
from chainrule.target import Standardizer

if TYPE_CHECKING:
    import pandas as pd

RowNumbers: TypeAlias = NDArray[np.intp]

VALIDATION_SIZE = 0.1  # of the training rows
MAX_CLASSES = 10  # whole numbers with more distinct values than this are predicted as numbers
# "none" means missing in a numeric column, but in a text column it may be a real answer, such as "no garage".
_ANSWERS = {"none"}


class TargetEncoder:
    """Reads the column to predict: as classes or as values.

    Parameters
    ----------
    task : {"classification", "regression"}, optional
        Default: inferred from the column. Text, booleans and categories are classes, and so are whole numbers with at
        most 10 distinct values. All other numbers are values.

    Attributes
    ----------
    name : str
        The column's name.
    labels : list of str
        The classes as text, sorted by value if all are numbers, otherwise by name. Empty for values.
    classes : ndarray
        The classes in the form for an estimator: whole numbers or booleans if the column has these, otherwise text.
    standardizer : Standardizer or None
        Standardizes values, as learned in `fit`; None for classes.
    number_format : NumberFormat or None
        The format of values that are text, such as ``12,5``.

    Examples
    --------
    >>> import pandas as pd
    >>> from chainrule.cli._rows import TargetEncoder
    >>> column = pd.Series(["yes", "no", "yes"], name="answer")
    >>> target = TargetEncoder().fit(column)
    >>> target.transform(column).tolist(), target.task, target.labels
    (['yes', 'no', 'yes'], 'classification', ['no', 'yes'])
    """

    def __init__(self, task: str | None = None) -> None:
        if task not in (None, "classification", "regression"):
            raise ValueError(f"task is {task!r}, expected 'classification' or 'regression'")
        self.task = task
        self.name = ""
        self.labels: list[str] = []
        self.classes: NDArray[Any] = np.empty(0)
        self.standardizer: Standardizer | None = None
        self.number_format: NumberFormat | None = None

    def fit(self, values: Any, name: str = "") -> "TargetEncoder":
        """Learn from a series or an array, shape (m,), without missing values; `name` replaces that of the series.

        Raises
        ------
        ValueError
            For missing values, fewer than two classes or values, text with more than 10 different values, more than
            half as many as there are rows, dates, and infinite numbers.
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
            self.classes = _typed(self.labels, column)
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
        """Return the targets for an estimator: classes or values, (m,).

        Raises
        ------
        ValueError
            For a missing value, a class that was not seen during fit, or text instead of numbers; the message names the
            value.
        """
        if not self.name:
            raise ValueError("the encoder is not fitted: call fit with the training part first")
        column = as_column(values, self.name)
        _refuse_missing(column)
        if self.task == "regression":
            return column.numbers(self.number_format)
        numbers, unseen = class_numbers(column, self.labels)
        if unseen is not None:
            hint = did_you_mean(unseen, self.labels)
            raise ValueError(f"the target {self.name!r} holds {unseen!r}, expected one of {listed(self.labels)}{hint}")
        classes: NDArray[Any] = self.classes[numbers]
        return classes


def class_numbers(column: Column, labels: Sequence[str]) -> tuple[NDArray[np.intp], str | None]:
    """Return each row's class number, -1 for an unknown class and -2 if missing, and the first unknown class."""
    codes, names = column.levels()
    numbers = find_codes(codes, names, labels, unseen=-1, missing=-2)
    return numbers, next((names[code] for code in codes[numbers == -1]), None)


def _typed(labels: list[str], column: Column) -> NDArray[Any]:
    """Return labels as booleans or whole numbers if that is the type of the column, otherwise as text."""
    array = np.array(labels)
    if column.kinds_of_types() == {"boolean"}:
        return np.asarray(array == "True")
    if column.values.dtype.kind in "iuf":
        numbers = array.astype(np.float64)
        if (numbers == np.trunc(numbers)).all() and np.abs(numbers).max() < EXACT:
            return numbers.astype(np.int64)
    return array


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


def known_texts(target: "pd.Series", classes: Collection[str] = ()) -> tuple["pd.Series", str]:
    """Replace the markers of missing values in a target of text with None, unless they are known classes.

    Return a description of the change, to end a sentence, or an empty string.

    If no class is known and fewer than two other texts are left, the markers are classes.
    """
    blanked = blank(target, lambda text: _is_gap(text) and text not in classes)
    marked = blanked.isna() & target.notna()
    if not marked.any() or (not classes and blanked.nunique() < 2):
        return target, ""
    counts = ", ".join(f"{value!r} {count}" for value, count in Counter(target[marked]).most_common(5))
    keep = f"--categorical {shlex.quote(str(target.name))} makes a class of each"
    return blanked, f" or one that means missing ({counts}; {keep})"


def _is_gap(text: str) -> bool:
    return is_marker(text) and text.strip().lower() not in _ANSWERS


def explain_task(target: "pd.Series", task: str) -> str:
    """Return the reason why a target is treated as classes or as a number, and the option that changes it."""
    column = as_column(target)
    if column.categorical or column.kind() != "number":
        return f"classes, because it holds {'booleans' if target.dtype == bool else 'text'}"
    values = column.numbers()
    distinct = len(np.unique(values))
    if task == "classification":
        return (
            f"classes, because it holds {distinct} different whole numbers, at most {MAX_CLASSES}; "
            "--task regression predicts a number"
        )
    if (values != np.trunc(values)).any():
        return "a number, because it holds fractions; --task classification predicts classes"
    return (
        f"a number, because it holds {distinct:,} different whole numbers, more than {MAX_CLASSES}; "
        "--task classification predicts classes"
    )


@dataclasses.dataclass(frozen=True)
class Part:
    """Rows of a table: features, targets in the form for the estimator, and weights."""

    X: "pd.DataFrame"
    y: NDArray[Any]
    weight: NDArray[np.float64] | None

    def __len__(self) -> int:
        return len(self.y)

    def take(self, rows: RowNumbers) -> "Part":
        """Return some of the rows."""
        return Part(self.X.iloc[rows], self.y[rows], None if self.weight is None else self.weight[rows])

    def divide_weights(self, divisor: float) -> "Part":
        """Return a copy with smaller weights."""
        return dataclasses.replace(self, weight=None if self.weight is None else self.weight / divisor)

    def as_tuple(self) -> tuple[Any, ...]:
        """Return (X, y) or (X, y, weight), the form of validation data for an estimator."""
        return (self.X, self.y) if self.weight is None else (self.X, self.y, self.weight)


def with_target(
    table: "pd.DataFrame", name: str, verbatim: bool, say: Callable[[str, str], None], origin: str = ""
) -> "pd.DataFrame":
    """Return the rows whose target is known, and report how many are left out; `origin` follows the word "rows"."""
    target, markers = (table[name], "") if verbatim else known_texts(table[name])
    known = target.notna()
    if not known.all():
        say("", f"{int((~known).sum())} rows{origin} left out: no target{markers}")
    table = table[known].copy()
    table[name] = target[known].infer_objects()
    return table


def make_part(
    table: "pd.DataFrame",
    target: TargetEncoder,
    leave_out: Sequence[str],
    categorical: Sequence[str],
    weight: str | None,
) -> Part:
    """Return the rows of a table. The features do not include the target, the weight and the columns to leave out."""
    others = {target.name, *leave_out, *([] if weight is None else [weight])}
    features = table.drop(columns=[name for name in others if name in table.columns])
    features = features.astype({name: "category" for name in categorical if name in features})
    weights = None if weight is None else _read_weights(table[weight])
    return Part(features, target.transform(table[target.name]), weights)


def _read_weights(values: "pd.Series") -> NDArray[np.float64]:
    column = as_column(values)
    weights = column.numbers()
    column.refuse(~(weights >= 0), "a weight of 0 or more")
    if not weights.any():
        raise ValueError(f"the weights in column {column.name!r} are all 0")
    return weights


def known_classes(table: "pd.DataFrame", target: TargetEncoder, path: str) -> "pd.DataFrame":
    """Return the rows of a test table whose class occurs in training, and warn about the others."""
    if target.task == "regression":
        return table
    numbers, unseen = class_numbers(as_column(table[target.name]), target.labels)
    if unseen is None:
        return table
    known = numbers != -1
    warn(
        f"{int((~known).sum())} rows of {path} are left out of the scores: their class, such as {unseen!r}, is not "
        "in the training table"
    )
    return table[known]


def split_rows(
    target: NDArray[Any], classes: bool, test_size: float | None, seed: int
) -> tuple[RowNumbers, RowNumbers, RowNumbers]:
    """Return the row numbers of the training, held-out and test rows; with test_size=None there are no test rows."""
    numbers = np.unique(target, return_inverse=True)[1] if classes else np.zeros(len(target), dtype=np.intp)
    rng = np.random.default_rng(seed)
    rest, test = np.arange(len(target)), np.arange(0)
    if test_size is not None:
        rest, test = split(numbers, test_size, rng)
    train, validation = split(numbers[rest], VALIDATION_SIZE, rng)
    return rest[train], rest[validation], test


def split(classes: RowNumbers, fraction: float, rng: np.random.Generator) -> tuple[RowNumbers, RowNumbers]:
    """Return the row numbers of two parts, stratified by class, the second of about `fraction`; neither is empty.

    The rows are ordered by class, and at random within a class. Whenever the running total of `fraction` passes a whole
    number, the row goes to the second part. The first row of a class never does, so the first part has each class.
    """
    order = np.lexsort((rng.random(len(classes)), classes))
    free = np.flatnonzero(np.diff(classes[order], prepend=-1) == 0)
    if not free.size:
        raise ValueError(f"too few rows to split: {len(classes)}")
    chosen = free[np.diff(np.floor(np.arange(free.size + 1) * fraction + 0.5)) > 0]
    second = order[chosen if chosen.size else free[-1:]]
    return rng.permutation(np.setdiff1d(order, second)), rng.permutation(second)


# Columns that seem to identify the rows. With these, a model would memorize the order of the table, or single rows.

_MIN_ROWS = 10
_NEARLY = 0.9  # fraction of distinct values
_COLLISIONS = 10  # if random whole numbers have this many expected collisions, P(no collision) is e^-10
_IN_ORDER = 30  # at least this many rows, so that the steps of an experiment do not count as an index
_ID = re.compile(
    rf"(?i:(^|[\W_])(ids?|index|idx|key|uuid|guid|nr|no|number|num|row|rownames?|record|serial)([\W_]?\d+)?$)"
    rf"|[a-z](Id|ID|Key|No|Nr)$|^{re.escape(UNNAMED)}\d+$"
)
_TIME = re.compile(r"year|month|week|day|date|hour|minute|second|time|period|quarter|age", re.IGNORECASE)


def find_suspects(table: "pd.DataFrame", names: Sequence[str]) -> Iterator[str]:
    """Yield a sentence for each feature column that seems to be an index or an identifier."""
    for name in names if len(names) > 1 else ():
        if (reason := _suspicion(str(name), table[name])) is not None:
            yield f"column {name!r} {reason}: leave it out with --ignore {shlex.quote(str(name))}"


def _suspicion(name: str, values: "pd.Series") -> str | None:
    column = as_column(values)
    missing = column.missing()
    present = len(column) - int(missing.sum())
    if present < _MIN_ROWS:
        return None
    kind = "levels" if column.categorical else column.kind()
    if kind == "number":
        return _suspect_numbers(name, column.numbers()[~missing])
    if kind != "levels" or column.values.dtype.kind == "b":
        return None
    distinct = len(column.levels()[1])
    if distinct >= _NEARLY * present:
        return f"has {distinct:,} different texts in {present:,} rows, as names and identifiers do"
    return None


def _suspect_numbers(name: str, values: NDArray[np.float64]) -> str | None:
    if (values != np.trunc(values)).any():
        return None
    count = len(values)
    low, high = float(values.min()), float(values.max())
    distinct = len(np.unique(values))
    if distinct < count:
        nearly = distinct >= _NEARLY * count and _ID.search(name)
        return f"has {distinct:,} different whole numbers in {count:,} rows, as identifiers do" if nearly else None
    if high - low == count - 1 and low in (0, 1):
        return f"numbers the rows from {low:.0f} to {high:.0f}, as an index does"
    in_order = count >= _IN_ORDER and bool((np.diff(values) > 0).all() or (np.diff(values) < 0).all())
    crowded = count * (count - 1) / (2 * (high - low + 1)) >= _COLLISIONS
    if _ID.search(name) or ((in_order or crowded) and not _TIME.search(name)):
        return f"has a different whole number in each of {count:,} rows, as identifiers do"
    return None
