"""Replaces files atomically, and writes to pipes, devices and open descriptors such as /dev/stdout."""

import contextlib
import os
import sys
from typing import TypeAlias

from chainrule import _core

StrPath: TypeAlias = str | os.PathLike[str]


def write_atomically(path: StrPath, data: bytes) -> None:
    """Replace the content of a file atomically; it is on the disk when this returns. A symbolic link stays a link.

    A target that is not a file is written to instead: a pipe, a device, or an open descriptor (/dev/stdout,
    /dev/fd/3), which keeps its position and may have been opened for appending.

    Examples
    --------
    >>> import pathlib, tempfile
    >>> from chainrule._disk import write_atomically
    >>> path = pathlib.Path(tempfile.mkdtemp(), "file")
    >>> write_atomically(path, b"content")
    >>> path.read_bytes()
    b'content'
    """
    name = os.fspath(path)
    if _core.is_descriptor(name):
        for stream in (sys.stdout, sys.stderr):
            with contextlib.suppress(OSError, ValueError, AttributeError):  # no stream, or it has no descriptor
                stream.flush()  # so that earlier output comes first
    _core.write_file(name, data)
