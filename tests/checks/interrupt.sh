#!/usr/bin/env bash
# How soon Ctrl-C ends a call: every long call of tests/test_interrupt.py twenty times, each in a process of its own,
# with a usable network after it. All in less than a second. Needs an installed chainrule:
#     bash tests/checks/interrupt.sh [times]
set -euo pipefail
cd "$(dirname "$0")/.."
"${PYTHON:-python3}" - "${1:-20}" <<'PYTHON'
import signal
import sys

from processes import run
from test_interrupt import LONG, press_after

signal.signal(signal.SIGINT, signal.default_int_handler)  # which a shell's background would have ignored
times = int(sys.argv[1])
worst = 0.0
for name in LONG:
    took = [float(run(press_after(0.1 + 0.005 * i, name))) for i in range(times)]
    worst = max(worst, *took)
    print(f"{name:30} {sum(t < 1 for t in took)} of {times} in less than 1 s, the slowest {max(took):.2f} s", flush=True)
print(f"interrupt: the slowest of {times * len(LONG)} took {worst:.2f} s")
sys.exit(worst >= 1)
PYTHON
