"""Runs the command. Import times matter here, so each function imports what it needs."""

import os
import signal
import sys


def report_epochs(*arguments):
    """Print each epoch, so that a test may send a signal while the network trains."""
    for name in ("SIGTERM", "SIGHUP"):  # the program that runs the tests, such as nohup, may ignore these signals
        signal.signal(getattr(signal, name), signal.SIG_DFL)
    import chainrule as cr
    from chainrule.cli import main

    fit = cr.Network.fit

    def reporting(self, *data, callbacks, **options):
        report = lambda logs: print("epoch", logs["epoch"], flush=True)  # noqa: E731
        return fit(self, *data, callbacks=[*callbacks, report], **options)

    cr.Network.fit = reporting
    sys.exit(main(arguments))


def interrupt_an_import(module):
    """Run `chainrule predict`, and send Ctrl-C when it is about to import this module."""

    class Finder:
        def find_spec(self, name, path, target=None):
            if name == module:
                os.kill(os.getpid(), signal.SIGINT)

    sys.meta_path.insert(0, Finder())
    sys.argv = ["/usr/bin/chainrule", "predict", "m.safetensors", "houses.csv"]
    from chainrule.cli import main

    sys.exit(main())
