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

# Names are checked, and results have types.
cr.Network([2, 1], loss="mse")  # type: ignore[arg-type]
cr.Network([2, 1], loss="huber", activation="swish")  # type: ignore[arg-type]
cr.Network([2, 1], loss=cr.Huber(2.0), init="zeros")  # type: ignore[arg-type]
nets[0].fit(X, y, metrics=["accuracy", lambda truth, found: 1.0])
nets[0].fit(X, y, metrics=["f1"])  # type: ignore[list-item]
nets[0].fit(X, y, precision="float16")  # type: ignore[arg-type]
cr.MLPClassifier(activation="swish")  # type: ignore[arg-type]
cr.MLPClassifier(solver="adamw")  # type: ignore[arg-type]
cr.MLPClassifier(eval_metric="f1")  # type: ignore[arg-type]
cr.MLPRegressor(loss="mse")  # type: ignore[arg-type]
cr.TableRegressor(effort="best")  # type: ignore[arg-type]

classifier: cr.MLPClassifier = cr.MLPClassifier(solver=cr.Adam(), eval_metric="auc").fit(X, y)
table: cr.TableRegressor = cr.TableRegressor(loss="poisson").fit(X, y)
rows: int = len(classifier.predict(X)) + len(table.predict(X)) + nets[0].predict(X).shape[0]
