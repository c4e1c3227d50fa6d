"""PyTorch, eager: fused optimizers, gradients set to None, batches by index."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch.nn import functional as F

from peers import Session
from workloads import Problem, Workload

torch.set_num_interop_threads(1)


def loss_function(workload: Workload) -> Callable[[Any, Any], Any]:
    """Return the mean loss of logits and targets."""
    if workload.loss == "softmax_cross_entropy":
        return F.cross_entropy
    if workload.loss == "binary_cross_entropy":
        return F.binary_cross_entropy_with_logits
    return lambda z, y: F.mse_loss(z, y, reduction="sum") * (0.5 / workload.batch)


def network(problem: Problem) -> torch.nn.Sequential:
    """Return a network with the starting parameters."""
    activation = torch.nn.Tanh if problem.workload.activation == "tanh" else torch.nn.ReLU
    modules: list[torch.nn.Module] = []
    for W, b in problem.params():
        linear = torch.nn.Linear(W.shape[1], W.shape[0])
        linear.weight.data, linear.bias.data = torch.from_numpy(W), torch.from_numpy(b)
        modules += [linear, activation()]
    return torch.nn.Sequential(*modules[:-1])


def epochs_of(problem: Problem, step: Callable[[Any, Any], object], shuffle: bool) -> Callable[[int], None]:
    """Return the loop that calls `step` with every batch of each epoch."""
    w, X, y = problem.workload, torch.from_numpy(problem.X), torch.from_numpy(problem.y)

    def run(epochs: int) -> None:
        for _ in range(epochs):
            if w.full_batch:
                step(X, y)
                continue
            order = torch.randperm(w.rows) if shuffle else torch.arange(w.rows)
            for rows in order.split(w.batch):
                step(X.index_select(0, rows), y.index_select(0, rows))

    return run


def pairs(parameters: list[Any]) -> list[tuple[Any, Any]]:
    """Return [W, b, W, b, ...] as NumPy pairs."""
    arrays = [p.detach().numpy() for p in parameters]
    return list(zip(arrays[::2], arrays[1::2], strict=True))


def train(problem: Problem, n_threads: int, shuffle: bool) -> Session:
    torch.set_num_threads(n_threads)
    w, net, loss = problem.workload, network(problem), loss_function(problem.workload)
    assert w.optimizer is not None
    settings = dict(vars(w.optimizer))
    make = getattr(torch.optim, type(w.optimizer).__name__)
    optimizer = make(net.parameters(), lr=settings.pop("learning_rate"), fused=True, **settings)

    def step(x: torch.Tensor, y: torch.Tensor) -> None:
        optimizer.zero_grad(set_to_none=True)
        loss(net(x), y).backward()
        optimizer.step()

    return Session(epochs_of(problem, step, shuffle), lambda: pairs(list(net.parameters())))


def train_many(problem: Problem, n_threads: int, shuffle: bool) -> Session:
    """All models in one step, by `vmap` over stacked parameters; one fused Adam."""
    torch.set_num_threads(n_threads)
    w, loss, net = problem.workload, loss_function(problem.workload), network(problem)
    names, params = [n for n, _ in net.named_parameters()], stacked(problem)
    assert w.optimizer is not None
    optimizer = torch.optim.Adam(params, lr=w.optimizer.learning_rate, fused=True)

    def cost(one: list[torch.Tensor], x: torch.Tensor, target: torch.Tensor) -> Any:
        return loss(torch.func.functional_call(net, dict(zip(names, one, strict=True)), (x,)), target)

    gradients = torch.func.vmap(torch.func.grad(cost))

    def step(x: torch.Tensor, target: torch.Tensor) -> None:
        with torch.no_grad():
            found = gradients(params, x, target)
        for p, g in zip(params, found, strict=True):
            p.grad = g
        optimizer.step()

    return session_of_many(problem, step, params, shuffle)


def stacked(problem: Problem) -> list[torch.Tensor]:
    """Return the models' parameters, each kind as one tensor."""
    flat = [[torch.from_numpy(p) for pair in params for p in pair] for params in problem.all_params()]
    return [torch.stack(same).requires_grad_() for same in zip(*flat, strict=True)]


def session_of_many(
    problem: Problem, step: Callable[[Any, Any], None], params: list[torch.Tensor], shuffle: bool
) -> Session:
    """Return the session that calls `step` with a batch of each model, each in its own order of the rows."""
    w, X, y = problem.workload, torch.from_numpy(problem.X), torch.from_numpy(problem.y)

    def run(epochs: int) -> None:
        for _ in range(epochs):
            order = torch.arange(w.rows).expand(w.models, -1)
            if shuffle:
                order = torch.rand(w.models, w.rows).argsort(dim=1)
            for rows in order.split(w.batch, dim=1):
                step(X[rows], y[rows])

    return Session(run, lambda: [pairs([p[k] for p in params]) for k in range(w.models)])


def prediction(problem: Problem, forward: Callable[[Any], Any]) -> Session:
    """Return the session that calls `forward` with all rows."""
    X = torch.from_numpy(problem.X)

    @torch.inference_mode()
    def run(calls: int) -> Any:
        for _ in range(calls):
            result = forward(X)
        return result

    return Session(run, lambda: run(1).numpy())


def predict(problem: Problem, n_threads: int) -> Session:
    torch.set_num_threads(n_threads)
    net = network(problem).eval()
    return prediction(problem, lambda x: torch.softmax(net(x), 1))
