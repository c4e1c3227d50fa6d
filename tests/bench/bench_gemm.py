"""Compares the matrix product on every ISA to the measured peak of its core and to NumPy's product.

Shapes are those of products.py; transposed operands are strided views (.T). A percentage is the median over rounds of
the product's speed divided by the peak that was measured just before it in the same round.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median

import machine


def parse() -> argparse.Namespace:
    """Return the command line."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("shapes", nargs="*", help="only shapes whose names contain one of these, such as 1024^3 or W5")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--dtypes", nargs="+", choices=["float32", "float64", "bf16"], default=["float32", "float64"])
    parser.add_argument("--isas", nargs="+", help="default: all available")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=0.03, help="minimum time of a measurement (default 0.03)")
    parser.add_argument("--output", type=Path, help="default: bench_gemm_THREADSt.json")
    return parser.parse_args()


ARGS = parse()
machine.pin(ARGS.threads)  # before NumPy reads the environment

import numpy as np  # noqa: E402

from chainrule import _core  # noqa: E402
from products import Product, products  # noqa: E402


def seconds_of(function: Callable[[], object], repeats: int) -> float:
    """Return the time of one call in seconds."""
    start = time.perf_counter()
    for _ in range(repeats):
        function()
    return (time.perf_counter() - start) / repeats


def measure(case: Product, dtype: str, isas: list[str]) -> dict[str, tuple[float, float]]:
    """Return seconds and percentage of the peak for each ISA; NumPy's peak is that of the best ISA, the first."""
    a, b = case.operands("float32" if dtype == "bf16" else dtype)
    out, product = np.empty((case.m, case.n), a.dtype), _core.gemm_bf16 if dtype == "bf16" else _core.gemm
    ours, numpy = (lambda: product(a, b, ARGS.threads, out)), (lambda: np.matmul(a, b, out=out))
    times: dict[str, list[tuple[float, float]]] = {}
    repeats: dict[str, int] = {}
    for _ in range(ARGS.rounds):
        best_peak = 0.0
        for who in [*isas, "numpy"]:
            if who != "numpy":
                _core.set_isa(who)
                peak = _core.peak_gflops(dtype, ARGS.threads, 0.02)
                best_peak = best_peak or peak
            function = numpy if who == "numpy" else ours
            if who not in repeats:
                function()
                repeats[who] = max(1, round(ARGS.seconds / seconds_of(function, 1)))
            taken = seconds_of(function, repeats[who])
            percent = 100 * 2 * case.multiply_adds / taken / 1e9 / (best_peak if who == "numpy" else peak)
            times.setdefault(who, []).append((taken, percent))
    return {who: (median(t for t, _ in rounds), median(p for _, p in rounds)) for who, rounds in times.items()}


def main() -> None:
    """Print one table for each dtype and write the JSON."""
    active = _core.get_isa()
    results = []
    for dtype in ARGS.dtypes:
        isas = ["avx512"] if dtype == "bf16" else ARGS.isas or _core.available_isas()
        peaks = []
        for isa in isas:
            _core.set_isa(isa)
            peaks.append(f"{isa} {_core.peak_gflops(dtype, ARGS.threads, 0.2):.0f}")
        print(f"\n{dtype}, {ARGS.threads} threads; measured peaks in GFLOP/s: {', '.join(peaks)}; % of peak:")
        rows = []
        for case in products():
            if ARGS.shapes and not any(text in case.name for text in ARGS.shapes):
                continue
            found = measure(case, dtype, isas)
            shape = (case.m, case.n, case.k)
            rows.append([case.name, *map(str, shape), machine.seconds(found[isas[0]][0])])
            rows[-1] += [f"{found[who][1]:.1f}" for who in [*isas, "numpy"]]
            rows[-1].append(f"{found['numpy'][0] / found[isas[0]][0]:.2f}")
            for who, (taken, percent) in found.items():
                name = f"{case.name} {dtype} {ARGS.threads}t {who}"
                results.append({"name": name, "seconds": taken, "percent": percent, "mnk": shape})
        machine.print_table(["shape", "m", "n", "k", "time", *isas, "numpy", "numpy/ours"], rows)
    _core.set_isa(active)
    machine.write_json(ARGS.output or Path(f"bench_gemm_{ARGS.threads}t.json"), results)


if __name__ == "__main__":
    main()
