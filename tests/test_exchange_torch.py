"""PyTorch: converted modules compute what networks and estimators predict, and back; others raise and are named."""

import numpy as np
import pytest
import reference
from models import loss_for, problem

import chainrule as cr

torch = pytest.importorskip("torch")
nn, F = torch.nn, torch.nn.functional

TOLERANCE = {"float32": 2e-6, "float64": 1e-13}
ROWS = reference.problem([5, 1], 300, "squared_error", dtype="float64")[1]


def computed(module, X):
    with torch.no_grad():
        return module(torch.from_numpy(np.asarray(X))).numpy()


def assert_close(found, expected, dtype):
    assert found.shape == expected.shape
    scale = np.abs(expected).max() + 1e-30
    assert np.abs(found - expected).max() <= TOLERANCE[dtype] * scale


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("loss", cr._core.LOSSES)
@pytest.mark.parametrize("activation", cr._core.ACTIVATIONS)
def test_every_activation_and_loss_is_converted_both_ways(activation, loss, dtype):
    net = cr.Network([5, 7, 6, 3], activation=activation, loss=loss_for(loss, 3), dtype=dtype, seed=1)
    X = ROWS.astype(dtype)
    module = net.to_torch()
    assert_close(computed(module, X), net.predict(X), dtype)
    assert_close(computed(net.to_torch(logits=True), X), net.logits(X), dtype)
    again = cr.from_torch(module, loss=net.loss_spec, seed=3)
    assert (again.predict(X) == net.predict(X)).all()
    assert (again.activations, again.loss_spec, again.dtype) == (net.activations, net.loss_spec, net.dtype)


def test_module_and_network_share_their_weights_unless_copied():
    net, *_ = problem([3, 4, 1], 5, dtype="float32")
    shared, own = net.to_torch(), net.to_torch(copy=True)
    before = net.parameters.copy()
    with torch.no_grad():
        for parameter in own.parameters():
            parameter += 1
    assert (net.parameters == before).all()
    with torch.no_grad():
        for parameter in shared.parameters():
            parameter += 1
    assert (net.parameters == before + 1).all()
    del net
    assert computed(shared, np.zeros((1, 3), np.float32)).shape == (1, 1)


def test_gradients_of_the_module_are_those_of_the_network():
    net, _, X, Y, _ = problem([5, 7, 3], 40, "softmax_cross_entropy")
    module = net.to_torch(logits=True)
    F.cross_entropy(module(torch.from_numpy(X)), torch.from_numpy(Y)).backward()
    _, gradients = net.loss_and_gradients(X, Y)
    for layer, dW, db in zip([module[0], module[2]], gradients.weights, gradients.biases, strict=True):
        np.testing.assert_allclose(layer.weight.grad.numpy(), dW, atol=1e-13)
        np.testing.assert_allclose(layer.bias.grad.numpy(), db, atol=1e-13)


class Functions(nn.Module):
    """As users write modules: functions, dropout, flatten, no bias in one layer."""

    def __init__(self):
        super().__init__()
        self.first, self.second, self.last = nn.Linear(6, 5), nn.Linear(5, 4, bias=False), nn.Linear(4, 1)
        self.drop = nn.Dropout(0.5)

    def forward(self, x):
        x = x.view(x.size(0), -1)
        x = self.drop(F.leaky_relu(self.first(x), 0.01))
        x = F.dropout(F.gelu(self.second(x), approximate="tanh"), 0.2, training=self.training)
        return self.last(x).squeeze(-1)


def test_module_of_functions_is_read():
    module = Functions().eval()
    net = cr.from_torch(module, loss="squared_error", seed=0)
    assert net.activations == ("leaky_relu", "gelu_tanh")
    X = np.random.default_rng(0).normal(size=(9, 2, 3)).astype(np.float32)
    assert_close(computed(module, X), net.predict(X.reshape(9, 6))[:, 0], "float32")


@pytest.mark.parametrize(
    ("last", "loss"),
    [
        (nn.Sigmoid(), "binary_cross_entropy"),
        (nn.Softmax(dim=1), "softmax_cross_entropy"),
        (nn.LogSoftmax(dim=-1), "softmax_cross_entropy"),
    ],
)
def test_last_activation_determines_the_loss(last, loss):
    module = nn.Sequential(nn.Linear(3, 4), nn.ReLU(), nn.Linear(4, 2), last)
    net = cr.from_torch(module)
    assert net.loss_name == loss
    X = np.random.default_rng(0).normal(size=(5, 3)).astype(np.float32)
    expected = computed(module, X)
    assert_close(net.predict(X), np.exp(expected) if isinstance(last, nn.LogSoftmax) else expected, "float32")


class TwoPaths(nn.Module):
    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(3, 3)

    def forward(self, x):
        return self.layer(x) + x


class Branches(nn.Module):
    def forward(self, x):
        return x if x.sum() > 0 else -x


class Skips(nn.Module):
    def __init__(self):
        super().__init__()
        self.a, self.b = nn.Linear(3, 3), nn.Linear(3, 3)

    def forward(self, x):
        y = self.a(x)
        return self.b(x), y


HALF = nn.Linear(3, 1).half()
REFUSED = [
    (nn.Sequential(nn.Linear(3, 1)), {}, "loss= must name"),
    (nn.Sequential(nn.Linear(3, 1), nn.Sigmoid()), {"loss": "squared_error"}, "output identity"),
    (nn.Sequential(nn.Linear(3, 1), nn.ReLU()), {"loss": "squared_error"}, "no loss has this output activation"),
    (nn.Sequential(nn.Linear(3, 2), nn.LeakyReLU(0.2), nn.Linear(2, 1)), {"loss": "squared_error"}, "0.2"),
    (nn.Sequential(nn.ReLU(), nn.Linear(3, 1)), {"loss": "squared_error"}, "ReLU.* before the first Linear"),
    (nn.Sequential(nn.Linear(3, 2), nn.BatchNorm1d(2)), {"loss": "squared_error"}, "BatchNorm1d"),
    (nn.Sequential(nn.Conv1d(3, 2, 1)), {"loss": "squared_error"}, "Conv1d"),
    (nn.Sequential(nn.Linear(3, 2), nn.ReLU(), nn.Tanh()), {"loss": "squared_error"}, "Tanh"),
    (nn.Sequential(nn.Flatten()), {"loss": "squared_error"}, "no torch.nn.Linear"),
    (nn.Sequential(nn.Linear(3, 1), nn.Softplus(beta=2), nn.Linear(1, 1)), {"loss": "squared_error"}, "beta=2"),
    (TwoPaths(), {"loss": "squared_error"}, "add"),
    (Skips(), {"loss": "squared_error"}, "b' is not applied to the result of the layer before"),
    (Branches(), {"loss": "squared_error"}, "cannot be traced"),
    (HALF, {"loss": "squared_error"}, "torch.float16"),
    (nn.Linear(3, 1), {"loss": "mse"}, "mse"),
]


@pytest.mark.parametrize(("module", "options", "message"), REFUSED)
def test_modules_that_a_network_cannot_express_raise(module, options, message):
    with pytest.raises(ValueError, match=message):
        cr.from_torch(module, **options)


def test_other_objects_are_refused():
    with pytest.raises(TypeError, match=r"torch\.nn\.Module, got list"):
        cr.from_torch([1, 2])


def test_estimators_give_probabilities_and_values_in_their_unit():
    datasets = pytest.importorskip("sklearn.datasets")
    X, y = datasets.load_digits(return_X_y=True)
    X = (X / 16).astype(np.float32)
    for labels in (y, y > 4, np.stack([y > 4, y % 2], axis=1).astype(int)):
        clf = cr.MLPClassifier(20, max_iter=10, tol=1, n_iter_no_change=20, learning_rate_init=0.01, random_state=0)
        clf.set_params(callbacks=[lambda logs: logs["epoch"] == 8]).fit(X, labels)
        assert_close(computed(clf.to_torch(), X), clf.predict_proba(X), "float32")


@pytest.mark.parametrize("name", ["TableClassifier", "TableRegressor", "MLPRegressor"])
def test_table_estimators_take_the_features_of_their_encoder(name):
    pytest.importorskip("sklearn")
    pd = pytest.importorskip("pandas")
    rng = np.random.default_rng(0)
    table = pd.DataFrame({"size": rng.normal(size=400), "home": rng.choice(["own", "rent", None], 400)})
    y = 1000 + 50 * table["size"] + 100 * (table["home"] == "own")
    model = getattr(cr, name)(random_state=0)
    if name == "MLPRegressor":
        model.set_params(learning_rate_init=0.01, learning_rate=cr.OneCycle(), max_iter=20)
    model.fit(table, y > 1000 if name == "TableClassifier" else y)
    features = torch.from_numpy(model.encoder_.transform(table).astype(model.network_.dtype))
    expected = model.predict_proba(table) if name == "TableClassifier" else model.predict(table)
    found = model.to_torch()(features).detach().numpy()
    np.testing.assert_allclose(found if found.shape[1] == 2 else found[:, 0], expected, rtol=1e-5)
    logits = model.to_torch(logits=True)(features).detach().numpy()
    np.testing.assert_allclose(logits, model.network_.logits(features.numpy()), atol=1e-4)
