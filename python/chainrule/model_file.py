"""Reads model files, and makes predictions with the estimator in a file, without scikit-learn.

A model file is the file of a network (`files`). The metadata entry `chainrule.estimator` holds the rest as JSON:

===================  =====================================================================================
format               1
kind                 the name of the class: `KINDS`
parameters           parameters of the constructor, as `estimators._files` writes them
features, encoder    state and parameters of the `TableEncoder`; None if the estimator takes plain numbers
target               name, y_type and sparse (of classes), classes, mean, std, bounds (of values)
n_features_in,       as in scikit-learn
feature_names_in
record               record of the training: `estimators._files.RECORD`
===================  =====================================================================================

The command `chainrule train` writes its model with `estimators._files.save` and stores its own data, such as how the
table was read, in other entries. The commands `predict` and `info` read the file with `read_model`:

>>> model = read_model("houses.safetensors")                 # doctest: +SKIP
>>> model.metadata["reading"]                                # data of the command  # doctest: +SKIP
>>> outputs = model.outputs(table, n_threads=2)              # doctest: +SKIP
>>> model.target.decode(outputs)                             # labels, or values  # doctest: +SKIP
>>> model.target.probabilities(outputs), model.target.labels  # of a classifier  # doctest: +SKIP

Files that `chainrule train` wrote in development versions before the first release, which have an entry `table`, are
converted when they are read; their `metadata["reading"]` is ``{"missing": [...]}`` as JSON.
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
from chainrule.exchange._model import ReducedModel
from chainrule.network import Network
from chainrule.table import TableEncoding
from chainrule.target import Target, read_standardizer

FORMAT = 1
KEY = "chainrule.estimator"
KINDS = ("MLPClassifier", "MLPRegressor", "TableClassifier", "TableRegressor")
READING = "reading"  # metadata entry of the command
_OLD_KEY = "table"  # metadata entry of the command in development versions before the first release


# The first bytes of other kinds of files, and what to do with such a file.
_OTHERS = {
    b"\x80": "it seems to be a pickle: read it with pickle.load, if you trust its source",
    b"PK\x03\x04": "it is a zip archive, such as PyTorch and NumPy write: read it with the program that wrote it",
    b"PAR1": "it is a Parquet table: `chainrule train` makes a model from a table",
    b"\x1f\x8b": "it is compressed with gzip: unpack it first",
}


@dataclasses.dataclass(frozen=True)
class Model(ReducedModel):
    """An estimator from a file, reduced to what predictions need; its kind is one of `KINDS`.

    Attributes
    ----------
    metadata : dict of str to str
        The metadata that was stored with the model.
    state : dict
        The whole entry `chainrule.estimator`. Only the parts that the other attributes need have been checked.
    """

    network: Network
    metadata: dict[str, str]
    state: dict[str, Any]

    def outputs(self, X: Any, n_threads: int | None = None) -> NDArray[Any]:
        """Compute the network's outputs for each row, (m, n_outputs), for `Target.decode`."""
        if self.encoder is not None:
            X = self.encoder.inputs(X, self.network.dtype)
        return self.network.predict(X, n_threads=n_threads)

    def predict(self, X: Any, n_threads: int | None = None) -> NDArray[Any]:
        """Predict labels or values."""
        return self.target.decode(self.outputs(X, n_threads))


def load_with_metadata(path: StrPath) -> tuple[Network, dict[str, str]]:
    """Read a network, or the network of an estimator, and the metadata of the file; otherwise like `load`.

    Examples
    --------
    >>> import chainrule as cr, os, tempfile
    >>> from chainrule.model_file import load_with_metadata
    >>> path = os.path.join(tempfile.mkdtemp(), "model.safetensors")
    >>> cr.Network([2, 1], loss="squared_error", seed=0).save(path, {"trained by": "Ada"})
    >>> load_with_metadata(path)[1]
    {'trained by': 'Ada'}
    """
    network, metadata, state = read_file(path)
    if state:
        raise ValueError(f"{os.fspath(path)} is not a model but a checkpoint: read it with chainrule.load_checkpoint")
    return network, metadata


def read_file(path: StrPath) -> tuple[Network, dict[str, str], dict[str, NDArray[Any]]]:
    """Read a model file or a checkpoint. Return the network, the metadata, and the arrays of the training state."""
    if os.path.isdir(path):
        raise IsADirectoryError(errno.EISDIR, "is a folder, expected a model file", os.fspath(path))
    data = Path(path).read_bytes()
    try:
        native, metadata, state = _core.read_model(data)
    except ValueError as error:
        advice = _recognize(data)
        raise ValueError(os.fspath(path) + (f" is not a chainrule model: {advice}" if advice else str(error))) from None
    network = Network.__new__(Network)
    network._native = native
    return network, metadata, state


def _recognize(data: bytes) -> str | None:
    """Return what kind of other file this is and what to do with it, or None for a damaged model."""
    if data[8:9] == b"{":  # looks like a safetensors file, whose header follows 8 arbitrary bytes
        return None
    for start, advice in _OTHERS.items():
        if data.startswith(start):
            return advice
    if data and data[:1000].isascii() and not re.search(rb"[\0-\x08\x0e-\x1f]", data[:1000]):
        return "it is text: `chainrule train` makes a model from a table"
    return None


def read_model(path: StrPath) -> Model | Network:
    """Read a model file. Return a `Model` if it holds an estimator, otherwise the network.

    Raises
    ------
    ValueError, OSError
        As for `chainrule.load`.
    """
    network, metadata = load_with_metadata(path)
    model = find_model(path, network, metadata)
    return network if model is None else model


def find_model(path: StrPath, network: Network, metadata: Mapping[str, str]) -> Model | None:
    """Return the estimator in the metadata of a file, or None."""
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
    """Turn errors caused by a damaged file into a ValueError that names the file."""
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
    if (target.classes is None) != state["kind"].endswith("Regressor"):
        raise ValueError(f"its target does not fit its kind {state['kind']}")
    features = state.get("features")
    encoder = None if features is None else TableEncoding.from_dict(features)
    n_inputs = state.get("n_features_in") if encoder is None else encoder.n_features
    if n_inputs != network.layer_sizes[0]:
        raise ValueError(f"it has {n_inputs} features, but the network has {network.layer_sizes[0]} inputs")
    _check_outputs(target, network.layer_sizes[-1])
    return Model(state["kind"], network, encoder, target, metadata, state)


def _check_outputs(target: Target, n_outputs: int) -> None:
    """Raise ValueError if the target does not fit the network's outputs."""
    if target.classes is None:
        shape = np.shape(target.standardizer.mean) if target.standardizer is not None else ()
        fits = shape in ((), (n_outputs,))
    else:
        several = target.multilabel or len(target.classes) > 2
        fits = n_outputs == len(target.classes) if several else n_outputs <= 2
    if not fits:
        raise ValueError(f"its target does not fit the network's {n_outputs} outputs")


def typed_labels(labels: list[str]) -> NDArray[Any]:
    """Convert labels that are stored as text to integers, floats or booleans if all of them are; otherwise keep text.

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
    """Return what `chainrule train` stored before the first release, or None if the entry is the user's."""
    try:
        state = _json.parse(text)
    except ValueError:
        if text.startswith('{"features": {"format"'):
            raise
        return None
    return state if isinstance(state, dict) and state.keys() >= {"features", "target"} else None


def _state_of_old(old: dict[str, Any], network: Network) -> dict[str, Any]:
    names = [column["name"] for column in old["features"]["columns"]]
    match old["target"]:
        case {"name": str(name), "labels": [_, *_] as labels}:
            target = Target(name, typed_labels(labels), "multiclass" if len(labels) > 2 else "binary")
        case {"name": str(name), "mean": mean, "std": std}:
            target = Target(name, standardizer=read_standardizer(mean, std))
        case state:
            raise ValueError(f"its target is {state!r:.200}")
    return {
        "format": FORMAT,
        "kind": "MLPRegressor" if target.classes is None else "MLPClassifier",
        "parameters": {
            "hidden_layer_sizes": {"tuple": list(network.layer_sizes[1:-1])},
            "activation": {"tuple": list(network.activations)} if network.activations else "relu",
            "preprocess": True,
        },
        "features": old["features"],
        "encoder": {},
        "target": target.to_dict(),
        "n_features_in": len(names),
        "feature_names_in": names,
        "record": {},
    }
