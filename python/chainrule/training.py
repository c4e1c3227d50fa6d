"""The parts of a fit outside the core: its settings, stopping criteria, history and callbacks."""

import functools
import inspect
import operator
import os
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar, Generic, TypedDict, TypeVar, get_args

import numpy as np
from numpy.typing import NDArray

from chainrule import _core
from chainrule._arguments import flag, integer, one_of, real, seed_number
from chainrule._core import DivergenceError
from chainrule._settings import SETTINGS, Setting, Settings, documented, indented
from chainrule._suggest import did_you_mean, explained, instances
from chainrule._warn import warn
from chainrule.losses import CustomLoss, custom
from chainrule.optimizers import Group, Optimizer
from chainrule.schedules import AnySchedule, schedules_by_name
from chainrule.validation import HeldOut

Function = TypeVar("Function", bound=Callable[..., Any])
PerNetwork = TypeVar("PerNetwork")  # what `fit_many` takes in the place of a value: a list; `Network.fit`: Never

if TYPE_CHECKING:

    class _Keywords(TypedDict, Generic[PerNetwork], total=False):
        pass

else:  # Python 3.10 has no generic TypedDict
    _Keywords = {PerNetwork: TypedDict}


@explained
@documented
@dataclass(frozen=True, kw_only=True)
class Stop(Settings):
    """When training has converged: the first criterion that holds after an epoch ends it and is named in the history.

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

    core_name: ClassVar[str] = "Stop"
    loss_below: float | None = None
    loss_change_below: float | None = None
    loss_change_epochs: int = 1
    gradient_norm_below: float | None = None
    no_improvement: int | None = None
    min_delta: float = 0.0
    learning_rate_below: float | None = None
    seconds: float | None = None


@explained
@dataclass(frozen=True, eq=False, repr=False)
class TrainingState:
    """A training between two epochs: what the next one depends on, for `Network.fit` to go on with.

    It holds copies, so that it stays what it is while the training goes on.

    Attributes
    ----------
    epoch : int
        Epochs done.
    seed : int
        For the order of the rows, and dropout.
    numbers : dict of str to ndarray of float64
        How far optimizer, schedules and criteria are.
    vectors : dict of str to ndarray, shape (P,)
        Parameters, moments, averages, in the order of `Network.parameters`.

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
    """What happened during a fit.

    Attributes
    ----------
    loss : ndarray of float64, shape (epochs,)
        The training cost of each epoch: the mean of its batches' costs, each weighted by its rows' weights and taken
        before its step. With the whole data set as batch, the cost before the step.
    validation : ndarray of float64, shape (epochs,), or None
        The cost of the validation data after each epoch, without the penalty.
    metrics : dict of str to ndarray of float64, shape (epochs,)
        The metrics of the validation data after each epoch.
    learning_rate : ndarray of float64, shape (epochs,)
        That of the last step of each epoch.
    epochs : int
        How many epochs were run.
    best_epoch : int
        The one, from 1, that was best by what `Stop.no_improvement` watches; 0 if none was better than before a resume.
    stop_reason : str
        "epochs" when all were run, a field of `Stop`, "converged", "stalled" or "max_evaluations" (`LBFGS`), or
        "callback"; "diverged" or "interrupted" in the history that comes with an exception.
    seconds : float
        Wall-clock time.
    state : TrainingState or None
        To resume from, where it was asked for by ``keep_state`` or the fit was itself resumed.
    watched : str
        What decided in the end which epoch is the best: the name of the first metric, "validation" for the validation
        cost, or "loss" for the training cost.
    skipped_updates : int
        Batches that were not applied: see ``skip_updates_above`` of `Network.fit`.

    Notes
    -----
    A network has learnt something if its cost, best of held-out data, is below that of the best constant prediction,
    such as ``y.var(axis=0).sum() / 2`` for "squared_error" and the entropy of the classes' shares for a cross-entropy.
    If it is not, scale the columns of X, and y, to a spread of about 1.

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
        """Make one of what the core returns, and the names of its metrics."""
        state = result.get("state")
        named = dict(zip(metrics, result["metrics"], strict=True))
        watched = metrics[0] if result["watched"] == "metric" else result["watched"]
        state = None if state is None else TrainingState(**state)
        return cls(**{**result, "metrics": named, "state": state, "watched": watched})

    def warn_if_unwatched(self, first_epoch: int, y: Any) -> None:
        """Warn where the first metric could not be watched; first_epoch is the number of the history's first epoch.

        Not where the targets y, too, are all equal: then there is nothing to learn, and nothing to choose between.
        """
        for name, values in list(self.metrics.items())[:1]:
            unwatched = np.flatnonzero(~np.isfinite(values))
            undefined = _core.METRICS[name].undefined if name in _core.METRICS else ""
            if len(unwatched) and not (undefined and bool((np.asarray(y) == np.asarray(y)[:1]).all())):
                first, why = unwatched[0], f" (it is not defined where {undefined})" if undefined else ""
                warn(
                    f"the metric {name} is {values[first]:g} in epoch {first_epoch + first}{why}; "
                    "the validation cost decides instead which epoch is the best and when to stop, as if it had from "
                    "the first epoch: hold out other rows, or watch another metric"
                )

    def plot(self, path_or_axes: "str | os.PathLike[str] | Any" = None) -> Any:
        """Draw the learning curve, with a thin line at the best epoch by validation. Needs the extra ``plot``.

        Parameters
        ----------
        path_or_axes : str or path or matplotlib Axes, optional
            A file to write (its suffix decides the format), or axes to draw on. Default: axes of a new pyplot figure.

        Returns
        -------
        matplotlib.axes.Axes
            The axes drawn on.

        Raises
        ------
        ImportError
            Without matplotlib; the message holds the command that installs it.

        Examples
        --------
        >>> import chainrule as cr
        >>> history = cr.Network([1, 1], loss="squared_error", seed=0).fit([[-1.0], [1.0]], [-1.0, 1.0], epochs=3)
        >>> axes = history.plot("learning_curve.png")  # doctest: +SKIP
        """
        from chainrule.plots import learning_curves

        return learning_curves(self, path_or_axes)


class Callbacks:
    """Calls all callbacks: functions after each epoch, objects at each event that they have a method for."""

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
        """Call the hooks of the beginning."""
        for hook in self._begin:
            hook(network)

    def epoch_end(self, metrics: Sequence[str]) -> Callable[[dict[str, Any], Callable[[], Any]], bool] | None:
        """Return a function for the core, which calls the hooks of an epoch and returns whether one wants to stop."""

        def call_hooks(core_logs: dict[str, Any], snapshot: Callable[[], Any]) -> bool:
            values = dict(zip(metrics, core_logs.pop("metrics").tolist(), strict=True))
            return self.stop({**core_logs, **values, "snapshot": lambda: TrainingState(**snapshot())})

        return call_hooks if self._epoch else None

    def stop(self, logs: dict[str, Any]) -> bool:
        """Call the hooks of an epoch, and return whether one of them wants to stop."""
        answers = [hook(logs) for hook in self._epoch]  # all of them, also after one that wants to stop
        return any(isinstance(answer, (bool, np.bool_)) and answer for answer in answers)

    def train_end(self, history: History) -> None:
        """Call the hooks of the end."""
        for hook in self._end:
            hook(history)


class FitSettings(_Keywords[PerNetwork], total=False):
    """The settings of a fit, in the order in which they are documented."""

    optimizer: Optimizer | PerNetwork | None
    batch_size: int | PerNetwork | None
    epochs: int | PerNetwork
    shuffle: bool | PerNetwork
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
    precision: str | PerNetwork
    stop: Stop | PerNetwork | None
    loss: CustomLoss | PerNetwork | None
    validation: Any
    metrics: Any
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
        "(X, y), (X, y, sample_weight) or float",
        None,
        "",
        "Held-out data, whose cost is recorded after each epoch; or the fraction of the rows to hold out, chosen by "
        "the seed, for a cross-entropy the same share of every class.",
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
        "Go on with that training: the same bits as if it had not been interrupted, given the same data and settings.",
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
    """One rate for all hidden layers, or one for each."""
    if isinstance(value, Iterable) and not isinstance(value, str):
        return [real(f"dropout[{i}]", rate) for i, rate in enumerate(value)]
    return [real("dropout", value)]


def _stop(value: Any) -> Stop:
    if not isinstance(value, Stop):
        raise TypeError(f"stop must be an instance such as Stop(no_improvement=10), got {value!r}")
    return value


# Settings whose type says less than what they may be.
_CHECKED: Mapping[str, Callable[[Any], Any]] = {
    "optimizer": _optimizer,
    "batch_size": lambda value: integer("batch_size", value, high=2**63 - 1),
    "groups": _groups,
    "dropout": _dropout,
    "schedules": schedules_by_name,
    "precision": lambda value: one_of("precision", value, _core.PRECISIONS),
    "stop": _stop,
}


def _core_settings(given: Mapping[str, Any]) -> dict[str, Any]:
    """Return the settings that the core knows, type-checked. A None that means the default is left out."""
    settings = {}
    for name in given.keys() & SETTINGS["fit"].keys():
        setting, value = SETTINGS["fit"][name], given[name]
        if value is not None or setting.default is not None:
            settings[name] = _CHECKED.get(name, setting.checked)(value)
    return settings


class FitRequest:
    """A fit of one network in the core's terms; its history comes back by `end`.

    Attributes
    ----------
    core : dict
        What the core's ``fit`` takes.
    """

    def __init__(
        self,
        network: Any,
        y: Any,
        sample_weight: Any,
        given: Mapping[str, Any],
        rows: NDArray[np.intp] | None = None,
        validation_rows: NDArray[np.intp] | None = None,
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
            "rows": held.rows,
            "validation": held.data,
            "validation_rows": held.validation_rows,
            "on_epoch_end": self._callbacks.epoch_end(self._names),
            "state": None if resume is None else resume.as_core(),
            "keep_state": flag("keep_state", own["keep_state"]) or self._callbacks.wants_state,
        }

    def begin(self) -> None:
        """Tell the callbacks that the fit begins."""
        self._callbacks.train_begin(self._network)

    def end(self, result: dict[str, Any]) -> History:
        """Return the history of what the core returned, and tell the callbacks."""
        history = History.from_core(result, self._names)
        self._callbacks.train_end(history)
        history.warn_if_unwatched(self._epochs_before + 1, self._y)
        return history

    def fail(self, error: BaseException) -> None:
        """Make the core's record of an ended fit, where the error has one, a history."""
        if done := vars(error).get("history"):
            reason = "diverged" if isinstance(error, DivergenceError) else "interrupted"
            vars(error)["history"] = History.from_core({**done, "stop_reason": reason}, self._names)


def _of_one(hint: Any) -> Any:
    """Return the type of a setting of one network."""
    kinds = tuple(kind for kind in get_args(hint) if kind is not PerNetwork)
    return functools.reduce(operator.or_, kinds) if PerNetwork in get_args(hint) else hint


def with_settings(function: Function) -> Function:
    """Add the settings of a fit to the signature and the docstring of a function that takes them as keywords."""
    signature = inspect.signature(function)
    own = [parameter for parameter in signature.parameters.values() if parameter.kind is not parameter.VAR_KEYWORD]
    by_name = [parameter for parameter in own if parameter.kind is parameter.KEYWORD_ONLY]
    settings = [
        inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=setting.default, annotation=_of_one(hint))
        for (name, setting), hint in zip(FIT_SETTINGS.items(), FitSettings.__annotations__.values(), strict=True)
    ]
    first = len(own) - len(by_name)
    vars(function)["__signature__"] = signature.replace(parameters=[*own[:first], *settings, *by_name])
    if function.__doc__ is not None:  # as with python -OO
        place = re.search(r"^( *)\{settings\}$", function.__doc__, re.MULTILINE)
        entries = (setting.documented(setting.default) for setting in FIT_SETTINGS.values())
        levels = len(place[1]) // 4 if place else 0
        function.__doc__ = function.__doc__.replace("{settings}", indented(entries, levels))
    return function
