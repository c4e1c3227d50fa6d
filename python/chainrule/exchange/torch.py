"""Converts networks to PyTorch's modules and back."""

import copy as copying
import itertools
from collections.abc import Iterable
from typing import Any

import numpy as np

from chainrule import _core
from chainrule._names import LossName
from chainrule.exchange._model import reduce
from chainrule.exchange._torch_modules import ACTIVATIONS, OUTPUTS, BothClasses, Restore, is_same, nn, settings, torch
from chainrule.losses import Loss, to_core

# The layer for each PyTorch function or method, by its name in lower case without underscores.
_LAYERS: dict[str, Any] = {
    kind.__name__.lower(): kind
    for kind in {type(layer) for layer in [*ACTIVATIONS.values(), *itertools.chain(*OUTPUTS.values())]}
}
# Steps that do not change the values of a row when a network predicts.
_NO_CHANGE = (nn.Identity, nn.Dropout, nn.AlphaDropout, nn.FeatureAlphaDropout, nn.Flatten)
_NO_CHANGE_CALLS = {"dropout", "alphadropout", "flatten", "view", "reshape", "squeeze", "contiguous", "float", "double"}
_SHAPES = {"size", "getattr", "getitem", "dim"}  # calls whose results are arguments of `view`


def to_torch(subject: Any, *, logits: bool = False, copy: bool = False) -> Any:
    """Convert a network or an estimator to a `torch.nn.Sequential`; the methods ``to_torch`` describe it."""
    model = reduce(subject)
    network, target = model.network, model.target
    layers = []
    for W, b, activation in zip(network.weights, network.biases, [*network.activations, None], strict=True):
        linear = nn.Linear(*reversed(W.shape), device="meta")
        for name, values in (("weight", W), ("bias", b)):
            tensor = torch.from_numpy(values.copy() if copy else values)
            setattr(linear, name, nn.Parameter(tensor))
        layers.append(linear)
        if activation is not None:
            layers.append(copying.deepcopy(ACTIVATIONS[activation]))
    if not logits:
        output = _core.LOSSES[network.loss_name].output
        if output != "identity":
            layers.append(copying.deepcopy(OUTPUTS[output][0]))
        if target.classes is not None and network.layer_sizes[-1] == 1 and not target.multilabel:
            if len(target.classes) == 1:
                raise ValueError("the estimator knows a single class, whose probability is always 1: give logits=True")
            layers.append(BothClasses())
        elif target.standardizer is not None or target.bounds is not None:
            scale = target.standardizer
            mean, std = (0.0, 1.0) if scale is None else (scale.mean, scale.std)
            layers.append(Restore(mean, std, target.bounds))
    return nn.Sequential(*layers).eval()


def read_module(module: Any, loss: Loss | None) -> dict[str, Any]:
    """Return the arguments of `Network` for a PyTorch module; `from_torch` describes them."""
    if not isinstance(module, nn.Module):
        raise TypeError(f"module must be a torch.nn.Module, got {type(module).__name__}")
    linear: list[Any] = []
    after: list[Any] = []  # the activation after each linear layer
    for layer in _layers(module):
        if type(layer) is nn.Linear:
            linear.append(layer)
            after.append(None)
        elif type(layer) in _LAYERS.values() and linear and after[-1] is None:
            after[-1] = layer
        else:
            raise ValueError(f"the module has {_describe(layer)} {_where(linear, after)}, which a Network cannot have")
    if not linear:
        raise ValueError("the module has no torch.nn.Linear")
    activations = [_name(layer) for layer in after[:-1]]
    loss = _loss(after[-1], loss)
    sizes = [linear[0].in_features, *(layer.out_features for layer in linear)]
    layers = [(_array(layer.weight), _bias(layer)) for layer in linear]
    dtypes = {str(values.dtype) for values in itertools.chain(*layers)}
    dtype = dtypes.pop() if len(dtypes) == 1 else "float64"
    return {"layer_sizes": sizes, "activation": activations, "loss": loss, "init": layers, "dtype": dtype}


def _layers(module: Any) -> Iterable[Any]:
    """Return the layers that change values, in their order; functions become the layers of the same name."""
    try:
        graph = torch.fx.symbolic_trace(nn.Sequential(module))  # a Linear alone would be traced into
    except Exception as error:  # whatever the code of the module raises
        raise ValueError(
            f"{type(module).__name__}.forward cannot be traced ({error}): pass its layers as a torch.nn.Sequential"
        ) from error
    current: Any = None
    found = []
    for node in graph.graph.nodes:
        name = node.target if isinstance(node.target, str) else node.target.__name__
        if node.op == "placeholder":
            if current is not None:
                raise ValueError(f"the module has a second input, {name!r}")
            current = node
            continue
        if node.op in ("call_function", "call_method") and name in _SHAPES:
            continue
        if not node.args or node.args[0] is not current or current in node.args[1:]:
            raise ValueError(f"{node.op.replace('_', ' ')} {name!r} is not applied to the result of the layer before")
        if node.op == "output":
            break
        layer = graph.get_submodule(name) if node.op == "call_module" else _called(node, name)
        if layer is not None and not isinstance(layer, _NO_CHANGE):
            found.append(layer)
        current = node
    return found


def _called(node: Any, name: str) -> Any:
    """Return the layer for the call of a function or a method; None if it does not change values."""
    key = name.lower().replace("_", "")
    if key in _NO_CHANGE_CALLS:
        return None
    if key not in _LAYERS:
        raise ValueError(f"the module calls {name}, which is not a layer of a Network")
    ignored = {"inplace", "_stacklevel"}
    options = {key: value for key, value in node.kwargs.items() if key not in ignored and value is not None}
    positions = {"softmax": ["dim"], "logsoftmax": ["dim"], "leakyrelu": ["negative_slope"], "elu": ["alpha"]}
    named = positions.get(key, [])
    if len(node.args) - 1 > len(named):
        raise ValueError(f"the module calls {name} with the arguments {node.args[1:]}: pass them by keyword")
    options |= dict(zip(named, node.args[1:], strict=False))
    return _LAYERS[key](**options)


def _name(layer: Any) -> str:
    """Return the name of the activation."""
    if layer is None:
        return "identity"
    for name, other in ACTIVATIONS.items():
        if is_same(layer, other):
            return name
    raise ValueError(f"the module has {_describe(layer)} after a hidden layer; the activations are {_listed()}")


def _listed() -> str:
    return ", ".join(f"{name} ({_describe(layer)})" for name, layer in ACTIVATIONS.items())


def _loss(last: Any, loss: Loss | None) -> Loss:
    """Return the loss, which must have the module's last activation."""
    if last is None:
        if loss is None:
            raise ValueError(
                "the module ends with logits or values, so loss= must name the loss: 'softmax_cross_entropy' "
                "(CrossEntropyLoss), 'binary_cross_entropy' (BCEWithLogitsLoss), 'squared_error' (MSELoss), ..."
            )
        to_core(loss)
        return loss
    outputs = [output for output, layers in OUTPUTS.items() if any(is_same(last, layer) for layer in layers)]
    if not outputs:
        raise ValueError(f"the module ends with {_describe(last)}, but no loss has this output activation")
    defaults: dict[str, LossName] = {"logistic": "binary_cross_entropy", "softmax": "softmax_cross_entropy"}
    if loss is None:
        if outputs[0] not in defaults:
            raise ValueError(f"the module ends with {_describe(last)}: loss= must name the loss")
        return defaults[outputs[0]]
    expected = _core.LOSSES[to_core(loss)[0]].output
    if expected != outputs[0]:
        raise ValueError(f"the module ends with {_describe(last)}, but the loss {loss!r} has the output {expected}")
    return loss


def _describe(layer: Any) -> str:
    options = "" if list(layer.parameters()) else ", ".join(f"{k}={v!r}" for k, v in settings(layer).items())
    return f"{type(layer).__name__}({options})"


def _where(linear: list[Any], after: list[Any]) -> str:
    if not linear:
        return "before the first Linear"
    return f"after Linear {len(linear)}" + ("" if after[-1] is None else f" and {_describe(after[-1])}")


def _array(tensor: Any) -> Any:
    if tensor.dtype not in (torch.float32, torch.float64):
        raise ValueError(f"the module has parameters in {tensor.dtype}: call module.float() first")
    return tensor.detach().cpu().numpy()


def _bias(layer: Any) -> Any:
    return np.zeros(layer.out_features, _array(layer.weight).dtype) if layer.bias is None else _array(layer.bias)
