"""Writes a network or an estimator as a C99 header: the methods ``to_c`` of `Network` and of the estimators."""

import os
from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from chainrule import _core
from chainrule._arguments import dtype_name, one_of, text
from chainrule._columns import DateColumn, Encoder, LevelColumn, NumberColumn, simplified
from chainrule._disk import StrPath, write_atomically
from chainrule._formats import TIME, DateFormat, NumberFormat
from chainrule.exchange import _c_code, _c_rows
from chainrule.exchange._c_layers import FEW, Layer, store, store_table
from chainrule.exchange._c_text import array, identifiers, is_identifier, number, numbers, quoted, string
from chainrule.exchange._model import ReducedModel, reduce
from chainrule.losses import to_core

_CLOSE = {"float32": 1e-4, "float64": 1e-9}  # relative differences that the self-test allows


def to_c(
    subject: Any, path: StrPath, *, name: str | None = None, dtype: Any = None, weights: str | None = None
) -> None:
    """Write a network or a fitted estimator as a C99 header; the methods ``to_c`` describe the arguments."""
    if name is None:
        name = identifiers([os.path.basename(os.fspath(path)).partition(".")[0]])[0].rstrip("_")
    if not is_identifier(text("name", name)):
        raise ValueError(f"name is {name!r}, expected letters, digits and single underscores, such as 'house_prices'")
    if weights is not None:
        one_of("weights", weights, ("int8",))
    model = reduce(subject)
    if not np.isfinite(model.network.parameters).all():
        raise ValueError("the network has parameters that are NaN or infinite")
    if unknown := sorted({*model.network.activations} - _c_code.ACTIVATIONS.keys()):
        raise ValueError(f"to_c has no formula for the activation {unknown[0]!r}")
    chosen = model.network.dtype.name if dtype is None else dtype_name(dtype)
    if np.abs(model.network.parameters).max() > np.finfo(chosen).max:
        raise ValueError(f"the network has parameters that are too large for {chosen}")
    header = _Header(model, hasattr(subject, "get_params"), name, chosen, weights is not None)
    write_atomically(path, header.text().encode("ascii"))


class _Header:
    """Makes a header.

    Parameters
    ----------
    model : ReducedModel
        The model to write.
    is_estimator : bool
        Whether it is an estimator, not a network.
    name : str
        The prefix of all names.
    dtype : str
        Type of the arithmetic, "float32" or "float64".
    is_int8 : bool
        Whether weights are integers of 8 bits.
    """

    def __init__(self, model: ReducedModel, is_estimator: bool, name: str, dtype: str, is_int8: bool) -> None:
        self.model, self.is_estimator = model, is_estimator
        self.name, self.dtype, self.is_int8 = name, dtype, is_int8
        self.network, self.target = model.network, model.target
        self.sizes = self.network.layer_sizes
        self.activations = self.network.activations
        self.output = str(_core.LOSSES[self.network.loss_name].output)
        pairs = [(W.astype(np.float64), b.astype(np.float64)) for W, b in self._parameters()]
        self.layers = [store(W, b, is_int8) for W, b in pairs]
        self.columns = [] if model.encoder is None else [column for column in model.encoder.columns if column.width]
        self.fields = identifiers([column.name for column in self.columns])
        self.layout = [part for column in self.columns for part in column.layout]
        if self.columns:
            self.layers[0] = store_table(*pairs[0], self.layout, is_int8)
        self.labels = [string(label, "the class") for label in self.target.labels]
        self.returns_class = self.target.classes is not None and not self.target.multilabel
        self.is_constant = self.returns_class and len(self.labels) == 1  # a single class needs no network
        self.n_results = len(self.labels) if self.returns_class else self.sizes[-1]
        self.has_values = self.target.classes is None and is_estimator
        self.real = "float" if dtype == "float32" else "double"
        self.result = "double" if self.has_values else self.real
        self.argument = f"const struct {name}_row *row" if self.columns else f"const {self.real} *x"

    def _parameters(self) -> Iterator[tuple[NDArray[Any], NDArray[Any]]]:
        return zip(self.network.weights, self.network.biases, strict=True)

    def text(self) -> str:
        """Return the header."""
        body = self._predict() if self.is_constant else self._network() + self._predict()
        used = {*self.activations} - {"identity"}
        functions = "" if self.is_constant else "".join(map(_c_code.define_activation, sorted(used)))
        if not self.is_constant and self.output != "identity":
            functions += _c_code.define_output(self.output)
        functions = _c_code.define(functions + body, self.dtype) + functions
        macro = self.name.upper()
        parts = [
            self._introduction(),
            f"#ifndef {macro}_H\n#define {macro}_H\n\n#include <math.h>\n",
            self._declarations(),
            self._spell(functions).lstrip(),
            *([] if self.is_constant else self._data()),
            self._spell(body),
            self._self_test(),
            "#endif\n",
        ]
        return "\n".join(parts)

    def _spell(self, code: str) -> str:
        return _c_code.instantiate(code, self.name, self.dtype, "signed char" if self.is_int8 else self.real)

    def _array(self, kind: str, name: str, values: Any, dtype: str) -> str:
        return array(f"{kind} {self.name}_{name}", numbers(values, dtype))

    def _introduction(self) -> str:
        """Return the comment at the beginning."""
        name, n = self.name, self.n_results
        what = f"A fitted {self.model.kind}" if self.is_estimator else "A network"
        lines = [f"{what}, written by chainrule {_core.__version__}. It needs C99 or C++ and <math.h>.", ""]
        which = f"p[0] ... p[{n - 1}]" if n > 1 else "p[0]"
        if self.returns_class:
            lines.append(f"  int {name}_predict({self.argument}, {self.result} *p)")
            lines.append(
                f"    writes the probabilities {which} of the classes {name}_labels, and returns the index of the"
            )
            lines.append("    most probable class.")
        elif self.labels:
            lines.append(f"  void {name}_predict({self.argument}, {self.result} *p)")
            lines.append(f"    writes the probabilities {which} of the labels {name}_labels.")
        else:
            lines.append(f"  void {name}_predict({self.argument}, {self.result} *y)")
            lines.append(f"    writes the prediction {which.replace('p', 'y')}.")
        if not self.columns:
            lines.append(f"    x has {self.sizes[0]} numbers.")
        lines += [
            "",
            "This command compares predictions with those that the header holds:",
            f"  cc -x c -D{name.upper()}_SELF_TEST -o self_test {name}.h -lm && ./self_test",
        ]
        return "\n".join(["/*", *(f" * {line}".rstrip() for line in lines), " */"])

    def _declarations(self) -> str:
        """Return the constants, the struct of a row and the labels."""
        macro = self.name.upper()
        lines = [f"typedef char {self.name}_needs_int_of_32_bits[sizeof(int) < 4 ? -1 : 1];", ""]
        lines += [] if self.columns else [f"#define {macro}_INPUTS {self.sizes[0]}"]
        lines.append(f"#define {macro}_OUTPUTS {self.n_results}")
        if self.columns:
            lines += ["", "/* A row of the table. A missing number is NAN, a missing text a null pointer. */"]
            lines.append(f"struct {self.name}_row {{")
            for column, field in zip(self.columns, self.fields, strict=True):
                kind = "const char *" if isinstance(column, LevelColumn) else "double "
                lines.append(f"  {kind}{field}; /* {quoted(column.name)}{_describe(column)} */")
            lines.append("};")
        if self.labels:
            lines += ["", array(f"char *const {self.name}_labels", self.labels)]
        return "\n".join(lines) + "\n"

    def _data(self) -> Iterator[str]:
        """Yield the definitions of bin edges, levels, weights and the scale of the target."""
        for i, column in enumerate(self.columns):
            if isinstance(column, LevelColumn) and column.levels:
                yield from self._levels(i, column)
            elif isinstance(column, NumberColumn) and column.edges:
                yield self._array("double", f"edges{i}", column.edges, "float64")
        weight = ("signed char", "int8") if self.is_int8 else (self.real, self.dtype)
        for i, layer in enumerate(self.layers, 1):
            yield self._array(weight[0], f"w{i}", layer.stored, weight[1])
            if layer.scale is not None:
                yield self._array(self.real, f"s{i}", layer.scale, self.dtype)
            yield self._array(self.real, f"b{i}", layer.bias, self.dtype)
        scale: dict[str, Any] = {}
        if self.target.standardizer is not None:
            scale |= {"std": self.target.standardizer.std, "mean": self.target.standardizer.mean}
        if self.target.bounds is not None:
            scale |= dict(zip(("least", "greatest"), self.target.bounds, strict=True))
        for name, values in scale.items():
            yield self._array("double", name, np.broadcast_to(values, self.n_results), "float64")

    def _levels(self, i: int, column: LevelColumn) -> Iterator[str]:
        """Yield the definitions of the levels of column i."""
        alike, is_boolean = simplified(column.levels)
        exact = {level: code for code, level in enumerate(column.levels)}
        groups = [sorted(group.items(), key=_bytes) for group in ({} if exact == alike else exact, alike)]
        what = f"column {column.name!r:.100}: the level"
        yield array(f"char *const {self.name}_texts{i}", [string(level, what) for g in groups for level, _ in g])
        yield array(f"int {self.name}_codes{i}", [code for group in groups for _, code in group])
        pointers = f"{self.name}_texts{i}", f"{self.name}_codes{i}"
        values = ", ".join(map(str, [*pointers, *map(len, groups), int(is_boolean), *_unlisted(column)]))
        yield f"static const struct {self.name}_levels {self.name}_levels{i} = {{{values}}};"

    def _network(self) -> str:
        """Return the function that computes the outputs of the network."""
        hidden = ", ".join(f"h{i}[{size}]" for i, size in enumerate(self.sizes[1:-1], 1))
        name = "network" if self.is_estimator else "predict"
        inputs = "const struct NAME_row *row" if self.columns else "const REAL *x"
        lines = [f"static inline void NAME_{name}({inputs}, REAL *y) {{"]
        if hidden:
            lines.append(f"  REAL {hidden};")
        for i, layer in enumerate(self.layers, 1):
            x = "x" if i == 1 else f"h{i - 1}"
            z = "y" if i == len(self.layers) else f"h{i}"
            n = self.sizes[i]
            lines.append(f"  NAME_zero({n}, {z});" if self.is_int8 else f"  NAME_copy({n}, NAME_b{i}, {z});")
            lines += self._lookups(z) if i == 1 and self.columns else [_products(layer, i, x, z)]
            if self.is_int8:
                lines.append(f"  NAME_scale({n}, NAME_s{i}, NAME_b{i}, {z});")
            if i < len(self.layers) and self.activations[i - 1] != "identity":
                lines.append(f"  NAME_{self.activations[i - 1]}_layer({n}, {z});")
        if self.output != "identity":
            lines.append(f"  NAME_{self.output}_output({self.sizes[-1]}, y);")
        return "\n".join(["", *lines, "}", ""])

    def _lookups(self, z: str) -> Iterator[str]:
        """Yield the statements that add the weights of each column of a table."""
        n = self.sizes[1]
        rows = (f"NAME_w1 + {n * start}" for start in self.layers[0].starts)
        one = number(1.0, self.dtype)
        if any(isinstance(column, NumberColumn) for column in self.columns):
            yield "  double v;"
        if any(isinstance(column, LevelColumn) for column in self.columns):
            yield "  int k;"
        # The features of a table without bins are float32 for any type of the network.
        cast = "REAL" if any(kind == "bins" for kind, _ in self.layout) else "float"
        for i, (column, field) in enumerate(zip(self.columns, self.fields, strict=True)):
            value = f"row->{field}"
            if isinstance(column, LevelColumn):
                other, missing = _unlisted(column)
                chosen = f"NAME_level({value}, &NAME_levels{i})" if column.levels else f"{value} ? {other} : {missing}"
                yield f"  k = {chosen};"
                yield f"  if (k >= 0) NAME_add({n}, {one}, {next(rows)} + {n} * k, {z});"
            elif isinstance(column, NumberColumn):
                median, scale = number(column.median), number(column.scale)
                yield f"  v = {value} == {value} ? {value} : {median};"
                first = next(rows)
                if column.scale > 0:
                    yield f"  NAME_add({n}, ({cast})NAME_clip(v, {median}, {scale}), {first}, {z});"
                if column.edges:
                    yield f"  NAME_bins({n}, v, NAME_edges{i}, {column.n_bins}, {next(rows)}, {z});"
                if column.indicator:
                    yield f"  if ({value} != {value}) NAME_add({n}, {one}, {next(rows)}, {z});"

    def _predict(self) -> str:
        """Return the function for the caller; empty for a network, whose function is already called NAME_predict."""
        n, inputs = self.n_results, "const struct NAME_row *row" if self.columns else "const REAL *x"
        x = "row" if self.columns else "x"
        if not self.is_estimator:
            return ""
        if self.has_values:
            unit = " * NAME_std[j] + NAME_mean[j]" if self.target.standardizer is not None else ""
            lines = [
                f"static inline void NAME_predict({inputs}, double *y) {{",
                f"  REAL z[{n}];",
                f"  NAME_network({x}, z);",
                f"  for (int j = 0; j < {n}; ++j) {{",
                f"    y[j] = (double)z[j]{unit};",
            ]
            if self.target.bounds is not None:
                lines.append("    if (y[j] < NAME_least[j]) y[j] = NAME_least[j];")
                lines.append("    if (y[j] > NAME_greatest[j]) y[j] = NAME_greatest[j];")
            lines.append("  }")
        elif not self.returns_class:
            lines = [f"static inline void NAME_predict({inputs}, REAL *p) {{", f"  NAME_network({x}, p);"]
        else:
            lines = [f"static inline int NAME_predict({inputs}, REAL *p) {{"]
            if self.is_constant:
                lines += [f"  (void){x};", "  p[0] = 1.0r;", "  return 0;"]
            elif self.sizes[-1] == 1:
                lines += [f"  NAME_network({x}, p + 1);", "  p[0] = 1.0r - p[1];", "  return p[1] > 0.5r;"]
            else:
                lines += [
                    "  int best = 0;",
                    f"  NAME_network({x}, p);",
                    f"  for (int j = 1; j < {n}; ++j) best = p[j] > p[best] ? j : best;",
                    "  return best;",
                ]
        return "\n".join(["", *lines, "}", ""])

    def _self_test(self) -> str:
        """Return the rows and predictions of the self-test, and its program."""
        encoding = self.model.encoder
        if encoding is None:
            x: Any = _c_rows.make_numbers(self.sizes[0])
            rows = [", ".join(numbers(row, self.dtype)) for row in x]
            kind = self.real
        else:
            columns = _c_rows.make_table(encoding)
            x = np.asarray(encoding.inputs(_c_rows.as_python(encoding, columns), np.float64, warn=False))
            used = [values for column, values in zip(encoding.columns, columns, strict=True) if column.width]
            rows = [f"{{{', '.join(map(_cell, row))}}}" for row in zip(*used, strict=True)]
            kind = f"struct {self.name}_row"
        params = [(layer.used, layer.bias) for layer in self.layers]
        z, a = _core.forward(params, x, self.activations, to_core(self.network.loss_spec))
        expected = self.target.probabilities(a[-1]) if self.labels else self.target.decode(a[-1])
        expected = expected.reshape(len(expected), -1)
        usable = np.isfinite(expected).all(axis=1)
        expected, rows = expected[usable], [row for row, use in zip(rows, usable, strict=True) if use]
        allowed = np.abs(expected).max(axis=0) * _CLOSE[self.dtype]
        if self.output != "identity":
            allowed *= 1 + np.abs(z[-1][usable]).max()
        lines = [
            f"#ifdef {self.name.upper()}_SELF_TEST",
            "#include <stdio.h>",
            "",
            array(f"{kind} {self.name}_test_rows", rows),
            self._array("double", "test_outputs", expected, "float64"),
            self._array("double", "test_allowed", allowed, "float64"),
        ]
        code = _c_code.MAIN_OF_CLASSES if self.returns_class else _c_code.MAIN
        code = code.replace("@rows@", str(len(rows))).replace("@n@", str(self.n_results))
        code = code.replace("@row@", "&NAME_test_rows[i]" if self.columns else f"NAME_test_rows + {self.sizes[0]} * i")
        code = code.replace("@label@", "NAME_labels[j]" if self.labels else '"y"').replace("@result@", self.result)
        return "\n".join(lines) + "\n" + self._spell(code) + "#endif\n"


def _describe(column: Encoder) -> str:
    """Return the description that follows the column's name in the comment of a field."""
    format = getattr(column, "format", None)
    if isinstance(column, DateColumn):
        is_time = isinstance(format, DateFormat) and format.order == TIME
        return ": the time of day as a fraction of the day" if is_time else ": days since 1970-01-01 (UTC)"
    if isinstance(format, NumberFormat) and format.unit:
        return f" in {quoted(format.unit)}"
    return ""


def _unlisted(column: LevelColumn) -> tuple[int, int]:
    """Return the features of other levels and of a missing one; -1 if they have none."""
    return len(column.levels) if column.other else -1, column.width - 1 if column.missing else -1


def _bytes(pair: tuple[str, int]) -> bytes:
    return pair[0].encode(errors="surrogatepass")


def _cell(value: Any) -> str:
    if value is None:
        return "0"
    if value != value:
        return "(double)NAN"
    return string(value, "the level") if isinstance(value, str) else number(value)


def _products(layer: Layer, i: int, x: str, z: str) -> str:
    """Return the statement that adds the product of the weights of layer i and x to z."""
    n_out, n_in = (size // layer.blocks for size in layer.used.shape)
    function = "NAME_dot" if n_out < FEW else "NAME_dense"
    if layer.blocks == 1:
        return f"  {function}({n_in}, {n_out}, {x}, NAME_w{i}, {z});"
    places = f"{x} + {n_in} * i, NAME_w{i} + {n_in * n_out} * i, {z} + {n_out} * i"
    return f"  for (int i = 0; i < {layer.blocks}; ++i) {function}({n_in}, {n_out}, {places});"
