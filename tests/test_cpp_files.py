"""Model files from C++ and Python: they have the same bytes, and both refuse the same damaged files."""

import random
import sys
import zipfile
from pathlib import Path

import pytest
from tools import run

import chainrule as cr
from chainrule.model_file import load_with_metadata

sys.path.append(str(Path(__file__).parent / "fuzz"))
import loaders

GOLDEN = Path(__file__).parent / "data" / "golden_table.safetensors"
CORPUS = Path(__file__).parent / "fuzz" / "models.zip"  # what tests/checks/fuzz.sh found


@pytest.fixture
def resaved(build, tmp_path):
    """Save files by name and let C++ load and save them; return its output and the folder of its files."""

    def resave(files):
        for folder in ("in", "out"):
            (tmp_path / folder).mkdir()
        for name, content in files.items():
            (tmp_path / "in" / name).write_bytes(content)
        message = run(build / "tests" / "cpp" / "resave", tmp_path / "in", tmp_path / "out")
        return message, tmp_path / "out"

    return resave


def saved(network, path, metadata=None):
    network.save(path, metadata)
    return path.read_bytes()


def test_cpp_writes_the_bytes_that_python_writes(resaved, tmp_path):
    path, files = tmp_path / "model", {}
    metadata = {"π": '\x00 " \\ \n \x7f 😀 / \u2028', "": "", "a": "é" * 1000}
    for dtype in ("float32", "float64"):
        for seed, sizes in enumerate([[2, 1], [1, 1, 1], [3, 7, 5, 2], [1, *[2] * 12, 1]]):
            net = cr.Network(sizes, loss="squared_error", dtype=dtype, seed=2**64 - 1 - seed)
            net.parameters[0] = -0.0
            net.parameters[-1:].view(f"u{net.dtype.itemsize}")[:] = 5  # every finite bit pattern must survive
            files[f"{dtype} {seed}"] = saved(net, path, metadata if seed else None)
    for name in ["gelu_tanh", "mish", "sin"]:
        files[name] = saved(cr.Network([2, 3, 2], activation=name, loss="poisson", seed=0), path)
    for delta in [0.1, 2.5, 1e-5, 123456.0, 1e16, 1e22, 5e-324, 1.7976931348623157e308, 1 / 3, 1e15, 0.0001]:
        files[f"huber {delta}"] = saved(cr.Network([2, 1], loss=cr.Huber(delta), init="lecun_normal"), path)
    files["quantile"] = saved(cr.Network([2, 3], loss=cr.Quantile([0.1, 0.5, 0.9])), path)
    files["smoothing"] = saved(cr.Network([2, 3], loss=cr.SoftmaxCrossEntropy(label_smoothing=0.1)), path)
    message, out = resaved(files)
    assert message == ""
    for name, content in files.items():
        assert (out / name).read_bytes() == content, name


def test_cpp_reads_the_golden_file(resaved, tmp_path):
    message, out = resaved({"model": GOLDEN.read_bytes()})
    assert message == ""
    net, metadata = load_with_metadata(out / "model")
    expected, texts = load_with_metadata(GOLDEN)
    assert metadata == texts
    assert net.parameters.tobytes() == expected.parameters.tobytes()


def result_in_python(path):
    try:
        net, metadata = load_with_metadata(path)
    except ValueError as error:
        return str(error)
    return net._native.write_model(metadata, {})


def test_damaged_files_are_accepted_or_rejected_by_both_languages(resaved, tmp_path):
    (tmp_path / "made").mkdir()
    whole = loaders.models(tmp_path / "made")
    with zipfile.ZipFile(CORPUS) as corpus:
        files = {name: corpus.read(name) for name in corpus.namelist()}
    for number in range(1000):
        chance = random.Random(number)
        files[f"damaged {number}"] = loaders.changed_model(chance, chance.choice(whole))
    _, out = resaved(files)
    taken = 0
    for name in files:
        python = result_in_python(tmp_path / "in" / name)
        if (out / name).exists():
            taken += 1
            assert (out / name).read_bytes() == python, name
        else:
            assert isinstance(python, str), name
    assert 100 < taken < 500
