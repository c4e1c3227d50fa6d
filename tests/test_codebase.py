"""The rules of the code base: who may include whom, words that stay out, symbols of the binaries, types, the version.

The first half reads the sources; the second builds the C++ library, runs its tests and looks into the objects.
"""

import ast
import importlib.metadata
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import chainrule as cr
from chainrule import _core

# A file of cpp/ includes only what begins with a word of its line or of its folder's. std: <vector>, <cmath>, ...
INCLUDES = {
    "include/chainrule/": "std include/chainrule/",
    "kernels/": "<cstddef> <cstdint> kernels/ include/chainrule/names.h",
    "kernels/simd.h": "<immintrin.h> <arm_neon.h>",
    "core/": "std core/ kernels/kernels.h include/chainrule/",
    "core/parallel.cpp": "<omp.h> <pthread.h> <sched.h>",
    "net/": "std net/ core/ kernels/kernels.h include/chainrule/",
    "bindings/": "std bindings/ net/ core/ kernels/kernels.h include/chainrule/ <pybind11/",
    "examples/": "std include/chainrule/",
}
# What stands nowhere in cpp/ but in these files and folders.
ONLY_IN = {
    r"\bomp\.h|pragma omp|_OPENMP|\bomp_\w+\(": "core/parallel.cpp",
    r"getenv": "core/dispatch.cpp core/parallel.cpp",
    r"pybind11|\bPy[A-Z_]\w+": "bindings/",
    r"\b_mm\d*_\w+|\b__m\d+|__builtin_ia32|\bv\w+q_[fsu]\d\d\b": "kernels/simd.h",
    r"omp_set_num_threads|omp_set_dynamic|omp_set_nested|setenv|putenv": "",
    r"-Ofast|-ffast-math|fast-math|\brsqrt|\brcp": "",
    r"exit\(|abort\(|terminate\(|printf|std::cout|std::cerr|std::clog": "examples/",
    r"fstream|filesystem|\bFILE\b|\bf?open\(": "examples/",
}
# A module of chainrule imports from those before it, NumPy and the standard library; nothing imports OPTIONAL packages.
LAYERS = """_core _optional functional gradients optimizers training _state network files
            _columns table target __init__ cli __main__""".split()
OPTIONAL = {"matplotlib", "pandas", "rich", "safetensors", "sklearn"}

UNDEFINED_IN_KERNELS = {"memcpy", "memmove", "memset", "__stack_chk_fail"}  # what compilers write calls to; never libm's
STUBTEST_ALLOWS = r"chainrule\._core\.NetworkFloat(32|64)  # pybind11 gives its classes a metaclass"

ROOT = Path(__file__).parent.parent
SOURCES = [file for folder in ("cpp", "python", "tests") for file in sorted((ROOT / folder).rglob("*.*"))]
SOURCES = [file for file in SOURCES if file.suffix in {".cpp", ".h", ".hpp", ".py", ".pyi", ".txt", ".md"}]
CPP = {str(file.relative_to(ROOT / "cpp")): file for file in SOURCES if file.suffix in {".cpp", ".h", ".hpp"}
       and ROOT / "cpp" in file.parents}  # fmt: skip
