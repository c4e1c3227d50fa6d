"""The arguments of the commands."""

import argparse
from collections.abc import Callable, Sequence
from typing import Any

from chainrule import _core
from chainrule.cli import _commands
from chainrule.cli._output import KINDS, STANDARD_OUTPUT
from chainrule.cli._train import Settings

_Add = Callable[..., Any]


def parse(arguments: Sequence[str]) -> dict[str, Any]:
    """Return the options by name, `command` among them; SystemExit for wrong usage and after `--help`."""
    return vars(_make_parser().parse_args(list(arguments)))


def _make_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="chainrule", description="Train dense feed-forward networks on CPUs.")
    parser.add_argument("--version", action="version", version=f"chainrule {_core.__version__}")
    commands = parser.add_subparsers(title="commands", required=True, metavar="COMMAND")

    demo = commands.add_parser("demo", help="train on data that scikit-learn ships", description=_commands.demo.__doc__)
    demo.add_argument("dataset", nargs="?", default="digits", choices=list(_commands.DEMOS), help="default: digits")
    _add_run_options(demo.add_argument, plot="where to write the learning curve; default: DATASET.png")
    demo.set_defaults(command=_commands.demo)

    train = commands.add_parser("train", help="train a network on a table", description=_commands.train.__doc__)
    train.add_argument("file", metavar="FILE", help="a table: .csv, .tsv (also .gz) or .parquet")
    train.add_argument("--target", required=True, metavar="COLUMN", help="the column to predict")
    _add_table_options(train.add_argument)
    _add_network_options(train.add_argument)
    _add_run_options(train.add_argument, nargs="?", const="", plot="write the learning curve; default: NAME.png")
    train.set_defaults(command=_commands.train)

    predict = commands.add_parser("predict", help="predict a table's rows", description=_commands.predict.__doc__)
    predict.add_argument("model", metavar="MODEL", help="what `chainrule train` wrote")
    predict.add_argument("file", metavar="FILE", help="a table with the training's columns; the target may be absent")
    predict.add_argument("--output", metavar="PATH", default=STANDARD_OUTPUT,
                         help=f"what to write: {KINDS}, or - for CSV on standard output; default: -")  # fmt: skip
    predict.add_argument("--probabilities", action="store_true", help="also write the probability of each class")
    predict.add_argument("--threads", type=_positive_int, metavar="N", help="default: what the machine offers")
    predict.set_defaults(command=_commands.predict)

    info = commands.add_parser("info", help="describe a model or the installation", description=_commands.info.__doc__)
    info.add_argument("model", nargs="?", metavar="MODEL", help="a model file; default: the installation")
    info.set_defaults(command=_commands.info)
    return parser


def _add_table_options(add: _Add) -> None:
    repeatable = {"action": "append", "default": []}
    add(
        "--task",
        choices=["classification", "regression"],
        help="default: regression for numbers, but classification for whole numbers of at most 10 different values",
    )
    add("--ignore", metavar="COLUMN", **repeatable, help="leave a column out, such as a row's number; repeatable")
    add("--categorical", metavar="COLUMN", **repeatable, help="a column whose numbers are names; repeatable")
    add("--missing", metavar="VALUE", **repeatable,
        help="a value that means missing in every column; repeatable. An empty field always does, "
             "and in columns of numbers so do ?, NA, NaN, null and the like")  # fmt: skip
    add(
        "--test-size",
        type=_fraction,
        default=Settings.test_size,
        metavar="FRACTION",
        help=f"part of the rows that is kept for the test score; default: {Settings.test_size}",
    )


def _add_network_options(add: _Add) -> None:
    add(
        "--hidden",
        type=_widths,
        default=Settings.hidden,
        metavar="WIDTHS",
        help=f"widths of the hidden layers, none for a linear model; default: {','.join(map(str, Settings.hidden))}",
    )
    add("--activation", choices=_core.ACTIVATIONS, default=Settings.activation, help=f"default: {Settings.activation}")
    add(
        "--epochs",
        type=_positive_int,
        default=Settings.epochs,
        metavar="N",
        help=f"at most; default: {Settings.epochs}",
    )
    add("--batch-size", type=_positive_int, metavar="N", help="rows per step; default: 256, less for few rows")
    add(
        "--learning-rate",
        type=_positive_float,
        default=Settings.learning_rate,
        metavar="RATE",
        help=f"of Adam; default: {Settings.learning_rate:g}",
    )
    add("--l2", type=_not_negative_float, default=Settings.l2, metavar="L2",
        help=f"penalty on the weights; default: {Settings.l2:g}")  # fmt: skip


def _add_run_options(add: _Add, plot: str, **plot_options: Any) -> None:
    add("--output", metavar="PATH", help="where to save the model, - for standard output; default: NAME.safetensors")
    add("--plot", metavar="PATH", help=plot, **plot_options)
    add(
        "--seed",
        type=_not_negative_int,
        default=Settings.seed,
        metavar="N",
        help=f"of the split, the initial weights and the order of the rows; default: {Settings.seed}",
    )
    add("--threads", type=_positive_int, metavar="N", help="default: what the machine offers; the result is the same")
    add("--quiet", action="store_true", help="print nothing but errors")


def _number(kind: type, low: float, high: float, exclusive: bool) -> Callable[[str], Any]:
    def parse(text: str) -> Any:
        value = kind(text)  # ValueError: argparse says "invalid ... value"
        if not low <= value < high or (exclusive and value == low):
            bound = "above" if exclusive else "at least"
            below = f" and below {high:g}" if high < float("inf") else ""
            raise argparse.ArgumentTypeError(f"{text} is not {bound} {low:g}{below}")
        return value

    parse.__name__ = "whole number" if kind is int else "number"
    return parse


_positive_int = _number(int, 0, float("inf"), True)
_not_negative_int = _number(int, 0, 2.0**32, False)
_positive_float = _number(float, 0, float("inf"), True)
_not_negative_float = _number(float, 0, float("inf"), False)
_fraction = _number(float, 0, 1, True)


def _widths(text: str) -> tuple[int, ...]:
    try:
        return () if text == "none" else tuple(_positive_int(width) for width in text.split(","))
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is not a list of widths such as 128,64") from None
