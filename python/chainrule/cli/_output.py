"""Writes results to files, devices and standard output, and checks in advance that they can be written."""

import contextlib
import errno
import gzip
import io
import os
import shutil
import stat
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from chainrule import _optional
from chainrule._disk import write_atomically
from chainrule.cli import _console

if TYPE_CHECKING:
    import pandas as pd

STANDARD_OUTPUT = "-"
_NAMES = {STANDARD_OUTPUT, "/dev/stdout", "/dev/fd/1", "/proc/self/fd/1"}
_SEPARATORS = {".csv": ",", ".tsv": "\t"}
KINDS = ".csv, .tsv, .csv.gz, .tsv.gz or .parquet"
_PROBE = b"\0" * 4096


def is_standard_output(path: str) -> bool:
    """Return whether a path refers to standard output, which may be a file that a rename would replace."""
    return path in _NAMES


def check_output(path: str, *others: str | None) -> None:
    """Raise the error that writing a file would raise, or ValueError if it is one of the other files.

    Parameters
    ----------
    path : str
        The file to be written later; it is not changed.
    *others : str or None
        Other files that are read or written.
    """
    if is_standard_output(path):
        _console.check_standard_output()
        return
    folder = os.path.dirname(os.path.realpath(path))
    if not os.path.isdir(folder):
        raise FileNotFoundError(errno.ENOENT, "no such folder", folder)
    try:
        mode = os.stat(path).st_mode  # a name that is too long raises here
    except FileNotFoundError:
        mode = stat.S_IFREG
    else:
        if stat.S_ISDIR(mode):
            raise IsADirectoryError(errno.EISDIR, "is a folder, expected a file to write", path)
        if stat.S_ISSOCK(mode):
            raise OSError(errno.ENXIO, "is a socket, expected a file to write", path)
        if not os.access(path, os.W_OK):
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), path)
    if os.path.realpath(path) in [os.path.realpath(other) for other in others if other is not None]:
        raise ValueError(f"{path} is named twice in this command: choose another file to write")
    if stat.S_ISREG(mode):
        try:  # the file is replaced by a new one, which needs permission to write to the folder
            with tempfile.TemporaryFile(dir=folder) as file:
                file.write(_PROBE)
                file.flush()
                os.fsync(file.fileno())
        except OSError as error:
            raise OSError(error.errno, error.strerror, folder) from error


def check_model_output(path: str, *others: str | None) -> None:
    """Do the checks of `check_output`, and refuse to write a model to a terminal."""
    check_output(path, *others)
    if is_standard_output(path) and os.isatty(1):
        raise ValueError("a model is not text: redirect standard output, or name a file with --output")


def check_table_output(path: str, *others: str | None) -> None:
    """Do the checks of `check_output`, and raise ValueError for a file extension that is not a kind of table."""
    check_output(path, *others)
    if _is_parquet(path):
        _optional.require("pyarrow.parquet", "parquet")
    elif _separator(path) is None:
        raise ValueError(f"cannot write {path}: its name should end in {KINDS}")


def check_space(path: str, size: int) -> None:
    """Raise OSError if the disk has less space than a file of this many bytes needs."""
    if is_standard_output(path):
        return
    target = os.path.realpath(path)
    if os.path.exists(target) and not os.path.isfile(target):
        return
    if (free := shutil.disk_usage(os.path.dirname(target)).free) < size:
        raise OSError(errno.ENOSPC, f"the model needs {size:,} bytes, the disk has {free:,}", path)


def write_by(save: Callable[[str], None], path: str) -> None:
    """Call a function that writes a file. For standard output, it writes a temporary file, which is then copied."""
    if not is_standard_output(path):
        with _named(path):
            save(path)
        return
    with tempfile.TemporaryDirectory() as folder:
        save(os.path.join(folder, "file"))
        _console.write_bytes(Path(folder, "file").read_bytes())


def write_table(path: str, table: "pd.DataFrame") -> None:
    """Write a table in the format of its file extension; CSV to standard output and to devices."""
    if _is_parquet(path):
        buffer = io.BytesIO()
        table.to_parquet(buffer, index=False)
        data = buffer.getvalue()
    else:
        data = table.to_csv(index=False, lineterminator="\n", sep=_separator(path)).encode()
        if path.lower().endswith(".gz"):
            data = gzip.compress(data, mtime=0)  # so that the same predictions give the same file
    if is_standard_output(path):
        _console.write_bytes(data)
    else:
        with _named(path):
            write_atomically(path, data)


@contextlib.contextmanager
def _named(path: str) -> Iterator[None]:
    """Add the name of the file to the system's errors."""
    try:
        yield
    except OSError as error:
        error.filename = error.filename or path
        raise


def _is_parquet(path: str) -> bool:
    return path.lower().endswith(".parquet")


def _separator(path: str) -> str | None:
    """Return the separator for the kind of text file that a path names, or None."""
    if is_standard_output(path) or (os.path.exists(path) and not os.path.isfile(path)):  # a folder is refused later
        return ","
    return _SEPARATORS.get(os.path.splitext(path.lower().removesuffix(".gz"))[1])
