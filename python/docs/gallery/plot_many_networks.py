"""
Many networks at once
=====================

One call trains sixty networks of three widths and twenty seeds, one network per thread. The boxes show how much the
result depends on the seed.
"""

import matplotlib.pyplot as plt
import numpy as np
from sklearn.datasets import load_diabetes

import chainrule as cr

X, y = load_diabetes(return_X_y=True)
X, y = X / X.std(axis=0), (y - y.mean()) / y.std()
widths = [4, 16, 64]
networks = [
    cr.Network([10, width, 1], activation="silu", loss="squared_error", seed=s) for width in widths for s in range(20)
]
histories = cr.fit_many(
    networks,
    X[:340],
    y[:340],
    optimizer=cr.Adam(learning_rate=0.01),
    batch_size=20,
    epochs=40,
    validation=(X[340:], y[340:]),
)
best = np.array([history.validation.min() for history in histories]).reshape(len(widths), 20)

figure, axes = plt.subplots()
axes.boxplot(best.T, tick_labels=[str(width) for width in widths])
axes.set(xlabel="hidden units", ylabel="cost of the held-out rows")
