"""Lists the types that a fitted estimator holds, for readers of files that ask which types to trust."""

import dataclasses
from typing import get_args

from chainrule import losses, optimizers, schedules, training
from chainrule._columns import Encoder
from chainrule._formats import DateFormat, NumberFormat
from chainrule.encoder import TableEncoder
from chainrule.estimators._labels import Labels
from chainrule.estimators._record import OptimizerState
from chainrule.estimators.classifier import MLPClassifier
from chainrule.estimators.regressor import MLPRegressor
from chainrule.estimators.table_classifier import TableClassifier
from chainrule.estimators.table_regressor import TableRegressor
from chainrule.network import Network
from chainrule.table import TableEncoding
from chainrule.target import Standardizer

_PARTS = [DateFormat, NumberFormat, Labels, Network, OptimizerState, Standardizer, TableEncoder, TableEncoding]
_SETTINGS = [
    kind
    for module in (losses, optimizers, schedules, training)
    for kind in vars(module).values()
    if isinstance(kind, type) and dataclasses.is_dataclass(kind) and kind.__module__ == module.__name__
]
_ESTIMATORS = [MLPClassifier, MLPRegressor, TableClassifier, TableRegressor]

TRUSTED_TYPES = sorted(
    f"{kind.__module__}.{kind.__qualname__}" for kind in {*_ESTIMATORS, *_PARTS, *_SETTINGS, *get_args(Encoder)}
)
"""The full names of the types in an estimator that are neither NumPy's nor scikit-learn's, for
``skops.io.load(trusted=)`` and ``mlflow.sklearn.log_model(skops_trusted_types=)``. They hold numbers and
text; loading them executes no code from the file."""
