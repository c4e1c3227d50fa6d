"""The memory of a process, read from /proc."""

import contextlib
import threading
from collections.abc import Iterator
from pathlib import Path


def resident(name: str, process: int | str = "self") -> int:
    """Return VmRSS, the resident memory, VmHWM, its peak, or RssAnon, which excludes mapped files, in bytes."""
    status = Path(f"/proc/{process}/status").read_text()
    return int(status.split(name + ":")[1].split()[0]) * 1024


@contextlib.contextmanager
def anonymous_memory() -> Iterator[list[int]]:
    """Sample RssAnon while the block runs; the list that it yields holds the value at the beginning, and the peak."""
    found, ended = [resident("RssAnon")] * 2, threading.Event()

    def sample() -> None:
        while not ended.wait(0.001):
            found[1] = max(found[1], resident("RssAnon"))

    thread = threading.Thread(target=sample)
    thread.start()
    try:
        yield found
    finally:
        ended.set()
        thread.join()
