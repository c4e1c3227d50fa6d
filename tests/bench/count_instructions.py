"""Counts the instructions of one training step of the smallest workloads, which do not depend on the clock.

It counts two fits, one twice as long as the other. The difference contains only steps and the work per epoch in C++ and
Python. See counting.py.
"""

from __future__ import annotations

import sys
from functools import partial
from pathlib import Path

import counting
import machine
from counting import Counter
from peers import chainrule_peer
from workloads import WORKLOADS, Problem

STEPS = {"W2": 20_000, "W3": 20_000}


def count() -> None:
    """Count both fits of every workload under valgrind."""
    counter = Counter()
    for name, steps in STEPS.items():
        session = chainrule_peer.train(Problem(WORKLOADS[name]), 1, shuffle=True)
        epochs = steps // WORKLOADS[name].steps_per_epoch
        session.run(1)
        counter(f"{name} short", partial(session.run, epochs))
        counter(f"{name} long", partial(session.run, 2 * epochs))


def main() -> None:
    """Print a row for each workload."""
    if sys.argv[1:] == ["count"]:
        count()
        return
    counts = counting.run(Path(__file__), ["count"])
    rows = []
    for name, steps in STEPS.items():
        more = counts[f"{name} long"].instructions - counts[f"{name} short"].instructions
        rows.append([name, f"{more / steps:.0f}"])
    machine.print_table(["workload", "instructions per step (avx2)"], rows)


if __name__ == "__main__":
    main()
