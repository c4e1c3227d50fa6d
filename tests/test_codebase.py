"""The rules of the code base: allowed includes and imports, system interfaces, the kernels' symbols, types.

The first half reads the sources; the second builds the C++ library and its tests and looks into the objects.
"""

import ast
import graphlib
import importlib.metadata
import importlib.util
import json
import posixpath
import re
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

import pytest
from tools import ROOT, absent, essence, run

import chainrule as cr
from chainrule import _core

# Prefixes of the headers that a file in cpp/ may include: those listed for its folder plus those listed for the file
# itself. std allows any standard header.
INCLUDES = {
    "include/chainrule/": "std include/chainrule/",
    "include/chainrule/chainrule.h": "<stdint.h>",
    "kernels/": "<cstddef> <cstdint> kernels/ include/chainrule/names.h include/chainrule/optimizers.h",
    "include/chainrule/optimizers.h": "std include/chainrule/settings.h",
    "kernels/simd.h": "<immintrin.h> <arm_neon.h> <wasm_simd128.h>",
    "core/": "std core/ kernels/kernels.h include/chainrule/",
    "core/buffer.cpp": "<sys/mman.h>",
    "core/caches.cpp": "<sys/sysctl.h> <windows.h>",
    "core/cpu.cpp": "<cpuid.h>",
    "core/fork.h": "<pthread.h>",
    "core/parallel_openmp.cpp": "<omp.h>",
    "core/parallel_threads.cpp": "<pthread.h>",
    "core/processors.cpp": "<sched.h>",
    "net/": "std net/ core/ kernels/kernels.h include/chainrule/",
    "train/": "std train/ net/ core/ kernels/kernels.h include/chainrule/",
    "files/": "std files/ net/ core/ include/chainrule/",
    "files/disk.cpp": "<io.h> <dirent.h> <fcntl.h> <sys/file.h> <sys/stat.h> <unistd.h>",
    "bindings/": "std bindings/ train/ files/ net/ core/ kernels/kernels.h include/chainrule/ <pybind11/",
    "table/": "std table/ files/ core/ include/chainrule/",
    "abi/": "std abi/ files/ core/ include/chainrule/",
    "examples/": "std <chainrule/",
    "examples/pkg_config/predict_columns.c": "<math.h> <stdio.h> <stdlib.h> <string.h>",
}
# Interfaces that only these files of cpp/ may use.
ONLY_IN = {
    r"omp\.h|pragma omp|_OPENMP|\bomp_\w+\(": "core/parallel_openmp.cpp",
    r"std::thread\(": "core/parallel_threads.cpp",
    r"pthread": "core/fork.h",
    r"getenv": "core/caches.cpp core/dispatch.cpp core/parallel",
    r"pybind11|\bPy\w*_\w+": "bindings/",
    r"\b_mm\d*_|\b__m\d|__builtin_ia32|\bv\w+q_[fsu]\d": "kernels/simd.h",
    r"omp_set_num_threads|omp_set_dynamic|omp_set_nested|setenv|putenv|fast-math|-Ofast|rsqrt": "",
    r"exit\(|abort\(|terminate\(|\bprintf|std::cout|std::cerr|std::clog|iostream": "examples/",
    r"fstream|\bfopen|\bFILE\b": "core/caches.cpp core/processors.cpp examples/",
    r"filesystem": (
        "include/chainrule/files.h include/chainrule/table_model.h files/disk files/files.cpp bindings/files.cpp "
        "table/table_model.cpp abi/handles"
    ),
}
ISAS = cr.build_config()["isas_compiled"]
TABLES = {isa: {"kernels_float32", "kernels_float64"} for isa in ISAS}
if "avx512" in ISAS:
    TABLES["avx512_bf16"] = {"kernels_bf16"}
COMPILERS_OWN = {"memcpy", "memmove", "memset", "__stack_chk_fail"}  # calls that compilers insert
STUBTEST_ALLOWS = r"chainrule\._core\.NetworkFloat(32|64)  # pybind11 gives its classes a metaclass of its own"

SOURCES = {
    file.relative_to(ROOT).as_posix(): file.read_text(encoding="utf-8")
    for place in ("CMakeLists.txt", "cpp/**/*", "python/**/*", "tests/**/*")
    for file in sorted(ROOT.glob(place))
    if file.name.endswith((".c", ".cpp", ".h", ".hpp", ".py", ".pyi", ".md", ".txt"))
    and not {"auto_gallery", "generated"} & {*file.parts}  # written by the documentation's build
}
CODE = {name: text for name, text in SOURCES.items() if not name.endswith((".md", ".txt"))}
CPP = {name[4:]: text for name, text in CODE.items() if name.startswith("cpp/")}
MODULES = {
    re.sub(r"(/__init__)?\.pyi?$", "", name.removeprefix("python/")).replace("/", "."): name
    for name in CODE
    if name.startswith("python/chainrule/")
}
CPP_TESTS = sorted(Path(name).stem for name in CODE if re.match(r"tests/cpp/test_\w+\.c(pp)?$", name))


def included(name: str) -> Iterator[str]:
    """Return the includes of a file of cpp/: ours as paths from cpp/, and <others>."""
    for file in re.findall(r"^\s*#\s*include\s*(\S+)", CPP[name], re.MULTILINE):
        folders = [posixpath.dirname(name), ".", "include"] if file[0] == '"' else []
        paths = [posixpath.normpath(f"{folder}/{file[1:-1]}") for folder in folders]
        yield next((path for path in paths if path in CPP), file)


def test_each_file_includes_only_allowed_layers():
    wrong = []
    for name in CPP:
        words = tuple(word for place, line in INCLUDES.items() if name.startswith(place) for word in line.split())
        others = [file for file in included(name) if not file.startswith(words)]
        wrong += [(name, file) for file in others if "std" not in words or not re.fullmatch(r"<\w+>", file)]
    assert wrong == []
    assert {"kernels/kernels.h", "<pybind11/numpy.h>"} <= {file for name in CPP for file in included(name)}


@pytest.mark.parametrize("pattern", ONLY_IN)
def test_system_interfaces_are_used_only_in_their_files(pattern):
    here = tuple(ONLY_IN[pattern].split())
    found = [(name, word) for name, text in CPP.items() for word in re.findall(pattern, text)]
    assert [(name, word) for name, word in found if not name.startswith(here)] == []
    assert found or here in {(), ("examples/",)}, "the pattern does not occur even in the files listed for it"


def test_no_compiler_flag_changes_arithmetic():
    flags = " ".join(text for name, text in SOURCES.items() if name.endswith("CMakeLists.txt"))
    assert "-ffp-contract=off" in flags
    assert re.findall(r"-ffast-math|-Ofast|-march=native|-flto|-ffp-contract=(?!off)", flags) == []


def imported(nodes: Iterable[ast.AST]) -> Iterator[str]:
    """Return the imported modules, and for imported names their modules."""
    for node in nodes:
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            names = [f"{'.' * node.level}{node.module}.{alias.name}" for alias in node.names]
            yield from (name if name in MODULES else name.rpartition(".")[0] for name in names)


def test_imports_have_no_cycle():
    """Imports in functions and for type checkers count too."""
    imports = {name: {*imported(ast.walk(ast.parse(CODE[file])))} & {*MODULES} for name, file in MODULES.items()}
    graphlib.TopologicalSorter(imports).prepare()  # its CycleError names the modules
    assert {"chainrule._core", "chainrule.losses"} <= imports["chainrule.network"]


@pytest.mark.parametrize("module", MODULES)
def test_each_module_imports_only_numpy_and_the_standard_library(module):
    """Packages of an extra are imported through _optional.require."""
    tree = ast.parse(CODE[MODULES[module]])
    checking = [node for node in ast.walk(tree) if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.dump(node.test)]
    skipped = {node for branch in checking for statement in branch.body for node in ast.walk(statement)}
    packages = {name.partition(".")[0] for name in imported(set(ast.walk(tree)) - skipped)}
    assert packages <= {"chainrule", "numpy", *sys.stdlib_module_names}
    dynamic = re.findall(r"import_module|__import__", CODE[MODULES[module]])
    assert not dynamic or module in ("chainrule", "chainrule._optional")


def test_importing_chainrule_loads_only_numpy():
    script = "import sys, numpy; before = set(sys.modules); import chainrule; print(*(set(sys.modules) - before))"
    packages = {module.partition(".")[0] for module in run(sys.executable, "-c", script).split()}
    assert packages - set(sys.stdlib_module_names) - {"numpy"} == {"chainrule"}


def test_no_file_contains_a_to_do():
    assert [name for name, text in SOURCES.items() if re.search("TO[D]O|FIX[M]E", text)] == []


def test_each_file_begins_with_its_purpose():
    def has_purpose(name: str) -> bool:
        text = CODE.get(name, "")
        own = re.match(rf'#include "(\S*\b{Path(name).stem}\.h)"', text)
        headers = [f"cpp/{own[1]}", f"cpp/include/{own[1]}"] if own else []
        return text.startswith(("// ", '"""', 'r"""')) or any(map(has_purpose, headers))

    assert [name for name in CODE if not has_purpose(name)] == []


def test_package_and_cmake_have_the_same_version():
    stated = re.findall(r"^project\(chainrule VERSION (\S+) ", SOURCES["CMakeLists.txt"], re.MULTILINE)
    assert stated == [cr.__version__] == [importlib.metadata.version("chainrule")]


# The tests below need tools: those of the test extra, a compiler, binutils.


def mypy(module: str, *arguments: str | Path) -> None:
    if importlib.util.find_spec("mypy") is None:
        absent("mypy")
    run(sys.executable, "-m", module, *arguments)


@pytest.mark.parametrize("topic", CPP_TESTS)
def test_cpp_program_passes(build, topic):
    """A topic is one program, or one for each instruction set: test_math_avx2."""
    listed = json.loads(run("ctest", "--test-dir", build, "--show-only=json-v1"))["tests"]
    assert all(test["name"].startswith(tuple(CPP_TESTS)) for test in listed)
    run("ctest", "--test-dir", build, "--tests-regex", f"^{topic}(_|$)", "--no-tests=error", "--output-on-failure")


@pytest.mark.parametrize("name", TABLES)
def test_kernels_define_only_their_tables(build, name):
    """Only the tables have external linkage, and no code runs at load time: other CPUs never execute this code."""
    [kernels] = build.glob(f"cpp/CMakeFiles/chainrule_kernels_{name}.dir/**/*.o")
    symbols = re.findall(r"^[0-9a-f ]{16} (\w) (.+)$", run("nm", "--demangle", kernels), re.MULTILINE)
    of_others = {symbol for kind, symbol in symbols if kind == "U"}
    visible = {symbol for kind, symbol in symbols if kind not in "Ubdrt"}  # weak symbols of any kind count too
    assert visible == {f"chainrule::{name}::{table}" for table in TABLES[name]}
    assert of_others <= COMPILERS_OWN
    assert not re.search(r"\.(pre)?init_array|\.ctors", run("readelf", "--sections", "--wide", kernels))


def test_objects_of_pip_are_found_for_any_flag_order():
    """CMake 3.25 writes -std=c++20 after a target's options, 4.4 before them.

    pip and the tests may run different versions.
    """
    flags = ["-DNDEBUG", "-O3", "-O2", "-mfma"]
    old, new = ["c++", *flags, "-std=c++20"], ["ccache", "c++", "-std=c++20", *flags, "-Werror", "-o", "file.o"]
    assert essence(old) == essence(new)
    for other in (["-std=c++23"], ["-O3"], ["-ffast-math"]):
        assert essence(old) != essence([*old, *other])


def test_extension_exports_only_its_entry_points():
    symbols = run("nm", "--dynamic", "--defined-only", _core.__file__)
    assert re.findall(r" (\w+)$", symbols, re.MULTILINE) == ["PyInit__core", "chainrule_num_threads"]


def test_mypy_strict_finds_nothing():
    mypy("mypy", "--strict")


def test_mypy_finds_wrong_settings_of_fits():
    mypy("mypy", "--strict", "tests/typed_calls.py")


def test_stub_names_everything_in_the_extension(tmp_path):
    (tmp_path / "allowed").write_text(STUBTEST_ALLOWS)
    options = ["--mypy-config-file", "pyproject.toml", "--allowlist", tmp_path / "allowed"]
    mypy("mypy.stubtest", "chainrule._core", *options)


def test_stub_arguments_equal_those_of_the_extension():
    """Compare names, order and defaults, which pybind11 writes to docstrings; stubtest does not check them."""

    def arguments(function: ast.stmt) -> str:
        assert isinstance(function, ast.FunctionDef)
        for argument in ast.walk(function.args):
            if isinstance(argument, ast.arg):
                argument.annotation = None
        return ast.unparse(function.args)

    tree = ast.parse(CODE["python/chainrule/_core.pyi"])
    methods = [node for owner in tree.body if isinstance(owner, ast.ClassDef) for node in owner.body]
    for function in [*tree.body, *methods]:
        if isinstance(function, ast.FunctionDef) and not function.decorator_list:
            owners = [_core] if function in tree.body else [_core.NetworkFloat32, _core.NetworkFloat64]
            for owner in owners:
                signature = getattr(owner, function.name).__doc__.splitlines()[0]
                assert arguments(ast.parse(f"def {signature}: ...").body[0]) == arguments(function), function.name
