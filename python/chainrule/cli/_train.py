"""Makes a model from a table: splits the rows, trains an estimator with early stopping, scores it, and saves it."""

import dataclasses
import os
import shlex
import sys
import warnings
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

import chainrule as cr
from chainrule import _optional
from chainrule.cli import _scores
from chainrule.cli._console import Console, complain, warn
from chainrule.cli._methods import Method, TableRecipe
from chainrule.cli._model import LOSSES, describe, describe_columns, describe_target, save, with_formats
from chainrule.cli._output import check_model_output, check_output, check_space, is_standard_output, write_by
from chainrule.cli._rows import (
    Part,
    TargetEncoder,
    explain_task,
    find_suspects,
    known_classes,
    make_part,
    split_rows,
    with_target,
)
from chainrule.cli._signals import delayed_signals
from chainrule.cli._tables import Table, check_columns
from chainrule.plots import learning_curves

if TYPE_CHECKING:
    import pandas as pd

_Say: TypeAlias = Callable[[str, str], None]

TEST_SIZE = 0.2
MIN_ROWS = 10


@dataclasses.dataclass(frozen=True, kw_only=True)
class Settings:
    """The settings of `train` and `demo`."""

    output: str
    plot: str | None = None
    method: Method = dataclasses.field(default_factory=TableRecipe)
    loss: str | None = None
    time_limit: float | None = None
    test: str | None = None
    test_size: float | None = None
    task: str | None = None
    class_weight: str | None = None
    weight: str | None = None
    ignore: Sequence[str] = ()
    categorical: Sequence[str] = ()
    seed: int = 0
    threads: int | None = None
    quiet: bool = False


def check_outputs(settings: Settings, *tables: str | None) -> None:
    """Raise before training if its results cannot be written or would replace a table."""
    if settings.plot is not None:
        known = _optional.require("matplotlib.figure", "plot").Figure().canvas.get_supported_filetypes()
        extension = os.path.splitext(settings.plot)[1][1:].lower()
        if extension not in known:
            raise ValueError(f"cannot draw {settings.plot}: its name should end in one of {', '.join(sorted(known))}")
        check_output(settings.plot, settings.output, *tables)
    check_model_output(settings.output, *tables)


def train_table(read: Table, name: str, settings: Settings, test: "pd.DataFrame | None" = None) -> int:
    """Train a model to predict a column of a table, report its scores and save it; return the exit code."""
    console = Console(_stream(settings))
    say = console.say
    table = read.frame
    _check_names(table, name, settings)
    say("table", f"{len(table)} rows, {table.shape[1]} columns{read.unusual}")
    table = with_target(table, name, name in settings.categorical, say)
    if len(table) < MIN_ROWS:
        raise ValueError(f"the table has {len(table)} rows with a target, at least {MIN_ROWS} are needed")
    target = _fit_target(table[name], settings, say)
    regression = target.task == "regression"
    options = (target, settings.ignore, [*settings.categorical, *read.levels], settings.weight)
    rows = make_part(table, *options)
    size = (TEST_SIZE if settings.test_size is None else settings.test_size) if test is None else None
    train, validation, of_test = split_rows(rows.y, not regression, size, settings.seed)
    known = np.sort(np.concatenate([train, validation]))  # file order: the estimator gives the same fit
    used = {"train": known} if settings.method.holds_out else {"train": train, "validate": validation}
    if test is None:
        tested = rows.take(of_test)
    else:
        check_columns(test, [name, *([] if settings.weight is None else [settings.weight])], settings.test)
        test = with_target(test, name, name in settings.categorical, say, f" of {settings.test}")
        test = known_classes(test, target, str(settings.test))
        if not len(test):
            raise ValueError(f"{settings.test} has no row whose target is known")
        tested = make_part(test, *options)
    parts = {purpose: rows.take(numbers) for purpose, numbers in used.items()}
    for purpose, part in {**parts, "test": tested}.items():
        if part.weight is not None and not part.weight.any():
            raise ValueError(f"the weights of the {len(part)} rows to {purpose} with are all 0")
    others = rows.take(known)
    mean_weight = 1.0 if others.weight is None else float(others.weight.mean())
    estimator = _make_estimator(target, len(parts["train"]), settings)
    counts = [*map(len, parts.values()), len(tested)]
    callbacks: list[Any] = [_ReportStart(estimator, rows.X, counts, regression, settings, say)]
    if not settings.quiet and _is_terminal(sys.stderr):
        n_outputs = max(1, len(target.labels))
        callbacks.append(cr.ProgressBar(settings.method.count_epochs(regression, len(parts["train"]), n_outputs)))
    estimator.set_params(callbacks=callbacks)
    history = _fit(estimator, *(part.divide_weights(mean_weight) for part in parts.values()))
    with delayed_signals():
        encoder = estimator.encoder_
        encoder.encoding_ = with_formats(encoder.encoding_, read.formats)
        _test_and_save(estimator, target, others, tested, settings, read, say)
    if history.stop_reason == "interrupted":
        raise KeyboardInterrupt
    if console.failure is not None:
        failure = f"{console.failure.filename}: {console.failure.strerror}"
        complain(f"{failure}; the model is saved in {settings.output}")
        return 1
    return 0


def _test_and_save(
    estimator: Any, target: TargetEncoder, others: Part, tested: Part, settings: Settings, read: Table, say: _Say
) -> None:
    """Report the result of training, test the estimator, and save it."""
    history: cr.History = estimator.history_
    say("stopped", settings.method.explain_end(history))
    if hint := settings.method.advise(history):
        say("", hint)
    if settings.method.holds_out:
        say("network", describe(estimator.network_))  # the trained networks merged into one
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # about levels that occur only in the test part
        scores, constant = _score(estimator, target, tested, others)
    say("test", scores)
    if constant:
        say("", constant)
    write_by(lambda path: save(estimator, path, target.name, read), settings.output)
    say("model", "standard output" if is_standard_output(settings.output) else settings.output)
    if settings.plot is not None:
        learning_curves(history, settings.plot, unit=settings.method.unit)
        say("curve", settings.plot)


def _stream(settings: Settings) -> str | None:
    """Return the stream for the report."""
    if settings.quiet:
        return None
    return "stderr" if is_standard_output(settings.output) else "stdout"


def _is_terminal(stream: Any) -> bool:
    return stream is not None and stream.isatty()


def _check_names(table: "pd.DataFrame", name: str, settings: Settings) -> None:
    """Raise ValueError for columns that do not exist or are named for two purposes."""
    weight = [] if settings.weight is None else [settings.weight]
    check_columns(table, [name, *settings.ignore, *settings.categorical, *weight])
    for option, names in {"--ignore": settings.ignore, "--weight": weight}.items():
        if name in names:
            raise ValueError(f"column {name!r} cannot be given to both {option} and --target")
    if (twin := f"{name} (2)") in table.columns and twin not in settings.ignore:
        raise ValueError(f"the table has column {name!r} twice: leave the other out with --ignore {shlex.quote(twin)}")
    if set(weight) & {*settings.ignore, *settings.categorical}:
        raise ValueError(
            f"--weight already excludes column {settings.weight!r} from the features: do not also name it in "
            "--ignore or --categorical"
        )


def _fit_target(target: "pd.Series", settings: Settings, say: _Say) -> TargetEncoder:
    """Learn the target, and print whether it is classes or a number, and why."""
    named = target.name in settings.categorical
    encoder = TargetEncoder(settings.task or ("classification" if named else None)).fit(target)
    say("target", describe_target(encoder.name, encoder.labels, encoder.standardizer))
    if settings.task is None and not named:
        say("", explain_task(target, str(encoder.task)))
    if settings.loss is not None and encoder.task == "classification":
        raise ValueError("--loss is for numbers: classes are trained with the cross-entropy")
    if settings.class_weight is not None and encoder.task == "regression":
        raise ValueError(f"--class-weight is for classes, the target {encoder.name!r} is a number")
    return encoder


def _fit(estimator: Any, train: Part, validation: Part | None = None) -> "cr.History":
    """Train; raise DivergenceError if the cost became NaN or infinite."""
    names = ("X_val", "y_val", "sample_weight_val")
    held_out = {} if validation is None else dict(zip(names, validation.as_tuple(), strict=False))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the reason is reported later
        try:
            estimator.fit(*train.as_tuple(), **held_out)
        except ValueError as error:
            if isinstance(error.__cause__, cr.DivergenceError):
                raise error.__cause__ from None
            raise
    history: cr.History = estimator.history_
    if history.stop_reason == "diverged" and validation is not None:  # the recipe instead keeps an earlier stage
        raise cr.DivergenceError
    return history


def _make_estimator(target: TargetEncoder, n_rows: int, settings: Settings) -> Any:
    """Return the estimator for `n_rows` training rows."""
    regression = target.task == "regression"
    special = {"loss": settings.loss or LOSSES[0]} if regression else {"class_weight": settings.class_weight}
    common = {"time_limit": settings.time_limit, "random_state": settings.seed, "n_threads": settings.threads}
    return settings.method.make_estimator(regression, n_rows, {**common, **special})


def _score(estimator: Any, target: TargetEncoder, tested: Part, others: Part) -> tuple[str, str]:
    """Return the scores of the test rows, and a remark if a constant prediction is as good.

    The constant is computed from all other rows: the mean of numbers, or the frequencies of classes.
    """
    if target.task == "regression":
        mean = float(np.average(others.y, weights=others.weight))
        scores = _scores.score_values(tested.y, estimator.predict(tested.X), tested.weight)
        constant = _scores.score_values(tested.y, np.full(len(tested), mean), tested.weight)
        trivial, compared = ("the mean", constant["RMSE"]), "RMSE"
    else:
        classes = estimator.classes_
        truth = np.searchsorted(classes, tested.y)
        scores = _scores.score_classes(truth, estimator.predict_proba(tested.X), tested.weight)
        counts = np.bincount(np.searchsorted(classes, others.y), others.weight, minlength=len(classes))
        constant = _scores.score_classes(truth, np.tile(counts / counts.sum(), (len(truth), 1)), tested.weight)
        trivial, compared = (repr(str(classes[counts.argmax()])), constant["accuracy"]), "log loss"
    useless = scores[compared] >= constant[compared]
    sentence = f"the {compared} is no better than that of a constant prediction ({constant[compared]:.6g})"
    return _scores.as_text(scores, trivial), sentence if useless else ""


class _ReportStart:
    """A callback that reports the network and the training settings and checks the free space on the disk."""

    def __init__(
        self,
        estimator: Any,
        features: "pd.DataFrame",
        counts: Sequence[int],
        regression: bool,
        settings: Settings,
        say: _Say,
    ) -> None:
        self._estimator, self._features, self._counts = estimator, features, counts
        self._regression, self._settings, self._say = regression, settings, say

    def on_train_begin(self, network: "cr.Network") -> None:
        encoder, settings = self._estimator.encoder_, self._settings
        method = settings.method
        for line in describe_columns(encoder):
            self._say("", line)
        used = [column.name for column in encoder.columns if column.kind != "ignored"]
        for suspicion in find_suspects(self._features, used):
            warn(suspicion)
        parts = ("training", "test") if method.holds_out else ("training", "validation", "test")
        counts = (f"{count} {part}" for count, part in zip(self._counts, parts, strict=True))
        self._say("rows", ", ".join(counts) + ("" if settings.test is None else f" from {settings.test}"))
        if not method.holds_out:
            self._say("network", describe(network))
        limits = method.limits() + ([] if settings.time_limit is None else [f"{settings.time_limit:g} seconds"])
        ends = f", at most {' or '.join(limits)}" if limits else ""
        weights = "" if settings.weight is None else f", rows weighted by {settings.weight!r}"
        weights += "" if settings.class_weight is None else f", {settings.class_weight} classes"
        self._say("training", f"{method.describe(self._estimator)}{ends}{weights}")
        check_space(settings.output, method.count_bytes(network, self._regression, self._counts[0]))
