"""Encodes tables as float32 features: columns of numbers, text, booleans and dates, with missing values.

The encoding is learned from the training rows, stored with the model as plain data, and used by `predict`. The formulas
are those of RealMLP (Holzmüller, Grinsztajn, Steinwart 2024, "Better by default",
https://arxiv.org/abs/2407.04491).
"""

import dataclasses
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Literal, TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray

from chainrule._arguments import integer
from chainrule._columns import FORMAT, Encoder, Settings, check_format, fit_column, from_state, to_state
from chainrule._formats import ORDERS
from chainrule._frames import FileFrame, Frame, has_numeric_types, is_frame
from chainrule._objects import refuse_dask
from chainrule._stored import StoredArray
from chainrule._suggest import closest, did_you_mean, listed
from chainrule._warn import warn
from chainrule.binned import BinnedFeatures, BinnedRows, write_features
from chainrule.rows import Rows

CategoricalFeatures: TypeAlias = Literal["from_dtype"] | Sequence[str] | ArrayLike | None
SHOWN = 10  # the maximum number of columns that get a warning or are listed in a message


class TableEncoding:
    """The learned encoding of a table: how each column becomes features. `TableEncoder` describes the features.

    It does not need scikit-learn. An encoder stores it as ``encoding_``; the estimators use it too.

    Attributes
    ----------
    columns : tuple
        The encoder of each column, in the order of the table.

    Examples
    --------
    >>> import numpy as np
    >>> from chainrule.table import TableEncoding
    >>> table = np.array([["own", 20], ["rent", 30], ["own", None]], dtype=object)
    >>> encoding = TableEncoding.learn(table)
    >>> encoding.feature_names
    ['x0=own', 'x0=rent', 'x1', 'x1 missing']
    >>> TableEncoding.from_dict(encoding.to_dict()).transform(table)
    array([[ 1.       ,  0.       , -0.9486833,  0.       ],
           [ 0.       ,  1.       ,  0.9486833,  0.       ],
           [ 1.       ,  0.       ,  0.       ,  1.       ]], dtype=float32)
    """

    def __init__(self, columns: Sequence[Encoder]) -> None:
        self.columns = tuple(columns)

    @classmethod
    def learn(
        cls,
        table: Any,
        *,
        rows: NDArray[np.intp] | None = None,
        sample_weight: ArrayLike | None = None,
        categorical_features: CategoricalFeatures = "from_dtype",
        max_levels: int = 100,
        date_order: str | None = None,
        decimal: str | None = None,
        bins: int | None = None,
        more_to_come: bool = False,
    ) -> "TableEncoding":
        """Learn from the training rows of a table how each column is encoded.

        Parameters
        ----------
        table : data frame, array or Frame
            The table.
        rows : array of int, optional
            The training rows, from which to learn; default: all.
        sample_weight : array of float, shape (m,), optional
            A row of weight w counts as w rows; a row of weight 0 does not count. If weights are below 1, they are
            divided by the smallest one. Default: 1 each.
        categorical_features, max_levels, date_order, decimal, bins
            See `TableEncoder`.
        more_to_come : bool, default=False
            The table is the first part of a larger one, as in the first call of `partial_fit`. Constant columns are
            then kept, because they may vary later; a constant number is divided by its absolute value, or by 1 if it is
            0. Text has a feature for levels that occur only later, and every column has one for missing values.

        Raises
        ------
        ValueError
            For a column that can be read in several ways, an infinite number, two columns with the same name, a table
            without a column that varies, or an invalid option.
        TypeError
            For a column that contains anything but numbers, text, booleans and dates.

        Warns
        -----
        UserWarning
            For text of which most but not all cells are numbers or dates; one warning for each of the first 10 columns.
        """
        if date_order not in (None, *ORDERS):
            expected = f"expected None or one of {', '.join(map(repr, ORDERS))}"
            raise ValueError(f"date_order is {date_order!r}, {expected}{did_you_mean(date_order, ORDERS)}")
        if decimal not in (None, ".", ","):
            raise ValueError(f"decimal is {decimal!r}, expected None, '.' or ','")
        frame = Frame.of(table)
        rows, weight = _weigh(rows, sample_weight, len(frame))
        n_rows = len(frame) if rows is None else len(rows)
        categorical = _choose_categorical(categorical_features, frame.names)
        if not frame.names:
            raise ValueError(f"0 feature(s) (shape=({n_rows}, 0)) while a minimum of 1 is required.")
        if not n_rows:
            raise ValueError("the table has no rows")
        n_levels, n_bins = integer("max_levels", max_levels, low=1), integer("bins", bins or 0, low=0)
        settings = Settings(n_levels, date_order, decimal, n_bins, more_to_come)
        messages: list[str] = []
        columns = []
        for place in range(len(frame.names)):
            column = frame.column(place, rows)
            is_categorical = column.categorical if categorical is None else place in categorical
            columns.append(fit_column(column, is_categorical, weight, settings, messages.append))
        if not any(column.width for column in columns):
            raise ValueError(f"the table has no column to learn from: none of them varies over its {n_rows} sample(s)")
        _warn(messages)
        return cls(columns)

    def transform(self, table: Any, *, rows: NDArray[np.intp] | None = None, warn: bool = True) -> NDArray[np.float32]:
        """Return the features of a table, or of some of its rows, as an array of shape (m, n_features).

        The columns of a data frame may have any order, and additional columns are ignored. The columns of an array must
        have the same order as during fit.

        Raises
        ------
        ValueError
            For a missing column, or a value of another kind than during fit. The message names the column, the value
            and the row: its index label if the index consists of whole numbers, else its number, counted from 1.

        Warns
        -----
        UserWarning
            For a column with levels that were not seen during fit, or with missing values if it had none during fit,
            unless `warn` is False; one warning for each of the first 10 columns.
        """
        frame = Frame.of(table)
        features = np.zeros((len(frame) if rows is None else len(rows), self.n_features), dtype=np.float32)
        start = 0
        messages: dict[int, str] = {}
        for (_, width), codes, values in self._encode(frame, rows, messages):
            write_features(features[:, start : start + width], codes, values)
            start += width
        if warn:
            _warn([*messages.values()])
        return features

    def inputs(self, table: Any, dtype: Any, *, rows: NDArray[np.intp] | None = None, warn: bool = True) -> Any:
        """Return the rows as inputs for a network of this dtype: `BinnedRows` if columns have bins, else the features.

        Rows in files are encoded part by part, and the results stored in temporary files. See `transform` for the
        arguments, errors and warnings.
        """
        if all(kind != "bins" for kind, _ in self._layout):
            return self.features(table, dtype, rows=rows, warn=warn)
        frame = Frame.of(table)
        if isinstance(frame, FileFrame):
            return self._store(frame, dtype, dtype, rows, warn)
        messages: dict[int, str] = {}
        codes, values = self._numbers(frame, dtype, rows, messages)
        if warn:
            _warn([*messages.values()])
        return BinnedRows(codes, values, self._layout)

    def features(self, table: Any, dtype: Any, *, rows: NDArray[np.intp] | None = None, warn: bool = True) -> Any:
        """Return what `transform` returns as inputs for a network of this dtype; rows in files as `BinnedFeatures`."""
        frame = Frame.of(table)
        if isinstance(frame, FileFrame):
            return BinnedFeatures(self._store(frame, np.float32, dtype, rows, warn))
        return self.transform(frame, rows=rows, warn=warn).astype(dtype, copy=False)

    @property
    def _layout(self) -> list[tuple[str, int]]:
        """The layout of `BinnedRows`."""
        return [part for column in self.columns for part in column.layout]

    def _store(
        self, frame: FileFrame, precision: Any, dtype: Any, rows: NDArray[np.intp] | None, warn: bool
    ) -> BinnedRows:
        """Encode rows in files part by part into temporary files; `precision` is the type to which values are rounded.

        `rows` are in ascending order. Of each column, the first warning is given.
        """
        messages: dict[int, str] = {}
        with StoredArray() as all_codes, StoredArray() as all_values:
            for first, table in frame.rows.tables():
                part, some = Frame(table, first=first), None
                if rows is not None:
                    begin, end = np.searchsorted(rows, [first, first + len(part)])
                    some = rows[begin:end] - first
                codes, values = self._numbers(part, precision, some, messages)
                all_codes.append(codes)
                all_values.append(values.astype(dtype, copy=False))
                del table, part, codes, values  # before the next part is read
            stored = BinnedRows(all_codes.array(), all_values.array(), self._layout)
        if warn:
            _warn([*messages.values()])
        return stored

    def _numbers(
        self, frame: Frame, dtype: Any, rows: NDArray[np.intp] | None, messages: dict[int, str]
    ) -> tuple[NDArray[Any], NDArray[Any]]:
        """Return the codes and values of `BinnedRows`."""
        layout, n_rows = self._layout, len(frame) if rows is None else len(rows)
        smallest = np.min_scalar_type(max(width for _, width in layout))
        all_codes: NDArray[Any] = np.empty(
            (n_rows, sum(kind != "value" for kind, _ in layout)), smallest if smallest.itemsize < 4 else np.int32
        )
        all_values: NDArray[Any] = np.empty((n_rows, sum(kind != "levels" for kind, _ in layout)), dtype)
        next_codes, next_values = iter(all_codes.T), iter(all_values.T)
        for _, codes, values in self._encode(frame, rows, messages):
            if codes is not None:
                next(next_codes)[:] = codes
            if values is not None:
                next(next_values)[:] = values
        return all_codes, all_values

    def _encode(
        self, frame: Frame, rows: NDArray[np.intp] | None, messages: dict[int, str]
    ) -> Iterator[tuple[Any, Any, Any]]:
        """Yield ((kind, width), codes, values) for each column of the layout.

        Add warnings to `messages`, by the number of the column, unless it has one.
        """
        for i, (encoder, place) in enumerate(zip(self.columns, self._find_columns(frame), strict=True)):
            if place is not None:
                parts, message = encoder.encode(frame.column(place, rows))
                if message:
                    messages.setdefault(i, message)
                for column, (codes, values) in zip(encoder.layout, parts, strict=True):
                    yield column, codes, values

    def _find_columns(self, frame: Frame) -> list[int | None]:
        """Return the position of each encoder's column, or None for encoders that need no column."""
        names = [column.name for column in self.columns]
        if frame.labels is not None:
            names = frame.names
        elif len(frame.names) != len(names):
            raise ValueError(
                f"X has {len(frame.names)} features, but TableEncoder is expecting {len(names)} features as input"
            )
        place = {name: i for i, name in enumerate(names)}
        if lacking := [column.name for column in self.columns if column.width and column.name not in place]:
            count = "a column" if len(lacking) == 1 else f"{len(lacking)} columns"
            similar = closest(lacking[0], set(place).difference(column.name for column in self.columns))
            hint = "" if similar is None else f"; it has {similar!r}"
            raise ValueError(
                f"the table lacks {count} that the encoder was fitted on: {listed(list(map(repr, lacking)))}{hint}"
            )
        return [place[column.name] if column.width else None for column in self.columns]

    @property
    def n_features(self) -> int:
        """The number of features that `transform` returns."""
        return sum(column.width for column in self.columns)

    @property
    def feature_names(self) -> list[str]:
        """The name of each feature."""
        return [name for column in self.columns for name in column.feature_names]

    def renamed(self, names: Sequence[str]) -> "TableEncoding":
        """Return a copy for columns with these names."""
        pairs = zip(self.columns, names, strict=True)
        return TableEncoding([dataclasses.replace(column, name=name) for column, name in pairs])

    def to_dict(self) -> dict[str, Any]:
        """Return the state as numbers, strings, lists and dictionaries, ready for JSON."""
        columns = [to_state(column) for column in self.columns]
        without_bins = not any("edges" in column for column in columns)  # earlier versions can read these
        return {"format": FORMAT - without_bins, "columns": columns}

    @classmethod
    def from_dict(cls, state: Mapping[str, Any]) -> "TableEncoding":
        """Return the encoding from a state that `to_dict` returned; raise ValueError if it is not one."""
        check_format(state)
        if not isinstance(state.get("columns"), list) or not all(isinstance(c, dict) for c in state["columns"]):
            raise ValueError("not the state of a table encoder: it has no list of columns")
        columns = [from_state(column) for column in state["columns"]]
        if twice := [name for name, count in Counter(column.name for column in columns).items() if count > 1]:
            raise ValueError(f"not the state of a table encoder: it has more than one column {twice[0]!r}")
        if not any(column.width for column in columns):
            raise ValueError("not the state of a table encoder: it has no features")
        return cls(columns)


def needs_encoding(table: Any) -> bool:
    """Return whether a data frame or `Rows` has a column whose type is not numeric or boolean: text, dates, objects.

    Only types matter, not values, so the answer is the same for every part of a table. A numeric column with missing
    values counts as numeric, and a frame of sparse columns as a sparse matrix, which needs no encoding.

    Examples
    --------
    >>> import numpy as np, pandas as pd
    >>> from chainrule.table import needs_encoding
    >>> needs_encoding(pd.DataFrame({"x": [1.0, None], "y": ["a", "b"]})), needs_encoding(pd.DataFrame({"x": [1, 2]}))
    (True, False)
    >>> needs_encoding(np.ones((2, 2)))
    False
    """
    if isinstance(table, Rows):
        table = table.empty_table()
    try:
        return is_frame(table) and not hasattr(table, "sparse") and not has_numeric_types(table)
    except ImportError:  # frames of plain numbers do not need narwhals
        return False


def _warn(messages: Sequence[str]) -> None:
    """Issue the first messages as warnings, and one more warning with the number of the others."""
    for message in messages[:SHOWN]:
        warn(message)
    if len(messages) > SHOWN:
        warn(f"{len(messages) - SHOWN:,} more columns have similar problems")


def _weigh(
    rows: NDArray[np.intp] | None, sample_weight: ArrayLike | None, n_rows: int
) -> tuple[NDArray[np.intp] | None, NDArray[np.float64] | None]:
    """Return the rows of positive weight, and their weights, scaled so that none is below 1."""
    if sample_weight is None:
        return rows, None
    refuse_dask("sample_weight", sample_weight)
    weight = np.asarray(sample_weight, dtype=np.float64)
    if weight.shape != (n_rows,):
        raise ValueError(f"sample_weight has shape {weight.shape}, expected {(n_rows,)}")
    for row in np.flatnonzero(~(np.isfinite(weight) & (weight >= 0)))[:1]:
        raise ValueError(f"sample_weight[{row}] is {weight[row]:g}, expected a finite number of 0 or more")
    rows = np.arange(n_rows) if rows is None else np.asarray(rows)
    rows = rows[weight[rows] > 0]
    if not len(rows):
        raise ValueError("Sample weights must contain at least one non-zero number.")
    return rows, weight[rows] / min(1.0, weight[rows].min())


def _choose_categorical(chosen: CategoricalFeatures, names: list[str]) -> set[int] | None:
    """Return the positions of the categorical columns, or None if the types of the columns determine them."""
    if isinstance(chosen, str):
        if chosen != "from_dtype":
            hint = did_you_mean(chosen, ["from_dtype", *names], sentence=True)
            raise ValueError(f"categorical_features is {chosen!r}, expected 'from_dtype' or a list of columns.{hint}")
        return None
    values = np.asarray([] if chosen is None else chosen)
    if values.dtype == bool:
        if values.shape != (len(names),):
            raise ValueError(f"categorical_features has {values.size} booleans, the table has {len(names)} columns")
        return set(np.flatnonzero(values).tolist())
    places = set()
    by_name = {name: place for place, name in enumerate(names)}
    for value in values.ravel().tolist():
        if isinstance(value, int):
            if not 0 <= value < len(names):
                raise ValueError(f"categorical_features has the column {value}, the table has {len(names)}")
            places.add(value)
        elif str(value) not in by_name:
            hint = did_you_mean(value, names)
            raise ValueError(f"the table has no column {value!r}, which categorical_features names{hint}")
        else:
            places.add(by_name[str(value)])
    return places
