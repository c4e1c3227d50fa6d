"""PyTorch, compiled: forward, backward and optimizer in one full graph (needs a C++ compiler when run)."""

from __future__ import annotations

from typing import Any

import torch
from torch.nn import functional as F

from peers import Session
from peers.torch_peer import epochs_of, loss_function, network, pairs, prediction
from workloads import Adam, Problem


def train(problem: Problem, n_threads: int, shuffle: bool) -> Session:
    torch.set_num_threads(n_threads)
    w, loss = problem.workload, loss_function(problem.workload)
    params = [p.detach() for p in network(problem).parameters()]
    m, v = [torch.zeros_like(p) for p in params], [torch.zeros_like(p) for p in params]
    t = torch.zeros(())
    optimizer, activation = w.optimizer, torch.tanh if w.activation == "tanh" else torch.relu
    assert optimizer is not None

    def cost(params: list[torch.Tensor], x: torch.Tensor, y: torch.Tensor) -> Any:
        for i in range(0, len(params) - 2, 2):
            x = activation(F.linear(x, params[i], params[i + 1]))
        return loss(F.linear(x, params[-2], params[-1]), y)

    @torch.compile(fullgraph=True, dynamic=False)
    def step(x: torch.Tensor, y: torch.Tensor) -> None:
        gradients = torch.func.grad(cost)(params, x, y)
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

    return Session(epochs_of(problem, torch.no_grad()(step), shuffle), lambda: pairs(params))


def predict(problem: Problem, n_threads: int) -> Session:
    torch.set_num_threads(n_threads)
    net = network(problem).eval()
    return prediction(problem, torch.compile(lambda x: torch.softmax(net(x), 1), fullgraph=True, dynamic=False))
