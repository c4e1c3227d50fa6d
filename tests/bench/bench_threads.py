"""Finds networks for which a second thread slows down training steps or predictions, in paired measurements.

Networks width-width-width-n have two hidden layers, n = min(width, 10) outputs, relu, squared error, Adam, float32;
widths and batches are powers of two. Each ratio, time with 2 threads / time with 1, is the median over rounds in which
the two alternate; ratios above 1.03 are measured again at the end, with four times as many rounds.
"""

from __future__ import annotations

import argparse
import itertools
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from statistics import median
from typing import Any

import machine
from noise import KINDS as NEIGHBORS
from noise import Neighbors

machine.pin(2)  # before NumPy reads the environment

import numpy as np  # noqa: E402

import chainrule as cr  # noqa: E402

POWERS = [2**i for i in range(11)]
SUSPECT, HURTS = 1.03, 1.05
Run = Callable[[int, int], None]  # (repetitions, threads)


def fitting(width: int, batch: int) -> tuple[Run, int]:
    """Return a function that trains for some epochs, and the number of steps per epoch."""
    steps = max(8, 256 // batch)
    net, X, y = problem(width, steps * batch)

    def run(epochs: int, threads: int) -> None:
        net.fit(X, y, batch_size=batch, epochs=epochs, n_threads=threads, seed=0)

    return run, steps


def predicting(width: int, batch: int) -> tuple[Run, int]:
    """Return a function that predicts one batch repeatedly."""
    net, X, _ = problem(width, batch)

    def run(calls: int, threads: int) -> None:
        for _ in range(calls):
            net.predict(X, n_threads=threads)

    return run, 1


KINDS = {"fit": fitting, "predict": predicting}


def problem(width: int, rows: int) -> tuple[cr.Network, Any, Any]:
    """Return a network and its data."""
    net = cr.Network([width, width, width, min(width, 10)], loss="squared_error", dtype="float32", seed=0)
    X = np.random.default_rng(0).standard_normal((rows, width), dtype=np.float32)
    return net, X, X[:, : min(width, 10)].copy()


def measure(run: Run, seconds: float, rounds: int) -> tuple[float, float]:
    """Return the time of one repetition with 1 thread, in seconds, and the median ratio of 2 threads to 1."""

    def timed(repeats: int, threads: int) -> float:
        start = time.perf_counter()
        run(repeats, threads)
        return (time.perf_counter() - start) / repeats

    repeats = 1
    while (taken := timed(repeats, 2) * repeats) < seconds / 2:
        repeats = max(2 * repeats, min(100 * repeats, round(repeats * seconds / taken)))
    pairs = []
    for turn in range(rounds):
        order = (1, 2) if turn % 2 else (2, 1)
        times = {threads: timed(repeats, threads) for threads in order}
        pairs.append((times[1], times[2]))
    return median(one for one, _ in pairs), median(two / one for one, two in pairs)


def sweep(kind: str, args: argparse.Namespace) -> list[dict[str, Any]]:
    """Return a result for each width and batch; suspicious ones are measured again at the end."""
    cells = list(itertools.product(args.widths, args.batches))
    results = {}

    def cell(width: int, batch: int, rounds: int) -> None:
        run, steps = KINDS[kind](width, batch)
        one, ratio = measure(run, args.seconds, rounds)
        results[width, batch] = {"name": f"{kind} {width} {batch}", "kind": kind, "width": width, "batch": batch,
                                 "seconds": one / steps, "ratio": ratio}  # fmt: skip

    for width, batch in cells:
        cell(width, batch, args.rounds)
    for width, batch in cells:
        if results[width, batch]["ratio"] > SUSPECT:
            cell(width, batch, 4 * args.rounds)
    return list(results.values())


def report(kind: str, results: list[dict[str, Any]], args: argparse.Namespace) -> None:
    """Print the ratios as a table of widths and batches, and the slowest cells."""
    cells = {(result["width"], result["batch"]): result for result in results}
    rows = [[str(width), *(f"{cells[width, b]['ratio']:.2f}" for b in args.batches)] for width in args.widths]
    print(f"\n{kind}: time with 2 threads / with 1")
    machine.print_table(["width \\ batch", *map(str, args.batches)], rows)
    worst, largest = max(results, key=lambda result: float(result["ratio"])), results[-1]
    above = sum(result["ratio"] > HURTS for result in results)
    print(f"worst {worst['ratio']:.3f} (width {worst['width']}, batch {worst['batch']}, "
          f"{machine.seconds(worst['seconds'])} with 1 thread); {above} of {len(results)} above {HURTS}; "
          f"speed-up of the largest {1 / largest['ratio']:.2f}")  # fmt: skip


def draw(results: list[dict[str, Any]], args: argparse.Namespace, title: str) -> None:
    """Draw a heat map for each kind: blue for a speed-up by the second thread, red for a slowdown."""
    import matplotlib as mpl
    from matplotlib.figure import Figure

    mpl.rcParams |= {"svg.hashsalt": "chainrule", "svg.fonttype": "none", "font.size": 8}
    figure = Figure(figsize=(11, 4.9), layout="constrained")
    panels = figure.subplots(1, len(KINDS), sharey=True)
    for axes, kind in zip(panels, KINDS, strict=True):
        ratios = np.array([result["ratio"] for result in results if result["kind"] == kind])
        grid = ratios.reshape(len(args.widths), len(args.batches))
        image = axes.imshow(np.log2(grid), cmap="RdBu_r", vmin=-1, vmax=1, origin="lower")
        for (row, column), ratio in np.ndenumerate(grid):
            color = "white" if abs(np.log2(ratio)) > 0.6 else "black"
            axes.text(column, row, f"{ratio:.2f}", ha="center", va="center", fontsize=6, color=color)
        axes.set_xticks(range(len(args.batches)), args.batches)
        axes.set_yticks(range(len(args.widths)), args.widths)
        axes.set(title=kind, xlabel="batch" if kind == "fit" else "rows")
        axes.tick_params(length=0)
    panels[0].set_ylabel("width")
    bar = figure.colorbar(image, ax=panels, ticks=[-1, -0.5, 0, 0.5, 1], shrink=0.8)
    bar.ax.set_yticklabels(["0.5", "0.71", "1", "1.41", "2"])
    figure.suptitle(title)
    figure.savefig(args.plot, dpi=120, metadata={"Date": None} if args.plot.suffix == ".svg" else None)
    print(f"drew {args.plot}")


def parse() -> argparse.Namespace:
    """Return the command line."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--widths", nargs="+", type=int)
    parser.add_argument("--batches", nargs="+", type=int)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=0.02, help="minimum time of a measurement (default 0.02)")
    parser.add_argument("--busy", nargs="?", choices=NEIGHBORS, const="busy1-pinned", default="", metavar="KIND",
                        help=f"measure next to neighbors: {', '.join(NEIGHBORS)} (default: busy1-pinned, which uses "
                        "one of the two cores); with every other power of two, and for at least 0.3 s, because time "
                        "slices last milliseconds")  # fmt: skip
    parser.add_argument("--output", type=Path, default=Path("bench_threads.json"))
    parser.add_argument("--plot", type=Path, help="also draw the heat map; its suffix determines the format")
    args = parser.parse_args()
    default = POWERS[:: 2 if args.busy else 1]
    args.widths, args.batches = args.widths or default, args.batches or default
    if args.busy:
        args.seconds = max(args.seconds, 0.3)
    return args


def main() -> None:
    """Print the tables, write the JSON file, and draw the plot."""
    args = parse()
    distance = None if args.busy else machine.barrier()
    title = "time with 2 threads / with 1, " + (f"cores {distance:.0f} ns apart" if distance else f"beside {args.busy}")
    results = []
    with closing(Neighbors(args.busy)) as neighbors, neighbors:
        for kind in KINDS:
            results += (found := sweep(kind, args))
            report(kind, found, args)
    print(title)
    machine.write_json(args.output, results, barrier_ns=distance, busy=args.busy)
    if args.plot:
        draw(results, args, title)


if __name__ == "__main__":
    main()
