"""Table files in: CSV, TSV and Parquet through pandas, with one rule for what is missing.

An empty field is missing. In a column that holds numbers otherwise, so are the words of `MARKERS`. In a column of text
they are levels like any other: "None" may be an answer, and a model loses nothing where "?" is one more level.
"""

import contextlib
import os
import zlib
from collections.abc import Collection
from typing import TYPE_CHECKING, Any

from chainrule import _optional

if TYPE_CHECKING:
    import pandas as pd

MARKERS = frozenset(["", "?", "-", ".", "na", "n/a", "#n/a", "nan", "null", "none"])  # compared in lower case
_SEPARATORS = {".csv": ",", ".tsv": "\t"}


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
        The columns that hold numbers. Default: those of which every value is one or is missing.
    texts : collection of str
        Columns that are text whatever they look like: "01" stays what it is.

    Raises
    ------
    ValueError
        For another kind of file, or one that cannot be read as what its name says.
    """
    pd = _optional.require("pandas", "cli")
    name = path.lower().removesuffix(".gz")
    extension = os.path.splitext(name)[1]
    try:
        if extension in _SEPARATORS:
            options: dict[str, Any] = {"sep": _SEPARATORS[extension], "low_memory": False, "keep_default_na": False}
            table = pd.read_csv(path, na_values=["", *missing], dtype=dict.fromkeys(texts, str), **options)
        elif extension == ".parquet" and name == path.lower():
            table = pd.read_parquet(path)
            table = table.mask(table.isin([*missing, *_as_numbers(missing)])) if missing else table
        else:
            raise ValueError("its name should end in .csv, .tsv, .csv.gz, .tsv.gz or .parquet")
    except UnicodeDecodeError as error:
        raise ValueError(f"cannot read {path}: it is not UTF-8 text ({error.reason} at byte {error.start})") from error
    except (ValueError, EOFError, zlib.error) as error:
        raise ValueError(f"cannot read {path}: {error}") from error
    if extension in _SEPARATORS and not table.index.equals(pd.RangeIndex(len(table))):
        raise ValueError(f"cannot read {path}: its rows have more fields than its header")
    if not len(table):
        raise ValueError(f"{path} has no rows")
    for column in table.columns:
        if column not in texts and (numbers is None or column in numbers):
            table[column] = _read_markers(table[column], certain=numbers is not None)
    return table


def _read_markers(column: "pd.Series", certain: bool) -> "pd.Series":
    """Take the markers of a column of text for missing, if it holds numbers otherwise or is certain to."""
    pd = _optional.require("pandas", "cli")
    if pd.api.types.infer_dtype(column, skipna=True) != "string":
        return column
    unmarked = column.astype(object)
    unmarked = unmarked.mask(unmarked.astype(str).str.strip().str.lower().isin(MARKERS))
    if certain:
        return unmarked
    numbers = pd.to_numeric(unmarked, errors="coerce")
    return numbers if numbers.notna().any() and numbers.notna().equals(unmarked.notna()) else column


def _as_numbers(texts: Collection[str]) -> list[float]:
    numbers = []
    for text in texts:
        with contextlib.suppress(ValueError):
            numbers.append(float(text))
    return numbers
