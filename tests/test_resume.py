"""Resumed training ends with the same bits as uninterrupted training; the optimum that L-BFGS finds."""

import numpy as np
import pytest
import reference
import scipy.optimize
from sklearn.datasets import load_breast_cancer

import chainrule as cr

random = np.random.default_rng(0)
X = random.normal(size=(100, 6))
y = random.integers(0, 3, 100)
V, v = random.normal(size=(40, 6)), random.integers(0, 3, 40)

OPTIMIZERS = [
    cr.SGD(learning_rate=0.05),
    cr.SGD(learning_rate=0.05, momentum=0.9, nesterov=True),
    cr.Adam(),
    cr.AdamW(learning_rate=0.01),
    cr.RMSprop(momentum=0.5, centered=True),
    cr.Adagrad(learning_rate=0.1),
    cr.Lion(learning_rate=0.01),
    cr.ScheduleFreeAdamW(),
]
WAYS = {
    "small": {},
    "wide": {"clip_norm": 0.1},
    "average": {"ema": 0.9, "schedules": cr.Cosine(epochs=10, warmup=2)},
    "watched": {
        "validation": (V, v),
        "metrics": "accuracy",
        "stop": cr.Stop(no_improvement=100),
        "schedules": cr.ReduceOnPlateau(patience=0, factor=0.7),
    },
    "few rows": {"batch_size": 4, "clip_value": 0.1},
    "skipping": {"batch_size": 4, "skip_updates_above": 0.7, "ema": 0.5},
}


def network():
    return cr.Network([6, 40, 3], activation="tanh", loss="softmax_cross_entropy", seed=1)


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("optimizer", OPTIMIZERS, ids=lambda o: type(o).__name__)
def test_resumed_training_equals_uninterrupted(optimizer, way):
    options = {"optimizer": optimizer, "batch_size": 16, **WAYS[way]}
    if isinstance(optimizer, cr.ScheduleFreeAdamW):
        options.pop("ema", None)
    once, twice = network(), network()
    whole = once.fit(X, y, epochs=10, **options)
    first = twice.fit(X, y, epochs=4, keep_state=True, **options)
    assert first.state.epoch == 4
    other = network()  # as in a new process: only the state is kept
    rest = other.fit(X, y, epochs=6, resume=first.state, **options)
    assert np.array_equal(once.parameters, other.parameters)
    assert np.array_equal([*first.loss, *rest.loss], whole.loss)
    assert np.array_equal([*first.learning_rate, *rest.learning_rate], whole.learning_rate)
    assert rest.state.epoch == 10


@pytest.mark.parametrize("batch_size", [None, 16])
def test_training_resumes_from_any_snapshot(batch_size):
    states = []
    once = network()
    options = {"optimizer": cr.AdamW(), "batch_size": batch_size, "ema": 0.5}
    once.fit(X, y, epochs=8, callbacks=[lambda logs: states.append(logs["snapshot"]())], **options)
    assert [state.epoch for state in states] == list(range(1, 9))
    for state in states[:-1]:
        other = network()
        other.fit(X, y, epochs=8 - state.epoch, resume=state, **options)
        assert np.array_equal(once.parameters, other.parameters)


def test_full_batch_and_lbfgs_training_resume_exactly():
    for optimizer in (cr.Adam(), cr.LBFGS(history=3)):
        once, twice = network(), network()
        once.fit(X, y, epochs=12, optimizer=optimizer)
        state = twice.fit(X, y, epochs=7, optimizer=optimizer, keep_state=True).state
        twice.fit(X, y, epochs=5, optimizer=optimizer, resume=state)
        assert np.array_equal(once.parameters, twice.parameters)


def test_state_of_another_network_or_optimizer_raises():
    state = network().fit(X, y, epochs=2, keep_state=True).state
    other = cr.Network([6, 4, 3], activation="tanh", loss="softmax_cross_entropy", seed=1)
    before = other.parameters.copy()
    with pytest.raises(ValueError, match="the network has"):
        other.fit(X, y, epochs=2, resume=state)
    with pytest.raises(ValueError, match="belongs to another optimizer"):
        network().fit(X, y, epochs=2, resume=state, optimizer=cr.LBFGS())
    with pytest.raises(ValueError, match="belongs to another optimizer"):
        network().fit(X, y, epochs=2, resume=state, optimizer=cr.RMSprop(centered=True))
    for optimizer in (cr.SGD(learning_rate=0.1), cr.Adagrad(), cr.Lion(learning_rate=0.01)):
        with pytest.raises(ValueError, match="belongs to another optimizer"):
            network().fit(X, y, epochs=2, resume=state, optimizer=optimizer)
    with pytest.raises(TypeError, match="TrainingState"):
        other.fit(X, y, epochs=2, resume={"epoch": 3})
    assert np.array_equal(other.parameters, before)


def test_lbfgs_reaches_the_optimum_of_scipy():
    data = load_breast_cancer()
    Z = (data.data - data.data.mean(axis=0)) / data.data.std(axis=0)
    net = cr.Network([30, 1], loss="binary_cross_entropy", dtype="float64", seed=0)
    params = [(net.weights[0].copy(), net.biases[0].copy())]

    def cost(theta):
        at = reference.unflatten(theta, params)
        z, a = reference.forward(at, Z, [], "binary_cross_entropy")
        grads, _ = reference.backward(at, z, a, data.target, [], "binary_cross_entropy", l2=0.01)
        return reference.cost(at, z[-1], data.target, "binary_cross_entropy", l2=0.01), reference.flatten(grads)

    optimum = scipy.optimize.minimize(
        cost,
        net.parameters.copy(),
        jac=True,
        method="L-BFGS-B",
        options={"gtol": 1e-10, "ftol": 1e-16, "maxiter": 1000},
    )
    history = net.fit(
        Z, data.target, l2=0.01, optimizer=cr.LBFGS(tolerance_gradient=1e-10, tolerance_change=1e-16), epochs=1000
    )
    assert history.stop_reason == "converged"
    assert abs(net.parameters - optimum.x).max() <= 1e-6
    assert net.loss(Z, data.target, l2=0.01) == pytest.approx(optimum.fun, rel=1e-12)


def test_lbfgs_stops_at_its_tolerances_and_evaluations():
    few = network().fit(X, y, optimizer=cr.LBFGS(max_evaluations=5), epochs=100)
    assert few.stop_reason == "max_evaluations"
    assert few.epochs <= 5
    loose = network().fit(X, y, optimizer=cr.LBFGS(tolerance_gradient=1e3), epochs=100)
    assert (loose.epochs, loose.stop_reason) == (1, "converged")
    with pytest.raises(ValueError, match="all rows in one batch"):
        network().fit(X, y, optimizer=cr.LBFGS(), batch_size=10)
    with pytest.raises(ValueError, match="not support groups, clipping"):
        network().fit(X, y, optimizer=cr.LBFGS(), clip_norm=1.0)


def test_resuming_without_a_criterion_keeps_the_last_epoch():
    """Without a criterion that looks for the best epoch, the last one stays."""
    options = {"optimizer": cr.Adam(learning_rate=0.05), "batch_size": 16}
    net = network()
    stop = cr.Stop(no_improvement=100)
    state = net.fit(X, y, epochs=20, validation=(V, v), stop=stop, keep_state=True, **options).state
    assert int(state.numbers["best_epoch"][0]) < 20
    net.fit(X, y, epochs=3, resume=state, **options)
    assert not np.array_equal(net.parameters, state.vectors["best"])


def test_late_snapshot_raises_and_snapshot_after_a_write_includes_it():
    logs, states = [], []
    net, other = network(), network()

    def write(log):
        logs.append(log)
        if log["epoch"] == 2:
            net.parameters[:] *= 0.5
            states.append(log["snapshot"]())

    net.fit(X, y, epochs=4, batch_size=16, callbacks=[write])
    with pytest.raises(RuntimeError, match="within on_epoch_end"):
        logs[-1]["snapshot"]()
    other.fit(X, y, epochs=2, batch_size=16, resume=states[0])
    assert np.array_equal(net.parameters, other.parameters)


@pytest.mark.parametrize("batch_size", [4, 16])
def test_exception_keeps_the_last_complete_step(batch_size):
    calls = []

    def loss(logits, labels, weight):
        calls.append(1)
        if len(calls) == 9:
            raise KeyError("enough")
        p = reference.softmax(logits)
        return 0.0, (p - np.eye(3)[labels]) / len(p)

    net, other = network(), network()
    with pytest.raises(KeyError):
        net.fit(X, y, batch_size=batch_size, shuffle=False, loss=loss, optimizer=cr.SGD(learning_rate=0.1), epochs=9)
    rows = [(i * batch_size) % len(X) for i in range(8)] if batch_size == 4 else [0, 16, 32, 48, 64, 80, 96, 0]
    for start in rows:
        part = slice(start, start + batch_size)
        other.fit(X[part], y[part], loss=loss, optimizer=cr.SGD(learning_rate=0.1), epochs=1)
    assert reference.error(net.parameters, other.parameters) < 1e-6


def test_failed_line_search_restores_parameters_and_converged_state_resumes():
    def loss(logits, labels, weight):
        calls.append(1)
        if len(calls) == 3:
            raise KeyError("enough")
        return (logits**2).mean(), 2 * logits / logits.size

    calls, net = [], network()
    before = net.parameters.copy()
    with pytest.raises(KeyError):
        net.fit(X, y, optimizer=cr.LBFGS(learning_rate=30.0), loss=loss, epochs=9)
    assert np.array_equal(net.parameters, before)  # not those of a trial
    converged = net.fit(X, y, optimizer=cr.LBFGS(tolerance_gradient=10.0), epochs=9, keep_state=True)
    again = net.fit(X, y, optimizer=cr.LBFGS(tolerance_gradient=10.0), epochs=9, resume=converged.state)
    assert again.loss.tolist() == converged.loss.tolist()
