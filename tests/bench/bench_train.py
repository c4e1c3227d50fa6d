"""Compares training steps and predictions of chainrule and its peers in interleaved rounds of one run.

In each round every peer runs once at every thread count. A ratio is the median over the rounds of the peer's time
divided by ours in the same round, so that slow changes of the machine's speed cancel. See README.md.
"""

from __future__ import annotations

import argparse
import signal
import sys
from contextlib import ExitStack
from pathlib import Path
from statistics import median
from typing import Any

import machine
import report
from peers import OURS, PEERS
from worker import Worker, WorkerError
from workloads import WORKLOADS, Workload

TOLERANCE = 1e-3  # relative difference of the losses after a few steps
Result = dict[str, Any]


def report_failure(what: str, peer: str, n_threads: int, error: WorkerError) -> None:
    """Print the last line of a child's traceback; the run continues without this child."""
    reason = str(error).strip().splitlines()[-1]
    print(f"{what}: {peer}, {n_threads} threads, failed: {reason}", file=sys.stderr)


def start(peers: list[str], threads: list[int], stack: ExitStack) -> list[Worker]:
    """Return a worker for each peer and thread count; a peer that cannot be imported is reported and left out."""
    workers = []
    for n_threads in threads:
        for peer in peers:
            try:
                workers.append(stack.enter_context(Worker(peer, n_threads)))
            except WorkerError as error:
                report_failure("start", peer, n_threads, error)
    return workers


def measure(workload: Workload, workers: list[Worker], args: argparse.Namespace) -> list[Result]:
    """Return one result for each worker that can run the workload."""
    epochs: dict[Worker, int] = {}
    for worker in workers:
        if workload.optimizer is not None and not PEERS[worker.peer].trains:
            continue
        try:
            epochs[worker] = worker.ask("prepare", workload=workload.name, seconds=args.seconds, rows=args.rows)
        except WorkerError as error:
            report_failure(workload.name, worker.peer, worker.n_threads, error)
    times: dict[Worker, list[float]] = {worker: [] for worker in epochs}
    peaks: dict[int, list[float]] = {}
    barriers: list[float] = []
    for _ in range(args.rounds):
        if (nanoseconds := machine.barrier()) is not None:
            barriers.append(nanoseconds)
        for worker in epochs:
            if worker.peer == OURS:
                peaks.setdefault(worker.n_threads, []).append(worker.ask("machine")["gflops"])
            times[worker].append(worker.ask("run", epochs=epochs[worker]))
    ours = {worker.n_threads: times[worker] for worker in epochs if worker.peer == OURS}
    results = []
    for worker, rounds in times.items():
        peak, mine = peaks.get(worker.n_threads), ours.get(worker.n_threads)
        results.append(
            {
                "name": f"{workload.name} {worker.n_threads}t {worker.peer}",
                "workload": workload.name,
                "threads": worker.n_threads,
                "peer": worker.peer,
                "seconds": median(rounds),
                "rounds": rounds,
                "ratio": median(r / m for r, m in zip(rounds, mine, strict=True)) if mine else None,
                "peak_gflops": median(peak) if peak else None,
                "floor": workload.floor(median(peak)) if peak else None,
                "barriers_ns": barriers,
            }
        )
    return results


def check(workloads: list[Workload], workers: list[Worker]) -> int:
    """Compare every peer's loss after a few unshuffled steps with NumPy's; return the number of peers that differ."""
    rows, failures = [], 0
    for workload in workloads:
        expected = None
        for worker in sorted(workers, key=lambda worker: worker.peer != "numpy"):
            if workload.optimizer is not None and not PEERS[worker.peer].trains:
                continue
            try:
                before, after = worker.ask("check", workload=workload.name, rows=512, epochs=2)
            except WorkerError as error:
                report_failure(workload.name, worker.peer, worker.n_threads, error)
                failures += 1
                continue
            expected = after if expected is None else expected
            difference = abs(after - expected) / abs(expected)
            good = difference <= TOLERANCE
            failures += not good
            names = [workload.name, worker.peer, str(worker.n_threads)]
            rows.append([*names, f"{before:.6f}", f"{after:.6f}", f"{difference:.1e}", "ok" if good else "DIFFERS"])
    machine.print_table(["workload", "peer", "threads", "loss before", "after", "relative difference", ""], rows)
    return failures


def parse() -> argparse.Namespace:
    """Return the command line."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("workloads", nargs="*", metavar="WORKLOAD", help=f"any of {', '.join(WORKLOADS)}; default: all")
    parser.add_argument("--peers", nargs="+", choices=PEERS, help="default: all installed")
    parser.add_argument(
        "--without", nargs="+", choices=PEERS, default=[], help="torch_compiled takes half a minute per workload"
    )
    parser.add_argument("--threads", nargs="+", type=int, default=[1, 2])
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--seconds", type=float, default=0.3, help="minimum time of a measurement (default 0.3)")
    parser.add_argument("--rows", type=int, help="maximum number of rows of the data")
    parser.add_argument("--quick", action="store_true", help="3 rounds, 0.05 s, 4096 rows; not for publication")
    parser.add_argument("--check", action="store_true", help="compare the peers' losses instead of their times")
    parser.add_argument("--output", type=Path, default=Path("bench_train.json"))
    parser.add_argument("--plot", type=Path, help="also draw the figure; its suffix determines the format")
    args = parser.parse_args()
    if unknown := set(args.workloads) - set(WORKLOADS):
        parser.error(f"unknown workloads: {', '.join(sorted(unknown))}; known are {', '.join(WORKLOADS)}")
    if args.quick:
        args.rounds, args.seconds, args.rows = 3, 0.05, 4096
    return args


def main() -> int:
    """Run the chosen workloads and return the exit status."""
    args = parse()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # runs the cleanup that ends stopped workers
    chosen = [WORKLOADS[name] for name in args.workloads or WORKLOADS]
    wanted = [name for name in args.peers or PEERS if name not in args.without]
    for name in wanted:
        if not PEERS[name].installed:
            print(f"{name}: absent ({PEERS[name].package} is not installed)")
    peers = [name for name in wanted if PEERS[name].installed]
    about = machine.info()
    print(f"{about['cpu']}, {about['cores']} cores, load {about['load']:.2f};", about["versions"])
    with ExitStack() as stack:
        workers = start(peers, args.threads, stack)
        if args.check:
            return 1 if check(chosen, workers) else 0
        found = {worker.n_threads: worker.ask("machine") for worker in workers if worker.peer == OURS}
        for n, one in found.items():
            print(f"{n} threads: {one['isa']}, caches {one['caches']}, measured peak {one['gflops']:.0f} GFLOP/s")
        if (distance := machine.barrier()) is not None:
            print(f"cores {distance:.0f} ns apart")
        results = []
        for workload in chosen:
            print(f"{workload.name} ...", file=sys.stderr, flush=True)
            results += measure(workload, workers, args)
    report.print_results(results)
    machine.write_json(args.output, results, peak=found, rounds=args.rounds, rows=args.rows)
    if args.plot:
        report.draw(results, args.plot)
    return 0


if __name__ == "__main__":
    sys.exit(main())
