"""The command line: `chainrule demo`, `train`, `predict` and `info`.

Exit codes: 0 done, 1 failed or interrupted (one line on standard error says why), 2 wrong usage, 143 (128 + the
signal's number) ended by SIGTERM, or 129 by SIGHUP; a training saves what was learnt first, as after Ctrl-C.
"""

import sys
from collections.abc import Sequence


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command and return the exit code.

    Parameters
    ----------
    argv : sequence of str, optional
        The arguments after the program's name; default: those of the process.

    Raises
    ------
    SystemExit
        With code 2 for wrong usage, with 0 after `--help` and `--version`.

    Examples
    --------
    >>> from chainrule.cli import main
    >>> main(["info", "no such file"])
    1
    """
    try:
        from chainrule.cli._parser import run  # imports take a moment, in which Ctrl-C is pressed, too

        return run(sys.argv[1:] if argv is None else list(argv))
    except KeyboardInterrupt:
        print("chainrule: interrupted", file=sys.stderr)
        return 1
