"""Tests code without optional packages. Imports matter, so each function has its own."""

import sys


def hide(*packages):
    for package in packages:
        sys.modules[package] = None


def everything_but_numpy(path):
    """Import the package and fit where only the standard library and NumPy can be imported."""

    class Absent:
        def find_spec(name, *_):
            top = name.partition(".")[0]
            if top not in sys.stdlib_module_names | {"numpy", "chainrule"}:
                raise ModuleNotFoundError(name)

    sys.meta_path.insert(0, Absent)
    import numpy as np

    import chainrule as cr

    X = np.random.default_rng(0).normal(size=(400, 4)).astype(np.float32)
    y = (X[:, 0] > 0).astype(np.int32)
    net = cr.Network([4, 16, 2], activation="relu", loss="softmax_cross_entropy", seed=0)
    net.fit(X, y, optimizer=cr.Adam(learning_rate=0.01), batch_size=32, epochs=10, validation=0.2, metrics=["accuracy"])
    net.save(path)
    assert (cr.load(path).predict(X).argmax(axis=1) == y).mean() > 0.9


def checkpoint(path):
    hide("safetensors", "pandas", "rich", "matplotlib", "sklearn", "scipy")
    import chainrule as cr

    cr.save_checkpoint(path, *cr.load_checkpoint(path))


def model_file(path, again):
    hide("safetensors", "pandas", "narwhals", "rich", "matplotlib", "sklearn", "scipy")
    import chainrule as cr

    cr.load(path).save(again)


def help_of_the_command():
    hide("pandas", "narwhals", "rich", "safetensors", "sklearn", "matplotlib", "pyarrow")
    from chainrule.cli import main

    main(["train", "--help"])


def command_without_scikit_learn(*arguments):
    hide("sklearn")
    from chainrule.cli import main

    sys.exit(main(arguments))


def estimator_file(path, table):
    """Print the predictions of `read_model`, and the error of `load`."""
    hide("sklearn", "scipy", "safetensors")
    import pandas as pd

    import chainrule as cr
    from chainrule.model_file import read_model

    model = read_model(path)
    print(model.predict(pd.read_pickle(table)).sum(), model.target.labels)
    try:
        cr.load(path)
    except ImportError as error:
        print(error)


def table_of_one_library(library):
    """Encode a table of polars or pyarrow in a process that can import no other table library."""

    class Absent:
        def find_spec(name, *_):
            if name.partition(".")[0] in {"pandas", "polars", "pyarrow", "sklearn", "scipy"} - {library}:
                raise ModuleNotFoundError(name)

    sys.meta_path.insert(0, Absent)
    import importlib

    from chainrule.table import TableEncoding, needs_encoding

    make = {"polars": "DataFrame", "pyarrow": "table"}[library]
    table = getattr(importlib.import_module(library), make)({"x": [1, 2], "y": ["a", "b"]})
    assert needs_encoding(table)
    assert TableEncoding.learn(table).transform(table).shape == (2, 3)


def table_encoding():
    hide("sklearn")
    import numpy as np

    from chainrule.table import TableEncoding

    table = np.array([["own", 20], ["rent", 30]], dtype=object)
    state = TableEncoding.learn(table).to_dict()
    assert TableEncoding.from_dict(state).transform(table).shape == (2, 3)
