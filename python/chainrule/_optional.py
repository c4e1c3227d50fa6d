"""Imports optional packages when they are first used, so that `import chainrule` needs only NumPy."""

import importlib
from types import ModuleType


def require(module: str, extra: str) -> ModuleType:
    """Import a module; the error for a missing package names the extra that installs it.

    Parameters
    ----------
    module : str
        The module's full name, such as ``"matplotlib.figure"``.
    extra : str
        The extra of ``chainrule`` that installs it, such as ``"plot"``.

    Returns
    -------
    module
        The imported module.

    Raises
    ------
    ImportError
        If the module's package is not installed; the message holds the command that installs it.

    Examples
    --------
    >>> from chainrule._optional import require
    >>> require("json", extra="cli").dumps([1, 2])
    '[1, 2]'
    """
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as error:
        package = module.partition(".")[0]
        raise ImportError(f'this needs {package}: pip install "chainrule[{extra}]"', name=package) from error
