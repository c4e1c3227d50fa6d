"""Two half moons, and the border between them that the network learns. Run: python half_moons.py [PICTURE].

Needs matplotlib: pip install "chainrule[plot]". Writes to PICTURE, by default half_moons.png.
"""

import sys

import matplotlib.figure
import numpy as np

import chainrule as cr

EPOCHS = (1, 10, 30, 200)


def make_moons(n_rows: int) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    angle, y = rng.uniform(0, np.pi, n_rows), rng.integers(0, 2, n_rows)
    X = np.where(y == 0, [np.cos(angle), np.sin(angle)], [1 - np.cos(angle), 0.5 - np.sin(angle)]).T
    return X + rng.normal(scale=0.15, size=X.shape), y


def main() -> None:
    X, y = make_moons(400)
    net = cr.Network([2, 16, 16, 1], activation="tanh", loss="binary_cross_entropy", seed=0)
    figure = matplotlib.figure.Figure(figsize=(14, 3.6), layout="constrained")
    panels = dict(zip(EPOCHS, figure.subplots(1, len(EPOCHS)), strict=True))

    def draw(logs: dict) -> None:
        if logs["epoch"] in panels:
            axes = cr.plots.decision_regions(net, X, y, panels[logs["epoch"]])
            axes.set_title(f"epoch {logs['epoch']}, cost {logs['loss']:.3f}")

    net.fit(X, y, optimizer=cr.Adam(learning_rate=0.01), batch_size=32, epochs=max(EPOCHS), callbacks=[draw])
    path = sys.argv[1] if len(sys.argv) > 1 else "half_moons.png"
    figure.savefig(path, dpi=120)
    print(f"{path} is written; accuracy {np.mean((net.predict(X)[:, 0] > 0.5) == y):.3f}")


if __name__ == "__main__":
    main()
