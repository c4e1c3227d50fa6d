"""Data sets in Parquet and Arrow files, read part by part."""

import mmap
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from chainrule import _core
from chainrule._disk import StrPath
from chainrule._optional import require
from chainrule._suggest import did_you_mean, explained
from chainrule._warn import warn

_MERGED = 65536  # smaller row groups are merged into parts of at least this many rows
_MERGED_TABLES = (
    16384  # likewise for tables that are encoded, whose parts need several times the memory of their values
)
_COLUMNS = 16  # columns that are decoded at a time, so that memory holds only these besides the part


@explained
class Rows:
    """The rows of a data set in files, which `Network` and the estimators accept in place of X and y.

    The files are read part by part, in a separate thread: while the network trains on one part, the next is read. So
    memory holds only two parts and the target column, however large the data set is. A part is a row group of a Parquet
    file, a record batch of an Arrow file, several of these if they are small, or one part of ``WithinParts``.
    Results have the same bits as with arrays in memory and the same ``shuffle``. Needs the extra ``parquet``.

    The table estimators, and the MLP estimators with an encoding (see ``preprocess``), take columns of every kind. They
    learn the encoding from one column at a time, and then read the files once to write the encoded rows to temporary
    files, in the folder that `tempfile.gettempdir` returns, from which the networks read them in any order.

    Parameters
    ----------
    paths : str, path, or sequence of these
        Files, or folders, whose files are taken in the order of their names. The ending determines the format:
        ``.arrow``, ``.feather`` or ``.ipc`` for Arrow, otherwise Parquet.
    target : str, optional
        The column that is y. It is read at its first use and then stays in memory.
    columns : sequence of str, optional
        The columns that are X. Default: all except the target.

    Attributes
    ----------
    shape : (int, int)
        The numbers of rows and of columns of X.
    columns : tuple of str
        The names of the columns of X.
    dtype : dtype
        The type of X in memory, as the estimators choose it: float32 if all columns fit in it, otherwise float64.
    largest_part : int
        Number of rows of the largest row group or record batch: a good size for `WithinParts`.

    Raises
    ------
    ImportError
        If pyarrow is not installed; the message gives the command that installs it.
    ValueError
        If a column does not exist, if there are no rows, and, during reading, if a value is missing.
    TypeError
        During reading, for a column of X that does not hold numbers or booleans, unless it is encoded.
    OSError
        For a file that does not exist or cannot be read.

    Examples
    --------
    >>> import chainrule as cr, numpy as np, os, tempfile
    >>> import pyarrow as pa, pyarrow.parquet as pq
    >>> folder = tempfile.mkdtemp()
    >>> for i in range(3):
    ...     x = np.linspace(i, i + 1, 1000)
    ...     pq.write_table(pa.table({"x": x, "y": x**2}), os.path.join(folder, f"{i}.parquet"), row_group_size=500)
    >>> rows = cr.Rows(folder, target="y")
    >>> rows
    Rows of 3 files: 3000 rows, columns x, target y
    >>> net = cr.Network([1, 16, 1], loss="squared_error", seed=0)
    >>> history = net.fit(rows, shuffle=cr.WithinParts(500), batch_size=50, epochs=20)
    >>> net.predict(rows).shape, bool(net.loss(rows) < rows.y.var() / 2)
    ((3000, 1), True)
    """

    def __init__(
        self,
        paths: StrPath | Sequence[StrPath],
        *,
        target: str | None = None,
        columns: Sequence[str] | None = None,
    ) -> None:
        if isinstance(columns, str):
            raise TypeError(f"columns must be a sequence of names, got {columns!r}")
        self._arguments = {"paths": paths, "target": target, "columns": columns}
        self._files = _Files([paths] if isinstance(paths, (str, os.PathLike)) else paths)
        types = self._files.types
        wanted = [name for name in types if name != target] if columns is None else list(columns)
        for name in [*wanted, *([] if target is None else [target])]:
            if name not in types:
                raise ValueError(f"the files have no column {name!r}{did_you_mean(name, types)}")
        if target in wanted:
            raise ValueError(f"the target {target!r} is also one of the columns")
        self.columns, self._target = tuple(wanted), target
        self._y: NDArray[Any] | None = None
        self.shape = int(self._files.edges[-1]), len(wanted)
        if 0 in self.shape:
            raise ValueError(f"there are no {'rows' if self.shape[0] == 0 else 'columns'} in {paths}")
        self.largest_part = int(np.diff(self._files.edges).max())

    @property
    def y(self) -> NDArray[Any]:
        """The target column, in the type of the files."""
        if self._y is None:
            self._y = self.read_target(0, self.shape[0])
        return self._y

    def read_target(self, start: int, stop: int) -> NDArray[Any]:
        """Return the rows from start to stop of the target column, without caching them."""
        if self._target is None:
            raise ValueError("y is missing: pass y, or name its column with Rows(..., target=)")
        edges = self._files.edges
        with _Opened(self._files) as files:
            return np.concatenate(
                [
                    files.columns(group, [self._target])[0][max(start - edges[group], 0) : stop - edges[group]]
                    for group in range(np.searchsorted(edges, start, "right") - 1, np.searchsorted(edges, stop))
                ]
            )

    def _refuse_others(self) -> None:
        """Raise TypeError for a column that does not hold numbers."""
        for name in self.columns:
            if not _is_number(self._files.types[name]):
                raise TypeError(
                    f"column {name!r} has type {self._files.types[name]}, expected numbers: leave it out of columns=, "
                    "or fit a table estimator, or an MLP estimator with preprocess=True"
                )

    def read(self, start: int, stop: int, dtype: DTypeLike = "float32") -> NDArray[Any]:
        """Return the rows from start to stop of X as an array in memory."""
        self._refuse_others()
        first, last, _ = slice(start, stop).indices(self.shape[0])
        with _Opened(self._files) as files:
            return self._read(files, first, np.empty((max(last - first, 0), self.shape[1]), dtype))

    def _read(self, files: "_Opened", start: int, out: NDArray[Any]) -> NDArray[Any]:
        edges, stop = self._files.edges, start + len(out)
        for group in range(np.searchsorted(edges, start, "right") - 1, np.searchsorted(edges, stop)):
            low, high = max(start, edges[group]), min(stop, edges[group + 1])
            rows = out[low - start : high - start]
            for first in range(0, len(self.columns), _COLUMNS):
                names = self.columns[first : first + _COLUMNS]
                columns = [column[low - edges[group] : high - edges[group]] for column in files.columns(group, names)]
                _core.write_columns(columns, rows[:, first : first + _COLUMNS])
        return out

    def column(self, name: str) -> Any:
        """Return a column of X as an Arrow array in chunks."""
        with _Opened(self._files) as files:
            groups = [files.table(group, [name]) for group in range(len(self._files.groups))]
        return _joined(groups).column(0)

    def tables(self) -> Iterator[tuple[int, Any]]:
        """Yield the parts of X as they are stored, as Arrow tables, each with the number of its first row."""
        edges = self._files.edges
        with _Opened(self._files) as files:
            for start, stop in pairwise(_merged(edges, _MERGED_TABLES).tolist()):
                groups = range(np.searchsorted(edges, start), np.searchsorted(edges, stop))
                yield start, _joined([files.table(group, self.columns) for group in groups])

    @property
    def dtype(self) -> "np.dtype[Any]":
        """The NumPy type of X in memory: float32 if all its columns fit, otherwise float64."""
        self._refuse_others()
        kinds = [kind.to_pandas_dtype() for name, kind in self._files.types.items() if name in self.columns]
        return np.dtype("float32" if np.result_type(*kinds) == "float32" else "float64")

    def reader(self, dtype: DTypeLike, part_rows: int) -> "PartReader":
        """Return the reader for the core: parts of part_rows rows or, if that is 0, parts as they are stored."""
        self._refuse_others()
        stored, count = self._files.edges, self.shape[0]
        if part_rows == 0:
            return PartReader(self, dtype, _merged(stored, _MERGED))
        edges = np.append(np.arange(0, count, part_rows), count)
        groups = np.searchsorted(stored, edges[1:]) - np.searchsorted(stored, edges[:-1], "right") + 1
        times = float(groups.sum() / (len(stored) - 1))
        if times > 2:
            warn(
                f"with parts of {part_rows} rows, each row group of the files is read {times:.1f} times per epoch: "
                f"WithinParts({self.largest_part}) makes the parts as large as the largest row group"
            )
        return PartReader(self, dtype, edges)

    def empty_table(self) -> Any:
        """Return an Arrow table without rows that has the columns of X."""
        arrow = require("pyarrow", "parquet")
        return arrow.schema([(name, self._files.types[name]) for name in self.columns]).empty_table()

    def __repr__(self) -> str:
        some = ", ".join(self.columns[:5]) + (", ..." if len(self.columns) > 5 else "")
        target = "" if self._target is None else f", target {self._target}"
        count = len(self._files.paths)
        return f"Rows of {count} file{'s' * (count > 1)}: {self.shape[0]} rows, columns {some}{target}"

    def __reduce__(self) -> tuple[Any, ...]:
        return _remake, (self._arguments,)


def _remake(arguments: dict[str, Any]) -> Rows:
    return Rows(**arguments)


def target_of(X: Any, y: Any, caller: str) -> Any:
    """Return y or, if it is missing, the target of X, which must then be Rows; an error names `caller`."""
    if y is None and not isinstance(X, Rows):
        raise TypeError(f"{caller} needs y, got None")
    return X.y if y is None else y


class PartReader:
    """Reads the parts of `Rows` that the core requests, in a separate thread.

    Attributes
    ----------
    edges : ndarray of int
        Part p has the rows from ``edges[p]`` to ``edges[p + 1]``.
    """

    def __init__(self, rows: Rows, dtype: DTypeLike, edges: NDArray[np.int64]) -> None:
        self.edges = edges
        self._rows, self._dtype, self._files = rows, np.dtype(dtype), _Opened(rows._files)
        self._thread = ThreadPoolExecutor(1, "chainrule-rows")
        self._asked: tuple[int, Future[NDArray[Any]]] | None = None
        self._spare: list[Any] = []  # memory of a part that the caller has given back

    def ask(self, part: int) -> None:
        """Begin to read a part."""
        if self._asked is not None:
            self._asked[1].cancel()
        self._asked = part, self._thread.submit(self._read, part)

    def take(self, part: int) -> NDArray[Any]:
        """Return a part, which the caller then owns."""
        if self._asked is None or self._asked[0] != part:
            self.ask(part)
        (_, future), self._asked = self._asked, None  # type: ignore[misc]
        return future.result()

    def give_back(self, part: NDArray[Any] | None) -> None:
        """Keep the memory of a part for the next one, as new pages cost as much time as decoding. None: keep none."""
        self._spare[:] = [] if part is None else [part.base]

    def _read(self, part: int) -> NDArray[Any]:
        start, stop = self.edges[part : part + 2].tolist()
        shape = stop - start, self._rows.shape[1]
        largest = int(np.diff(self.edges).max()) * shape[1] * self._dtype.itemsize
        memory = self._spare.pop() if self._spare else mmap.mmap(-1, largest)  # goes back to the system when freed
        return self._rows._read(self._files, start, np.ndarray(shape, self._dtype, memory))

    def close(self) -> None:
        """End the thread and close the files."""
        self._thread.shutdown(cancel_futures=True)
        self._files.close()


class _ParquetFile:
    """A Parquet file, whose row groups are read one after the other."""

    def __init__(self, path: str) -> None:
        self._file = require("pyarrow.parquet", "parquet").ParquetFile(path, memory_map=True)
        self.types = _types(self._file.schema_arrow)
        self.sizes = [self._file.metadata.row_group(i).num_rows for i in range(self._file.metadata.num_row_groups)]

    def table(self, group: int, names: Sequence[str]) -> Any:
        """Read columns of a row group."""
        return self._file.read_row_group(group, columns=list(names), use_threads=False)

    def close(self) -> None:
        """Close the file."""
        self._file.close()


class _ArrowFile:
    """An Arrow file, whose record batches are read in place if they are not compressed."""

    def __init__(self, path: str) -> None:
        self._arrow = require("pyarrow", "parquet")
        self._map = self._arrow.memory_map(path)
        self._file = require("pyarrow.ipc", "parquet").open_file(self._map)
        self.types = _types(self._file.schema)
        self.sizes = [self._file.get_batch(i).num_rows for i in range(self._file.num_record_batches)]

    def table(self, group: int, names: Sequence[str]) -> Any:
        """Return columns of a record batch."""
        return self._arrow.Table.from_batches([self._file.get_batch(group)]).select(names)

    def close(self) -> None:
        """Close the file."""
        self._map.close()


def _open(path: str) -> _ParquetFile | _ArrowFile:
    try:
        return (_ArrowFile if path.lower().endswith((".arrow", ".feather", ".ipc")) else _ParquetFile)(path)
    except ValueError as error:  # of pyarrow, for a file of another format
        raise ValueError(f"{path}: {error}") from error


class _Files:
    """The files of a data set, and the location of its rows in them.

    Attributes
    ----------
    paths : list of str
        The files.
    types : dict
        The Arrow type of each column.
    groups : list of (int, int)
        For each row group, the number of its file and its number in that file.
    edges : ndarray of int
        Row group i has the rows from ``edges[i]`` to ``edges[i + 1]``.
    """

    def __init__(self, paths: Iterable[StrPath]) -> None:
        self.paths = [file for path in paths for file in _files_of(os.fspath(path))]
        self.types: Mapping[str, Any] = {}
        self.groups: list[tuple[int, int]] = []
        sizes: list[int] = []
        for i, path in enumerate(self.paths):
            file = _open(path)
            self.types = self.types or file.types
            if missing := [name for name in self.types if name not in file.types]:
                raise ValueError(f"{path} has no column {missing[0]!r}, which {self.paths[0]} has")
            self.groups += [(i, number) for number in range(len(file.sizes))]
            sizes += file.sizes
            file.close()
        self.edges = np.cumsum([0, *sizes], dtype=np.int64)


class _Opened:
    """Reads columns of row groups. One file at a time is open."""

    def __init__(self, files: _Files) -> None:
        self._files = files
        self._file: _ParquetFile | _ArrowFile | None = None
        self._number = -1

    def __enter__(self) -> "_Opened":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the file that is open, and give memory that Arrow has freed back to the system."""
        if self._file is not None:
            self._file.close()
        self._file, self._number = None, -1
        require("pyarrow", "parquet").default_memory_pool().release_unused()

    def table(self, group: int, names: Sequence[str]) -> Any:
        """Read columns of a row group as an Arrow table."""
        number, within = self._files.groups[group]
        if number != self._number or self._file is None:
            self.close()
            self._file, self._number = _open(self._files.paths[number]), number
        return self._file.table(within, names)

    def columns(self, group: int, names: Sequence[str]) -> list[NDArray[Any]]:
        """Read columns of numbers of a row group."""
        table = self.table(group, names)
        columns = []
        for name in names:
            column = table.column(name)
            if column.null_count:
                row = next(i for i, value in enumerate(column) if not value.is_valid)
                raise ValueError(
                    f"there is no value in row {int(self._files.edges[group]) + row}, column {name!r} "
                    f"({self._files.paths[self._number]}): fill the gap, or leave the row or the column out"
                )
            columns.append(column.to_numpy())
        return columns


def _files_of(path: str) -> Iterator[str]:
    """Return the path of a file, or the files in a folder, except those that begin with a dot or underscore."""
    if not os.path.isdir(path):
        yield path
        return
    for name in sorted(os.listdir(path)):
        if not name.startswith((".", "_")):
            yield from _files_of(os.path.join(path, name))


def _types(schema: Any) -> dict[str, Any]:
    return dict(zip(schema.names, schema.types, strict=True))


def _joined(tables: Sequence[Any]) -> Any:
    """Join Arrow tables; a column that has several types of numbers gets a common one."""
    return require("pyarrow", "parquet").concat_tables(tables, promote_options="permissive")


def _is_number(kind: Any) -> bool:
    types = require("pyarrow.types", "parquet")
    return bool(types.is_integer(kind) or types.is_floating(kind) or types.is_boolean(kind))


def _merged(edges: NDArray[np.int64], least: int) -> NDArray[np.int64]:
    """Merge small neighboring row groups into parts of at least this many rows."""
    kept = [int(edges[0])]
    for edge in edges[1:-1].tolist():
        if edge - kept[-1] >= least:
            kept.append(edge)
    return np.array([*kept, int(edges[-1])])
