"""Reads table files, text and Parquet, through pandas.

The layout of a text file (encoding, separator, names of the columns) is detected if unambiguous. An empty field is a
missing value. In columns of numbers or dates, the markers of `_formats` are missing values too; in columns of text they
are levels, because "None" may be an answer.
"""

import contextlib
import csv
import dataclasses
import gzip
import io
import os
import shlex
import warnings
import zlib
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from chainrule import _optional
from chainrule._columns import describe_mistakes, describe_question
from chainrule._formats import DateFormat, Examination, Format, NumberFormat, is_marker
from chainrule._frames import Column, as_column
from chainrule._suggest import did_you_mean, listed
from chainrule.cli._console import warn

if TYPE_CHECKING:
    import pandas as pd

KINDS = {".csv": ",", ".tsv": "\t", ".tab": "\t", ".txt": ",", ".data": ",", ".dat": ","}  # extension: separator
SEPARATORS = {"tab": "\t", "\\t": "\t", "space": r"\s+", " ": r"\s+"}  # names for separators that are hard to type
UNNAMED = "Unnamed: "  # followed by the number of the column, as in pandas
_OTHERS = ",;\t|"  # separators that are detected
_BEGINNING = 1 << 16  # bytes to examine
_ROWS = 50  # rows to examine
_GUESSES = ("cp1252", "latin-1")  # if a file is not UTF-8: the encoding of Windows, and one that accepts all bytes
_BOMS = {b"\xef\xbb\xbf": "utf-8-sig", b"\xff\xfe": "utf-16", b"\xfe\xff": "utf-16"}
_LONG = 40  # characters of a cell that is repeated in a message


@dataclasses.dataclass(frozen=True)
class Reading:
    """Options for reading the file of a table; None: detected.

    Attributes
    ----------
    separator : str or None
        The separator between fields: one character, or the regular expression for any white space.
    decimal : {".", ",", None}
        The decimal mark of numbers.
    encoding : str or None
        The name of the encoding in Python.
    date_order : {"dmy", "mdy", "ymd", None}
        The order of dates that are written as three numbers.
    header : bool
        Whether the first row has the names of the columns; otherwise they are 1, 2, ...
    missing : sequence of str
        Values that mean a missing value in every column.
    """

    separator: str | None = None
    decimal: str | None = None
    encoding: str | None = None
    date_order: str | None = None
    header: bool = True
    missing: Sequence[str] = ()

    def __post_init__(self) -> None:
        texts = (self.separator, self.decimal, self.encoding, self.date_order)
        if not all(text is None or isinstance(text, str) for text in texts) or not isinstance(self.header, bool):
            raise ValueError(f"not settings for reading a table: {self}")
        object.__setattr__(self, "missing", tuple(str(value) for value in self.missing))

    def override(self, separator: str | None, encoding: str | None) -> "Reading":
        """Return a copy with another separator and encoding; None keeps the present one."""
        return dataclasses.replace(self, separator=separator or self.separator, encoding=encoding or self.encoding)


@dataclasses.dataclass(frozen=True)
class Text:
    """The layout of a text file.

    Attributes
    ----------
    encoding, separator : str
        See `Reading`.
    names : list of str
        Names of the columns, all distinct.
    unusual : str
        What about the layout is unexpected for the extension, as a phrase to append; may be empty.
    warnings : list of str
        Warnings about guesses and changes.
    """

    encoding: str
    separator: str
    names: list[str]
    unusual: str
    warnings: list[str]


def number_names(count: int) -> list[str]:
    """Return the names of the columns of a file without a header."""
    return [str(place + 1) for place in range(count)]


def detect(path: str, reading: Reading, extension: str, names: Callable[[int], list[str]]) -> Text:
    """Detect the layout of a file. If it has no header, ``names(n)`` returns the names of n columns.

    Raises
    ------
    ValueError
        For an unknown encoding, or a file without a row.
    UnicodeDecodeError
        For a file that is not in the encoding that the user named.
    """
    encoding = reading.encoding or _find_encoding(path)
    unusual, warnings = "", []
    if reading.encoding is None and encoding in _GUESSES:
        warnings.append(f"{path} is not UTF-8 text: it is read as {encoding}; --encoding sets another encoding")
    try:
        rows = _first_lines(path, encoding)
    except LookupError:
        raise ValueError(f"--encoding {encoding} is unknown") from None
    if not rows:
        raise ValueError("it is empty")
    separator = reading.separator or _find_separator(rows, KINDS[extension])
    if reading.separator is None and separator != KINDS[extension]:
        unusual = ", separated by " + ("white space" if separator == SEPARATORS["space"] else repr(separator))
    if separator == SEPARATORS["space"]:
        first = next(csv.reader([" ".join(rows[0].split())], delimiter=" "))  # csv keeps quoted words together
    else:
        first = next(csv.reader(rows, delimiter=separator))
    if not reading.header:
        return Text(encoding, separator, names(len(first)), unusual, warnings)
    header, renamed = _distinct([name or f"{UNNAMED}{place}" for place, name in enumerate(first)])
    return Text(encoding, separator, header, unusual, [*warnings, *(f"{path}: {text}" for text in renamed)])


def _find_encoding(path: str) -> str:
    """Return the encoding of the byte order mark, UTF-8 if the whole file is UTF-8, or the encoding of Windows."""
    with _open(path) as file:
        beginning = file.read(4)
    for mark, encoding in _BOMS.items():
        if beginning.startswith(mark):
            return encoding
    for encoding in ("utf-8", _GUESSES[0]):
        try:
            with _open(path) as file, io.TextIOWrapper(file, encoding=encoding) as text:
                while text.read(_BEGINNING):
                    pass
        except UnicodeDecodeError:
            continue
        return encoding
    return _GUESSES[1]


def _open(path: str) -> Any:
    return gzip.open(path, "rb") if path.lower().endswith(".gz") else open(path, "rb")


def _first_lines(path: str, encoding: str) -> list[str]:
    """Return the first lines that are not empty, without the last one that was read, which may be incomplete."""
    with _open(path) as file, io.TextIOWrapper(file, encoding=encoding, newline="") as text:
        beginning = text.read(_BEGINNING)
    lines = beginning.splitlines(keepends=True)
    if len(beginning) == _BEGINNING and len(lines) > 1:
        lines.pop()
    return [line for line in lines if line.strip()][: _ROWS + 1]


def _find_separator(lines: list[str], usual: str) -> str:
    """Return the usual separator for the file's name, unless only another one splits the first rows evenly."""
    fitting = [separator for separator in dict.fromkeys(usual + _OTHERS) if _fits(lines, separator)]
    if not fitting and _are_numbers(lines):
        return SEPARATORS["space"]
    return fitting[0] if fitting[:1] == [usual] or len(fitting) == 1 else usual


def _fits(lines: list[str], separator: str) -> bool:
    """Return whether all rows have the same number of fields, more than one; an empty field may follow."""
    try:
        rows = list(csv.reader(lines, delimiter=separator))
    except csv.Error:
        return False
    if len(rows) > 1 and not lines[-1].endswith(("\n", "\r")):
        rows.pop()
    width = len(rows[0])
    return width > 1 and all(len(row) == width or (len(row) == width + 1 and not row[-1]) for row in rows)


def _are_numbers(lines: list[str]) -> bool:
    """Return whether all rows but the first consist of whitespace-separated numbers, the same count (2 or more)."""
    rows = [line.split() for line in lines]
    if not lines[-1].endswith(("\n", "\r")):
        rows.pop()
    width = len(rows[0]) if rows else 0
    try:
        numbers = [len(list(map(float, row))) for row in rows[1:]]
    except ValueError:
        return False
    return width > 1 and bool(numbers) and all(count == width for count in numbers)


def _distinct(names: list[str]) -> tuple[list[str], list[str]]:
    """Make names distinct, and return them with sentences about those that occurred twice."""
    counts: Counter[str] = Counter()
    distinct, notes = [], []
    for name in names:
        counts[name] += 1
        new = name if counts[name] == 1 else f"{name} ({counts[name]})"
        while new != name and new in names:
            counts[name] += 1
            new = f"{name} ({counts[name]})"
        distinct.append(new)
        if new != name:
            notes.append(f"the header has column {name!r} more than once, this one is read as {new!r}")
    return distinct, notes


@dataclasses.dataclass(frozen=True)
class Table:
    """A table that was read.

    Attributes
    ----------
    frame : DataFrame
        The columns; numbers and dates that are written as text have been converted.
    reading : Reading
        The options with which it was read, including the detected decimal mark.
    unusual : str
        See `Text`.
    formats : dict of str to NumberFormat or DateFormat
        The formats of columns of text. Whole columns determine them, because the training rows may be ambiguous.
    levels : list of str
        The columns of text that are neither numbers nor dates.
    """

    frame: "pd.DataFrame"
    reading: Reading
    unusual: str
    formats: dict[str, Format]
    levels: list[str]


def read_table(path: str, reading: Reading, texts: Collection[str] = ()) -> Table:
    """Read a table to learn from.

    Parameters
    ----------
    path : str
        A file whose name ends in one of `KINDS` (optionally followed by .gz), or in .parquet.
    reading : Reading
        The user's options.
    texts : collection of str
        Columns to read as text, so that "01" is not read as 1.

    Raises
    ------
    ValueError
        For a file of another kind, or one whose content does not match its name; for a column of numbers or dates that
        also holds a few other texts or can be read in several ways.
    """
    frame, unusual = read_frame(path, reading, texts)
    is_numeric = _optional.require("pandas.api.types", "cli").is_numeric_dtype
    numeric = [name for name in frame.columns if name not in texts and is_numeric(frame[name])]
    columns = {name: as_column(frame[name]) for name in frame.columns if name not in {*texts, *numeric}}
    found = {name: column.examine() for name, column in columns.items() if column.kind_of_type() == "text"}
    if reading.decimal is None and any(map(_has_decimal_comma, found.values())):
        comma = read_table(path, dataclasses.replace(reading, decimal=","), texts)
        return dataclasses.replace(comma, unusual=comma.unusual + ", decimal commas")
    formats: dict[str, Format] = {}
    if reading.decimal == ",":
        formats = {name: NumberFormat(",") for name in numeric}
    for name, examination in found.items():
        format = _choose_format(columns[name], examination, reading)
        if format is not None:
            formats[name] = format
            frame[name] = convert(columns[name], format)
    levels = [name for name in found if name not in formats]
    return Table(frame, reading, unusual, formats, levels)


def read_frame(
    path: str, reading: Reading, texts: Collection[str] = (), names: Callable[[int], list[str]] = number_names
) -> tuple["pd.DataFrame", str]:
    """Read a file without converting columns of text. Return it and what is unusual about it.

    If the file has no header, ``names(n)`` returns the names of n columns.
    """
    extension = os.path.splitext(path.lower().removesuffix(".gz"))[1]
    unusual = ""
    try:
        if extension == ".parquet" and not path.lower().endswith(".gz"):
            frame = _read_parquet(path, reading)
        elif extension in KINDS:
            frame, unusual = _read_text(path, reading, extension, texts, names)
        else:
            *others, last = KINDS
            endings = f"{', '.join(others)} or {last} (optionally followed by .gz), or in .parquet"
            raise ValueError(f"its name should end in {endings}")
    except UnicodeDecodeError as error:
        raise ValueError(f"cannot read {path}: it is not text in {error.encoding}: set another --encoding") from error
    except (ValueError, EOFError, csv.Error, zlib.error, gzip.BadGzipFile) as error:
        if "Calling read(nbytes)" in str(error):  # how pandas reports Ctrl-C during a read
            raise KeyboardInterrupt from error
        raise ValueError(f"cannot read {path}: {error}") from error
    if not len(frame):
        raise ValueError(f"{path} has no rows")
    return frame, unusual


def read_like(path: str, other: Table, texts: Collection[str]) -> "pd.DataFrame":
    """Read a table whose columns have the same content as those of another table."""
    kinds = {str(name): as_column(other.frame[name]).kind_of_type() for name in other.frame.columns}
    words = [name for name, kind in kinds.items() if kind in ("text", "levels") and other.frame[name].dtype != bool]
    frame, _ = read_frame(path, other.reading, [*texts, *words, *other.formats])
    for name, format in other.formats.items():
        if name in frame:
            frame[name] = convert(as_column(frame[name]), format)
    return without_markers(frame, [name for name, kind in kinds.items() if kind in ("number", "date")])


def without_markers(frame: "pd.DataFrame", names: Collection[str]) -> "pd.DataFrame":
    """Replace the markers of missing values with None in columns of numbers or dates."""
    for name in names:
        if name in frame and as_column(frame[name]).kind_of_type() == "text":
            frame[name] = blank(frame[name], is_marker)
    return frame


def blank(values: "pd.Series", is_gap: Callable[[str], bool]) -> "pd.Series":
    """Return a column in which some texts are missing."""
    pd = _optional.require("pandas", "cli")
    blanked = [None if isinstance(value, str) and is_gap(value) else value for value in values]
    return pd.Series(blanked, index=values.index, name=values.name, dtype=object)


def convert(column: Column, format: Format) -> "pd.Series":
    """Convert text in a format to numbers or dates."""
    pd = _optional.require("pandas", "cli")
    if isinstance(format, NumberFormat):
        return pd.Series(column.numbers(format))
    return pd.Series(pd.to_datetime(column.dates(format), unit="D"))


def read_numbers(values: "pd.Series", reading: Reading) -> NDArray[np.float64]:
    """Convert a column of numbers, which may be text, to an array with NaN for missing values."""
    column = as_column(values)
    if column.kind_of_type() != "text":
        return column.numbers()
    found = column.examine().narrow(decimal=reading.decimal)
    formats = (format for format in found.formats if isinstance(format, NumberFormat))
    return column.numbers(next(formats, NumberFormat()))


def _has_decimal_comma(found: Examination) -> bool:
    return [format.decimal for format in found.formats if isinstance(format, NumberFormat)] == [","]


def _choose_format(column: Column, found: Examination, reading: Reading) -> Format | None:
    """Return the format of a column of text, or None for levels; raise ValueError if it is ambiguous."""
    found = found.narrow(decimal=reading.decimal, date_order=reading.date_order)
    if found.kind == "levels":
        return None
    quoted = shlex.quote(column.name)
    if found.mistakes:
        value = next(iter(found.mistakes))
        missing = shlex.quote(value) if len(value) <= _LONG else "VALUE"
        raise ValueError(
            f"{describe_mistakes(column, found)}: add --missing {missing} if that means missing, or --categorical "
            f"{quoted} if the values are categories"
        )
    if found.ask:
        question = describe_question(column, found, lambda choice: f"--{found.ask.replace('_', '-')} {choice}")
        raise ValueError(f"{question}, or --categorical {quoted}")
    format = found.formats[0]
    if isinstance(format, NumberFormat) and reading.decimal not in (None, format.decimal):
        chosen = dataclasses.replace(format, decimal=reading.decimal)
        texts = [value for value in column.values.tolist() if isinstance(value, str) and not is_marker(value)]
        return format if np.isnan(chosen.read(texts)).any() else chosen
    return format or DateFormat("ymd")


def check_columns(table: "pd.DataFrame", names: Iterable[str], path: str | None = None) -> None:
    """Raise ValueError for names of columns that a table does not have."""
    known = list(map(str, table.columns))
    for name in names:
        if name not in known:
            hint = did_you_mean(name, known)
            has = f"{hint} It has" if hint else "; it has"
            advice = ""
            if len(known) == 1:
                advice = ". Its rows have one field: --separator sets the character between fields"
            elif known != number_names(len(known)) and _as_numbers(known):
                advice = ". Its first row seems to hold data: --no-header names the columns 1, 2, ..."
            raise ValueError(f"{path or 'the table'} has no column {name!r}{has} {listed(known)}{advice}")


def _read_parquet(path: str, reading: Reading) -> "pd.DataFrame":
    with open(path, "rb"):  # to raise the system's error, which names the file, instead of the long one of Parquet
        pass
    _optional.require("pyarrow.parquet", "parquet")
    table = _optional.require("pandas", "cli").read_parquet(path)
    table.columns = [str(name) for name in table.columns]
    missing = [*reading.missing, *_as_numbers(reading.missing)]
    return table.mask(table.isin(missing)) if missing else table


def _read_text(
    path: str, reading: Reading, extension: str, texts: Collection[str], names: Callable[[int], list[str]]
) -> tuple["pd.DataFrame", str]:
    """Read a table of text; raise ValueError for rows that pandas would shift."""
    pd = _optional.require("pandas", "cli")
    text = detect(path, reading, extension, names)
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


def _as_numbers(texts: Collection[str]) -> list[float]:
    numbers = []
    for text in texts:
        with contextlib.suppress(ValueError):
            numbers.append(float(text))
    return numbers
