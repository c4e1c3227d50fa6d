"""Model files that another process writes."""

import itertools
import resource

import chainrule as cr


def save(path):
    """Write a model between two words on standard output; the path may be standard output too."""
    print("printed", end="")
    cr.Network([3, 5, 4, 2], activation=["tanh", "relu"], loss="softmax_cross_entropy", seed=7).save(path)
    print("after", end="")


def save_beyond_the_limit(path):
    """Replace a file, and write a new one, that are larger than files may be; print the errors."""
    net = cr.Network([200, 500, 1], loss="squared_error", seed=7)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))
    for name in (path, f"{path} 2"):
        try:
            net.save(name)
        except OSError as error:
            print(error.errno, error.filename.removesuffix(" 2"))


def save_until_killed(path):
    nets = [cr.Network([200, 500, 1], loss="squared_error", seed=seed) for seed in range(2)]
    for net in itertools.cycle(nets):
        net.save(path)
        print("saved", flush=True)
