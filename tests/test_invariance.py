"""The same bits for any number of threads, any caches, and every instruction set with fused multiply-add.

One list of training runs covers everything that is computed; tests/cpp/test_golden.cpp compares with stored bits.
"""

import hashlib
from dataclasses import dataclass, field

import numpy as np
import pytest
import reference
from models import network

import chainrule as cr
from chainrule import _core

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
ACTIVATION = {"binary_cross_entropy": "tanh", "softmax_cross_entropy": "relu", "squared_error": "logistic"}
OPTIMIZERS = {
    "sgd": cr.SGD(learning_rate=0.05),
    "nesterov": cr.SGD(learning_rate=0.05, momentum=0.9, nesterov=True),
    "adam": cr.Adam(),
    "adamw": cr.AdamW(learning_rate=0.01),
    "rmsprop": cr.RMSprop(momentum=0.5, centered=True),
    "adagrad": cr.Adagrad(learning_rate=0.1),
    "lion": cr.Lion(learning_rate=0.01),
    "schedule-free": cr.ScheduleFreeAdamW(),
}
SETTINGS = {
    "alone": {},
    "clipped by norm": {"clip_norm": 0.1},
    "averaged": {"ema": 0.9, "schedules": cr.Cosine(epochs=10, warmup=2)},
    "validated": {
        "metrics": "accuracy",
        "stop": cr.Stop(no_improvement=100),
        "schedules": cr.ReduceOnPlateau(patience=0, factor=0.7),
    },
    "few rows": {"batch_size": 4, "clip_value": 0.1},
    "skipping": {"batch_size": 4, "skip_updates_above": 4.0},
}
DROPOUT = {"dropout": 0.5, "input_dropout": 0.2}
LAYOUT = (("value", 1), ("bins", 16), ("levels", 5), ("bins", 1), ("bins", 40))


@dataclass(frozen=True)
class Training:
    sizes: list[int]
    rows: int
    batch_size: int | None
    loss: str
    settings: dict = field(default_factory=dict)  # arguments of fit
    density: float = 1.0  # density of X; below 1, X is sparse
    layout: tuple[tuple[str, int], ...] = ()  # if given, X is BinnedRows with this layout
    dtypes: tuple[str, ...] = ("float32", "float64")
    validates: bool = True


def training_runs():
    """Yield each by its name: shapes with Adam, optimizers with settings, dropout, sparse and binned X, bf16."""
    for name, shape in SHAPES.items():
        yield name, Training(*shape)
    three = [6, 150, 90, 3], 100, 16, "softmax_cross_entropy"
    for optimizer, chosen in OPTIMIZERS.items():
        for name, more in SETTINGS.items():
            settings = {"optimizer": chosen, "l2": 0.0, **more}
            if optimizer == "schedule-free" and "ema" in more:
                continue
            validates = "metrics" in more
            yield f"{optimizer} {name}", Training(*three, settings, dtypes=("float32",), validates=validates)
    settings = {"optimizer": cr.LBFGS(), "batch_size": None}
    yield "lbfgs", Training(*three, settings, dtypes=("float32",), validates=False)
    for density in (1.0, 0.1):
        kind = "dropout" if density == 1 else "sparse dropout"
        yield f"{kind} by rows", Training([30, 70, 33, 3], 700, 600, "softmax_cross_entropy", DROPOUT, density)
        yield f"{kind} by outputs", Training([20, 300, 200, 5], 90, 64, "squared_error", DROPOUT, density)
        yield f"{kind} few rows", Training([20, 40, 1], 21, 5, "binary_cross_entropy", DROPOUT, density)
        yield f"{kind} one row", Training([20, 40, 1], 9, 1, "squared_error", DROPOUT, density)
        yield f"{kind} slabs", Training([12, 40, 2], 9900, 9001, "squared_error", DROPOUT, density)
    yield "sparse", Training([300, 150, 3], 700, 600, "softmax_cross_entropy", {}, 0.1)
    yield "six leaves", Training([40, 200, 60, 3], 3000, None, "squared_error")
    yield "six leaves, small", Training([20, 33, 5, 2], 3000, None, "squared_error")
    yield "six leaves, one output", Training([7, 20, 1], 3000, None, "squared_error")
    yield "six leaves, sparse", Training([300, 60, 3], 3000, None, "squared_error", {}, 0.05)
    yield "six leaves, an entry a row", Training([600, 30, 1], 3000, None, "squared_error", {}, 1 / 600)
    yield "six leaves, small sparse", Training([90, 20, 1], 3000, None, "squared_error", {}, 0.05)
    for name, hidden, rows, batch_size, settings in (
        ("by rows", [70, 33, 3], 700, 600, {"dropout": 0.5}),
        ("by outputs", [300, 200, 5], 90, 64, {"clip_norm": 0.1}),
        ("few rows", [40, 1], 21, 5, {}),
        ("one layer", [3], 90, 64, {}),
        ("slabs", [40, 2], 9900, 9001, {}),
    ):
        sizes = [sum(features for _, features in LAYOUT), *hidden]
        yield f"binned {name}", Training(sizes, rows, batch_size, "squared_error", settings, layout=LAYOUT)
    for name, shape in SHAPES.items():
        yield f"bf16 {name}", Training(*shape, {"precision": "bf16"}, dtypes=("float32",))


TRAINING_RUNS = dict(training_runs())
# No machine has caches as small as the last ones, with which small matrices have many blocks.
CACHES = [
    "32K:8,256K:8,32M:16",
    "32K:8,512K:8,32M:16",
    "48K:12,1M:16,32M:16",
    "32K:8,1M:8,32M:16",
    "48K:12,2M:16,32M:16",
    "8K:2,64K:4",
]


def digest(*arrays):
    """SHA-256 of the bytes; bits, not values: -0.0 differs from 0.0."""
    return hashlib.sha256(b"".join(np.ascontiguousarray(x).tobytes() for x in arrays)).hexdigest()


def binned_rows(X, layout):
    """Rows of a layout whose codes and fractions follow from the first columns of X."""
    codes, values = [], []
    for (kind, features), x in zip(layout, X.T, strict=False):
        part = abs(x) % 1
        if kind != "value":
            codes.append((1000 * part).astype(int) % features)
        if kind != "levels":
            values.append(x if kind == "value" else part)
    return cr.BinnedRows(np.stack(codes, axis=1), np.stack(values, axis=1), layout)


def everything(training, dtype, n_threads):
    """Return digests of the results of every part of the library, the parameters after at least 5 steps first."""
    loss, activation = training.loss, ACTIVATION[training.loss]
    params, X, Y, w = reference.problem(training.sizes, training.rows, loss, dtype=dtype)
    sparse, dense = training.density < 1, training.density == 1 and not training.layout
    if sparse:
        X = np.where(np.random.default_rng(1).random(X.shape) < training.density, X, 0).astype(dtype)
        X[0], X[:, 1] = 0, 0  # an empty row and an empty column
        X = pytest.importorskip("scipy.sparse").csr_array(X)
    elif training.layout:
        X = binned_rows(X, training.layout)
    net = network(params, activation, loss)
    before = digest(net.parameters)
    options = {
        "optimizer": cr.Adam(learning_rate=0.01),
        "batch_size": training.batch_size,
        "l2": 0.001,
        "validation": (X, Y) if training.validates else None,
        **training.settings,
    }
    steps = -(-training.rows // (options["batch_size"] or training.rows))
    epochs = max(2, -(-5 // steps))
    history = net.fit(X, Y, sample_weight=w, epochs=epochs, n_threads=n_threads, seed=0, **options)
    J, grads = net.loss_and_gradients(X, Y, w, 0.001, inputs=dense, n_threads=n_threads)
    assert digest(net.parameters) != before
    results = {
        "parameters": digest(net.parameters),
        "history": digest(history.loss, *([] if history.validation is None else [history.validation])),
        "loss": (J, net.loss(X, Y, w, 0.001, n_threads=n_threads)),
        "gradients": digest(grads.parameters, *([grads.inputs] if dense else [])),
        "predictions": digest(net.predict(X, n_threads=n_threads), net.logits(X, n_threads=n_threads)),
    }
    if dense:
        cache = cr.forward(params, X, activation=activation, loss=loss, n_threads=n_threads)
        backward = cr.backward(params, cache, Y, w, 0.001, n_threads=n_threads)
        results |= {"forward": digest(*cache.z, *cache.a), "backward": digest(reference.flatten(backward))}
    return results


def has_bf16():
    """Whether the CPU and the chosen instruction set have bf16."""
    try:
        _core.peak_gflops("bf16", 1, 0.0)
    except ValueError:
        return False
    return True


@pytest.fixture
def any_caches():
    yield CACHES
    _core.set_caches("")


@pytest.fixture
def any_isa():
    before = cr.get_isa()
    yield cr.available_isas()
    cr.set_isa(before)


@pytest.mark.parametrize(
    ("name", "dtype"), [(name, dtype) for name, training in TRAINING_RUNS.items() for dtype in training.dtypes]
)
def test_threads_caches_and_instruction_sets_change_no_bit(any_isa, any_caches, name, dtype):
    """Each instruction set is compared with one thread of the first that also has, or lacks, fused multiply-add."""
    training, expected = TRAINING_RUNS[name], {}
    if training.settings.get("precision") == "bf16":
        if not has_bf16():
            pytest.skip("the CPU or the chosen instruction set has no AVX512_BF16")
        any_isa = ["avx512"]
    turn = list(TRAINING_RUNS).index(name)  # two other cache sizes; the golden training runs are tested with all
    first, second = any_caches[turn % 5], any_caches[(turn + 2) % 5]
    for isa in any_isa:
        cr.set_isa(isa)
        fused = isa != "baseline"
        ways = [("", 3), (first, 2), (any_caches[-1], 3)]
        if fused not in expected:
            _core.set_caches("")
            expected[fused] = everything(training, dtype, n_threads=1)
            ways += [("", 2), ("", 7), (second, 7), (any_caches[-1], 1)]
        for caches, n_threads in ways:
            _core.set_caches(caches)
            assert everything(training, dtype, n_threads) == expected[fused], (isa, caches, n_threads)


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
    assert everything(TRAINING_RUNS["wide"], "float32", None) == everything(TRAINING_RUNS["wide"], "float32", 2)


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
