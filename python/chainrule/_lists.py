"""Puts the core's lists of activations, losses and metrics into docstrings."""

import re
from collections.abc import Callable, Iterable
from textwrap import indent
from typing import Any, TypeVar

from chainrule import _core

Thing = TypeVar("Thing", bound=Callable[..., Any])


def _table(heading: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> str:
    """Return a table in reStructuredText."""
    lines = [heading, *rows]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    rule = "  ".join("=" * width for width in widths)
    first, *others = ["  ".join(map(str.ljust, line, widths)).rstrip() for line in lines]
    return "\n".join([rule, first, rule, *others, rule])


_TABLES = {
    "activations": _table(
        ("activation", "initial weights", "g(z)"),
        ((f'"{name}"', traits.init, traits.formula) for name, traits in _core.ACTIVATIONS.items()),
    ),
    "losses": _table(
        ("loss", "y", "prediction", "L of one row with logits z"),
        ((f'"{name}"', traits.targets, traits.output, traits.formula) for name, traits in _core.LOSSES.items()),
    ),
    "metrics": _table(
        ("metric", "best", "meaning"),
        (
            (
                f'"{name}"',
                "largest" if traits.more_is_better else "smallest",
                traits.meaning + (f"; NaN where {traits.undefined}" if traits.undefined else ""),
            )
            for name, traits in _core.METRICS.items()
        ),
    ),
}


def with_lists(thing: Thing) -> Thing:
    """Replace the lines ``{activations}``, ``{losses}`` and ``{metrics}`` of a docstring by tables of the core's lists.

    Examples
    --------
    >>> import chainrule as cr
    >>> '"relu"' in cr.forward.__doc__, '"huber"' in cr.cost.__doc__
    (True, True)
    """
    if thing.__doc__ is not None:  # None with python -OO
        line = re.compile(rf"^( *){{({'|'.join(_TABLES)})}}$", re.MULTILINE)
        thing.__doc__ = line.sub(lambda m: indent(_TABLES[m[2]], m[1]), thing.__doc__)
    return thing
