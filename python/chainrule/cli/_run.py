"""Runs a command: signals and errors become one line on standard error and an exit code."""

import contextlib
import signal
from collections.abc import Callable, Iterator, Sequence
from types import FrameType

from chainrule import DivergenceError
from chainrule.cli import _console
from chainrule.cli._parser import parse

_ENDING = ("SIGTERM", "SIGHUP")  # what a process manager sends, and a terminal that closes


class Terminated(KeyboardInterrupt):
    """A signal asked the process to end; everything that handles Ctrl-C handles it."""


def run(arguments: Sequence[str]) -> int:
    """Run the command of these arguments and return the exit code."""
    options = parse(arguments)
    command: Callable[..., int] = options.pop("command")
    with _termination_raises() as received:
        try:
            return command(**options)
        except BrokenPipeError:  # the reader of a pipe had enough, such as `| head`
            message = ""
        except KeyboardInterrupt:
            message = "terminated" if received else "interrupted"
        except OSError as error:
            message = f"{error.filename}: {error.strerror}" if error.filename else str(error)
        except MemoryError:
            message = "out of memory: fewer rows at a time or narrower layers need less"
        except DivergenceError:
            message = "the cost became NaN or infinite, nothing is saved: choose a smaller --learning-rate"
        except (ImportError, ValueError, TypeError) as error:
            message = str(error)
    if message:
        _console.complain(message)
    return 128 + received[0] if received else 1


@contextlib.contextmanager
def _termination_raises() -> Iterator[list[int]]:
    """Within, signals that would end the process raise `Terminated`; yield the list that their numbers go to.

    A signal that is ignored already, as SIGHUP is under `nohup`, stays so.
    """
    received: list[int] = []

    def terminate(number: int, frame: FrameType | None) -> None:
        received.append(number)
        raise Terminated

    replaced = []
    for name in _ENDING:
        number = getattr(signal, name, None)  # Windows has no SIGHUP
        if number is not None and signal.getsignal(number) is signal.SIG_DFL:
            with contextlib.suppress(ValueError):  # not in the main thread, which alone handles signals
                signal.signal(number, terminate)
                replaced.append(number)
    try:
        yield received
    finally:
        for number in replaced:
            signal.signal(number, signal.SIG_DFL)
