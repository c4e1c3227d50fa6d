"""The rows of a training: which have a target, how they are split, their weights."""

import dataclasses
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from chainrule._frames import as_column
from chainrule.cli._console import warn
from chainrule.cli._target import known_texts, labels_of
from chainrule.target import TargetEncoder

if TYPE_CHECKING:
    import pandas as pd

RowNumbers: TypeAlias = NDArray[np.intp]

VALIDATION_SIZE = 0.1  # of the training rows


@dataclasses.dataclass(frozen=True)
class Part:
    """Rows of a table: features, target as the estimator takes it, weights."""

    X: "pd.DataFrame"
    y: NDArray[Any]
    weight: NDArray[np.float64] | None

    def __len__(self) -> int:
        return len(self.y)

    def take(self, rows: RowNumbers) -> "Part":
        """Return some of the rows."""
        return Part(self.X.iloc[rows], self.y[rows], None if self.weight is None else self.weight[rows])

    def divide_weights(self, divisor: float) -> "Part":
        """Return the same with smaller weights."""
        return dataclasses.replace(self, weight=None if self.weight is None else self.weight / divisor)

    def as_tuple(self) -> tuple[Any, ...]:
        """Return (X, y) or (X, y, weight), as an estimator takes validation data."""
        return (self.X, self.y) if self.weight is None else (self.X, self.y, self.weight)


def with_target(
    table: "pd.DataFrame", name: str, verbatim: bool, say: Callable[[str, str], None], of: str = ""
) -> "pd.DataFrame":
    """Return the rows whose target is known; report how many are left out, and `of` which table."""
    target, markers = (table[name], "") if verbatim else known_texts(table[name])
    known = target.notna()
    if not known.all():
        say("", f"{int((~known).sum())} rows{of} left out: no target{markers}")
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
    """Return a table's rows; without the columns to leave out, the target and the weight among the features."""
    others = {target.name, *leave_out, *([] if weight is None else [weight])}
    features = table.drop(columns=[name for name in others if name in table.columns])
    features = features.astype({name: "category" for name in categorical if name in features})
    weights = None if weight is None else _read_weights(table[weight])
    return Part(features, labels_of(table[target.name], target), weights)


def _read_weights(values: "pd.Series") -> NDArray[np.float64]:
    column = as_column(values)
    weights = column.numbers()
    column.refuse(~(weights >= 0), "a weight, which is not negative")
    if not weights.any():
        raise ValueError(f"the weights in column {column.name!r} are all 0")
    return weights


def known_classes(table: "pd.DataFrame", target: TargetEncoder, path: str) -> "pd.DataFrame":
    """Return the rows of a test table whose class the training has too; warn of others."""
    if target.task == "regression":
        return table
    codes, names = as_column(table[target.name]).levels()
    others = [name for name in names if name not in target.labels]
    if not others:
        return table
    known = ~np.isin(codes, [names.index(name) for name in others])
    warn(
        f"{int((~known).sum())} rows of {path} are left out of the scores: their class, such as {others[0]!r}, is not "
        "in the training's table"
    )
    return table[known]


def split_rows(
    target: NDArray[Any], classes: bool, test_size: float | None, seed: int
) -> tuple[RowNumbers, RowNumbers, RowNumbers]:
    """Return the numbers of the rows to train with, to hold out and to test with, of which None means none."""
    numbers = np.unique(target, return_inverse=True)[1] if classes else np.zeros(len(target), dtype=np.intp)
    rng = np.random.default_rng(seed)
    rest, test = np.arange(len(target)), np.arange(0)
    if test_size is not None:
        rest, test = split(numbers, test_size, rng)
    train, validation = split(numbers[rest], VALIDATION_SIZE, rng)
    return rest[train], rest[validation], test


def split(classes: RowNumbers, fraction: float, rng: np.random.Generator) -> tuple[RowNumbers, RowNumbers]:
    """Return the row numbers of two parts, the second of about `fraction`, each class split alike; neither is empty.

    The rows are ordered by class and at random within it; where the running total of `fraction` passes a whole number,
    the row goes to the second part. The first row of a class never does: the first part has a row of each.
    """
    order = np.lexsort((rng.random(len(classes)), classes))
    free = np.flatnonzero(np.diff(classes[order], prepend=-1) == 0)
    if not free.size:
        raise ValueError(f"too few rows to split: {len(classes)}")
    chosen = free[np.diff(np.floor(np.arange(free.size + 1) * fraction + 0.5)) > 0]
    second = order[chosen if chosen.size else free[-1:]]
    return rng.permutation(np.setdiff1d(order, second)), rng.permutation(second)
