"""Schedules without a length use the length of the first fit, which must have more than one epoch."""

import numpy as np
import pytest

import chainrule as cr

random = np.random.default_rng(0)
X = random.normal(size=(60, 3))
Y = X[:, 0]
SCHEDULES = {"Cosine": cr.Cosine(), "Cosine with a warm-up": cr.Cosine(warmup=0.5), "OneCycle": cr.OneCycle()}
RATES = ["learning_rate", "weight_decay", "dropout"]


def network():
    return cr.Network([3, 8, 1], loss="squared_error", seed=0)


def settings(schedules):
    return {"optimizer": cr.AdamW(), "batch_size": 20, "dropout": 0.1, "schedules": schedules}


@pytest.mark.parametrize("rate", RATES)
@pytest.mark.parametrize("name", SCHEDULES)
def test_schedule_without_length_raises_for_one_epoch(name, rate):
    net = network()
    before = net.parameters.copy()
    options = settings({rate: SCHEDULES[name]}) | {"epochs": 1}
    message = (
        rf"schedules: {name.split()[0]} of {rate} has no length, and a fit of one epoch is too short for it: "
        "set its epochs"
    )
    with pytest.raises(ValueError, match=message):
        net.fit(X, Y, **options)
    with pytest.raises(ValueError, match=r"^networks\[0\]: " + message):
        cr.fit_many([net], X, Y, **options)
    assert np.array_equal(net.parameters, before)


def test_schedule_with_its_own_length_is_accepted():
    for schedule in (cr.Cosine(epochs=5), cr.OneCycle(epochs=5), cr.Cosine(restart_every=2), cr.Cosine(epochs=1)):
        history = network().fit(X, Y, **settings(schedule), epochs=1)
        assert history.epochs == 1
    history = network().fit(X, Y, **settings(cr.Cosine()), epochs=2)
    assert (history.learning_rate > 0).all()


@pytest.mark.parametrize("rate", RATES)
@pytest.mark.parametrize("name", SCHEDULES)
def test_resuming_beyond_the_length_of_the_first_fit_raises(name, rate):
    net, options = network(), settings({rate: SCHEDULES[name]})
    state = net.fit(X, Y, **options, epochs=4, keep_state=True).state
    before = net.parameters.copy()
    message = (
        rf"{name.split()[0]} of {rate} ends with epoch 4, "
        "the length of the first fit, and this fit continues to epoch 5"
    )
    with pytest.raises(ValueError, match=message):
        net.fit(X, Y, **options, epochs=1, resume=state)
    assert np.array_equal(net.parameters, before)
    net.fit(X, Y, **settings({rate: cr.Cosine(epochs=10)}), epochs=6, resume=state)


@pytest.mark.parametrize("done", [1, 6, 9])
@pytest.mark.parametrize("name", SCHEDULES)
def test_interrupted_fit_resumes_to_its_length(name, done):
    once, twice, options = network(), network(), settings(SCHEDULES[name])
    whole = once.fit(X, Y, **options, epochs=10)
    stop = [lambda logs: logs["epoch"] == done]
    first = twice.fit(X, Y, **options, epochs=10, callbacks=stop, keep_state=True)
    rest = twice.fit(X, Y, **options, epochs=10 - done, resume=first.state)
    assert np.array_equal(np.r_[first.learning_rate, rest.learning_rate], whole.learning_rate)
    assert np.array_equal(once.parameters, twice.parameters)
