"""Callbacks that show and record training epoch by epoch: a progress bar, a CSV file, TensorBoard, MLflow.

Each uses the numbers in the logs of an epoch (cost, validation cost, metrics, learning rate, seconds) and ignores the
rest. Pass them as ``callbacks=`` to `Network.fit` or an estimator. A callback may be used for several fits in turn.
"""

import csv
import html
import io
import os
import tempfile
import time
from collections.abc import Mapping
from numbers import Real
from pathlib import Path
from typing import Any

from chainrule import _notebook
from chainrule._arguments import flag, integer, text
from chainrule._disk import StrPath, write_atomically
from chainrule._optional import require
from chainrule._suggest import explained
from chainrule.training import History


def scalars(logs: Mapping[str, Any]) -> dict[str, float]:
    """Return the numbers in the logs of an epoch, except the number of the epoch.

    Examples
    --------
    >>> from chainrule.callbacks import scalars
    >>> scalars({"epoch": 3, "loss": 0.5, "validation": None, "snapshot": print})
    {'loss': 0.5}
    """
    numbers = {name: value for name, value in logs.items() if isinstance(value, Real) and name != "epoch"}
    return {name: float(value) for name, value in numbers.items()}


@explained
class ProgressBar:
    """A progress bar with epoch, costs, metrics and time, on a terminal or in a notebook.

    If the output is neither, only the last state is printed. A notebook keeps the last state too, even after an error
    or interruption. Outside of notebooks it needs the extra ``cli``, which installs rich.

    Parameters
    ----------
    epochs : int, optional
        The number of epochs to expect, which is ``epochs`` of the fit. Default: unknown; the bar then shows activity
        but no progress.
    console : rich.console.Console, optional
        Where to print. Default: standard error. Use its `print` for other output during training.

    Raises
    ------
    ImportError
        If rich is not installed; the message gives the command that installs it.

    Examples
    --------
    >>> import chainrule as cr
    >>> net = cr.Network([1, 1], loss="squared_error", seed=0)
    >>> history = net.fit([[1.0]], [1.0], epochs=100, callbacks=[cr.ProgressBar(100)])  # doctest: +SKIP
    epoch 100/100 ━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━ loss 0.0000 0:00:00
    """

    def __init__(self, epochs: int | None = None, console: Any = None) -> None:
        self._epochs = None if epochs is None else integer("epochs", epochs, low=1)
        if console is None and not _notebook.runs_in_notebook():
            console = require("rich.console", "cli").Console(stderr=True)
        self.console: Any = console  # None in a notebook
        self._bar: _TerminalBar | _NotebookBar
        self._drawn = 0.0

    def __repr__(self) -> str:
        return f"ProgressBar({'' if self._epochs is None else self._epochs})"

    def __deepcopy__(self, memo: dict[int, Any]) -> "ProgressBar":
        return ProgressBar(self._epochs, self.console)  # scikit-learn's clone copies parameters; a console has no copy

    def __reduce__(self) -> tuple[Any, ...]:
        return ProgressBar, (self._epochs,)  # in another process, it prints to the standard error of that process

    def on_train_begin(self, network: Any) -> None:
        """Show an empty bar."""
        self._drawn = time.monotonic()
        self._bar = _NotebookBar(self._epochs) if self.console is None else _TerminalBar(self._epochs, self.console)

    def on_epoch_end(self, logs: Mapping[str, Any]) -> None:
        """Update the bar, at most ten times a second."""
        shown = {name: value for name, value in scalars(logs).items() if name not in ("learning_rate", "seconds")}
        costs = " ".join(f"{name} {value:.4f}" for name, value in shown.items())
        now = time.monotonic()
        draw = now - self._drawn > 0.1
        self._bar.update(logs["epoch"], costs, draw)
        if draw:
            self._drawn = now

    def on_train_end(self, history: History) -> None:
        """Print the last state in place of the bar."""
        self._bar.end()


class _TerminalBar:
    """A bar that rich draws on a console."""

    def __init__(self, epochs: int | None, console: Any) -> None:
        rich = require("rich.progress", "cli")
        self._running = True
        count = rich.MofNCompleteColumn() if epochs else rich.TextColumn("{task.completed}")
        columns = [rich.TextColumn("epoch"), count, rich.BarColumn(), rich.TextColumn("{task.fields[costs]}")]
        # `end` is not called if the fit raises. So the bar uses no thread, leaves the cursor visible, and keeps an
        # empty line below itself for the cursor and the traceback.
        options = {"auto_refresh": False, "redirect_stdout": False, "redirect_stderr": False}
        progress = rich.Progress(*columns, rich.TimeElapsedColumn(), console=console, **options)
        progress.get_renderables = lambda: [
            progress.make_tasks_table(progress.tasks),
            *([""] if self._running else []),
        ]
        self._progress = progress
        self._task = progress.add_task("epoch", total=epochs, costs="")
        progress.start()
        console.show_cursor(True)

    def update(self, epoch: int, costs: str, draw: bool) -> None:
        self._progress.update(self._task, completed=epoch, costs=costs, refresh=draw)

    def end(self) -> None:
        self._running = False
        self._progress.refresh()
        self._progress.stop()


class _NotebookBar:
    """A bar in the output of a notebook's cell, which keeps what was shown last."""

    def __init__(self, epochs: int | None) -> None:
        self._epochs, self._output, self._began = epochs, _notebook.LiveOutput(), time.monotonic()
        self._state: tuple[int, str, float] = (0, "", 0.0)

    def update(self, epoch: int, costs: str, draw: bool) -> None:
        self._state = (epoch, costs, time.monotonic() - self._began)
        if draw or epoch == 1:
            self.end()

    def end(self) -> None:
        """Show the last state."""
        epoch, costs, seconds = self._state
        total = f"/{self._epochs}" if self._epochs else ""
        bar = f'<progress value="{epoch}" max="{self._epochs}"></progress> ' if self._epochs else ""
        self._output.show(f"{bar}epoch {epoch}{total} {html.escape(costs)} {seconds:.1f} s")


@explained
class CSVLog:
    """A CSV file with a row for each epoch, which is written to the disk as soon as the epoch ends.

    The columns are epoch and the numbers in the logs of the first epoch. If a program is interrupted, only its last row
    may be incomplete; ``append`` removes it.

    Parameters
    ----------
    path : str or path
        The file; its folder must exist.
    append : bool, default False
        Continue an existing file instead of replacing it. If training is resumed at epoch e > 1, the rows from epoch e
        on are replaced.

    Raises
    ------
    ValueError
        During training, if the existing file has other columns.
    OSError
        During training, if the file cannot be written.

    Examples
    --------
    >>> import chainrule as cr, pathlib, tempfile
    >>> path = pathlib.Path(tempfile.mkdtemp(), "log.csv")
    >>> net = cr.Network([1, 1], loss="squared_error", seed=0)
    >>> history = net.fit([[1.0]], [1.0], epochs=3, callbacks=[cr.CSVLog(path)])
    >>> [line.split(",")[0] for line in path.read_text().splitlines()]
    ['epoch', '1', '2', '3']
    """

    def __init__(self, path: StrPath, append: bool = False) -> None:
        self._path = Path(path)
        self._append = flag("append", append)
        self._columns: list[str] = []

    def __repr__(self) -> str:
        return f"CSVLog({str(self._path)!r}{', append=True' if self._append else ''})"

    def on_train_begin(self, network: Any) -> None:
        """Forget the columns of an earlier fit."""
        self._columns = []

    def on_epoch_end(self, logs: Mapping[str, Any]) -> None:
        """Write a row."""
        numbers = {"epoch": logs["epoch"], **scalars(logs)}
        if not self._columns:
            self._begin(numbers)
        with self._path.open("a", encoding="utf-8", newline="") as file:
            file.write(_csv_line([numbers.get(name, "") for name in self._columns]))

    def _begin(self, numbers: Mapping[str, Any]) -> None:
        columns = list(numbers)
        lines = self._rows_before(columns, numbers["epoch"]) if self._append and self._path.exists() else []
        write_atomically(self._path, "".join([_csv_line(columns), *lines]).encode())
        self._columns = columns

    def _rows_before(self, columns: list[str], epoch: int) -> list[str]:
        """Return the lines of the existing file that are kept."""
        header, *lines = self._path.read_text(encoding="utf-8").splitlines(keepends=True) or [""]
        if header.endswith("\n") and header.strip().split(",") != columns:
            raise ValueError(f"{self._path} has the columns {header.strip()}, this fit {','.join(columns)}")
        lines = [line for line in lines if line.endswith("\n")]  # drops an incomplete line
        if epoch > 1:
            lines = [line for line in lines if int(line.partition(",")[0]) < epoch]
        return lines


def _csv_line(values: list[Any]) -> str:
    line = io.StringIO()
    csv.writer(line, lineterminator="\n").writerow(values)
    return line.getvalue()


class _Tracker:
    """Base of callbacks that send the numbers of an epoch to an object of another library."""

    def __init__(self, target: Any, prefix: str, method: str) -> None:
        if not callable(getattr(target, method, None)):
            raise TypeError(f"expected an object with a method {method}, got {type(target).__name__}")
        self._target = target
        self._prefix = text("prefix", prefix)

    def __repr__(self) -> str:
        target = getattr(self._target, "__name__", type(self._target).__name__)
        return f"{type(self).__name__}({target}{f', prefix={self._prefix!r}' if self._prefix else ''})"

    def __deepcopy__(self, memo: dict[int, Any]) -> "_Tracker":
        return self  # scikit-learn's clone copies parameters; a connection is shared

    def _named(self, logs: Mapping[str, Any]) -> dict[str, float]:
        return {self._prefix + name: value for name, value in scalars(logs).items()}


@explained
class TensorBoard(_Tracker):
    """Writes scalars for TensorBoard: calls ``writer.add_scalar(name, value, epoch)`` for each number of an epoch.

    Parameters
    ----------
    writer : object
        A SummaryWriter of torch.utils.tensorboard or tensorboardX, or any object with ``add_scalar``. After training,
        its ``flush`` method is called if it has one; it stays open.
    prefix : str, default ""
        Text to put before each name, such as ``"run 3/"``.

    Raises
    ------
    TypeError
        If the object has no ``add_scalar``.

    Examples
    --------
    >>> import chainrule as cr
    >>> class Writer:
    ...     def add_scalar(self, name, value, step):
    ...         print(name, step)
    >>> net = cr.Network([1, 1], loss="squared_error", seed=0)
    >>> history = net.fit([[1.0]], [1.0], epochs=1, callbacks=[cr.TensorBoard(Writer())])  # doctest: +ELLIPSIS
    loss 1
    ...
    """

    def __init__(self, writer: Any, prefix: str = "") -> None:
        super().__init__(writer, prefix, "add_scalar")

    def on_epoch_end(self, logs: Mapping[str, Any]) -> None:
        """Send the numbers."""
        for name, value in self._named(logs).items():
            self._target.add_scalar(name, value, logs["epoch"])

    def on_train_end(self, history: History) -> None:
        """Flush the writer."""
        if hasattr(self._target, "flush"):
            self._target.flush()


@explained
class MLflow(_Tracker):
    """Logs training to MLflow: the configuration of the network, the numbers of each epoch, and the model.

    At the start it calls ``log_param`` for each property of the network, after each epoch
    ``log_metric(name, value, step=epoch)`` for each number, and at the end ``log_artifact`` with the model file.

    Parameters
    ----------
    client : module or object
        The module ``mlflow``, which logs to its active run, or, with ``run_id``, an ``MlflowClient``.
    run_id : str, optional
        The run to which a client logs.
    prefix : str, default ""
        Text to put before each name.
    model : str, optional
        Name of the file, such as ``"model.safetensors"``, under which the network is stored among the artifacts of the
        run; `load` reads it. If training raises an error, no network is stored. Default: store none.

    Raises
    ------
    TypeError
        If the object has no ``log_metric``.

    Examples
    --------
    >>> import chainrule as cr
    >>> import mlflow
    >>> with mlflow.start_run():  # doctest: +SKIP
    ...     history = net.fit(X, y, callbacks=[cr.MLflow(mlflow, model="model.safetensors")])
    """

    def __init__(self, client: Any, run_id: str | None = None, prefix: str = "", model: str | None = None) -> None:
        super().__init__(client, prefix, "log_metric")
        self._run = () if run_id is None else (text("run_id", run_id),)
        self._model = None if model is None else text("model", model)
        self._network: Any = None

    def on_train_begin(self, network: Any) -> None:
        """Send the configuration of the network."""
        self._network = network
        configuration = {
            "layer_sizes": list(network.layer_sizes),
            "activations": list(network.activations),
            "loss": network.loss_spec,
            "dtype": network.dtype,
            "seed": network.seed,
        }
        for name, value in configuration.items():
            self._target.log_param(*self._run, self._prefix + name, str(value))

    def on_epoch_end(self, logs: Mapping[str, Any]) -> None:
        """Send the numbers."""
        for name, value in self._named(logs).items():
            self._target.log_metric(*self._run, name, value, step=logs["epoch"])

    def on_train_end(self, history: History) -> None:
        """Store the model."""
        if self._model is not None and self._network is not None:
            with tempfile.TemporaryDirectory() as folder:
                path = os.path.join(folder, os.path.basename(self._model))
                self._network.save(path)
                where = os.path.dirname(self._model) or None
                self._target.log_artifact(*self._run, path, where)
        self._network = None
