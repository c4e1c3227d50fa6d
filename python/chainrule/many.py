"""Trains many networks in one native call, one thread per network: several seeds, widths, rates or folds."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from numbers import Real
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from chainrule._arguments import optional_integer
from chainrule._objects import refuse_dask
from chainrule._suggest import explained
from chainrule.network import Network
from chainrule.rows import Rows, target_of
from chainrule.training import FitRequest, FitSettings, History, with_settings

if TYPE_CHECKING:
    from typing_extensions import Unpack


@explained
@with_settings
def fit_many(
    networks: Sequence[Network],
    X: ArrayLike | Rows,
    y: ArrayLike | None = None,
    *,
    rows: Any = None,
    sample_weight: ArrayLike | None = None,
    progress: Callable[[dict[str, Any]], object] | None = None,
    n_threads: int | None = None,
    executor: Any = None,
    **settings: "Unpack[FitSettings[list[Any]]]",
) -> list[History | Exception]:
    """Train many networks on shared data, one network per thread, each with the same bits as its `Network.fit`.

    A setting is one value for all networks, or a **list** with one value per network. Pass values that are themselves
    sequences, such as groups, metrics and callbacks, as tuples. The costliest networks begin first. If there are fewer
    networks than threads and each can use all threads, the networks are trained one after the other.

    Parameters
    ----------
    networks : sequence of Network
        Distinct networks of the same dtype; sizes, activations and losses may differ.
    X, y, sample_weight
        As for `Network.fit`. All networks share them without copies.
    rows : array of int or bool, or list of them, optional
        The rows to train on, as a mask or as row numbers, whose order is kept: the same as ``fit(X[rows], y[rows])``.
        Default: all rows. ``validation`` may also be row numbers or a mask of the rows of X.
    {settings}
    progress : callable, optional
        Called in the calling thread after each network, with a dict: network (its index), result, finished (number of
        finished networks) and networks (number of all networks). An exception that it or an ``on_train_end`` raises
        ends the whole call. ``on_epoch_end`` is called in the thread that trains the network.
    n_threads : int, optional
        Default: `get_num_threads`. The results are the same for any number.
    executor : concurrent.futures.Executor or dask.distributed.Client, optional
        Train in the workers of this executor, in groups of about one second of work, with the same bits; n_threads is
        then the number of threads of each worker. X, y and sample_weight may also be the path of a .npy file, which
        each worker opens, or a function without arguments, which each worker calls once. Each array is written once to
        a temporary file that the workers map; Dask workers on other machines receive it once. Callbacks work only with
        a thread pool. On Ctrl-C, the groups that have begun are finished first.

    Returns
    -------
    list of History or Exception
        One per network, in the order of `networks`. If a fit fails, its entry is the exception, and the other networks
        continue to train: a `DivergenceError`, a MemoryError, a RuntimeError for a network that another call is
        training, the exception of a schedule, or a ValueError or TypeError for the value that a schedule returned.

    Raises
    ------
    ValueError, TypeError
        As for `Network.fit`; also for a network that occurs twice and for a list of the wrong length. All networks are
        then unchanged.
    RuntimeError
        If a process of the executor died (Dask instead repeats the tasks of a worker that died), a worker has another
        version of chainrule, or only one of the worker and this process has fused multiply-add.
    KeyboardInterrupt, SystemExit
        On Ctrl-C, or if a callback ends the program. Every network has the parameters after its last complete step.

    Examples
    --------
    Three folds:

    >>> import chainrule as cr, numpy as np
    >>> X = np.linspace(-1, 1, 90).reshape(-1, 1)
    >>> folds = np.arange(90) % 3
    >>> nets = [cr.Network([1, 8, 1], loss="squared_error", seed=seed) for seed in range(3)]
    >>> histories = cr.fit_many(nets, X, X[:, 0] ** 2, rows=[folds != k for k in range(3)],
    ...                         validation=[folds == k for k in range(3)], batch_size=10, epochs=20)
    >>> [history.epochs for history in histories]
    [20, 20, 20]
    """
    if not isinstance(networks, Iterable):
        raise TypeError(f"networks must be a sequence of Network, got {type(networks).__name__}")
    networks = list(networks)
    for i, network in enumerate(networks):
        if not isinstance(network, Network):
            raise TypeError(f"networks[{i}] must be a Network, got {network!r}")
        if network.dtype != networks[0].dtype:
            raise ValueError(
                f"networks[{i}] is {network.dtype}, networks[0] is {networks[0].dtype}: fit them in separate calls"
            )
    if progress is not None and not callable(progress):
        raise TypeError(f"progress must be callable, got {progress!r}")
    for name, value in (("X", X), ("y", y), ("sample_weight", sample_weight)):
        refuse_dask(name, value)
    count, threads = len(networks), optional_integer("n_threads", n_threads)
    if executor is not None and networks:
        return _spread(
            executor,
            networks,
            {"X": X, "y": y, "sample_weight": sample_weight},
            progress,
            {"rows": rows, "n_threads": threads, **settings},
        )
    if settings.get("loss") is None or isinstance(X, Rows):
        y = target_of(X, y, "fit_many")
    requests = _requests(networks, X, y, rows, sample_weight, settings)
    results: dict[int, History | Exception] = {}

    def finish(index: int, result: Any) -> None:
        request = requests[index]
        if isinstance(result, Exception):
            request.fail(result)
            results[index] = result
        else:
            results[index] = request.end(result)
        if progress is not None:
            progress({"network": index, "result": results[index], "finished": len(results), "networks": count})

    for request in requests:
        request.begin()
    if networks:
        _run(networks, X, y, requests, sample_weight, finish, None, threads)
    return [results[index] for index in range(count)]


def fit_in_stages(
    networks: Sequence[Network],
    X: Any,
    y: Any,
    more_epochs: Callable[[list[float]], int],
    *,
    rows: Any,
    sample_weight: Any,
    n_threads: int | None,
    **settings: Any,
) -> None:
    """Train networks as `fit_many` does, in stages, with the same bits as in one fit of all epochs.

    After each stage, `more_epochs` is called with the last training cost of each network. It returns the number of
    epochs of the next stage; 0 ends the training. The first exception of a network is raised.
    """
    costs = [np.nan] * len(networks)

    def finish(index: int, result: Any) -> None:
        if isinstance(result, Exception):
            raise result
        costs[index] = float(result["loss"][-1])

    requests = _requests(networks, X, y, rows, sample_weight, settings)
    _run(networks, X, y, requests, sample_weight, finish, lambda: more_epochs(costs), n_threads)


def _requests(
    networks: Sequence[Network], X: Any, y: Any, rows: Any, sample_weight: Any, settings: Mapping[str, Any]
) -> list[FitRequest]:
    """Return the request of each network."""
    count = len(networks)
    chosen = [_row_numbers("rows", value, X) for value in _each("rows", rows, count)]
    held_out = [_held_out(value, X) for value in _each("validation", settings.get("validation"), count)]
    each = {name: _each(name, value, count) for name, value in settings.items() if name != "validation"}
    requests = []
    for i, network in enumerate(networks):
        data, held_out_rows = held_out[i]
        own = {"validation": data, **{name: values[i] for name, values in each.items()}}
        requests.append(FitRequest(network, y, sample_weight, own, chosen[i], held_out_rows))
    return requests


def _run(
    networks: Sequence[Network],
    X: Any,
    y: Any,
    requests: Sequence[FitRequest],
    sample_weight: Any,
    on_finished: Callable[[int, Any], None],
    more_epochs: Callable[[], int] | None,
    n_threads: int | None,
) -> None:
    """Call the core."""
    native = [network._native for network in networks]
    native[0].fit_many(
        native,
        X,
        y,
        [request.core for request in requests],
        sample_weight=sample_weight,
        on_finished=on_finished,
        more_epochs=more_epochs,
        n_threads=n_threads,
    )


def _spread(
    executor: Any,
    networks: Sequence[Network],
    data: Mapping[str, Any],
    progress: Callable[[dict[str, Any]], object] | None,
    settings: Mapping[str, Any],
) -> list[History | Exception]:
    """Train in the workers of an executor."""
    from chainrule._executors import spread  # imported late: rarely needed

    each = {k: _each(k, value, len(networks)) for k, value in settings.items() if isinstance(value, list)}
    shared = {k: tuple(v) if isinstance(v, Iterator) else v for k, v in settings.items() if k not in each}
    return spread(fit_many, executor, networks, data, each, shared, progress)


def _each(name: str, value: Any, count: int) -> list[Any]:
    """Return one value per network, given a list of them or one value for all."""
    if not isinstance(value, list):
        return [tuple(value) if isinstance(value, Iterator) else value] * count
    if len(value) != count:
        raise ValueError(f"{name} has {len(value)} entries, expected one for each of the {count} networks")
    return value


def _held_out(value: Any, X: Any) -> tuple[Any, NDArray[np.intp] | None]:
    """Return validation as (data or fraction, None), or as (None, row numbers)."""
    if isinstance(value, (tuple, Mapping, Real, Rows)):
        return value, None
    return None, _row_numbers("validation", value, X)


def _row_numbers(name: str, value: Any, X: Any) -> NDArray[np.intp] | None:
    """Return row numbers, given row numbers or a mask."""
    if value is None:
        return None
    refuse_dask(name, value)
    array = np.asarray(value)
    if array.ndim != 1 or array.dtype.kind not in "biu":
        what = f"shape {array.shape} and dtype {array.dtype}"
        raise ValueError(f"{name}: expected row numbers or a mask for each network (or one for all), got {what}")
    if array.dtype.kind == "b":
        count = X.shape[0] if hasattr(X, "shape") else len(X)  # a sparse matrix has no len
        if len(array) != count:
            raise ValueError(f"{name}: a mask has {len(array)} entries, X has {count} rows")
        array = np.flatnonzero(array)
    if not len(array):
        raise ValueError(f"{name} selects no row")
    return np.ascontiguousarray(array, np.intp)
