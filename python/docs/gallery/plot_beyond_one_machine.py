"""
Parts of a batch on several machines
====================================

A sum over rows is a binary tree of leaves of 512 rows, so machines can compute branches of it. Here three workers
compute their parts of a batch of 5,000 rows; the sum has the same bits as on one machine.
"""

import matplotlib.pyplot as plt
import numpy as np

import chainrule as cr
from chainrule.scale import aligned_parts, combine

rng = np.random.default_rng(0)
X = rng.normal(size=(5000, 8)).astype(np.float32)
y = X[:, 0] * X[:, 1]
net = cr.Network([8, 32, 1], activation="tanh", loss="squared_error", seed=0)
bounds = aligned_parts(len(X), 3)
parts = [net.partial_gradients(X[a:b], y[a:b], first=a, total_rows=len(X)) for a, b in bounds]
gradient, loss, _ = combine(parts).of_batch()
whole, gradients = net.loss_and_gradients(X, y)
print("the same bits:", loss == whole and bool((gradient == gradients.parameters).all()))

figure, axes = plt.subplots(figsize=(6, 1.8))
for worker, (a, b) in enumerate(bounds):
    axes.barh(0, b - a, left=a, label=f"worker {worker + 1}: {b - a} rows")
axes.set(xlabel="row of the batch", yticks=[])
axes.legend(loc="upper center", ncols=3, bbox_to_anchor=(0.5, 1.35), frameon=False)
