"""A scikit-learn transformer that encodes tables with a `TableEncoding`."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from chainrule._columns import Encoder
from chainrule._documented import Documented
from chainrule._frames import Frame
from chainrule._notebook import table
from chainrule._optional import require
from chainrule._suggest import explained
from chainrule.table import CategoricalFeatures, TableEncoding

BaseEstimator: Any = require("sklearn.base", "sklearn").BaseEstimator
TransformerMixin: Any = require("sklearn.base", "sklearn").TransformerMixin
_validation = require("sklearn.utils.validation", "sklearn")
_utils: Any = require("sklearn.utils", "sklearn")
_UNUSED: Any = require("sklearn.utils.metadata_routing", "sklearn").UNUSED


@explained
class TableEncoder(Documented, TransformerMixin, BaseEstimator):  # type: ignore[misc]
    r"""Encodes the columns of a table as float32 features.

    ============  ========================================================================================
    column        features
    ============  ========================================================================================
    numbers       :math:`x' / \sqrt{1 + (x'/3)^2}` with :math:`x' = (x - \mathrm{median})/(q_{75} - q_{25})`,
                  with the median for missing values; if any were missing during fit, another feature marks them
    dates         days since 1970-01-01, or the fraction of the day for times of day, encoded as numbers
    text,         one feature per level, 1 in rows with that level; missing is a separate level; all zeros for a
    booleans,     level not seen during fit. If there are more than `max_levels` levels, the most frequent of
    categories    those that occur more than once are kept, and all others share one feature
    others        columns without values, with a single value, or with different text in every row are left out
    ============  ========================================================================================

    If the quartiles are equal, their difference is replaced by the range or, with `bins`, by the standard deviation.

    Text is read as numbers or dates if all cells of the column are numbers or dates: ``12.5%``, ``$1,234.50``,
    ``€ 1.234,50``, ``12 kg``, ``(1.5)``, ``31.12.2023``, ``3 Jan 2020``, ``12:30``. If the column can be read in
    several ways, an error asks for `date_order` or `decimal`. Text of plain digits is encoded as levels, because it may
    be codes.

    A table is a data frame of pandas, polars or Arrow, any other eager data frame that narwhals supports (extra
    `sklearn`), or an array of numbers or objects. The same data give the same features in all of these.

    Parameters
    ----------
    categorical_features : "from_dtype", sequence of str, int or bool, or None, default="from_dtype"
        Columns to encode as levels even if their values are numbers or dates: those of a categorical type; those with
        the given names or positions, or with True in a mask of all columns; or none.
    max_levels : int, default=100
        The number of levels of a column that get a feature.
    date_order : {"dmy", "mdy", "ymd"}, optional
        How to read dates that are ambiguous in every row, such as ``01/02/2020``. Default: raise an error.
    decimal : {".", ","}, optional
        The decimal mark if every number is ambiguous, such as ``1,234``. Default: raise an error.
    bins : int, optional
        Give numbers and dates an additional feature for each of about this many bins: 0 below the bin, 1 above it,
        linear within it, so that the first layer learns a piecewise linear function of the column. The bins have equal
        weight, except that a value heavier than a bin becomes an edge. Columns with two values get no bins.
        Default: no bins.

    Attributes
    ----------
    encoding_ : TableEncoding
        The learned encoding. Its `transform` always returns an array, even with ``set_output``.
    n_features_in_ : int
        The number of columns of the table.
    feature_names_in_ : ndarray of str
        The names of the columns, if they are strings.

    Examples
    --------
    >>> import chainrule as cr
    >>> import pandas as pd
    >>> table = pd.DataFrame({"age": [20.0, 30.0, None, 40.0], "home": ["own", "rent", "own", None]})
    >>> encoder = cr.TableEncoder().fit(table)
    >>> list(encoder.get_feature_names_out())
    ['age', 'age missing', 'home=own', 'home=rent', 'home missing']
    >>> encoder.transform(table)[:, 1:]
    array([[0., 1., 0., 0.],
           [0., 0., 1., 0.],
           [1., 1., 0., 0.],
           [0., 0., 0., 1.]], dtype=float32)
    >>> cr.TableEncoder(bins=2).fit(table[["age"]]).transform(pd.DataFrame({"age": [25.0, 35.0]}))[:, 1:3]
    array([[0.5, 0. ],
           [1. , 0.5]], dtype=float32)
    """

    __metadata_request__fit = {"rows": _UNUSED}  # noqa: RUF012
    __metadata_request__transform = {"rows": _UNUSED}  # noqa: RUF012

    encoding_: TableEncoding
    n_features_in_: int

    def __init__(
        self,
        *,
        categorical_features: CategoricalFeatures = "from_dtype",
        max_levels: int = 100,
        date_order: str | None = None,
        decimal: str | None = None,
        bins: int | None = None,
    ) -> None:
        self.categorical_features = categorical_features
        self.max_levels = max_levels
        self.date_order = date_order
        self.decimal = decimal
        self.bins = bins

    def fit(
        self,
        X: Any,
        y: Any = None,
        *,
        rows: NDArray[np.intp] | None = None,
        sample_weight: ArrayLike | None = None,
    ) -> "TableEncoder":
        """Learn how each column is encoded; see `TableEncoding.learn` for errors and warnings.

        Parameters
        ----------
        X : data frame or array
            The table.
        y : ignored
        rows : array of int, optional
            The rows to learn from; default: all.
        sample_weight : array of float, shape (n_rows,), optional
            A row of weight w counts as w rows; a row of weight 0 does not count. If weights are below 1, they are
            divided by the smallest one. Default: 1 each.
        """
        return self.learn(X, rows=rows, sample_weight=sample_weight)

    def learn(
        self,
        X: Any,
        *,
        rows: NDArray[np.intp] | None = None,
        sample_weight: ArrayLike | None = None,
        more_to_come: bool = False,
    ) -> "TableEncoder":
        """Fit the encoder; see `fit`, and `TableEncoding.learn` for `more_to_come`."""
        frame = Frame.of(X)
        encoding = TableEncoding.learn(
            frame, rows=rows, sample_weight=sample_weight, more_to_come=more_to_come, **self.get_params()
        )
        self.__dict__.pop("feature_names_in_", None)
        names = frame.labels
        if names is not None and all(isinstance(name, str) for name in names):
            self.feature_names_in_ = np.array(names, dtype=object)
        self.encoding_ = encoding
        self.n_features_in_ = len(encoding.columns)
        return self

    def transform(self, X: Any, *, rows: NDArray[np.intp] | None = None) -> NDArray[np.float32]:
        """Return the features (m, n_features) of a table, or of some of its rows; see `TableEncoding.transform`."""
        _validation.check_is_fitted(self, "encoding_")
        return self.encoding_.transform(X, rows=rows)

    def get_feature_names_out(self, input_features: Any = None) -> NDArray[np.object_]:
        """Return the names of the features; `input_features` names the columns of an array, x0, x1, ... by default."""
        _validation.check_is_fitted(self, "encoding_")
        encoding = self.encoding_
        if input_features is not None:
            names = list(map(str, input_features))
            if len(names) != self.n_features_in_:
                raise ValueError(
                    f"input_features should have length equal to number of features ({self.n_features_in_}), "
                    f"got {len(names)}"
                )
            if names != list(getattr(self, "feature_names_in_", names)):
                raise ValueError("input_features is not equal to feature_names_in_")
            encoding = encoding.renamed(names)
        return np.array(encoding.feature_names, dtype=object)

    @property
    def columns(self) -> tuple[Encoder, ...]:
        """The encoder of each column, in the order of the table; empty before `fit`."""
        return self.encoding_.columns if hasattr(self, "encoding_") else ()

    @property
    def n_features(self) -> int:
        """The number of features that `transform` returns."""
        return self.encoding_.n_features

    @property
    def feature_names(self) -> list[str]:
        """The name of each feature."""
        return self.encoding_.feature_names

    def to_dict(self) -> dict[str, Any]:
        """Return the state, ready for JSON."""
        return self.encoding_.to_dict()

    @classmethod
    def from_dict(cls, state: Mapping[str, Any]) -> "TableEncoder":
        """Return a fitted encoder from a state that `to_dict` returned; raise ValueError if it is not one."""
        return cls.from_encoding(TableEncoding.from_dict(state))

    @classmethod
    def from_encoding(cls, encoding: TableEncoding) -> "TableEncoder":
        """Return a fitted encoder."""
        encoder = cls()
        encoder.encoding_ = encoding
        encoder.n_features_in_ = len(encoding.columns)
        return encoder

    def _html_repr(self) -> str:  # scikit-learn 1.7 or later calls it
        """Return scikit-learn's HTML and, after `fit`, a table of the columns."""
        shown: str = _utils.estimator_html_repr(self)
        if not self.columns:
            return shown
        rows = [(column.name, column.kind, column.width) for column in self.columns]
        return shown + table(["column", "read as", "features"], rows, f"{self.n_features:,} features")

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.allow_nan = True
        tags.transformer_tags.preserves_dtype = ["float32"]
        return tags
