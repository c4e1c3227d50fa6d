"""The public names of scikit-learn that the estimators use, and replacements for those that older versions lack."""

import copy
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
TransformerMixin: Any = base.TransformerMixin
ClassNamePrefixFeaturesOutMixin: Any = base.ClassNamePrefixFeaturesOutMixin
available_if: Callable[[Callable[[Any], bool]], Callable[[Method], Method]]
available_if = require("sklearn.utils.metaestimators", "sklearn").available_if

CallbackSupport: Any
with_callbacks: Callable[[Method], Method]
try:  # scikit-learn 1.9 or later
    CallbackSupport = require("sklearn.callback", "sklearn").CallbackSupportMixin
    with_callbacks = require("sklearn.callback", "sklearn").with_callbacks
except ImportError:
    CallbackSupport, with_callbacks = type("CallbackSupport", (), {}), lambda method: method


class CallbackBridge:
    """A callback of `Network.fit` that calls those of scikit-learn 1.9 (`set_callbacks`). Each epoch is a task."""

    def __init__(self, estimator: Any, data: Any) -> None:
        metadata = {} if data.weight is None else {"sample_weight": data.weight}
        self._data = {"estimator": estimator, "X": data.X, "y": data.y, "metadata": metadata}
        self._fitted = {"reconstruction_attributes": lambda: {"network_": copy.deepcopy(estimator.network_)}}
        self._last = estimator.max_iter
        self._fit = estimator._init_callback_context(max_subtasks=estimator.max_iter)
        self._fit.call_on_fit_task_begin(**self._data)
        self._epoch = self._begin()

    def _begin(self) -> Any:
        epoch = self._fit.subcontext(task_name="epoch")
        epoch.call_on_fit_task_begin(**self._data, **self._fitted)
        return epoch

    def on_epoch_end(self, logs: dict[str, Any]) -> bool:
        """Report the end of an epoch and the beginning of the next."""
        stop = self._epoch.call_on_fit_task_end(**self._data, **self._fitted)
        self._epoch = self._begin() if logs["epoch"] < self._last else None
        return bool(stop)

    def end(self) -> None:
        """Report the end of the fit and of an epoch that was announced but not run."""
        if self._epoch is not None:
            self._epoch.call_on_fit_task_end(estimator=self._data["estimator"])
        self._fit.call_on_fit_task_end(**self._data, **self._fitted)
