"""Checkpoints: a network and its training state in one file, from which training resumes exactly on any machine.

A file is a model file (`model_file`) whose tensors `numbers.NAME` and `vectors.NAME` are the arrays of the state; the
entry `chainrule.state` of its metadata holds the epoch and the seed as JSON.
"""

import math
import os
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from chainrule import _core, _json
from chainrule._arguments import DTYPES, integer, real, seed_number
from chainrule._disk import StrPath, write_atomically
from chainrule._suggest import explained
from chainrule.model_file import read_file
from chainrule.network import Network
from chainrule.training import History, TrainingState

FORMAT = 1
KEY = "chainrule.state"


@explained
def save_checkpoint(path: StrPath, network: Network, state: TrainingState) -> None:
    """Write a network and its training state to a file.

    Parameters
    ----------
    path : str or path
        The file to write. It is replaced atomically: whatever happens, the path holds its old content or the complete
        new checkpoint, which is on the disk when this returns.
    network : Network
        The network.
    state : TrainingState
        ``history.state``, or in a callback ``logs["snapshot"]()``.

    Raises
    ------
    TypeError
        For a network or state of the wrong type, or a state whose arrays are neither float32 nor float64.
    ValueError
        For parameters that are NaN or infinite, which `load_checkpoint` would refuse.
    OSError
        If the file cannot be written. An existing file is then unchanged.

    Examples
    --------
    >>> import chainrule as cr, os, tempfile
    >>> path = os.path.join(tempfile.mkdtemp(), "training.checkpoint")
    >>> X, y = [[-1.0], [1.0]], [-2.0, 4.0]
    >>> net = cr.Network([1, 1], loss="squared_error", seed=0)
    >>> history = net.fit(X, y, epochs=80, keep_state=True)
    >>> cr.save_checkpoint(path, net, history.state)
    >>> net, state = cr.load_checkpoint(path)
    >>> net.fit(X, y, epochs=120, resume=state).epochs
    120
    """
    if not isinstance(network, Network):
        raise TypeError(f"network must be a Network, got {type(network).__name__}")
    if not isinstance(state, TrainingState):
        raise TypeError(f"state must be a TrainingState such as history.state, got {type(state).__name__}")
    arrays = {}
    for group, named in (("numbers", state.numbers), ("vectors", state.vectors)):
        for name, value in named.items():
            array = np.asarray(value)
            if array.dtype.name not in DTYPES:
                raise TypeError(f"state: {name} has dtype {array.dtype}, expected {' or '.join(DTYPES)}")
            arrays[f"{group}.{name}"] = np.asarray(array, array.dtype.name, order="C")
    text = _json.write({"format": FORMAT, "epoch": state.epoch, "seed": state.seed})
    write_atomically(path, network._native.write_model({KEY: text}, arrays))


@explained
def load_checkpoint(path: StrPath) -> tuple[Network, TrainingState]:
    """Read a checkpoint that `save_checkpoint` or `Checkpoint` wrote.

    Parameters
    ----------
    path : str or path
        The file.

    Returns
    -------
    network : Network
        The network, with the same configuration and bit-identical parameters.
    state : TrainingState
        The state of the training, for ``resume=`` of `Network.fit`.

    Raises
    ------
    ValueError
        If the file is not a checkpoint, is truncated or damaged, or has a newer format; the message says which.
    OSError
        If the file cannot be read.

    Examples
    --------
    >>> import chainrule as cr
    >>> net, state = cr.load_checkpoint("training.checkpoint")  # doctest: +SKIP
    >>> state.epoch  # doctest: +SKIP
    80
    """
    network, metadata, arrays = read_file(path)
    name = os.fspath(path)
    if KEY not in metadata:
        raise ValueError(f"{name} is not a chainrule checkpoint but a model file: read it with chainrule.load")
    groups: dict[str, dict[str, NDArray[Any]]] = {"numbers": {}, "vectors": {}}
    try:
        text = metadata.pop(KEY)
        if metadata:
            raise ValueError(f"its metadata has the entry {next(iter(metadata))!r:.100}")
        header = _json.parse(text)
        if not isinstance(header, dict) or type(header.get("format")) is not int:
            raise ValueError("its state has no format version")
        for entry, array in arrays.items():
            group, _, key = entry.partition(".")
            if group not in groups:
                raise ValueError(f"it has the tensor {entry!r:.100}")
            groups[group][key] = array
        epoch, seed = integer("epoch", header.get("epoch"), low=0), seed_number(header.get("seed"))
    except (TypeError, ValueError) as error:
        raise ValueError(f"{name} is a damaged chainrule checkpoint: {error}") from error
    if header["format"] > FORMAT:
        raise ValueError(
            f"{name} has a state of format {header['format']}, this chainrule reads {FORMAT}: upgrade chainrule"
        )
    return network, TrainingState(epoch=epoch, seed=seed, **groups)


@explained
class Checkpoint:
    """A callback that writes checkpoints, from which training can resume after a failure; see `load_checkpoint`.

    It always writes one after the last epoch. The file is complete even if the program is killed while writing.

    Parameters
    ----------
    path : str or path
        The file, which is replaced each time.
    every : int, default 1
        Write after each epoch whose number is a multiple of this.
    seconds : float, optional
        Write only if the last checkpoint is at least this old.

    Raises
    ------
    ValueError
        For numbers out of range.
    OSError
        During training, if the file cannot be written; this ends the training.

    Examples
    --------
    >>> import chainrule as cr
    >>> net = cr.Network([1, 1], loss="squared_error", seed=0)
    >>> net.fit(X, y, callbacks=[cr.Checkpoint("training.checkpoint", seconds=60)])  # doctest: +SKIP
    >>> net, state = cr.load_checkpoint("training.checkpoint")  # doctest: +SKIP
    >>> net.fit(X, y, epochs=200 - state.epoch, resume=state)  # doctest: +SKIP
    """

    wants_state = True  # the history must have the state at the end

    def __init__(self, path: StrPath, every: int = 1, seconds: float | None = None) -> None:
        self._path = Path(path)
        self._every = integer("every", every, low=1)
        self._seconds = 0.0 if seconds is None else real("seconds", seconds)
        if not self._seconds >= 0:
            raise ValueError(f"seconds is {seconds}, expected 0 or more")
        self._network: Network | None = None
        self._written = -math.inf

    def __repr__(self) -> str:
        every = "" if self._every == 1 else f", every={self._every}"
        return f"Checkpoint({str(self._path)!r}{every}{f', seconds={self._seconds:g}' if self._seconds else ''})"

    def on_train_begin(self, network: Network) -> None:
        """Store the network, and remove the unfinished file that a program left if it was killed while writing."""
        self._network = network
        self._written = time.monotonic()
        _core.remove_leftovers(self._path)

    def on_epoch_end(self, logs: Mapping[str, Any]) -> None:
        """Write a checkpoint if one is due."""
        if logs["epoch"] % self._every == 0 and time.monotonic() - self._written >= self._seconds:
            self._write(logs["snapshot"]())

    def on_train_end(self, history: History) -> None:
        """Write the last checkpoint."""
        if history.state is not None:
            self._write(history.state)
        self._network = None

    def _write(self, state: TrainingState) -> None:
        assert self._network is not None
        save_checkpoint(self._path, self._network, state)
        self._written = time.monotonic()
