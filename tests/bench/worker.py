"""Runs one peer at one thread count in a separate process, so that peers can alternate within one run.

In the parent, `Worker` starts this file as a child on its own cores, and stops it (SIGSTOP) while it is idle, because
idle threads of OpenMP, OpenBLAS and XLA spin and would disturb the measured process. In the child, `_serve` reads one
JSON request per line from stdin and writes one JSON reply per line to stdout.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
import traceback
from importlib import import_module
from typing import Any

import machine
from resident import resident


class WorkerError(RuntimeError):
    """A request failed in the child; the message is its traceback."""


class Worker:
    """A running peer; use as a context manager."""

    def __init__(self, peer: str, n_threads: int, cores: int | None = None) -> None:
        self.peer, self.n_threads = peer, n_threads
        cpus = machine.cpus(cores or n_threads)
        self._process = subprocess.Popen(
            [sys.executable, __file__, peer, str(n_threads)],
            env=machine.environment(n_threads),
            preexec_fn=lambda: os.sched_setaffinity(0, cpus),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        try:
            self.ask("hello")
        except BaseException:
            self.__exit__()
            raise

    def ask(self, what: str, **arguments: Any) -> Any:
        """Resume the child, send a request, stop the child, and return the reply."""
        process = self._process
        assert process.stdin is not None
        assert process.stdout is not None
        process.send_signal(signal.SIGCONT)
        try:
            process.stdin.write(json.dumps([what, arguments]) + "\n")
            process.stdin.flush()
            line = process.stdout.readline()
        except BrokenPipeError:
            line = ""
        if not line:
            raise WorkerError(f"{self.peer} ended with exit status {process.wait()}")
        process.send_signal(signal.SIGSTOP)
        reply, error = json.loads(line)
        if error:
            raise WorkerError(error)
        return reply

    def peak_megabytes(self) -> float:
        """Return the child's largest resident set so far."""
        return resident("VmHWM", self._process.pid) / 1e6

    def __enter__(self) -> Worker:
        return self

    def __exit__(self, *_: object) -> None:
        self._process.kill()  # works on a stopped process too; the child holds nothing worth saving
        self._process.communicate()


class _Child:
    """The requests, one method each."""

    def __init__(self, peer: str, n_threads: int) -> None:
        from peers import PEERS

        self.module, self.n_threads = import_module(PEERS[peer].module), n_threads
        self.session: Any = None

    def hello(self) -> None:
        """Confirm that the peer is imported."""

    def machine(self) -> Any:
        """Return our own peer's measured peak and instruction set."""
        return self.module.machine(self.n_threads)

    def prepare(self, workload: str, seconds: float, rows: int | None) -> int:
        """Prepare and warm up a workload; return the number of epochs or calls that take about this many seconds."""
        from workloads import WORKLOADS, Problem

        self.session = None  # free the last one first
        self.workload = WORKLOADS[workload].shortened(rows) if rows else WORKLOADS[workload]
        self.session = self._session(Problem(self.workload), shuffle=True)
        self.run(1)  # compiles
        epochs = 1
        while (taken := self.run(epochs) * epochs * self.workload.steps_per_epoch) < seconds / 2:
            epochs = max(2 * epochs, min(100 * epochs, round(epochs * seconds / taken)))
        return epochs

    def run(self, epochs: int) -> float:
        """Return the time of one step in seconds, measured over this number of epochs or calls."""
        start = time.perf_counter()
        self.session.run(epochs)
        return (time.perf_counter() - start) / (epochs * self.workload.steps_per_epoch)

    def run_and_count(self, epochs: int) -> tuple[float, float]:
        """Return the time of one step in seconds, and processor time of all threads / elapsed time."""
        before, start = time.process_time(), time.perf_counter()
        step = self.run(epochs)
        return step, (time.process_time() - before) / (time.perf_counter() - start)

    def check(self, workload: str, rows: int, epochs: int) -> list[float]:
        """Return the loss before and after a few unshuffled epochs of at most this number of rows."""
        from workloads import WORKLOADS, Problem

        self.workload = WORKLOADS[workload].shortened(rows)
        problem = Problem(self.workload)
        self.session = self._session(problem, shuffle=False)
        self.session.run(epochs)
        if self.workload.models > 1:
            return [problem.mean_loss(problem.all_params()), problem.mean_loss(self.session.result())]
        return [problem.loss(problem.params()), problem.loss(self.session.result())]

    def _session(self, problem: Any, shuffle: bool) -> Any:
        if self.workload.optimizer is None:
            return self.module.predict(problem, self.n_threads)
        train = self.module.train if self.workload.models == 1 else self.module.train_many
        return train(problem, self.n_threads, shuffle)


def _serve(peer: str, n_threads: int) -> None:
    replies = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # output of a peer must not mix with the replies
    child: _Child | None = None
    for line in sys.stdin:
        what, arguments = json.loads(line)
        try:
            child = child or _Child(peer, n_threads)
            reply = [getattr(child, what)(**arguments), None]
        except Exception:
            reply = [None, traceback.format_exc()]
        print(json.dumps(reply), file=replies, flush=True)


if __name__ == "__main__":
    _serve(sys.argv[1], int(sys.argv[2]))
