"""skops and MLflow write and read estimators. Each test is skipped where its package is missing."""

import numpy as np
import pytest

import chainrule as cr

pytest.importorskip("sklearn")
pd = pytest.importorskip("pandas")
RNG = np.random.default_rng(0)
TABLE = pd.DataFrame(
    {
        "size": RNG.normal(size=400),
        "home": RNG.choice(["own", "rent"], 400),
        "day": pd.date_range("2020-01-01", periods=400).astype(str),
    }
)
VALUES = 1000 + 50 * TABLE["size"] + 100 * (TABLE["home"] == "own")
ESTIMATORS = {
    "TableClassifier": {},
    "TableRegressor": {"loss": cr.Huber(2.0)},
    "MLPClassifier": {"solver": cr.AdamW(learning_rate=0.02), "max_iter": 50, "early_stopping": True},
    "MLPRegressor": {"learning_rate_init": 0.02, "learning_rate": cr.OneCycle(), "max_iter": 50, "batch_size": 20},
}


@pytest.fixture(scope="module", params=ESTIMATORS)
def model(request):
    estimator = getattr(cr, request.param)(random_state=0, **ESTIMATORS[request.param])
    return estimator.fit(TABLE, VALUES > 1050 if "Classifier" in request.param else VALUES)


def test_trusted_types_are_those_that_skops_finds(model):
    skops = pytest.importorskip("skops.io")
    data = skops.dumps(model)
    assert set(skops.get_untrusted_types(data=data)) <= set(cr.estimators.TRUSTED_TYPES)
    again = skops.loads(data, trusted=cr.estimators.TRUSTED_TYPES)
    assert (again.predict(TABLE) == model.predict(TABLE)).all()


@pytest.mark.filterwarnings("ignore:.*type hint:UserWarning")  # MLflow reads the annotation of predict
def test_mlflow_stores_and_loads_the_estimator(model, tmp_path, monkeypatch):
    mlflow = pytest.importorskip("mlflow.sklearn")
    monkeypatch.chdir(tmp_path)
    mlflow.save_model(model, tmp_path / "model", skops_trusted_types=cr.estimators.TRUSTED_TYPES)
    again = mlflow.load_model(str(tmp_path / "model"))
    assert (again.predict(TABLE) == model.predict(TABLE)).all()


def test_every_trusted_type_exists():
    for name in cr.estimators.TRUSTED_TYPES:
        module, _, kind = name.rpartition(".")
        assert isinstance(getattr(__import__(module, fromlist=[kind]), kind), type)
    assert len(cr.estimators.TRUSTED_TYPES) < 50
