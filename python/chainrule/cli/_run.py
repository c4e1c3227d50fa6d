"""Runs a command: signals and errors become one line on standard error and an exit code."""

from collections.abc import Callable, Sequence

from chainrule import DivergenceError
from chainrule.cli import _console
from chainrule.cli._parser import parse
from chainrule.cli._signals import describe, exit_code, interruptions


def run(arguments: Sequence[str]) -> int:
    """Run the command of these arguments and return the exit code."""
    options = parse(arguments)
    command: Callable[..., int] = options.pop("command")
    with interruptions() as received:
        try:
            return command(**options)
        except BrokenPipeError:  # the reader of a pipe had enough, such as `| head`
            message = ""
        except KeyboardInterrupt:
            message = "interrupted"
        except OSError as error:
            message = f"{error.filename}: {error.strerror}" if error.filename else str(error)
        except MemoryError:
            message = "out of memory: fewer rows at a time or narrower layers need less"
        except DivergenceError:
            message = "the cost became NaN or infinite, nothing is saved: choose a smaller --learning-rate"
        except (ImportError, ValueError, TypeError) as error:
            message = str(error)
    if received:  # whatever error a module that was just being imported made of it
        message = describe(received[0])
    if message:
        _console.complain(message)
    return exit_code(received)
