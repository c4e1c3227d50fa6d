"""Data and a network for the functions of the other modules."""

import numpy as np

import chainrule as cr

random = np.random.default_rng(0)
X, y = random.normal(size=(20_000, 20)), random.integers(0, 2, 20_000)
net = cr.Network([20, 64, 1], activation="tanh", loss="binary_cross_entropy", seed=0)
