"""Makes Ctrl-C print a single line while the command imports its modules. This module must be imported first.

Compiled modules turn a KeyboardInterrupt during their import into other errors, and the command cannot catch exceptions
before this package is imported.
"""

import os
import signal
import sys
from types import FrameType


def is_command() -> bool:
    """Return whether this process was started as `chainrule` or `python -m chainrule`."""
    if sys.argv[:1] == ["-m"]:  # true while the interpreter searches for the module
        place = sys.orig_argv.index("-m") + 1 if "-m" in sys.orig_argv else 0
        return sys.orig_argv[place : place + 1] == ["chainrule"]
    return os.path.splitext(os.path.basename(sys.argv[0] if sys.argv else ""))[0] == "chainrule"


def leave(number: int, frame: FrameType | None) -> None:
    """End the process. There is nothing to save yet."""
    if sys.stderr is not None:
        print("chainrule: interrupted", file=sys.stderr, flush=True)
    os._exit(1)


if is_command() and signal.getsignal(signal.SIGINT) is signal.default_int_handler:
    signal.signal(signal.SIGINT, leave)
