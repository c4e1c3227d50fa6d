"""What a network makes of data: predictions, costs, derivatives, and every intermediate result of them."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from chainrule import _core
from chainrule._arguments import flag, optional_integer, real
from chainrule._state import State
from chainrule._suggest import explained, quick
from chainrule.functional import Array
from chainrule.gradients import GradientReport, Gradients, compare
from chainrule.losses import CustomLoss, custom, to_core


@dataclass(frozen=True, eq=False, repr=False)
class Trace:
    """All of one step of backpropagation, by the notes' names; list entry l belongs to layer l + 1.

    Attributes
    ----------
    loss : float
        The cost J.
    z : list of ndarray
        ``Z[l]``, shape (m, n_l); the last are the logits.
    a : list of ndarray
        ``A[l]``, shape (m, n_l), one more: the first is X, the last the prediction.
    dz : list of ndarray
        ``dZ[l]``, the derivatives of J by ``Z[l]``.
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


def refuse_sparse(name: str, X: ArrayLike) -> None:
    """Raise where X is a sparse matrix, in the name of what needs a dense one."""
    if hasattr(X, "tocsr"):
        raise ValueError(f"{name} is not available for a sparse X; give its rows as an array: X[:100].toarray()")


@explained
class Evaluation(State):
    """The part of `Network` that evaluates; documented there."""

    @quick("Network.logits")
    def logits(self, X: ArrayLike, *, n_threads: int | None = None) -> Array:
        """Compute ``Z[L]``, shape (m, n_L): the prediction before the output activation. Takes what `predict` takes.

        Examples
        --------
        >>> import chainrule as cr
        >>> net = cr.Network([2, 3], loss="softmax_cross_entropy", seed=0)
        >>> net.logits([[0.0, 0.0]]).tolist()
        [[0.0, 0.0, 0.0]]
        """
        return self._native.logits(X, optional_integer("n_threads", n_threads))

    @quick("Network.predict")
    def predict(self, X: ArrayLike, *, n_threads: int | None = None) -> Array:
        """Compute ``A[L]``: probabilities for the cross-entropies, else values.

        Parameters
        ----------
        X : array_like or SciPy sparse matrix, shape (m, n_0)
            One example per row.
        n_threads : int, optional
            Default: as `get_num_threads` says. The result is the same for any number.

        Returns
        -------
        ndarray, shape (m, n_L)
            Of the network's dtype.

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

    def loss(
        self,
        X: ArrayLike,
        y: ArrayLike,
        sample_weight: ArrayLike | None = None,
        l2: float = 0.0,
        *,
        n_threads: int | None = None,
    ) -> float:
        """Compute the cost J of `cost` without keeping what `backward` would need. Arguments: `loss_and_gradients`.

        Examples
        --------
        >>> import chainrule as cr
        >>> net = cr.Network([2, 1], loss="squared_error", seed=0)
        >>> net.loss([[0.0, 0.0]], [2.0])
        2.0
        """
        return self._native.cost(X, y, sample_weight, real("l2", l2), optional_integer("n_threads", n_threads))

    def loss_and_gradients(
        self,
        X: ArrayLike,
        y: ArrayLike,
        sample_weight: ArrayLike | None = None,
        l2: float = 0.0,
        *,
        inputs: bool = False,
        n_threads: int | None = None,
        loss: CustomLoss | None = None,
    ) -> tuple[float, Gradients]:
        """Compute the cost and its derivatives, for optimizers of your own.

        Parameters
        ----------
        X : array_like or SciPy sparse matrix, shape (m, n_0)
            One example per row.
        y : array_like, shape (m,) or (m, n_L)
            What the loss expects, see `cost`.
        sample_weight : array_like, shape (m,), optional
            Weights of the rows, not negative; default 1 each.
        l2 : float, default 0
            The penalty λ of ``(λ/2) Σ_l ‖W[l]‖²``.
        inputs : bool, default False
            Also compute the derivatives by X, which is dense then.
        n_threads : int, optional
            Default: as `get_num_threads` says. The result is the same for any number.
        loss : callable, optional
            In the place of the network's: ``loss(logits, y, weight)`` takes the logits (m, n_L) and y and
            sample_weight as they are given here, whatever they are, and returns the cost of the batch and its
            derivatives by the logits, (m, n_L): those of a mean are divided by m.

        Returns
        -------
        loss : float
            The cost.
        gradients : Gradients
            Of the network's dtype.

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
        given = X, y, sample_weight, real("l2", l2), flag("inputs", inputs), optional_integer("n_threads", n_threads)
        if inputs:
            refuse_sparse("inputs=True", X)
        value, flat, dx = self._native.loss_and_gradients(*given, custom(loss))
        return value, Gradients.from_flat(flat, self.layer_sizes, dx)

    def losses(self, X: ArrayLike, y: ArrayLike, *, n_threads: int | None = None) -> Array:
        """Compute the loss L of every example, shape (m,), without weights and penalty.

        Examples
        --------
        >>> import chainrule as cr
        >>> net = cr.Network([2, 1], loss="squared_error", seed=0)
        >>> net.losses([[0.0, 0.0], [0.0, 0.0]], [2.0, 4.0]).tolist()
        [2.0, 8.0]
        """
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
        """Compute all of one step of backpropagation and keep it. Arguments as for `loss_and_gradients`, X dense.

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
        """Compute the squared norm of each example's gradient by each layer's parameters, shape (m, layers).

        Of ``δ = dL/dZ[l]`` and ``a = A[l-1]`` the gradient of an example is ``δ aᵀ`` by the weights and ``δ`` by the
        biases, so its squared norm is ``‖δ‖² (‖a‖² + 1)``: no product is made.

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
        """Compute the gradient of each example's loss by the parameters, shape (m, P), in their order.

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
        """Compare the gradients at the present parameters with central differences, in float64; see `check_gradients`.

        Arguments as for `loss_and_gradients`; a function as loss gets the logits in float64.

        Examples
        --------
        >>> import chainrule as cr
        >>> net = cr.Network([2, 3, 1], activation="gelu", loss="poisson", seed=0)
        >>> report = net.check_gradients([[0.0, 1.0], [1.0, 0.5]], [3, 0], l2=0.1)
        >>> report.compared, report.relative_error < 1e-6
        (13, True)
        """
        own = custom(loss)
        twin = State(
            self.layer_sizes, activation=self.activations, loss=self.loss_spec, init=self.init, dtype="float64", seed=0
        )
        twin.parameters[:] = self.parameters
        native, given = twin._native, (X, y, sample_weight, real("l2", l2))

        def evaluate() -> float:
            return native.cost(*given) if own is None else native.loss_and_gradients(*given, loss=own)[0]

        gradients = Gradients.from_flat(native.loss_and_gradients(*given, loss=own)[1], self.layer_sizes)
        pairs = list(zip(gradients.weights, gradients.biases, strict=True))
        return compare(list(zip(twin.weights, twin.biases, strict=True)), pairs, evaluate)
