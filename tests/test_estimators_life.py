"""The estimators with scikit-learn's tools: pickles, pipelines, searches, routing; writing to the weights."""

import copy
import inspect
import os
import pickle
import signal
import threading
import warnings
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("sklearn")

import joblib
import sklearn
from sklearn.base import clone
from sklearn.compose import TransformedTargetRegressor
from sklearn.datasets import load_iris, make_regression
from sklearn.exceptions import ConvergenceWarning
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.multioutput import MultiOutputRegressor
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler

import chainrule as cr

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning", "ignore:The network predicts")

GOLDEN = Path(__file__).parent / "data" / "golden_estimators.pickle"
X, Y = load_iris(return_X_y=True)
X_VALUES, Y_VALUES = make_regression(120, 6, random_state=0)
X_VALUES, Y_VALUES = X_VALUES.astype("float32"), (Y_VALUES / Y_VALUES.std()).astype("float32")
SMALL = {"hidden_layer_sizes": 8, "max_iter": 20, "random_state": 0, "learning_rate_init": 0.01}


def assert_same(a, b):
    assert np.array_equal(a.network_.parameters, b.network_.parameters)
    assert a.get_params() == b.get_params()
    assert (a.loss_curve_, a.t_, a.n_iter_) == (b.loss_curve_, b.t_, b.n_iter_)


def pickled(estimator, tmp_path):
    return pickle.loads(pickle.dumps(estimator))


def through_joblib(estimator, tmp_path):
    joblib.dump(estimator, tmp_path / "estimator")
    return joblib.load(tmp_path / "estimator")


@pytest.mark.parametrize("through", [pickled, through_joblib, lambda estimator, _: copy.deepcopy(estimator)])
def test_copies_continue_like_the_original(through, tmp_path):
    estimator = cr.MLPRegressor(**SMALL, solver=cr.AdamW(), learning_rate=cr.Cosine(epochs=30)).fit(X_VALUES, Y_VALUES)
    twin = through(estimator, tmp_path)
    assert_same(estimator, twin)
    assert np.array_equal(estimator.predict(X_VALUES), twin.predict(X_VALUES))
    for _ in range(3):
        estimator.partial_fit(X_VALUES, Y_VALUES), twin.partial_fit(X_VALUES, Y_VALUES)
    assert_same(estimator, twin)
    twin.coefs_[0][...] = 0.0
    assert estimator.coefs_[0].any()


def test_golden_pickle_gives_the_stored_predictions():
    """Files of released versions must be readable; `data/make_golden_estimators.py` wrote this one."""
    with GOLDEN.open("rb") as file:
        golden = pickle.load(file)
    classifier, regressor = golden["classifier"], golden["regressor"]
    np.testing.assert_allclose(classifier.predict_proba(golden["X"]), golden["probabilities"], rtol=1e-12)
    np.testing.assert_allclose(regressor.predict(golden["X"]), golden["values"], rtol=1e-5)
    assert classifier.predict(golden["X"]).tolist() == golden["labels"].tolist()
    classifier.partial_fit(golden["X"], golden["labels"])


def test_clone_copies_only_the_parameters():
    estimator = cr.MLPClassifier(**SMALL, activation=["gelu"], callbacks=[print]).fit(X, Y)
    twin = clone(estimator)
    assert twin.get_params() == estimator.get_params()
    assert not hasattr(twin, "coefs_")
    assert repr(cr.MLPClassifier((5, 5), alpha=0.1)) == "MLPClassifier(alpha=0.1, hidden_layer_sizes=(5, 5))"
    assert "MLPClassifier" in estimator._repr_html_()


def test_network_reports_given_initial_weights():
    for estimator in (cr.MLPClassifier(**SMALL).fit(X, Y), cr.MLPRegressor(**SMALL).partial_fit(X, Y)):
        assert estimator.network_.init == "given"  # by the estimator, as scikit-learn draws them


def test_weights_are_views():
    estimator = cr.MLPClassifier(**SMALL).fit(X, Y)
    assert [c.shape for c in estimator.coefs_] == [(4, 8), (8, 3)]
    assert [b.shape for b in estimator.intercepts_] == [(8,), (3,)]
    estimator.coefs_[0][2, 5] = 7.0
    assert estimator.network_.weights[0][5, 2] == 7.0
    estimator.coefs_[1] = np.ones((8, 3))
    assert (estimator.network_.weights[1] == 1.0).all()
    estimator.coefs_ = [np.zeros((4, 8)), np.zeros((8, 3))]
    estimator.intercepts_ = [np.zeros(8), np.log([0.2, 0.3, 0.5])]
    np.testing.assert_allclose(estimator.predict_proba(X[:1]), [[0.2, 0.3, 0.5]])


def test_weights_of_other_shapes_make_another_network():
    estimator = cr.MLPRegressor(**SMALL).fit(X, Y)
    wider = [np.full((4, 2), 0.5), np.ones((2, 1))]
    estimator.coefs_ = wider
    estimator.intercepts_ = [np.zeros(2), np.zeros(1)]
    assert estimator.predict([[1.0, 1.0, 1.0, 1.0]]) == [4.0]
    assert estimator.network_.layer_sizes == (4, 2, 1)
    assert estimator.partial_fit(X, Y).coefs_[0].shape == (4, 2)


def test_weights_exist_only_after_fit_or_assignment():
    estimator = cr.MLPRegressor(activation="tanh")
    assert not hasattr(estimator, "coefs_")
    with pytest.raises(AttributeError, match="'MLPRegressor' object has no attribute 'intercepts_'"):
        estimator.intercepts_  # noqa: B018
    estimator.coefs_, estimator.intercepts_ = [np.ones((2, 1))], [np.zeros(1)]
    estimator.out_activation_, estimator.n_features_in_ = "identity", 2
    assert estimator.predict([[1.0, 2.0]]) == [3.0]


def test_pipelines_and_meta_estimators_work():
    pipeline = make_pipeline(StandardScaler(), cr.MLPClassifier(**{**SMALL, "max_iter": 100}))
    assert cross_val_score(pipeline, X, Y, cv=3).min() > 0.9
    target = TransformedTargetRegressor(cr.MLPRegressor(**{**SMALL, "max_iter": 200}), transformer=StandardScaler())
    assert target.fit(X, Y * 1000.0).score(X, Y * 1000.0) > 0.8
    assert MultiOutputRegressor(cr.MLPRegressor(**SMALL)).fit(X, X).predict(X).shape == X.shape


def test_grid_search_in_processes_gives_the_same_bits():
    grid = {"alpha": [1e-4, 1.0], "activation": ["relu", "silu"], "dropout": [0.0, 0.2]}
    one, two = (GridSearchCV(cr.MLPClassifier(**SMALL), grid, cv=2, n_jobs=n).fit(X, Y) for n in (1, 2))
    assert one.best_params_ == two.best_params_
    assert one.cv_results_["mean_test_score"].tolist() == two.cv_results_["mean_test_score"].tolist()
    assert_same(one.best_estimator_, two.best_estimator_)


@pytest.mark.skipif("transform_input" not in inspect.signature(Pipeline).parameters, reason="needs scikit-learn 1.6")
@pytest.mark.parametrize("kind", [cr.MLPClassifier, cr.MLPRegressor, cr.TableClassifier, cr.TableRegressor])
def test_pipeline_transforms_and_passes_validation_data(kind):
    """The estimator gets X_val transformed by the steps before it (scikit-learn#27124)."""
    weight, own = np.linspace(0.1, 1.0, 150), np.linspace(1.0, 0.1, 50)
    held_out = {"X_val": X[::3], "y_val": Y[::3], "sample_weight_val": own}
    settings = SMALL if issubclass(kind, (cr.MLPClassifier, cr.MLPRegressor)) else {"random_state": 0}
    with sklearn.config_context(enable_metadata_routing=True):
        requests = dict.fromkeys(["sample_weight", *held_out], True)
        estimator = kind(**settings).set_fit_request(**requests)
        scaler = StandardScaler().set_fit_request(sample_weight=False)
        pipeline = Pipeline([("scale", scaler), ("estimator", estimator)], transform_input=["X_val"])
        pipeline.fit(X, Y, sample_weight=weight, **held_out)
    scaler = StandardScaler().fit(X)
    held_out["X_val"] = scaler.transform(X[::3])
    expected = clone(estimator).fit(scaler.transform(X), Y, weight, **held_out)
    fitted = pipeline[-1]
    assert fitted.network_.parameters.tobytes() == expected.network_.parameters.tobytes()
    assert fitted.history_.validation.tolist() == expected.history_.validation.tolist()
    as_given = clone(estimator).fit(scaler.transform(X), Y, weight, **held_out | {"X_val": X[::3]})
    assert fitted.history_.validation.tolist() != as_given.history_.validation.tolist()
    for name in ("y_val", "sample_weight_val"):
        with pytest.raises(ValueError, match=f"^{name} is given without X_val$"):
            clone(estimator).fit(X, Y, **{name: held_out[name]})
    with pytest.raises(ValueError, match=r"^X_val is given without y_val$"):
        clone(estimator).fit(X, Y, X_val=X)


def test_feature_names_are_kept_and_checked():
    pd = pytest.importorskip("pandas")
    frame = pd.DataFrame(X, columns=["a", "b", "c", "d"])
    estimator = cr.MLPClassifier(**SMALL, early_stopping=True)
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)
        warnings.simplefilter("ignore", ConvergenceWarning)
        estimator.fit(frame, Y, X_val=frame[:30], y_val=Y[:30]).predict(frame)
    assert estimator.feature_names_in_.tolist() == ["a", "b", "c", "d"]
    with pytest.warns(UserWarning, match="X does not have valid feature names"):
        estimator.predict(X)
    with pytest.raises(ValueError, match="The feature names should match"):
        estimator.predict(frame[["b", "a", "c", "d"]])


def test_callbacks_of_scikit_learn_receive_every_epoch():
    callback = pytest.importorskip("sklearn.callback", reason="scikit-learn has callbacks from 1.9 on")
    told = []

    class Recorder:
        def setup(self, estimator, context):
            told.append("setup")

        def on_fit_task_begin(self, estimator, context, *, X=None):
            told.append(("begin", context.task_name, context.task_id, X.shape))

        def on_fit_task_end(self, estimator, context, *, fitted_estimator=None):
            loss = None if fitted_estimator is None else fitted_estimator.network_.loss(X, Y)
            told.append(("end", context.task_name, context.task_id, loss))
            return context.task_name == "epoch" and context.task_id == 2

        def teardown(self, estimator, context):
            told.append("teardown")

    assert isinstance(Recorder(), callback.FitCallback)
    estimator = cr.MLPClassifier(**SMALL, alpha=0.0).set_callbacks(Recorder()).fit(X, Y)
    assert estimator.n_iter_ == 3
    assert told[0] == "setup"
    assert told[-1] == "teardown"
    assert [event[:3] for event in told[1:-1]] == [
        ("begin", "fit", 0),
        *((what, "epoch", epoch) for epoch in (0, 1, 2) for what in ("begin", "end")),
        ("begin", "epoch", 3),
        ("end", "epoch", 3),
        ("end", "fit", 0),
    ]
    losses = [event[3] for event in told[1:-1] if event[0] == "end"]
    np.testing.assert_allclose(losses[:2], estimator.loss_curve_[1:], rtol=1e-9)
    assert losses[2] == losses[4]
    assert losses[3] is None


def test_diverging_fit_raises_or_warns_and_keeps_finite_weights():
    big = X_VALUES.astype(float) * 1e6
    estimator = cr.MLPRegressor(solver="sgd", learning_rate_init=10.0, random_state=0)
    with pytest.raises(ValueError, match="Solver produced non-finite parameter weights") as error:
        estimator.fit(big, Y_VALUES)
    assert isinstance(error.value.__cause__, cr.DivergenceError)
    with pytest.warns(ConvergenceWarning, match="NaN or infinite"):
        estimator.set_params(early_stopping=True).fit(big, Y_VALUES)
    assert np.isfinite(estimator.network_.parameters).all()
    assert np.isnan(estimator.validation_scores_[-1])
    assert len(estimator.validation_scores_) == len(estimator.loss_curve_) == estimator.n_iter_


def test_interrupted_fit_warns_and_keeps_its_epochs():
    moving = threading.Event()
    press = threading.Thread(target=lambda: moving.wait(60) and os.kill(os.getpid(), signal.SIGINT))
    press.start()
    estimator = cr.MLPClassifier((200, 200), max_iter=10**5, tol=0.0, n_iter_no_change=10**5, random_state=0)
    estimator.set_params(callbacks=[lambda logs: moving.set() if logs["epoch"] == 50 else None])
    with pytest.warns(UserWarning, match=r"Training interrupted by user\."):
        estimator.fit(X, Y)
    assert 50 <= estimator.n_iter_ == len(estimator.loss_curve_) < 10**5
    assert estimator.score(X, Y) > 0.5
    estimator.partial_fit(X, Y)


def test_without_scikit_learn_an_error_names_the_extra(monkeypatch):
    import sys

    for name in [name for name in sys.modules if name.partition(".")[0] == "sklearn" or "estimators" in name]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "sklearn", None)
    with pytest.raises(ImportError, match=r'this needs sklearn: pip install "chainrule\[sklearn\]"'):
        cr.MLPClassifier  # noqa: B018
