"""chainrule: one `fit` for all epochs of a run, with its history and its shuffling."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

import chainrule as cr
from chainrule import _core
from peers import Session
from workloads import Problem


def _network(problem: Problem, model: int = 0) -> cr.Network:
    w = problem.workload
    net = cr.Network(list(w.layer_sizes), activation=w.activation, loss=w.loss, dtype="float32", seed=0)
    for layer, (W, b) in enumerate(problem.params(model)):
        net.weights[layer][:] = W
        net.biases[layer][:] = b
    return net


def train(problem: Problem, n_threads: int, shuffle: bool) -> Session:
    w, net, X, y = problem.workload, _network(problem), problem.X, problem.y
    assert w.optimizer is not None
    optimizer = getattr(cr, type(w.optimizer).__name__)(**asdict(w.optimizer))
    batch_size = None if w.full_batch else w.batch

    def run(epochs: int) -> None:
        net.fit(X, y, optimizer=optimizer, batch_size=batch_size, epochs=epochs, shuffle=shuffle,
                n_threads=n_threads, seed=0)  # fmt: skip

    return Session(run, lambda: list(zip(net.weights, net.biases, strict=True)))


def train_many(problem: Problem, n_threads: int, shuffle: bool) -> Session:
    w, X, y = problem.workload, problem.X, problem.y
    nets = [_network(problem, model) for model in range(w.models)]
    assert w.optimizer is not None
    optimizer = getattr(cr, type(w.optimizer).__name__)(**asdict(w.optimizer))

    def run(epochs: int) -> None:
        cr.fit_many(nets, X, y, optimizer=optimizer, batch_size=w.batch, epochs=epochs, shuffle=shuffle,
                    n_threads=n_threads, seed=list(range(w.models)))  # fmt: skip

    return Session(run, lambda: [list(zip(net.weights, net.biases, strict=True)) for net in nets])


def predict(problem: Problem, n_threads: int) -> Session:
    cr.set_num_threads(n_threads)
    net, X = _network(problem), problem.X

    def run(calls: int) -> None:
        for _ in range(calls):
            net.predict(X)

    return Session(run, lambda: net.predict(X))


def machine(n_threads: int) -> dict[str, Any]:
    """Return the active instruction set, the caches, and the peak of the cores that this process is pinned to."""
    gflops = _core.peak_gflops("float32", n_threads, 0.1)
    return {"isa": cr.get_isa(), "caches": cr.build_config()["caches"], "gflops": gflops}
