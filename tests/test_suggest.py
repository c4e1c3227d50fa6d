"""Unknown names and arguments: the message suggests the one that was meant, and only one that is valid there."""

import inspect
import re
import warnings

import numpy as np
import pytest

import chainrule as cr
from chainrule import _core, _suggest
from chainrule._suggest import closest, did_you_mean, listed, unknown
from chainrule.schedules import Schedule
from chainrule.table import TableEncoder


def fit(X=((0.0,), (1.0,)), y=(0.0, 1.0), **options):
    return cr.Network([1, 1], loss="squared_error", seed=0).fit(X, y, epochs=1, **options)


@pytest.mark.parametrize(
    ("value", "options", "meant"),
    [
        ("sigmoid", _core.ACTIVATIONS, "logistic"),
        ("swish", _core.ACTIVATIONS, "silu"),
        ("ReLU", _core.ACTIVATIONS, "relu"),
        ("LeakyReLU", _core.ACTIVATIONS, "leaky_relu"),
        ("leaky-relu", _core.ACTIVATIONS, "leaky_relu"),
        ("hardtanh", _core.ACTIVATIONS, "hard_tanh"),
        ("linear", _core.ACTIVATIONS, "identity"),
        ("mse", _core.LOSSES, "squared_error"),
        ("MSELoss", _core.LOSSES, "squared_error"),
        ("mae", _core.LOSSES, "absolute_error"),
        ("l1", _core.LOSSES, "absolute_error"),
        ("bce", _core.LOSSES, "binary_cross_entropy"),
        ("BCEWithLogitsLoss", _core.LOSSES, "binary_cross_entropy"),
        ("binary_crossentropy", _core.LOSSES, "binary_cross_entropy"),
        ("binary:logistic", _core.LOSSES, "binary_cross_entropy"),
        ("log_loss", _core.LOSSES, "binary_cross_entropy"),
        ("sparse_categorical_crossentropy", _core.LOSSES, "softmax_cross_entropy"),
        ("nll", _core.LOSSES, "softmax_cross_entropy"),
        ("smooth_l1", _core.LOSSES, "huber"),
        ("pinball", _core.LOSSES, "quantile"),
        ("acc", _core.METRICS, "accuracy"),
        ("roc_auc", _core.METRICS, "auc"),
        ("AUROC", _core.METRICS, "auc"),
        ("logloss", _core.METRICS, "log_loss"),
        ("neg_log_loss", _core.METRICS, "log_loss"),
        ("mse", _core.METRICS, "rmse"),
        ("R2", _core.METRICS, "r2"),
        ("xavier", _core.INITS, "glorot_uniform"),
        ("kaiming_normal", _core.INITS, "he_normal"),
        ("L-BFGS-B", ["adam", "lbfgs", "sgd"], "lbfgs"),
        ("half", _core.PRECISIONS, "bf16"),
        ("acuracy", _core.METRICS, "accuracy"),
        ("hinge", _core.LOSSES, None),
        ("", _core.LOSSES, None),
        ("sigmoid", ["relu", "tanh"], None),  # only what is valid there
        ("Größe", ["größe", "gewicht"], "größe"),
        (3, ["3 ", "4"], "3 "),
    ],
)
def test_the_name_that_was_meant(value, options, meant):
    assert closest(value, options) == meant
    assert did_you_mean(value, options) == (f", did you mean {meant!r}?" if meant else "")


def test_every_habit_leads_to_a_name_of_this_library():
    calls = [
        cr.Network,
        cr.Network.fit,
        cr.MLPClassifier,
        cr.MLPClassifier.fit,
        cr.Stop,
        cr.Group,
        cr.Huber,
        cr.Quantile,
    ]
    calls += [cr.SGD, cr.Adam, cr.RMSprop, cr.Adagrad, cr.LBFGS]
    calls += [cr.Cosine, cr.OneCycle, cr.StepDecay, cr.ReduceOnPlateau]
    names = {name for call in calls for name in inspect.signature(call).parameters}
    for known in (_core.ACTIVATIONS, _core.LOSSES, _core.METRICS, _core.INITS, _core.PRECISIONS):
        names |= {*known}
    names |= {"float64", "adam", "lbfgs", "sgd", "threads", *_suggest.instances(Schedule)}
    for word, targets in _suggest._ELSEWHERE.items():
        assert word == _suggest._plain(word)
        assert {*targets} <= names, word


def test_a_message_lists_ten_of_thousands_of_names():
    names = [f"column {i}" for i in range(5000)]
    message = unknown("column", "colum 7", names)
    assert message == (
        "column 'colum 7' is unknown, did you mean 'column 7'? Expected one of "
        + ", ".join(names[:10])
        + " and 4,990 more"
    )
    assert listed(names[:20]) == ", ".join(names[:20])


def test_a_long_name_is_cut():
    assert len(unknown("loss", "x" * 10**6, ["huber"])) < 200


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (
            lambda: cr.Network([2, 3, 1], activation="sigmoid", loss="huber"),
            ValueError,
            "activation 'sigmoid' is unknown, did you mean 'logistic'? Expected one of identity, logistic, tanh, ",
        ),
        (
            lambda: cr.Network([2, 3, 3, 1], activation=["relu", "Swish"], loss="huber"),
            ValueError,
            "activation[1] 'Swish' is unknown, did you mean 'silu'? Expected",
        ),
        (lambda: cr.Network([2, 1], loss="mse"), ValueError, "loss 'mse' is unknown, did you mean 'squared_error'?"),
        (
            lambda: cr.Network([2, 1], loss="huber", init="kaiming"),
            ValueError,
            "init 'kaiming' is unknown, did you mean 'he_uniform'?",
        ),
        (
            lambda: cr.Network([2, 1], loss="huber", dtype="fp32"),
            TypeError,
            "dtype 'fp32' is unknown, did you mean 'float32'? Expected one of float32, float64",
        ),
        (lambda: cr.Network([2, 1], loss="huber", dtype="half"), TypeError, "dtype must be float32 or float64, got "),
        (lambda: cr.init_params([2, 1], init="xavier"), ValueError, "did you mean 'glorot_uniform'?"),
        (lambda: cr.init_params([2, 1], dtype="fp64"), TypeError, "did you mean 'float64'?"),
        (
            lambda: cr.forward([([[1.0]], [0.0])], [[1.0]], loss="bce"),
            ValueError,
            "did you mean 'binary_cross_entropy'?",
        ),
        (
            lambda: cr.check_gradients([([[1.0]], [0.0])], [[1.0]], [1.0], loss="mae"),
            ValueError,
            "did you mean 'absolute_error'?",
        ),
        (lambda: cr.set_isa("AVX-2"), ValueError, "instruction set 'AVX-2' is unknown, did you mean 'avx2'?"),
        (lambda: cr.Group(kind="bias"), ValueError, "the kind of a group 'bias' is unknown, did you mean 'biases'?"),
        (lambda: fit(precision="half"), ValueError, "precision 'half' is unknown, did you mean 'bf16'?"),
        (
            lambda: fit(metrics="roc_auc", validation=0.5),
            ValueError,
            "metric 'roc_auc' is unknown, did you mean 'auc'? Expected one of accuracy, ",
        ),
        (lambda: fit(optimizer="sgd"), TypeError, "instance such as Adam(), got 'sgd', did you mean SGD()?"),
        (lambda: fit(optimizer=cr.AdamW), TypeError, ", did you mean AdamW()?"),
        (lambda: fit(schedules="cosine"), TypeError, "or callable, got 'cosine', did you mean Cosine()?"),
        (lambda: fit(schedules={"dropout": "StepLR"}), TypeError, "did you mean StepDecay()?"),
        (
            lambda: fit(schedules={"lr": cr.Cosine()}),
            ValueError,
            "the rate of a schedule 'lr' is unknown, did you mean 'learning_rate'?",
        ),
    ],
)
def test_every_list_of_names_suggests(call, error, message):
    with pytest.raises(error, match=re.escape(message)):
        call()


X, Y = np.linspace(-1, 1, 40).reshape(20, 2), np.arange(20) % 2


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"activation": "sigmoid"}, "Got 'sigmoid' instead. Did you mean 'logistic'?"),
        ({"activation": ["ReLU"]}, "Got ['ReLU'] instead. Did you mean 'relu'?"),
        ({"solver": "Adam"}, "Did you mean 'adam'?"),
        ({"solver": "adamw"}, "Did you mean AdamW()?"),
        ({"solver": cr.RMSprop}, "Did you mean RMSprop()?"),
        ({"learning_rate": "cosine"}, "Did you mean Cosine()?"),
        ({"learning_rate": "inv_scaling"}, "Did you mean 'invscaling'?"),
        ({"batch_size": "Auto"}, "Did you mean 'auto'?"),
        ({"preprocess": "Auto"}, "Did you mean 'auto'?"),
        ({"dtype": "fp32"}, "Did you mean 'float32'?"),
        ({"early_stopping": True, "eval_metric": "roc_auc"}, "Did you mean 'auc'?"),
        ({"early_stopping": True, "eval_metric": ["auc", "acc"]}, "Did you mean 'accuracy'?"),
        ({"hidden_layer_sizes": (5, None)}, "hidden_layer_sizes[1] must be an int above 0, got None"),
        ({"hidden_layer_sizes": (5, 2.5)}, "hidden_layer_sizes[1] must be an int above 0, got 2.5"),
        ({"hidden_layer_sizes": [[5, 5]]}, "hidden_layer_sizes[0] must be an int above 0, got [5, 5]"),
        ({"hidden_layer_sizes": np.ones((2, 2), int)}, "hidden_layer_sizes[0] must be an int above 0, got array"),
        ({"hidden_layer_sizes": (5, "5")}, "hidden_layer_sizes[1] must be an int above 0, got '5'"),
        ({"hidden_layer_sizes": (5, -3)}, "hidden_layer_sizes must be > 0, got [5, -3]."),
        ({"hidden_layer_sizes": "100"}, "Got '100' instead."),
        ({"hidden_layer_sizes": np.array(5)}, "Got array(5) instead."),
        ({"hidden_layer_sizes": 0}, "Got 0 instead."),
        ({"callbacks": iter([print])}, "is an iterator, which the first fit would use up: choose callbacks=list(...)."),
        ({"callbacks": (print for _ in range(3))}, "choose callbacks=list(...)."),
        ({"dropout": iter([0.5])}, "choose dropout=list(...)."),
    ],
)
@pytest.mark.parametrize("kind", ["MLPClassifier", "MLPRegressor"])
def test_parameters_of_estimators_suggest(kind, settings, message):
    pytest.importorskip("sklearn")
    estimator = getattr(cr, kind)(**settings)
    with pytest.raises(ValueError, match=re.escape(message)):
        estimator.fit(X, Y)
    assert not hasattr(estimator, "network_")


@pytest.mark.parametrize(
    ("kind", "loss", "meant"),
    [
        ("MLPClassifier", "bce", "log_loss"),
        ("MLPClassifier", "CrossEntropyLoss", "log_loss"),
        ("MLPRegressor", "mse", "squared_error"),
        ("MLPRegressor", "SmoothL1", "huber"),
    ],
)
def test_losses_of_estimators_suggest(kind, loss, meant):
    pytest.importorskip("sklearn")
    with pytest.raises(ValueError, match=f"(?i)did you mean '{meant}'"):
        getattr(cr, kind)(loss=loss).fit(X, Y)


NET = cr.Network([2, 1], loss="squared_error", seed=0)
LOSSES = ", ".join(_core.LOSSES)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: cr.Adam(lr=0.1), "Adam has no argument 'lr', did you mean 'learning_rate'?"),
        (lambda: cr.SGD(learningRate=0.1), "SGD has no argument 'learningRate', did you mean 'learning_rate'?"),
        (lambda: cr.AdamW(betas=(0.9, 0.99)), "AdamW has no argument 'betas', did you mean 'beta1'?"),
        (lambda: cr.RMSprop(rho=0.9), "RMSprop has no argument 'rho', did you mean 'alpha'?"),
        (lambda: cr.LBFGS(history_size=5), "LBFGS has no argument 'history_size', did you mean 'history'?"),
        (lambda: cr.Adagrad(lr_decay=0.1), "did you mean 'learning_rate_decay'?"),
        (lambda: cr.Group(lr=0.1), "Group has no argument 'lr', did you mean 'learning_rate'?"),
        (lambda: cr.Stop(patience=3), "Stop has no argument 'patience', did you mean 'no_improvement'?"),
        (lambda: cr.StepDecay(step_size=3), "StepDecay has no argument 'step_size', did you mean 'every'?"),
        (lambda: cr.ExponentialDecay(gamma=0.9), "did you mean 'factor'?"),
        (lambda: cr.Cosine(T_max=3), "Cosine has no argument 'T_max', did you mean 'epochs'?"),
        (lambda: cr.OneCycle(pct_start=0.3), "did you mean 'warmup'?"),
        (lambda: cr.ReduceOnPlateau(min_lr=0.1), "did you mean 'lowest'?"),
        (lambda: cr.Huber(beta=1.0), "Huber has no argument 'beta', did you mean 'delta'?"),
        (lambda: cr.Quantile(quantiles=[0.5]), "Quantile has no argument 'quantiles', did you mean 'levels'?"),
        (lambda: cr.SoftmaxCrossEntropy(smoothing=0.1), "did you mean 'label_smoothing'?"),
        (lambda: cr.Network([2, 1], los="huber"), "Network has no argument 'los', did you mean 'loss'?"),
        (lambda: cr.Network(hidden=[3], loss="huber"), "did you mean 'layer_sizes'?"),
        (lambda: cr.Network([4, 8, 1]), f"Network needs loss=, one of {LOSSES}"),
        (lambda: cr.forward([], X), f"forward needs loss=, one of {LOSSES}"),
        (lambda: cr.Network(), "Network needs layer_sizes"),
        (lambda: NET.fit(X), "Network.fit needs y"),
        (
            lambda: NET.fit(X, Y, validation_data=(X, Y)),
            "Network.fit has no argument 'validation_data', did you mean 'val",
        ),
        (lambda: NET.fit(X, Y, lr=0.1), "did you mean 'optimizer'?"),
        (lambda: NET.fit(X, Y, max_iter=5), "did you mean 'epochs'?"),
        (lambda: NET.fit(X, Y, cr.Adam()), "Network.fit takes 2 arguments by position, got 3; by name: optimizer=, "),
        (lambda: NET.fit(X, X=X), "Network.fit got X twice, by position and by name"),
        (lambda: NET.predict(X, workers=2), "Network.predict has no argument 'workers', did you mean 'n_threads'?"),
        (lambda: NET.loss(X, Y, alpha=0.1), "Network.loss has no argument 'alpha', did you mean 'l2'?"),
        (lambda: NET.save(file="x"), "Network.save has no argument 'file'; its arguments are path, metadata"),
        (lambda: cr.fit_many([NET], X, Y, n_jobs=2), "fit_many has no argument 'n_jobs', did you mean 'n_threads'?"),
        (
            lambda: cr.init_params([2, 1], initializer="x"),
            "init_params has no argument 'initializer', did you mean 'init'?",
        ),
        (lambda: cr.Adam(0.1), "Adam takes no arguments by position, got 1; by name: learning_rate=, beta1=, "),
        (lambda: cr.set_num_threads(), "set_num_threads needs n_threads"),
        (lambda: cr.CSVLog(filename="x"), "CSVLog has no argument 'filename'"),
    ],
)
def test_wrong_arguments_are_explained(call, message):
    with pytest.raises(TypeError, match="^" + re.escape(message) if message[0].isupper() else re.escape(message)):
        call()


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (
            lambda: cr.MLPClassifier(hidden=3),
            TypeError,
            "MLPClassifier has no argument 'hidden', did you mean 'hidden_l",
        ),
        (lambda: cr.MLPRegressor(optimizer="adam"), TypeError, "did you mean 'solver'?"),
        (lambda: cr.MLPClassifier(epochs=3), TypeError, "did you mean 'max_iter'?"),
        (lambda: cr.MLPClassifier(lr=0.1), TypeError, "did you mean 'learning_rate_init'?"),
        (
            lambda: cr.MLPClassifier().fit(X, Y, validation_data=(X, Y)),
            TypeError,
            "MLPClassifier.fit has no argument 'validation_data', did you mean 'eval_set'?",
        ),
        (
            lambda: cr.MLPRegressor().partial_fit(X, Y, weights=1),
            TypeError,
            "MLPRegressor.partial_fit has no argument 'weights', did you mean 'sample_weight'?",
        ),
        (lambda: cr.MLPClassifier().fit(X), TypeError, "MLPClassifier.fit needs y"),
        (lambda: cr.MLPClassifier().set_params(lr=0.1), ValueError, "]. Did you mean 'learning_rate_init'?"),
    ],
)
def test_wrong_arguments_of_estimators_are_explained(call, error, message):
    pytest.importorskip("sklearn")
    with pytest.raises(error, match=re.escape(message)):
        call()


def test_a_subclass_is_named_as_its_author_named_it():
    class MyNetwork(cr.Network):
        pass

    with pytest.raises(TypeError, match=r"^MyNetwork needs loss="):
        MyNetwork([2, 1])
    with pytest.raises(TypeError, match=r"^MyNetwork.fit has no argument 'epoch', did you mean 'epochs'"):
        MyNetwork([2, 1], loss="huber").fit(X, Y, epoch=3)


def test_a_type_error_from_within_a_call_stays_as_it_is():
    def callback(logs):
        raise TypeError("needs no explanation")

    with pytest.raises(TypeError, match=r"^needs no explanation$") as caught:
        NET.fit(X, Y, epochs=1, callbacks=[callback])
    assert caught.value.__cause__ is None


def test_signatures_stay_as_they_are():
    assert str(inspect.signature(cr.Huber)) == "(delta: float = 1.0) -> None"
    assert list(inspect.signature(cr.Network).parameters)[:2] == ["layer_sizes", "activation"]
    assert list(inspect.signature(cr.Network.predict).parameters) == ["self", "X", "n_threads"]


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
def test_held_out_data_have_one_form(given):
    value, error, message = SETS[given]
    form = r"\(X, y\).* \(X, y, sample_weight\).*, "
    with pytest.raises(error, match=f"^validation must be {form}{re.escape(message)}$"):
        cr.Network([2, 1], loss="squared_error", seed=0).fit(X, Y, validation=value)
    if isinstance(value, (tuple, dict)):
        with pytest.raises(error, match=f"^validation must be {form}{re.escape(message)}$"):
            cr.fit_many([cr.Network([2, 1], loss="squared_error", seed=0)], X, Y, validation=value)
    pytest.importorskip("sklearn")
    for estimator in (cr.MLPClassifier(), cr.MLPRegressor()):
        with pytest.raises(error, match=f"^eval_set must be {form}{re.escape(message)}$"):
            estimator.fit(X, Y, eval_set=value)


def test_a_list_of_one_data_set_is_that_data_set():
    """The form of XGBoost and LightGBM."""
    plain, listed = (
        cr.Network([2, 1], loss="squared_error", seed=0).fit(X, Y, epochs=3, validation=validation)
        for validation in ((X, Y), [(X, Y)])
    )
    assert np.array_equal(plain.validation, listed.validation)
    pytest.importorskip("sklearn")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # so few epochs
        plain, listed = (
            cr.MLPRegressor(random_state=0, max_iter=3).fit(X, Y, eval_set=eval_set) for eval_set in ((X, Y), [(X, Y)])
        )
    assert plain.validation_scores_ == listed.validation_scores_


@pytest.mark.parametrize(
    ("held_out", "message"),
    [
        ((X, Y, 0 * Y), "eval_set: Sample weights must contain at least one non-zero number."),
        ((X, Y, Y - 1), "eval_set: sample_weight[0] is -1, expected a number of 0 or more"),
        ((X, Y, Y[:3]), "eval_set: sample_weight.shape == (3,), expected (20,)!"),
        ((X[:, :1], Y), "eval_set: X has 1 features, but MLPClassifier is expecting 2 features"),
        ((X, Y[:3]), "eval_set: Found input variables with inconsistent numbers of samples: [20, 3]"),
        ((X * np.nan, Y), "eval_set: Input X contains NaN."),
        ((X, Y + 5), "eval_set: `y` has classes not in `self.classes_`."),
        ((X[0], Y), "eval_set: Expected 2D array, got 1D array instead."),
        (({"a": 1}, Y), "eval_set: X is a dict"),
    ],
)
def test_errors_of_held_out_data_name_eval_set(held_out, message):
    pytest.importorskip("sklearn")
    with pytest.raises((ValueError, TypeError), match="^" + re.escape(message)):
        cr.MLPClassifier().fit(X, Y, eval_set=held_out)


def test_errors_of_held_out_tables_name_eval_set():
    pd, _ = pytest.importorskip("pandas"), pytest.importorskip("narwhals")
    pytest.importorskip("sklearn")
    table = pd.DataFrame(X, columns=["a", "b"]).assign(c="text")
    estimator = cr.MLPClassifier(preprocess=True)
    with pytest.raises(ValueError, match=r"^eval_set: The feature names should match"):
        estimator.fit(table, Y, eval_set=(table.rename(columns={"a": "A"}), Y))
    with pytest.raises(ValueError, match=r"^eval_set: column 'a'"):
        estimator.fit(table, Y, eval_set=(table.assign(a="x"), Y))


@pytest.mark.parametrize(
    ("held_out", "message"),
    [
        ((X, Y, 0.0 * Y), "validation: sample_weight is 0 for every row"),
        ((X, Y, Y - 1.0), "validation: sample_weight[0] is -1, expected a number of 0 or more"),
        ((X[:, :1], Y), "validation: X has 1 columns, the network expects 2"),
        ((X[0], Y), "validation: X has shape (2,), expected two dimensions"),
        ((X[:0], Y[:0]), "validation: X has no rows"),
    ],
)
def test_errors_of_held_out_data_name_validation(held_out, message):
    network = cr.Network([2, 1], loss="squared_error", seed=0)
    with pytest.raises(ValueError, match="^" + re.escape(message)):
        network.fit(X, Y, validation=held_out)
    with pytest.raises(ValueError, match=re.escape(message)):
        cr.fit_many([network], X, Y, validation=held_out)


ONE_ROW = "a single row as [row]"


@pytest.mark.parametrize(
    ("value", "error", "message"),
    [
        (
            {"a": 1.0, "b": 2.0},
            TypeError,
            "X is a dict, expected two dimensions: (rows, columns); pandas.Data",
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
def test_estimators_name_what_is_not_rows_and_columns(value, error, message, preprocess):
    pytest.importorskip("sklearn")
    fitted = cr.MLPClassifier(5, max_iter=2, preprocess=preprocess, random_state=0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        fitted.fit(X, Y)
    for call in (fitted.predict, fitted.predict_proba, lambda X: fitted.fit(X, Y), lambda X: fitted.partial_fit(X, Y)):
        with pytest.raises(error, match=re.escape(message)):
            call(value)


@pytest.mark.parametrize("preprocess", ["auto", True])
def test_estimators_name_a_series(preprocess):
    pd, _ = pytest.importorskip("pandas"), pytest.importorskip("narwhals")
    pytest.importorskip("sklearn")
    with pytest.raises(ValueError, match=re.escape(ONE_ROW)):
        cr.MLPClassifier(preprocess=preprocess).fit(pd.Series(Y), Y)


def test_a_sparse_matrix_that_is_a_dict_is_taken():
    pytest.importorskip("sklearn")
    sparse = pytest.importorskip("scipy.sparse")
    estimator = cr.MLPRegressor(hidden_layer_sizes=(), solver="lbfgs").fit(sparse.dok_matrix(X), Y)
    assert estimator.predict(sparse.dok_matrix(X)).shape == (20,)


def test_a_network_names_what_is_not_rows_and_columns():
    for call in (NET.predict, NET.logits, lambda X: NET.fit(X, Y), lambda X: NET.loss(X, Y)):
        with pytest.raises(ValueError, match=r"shape \(2,\), expected two dimensions: .*; a single row is \[row\]"):
            call([1.0, 2.0])


def test_gaps_in_arrays_name_preprocess():
    pytest.importorskip("sklearn")
    for kind in (cr.MLPClassifier, cr.MLPRegressor):
        for gaps in (X * np.nan, [[1.0, None]] * 20):
            with pytest.raises(ValueError, match="fit with preprocess=True for tables with gaps or text"):
                kind().fit(gaps, Y)


def test_columns_of_tables_are_suggested():
    pd, _ = pytest.importorskip("pandas"), pytest.importorskip("narwhals")
    table = pd.DataFrame({"age": [20.0, 30.0, 40.0], "home": ["own", "rent", "own"]})
    with pytest.raises(ValueError, match="no column 'Home', which categorical_features names, did you mean 'home'"):
        TableEncoder(categorical_features=["Home"]).fit(table)
    encoder = TableEncoder().fit(table)
    with pytest.raises(ValueError, match=r"lacks a column that the encoder was fitted on: 'age'; it has 'Age'$"):
        encoder.transform(table.rename(columns={"age": "Age"}))
    with pytest.raises(ValueError, match=r"lacks a column that the encoder was fitted on: 'age'$"):
        encoder.transform(table[["home"]])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["train", "t.csv", "--target", "y", "--activation", "sigmoid"], ", did you mean 'logistic'?"),
        (["train", "t.csv", "--target", "y", "--loss", "mse"], ", did you mean 'squared_error'?"),
        (["train", "t.csv", "--target", "y", "--task", "Regresion"], ", did you mean 'regression'?"),
        (
            ["train", "t.csv", "--target", "y", "--batchsize", "5"],
            "arguments: --batchsize 5, did you mean '--batch-size'?",
        ),
        (["train", "t.csv", "--target", "y", "--max-iter=5"], "arguments: --max-iter=5, did you mean '--epochs'?"),
        (["predict", "m", "t.csv", "--n-jobs", "2"], "arguments: --n-jobs 2, did you mean '--threads'?"),
        (["trian", "t.csv"], ", did you mean 'train'?"),
        (["info", "m", "--foo"], "unrecognized arguments: --foo\n"),
    ],
)
def test_the_command_suggests_values_and_options(arguments, message, capsys):
    from chainrule.cli._parser import parse

    with pytest.raises(SystemExit):
        parse(arguments)
    assert message in capsys.readouterr().err
