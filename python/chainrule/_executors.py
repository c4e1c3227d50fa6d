"""Trains groups of networks in the workers of an executor: threads, processes, or a Dask cluster.

A task contains networks and settings but no large array. Large arrays are written once to files that the workers map.
If a Dask worker cannot open a file, it returns a `Missing`, and this process sends the file in pieces and submits the
task again. This process keeps the files until the call ends, so it can also send them to workers that join later.
"""

import concurrent.futures
import functools
import io
import mmap
import os
import pickle
import platform
import re
import sys
import tempfile
import threading
import time
import uuid
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any

import numpy as np

from chainrule import _core
from chainrule._optional import require
from chainrule._warn import warn

_SHARED_BYTES = 1 << 16  # a larger array is written to a file instead of being sent in a task
_PIECE_BYTES = 1 << 24  # size of a message to a Dask worker
_GROUP_SECONDS = 1.0  # long compared to the overhead of a task, some milliseconds
_BROKEN = ("BrokenExecutor", "CancelledError", "KilledWorker")  # compared by name: Dask has its own classes


class _Lost(Exception):
    """The executor lost a task or no longer accepts tasks."""


class _Refused(Exception):
    """A worker raised an error: an argument of the call is wrong."""


@dataclass(frozen=True)
class Stored:
    """An array of a call: a file of raw numbers, which workers map, or a function that each worker calls once."""

    call: str
    number: int
    path: str
    dtype: str = "u1"
    shape: tuple[int, ...] = ()
    order: str = "C"
    load: Callable[[], Any] | None = None

    @property
    def nbytes(self) -> int:
        """Size of the file."""
        return int(np.prod(self.shape, dtype=np.int64)) * np.dtype(self.dtype).itemsize


@dataclass(frozen=True)
class Missing:
    """The answer of a worker that cannot open a file."""

    stored: Stored
    worker: str


class _MissingError(Exception):
    def __init__(self, stored: Stored) -> None:
        super().__init__(stored)
        self.stored = stored


# Arrays that this worker has opened, with the folder of their call, and files that are being received. The keys are the
# call and the number of the array.
_opened: dict[tuple[str, int], tuple[str | None, Any]] = {}
_arriving: dict[tuple[str, int], Any] = {}
_loading: dict[tuple[str, int], threading.Lock] = {}
_lock = threading.Lock()  # hold it only briefly, because it blocks the event loop of a Dask worker


def _open(stored: Stored) -> Any:
    """Return the array; each worker opens or loads it once."""
    key = stored.call, stored.number
    with _lock:
        loading = _loading.setdefault(key, threading.Lock())
    with loading:
        if key not in _opened:
            if stored.load is not None:
                _opened[key] = _folder(stored), stored.load()
            elif os.path.exists(stored.path):
                _opened[key] = _folder(stored), _mapped(stored, stored.path)
            else:
                raise _MissingError(stored)
        return _opened[key][1]


def _folder(stored: Stored) -> str | None:
    """Return the folder of the call, which exists while the call runs, or None if this worker cannot access it."""
    folder = os.path.dirname(stored.path)
    return folder if os.path.isdir(folder) else None


def _mapped(stored: Stored, file: Any) -> Any:
    return np.memmap(file, np.dtype(stored.dtype), "r", shape=stored.shape, order="F" if stored.order == "F" else "C")


def is_open(stored: Stored) -> bool:
    """Return whether this worker has the array."""
    with _lock:
        return (stored.call, stored.number) in _opened


def receive(stored: Stored, start: int, piece: bytes) -> None:
    """Store the piece of a file that begins at byte start. The file has no name, so it is deleted with the process."""
    key = stored.call, stored.number
    with _lock:
        if start == 0:
            _arriving[key] = tempfile.TemporaryFile()  # noqa: SIM115 - later calls continue to write
        file = _arriving[key]
        file.seek(start)
        file.write(piece)
        if start + len(piece) == stored.nbytes:
            file.flush()
            _opened[key] = None, _mapped(stored, file)
            _arriving.pop(key).close()


def forget(call: str) -> None:
    """Close the files and arrays that a call opened in this worker."""
    with _lock:
        for key in [key for key in [*_opened, *_arriving, *_loading] if key[0] == call]:
            _opened.pop(key, None)
            _arriving.pop(key, None)
            _loading.pop(key, None)


def _forget_ended_calls() -> None:
    with _lock:
        ended = {key[0] for key, (folder, _) in [*_opened.items()] if folder is not None and not os.path.isdir(folder)}
    for call in ended:
        forget(call)


class Store:
    """Writes large arrays to files in a folder, each once, and pickles the rest."""

    def __init__(self, folder: str, pickler: Any) -> None:
        self._folder, self._call, self._pickler = folder, uuid.uuid4().hex, pickler
        self._stored: dict[int, tuple[Any, Stored]] = {}  # by id; holds the object so that its id is not reused

    @property
    def call(self) -> str:
        """The name of this call."""
        return self._call

    def dumps(self, name: str, value: Any) -> bytes:
        """Pickle a value, with references in place of large arrays."""
        stream = io.BytesIO()
        reference = {"persistent_id": lambda _, thing: self._reference(thing)}
        try:
            type("Pickler", (self._pickler,), reference)(stream, protocol=5).dump(value)
        except (pickle.PicklingError, AttributeError, TypeError) as error:
            raise TypeError(f"{name} cannot be sent to another process: {error}") from error
        return stream.getvalue()

    def source(self, name: str, value: Any) -> Any:
        """Return data in the form in which it is sent; a path or function becomes a `Stored`."""
        if isinstance(value, (str, os.PathLike)):
            return self._new(value, load=functools.partial(np.load, os.path.abspath(value), mmap_mode="r"))
        if callable(value):
            self.dumps(name, value)  # raises if it cannot be sent
            return self._new(value, load=value)
        return value

    def file(self, content: bytes) -> Stored:
        """Write a file of bytes."""
        return self._written(np.frombuffer(content, np.uint8))

    def _reference(self, thing: Any) -> Stored | None:
        if type(thing) not in (np.ndarray, np.memmap) or thing.nbytes < _SHARED_BYTES or thing.dtype.hasobject:
            return None
        return self._stored[id(thing)][1] if id(thing) in self._stored else self._written(thing)

    def _written(self, array: Any) -> Stored:
        if isinstance(array, np.memmap) and _is_whole_file(array):
            array.flush()
            order = "C" if array.flags.c_contiguous else "F"
            arguments: Any = (array.filename, array.dtype, "r", array.offset, array.shape, order)
            return self._new(array, load=functools.partial(np.memmap, *arguments))
        order = "F" if array.flags.f_contiguous and not array.flags.c_contiguous else "C"
        stored = self._new(array, dtype=array.dtype.str, shape=array.shape, order=order)
        with open(stored.path, "xb") as file:
            (array.T if order == "F" else array).tofile(file)
        return stored

    def _new(self, thing: Any, **fields: Any) -> Stored:
        number = len(self._stored)
        stored = Stored(self._call, number, os.path.join(self._folder, str(number)), **fields)
        self._stored[id(thing)] = thing, stored
        return stored


def _is_whole_file(array: Any) -> bool:
    """Return whether the array is the whole of a file opened by np.memmap; views have the same attributes."""
    contiguous = array.flags.c_contiguous or array.flags.f_contiguous
    return isinstance(array.base, mmap.mmap) and array.mode in ("r", "r+", "w+") and bool(array.filename) and contiguous


def _loads(name: str, content: bytes) -> Any:
    """Undo `Store.dumps`."""
    unpickler = type("Unpickler", (pickle.Unpickler,), {"persistent_load": lambda _, stored: _open(stored)})
    try:
        return unpickler(io.BytesIO(content)).load()
    except (AttributeError, ImportError) as error:
        raise TypeError(
            f"{name} cannot be read in worker {_worker()}: {error}. Define it in a module that the worker can import"
        ) from error


def identity() -> dict[str, str]:
    """Return the properties that must be equal in two processes for their results to have the same bits."""
    fused = _core.get_isa() != "baseline" or platform.machine() in ("aarch64", "arm64")  # NEON has it
    return {
        "chainrule": _core.__version__,
        "byte order": sys.byteorder,
        "fused multiply-add": "yes" if fused else "no",
    }


def _worker() -> str:
    if "distributed.worker" in sys.modules:
        try:
            return str(require("distributed", "dask").get_worker().address)
        except ValueError:  # a process pool in a program that also uses Dask
            pass
    return f"{platform.node()}, process {os.getpid()}"


def check_identity(expected: Mapping[str, str]) -> None:
    """Raise RuntimeError in a worker whose results would differ in bits from those of the calling process."""
    own = identity()
    for name, value in expected.items():
        if own[name] != value:
            raise RuntimeError(f"worker {_worker()} has {name} {own[name]}, this process {value}: results would differ")


def work(expected: Mapping[str, str], shared: Stored, names: Sequence[str], task: Mapping[str, bytes]) -> Any:
    """Train a group in a worker; return its results, warnings and seconds, or a `Missing`."""
    check_identity(expected)
    _forget_ended_calls()
    try:
        settings = _unpickled(shared) | {name: _loads(name, content) for name, content in task.items()}
        for name in names:
            if isinstance(settings[name], Stored):
                settings[name] = _open(settings[name])
    except _MissingError as missing:
        return Missing(missing.stored, _worker())
    fit_many, networks = settings.pop("fit_many"), settings["networks"]
    start = time.perf_counter()
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        results = fit_many(**settings)
    seconds = time.perf_counter() - start
    done = [(network.parameters, _portable(result)) for network, result in zip(networks, results, strict=True)]
    return done, [(str(warning.message), warning.category) for warning in caught], seconds


def _unpickled(shared: Stored) -> dict[str, Any]:
    return {name: _loads(name, content) for name, content in pickle.loads(_open(shared)).items()}


def _portable(result: Any) -> Any:
    """Return a history or an exception; one that cannot be pickled becomes a RuntimeError with its text."""
    try:
        pickle.loads(pickle.dumps(result))
    except Exception:
        return RuntimeError(f"{type(result).__name__}: {result}")
    return result


@dataclass
class _Spread:
    """The state of a call: the networks that remain, and the results so far."""

    networks: Sequence[Any]
    progress: Callable[[dict[str, Any]], object] | None
    costs: Sequence[float]

    def __post_init__(self) -> None:
        self.results: dict[int, Any] = {}
        self.rate: float | None = None  # seconds per unit of cost in the last group
        self.queue = sorted(range(len(self.networks)), key=lambda i: -self.costs[i])

    def next_group(self, workers: int) -> list[int]:
        """Take the costliest of the remaining networks, enough for about a second of work."""
        most = 1 if self.rate is None else max(1, len(self.queue) // workers)
        group = [self.queue.pop(0)]
        total = self.costs[group[0]]
        while self.queue and len(group) < most:
            total += self.costs[self.queue[0]]
            if total * (self.rate or 0.0) > _GROUP_SECONDS:
                break
            group.append(self.queue.pop(0))
        return group

    def take(self, group: Sequence[int], answer: Any) -> None:
        """Store the results of a group in its networks and report them."""
        done, caught, seconds = answer
        self.rate = seconds / sum(self.costs[i] for i in group)
        for i, (parameters, result) in zip(group, done, strict=True):
            if parameters is not self.networks[i].parameters:
                self.networks[i].parameters[...] = parameters
            self.results[i] = result
        for text, category in caught:
            warn(text, category)
        if self.progress is not None:
            before = len(self.results) - len(group)
            for k, i in enumerate(group, before + 1):
                self.progress({"network": i, "result": self.results[i], "finished": k, "networks": len(self.networks)})

    def lost(self, error: BaseException) -> RuntimeError:
        """Return the error of an executor that broke."""
        done = sorted(self.results)
        rest = [i for i in range(len(self.networks)) if i not in self.results]
        why = str(error) or type(error).__name__
        return RuntimeError(
            f"the executor lost a task: {why}. Networks {done} are trained and have their new parameters; "
            f"networks {rest} are unchanged"
        )


def spread(
    fit_many: Callable[..., Any],
    executor: Any,
    networks: Sequence[Any],
    data: Mapping[str, Any],
    each: Mapping[str, list[Any]],
    shared: Mapping[str, Any],
    progress: Callable[[dict[str, Any]], object] | None,
) -> list[Any]:
    """Train networks in the workers of an executor; see `chainrule.fit_many`.

    Parameters
    ----------
    fit_many : callable
        Trains a group.
    executor : Executor or Client
        The workers that train.
    networks : sequence of Network
        All networks.
    data : mapping
        X, y and sample_weight.
    each, shared : mapping
        The settings that have one value per network, and the others.
    progress : callable, optional
        See `chainrule.fit_many`.

    Returns
    -------
    list of History or Exception
        One per network.
    """
    client = executor if hasattr(executor, "get_executor") and hasattr(executor, "scheduler_info") else None
    pool = executor if client is None else client.get_executor(pure=False)
    if not isinstance(pool, concurrent.futures.Executor):
        raise TypeError(
            "executor must be a concurrent.futures.Executor or a dask.distributed.Client, "
            f"got {type(executor).__name__}"
        )
    first: dict[int, int] = {}
    for i, network in enumerate(networks):
        if (k := first.setdefault(id(network), i)) != i:
            raise ValueError(f"networks[{i}] is the same object as networks[{k}]")
    epochs = each.get("epochs", [1] * len(networks))
    repeats = [count if isinstance(count, int) else 1 for count in epochs]
    costs = [float((len(n.parameters) + 1000) * max(1, k)) for n, k in zip(networks, repeats, strict=True)]
    call, workers = _Spread(networks, progress, costs), _workers(pool, client)
    if isinstance(pool, concurrent.futures.ThreadPoolExecutor):
        loaded = {name: _loaded(value) for name, value in data.items()}

        def submit_here(group: list[int]) -> Any:
            chosen = {name: [values[i] for i in group] for name, values in each.items()}
            return pool.submit(_work_here, fit_many, {**shared, **loaded, **chosen}, [networks[i] for i in group])

        return _run(call, submit_here, workers, pool, None)
    if any(each.get("callbacks", ())) or shared.get("callbacks", ()) != ():
        raise TypeError(
            "callbacks would run in another process and could not reach this one: use progress=, or a "
            "ThreadPoolExecutor"
        )
    module = type(executor).__module__.partition(".")[0]
    pickler = require("cloudpickle", "dask").Pickler if client or module == "loky" else pickle.Pickler
    with tempfile.TemporaryDirectory(prefix="chainrule-") as folder:
        store = Store(folder, pickler)
        sent = {name: store.source(name, value) for name, value in data.items()}
        values = {**shared, **sent, "fit_many": fit_many}
        packed = store.file(pickle.dumps({name: store.dumps(name, value) for name, value in values.items()}))
        expected = identity()

        def submit(group: list[int]) -> Any:
            task = {name: store.dumps(name, [values[i] for i in group]) for name, values in each.items()}
            task["networks"] = pickle.dumps([networks[i] for i in group])
            return pool.submit(work, expected, packed, tuple(sent), task)

        try:
            return _run(call, submit, workers, pool, client)
        finally:
            if client is not None:
                client.run(forget, store.call, on_error="ignore")


def _work_here(fit_many: Callable[..., Any], settings: dict[str, Any], networks: list[Any]) -> Any:
    start = time.perf_counter()
    results = fit_many(networks, **settings)
    done = [(network.parameters, result) for network, result in zip(networks, results, strict=True)]
    return done, [], time.perf_counter() - start


def _loaded(value: Any) -> Any:
    if isinstance(value, (str, os.PathLike)):
        return np.load(value, mmap_mode="r")
    return value() if callable(value) else value


def _workers(pool: Any, client: Any) -> int:
    if client is not None:
        return max(1, sum(map(int, client.nthreads().values())))
    known = getattr(pool, "_max_workers", None) or getattr(pool, "num_workers", None)  # the second one is mpi4py's
    return int(known or os.cpu_count() or 1)


def _run(call: _Spread, submit: Callable[[list[int]], Any], workers: int, pool: Any, client: Any) -> list[Any]:
    """Submit groups, at most two per worker at a time, until all are done."""
    before = [network.parameters.copy() for network in call.networks]
    pending: dict[Any, list[int]] = {}
    try:
        while call.queue or pending:
            while call.queue and len(pending) < 2 * workers:
                group = call.next_group(workers)
                with _classified_errors(group):
                    pending[submit(group)] = group
            for future in concurrent.futures.wait(pending, return_when="FIRST_COMPLETED").done:
                group = pending.pop(future)
                with _classified_errors(group):
                    answer = future.result()
                if isinstance(answer, Missing):
                    with _classified_errors(group):
                        _send(answer, client)
                        pending[submit(group)] = group
                else:
                    call.take(group, answer)
    except _Lost as lost:
        _end(call, pending, None if client is None else pool)
        raise call.lost(lost.args[0]) from lost.args[0]
    except _Refused as refused:
        call.progress = None
        _end(call, pending, None if client is None else pool)
        for network, parameters in zip(call.networks, before, strict=True):
            network.parameters[...] = parameters
        raise refused.args[0] from None
    except BaseException:
        call.progress = None
        _end(call, pending, None if client is None else pool)
        raise
    return [call.results[i] for i in range(len(call.networks))]


@contextmanager
def _classified_errors(group: Sequence[int]) -> Iterator[None]:
    """Raise errors as `_Lost` or `_Refused`, and replace indices of the group in messages by indices of the call."""
    try:
        yield
    except Exception as error:
        if {kind.__name__ for kind in type(error).__mro__} & {*_BROKEN}:
            raise _Lost(error) from error
        text = re.sub(r"\bnetworks\[(\d+)\]", lambda found: f"networks[{group[int(found[1])]}]", str(error))
        raise _Refused(error if text == str(error) else type(error)(text)) from error


def _end(call: _Spread, pending: dict[Any, list[int]], dask_pool: Any) -> None:
    """Cancel the groups that have not begun, wait for the others, and store their results.

    Dask also cancels groups that have begun, and drops their results.
    """
    if dask_pool is not None:
        dask_pool.shutdown(wait=False)
    for future in pending:
        future.cancel()
    concurrent.futures.wait([future for future in pending if not future.cancelled()])
    for future, group in pending.items():
        if not future.cancelled() and future.exception() is None and not isinstance(future.result(), Missing):
            call.take(group, future.result())


def _send(missing: Missing, client: Any) -> None:
    """Send a file to a Dask worker, in pieces."""
    stored, worker = missing.stored, missing.worker
    if client is None:
        raise RuntimeError(
            f"worker {worker} cannot open {stored.path}: it must be on this machine or share the folder, which the "
            "environment variable TMPDIR sets; or give X and y as paths or functions that it can use"
        )
    with open(stored.path, "rb") as file, suppress(OSError, ValueError, KeyError):  # the worker died: ignore it
        if client.run(is_open, stored, workers=[worker])[worker]:  # already sent for another task
            return
        while piece := file.read(_PIECE_BYTES):
            client.run(receive, stored, file.tell() - len(piece), piece, workers=[worker])
