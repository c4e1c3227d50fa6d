"""One network on a Dask cluster: the same bits as on one machine, also when a worker stops or dies."""

import contextlib
import functools
import os
import platform
import shutil
import signal
import subprocess
import sys
import threading
import time

import numpy as np
import processes
import pytest
import scipy.sparse as sp
from children.dask_fit import data, new
from children.executors import Fail, KillOnceLoader, Loader, StopLoader

import chainrule as cr
import chainrule.dask
from chainrule import _executors

distributed = pytest.importorskip("distributed", reason="the extra dask is not installed")
dask = pytest.importorskip("dask", reason="the extra dask is not installed")
da = pytest.importorskip("dask.array", reason="the extra dask is not installed")
pytestmark = [
    pytest.mark.skipif(not hasattr(os, "fork"), reason="starts many processes, which is slow without fork"),
    pytest.mark.filterwarnings("ignore:a step takes"),
]
X, Y, W = data()
SILENCE = 120  # fits remove a worker after this many seconds without a heartbeat: more than a busy machine causes
needs_proc = pytest.mark.skipif(not os.path.exists("/proc/self/stat"), reason="needs /proc")
OPTIMIZERS = {"sgd": cr.SGD(learning_rate=0.1, momentum=0.5), "adam": cr.Adam(), "lbfgs": cr.LBFGS()}


@pytest.fixture(autouse=True)
def bounded_time():
    """End a test that hangs."""

    def give_up(number, frame):
        raise TimeoutError("the test took 10 minutes")

    before = signal.signal(signal.SIGALRM, give_up)
    signal.alarm(600)
    yield
    signal.alarm(0)
    signal.signal(signal.SIGALRM, before)


@contextlib.contextmanager
def dask_client(workers):
    options = {"threads_per_worker": 1, "dashboard_address": ":0", "memory_limit": 0}
    with (
        distributed.LocalCluster(n_workers=workers, processes=True, **options) as cluster,
        distributed.Client(cluster, set_as_default=False, timeout=60) as client,
    ):
        yield client


@pytest.fixture(scope="module", params=[1, 2, 3])
def any_client(request):
    with dask_client(request.param) as client:
        yield client


@pytest.fixture
def client():
    with dask_client(2) as client:
        yield client


def fit(client, X=X, y=Y, w=None, **settings):
    """Fit with arrays in chunks, or with loaders."""
    chunked = [
        da.from_array(array, chunks=(1700, *array.shape[1:])) if isinstance(array, np.ndarray) else array
        for array in (X, y, w)
    ]
    net = new()
    history = cr.dask.fit(net, *chunked, client=client, worker_timeout=SILENCE, **{"epochs": 5, **settings})
    return net, history


@functools.cache
def one_machine(weighted=False, **settings):
    net = new()
    history = net.fit(X, Y, sample_weight=W if weighted else None, **{"epochs": 5, **settings})
    return net.parameters.tobytes(), history.loss.tolist()


def assert_bits(result, **settings):
    net, history = result
    assert (net.parameters.tobytes(), history.loss.tolist()) == one_machine(**settings)


def loaders(array, *stops):
    """Functions that return parts of an array."""
    starts = [0, *stops]
    return [functools.partial(_copy, array[a:b]) for a, b in zip(starts, [*stops, len(array)], strict=True)]


def _copy(array):
    return array[:] if isinstance(array, cr.BinnedRows) else array.copy()


def wait_until(condition):
    """Wait until the condition holds; `bounded_time` ends the test if it never does."""
    while not condition():
        time.sleep(0.01)


def pids(client):
    return client.run(os.getpid)


@contextlib.contextmanager
def silent_for_long(monkeypatch, client, is_silent, worker):
    """Set back the time of a worker's last heartbeat once it is silent, so that the test need not wait SILENCE seconds.

    Only this worker may be removed: the others may be slow, but they are not silent for so long.
    """

    def set_back(dask_scheduler, worker=worker, seconds=2 * SILENCE):
        if worker in dask_scheduler.workers:
            dask_scheduler.workers[worker].last_seen -= seconds

    remove = cr.dask._Cluster._remove_silent

    def set_back_and_remove(cluster):
        if is_silent():
            client.run_on_scheduler(set_back)
        remove(cluster)

    monkeypatch.setattr(cr.dask._Cluster, "_remove_silent", set_back_and_remove)
    with pytest.warns(UserWarning, match="no heartbeat") as warned:
        yield
    assert [str(w.message) for w in warned if "no heartbeat" in str(w.message)] == [
        f"removed {worker}: no heartbeat for {SILENCE} s; its work is repeated"
    ]


def is_stopped(pid):
    """Return whether SIGSTOP has stopped a process."""
    return processes.state(pid) == "T"


def kill_stopped(pid):
    """Kill a process, unless its nanny has already done so, because the fit has removed the worker."""
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_any_number_of_workers_gives_the_same_bits_as_one_machine(any_client, optimizer):
    more = {"optimizer": OPTIMIZERS[optimizer]}
    assert_bits(fit(any_client, **more), **more)
    assert_bits(fit(any_client, w=W, **more), weighted=True, **more)


def test_chunks_and_types_do_not_change_the_bits(any_client):
    assert_bits(fit(any_client, da.from_array(X, chunks=(9000, 4)), da.from_array(Y, chunks=(400,))))
    assert_bits(fit(any_client, da.from_array(X.astype("float64"), chunks=(513, 6))))
    unknown = da.from_array(X, chunks=(3000, 6))[da.from_array(np.ones(len(X), bool), chunks=3000)]
    assert np.isnan(unknown.shape[0])
    assert_bits(fit(any_client, unknown))


def test_batches_in_order_and_dropout_give_the_same_bits_as_one_machine(any_client):
    more = {"batch_size": 2500, "shuffle": False, "dropout": 0.3, "seed": 4, "l2_per_row": True}
    assert_bits(fit(any_client, w=W, **more), weighted=True, **more)


@pytest.mark.parametrize("rows", [700, 2048])
def test_batches_in_an_order_within_parts_give_the_same_bits_as_one_machine(any_client, rows):
    more = {"batch_size": 2500, "shuffle": cr.WithinParts(rows), "dropout": 0.3, "seed": 4, "epochs": 2}
    assert_bits(fit(any_client, **more), **more)
    assert_bits(fit(any_client, w=W, l2_per_row=True, **more), weighted=True, l2_per_row=True, **more)


HELD_OUT = {
    "all rows": {"optimizer": cr.LBFGS()},
    "in order": {"batch_size": 2500, "shuffle": False, "optimizer": cr.SGD(learning_rate=0.1)},
    "within parts": {"batch_size": 2500, "shuffle": cr.WithinParts(700)},
}


@pytest.mark.parametrize("how", HELD_OUT)
def test_a_held_out_fraction_gives_the_same_bits_as_one_machine(any_client, how):
    more = {"validation": 0.2, "metrics": "accuracy", "seed": 2, "stop": cr.Stop(no_improvement=2), **HELD_OUT[how]}
    for weighted in (False, True):
        net = new()
        expected = net.fit(X, Y, sample_weight=W if weighted else None, epochs=5, **more)
        many, found = fit(any_client, w=W if weighted else None, **more)
        assert many.parameters.tobytes() == net.parameters.tobytes()
        assert found.loss.tolist() == expected.loss.tolist()
        assert found.validation.tolist() == expected.validation.tolist()
        assert found.metrics["accuracy"].tolist() == expected.metrics["accuracy"].tolist()


def test_binned_partitions_give_the_same_bits_as_one_machine(any_client):
    codes = np.searchsorted([-0.5, 0.5], X[:, :2]).astype("uint8")
    binned = cr.BinnedRows(codes, X[:, 2:4], [("levels", 2), ("value", 1)] * 2)
    for more in ({"optimizer": cr.LBFGS()}, {"batch_size": 2000, "shuffle": cr.WithinParts(512), "validation": 0.1}):
        net = new()
        history = net.fit(binned, Y, epochs=3, **more)
        parts = [functools.partial(_copy, binned[a:b]) for a, b in [(0, 3333), (3333, 3333), (3333, 9000)]]
        many, found = fit(any_client, parts, epochs=3, **more)
        assert (many.parameters.tobytes(), found.loss.tolist()) == (net.parameters.tobytes(), history.loss.tolist())
    other = cr.BinnedRows(codes[:9], X[:9, 2:4], [("levels", 3), ("value", 1), ("levels", 1), ("value", 1)])
    with pytest.raises(ValueError, match=r"^partition 1 of X has binned with the layout \[\('levels', 3\)"):
        fit(any_client, [functools.partial(_copy, binned[9:]), functools.partial(_copy, other)])


def test_files_give_the_same_bits_as_one_machine(any_client, tmp_path, monkeypatch):
    pa, pq = pytest.importorskip("pyarrow"), pytest.importorskip("pyarrow.parquet")
    columns = {f"x{k}": X[:, k] for k in range(6)}
    for k, own in enumerate((slice(0, 4000), slice(4000, 9000))):
        table = pa.table({name: values[own] for name, values in columns.items()} | {"y": Y[own]})
        pq.write_table(table, tmp_path / f"{k}.parquet", row_group_size=1100)
    monkeypatch.setattr(cr.dask, "_FILE_ROWS", 2500)
    rows = cr.Rows(tmp_path, target="y")
    net = new()
    assert_bits((net, cr.dask.fit(net, rows, client=any_client, epochs=5)))
    with pytest.raises(TypeError, match=r"^dask\.fit needs y"):
        cr.dask.fit(net, loaders(X), client=any_client)
    with pytest.raises(ValueError, match=r"^partition \d of y: y is missing"):
        cr.dask.fit(net, cr.Rows(tmp_path, columns=list(columns)), client=any_client)


def test_validation_data_may_be_arrays_or_collections(any_client):
    held_out = X[:500], Y[:500]
    net = new()
    expected = net.fit(X, Y, epochs=3, validation=held_out, metrics="accuracy")
    for data_set in (held_out, (da.from_array(X[:500], chunks=(200, 6)), da.from_array(Y[:500], chunks=300))):
        _, found = fit(any_client, epochs=3, validation=data_set, metrics="accuracy")
        assert found.validation.tolist() == expected.validation.tolist()
        assert found.metrics["accuracy"].tolist() == expected.metrics["accuracy"].tolist()


def test_partial_sums_of_many_workers_are_added_by_tasks(any_client, monkeypatch):
    monkeypatch.setattr(cr.dask, "_GATHERED", 1)
    monkeypatch.setattr(cr.dask, "_MERGED", 2)
    assert_bits(fit(any_client))


def test_loaders_and_empty_partitions_give_the_same_bits_as_one_machine(any_client, tmp_path):
    parts = loaders(X, 0, 100, 100, 8000)
    parts[1] = Loader(X[:100], tmp_path / "loads")
    assert_bits(fit(any_client, parts, loaders(Y, 5000, 9000)))
    assert len((tmp_path / "loads").read_text().split()) == 1  # not once per step
    assert_bits(
        fit(any_client, da.concatenate([da.zeros((0, 6), dtype="float32"), da.from_array(X, chunks=(3000, 6))]))
    )


def test_sparse_partitions_give_the_same_bits_as_one_machine(any_client):
    sparse = sp.csr_matrix(np.where(X > 0.3, X, 0))
    net = new()
    history = net.fit(sparse, Y, epochs=5)
    parts = [functools.partial(_copy, sparse[a:b]) for a, b in [(0, 3333), (3333, 9000)]]
    many, found = fit(any_client, parts)
    assert (many.parameters.tobytes(), found.loss.tolist()) == (net.parameters.tobytes(), history.loss.tolist())
    sparse.data[sparse.indptr[4000] + 1] = np.inf
    column = sparse.indices[sparse.indptr[4000] + 1]
    with pytest.raises(ValueError, match=rf"^partition 1 of X: row 667, column {column} is inf"):
        fit(any_client, [functools.partial(_copy, sparse[a:b]) for a, b in [(0, 3333), (3333, 9000)]])
    with pytest.raises(
        ValueError, match=r"^partition 1 of X has rows of shape \(6,\), the previous partition has sparse"
    ):
        fit(any_client, [functools.partial(_copy, sparse[:100]), functools.partial(_copy, X[100:])])


def test_tables_and_delayed_partitions_give_the_same_bits_as_one_machine(any_client):
    assert_bits(fit(any_client, [dask.delayed(_copy)(X[:700]), functools.partial(_copy, X[700:])]))
    pd, dd = pytest.importorskip("pandas"), pytest.importorskip("dask.dataframe")
    table = dd.from_pandas(pd.DataFrame(X).assign(y=Y), npartitions=3)
    assert_bits(fit(any_client, table[list(range(6))], table["y"]))


@pytest.mark.parametrize("name", ["X", "y", "sample_weight"])
def test_nan_names_its_partition(any_client, name):
    given = {"X": X.copy(), "y": Y.astype("float32"), "w": W.copy()}
    given["w" if name == "sample_weight" else name][3405] = np.nan
    with pytest.raises(ValueError, match=rf"^partition 2 of {name}: row 5(, column 0)? is nan"):
        fit(any_client, **given)


def test_errors_name_the_partition(any_client):
    labels = Y.copy()
    labels[5000] = 7
    with pytest.raises(ValueError, match=r"^rows \d+ to \d+ \(.*partition 2 of y.*\): .*7"):
        fit(any_client, y=labels)
    with pytest.raises(RuntimeError, match=r"^partition 1 of X: OSError: no such table"):
        fit(any_client, [loaders(X, 4000)[0], Fail()])
    with pytest.raises(ValueError, match=r"^y has 8999 rows, X has 9000"):
        fit(any_client, y=Y[1:])
    with pytest.raises(ValueError, match=r"^partition 1 of X has rows of shape \(5,\)"):
        fit(any_client, [loaders(X, 4000)[0], loaders(X[:, :5], 4000)[1]])
    with pytest.raises(ValueError, match="X has no rows"):
        fit(any_client, loaders(X[:0]), loaders(Y[:0]))


@pytest.mark.parametrize(
    ("wrong", "error", "message"),
    [
        ({"X": 3}, TypeError, "X must be a dask array or table, or a list"),
        ({"y": [3]}, TypeError, "y must be a dask array or table, or a list"),
        ({"batch_size": 100}, ValueError, r"set shuffle=WithinParts\(rows\), shuffle=False, or batch_size=None"),
        ({"validation": 1.5}, ValueError, "validation is 1.5, expected data or a fraction between 0 and 1"),
        ({"loss": print}, ValueError, "dask.fit does not take loss: gather the rows"),
        ({"precision": "bf16"}, ValueError, "dask.fit does not take precision"),
        ({"epoch": 3}, TypeError, "a fit has no setting 'epoch'"),
    ],
)
def test_wrong_arguments_are_refused(any_client, wrong, error, message):
    with pytest.raises(error, match=message):
        fit(any_client, **wrong)


def test_objects_that_are_not_a_client_raise():
    with pytest.raises(TypeError, match=r"client must be a distributed\.Client"):
        cr.dask.fit(new(), [], [], client=3)


@pytest.mark.parametrize("what", ["chainrule", "byte order", "fused multiply-add"])
def test_workers_that_would_give_different_bits_raise_and_are_named(what, any_client, monkeypatch):
    own = _executors.identity()
    monkeypatch.setattr(_executors, "identity", lambda: {**own, what: "another"})
    with pytest.raises(RuntimeError, match=rf"^worker tcp://.* has {what} {own[what]}, this process another"):
        fit(any_client)


def test_a_worker_without_fused_multiply_add_raises_and_is_named(client):
    if cr.get_isa() == "baseline" or platform.machine() in ("aarch64", "arm64"):
        pytest.skip("every instruction set here has, or every one lacks, fused multiply-add")
    worker = max(client.nthreads())
    isa = client.run(cr.get_isa, workers=[worker])[worker]
    client.run(cr.set_isa, "baseline", workers=[worker])
    try:
        with pytest.raises(RuntimeError, match=f"^worker {worker}.* has fused multiply-add no, this process yes"):
            fit(client)
    finally:
        client.run(cr.set_isa, isa, workers=[worker])


def test_rows_that_are_not_numbers_name_the_partition(any_client):
    with pytest.raises(TypeError, match=r"^partition 1 of X: it has dtype <U4, expected real numbers"):
        fit(any_client, [loaders(X, 4000)[0], functools.partial(np.full, (5000, 6), "text")])


def test_a_worker_killed_while_it_loads_changes_no_bit(client, tmp_path):
    parts = loaders(X, 4000)
    parts[0] = KillOnceLoader(X[:4000], tmp_path / "killed")
    assert_bits(fit(client, parts))
    assert (tmp_path / "killed").exists()


@needs_proc
def test_a_worker_stopped_while_it_loads_is_removed(client, tmp_path, monkeypatch):
    worker, victim = next(iter(pids(client).items()))
    parts = [StopLoader(array, victim) for array in (X[:4000], X[4000:])]
    try:
        with silent_for_long(monkeypatch, client, lambda: is_stopped(victim), worker):
            result = fit(client, parts, loaders(Y, 9))
    finally:
        kill_stopped(victim)
    assert_bits(result)


class Signal:
    """A callback that sends a signal to a worker before the first step, or after an epoch."""

    def __init__(self, client, epoch, number):
        self.worker, self.victim = next(iter(pids(client).items()))
        self.epoch, self.number = epoch, number

    def on_train_begin(self, network):
        self.on_epoch_end({"epoch": 0})

    def on_epoch_end(self, logs):
        if logs["epoch"] == self.epoch:
            os.kill(self.victim, self.number)


ORDERS = {"all rows": {}, "within parts": {"shuffle": cr.WithinParts(1024), "batch_size": 4000}}


@pytest.mark.parametrize(("epoch", "how"), [(0, "all rows"), (2, "all rows"), (2, "within parts")])
def test_a_worker_killed_before_a_task_only_delays_the_fit(client, epoch, how):
    callback = Signal(client, epoch, signal.SIGKILL)
    assert_bits(fit(client, callbacks=[callback], **ORDERS[how]), **ORDERS[how])
    assert callback.victim not in pids(client).values()


def test_a_worker_killed_after_its_task_only_delays_the_fit(client, monkeypatch):
    killed = []
    results = cr.dask._Cluster.results

    def kill_a_finished_worker(cluster, tasks):
        if tasks[0][0] == "step 1" and not killed:
            killed.append(kill_holder(client, tasks[0][1]))
        return results(cluster, tasks)

    monkeypatch.setattr(cr.dask._Cluster, "results", kill_a_finished_worker)
    assert_bits(fit(client))
    assert killed


def kill_holder(client, future):
    """Kill the only worker that has the result, once it is there."""
    wait_until(future.done)
    [[worker]] = client.who_has([future]).values()
    os.kill(pids(client)[worker], signal.SIGKILL)
    return worker


def test_lost_parameters_are_sent_again(client, monkeypatch):
    killed = []
    submit = cr.dask._Cluster.submit

    def kill_the_worker_with_the_parameters(cluster, name, function, *arguments, **place):
        if name == "gradients" and not killed:
            killed.append(kill_holder(client, arguments[0]))
        return submit(cluster, name, function, *arguments, **place)

    monkeypatch.setattr(cr.dask._Cluster, "submit", kill_the_worker_with_the_parameters)
    assert_bits(fit(client))
    assert killed


def replace_gradients(before):
    """In a worker, call a function before each computation of gradients."""
    from chainrule import dask

    own = dask._gradients

    def gradients(*arguments):
        before()
        return own(*arguments)

    gradients.__module__, gradients.__qualname__ = own.__module__, own.__qualname__
    dask._gradients = gradients


def test_the_fit_waits_for_a_slow_worker(client, tmp_path, monkeypatch):
    def wait_for_file(path=str(tmp_path / "go")):
        while not os.path.exists(path):
            time.sleep(0.01)

    polls = []
    remove = cr.dask._Cluster._remove_silent

    def release_after_three_polls(cluster):
        polls.append(cluster)
        if len(polls) == 3:
            (tmp_path / "go").touch()
        remove(cluster)

    monkeypatch.setattr(cr.dask._Cluster, "_remove_silent", release_after_three_polls)
    client.run(replace_gradients, wait_for_file, workers=[min(client.nthreads())])
    assert_bits(fit(client))
    assert len(polls) >= 3


def test_a_lost_partition_is_loaded_again(tmp_path):
    with dask_client(1) as client:
        callbacks = [Signal(client, 2, signal.SIGKILL)]
        assert_bits(fit(client, [Loader(X, tmp_path / "loads")], loaders(Y, 50), callbacks=callbacks))
    assert len(set((tmp_path / "loads").read_text().split())) == 2


@pytest.mark.parametrize("workers", [1, 2])
def test_a_worker_killed_within_a_task_only_delays_the_fit(workers, tmp_path):
    def die_once(path=str(tmp_path / "killed")):
        if not os.path.exists(path):
            open(path, "x").close()
            os.kill(os.getpid(), signal.SIGKILL)

    with dask_client(workers) as client:
        client.run(replace_gradients, die_once)
        assert_bits(fit(client))
    assert (tmp_path / "killed").exists()


@needs_proc
@pytest.mark.parametrize("how", ["all rows", "within parts"])
def test_a_stopped_worker_is_removed_and_its_work_repeated(client, how, monkeypatch):
    callback = Signal(client, 2, signal.SIGSTOP)
    try:
        with silent_for_long(monkeypatch, client, lambda: is_stopped(callback.victim), callback.worker):
            result = fit(client, callbacks=[callback], **ORDERS[how])
    finally:
        kill_stopped(callback.victim)
    assert_bits(result, **ORDERS[how])


@contextlib.contextmanager
def another_network():
    """Yield a prefix for commands that run in a network namespace, and the address and device of the link to it."""
    name = f"cr{os.getpid()}"
    address = f"10.{200 + os.getpid() % 50}.{os.getpid() // 50 % 250}"
    inside = ["ip", "netns", "exec", name]
    commands = [
        ["ip", "netns", "add", name],
        ["ip", "link", "add", name, "type", "veth", "peer", "name", "eth0", "netns", name],
        ["ip", "address", "add", f"{address}.1/24", "dev", name],
        ["ip", "link", "set", name, "up"],
        [*inside, "ip", "address", "add", f"{address}.2/24", "dev", "eth0"],
        [*inside, "ip", "link", "set", "eth0", "up"],
        [*inside, "ip", "link", "set", "lo", "up"],
    ]
    try:
        for command in commands:
            if shutil.which("ip") is None or subprocess.run(command, capture_output=True, check=False).returncode:
                pytest.skip("this process may not make network namespaces")
        yield inside, f"{address}.1", name
    finally:
        if shutil.which("ip"):
            subprocess.run(["ip", "netns", "delete", name], capture_output=True, check=False)


def test_a_worker_that_the_network_no_longer_reaches_is_removed(monkeypatch):
    options = {"threads_per_worker": 1, "dashboard_address": ":0", "memory_limit": 0}
    with (
        another_network() as (inside, host, device),
        distributed.LocalCluster(n_workers=1, processes=True, host=host, **options) as cluster,
        distributed.Client(cluster, set_as_default=False, timeout=60) as client,
    ):
        program = [sys.executable, "-m", "distributed.cli.dask_worker", cluster.scheduler_address]
        worker = subprocess.Popen(
            [*inside, *program, "--no-nanny", "--nthreads=1", "--no-dashboard"],
            env=processes.environment(),
            stderr=subprocess.DEVNULL,
        )

        was_cut = []

        def cut(logs):
            if logs["epoch"] == 2:
                subprocess.run(["ip", "link", "set", device, "down"], check=True)
                was_cut.append(True)

        try:
            own = set(client.nthreads())
            client.wait_for_workers(2)
            [other] = set(client.nthreads()) - own
            with silent_for_long(monkeypatch, client, lambda: bool(was_cut), other):
                result = fit(client, loaders(X, 4000), loaders(Y, 9), callbacks=[cut])
        finally:
            worker.kill()
            worker.wait()
    assert_bits(result)


def test_a_worker_that_joins_takes_part():
    used = []

    def callback(logs):
        if logs["epoch"] == 2:
            client.cluster.scale(3)
            client.wait_for_workers(3)
        used.append({name for name, log in client.run(done).items() if log})

    with dask_client(2) as client:
        assert_bits(fit(client, callbacks=[callback]))
    assert len(used[1]) == 2
    assert len(used[-1]) == 3


def done(dask_worker):
    """Gradients that this worker computed."""
    return [entry for entry in dask_worker.state.log if "gradients" in str(entry) and "executing" in str(entry)]


def test_a_fit_after_the_driver_was_killed_gives_the_same_bits_as_uninterrupted_training(client, tmp_path):
    process = processes.start("dask_fit.train", client.scheduler.address, str(tmp_path))
    try:
        for line in process.stdout:
            if line.strip() == "5":
                break
    finally:
        process.kill()
        process.communicate(timeout=60)
    net, state = cr.load_checkpoint(tmp_path / "state")
    assert state.epoch == 5
    chunked = da.from_array(X, chunks=(3000, 6)), da.from_array(Y, chunks=(3000,))
    cr.dask.fit(net, *chunked, client=client, epochs=4, resume=state)
    assert net.parameters.tobytes() == one_machine(epochs=9)[0]
    wait_until(lambda: not any(client.processing().values()))


def test_the_memory_of_the_driver_does_not_depend_on_the_rows(client):
    assert int(processes.run("dask_fit.memory", client.scheduler.address)) < 20e6  # the rows: 80 MB, y: 1.6 MB


def test_ctrl_c_leaves_no_task_and_the_last_complete_step(client):
    def callback(logs):
        if logs["epoch"] == 3:
            threading.Timer(0.01, os.kill, (os.getpid(), signal.SIGINT)).start()

    with pytest.raises(KeyboardInterrupt):
        fit(client, callbacks=[callback], epochs=1000)
    wait_until(lambda: not any(client.processing().values()))
    wait_until(lambda: not any(client.has_what().values()))
    assert_bits(fit(client))


def test_a_cluster_without_workers_is_an_error():
    with (
        dask_client(0) as client,
        pytest.raises(RuntimeError, match=r"^the cluster has had no worker for 0\.5 s"),
    ):
        cr.dask.fit(new(), loaders(X), loaders(Y), client=client, worker_timeout=0.5)


def test_an_estimate_adds_compute_and_overhead(any_client):
    workers = len(any_client.nthreads())
    for rows in (10, 100_000):
        cost = cr.dask.estimate(new(), rows, any_client)
        assert cost.workers == workers
        assert cost.seconds == cost.compute + cost.overhead
        assert cost.alone / workers <= cost.compute * 1.0001
        assert cost.compute <= cost.alone
    assert not cr.dask.estimate(new(), 10, any_client).pays_off


@pytest.mark.filterwarnings("default:a step takes")
def test_a_fit_whose_steps_are_overhead_warns(client):
    with pytest.warns(UserWarning, match=r"a step takes \d+ ms, of which the workers compute \d+ ms"):
        fit(client, X[:600], Y[:600])
