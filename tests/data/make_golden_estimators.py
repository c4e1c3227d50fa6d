"""Writes golden_estimators.pickle, which later versions must read: run it only to begin a new file for a new format."""

import pickle
import warnings
from pathlib import Path

import numpy as np
from sklearn.exceptions import ConvergenceWarning

import chainrule as cr

rng = np.random.default_rng(0)
X = rng.normal(size=(30, 3))
labels = np.where(X[:, 0] > 0, "yes", np.where(X[:, 1] > 0, "no", "never"))

with warnings.catch_warnings():
    warnings.simplefilter("ignore", ConvergenceWarning)
    classifier = cr.MLPClassifier((4, 3), activation=["gelu", "tanh"], max_iter=20, batch_size=10, random_state=0)
    classifier.fit(X, labels)
    regressor = cr.MLPRegressor(hidden_layer_sizes=4, solver=cr.AdamW(), dtype="float32", max_iter=20, random_state=0)
    regressor.fit(X, X[:, 0])

golden = {"X": X, "labels": classifier.predict(X), "probabilities": classifier.predict_proba(X)}
golden |= {"values": regressor.predict(X), "classifier": classifier, "regressor": regressor}
Path(__file__).with_name("golden_estimators.pickle").write_bytes(pickle.dumps(golden))
