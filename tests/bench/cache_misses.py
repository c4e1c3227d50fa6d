"""Counts cache misses and instructions of products and training steps, and NumPy's (OpenBLAS), in simulated caches.

This estimates the cache misses of CPUs other than this machine's: one thread, AVX2, two cache levels of five profiles.
chainrule gets these sizes and a third level of 32 MB, which is not simulated; OpenBLAS runs its Haswell kernels. One
call is counted, after a warm-up call if its operands fit twice the second level; for steps, one epoch of two. It needs
valgrind with its headers and a compiler. See counting.py.
"""

from __future__ import annotations

import argparse
import json
import os
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

import counting
import machine
from chainrule import _core
from counting import Cache, Counter, Counts
from peers import OURS, chainrule_peer, numpy_peer
from products import Product, products
from workloads import WORKLOADS, Problem

PROFILES = {
    "32K/256K": "32K:8,256K:8",  # Haswell, Broadwell
    "32K/512K": "32K:8,512K:8",  # Zen to Zen 3
    "48K/1M": "48K:12,1M:16",  # Zen 5
    "32K/1M": "32K:8,1M:8",  # Zen 4
    "48K/2M": "48K:12,2M:16",  # Golden Cove
}
PEERS = (OURS, "numpy")
W7_ROWS = 256  # instead of 1,024, because valgrind makes about 75 million multiply-adds per second
STEPS = 2  # per epoch
LEAST = 0.05  # misses per 1,000; lower rates, of data that stay in the cache, are raised to this


def parse() -> argparse.Namespace:
    """Return the command line."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("what", nargs="*", help="only cases whose names contain one of these: 1024^3, W5, 'W6 step'")
    parser.add_argument(
        "--without", nargs="*", default=[], metavar="WHAT", help="leave these out; W7 takes the longest"
    )
    parser.add_argument("--profiles", nargs="+", choices=PROFILES, default=list(PROFILES))
    parser.add_argument("--peers", nargs="+", choices=PEERS, default=list(PEERS))
    parser.add_argument("--jobs", type=int, default=len(os.sched_getaffinity(0)), help="number of processes at a time")
    parser.add_argument("--output", type=Path, default=Path("cache_misses.json"))
    parser.add_argument("--count", choices=PEERS, help=argparse.SUPPRESS)
    parser.add_argument("--second", type=int, help=argparse.SUPPRESS)  # bytes of the second level, with --count
    return parser.parse_args()


@dataclass(frozen=True)
class Case:
    """A product, or an epoch of a workload, to count."""

    name: str
    shape: str
    multiply_adds: int
    what: Any


def cases() -> Iterator[Case]:
    """Yield the chosen cases."""
    for product in products(W7_ROWS):
        yield Case(product.name, f"{product.m} x {product.n} x {product.k}", product.multiply_adds, product)
    for name in ("W4", "W5", "W5b", "W6", "W7"):
        workload = WORKLOADS[name]
        if name == "W7":
            workload = replace(workload, name="W7/4", layer_sizes=(256, 1024, 1024, 256), batch=256)
        epoch = workload.shortened(STEPS * workload.batch)
        shape = f"{workload.batch} x " + "-".join(map(str, workload.layer_sizes))
        yield Case(f"{workload.name} step", shape, STEPS * workload.operations // 2, epoch)


def chosen(args: argparse.Namespace) -> list[Case]:
    """Return the cases that the command line names."""

    def named(case: Case, texts: list[str]) -> bool:
        return any(text in case.name for text in texts)

    return [case for case in cases() if (not args.what or named(case, args.what)) and not named(case, args.without)]


def count(args: argparse.Namespace) -> None:
    """Count every case of one peer under valgrind."""
    counter, ours = Counter(), args.count == OURS

    def product_of(a: Any, b: Any, out: Any) -> Callable[[], object]:
        return (lambda: _core.gemm(a, b, 1, out)) if ours else (lambda: np.matmul(a, b, out=out))

    small = np.ones((16, 16), np.float32)
    product_of(small, small, small.copy())()  # initialization, once per process
    for case in chosen(args):
        if isinstance(case.what, Product):
            a, b = case.what.operands("float32")
            call, operands = product_of(a, b, np.empty((case.what.m, case.what.n), np.float32)), a.nbytes + b.nbytes
        else:
            session = (chainrule_peer if ours else numpy_peer).train(Problem(case.what), 1, shuffle=True)
            call, operands = partial(session.run, 1), 4 * case.what.parameters
        if operands <= 2 * args.second:  # larger operands would not stay cached
            counter("before", call)
        counter(case.name, call)


def measure(args: argparse.Namespace, profile: str, peer: str) -> dict[str, Counts]:
    """Return the counts of a peer by case."""
    first, second = (Cache.read(level) for level in PROFILES[profile].split(","))
    arguments = [*args.what, "--without", *args.without, "--count", peer, "--second", str(second.size)]
    return counting.run(Path(__file__), arguments, (first, second), {"CHAINRULE_CACHE": f"{PROFILES[profile]},32M:16"})


def rates(case: Case, counts: Counts) -> dict[str, float]:
    """Return instructions per multiply-add, and misses of both levels per 1,000 multiply-adds."""
    return {
        "instructions": counts.instructions / case.multiply_adds,
        "first": 1000 * counts.first_misses / case.multiply_adds,
        "second": 1000 * counts.second_misses / case.multiply_adds,
    }


def report(found: dict[str, list[tuple[Case, dict[str, float]]]]) -> None:
    """Print the rates of one profile: chainrule's, OpenBLAS's, and their ratio."""
    rows = []
    for line in zip(*found.values(), strict=True):
        row = [line[0][0].name, line[0][0].shape]
        for rate, form in (("instructions", ".3f"), ("first", ".2f"), ("second", ".3f")):
            values = [rates[rate] for _, rates in line]
            row += [format(value, form) for value in values]
            if len(values) > 1:
                row.append(f"{values[0] / max(values[1], LEAST):.2f}" if max(values) >= LEAST else "-")
        rows.append(row)
    columns = [*found, *(["ratio"] if len(found) > 1 else [])]
    header = [f"{rate} {column}" for rate in ("instr.", "L1", "L2") for column in columns]
    machine.print_table(["", "m x n x k", *(text.replace(OURS, "ours") for text in header)], rows)


def main() -> None:
    """Print a table for each profile and write the JSON."""
    args = parse()
    if args.count:
        count(args)
        return
    results = []
    with ThreadPoolExecutor(args.jobs) as pool:
        waiting = {(profile, peer): pool.submit(measure, args, profile, peer)
                   for profile in args.profiles for peer in args.peers}  # fmt: skip
        for profile in args.profiles:
            found = {}
            for peer in args.peers:
                counts = waiting[profile, peer].result()
                found[peer] = [(case, rates(case, counts[case.name])) for case in chosen(args)]
                results += [{"name": f"{case.name} {profile} {peer}", "profile": profile, **rates}
                            for case, rates in found[peer]]  # fmt: skip
            print(f"\n{profile} ({PROFILES[profile]}): instructions per multiply-add, misses of both levels per 1,000")
            report(found)
    args.output.write_text(json.dumps({"machine": machine.info(), "results": results}, indent=1) + "\n")
    print(f"wrote {args.output}")


if __name__ == "__main__":
    main()
