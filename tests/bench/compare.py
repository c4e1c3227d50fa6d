"""Prints the ratios of the times in two JSON files of the same benchmark; above 1 means that the second is faster.

The clock may differ between two runs. For training, `through peers` corrects this: it divides by the geometric mean of
the peers' ratios for the same workload and thread count.
"""

from __future__ import annotations

import argparse
import json
from math import exp, log
from pathlib import Path
from statistics import fmean
from typing import Any

import machine
from peers import OURS


def read(path: Path) -> dict[str, dict[str, Any]]:
    """Return the results in a file by name."""
    return {result["name"]: result for result in json.loads(path.read_text())["results"]}


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("before", type=Path)
    parser.add_argument("after", type=Path)
    parser.add_argument("--all", action="store_true", help="also print the peers' rows")
    args = parser.parse_args()
    before, after = read(args.before), read(args.after)
    common = [name for name in before if name in after]
    ratio = {name: before[name]["seconds"] / after[name]["seconds"] for name in common}
    drifts: dict[tuple[Any, Any], list[float]] = {}
    for name in common:
        if before[name].get("peer", OURS) != OURS:
            drifts.setdefault((before[name]["workload"], before[name]["threads"]), []).append(log(ratio[name]))
    rows = []
    for name in common:
        if not args.all and (before[name].get("peer", OURS) != OURS or name.endswith("numpy")):
            continue
        drift = drifts.get((before[name].get("workload"), before[name].get("threads")))
        times = [machine.seconds(results[name]["seconds"]) for results in (before, after)]
        rows.append([name, *times, f"{ratio[name]:.3f}", f"{ratio[name] / exp(fmean(drift)):.3f}" if drift else "-"])
    machine.print_table(["result", "before", "after", "before/after", "through peers"], rows)
    for path, only in ((args.before, before.keys() - after), (args.after, after.keys() - before)):
        if only:
            print(f"only in {path}: {', '.join(sorted(only))}")


if __name__ == "__main__":
    main()
