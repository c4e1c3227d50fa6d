"""Other processes: fork, spawn, loky; the end of the interpreter; other libraries; memory over many fits."""

import os
import sys

import pytest
from processes import run

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork")

FIT = """
def fit(threads=2):
    net = cr.Network([20, 300, 200, 1], loss="binary_cross_entropy", seed=0)
    net.fit(X[:2000], y[:2000], epochs=2, n_threads=threads)
    return net.parameters.copy()

def fork(then=lambda: None):  # whether a child lives, trains and ends with the same bits
    child = os.fork()
    if child == 0:
        signal.alarm(60)  # ends one that waits for a thread that it does not have
        try:
            same = np.array_equal(fit(), want)
            then()
            os._exit(0 if same else 1)
        finally:
            os._exit(2)
    return os.waitpid(child, 0)[1] == 0

want = fit()
"""

BUSY = """
stop = threading.Event()

def train():
    while not stop.is_set():
        net.fit(X, y, epochs=10, callbacks=[lambda logs: stop.is_set()], n_threads=2)

thread = threading.Thread(target=train)
thread.start()
"""


def test_fifty_forked_children_train_with_the_same_bits():
    """Fifty children of fifty train and end with the same bits; so does the parent in between."""
    script = "assert [fork() and np.array_equal(fit(), want) for _ in range(50)] == [True] * 50; print('alive')"
    assert run(FIT + script) == "alive\n"


def test_fifty_forks_while_another_thread_trains():
    """What that thread holds and counts is nothing to the children: they train its network, too."""
    script = """
def then():
    net.fit(X[:64], y[:64], epochs=1)
    cr.set_isa("baseline")

assert [fork(then) for _ in range(50)] == [True] * 50
stop.set()
thread.join()
print("alive")
"""
    assert run(FIT + BUSY + script) == "alive\n"


def test_fork_in_a_callback_works():
    script = """
alive_ones = []
wide = cr.Network([20, 300, 200, 1], loss="binary_cross_entropy", seed=0)
wide.fit(X[:2000], y[:2000], epochs=5, callbacks=[lambda logs: alive_ones.append(fork())], n_threads=2)
print(alive_ones)
"""
    assert run(FIT + script) == f"{[True] * 5}\n"


@pytest.mark.parametrize("method", ["fork", "spawn", "forkserver"])
def test_multiprocessing_children_train_with_the_same_bits(method, tmp_path):
    script = tmp_path / "work.py"
    script.write_text(
        """
import multiprocessing, sys
import numpy as np
import chainrule as cr

X = np.linspace(-1, 1, 200).reshape(-1, 1)

def fit(net):
    net.fit(X, X[:, 0] ** 2, epochs=5)
    return net

if __name__ == "__main__":
    nets = [cr.Network([1, 300, 300, 1], loss="squared_error", seed=k) for k in range(4)]
    with multiprocessing.get_context(sys.argv[1]).Pool(2) as pool:
        there = pool.map(fit, nets)
    assert [np.array_equal(fit(net).parameters, other.parameters) for net, other in zip(nets, there)] == [True] * 4
    print("same")
"""
    )
    code = f"import runpy; sys.argv = ['work.py', {method!r}]; runpy.run_path({str(script)!r}, run_name='__main__')"
    if method != "fork":  # whose children import the main module by its file
        code = f"import subprocess; subprocess.run([sys.executable, {str(script)!r}, {method!r}], check=True)"
    assert run(code) == "same\n"


def test_loky_workers_share_the_threads():
    pytest.importorskip("joblib")
    script = """
from joblib import Parallel, delayed

def work(seed):
    net = cr.Network([20, 300, 1], loss="binary_cross_entropy", seed=seed)
    net.fit(X[:500], y[:500], epochs=2)
    return cr.get_num_threads(), net.parameters.copy()

there = Parallel(n_jobs=2)(delayed(work)(seed) for seed in range(4))
print(max(threads for threads, _ in there) <= max(1, os.cpu_count() // 2))
print(all(np.array_equal(work(seed)[1], parameters) for seed, (_, parameters) in enumerate(there)))
"""
    assert run(script) == "True\nTrue\n"


def test_threadpoolctl_limits_the_threads():
    pytest.importorskip("sklearn")
    script = """
import chainrule.estimators
from threadpoolctl import threadpool_info, threadpool_limits

cr.set_num_threads(None)
before = cr.get_num_threads()
with threadpool_limits(1):
    print(cr.get_num_threads())
print(cr.get_num_threads() == before, cr.build_config()["threads_because"] != "set_num_threads")
backend = {"openmp": "openmp", "threads": "chainrule"}[cr.build_config()["thread_backend"]]
print(backend in [pool["user_api"] for pool in threadpool_info()])
"""
    assert run(script) == "1\nTrue True\nTrue\n"


@pytest.mark.parametrize("daemon", [True, False])
@pytest.mark.parametrize(
    "work", ["net.fit(X, y, epochs=epochs, batch_size=32)", "cr.fit_many([net, net2], X, y, epochs=epochs)"]
)
def test_the_interpreter_ends_during_a_fit(work, daemon):
    """A daemon is left where it is; another thread is waited for."""
    script = f"""
before, epochs = net.parameters.copy(), 10**9 if {daemon} else 3
net2 = cr.Network([20, 30, 1], loss="binary_cross_entropy", seed=0)

def train():
    began.set()
    {work}
    os.write(1, b"trained\\n")  # at once: two threads that print mix their words

began = threading.Event()
threading.Thread(target=train, daemon={daemon}).start()
began.wait()
os.write(1, b"end\\n")
"""
    for _ in range(3):
        assert sorted(run(script).split()) == (["end"] if daemon else ["end", "trained"])


def assert_the_interpreter_ends(script, times=5):
    """At any moment after the script's `work`, in a daemon, has set `began`."""
    script = f"""
began = threading.Event()
{script}
threading.Thread(target=work, daemon=True).start()
began.wait()
time.sleep(np.random.default_rng().uniform(0, 0.1))
print("end", flush=True)
"""
    for _ in range(times):
        assert run(script) == "end\n"


LOSS = """
def loss(logits, y, weight):
    began.set()
    return 0.0, np.zeros_like(logits)
"""


@pytest.mark.parametrize("callbacks", ["callbacks=[lambda logs: None]", "loss=loss", "schedules=lambda epoch: 1.0"])
def test_the_interpreter_ends_while_python_functions_are_called(callbacks):
    fit = f"net.fit(X[:64], y[:64], epochs=10**9, batch_size=8, {callbacks})"
    assert_the_interpreter_ends(f"{LOSS}\nwork = lambda: (began.set(), {fit})")


def test_the_interpreter_ends_while_a_custom_loss_gets_its_rows():
    """The core copies their numbers, and NumPy picks them: some milliseconds each."""
    script = f"""
y = np.zeros((3_000_000, 1), np.float32)
net = cr.Network([1, 1], loss="squared_error", seed=0)
{LOSS}
work = lambda: net.fit(y, y, loss=loss, epochs=10**9)
"""
    assert_the_interpreter_ends(script, times=10)


@pytest.mark.parametrize(
    "call", ["update(params, params, learning_rate=0.0)", "forward(params, X, loss='squared_error')"]
)
def test_the_interpreter_ends_while_the_array_functions_call_numpy(call):
    script = f"""
params, X = cr.init_params([784, 512, 1], seed=0), np.zeros((100, 784), np.float32)

def work():
    while True:
        cr.{call}
        began.set()
"""
    assert_the_interpreter_ends(script)


@pytest.mark.parametrize(
    "work", ["fit(X, y, epochs=60, batch_size=64)", "fit(X, y, epochs=60, schedules=lambda epoch: 1.0)"]
)
def test_training_while_the_interpreter_ends(work):
    """By the thread that ends it: that alone has the GIL for signals and functions."""
    script = f"""
class Last:
    arguments = net, X, y, print

    def __del__(self):  # when a module's own names are gone
        net, X, y, print = self.arguments
        print(net.{work}.epochs)

last = Last()
"""
    assert run(script) == "60\n"


@pytest.mark.parametrize("other", ["torch", "sklearn.linear_model"])
@pytest.mark.parametrize("first", [True, False])
def test_fits_beside_other_threaded_libraries(other, first):
    """Each with threads of its own in the process, in both orders of import."""
    pytest.importorskip(other.split(".")[0])
    train = {
        "torch": "torch.nn.Linear(500, 500)(torch.ones(500, 500)).sum().backward()",
        "sklearn.linear_model": "sklearn.linear_model.LogisticRegression().fit(X, y)",
    }[other]
    ours = "import chainrule as cr; import numpy as np\nnet = cr.Network([500, 300, 1], loss='squared_error', seed=0)"
    script = [f"import {other}", ours] if first else [ours, f"import {other}"]
    fit = "net.fit(np.ones((500, 500)), np.ones(500), epochs=2, n_threads=2)"
    script += ["X, y = np.eye(10), np.arange(10) % 2", train, fit, train, fit, "print('both')"]
    code = "\n".join(script)
    assert run(f"import subprocess; subprocess.run([sys.executable, '-c', {code!r}], check=True)") == "both\n"


@pytest.mark.skipif(sys.version_info < (3, 12), reason="pybind11 waits there for ever before Python 3.12")
def test_subinterpreter_works_or_is_rejected():
    """After an import in the main one: NumPy says no, or pybind11 does."""
    script = """
try:
    import _interpreters as interpreters
except ImportError:
    import _xxsubinterpreters as interpreters
code = "try:\\n import chainrule\\nexcept ImportError as error:\\n print('refused')\\nelse:\\n print('works')"
made = interpreters.create()
try:
    interpreters.run_string(made, code)
except Exception as error:
    print("refused")
print("and here", cr.Network([1, 1], loss='squared_error', seed=0).predict([[0.0]]).shape, flush=True)
os._exit(0)
"""
    assert run(script) in ("works\nand here (1, 1)\n", "refused\nand here (1, 1)\n")


@pytest.mark.skipif(not os.path.exists("/proc/self/statm"), reason="needs /proc")
def test_memory_does_not_grow():
    """Over fits, failed ones and refused ones, with Python functions or without, less than 2 KiB each."""
    script = """
import gc
pages = lambda: int(open("/proc/self/statm").read().split()[1]) * os.sysconf("SC_PAGE_SIZE")

def loss(logits, y, weight):
    return 0.0, np.zeros_like(logits)

def fail(logs):
    raise ValueError

small, labels = X[:64].astype("float32"), y[:64]

def round_of_fits():
    for seed in range(200):
        one = cr.Network([20, 30, 1], loss="binary_cross_entropy", seed=seed)
        one.fit(small, labels, epochs=1)
        one.fit(small, labels, epochs=1, loss=loss, callbacks=[lambda logs: logs["snapshot"]()], keep_state=True)
        cr.fit_many([one], small, labels, epochs=1, validation=np.arange(5))
        for broken in ({"callbacks": [fail]}, {"batch_size": 0}):
            try:
                one.fit(small, labels, epochs=1, **broken)
            except ValueError:
                pass
    gc.collect()
    return pages()

round_of_fits()
before = round_of_fits()
after = round_of_fits()
print(after - before < 1000 * 2048 or after - before)
"""
    assert run(script) == "True\n"
