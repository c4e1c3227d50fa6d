"""`to_c`: headers in C against `predict` and `predict_proba`, by several compilers, as C and as C++."""

import ctypes
import json
import re
import shutil
import subprocess
import warnings

import numpy as np
import pytest
import reference
from models import loss_for
from tools import ROOT, run, tool

import chainrule as cr
from chainrule import _core
from chainrule._columns import LevelColumn
from chainrule._frames import Frame
from chainrule.exchange import _c_code

STRICT = ["-pedantic", "-Wall", "-Wextra", "-Wconversion", "-Wdouble-promotion", "-Wshadow", "-Werror"]
COMPILERS = {
    "gcc": ["-std=c99", "-x", "c"],
    "clang": ["-std=c99", "-x", "c"],
    "g++": ["-std=c++11", "-x", "c++"],
    "clang++": ["-std=c++11", "-x", "c++"],
}
# Relative to the largest value. Both sides round float32 sums of up to 1,000 products: about sqrt(1000) / 2^25 = 1e-6.
CLOSE = {"float32": 1e-6, "float64": 1e-13}


class Headers:
    """Headers in one library, which Python calls.

    Parameters
    ----------
    folder : path
        Where the headers and the library are written.
    models : dict
        The model of each name, and the arguments of `to_c`.
    """

    def __init__(self, folder, models):
        code = ""
        self.fields, self.texts = {}, {}
        for name, (model, arguments) in models.items():
            path = folder / f"{name}.h"
            model.to_c(path, name=name, **arguments)
            text = path.read_text()
            self.texts[name] = text
            self.fields[name] = re.findall(r"^  (?:double |const char \*)(\w+); /\*", text, re.MULTILINE)
            code += f'#include "{name}.h"\n' + self._function(name)
        source, library = folder / "all.c", folder / "all.so"
        source.write_text(code)
        run("gcc", "-std=c99", *STRICT, "-O1", "-fPIC", "-shared", "-o", library, source, "-lm")
        self.library = ctypes.CDLL(str(library))

    def _function(self, name):
        """Return a function that calls `NAME_predict` for each row."""
        returned, argument, self_type = re.search(
            rf"inline (int|void) {name}_predict\(const (struct \w+|float|double) \*\w+, (float|double) \*",
            self.texts[name],
        ).groups()
        fields = self.fields[name]
        columns = re.findall(r"^  (double |const char \*)\w+; /\*", self.texts[name], re.MULTILINE)
        values = [
            f"{'numbers' if kind == 'double ' else 'texts'}[{len(fields)} * i + {j}]" for j, kind in enumerate(columns)
        ]
        fill = f"const {argument} row = {{{', '.join(values)}}}, *x = &row;"
        if not fields:
            fill = f"const {argument} *x = (const {argument} *)numbers + {name.upper()}_INPUTS * i;"
        unused = "(void)texts;" if all(kind == "double " for kind in columns) else ""
        unused += "(void)numbers;" if fields and "double " not in columns else ""
        set_label = "labels[i] = " if returned == "int" else "(void)labels; "
        numbers = "double" if fields else argument
        return f"""
void {name}_rows(int m, const {numbers} *numbers, const char *const *texts, {self_type} *out, int *labels);
void {name}_rows(int m, const {numbers} *numbers, const char *const *texts, {self_type} *out, int *labels) {{
  {unused}
  for (int i = 0; i < m; ++i) {{
    {fill}
    {set_label}{name}_predict(x, out + {name.upper()}_OUTPUTS * i);
  }}
}}
"""

    def predict(self, name, X, encoding=None):
        """Return the outputs and the labels of all rows."""
        if encoding is not None:
            return self.predict_c(name, *as_c(X, encoding))
        is_single = f"{name}_predict(const float *x" in self.texts[name]
        return self.predict_c(name, np.ascontiguousarray(X, "float32" if is_single else "float64"), None)

    def predict_c(self, name, X, texts):
        """Return the outputs and the labels of all rows, which are numbers and texts of C."""
        text = self.texts[name]
        n_outputs = int(re.search(r"_OUTPUTS (\d+)", text)[1])
        kind = re.search(rf"{name}_predict\(.*(float|double) \*[yp]\)", text)[1]
        out = np.full((len(X), n_outputs), np.nan, "float32" if kind == "float" else "float64")
        labels = np.full(len(X), -1, np.int32)
        pointers = [array.ctypes.data_as(ctypes.c_void_p) for array in (X, out, labels)]
        self.library[f"{name}_rows"](len(X), pointers[0], texts, *pointers[1:])
        return out, labels


def as_c(table, encoding):
    """Return the numbers of a table, (m, fields), and its texts as an array of pointers."""
    frame = Frame.of(table)
    columns = [column for column in encoding.columns if column.width]
    numbers = np.full((len(frame), len(columns)), np.nan)
    texts = np.full(numbers.shape, None, dtype=object)
    for j, encoder in enumerate(columns):
        column = frame.column(frame.names.index(encoder.name))
        if isinstance(encoder, LevelColumn):
            codes, names = column.levels()
            texts[:, j] = np.array([*(name.encode() for name in names), None], dtype=object)[codes]
        else:
            numbers[:, j] = encoder.read(column)
    return numbers, (ctypes.c_char_p * texts.size)(*texts.ravel())


def self_test(path, compiler="gcc", *options):
    """Compile the self-test of a header strictly; return its exit code and output."""
    program = path.with_suffix(f".{compiler}")
    macro = f"-D{path.stem.upper()}_SELF_TEST"
    run(compiler, *COMPILERS[compiler], *STRICT, *options, macro, "-o", program, path, "-x", "none", "-lm")
    done = subprocess.run([program], capture_output=True, text=True)
    return done.returncode, done.stdout


# Networks


def example(activation, loss, dtype):
    sizes = [7, 12, 9, 3]
    params, X, _, _ = reference.problem(sizes, 50, loss, dtype=dtype)
    return cr.Network(sizes, activation=activation, loss=loss_for(loss, 3), init=params, dtype=dtype, seed=0), X


CASES = [(name, "squared_error") for name in _core.ACTIVATIONS] + [("tanh", name) for name in _core.LOSSES]


@pytest.fixture(scope="module")
def networks(tmp_path_factory):
    models = {
        f"{activation}_{loss}_{dtype}": (example(activation, loss, dtype)[0], {})
        for activation, loss in CASES
        for dtype in CLOSE
    }
    return Headers(tmp_path_factory.mktemp("networks"), models)


@pytest.mark.parametrize("dtype", CLOSE)
@pytest.mark.parametrize(("activation", "loss"), CASES)
def test_every_activation_and_loss_predicts_the_same(networks, activation, loss, dtype):
    network, X = example(activation, loss, dtype)
    far = np.array([[1.0], [0.0], [5.0], [-40.0], [np.nan]]) * X[0]
    X = np.vstack([X, far]).astype(dtype)
    found, _ = networks.predict(f"{activation}_{loss}_{dtype}", X)
    expected = network.predict(X)
    assert found.dtype == dtype
    assert np.isnan(found[-1]).all() == np.isnan(expected[-1]).all()
    for rows in (slice(50), slice(50, -1)):
        assert reference.error(found[rows], expected[rows]) < CLOSE[dtype] * (1 if rows.stop == 50 else 10)


def test_the_type_in_c_may_differ_from_the_type_of_the_network(tmp_path):
    network, X = example("mish", "softmax_cross_entropy", "float32")
    double = cr.Network(
        network.layer_sizes,
        activation="mish",
        loss="softmax_cross_entropy",
        init=list(zip(network.weights, network.biases, strict=True)),
        dtype="float64",
    )
    headers = Headers(tmp_path, {"wide": (network, {"dtype": "float64"}), "narrow": (double, {"dtype": "float32"})})
    assert reference.error(headers.predict("wide", X)[0], double.predict(X)) < CLOSE["float64"]
    assert reference.error(headers.predict("narrow", X)[0], double.predict(X)) < CLOSE["float32"]


def test_merged_networks_are_stored_without_their_zeros(tmp_path):
    random = np.random.default_rng(0)
    hidden = np.zeros((24, 16))
    for i in range(2):
        hidden[12 * i : 12 * i + 12, 8 * i : 8 * i + 8] = random.normal(size=(12, 8))
    layers = [(random.normal(size=(16, 3)), np.ones(16)), (hidden, np.ones(24)), (random.normal(size=(1, 24)), [0.0])]
    network = cr.Network([3, 16, 24, 1], loss="squared_error", init=layers, dtype="float64")
    headers = Headers(tmp_path, {"merged": (network, {})})
    X = random.normal(size=(20, 3))
    assert reference.error(headers.predict("merged", X)[0], network.predict(X)) < CLOSE["float64"]
    stored = re.search(r"merged_w2\[\] = \{([^}]*)\}", headers.texts["merged"])[1]
    assert len(stored.split()) == hidden.size / 2


# Tables


def check(headers, name, estimator, X):
    """Compare all outputs and classes."""
    encoder = getattr(estimator, "encoder_", None)
    found, labels = headers.predict(name, X, None if encoder is None else encoder.encoding_)
    close = CLOSE[estimator.network_.dtype.name]
    if not hasattr(estimator, "classes_"):
        assert reference.error(found, estimator.predict(X).reshape(found.shape)) < close
        return
    expected = estimator.predict_proba(X)
    assert reference.error(found, expected) < close
    if expected.shape[1] == len(estimator.classes_) and (labels >= 0).any():
        ordered = np.sort(expected, axis=1)
        clear = (ordered[:, -1] - ordered[:, :-1].max(axis=1, initial=0)) > 1e-5
        assert (estimator.classes_[labels] == estimator.predict(X))[clear].all()
        assert clear.mean() > 0.99


def load(folder, name):
    pd = pytest.importorskip("pandas")
    meta = json.loads((folder / name / "meta.json").read_text())
    X = pd.read_csv(folder / name / "data.csv.gz", keep_default_na=False, na_values=[""])
    return X, X.pop(meta["target"]).to_numpy()


REAL = ["titanic", "adult", "california", "digits"]


@pytest.fixture(scope="module")
def real(tmp_path_factory, chainrule_data):
    """Estimators of every kind for the data sets, trained on some rows, and their headers."""
    sklearn = pytest.importorskip("sklearn.datasets")
    data, models = {}, {}
    for name in REAL:
        X, y = sklearn.load_digits(return_X_y=True) if name == "digits" else load(chainrule_data, name)
        data[name] = X, y
        rows = np.random.default_rng(0).permutation(len(y))[:700]
        part = X[rows] if name == "digits" else X.iloc[rows]
        kind = "Regressor" if name == "california" else "Classifier"
        table = getattr(cr, f"Table{kind}")(random_state=0)
        mlp = getattr(cr, f"MLP{kind}")(preprocess=name != "digits", max_iter=20, random_state=0)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            for prefix, estimator in (("table", table), ("mlp", mlp)):
                models[f"{prefix}_{name}"] = estimator.fit(part, y[rows]), {}
    folder = tmp_path_factory.mktemp("real")
    return data, models, Headers(folder, models), folder


@pytest.mark.filterwarnings("ignore:column")
@pytest.mark.parametrize("kind", ["table", "mlp"])
@pytest.mark.parametrize("name", REAL)
def test_all_rows_of_real_tables(real, name, kind):
    data, models, headers, _ = real
    X, _ = data[name]
    estimator, _ = models[f"{kind}_{name}"]
    check(headers, f"{kind}_{name}", estimator, X)
    check(headers, f"{kind}_{name}", estimator, X[:1])


@pytest.fixture(scope="module")
def pandas():
    return pytest.importorskip("pandas")


def fitted(kind, X, y, **settings):
    """Fit a small estimator; the warnings about few steps and rows do not matter here."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        if kind.startswith("MLP"):
            # The penalty keeps the logits small, because an absolute error in a logit changes the probabilities by as
            # much.
            settings = {"alpha": 1.0, "max_iter": 20, "preprocess": True, "solver": "lbfgs"} | settings
            settings = {"hidden_layer_sizes": (9,)} | settings
        return getattr(cr, kind)(random_state=0, **settings).fit(X, y)


@pytest.fixture(scope="module")
def every_kind(pandas):
    """A table with every kind of column, and targets."""
    random = np.random.default_rng(0)
    n = 200
    table = pandas.DataFrame(
        {
            "size (m²)": np.where(random.random(n) < 0.1, np.nan, random.normal(50, 20, n)),
            "rooms": random.integers(1, 6, n),
            "share": [f"{value:.1f} %" for value in random.normal(50, 20, n)],
            "garden": random.choice([True, False], n),
            "code": pandas.Categorical(random.integers(1, 4, n)),
            "town": random.choice(["Ayr", "Ely", "", None], n),
            "built": pandas.Timestamp("1990-01-01") + pandas.to_timedelta(random.integers(0, 9000, n), unit="D"),
            "signed": [f"{day:02}/{month:02}/2023" for day, month in random.integers(1, 13, (n, 2))],
            "street": [f"street {number}" for number in random.integers(0, 12, n)],
            "opens": [f"{hour:02}:{minute:02}" for hour, minute in random.integers(0, 24, (n, 2))],
            "constant": 1,
            "one value": np.where(random.random(n) < 0.2, np.nan, 7.0),
            "id": [f"house {i}" for i in range(n)],
        }
    )
    value = table.rooms * 3.0 + 5 * table.garden + (table.town == "Ely")
    return table, value.to_numpy()


SETTINGS = {
    "TableClassifier": "many",
    "TableRegressor": "value",
    "MLPClassifier": "many",
    "MLPRegressor": "value",
    "one_class": ("MLPClassifier", "one"),
    "two_classes": ("MLPClassifier", "two"),
    "two_outputs": ("TableClassifier", "two"),
    "labels": ("TableClassifier", "labels"),
    "one_label": ("MLPClassifier", "one_label"),
    "values": ("TableRegressor", "values"),
    "double": ("MLPRegressor", "value", {"dtype": "float64"}),
    "counts": ("MLPRegressor", "counts", {"loss": "poisson"}),
    "quantiles": ("TableRegressor", "value", {"loss": cr.Quantile([0.1, 0.5, 0.9])}),
    "linear": ("MLPRegressor", "value", {"hidden_layer_sizes": ()}),
}


@pytest.fixture(scope="module")
def estimators(every_kind, tmp_path_factory):
    X, value = every_kind
    targets = {
        "value": value,
        "values": np.stack([value, 1e5 * value**2], axis=1),
        "counts": value.round(),
        "one": np.full(len(X), "only"),
        "two": np.where(value > 10, "dear", "cheap"),
        "many": np.digitize(value, [6, 10, 14]) * 10,
        "labels": np.stack([value > 10, X.garden, X.rooms == 3], axis=1).astype(int),
        "one_label": (value > 10).astype(int)[:, None],
    }
    models = {}
    for name, setting in SETTINGS.items():
        kind, target, settings = (name, setting, {}) if isinstance(setting, str) else (*setting, {})[:3]
        table = X.drop(columns="signed")
        if kind.startswith("MLP"):  # which take an encoder that reads ambiguous dates and has a feature for rare levels
            table, settings = X, {"preprocess": cr.TableEncoder(date_order="dmy", max_levels=5), **settings}
        models[name] = fitted(kind, table, targets[target], **settings), {}
    return models, Headers(tmp_path_factory.mktemp("estimators"), models)


@pytest.mark.filterwarnings("ignore:column")
@pytest.mark.parametrize("name", SETTINGS)
def test_estimators_of_every_kind_of_column_and_target(estimators, every_kind, name):
    models, headers = estimators
    X, _ = every_kind
    strange = X[:4].assign(rooms=[1e300, -1e300, np.nan, 1e-300], town=["Ayr ", "Nowhere", None, "é"], street="new")
    nothing = X[:1].astype(object)
    nothing.loc[:, :] = None
    estimator, _ = models[name]
    for table in (X, strange, nothing, X[:1]):
        check(headers, name, estimator, table[estimator.feature_names_in_])


def test_columns_of_a_first_part_that_has_no_values(pandas, tmp_path):
    first = pandas.DataFrame({"x": [1.0, 2.0, 4.0], "text": pandas.Series([None] * 3, dtype=object), "number": np.nan})
    later = first.assign(text=["a", "", None], number=[1.0, -2.0, np.nan])
    model = cr.MLPRegressor(hidden_layer_sizes=5, preprocess=True, random_state=0)
    model.partial_fit(first, [1.0, 2.0, 3.0]).partial_fit(later, [1.0, 2.0, 3.0])
    headers = Headers(tmp_path, {"parts": (model, {})})
    assert not any(column.levels for column in model.encoder_.encoding_.columns if isinstance(column, LevelColumn))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        check(headers, "parts", model, pandas.concat([first, later]))


def test_tables_of_few_rows_have_networks_in_float64(every_kind, tmp_path):
    X, value = every_kind
    X = X.drop(columns="signed")
    model = fitted("TableRegressor", X[:60], value[:60])
    assert model.network_.dtype == "float64"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        check(Headers(tmp_path, {"few": (model, {})}), "few", model, X)


def test_the_first_of_equally_probable_classes_is_returned(every_kind, tmp_path):
    X, value = every_kind
    model = fitted("MLPClassifier", X[["rooms", "town"]], np.digitize(value, [6, 10, 14]))
    model.network_.parameters[:] = 0
    found, labels = Headers(tmp_path, {"equal": (model, {})}).predict("equal", X[:3], model.encoder_.encoding_)
    assert (found == 0.25).all()
    assert labels.tolist() == model.predict(X[["rooms", "town"]][:3]).tolist() == [0, 0, 0]


def test_an_infinite_number_counts_as_the_largest(estimators, every_kind):
    models, headers = estimators
    for name in ("TableRegressor", "MLPRegressor"):
        encoding = models[name][0].encoder_.encoding_
        numbers, texts = as_c(every_kind[0][:2].assign(rooms=[1e300, -1e300]), encoding)
        infinite = np.where(abs(numbers) == 1e300, np.sign(numbers) * np.inf, numbers)
        assert np.isinf(infinite).sum() == 2
        found, expected = (headers.predict_c(name, values, texts)[0] for values in (infinite, numbers))
        assert found.tobytes() == expected.tobytes()


SPACES = ["", " ", "\t\n", "\x1c", "\x85", "\xa0", "\u1680", "\u2003", "\u2028", "\u202f", "\u205f", "\u3000"]
WORDS = [
    "1",
    "1.0",
    "1.00",
    "+1.0",
    "-1.0",
    "1.",
    "01.0",
    "0",
    "0.0",
    "-0.0",
    "10.0",
    "2",
    "2.0",
    "1,0",
    "1.0e",
    "1٣.0",
]
WORDS += ["true", "TRUE", "False", "fAlSe", "truE1", "ä", "Ä", "b", "?", "\u200b1"]
LEVELS = {
    "booleans": ["False", "True"],
    "bits": ["0", "1"],
    "shouted": ["FALSE", "true"],
    "whole": ["0", "1", "10", "2"],
    "written": ["-1.0", "1", "1.0", "10.00", "2.0"],
    "spaced": [" a", "a", "b ", "ä", "\u3000c"],
    "hostile": ['"*/', "/*", "??/", "\\", "a\nb", "NAME_", "REAL", "%d", "1.0r"],
}


def test_levels_match_as_in_python(pandas, tmp_path):
    random = np.random.default_rng(0)
    columns = {name: random.choice(levels, 300) for name, levels in LEVELS.items()}
    table = pandas.DataFrame(columns)
    y = random.normal(size=300)
    model = fitted("MLPRegressor", table, y, categorical_features=list(LEVELS), dtype="float64")
    assert model.encoder_.n_features == sum(map(len, LEVELS.values()))
    words = [*WORDS, *(level for levels in LEVELS.values() for level in levels)]
    texts = [before + word + after for word in words for before in SPACES for after in ("", "\u2003 ", "\xa0")]
    test = pandas.DataFrame({name: [*texts, None] for name in LEVELS})
    headers = Headers(tmp_path, {"levels": (model, {})})
    found, _ = headers.predict("levels", test, model.encoder_.encoding_)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        expected = model.predict(test)
    assert len(np.unique(expected.round(9))) > 20
    np.testing.assert_allclose(found[:, 0], expected, rtol=1e-9)


def test_every_column_name_makes_a_valid_header(pandas, tmp_path):
    names = [
        "int",
        "Class",
        "x",
        "X",
        "x_2",
        "",
        "1st",
        "*/ int y;",
        "??/",
        "größe",
        "日本",
        "a\nb",
        '"',
        "unix",
        "NULL",
    ]
    random = np.random.default_rng(0)
    X = pandas.DataFrame(random.normal(size=(30, len(names))), columns=names)
    y = X["größe"].to_numpy()
    model = fitted("MLPRegressor", X, y)
    headers = Headers(tmp_path, {"names": (model, {})})
    assert len({*headers.fields["names"]}) == len(names)
    check(headers, "names", model, X)
    assert self_test(tmp_path / "names.h", "gcc", "-trigraphs")[0] == 0


@pytest.mark.parametrize("weights", [None, "int8"])
@pytest.mark.parametrize("compiler", COMPILERS)
def test_the_self_test_passes_in_every_compiler(estimators, tmp_path, compiler, weights):
    tool(compiler)
    models, _ = estimators
    subjects = {name: models[name][0] for name in ("TableClassifier", "TableRegressor", "labels", "one_class")}
    subjects |= {"net": example("gelu", "softmax_cross_entropy", "float64")[0]}
    for name, subject in subjects.items():
        subject.to_c(tmp_path / f"{name}.h", name=name, weights=weights)
        code, output = self_test(tmp_path / f"{name}.h", compiler)
        assert (code, output) == (0, "16 rows, 0 wrong outputs\n")


@pytest.mark.parametrize("name", ["TableClassifier", "TableRegressor"])
def test_the_self_test_finds_a_changed_weight(estimators, tmp_path, name):
    path = tmp_path / f"{name}.h"
    estimators[0][name][0].to_c(path, name=name)
    text = path.read_text()
    path.write_text(re.sub(rf"({name}_b2\[\] = {{\s*)[^,]*", r"\g<1>9.0f", text))
    code, output = self_test(path)
    assert code == 1
    assert re.match(r"row \d+, output \d \(.*\): \S+, expected", output)


def test_weights_of_8_bits(estimators, every_kind, tmp_path):
    X, value = every_kind
    X = X.drop(columns="signed")
    regressor, classifier = (estimators[0][name][0] for name in ("TableRegressor", "TableClassifier"))
    network, x = example("tanh", "squared_error", "float64")
    eight = {"weights": "int8"}
    headers = Headers(tmp_path, {"reg": (regressor, eight), "clf": (classifier, eight), "net": (network, eight)})
    assert "static const signed char net_w1[] = {" in headers.texts["net"]
    found, _ = headers.predict("reg", X, regressor.encoder_.encoding_)
    assert 0 < abs(found[:, 0] - regressor.predict(X)).max() < 0.05 * np.std(value)
    found, _ = headers.predict("clf", X, classifier.encoder_.encoding_)
    assert 0 < abs(found - classifier.predict_proba(X)).max() < 0.05
    rounded = []
    for W, b in zip(network.weights, network.biases, strict=True):
        unit = abs(W).max(axis=1, keepdims=True) / 127
        rounded.append((np.rint(W / unit) * unit, b))
    expected = reference.forward(rounded, x, ["tanh", "tanh"], "squared_error")[1][-1]
    assert reference.error(headers.predict("net", x)[0], expected) < CLOSE["float64"]


def test_the_program_in_the_guide_prints_the_price(pandas, tmp_path, monkeypatch):
    page = (ROOT / "python" / "docs" / "exchange.md").read_text(encoding="utf-8").partition("\n## C\n")[2]
    blocks = {name: re.search(rf"```{name}\n(.*?)^```", page, re.MULTILINE | re.DOTALL)[1] for name in ("python", "c")}
    monkeypatch.chdir(tmp_path)
    exec(blocks["python"], {})
    (tmp_path / "program.c").write_text(blocks["c"])
    run("gcc", "-std=c99", *STRICT, "program.c", "-o", "program", "-lm", cwd=tmp_path)
    assert abs(float(run(tmp_path / "program")) - (4 * 50_000 + 20_000)) < 10_000


# Cortex-M4, with floats in hardware
ARM = ["-mcpu=cortex-m4", "-mthumb", "-mfloat-abi=hard", "-mfpu=fpv4-sp-d16", "-std=c99", *STRICT, "-Os"]


def test_a_microcontroller_compiles_it(estimators, tmp_path):
    compiler, size = (shutil.which(f"arm-none-eabi-{name}") for name in ("gcc", "size"))
    if compiler is None or size is None:
        pytest.skip("arm-none-eabi-gcc is not installed: apt-get install gcc-arm-none-eabi")
    source, program = tmp_path / "main.c", tmp_path / "program"
    source.write_text(
        '#include "model.h"\nstruct model_row row;\nfloat p[MODEL_OUTPUTS];\n'
        "int main(void) { return model_predict(&row, p); }\n"
    )
    sizes = {}
    for weights in (None, "int8"):
        estimators[0]["TableClassifier"][0].to_c(tmp_path / "model.h", weights=weights)
        run(compiler, *ARM, "--specs=nosys.specs", source, "-o", program, "-lm")
        code, data, other = map(int, re.findall(r"\d+", run(size, program).splitlines()[1])[:3])
        print(f"weights={weights}: {code} bytes of code and constants, {data} of data, {other} of other memory")
        sizes[weights] = code
    n_weights = sum(
        len(re.findall(",", text))
        for text in re.findall(r"model_w\d\[\] = \{([^}]*)", (tmp_path / "model.h").read_text())
    )
    assert abs((sizes[None] - sizes["int8"]) / (3 * n_weights) - 1) < 0.05
    assert sizes["int8"] < n_weights + 30_000


# Refusals


def test_refusals_name_what_cannot_be_written(tmp_path):
    network = cr.Network([2, 1], loss="squared_error", seed=0)
    path = tmp_path / "model.h"
    for name in ("2nd", "a__b", "_a", "a_", "ä", "a b", ""):
        with pytest.raises(ValueError, match=f"name is '{name}', expected letters, digits and single underscores"):
            network.to_c(path, name=name)
    with pytest.raises(ValueError, match="weights 'int4' is unknown, did you mean 'int8'"):
        network.to_c(path, weights="int4")
    with pytest.raises(TypeError, match="dtype"):
        network.to_c(path, dtype="float16")
    network.parameters[0] = np.nan
    with pytest.raises(ValueError, match="the network has parameters that are NaN or infinite"):
        network.to_c(path)
    large = cr.Network([1, 1], loss="squared_error", init=[([[1e39]], [0.0])], dtype="float64")
    large.to_c(tmp_path / "large.h")
    with pytest.raises(ValueError, match="the network has parameters that are too large for float32"):
        large.to_c(path, dtype="float32")
    sklearn = pytest.importorskip("sklearn.exceptions")
    with pytest.raises(sklearn.NotFittedError):
        cr.TableClassifier().to_c(path)
    for text, reason in {"a\0b": "null character", "\ud800": "unpaired surrogate", "x" * 4096: "4,096 bytes"}.items():
        y = np.array(["Ayr", text] * 20, dtype=object)
        numbers = np.arange(40.0).reshape(-1, 1)
        with pytest.raises(ValueError, match=f"column 'x0': the level .* has .*{reason}"):
            fitted("MLPClassifier", y.reshape(-1, 1), numbers[:, 0] % 2).to_c(path)
        with pytest.raises(ValueError, match=f"the class .* has .*{reason}"):
            fitted("MLPClassifier", numbers, y).to_c(path)
    assert not path.exists()


def test_an_unknown_activation_is_refused(monkeypatch, tmp_path):
    monkeypatch.delitem(_c_code.ACTIVATIONS, "mish")
    with pytest.raises(ValueError, match="no formula for the activation 'mish'"):
        cr.Network([2, 3, 1], activation="mish", loss="squared_error", seed=0).to_c(tmp_path / "model.h")
