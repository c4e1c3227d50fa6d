"""What a model file holds of an estimator, and how that predicts: NumPy is all it takes, scikit-learn is not imported.

The file is that of a network (`files`); the entry `chainrule.estimator` of its metadata holds the rest as JSON:

===================  =====================================================================================
format               1
kind                 "MLPClassifier" or "MLPRegressor"
parameters           the constructor's, as `estimators._files` writes them
features, encoder    the state and the parameters of the `TableEncoder`, None for an estimator of plain numbers
target               name, y_type and sparse (of classes, as `Labels` has them), classes, mean, std (of values)
n_features_in,       as scikit-learn has them
feature_names_in
record               how the training went: `estimators._files.RECORD`
===================  =====================================================================================

The command `chainrule train` writes its model by `estimators._files.save` and keeps what it needs of its own, such as
how the table was read, in other entries; `predict` and `info` read the file by `read_model`:

>>> model = read_model("houses.safetensors")                 # doctest: +SKIP
>>> model.metadata["reading"]                                # the command's own  # doctest: +SKIP
>>> outputs = model.outputs(table, n_threads=2)              # doctest: +SKIP
>>> model.target.decode(outputs)                             # labels, or values  # doctest: +SKIP
>>> model.target.probabilities(outputs), model.target.labels  # of a classifier  # doctest: +SKIP

Files that `chainrule train` of version 0.1.0 wrote, with an entry `table`, are read as if they were of now; of these
`metadata["reading"]` is ``{"missing": [...]}`` as JSON.
"""

import dataclasses
import errno
import os
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from chainrule import _core, _json
from chainrule._disk import StrPath
from chainrule.network import Network
from chainrule.table import TableEncoding
from chainrule.target import Standardizer, TargetEncoder

FORMAT = 1
KEY = "chainrule.estimator"
KINDS = ("MLPClassifier", "MLPRegressor")
READING = "reading"  # the command's entry
_OLD_KEY = "table"  # the command's entry in version 0.1.0


# What other files begin with, and what to do with one of those.
_OTHERS = {
    b"chainrule checkpoint\n": "it is a checkpoint: read it with chainrule.load_checkpoint",
    b"\x80": "it seems to be a pickle: read it with pickle.load, if you trust its source",
    b"PK\x03\x04": "it is a zip archive, such as PyTorch and NumPy write: read it with what wrote it",
    b"PAR1": "it is a Parquet table: `chainrule train` makes a model of a table",
    b"\x1f\x8b": "it is compressed by gzip: unpack it first",
}


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
                scaling = None if mean is None else _standardizer(mean, std)
                found = None if classes is None else array_from_dict(classes)
                if found is not None and len(set(found.tolist())) != len(found):
                    raise ValueError("its target has a class twice")
                return cls(name, found, y_type, sparse, scaling)
        raise ValueError(f"its target is {state!r:.200}")


@dataclasses.dataclass(frozen=True)
class Model:
    """An estimator as it predicts.

    Attributes
    ----------
    kind : str
        "MLPClassifier" or "MLPRegressor".
    network : Network
        The network.
    encoder : TableEncoding or None
        Turns a table into the network's inputs; None for an estimator of plain numbers.
    target : Target
        What is predicted.
    metadata : dict of str to str
        What was stored beside it.
    state : dict
        The whole entry, checked as far as the attributes above need it.
    """

    kind: str
    network: Network
    encoder: TableEncoding | None
    target: Target
    metadata: dict[str, str]
    state: dict[str, Any]

    def outputs(self, X: Any, n_threads: int | None = None) -> NDArray[Any]:
        """Compute what the network predicts of each row, (m, n_outputs), for `Target.decode`."""
        if self.encoder is not None:
            X = self.encoder.transform(X).astype(self.network.dtype, copy=False)
        return self.network.predict(X, n_threads=n_threads)

    def predict(self, X: Any, n_threads: int | None = None) -> NDArray[Any]:
        """Predict labels or values."""
        return self.target.decode(self.outputs(X, n_threads))


def load_with_metadata(path: StrPath) -> tuple[Network, dict[str, str]]:
    """Read a network, an estimator's too, and the texts that were stored beside it; otherwise as `load`.

    Examples
    --------
    >>> import chainrule as cr, os, tempfile
    >>> from chainrule.model_file import load_with_metadata
    >>> path = os.path.join(tempfile.mkdtemp(), "model.safetensors")
    >>> cr.Network([2, 1], loss="squared_error", seed=0).save(path, {"trained by": "Ada"})
    >>> load_with_metadata(path)[1]
    {'trained by': 'Ada'}
    """
    if os.path.isdir(path):
        raise IsADirectoryError(errno.EISDIR, "is a folder, expected a model file", os.fspath(path))
    data = Path(path).read_bytes()
    try:
        native, metadata = _core.read_model(data)
    except ValueError as error:
        advice = _recognize(data)
        raise ValueError(os.fspath(path) + (f" is not a chainrule model: {advice}" if advice else str(error))) from None
    network = Network.__new__(Network)
    network._native = native
    return network, metadata


def _recognize(data: bytes) -> str | None:
    """Say what a file of another kind is and what to do with it; None for a damaged model."""
    if data[8:9] == b"{":  # the header of a safetensors file, whatever its length begins with
        return None
    for start, advice in _OTHERS.items():
        if data.startswith(start):
            return advice
    if data and data[:1000].isascii() and not re.search(rb"[\0-\x08\x0e-\x1f]", data[:1000]):
        return "it is text: `chainrule train` makes a model of a table"
    return None


def read_model(path: StrPath) -> Model | Network:
    """Read a model file: a `Model` where it holds an estimator, else the network.

    Raises
    ------
    ValueError, OSError
        As `chainrule.load`.
    """
    network, metadata = load_with_metadata(path)
    model = find_model(path, network, metadata)
    return network if model is None else model


def find_model(path: StrPath, network: Network, metadata: Mapping[str, str]) -> Model | None:
    """Return the estimator that a file's metadata hold; None where they hold none."""
    texts = dict(metadata)
    with unreadable_estimator(path):
        if KEY in texts:
            state = _json.parse(texts.pop(KEY))
        elif (old := _find_old(texts.get(_OLD_KEY, ""))) is not None:
            del texts[_OLD_KEY]
            texts[READING] = _json.write(old.get("reading", {"missing": old.get("missing", [])}))
            state = _state_of_old(old, network)
        else:
            return None
        return _make_model(network, texts, state)


@contextmanager
def unreadable_estimator(path: StrPath) -> Iterator[None]:
    """Let the errors that damaged files raise say which file cannot be read."""
    try:
        yield
    except (ValueError, TypeError, AttributeError, KeyError, OverflowError, RecursionError) as error:
        raise ValueError(f"{path} holds an estimator that cannot be read: {error}") from error


def _make_model(network: Network, metadata: dict[str, str], state: Any) -> Model:
    if not isinstance(state, dict) or type(state.get("format")) is not int:
        raise ValueError("it has no format version")
    if state["format"] > FORMAT:
        raise ValueError(f"it has format {state['format']}, this chainrule reads up to {FORMAT}: upgrade chainrule")
    if state.get("kind") not in KINDS:
        raise ValueError(f"its kind is {state.get('kind')!r:.100}, expected one of {', '.join(KINDS)}")
    target = Target.from_dict(state.get("target"))
    if (target.classes is None) != (state["kind"] == "MLPRegressor"):
        raise ValueError(f"its target does not fit its kind {state['kind']}")
    features = state.get("features")
    encoder = None if features is None else TableEncoding.from_dict(features)
    n_inputs = state.get("n_features_in") if encoder is None else encoder.n_features
    if n_inputs != network.layer_sizes[0]:
        raise ValueError(f"its features are {n_inputs}, the network has {network.layer_sizes[0]} inputs")
    _check_outputs(target, network.layer_sizes[-1])
    return Model(state["kind"], network, encoder, target, metadata, state)


def _check_outputs(target: Target, n_outputs: int) -> None:
    """Refuse a target that does not fit the network's outputs."""
    if target.classes is None:
        shape = np.shape(target.standardizer.mean) if target.standardizer is not None else ()
        fits = shape in ((), (n_outputs,))
    else:
        several = target.multilabel or len(target.classes) > 2
        fits = n_outputs == len(target.classes) if several else n_outputs <= 2
    if not fits:
        raise ValueError(f"its target does not fit the network's {n_outputs} outputs")


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


def _standardizer(mean: Any, std: Any) -> Standardizer:
    values = [np.asarray(value, dtype=np.float64) for value in (mean, std)]
    if values[0].shape != values[1].shape or values[0].ndim > 1:
        raise ValueError("mean and std of its target have different shapes")
    if not (np.isfinite(values).all() and (values[1] > 0).all()):
        raise ValueError(
            f"its target has mean {mean!r:.100} and std {std!r:.100}, expected finite numbers, std above 0"
        )
    return Standardizer(*(value if value.ndim else value[()] for value in values))


def typed_labels(labels: list[str]) -> NDArray[Any]:
    """Return labels, which a table's column has as texts, as what they are: whole numbers, numbers, booleans or texts.

    Examples
    --------
    >>> from chainrule.model_file import typed_labels
    >>> typed_labels(["3", "10"]), typed_labels(["007", "010"]), typed_labels(["False", "True"])
    (array([ 3, 10]), array(['007', '010'], dtype=object), array([False,  True]))
    """
    for kind in (int, float):
        try:
            if [str(kind(label)) for label in labels] == list(labels):
                return np.array([kind(label) for label in labels])
        except (ValueError, OverflowError):
            pass
    if set(labels) <= {"False", "True"}:
        return np.array([label == "True" for label in labels])
    return np.array(labels, dtype=object)


def _find_old(text: str) -> dict[str, Any] | None:
    """Return what `chainrule train` of version 0.1.0 stored; None for a text that is the user's own."""
    try:
        state = _json.parse(text)
    except ValueError:
        if text.startswith('{"features": {"format"'):
            raise
        return None
    return state if isinstance(state, dict) and state.keys() >= {"features", "target"} else None


def _state_of_old(old: dict[str, Any], network: Network) -> dict[str, Any]:
    target, names = TargetEncoder.from_dict(old["target"]), [column["name"] for column in old["features"]["columns"]]
    if (target.n_outputs, target.loss) != (network.layer_sizes[-1], network.loss_name):
        raise ValueError(f"its target {target.name!r:.100} does not fit its network {network!r}")
    if target.labels:
        y_type = "multiclass" if len(target.labels) > 2 else "binary"
        now = Target(target.name, typed_labels(target.labels), y_type)
    else:
        now = Target(target.name, standardizer=_standardizer(target.mean, target.std))
    activations = {"tuple": list(network.activations)} if network.activations else "relu"
    return {
        "format": FORMAT,
        "kind": "MLPClassifier" if target.labels else "MLPRegressor",
        "parameters": {
            "hidden_layer_sizes": {"tuple": list(network.layer_sizes[1:-1])},
            "activation": activations,
            "preprocess": True,
        },
        "features": old["features"],
        "encoder": {},
        "target": now.to_dict(),
        "n_features_in": len(names),
        "feature_names_in": names,
        "record": {},
    }
