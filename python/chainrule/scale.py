"""Training with gradients computed elsewhere: `combine` adds partial sums, and `fit` takes gradients from a function.

Packages that train on many machines can build on this: each worker computes `Network.partial_gradients` of its rows,
`combine` adds the parts, with the same bits as for the whole batch, and the source given to `fit` returns the sum.
"""

import operator
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from numbers import Real
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, DTypeLike, NDArray

from chainrule import _core
from chainrule._arguments import integer, returned
from chainrule._optional import require
from chainrule.binned import BinnedRows
from chainrule.functional import Array
from chainrule.losses import to_core
from chainrule.training import FitRequest, History, WithinParts

LEAF = 512  # rows of a leaf of the sums over rows: sum_rows in cpp/kernels/sum_tree.h


def _run_length(leaves: int) -> int:
    """Return the smallest power of two that is not below the number of leaves."""
    return 1 << (leaves - 1).bit_length()


def _leaves(rows: int) -> int:
    return -(-rows // LEAF)


@dataclass(frozen=True, eq=False, repr=False)
class PartialGradients:
    """The contribution of some rows of a batch to its gradient: made by `Network.partial_gradients` or by addition.

    Attributes
    ----------
    start, stop : int
        The rows of the part, counted within the batch.
    total_rows, total_weight : int, float
        Number of rows of the batch, and the sum of their weights.
    gradient : ndarray, shape (P,)
        The partial sum of the derivatives of the batch's cost without penalty, in the order of `Network.parameters`.
    losses : ndarray of float64
        Sums of the weighted losses of consecutive blocks of rows.

    Examples
    --------
    >>> import chainrule as cr
    >>> net = cr.Network([1, 1], loss="squared_error", seed=0)
    >>> part = net.partial_gradients([[0.0], [0.0]], [2.0, 4.0], first=0, total_rows=2)
    >>> part, part.of_batch()[1]
    (PartialGradients(rows 0 to 2 of 2), 5.0)
    """

    start: int
    stop: int
    total_rows: int
    total_weight: float
    gradient: Array
    losses: NDArray[np.float64]

    def __repr__(self) -> str:
        return f"PartialGradients(rows {self.start} to {self.stop} of {self.total_rows})"

    def joins(self, right: "PartialGradients") -> bool:
        """Return whether the sum of this part and `right` is a partial sum of the tree."""
        leaves = _leaves(right.stop - self.start)
        length = _run_length(leaves)
        return (
            self.stop == right.start
            and (self.start // LEAF) % length == 0
            and (leaves == length or right.stop == self.total_rows)
            and self.stop - self.start == length // 2 * LEAF
        )

    def __add__(self, right: "PartialGradients") -> "PartialGradients":
        """Add the next part, which must be the other child of the same node of the tree."""
        if not isinstance(right, PartialGradients):
            return NotImplemented
        for name in ("total_rows", "total_weight"):
            mine, other = getattr(self, name), getattr(right, name)
            if mine != other:
                raise ValueError(f"parts of different batches: {name} is {mine} and {other}")
        if self.gradient.shape != right.gradient.shape or self.gradient.dtype != right.gradient.dtype:
            forms = [f"{g.dtype} of shape {g.shape}" for g in (self.gradient, right.gradient)]
            raise ValueError(f"parts of different networks: the gradients are {forms[0]} and {forms[1]}")
        if not self.joins(right):
            raise ValueError(
                f"the rows {self.start} to {self.stop} and {right.start} to {right.stop} of {self.total_rows} are not "
                "the two halves of an aligned part: combine() adds the parts of a batch in the right order"
            )
        losses = np.concatenate([self.losses, right.losses])
        gradient = self.gradient + right.gradient
        return PartialGradients(self.start, right.stop, self.total_rows, self.total_weight, gradient, losses)

    def of_batch(self) -> tuple[Array, float, float]:
        """Return gradient, cost and sum of the weights of the batch, as a source returns them to `fit`.

        Raises
        ------
        ValueError
            If the part is not the whole batch.
        """
        if (self.start, self.stop) != (0, self.total_rows):
            raise ValueError(f"the rows {self.start} to {self.stop} are not the whole batch of {self.total_rows} rows")
        total = 0.0
        for value in self.losses.tolist():  # in order: sum() would be more accurate since Python 3.12
            total += value
        scale = 1 / self.total_weight if self.total_weight > 0 else 0.0
        return self.gradient, total * scale, self.total_weight


def join(
    parts: Iterable[PartialGradients],
    add: Callable[[PartialGradients, PartialGradients], PartialGradients] = operator.add,
) -> list[PartialGradients]:
    """Add parts, given in any order, wherever two are the children of a node of the tree; return the resulting parts.

    Examples
    --------
    >>> import numpy as np
    >>> from itertools import pairwise
    >>> from chainrule.scale import PartialGradients, join
    >>> bounds = (0, 512, 1024, 1536, 2048)
    >>> parts = [PartialGradients(*rows, 2048, 1.0, np.ones(2), np.ones(1)) for rows in pairwise(bounds)]
    >>> join(parts[:3])
    [PartialGradients(rows 0 to 1024 of 2048), PartialGradients(rows 1024 to 1536 of 2048)]
    """
    found: list[PartialGradients] = []
    for part in sorted(parts, key=lambda part: part.start):
        found.append(part)
        while len(found) > 1 and found[-2].joins(found[-1]):
            right = found.pop()
            found[-1] = add(found[-1], right)
    return found


def combine(parts: Iterable[PartialGradients]) -> PartialGradients:
    """Add the parts of a batch, or of an aligned part of it, in any order.

    The sum is bit for bit the gradient of the whole.

    Raises
    ------
    ValueError
        If parts are missing, occur twice, or belong to different batches.

    Examples
    --------
    See `Network.partial_gradients`.
    """
    nodes = join(parts)
    if not nodes:
        raise ValueError("there are no parts to combine")
    if len(nodes) > 1:
        found = ", ".join(f"{part.start} to {part.stop}" for part in nodes)
        raise ValueError(f"the parts do not make up an aligned part of a batch of {nodes[0].total_rows} rows: {found}")
    return nodes[0]


def aligned_parts(total_rows: int, count: int) -> list[tuple[int, int]]:
    """Divide a batch into at least `count` aligned parts of about the same size, if it has that many leaves.

    Returns
    -------
    list of (start, stop)
        The rows of each part, in order.

    Examples
    --------
    >>> from chainrule.scale import aligned_parts
    >>> aligned_parts(3000, 3)
    [(0, 1024), (1024, 2048), (2048, 3000)]
    """
    rows, count = integer("total_rows", total_rows, low=1, high=2**63 - 1), integer("count", count, low=1)
    leaves = _leaves(rows)
    length = _run_length(leaves)
    while length > 1 and -(-leaves // length) < count:
        length //= 2
    size = length * LEAF
    return [(start, min(start + size, rows)) for start in range(0, rows, size)]


def is_sparse(X: Any) -> bool:
    """Return whether X is one of SciPy's sparse matrices or arrays.

    Examples
    --------
    >>> from chainrule.scale import is_sparse
    >>> is_sparse([[0.0]])
    False
    """
    return hasattr(X, "tocsr")


def form_of(X: Any) -> str:
    """Return the form that rows to be stacked must share: dense, sparse, or the layout of binned rows.

    Examples
    --------
    >>> import numpy as np
    >>> from chainrule.scale import form_of
    >>> form_of(np.zeros((2, 3)))
    'dense'
    """
    if isinstance(X, BinnedRows):
        return f"binned with the layout {list(X.layout)}"
    return "sparse" if is_sparse(X) else "dense"


def of_type(rows: Any, dtype: DTypeLike) -> Any:
    """Return rows with numbers of another type: an array in C order, a sparse matrix, or binned rows.

    Examples
    --------
    >>> from chainrule.scale import of_type
    >>> of_type([1, 2], "float32").dtype
    dtype('float32')
    """
    if isinstance(rows, BinnedRows):
        return BinnedRows(rows.codes, rows.values.astype(dtype, copy=False), rows.layout)
    return rows.astype(dtype, copy=False) if is_sparse(rows) else np.ascontiguousarray(rows, dtype)


def stacked(pieces: Sequence[Any]) -> Any:
    """Stack arrays, binned rows, or sparse matrices, which become one matrix in the CSR format.

    Examples
    --------
    >>> import numpy as np
    >>> from chainrule.scale import stacked
    >>> stacked([np.zeros((2, 3)), np.zeros((0, 3)), np.zeros((1, 3))]).shape
    (3, 3)
    """
    if is_sparse(pieces[0]):
        return require("scipy.sparse", "sklearn").vstack(pieces, format="csr")
    if isinstance(pieces[0], BinnedRows):
        codes, values = (np.concatenate([getattr(piece, name) for piece in pieces]) for name in ("codes", "values"))
        return BinnedRows(codes, values, pieces[0].layout)
    return np.ascontiguousarray(np.concatenate(pieces))


def check_targets(network: Any, y: NDArray[Any], weights: Array | None) -> None:
    """Raise the error of `Network.fit` for wrong targets or weights, before any gradient is computed.

    Examples
    --------
    >>> import chainrule as cr, numpy as np
    >>> from chainrule.scale import check_targets
    >>> net = cr.Network([1, 1], loss="squared_error", seed=0)
    >>> check_targets(net, np.zeros(3), np.array([1.0, -2.0, 1.0]))
    Traceback (most recent call last):
        ...
    ValueError: sample_weight[1] is -2.0, expected a finite number of 0 or more
    """
    for start in range(0, len(y), 1 << 16):
        some = y[start : start + (1 << 16)]
        _core.losses(np.zeros((len(some), network.layer_sizes[-1]), network.dtype), some, to_core(network.loss_spec))
    if weights is None:
        return
    if weights.shape != (len(y),):
        raise ValueError(f"sample_weight has shape {weights.shape}, expected ({len(y)},)")
    wrong = np.flatnonzero(~((weights >= 0) & np.isfinite(weights)))
    if len(wrong):
        raise ValueError(f"sample_weight[{wrong[0]}] is {weights[wrong[0]]}, expected a finite number of 0 or more")


def takes_parts(settings: Mapping[str, Any], rows: int) -> bool:
    """Return whether a fit with these settings uses mini-batches with ``shuffle=WithinParts(...)``.

    Examples
    --------
    >>> import chainrule as cr
    >>> from chainrule.scale import takes_parts
    >>> takes_parts({"shuffle": cr.WithinParts(512), "batch_size": 100}, 1000)
    True
    """
    size = settings.get("batch_size")
    return isinstance(settings.get("shuffle"), WithinParts) and size is not None and size < rows


class Batch(NamedTuple):
    """The batch whose gradient a source computes.

    Attributes
    ----------
    parameters : ndarray, shape (P,)
        A read-only copy of the parameters, in the order of `Network.parameters`.
    rows : slice or ndarray of int
        The rows of the batch in their order: ``X[batch.rows]``.
    step, seed, dropout, input_dropout
        The arguments of `Network.partial_gradients`.
    """

    parameters: Array
    rows: slice | NDArray[np.intp]
    step: int
    seed: int
    dropout: list[float]
    input_dropout: float


def fit(
    network: Any,
    source: Callable[[Batch], tuple[Any, float, float]],
    rows: int,
    *,
    train_rows: ArrayLike | None = None,
    n_threads: int | None = None,
    **settings: Any,
) -> History:
    """Train a network like `Network.fit`, but with gradients that a function computes.

    Equal gradients give the same bits as in `Network.fit`. L-BFGS cannot distinguish "stalled" from "converged" here.

    Parameters
    ----------
    network : Network
        Trained in place.
    source : callable
        ``source(batch)`` takes a `Batch` and returns its gradient of shape (P,), its cost, and the sum of its weights,
        as `PartialGradients.of_batch` does. Gradient and cost are without penalty. It is called once per step, or, with
        L-BFGS, once per trial point. An exception ends training and is raised by `fit`; the network then has the
        parameters after the last complete step.
    rows : int
        Number of rows of the data.
    train_rows : array_like of int, optional
        Row indices to train on, if some are held out. The parts of `WithinParts` are those of all rows.
    n_threads : int, optional
        Number of threads for updates and validation.
    **settings
        The settings of `Network.fit`, except ``loss``, ``precision`` and a fraction as ``validation``.

    Returns
    -------
    History
        As for `Network.fit`.

    Raises
    ------
    ValueError, TypeError
        As for `Network.fit`, and if the source returns something of the wrong shape or type.

    Examples
    --------
    >>> import chainrule as cr, numpy as np
    >>> from chainrule import scale
    >>> X, y = np.linspace(-1, 1, 2000).reshape(-1, 1), np.linspace(0, 3, 2000)
    >>> nets = [cr.Network([1, 3, 1], loss="squared_error", seed=0) for _ in range(3)]
    >>> def source(batch):
    ...     nets[2].parameters[:] = batch.parameters
    ...     X_batch, y_batch = X[batch.rows], y[batch.rows]
    ...     rows = len(y_batch)
    ...     parts = [nets[2].partial_gradients(X_batch[start:stop], y_batch[start:stop], first=start, total_rows=rows)
    ...              for start, stop in scale.aligned_parts(rows, 3)]
    ...     return scale.combine(parts).of_batch()
    >>> history = scale.fit(nets[0], source, 2000, batch_size=1200, epochs=3)
    >>> history.loss.tolist() == nets[1].fit(X, y, batch_size=1200, epochs=3).loss.tolist()
    True
    """
    if not callable(source):
        raise TypeError(f"source must be callable, got {source!r}")
    if isinstance(settings.get("validation"), Real):
        raise ValueError("a source has no rows to hold out: set validation= to (X, y)")

    def call(parameters: Array, *rest: Any) -> tuple[Array, float, float]:
        parameters.flags.writeable = False
        result = source(Batch(parameters, *rest))
        if not isinstance(result, tuple) or len(result) != 3:
            raise TypeError(f"source must return (gradient, loss, weight), got {type(result).__name__}")
        gradient, loss, weight = result
        if gradient is None:
            raise TypeError("source must return (gradient, loss, weight), got None as the gradient")
        loss = returned("the loss that source returned", loss)
        return gradient, loss, returned("the weight that source returned", weight)

    count = integer("rows", rows, low=1, high=2**63 - 1)
    own = None if train_rows is None else np.asarray(train_rows, np.intp)
    request = FitRequest(network, None, None, settings, own, source=(call, count))
    return request.run(np.empty((0, network.layer_sizes[0]), network.dtype), None, n_threads)
