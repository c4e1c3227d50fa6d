"""Makes networks with given parameters, for comparison with the oracle."""

import numpy as np
import reference

import chainrule as cr


def loss_for(name, outputs):
    """Return the loss of this name with the parameters that the oracle uses."""
    return cr.Quantile(levels=reference.levels_of(outputs)) if name == "quantile" else name


def network(params, activation="tanh", loss="squared_error"):
    """A network with these parameters."""
    sizes = [params[0][0].shape[1], *(len(b) for _, b in params)]
    net = cr.Network(sizes, activation=activation, loss=loss_for(loss, sizes[-1]), dtype=params[0][0].dtype, seed=0)
    net.parameters[:] = reference.flatten(params)
    return net


def problem(sizes, m, loss="squared_error", activation="tanh", dtype="float64"):
    params, X, Y, w = reference.problem(sizes, m, loss, dtype=dtype)
    return network(params, activation, loss), params, X, Y, w


def assert_fit_many_equals_fits(make, X, Y):
    """Train three networks on folds of the rows, in one call and alone on copies of the rows."""
    folds = np.arange(len(Y)) % 3
    alone, together = [make() for _ in range(3)], [make() for _ in range(3)]
    masks = [folds != k for k in range(3)]
    histories = cr.fit_many(together, X, Y, rows=masks, validation=[~mask for mask in masks], epochs=3, batch_size=16)
    for net, other, mask, history in zip(alone, together, masks, histories, strict=True):
        expected = net.fit(X[mask], Y[mask], validation=(X[~mask], Y[~mask]), epochs=3, batch_size=16)
        assert np.array_equal(net.parameters, other.parameters)
        assert np.array_equal(history.validation, expected.validation)
