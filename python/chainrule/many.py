"""Many networks trained in one native call, each on a thread of its own: seeds, widths, rates, folds."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from numbers import Real
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from chainrule._arguments import optional_integer
from chainrule._suggest import explained
from chainrule.network import Network
from chainrule.training import FitRequest, FitSettings, History, with_settings

if TYPE_CHECKING:
    from typing_extensions import Unpack


@explained
@with_settings
def fit_many(
    networks: Sequence[Network],
    X: ArrayLike,
    y: ArrayLike,
    *,
    rows: Any = None,
    sample_weight: ArrayLike | None = None,
    progress: Callable[[dict[str, Any]], object] | None = None,
    n_threads: int | None = None,
    **settings: "Unpack[FitSettings[list[Any]]]",
) -> list[History | Exception]:
    """Train every network as its own `Network.fit` would, bit for bit, one network per thread, on shared data.

    A setting is one value for all networks, or a **list** with one value per network; values that are sequences
    themselves, such as groups, metrics and callbacks, stand in tuples. The costliest networks begin first; where there
    are fewer networks than threads and each can use them all, one trains after the other.

    Parameters
    ----------
    networks : sequence of Network
        Distinct, of one dtype; sizes, activations and losses may differ.
    X, y, sample_weight
        As for `Network.fit`; shared by all networks, and never copied for one of them.
    rows : array of int or bool, or list of them, optional
        The rows to train on: their numbers, in this order, or a mask; the same as ``fit(X[rows], y[rows])``.
        Default: all. ``validation`` may be numbers or a mask of rows of X, too.
    {settings}
    progress : callable, optional
        Called in the calling thread after each network with a dict of network (its index), result, finished (how many
        so far) and networks (how many in all). What it raises ends the whole call, and so does what an
        ``on_train_end`` raises; ``on_epoch_end`` is called in whichever thread trains.
    n_threads : int, optional
        Default: as `get_num_threads` says. The results are the same for any number.

    Returns
    -------
    list of History or Exception
        One per network, in their order. Where a fit failed, its `DivergenceError`, MemoryError, RuntimeError (of a
        network that another call trains), or what its schedule raised, ValueError or TypeError for what that returned;
        not raised: the others train on.

    Raises
    ------
    ValueError, TypeError
        As `Network.fit`, for any of the networks, for a network that stands there twice, and for a list of the wrong
        length; all networks are then unchanged.
    KeyboardInterrupt, SystemExit
        On Ctrl-C, and where a function that it calls wants to end the program; every network has the parameters after
        its last whole step.

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
            raise ValueError(f"networks[{i}] is {network.dtype}, networks[0] is {networks[0].dtype}: fit them apart")
    if progress is not None and not callable(progress):
        raise TypeError(f"progress must be callable, got {progress!r}")
    count, threads = len(networks), optional_integer("n_threads", n_threads)
    chosen = [_row_numbers("rows", value, X) for value in _each("rows", rows, count)]
    held_out = [_held_out(value, X) for value in _each("validation", settings.pop("validation", None), count)]
    each = {name: _each(name, value, count) for name, value in settings.items()}
    requests = []
    for i, network in enumerate(networks):
        data, held_out_rows = held_out[i]
        own = {"validation": data, **{name: values[i] for name, values in each.items()}}
        requests.append(FitRequest(network, y, sample_weight, own, chosen[i], held_out_rows))
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
        native = [network._native for network in networks]
        asked = [request.core for request in requests]
        native[0].fit_many(native, X, y, asked, sample_weight=sample_weight, on_finished=finish, n_threads=threads)
    return [results[index] for index in range(count)]


def _each(name: str, value: Any, count: int) -> list[Any]:
    """One value per network, from a list of them or from one for all."""
    if not isinstance(value, list):
        return [tuple(value) if isinstance(value, Iterator) else value] * count
    if len(value) != count:
        raise ValueError(f"{name} has {len(value)} entries, expected one for each of the {count} networks")
    return value


def _held_out(value: Any, X: Any) -> tuple[Any, NDArray[np.intp] | None]:
    """Return other data or a fraction, and numbers of rows: None is neither."""
    if isinstance(value, (tuple, Mapping, Real)):
        return value, None
    return None, _row_numbers("validation", value, X)


def _row_numbers(name: str, value: Any, X: Any) -> NDArray[np.intp] | None:
    """Numbers of rows from themselves or from a mask."""
    if value is None:
        return None
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
