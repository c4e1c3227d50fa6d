"""Writes estimators to model files and reads them. The files contain JSON, and nothing in them is executed."""

import dataclasses
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from chainrule import _json, losses, optimizers, schedules, training
from chainrule._disk import StrPath
from chainrule._warn import warn
from chainrule.encoder import TableEncoder
from chainrule.estimators import _parameters, _sklearn
from chainrule.estimators._labels import Labels
from chainrule.model_file import FORMAT, KEY, KINDS, Model
from chainrule.target import array_from_dict, array_to_dict

if TYPE_CHECKING:
    from chainrule.exchange.onnx import Feed

# Attributes with the results of a fit, and their types. The optimizer's moments are not stored, because they are up to
# three times as large as the network.
RECORD: dict[str, tuple[type, ...]] = {
    "n_iter_": (int,),
    "t_": (int,),
    "loss_": (float,),
    "best_loss_": (float, type(None)),
    "loss_curve_": (list,),
    "validation_scores_": (list, type(None)),
    "best_validation_score_": (float, type(None)),
    "history_": (training.History,),
    "_learning_rates": (list,),
    "_no_improvement_count": (int,),
    "_made_with": (dict,),
}

# The dataclasses that may be parameters or records, by name.
_DATA = {
    name: kind
    for module in (losses, optimizers, schedules, training)
    for name, kind in vars(module).items()
    if isinstance(kind, type) and dataclasses.is_dataclass(kind)
}
# Parameters that may be code, which is not stored, and the value to set instead, which does not change predictions.
_WITHOUT_CODE = {"loss": ("log_loss", "squared_error"), "eval_metric": (None, None), "learning_rate": ("constant",) * 2}


class Savable:
    """Base class with the methods of the estimators that write a file or convert to another package."""

    def save(self, path: StrPath, metadata: Mapping[str, str] | None = None) -> None:
        """Write the fitted estimator to a model file, which `chainrule.load` reads. It contains no pickle.

        The file contains parameters, classes, the encoding of a table and the network. It does not contain code or the
        optimizer's moments; `partial_fit` and ``warm_start`` start with new moments.

        Parameters
        ----------
        path : str or path
            The file to write; see `Network.save`.
        metadata : mapping of str to str, optional
            Strings to store with the estimator.

        Warns
        -----
        UserWarning
            For callbacks, which are not saved.

        Raises
        ------
        ValueError
            For a parameter that is code, such as a custom loss, and as for `Network.save`.
        NotFittedError
            If the estimator is not fitted.
        """
        save(self, path, metadata)

    def to_c(self, path: StrPath, *, name: str | None = None, dtype: Any = None, weights: str | None = None) -> None:
        """Write the fitted estimator as a header for C99 and C++, with the encoding of a table and the target's unit.

        The header needs only ``math.h`` and allocates no memory. ``NAME_predict`` computes one row, up to rounding: the
        values of `predict`, or the probabilities of `predict_proba`; it returns the index of the class in
        ``NAME_labels``. The row of a table is a struct: numbers, days since 1970-01-01 and fractions of a day are
        double, or NAN if missing; texts are UTF-8 strings, or null pointers if missing. The caller must convert text
        that the encoder reads as numbers or dates.

        Parameters
        ----------
        path, name, dtype, weights
            See `Network.to_c`.

        Raises
        ------
        ValueError
            As for `Network.to_c`, and for a level or class that a string in C99 cannot hold.
        OSError
            If the file cannot be written.
        NotFittedError
            If the estimator is not fitted.
        """
        from chainrule.exchange.c import to_c

        to_c(self, path, name=name, dtype=dtype, weights=weights)

    def to_torch(self, *, logits: bool = False, copy: bool = False) -> Any:
        """Convert the fitted estimator to a `torch.nn.Sequential`. Needs the extra ``torch``.

        The module computes, up to rounding, `predict_proba` of a classifier and `predict` of a regressor. PyTorch
        cannot read tables: if the estimator has an ``encoder_``, give the module ``encoder_.transform(table)``.

        Parameters
        ----------
        logits : bool, default False
            Compute the same as ``network_.logits``: without output activation, and in the unit of the network.
        copy : bool, default False
            Copy the weights. Otherwise module and estimator share them.

        Returns
        -------
        torch.nn.Sequential
            The layers, in evaluation mode and in the network's dtype. Values are restored to their unit in float64.

        Raises
        ------
        ValueError
            For a classifier that knows a single class.
        ImportError
            If PyTorch is not installed.
        NotFittedError
            If the estimator is not fitted.
        """
        from chainrule.exchange.torch import to_torch

        return to_torch(self, logits=logits, copy=copy)

    def to_sklearn(self) -> Any:
        """Convert the fitted estimator to scikit-learn's, with a copy of the weights.

        Returns
        -------
        sklearn.neural_network.MLPClassifier, MLPRegressor or sklearn.pipeline.Pipeline
            It predicts the same up to rounding, in the unit of the target. An estimator that reads tables becomes a
            pipeline of its ``encoder_``, which needs this package, and scikit-learn's estimator.

        Raises
        ------
        ValueError
            If scikit-learn's estimator cannot express the model: several activations, one that it lacks, bounded
            predictions, two outputs for two classes, or another output activation.
        NotFittedError
            If the estimator is not fitted.
        """
        from chainrule.exchange.sklearn import to_sklearn

        return to_sklearn(self)

    def to_onnx(self, path: StrPath) -> "Feed":
        """Write the fitted estimator, with the encoding of a table, as an ONNX model; needs the extra ``onnx``.

        The columns of a table are separate inputs, which have their names and the shape (rows, 1): numbers and dates as
        doubles, all others as strings. Plain numbers are one input "X". The outputs are tensors: "label" and
        "probabilities" of a classifier, "value" of a regressor, or "values" for several targets or quantiles. They are
        those of `predict` and `predict_proba`, up to rounding.

        Parameters
        ----------
        path : str or path
            The file to write.

        Returns
        -------
        Feed
            A function that makes the inputs for ONNX Runtime from a data frame or an array.

        Raises
        ------
        ValueError
            For parameters that are NaN or infinite.
        OSError
            If the file cannot be written.
        NotFittedError
            If the estimator is not fitted.

        Examples
        --------
        >>> import chainrule as cr, os, tempfile
        >>> import onnxruntime
        >>> import pandas as pd
        >>> table = pd.DataFrame({"area": range(40), "town": ["Ayr", None] * 20})
        >>> clf = cr.TableClassifier(random_state=0).fit(table, table.town.isna())
        >>> path = os.path.join(tempfile.mkdtemp(), "model.onnx")
        >>> feed = clf.to_onnx(path)
        >>> labels, probabilities = onnxruntime.InferenceSession(path).run(None, feed(table[:3]))
        >>> labels.tolist()
        [False, True, False]
        """
        from chainrule.exchange.onnx import to_onnx

        return to_onnx(self, path)


def save(
    estimator: Any,
    path: StrPath,
    metadata: Mapping[str, str] | None = None,
    *,
    target: str = "",
) -> None:
    """Write a fitted estimator to a model file: the estimators' ``save``.

    Parameters
    ----------
    estimator : MLPClassifier, MLPRegressor, TableClassifier or TableRegressor
        The estimator to write.
    path : str or path
        The file to write.
    metadata : mapping of str to str, optional
        Strings to store with the estimator.
    target : str, optional
        The name of the target column.
    """
    if type(estimator).__name__ not in KINDS or not type(estimator).__module__.startswith("chainrule."):
        raise TypeError(f"a model file holds one of {', '.join(KINDS)}, got {type(estimator).__name__}: pickle it")
    _sklearn.validation.check_is_fitted(estimator)
    network = estimator._ensure_network()
    if KEY in (metadata or {}):
        raise ValueError(f"the metadata key {KEY!r} is reserved: choose another name")
    names = getattr(estimator, "feature_names_in_", None)
    state = {
        "format": FORMAT,
        "kind": type(estimator).__name__,
        "parameters": _write_parameters(estimator),
        "features": estimator.encoder_.to_dict() if hasattr(estimator, "encoder_") else None,
        "encoder": _settings(estimator.encoder_) if hasattr(estimator, "encoder_") else None,
        "target": dataclasses.replace(estimator._target(), name=target).to_dict(),
        "n_features_in": getattr(estimator, "n_features_in_", network.layer_sizes[0]),
        "feature_names_in": None if names is None else [str(name) for name in names],
        "record": {name: _write(vars(estimator)[name]) for name in RECORD if name in vars(estimator)},
    }
    network.save(path, {**(metadata or {}), KEY: _json.write(state)})


def make_estimator(kind: Any, model: Model) -> Any:
    """Make the estimator, of this class, that a model file describes. A damaged file may raise several errors."""
    state, target = model.state, model.target
    parameters = {name: _read(value) for name, value in dict(state["parameters"]).items()}
    if unknown := sorted(parameters.keys() - kind._get_param_names()):
        raise ValueError(f"it has the parameter {unknown[0]!r:.100}, unknown to this version: upgrade chainrule")
    estimator = kind(**parameters)
    _parameters.check_parameters(estimator)
    estimator.n_features_in_ = int(state["n_features_in"])
    if state["feature_names_in"] is not None:
        estimator.feature_names_in_ = np.array(list(state["feature_names_in"]), dtype=object)
    if model.encoder is not None:
        settings = {name: _read(value) for name, value in dict(state["encoder"]).items()}
        estimator.encoder_ = TableEncoder.from_encoding(model.encoder).set_params(**settings)
        if hasattr(estimator, "feature_names_in_"):
            estimator.encoder_.feature_names_in_ = estimator.feature_names_in_
    if target.standardizer is not None:
        estimator.standardizer_ = target.standardizer
    if target.bounds is not None:
        estimator.bounds_ = target.bounds
    if target.classes is not None:
        estimator._label_binarizer = Labels("", target.classes, target.y_type, target.sparse)
        estimator.classes_ = target.classes
    if model.network.loss_spec != estimator._network_loss():
        raise ValueError(f"loss={estimator.loss!r} does not fit the network's {model.network.loss_spec!r}")
    estimator._restore(model.network)
    for name, written in dict(state["record"]).items():
        value = _read(written)
        if not isinstance(value, RECORD.get(name, ())):
            raise ValueError(f"its record {name!r:.100} is {value!r:.100}")
        setattr(estimator, name, value)
    return estimator


def _write_parameters(estimator: Any) -> dict[str, Any]:
    """Return the constructor's parameters for JSON. Callbacks are left out; any other code raises ValueError."""
    values = estimator.get_params(deep=False)
    if not isinstance(values["callbacks"], (tuple, list)) or len(values["callbacks"]):
        warn(f"a model file contains no code: callbacks={values['callbacks']!r:.200} is not saved")
        values["callbacks"] = ()
    written = {}
    for name, value in values.items():
        try:
            written[name] = _write(value)
        except TypeError as error:
            remedy = "pickle the estimator"
            if name in _WITHOUT_CODE:
                default = _WITHOUT_CODE[name][estimator._y_numeric]
                remedy = f"call set_params({name}={default!r}) first, which changes no prediction, or {remedy}"
            raise ValueError(f"{name}={value!r:.200} cannot be saved ({error}): {remedy}") from None
    return written


# Values that JSON does not have are written as {name: content}.


def _write(value: Any) -> Any:
    if isinstance(value, np.generic):
        value = value.item()
    if value is None or isinstance(value, (bool, int, str)):
        return value
    if isinstance(value, float):
        return value if np.isfinite(value) else {"float": repr(value)}
    if isinstance(value, list):
        return [_write(item) for item in value]
    if isinstance(value, tuple):
        return {"tuple": [_write(item) for item in value]}
    if isinstance(value, Mapping):
        return {"dict": [[_write(key), _write(item)] for key, item in value.items()]}
    if isinstance(value, np.ndarray):
        return {"array": _write_array(value)}
    if isinstance(value, np.dtype) or (isinstance(value, type) and value in (np.float32, np.float64, float)):
        return {"dtype": np.dtype(value).name}
    if isinstance(value, np.random.RandomState):
        return {"RandomState": [_write(part) for part in value.get_state(legacy=True)]}
    if value is np.random:
        return None  # means the same in scikit-learn
    if isinstance(value, TableEncoder):
        return {"TableEncoder": _settings(value)}
    if _DATA.get(type(value).__name__) is type(value):
        fields = {field.name: getattr(value, field.name) for field in dataclasses.fields(value)}
        if isinstance(value, training.History):
            fields["state"] = None
        return {type(value).__name__: {name: _write(item) for name, item in fields.items()}}
    raise TypeError(f"a model file contains no {'code' if callable(value) else type(value).__name__}")


def _write_array(array: Any) -> dict[str, Any]:
    state = array_to_dict(array)
    return state if array.dtype.kind != "f" else {**state, "values": _write(state["values"])}


def _read_array(state: Any) -> Any:
    return array_from_dict({**state, "values": _read(state["values"])})


def _settings(encoder: TableEncoder) -> dict[str, Any]:
    return {name: _write(value) for name, value in encoder.get_params().items()}


def _read_dict(pairs: Any) -> dict[Any, Any]:
    return {_read(key): _read(value) for key, value in pairs}


def _read_random_state(parts: Any) -> np.random.RandomState:
    random = np.random.RandomState()
    random.set_state(tuple(_read(part) for part in parts))
    return random


_READERS: dict[str, Callable[[Any], Any]] = {
    "float": float,
    "tuple": lambda items: tuple(_read(item) for item in items),
    "dict": _read_dict,
    "array": _read_array,
    "dtype": np.dtype,
    "RandomState": _read_random_state,
    "TableEncoder": lambda settings: TableEncoder(**{name: _read(value) for name, value in settings.items()}),
}


def _read(value: Any) -> Any:
    if isinstance(value, list):
        return [_read(item) for item in value]
    if not isinstance(value, dict):
        return value
    [(name, content)] = value.items()
    if name in _READERS:
        return _READERS[name](content)
    if name not in _DATA:
        raise ValueError(f"it has a value of the unknown kind {name!r:.100}")
    return _DATA[name](**{field: _read(item) for field, item in content.items()})
