"""One fit at a time for each estimator: a second one would put back what the first is just changing."""

from collections.abc import Iterator
from contextlib import contextmanager

_fitting: dict[int, object] = {}  # by the id, since a lock in an estimator could not be pickled


@contextmanager
def exclusive(estimator: object) -> Iterator[None]:
    """Raise RuntimeError where another call fits the estimator, from another thread or a callback."""
    call = object()
    if _fitting.setdefault(id(estimator), call) is not call:  # one step, which no other thread interrupts
        raise RuntimeError(f"this {type(estimator).__name__} is being trained by another call")
    try:
        yield
    finally:
        del _fitting[id(estimator)]
