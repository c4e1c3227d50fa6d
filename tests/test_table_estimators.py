"""`TableClassifier` and `TableRegressor`: any table, weights, targets and losses of every kind, files, callbacks."""

import dataclasses
import math
import pickle
import warnings

import numpy as np
import pandas as pd
import pytest

pytest.importorskip("sklearn")

from sklearn.base import clone
from sklearn.exceptions import ConvergenceWarning
from sklearn.model_selection import cross_val_score

import chainrule as cr
from chainrule import DivergenceError
from chainrule.estimators import _recipe
from chainrule.estimators._data import Data
from chainrule.estimators._recipe import FEW, RECIPES, WIDE, merge
from chainrule.estimators._stages import HeldOut, Stages, improves
from chainrule.training import Callbacks

RANDOM = np.random.default_rng(0)
N = 400
TABLE = pd.DataFrame(
    {
        "x": np.where(RANDOM.random(N) < 0.1, np.nan, RANDOM.normal(size=N)),
        "town": RANDOM.choice(["Ayr", "Ely", None], N),
        "kind": pd.Categorical(RANDOM.choice([3, 7], N)),
        "day": pd.Timestamp("2020-01-01") + pd.to_timedelta(RANDOM.integers(0, 900, N), unit="D"),
    }
)
VALUE = np.where(TABLE.x > 0, 3.0, TABLE.x.fillna(-2.0)) + 2 * (TABLE.town == "Ely") + RANDOM.normal(0, 0.1, N)
CLASS = np.where(TABLE.town == "Ely", "high", np.where(TABLE.x > 0, "middle", "low"))
SEEDED = {"random_state": 0}


@pytest.fixture(scope="module")
def clf():
    return cr.TableClassifier(**SEEDED).fit(TABLE[:300], CLASS[:300])


@pytest.fixture(scope="module")
def reg():
    return cr.TableRegressor(**SEEDED).fit(TABLE[:300], VALUE[:300])


def test_a_table_is_learned_without_settings(clf, reg):
    assert clf.score(TABLE[300:], CLASS[300:]) > 0.9
    assert reg.score(TABLE[300:], VALUE[300:]) > 0.95
    assert clf.classes_.tolist() == ["high", "low", "middle"]
    np.testing.assert_allclose(clf.predict_proba(TABLE).sum(axis=1), 1, atol=1e-6)
    assert list(clf.encoder_.feature_names_in_) == list(TABLE)
    assert reg.history_.validation[reg.history_.best_epoch - 1] == reg.history_.validation.min()
    recipe = RECIPES["fast", "values"]
    assert reg.n_iter_ == sum(recipe.stages(240, 1, True)[: reg.history_.best_epoch])
    assert reg.network_.layer_sizes == (reg.encoder_.n_features, *(recipe.networks * size for size in recipe.hidden), 1)


def test_predictions_stay_within_the_range_of_training_targets(reg):
    far = TABLE[:2].assign(x=[1e6, -1e6])
    predictions = reg.predict(far)
    assert (predictions >= reg.bounds_[0]).all()
    assert (predictions <= reg.bounds_[1]).all()
    assert set(reg.bounds_) < set(VALUE[:300])


def test_every_library_gives_the_same_network(reg):
    polars, arrow = pytest.importorskip("polars"), pytest.importorskip("pyarrow")
    plain = TABLE.drop(columns="kind")
    expected = cr.TableRegressor(**SEEDED).fit(plain, VALUE)
    for table in (polars.from_pandas(plain), arrow.Table.from_pandas(plain)):
        fitted = cr.TableRegressor(**SEEDED).fit(table, VALUE)
        assert fitted.predict(table).tobytes() == expected.predict(plain).tobytes()


def test_plain_arrays_may_have_missing_values_and_threads_change_nothing():
    random = np.random.default_rng(1)
    X = np.stack([TABLE.x, random.normal(size=N)], axis=1)
    one, two = (cr.TableRegressor(**SEEDED, n_threads=n).fit(X, VALUE) for n in (1, 2))
    assert np.isnan(X).any()
    assert one.predict(X).tobytes() == two.predict(X).tobytes()
    assert cr.TableRegressor(**SEEDED, categorical_features=[0]).fit(X.round(), VALUE).encoder_.n_features > 10


@pytest.mark.parametrize("kind", ["values", "classes"])
def test_a_row_of_weight_w_counts_as_w_rows(kind):
    """With the same validation rows, and all rows in each step, the sums differ only by rounding."""
    rows = np.arange(FEW // 2 - 4)
    weight = np.where(rows % 5 == 0, 0.0, 1.0 + rows % 2)
    estimator = cr.TableRegressor(**SEEDED) if kind == "values" else cr.TableClassifier(**SEEDED)
    y = VALUE if kind == "values" else CLASS
    weighted = clone(estimator).fit(TABLE.iloc[rows], y[rows], weight)
    again = np.repeat(rows, weight.astype(int))
    assert weight.sum() < FEW
    repeated = clone(estimator).fit(TABLE.iloc[again].reset_index(drop=True), y[again])
    predict = "predict" if kind == "values" else "predict_proba"
    a, b = getattr(weighted, predict)(TABLE), getattr(repeated, predict)(TABLE)
    # Summing 64 float64 terms in a different order changes a step by at most 64 eps (relative); each later step
    # amplifies the difference by less than 1 + its learning rate.
    recipe = RECIPES["fast", kind]
    steps = sum(recipe.stages(len(again), 3, False))
    tolerance = 64 * np.finfo(float).eps * steps * np.exp(steps * recipe.learning_rate)
    np.testing.assert_allclose(a, b, rtol=0, atol=tolerance * np.abs(b).max())


@pytest.mark.filterwarnings("ignore:The network predicts")
def test_weights_have_the_effect_of_more_rows():
    X = np.zeros((N, 2))
    X[:, 0] = np.arange(N) % 2
    y = np.arange(N) % 4 > 1  # both classes are equally frequent for each x
    weight = np.where(y, 3.0, 1.0)
    clf = cr.TableClassifier(**SEEDED).fit(X, y, weight)
    np.testing.assert_allclose(clf.predict_proba(X)[:, 1], 0.75, atol=0.05)


def test_class_weights_favor_a_rare_class():
    random = np.random.default_rng(1)
    y = CLASS == "high"
    noise = pd.DataFrame({"x": VALUE + random.normal(0, 1.5, N)})
    plain, balanced = (cr.TableClassifier(class_weight=weight, **SEEDED).fit(noise, y) for weight in (None, "balanced"))
    assert balanced.predict(noise).sum() > plain.predict(noise).sum()


def test_several_targets_and_several_labels():
    targets = np.stack([VALUE, 1000 - 10 * VALUE], axis=1)
    reg = cr.TableRegressor(**SEEDED).fit(TABLE, targets)
    assert reg.predict(TABLE).shape == (N, 2)
    assert reg.bounds_.shape == (2, 2)
    assert reg.score(TABLE, targets) > 0.95
    labels = np.stack([CLASS == "high", TABLE.kind == 3], axis=1).astype(int)
    clf = cr.TableClassifier(**SEEDED).fit(TABLE, labels)
    assert clf.score(TABLE, labels) > 0.9
    assert clf.predict_proba(TABLE).shape == (N, 2)


def squared(logits, y, weight):
    difference = logits - y.reshape(logits.shape)
    weight = np.ones((len(y), 1)) if weight is None else weight.reshape(-1, 1)
    return float((weight * difference**2).sum() / 2 / weight.sum()), weight * difference / weight.sum()


@pytest.mark.parametrize("loss", ["absolute_error", "poisson", cr.Huber(delta=0.5), cr.Quantile([0.1, 0.9]), squared])
def test_losses_of_values(loss):
    y = VALUE - VALUE.min()
    reg = cr.TableRegressor(loss=loss, **SEEDED).fit(TABLE, y)
    predictions = reg.predict(TABLE)
    if isinstance(loss, cr.Quantile):
        inside = (predictions[:, 0] <= y) & (y <= predictions[:, 1])
        assert 0.5 < inside.mean() < 0.97
    else:
        assert reg.score(TABLE, y) > 0.9
    assert hasattr(reg, "bounds_") == (loss is not squared)


def test_losses_of_classes():
    smooth = cr.TableClassifier(loss=cr.SoftmaxCrossEntropy(label_smoothing=0.2), **SEEDED).fit(TABLE, CLASS)
    assert smooth.score(TABLE, CLASS) > 0.9

    def logistic(logits, y, weight):
        difference = 1 / (1 + np.exp(-logits)) - y
        cost = np.logaddexp(0, logits) - y * logits
        return float(cost.mean()), difference / len(y)

    own = cr.TableClassifier(loss=logistic, **SEEDED).fit(TABLE, CLASS == "high")
    assert own.score(TABLE, CLASS == "high") > 0.9
    with pytest.raises(ValueError, match="must be 'log_loss', a callable or"):
        cr.TableClassifier(loss="squared_error").fit(TABLE, CLASS)


def test_probabilities_fit_the_held_out_rows(clf):
    """The logits are multiplied by the factor with the lowest log loss."""
    random = np.random.default_rng(1)
    rows = pd.DataFrame({"x": random.normal(size=N)})
    y = (rows.x + random.logistic(size=N) > 0).to_numpy()
    held_out = rows[300:].reset_index(drop=True)
    fitted = cr.TableClassifier(**SEEDED).fit(rows[:300], y[:300], X_val=held_out, y_val=y[300:])
    logits = fitted.network_.logits(fitted.encoder_.transform(held_out)).astype(float)

    def cost(factor):
        z = logits * factor
        return np.mean(np.logaddexp(z[:, 0], z[:, 1]) - z[np.arange(len(z)), y[300:].astype(int)])

    assert cost(1.0) <= min(cost(0.95), cost(1.05)) + 1e-9


def test_validation_data_replace_the_held_out_rows():
    parts = (TABLE[:300], VALUE[:300]), (TABLE[300:], VALUE[300:])
    reg = cr.TableRegressor(**SEEDED).fit(*parts[0], X_val=parts[1][0], y_val=parts[1][1])
    assert reg.bounds_.tolist() == [min(VALUE[:300]), max(VALUE[:300])]
    features, y = reg.encoder_.transform(TABLE[300:]), reg.standardizer_.apply(VALUE[300:])
    np.testing.assert_allclose(reg.history_.validation.min(), reg.network_.loss(features, y), rtol=1e-5)
    with pytest.raises(ValueError, match=r"^validation data: The feature names"):
        cr.TableRegressor(**SEEDED).fit(*parts[0], X_val=TABLE[["x"]], y_val=VALUE)


@pytest.mark.parametrize("through", ["pickle", "file"])
def test_copies_predict_the_same(clf, reg, through, tmp_path):
    for estimator in (clf, reg):
        if through == "pickle":
            copy = pickle.loads(pickle.dumps(estimator))
        else:
            estimator.save(tmp_path / "model", {"by": "Ada"})
            copy = cr.load(tmp_path / "model")
        assert type(copy) is type(estimator)
        assert copy.get_params() == estimator.get_params()
        assert copy.predict(TABLE).tobytes() == estimator.predict(TABLE).tobytes()
        assert copy.history_.validation.tolist() == estimator.history_.validation.tolist()
        assert copy.n_iter_ == estimator.n_iter_
    assert copy.bounds_.tolist() == reg.bounds_.tolist()


def test_files_with_wrong_bounds_raise():
    from chainrule.target import Target

    state = Target("", bounds=np.array([0.0, 1.0])).to_dict()
    assert Target.from_dict(state).bounds.tolist() == [0, 1]
    for bounds in ([1.0, 0.0], [0.0], [0.0, np.nan], [[[0.0]], [[1.0]]], 3.0, None, ["a", "b"]):
        with pytest.raises((ValueError, TypeError)):
            Target.from_dict(state | {"bounds": bounds})


def test_callbacks_and_verbose_report_each_stage(capsys):
    seen = []
    reg = cr.TableRegressor(**SEEDED, callbacks=[lambda logs: seen.append(dict(logs))], verbose=True)
    reg.fit(TABLE, VALUE)
    recipe = RECIPES["fast", "values"]
    assert [logs["epoch"] for logs in seen] == np.cumsum(recipe.stages(320, 1, True))[: len(seen)].tolist()
    assert [logs["validation"] for logs in seen] == reg.history_.validation.tolist()
    assert capsys.readouterr().out.count("Validation loss") == len(seen) == reg.history_.epochs
    stopped = cr.TableRegressor(**SEEDED, callbacks=[lambda logs: logs["epoch"] > 4]).fit(TABLE, VALUE)
    assert stopped.history_.stop_reason == "callback"
    assert stopped.history_.epochs == 2
    with pytest.raises(ValueError, match="cannot resume"):
        cr.TableRegressor(callbacks=[cr.Checkpoint("folder")]).fit(TABLE, VALUE)


def test_stages_grow_within_a_limit_that_depends_on_rows_and_outputs():
    recipe = RECIPES["fast", "classes"]
    assert np.cumsum(recipe.stages(400, 2, True)).tolist() == [4, 6, 9, 14, 21, 32, 48, 72, 100]
    assert np.cumsum(recipe.stages(10_000, 2, True)).tolist() == [4, 6, 9, 14, 21, 30]
    assert np.cumsum(recipe.stages(10_000, 3, True)).tolist() == [4, 6, 9, 14, 21, 32, 45]
    assert np.cumsum(recipe.stages(90_000, 2, True)).tolist() == [4, 6, 10]  # 1 of 10 is left after 9
    assert recipe.stages(10**8, 2, True) == [4]
    assert recipe.stages(60, 2, False) == [100]


@pytest.mark.parametrize("key", RECIPES, ids="-".join)
def test_weights_decay_equally_per_epoch_in_large_tables(key):
    recipe = RECIPES[key]
    per_epoch = []
    for n_rows in (30_000, 120_000):
        settings = recipe.fit_settings([5, *recipe.hidden, 1], n_rows)
        per_epoch.append(settings["optimizer"].weight_decay * math.ceil(n_rows / settings["batch_size"]))
    assert per_epoch == pytest.approx([recipe.weight_decay * recipe.steps] * 2)
    assert recipe.fit_settings([5, *recipe.hidden, 1], 200)["optimizer"].weight_decay == recipe.weight_decay


@pytest.mark.parametrize("key", RECIPES, ids="-".join)
def test_larger_tables_get_a_faster_first_layer_and_wider_layers_for_several_outputs(key):
    recipe = RECIPES[key]
    rates = [recipe.fit_settings([16, *recipe.hidden, 1], n)["groups"][1].learning_rate for n in (100, 4000, 10**6)]
    assert rates == pytest.approx([recipe.first_rate * factor / 4 for factor in (1, 2, 2)])
    assert recipe.layer_sizes(16, WIDE - 1, 3) == [16, *recipe.hidden, 3]
    assert recipe.layer_sizes(16, 10**6, 2) == [16, *recipe.hidden, 2]
    assert recipe.layer_sizes(16, WIDE, 3) == [16, *(2 * width for width in recipe.hidden), 3]
    assert [recipe.batch_size(10**6, n_outputs) for n_outputs in (1, 2, 3)] == [256, 256, 512]


def test_stages_continue_one_training():
    """The stages together give the same bits as one fit with the same schedule."""
    recipe = dataclasses.replace(RECIPES["fast", "values"], longest=10, networks=1, gain=-10.0)
    X, y = RANDOM.normal(size=(200, 3)).astype(np.float32), RANDOM.normal(size=200)
    network, whole = (recipe.make_network([3, 4, 1], "squared_error", "float32", 0) for _ in range(2))
    held_out = HeldOut(Data(X, y, None), None, [np.arange(200)], "squared_error")
    stages = Stages(recipe, [network], Data(X, y, None), [None], held_out, None, np.inf, 1, Callbacks([]))
    history = stages.run(7)
    schedule = {"learning_rate": cr.Cosine(epochs=10, warmup=1.0)}
    costs = whole.fit(X, y, epochs=10, schedules=schedule, seed=7, **recipe.fit_settings([3, 4, 1], 200)).loss
    assert history.loss.tolist() == costs[np.array([4, 6, 10]) - 1].tolist()
    assert (history.best_epoch, history.epochs, stages.epochs) == (3, 3, 10)
    assert network.parameters.tobytes() == whole.parameters.tobytes()


def test_training_continues_while_the_last_two_stages_improve():
    rows = np.arange(100.0)
    same = 1 + 0 * rows
    assert improves([same, 9 * same], 0.01)  # too few stages to compare
    assert improves([same, 0.98 * same, same], 0.01)
    assert improves([same, same, 0.98 * same], 0.01)
    assert not improves([same, 0.995 * same, 0.995 * same], 0.01)
    assert not improves([0.98 * same, same, 0.98 * same, 0.98 * same], 0.01)
    assert not improves([same, same * np.nan, same * np.nan], 0.01)
    assert improves([same * np.inf, same, same], 0.01)
    uneven = 1 + np.where(rows % 2, 1.0, -1.0)  # half a standard error of the difference is 0.05
    assert improves([same, uneven + 0.04, 9 * same], 0.0)
    assert not improves([same, uneven + 0.06, 9 * same], 0.0)
    assert not improves([same, uneven + 0.04, 9 * same], 0.02)


def test_held_out_losses_average_to_the_cost():
    logits, y, weight = RANDOM.normal(size=(50, 1)), RANDOM.normal(size=50), RANDOM.uniform(0, 2, 50)
    held_out = HeldOut(Data(None, y, weight), None, [], "squared_error")
    expected = np.average(0.5 * (logits[:, 0] - y) ** 2, weights=weight)
    np.testing.assert_allclose(held_out.losses(logits).mean(), expected)
    np.testing.assert_allclose(held_out.cost(logits), expected)
    assert HeldOut(Data(None, y * np.nan, None), None, [], "squared_error").cost(logits) == np.inf


def test_predictions_equal_those_on_explicit_features(clf, reg):
    """The network takes binned rows; the oracle takes the features that they stand for."""
    shares = clf.network_.predict(clf.encoder_.transform(TABLE))
    np.testing.assert_allclose(clf.predict_proba(TABLE), shares, rtol=1e-4, atol=1e-6)
    scaled = reg.network_.predict(reg.encoder_.transform(TABLE))[:, 0]
    expected = np.clip(reg.standardizer_.restore(scaled), *reg.bounds_)
    np.testing.assert_allclose(reg.predict(TABLE), expected, rtol=1e-4, atol=1e-5)


def test_a_time_limit_ends_the_training():
    reg = cr.TableRegressor(**SEEDED, time_limit=1e-3).fit(TABLE, VALUE)
    assert reg.history_.stop_reason == "seconds"
    assert reg.history_.epochs == 1


@pytest.mark.parametrize(("error", "reason"), [(KeyboardInterrupt, "interrupted"), (cr.DivergenceError, "diverged")])
@pytest.mark.parametrize(("owner", "where"), [(Stages, "_end_stage"), (HeldOut, "logits")])
def test_stage_that_ends_early_keeps_the_best_earlier_stage(error, reason, owner, where, monkeypatch):
    method, calls = getattr(owner, where), []

    def call_twice(self, *arguments):
        if len(calls) == 2:
            raise error
        calls.append(arguments)
        return method(self, *arguments)

    monkeypatch.setattr(owner, where, call_twice)
    with pytest.warns(ConvergenceWarning, match="The best earlier stage is kept"):
        reg = cr.TableRegressor(**SEEDED).fit(TABLE, VALUE)
    assert (reg.history_.stop_reason, reg.history_.epochs) == (reason, 2)
    assert reg.score(TABLE, VALUE) > 0.5
    with pytest.raises(KeyboardInterrupt if error is KeyboardInterrupt else ValueError):
        cr.TableRegressor(**SEEDED).fit(TABLE, VALUE)  # in its first stage


def test_an_interruption_in_a_callback_leaves_the_best_stage():
    def interrupt(logs):
        raise KeyboardInterrupt

    with pytest.warns(ConvergenceWarning, match="The best earlier stage is kept"):
        reg = cr.TableRegressor(callbacks=[interrupt], **SEEDED).fit(TABLE, VALUE)
    assert (reg.history_.stop_reason, reg.history_.epochs) == ("interrupted", 1)
    assert reg.score(TABLE, VALUE) > 0.3


@pytest.mark.parametrize(("effort", "fifths"), [("fast", 2), ("accurate", 5)])
def test_networks_hold_out_different_fifths(effort, fifths, monkeypatch):
    seen = []
    monkeypatch.setattr(Stages, "run", lambda self, seed: seen.append((self.rows, self.held_out.parts)) or 1 / 0)
    with pytest.raises(ZeroDivisionError):
        cr.TableRegressor(effort=effort, **SEEDED).fit(TABLE[:300], VALUE[:300])
    [(rows, parts)] = seen
    assert len(rows) == len(parts) == RECIPES[effort, "values"].networks
    held = [frozenset(range(300)) - frozenset(used.tolist()) for used in rows]
    assert {len(part) for part in held} == {60}
    assert len(frozenset().union(*held)) == 60 * fifths
    assert [len(part) for part in parts] == [60] * len(rows)


def test_accurate_holds_out_every_row_once():
    reg = cr.TableRegressor(effort="accurate", **SEEDED).fit(TABLE[:300], VALUE[:300])
    assert reg.score(TABLE[300:], VALUE[300:]) > 0.95
    recipe = RECIPES["accurate", "values"]
    assert reg.network_.layer_sizes[1] == recipe.networks * recipe.hidden[0]


def test_further_recipes_are_tried_with_enough_rows():
    for kind, n_outputs in (("classes", 3), ("values", 1)):
        recipe = RECIPES["accurate", kind]
        assert recipe.to_try(1999, n_outputs) == (recipe,) == recipe.to_try(20_000, n_outputs)
        assert recipe.to_try(2000, n_outputs) == (recipe, *recipe.others) == recipe.to_try(19_999, n_outputs)
        assert RECIPES["fast", kind].to_try(5000, n_outputs) == (RECIPES["fast", kind],)
    assert RECIPES["accurate", "classes"].to_try(5000, 2) == (RECIPES["accurate", "classes"],)


@pytest.fixture
def three_recipes(monkeypatch):
    """Recipes with few, enough and no epochs of training in place of those of effort "fast"."""
    monkeypatch.setattr(_recipe, "SOME", 100)
    base = dataclasses.replace(RECIPES["fast", "values"], networks=1, gain=-math.inf)
    good = dataclasses.replace(base, hidden=(9,), longest=30, bins=8, most_bins=8)
    bad = dataclasses.replace(base, hidden=(7,), longest=4, bins=4, most_bins=4, learning_rate=1e-6)
    recipe = dataclasses.replace(base, hidden=(5,), longest=4, others=(good, bad))
    monkeypatch.setitem(RECIPES, ("fast", "values"), recipe)
    return recipe


def test_the_recipe_with_the_lowest_cost_is_kept(three_recipes):
    epochs = []
    reg = cr.TableRegressor(**SEEDED, callbacks=[lambda logs: epochs.append(logs["epoch"])]).fit(TABLE, VALUE)
    history = reg.history_
    assert epochs == [4, 8, 10, 13, 18, 25, 34, 38]  # 4, then 4 ... 30, then 4
    assert len(history.loss) == len(history.learning_rate) == history.epochs == len(epochs)
    assert history.validation[history.best_epoch - 1] == history.validation.min()
    assert (history.best_epoch, reg.n_iter_, history.stop_reason) == (7, 30, "epochs")
    assert reg.network_.layer_sizes == (reg.encoder_.n_features, 9, 1)
    assert reg.encoder_.bins == 8
    assert reg.score(TABLE, VALUE) > 0.9


@pytest.mark.parametrize("reason", ["callback", "interrupted", "diverged"])
def test_the_best_network_is_kept_if_a_later_recipe_is_interrupted(three_recipes, monkeypatch, reason):
    calls = []

    def run(self, seed):
        calls.append(self)
        if len(calls) == 3:
            raise {"interrupted": KeyboardInterrupt, "diverged": DivergenceError}[reason]
        return stages_run(self, seed)

    stages_run = Stages.run
    monkeypatch.setattr(Stages, "run", run)
    callbacks = [lambda logs: logs["epoch"] > 33] if reason == "callback" else []
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        reg = cr.TableRegressor(**SEEDED, callbacks=callbacks).fit(TABLE, VALUE)
    assert len(calls) == (2 if reason == "callback" else 3)
    assert (reg.history_.stop_reason, reg.history_.epochs, reg.n_iter_) == (reason, 7, 30)
    assert reg.network_.layer_sizes[1] == 9


def test_no_further_recipe_begins_after_the_time_limit(three_recipes):
    reg = cr.TableRegressor(**SEEDED, time_limit=1e-9).fit(TABLE, VALUE)
    assert (reg.history_.stop_reason, reg.history_.epochs) == ("seconds", 1)


def test_warnings_about_columns_are_given_once(three_recipes):
    with pytest.warns(UserWarning, match="not seen") as seen:
        cr.TableRegressor(**SEEDED).fit(
            TABLE[:300], VALUE[:300], X_val=TABLE[300:].replace("Ely", "Rye"), y_val=VALUE[300:]
        )
    assert len(seen) == 1


def test_brier_scores_of_held_out_rows():
    logits, y, weight = RANDOM.normal(size=(50, 3)), RANDOM.integers(0, 3, 50), RANDOM.uniform(0, 2, 50)
    held_out = HeldOut(Data(None, y, weight), None, [], "softmax_cross_entropy", brier=True)
    shares = np.exp(logits * held_out.best_scale(logits))
    shares /= shares.sum(axis=1, keepdims=True)
    expected = np.average(np.sum((shares - np.eye(3)[y]) ** 2, axis=1), weights=weight)
    np.testing.assert_allclose(held_out.scores(logits).mean(), expected)
    losses = dataclasses.replace(held_out, brier=False)
    assert losses.scores(logits).tolist() == losses.losses(logits).tolist()


def test_accurate_classes_are_learned():
    clf = cr.TableClassifier(effort="accurate", **SEEDED).fit(TABLE[:300], CLASS[:300])
    assert clf.score(TABLE[300:], CLASS[300:]) > 0.9
    assert clf.history_.validation.max() < 2 / 3  # the Brier score of equal probabilities


def test_few_rows_and_a_single_class_are_learned():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        reg = cr.TableRegressor(**SEEDED).fit([[1.0], [2.0], [3.0]], [1.0, 2.0, 3.0])
        clf = cr.TableClassifier(**SEEDED).fit(TABLE, ["same"] * N)
    assert reg.history_.validation is None
    assert reg.network_.dtype == "float64"
    assert set(clf.predict(TABLE)) == {"same"}
    assert clf.predict_proba(TABLE).tolist() == [[1.0]] * N


def test_the_settings_of_an_encoder_are_used():
    table = pd.DataFrame({"day": ["01/02/2020", "03/04/2020", "05/06/2020"] * 30})
    y = [1.0, 2.0, 3.0] * 30
    with pytest.raises(ValueError, match="date_order="):
        cr.TableRegressor(**SEEDED).fit(table, y)
    reg = cr.TableRegressor(encoder=cr.TableEncoder(date_order="dmy"), **SEEDED).fit(table, y)
    assert reg.encoder_.n_features == 1
    with pytest.raises(ValueError, match="given twice"):
        cr.TableRegressor(encoder=cr.TableEncoder(), categorical_features=["day"]).fit(table, y)


def test_wrong_input_raises_and_changes_nothing(reg):
    before = reg.network_.parameters.copy()
    for X, y, message in [
        (TABLE, VALUE[:5], "inconsistent numbers"),
        (TABLE, np.full(N, np.nan), "NaN"),
        ({"x": [1.0]}, [1.0], "dict"),
        ([1.0, 2.0], [1.0, 2.0], "Expected 2D array"),
        (np.ones((N, 1)), VALUE, "no column to learn from"),
    ]:
        with pytest.raises((ValueError, TypeError), match=message):
            reg.fit(X, y)
    assert reg.network_.parameters.tobytes() == before.tobytes()
    with pytest.raises(ValueError, match="must be a str among"):
        cr.TableRegressor(effort="quick").fit(TABLE, VALUE)
    with pytest.raises(ValueError, match="Did you mean 'effort'"):
        cr.TableRegressor().set_params(efort="fast")
    with pytest.raises(ValueError, match="sparse"):
        reg.fit(pytest.importorskip("scipy.sparse").csr_matrix(np.eye(N)), VALUE)


def test_scikit_learn_tools_accept_table_estimators():
    scores = cross_val_score(cr.TableClassifier(**SEEDED), TABLE, CLASS, cv=3)
    assert scores.min() > 0.8


def test_merged_networks_average_logits():
    random = np.random.default_rng(1)
    nets = [
        RECIPES["fast", "values"].make_network([5, 64, 32, 3], "squared_error", "float64", seed) for seed in range(3)
    ]
    for i, net in enumerate(nets):
        net.weights[-1][...] = np.random.default_rng(i).normal(size=net.weights[-1].shape)
    X = random.normal(size=(20, 5))
    mean = np.mean([net.logits(X) for net in nets], axis=0)
    np.testing.assert_allclose(merge(nets, "squared_error", 2.0).logits(X), 2 * mean, rtol=1e-12, atol=1e-12)
