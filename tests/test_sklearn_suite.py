"""scikit-learn's own tests of its multilayer perceptrons, run on ours."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("sklearn")

SUITE = "-p in_place_of_sklearn -W default -o addopts= --pyargs sklearn.neural_network.tests.test_mlp"


def test_estimators_pass_the_suite_of_scikit_learn():
    command = [sys.executable, "-m", "pytest", *SUITE.split()]
    done = subprocess.run(command, cwd=Path(__file__).parent, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout[-5000:] + done.stderr[-5000:]
    assert re.search(r"^=+ [5-9]\d passed\b[^,]*(, \d+ warnings?\b.*)?=+$", done.stdout, re.MULTILINE)
