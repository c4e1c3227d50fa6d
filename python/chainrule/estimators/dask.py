"""The MLP estimators on a Dask cluster: the rows stay on the workers, and this process keeps the network.

A fit gives the same bits as the local estimator, for any number of workers. Predictions for dask collections are lazy.
"""

import copy
import dataclasses
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from chainrule import dask
from chainrule._optional import require
from chainrule._suggest import explained
from chainrule.estimators import _options, _record, _sklearn
from chainrule.estimators._base import Perceptron
from chainrule.estimators._data import Data, split
from chainrule.estimators._labels import Labels, as_labels
from chainrule.estimators._parameters import check_parameters
from chainrule.estimators.classifier import MLPClassifier
from chainrule.estimators.regressor import MLPRegressor
from chainrule.network import Network
from chainrule.training import History
from chainrule.validation import metric_name


def _is_collection(value: Any) -> bool:
    return hasattr(value, "dask") and (hasattr(value, "chunks") or hasattr(value, "to_dask_array"))


def _array(name: str, value: Any) -> Any:
    """Return a dask array or table as a dask array."""
    if not _is_collection(value):
        raise TypeError(f"{name} must be a dask array or table, got {type(value).__name__}: use a local estimator")
    array = value.to_dask_array() if hasattr(value, "to_dask_array") else value
    return array.rechunk(dict.fromkeys(range(1, array.ndim), -1)) if array.ndim > 1 else array


def _found(labels: Any) -> tuple[int, NDArray[Any]]:
    """Return the number of rows of a partition of labels, and the distinct labels."""
    return len(labels), np.unique(as_labels(labels, "y"))


def _counts(targets: NDArray[Any], classes: int) -> NDArray[np.intp]:
    """Return how often each class occurs in each column of encoded labels."""
    columns = targets.reshape(len(targets), -1).T
    return np.array([np.bincount(column, minlength=classes) for column in columns])


def _balanced(counts: NDArray[np.intp]) -> dict[int, float]:
    """Return the weights of classes by number that give all classes that occur the same total weight."""
    found = np.flatnonzero(counts)
    weights = counts.sum() / (len(found) * counts[found])
    return dict(zip(found.tolist(), weights.tolist(), strict=True))


class OnDask(Perceptron, auto_wrap_output_keys=None):  # type: ignore[call-arg]
    """The base of the two estimators."""

    _local: Any  # the class of the local estimator

    @property
    def client(self) -> Any:
        """The `distributed.Client` to use; by default the current one of this process. Copies do not keep it."""
        found = vars(self).get("_client")
        return require("distributed", "dask").get_client() if found is None else found

    @client.setter
    def client(self, client: Any) -> None:
        self._client = client

    def __getstate__(self) -> Any:
        return {name: value for name, value in super().__getstate__().items() if name != "_client"}

    def to_local(self) -> Any:
        """Return a copy as an `MLPClassifier` or `MLPRegressor`, which predicts in this process and can be saved."""
        local = self._local(**self.get_params(deep=False))
        vars(local).update(copy.deepcopy(self.__getstate__()))
        return local

    def predict(self, X: Any) -> Any:
        """Predict classes or values: lazily, as a dask array, if X is a dask array or table."""
        return self._by_block("predict", X)

    def transform(self, X: Any) -> Any:
        """Compute the activations of the last hidden layer: lazily, if X is a dask array or table."""
        return self._by_block("transform", X)

    def score(self, X: Any, y: Any, sample_weight: Any = None) -> float:
        """Compute the score of the local estimator; targets and predictions are gathered in this process."""
        y, predictions, sample_weight = dask.gathered(self.client, [y, self.predict(X), sample_weight])
        local = self.to_local()
        local.predict = lambda X: predictions
        return float(local.score(None, np.asarray(y), sample_weight))

    def _by_block(self, method: str, X: Any) -> Any:
        _sklearn.validation.check_is_fitted(self)
        local = self.to_local()
        local.set_output(transform="default")  # arrays, whatever scikit-learn's configuration says
        if not _is_collection(X):
            return getattr(local, method)(X)
        self._check_names(X, reset=False)
        X = _array("X", X)
        local.callbacks = ()  # they may not be picklable
        vars(local).pop("feature_names_in_", None)  # the blocks are arrays
        call: Callable[[Any], NDArray[Any]] = getattr(local, method)
        like = call(np.zeros((1, X.shape[1]), local.network_.dtype))
        shape = {"drop_axis": 1} if like.ndim == 1 else {"chunks": (X.chunks[0], (like.shape[1],))}
        return X.map_blocks(call, **shape, dtype=like.dtype, meta=like[:0])

    def _check_names(self, X: Any, *, reset: bool) -> None:
        """Check the number and names of the columns; if `reset`, record them."""
        empty = X._meta if hasattr(X, "to_dask_array") else np.empty((0, X.shape[1]))
        _sklearn.validation.validate_data(self, empty, skip_check_array=True, reset=reset)

    def _fit_network(self, network: Network, X: Any, y: Any, **options: Any) -> History:
        return dask.fit(network, X, y, client=self.client, **options)

    @property
    def partial_fit(self) -> Any:
        """Raise AttributeError: partial_fit of this process would gather the rows."""
        raise AttributeError(
            f"{type(self).__name__} has no partial_fit: fit with warm_start=True continues training on Dask, and "
            "to_local() returns an estimator with a partial_fit for arrays in memory"
        )

    def _learn_rows(self, y: Any) -> tuple[int, Any]:
        """Return the number of rows, and the targets as the network takes them."""
        if y.ndim == 2 and y.shape[1] == 1:
            y = y[:, 0]
        return sum(self._of_blocks(len, y)), y

    def _times_class_weights(self, weight: Any, targets: Any, split_targets: NDArray[Any] | None) -> Any:
        """Multiply weights by those of the classes. split_targets: the targets of the training rows, if not all."""
        return weight

    def _of_blocks(self, function: Callable[[Any], Any], array: Any) -> list[Any]:
        delayed = require("dask", "dask").delayed(function)
        return dask.gathered(self.client, [delayed(block) for block in array.to_delayed().reshape(-1)])

    def _train_on(self, X: Any, y: Any, sample_weight: Any, validation: Any, **_: Any) -> Any:
        check_parameters(self)
        if self.preprocess not in ("auto", False):
            raise ValueError("preprocess is not available on Dask: encode the columns first")
        if callable(self.loss):
            raise ValueError(
                "a function as loss is not available on Dask, because it needs all rows of a batch in one place: "
                f"choose another loss, or fit {self._local.__name__} on X.compute() and y.compute()"
            )
        splits = validation is None and self.early_stopping and _options.is_stochastic(self.solver)
        if self.eval_metric is not None and validation is None and not splits:
            raise ValueError("eval_metric needs validation data: choose early_stopping=True or pass X_val and y_val")
        first = not (self.warm_start and hasattr(self, "coefs_"))
        if not first:
            self._check_same_network()
        rows = _array("X", X)
        self._check_names(X, reset=first)
        weight = None if sample_weight is None else _array("sample_weight", sample_weight)
        n_rows, targets = self._learn_rows(_array("y", y))
        dtype = self.dtype or (np.float32 if rows.dtype == np.float32 else np.float64)
        random = _sklearn.utils.check_random_state(self.random_state)
        data = Data(rows.astype(dtype), targets, weight)
        network = self._begin(data, random) if first else self._ensure_network()
        held_out, watched = None, None
        if splits:
            y, sample_weight = dask.gathered(self.client, [targets, weight])
            held_out = split(Data(None, y, sample_weight), self.validation_fraction, self._strata(y), random)
            n_rows = len(held_out)
        options = _options.fit_options(self, n_rows, incremental=False, watched=splits or validation is not None)
        if self.batch_size == "auto":
            options["batch_size"] = None
        options["seed"] = int(random.randint(2**31 - 1))
        if validation is not None:
            held_out = self._check_validation(*dask.gathered(self.client, validation), table=False)
        if held_out is not None:
            options |= {"validation": held_out.as_validation(), "metrics": self._metrics()}
            watched = metric_name(options["metrics"][0]) if options["metrics"] else "validation"
        weight = self._times_class_weights(weight, targets, held_out.targets() if splits and held_out else None)
        history = self._train(network, dataclasses.replace(data, weight=weight), options, watched)
        _record.record(self, history, n_rows, float(history.loss[-1]), watched, options.get("metrics", ()))
        _record.warn_at_end(self, history, None if splits else held_out, "held-out")  # None: not in this process
        return self


@explained
@dataclasses.dataclass(eq=False, repr=False)
class DaskMLPClassifier(OnDask, MLPClassifier, auto_wrap_output_keys=None):  # type: ignore[call-arg]
    """`MLPClassifier` on a Dask cluster: the rows stay on the workers, and each step is spread over them.

    X, y and ``sample_weight`` are dask arrays or tables of numbers; their chunks may differ. For any number of workers,
    the result has the same bits as `MLPClassifier` with the same parameters; see `chainrule.dask.fit`. Predictions for
    dask arrays and tables are lazy. `to_local` returns an `MLPClassifier`. Set ``client`` to use a client other than
    the current one.

    Parameters
    ----------
    solver, batch_size
        Default "lbfgs" and "auto", which here means all rows. Mini-batches need ``shuffle=cr.WithinParts(rows)`` or
        ``shuffle=False``.
    early_stopping, preprocess, loss
        Validation data are gathered in this process: ``X_val`` and ``y_val``, or the rows that ``early_stopping`` holds
        out, and then also y and ``sample_weight``. ``preprocess``, callable losses and `partial_fit` are not available.
    **others
        Those of `MLPClassifier`.

    Attributes
    ----------
    loss_
        With "lbfgs", the cost before the last step.
    **others
        Those of `MLPClassifier`.

    Examples
    --------
    >>> import chainrule as cr
    >>> import dask.array as da  # doctest: +SKIP
    >>> from distributed import Client  # doctest: +SKIP
    >>> with Client("tcp://scheduler:8786"):  # doctest: +SKIP
    ...     X, y = da.from_zarr("s3://bucket/X"), da.from_zarr("s3://bucket/y")
    ...     clf = cr.DaskMLPClassifier((256, 256), random_state=0).fit(X, y)
    ...     clf.predict_proba(X).to_zarr("s3://bucket/probabilities")
    ...     clf.to_local().save("model.safetensors")
    """

    solver: Any = dataclasses.field(default="lbfgs", kw_only=True)
    _local = MLPClassifier

    def predict_proba(self, X: Any) -> Any:
        """Predict the probability of each class: lazily, as a dask array, if X is a dask array or table."""
        return self._by_block("predict_proba", X)

    def predict_log_proba(self, X: Any) -> Any:
        """Predict the logarithms of the probabilities: lazily, if X is a dask array or table."""
        return self._by_block("predict_log_proba", X)

    def _learn_rows(self, y: Any) -> tuple[int, Any]:
        if y.ndim == 2 and y.shape[1] == 1:
            y = y[:, 0]
        lengths, distinct = zip(*self._of_blocks(_found, y), strict=True)
        classes = np.unique(np.concatenate(distinct))
        # For several labels per row, a small matrix with the same entries is of the same kind.
        labels = Labels.learn(classes if y.ndim == 1 else np.resize(classes, (len(classes), y.shape[1])))
        self._label_binarizer, self.classes_ = labels, labels.classes
        return sum(lengths), y.map_blocks(labels.encode, dtype=np.int32)

    def _times_class_weights(self, weight: Any, targets: Any, split_targets: NDArray[Any] | None) -> Any:
        if self.class_weight is None:
            return weight
        labels, by_class = self._label_binarizer, self.class_weight
        if isinstance(by_class, str) and by_class == "balanced":
            count = partial(_counts, classes=2 if labels.multilabel else len(labels.classes))
            counts = sum(self._of_blocks(count, targets)) if split_targets is None else count(split_targets)
            by_number = [_balanced(column) for column in counts]
            by_class = by_number if labels.multilabel else {labels.classes[k]: w for k, w in by_number[0].items()}
        shape = {"drop_axis": 1} if labels.multilabel else {}
        own = targets.map_blocks(partial(labels.weights, by_class), dtype=np.float64, **shape)
        return own if weight is None else weight * own


@explained
@dataclasses.dataclass(eq=False, repr=False)
class DaskMLPRegressor(OnDask, MLPRegressor, auto_wrap_output_keys=None):  # type: ignore[call-arg]
    """`MLPRegressor` on a Dask cluster; see `DaskMLPClassifier`.

    Parameters
    ----------
    **parameters
        Those of `MLPRegressor`, with the differences that `DaskMLPClassifier` lists.

    Examples
    --------
    >>> import chainrule as cr
    >>> reg = cr.DaskMLPRegressor((64, 64), max_iter=500)
    >>> reg.fit(X, y).predict(X_new).compute()  # doctest: +SKIP
    """

    solver: Any = dataclasses.field(default="lbfgs", kw_only=True)
    _local = MLPRegressor
