"""
Learning curves
===============

The cost of the training rows and of the held-out rows in each epoch. The thin line marks the best epoch; the network
keeps its parameters.
"""

import numpy as np
from sklearn.datasets import load_digits

import chainrule as cr

X, y = load_digits(return_X_y=True)
X = (X / 16).astype(np.float32)
net = cr.Network([64, 64, 10], loss="softmax_cross_entropy", seed=0)
history = net.fit(
    X,
    y,
    optimizer=cr.AdamW(learning_rate=3e-3),
    batch_size=32,
    epochs=100,
    validation=0.2,
    stop=cr.Stop(no_improvement=8),
)
axes = history.plot()
