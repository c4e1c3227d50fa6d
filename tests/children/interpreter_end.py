"""Ends the interpreter while the library computes."""

import os
import threading
import time

import numpy as np

import chainrule as cr

from .start import X, net, y

ENDLESS = 10**9


def during_a_fit(many, daemon):
    """The interpreter abandons a daemon thread and waits for any other thread."""
    epochs = ENDLESS if daemon else 3
    second = cr.Network([20, 30, 1], loss="binary_cross_entropy", seed=0)
    began = threading.Event()

    def train():
        began.set()
        if many:
            cr.fit_many([net, second], X, y, epochs=epochs)
        else:
            net.fit(X, y, epochs=epochs, batch_size=32)
        os.write(1, b"trained\n")  # atomic: the output of two threads that print may mix

    threading.Thread(target=train, daemon=daemon).start()
    began.wait()
    os.write(1, b"end\n")


def python_functions(kind, began):
    """Train with Python functions that are called all the time."""

    def loss(logits, y, weight):
        began.set()
        return 0.0, np.zeros_like(logits)

    more = {
        "callbacks": {"callbacks": [lambda logs: None]},
        "loss": {"loss": loss},
        "schedules": {"schedules": lambda epoch: 1.0},
    }
    began.set()
    net.fit(X[:64], y[:64], epochs=ENDLESS, batch_size=8, **more[kind])


def rows_of_a_custom_loss(began):
    """The core copies the row numbers, and NumPy selects the rows: some milliseconds each."""

    def loss(logits, y, weight):
        began.set()
        return 0.0, np.zeros_like(logits)

    rows = np.zeros((3_000_000, 1), np.float32)
    cr.Network([1, 1], loss="squared_error", seed=0).fit(rows, rows, loss=loss, epochs=ENDLESS)


def array_functions(name, began):
    params, zeros = cr.init_params([784, 512, 1], seed=0), np.zeros((100, 784), np.float32)
    while True:
        if name == "update":
            cr.update(params, params, learning_rate=0.0)
        else:
            cr.forward(params, zeros, loss="squared_error")
        began.set()


def at_any_moment(name, *arguments):
    """Run a function above in a daemon thread, and exit after it has set its last argument, an event."""
    began = threading.Event()
    threading.Thread(target=globals()[name], args=(*arguments, began), daemon=True).start()
    began.wait()
    time.sleep(np.random.default_rng().uniform(0, 0.1))
    print("end", flush=True)


class Last:
    """Trains after the names of the module have been deleted."""

    def __init__(self, settings):
        self.arguments = net, X, y, print, settings

    def __del__(self):
        net, X, y, print, settings = self.arguments
        print(net.fit(X, y, epochs=60, **settings).epochs)


def fit_at_the_end(settings):
    """Train in the thread that ends the interpreter: only this thread gets the GIL for signals and functions."""
    if settings == "schedules":
        settings = {"schedules": lambda epoch: 1.0}
    globals()["last"] = Last(settings)
