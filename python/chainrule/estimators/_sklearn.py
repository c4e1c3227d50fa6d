"""The public names of scikit-learn that the estimators use; replacements for what older versions lack."""

from collections.abc import Callable
from typing import Any, TypeVar

from chainrule._optional import require

Method = TypeVar("Method", bound=Callable[..., Any])

base = require("sklearn.base", "sklearn")
class_weights = require("sklearn.utils.class_weight", "sklearn")
config = require("sklearn", "sklearn")
exceptions = require("sklearn.exceptions", "sklearn")
metrics = require("sklearn.metrics", "sklearn")
model_selection = require("sklearn.model_selection", "sklearn")
sparse = require("scipy.sparse", "sklearn")
multiclass = require("sklearn.utils.multiclass", "sklearn")
utils = require("sklearn.utils", "sklearn")
validation = require("sklearn.utils.validation", "sklearn")

BaseEstimator: Any = base.BaseEstimator
ClassifierMixin: Any = base.ClassifierMixin
RegressorMixin: Any = base.RegressorMixin
available_if: Callable[[Callable[[Any], bool]], Callable[[Method], Method]]
available_if = require("sklearn.utils.metaestimators", "sklearn").available_if

CallbackSupport: Any
with_callbacks: Callable[[Method], Method]
try:  # since 1.9
    CallbackSupport = require("sklearn.callback", "sklearn").CallbackSupportMixin
    with_callbacks = require("sklearn.callback", "sklearn").with_callbacks
except ImportError:
    CallbackSupport, with_callbacks = type("CallbackSupport", (), {}), lambda method: method
