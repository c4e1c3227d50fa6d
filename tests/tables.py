"""A table with every kind of column, for the tests of the command line."""

import re

import numpy as np
import pandas as pd

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
    """Return what a command that fails says; never a traceback, always one line."""
    capsys.readouterr()
    assert run(*arguments) == 1
    error = capsys.readouterr().err
    assert re.fullmatch(r"chainrule: .+\n", error)
    return error
