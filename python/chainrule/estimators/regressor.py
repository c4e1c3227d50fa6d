"""Regression with the interface of scikit-learn."""

import dataclasses
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from chainrule import _core
from chainrule._objects import refuse_dask
from chainrule._suggest import explained
from chainrule._warn import warn
from chainrule.estimators import _docs, _sklearn, _tables
from chainrule.estimators._base import Perceptron, has_partial_fit
from chainrule.losses import Loss, Quantile, to_core
from chainrule.target import Standardizer

if TYPE_CHECKING:
    from typing_extensions import Self

_FAR = 10.0  # warn if the root mean square of standardized targets exceeds this; it is 1 in the first call


class Regressor(_sklearn.RegressorMixin):  # type: ignore[misc]
    """Base of estimators for regression: scaled targets, predictions in the unit of the targets, R²."""

    _y_numeric = True

    def predict(self, X: Any) -> NDArray[Any]:
        """Predict values, shape (n_samples,) or (n_samples, n_outputs), in the network's dtype. X: see `fit`."""
        predictions: NDArray[Any] = self._target().decode(self._outputs(X))
        return predictions

    def score(self, X: Any, y: Any, sample_weight: ArrayLike | None = None) -> float:
        """Compute R²; for quantiles, the mean of their D² scores, which are R² with the pinball loss.

        It is at most 1, and 0 for the best constant prediction. Arguments: see `fit`.
        """
        refuse_dask("y", y)
        refuse_dask("sample_weight", sample_weight)
        if np.ma.is_masked(y) and y.ndim == 2:
            weight = np.ones(len(y)) if sample_weight is None else np.asarray(sample_weight)
            there, targets = ~np.ma.getmaskarray(y).T, np.ma.getdata(y).T
            scores = [
                _sklearn.metrics.r2_score(column[rows], found[rows], sample_weight=weight[rows])
                for column, found, rows in zip(targets, self.predict(X).T, there, strict=True)
            ]
            return float(np.mean(scores))
        if not self._has_levels():
            return float(super().score(X, y, sample_weight))
        quantiles = self.predict(X).reshape(len(y), -1).T
        score = _sklearn.metrics.d2_pinball_score
        found = [
            score(y, quantile, sample_weight=sample_weight, alpha=level)
            for quantile, level in zip(quantiles, self.loss.levels, strict=True)
        ]
        return float(np.mean(found))

    def _encode(self, y: Any, *, new: bool, exact: bool, classes: Any = None) -> Any:
        if self._has_levels() and y.ndim == 2:
            raise ValueError(
                f"Quantile predicts several levels of one target, y has {y.shape[1]} columns: "
                "fit one estimator for each column, for example with sklearn.multioutput.MultiOutputRegressor"
            )
        return y

    def _network_loss(self) -> Any:
        return "squared_error" if callable(self.loss) else self.loss

    def _count_outputs(self, y: NDArray[Any] | None) -> int | None:
        if self._has_levels():
            return len(self.loss.levels)
        return None if y is None else 1 if y.ndim == 1 else y.shape[1]

    def _learn_targets(self, y: NDArray[Any], weight: NDArray[Any] | None = None) -> None:
        if hasattr(self, "standardizer_"):
            del self.standardizer_
        if self._standardizes():
            self.standardizer_: Standardizer = Standardizer.fit(y, weight)

    def _standardizes(self) -> bool:
        """Return whether the loss allows targets in any unit, so that those of a table are standardized."""
        return not callable(self.loss) and _core.LOSSES[to_core(self.loss)[0]].unit_free

    def _scale_targets(self, y: NDArray[Any]) -> NDArray[Any]:
        scaled: NDArray[Any] = self._target().encode(y)
        return scaled

    def _has_levels(self) -> bool:
        """Return whether each output predicts a quantile, not a target."""
        return not isinstance(self.loss, str) and isinstance(self.loss, Quantile)

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.target_tags.multi_output = True
        return tags


@dataclasses.dataclass(eq=False, repr=False)
class FirstParameter:
    """Declares the parameter ``loss``, which precedes the parameters that both estimators share."""

    loss: Loss | Callable[..., Any] = "squared_error"


@explained
@_docs.documented(metric='"r2"')
@dataclasses.dataclass(eq=False, repr=False)
class MLPRegressor(Regressor, Perceptron, FirstParameter):
    """A multilayer perceptron for regression: scikit-learn's estimator of this name, with additional features.

    It predicts one or several targets. scikit-learn's parameters keep their names, defaults and meanings, and the same
    ``random_state`` gives the same initial weights and held-out rows.

    Parameters
    ----------
    loss : str, loss or callable, default "squared_error"
        A loss of `Network` for values, such as "poisson", ``cr.Huber(delta=2.0)`` or ``cr.Quantile([0.1, 0.5, 0.9])``,
        which predicts each level; or a callable as for `Network.fit`.
    {parameters}

    Attributes
    ----------
    {attributes}

    Examples
    --------
    >>> import chainrule as cr
    >>> import numpy as np
    >>> X = np.linspace(-2, 2, 200).reshape(-1, 1)
    >>> y = np.sin(X[:, 0])
    >>> reg = cr.MLPRegressor(hidden_layer_sizes=20, activation="tanh", solver="lbfgs", max_iter=500, random_state=0)
    >>> bool(reg.fit(X, y).score(X, y) > 0.999)
    True

    A feature that scikit-learn's estimator does not have: an interval that contains 80 % of the values.

    >>> reg = cr.MLPRegressor(cr.Quantile([0.1, 0.9]), 20, activation="silu", learning_rate=cr.OneCycle(),
    ...                       learning_rate_init=0.01, max_iter=100, random_state=0)
    >>> reg.fit(X, y).predict(X[:3]).shape
    (3, 2)
    """

    @_sklearn.available_if(has_partial_fit)
    @explained
    def partial_fit(self, X: Any, y: Any, sample_weight: ArrayLike | None = None) -> "Self":
        """Train for one epoch, starting from the current weights and the current state of the optimizer.

        Parameters
        ----------
        X, y, sample_weight
            See `fit`.

        Returns
        -------
        self
            The estimator.
        """
        self._fit(X, y, sample_weight, incremental=True)
        return self

    def _check_new_loss(self) -> None:
        if hasattr(self, "encoder_") and hasattr(self, "standardizer_") != self._standardizes():
            trained_on = "standardized targets" if hasattr(self, "standardizer_") else "targets in their own unit"
            raise ValueError(
                f"loss={self.loss!r} needs other targets than the network, which was trained on {trained_on}: "
                "call fit with warm_start=False"
            )

    def _check_scale_of_targets(self, y: NDArray[Any]) -> None:
        size = np.sqrt(np.mean(np.square(self._scale_targets(y)))) if hasattr(self, "standardizer_") else 0.0
        if size > _FAR:
            warn(
                f"The targets are {size:.3g} standard deviations away from the mean of those in the first call of "
                "partial_fit, which fixed their scale. Begin with rows that resemble the later ones, or scale y"
            )

    def _metrics(self) -> tuple[Any, ...]:
        if not hasattr(self, "standardizer_"):
            return super()._metrics()
        return tuple(_tables.in_unit_of_targets(metric, self.standardizer_) for metric in super()._metrics())

    def _strata(self, y: NDArray[Any]) -> None:
        return None
