"""Scripts in a Python process of their own, which begin with data and a network."""

import subprocess
import sys

START = """
import os, signal, sys, threading, time
import numpy as np
import chainrule as cr

random = np.random.default_rng(0)
X, y = random.normal(size=(20_000, 20)), random.integers(0, 2, 20_000)
net = cr.Network([20, 64, 1], activation="tanh", loss="binary_cross_entropy", seed=0)
"""


def run(script, *, status=0):
    """Run it, and return what it printed."""
    command = [sys.executable, "-c", START + script]
    result = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert result.returncode == status, result.stdout + result.stderr
    return result.stdout
