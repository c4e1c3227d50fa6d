"""Every activation against PyTorch, at its kinks and far from them. (Finite differences: test_functional.)"""

from itertools import pairwise

import numpy as np
import pytest
import reference

import chainrule as cr
from chainrule import _core

torch = pytest.importorskip("torch")
F = torch.nn.functional

PYTORCH = {
    "identity": lambda z: z * 1,
    "logistic": torch.sigmoid,
    "tanh": torch.tanh,
    "relu": F.relu,
    "leaky_relu": F.leaky_relu,
    "elu": F.elu,
    "selu": F.selu,
    "gelu": F.gelu,
    "gelu_tanh": lambda z: F.gelu(z, approximate="tanh"),
    "silu": F.silu,
    "softplus": lambda z: torch.logaddexp(z, 0 * z),
    "mish": F.mish,
    "hard_tanh": F.hardtanh,
    "sin": torch.sin,
    "softsign": F.softsign,
}
# At kinks, around them and far away.
Z = np.unique(np.r_[np.linspace(-12, 12, 401), 0, -1, 1, 1e-8, -1e-8, 80, -80, 800, -800, 1e4, -1e4])


def value_and_slope(activation, z):
    """Compute the activation with a network of one hidden unit whose input is z."""
    one, zero = np.ones((1, 1), z.dtype), np.zeros(1, z.dtype)
    net = cr.Network([1, 1, 1], activation=activation, loss="squared_error", dtype=z.dtype)
    net.parameters[:] = [1, 0, 1, 0]
    _, grads = net.loss_and_gradients(z[:, None], net.logits(z[:, None]) - 1, inputs=True)  # dL/da = 1/m
    cache = cr.forward([(one, zero), (one, zero)], z[:, None], activation=activation, loss="squared_error")
    assert np.array_equal(cache.a[1][:, 0], net.logits(z[:, None])[:, 0])
    return cache.a[1][:, 0], grads.inputs[:, 0] * len(z)


def test_pytorch_has_every_activation():
    assert set(PYTORCH) == set(_core.ACTIVATIONS)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("activation", _core.ACTIVATIONS)
def test_value_and_slope_equal_pytorch(isa, activation, dtype):
    z = Z.astype(dtype)
    a, slope = value_and_slope(activation, z)
    x = torch.tensor(z.astype("float64"), requires_grad=True)
    want = PYTORCH[activation](x)
    want.sum().backward()
    tolerance = {"float32": 5e-6, "float64": 5e-13}[dtype]  # absolute below 1, relative above
    assert (abs(a - want.detach().numpy()) <= tolerance * np.maximum(1, abs(z))).all()
    # The target is rounded near 1e4, and so is dL/da.
    assert (abs(slope - x.grad.numpy()) <= tolerance * np.maximum(1, abs(z))).all()
    near = abs(z) <= 1
    kinks = np.isin(z, [-1, 0, 1])
    assert kinks.sum() == 3
    assert reference.error(slope[near], x.grad.numpy()[near], 1.0) <= tolerance


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("activation", _core.ACTIVATIONS)
def test_huge_inputs_stay_finite_and_nan_stays_nan(isa, activation, dtype):
    z = np.array([1e4, -1e4, 1e9, -1e9, 1e30, -1e30, np.nan, 0.5], dtype)
    params = [(np.ones((1, 1), dtype), np.zeros(1, dtype))] * 2
    cache = cr.forward(params, z[:, None], activation=activation, loss="squared_error")
    a = cache.a[1][:, 0]
    assert np.isnan(a[6])
    assert np.isfinite(np.delete(a, 6)).all()
    assert activation != "sin" or (abs(np.delete(a, 6)) <= 1).all()
    rows = [i for i in range(len(z)) if i != 6]
    [(dW, db), _] = cr.backward(params, cr.forward(params, z[rows, None], activation=activation, loss="squared_error"),
                                a[rows] - 1)  # fmt: skip
    assert np.isfinite(dW).all()
    assert np.isfinite(db).all()


@pytest.mark.parametrize("activation", _core.ACTIVATIONS)
@pytest.mark.parametrize("sizes", [[5, 6, 4, 2], [40, 150, 130, 3]])
@pytest.mark.parametrize("settings", [{"batch_size": 7}, {"batch_size": 64, "l2": 0.01}, {}])
def test_training_equals_pytorch(threads, activation, sizes, settings):
    rng = np.random.default_rng(0)
    X, y = rng.standard_normal((150, sizes[0])), rng.standard_normal((150, sizes[-1]))
    net = cr.Network(sizes, activation=activation, loss="squared_error", dtype="float64", seed=1)
    layers = [torch.nn.Linear(a, b, dtype=torch.float64) for a, b in pairwise(sizes)]
    for layer, W, b in zip(layers, net.weights, net.biases, strict=True):
        layer.weight.data, layer.bias.data = torch.tensor(W.copy()), torch.tensor(b.copy())
    net.fit(X, y, optimizer=cr.SGD(learning_rate=0.01), epochs=3, shuffle=False, **settings)
    parameters = [p for layer in layers for p in layer.parameters()]
    size = settings.get("batch_size", 150)
    for _ in range(3):
        for start in range(0, 150, size):
            a = torch.tensor(X[start : start + size])
            for layer in layers[:-1]:
                a = PYTORCH[activation](layer(a))
            loss = ((layers[-1](a) - torch.tensor(y[start : start + size])) ** 2).sum(dim=1).mean() / 2
            loss = loss + settings.get("l2", 0) / 2 * sum((layer.weight**2).sum() for layer in layers)
            for p, g in zip(parameters, torch.autograd.grad(loss, parameters), strict=True):
                p.data -= 0.01 * g
    for layer, W, b in zip(layers, net.weights, net.biases, strict=True):
        assert reference.error(W, layer.weight.detach().numpy()) <= 1e-10
        assert reference.error(b, layer.bias.detach().numpy(), 0.01) <= 1e-10
