"""Checkpoints: exact, replaced atomically, refused with a reason if damaged; training continues as if uninterrupted."""

import itertools
import json

import numpy as np
import pytest
from processes import run, start

import chainrule as cr


def make_state(dtype="float32", n_parameters=38):
    rng = np.random.default_rng(0)
    numbers = {"step": np.array([80.0, np.nan]), "rates": np.empty(0)}
    vectors = {name: rng.normal(size=n_parameters).astype(dtype) for name in ("parameters", "momentum", "best π")}
    return cr.TrainingState(epoch=80, seed=2**64 - 1, numbers=numbers, vectors=vectors)


def make_network(dtype="float32"):
    return cr.Network([3, 5, 3], activation="tanh", loss="softmax_cross_entropy", dtype=dtype, seed=7)


@pytest.fixture
def path(tmp_path):
    cr.save_checkpoint(tmp_path / "good", make_network(), make_state())
    return tmp_path / "good"


def assert_same(state, expected):
    assert (state.epoch, state.seed) == (expected.epoch, expected.seed)
    for found, wanted in ((state.numbers, expected.numbers), (state.vectors, expected.vectors)):
        assert found.keys() == wanted.keys()
        for name, array in wanted.items():
            assert (found[name].dtype, found[name].shape) == (array.dtype, array.shape)
            assert found[name].tobytes() == array.tobytes()


# The file


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_network_and_state_load_exactly(tmp_path, dtype):
    net, state = make_network(dtype), make_state(dtype)
    net.parameters[:2] = -0.0, np.finfo(dtype).smallest_subnormal  # every finite bit pattern must survive
    cr.save_checkpoint(str(tmp_path / "file"), net, state)
    again, loaded = cr.load_checkpoint(str(tmp_path / "file"))
    assert repr(again) == repr(net)
    assert (again.init, again.seed) == (net.init, net.seed)
    assert again.parameters.tobytes() == net.parameters.tobytes()
    assert_same(loaded, state)
    loaded.vectors["parameters"][0] = 1.0  # the arrays are writable copies


def test_a_loss_keeps_its_parameters(tmp_path):
    net = cr.Network([3, 2], loss=cr.Quantile([0.1, 0.9]), seed=0)
    history = net.fit(np.ones((4, 3)), np.ones(4), epochs=2, keep_state=True)
    cr.save_checkpoint(tmp_path / "file", net, history.state)
    assert cr.load_checkpoint(tmp_path / "file")[0].loss_spec == net.loss_spec


def test_equal_fits_write_equal_files(path, tmp_path):
    cr.save_checkpoint(tmp_path / "again", *cr.load_checkpoint(path))
    assert (tmp_path / "again").read_bytes() == path.read_bytes()


def test_checkpoints_need_only_numpy(path):
    run("without.checkpoint", str(path))


def test_values_that_are_not_a_network_or_state_raise_type_error(tmp_path):
    with pytest.raises(TypeError, match="network must be a Network, got str"):
        cr.save_checkpoint(tmp_path / "file", "net", make_state())
    history = make_network().fit(np.ones((2, 3)), [0, 1], epochs=1)
    with pytest.raises(TypeError, match=r"a TrainingState such as history.state, got History"):
        cr.save_checkpoint(tmp_path / "file", make_network(), history)
    assert not list(tmp_path.iterdir())


# Invalid files


UNREADABLE = r"is cut short|is not a safetensors file that can be read"


def test_truncated_file_raises_value_error(path):
    good = path.read_bytes()
    for size in range(len(good)):
        path.write_bytes(good[:size])
        with pytest.raises(ValueError, match=UNREADABLE):
            cr.load_checkpoint(path)


def test_flipped_bit_raises_value_error(path):
    good = path.read_bytes()
    rng = np.random.default_rng(0)
    for place in {*range(300), *rng.integers(len(good), size=200).tolist()}:
        data = bytearray(good)
        data[place] ^= 1 << rng.integers(8)
        path.write_bytes(data)
        with pytest.raises(ValueError, match=rf"damaged|is not a chainrule|has format|{UNREADABLE}"):
            cr.load_checkpoint(path)


@pytest.mark.parametrize("content", [b"", b"income,age\n1,2\n", b"\x08" + bytes(100)])
def test_files_that_are_not_checkpoints_raise_value_error(tmp_path, content):
    (tmp_path / "file").write_bytes(content)
    with pytest.raises(ValueError, match=rf"is not a chainrule model|{UNREADABLE}"):
        cr.load_checkpoint(tmp_path / "file")


def test_longer_file_and_missing_file_raise(path):
    path.write_bytes(path.read_bytes() + b"x")
    with pytest.raises(ValueError, match="1 bytes after the last tensor"):
        cr.load_checkpoint(path)
    with pytest.raises(FileNotFoundError):
        cr.load_checkpoint(path.with_name("nowhere"))


def opened(path):
    """Return the header of a file and the bytes after it."""
    data = path.read_bytes()
    end = 8 + int.from_bytes(data[:8], "little")
    return json.loads(data[8:end]), data[end:]


def forge(path, header, rest):
    """Write a file without a checksum."""
    if isinstance(header, dict):
        header["__metadata__"].pop("chainrule.sha256", None)
        header = json.dumps(header).encode()
    path.write_bytes(len(header).to_bytes(8, "little") + header + rest)


@pytest.mark.parametrize(
    ("part", "changes", "message"),
    [
        ("chainrule", {"format": 2, "version": "9.9"}, r"has format 2 \(written by chainrule 9.9\).*upgrade"),
        ("chainrule", {"layer_sizes": [3, 5, 4]}, "weights.1 has a shape that does not match"),
        ("chainrule", {"layer_sizes": [10**12, 10**12, 3]}, "weights.0 has a shape that does not match"),
        ("chainrule", {"dtype": "float64"}, "expected F64"),
        ("chainrule", {"loss": "regret"}, "regret"),
        ("chainrule.state", {"format": 2}, "upgrade"),
        ("chainrule.state", {"format": None}, "no format version"),
        ("chainrule.state", {"epoch": -1}, "epoch is -1"),
        ("chainrule.state", {"epoch": "80"}, "epoch must be an integer"),
        ("chainrule.state", {"seed": None}, "seed must be an integer"),
        ("vectors.momentum", {"shape": [39]}, "do not fit its shape"),
        ("vectors.momentum", {"shape": [-38]}, "is not a safetensors file that can be read"),
        ("vectors.momentum", {"dtype": "I32"}, "expected F32 or F64"),
        ("vectors.momentum", {"data_offsets": [0, 152]}, "expected to begin at"),
    ],
)
def test_contradictory_contents_raise_value_error(path, part, changes, message):
    header, rest = opened(path)
    metadata = header["__metadata__"]
    if part in metadata:
        metadata[part] = json.dumps(json.loads(metadata[part]) | changes)
    else:
        header[part] |= changes
    forge(path, header, rest)
    with pytest.raises(ValueError, match=message):
        cr.load_checkpoint(path)


def test_unknown_tensors_and_entries_raise_value_error(path):
    header, rest = opened(path)
    header["others.momentum"] = header.pop("vectors.momentum")
    forge(path, header, rest)
    with pytest.raises(ValueError, match=r"is a damaged chainrule checkpoint: it has the tensor 'others.momentum'"):
        cr.load_checkpoint(path)
    header["vectors.momentum"] = header.pop("others.momentum")
    header["__metadata__"]["x"] = ""
    forge(path, header, rest)
    with pytest.raises(ValueError, match="is a damaged chainrule checkpoint: its metadata has the entry 'x'"):
        cr.load_checkpoint(path)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_parameters_that_are_not_finite_are_neither_saved_nor_loaded(tmp_path, dtype, value):
    net, path = make_network(dtype), tmp_path / "file"
    cr.save_checkpoint(path, net, make_state(dtype))
    header, rest = opened(path)
    begin = header["biases.1"]["data_offsets"][0]
    number = np.array([value], dtype).tobytes()
    forge(path, header, rest[:begin] + number + rest[begin + len(number) :])
    with pytest.raises(ValueError, match="file is a damaged chainrule model: its weights or biases hold NaN"):
        cr.load_checkpoint(path)
    net.parameters[-1] = value
    with pytest.raises(ValueError, match="the network's parameters hold NaN or infinity, expected finite numbers"):
        cr.save_checkpoint(tmp_path / "none", net, make_state(dtype))
    assert not (tmp_path / "none").exists()


@pytest.mark.parametrize("header", [b"", b"{", b"[]", b"\xff", b"[" * 10**5, b'{"a":' * 10**5, b'{"a": 1, "a": 1}'])
def test_malformed_headers_raise_value_error(path, header):
    forge(path, header, b"")
    with pytest.raises(ValueError, match="is not a safetensors file that can be read"):
        cr.load_checkpoint(path)


@pytest.mark.parametrize("state", ["", "{", "[]", "[" * 10**5, '{"format": 1, "format": 1}', '{"format": NaN}'])
def test_malformed_states_raise_value_error(path, state):
    header, rest = opened(path)
    header["__metadata__"]["chainrule.state"] = state
    forge(path, header, rest)
    with pytest.raises(ValueError, match="is a damaged chainrule checkpoint"):
        cr.load_checkpoint(path)


# The callback


def imitate(callback, net, epochs, clock):
    """Call a callback as a fit would; each epoch takes a second."""
    callback.on_train_begin(net)
    written = []
    for epoch in range(1, epochs + 1):
        clock[0] += 1.0
        callback.on_epoch_end({"epoch": epoch, "snapshot": lambda epoch=epoch: written.append(epoch) or make_state()})
    return written


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({}, [1, 2, 3, 4, 5, 6, 7, 8]),
        ({"every": 3}, [3, 6]),
        ({"seconds": 2.5}, [3, 6]),
        ({"every": 2, "seconds": 3}, [4, 8]),
    ],
)
def test_callback_writes_after_the_given_epochs_or_seconds(tmp_path, monkeypatch, options, expected):
    clock = [100.0]
    monkeypatch.setattr("time.monotonic", lambda: clock[0])
    callback = cr.Checkpoint(tmp_path / "file", **options)
    for _ in range(2):  # one fit after another
        assert imitate(callback, make_network(), 8, clock) == expected


@pytest.mark.parametrize(
    ("options", "message"),
    [({"every": 0}, "every is 0"), ({"seconds": -1}, "seconds is -1"), ({"seconds": float("nan")}, "nan")],
)
def test_settings_out_of_range_raise(options, message):
    with pytest.raises(ValueError, match=message):
        cr.Checkpoint("file", **options)


def test_leftovers_of_killed_programs_are_removed(tmp_path, path):
    leftover, other = tmp_path / ".good.0123456789ab.tmp", tmp_path / ".better.0123456789ab.tmp"
    for file in (leftover, other):
        file.write_bytes(b"half")
    cr.Checkpoint(path).on_train_begin(make_network())
    assert sorted(tmp_path.iterdir()) == sorted([path, other])


# Resuming

RNG = np.random.default_rng(0)
X, Y = RNG.normal(size=(90, 3)).astype("float32"), RNG.integers(0, 3, 90)
HELD_OUT = (RNG.normal(size=(30, 3)).astype("float32"), RNG.integers(0, 3, 30))
RUNS = {
    "sgd": {"optimizer": cr.SGD(learning_rate=0.1)},
    "momentum": {"optimizer": cr.SGD(learning_rate=0.05, momentum=0.9, nesterov=True)},
    "scikit-learn's momentum": {"optimizer": cr.SGD(momentum=0.9, rate_in_velocity=True)},
    "adam": {"optimizer": cr.Adam(learning_rate=0.01)},
    "scikit-learn's adam": {"optimizer": cr.Adam(epsilon_hat=True)},
    "adamw": {"optimizer": cr.AdamW(learning_rate=0.01, weight_decay=0.1)},
    "rmsprop": {"optimizer": cr.RMSprop(momentum=0.9, centered=True)},
    "adagrad": {"optimizer": cr.Adagrad(learning_rate_decay=0.01)},
    "lbfgs": {"optimizer": cr.LBFGS(history=3), "batch_size": None},
    "all rows": {"batch_size": None},
    "change of cost": {"batch_size": None, "stop": cr.Stop(loss_change_below=1e-12, loss_change_epochs=150)},
    "dropout": {"dropout": 0.3, "input_dropout": 0.1, "schedules": {"dropout": cr.ExponentialDecay()}},
    "average": {"ema": 0.95, "validation": HELD_OUT},
    "early stopping": {"validation": HELD_OUT, "metrics": ["accuracy"], "stop": cr.Stop(no_improvement=1000)},
    "plateau": {"schedules": cr.ReduceOnPlateau(patience=3, factor=0.5), "validation": HELD_OUT},
    "cosine": {"schedules": cr.Cosine(epochs=200, warmup=5, restart_every=30, period_factor=2)},
    "one cycle": {"optimizer": cr.SGD(learning_rate=0.1, momentum=0.9), "schedules": cr.OneCycle(epochs=200)},
    "clipping": {"clip_norm": 0.1, "clip_value": 0.05, "groups": [cr.Group(kind="biases", learning_rate=2.0)]},
    "fraction held out": {"validation": 0.2},
}  # fmt: skip
DTYPES = ("float32", "float64")


def settings(name):
    return {"batch_size": 32, "optimizer": cr.Adam(learning_rate=0.01), **RUNS[name]}


@pytest.fixture(scope="module")
def continued(tmp_path_factory):
    """A folder of checkpoints: 80 epochs of each run in this process, and 120 more in another."""
    folder = tmp_path_factory.mktemp("runs")
    for name, dtype in itertools.product(RUNS, DTYPES):
        path = folder / f"{name}, {dtype}"
        make_network(dtype).fit(X, Y, epochs=80, callbacks=[cr.Checkpoint(path, every=50)], **settings(name))
        assert cr.load_checkpoint(path)[1].epoch == 80
    run("checkpoints.resume_all", str(folder))
    return folder


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", RUNS)
def test_80_epochs_plus_120_in_another_process_equal_200(continued, name, dtype):
    whole = make_network(dtype)
    history = whole.fit(X, Y, epochs=200, keep_state=True, **settings(name))
    again, state = cr.load_checkpoint(continued / f"{name}, {dtype}")
    assert again.parameters.tobytes() == whole.parameters.tobytes()
    state.numbers["rates"][0] = 200  # the length of the first fit, for schedules without a length
    state.numbers["stopping"][0] = history.state.numbers["stopping"][0]  # the last cost, if asked for
    assert_same(state, history.state)


def test_kill_leaves_a_whole_file_from_which_training_resumes(tmp_path):
    path = tmp_path / "file"
    epochs = [0]
    for n_epochs in range(1, 11):
        with start("checkpoints.train_until_killed", str(path)) as child:
            lines = [child.stdout.readline() for _ in range(n_epochs)]
            child.kill()  # while it trains, or writes a later checkpoint
        net, state = cr.load_checkpoint(path)
        assert state.epoch >= int(lines[-1]) == epochs[-1] + n_epochs
        epochs.append(state.epoch)
    cr.Checkpoint(path).on_train_begin(net)
    assert list(tmp_path.iterdir()) == [path]  # files of killed processes were removed

    net.fit(X, Y, epochs=10, resume=state, **settings("adam"))
    whole = make_network()
    whole.fit(X, Y, epochs=epochs[-1] + 10, **settings("adam"))
    assert net.parameters.tobytes() == whole.parameters.tobytes()
