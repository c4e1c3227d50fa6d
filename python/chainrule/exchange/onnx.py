"""Writes networks and estimators as ONNX models, with the encoding of a table; needs the extra ``onnx``.

The columns of a table are separate inputs of shape (rows, 1), with the names of the columns:

- numbers: doubles, NaN if missing;
- dates: doubles, the days since 1970-01-01 (UTC), or the fraction of the day for times of day; NaN if missing;
- all other columns: strings, empty if missing.

Plain numbers are one input "X" of shape (rows, features). All outputs are tensors: "prediction" of a network, "label"
and "probabilities" of a classifier, "value" of a regressor, or "values" for several targets or quantiles.
"""

import dataclasses
from typing import Any

import numpy as np
from numpy.typing import NDArray

from chainrule._columns import DateColumn, Encoder, LevelColumn, find_codes
from chainrule._core import __version__
from chainrule._disk import StrPath, write_atomically
from chainrule._formats import TIME
from chainrule._frames import Column, Frame, column_names
from chainrule._optional import require
from chainrule.exchange._model import ReducedModel, reduce
from chainrule.exchange._onnx_graph import (
    ROWS,
    Graph,
    Output,
    Texts,
    add_features,
    add_network,
    add_predictions,
    unused,
)
from chainrule.table import TableEncoding

_IR_VERSION = 7  # of the release of ONNX with opset 13
_OUTPUTS = ("prediction", "label", "probabilities", "value", "values")


@dataclasses.dataclass(frozen=True)
class Feed:
    """Makes the inputs of a model for ONNX Runtime from a table: ``session.run(None, feed(X))``.

    It reads the table as `predict` does: missing values of any kind, text that holds numbers or dates in the format of
    the training table, levels that are written differently. It can be pickled, and needs neither the estimator nor the
    package ``onnx``. It gives no warnings.

    Attributes
    ----------
    encoding : TableEncoding or None
        How the columns are encoded; None if the model takes plain numbers.
    names : tuple of str
        The names of the inputs: one for each column with features, or "X".
    texts : tuple
        For each input of text, the texts of its levels, of a missing and of an unknown level; None for other inputs.
    dtype : dtype
        The type of plain numbers.
    columns : tuple of str, optional
        The columns of the data frame that the estimator was fitted on, if it takes plain numbers.
    """

    encoding: TableEncoding | None
    names: tuple[str, ...]
    texts: tuple[NDArray[Any] | None, ...]
    dtype: np.dtype[Any]
    columns: tuple[str, ...] | None = None

    def __call__(self, X: Any) -> dict[str, NDArray[Any]]:
        """Return an array for each input.

        Parameters
        ----------
        X : data frame or array
            A table as for `predict`.

        Raises
        ------
        ValueError
            As for `predict`.
        """
        if self.encoding is None:
            names = None if self.columns is None else column_names(X)
            if names is not None and tuple(map(str, names)) != self.columns:
                raise ValueError(f"the columns are {names!r:.200}, the estimator was fitted on {self.columns!r:.200}")
            rows = np.ascontiguousarray(X.toarray() if hasattr(X, "toarray") else X, self.dtype)
            for row, column in np.argwhere(~np.isfinite(rows))[:1]:
                raise ValueError(f"X[{row}, {column}] is not finite")
            return {self.names[0]: rows}
        frame = Frame.of(np.array(X, dtype=object) if isinstance(X, (list, tuple)) else X)
        places = self.encoding._find_columns(frame)
        pairs = zip(self.encoding.columns, places, strict=True)
        columns = [(encoder, frame.column(place)) for encoder, place in pairs if place is not None]
        inputs = zip(self.names, columns, self.texts, strict=True)
        return {name: _read(*column, texts)[:, np.newaxis] for name, column, texts in inputs}


def _read(encoder: Any, column: Column, texts: NDArray[Any] | None) -> NDArray[Any]:
    """Return the numbers of a column, or its levels as the graph knows them."""
    if texts is None:
        numbers: NDArray[Any] = encoder.read(column)
        return numbers
    codes, names = column.levels()
    return texts[find_codes(codes, names, encoder.levels, unseen=-1, missing=-2)]


def to_onnx(subject: Any, path: StrPath) -> Feed:
    """Write the model file of a network or a fitted estimator; the methods ``to_onnx`` describe it."""
    reduced = reduce(subject)
    if not np.isfinite(reduced.network.parameters).all():
        raise ValueError("the network has parameters that are NaN or infinite")
    names = getattr(subject, "feature_names_in_", None)
    columns = None if names is None else tuple(map(str, names))
    model, feed = build(reduced, is_network=not hasattr(subject, "get_params"), columns=columns)
    write_atomically(path, model.SerializeToString())
    return feed


def build(model: ReducedModel, *, is_network: bool, columns: tuple[str, ...] | None = None) -> tuple[Any, Feed]:
    """Return an ONNX ``ModelProto`` and the function that makes its inputs.

    Parameters
    ----------
    model : ReducedModel
        The model to convert.
    is_network : bool
        Whether the output is the prediction of the network, instead of labels or values.
    columns : tuple of str, optional
        See `Feed`.
    """
    network, encoding = model.network, model.encoder
    helper = require("onnx.helper", "onnx")
    encoded = [] if encoding is None else [column for column in encoding.columns if column.width]
    described = [_input(column) for column in encoded]
    used = {*_OUTPUTS, "X", *(column.name for column in encoded)}

    def unique(name: str) -> str:
        used.add(name := unused(name, used))
        return name

    def info(name: str, dtype: Any, shape: list[Any], text: str = "") -> Any:
        return helper.make_tensor_value_info(name, helper.np_dtype_to_tensor_dtype(np.dtype(dtype)), shape, text)

    g = Graph(network.dtype, lambda name: unique(f"{name}_{len(used)}"))
    if encoding is None:
        names = ["X"]
        inputs = [info("X", g.dtype, [ROWS, network.layer_sizes[0]])]
        x = add_network(g, "X", network)
    else:
        names = [unique(column.name) if column.name in ("", *_OUTPUTS) else column.name for column in encoded]
        inputs = [info(name, dtype, [ROWS, 1], text) for name, (dtype, text, _) in zip(names, described, strict=True)]
        features, places = add_features(g, encoding, names)
        x = add_network(g, features, network, places)
    n_outputs = network.layer_sizes[-1]
    results: list[Output] = [("prediction", x, g.dtype, [ROWS, n_outputs])]
    if not is_network:
        results = add_predictions(g, model.target, x, n_outputs)
    outputs = []
    for name, tensor, dtype, shape in results:
        g.name(tensor, name)
        outputs.append(info(name, dtype, shape))
    graph = helper.make_graph(g.nodes, model.kind, inputs, outputs, g.constants)
    opsets = [helper.make_opsetid(domain, version) for domain, version in g.opsets.items()]
    made_by = {"producer_name": "chainrule", "producer_version": __version__}
    proto = helper.make_model(graph, opset_imports=opsets, ir_version=_IR_VERSION, **made_by)
    helper.set_model_props(proto, {"chainrule.version": __version__, "chainrule.kind": model.kind})
    return proto, Feed(encoding, tuple(names), tuple(texts for _, _, texts in described), g.dtype, columns)


def _input(column: Encoder) -> tuple[Any, str, NDArray[Any] | None]:
    """Return dtype and description of the input for a column, and its entry of `Feed.texts`."""
    if isinstance(column, LevelColumn):
        texts = Texts.of(column)
        known = np.array([*column.levels, texts.gap, texts.other], dtype=object)
        return np.object_, f"text; {texts.gap!r} if missing", known
    what = "a number"
    if isinstance(column, DateColumn):
        is_time = column.format is not None and column.format.order == TIME
        what = "the fraction of the day" if is_time else "days since 1970-01-01 (UTC)"
    return np.float64, f"{what}; NaN if missing", None
