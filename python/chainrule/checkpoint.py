"""Checkpoints: a network and the state of its training in one file, for going on exactly where it was, elsewhere.

A file is ``MAGIC``, the length of what follows the checksum (8 bytes, little-endian), its SHA-256, then the length of a
JSON header (8 bytes), that header, and the arrays one after another, little-endian. It is replaced as a whole: killed
at any moment, a training leaves the last file or the new one. Nothing in it is executed; all of it is checked.
"""

import hashlib
import math
import os
import time
from collections.abc import Iterator, Mapping
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from chainrule import _core, _json
from chainrule._arguments import integer, real, seed_number
from chainrule._disk import StrPath, remove_leftovers, write_atomically
from chainrule._suggest import explained
from chainrule.losses import from_core, to_core
from chainrule.network import Network
from chainrule.training import History, TrainingState

FORMAT = 1
MAGIC = b"chainrule checkpoint\n"
_START = len(MAGIC) + 8 + hashlib.sha256().digest_size
_DTYPES = ("float32", "float64")
_FIELDS: dict[str, type] = {
    "layer_sizes": list, "activations": list, "loss": str, "init": str, "seed": int, "dtype": str,
}  # fmt: skip


@explained
def save_checkpoint(path: StrPath, network: Network, state: TrainingState) -> None:
    """Write a network and the state of its training to a file; NumPy is all it takes.

    Parameters
    ----------
    path : str or path
        Where to. The file is replaced as a whole: whatever happens, the path holds what it held before or all of the
        new checkpoint, and when this returns it is on the disk.
    network : Network
        The network.
    state : TrainingState
        ``history.state``, or in a callback ``logs["snapshot"]()``.

    Raises
    ------
    TypeError
        For a network or state of another type, or a state whose arrays are.
    ValueError
        For parameters that are NaN or infinite, which `load_checkpoint` would refuse.
    OSError
        If the file cannot be written; what was there is untouched.

    Examples
    --------
    >>> import chainrule as cr, os, tempfile
    >>> path = os.path.join(tempfile.mkdtemp(), "training.checkpoint")
    >>> X, y = [[-1.0], [1.0]], [-2.0, 4.0]
    >>> history = cr.Network([1, 1], loss="squared_error", seed=0).fit(X, y, epochs=80)  # doctest: +SKIP
    >>> cr.save_checkpoint(path, net, history.state)  # doctest: +SKIP
    >>> net, state = cr.load_checkpoint(path)  # doctest: +SKIP
    >>> history = net.fit(X, y, epochs=120, resume=state)  # doctest: +SKIP
    """
    if not isinstance(network, Network):
        raise TypeError(f"network must be a Network, got {type(network).__name__}")
    if not isinstance(state, TrainingState):
        raise TypeError(f"state must be a TrainingState such as history.state, got {type(state).__name__}")
    if not np.isfinite(network.parameters).all():  # a training keeps them finite: they were written to
        raise ValueError("the network's parameters hold NaN or infinity, expected finite numbers")
    arrays = {("network", "parameters"): network.parameters}
    arrays |= {("numbers", name): np.asarray(array) for name, array in state.numbers.items()}
    arrays |= {("vectors", name): np.asarray(array) for name, array in state.vectors.items()}
    for (_, name), array in arrays.items():
        if array.dtype.name not in _DTYPES:
            raise TypeError(f"state: {name} has dtype {array.dtype}, expected {' or '.join(_DTYPES)}")
    header = {
        "format": FORMAT,
        "version": _core.__version__,
        "network": describe(network),
        "epoch": state.epoch,
        "seed": state.seed,
        "arrays": [[*key, array.dtype.name, list(array.shape)] for key, array in arrays.items()],
    }
    text = _json.write(header).encode()
    content = [len(text).to_bytes(8, "little"), text]
    content += [array.astype(array.dtype.newbyteorder("<")).tobytes() for array in arrays.values()]
    checksum = hashlib.sha256()
    for part in content:
        checksum.update(part)
    length = sum(map(len, content)).to_bytes(8, "little")
    write_atomically(path, b"".join([MAGIC, length, checksum.digest(), *content]))


@explained
def load_checkpoint(path: StrPath) -> tuple[Network, TrainingState]:
    """Read what `save_checkpoint` or `Checkpoint` wrote.

    Parameters
    ----------
    path : str or path
        The file.

    Returns
    -------
    network : Network
        With the same configuration and parameters, bit for bit.
    state : TrainingState
        For ``resume=`` of `Network.fit`.

    Raises
    ------
    ValueError
        If the file is no checkpoint, cut short, damaged or of a newer format; the message says which.
    OSError
        If the file cannot be read.

    Examples
    --------
    >>> import chainrule as cr
    >>> net, state = cr.load_checkpoint("training.checkpoint")  # doctest: +SKIP
    >>> state.epoch  # doctest: +SKIP
    80
    """
    data = Path(path).read_bytes()
    if not data:
        raise ValueError(f"{os.fspath(path)} is not a chainrule checkpoint: it is empty")
    if data[8:9] == b"{":  # of safetensors
        raise ValueError(
            f"{os.fspath(path)} is not a chainrule checkpoint but a model file: read it with chainrule.load"
        )
    if not data.startswith(MAGIC[: len(data)]):
        raise ValueError(f"{os.fspath(path)} is not a chainrule checkpoint")
    length = int.from_bytes(data[len(MAGIC) : len(MAGIC) + 8], "little")
    if len(data) < _START or len(data) - _START < length:
        raise ValueError(
            f"{os.fspath(path)} is cut short: it has {len(data)} bytes, expected {_START + length}: copy it again"
        )
    content = memoryview(data)[_START:]
    if len(content) > length or hashlib.sha256(content).digest() != data[_START - 32 : _START]:
        raise ValueError(f"{os.fspath(path)} is a damaged chainrule checkpoint: its checksum is wrong")
    try:
        return _parse(content)
    except NewerFormatError as error:
        raise ValueError(f"{os.fspath(path)} has {error}") from error
    except (TypeError, ValueError, OverflowError, RecursionError) as error:
        raise ValueError(f"{os.fspath(path)} is a damaged chainrule checkpoint: {error}") from error


def _parse(content: memoryview) -> tuple[Network, TrainingState]:
    end = 8 + int.from_bytes(content[:8], "little")
    header = _json.parse(bytes(content[8:end]))
    if not isinstance(header, dict) or type(header.get("format")) is not int:
        raise ValueError("it has no format version")
    if header["format"] > FORMAT:
        raise NewerFormatError(
            f"format {header['format']} (of chainrule {header.get('version')}), "
            f"this is {_core.__version__} and reads up to {FORMAT}: upgrade chainrule"
        )
    description = check_description(header.get("network"))
    groups: dict[str, dict[str, NDArray[Any]]] = {"network": {}, "numbers": {}, "vectors": {}}
    for group, name, array in _read_arrays(header.get("arrays"), content[end:]):
        groups[group][name] = array
    parameters = groups["network"].get("parameters", np.empty(0))
    count = sum(n_out * (n_in + 1) for n_in, n_out in pairwise(description["layer_sizes"]))
    if parameters.shape != (count,) or parameters.dtype != description["dtype"]:
        what = f"{parameters.dtype} of shape {parameters.shape}"
        raise ValueError(f"the parameters are {what}, expected {description['dtype']} of shape ({count},)")
    if not np.isfinite(parameters).all():
        raise ValueError("the parameters hold NaN or infinity")
    network = make_network(description)
    network.parameters[:] = parameters
    epoch, seed = integer("epoch", header.get("epoch"), low=0), seed_number(header.get("seed"))
    return network, TrainingState(epoch=epoch, seed=seed, numbers=groups["numbers"], vectors=groups["vectors"])


def _read_arrays(entries: Any, content: memoryview) -> Iterator[tuple[str, str, NDArray[Any]]]:
    """Yield the arrays that the header lists, which must fill the rest of the file."""
    if not isinstance(entries, list):
        raise ValueError("its header lists no arrays")
    start = 0
    for entry in entries:
        match entry:
            case [("network" | "numbers" | "vectors") as group, str(name), str(dtype), list(shape)] if (
                dtype in _DTYPES and all(type(size) is int and size >= 0 for size in shape)
            ):
                count = math.prod(shape)
                size = count * np.dtype(dtype).itemsize
            case _:
                raise ValueError(f"its header has the entry {entry!r:.100}")
        if len(content) - start < size:
            raise ValueError(f"its array {name!r:.100} is cut short")
        array = np.frombuffer(content, np.dtype(dtype).newbyteorder("<"), count, start)
        yield group, name, array.astype(dtype).reshape(shape)
        start += size
    if start != len(content):
        raise ValueError(f"it has {len(content) - start} bytes behind its arrays")


class NewerFormatError(ValueError):
    """A description that a later version of chainrule wrote."""


def describe(network: Network) -> dict[str, Any]:
    """Return all of a network but its parameters, as JSON has it."""
    return {
        "format": FORMAT,
        "version": _core.__version__,
        "layer_sizes": list(network.layer_sizes),
        "activations": list(network.activations),
        "loss": network.loss_name,
        **({} if isinstance(network.loss_spec, str) else {"loss_parameters": to_core(network.loss_spec)[1]}),
        "init": network.init,
        "seed": network.seed,
        "dtype": network.dtype.name,
    }


def check_description(value: Any) -> dict[str, Any]:
    """Return what `describe` gave, or raise ValueError with what is wrong, as the end of a sentence."""
    if not isinstance(value, dict) or type(value.get("format")) is not int:
        raise ValueError("its configuration has no format version")
    if value["format"] > FORMAT:
        raise NewerFormatError(
            f"format {value['format']} (of chainrule {value.get('version')}), "
            f"this is {_core.__version__} and reads up to {FORMAT}: upgrade chainrule"
        )
    for name, kind in _FIELDS.items():
        if type(value.get(name)) is not kind:
            raise ValueError(f"{name} is {value.get(name)!r:.100}")
    if not all(type(size) is int for size in value["layer_sizes"]) or len(value["layer_sizes"]) < 2:
        raise ValueError(f"layer_sizes is {value['layer_sizes']!r:.100}")
    parameters = value.get("loss_parameters", [])
    if not isinstance(parameters, list) or not all(type(number) in (int, float) for number in parameters):
        raise ValueError(f"loss_parameters is {parameters!r:.100}")
    return value


def make_network(description: Mapping[str, Any]) -> Network:
    """Make the network of a description that was checked, with initial parameters."""
    return Network(
        description["layer_sizes"],
        activation=description["activations"],
        loss=from_core(description["loss"], description.get("loss_parameters", ())),
        init=description["init"],
        dtype=description["dtype"],
        seed=description["seed"],
    )


@explained
class Checkpoint:
    """Write a checkpoint after epochs, for going on after whatever happens: see `load_checkpoint`.

    After the last epoch one is written in any case. A program that is killed, at any moment, leaves a whole file.

    Parameters
    ----------
    path : str or path
        The file, which is replaced each time.
    every : int, default 1
        After each epoch whose number is a multiple of this.
    seconds : float, optional
        But not until this much time has passed since the last one.

    Raises
    ------
    ValueError
        For numbers out of range.
    OSError
        While training, if the file cannot be written; the training ends.

    Examples
    --------
    >>> import chainrule as cr
    >>> net = cr.Network([1, 1], loss="squared_error", seed=0)
    >>> net.fit(X, y, callbacks=[cr.Checkpoint("training.checkpoint", seconds=60)])  # doctest: +SKIP
    >>> net, state = cr.load_checkpoint("training.checkpoint")  # doctest: +SKIP
    >>> net.fit(X, y, epochs=200 - state.epoch, resume=state)  # doctest: +SKIP
    """

    wants_state = True  # of the history, at the end

    def __init__(self, path: StrPath, every: int = 1, seconds: float | None = None) -> None:
        self._path = Path(path)
        self._every = integer("every", every, low=1)
        self._seconds = 0.0 if seconds is None else real("seconds", seconds)
        if not self._seconds >= 0:
            raise ValueError(f"seconds is {seconds}, expected 0 or more")
        self._network: Network | None = None
        self._written = -math.inf

    def on_train_begin(self, network: Network) -> None:
        """Keep the network; remove what a killed program left of a file that was being written."""
        self._network = network
        self._written = time.monotonic()
        remove_leftovers(self._path)

    def on_epoch_end(self, logs: Mapping[str, Any]) -> None:
        """Write a checkpoint if it is time."""
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
