"""Input and settings that could lead a careless implementation outside of its memory, or a process to its end; and how
much memory a fit takes."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import reference
from models import problem

import chainrule as cr


@pytest.mark.parametrize("m", [2, 40, 700])
def test_broadcast_rows_give_the_bits_of_copied_rows(isa, m):
    net, params, X, Y, _ = problem([5, 20, 2], m, "squared_error")
    same = np.broadcast_to(X[0], X.shape)
    dense = np.ascontiguousarray(same)
    assert same.strides[0] == 0
    want, grads = net.loss_and_gradients(dense, Y, inputs=True)
    got, got_grads = net.loss_and_gradients(same, Y, inputs=True)
    assert (got, net.loss(same, Y)) == (want, net.loss(dense, Y))
    assert np.array_equal(got_grads.parameters, grads.parameters)
    assert np.array_equal(got_grads.inputs, grads.inputs)
    assert np.array_equal(net.predict(same), net.predict(dense))
    cache = cr.forward(params, same, activation="tanh", loss="squared_error")
    flat = reference.flatten(cr.backward(params, cache, Y))
    assert np.array_equal(flat, grads.parameters)
    net.fit(same, Y, epochs=3)
    other, *_ = problem([5, 20, 2], m, "squared_error")
    other.fit(dense, Y, epochs=3)
    assert np.array_equal(net.parameters, other.parameters)


@pytest.mark.skipif(len(cr.available_isas()) < 2, reason="this CPU has one instruction set")
def test_the_instruction_set_stays_while_a_fit_runs():
    net, _, X, Y, _ = problem([5, 20, 2], 40, "squared_error")
    before = cr.get_isa()
    other = next(name for name in cr.available_isas() if name != before)
    with pytest.raises(RuntimeError, match="instruction set cannot change"):
        net.fit(X, Y, callbacks=[lambda logs: cr.set_isa(other)])
    assert cr.get_isa() == before
    cr.set_isa(other)  # afterwards it may
    cr.set_isa(before)


@pytest.mark.parametrize("pair", [np.ones((2, 5)), "Wb", {0: np.ones((2, 5)), 1: np.ones(2)}, 3, None])
def test_layers_that_are_not_pairs_of_arrays_raise(pair):
    with pytest.raises((TypeError, ValueError)):
        cr.forward([pair], np.ones((3, 5)), activation="tanh", loss="squared_error")


def test_masked_arrays_raise_and_numpy_matrices_are_accepted():
    net = cr.Network([3, 4], loss="softmax_cross_entropy", seed=0)
    X = np.ones((5, 3))
    with pytest.raises(TypeError, match="X is a masked array"):
        net.predict(np.ma.masked_equal(X, 2))
    labels = np.array([[0], [1], [2], [3], [0]])
    old = labels.view(np.matrix)
    assert net.loss(X.view(np.matrix), old) == net.loss(X, labels)


@pytest.mark.parametrize("m", [1, 513, 9000])  # a chain of rows and one more; more than a slab
def test_the_cost_has_the_same_bits_from_arrays_and_network(m):
    net, params, X, Y, w = problem([4, 6, 2], m, "squared_error")
    cache = cr.forward(params, X, activation="tanh", loss="squared_error")
    assert cr.cost(params, cache, Y, w, 0.1) == net.loss(X, Y, w, 0.1) == net.loss_and_gradients(X, Y, w, 0.1)[0]


def test_thousands_of_threads_are_not_started():
    program = (
        "import resource, numpy as np, chainrule as cr\n"
        "resource.setrlimit(resource.RLIMIT_NPROC, (200, 200))\n"
        "net = cr.Network([784, 1000, 10], loss='squared_error', seed=0)\n"
        "print(net.predict(np.ones((4000, 784)), n_threads=100000).shape)\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=120)
    assert (done.returncode, done.stdout.strip()) == (0, "(4000, 10)"), done.stderr


FIT = """
import numpy as np, chainrule as cr
def resident(name):
    with open("/proc/self/status") as status:
        return int(status.read().split(name + ":")[1].split()[0]) * 1024
rows, batch, hidden, classes, optimizer, more = {arguments}
X = np.random.default_rng(0).random((rows, 54), dtype=np.float32)  # and no temporary array, here or below
y = np.ones(rows, np.int32) if classes else np.ones((rows, 7), np.float32)
loss = "softmax_cross_entropy" if classes else "squared_error"
net = cr.Network([54, *hidden, 7], loss=loss, dtype="float32", seed=0)
settings = dict(optimizer=optimizer, batch_size=batch, epochs=1, n_threads=2, **more)
net.fit(X[:100], y[:100], **settings)
before = resident("VmRSS")
net.fit(X, y, **settings)
print(resident("VmHWM") - before, net.parameters.nbytes)
"""
needs_proc = pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="reads /proc")


def memory_of_a_fit(*arguments: str) -> list[int]:
    """Bytes beyond the data and the network that one fit takes, and those of the parameters."""
    program = FIT.replace("{arguments}", ", ".join(arguments))
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=120, check=True)
    return [int(word) for word in done.stdout.split()]


@needs_proc
@pytest.mark.parametrize(
    ("batch", "classes", "bytes_per_row"),
    [
        pytest.param("None", "False", 0, id="all-rows"),
        pytest.param("256", "False", 8, id="their-order"),
        pytest.param("256", "True", 12, id="class-numbers"),  # checked as float64 and kept as int32; then the order
    ],
)
def test_memory_of_a_fit_on_a_million_rows(batch, classes, bytes_per_row):
    rows = 1_000_000
    taken, _ = memory_of_a_fit(str(rows), batch, "[16]", classes, "cr.Adam()", "{}")
    assert taken <= bytes_per_row * rows + 4e6


@needs_proc
@pytest.mark.parametrize(("optimizer", "moments"), [("cr.SGD()", 0), ("cr.SGD(momentum=0.9)", 1), ("cr.Adam()", 2)])
@pytest.mark.parametrize("batch", [256, 1000])  # 4 and 16 million activations and their gradients
@pytest.mark.parametrize("clipped", [False, True])
def test_memory_of_a_fit_of_many_parameters(optimizer, moments, batch, clipped):
    more = "{'clip_norm': 1.0}" if clipped else "{}"
    taken, parameters = memory_of_a_fit("1000", str(batch), "[4000, 4000]", "False", optimizer, more)
    weights = 2  # as the forward and the backward products read them
    rows = min(batch, 512) if clipped else batch  # a slab; without an array of gradients, all
    assert taken <= (weights + moments + clipped) * parameters + rows * 16_068 * 4 + 8e6


MAPPED = """
import numpy as np, chainrule as cr
def resident(name):
    with open("/proc/self/status") as status:
        return int(status.read().split(name + ":")[1].split()[0]) * 1024
rows, columns, mode = 1200, 130_000, {mode!r}
with open({path!r}, "wb") as file:
    file.truncate(rows * columns * 4)  # 624 MB of zeros that take no room
X, y = np.memmap({path!r}, np.float32, mode, shape=(rows, columns)), np.ones(rows, np.float32)
if mode == "c":
    X[:, 0] = 1
net = cr.Network([columns, 1], loss="squared_error", seed=0)
settings = dict(optimizer=cr.SGD(), batch_size=10, epochs=2, n_threads=1)
net.fit(np.ones((20, columns), np.float32), y[:20], **settings)
before = resident("VmRSS")
net.fit(X, y, validation=(X[:10], y[:10]), **settings)
print(resident("VmHWM") - before, X[:, 0].sum())
"""


@needs_proc
@pytest.mark.parametrize(("mode", "total"), [("r", 0), ("r+", 0), ("c", 1200)])
def test_pages_of_a_mapped_file_do_not_pile_up(tmp_path, mode, total):
    program = MAPPED.format(mode=mode, path=str(tmp_path / "x.bin"))
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=120, check=True)
    taken, found = map(float, done.stdout.split())
    assert found == total  # what was written into a private map is still there
    assert taken < 200e6 or mode == "c"
