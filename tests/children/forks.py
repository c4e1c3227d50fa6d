"""Training in forked and spawned processes, and beside other libraries."""

import importlib
import multiprocessing
import os
import signal
import threading

import numpy as np

import chainrule as cr

from .start import X, net, y


def fit(threads=2):
    wide = cr.Network([20, 300, 200, 1], loss="binary_cross_entropy", seed=0)
    wide.fit(X[:2000], y[:2000], epochs=2, n_threads=threads)
    return wide.parameters.copy()


def child_lives(want, then=lambda: None):
    """Return whether a forked child computes the same bits and exits."""
    child = os.fork()
    if child == 0:
        signal.alarm(60)  # ends a child that waits for one of its parent's threads
        try:
            same = np.array_equal(fit(), want)
            then()
            os._exit(0 if same else 1)
        finally:
            os._exit(2)
    return os.waitpid(child, 0)[1] == 0


def one_after_another(count):
    want = fit()
    assert all(child_lives(want) and np.array_equal(fit(), want) for _ in range(count))
    print("alive")


def while_another_thread_trains(count):
    """Locks and counters of the training thread do not affect the children: they train its network too."""
    want, stop = fit(), threading.Event()

    def train():
        while not stop.is_set():
            net.fit(X, y, epochs=10, callbacks=[lambda logs: stop.is_set()], n_threads=2)

    def then():
        net.fit(X[:64], y[:64], epochs=1)
        cr.set_isa("baseline")

    thread = threading.Thread(target=train)
    thread.start()
    assert all(child_lives(want, then) for _ in range(count))
    stop.set()
    thread.join()
    print("alive")


def in_a_callback():
    want, alive = fit(), []
    wide = cr.Network([20, 300, 200, 1], loss="binary_cross_entropy", seed=0)
    settings = {"epochs": 5, "callbacks": [lambda logs: alive.append(child_lives(want))], "n_threads": 2}
    wide.fit(X[:2000], y[:2000], **settings)
    print(alive)


VALUES = np.linspace(-1, 1, 200).reshape(-1, 1)


def fitted(network):
    network.fit(VALUES, VALUES[:, 0] ** 2, epochs=5)
    return network


def pool(method):
    nets = [cr.Network([1, 300, 300, 1], loss="squared_error", seed=k) for k in range(4)]
    with multiprocessing.get_context(method).Pool(2) as workers:
        copies = workers.map(fitted, nets)
    assert all(np.array_equal(fitted(net).parameters, copy.parameters) for net, copy in zip(nets, copies, strict=True))
    print("same")


def work(seed):
    network = cr.Network([20, 300, 1], loss="binary_cross_entropy", seed=seed)
    network.fit(X[:500], y[:500], epochs=2)
    return cr.get_num_threads(), network.parameters.copy()


def loky():
    from joblib import Parallel, delayed

    results = Parallel(n_jobs=2)(delayed(work)(seed) for seed in range(4))
    print(max(threads for threads, _ in results) <= max(1, os.cpu_count() // 2))
    print(all(np.array_equal(work(seed)[1], parameters) for seed, (_, parameters) in enumerate(results)))


def limits_of_threadpoolctl():
    importlib.import_module("chainrule.estimators")
    from threadpoolctl import threadpool_info, threadpool_limits

    cr.set_num_threads(None)
    before = cr.get_num_threads()
    with threadpool_limits(1):
        print(cr.get_num_threads())
    print(cr.get_num_threads() == before, cr.build_config()["threads_because"] != "set_num_threads")
    backend = {"openmp": "openmp", "threads": "chainrule"}[cr.build_config()["thread_backend"]]
    print(backend in [pool["user_api"] for pool in threadpool_info()])


def subinterpreter():
    """Import chainrule in a second interpreter, after an import in the main one."""
    try:
        import _interpreters as interpreters
    except ImportError:
        import _xxsubinterpreters as interpreters
    code = "try:\n import chainrule\nexcept ImportError as error:\n print('refused')\nelse:\n print('works')"
    made = interpreters.create()
    try:
        interpreters.run_string(made, code)
    except Exception:
        print("refused")
    shape = cr.Network([1, 1], loss="squared_error", seed=0).predict([[0.0]]).shape
    print("main interpreter", shape, flush=True)
    os._exit(0)
