"""Warnings that point to the user's line of code."""

import sys
import warnings


def warn(text: str, category: type[Warning] = UserWarning) -> None:
    """Issue a warning for the innermost line of the call stack that is neither in this package nor in scikit-learn."""
    frame, level = sys._getframe(1), 1
    while frame.f_back is not None and frame.f_globals["__name__"].startswith(("chainrule.", "sklearn.")):
        frame, level = frame.f_back, level + 1
    warnings.warn(text, category, stacklevel=level + 1)
