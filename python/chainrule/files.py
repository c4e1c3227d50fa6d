"""Model files: a safetensors container with the parameters as tensors and the network's configuration as metadata.

Any safetensors reader can open one. Nothing in it is executed; all of it is checked before a network is made.
"""

import contextlib
import itertools
import json
import os
import re
import secrets
import stat
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from chainrule import _core, _optional
from chainrule._suggest import explained
from chainrule.losses import from_core, to_core
from chainrule.network import Network

FORMAT = 1
_KEY = "chainrule"  # the entry of the metadata that holds the configuration
_FIELDS: dict[str, type] = {
    "layer_sizes": list, "activations": list, "loss": str, "init": str, "seed": int, "dtype": str,
}  # fmt: skip

StrPath: TypeAlias = str | os.PathLike[str]


@explained
def save(network: Network, path: StrPath, metadata: Mapping[str, str] | None = None) -> None:
    """Write a network to a safetensors file, needs the extra `cli`.

    The tensors are `weights.0`, shape (n_out, n_in), `biases.0`, shape (n_out,), `weights.1`, ...; the entry
    `chainrule` of the metadata holds the configuration as JSON. The file is replaced as a whole: whatever happens, the
    path holds what it held before or all of the new model. An existing file's permissions are kept.

    Parameters
    ----------
    network : Network
        What to write.
    path : str or path
        Where to.
    metadata : mapping of str to str, optional
        Texts of your own to store beside it; `load_with_metadata` returns them. The key `chainrule` is taken.

    Raises
    ------
    ValueError
        For metadata with the key `chainrule`.
    TypeError
        For metadata that is not text.
    OSError
        If the file cannot be written; what was there is untouched.

    Examples
    --------
    >>> import chainrule as cr, os, tempfile
    >>> net = cr.Network([2, 8, 1], loss="squared_error", seed=0)
    >>> path = os.path.join(tempfile.mkdtemp(), "model.safetensors")
    >>> net.save(path)
    >>> cr.load(path)
    Network([2, 8, 1], activation='relu', loss='squared_error', dtype='float32')
    """
    texts = dict(metadata or {})
    if _KEY in texts:
        raise ValueError(f"the metadata key {_KEY!r} is taken by the network's configuration")
    for key, value in texts.items():
        if not isinstance(key, str) or not isinstance(value, str):
            raise TypeError(f"metadata must map texts to texts, got {key!r}: {value!r:.100}")
    tensors = {}
    for layer, (weights, biases) in enumerate(zip(network.weights, network.biases, strict=True)):
        tensors[f"weights.{layer}"] = np.ascontiguousarray(weights)
        tensors[f"biases.{layer}"] = np.ascontiguousarray(biases)
    texts[_KEY] = json.dumps(describe(network))
    container = _optional.require("safetensors.numpy", "cli").save(tensors, texts)
    write_atomically(path, _sort_metadata(container))


@explained
def load(path: StrPath) -> Network:
    """Read a network from a file that `save` wrote.

    Parameters
    ----------
    path : str or path
        A safetensors file.

    Returns
    -------
    Network
        With the same parameters, bit for bit.

    Raises
    ------
    ValueError
        If the file is not a safetensors file, not a chainrule model, of a newer format, or contradicts itself.
    OSError
        If the file cannot be read.

    Examples
    --------
    >>> import chainrule as cr
    >>> cr.load("model.safetensors").predict([[1.0, 2.0]])  # doctest: +SKIP
    """
    return load_with_metadata(path)[0]


def load_with_metadata(path: StrPath) -> tuple[Network, dict[str, str]]:
    """Read a network and the texts that were stored beside it; otherwise as `load`.

    Examples
    --------
    >>> import chainrule as cr, os, tempfile
    >>> from chainrule.files import load_with_metadata
    >>> path = os.path.join(tempfile.mkdtemp(), "model.safetensors")
    >>> cr.Network([2, 1], loss="squared_error", seed=0).save(path, {"trained by": "Ada"})
    >>> load_with_metadata(path)[1]
    {'trained by': 'Ada'}
    """
    data = Path(path).read_bytes()
    safetensors = _optional.require("safetensors", "cli")
    try:
        tensors = _optional.require("safetensors.numpy", "cli").load(data)
    except (safetensors.SafetensorError, KeyError) as error:  # KeyError: a dtype that NumPy does not have
        raise ValueError(f"{os.fspath(path)} is not a safetensors file that can be read: {error}") from error
    texts: dict[str, str] = _split_header(data)[0].get("__metadata__") or {}
    if _KEY not in texts:
        raise ValueError(f"{os.fspath(path)} is not a chainrule model: its metadata has no entry {_KEY!r}")
    try:
        configuration = check_description(_parse(texts.pop(_KEY)))
        _check_tensors(configuration, tensors)
        network = make_network(configuration)
    except NewerFormatError as error:
        raise ValueError(f"{os.fspath(path)} has {error}") from error
    except (TypeError, ValueError, OverflowError, RecursionError) as error:
        raise ValueError(f"{os.fspath(path)} is a damaged chainrule model: {error}") from error
    for layer, (weights, biases) in enumerate(zip(network.weights, network.biases, strict=True)):
        weights[...] = tensors[f"weights.{layer}"]
        biases[...] = tensors[f"biases.{layer}"]
    return network, texts


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


def write_atomically(path: StrPath, data: bytes) -> None:
    """Replace a file by new content as a whole, on the disk when this returns; a symbolic link stays one.

    Examples
    --------
    >>> import pathlib, tempfile
    >>> from chainrule.files import write_atomically
    >>> path = pathlib.Path(tempfile.mkdtemp(), "file")
    >>> write_atomically(path, b"content")
    >>> path.read_bytes()
    b'content'
    """
    target = Path(os.path.realpath(path))
    if target.exists() and not target.is_file():  # a folder, or a device that a rename would replace
        raise OSError(f"cannot write {target}: it is not a file")
    temporary = target.with_name(f".{_stem(target)}.{secrets.token_hex(6)}.tmp")
    try:
        # os.open, not tempfile: a new file gets the permissions that the user's umask says
        with open(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o666), "wb") as file:
            if target.exists():
                os.chmod(temporary, stat.S_IMODE(target.stat().st_mode))  # before there is anything to read
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, target)
    except BaseException:
        with contextlib.suppress(OSError):
            temporary.unlink()
        raise
    if hasattr(os, "O_DIRECTORY"):  # the new name is on the disk when its folder is
        with contextlib.suppress(OSError):  # some systems cannot say so of a folder; the file is whole anyway
            folder = os.open(target.parent, os.O_RDONLY | os.O_DIRECTORY)
            try:
                os.fsync(folder)
            finally:
                os.close(folder)


def _stem(target: Path) -> str:
    """Return the beginning of a file's name, whole characters in 100 bytes: with more behind it none is too long."""
    name, end = os.fsencode(target.name), 100
    while end < len(name) and name[end] & 0xC0 == 0x80:
        end -= 1
    return os.fsdecode(name[:end])


def remove_leftovers(path: StrPath) -> None:
    """Remove the temporary files of `write_atomically` for this path whose programs were killed."""
    target = Path(os.path.realpath(path))
    pattern = re.compile(rf"\.{re.escape(_stem(target))}\.[0-9a-f]{{12}}\.tmp")
    for file in target.parent.iterdir() if target.parent.is_dir() else ():
        if pattern.fullmatch(file.name):
            file.unlink(missing_ok=True)


def _split_header(container: bytes) -> tuple[dict[str, Any], bytes]:
    """Return the header and the tensors' bytes; the package reads metadata from files only, not from bytes."""
    end = 8 + int.from_bytes(container[:8], "little")
    header: dict[str, Any] = json.loads(container[8:end])
    return header, container[end:]


def _sort_metadata(container: bytes) -> bytes:
    """Order the metadata, which the package writes in random order: the same network is the same file."""
    header, tensors = _split_header(container)
    header["__metadata__"] = dict(sorted(header["__metadata__"].items()))
    text = json.dumps(header, separators=(",", ":"), ensure_ascii=False).encode()
    text += b" " * (-len(text) % 8)  # the format asks for tensors that begin at a multiple of 8
    return len(text).to_bytes(8, "little") + text + tensors


def _parse(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError as error:
        raise ValueError(f"its configuration is not JSON ({error})") from error


def _check_tensors(configuration: Mapping[str, Any], tensors: Mapping[str, NDArray[Any]]) -> None:
    expected: dict[str, tuple[int, ...]] = {}
    sizes = configuration["layer_sizes"]
    for layer, (n_in, n_out) in enumerate(itertools.pairwise(sizes)):
        expected |= {f"weights.{layer}": (n_out, n_in), f"biases.{layer}": (n_out,)}
    if wrong := sorted(tensors.keys() ^ expected.keys()):
        raise ValueError(f"it {'lacks' if wrong[0] in expected else 'has an unexpected'} tensor {wrong[0]!r:.100}")
    for name, shape in expected.items():
        if tensors[name].shape != shape:
            raise ValueError(f"{name} has shape {tensors[name].shape}, expected {shape}")
        if tensors[name].dtype != configuration["dtype"]:
            raise ValueError(f"{name} is {tensors[name].dtype}, expected {configuration['dtype']:.20}")
