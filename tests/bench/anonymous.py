"""Samples the anonymous memory of this process, which excludes mapped files."""

import contextlib
import threading
from collections.abc import Iterator


def anonymous() -> float:
    """Return the anonymous memory of this process in MB, read from /proc."""
    with open("/proc/self/status", encoding="ascii") as status:
        return int(status.read().split("RssAnon:")[1].split()[0]) * 1024 / 1e6


@contextlib.contextmanager
def peak() -> Iterator[list[float]]:
    """Sample while the block runs; the list that it yields holds the peak in MB."""
    found, ended = [anonymous()], threading.Event()

    def sample() -> None:
        while not ended.wait(0.005):
            found[0] = max(found[0], anonymous())

    thread = threading.Thread(target=sample)
    thread.start()
    try:
        yield found
    finally:
        ended.set()
        thread.join()
