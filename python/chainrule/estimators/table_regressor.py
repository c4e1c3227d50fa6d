"""Regression of tables: one call, no tuning."""

import dataclasses
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from chainrule._suggest import explained
from chainrule.estimators import _docs
from chainrule.estimators._table_model import TableModel
from chainrule.estimators.regressor import Regressor
from chainrule.losses import Loss


@explained
@_docs.documented_table
@dataclasses.dataclass(eq=False, repr=False)
class TableRegressor(Regressor, TableModel):
    """Predicts numbers from the rows of a table: small networks on piecewise linear features, with no tuning.

    It predicts one or several targets. The columns may hold numbers, text, categories, booleans and dates, with missing
    values. Predictions stay within the range of the training targets, unless ``loss`` is a callable.

    Parameters
    ----------
    loss : str, loss or callable, default "squared_error"
        A loss of `Network` for values, such as "poisson", ``cr.Huber(delta=2.0)`` or ``cr.Quantile([0.1, 0.5, 0.9])``,
        which predicts each level; or a callable as for `Network.fit`. Targets are standardized, unless the loss depends
        on their unit, as "poisson" does and callables may.
    {parameters}

    Attributes
    ----------
    bounds_ : ndarray, shape (2,) or (2, n_targets)
        The smallest and the largest training target.
    {attributes}

    Examples
    --------
    >>> import chainrule as cr
    >>> import numpy as np
    >>> import pandas as pd
    >>> area = np.arange(30.0, 130.0)
    >>> table = pd.DataFrame({{"area": area, "town": ["Ayr", "Ely"] * 50}})
    >>> price = 2 * area + 40 * (table.town == "Ely")
    >>> reg = cr.TableRegressor(random_state=0).fit(table, price)
    >>> bool(reg.score(table, price) > 0.99)
    True
    """

    loss: Loss | Callable[..., Any] = dataclasses.field(default="squared_error", kw_only=True)

    def _network_loss(self) -> Any:
        return "squared_error" if callable(self.loss) else self.loss

    def _learn_targets(self, y: NDArray[Any], weight: NDArray[Any] | None = None) -> None:
        super()._learn_targets(y, weight)
        if not callable(self.loss):
            self.bounds_: NDArray[Any] = np.stack([y.min(axis=0), y.max(axis=0)]).astype(np.float64)
