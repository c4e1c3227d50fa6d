"""Fuzzes `load` (networks, estimators) and `load_checkpoint`: python tests/fuzz/loaders.py [seconds for each] [seed].

Headers are changed as JSON and as bytes; lengths are usually corrected and checksums removed, so that these do not
detect the damage first. A loader may return a network that predicts, or raise ValueError; anything else is a bug.
"""

import copy
import json
import random
import sys
import tempfile
import time
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

import chainrule as cr
from chainrule.model_file import read_model

DEEP, DIGITS = "<deep>", "<digits>"  # stand for what the json module cannot write
VALUES = [None, True, -1, 0, 1, 2, 3, 2**31, 2**62, 2**63, 2**64, 10**30, 1.5, -0.0, float("nan"), float("inf"), "",
          "F32", "float64", "float32", "relu", "x" * 300, "\0", "é", "\ud800", [], {}, [0], [[1]], {"a": 1},
          [2**40, 2**40], [0, 10**30], [1] * 70, DEEP, DIGITS]  # fmt: skip


def networks() -> Iterator[cr.Network]:
    """Yield networks that together use every field of the description in a file."""
    yield cr.Network([2, 3, 1], loss="squared_error", seed=0)
    yield cr.Network(
        [1, 2, 2, 3], activation=["tanh", "gelu"], loss=cr.SoftmaxCrossEntropy(0.1), dtype="float64", seed=1
    )
    yield cr.Network([1, 2], loss=cr.Quantile([0.1, 0.9]), seed=2)


def models(folder: Path) -> list[bytes]:
    """Return model files."""
    path = folder / "model.safetensors"
    files = []
    for network in networks():
        network.save(path, {"by": "Ada"})
        files.append(path.read_bytes())
    return files


def estimators(folder: Path) -> list[bytes]:
    """Return model files of estimators, of tables and of plain numbers."""
    path, files = folder / "estimator.safetensors", []
    X = np.linspace(0, 1, 12).reshape(6, 2)
    y = np.array(["a", "b", "c"] * 2)
    table = np.array([[1.5, "x"], [2.5, "y"], [None, "x"]] * 2, dtype=object)
    options: dict[str, Any] = {"hidden_layer_sizes": 2, "max_iter": 1, "random_state": 0}
    for estimator, rows, targets in (
        (cr.MLPClassifier(**options, solver=cr.AdamW(), class_weight={"a": 2.0}), X, y),
        (cr.MLPClassifier(**options, preprocess=True, n_iter_no_change=np.inf), table, y == "a"),
        (cr.MLPRegressor(**options, preprocess=True, loss=cr.Quantile([0.1, 0.9])), table, X[:, 0]),
    ):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # one epoch does not converge
            estimator.fit(rows, targets)
        estimator.save(path)
        files.append(path.read_bytes())
    return files


def checkpoints(folder: Path) -> list[bytes]:
    """Return checkpoints."""
    path = folder / "training.checkpoint"
    files = []
    for network in networks():
        X = np.linspace(0, 1, 4 * network.layer_sizes[0]).reshape(4, -1)
        y = np.eye(4, 1 if network.loss_name == "quantile" else network.layer_sizes[-1])
        network.fit(X, y, epochs=2, ema=0.5, callbacks=[cr.Checkpoint(path)])
        files.append(path.read_bytes())
    return files


def places(value: Any) -> Iterator[tuple[Any, Any]]:
    """Yield all (container, key) within a JSON value; the texts of a model's metadata too, as they hold JSON."""
    for key, item in list(value.items() if isinstance(value, dict) else enumerate(value)):
        yield value, key
        if isinstance(item, dict | list):
            yield from places(item)


def change_json(random: random.Random, value: Any) -> None:
    """Replace, remove, double or rename an entry somewhere in a JSON object."""
    container, key = random.choice(list(places(value)) or [(value, None)])
    action = random.randrange(6)
    if key is None or (action == 0 and isinstance(container, dict)):
        name = random.choice(["format", "epoch", "weights.9", "arrays", "__metadata__", "x"])
        container[name] = copy.deepcopy(random.choice(VALUES))
    elif action == 1:
        del container[key]
    elif action == 2 and isinstance(container, list):
        container.insert(key, container[key])
    elif action == 3 and isinstance(container[key], int):
        container[key] += random.choice([-1, 1, 2**32, 2**63])
    else:
        container[key] = copy.deepcopy(random.choice(VALUES))


def change_bytes(random: random.Random, data: bytes) -> bytes:
    """Flip, remove, insert or repeat some bytes."""
    begin = random.randrange(len(data) + 1)
    end = min(len(data), begin + random.choice([1, 1, 2, 8, 64]))
    middle = random.choice([b"", data[begin:end] * 2, random.randbytes(end - begin), b"\0\xff"])
    return data[:begin] + middle + data[end:]


def text_of(random: random.Random, header: Any) -> bytes:
    text = json.dumps(header, ensure_ascii=random.random() < 0.5).encode(errors="surrogatepass")
    text = text.replace(json.dumps(DEEP).encode(), b"[" * 100_000).replace(json.dumps(DIGITS).encode(), b"9" * 5000)
    return change_bytes(random, text) if random.random() < 0.2 else text


def changed_header(random: random.Random, part: bytes) -> bytes:
    """Change data that begins with the length of a JSON header and the header."""
    end = 8 + int.from_bytes(part[:8], "little")
    header, rest = json.loads(part[8:end]), part[end:]
    described = header.get("__metadata__", {})
    if random.random() < 0.95:
        described.pop("chainrule.sha256", None)
    entries = [key for key in ("chainrule", "chainrule.estimator", "chainrule.state") if key in described]
    entry = entries[-1] if random.random() < 0.7 and entries else "chainrule"
    inner = json.loads(described[entry]) if entries else None
    for _ in range(random.choice([0, 1, 1, 2, 4])):
        change_json(random, inner if inner is not None and random.random() < 0.6 else header)
    if inner is not None and isinstance(header.get("__metadata__"), dict):
        header["__metadata__"][entry] = text_of(random, inner).decode(errors="replace")
    text = text_of(random, header)
    if random.random() < 0.3:
        rest = change_bytes(random, rest)
    length = len(text) + random.choice([0] * 30 + [1, -1, 2**40])
    return max(length, 0).to_bytes(8, "little") + text + rest


def changed_model(random: random.Random, data: bytes) -> bytes:
    """Return a damaged model file."""
    return changed_header(random, data) if random.random() < 0.9 else change_bytes(random, data)


def load_model(path: Path) -> cr.Network:
    return cr.load(path)


def load_estimator(path: Path) -> cr.Network:
    """Load an estimator with `load` and with `read_model`, or a network."""
    loaded, model = cr.load(path), read_model(path)
    if isinstance(loaded, cr.Network):
        return loaded
    assert type(loaded).__name__ == model.kind
    outputs = model.network.predict(np.zeros((2, model.network.layer_sizes[0])))
    assert len(model.target.decode(outputs)) == len(model.target.probabilities(outputs)) == 2
    return loaded.network_


def load_checkpoint(path: Path) -> cr.Network:
    network, state = cr.load_checkpoint(path)
    inputs = network.layer_sizes[0]
    try:  # a state that does not fit the network is refused as well
        y = np.zeros((2, network.layer_sizes[-1]), network.dtype)
        network.fit(np.zeros((2, inputs)), y, epochs=1, ema=0.5, resume=state)
    except (ValueError, cr.DivergenceError):
        pass
    return network


Change = Callable[[random.Random, bytes], bytes]
KINDS: dict[str, tuple[Callable[[Path], list[bytes]], Change, Callable[[Path], cr.Network]]] = {
    "model": (models, changed_model, load_model),
    "estimator": (estimators, changed_model, load_estimator),
    "checkpoint": (checkpoints, changed_model, load_checkpoint),
}


def attempt(kind: str, path: Path) -> bool:
    """Load a file; return whether the loader accepted it."""
    try:
        network = KINDS[kind][2](path)
    except ValueError:
        return False
    out = network.predict(np.zeros((2, network.layer_sizes[0])))
    assert out.shape == (2, network.layer_sizes[-1])
    return True


def fuzz(kind: str, folder: Path, seed: int, more: Callable[[int], bool]) -> tuple[int, int]:
    """Damage files as long as more(count) is true; return their number, and how many the loader accepted."""
    make, change, _ = KINDS[kind]
    files, path, count, taken = make(folder), folder / f"fuzzed.{kind}", 0, 0
    while more(count):
        chance = random.Random(f"{seed} {count}")
        path.write_bytes(change(chance, chance.choice(files)))
        try:
            taken += attempt(kind, path)
        except BaseException:
            print(f"{kind} {count} of seed {seed} is in {path}")
            raise
        count += 1
    return count, taken


def main(seconds: float = 600, seed: int = 0) -> None:
    """Fuzz each loader."""
    for kind in KINDS:
        end = time.monotonic() + seconds
        count, taken = fuzz(kind, Path(tempfile.mkdtemp()), seed, lambda _, end=end: time.monotonic() < end)
        print(f"{kind}: {count} files, {taken} of them taken, no fault", flush=True)


if __name__ == "__main__":
    main(*map(float, sys.argv[1:2]), *map(int, sys.argv[2:3]))
