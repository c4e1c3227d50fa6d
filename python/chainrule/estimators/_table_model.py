"""Base class of the table estimators, which accept any table and need no settings."""

import contextlib
import dataclasses
import time
import warnings
from collections.abc import Iterable, Sequence
from dataclasses import KW_ONLY
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from chainrule._arguments import about
from chainrule._core import DivergenceError
from chainrule._suggest import explained
from chainrule._warn import warn
from chainrule.encoder import TableEncoder
from chainrule.estimators import _sklearn
from chainrule.estimators._data import Data, check_rows, check_weights, split_mask, validation_data, with_mask
from chainrule.estimators._estimator import NOT_FINITE, Estimator
from chainrule.estimators._parameters import check_parameters
from chainrule.estimators._recipe import FEW, HELD_OUT, RECIPES, Recipe, merge
from chainrule.estimators._stages import HeldOut, Stages, finite_mean
from chainrule.losses import to_core
from chainrule.network import Network
from chainrule.rows import Rows
from chainrule.table import CategoricalFeatures
from chainrule.training import Callbacks, History
from chainrule.validation import spread_rows

if TYPE_CHECKING:
    from typing_extensions import Self


@explained
@dataclasses.dataclass(eq=False, repr=False)
class TableModel(Estimator):
    """Base class of `TableClassifier` and `TableRegressor`, which describe the parameters."""

    _: KW_ONLY
    loss: Any = None
    effort: Literal["fast", "accurate"] = "fast"
    time_limit: float | None = None
    random_state: int | np.random.RandomState | None = None
    verbose: bool | int = False
    callbacks: Iterable[Any] = ()
    categorical_features: CategoricalFeatures = "from_dtype"
    encoder: TableEncoder | None = None
    n_threads: int | None = None

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
        """Train on a table.

        Parameters
        ----------
        X : data frame, array_like or Rows, shape (n_samples, n_features)
            One example per row. Columns may hold numbers, text, categories, booleans, dates and missing values; see
            `TableEncoder`.
        y : array_like, shape (n_samples,) or (n_samples, n_outputs)
            Classes, or values. Default, if X is `Rows`: their target. Several values or labels may be a masked array,
            whose masked entries are missing: see `Network.fit`.
        sample_weight : array_like, shape (n_samples,), optional
            Weights of the rows, at least 0. Default: 1 each.
        X_val, y_val, sample_weight_val : optional
            Validation data in the forms of X, y and sample_weight, which determine when training ends; all rows of X
            are then used for training. Default: each network holds out a fifth of the rows. In a pipeline,
            ``Pipeline(..., transform_input=["X_val"])`` transforms X_val in the same way as X.
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
            If the cost of the held-out rows is not below that of the best constant prediction.
        """
        self._fit(X, y, sample_weight, validation_data(X_val, y_val, sample_weight_val, eval_set))
        return self

    def _train_on(self, X: Any, y: Any, sample_weight: Any, validation: Any) -> Any:
        check_parameters(self)
        for name in {"standardizer_", "bounds_"} & vars(self).keys():
            delattr(self, name)
        random = _sklearn.utils.check_random_state(self.random_state)
        seed = int(random.randint(2**31 - 1))
        recipe = RECIPES[self.effort, "values" if self._y_numeric else "classes"]
        data, watched = self._read(X, y, sample_weight, new=True), None
        used = np.arange(len(data.y)) if data.weight is None else np.flatnonzero(data.weight)
        if validation is not None:
            with about("validation data"):
                watched = self._read(*validation, new=False)
        self._try(recipe.to_try(len(used), self._count_outputs(data.y)), data, used, watched, seed)
        return self

    def _try(
        self, recipes: Sequence[Recipe], data: Data, used: NDArray[np.intp], watched: Data | None, seed: int
    ) -> None:
        """Train with each recipe, and keep the networks with the lowest cost of the held-out rows."""
        callbacks = Callbacks([*self.callbacks, *([_print] if self.verbose else [])])
        if callbacks.wants_state:
            raise ValueError(f"{type(self).__name__} cannot resume training: checkpoints are for Network.fit")
        begin = time.monotonic()
        results: list[_Result] = []
        reason = "epochs"
        for recipe in recipes:
            left = np.inf if self.time_limit is None else float(self.time_limit) - (time.monotonic() - begin)
            if results and left <= 0:
                reason = "seconds"
                break
            with warnings.catch_warnings() if results else contextlib.nullcontext():
                if results:  # the first recipe gave the warnings about the columns
                    warnings.simplefilter("ignore")
                train, rows, held_out, dtype = self._prepare(recipe, data, used, watched, seed)
            try:
                results.append(self._train(recipe, train, rows, held_out, seed, dtype, left, callbacks, results))
            except DivergenceError as error:
                if not results:
                    raise ValueError(NOT_FINITE) from error
                reason = "diverged"
                break
            except KeyboardInterrupt:
                if not results:
                    raise
                reason = "interrupted"
                break
            reason = results[-1].history.stop_reason
            if reason not in ("epochs", "no_improvement"):
                break
        best = min(range(len(results)), key=lambda i: results[i].cost)
        result = results[best]
        self.encoder_ = result.encoder
        self._restore(result.network)
        self.n_iter_ = result.stages.epochs
        self.history_ = _joined([result.history for result in results], best, reason)
        callbacks.train_end(self.history_)
        held_out = result.stages.held_out
        self._warn_at_end(*((result.stages.data, "training") if held_out is None else (held_out, "held-out")))

    def _prepare(
        self, recipe: Recipe, data: Data, used: NDArray[np.intp], watched: Data | None, seed: int
    ) -> tuple[Data, list[Any], HeldOut | None, str]:
        """Encode the rows; return them, the rows to train each network on, the held-out rows and the dtype."""
        few = len(used) < FEW
        divided = watched is None and not few
        parts = _divide(data.y[used], self._network_loss(), recipe, seed) if divided else None
        learned_from = used if parts is None else used[np.unique(np.concatenate([rows for rows, _ in parts]))]
        self._learn(data, learned_from, recipe)
        dtype = "float64" if few else "float32"
        train = self._encoded(data, used, dtype)
        rows: list[Any] = [None] * recipe.networks
        held_out, loss = None, self._evaluation_loss()
        brier = recipe.brier and loss == "softmax_cross_entropy"
        if watched is not None:
            with about("validation data"):
                encoded = self._encoded(watched, None, dtype)
            held_out = HeldOut(encoded, None, [slice(None)] * recipe.networks, loss, brier)
        elif parts is not None:
            places = np.unique(np.concatenate([held for _, held in parts]))
            rows = [rows for rows, _ in parts]
            of_parts = [np.searchsorted(places, held) for _, held in parts]
            held_out = HeldOut(train, places, of_parts, loss, brier)
        return train, rows, held_out, dtype

    def _read(self, X: Any, y: Any, sample_weight: Any = None, *, new: bool) -> Data:
        """Check a table and its targets as scikit-learn does, and multiply the weights by the class weights."""
        check_rows(X)
        y, mask = split_mask(X.y if isinstance(X, Rows) and y is None else y)
        X, y = self._check_table(X, self._read_targets(y), new)
        y = with_mask(self._encode(y, new=new, exact=False), mask)
        return self._with_class_weights(Data(X, y, check_weights(sample_weight, len(y))), incremental=False)

    def _learn(self, data: Data, rows: NDArray[np.intp], recipe: Recipe) -> None:
        """Learn the encoding of the columns and the scale of the targets from some rows."""
        encoder = TableEncoder(categorical_features=self.categorical_features, bins=recipe.n_bins(len(rows)))
        if self.encoder is not None:
            if not (isinstance(self.categorical_features, str) and self.categorical_features == "from_dtype"):
                raise ValueError("categorical_features is given twice: encoder has it too")
            encoder = _sklearn.base.clone(self.encoder)
        some = None if len(rows) == len(data.y) else rows
        self.encoder_ = encoder.learn(data.X, rows=some, sample_weight=data.weight)
        self._learn_targets(data.y[rows], None if data.weight is None else data.weight[rows])

    def _encoded(self, data: Data, rows: NDArray[np.intp] | None, dtype: str) -> Data:
        """Encode some rows for the networks. rows=None: all rows, with warnings; used for validation data."""
        places: Any = slice(None) if rows is None else rows
        all_rows = rows is None or len(rows) == len(data.y)
        inputs = self.encoder_.encoding_.inputs(data.X, dtype, rows=None if all_rows else rows, warn=rows is None)
        y = self._scale_targets(data.y[places])
        y = y[:, np.newaxis] if callable(self.loss) and y.ndim == 1 and self._count_outputs(y) == 1 else y
        return Data(inputs, y, None if data.weight is None else data.weight[places])

    def _train(
        self,
        recipe: Recipe,
        train: Data,
        rows: list[Any],
        held_out: HeldOut | None,
        seed: int,
        dtype: str,
        seconds: float,
        callbacks: Callbacks,
        earlier: Sequence["_Result"],
    ) -> "_Result":
        """Train the networks of a recipe and merge them."""
        n_inputs, n_outputs = train.X.shape[1], self._count_outputs(train.y)
        loss = self._training_loss(recipe)
        sizes = recipe.layer_sizes(n_inputs, len(train), n_outputs)
        networks = [recipe.make_network(sizes, loss, dtype, seed + i) for i in range(recipe.networks)]
        stages = Stages(
            recipe,
            networks,
            train,
            rows,
            held_out,
            loss=self.loss if callable(self.loss) else None,
            seconds=seconds,
            n_threads=self.n_threads,
            callbacks=callbacks,
            earlier=sum(result.stages.trained for result in earlier),
        )
        if not earlier:
            callbacks.train_begin(networks[0])
        history = stages.run(seed)
        scale, cost = 1.0, 0.0
        if held_out is not None and stages.logits is not None:
            if not (self._y_numeric or callable(self.loss)):
                scale = held_out.best_scale(stages.logits)
            cost = finite_mean(held_out.scores(stages.logits))
        network = merge(networks, self._network_loss(), scale)
        return _Result(cost, self.encoder_, network, history, stages)

    def _warn_at_end(self, data: Data | HeldOut, part: str) -> None:
        """Warn if training diverged or was interrupted, and if the network is no better than a constant."""
        reason = {"diverged": NOT_FINITE, "interrupted": "Training interrupted by user."}
        if message := reason.get(self.history_.stop_reason):
            warn(f"{message} The best earlier stage is kept.", _sklearn.exceptions.ConvergenceWarning)
        if warning := self._no_better_than_constant(data, part):
            warn(warning)

    def _evaluation_loss(self) -> Any:
        """Return the loss for evaluating the held-out rows."""
        return self.loss if callable(self.loss) else self._network_loss()

    def _training_loss(self, recipe: Recipe) -> Any:
        """Return the loss with which the networks are trained."""
        return self._network_loss()

    def _ensure_network(self) -> Network:
        return self.network_

    def _restore(self, network: Network) -> None:
        """Use the parameters of a stored network."""
        self.network_ = network
        self.n_outputs_ = network.layer_sizes[-1]

    def _inputs(self, X: Any) -> tuple[Network, Any]:
        check_rows(X)
        _sklearn.validation.check_is_fitted(self)
        return self.network_, self._encode_table(X, self.network_.dtype)

    def __sklearn_is_fitted__(self) -> bool:
        return "network_" in vars(self)

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.allow_nan = tags.input_tags.categorical = tags.input_tags.string = True
        tags.transformer_tags.preserves_dtype = []
        return tags


@dataclasses.dataclass(frozen=True)
class _Result:
    """The networks trained with a recipe, merged, and the cost of the held-out rows."""

    cost: float
    encoder: TableEncoder
    network: Network
    history: History
    stages: Stages


def _joined(histories: Sequence[History], best: int, reason: str) -> History:
    """Join the histories of several recipes; `best` is the position of the one whose networks are kept."""
    last = histories[-1]
    return dataclasses.replace(
        last,
        loss=np.concatenate([history.loss for history in histories]),
        validation=None if last.validation is None else np.concatenate([h.validation for h in histories]),
        learning_rate=np.concatenate([history.learning_rate for history in histories]),
        epochs=sum(history.epochs for history in histories),
        best_epoch=sum(history.epochs for history in histories[:best]) + histories[best].best_epoch,
        stop_reason=reason,
        seconds=sum(history.seconds for history in histories),
    )


def _divide(y: NDArray[Any], loss: Any, recipe: Recipe, seed: int) -> list[tuple[NDArray[np.intp], NDArray[np.intp]]]:
    """Return the training rows and the held-out rows of each network; held-out rows are stratified by class."""
    chunks = np.array_split(spread_rows(y, to_core(loss)[0], seed), HELD_OUT)
    parts = []
    for i in range(recipe.networks):
        held = i % recipe.folds
        others = [chunk for j, chunk in enumerate(chunks) if j != held]
        parts.append((np.sort(np.concatenate(others)), np.sort(chunks[held])))
    return parts


def _print(logs: dict[str, Any]) -> None:
    """Print the results of a stage."""
    print(f"Epoch {logs['epoch']}, loss = {logs['loss']:.8f}")
    if logs["validation"] is not None:
        print(f"Validation loss: {logs['validation']:.8f}")
