"""A reference implementation in plain NumPy, for any number of layers, written to be short and easy to check.

The tests compare chainrule with it. Rows are examples. W[l] has shape (n_l, n_{l-1}); params is a list of (W, b).
"""

import math
from itertools import pairwise

import numpy as np


def logistic(z):
    return np.exp(-np.logaddexp(0, -z))


def softmax(z):
    return np.exp(z - np.logaddexp.reduce(z, axis=1, keepdims=True))


def identity(z):
    return z


def elu(z):
    return np.where(z > 0, z, np.expm1(np.minimum(z, 0)))


def elu_slope(z):
    return np.where(z > 0, 1, np.exp(np.minimum(z, 0)))


def normal(z):
    """The cumulative distribution function of the standard normal distribution."""
    return np.vectorize(math.erfc, otypes=[float])(-z / np.sqrt(2)) / 2


def gelu_tanh(z):
    return z / 2 * (1 + np.tanh(np.sqrt(2 / np.pi) * (z + 0.044715 * z**3)))


def gelu_tanh_slope(z):
    t = np.tanh(np.sqrt(2 / np.pi) * (z + 0.044715 * z**3))
    return (1 + t) / 2 + z / 2 * (1 - t**2) * np.sqrt(2 / np.pi) * (1 + 3 * 0.044715 * z**2)


def mish_slope(z):
    t = np.tanh(np.logaddexp(0, z))
    return t + z * (1 - t**2) * logistic(z)


SELU, SELU_ALPHA = 1.0507009873554804934193349852946, 1.6732632423543772848170429916717


# name: (g, g')
ACTIVATIONS = {
    "identity": (identity, np.ones_like),
    "logistic": (logistic, lambda z: logistic(z) * logistic(-z)),
    "tanh": (np.tanh, lambda z: 1 - np.tanh(z) ** 2),
    "relu": (lambda z: np.maximum(z, 0), lambda z: np.where(z > 0, 1.0, 0.0)),
    "leaky_relu": (lambda z: np.where(z > 0, z, 0.01 * z), lambda z: np.where(z > 0, 1.0, 0.01)),
    "elu": (elu, elu_slope),
    "selu": (
        lambda z: SELU * np.where(z > 0, z, SELU_ALPHA * elu(z)),
        lambda z: SELU * np.where(z > 0, 1, SELU_ALPHA * elu_slope(z)),
    ),
    "gelu": (lambda z: z * normal(z), lambda z: normal(z) + z * np.exp(-(z**2) / 2) / np.sqrt(2 * np.pi)),
    "gelu_tanh": (gelu_tanh, gelu_tanh_slope),
    "silu": (lambda z: z * logistic(z), lambda z: logistic(z) * (1 + z * logistic(-z))),
    "softplus": (lambda z: np.logaddexp(0, z), logistic),
    "mish": (lambda z: z * np.tanh(np.logaddexp(0, z)), mish_slope),
    "hard_tanh": (lambda z: np.clip(z, -1, 1), lambda z: np.where(abs(z) < 1, 1.0, 0.0)),
    "sin": (np.sin, np.cos),
    "softsign": (lambda z: z / (1 + abs(z)), lambda z: (1 + abs(z)) ** -2.0),
}


def huber(z, y, delta=1):
    d = abs(z - y)
    return np.where(d <= delta, d**2 / 2, delta * (d - delta / 2)).sum(axis=1)


def levels_of(n):
    """Return the levels of the quantiles that n outputs estimate."""
    return np.arange(1, n + 1) / (n + 1)


def quantile(z, y):
    d, levels = z - y, levels_of(z.shape[1])
    return np.maximum((1 - levels) * d, -levels * d).sum(axis=1)


def quantile_slope(z, y):
    levels = levels_of(z.shape[1])
    return (z > y) * (1 - levels) - (z < y) * levels


def smoothed(y, smoothing):
    return (1 - smoothing) * y + smoothing / y.shape[1]


def cross_entropy(z, y, smoothing=0):
    return (smoothed(y, smoothing) * (np.logaddexp.reduce(z, axis=1, keepdims=True) - z)).sum(axis=1)


def cross_entropy_slope(z, y, smoothing=0):
    t = smoothed(y, smoothing)
    return softmax(z) * t.sum(axis=1, keepdims=True) - t


def poisson(z, y):
    return (np.exp(z) - y * z + y * np.log(np.where(y > 0, y, 1)) - y).sum(axis=1)


def gamma(z, y):
    return (z - np.log(y) + y * np.exp(-z) - 1).sum(axis=1)


def tweedie(z, y, power=1.5):
    a, b = 2 - power, 1 - power
    return (np.exp(a * z) / a - y * np.exp(b * z) / b + y**a / (a * b)).sum(axis=1)


# name: (output activation, loss of each row from its logits, its derivative with respect to the logits)
LOSSES = {
    "binary_cross_entropy": (
        logistic,
        lambda z, y: (np.logaddexp(0, z) - y * z).sum(axis=1),
        lambda z, y: logistic(z) - y,
    ),
    "softmax_cross_entropy": (softmax, cross_entropy, cross_entropy_slope),
    "squared_error": (identity, lambda z, y: 0.5 * ((z - y) ** 2).sum(axis=1), lambda z, y: z - y),
    "absolute_error": (identity, lambda z, y: abs(z - y).sum(axis=1), lambda z, y: np.sign(z - y)),
    "huber": (identity, huber, lambda z, y, delta=1: np.clip(z - y, -delta, delta)),
    "quantile": (identity, quantile, quantile_slope),
    "poisson": (np.exp, poisson, lambda z, y: np.exp(z) - y),
    "gamma": (np.exp, gamma, lambda z, y: 1 - y * np.exp(-z)),
    "tweedie": (
        np.exp,
        tweedie,
        lambda z, y, power=1.5: np.exp((2 - power) * z) - y * np.exp((1 - power) * z),
    ),
}


def piecewise_linear(x, edges):
    """Features of a binned number: 1 for each bin below x, the fraction for the bin of x, 0 for each bin above."""
    return np.clip((x[:, None] - edges[:-1]) / np.diff(edges), 0, 1)


def targets(y, n_out, loss):
    """Return Y as (m, n_out). Class numbers become rows with a single 1; one column of values is repeated."""
    if y.ndim == 1 and loss == "softmax_cross_entropy":
        return np.eye(n_out)[y.astype(int)]
    return np.broadcast_to(y.reshape(len(y), -1), (len(y), n_out))


def forward(params, X, activations, loss):
    z, a = [], [X]
    functions = [ACTIVATIONS[name][0] for name in activations] + [LOSSES[loss][0]]
    for (W, b), g in zip(params, functions, strict=True):
        z.append(a[-1] @ W.T + b)
        a.append(g(z[-1]))
    return z, a


def cost(params, logits, Y, loss, w=None, l2=0.0, **settings):
    w = np.ones(len(logits)) if w is None else w
    L = LOSSES[loss][1](logits, targets(Y, logits.shape[1], loss), **settings)
    return (w * L).sum() / w.sum() + l2 / 2 * sum((W**2).sum() for W, b in params)


def backward(params, z, a, Y, activations, loss, w=None, l2=0.0, **settings):
    """Return the gradients with respect to the parameters and to X."""
    w = np.ones(len(Y)) if w is None else w
    dZ = LOSSES[loss][2](z[-1], targets(Y, z[-1].shape[1], loss), **settings) * (w / w.sum())[:, None]
    grads = []
    for layer in range(len(params), 0, -1):  # a layer maps a[layer - 1] to z[layer - 1] and a[layer]
        W, _ = params[layer - 1]
        grads.insert(0, (dZ.T @ a[layer - 1] + l2 * W, dZ.sum(axis=0)))
        dA = dZ @ W
        if layer > 1:
            dZ = dA * ACTIVATIONS[activations[layer - 2]][1](z[layer - 2])
    return grads, dA


def sgd(theta, g, state, learning_rate, momentum=0.0, nesterov=False):
    v = state["v"] = momentum * state.get("v", 0) + g
    return theta - learning_rate * (g + momentum * v if nesterov else v)


def adam(theta, g, state, learning_rate=1e-3, beta1=0.9, beta2=0.999, epsilon=1e-8):
    t = state["t"] = state.get("t", 0) + 1
    m = state["m"] = beta1 * state.get("m", 0) + (1 - beta1) * g
    v = state["v"] = beta2 * state.get("v", 0) + (1 - beta2) * g**2
    return theta - learning_rate * (m / (1 - beta1**t)) / (np.sqrt(v / (1 - beta2**t)) + epsilon)


def flatten(params):
    return np.concatenate([x.ravel(order="F") for pair in params for x in pair])


def unflatten(theta, like):
    shapes = [x.shape for pair in like for x in pair]
    parts = np.split(theta, np.cumsum([np.prod(s) for s in shapes])[:-1])
    arrays = [part.reshape(shape, order="F") for part, shape in zip(parts, shapes, strict=True)]
    return list(zip(arrays[::2], arrays[1::2], strict=True))


def train(params, X, Y, activations, loss, step, epochs, batch_size=None, w=None, l2=0.0, **settings):
    """Train on the rows in order; return the parameters, and the cost and last gradient norm of each epoch."""
    w = np.ones(len(X)) if w is None else w
    theta, state, losses, norms = flatten(params), {}, [], []
    for _ in range(epochs):
        total = 0.0
        for start in range(0, len(X), batch_size or len(X)):
            rows = slice(start, start + (batch_size or len(X)))
            params = unflatten(theta, params)
            z, a = forward(params, X[rows], activations, loss)
            total += w[rows].sum() * cost(params, z[-1], Y[rows], loss, w[rows], l2)
            grads, _ = backward(params, z, a, Y[rows], activations, loss, w[rows], l2)
            theta = step(theta, flatten(grads), state, **settings)
        losses.append(total / w.sum())
        norms.append(np.linalg.norm(flatten(grads)))
    return unflatten(theta, params), np.array(losses), np.array(norms)


def problem(layer_sizes, m, loss, seed=0, dtype="float64"):
    """Return a random network and data for it (params, X, Y, w), with values of order 1."""
    random = np.random.default_rng(seed)
    params = [
        (random.normal(0, n_in**-0.5, (n_out, n_in)).astype(dtype), random.uniform(-0.5, 0.5, n_out).astype(dtype))
        for n_in, n_out in pairwise(layer_sizes)
    ]
    n_out = layer_sizes[-1]
    Y = {
        "binary_cross_entropy": lambda: random.integers(0, 2, (m, n_out)).astype(dtype),
        "softmax_cross_entropy": lambda: random.integers(0, n_out, m),
        "quantile": lambda: random.normal(2, 1, m).astype(dtype),
        "poisson": lambda: random.poisson(2, (m, n_out)).astype(dtype),
        "gamma": lambda: random.gamma(2, 1, (m, n_out)).astype(dtype),
        "tweedie": lambda: (random.poisson(1, (m, n_out)) * random.gamma(2, 1, (m, n_out))).astype(dtype),
    }.get(loss, lambda: random.normal(2, 1, (m, n_out)).astype(dtype))()
    return params, random.normal(0, 1, (m, layer_sizes[0])).astype(dtype), Y, random.uniform(0.5, 2, m)


def error(got, want, scale=0.0):
    """Return the largest difference, relative to the largest element of want (or to scale, if that is larger)."""
    got, want = np.asarray(got), np.asarray(want)
    assert got.shape == want.shape
    if not want.size:
        return 0.0
    difference, largest = abs(got - want).max(), max(abs(want).max(), scale)
    return difference / largest if difference else 0.0
