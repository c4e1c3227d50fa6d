"""The program of the ranks of an MPI job: fits, and fits in which one rank fails."""

import importlib
import json
import os
import signal
import sys
from pathlib import Path

import numpy as np
import scipy.sparse as sp
from mpi4py import MPI

import chainrule as cr
from chainrule import mpi

RANK, RANKS = MPI.COMM_WORLD.Get_rank(), MPI.COMM_WORLD.Get_size()
ROWS = 4300
SETTINGS = {
    "full batches": {"optimizer": cr.SGD(learning_rate=0.05, momentum=0.5), "l2": 0.01},
    "mini-batches": {"batch_size": 1700, "dropout": 0.3, "input_dropout": 0.1},
    "in order": {"batch_size": 1100, "shuffle": False, "ema": 0.9, "clip_norm": 0.05},
    "tiny batches": {"batch_size": 300, "epochs": 1},
    "L-BFGS": {"optimizer": cr.LBFGS(), "l2": 0.001},
    "stops": {"batch_size": 2000, "epochs": 40, "validation": 0.2, "stop": cr.Stop(no_improvement=1, min_delta=0.02)},
    "sparse": {"batch_size": 1500, "validation": 0.2},
    "sparse, full batches": {"optimizer": cr.LBFGS()},
    "within parts": {"batch_size": 1100, "shuffle": cr.WithinParts(700)},
    "within parts, held out": {"batch_size": 1100, "shuffle": cr.WithinParts(700), "validation": 0.2},
    "binned": {"batch_size": 1500, "validation": 0.2},
    "binned, full batches": {"optimizer": cr.LBFGS()},
    "metric": {"batch_size": 1024, "validation": 0.1, "metrics": "accuracy", "schedules": cr.Cosine(epochs=3)},
}


def data():
    random = np.random.default_rng(0)
    X = random.normal(size=(ROWS, 12)).astype("float32")
    y = (X[:, 0] * X[:, 1] > 0).astype(int) + (X[:, 2] > 1)
    return X, y, random.uniform(0, 2, ROWS)


def network(large=False):
    """Return a small float32 network, or a large float64 one.

    The large one has more than 16,384 parameters, so its sums use longer chains.
    """
    sizes, dtype = ([12, 200, 90, 3], "float64") if large else ([12, 20, 90, 3], "float32")
    return cr.Network(sizes, loss="softmax_cross_entropy", dtype=dtype, seed=3)


def rows_of(X, name):
    """Return X, in a binned case as binned rows, in a sparse case as a sparse matrix in which most entries are 0."""
    if name.startswith("binned"):
        codes = np.searchsorted([-0.5, 0.5], X[:, :4]).astype("uint8")
        return cr.BinnedRows(codes, X[:, 4:8], [("levels", 2), ("value", 1)] * 4)
    return sp.csr_array(np.where(X > 0.3, X, 0)) if name.startswith("sparse") else X


def own(how):
    """Return the rows of this rank; they are split "even", "uneven", or ("none") so that one rank has no rows."""
    cuts = [ROWS * rank // RANKS for rank in range(RANKS + 1)]
    if how == "uneven":
        cuts = [0, *(min(77 + 900 * rank**2, ROWS) for rank in range(RANKS - 1)), ROWS]
    if how == "none":
        cuts[-2] = ROWS
    return slice(*cuts[RANK : RANK + 2])


def result(net, history):
    validation = None if history.validation is None else history.validation.tolist()
    numbers = {name: values.tolist() for name, values in history.metrics.items()}
    return [net.parameters.tobytes().hex(), history.loss.tolist(), validation, numbers, history.stop_reason]


def report(text):
    sys.stdout.write(text + "\n")  # in one call, because all ranks write to it
    sys.stdout.flush()


def fits(folder, how):
    """Fit with every setting on the rows of all ranks, and on one machine; write whether the results are equal."""
    rows = own(how)
    X, y, w = data()
    cases = [
        (name, large, {"epochs": 3, "seed": 5, **settings}) for name, settings in SETTINGS.items() for large in (0, 1)
    ]
    expected = {}
    for index, (name, large, settings) in enumerate(cases):
        if index % RANKS == RANK:  # the ranks share the cases
            net = network(large)
            history = net.fit(rows_of(X, name), y, sample_weight=w if large else None, n_threads=1, **settings)
            expected[name, large] = result(net, history)
    expected = {name: one for some in MPI.COMM_WORLD.allgather(expected) for name, one in some.items()}
    answers = {}
    for name, large, settings in cases:
        net = network(large)
        before = net.parameters.tobytes().hex()
        weight = w[rows] if large else None
        own_X = rows_of(X[rows], name)
        found = result(net, mpi.fit(net, own_X, y[rows], sample_weight=weight, n_threads=1, **settings))
        want = expected[name, large]
        if "l2" in settings and not large:  # small networks sum the penalty in another order
            assert np.allclose(want.pop(1), found.pop(1), rtol=1e-14, atol=0)
        assert found[0] != before
        answers[f"{name}, {large}"] = found == want
    Path(folder, str(RANK)).write_text(json.dumps(answers))


def files(folder):
    """Rows in files, in an order within parts, give the same bits as arrays on one machine."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    X, y, _ = data()
    rows, path = own("uneven"), os.path.join(folder, f"{RANK}.parquet")
    pq.write_table(pa.table({**{str(k): X[rows, k] for k in range(12)}, "y": y[rows]}), path, row_group_size=300)
    settings = {"shuffle": cr.WithinParts(1000), "batch_size": 900, "epochs": 3, "seed": 5}
    one, many = network(), network()
    expected = result(one, one.fit(X, y, n_threads=1, **settings))
    found = result(many, mpi.fit(many, cr.Rows(path, target="y"), n_threads=1, **settings))
    Path(folder, str(RANK)).write_text(json.dumps({"files": found == expected}))


def resume(folder):
    """Check that training resumed from a checkpoint of rank 0 equals training without a break."""
    path, rows = os.path.join(folder, "checkpoint"), own("uneven")
    X, y, w = data()
    answers = {}
    for name in ("mini-batches", "L-BFGS"):
        settings = {"seed": 5, **SETTINGS[name]}
        once = network()
        once.fit(X, y, sample_weight=w, epochs=5, **settings)
        callbacks = [cr.Checkpoint(path)] if RANK == 0 else []
        mpi.fit(network(), X[rows], y[rows], sample_weight=w[rows], epochs=2, callbacks=callbacks, **settings)
        MPI.COMM_WORLD.Barrier()
        net, state = cr.load_checkpoint(path)
        mpi.fit(net, X[rows], y[rows], sample_weight=w[rows], epochs=3, resume=state, **settings)
        answers[name] = net.parameters.tobytes() == once.parameters.tobytes()
        MPI.COMM_WORLD.Barrier()
    Path(folder, str(RANK)).write_text(json.dumps(answers))


def callbacks(folder):
    """Callbacks of rank 0 stop all ranks and change the network of all; those of the others are not called."""
    X, y, _ = data()
    rows, nets = own("even"), [network() for _ in range(3)]

    class Change:
        def __init__(self, net):
            self.net, self.calls = net, []

        def on_train_begin(self, net):
            net.biases[0][:] = 1
            self.calls.append("begin")

        def on_epoch_end(self, logs):
            self.net.biases[1][:] += 0.5
            self.calls.append([logs["epoch"], logs["loss"]])
            return logs["epoch"] == 4

        def on_train_end(self, history):
            self.calls.append(history.stop_reason)

    changes = [Change(net) for net in nets]
    expected = result(nets[0], nets[0].fit(X, y, batch_size=1500, seed=1, callbacks=[changes[0]]))
    found = result(nets[1], mpi.fit(nets[1], X[rows], y[rows], batch_size=1500, seed=1, callbacks=[changes[1]]))
    calls = changes[0].calls if RANK == 0 else []
    answers = {"result": found == expected, "calls": changes[1].calls == calls}
    late = mpi.fit(nets[2], X[rows], y[rows], epochs=10**6, stop=cr.Stop(seconds=0.05))
    answers["seconds"] = late.stop_reason == "seconds"
    epochs = MPI.COMM_WORLD.allgather(late.epochs)
    answers["same epoch"] = set(epochs) == {late.epochs}
    Path(folder, str(RANK)).write_text(json.dumps(answers))


def fails(how, rank):
    """A rank fails in the second epoch, or before the fit; report what each rank raises."""
    X, y, _ = data()
    rows, net = own("even"), network()
    X, y = X[rows], y[rows]
    settings = {"epochs": 10**6, "batch_size": 1500}
    pids = MPI.COMM_WORLD.allgather(os.getpid())

    class Fail:
        def __call__(self, logs):
            if logs["epoch"] == 2:
                act()

    def act():
        report(f"fails, the ranks are {pids}")  # in one line: those of different ranks arrive in any order
        if how == "kill":
            os.kill(os.getpid(), signal.SIGKILL)
        if how == "interrupt":
            os.kill(os.getpid(), signal.SIGINT)
        if how in ("raise", "caught"):
            raise ValueError("no more disk")

    original = mpi._Source.__call__

    def source(self, batch):
        if batch.step == 5 and rank == RANK:
            act()
        return original(self, batch)

    mpi._Source.__call__ = source
    if rank == RANK:
        if how == "labels":
            y = y + 7
        if how == "setting":
            settings["l2"] = 0.5
        if how == "seed":
            net = cr.Network([12, 20, 90, 3], loss="softmax_cross_entropy", seed=4)
        if how == "form":
            X = sp.csr_array(X)
        if how == "dask":
            X = importlib.import_module("dask.array").from_array(X)
        if how == "dtype":
            net = cr.Network([12, 20, 90, 3], loss="softmax_cross_entropy", seed=3, dtype="float64")
        if how == "version":
            known = mpi.identity()
            mpi.identity = lambda: {**known, "chainrule": "another"}
        if how == "isa":
            cr.set_isa("baseline")
        if how == "callback":
            settings["callbacks"] = [Fail()]
            how = "raise"
    before = net.parameters.copy()
    try:
        mpi.fit(net, X, y, **settings)
    except BaseException as error:
        unchanged = np.array_equal(before, net.parameters)
        report(f"rank {RANK}: {type(error).__name__}: {error}; unchanged {unchanged}")
        if how in ("raise", "interrupt", "kill"):
            raise


def endless():
    """Fit until Ctrl-C is pressed."""
    signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell ignores SIGINT in background processes
    X, y, _ = data()
    rows = own("even")

    def begun(logs):
        if logs["epoch"] == 2:
            report("begun")

    mpi.fit(network(), X[rows], y[rows], batch_size=2000, epochs=10**6, callbacks=[begun])
