"""Trains next to another library with its own threads. Imports nothing, because the order of imports is tested."""

import importlib


def train_theirs(library):
    if library == "torch":
        torch = importlib.import_module("torch")
        torch.nn.Linear(500, 500)(torch.ones(500, 500)).sum().backward()
    else:
        np, linear = importlib.import_module("numpy"), importlib.import_module("sklearn.linear_model")
        linear.LogisticRegression().fit(np.eye(10), np.arange(10) % 2)


def train_ours():
    np, cr = importlib.import_module("numpy"), importlib.import_module("chainrule")
    network = cr.Network([500, 300, 1], loss="squared_error", seed=0)
    network.fit(np.ones((500, 500)), np.ones(500), epochs=2, n_threads=2)


def fits(library, first):
    for module in [library, "chainrule"] if first else ["chainrule", library]:
        importlib.import_module(module)
    for _ in range(2):
        train_theirs(library)
        train_ours()
    print("both")
