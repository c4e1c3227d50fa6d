"""Training that resumes from a checkpoint in another process."""

import os
from pathlib import Path

from test_checkpoint import X, Y, make_network, settings

import chainrule as cr


def resume_all(folder):
    """Continue each training of a folder, named by its settings and type, for 120 epochs."""
    for path in sorted(Path(folder).iterdir()):
        net, state = cr.load_checkpoint(path)
        name, _, _ = path.name.rpartition(", ")
        net.fit(X, Y, epochs=120, resume=state, callbacks=[cr.Checkpoint(path)], **settings(name))


def train_until_killed(path):
    net, state = cr.load_checkpoint(path) if os.path.exists(path) else (make_network(), None)
    callbacks = [cr.Checkpoint(path), lambda logs: print(logs["epoch"], flush=True)]
    net.fit(X, Y, epochs=10**6, resume=state, callbacks=callbacks, **settings("adam"))
