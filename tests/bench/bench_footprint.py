"""Measures the footprint of each peer: import time, size on disk, and memory while it trains W5.

Import time and size are in addition to NumPy's, which are in NumPy's row. The size is that of the installed package and
its requirements. Memory is the largest resident set of a process with the data (188 MB) that trains for two epochs.
"""

from __future__ import annotations

import argparse
import re
import subprocess
import sys
from importlib.metadata import Distribution, PackageNotFoundError, distribution
from importlib.util import find_spec
from pathlib import Path
from statistics import median

import machine
from peers import PEERS
from worker import Worker

DISTRIBUTIONS = {"sklearn": "scikit-learn"}  # otherwise the name of the module
IMPORT = "import time\n{first}\nstart = time.perf_counter()\nimport {module}\nprint(time.perf_counter() - start)"


def import_seconds(module: str) -> float:
    """Return the median over fresh processes; a first one, which fills the disk cache, is not counted."""
    program = IMPORT.format(module=module, first="" if module == "numpy" else "import numpy")
    command, environment = [sys.executable, "-c", program], machine.environment(1)
    runs = [subprocess.run(command, env=environment, capture_output=True, text=True, check=True) for _ in range(8)]
    return median(float(run.stdout) for run in runs[1:])


def required(name: str, found: dict[str, Distribution]) -> dict[str, Distribution]:
    """Add a distribution and, recursively, its requirements without extras."""
    name = re.sub(r"[-_.]+", "-", name).lower()
    try:
        one = distribution(name)
    except PackageNotFoundError:  # requirement of another system or Python
        return found
    if name not in found:
        found[name] = one
        for line in one.requires or []:
            if "extra ==" not in line:
                required(re.split(r"[^\w.-]", line)[0], found)
    return found


def megabytes(module: str) -> float:
    """Return the installed size of a module and its requirements."""
    numpys = {} if module == "numpy" else required("numpy", {})
    needed = required(DISTRIBUTIONS.get(module, module), {})
    files = {Path(str(file.locate())) for name in needed.keys() - numpys for file in needed[name].files or []}
    if not files:  # the module is on the path, but not installed
        spec = find_spec(module)
        assert spec is not None
        assert spec.origin is not None
        files = set(Path(spec.origin).parent.rglob("*"))
    return sum(file.stat().st_size for file in files if file.is_file() and file.suffix != ".pyc") / 1e6


def main() -> None:
    """Print a row for each installed peer and write the JSON."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--output", type=Path, default=Path("bench_footprint.json"))
    args = parser.parse_args()
    results, rows = [], []
    for name, peer in PEERS.items():
        if not peer.installed:
            continue
        memory = None
        if peer.trains:
            with Worker(name, 1) as worker:
                worker.ask("prepare", workload="W5", seconds=0, rows=None)
                memory = worker.peak_megabytes()
        seconds, size = import_seconds(peer.package), megabytes(peer.package)
        rows.append([name, machine.seconds(seconds), f"{size:.1f} MB", f"{memory:.0f} MB" if memory else "-"])
        results.append({"name": name, "seconds": seconds, "installed_megabytes": size, "peak_megabytes": memory})
    machine.print_table(["", "import", "installed", "peak in W5"], rows)
    machine.write_json(args.output, results)


if __name__ == "__main__":
    main()
