"""Compiles the header of an exported model, and calls it for many rows."""

from __future__ import annotations

import ctypes
import re
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

COMMAND = "gcc -std=c99 -O3 -march=native -fPIC -shared {name}.c -o {name}.so -lm"


def compiled(model: Any, X: Any, folder: Path, weights: str | None = None) -> Callable[[], np.ndarray]:
    """Return a function that predicts the rows of X in C, one by one; the rows are converted to C types beforehand."""
    name = f"model_{weights or 'plain'}"
    model.to_c(folder / f"{name}.h", weights=weights)
    text = (folder / f"{name}.h").read_text()
    match = re.search(rf"{name}_predict\((const (?:struct \w+|float|double) \*)\w+, (float|double) \*", text)
    assert match is not None
    is_table = "struct" in match[1]
    step = "1" if is_table else f"{name.upper()}_INPUTS"
    (folder / f"{name}.c").write_text(
        f'#include "{name}.h"\nvoid rows(int m, {match[1]}x, {match[2]} *y) {{\n'
        f"  for (int i = 0; i < m; ++i) (void){name}_predict(x + {step} * i, y + {name.upper()}_OUTPUTS * i);\n}}\n"
    )
    subprocess.run(COMMAND.format(name=name).split(), cwd=folder, check=True)
    function = ctypes.CDLL(str(folder / f"{name}.so")).rows
    dtype = "float32" if "float" in match[1] else "float64"
    rows, texts = structs(X, model.encoder_.encoding_) if is_table else (np.ascontiguousarray(X, dtype), [])
    n_outputs = int(re.findall(r"_OUTPUTS (\d+)", text)[0])
    out = np.empty((len(rows), n_outputs), "float32" if match[2] == "float" else "float64")

    def call() -> np.ndarray:
        function(len(rows), ctypes.c_void_p(rows.ctypes.data), ctypes.c_void_p(out.ctypes.data))
        return out

    call.texts = texts  # type: ignore[attr-defined] # keeps them in memory
    return call


def structs(X: Any, encoding: Any) -> tuple[np.ndarray, list[bytes]]:
    """Return the rows as structs of doubles and pointers, all of 8 bytes, and the texts to which they point."""
    from chainrule._frames import Frame

    frame = Frame.of(X)
    columns = [column for column in encoding.columns if column.width]
    rows = np.zeros((len(frame), len(columns)), np.uint64)
    texts: list[bytes] = []
    for j, encoder in enumerate(columns):
        column = frame.column(frame.names.index(encoder.name))
        if encoder.kind == "levels":
            codes, names = column.levels()
            own = [name.encode() for name in names]
            pointers = [ctypes.cast(ctypes.c_char_p(text), ctypes.c_void_p).value for text in own]
            rows[:, j] = np.array([*pointers, 0], np.uint64)[codes]
            texts += own
        else:
            rows[:, j] = encoder.read(column).view(np.uint64)
    return rows, texts
