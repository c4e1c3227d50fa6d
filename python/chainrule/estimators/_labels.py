"""Converts class labels to arrays of one type and to targets, and computes class weights."""

from collections.abc import Mapping
from numbers import Real
from typing import Any

import numpy as np
from numpy.typing import NDArray

from chainrule._frames import is_missing
from chainrule._objects import refuse_dask
from chainrule._suggest import did_you_mean, listed
from chainrule.estimators import _sklearn
from chainrule.target import Target

_KINDS: list[tuple[tuple[type, ...], str]] = [
    ((str,), "text"),
    ((bool, np.bool_), "a boolean"),
    ((int, np.integer), "an integer"),
    ((float, np.floating), "a float"),
]


def as_labels(y: Any, name: str) -> Any:
    """Return labels as an array of one type: booleans, integers, floats or text.

    Arrays of objects and columns with an object type hold labels of any Python type. If all labels are of one kind,
    they become the array that NumPy would make of them. Sparse matrices and arrays of other types are returned
    unchanged.

    Parameters
    ----------
    y : array_like or sparse matrix
        The labels.
    name : str
        The name to use in messages.

    Raises
    ------
    TypeError
        For a Dask collection.
    ValueError
        For a missing label and for labels of several kinds; the message names the row, counted from 0.
    """
    refuse_dask(name, y)
    if y is None or np.isscalar(y) or hasattr(y, "toarray"):
        return y
    listed = isinstance(y, (list, tuple))
    array = np.array(y, dtype=object) if listed else np.asarray(y)  # NumPy would convert a NaN among text to text
    if array.dtype.kind not in "Of" or (array.dtype.kind == "f" and not np.isnan(array).any()):
        return array  # not y, because scikit-learn would convert nullable integers to floats, which are not exact
    values = array.ravel().tolist()
    width = max(array.size // max(len(array), 1), 1)
    kinds: dict[str, int] = {}  # each kind and the position of its first label
    for place, value in enumerate(values):
        if is_missing(value):
            raise ValueError(
                f"{name} has a missing label in row {place // width}: {value!r}. Leave such rows out, or give them a "
                "separate class"
            )
        kinds.setdefault(_kind(value), place)
    if len(kinds) > 1 and kinds.keys() != {"an integer", "a float"}:
        (first, i), (second, j), *_ = kinds.items()
        raise ValueError(
            f"{name} has labels of several kinds: {values[i]!r} ({first}) in row {i // width}, "
            f"{values[j]!r} ({second}) in row {j // width}. Make them all of one kind, such as text"
        )
    if "another type" in kinds or ("text" in kinds and not listed):
        return y
    return np.array(values).reshape(array.shape)


def _kind(label: object) -> str:
    """Return the kind of a label, in words."""
    for types, words in _KINDS:
        if isinstance(label, types):
            return words
    return "another type"


class Labels(Target):
    """A target of classes, learned from labels."""

    classes: NDArray[Any]

    @classmethod
    def learn(cls, y: Any) -> "Labels":
        """Learn the classes, in ascending order. For several labels per row, these are the numbers of the columns."""
        y_type = str(_sklearn.multiclass.type_of_target(y, input_name="y"))
        if y_type == "multiclass-multioutput":
            raise ValueError(
                f"y has {np.shape(y)[1]} columns of classes, expected one, or columns of 0 and 1: for several targets "
                "use sklearn.multioutput.MultiOutputClassifier, which fits an estimator to each, or ClassifierChain"
            )
        if y_type not in ("binary", "multiclass", "multilabel-indicator"):
            _sklearn.multiclass.check_classification_targets(y)  # raises an error with the reason
        if y_type == "multilabel-indicator":
            return cls("", np.arange(y.shape[1]), y_type, sparse=hasattr(y, "toarray"))
        classes = np.unique(y)
        return cls("", classes, "binary" if len(classes) == 1 else y_type)

    def __setstate__(self, state: dict[str, Any]) -> None:
        if "y_type_" in state:  # a pickle of a development version before the first release
            state = vars(Labels("", state["classes_"], state["y_type_"], state["sparse"]))
        vars(self).update(state)

    def found_in(self, y: Any) -> NDArray[Any]:
        """Return the classes that occur in labels, which must be of the same kind."""
        multilabel = _sklearn.multiclass.type_of_target(y).startswith("multilabel")
        if multilabel != self.multilabel:
            raise ValueError(f"The object was {'' if self.multilabel else 'not '}fitted with multilabel input.")
        return np.arange(y.shape[1]) if multilabel else np.unique(y)

    def weights(self, by_class: Any, y: NDArray[Any]) -> NDArray[Any]:
        """Return the weights of rows by class; classes that are not named weigh 1. y is the result of `encode`."""
        balanced = isinstance(by_class, str) and by_class == "balanced"
        if balanced or (self.multilabel and isinstance(by_class, Mapping)):
            labels = y if self.multilabel else self.classes[y]
            return np.asarray(_sklearn.class_weights.compute_sample_weight(by_class, labels))
        if self.multilabel and isinstance(by_class, (list, tuple)):
            if len(by_class) != y.shape[1]:
                raise ValueError(f"class_weight has {len(by_class)} entries, y has {y.shape[1]} columns of labels")
            columns = [weights_of(weights, np.arange(2))[y[:, label]] for label, weights in enumerate(by_class)]
            return np.asarray(np.prod(columns, axis=0))
        return np.asarray(weights_of(by_class, self.classes)[y])


def weights_of(by_class: Any, classes: NDArray[Any]) -> NDArray[Any]:
    """Return the weights of the classes. A dict may omit classes with weight 1.

    A dict may name classes that do not occur, for example in a fold of a cross-validation. It is an error if it also
    omits a class that occurs, because the two are probably the same class in different spellings.
    """
    if not isinstance(by_class, Mapping):
        hint = did_you_mean(by_class, ["balanced"])
        raise ValueError(
            f"class_weight must be a dict from class to weight, 'balanced' or None, got {by_class!r}{hint}"
        )
    known = classes.tolist()
    unknown = [name for name in by_class if name not in known]
    if unknown and any(name not in by_class for name in known):
        hint = did_you_mean(unknown[0], [name for name in known if isinstance(name, str)])
        raise ValueError(
            f"class_weight names [{listed(list(map(repr, unknown)))}], the classes are "
            f"[{listed(list(map(repr, known)))}]{hint}"
        )
    for name, weight in by_class.items():
        if not (isinstance(weight, Real) and 0 <= float(weight) < np.inf):
            raise ValueError(f"class_weight of {name!r} is {weight!r}, expected a finite number of at least 0")
    return np.array([float(by_class.get(name, 1.0)) for name in known])
