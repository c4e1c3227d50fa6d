"""A fit on a Dask cluster in a separate process."""

import time

import numpy as np

import chainrule as cr
import chainrule.dask


def data():
    random = np.random.default_rng(0)
    X = random.normal(size=(9000, 6)).astype("float32")
    return X, (X[:, 0] * X[:, 1] > 0).astype("int32"), (np.abs(X[:, 2]) + 0.1).astype("float32")


def new():
    return cr.Network([6, 20, 2], loss="softmax_cross_entropy", seed=0)


class Report:
    """Prints each epoch, and is slow from the fifth epoch on, so that the process can be killed."""

    def __call__(self, logs):
        print(logs["epoch"], flush=True)
        if logs["epoch"] >= 5:
            time.sleep(600)


def train(address, folder):
    """Train, save each epoch, and print its number."""
    import dask.array as da
    from distributed import Client

    X, y, _ = data()
    with Client(address, set_as_default=False) as client:
        cr.dask.fit(
            new(),
            da.from_array(X, chunks=(2000, 6)),
            da.from_array(y, chunks=2000),
            client=client,
            epochs=20,
            callbacks=[cr.Checkpoint(folder + "/state"), Report()],
        )


def wide(rows):
    return np.ones((rows, 100), "float32")


def memory(address):
    """Print how much memory a fit on 80 MB takes in this process."""
    from functools import partial

    from bench.resident import resident
    from distributed import Client

    def fit(rows):
        net = cr.Network([100, 8, 1], loss="squared_error", seed=0)
        X, y = [partial(wide, rows)] * 4, [partial(np.ones, rows)] * 4
        cr.dask.fit(net, X, y, client=client, epochs=2)

    with Client(address, set_as_default=False) as client:
        fit(1000)
        before = resident("VmHWM")
        fit(50_000)
        print(resident("VmHWM") - before)
