"""HTML for notebooks: tables, curves, and a part of the output that is replaced while a cell runs."""

import html
import sys
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

_WIDTH, _HEIGHT = 320, 90  # size of the image of curves, in pixels


def runs_in_notebook() -> bool:
    """Return whether the program runs in a Jupyter kernel, whose output shows HTML."""
    ipython = sys.modules.get("IPython")
    shell = None if ipython is None else ipython.get_ipython()
    return shell is not None and hasattr(shell, "kernel")


def table(header: Sequence[str], rows: Iterable[Sequence[Any]], caption: str = "") -> str:
    """Return a table; the caption is HTML, the header and the cells are plain text."""
    head = "".join(f"<th>{html.escape(name)}</th>" for name in header)
    body = "".join("<tr>" + "".join(f"<td>{html.escape(str(cell))}</td>" for cell in row) + "</tr>" for row in rows)
    title = f'<caption style="text-align:left">{caption}</caption>' if caption else ""
    return f"<table>{title}<thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"


def curves(values: Mapping[str, NDArray[np.float64]]) -> str:
    """Return an SVG image of curves over the epochs, scaled from the lowest to the highest finite value."""
    finite = np.concatenate([curve[np.isfinite(curve)] for curve in values.values()])
    if not finite.size:
        return ""
    low, high = float(finite.min()), float(finite.max())
    span, lines = (high - low) or 1.0, []
    for place, (name, curve) in enumerate(values.items()):
        x = np.linspace(0, _WIDTH, len(curve)) if len(curve) > 1 else np.array([_WIDTH / 2])
        points = " ".join(
            f"{a:.1f},{2 + (_HEIGHT - 4) * (high - b) / span:.1f}"
            for a, b in zip(x, curve, strict=True)
            if np.isfinite(b)
        )
        dashes = ' stroke-dasharray="4 3"' if place else ""
        lines.append(
            f'<polyline points="{points}" fill="none" stroke="currentColor" stroke-width="1.5"{dashes}>'
            f"<title>{html.escape(name)}</title></polyline>"
        )
    return f'<svg width="{_WIDTH}" height="{_HEIGHT}" role="img">{"".join(lines)}</svg>'


class LiveOutput:
    """A part of a cell's output whose HTML can be replaced; an exported notebook keeps the last one."""

    def __init__(self) -> None:
        self._handle = sys.modules["IPython"].display.display(self._shown(""), display_id=True)

    def show(self, text: str) -> None:
        """Replace the HTML."""
        self._handle.update(self._shown(text))

    @staticmethod
    def _shown(text: str) -> Any:
        return sys.modules["IPython"].display.HTML(text)
