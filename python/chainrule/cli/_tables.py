"""Table files in: CSV, TSV and Parquet through pandas, with one rule for what is missing.

An empty field is missing. In a column that holds numbers or dates otherwise, so are the words of `MARKERS`. In a column
of text they are levels like any other: "None" may be an answer, and a model loses nothing where "?" is one more level.
"""

import contextlib
import gzip
import os
import shlex
import warnings
import zlib
from collections import Counter
from collections.abc import Collection
from typing import TYPE_CHECKING, Any

from chainrule import _optional
from chainrule._frames import as_column

if TYPE_CHECKING:
    import pandas as pd

MARKERS = frozenset(["", "?", "-", ".", "na", "n/a", "#n/a", "nan", "null", "none"])  # compared in lower case
_SEPARATORS = {".csv": ",", ".tsv": "\t"}
_MOSTLY = 0.9  # a column of text of which this part reads as numbers is one of numbers with mistakes


def read_table(
    path: str, *, missing: Collection[str] = (), numbers: Collection[str] | None = None, texts: Collection[str] = ()
) -> "pd.DataFrame":
    """Read a table.

    Parameters
    ----------
    path : str
        A file that ends in .csv, .tsv, .csv.gz, .tsv.gz or .parquet.
    missing : collection of str
        Values that mean missing in every column.
    numbers : collection of str, optional
        The columns that hold numbers or dates. Default: those of which every value is one or is missing.
    texts : collection of str
        Columns that are text whatever they look like: "01" stays what it is.

    Raises
    ------
    ValueError
        For another kind of file, one that cannot be read as what its name says, or numbers with a few texts among them.
    """
    pd = _optional.require("pandas", "cli")
    name = path.lower().removesuffix(".gz")
    extension = os.path.splitext(name)[1]
    try:
        if extension in _SEPARATORS:
            _open(path)
            table = _read_text(path, _SEPARATORS[extension], missing, texts)
        elif extension == ".parquet" and name == path.lower():
            _open(path)
            table = pd.read_parquet(path)
            table = table.mask(table.isin([*missing, *_as_numbers(missing)])) if missing else table
        else:
            raise ValueError("its name should end in .csv, .tsv, .csv.gz, .tsv.gz or .parquet")
    except UnicodeDecodeError as error:
        raise ValueError(f"cannot read {path}: it is not UTF-8 text ({error.reason} at byte {error.start})") from error
    except (ValueError, EOFError, zlib.error, gzip.BadGzipFile) as error:
        if "Calling read(nbytes)" in str(error):  # pandas says so, and no more, where Ctrl-C came within a read
            raise KeyboardInterrupt from error
        raise ValueError(f"cannot read {path}: {error}") from error
    if not len(table):
        raise ValueError(f"{path} has no rows")
    for column in table.columns:
        if column not in texts and (numbers is None or column in numbers):
            table[column] = _read_markers(table[column], certain=numbers is not None)
    return table


def _open(path: str) -> None:
    """Raise the system's error, which names the file, where there is none to read; Parquet's is long."""
    with open(path, "rb"):
        pass


def _read_text(path: str, separator: str, missing: Collection[str], texts: Collection[str]) -> "pd.DataFrame":
    """Read CSV or TSV; refuse what pandas would rename, shift or read as one column."""
    pd = _optional.require("pandas", "cli")
    options: dict[str, Any] = {"sep": separator, "keep_default_na": False, "index_col": False}
    header = pd.read_csv(path, header=None, nrows=1, dtype=str, **options).iloc[0].tolist()
    if twice := [name for name, count in Counter(header).items() if name and count > 1]:
        raise ValueError(f"its header has more than one column {twice[0]!r}")
    if len(header) == 1 and (others := [other for other in ",;\t" if other in header[0]]):
        raise ValueError(
            f"its header is one column: its separator seems to be {others[0]!r}, but .csv means ',' and .tsv a tab"
        )
    with warnings.catch_warnings():
        warnings.simplefilter("error", pd.errors.ParserWarning)
        try:
            types = dict.fromkeys(texts, str)
            return pd.read_csv(path, na_values=["", *missing], dtype=types, low_memory=False, **options)
        except pd.errors.ParserWarning as error:
            raise ValueError("its rows have more fields than its header") from error


def _read_markers(column: "pd.Series", certain: bool) -> "pd.Series":
    """Take the markers of a column of text for missing, if it is certain to hold numbers or dates, or else does."""
    pd = _optional.require("pandas", "cli")
    if pd.api.types.infer_dtype(column, skipna=True) != "string":
        return column
    unmarked = column.astype(object)
    unmarked = unmarked.mask(unmarked.astype(str).str.strip().str.lower().isin(MARKERS))
    present = unmarked.notna()
    if certain or (present.any() and as_column(unmarked[present]).kind() == "date"):
        return unmarked
    numbers = pd.to_numeric(unmarked, errors="coerce")
    wrong = present & numbers.isna()
    if not present.any() or wrong.sum() > (1 - _MOSTLY) * present.sum():
        return column
    if wrong.any():
        row = int(wrong.to_numpy().argmax())
        name, value = str(column.name), str(column.iloc[row])
        raise ValueError(
            f"column {name!r} holds numbers, but {value!r} in row {row + 1}: add --missing {shlex.quote(value)} if "
            f"that means missing, or --categorical {shlex.quote(name)} if the numbers are names"
        )
    return numbers


def _as_numbers(texts: Collection[str]) -> list[float]:
    numbers = []
    for text in texts:
        with contextlib.suppress(ValueError):
            numbers.append(float(text))
    return numbers
