"""Model files: exact, replaced atomically, refused with a reason if damaged; old ones stay readable (tests/data)."""

import hashlib
import json
import pickle
import re
from pathlib import Path

import numpy as np
import pytest
import safetensors.numpy
from processes import run

import chainrule as cr
from chainrule import model_file
from chainrule.cli import main

GOLDEN = Path(__file__).parent / "data" / "golden_table.safetensors"


@pytest.fixture
def net():
    return cr.Network([3, 5, 4, 2], activation=["tanh", "relu"], loss="softmax_cross_entropy", seed=7)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("sizes", [[2, 1], [1, 1, 1], [3, 7, 5, 2]])
@pytest.mark.parametrize("loss", ["squared_error", "binary_cross_entropy"])
def test_network_loads_exactly(tmp_path, sizes, loss, dtype):
    net = cr.Network(sizes, activation="tanh", loss=loss, dtype=dtype, seed=1)
    net.parameters[:2] = -0.0, np.finfo(dtype).smallest_subnormal  # every finite bit pattern must survive
    net.save(tmp_path / "model")
    again = cr.load(tmp_path / "model")
    assert repr(again) == repr(net)
    assert (again.init, again.seed) == (net.init, net.seed)
    assert again.parameters.tobytes() == net.parameters.tobytes()


def test_safetensors_package_reads_the_file(net, tmp_path):
    net.save(tmp_path / "model", {"note": "hello"})
    with safetensors.safe_open(tmp_path / "model", framework="numpy") as file:
        assert file.metadata()["note"] == "hello"
        assert json.loads(file.metadata()["chainrule"])["layer_sizes"] == [3, 5, 4, 2]
        assert set(file.keys()) == {f"{kind}.{layer}" for kind in ("weights", "biases") for layer in range(3)}
        np.testing.assert_array_equal(file.get_tensor("weights.1"), net.weights[1])
        np.testing.assert_array_equal(file.get_tensor("biases.2"), net.biases[2])


def test_metadata_load_and_equal_networks_write_equal_files(net, tmp_path):
    metadata = {f"key {i}": "π \n" * i for i in range(9)}
    for name in "ab":
        net.save(tmp_path / name, metadata)
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()
    assert model_file.load_with_metadata(tmp_path / "a")[1] == metadata


def test_reserved_or_malformed_metadata_raise(net, tmp_path):
    for key in ("chainrule", "chainrule.sha256"):
        with pytest.raises(ValueError, match=f"'{key}' is reserved: choose another name"):
            net.save(tmp_path / "model", {key: "mine"})
    with pytest.raises(ValueError, match="surrogates not allowed"):
        net.save(tmp_path / "model", {"half a pair": "\ud800"})
    with pytest.raises(TypeError, match="strings to strings"):
        net.save(tmp_path / "model", {"epochs": 3})
    assert not list(tmp_path.iterdir())


# Invalid files


def tensors_of(file):
    return {name: file.get_tensor(name).copy() for name in file.keys()}  # noqa: SIM118


def write(path, configuration, tensors):
    metadata = None if configuration is None else {"chainrule": json.dumps(configuration)}
    path.write_bytes(safetensors.numpy.save(tensors, metadata))


@pytest.fixture
def parts(net, tmp_path):
    net.save(tmp_path / "good")
    with safetensors.safe_open(tmp_path / "good", framework="numpy") as file:
        return json.loads(file.metadata()["chainrule"]), tensors_of(file)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"format": 2, "version": "9.9"}, r"format 2 \(written by chainrule 9.9\), but .* up to format 1: upgrade"),
        ({"format": "1"}, "damaged.*expected a digit"),
        ({"format": 0}, "no format version"),
        ({"layer_sizes": [3, 5, 4, 3]}, "weights.2 has a shape that does not match layer_sizes"),
        ({"layer_sizes": [3, 5, 2]}, "2 activations for 3 layer sizes"),
        ({"layer_sizes": [3, 5, 2], "activations": ["tanh"]}, "weights.1 has a shape that does not match"),
        ({"layer_sizes": [3, 5, 4, 2, 1], "activations": ["tanh"] * 3}, "lacks tensor weights.3"),
        ({"layer_sizes": [10**12, 10**12], "activations": []}, "does not match layer_sizes"),
        ({"layer_sizes": [3, 5.0, 4, 2]}, "expected a whole number"),
        ({"layer_sizes": [3]}, "2 activations for 1 layer sizes"),
        ({"activations": ["tanh"]}, "damaged"),
        ({"activations": ["tanh", "wave"]}, "damaged.*wave"),
        ({"activations": [1, 2]}, "damaged"),
        ({"loss": "regret"}, "damaged.*regret"),
        ({"loss": None}, "damaged.*expected '\"'"),
        ({"init": "ones"}, "damaged"),
        ({"seed": -1}, "damaged"),
        ({"seed": 10**30}, "damaged"),
        ({"seed": 1.5}, "damaged.*whole number"),
        ({"dtype": "float64"}, "is F32, expected F64"),
    ],
)
def test_damaged_configurations_raise_value_error(parts, tmp_path, changes, message):
    configuration, tensors = parts
    write(tmp_path / "bad", configuration | changes, tensors)
    with pytest.raises(ValueError, match=message):
        cr.load(tmp_path / "bad")


def test_files_that_are_not_models_raise_value_error(parts, tmp_path):
    configuration, tensors = parts
    path = tmp_path / "bad"
    write(path, None, tensors)
    with pytest.raises(ValueError, match="not a chainrule model"):
        cr.load(path)
    write(path, [1], tensors)
    with pytest.raises(ValueError, match=r"is a damaged chainrule model: expected '\{'"):
        cr.load(path)
    path.write_bytes(safetensors.numpy.save(tensors, {"chainrule": "{"}))
    with pytest.raises(ValueError, match="is a damaged chainrule model"):
        cr.load(path)
    write(path, configuration | {"dtype": "int32"}, {k: v.astype(np.int32) for k, v in tensors.items()})
    with pytest.raises(ValueError, match="is I32, expected F32 or F64"):
        cr.load(path)
    with pytest.raises(FileNotFoundError):
        cr.load(tmp_path / "nowhere")


def test_damaged_file_raises_or_has_the_right_shape(parts, tmp_path):
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


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "is not a safetensors file that can be read: it is empty: save the model again"),
        (b"\xff" * 100, "is not a safetensors file that can be read: its header would have 18446744073709551615 bytes"),
        (b"income,age\n1,2\n", "is not a chainrule model: it is text: `chainrule train` makes a model from a table"),
        (pickle.dumps([1, 2]), "is not a chainrule model: it seems to be a pickle: read it with pickle.load"),
        (pickle.dumps(cr.Network([2, 1], loss="squared_error")), "it seems to be a pickle"),
        (b"PK\x03\x04" + bytes(100), "is not a chainrule model: it is a zip archive, such as PyTorch and NumPy write"),
        (b"PAR1" + bytes(100), "it is a Parquet table"),
        (b"\x1f\x8b" + bytes(100), "it is compressed with gzip: unpack it first"),
    ],
)
def test_file_of_another_kind_raises_with_a_remedy(tmp_path, content, message):
    path = tmp_path / "other"
    path.write_bytes(content)
    with pytest.raises(ValueError, match=re.escape(f"{path} ") + ".*" + re.escape(message)):
        cr.load(path)


def test_checkpoint_folder_and_truncated_model_raise_with_a_remedy(net, tmp_path):
    history = net.fit(np.ones((2, 3)), [0, 1], epochs=1, keep_state=True)
    cr.save_checkpoint(tmp_path / "checkpoint", net, history.state)
    with pytest.raises(ValueError, match=r"checkpoint is not .*: read it with chainrule.load_checkpoint"):
        cr.load(tmp_path / "checkpoint")
    with pytest.raises(IsADirectoryError, match=f"is a folder, expected a model file: '{tmp_path}'"):
        cr.load(tmp_path)
    net.save(tmp_path / "model")
    with pytest.raises(
        ValueError, match=r"model is not a chainrule checkpoint but a model file: read it with chainrule.load"
    ):
        cr.load_checkpoint(tmp_path / "model")
    whole = (tmp_path / "model").read_bytes()
    (tmp_path / "model").write_bytes(whole[:-1])
    with pytest.raises(ValueError, match=r"model .* cut short: it has 215 bytes .* says 216: copy it again"):
        cr.load(tmp_path / "model")


def test_first_fit_needs_only_numpy(tmp_path):
    run("without.everything_but_numpy", str(tmp_path / "model.safetensors"))


def test_model_files_need_only_numpy(net, tmp_path):
    net.save(tmp_path / "model")
    run("without.model_file", str(tmp_path / "model"), str(tmp_path / "again"))
    assert (tmp_path / "again").read_bytes() == (tmp_path / "model").read_bytes()


# NaN, infinity and damage


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("place", [0, -1])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_weights_that_are_not_finite_are_neither_saved_nor_loaded(tmp_path, dtype, place, value):
    net = cr.Network([3, 2], loss="squared_error", dtype=dtype, seed=0)
    net.save(tmp_path / "model")
    with safetensors.safe_open(tmp_path / "model", framework="numpy") as file:
        configuration, tensors = json.loads(file.metadata()["chainrule"]), tensors_of(file)
    tensors["weights.0" if place == 0 else "biases.0"].flat[place] = value
    write(tmp_path / "bad", configuration, tensors)
    with pytest.raises(
        ValueError, match=r"bad is a damaged chainrule model: its weights or biases hold NaN or infinity"
    ):
        cr.load(tmp_path / "bad")
    net.parameters[place] = value
    before = (tmp_path / "model").read_bytes()
    with pytest.raises(ValueError, match="the network's parameters hold NaN or infinity, expected finite numbers"):
        net.save(tmp_path / "model")
    assert (tmp_path / "model").read_bytes() == before


def test_flipped_bit_raises_or_changes_nothing(net, tmp_path):
    path = tmp_path / "model"
    net.save(path, {"note": "π"})
    good = path.read_bytes()
    harmless = 0
    for place in range(8 * len(good)):
        data = bytearray(good)
        data[place // 8] ^= 1 << place % 8
        path.write_bytes(data)
        try:
            again, metadata = model_file.load_with_metadata(path)
        except ValueError as error:
            assert str(path) in str(error)  # noqa: PT017
            continue
        harmless += 1  # a letter of the checksum's own name
        assert again.parameters.tobytes() == net.parameters.tobytes()
        assert (repr(again), again.seed, again.init, metadata["note"]) == (repr(net), net.seed, net.init, "π")
    assert harmless < 8 * len("chainrule.sha256")


def test_the_checksum_is_the_sha256_of_the_file_without_it(net, tmp_path):
    net.save(tmp_path / "model", {"note": "π"})
    data = (tmp_path / "model").read_bytes()
    end = 8 + int.from_bytes(data[:8], "little")
    header = json.loads(data[8:end])
    found = header["__metadata__"].pop("chainrule.sha256")
    text = json.dumps(header, separators=(",", ":"), ensure_ascii=False).encode()
    text += b" " * (-len(text) % 8)
    assert found == hashlib.sha256(len(text).to_bytes(8, "little") + text + data[end:]).hexdigest()


def test_a_program_that_copies_tensors_and_metadata_keeps_the_checksum_right(net, tmp_path):
    path = tmp_path / "model"
    net.save(path, {f"key {i}": "x" for i in range(9)})
    with safetensors.safe_open(path, framework="numpy") as file:
        metadata, tensors = file.metadata(), tensors_of(file)
    for _ in range(5):  # the package writes metadata in random order
        path.write_bytes(safetensors.numpy.save(tensors, metadata))
        assert cr.load(path).parameters.tobytes() == net.parameters.tobytes()
    tensors["biases.0"][0] += 1
    path.write_bytes(safetensors.numpy.save(tensors, metadata))
    with pytest.raises(ValueError, match=r"model is damaged: .* remove the metadata entry 'chainrule.sha256'"):
        cr.load(path)
    del metadata["chainrule.sha256"]
    path.write_bytes(safetensors.numpy.save(tensors, metadata))
    assert cr.load(path).biases[0][0] == net.biases[0][0] + 1


@pytest.mark.parametrize("size", [0, 1, 55, 56, 63, 64, 65, 119, 120, 128, 1000])
def test_checksum_equals_sha256_for_every_length_of_the_last_block(size, tmp_path):
    net = cr.Network([1, 1], loss="squared_error", seed=0)
    net.save(tmp_path / "model", {"fill": "x" * size})
    assert cr.load(tmp_path / "model").parameters.tobytes() == net.parameters.tobytes()


@pytest.mark.parametrize("text", ["[" * 100_000, '{"a":' * 100_000, '{"format": 1, "format": 1}', '{"format": 1e999}'])
def test_deeply_nested_json_and_duplicate_names_raise(parts, tmp_path, text):
    configuration, tensors = parts
    path = tmp_path / "bad"
    path.write_bytes(safetensors.numpy.save(tensors, {"chainrule": text}))
    with pytest.raises(ValueError, match="bad is a damaged chainrule model"):
        cr.load(path)
    for key in ("chainrule.estimator", "table"):
        state = {"chainrule.estimator": text, "table": '{"features": {"format": 1, "columns": ' + text}[key]
        path.write_bytes(safetensors.numpy.save(tensors, {"chainrule": json.dumps(configuration), key: state}))
        with pytest.raises(ValueError, match="bad holds an estimator that cannot be read"):
            cr.load(path)
    header = f'{{"__metadata__":{{}},"a":{text}'.encode()
    path.write_bytes(len(header).to_bytes(8, "little") + header)
    with pytest.raises(ValueError, match="bad is not a safetensors file that can be read"):
        cr.load(path)


# The file in tests/data must not change; every later version must read it


def test_golden_file_gives_the_stored_predictions(capsys):
    expected = json.loads(GOLDEN.with_suffix(".json").read_text(encoding="utf-8"))
    net, metadata = model_file.load_with_metadata(GOLDEN)
    assert repr(net) == expected["network"]
    assert set(metadata) == {"table"}
    assert main(["predict", str(GOLDEN), str(GOLDEN.with_suffix(".csv"))]) == 0
    assert capsys.readouterr().out.split() == ["kind", *expected["labels"]]
