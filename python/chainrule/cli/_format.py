"""The layout of a text file: encoding, separator, names of the columns; detected where that is certain."""

import csv
import dataclasses
import gzip
import io
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

KINDS = {".csv": ",", ".tsv": "\t", ".tab": "\t", ".txt": ",", ".data": ",", ".dat": ","}  # and their separators
SEPARATORS = {"tab": "\t", "\\t": "\t", "space": r"\s+", " ": r"\s+"}  # names for what is hard to type
UNNAMED = "Unnamed: "  # and the place of a column without a name, as pandas has it
_OTHERS = ",;\t|"  # separators that are detected
_BEGINNING = 1 << 16  # bytes to look at
_ROWS = 50  # to look at
_GUESSES = ("cp1252", "latin-1")  # where a file is not UTF-8: that of Windows, and one that has all bytes
_BOMS = {b"\xef\xbb\xbf": "utf-8-sig", b"\xff\xfe": "utf-16", b"\xfe\xff": "utf-16"}


@dataclasses.dataclass(frozen=True)
class Reading:
    """Options for reading a table's file; None: detected.

    Attributes
    ----------
    separator : str or None
        Between the fields of a row: one character, or pandas' expression for any white space.
    decimal : {".", ",", None}
        The decimal mark of numbers.
    encoding : str or None
        A name that Python knows.
    date_order : {"dmy", "mdy", "ymd", None}
        Of dates that are written as three numbers.
    header : bool
        Whether the first row has the names of the columns; else these are 1, 2, ...
    missing : sequence of str
        Values that mean missing in every column.
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
            raise ValueError(f"not the settings of a table's file: {self}")
        object.__setattr__(self, "missing", tuple(str(value) for value in self.missing))

    def override(self, separator: str | None, encoding: str | None) -> "Reading":
        """Return a copy with another file's separator and encoding, if not None."""
        return dataclasses.replace(self, separator=separator or self.separator, encoding=encoding or self.encoding)


@dataclasses.dataclass(frozen=True)
class Text:
    """The layout of a text file.

    Attributes
    ----------
    encoding, separator : str
        As `Reading` has them.
    names : list of str
        Of the columns, none twice.
    unusual : str
        What is unexpected for the file's name, to append to a sentence; or empty.
    warnings : list of str
        About what was guessed or changed.
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
    """Return the layout of a file; `names` gives those of so many columns where it has no header.

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
        warnings.append(f"{path} is not UTF-8 text: it is read as {encoding}, --encoding names another")
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
        first = next(csv.reader([" ".join(rows[0].split())], delimiter=" "))  # which keeps quoted words together
    else:
        first = next(csv.reader(rows, delimiter=separator))
    if not reading.header:
        return Text(encoding, separator, names(len(first)), unusual, warnings)
    header, renamed = _distinct([name or f"{UNNAMED}{place}" for place, name in enumerate(first)])
    return Text(encoding, separator, header, unusual, [*warnings, *(f"{path}: {text}" for text in renamed)])


def _find_encoding(path: str) -> str:
    """Return the encoding that the first bytes name, else UTF-8 if all of the file is, else what Windows writes."""
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
    """Return the first lines that are not empty; the last one that was read may be cut, and is left out."""
    with _open(path) as file, io.TextIOWrapper(file, encoding=encoding, newline="") as text:
        beginning = text.read(_BEGINNING)
    lines = beginning.splitlines(keepends=True)
    if len(beginning) == _BEGINNING and len(lines) > 1:
        lines.pop()
    return [line for line in lines if line.strip()][: _ROWS + 1]


def _find_separator(lines: list[str], usual: str) -> str:
    """Return the usual separator for a file's name, unless only another one splits the first rows evenly."""
    fitting = [separator for separator in dict.fromkeys(usual + _OTHERS) if _fits(lines, separator)]
    if not fitting and _are_numbers(lines):
        return SEPARATORS["space"]
    return fitting[0] if fitting[:1] == [usual] or len(fitting) == 1 else usual


def _fits(lines: list[str], separator: str) -> bool:
    """Return whether all rows have as many fields as the first, more than one; an empty one may follow."""
    try:
        rows = list(csv.reader(lines, delimiter=separator))
    except csv.Error:
        return False
    if len(rows) > 1 and not lines[-1].endswith(("\n", "\r")):
        rows.pop()
    width = len(rows[0])
    return width > 1 and all(len(row) == width or (len(row) == width + 1 and not row[-1]) for row in rows)


def _are_numbers(lines: list[str]) -> bool:
    """Return whether all rows but the first are equally many numbers, more than one, between white space."""
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
    """Return names of which none occurs twice, and sentences about those that did."""
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
