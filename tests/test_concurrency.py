"""Many threads at once: fits, predictions, executors; the limits for one network; the GIL is released."""

import asyncio
import copy
import sys
import threading
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

import chainrule as cr

RANDOM = np.random.default_rng(0)
X = RANDOM.normal(size=(600, 10)).astype("float32")
Y = (X[:, 0] * X[:, 1] > 0).astype("float32")
WIDTHS = [4, 8, 30, 150, 300]  # both schedules
OPTIMIZERS = [cr.Adam(), cr.SGD(momentum=0.9), cr.RMSprop(), cr.LBFGS()]


def fitted(seed):
    width, optimizer = WIDTHS[seed % 5], OPTIMIZERS[seed % 4]
    batch_size = None if isinstance(optimizer, cr.LBFGS) else 64
    net = cr.Network([10, width, 1], activation="tanh", loss="binary_cross_entropy", seed=seed)
    net.fit(X, Y, optimizer=optimizer, epochs=3, batch_size=batch_size, validation=0.2, n_threads=1 + seed % 3)
    return net.parameters.copy()


def test_hundred_concurrent_fits_equal_sequential_ones():
    want = [fitted(seed) for seed in range(100)]
    with ThreadPoolExecutor(16) as pool:
        for alone, together in zip(want, pool.map(fitted, range(100)), strict=True):
            np.testing.assert_array_equal(together, alone)


@pytest.mark.parametrize("width", [8, 300])
def test_concurrent_predictions_of_one_network_are_equal(width):
    net = cr.Network([10, width, 1], loss="squared_error", seed=0)
    parts = [X[:k] for k in range(1, 200)]

    def computed(rows):
        return net.predict(rows, n_threads=2), net.loss(rows, Y[: len(rows)]), net.logits(rows)

    want = [computed(rows) for rows in parts]
    with ThreadPoolExecutor(8) as pool:
        for alone, together in zip(want, pool.map(computed, parts), strict=True):
            for a, b in zip(alone, together, strict=True):
                np.testing.assert_array_equal(b, a)


def test_concurrent_functions_on_shared_arrays_are_equal():
    params = cr.init_params([10, 50, 1], init="glorot_uniform", seed=0)

    def step(_):
        cache = cr.forward(params, X, activation="tanh", loss="squared_error")
        return cr.backward(params, cache, Y[:, np.newaxis])[0][0]

    with ThreadPoolExecutor(8) as pool:
        for result in pool.map(step, range(50)):
            np.testing.assert_array_equal(result, step(0))


class Held:
    """A fit in a thread, held in its first callback until released."""

    def __init__(self, net):
        self.began, self.release = threading.Event(), threading.Event()
        self.thread = threading.Thread(target=net.fit, args=(X, Y), kwargs={"epochs": 5, "callbacks": [self.hold]})

    def hold(self, logs):
        self.began.set()
        self.release.wait(60)

    def __enter__(self):
        self.thread.start()
        assert self.began.wait(60)

    def __exit__(self, *error):
        self.release.set()
        self.thread.join()


def network():
    return cr.Network([10, 8, 1], loss="binary_cross_entropy", seed=0)


def test_second_concurrent_fit_of_a_network_raises():
    net, want = network(), network()
    want.fit(X, Y, epochs=5)
    with Held(net):
        with pytest.raises(RuntimeError, match="being trained by another call"):
            net.fit(X, Y, epochs=1)
        first, second = cr.fit_many([net, network()], X, Y, epochs=1)
        assert isinstance(first, RuntimeError)
        assert second.epochs == 1
        assert np.isfinite(net.predict(X)).all()
        copied = copy.deepcopy(net)
        assert copied.fit(X, Y, epochs=1).epochs == 1
    np.testing.assert_array_equal(net.parameters, want.parameters)  # no other thread has written to it
    assert net.fit(X, Y, epochs=1).epochs == 1


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt])
def test_network_can_be_trained_after_a_fit_that_raised(error):
    def fail(logs):
        raise error

    net = network()
    with pytest.raises(error):
        net.fit(X, Y, epochs=2, callbacks=[fail])
    with pytest.raises(ValueError, match="rows"):
        net.fit(X, Y[:5])
    assert net.fit(X, Y, epochs=2).epochs == 2


def test_fit_within_a_callback_of_the_same_network_raises():
    net = network()
    with pytest.raises(RuntimeError, match="being trained"):
        net.fit(X, Y, epochs=2, callbacks=[lambda logs: net.fit(X, Y, epochs=1)])


def test_predictions_while_the_network_trains_are_finite():
    net, other = (cr.Network([10, 300, 1], loss="binary_cross_entropy", seed=0) for _ in range(2))
    other.fit(X, Y, epochs=50, batch_size=64)
    done = threading.Event()

    def look():
        while not done.is_set():
            assert np.isfinite(net.predict(X[:50])).all()
            assert np.isfinite(net.loss(X[:50], Y[:50]))

    with ThreadPoolExecutor(2) as pool:
        looks = [pool.submit(look) for _ in range(2)]
        net.fit(X, Y, epochs=50, batch_size=64)
        done.set()
        for result in looks:
            result.result()
    np.testing.assert_array_equal(net.parameters, other.parameters)


LARGE = np.tile(X, (20, 1))
LABELS = np.tile(Y, 20)
WIDE = cr.Network([10, 200, 200, 1], loss="binary_cross_entropy", seed=0)
PARAMS = cr.init_params([10, 200, 200, 1], init="he_uniform", seed=0)
CALLS = {
    "fit": lambda: WIDE.fit(LARGE, LABELS, epochs=1),
    "fit_many": lambda: cr.fit_many([WIDE], LARGE, LABELS, epochs=1),
    "predict": lambda: WIDE.predict(LARGE),
    "logits": lambda: WIDE.logits(LARGE),
    "loss": lambda: WIDE.loss(LARGE, LABELS),
    "loss_and_gradients": lambda: WIDE.loss_and_gradients(LARGE, LABELS),
    "forward": lambda: cr.forward(PARAMS, LARGE, loss="binary_cross_entropy"),
}


@pytest.mark.parametrize("name", CALLS)
def test_other_python_threads_run_during_a_fit(name):
    """Threads switch only when the GIL is released: otherwise the other thread would never count."""
    interval, go, counted = sys.getswitchinterval(), threading.Event(), []

    def count():
        go.wait(60)
        counted.extend(range(10_000))

    thread = threading.Thread(target=count)
    thread.start()
    sys.setswitchinterval(1000)
    try:
        go.set()
        for _ in range(1000):
            CALLS[name]()
            if counted:
                break
        assert counted
    finally:
        sys.setswitchinterval(interval)
        thread.join()


def test_asyncio_loop_runs_during_a_fit():
    async def main():
        ticks, loop = 0, asyncio.get_running_loop()
        nets = [network() for _ in range(4)]
        fits = asyncio.gather(*(loop.run_in_executor(None, lambda net=net: net.fit(X, Y, epochs=200)) for net in nets))
        while not fits.done():
            ticks += 1
            await asyncio.sleep(0)
        await fits
        return ticks, nets

    ticks, nets = asyncio.run(main())
    assert ticks > 1
    for net in nets:
        np.testing.assert_array_equal(net.parameters, nets[0].parameters)


def test_concurrent_fits_call_their_own_python_functions():
    def loss(logits, y, weight):
        difference = logits - y.reshape(logits.shape)
        return float((difference**2).mean()), 2 * difference / len(y)

    def fit(seed):
        net, epochs = cr.Network([10, 20, 1], loss="squared_error", seed=seed), []
        settings = {"schedules": lambda epoch: 0.9**epoch, "metrics": [lambda y, p: -np.abs(y - p.ravel()).mean()]}
        net.fit(X, Y, loss=loss, validation=0.2, epochs=3, batch_size=50, callbacks=[epochs.append], **settings)
        assert [logs["snapshot"] is not None for logs in epochs] == [True] * 3
        return net.parameters.copy()

    with ThreadPoolExecutor(8) as pool:
        for seed, got in enumerate(pool.map(fit, range(16))):
            if seed % 4 == 0:
                np.testing.assert_array_equal(got, fit(seed))


def test_snapshot_after_its_callback_raises():
    kept = []
    network().fit(X, Y, epochs=2, callbacks=[kept.append])
    with pytest.raises(RuntimeError, match="within on_epoch_end"):
        kept[0]["snapshot"]()
