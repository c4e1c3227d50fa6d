"""Layers that PyTorch does not have, and the PyTorch layer of each activation."""

from typing import Any

from chainrule._optional import require

torch: Any = require("torch", "torch")
nn: Any = torch.nn


class Sin(nn.Module):  # type: ignore[misc]
    """Computes the sine."""

    def forward(self, x: Any) -> Any:
        """Compute the sine of each element."""
        return torch.sin(x)


class Exp(nn.Module):  # type: ignore[misc]
    """Computes the exponential function."""

    def forward(self, x: Any) -> Any:
        """Compute the exponential of each element."""
        return torch.exp(x)


class BothClasses(nn.Module):  # type: ignore[misc]
    """Turns the probability of the second of two classes, (m, 1), into the probabilities of both, (m, 2)."""

    def forward(self, x: Any) -> Any:
        """Return 1 - x and x."""
        return torch.cat([1 - x, x], dim=-1)


class Restore(nn.Module):  # type: ignore[misc]
    """Returns standardized values in the unit of the target, in float64 and within the bounds of predictions."""

    def __init__(self, mean: Any, std: Any, bounds: Any) -> None:
        super().__init__()
        self.register_buffer("mean", torch.as_tensor(mean, dtype=torch.float64))
        self.register_buffer("std", torch.as_tensor(std, dtype=torch.float64))
        limits = [-torch.inf, torch.inf] if bounds is None else bounds
        self.register_buffer("bounds", torch.as_tensor(limits, dtype=torch.float64))

    def forward(self, x: Any) -> Any:
        """Return x · std + mean within the bounds."""
        return torch.clamp(x.double() * self.std + self.mean, self.bounds[0], self.bounds[1])


# PyTorch's layer for each activation. An activation that is not listed cannot be converted.
ACTIVATIONS: dict[str, Any] = {
    "identity": nn.Identity(),
    "logistic": nn.Sigmoid(),
    "tanh": nn.Tanh(),
    "relu": nn.ReLU(),
    "leaky_relu": nn.LeakyReLU(0.01),
    "elu": nn.ELU(),
    "selu": nn.SELU(),
    "gelu": nn.GELU(),
    "gelu_tanh": nn.GELU(approximate="tanh"),
    "silu": nn.SiLU(),
    "softplus": nn.Softplus(),
    "mish": nn.Mish(),
    "hard_tanh": nn.Hardtanh(),
    "sin": Sin(),
    "softsign": nn.Softsign(),
}
# PyTorch's layers for each output activation. A network predicts the probabilities, also in place of LogSoftmax.
OUTPUTS: dict[str, list[Any]] = {
    "identity": [nn.Identity()],
    "logistic": [nn.Sigmoid()],
    "softmax": [nn.Softmax(dim=-1), nn.Softmax(dim=1), nn.LogSoftmax(dim=-1), nn.LogSoftmax(dim=1)],
    "exp": [Exp()],
}


def settings(layer: Any) -> dict[str, Any]:
    """Return the settings that determine the results of a layer without parameters."""
    return {
        name: value
        for name, value in vars(layer).items()
        if not name.startswith("_") and name not in ("training", "inplace")
    }


def is_same(layer: Any, other: Any) -> bool:
    """Return whether two layers without parameters compute the same function."""
    return type(layer) is type(other) and settings(layer) == settings(other)
