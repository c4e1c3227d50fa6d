"""Type checks and documentation of settings, generated from the core's lists."""

import dataclasses
import textwrap
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, ClassVar, NamedTuple, TypeVar

from chainrule import _core
from chainrule._arguments import flag, integer, real
from chainrule._suggest import explained

Class = TypeVar("Class", bound=type)


class Setting(NamedTuple):
    """A field of a struct of options."""

    name: str
    type: str
    default: Any
    range: str  # words to follow "expected" in a message; empty if every value is allowed
    meaning: str
    elsewhere: str = ""  # its names in other libraries

    def checked(self, value: Any) -> Any:
        """Check the type of a value. The core checks the range."""
        if value is None and self.default is None:
            return None
        return _BY_TYPE[self.type](self.name, value) if self.type in _BY_TYPE else value

    def documented(self, default: Any) -> str:
        """Return the entry for the docstring of a function or class with this default."""
        kinds = [self.type, *([self.range] if self.range else [])]
        kinds.append("optional" if default is None else f"default {default!r}".replace("'", '"'))
        meaning = textwrap.fill(self.meaning, 108, break_on_hyphens=False)
        return f"{self.name} : {', '.join(kinds)}\n{textwrap.indent(meaning, '    ')}"


_BY_TYPE: dict[str, Callable[[str, Any], Any]] = {"bool": flag, "int": integer, "float": real}
SETTINGS = {owner: {entry[0]: Setting(*entry) for entry in fields} for owner, fields in _core.SETTINGS.items()}


def indented(entries: Iterable[str], levels: int) -> str:
    """Join entries of a docstring and indent them by a number of levels, except for the first line."""
    return textwrap.indent("\n".join(entries), "    " * levels).lstrip()


@dataclass(frozen=True)
class Settings:
    """Base of classes that mirror an options struct of the core. The constructor checks the values."""

    core_name: ClassVar[str]  # the name of the struct: that of the class, or of its base class

    def __init_subclass__(cls) -> None:
        if cls.__name__ in SETTINGS:
            cls.core_name = cls.__name__

    def __post_init__(self) -> None:
        for setting in SETTINGS[self.core_name].values():
            setting.checked(getattr(self, setting.name))
        _core.check_settings(self)


def documented(kind: Class) -> Class:
    """Replace ``{parameters}`` in the docstring of a class by its settings, and apply `explained` to the class."""
    defaults = {field.name: field.default for field in dataclasses.fields(kind)}
    entries = (setting.documented(defaults[name]) for name, setting in SETTINGS[kind.core_name].items())  # type: ignore[attr-defined]
    if kind.__doc__ is not None:  # None with python -OO
        kind.__doc__ = kind.__doc__.replace("{parameters}", indented(entries, 1))
    return explained(kind)
