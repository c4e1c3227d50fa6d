"""Printing to streams that may be closed, full or unable to encode a character."""

import contextlib
import errno
import os
import sys
from typing import Any


class Console:
    """Prints the report of a command; if the stream fails, the command continues without printing.

    Parameters
    ----------
    stream : {"stdout", "stderr", None}
        The stream of `sys` to which lines are written; None prints nothing.

    Attributes
    ----------
    failure : OSError or None
        The reason why a line could not be written. After that nothing is printed.
    """

    def __init__(self, stream: str | None = "stdout") -> None:
        self._stream = stream
        self.failure: OSError | None = None

    def say(self, topic: str, text: str) -> None:
        """Print a line, with its topic in the first column."""
        if self._stream is not None and self.failure is None:
            try:
                write_text(self._stream, f"{topic:<10}{text}\n")
            except OSError as error:
                self.failure = error


def write_text(stream: str, text: str) -> None:
    r"""Write to a stream of `sys`. Characters that its encoding lacks become escapes such as ``\xe9``.

    Raises
    ------
    OSError
        If the stream is closed or cannot take the text. The text is then discarded, because the interpreter would
        otherwise try to write it again when it exits.
    """
    target = _find(stream)
    encoding = target.encoding or "utf-8"
    with _discarded_when_it_fails(stream):
        target.write(text.encode(encoding, "backslashreplace").decode(encoding))
        target.flush()


def write_bytes(data: bytes) -> None:
    """Write bytes to standard output; otherwise as `write_text`."""
    target = _find("stdout")
    with _discarded_when_it_fails("stdout"):
        target.flush()
        target.buffer.write(data)
        target.buffer.flush()


def warn(text: str) -> None:
    """Print a warning on standard error."""
    complain(f"warning: {text}")


def complain(text: str) -> None:
    """Print one line on standard error. If that is closed or full, the line is lost."""
    with contextlib.suppress(OSError):
        write_text("stderr", f"chainrule: {' '.join(text.split())}\n")


def check_standard_output() -> None:
    """Raise OSError if standard output is closed."""
    _find("stdout")


def _find(stream: str) -> Any:
    target = getattr(sys, stream)
    if target is None:  # the interpreter sets it to None if the descriptor is closed
        raise OSError(errno.EBADF, "it is closed", {"stdout": "standard output", "stderr": "standard error"}[stream])
    return target


@contextlib.contextmanager
def _discarded_when_it_fails(stream: str) -> Any:
    try:
        yield
    except OSError as error:
        with contextlib.suppress(OSError, ValueError):  # a stream without a descriptor, as in tests
            descriptor = os.open(os.devnull, os.O_WRONLY)
            os.dup2(descriptor, getattr(sys, stream).fileno())
            os.close(descriptor)
        if error.filename is None:
            error.filename = "standard output" if stream == "stdout" else "standard error"
        raise
