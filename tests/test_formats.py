"""Numbers and dates that are written as text: read, ambiguous, left as text, or warned about."""

import datetime
import warnings

import hypothesis.strategies as st
import numpy as np
import pandas as pd
import pytest
from hypothesis import given

from chainrule import TableEncoder
from chainrule._formats import DateFormat, NumberFormat, examine
from chainrule._frames import as_column
from chainrule.table import TableEncoding


def frame(*texts):
    return pd.DataFrame({"x": pd.Series(texts, dtype=object)})


def kind_of(*texts, **settings):
    """Return the kind that an encoder learns without a warning; two columns, so that one may be left out."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        table = frame(*texts).assign(other=range(len(texts)))
        return TableEncoding.learn(table, **settings).columns[0].kind


NUMBERS = {
    ("12.5%", "3%", "-0.5 %"): [12.5, 3, -0.5],
    ("$1,234.50", "$3", "-$7.25"): [1234.5, 3, -7.25],
    ("€ 1.234,50", "€ 12,00", "€ 7"): [1234.5, 12, 7],
    ("1.234,50 €", "12,00 €"): [1234.5, 12],
    ("EUR 5,50", "EUR 7,25"): [5.5, 7.25],
    ("US$ 5", "US$ 7.5"): [5, 7.5],
    ("12,5", "3", "0,25"): [12.5, 3, 0.25],
    ("0,125", "1,234"): [0.125, 1.234],
    ("999", "1,234", "12,345"): [999, 1234, 12345],
    ("1,234,567", "89"): [1234567, 89],
    ("1.234.567", "89"): [1234567, 89],
    ("12,34,567", "89"): [1234567, 89],
    ("1 234", "12 345.5", "1\u2009234\u202f567"): [1234, 12345.5, 1234567],
    ("1'234.50", "12"): [1234.5, 12],
    ("12 kg", "3.5 kg", "0.1 kg"): [12, 3.5, 0.1],
    ("100km/h", "80km/h"): [100, 80],
    ("20.5°C", "-3°C"): [20.5, -3],
    ("(1.5)", "2", "(1,000.25)"): [-1.5, 2, -1000.25],
    (" 1.5", "2 ", "\t3.25"): [1.5, 2, 3.25],
    ("1e5", "2.5E-3", "1e+2"): [1e5, 2.5e-3, 100],
    ("+5", "-3", "−4"): [5, -3, -4],
    (".5", "1."): [0.5, 1],
    (1, 2.5, "7"): [1, 2.5, 7],
}


@pytest.mark.parametrize("texts", NUMBERS, ids=str)
def test_numbers_are_read(texts):
    found = as_column(list(texts), "x").examine()
    assert (found.kind, len(found.formats), found.mistakes, found.markers) == ("number", 1, {}, {})
    [format] = found.formats
    np.testing.assert_array_equal(as_column(list(texts)).numbers(format), NUMBERS[texts])
    assert kind_of(*texts) == "number"


DAY = datetime.datetime
DATES = {
    ("31/12/2023", "01/02/2024"): [DAY(2023, 12, 31), DAY(2024, 2, 1)],
    ("12/31/2023", "1/2/2024"): [DAY(2023, 12, 31), DAY(2024, 1, 2)],
    ("31.12.2023", "1.2.2024"): [DAY(2023, 12, 31), DAY(2024, 2, 1)],
    ("31-12-23", "01-02-70"): [DAY(2023, 12, 31), DAY(1970, 2, 1)],
    ("2023/12/31", "2024/1/2"): [DAY(2023, 12, 31), DAY(2024, 1, 2)],
    ("3 Jan 2020", "14 February 2021"): [DAY(2020, 1, 3), DAY(2021, 2, 14)],
    ("Jan 3, 2020", "Feb. 14, 2021"): [DAY(2020, 1, 3), DAY(2021, 2, 14)],
    ("03-Jan-20", "14-FEB-99"): [DAY(2020, 1, 3), DAY(1999, 2, 14)],
    ("3rd of January 2020", "1st of May 2020"): [DAY(2020, 1, 3), DAY(2020, 5, 1)],
    ("Fri, 3 Jan 2020", "Monday, 6 Jan 2020"): [DAY(2020, 1, 3), DAY(2020, 1, 6)],
    ("Jan 2020", "Sept 2021"): [DAY(2020, 1, 1), DAY(2021, 9, 1)],
    (" 2023-12-31", "2024-01-02 "): [DAY(2023, 12, 31), DAY(2024, 1, 2)],
    ("2023-12-31 08:30", "2024-1-2 9:05"): [DAY(2023, 12, 31, 8, 30), DAY(2024, 1, 2, 9, 5)],
    ("31/12/2023 11:30 PM", "1/2/2024 12:05 am"): [DAY(2023, 12, 31, 23, 30), DAY(2024, 2, 1, 0, 5)],
    ("2024-01-01T00:00:00.5Z", "2024-01-01T00:00:00+02:00"): [DAY(2024, 1, 1, 0, 0, 0, 500_000), DAY(2023, 12, 31, 22)],
    ("8:30", "23:59:30"): [DAY(1970, 1, 1, 8, 30), DAY(1970, 1, 1, 23, 59, 30)],
    ("1:30 PM", "12:00 AM"): [DAY(1970, 1, 1, 13, 30), DAY(1970, 1, 1)],
}


@pytest.mark.parametrize("texts", DATES, ids=str)
def test_dates_are_read(texts):
    column = as_column(list(texts), "x")
    found = column.examine()
    assert (found.kind, len(found.formats), found.mistakes) == ("date", 1, {})
    days = [(moment - DAY(1970, 1, 1)) / datetime.timedelta(days=1) for moment in DATES[texts]]
    np.testing.assert_allclose(column.dates(found.formats[0]), days, rtol=1e-15)
    assert kind_of(*texts) == "date"


@pytest.mark.parametrize(
    "texts",
    [
        ("01234", "12345", "00501"),
        ("555-1234", "555-2345"),
        ("600 123 456", "601 222 333"),
        ("+1 555 123 4567", "+1 555 123 4568"),
        ("1.2.3", "1.10.0"),
        ("192.168.1.1", "10.0.0.1"),
        ("10-20", "20-30"),
        ("2019-20", "2020-21"),
        ("12-34-56", "65-43-21"),
        ("12A", "13B", "14C"),
        ("A12", "A13"),
        ("0", "1", "2", "3+"),
        ("1", "2", "3"),
        ("1/2", "3/4"),
        ("(1)", "(2)"),
        ("4x4", "2x2"),
        ("1_000", "2_000"),
        ("25:00", "99:59"),
        ("31/02/2024", "30/02/2024"),
        ("inf", "nan"),
        ("Monday", "May"),
        ("", "-"),
        ("1" * 60, "2" * 60 + ".5"),
        ("١٢٫٥", "٣"),
        (True, "2.5"),
    ],
    ids=str,
)
def test_other_text_stays_levels(texts):
    assert kind_of(*texts) == "levels"


@pytest.mark.parametrize(
    ("texts", "option", "choices", "readings"),
    [
        (
            ("01/02/2020", "03/04/2020"),
            "date_order",
            {"dmy": "2020-02-01", "mdy": "2020-01-02"},
            "day/month/year or month",
        ),
        (
            ("01/02/03", "04/05/06"),
            "date_order",
            {"ymd": "2001-02-03", "dmy": "2003-02-01", "mdy": "2003-01-02"},
            "year/mo",
        ),
        (("1,234", "2,345"), "decimal", {".": 1234, ",": 1.234}, "a decimal point or a decimal comma"),
        (("999", "1.234"), "decimal", {".": 999, ",": 999}, "a decimal point"),
        (("€ 1.234", "€ 2.345"), "decimal", {".": 1.234, ",": 1234}, "a decimal point"),
        (("1500", "1,234"), "decimal", {".": 1500, ",": 1500}, "a decimal point"),
    ],
)
def test_ambiguous_column_names_the_deciding_option(texts, option, choices, readings):
    with pytest.raises(
        ValueError, match=f"column 'x' holds .*such as '{texts[0]}', which can be read .*{readings}"
    ) as error:
        TableEncoder().fit(frame(*texts))
    assert all(f"{option}={choice!r}" in str(error.value) for choice in choices)
    assert "categorical_features" in str(error.value)
    assert kind_of(*texts, categorical_features=["x"]) == "levels"
    for choice, value in choices.items():
        [column] = TableEncoding.learn(frame(*texts), **{option: choice}).columns
        read = column.read(as_column(list(texts)))[0]
        assert read == (np.datetime64(value).astype(int) if isinstance(value, str) else value)


def test_options_do_not_override_an_unambiguous_column():
    [column] = TableEncoding.learn(frame("25/12/2020", "01/02/2020"), date_order="mdy", decimal=",").columns
    assert column.format == DateFormat("dmy")
    [column] = TableEncoding.learn(frame("12.5", "1,234.5"), date_order="mdy", decimal=",").columns
    assert column.format == NumberFormat(".")


def test_unknown_options_raise():
    for settings in ({"date_order": "ydm"}, {"decimal": ";"}, {"max_levels": 0}):
        with pytest.raises(ValueError, match=f"{next(iter(settings))} is .*, expected"):
            TableEncoder(**settings).fit(frame("1", "2"))


MOST = [f"{i}.5" for i in range(18)]
DAYS = [f"{i:02}/03/2024" for i in range(1, 29)]


@pytest.mark.parametrize(
    ("texts", "message"),
    [
        (
            [*MOST, "many", "1.5"],
            "column 'x' holds numbers, such as '0.5', but 1 of 20 cells cannot be read as such, the first 'many'",
        ),
        (
            [*DAYS, "soon"],
            "column 'x' holds dates, such as '01/03/2024', but 1 of 29 cells cannot be read as such, the first 'soon'",
        ),
        ([*DAYS, "30/02/2024"], "1 of 29 cells cannot be read as such, the first '30/02/2024' in row 29"),
        (["2024-01-01"] * 19 + ["2024-01"], "1 of 20 cells cannot be read as such, the first '2024-01' in row 20"),
        (
            [f"{i}.5" for i in range(89)] + ["N.D."] * 11,
            "but 11 of 100 cells cannot be read as such, the first 'N.D.' in row 90",
        ),
        (
            [f"{i}.5 kg" for i in range(30)] + ["7.5 lb"],
            "1 of 31 cells cannot be read as such, the first '7.5 lb' in row 31",
        ),
        (
            [f"{i}.5 kg" for i in range(15)] + [f"{i}.5" for i in range(10)],
            "10 of 25 cells cannot be read as such, the first '0.5'",
        ),
        (
            [1.5] * 19 + ["many"],
            "column 'x' holds numbers, but 1 of 20 cells cannot be read as such, the first 'many' in row 20",
        ),
    ],
)
def test_few_unreadable_cells_warn(texts, message):
    table = frame(*texts).assign(y=range(len(texts)))
    with pytest.warns(UserWarning, match="cells cannot be read as such") as caught:
        encoding = TableEncoding.learn(table)
    assert len(caught) == 1
    assert message in str(caught[0].message)
    assert "so all are encoded as levels: correct them, or name the column in categorical_features" in str(
        caught[0].message
    )
    assert encoding.columns[0].kind in ("levels", "ignored")
    assert kind_of(*texts, categorical_features=["x"]) in ("levels", "ignored")


def test_dates_mixed_with_text_raise():
    message = (
        "column 'x' holds dates, but 1 of 20 cells cannot be read as such, the first 'soon' in row 20: correct them"
    )
    with pytest.raises(ValueError, match=message):
        TableEncoding.learn(frame(*[datetime.date(2024, 1, 1)] * 19, "soon"))


@pytest.mark.parametrize("marker", ["?", "NA", "N/A", "-", " null ", ""])
def test_markers_among_numbers_and_dates_become_missing_values_with_a_warning(marker):
    for texts, kind, word in (
        (["1.5", "2.5", "4.5"], "number", "numbers"),
        (["2024-01-01", "2024-01-05"], "date", "dates"),
    ):
        with pytest.warns(
            UserWarning, match=f"holds {word} as text, and 1 of {len(texts) + 1} cells hold markers of missing values"
        ):
            encoding = TableEncoding.learn(frame(*texts, marker))
        assert encoding.columns[0].kind == kind
        expected = TableEncoding.learn(frame(*texts, None)).transform(frame(*texts, None))
        assert encoding.transform(frame(*texts, marker)).tobytes() == expected.tobytes()
        assert encoding.transform(frame(texts[0], "?")).tolist() == [expected[0].tolist(), [0, 1]]


def test_whole_numbers_as_text_are_levels_with_a_warning_if_there_are_many():
    assert kind_of("1", "2", "3", "1") == "levels"
    many = [str(i // 2) for i in range(300)]
    with pytest.warns(
        UserWarning, match="column 'x' holds 150 different whole numbers as text, which are encoded as levels"
    ):
        assert TableEncoding.learn(frame(*many)).columns[0].kind == "levels"
    with pytest.warns(
        UserWarning, match=r"holds numbers as text, and 1 of 4 cells hold markers .* so all are encoded as levels"
    ):
        assert TableEncoding.learn(frame("1", "2", "3", "?")).columns[0].kind == "levels"
    assert kind_of(*many, categorical_features=["x"]) == "levels"


@pytest.mark.parametrize(
    ("fitted", "later", "expected"),
    [
        (["12,5", "3,25"], "7.5", "a number such as 1,5"),
        (["12 kg", "3.5 kg"], "7 lb", "a number such as 1.5 kg"),
        (["$1.5", "$2.5"], "2.5", r"a number such as \$1.5"),
        (["31/12/2023", "01/02/2024"], "12/31/2023", "a date such as 31/01/2024"),
        (["12/31/2023", "01/02/2024"], "31/12/2023", "a date such as 01/31/2024"),
        (["8:30", "9:30"], "24:30", "a time such as 23:59"),
        (["2024-01-01", "2024-01-03"], "01/02/2024", "a date such as 2024-01-31"),
        ([1.5, 2.5], "1,234", "a number"),
        (["0.5", "1,234.5"], "0,125", "a number such as 1.5"),
    ],
)
def test_later_cells_are_read_as_at_fit_or_raise(fitted, later, expected):
    encoding = TableEncoding.from_dict(TableEncoding.learn(frame(*fitted)).to_dict())
    features = encoding.transform(frame(*fitted))
    assert encoding.transform(frame(fitted[1])).tolist() == [features[1].tolist()]
    with pytest.raises(ValueError, match=rf"column 'x' holds '{later}' in row 2, expected {expected}$"):
        encoding.transform(frame(fitted[0], later))


def test_the_format_is_part_of_the_state():
    state = TableEncoding.learn(frame("12,5 kg", "3 kg")).to_dict()
    assert state["format"] == 2
    assert state["columns"][0]["format"] == {"decimal": ",", "unit": "kg"}
    state = TableEncoding.learn(frame("31/12/2023", "01/02/2024")).to_dict()
    assert state["columns"][0]["format"] == {"order": "dmy"}


@pytest.mark.parametrize("library", ["pandas", "polars", "pyarrow", "objects"])
def test_every_library_reads_the_same(library):
    data = {"x": ["12,5", None, "3"], "y": ["31/12/2023", "01/02/2024", None]}
    if library == "objects":
        table = np.array(list(data.values()), dtype=object).T
    else:
        module = pytest.importorskip(library)
        table = (module.table if library == "pyarrow" else module.DataFrame)(data)
    expected = TableEncoding.learn(
        pd.DataFrame({"x": [12.5, None, 3], "y": pd.to_datetime(["2023-12-31", "2024-02-01", None])})
    )
    encoding = TableEncoding.learn(table)
    assert (
        encoding.transform(table).tobytes()
        == expected.transform(
            pd.DataFrame({"x": [12.5, None, 3], "y": pd.to_datetime(["2023-12-31", "2024-02-01", None])})
        ).tobytes()
    )


def test_an_examination_gives_counts_and_rows():
    column = as_column([*DAYS, "soon", "?", "soon", "?", None], "day")
    found = column.examine()
    assert (found.cells, found.markers, found.mistakes) == (32, {"?": 2}, {"soon": 2})
    assert (column.row_of("soon"), column.row_of("?")) == (29, 30)
    ambiguous = examine({"01/02/2020": 3})
    assert (ambiguous.ask, ambiguous.choices) == ("date_order", ["dmy", "mdy"])
    assert ambiguous.narrow(date_order="mdy").formats == (DateFormat("mdy"),)
    assert ambiguous.narrow(decimal=",") == ambiguous
    assert examine({}).kind == "levels"


def test_leading_zero_makes_the_column_levels():
    assert examine({"1234": 5, "12345": 6}).whole
    assert examine({"1234": 99, "0123": 1}).kind == "levels"
    assert examine({"12.5": 99, "07.5": 1}).kind == "levels"
    assert examine({"0": 1, "0.5": 1, "-0.25": 1, "00:30": 0}).kind == "number"


def test_texts_of_mixed_and_equal_lengths_are_read_alike():
    texts = [f"{day:02}/{month:02}/2024" for day in range(1, 29) for month in range(1, 13)]
    equal = as_column(texts).examine()
    mixed = as_column([*texts, "1/1/2024"]).examine()
    assert equal.formats == mixed.formats == (DateFormat("dmy"), DateFormat("mdy"))[:1]


PATTERNS = {
    "dmy": ["%d/%m/%Y", "%d.%m.%Y %H:%M", "%d-%m-%Y %I:%M:%S %p", "%d-%m-%y"],
    "mdy": ["%m/%d/%Y", "%m/%d/%y %H:%M:%S.%f"],
    "ymd": ["%Y-%m-%d", "%Y/%m/%d %H:%M:%S", "%Y.%m.%d", "%d %B %Y", "%b %d, %Y", "%d-%b-%Y %H:%M", "%a, %d %b %Y"],
}


@pytest.mark.parametrize(("order", "pattern"), [(order, pattern) for order in PATTERNS for pattern in PATTERNS[order]])
@given(st.lists(st.datetimes(DAY(1970, 1, 1), DAY(2068, 12, 31)), min_size=1))
def test_dates_that_strftime_wrote_are_read(order, pattern, moments):
    texts = [moment.strftime(pattern) for moment in moments]
    expected = [DAY.strptime(text, pattern) for text in texts]
    read, known = DateFormat(order).read(texts)
    assert known.all()
    assert read.tolist() == [(moment - DAY(1970, 1, 1)) // datetime.timedelta(microseconds=1) for moment in expected]


@given(
    st.lists(st.decimals(-(10**9), 10**9, places=2), min_size=1),
    st.sampled_from([(",", "."), (".", ","), ("\u202f", ",")]),
)
def test_numbers_in_national_formats_are_read(numbers, marks):
    group, mark = marks
    texts = [f"{number:,.2f}".translate({ord(","): group, ord("."): mark}) + " kr" for number in numbers]
    assert NumberFormat(mark, "kr").read(texts).tolist() == list(map(float, numbers))
    found = examine(dict.fromkeys(texts, 1))
    assert (found.formats, found.mistakes) == ((NumberFormat(mark, "kr"),), {})


CELL = st.text(max_size=8) | st.text("0123456789.,-/: €%()", max_size=12)


@given(st.lists(CELL | st.none() | st.integers() | st.floats(-1e300, 1e300) | st.booleans() | st.dates(), min_size=1))
def test_arbitrary_cells_are_examined_without_error(cells):
    column = as_column(cells, "x")
    if column.kind_of_type() != "text":
        return
    found = column.examine()
    assert found.cells == sum(cell is not None for cell in cells)
    if found.kind == "levels":
        return
    for format in found.formats:
        read = column.numbers(format) if found.kind == "number" and not found.mistakes else None
        read = column.dates(format) if found.kind == "date" and not found.mistakes else read
        if read is not None:
            assert np.isnan(read).sum() == cells.count(None) + sum(found.markers.values())
