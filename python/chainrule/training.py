"""The Python side of training: settings, stopping criteria, history and callbacks."""

import functools
import inspect
import operator
import os
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Generic, TypedDict, TypeVar, get_args

import numpy as np
from numpy.typing import NDArray

from chainrule import _core
from chainrule._arguments import flag, integer, one_of, optional_integer, real, seed_number
from chainrule._core import DivergenceError
from chainrule._names import Metric, PrecisionName
from chainrule._notebook import curves, table
from chainrule._optional import require
from chainrule._settings import SETTINGS, Setting, Settings, documented, indented
from chainrule._suggest import did_you_mean, explained, instances
from chainrule._warn import warn
from chainrule.losses import CustomLoss, custom
from chainrule.optimizers import Group, Optimizer
from chainrule.schedules import AnySchedule, schedules_by_name
from chainrule.validation import HeldOut

Function = TypeVar("Function", bound=Callable[..., Any])
PerNetwork = TypeVar("PerNetwork")  # a list in `fit_many`, which takes one value per network; Never in `Network.fit`

if TYPE_CHECKING:

    class _Keywords(TypedDict, Generic[PerNetwork], total=False):
        pass

else:  # Python 3.10 has no generic TypedDict
    _Keywords = {PerNetwork: TypedDict}


@documented
@dataclass(frozen=True, kw_only=True)
class Stop(Settings):
    """Stopping criteria: the first one that is met after an epoch ends training and is named in the history.

    Parameters
    ----------
    {parameters}

    Raises
    ------
    ValueError
        For a setting out of range.

    Examples
    --------
    >>> import chainrule as cr
    >>> net = cr.Network([1, 1], loss="squared_error", seed=0)
    >>> stop = cr.Stop(loss_below=1e-3, no_improvement=50)
    >>> net.fit([[-1.0], [1.0]], [-1.0, 1.0], optimizer=cr.SGD(learning_rate=0.5), stop=stop).stop_reason
    'loss_below'
    """

    loss_below: float | None = None
    loss_change_below: float | None = None
    loss_change_epochs: int = 1
    gradient_norm_below: float | None = None
    no_improvement: int | None = None
    min_delta: float = 0.0
    learning_rate_below: float | None = None
    seconds: float | None = None


@documented
@dataclass(frozen=True)
class WithinParts(Settings):
    """A random order of the rows that reads the data part by part: a value of ``shuffle`` for data larger than memory.

    Part p holds the rows from ``p · rows`` to ``(p + 1) · rows``. An epoch takes the parts in random order, and the
    rows of each part in random order. The order depends only on the seed, the epoch, and the numbers of rows, so an
    array in memory, a memory-mapped file and `Rows` give the same bits.

    Parameters
    ----------
    {parameters}

    Raises
    ------
    ValueError
        For a setting out of range.

    Examples
    --------
    >>> import chainrule as cr, numpy as np
    >>> X = np.linspace(-1, 1, 1000).reshape(-1, 1)
    >>> net = cr.Network([1, 8, 1], loss="squared_error", seed=0)
    >>> net.fit(X, X[:, 0] ** 2, shuffle=cr.WithinParts(256), batch_size=20, epochs=5).epochs
    5
    """

    rows: int = 65536


@explained
@dataclass(frozen=True, eq=False, repr=False)
class TrainingState:
    """The state of training between two epochs, from which `Network.fit` can resume.

    It holds copies, so it does not change when training continues.

    Attributes
    ----------
    epoch : int
        Number of completed epochs.
    seed : int
        Seed of the order of the rows and of dropout.
    numbers : dict of str to ndarray of float64
        Progress of the optimizer, the schedules and the stopping criteria.
    vectors : dict of str to ndarray, shape (P,)
        Parameters, moments and averages, in the order of `Network.parameters`.

    Examples
    --------
    >>> import chainrule as cr
    >>> X, y = [[0.0], [1.0], [2.0]], [1.0, 3.0, 5.0]
    >>> net = cr.Network([1, 4, 1], loss="squared_error", seed=0)
    >>> history = net.fit(X, y, batch_size=1, epochs=3, keep_state=True)
    >>> history.state
    TrainingState(epoch=3)
    >>> _ = net.fit(X, y, batch_size=1, epochs=2, resume=history.state)
    >>> once = cr.Network([1, 4, 1], loss="squared_error", seed=0)
    >>> _ = once.fit(X, y, batch_size=1, epochs=5)
    >>> bool((net.parameters == once.parameters).all())
    True
    """

    epoch: int
    seed: int
    numbers: Mapping[str, NDArray[np.float64]]
    vectors: Mapping[str, NDArray[np.floating[Any]]]

    def __repr__(self) -> str:
        return f"TrainingState(epoch={self.epoch})"

    def as_core(self) -> dict[str, Any]:
        """Return the state, as the core takes it."""
        return {**vars(self), "numbers": dict(self.numbers), "vectors": dict(self.vectors)}


@dataclass(frozen=True, eq=False)
class History:
    """The record of a fit.

    Attributes
    ----------
    loss : ndarray of float64, shape (epochs,)
        The training cost of each epoch: the mean of the costs of its batches, each computed before the step of the
        batch and weighted by the sum of its rows' weights.
    validation : ndarray of float64, shape (epochs,), or None
        The cost of the validation data after each epoch, without the penalty.
    metrics : dict of str to ndarray of float64, shape (epochs,)
        The metrics of the validation data after each epoch.
    learning_rate : ndarray of float64, shape (epochs,)
        The learning rate of the last step of each epoch.
    epochs : int
        Number of epochs that were run.
    best_epoch : int
        The best epoch, counted from 1, by the value that `Stop.no_improvement` watches; 0 if, after a resume, no epoch
        was better than the earlier ones.
    stop_reason : str
        "epochs" if all epochs were run, the name of a field of `Stop`, "converged", "stalled" or "max_evaluations"
        (`LBFGS`), or "callback". In the history that comes with an exception, "diverged" or "interrupted".
    seconds : float
        Wall-clock time.
    state : TrainingState or None
        The state from which to resume, if ``keep_state`` was set or the fit was itself resumed.
    watched : str
        The value that determined the best epoch at the end of training: the name of the first metric, "validation"
        for the validation cost, or "loss" for the training cost.
    skipped_updates : int
        Number of batches whose update was skipped: see ``skip_updates_above`` of `Network.fit`.

    Notes
    -----
    A network has learned something if its cost, preferably on held-out data, is below the cost of the best constant
    prediction. That is ``y.var(axis=0).sum() / 2`` for "squared_error", and the entropy of the class frequencies for a
    cross-entropy. If the cost is not below it, scale the columns of X, and y, to a spread of about 1.

    Examples
    --------
    >>> import chainrule as cr
    >>> net = cr.Network([1, 1], loss="squared_error", seed=0)
    >>> history = net.fit([[-1.0], [1.0]], [-1.0, 1.0], epochs=3)
    >>> history.epochs, history.stop_reason, history.loss.shape, history.validation
    (3, 'epochs', (3,), None)
    """

    loss: NDArray[np.float64] = field(repr=False)
    validation: NDArray[np.float64] | None = field(repr=False)
    metrics: Mapping[str, NDArray[np.float64]] = field(repr=False)
    learning_rate: NDArray[np.float64] = field(repr=False)
    epochs: int
    best_epoch: int
    stop_reason: str
    seconds: float
    state: TrainingState | None = field(repr=False)
    watched: str
    skipped_updates: int

    @classmethod
    def from_core(cls, result: dict[str, Any], metrics: Sequence[str]) -> "History":
        """Make a History from the dict that the core returns and the names of the metrics."""
        state = result.get("state")
        named = dict(zip(metrics, result["metrics"], strict=True))
        watched = metrics[0] if result["watched"] == "metric" else result["watched"]
        state = None if state is None else TrainingState(**state)
        return cls(**{**result, "metrics": named, "state": state, "watched": watched})

    def warn_if_unwatched(self, first_epoch: int, y: Any) -> None:
        """Warn if the first metric could not be watched. The history begins with epoch `first_epoch`.

        There is no warning if all training targets y are equal, because then there is nothing to learn. y is None if
        they are not known.
        """
        for name, values in list(self.metrics.items())[:1]:
            unwatched = np.flatnonzero(~np.isfinite(values))
            undefined = _core.METRICS[name].undefined if name in _core.METRICS else ""
            constant = undefined and y is not None and bool((np.asarray(y) == np.asarray(y)[:1]).all())
            if len(unwatched) and not constant:
                first, why = unwatched[0], f" (it is not defined where {undefined})" if undefined else ""
                warn(
                    f"the metric {name} is {values[first]:g} in epoch {first_epoch + first}{why}; "
                    "instead, the validation cost of all epochs determines the best one and when to stop: hold out "
                    "other rows, or watch another metric"
                )

    def _repr_html_(self) -> str:
        """Return the last and the best costs and metrics, and the curves of the costs, for notebooks."""
        validation = {} if self.validation is None else {"validation": self.validation}
        values = {"loss": self.loss, **validation, **self.metrics}
        best = self.best_epoch - 1 if 0 < self.best_epoch <= len(self.loss) else -1
        rows = [(name, f"{v[-1]:.6g}", f"{v[best]:.6g}") for name, v in values.items() if len(v)]
        caption = (
            f"{self.epochs} epochs in {self.seconds:.2f} s, stopped by {self.stop_reason}, best: {self.best_epoch}"
        )
        return table(["", "last epoch", "best epoch"], rows, caption) + curves({"loss": self.loss, **validation})

    def to_frame(self) -> Any:
        """Return the numbers of each epoch as a pandas data frame. Needs the extra ``cli``, which installs pandas.

        Returns
        -------
        pandas.DataFrame
            One row per epoch, counted from 1, with the columns loss, validation (if there is one), the metrics by
            name, and learning_rate.

        Examples
        --------
        >>> import chainrule as cr
        >>> history = cr.Network([1, 1], loss="squared_error", seed=0).fit([[-1.0], [1.0]], [-1.0, 1.0], epochs=3)
        >>> frame = history.to_frame()
        >>> list(frame.columns), list(frame.index)
        (['loss', 'learning_rate'], [1, 2, 3])
        """
        pandas = require("pandas", "cli")
        validation = {} if self.validation is None else {"validation": self.validation}
        columns = {"loss": self.loss, **validation, **self.metrics, "learning_rate": self.learning_rate}
        return pandas.DataFrame(columns, index=pandas.RangeIndex(1, len(self.loss) + 1, name="epoch"))

    def plot(self, path_or_axes: "str | os.PathLike[str] | Any" = None) -> Any:
        """Draw the learning curves: `plots.learning_curves`, which needs the extra ``plot``.

        Examples
        --------
        >>> import chainrule as cr
        >>> history = cr.Network([1, 1], loss="squared_error", seed=0).fit([[-1.0], [1.0]], [-1.0, 1.0], epochs=3)
        >>> axes = history.plot("learning_curve.png")  # doctest: +SKIP
        """
        from chainrule.plots import learning_curves

        return learning_curves(self, path_or_axes)


class Callbacks:
    """Calls all callbacks: functions after each epoch, objects at each event for which they have a method."""

    def __init__(self, callbacks: Iterable[Any]) -> None:
        self._begin: list[Callable[[Any], Any]] = []
        self._epoch: list[Callable[[dict[str, Any]], Any]] = []
        self._end: list[Callable[[History], Any]] = []
        if not isinstance(callbacks, Iterable):
            raise TypeError(f"callbacks must be an iterable of callbacks, such as [print], got {callbacks!r}")
        self.wants_state = False
        for callback in callbacks:
            self.wants_state |= bool(getattr(callback, "wants_state", False))
            hooks = ((self._begin, "on_train_begin"), (self._epoch, "on_epoch_end"), (self._end, "on_train_end"))
            found = [(event, getattr(callback, name)) for event, name in hooks if hasattr(callback, name)]
            if not found and not callable(callback):
                raise TypeError(
                    "a callback must be callable or have on_train_begin, on_epoch_end or on_train_end; "
                    f"got {type(callback).__name__}"
                )
            for event, hook in found or [(self._epoch, callback)]:
                event.append(hook)

    def train_begin(self, network: Any) -> None:
        """Call the ``on_train_begin`` methods."""
        for hook in self._begin:
            hook(network)

    def epoch_end(self, metrics: Sequence[str]) -> Callable[[dict[str, Any], Callable[[], Any]], bool] | None:
        """Return a function for the core that calls the callbacks of an epoch and returns True if one wants to stop."""

        def call_hooks(core_logs: dict[str, Any], snapshot: Callable[[], Any]) -> bool:
            values = dict(zip(metrics, core_logs.pop("metrics").tolist(), strict=True))
            return self.stop({**core_logs, **values, "snapshot": lambda: TrainingState(**snapshot())})

        return call_hooks if self._epoch else None

    def stop(self, logs: dict[str, Any]) -> bool:
        """Call the hooks of an epoch, and return whether one of them wants to stop."""
        answers = [hook(logs) for hook in self._epoch]  # calls all of them, even if an earlier one wants to stop
        return any(isinstance(answer, (bool, np.bool_)) and answer for answer in answers)

    def train_end(self, history: History) -> None:
        """Call the ``on_train_end`` methods."""
        for hook in self._end:
            hook(history)


class FitSettings(_Keywords[PerNetwork], total=False):
    """The settings of a fit, in the order in which they are documented."""

    optimizer: Optimizer | PerNetwork | None
    batch_size: int | PerNetwork | None
    epochs: int | PerNetwork
    shuffle: bool | WithinParts | PerNetwork
    l2: float | PerNetwork
    l2_per_row: bool | PerNetwork
    groups: Iterable[Group] | PerNetwork
    dropout: float | Sequence[float] | PerNetwork
    input_dropout: float | PerNetwork
    clip_norm: float | PerNetwork | None
    clip_value: float | PerNetwork | None
    skip_updates_above: float | PerNetwork | None
    ema: float | PerNetwork | None
    schedules: AnySchedule | Mapping[str, AnySchedule] | PerNetwork | None
    precision: PrecisionName | PerNetwork
    stop: Stop | PerNetwork | None
    loss: CustomLoss | PerNetwork | None
    validation: Any
    metrics: Metric | Sequence[Metric] | PerNetwork
    callbacks: Iterable[Any] | PerNetwork
    seed: int | PerNetwork | None
    resume: TrainingState | PerNetwork | None
    keep_state: bool | PerNetwork


# Settings that exist only in Python; FitRequest translates them for the core.
_OWN_SETTINGS = (
    Setting(
        "loss",
        "callable",
        None,
        "",
        "A custom loss that replaces the network's during training: ``loss(logits, y, weight)`` receives the logits "
        "(m, n_L) of a batch and the batch's rows of y and sample_weight (or None), and returns the cost of the batch "
        "and its gradient with respect to the logits. y may hold anything that the function accepts.",
        "PyTorch: any function; Keras: `loss`",
    ),
    Setting(
        "validation",
        "(X, y), (X, y, sample_weight), Rows or float",
        None,
        "",
        "Validation data, whose cost is recorded after each epoch; or the fraction of the rows to hold out. The seed "
        "determines these rows; for a cross-entropy they contain the same fraction of every class.",
        "scikit-learn: `validation_fraction`; XGBoost: `eval_set`",
    ),
    Setting(
        "metrics",
        "names or callables",
        (),
        "",
        "Scores of the held-out data: names, which `Network.fit` lists, or functions ``f(y_true, y_pred)``, or with "
        "weights ``f(y_true, y_pred, sample_weight)``, where y_pred is what `predict` returns. Higher is better, "
        "unless ``f.more_is_better`` is False. ``stop`` watches the first one.",
        "XGBoost: `eval_metric`",
    ),
    Setting(
        "callbacks",
        "iterable",
        (),
        "",
        "Callables that take ``logs``, or objects with any of ``on_train_begin(network)``, ``on_epoch_end(logs)``, "
        "``on_train_end(history)``; logs is a dict of epoch (from 1), loss, validation (or None), the metrics by name, "
        "learning_rate, seconds, and snapshot, a function that returns the `TrainingState`. If the callable or "
        "``on_epoch_end`` returns True, training ends. ``on_train_begin`` is called before the data and the ranges of "
        "the options are checked, ``on_train_end`` only if the fit did not raise.",
    ),
    Setting(
        "seed",
        "int",
        None,
        "",
        "For the order of the rows, held-out rows and dropout. Default: the network's. With ``resume``: that of the "
        "state.",
        "scikit-learn: `random_state`",
    ),
    Setting(
        "resume",
        "TrainingState",
        None,
        "",
        "Resume training from this state. With the same data and settings, the result has the same bits as without the "
        "interruption.",
    ),
    Setting(
        "keep_state",
        "bool",
        False,
        "",
        "Return the state at the end in ``history.state``: copies of parameters and moments.",
    ),
)
FIT_SETTINGS = SETTINGS["fit"] | {setting.name: setting for setting in _OWN_SETTINGS}


def _optimizer(value: Any) -> Optimizer:
    if not isinstance(value, Optimizer):
        hint = did_you_mean(value, instances(Optimizer))
        raise TypeError(f"optimizer must be an instance such as Adam(), got {value!r}{hint}")
    return value


def _groups(value: Any) -> list[Group]:
    groups = list(value) if isinstance(value, Iterable) else [value]
    for group in groups:
        if not isinstance(group, Group):
            raise TypeError(f"groups must be instances of Group, got {group!r}")
    return groups


def _dropout(value: Any) -> list[float]:
    """Check dropout: one rate for all hidden layers, or one for each."""
    if isinstance(value, Iterable) and not isinstance(value, str):
        return [real(f"dropout[{i}]", rate) for i, rate in enumerate(value)]
    return [real("dropout", value)]


def _shuffle(value: Any) -> bool | WithinParts:
    if isinstance(value, (bool, np.bool_)):
        return bool(value)
    if not isinstance(value, WithinParts):
        raise TypeError(f"shuffle must be True, False or an instance such as WithinParts(65536), got {value!r}")
    return value


def _stop(value: Any) -> Stop:
    if not isinstance(value, Stop):
        raise TypeError(f"stop must be an instance such as Stop(no_improvement=10), got {value!r}")
    return value


# Settings whose check and conversion need a separate function.
_CHECKED: Mapping[str, Callable[[Any], Any]] = {
    "optimizer": _optimizer,
    "batch_size": lambda value: integer("batch_size", value, high=2**63 - 1),
    "groups": _groups,
    "dropout": _dropout,
    "schedules": schedules_by_name,
    "precision": lambda value: one_of("precision", value, _core.PRECISIONS),
    "shuffle": _shuffle,
    "stop": _stop,
}


def _core_settings(given: Mapping[str, Any]) -> dict[str, Any]:
    """Check the types of settings. Return those of the core, omitting each None that means the default."""
    settings = {}
    for name in given.keys() & SETTINGS["fit"].keys():
        setting, value = SETTINGS["fit"][name], given[name]
        if value is not None or setting.default is not None:
            settings[name] = _CHECKED.get(name, setting.checked)(value)
    return settings


class FitRequest:
    """A fit of one network in the form that the core takes; `end` returns the history.

    Attributes
    ----------
    core : dict
        The argument of the core's ``fit``.
    """

    def __init__(
        self,
        network: Any,
        y: Any,
        sample_weight: Any,
        given: Mapping[str, Any],
        rows: NDArray[np.intp] | None = None,
        validation_rows: NDArray[np.intp] | None = None,
        source: tuple[Callable[..., Any], int] | None = None,
    ) -> None:
        for name in given:
            if name not in FIT_SETTINGS:
                raise TypeError(f"a fit has no setting {name!r}")
        own = {setting.name: given.get(setting.name, setting.default) for setting in _OWN_SETTINGS}
        settings, resume = _core_settings(given), own["resume"]
        loss = custom(own["loss"])
        self._callbacks = Callbacks(own["callbacks"])
        if resume is not None and not isinstance(resume, TrainingState):
            raise TypeError(f"resume must be a TrainingState, such as history.state, got {resume!r}")
        if own["seed"] is not None:
            settings["seed"] = seed_number(own["seed"])
        else:
            settings["seed"] = network.seed if resume is None else resume.seed
        held = HeldOut(own["validation"], y, sample_weight, network.loss_name, settings["seed"], rows, validation_rows)
        self._names, settings["metrics"] = held.metrics(own["metrics"])
        self._network, self._y, self._epochs_before = network, y, 0 if resume is None else resume.epoch
        self.core = {
            "settings": settings,
            "loss": loss,
            "source": source,
            "rows": held.rows,
            "validation": held.data,
            "validation_rows": held.validation_rows,
            "on_epoch_end": self._callbacks.epoch_end(self._names),
            "state": None if resume is None else resume.as_core(),
            "keep_state": flag("keep_state", own["keep_state"]) or self._callbacks.wants_state,
        }

    def begin(self) -> None:
        """Call the callbacks' ``on_train_begin``."""
        self._callbacks.train_begin(self._network)

    def run(self, X: Any, sample_weight: Any, n_threads: Any) -> History:
        """Run the fit of `Network.fit`."""
        threads = optional_integer("n_threads", n_threads)
        self.begin()
        try:
            native = self._network._native
            result = native.fit(X, self._y, self.core, sample_weight=sample_weight, n_threads=threads)
        except (DivergenceError, KeyboardInterrupt) as error:
            self.fail(error)
            raise
        return self.end(result)

    def end(self, result: dict[str, Any]) -> History:
        """Convert the core's result to a History, and call the callbacks' ``on_train_end``."""
        history = History.from_core(result, self._names)
        self._callbacks.train_end(history)
        history.warn_if_unwatched(self._epochs_before + 1, self._y)
        return history

    def fail(self, error: BaseException) -> None:
        """Convert the record that the core attached to an error, if there is one, to a History."""
        if done := vars(error).get("history"):
            reason = "diverged" if isinstance(error, DivergenceError) else "interrupted"
            vars(error)["history"] = History.from_core({**done, "stop_reason": reason}, self._names)


def _of_one(hint: Any) -> Any:
    """Return the type that a setting has for a single network."""
    kinds = tuple(kind for kind in get_args(hint) if kind is not PerNetwork)
    return functools.reduce(operator.or_, kinds) if PerNetwork in get_args(hint) else hint


def with_settings(function: Function) -> Function:
    """Add the settings of a fit, which are keyword arguments, to the signature and docstring of a function."""
    signature = inspect.signature(function)
    own = [parameter for parameter in signature.parameters.values() if parameter.kind is not parameter.VAR_KEYWORD]
    by_name = [parameter for parameter in own if parameter.kind is parameter.KEYWORD_ONLY]
    settings = [
        inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=setting.default, annotation=_of_one(hint))
        for (name, setting), hint in zip(FIT_SETTINGS.items(), FitSettings.__annotations__.values(), strict=True)
    ]
    first = len(own) - len(by_name)
    vars(function)["__signature__"] = signature.replace(parameters=[*own[:first], *settings, *by_name])
    if function.__doc__ is not None:  # None with python -OO
        place = re.search(r"^( *)\{settings\}$", function.__doc__, re.MULTILINE)
        entries = (setting.documented(setting.default) for setting in FIT_SETTINGS.values())
        levels = len(place[1]) // 4 if place else 0
        function.__doc__ = function.__doc__.replace("{settings}", indented(entries, levels))
    return function
