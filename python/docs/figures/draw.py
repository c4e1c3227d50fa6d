"""Draws the figures of how_it_works.md: python python/docs/figures/draw.py."""

from pathlib import Path
from typing import Any

from matplotlib.figure import Figure
from matplotlib.patches import FancyArrowPatch, Rectangle

HERE = Path(__file__).parent
INK, FIRST, SECOND, THIRD = "#44546a", "#4c78a8", "#f58518", "#54a24b"


def canvas(width: float, height: float) -> tuple[Figure, Any]:
    """Return a figure without axes whose coordinates are hundredths of an inch."""
    figure = Figure((width, height))
    axes = figure.add_axes((0, 0, 1, 1))
    axes.set(xlim=(0, 100 * width), ylim=(0, 100 * height))
    axes.axis("off")
    return figure, axes


def box(
    axes: Any, x: float, y: float, width: float, height: float, color: str, label: str = "", alpha: float = 1
) -> None:
    """Draw a rectangle with a label at its center."""
    axes.add_patch(Rectangle((x, y), width, height, facecolor=color, alpha=alpha, edgecolor="white"))
    axes.text(x + width / 2, y + height / 2, label, ha="center", va="center", color="white", fontsize=10)


def arrow(axes: Any, start: tuple[float, float], end: tuple[float, float]) -> None:
    """Draw an arrow."""
    axes.add_patch(FancyArrowPatch(start, end, arrowstyle="-|>", mutation_scale=12, color=INK))


def save(figure: Figure, name: str) -> None:
    """Write the figure without a date, so that the same figure gives the same bytes."""
    figure.savefig(HERE / name, metadata={"Date": None}, facecolor="white")


def draw_step() -> None:
    """Draw rows that pass through all layers, and columns of the gradients."""
    figure, axes = canvas(7.2, 2.7)
    axes.text(10, 250, "1. activations: rows are shared", color=INK, fontsize=11)
    for layer, name in enumerate(["X", "A₁", "A₂", "dZ₂", "dZ₁"]):
        for block, color in enumerate([FIRST, SECOND, FIRST, SECOND]):
            box(axes, 10 + 75 * layer, 180 - 45 * block, 48, 42, color, name)
            if layer:
                arrow(axes, (10 + 75 * layer - 26, 201 - 45 * block), (10 + 75 * layer, 201 - 45 * block))
    axes.text(420, 250, "2. gradients: columns are shared", color=INK, fontsize=11)
    for layer in (1, 2):
        for column, color in enumerate([FIRST, FIRST, SECOND, SECOND]):
            box(axes, 420 + 130 * (layer - 1) + 27 * column, 130, 25, 92, color)
        axes.text(474 + 130 * (layer - 1), 118, "dW₁" if layer == 1 else "dW₂", ha="center", va="center", color=INK)
    axes.text(420, 85, "update and packing follow at once,\nin the same thread", color=INK, fontsize=10, va="top")
    for color, name, x in ((FIRST, "thread 1", 10), (SECOND, "thread 2", 100)):
        box(axes, x, 8, 14, 14, color)
        axes.text(x + 20, 15, name, color=INK, va="center", fontsize=10)
    save(figure, "step.svg")


def draw_blocks() -> None:
    """Draw the three operands of a product and the caches that hold their parts."""
    figure, axes = canvas(7.2, 2.5)
    box(axes, 20, 40, 130, 160, INK, alpha=0.25)
    box(axes, 20, 110, 130, 60, SECOND, "block of A\nsecond level")
    axes.text(162, 115, "×", fontsize=18, color=INK)
    box(axes, 190, 70, 220, 130, INK, alpha=0.25)
    box(axes, 270, 70, 40, 130, FIRST, "panel\nof B\nfirst\nlevel")
    axes.text(422, 115, "=", fontsize=18, color=INK)
    box(axes, 450, 40, 220, 160, INK, alpha=0.25)
    box(axes, 530, 145, 40, 25, THIRD, "tile")
    axes.text(580, 152, "registers", color=INK, fontsize=10)
    axes.text(20, 14, "A: rows × k", color=INK, fontsize=10)
    axes.text(190, 14, "B: k × columns", color=INK, fontsize=10)
    axes.text(450, 14, "C: rows × columns", color=INK, fontsize=10)
    save(figure, "blocks.svg")


def draw_tree() -> None:
    """Draw the tree of the sum over seven leaves."""
    figure, axes = canvas(7.2, 2.6)
    centers = [50 + 100 * leaf for leaf in range(7)]
    for leaf, x in enumerate(centers):
        box(axes, x - 40, 15, 80, 30, FIRST if leaf < 4 else SECOND, f"{512 * leaf}–{512 * leaf + 511}")
    level, y = centers, 45
    while len(level) > 1:
        above = [(level[i] + level[i + 1]) / 2 for i in range(0, len(level) - 1, 2)]
        for i, x in enumerate(above):
            for child in level[2 * i : 2 * i + 2]:
                arrow(axes, (child, y), (x, y + 42))
            axes.text(x, y + 50, "+", ha="center", va="center", color=INK, fontsize=14)
        if len(level) % 2:
            above.append(level[-1])
            axes.plot([level[-1]] * 2, [y, y + 55], color=INK, lw=1)
        level, y = above, y + 58
    axes.text(10, 235, "thread or machine 1: rows 0 to 2,047", color=FIRST, fontsize=10)
    axes.text(400, 235, "thread or machine 2: the rest", color=SECOND, fontsize=10)
    save(figure, "tree.svg")


if __name__ == "__main__":
    import matplotlib

    matplotlib.rcParams["svg.hashsalt"] = "chainrule"
    draw_step()
    draw_blocks()
    draw_tree()
