"""Type checks of scalar arguments: an error names the argument and the value."""

import operator
from collections.abc import Collection, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from numbers import Real
from typing import Any

import numpy as np

from chainrule._suggest import did_you_mean, unknown

DTYPES = ("float32", "float64")


def integer(name: str, value: Any, *, low: int = -(2**31), high: int = 2**31 - 1) -> int:
    """Check and convert a Python or NumPy integer from low to high. The core checks the range of the setting."""
    try:
        number = int(operator.index(value))
    except TypeError:
        raise TypeError(f"{name} must be an integer, got {value!r}") from None
    if not low <= number <= high:
        raise ValueError(f"{name} is {number}, expected from {low} to {high}")
    return number


def optional_integer(name: str, value: Any, *, high: int = 2**31 - 1) -> int | None:
    """Check and convert an integer, or None for the default."""
    return None if value is None else integer(name, value, high=high)


def seed_number(value: Any) -> int:
    """Check and convert a seed: an integer from 0 to 2**64 - 1."""
    return integer("seed", value, low=0, high=2**64 - 1)


def sizes(value: Iterable[Any]) -> list[int]:
    """Check and convert the sizes of the layers."""
    if not isinstance(value, Iterable):
        raise TypeError(f"layer_sizes must be a sequence of integers, got {value!r}")
    return [integer(f"layer_sizes[{i}]", size) for i, size in enumerate(value)]


def real(name: str, value: Any) -> float:
    """Check and convert a real Python or NumPy number."""
    if not isinstance(value, Real):
        raise TypeError(f"{name} must be a number, got {value!r}")
    return _float(name, value)


def returned(what: str, value: Any) -> float:
    """Check and convert the result of a user's function: a real number of any library."""
    is_complex = getattr(getattr(value, "dtype", None), "kind", None) == "c"  # float() would drop the imaginary part
    if hasattr(value, "__float__") and not is_complex:
        with suppress(TypeError):  # raised for an array of several numbers
            return _float(what, value)
    raise TypeError(f"{what} is {value!r}, expected a number")


def _float(what: str, value: Any) -> float:
    try:
        return float(value)
    except OverflowError:
        raise ValueError(f"{what} is too large for a floating-point number") from None


def flag(name: str, value: Any) -> bool:
    """Check and convert a Python or NumPy boolean."""
    if not isinstance(value, (bool, np.bool_)):
        raise TypeError(f"{name} must be True or False, got {value!r}")
    return bool(value)


def text(name: str, value: Any) -> str:
    """Check a string."""
    if not isinstance(value, str):
        raise TypeError(f"{name} must be a string, got {value!r}")
    return value


def one_of(what: str, value: Any, options: Collection[str]) -> str:
    """Check that a string is one of the options."""
    if not isinstance(value, str):
        raise TypeError(f"{what} must be a string, got {value!r}{did_you_mean(value, options)}")
    if value not in options:
        raise ValueError(unknown(what, value, options))
    return str(value)


def dtype_name(value: Any) -> str:
    """Check and convert the dtype of a network, given in any form that NumPy accepts."""
    try:
        found = str(np.dtype(value).name)
    except (TypeError, ValueError):  # raised for unknown strings and for types of other libraries
        raise TypeError(unknown("dtype", str(value), DTYPES)) from None
    if found not in DTYPES:
        raise TypeError(f"dtype must be {' or '.join(DTYPES)}, got {found}")
    return found


def refuse_dict(name: str, value: Any) -> None:
    """Raise TypeError if the rows are a dict; the message says how to make a table from it."""
    if isinstance(value, Mapping) and not hasattr(value, "shape"):  # SciPy's dok_matrix is a dict
        raise TypeError(
            f"{name} is a dict, expected two dimensions: (rows, columns); use pandas.DataFrame([{name}]) if it is one "
            f"row, pandas.DataFrame({name}) if it maps names to columns"
        )


@contextmanager
def about(what: str | None) -> Iterator[None]:
    """Prefix the errors of the block with a subject, if there is one: ``"validation: X has 3 columns"``."""
    try:
        yield
    except (TypeError, ValueError) as error:
        if what is not None:
            error.args = (f"{what}: {error}", *error.args[1:])
        raise
