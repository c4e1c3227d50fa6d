"""Training with bf16 products against an oracle that rounds in the same way; unsupported cases raise."""

import os
import subprocess
import sys

import numpy as np
import pytest
import reference
from models import network
from test_invariance import ACTIVATION, SHAPES, has_bf16

import chainrule as cr
from chainrule import _core

needs_bf16 = pytest.mark.skipif(not has_bf16(), reason="the CPU or the chosen instruction set has no AVX512_BF16")


def fitted(shape, precision, epochs=3):
    """The network of a shape after some epochs, and their history."""
    sizes, m, batch_size, loss = SHAPES[shape]
    params, X, Y, w = reference.problem(sizes, m, loss, dtype="float32")
    net = network(params, ACTIVATION[loss], loss)
    history = net.fit(
        X,
        Y,
        optimizer=cr.Adam(learning_rate=0.01),
        epochs=epochs,
        batch_size=batch_size,
        sample_weight=w,
        l2=0.001,
        precision=precision,
        validation=(X, Y),
        seed=0,
    )
    return net, history


class Rounded(np.ndarray):
    """Makes the oracle's products those of bf16: both operands are rounded, to nearest and ties to even."""

    @staticmethod
    def round(x):
        bits = np.asarray(x, dtype=np.float32).view(np.uint32)
        return ((bits + 0x7FFF + (bits >> 16 & 1)) & 0xFFFF0000).view(np.float32).astype(np.float64)

    def __matmul__(self, other):
        return (Rounded.round(self) @ Rounded.round(other)).view(Rounded)


@needs_bf16
@pytest.mark.parametrize("shape", SHAPES)
def test_products_round_only_their_operands(shape):
    """With rate 1, a step is the gradient. A float32 error may round an operand to its other neighbor, but few do."""
    sizes, m, _, loss = SHAPES[shape]
    params, X, Y, _ = reference.problem(sizes, m, loss, dtype="float32")
    net = network(params, ACTIVATION[loss], loss)
    history = net.fit(X, Y, optimizer=cr.SGD(learning_rate=1.0), epochs=1, precision="bf16")
    step = reference.flatten(params) - net.parameters

    activations = [ACTIVATION[loss]] * (len(sizes) - 2)
    gradients = {}
    for kind in (np.ndarray, Rounded):
        exact = [tuple(x.astype(np.float64).view(kind) for x in pair) for pair in params]
        z, a = reference.forward(exact, X.astype(np.float64).view(kind), activations, loss)
        grads, _ = reference.backward(exact, z, a, Y, activations, loss)
        gradients[kind] = np.asarray(reference.flatten(grads))
        if kind is Rounded:
            assert history.loss[0] == pytest.approx(float(reference.cost(exact, z[-1], Y, loss)), rel=1e-5)
    difference = np.linalg.norm(gradients[Rounded] - gradients[np.ndarray])
    assert np.linalg.norm(step - gradients[Rounded]) < 0.1 * difference


@needs_bf16
def test_bf16_loss_stays_near_float32():
    """If sums were lost to rounding, the two costs would diverge; they fall together."""
    costs = [fitted("wide batches", precision, epochs=20)[1].loss for precision in ("float32", "bf16")]
    assert costs[0][-1] < 0.7 * costs[0][0]
    assert np.allclose(costs[1], costs[0], rtol=0.05)


@needs_bf16
def test_validation_is_computed_in_float32():
    """The recorded validation cost is that of the parameters, as `loss` computes it."""
    net, history = fitted("wide", "bf16")
    sizes, m, _, loss = SHAPES["wide"]
    _, X, Y, _ = reference.problem(sizes, m, loss, dtype="float32")
    assert history.validation[-1] == net.loss(X, Y)


@needs_bf16
@pytest.mark.parametrize(("m", "n", "k"), [(1, 1, 1), (37, 45, 67), (200, 100, 2100)])
def test_products_of_small_integers_are_exact(m, n, k):
    """Exact where numbers and sums fit: small integers."""
    rng = np.random.default_rng(0)
    a, b = rng.integers(-8, 9, (m, k)).astype("float32"), rng.integers(-8, 9, (k, n)).astype("float32")
    for right in (b, np.asfortranarray(b)):
        assert np.array_equal(_core.gemm_bf16(a, right, 3), a @ b)


@needs_bf16
def test_bf16_learns_fashion_mnist(chainrule_data, monkeypatch):
    monkeypatch.syspath_prepend(os.path.join(os.path.dirname(__file__), "..", "python", "examples"))
    example = pytest.importorskip("fashion_mnist")
    monkeypatch.setattr(sys, "argv", ["fashion_mnist.py", str(chainrule_data)])
    folder = example.find_folder()
    (X, y), (X_test, y_test) = example.read_part(folder, "train"), example.read_part(folder, "t10k")
    net = cr.Network([784, 128, 10], activation="relu", loss="softmax_cross_entropy", seed=0)
    net.fit(X, y, batch_size=128, epochs=10, precision="bf16")
    assert np.mean(net.predict(X_test).argmax(axis=1) == y_test) >= 0.87


def test_bf16_of_a_float64_network_raises():
    net = cr.Network([1, 1], loss="squared_error", dtype="float64", seed=0)
    before = net.parameters.copy()
    with pytest.raises(ValueError, match="precision is bf16, which is for float32 networks"):
        net.fit([[1.0]], [1.0], precision="bf16")
    assert np.array_equal(net.parameters, before)


def test_bf16_without_the_instructions_raises(isa):
    net = cr.Network([1, 1], loss="squared_error", seed=0)
    if isa == "avx512" and has_bf16():
        net.fit([[1.0]], [1.0], epochs=1, precision="bf16")
        return
    with pytest.raises(
        ValueError, match=f"needs a CPU with AVX512_BF16 and the instruction set avx512, but {isa} is in use"
    ):
        net.fit([[1.0]], [1.0], precision="bf16")


def test_bf16_with_avx2_in_the_environment_raises():
    if "avx2" not in cr.available_isas():
        pytest.skip("this CPU has no AVX2")
    script = "import chainrule as cr; cr.Network([1, 1], loss='squared_error').fit([[1]], [1], precision='bf16')"
    environment = {**os.environ, "CHAINRULE_ISA": "avx2"}
    done = subprocess.run([sys.executable, "-c", script], env=environment, capture_output=True, text=True)
    assert "ValueError: precision is bf16" in done.stderr
    assert "avx2" in done.stderr


def test_unknown_precision_raises():
    net = cr.Network([1, 1], loss="squared_error", seed=0)
    with pytest.raises(ValueError, match="precision 'int8' is unknown, expected one of float32, bf16"):
        net.fit([[1.0]], [1.0], precision="int8")
    with pytest.raises(TypeError, match="precision"):
        net.fit([[1.0]], [1.0], precision=16)
