"""The command line reads files as they lie in public places: separators, encodings, headers, names of columns."""

import gzip
import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from tables import failure, make_table, run, train

from chainrule.cli import _tables
from chainrule.cli._format import Reading
from chainrule.cli._model import TableModel

pytestmark = pytest.mark.usefixtures("elsewhere")


def write(name, *lines, encoding="utf-8"):
    data = "".join(f"{line}\n" for line in lines).encode(encoding)
    Path(name).write_bytes(gzip.compress(data) if name.endswith(".gz") else data)
    return name


def read(path, **reading):
    return _tables.read_table(path, Reading(**reading))[0]


# Separators


@pytest.mark.parametrize("name", ["t.csv", "t.tsv", "t.txt", "t.data", "t.dat", "t.tab", "T.CSV", "t.csv.gz"])
@pytest.mark.parametrize("separator", [",", ";", "\t", "|"])
def test_the_separator_is_found_out(name, separator):
    write(name, *(separator.join(row) for row in ("ab", "12", "34")))
    assert read(name).to_dict("list") == {"a": [1, 3], "b": [2, 4]}


def test_another_separator_than_the_name_says_is_reported(capsys):
    make_table().to_csv("t.csv", index=False, sep=";")
    assert run("train", "t.csv", "--target", "dear", "--epochs", 1) == 0
    assert "table     300 rows, 10 columns, separated by ';'\n" in capsys.readouterr().out


def test_separators_within_cells_and_names_are_not_taken_for_separators():
    write("t.csv", "size, m2;rooms;note", "1,5;2;a, b", '2,5;3;"c; d"')
    table = read("t.csv")
    assert list(table) == ["size, m2", "rooms", "note"]
    assert table.note.tolist() == ["a, b", "c; d"]
    write("t.csv", "a;b,c", "1;2,3", "4;5,6")  # both fit: the one that the name says
    assert list(read("t.csv")) == ["a;b", "c"]


@pytest.mark.parametrize(("given", "text"), [
    ("#", "a#b\n1#2\n"), ("tab", "a\tb\n1\t2\n"), (r"\t", "a\tb\n1\t2\n"), ("space", "a   b\n 1 2 \n"),
    ("-", "a-b\n1-2\n"),
])  # fmt: skip
def test_the_separator_can_be_named(capsys, given, text):
    Path("t.csv").write_text(text)
    said = failure(capsys, "train", "t.csv", "--target", "b", "--separator", given)
    assert said == "chainrule: the table has 1 rows with a target, at least 10 are needed\n"


def test_a_separator_is_one_character(capsys):
    with pytest.raises(SystemExit):
        run("train", "t.csv", "--target", "b", "--separator", ";;")
    assert "';;' is not one character, tab or space" in capsys.readouterr().err


def test_predict_reads_as_the_training_did_unless_told_otherwise(capsys):
    table = make_table()
    table.to_csv("t.csv", index=False, sep="#")
    train("t.csv", "--target", "dear", "--separator", "#", "--epochs", 5)
    outputs = []
    for separator, options in (("#", []), ("!", ["--separator", "!"])):
        table.to_csv("new.csv", index=False, sep=separator)
        assert run("predict", "t.safetensors", "new.csv", *options) == 0
        outputs.append(capsys.readouterr().out)
    assert outputs[0] == outputs[1]


# Encodings


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le-bom", "utf-16-be-bom"])
@pytest.mark.parametrize("name", ["t.csv", "t.csv.gz"])
def test_unicode_is_found_out(name, encoding, capsys):
    mark, _, _ = ("\ufeff", *encoding.partition("-bom")[:2]) if encoding.endswith("-bom") else ("", "", "")
    write(name, f"{mark}größe,b", "1,ü", "2,☃", encoding=encoding.removesuffix("-bom"))
    assert read(name).to_dict("list") == {"größe": [1, 2], "b": ["ü", "☃"]}
    assert capsys.readouterr().err == ""


def test_what_is_not_utf8_is_read_as_windows_1252_and_said(capsys):
    write("t.csv", "größe,b", "1,€", encoding="cp1252")
    assert read("t.csv").to_dict("list") == {"größe": [1], "b": ["€"]}
    said = "chainrule: warning: t.csv is not UTF-8 text: it is read as cp1252, --encoding names another\n"
    assert capsys.readouterr().err == said
    write("t.csv", "größe,b", "1,\x81", encoding="latin-1")  # which cp1252 does not have
    assert read("t.csv").to_dict("list") == {"größe": [1], "b": ["\x81"]}
    assert "it is read as latin-1" in capsys.readouterr().err


def test_a_bad_byte_far_behind_the_beginning_decides_too():
    write("t.csv", "a,b", *["1,x"] * 30_000, "2,é", encoding="latin-1")
    assert read("t.csv").b.iloc[-1] == "é"


def test_an_encoding_can_be_named(capsys):
    write("t.csv", "имя,b", "1,2", encoding="koi8-r")
    assert list(read("t.csv", encoding="koi8-r")) == ["имя", "b"]
    assert capsys.readouterr().err == ""
    said = failure(capsys, "train", "t.csv", "--target", "b", "--encoding", "utf-8")
    assert said == "chainrule: cannot read t.csv: it is not text in utf-8: name another --encoding\n"
    assert "--encoding wtf is unknown" in failure(capsys, "train", "t.csv", "--target", "b", "--encoding", "wtf")


# Headers


def test_a_file_without_a_header(capsys):
    table = make_table().drop(columns=["id", "price"])
    place = table.columns.get_loc("dear") + 1
    table.to_csv("t.csv", index=False, header=False)
    train("t.csv", "--target", place, "--no-header", "--epochs", 20)
    table.to_csv("new.csv", index=False, header=False)
    assert run("predict", "t.safetensors", "new.csv") == 0
    whole = capsys.readouterr().out
    assert whole.startswith(f"{place}\n")
    table.drop(columns="dear").to_csv("new.csv", index=False, header=False)
    assert run("predict", "t.safetensors", "new.csv") == 0
    assert capsys.readouterr().out == whole
    table.iloc[:, :4].to_csv("new.csv", index=False, header=False)
    said = failure(capsys, "predict", "t.safetensors", "new.csv")
    assert said == "chainrule: the table has 4 columns, the training's had 8 with the target\n"


def test_a_header_that_seems_to_be_data_is_named(capsys):
    write("t.csv", *(f"{i},{i + 0.5},x" for i in range(20)))
    said = failure(capsys, "train", "t.csv", "--target", "price")
    assert "has no column 'price'" in said
    assert "Its first row seems to hold data: --no-header names the columns 1, 2, ..." in said


def test_columns_of_one_name_are_renamed_and_said(capsys):
    write("t.csv", "y,x,y,x,x", *(f"{i % 2},{i},{i % 2},3,4" for i in range(40)))
    assert list(read("t.csv")) == ["y", "x", "y (2)", "x (2)", "x (3)"]
    said = capsys.readouterr().err
    assert "t.csv: the header has column 'y' more than once, this one is read as 'y (2)'" in said
    assert said.count("\n") == 3
    capsys.readouterr()
    run("train", "t.csv", "--target", "y")
    assert capsys.readouterr().err.splitlines()[-1] == (
        "chainrule: the table has column 'y' twice: leave the other out with --ignore 'y (2)'"
    )
    assert run("train", "t.csv", "--target", "y", "--ignore", "y (2)", "--epochs", 1) == 0


def test_a_name_that_another_column_has_already():
    write("t.csv", "x,x,x (2)", "1,2,3")
    assert read("t.csv").iloc[0].to_dict() == {"x": 1, "x (3)": 2, "x (2)": 3}


# Names of columns, values that look like options


def test_a_misspelled_column_of_5000_is_named_briefly(capsys):
    names = [f"gene{i}" for i in range(5000)]
    pd.DataFrame(np.zeros((12, 5000)), columns=names).to_csv("t.csv", index=False)
    for option, more in (("--target", []), ("--ignore", ["--target", "gene1"]), ("--weight", ["--target", "gene1"])):
        said = failure(capsys, "train", "t.csv", option, "Gene-4711", *more)
        assert "the table has no column 'Gene-4711', did you mean 'gene4711'? It has gene0, gene1," in said
        assert "4,990 more" in said
        assert len(said) < 250


@pytest.mark.parametrize("value", ["--", "-", "-9", "-n/a", "---", "-x"])
def test_values_that_begin_with_a_dash(value):
    table = make_table().assign(rooms=lambda t: t.rooms.astype(object).where(t.rooms != 3, value))
    table.to_csv("t.csv", index=False)
    train("t.csv", "--target", "dear", "--missing", value, "--epochs", 1)
    [rooms] = [column for column in TableModel.load("t.safetensors").features.columns if column.name == "rooms"]
    assert rooms.kind == "number"
    assert rooms.indicator


def test_columns_that_look_like_options(capsys):
    make_table().rename(columns={"dear": "-dear", "id": "--"}).to_csv("t.csv", index=False)
    assert run("train", "t.csv", "--target", "-dear", "--ignore", "--", "--epochs", 1) == 0
    assert "target    -dear, 2 classes" in capsys.readouterr().out
    make_table().rename(columns={"dear": "--dear"}).to_csv("t.csv", index=False)
    assert run("train", "t.csv", "--target=--dear", "--epochs", 1) == 0
    with pytest.raises(SystemExit):
        run("train", "t.csv", "--target", "--epochs", 1)
    assert "--target: expected one argument" in capsys.readouterr().err


def test_plot_does_not_take_the_table_for_its_picture(houses):
    assert run("train", "--target", "dear", "--epochs", 1, "--plot", houses) == 0
    assert Path("houses.png").exists()
    assert run("train", "--target", "dear", "--epochs", 1, "--plot", "curve.svg", houses) == 0
    assert Path("curve.svg").exists()


# Rows


def test_rows_are_counted_in_the_file(capsys):
    table = make_table()
    table["weight"] = 1.0
    table.loc[6, "weight"] = -1
    table.loc[:3, "dear"] = None
    table.to_csv("t.csv", index=False)
    said = failure(capsys, "train", "t.csv", "--target", "dear", "--weight", "weight")
    assert said == "chainrule: column 'weight' holds -1.0 in row 7, expected a weight, which is not negative\n"


@pytest.mark.parametrize("option", ["--separator", "--encoding", "--decimal", "--date-order", "--no-header"])
def test_options_are_in_the_help(option, capsys):
    with pytest.raises(SystemExit):
        run("train", "--help")
    assert re.search(rf"{option}\b", capsys.readouterr().out)
