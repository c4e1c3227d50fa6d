"""Ctrl-C during a fit, and fork between two fits; each in a process of its own."""

import subprocess
import sys

import pytest

START = """
import os, signal, threading
import numpy as np
import chainrule as cr

random = np.random.default_rng(0)
X, y = random.normal(size=(20_000, 20)), random.integers(0, 2, 20_000)
net = cr.Network([20, 64, 1], activation="tanh", loss="binary_cross_entropy", seed=0)
"""

INTERRUPT = """
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

FORK = """
def fit():
    net = cr.Network([20, 300, 200, 1], loss="binary_cross_entropy", seed=0)
    net.fit(X[:2000], y[:2000], epochs=3, n_threads=2)
    return net.parameters

want = fit()
child = os.fork()
if child == 0:
    try:
        os._exit(0 if np.array_equal(fit(), want) else 1)
    finally:
        os._exit(2)
assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
assert np.array_equal(fit(), want)
print("forked")
"""


def run(script):
    result = subprocess.run(
        [sys.executable, "-c", START + script], capture_output=True, text=True, timeout=60, check=False
    )
    assert result.returncode == 0, result.stderr
    return result.stdout


@pytest.mark.parametrize("batch_size", [None, 32, 1])
def test_interrupt(batch_size):
    assert run(INTERRUPT.format(batch_size=batch_size)) == "interrupted\n"


@pytest.mark.skipif(sys.platform == "win32", reason="no fork")
def test_fork_between_two_fits():
    assert run(FORK) == "forked\n"
