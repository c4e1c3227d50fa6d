"""Model files: a safetensors container with the parameters as tensors and the network's configuration as metadata.

Any safetensors reader can open one. Nothing in it is executed; all of it is checked before a network is made, and a
checksum finds damage. The format is the core's (cpp/files/model_file.cpp); what estimators add is `estimator_file`'s.
"""

import errno
import os
import re
from collections.abc import Mapping
from pathlib import Path
from types import NoneType
from typing import Any

from chainrule import _core
from chainrule._disk import StrPath, write_atomically
from chainrule._optional import own_module
from chainrule._suggest import explained
from chainrule.network import Network

# What other files begin with, and what to do with one of those.
_OTHERS = {
    b"chainrule checkpoint\n": "it is a checkpoint: read it with chainrule.load_checkpoint",
    b"\x80": "it seems to be a pickle: read it with pickle.load, if you trust its source",
    b"PK\x03\x04": "it is a zip archive, such as PyTorch and NumPy write: read it with what wrote it",
    b"PAR1": "it is a Parquet table: `chainrule train` makes a model of a table",
    b"\x1f\x8b": "it is compressed by gzip: unpack it first",
}


@explained
def save(network: Network, path: StrPath, metadata: Mapping[str, str] | None = None) -> None:
    """Write a network to a safetensors file.

    The tensors are `weights.0`, shape (n_out, n_in), `biases.0`, shape (n_out,), `weights.1`, ...; in the metadata,
    `chainrule` holds the configuration as JSON, and `chainrule.sha256` a checksum of all else. The file is replaced as
    a whole: whatever happens, the path holds what it held before or all of the new model. An existing file's
    permissions are kept. A pipe or a device, such as /dev/stdout, is written to.

    Parameters
    ----------
    network : Network
        What to write.
    path : str or path
        Where to.
    metadata : mapping of str to str, optional
        Texts to store beside it; `load_with_metadata` returns them. The keys `chainrule` and `chainrule.sha256` are
        taken.

    Raises
    ------
    ValueError
        For parameters that are NaN or infinite, which `load` would refuse, and for metadata with a key that is taken.
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
    if not isinstance(metadata, (Mapping, NoneType)):
        raise TypeError(f"metadata must map texts to texts, got {type(metadata).__name__}")
    texts = dict(metadata or {})
    for key, value in texts.items():
        if not isinstance(key, str) or not isinstance(value, str):
            raise TypeError(f"metadata must map texts to texts, got {key!r}: {value!r:.100}")
        (key + value).encode()  # a ValueError for half a surrogate pair
    write_atomically(path, network._native.write_model(texts))


@explained
def load(path: StrPath) -> Any:
    """Read what `Network.save`, an estimator's ``save`` or the command `chainrule train` wrote.

    Parameters
    ----------
    path : str or path
        A safetensors file.

    Returns
    -------
    Network, MLPClassifier or MLPRegressor
        What was saved, with the same parameters, bit for bit. An estimator, which needs the extra `sklearn`, predicts
        what it did.

    Raises
    ------
    ValueError
        If the file is not a safetensors file, not a chainrule model, damaged, of a newer format, or contradicts itself.
    ImportError
        If it holds an estimator and scikit-learn is not installed.
    OSError
        If the file cannot be read.

    Notes
    -----
    A file without a checksum is read without that test: version 0.1.0 wrote none. Programs that copy the tensors and
    the metadata, in any order, keep the checksum right; one that changes them has to leave out `chainrule.sha256`.

    Examples
    --------
    >>> import chainrule as cr
    >>> cr.load("model.safetensors").predict([[1.0, 2.0]])  # doctest: +SKIP
    """
    network, metadata = load_with_metadata(path)
    model = own_module("estimator_file").find_model(path, network, metadata)
    if model is None:
        return network
    try:
        return own_module("estimators._files").load(path, model)
    except ImportError as error:
        raise ImportError(f"{os.fspath(path)} holds an {model.kind}: {error}", name=error.name) from error


def load_with_metadata(path: StrPath) -> tuple[Network, dict[str, str]]:
    """Read a network, an estimator's too, and the texts that were stored beside it; otherwise as `load`.

    Examples
    --------
    >>> import chainrule as cr, os, tempfile
    >>> from chainrule.files import load_with_metadata
    >>> path = os.path.join(tempfile.mkdtemp(), "model.safetensors")
    >>> cr.Network([2, 1], loss="squared_error", seed=0).save(path, {"trained by": "Ada"})
    >>> load_with_metadata(path)[1]
    {'trained by': 'Ada'}
    """
    if os.path.isdir(path):
        raise IsADirectoryError(errno.EISDIR, "is a folder, expected a model file", os.fspath(path))
    data = Path(path).read_bytes()
    try:
        native, metadata = _core.read_model(data)
    except ValueError as error:
        advice = _recognize(data)
        raise ValueError(os.fspath(path) + (f" is not a chainrule model: {advice}" if advice else str(error))) from None
    network = Network.__new__(Network)
    network._native = native
    return network, metadata


def _recognize(data: bytes) -> str | None:
    """Say what a file of another kind is and what to do with it; None for a damaged model."""
    if data[8:9] == b"{":  # the header of a safetensors file, whatever its length begins with
        return None
    for start, advice in _OTHERS.items():
        if data.startswith(start):
            return advice
    if data and data[:1000].isascii() and not re.search(rb"[\0-\x08\x0e-\x1f]", data[:1000]):
        return "it is text: `chainrule train` makes a model of a table"
    return None
