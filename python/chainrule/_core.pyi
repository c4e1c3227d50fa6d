"""The extension module: the C++ core as functions and classes on NumPy arrays. The public interface is `chainrule`."""

from collections.abc import Callable, Mapping, Sequence
from os import PathLike
from typing import Any, Generic, Protocol, TypeAlias, TypeVar, type_check_only

import numpy as np
from numpy.typing import ArrayLike, NDArray

from chainrule._names import ActivationName, InitName, LossName

_Scalar = TypeVar("_Scalar", np.float32, np.float64)
_Array: TypeAlias = NDArray[np.floating[Any]]
_Params: TypeAlias = Sequence[tuple[ArrayLike, ArrayLike]]
_Path: TypeAlias = str | PathLike[str]
_Loss: TypeAlias = tuple[str, Sequence[float]]  # its name and parameters

__version__: str

class DivergenceError(FloatingPointError): ...

# Process-wide
def set_num_threads(n_threads: int | None) -> None: ...
def get_num_threads() -> int: ...
def available_isas() -> list[str]: ...
def get_isa() -> str: ...
def set_isa(name: str) -> None: ...
def build_config() -> dict[str, Any]: ...

# The lists that drive checks, tests and documentation: the names and traits in cpp/include/chainrule/names.h
@type_check_only
class ActivationTraits:
    formula: str
    init: InitName
    slope_reads: str

@type_check_only
class LossTraits:
    formula: str
    output: str
    targets: str
    of_classes: bool
    unit_free: bool
    metric: str | None
    best_constant: str
    parameter: str | None
    default: float
    one_per_output: bool

@type_check_only
class MetricTraits:
    meaning: str
    more_is_better: bool
    of_classes: bool
    unit_free: bool
    undefined: str

ACTIVATIONS: Mapping[str, ActivationTraits]
LOSSES: Mapping[str, LossTraits]
METRICS: Mapping[str, MetricTraits]
INITS: tuple[str, ...]
COLUMN_KINDS: tuple[str, ...]  # of BinnedRows
PRECISIONS: tuple[str, ...]

def check_loss_parameter(loss: str, called: str, value: float) -> None: ...
def score(
    metric: str, loss: str, predictions: ArrayLike, y: ArrayLike, sample_weight: ArrayLike | None = None
) -> float: ...

# Array functions. They compute in the dtype of params, to which X and Y are converted
def init_params(layer_sizes: Sequence[int], init: str, seed: int, dtype: str) -> list[tuple[_Array, _Array]]: ...
def forward(
    params: _Params, X: ArrayLike, activations: Sequence[str], loss: _Loss, n_threads: int | None = None
) -> tuple[list[_Array], list[_Array]]: ...
def cost(
    params: _Params,
    logits: ArrayLike,
    Y: ArrayLike,
    loss: _Loss,
    sample_weight: ArrayLike | None = None,
    l2: float = 0.0,
) -> float: ...
def backward(
    params: _Params,
    z: Sequence[ArrayLike],
    a: Sequence[ArrayLike],
    Y: ArrayLike,
    activations: Sequence[str],
    loss: _Loss,
    sample_weight: ArrayLike | None = None,
    l2: float = 0.0,
    n_threads: int | None = None,
) -> tuple[list[tuple[_Array, _Array]], list[_Array]]: ...
def losses(logits: ArrayLike, Y: ArrayLike, loss: _Loss) -> _Array: ...
def update(
    params: _Params, grads: _Params, learning_rate: float, out: _Params | None = None
) -> list[tuple[_Array, _Array]]: ...

# The fields of each options struct: (name, type, default, range, meaning, names in other libraries)
SETTINGS: dict[str, tuple[tuple[str, str, Any, str, str, str], ...]]

# Raises the ValueError that fit would raise, so that an invalid setting is reported where it is constructed. The object
# has the name of the options struct as core_name, and the settings as attributes
def check_settings(settings: Any) -> None: ...

# Writes columns to a row-major matrix of float32 or float64
def write_columns(columns: Sequence[NDArray[Any]], out: NDArray[Any]) -> None: ...

# For tests and benchmarks: products of matrices with any strides, cache sizes, dropout factors, peak speed
def gemm(a: _Array, b: _Array, n_threads: int | None = None, out: _Array | None = None) -> _Array: ...
def set_caches(sizes: str) -> None: ...
def gemm_bf16(a: _Array, b: _Array, n_threads: int | None = None, out: _Array | None = None) -> _Array: ...
def dropout_factors(rows: int, columns: int, place: int, rate: float, seed: int, step: int, dtype: str) -> _Array: ...
def peak_gflops(dtype: str, n_threads: int = 1, seconds: float = 0.2) -> float: ...

@type_check_only
class _Rows(Protocol):  # chainrule.Rows
    @property
    def shape(self) -> tuple[int, int]: ...
    @property
    def reader(self) -> Callable[[Any, int], Any]: ...

class _Network(Generic[_Scalar]):
    def __init__(
        self, layer_sizes: Sequence[int], activations: Sequence[str], loss: _Loss, init: str, seed: int
    ) -> None: ...
    @property
    def layer_sizes(self) -> list[int]: ...
    @property
    def activations(self) -> list[ActivationName]: ...
    @property
    def loss(self) -> LossName: ...
    @property
    def loss_parameters(self) -> list[float]: ...
    @property
    def init(self) -> InitName: ...
    @property
    def seed(self) -> int: ...
    @property
    def parameters(self) -> NDArray[_Scalar]: ...
    @property
    def weights(self) -> list[NDArray[_Scalar]]: ...
    @property
    def biases(self) -> list[NDArray[_Scalar]]: ...
    def logits(self, X: ArrayLike | _Rows, n_threads: int | None = None) -> NDArray[_Scalar]: ...
    def predict(self, X: ArrayLike | _Rows, n_threads: int | None = None) -> NDArray[_Scalar]: ...
    def hidden_activations(
        self, X: ArrayLike | _Rows, layer: int, n_threads: int | None = None
    ) -> NDArray[_Scalar]: ...
    def cost(
        self,
        X: ArrayLike | _Rows,
        y: ArrayLike | None,
        sample_weight: ArrayLike | None = None,
        l2: float = 0.0,
        n_threads: int | None = None,
    ) -> float: ...
    def loss_and_gradients(
        self,
        X: ArrayLike | _Rows,
        y: ArrayLike | None,
        sample_weight: ArrayLike | None = None,
        l2: float = 0.0,
        inputs: bool = False,
        n_threads: int | None = None,
        loss: Callable[[Any, Any, Any], tuple[float, Any]] | None = None,
    ) -> tuple[float, NDArray[_Scalar], NDArray[_Scalar] | None]: ...
    # part: the members of BatchPart. Returns the gradient, the sums of the losses, and the number of rows
    def partial_gradients(
        self,
        X: ArrayLike | _Rows,
        y: ArrayLike | None,
        sample_weight: ArrayLike | None,
        part: dict[str, Any],
        n_threads: int | None = None,
    ) -> tuple[NDArray[_Scalar], NDArray[np.float64], int]: ...
    # request: see FitRequest in cpp/bindings/training.cpp
    def fit(
        self,
        X: ArrayLike | _Rows,
        y: ArrayLike | None,
        request: dict[str, Any],
        *,
        sample_weight: ArrayLike | None = None,
        n_threads: int | None = None,
    ) -> dict[str, Any]: ...
    # One request per network; on_finished receives the index of a network, and the result or the exception of its fit
    @staticmethod
    def fit_many(
        networks: list[Any],
        X: ArrayLike | _Rows,
        y: ArrayLike | None,
        requests: list[dict[str, Any]],
        *,
        sample_weight: ArrayLike | None,
        on_finished: Callable[[int, dict[str, Any] | Exception], object],
        more_epochs: Callable[[], int] | None,
        n_threads: int | None,
    ) -> None: ...

    # Returns the bytes of a model file, or of a checkpoint if there are arrays of a state, which must be contiguous
    def write_model(self, metadata: Mapping[str, str], state: Mapping[str, _Array]) -> bytes: ...

class NetworkFloat32(_Network[np.float32]): ...
class NetworkFloat64(_Network[np.float64]): ...

# Returns the network, metadata and state of a file. The message of a ValueError continues a sentence that begins with
# the name of the file
def read_model(file: bytes) -> tuple[NetworkFloat32 | NetworkFloat64, dict[str, str], dict[str, _Array]]: ...

# Files, see cpp/files/disk.h. An OSError has the path as its filename
def write_file(path: _Path, content: bytes) -> None: ...
def is_descriptor(path: _Path) -> bool: ...
def remove_leftovers(path: _Path) -> None: ...
