"""Compares a training step with `precision="bf16"` to one in float32, alternating in one process.

Each time is the median over the rounds of one step, including shuffling and gathering; `ratio` is the median of
float32 / bf16 in the same round. The first epoch of a fit is not counted, because it touches its memory first.
"""

from __future__ import annotations

import argparse
from dataclasses import asdict
from statistics import median

import machine


def parse() -> argparse.Namespace:
    """Return the command line."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("workloads", nargs="*", default=["W6", "W7"], help="default: W6 W7")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--epochs", type=int, default=2, help="epochs measured in each fit (default 2)")
    return parser.parse_args()


ARGS = parse()
machine.pin(ARGS.threads)  # before NumPy reads the environment

import chainrule as cr  # noqa: E402
from chainrule import _core  # noqa: E402
from workloads import WORKLOADS, Problem  # noqa: E402


def step(problem: Problem, net: cr.Network, precision: str) -> float:
    """Return the time of a step in seconds."""
    w, ends = problem.workload, []
    net.fit(
        problem.X,
        problem.y,
        optimizer=getattr(cr, type(w.optimizer).__name__)(**asdict(w.optimizer)),  # type: ignore[call-overload]
        batch_size=w.batch,
        epochs=1 + ARGS.epochs,
        precision=precision,
        callbacks=[lambda logs: ends.append(logs["seconds"])],
        n_threads=ARGS.threads,
    )
    return float(ends[-1] - ends[0]) / (ARGS.epochs * w.steps_per_epoch)


def main() -> None:
    """Print one table."""
    rows = []
    for problem in (Problem(WORKLOADS[name]) for name in ARGS.workloads):
        w = problem.workload
        times: dict[str, list[float]] = {"float32": [], "bf16": []}
        peaks: dict[str, list[float]] = {"float32": [], "bf16": []}
        nets = {p: cr.Network(list(w.layer_sizes), activation=w.activation, loss=w.loss, seed=0) for p in times}
        for _ in range(ARGS.rounds):
            for precision, net in nets.items():
                peaks[precision].append(_core.peak_gflops(precision, ARGS.threads, 0.05))
                times[precision].append(step(problem, net, precision))
        ratio = median(f / b for f, b in zip(times["float32"], times["bf16"], strict=True))
        row = [
            w.name,
            machine.seconds(median(times["float32"])),
            machine.seconds(median(times["bf16"])),
            f"{ratio:.2f}",
        ]
        row += [f"{100 * w.floor(median(peaks[p])) / median(times[p]):.0f} %" for p in times]
        rows.append([*row, *(f"{median(peaks[p]):.0f}" for p in times)])
    share, peak = ["floor/float32", "floor/bf16"], ["peak float32", "peak bf16 GFLOP/s"]
    machine.print_table([f"{ARGS.threads} threads", "float32", "bf16", "ratio", *share, *peak], rows)


if __name__ == "__main__":
    main()
