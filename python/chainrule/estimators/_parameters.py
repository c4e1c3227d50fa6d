"""Checks the values of the constructor's parameters; the errors are worded as in scikit-learn."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from numbers import Integral, Real
from typing import Any

import numpy as np

from chainrule import _core
from chainrule._arguments import DTYPES
from chainrule._suggest import did_you_mean, instances
from chainrule.encoder import TableEncoder
from chainrule.estimators import _sklearn
from chainrule.losses import ParametricLoss
from chainrule.optimizers import Optimizer
from chainrule.schedules import Schedule
from chainrule.training import WithinParts

_METRICS = ("loss", *_core.METRICS)


class InvalidParameterError(ValueError, TypeError):
    """Raised if a parameter of the constructor has a value of the wrong type or out of range."""


@dataclass(frozen=True)
class Rule:
    """A rule for a value: a description, a test, and the names to suggest for an unknown name."""

    words: str
    holds: Callable[[Any], bool]
    names: Sequence[str] = ()

    def __or__(self, other: "Rule") -> "Rule":
        words, names = f"{self.words} or {other.words}", (*self.names, *other.names)
        return Rule(words, lambda value: self.holds(value) or other.holds(value), names)

    def suggestion(self, value: Any) -> str:
        """Return a suggestion for the first unknown name in a value, or an empty string."""
        values = value if isinstance(value, (list, tuple)) else [value]
        hints = (did_you_mean(name, self.names, sentence=True) for name in values if name not in self.names)
        return next(filter(None, hints), "")


def _number(kind: type, low: float, high: float = np.inf, closed: str = "left") -> Rule:
    left, right = "[" if closed in ("left", "both") else "(", "]" if closed in ("right", "both") else ")"

    def holds(value: Any) -> bool:
        if not isinstance(value, kind):
            return False
        number: Any = value
        above = number >= low if left == "[" else number > low
        return bool(above and (number <= high if right == "]" else number < high))

    return Rule(f"{'an int' if kind is Integral else 'a float'} in the range {left}{low}, {high}{right}", holds)


def _one_of(*options: str) -> Rule:
    names = ", ".join(map(repr, sorted(options)))
    return Rule(f"a str among {{{names}}}", lambda value: isinstance(value, str) and value in options, options)


def _is_sequence(value: Any) -> bool:
    if isinstance(value, (str, Mapping)) or getattr(value, "ndim", 1) == 0:
        return False
    return hasattr(value, "__len__") or hasattr(value, "__array__")


def _are_activations(value: Any) -> bool:
    return isinstance(value, (list, tuple)) and all(
        isinstance(name, str) and name in _core.ACTIVATIONS for name in value
    )


def _is_loss(value: Any) -> bool:
    return isinstance(value, (str, ParametricLoss))


def _is_random_state(value: Any) -> bool:
    if isinstance(value, Integral):
        return 0 <= int(value) < 2**32
    return value is None or value is np.random or isinstance(value, np.random.RandomState)


CALLABLE = Rule("a callable", callable)
FLAG = Rule("an instance of 'bool' or an instance of 'numpy.bool'", lambda value: isinstance(value, (bool, np.bool_)))
COUNT = _number(Integral, 1)
NOT_NEGATIVE, POSITIVE = _number(Real, 0.0), _number(Real, 0.0, closed="neither")
FRACTION = _number(Real, 0.0, 1.0)
NONE = Rule("None", lambda value: value is None)

# The optimizer, the network or its fit check the parameters that are not listed here.
RULES = {
    "hidden_layer_sizes": Rule("an array-like", _is_sequence) | COUNT,
    "activation": _one_of(*_core.ACTIVATIONS) | Rule("a list of them, one for each hidden layer", _are_activations),
    "solver": _one_of("adam", "lbfgs", "sgd")
    | Rule("an optimizer such as chainrule.AdamW()", lambda value: isinstance(value, Optimizer), instances(Optimizer)),
    "alpha": NOT_NEGATIVE,
    "batch_size": _one_of("auto") | COUNT,
    "learning_rate": _one_of("constant", "invscaling", "adaptive")
    | Rule(
        "a schedule such as chainrule.Cosine()", lambda value: not isinstance(value, (str, Real)), instances(Schedule)
    ),
    "learning_rate_init": POSITIVE,
    "power_t": NOT_NEGATIVE,
    "max_iter": COUNT,
    "shuffle": Rule(FLAG.words, lambda value: FLAG.holds(value) or isinstance(value, WithinParts)),
    "random_state": Rule(
        "an int in the range [0, 4294967295], an instance of 'numpy.random.mtrand.RandomState' or None",
        _is_random_state,
    ),
    "tol": NOT_NEGATIVE,
    "verbose": Rule(
        "an int in the range [0, inf), an instance of 'bool' or an instance of 'numpy.bool'",
        lambda value: FLAG.holds(value) or _number(Integral, 0).holds(value),
    ),
    "warm_start": FLAG,
    "momentum": _number(Real, 0.0, 1.0, "both"),
    "nesterovs_momentum": FLAG,
    "early_stopping": FLAG,
    "validation_fraction": FRACTION,
    "beta_1": FRACTION,
    "beta_2": FRACTION,
    "epsilon": POSITIVE,
    "n_iter_no_change": COUNT | Rule("a float among {inf}", lambda value: isinstance(value, Real) and value == np.inf),
    "max_fun": COUNT,
    "stratify": FLAG | NONE,
    "time_limit": POSITIVE | NONE,
    "preprocess": _one_of("auto") | FLAG | Rule("a TableEncoder", lambda value: isinstance(value, TableEncoder)),
    "effort": _one_of("fast", "accurate"),
    "encoder": Rule("a TableEncoder or None", lambda value: value is None or isinstance(value, TableEncoder)),
    "callbacks": Rule("an iterable of callbacks, such as [print]", lambda value: isinstance(value, Iterable)),
    "loss": Rule("the name of a loss, a loss such as chainrule.Huber()", _is_loss) | CALLABLE,
    "dtype": Rule("'float32', 'float64' or None", lambda value: value is None or _names_float(value), DTYPES),
    "eval_metric": Rule(
        "'loss', a metric's name, a callable, None, or a list of these; 'loss' must not come first in a longer list",
        lambda value: value is None or _is_metric(value),
        _METRICS,
    ),
}


def _names_float(value: Any) -> bool:
    try:
        return np.dtype(value).name in DTYPES
    except TypeError:
        return False


def _is_metric(value: Any) -> bool:
    names = value if isinstance(value, (list, tuple)) else [value]
    known = all(callable(name) or (isinstance(name, str) and name in _METRICS) for name in names)
    return bool(names) and known and (len(names) == 1 or names[0] != "loss")


def check_parameters(estimator: Any) -> None:
    """Raise InvalidParameterError if a parameter of an estimator has an invalid value."""
    if _sklearn.config.get_config()["skip_parameter_validation"]:
        return
    names = estimator._get_param_names()
    for name, rule in RULES.items():
        if name in names and not rule.holds(value := getattr(estimator, name)):
            raise InvalidParameterError(
                f"The {name!r} parameter of {type(estimator).__name__} must be {rule.words}. Got {value!r} instead."
                + rule.suggestion(value)
            )
    if "hidden_layer_sizes" in names:
        _check_sizes(estimator.hidden_layer_sizes)
    for name, value in estimator.get_params(deep=False).items():
        if isinstance(value, Iterator):
            raise InvalidParameterError(
                f"The {name!r} parameter of {type(estimator).__name__} is an iterator, which the first fit would use "
                f"up: choose {name}=list(...). Got {value!r}."
            )


def _check_sizes(hidden_layer_sizes: Any) -> None:
    """Raise InvalidParameterError if the sizes of the hidden layers are not integers above 0."""
    sizes = [hidden_layer_sizes] if isinstance(hidden_layer_sizes, Integral) else list(hidden_layer_sizes)
    for i, size in enumerate(sizes):
        if not isinstance(size, Integral):
            raise InvalidParameterError(f"hidden_layer_sizes[{i}] must be an int above 0, got {size!r}")
    if min(sizes, default=1) <= 0:
        raise ValueError(f"hidden_layer_sizes must be > 0, got {sizes}.")
