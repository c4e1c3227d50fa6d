"""Shows the results of bench_train.py, or of earlier runs from their JSON files, as a table and as a figure.

python tests/bench/report.py bench_train.json more.json --plot tests/bench/speed.svg
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator
from pathlib import Path
from statistics import median
from typing import Any

import machine
from peers import OURS, PEERS
from workloads import WORKLOADS

Result = dict[str, Any]
FAR = 150  # ns; with a shorter barrier round trip, the cores are near
LEFT = 0.25  # start of the axis; the floors of tiny networks are outside
LABELS = {"numpy": "NumPy", "torch": "PyTorch", "torch_compiled": "PyTorch, compiled", "jax": "JAX",
          "sklearn": "scikit-learn", "onnxruntime": "ONNX Runtime"}  # fmt: skip
STYLES = {
    "numpy": {"marker": "o", "color": "#0072b2"},
    "torch": {"marker": "s", "color": "#d55e00"},
    "torch_compiled": {"marker": "D", "color": "#e69f00"},
    "jax": {"marker": "^", "color": "#009e73"},
    "sklearn": {"marker": "v", "color": "#cc79a7"},
    "onnxruntime": {"marker": "P", "color": "#56b4e9"},
}
FLOOR = {"marker": "|", "color": "black", "markersize": 10, "markeredgewidth": 1.6}


def grouped(results: list[Result]) -> Iterator[tuple[str, int, dict[str, Result]]]:
    """Yield (workload, threads, result of each peer), in the order of the table of workloads."""
    for workload in WORKLOADS:
        for threads in sorted({result["threads"] for result in results}):
            here = [result for result in results if (result["workload"], result["threads"]) == (workload, threads)]
            if here:
                yield workload, threads, {result["peer"]: result for result in here}


def best(row: dict[str, Result]) -> Result | None:
    """Return the fastest peer's result."""
    others = [result for peer, result in row.items() if peer != OURS and result["ratio"]]
    return min(others, key=lambda result: float(result["ratio"]), default=None)


def distance(barriers: list[float]) -> str:
    """Return the median round trip between the cores, and whether they were near or far in all rounds."""
    if not barriers:
        return "-"
    states = {"far" if nanoseconds > FAR else "near" for nanoseconds in barriers}
    return f"{median(barriers):.0f} ns {states.pop() if len(states) == 1 else 'mixed'}"


def print_results(results: list[Result]) -> None:
    """Print a row for each workload and thread count: times, and in parentheses the ratio to ours."""
    peers = [peer for peer in PEERS if any(result["peer"] == peer for result in results)]
    rows = []
    for workload, threads, row in grouped(results):
        first, fastest = next(iter(row.values())), best(row)
        cells = []
        for peer in peers:
            time = machine.seconds(row[peer]["seconds"] if peer in row else None)
            ratio = row[peer]["ratio"] if peer in row and peer != OURS else None
            cells.append(f"{time} ({ratio:.2f})" if ratio else time)
        rows.append([
            workload,
            str(threads),
            machine.seconds(first["floor"]),
            *cells,
            fastest["peer"] if fastest else "-",
            f"{fastest['ratio']:.2f}" if fastest else "-",
            f"{WORKLOADS[workload].target[min(threads, 2) - 1]:g}",
            distance(first["barriers_ns"]) if threads > 1 else "-",
        ])  # fmt: skip
    machine.print_table(["workload", "threads", "floor", *peers, "best peer", "ratio", "target", "barrier"], rows)


def label(workload: str) -> str:
    """Describe a workload in two lines."""
    w = WORKLOADS[workload]
    sizes = "-".join(map(str, w.layer_sizes))
    if w.models > 1:
        sizes = f"{w.models} networks {sizes}"
    rows = f"{w.batch:,} row{'s' if w.batch > 1 else ''}"
    if w.optimizer is None:
        return f"predict {rows}\n{sizes}"
    return f"{sizes}\n{'all ' * w.full_batch}{rows} a step"


def draw(results: list[Result], path: Path) -> None:
    """Draw a panel for each thread count: every peer's time divided by ours, on a logarithmic axis."""
    import matplotlib as mpl
    from matplotlib.figure import Figure
    from matplotlib.ticker import FuncFormatter, NullLocator

    mpl.rcParams |= {"svg.hashsalt": "chainrule", "svg.fonttype": "none", "font.size": 9}
    threads = sorted({result["threads"] for result in results})
    names = [name for name in WORKLOADS if any(result["workload"] == name for result in results)]
    figure = Figure(figsize=(4.6 * len(threads) + 1.4, 0.47 * len(names) + 1.5), layout="constrained")
    panels = figure.subplots(1, len(threads), sharex=True, sharey=True, squeeze=False)[0]
    shown = [peer for peer in STYLES if any(result["peer"] == peer for result in results)]
    for axes, n in zip(panels, threads, strict=True):
        rows = [(names.index(name), row) for name, k, row in grouped(results) if k == n and OURS in row]
        floors = [row[OURS]["floor"] / row[OURS]["seconds"] for _, row in rows]
        slowest = [max(result["ratio"] for result in row.values()) for _, row in rows]
        ys = [y for y, _ in rows]
        axes.hlines(ys, floors, slowest, color="#d9d9d9", linewidth=1, zorder=1)
        axes.plot(floors, ys, linestyle="", **FLOOR, label="its products at the machine's peak")
        for peer in shown:
            points = [(row[peer]["ratio"], y) for y, row in rows if peer in row]
            axes.plot(*zip(*points, strict=True), linestyle="", **STYLES[peer], markeredgecolor="white",
                      markeredgewidth=0.6, zorder=4, label=LABELS[peer])  # fmt: skip
        for y, row in rows:
            if fastest := best(row):
                text = f"{fastest['ratio']:#.2g}".rstrip(".")
                axes.annotate(text, (fastest["ratio"], y), (0, 5), textcoords="offset points", ha="center", fontsize=7,
                              zorder=5, bbox={"pad": 0.4, "facecolor": "white", "linewidth": 0})  # fmt: skip
        axes.axvline(1, color="#333333", linewidth=1.6, zorder=2)
        axes.text(1, -0.85, "chainrule", ha="center", va="bottom", fontsize=9, fontweight="bold")
        barriers = [time for result in results if result["threads"] == n for time in result["barriers_ns"]]
        title = f"{n} thread{'s' if n > 1 else ''}"
        axes.set_title(title + (f", cores {distance(barriers)}" if n > 1 else ""), fontsize=10, pad=16)
        axes.set_xscale("log")
        axes.xaxis.set_major_formatter(FuncFormatter(lambda x, _: f"{x:g}"))
        axes.xaxis.set_minor_locator(NullLocator())
        axes.set_xlabel("time through chainrule's")
        axes.grid(axis="x", color="#eeeeee", zorder=0)
        axes.tick_params(length=0)
        for side in ("top", "left", "right"):
            axes.spines[side].set_visible(False)
    panels[0].set_yticks(range(len(names)), [label(name) for name in names], fontsize=8)
    panels[0].set_ylim(len(names) - 0.5, -0.9)
    panels[0].set_xlim(LEFT, 1.3 * max(result["ratio"] for result in results if result["ratio"]))
    figure.legend(*panels[0].get_legend_handles_labels(), loc="outside lower center", ncols=len(shown) + 1,
                  frameon=False, fontsize=8, handletextpad=0.2, columnspacing=1.2)  # fmt: skip
    metadata = {"Date": None} if path.suffix == ".svg" else None
    figure.savefig(path, dpi=110, metadata=metadata)
    print(f"drew {path}")


def main() -> None:
    """Print one table for all files, and draw the figure."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("files", nargs="+", type=Path, help="from bench_train.py; later results replace earlier ones")
    parser.add_argument("--plot", type=Path)
    args = parser.parse_args()
    results: dict[str, Result] = {}
    for file in args.files:
        results |= {result["name"]: result for result in json.loads(file.read_text())["results"]}
    print_results(list(results.values()))
    if args.plot:
        draw(list(results.values()), args.plot)


if __name__ == "__main__":
    main()
