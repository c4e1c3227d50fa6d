"""Tables in, arrays out: pandas columns of numbers, text, truth values and dates, with gaps, as float32 features.

What was learnt from the training part is plain data, so that it is stored with the model and `predict` repeats it.
The formulas are those of RealMLP (Holzmüller, Grinsztajn, Steinwart 2024, "Better by default", https://arxiv.org/abs/2407.04491).
"""

import dataclasses
from collections import Counter
from collections.abc import Collection, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from chainrule import _columns

if TYPE_CHECKING:
    import pandas as pd

_KINDS: dict[str, type[_columns.Column]] = {
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

    Parameters
    ----------
    categorical : collection of str, default=()
        Columns whose numbers are the names of levels.
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

    def __init__(self, *, categorical: Collection[str] = (), max_levels: int = 100) -> None:
        self.categorical = tuple(categorical)
        self.max_levels = max_levels
        self.columns: list[_columns.Column] = []

    def fit(self, table: "pd.DataFrame") -> "TableEncoder":
        """Learn from the rows of a table (m, any number of columns), the training part, how each column is encoded.

        Raises
        ------
        ValueError
            For a column that cannot be encoded, an infinite number, two columns of one name, no column to learn from.
        """
        names = _names(table)
        if unknown := [name for name in self.categorical if name not in names]:
            raise ValueError(f"the table has no column {unknown[0]!r}, named as categorical")
        if not len(table):
            raise ValueError("the table has no rows")
        columns = [
            _columns.fit_column(name, table.iloc[:, i], name in self.categorical, self.max_levels)
            for i, name in enumerate(names)
        ]
        if not any(column.width for column in columns):
            raise ValueError("the table has no column to learn from")
        self.columns = columns
        return self

    def transform(self, table: "pd.DataFrame") -> NDArray[np.float32]:
        """Return the features (m, n_features) of a table; its columns may come in any order and there may be more.

        Raises
        ------
        ValueError
            For a column that is absent, or holds a value of another kind than at fit: the message names column, value
            and row, counted from 1 and by the index where that has whole numbers.
        """
        if not self.columns:
            raise ValueError("the encoder is not fitted: call fit with the training part first")
        place = {name: i for i, name in enumerate(_names(table))}
        if lacking := [column.name for column in self.columns if column.width and column.name not in place]:
            names = ", ".join(map(repr, lacking[:10])) + (", ..." if len(lacking) > 10 else "")
            count = "a column" if len(lacking) == 1 else f"{len(lacking)} columns"
            raise ValueError(f"the table lacks {count} that the encoder was fitted on: {names}")
        features = np.zeros((len(table), self.n_features), dtype=np.float32)
        start = 0
        for column in self.columns:
            if column.width:
                column.encode(table.iloc[:, place[column.name]], features[:, start : start + column.width])
                start += column.width
        return features

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


def _names(table: "pd.DataFrame") -> list[str]:
    names = [str(name) for name in table.columns]
    if twice := [name for name, count in Counter(names).items() if count > 1]:
        raise ValueError(f"the table has more than one column {twice[0]!r}")
    return names


def _column_to_dict(column: _columns.Column) -> dict[str, Any]:
    """Return the state of an encoder, ready for JSON."""
    state = {"kind": column.kind, **dataclasses.asdict(column)}
    return state | {"levels": list(column.levels)} if isinstance(column, _columns.LevelColumn) else state


def _column_from_dict(state: dict[str, Any]) -> _columns.Column:
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
