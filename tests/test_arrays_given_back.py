"""Arrays that are not training data: training states, results of the caller's functions, tables and their targets.
Each call returns the right result or raises TypeError or ValueError; it never crashes or returns a wrong result."""

import dataclasses

import numpy as np
import pytest
from test_arrays import LAYOUTS, REFUSED, WRONG_SHAPES

import chainrule as cr
from chainrule import TableEncoder
from chainrule.cli._rows import TargetEncoder

random = np.random.default_rng(0)
X, values = random.normal(size=(20, 3)), random.normal(size=20)
dtypes = pytest.mark.parametrize("dtype", ["float32", "float64"])
layouts = pytest.mark.parametrize("layout", LAYOUTS)


def network(dtype="float64"):
    return cr.Network([3, 4, 1], loss="squared_error", dtype=dtype, seed=0)


def trained(dtype):
    net = network(dtype)
    return net, net.fit(X, values, epochs=2, keep_state=True).state


def resumed(net, state):
    twin = network(str(net.dtype))
    twin.parameters[:] = net.parameters
    twin.fit(X, values, epochs=2, resume=state)
    return twin.parameters


def changed(state, change, name=None):
    parts = {
        part: {key: change(array) if name in (None, key) else array for key, array in getattr(state, part).items()}
        for part in ("numbers", "vectors")
    }
    return dataclasses.replace(state, **parts)


@dtypes
@layouts
def test_states_in_any_array_layout_resume_exactly(dtype, layout, tmp_path):
    net, state = trained(dtype)
    want = resumed(net, state)
    other = changed(state, LAYOUTS[layout])
    if layout != "list" or dtype == "float64":  # NumPy converts lists to float64
        assert np.array_equal(resumed(net, other), want)
        cr.save_checkpoint(tmp_path / "file", net, other)
        assert np.array_equal(resumed(*cr.load_checkpoint(tmp_path / "file")), want)


@dtypes
@pytest.mark.parametrize("kind", [*REFUSED, *WRONG_SHAPES])
@pytest.mark.parametrize("name", ["first_moment", "optimizer"])
def test_states_of_wrong_type_or_shape_raise(dtype, kind, name, tmp_path):
    net, state = trained(dtype)
    assert name in {**state.vectors, **state.numbers}
    wrong = changed(state, REFUSED.get(kind) or WRONG_SHAPES[kind], name)
    with pytest.raises((TypeError, ValueError), match=name):
        resumed(net, wrong)
    if kind in REFUSED:
        with pytest.raises(TypeError, match=name):
            cr.save_checkpoint(tmp_path / "file", net, wrong)
        assert not list(tmp_path.iterdir())


NUMBERS = [1, 0.5, True, np.float16(0.5), np.int8(1), np.array(0.5), np.array(0.5, ">f8"), np.bool_(True)]
NO_NUMBERS = [None, "1", b"1", 1j, np.complex64(1), np.array(1j), [1.0], object(), np.datetime64("2020"), np.ones(2)]


def with_metric(answer):
    held_out = {"validation": (X, values), "metrics": [lambda y, p: answer]}
    return network().fit(X, values, epochs=1, **held_out).metrics["<lambda>"][0]


def with_schedule(answer):
    optimizer = cr.SGD(learning_rate=1.0)
    return network().fit(X, values, epochs=1, optimizer=optimizer, schedules=lambda epoch: answer).learning_rate[0]


def with_loss(answer):
    return network().fit(X, values, epochs=1, loss=lambda z, y, w: (answer, np.zeros_like(z))).loss[0]


with_functions = pytest.mark.parametrize("call", [with_metric, with_schedule, with_loss])


@with_functions
@pytest.mark.parametrize("answer", NUMBERS, ids=repr)
def test_functions_may_return_any_real_number(call, answer):
    assert call(answer) == float(answer)


@with_functions
@pytest.mark.parametrize("answer", NO_NUMBERS, ids=lambda answer: type(answer).__name__)
def test_results_that_are_not_real_numbers_raise_type_error(call, answer):
    with pytest.raises(TypeError, match=r"returned.* is .*, expected a number$"):
        call(answer)


@layouts
def test_custom_metrics_and_losses_may_return_any_layout(layout):
    def fitted(change):
        net = network()
        held_out = {"validation": (X, values), "metrics": [lambda y, p: change(np.atleast_1d(y - p)).sum()]}
        history = net.fit(X, values, epochs=2, loss=lambda z, y, w: (1.0, change(z - 0.5)), **held_out)
        return [*net.parameters, *history.metrics["<lambda>"]]

    assert np.array_equal(fitted(lambda x: np.asarray(LAYOUTS[layout](x))), fitted(np.asarray))


@pytest.mark.parametrize("kind", [*REFUSED, *WRONG_SHAPES])
def test_wrong_gradients_of_a_custom_loss_raise(kind):
    net = network()
    before = net.parameters.copy()
    change = REFUSED.get(kind) or WRONG_SHAPES[kind]
    with pytest.raises((TypeError, ValueError), match=r"^(the gradient that )?loss returned"):
        net.fit(X, values, loss=lambda z, y, w: (1.0, change(z)))
    assert np.array_equal(net.parameters, before)


# Each takes (X, y).
ENCODERS = {
    "TableEncoder.fit": lambda X, y: TableEncoder().fit(X).transform(np.ones((2, 3))),
    "TableEncoder.transform": lambda X, y: TableEncoder().fit(np.eye(3)).transform(X),
    "TargetEncoder.fit": lambda X, y: TargetEncoder().fit(y).transform(y),
    "TargetEncoder.transform": lambda X, y: TargetEncoder().fit(values).transform(y),
}
encoders = pytest.mark.parametrize("name", ENCODERS)


@layouts
@encoders
def test_encoders_accept_every_layout(name, layout):
    arguments = X, values
    got = ENCODERS[name](*map(LAYOUTS[layout], arguments))
    assert np.array_equal(got, ENCODERS[name](*arguments))


@pytest.mark.parametrize("dtype", ["float32", "float16", "int8", "uint8", "int64", "uint64"])
@encoders
def test_encoders_accept_every_real_dtype(name, dtype):
    arguments = [(abs(array) * 30).astype(dtype) for array in (X, values)]
    got = ENCODERS[name](*arguments)
    assert np.array_equal(got, ENCODERS[name](*(array.astype(float) for array in arguments)))


@pytest.mark.parametrize("kind", ["complex", "record", "None", "0-d", "a dimension too few", "3-d", "(n, 0)", "(0, 0)"])
@encoders
def test_encoders_raise_on_values_that_are_not_columns(name, kind):
    change = REFUSED.get(kind) or WRONG_SHAPES[kind]
    with pytest.raises((TypeError, ValueError)):
        ENCODERS[name](*map(change, (X, values)))
