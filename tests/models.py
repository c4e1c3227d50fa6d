"""Makes networks with given parameters, for comparison with the oracle."""

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
