"""Instructions of one training step of the smallest workloads, which no clock disturbs: two fits, one twice as long.

Needs valgrind, whose CPU has no AVX-512: counted on avx2. The difference of the two counts holds steps alone, with what
an epoch costs in C++ and Python.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import machine

STEPS = {"W2": 20_000, "W3": 20_000}
FIT = """
import sys
sys.path.insert(0, {here!r})
from peers import chainrule_peer
from workloads import WORKLOADS, Problem
workload = WORKLOADS[{name!r}]
chainrule_peer.train(Problem(workload), 1, shuffle=True).run({steps} // workload.steps_per_epoch)
"""


def instructions(name: str, steps: int) -> int:
    """Return the instructions of a process that does so many steps."""
    program = FIT.format(here=str(Path(__file__).parent), name=name, steps=steps)
    environment = machine.environment(1) | {"CHAINRULE_ISA": "avx2", "PYTHONHASHSEED": "0"}
    command = ["valgrind", "--tool=callgrind", f"--callgrind-out-file={os.devnull}", sys.executable, "-c", program]
    done = subprocess.run(command, env=environment, capture_output=True, text=True)
    counted = re.search(r"Collected : (\d+)", done.stderr)
    if done.returncode or not counted:
        raise SystemExit(done.stderr)
    return int(counted[1])


def main() -> None:
    """Print a row for each workload."""
    rows = []
    for name, steps in STEPS.items():
        few, many = instructions(name, steps), instructions(name, 2 * steps)
        rows.append([name, f"{(many - few) / steps:.0f}"])
    machine.print_table(["workload", "instructions a step (avx2)"], rows)


if __name__ == "__main__":
    main()
