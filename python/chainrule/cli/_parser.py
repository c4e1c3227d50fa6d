"""Parses the arguments of a command and runs it; signals and errors become one line and an exit code."""

import argparse
import os
import re
from collections.abc import Callable, Sequence
from typing import Any

from chainrule import DivergenceError, _core
from chainrule._suggest import did_you_mean
from chainrule.cli import _commands, _console
from chainrule.cli._methods import EFFORTS, PlainNetwork
from chainrule.cli._model import LOSSES
from chainrule.cli._output import KINDS as OUTPUT_KINDS
from chainrule.cli._output import STANDARD_OUTPUT
from chainrule.cli._signals import describe, exit_code, interruptions
from chainrule.cli._tables import KINDS, SEPARATORS
from chainrule.cli._train import TEST_SIZE, Settings

_Add = Callable[..., Any]

_REPEATABLE: dict[str, Any] = {"action": "append", "default": []}
_FREE_TEXTS = ("target", "ignore", "categorical", "weight", "missing", "separator", "keep")  # options of any text
_GUARD = "\0"  # put before such a text, so that argparse does not take it for an option or for `--`


def run(arguments: Sequence[str]) -> int:
    """Run the command of these arguments and return the exit code."""
    options = parse(arguments)
    command: Callable[..., int] = options.pop("command")
    with interruptions() as received:
        try:
            return command(**options)
        except BrokenPipeError:  # the reader of a pipe, such as `| head`, has ended
            message = ""
        except KeyboardInterrupt:
            message = "interrupted"
        except OSError as error:
            message = f"{error.filename}: {error.strerror}" if error.filename else str(error)
        except MemoryError:
            message = "out of memory: use fewer rows at a time or narrower layers"
        except DivergenceError:
            message = "the cost became NaN or infinite, nothing is saved: choose a smaller --learning-rate"
        except (ImportError, ValueError, TypeError) as error:
            message = str(error)
    if received:  # an import that is interrupted by a signal may raise any error
        message = describe(received[0])
    if message:
        _console.complain(message)
    return exit_code(received)


def parse(arguments: Sequence[str]) -> dict[str, Any]:
    """Return the options by name, `command` among them; SystemExit for wrong usage and after `--help`."""
    options = vars(_make_parser().parse_args(_joined(arguments)))
    return {name: _restored(value) for name, value in options.items()}


class _Parser(argparse.ArgumentParser):
    """Adds suggestions to errors about unknown values and options."""

    def _check_value(self, action: argparse.Action, value: Any) -> None:
        try:
            super()._check_value(action, value)
        except argparse.ArgumentError as error:
            error.message += did_you_mean(value, action.choices or ())
            raise

    def parse_known_args(self, args: Any = None, namespace: Any = None) -> tuple[Any, list[str]]:
        found, unknown = super().parse_known_args(args, namespace)
        if unknown:
            hint = did_you_mean(unknown[0].partition("=")[0], self._option_string_actions)
            self.error(f"unrecognized arguments: {' '.join(unknown)}{hint}")
        return found, unknown


def _make_parser() -> argparse.ArgumentParser:
    parser = _Parser(prog="chainrule", description="Train dense feed-forward networks on CPUs.")
    parser.add_argument("--version", action="version", version=f"chainrule {_core.__version__}")
    commands = parser.add_subparsers(title="commands", required=True, metavar="COMMAND")

    demo = commands.add_parser("demo", help="train on data that scikit-learn ships", description=_commands.demo.__doc__)
    demo.add_argument("dataset", nargs="?", default="digits", choices=list(_commands.DEMOS), help="default: digits")
    _add_run_options(demo.add_argument, plot="where to write the learning curve; default: DATASET.png")
    demo.set_defaults(command=_commands.demo)

    train = commands.add_parser("train", help="train on a table", description=_commands.train.__doc__)
    train.add_argument("file", metavar="FILE", help=f"a table: {', '.join(KINDS)} (also .gz) or .parquet")
    train.add_argument("--target", required=True, metavar="COLUMN", help="the column to predict")
    _add_column_options(train.add_argument)
    _add_file_options(train.add_argument)
    _add_test_options(train.add_argument)
    _add_training_options(train.add_argument)
    network = train.add_argument_group(
        "a plain network",
        "Each of these trains one network with Adam and early stopping, instead of the recipe for tables.",
    )
    _add_network_options(network.add_argument)
    _add_run_options(train.add_argument, nargs="?", const="", plot="write the learning curve; default: NAME.png")
    train.set_defaults(command=_commands.train)

    predict = commands.add_parser("predict", help="predict a table's rows", description=_commands.predict.__doc__)
    predict.add_argument("model", metavar="MODEL", help="the model file that `chainrule train` wrote")
    predict.add_argument("file", metavar="FILE", help="a table like the training table; the target may be absent")
    predict.add_argument("--output", metavar="PATH", default=STANDARD_OUTPUT,
                         help=f"the file to write: {OUTPUT_KINDS}; default: -, CSV on standard output")  # fmt: skip
    predict.add_argument("--keep", metavar="COLUMN", **_REPEATABLE,
                         help="a column to copy, such as the row number; repeatable")  # fmt: skip
    predict.add_argument("--probabilities", action="store_true", help="also write the probability of each class")
    _add_layout_options(predict.add_argument, "as for `chainrule train`")
    predict.add_argument(
        "--threads", type=_positive_int, metavar="N", help="number of threads; default: chosen for the machine"
    )
    predict.set_defaults(command=_commands.predict)

    info = commands.add_parser("info", help="describe a model or the installation", description=_commands.info.__doc__)
    info.add_argument("model", nargs="?", metavar="MODEL", help="a model file; default: the installation")
    info.set_defaults(command=_commands.info)
    return parser


def _add_column_options(add: _Add) -> None:
    add(
        "--task",
        choices=["classification", "regression"],
        help="default: classification, unless the target holds fractions or more than 10 different whole numbers",
    )
    add("--ignore", metavar="COLUMN", **_REPEATABLE, help="a column to leave out, such as the row number; repeatable")
    add("--categorical", metavar="COLUMN", **_REPEATABLE, help="a column whose numbers are categories; repeatable")
    add(
        "--weight",
        metavar="COLUMN",
        help="the column with the weight of each row, for training and scores; it is not a feature",
    )
    add(
        "--class-weight",
        choices=["balanced"],
        help="give all classes the same total weight in training; default: give all rows the same weight",
    )


def _add_file_options(add: _Add) -> None:
    _add_layout_options(add, "detected")
    add(
        "--no-header",
        dest="header",
        action="store_false",
        help="the first row holds data; the columns are named 1, 2, ...",
    )
    add(
        "--decimal",
        choices=[".", ","],
        metavar="MARK",
        help="the decimal mark, . or ,; default: detected if unambiguous",
    )
    add(
        "--date-order",
        choices=["dmy", "mdy", "ymd"],
        help="the order of dates such as 03/04/2024; default: detected if unambiguous",
    )
    add("--missing", metavar="VALUE", **_REPEATABLE,
        help="a value that means missing in every column; repeatable. An empty field always means missing, "
             "and in columns of numbers ?, NA, NaN, null and similar words do too")  # fmt: skip


def _add_layout_options(add: _Add, default: str) -> None:
    add("--separator", type=_separator, metavar="CHARACTER",
        help=f"the character between fields, or tab, or space for any white space; default: {default}")  # fmt: skip
    add("--encoding", metavar="NAME", help=f"the encoding of the file, such as latin-1; default: {default}")


def _add_test_options(add: _Add) -> None:
    add("--test", metavar="FILE", help="a table for the test scores; default: part of the rows is held out")
    add(
        "--test-size",
        type=_fraction,
        metavar="FRACTION",
        help=f"the fraction of the rows to hold out for the test scores; default: {TEST_SIZE}",
    )


def _add_training_options(add: _Add) -> None:
    add(
        "--effort",
        choices=EFFORTS,
        help=f"{EFFORTS[1]} trains more networks for longer; default: {EFFORTS[0]}",
    )
    add(
        "--time-limit",
        type=_positive_float,
        metavar="SECONDS",
        help="the maximum training time; default: no limit",
    )
    add("--loss", choices=LOSSES, help=f"the loss for a target that is a number; default: {LOSSES[0]}")


def _add_network_options(add: _Add) -> None:
    default = PlainNetwork()
    add(
        "--hidden",
        type=_widths,
        metavar="WIDTHS",
        help=f"widths of the hidden layers, none for a linear model; default: {','.join(map(str, default.hidden))}",
    )
    add(
        "--activation",
        choices=_core.ACTIVATIONS,
        help=f"the activation of the hidden layers; default: {default.activation}",
    )
    add("--epochs", type=_positive_int, metavar="N", help=f"the maximum number of epochs; default: {default.epochs}")
    add("--batch-size", type=_positive_int, metavar="N", help="rows per step; default: 256, or fewer for small tables")
    add(
        "--learning-rate",
        type=_positive_float,
        metavar="RATE",
        help=f"the learning rate of Adam; default: {default.learning_rate:g}",
    )
    add("--l2", type=_not_negative_float, metavar="L2", help=f"the penalty on the weights; default: {default.l2:g}")


def _add_run_options(add: _Add, plot: str, **plot_options: Any) -> None:
    add("--output", metavar="PATH", help="where to save the model, - for standard output; default: NAME.safetensors")
    add("--plot", metavar="PATH", help=plot, **plot_options)
    add(
        "--seed",
        type=_not_negative_int,
        default=Settings.seed,
        metavar="N",
        help=f"the seed of the split, the initial weights and the order of the rows; default: {Settings.seed}",
    )
    add(
        "--threads",
        type=_positive_int,
        metavar="N",
        help="number of threads; default: chosen for the machine. It does not change the result",
    )
    add("--quiet", action="store_true", help="print nothing but warnings and errors")


def _joined(arguments: Sequence[str]) -> list[str]:
    """Join free texts to their options, so that argparse accepts any text.

    `--missing -` and `--missing --` are values; `--plot houses.csv` is an option without a value and the table.
    """
    joined: list[str] = []
    texts = [f"--{name}" for name in _FREE_TEXTS]
    rest = list(arguments)
    while rest:
        argument = rest.pop(0)
        if argument in texts and rest and not re.match(r"--[a-z]", rest[0]):
            argument = f"{argument}={_GUARD}{rest.pop(0)}"
        elif argument == "--plot" and rest and _is_table(rest[0]):
            argument = "--plot="
        joined.append(argument)
    return joined


def _is_table(path: str) -> bool:
    return os.path.splitext(path.lower().removesuffix(".gz"))[1] in (*KINDS, ".parquet")


def _restored(value: Any) -> Any:
    """Return the value of an option without the guard that `_joined` added."""
    if isinstance(value, list):
        return [_restored(entry) for entry in value]
    return value.removeprefix(_GUARD) if isinstance(value, str) else value


def _separator(text: str) -> str:
    text = SEPARATORS.get(text.removeprefix(_GUARD), text.removeprefix(_GUARD))
    if len(text) != 1 and text not in SEPARATORS.values():
        raise argparse.ArgumentTypeError(f"{text!r} is not one character, tab or space")
    return text


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
