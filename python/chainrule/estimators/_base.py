"""Base of the MLP estimators: a `Network` with scikit-learn's parameters and attributes; a fit is one native call."""

import dataclasses
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import KW_ONLY
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import ArrayLike, DTypeLike, NDArray

from chainrule import _core
from chainrule._arguments import about
from chainrule._core import DivergenceError
from chainrule._names import ActivationName, Metric
from chainrule._suggest import explained
from chainrule._warn import warn
from chainrule.binned import BinnedFeatures
from chainrule.encoder import TableEncoder
from chainrule.estimators import _options, _record, _sklearn, _tables, _weights
from chainrule.estimators._data import (
    Data,
    check_rows,
    check_weights,
    split,
    split_mask,
    validation_data,
    with_mask,
)
from chainrule.estimators._estimator import NOT_FINITE, Estimator
from chainrule.estimators._parameters import check_parameters
from chainrule.network import Network
from chainrule.optimizers import Optimizer
from chainrule.rows import Rows
from chainrule.schedules import AnySchedule
from chainrule.table import CategoricalFeatures
from chainrule.training import History, WithinParts
from chainrule.validation import metric_name

if TYPE_CHECKING:
    from typing_extensions import Self


def has_partial_fit(estimator: Any) -> bool:
    """Return True if the solver uses mini-batches, otherwise raise AttributeError."""
    if not _options.is_stochastic(estimator.solver):
        raise AttributeError(
            f"partial_fit is only available for stochastic optimizers. {estimator.solver} is not stochastic."
        )
    return True


def _is_of_integers(X: Any) -> bool:
    """Return whether X is an array of integers or booleans, which the core converts a batch at a time."""
    return isinstance(X, np.ndarray) and X.dtype.kind in "biu"


def _layers_property(name: str, meaning: str) -> Any:
    return property(
        lambda self: self._layers(name),
        lambda self, layers: self._assign(name, layers),
        doc=f"{meaning}: views of the network's parameters; writing to them changes it.",
    )


@explained
@dataclasses.dataclass(eq=False, repr=False)
class Perceptron(_sklearn.CallbackSupport, Estimator):  # type: ignore[misc]
    """Base of the two estimators, which document it."""

    # The constructor stores its parameters unchanged, as scikit-learn requires. Each estimator adds its own.
    hidden_layer_sizes: Sequence[int] | int = (100,)
    activation: ActivationName | Sequence[ActivationName] = "relu"
    _: KW_ONLY
    solver: Literal["adam", "sgd", "lbfgs"] | Optimizer = "adam"
    alpha: float = 0.0001
    batch_size: int | Literal["auto"] = "auto"
    learning_rate: Literal["constant", "invscaling", "adaptive"] | AnySchedule | Mapping[str, AnySchedule] = "constant"
    learning_rate_init: float = 0.001
    power_t: float = 0.5
    max_iter: int = 200
    shuffle: bool | WithinParts = True
    random_state: int | np.random.RandomState | None = None
    tol: float = 1e-4
    verbose: bool | int = False
    warm_start: bool = False
    momentum: float = 0.9
    nesterovs_momentum: bool = True
    early_stopping: bool = False
    validation_fraction: float = 0.1
    beta_1: float = 0.9
    beta_2: float = 0.999
    epsilon: float = 1e-8
    n_iter_no_change: float = 10
    max_fun: int = 15000
    dropout: float | Sequence[float] = 0.0
    input_dropout: float = 0.0
    weight_decay: float = 0.0
    clip_norm: float | None = None
    ema: float | None = None
    eval_metric: Metric | Literal["loss"] | Sequence[Metric | Literal["loss"]] | None = None
    callbacks: Iterable[Any] = ()
    stratify: bool | None = None
    time_limit: float | None = None
    preprocess: bool | Literal["auto"] | TableEncoder = "auto"
    categorical_features: CategoricalFeatures = "from_dtype"
    n_threads: int | None = None
    dtype: DTypeLike | None = None

    @_sklearn.with_callbacks
    def fit(
        self,
        X: Any,
        y: Any = None,
        sample_weight: ArrayLike | None = None,
        *,
        X_val: Any = None,
        y_val: Any = None,
        sample_weight_val: ArrayLike | None = None,
        eval_set: Any = None,
    ) -> "Self":
        """Train on data.

        Parameters
        ----------
        X : array_like, sparse matrix or Rows, shape (n_samples, n_features)
            One example per row. `Rows` need ``shuffle=WithinParts(...)`` or ``shuffle=False``, unless they are encoded.
        y : array_like, shape (n_samples,) or (n_samples, n_outputs)
            Classes, or values. Default, if X is `Rows`: their target. Several values or labels may be a masked array,
            whose masked entries are missing: see `Network.fit`.
        sample_weight : array_like, shape (n_samples,), optional
            Weights of the rows, not negative; default 1 each. Their sum divides the penalty: see ``alpha``.
        X_val, y_val, sample_weight_val : optional
            Validation data in the forms of X, y and sample_weight. They turn early stopping on and replace the rows
            that ``early_stopping`` would hold out. In a pipeline, ``Pipeline(..., transform_input=["X_val"])``
            transforms X_val in the same way as X.
        eval_set : (X, y), (X, y, sample_weight) or Rows, optional
            The validation data in one argument. A list with one tuple, as in LightGBM and XGBoost, means the tuple.

        Returns
        -------
        self
            The trained estimator.

        Raises
        ------
        ValueError, TypeError
            For invalid data and parameters. After any error the estimator is unchanged.

        Warns
        -----
        UserWarning
            If the cost (of held-out rows, if there are any) is not below that of the best constant prediction.
        ConvergenceWarning
            If ``max_iter`` ended the training. If the first warning applies too, its text is part of this one.
        """
        self._fit(X, y, sample_weight, validation_data(X_val, y_val, sample_weight_val, eval_set))
        return self

    def _train_on(
        self, X: Any, y: Any, sample_weight: Any, validation: Any, *, incremental: bool = False, classes: Any = None
    ) -> Any:
        """Train one epoch (``incremental``) or until a criterion is met; ``classes`` are all classes of all calls."""
        first = not hasattr(self, "coefs_") or not (self.warm_start or incremental)
        if first or not incremental:
            check_parameters(self)
        if incremental and self.early_stopping:
            raise ValueError("partial_fit does not support early_stopping=True")
        if not first:
            self._check_same_network()
        if isinstance(X, Rows) and y is None:
            y = X.y
        table = _tables.is_table(self, X, first)
        y, mask = split_mask(y)
        X, y = self._check(X, y, first, table)
        y = self._encode(y, new=first and not incremental, exact=self.warm_start and not incremental, classes=classes)
        data = Data(X, with_mask(y, mask), check_weights(sample_weight, X.shape[0]))
        random = _sklearn.utils.check_random_state(self.random_state)
        if table:  # the encoding is learned from the training rows and determines the number of inputs
            data, eval_data = self._hold_out(data, validation, random, table)
            data, eval_data = self._encode_rows(data, eval_data, first, incremental)
            network = self._begin(data, random) if first else self._ensure_network()
        else:
            network = self._begin(data, random) if first else self._ensure_network()
            data, eval_data = self._hold_out(data, validation, random, table)
        held_out = eval_data if data.held_out is None else data
        if held_out is None and self.eval_metric is not None and not incremental:
            raise ValueError("eval_metric needs validation data: choose early_stopping=True or pass X_val and y_val")
        if not isinstance(self.batch_size, str) and self.batch_size > len(data):
            warn("Got `batch_size` less than 1 or larger than sample size. It is going to be clipped")
        options = _options.fit_options(self, len(data), incremental=incremental, watched=held_out is not None)
        options["seed"] = int(random.randint(2**31 - 1))
        if incremental and hasattr(self, "_optimizer"):
            options["resume"] = self._optimizer.of_network(network, options["optimizer"])
        watched = None
        if held_out is not None:
            options |= {"validation": held_out.as_validation(), "metrics": self._metrics()}
            watched = metric_name(options["metrics"][0]) if options["metrics"] else "validation"
        data = self._with_class_weights(data, incremental)
        history = self._train(network, data, options, watched)
        loss = history.loss[-1]
        if not (_options.is_stochastic(self.solver) or callable(self.loss)):  # the history ends before the last step
            total = len(data) if data.weight is None else float(data.weight.sum())
            loss = network.loss(data.X, data.y, data.weight, self.alpha / total, n_threads=self.n_threads)
        _record.record(self, history, len(data), float(loss), watched, options.get("metrics", ()))
        if not incremental:
            judged: Data | None = data
            if isinstance(data.X, (Rows, BinnedFeatures)) and data.held_out is not None:
                judged = None  # these rows are not in memory
            elif held_out is not None:
                judged = self._with_class_weights(held_out.part(held_out.held_out), incremental)
            _record.warn_at_end(self, history, judged, "training" if held_out is None else "held-out")
        return self

    def _check_same_network(self) -> None:
        """Raise ValueError if a parameter has changed that cannot change once the network exists."""
        now, made_with = self._shape_parameters(), vars(self).get("_made_with", {})  # empty if weights were assigned
        for name, value in made_with.items():
            if now[name] != value:
                raise ValueError(
                    f"{name} was {value!r} when the network was made and is {now[name]!r} now: "
                    "warm_start and partial_fit keep the network. Call fit with warm_start=False to make another one"
                )

    def _shape_parameters(self) -> dict[str, Any]:
        """Return the parameters that determine shape, type and inputs of the network, in comparable form."""
        hidden = self.hidden_layer_sizes
        return {
            "hidden_layer_sizes": tuple(np.atleast_1d(np.asarray(hidden)).tolist()),
            "dtype": None if self.dtype is None else np.dtype(self.dtype).name,
            "preprocess": self.preprocess if isinstance(self.preprocess, (bool, str)) else repr(self.preprocess),
            "categorical_features": repr(self.categorical_features),
        }

    def _hold_out(
        self, data: Data, validation: Any, random: np.random.RandomState, table: bool
    ) -> tuple[Data, Data | None]:
        if validation is not None:
            with about("validation data"):
                return data, self._check_validation(*validation, table=table)
        if self.early_stopping and _options.is_stochastic(self.solver):
            data = split(data, self.validation_fraction, self._strata(data.y), random)
        return data, None

    def _encode_rows(
        self, data: Data, eval_data: Data | None, first: bool, incremental: bool
    ) -> tuple[Data, Data | None]:
        """Encode rows and targets of a table as learned from the training rows (of the first `partial_fit`)."""
        if first:
            self.encoder_ = _tables.learn(self, data.X, data.rows, more_to_come=incremental)
            self._learn_targets(data.targets())
        elif incremental:
            self._check_scale_of_targets(data.y)

        def encode(part: Data, warn: bool) -> Data:
            features = self.encoder_.encoding_.features(part.X, self.dtype or np.float32, warn=warn)
            return dataclasses.replace(part, X=features, y=self._scale_targets(part.y))

        data = encode(data, warn=not first)  # a level may occur only in held-out rows
        if eval_data is not None:
            with about("validation data"):
                eval_data = encode(eval_data, warn=True)
        return data, eval_data

    def _check_scale_of_targets(self, y: NDArray[Any]) -> None:
        """Warn if later targets of a table have another scale than the first ones."""

    def _train(self, network: Network, data: Data, options: dict[str, Any], watched: str | None) -> History:
        """Fit the network; warn or raise as scikit-learn does if the training diverges or is interrupted."""
        callbacks = [*self.callbacks, *([_record.Printer(self, watched)] if self.verbose else [])]
        bridge = _sklearn.CallbackBridge(self, data.part(data.rows)) if hasattr(self, "_skl_callbacks") else None
        like_logits = callable(self.loss) and data.y.ndim == 1 and self.n_outputs_ == 1
        try:
            history = self._fit_network(
                network,
                data.X,
                data.y[:, np.newaxis] if like_logits else data.y,
                sample_weight=data.weight,
                callbacks=callbacks if bridge is None else [*callbacks, bridge],
                **options,
            )
        except DivergenceError as error:
            if watched is None:
                raise ValueError(NOT_FINITE) from error
            history = _record.with_diverged_epoch(vars(error)["history"])
            warn(str(error), _sklearn.exceptions.ConvergenceWarning)
        except KeyboardInterrupt as error:
            recorded = vars(error).get("history")  # missing if the error came before the training
            if recorded is None or recorded.epochs == 0:
                raise
            history = recorded
            warn("Training interrupted by user.")
        if bridge is not None:
            bridge.end()
        return history

    def _fit_network(self, network: Network, X: Any, y: Any, **options: Any) -> History:
        """Train the network, as `Network.fit` does."""
        return network.fit(X, y, **options)

    def _check(self, X: Any, y: Any, first: bool, table: bool) -> tuple[Any, Any]:
        """Check rows and targets as scikit-learn does, and convert rows to the dtype of the network."""
        check_rows(X)
        y = self._read_targets(y)
        if table:
            return self._check_table(X, y, first)
        if first:
            for name in {"encoder_", "standardizer_"} & vars(self).keys():
                delattr(self, name)
            dtype = [np.float64, np.float32] if self.dtype is None else np.dtype(self.dtype)
        else:
            dtype = self._ensure_network().dtype
        options = {"accept_sparse": "csr", "multi_output": True, "y_numeric": self._y_numeric}
        if isinstance(X, Rows):
            self._check_columns(X, first)
            _, y = _sklearn.validation.check_X_y(np.zeros((X.shape[0], 1)), y, **options, estimator=self)
        elif _tables.is_plain(X):
            self._check_columns(X, first)
            array = _tables.as_array(X, self._dtype_of(X) if first else dtype)
            X, y = _sklearn.validation.check_X_y(array, y, dtype=dtype, **options, estimator=self)
        else:
            with _tables.advice(X):
                kind = None if _is_of_integers(X) else dtype
                X, y = _sklearn.validation.validate_data(self, X, y, dtype=kind, **options, reset=first)
        if y.ndim == 2 and y.shape[1] == 1:
            y = _sklearn.validation.column_or_1d(y, warn=True)
        return X, y

    def _dtype_of(self, X: Any) -> Any:
        """Return the dtype of the network for X: float32 if X is, otherwise float64, unless ``dtype`` is given."""
        if self.dtype is not None:
            return np.dtype(self.dtype)
        if hasattr(X, "itercolumns"):
            kind = np.result_type(*(column.type.to_pandas_dtype() for column in X.itercolumns()))
        else:
            kind = X.dtype
        return np.dtype(np.float32 if kind == np.float32 else np.float64)

    def _check_validation(self, X: Any, y: Any, sample_weight: Any = None, *, table: bool) -> Data:
        y, mask = split_mask(y)
        X, y = self._check(X, y, first=False, table=table)
        return Data(
            X, with_mask(self._encode(y, new=False, exact=False), mask), check_weights(sample_weight, X.shape[0])
        )

    def _metrics(self) -> tuple[Any, ...]:
        """Return the metrics of the validation data. The first one is watched; if there are none, the cost."""
        default = _core.LOSSES[self.network_.loss_name].metric or "loss"
        names: Any = default if self.eval_metric is None else self.eval_metric
        names = tuple(names) if isinstance(names, (list, tuple)) else (names,)
        return tuple(name for name in names if name != "loss")

    def _begin(self, data: Data, random: np.random.RandomState) -> Network:
        """Make the network, draw its weights, and set the attributes of a first fit."""
        hidden = self.hidden_layer_sizes
        hidden = list(hidden) if hasattr(hidden, "__iter__") else [hidden]
        sizes = [data.X.shape[1], *hidden, self._count_outputs(data.y)]
        layers = _weights.draw(sizes, self.activation, random)
        self._set_network(self._make_network(sizes, layers, self._network_loss(), self._dtype_of(data.X)))
        self._made_with = self._shape_parameters()
        _record.begin(self)
        return self.network_

    def _make_network(self, sizes: Sequence[int], layers: Sequence[Any], loss: Any, dtype: Any) -> Network:
        """Make the network with these weights and biases, given as (W, b) of each layer."""
        activation = self.activation if isinstance(self.activation, str) else list(self.activation)
        return Network(sizes, activation=activation, loss=loss, init=layers, dtype=dtype, seed=0)

    def _set_network(self, network: Network) -> None:
        for name in ("_assigned", "_optimizer"):
            self.__dict__.pop(name, None)
        self.network_ = network
        self.n_layers_, self.n_outputs_ = len(network.layer_sizes), network.layer_sizes[-1]
        self.out_activation_ = _core.LOSSES[network.loss_name].output
        self._made_for = self._functions()

    def _restore(self, network: Network) -> None:
        """Use the network of a model file, and set the attributes that a first fit sets."""
        _record.begin(self)
        self._set_network(network)
        self._made_with = self._shape_parameters()

    def _functions(self) -> tuple[Any, Any]:
        """Return the parameters that may change while the network keeps its weights."""
        return self.activation if isinstance(self.activation, str) else tuple(self.activation), self.loss

    def _check_new_loss(self) -> None:
        """Raise ValueError if the current ``loss`` needs other targets than those the network was trained on."""

    def _rebuild_if_changed(self) -> None:
        """Replace the network by one with the same weights if ``activation`` or ``loss`` has changed."""
        if self._made_for == self._functions():
            return
        old, n_outputs = self.network_, self._count_outputs(None)
        if n_outputs not in (None, self.n_outputs_):
            raise ValueError(
                f"loss={self.loss!r} needs {n_outputs} outputs, the network has {self.n_outputs_}: "
                "call fit with warm_start=False"
            )
        self._check_new_loss()
        layers = list(zip(old.weights, old.biases, strict=True))
        network = self._make_network(old.layer_sizes, layers, self._network_loss(), old.dtype)
        state = {name: value for name, value in vars(self).items() if name == "_optimizer"}
        self._set_network(network)
        self.__dict__.update(state)

    def _ensure_network(self) -> Network:
        """Return the network. If ``coefs_`` and ``intercepts_`` were assigned, make it from them."""
        if "_assigned" in vars(self):
            _record.begin(self)
            layers = [
                (np.asarray(coefs).T, np.asarray(intercepts))
                for coefs, intercepts in zip(self.coefs_, self.intercepts_, strict=True)
            ]
            dtype = np.float32 if layers[0][0].dtype == np.float32 else np.float64
            loss = next(name for name, loss in _core.LOSSES.items() if loss.output == self.out_activation_)
            sizes = [len(self.coefs_[0]), *map(len, self.intercepts_)]
            self._set_network(self._make_network(sizes, layers, loss, dtype))
        self._rebuild_if_changed()
        return self.network_

    coefs_ = _layers_property("coefs_", "Weights of each layer, shape (n_in, n_out)")
    intercepts_ = _layers_property("intercepts_", "Biases of each layer, shape (n_out,)")

    def _layers(self, name: str) -> Any:
        assigned = vars(self).get("_assigned", {})
        if name in assigned:
            return assigned[name]
        if "network_" not in vars(self):
            raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")
        return (_weights.coefs if name == "coefs_" else _weights.intercepts)(self.network_)

    def _assign(self, name: str, layers: Any) -> None:
        """Write to the network if the shapes fit. Otherwise the layers make another network at the next use."""
        if "network_" in vars(self):
            views = self._layers(name)
            if [np.shape(layer) for layer in layers] == [view.shape for view in views]:
                for view, layer in zip(views, layers, strict=True):
                    view[...] = layer
                return
            self._assigned = {part: self._layers(part) for part in ("coefs_", "intercepts_")}
            del self.network_
        self._assigned = {**vars(self).get("_assigned", {}), name: layers}

    def _loss_grad_lbfgs(
        self,
        packed: NDArray[Any],
        X: Any,
        y: Any,
        sample_weight: Any,
        activations: Any = None,
        deltas: Any = None,
        coef_grads: Any = None,
        intercept_grads: Any = None,
    ) -> tuple[float, NDArray[Any]]:
        """Return cost and derivatives at packed parameters, like scikit-learn's method, whose workspace is not used."""
        network = self._ensure_network()
        _weights.unpack(network, packed)
        total = X.shape[0] if sample_weight is None else np.sum(sample_weight)
        loss, gradients = network.loss_and_gradients(X, y, sample_weight, self.alpha / total, n_threads=self.n_threads)
        return loss, _weights.pack([dw.T for dw in gradients.weights], gradients.biases)

    def _inputs(self, X: Any) -> tuple[Network, Any]:
        check_rows(X)
        _sklearn.validation.check_is_fitted(self)
        network = self._ensure_network()
        if hasattr(self, "encoder_"):
            X = self._encode_table(X, network.dtype)
        else:
            if isinstance(X, Rows):
                self._check_columns(X, first=False)
            elif _tables.is_plain(X):
                self._check_columns(X, first=False)
                X = _sklearn.validation.check_array(_tables.as_array(X, network.dtype))
            else:
                kind = None if _is_of_integers(X) else network.dtype
                with _tables.advice(X):
                    X = _sklearn.validation.validate_data(self, X, accept_sparse="csr", dtype=kind, reset=False)
        return network, X

    def __sklearn_is_fitted__(self) -> bool:
        return not vars(self).keys().isdisjoint({"network_", "_assigned"})

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        encoded = _tables.encodes_always(self)
        tags.input_tags.sparse = not encoded
        tags.transformer_tags.preserves_dtype = [] if encoded or self.dtype is not None else ["float64", "float32"]
        tags.input_tags.allow_nan = tags.input_tags.categorical = tags.input_tags.string = encoded
        return tags
