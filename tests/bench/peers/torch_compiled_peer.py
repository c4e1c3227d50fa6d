"""PyTorch, compiled: forward, backward and optimizer in one full graph (needs a C++ compiler when run)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch.nn import functional as F

from peers import Session
from peers.torch_peer import epochs_of, loss_function, network, pairs, prediction, session_of_many, stacked
from workloads import Adam, Problem


def cost_of(problem: Problem) -> Callable[..., Any]:
    """Return the cost of one model as a function of its parameters and a batch."""
    loss = loss_function(problem.workload)
    activation = torch.tanh if problem.workload.activation == "tanh" else torch.relu

    def cost(params: list[torch.Tensor], x: torch.Tensor, y: torch.Tensor) -> Any:
        for i in range(0, len(params) - 2, 2):
            x = activation(F.linear(x, params[i], params[i + 1]))
        return loss(F.linear(x, params[-2], params[-1]), y)

    return cost


def compiled(problem: Problem, params: list[torch.Tensor], gradients_of: Callable[..., Any]) -> Callable[..., None]:
    """Return a step of all these parameters."""
    m, v = [torch.zeros_like(p) for p in params], [torch.zeros_like(p) for p in params]
    t = torch.zeros(())
    optimizer = problem.workload.optimizer
    assert optimizer is not None

    @torch.compile(fullgraph=True, dynamic=False)
    def step(x: torch.Tensor, y: torch.Tensor) -> None:
        gradients = gradients_of(params, x, y)
        t.add_(1)
        for i, g in enumerate(gradients):
            if isinstance(optimizer, Adam):
                m[i].mul_(0.9).add_(g, alpha=0.1)
                v[i].mul_(0.999).addcmul_(g, g, value=0.001)
                denominator = (v[i] / (1 - 0.999**t)).sqrt() + 1e-8
                params[i].sub_(optimizer.learning_rate / (1 - 0.9**t) * m[i] / denominator)
            elif optimizer.momentum:
                params[i].sub_(m[i].mul_(optimizer.momentum).add_(g), alpha=optimizer.learning_rate)
            else:
                params[i].sub_(g, alpha=optimizer.learning_rate)

    return torch.no_grad()(step)


def train(problem: Problem, n_threads: int, shuffle: bool) -> Session:
    torch.set_num_threads(n_threads)
    params = [p.detach() for p in network(problem).parameters()]
    step = compiled(problem, params, torch.func.grad(cost_of(problem)))
    return Session(epochs_of(problem, step, shuffle), lambda: pairs(params))


def train_many(problem: Problem, n_threads: int, shuffle: bool) -> Session:
    """All models in one step, by `vmap` over stacked parameters."""
    torch.set_num_threads(n_threads)
    params = [p.detach() for p in stacked(problem)]
    step = compiled(problem, params, torch.func.vmap(torch.func.grad(cost_of(problem))))
    return session_of_many(problem, step, params, shuffle)


def predict(problem: Problem, n_threads: int) -> Session:
    torch.set_num_threads(n_threads)
    net = network(problem).eval()
    return prediction(problem, torch.compile(lambda x: torch.softmax(net(x), 1), fullgraph=True, dynamic=False))
