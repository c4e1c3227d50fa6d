"""scikit-learn's callbacks (`set_callbacks`, since 1.9): each epoch is a task of the fit."""

import copy
from typing import Any

from chainrule.estimators._data import Data


class Bridge:
    """A callback of `Network.fit` that calls scikit-learn's callbacks."""

    def __init__(self, estimator: Any, data: Data) -> None:
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
        """Report the end of the fit, and of an epoch that was announced but not run."""
        if self._epoch is not None:
            self._epoch.call_on_fit_task_end(estimator=self._data["estimator"])
        self._fit.call_on_fit_task_end(**self._data, **self._fitted)
