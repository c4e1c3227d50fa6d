"""Fashion-MNIST, 784-128-10, relu, Adam, batches of 128, 10 epochs.

Run: python fashion_mnist.py FOLDER, where FOLDER holds the four files of https://github.com/zalandoresearch/fashion-mnist
(data/fashion), or has them in a folder fashion_mnist. Default: the environment variable CHAINRULE_DATA.
"""

import gzip
import os
import sys
from pathlib import Path

import numpy as np

import chainrule as cr

IMAGES, LABELS = "{}-images-idx3-ubyte.gz", "{}-labels-idx1-ubyte.gz"


def find_folder() -> Path:
    given = sys.argv[1] if len(sys.argv) > 1 else os.environ.get("CHAINRULE_DATA", ".")
    for folder in (Path(given), Path(given) / "fashion_mnist"):
        if (folder / IMAGES.format("train")).is_file():
            return folder
    raise SystemExit(
        f"{given} does not hold {IMAGES.format('train')}: get the four files of data/fashion from "
        "https://github.com/zalandoresearch/fashion-mnist and name their folder as the argument"
    )


def read_idx(path: Path) -> np.ndarray:
    """Read an array of bytes: two zeros, the type (8), the number of dimensions, each as 4 bytes, the values."""
    data = gzip.decompress(path.read_bytes())
    shape = np.frombuffer(data, dtype=">u4", count=data[3], offset=4)
    return np.frombuffer(data, dtype=np.uint8, offset=4 + 4 * data[3]).reshape(shape)


def read_part(folder: Path, part: str) -> tuple[np.ndarray, np.ndarray]:
    images = read_idx(folder / IMAGES.format(part)).reshape(-1, 784).astype(np.float32) / 255
    return images, read_idx(folder / LABELS.format(part))


def main() -> None:
    folder = find_folder()
    X, y = read_part(folder, "train")
    X_test, y_test = read_part(folder, "t10k")

    net = cr.Network([784, 128, 10], activation="relu", loss="softmax_cross_entropy", seed=0)
    history = net.fit(
        X, y, optimizer=cr.Adam(learning_rate=1e-3), batch_size=128, epochs=10,
        callbacks=[lambda logs: print(f"epoch {logs['epoch']:2}: cost {logs['loss']:.4f}")],
    )  # fmt: skip
    accuracy = np.mean(net.predict(X_test).argmax(axis=1) == y_test)
    print(f"test accuracy {accuracy:.4f}, {history.seconds:.2f} s of training")


if __name__ == "__main__":
    main()
