"""Signals that end a command: Ctrl-C, what a process manager sends, and a terminal that closes."""

import contextlib
import signal
from collections.abc import Iterator, Sequence
from types import FrameType

from chainrule import _start

_ENDING = ("SIGINT", "SIGTERM", "SIGHUP")
_DEFAULTS = (signal.SIG_DFL, signal.default_int_handler, _start.leave)


class Terminated(KeyboardInterrupt):
    """A signal asked the process to end; everything that handles Ctrl-C handles it."""


@contextlib.contextmanager
def interruptions() -> Iterator[list[int]]:
    """Within, a signal that would end the process raises `Terminated`; yield the list that its number goes to.

    A signal that is ignored or handled already, as SIGHUP is under `nohup`, stays so.
    """
    received: list[int] = []

    def terminate(number: int, frame: FrameType | None) -> None:
        received.append(number)
        raise Terminated

    before = {}
    for name in _ENDING:
        number = getattr(signal, name, None)  # Windows has no SIGHUP
        if number is not None and signal.getsignal(number) in _DEFAULTS:
            with contextlib.suppress(ValueError):  # not in the main thread, which alone handles signals
                before[number] = signal.signal(number, terminate)
    try:
        yield received
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def describe(number: int) -> str:
    """Return what happened, as a message."""
    return "interrupted" if number == signal.SIGINT else "terminated"


def exit_code(received: Sequence[int]) -> int:
    """Return the exit code of a command that failed: 128 and the signal's number where one but Ctrl-C ended it."""
    return 128 + received[0] if received and received[0] != signal.SIGINT else 1
