"""The names in the core's lists as types, for type checkers. A test compares the two."""

from collections.abc import Callable
from typing import Any, Literal, TypeAlias

ActivationName: TypeAlias = Literal[
    "identity",
    "logistic",
    "tanh",
    "relu",
    "leaky_relu",
    "elu",
    "selu",
    "gelu",
    "gelu_tanh",
    "silu",
    "softplus",
    "mish",
    "hard_tanh",
    "sin",
    "softsign",
]
LossName: TypeAlias = Literal[
    "binary_cross_entropy",
    "softmax_cross_entropy",
    "squared_error",
    "absolute_error",
    "huber",
    "quantile",
    "poisson",
    "gamma",
    "tweedie",
]
MetricName: TypeAlias = Literal[
    "accuracy", "balanced_accuracy", "log_loss", "auc", "r2", "mae", "rmse", "mape", "average_precision"
]
InitName: TypeAlias = Literal[
    "glorot_uniform", "glorot_normal", "he_uniform", "he_normal", "lecun_uniform", "lecun_normal", "given"
]
PrecisionName: TypeAlias = Literal["float32", "bf16"]
Metric: TypeAlias = (
    MetricName | Callable[..., Any]
)  # of (y_true, y_pred), or with weights (y_true, y_pred, sample_weight)
