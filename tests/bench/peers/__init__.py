"""The peers, including chainrule: one module each, all with the same functions.

    train(problem, n_threads, shuffle) -> Session      predict(problem, n_threads) -> Session
    train_many(problem, n_threads, shuffle) -> Session, of several models; its result is their parameters

Each peer uses its fastest comparable setting: buffers, compilation and warm-up before the clock starts, and its fastest
optimizer. It need not compute the loss that chainrule reports for each epoch.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Any


@dataclass(frozen=True)
class Session:
    """A prepared workload. `run(n)` makes n epochs or n predictions; `result()` returns parameters or predictions."""

    run: Callable[[int], object]
    result: Callable[[], Any]


def one_after_the_other(sessions: list[Session]) -> Session:
    """Return the session of several models for a peer that trains one at a time."""

    def run(epochs: int) -> None:
        for session in sessions:
            session.run(epochs)

    return Session(run, lambda: [session.result() for session in sessions])


@dataclass(frozen=True)
class Peer:
    """The module of a peer, and the package that it needs."""

    package: str
    module: str
    trains: bool = True  # False: it only predicts

    @property
    def installed(self) -> bool:
        """True if its package can be imported."""
        return find_spec(self.package) is not None


OURS = "chainrule"
PEERS = {
    OURS: Peer("chainrule", "peers.chainrule_peer"),
    "numpy": Peer("numpy", "peers.numpy_peer"),
    "torch": Peer("torch", "peers.torch_peer"),
    "torch_compiled": Peer("torch", "peers.torch_compiled_peer"),
    "jax": Peer("jax", "peers.jax_peer"),
    "sklearn": Peer("sklearn", "peers.sklearn_peer"),
    "onnxruntime": Peer("onnxruntime", "peers.onnx_peer", trains=False),
}
