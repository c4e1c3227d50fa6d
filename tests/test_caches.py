"""CHAINRULE_CACHE accepts the format that build_config() shows; any other raises ValueError.

The sizes cannot be changed while a computation is running. cpp/test_caches.cpp tests their detection.
"""

import os
import subprocess
import sys

import numpy as np
import pytest

import chainrule as cr
from chainrule import _core

PRODUCT = "import chainrule as cr; print(cr.Network([2, 1], loss='squared_error', seed=0).predict([[1.0, 2.0]]))"


@pytest.fixture(autouse=True)
def machine():
    yield
    _core.set_caches("")


def run(script, sizes):
    environment = {**os.environ, "CHAINRULE_CACHE": sizes}
    return subprocess.run([sys.executable, "-c", script], env=environment, capture_output=True, text=True)


def test_build_config_shows_caches_in_the_accepted_format():
    config = cr.build_config()
    assert config["caches_because"]
    _core.set_caches(config["caches"])
    assert cr.build_config()["caches"] == config["caches"]


@pytest.mark.parametrize("sizes", ["16K:4,256K:4", "48K:12,2M:16,24M:12"])
def test_environment_variable_sets_the_caches(sizes):
    done = run("import chainrule as cr; cr.show_config()", sizes)
    shown = dict(line.split(maxsplit=1) for line in done.stdout.splitlines())
    assert (shown["caches"], shown["caches_because"]) == (sizes, "CHAINRULE_CACHE")


def test_empty_environment_variable_counts_as_unset():
    assert run("import chainrule as cr; cr.show_config()", "").returncode == 0


@pytest.mark.parametrize("script", [PRODUCT, "import chainrule as cr; cr.show_config()"])
@pytest.mark.parametrize("sizes", ["32K", "8:32K,8:512K", "1M:8,32K:8", "large"])
def test_malformed_variable_raises_at_first_use(script, sizes):
    assert run("import chainrule", sizes).returncode == 0
    done = run(script, sizes)
    assert f"ValueError: CHAINRULE_CACHE is '{sizes}', expected size:ways of two or three levels" in done.stderr
    assert "such as 32K:8,512K:8,32M:16" in done.stderr


def test_set_caches_raises_while_a_computation_is_running():
    net = cr.Network([2, 1], loss="squared_error", seed=0)
    before = cr.build_config()["caches"]
    refusals = []

    def callback(*_):
        with pytest.raises(RuntimeError, match="cannot change the caches while a computation is running") as error:
            _core.set_caches("8K:2,64K:4")
        refusals.append(error)

    net.fit(np.ones((4, 2)), np.ones(4), epochs=2, callbacks=[callback])
    assert len(refusals) == 2
    assert cr.build_config()["caches"] == before
