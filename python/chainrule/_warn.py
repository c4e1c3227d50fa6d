"""Warnings of the line that called this package, through how many of its own functions and scikit-learn's ever."""

import sys
import warnings


def warn(text: str, category: type[Warning] = UserWarning) -> None:
    """Warn of the first line of the call stack that is neither this package's nor scikit-learn's."""
    frame, level = sys._getframe(1), 1
    while frame.f_back is not None and frame.f_globals["__name__"].startswith(("chainrule.", "sklearn.")):
        frame, level = frame.f_back, level + 1
    warnings.warn(text, category, stacklevel=level + 1)
