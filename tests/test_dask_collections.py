"""Every call that would gather a Dask collection in memory raises an error that names the argument."""

import numpy as np
import pytest

import chainrule as cr

da = pytest.importorskip("dask.array", reason="the extra dask is not installed")
dd = pytest.importorskip("dask.dataframe", reason="the extra dask is not installed")
pd = pytest.importorskip("pandas")
pytest.importorskip("sklearn")

X = np.random.default_rng(0).normal(size=(60, 3))
CLASSES, VALUES, WEIGHT = (X[:, 0] > 0).astype(int), X[:, 1], np.abs(X[:, 2])
ESTIMATORS = [cr.MLPClassifier, cr.MLPRegressor, cr.TableClassifier, cr.TableRegressor]


def as_array(values):
    return da.from_array(values, chunks=20)


def as_table(values):
    return dd.from_pandas(pd.DataFrame(values) if values.ndim > 1 else pd.Series(values), npartitions=2)


def network():
    return cr.Network([3, 1], loss="squared_error", seed=0)


def assert_refused(function, *arguments, lazy, names=("X", "y", "sample_weight"), **options):
    """Pass a collection as one argument after the other; None stands for an omitted argument."""
    for k, name in enumerate(names):
        if arguments[k] is None:
            continue
        given = [lazy(value) if i == k else value for i, value in enumerate(arguments)]
        with pytest.raises(TypeError, match=rf"{name} is a Dask collection.*chainrule\.dask\.fit.*{name}\.compute\(\)"):
            function(*given, **options)


@pytest.mark.parametrize("lazy", [as_array, as_table])
def test_networks_refuse_dask_collections(lazy):
    net, options = network(), {"lazy": lazy, "epochs": 1}
    assert_refused(lambda X, y, w, **more: net.fit(X, y, sample_weight=w, **more), X, VALUES, WEIGHT, **options)
    assert_refused(net.fit, X, VALUES, **options, names=("X", "y"), validation=0.2)
    assert_refused(lambda *data, **more: net.fit(X, VALUES, validation=data, **more), X, VALUES, WEIGHT, **options)

    def many(X, y, w, rows, **more):
        cr.fit_many([network()], X, y, sample_weight=w, rows=[rows], **more)

    names = ("X", "y", "sample_weight", "rows")
    assert_refused(many, X, VALUES, WEIGHT, CLASSES > 0, **options, names=names)
    for function in (net.predict, net.logits):
        assert_refused(function, X, lazy=lazy, names=("X",))
    for function in (net.loss, net.loss_and_gradients):
        assert_refused(function, X, VALUES, WEIGHT, lazy=lazy)
    assert_refused(net.losses, X, VALUES, lazy=lazy, names=("X", "y"))
    assert_refused(net.trace, X, VALUES, lazy=lazy, names=("X", "y"))
    assert_refused(net.partial_gradients, X, VALUES, lazy=lazy, names=("X", "y"), first=0, total_rows=60)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("lazy", [as_array, as_table])
@pytest.mark.parametrize("kind", ESTIMATORS)
def test_estimators_refuse_dask_collections(kind, lazy):
    y = VALUES if "Regressor" in kind.__name__ else CLASSES
    options = {"random_state": 0} | ({"max_iter": 2} if "MLP" in kind.__name__ else {})
    fitted = kind(**options).fit(X, y)
    assert_refused(kind(**options).fit, X, y, WEIGHT, lazy=lazy)

    def fit_validated(X_val, y_val, sample_weight_val):
        kind(**options).fit(X, y, X_val=X_val, y_val=y_val, sample_weight_val=sample_weight_val)

    assert_refused(fit_validated, X, y, WEIGHT, lazy=lazy)
    assert_refused(fitted.score, X, y, WEIGHT, lazy=lazy)
    for method in {"predict", "predict_proba", "predict_log_proba"} & set(dir(kind)):
        assert_refused(getattr(fitted, method), X, lazy=lazy, names=("X",))
    if hasattr(fitted, "partial_fit"):
        more = () if y is VALUES else (np.array([0, 1]),)
        assert_refused(kind(**options).partial_fit, X, y, WEIGHT, *more, lazy=lazy)
        if more:
            call = lambda classes: kind(**options).partial_fit(X, y, classes=classes)  # noqa: E731
            assert_refused(call, *more, lazy=lazy, names=("classes",))


@pytest.mark.parametrize("lazy", [as_array, as_table])
def test_table_encoders_refuse_dask_collections(lazy):
    assert_refused(
        lambda X, w: cr.TableEncoder().fit(X, sample_weight=w), X, WEIGHT, lazy=lazy, names=("X", "sample_weight")
    )
    assert_refused(cr.TableEncoder().fit(X).transform, X, lazy=lazy, names=("X",))
