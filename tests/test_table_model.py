"""Estimators in C++ and C: their predictions from typed columns equal Python's, bit for bit."""

import json
import random
import re
import struct
import sys
import warnings
from pathlib import Path

import numpy as np
import pytest
from tools import run

import chainrule as cr
from chainrule._formats import NumberFormat, is_marker, read_dates
from chainrule._frames import _number as as_float
from chainrule.model_file import Model, read_model

sys.path.append(str(Path(__file__).parent / "fuzz"))
import loaders

GOLDEN = Path(__file__).parent / "data" / "golden_table.safetensors"
pd = pytest.importorskip("pandas")
pytest.importorskip("sklearn")


def write_table(path, frame):
    """Write a data frame for tests/cpp/predict_table.cpp: numbers, days, and texts."""
    parts = [struct.pack("<qq", frame.shape[1], len(frame))]
    for name, column in frame.items():
        parts += [struct.pack("<q", len(str(name).encode())), str(name).encode()]
        if column.dtype.kind == "M":
            days = column.to_numpy().astype("datetime64[us]").astype(np.int64) / 86_400_000_000
            parts += [struct.pack("<q", 0), np.where(column.isna(), np.nan, days).tobytes()]
        elif column.dtype.kind in "biuf":
            parts += [struct.pack("<q", 0), column.to_numpy().astype(np.float64).tobytes()]
        else:
            parts.append(struct.pack("<q", 1))
            for cell, missing in zip(column, column.isna(), strict=True):
                text = b"" if missing else str(cell).encode()
                parts.append(struct.pack("<q", -1 if missing else len(text)) + text)
    path.write_bytes(b"".join(parts))


@pytest.fixture(scope="module")
def in_cpp(build, tmp_path_factory):
    """A function that returns the predictions of C++: (values or probabilities, classes as numbers, their names)."""
    folder = tmp_path_factory.mktemp("tables")

    def predict(estimator, frame):
        estimator.save(folder / "model")
        write_table(folder / "table", frame)
        out = folder / "out"
        names = run(build / "tests" / "cpp" / "predict_table", folder / "model", folder / "table", out).splitlines()
        numbers = np.fromfile(folder / "out.classes", np.int64) if names else None
        return np.fromfile(out), numbers, names

    return predict


def check(estimator, frame, in_cpp, columns=None, given=None):
    """Compare all predictions for a frame; `given` is given to C++ instead of it."""
    values, numbers, names = in_cpp(estimator, frame if given is None else given)
    X = frame if columns is None else frame[columns].to_numpy()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # unseen levels, new gaps
        if not names:
            expected = estimator.predict(X)
            assert values.tobytes() == expected.astype(np.float64).tobytes()
            return
        probabilities, labels = estimator.predict_proba(X), estimator.predict(X)
    assert values.tobytes() == probabilities.astype(np.float64).tobytes()
    assert names == [str(label) for label in estimator.classes_.tolist()]
    if labels.ndim == 2:
        assert (numbers.reshape(labels.shape) == labels).all()
    else:
        assert (estimator.classes_[numbers] == labels).all()


def extremes(frame):
    """Rows with unknown levels, with every cell missing, and with extreme numbers; all from a table's first rows."""
    unknown, empty, huge, tiny = (frame.iloc[:5].copy() for _ in range(4))
    for name in frame:
        if frame[name].dtype.kind in "biuf":
            empty[name] = np.nan
            huge[name] = [1e300, -1e300, 1e30, 123456789.123, -0.0]
            tiny[name] = [5e-324, -5e-324, 1e-300, 0.1, 1e16]
        else:
            unknown[name] = "no such level"
            empty[name] = None
    return pd.concat([unknown, empty, huge, tiny], ignore_index=True)


@pytest.mark.parametrize("name", ["titanic", "adult", "california"])
@pytest.mark.parametrize("kind", ["table", "mlp"])
def test_real_table_equals_python_on_all_rows(chainrule_data, in_cpp, name, kind):
    frame = pd.read_csv(chainrule_data / name / "data.csv.gz")
    target = json.loads((chainrule_data / name / "meta.json").read_text())["target"]
    X, y = frame.drop(columns=target), frame[target]
    settings = {"random_state": 0}
    if kind == "mlp":
        settings |= {"hidden_layer_sizes": (16,), "max_iter": 2, "preprocess": True}
    kinds = {"table": (cr.TableClassifier, cr.TableRegressor), "mlp": (cr.MLPClassifier, cr.MLPRegressor)}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        estimator = kinds[kind][name == "california"](**settings).fit(X.iloc[:2000], y.iloc[:2000])
    check(estimator, X, in_cpp)
    check(estimator, extremes(X), in_cpp)
    check(estimator, X.iloc[:1], in_cpp)
    if name == "adult":
        check(estimator, pd.concat([X] * 3, ignore_index=True).iloc[:100_000], in_cpp)


def test_digits_equal_python_on_all_rows(in_cpp):
    from sklearn.datasets import load_digits

    X, y = load_digits(return_X_y=True)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        estimator = cr.MLPClassifier((32,), max_iter=3, random_state=0).fit(X, y)
    frame = pd.DataFrame(X, columns=[f"x{i}" for i in range(X.shape[1])])
    check(estimator, frame, in_cpp, list(frame))
    check(estimator, frame[:1], in_cpp, list(frame))


TEXTS = {
    "number": [
        "5", "-3.25", "+1e5", "1,234.50", "12,34,567.5", "1 234 567", "1.234,5", "0,125", "0.125", "(5)",
        "(1,000.5)", "5 kg", "$1,234.5", "US$ 5", "USD 5", "5 USD", "−5", "- 5", "-$5", "$-5", "€5", "5 €", "5%",
        "5 m²", "5 km/h", "1'234.5", "1’234", "1\u2009234\u00a0kg", "5.", ".5", "5e3", "5e", "1.5.2", "1,2,3",
        "00123", "1e999", "1e-400", "NA", "n/a", "-", "", "?", " 7 ", "\u00a07\u3000", "inf", "nan", "0", "-0",
        "1,00", "1,000,00",
    ],
    "date": [
        "2024-01-31", "2024-1-5", "31/01/2024", "01/31/24", "1.2.2024", "03-04-05", "31 Jan 2024", "Jan 31, 2024",
        "Wed, 31 January 2024", "1st of March 2021", "2024 Feb 29", "2023-02-29", "March 2020", "Sept 2020",
        "2024-01-31T23:59:59.123456789Z", "2024-01-31 23:59+05:30", "2024-01-31 24:00", "31/12/1999 11:59 pm",
        "12:00 AM", "23:59", "9:05:07,5", "13:00 pm", "0000-01-01", "9999-12-31", "31.04.2024", "29/02/1900",
        "2024-01-31 08:00 GMT", "2024/02/03", "68-01-01", "69-01-01", "1/1/69", "1/1/68", "2 3 2024",
        "5 Mayo 2020",
    ],
}  # fmt: skip


def mutated(texts, count, seed):
    """Texts, and texts made from them by changes of a few characters."""
    random = np.random.default_rng(seed)
    alphabet = [*"0123456789.,-/: eTZpmAaJn$%()'", "\u00a0", "€", "²"]
    made = list(texts)
    while len(made) < count:
        text = list(texts[random.integers(len(texts))])
        for _ in range(int(random.integers(1, 4))):
            place = int(random.integers(len(text) + 1))
            text[place : place + int(random.integers(2))] = random.choice(alphabet, int(random.integers(2)))
        made.append("".join(text))
    return made


def read_in_cpp(build, texts, *arguments):
    lines = run(build / "tests" / "cpp" / "read_texts", *arguments, stdin="\n".join(texts) + "\n").split("\n")[:-1]
    assert len(lines) == len(texts)
    return zip(*(line.split() for line in lines), strict=True)


@pytest.mark.parametrize("unit", ["", "kg", "$", "USD", "€", "%", "m²", "km/h", "US$"])
@pytest.mark.parametrize("decimal", [".", ","])
def test_numbers_as_text_are_read_as_in_python(build, decimal, unit):
    with_unit = [f"1,234.5 {unit}", f"1.234,5{unit}", f"{unit}-5", f"({unit}1 234)", f"-{unit} 0", f"{unit}5e3{unit}"]
    texts = mutated(TEXTS["number"] + with_unit, 3000, 1)
    marks, values = read_in_cpp(build, texts, "number", decimal, unit)
    expected = NumberFormat(decimal, unit).read(texts)
    assert sum(value != "none" for value in values) > 15
    for text, mark, value, number in zip(texts, marks, values, expected, strict=True):
        assert mark == str(int(is_marker(text))), text
        assert value == "none" if np.isnan(number) else float.fromhex(value) == number, (text, value, number)


def test_floats_as_text_are_read_as_in_python(build):
    texts = mutated(TEXTS["number"], 3000, 2)
    _, values = read_in_cpp(build, texts, "float")
    for text, value in zip(texts, values, strict=True):
        number = as_float(text)
        assert value == "none" if np.isnan(number) else float.fromhex(value) == number, (text, value, number)


@pytest.mark.parametrize("order", ["dmy", "mdy", "ymd", "time", ""])
def test_dates_as_text_are_read_as_in_python(build, order):
    texts = mutated(TEXTS["date"], 3000, 3)
    _, values = read_in_cpp(build, texts, "date", order)
    moments, known = read_dates([text.strip() for text in texts], order or None)
    assert 20 < known.sum() < 3000
    for text, value, moment, is_date in zip(texts, values, moments, known, strict=True):
        assert value == (str(moment) if is_date else "none"), text


def make_table(n=400):
    """A table with a column of every kind, and its targets."""
    rng = np.random.default_rng(4)
    day = pd.to_datetime("2020-03-01") + pd.to_timedelta(rng.integers(0, 3000, n), "D")
    frame = pd.DataFrame(
        {
            "plain": rng.normal(size=n),
            "gaps": np.where(rng.random(n) < 0.1, np.nan, rng.normal(size=n) * 1e5),
            "money": [f"€{value:,.2f}" for value in rng.normal(size=n) * 1e4],
            "day": day.strftime("%d.%m.%Y"),
            "moment": day + pd.to_timedelta(rng.integers(0, 86399, n), "s"),
            "yes": rng.choice([True, False], n),
            "code": rng.choice(["1", "2", "007", "x y", "ä"], n),
            "rare": rng.choice([0.1, 2.5, 3.0, np.nan], n),
            "clock": [f"{hour:02}:{minute:02}" for hour, minute in rng.integers(0, (24, 60), (n, 2))],
            "empty": [None] * n,
        }
    )
    frame.loc[::9, "code"] = None
    frame["rare"] = frame["rare"].astype("category")
    return frame, frame["plain"] * 2 + frame["yes"]


@pytest.fixture(scope="module")
def table():
    return make_table()


@pytest.mark.parametrize("bins", [None, 8])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_every_kind_of_column_equals_python(in_cpp, table, bins, dtype):
    frame, y = table
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        encoder = cr.TableEncoder(bins=bins)
        estimator = cr.MLPRegressor(
            hidden_layer_sizes=(8,), max_iter=3, random_state=0, preprocess=encoder, dtype=dtype
        ).fit(frame, y)
        kinds = {column.kind for column in estimator.encoder_.encoding_.columns}
    assert kinds == {"number", "date", "levels", "ignored"}
    check(estimator, frame, in_cpp)
    check(estimator, frame, in_cpp, given=frame.assign(more="x").iloc[:, ::-1].drop(columns="empty"))
    other = frame[:6].copy()
    other["code"] = [1, 2.0, 7, 1e16, 0.1, -0.0]  # numbers in a column of texts
    other["rare"] = ["0.1", " 2.50", "3.0", "3", None, "4"]
    other["yes"] = ["true", "FALSE", "1", 0, 1.0, "maybe"]
    other["plain"] = ["1", " -2.5e3 ", ".5", None, "7.", "1e300"]
    other["money"] = ["€1", "-€1,234.5", "NA", None, " €0.5 ", "?"]
    check(estimator, other, in_cpp)


TARGETS = {
    "two": (cr.TableClassifier, lambda y: np.where(y > 0, "yes", "no")),
    "three": (cr.TableClassifier, lambda y: np.digitize(y, [-1, 1]) * 10 - 10),
    "floats": (cr.TableClassifier, lambda y: np.array([1.0, 2.0, 3.0])[np.digitize(y, [-1, 1])]),
    "booleans": (cr.MLPClassifier, lambda y: np.asarray(y > 0)),
    "one": (cr.MLPClassifier, lambda y: np.full(len(y), "all")),
    "labels": (cr.TableClassifier, lambda y: np.stack([y > 0, y > 1, y < 1], axis=1).astype(int)),
    "value": (cr.TableRegressor, lambda y: np.asarray(y)),
    "values": (cr.TableRegressor, lambda y: np.stack([y, 3 - y], axis=1)),
    "amounts": (lambda **k: cr.TableRegressor(loss="poisson", **k), lambda y: np.abs(y)),
    "quantiles": (lambda **k: cr.TableRegressor(loss=cr.Quantile([0.1, 0.9]), **k), lambda y: np.asarray(y)),
}


@pytest.mark.parametrize("name", TARGETS)
def test_every_kind_of_target_equals_python(in_cpp, table, name):
    frame, y = table
    make, target = TARGETS[name]
    settings = {"random_state": 0} | ({"max_iter": 3, "preprocess": True} if make is cr.MLPClassifier else {})
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        estimator = make(**settings).fit(frame[["code", "plain"]], target(y))
    check(estimator, frame[["code", "plain"]], in_cpp)


def test_golden_file_of_an_old_version_equals_python(build, tmp_path):
    model = read_model(GOLDEN)
    frame = pd.read_csv(GOLDEN.with_suffix(".csv"), dtype=str)
    write_table(tmp_path / "table", frame)
    names = run(build / "tests" / "cpp" / "predict_table", GOLDEN, tmp_path / "table", tmp_path / "out").splitlines()
    assert names == model.target.labels
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # unseen levels
        outputs = model.outputs(frame)
    expected = model.target.probabilities(outputs) if names else model.target.decode(outputs)
    assert np.fromfile(tmp_path / "out").tobytes() == expected.astype(np.float64).tobytes()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"plain": "x"}, "column 'plain' holds 'x' in row 1, expected a number"),
        ({"plain": np.inf}, "column 'plain' holds inf in row 1, expected a number between -1e+300 and 1e+300"),
        ({"gaps": 1e301}, "column 'gaps' holds 1e+301 in row 1"),
        ({"money": "1.5 kg"}, "column 'money' holds '1.5 kg' in row 1, expected a number such as 1.5 €"),
        ({"day": "2024"}, "column 'day' holds '2024' in row 1, expected a date such as 31/01/2024"),
        ({"moment": "soon"}, "column 'moment' holds 'soon' in row 1, expected a date such as 2024-01-31"),
        ({"code": KeyError}, "the table lacks the column 'code'"),
    ],
)
def test_cells_that_python_refuses_are_refused(in_cpp, table, change, message):
    frame, y = table
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        estimator = cr.MLPRegressor(hidden_layer_sizes=(4,), max_iter=1, random_state=0, preprocess=True).fit(frame, y)
    [(name, value)] = change.items()
    wrong = frame.drop(columns=name) if value is KeyError else frame[:3].assign(**{name: [value] * 3})
    with pytest.raises(ValueError, match=name):
        estimator.predict(wrong)
    with pytest.raises(AssertionError, match=re.escape(message)):
        in_cpp(estimator, wrong)


def test_network_without_an_estimator_is_refused(build, tmp_path):
    cr.Network([1, 1], loss="squared_error").save(tmp_path / "model")
    with pytest.raises(AssertionError, match="holds a network without an estimator: use load_any"):
        run(build / "tests" / "cpp" / "predict_table", tmp_path / "model", "", "")


def is_estimator(path):
    try:
        return isinstance(read_model(path), Model)
    except ValueError:
        return False


def test_damaged_files_that_python_refuses_are_refused(build, tmp_path):
    """C++ refuses a few more: it reads all labels as flat lists, and demands texts that are UTF-8."""
    (tmp_path / "files").mkdir()
    intact = loaders.estimators(tmp_path)
    for number in range(1000):
        chance = random.Random(f"estimators {number}")
        content = loaders.changed_model(chance, chance.choice(intact))
        if b"9" * 5000 in content:  # Python refuses such a number wherever it is
            continue
        (tmp_path / "files" / f"{number:03}").write_bytes(content)
    names = run(build / "tests" / "cpp" / "predict_table", "--check", tmp_path / "files").split()
    in_python = {path.name for path in (tmp_path / "files").iterdir() if is_estimator(path)}
    assert {*names} <= in_python
    assert 10 < len(names) >= 0.95 * len(in_python)
    assert len(in_python) < number
