"""Tables in the estimators: when and from what the encoding is learned, targets in their unit, refusals."""

import pickle

import numpy as np
import pandas as pd
import pytest
from tables import DATA, LIBRARIES, in_objects, make_table

import chainrule as cr
from chainrule import TableEncoder, _frames
from chainrule._formats import DateFormat, NumberFormat

sklearn = pytest.importorskip("sklearn")
model_selection = pytest.importorskip("sklearn.model_selection")
pytestmark = pytest.mark.filterwarnings("ignore:Stochastic Optimizer", "ignore:lbfgs failed to converge")

FAST = {"hidden_layer_sizes": 8, "max_iter": 5, "random_state": 0}


def houses(n=200, seed=0):
    table = make_table(n, seed).drop(columns=["district", "id"])
    table["size"] = pd.to_numeric(table["size"], errors="coerce")
    return table.drop(columns=["price", "dear"]), table.price.to_numpy(), table.dear.to_numpy()


def plain(n=100):
    rng = np.random.default_rng(0)
    return rng.normal(size=(n, 3)), rng.integers(0, 2, n)


def test_tables_that_scikit_learn_rejects_are_encoded():
    X, price, dear = houses()
    classifier, regressor = cr.MLPClassifier(**FAST).fit(X, dear), cr.MLPRegressor(**FAST).fit(X, price)
    for estimator in (classifier, regressor):
        assert estimator.encoder_.to_dict() == TableEncoder().fit(X).to_dict()
        assert estimator.network_.layer_sizes[0] == len(estimator.encoder_.feature_names)
        assert (estimator.n_features_in_, estimator.feature_names_in_.tolist()) == (X.shape[1], list(X))
        assert estimator.network_.dtype == np.float32
    assert set(classifier.predict(X)) == {"no", "yes"}
    assert classifier.predict_proba(X).shape == (200, 2)


def test_inputs_that_scikit_learn_accepts_are_not_encoded():
    X, y = plain()
    frame = pd.DataFrame(X, columns=list("abc"))
    estimators = [cr.MLPClassifier(**FAST, preprocess=p).fit(data, y) for p in ("auto", False) for data in (X, frame)]
    for estimator in estimators:
        assert not hasattr(estimator, "encoder_")
        assert estimator.network_.parameters.tobytes() == estimators[0].network_.parameters.tobytes()
    X[0, 0] = np.nan
    for estimator in (cr.MLPClassifier(**FAST), cr.MLPClassifier(**FAST, preprocess=False)):
        with pytest.raises(ValueError, match="contains NaN"):
            estimator.fit(X, y)
    with pytest.raises(ValueError, match="could not convert string to float"):
        cr.MLPRegressor(**FAST, preprocess=False).fit(*houses()[:2])


@pytest.mark.parametrize("library", LIBRARIES, ids=lambda function: function.__name__)
def test_every_library_gives_the_same_network(library):
    data = {name: values * 4 for name, values in DATA.items()}
    y = np.arange(24.0) ** 2
    table = library(data)
    expected = cr.MLPRegressor(**FAST).fit(pd.DataFrame(data), y)
    estimator = cr.MLPRegressor(**FAST, preprocess=True, early_stopping=False).fit(table, y)
    assert estimator.network_.parameters.tobytes() == expected.network_.parameters.tobytes()
    assert estimator.predict(table).tobytes() == expected.predict(pd.DataFrame(data)).tobytes()
    assert estimator.n_features_in_ == len(DATA)
    if library is not in_objects:
        assert list(estimator.feature_names_in_) == list(DATA)


def test_encoding_is_learned_from_training_rows_only():
    X, price, _ = houses()
    estimator = cr.MLPRegressor(**FAST, early_stopping=True).fit(X, price)
    rows, held_out = model_selection.train_test_split(
        np.arange(200), random_state=np.random.RandomState(0), test_size=0.1
    )
    assert estimator.encoder_.to_dict() == TableEncoder().fit(X.iloc[rows]).to_dict()
    assert estimator.standardizer_.mean == price[rows].mean()
    expected = estimator.score(X.iloc[held_out], price[held_out])
    assert estimator.best_validation_score_ == pytest.approx(expected, rel=1e-5)

    watched = cr.MLPRegressor(**FAST).fit(X[:150], price[:150], X_val=X[150:], y_val=price[150:])
    assert watched.encoder_.to_dict() == TableEncoder().fit(X[:150]).to_dict()
    assert watched.best_validation_score_ == pytest.approx(watched.score(X[150:], price[150:]), rel=1e-5)


@pytest.mark.parametrize("held_out", [{}, {"early_stopping": True}])
def test_each_text_is_read_once(held_out, monkeypatch):
    n, passes, read = 60, [], []
    X = {
        "price": [f"${i + 1},000.5" for i in range(n)],
        "day": [f"{i % 28 + 1}.12.{1990 + i % 7}" for i in range(n)],
        "town": ["Ayr", "Bath", None] * (n // 3),
        "size": [f"{i}.5" if i % 2 else i / 2 for i in range(n)],
        "rooms": pd.Categorical([1, 2, 3, 4] * (n // 4)),
    }
    number_names = _frames._number_names
    monkeypatch.setattr(_frames, "_number_names", lambda names: passes.append(len(names)) or number_names(names))
    for format in (NumberFormat, DateFormat):
        original = format.read
        spy = lambda self, texts, original=original: read.append(texts) or original(self, texts)  # noqa: E731
        monkeypatch.setattr(format, "read", spy)
    cr.MLPClassifier(**FAST, **held_out).fit(pd.DataFrame(X), ["no", "yes"] * (n // 2))
    assert passes == [n, 4]  # "size" and the categories of "rooms"; pandas numbers the text of the other columns
    texts = [[value for value in X[name] if isinstance(value, str)] for name in ("price", "day", "size")]
    assert read == [list(dict.fromkeys(column)) for column in texts]


def test_predictions_have_the_unit_of_the_targets():
    X, price, _ = houses()
    several = np.stack([price, 1e6 * price + 1e9], axis=1)
    settings = FAST | {"max_iter": 60, "solver": "lbfgs"}
    one, two = cr.MLPRegressor(**settings).fit(X, price), cr.MLPRegressor(**settings).fit(X, several)
    assert one.score(X, price) > 0.9
    assert two.predict(X).shape == (200, 2)
    assert two.predict(X).mean(axis=0) == pytest.approx(several.mean(axis=0), rel=1e-2)
    quantiles = cr.MLPRegressor(cr.Quantile([0.1, 0.9]), **FAST | {"max_iter": 200, "learning_rate_init": 0.01})
    low, high = quantiles.fit(X, price).predict(X).T
    assert 0.6 < np.mean((low < price) & (price < high)) < 0.95


@pytest.mark.parametrize(
    "loss", ["poisson", "gamma", cr.Tweedie(1.2), lambda z, y, w: (float(np.mean((z - y) ** 2)), 2 * (z - y) / len(y))]
)
def test_losses_that_depend_on_the_unit_receive_unscaled_targets(loss):
    X, price, _ = houses()
    estimator = cr.MLPRegressor(loss, **FAST).fit(X, price / 100)
    assert not hasattr(estimator, "standardizer_")
    assert hasattr(estimator, "encoder_")
    estimator.set_params(loss="squared_error").fit(X, price)
    assert hasattr(estimator, "standardizer_")
    estimator.set_params(loss=loss).fit(X, price / 100)
    assert not hasattr(estimator, "standardizer_")


def test_metrics_are_in_the_unit_of_the_targets():
    def largest(y, predictions):
        return np.abs(y - predictions).max()

    largest.more_is_better = False
    X, price, _ = houses()
    metrics = ["rmse", "mae", "mape", "r2", largest]
    estimator = cr.MLPRegressor(**FAST, eval_metric=metrics).fit(X[:150], price[:150], X_val=X[150:], y_val=price[150:])
    errors = np.abs(estimator.predict(X[150:]) - price[150:])
    reported = {name: values[estimator.history_.best_epoch - 1] for name, values in estimator.history_.metrics.items()}
    expected = {"rmse": np.sqrt(np.mean(errors**2)), "mae": errors.mean(), "largest": errors.max()}
    expected["mape"] = (errors / price[150:]).mean()
    assert reported == pytest.approx(expected | {"r2": estimator.score(X[150:], price[150:])}, rel=1e-4)
    assert estimator.best_validation_score_ == min(estimator.validation_scores_) == reported["rmse"]


def test_arrays_are_encoded_with_preprocess_true():
    X, _, dear = houses()
    objects = X.to_numpy(dtype=object)
    estimator = cr.MLPClassifier(**FAST, preprocess=True).fit(objects, dear)
    expected = cr.MLPClassifier(**FAST).fit(X, dear)
    assert estimator.predict_proba(objects).tobytes() == expected.predict_proba(X).tobytes()
    assert estimator.predict_proba(objects.tolist()).tobytes() == expected.predict_proba(X).tobytes()
    numbers, y = plain()
    numbers[::5, 1] = np.nan
    assert cr.MLPClassifier(**FAST, preprocess=True).fit(numbers, y).encoder_.n_features == 4
    sparse = pytest.importorskip("scipy.sparse").csr_matrix(np.eye(10))
    with pytest.raises(ValueError, match="the columns of a sparse matrix cannot be encoded"):
        cr.MLPClassifier(**FAST, preprocess=True).fit(sparse, np.arange(10) % 2)


def test_categorical_number_columns_are_one_hot_encoded():
    X, _, dear = houses()
    for chosen in (["rooms"], [1], [name == "rooms" for name in X]):
        encoder = cr.MLPClassifier(**FAST, categorical_features=chosen).fit(X, dear).encoder_
        assert "rooms=3" in encoder.feature_names
    typed = X.astype({"rooms": "category"})
    assert "rooms=3" in cr.MLPClassifier(**FAST).fit(typed, dear).encoder_.feature_names
    assert "rooms" in cr.MLPClassifier(**FAST, categorical_features=None).fit(typed, dear).encoder_.feature_names


def test_other_columns_raise_the_error_of_scikit_learn():
    X, _, dear = houses()
    estimator = cr.MLPClassifier(**FAST).fit(X, dear)
    with pytest.raises(ValueError, match="feature names should match"):
        estimator.predict(X[X.columns[::-1]])
    with pytest.raises(ValueError, match="feature names should match"):
        estimator.predict(X.drop(columns="zip"))
    with pytest.raises(ValueError, match="column 'rooms' holds 'many' in row 1, expected a number"):
        estimator.predict(X.assign(rooms="many"))
    with pytest.raises(ValueError, match="inconsistent numbers of samples"):
        estimator.fit(X, dear[1:])
    with pytest.raises(ValueError, match="'preprocess' parameter of MLPClassifier must be"):
        cr.MLPClassifier(preprocess="always").fit(X, dear)


def test_warm_start_keeps_the_encoding_and_a_new_fit_replaces_it():
    X, price, dear = houses()
    estimator = cr.MLPClassifier(**FAST).partial_fit(X[:100], dear[:100], classes=["no", "yes"])
    encoding = estimator.encoder_.to_dict()
    assert estimator.partial_fit(X[100:], dear[100:]).encoder_.to_dict() == encoding
    warm = cr.MLPRegressor(**FAST, warm_start=True).fit(X[:100], price[:100])
    encoding, mean = warm.encoder_.to_dict(), warm.standardizer_.mean
    before = warm.network_.parameters.copy()
    warm.fit(X, price)
    assert (warm.encoder_.to_dict(), warm.standardizer_.mean) == (encoding, mean)
    assert not np.array_equal(warm.network_.parameters, before)
    again = warm.set_params(warm_start=False).fit(*plain())
    assert not hasattr(again, "encoder_")
    assert not hasattr(again, "standardizer_")
    assert again.predict(plain()[0]).shape == (100,)


def test_scikit_learn_tools_accept_tables():
    X, price, dear = houses()
    estimator = cr.MLPClassifier(**FAST).fit(X, dear)
    assert (pickle.loads(pickle.dumps(estimator)).predict_proba(X) == estimator.predict_proba(X)).all()
    assert sklearn.base.clone(estimator).fit(X, dear).score(X, dear) == estimator.score(X, dear)
    for table in (X, pytest.importorskip("polars").from_pandas(X)):
        scores = model_selection.cross_val_score(cr.MLPRegressor(**FAST, learning_rate_init=0.1), table, price, cv=3)
        assert scores.min() > 0.3
    search = model_selection.GridSearchCV(cr.MLPClassifier(**FAST), {"alpha": [1e-4, 1e-2]}, cv=2, n_jobs=2)
    assert search.fit(X, dear).best_estimator_.encoder_.n_features == estimator.encoder_.n_features


def test_dtype_parameter_sets_the_type_of_the_network():
    X, price, _ = houses()
    estimator = cr.MLPRegressor(**FAST, dtype="float64").fit(X, price)
    assert estimator.network_.dtype == np.float64
    assert estimator.predict(X).dtype == np.float64


@pytest.mark.parametrize("kind", ["series", "polars", "list"])
def test_targets_may_be_series_or_lists(kind):
    X, price, dear = houses()
    make = {"series": pd.Series, "polars": lambda y: pytest.importorskip("polars").Series(y), "list": list}[kind]
    expected = cr.MLPClassifier(**FAST).fit(X, dear).predict(X)
    assert (cr.MLPClassifier(**FAST).fit(X, make(dear)).predict(X) == expected).all()
    assert cr.MLPRegressor(**FAST).fit(X, make(price)).predict(X).shape == (200,)


def test_dates_as_text_give_the_network_of_dates():
    days = pd.date_range("2020-01-01", periods=120)
    y = np.arange(120.0)
    expected = cr.MLPRegressor(**FAST).fit(pd.DataFrame({"day": days}), y)
    for pattern in ("%d/%m/%Y", "%m/%d/%Y", "%d.%m.%Y", "%Y/%m/%d", "%d %b %Y", " %Y-%m-%d", "%B %d, %Y", "%d-%b-%y"):
        table = pd.DataFrame({"day": days.strftime(pattern)})
        estimator = cr.MLPRegressor(**FAST).fit(table, y)
        assert estimator.predict(table).tobytes() == expected.predict(pd.DataFrame({"day": days})).tobytes(), pattern


def test_few_words_among_dates_warn_in_estimators():
    table = pd.DataFrame({"day": [*pd.date_range("2020-01-01", periods=19).strftime("%d/%m/%Y"), "soon"]})
    with pytest.warns(UserWarning, match="column 'day' holds dates, .* 1 of 20 cells .* the first 'soon' in row 20"):
        cr.MLPClassifier(**FAST).fit(table, np.arange(20) % 2)


def test_encoder_settings_resolve_an_ambiguous_column():
    table, y = (
        pd.DataFrame({"day": [f"{d:02}/{m:02}/2020" for d in range(1, 13) for m in range(1, 13)]}),
        np.arange(144.0),
    )
    with pytest.raises(ValueError, match="choose date_order='dmy' or date_order='mdy' of TableEncoder"):
        cr.MLPRegressor(**FAST).fit(table, y)
    fits = [
        cr.MLPRegressor(**FAST, preprocess=cr.TableEncoder(date_order=order)).fit(table, y) for order in ("dmy", "mdy")
    ]
    assert [estimator.encoder_.columns[0].format.order for estimator in fits] == ["dmy", "mdy"]


def test_unseen_levels_warn_except_in_random_held_out_rows():
    table = pd.DataFrame({"town": ["a", "b"] * 20 + [f"rare {i}" for i in range(10)]})
    y = np.arange(50) % 2
    estimator = cr.MLPClassifier(**FAST, early_stopping=True, validation_fraction=0.5).fit(table, y)
    assert set(estimator.encoder_.columns[0].levels) < set(table.town)
    message = "column 'town': 1 of 2 cells hold levels that were not seen during fit, such as 'c' in row 2"
    with pytest.warns(UserWarning, match=message):
        estimator.predict(pd.DataFrame({"town": ["a", "c"]}))
    with pytest.warns(UserWarning, match=message):
        cr.MLPClassifier(**FAST).fit(table, y, X_val=pd.DataFrame({"town": ["a", "c"]}), y_val=[0, 1])


def test_booleans_in_other_spellings_give_the_same_predictions():
    flags = np.arange(200) % 3 == 0
    estimator = cr.MLPRegressor(**FAST | {"max_iter": 200}, learning_rate_init=0.05).fit(
        pd.DataFrame({"flag": flags, "t": "a"}), flags * 1.0
    )
    expected = estimator.predict(pd.DataFrame({"flag": flags, "t": "a"}))
    for later in (
        flags.astype(int),
        flags.astype(float),
        flags.astype(str),
        np.char.lower(flags.astype(str)),
        flags.astype(object),
    ):
        assert estimator.predict(pd.DataFrame({"flag": later, "t": "a"})).tobytes() == expected.tobytes()
