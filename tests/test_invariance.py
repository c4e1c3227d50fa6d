"""The promise: the same bits for any threads and caches, and on every instruction set that has fused multiply-add."""

import hashlib

import numpy as np
import pytest
import reference
from models import network

import chainrule as cr
from chainrule import _core

FUSED = [isa for isa in cr.available_isas() if isa != "baseline"]

# name: (layer sizes, rows, batch size, loss)
SHAPES = {
    "xor": ([2, 4, 1], 4, None, "binary_cross_entropy"),
    "notes": ([20, 64, 1], 1000, None, "binary_cross_entropy"),
    "several slabs": ([20, 64, 3], 9001, None, "softmax_cross_entropy"),
    "batches of several slabs": ([12, 40, 2], 9900, 9001, "squared_error"),
    "wide": ([100, 300, 200, 10], 600, None, "softmax_cross_entropy"),
    "wide batches": ([54, 256, 256, 7], 1000, 256, "softmax_cross_entropy"),
    "few rows": ([150, 300, 250, 1], 8, 5, "binary_cross_entropy"),
    "some rows": ([300, 260, 70, 10], 50, 40, "softmax_cross_entropy"),
    "single rows": ([32, 32, 1], 50, 1, "squared_error"),
    "ragged": ([17, 33, 65, 5], 333, 100, "squared_error"),
    "narrow and deep": ([9, 3, 7, 2, 5, 2], 700, 64, "squared_error"),
    "no hidden layer": ([300, 10], 900, 128, "softmax_cross_entropy"),
}
# Of the last no machine has as little: small matrices take many blocks.
CACHES = [
    "32K:8,256K:8,32M:16",
    "32K:8,512K:8,32M:16",
    "48K:12,1M:16,32M:16",
    "32K:8,1M:8,32M:16",
    "48K:12,2M:16,32M:16",
    "8K:2,64K:4",
]
ACTIVATION = {"binary_cross_entropy": "tanh", "softmax_cross_entropy": "relu", "squared_error": "logistic"}


def digest(*arrays):
    """SHA-256 of the bytes; bits, not values: -0.0 differs from 0.0."""
    return hashlib.sha256(b"".join(np.ascontiguousarray(x).tobytes() for x in arrays)).hexdigest()


def everything(shape, dtype, n_threads):
    """Digests of what every part of the library computes, the parameters after at least 50 Adam steps first."""
    sizes, m, batch_size, loss = SHAPES[shape]
    params, X, Y, w = reference.problem(sizes, m, loss, dtype=dtype)
    net = network(params, ACTIVATION[loss], loss)
    before = digest(net.parameters)
    steps = -(-m // (batch_size or m))
    history = net.fit(
        X,
        Y,
        optimizer=cr.Adam(learning_rate=0.01),
        epochs=-(-50 // steps),
        batch_size=batch_size,
        sample_weight=w,
        l2=0.001,
        validation=(X, Y),
        n_threads=n_threads,
        seed=0,
    )
    J, grads = net.loss_and_gradients(X, Y, w, 0.001, inputs=True, n_threads=n_threads)
    cache = cr.forward(params, X, activation=ACTIVATION[loss], loss=loss, n_threads=n_threads)
    backward = cr.backward(params, cache, Y, w, 0.001, n_threads=n_threads)
    assert digest(net.parameters) != before
    return {
        "parameters": digest(net.parameters),
        "history": digest(history.loss, history.validation),
        "loss": (J, net.loss(X, Y, w, 0.001, n_threads=n_threads)),
        "gradients": digest(grads.parameters, grads.inputs),
        "predictions": digest(net.predict(X, n_threads=n_threads), net.logits(X, n_threads=n_threads)),
        "forward": digest(*cache.z, *cache.a),
        "backward": digest(reference.flatten(backward)),
    }


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("shape", SHAPES)
def test_any_number_of_threads_gives_the_same_bits(isa, shape, dtype):
    one = everything(shape, dtype, n_threads=1)
    for n_threads in (2, 3, 7) if isa == cr.available_isas()[0] else (3,):  # the split does not depend on the ISA
        assert everything(shape, dtype, n_threads) == one


@pytest.mark.skipif(len(FUSED) < 2, reason="one instruction set with fused multiply-add here")
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("shape", SHAPES)
def test_every_fused_instruction_set_gives_the_same_bits(shape, dtype):
    before, results = cr.get_isa(), {}
    try:
        for isa in FUSED:
            cr.set_isa(isa)
            results[isa] = everything(shape, dtype, n_threads=2)
    finally:
        cr.set_isa(before)
    first, *others = results.values()
    assert all(other == first for other in others)


@pytest.fixture
def any_caches():
    yield CACHES
    _core.set_caches("")


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("shape", SHAPES)
def test_no_cache_size_changes_a_bit(isa, any_caches, shape, dtype):
    expected = everything(shape, dtype, n_threads=1)
    turn = list(SHAPES).index(
        shape
    )  # two of the caches that there are: with all, the golden trainings of cpp/ are tested
    for sizes, n_threads in [(turn % 5, (1, 2, 7)[turn % 3]), ((turn + 2) % 5, 2), (-1, 1), (-1, 3)]:
        _core.set_caches(any_caches[sizes])
        assert everything(shape, dtype, n_threads) == expected, (any_caches[sizes], n_threads)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize(("m", "n", "k"), [(512, 300, 1100), (70, 2100, 300), (1, 1500, 2100), (1100, 40, 513)])
def test_no_cache_size_changes_a_bit_of_a_product(isa, any_caches, m, n, k, dtype):
    random = np.random.default_rng(0)
    a, b = random.normal(size=(m, k)).astype(dtype), random.normal(size=(k, n)).astype(dtype)
    expected = digest(_core.gemm(a, b, 1))
    for sizes in any_caches:
        _core.set_caches(sizes)
        for n_threads in (1, 2, 3, 7):
            assert digest(_core.gemm(a, b, n_threads)) == expected, (sizes, n_threads)
        assert digest(_core.gemm(np.asfortranarray(a), np.asfortranarray(b), 2)) == expected, sizes


def test_the_process_wide_number_of_threads_changes_no_bit(threads):
    assert cr.get_num_threads() == threads
    assert everything("wide", "float32", n_threads=None) == everything("wide", "float32", n_threads=2)


@pytest.mark.parametrize(
    ("sizes", "batch_size"),
    [
        pytest.param([1100, 40, 1300, 5], 4, id="few rows"),
        pytest.param([1100, 40, 1300, 5], 100, id="one leaf"),
        pytest.param([1100, 1300, 1], 700, id="two leaves"),
        pytest.param([60, 300, 9], 2500, id="five leaves"),
        pytest.param([20, 33, 5, 2], 2500, id="five leaves of several chains"),
    ],
)
@pytest.mark.parametrize(
    "settings",
    [
        {"optimizer": cr.Adam(), "l2": 0.01, "ema": 0.9},
        {"optimizer": cr.SGD(momentum=0.9), "groups": [cr.Group(kind="biases", learning_rate=2.0)]},
        {"optimizer": cr.SGD(), "clip_value": 0.01},
    ],
    ids=["penalty and average", "groups", "clipped by value"],
)
def test_updates_without_an_array_of_all_gradients(sizes, batch_size, settings):
    """A limit that no norm reaches changes nothing, but keeps all gradients in an array."""
    params, X, Y, _ = reference.problem(sizes, batch_size + batch_size // 3, "squared_error", dtype=np.float32)

    def trained(**more):
        net = network(params, "tanh", "squared_error")
        net.fit(X, Y, batch_size=batch_size, epochs=2, seed=0, **settings, **more)
        return digest(net.parameters)

    kept = trained(clip_norm=1e30, n_threads=1)
    assert [trained(n_threads=n_threads) for n_threads in (1, 2)] == [kept, kept]
