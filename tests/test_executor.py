"""`fit_many` in the workers of an executor: the same bits as the local call, also when a worker dies."""

import contextlib
import multiprocessing
import os
import pickle
import time
import warnings
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor

import numpy as np
import pytest
from bench.resident import resident
from children.executors import Kill, KillOnce, Loader, half_of_square

import chainrule as cr
from chainrule import _executors

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="starts many processes, which is slow without fork")

random = np.random.default_rng(0)
X = random.normal(size=(4000, 6)).astype("float32")  # more than _SHARED_BYTES
Y = (X[:, :1] * X[:, 1:2]).astype("float32")
FOLD = np.arange(len(X)) % 3
SETTINGS = {
    "epochs": [3, 2, 4, 2, 3],
    "batch_size": 100,
    "optimizer": [cr.Adam(), cr.SGD(learning_rate=1e30), cr.Adam(learning_rate=0.01), None, cr.SGD()],
    "rows": [FOLD != 0, None, FOLD != 1, np.arange(300), FOLD != 0],
    "validation": (X[:2000], Y[:2000]),
    "metrics": ("rmse",),
    "keep_state": True,
}


def networks(count=5):
    return [cr.Network([6, 8 + k, 1], loss="squared_error", seed=k) for k in range(count)]


def bits(nets, results):
    """Return everything that a call changes or returns, except the times."""
    for net, result in zip(nets, results, strict=True):
        history = result if isinstance(result, cr.History) else result.history
        state = history.state and {name: v.tobytes() for name, v in history.state.vectors.items()}
        metrics = {name: v.tobytes() for name, v in history.metrics.items()}
        yield net.parameters.tobytes(), type(result), str(result) if history is not result else "", metrics, state
        yield history.loss.tobytes(), history.validation.tobytes(), history.stop_reason, history.epochs


def assert_as_local(executor, data=(X, Y), **settings):
    local, remote, told = networks(), networks(), []
    want = list(bits(local, cr.fit_many(local, X, Y, **{**SETTINGS, **settings})))
    results = cr.fit_many(remote, *data, executor=executor, progress=told.append, **{**SETTINGS, **settings})
    assert list(bits(remote, results)) == want
    assert {type(result) for result in results} == {cr.History, cr.DivergenceError}
    assert [one["finished"] for one in told] == [1, 2, 3, 4, 5]
    assert all(one["result"] is results[one["network"]] and one["networks"] == 5 for one in told)


@pytest.fixture(scope="module")
def processes():
    with ProcessPoolExecutor(2, multiprocessing.get_context("forkserver")) as pool:
        yield pool


@contextlib.contextmanager
def dask_client(workers):
    distributed = pytest.importorskip("distributed", reason="the extra dask is not installed")
    options = {"threads_per_worker": 1, "dashboard_address": ":0", "memory_limit": 0}
    with (
        distributed.LocalCluster(n_workers=workers, processes=True, **options) as cluster,
        distributed.Client(cluster, set_as_default=False, timeout=60) as client,
    ):
        yield client


@pytest.fixture(scope="module", params=[1, 2])
def cluster(request):
    with dask_client(request.param) as client:
        yield client


def test_process_pool_gives_the_same_bits_as_the_local_call(processes):
    assert_as_local(processes)
    assert_as_local(processes, (np.asfortranarray(X), Y[::-1][::-1]), loss=[None, None, half_of_square, None, None])


def test_thread_pool_gives_the_same_bits_as_the_local_call():
    with ThreadPoolExecutor(2) as pool:
        assert_as_local(pool)


def test_loky_gives_the_same_bits_as_the_local_call():
    loky = pytest.importorskip("loky")
    pool = loky.ProcessPoolExecutor(2)
    try:
        assert_as_local(pool, metrics=(lambda y, p: float(abs(y - p).max()),))
    finally:
        pool.shutdown(kill_workers=True)


def test_dask_gives_the_same_bits_as_the_local_call(cluster):
    assert_as_local(cluster)
    assert_as_local(cluster, metrics=(lambda y, p: float(abs(y - p).max()),))


def test_groups_of_several_networks_change_no_bit(processes, monkeypatch):
    local, remote = networks(30), networks(30)
    settings = {"epochs": 1, "validation": 0.1}
    want = list(bits(local, cr.fit_many(local, X, Y, **settings)))
    groups = []
    take = _executors._Spread.take
    monkeypatch.setattr(_executors._Spread, "take", lambda s, g, a: (groups.append(len(g)), take(s, g, a)))
    assert list(bits(remote, cr.fit_many(remote, X, Y, executor=processes, **settings))) == want
    assert max(groups) > 1
    assert sum(groups) == 30


@pytest.mark.parametrize("where", ["processes", "threads"])
def test_paths_functions_and_memory_maps_are_opened_by_the_workers(where, processes, tmp_path):
    np.save(tmp_path / "X.npy", X)
    X.tofile(tmp_path / "raw")
    loader = Loader(Y, tmp_path / "loads")
    pool = processes if where == "processes" else ThreadPoolExecutor(2)
    assert_as_local(pool, (tmp_path / "X.npy", loader))
    loads = (tmp_path / "loads").read_text().split()
    assert len(set(loads)) == len(loads) <= 2
    assert_as_local(pool, (np.memmap(tmp_path / "raw", "f4", "r", shape=X.shape), Y))
    mapped = np.memmap(tmp_path / "raw", "f4", "c", shape=X.shape)  # changes that are not in the file
    mapped[:] = 0
    assert_as_local(pool, (np.memmap(tmp_path / "raw", "f4", "r", shape=(4000, 6))[:], Y))
    zero = networks(1)
    [history] = cr.fit_many(zero, mapped, Y, executor=pool, epochs=1)
    assert history.loss == pytest.approx((Y.astype(float) ** 2).mean() / 2, rel=1e-5)


def test_no_task_holds_the_data(processes, monkeypatch):
    sent = []
    monkeypatch.setattr(
        processes, "submit", lambda f, *a: (sent.append(a), type(processes).submit(processes, f, *a))[1]
    )
    assert_as_local(processes)
    assert max(len(pickle.dumps(a)) for a in sent) < 20_000 < X.nbytes


def test_dask_returns_all_results_when_workers_are_killed(cluster, tmp_path):
    loss = [None, None, KillOnce(tmp_path / "killed"), None, None]
    local, remote = networks(), networks()
    (tmp_path / "killed").touch()
    want = list(bits(local, cr.fit_many(local, X, Y, loss=loss, **SETTINGS)))
    (tmp_path / "killed").unlink()
    results = cr.fit_many(remote, X, Y, executor=cluster, loss=loss, **SETTINGS)
    assert list(bits(remote, results)) == want
    assert (tmp_path / "killed").exists()


def test_dask_workers_that_cannot_open_the_file_receive_it(cluster, monkeypatch):
    sent = []
    send, new = _executors._send, _executors.Store._new
    hidden = {}

    def elsewhere(store, thing, **fields):
        stored = new(store, thing, **fields)
        hidden[stored.number] = stored
        return stored

    monkeypatch.setattr(_executors, "_PIECE_BYTES", 10_000)
    monkeypatch.setattr(_executors, "_send", lambda missing, client: (sent.append(missing), send(missing, client)))
    monkeypatch.setattr(_executors.Store, "_new", elsewhere)
    cluster.run(hide_files)
    try:
        assert_as_local(cluster)
    finally:
        cluster.run(show_files)
    assert sent
    assert all(one.stored.number in hidden for one in sent)
    assert not any(cluster.run(lambda: len(_executors._opened)).values())


def hide_files():
    from chainrule import _executors

    path = type("path", (), {**vars(os.path), "exists": lambda path: False, "isdir": lambda path: False})
    _executors.os = type("os", (), {**vars(os), "path": path})


def show_files():
    from chainrule import _executors

    _executors.os = os


def test_broken_pool_names_the_networks_that_are_done():
    nets = networks(4)
    before = [net.parameters.copy() for net in nets]
    loss = [None, None, None, Kill()]
    with (
        ProcessPoolExecutor(1, multiprocessing.get_context("forkserver")) as pool,
        pytest.raises(RuntimeError, match=r"executor lost a task.*unchanged") as error,
    ):
        cr.fit_many(nets, X, Y, loss=loss, epochs=[40, 30, 20, 10], executor=pool)
    changed = [k for k, net in enumerate(nets) if not np.array_equal(net.parameters, before[k])]
    rest = [k for k in range(4) if k not in changed]
    assert f"Networks {changed} are trained" in str(error.value)
    assert f"networks {rest} are unchanged" in str(error.value)
    assert 3 in rest


def test_wrong_arguments_are_refused_and_change_nothing(processes):
    nets = networks(3)
    before = [net.parameters.copy() for net in nets]
    for message, kind, data, settings in [
        (r"^networks\[2\]: .*batch_size", ValueError, X, {"batch_size": [100, 100, -1], "epochs": [30, 30, 1]}),
        ("callbacks would run in another process", TypeError, X, {"callbacks": (print,)}),
        ("^loss cannot be sent", TypeError, X, {"loss": lambda z, y, w: 0}),
        ("^X cannot be sent", TypeError, lambda: X, {}),
        ("epochs has 2 entries", ValueError, X, {"epochs": [1, 2]}),
        ("columns", ValueError, X[:, :5], {"epochs": 1}),
    ]:
        with pytest.raises(kind, match=message):
            cr.fit_many(nets, data, Y, executor=processes, **settings)
        assert all(np.array_equal(net.parameters, old) for net, old in zip(nets, before, strict=True))
    with pytest.raises(ValueError, match=r"networks\[1\] is the same object as networks\[0\]"):
        cr.fit_many([nets[0]] * 2, X, Y, executor=processes)
    with pytest.raises(TypeError, match=r"executor must be a concurrent\.futures\.Executor .* got int"):
        cr.fit_many(nets, X, Y, executor=3)
    assert cr.fit_many([], X, Y, executor=processes) == []


@pytest.mark.parametrize("what", ["chainrule", "byte order", "fused multiply-add"])
def test_workers_that_would_give_different_bits_raise_and_are_named(what, processes, monkeypatch):
    own = _executors.identity()
    monkeypatch.setattr(_executors, "identity", lambda: {**own, what: "another"})
    with pytest.raises(RuntimeError, match=rf"worker .*, process \d+ has {what} {own[what]}, this process another"):
        cr.fit_many(networks(2), X, Y, executor=processes, epochs=1)


def interrupted(executor):
    nets = networks(12)
    before = [net.parameters.copy() for net in nets]
    done = []

    def interrupt(report):
        done.append(report["network"])
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        cr.fit_many(nets, X, Y, executor=executor, progress=interrupt, epochs=20)
    changed = {k for k, net in enumerate(nets) if not np.array_equal(net.parameters, before[k])}
    assert set(done) <= changed < set(range(12))


def test_an_interrupted_call_cancels_what_has_not_begun(processes):
    interrupted(processes)


def test_an_interrupted_call_leaves_no_task_on_dask(cluster):
    interrupted(cluster)
    deadline = time.monotonic() + 60
    while any(cluster.processing().values()):  # cancelling does not wait for the scheduler
        assert time.monotonic() < deadline


def test_warnings_of_workers_arrive(processes):
    y = (X[:, 0] > 0).astype("int32")
    nets = [cr.Network([6, 4, 1], loss="binary_cross_entropy", seed=k) for k in range(2)]
    one_class = np.flatnonzero(y)[:100]
    with pytest.warns(UserWarning, match="metric auc is nan"):
        cr.fit_many(nets, X, y, validation=one_class, metrics=("auc",), epochs=2, executor=processes)


@pytest.mark.skipif(not os.path.exists("/proc/self/status"), reason="needs /proc")
def test_workers_need_little_more_memory_than_the_data():
    big = np.zeros((1_000_000, 50), "float32")  # 200 MB
    big[:, 0] = np.arange(len(big)) % 7
    nets = [cr.Network([50, 2, 1], loss="squared_error", seed=k) for k in range(3)]
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as pool:
        cr.fit_many(nets, big, big[:, 0].copy(), executor=pool, epochs=1, batch_size=10_000)
        assert pool.submit(resident, "VmHWM").result(60) < 1.3 * big.nbytes + 250e6


def test_dask_workers_need_little_more_memory_than_the_data():
    big = np.zeros((1_000_000, 50), "float32")
    big[:, 0] = np.arange(len(big)) % 7
    nets = [cr.Network([50, 2, 1], loss="squared_error", seed=k) for k in range(3)]
    with dask_client(1) as client:
        client.run(hide_files)
        cr.fit_many(nets, big, big[:, 0].copy(), executor=client, epochs=1, batch_size=10_000)
        [most] = client.run(resident, "VmHWM").values()
    assert most < 1.3 * big.nbytes + 250e6


def test_grid_search_on_dask_gives_the_same_bits_as_a_local_one(cluster):
    pytest.importorskip("sklearn")
    import joblib
    from sklearn.model_selection import GridSearchCV

    def search():
        model = cr.MLPRegressor(hidden_layer_sizes=4, max_iter=3, random_state=0, tol=0, n_iter_no_change=9)
        return GridSearchCV(model, {"alpha": [1e-4, 1.0]}, cv=2)

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        local = search().fit(X[:300], Y[:300, 0])
        with cluster.as_current(), joblib.parallel_config(backend="dask"):
            remote = search().fit(X[:300], Y[:300, 0])
    assert np.array_equal(local.cv_results_["mean_test_score"], remote.cv_results_["mean_test_score"])
    assert np.array_equal(local.predict(X), remote.predict(X))
