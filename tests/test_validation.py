"""Held-out rows: the effect of their cost, the parameters that are kept however a fit ends, error messages."""

import numpy as np
import pytest
from models import problem

import chainrule as cr


def overfitting(seed=0):
    """A network and data on which the validation cost soon rises: two draws of noise."""
    net, _, X, Y, _ = problem([3, 20, 1], 30, "squared_error")
    rng = np.random.default_rng(seed)
    return net, X, Y, (rng.normal(size=(30, 3)), rng.normal(size=(30, 1)))


@pytest.mark.parametrize("end", ["patience", "epochs", "callback", "exception", "interrupt", "divergence"])
def test_best_parameters_are_kept_for_every_end_of_a_fit(end):
    net, X, Y, validation = overfitting()
    costs = []

    def watch(logs):
        costs.append(logs["validation"])
        if logs["epoch"] < 60:
            return None
        if end == "divergence":
            net.parameters[:] = np.inf
        if end == "exception":
            raise LookupError("enough")
        if end == "interrupt":
            raise KeyboardInterrupt
        return end == "callback"

    patience = 50 if end == "patience" else 1000
    options = {"validation": validation, "stop": cr.Stop(no_improvement=patience), "callbacks": [watch], "epochs": 80}
    errors = {"exception": LookupError, "interrupt": KeyboardInterrupt, "divergence": cr.DivergenceError}
    if end in errors:
        with pytest.raises(errors[end]):
            net.fit(X, Y, optimizer=cr.Adam(learning_rate=0.05), **options)
    else:
        net.fit(X, Y, optimizer=cr.Adam(learning_rate=0.05), **options)
    assert min(costs) < costs[-1]  # otherwise this test proves nothing
    assert net.loss(*validation) == min(costs)


def test_without_patience_an_interruption_keeps_the_last_step():
    net, X, Y, validation = overfitting()
    before = net.parameters.copy()

    def interrupt(logs):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        net.fit(X, Y, validation=validation, callbacks=[interrupt])
    assert not np.array_equal(net.parameters, before)


@pytest.mark.parametrize("patience", [None, 5])
def test_nan_validation_cost_raises(patience):
    net, X, Y, (X_held_out, Y_held_out) = overfitting()
    before = net.parameters.copy()
    X_held_out[3, 1] = np.nan
    with pytest.raises(cr.DivergenceError, match="validation cost"):
        net.fit(X, Y, validation=(X_held_out, Y_held_out), stop=cr.Stop(no_improvement=patience))
    assert np.array_equal(net.parameters, before)


@pytest.mark.parametrize("columns", [2, 4])
def test_errors_in_validation_data_name_the_argument(columns):
    net, X, Y, (X_held_out, Y_held_out) = overfitting()
    with pytest.raises(ValueError, match=rf"^validation: X has {columns} columns, the network expects 3"):
        net.fit(X, Y, validation=(np.ones((5, columns)), np.ones((5, 1))))
    with pytest.raises(ValueError, match=r"^validation: y has 29 rows, X has 30"):
        net.fit(X, Y, validation=(X_held_out, Y_held_out[1:]))
    with pytest.raises(ValueError, match=r"^y has 29 rows, X has 30"):
        net.fit(X, Y[1:], validation=(X_held_out, Y_held_out))
