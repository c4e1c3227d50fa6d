"""Table files in: text and Parquet through pandas, with one rule for what is missing.

An empty field is missing. In a column that holds numbers or dates otherwise, so are the words of `MARKERS`. In a column
of text they are levels like any other: "None" may be an answer, and a model loses nothing where "?" is one more level.
"""

import contextlib
import gzip
import os
import shlex
import warnings
import zlib
from collections.abc import Collection, Iterable
from typing import TYPE_CHECKING, Any

from chainrule import _optional
from chainrule._frames import as_column
from chainrule._suggest import did_you_mean, listed
from chainrule.cli._console import warn
from chainrule.cli._format import KINDS, Reading, detect

if TYPE_CHECKING:
    import pandas as pd

MARKERS = frozenset(["", "?", "-", ".", "na", "n/a", "#n/a", "nan", "null", "none"])  # compared in lower case
_MOSTLY = 0.9  # a column of text of which this part reads as numbers is one of numbers with mistakes


def read_table(
    path: str, reading: Reading, *, numbers: Collection[str] | None = None, texts: Collection[str] = ()
) -> tuple["pd.DataFrame", str]:
    """Read a table; return it and what is unusual about its file, to follow a sentence.

    Parameters
    ----------
    path : str
        A file of `KINDS`.
    reading : Reading
        How to read it, as far as the user said so.
    numbers : collection of str, optional
        The columns that hold numbers or dates. Default: those of which every value is one or is missing.
    texts : collection of str
        Columns that are text whatever they look like: "01" stays what it is.

    Raises
    ------
    ValueError
        For another kind of file, one that cannot be read as what its name says, or numbers with a few texts among them.
    """
    extension = os.path.splitext(path.lower().removesuffix(".gz"))[1]
    unusual = ""
    try:
        if extension == ".parquet" and not path.lower().endswith(".gz"):
            table = _read_parquet(path, reading)
        elif extension in KINDS:
            table, unusual = _read_text(path, reading, extension, texts)
        else:
            raise ValueError(f"its name should end in {', '.join(KINDS)}, these with .gz, or .parquet")
    except UnicodeDecodeError as error:
        raise ValueError(f"cannot read {path}: it is not text in {error.encoding}: name another --encoding") from error
    except (ValueError, EOFError, zlib.error, gzip.BadGzipFile) as error:
        if "Calling read(nbytes)" in str(error):  # pandas says so, and no more, where Ctrl-C came within a read
            raise KeyboardInterrupt from error
        raise ValueError(f"cannot read {path}: {error}") from error
    if not len(table):
        raise ValueError(f"{path} has no rows")
    for column in table.columns:
        if column not in texts and (numbers is None or column in numbers):
            table[column] = _read_markers(table[column], certain=numbers is not None)
    return table, unusual


def read_like(path: str, other: "pd.DataFrame", reading: Reading, texts: Collection[str]) -> "pd.DataFrame":
    """Read a table whose columns hold what those of another one hold."""
    kinds = {str(name): as_column(other[name]).kind() for name in other.columns}
    words = [name for name, kind in kinds.items() if kind == "levels" and other[name].dtype != bool]
    numbers = [name for name, kind in kinds.items() if kind != "levels"]
    return read_table(path, reading, numbers=numbers, texts=[*texts, *words])[0]


def check_columns(table: "pd.DataFrame", names: Iterable[str], path: str | None = None) -> None:
    """Refuse names of columns that a table does not have."""
    known = list(map(str, table.columns))
    for name in names:
        if name not in known:
            hint = did_you_mean(name, known)
            has = f"{hint} It has" if hint else "; it has"
            header = ""
            if any(map(_is_number, known)):
                header = ". Its first row seems to hold data: --no-header names the columns 1, 2, ..."
            raise ValueError(f"{path or 'the table'} has no column {name!r}{has} {listed(known)}{header}")


def _is_number(text: str) -> bool:
    with contextlib.suppress(ValueError):
        float(text)
        return True
    return False


def _read_parquet(path: str, reading: Reading) -> "pd.DataFrame":
    with open(path, "rb"):  # the system's error, which names the file; Parquet's is long
        pass
    _optional.require("pyarrow.parquet", "parquet")
    table = _optional.require("pandas", "cli").read_parquet(path)
    table.columns = [str(name) for name in table.columns]
    missing = [*reading.missing, *_as_numbers(reading.missing)]
    return table.mask(table.isin(missing)) if missing else table


def _read_text(path: str, reading: Reading, extension: str, texts: Collection[str]) -> tuple["pd.DataFrame", str]:
    """Read a table of text; refuse what pandas would shift or read as one column."""
    pd = _optional.require("pandas", "cli")
    text = detect(path, reading, extension)
    for warning in text.warnings:
        warn(warning)
    options: dict[str, Any] = {
        "sep": text.separator,
        "encoding": text.encoding,
        "keep_default_na": False,
        "na_values": ["", *reading.missing],
        "index_col": False,
        "header": 0 if reading.header else None,
        "names": text.names,
        "dtype": dict.fromkeys(texts, str),
        "decimal": reading.decimal or ".",
        "low_memory": False,
    }
    with warnings.catch_warnings():
        warnings.simplefilter("error", pd.errors.ParserWarning)
        try:
            return pd.read_csv(path, **options), text.unusual
        except pd.errors.ParserWarning as error:
            first = "header" if reading.header else "first row"
            raise ValueError(f"its rows have more fields than its {first}") from error


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
