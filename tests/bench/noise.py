"""Neighbors: processes that disturb a benchmark like those of a desktop or a shared server.

`python tests/bench/noise.py busy2` runs until it is interrupted. KINDS lists the neighbors: `noise` wakes 100 times per
second and computes for 50 us, half a percent of one core; `busyN` are N processes that compute all the time. `-pinned`
pins each of them to one of the last two cores in turn; the system places the others on the cores of the benchmark.
"""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time

import machine

KINDS = [f"{what}{where}" for what in ("noise", "busy1", "busy2", "busy4") for where in ("", "-pinned")]
_PERIOD, _WORK = 0.01, 50e-6  # seconds


class Neighbors:
    """Processes of one kind, which run only inside `with`; `close` ends them. The kind "" has none."""

    def __init__(self, kind: str) -> None:
        what, number = re.fullmatch(r"(noise|busy)?(\d?)(?:-pinned)?", kind).groups()  # type: ignore[union-attr]
        count = int(number or 1) if what else 0
        cores = machine.cpus(min(2, len(os.sched_getaffinity(0)))) if kind.endswith("-pinned") else []
        chosen = [str(cores[i % len(cores)]) if cores else "" for i in range(count)]
        self._processes = [subprocess.Popen([sys.executable, __file__, what, core]) for core in chosen]
        self._send(signal.SIGSTOP)

    def _send(self, number: signal.Signals) -> None:
        for process in self._processes:
            process.send_signal(number)

    def __enter__(self) -> Neighbors:
        self._send(signal.SIGCONT)
        return self

    def __exit__(self, *_: object) -> None:
        self._send(signal.SIGSTOP)

    def close(self) -> None:
        """End them."""
        self._send(signal.SIGKILL)
        for process in self._processes:
            process.wait()


def _disturb(what: str, core: str) -> None:
    if core:
        os.sched_setaffinity(0, {int(core)})
    parent = os.getppid()
    while os.getppid() == parent:  # until the benchmark ends
        if what == "noise":
            time.sleep(_PERIOD)
        end = time.perf_counter() + _WORK
        while time.perf_counter() < end:
            pass


def main() -> None:
    """Run the neighbors named on the command line until interrupted."""
    if len(sys.argv) == 3:
        _disturb(*sys.argv[1:])
    elif len(sys.argv) == 2 and sys.argv[1] in KINDS:
        neighbors = Neighbors(sys.argv[1])
        with neighbors:
            print(f"{sys.argv[1]}, until Ctrl-C", flush=True)
            try:
                signal.pause()
            except KeyboardInterrupt:
                neighbors.close()
    else:
        raise SystemExit(f"usage: noise.py {' | '.join(KINDS)}")


if __name__ == "__main__":
    main()
