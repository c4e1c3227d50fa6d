"""Handles signals that end a command: SIGINT (Ctrl-C), SIGTERM, and SIGHUP of a closed terminal."""

import contextlib
import signal
from collections.abc import Callable, Iterator, Sequence
from types import FrameType
from typing import Any, TypeAlias

from chainrule import _start

_Handler: TypeAlias = Callable[[int, FrameType | None], None]

_ENDING = ("SIGINT", "SIGTERM", "SIGHUP")
_DEFAULTS = (signal.SIG_DFL, signal.default_int_handler, _start.leave)


class Terminated(KeyboardInterrupt):
    """Raised if a signal asks the process to end. Code that handles Ctrl-C handles it too."""


@contextlib.contextmanager
def interruptions() -> Iterator[list[int]]:
    """Within the block, a signal that would end the process raises `Terminated`; yield a list that receives its number.

    Signals that are already ignored or handled, such as SIGHUP under `nohup`, are left alone.
    """
    received: list[int] = []

    def terminate(number: int, frame: FrameType | None) -> None:
        received.append(number)
        raise Terminated

    before = _replace(terminate, lambda handler: handler in _DEFAULTS)
    try:
        yield received
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextlib.contextmanager
def delayed_signals() -> Iterator[None]:
    """Delay a signal to the end of the block, so that a second Ctrl-C does not stop the saving; a third one does."""
    waiting: list[int] = []

    def wait(number: int, frame: FrameType | None) -> None:
        if waiting:  # the block itself may hang, for example on a pipe
            raise Terminated
        waiting.append(number)

    before = _replace(wait, lambda handler: handler is not signal.SIG_IGN)
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
    for number in waiting:
        signal.raise_signal(number)


def _replace(handler: _Handler, where: Callable[[object], bool]) -> dict[int, Any]:
    """Replace some signal handlers by this one; return the old handlers by signal number."""
    before = {}
    for name in _ENDING:
        number = getattr(signal, name, None)  # Windows has no SIGHUP
        if number is not None and where(signal.getsignal(number)):
            with contextlib.suppress(ValueError):  # raised outside the main thread, the only one that can set handlers
                before[number] = signal.signal(number, handler)
    return before


def describe(number: int) -> str:
    """Return a message about the signal."""
    return "interrupted" if number == signal.SIGINT else "terminated"


def exit_code(received: Sequence[int]) -> int:
    """Return the exit code of a failed command: 128 plus the signal's number for a signal other than Ctrl-C."""
    return 128 + received[0] if received and received[0] != signal.SIGINT else 1
