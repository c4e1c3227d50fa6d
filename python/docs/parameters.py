"""Writes parameters.md from signatures and docstrings: python python/docs/parameters.py."""

import inspect
import re
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import chainrule as cr
from chainrule._settings import SETTINGS, Setting
from chainrule.training import FIT_SETTINGS

PAGE = Path(__file__).with_suffix(".md")

# Pages of the guide with more details.
SEE = {
    "activation": "activations.md",
    "callbacks": "callbacks.md",
    "l2": "regularization.md",
    "loss": "losses.md",
    "n_threads": "networks.md#threads",
    "optimizer": "optimizers.md",
    "preprocess": "tables.md",
    "resume": "callbacks.md#checkpoints-and-exact-resume",
    "sample_weight": "data.md#weights-of-rows",
    "schedules": "optimizers.md#schedules",
    "validation": "validation.md",
}
# Names in other libraries, for parameters that are not in the list of settings.
NETWORK_ELSEWHERE = {
    "layer_sizes": "scikit-learn: `hidden_layer_sizes`, which lists only the hidden layers",
    "loss": "Keras: `compile(loss=)`",
    "init": "Keras: `kernel_initializer`",
    "seed": "scikit-learn: `random_state`",
}
THREADS_ELSEWHERE = {"n_threads": "scikit-learn: `n_jobs`"}
# The name in `Network.fit` of a parameter of the estimators, if it is not the same.
OF_FIT = {
    "hidden_layer_sizes": "`layer_sizes`",
    "solver": "`optimizer`",
    "alpha": "`l2`, `l2_per_row=True`",
    "learning_rate": "`schedules`",
    "learning_rate_init": "the optimizer's",
    "max_iter": "`epochs`",
    "random_state": "`seed`",
    "tol": "`Stop(min_delta=)`",
    "momentum": "the optimizer's",
    "nesterovs_momentum": "the optimizer's",
    "early_stopping": "`validation`, `Stop(no_improvement=)`",
    "validation_fraction": "`validation`",
    "beta_1": "the optimizer's",
    "beta_2": "the optimizer's",
    "epsilon": "the optimizer's",
    "n_iter_no_change": "`Stop(no_improvement=)`",
    "class_weight": "`sample_weight`",
    "weight_decay": "the optimizer's",
    "eval_metric": "`metrics`",
    "time_limit": "`Stop(seconds=)`",
    "dtype": "`Network(dtype=)`",
}
SCIKIT_LEARNS = 24  # parameters before those that scikit-learn's estimators lack


def meanings(function: Callable[..., Any]) -> dict[str, str]:
    """Return the description of each parameter in the docstring, as Markdown."""
    doc = inspect.getdoc(function) or ""
    [section] = re.findall(r"^Parameters\n-+\n(.*?)(?=^\w+\n-+\n|\Z)", doc, re.MULTILINE | re.DOTALL)
    found = {}
    for names, text in re.findall(r"^(\w+(?:, \w+)*)(?: : .*)?\n((?:^(?:    .*)?\n?)+)", section, re.MULTILINE):
        words = " ".join(text.split()).replace("``", "`").replace("|", "\\|")
        found |= dict.fromkeys(names.split(", "), words)
    return found


def row(name: str, functions: Iterable[Callable[..., Any]], last: str) -> str:
    """Return the row of a parameter, with the defaults that it has in the functions."""
    defaults, meaning = [], ""
    for function in functions:
        parameter = inspect.signature(function).parameters.get(name)
        if parameter is not None:
            meaning = meaning or meanings(function)[name]
            default = "" if parameter.default is parameter.empty else f"`{parameter.default!r}`".replace("'", '"')
            defaults += [default] if default not in defaults else []
    see = f" [More]({SEE[name]})." if name in SEE else ""
    return f"| `{name}` | {', '.join(defaults)} | {meaning}{see} | {last} |"


def elsewhere(settings: Mapping[str, Setting]) -> dict[str, str]:
    """Return the names of settings in other libraries."""
    return {setting.name: setting.elsewhere for setting in settings.values()}


def table(function: Callable[..., Any], others: dict[str, str]) -> list[str]:
    """Return the table of a function's parameters."""
    names = [name for name in inspect.signature(function).parameters if name != "self"]
    rows = [row(name, [function], others.get(name, "")) for name in names]
    return ["| name | default | meaning | elsewhere |", "|---|---|---|---|", *rows, ""]


def estimators() -> list[str]:
    """Return the two tables of both estimators' parameters."""
    kinds = [cr.MLPClassifier, cr.MLPRegressor]
    names = list(dict.fromkeys(name for kind in reversed(kinds) for name in inspect.signature(kind).parameters))
    of_fit = {name: f"`{name}`" for name in inspect.signature(cr.Network.fit).parameters} | OF_FIT
    rows = [row(name, kinds, of_fit.get(name, "")) for name in names]
    head = ["| name | default | meaning | of `fit` |", "|---|---|---|---|"]
    return [*head, *rows[:SCIKIT_LEARNS], "", "These are additional:", "", *head, *rows[SCIKIT_LEARNS:], ""]


def page() -> str:
    """Return the whole page."""
    lines = ["# Parameters", "", "Made from the docstrings by `python python/docs/parameters.py`.", ""]
    lines += ["## Network", "", "`cr.Network(layer_sizes, ...)`", "", *table(cr.Network, NETWORK_ELSEWHERE)]
    lines += ["## Network.fit", "", "`net.fit(X, y, ...)`; `fit_many` takes the same, as one value or as a list.", ""]
    lines += table(cr.Network.fit, elsewhere(FIT_SETTINGS) | THREADS_ELSEWHERE)
    lines += [
        "## Stop",
        "",
        "The first criterion that is met ends training, and `history.stop_reason` names it.",
        "",
    ]
    lines += table(cr.Stop, elsewhere(SETTINGS["Stop"]))
    lines += [
        "## Estimators",
        "",
        "`cr.MLPClassifier` and `cr.MLPRegressor`. These parameters have the names, defaults",
    ]
    lines += ["and meanings of scikit-learn:", "", *estimators()]
    return "\n".join(lines)


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
