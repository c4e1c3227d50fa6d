"""Activations of hidden layers: `Network.hidden_activations`, and `transform` of the estimators."""

import warnings

import numpy as np
import pytest
import reference
from models import problem

import chainrule as cr

TOLERANCE = {"float32": 2e-6, "float64": 1e-14}
# name: (layer sizes, rows); members of a team share rows, or outputs if there are few rows
SHAPES = {
    "small": ([5, 8, 3, 1], 40),
    "a layer of one unit": ([5, 1, 4, 2], 40),
    "wide, few rows": ([60, 300, 200, 10], 6),
    "many rows": ([12, 40, 33, 2], 9001),
}


@pytest.mark.parametrize("dtype", TOLERANCE)
@pytest.mark.parametrize("shape", SHAPES)
def test_hidden_activations_equal_the_reference_and_those_of_a_trace_bit_for_bit(isa, shape, dtype):
    sizes, m = SHAPES[shape]
    activations = ["tanh", "gelu"]
    net, params, X, Y, _ = problem(sizes, m, activation=activations, dtype=dtype)
    exact = [(W.astype("float64"), b.astype("float64")) for W, b in params]
    _, want = reference.forward(exact, X.astype("float64"), activations, "squared_error")
    trace = net.trace(X, Y)
    for layer in (0, 1):
        found = net.hidden_activations(X, layer=layer)
        assert found.shape == (m, sizes[layer + 1])
        assert found.dtype == dtype
        assert reference.error(found, want[layer + 1]) <= TOLERANCE[dtype]
        assert found.tobytes() == trace.a[layer + 1].tobytes()
        assert found.tobytes() == net.hidden_activations(X, layer=layer - 2).tobytes()
        assert all(found.tobytes() == net.hidden_activations(X, layer=layer, n_threads=n).tobytes() for n in (1, 2, 3))
    assert net.hidden_activations(X).tobytes() == net.hidden_activations(X, layer=1).tobytes()


def test_hidden_activations_of_sparse_rows_equal_those_of_dense_rows_bit_for_bit(isa):
    sparse = pytest.importorskip("scipy.sparse")
    net, _, X, _, _ = problem([30, 12, 5, 2], 200, activation="mish", dtype="float32")
    X[np.random.default_rng(0).random(X.shape) < 0.8] = 0
    for layer in (0, 1):
        dense = net.hidden_activations(X, layer=layer)
        assert net.hidden_activations(sparse.csr_matrix(X), layer=layer).tobytes() == dense.tobytes()


def test_layers_that_do_not_exist_raise():
    net = cr.Network([3, 4, 5, 1], loss="squared_error", seed=0)
    for layer in (2, -3):
        with pytest.raises(ValueError, match=rf"^layer is {layer}, expected from -2 to 1$"):
            net.hidden_activations(np.zeros((1, 3)), layer=layer)
    with pytest.raises(TypeError, match=r"^layer must be an integer"):
        net.hidden_activations(np.zeros((1, 3)), layer=0.5)
    with pytest.raises(ValueError, match=r"^the network has no hidden layer$"):
        cr.Network([3, 1], loss="squared_error", seed=0).hidden_activations(np.zeros((1, 3)))
    with pytest.raises(ValueError, match="X has 2 columns"):
        net.hidden_activations(np.zeros((1, 2)))


@pytest.fixture
def digits():
    datasets = pytest.importorskip("sklearn.datasets")
    X, y = datasets.load_digits(return_X_y=True)
    return X[:400] / 16, y[:400]


@pytest.fixture(autouse=True)
def few_epochs():
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*converged|.*The network predicts")
        yield


def estimators():
    settings = {"hidden_layer_sizes": (16, 7), "max_iter": 20, "random_state": 0}
    return [cr.MLPClassifier(**settings), cr.MLPRegressor(**settings)]


def test_transform_returns_the_last_hidden_layer(digits):
    from scipy.sparse import csr_matrix

    X, y = digits
    for kind in ("float64", "float32"):
        for estimator in estimators():
            estimator.fit(X.astype(kind), y)
            found = estimator.transform(X.astype(kind))
            assert found.dtype == kind
            assert found.tobytes() == estimator.network_.hidden_activations(X.astype(kind), layer=1).tobytes()
            assert found.tobytes() == estimator.transform(csr_matrix(X.astype(kind))).tobytes()
            assert found.tobytes() == estimator.fit_transform(X.astype(kind), y).tobytes()
            prefix = type(estimator).__name__.lower()
            assert list(estimator.get_feature_names_out()) == [f"{prefix}{i}" for i in range(7)]
            (W, b) = estimator.coefs_[-1], estimator.intercepts_[-1]
            if isinstance(estimator, cr.MLPRegressor):
                np.testing.assert_allclose(found @ W[:, 0] + b, estimator.predict(X.astype(kind)), rtol=1e-4, atol=1e-4)


def test_transform_encodes_tables():
    pd, _ = pytest.importorskip("pandas"), pytest.importorskip("sklearn")
    table = pd.DataFrame({"size": np.linspace(0, 1, 60), "home": ["own", "rent", None] * 20})
    for estimator in estimators():
        estimator.set_params(preprocess=True).fit(table, np.arange(60) % 2)
        features = estimator.encoder_.transform(table)
        assert estimator.transform(table).tobytes() == estimator.network_.hidden_activations(features).tobytes()


@pytest.mark.parametrize("kind", ["TableClassifier", "TableRegressor"])
def test_transform_of_table_estimators_returns_the_last_hidden_layer_of_the_merged_network(kind):
    pd, _ = pytest.importorskip("pandas"), pytest.importorskip("sklearn")
    table = pd.DataFrame({"size": np.linspace(0, 1, 200), "home": ["own", "rent", None, "own"] * 50})
    estimator = getattr(cr, kind)(random_state=0).fit(table, np.arange(200) % 2)
    found = estimator.transform(table)
    network, inputs = estimator.network_, estimator.encoder_.encoding_.inputs(table, "float32")
    assert isinstance(inputs, cr.BinnedRows)
    assert found.dtype == "float32"
    assert found.tobytes() == network.hidden_activations(inputs).tobytes()
    assert found.tobytes() == type(estimator)(random_state=0).fit_transform(table, np.arange(200) % 2).tobytes()
    names = [f"{kind.lower()}{i}" for i in range(network.layer_sizes[-2])]
    assert list(estimator.get_feature_names_out()) == names
    as_table = estimator.set_output(transform="pandas").transform(table)
    assert list(as_table.columns) == names
    assert as_table.to_numpy().tobytes() == found.tobytes()


def test_transform_is_a_step_of_a_pipeline(digits):
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    X, y = digits
    (mlp, _), last = estimators(), LogisticRegression(max_iter=1000)
    pipeline = make_pipeline(StandardScaler(), mlp, last).fit(X, y)
    scaled = StandardScaler().fit_transform(X)
    alone, _ = estimators()
    expected = LogisticRegression(max_iter=1000).fit(alone.fit(scaled, y).transform(scaled), y)
    assert (pipeline.predict(X) == expected.predict(alone.transform(scaled))).all()


def test_set_output_gives_tables(digits):
    pd = pytest.importorskip("pandas")
    X, y = digits
    for estimator in estimators():
        plain = estimator.fit(X, y).transform(X)
        found = estimator.set_output(transform="pandas").transform(pd.DataFrame(X, index=range(5, 405)).to_numpy())
        assert isinstance(found, pd.DataFrame)
        assert list(found.columns) == list(estimator.get_feature_names_out())
        assert found.to_numpy().tobytes() == plain.tobytes()
        assert isinstance(estimator.predict(X), np.ndarray)


def test_transform_needs_a_hidden_layer_and_a_fit(digits):
    from sklearn.exceptions import NotFittedError

    X, y = digits
    for estimator in (cr.MLPClassifier(), cr.TableRegressor()):
        with pytest.raises(NotFittedError):
            estimator.transform(X)
    with pytest.raises(ValueError, match=r"^the network has no hidden layer$"):
        cr.MLPClassifier((), max_iter=5, random_state=0).fit(X, y).transform(X)
