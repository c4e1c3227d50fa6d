"""The column to predict: which task it is and why, which rows have a target, classes and values."""

import shlex
from collections import Counter
from collections.abc import Collection
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from chainrule._formats import is_marker
from chainrule._frames import as_column, level_name
from chainrule.cli._tables import blank
from chainrule.target import MAX_CLASSES, TargetEncoder

if TYPE_CHECKING:
    import pandas as pd

_LARGEST = 2**53  # whole numbers below are exact in float64
_ANSWERS = {"none"}  # a marker among numbers, but a class among texts: no garage, no disorder


def known_texts(target: "pd.Series", classes: Collection[str] = ()) -> tuple["pd.Series", str]:
    """Replace the markers of gaps in a target of text by None, unless they are known classes.

    Return what was done as the end of a sentence, or nothing.

    Where no class is known and fewer than two other texts are left, the markers are classes.
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
    """Return why a target is treated as classes or as a number, and the option that changes it."""
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


def labels_of(target: "pd.Series", encoder: TargetEncoder) -> NDArray[Any]:
    """Return what an estimator learns: values; or labels, as numbers or booleans if they are, else text."""
    encoded = encoder.transform(target)
    if encoder.task == "regression":
        return encoded
    labels = np.array(encoder.labels)
    if target.dtype == bool:
        labels = labels == "True"
    elif as_column(target).values.dtype.kind in "iuf":
        numbers = labels.astype(np.float64)
        if (numbers == np.trunc(numbers)).all() and np.abs(numbers).max() < _LARGEST:
            labels = numbers.astype(np.int64)
    return np.asarray(labels[encoded])


def label_names(classes: NDArray[Any]) -> list[str]:
    """Return the labels of an estimator as text.

    Examples
    --------
    >>> import numpy as np
    >>> from chainrule.cli._target import label_names
    >>> label_names(np.array([1, 2])), label_names(np.array([False, True])), label_names(np.array(["a"]))
    (['1', '2'], ['False', 'True'], ['a'])
    """
    return [level_name(label) for label in classes.tolist()]
