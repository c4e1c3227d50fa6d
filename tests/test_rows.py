"""Rows in files, and arrays of other types: read or converted part by part, with the same bits as arrays in memory."""

import gc
import multiprocessing
import pickle
import threading
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from processes import run

import chainrule as cr
from chainrule import _core
from chainrule.rows import PartReader

pa = pytest.importorskip("pyarrow")
pq = pytest.importorskip("pyarrow.parquet")
pytest.importorskip("sklearn")
from sklearn.base import clone  # noqa: E402
from sklearn.exceptions import ConvergenceWarning  # noqa: E402

COUNT, COLUMNS = 1000, 20
random = np.random.default_rng(0)
X = random.normal(size=(COUNT, COLUMNS)).astype("float32")
X[:, 3] = random.integers(-50, 50, COUNT)
X[:, 4] = random.random(COUNT) > 0.5
Y = X[:, 0] * X[:, 1]
LABELS = random.integers(0, 3, COUNT)
W = random.uniform(0.5, 2, COUNT).astype("float32")
NAMES = [f"x{i}" for i in range(COLUMNS)]
SIZES = {"small": [COLUMNS, 8, 1], "large": [COLUMNS, 300, 200, 1]}
PARTS = cr.WithinParts(130)


def table(rows=slice(None), **more):
    kinds = {3: "int16", 4: "bool"}
    columns = {name: X[rows, i].astype(kinds.get(i, "float32")) for i, name in enumerate(NAMES)}
    return pa.table({**columns, "y": Y[rows], "label": LABELS[rows], **more})


def write_arrow(data, path, rows):
    with pa.OSFile(str(path), "wb") as sink, pa.ipc.new_file(sink, data.schema) as writer:
        writer.write_table(data, max_chunksize=rows)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Three Parquet files with row groups of 130 rows, and fewer at the ends of the files."""
    folder = tmp_path_factory.mktemp("rows")
    for i, (start, stop) in enumerate([(0, 390), (390, 700), (700, 1000)]):
        pq.write_table(table(slice(start, stop)), folder / f"{i}.parquet", row_group_size=130)
    return folder


@pytest.fixture(scope="module")
def rows(folder):
    return cr.Rows(folder, target="y", columns=NAMES)


def network(sizes, **more):
    return cr.Network(sizes, **{"activation": "tanh", "loss": "squared_error", "seed": 0, **more})


def trained(sizes, x, y, dtype="float32", **settings):
    net = network(sizes, dtype=dtype)
    history = net.fit(x, y, **settings)
    validation = None if history.validation is None else history.validation.tobytes()
    return net.parameters.tobytes(), history.loss.tobytes(), validation, [v.tolist() for v in history.metrics.values()]


def order(count, shuffle, seed=0, epochs=1, batch=10, rows=None):
    """Return the row numbers of each epoch in the order in which a fit takes them."""
    seen = []

    def loss(logits, y, weight):
        seen.extend(y.tolist())
        return 0.0, np.zeros_like(logits)

    settings = {"shuffle": shuffle, "batch_size": batch, "epochs": epochs, "seed": seed, "loss": loss}
    nets = [network([1, 1])]
    (history,) = cr.fit_many(nets, np.zeros((count, 1)), np.arange(count), rows=rows, **settings)
    assert isinstance(history, cr.History)
    return np.reshape(seen, (epochs, -1))


def test_order_within_parts_reads_one_part_after_the_other():
    epochs = order(100, cr.WithinParts(30), epochs=3)
    for epoch in epochs:
        parts = epoch // 30
        assert sorted(epoch) == list(range(100))
        assert np.count_nonzero(np.diff(parts)) == 3  # each part is taken once, as a whole
    assert len({tuple(epoch) for epoch in epochs}) == 3
    firsts = {int(epoch[0] // 30) for epoch in order(100, cr.WithinParts(30), epochs=20)}
    assert firsts == {0, 1, 2, 3}
    assert all(np.any(np.diff(epoch[epoch // 30 == 0]) < 0) for epoch in epochs)  # shuffled within


def test_order_within_parts_depends_on_seed_and_epoch_alone():
    first = order(100, cr.WithinParts(30), epochs=3)
    assert np.array_equal(first, order(100, cr.WithinParts(30), epochs=3, batch=7))
    assert not np.array_equal(first, order(100, cr.WithinParts(30), epochs=3, seed=1))
    whole = order(100, cr.WithinParts(100), epochs=3)
    assert np.array_equal(whole, order(100, True, epochs=3))
    assert np.array_equal(whole, order(100, cr.WithinParts(2**30), epochs=3))


def test_parts_are_those_of_the_data_for_a_subset_of_the_rows():
    subset = np.flatnonzero(np.arange(100) % 3 > 0)
    (epoch,) = order(100, cr.WithinParts(30), rows=subset)
    assert sorted(epoch) == subset.tolist()
    assert np.count_nonzero(np.diff(epoch // 30)) == 3
    (same,) = order(100, cr.WithinParts(30), rows=subset[::-1])
    assert np.array_equal(epoch, same)


SETTINGS = {
    "alone": {},
    "in order": {"shuffle": False},
    "parts that end within row groups": {"shuffle": cr.WithinParts(170)},
    "parts of several row groups": {"shuffle": cr.WithinParts(512)},
    "all rows": {"batch_size": None},
    "large batches": {"batch_size": 600},
    "L-BFGS": {"optimizer": cr.LBFGS(), "batch_size": None},
    "SGD": {"optimizer": cr.SGD(momentum=0.9)},
    "weights": {"sample_weight": W},
    "dropout": {"dropout": 0.3, "input_dropout": 0.2},
    "clipped": {"clip_norm": 0.1, "ema": 0.9},
    "held out": {"validation": 0.3, "metrics": "mae"},
    "float64": {"dtype": "float64"},
    "one row": {"batch_size": 1, "epochs": 1},
}


@pytest.mark.filterwarnings("ignore:parts of 170 rows")
@pytest.mark.parametrize("sizes", SIZES.values(), ids=SIZES)
@pytest.mark.parametrize("more", SETTINGS.values(), ids=SETTINGS)
def test_fit_on_files_gives_the_same_bits_as_arrays(rows, sizes, more, threads):
    settings = {"shuffle": PARTS, "batch_size": 50, "epochs": 3, **more}
    assert trained(sizes, rows, None, **settings) == trained(sizes, X, Y, **settings)


def test_validation_and_custom_loss_give_the_same_bits_as_arrays(rows):
    settings = {"shuffle": PARTS, "batch_size": 50, "epochs": 3}
    for sizes in SIZES.values():
        validated = trained(sizes, rows, None, validation=rows, metrics="r2", **settings)
        assert validated == trained(sizes, X, Y, validation=(X, Y), metrics="r2", **settings)

        def loss(logits, y, weight):
            return float(np.mean(logits)), logits / y[:, None]

        assert trained(sizes, rows, Y + 9, loss=loss, **settings) == trained(sizes, X, Y + 9, loss=loss, **settings)


def test_resumed_fit_on_files_gives_the_same_bits_as_one(rows):
    settings = {"shuffle": PARTS, "batch_size": 50}
    net = network(SIZES["small"])
    state = net.fit(rows, **settings, epochs=2, keep_state=True).state
    net.fit(rows, **settings, epochs=2, resume=state)
    once = network(SIZES["small"])
    once.fit(X, Y, **settings, epochs=4)
    assert np.array_equal(net.parameters, once.parameters)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_predictions_and_costs_give_the_same_bits_as_arrays(rows, dtype, threads):
    for sizes in SIZES.values():
        net = network(sizes, dtype=dtype)
        assert np.array_equal(net.predict(rows), net.predict(X))
        assert np.array_equal(net.logits(rows), net.logits(X))
        assert net.loss(rows) == net.loss(X, Y)
        assert net.loss(rows, Y + 1, W) == net.loss(X, Y + 1, W)
        assert np.array_equal(net.losses(rows), net.losses(X, Y))
        cost, gradients = net.loss_and_gradients(rows)
        expected = net.loss_and_gradients(X, Y)
        assert cost == expected[0]
        assert np.array_equal(gradients.parameters, expected[1].parameters)


def test_many_fits_on_files_give_the_same_bits_as_arrays(rows):
    mask = np.arange(COUNT) % 3 > 0

    def many(x, y):
        nets = [network(size, seed=seed) for seed, size in enumerate([*SIZES.values(), SIZES["small"]])]
        shuffles = [PARTS, cr.WithinParts(260), False]
        settings = {"batch_size": 50, "epochs": 3, "shuffle": shuffles, "validation": [~mask, mask, 0.2]}
        assert all(isinstance(h, cr.History) for h in cr.fit_many(nets, x, y, rows=[mask, ~mask, None], **settings))
        return [net.parameters.tobytes() for net in nets]

    assert many(rows, None) == many(X, Y)


def test_many_fits_in_processes_read_the_files(rows):
    nets = [network(SIZES["small"], seed=seed) for seed in range(2)]
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as pool:
        results = cr.fit_many(nets, rows, shuffle=PARTS, batch_size=50, epochs=2, executor=pool)
    assert all(isinstance(result, cr.History) for result in results)
    local = network(SIZES["small"], seed=0)
    local.fit(X, Y, shuffle=PARTS, batch_size=50, epochs=2)
    assert np.array_equal(nets[0].parameters, local.parameters)


def test_each_part_is_read_once_an_epoch_in_another_thread(rows, monkeypatch):
    read, threads = [], set()
    original = PartReader._read

    def counted(self, part):
        threads.add(threading.current_thread().name)
        read.append(part)
        return original(self, part)

    monkeypatch.setattr(PartReader, "_read", counted)
    network(SIZES["large"]).fit(rows, shuffle=PARTS, batch_size=13, epochs=4)
    parts = order(COUNT, PARTS, epochs=4).ravel() // PARTS.rows
    assert read == parts[np.flatnonzero(np.diff(parts, prepend=-1))].tolist()
    assert all(name.startswith("chainrule-rows") for name in threads)
    assert not [t for t in threading.enumerate() if t.name.startswith("chainrule-rows")]


@pytest.mark.parametrize("shuffle", [cr.WithinParts(260), False], ids=str)
def test_every_part_but_the_first_is_read_ahead(rows, monkeypatch, shuffle):
    ahead = []
    original = PartReader.take

    def recorded(self, part):
        ahead.append(self._asked is not None and self._asked[0] == part)
        return original(self, part)

    monkeypatch.setattr(PartReader, "take", recorded)
    monkeypatch.setattr("chainrule.rows._MERGED", 200)
    network(SIZES["large"]).fit(rows, shuffle=shuffle, batch_size=13, epochs=3)
    assert len(ahead) >= 9
    assert not ahead[0]
    assert all(ahead[1:])  # the first parts of the second and third epoch, too


KINDS = ["float16", "float32", "float64", "int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64"]


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_columns_of_every_type_are_converted_as_numpy_does(tmp_path, dtype):
    count = 1100
    columns = {kind: random.integers(0, 100, count).astype(kind) for kind in KINDS}
    columns["int64"] = random.integers(-(2**62), 2**62, count)
    columns["bool"] = random.random(count) > 0.5
    columns |= {f"more {i}": random.random(count) for i in range(9)}
    expected = np.stack([column.astype(dtype) for column in columns.values()], axis=1)
    write_arrow(pa.table(columns), tmp_path / "kinds.arrow", 400)
    assert np.array_equal(cr.Rows(tmp_path / "kinds.arrow").read(0, count, dtype), expected)
    place = np.zeros((count, 30), dtype)
    views = [np.repeat(column, 3)[::3] for column in columns.values()]
    _core.write_columns(views, place[:, 5:26])
    assert np.array_equal(place[:, 5:26], expected)
    assert not place[:, :5].any()
    assert not place[:, 26:].any()


def test_columns_that_do_not_fit_are_refused():
    out = np.zeros((3, 2), "float32")
    for columns, words in [([np.ones(3)], "out has shape"), ([np.ones(3), np.ones(4)], "a column has shape")]:
        with pytest.raises(ValueError, match=words):
            _core.write_columns(columns, out)
    with pytest.raises(ValueError, match="contiguous"):
        _core.write_columns([np.ones(2)] * 3, out.T)
    with pytest.raises(TypeError):
        _core.write_columns([np.ones(3)] * 2, out.astype("int32"))


def test_arrow_files_and_mixed_paths_are_read(folder, tmp_path):
    write_arrow(table(slice(0, 390)), tmp_path / "first.arrow", 100)
    paths = [tmp_path / "first.arrow", folder / "1.parquet", str(folder / "2.parquet")]
    mixed = cr.Rows(paths, target="label", columns=["x4", "x0"])
    assert mixed.shape == (COUNT, 2)
    assert mixed.largest_part == 130
    assert np.array_equal(mixed.read(0, COUNT), X[:, [4, 0]])
    assert np.array_equal(mixed.read(385, 395, "float64"), X[385:395, [4, 0]])
    assert mixed.read(5, 5).shape == (0, 2)
    assert np.array_equal(mixed.y, LABELS)
    assert repr(mixed) == "Rows of 3 files: 1000 rows, columns x4, x0, target label"


def test_rows_can_be_pickled(rows):
    copy = pickle.loads(pickle.dumps(rows))
    assert (copy.shape, copy.columns) == (rows.shape, rows.columns)
    assert np.array_equal(copy.y, Y)


def test_wrong_columns_rows_and_settings_of_files_raise(folder, tmp_path, rows):
    for arguments, error, words in [
        ({"target": "z"}, ValueError, "no column 'z'"),
        ({"target": "lable"}, ValueError, "did you mean 'label'"),
        ({"target": "y", "columns": ["y"]}, ValueError, "'y' is also one of the columns"),
        ({"columns": "x0"}, TypeError, "sequence of names"),
        ({"columns": []}, ValueError, "no columns"),
    ]:
        with pytest.raises(error, match=words):
            cr.Rows(folder, **arguments)
    pq.write_table(table(town=["Bern"] * COUNT), tmp_path / "town.parquet")
    with pytest.raises(ValueError, match=r"0\.parquet has no column 'town'"):
        cr.Rows([tmp_path / "town.parquet", folder], columns=["x0"])
    with pytest.raises(OSError, match="nowhere"):
        cr.Rows(tmp_path / "nowhere.parquet")
    (tmp_path / "text.parquet").write_text("x0,x1")
    with pytest.raises(ValueError, match=r"text\.parquet"):
        cr.Rows(tmp_path / "text.parquet")
    (tmp_path / "empty").mkdir()
    with pytest.raises(ValueError, match="no rows"):
        cr.Rows(tmp_path / "empty")
    net = network(SIZES["small"])
    with pytest.raises(ValueError, match=r"choose shuffle=WithinParts\(130\), or shuffle=False"):
        net.fit(rows, batch_size=50)
    with pytest.raises(ValueError, match="y is missing"):
        net.fit(cr.Rows(folder, columns=NAMES), batch_size=50, shuffle=PARTS)
    for call in (net.fit, net.loss, net.losses, net.loss_and_gradients, lambda x: cr.fit_many([net], x)):
        with pytest.raises(TypeError, match="needs y"):
            call(X)
    with pytest.raises(ValueError, match=r"rows\.read\(0, 100\)"):
        net.trace(rows, Y)
    with pytest.raises(ValueError, match="X has 2 columns, the network expects 20"):
        net.fit(cr.Rows(folder, columns=["x0", "x1"], target="y"), shuffle=False)
    with pytest.warns(UserWarning, match=r"each row group of the files is read 2\.\d times.*WithinParts\(130\)"):
        net.fit(rows, shuffle=cr.WithinParts(50), batch_size=50, epochs=1)


def test_a_gap_in_a_later_part_ends_the_fit_and_names_its_place(tmp_path):
    data = table(gap=pa.array([1.0] * 700 + [None] + [1.0] * 299))
    pq.write_table(data, tmp_path / "gap.parquet", row_group_size=100)
    broken = cr.Rows(tmp_path / "gap.parquet", target="y", columns=[*NAMES[1:], "gap"])
    net = network(SIZES["large"])
    before = net.parameters.copy()
    with pytest.raises(ValueError, match="no value in row 700, column 'gap'"):
        net.fit(broken, shuffle=cr.WithinParts(100), batch_size=50, epochs=1)
    assert not np.array_equal(net.parameters, before)  # the steps before the gap
    net.fit(X, Y, epochs=1)


BIG = (6000, 700)  # enough elements to be converted batch by batch


@pytest.mark.parametrize("dtype", ["uint8", "int8", "bool", "int16", "uint16", "int32", "uint32", "int64", "uint64"])
def test_integers_are_converted_as_numpy_does(dtype):
    big = random.integers(0, 2**63, BIG).astype(dtype)
    net = network([700, 3, 1])
    assert np.array_equal(net.predict(big), net.predict(big.astype("float32")))


@pytest.mark.parametrize("kinds", [("uint8", "float32"), ("float64", "float32"), ("float32", "float64")], ids=str)
@pytest.mark.parametrize("hidden", [4, 200])
def test_large_arrays_of_another_type_give_the_same_bits_as_a_copy(kinds, hidden, threads):
    dtype, own = kinds
    big = random.integers(0, 100, BIG).astype(dtype)
    plain = big.astype(own)
    target = big[:, 0] / 100
    views = {"whole": big, "every second row": np.repeat(big, 2, axis=0)[::2], "columns": np.asfortranarray(big)}
    for more in ({}, {"batch_size": None}, {"shuffle": False}, {"validation": 0.2}, {"shuffle": cr.WithinParts(999)}):
        settings = {"batch_size": 500, "epochs": 2, "optimizer": cr.SGD(learning_rate=1e-9), "dtype": own, **more}
        expected = trained([700, hidden, 1], plain, target, **settings)
        for view in views.values():
            assert trained([700, hidden, 1], view, target, **settings) == expected


ESTIMATORS = {
    "classifier": (cr.MLPClassifier, "label", {"class_weight": "balanced"}),
    "regressor": (cr.MLPRegressor, "y", {}),
    "early stopping": (cr.MLPClassifier, "label", {"early_stopping": True}),
    "float64": (cr.MLPRegressor, "y", {"dtype": "float64", "alpha": 0.1}),
    "L-BFGS": (cr.MLPRegressor, "y", {"solver": "lbfgs"}),
}


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
@pytest.mark.parametrize(("kind", "target", "more"), ESTIMATORS.values(), ids=ESTIMATORS)
def test_estimators_on_files_give_the_same_bits_as_arrays(folder, kind, target, more):
    data = cr.Rows(folder, target=target, columns=NAMES)
    settings = {"hidden_layer_sizes": 8, "shuffle": PARTS, "max_iter": 5, "random_state": 0, "batch_size": 50, **more}
    found, expected = kind(**settings).fit(data), kind(**settings).fit(X, data.y)
    assert found.network_.dtype == expected.network_.dtype
    assert np.array_equal(found.network_.parameters, expected.network_.parameters)
    assert np.array_equal(found.predict(data), expected.predict(X))
    assert found.score(data, data.y) == expected.score(X, data.y)
    validated = [kind(**settings).fit(x, data.y, X_val=x, y_val=y) for x, y in [(data, None), (X, data.y)]]
    assert validated[0].best_validation_score_ == validated[1].best_validation_score_
    assert found.feature_names_in_.tolist() == NAMES
    with pytest.raises(ValueError, match="feature names"):
        found.predict(cr.Rows(folder, columns=NAMES[1:]))
    with pytest.raises(ValueError, match=r"shuffle=WithinParts\(130\)"):
        cr.MLPClassifier().fit(cr.Rows(folder, target="label", columns=NAMES))


TOWNS = random.choice(["Ayr", "Bath", "Ely", None], COUNT).tolist()
MIXED = pa.table(
    {
        "x": X[:, 0],
        "gaps": [None if gap else float(value) for gap, value in zip(X[:, 1] > 1, X[:, 2], strict=True)],
        "town": TOWNS,
        "kind": pa.array(random.choice(["a", "b", "c"], COUNT).tolist()).dictionary_encode(),
        "day": random.integers(0, 900, COUNT).astype("datetime64[D]"),
        "count": [None if gap else int(value) for gap, value in zip(X[:, 5] > 1, X[:, 3], strict=True)],
        "flag": X[:, 4] > 0,
        "mass": [f"{value:.2f} kg" for value in abs(X[:, 6])],
    }
)
PRICE = X[:, 0] + np.array([town == "Bath" for town in TOWNS])


@pytest.fixture(scope="module")
def tables(tmp_path_factory):
    """Three files with columns of every kind, in row groups of 130 rows."""
    folder = tmp_path_factory.mktemp("tables")
    more = {"y": PRICE, "label": np.where(PRICE > 0, "high", "low")}
    whole = pa.table({**dict(zip(MIXED.column_names, MIXED.columns, strict=True)), **more})
    for i, (start, stop) in enumerate([(0, 390), (390, 700), (700, 1000)]):
        pq.write_table(whole.slice(start, stop - start), folder / f"{i}.parquet", row_group_size=130)
    return folder


def mixed(folder, target="y"):
    return cr.Rows(folder, target=target, columns=MIXED.column_names)


@pytest.fixture
def small_parts(monkeypatch):
    monkeypatch.setattr("chainrule.rows._MERGED_TABLES", 200)


SMALL = {"max_iter": 3, "random_state": 0}
TABLE_ESTIMATORS = {
    "types of the columns": (cr.MLPRegressor(**SMALL), "y"),
    "held out": (cr.MLPRegressor(preprocess=True, dtype="float64", early_stopping=True, **SMALL), "y"),
    "within parts": (cr.MLPRegressor(preprocess=cr.TableEncoder(bins=8), shuffle=PARTS, solver="sgd", **SMALL), "y"),
    "L-BFGS": (cr.MLPRegressor(cr.Huber(), preprocess=True, solver="lbfgs", **SMALL), "y"),
    "classifier": (cr.MLPClassifier(early_stopping=True, class_weight="balanced", **SMALL), "label"),
    "table regressor": (cr.TableRegressor(random_state=0), "y"),
    "table classifier": (cr.TableClassifier(random_state=0, class_weight="balanced"), "label"),
    "without bins": (cr.TableClassifier(random_state=0, encoder=cr.TableEncoder()), "label"),
}


@pytest.mark.usefixtures("small_parts")
@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
@pytest.mark.parametrize(("estimator", "target"), TABLE_ESTIMATORS.values(), ids=TABLE_ESTIMATORS)
def test_estimators_on_tables_in_files_give_the_same_bits_as_in_memory(tables, estimator, target):
    data = mixed(tables, target)
    found, expected = clone(estimator).fit(data), clone(estimator).fit(MIXED, data.y)
    assert found.encoder_.to_dict() == expected.encoder_.to_dict()
    assert found.feature_names_in_.tolist() == MIXED.column_names
    assert found.network_.parameters.tobytes() == expected.network_.parameters.tobytes()
    assert np.array_equal(found.predict(data), expected.predict(MIXED))
    assert found.score(data, data.y) == expected.score(MIXED, data.y)
    weight = np.arange(COUNT) % 3.0 * (np.arange(COUNT) >= 400)  # the first part has no rows that count
    x_val, y_val = MIXED[:200], data.y[:200]
    validated = [
        clone(estimator).fit(x, data.y, weight, X_val=x_val, y_val=y_val).network_.parameters.tobytes()
        for x in (data, MIXED)
    ]
    assert validated[0] == validated[1]
    watched = [clone(estimator).fit(MIXED, data.y, eval_set=x) for x in (data, (MIXED, data.y))]
    assert watched[0].network_.parameters.tobytes() == watched[1].network_.parameters.tobytes()


@pytest.mark.usefixtures("small_parts")
def test_partial_fit_and_the_encoder_take_tables_in_files(tables):
    data = mixed(tables)
    steps = [cr.MLPRegressor(random_state=0).partial_fit(x, data.y).partial_fit(x, data.y) for x in (data, MIXED)]
    assert steps[0].network_.parameters.tobytes() == steps[1].network_.parameters.tobytes()
    encoders = [cr.TableEncoder(bins=8).fit(x) for x in (data, MIXED)]
    assert encoders[0].to_dict() == encoders[1].to_dict()
    assert np.array_equal(encoders[0].transform(data), encoders[1].transform(MIXED))
    layers = [step.transform(x) for step, x in zip(steps, (data, MIXED), strict=True)]
    assert np.array_equal(*layers)


def test_columns_of_numbers_in_files_are_encoded_on_request(folder, rows):
    settings = {"hidden_layer_sizes": 8, "random_state": 0, "max_iter": 2, "preprocess": True}
    in_memory = table().select(NAMES)
    with pytest.warns(ConvergenceWarning):
        found, expected = (cr.MLPRegressor(**settings).fit(x, Y) for x in (rows, in_memory))
    assert found.network_.parameters.tobytes() == expected.network_.parameters.tobytes()
    first, second = tables_of_two_types(folder)
    assert np.array_equal(cr.TableEncoder().fit_transform(first), cr.TableEncoder().fit_transform(second))


def tables_of_two_types(folder):
    """Return files whose column holds integers in one and floats in the other, and the same table in memory."""
    numbers = random.integers(0, 9, 200)
    paths = [folder.parent / f"{folder.name}-{i}.parquet" for i in range(2)]
    for path, part in zip(paths, (numbers[:100], numbers[100:].astype("float32")), strict=True):
        pq.write_table(pa.table({"x": part}), path)
    return cr.Rows(paths), pa.table({"x": numbers})


@pytest.mark.usefixtures("small_parts")
def test_a_warning_about_tables_in_files_is_given_once_per_column(tables, tmp_path):
    model = cr.TableRegressor(random_state=0).fit(mixed(tables))
    place = MIXED.column_names.index("town")
    strange = [*TOWNS[:600], *["Wick"] * 400]
    pq.write_table(MIXED.set_column(place, "town", pa.array(strange)), tmp_path / "t.parquet", row_group_size=200)
    with pytest.warns(UserWarning, match="such as 'Wick' in row 601") as caught:
        model.predict(cr.Rows(tmp_path / "t.parquet"))
    assert len(caught) == 1


def test_encoded_rows_in_temporary_files_are_deleted(tables, tmp_path, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "missing"))
    model, data = cr.TableRegressor(random_state=0), mixed(tables)
    with pytest.raises(OSError, match="missing"):
        model.fit(data)
    assert not hasattr(model, "encoder_")
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    model.fit(data).predict(data)
    gc.collect()
    assert not list(tmp_path.iterdir())


def test_columns_of_text_in_files_need_an_encoding(tables):
    data = mixed(tables)
    calls = [
        lambda: data.read(0, 1),
        lambda: network([8, 3, 1]).fit(data, shuffle=False),
        lambda: network([8, 3, 1]).predict(data),
        lambda: cr.MLPRegressor(preprocess=False, shuffle=False).fit(data),
    ]
    for call in calls:
        with pytest.raises(TypeError, match=r"'town' has type string, expected numbers: .* preprocess=True"):
            call()


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_estimators_on_integers_and_arrow_tables_give_the_same_bits_as_float_arrays():
    settings = {"hidden_layer_sizes": 8, "max_iter": 3, "random_state": 0}
    for big in (random.integers(0, 100, BIG, dtype="uint8"), random.integers(0, 100, (200, 30))):
        labels = big[:, 0] > 50
        found = cr.MLPClassifier(**settings).fit(big, labels)
        expected = cr.MLPClassifier(**settings).fit(big.astype("float64"), labels)
        assert np.array_equal(found.network_.parameters, expected.network_.parameters)
        assert np.array_equal(found.predict_proba(big), expected.predict_proba(big.astype("float64")))
    data = table().select(NAMES)
    found, expected = (cr.MLPClassifier(**settings).fit(x, LABELS) for x in (data, X))
    assert found.feature_names_in_.tolist() == NAMES
    assert np.array_equal(found.network_.parameters, expected.network_.parameters)
    assert np.array_equal(found.predict_proba(data), expected.predict_proba(X))


needs_proc = pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="needs /proc")


@needs_proc
@pytest.mark.parametrize("kind", ["uint8", "float32"])
def test_memory_of_fits_on_a_mapped_file_does_not_depend_on_its_size(tmp_path, kind):
    size, net, classifier = map(float, run("memory.fits_on_mapped_file", str(tmp_path / "x"), kind).split())
    assert size > 100e6
    assert net < 20e6
    assert classifier < 0.1 * size + 60e6  # a copy of the held-out rows, and scikit-learn


@needs_proc
def test_memory_of_a_fit_on_an_arrow_table_is_its_size():
    size, count, taken = map(float, run("memory.fit_on_arrow_table").split())
    assert size > 100e6
    assert taken < size + 40 * count + 12e6  # one copy as rows; y, its row numbers and the cost of a constant


@needs_proc
@pytest.mark.parametrize(("kind", "part"), [("MLPRegressor", 40e6), ("TableRegressor", 100e6)])
def test_memory_of_a_fit_on_a_table_in_files_is_bounded(tmp_path, kind, part):
    size, count, taken = map(float, run("memory.fit_on_table_in_files", str(tmp_path), kind).split())
    assert size > 90e6  # its encoding takes as much for the MLP, 200 MB for the table estimator
    assert taken < 200 * count + part  # y, row numbers and one column; a part and its encoding


@needs_proc
def test_memory_of_a_fit_on_files_is_two_parts(tmp_path):
    size, part, taken = map(float, run("memory.fit_on_files", str(tmp_path)).split())
    assert size > 15 * part
    assert taken < 2 * part + 30e6
