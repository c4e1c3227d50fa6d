r"""
The textbook's network, step by step
====================================

A network with one hidden layer, as in lecture notes: forward, cost, backward, update, each a call on plain arrays.

The forward pass computes :math:`Z_1 = X W_1^\top + b_1`, :math:`A_1 = \tanh Z_1`, :math:`Z_2 = A_1 W_2^\top + b_2`
and the probability :math:`A_2 = 1 / (1 + e^{-Z_2})`.
"""

import matplotlib.pyplot as plt
import numpy as np

import chainrule as cr

rng = np.random.default_rng(0)
X = rng.uniform(-1, 1, size=(300, 2))
Y = (np.hypot(X[:, 0], X[:, 1]) < 0.6).astype(float)
params = cr.init_params([2, 16, 1], init="glorot_uniform", seed=0, dtype="float64")
cache = cr.forward(params, X, activation="tanh", loss="binary_cross_entropy")
print("cost before training:", round(cr.cost(params, cache, Y), 4))

# %%
# The backward pass starts with :math:`dZ_2 = (A_2 - Y) / m` and gives :math:`dW_2 = dZ_2^\top A_1`,
# :math:`dZ_1 = (dZ_2 W_2) \odot (1 - A_1^2)` and :math:`dW_1 = dZ_1^\top X`. Gradient descent subtracts a multiple of
# them.

costs = []
for _ in range(2000):
    cache = cr.forward(params, X, activation="tanh", loss="binary_cross_entropy")
    costs.append(cr.cost(params, cache, Y))
    params = cr.update(params, cr.backward(params, cache, Y), learning_rate=0.5)

figure, axes = plt.subplots()
axes.plot(costs)
axes.set(xlabel="step", ylabel="cost")

# %%
# ``Network`` does the same in one native call, from the same initial weights.

net = cr.Network(
    [2, 16, 1], activation="tanh", loss="binary_cross_entropy", init="glorot_uniform", dtype="float64", seed=0
)
net.fit(X, Y, optimizer=cr.SGD(learning_rate=0.5), epochs=2000)
print("the same parameters:", np.allclose(net.weights[0], params[0][0]))
axes = cr.plots.decision_regions(net, X, Y)
