"""Public functions and methods that take arrays, besides those in test_arrays.py: any layout, any dtype. Each call
returns the right result or raises TypeError or ValueError; it never crashes or returns a wrong result."""

import functools

import numpy as np
import pytest
import reference
from models import network
from test_arrays import LAYOUTS, REFUSED, WRONG_SHAPES

import chainrule as cr

estimators = pytest.importorskip("chainrule.estimators")
pytest.importorskip("sklearn")

LOSS = "binary_cross_entropy"
SMALL = {"hidden_layer_sizes": (4,), "max_iter": 2, "random_state": 0, "batch_size": 8}


pytestmark = pytest.mark.filterwarnings("ignore:.*hasn't converged yet")


@pytest.fixture
def arguments():
    _, X, Y, w = reference.problem([5, 7, 2], 19, LOSS)
    return X, (Y > 0.5).astype(float), w


def net():
    return network(reference.problem([5, 7, 2], 19, LOSS)[0], "tanh", LOSS)


def many(X, y, w):
    networks = [net(), net()]
    cr.fit_many(networks, X, y, sample_weight=w, epochs=2, validation=(X, y, w))
    return networks[1].parameters


def regressor(X, y, w):
    return estimators.MLPRegressor(**SMALL).fit(X, y, sample_weight=w)


def classifier(X, y, w):
    return estimators.MLPClassifier(**SMALL).fit(X, y, sample_weight=w)


@functools.cache
def learned(make):
    _, X, Y, _ = reference.problem([5, 7, 2], 19, LOSS)
    return make(X, (Y > 0.5).astype(float), None)


# scikit-learn decides which y a score accepts.
FUNCTIONS = {
    "losses": lambda X, y, w: net().losses(X, y),
    "trace": lambda X, y, w: np.hstack([*net().trace(X, y).z, *net().trace(X, y).dz]),
    "example_gradients": lambda X, y, w: net().example_gradients(X, y),
    "example_gradient_norms": lambda X, y, w: net().example_gradient_norms(X, y),
    "fit_many": many,
    "fit L-BFGS": lambda X, y, w: fitted_with(X, y, w, optimizer=cr.LBFGS(), batch_size=None),
    "fit with dropout": lambda X, y, w: fitted_with(X, y, w, dropout=0.2),
    "MLPRegressor.fit": lambda X, y, w: regressor(X, y, w).predict(np.ones((2, 5))),
    "MLPRegressor.predict": lambda X, y, w: learned(regressor).predict(X),
    "MLPRegressor.score": lambda X, y, w: learned(regressor).score(X, np.array(y, float, order="C"), w),
    "MLPRegressor.partial_fit": lambda X, y, w: (
        estimators.MLPRegressor(**SMALL).partial_fit(X, y, w).predict(np.ones((2, 5)))
    ),
    "MLPClassifier.fit": lambda X, y, w: classifier(X, y, w).predict_proba(np.ones((2, 5))),
    "MLPClassifier.predict": lambda X, y, w: learned(classifier).predict(X),
    "MLPClassifier.predict_proba": lambda X, y, w: learned(classifier).predict_proba(X),
    "MLPClassifier.predict_log_proba": lambda X, y, w: learned(classifier).predict_log_proba(X),
    "MLPClassifier.score": lambda X, y, w: learned(classifier).score(X, np.array(y, float, order="C"), w),
}


def fitted_with(X, y, w, **options):
    network = net()
    network.fit(X, y, sample_weight=w, epochs=2, **options)
    return network.parameters


def changed(arguments, place, change):
    return [change(array) if i == place else array for i, array in enumerate(arguments)]


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("name", FUNCTIONS)
def test_every_layout_gives_the_result_of_a_c_ordered_array(name, layout, arguments):
    want = FUNCTIONS[name](*arguments)
    for place in range(3):
        got = FUNCTIONS[name](*changed(arguments, place, LAYOUTS[layout]))
        assert np.array_equal(got, want), place


@pytest.mark.parametrize("dtype", ["float32", "float16", "int8", "uint8", "int64", "uint64", "bool"])
@pytest.mark.parametrize("name", FUNCTIONS)
def test_every_real_dtype_is_accepted(name, dtype, arguments):
    X, y, w = ((abs(x) > 0.5).astype(dtype) for x in arguments)
    w[0] = True
    want = FUNCTIONS[name](*(x.astype(float) for x in (X, y, w)))
    got = FUNCTIONS[name](X, y, w)
    assert np.allclose(got, want, rtol=1e-3 if dtype == "float16" else 1e-4, atol=1e-6)  # scores sum weights in float16


@pytest.mark.parametrize("kind", [*REFUSED, *WRONG_SHAPES])
@pytest.mark.parametrize("name", FUNCTIONS)
def test_wrong_types_and_shapes_raise_or_convert_as_in_numpy(name, kind, arguments):
    change = REFUSED.get(kind) or WRONG_SHAPES[kind]
    if not name.startswith("MLP"):
        with pytest.raises((TypeError, ValueError)):
            FUNCTIONS[name](*changed(arguments, 0, change))
        return
    try:  # estimators accept the same types as scikit-learn's and convert them with NumPy
        got = FUNCTIONS[name](*changed(arguments, 0, change))
    except (TypeError, ValueError):
        return
    want = FUNCTIONS[name](*changed(arguments, 0, lambda x: np.asarray(change(x)).astype(float)))
    assert np.array_equal(got, want)
