"""The command line: mistakes end with one line and an exit code; the rules for splits, batches and missing values."""

import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from processes import run as run_child
from tables import failure, make_table, run, train

import chainrule as cr
from chainrule import many
from chainrule.cli import _methods, _rows, _tables, main
from chainrule.cli._model import TableModel
from chainrule.cli._tables import Reading
from chainrule.estimators import _stages

pytestmark = pytest.mark.usefixtures("elsewhere")


def test_errors_are_one_line(houses, capsys):
    train(houses, "--target", "price", "--epochs", 1)
    cr.Network([2, 1], loss="squared_error", seed=0).save("plain.safetensors")
    bad = make_table(20)
    bad.assign(rooms="many").to_csv("bad.csv", index=False)
    bad.drop(columns=["zip", "rooms"]).to_csv("few.csv", index=False)
    bad.head(5).to_csv("short.csv", index=False)
    with open("wide.csv", "w") as file:
        file.write("a,b\n1,2,3\n4,5,6\n")
    for name, content in {"empty.csv": b"", "latin.csv": b"a,b\n\xe9,1\n", "not.csv.gz": b"a,b\n"}.items():
        with open(name, "wb") as file:
            file.write(content)
    with open("cut.csv.gz", "wb") as file:
        file.write(b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\x03K")
    for arguments, message in [
        (["train", "nowhere.csv", "--target", "x"], "nowhere.csv: No such file"),
        (["train", "nowhere.parquet", "--target", "x"], "nowhere.parquet: No such file"),
        (["train", "houses.xlsx", "--target", "x"], "houses.xlsx: its name should end in .csv"),
        (["train", houses, "--target", "cost"], "no column 'cost'; it has size, rooms"),
        (["train", houses, "--target", "price", "--ignore", "cost"], "no column 'cost'"),
        (["train", houses, "--target", "dear", "--task", "regression"], "column 'dear' holds"),
        (["train", houses, "--target", "price", "--output", "no/m"], "no such folder"),
        (["train", houses, "--target", "price", "--output", "."], "is a folder"),
        (["train", houses, "--target", "id"], "300 different classes in 300 rows"),
        (["train", "short.csv", "--target", "price"], "5 rows with a target, at least 10"),
        (["train", "empty.csv", "--target", "price"], "cannot read empty.csv"),
        (
            ["train", "latin.csv", "--target", "a", "--encoding", "utf-8"],
            "latin.csv: it is not text in utf-8",
        ),
        (["train", "wide.csv", "--target", "a"], "wide.csv: .* more fields than its header"),
        (["train", "not.csv.gz", "--target", "a"], "cannot read not.csv.gz: .*gzip"),
        (["train", "cut.csv.gz", "--target", "a"], "cannot read cut.csv.gz"),
        (["predict", "houses.safetensors", "bad.csv"], "column 'rooms' holds 'many' in row 1, expected a number"),
        (["predict", "houses.safetensors", "few.csv"], "lacks 2 columns .*'rooms', 'zip'"),
        (["predict", "plain.safetensors", houses], "without the encoding of a table"),
        (["predict", houses, houses], "houses.csv is not a chainrule model: it is text: `chainrule train`"),
        (["predict", "houses.safetensors", houses, "--output", "no/p.csv"], "/no: no such folder"),
        (["info", "nowhere"], "nowhere: No such file"),
    ]:
        assert re.search(message, failure(capsys, *arguments)), arguments


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["fly"],
        ["train", "houses.csv"],
        ["train", "houses.csv", "--target", "x", "--hidden", "12,a"],
        ["train", "houses.csv", "--target", "x", "--hidden", "0"],
        ["train", "houses.csv", "--target", "x", "--epochs", "0"],
        ["train", "houses.csv", "--target", "x", "--learning-rate", "-1"],
        ["train", "houses.csv", "--target", "x", "--learning-rate", "nan"],
        ["train", "houses.csv", "--target", "x", "--test-size", "1"],
        ["train", "houses.csv", "--target", "x", "--activation", "wave"],
        ["demo", "iris"],
    ],
)
def test_wrong_usage_exits_with_status_2_and_the_usage(arguments, capsys):
    with pytest.raises(SystemExit) as stopped:
        main(arguments)
    assert stopped.value.code == 2
    assert "usage: chainrule" in capsys.readouterr().err


def test_missing_packages_name_the_extra(houses, capsys, monkeypatch):
    monkeypatch.setitem(sys.modules, "pandas", None)
    assert "chainrule[cli]" in failure(capsys, "train", houses, "--target", "dear")


def test_help_and_import_need_only_numpy():
    assert "--target COLUMN" in run_child("without.help_of_the_command")


def test_module_runs_and_survives_a_closed_pipe(houses):
    train(houses, "--target", "dear", "--epochs", 1)
    make_table(20).drop(columns="dear").to_csv("new.csv", index=False)
    command = f"{sys.executable} -m chainrule predict houses.safetensors new.csv"
    done = subprocess.run(f"{command} | head -n 1", shell=True, capture_output=True, text=True)
    assert (done.stdout, done.stderr) == ("dear\n", "")


@pytest.mark.parametrize("n", [10, 57, 1000])
@pytest.mark.parametrize("fraction", [0.001, 0.1, 0.2, 0.9])
def test_split_is_stratified_and_repeatable(n, fraction):
    rng = np.random.default_rng(n)
    classes = np.minimum(rng.geometric(0.4, n) - 1, 5)
    first, second = _rows.split(classes, fraction, rng)
    assert sorted([*first, *second]) == list(range(n))
    assert first.size
    assert second.size
    assert set(classes[first]) == set(classes)
    for label, count in enumerate(np.bincount(classes)):
        assert abs((classes[second] == label).sum() - fraction * count) <= 2
    again = _rows.split(np.zeros(n, dtype=np.intp), fraction, np.random.default_rng(0))
    assert all(map(np.array_equal, again, _rows.split(np.zeros(n, dtype=np.intp), fraction, np.random.default_rng(0))))


def test_few_rows_use_small_batches_and_more_patience():
    for rows, batch_size, patience in ((50, 16, 500), (222, 16, 142), (5000, 100, 40), (35_000, 256, 20)):
        assert _methods.choose_batch_size(rows) == batch_size
        assert _methods.choose_patience(rows, batch_size) == patience


def test_markers_count_as_missing_in_number_columns_but_as_levels_in_word_columns():
    with open("t.csv", "w") as file:
        file.write("numbers,words,truth,markers,text\n1,None,TRUE,?,x\n?,NA,false,NA,1\nNA ,,,null,2\n-2.5,a,True,?,\n")
    table = _tables.read_table("t.csv", Reading()).frame
    np.testing.assert_array_equal(table.numbers, [1, np.nan, np.nan, -2.5])
    assert table.words.fillna("(missing)").tolist() == ["None", "NA", "(missing)", "a"]
    assert table.truth.fillna("(missing)").tolist() == [True, False, "(missing)", True]
    assert table.markers.tolist() == ["?", "NA", "null", "?"]
    assert table.text.fillna("(missing)").tolist() == ["x", "1", "2", "(missing)"]


# Tables that would be read as something else


def write(name, *lines):
    Path(name).write_text("".join(f"{line}\n" for line in lines))
    return name


def test_a_trailing_comma_shifts_no_column():
    table = _tables.read_table(write("t.csv", "id,x,y,z", *(f"{i},{i + 1},2,3," for i in range(4))), Reading()).frame
    assert table.iloc[1].to_dict() == {"id": 1, "x": 2, "y": 2, "z": 3}
    with pytest.raises(ValueError, match="more fields than its header"):
        _tables.read_table(write("t.csv", "id,x,y,z", *(f"{i},1,2,3,4" for i in range(4))), Reading())


def test_dates_with_missing_markers_are_dates(capsys):
    make_table().assign(built=lambda t: t.built.where(t.index % 5 != 0, "NA")).to_csv("t.csv", index=False)
    train("t.csv", "--target", "dear", "--epochs", 1)
    assert {c.name: c.kind for c in TableModel.load("t.safetensors").features.columns}["built"] == "date"
    assert run("predict", "t.safetensors", "t.csv") == 0


def test_bad_cell_among_numbers_raises(capsys):
    for column, target in (("size", "dear"), ("price", "price")):
        make_table().assign(**{column: [*range(6), "1 or 5", *range(293)]}).to_csv("t.csv", index=False)
        message = failure(capsys, "train", "t.csv", "--target", target)
        assert f"column '{column}' holds numbers, such as " in message
        assert "the first '1 or 5' in row 7: add --missing '1 or 5'" in message
        assert f"--categorical {column}" in message
        assert run("train", "t.csv", "--target", target, "--missing", "1 or 5", "--epochs", 1) == 0
        assert run("train", "t.csv", "--target", "dear", "--ignore", column, "--epochs", 1) == 0


def test_target_with_numeric_names_is_read_as_classes(capsys):
    make_table().assign(code=["1", "02"] * 147 + ["x"] * 6).to_csv("t.csv", index=False)
    assert run("train", "t.csv", "--target", "code", "--categorical", "code", "--epochs", 1) == 0
    assert "code, 3 classes: 02, 1, x" in capsys.readouterr().out


@pytest.mark.parametrize("seed", range(3))
def test_rows_are_those_of_the_file(capsys, seed):
    table = make_table()
    table.assign(price=table.price.where(table.index != 5, np.inf)).to_csv("t.csv", index=False)
    for target in ("dear", "price"):
        message = failure(capsys, "train", "t.csv", "--target", target, "--seed", seed, "--test-size", 0.01)
        assert "column 'price' holds inf in row 6," in message


# Errors raised before training starts


def test_same_path_for_two_outputs_is_an_error(houses, capsys):
    before = Path(houses).read_bytes()
    for output in (["--output", houses], ["--output", "a.png", "--plot", "./a.png"]):
        assert "is named twice in this command" in failure(capsys, "train", houses, "--target", "dear", *output)
    train(houses, "--target", "dear", "--epochs", 1)
    for path in (houses, "houses.safetensors"):
        assert "is named twice in this command" in failure(
            capsys, "predict", "houses.safetensors", houses, "--output", path
        )
    assert Path(houses).read_bytes() == before


def test_unknown_plot_format_is_an_error_before_training(houses, capsys):
    assert "cannot draw a.word: " in failure(capsys, "train", houses, "--target", "dear", "--plot", "a.word")
    assert not Path("houses.safetensors").exists()


def test_out_of_memory_and_divergence_name_the_options(houses, capsys, monkeypatch):
    options = ["--target", "price", "--activation", "identity", "--learning-rate", 1e38]
    assert "a smaller --learning-rate" in failure(capsys, "train", houses, *options)
    assert not Path("houses.safetensors").exists()
    for options, owner, name in (([], _stages, "fit_in_stages"), (["--hidden", "none"], cr.Network, "fit")):
        monkeypatch.setattr(owner, name, lambda *_, **__: (_ for _ in ()).throw(MemoryError("std::bad_alloc")))
        assert "out of memory: use fewer" in failure(capsys, "train", houses, "--target", "dear", *options)


def test_divergence_saves_nothing_in_the_first_stage_and_the_best_stage_later(houses, capsys, monkeypatch):
    def diverge(*_, **settings):
        raise cr.DivergenceError

    def diverge_later(networks, X, y, end_stage, **settings):
        many.fit_in_stages(networks, X, y, lambda costs: diverge(end_stage(costs)), **settings)

    monkeypatch.setattr(_stages, "fit_in_stages", diverge_later)
    assert run("train", houses, "--target", "price") == 0
    expected = "the cost became NaN or infinite in the next one; the parameters are those of stage 1\n"
    assert expected in capsys.readouterr().out
    cr.load("houses.safetensors")
    monkeypatch.setattr(_stages, "fit_in_stages", diverge)
    message = failure(capsys, "train", houses, "--target", "price", "--output", "none.safetensors")
    assert "the cost became NaN or infinite, nothing is saved" in message
    assert not Path("none.safetensors").exists()
