"""Classification with the interface of scikit-learn."""

import dataclasses
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from chainrule._objects import refuse_dask
from chainrule._suggest import did_you_mean, explained
from chainrule.estimators import _docs, _sklearn
from chainrule.estimators._base import Perceptron, has_partial_fit
from chainrule.estimators._data import Data, split_mask
from chainrule.estimators._labels import Labels, as_labels
from chainrule.estimators._parameters import InvalidParameterError
from chainrule.losses import SoftmaxCrossEntropy
from chainrule.target import Target

if TYPE_CHECKING:
    from typing_extensions import Self


class Classifier(_sklearn.ClassifierMixin):  # type: ignore[misc]
    """Base of estimators for classification: labels, probabilities, and weights of classes."""

    _y_numeric = False

    def predict(self, X: Any) -> NDArray[Any]:
        """Predict the most probable class, shape (n_samples,), or 0 or 1 for each label. X: see `fit`.

        The labels are a CSR matrix if those in `fit` were one.
        """
        outputs = self._outputs(X)
        labels = self._label_binarizer.decode(outputs)
        return _sklearn.sparse.csr_matrix(labels) if self._label_binarizer.sparse else labels

    def predict_proba(self, X: Any) -> NDArray[Any]:
        """Predict probabilities, shape (n_samples, n_classes), in the order of ``classes_``. X: see `fit`.

        Each row sums to 1, except for multi-label targets.
        """
        outputs = self._outputs(X)
        return self._label_binarizer.probabilities(outputs)

    def predict_log_proba(self, X: Any) -> NDArray[Any]:
        """Return the logarithms of `predict_proba`; -inf for a probability of 0."""
        probabilities = self.predict_proba(X)
        with np.errstate(divide="ignore"):
            np.log(probabilities, out=probabilities)
        return probabilities

    def score(self, X: Any, y: Any, sample_weight: ArrayLike | None = None) -> float:
        """Compute the accuracy. A multi-label row counts only if all its labels are right. Arguments: see `fit`."""
        refuse_dask("sample_weight", sample_weight)
        y, mask = split_mask(y)
        y = as_labels(y, "y")
        if mask is None:
            return float(super().score(X, y, sample_weight))
        right = ((self.predict(X) == y) | mask).all(axis=1)  # of the labels that are there
        rows = ~mask.all(axis=1)
        return float(
            np.average(right[rows], weights=None if sample_weight is None else np.asarray(sample_weight)[rows])
        )

    def _read_targets(self, y: Any) -> Any:
        return as_labels(super()._read_targets(y), "y")

    def _encode(self, y: Any, *, new: bool, exact: bool, classes: Any = None) -> NDArray[Any]:
        if classes is not None:
            multilabel = _sklearn.multiclass.type_of_target(y).startswith("multilabel")
            labels = Labels.learn(y if multilabel else as_labels(classes, "classes"))
            if not hasattr(self, "classes_"):
                self._label_binarizer, self.classes_ = labels, labels.classes
            elif not np.array_equal(self.classes_, labels.classes):
                raise ValueError(
                    f"`classes={classes!r}` is not the same as on last call to partial_fit, was: {self.classes_!r}"
                )
        if new:
            self._label_binarizer = Labels.learn(y)
            self.classes_ = self._label_binarizer.classes
        else:
            found = self._label_binarizer.found_in(y)
            if exact and not np.array_equal(found, np.unique(self.classes_)):
                raise ValueError(
                    "warm_start can only be used where `y` has the same classes as in the previous call to fit. "
                    f"Previously got {self.classes_}, `y` has {found}"
                )
            if len(np.setdiff1d(found, self.classes_, assume_unique=True)):
                raise ValueError(
                    f"`y` has classes not in `self.classes_`. `self.classes_` has {self.classes_}. 'y' has {found}."
                )
        return self._label_binarizer.encode(y)

    def _target(self) -> Target:
        return self._label_binarizer

    def _is_smoothed(self) -> bool:
        return not isinstance(self.loss, str) and isinstance(self.loss, SoftmaxCrossEntropy)

    def _check_loss(self) -> None:
        """Raise InvalidParameterError unless ``loss`` suits the classes."""
        smoothed = self._is_smoothed() and not self._label_binarizer.multilabel
        if self.loss != "log_loss" and not callable(self.loss) and not smoothed:
            raise InvalidParameterError(
                f"The 'loss' parameter of {type(self).__name__} must be 'log_loss', a callable or, without multi-label "
                f"targets, an instance of 'SoftmaxCrossEntropy'. Got {self.loss!r} instead."
                + did_you_mean(self.loss, ["log_loss"], sentence=True)
            )

    def _with_class_weights(self, data: Data, incremental: bool) -> Data:
        if self.class_weight is None:
            return data
        if np.ma.is_masked(data.y):
            raise ValueError("class_weight needs every label, y has masked entries")
        if incremental and isinstance(self.class_weight, str):
            raise ValueError("partial_fit cannot balance classes of later calls: give class_weight as a dict")
        rows: Any = slice(None) if data.rows is None else data.rows
        weight = np.ones(len(data.y)) if data.weight is None else data.weight.astype(np.float64)
        weight[rows] *= self._label_binarizer.weights(self.class_weight, data.targets())
        return dataclasses.replace(data, weight=weight)

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.classifier_tags.multi_label = True
        return tags


@explained
@_docs.documented(metric='"accuracy", of all labels together for multi-label targets')
@dataclasses.dataclass(eq=False, repr=False)
class MLPClassifier(Classifier, Perceptron):
    """A multilayer perceptron for classification: scikit-learn's estimator of this name, with additional features.

    It predicts two or more classes, or several labels per row (y is then a matrix of 0 and 1). scikit-learn's
    parameters keep their names, defaults and meanings, and the same ``random_state`` gives the same initial weights and
    held-out rows.

    Parameters
    ----------
    {parameters}
    class_weight : dict, "balanced" or None, default None
        Weights of the classes; classes that are not named have weight 1. In training they multiply ``sample_weight``;
        validation does not use them. "balanced" gives all classes the same total weight. For several labels per row, a
        list of dicts with the keys 0 and 1.
    loss : str, loss or callable, default "log_loss"
        "log_loss" is the cross-entropy for the type of the target. Alternatively
        ``cr.SoftmaxCrossEntropy(label_smoothing=0.1)``, or a callable as for `Network.fit`.

    Attributes
    ----------
    classes_ : ndarray
        Class labels in ascending order.
    {attributes}

    Examples
    --------
    >>> import chainrule as cr
    >>> from sklearn.datasets import load_iris
    >>> X, y = load_iris(return_X_y=True)
    >>> clf = cr.MLPClassifier(hidden_layer_sizes=20, solver="lbfgs", alpha=0.1, random_state=0)
    >>> bool(clf.fit(X, y).score(X, y) > 0.95)
    True

    Features that scikit-learn's estimator does not have:

    >>> clf = cr.MLPClassifier((32, 32), activation="gelu", dropout=0.1, solver=cr.AdamW(learning_rate=0.01),
    ...                        learning_rate=cr.Cosine(), class_weight="balanced", max_iter=50, random_state=0)
    >>> clf.fit(X[::2], y[::2], X_val=X[1::2], y_val=y[1::2]).network_.layer_sizes
    (4, 32, 32, 3)
    """

    loss: Literal["log_loss"] | SoftmaxCrossEntropy | Callable[..., Any] = dataclasses.field(
        default="log_loss", kw_only=True
    )
    class_weight: Any = dataclasses.field(default=None, kw_only=True)

    @_sklearn.available_if(has_partial_fit)
    @explained
    def partial_fit(
        self, X: Any, y: Any, sample_weight: ArrayLike | None = None, classes: ArrayLike | None = None
    ) -> "Self":
        """Train for one epoch, starting from the current weights and the current state of the optimizer.

        Parameters
        ----------
        X, y, sample_weight
            See `fit`.
        classes : array_like, optional
            All classes that occur in any call; required in the first call.

        Returns
        -------
        self
            The estimator.
        """
        if classes is None and not hasattr(self, "classes_"):
            raise ValueError("classes must be passed on the first call to partial_fit.")
        self._fit(X, y, sample_weight, incremental=True, classes=classes)
        return self

    def _network_loss(self) -> Any:
        self._check_loss()
        if self._is_smoothed():
            return self.loss
        return "softmax_cross_entropy" if self._label_binarizer.y_type == "multiclass" else "binary_cross_entropy"

    def _count_outputs(self, y: NDArray[Any] | None) -> int:
        if self._label_binarizer.y_type == "binary":
            return 2 if self._is_smoothed() else 1
        return len(self.classes_)

    def _strata(self, y: NDArray[Any]) -> Any:
        if self._label_binarizer.y_type == "binary" and self.stratify is not False:
            return y.astype(bool).reshape(-1, 1)
        return self.classes_[y] if self.stratify and not self._label_binarizer.multilabel else None
