"""Counts instructions and cache misses of single calls in a Python process with valgrind, independently of the clock.

In the parent, `run` starts a script under callgrind. In that script, `Counter` counts calls. The simulated CPU has
AVX2, no AVX-512, two cache levels and no hardware prefetching; prefetch instructions do nothing.
"""

from __future__ import annotations

import ctypes
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import machine

_LIBRARY = "CHAINRULE_BENCH_COUNTING"


@dataclass(frozen=True)
class Cache:
    """A simulated cache with lines of 64 bytes; the number of sets is a power of two."""

    size: int
    ways: int

    @classmethod
    def read(cls, text: str) -> Cache:
        """Return the cache of a text such as 48K:12."""
        size, unit, ways = re.fullmatch(r"(\d+)([KM]):(\d+)", text).groups()  # type: ignore[union-attr]
        return cls(int(size) << {"K": 10, "M": 20}[unit], int(ways))

    def __str__(self) -> str:
        return f"{self.size},{self.ways},64"


@dataclass(frozen=True)
class Counts:
    """The counts of one call. Misses are data misses, and 0 without simulated caches."""

    instructions: int
    first_misses: int = 0
    second_misses: int = 0


@cache
def _library() -> str:
    program = f"{tempfile.mkdtemp(prefix='chainrule_bench_')}/counting.so"
    command = [os.environ.get("CXX", "c++"), "-O2", "-shared", "-fPIC", machine.HERE / "counting.cpp", "-o", program]
    subprocess.run(command, check=True)
    return program


class Counter:
    """Counts calls in a script that `run` started. Call it with a name and a function without arguments."""

    def __init__(self) -> None:
        self._calls = ctypes.CDLL(os.environ[_LIBRARY])

    def __call__(self, name: str, function: Callable[[], object]) -> None:
        """Call the function and store its counts under this name."""
        self._calls.begin()
        function()
        self._calls.end(name.encode())


def run(script: Path, arguments: Sequence[str], caches: tuple[Cache, Cache] | None = None,
        variables: dict[str, str] | None = None) -> dict[str, Counts]:  # fmt: skip
    """Run a script with one thread and its own environment; return its counts by name."""
    environment = machine.environment(1) | {"CHAINRULE_ISA": "avx2", "OPENBLAS_CORETYPE": "Haswell"}
    environment |= {"PYTHONHASHSEED": "0", _LIBRARY: _library()} | (variables or {})
    with tempfile.TemporaryDirectory(prefix="chainrule_bench_") as folder:
        options = ["--instr-atstart=no", f"--callgrind-out-file={folder}/out"]
        if caches:
            first, second = caches
            options += ["--cache-sim=yes", f"--I1={first}", f"--D1={first}", f"--LL={second}"]
        command = ["valgrind", "--tool=callgrind", *options, sys.executable, str(script), *arguments]
        done = subprocess.run(command, env=environment, capture_output=True, text=True)
        if done.returncode:
            raise SystemExit(done.stderr)
        return dict(_read(file.read_text()) for file in Path(folder).iterdir() if file.suffix)


def _read(dump: str) -> tuple[str, Counts]:
    def field(name: str) -> list[str]:
        found = re.search(rf"^{name}: (.*)$", dump, re.MULTILINE)
        assert found, f"callgrind wrote no {name}"
        return found[1].split()

    count = dict(zip(field("events"), map(int, field("totals")), strict=False))
    misses = [count.get(f"{level}mr", 0) + count.get(f"{level}mw", 0) for level in ("D1", "DL")]
    return " ".join(field("desc: Trigger: Client Request")), Counts(count["Ir"], *misses)
