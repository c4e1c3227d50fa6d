"""Every loss and its parameters against PyTorch; storing them in files; custom losses; traces of single steps."""

import pickle

import numpy as np
import pytest
import reference
from models import loss_for, problem

import chainrule as cr
from chainrule import _core

LOSSES = _core.LOSSES
TOLERANCE = {"float32": 1e-6, "float64": 1e-13}
SETTINGS = [
    ("huber", cr.Huber(delta=0.3), {"delta": 0.3}),
    ("softmax_cross_entropy", cr.SoftmaxCrossEntropy(label_smoothing=0.2), {"smoothing": 0.2}),
    ("tweedie", cr.Tweedie(power=1.2), {"power": 1.2}),
]


def pytorch():
    torch = pytest.importorskip("torch")
    F = torch.nn.functional

    def pinball(z, y, levels):
        d, levels = z - y, torch.tensor(levels)
        return torch.where(d == 0, 0 * d, torch.where(d > 0, (1 - levels) * d, -levels * d))

    def tweedie(z, y, power=1.5):
        a, b = 2 - power, 1 - power
        return (torch.exp(a * z) / a - y * torch.exp(b * z) / b + y**a / (a * b)).sum(1)

    losses = {
        "binary_cross_entropy": lambda z, y: F.binary_cross_entropy_with_logits(z, y, reduction="none").sum(1),
        "softmax_cross_entropy": lambda z, y, **s: F.cross_entropy(z, y, reduction="none", **s),
        "squared_error": lambda z, y: F.mse_loss(z, y, reduction="none").sum(1) / 2,
        "absolute_error": lambda z, y: F.l1_loss(z, y, reduction="none").sum(1),
        "huber": lambda z, y, **s: F.huber_loss(z, y, reduction="none", **s).sum(1),
        "quantile": lambda z, y: pinball(z, y, reference.levels_of(z.shape[1])).sum(1),
        "poisson": lambda z, y: (F.poisson_nll_loss(z, y, reduction="none") + torch.xlogy(y, y) - y).sum(1),
        "gamma": lambda z, y: (z + y * torch.exp(-z) - torch.log(y) - 1).sum(1),
        "tweedie": tweedie,
    }
    return torch, losses


def network_of_logits(n, loss, dtype):
    """Return a network whose outputs are its inputs."""
    net = cr.Network([n, n], loss=loss, dtype=dtype, seed=0)
    net.parameters[:] = 0
    net.weights[0] = np.eye(n)
    return net


def logits_and_targets(loss, n, dtype):
    rng = np.random.default_rng(3)
    z = rng.normal(0, 3, (60, n))
    y = {
        "binary_cross_entropy": rng.uniform(0, 1, z.shape),
        "softmax_cross_entropy": rng.dirichlet(np.ones(n), 60) if n > 1 else None,
        "poisson": rng.poisson(1, z.shape).astype(float),
        "gamma": rng.gamma(2, 1, z.shape),
        "tweedie": rng.poisson(1, z.shape) * rng.gamma(2, 1, z.shape),
    }.get(loss, rng.normal(0, 2, z.shape))
    if loss == "quantile":
        y = y[:, :1]
    elif loss not in ("softmax_cross_entropy", "gamma"):
        y[::3] = np.round(y[::3])
    if loss in ("absolute_error", "huber", "quantile", "squared_error"):
        z[::4] = y[::4]  # the kink
        z[:2] = [[1e4], [-1e4]]
    elif loss == "poisson":
        z[:2] = [[-1e4], [-700]]
    elif loss in ("gamma", "tweedie"):
        z[:2] = [[-10], [10]]
    else:
        z[:4] = rng.permuted(np.resize([1e4, -1e4, 80.0, -800.0], (4, n)), axis=1)
        y[0] = np.eye(n)[0] if loss == "softmax_cross_entropy" else 1
    return z.astype(dtype), y.astype(dtype)


@pytest.mark.parametrize("dtype", TOLERANCE)
@pytest.mark.parametrize("n", [1, 2, 5, 40])
@pytest.mark.parametrize(
    ("name", "loss", "settings"), [*((name, None, {}) for name in LOSSES), *SETTINGS], ids=lambda v: str(v)[:30]
)
def test_cost_and_gradient_equal_pytorch(isa, name, loss, settings, n, dtype):
    if name == "softmax_cross_entropy" and n == 1:
        pytest.skip("needs two outputs")
    torch, losses = pytorch()
    z, y = logits_and_targets(name, n, dtype)
    w = np.random.default_rng(0).uniform(0.5, 2, len(z)).astype(dtype)
    named = {"label_smoothing" if key == "smoothing" else key: value for key, value in settings.items()}
    x = torch.tensor(z.astype("float64"), requires_grad=True)
    want = losses[name](x, torch.tensor(y.astype("float64")), **named)
    weight = torch.tensor(w.astype("float64"))
    cost = (weight * want).sum() / weight.sum()
    cost.backward()
    net = network_of_logits(n, loss or loss_for(name, n), dtype)
    assert np.isfinite(net.loss(z, y))
    value, grads = net.loss_and_gradients(z, y, w, inputs=True)
    assert reference.error(value, cost.item()) <= TOLERANCE[dtype] * 2
    assert reference.error(net.losses(z, y), want.detach().numpy()) <= TOLERANCE[dtype]
    scaled = weight[:, None].numpy() / w.sum(dtype="float64")
    slope = x.grad.numpy() / scaled
    assert (abs(grads.inputs / scaled - slope) <= 4 * TOLERANCE[dtype] * np.maximum(1, abs(slope))).all()


def test_poisson_overflows_to_infinity_as_in_pytorch(isa):
    net = network_of_logits(1, "poisson", "float32")
    assert net.losses([[1e4]], [1.0]).tolist() == [np.inf]
    assert net.predict([[1e4]]).tolist() == [[np.inf]]
    assert net.losses([[-1e4], [0.0]], [0.0, 1.0]).tolist() == [0.0, 0.0]


@pytest.mark.parametrize("power", [1.0001, 1.1, 1.5, 1.9, 1.9999, 2])
def test_losses_are_half_the_deviance_of_scikit_learn(isa, power):
    metrics = pytest.importorskip("sklearn.metrics")
    rng = np.random.default_rng(1)
    z, y = rng.normal(0, 2, (200, 1)), rng.gamma(2, 1, (200, 1))
    if power < 2:
        y[::3] = 0
    net = network_of_logits(1, "gamma" if power == 2 else cr.Tweedie(power), "float64")
    expected = metrics.mean_tweedie_deviance(y[:, 0], np.exp(z[:, 0]), power=power)
    assert net.loss(z, y) == pytest.approx(expected / 2, rel=1e-11)
    assert net.predict(z) == pytest.approx(np.exp(z), rel=1e-14)
    single = network_of_logits(1, "gamma" if power == 2 else cr.Tweedie(power), "float32")
    # losses of rows with y = 0 are divided by 2 - power, whose float32 rounding error is this large
    rounded = 0 if power == 2 else 1e-7 / (2 - power)
    assert single.loss(z, y) == pytest.approx(expected / 2, rel=1e-6 + rounded)


@pytest.mark.parametrize("loss", LOSSES)
def test_nan_row_has_nan_loss(isa, loss):
    net = network_of_logits(2, loss_for(loss, 2), "float32")
    assert np.isnan(net.losses([[np.nan, 1.0]], {"softmax_cross_entropy": [1]}.get(loss, [[1.0, 1.0]]))).all()


@pytest.mark.parametrize(("name", "loss", "settings"), SETTINGS, ids=["huber", "smoothing", "tweedie"])
def test_loss_parameters_apply_to_every_step(threads, name, loss, settings):
    for sizes in ([4, 6, 3], [30, 200, 130, 3]):
        params, X, Y, w = reference.problem(sizes, 70, name)
        activations = ["tanh"] * (len(sizes) - 2)
        net = cr.Network(sizes, activation="tanh", loss=loss, dtype="float64", seed=0)
        net.parameters[:] = reference.flatten(params)
        z, a = reference.forward(params, X, activations, name)
        grads, _ = reference.backward(params, z, a, Y, activations, name, w, 0.1, **settings)
        cost = reference.cost(params, z[-1], Y, name, w, 0.1, **settings)
        assert reference.error(net.loss(X, Y, w, 0.1), cost) < 1e-12
        net.fit(X, Y, optimizer=cr.SGD(learning_rate=0.1), epochs=1, sample_weight=w, l2=0.1)
        assert reference.error(net.parameters, reference.flatten(params) - 0.1 * reference.flatten(grads)) < 1e-12


def test_every_level_is_a_quantile_of_one_column():
    y = np.arange(101.0)
    X = np.zeros((101, 1))
    net = cr.Network([1, 3], loss=cr.Quantile(levels=[0.1, 0.5, 0.9]), dtype="float64", seed=0)
    net.fit(X, y, optimizer=cr.Adam(learning_rate=1.0), epochs=300)
    net.fit(X, y, optimizer=cr.Adam(learning_rate=0.02), epochs=300)
    assert abs(net.predict(X[:1]) - [10, 50, 90]).max() < 1
    assert net.loss(X, y) == net.loss(X, y[:, None]) == net.loss(X, np.tile(y[:, None], 3))


def test_levels_and_columns_of_targets_are_not_paired():
    X, y = np.zeros((4, 2)), np.arange(8.0).reshape(4, 2)
    net = cr.Network([2, 2], loss=cr.Quantile([0.1, 0.9]), seed=0)
    before = net.parameters.copy()
    message = r"^y has 2 columns, quantile expects one, which its levels share: for several targets, train one network"
    for call in (net.fit, net.loss, net.losses, net.trace, net.loss_and_gradients, net.example_gradients):
        with pytest.raises(ValueError, match=message):
            call(X, y)
    with pytest.raises(ValueError, match="^validation: " + message[1:]):
        net.fit(X, y[:, 0], validation=(X, y))
    with pytest.raises(ValueError, match=r"^networks\[0\]: " + message[1:]):
        cr.fit_many([net], X, y)
    cache = cr.forward(net_parameters(net), X, loss=cr.Quantile([0.1, 0.9]))
    with pytest.raises(ValueError, match=message):
        cr.cost(net_parameters(net), cache, y)
    one_level = cr.Network([2, 1], loss="quantile", seed=0)
    with pytest.raises(ValueError, match=message):
        one_level.loss(X, y)
    assert np.array_equal(net.parameters, before)


def net_parameters(net):
    return list(zip(net.weights, net.biases, strict=True))


@pytest.mark.parametrize(
    "loss",
    [cr.Huber(delta=2.5), cr.Quantile([0.1, 0.9]), cr.SoftmaxCrossEntropy(0.1), cr.Tweedie(1.7), "huber", "gamma"],
)
def test_loss_survives_pickle_and_file(loss, tmp_path):
    net = cr.Network([3, 4, 2], loss=loss, seed=0)
    pytest.importorskip("safetensors")
    net.save(tmp_path / "net.safetensors")
    for same in (net, pickle.loads(pickle.dumps(net)), cr.load(tmp_path / "net.safetensors")):
        assert same.loss_spec == loss
        assert repr(loss) in repr(same)
        assert np.array_equal(same.parameters, net.parameters)
    assert net.loss_name in LOSSES


def test_wrong_types_and_targets_are_named():
    with pytest.raises(TypeError, match=r"^delta must be a number, got 'a'$"):
        cr.Huber(delta="a")
    with pytest.raises(TypeError, match=r"^levels\[1\] must be a number, got None$"):
        cr.Quantile(levels=[0.5, None])
    with pytest.raises(ValueError, match=r"^quantile has 1 value for levels, expected 2$"):
        cr.Network([3, 2], loss=cr.Quantile([0.5]))
    with pytest.raises(ValueError, match=r"^y\[1, 0\] is -1, poisson expects 0 or more$"):
        cr.Network([1, 1], loss="poisson").loss(np.zeros((2, 1)), [1.0, -1.0])


def half_squares(z, y, w):
    d, k = z - np.reshape(y, (len(z), -1)), (np.ones(len(z)) if w is None else w)[:, None]
    return float((k * d**2).sum() / 2 / k.sum()), k * d / k.sum()


@pytest.mark.parametrize("m", [1, 5, 70, 9001])
@pytest.mark.parametrize("sizes", [[6, 17, 3], [6, 200, 300, 3]])
def test_custom_loss_gives_the_gradients_of_the_built_in(threads, sizes, m):
    net, _, X, Y, w = problem(sizes, m)
    want, grads = net.loss_and_gradients(X, Y, w, 0.1, inputs=True)
    got, own = net.loss_and_gradients(X, Y, w, 0.1, inputs=True, loss=half_squares)
    assert reference.error(got, want) < 1e-12
    assert reference.error(own.parameters, grads.parameters) < 1e-12
    assert reference.error(own.inputs, grads.inputs) < 1e-12


def test_custom_loss_receives_targets_and_weights_unchanged():
    net, _, X, _, _ = problem([3, 4, 2], 5)
    y, weight = object(), object()
    seen = []

    def loss(*given):
        seen.append(given)
        return 1.5, np.zeros((5, 2))

    assert net.loss_and_gradients(X, y, weight, loss=loss)[0] == 1.5
    [(logits, *others)] = seen
    assert np.array_equal(logits, net.logits(X))
    assert others[0] is y
    assert others[1] is weight


def test_errors_in_a_custom_loss_are_raised(threads):
    net, _, X, Y, _ = problem([3, 300, 200, 2], 700)
    for answer, error, message in [
        (1.0, TypeError, r"^loss must return \(cost, gradient with respect to the logits\)$"),
        ((1.0, np.zeros((3, 2))), ValueError, r"gradient of shape \(3, 2\), expected \(700, 2\)"),
        (("a", np.zeros((700, 2))), TypeError, r"^the cost that loss returned is 'a', expected a number$"),
    ]:
        with pytest.raises(error, match=message):
            net.loss_and_gradients(X, Y, loss=lambda z, y, w, answer=answer: answer)

    def interrupted(z, y, w):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        net.loss_and_gradients(X, Y, loss=interrupted)
    assert np.isfinite(net.loss_and_gradients(X, Y)[0])


@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("activation", ["tanh", "gelu"])
def test_trace_and_derivatives_by_example_equal_the_oracle(loss, activation):
    net, params, X, Y, w = problem([4, 6, 5, 3], 9, loss, activation)
    z, a = reference.forward(params, X, [activation] * 2, loss)
    grads, _ = reference.backward(params, z, a, Y, [activation] * 2, loss, w, 0.1)
    trace = net.trace(X, Y, w, 0.1)
    assert reference.error(trace.loss, reference.cost(params, z[-1], Y, loss, w, 0.1)) < 1e-12
    for got, want in [(trace.z, z), (trace.a, a), (trace.dweights, [g[0] for g in grads]),
                      (trace.dbiases, [g[1] for g in grads])]:  # fmt: skip
        assert max(reference.error(x, y) for x, y in zip(got, want, strict=True)) < 1e-12
    for dz, db in zip(trace.dz, trace.dbiases, strict=True):
        assert reference.error(dz.sum(axis=0), db) < 1e-12

    one_by_one = [net.loss_and_gradients(X[i : i + 1], Y[i : i + 1]) for i in range(9)]
    flat = np.stack([g.parameters for _, g in one_by_one])
    assert reference.error(net.losses(X, Y), [value for value, _ in one_by_one]) < 1e-12
    assert reference.error(net.example_gradients(X, Y), flat) < 1e-12
    norms = [[(dW**2).sum() + (db**2).sum() for dW, db in zip(g.weights, g.biases, strict=True)] for _, g in one_by_one]
    assert reference.error(net.example_gradient_norms(X, Y), norms) < 1e-12


@pytest.mark.parametrize("loss", LOSSES)
def test_check_gradients_of_a_network_finds_no_error(loss):
    net, _, X, Y, w = problem([3, 4, 2], 6, loss, "mish", dtype="float32")
    before = net.parameters.copy()
    report = net.check_gradients(X, Y, w, 0.3)
    assert report.compared == before.size
    assert report.relative_error <= 1e-6
    assert np.array_equal(net.parameters, before)


def test_check_gradients_finds_a_wrong_custom_loss():
    net, _, X, Y, w = problem([3, 4, 2], 6)
    assert net.check_gradients(X, Y, w, 0.3, loss=half_squares).relative_error <= 1e-6

    def wrong(z, y, w):
        cost, dz = half_squares(z, y, w)
        return cost, 1.01 * dz

    assert net.check_gradients(X, Y, w, 0.3, loss=wrong).relative_error > 1e-3
