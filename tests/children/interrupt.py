"""Interrupts calls with Ctrl-C and other signals."""

import asyncio
import os
import signal
import subprocess
import sys
import threading
import time

import numpy as np

import chainrule as cr

from .start import X, net, y

signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell ignores SIGINT in background processes


def press_when(condition):
    """Send Ctrl-C from another thread as soon as the condition is true."""

    def watch():
        while not condition():
            pass
        os.kill(os.getpid(), signal.SIGINT)

    watcher = threading.Thread(target=watch, daemon=True)
    watcher.start()
    return watcher


def press_soon(number=signal.SIGINT, times=1):
    """Return an event after which a signal is sent several times, 0.05 s apart."""
    began = threading.Event()

    def press():
        began.wait()
        for _ in range(times):
            time.sleep(0.05)
            os.kill(os.getpid(), number)

    threading.Thread(target=press).start()
    return began


def steps(batch_size):
    """Interrupt a fit; its parameters must be those after a whole number of steps."""
    before = net.parameters.copy()
    watcher = press_when(lambda: not np.array_equal(net.parameters, before))
    epochs = []
    step = {"optimizer": cr.SGD(), "batch_size": batch_size, "shuffle": False}
    try:
        net.fit(X, y, epochs=10**9, callbacks=[epochs.append], **step)
    except KeyboardInterrupt:
        watcher.join()
        assert not np.array_equal(net.parameters, before)
        again = cr.Network([20, 64, 1], activation="tanh", loss="binary_cross_entropy", seed=0)
        if epochs:
            again.fit(X, y, epochs=len(epochs), **step)
        size = batch_size or len(X)
        for start in range(0, len(X), size):  # the steps of the interrupted epoch
            if np.array_equal(again.parameters, net.parameters):
                break
            again.fit(X[start : start + size], y[start : start + size], epochs=1, **step)
        assert np.array_equal(again.parameters, net.parameters), "not the parameters after a whole number of steps"
        assert net.fit(X, y, epochs=2).epochs == 2
        print("interrupted")


other, third = (cr.Network([20, 64, 1], loss="binary_cross_entropy", seed=k) for k in (1, 2))
wide = cr.Network([20, 1500, 1500, 1], loss="binary_cross_entropy", seed=0)
huge, endless = (np.broadcast_to(np.float32(0), (rows, 20)) for rows in (12_000_000, 200_000_000))
huge_y = np.zeros(len(huge), np.float32)
huge_y[::2] = 1
ENDLESS = 10**9
EXACT = cr.LBFGS(tolerance_gradient=0, tolerance_change=0)
under_way = threading.Event()  # set when a call begins; by an estimator after an epoch, because before, it raises
ESTIMATOR = {"max_iter": ENDLESS, "n_iter_no_change": ENDLESS, "callbacks": [lambda logs: under_way.set()]}
# Calls that would take minutes. Each is interrupted soon after its start, some in the middle of a single step.
LONG = {
    "batches": lambda: net.fit(X, y, epochs=ENDLESS, batch_size=32),
    "steps": lambda: net.fit(X, y, epochs=ENDLESS),
    "validation": lambda: net.fit(X[:100], y[:100], epochs=ENDLESS, validation=(huge, huge_y), metrics=["auc"]),
    "L-BFGS": lambda: net.fit(X, y, epochs=ENDLESS, optimizer=EXACT, l2=1e-4),
    "fit_many": lambda: cr.fit_many([net, other], X, y, epochs=ENDLESS),
    "fit_many, more than threads": lambda: cr.fit_many(
        [net, other, third], X, y, epochs=ENDLESS, batch_size=8, n_threads=2
    ),
    "classifier": lambda: cr.MLPClassifier((300,), tol=0, **ESTIMATOR).fit(X, y),
    "regressor": lambda: cr.MLPRegressor("huber", (300,), early_stopping=True, **ESTIMATOR).fit(X, y),
    "custom loss": lambda: net.fit(X, y, epochs=ENDLESS, loss=lambda z, y, w: (0.0, 0 * z)),
    "one step, small network": lambda: net.fit(endless, endless[:, 0], epochs=1),
    "one step, large network": lambda: wide.fit(huge, huge_y, epochs=1),
    "one step of L-BFGS": lambda: wide.fit(huge, huge_y, epochs=1, optimizer=cr.LBFGS()),
    "predict": lambda: wide.predict(huge),
    "logits": lambda: wide.logits(huge, n_threads=1),
    "loss": lambda: wide.loss(huge, huge_y),
    "gradients": lambda: wide.loss_and_gradients(huge, huge_y),
}
CHANGES_NOTHING = ("one step", "predict", "logits", "loss", "gradients")  # a part of one step, or no training


def long_call(name, seconds):
    """Interrupt a call after a delay, and print how long it continued; the networks must remain usable."""
    of_estimator = name in ("classifier", "regressor")
    nets = [net, other, third, wide]
    at_start = [one.parameters.copy() for one in nets]
    pressed = []

    def press():
        under_way.wait()
        time.sleep(seconds)
        pressed.append(time.perf_counter())
        os.kill(os.getpid(), signal.SIGINT)

    threading.Thread(target=press, daemon=True).start()
    raised = True
    try:
        if not of_estimator:
            under_way.set()
        LONG[name]()
        raised = False
    except KeyboardInterrupt:
        pass
    took = time.perf_counter() - pressed[0]
    assert raised != of_estimator, "an estimator warns and keeps what it has learned"
    for one, parameters in zip(nets, at_start, strict=True):
        assert np.isfinite(one.parameters).all()
        if name.startswith(CHANGES_NOTHING):
            assert np.array_equal(one.parameters, parameters), "only a part of a step was done"
        one.predict(X[:10])
        one.fit(X[:100], y[:100], epochs=1)
    print(f"{took:.3f}")


def fit_in_another_thread():
    """Python's handlers run only in the main thread, so an event tells the fit to stop."""
    stop, history = threading.Event(), []

    def fit():
        history.append(net.fit(X, y, epochs=ENDLESS, callbacks=[lambda logs: stop.is_set()]))

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


def handler_that_raises(name, many):
    number = getattr(signal, name)

    def handle(number, frame):
        raise TimeoutError(number)

    signal.signal(number, handle)
    began = press_soon(number)
    try:
        began.set()
        if many:
            cr.fit_many([net], X, y, epochs=ENDLESS)
        else:
            net.fit(X, y, epochs=ENDLESS)
    except TimeoutError as error:
        print(error.args == (number,), net.fit(X, y, epochs=1).epochs)


def handler_that_predicts():
    """The handler is called in the middle of a prediction, whose result does not change."""
    seen = []
    large = cr.Network([20, 2000, 2000, 1], loss="squared_error", seed=0)
    inner = cr.Network([20, 3000, 1], loss="squared_error", seed=1)
    signal.signal(signal.SIGINT, lambda number, frame: seen.append(inner.predict(X[:3])))
    loss, predicted = net.fit(X, y, epochs=50).loss, large.predict(X[:4000], n_threads=1)
    fresh = cr.Network([20, 64, 1], activation="tanh", loss="binary_cross_entropy", seed=0)
    press_soon(times=5).set()
    rounds = 0
    while not seen or rounds < 3:
        again = large.predict(X[:4000], n_threads=1)
        rounds += 1
        assert np.array_equal(again, predicted)
    assert np.array_equal(fresh.fit(X, y, epochs=50).loss, loss)
    print("ran")


def second_ctrl_c():
    """Press Ctrl-C again while the first one is being handled."""
    began = press_soon()
    try:
        began.set()
        net.fit(X, y, epochs=ENDLESS)
    except KeyboardInterrupt:
        try:
            os.kill(os.getpid(), signal.SIGINT)
            net.fit(X, y, epochs=ENDLESS)
        except KeyboardInterrupt:
            print(net.fit(X, y, epochs=1).epochs)


def callback_that_presses():
    def press(logs):
        if logs["epoch"] == 3:
            os.kill(os.getpid(), signal.SIGINT)

    try:
        net.fit(X, y, epochs=10, callbacks=[press])
    except KeyboardInterrupt as error:
        print(error.history.epochs, error.history.stop_reason)


def event_loop():
    """The handler of an event loop runs while an executor's thread trains; the loop then ends the training."""

    async def main():
        loop, stop = asyncio.get_running_loop(), threading.Event()
        loop.add_signal_handler(signal.SIGINT, stop.set)

        def fit():
            return net.fit(X, y, epochs=ENDLESS, callbacks=[lambda logs: stop.is_set()])

        future = loop.run_in_executor(None, fit)
        os.kill(os.getpid(), signal.SIGINT)
        return await future

    print(asyncio.run(main()).stop_reason)


def wakeup_fd():
    reader, writer = os.pipe()
    os.set_blocking(writer, False)
    signal.set_wakeup_fd(writer)
    began = press_soon()
    try:
        began.set()
        net.fit(X, y, epochs=ENDLESS)
    except KeyboardInterrupt:
        print(os.read(reader, 1) == bytes([signal.SIGINT]))


def command_that_reads(path):
    """Press Ctrl-C while `chainrule train` reads a pipe."""
    os.mkfifo(path)
    command = [sys.executable, "-m", "chainrule", "train", path, "--target", "target"]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    with open(path, "w"):  # returns when the other end is open too
        process.send_signal(signal.SIGINT)
        print(process.communicate(timeout=60)[1], process.returncode)


def networks_trained_together(n_threads):
    """Interrupt fit_many once this number of its three networks have changed."""
    random = np.random.default_rng(0)
    x, values = random.normal(size=(2000, 5)), random.normal(size=2000)
    nets = [cr.Network([5, 8, 1], loss="squared_error", seed=seed) for seed in range(3)]
    before = [one.parameters.copy() for one in nets]

    def moved():
        return sum(not np.array_equal(one.parameters, old) for one, old in zip(nets, before, strict=True))

    press_when(lambda: moved() >= n_threads)
    try:
        cr.fit_many(nets, x, values, n_threads=n_threads, optimizer=cr.SGD(learning_rate=1e-7), epochs=ENDLESS)
    except KeyboardInterrupt:
        assert moved() == n_threads
        assert all(np.isfinite(one.parameters).all() for one in nets)
        assert [history.epochs for history in cr.fit_many(nets, x, values, epochs=2)] == [2, 2, 2]
        print("interrupted")


def measure(times):
    """Interrupt every long call several times, each in a separate process: all must end in less than a second."""
    from processes import run

    worst = 0.0
    for name in LONG:
        took = [float(run("interrupt.long_call", name, 0.1 + 0.005 * i)) for i in range(times)]
        worst = max(worst, *took)
        soon = sum(seconds < 1 for seconds in took)
        print(f"{name:30} {soon} of {times} in less than 1 s, the slowest {max(took):.2f} s", flush=True)
    print(f"interrupt: the slowest of {times * len(LONG)} took {worst:.2f} s")
    sys.exit(worst >= 1)
