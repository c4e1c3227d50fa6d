"""The exclusive or, which no network without a hidden layer can learn. Run: python xor.py."""

import chainrule as cr

X = [[0, 0], [0, 1], [1, 0], [1, 1]]
y = [0, 1, 1, 0]

net = cr.Network([2, 8, 1], activation="tanh", loss="binary_cross_entropy", seed=0)
history = net.fit(X, y, optimizer=cr.Adam(learning_rate=0.05), epochs=2000, stop=cr.Stop(loss_below=0.01))

print(f"stopped after {history.epochs} epochs: {history.stop_reason}, cost {history.loss[-1]:.4f}")
for row, p in zip(X, net.predict(X)[:, 0], strict=True):
    print(f"{row[0]} xor {row[1]}: {p:.3f}")
