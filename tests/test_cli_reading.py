"""The command reads text files of many formats: separators, encodings, headers, names of columns."""

import gzip
import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from tables import failure, make_table, run, train

import chainrule as cr
from chainrule.cli import _tables
from chainrule.cli._model import TableModel
from chainrule.cli._tables import Reading

pytestmark = pytest.mark.usefixtures("elsewhere")


def write(name, *lines, encoding="utf-8"):
    data = "".join(f"{line}\n" for line in lines).encode(encoding)
    Path(name).write_bytes(gzip.compress(data) if name.endswith(".gz") else data)
    return name


def read(path, **reading):
    return _tables.read_table(path, Reading(**reading)).frame


# Separators


@pytest.mark.parametrize("name", ["t.csv", "t.tsv", "t.txt", "t.data", "t.dat", "t.tab", "T.CSV", "t.csv.gz"])
@pytest.mark.parametrize("separator", [",", ";", "\t", "|"])
def test_separator_is_detected(name, separator):
    write(name, *(separator.join(row) for row in ("ab", "12", "34")))
    assert read(name).to_dict("list") == {"a": [1, 3], "b": [2, 4]}


def test_separator_that_differs_from_the_file_name_is_reported(capsys):
    make_table().to_csv("t.csv", index=False, sep=";")
    assert run("train", "t.csv", "--target", "dear", "--epochs", 1) == 0
    assert "table     300 rows, 10 columns, separated by ';'\n" in capsys.readouterr().out


def test_separators_inside_cells_and_names_are_ignored():
    write("t.csv", "size, m2;rooms;note", "1,5;2;a, b", '2,5;3;"c; d"')
    table = read("t.csv")
    assert list(table) == ["size, m2", "rooms", "note"]
    assert table.note.tolist() == ["a, b", "c; d"]
    write("t.csv", "a;b,c", "1;2,3", "4;5,6")  # both fit: the extension decides
    assert list(read("t.csv")) == ["a;b", "c"]


@pytest.mark.parametrize(("given", "text"), [
    ("#", "a#b\n1#2\n"), ("tab", "a\tb\n1\t2\n"), (r"\t", "a\tb\n1\t2\n"), ("space", "a   b\n 1 2 \n"),
    ("-", "a-b\n1-2\n"),
])  # fmt: skip
def test_separator_option_sets_the_separator(capsys, given, text):
    Path("t.csv").write_text(text)
    message = failure(capsys, "train", "t.csv", "--target", "b", "--separator", given)
    assert message == "chainrule: the table has 1 rows with a target, at least 10 are needed\n"


def test_a_separator_is_one_character(capsys):
    with pytest.raises(SystemExit):
        run("train", "t.csv", "--target", "b", "--separator", ";;")
    assert "';;' is not one character, tab or space" in capsys.readouterr().err


def test_predict_uses_the_reading_options_of_train_by_default(capsys):
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
def test_unicode_encodings_are_detected(name, encoding, capsys):
    mark, _, _ = ("\ufeff", *encoding.partition("-bom")[:2]) if encoding.endswith("-bom") else ("", "", "")
    write(name, f"{mark}größe,b", "1,ü", "2,☃", encoding=encoding.removesuffix("-bom"))
    assert read(name).to_dict("list") == {"größe": [1, 2], "b": ["ü", "☃"]}
    assert capsys.readouterr().err == ""


def test_text_that_is_not_utf8_is_read_as_windows_1252_and_reported(capsys):
    write("t.csv", "größe,b", "1,€", encoding="cp1252")
    assert read("t.csv").to_dict("list") == {"größe": [1], "b": ["€"]}
    message = "chainrule: warning: t.csv is not UTF-8 text: it is read as cp1252; --encoding sets another encoding\n"
    assert capsys.readouterr().err == message
    write("t.csv", "größe,b", "1,\x81", encoding="latin-1")  # byte 0x81 is undefined in cp1252
    assert read("t.csv").to_dict("list") == {"größe": [1], "b": ["\x81"]}
    assert "it is read as latin-1" in capsys.readouterr().err


def test_invalid_byte_late_in_the_file_changes_the_encoding():
    write("t.csv", "a,b", *["1,x"] * 30_000, "2,é", encoding="latin-1")
    assert read("t.csv").b.iloc[-1] == "é"


def test_encoding_option_sets_the_encoding(capsys):
    write("t.csv", "имя,b", "1,2", encoding="koi8-r")
    assert list(read("t.csv", encoding="koi8-r")) == ["имя", "b"]
    assert capsys.readouterr().err == ""
    message = failure(capsys, "train", "t.csv", "--target", "b", "--encoding", "utf-8")
    assert message == "chainrule: cannot read t.csv: it is not text in utf-8: set another --encoding\n"
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
    message = failure(capsys, "predict", "t.safetensors", "new.csv")
    assert (
        message == "chainrule: cannot read new.csv: the table has 4 columns, the training table had 8 with the target\n"
    )


def test_header_that_looks_like_data_suggests_no_header(capsys):
    write("t.csv", *(f"{i},{i + 0.5},x" for i in range(20)))
    message = failure(capsys, "train", "t.csv", "--target", "price")
    assert "has no column 'price'" in message
    assert "Its first row seems to hold data: --no-header names the columns 1, 2, ..." in message


def test_numbers_between_white_space(capsys):
    write("t.data", *(f"  {i}   {i + 0.5}  {i % 2} " for i in range(40)))
    assert run("train", "t.data", "--target", 3, "--no-header", "--ignore", 1, "--epochs", 1) == 0
    assert "table     40 rows, 3 columns, separated by white space\n" in capsys.readouterr().out
    write("t.csv", "a  b", *(f"{i} {i}" for i in range(4)))
    assert list(read("t.csv")) == ["a", "b"]
    write("t.csv", "a note", *["not numbers"] * 4)
    assert list(read("t.csv")) == ["a note"]


def test_quoted_words_between_white_space():
    write("auto.data", *(f'{i}.0   8   "chevrolet\u2019s impala"\t"a b"' for i in range(3)))
    table = read("auto.data", separator=r"\s+", header=False)
    assert table.iloc[1].tolist() == [1, 8, "chevrolet\u2019s impala", "a b"]
    write("auto.data", '"a b"  c', "1  2")
    assert read("auto.data", separator=r"\s+").iloc[0].to_dict() == {"a b": 1, "c": 2}


def test_single_column_suggests_the_separator_option(capsys):
    write("t.csv", "a#b", *["1#2"] * 20)
    message = failure(capsys, "train", "t.csv", "--target", "b")
    assert "has no column 'b'" in message
    assert "Its rows have one field: --separator sets the character between fields" in message


def test_duplicate_column_names_are_renamed_and_reported(capsys):
    write("t.csv", "y,x,y,x,x", *(f"{i % 2},{i},{i % 2},3,4" for i in range(40)))
    assert list(read("t.csv")) == ["y", "x", "y (2)", "x (2)", "x (3)"]
    message = capsys.readouterr().err
    assert "t.csv: the header has column 'y' more than once, this one is read as 'y (2)'" in message
    assert message.count("\n") == 3
    capsys.readouterr()
    run("train", "t.csv", "--target", "y")
    assert capsys.readouterr().err.splitlines()[-1] == (
        "chainrule: the table has column 'y' twice: leave the other out with --ignore 'y (2)'"
    )
    assert run("train", "t.csv", "--target", "y", "--ignore", "y (2)", "--epochs", 1) == 0


def test_renamed_columns_get_unused_names():
    write("t.csv", "x,x,x (2)", "1,2,3")
    assert read("t.csv").iloc[0].to_dict() == {"x": 1, "x (3)": 2, "x (2)": 3}


# Numbers and dates that are written as text


def prices(n=300, seed=0):
    """Return a table whose price follows from area, share and day."""
    rng = np.random.default_rng(seed)
    area, share = rng.uniform(900, 9000, n).round(2), rng.uniform(1, 99, n).round(1)
    day = pd.Timestamp("2020-01-01") + pd.to_timedelta(rng.integers(0, 1000, n), unit="D")
    table = pd.DataFrame({"area": area, "share": share, "day": day, "town": rng.choice(["Ayr", "Bath"], n)})
    return table.assign(price=(table.area / 10 + 5 * table.share + (table.day - day.min()).dt.days).round(2))


def as_written(table, decimal=",", date="%d/%m/%Y"):
    """Return the table as spreadsheets write it: thousands, percent, days first."""
    group = {",": ".", ".": ","}[decimal]

    def number(value):
        return f"{value:,.2f}".replace(",", "_").replace(".", decimal).replace("_", group)

    return table.assign(
        area=table.area.map(number),
        share=table.share.map(lambda value: f"{value:.1f}".replace(".", decimal) + " %"),
        day=table.day.dt.strftime(date),
        price=table.price.map(number),
    )


def scores(capsys, *options):
    assert run("train", "t.csv", "--target", "price", "--epochs", 40, *options) == 0
    printed = capsys.readouterr()
    assert printed.err == ""
    return re.search("^test .*", printed.out, re.MULTILINE)[0], printed.out


@pytest.mark.parametrize("decimal", [",", "."])
def test_numbers_and_dates_as_text_equal_a_plain_table(capsys, decimal):
    prices().to_csv("t.csv", index=False)
    expected, _ = scores(capsys)
    assert run("predict", "t.safetensors", "t.csv", "--output", "plain.csv") == 0
    as_written(prices(), decimal).to_csv("t.csv", index=False, sep=";")
    found, printed = scores(capsys)
    assert found == expected
    assert ("separated by ';', decimal commas" in printed) == (decimal == ",")
    assert "numbers (2): area, share\n          dates (1): day\n" in printed
    assert run("predict", "t.safetensors", "t.csv", "--output", "written.csv") == 0
    assert Path("plain.csv").read_text() == Path("written.csv").read_text()
    for row in (3, 4):  # a single row, which could be read in two ways
        as_written(prices(), decimal).iloc[[row]].to_csv("row.csv", index=False, sep=";")
        assert run("predict", "t.safetensors", "row.csv", "--output", "row-p.csv") == 0
        assert Path("row-p.csv").read_text().split()[1] == Path("plain.csv").read_text().split()[row + 1]


def test_formats_are_detected_on_the_whole_table(capsys):
    table = as_written(prices())
    ambiguous = table.day.str[:2].astype(int) <= 12
    table = pd.concat([table[ambiguous], table[~ambiguous][:1]], ignore_index=True)
    table.to_csv("t.csv", index=False, sep=";")
    for seed in range(3):
        assert "dates (1): day" in scores(capsys, "--seed", seed)[1]
        [day] = [column for column in TableModel.load("t.safetensors").features.columns if column.name == "day"]
        assert day.format.order == "dmy"


def test_ambiguous_dates_and_numbers_name_the_option(capsys):
    table = as_written(prices())
    table = table[table.day.str[:2].astype(int) <= 12]
    table.to_csv("t.csv", index=False, sep=";")
    message = failure(capsys, "train", "t.csv", "--target", "price")
    assert re.search(r"column 'day' holds dates such as '\S+', which can be read as day/month/year or month", message)
    assert "choose --date-order dmy or --date-order mdy, or --categorical day" in message
    days = []
    for order in ("dmy", "mdy"):
        assert run("train", "t.csv", "--target", "price", "--date-order", order, "--epochs", 1) == 0
        assert run("predict", "t.safetensors", "t.csv") == 0
        days.append(TableModel.load("t.safetensors").features.columns[2])
    capsys.readouterr()
    assert [day.format.order for day in days] == ["dmy", "mdy"]
    assert days[0].median != days[1].median
    assert "levels (2): day" in scores(capsys, "--categorical", "day")[1]
    pd.DataFrame({"x": ["1,234", "2,345", "9,999", "7,654"] * 10, "price": range(40)}).to_csv("t.csv", index=False)
    message = failure(capsys, "train", "t.csv", "--target", "price")
    assert "choose --decimal . or --decimal ,, or --categorical x" in message
    for decimal, median in ((".", 4999.5), (",", 4.9995)):
        assert run("train", "t.csv", "--target", "price", "--decimal", decimal, "--epochs", 1) == 0
        assert TableModel.load("t.safetensors").features.columns[0].median == pytest.approx(median, rel=0.6)


@pytest.mark.parametrize(("column", "bad", "what"), [
    ("day", "soon", "dates"), ("day", "31/02/2020", "dates"), ("share", "many", "numbers"), ("area", "x1", "numbers"),
])  # fmt: skip
def test_bad_cell_raises_with_its_row(capsys, column, bad, what):
    table = as_written(prices())
    table.loc[[6, 9], column] = bad
    table.to_csv("t.csv", index=False, sep=";")
    message = failure(capsys, "train", "t.csv", "--target", "price")
    assert f"column '{column}' holds {what}, such as " in message
    assert f"but 2 of 300 cells cannot be read as such, the first '{bad}' in row 7: add --missing {bad} if" in message
    assert run("train", "t.csv", "--target", "price", "--missing", bad, "--epochs", 1) == 0


def test_markers_of_missing_values_among_numbers_and_dates(capsys):
    table = as_written(prices())
    for place, (column, marker) in enumerate([("day", "n/a"), ("share", "--"), ("area", "null")]):
        table.loc[place::7, column] = marker
    table.to_csv("t.csv", index=False, sep=";")
    assert "area+missing, share+missing\n          dates (1): day+missing" in scores(capsys)[1].replace("(missing)", "")
    assert run("predict", "t.safetensors", "t.csv") == 0


def test_thousands_are_not_fractions_if_the_decimal_mark_is_a_comma(capsys):
    table = as_written(prices()).assign(people=[f"{1 + i % 99}.{i % 7}50" for i in range(300)])
    table.to_csv("t.csv", index=False, sep=";")
    scores(capsys, "--ignore", "town")
    people = TableModel.load("t.safetensors").features.columns[-1]
    assert people.median > 10_000


def test_test_table_and_weights_written_as_text_are_read(capsys):
    as_written(prices()).assign(w=["1,5", "0,5"] * 150).to_csv("t.csv", index=False, sep=";")
    as_written(prices(50, 1)).assign(w=["1,5", "0,5"] * 25).to_csv("test.csv", index=False, sep=";")
    line, printed = scores(capsys, "--weight", "w", "--test", "test.csv")
    assert "50 test from test.csv" in printed
    assert float(re.search(r"R² (\S+)", line)[1]) > 0.8


def test_model_loaded_in_python_reads_text_in_the_file_format(capsys):
    as_written(prices()).to_csv("t.csv", index=False, sep=";")
    scores(capsys)
    assert run("predict", "t.safetensors", "t.csv", "--output", "p.csv") == 0
    frame = pd.read_csv("t.csv", sep=";").drop(columns="price")
    predicted = cr.load("t.safetensors").predict(frame)
    assert pd.read_csv("p.csv").price.tolist() == predicted.tolist()


# Names of columns, values that look like options


def test_misspelled_column_among_5000_has_a_short_message(capsys):
    names = [f"gene{i}" for i in range(5000)]
    pd.DataFrame(np.zeros((12, 5000)), columns=names).to_csv("t.csv", index=False)
    for option, more in (("--target", []), ("--ignore", ["--target", "gene1"]), ("--weight", ["--target", "gene1"])):
        message = failure(capsys, "train", "t.csv", option, "Gene-4711", *more)
        assert "the table has no column 'Gene-4711', did you mean 'gene4711'? It has gene0, gene1," in message
        assert "4,990 more" in message
        assert len(message) < 250


@pytest.mark.parametrize("value", ["--", "-", "-9", "-n/a", "---", "-x"])
def test_values_that_begin_with_a_dash_are_accepted(value):
    table = make_table().assign(rooms=lambda t: t.rooms.astype(object).where(t.rooms != 3, value))
    table.to_csv("t.csv", index=False)
    train("t.csv", "--target", "dear", "--missing", value, "--epochs", 1)
    [rooms] = [column for column in TableModel.load("t.safetensors").features.columns if column.name == "rooms"]
    assert rooms.kind == "number"
    assert rooms.indicator


def test_columns_that_look_like_options_can_be_named(capsys):
    make_table().rename(columns={"dear": "-dear", "id": "--"}).to_csv("t.csv", index=False)
    assert run("train", "t.csv", "--target", "-dear", "--ignore", "--", "--epochs", 1) == 0
    assert "target    -dear, 2 classes" in capsys.readouterr().out
    make_table().rename(columns={"dear": "--dear"}).to_csv("t.csv", index=False)
    assert run("train", "t.csv", "--target=--dear", "--epochs", 1) == 0
    with pytest.raises(SystemExit):
        run("train", "t.csv", "--target", "--epochs", 1)
    assert "--target: expected one argument" in capsys.readouterr().err


def test_plot_option_does_not_consume_the_table_argument(houses):
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
    message = failure(capsys, "train", "t.csv", "--target", "dear", "--weight", "weight")
    assert message == "chainrule: column 'weight' holds -1.0 in row 7, expected a weight of 0 or more\n"


@pytest.mark.parametrize("option", ["--separator", "--encoding", "--decimal", "--date-order", "--no-header"])
def test_options_are_in_the_help(option, capsys):
    with pytest.raises(SystemExit):
        run("train", "--help")
    assert re.search(rf"{option}\b", capsys.readouterr().out)
