"""Tables in, arrays out: columns of numbers, text, truth values and dates, with gaps, as float32 features.

What was learnt from the training part is plain data, so that it is stored with the model and `predict` repeats it.
The formulas are those of RealMLP (Holzmüller, Grinsztajn, Steinwart 2024, "Better by default", https://arxiv.org/abs/2407.04491).
"""

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Literal, TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray

from chainrule import _columns
from chainrule._frames import Column, Frame, has_numeric_types, is_frame

CategoricalFeatures: TypeAlias = Literal["from_dtype"] | Sequence[str] | ArrayLike | None

_KINDS: dict[str, type[_columns.Encoder]] = {
    kind.kind: kind
    for kind in (_columns.NumberColumn, _columns.DateColumn, _columns.LevelColumn, _columns.IgnoredColumn)
}


class TableEncoder:
    r"""Encodes the columns of a table as float32 features.

    ============  ========================================================================================
    column        features
    ============  ========================================================================================
    numbers       :math:`x' / \sqrt{1 + (x'/3)^2}` with :math:`x' = (x - \mathrm{median})/(q_{75} - q_{25})`,
                  missing values as the median, and where some were missing at fit a feature that is 1 for those
    dates         the days since 1970-01-01, as numbers (`datetime`, or text as ISO 8601 has it)
    text, truth   a feature per level, 1 where the row has it; missing is a level of its own; all zeros for a level
    values,       that was not seen at fit. Of more than `max_levels` levels the most frequent are kept, of those
    categories    seen more than once, and one feature stands for all others
    the rest      no values, one value only, or text that is different in every row: left out
    ============  ========================================================================================

    Where the quartiles are equal the range takes the place of their difference.

    A table is a data frame of pandas, polars or Arrow, or any other that narwhals takes for an eager one (extra
    `sklearn`), or an array of numbers or objects. The same data give the same features, whatever they come in.

    Parameters
    ----------
    categorical_features : "from_dtype", sequence of str, int or bool, or None, default="from_dtype"
        Columns whose values are the names of levels, also where these are numbers: those of a categorical type; those
        with the names or places, or with True in a mask of all columns; none. Text is taken for levels anyway.
    max_levels : int, default=100
        The number of levels of a column that get a feature.

    Attributes
    ----------
    columns : list
        The encoder of each column, in the order of the table; empty before `fit`.

    Examples
    --------
    >>> import pandas as pd
    >>> from chainrule.table import TableEncoder
    >>> table = pd.DataFrame({"age": [20.0, 30.0, None, 40.0], "home": ["own", "rent", "own", None]})
    >>> encoder = TableEncoder().fit(table)
    >>> encoder.feature_names
    ['age', 'age missing', 'home=own', 'home=rent', 'home missing']
    >>> encoder.transform(table)[:, 1:]
    array([[0., 1., 0., 0.],
           [0., 0., 1., 0.],
           [1., 1., 0., 0.],
           [0., 0., 0., 1.]], dtype=float32)
    """

    def __init__(self, *, categorical_features: CategoricalFeatures = "from_dtype", max_levels: int = 100) -> None:
        self.categorical_features = categorical_features
        self.max_levels = max_levels
        self.columns: list[_columns.Encoder] = []

    def fit(self, table: Any, rows: NDArray[np.intp] | None = None) -> "TableEncoder":
        """Learn from a table (m, any number of columns), the training part, how each column is encoded.

        Parameters
        ----------
        table : data frame or array
            The table.
        rows : array of int, optional
            The rows to learn from, the training part; default: all.

        Raises
        ------
        ValueError
            For a column that cannot be encoded, an infinite number, two columns of one name, no column to learn from.
        """
        frame = Frame(table, rows)
        categorical = _choose_categorical(self.categorical_features, frame.names)
        if not len(frame):
            raise ValueError("the table has no rows")
        columns = []
        for place in range(len(frame.names)):
            column = frame.column(place)
            is_categorical = column.categorical if categorical is None else place in categorical
            columns.append(_columns.fit_column(column, is_categorical, self.max_levels))
        if not any(column.width for column in columns):
            raise ValueError("the table has no column to learn from")
        self.columns = columns
        return self

    def transform(self, table: Any, rows: NDArray[np.intp] | None = None) -> NDArray[np.float32]:
        """Return the features (m, n_features) of a table, or of some of its rows.

        The columns of a data frame may come in any order and there may be more; those of an array are taken in turn.

        Raises
        ------
        ValueError
            For a column that is absent, or holds a value of another kind than at fit: the message names column, value
            and row, counted from 1 and by the index where that has whole numbers.
        """
        frame = Frame(table, rows)
        features = np.zeros((len(frame), self.n_features), dtype=np.float32)
        start = 0
        for encoder, column in zip(self.columns, self._find_columns(frame), strict=True):
            if column is not None:
                encoder.encode(column, features[:, start : start + encoder.width])
                start += encoder.width
        return features

    def _find_columns(self, frame: Frame) -> Iterator[Column | None]:
        """Yield the column of each encoder, None for those that need none."""
        if not self.columns:
            raise ValueError("the encoder is not fitted: call fit with the training part first")
        names = [column.name for column in self.columns]
        if frame.has_names:
            names = frame.names
        elif len(frame.names) != len(names):
            raise ValueError(f"the table has {len(frame.names)} columns, the encoder was fitted on {len(names)}")
        place = {name: i for i, name in enumerate(names)}
        if lacking := [column.name for column in self.columns if column.width and column.name not in place]:
            listed = ", ".join(map(repr, lacking[:10])) + (", ..." if len(lacking) > 10 else "")
            count = "a column" if len(lacking) == 1 else f"{len(lacking)} columns"
            raise ValueError(f"the table lacks {count} that the encoder was fitted on: {listed}")
        return (frame.column(place[column.name]) if column.width else None for column in self.columns)

    @property
    def n_features(self) -> int:
        """The number of features that `transform` returns."""
        return sum(column.width for column in self.columns)

    @property
    def feature_names(self) -> list[str]:
        """The name of each feature."""
        names: list[str] = []
        for column in self.columns:
            if isinstance(column, _columns.LevelColumn):
                parts = [f"={level}" for level in column.levels] + [" other"] * column.other
                names += [column.name + part for part in parts + [" missing"] * column.missing]
            elif isinstance(column, _columns.NumberColumn):
                names += [column.name] + [f"{column.name} missing"] * column.indicator
        return names

    def get_feature_names_out(self, input_features: Any = None) -> NDArray[np.object_]:
        """Return `feature_names` as scikit-learn's transformers do; `input_features` is not looked at."""
        return np.array(self.feature_names, dtype=object)

    def to_dict(self) -> dict[str, Any]:
        """Return all that was learnt, as numbers, texts, lists and dictionaries: ready for JSON."""
        return {"format": _columns.FORMAT, "columns": [_column_to_dict(column) for column in self.columns]}

    @classmethod
    def from_dict(cls, state: Mapping[str, Any]) -> "TableEncoder":
        """Return the encoder of a state that `to_dict` wrote; ValueError where it is not one."""
        _columns.check_format(state)
        if not isinstance(state.get("columns"), list) or not all(isinstance(c, dict) for c in state["columns"]):
            raise ValueError("not the state of a table encoder: it has no list of columns")
        encoder = cls()
        encoder.columns = [_column_from_dict(column) for column in state["columns"]]
        return encoder


def needs_encoding(table: Any) -> bool:
    """Return whether a data frame has a column whose type is not numeric or boolean: text, categories, dates, objects.

    The values do not count, so that the answer is the same for every part of a table; a numeric column with gaps is
    numeric. A frame of sparse columns is a sparse matrix.

    Examples
    --------
    >>> import numpy as np, pandas as pd
    >>> from chainrule.table import needs_encoding
    >>> needs_encoding(pd.DataFrame({"x": [1.0, None], "y": ["a", "b"]})), needs_encoding(pd.DataFrame({"x": [1, 2]}))
    (True, False)
    >>> needs_encoding(np.ones((2, 2)))
    False
    """
    try:
        return is_frame(table) and not hasattr(table, "sparse") and not has_numeric_types(table)
    except ImportError:  # narwhals is not needed for frames of plain numbers
        return False


def _choose_categorical(chosen: CategoricalFeatures, names: list[str]) -> set[int] | None:
    """Return the places of the columns that hold levels; None: the types of the columns tell."""
    if isinstance(chosen, str):
        if chosen != "from_dtype":
            raise ValueError(f"categorical_features is {chosen!r}, expected 'from_dtype' or a list")
        return None
    values = np.asarray([] if chosen is None else chosen)
    if values.dtype == bool:
        if values.shape != (len(names),):
            raise ValueError(f"categorical_features is a mask of {values.size}, the table has {len(names)} columns")
        return set(np.flatnonzero(values).tolist())
    places = set()
    for value in values.ravel().tolist():
        if isinstance(value, int):
            if not 0 <= value < len(names):
                raise ValueError(f"categorical_features has the column {value}, the table has {len(names)}")
            places.add(value)
        elif str(value) not in names:
            raise ValueError(f"the table has no column {value!r}, named as categorical")
        else:
            places.add(names.index(str(value)))
    return places


def _column_to_dict(column: _columns.Encoder) -> dict[str, Any]:
    """Return the state of an encoder, ready for JSON."""
    state = {"kind": column.kind, **dataclasses.asdict(column)}
    return state | {"levels": list(column.levels)} if isinstance(column, _columns.LevelColumn) else state


def _column_from_dict(state: dict[str, Any]) -> _columns.Encoder:
    """Return the encoder of a state that `_column_to_dict` wrote."""
    values = dict(state)
    kind = values.pop("kind", None)
    if kind not in _KINDS:
        raise ValueError(f"a column's kind is {kind!r}, expected one of {', '.join(_KINDS)}")
    fields = {field.name: field.type for field in dataclasses.fields(_KINDS[kind])}
    if fields.keys() != values.keys():
        raise ValueError(f"a column of kind {kind} has the entries {sorted(values)}, expected {sorted(fields)}")
    for key, value in values.items():
        if fields[key] is float and type(value) is int:
            values[key] = float(value)
        elif fields[key] == tuple[str, ...]:
            if not isinstance(value, list) or not all(isinstance(level, str) for level in value):
                raise ValueError(f"column {values.get('name')!r}: {key} is not a list of texts")
            values[key] = tuple(value)
        elif type(value) is not fields[key]:
            raise ValueError(f"column {values.get('name')!r}: {key} is {value!r}")
    return _KINDS[kind](**values)
