"""Model files that another process writes."""

import itertools
import os

import chainrule as cr


def save(path):
    """Write a model between two words on standard output; the path may be standard output too."""
    print("said", end="")
    cr.Network([3, 5, 4, 2], activation=["tanh", "relu"], loss="softmax_cross_entropy", seed=7).save(path)
    print("after", end="")


def save_until_killed(path, how, names):
    if how == "named" and hasattr(os, "O_TMPFILE"):
        del os.O_TMPFILE
    nets = [cr.Network([200, 500, 1], loss="squared_error", seed=seed) for seed in range(2)]
    print("ready", flush=True)
    for number in itertools.count():
        nets[number % 2].save(f"{path} {number}" if names == "many" else path)
