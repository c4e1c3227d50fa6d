"""The library of the C interface; what another language computes with it is compared with Python bit for bit.

The language is LuaJIT, whose FFI reads the header's declarations unchanged. The tests of errors are a C program,
tests/cpp/test_c_abi.c.
"""

import json
import re
import shutil
import sys

import numpy as np
import pytest
from tools import ROOT, run

import chainrule as cr

HEADER = ROOT / "cpp" / "include" / "chainrule" / "chainrule.h"
SCRIPT = ROOT / "tests" / "children" / "c_abi.lua"


@pytest.fixture(scope="module")
def library(build):
    suffix = "dylib" if sys.platform == "darwin" else "so"
    return build / "cpp" / f"libchainrule_c.{suffix}"


@pytest.fixture(scope="module")
def lua(library, tmp_path_factory):
    """A function that runs a command of the script, and returns what it prints."""
    if shutil.which("luajit") is None:
        pytest.skip("LuaJIT, from which these tests use the C interface, is not installed: apt install luajit")
    declarations = tmp_path_factory.mktemp("lua") / "chainrule.h"
    declarations.write_text(run("cc", "-E", "-P", HEADER))
    return lambda *arguments: run("luajit", SCRIPT, library, declarations, *arguments)


def declared():
    text = re.sub(r"//.*", "", HEADER.read_text())
    return set(re.findall(r"^CHAINRULE_C_API .*?\b(chainrule_\w+)\(", text, re.MULTILINE))


def test_library_exports_only_the_declared_functions_with_a_version(library):
    listed = run("nm", "--dynamic", "--defined-only", "--with-symbol-versions", library)
    names = re.findall(r" [A-Z] (\S+)$", listed, re.MULTILINE)
    version = f"CHAINRULE_{re.search('ABI_VERSION (.+)', HEADER.read_text())[1]}"
    assert {*names} == {f"{name}@@{version}" for name in declared()} | {version}
    assert re.search(rf"SONAME.*libchainrule_c\.so\.{version[10:]}\b", run("readelf", "--dynamic", library))


@pytest.mark.parametrize("compiler", ["gcc -std=c99", "clang -std=c99", "g++ -std=c++98"])
def test_header_compiles_alone(compiler, tmp_path):
    name, standard = compiler.split()
    if shutil.which(name) is None:
        pytest.skip(f"no {name} here")
    source = tmp_path / f"user.{'cpp' if '++' in name else 'c'}"
    source.write_text("#include <chainrule/chainrule.h>\n" * 2)
    strict = ["-pedantic", "-Wall", "-Wextra", "-Werror"]
    if standard == "-std=c++98":
        strict += ["-Wno-long-long", "-Wno-variadic-macros"]
    run(name, standard, "-fsyntax-only", *strict, f"-I{HEADER.parent.parent}", source)


def test_training_in_another_language_equals_python(lua, tmp_path):
    rng = np.random.default_rng(1)
    x = rng.normal(size=(300, 6)).astype(np.float32)
    labels = ((x[:, 0] > 0).astype(np.int32) + (x[:, 1] > x[:, 2])).astype(np.int32)
    x.tofile(tmp_path / "x")
    labels.tofile(tmp_path / "labels")
    configuration = {
        "layer_sizes": [6, 16, 8, 3],
        "activations": ["gelu", "tanh"],
        "loss": "softmax_cross_entropy",
        "init": "glorot_uniform",
        "seed": 5,
    }
    settings = {
        "optimizer": {"Adam": {"learning_rate": 3e-3, "weight_decay": 0.01}},
        "schedules": {"learning_rate": {"Cosine": {"warmup": 2}}},
        "batch_size": 32,
        "epochs": 12,
        "dropout": [0.1, 0.0],
        "ema": 0.9,
        "seed": 7,
    }
    printed = lua(
        "train", json.dumps(configuration), json.dumps(settings), tmp_path / "x", tmp_path / "labels", tmp_path / "c"
    )
    net = cr.Network(
        [6, 16, 8, 3], activation=["gelu", "tanh"], loss="softmax_cross_entropy", init="glorot_uniform", seed=5
    )
    history = net.fit(
        x,
        labels,
        optimizer=cr.AdamW(learning_rate=3e-3, weight_decay=0.01),
        schedules=cr.Cosine(warmup=2),
        batch_size=32,
        epochs=12,
        dropout=[0.1, 0.0],
        ema=0.9,
        seed=7,
    )
    net.save(tmp_path / "python")
    assert (tmp_path / "c").read_bytes() == (tmp_path / "python").read_bytes()
    reported = json.loads(printed)
    assert reported["loss"] == history.loss.tolist()
    assert (reported["epochs"], reported["stop_reason"]) == (12, "epochs")


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_predictions_in_another_language_equal_python(lua, tmp_path, dtype):
    net = cr.Network([4, 32, 2], activation="mish", loss="squared_error", dtype=dtype, seed=3)
    net.save(tmp_path / "model")
    x = np.random.default_rng(2).normal(size=(1000, 4))
    for kind, type_of_x in (("float", np.float32), ("double", np.float64)):
        x.astype(type_of_x).tofile(tmp_path / "x")
        lua("predict", tmp_path / "model", kind, tmp_path / "x", tmp_path / "out")
        expected = net.predict(x.astype(type_of_x).astype(dtype)).astype(type_of_x)
        assert (tmp_path / "out").read_bytes() == expected.tobytes()


def test_another_language_receives_the_error_message(lua, tmp_path):
    (tmp_path / "model").write_bytes(b"{}")
    with pytest.raises(AssertionError, match=r"2: .*model is not a safetensors file"):
        lua("predict", tmp_path / "model", "float", tmp_path / "model", tmp_path / "out")


@pytest.mark.parametrize("name", ["three", "labels", "values"])
def test_estimators_in_another_language_equal_python(lua, tmp_path, name):
    pytest.importorskip("pandas")
    from test_table_model import TARGETS, make_table, write_table

    frame, y = make_table()
    make, target = TARGETS[name]
    estimator = make(random_state=0).fit(frame[["code", "plain", "gaps"]], target(y))
    estimator.save(tmp_path / "model")
    write_table(tmp_path / "table", frame)
    lines = lua("table", tmp_path / "model", tmp_path / "table", tmp_path / "out").splitlines()
    assert lines[:3] == ["code\tlevels", "plain\tnumber", "gaps\tnumber"]
    values, used = np.fromfile(tmp_path / "out"), frame[["code", "plain", "gaps"]]
    if name == "values":
        assert values.tobytes() == estimator.predict(used).tobytes()
        return
    assert lines[3:] == [str(label) for label in estimator.classes_]
    assert values.tobytes() == estimator.predict_proba(used).astype(np.float64).tobytes()
    numbers, labels = np.fromfile(tmp_path / "out.classes", np.int64), estimator.predict(used)
    assert (
        numbers.reshape(labels.shape) == labels if name == "labels" else estimator.classes_[numbers] == labels
    ).all()
