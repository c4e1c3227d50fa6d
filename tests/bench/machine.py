"""Controls and records the conditions of a measurement: cores, environment, versions, distance between the cores.

It imports only the standard library, because BLAS and OpenMP read their thread counts when they are imported.
"""

from __future__ import annotations

import json
import os
import platform
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Sequence
from datetime import datetime, timezone
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
_PIN = "CHAINRULE_BENCH_PINNED"
_PACKAGES = ("chainrule", "numpy", "torch", "jax", "jaxlib", "scikit-learn", "scipy", "onnxruntime")


def cpus(n_threads: int) -> list[int]:
    """Return the cores for this number of threads: the last ones, because the first serves most interrupts."""
    available = sorted(os.sched_getaffinity(0))
    if n_threads > len(available):
        raise SystemExit(f"{n_threads} threads need as many cores; this process may use {len(available)}")
    return available[-n_threads:]


def environment(n_threads: int) -> dict[str, str]:
    """Return the environment of a measuring process: the number of threads, and no forced kernel or wait policy."""
    forced = ("OPENBLAS_", "MKL_", "OMP_", "GOMP_", "KMP_", "XLA_")
    kept = {name: value for name, value in os.environ.items() if not name.startswith(forced)}
    threads = {f"{name}_NUM_THREADS": str(n_threads) for name in ("OMP", "OPENBLAS", "MKL")}
    return kept | threads | {"JAX_PLATFORMS": "cpu"}


def pin(n_threads: int) -> None:
    """Restart this script on the cores and in the environment for `n_threads`, unless it already runs there."""
    if os.environ.get(_PIN) != str(n_threads):
        os.sched_setaffinity(0, cpus(n_threads))
        os.execve(sys.executable, [sys.executable, *sys.argv], environment(n_threads) | {_PIN: str(n_threads)})


def _cpu_model() -> str:
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    return next((line.split(":")[1].strip() for line in lines if line.startswith("model name")), platform.machine())


def _installed(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def info() -> dict[str, Any]:
    """Return a description of this machine and its packages."""
    git = subprocess.run(["git", "describe", "--always", "--dirty"], cwd=HERE, capture_output=True, text=True)
    return {
        "cpu": _cpu_model(),
        "cores": len(os.sched_getaffinity(0)),
        "load": os.getloadavg()[0],
        "python": platform.python_version(),
        "versions": {package: found for package in _PACKAGES if (found := _installed(package))},
        "commit": git.stdout.strip() or None,
        "time": datetime.now(timezone.utc).isoformat(timespec="seconds"),
    }


@cache
def _barrier_program() -> str | None:
    compiler = shutil.which(os.environ.get("CXX", "c++")) or shutil.which("g++")
    if compiler is None:
        return None
    program = f"{tempfile.mkdtemp(prefix='chainrule_bench_')}/barrier"
    subprocess.run([compiler, "-O2", "-std=c++20", "-pthread", HERE / "barrier.cpp", "-o", program], check=True)
    return program


def barrier() -> float | None:
    """Return the time of a spin barrier between two cores in ns; None without a compiler or a second core."""
    if len(os.sched_getaffinity(0)) < 2 or (program := _barrier_program()) is None:
        return None
    output = subprocess.run([program, *map(str, cpus(2))], capture_output=True, text=True, check=True).stdout
    return float(output)


def seconds(value: float | None) -> str:
    """Return a time with three digits and a suitable unit, or a dash for None."""
    if value is None:
        return "-"
    scale, unit = next(((s, u) for s, u in ((1, "s"), (1e3, "ms"), (1e6, "us")) if value * s >= 1), (1e9, "ns"))
    return f"{value * scale:#.3g}".rstrip(".") + f" {unit}"


def print_table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    """Print rows under a header: the first column left-aligned, numbers right-aligned."""
    table = [header, *rows]
    widths = [max(len(row[column]) for row in table) for column in range(len(header))]
    for row in table:
        cells = [cell.rjust(width) for cell, width in zip(row, widths, strict=True)]
        print("  ".join([row[0].ljust(widths[0]), *cells[1:]]), flush=True)


def write_json(path: Path, results: list[dict[str, Any]], **about: Any) -> None:
    """Write results, each with at least `name` and `seconds`, for `compare.py`."""
    path.write_text(json.dumps({"machine": info(), **about, "results": results}, indent=1) + "\n")
    print(f"wrote {path}")
