"""Suggestions for unknown names: other libraries' names for the same thing, and similar spelling.

`explained` suggests names of arguments.
"""

import contextlib
import difflib
import functools
import inspect
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from itertools import islice
from types import FunctionType
from typing import Any, TypeVar

from chainrule import _core

Thing = TypeVar("Thing", bound=Callable[..., Any])

_NAMES = {"loss": _core.LOSSES}  # arguments without a default, and the names to choose from
_SHOWN = 10  # number of names to show of a list that is more than twice as long

# Names in other libraries (in lower case, without punctuation) and the names of the same thing here. If several names
# are possible, the likeliest comes first. Only valid options are suggested.
_ELSEWHERE: dict[str, tuple[str, ...]] = {
    word: tuple(names.split())
    for words, names in {
        # activations
        "sigmoid": "logistic",
        "swish": "silu",
        "linear none": "identity",
        "lrelu rectifier relu6": "leaky_relu relu",
        "sine": "sin",
        # losses and metrics
        "mse meansquarederror mseloss l2loss squaredloss regsquarederror regression negmeansquarederror":
            "squared_error rmse",
        "l2": "squared_error rmse alpha",
        "rootmeansquarederror negrootmeansquarederror rmseloss": "rmse squared_error",
        "mae meanabsoluteerror maeloss l1 l1loss regabsoluteerror regressionl1 negmeanabsoluteerror absoluteerror":
            "absolute_error mae",
        "bce bceloss bcewithlogits bcewithlogitsloss binarycrossentropy binarycrossentropywithlogits binary "
        "binarylogistic binarylogloss": "binary_cross_entropy log_loss",
        "ce crossentropy crossentropyloss categoricalcrossentropy sparsecategoricalcrossentropy nll nllloss multiclass "
        "multisoftmax multisoftprob multilogloss mlogloss softmaxcrossentropy": "softmax_cross_entropy log_loss",
        "logloss neglogloss": "log_loss binary_cross_entropy",
        "huberloss smoothl1 smoothl1loss pseudohuber pseudohubererror regpseudohubererror": "huber",
        "pinball pinballloss quantileloss quantileerror regquantileerror": "quantile",
        "poissonnll poissonnllloss countpoisson poissonloss": "poisson",
        "acc accuracyscore binaryaccuracy categoricalaccuracy": "accuracy",
        "balancedacc balancedaccuracyscore": "balanced_accuracy",
        "rocauc auroc aucroc rocaucscore rocaucovr": "auc",
        "r2score rsquared": "r2",
        # initial weights
        "xavier xavieruniform glorot": "glorot_uniform",
        "xaviernormal": "glorot_normal",
        "kaiming kaiminguniform he": "he_uniform",
        "kaimingnormal": "he_normal",
        "lecun": "lecun_uniform",
        # types, precision, instruction sets
        "float single f32 fp32 torchfloat32": "float32",
        "double f64 fp64 torchfloat64": "float64",
        "bfloat16 torchbfloat16 half float16 fp16 f16 mixed amp": "bf16",
        # solvers
        "lbfgsb": "lbfgs",
        "gd gradientdescent momentum": "sgd",
        # optimizers and schedules
        "cosineannealing cosineannealinglr cosinedecay cosineannealingwarmrestarts": "Cosine()",
        "step steplr": "StepDecay()",
        "exponential exponentiallr": "ExponentialDecay()",
        "inversetimedecay invscaling": "InverseScaling()",
        "onecyclelr": "OneCycle()",
        "adaptive plateau reducelronplateau": "ReduceOnPlateau()",
        # arguments
        "lr eta stepsize learningrateinit": "learning_rate_init learning_rate every optimizer",
        "learningrate": "optimizer",
        "weightdecay": "l2",
        "verbose": "callbacks",
        "data features inputs xtrain": "X",
        "target targets labels ytrain": "y",
        "patience earlystoppingrounds earlystoppingpatience": "no_improvement n_iter_no_change",
        "niternochange": "no_improvement patience",
        "earlystopping": "stop early_stopping",
        "validationdata valdata validationset valset val evalset evalsets": "validation eval_set",
        "validation": "eval_set validation_fraction",
        "useema averagedmodel emadecay": "ema",
        "autocast mixedprecision": "precision",
        "validationsplit validationfraction valsplit": "validation_fraction validation",
        "epochs nepochs numepochs maxepochs nepoch epoch niter iterations nestimators numboostround":
            "epochs max_iter",
        "maxiter": "max_iter epochs",
        "batch minibatch minibatchsize": "batch_size",
        "hidden hiddenlayers hiddenunits hiddensizes hiddensize layers layersizes units":
            "hidden_layer_sizes layer_sizes",
        "hiddenlayersizes sizes": "layer_sizes",
        "weight weights sampleweights": "sample_weight",
        "l2reg l2penalty reglambda lambdal2 lambda lambd": "l2 alpha",
        "alpha": "l2 levels",
        "decay": "weight_decay factor",
        "optimizer optim opt algorithm": "optimizer solver",
        "solver": "optimizer",
        "criterion lossfn lossfunction objective": "loss",
        "act activationfunction activationfunctions nonlinearity": "activation",
        "metric evalmetric evalmetrics metrics scoring": "metrics eval_metric",
        "dropoutrate dropoutp pdropout": "dropout",
        "betas": "beta1 beta_1",
        "eps": "epsilon",
        "clipnorm globalclipnorm gradclip gradclipnorm gradientclipping clipgradients clipgradnorm maxnorm maxgradnorm":
            "clip_norm",
        "clipgradvalue gradclipvalue": "clip_value",
        "scheduler schedule schedules lrscheduler lrschedule": "schedules learning_rate",
        "kernelinitializer initializer weightinit initialization": "init",
        "randomstate randomseed manualseed": "seed",
        "seed": "random_state",
        "njobs nthread nthreads numthreads threads workers nworkers": "n_threads threads",
        "nesterovsmomentum": "nesterov",
        "tol": "min_delta",
        "mindelta threshold": "tol min_delta",
        "timeout maxseconds timelimit maxtime": "seconds time_limit",
        "initialaccumulatorvalue": "initial_accumulator",
        "lrdecay": "learning_rate_decay",
        "rho": "alpha",
        "historysize memory maxcor": "history",
        "maxeval maxfun": "max_evaluations",
        "tolerancegrad gtol": "tolerance_gradient gradient_norm_below",
        "ftol": "tolerance_change",
        "gamma decayrate": "factor",
        "tmax totalsteps": "epochs",
        "etamin minlr alphamin": "lowest",
        "t0": "restart_every",
        "tmult": "period_factor",
        "pctstart warmupepochs warmupsteps": "warmup",
        "beta": "delta",
        # encoding of tables
        "maxcategories maxcardinality": "max_levels",
        "categories categorical catfeatures categoricalfeature categoricalcolumns catcols": "categorical_features",
        "dayfirst yearfirst dateformat": "date_order",
        "quantiles q tau alphas": "levels",
    }.items()
    for word in words.split()
}  # fmt: skip


def _plain(name: str) -> str:
    """Return the letters and digits of a name in lower case."""
    return "".join(filter(str.isalnum, name.lower()))


def closest(value: Any, options: Iterable[str]) -> str | None:
    """Return the option that a value probably stands for (other punctuation, another library's name, a typo), or None.

    Examples
    --------
    >>> from chainrule._suggest import closest
    >>> closest("sigmoid", ["relu", "logistic"]), closest("Leaky-ReLU", ["relu", "leaky_relu"])
    ('logistic', 'leaky_relu')
    >>> closest("recieved", ["received", "sent"]), closest("cosine", ["relu"])
    ('received', None)
    """
    by_plain = {_plain(name): name for name in reversed([*options])}  # of two names with the same key, the first wins
    if not isinstance(value, (str, int, float)):  # such as torch.nn.ReLU or an instance of it
        value = getattr(value, "__name__", type(value).__name__)
    plain = _plain(str(value)[:100])
    if plain in by_plain:
        return by_plain[plain]
    for name in map(_plain, _ELSEWHERE.get(plain, ())):
        if name in by_plain:
            return by_plain[name]
    found = difflib.get_close_matches(plain, by_plain, n=1, cutoff=0.75)
    return by_plain[found[0]] if found else None


def did_you_mean(value: Any, options: Iterable[str], *, sentence: bool = False) -> str:
    """Return ``", did you mean 'logistic'?"``, to follow a clause about an unknown name, or an empty string.

    Options that end with ``()``, such as those of `instances`, are shown without quotes.

    Examples
    --------
    >>> from chainrule._suggest import did_you_mean
    >>> "no column 'Age'" + did_you_mean("Age", ["age", "home"])
    "no column 'Age', did you mean 'age'?"
    """
    name = closest(value, options)
    if name is None:
        return ""
    return f"{' D' if sentence else ', d'}id you mean {name if name.endswith('()') else repr(name)}?"


def instances(base: type[Any]) -> list[str]:
    """Return the calls that make an instance of each subclass in the same module.

    Examples
    --------
    >>> from chainrule._suggest import instances
    >>> from chainrule.optimizers import Adam
    >>> instances(Adam)
    ['AdamW()']
    """
    kinds = [kind for kind in base.__subclasses__() if kind.__module__ == base.__module__]
    return [name for kind in kinds for name in (f"{kind.__name__}()", *instances(kind))]


def listed(options: Collection[str]) -> str:
    """Join names by commas. A long list is cut after its first names, followed by the number of the others.

    Examples
    --------
    >>> from chainrule._suggest import listed
    >>> listed(["adam", "sgd"])
    'adam, sgd'
    >>> listed([f"x{i}" for i in range(5000)])
    'x0, x1, x2, x3, x4, x5, x6, x7, x8, x9 and 4,990 more'
    """
    if len(options) <= 2 * _SHOWN:
        return ", ".join(options)
    return f"{', '.join(islice(options, _SHOWN))} and {len(options) - _SHOWN:,} more"


def unknown(what: str, value: Any, options: Collection[str]) -> str:
    """Return the message for a name that is not among the options.

    Parameters
    ----------
    what : str
        The kind of thing that the name stands for, such as "activation".
    value : str
        The unknown name.
    options : sequence of str
        All valid names.

    Examples
    --------
    >>> from chainrule._suggest import unknown
    >>> unknown("solver", "SGD", ["adam", "sgd"])
    "solver 'SGD' is unknown, did you mean 'sgd'? Expected one of adam, sgd"
    >>> unknown("solver", "newton", ["adam", "sgd"])
    "solver 'newton' is unknown, expected one of adam, sgd"
    """
    shown = value[:100] if isinstance(value, str) else value
    hint = did_you_mean(value, options)
    expected = f"{hint} Expected" if hint else ", expected"
    return f"{what} {shown!r} is unknown{expected} one of {listed(options)}"


def explained(thing: Thing) -> Thing:
    """Make a function, or the public methods of a class, suggest a name for an unknown argument.

    The signature does not change. A correct call takes about 0.3 µs longer.

    Examples
    --------
    >>> from chainrule._suggest import explained
    >>> @explained
    ... def train(X, *, learning_rate=0.1):
    ...     pass
    >>> train([], lr=1.0)
    Traceback (most recent call last):
    TypeError: train has no argument 'lr', did you mean 'learning_rate'?
    """
    if not isinstance(thing, type):
        function: Thing = _explained(thing)
        return function
    for name, member in list(vars(thing).items()):
        is_public = name == "__init__" or not name.startswith("_")
        if isinstance(member, FunctionType) and is_public and not hasattr(member, "skip_explaining"):
            setattr(thing, name, _explained(member))
    return thing


def quick(method: Thing) -> Thing:
    """Exclude a method from `explained` because it takes only a few µs; Python reports its wrong arguments."""
    vars(method)["skip_explaining"] = True
    return method


def _explained(function: Any) -> Any:
    @functools.wraps(function)
    def call(*args: Any, **kwargs: Any) -> Any:
        try:
            return function(*args, **kwargs)
        except TypeError:
            message = _explain(function, args, kwargs)
            if message is None:  # the arguments fit: the error was raised inside the function
                raise
        raise TypeError(message)

    return call


def _explain(function: Any, args: Sequence[Any], kwargs: Mapping[str, Any]) -> str | None:
    """Return the message for arguments that do not fit the signature, or None if they do."""
    signature = inspect.signature(function)
    with contextlib.suppress(TypeError):
        signature.bind(*args, **kwargs)
        return None
    is_method = "self" in signature.parameters and bool(args)
    parts = [type(args[0]).__name__] if is_method else []  # the class of the object, not that of the method
    called = ".".join([*parts, function.__name__]).removesuffix(".__init__")
    parameters, given = list(signature.parameters.values())[is_method:], args[is_method:]
    if unknown_names := [name for name in kwargs if name not in signature.parameters]:
        name = unknown_names[0]
        free = [parameter.name for parameter in parameters[len(given) :] if parameter.name not in kwargs]
        hint = did_you_mean(name, free) or f"; its arguments are {listed([p.name for p in parameters])}"
        return f"{called} has no argument {name!r}{hint}"
    by_name = [parameter.name for parameter in parameters if parameter.kind is parameter.KEYWORD_ONLY]
    if len(given) > len(parameters) - len(by_name):
        count = len(parameters) - len(by_name)
        rest = f"; by name: {listed([f'{name}=' for name in by_name])}" if by_name else ""
        return f"{called} takes {count or 'no'} argument{'s' * (count != 1)} by position, got {len(given)}{rest}"
    for parameter in parameters[: len(given)]:
        if parameter.name in kwargs:
            return f"{called} got {parameter.name} twice, by position and by name"
    for parameter in parameters[len(given) :]:
        if parameter.default is parameter.empty and parameter.name not in kwargs:
            choices = f", one of {listed(_NAMES[parameter.name])}" if parameter.name in _NAMES else ""
            return f"{called} needs {parameter.name}{'=' * (parameter.name in by_name)}{choices}"
    return None
