"""Measures the slowdown of one and two threads by background noise and busy processes, in paired rounds.

In each round every workload step runs with 1 and 2 threads next to each kind of neighbors (noise.py), on the same two
cores. Ratios are medians over the rounds: the time divided by the time of the same threads without neighbors (`quiet`),
and the time of 2 threads divided by that of 1 next to the same neighbors. cpu/wall is processor time / elapsed time.
"""

from __future__ import annotations

import argparse
import signal
import sys
from contextlib import ExitStack, closing
from pathlib import Path
from statistics import median
from typing import Any

import machine
from noise import KINDS, Neighbors
from peers import OURS, PEERS
from worker import Worker
from workloads import WORKLOADS

CORES = 2
ROWS = {"W7": 2_048}  # two steps: a whole epoch takes ten seconds


def parse() -> argparse.Namespace:
    """Return the command line."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("workloads", nargs="*", metavar="WORKLOAD", help="default: W4 W5 W6 W7")
    parser.add_argument("--beside", nargs="+", choices=KINDS, default=KINDS, metavar="KIND",
                        help=f"any of {', '.join(KINDS)}; default: all")  # fmt: skip
    parser.add_argument("--peers", nargs="+", choices=PEERS, default=[OURS])
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--seconds", type=float, default=0.3, help="minimum time of a measurement (default 0.3)")
    parser.add_argument("--output", type=Path, default=Path("bench_noise.json"))
    args = parser.parse_args()
    args.workloads = args.workloads or ["W4", "W5", "W6", "W7"]
    if unknown := set(args.workloads) - set(WORKLOADS):
        parser.error(f"unknown workloads: {', '.join(sorted(unknown))}; known are {', '.join(WORKLOADS)}")
    return args


def measure(name: str, peer: str, neighbors: dict[str, Neighbors], args: argparse.Namespace) -> list[dict[str, Any]]:
    """Return a result for each kind of neighbors and each number of threads."""
    rounds: dict[tuple[str, int], list[tuple[float, float]]] = {}
    with ExitStack() as stack:
        workers = [stack.enter_context(Worker(peer, threads, CORES)) for threads in (1, 2)]
        epochs = {worker: worker.ask("prepare", workload=name, seconds=args.seconds, rows=ROWS.get(name))
                  for worker in workers}  # fmt: skip
        for _ in range(args.rounds):
            for kind, processes in neighbors.items():
                with processes:
                    for worker in workers:
                        times = worker.ask("run_and_count", epochs=epochs[worker])
                        rounds.setdefault((kind, worker.n_threads), []).append(times)

    def ratio(these: tuple[str, int], those: tuple[str, int]) -> float:
        return median(a / b for (a, _), (b, _) in zip(rounds[these], rounds[those], strict=True))

    return [
        {
            "name": f"{name} {threads}t {peer} {kind or 'quiet'}",
            "workload": name,
            "peer": peer,
            "threads": threads,
            "beside": kind,
            "seconds": median(seconds for seconds, _ in runs),
            "cpu_per_wall": median(cpu for _, cpu in runs),
            "to_quiet": ratio((kind, threads), ("", threads)),
            "to_one": ratio((kind, threads), (kind, 1)),
        }
        for (kind, threads), runs in rounds.items()
    ]


def main() -> None:
    """Print a table for each workload and write the JSON."""
    args = parse()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # runs the cleanup that ends stopped processes
    distance = machine.barrier()
    print(machine.info()["cpu"] + (f", cores {distance:.0f} ns apart" if distance else ""))
    results = []
    with ExitStack() as stack:
        neighbors = {kind: stack.enter_context(closing(Neighbors(kind))) for kind in ["", *args.beside]}
        for name in args.workloads:
            for peer in args.peers:
                results += (found := measure(name, peer, neighbors, args))
                cells = {(result["beside"], result["threads"]): result for result in found}
                rows = []
                for kind in neighbors:
                    one, two = cells[kind, 1], cells[kind, 2]
                    rows.append([kind or "quiet", machine.seconds(one["seconds"]), f"{one['to_quiet']:.2f}"])
                    rows[-1] += [machine.seconds(two["seconds"]), f"{two['to_quiet']:.2f}"]
                    rows[-1] += [f"{two['cpu_per_wall']:.2f}", f"{two['to_one']:.2f}"]
                print(f"\n{name}, {peer}")
                header = ["beside", "1 thread", "to quiet", "2 threads", "to quiet", "cpu/wall", "2 to 1"]
                machine.print_table(header, rows)
    machine.write_json(args.output, results, barrier_ns=distance)


if __name__ == "__main__":
    main()
