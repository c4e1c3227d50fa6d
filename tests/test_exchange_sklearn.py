"""scikit-learn's estimators: converted ones predict the same in both directions; others raise and are named."""

import warnings

import numpy as np
import pytest

import chainrule as cr

sklearn = pytest.importorskip("sklearn")
neural_network = pytest.importorskip("sklearn.neural_network")
RNG = np.random.default_rng(0)
X = RNG.normal(size=(200, 4))
SCORES = X[:, 0] * X[:, 1] + X[:, 2]
TARGETS = {
    "binary": np.where(SCORES > 0, "yes", "no"),
    "multiclass": np.digitize(SCORES, [-1, 1]) * 10,
    "labels": np.stack([SCORES > 0, X[:, 0] > 0, X[:, 1] > 0], axis=1).astype(int),
    "value": SCORES,
    "values": np.stack([SCORES, X[:, 3]], axis=1),
}


def fit_quietly(model, X, y):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", sklearn.exceptions.ConvergenceWarning)
        return model.fit(X, y)


def fitted(kind, y, **parameters):
    settings = {"hidden_layer_sizes": (6, 5), "max_iter": 8, "learning_rate_init": 0.01, "random_state": 0}
    return fit_quietly(kind(**settings, **parameters), X, y)


def same_predictions(first, second, atol=1e-12):
    if hasattr(first, "predict_proba"):
        np.testing.assert_allclose(first.predict_proba(X), second.predict_proba(X), atol=atol)
        assert (first.predict(X) == second.predict(X)).all()
        assert first.predict(X).dtype == second.predict(X).dtype
    else:
        np.testing.assert_allclose(first.predict(X), second.predict(X), atol=atol)
        assert first.predict(X).shape == second.predict(X).shape


@pytest.mark.parametrize("activation", ["identity", "logistic", "tanh", "relu"])
@pytest.mark.parametrize("target", TARGETS)
def test_every_target_and_activation_is_converted_both_ways(target, activation):
    name = "MLPRegressor" if target.startswith("value") else "MLPClassifier"
    ours = fitted(getattr(cr, name), TARGETS[target], activation=activation)
    converted = ours.to_sklearn()
    assert type(converted) is getattr(neural_network, name)
    same_predictions(ours, converted)
    again = cr.from_sklearn(converted)
    assert type(again) is getattr(cr, name)
    same_predictions(ours, again)
    assert again.get_params() == ours.get_params()
    theirs = fitted(getattr(neural_network, name), TARGETS[target], activation=activation)
    taken = cr.from_sklearn(theirs)
    same_predictions(theirs, taken)
    assert taken.loss_curve_ == theirs.loss_curve_


def test_converted_estimators_can_be_cloned_pickled_and_trained_on():
    ours = fitted(cr.MLPClassifier, TARGETS["binary"])
    converted = ours.to_sklearn()
    assert sklearn.base.clone(converted).get_params() == converted.get_params()
    before = [W.copy() for W in ours.coefs_]
    converted.partial_fit(X, TARGETS["binary"])
    assert all((W == V).all() for W, V in zip(ours.coefs_, before, strict=True))  # a copy
    taken = cr.from_sklearn(fitted(neural_network.MLPClassifier, TARGETS["binary"]))
    weights = taken.coefs_[0].copy()
    taken.partial_fit(X, TARGETS["binary"])
    assert 0 < np.abs(taken.coefs_[0] - weights).max() < 0.1


def test_float32_stays_float32():
    ours = fitted(cr.MLPRegressor, TARGETS["value"], dtype="float32")
    converted = ours.to_sklearn()
    assert converted.coefs_[0].dtype == np.float32
    assert cr.from_sklearn(converted).network_.dtype == np.float32


def test_table_becomes_a_pipeline_in_the_unit_of_the_target():
    pd = pytest.importorskip("pandas")
    table = pd.DataFrame({"size": X[:, 0], "home": RNG.choice(["own", "rent"], 200)})
    y = 1000 + 50 * X[:, 0] + 100 * (table["home"] == "own")
    model = fit_quietly(cr.MLPRegressor(learning_rate_init=0.05, batch_size=20, max_iter=40, random_state=0), table, y)
    pipeline = model.to_sklearn()
    np.testing.assert_allclose(pipeline.predict(table), model.predict(table), rtol=1e-5)
    assert [type(step).__name__ for _, step in pipeline.steps] == ["TableEncoder", "MLPRegressor"]


REFUSED = [
    (cr.MLPRegressor, {"activation": "mish"}, "mish"),
    (cr.MLPRegressor, {"activation": ["relu", "tanh"]}, "relu, tanh"),
    (cr.MLPClassifier, {"loss": cr.SoftmaxCrossEntropy(0.1)}, "two outputs for two classes"),
]


@pytest.mark.parametrize(("kind", "parameters", "message"), REFUSED)
def test_estimators_that_scikit_learn_cannot_express_raise(kind, parameters, message):
    y = TARGETS["binary" if kind is cr.MLPClassifier else "value"]
    with pytest.raises(ValueError, match=message):
        fitted(kind, y, **parameters).to_sklearn()


def test_bounded_predictions_are_refused():
    model = cr.TableRegressor(random_state=0).fit(X, SCORES)
    with pytest.raises(ValueError, match=r"activations mish|limited to the range"):
        model.to_sklearn()


def test_unfitted_and_other_estimators_are_refused():
    with pytest.raises(sklearn.exceptions.NotFittedError):
        cr.MLPClassifier().to_sklearn()
    with pytest.raises(sklearn.exceptions.NotFittedError):
        cr.from_sklearn(neural_network.MLPClassifier())
    with pytest.raises(TypeError, match=r"sklearn\.dummy\.DummyClassifier|got sklearn"):
        cr.from_sklearn(pytest.importorskip("sklearn.dummy").DummyClassifier())
