"""Measures the memory of calls; each function prints bytes."""

import contextlib
import gc
import os
import resource
import warnings

import numpy as np
from bench.resident import anonymous_memory, resident

import chainrule as cr


def fit(rows, batch, hidden, classes, optimizer, more):
    """Print the memory of one fit besides the data and the network, and the bytes of the parameters."""
    # drawn in float32, because a temporary array would raise the peak
    X = np.random.default_rng(0).random((rows, 54), dtype=np.float32)
    y = np.ones(rows, np.int32) if classes else np.ones((rows, 7), np.float32)
    loss = "softmax_cross_entropy" if classes else "squared_error"
    net = cr.Network([54, *hidden, 7], loss=loss, dtype="float32", seed=0)
    name, arguments = optimizer
    chosen = getattr(cr, name)(**arguments)
    settings = {"optimizer": chosen, "batch_size": batch, "epochs": 1, "n_threads": 2, **more}
    net.fit(X[:100], y[:100], **settings)
    before = resident("VmRSS")
    net.fit(X, y, **settings)
    print(resident("VmHWM") - before, net.parameters.nbytes)


def mapped_fit(path, mode):
    """Print the memory of a fit on a mapped file of 624 MB, and the sum of its first column."""
    rows, columns = 1200, 130_000
    with open(path, "wb") as file:
        file.truncate(rows * columns * 4)  # a sparse file of zeros
    X, y = np.memmap(path, np.float32, mode, shape=(rows, columns)), np.ones(rows, np.float32)
    if mode == "c":
        X[:, 0] = 1
    net = cr.Network([columns, 1], loss="squared_error", seed=0)
    settings = {"optimizer": cr.SGD(), "batch_size": 10, "epochs": 2, "n_threads": 1}
    net.fit(np.ones((20, columns), np.float32), y[:20], **settings)
    before = resident("VmRSS")
    net.fit(X, y, validation=(X[:10], y[:10]), **settings)
    print(resident("VmHWM") - before, X[:, 0].sum())


def thousands_of_threads():
    resource.setrlimit(resource.RLIMIT_NPROC, (200, 200))
    net = cr.Network([784, 1000, 10], loss="squared_error", seed=0)
    print(net.predict(np.ones((4000, 784)), n_threads=100000).shape)


def networks_trained_together(dtype):
    """Print the memory of fit_many besides the data."""
    X = np.ones((400_000, 40), dtype)  # 64 MB in float32
    y = np.ones(len(X), "float32")
    nets = [cr.Network([40, 4, 1], loss="squared_error", seed=seed) for seed in range(8)]
    half = np.arange(0, len(X), 2)
    before = resident("VmHWM")
    cr.fit_many(nets, X, y, rows=half, validation=half, batch_size=1000, epochs=1, n_threads=4)
    print(resident("VmHWM") - before)


def many_fits():
    """Print the growth of memory over 1,000 fits, some of which fail or raise, with and without Python functions."""
    random = np.random.default_rng(0)
    X, y = random.normal(size=(64, 20)).astype("float32"), random.integers(0, 2, 64)

    def loss(logits, y, weight):
        return 0.0, np.zeros_like(logits)

    def fail(logs):
        raise ValueError

    def round_of_fits():
        for seed in range(200):
            one = cr.Network([20, 30, 1], loss="binary_cross_entropy", seed=seed)
            one.fit(X, y, epochs=1)
            one.fit(X, y, epochs=1, loss=loss, callbacks=[lambda logs: logs["snapshot"]()], keep_state=True)
            cr.fit_many([one], X, y, epochs=1, validation=np.arange(5))
            for broken in ({"callbacks": [fail]}, {"batch_size": 0}):
                with contextlib.suppress(ValueError):
                    one.fit(X, y, epochs=1, **broken)
        gc.collect()
        return resident("VmRSS")

    round_of_fits()
    before = round_of_fits()
    print(round_of_fits() - before)


def sparse_fit():
    """Print the memory of fits and a prediction on a sparse 20,000 x 50,000 matrix, and the bytes of the parameters."""
    import scipy.sparse

    m, n, k = 20_000, 50_000, 10
    entries = np.ones(m * k, np.float32), np.tile(np.arange(k, dtype=np.int32), m), np.arange(m + 1) * k
    X, y = scipy.sparse.csr_array(entries, (m, n)), np.ones(m, np.float32)
    net = cr.Network([n, 8, 1], loss="squared_error", seed=0)
    net.fit(X[:100], y[:100], batch_size=50, epochs=1, n_threads=2)
    before = resident("VmRSS")
    net.fit(X, y, batch_size=64, epochs=1, validation=(X, y), n_threads=2)
    net.fit(X, y, epochs=1, n_threads=2)
    net.predict(X)
    print(resident("VmHWM") - before, net.parameters.nbytes)


def fits_on_mapped_file(path, dtype):
    """Print the size of a mapped file, and the anonymous memory of a network's and a classifier's fit on it."""
    rows, columns = 40_000, 3000 // np.dtype(dtype).itemsize
    X = np.memmap(path, dtype, "w+", shape=(rows, columns))
    random = np.random.default_rng(0)
    for start in range(0, rows, 1000):
        X[start : start + 1000] = random.integers(0, 100, (1000, columns))
    y = random.integers(0, 2, rows)
    net = cr.Network([columns, 4, 1], loss="binary_cross_entropy", seed=0)
    settings = {"hidden_layer_sizes": 4, "max_iter": 2, "random_state": 0, "early_stopping": True}
    warnings.simplefilter("ignore")
    net.fit(X[:200], y[:200], batch_size=200, epochs=1)
    cr.MLPClassifier(**settings).fit(X[:200], y[:200])
    with anonymous_memory() as of_network:
        net.fit(X, y, batch_size=200, epochs=2)
    with anonymous_memory() as of_classifier:
        cr.MLPClassifier(**settings).fit(X, y)
    print(X.nbytes, *(peak - start for start, peak in (of_network, of_classifier)))


def fit_on_files(folder):
    """Print the size of a data set in files and of one part, and the anonymous memory of a fit and a prediction."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    columns, part, files = 50, 40_000, 5
    random = np.random.default_rng(0)
    for number in range(files):
        values = random.random((columns, 4 * part), dtype=np.float32)
        table = pa.table({f"x{i}": column for i, column in enumerate(values)})
        pq.write_table(table, f"{folder}/{number}.parquet", row_group_size=part, compression="none")
    del values, table
    net = cr.Network([columns - 1, 64, 1], loss="squared_error", seed=0)
    rows = cr.Rows(folder, target="x0")
    settings = {"shuffle": cr.WithinParts(part), "batch_size": 500}
    small = cr.Rows(f"{folder}/0.parquet", target="x0")
    net.fit(small, **settings, epochs=1)
    pa.default_memory_pool().release_unused()
    with anonymous_memory() as taken:
        net.fit(rows, validation=small, **settings, epochs=2)
        net.predict(rows)
    print(rows.shape[0] * columns * 4, part * columns * 4, taken[1] - taken[0])


def fit_on_arrow_table():
    """Print the size of an Arrow table in chunks, its number of rows, and the anonymous memory of a fit on it."""
    import pyarrow as pa

    random = np.random.default_rng(0)

    def table(rows):
        return pa.table({f"x{i}": random.random(rows, dtype=np.float32) for i in range(100)})

    warnings.simplefilter("ignore")
    settings = {"hidden_layer_sizes": 4, "max_iter": 1, "batch_size": 200, "random_state": 0}
    cr.MLPRegressor(**settings).fit(table(300), np.arange(300.0))
    whole = pa.concat_tables([table(37_500) for _ in range(8)])
    y = random.random(len(whole))
    pa.default_memory_pool().release_unused()
    with anonymous_memory() as taken:
        cr.MLPRegressor(**settings).fit(whole, y)
    print(whole.nbytes, len(whole), taken[1] - taken[0])


def fit_on_table_in_files(folder, kind):
    """Print the size of a table in files, its number of rows, and the anonymous memory of a fit and a prediction."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    rows, files = 30_000, 5
    random = np.random.default_rng(0)
    towns = np.array(["Ayr", "Bath", "Ely"])
    for number in range(files):
        columns = {f"x{i}": random.random(rows, dtype=np.float32) for i in range(150)}
        columns["town"] = towns[random.integers(0, 3, rows)]
        pq.write_table(pa.table(columns), f"{folder}/{number}.parquet", row_group_size=10_000)
    del columns
    pq.write_table(pq.read_table(f"{folder}/0.parquet").slice(0, 500), f"{folder}/small")
    settings = {
        "MLPRegressor": {"hidden_layer_sizes": 4, "max_iter": 1},
        "TableRegressor": {"encoder": cr.TableEncoder(bins=4), "time_limit": 0.01},
    }
    model = getattr(cr, kind)(random_state=0, **settings[kind])
    warnings.simplefilter("ignore")
    small = cr.Rows(f"{folder}/small", target="x0")
    model.fit(small).predict(small)
    os.remove(f"{folder}/small")
    whole = cr.Rows(folder, target="x0")
    pa.default_memory_pool().release_unused()
    with anonymous_memory() as taken:
        model.fit(whole).predict(whole)
    print(whole.shape[0] * (len(whole.columns) + 1) * 4, whole.shape[0], taken[1] - taken[0])
