"""What a network is: its configuration and its parameters, in the core; and how it is shown, copied and pickled."""

import os
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import DTypeLike

from chainrule import _core
from chainrule._arguments import dtype_name, one_of, seed_number, sizes
from chainrule._suggest import explained
from chainrule.functional import Array, per_hidden_layer
from chainrule.gradients import Views
from chainrule.losses import Loss, from_core, to_core

_LIKE_RELU = {"relu", "leaky_relu", "elu", "gelu", "gelu_tanh", "silu", "softplus", "mish"}


def default_init(activations: Sequence[str]) -> str:
    """Return the distribution of initial weights that suits these activations of the hidden layers."""
    if _LIKE_RELU.intersection(activations):
        return "he_uniform"
    return "lecun_uniform" if set(activations) == {"selu"} else "glorot_uniform"


@explained
class State:
    """The part of `Network` that holds state; documented there."""

    _native: _core.NetworkFloat32 | _core.NetworkFloat64

    def __init__(
        self,
        layer_sizes: Sequence[int],
        *,
        activation: str | Sequence[str] = "relu",
        loss: Loss,
        init: str | None = None,
        dtype: DTypeLike = "float32",
        seed: int | None = None,
    ) -> None:
        layers = sizes(layer_sizes)
        activations = per_hidden_layer(activation, len(layers) - 2)
        if init is None:
            init = default_init(activations)
        self._init = one_of("init", init, _core.INITS)
        self._seed = int.from_bytes(os.urandom(7), "little") if seed is None else seed_number(seed)
        self._make_native(layers, activations, loss, dtype_name(dtype))

    def _make_native(self, layer_sizes: Sequence[int], activations: Sequence[str], loss: Loss, dtype: str) -> None:
        if dtype == "float32":
            self._native = _core.NetworkFloat32(layer_sizes, activations, to_core(loss), self._init, self._seed)
        elif dtype == "float64":
            self._native = _core.NetworkFloat64(layer_sizes, activations, to_core(loss), self._init, self._seed)
        else:
            raise TypeError(f"dtype must be float32 or float64, got {dtype}")

    @property
    def layer_sizes(self) -> tuple[int, ...]:
        """Numbers of columns of X, of units of each hidden layer, and of outputs."""
        return tuple(self._native.layer_sizes)

    @property
    def activations(self) -> tuple[str, ...]:
        """One name per hidden layer."""
        return tuple(self._native.activations)

    @property
    def loss_name(self) -> str:
        """The loss that decides the output activation and is minimised."""
        return self._native.loss

    @property
    def loss_spec(self) -> Loss:
        """The loss as `Network` takes it: the name, or a value such as `Huber` where its parameters are others."""
        return from_core(self._native.loss, self._native.loss_parameters)

    @property
    def init(self) -> str:
        """Distribution that the initial weights were drawn from; "given" where the caller wrote them."""
        return self._init

    @property
    def seed(self) -> int:
        """The seed given or drawn."""
        return self._seed

    @property
    def dtype(self) -> np.dtype[Any]:
        """Type of the parameters: float32 or float64."""
        return self.parameters.dtype

    @property
    def parameters(self) -> Array:
        """All parameters, shape (P,): W[1] column by column, b[1], W[2], ...; writing there changes the network."""
        return self._native.parameters

    @property
    def weights(self) -> Views:
        """``W[l]`` of each layer, shape (n_l, n_{l-1}): views of `parameters`; ``net.weights[0] = W`` writes one."""
        return Views(self._native.weights)

    @property
    def biases(self) -> Views:
        """``b[l]`` of each layer, shape (n_l,): views of `parameters`; ``net.biases[0] = b`` writes one."""
        return Views(self._native.biases)

    def __repr__(self) -> str:
        names = self.activations
        activation = f"activation={(names[0] if len(set(names)) == 1 else names)!r}, " if names else ""
        return f"Network({list(self.layer_sizes)}, {activation}loss={self.loss_spec!r}, dtype='{self.dtype}')"

    def __getstate__(self) -> dict[str, Any]:
        names = ("layer_sizes", "activations", "loss_name", "loss_spec", "parameters")
        attributes = {name: value for name, value in vars(self).items() if name != "_native"}  # of subclasses too
        return {**{name: getattr(self, name) for name in names}, "attributes": attributes}

    def __setstate__(self, state: dict[str, Any]) -> None:
        parameters = state["parameters"]
        vars(self).update(state["attributes"])
        loss = state.get("loss_spec", state["loss_name"])  # not in the pickles of version 0.1.0
        self._make_native(state["layer_sizes"], state["activations"], loss, parameters.dtype.name)
        self.parameters[...] = parameters
