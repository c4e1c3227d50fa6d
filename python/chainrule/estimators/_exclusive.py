"""One fit at a time for each estimator: on an error a second one would undo the changes of the first."""

from collections.abc import Iterator
from contextlib import contextmanager

_fitting: dict[int, object] = {}  # by id: an estimator with a lock could not be pickled


@contextmanager
def exclusive(estimator: object) -> Iterator[None]:
    """Raise RuntimeError where another call fits the estimator, from another thread or a callback."""
    call = object()
    if _fitting.setdefault(id(estimator), call) is not call:  # atomic
        raise RuntimeError(f"this {type(estimator).__name__} is being trained by another call")
    try:
        yield
    finally:
        del _fitting[id(estimator)]
