"""Rows and held-out data in an unsupported form: the message names the argument and the right form."""

import re
import warnings

import numpy as np
import pytest

import chainrule as cr

X, Y = np.linspace(-1, 1, 40).reshape(20, 2), np.arange(20) % 2
NET = cr.Network([2, 1], loss="squared_error", seed=0)


SETS = {
    "two sets": ([(X, Y), (X, Y)], ValueError, "got 2 data sets: choose the one to watch"),
    "three sets": (((X, Y), (X, Y), (X, Y)), ValueError, "got 3 data sets: choose the one to watch"),
    "two sets of lists": ([(X.tolist(), list(Y))] * 2, ValueError, "got 2 data sets: choose the one to watch"),
    "one entry": ((X,), ValueError, "got 1 entry"),
    "four entries": ((X, Y, Y, Y), ValueError, "got 4 entries"),
    "nothing": ((), ValueError, "got 0 entries"),
    "a dict": ({"X": X, "y": Y}, TypeError, "got dict"),
    "text": ("X", TypeError, "got 'X'"),
}


@pytest.mark.parametrize("given", SETS)
def test_validation_data_of_wrong_form_raise(given):
    value, error, message = SETS[given]
    form = r"\(X, y\).* \(X, y, sample_weight\).*, "
    with pytest.raises(error, match=f"^validation must be {form}{re.escape(message)}$"):
        cr.Network([2, 1], loss="squared_error", seed=0).fit(X, Y, validation=value)
    if isinstance(value, (tuple, dict)):
        with pytest.raises(error, match=f"^validation must be {form}{re.escape(message)}$"):
            cr.fit_many([cr.Network([2, 1], loss="squared_error", seed=0)], X, Y, validation=value)


def test_a_list_of_one_data_set_is_that_data_set():
    """The form of XGBoost and LightGBM."""
    plain, listed = (
        cr.Network([2, 1], loss="squared_error", seed=0).fit(X, Y, epochs=3, validation=validation)
        for validation in ((X, Y), [(X, Y)])
    )
    assert np.array_equal(plain.validation, listed.validation)


@pytest.mark.parametrize("given", SETS)
def test_eval_set_of_wrong_form_raises(given):
    pytest.importorskip("sklearn")
    value, error, message = SETS[given]
    for estimator in (cr.MLPClassifier(), cr.TableClassifier()):
        with pytest.raises(
            error, match=rf"^eval_set must be \(X, y\) or \(X, y, sample_weight\), {re.escape(message)}$"
        ):
            estimator.fit(X, Y, eval_set=value)


@pytest.mark.parametrize("kind", ["MLPClassifier", "MLPRegressor", "TableClassifier", "TableRegressor"])
def test_eval_set_gives_the_same_bits_as_its_parts(kind):
    pytest.importorskip("sklearn")
    weight = np.linspace(1, 2, 20)
    settings = {"random_state": 0} | ({"max_iter": 3} if kind.startswith("MLP") else {})
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # few epochs do not converge
        parts, *sets = (
            getattr(cr, kind)(**settings).fit(X, Y, **given)
            for given in (
                {"X_val": X[::2], "y_val": Y[::2], "sample_weight_val": weight[::2]},
                {"eval_set": (X[::2], Y[::2], weight[::2])},
                {"eval_set": [(X[::2], Y[::2], weight[::2])]},
            )
        )
    for one in sets:
        assert one.network_.parameters.tobytes() == parts.network_.parameters.tobytes()
        assert one.history_.validation.tolist() == parts.history_.validation.tolist()
    with pytest.raises(ValueError, match=r"^both eval_set and y_val are given: pass the validation data once$"):
        getattr(cr, kind)().fit(X, Y, y_val=Y, eval_set=(X, Y))


@pytest.mark.parametrize(
    ("held_out", "message"),
    [
        ((X, Y, 0 * Y), "validation data: Sample weights must contain at least one non-zero number."),
        ((X, Y, Y - 1), "validation data: sample_weight[0] is -1, expected a non-negative number"),
        ((X, Y, Y[:3]), "validation data: sample_weight.shape == (3,), expected (20,)!"),
        ((X[:, :1], Y), "validation data: X has 1 features, but MLPClassifier is expecting 2 features"),
        ((X, Y[:3]), "validation data: Found input variables with inconsistent numbers of samples: [20, 3]"),
        ((X * np.nan, Y), "validation data: Input X contains NaN."),
        ((X, Y + 5), "validation data: `y` has classes not in `self.classes_`."),
        ((X[0], Y), "validation data: Expected 2D array, got 1D array instead."),
        (({"a": 1}, Y), "validation data: X is a dict"),
    ],
)
def test_errors_in_validation_data_mention_them(held_out, message):
    pytest.importorskip("sklearn")
    with pytest.raises((ValueError, TypeError), match="^" + re.escape(message)):
        cr.MLPClassifier().fit(X, Y, **dict(zip(("X_val", "y_val", "sample_weight_val"), held_out, strict=False)))


def test_errors_in_validation_tables_mention_them():
    pd, _ = pytest.importorskip("pandas"), pytest.importorskip("narwhals")
    pytest.importorskip("sklearn")
    table = pd.DataFrame(X, columns=["a", "b"]).assign(c="text")
    estimator = cr.MLPClassifier(preprocess=True)
    with pytest.raises(ValueError, match=r"^validation data: The feature names should match"):
        estimator.fit(table, Y, X_val=table.rename(columns={"a": "A"}), y_val=Y)
    with pytest.raises(ValueError, match=r"^validation data: column 'a'"):
        estimator.fit(table, Y, X_val=table.assign(a="x"), y_val=Y)


@pytest.mark.parametrize(
    ("held_out", "message"),
    [
        ((X, Y, 0.0 * Y), "validation: sample_weight is 0 for every row"),
        ((X, Y, Y - 1.0), "validation: sample_weight[0] is -1, expected a non-negative number"),
        ((X[:, :1], Y), "validation: X has 1 columns, the network expects 2"),
        ((X[0], Y), "validation: X has shape (2,), expected two dimensions"),
        ((X[:0], Y[:0]), "validation: X has no rows"),
        ((X.astype(str), Y), "validation: X has "),
        ((X, Y.astype(str)), "validation: y has "),
        (([[1.0, 2.0], [3.0]], Y[:2]), "validation: "),
        ((X, Y, ["x"] * 20), "validation: sample_weight has "),
    ],
)
def test_errors_of_held_out_data_name_validation(held_out, message):
    network = cr.Network([2, 1], loss="squared_error", seed=0)
    with pytest.raises((ValueError, TypeError), match="^" + re.escape(message)):
        network.fit(X, Y, validation=held_out)
    with pytest.raises((ValueError, TypeError), match=re.escape(message)):
        cr.fit_many([network], X, Y, validation=held_out)


ONE_ROW = "a single row as [row]"


@pytest.mark.parametrize(
    ("value", "error", "message"),
    [
        (
            {"a": 1.0, "b": 2.0},
            TypeError,
            "X is a dict, expected two dimensions: (rows, columns); use pandas.Data",
        ),
        (
            [{"a": 1.0, "b": 2.0}],
            TypeError,
            "X is a list of dicts, expected two dimensions: (rows, columns)",
        ),
        ([1.0, 2.0], ValueError, ONE_ROW),
        ((1, 2), ValueError, ONE_ROW),
        (["a", "b"], ValueError, ONE_ROW),
        (np.zeros(2), ValueError, ONE_ROW),
        (3.0, ValueError, "got scalar array instead"),
        (np.float32(3), ValueError, "got scalar array instead"),
        ("a", TypeError, "X must have two dimensions, (rows, columns), got str"),
        (None, TypeError, "X must have two dimensions, (rows, columns), got NoneType"),
        ({1, 2}, TypeError, "X must have two dimensions, (rows, columns), got set"),
        (iter([[1.0, 2.0]]), TypeError, "X must have two dimensions, (rows, columns), got list_iterator"),
    ],
)
@pytest.mark.parametrize("preprocess", ["auto", True])
def test_estimators_raise_and_describe_data_that_are_not_two_dimensional(value, error, message, preprocess):
    pytest.importorskip("sklearn")
    fitted = cr.MLPClassifier(5, max_iter=2, preprocess=preprocess, random_state=0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        fitted.fit(X, Y)
    for call in (fitted.predict, fitted.predict_proba, lambda X: fitted.fit(X, Y), lambda X: fitted.partial_fit(X, Y)):
        with pytest.raises(error, match=re.escape(message)):
            call(value)


@pytest.mark.parametrize("preprocess", ["auto", True])
def test_estimators_raise_and_name_a_series(preprocess):
    pd, _ = pytest.importorskip("pandas"), pytest.importorskip("narwhals")
    pytest.importorskip("sklearn")
    with pytest.raises(ValueError, match=re.escape(ONE_ROW)):
        cr.MLPClassifier(preprocess=preprocess).fit(pd.Series(Y), Y)


def test_dictionary_of_keys_matrix_is_accepted():
    pytest.importorskip("sklearn")
    sparse = pytest.importorskip("scipy.sparse")
    estimator = cr.MLPRegressor(hidden_layer_sizes=(), solver="lbfgs").fit(sparse.dok_matrix(X), Y)
    assert estimator.predict(sparse.dok_matrix(X)).shape == (20,)


def test_networks_raise_and_describe_data_that_are_not_two_dimensional():
    for call in (NET.predict, NET.logits, lambda X: NET.fit(X, Y), lambda X: NET.loss(X, Y)):
        with pytest.raises(
            ValueError, match=r"shape \(2,\), expected two dimensions: .*; for a single row, pass \[row\]"
        ):
            call([1.0, 2.0])


def test_missing_values_in_arrays_name_preprocess():
    pytest.importorskip("sklearn")
    for kind in (cr.MLPClassifier, cr.MLPRegressor):
        for gaps in (X * np.nan, [[1.0, None]] * 20):
            with pytest.raises(ValueError, match="fit with preprocess=True for tables with missing values or text"):
                kind().fit(gaps, Y)
