"""Model files: exact, replaced as a whole, refused with a reason when damaged, and read for ever (tests/data)."""

import json
import os
import stat
import sys
from pathlib import Path

import numpy as np
import pytest
import safetensors.numpy

import chainrule as cr
from chainrule import files
from chainrule.cli._model import TableModel

GOLDEN = Path(__file__).parent / "data" / "golden_table.safetensors"


@pytest.fixture
def net():
    return cr.Network([3, 5, 4, 2], activation=["tanh", "relu"], loss="softmax_cross_entropy", seed=7)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("sizes", [[2, 1], [1, 1, 1], [3, 7, 5, 2]])
@pytest.mark.parametrize("loss", ["squared_error", "binary_cross_entropy"])
def test_a_network_comes_back_exactly(tmp_path, sizes, loss, dtype):
    net = cr.Network(sizes, activation="tanh", loss=loss, dtype=dtype, seed=1)
    net.parameters[0] = np.nan  # any bits
    net.save(tmp_path / "model")
    again = cr.load(tmp_path / "model")
    assert repr(again) == repr(net)
    assert (again.init, again.seed) == (net.init, net.seed)
    assert again.parameters.tobytes() == net.parameters.tobytes()


def test_others_can_read_the_file(net, tmp_path):
    net.save(tmp_path / "model", {"note": "hello"})
    with safetensors.safe_open(tmp_path / "model", framework="numpy") as file:
        assert file.metadata()["note"] == "hello"
        assert json.loads(file.metadata()["chainrule"])["layer_sizes"] == [3, 5, 4, 2]
        assert set(file.keys()) == {f"{kind}.{layer}" for kind in ("weights", "biases") for layer in range(3)}
        np.testing.assert_array_equal(file.get_tensor("weights.1"), net.weights[1])
        np.testing.assert_array_equal(file.get_tensor("biases.2"), net.biases[2])


def test_metadata_come_back_and_the_same_network_is_the_same_file(net, tmp_path):
    metadata = {f"key {i}": "π \n" * i for i in range(9)}
    for name in "ab":
        net.save(tmp_path / name, metadata)
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()
    assert files.load_with_metadata(tmp_path / "a")[1] == metadata


def test_metadata_that_are_refused(net, tmp_path):
    with pytest.raises(ValueError, match="'chainrule' is taken"):
        net.save(tmp_path / "model", {"chainrule": "mine"})
    with pytest.raises(TypeError, match="texts to texts"):
        net.save(tmp_path / "model", {"epochs": 3})
    assert not list(tmp_path.iterdir())


# Replacing a file


def test_a_failure_leaves_the_old_file_and_nothing_else(net, tmp_path, monkeypatch):
    path = tmp_path / "model"
    net.save(path)
    before = path.read_bytes()
    for name in ("fsync", "replace"):
        with monkeypatch.context() as patch:
            patch.setattr(os, name, lambda *_: (_ for _ in ()).throw(OSError("disk full")))
            with pytest.raises(OSError, match="disk full"):
                net.save(path, {"new": "content"})
        assert path.read_bytes() == before
        assert list(tmp_path.iterdir()) == [path]


@pytest.mark.skipif(os.name != "posix", reason="permissions and links of POSIX")
def test_permissions_and_links_are_kept(net, tmp_path):
    path = tmp_path / "model"
    umask = os.umask(0o027)
    try:
        net.save(path)
        assert stat.S_IMODE(path.stat().st_mode) == 0o640
        path.chmod(0o604)
        (tmp_path / "link").symlink_to(path)
        net.save(tmp_path / "link", {"new": "content"})
    finally:
        os.umask(umask)
    assert (tmp_path / "link").is_symlink()
    assert stat.S_IMODE(path.stat().st_mode) == 0o604
    assert files.load_with_metadata(path)[1] == {"new": "content"}


def test_what_nobody_else_may_read_is_never_readable(net, tmp_path, monkeypatch):
    path = tmp_path / "model"
    net.save(path)
    path.chmod(0o600)
    sizes = []
    chmod = os.chmod
    monkeypatch.setattr(os, "chmod", lambda file, mode: (sizes.append(os.stat(file).st_size), chmod(file, mode)))
    net.save(path)
    assert sizes == [0]


def test_a_folder_that_cannot_be_flushed_has_the_file(net, tmp_path, monkeypatch):
    opened = os.open

    def refuse_folders(path, flags, *mode):
        if os.path.isdir(path):
            raise PermissionError(path)
        return opened(path, flags, *mode)

    monkeypatch.setattr(os, "open", refuse_folders)
    net.save(tmp_path / "model")
    assert np.array_equal(cr.load(tmp_path / "model").parameters, net.parameters)


@pytest.mark.parametrize("start", ["", "a", "aa"])
def test_the_longest_name(net, tmp_path, start):
    path = tmp_path / (start + "語" * 84)
    net.save(path)
    net.save(path)
    assert list(tmp_path.iterdir()) == [path]


def test_folders_are_not_replaced(net, tmp_path):
    with pytest.raises(OSError, match="is not a file"):
        net.save(tmp_path)
    with pytest.raises(FileNotFoundError):
        net.save(tmp_path / "nowhere" / "model")


# Files that are refused


def write(path, configuration, tensors):
    metadata = None if configuration is None else {"chainrule": json.dumps(configuration)}
    path.write_bytes(safetensors.numpy.save(tensors, metadata))


@pytest.fixture
def parts(net, tmp_path):
    net.save(tmp_path / "good")
    with safetensors.safe_open(tmp_path / "good", framework="numpy") as file:
        return json.loads(file.metadata()["chainrule"]), {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"format": 2, "version": "9.9"}, r"format 2 \(of chainrule 9.9\).*upgrade"),
        ({"format": "1"}, "no format version"),
        ({"layer_sizes": [3, 5, 4, 3]}, r"biases.2 has shape \(2,\), expected \(3,\)|weights.2 has shape"),
        ({"layer_sizes": [3, 5, 2]}, "has an unexpected tensor 'biases.2'"),
        ({"layer_sizes": [3, 5, 4, 2, 1]}, "lacks tensor 'biases.3'"),
        ({"layer_sizes": [10**12, 10**12]}, "unexpected tensor"),
        ({"layer_sizes": [3, 5.0, 4, 2]}, "layer_sizes is"),
        ({"layer_sizes": [3]}, "layer_sizes is"),
        ({"activations": ["tanh"]}, "damaged"),
        ({"activations": ["tanh", "wave"]}, "damaged.*wave"),
        ({"activations": [1, 2]}, "damaged"),
        ({"loss": "regret"}, "damaged.*regret"),
        ({"loss": None}, "loss is None"),
        ({"init": "ones"}, "damaged"),
        ({"seed": -1}, "damaged"),
        ({"seed": 10**30}, "damaged"),
        ({"dtype": "float64"}, "is float32, expected float64"),
    ],
)
def test_damaged_configurations(parts, tmp_path, changes, message):
    configuration, tensors = parts
    write(tmp_path / "bad", configuration | changes, tensors)
    with pytest.raises(ValueError, match=message):
        cr.load(tmp_path / "bad")


def test_files_that_are_no_models(parts, tmp_path):
    configuration, tensors = parts
    path = tmp_path / "bad"
    write(path, None, tensors)
    with pytest.raises(ValueError, match="not a chainrule model"):
        cr.load(path)
    write(path, [1], tensors)
    with pytest.raises(ValueError, match="no format version"):
        cr.load(path)
    path.write_bytes(safetensors.numpy.save(tensors, {"chainrule": "{"}))
    with pytest.raises(ValueError, match="not JSON"):
        cr.load(path)
    write(path, configuration | {"dtype": "int32"}, {k: v.astype(np.int32) for k, v in tensors.items()})
    with pytest.raises(ValueError, match="dtype must be"):
        cr.load(path)
    for content in (b"", b"income,age\n", b"\xff" * 100):
        path.write_bytes(content)
        with pytest.raises(ValueError, match="not a safetensors file"):
            cr.load(path)
    with pytest.raises(FileNotFoundError):
        cr.load(tmp_path / "nowhere")


def test_any_damage_is_refused_or_harmless(parts, tmp_path):
    good = (tmp_path / "good").read_bytes()
    rng = np.random.default_rng(0)
    path = tmp_path / "bad"
    refused = 0
    for _ in range(400):
        data = bytearray(good[: rng.integers(len(good)) if rng.random() < 0.2 else None])
        for _ in range(rng.integers(1, 4) if data else 0):
            data[rng.integers(min(len(data), 700))] = rng.integers(256)
        path.write_bytes(data)
        try:
            net = cr.load(path)
        except ValueError:
            refused += 1
        else:
            assert net.parameters.size == 3 * 5 + 5 + 5 * 4 + 4 + 4 * 2 + 2
    assert refused > 200


def test_without_the_package_the_extra_is_named(net, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "safetensors.numpy", None)
    with pytest.raises(ImportError, match=r"chainrule\[cli\]"):
        net.save(tmp_path / "model")


# The file in tests/data stays; a format that cannot read it any more is a mistake


def test_the_golden_file_predicts_what_it_always_did():
    expected = json.loads(GOLDEN.with_suffix(".json").read_text(encoding="utf-8"))
    net, metadata = files.load_with_metadata(GOLDEN)
    assert repr(net) == expected["network"]
    assert set(metadata) == {"table"}
    model = TableModel.load(str(GOLDEN))
    table = model.read(str(GOLDEN.with_suffix(".csv")))
    np.testing.assert_allclose(model.predict(table), expected["predictions"], rtol=1e-5, atol=1e-6)
    assert model.target.decode(model.predict(table)).tolist() == expected["labels"]
