"""The command `train`: inferred settings, suspicious columns, scores, weights, losses, limits, a test table."""

import dataclasses
import inspect
import re
import shlex
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from processes import run as run_child
from sklearn import metrics
from tables import failure, make_table, run, train

import chainrule as cr
from chainrule.cli import _parser, _rows, _scores, _tables
from chainrule.cli._methods import TableRecipe
from chainrule.cli._model import TableModel
from chainrule.cli._tables import Reading

pytestmark = pytest.mark.usefixtures("elsewhere")


def noise(n=300, seed=0):
    rng = np.random.default_rng(seed)
    return pd.DataFrame({"a": rng.normal(size=n), "b": rng.choice(["u", "v"], n), "y": rng.choice(["yes", "no"], n)})


def run_train(capsys, table, *options, target="y"):
    """Train for an epoch; return what was printed on standard output and standard error."""
    table.to_csv("t.csv", index=False)
    assert run("train", "t.csv", "--target", target, "--epochs", 1, *options) == 0
    return capsys.readouterr()


# Suspected columns

SUSPECTS = {
    "Unnamed: 0": (lambda n, rng: np.arange(n), "numbers the rows from 0 to 299, as an index does"),
    "n": (lambda n, rng: np.arange(1, n + 1), "numbers the rows from 1 to 300, as an index does"),
    "shuffled": (lambda n, rng: rng.permutation(n), "numbers the rows from 0 to 299, as an index does"),
    "reversed": (lambda n, rng: np.arange(n)[::-1], "numbers the rows from 0 to 299, as an index does"),
    "rising": (lambda n, rng: np.cumsum(rng.integers(1, 10**6, n)), "a different whole number in each of 300 rows"),
    "crowded": (lambda n, rng: rng.permutation(4000)[:n] + 10**6, "a different whole number in each of 300 rows"),
    "customer_id": (lambda n, rng: rng.permutation(10**7)[:n], "a different whole number in each of 300 rows"),
    "PassengerId": (lambda n, rng: rng.permutation(10**7)[:n] * 1.0, "a different whole number in each of 300 rows"),
    "id": (lambda n, rng: np.r_[5, rng.permutation(10**7)[: n - 2], 5], "299 different whole numbers in 300 rows"),
    "name": (lambda n, rng: [f"name {max(i, 5)}" for i in range(n)], "has 295 different texts in 300 rows"),
}


@pytest.mark.parametrize("name", SUSPECTS)
def test_identifier_columns_are_reported(capsys, name):
    make, reason = SUSPECTS[name]
    table = noise().assign(**{name: make(300, np.random.default_rng(1))})
    error = run_train(capsys, table).err
    assert re.fullmatch(rf"chainrule: warning: column '{name}' .*{reason}.*: leave it out with --ignore .*\n", error)
    assert run_train(capsys, table, "--ignore", name).err == ""


def test_identifier_column_with_missing_values_is_reported(capsys):
    table = noise().assign(id=np.random.default_rng(1).permutation(10**7)[:300]).astype({"id": "Int64"})
    table.loc[::10, "id"] = None
    assert "column 'id' has a different whole number in each of 270 rows" in run_train(capsys, table).err


def test_a_name_with_spaces_is_quoted_for_the_shell(capsys):
    table = noise()
    table.insert(0, "", range(300))
    assert run_train(capsys, table).err.endswith("leave it out with --ignore 'Unnamed: 0'\n")


def test_unique_texts_in_small_tables_are_reported_as_identifiers(capsys):
    table = noise(60).assign(name=[f"name {i}" for i in range(60)])
    assert (
        "column 'name' has 60 different texts in 60 rows, as names and identifiers do" in run_train(capsys, table).err
    )


@pytest.mark.parametrize("values", [
    lambda rng: rng.integers(0, 10**4, 300),  # some occur twice
    lambda rng: rng.permutation(10**7)[:300],  # large counts, such as populations
    lambda rng: rng.normal(size=300).cumsum(),
    lambda rng: rng.choice(["a", "b", "c"], 300),
    lambda rng: pd.date_range("2000-01-01", periods=300).astype(str),
    lambda rng: rng.choice([f"street {i}" for i in range(200)], 300),
    lambda rng: np.repeat(np.arange(150), 2),
])  # fmt: skip
def test_other_columns_are_not_reported_as_identifiers(capsys, values):
    assert run_train(capsys, noise().assign(x=values(np.random.default_rng(0)))).err == ""


def test_sorted_years_and_a_single_column_are_not_reported_as_identifiers(capsys):
    assert run_train(capsys, noise(150).assign(year=np.arange(1870, 2020))).err == ""
    assert run_train(capsys, noise()[["y"]].assign(x=np.arange(300))).err == ""


def test_no_column_of_real_tables_is_reported_as_identifier(chainrule_data):
    found = {}
    for path in sorted(chainrule_data.glob("*/data.csv.gz")):
        table = _tables.read_table(str(path), Reading()).frame
        found[path.parent.name] = list(_rows.find_suspects(table, list(table.columns)))
    assert found
    assert {name: sentences for name, sentences in found.items() if sentences} == {}


# The task


@pytest.mark.parametrize(("values", "described", "reason"), [
    (np.arange(300) % 7 + 3, "y, 7 classes", "classes, because it holds 7 different whole numbers, at most 10; --task "
     "regression predicts a number"),
    (np.arange(300) % 11, "y, a number", "a number, because it holds 11 different whole numbers, more than 10; --task "
     "classification predicts classes"),
    (np.arange(300) % 4 / 2, "y, a number", "a number, because it holds fractions; --task classification predicts "
     "classes"),
    (np.arange(300) % 2 == 0, "y, 2 classes", "classes, because it holds booleans"),
    (["a", "b", "c"] * 100, "y, 3 classes", "classes, because it holds text"),
])  # fmt: skip
def test_the_task_is_explained(capsys, values, described, reason):
    out = run_train(capsys, noise().assign(y=values)).out
    assert re.search(rf"target    {described}.*\n {{10}}{re.escape(reason)}\n", out)


def test_chosen_task_is_not_explained(capsys):
    table = noise().assign(y=np.arange(300) % 7)
    assert "because" not in run_train(capsys, table, "--task", "regression").out
    assert "because" not in run_train(capsys, table, "--categorical", "y").out


def test_markers_in_a_text_target_are_not_classes(capsys):
    table = noise().assign(y=["yes", "no", "?", "NA", "n/a", "None"] * 50)
    out = run_train(capsys, table).out
    assert "target    y, 3 classes: None, no, yes" in out
    assert (
        "150 rows left out: no target or one that means missing ('?' 50, 'NA' 50, 'n/a' 50; --categorical y makes a "
        "class of each)" in out
    )
    assert "y, 6 classes: ?, NA, None, n/a, no, yes" in run_train(capsys, table, "--categorical", "y").out
    assert "y, 2 classes: -, x" in run_train(capsys, noise().assign(y=["x", "-"] * 150)).out


def test_markers_in_a_numeric_target_are_not_classes(capsys):
    out = run_train(capsys, noise().assign(y=["0", "1", "?"] * 100)).out
    assert "100 rows left out: no target" in out
    assert "y, 2 classes: 0, 1" in out


# Scores


def brier_score(truth, probabilities, weight=None):
    """Return scikit-learn's score; versions before 1.7 lack the multiclass score, which is computed here."""
    if probabilities.shape[1] == 2:
        return metrics.brier_score_loss(truth, probabilities[:, 1], sample_weight=weight)
    if "y_proba" in inspect.signature(metrics.brier_score_loss).parameters:
        return metrics.brier_score_loss(truth, probabilities, sample_weight=weight)
    of_truth = np.eye(probabilities.shape[1])[truth]
    return np.average(((probabilities - of_truth) ** 2).sum(axis=1), weights=weight)


def test_classification_scores_equal_scikit_learn():
    rng = np.random.default_rng(0)
    for classes in (2, 4):
        truth = rng.integers(0, classes, 200)
        probabilities = rng.dirichlet(np.ones(classes), 200).round(2).clip(1e-3)  # some are equal
        probabilities /= probabilities.sum(axis=1, keepdims=True)
        for weight in (None, rng.uniform(0, 2, 200)):
            found = _scores.score_classes(truth, probabilities, weight)
            label = probabilities.argmax(axis=1)
            for name, expected in {
                "accuracy": metrics.accuracy_score(truth, label, sample_weight=weight),
                "balanced accuracy": metrics.balanced_accuracy_score(truth, label, sample_weight=weight),
                "log loss": metrics.log_loss(truth, probabilities, sample_weight=weight),
                "Brier": brier_score(truth, probabilities, weight),
            }.items():
                assert found[name] == pytest.approx(expected, rel=1e-12), name
            score = probabilities[:, 1] if classes == 2 else probabilities
            if classes == 2 or weight is None:
                area = metrics.roc_auc_score(truth, score, sample_weight=weight, multi_class="ovr")
                assert found["AUC"] == pytest.approx(area, rel=1e-12)


def test_regression_scores_equal_scikit_learn():
    rng = np.random.default_rng(0)
    truth, predicted, weight = rng.normal(size=(3, 100))
    for weights in (None, np.abs(weight)):
        found = _scores.score_values(truth, predicted, weights)
        assert found["RMSE"] ** 2 == pytest.approx(metrics.mean_squared_error(truth, predicted, sample_weight=weights))
        assert found["MAE"] == pytest.approx(metrics.mean_absolute_error(truth, predicted, sample_weight=weights))
        assert found["R²"] == pytest.approx(metrics.r2_score(truth, predicted, sample_weight=weights))
    assert "R²" not in _scores.score_values(np.ones(3), predicted[:3])
    assert "AUC" not in _scores.score_classes(np.zeros(3, dtype=np.intp), np.full((3, 2), 0.5))


def test_several_scores_are_printed(houses, capsys):
    assert run("train", houses, "--target", "dear", "--epochs", 2) == 0
    number = r"\d\.\d{4}"
    pattern = rf"test +accuracy {number} \(always 'no': {number}\), balanced accuracy {number}, AUC {number}, log loss "
    assert re.search(pattern + rf"{number}, Brier {number}\n", capsys.readouterr().out)
    assert run("train", houses, "--target", "price", "--epochs", 2) == 0
    assert re.search(r"test +RMSE \S+ \(always the mean: \S+\), MAE \S+, R² -?\S+\n", capsys.readouterr().out)


@pytest.mark.parametrize("options", [[], ["--epochs", 3]])
@pytest.mark.parametrize(("target", "weight"), [("dear", None), ("district", None), ("district", "rooms")])
def test_reported_scores_equal_scikit_learn_on_the_test_rows(houses, capsys, target, weight, options):
    test = make_table(90, seed=4)
    test.to_csv("test.csv", index=False)
    weights = [] if weight is None else ["--weight", weight]
    assert run("train", houses, "--target", target, "--test", "test.csv", *weights, *options) == 0
    line = re.search(r"^test .*", capsys.readouterr().out, re.MULTILINE)[0]
    features = TableModel.load("houses.safetensors").read("test.csv")[0]
    probabilities = cr.load("houses.safetensors").predict_proba(features.drop(columns=[target, *weights[1:]]))
    truth, weight = np.unique(test[target], return_inverse=True)[1], None if weight is None else test[weight]
    log_loss, brier = map(float, re.search(r", log loss (\S+), Brier (\S+)$", line).groups())
    assert log_loss == pytest.approx(metrics.log_loss(truth, probabilities, sample_weight=weight), abs=6e-5)
    assert brier == pytest.approx(brier_score(truth, probabilities, weight), abs=6e-5)  # printed with four digits


def test_network_no_better_than_a_constant_is_reported(capsys):
    table = noise()
    assert (
        "the log loss is no better than that of a constant prediction (0.69"
        in run_train(capsys, table, "--seed", 2).out
    )
    table["y"] = np.random.default_rng(1).normal(size=300)
    options = ["--learning-rate", 3, "--activation", "identity"]
    assert "the RMSE is no better than that of a constant prediction (" in run_train(capsys, table, *options).out
    assert "constant" not in run_train(capsys, make_table(), target="district").out


@pytest.mark.parametrize("options", [[], ["--epochs", 20]])
@pytest.mark.parametrize("target", ["dear", "price", "district"])
def test_predict_scores_tables_with_the_target(houses, capsys, target, options):
    assert run("train", houses, "--target", target, *options, "--test", houses) == 0
    [line] = re.findall(r"^test +(.*)\n", capsys.readouterr().out, re.MULTILINE)
    expected = re.sub(r" \(always.*?\)", "", line)
    assert run("predict", "houses.safetensors", houses, "--output", "p.csv") == 0
    printed = capsys.readouterr()
    assert (printed.out, printed.err) == (f"score     300 rows: {expected}\n", "")
    assert run("predict", "houses.safetensors", houses) == 0
    assert capsys.readouterr().err == f"score     300 rows: {expected}\n"


def test_predict_scores_the_rows_whose_target_is_known(houses, capsys):
    train(houses, "--target", "dear", "--epochs", 5)
    table = make_table()
    for gap in (None, "?", "NA"):
        table.assign(dear=table.dear.where(table.index >= 100, gap)).to_csv("new.csv", index=False)
        assert run("predict", "houses.safetensors", "new.csv", "--output", "p.csv") == 0
        assert "score     200 rows: accuracy" in capsys.readouterr().out
        assert len(pd.read_csv("p.csv")) == 300
    table.assign(dear=table.dear.where(table.index >= 100, "maybe")).to_csv("new.csv", index=False)
    assert run("predict", "houses.safetensors", "new.csv", "--output", "p.csv") == 0
    printed = capsys.readouterr()
    assert "score     200 rows: accuracy" in printed.out
    assert printed.err == "chainrule: warning: 100 rows are not scored: the training table has no class 'maybe'\n"
    for gap in (None, "?"):
        table.assign(dear=gap).to_csv("new.csv", index=False)
        assert run("predict", "houses.safetensors", "new.csv", "--output", "p.csv") == 0
        assert capsys.readouterr() == ("", "")


def test_markers_that_are_classes_are_scored(capsys):
    table = make_table().assign(code=["007", "?", "1"] * 100)
    table.to_csv("t.csv", index=False)
    train("t.csv", "--target", "code", "--categorical", "code", "--epochs", 1)
    assert run("predict", "t.safetensors", "t.csv", "--output", "p.csv") == 0
    printed = capsys.readouterr()
    assert printed.out.startswith("score     300 rows: accuracy")
    assert printed.err == ""


def test_a_target_that_cannot_be_scored_does_not_stop_predictions(houses, capsys):
    train(houses, "--target", "price", "--epochs", 1)
    make_table().assign(price="cheap").to_csv("new.csv", index=False)
    assert run("predict", "houses.safetensors", "new.csv", "--output", "p.csv") == 0
    printed = capsys.readouterr()
    assert printed.out == ""
    assert (
        printed.err == "chainrule: warning: no scores: column 'price' holds 'cheap' in row 1, expected a number such "
        "as 1.5\n"
    )
    assert len(pd.read_csv("p.csv")) == 300


# Options


def test_test_table_is_scored_as_predict_scores_it(houses, capsys):
    make_table(80, seed=9).to_csv("test.csv", index=False, sep=";")
    assert run("train", houses, "--target", "dear", "--ignore", "price", "--test", "test.csv") == 0
    printed = capsys.readouterr().out
    assert "rows      300 training, 80 test from test.csv" in printed
    assert run("predict", "houses.safetensors", "test.csv", "--output", "p.csv") == 0
    accuracy = np.mean(pd.read_csv("p.csv").dear == make_table(80, seed=9).dear)
    assert f"accuracy {accuracy:.4f} " in printed
    assert run("train", houses, "--target", "dear", "--ignore", "price", "--test", "test.csv", "--epochs", 1) == 0
    assert "rows      270 training, 30 validation, 80 test from test.csv" in capsys.readouterr().out


def test_test_table_may_have_missing_values_and_unseen_classes(houses, capsys):
    table = make_table(80, seed=9)
    table["dear"] = [None] * 10 + ["maybe"] * 20 + ["yes"] * 50
    table.to_csv("test.csv", index=False)
    assert run("train", houses, "--target", "dear", "--epochs", 1, "--test", "test.csv") == 0
    printed = capsys.readouterr()
    assert "10 rows of test.csv left out: no target" in printed.out
    assert "50 test from test.csv" in printed.out
    assert printed.err == (
        "chainrule: warning: 20 rows of test.csv are left out of the scores: their class, such as 'maybe', is not in "
        "the training table\n"
    )


@pytest.mark.parametrize("gap", [None, "?", "maybe"])
def test_test_table_without_a_known_target_raises(houses, capsys, gap):
    make_table(80, seed=9).assign(dear=gap).to_csv("test.csv", index=False)
    run("train", houses, "--target", "dear", "--epochs", 1, "--test", "test.csv")
    assert capsys.readouterr().err.endswith("chainrule: test.csv has no row whose target is known\n")


def test_options_that_cannot_be_combined_are_an_error(houses, capsys):
    for options, message in [
        (["--target", "dear", "--test", houses, "--test-size", 0.1], "--test and --test-size cannot be combined"),
        (["--target", "dear", "--ignore", "dear"], "column 'dear' cannot be given to both --ignore and --target"),
        (["--target", "dear", "--weight", "dear"], "column 'dear' cannot be given to both --weight and --target"),
        (["--target", "dear", "--weight", "rooms", "--ignore", "rooms"], "--weight already excludes column 'rooms'"),
        (["--target", "dear", "--loss", "huber"], "--loss is for numbers: classes are trained with the cross-entropy"),
        (["--target", "price", "--class-weight", "balanced"], "--class-weight is for classes, the target 'price' is a"),
        (["--target", "dear", "--weight", "zip"], "column 'zip' holds '"),
    ]:  # fmt: skip
        assert message in failure(capsys, "train", houses, *options)
    assert not Path("houses.safetensors").exists()


@pytest.mark.parametrize("options", [[], ["--epochs", 5, "--l2", 0.1]])
def test_weights_are_not_a_feature_and_have_no_unit(houses, capsys, options):
    table = make_table()
    weight = np.random.default_rng(0).integers(0, 4, 300)
    contents, scores = [], []
    for unit in (1, 1024):
        table.assign(w=weight * unit).to_csv("t.csv", index=False)
        assert run("train", "t.csv", "--target", "dear", "--weight", "w", *options) == 0
        printed = capsys.readouterr().out
        assert "rows weighted by 'w'" in printed
        scores += re.findall("test .*", printed)
        assert all(column.name != "w" for column in TableModel.load("t.safetensors").features.columns)
        contents.append(Path("t.safetensors").read_bytes())
    assert contents[0] == contents[1]
    assert scores[0] == scores[1]
    train("t.csv", "--target", "dear", "--ignore", "w", *options)
    assert Path("t.safetensors").read_bytes() != contents[0]


@pytest.mark.parametrize(("count", "part"), [(0, "'w' are all 0"), (1, "rows to (train|validate|test) with are all 0")])
def test_all_zero_weights_raise(houses, capsys, count, part):
    make_table().assign(w=(np.arange(300) < count) * 1.0).to_csv("t.csv", index=False)
    assert re.search(part, failure(capsys, "train", "t.csv", "--target", "dear", "--weight", "w"))


def test_rows_of_weight_0_do_not_affect_the_model():
    table = make_table(600)
    wrong = np.arange(600) % 2 == 0
    flipped = table.dear.map({"yes": "no", "no": "yes"})
    table.assign(dear=table.dear.where(~wrong, flipped), w=np.where(wrong, 0, 1)).to_csv("t.csv", index=False)
    train("t.csv", "--target", "dear", "--ignore", "price", "--weight", "w")
    table.to_csv("new.csv", index=False)
    assert run("predict", "t.safetensors", "new.csv", "--output", "p.csv") == 0
    assert np.mean(pd.read_csv("p.csv").dear == table.dear) > 0.8


@pytest.mark.parametrize("method", [[], ["--hidden", "128,64"]])
def test_balanced_classes_raise_the_balanced_accuracy(capsys, method):
    rng = np.random.default_rng(0)
    rare = rng.random(2000) < 0.05
    table = pd.DataFrame({"x": rng.normal(size=2000) + 1.5 * rare, "z": rng.normal(size=2000)})
    table["y"] = np.where(rare, "rare", "usual")
    found = {}
    for options in ([], ["--class-weight", "balanced"]):
        table.to_csv("t.csv", index=False)
        assert run("train", "t.csv", "--target", "y", *method, *options) == 0
        printed = capsys.readouterr().out
        found[len(options)] = float(re.search(r"balanced accuracy (\S+),", printed)[1])
    assert "balanced classes" in printed
    assert found[2] > found[0] + 0.1


@pytest.mark.parametrize(("network", "options"), [
    ("-128-64-1, mish", []),
    ("-128-64-1, tanh", ["--hidden", "128,64"]),
])  # fmt: skip
@pytest.mark.parametrize("loss", ["squared_error", "absolute_error", "huber"])
def test_loss_option_trains_with_that_loss(houses, capsys, loss, network, options):
    assert run("train", houses, "--target", "price", "--ignore", "dear", "--loss", loss, *options) == 0
    printed = capsys.readouterr().out
    assert f"{network}, {loss}, " in printed
    error, trivial = map(float, re.search(r"RMSE (\S+) \(always the mean: (\S+)\)", printed).groups())
    assert error < trivial / 2
    assert run("predict", "houses.safetensors", houses, "--output", "p.csv") == 0
    assert run("info", "houses.safetensors") == 0


def test_time_limit_ends_the_training(houses, capsys):
    options = ["--epochs", 10**6, "--time-limit", 1e-9]  # one epoch takes longer on any machine
    assert run("train", houses, "--target", "price", *options) == 0
    printed = capsys.readouterr().out
    assert "at most 1000000 epochs or 1e-09 seconds" in printed
    assert "the time is up; the parameters are those of epoch 1, with the lowest validation cost" in printed
    assert "the validation cost was still falling: a larger --time-limit may help" in printed


def test_time_limit_ends_the_training_after_a_stage(houses, capsys):
    assert run("train", houses, "--target", "price", "--time-limit", 1e-9) == 0
    printed = capsys.readouterr().out
    assert "recipe for tables, effort fast, at most 1e-09 seconds" in printed
    assert "the time is too short for another one; the parameters are those of stage 1" in printed
    assert "the validation cost was still falling: a larger --time-limit may help" in printed


def test_late_best_epoch_suggests_more_epochs(houses, capsys):
    assert run("train", houses, "--target", "price", "--epochs", 20, "--learning-rate", 1e-4) == 0
    assert "the validation cost was still falling: a larger --epochs may help" in capsys.readouterr().out
    assert run("train", houses, "--target", "price", "--hidden", "128,64") == 0
    assert "may help" not in capsys.readouterr().out


@pytest.mark.parametrize(("reason", "effort", "best", "option"), [
    ("epochs", "fast", 3, "--effort accurate"),
    ("epochs", "accurate", 3, None),
    ("epochs", "fast", 2, None),
    ("seconds", "accurate", 3, "a larger --time-limit"),
    ("no_improvement", "fast", 3, None),
])  # fmt: skip
def test_advice_after_the_last_stage(reason, effort, best, option):
    X = np.arange(8.0).reshape(-1, 1)
    history = cr.Network([1, 1], loss="squared_error", seed=0).fit(X, X[:, 0], epochs=3, validation=(X, X[:, 0]))
    history = dataclasses.replace(history, stop_reason=reason, best_epoch=best)
    expected = "" if option is None else f"the validation cost was still falling: {option} may help"
    assert TableRecipe(effort=effort).advise(history) == expected
    assert TableRecipe(effort=effort).advise(dataclasses.replace(history, validation=None)) == ""


# The recipe for tables, or a plain network

OF_NETWORK = {
    "--hidden": "128,64", "--activation": "tanh", "--epochs": 200, "--batch-size": 16, "--learning-rate": 0.002,
    "--l2": 3e-5,
}  # fmt: skip


def test_each_network_option_alone_trains_a_plain_network_with_default_settings(houses, capsys):
    contents = set()
    for option, value in OF_NETWORK.items():
        train(houses, "--target", "dear", option, value)
        assert isinstance(cr.load("houses.safetensors"), cr.MLPClassifier)
        contents.add(Path("houses.safetensors").read_bytes())
        message = failure(capsys, "train", "nowhere.csv", "--target", "dear", "--effort", "fast", option, value)
        assert message == f"chainrule: --effort and {option} cannot be combined: {option} trains a plain network\n"
    assert len(contents) == 1
    [group] = [action for action in _parser._make_parser()._subparsers._group_actions[0].choices["train"]._action_groups
               if action.title == "a plain network"]  # fmt: skip
    assert [action.option_strings for action in group._group_actions] == [[option] for option in OF_NETWORK]


@pytest.mark.parametrize(("target", "options", "settings"), [
    ("dear", [], {}),
    ("dear", ["--class-weight", "balanced", "--seed", 3], {"class_weight": "balanced", "random_state": 3}),
    ("district", ["--effort", "accurate"], {"effort": "accurate"}),
    ("price", ["--loss", "huber", "--threads", 1], {"loss": "huber"}),
    ("price", ["--weight", "rooms"], {}),
])  # fmt: skip
def test_predictions_are_those_of_the_estimator_in_python(houses, target, options, settings):
    """The estimator reads the columns of text itself; the command says that they are levels."""
    make_table(50, seed=5).to_csv("test.csv", index=False)
    train(houses, "--target", target, "--test", "test.csv", *options)
    probabilities = [] if target == "price" else ["--probabilities"]
    assert run("predict", "houses.safetensors", "test.csv", "--output", "p.parquet", *probabilities) == 0
    dates = {"parse_dates": ["built"], "keep_default_na": False, "na_values": {"size": ["?"], "heating": [""]}}
    table, new = (pd.read_csv(name, **dates) for name in (houses, "test.csv"))
    weight = None
    if "--weight" in options:
        weight = table["rooms"] / table["rooms"].mean()
        table, new = table.drop(columns="rooms"), new.drop(columns="rooms")
    kind = cr.TableRegressor if target == "price" else cr.TableClassifier
    estimator = kind(**{"random_state": 0, **settings}).fit(table.drop(columns=target), table[target], weight)
    assert type(cr.load("houses.safetensors")) is kind
    written = pd.read_parquet("p.parquet")
    features = new.drop(columns=target)
    assert written[target].tolist() == estimator.predict(features).tolist()
    if probabilities:
        assert written.iloc[:, 1:].to_numpy().tobytes() == estimator.predict_proba(features).tobytes()


@pytest.mark.parametrize("options", [[], ["--epochs", 5]])
def test_the_whole_column_determines_its_kind(options):
    """In the training rows, the column holds only numbers."""
    y = np.arange(50) % 7 / 7
    test = _rows.split_rows(y, False, 0.2, 0)[2]
    sizes = np.array([f"{i}.5" for i in range(50)], dtype=object)
    sizes[test] = [f"{name}, unknown" for name in "abcdefghij"]
    pd.DataFrame({"size": sizes, "x": y * 2, "y": y}).to_csv("t.csv", index=False)
    train("t.csv", "--target", "y", *options)
    assert TableModel.load("t.safetensors").features.columns[0].kind != "number"


# Copied columns


def test_keep_option_copies_columns_unchanged(houses, capsys):
    table = make_table(20, seed=3).assign(number=[f"{i:03}" for i in range(20)])
    table.to_csv("new.csv", index=False)
    train(houses, "--target", "price", "--ignore", "dear", "--epochs", 2)
    options = ["--keep", "number", "--keep", "id", "--keep", "price", "--output", "p.csv"]
    assert run("predict", "houses.safetensors", "new.csv", *options) == 0
    kept = pd.read_csv("p.csv", dtype=str)
    assert list(kept) == ["number", "id", "price", "predicted price"]
    written = pd.read_csv("new.csv", dtype=str)
    for name in ("number", "id", "price"):
        assert kept[name].tolist() == written[name].tolist()
    message = failure(capsys, "predict", "houses.safetensors", "new.csv", "--keep", "numbr")
    assert "new.csv has no column 'numbr', did you mean 'number'?" in message


def test_copied_columns_may_be_features_too(houses):
    table = make_table(20, seed=3).drop(columns="dear")
    table.to_csv("new.csv", index=False)
    train(houses, "--target", "dear", "--epochs", 2)
    assert run("predict", "houses.safetensors", "new.csv", "--output", "p.csv") == 0
    names = ["size", "rooms", "zip", "garden", "built"]
    options = [word for name in names for word in ("--keep", name)]
    assert run("predict", "houses.safetensors", "new.csv", *options, "--output", "q.csv") == 0
    kept = pd.read_csv("q.csv", dtype=str)
    assert kept["dear"].tolist() == pd.read_csv("p.csv").dear.tolist()
    pd.testing.assert_frame_equal(kept[names], pd.read_csv("new.csv", dtype=str)[names])
    assert "?" in kept["size"].tolist()


def test_copied_columns_keep_their_types_in_parquet(houses):
    train(houses, "--target", "dear", "--epochs", 1)
    make_table(20).drop(columns="size").assign(number=range(20), size=1.0).to_parquet("new.parquet")
    assert run("predict", "houses.safetensors", "new.parquet", "--keep", "number", "--output", "p.parquet") == 0
    assert pd.read_parquet("p.parquet").number.tolist() == list(range(20))


# Models of older versions


def test_models_of_older_versions_are_read(capsys):
    data = Path(__file__).parent / "data"
    assert run("info", data / "golden_table.safetensors") == 0
    assert "target" in capsys.readouterr().out
    assert run("predict", data / "golden_table.safetensors", data / "golden_table.csv", "--output", "p.csv") == 0
    assert len(pd.read_csv("p.csv")) == len(pd.read_csv(data / "golden_table.csv"))
    assert isinstance(cr.load(data / "golden_table.safetensors"), cr.MLPClassifier)


# Models in Python


@pytest.mark.parametrize(("target", "labels"), [
    (lambda t: t.dear, ["no", "yes"]),
    (lambda t: t.dear == "yes", [False, True]),
    (lambda t: (t.dear == "yes") * 2 + 3, [3, 5]),
    (lambda t: ((t.dear == "yes") * 2.0).where(t.index > 5), [0, 2]),
    (lambda t: t.rooms * 11, [11, 22, 33, 44, 55]),
    (lambda t: t.price, None),
])  # fmt: skip
def test_a_model_in_python_predicts_labels_and_values(target, labels):
    table = make_table().assign(y=target).drop(columns=["dear", "district", "price", "id"])
    table.to_csv("t.csv", index=False)
    train("t.csv", "--target", "y", "--epochs", 20)
    estimator = cr.load("t.safetensors")
    read = TableModel.load("t.safetensors").read("t.csv")[0].drop(columns="y")
    predicted = estimator.predict(read)
    if labels is not None:
        assert estimator.classes_.tolist() == labels
        assert [type(label) for label in estimator.classes_.tolist()] == [type(label) for label in labels]
    assert run("predict", "t.safetensors", "t.csv", "--output", "p.csv") == 0
    written = pd.read_csv("p.csv").y
    assert written.tolist() == predicted.tolist()
    assert estimator.score(read[10:], table.y[10:].to_numpy()) > 0.5


def test_the_command_predicts_with_an_estimator_that_python_saved(capsys):
    table = make_table().drop(columns=["dear", "district", "id", "size"])
    estimator = cr.MLPRegressor(max_iter=5, random_state=0, preprocess=True, early_stopping=True)
    with pytest.warns(match="Maximum iterations"):
        estimator.fit(table.drop(columns="price"), table.price)
    estimator.save("m.safetensors")
    table.to_csv("new.csv", index=False)
    assert run("predict", "m.safetensors", "new.csv", "--output", "p.csv") == 0
    predicted = estimator.predict(table.drop(columns="price"))
    [name] = pd.read_csv("p.csv").columns
    assert pd.read_csv("p.csv")[name].tolist() == predicted.tolist()


def test_predict_and_info_do_not_import_scikit_learn(houses):
    train(houses, "--target", "dear", "--epochs", 1)
    for command in (["predict", "houses.safetensors", houses], ["info", "houses.safetensors"]):
        run_child("without.command_without_scikit_learn", *command)


def test_commands_of_the_guide_can_be_parsed():
    guide = Path(__file__).parent.parent
    lines = [
        line.partition(" #")[0].partition(" |")[0].partition(" && ")[0]
        for page in ("python/docs/command.md", "python/docs/tables.md", "README.md")
        for block in re.findall(r"```sh\n(.*?)```", (guide / page).read_text(), re.DOTALL)
        for line in block.splitlines()
        if line.startswith("chainrule ")
    ]
    assert len(lines) >= 8
    for line in lines:
        assert _parser.parse(shlex.split(line)[1:])["command"]
