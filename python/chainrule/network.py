"""A network: prediction, cost and derivatives, and a whole training as one native call."""

import os
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from numpy.typing import ArrayLike

from chainrule._arguments import flag, optional_integer, seed_number
from chainrule._core import DivergenceError
from chainrule._evaluation import Evaluation
from chainrule._suggest import explained
from chainrule.losses import CustomLoss, custom
from chainrule.optimizers import Group, Optimizer
from chainrule.schedules import AnySchedule
from chainrule.training import SETTINGS, Callbacks, History, Stop, TrainingState
from chainrule.validation import HeldOut


@explained
class Network(Evaluation):
    """A dense feed-forward network: ``A[l] = g(A[l-1] W[l]ᵀ + b[l])``, the last activation decided by the loss.

    Parameters
    ----------
    layer_sizes : sequence of int
        Numbers of columns of X, of units of each hidden layer, and of outputs.
    activation : str or sequence of str, default "relu"
        One name, or one per hidden layer; see `forward` for the formulas.
    loss : str or Huber, Quantile, SoftmaxCrossEntropy
        "binary_cross_entropy", "softmax_cross_entropy", "squared_error", "absolute_error", "huber", "quantile" or
        "poisson"; see `cost` for the formulas. `Huber`, `Quantile` and `SoftmaxCrossEntropy` set a loss's parameters.
    init : str, optional
        Distribution of the initial weights, see `init_params`. Default: "he_uniform" where a hidden layer has one of
        relu's kin, "lecun_uniform" where all are selu, else "glorot_uniform".
    dtype : {"float32", "float64"}, default "float32"
        Type of the parameters, and of the arithmetic.
    seed : int, optional
        From 0 to 2**64 - 1, for the initial weights, and for `fit` where it is given none. Default: drawn from the
        system.

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

    def fit(
        self,
        X: ArrayLike,
        y: ArrayLike,
        *,
        optimizer: Optimizer | None = None,
        batch_size: int | None = None,
        epochs: int = 200,
        shuffle: bool = True,
        sample_weight: ArrayLike | None = None,
        l2: float = 0.0,
        l2_per_row: bool = False,
        groups: Iterable[Group] = (),
        dropout: float | Sequence[float] = 0.0,
        input_dropout: float = 0.0,
        clip_norm: float | None = None,
        clip_value: float | None = None,
        ema: float | None = None,
        schedules: AnySchedule | Mapping[str, AnySchedule] | None = None,
        precision: str = "float32",
        loss: CustomLoss | None = None,
        validation: Any = None,
        metrics: Any = (),
        stop: Stop | None = None,
        callbacks: Iterable[Any] = (),
        n_threads: int | None = None,
        seed: int | None = None,
        resume: TrainingState | None = None,
        keep_state: bool = False,
    ) -> History:
        """Minimise the cost, from the present parameters on, until a criterion of ``stop`` holds.

        Parameters
        ----------
        X, y, sample_weight, l2, n_threads
            As for `loss_and_gradients`; a batch's cost is the mean over its own rows, by their weights.
        optimizer : Optimizer, optional
            `SGD`, `Adam`, `AdamW`, `RMSprop`, `Adagrad` or `LBFGS`. Default: ``Adam()``. It begins anew with every
            call, unless there is ``resume``.
        batch_size : int, optional
            Rows per step; the last batch of an epoch takes what is left. Default: all, which is gradient descent.
        epochs : int, default 200
            How often to go through the data at most; with ``resume``, how often more.
        shuffle : bool, default True
            Take the rows in a new random order in each epoch.
        l2_per_row : bool, default False
            Divide the penalty of a batch by the sum of its weights, as scikit-learn's alpha is.
        groups : iterable of Group, default ()
            Factors on learning rate and weight decay of layers, weights or biases.
        dropout, input_dropout : float, or for dropout one for each hidden layer, default 0
            The part of the hidden units, and of the columns of X, that each step leaves out (inverted dropout).
        clip_norm, clip_value : float, optional
            Scale the gradient of a step, all parameters together, so that its Euclidean norm is at most clip_norm; then
            bring each derivative into [-clip_value, clip_value].
        ema : float, optional
            Keep an exponential moving average of the parameters, ``average = ema · average + (1 - ema) · θ`` after each
            step, which begins with the first θ; validation looks at it, and the network ends with it.
        schedules : schedule, or dict of str to schedule, optional
            Of the learning rate, or by name of "learning_rate", "weight_decay" and "dropout": `StepDecay`,
            `ExponentialDecay`, `InverseScaling`, `Cosine`, `OneCycle`, `ReduceOnPlateau`, or a callable that takes the
            number of the epoch, from 0, and returns a factor.
        precision : {"float32", "bf16"}, default "float32"
            "bf16" rounds the operands of all matrix products to 8 significant bits and sums in float32: faster for
            wide layers. Parameters, optimizer, activations, gradients and validation stay float32. It needs dtype
            "float32" and a CPU with AVX512_BF16; results are the same for any number of threads, but not on every CPU.
        loss : callable, optional
            In the place of the network's, for training alone: ``loss(logits, y, weight)`` takes the logits (m, n_L) of
            a batch, and its rows of y and sample_weight (or None), and returns the batch's cost and the gradient of
            that cost by the logits. y may hold whatever it understands.
        validation : (X, y), (X, y, sample_weight) or float, optional
            Held-out data, whose cost is recorded after each epoch; or the fraction of the rows to hold out, chosen by
            the seed, for a cross-entropy the same share of every class.
        metrics : names or callables, default ()
            Of the held-out data: "accuracy", "balanced_accuracy", "log_loss", "auc", "r2", "mae", "rmse", or
            ``f(y_true, y_pred)`` (``f(y_true, y_pred, sample_weight)`` where there are weights), y_pred as `predict`
            gives it and more being better unless ``f.more_is_better`` is False. The first is what ``stop`` watches.
            "auc" is NaN where the held-out rows lack a class, "r2" where the held-out targets of an output are equal.
        stop : Stop, optional
            Criteria of convergence. Default: none.
        callbacks : iterable, default ()
            Callables that take ``logs``, or objects with any of ``on_train_begin(network)``, ``on_epoch_end(logs)``,
            ``on_train_end(history)``; logs is a dict of epoch (from 1), loss, validation (or None), the metrics by
            name, learning_rate, seconds, and snapshot, a function that returns the `TrainingState`.
            The result True of the callable or of ``on_epoch_end`` ends the training. ``on_train_begin`` comes before
            the data and the ranges of the options are checked, ``on_train_end`` only if the fit did not raise.
        seed : int, optional
            For the order of the rows, and held-out rows. Default: the network's. With ``resume``: that of the state.
        resume : TrainingState, optional
            Go on with that training: the same bits as if it had not been interrupted, given the same data and settings.
        keep_state : bool, default False
            Return the state at the end in ``history.state``: copies of parameters and moments.

        Returns
        -------
        History
            Costs per epoch, and which criterion ended the training.

        Raises
        ------
        ValueError, TypeError
            As `loss_and_gradients`, for options out of range, and for bf16 where it is not available; the network is
            then unchanged.
        RuntimeError
            While another call trains this network.
        DivergenceError
            If the cost becomes NaN or infinite; the last finite parameters are kept, and ``error.history`` has what was
            recorded until then.
        KeyboardInterrupt
            On Ctrl-C; the parameters are those after the last whole step, ``error.history`` as above.

        Examples
        --------
        >>> import chainrule as cr
        >>> net = cr.Network([1, 1], loss="squared_error", seed=0)
        >>> history = net.fit([[-1.0], [1.0]], [-2.0, 4.0], optimizer=cr.SGD(learning_rate=0.5), epochs=100)
        >>> net.parameters.round(3).tolist(), history.stop_reason
        ([3.0, 1.0], 'epochs')
        """
        given = locals()
        settings = {name: convert(given[name]) for name, convert in SETTINGS.items()}
        own_loss = custom(loss)
        told = Callbacks(callbacks)
        if resume is not None and not isinstance(resume, TrainingState):
            raise TypeError(f"resume must be a TrainingState, such as history.state, got {resume!r}")
        own_seed = self._seed if resume is None else resume.seed
        settings["seed"] = own_seed if seed is None else seed_number(seed)
        held = HeldOut(validation, y, sample_weight, self.loss_name, settings["seed"])
        names, settings["metrics"] = held.metrics(metrics)
        threads = optional_integer("n_threads", n_threads)
        told.train_begin(self)
        try:
            result = self._native.fit(
                X,
                y,
                settings,
                sample_weight=sample_weight,
                loss=own_loss,
                rows=held.rows,
                validation=held.data,
                validation_rows=held.validation_rows,
                on_epoch_end=told.epoch_end(names),
                state=None if resume is None else resume.as_core(),
                keep_state=flag("keep_state", keep_state) or told.wants_state,
                n_threads=threads,
            )
        except (DivergenceError, KeyboardInterrupt) as error:
            if done := vars(error).get("history"):
                reason = "diverged" if isinstance(error, DivergenceError) else "interrupted"
                vars(error)["history"] = History.from_core({**done, "stop_reason": reason}, names)
            raise
        history = History.from_core(result, names)
        told.train_end(history)
        history.warn_if_unwatched(1 if resume is None else resume.epoch + 1, y)
        return history

    def save(self, path: str | os.PathLike[str], metadata: Mapping[str, str] | None = None) -> None:
        """Write the network to a safetensors file, with texts of your own if wanted; `load` reads it."""
        from chainrule.files import save

        save(self, path, metadata)

    def plot(self, path_or_axes: "str | os.PathLike[str] | Any" = None, *, max_units: int = 12) -> Any:
        """Draw units as circles and weights as lines: `plots.draw_network`, which needs the extra ``plot``."""
        from chainrule.plots import draw_network

        return draw_network(self, path_or_axes, max_units=max_units)
