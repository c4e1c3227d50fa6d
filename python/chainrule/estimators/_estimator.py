"""The base of all estimators: it checks tables and targets, and undoes the changes of a fit that raises."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
from numpy.typing import NDArray

from chainrule._baseline import constant_cost
from chainrule._documented import Documented
from chainrule._frames import Frame
from chainrule._objects import refuse_dask
from chainrule._suggest import did_you_mean
from chainrule.encoder import TableEncoder
from chainrule.estimators import _sklearn, _tables
from chainrule.estimators._data import Data, refuse_masked
from chainrule.estimators._files import Savable
from chainrule.estimators._stages import HeldOut
from chainrule.network import Network
from chainrule.rows import Rows
from chainrule.target import Target

NOT_FINITE = (
    "Solver produced non-finite parameter weights. The input data may contain large values and need to be preprocessed."
)
_fitting: dict[int, object] = {}  # keyed by id, because an estimator that holds a lock could not be pickled


@contextmanager
def exclusive(estimator: object) -> Iterator[None]:
    """Raise RuntimeError if another call, from another thread or a callback, is fitting the estimator."""
    call = object()
    if _fitting.setdefault(id(estimator), call) is not call:  # atomic
        raise RuntimeError(f"this {type(estimator).__name__} is being trained by another call")
    try:
        yield
    finally:
        del _fitting[id(estimator)]


def refuse_text(y: Any) -> None:
    """Raise ValueError with advice if a regression target holds text that is not a number."""
    values = np.asarray(y)
    if values.dtype.kind not in "OSU":
        return
    try:
        values.astype(np.float64)
    except (TypeError, ValueError) as error:
        if str(error).startswith("could not convert string to float"):
            advice = "y must hold numbers: remove units and currencies, and convert it with pandas.to_numeric"
            raise ValueError(f"{advice} ({error})") from None


class Estimator(
    Documented,
    Savable,
    _sklearn.ClassNamePrefixFeaturesOutMixin,  # type: ignore[misc]
    _sklearn.TransformerMixin,  # type: ignore[misc]
    _sklearn.BaseEstimator,  # type: ignore[misc]
):
    """The base of `Perceptron` and of `TableModel`; a mixin adds what classification or regression needs."""

    encoder_: TableEncoder
    network_: Network
    loss: Any
    n_threads: int | None
    _y_numeric: bool
    _train_on: Callable[..., Any]  # (X, y, sample_weight, validation); if it raises, some attributes may be set
    _encode: Callable[..., Any]  # encodes targets
    _network_loss: Callable[[], Any]
    _count_outputs: Callable[[Any], Any]
    _inputs: Callable[[Any], tuple[Network, Any]]  # the network, and rows of X in the form that it takes

    def set_params(self, **params: Any) -> Any:
        """Set parameters as scikit-learn does. The error for an unknown one suggests the intended name."""
        try:
            return super().set_params(**params)
        except ValueError as error:
            valid = self._get_param_names()
            hints = (did_you_mean(name, valid, sentence=True) for name in params if name not in valid)
            error.args = (f"{error}{next(hints, '')}",)
            raise

    def transform(self, X: Any) -> NDArray[Any]:
        """Compute the activations of the last hidden layer, shape (n_samples, units), as features for other models.

        They have the network's dtype, unless ``set_output`` chose a data frame. `Network.hidden_activations` computes
        those of other layers. X: see `fit`.

        Raises
        ------
        ValueError
            If the network has no hidden layer, and for invalid X.

        Examples
        --------
        >>> import chainrule as cr
        >>> from sklearn.datasets import load_iris
        >>> X, y = load_iris(return_X_y=True)
        >>> clf = cr.MLPClassifier((16, 8), solver="lbfgs", alpha=0.1, random_state=0).fit(X, y)
        >>> clf.transform(X).shape, list(clf.get_feature_names_out()[:2])
        ((150, 8), ['mlpclassifier0', 'mlpclassifier1'])
        """
        network, rows = self._inputs(X)
        return network.hidden_activations(rows, n_threads=self.n_threads)

    @property
    def _n_features_out(self) -> int:
        """Number of columns that `transform` returns; `get_feature_names_out` reads it."""
        return self.network_.layer_sizes[-2]

    def _outputs(self, X: Any) -> NDArray[Any]:
        """Compute the network's outputs for rows of X, shape (m, n_outputs)."""
        network, rows = self._inputs(X)
        return network.predict(rows, n_threads=self.n_threads)

    def _fit(self, X: Any, y: Any, sample_weight: Any, validation: Any = None, **partial: Any) -> Any:
        """Train. After an error the estimator is unchanged. Arguments: see `_train_on`."""
        with exclusive(self), self._unchanged_on_error():
            return self._train_on(X, y, sample_weight, validation, **partial)

    @contextmanager
    def _unchanged_on_error(self) -> Iterator[None]:
        """Restore all attributes, and the parameters of the network, if the block raises."""
        before = dict(vars(self))
        network = before.get("network_")
        parameters = None if network is None else network.parameters.copy()
        try:
            yield
        except BaseException:
            self.__dict__ = before
            if network is not None:
                network.parameters[...] = parameters
            raise

    def _read_targets(self, y: Any) -> Any:
        """Return targets for scikit-learn to check."""
        refuse_masked("y", y)
        refuse_dask("y", y)
        if self._y_numeric:
            refuse_text(y)
        return y

    def _check_table(self, X: Any, y: Any, first: bool) -> tuple[Any, Any]:
        """Check the number and names of the columns, and the targets. The encoder checks the values of the columns."""
        X = _tables.as_table(X)
        self._check_columns(X, first)
        n_rows = X.shape[0] if isinstance(X, Rows) else len(X)
        options = {"dtype": None, "multi_output": True, "y_numeric": self._y_numeric, "estimator": self}
        _, y = _sklearn.validation.check_X_y(np.zeros((n_rows, 1)), y, **options)
        if y.ndim == 2 and y.shape[1] == 1:
            y = _sklearn.validation.column_or_1d(y, warn=True)
        return Frame.of(X, keep=first), y

    def _check_columns(self, X: Any, first: bool) -> None:
        """Store or compare the number and names of the columns."""
        X = X.empty_table() if isinstance(X, Rows) else X
        _sklearn.validation.validate_data(self, X, skip_check_array=True, reset=first)

    def _encode_table(self, X: Any, dtype: Any) -> Any:
        """Encode a table to predict on."""
        X = _tables.as_table(X)
        self._check_columns(X, first=False)
        return self.encoder_.encoding_.inputs(X, dtype)

    def _target(self) -> Target:
        """Return the target, which converts labels or values for the network, and outputs to predictions."""
        standardizer, bounds = getattr(self, "standardizer_", None), getattr(self, "bounds_", None)
        return Target("", standardizer=standardizer, bounds=bounds)

    def _learn_targets(self, y: NDArray[Any], weight: NDArray[Any] | None = None) -> None:
        """Learn from the targets of a table how to scale them. Classes are not scaled."""

    def _scale_targets(self, y: NDArray[Any]) -> NDArray[Any]:
        """Scale the targets of a table with the learned scale."""
        return y

    def _no_better_than_constant(self, data: Data | HeldOut, part: str, bound: float = np.inf) -> str:
        """Return a warning if the network's cost is not below that of the best constant prediction, otherwise "".

        ``data`` are the held-out rows or, if there are none, the training rows with the weights of their classes;
        ``part`` is their name. ``bound`` is an upper bound of the cost, which saves the computation if it is low.
        """
        y = data.y if data.weight is None else data.y[data.weight > 0]
        if callable(self.loss) or (y == y[0]).all():  # the best constant is unknown, or all targets are equal
            return ""
        network = self.network_
        constant = constant_cost(network.loss_spec, data.y, data.weight, outputs=network.layer_sizes[-1])
        threshold = constant - 1e-6 * abs(constant)
        if bound < threshold:
            return ""
        cost = data.cost_of(network, self.n_threads)
        if cost < threshold:
            return ""
        return (
            f"The network predicts the {part} rows no better than a constant: its cost is {cost:.6g}, that of the best "
            f"constant prediction {constant:.6g}."
        )

    def _with_class_weights(self, data: Data, incremental: bool) -> Data:
        """Multiply the weights of the training rows by those of their classes."""
        return data
