"""`partial_fit` of tables: what is learned from the first part; passing an encoder with settings as `preprocess`."""

import warnings

import numpy as np
import pytest

pytest.importorskip("sklearn")
pytest.importorskip("pandas")
pytest.importorskip("narwhals")

import pandas as pd
from sklearn.base import clone
from sklearn.model_selection import cross_val_score

import chainrule as cr

RNG = np.random.default_rng(0)
N = 600
TABLE = pd.DataFrame(
    {
        "town": RNG.choice(["Ayr", "Bath", "Ely"], N),
        "size": RNG.normal(100, 20, N),
        "late": np.r_[np.full(100, 7.0), RNG.normal(0, 30, N - 100)],  # constant in the first part
        "gaps": np.r_[np.full(100, np.nan), RNG.normal(size=N - 100)],  # empty in the first part
        "kind": np.r_[np.full(100, "a"), RNG.choice(["a", "b"], N - 100)],  # one level in the first part
    }
)
PRICE = 3 * TABLE["size"] + 2 * TABLE["late"].to_numpy() + 50 * (TABLE["town"] == "Bath") + 100 * (TABLE["kind"] == "b")
DEAR = np.where(PRICE.median() < PRICE, "dear", "cheap")
PARTS = [slice(start, start + 100) for start in range(0, N, 100)]
SETTINGS = {"hidden_layer_sizes": 16, "learning_rate_init": 0.02, "random_state": 0, "batch_size": 20}


@pytest.mark.parametrize(
    ("kind", "y", "least"), [(cr.MLPRegressor, PRICE.to_numpy(), 0.8), (cr.MLPClassifier, DEAR, 0.85)]
)
def test_column_that_is_constant_in_the_first_part_stays(kind, y, least):
    estimator = kind(**SETTINGS)
    classes = {"classes": ["cheap", "dear"]} if kind is cr.MLPClassifier else {}
    for _ in range(15):
        for part in PARTS:
            estimator.partial_fit(TABLE[part], y[part], **classes)
    names = estimator.encoder_.feature_names
    assert {name.split("=")[0].split(" ")[0] for name in names} == set(TABLE)
    assert estimator.score(TABLE[100:], y[100:]) > least
    assert estimator.n_features_in_ == 5


def test_levels_absent_from_the_first_part_share_a_feature():
    estimator = cr.MLPRegressor(**SETTINGS).partial_fit(TABLE[PARTS[0]], PRICE[PARTS[0]])
    place = estimator.encoder_.feature_names.index("kind other")
    features = estimator.encoder_.transform(TABLE[PARTS[1]])
    assert (features[:, place] == (TABLE["kind"][PARTS[1]] == "b")).all()


def test_later_missing_values_already_have_a_feature():
    first, later = TABLE[PARTS[1]].drop(columns="gaps"), TABLE[PARTS[2]].drop(columns="gaps").copy()
    later.loc[later.index[3], "size"] = np.nan
    estimator = cr.MLPRegressor(**SETTINGS).partial_fit(first, PRICE[PARTS[1]])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        estimator.partial_fit(later, PRICE[PARTS[2]])
    assert "size missing" in estimator.encoder_.feature_names


@pytest.mark.parametrize("columns", [1, 2])
def test_targets_far_from_the_first_part_warn(columns):
    table = TABLE[["town", "size"]]
    y = np.repeat(PRICE.to_numpy()[:, np.newaxis], columns, axis=1)[:, slice(None) if columns > 1 else 0]
    estimator = cr.MLPRegressor(**SETTINGS).partial_fit(table[PARTS[1]], y[PARTS[1]])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        estimator.partial_fit(table[PARTS[2]], y[PARTS[2]])
    with pytest.warns(UserWarning, match="targets are .* standard deviations away from the mean of those in the first"):
        estimator.partial_fit(table[PARTS[3]], 1000 * y[PARTS[3]])
    constant = cr.MLPRegressor(**SETTINGS).partial_fit(table[PARTS[1]], np.full_like(y[PARTS[1]], 5.0))
    with pytest.warns(UserWarning, match="Begin with rows that resemble the later ones"):
        constant.partial_fit(table[PARTS[2]], y[PARTS[2]])


DATES = pd.DataFrame({"day": [f"0{1 + i % 9}/0{1 + i // 9 % 9}/2020" for i in range(200)], "x": RNG.normal(size=200)})


@pytest.mark.parametrize("kind", [cr.MLPRegressor, cr.MLPClassifier])
def test_encoder_in_preprocess_gives_its_settings(kind):
    y = np.arange(200) % 2
    with pytest.raises(ValueError, match=r"day.*date_order"):
        kind(max_iter=2).fit(DATES, y)
    encoder = cr.TableEncoder(date_order="dmy")
    estimator = kind(preprocess=encoder, max_iter=500, random_state=0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        estimator.fit(DATES, y)
        scores = cross_val_score(estimator, DATES, y, cv=3, error_score="raise")
    assert estimator.encoder_.to_dict() == clone(encoder).fit(DATES).to_dict()
    assert scores.shape == (3,)
    assert estimator.encoder_ is not encoder
    assert not hasattr(encoder, "encoding_")
    assert estimator.get_params()["preprocess__date_order"] == "dmy"
    with pytest.raises(ValueError, match="categorical_features is given twice"):
        kind(preprocess=encoder, categorical_features=["x"]).fit(DATES, y)
    with pytest.raises(ValueError, match=r"preprocess was .* when the network was made"):
        estimator.set_params(warm_start=True, preprocess__date_order="mdy").fit(DATES, y)


def test_encoder_in_preprocess_encodes_arrays_of_numbers():
    rng = np.random.default_rng(1)
    X = rng.normal(1e4, 1e3, size=(100, 2))
    settings = {"max_iter": 3, "random_state": 0}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        a, b = (cr.MLPRegressor(preprocess=p, **settings).fit(X, X[:, 0]) for p in (True, cr.TableEncoder()))
    assert a.network_.parameters.tobytes() == b.network_.parameters.tobytes()
