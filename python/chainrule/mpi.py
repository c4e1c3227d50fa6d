"""Trains one network on the rows of many MPI processes, with the same bits as on one machine.

Each rank computes the partial gradients of some leaves of a batch. The all-reduce of this module adds them: it starts
with exchanges between neighbors, so it adds in the order of the tree of leaves for any number of ranks. Then all ranks
take the same step. If another rank computes a row of this rank, the row is sent to it.
"""

import functools
import hashlib
import os
import signal
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import is_dataclass, replace
from itertools import pairwise
from numbers import Real
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from chainrule import _core, scale
from chainrule._arguments import optional_integer
from chainrule._executors import identity
from chainrule._objects import refuse_dask
from chainrule._optional import require
from chainrule._warn import warn
from chainrule.binned import BinnedRows
from chainrule.functional import Array
from chainrule.network import Network
from chainrule.rows import Rows, target_of
from chainrule.scale import LEAF, Batch, PartialGradients
from chainrule.training import FIT_SETTINGS, Callbacks, History, Stop, TrainingState
from chainrule.validation import metric_name, split_rows

_OF_ONE_RANK = ("callbacks", "keep_state")  # settings that may differ between ranks
_UNITS = 4  # a batch is divided into this many pieces per rank: no rank has more than 1.25 times the average


@functools.lru_cache(16)
def shares(total_rows: int, ranks: int) -> tuple[tuple[tuple[int, int], ...], ...]:
    """Divide a batch among ranks. Return the aligned parts (start, stop) that each rank computes, which may be none.

    Examples
    --------
    >>> from chainrule.mpi import shares
    >>> shares(4096, 2)
    (((0, 2048),), ((2048, 4096),))
    >>> shares(2500, 3)
    (((0, 512),), ((512, 1024), (1024, 1536)), ((1536, 2048), (2048, 2500)))
    """
    units = scale.aligned_parts(total_rows, _UNITS * ranks)
    cuts = [len(units) * rank // ranks for rank in range(ranks + 1)]
    return tuple(_merged(units[start:stop], total_rows) for start, stop in pairwise(cuts))


def _merged(ranges: Sequence[tuple[int, int]], total_rows: int) -> tuple[tuple[int, int], ...]:
    none = np.empty(0)
    nodes = scale.join(PartialGradients(*rows, total_rows, 0.0, none, none) for rows in ranges)
    return tuple((node.start, node.stop) for node in nodes)


class _Group:
    """The members of the all-reduce, whose number is a power of two. Each of the first `extra` represents two ranks."""

    def __init__(self, rank: int, ranks: int) -> None:
        self.levels = ranks.bit_length() - 1
        self.extra = ranks - (1 << self.levels)
        self.doubled = rank < 2 * self.extra
        self.passive = self.doubled and rank % 2 == 1  # the left neighbor represents it
        self.number = rank // 2 if self.doubled else rank - self.extra

    def rank_of(self, number: int) -> int:
        return 2 * number if number < self.extra else number + self.extra


@functools.lru_cache(16)
def _levels(total_rows: int, ranks: int) -> tuple[tuple[tuple[tuple[int, int], ...], ...], ...]:
    """For each step of the all-reduce, return the nodes of the tree that each group of 1, 2, 4, ... neighbors has."""
    own, group = shares(total_rows, ranks), _Group(0, ranks)
    pairs = [own[2 * i] + own[2 * i + 1] for i in range(group.extra)]
    level = tuple(_merged(rows, total_rows) for rows in [*pairs, *own[2 * group.extra :]])
    levels = [level]
    while len(level) > 1:
        level = tuple(_merged(a + b, total_rows) for a, b in zip(level[::2], level[1::2], strict=True))
        levels.append(level)
    return tuple(levels)


def _add_in_place(left: PartialGradients, right: PartialGradients) -> PartialGradients:
    np.add(left.gradient, right.gradient, out=left.gradient)
    return replace(left, stop=right.stop)


def all_reduce(
    comm: Any, parts: Sequence[PartialGradients], total_rows: int, like: Array, buffers: dict[Any, Array] | None = None
) -> Array:
    """Add the partial gradients of all ranks in the order of the tree, and return the sum to every rank.

    Each of the log2(ranks) steps exchanges half of the remaining vector with another rank, first with the nearest; then
    the sums are sent back the same way. So a rank sends and receives about twice the length of the gradient.

    The gradients of `parts` are overwritten. `buffers` keeps the arrays, one of which is the result, for the next call,
    because allocating them would take longer than the sums.
    """
    rank, ranks, size = comm.Get_rank(), comm.Get_size(), len(like)
    group, levels = _Group(rank, ranks), _levels(total_rows, ranks)
    none, kept_arrays = np.empty(0), {} if buffers is None else buffers

    def array(name: Any, *shape: int) -> Array:
        found = kept_arrays.get(name)
        if found is None or found.shape != shape or found.dtype != like.dtype:
            found = kept_arrays[name] = np.empty(shape, like.dtype)
        return found

    def taken(rows: Sequence[tuple[int, int]], values: Array) -> list[PartialGradients]:
        return [PartialGradients(*r, total_rows, 0.0, v, none) for r, v in zip(rows, values, strict=True)]

    def stacked(low: int, high: int) -> Array:
        if len(held) == 1:
            return held[0].gradient[low:high]
        return np.array([part.gradient[low:high] for part in held], like.dtype).reshape(len(held), high - low)

    held = [replace(part, total_weight=0.0, losses=none) for part in parts]
    if group.passive:
        total = array("total", size)
        comm.Send(stacked(0, size), rank - 1)
        comm.Recv(total, rank - 1)
        return total
    if group.doubled:
        rows = shares(total_rows, ranks)[rank + 1]
        values = array("pair", len(rows), size)
        comm.Recv(values, rank + 1)
        held = scale.join([*held, *taken(rows, values)], _add_in_place)
    low, high, steps = 0, size, []
    for level in range(group.levels):
        other = group.number ^ (1 << level)
        middle = (low + high) // 2
        kept, sent = ((low, middle), (middle, high)) if group.number < other else ((middle, high), (low, middle))
        rows = levels[level][other >> level]
        values = array(level, len(rows), kept[1] - kept[0])
        partner = group.rank_of(other)
        comm.Sendrecv(stacked(sent[0] - low, sent[1] - low), partner, recvbuf=values, source=partner)
        mine = [replace(part, gradient=part.gradient[kept[0] - low : kept[1] - low]) for part in held]
        held = scale.join([*mine, *taken(rows, values)], _add_in_place)
        steps.append((partner, low, high))
        low, high = kept
    total = array("total", size)
    total[low:high] = held[0].gradient
    for partner, first, last in reversed(steps):
        rest = total[high:last] if low == first else total[first:low]
        comm.Sendrecv(total[low:high], partner, recvbuf=rest, source=partner)
        low, high = first, last
    if group.doubled:
        comm.Send(total, rank + 1)
    return total


@contextmanager
def _without_interrupts() -> Iterator[None]:
    """Delay Ctrl-C until the end of an exchange, in which the other ranks would wait for this one."""
    before = signal.getsignal(signal.SIGINT)
    if threading.current_thread() is not threading.main_thread() or not callable(before):
        yield
        return
    delayed: list[Any] = []
    signal.signal(signal.SIGINT, lambda *arguments: delayed.append(arguments))
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
    if delayed:
        before(*delayed[0])


class _Ranks:
    """The exchanges of a fit. A rank that fails takes part in one more, so that the others do not wait for it."""

    def __init__(self, comm: Any) -> None:
        self.comm, self.rank, self.count = comm, comm.Get_rank(), comm.Get_size()
        self._over = False

    @contextmanager
    def failing_together(self) -> Iterator[None]:
        """Report an exception to the other ranks, unless it came from them or from the middle of an exchange."""
        try:
            yield
        except BaseException as error:
            if not self._over:
                text = f"{type(error).__name__}: {error}"
                with _without_interrupts():
                    self.comm.allgather((isinstance(error, KeyboardInterrupt), text))
            raise

    @contextmanager
    def exchange(self) -> Iterator[None]:
        """Enclose MPI calls. Exceptions inside are not reported, because the other ranks wait for other messages."""
        with _without_interrupts():
            self._over = True
            yield
            self._over = False

    def gather(self, value: Any) -> list[Any]:
        """Return the values of all ranks; raise an error if one of them has failed. Call it inside `exchange`."""
        answers = self.comm.allgather((None, value))
        for rank, (interrupted, text) in enumerate(answers):
            if interrupted:
                raise KeyboardInterrupt(f"rank {rank} was interrupted")
            if interrupted is not None:
                raise RuntimeError(f"rank {rank} failed: {text}")
        return [value for _, value in answers]


def _digest(array: Any) -> str:
    values = np.ascontiguousarray(array)
    return f"{values.dtype} {values.shape} {hashlib.sha256(values.tobytes()).hexdigest()[:16]}"


def _described(value: Any) -> Any:
    """Return a string that is equal for equal settings in different processes."""
    if value is None or isinstance(value, (bool, Real, str)):
        return repr(value)
    if isinstance(value, Mapping):
        return f"{{{', '.join(f'{key}: {_described(value[key])}' for key in sorted(value))}}}"
    if isinstance(value, (TrainingState, np.ndarray)) or hasattr(value, "__array__"):
        return _described(vars(value)) if isinstance(value, TrainingState) else _digest(value)
    if isinstance(value, (list, tuple)):
        numbers = len(value) > 0 and all(isinstance(v, (list, tuple, Real)) for v in value)
        return _digest(value) if numbers and len(value) > 8 else f"[{', '.join(map(_described, value))}]"
    return repr(value) if is_dataclass(value) else metric_name(value) if callable(value) else type(value).__name__


def _rows(name: str, value: Any) -> Any:
    refuse_dask(name, value)
    if name == "X" and isinstance(value, BinnedRows):
        return value
    if isinstance(value, BinnedRows) or (scale.is_sparse(value) and name != "X"):
        raise TypeError(f"{name} is {type(value).__name__}, which mpi.fit does not accept: pass an array")
    if np.ma.is_masked(value):
        raise ValueError(f"{name} is a masked array, which mpi.fit does not accept")
    array = value.tocsr() if scale.is_sparse(value) else np.asarray(value)
    if array.dtype.kind not in "biuf":
        raise TypeError(f"{name} has dtype {array.dtype}, expected real numbers")
    return array


def _checked(network: Network, X: Any, y: Any, sample_weight: Any) -> tuple[Any, NDArray[Any], Array | None]:
    """Return the rows of this rank as arrays, or raise an error before anything is sent."""
    y = target_of(X, y, "mpi.fit")
    X, y = _rows("X", X.read(0, X.shape[0], network.dtype) if isinstance(X, Rows) else X), _rows("y", y)
    if len(X.shape) != 2:
        raise ValueError(f"X must have 2 dimensions, got shape {X.shape}")
    if X.shape[1] != network.layer_sizes[0]:
        raise ValueError(f"X has {X.shape[1]} columns, the network expects {network.layer_sizes[0]}")
    if len(y) != X.shape[0]:
        raise ValueError(f"y has {len(y)} rows, X has {X.shape[0]}")
    weights = None if sample_weight is None else _rows("sample_weight", sample_weight).astype(network.dtype)
    scale.check_targets(network, y, weights)
    return X, y, weights


class _Data:
    """The rows of all ranks, in the order of the ranks. This rank holds those from `first` to `last`."""

    def __init__(
        self, ranks: _Ranks, X: Any, y: NDArray[Any], weights: Array | None, numbers: NDArray[np.intp] | None = None
    ) -> None:
        self._ranks, self.numbers = ranks, numbers  # the numbers of the training rows among all rows
        with ranks.exchange():
            dtype = X.values.dtype if isinstance(X, BinnedRows) else X.dtype
            forms = ranks.gather((len(y), dtype, y.dtype, y.shape[1:], scale.form_of(X), weights))
        counts = [form[0] for form in forms]
        filled = [form for form in forms if form[0]] or forms[:1]
        shape, form_of_X = filled[0][3:5]
        for rank, form in enumerate(forms):
            if form[0] and form[3] != shape:
                raise ValueError(f"rank {rank} has rows of y of shape {form[3]}, an earlier rank has {shape}")
            if form[4] != form_of_X:
                raise ValueError(f"X of rank {rank} is {form[4]}, that of another rank is {form_of_X}")
        self._arrays = [
            scale.of_type(X, np.result_type(*(form[1] for form in filled))),
            scale.of_type(y.reshape(len(y), *shape), np.result_type(*(form[2] for form in filled))),
        ]
        self._weights = None if weights is None else np.concatenate([form[5] for form in forms])
        self._offsets = np.concatenate([[0], np.cumsum(counts)])
        self.rows = int(self._offsets[-1])
        self._first, self._last = (int(offset) for offset in self._offsets[ranks.rank : ranks.rank + 2])
        self._whole: list[Any] | None = None  # this rank's share of the batch of all rows

    def hold_out(self, fraction: float, loss: str, seed: int) -> tuple[tuple[Any, ...], "_Data"]:
        """Return the rows that `Network.fit` would hold out, which every rank gets, and the data without them."""
        X, y = self._arrays
        with self._ranks.exchange():
            targets = np.concatenate(self._ranks.gather(y))
        train, held = split_rows(targets, fraction, loss, seed)
        own = [rows[(rows >= self._first) & (rows < self._last)] for rows in (train, held)]
        with self._ranks.exchange():
            X_held = scale.stacked(self._ranks.gather(X[own[1] - self._first]))
        weight = self._weights
        validation = X_held, targets[held], *(() if weight is None else (weight[held],))
        kept = own[0] - self._first
        own_weights = None if weight is None else weight[own[0]]
        return validation, _Data(self._ranks, X[kept], y[kept], own_weights, train)

    def weight(self, rows: "slice | NDArray[np.intp]", count: int) -> tuple[float, Array | None]:
        """Return the sum of the weights of a batch, added in order, and the weights."""
        if self._weights is None:
            return float(count), None
        weights = self._weights[rows]
        return float(np.cumsum(weights, dtype=np.float64)[-1]), weights

    def is_here(self, rows: "slice | NDArray[np.intp]") -> bool:
        """Return whether the batch needs no exchange, because it consists of all rows, which were exchanged before."""
        return self._is_whole(rows) and self._whole is not None

    def _is_whole(self, rows: "slice | NDArray[np.intp]") -> bool:
        return isinstance(rows, slice) and (rows.start, rows.stop) == (0, self.rows)

    def share(self, rows: "slice | NDArray[np.intp]", bounds: Sequence[tuple[int, int]]) -> list[Any]:
        """Return the rows of X and y that this rank computes in a batch; bounds: the rows that each rank computes."""
        if self._is_whole(rows) and self._whole is not None:
            return self._whole
        first = rows.start if isinstance(rows, slice) else 0
        if isinstance(rows, slice) and [first + start for start, _ in bounds] == self._offsets[:-1].tolist():
            found = [array[: bounds[self._ranks.rank][1] - bounds[self._ranks.rank][0]] for array in self._arrays]
        else:
            found = self._exchanged(rows, bounds)
        if self._is_whole(rows):
            self._whole = found
        return found

    def _exchanged(self, rows: "slice | NDArray[np.intp]", bounds: Sequence[tuple[int, int]]) -> list[Any]:
        MPI = require("mpi4py.MPI", "mpi")
        start, stop = bounds[self._ranks.rank]
        order: Any  # the place of each row in the received data
        sent: list[Any]
        if isinstance(rows, slice):
            own = np.clip(rows.start + np.array(bounds), self._first, self._last) - self._first
            sent = [slice(*ends) for ends in own.tolist()]
            sent_counts = [ends.stop - ends.start for ends in sent]
            ends = np.clip(self._offsets, rows.start + start, rows.start + stop)
            counts, order = np.diff(ends), slice(None)
        else:
            parts = [rows[a:b] for a, b in bounds]
            sent = [part[(part >= self._first) & (part < self._last)] - self._first for part in parts]
            sent_counts = [len(part) for part in sent]
            owners = np.searchsorted(self._offsets, rows[start:stop], "right") - 1
            counts, order = (
                np.bincount(owners, minlength=self._ranks.count),
                np.argsort(np.argsort(owners, kind="stable")),
            )
        found = []
        for array in self._arrays:
            if not isinstance(array, np.ndarray):
                received = scale.stacked(self._ranks.comm.alltoall([array[part] for part in sent]))
            else:
                received = np.empty((stop - start, *array.shape[1:]), array.dtype)
                kind = MPI.BYTE.Create_contiguous(array.dtype.itemsize * int(np.prod(array.shape[1:]))).Commit()
                outgoing = np.concatenate([array[part] for part in sent]).view(np.uint8)
                messages = [outgoing, sent_counts, kind], [received.view(np.uint8), counts.tolist(), kind]
                self._ranks.comm.Alltoallv(*messages)
                kind.Free()
            found.append(received[order])
        return found


class _Source:
    """Computes the gradient of a batch together with the other ranks."""

    def __init__(
        self, ranks: _Ranks, network: Network, data: _Data, n_threads: int, numbers: NDArray[np.intp] | None
    ) -> None:
        self._ranks, self._data, self._threads, self._numbers = ranks, data, n_threads, numbers
        self._worker = Network(
            network.layer_sizes,
            activation=network.activations,
            loss=network.loss_spec,
            dtype=network.dtype,
            seed=0,
        )
        self._begun = False
        self._buffers: dict[Any, Array] = {}

    def __call__(self, batch: Batch) -> tuple[Array, float, float]:
        ranks, rows = self._ranks, batch.rows
        if self._numbers is not None and not isinstance(rows, slice):
            rows = np.searchsorted(self._numbers, rows)
        count = rows.stop - rows.start if isinstance(rows, slice) else len(rows)
        parts = shares(count, ranks.count)
        self._warn_if_idle(count)
        ends = np.concatenate([[0], np.cumsum([sum(b - a for a, b in own) for own in parts])]).tolist()
        bounds = list(pairwise(ends))
        first = bounds[ranks.rank][0]
        if self._data.is_here(rows):
            X, y = self._data.share(rows, bounds)
        else:
            with ranks.exchange():
                ranks.gather(None)
                X, y = self._data.share(rows, bounds)
        weight, weights = self._data.weight(rows, count)
        self._worker.parameters[:] = batch.parameters
        own = [
            self._worker.partial_gradients(
                X[start - first : stop - first],
                y[start - first : stop - first],
                None if weights is None else weights[start:stop],
                first=start,
                total_rows=count,
                total_weight=weight,
                step=batch.step,
                seed=batch.seed,
                dropout=batch.dropout,
                input_dropout=batch.input_dropout,
                n_threads=self._threads,
            )
            for start, stop in parts[ranks.rank]
        ]
        with ranks.exchange():
            losses = ranks.gather([part.losses for part in own])
            gradient = all_reduce(ranks.comm, own, count, batch.parameters, self._buffers)
        in_order = np.concatenate([part for of_rank in losses for part in of_rank])
        return PartialGradients(0, count, count, weight, gradient, in_order).of_batch()

    def _warn_if_idle(self, rows: int) -> None:
        leaves = -(-rows // LEAF)
        first, self._begun = not self._begun, True  # the last batch of an epoch may be smaller
        if first and self._ranks.rank == 0 and leaves < self._ranks.count:
            warn(
                f"a batch of {rows} rows has work for {leaves} of {self._ranks.count} ranks, because a rank computes "
                f"at least {LEAF} rows: use larger batches or fewer ranks"
            )


class _OnRankZero:
    """The callback on all ranks: runs the callbacks of rank 0 and sends their decisions and changes to the others."""

    def __init__(self, ranks: _Ranks, network: Network, callbacks: Any, seconds: float | None) -> None:
        self._ranks, self._network, self._seconds = ranks, network, seconds
        self._callbacks = Callbacks(callbacks if ranks.rank == 0 else ())
        self.wants_state = self._callbacks.wants_state
        self.reason = ""

    def _run(self, action: Callable[[], Any]) -> Any:
        """Call an action on rank 0; return its answer on all ranks, where the parameters then have rank 0's values."""
        sent = None
        if self._ranks.rank == 0:
            before = self._network.parameters.copy()
            answer = action()
            after = self._network.parameters
            sent = answer, None if before.tobytes() == after.tobytes() else after.copy()
        with self._ranks.exchange():
            answer, parameters = self._ranks.gather(sent)[0]
        if parameters is not None:
            self._network.parameters[:] = parameters
        return answer

    def on_train_begin(self, network: Network) -> None:
        self._run(lambda: self._callbacks.train_begin(network))

    def on_epoch_end(self, logs: dict[str, Any]) -> bool:
        late = self._seconds is not None and logs["seconds"] >= self._seconds
        self.reason = self._run(lambda: "callback" if self._callbacks.stop(logs) else "seconds" if late else "")
        return bool(self.reason)

    def on_train_end(self, history: History) -> None:
        if self.reason:
            history = replace(history, stop_reason=self.reason)
        self._run(lambda: self._callbacks.train_end(history))


def _default_threads(ranks: _Ranks) -> int:
    """Divide the processors of a machine among its ranks, unless they are bound to different ones."""
    MPI = require("mpi4py.MPI", "mpi")
    with ranks.exchange():
        machine = ranks.comm.Split_type(MPI.COMM_TYPE_SHARED)
        affinity = sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else []
        sharing = machine.allgather(affinity).count(affinity)
        machine.Free()
    return max(1, _core.get_num_threads() // int(sharing))


def _handshake(ranks: _Ranks, network: Network, weighted: bool, settings: Mapping[str, Any]) -> None:
    """Raise an error that names the first rank that differs from rank 0 in something that must be equal."""
    given = {name: setting.default for name, setting in FIT_SETTINGS.items()} | dict(settings)
    facts = {
        **identity(),
        "layer_sizes": repr(network.layer_sizes),
        "activations": repr(network.activations),
        "loss": repr(network.loss_spec),
        "dtype": str(network.dtype),
        "parameters": _digest(network.parameters),
        "sample_weight": "given" if weighted else "not given",
        **{f"setting {key}": _described(value) for key, value in given.items() if key not in _OF_ONE_RANK},
    }
    with ranks.exchange():
        found = ranks.gather(facts)
    for rank, theirs in enumerate(found):
        for name in {**found[0], **theirs}:
            mine, other = (side.get(name, "not given") for side in (found[0], theirs))
            if mine != other:
                hint = ": give the same seed, or load the same file" if name == "parameters" else ""
                raise ValueError(f"all ranks need the same {name}: rank {rank} has {other}, rank 0 has {mine}{hint}")


def fit(
    network: Network,
    X: ArrayLike | Rows,
    y: ArrayLike | None = None,
    *,
    sample_weight: ArrayLike | None = None,
    n_threads: int | None = None,
    comm: Any = None,
    **settings: Any,
) -> History:
    """Train a network like `Network.fit` on the rows of all ranks; every rank calls this. Needs the extra ``mpi``.

    All ranks end with the same network. It has the same bits as after `Network.fit` on the rows of all ranks, in the
    order of the ranks, however many ranks there are and however the rows are divided among them.

    Parameters
    ----------
    network : Network
        The same on all ranks; trained in place.
    X, y, sample_weight : array_like
        The rows of this rank. If it has none, X has the shape (0, n_0). X may be one of SciPy's sparse matrices or
        `BinnedRows`, on all ranks or on none; or `Rows`, which are read into memory, and whose target is the default
        of y.
    n_threads : int, optional
        For this rank. Default: the default of `Network.fit`, divided by the number of ranks that share its processors.
    comm : mpi4py.MPI.Comm, optional
        The ranks. Default: ``MPI.COMM_WORLD``.
    **settings
        The settings of `Network.fit`, except ``loss`` and ``precision``. They must be equal on all ranks, and so must
        validation data; a fraction as ``validation`` is held out from the rows of all ranks. Only the ``callbacks`` of
        rank 0 are called.

    Returns
    -------
    History
        The same on all ranks, except the seconds.

    Raises
    ------
    ImportError
        If mpi4py is not installed.
    ValueError, TypeError, DivergenceError
        As for `Network.fit`. All ranks also raise ValueError if one differs in its version, network or settings.
    RuntimeError
        If another rank raised an error: the message names the rank and the error.
    KeyboardInterrupt
        On Ctrl-C on any of the ranks.

    Notes
    -----
    A batch is divided into leaves of 512 rows, so batches of fewer than 512 rows per rank leave ranks without work.
    A rank receives the rows that it computes from the ranks that hold them: with full batches only once, and only rows
    at the borders between ranks; with mini-batches in every step. Each rank holds its rows, its share of a batch, the
    validation data, the weights of all rows, and, if rows are shuffled, a number for each row of all ranks.

    Examples
    --------
    A script, to be run by ``mpiexec -n 4 python -m mpi4py train.py``, so that a rank that fails ends the others:

    >>> import numpy as np, chainrule as cr
    >>> from chainrule import mpi
    >>> from mpi4py import MPI  # doctest: +SKIP
    >>> rank = MPI.COMM_WORLD.Get_rank()  # doctest: +SKIP
    >>> X, y = np.load(f"X{rank}.npy"), np.load(f"y{rank}.npy")  # doctest: +SKIP
    >>> net = cr.Network([X.shape[1], 256, 1], loss="squared_error", seed=0)  # doctest: +SKIP
    >>> history = mpi.fit(net, X, y, batch_size=8192, epochs=20)  # doctest: +SKIP
    """
    MPI = require("mpi4py.MPI", "mpi")
    own = (MPI.COMM_WORLD if comm is None else comm).Dup()
    try:
        ranks = _Ranks(own)
        with ranks.failing_together():
            history = _fit(ranks, network, X, y, sample_weight, optional_integer("n_threads", n_threads), settings)
        with ranks.exchange():
            digests = ranks.gather(_digest(network.parameters))
    finally:
        own.Free()
    for rank, digest in enumerate(digests):
        if digest != digests[0]:
            raise RuntimeError(f"the network of rank {rank} differs from that of rank 0: the results are not reliable")
    return history


def _fit(
    ranks: _Ranks, network: Network, X: Any, y: Any, sample_weight: Any, n_threads: int | None, settings: dict[str, Any]
) -> History:
    X, y, weights = _checked(network, X, y, sample_weight)
    resume, seed = settings.get("resume"), settings.get("seed")
    if seed is None:
        seed = resume.seed if isinstance(resume, TrainingState) else network.seed
    settings = {**settings, "seed": seed}
    _handshake(ranks, network, weights is not None, settings)
    default_threads = _default_threads(ranks)  # a collective call, so a rank with n_threads makes it too
    threads = default_threads if n_threads is None else n_threads
    data = _Data(ranks, X, y, weights)
    validation, stop, all_rows = settings.get("validation"), settings.get("stop"), data.rows
    if isinstance(validation, Real):
        settings["validation"], data = data.hold_out(float(validation), network.loss_name, seed)
    seconds = None
    if isinstance(stop, Stop):  # the clocks of the ranks differ: that of rank 0 decides
        seconds, settings["stop"] = stop.seconds, replace(stop, seconds=None)
    on_rank_zero = _OnRankZero(ranks, network, settings.get("callbacks", ()), seconds)
    settings["callbacks"] = [on_rank_zero]
    numbers = data.numbers if scale.takes_parts(settings, data.rows) else None
    source = _Source(ranks, network, data, threads, numbers)
    rows = data.rows if numbers is None else all_rows
    history = scale.fit(network, source, rows, train_rows=numbers, n_threads=threads, **settings)
    return replace(history, stop_reason=on_rank_zero.reason or history.stop_reason)
