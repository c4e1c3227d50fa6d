"""Train one network on a Dask cluster, with the same bits as on one machine.

The workers keep the rows in aligned parts (`chainrule.scale.aligned_parts`), however the collection is chunked. In
each step, one task per worker receives the network and returns partial sums of the gradient. Tasks are stateless and
have unique keys, so any worker can repeat any of them. Dask itself repeats the tasks of a worker that dies; this module
removes workers that are silent, such as a stopped process.
"""

import math
import operator
import pickle
import statistics
import time
import uuid
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from itertools import chain, pairwise
from numbers import Real
from typing import Any, NamedTuple, TypeVar

import numpy as np
from numpy.typing import NDArray

from chainrule import _executors, scale
from chainrule._arguments import integer, real, seed_number
from chainrule._optional import require
from chainrule._warn import warn
from chainrule.binned import BinnedRows
from chainrule.functional import Array
from chainrule.rows import Rows
from chainrule.training import FIT_SETTINGS, History, TrainingState
from chainrule.validation import RowsHeldOut, one_data_set, split_rows

Result = TypeVar("Result")

_GATHERED = 16  # the most results that the driver fetches in a step; if there are more, tasks add them first
_MERGED = 8  # results that such a task adds
_PARTS_PER_WORKER = 4  # part sizes are powers of two: with one part per worker, three workers would share four
_POLL_SECONDS = 1.0
_FILE_ROWS = 65_536  # rows of a partition of files, unless their row groups are larger
_WATCHED_STEPS = 3  # after the first step, the times of this many steps decide whether to warn


class _RemovedError(Exception):
    """A worker was removed: submit the tasks again."""


# --- what the workers run ---


def _load(expected: Mapping[str, str], load: Callable[[], Any]) -> Any:
    _executors.check_identity(expected)
    return load()


def _rows_of(block: Any) -> Any:
    """Return a partition as an array, a CSR matrix or binned rows."""
    if isinstance(block, BinnedRows):
        return block
    if scale.is_sparse(block):
        return block.tocsr()
    if np.ma.is_masked(block):
        raise ValueError("it has masked entries, which training on Dask does not accept")
    rows = np.asarray(block)
    if rows.ndim == 0:
        raise TypeError(f"expected an array of rows, got {type(block).__name__}")
    return rows


def _measure(block: Any, expected: Mapping[str, str]) -> tuple[int, str]:
    """Return the number of rows and their form. Raises an error if a value is not a finite number."""
    _executors.check_identity(expected)
    rows = _rows_of(block)
    numbers: Any = rows.values if isinstance(rows, BinnedRows) else rows
    if numbers.dtype.kind not in "biuf":
        raise TypeError(f"it has dtype {numbers.dtype}, expected real numbers")
    sparse = scale.is_sparse(numbers)
    for start in range(0, numbers.shape[0], scale.LEAF):  # in pieces, to save memory
        piece = numbers[start : start + scale.LEAF]
        bad = np.flatnonzero(~np.isfinite(piece.data if sparse else piece.reshape(-1)))
        if len(bad):
            place = (
                (piece.tocoo().row[bad[0]], piece.indices[bad[0]]) if sparse else np.unravel_index(bad[0], piece.shape)
            )
            row, *column = map(int, place)
            where = f"row {start + row}" + "".join(f", column {k}" for k in column)
            raise ValueError(f"{where} is {piece[(row, *column)]:g}")
    form = scale.form_of(rows)
    return rows.shape[0], f"{'' if form == 'dense' else f'{form} '}rows of shape {rows.shape[1:]}"


def _part(
    dtype: str,
    places: Sequence[Sequence[slice | Array]],
    blocks: Sequence[Sequence[Any]],
    order: Array | None,
    expected: Mapping[str, str],
) -> list[Any]:
    """Return X, y and sample_weight of a part, assembled from rows of partitions and put in this order."""
    _executors.check_identity(expected)
    whole: list[Any] = []
    for k, (wanted, pieces) in enumerate(zip(places, blocks, strict=True)):
        rows = [_rows_of(piece)[place] for piece, place in zip(pieces, wanted, strict=True)]
        if k != 1:  # y may hold class numbers
            rows = [scale.of_type(piece, dtype) for piece in rows]
        whole.append(scale.stacked(rows) if rows else None)
    return whole if order is None else _pick(whole, order)


def _check(part: Sequence[Any], content: bytes) -> None:
    scale.check_targets(pickle.loads(content), part[1], part[2])


def _pick(part: Sequence[Any], rows: Array) -> list[Any]:
    return [None if values is None else values[rows] for values in part]


def _mixed(blocks: Sequence[Sequence[Any]], sources: Array, rows: Array) -> list[Any]:
    """Return rows of several parts in any order: row i is row rows[i] of block sources[i]."""
    used = np.unique(sources)
    order = np.argsort(np.argsort(sources, kind="stable"))
    picked = [_pick(blocks[k], rows[sources == k]) for k in used]
    if len(used) == 1:
        return picked[0]
    return [None if values[0] is None else scale.stacked(values)[order] for values in zip(*picked, strict=True)]


def _add_weights(total: float, part: Sequence[Array | None]) -> float:
    weights = part[2]
    assert weights is not None
    return float(np.cumsum(np.concatenate([[total], weights.reshape(-1).astype("float64")]))[-1])


def _same(value: Any) -> Any:
    return value


def _gradients(
    content: bytes,
    blocks: Sequence[Sequence[Any]],
    pieces: Sequence["_Piece"],
    options: Mapping[str, Any],
    expected: Mapping[str, str],
) -> tuple[list[scale.PartialGradients], float]:
    """Return the sums over pieces of a batch, those of adjacent pieces added, and the seconds that this took."""
    _executors.check_identity(expected)
    begin = time.perf_counter()
    network = pickle.loads(content)
    sums: list[scale.PartialGradients] = []
    for first, name, sources, rows in pieces:
        X, y, weights = blocks[sources] if rows is None else _mixed(blocks, sources, rows)
        try:
            sums = scale.join([*sums, network.partial_gradients(X, y, weights, first=first, **options)])
        except Exception as error:
            raise _about(name, error) from error
    return sums, time.perf_counter() - begin


def _merge(answers: Sequence[tuple[list[scale.PartialGradients], float]]) -> tuple[list[scale.PartialGradients], float]:
    return scale.join(part for parts, _ in answers for part in parts), max(seconds for _, seconds in answers)


def _echo(content: bytes) -> Array:
    network = pickle.loads(content)
    return np.zeros_like(network.parameters)


def _seconds_per_row(content: bytes, rows: int, n_threads: int) -> float:
    """Estimate the time of forward and backward: about three times that of a prediction."""
    network = pickle.loads(content)
    X = np.random.default_rng(0).normal(size=(rows, network.layer_sizes[0])).astype(network.dtype)
    times = []
    for _ in range(3):
        begin = time.perf_counter()
        network.logits(X, n_threads=n_threads)
        times.append(time.perf_counter() - begin)
    return 3 * min(times) / rows


# --- the driver ---


def _about(what: str, error: BaseException) -> Exception:
    """Return the error with its subject at the beginning of the message."""
    kind = type(error)
    if kind in (ValueError, TypeError):
        return kind(f"{what}: {error}")
    return RuntimeError(f"{what}: {kind.__name__}: {error}")


def _key(name: str) -> str:
    return f"chainrule-{name}-{uuid.uuid4().hex}"


def _shares(count: int, workers: int) -> list[range]:
    """Divide the numbers below count into consecutive ranges, one per worker, whose lengths differ by at most one."""
    return [range(k * count // workers, (k + 1) * count // workers) for k in range(workers)]


class _Piece(NamedTuple):
    """Consecutive rows of a batch from row `first`: a whole block, or for each i, row rows[i] of block sources[i]."""

    first: int
    name: str
    sources: Any
    rows: Array | None = None


@dataclass(eq=False)
class _Partition:
    """A chunk of a collection, or what a loader returns."""

    name: str
    request: Callable[[], Any]  # returns a future
    future: Any = None
    start: int = 0
    stop: int = 0


@dataclass(eq=False)
class _Part:
    """Rows that a worker keeps: those from start to stop, not counting held-out rows.

    The first one is row `first` of its batch, unless batches are shuffled.
    """

    start: int
    stop: int
    first: int
    name: str = ""
    owner: str = ""
    future: Any = None


class _Cluster:
    """Submits tasks and waits for them; removes workers that are silent."""

    def __init__(self, client: Any, silence: float) -> None:
        self._distributed = require("distributed", "dask")
        if not isinstance(client, self._distributed.Client) or client.asynchronous:
            raise TypeError(f"client must be a distributed.Client that is not asynchronous, got {client!r}")
        self.client, self.silence = client, silence
        self.removed: set[str] = set()

    def submit(self, name: str, function: Any, *arguments: Any, worker: str | None = None) -> Any:
        """Submit a task with a unique key; another worker may run it if `worker` is gone."""
        place = {} if worker is None else {"workers": [worker], "allow_other_workers": True}
        with require("dask.config", "dask").set({"distributed.admin.large-graph-warning-threshold": "1TB"}):
            return self.client.submit(function, *arguments, key=_key(name), pure=False, **place)

    def workers(self) -> dict[str, int]:
        """Return the number of threads of each worker; wait until there is a worker."""
        begin = time.monotonic()
        while not (found := {name: int(n) for name, n in self.client.nthreads().items() if name not in self.removed}):
            self._refuse_no_workers(begin)
            time.sleep(0.05)
        return dict(sorted(found.items()))

    def _refuse_no_workers(self, begin: float) -> None:
        if time.monotonic() - begin > self.silence:
            raise RuntimeError(f"the cluster has had no worker for {self.silence:g} s")

    def results(self, tasks: Sequence[tuple[str, Any]]) -> list[Any]:
        """Return the results of named futures; the message of an error begins with the name.

        Raises `_RemovedError` if a worker was silent for too long, and was removed.
        """
        names = {future.key: name for name, future in tasks}
        done: dict[str, Any] = {}
        alive = time.monotonic()
        while missing := [future for _, future in tasks if future.key not in done]:
            completed = self._distributed.as_completed(
                missing, loop=self.client.loop, with_results=True, raise_errors=False, timeout=_POLL_SECONDS
            )
            try:
                for future, result in completed:
                    if future.status == "error":
                        raise _about(names[future.key], result[1])
                    if future.status == "cancelled":
                        raise RuntimeError(f"{names[future.key]}: the task was cancelled")
                    done[future.key] = result
            except self._distributed.TimeoutError:
                self._remove_silent()
                if self.client.nthreads():
                    alive = time.monotonic()
                self._refuse_no_workers(alive)
        return [done[future.key] for _, future in tasks]

    def _remove_silent(self) -> None:
        # Nested functions are sent by value, so the scheduler does not need chainrule.
        def silent(limit: float, dask_scheduler: Any) -> list[str]:
            now = time.time()
            return [name for name, worker in dask_scheduler.workers.items() if now - worker.last_seen > limit]

        async def remove(names: list[str], dask_scheduler: Any) -> None:
            for name in names:
                answer = dask_scheduler.remove_worker(address=name, stimulus_id="chainrule-silent-worker")
                if hasattr(answer, "__await__"):
                    await answer

        if names := self.client.run_on_scheduler(silent, self.silence):
            self.client.run_on_scheduler(remove, names)
            self.removed |= {*names}
            warn(f"removed {', '.join(names)}: no heartbeat for {self.silence:g} s; its work is repeated")
            raise _RemovedError

    def handshake(self, expected: Mapping[str, str]) -> None:
        """Raise an error if a worker would compute different bits or cannot run chainrule."""
        tasks = []
        for worker in self.workers():
            future = self.submit("handshake", _executors.check_identity, dict(expected), worker=worker)
            tasks.append((f"worker {worker}", future))
        with suppress(_RemovedError):
            self.results(tasks)


def _of_files(rows: Rows, dtype: Any) -> tuple[list[Callable[[], Any]], list[Callable[[], Any]]]:
    """Return functions that read the partitions of X, and functions that read those of the target."""
    size = max(rows.largest_part, _FILE_ROWS)
    places = list(pairwise([*range(0, rows.shape[0], size), rows.shape[0]]))
    return [partial(rows.read, *place, dtype) for place in places], [
        partial(rows.read_target, *place) for place in places
    ]


class _Driver:
    """The state of a fit: the parts that each worker keeps. `gradient` has the workers compute a gradient."""

    def __init__(self, network: Any, cluster: _Cluster, data: Mapping[str, Any]) -> None:
        self._cluster, self._dtype = cluster, str(network.dtype)
        self._expected = _executors.identity()
        self._data = {name: self._partitions(name, value) for name, value in data.items()}
        self._twin = pickle.loads(pickle.dumps(network))
        self._train: NDArray[np.intp] | None = None  # row indices that are not held out; None: all
        self._batches: dict[tuple[int, int], tuple[list[_Part], float | None]] = {}
        self._shuffled: list[_Part] = []  # all parts, if batches are shuffled
        self._weights: Array | None = None  # of all training rows, if batches are shuffled
        self._members: dict[str, int] = {}
        self._step: list[Any] = []
        self._times: list[tuple[float, float]] | None = []

    def _partitions(self, name: str, value: Any) -> list[_Partition]:
        if value is None:
            return []
        compute = self._cluster.client.compute
        if hasattr(value, "to_dask_array"):  # a table
            value = value.to_dask_array()
        if hasattr(value, "to_delayed") and hasattr(value, "chunks"):
            dimensions = 2 if name == "X" else 1
            if value.ndim < dimensions:
                raise ValueError(f"{name} has {value.ndim} dimensions, expected two: (rows, columns)")
            whole = value.rechunk(dict.fromkeys(range(1, value.ndim), -1))
            requests = [partial(compute, block) for block in whole.to_delayed().reshape(-1)]
        elif isinstance(value, Iterable) and not hasattr(value, "shape") and all(map(callable, value := list(value))):
            load = partial(self._cluster.submit, "load", _load, self._expected)
            requests = [partial(compute if hasattr(one, "__dask_graph__") else load, one) for one in value]
        else:
            raise TypeError(
                f"{name} must be a dask array or table, or a list of Delayed objects or of functions without "
                f"arguments, one per partition, got {type(value).__name__}"
            )
        return [_Partition(f"partition {k} of {name}", request) for k, request in enumerate(requests)]

    def load(
        self, settings: dict[str, Any], hold_out: Callable[[Array], tuple[Any, Any]] | None
    ) -> tuple[int, NDArray[np.intp] | None]:
        """Load the rows into the workers, in aligned parts of the batches.

        hold_out takes y and returns the row indices of the training data and of the held-out data, which become the
        validation data of the settings. Returns the number of rows for `scale.fit`, and its ``train_rows``.
        """
        given = settings.get("validation")

        def attempt() -> tuple[int, NDArray[np.intp] | None]:
            self._batches.clear()
            total = self._load_and_measure()
            held: Any = None
            if hold_out is not None:
                self._train, held = hold_out(self._gathered_targets())
                if scale.takes_parts(settings, len(self._train)):
                    self._train = np.sort(self._train)
            rows = total if self._train is None else len(self._train)
            size = settings.get("batch_size")
            batch = rows if size is None else min(size, rows)
            in_parts = scale.takes_parts(settings, rows)
            if batch < rows and settings.get("shuffle", True) and not in_parts:
                raise ValueError(
                    "shuffle=True would move nearly all rows of a mini-batch between the workers: set "
                    "shuffle=WithinParts(rows), shuffle=False, or batch_size=None for all rows"
                )
            for start in [0] if in_parts else range(0, rows, batch):
                self._place(start, rows if in_parts else min(start + batch, rows))
            self._wait_and_check(in_parts)
            if held is not None:
                settings["validation"] = self._gather_rows(held)
                if isinstance(given, RowsHeldOut):  # these have weights of their own
                    weight = () if given.weight is None else (given.weight,)
                    settings["validation"] = (settings["validation"][0], given.y, *weight)
            for partition in chain.from_iterable(self._data.values()):
                partition.future = None
            return (total, self._train) if in_parts else (rows, None)

        return self._repeated(attempt)

    def _gathered_targets(self) -> Array:
        tasks = [(p.name, self._cluster.submit("targets", _rows_of, p.future)) for p in self._data["y"]]
        return np.concatenate(self._run_tasks(tasks))

    def _gather_rows(self, rows: NDArray[np.intp]) -> tuple[Any, ...]:
        """Return X, y and, if there are any, weights of some rows, gathered in this process."""
        whole = self._cluster.submit("held out", _part, self._dtype, *self._blocks(rows), self._expected)
        [taken] = self._run_tasks([("held-out rows", whole)])
        return tuple(values for values in taken if values is not None)

    def _load_and_measure(self) -> int:
        """Load all partitions and return the number of rows."""
        everything = [*chain.from_iterable(self._data.values())]
        for partition in everything:
            partition.future = partition.request()
        forms: dict[str, str] = {}
        rows = {}
        submit = self._cluster.submit
        tasks = [(p.name, submit("measure", _measure, p.future, self._expected)) for p in everything]
        answers = iter(self._run_tasks(tasks))
        for name, partitions in self._data.items():
            stop = 0
            for partition in partitions:
                count, form = next(answers)
                partition.start, stop = stop, stop + count
                partition.stop = stop
                if forms.setdefault(name, form) != form:
                    raise ValueError(f"{partition.name} has {form}, the previous partition has {forms[name]}")
            if partitions or name != "sample_weight":
                rows[name] = stop
        for name, count in rows.items():
            if count != rows["X"]:
                raise ValueError(f"{name} has {count} rows, X has {rows['X']}")
        if not rows["X"]:
            raise ValueError("X has no rows")
        return rows["X"]

    def _run_tasks(self, tasks: list[tuple[str, Any]]) -> list[Any]:
        self._step = [future for _, future in tasks]
        return self._cluster.results(tasks)

    def _repeated(self, work: Callable[[], Result]) -> Result:
        """Return the result of work, which submits tasks; repeat it if a worker was removed."""
        while True:
            with suppress(_RemovedError):
                return work()
            self._cluster.client.cancel(self._step)

    def _place(self, start: int, stop: int) -> None:
        """Divide the rows of a batch into parts, and have the workers keep them."""
        self._members = self._cluster.workers()
        ranges = scale.aligned_parts(stop - start, _PARTS_PER_WORKER * len(self._members))
        parts = [_Part(start + first, start + last, first) for first, last in ranges]
        for part in parts:
            numbers = self._numbers(part)
            pieces = self._pieces(numbers if isinstance(numbers, slice) else np.sort(numbers))
            rows = "rows" if self._train is None else "training rows"
            part.name = f"{rows} {part.start} to {part.stop} ({', '.join(p.name for own in pieces for p, _ in own)})"
        for worker, share in zip(self._members, _shares(len(parts), len(self._members)), strict=True):
            for k in share:
                parts[k].owner, parts[k].future = worker, self._assembled(parts[k], worker)
        self._batches[start, stop] = parts, None

    def _wait_and_check(self, shuffled: bool) -> None:
        """Wait for the parts and check their targets; add the weights of each batch in the order of the rows."""
        every = [part for parts, _ in self._batches.values() for part in parts]
        content = self._cluster.submit("network", _same, pickle.dumps(self._twin))
        self._run_tasks([(part.name, self._cluster.submit("check", _check, part.future, content)) for part in every])
        self._shuffled = every if shuffled else []
        if shuffled and self._data["sample_weight"]:
            tasks = [(part.name, self._cluster.submit("weights", operator.getitem, part.future, 2)) for part in every]
            self._weights = np.concatenate(self._run_tasks(tasks))
        elif self._data["sample_weight"]:
            chains = []
            for parts, _ in self._batches.values():
                total: Any = 0.0
                for part in parts:
                    total = self._cluster.submit("weight", _add_weights, total, part.future)
                chains.append(("sample_weight", total))
            totals = self._run_tasks(chains)
            placed = self._batches.items()
            self._batches = {rows: (parts, total) for (rows, (parts, _)), total in zip(placed, totals, strict=True)}

    def _numbers(self, part: _Part) -> slice | NDArray[np.intp]:
        """Return the row indices of a part among all rows."""
        return slice(part.start, part.stop) if self._train is None else self._train[part.start : part.stop]

    def _pieces(self, rows: slice | NDArray[np.intp]) -> list[list[tuple[_Partition, slice | Array]]]:
        """Return, for X, y and the weights, the partitions that have some of the ascending rows, and their places."""
        found: list[list[tuple[_Partition, slice | Array]]] = []
        for partitions in self._data.values():
            own: list[tuple[_Partition, slice | Array]] = []
            for p in partitions:
                if isinstance(rows, slice):
                    first, last = max(rows.start, p.start), min(rows.stop, p.stop)
                    if first < last:
                        own.append((p, slice(first - p.start, last - p.start)))
                    continue
                numbers = rows[slice(*np.searchsorted(rows, [p.start, p.stop]))]
                if len(numbers):
                    own.append((p, (numbers - p.start).astype(np.uint32)))
            found.append(own)
        return found

    def _blocks(self, rows: slice | NDArray[np.intp]) -> tuple[list[Any], list[Any], Any]:
        """Return what `_part` takes for some rows; partitions are loaded if they are not there."""
        order: Any = None
        if not isinstance(rows, slice) and (np.diff(rows) < 0).any():
            ascending = np.argsort(rows)
            rows, order = rows[ascending], np.argsort(ascending).astype(np.uint32)
        pieces = self._pieces(rows)
        futures = [[p.request() if p.future is None else p.future for p, _ in own] for own in pieces]
        return [[place for _, place in own] for own in pieces], futures, order

    def _assembled(self, part: _Part, worker: str) -> Any:
        """Submit the task that makes a part out of partitions."""
        blocks = self._blocks(self._numbers(part))
        return self._cluster.submit("part", _part, self._dtype, *blocks, self._expected, worker=worker)

    def _rebalance(self) -> None:
        """Redistribute the parts if workers joined or left."""
        members = self._cluster.workers()
        if members.keys() == self._members.keys():
            return
        for parts, _ in self._batches.values():
            for worker, share in zip(members, _shares(len(parts), len(members)), strict=True):
                for k in share:
                    part = parts[k]
                    if part.owner in self._cluster.removed:  # a copy might wait for it forever
                        part.owner, part.future = worker, self._assembled(part, worker)
                    elif part.owner != worker:
                        part.future = self._cluster.submit("move", _same, part.future, worker=worker)
                        part.owner = worker
        self._members = members

    def _in_order(self, rows: slice) -> dict[str, tuple[list[Any], list[_Piece]]]:
        """Return the blocks and pieces of each worker for a batch of consecutive rows."""
        tasks: dict[str, tuple[list[Any], list[_Piece]]] = {}
        for part in self._batches[rows.start, rows.stop][0]:
            blocks, pieces = tasks.setdefault(part.owner, ([], []))
            pieces.append(_Piece(part.first, part.name, len(blocks)))
            blocks.append(part.future)
        return tasks

    def _out_of_order(self, rows: NDArray[np.intp]) -> dict[str, tuple[list[Any], list[_Piece]]]:
        """Return the blocks and pieces of each worker for a batch of any rows.

        A worker gets pieces of which it has many rows. Other workers send it the other rows of these pieces.
        """
        parts, members = self._shuffled, list(self._members)
        at = np.searchsorted([part.stop for part in parts], rows, "right")  # the part of each row
        within = rows - np.array([part.start for part in parts])[at]
        owner = np.array([members.index(part.owner) for part in parts])[at]
        ranges = scale.aligned_parts(len(rows), _PARTS_PER_WORKER * len(members))
        counts = np.array([np.bincount(owner[slice(*r)], minlength=len(members)) for r in ranges])
        given: list[list[int]] = [[] for _ in members]
        for piece in np.argsort(-counts.max(axis=1), kind="stable").tolist():
            free = [k for k in range(len(members)) if len(given[k]) * len(members) < len(ranges)]
            given[free[int(np.argmax(counts[piece, free]))]].append(piece)
        tasks: dict[str, tuple[list[Any], list[_Piece]]] = {}
        for worker, own in zip(members, given, strict=True):
            places = [np.arange(*ranges[k]) for k in sorted(own)]
            every = np.concatenate([np.empty(0, np.intp), *places])
            used, sources = np.unique(at[every], return_inverse=True)
            here, blocks = within[every], []
            for source, k in enumerate(used.tolist()):
                future = parts[k].future
                if parts[k].owner != worker:
                    wanted = sources == source
                    picked = here[wanted].astype(np.uint32)
                    future = self._cluster.submit("rows", _pick, future, picked, worker=parts[k].owner)
                    here[wanted] = np.arange(len(picked))
                blocks.append(future)
            ends = np.cumsum([0, *map(len, places)])
            pieces = [
                _Piece(int(place[0]), "shuffled rows", sources[a:b].astype(np.uint16), here[a:b].astype(np.uint32))
                for place, (a, b) in zip(places, pairwise(ends.tolist()), strict=True)
            ]
            if pieces:
                tasks[worker] = blocks, pieces
        return tasks

    def _computing_step(self, batch: scale.Batch, rows: Any, count: int, total: float | None) -> list[tuple[str, Any]]:
        self._rebalance()
        content = self._cluster.submit("network", _same, pickle.dumps(self._twin))
        options = {"total_rows": count, "total_weight": total}
        options |= {name: getattr(batch, name) for name in ("step", "seed", "dropout", "input_dropout")}
        futures = []
        tasks = self._in_order(rows) if isinstance(rows, slice) else self._out_of_order(rows)
        for worker, (blocks, pieces) in tasks.items():
            more = {**options, "n_threads": self._members[worker]}
            arguments = content, blocks, pieces, more, self._expected
            futures.append(self._cluster.submit("gradients", _gradients, *arguments, worker=worker))
        while len(futures) > _GATHERED:
            groups = [futures[k : k + _MERGED] for k in range(0, len(futures), _MERGED)]
            futures = [self._cluster.submit("merge", _merge, group) for group in groups]
        return [(f"step {batch.step}", future) for future in futures]

    def gradient(self, batch: scale.Batch) -> tuple[Any, float, float]:
        """Compute the gradient of a batch; `scale.fit` calls this."""
        begin = time.perf_counter()
        rows = batch.rows
        if isinstance(rows, slice):
            count, total = rows.stop - rows.start, self._batches[rows.start, rows.stop][1]
        else:
            rows = rows if self._train is None else np.searchsorted(self._train, rows)
            count, weights = len(rows), self._weights
            total = None if weights is None else float(np.cumsum(weights[rows], dtype=np.float64)[-1])
        self._twin.parameters[:] = batch.parameters
        try:
            answers = self._repeated(lambda: self._run_tasks(self._computing_step(batch, rows, count, total)))
        except (ValueError, TypeError, RuntimeError) as error:
            # The message already names the partition.
            kind, text = type(error), str(error)
            raise kind(text.removeprefix(f"step {batch.step}: ").removeprefix("RuntimeError: ")) from error
        self._step = []
        self._warn_if_slow(time.perf_counter() - begin, max(seconds for _, seconds in answers))
        return scale.combine(part for sums, _ in answers for part in sums).of_batch()

    def _warn_if_slow(self, step: float, work: float) -> None:
        if self._times is None:
            return
        self._times.append((step, work))
        if len(self._times) > _WATCHED_STEPS:
            step, work = map(statistics.median, zip(*self._times[1:], strict=True))
            self._times = None
            if step > 2 * work:
                warn(
                    f"a step takes {1000 * step:.0f} ms, of which the workers compute {1000 * work:.0f} ms: with so "
                    "few rows, Network.fit on one machine is probably faster; see chainrule.dask.estimate"
                )

    def end(self) -> None:
        """Cancel all tasks and drop all data."""
        parts = [part.future for parts, _ in self._batches.values() for part in parts]
        blocks = [partition.future for partition in chain.from_iterable(self._data.values())]
        futures = [future for future in [*self._step, *parts, *blocks] if future is not None]
        with suppress(Exception):  # the scheduler may be gone
            # other futures belong to the user's collections
            self._cluster.client.cancel([f for f in futures if str(f.key).startswith("chainrule-")])


def gathered(client: Any, values: Iterable[Any]) -> list[Any]:
    """Return values with each dask collection computed, in the memory of this process.

    Examples
    --------
    >>> from chainrule.dask import gathered
    >>> X, y = gathered(client, [X, y])  # doctest: +SKIP
    """
    found: list[Any] = client.gather(client.compute(list(values)))
    return found


def _split(network: Any, settings: Mapping[str, Any]) -> Callable[[Array], tuple[Any, Any]] | None:
    """Return a function of y that selects the rows to train on and to hold out, or None if none are held out."""
    validation, resume, seed = (settings.get(name) for name in ("validation", "resume", "seed"))
    if isinstance(validation, RowsHeldOut):
        rows = validation.rows, validation.held_out
        return lambda y: rows
    if not isinstance(validation, Real):
        return None
    if seed is None:
        seed = resume.seed if isinstance(resume, TrainingState) else network.seed
    return partial(split_rows, fraction=float(validation), loss=network.loss_name, seed=seed_number(seed))


def fit(
    network: Any,
    X: Any,
    y: Any = None,
    sample_weight: Any = None,
    *,
    client: Any,
    worker_timeout: float = 30.0,
    n_threads: int | None = None,
    **settings: Any,
) -> History:
    """Train a network on a Dask cluster, with the same bits as `Network.fit` for any number of workers.

    Needs the extra ``dask``. Parameters, optimizer, validation and callbacks stay in this process; the workers keep the
    rows and compute gradients. A step takes about 50 ms more than its arithmetic, so use this for full batches, L-BFGS
    and large batches; see `estimate`. L-BFGS cannot distinguish "stalled" from "converged" here.

    Parameters
    ----------
    network : Network
        Trained in place.
    X, y, sample_weight : dask array, dask table of numbers, list of Delayed objects or callables, or Rows
        The data; their chunks may differ. Each entry of a list is a partition, which may be empty. A callable takes no
        arguments; a worker calls it, and another worker calls it again if the result is lost. Partitions of X are
        arrays, SciPy's sparse matrices or `BinnedRows`. X may be `Rows` in files that every worker can open; y is then
        by default the target of the `Rows`.
    client : distributed.Client
        Client of the cluster.
    worker_timeout : float, default 30
        A worker that sends no heartbeat for this many seconds is removed, and the fit fails if there is no worker for
        that long. A worker also seems to have stopped if a function holds its interpreter's lock for longer.
    n_threads : int, optional
        Number of threads for updates and validation in this process. A worker computes with all of its threads.
    **settings
        The settings of `Network.fit`, except ``loss`` and ``precision``. Validation data that are collections are
        gathered in this process, and so are held-out rows, with the whole y, if ``validation`` is a fraction.
        Mini-batches need ``shuffle=WithinParts(rows)`` or ``shuffle=False``.

    Returns
    -------
    History
        As for `Network.fit`.

    Raises
    ------
    ValueError, TypeError
        As for `Network.fit`; errors in the data, such as NaN, name the partition.
    RuntimeError
        If a task fails with another error, a worker would compute different bits, or the cluster has no workers.

    Examples
    --------
    >>> import chainrule as cr, chainrule.dask
    >>> from distributed import Client  # doctest: +SKIP
    >>> with Client("tcp://scheduler:8786") as client:  # doctest: +SKIP
    ...     history = cr.dask.fit(net, X, y, client=client, optimizer=cr.LBFGS(), epochs=100)
    """
    cluster = _Cluster(client, real("worker_timeout", worker_timeout))
    if isinstance(X, Rows):
        X, target = _of_files(X, network.dtype)
        y = target if y is None else y
    elif y is None:
        raise TypeError("dask.fit needs y")
    if settings.get("batch_size") is not None:
        settings["batch_size"] = integer("batch_size", settings["batch_size"], low=1, high=2**63 - 1)
    for name in ("loss", "precision"):
        if settings.get(name, FIT_SETTINGS[name].default) != FIT_SETTINGS[name].default:
            raise ValueError(f"dask.fit does not take {name}: gather the rows by compute(), and use Network.fit")
    driver = _Driver(network, cluster, {"X": X, "y": y, "sample_weight": sample_weight})
    try:
        cluster.handshake(_executors.identity())
        hold_out = _split(network, settings)
        if isinstance(settings.get("validation"), (tuple, list)):
            settings["validation"] = gathered(
                client, one_data_set("validation", settings["validation"], " or a fraction")
            )
        rows, train = driver.load(settings, hold_out)
        return scale.fit(network, driver.gradient, rows, train_rows=train, n_threads=n_threads, **settings)
    finally:
        driver.end()


@dataclass(frozen=True)
class Estimate:
    """The cost of a step on a cluster: the result of `estimate`.

    Attributes
    ----------
    seconds : float
        Seconds of a step: ``compute + overhead``.
    compute : float
        Seconds of the worker that has the most rows.
    overhead : float
        Seconds to send the parameters, start the tasks and gather the partial sums.
    alone : float
        Seconds of a step on a single worker's machine without Dask.
    workers : int
        Number of workers.

    Examples
    --------
    >>> from chainrule.dask import Estimate
    >>> Estimate(seconds=0.15, compute=0.1, overhead=0.05, alone=0.2, workers=2).pays_off
    True
    """

    seconds: float
    compute: float
    overhead: float
    alone: float
    workers: int

    @property
    def pays_off(self) -> bool:
        """Whether the cluster is faster than one of its workers alone."""
        return self.seconds < self.alone


def estimate(network: Any, rows: int, client: Any) -> Estimate:
    """Estimate the time of a step of `fit`, from short trials on the cluster.

    Parameters
    ----------
    network : Network
        The network, which is not changed.
    rows : int
        Rows of a batch: all rows, if ``batch_size`` is None.
    client : distributed.Client
        Client of the cluster.

    Returns
    -------
    Estimate
        Seconds of a step and of its parts.

    Examples
    --------
    >>> from chainrule.dask import estimate
    >>> estimate(net, 1_000_000, client).pays_off  # doctest: +SKIP
    True
    """
    rows = integer("rows", rows, low=1, high=2**63 - 1)
    cluster = _Cluster(client, 30.0)
    cluster.handshake(_executors.identity())
    workers = cluster.workers()
    content = pickle.dumps(network)
    trial = min(rows, 16_384)
    first, threads = next(iter(workers.items()))
    [rate] = cluster.results(
        [("trial", cluster.submit("trial", _seconds_per_row, content, trial, threads, worker=first))]
    )
    overhead = math.inf
    for _ in range(4):
        begin = time.perf_counter()
        sent = cluster.submit("trial", _same, content)
        cluster.results([("trial", cluster.submit("trial", _echo, sent, worker=worker)) for worker in workers])
        overhead = min(overhead, time.perf_counter() - begin)
    parts = scale.aligned_parts(rows, _PARTS_PER_WORKER * len(workers))
    most = max(sum(stop - start for start, stop in parts[s.start : s.stop]) for s in _shares(len(parts), len(workers)))
    return Estimate(rate * most + overhead, rate * most, overhead, rate * rows, len(workers))
