"""JAX: gather and all steps of an epoch in one jitted `lax.scan`; a full batch in one `fori_loop` over the epochs.

The permutation comes from NumPy, which makes it in a tenth of the time of `jax.random.permutation`.
"""

from __future__ import annotations

from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from peers import Session
from workloads import Adam, Problem, Workload


def _params(problem: Problem) -> Any:
    return [(jnp.array(W.T), jnp.array(b)) for W, b in problem.params()]


def _logits(workload: Workload, params: Any, x: Any) -> Any:
    activation = jnp.tanh if workload.activation == "tanh" else jax.nn.relu
    for W, b in params[:-1]:
        x = activation(x @ W + b)
    return x @ params[-1][0] + params[-1][1]


def _cost(workload: Workload, params: Any, x: Any, y: Any) -> Any:
    z = _logits(workload, params, x)
    if workload.loss == "softmax_cross_entropy":  # the one-hot product's gradient is cheaper than a scatter
        return -(jax.nn.one_hot(y, z.shape[1]) * jax.nn.log_softmax(z)).sum() / len(z)
    if workload.loss == "binary_cross_entropy":
        return (jax.nn.softplus(z) - y * z).mean()
    return 0.5 * ((z - y) ** 2).sum() / len(z)


def _step(workload: Workload, state: Any, x: Any, y: Any) -> Any:
    params, m, v, t = state
    g = jax.grad(lambda p: _cost(workload, p, x, y))(params)
    optimizer, each = workload.optimizer, jax.tree.map
    assert optimizer is not None
    rate = optimizer.learning_rate
    if isinstance(optimizer, Adam):
        t = t + 1
        m = each(lambda m, g: 0.9 * m + 0.1 * g, m, g)
        v = each(lambda v, g: 0.999 * v + 0.001 * g * g, v, g)
        scale, correction = rate / (1 - 0.9**t), 1 / (1 - 0.999**t)
        g = each(lambda m, v: scale * m / (jnp.sqrt(v * correction) + 1e-8), m, v)
        return each(lambda p, g: p - g, params, g), m, v, t
    if optimizer.momentum:
        g = m = each(lambda m, g: optimizer.momentum * m + g, m, g)
    return each(lambda p, g: p - rate * g, params, g), m, v, t


def train(problem: Problem, n_threads: int, shuffle: bool) -> Session:
    w, X, y = problem.workload, jnp.array(problem.X), jnp.array(problem.y)
    rng, zeros = np.random.default_rng(0), jax.tree.map(jnp.zeros_like, _params(problem))
    adam, momentum = isinstance(w.optimizer, Adam), getattr(w.optimizer, "momentum", 0)
    state = (_params(problem), zeros if adam or momentum else (), jax.tree.map(jnp.copy, zeros) if adam else (),
             jnp.zeros(()))  # fmt: skip

    @partial(jax.jit, donate_argnums=0)
    def steps(state: Any, X: Any, y: Any, n: int) -> Any:
        return lax.fori_loop(0, n, lambda _, state: _step(w, state, X, y), state)

    @partial(jax.jit, donate_argnums=0)
    def epoch(state: Any, X: Any, y: Any, order: Any) -> Any:
        def body(state: Any, rows: Any) -> Any:
            x, target = (a.at[rows].get(mode="promise_in_bounds", unique_indices=True) for a in (X, y))
            return _step(w, state, x, target), None

        return lax.scan(body, state, order.reshape(-1, w.batch))[0]

    def run(epochs: int) -> None:
        nonlocal state
        if w.full_batch:
            state = steps(state, X, y, epochs)
        for _ in range(0 if w.full_batch else epochs):
            order = rng.permutation(w.rows) if shuffle else np.arange(w.rows)
            state = epoch(state, X, y, order.astype(np.int32))
        jax.block_until_ready(state)

    return Session(run, lambda: [(np.asarray(W).T, np.asarray(b)) for W, b in state[0]])


def train_many(problem: Problem, n_threads: int, shuffle: bool) -> Session:
    """All models in one step, by `vmap`; all epochs in one scan."""
    w, X, y = problem.workload, jnp.array(problem.X), jnp.array(problem.y)
    assert isinstance(w.optimizer, Adam)
    each = [[(W.T, b) for W, b in params] for params in problem.all_params()]
    params = jax.tree.map(lambda *arrays: jnp.stack(arrays), *each)
    zeros = jax.tree.map(jnp.zeros_like, params)
    state = (params, zeros, jax.tree.map(jnp.copy, zeros), jnp.zeros(w.models))
    rng = np.random.default_rng(0)

    @partial(jax.jit, donate_argnums=0)
    def steps(state: Any, X: Any, y: Any, order: Any) -> Any:
        def body(state: Any, rows: Any) -> Any:  # rows: (models, batch)
            return jax.vmap(lambda one, r: _step(w, one, X[r], y[r]))(state, rows), None

        return lax.scan(body, state, order)[0]

    def run(epochs: int) -> None:
        nonlocal state
        rows = np.broadcast_to(np.arange(w.rows, dtype=np.int32), (epochs, w.models, w.rows))
        order = rng.permuted(rows, axis=2) if shuffle else rows
        batches = order.reshape(epochs, w.models, -1, w.batch).swapaxes(1, 2).reshape(-1, w.models, w.batch)
        state = jax.block_until_ready(steps(state, X, y, batches))

    def result() -> Any:
        return [[(np.asarray(W[k]).T, np.asarray(b[k])) for W, b in state[0]] for k in range(w.models)]

    return Session(run, result)


def predict(problem: Problem, n_threads: int) -> Session:
    params, X = _params(problem), jnp.array(problem.X)
    forward = jax.jit(lambda params, x: jax.nn.softmax(_logits(problem.workload, params, x)))

    def run(calls: int) -> Any:
        for _ in range(calls):
            result = forward(params, X).block_until_ready()
        return result

    return Session(run, lambda: np.asarray(run(1)))
