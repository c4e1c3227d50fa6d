"""Classification of tables: one call, no tuning."""

import dataclasses
from collections.abc import Callable
from typing import Any, Literal

from numpy.typing import NDArray

from chainrule._suggest import explained
from chainrule.estimators import _docs
from chainrule.estimators._recipe import Recipe
from chainrule.estimators._table_model import TableModel
from chainrule.estimators.classifier import Classifier
from chainrule.losses import SoftmaxCrossEntropy


@explained
@_docs.documented_table
@dataclasses.dataclass(eq=False, repr=False)
class TableClassifier(Classifier, TableModel):
    """Classifies the rows of a table: small networks on piecewise linear features, with settings that need no tuning.

    It predicts two or more classes, or several labels per row (y is then a matrix of 0 and 1). The columns may hold
    numbers, text, categories, booleans and dates, with missing values.

    Parameters
    ----------
    loss : str, loss or callable, default "log_loss"
        "log_loss" is the cross-entropy for the type of the target, with a little label smoothing. Alternatively
        ``cr.SoftmaxCrossEntropy(label_smoothing=0.1)``, or a callable as for `Network.fit`.
    class_weight : dict, "balanced" or None, default None
        Weights of the classes, which multiply ``sample_weight``; classes that are not named have weight 1. "balanced"
        gives all classes the same total weight. For several labels per row, a list of dicts with the keys 0 and 1.
    {parameters}

    Attributes
    ----------
    classes_ : ndarray
        Class labels in ascending order.
    {attributes}

    Examples
    --------
    >>> import chainrule as cr
    >>> import pandas as pd
    >>> table = pd.DataFrame({{"age": range(20, 80), "home": ["own", "rent", None] * 20}})
    >>> pays = (table.age > 40) & (table.home != "rent")
    >>> clf = cr.TableClassifier(random_state=0).fit(table, pays)
    >>> clf.predict(table[:3]), clf.predict(table[-3:])
    (array([False, False, False]), array([ True, False,  True]))
    """

    loss: Literal["log_loss"] | SoftmaxCrossEntropy | Callable[..., Any] = dataclasses.field(
        default="log_loss", kw_only=True
    )
    class_weight: Any = dataclasses.field(default=None, kw_only=True)

    def _network_loss(self) -> str:
        self._check_loss()
        labels = self._label_binarizer
        one_output = labels.multilabel or (callable(self.loss) and labels.y_type == "binary")
        return "binary_cross_entropy" if one_output else "softmax_cross_entropy"

    def _training_loss(self, recipe: Recipe) -> Any:
        if self._is_smoothed():
            return self.loss
        loss = self._network_loss()
        smooth = loss == "softmax_cross_entropy" and not callable(self.loss)
        return SoftmaxCrossEntropy(label_smoothing=recipe.label_smoothing) if smooth else loss

    def _count_outputs(self, y: NDArray[Any]) -> int:
        labels = self._label_binarizer
        if labels.y_type != "binary":
            return len(labels.classes)
        return 2 if self._network_loss() == "softmax_cross_entropy" else 1
