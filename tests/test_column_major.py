"""Column-major inputs give the same bits as a row-major copy, which is made once if rows are read out of order."""

import numpy as np
import pytest

import chainrule as cr

random = np.random.default_rng(0)
X = random.normal(size=(400, 7)).astype("float32")
Y = X[:, 0] * X[:, 1]
W = random.uniform(0.5, 2, 400).astype("float32")
BUFFER = np.zeros((800, 14), "float32")
LAYOUTS = {
    "column-major": np.asfortranarray(X),
    "every second column": BUFFER[::2, ::2],
    "columns backwards": np.ascontiguousarray(X[:, ::-1])[:, ::-1],
    "rows of a column-major": np.asfortranarray(np.repeat(X, 2, axis=0))[::2],
    "float64": np.asfortranarray(X.astype("float64")),
    "integers": np.asfortranarray(np.round(X * 100).astype("int32")),
}
BUFFER[::2, ::2] = X
SIZES = {"small": [7, 5, 1], "large": [7, 300, 200, 1]}


@pytest.mark.parametrize("sizes", SIZES.values(), ids=SIZES)
@pytest.mark.parametrize("layout", LAYOUTS)
def test_column_major_layout_gives_the_same_bits(layout, sizes, threads):
    strided = LAYOUTS[layout]
    plain = np.ascontiguousarray(strided.astype("float32"))
    options = {"batch_size": 50, "epochs": 3, "sample_weight": W}
    mask = np.arange(400) % 3 > 0

    def trained(x, **more):
        net = cr.Network(sizes, activation="tanh", loss="squared_error", seed=0)
        history = net.fit(x, Y, **options | more)
        return net.parameters.tobytes(), None if history.validation is None else history.validation.tobytes()

    for more in (
        {},
        {"shuffle": False},
        {"batch_size": None},
        {"validation": 0.3, "metrics": "mae"},
        {"input_dropout": 0.2},
        {"epochs": 1},
        {"validation": (strided, Y)},
    ):
        same = {**more, "validation": (plain, Y)} if isinstance(more.get("validation"), tuple) else more
        assert trained(strided, **more) == trained(plain, **same), more

    def many(x):
        nets = [cr.Network(sizes, activation="tanh", loss="squared_error", seed=seed) for seed in range(3)]
        cr.fit_many(nets, x, Y, rows=[mask, ~mask, None], validation=[~mask, mask, None], **options)
        return [net.parameters.tobytes() for net in nets]

    assert many(strided) == many(plain)


def test_mapped_column_major_file_gives_the_same_bits(tmp_path):
    mapped = np.memmap(tmp_path / "x", "float32", "w+", shape=X.shape, order="F")
    mapped[:] = X
    nets = [cr.Network([7, 5, 1], activation="tanh", loss="squared_error", seed=0) for _ in range(2)]
    for net, x in zip(nets, (mapped, X), strict=True):
        net.fit(x, Y, batch_size=50, epochs=3)
    assert np.array_equal(nets[0].parameters, nets[1].parameters)
