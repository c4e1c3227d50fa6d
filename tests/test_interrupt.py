"""Ctrl-C, other signals and their handlers, each in a process of its own: in time, and the network is usable."""

import sys

import pytest
from processes import run

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="no signals to a process of one's own")

STEPS = """
before = net.parameters.copy()

def press_when_training_moves():
    while np.array_equal(net.parameters, before):
        pass
    os.kill(os.getpid(), signal.SIGINT)

watcher = threading.Thread(target=press_when_training_moves, daemon=True)
watcher.start()
epochs = []
step = {{"optimizer": cr.SGD(), "batch_size": {batch_size}, "shuffle": False}}
try:
    net.fit(X, y, epochs=10**9, callbacks=[epochs.append], **step)
except KeyboardInterrupt:
    watcher.join()
    assert not np.array_equal(net.parameters, before)
    again = cr.Network([20, 64, 1], activation="tanh", loss="binary_cross_entropy", seed=0)
    if epochs:
        again.fit(X, y, epochs=len(epochs), **step)
    size = step["batch_size"] or len(X)
    for start in range(0, len(X), size):  # the steps of the epoch that was interrupted
        if np.array_equal(again.parameters, net.parameters):
            break
        again.fit(X[start : start + size], y[start : start + size], epochs=1, **step)
    assert np.array_equal(again.parameters, net.parameters), "not the parameters after a whole number of steps"
    assert net.fit(X, y, epochs=2).epochs == 2
    print("interrupted")
"""


@pytest.mark.parametrize("batch_size", [None, 32, 1])
def test_interrupted_fit_keeps_the_last_whole_step(batch_size):
    assert run(STEPS.format(batch_size=batch_size)) == "interrupted\n"


# Work that would take minutes. Each is interrupted soon after it began, some in the middle of a single step or call;
# `usable` must hold then.
LONG = {
    "batches": "net.fit(X, y, epochs=10**9, batch_size=32)",
    "steps": "net.fit(X, y, epochs=10**9)",
    "validation": "net.fit(X[:100], y[:100], epochs=10**9, validation=(huge, huge_y), metrics=['auc'])",
    "L-BFGS": "net.fit(X, y, epochs=10**9, optimizer=cr.LBFGS(tolerance_gradient=0, tolerance_change=0), l2=1e-4)",
    "fit_many": "cr.fit_many([net, other], X, y, epochs=10**9)",
    "fit_many, more than threads": "cr.fit_many([net, other, third], X, y, epochs=10**9, batch_size=8, n_threads=2)",
    "classifier": "cr.MLPClassifier((300,), max_iter=10**9, tol=0, n_iter_no_change=10**9).fit(X, y)",
    "regressor": (
        "cr.MLPRegressor('huber', (300,), max_iter=10**9, early_stopping=True, n_iter_no_change=10**9).fit(X, y)"
    ),
    "loss of one's own": "net.fit(X, y, epochs=10**9, loss=lambda z, y, w: (0.0, 0 * z))",
    "one step, small network": "net.fit(endless, endless[:, 0], epochs=1)",
    "one step, large network": "wide.fit(huge, huge_y, epochs=1)",
    "one step of L-BFGS": "wide.fit(huge, huge_y, epochs=1, optimizer=cr.LBFGS())",
    "predict": "wide.predict(huge)",
    "logits": "wide.logits(huge, n_threads=1)",
    "loss": "wide.loss(huge, huge_y)",
    "gradients": "wide.loss_and_gradients(huge, huge_y)",
}

PRESS = """
other, third = (cr.Network([20, 64, 1], loss="binary_cross_entropy", seed=k) for k in (1, 2))
wide = cr.Network([20, 1500, 1500, 1], loss="binary_cross_entropy", seed=0)
huge, endless = (np.broadcast_to(np.float32(0), (rows, 20)) for rows in (12_000_000, 200_000_000))
huge_y = np.zeros(len(huge), np.float32)
huge_y[::2] = 1
nets = [net, other, third, wide]
at_start = [one.parameters.copy() for one in nets]
began, pressed = threading.Event(), None

def press():
    began.wait()
    time.sleep({after})
    global pressed
    pressed = time.perf_counter()
    os.kill(os.getpid(), signal.SIGINT)

{callee}  # is imported before: an import that is interrupted may end the interpreter in another way
threading.Thread(target=press, daemon=True).start()
raised = True
try:
    began.set()
    {work}
    raised = False
except KeyboardInterrupt:
    pass
took = time.perf_counter() - pressed
assert raised != {is_estimator}, "an estimator warns and keeps what it has learnt"
for one, parameters in zip(nets, at_start):
    assert np.isfinite(one.parameters).all()
    assert not {unchanged} or np.array_equal(one.parameters, parameters), "a part of a step was made"
    one.predict(X[:10])
    one.fit(X[:100], y[:100], epochs=1)
print(f"{{took:.3f}}")
"""


def press_after(seconds, name):
    """Write the script of a Ctrl-C so long after the work began."""
    work = LONG[name]  # a part of one step, or nothing that trains: no parameter may have changed
    unchanged = name.startswith("one step") or name in ("predict", "logits", "loss", "gradients")
    callee = work.partition("(")[0]
    return PRESS.format(
        work=work, callee=callee, after=seconds, unchanged=unchanged, is_estimator=callee.startswith("cr.MLP")
    )


@pytest.mark.parametrize("name", LONG)
def test_ctrl_c_ends_every_long_call(name):
    """`tests/checks/interrupt.sh` measures how soon; here the process has to end at all."""
    assert float(run(press_after(0.5, name))) < 60


def test_ctrl_c_does_not_stop_a_fit_in_another_thread():
    """Python's handlers run in the main thread alone: a fit elsewhere is told by an event, say."""
    script = """
stop = threading.Event()
history = []
fit = lambda: history.append(net.fit(X, y, epochs=10**9, callbacks=[lambda logs: stop.is_set()]))
thread = threading.Thread(target=fit)
thread.start()
try:
    os.kill(os.getpid(), signal.SIGINT)
    thread.join()
except KeyboardInterrupt:
    assert thread.is_alive()
    stop.set()
    thread.join()
    print(history[0].stop_reason)
"""
    assert run(script) == "callback\n"


SOON = """
began = threading.Event()
press = lambda: began.wait() and [time.sleep(0.05) or os.kill(os.getpid(), {name}) for _ in range({times})]
threading.Thread(target=press).start()
"""


@pytest.mark.parametrize("name", ["signal.SIGINT", "signal.SIGTERM", "signal.SIGALRM"])
@pytest.mark.parametrize("work", ["net.fit(X, y, epochs=10**9)", "cr.fit_many([net], X, y, epochs=10**9)"])
def test_exception_of_a_signal_handler_is_raised_by_the_call(name, work):
    script = f"""
def handle(number, frame):
    raise TimeoutError(number)

signal.signal({name}, handle)
{SOON.format(name=name, times=1)}
try:
    began.set()
    {work}
except TimeoutError as error:
    print(error.args == ({name},), net.fit(X, y, epochs=1).epochs)
"""
    assert run(script) == "True 1\n"


def test_handler_that_returns_does_not_stop_the_call():
    """One that computes with the library, too, while it is called from the middle of a prediction."""
    script = f"""
seen = []
wide = cr.Network([20, 2000, 2000, 1], loss="squared_error", seed=0)
inner = cr.Network([20, 3000, 1], loss="squared_error", seed=1)
signal.signal(signal.SIGINT, lambda number, frame: seen.append(inner.predict(X[:3])))
want = [net.fit(X, y, epochs=50).loss, wide.predict(X[:4000], n_threads=1)]
net = cr.Network([20, 64, 1], activation="tanh", loss="binary_cross_entropy", seed=0)
{SOON.format(name="signal.SIGINT", times=5)}
began.set()
rounds = 0
while not seen or rounds < 3:
    got = wide.predict(X[:4000], n_threads=1)
    rounds += 1
    assert np.array_equal(got, want[1])
assert np.array_equal(net.fit(X, y, epochs=50).loss, want[0])
print("ran")
"""
    assert run(script) == "ran\n"


def test_second_ctrl_c_leaves_a_usable_network():
    """It comes while the first is dealt with: Python's own affair, and the network still trains."""
    script = f"""
{SOON.format(name="signal.SIGINT", times=1)}
try:
    began.set()
    net.fit(X, y, epochs=10**9)
except KeyboardInterrupt:
    try:
        os.kill(os.getpid(), signal.SIGINT)
        net.fit(X, y, epochs=10**9)
    except KeyboardInterrupt:
        print(net.fit(X, y, epochs=1).epochs)
"""
    assert run(script) == "1\n"


def test_ctrl_c_in_a_callback_ends_after_its_epoch():
    script = """
def press(logs):
    if logs["epoch"] == 3:
        os.kill(os.getpid(), signal.SIGINT)

try:
    net.fit(X, y, epochs=10, callbacks=[press])
except KeyboardInterrupt as error:
    print(error.history.epochs, error.history.stop_reason)
"""
    assert run(script) == "3 interrupted\n"


def test_wakeup_fd_and_asyncio_handlers_get_the_signal():
    """The handler of an event loop runs while an executor's thread trains; the loop then ends the training."""
    script = """
import asyncio

async def main():
    loop, stop = asyncio.get_running_loop(), threading.Event()
    loop.add_signal_handler(signal.SIGINT, stop.set)
    fit = lambda: net.fit(X, y, epochs=10**9, callbacks=[lambda logs: stop.is_set()])
    future = loop.run_in_executor(None, fit)
    os.kill(os.getpid(), signal.SIGINT)
    return await future

print(asyncio.run(main()).stop_reason)
reader, writer = os.pipe()
os.set_blocking(writer, False)
signal.set_wakeup_fd(writer)
began = threading.Event()
threading.Thread(target=lambda: began.wait() and os.kill(os.getpid(), signal.SIGINT)).start()
try:
    began.set()
    net.fit(X, y, epochs=10**9)
except KeyboardInterrupt:
    print(os.read(reader, 1) == bytes([signal.SIGINT]))
"""
    assert run(script) == "callback\nTrue\n"


def test_ctrl_c_while_the_command_reads_is_one_line(tmp_path):
    """Ctrl-C in `chainrule train`; `test_cli` presses it while the network trains."""
    pytest.importorskip("pandas")
    path = str(tmp_path / "table.csv")
    script = f"""
import subprocess
os.mkfifo({path!r})
command = [sys.executable, "-m", "chainrule", "train", {path!r}, "--target", "target"]
process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
with open({path!r}, "w"):  # when it is open at the other end too
    process.send_signal(signal.SIGINT)
    print(process.communicate(timeout=60)[1], process.returncode)
"""
    assert run(script) == "chainrule: interrupted\n 1\n"
