"""Calls for mypy to check, never run: each wrong one is marked, and an unused mark is an error."""

import numpy as np

import chainrule as cr

X, y = np.zeros((4, 2)), np.zeros(4)
nets = [cr.Network([2, 1], loss="squared_error", seed=seed) for seed in range(2)]

nets[0].fit(
    X,
    y,
    optimizer=cr.SGD(learning_rate=0.1),
    epochs=2,
    batch_size=None,
    dropout=[0.1],
    schedules={"dropout": cr.Cosine()},
)
nets[0].fit(X, y, epochs="2")  # type: ignore[arg-type]
nets[0].fit(X, y, epochs=[2, 3])  # type: ignore[arg-type]
nets[0].fit(X, y, epoch=2)  # type: ignore[call-arg]

cr.fit_many(nets, X, y, optimizer=[cr.SGD(learning_rate=0.1), cr.Adam()], epochs=[2, 3], batch_size=None, rows=[0, 1])
cr.fit_many(nets, X, y, epochs="2")  # type: ignore[arg-type]
cr.fit_many(nets, X, y, stop=3)  # type: ignore[arg-type]
cr.fit_many(nets, X, y, epoch=2)  # type: ignore[call-arg]
