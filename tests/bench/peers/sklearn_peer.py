"""scikit-learn: `fit` with warm start and alpha=0, so that a run of any number of epochs is one call."""

from __future__ import annotations

import warnings
from typing import Any

from sklearn.exceptions import ConvergenceWarning
from sklearn.neural_network import MLPClassifier, MLPRegressor

from peers import Session, one_after_the_other
from workloads import Adam, Problem

warnings.simplefilter("ignore", ConvergenceWarning)


def _fitted(problem: Problem, shuffle: bool, model: int = 0) -> MLPClassifier | MLPRegressor:
    """Return an estimator initialized for the shape of the data, with the starting parameters."""
    w = problem.workload
    make = MLPRegressor if w.loss == "squared_error" else MLPClassifier
    optimizer = w.optimizer or Adam()
    net = make(hidden_layer_sizes=w.layer_sizes[1:-1], activation=w.activation, alpha=0, batch_size=w.batch,
               shuffle=shuffle, solver="adam" if isinstance(optimizer, Adam) else "sgd",
               learning_rate_init=optimizer.learning_rate, momentum=getattr(optimizer, "momentum", 0),
               nesterovs_momentum=False, tol=0, random_state=0, n_iter_no_change=2**62)  # fmt: skip
    few = slice(0, max(w.batch, 1000))
    X, y = problem.X[few], _targets(problem)[few]
    classes = {} if make is MLPRegressor else {"classes": range(max(w.layer_sizes[-1], 2))}
    net.partial_fit(X, y, **classes)
    net.warm_start = True
    for layer, (W, b) in enumerate(problem.params(model)):
        net.coefs_[layer][:] = W.T
        net.intercepts_[layer][:] = b
    return net


def _targets(problem: Problem) -> Any:
    y = problem.y
    if problem.workload.loss == "binary_cross_entropy":
        return y.ravel().astype(int)
    return y.ravel() if y.ndim == 2 and y.shape[1] == 1 else y


def train(problem: Problem, n_threads: int, shuffle: bool, model: int = 0) -> Session:
    net, X, y = _fitted(problem, shuffle, model), problem.X, _targets(problem)

    def run(epochs: int) -> None:
        net.set_params(max_iter=epochs).fit(X, y)

    return Session(run, lambda: [(W.T, b) for W, b in zip(net.coefs_, net.intercepts_, strict=True)])


def train_many(problem: Problem, n_threads: int, shuffle: bool) -> Session:
    models = range(problem.workload.models)
    return one_after_the_other([train(problem, n_threads, shuffle, model) for model in models])


def predict(problem: Problem, n_threads: int) -> Session:
    net, X = _fitted(problem, False), problem.X

    def run(calls: int) -> None:
        for _ in range(calls):
            net.predict_proba(X)

    return Session(run, lambda: net.predict_proba(X))
