"""The four commands; `--help` prints their docstrings."""

import contextlib
import dataclasses
import io
import os
import re
import warnings
from collections.abc import Sequence
from typing import Any

import chainrule
from chainrule import _optional
from chainrule.cli._console import Console, warn, write_text
from chainrule.cli._methods import PlainNetwork, choose_method
from chainrule.cli._model import TableModel, describe, describe_columns, describe_target
from chainrule.cli._output import check_table_output, is_standard_output, write_table
from chainrule.cli._tables import KINDS, Reading, Table, read_like, read_table
from chainrule.cli._train import Settings, check_outputs, train_table

# name -> scikit-learn's function
DEMOS = {"digits": "load_digits", "breast_cancer": "load_breast_cancer"}


def demo(dataset: str, output: str | None, plot: str | None, **settings: Any) -> int:
    """Train on data that scikit-learn ships: handwritten digits, or benign and malignant tumors."""
    chosen = Settings(output=output or f"{dataset}.safetensors", plot=_name_plot(plot, dataset), **settings)
    check_outputs(chosen)
    _optional.require("pandas", "demo")
    data = getattr(_optional.require("sklearn.datasets", "demo"), DEMOS[dataset])(as_frame=True)
    table = data.frame.assign(target=data.target_names[data.target])
    return train_table(Table(table, Reading(), "", {}, []), "target", chosen)


def train(file: str, target: str, output: str | None, plot: str | None, **options: Any) -> int:
    """Train a model to predict one column of a table from the others.

    Part of the rows is held out for the test scores. On the others, the command trains small networks with the recipe
    of TableClassifier and TableRegressor, which needs no settings, or one plain network if one of its options is given.
    After Ctrl-C or SIGTERM, the model trained so far is tested and saved, and the exit code is 1 or 143.
    """
    endings = "|".join(re.escape(ending) for ending in (*KINDS, ".parquet", ".gz"))
    name = re.sub(rf"({endings})+$", "", os.path.basename(file), flags=re.IGNORECASE) or "model"
    plot = None if plot is None else _name_plot(plot, name)
    reading = Reading(**{field.name: options.pop(field.name) for field in dataclasses.fields(Reading)})
    of_network = {field.name: options.pop(field.name) for field in dataclasses.fields(PlainNetwork)}
    given = {name: value for name, value in of_network.items() if value is not None}
    method = choose_method(options.pop("effort"), given)
    chosen = Settings(output=output or f"{name}.safetensors", plot=plot, method=method, **options)
    if chosen.test is not None and chosen.test_size is not None:
        raise ValueError("--test and --test-size cannot be combined: the test rows come from one table or the other")
    check_outputs(chosen, file, chosen.test)
    texts = [*chosen.categorical, *chosen.ignore]
    table = read_table(file, reading, texts)
    test = None if chosen.test is None else read_like(chosen.test, table, texts)
    return train_table(table, target, chosen, test)


def _name_plot(path: str | None, name: str) -> str:
    return f"{path or name}.png" if not path or not os.path.splitext(path)[1] else path


def predict(
    model: str,
    file: str,
    output: str,
    probabilities: bool,
    keep: Sequence[str],
    separator: str | None,
    encoding: str | None,
    threads: int | None,
) -> int:
    """Predict the target of each row of a table, as CSV or in the format of the output file's extension.

    If the table contains the target, the scores are printed too; on standard error if the predictions go to standard
    output.
    """
    check_table_output(output, model, file)
    loaded = TableModel.load(model)
    if not isinstance(loaded, TableModel):
        raise ValueError(
            f"{model} holds a network without the encoding of a table: load it with chainrule.load and call predict"
        )
    target = loaded.model.target
    if probabilities and target.classes is None:
        raise ValueError(f"{model} predicts numbers, which have no probabilities")
    table, copied = loaded.read(file, keep, separator, encoding)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        outputs = loaded.model.outputs(table, threads)
    for warning in caught:  # about levels that did not occur in training, and missing values
        warn(str(warning.message))
    predictions = target.decode(outputs)
    if predictions.ndim > 1:
        raise ValueError(f"{model} predicts several columns: load it with chainrule.load and call predict")
    columns: dict[str, Any] = {name: copied[name].to_numpy() for name in keep}
    columns[f"predicted {loaded.name}" if loaded.name in keep else loaded.name] = predictions
    if probabilities:
        for label, of_class in zip(target.labels, target.probabilities(outputs).T, strict=True):
            columns[f"probability {label}"] = of_class
    write_table(output, _optional.require("pandas", "cli").DataFrame(columns))
    if loaded.name in table.columns:
        try:
            scores = loaded.score(table[loaded.name], outputs)
        except (ValueError, TypeError) as error:  # the predictions were made, so this is not fatal
            warn(f"no scores: {error}")
            scores = ""
        if scores:
            Console("stderr" if is_standard_output(output) else "stdout").say("score", scores)
    return 0


def info(model: str | None) -> int:
    """Describe a model, or this installation."""
    if model is None:
        with contextlib.redirect_stdout(io.StringIO()) as text:
            chainrule.show_config()
        write_text("stdout", text.getvalue())
        return 0
    loaded = TableModel.load(model)
    network = loaded.model.network if isinstance(loaded, TableModel) else loaded
    console = Console()
    console.say("network", describe(network))
    if isinstance(loaded, TableModel):
        target = loaded.model.target
        console.say("target", describe_target(loaded.name, target.labels, target.standardizer))
        for line in describe_columns(loaded.features):
            console.say("", line)
    if console.failure is not None:
        raise console.failure
    return 0
