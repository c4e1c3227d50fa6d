"""
Decision regions
================

What a network learns in the plane: two interleaved half moons, and the class it predicts at each point.
"""

from sklearn.datasets import make_moons

import chainrule as cr

X, y = make_moons(400, noise=0.2, random_state=0)
net = cr.Network([2, 32, 32, 1], activation="tanh", loss="binary_cross_entropy", seed=0)
net.fit(X, y, optimizer=cr.Adam(learning_rate=0.01), epochs=300)
axes = cr.plots.decision_regions(net, X, y)
