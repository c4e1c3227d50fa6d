"""Parts of a C program as text that C99 and C++ read alike: identifiers, strings, comments, numbers, arrays."""

import re
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

LONGEST_STRING = 4095  # bytes; a C99 compiler need not accept more
_WIDTH = 110  # columns of a line of an array
# Keywords of C and C++, and macros that compilers and system headers define in lower case.
_RESERVED = re.findall(
    r"\w+",
    """
    alignas alignof and and_eq asm auto bitand bitor bool break case catch char class co_await co_return co_yield compl
    complex concept const const_cast consteval constexpr constinit continue decltype default delete do double
    dynamic_cast else enum explicit export extern false float for friend goto if imaginary inline int long mutable
    namespace new noexcept not not_eq nullptr operator or or_eq private protected public register reinterpret_cast
    requires restrict return short signed sizeof static static_assert static_cast struct switch template this
    thread_local throw true try typedef typeid typename typeof union unsigned using virtual void volatile wchar_t while
    xor xor_eq assert errno far i386 linux math_errhandling near stderr stdin stdout unix vector
    """,
)


def is_identifier(name: str) -> bool:
    """Return whether names that begin with `name` and an underscore are valid, and not reserved in C++."""
    return bool(re.fullmatch(r"[A-Za-z][A-Za-z0-9]*(_[A-Za-z0-9]+)*", name))


def identifiers(names: Sequence[str]) -> list[str]:
    """Return a different identifier for each name.

    Letters become lower case, and each run of characters other than a-z and 0-9 becomes one underscore. A name that
    does not begin with a letter begins with "x", a keyword ends with an underscore, and a second equal name with "_2".

    >>> identifiers(["Age", "Résumé (%)", "2nd", "class", "age", ""])
    ['age', 'r_sum', 'x2nd', 'class_', 'age_2', 'x']
    """
    found: dict[str, None] = {}
    for name in names:
        word = re.sub("[^a-z0-9]+", "_", name.lower()).strip("_")
        word = word if word[:1].isalpha() else f"x{word}"
        word += "_" * (word in _RESERVED)
        number, unique = 1, word
        while unique in found:
            number += 1
            unique = f"{word.rstrip('_')}_{number}"
        found[unique] = None
    return list(found)


def string(text: str, what: str) -> str:
    r"""Return a string literal of the text's bytes in UTF-8; `what` names the text in an error.

    >>> print(string('a "b" ??/ ü', "the level"))
    "a \"b\" \?\?/ \303\274"
    """
    try:
        data = text.encode()
    except UnicodeEncodeError:
        raise ValueError(f"{what} {text!r:.100} has an unpaired surrogate, which UTF-8 cannot express") from None
    if b"\0" in data:
        raise ValueError(f"{what} {text!r:.100} has a null character, which ends a string in C")
    if len(data) > LONGEST_STRING:
        raise ValueError(f"{what} {text!r:.100} has {len(data):,} bytes, a string in C99 at most {LONGEST_STRING:,}")
    return f'"{"".join(map(_escape, data))}"'


def quoted(text: str) -> str:
    r"""Return a text in quotes for a comment, escaped so that it cannot end the comment.

    >>> print(quoted("*/ int x; \n"))
    "\052/ int x; \012"
    """
    return f'"{"".join(map(_escape, text.encode(errors="replace")))}"'.replace("*", r"\052")


def _escape(byte: int) -> str:
    character = chr(byte)
    if character in '"\\?':  # ? could begin a trigraph
        return f"\\{character}"
    return character if 32 <= byte < 127 else f"\\{byte:03o}"


def numbers(values: ArrayLike, dtype: str) -> list[str]:
    """Return the shortest literals that give these values back in "float32", "float64", or as integers.

    >>> numbers([1, 0.1, float("nan")], "float32"), numbers([0.1, 1e300], "float64"), numbers([3], "int8")
    (['1.0f', '0.1f', 'NAN'], ['0.1', '1e+300'], ['3'])
    """
    array = np.asarray(values).astype(dtype).ravel()
    words = list(map(str, array if dtype == "float32" else array.tolist()))
    named = {"nan": "NAN", "inf": "INFINITY", "-inf": "-INFINITY"}
    return [named.get(word) or word + "f" * (dtype == "float32") for word in words]


def number(value: float, dtype: str = "float64") -> str:
    """Return the literal of one number."""
    return numbers([value], dtype)[0]


def array(declaration: str, literals: Iterable[Any]) -> str:
    """Return the definition of an array, such as ``static const int a[] = {1, 2};``."""
    words = list(map(str, literals))
    line = f"static const {declaration}[] = {{{', '.join(words)}}};"
    if len(line) <= _WIDTH:
        return line
    count = max(1, _WIDTH // (2 + max(map(len, words))))  # per line
    lines = [f"  {', '.join(words[first : first + count])}," for first in range(0, len(words), count)]
    return "\n".join([f"static const {declaration}[] = {{", *lines, "};"])
