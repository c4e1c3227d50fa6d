"""fit compared with the oracle's training loop (test_optimizers.py compares it with PyTorch's).

Also shuffling, seeds, validation and Python threads.
"""

import threading

import numpy as np
import pytest
import reference
from models import network, problem

import chainrule as cr
from chainrule import _core

LOSSES = _core.LOSSES

OPTIMIZERS = {
    "descent": (cr.SGD(learning_rate=0.1), reference.sgd, {"learning_rate": 0.1}),
    "momentum": (cr.SGD(learning_rate=0.01, momentum=0.9), reference.sgd, {"learning_rate": 0.01, "momentum": 0.9}),
    "nesterov": (
        cr.SGD(learning_rate=0.01, momentum=0.9, nesterov=True),
        reference.sgd,
        {"learning_rate": 0.01, "momentum": 0.9, "nesterov": True},
    ),
    "adam": (
        cr.Adam(learning_rate=0.01, beta1=0.8, beta2=0.99, epsilon=1e-4),
        reference.adam,
        {"learning_rate": 0.01, "beta1": 0.8, "beta2": 0.99, "epsilon": 1e-4},
    ),
}


@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("batch_size", [None, 16, 1, 1000])
@pytest.mark.parametrize("name", OPTIMIZERS)
def test_fit_equals_the_oracle(isa, name, batch_size, loss):
    optimizer, step, numbers = OPTIMIZERS[name]
    net, params, X, Y, w = problem([5, 12, 7, 2], 50, loss)  # the last batch of 16 has 2 rows
    options = {"batch_size": batch_size, "epochs": 6, "l2": 0.01}
    want, losses, _ = reference.train(params, X, Y, ["tanh"] * 2, loss, step, w=w, **options, **numbers)
    history = net.fit(X, Y, optimizer=optimizer, shuffle=False, sample_weight=w, **options)
    assert reference.error(net.parameters, reference.flatten(want)) <= 1e-10
    assert reference.error(history.loss, losses) <= 1e-10
    assert (history.epochs, history.stop_reason, history.validation) == (6, "epochs", None)
    assert history.loss.dtype == np.float64
    assert history.seconds > 0


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_float32_stays_near_the_oracle(isa, name):
    optimizer, step, numbers = OPTIMIZERS[name]
    net, params, X, Y, _ = problem([5, 12, 7, 2], 50, dtype="float32")
    exact = [(W.astype("float64"), b.astype("float64")) for W, b in params]
    want, _, _ = reference.train(
        exact, X.astype("float64"), Y, ["tanh"] * 2, "squared_error", step, 6, batch_size=16, **numbers
    )
    net.fit(X, Y, optimizer=optimizer, batch_size=16, epochs=6, shuffle=False)
    assert reference.error(net.parameters, reference.flatten(want)) <= 1e-4


def test_default_settings_equal_the_documentation():
    settings = {"learning_rate": 1e-3, "beta1": 0.9, "beta2": 0.999, "epsilon": 1e-8}
    assert cr.Adam() == cr.Adam(**settings)
    assert cr.SGD() == cr.SGD(learning_rate=1e-3, momentum=0.0, nesterov=False)
    net, params, X, Y, _ = problem([3, 4, 1], 20)
    want, _, _ = reference.train(params, X, Y, ["tanh"], "squared_error", reference.adam, 200)
    assert net.fit(X, Y).epochs == 200
    assert reference.error(net.parameters, reference.flatten(want)) <= 1e-9


@pytest.mark.parametrize("batch_size", [None, 10])
def test_same_seed_gives_the_same_bits(batch_size):
    def run(seed, fit_seed=None):
        _, _, X, Y, _ = problem([4, 8, 1], 64)
        net = cr.Network([4, 8, 1], loss="squared_error", seed=seed)
        net.fit(X, Y, batch_size=batch_size, epochs=3, seed=fit_seed)
        return net.parameters

    assert np.array_equal(run(1), run(1))
    assert not np.array_equal(run(1), run(2))
    assert np.array_equal(run(1, 5), run(1, 5))
    assert np.array_equal(run(1, 5), run(1, 6)) == (batch_size is None)


def orders_of_the_rows(seed, shuffle=True):
    """The order in which three epochs of single rows visit them, and whether each was visited once."""
    # Row j moves w[j] and the bias only: w[j] = 1 - 0.1 (1 + b), b = b - 0.1 (1 + b). The bias falls from visit to
    # visit, so that the w[j], set to 1 before each epoch, show when their row was visited.
    n = 23
    net = cr.Network([n, 1], loss="squared_error", dtype="float64", seed=0)
    net.parameters[:] = 1.0
    once = 1 - 0.1 * 2 * 0.9 ** np.arange(n)
    orders = []

    def read_and_reset(logs):
        weights = net.weights[0][0].copy()
        assert np.allclose(np.sort(weights), once, rtol=1e-12)
        orders.append(weights.argsort().tolist())
        net.parameters[:] = 1.0

    options = {"optimizer": cr.SGD(learning_rate=0.1), "batch_size": 1, "epochs": 3, "shuffle": shuffle, "seed": seed}
    net.fit(np.eye(n), np.zeros(n), callbacks=[read_and_reset], **options)
    return orders


def test_each_epoch_visits_every_row_once_in_a_new_order():
    orders = [*orders_of_the_rows(seed=1), *orders_of_the_rows(seed=2)]
    assert len(set(map(tuple, orders))) == 6
    assert orders[:3] == orders_of_the_rows(seed=1)
    assert orders_of_the_rows(seed=1, shuffle=False) == [list(range(23))] * 3


def test_validation_is_the_cost_after_each_epoch():
    net, params, X, Y, w = problem([3, 6, 2], 40)
    history = net.fit(
        X[:30], Y[:30], optimizer=cr.SGD(learning_rate=0.1), epochs=5, validation=(X[30:], Y[30:], w[30:]), l2=0.1
    )
    for epochs, got in enumerate(history.validation, 1):
        again = network(params)
        again.fit(X[:30], Y[:30], optimizer=cr.SGD(learning_rate=0.1), epochs=epochs, l2=0.1)
        assert got == pytest.approx(again.loss(X[30:], Y[30:], w[30:]), rel=1e-12)
    plain = network(params)
    plain.fit(X[:30], Y[:30], optimizer=cr.SGD(learning_rate=0.1), epochs=5, l2=0.1)
    assert np.array_equal(plain.parameters, net.parameters)


def test_concurrent_fits_and_predictions_equal_sequential_ones():
    _, _, X, Y, _ = problem([6, 20, 2], 200)
    shared = cr.Network([6, 20, 2], loss="squared_error", seed=0)
    want = shared.predict(X)
    results = {}

    def work(seed):
        net = cr.Network([6, 20, 2], loss="squared_error", seed=seed)
        net.fit(X, Y, batch_size=16, epochs=20)
        results[seed] = net.parameters.copy(), all(np.array_equal(shared.predict(X), want) for _ in range(50))

    workers = [threading.Thread(target=work, args=(seed,)) for seed in (1, 2)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    together = dict(results)
    for seed in (1, 2):
        work(seed)
        assert np.array_equal(together[seed][0], results[seed][0])
        assert together[seed][1]


@pytest.mark.parametrize("batch_size", [None, 7])
@pytest.mark.parametrize("sizes", [[5, 8, 3], [5, 70, 90, 3]])
def test_custom_cross_entropy_trains_like_the_built_in(sizes, batch_size):
    """Softmax cross-entropy in NumPy, for classes that are not numbers, trains like the native one up to rounding."""
    _, X, Y, w = reference.problem(sizes, 50, "softmax_cross_entropy")
    names = np.array(["a", "b", "c"])[Y]
    nets = [cr.Network(sizes, loss="softmax_cross_entropy", dtype="float64", seed=0) for _ in range(2)]

    def cross_entropy(logits, y, weight):
        p = reference.softmax(logits)
        one_hot = y[:, None] == np.array(["a", "b", "c"])
        return -(weight * np.log(p[one_hot])).sum() / weight.sum(), (p - one_hot) * (weight / weight.sum())[:, None]

    options = {"sample_weight": w, "batch_size": batch_size, "epochs": 5, "l2": 0.01}
    native = nets[0].fit(X, Y, **options)
    own = nets[1].fit(X, names, loss=cross_entropy, **options)
    assert reference.error(nets[1].parameters, nets[0].parameters) <= 1e-10
    assert own.loss == pytest.approx(native.loss, rel=1e-10)


def test_failing_custom_loss_raises_and_leaves_the_network_unchanged():
    net = cr.Network([5, 8, 1], loss="squared_error", seed=0)
    X = np.ones((10, 5))
    before = net.parameters.copy()
    for loss, error in (
        (lambda z, y, w: 1 / 0, ZeroDivisionError),
        (lambda z, y, w: (0.0, z[:3]), ValueError),
        (lambda z, y, w: 0.0, TypeError),
    ):
        with pytest.raises(error):
            net.fit(X, X[:, 0], loss=loss, epochs=2)
    with pytest.raises(cr.DivergenceError):
        net.fit(X, X[:, 0], loss=lambda z, y, w: (np.nan, z), epochs=2)
    assert np.array_equal(net.parameters, before)


SKIPPING = [
    cr.SGD(learning_rate=0.1, momentum=0.9),
    cr.Adam(learning_rate=0.05),
    cr.RMSprop(centered=True),
    cr.Lion(learning_rate=0.01),
]


@pytest.mark.parametrize("more", [{}, {"clip_norm": 0.2}, {"ema": 0.5}, {"clip_value": 0.01, "l2": 0.1}])
@pytest.mark.parametrize("optimizer", SKIPPING, ids=lambda o: type(o).__name__)
@pytest.mark.parametrize("sizes", [[3, 5, 2], [30, 200, 150, 2]])
def test_batches_above_a_gradient_norm_are_not_applied(sizes, optimizer, more):
    """The result equals, bit for bit, separate one-batch fits on the batches that are not skipped.

    Each of these fits is resumed from the one before.
    """
    (net, _, X, Y, _), (other, *_) = problem(sizes, 60), problem(sizes, 60)
    l2 = more.get("l2", 0.0)
    batches = [(X[first : first + 5], Y[first : first + 5]) for first in range(0, 60, 5)]
    norms = [np.linalg.norm(net.loss_and_gradients(x, y, l2=l2)[1].parameters) for x, y in batches]
    limit, state, losses, skipped = np.quantile(norms, 0.3), None, [], 0
    for x, y in batches:
        now = cr.Network(sizes, activation="tanh", loss="squared_error", dtype="float64", seed=0)
        now.parameters[:] = other.parameters if state is None else state.vectors["parameters"]
        loss, gradients = now.loss_and_gradients(x, y, l2=l2)
        norm = np.linalg.norm(gradients.parameters)
        losses.append(loss)
        if norm > limit:
            skipped += 1
        else:
            state = other.fit(x, y, optimizer=optimizer, epochs=1, resume=state, keep_state=True, **more).state
    assert 0 < skipped < 12
    settings = {"optimizer": optimizer, "batch_size": 5, "shuffle": False, "epochs": 1, **more}
    history = net.fit(X, Y, skip_updates_above=limit, **settings)
    assert np.array_equal(net.parameters, other.parameters)
    assert history.skipped_updates == skipped
    assert history.loss == pytest.approx([np.mean(losses)], rel=1e-12)


def test_a_limit_that_all_batches_exceed_leaves_the_network_unchanged():
    net, _, X, Y, _ = problem([3, 5, 2], 20)
    before = net.parameters.copy()
    for more in ({}, {"ema": 0.9}):
        history = net.fit(X, Y, skip_updates_above=0.0, epochs=3, batch_size=7, **more)
        assert history.skipped_updates == 9
        assert np.array_equal(net.parameters, before)
    assert net.fit(X, Y, epochs=1).skipped_updates == 0
