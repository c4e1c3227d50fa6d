"""Compares an epoch on a sparse matrix to scikit-learn's: CSR, density 1 %, 64 hidden units, Adam, batches of 256 rows.

OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1 python tests/bench/bench_sparse.py [--dtype float64] [--rounds 3]
"""

import argparse
import time
import warnings

import numpy as np
import scipy.sparse as sp
from sklearn.neural_network import MLPClassifier

import chainrule as cr


def problem(rows: int, columns: int, dtype: str) -> tuple[sp.csr_matrix, np.ndarray]:
    """Return a matrix in which every row has one number per 100 columns."""
    rng = np.random.default_rng(0)
    count = columns // 100
    indices = np.arange(count, dtype=np.int32) * 100 + rng.integers(0, 100, (rows, count), dtype=np.int32)
    values = rng.random(rows * count).astype(dtype)
    X = sp.csr_matrix((values, indices.ravel(), np.arange(rows + 1) * count), shape=(rows, columns))
    return X, rng.integers(0, 2, rows)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--rows", type=int, default=100_000)
    parser.add_argument("--columns", type=int, default=20_000)
    parser.add_argument("--dtype", default="float32")
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    X, y = problem(options.rows, options.columns, options.dtype)
    best = {"chainrule": np.inf, "scikit-learn": np.inf}
    for _ in range(options.rounds):
        net = cr.Network([options.columns, 64, 1], loss="binary_cross_entropy", dtype=options.dtype, seed=0)
        peer = MLPClassifier((64,), batch_size=256, max_iter=1, alpha=0, random_state=0)
        for name, fit in {
            "chainrule": lambda net=net: net.fit(X, y, batch_size=256, epochs=1),
            "scikit-learn": lambda peer=peer: peer.fit(X, y),
        }.items():
            start = time.perf_counter()
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # one epoch does not converge
                fit()
            best[name] = min(best[name], time.perf_counter() - start)
    print(*(f"{name}: {seconds:.2f} s an epoch" for name, seconds in best.items()), sep="\n")
    print(f"{best['scikit-learn'] / best['chainrule']:.1f} times as fast, {cr.get_num_threads()} threads")


if __name__ == "__main__":
    main()
