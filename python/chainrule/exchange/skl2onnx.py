"""Registers the estimators with skl2onnx, so that it converts pipelines that contain them."""

import dataclasses
from collections.abc import Sequence
from typing import Any

import numpy as np

from chainrule._columns import NumberColumn
from chainrule._optional import require
from chainrule.encoder import TableEncoder
from chainrule.estimators import MLPClassifier, MLPRegressor, TableClassifier, TableRegressor
from chainrule.exchange._model import reduce
from chainrule.exchange._onnx_graph import OPSETS, ROWS, Graph, Tensor, add_features, add_network, add_predictions
from chainrule.table import TableEncoding

_ENCODER = "ChainruleTableEncoder"
_OPTIONS = {"zipmap": [True, False, "columns"], "nocl": [True, False], "output_class_labels": [False, True]}


def register() -> None:
    """Register the estimators and `TableEncoder` with skl2onnx, which then converts pipelines with them.

    The options and the outputs are those of scikit-learn's estimators; ``options={"zipmap": False}`` makes the
    probabilities a tensor. The columns of a table are separate inputs with their names. The target opset must be 13 or
    later. Needs the extra ``skl2onnx``.

    Examples
    --------
    >>> import chainrule as cr
    >>> import numpy as np
    >>> import skl2onnx
    >>> from chainrule.exchange.skl2onnx import register
    >>> from sklearn.pipeline import make_pipeline
    >>> from sklearn.preprocessing import StandardScaler
    >>> register()
    >>> X = np.random.default_rng(0).normal(size=(100, 3)).astype(np.float32)
    >>> pipeline = make_pipeline(StandardScaler(), cr.MLPClassifier(solver="lbfgs", random_state=0)).fit(X, X[:, 0] > 0)
    >>> model = skl2onnx.to_onnx(pipeline, X[:1], options={"zipmap": False})
    >>> [output.name for output in model.graph.output]
    ['label', 'probabilities']
    """
    update = require("skl2onnx", "skl2onnx").update_registered_converter
    for kind in (MLPClassifier, MLPRegressor, TableClassifier, TableRegressor):
        options = {"options": _OPTIONS} if hasattr(kind, "predict_proba") else {}
        update(kind, f"Chainrule{kind.__name__}", _set_types, _convert, **options)
    update(TableEncoder, _ENCODER, _set_type_of_features, _convert_encoder, parser=_declare_features)


def _outputs(g: Graph, operator: Any, x: Tensor) -> list[tuple[Tensor, np.dtype[Any], list[Any]]]:
    """Add the outputs for the network's prediction x; return the tensor, dtype and shape of each.

    As for scikit-learn's estimators, labels are integers or text, and values have two dimensions.
    """
    model = reduce(operator.raw_operator)
    target, outputs = model.target, []
    if target.classes is not None and operator.scope_inst.get_options(operator.raw_operator, {"nocl": False})["nocl"]:
        target = dataclasses.replace(target, classes=np.arange(len(target.classes)))
    for name, tensor, dtype, shape in add_predictions(g, target, x, model.network.layer_sizes[-1]):
        dtype = np.dtype(dtype)
        if name == "label" and dtype.kind in "bf":
            tensor, dtype = g.cast(tensor, np.int64), np.dtype(np.int64)
        if name == "value":
            tensor, shape = g.node("Reshape", tensor, np.array([-1, 1])), [ROWS, 1]
        outputs.append((tensor, dtype, shape))
    return outputs


def _set_types(operator: Any) -> None:
    """Set the types of the outputs of an estimator: skl2onnx's shape calculator."""
    g = Graph(reduce(operator.raw_operator).network.dtype, lambda name: name)
    for output, (_, dtype, shape) in zip(operator.outputs, _outputs(g, operator, "x"), strict=True):
        output.set_type(_type(operator, dtype, shape))


def _type(operator: Any, dtype: Any, shape: Sequence[Any]) -> Any:
    types = require("skl2onnx.common.data_types", "skl2onnx")
    kinds = {"int64": "Int64", "object": "String", "float64": "Double", "float32": "Float"}
    rows = operator.inputs[0].get_first_dimension()
    kind = getattr(types, f"{kinds[np.dtype(dtype).name]}TensorType")
    return kind([rows if size == ROWS else size for size in shape])


def _convert(scope: Any, operator: Any, container: Any) -> None:
    """Add the nodes of an estimator: skl2onnx's converter."""
    model = reduce(operator.raw_operator)
    g = Graph(model.network.dtype, scope.get_unique_variable_name)
    if model.encoder is None:
        x = g.concat([g.cast(variable.full_name, g.dtype) for variable in operator.inputs])
        x = add_network(g, x, model.network)
    else:
        x, places = add_features(g, model.encoder, _columns(g, model.encoder, operator.inputs))
        x = add_network(g, x, model.network, places)
    _finish(g, operator, container, [tensor for tensor, _, _ in _outputs(g, operator, x)])


def _declare_features(scope: Any, encoder: Any, inputs: Sequence[Any], custom_parsers: Any = None) -> Any:
    """Declare the output of an encoder: skl2onnx's parser. Its default would take the type of the first input."""
    operator = scope.declare_local_operator(_ENCODER, encoder)
    operator.inputs = inputs
    kind = require("skl2onnx.common.data_types", "skl2onnx").FloatTensorType
    operator.outputs.append(scope.declare_local_variable("features", kind([None, encoder.n_features])))
    return operator.outputs


def _set_type_of_features(operator: Any) -> None:
    operator.outputs[0].set_type(_type(operator, np.float32, [ROWS, operator.raw_operator.n_features]))


def _convert_encoder(scope: Any, operator: Any, container: Any) -> None:
    encoding = operator.raw_operator.encoding_
    g = Graph(np.float32, scope.get_unique_variable_name)
    x, places = add_features(g, encoding, _columns(g, encoding, operator.inputs))
    _finish(g, operator, container, [g.node("Gather", x, np.argsort(places), axis=1)])


def _columns(g: Graph, encoding: TableEncoding, variables: Sequence[Any]) -> list[Tensor]:
    """Return the columns with features as doubles and strings, given one variable for each column, or one for all."""
    names = [column.name for column in encoding.columns]
    by_name = {variable.raw_name: variable.full_name for variable in variables}
    if len(variables) == 1 and len(names) > 1:
        by_name = {
            name: g.node("Gather", variables[0].full_name, np.array([i]), axis=1) for i, name in enumerate(names)
        }
    elif len(variables) == len(names) and by_name.keys().isdisjoint(names):
        by_name = dict(zip(names, by_name.values(), strict=True))
    columns = []
    for column in encoding.columns:
        if column.width:
            if column.name not in by_name:
                raise ValueError(f"there is no input for the column {column.name!r}, only for {sorted(by_name)!r:.200}")
            dtype = np.float64 if isinstance(column, NumberColumn) else np.object_
            columns.append(g.cast(by_name[column.name], dtype))
    return columns


def _finish(g: Graph, operator: Any, container: Any, tensors: Sequence[Tensor]) -> None:
    """Name the outputs, and add the graph to skl2onnx's."""
    if container.target_opset < OPSETS[""]:
        raise ValueError(f"target_opset is {container.target_opset}, the estimator needs {OPSETS['']} or later")
    for tensor, output in zip(tensors, operator.outputs, strict=True):
        g.name(tensor, output.full_name)
    for node in g.nodes:
        node.name = operator.scope_inst.get_unique_operator_name(node.op_type)
    container.nodes.extend(g.nodes)
    container.initializers.extend(g.constants)
    container.node_domain_version_pair_sets.update(g.opsets.items())
