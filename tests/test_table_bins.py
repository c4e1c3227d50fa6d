"""`TableEncoder(bins=...)` against a definition in NumPy; weights of rows; the same in every library; its state."""

import itertools
import json

import numpy as np
import pandas as pd
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

import chainrule as cr
from chainrule.table import TableEncoding

pytest.importorskip("sklearn")

NUMBERS = st.one_of(st.integers(-3, 3).map(float), st.floats(-1e6, 1e6, width=32))
COLUMNS = st.lists(NUMBERS, min_size=2, max_size=40).filter(lambda values: len(set(values)) > 1)


def find_edges(values, bins):
    """Find the edges by counting: the distinct values, or heavy values and the quantiles of all others."""
    distinct = sorted(set(values))
    if len(distinct) <= bins + 1:
        return distinct
    heavy = [value for value in distinct if values.count(value) > len(values) / bins]
    light = [value for value in values if value not in heavy]
    return sorted({*heavy, *np.quantile(light, np.linspace(0, 1, max(bins - len(heavy), 2) + 1))})


def describe(values, bins, x):
    """Return the features of a number x, one formula each."""
    q25, median, q75 = np.quantile(values, [0.25, 0.5, 0.75])
    scaled = (x - median) / (q75 - q25 or np.std(values))
    edges = find_edges(values, bins)
    parts = [min(max((x - low) / (high - low), 0), 1) for low, high in itertools.pairwise(edges)]
    return [scaled / np.sqrt(1 + (scaled / 3) ** 2), *(parts if len(edges) > 2 else [])]


@given(COLUMNS, st.lists(NUMBERS, min_size=1, max_size=5), st.integers(1, 8))
@example([0.0] * 7 + [1.0, 2.0, 3.0, 4.0, 5.0], [0.5], 4)
def test_features_follow_their_definition(values, others, bins):
    encoder = cr.TableEncoder(bins=bins).fit(np.reshape(values, (-1, 1)))
    rows = [*values, *others]
    expected = np.array([describe(values, bins, x) for x in rows])
    assert encoder.n_features == expected.shape[1] == len(set(encoder.feature_names))
    np.testing.assert_allclose(encoder.transform(np.reshape(rows, (-1, 1))), expected, rtol=1e-6, atol=1e-6)


@given(COLUMNS, st.data(), st.integers(1, 8))
def test_a_row_of_weight_w_counts_as_w_rows(values, data, bins):
    sizes = st.lists(st.integers(0, 4), min_size=len(values), max_size=len(values))
    weight = np.array(data.draw(sizes.filter(lambda w: len(set(np.repeat(values, w))) > 1)))
    table = np.stack([np.array(values), np.round(values)], axis=1).astype(object)
    settings = {"bins": bins, "max_levels": 2, "categorical_features": [1]}
    weighted = cr.TableEncoder(**settings).fit(table, sample_weight=weight)
    repeated = cr.TableEncoder(**settings).fit(np.repeat(table, weight, axis=0))
    assert weighted.feature_names[weighted.columns[0].width :] == repeated.feature_names[repeated.columns[0].width :]
    for name in ("median", "scale", "edges"):
        a, b = (getattr(encoder.columns[0], name) for encoder in (weighted, repeated))
        np.testing.assert_allclose(a, b, rtol=1e-12, atol=1e-9)


def test_weights_below_1_are_in_units_of_the_smallest():
    values = np.random.default_rng(0).normal(size=(50, 1))
    encoder, plain = cr.TableEncoder(bins=5), cr.TableEncoder(bins=5).fit(values)
    encoder.fit(values, sample_weight=np.full(50, 0.02))
    np.testing.assert_allclose(encoder.columns[0].edges, plain.columns[0].edges)
    for weight, message in [
        (np.ones(3), r"has shape \(3,\), expected \(50,\)"),
        (np.full(50, -1.0), r"sample_weight\[0\] is -1"),
        (np.full(50, np.nan), r"sample_weight\[0\] is nan"),
        (np.zeros(50), "at least one non-zero"),
    ]:
        with pytest.raises(ValueError, match=message):
            encoder.fit(values, sample_weight=weight)


def test_every_library_gives_the_same_features():
    polars, arrow = pytest.importorskip("polars"), pytest.importorskip("pyarrow")
    rng = np.random.default_rng(1)
    data = {
        "x": np.where(rng.random(200) < 0.4, 0, rng.normal(size=200)),
        "day": rng.integers(0, 5000, 200).astype("datetime64[D]").astype("datetime64[us]"),
    }
    data["x"][::9] = np.nan
    pandas, weight = pd.DataFrame(data), rng.integers(0, 3, 200)
    objects = pandas.astype(object)
    tables = [pandas, polars.DataFrame(data), arrow.table(pandas), objects.where(objects.notna(), None).to_numpy()]
    encoders = [cr.TableEncoder(bins=6).fit(table, sample_weight=weight) for table in tables]
    features = [encoder.transform(table) for encoder, table in zip(encoders, tables, strict=True)]
    assert features[0].shape == (200, encoders[0].n_features) == (200, 1 + 6 + 1 + 1 + 6)
    assert len({array.tobytes() for array in features}) == 1
    assert encoders[0].columns[0].edges[:3] < (0.0,) * 3
    assert 0.0 in encoders[0].columns[0].edges


def test_state_contains_bins_only_if_there_are_any():
    table = pd.DataFrame({"x": np.arange(40.0) ** 2, "two": np.arange(40) % 2, "word": ["a", "b"] * 20})
    encoder = cr.TableEncoder(bins=4).fit(table)
    state = json.loads(json.dumps(encoder.to_dict()))
    assert state["format"] == 3
    assert [len(column.get("edges", [])) for column in state["columns"]] == [5, 0, 0]
    again = cr.TableEncoder.from_dict(state)
    assert again.columns == encoder.columns
    assert again.transform(table).tobytes() == encoder.transform(table).tobytes()
    for bins in (None, 0):
        plain = cr.TableEncoder(bins=bins).fit(table)
        assert plain.to_dict() == TableEncoding.learn(table).to_dict()
        assert plain.to_dict()["format"] == 2
        assert "edges" not in str(plain.to_dict())
    with pytest.raises(ValueError, match="bins is -1"):
        cr.TableEncoder(bins=-1).fit(table)


def test_an_estimator_keeps_the_bins_of_its_encoder(tmp_path):
    table = pd.DataFrame({"x": np.linspace(-3, 3, 200)})
    y = np.where(abs(table.x) < 1, 5.0, 0.0)
    encoder = cr.TableEncoder(bins=20)
    reg = cr.MLPRegressor(hidden_layer_sizes=(), preprocess=encoder, learning_rate_init=0.1, random_state=0)
    reg.fit(table, y)
    assert reg.score(table, y) > 0.9  # a linear model of bins is piecewise linear in x
    reg.save(tmp_path / "model")
    again = cr.load(tmp_path / "model")
    assert again.encoder_.bins == 20
    assert again.encoder_.columns == reg.encoder_.columns
    assert again.predict(table).tobytes() == reg.predict(table).tobytes()
