"""The class Network: prediction, cost, derivatives, and training, each as one native call."""

import html
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from types import NoneType
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, DTypeLike

from chainrule import _core
from chainrule._arguments import dtype_name, flag, integer, one_of, optional_integer, real, seed_number, sizes
from chainrule._disk import StrPath, write_atomically
from chainrule._lists import with_lists
from chainrule._names import ActivationName, InitName, LossName
from chainrule._notebook import table
from chainrule._suggest import did_you_mean, explained, quick
from chainrule.binned import BinnedRows
from chainrule.functional import Array, Params, check_layers, per_hidden_layer
from chainrule.gradients import GradientReport, compare
from chainrule.losses import CustomLoss, Loss, custom, from_core, to_core
from chainrule.rows import Rows, target_of
from chainrule.scale import PartialGradients
from chainrule.training import FitRequest, FitSettings, History, with_settings

if TYPE_CHECKING:
    from typing_extensions import Never, Unpack


class Views(tuple[Array, ...]):
    """Views of one flat array. Assigning to an entry, or ``-=`` on it, writes to the elements of the view."""

    def __setitem__(self, layer: int, values: ArrayLike) -> None:
        self[layer][...] = values


@dataclass(frozen=True, eq=False, repr=False)
class Gradients:
    """Derivatives of the cost.

    Attributes
    ----------
    parameters : ndarray, shape (P,)
        Derivatives with respect to the flat parameters, in their order: W[1] column by column, b[1], W[2], ...
    weights, biases : tuple of ndarray
        Views of `parameters`, with the shapes of `Network.weights` and `Network.biases`.
    inputs : ndarray, shape (m, n_0), or None
        Derivatives with respect to X, if ``inputs=True`` was given.

    Examples
    --------
    >>> import chainrule as cr
    >>> net = cr.Network([2, 3, 1], loss="squared_error", seed=0)
    >>> _, grads = net.loss_and_gradients([[0.0, 1.0]], [1.0], inputs=True)
    >>> grads.parameters.shape, [dW.shape for dW in grads.weights], grads.inputs.shape
    ((13,), [(3, 2), (1, 3)], (1, 2))
    """

    parameters: Array
    weights: Views
    biases: Views
    inputs: Array | None

    @classmethod
    def from_flat(cls, parameters: Array, layer_sizes: Sequence[int], inputs: Array | None = None) -> "Gradients":
        """Make the views of flat derivatives."""
        weights, biases, start = [], [], 0
        for n_in, n_out in pairwise(layer_sizes):
            middle = start + n_out * n_in
            weights.append(parameters[start:middle].reshape(n_in, n_out).T)
            start = middle + n_out
            biases.append(parameters[middle:start])
        return cls(parameters, Views(weights), Views(biases), inputs)


@dataclass(frozen=True, eq=False, repr=False)
class Trace:
    """All intermediate results of one step of backpropagation.

    Entry l of z, dz, dweights and dbiases belongs to layer l + 1; ``a[l]`` is ``A[l]``, and ``a[0]`` is X.

    Attributes
    ----------
    loss : float
        The cost J.
    z : list of ndarray
        ``Z[l]``, shape (m, n_l); the last are the logits.
    a : list of ndarray
        ``A[l]``, shape (m, n_l): one entry more than z; the last is the prediction.
    dz : list of ndarray
        ``dZ[l]``, the derivatives of J with respect to ``Z[l]``.
    dweights, dbiases : list of ndarray
        ``dW[l]``, shape (n_l, n_{l-1}), and ``db[l]``, shape (n_l,).

    Examples
    --------
    >>> import chainrule as cr
    >>> net = cr.Network([1, 1], loss="squared_error", seed=0)
    >>> net.parameters[:] = [1.0, 0.0]
    >>> trace = net.trace([[3.0], [5.0]], [2.0, 5.0])
    >>> trace.loss, trace.z[0].tolist(), trace.dz[0].tolist(), trace.dweights[0].tolist(), trace.dbiases[0].tolist()
    (0.25, [[3.0], [5.0]], [[0.5], [0.0]], [[1.5]], [0.5])
    """

    loss: float
    z: list[Array]
    a: list[Array]
    dz: list[Array]
    dweights: list[Array]
    dbiases: list[Array]


def default_init(activations: Sequence[str]) -> InitName:
    """Return the default distribution of the initial weights for these activations of the hidden layers."""
    wanted = {_core.ACTIVATIONS[name].init for name in activations}
    if "he_uniform" in wanted:
        return "he_uniform"
    return wanted.pop() if len(wanted) == 1 else "glorot_uniform"


def refuse_sparse(name: str, X: ArrayLike | Rows) -> None:
    """Raise ValueError if X is a sparse matrix, BinnedRows or Rows; `name` is the feature that needs an array."""
    if isinstance(X, Rows):
        raise ValueError(f"{name} is not available for Rows; pass some of the rows as an array: rows.read(0, 100)")
    if hasattr(X, "tocsr") or isinstance(X, BinnedRows):
        what = "binned rows" if isinstance(X, BinnedRows) else "a sparse X"
        raise ValueError(f"{name} is not available for {what}; pass some of the rows as an array: X[:100].toarray()")


@explained
class Network:
    """A dense feed-forward network: ``A[l] = g(A[l-1] W[l]ᵀ + b[l])``. The loss determines the last activation.

    Parameters
    ----------
    layer_sizes : sequence of int
        Numbers of columns of X, of units of each hidden layer, and of outputs.
    activation : str or sequence of str, default "relu"
        One name, or one per hidden layer; see `forward` for the formulas.
    loss : str, or a loss such as Huber
        A name, see `cost` for the formulas; or an instance of a class such as `Huber` or `Quantile`, which has a
        parameter.
    init : str or list of (W, b), optional
        Distribution of the initial weights, see `init_params`; or the weights and biases of each layer, which are
        copied. Default: "lecun_uniform" if all hidden layers have selu, "he_uniform" if a hidden layer has an
        activation of the relu family, otherwise "glorot_uniform".
    dtype : {"float32", "float64"}, default "float32"
        Type of the parameters and of the arithmetic.
    seed : int, optional
        From 0 to 2**64 - 1. Used for the initial weights, and by `fit` if it is called without a seed. Default: a
        random number from the operating system.

    Raises
    ------
    ValueError
        For fewer than two sizes, a size below 1, an unknown name, a wrong number of activations, a seed out of range.
    TypeError
        For another dtype, or an argument of another type.

    Examples
    --------
    The exclusive or:

    >>> import chainrule as cr
    >>> X, y = [[0, 0], [0, 1], [1, 0], [1, 1]], [0, 1, 1, 0]
    >>> net = cr.Network([2, 16, 1], activation="tanh", loss="binary_cross_entropy", seed=0)
    >>> history = net.fit(X, y, optimizer=cr.Adam(learning_rate=0.05), epochs=500)
    >>> net.predict(X).round().ravel().tolist()
    [0.0, 1.0, 1.0, 0.0]
    """

    _native: _core.NetworkFloat32 | _core.NetworkFloat64

    def __init__(
        self,
        layer_sizes: Sequence[int],
        *,
        activation: ActivationName | Sequence[ActivationName] = "relu",
        loss: Loss,
        init: InitName | Params | None = None,
        dtype: DTypeLike = "float32",
        seed: int | None = None,
    ) -> None:
        layers = sizes(layer_sizes)
        activations = per_hidden_layer(activation, len(layers) - 2)
        if init is None:
            init = default_init(activations)
        name = one_of("init", init, _core.INITS) if isinstance(init, str) else "given"
        seed = int.from_bytes(os.urandom(7), "little") if seed is None else seed_number(seed)
        self._native = _make_native(layers, activations, loss, name, seed, dtype_name(dtype))
        if not isinstance(init, str):
            _copy_layers(init, list(zip(self.weights, self.biases, strict=True)))

    @property
    def layer_sizes(self) -> tuple[int, ...]:
        """Numbers of columns of X, of units of each hidden layer, and of outputs."""
        return tuple(self._native.layer_sizes)

    @property
    def activations(self) -> tuple[ActivationName, ...]:
        """One name per hidden layer."""
        return tuple(self._native.activations)

    @property
    def loss_name(self) -> LossName:
        """Name of the loss, which is minimized and determines the output activation."""
        return self._native.loss

    @property
    def loss_spec(self) -> Loss:
        """The loss in the form in which `Network` takes it: a name, or an instance of a class such as `Huber`."""
        return from_core(self._native.loss, self._native.loss_parameters)

    @property
    def init(self) -> InitName:
        """Distribution from which the initial weights were drawn; "given" if the caller passed the weights."""
        return self._native.init

    @property
    def seed(self) -> int:
        """The seed that was given or drawn."""
        return self._native.seed

    @property
    def dtype(self) -> np.dtype[Any]:
        """Type of the parameters: float32 or float64."""
        return self.parameters.dtype

    @property
    def parameters(self) -> Array:
        """All parameters, shape (P,): W[1] column by column, b[1], W[2], ...; writing to them changes the network."""
        return self._native.parameters

    @property
    def weights(self) -> Views:
        """``W[l]`` of each layer, shape (n_l, n_{l-1}): views of `parameters`; ``net.weights[0] = W`` writes to one."""
        return Views(self._native.weights)

    @property
    def biases(self) -> Views:
        """``b[l]`` of each layer, shape (n_l,): views of `parameters`; ``net.biases[0] = b`` writes to one."""
        return Views(self._native.biases)

    @quick
    def logits(self, X: ArrayLike | Rows, *, n_threads: int | None = None) -> Array:
        """Compute ``Z[L]``, shape (m, n_L): the prediction before the output activation. Arguments: see `predict`.

        Examples
        --------
        >>> import chainrule as cr
        >>> net = cr.Network([2, 3], loss="softmax_cross_entropy", seed=0)
        >>> net.logits([[0.0, 0.0]]).tolist()
        [[0.0, 0.0, 0.0]]
        """
        return self._native.logits(X, optional_integer("n_threads", n_threads))

    @quick
    def predict(self, X: ArrayLike | Rows, *, n_threads: int | None = None) -> Array:
        """Compute ``A[L]``: probabilities if the loss is a cross-entropy, otherwise values.

        Parameters
        ----------
        X : array_like, SciPy sparse matrix, BinnedRows or Rows, shape (m, n_0)
            One example per row.
        n_threads : int, optional
            Default: `get_num_threads`. The result is the same for any number.

        Returns
        -------
        ndarray, shape (m, n_L)
            The predictions, in the network's dtype.

        Raises
        ------
        ValueError
            For a wrong number of columns or dimensions.
        TypeError
            For an array that does not hold real numbers.

        Examples
        --------
        >>> import chainrule as cr
        >>> net = cr.Network([2, 1], loss="binary_cross_entropy", seed=0)
        >>> net.predict([[0.0, 0.0]]).tolist()
        [[0.5]]
        """
        return self._native.predict(X, optional_integer("n_threads", n_threads))

    def hidden_activations(self, X: ArrayLike | Rows, *, layer: int = -1, n_threads: int | None = None) -> Array:
        """Compute ``A[l]`` of a hidden layer, for instance as features for another model.

        Parameters
        ----------
        X : array_like, SciPy sparse matrix, BinnedRows or Rows, shape (m, n_0)
            One example per row.
        layer : int, default -1
            The hidden layer, as an index of `activations`: 0 is the first, -1 the last.
        n_threads : int, optional
            Default: `get_num_threads`. The result is the same for any number.

        Returns
        -------
        ndarray, shape (m, units of the layer)
            The activations, in the network's dtype: without dropout, as in `predict`.

        Raises
        ------
        ValueError
            For a layer that does not exist, and as for `predict`.
        TypeError
            For an array that does not hold real numbers.

        Examples
        --------
        >>> import chainrule as cr
        >>> net = cr.Network([2, 3, 4, 1], loss="squared_error", seed=0)
        >>> net.hidden_activations([[0.0, 1.0]]).shape, net.hidden_activations([[0.0, 1.0]], layer=0).shape
        ((1, 4), (1, 3))
        """
        count = len(self.activations)
        if count == 0:
            raise ValueError("the network has no hidden layer")
        place = integer("layer", layer, low=-count, high=count - 1) % count
        return self._native.hidden_activations(X, place, optional_integer("n_threads", n_threads))

    def loss(
        self,
        X: ArrayLike | Rows,
        y: ArrayLike | None = None,
        sample_weight: ArrayLike | None = None,
        l2: float = 0.0,
        *,
        n_threads: int | None = None,
    ) -> float:
        """Compute the cost J, see `cost`. Arguments: see `loss_and_gradients`.

        Examples
        --------
        >>> import chainrule as cr
        >>> net = cr.Network([2, 1], loss="squared_error", seed=0)
        >>> net.loss([[0.0, 0.0]], [2.0])
        2.0
        """
        y = target_of(X, y, "Network.loss")
        return self._native.cost(X, y, sample_weight, real("l2", l2), optional_integer("n_threads", n_threads))

    def loss_and_gradients(
        self,
        X: ArrayLike | Rows,
        y: ArrayLike | None = None,
        sample_weight: ArrayLike | None = None,
        l2: float = 0.0,
        *,
        inputs: bool = False,
        n_threads: int | None = None,
        loss: CustomLoss | None = None,
    ) -> tuple[float, Gradients]:
        """Compute the cost and its derivatives, for instance for a custom optimizer.

        Parameters
        ----------
        X : array_like, SciPy sparse matrix, BinnedRows or Rows, shape (m, n_0)
            One example per row.
        y : array_like, shape (m,) or (m, n_L)
            Targets as the loss expects them; see `cost`. Default, if X is `Rows`: their target. Of several targets
            some may be missing, as masked entries of a `numpy.ma.MaskedArray`; see `fit`.
        sample_weight : array_like, shape (m,), optional
            Weights of the rows, not negative; default 1 each.
        l2 : float, default 0
            The penalty λ of ``(λ/2) Σ_l ‖W[l]‖²``.
        inputs : bool, default False
            Also compute the derivatives with respect to X, which must be dense.
        n_threads : int, optional
            Default: `get_num_threads`. The result is the same for any number.
        loss : callable, optional
            A custom loss to use instead of the network's: ``loss(logits, y, weight)`` receives the logits (m, n_L)
            and the y and sample_weight that are given here, unchanged, and returns the cost of the batch and its
            gradient with respect to the logits, (m, n_L). If the cost is a mean, the gradient includes the factor 1/m.

        Returns
        -------
        loss : float
            The cost.
        gradients : Gradients
            The derivatives, in the network's dtype.

        Raises
        ------
        ValueError
            For shapes that do not fit, class numbers out of range, a weight below 0, or none above 0.
        TypeError
            For arrays that do not hold real numbers.

        Examples
        --------
        >>> import chainrule as cr
        >>> net = cr.Network([1, 1], loss="squared_error", seed=0)
        >>> net.parameters[:] = [1.0, 0.0]
        >>> loss, grads = net.loss_and_gradients([[3.0], [5.0]], [2.0, 5.0])
        >>> loss, grads.parameters.tolist()
        (0.25, [1.5, 0.5])
        """
        penalty, threads = real("l2", l2), optional_integer("n_threads", n_threads)
        if loss is None or isinstance(X, Rows):
            y = target_of(X, y, "Network.loss_and_gradients")
        arguments = X, y, sample_weight, penalty, flag("inputs", inputs), threads
        if inputs:
            refuse_sparse("inputs=True", X)
        value, flat, dx = self._native.loss_and_gradients(*arguments, custom(loss))
        return value, Gradients.from_flat(flat, self.layer_sizes, dx)

    def partial_gradients(
        self,
        X: ArrayLike,
        y: ArrayLike,
        sample_weight: ArrayLike | None = None,
        *,
        first: int,
        total_rows: int,
        total_weight: float | None = None,
        step: int = 0,
        seed: int = 0,
        dropout: Sequence[float] = (),
        input_dropout: float = 0.0,
        n_threads: int | None = None,
    ) -> PartialGradients:
        """Compute the contribution of some rows of a batch to its gradient: the work of one machine of several.

        The gradient of a batch is a tree of sums over leaves of 512 rows. The sum over an aligned run of leaves is a
        node of the tree, so `chainrule.scale.combine` adds the parts and gets bit for bit the gradient of the whole
        batch.

        Parameters
        ----------
        X, y, sample_weight, n_threads
            The rows; see `loss_and_gradients`. All weights may be 0.
        first : int
            Position of the first row in the batch: a multiple of 512.
        total_rows : int
            Number of rows of the batch. X must have ``512 · 2**j`` rows, and `first` must be a multiple of this number.
            Only the last part of the batch may have fewer rows. `chainrule.scale.aligned_parts` returns such parts.
        total_weight : float, optional
            Sum of the weights of the batch, in the network's dtype, added in order in float64. Default, without
            weights: total_rows.
        step, seed : int, default 0
            Number of the step since training began, from 0, and the seed; dropout depends on both.
        dropout, input_dropout : sequence of float, float
            Dropout rates in this step: of the hidden layers (one, or one per layer) and of the inputs.

        Returns
        -------
        PartialGradients
            The partial sum, without penalty, and the sums of the losses.

        Raises
        ------
        ValueError
            For rows that are not aligned, and as for `loss_and_gradients`.
        TypeError
            As for `loss_and_gradients`.

        Examples
        --------
        >>> import chainrule as cr, numpy as np
        >>> from chainrule.scale import aligned_parts, combine
        >>> net = cr.Network([1, 3, 1], loss="squared_error", seed=0)
        >>> X, y = np.linspace(-1, 1, 1500).reshape(-1, 1), np.linspace(0, 3, 1500)
        >>> parts = [net.partial_gradients(X[start:stop], y[start:stop], first=start, total_rows=1500)
        ...          for start, stop in aligned_parts(1500, 2)]
        >>> gradient, loss, weight = combine(parts).of_batch()
        >>> value, grads = net.loss_and_gradients(X, y)
        >>> loss == value, bool((gradient == grads.parameters).all())
        (True, True)
        """
        if isinstance(y, np.ma.MaskedArray) and np.ma.is_masked(y):
            raise ValueError("partial_gradients is not available for masked targets")
        if total_weight is None and sample_weight is not None:
            raise ValueError("total_weight, the sum over the whole batch, must be given with sample_weight")
        start, rows = integer("first", first, high=2**63 - 1), integer("total_rows", total_rows, high=2**63 - 1)
        weight = float(rows) if total_weight is None else real("total_weight", total_weight)
        part = {
            "first": start,
            "total_rows": rows,
            "total_weight": weight,
            "dropout": [real(f"dropout[{i}]", rate) for i, rate in enumerate(dropout)],
            "input_dropout": real("input_dropout", input_dropout),
            "seed": seed_number(seed),
            "step": integer("step", step, high=2**63 - 1),
        }
        threads = optional_integer("n_threads", n_threads)
        gradient, losses, count = self._native.partial_gradients(X, y, sample_weight, part, threads)
        return PartialGradients(start, start + count, rows, weight, gradient, losses)

    def losses(self, X: ArrayLike | Rows, y: ArrayLike | None = None, *, n_threads: int | None = None) -> Array:
        """Compute the loss L of each example, shape (m,), without weights and penalty.

        Examples
        --------
        >>> import chainrule as cr
        >>> net = cr.Network([2, 1], loss="squared_error", seed=0)
        >>> net.losses([[0.0, 0.0], [0.0, 0.0]], [2.0, 4.0]).tolist()
        [2.0, 8.0]
        """
        y = target_of(X, y, "Network.losses")
        return _core.losses(self.logits(X, n_threads=n_threads), y, to_core(self.loss_spec))

    def trace(
        self,
        X: ArrayLike,
        y: ArrayLike,
        sample_weight: ArrayLike | None = None,
        l2: float = 0.0,
        *,
        n_threads: int | None = None,
    ) -> Trace:
        """Compute one step of backpropagation and return all its intermediate results.

        Arguments: see `loss_and_gradients`. X must be dense.

        Examples
        --------
        >>> import chainrule as cr
        >>> trace = cr.Network([2, 3, 1], loss="squared_error", seed=0).trace([[0.0, 1.0]], [1.0])
        >>> [dz.shape for dz in trace.dz], [dW.shape for dW in trace.dweights]
        ([(1, 3), (1, 1)], [(3, 2), (1, 3)])
        """
        refuse_sparse("trace", X)
        params = list(zip(self.weights, self.biases, strict=True))
        names, loss, threads = self.activations, to_core(self.loss_spec), optional_integer("n_threads", n_threads)
        z, a = _core.forward(params, X, names, loss, threads)
        value = _core.cost(params, z[-1], y, loss, sample_weight, real("l2", l2))
        grads, dz = _core.backward(params, z, a, y, names, loss, sample_weight, real("l2", l2), threads)
        return Trace(value, z, a, dz, [dW for dW, _ in grads], [db for _, db in grads])

    def example_gradient_norms(self, X: ArrayLike, y: ArrayLike, *, n_threads: int | None = None) -> Array:
        """Compute the squared norms of the gradients of each example's loss, one per layer; shape (m, layers).

        With ``δ = dL/dZ[l]`` and ``a = A[l-1]``, the gradient of an example is ``δ aᵀ`` for the weights and ``δ`` for
        the biases, so its squared norm is ``‖δ‖² (‖a‖² + 1)``, which needs no matrix product.

        Examples
        --------
        >>> import chainrule as cr
        >>> net = cr.Network([1, 1], loss="squared_error", seed=0)
        >>> net.parameters[:] = [1.0, 0.0]
        >>> net.example_gradient_norms([[3.0], [5.0]], [2.0, 5.0]).tolist()
        [[10.0], [0.0]]
        """
        refuse_sparse("example_gradient_norms", X)
        deltas, a = self._examples(X, y, n_threads)
        norms = [(delta**2).sum(axis=1) * ((x**2).sum(axis=1) + 1) for delta, x in zip(deltas, a, strict=False)]
        return np.stack(norms, axis=1)

    def example_gradients(self, X: ArrayLike, y: ArrayLike, *, n_threads: int | None = None) -> Array:
        """Compute the gradient of each example's loss with respect to all parameters, shape (m, P).

        Examples
        --------
        >>> import chainrule as cr
        >>> net = cr.Network([1, 1], loss="squared_error", seed=0)
        >>> net.parameters[:] = [1.0, 0.0]
        >>> net.example_gradients([[3.0], [5.0]], [2.0, 5.0]).tolist()
        [[3.0, 1.0], [0.0, 0.0]]
        """
        refuse_sparse("example_gradients", X)
        deltas, a = self._examples(X, y, n_threads)
        parts = []
        for delta, x in zip(deltas, a, strict=False):
            parts += [(x[:, :, None] * delta[:, None, :]).reshape(len(x), -1), delta]
        return np.concatenate(parts, axis=1)

    def _examples(self, X: ArrayLike, y: ArrayLike, n_threads: int | None) -> tuple[list[Array], list[Array]]:
        """Return dL/dZ of every layer, not divided by the number of rows, and A."""
        trace = self.trace(X, y, n_threads=n_threads)
        return [dz * len(dz) for dz in trace.dz], trace.a

    def check_gradients(
        self,
        X: ArrayLike,
        y: ArrayLike,
        sample_weight: ArrayLike | None = None,
        l2: float = 0.0,
        *,
        loss: CustomLoss | None = None,
    ) -> GradientReport:
        """Compare the gradients at the current parameters with central differences, in float64; see `check_gradients`.

        Arguments: see `loss_and_gradients`. A custom loss receives the logits in float64.

        Examples
        --------
        >>> import chainrule as cr
        >>> net = cr.Network([2, 3, 1], activation="gelu", loss="poisson", seed=0)
        >>> report = net.check_gradients([[0.0, 1.0], [1.0, 0.5]], [3, 0], l2=0.1)
        >>> report.compared, report.relative_error < 1e-6
        (13, True)
        """
        own = custom(loss)
        layers = list(zip(self.weights, self.biases, strict=True))
        twin = Network(
            self.layer_sizes, activation=self.activations, loss=self.loss_spec, init=layers, dtype="float64", seed=0
        )
        native, arguments = twin._native, (X, y, sample_weight, real("l2", l2))

        def evaluate() -> float:
            return native.cost(*arguments) if own is None else native.loss_and_gradients(*arguments, loss=own)[0]

        gradients = Gradients.from_flat(native.loss_and_gradients(*arguments, loss=own)[1], self.layer_sizes)
        pairs = list(zip(gradients.weights, gradients.biases, strict=True))
        return compare(list(zip(twin.weights, twin.biases, strict=True)), pairs, evaluate)

    @with_lists
    @with_settings
    def fit(
        self,
        X: ArrayLike | Rows,
        y: ArrayLike | None = None,
        *,
        sample_weight: ArrayLike | None = None,
        n_threads: int | None = None,
        **settings: "Unpack[FitSettings[Never]]",
    ) -> History:
        """Minimize the cost, starting from the current parameters, until the last epoch or a criterion of ``stop``.

        {metrics}

        Parameters
        ----------
        X : array_like, SciPy sparse matrix, BinnedRows or Rows, shape (m, n_0)
            One example per row.
        y : array_like, shape (m,) or (m, n_L), optional
            Targets as the loss expects them; see `cost`. Default, if X is `Rows`: their target.
        sample_weight : array_like, shape (m,), optional
            Weights of the rows, not negative; default 1 each. The cost of a batch is the weighted mean over its rows.
            With masked targets it is ``n_L · Σ_ij w_i L_ij / Σ_ij w_i`` over the targets j of rows i that are not
            masked.
        n_threads : int, optional
            Number of threads; default: `get_num_threads()`. The result does not depend on it.
        {settings}

        Returns
        -------
        History
            The costs of the epochs, the reason why the training ended, and more.

        Raises
        ------
        ValueError, TypeError
            As for `loss_and_gradients`; also for options out of range, and for bf16 if it is not available. The network
            is then unchanged.
        RuntimeError
            If another call is training this network.
        DivergenceError
            If the cost becomes NaN or infinite. The network keeps its last finite parameters, and ``error.history`` has
            the history up to that point.
        KeyboardInterrupt
            On Ctrl-C. The network has the parameters after the last complete step, and ``error.history`` as above.

        Examples
        --------
        >>> import chainrule as cr
        >>> net = cr.Network([1, 1], loss="squared_error", seed=0)
        >>> history = net.fit([[-1.0], [1.0]], [-2.0, 4.0], optimizer=cr.SGD(learning_rate=0.5), epochs=100)
        >>> net.parameters.round(3).tolist(), history.stop_reason
        ([3.0, 1.0], 'epochs')
        """
        if settings.get("loss") is None or isinstance(X, Rows):
            y = target_of(X, y, "Network.fit")
        return FitRequest(self, y, sample_weight, settings).run(X, sample_weight, n_threads)

    def save(self, path: StrPath, metadata: Mapping[str, str] | None = None) -> None:
        """Write the network to a safetensors file, which `load` reads.

        The tensors are `weights.0`, shape (n_out, n_in), `biases.0`, shape (n_out,), `weights.1`, ...; in the metadata,
        `chainrule` holds the configuration as JSON, and `chainrule.sha256` a checksum of everything else. The file is
        replaced atomically: whatever happens, the path holds its old content or the complete new model. An existing
        file keeps its permissions. A pipe or a device, such as /dev/stdout, is not replaced but written to.

        Parameters
        ----------
        path : str or path
            The file to write.
        metadata : mapping of str to str, optional
            Strings to store with the network. The keys `chainrule` and `chainrule.sha256` are reserved.

        Raises
        ------
        ValueError
            For parameters that are NaN or infinite, which `load` would refuse, and for metadata with a reserved key.
        TypeError
            For metadata that is not a mapping of strings to strings.
        OSError
            If the file cannot be written. An existing file is then unchanged.

        Examples
        --------
        >>> import chainrule as cr, os, tempfile
        >>> net = cr.Network([2, 8, 1], loss="squared_error", seed=0)
        >>> path = os.path.join(tempfile.mkdtemp(), "model.safetensors")
        >>> net.save(path)
        >>> cr.load(path)
        Network([2, 8, 1], activation='relu', loss='squared_error', dtype='float32')
        """
        if not isinstance(metadata, (Mapping, NoneType)):
            raise TypeError(f"metadata must map strings to strings, got {type(metadata).__name__}")
        texts = dict(metadata or {})
        for key, value in texts.items():
            if not isinstance(key, str) or not isinstance(value, str):
                raise TypeError(f"metadata must map strings to strings, got {key!r}: {value!r:.100}")
            (key + value).encode()  # raises ValueError for an unpaired surrogate
        write_atomically(path, self._native.write_model(texts, {}))

    def to_torch(self, *, logits: bool = False, copy: bool = False) -> Any:
        """Convert the network to a `torch.nn.Sequential` that predicts the same up to rounding.

        Needs the extra ``torch``.

        Parameters
        ----------
        logits : bool, default False
            Omit the output activation, as PyTorch's losses expect; the module then computes the same as `logits`.
        copy : bool, default False
            Copy the weights. Otherwise they are shared: training the module changes the network, and vice versa.

        Returns
        -------
        torch.nn.Sequential
            The layers, in evaluation mode and in the network's dtype. `from_torch` is the inverse.

        Raises
        ------
        ImportError
            If PyTorch is not installed.

        Examples
        --------
        >>> import chainrule as cr
        >>> import torch
        >>> net = cr.Network([4, 8, 3], activation="tanh", loss="softmax_cross_entropy", seed=0)
        >>> [type(layer).__name__ for layer in net.to_torch()]
        ['Linear', 'Tanh', 'Linear', 'Softmax']
        >>> x = torch.ones(1, 4)
        >>> bool(torch.allclose(net.to_torch()(x), torch.from_numpy(net.predict(x))))
        True
        """
        from chainrule.exchange.torch import to_torch

        return to_torch(self, logits=flag("logits", logits), copy=flag("copy", copy))

    def to_c(
        self,
        path: StrPath,
        *,
        name: str | None = None,
        dtype: DTypeLike | None = None,
        weights: str | None = None,
    ) -> None:
        """Write the network as a header for C99 and C++, which needs only ``math.h`` and allocates no memory.

        Its function ``NAME_predict(x, y)`` computes one row as `predict` does, up to rounding. Compiled with
        the macro ``NAME_SELF_TEST``, the header is a program that checks its own predictions against stored ones.

        Parameters
        ----------
        path : str or path
            The header to write.
        name : str, optional
            Prefix of all names in the header. Default: the name of the file, in lower case.
        dtype : {"float32", "float64"}, optional
            Type of the arithmetic in C: float or double. Default: that of the network.
        weights : {"int8"}, optional
            Store each weight in one byte, in units of 1/127 of the largest weight of the same output. The predictions
            change. Default: in the type of the arithmetic.

        Raises
        ------
        ValueError
            For parameters that are NaN or infinite, and a name that is not an identifier.
        OSError
            If the file cannot be written.

        Examples
        --------
        >>> import chainrule as cr, os, pathlib, tempfile
        >>> net = cr.Network([2, 8, 1], loss="squared_error", seed=0)
        >>> path = os.path.join(tempfile.mkdtemp(), "sizes.h")
        >>> net.to_c(path)
        >>> "void sizes_predict(const float *x, float *y)" in pathlib.Path(path).read_text()
        True
        """
        from chainrule.exchange.c import to_c

        to_c(self, path, name=name, dtype=dtype, weights=weights)

    def to_onnx(self, path: StrPath) -> None:
        """Write the network as an ONNX model, which other programs can run; needs the extra ``onnx``.

        The input "X", shape (rows, n_0), and the output "prediction", shape (rows, n_L), have the network's dtype. The
        model needs opset 13.

        Parameters
        ----------
        path : str or path
            The file to write.

        Raises
        ------
        ValueError
            For parameters that are NaN or infinite.
        OSError
            If the file cannot be written.

        Examples
        --------
        >>> import chainrule as cr, os, tempfile
        >>> import onnxruntime
        >>> net = cr.Network([2, 1], loss="binary_cross_entropy", seed=0)
        >>> path = os.path.join(tempfile.mkdtemp(), "model.onnx")
        >>> net.to_onnx(path)
        >>> session = onnxruntime.InferenceSession(path)
        >>> session.run(None, {"X": np.zeros((1, 2), np.float32)})[0].tolist()
        [[0.5]]
        """
        from chainrule.exchange.onnx import to_onnx

        to_onnx(self, path)

    def plot(self, path_or_axes: "str | os.PathLike[str] | Any" = None, *, max_units: int = 12) -> Any:
        """Draw units as circles and weights as lines: `plots.draw_network`, which needs the extra ``plot``."""
        from chainrule.plots import draw_network

        return draw_network(self, path_or_axes, max_units=max_units)

    def _repr_html_(self) -> str:
        """Return a table of the layers, for notebooks."""
        rows, inputs = [], self.layer_sizes[0]
        activations = [*self.activations, f"{_core.LOSSES[self.loss_name].output} (output)"]
        for units, activation in zip(self.layer_sizes[1:], activations, strict=True):
            rows.append((f"{inputs:,}", f"{units:,}", activation, f"{(inputs + 1) * units:,}"))
            inputs = units
        total = f"{self.parameters.size:,} parameters, {self.parameters.nbytes:,} bytes ({self.dtype})"
        caption = f"Network: {html.escape(str(self.loss_spec))}, {total}"
        return table(["inputs", "units", "activation", "parameters"], rows, caption)

    def __repr__(self) -> str:
        names = self.activations
        activation = f"activation={(names[0] if len(set(names)) == 1 else names)!r}, " if names else ""
        return f"Network({list(self.layer_sizes)}, {activation}loss={self.loss_spec!r}, dtype='{self.dtype}')"

    def __getstate__(self) -> dict[str, Any]:
        names = ("layer_sizes", "activations", "loss_spec", "parameters")
        attributes = {**vars(self), "_init": self.init, "_seed": self.seed}  # includes attributes of subclasses
        del attributes["_native"]
        return {**{name: getattr(self, name) for name in names}, "attributes": attributes}

    def __setstate__(self, state: dict[str, Any]) -> None:
        attributes, parameters = dict(state["attributes"]), state["parameters"]
        init, seed = attributes.pop("_init"), attributes.pop("_seed")
        sizes, activations, loss = state["layer_sizes"], state["activations"], state["loss_spec"]
        self._native = _make_native(sizes, activations, loss, init, seed, parameters.dtype.name)
        self.parameters[...] = parameters
        vars(self).update(attributes)


def _make_native(
    layer_sizes: Sequence[int], activations: Sequence[str], loss: Loss, init: str, seed: int, dtype: str
) -> _core.NetworkFloat32 | _core.NetworkFloat64:
    kind = _core.NetworkFloat32 if dtype == "float32" else _core.NetworkFloat64
    return kind(layer_sizes, activations, to_core(loss), init, seed)


def _copy_layers(layers: Any, views: Sequence[tuple[Array, Array]]) -> None:
    """Copy initial weights and biases, given as (W, b) of each layer, into a network."""
    if not isinstance(layers, Sequence):
        hint = did_you_mean(layers, _core.INITS)
        raise TypeError(f"init must be a name or a list of (W, b), got {layers!r:.100}{hint}")
    check_layers("init", layers)
    if len(layers) != len(views):
        raise ValueError(f"init has {len(layers)} layers, layer_sizes has {len(views)}")
    for i, pairs in enumerate(zip(layers, views, strict=True)):
        for name, values, view in zip(("W", "b"), *pairs, strict=True):
            if np.shape(values) != view.shape:
                raise ValueError(f"init[{i}]: {name} has shape {np.shape(values)}, expected {view.shape}")
            np.copyto(view, values, casting="same_kind")
