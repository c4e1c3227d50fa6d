"""Converts the target column to class numbers or standardized values, and a network's outputs back."""

import dataclasses
import re
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray


@dataclasses.dataclass(frozen=True)
class Standardizer:
    """Scales the values of each target to mean 0 and standard deviation 1, and back.

    Parameters
    ----------
    mean, std : array or float
        Mean and standard deviation of each target.

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
    def fit(cls, values: ArrayLike, weight: NDArray[Any] | None = None) -> "Standardizer":
        """Learn from values (m,) or (m, targets), which may be masked, and weights (m,).

        Raise ValueError if they are too large.
        """
        numbers = np.asanyarray(values, dtype=np.float64)
        average = np.ma.average if isinstance(numbers, np.ma.MaskedArray) else np.average
        with np.errstate(over="ignore", invalid="ignore"):
            if weight is None:
                mean, std = numbers.mean(axis=0), numbers.std(axis=0)
            else:
                mean = average(numbers, axis=0, weights=weight)
                std = np.sqrt(average((numbers - mean) ** 2, axis=0, weights=weight))
        mean, std = np.asarray(mean)[()], np.asarray(std)[()]
        if not np.isfinite(std).all():
            raise ValueError("the target holds numbers that are too large")
        return cls(mean, np.where(std == 0, 1.0, std))

    def apply(self, values: ArrayLike) -> NDArray[np.float64]:
        """Return standardized values, for the network."""
        standard: NDArray[np.float64] = (np.asanyarray(values, dtype=np.float64) - self.mean) / self.std
        return standard

    def restore(self, outputs: ArrayLike) -> NDArray[np.float64]:
        """Return standardized predictions in the original unit."""
        restored: NDArray[np.float64] = np.asanyarray(outputs, dtype=np.float64) * self.std + self.mean
        return restored


@dataclasses.dataclass(frozen=True)
class Target:
    """The target that is predicted.

    Attributes
    ----------
    name : str
        The name of the column; empty if it has none.
    classes : ndarray or None
        The classes in the order of their numbers; None for values.
    y_type : str
        "binary", "multiclass" or "multilabel-indicator"; empty for values.
    sparse : bool
        Whether several labels per row were given as a sparse matrix.
    standardizer : Standardizer or None
        Scales predictions to the unit of the target; None if they already are in that unit.
    bounds : ndarray, shape (2,) or (2, targets), or None
        The smallest and the largest value that may be predicted, in the unit of the target; None: no limits.
    """

    name: str
    classes: NDArray[Any] | None = None
    y_type: str = ""
    sparse: bool = False
    standardizer: Standardizer | None = None
    bounds: NDArray[Any] | None = None

    @property
    def labels(self) -> list[str]:
        """The classes as strings; empty for values."""
        return [] if self.classes is None else [str(label) for label in self.classes.tolist()]

    @property
    def multilabel(self) -> bool:
        """Whether each row has several labels, each 0 or 1."""
        return self.y_type.startswith("multilabel")

    def encode(self, y: Any) -> NDArray[Any]:
        """Convert labels or values to the targets of the network.

        The result holds class numbers, (m,); 0 and 1, (m, labels), if there are several labels per row, which may be
        given as a sparse matrix; or values.
        """
        if self.classes is None:
            return y if self.standardizer is None else self.standardizer.apply(y)
        if self.multilabel:
            return np.asarray(np.asarray(y.toarray() if hasattr(y, "toarray") else y) != 0, np.int32)
        order = np.argsort(self.classes)  # pre-release files have text classes in another order
        return np.asarray(order[np.searchsorted(self.classes, y, sorter=order)], np.int32)

    def decode(self, outputs: NDArray[Any]) -> NDArray[Any]:
        """Convert outputs of the network, (m, n_outputs), to labels or values, (m,) or (m, several)."""
        if self.classes is None:
            values = outputs[:, 0] if outputs.shape[1] == 1 else outputs
            values = values if self.standardizer is None else self.standardizer.restore(values)
            return values if self.bounds is None else np.clip(values, *self.bounds)
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
        """Return the state, ready for JSON."""
        return {
            "name": self.name,
            "classes": None if self.classes is None else array_to_dict(self.classes),
            "y_type": self.y_type,
            "sparse": self.sparse,
            "mean": None if self.standardizer is None else np.asarray(self.standardizer.mean).tolist(),
            "std": None if self.standardizer is None else np.asarray(self.standardizer.std).tolist(),
            **({} if self.bounds is None else {"bounds": self.bounds.tolist()}),
        }

    @classmethod
    def from_dict(cls, state: Any) -> "Target":
        """Return the target from a state that `to_dict` returned; raise ValueError if it is not one."""
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
                bounds = None if "bounds" not in state else _read_bounds(state["bounds"])
                return cls(name, found, y_type, sparse, scaling, bounds)
        raise ValueError(f"its target is {state!r:.200}")


def array_to_dict(array: NDArray[Any]) -> dict[str, Any]:
    """Return the state of an array of numbers, strings, booleans, or objects of these types, ready for JSON."""
    if array.dtype.kind not in "biufUO":
        raise TypeError(f"an array of {array.dtype} cannot be stored in a model file: only numbers and text can")
    values = array.tolist()
    if array.dtype.kind == "O":
        values = [value.item() if isinstance(value, np.generic) else value for value in array.ravel().tolist()]
        if wrong := [value for value in values if not isinstance(value, (bool, int, float, str, type(None)))]:
            raise TypeError(f"{wrong[0]!r:.100} cannot be stored in a model file: only numbers and text can")
        values = values if array.ndim == 1 else np.array(values, dtype=object).reshape(array.shape).tolist()
    return {"dtype": array.dtype.str.lstrip("<>=|"), "values": values}


def array_from_dict(state: Any) -> NDArray[Any]:
    """Return the array from a state that `array_to_dict` returned."""
    match state:
        case {"dtype": str(dtype), "values": list(values)} if re.fullmatch(r"b1|[iuf]\d{1,2}|U\d{1,4}|O", dtype):
            return np.array(values, dtype=dtype)
    raise ValueError(f"expected an array, got {state!r:.100}")


def _read_bounds(bounds: Any) -> NDArray[np.float64]:
    values = np.asarray(bounds, dtype=np.float64)
    if len(values) != 2 or values.ndim > 2 or not (np.isfinite(values).all() and (values[0] <= values[1]).all()):
        raise ValueError(f"its target has the bounds {bounds!r:.100}")
    return values


def read_standardizer(mean: Any, std: Any) -> Standardizer:
    """Return the standardizer for a mean and standard deviation, numbers or lists; raise ValueError for others."""
    values = [np.asarray(value, dtype=np.float64) for value in (mean, std)]
    if values[0].shape != values[1].shape or values[0].ndim > 1:
        raise ValueError("mean and std of its target have different shapes")
    if not (np.isfinite(values).all() and (values[1] > 0).all()):
        raise ValueError(
            f"its target has mean {mean!r:.100} and std {std!r:.100}, expected finite numbers, std above 0"
        )
    return Standardizer(*(value if value.ndim else value[()] for value in values))
