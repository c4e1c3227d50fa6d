"""The command line: `chainrule demo`, `train`, `predict` and `info`.

Exit codes: 0 success; 1 failed or interrupted (one line on standard error gives the reason); 2 wrong usage; 128 plus
the number of the signal if SIGTERM (143) or SIGHUP (129) ended the command. After a signal or Ctrl-C, `train` and
`demo` first save the model.
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
        from chainrule.cli._parser import run  # imported here so that Ctrl-C during the import is handled too

        return run(sys.argv[1:] if argv is None else list(argv))
    except KeyboardInterrupt:
        print("chainrule: interrupted", file=sys.stderr)
        return 1
