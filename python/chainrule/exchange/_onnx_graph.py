"""The parts of an ONNX graph that computes what our estimators predict: features of a table, network, labels or values.

The operators are those of opset 13 and ai.onnx.ml 2. ONNX Runtime has some of them only in float32, and some are
inaccurate there: Sigmoid is 0 below -18. The formulas below avoid these.
"""

import dataclasses
import math
from collections.abc import Callable, Container, Iterator, Sequence
from typing import Any, TypeAlias

import numpy as np
from numpy.polynomial import chebyshev
from numpy.typing import DTypeLike, NDArray

from chainrule import _core
from chainrule._columns import FARTHEST, LevelColumn, NumberColumn, find_codes
from chainrule._frames import LARGEST
from chainrule._optional import require
from chainrule.table import TableEncoding
from chainrule.target import Target

OPSETS = {"": 13, "ai.onnx.ml": 2}
ROWS = "rows"  # the name of the first dimension of every input and output

_GAPS = ("", "nan", "None", "<NA>")  # the empty text, and str() of missing values
_BOOLEANS = ("true", "True", "TRUE", "false", "False", "FALSE", "0", "1", "0.0", "1.0")

Tensor: TypeAlias = str
"""The name of a tensor in a graph."""

Number: TypeAlias = float | NDArray[Any] | np.generic

Output: TypeAlias = tuple[str, Tensor, Any, list[Any]]
"""Name, tensor, dtype and shape of an output."""


class Graph:
    """The nodes and constants of a graph under construction.

    Parameters
    ----------
    dtype : dtype
        Type of the network, and of the numbers among the arguments of `node`.
    unique : callable
        Returns an unused name that begins with its argument.
    """

    def __init__(self, dtype: DTypeLike, unique: Callable[[str], str]) -> None:
        self.dtype: np.dtype[Any] = np.dtype(dtype)
        self.unique = unique
        self.nodes: list[Any] = []
        self.constants: list[Any] = []
        self._numbers: dict[Any, Tensor] = {}
        self._helper = require("onnx.helper", "onnx")
        self._from_array = require("onnx.numpy_helper", "onnx").from_array

    def node(self, kind: str, *inputs: Tensor | Number, domain: str = "", **attributes: Any) -> Tensor:
        """Add a node with one output. Numbers become constants: NumPy's keep their dtype, others get the network's."""
        names = [value if isinstance(value, str) else self._constant(value) for value in inputs]
        output = self.unique(kind)
        self.nodes.append(self._helper.make_node(kind, names, [output], output, domain=domain, **attributes))
        return output

    def _constant(self, value: Number) -> Tensor:
        array = np.asarray(value) if isinstance(value, np.ndarray | np.generic) else np.array(value, self.dtype)
        key = (array.dtype, array.tobytes()) if array.ndim == 0 else None  # only scalars are reused
        if key in self._numbers:
            return self._numbers[key]
        name = self.unique("constant")
        self.constants.append(self._from_array(np.ascontiguousarray(array).reshape(array.shape), name))
        if key is not None:
            self._numbers[key] = name
        return name

    @property
    def opsets(self) -> dict[str, int]:
        """The domains of the nodes, and their versions."""
        return {domain: OPSETS[domain] for domain in sorted({"", *(node.domain for node in self.nodes)})}

    def cast(self, x: Tensor, dtype: DTypeLike) -> Tensor:
        """Add a node that converts a tensor."""
        return self.node("Cast", x, to=self._helper.np_dtype_to_tensor_dtype(np.dtype(dtype)))

    def name(self, x: Tensor, name: str) -> None:
        """Give a tensor a second name, that of an output."""
        self.nodes.append(self._helper.make_node("Identity", [x], [name], name))

    def concat(self, parts: Sequence[Tensor]) -> Tensor:
        """Add a node that puts tensors side by side."""
        return parts[0] if len(parts) == 1 else self.node("Concat", *parts, axis=1)

    def pick(self, x: Tensor, columns: NDArray[np.intp], n_columns: int) -> Tensor:
        """Add a node that selects columns of a tensor; add nothing if all are selected."""
        return x if len(columns) == n_columns else self.node("Gather", x, columns, axis=1)

    def one_hot(self, codes: Tensor, width: int) -> Tensor:
        """Add a node that makes one-hot features of codes; all features are 0 for codes that are not below `width`."""
        features = self.node("OneHot", codes, np.array(width), np.array([0, 1], np.float32))
        return features if self.dtype == np.float32 else self.cast(features, self.dtype)


Formula: TypeAlias = Callable[[Graph, Tensor], Tensor]


def _operator(kind: str, **attributes: Any) -> Formula:
    return lambda g, z: g.node(kind, z, **attributes)


def _in_float32(kind: str, formula: Formula, **attributes: Any) -> Formula:
    """Return an operator that ONNX Runtime lacks in float64, with a formula for that type."""
    return lambda g, z: g.node(kind, z, **attributes) if g.dtype == np.float32 else formula(g, z)


def _logistic(g: Graph, z: Tensor) -> Tensor:
    """Add 1 / (1 + exp(-z)), which is accurate for small results, unlike Sigmoid."""
    return g.node("Div", 1, g.node("Add", 1, g.node("Exp", g.node("Neg", z))))


def _silu(g: Graph, z: Tensor) -> Tensor:
    return g.node("Div", z, g.node("Add", 1, g.node("Exp", g.node("Neg", z))))


def _expm1(g: Graph, z: Tensor) -> Tensor:
    return g.node("Sub", g.node("Exp", g.node("Min", z, 0)), 1)


def _elu(g: Graph, z: Tensor) -> Tensor:
    return g.node("Where", g.node("Greater", z, 0), z, _expm1(g, z))


_SELU, _SELU_ALPHA = 1.0507009873554804934193349852946, 1.6732632423543772848170429916717


def _selu(g: Graph, z: Tensor) -> Tensor:
    negative = g.node("Mul", _expm1(g, z), _SELU * _SELU_ALPHA)
    return g.node("Where", g.node("Greater", z, 0), g.node("Mul", z, _SELU), negative)


def _gelu(g: Graph, z: Tensor) -> Tensor:
    cumulative = g.node("Add", _in_float32("Erf", _erf)(g, g.node("Div", z, math.sqrt(2))), 1)
    return g.node("Mul", g.node("Mul", z, cumulative), 0.5)


def _erf(g: Graph, x: Tensor) -> Tensor:
    """Add erf(x) = s p(2 s² - 1) with s = x / 6 and a polynomial of degree 40, which Clenshaw's recurrence evaluates.

    The error is below 1e-14; erf(6) is 1 in float64.
    """

    def quotient(u: Any) -> Any:
        return np.array([math.erf(6 * s) / s for s in np.sqrt((u + 1) / 2)])

    coefficients = chebyshev.chebinterpolate(quotient, 40).tolist()
    s = g.node("Clip", g.node("Div", x, 6), -1, 1)
    twice = g.node("Sub", g.node("Mul", g.node("Mul", s, s), 4), 2)  # 2 u
    one, two = g.node("Mul", s, 0), g.node("Mul", s, 0)
    for coefficient in coefficients[:0:-1]:
        one, two = g.node("Add", g.node("Sub", g.node("Mul", twice, one), two), coefficient), one
    half = g.node("Mul", g.node("Mul", twice, one), 0.5)
    inner = g.node("Mul", s, g.node("Add", g.node("Sub", half, two), coefficients[0]))
    return g.node("Where", g.node("Less", g.node("Abs", s), 1), inner, s)


def _gelu_tanh(g: Graph, z: Tensor) -> Tensor:
    """Add z / (1 + exp(-2 u)) with u = sqrt(2/pi) (z + 0.044715 z³), since (1 + tanh(u)) / 2 = 1 / (1 + exp(-2 u))."""
    y = g.node("Clip", z, -16, 16)
    cubic = g.node("Mul", y, g.node("Add", g.node("Mul", g.node("Mul", y, y), 0.044715), 1))
    return g.node("Div", z, g.node("Add", 1, g.node("Exp", g.node("Mul", cubic, -2 * math.sqrt(2 / math.pi)))))


def _softplus(g: Graph, z: Tensor) -> Tensor:
    rest = g.node("Log", g.node("Add", 1, g.node("Exp", g.node("Neg", g.node("Abs", z)))))
    return g.node("Add", g.node("Max", z, 0), rest)


def _mish(g: Graph, z: Tensor) -> Tensor:
    """Add z w / (w + 2) with w = e (e + 2) and e = exp(z); the quotient is 1 above 40."""
    e = g.node("Exp", g.node("Min", z, 40))
    w = g.node("Mul", e, g.node("Add", e, 2))
    return g.node("Mul", z, g.node("Div", w, g.node("Add", w, 2)))


def _softsign(g: Graph, z: Tensor) -> Tensor:
    return g.node("Div", z, g.node("Add", 1, g.node("Abs", z)))


ACTIVATIONS: dict[str, Formula] = {
    "identity": lambda _, z: z,
    "logistic": _operator("Sigmoid"),
    "tanh": _operator("Tanh"),
    "relu": _operator("Relu"),
    "leaky_relu": _in_float32("LeakyRelu", lambda g, z: g.node("Max", z, g.node("Mul", z, 0.01)), alpha=0.01),
    "elu": _in_float32("Elu", _elu),
    "selu": _in_float32("Selu", _selu, alpha=_SELU_ALPHA, gamma=_SELU),
    "gelu": _gelu,
    "gelu_tanh": _gelu_tanh,
    "silu": _silu,
    "softplus": _in_float32("Softplus", _softplus),
    "mish": _mish,
    "hard_tanh": lambda g, z: g.node("Clip", z, -1, 1),
    "sin": _operator("Sin"),
    "softsign": _in_float32("Softsign", _softsign),
}
OUTPUTS: dict[str, Formula] = {
    "identity": lambda _, z: z,
    "logistic": _logistic,
    "exp": _operator("Exp"),
    "softmax": _operator("Softmax", axis=1),
}


def add_network(g: Graph, x: Tensor, network: Any, order: NDArray[np.intp] | None = None) -> Tensor:
    """Add the prediction of a network for the inputs x, which have this order."""
    weights = list(network.weights)
    if order is not None:
        weights[0] = weights[0][:, order]
    output = OUTPUTS[_core.LOSSES[network.loss_name].output]
    formulas = [*(ACTIVATIONS[name] for name in network.activations), output]
    for W, b, formula in zip(weights, network.biases, formulas, strict=True):
        x = formula(g, g.node("Gemm", x, W, b, transB=1))
    return x


def add_features(g: Graph, encoding: TableEncoding, inputs: Sequence[Tensor]) -> tuple[Tensor, NDArray[np.intp]]:
    """Add the features of a table, and return their places among those of `TableEncoding`.

    `inputs` are the columns with features, each of shape (rows, 1): doubles, or strings.
    """
    columns = [column for column in encoding.columns if column.width]
    starts = np.cumsum([0, *(column.width for column in columns)]).tolist()
    numbers, tensors, firsts = [], [], []
    parts: list[tuple[Tensor, Sequence[int]]] = []
    for column, x, start in zip(columns, inputs, starts, strict=False):
        if isinstance(column, NumberColumn):
            numbers.append(column)
            tensors.append(x)
            firsts.append(start)
        elif isinstance(column, LevelColumn):
            parts.append((_add_levels(g, column, x), range(start, start + column.width)))
    if numbers:
        parts = [*_add_numbers(g, numbers, g.concat(tensors), firsts), *parts]
    return g.concat([x for x, _ in parts]), np.concatenate([np.array(places) for _, places in parts])


def _add_numbers(
    g: Graph, columns: Sequence[NumberColumn], x: Tensor, starts: Sequence[int]
) -> Iterator[tuple[Tensor, Sequence[int]]]:
    """Add the features of numbers x, and yield them with their places; `starts` has the first of each column."""
    medians = np.array([column.median for column in columns])
    scales = np.array([column.scale or np.inf for column in columns])
    one, limit = np.float64(1), np.float64(FARTHEST)
    missing = g.node("IsNaN", x)
    present = g.node("Clip", g.node("Where", missing, medians, x), np.float64(-LARGEST), np.float64(LARGEST))
    scaled = g.node("Clip", g.node("Div", g.node("Sub", present, medians), scales), -limit, limit)
    third = g.node("Div", scaled, np.float64(3))
    values = g.node("Div", scaled, g.node("Sqrt", g.node("Add", g.node("Mul", third, third), one)))
    has_bins = any(column.edges for column in columns)
    if not has_bins:  # only rows with bins are encoded in float64
        values = g.cast(values, np.float32)
    yield g.cast(values, g.dtype), starts
    for n_bins in sorted({column.n_bins for column in columns} - {0}):
        owners = np.array([i for i, column in enumerate(columns) if column.n_bins == n_bins])
        edges = np.array([columns[i].edges for i in owners])
        below = g.node("Sub", g.node("Unsqueeze", g.pick(present, owners, len(columns)), np.array([2])), edges[:, :-1])
        shares = g.node("Reshape", g.node("Div", below, np.diff(edges)), np.array([0, edges.size - len(edges)]))
        places = [starts[i] + 1 + j for i in owners for j in range(n_bins)]
        yield g.node("Clip", g.cast(shares, g.dtype), 0, 1), places
    gaps = [i for i, column in enumerate(columns) if column.indicator]
    if gaps:
        yield (
            g.cast(g.pick(missing, np.array(gaps), len(columns)), g.dtype),
            [starts[i] + columns[i].width - 1 for i in gaps],
        )


def _add_levels(g: Graph, column: LevelColumn, x: Tensor) -> Tensor:
    """Add the features of levels."""
    texts = Texts.of(column)
    keys = {"keys_strings": list(texts.codes), "values_int64s": list(texts.codes.values())}
    flat = g.node("Squeeze", x, np.array([1]))
    code = g.node("LabelEncoder", flat, domain="ai.onnx.ml", default_int64=texts.code_of_others, **keys)
    return g.one_hot(code, column.width)


@dataclasses.dataclass(frozen=True)
class Texts:
    """The texts that the graph knows for a column of levels.

    Attributes
    ----------
    codes : dict of str to int
        The feature of each text, or the number of features if all are 0.
    code_of_others : int
        The feature of all other texts.
    gap : str
        The text for a missing value: the empty text, unless it is a level.
    other : str
        A text that the graph does not know.
    """

    codes: dict[str, int]
    code_of_others: int
    gap: str
    other: str

    @classmethod
    def of(cls, column: LevelColumn) -> "Texts":
        """Find the texts of a column.

        A graph can neither trim nor parse a text, so it lists the texts: each level, also with and without ".0" if it
        is a whole number, and names of booleans; each of these also with a blank before or after it.
        """
        plain = [text for level in map(str.strip, column.levels) for text in (level, level.removesuffix(".0"))]
        names = [*column.levels, *plain, *(f"{text}.0" for text in plain), *_BOOLEANS]
        texts = list(dict.fromkeys(text for name in names for text in (name, f" {name}", f"{name} ", f" {name} ")))
        found = find_codes(np.arange(len(texts)), texts, column.levels, unseen=-1, missing=-1).tolist()
        codes = {text: code for text, code in zip(texts, found, strict=False) if code >= 0}
        gaps = [text for text in _GAPS if text not in codes] or [unused("missing", codes)]
        codes |= dict.fromkeys(gaps, column.width - 1 if column.missing else column.width)
        return cls(codes, len(column.levels) if column.other else column.width, gaps[0], unused("other", codes))


def unused(name: str, used: Container[str]) -> str:
    """Return a name that is not used: the name, or the name with underscores appended."""
    while name in used:
        name += "_"
    return name


def add_predictions(g: Graph, target: Target, x: Tensor, n_outputs: int) -> list[Output]:
    """Add what `Target.decode` and `Target.probabilities` compute from the network's prediction x."""
    if target.classes is None:
        return [_add_values(g, target, x, n_outputs)]
    if target.multilabel:
        labels = g.cast(g.node("Greater", x, 0.5), np.int64)
        return [("label", labels, np.int64, [ROWS, n_outputs]), ("probabilities", x, g.dtype, [ROWS, n_outputs])]
    classes = _label_array(target.classes)
    if n_outputs == 1:
        numbers = g.cast(g.node("Squeeze", g.node("Greater", x, 0.5), np.array([1])), np.int64)
        x = g.concat([g.node("Sub", 1, x), x])
    else:
        numbers = g.node("ArgMax", x, axis=1, keepdims=0)
    if len(classes) == 1:
        numbers = g.node("Mul", numbers, np.array(0))
        x = g.one_hot(numbers, 1)
    label = g.node("Gather", classes, numbers)
    return [("label", label, classes.dtype, [ROWS]), ("probabilities", x, g.dtype, [ROWS, len(classes)])]


def _label_array(classes: NDArray[Any]) -> NDArray[Any]:
    """Return classes as int64, float64 or booleans, or text as objects."""
    labels = np.array(classes.tolist())
    return labels.astype(object) if labels.dtype.kind == "U" else labels


def _add_values(g: Graph, target: Target, x: Tensor, n_outputs: int) -> Output:
    dtype = g.dtype
    if n_outputs == 1:
        x = g.node("Squeeze", x, np.array([1]))
    if target.standardizer is not None or target.bounds is not None:
        dtype = np.dtype(np.float64)
        x = g.cast(x, dtype)
    if target.standardizer is not None:
        x = g.node("Mul", x, np.asarray(target.standardizer.std, dtype))
        x = g.node("Add", x, np.asarray(target.standardizer.mean, dtype))
    if target.bounds is not None:
        low, high = np.asarray(target.bounds, dtype)
        x = g.node("Min", g.node("Max", x, np.asarray(low)), np.asarray(high))
    return ("value", x, dtype, [ROWS]) if n_outputs == 1 else ("values", x, dtype, [ROWS, n_outputs])
