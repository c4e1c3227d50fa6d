"""Strict JSON: like the core's parser, it rejects duplicate names, NaN and excessive nesting."""

import json
import math
from typing import Any


def parse(text: str | bytes) -> Any:
    """Parse JSON; raise ValueError if it is invalid.

    Examples
    --------
    >>> from chainrule._json import parse
    >>> parse('{"a": [1, 2.5, null]}')
    {'a': [1, 2.5, None]}
    """
    try:
        return json.loads(text, object_pairs_hook=_object, parse_constant=_finite, parse_float=_finite)
    except RecursionError:
        raise ValueError("it is nested too deeply") from None


def write(value: Any) -> str:
    """Return JSON that `parse` can read; raise ValueError for NaN and infinity."""
    return json.dumps(value, allow_nan=False)


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, value in pairs:
        if name in found:
            raise ValueError(f"it has the name {name!r:.100} twice in an object")
        found[name] = value
    return found


def _finite(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise ValueError(f"it has the number {text:.20}")
    return value
