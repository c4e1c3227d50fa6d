"""Many networks trained in one native call, each on a thread of its own: seeds, widths, rates, folds."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from chainrule._arguments import optional_integer, seed_number
from chainrule._suggest import explained
from chainrule.network import Network
from chainrule.optimizers import Optimizer
from chainrule.training import SETTINGS, History, Stop
from chainrule.validation import one_data_set


@explained
def fit_many(
    networks: Sequence[Network],
    X: ArrayLike,
    y: ArrayLike,
    *,
    rows: Any = None,
    optimizer: Optimizer | list[Optimizer | None] | None = None,
    batch_size: int | list[int | None] | None = None,
    epochs: int | list[int] = 200,
    shuffle: bool | list[bool] = True,
    sample_weight: ArrayLike | None = None,
    l2: float | list[float] = 0.0,
    l2_per_row: bool | list[bool] = False,
    groups: Any = (),
    dropout: Any = 0.0,
    input_dropout: float | list[float] = 0.0,
    clip_norm: float | list[float | None] | None = None,
    clip_value: float | list[float | None] | None = None,
    ema: float | list[float | None] | None = None,
    schedules: Any = None,
    precision: str | list[str] = "float32",
    validation: Any = None,
    stop: Stop | list[Stop | None] | None = None,
    progress: Callable[[dict[str, Any]], object] | None = None,
    n_threads: int | None = None,
    seed: int | list[int | None] | None = None,
) -> list[History | Exception]:
    """Train every network as its own `Network.fit` would, bit for bit, one network per thread, on shared data.

    A setting is one value for all networks, or a **list** with one value per network. The costliest networks begin
    first; where there are fewer networks than threads and each can use them all, one trains after the other.

    Parameters
    ----------
    networks : sequence of Network
        Distinct, of one dtype; sizes, activations and losses may differ.
    X, y, sample_weight
        As for `Network.fit`; shared by all networks, and never copied for one of them.
    rows : array of int or bool, or list of them, optional
        The rows to train on: their numbers, in this order, or a mask; the same as ``fit(X[rows], y[rows])``.
        Default: all.
    optimizer, batch_size, epochs, shuffle, l2, l2_per_row, groups, dropout, input_dropout, clip_norm, clip_value
        As for `Network.fit`.
    ema, schedules, precision
        As for `Network.fit`, and so is ``stop``; or a list. Values that are sequences themselves, such as groups, stand
        in tuples.
    validation : array of int or bool, tuple (X, y) or (X, y, sample_weight), or list of them, optional
        The held-out rows of X, as in ``rows``; or other data.
    progress : callable, optional
        Called in the calling thread after each network with a dict of network (its index), result, finished (how many
        so far) and networks (how many in all). What it raises ends the whole call.
    n_threads : int, optional
        Default: as `get_num_threads` says. The results are the same for any number.
    seed : int or list, optional
        For the order of the rows. Default: each network's own.

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
    given = locals()
    each = {name: _each(name, given[name], count, convert) for name, convert in SETTINGS.items()}
    seeds = _each("seed", seed, count, lambda value: None if value is None else seed_number(value))
    each["seed"] = [net.seed if own is None else own for net, own in zip(networks, seeds, strict=True)]
    settings = [{name: values[i] for name, values in each.items()} for i in range(count)]
    chosen = _each("rows", rows, count, lambda value: _row_numbers("rows", value, X))
    held_out = _each("validation", validation, count, lambda value: _held_out(value, X))
    if not networks:
        return []
    finished = 0

    def tell(index: int, result: Any) -> None:
        nonlocal finished
        finished += 1
        assert progress is not None
        progress({"network": index, "result": _result(result), "finished": finished, "networks": count})

    native = [network._native for network in networks]
    results = native[0].fit_many(
        native,
        X,
        y,
        settings,
        sample_weight=sample_weight,
        rows=chosen,
        validation=[data for data, _ in held_out],
        validation_rows=[numbers for _, numbers in held_out],
        on_finished=tell if progress else None,
        n_threads=threads,
    )
    return [_result(result) for result in results]


def _each(name: str, value: Any, count: int, convert: Callable[[Any], Any]) -> list[Any]:
    """One converted value per network, from a list of them or from one for all, which is converted once."""
    if not isinstance(value, list):
        return [convert(value)] * count
    if len(value) != count:
        raise ValueError(f"{name} has {len(value)} entries, expected one for each of the {count} networks")
    return [convert(one) for one in value]


def _held_out(value: Any, X: Any) -> tuple[Any, NDArray[np.intp] | None]:
    """Return other data, or numbers of rows; None is neither."""
    if isinstance(value, (tuple, Mapping)):
        return one_data_set("validation", value), None
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


def _result(result: Any) -> History | Exception:
    return result if isinstance(result, Exception) else History.from_core(result, ())
