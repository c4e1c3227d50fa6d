"""Arrays that are written to a temporary file part by part, and then mapped into memory."""

import tempfile
from typing import Any

import numpy as np
from numpy.typing import NDArray


class StoredArray:
    """Writes the rows of an array to a temporary file, which is deleted with the last array that maps it."""

    def __init__(self) -> None:
        self._file = tempfile.TemporaryFile(prefix="chainrule-")  # noqa: SIM115 - `__exit__` closes it
        self._n_rows = 0
        self._part: NDArray[Any]  # no rows, but the columns and the type

    def __enter__(self) -> "StoredArray":
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    def append(self, rows: NDArray[Any]) -> None:
        """Write rows, C-contiguous; those of all calls have the same type and number of columns."""
        self._file.write(rows.data)
        self._n_rows += len(rows)
        self._part = rows[:0].copy()

    def array(self) -> NDArray[Any]:
        """Return all rows as an array that maps the file, even after it has been closed."""
        shape, dtype = (self._n_rows, *self._part.shape[1:]), self._part.dtype
        if 0 in shape:  # an empty file cannot be mapped
            return np.empty(shape, dtype)
        self._file.flush()
        return np.memmap(self._file, dtype, "r", shape=shape)
