"""More than 2^31 rows, in an address space of 6 GiB."""

import resource

import numpy as np

import chainrule as cr

resource.setrlimit(resource.RLIMIT_AS, (6 << 30, 6 << 30))
m = 2**31 + 8
X, y = (np.broadcast_to(np.float32(value), (m, 1)) for value in (2, 0))  # views of one number
integers = np.broadcast_to(np.int8(1), (m, 1))
net = cr.Network([1, 1], loss="squared_error", dtype="float32", seed=0)
net.parameters[:] = 1
TOO_LARGE = {
    "predict": lambda: net.predict(X),
    "predict integers": lambda: net.predict(integers),
    "gradients": lambda: net.loss_and_gradients(X, y, inputs=True),
    "fit": lambda: net.fit(X, y, batch_size=7, epochs=1),
    "validation": lambda: net.fit(X, y, epochs=1, validation=(integers, y)),
    "weights": lambda: net.fit(X, y, sample_weight=integers[:, 0], epochs=1),
    "wide network": lambda: cr.Network([2**16, 2**15 + 1], loss="squared_error", seed=0),
    "widest network": lambda: cr.Network([2**31 - 1, 2**31 - 1], loss="squared_error", seed=0),
    "parameters": lambda: cr.init_params([2**31 - 1, 2**31 - 1]),
}
IMPOSSIBLE = {
    "layer": lambda: cr.Network([m, 1], loss="squared_error"),
    "columns": lambda: net.predict(np.broadcast_to(np.float32(1), (2, m))),
    "targets": lambda: net.fit(X, y[:-1]),
}


def cost():
    print(net.loss(X, y))


def refused(name):
    """Print the error of a call, which must leave the network usable."""
    call, expected = (TOO_LARGE[name], MemoryError) if name in TOO_LARGE else (IMPOSSIBLE[name], ValueError)
    try:
        call()
    except expected as error:
        print(repr(error))
    assert net.parameters.tolist() == [1, 1]
    assert net.predict(X[:3]).tolist() == [[3.0]] * 3
