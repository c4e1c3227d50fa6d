"""Functions that the workers of an executor call: losses and loaders, some of which kill or stop their worker."""

import os
import signal
from pathlib import Path


def half_of_square(logits, y, weight):
    difference = logits - y
    return float((difference**2).sum() / 2 / len(y)), difference / len(y)


class KillOnce:
    """A loss that kills its process in its first call, after it has written a file."""

    def __init__(self, path):
        self.path = path

    def __call__(self, logits, y, weight):
        if not Path(self.path).exists():
            Path(self.path).touch()
            os.kill(os.getpid(), signal.SIGKILL)
        return half_of_square(logits, y, weight)


class Kill:
    """A loss that kills its process."""

    def __call__(self, logits, y, weight):
        os.kill(os.getpid(), signal.SIGKILL)


class Loader:
    """Loads an array, and writes the number of the process to a file."""

    def __init__(self, array, path):
        self.array, self.path = array, path

    def __call__(self):
        with open(self.path, "a") as file:
            file.write(f"{os.getpid()}\n")
        return self.array


class Fail:
    """A loader that raises an error."""

    def __call__(self):
        raise OSError("no such table")


class KillOnceLoader(KillOnce):
    """Loads an array; kills its process in the first call, after it has written a file."""

    def __init__(self, array, path):
        self.array, self.path = array, path

    def __call__(self):
        if not Path(self.path).exists():
            Path(self.path).touch()
            os.kill(os.getpid(), signal.SIGKILL)
        return self.array


class StopLoader:
    """Loads an array; stops the process if it is the one with this number."""

    def __init__(self, array, pid):
        self.array, self.pid = array, pid

    def __call__(self):
        if os.getpid() == self.pid:
            os.kill(self.pid, signal.SIGSTOP)
        return self.array
