"""
Intervals by quantiles
======================

One network with three outputs, trained with the pinball loss at the levels 0.1, 0.5 and 0.9. Four of five values
should lie between the outer curves.
"""

import matplotlib.pyplot as plt
import numpy as np

import chainrule as cr

rng = np.random.default_rng(0)
X = np.sort(rng.uniform(0, 6, 1000)).reshape(-1, 1).astype(np.float32)
y = np.sin(X[:, 0]) + rng.normal(0, 0.05 + 0.1 * X[:, 0])
net = cr.Network([1, 64, 64, 3], activation="silu", loss=cr.Quantile([0.1, 0.5, 0.9]), seed=0)
net.fit(X, y, optimizer=cr.AdamW(learning_rate=0.01), batch_size=50, epochs=150, schedules=cr.Cosine())
low, middle, high = net.predict(X).T
figure, axes = plt.subplots()
axes.plot(X[:, 0], y, ".", markersize=3, color="0.6")
axes.fill_between(X[:, 0], low, high, alpha=0.3)
axes.plot(X[:, 0], middle)
axes.set(xlabel="x", ylabel="y")
print(f"between the curves: {np.mean((low < y) & (y < high)):.2f}")
