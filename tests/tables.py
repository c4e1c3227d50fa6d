"""Tables with every kind of column, as files and in every library; helpers that run the commands."""

import datetime
import decimal
import re

import numpy as np
import pandas as pd
import pytest

from chainrule.cli import main


def make_table(n=300, seed=0):
    rng = np.random.default_rng(seed)
    table = pd.DataFrame(
        {
            "size": rng.normal(50, 20, n).round(3),
            "rooms": rng.integers(1, 6, n),
            "zip": rng.choice(["01234", "00501", "A1"], n),
            "garden": rng.choice([True, False], n),
            "heating": rng.choice(["gas", "None", "NA"], n),
            "built": pd.date_range("1990-01-01", periods=n).astype(str),
            "id": [f"house {i}" for i in range(n)],
        }
    )
    price = table["size"] * 3 + 40 * (table.zip == "00501") + 60 * table.garden + 20 * table.rooms
    table = table.assign(price=price, dear=np.where(price > price.median(), "yes", "no"), district=table.rooms)
    table.loc[::7, "heating"] = None
    table["size"] = table["size"].astype(object).where(table.index % 11 != 3, "?")
    return table


def run(*arguments):
    return main([str(argument) for argument in arguments])


def train(*arguments):
    assert run("train", *arguments, "--quiet") == 0


def failure(capsys, *arguments):
    """Return the message of a command that fails; it must be one line and not a traceback."""
    capsys.readouterr()
    assert run(*arguments) == 1
    error = capsys.readouterr().err
    assert re.fullmatch(r"chainrule: .+\n", error)
    return error


DATA = {
    "whole": [1, 2, 4, None, 9, 5],
    "real": [0.5, None, 2.5, -1.0, 7.0, 0.1],
    "decimal": [decimal.Decimal("1.5"), None, decimal.Decimal("2.25"), *map(decimal.Decimal, (4, 3, 7))],
    "text": ["b", "a", None, "b", "ä", ""],
    "truth": [True, False, None, True, True, False],
    "level": ["x", None, "y", "x", "x", "z"],
    "day": [datetime.date(2024, 1, day) if day else None for day in (1, 3, 0, 9, 30, 31)],
    "moment": [datetime.datetime(2024, 1, 1, hour) if hour else None for hour in (1, 3, 0, 9, 20, 23)],
    "iso": ["2024-01-01", "2024-01-03T12:30:15.25Z", None, "2024-02-01 00:00+02:00", "1900-01-01", "2999-12-31"],
    "empty": [None] * 6,
    "constant": [7] * 6,
}


def in_pandas(data):
    return pd.DataFrame(data).assign(level=pd.Categorical(data["level"]), whole=pd.Series(data["whole"], dtype="Int64"))


def in_polars(data):
    polars = pytest.importorskip("polars")
    return polars.DataFrame(data).with_columns(polars.col("level").cast(polars.Categorical))


def in_arrow(data):
    pa = pytest.importorskip("pyarrow")
    table = pa.table(data)
    return table.set_column(table.column_names.index("level"), "level", table["level"].dictionary_encode())


def in_arrow_within_pandas(data):
    pa = pytest.importorskip("pyarrow")
    types = {"whole": "int64[pyarrow]", "real": "double[pyarrow]", "text": "string[pyarrow]", "truth": "bool[pyarrow]"}
    days = pd.Series(data["day"], dtype=pd.ArrowDtype(pa.date32()))
    return in_pandas(data).assign(**{name: pd.Series(data[name], dtype=kind) for name, kind in types.items()}, day=days)


def in_narwhals(data):
    return pytest.importorskip("narwhals").from_native(in_pandas(data))


def in_objects(data):
    return np.array(list(data.values()), dtype=object).T


LIBRARIES = [in_pandas, in_polars, in_arrow, in_arrow_within_pandas, in_narwhals, in_objects]
