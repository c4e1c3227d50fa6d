"""The C++ library as its users see it: installed under a path with a space or added to a project, static or shared.

The examples are built by find_package, FetchContent and a Makefile with pkg-config, and their results equal Python's
bit for bit.
"""

import json
import os
import re
import shlex
import shutil

import numpy as np
import pytest
from tools import ROOT, reusing_objects, run, tool

import chainrule as cr
from chainrule.model_file import read_model

EXAMPLES = ROOT / "cpp" / "examples"
HEADERS = sorted(path.name for path in (ROOT / "cpp" / "include" / "chainrule").iterdir())
STRICT = "-Wall -Wextra -Wconversion -Wpedantic -Werror"


@pytest.fixture(scope="module")
def places(together):
    """A folder with a space in its name, one for all workers."""
    folder = together[0] / "a place"
    folder.mkdir(exist_ok=True)
    return folder


def fetch(folder, *options):
    """Configure the example of FetchContent; return its compile commands by file."""
    for name in ("cmake", "ninja", os.environ.get("CXX", "c++")):
        tool(name)
    sources = [f"-DCHAINRULE_SOURCE={ROOT}", "-DCHAINRULE_INSTALL=ON"]
    options = [*options, "-DCMAKE_EXPORT_COMPILE_COMMANDS=ON"]
    run("cmake", "-S", EXAMPLES / "fetch_content", "-B", folder, "-G", "Ninja", *sources, *options)
    commands = json.loads((folder / "compile_commands.json").read_text())
    return {entry["file"].removeprefix(f"{ROOT}/"): shlex.split(entry["command"]) for entry in commands}


@pytest.fixture(scope="module")
def fetched(places, together):
    """Build the example of FetchContent with a shared library; return the folder."""
    folder = places / "fetch_content"
    flags = ["-DCMAKE_BUILD_TYPE=Release", "-DCMAKE_CXX_FLAGS_RELEASE=-O0 -DNDEBUG"]  # compiles in half the time
    with together[1]():
        fetch(folder, "-DBUILD_SHARED_LIBS=ON", "-DCHAINRULE_C=ON", *flags, *reusing_objects(folder))
        run("cmake", "--build", folder)
    return folder


@pytest.fixture(scope="module")
def prefixes(places, build, fetched, together):
    """Install a static and a shared library; return the folder."""
    with together[1]():
        for kind, folder in (("static", build), ("shared", fetched)):
            if not (places / kind).exists():
                run("cmake", "--install", folder, "--prefix", places / "first" / kind)
                shutil.move(places / "first" / kind, places / kind)  # an installation can be moved
    return {kind: places / kind for kind in ("static", "shared")}


@pytest.fixture(scope="module", params=["static", "shared"])
def prefix(request, prefixes):
    return prefixes[request.param]


@pytest.fixture(scope="module")
def found(prefix, places, together):
    """The folder with the programs of the example of find_package."""
    folder = places / f"find_package {prefix.name}"
    flags = f"-DCMAKE_CXX_FLAGS={STRICT}"
    options = ["-G", "Ninja", f"-DCMAKE_PREFIX_PATH={prefix}", flags]
    with together[1]():
        run("cmake", "-S", EXAMPLES / "find_package", "-B", folder, *options)
        run("cmake", "--build", folder)
    return folder


@pytest.fixture(scope="module")
def made(prefix, places, together):
    """The folder with the program of the example of pkg-config."""
    tool("pkg-config")
    folder = places / f"pkg_config {prefix.name}"
    with together[1]():
        shutil.copytree(EXAMPLES / "pkg_config", folder, dirs_exist_ok=True)
        run(
            "make",
            f"CXXFLAGS={STRICT}",
            "CFLAGS=-pedantic -Wall -Wextra -Werror",
            cwd=folder,
            PKG_CONFIG_PATH=str(prefix / "lib" / "pkgconfig"),
        )
    return folder


CLANG = pytest.param("clang++", marks=pytest.mark.skipif(shutil.which("clang++") is None, reason="needs clang++"))


@pytest.mark.parametrize("compiler", ["g++", CLANG])
@pytest.mark.parametrize("header", HEADERS)
def test_each_header_compiles_alone(header, compiler, tmp_path):
    (tmp_path / "user.cpp").write_text(f"#include <chainrule/{header}>\n#include <chainrule/{header}>\n")
    include = f"-I{ROOT / 'cpp' / 'include'}"
    run(compiler, "-std=c++20", "-fsyntax-only", *STRICT.split(), include, tmp_path / "user.cpp")


def test_older_cpp_standard_is_a_clear_error(tmp_path):
    (tmp_path / "user.cpp").write_text("#include <chainrule/chainrule.hpp>\n")
    command = [f"-I{ROOT / 'cpp' / 'include'}", "-std=c++17", "-fsyntax-only", "-fmax-errors=1", tmp_path / "user.cpp"]
    with pytest.raises(AssertionError, match=re.escape("chainrule needs C++20: -std=c++20")):
        run("g++", *command)


def test_installation_contains_only_public_headers(prefixes, build, places):
    for prefix in prefixes.values():
        assert sorted(path.name for path in (prefix / "include" / "chainrule").iterdir()) == HEADERS
        assert str(places) not in "".join(path.read_text() for path in prefix.glob("lib/**/chainrule*.*c*"))
    run("cmake", "--install", build, "--prefix", places / "wheel", "--component", "python")
    assert not (places / "wheel").exists()


def test_shared_library_exports_only_public_functions(prefixes):
    listed = run("nm", "--dynamic", "--defined-only", "--demangle", prefixes["shared"] / "lib" / "libchainrule.so")
    names = {name for name in re.findall(r"\bchainrule::(\w+)", listed) if f" chainrule::{name}" in listed}
    public = "".join(path.read_text() for path in (ROOT / "cpp" / "include" / "chainrule").iterdir())
    assert names >= {"Network", "fit", "load"}
    assert {name for name in names if not re.search(rf"\b{name}\b", public)} == set()


def test_c_program_of_the_guide_runs(prefix, tmp_path):
    """The library has no dependency to name, and a program in C needs no C++ compiler."""
    [program] = re.findall(r"^```c\n(.*?)^```", (ROOT / "python/docs/cpp.md").read_text(), re.MULTILINE | re.DOTALL)
    (tmp_path / "program.c").write_text(program)
    tool("pkg-config")
    found = run("pkg-config", "--cflags", "--libs", "chainrule_c", PKG_CONFIG_PATH=str(prefix / "lib" / "pkgconfig"))
    strict = ["-std=c99", "-pedantic", "-Wall", "-Wextra", "-Werror"]
    run("cc", *strict, tmp_path / "program.c", "-o", tmp_path / "program", *shlex.split(found))
    out = run(tmp_path / "program", cwd=tmp_path, LD_LIBRARY_PATH=str(prefix / "lib"))
    assert out == "0 1 1 0\n"
    assert cr.load(tmp_path / "xor.safetensors").layer_sizes == (2, 16, 1)


def test_program_of_the_guide_builds_and_runs(prefix, tmp_path):
    page = (ROOT / "python/docs/cpp.md").read_text()
    for language, name in (("cpp", "program.cpp"), ("cmake", "CMakeLists.txt")):
        [text] = re.findall(rf"^```{language}\n(.*?)^```", page, re.MULTILINE | re.DOTALL)
        (tmp_path / name).write_text(text)
    run("cmake", "-S", tmp_path, "-B", tmp_path / "build", "-G", "Ninja", f"-DCMAKE_PREFIX_PATH={prefix}")
    run("cmake", "--build", tmp_path / "build")
    first, last = run(tmp_path / "build" / "program", cwd=tmp_path).partition(",")[0].split(" -> ")
    assert float(last) < 0.1 * float(first)
    assert cr.load(tmp_path / "model.safetensors").layer_sizes == (20, 64, 1)


def test_c_project_finds_the_package(prefix, tmp_path):
    (tmp_path / "CMakeLists.txt").write_text(
        "cmake_minimum_required(VERSION 3.22)\nproject(user LANGUAGES C)\nfind_package(chainrule 0.1 REQUIRED)\n"
        "add_executable(user user.c)\ntarget_link_libraries(user PRIVATE chainrule::chainrule_c)\n"
    )
    (tmp_path / "user.c").write_text(
        "#include <chainrule/chainrule.h>\n"
        "int main(void) { return chainrule_abi_version() != CHAINRULE_ABI_VERSION; }\n"
    )
    run("cmake", "-S", tmp_path, "-B", tmp_path / "build", "-G", "Ninja", f"-DCMAKE_PREFIX_PATH={prefix}")
    run("cmake", "--build", tmp_path / "build")
    run(tmp_path / "build" / "user")


def test_project_and_library_keep_separate_flags(tmp_path):
    commands = fetch(tmp_path / "build", "-DCMAKE_CXX_FLAGS=-ffast-math -flto", "-DCMAKE_CXX_STANDARD=23")
    own = commands["cpp/examples/fetch_content/custom_loss.cpp"]
    assert not {"-O3", "-fvisibility=hidden", "-Wall", "-std=c++20"} & set(own)
    assert not re.search(
        r"CMAKE_BUILD_TYPE:STRING=.|BUILD_SHARED_LIBS", (tmp_path / "build/CMakeCache.txt").read_text()
    )
    assert not any("tests/" in file for file in commands)
    for file in ("cpp/train/trainer.cpp", "cpp/kernels/kernels.cpp"):
        flags = commands[file]
        assert {"-O3", "-fvisibility=hidden", "-ffp-contract=off", "-std=c++20"} <= set(flags)
        assert flags.index("-ffast-math") < flags.index("-fno-fast-math") < flags.index("-fno-math-errno")
    assert commands["cpp/kernels/kernels.cpp"].index("-flto") < commands["cpp/kernels/kernels.cpp"].index("-fno-lto")


def test_training_from_a_csv_equals_python(found, tmp_path):
    rng = np.random.default_rng(1)
    table = rng.integers(-64, 65, (300, 5)) / 64
    table[:, 4] = table[:, 0] * table[:, 1] - table[:, 2]
    np.savetxt(tmp_path / "in.csv", table, delimiter=",", header="a,b,c,d,target", comments="")
    out = run(found / "train_csv", tmp_path / "in.csv", tmp_path / "cpp")
    first, last = re.fullmatch(r"cost (\S+) -> (\S+)\n", out).groups()
    assert float(last) < float(first) / 5

    data = table.astype(np.float32)
    net = cr.Network([4, 32, 32, 1], activation="tanh", loss="squared_error", seed=1)
    net.fit(data[:, :4], data[:, 4], optimizer=cr.Adam(learning_rate=5e-3), batch_size=32, epochs=40, seed=1)
    net.save(tmp_path / "python")
    assert (tmp_path / "cpp").read_bytes() == (tmp_path / "python").read_bytes()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "{} is empty, expected the names of the columns in the first line"),
        ("a,b\n", "{} has no rows below the names of the columns"),
        ("a\n1\n", "{} has one column, expected inputs and a target"),
        ("a,b\n1,2\n1,x y\n", "{}, line 3, column 2 (b): 'x y' is not a number"),
        ("a,b\n1,2\n,2\n", "{}, line 3, column 1 (a): '' is not a number"),
        ("a,b\n1,2m\n", "{}, line 2, column 2 (b): '2m' is not a number"),
        ("a,b\n1,1e999\n", "{}, line 2, column 2 (b): '1e999' is not a number"),
        ("a,b\n1,2\n1,2,3\n", "{}, line 3 has 3 cells, expected 2"),
        ("a,b\n1,2\n\n1\n", "{}, line 4 has 1 cells, expected 2"),
        ("a,b\n1,2,\n", "{}, line 2 has 3 cells, expected 2"),
        (None, "cannot read {}"),
    ],
)
def test_malformed_csv_is_reported_by_line(found, tmp_path, text, message):
    path = tmp_path / "in.csv"
    if text is not None:
        path.write_text(text)
    with pytest.raises(AssertionError, match=re.escape("train_csv: " + message.format(path))):
        run(found / "train_csv", path, tmp_path / "out")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ("1,2,3,4,5,6\n1,2,3,4,5,y\n", "line 2, column 6: 'y' is not a number"),
        ("a,b,c,d,e,f\n", "line 1, column 1: 'a' is not a number"),
        ("1,2,3\n", "line 1 has 3 numbers, the model takes 6"),
        ("", "no rows on standard input"),
    ],
)
def test_malformed_rows_are_reported_by_line(made, prefix, tmp_path, rows, message):
    cr.Network([6, 3], loss="squared_error", seed=2).save(tmp_path / "model")
    with pytest.raises(AssertionError, match=re.escape("predict: " + message)):
        run(made / "predict", tmp_path / "model", stdin=rows, LD_LIBRARY_PATH=str(prefix / "lib"))


def test_csv_with_crlf_and_spaces_is_read(found, tmp_path):
    (tmp_path / "in.csv").write_bytes(b"a,b\r\n1, 2 \r\n3,4\r\n\r\n")
    assert run(found / "train_csv", tmp_path / "in.csv", tmp_path / "out").startswith("cost ")


def test_cpp_training_equals_the_python_program_in_its_comment(found, tmp_path):
    rng = np.random.default_rng(1)
    x = rng.normal(size=(600, 20)).astype(np.float32)
    y = ((x[:, 0] > x[:, 1]).astype(np.int32) + (x[:, 2] > 0)).astype(np.int32)
    x.tofile(tmp_path / "x.f32")
    y.tofile(tmp_path / "y.i32")
    text = (EXAMPLES / "find_package" / "as_in_python.cpp").read_text()
    script = "\n".join(re.findall(r"^//   (.*)$", text, re.MULTILINE))  # the commands in the comment, unchanged
    for threads in (1, 2):
        out = run(found / "as_in_python", "x.f32", "y.i32", "cpp", cwd=tmp_path, OMP_NUM_THREADS=str(threads))
        assert re.fullmatch(r"\d+ epochs, stopped by \w+\n", out)
        names = {"chainrule": cr, "x": x, "y": y}
        exec(re.sub(r'"(x\.f32|y\.i32|model\.safetensors)"', rf'{str(tmp_path)!r} + "/\1"', script), names)
        assert (tmp_path / "cpp").read_bytes() == (tmp_path / "model.safetensors").read_bytes()


def test_training_with_a_custom_loss_equals_python(fetched, tmp_path):
    run(fetched / "custom_loss", tmp_path / "cpp")
    i, j = np.arange(500)[:, None], np.arange(3)
    x = ((i * 7919 + j * 104729) % 2001 - 1000).astype(np.float32) / np.float32(1000)
    y = x[:, 0] * x[:, 1] + x[:, 2]

    def loss(z, y, weight):
        error = z - y
        weighted = np.where(error < 0, np.float32(4), np.float32(1)) * error
        return float(np.mean(0.5 * weighted * error)), weighted / np.float32(len(z))

    net = cr.Network([3, 24, 1], activation="silu", loss="squared_error", seed=3)
    net.fit(x, y[:, None], loss=loss, optimizer=cr.Adam(learning_rate=1e-2), batch_size=50, epochs=60, seed=3)
    net.save(tmp_path / "python")
    assert (tmp_path / "cpp").read_bytes() == (tmp_path / "python").read_bytes()


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_cpp_predictions_of_a_python_model_equal_python(made, prefix, tmp_path, dtype):
    rng = np.random.default_rng(1)
    net = cr.Network([6, 32, 16, 3], activation="gelu", loss="softmax_cross_entropy", dtype=dtype, seed=2)
    net.save(tmp_path / "model")
    x = rng.integers(-1000, 1000, (50, 6)) / 128
    rows = "".join(",".join(map(str, row)) + "\n" for row in x.tolist())
    out = run(made / "predict", tmp_path / "model", stdin=rows, LD_LIBRARY_PATH=str(prefix / "lib"))
    predicted = np.array([line.split(",") for line in out.splitlines()]).astype(dtype)
    assert predicted.tobytes() == net.predict(x.astype(dtype)).tobytes()


@pytest.fixture(scope="module")
def command_model(tmp_path_factory):
    """Models trained by the command.

    A classifier and a regressor on a table with every kind of column, and a classifier on numbers.
    """
    tables = pytest.importorskip("tables")
    folder = tmp_path_factory.mktemp("command")
    tables.make_table().to_csv(folder / "houses.csv", index=False)
    rng = np.random.default_rng(3)
    numbers = np.round(rng.normal(size=(200, 3)), 3)
    numbers[::9, 1] = np.nan
    table = np.column_stack([numbers, np.where(numbers[:, 0] > 0, 1, 0)])
    np.savetxt(folder / "numbers.csv", table, fmt="%g", delimiter=",", header="a,b,c,y", comments="")
    text = (folder / "numbers.csv").read_text().replace("nan", "")
    (folder / "numbers.csv").write_text(text)
    for csv, target in (("houses", "dear"), ("houses", "price"), ("numbers", "y")):
        tables.train(folder / f"{csv}.csv", "--target", target, "--out", folder / target)
    return folder


def python_outputs(model, csv):
    """The predictions for a CSV file whose cells are all text, and the names of the classes."""
    pandas = pytest.importorskip("pandas")
    frame = pandas.read_csv(csv, dtype=str, keep_default_na=False).replace("", None)
    found = read_model(model)
    outputs = found.outputs(frame)
    return (found.target.probabilities(outputs) if found.target.labels else found.target.decode(outputs)), found.target


def test_cpp_predicts_a_table_with_a_model_of_the_command(found, command_model):
    csv = command_model / "houses.csv"
    probabilities, target = python_outputs(command_model / "dear", csv)
    lines = run(found / "predict_table", command_model / "dear", csv).splitlines()
    labels = [line.split(",")[0] for line in lines]
    assert labels == [target.labels[number] for number in probabilities.argmax(axis=1)]
    assert [float(line.split(",")[1]) for line in lines] == probabilities.max(axis=1).tolist()
    values, _ = python_outputs(command_model / "price", csv)
    lines = run(found / "predict_table", command_model / "price", csv).splitlines()
    assert [float(line) for line in lines] == values.tolist()


def test_cpp_predicts_a_row_with_a_model_of_the_command(fetched, command_model):
    csv = command_model / "houses.csv"
    probabilities, target = python_outputs(command_model / "dear", csv)
    names, *rows = (line.split(",") for line in csv.read_text().splitlines())
    for row, expected in list(zip(rows, probabilities, strict=True))[:12]:
        cells = [f"{name}={cell}" for name, cell in zip(names, row, strict=True)]
        lines = run(fetched / "predict_row", command_model / "dear", *cells).splitlines()
        assert lines == [f"{label}: {value:.17g}" for label, value in zip(target.labels, expected, strict=True)]


def test_c_predicts_rows_with_a_model_of_the_command(made, prefix, command_model):
    csv = command_model / "numbers.csv"
    probabilities, _ = python_outputs(command_model / "y", csv)
    rows = "".join(line.rpartition(",")[0] + "\n" for line in csv.read_text().splitlines()[1:])
    out = run(made / "predict_columns", command_model / "y", stdin=rows, LD_LIBRARY_PATH=str(prefix / "lib"))
    assert [[float(value) for value in line.split(",")] for line in out.splitlines()] == probabilities.tolist()
