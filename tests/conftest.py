"""Fixtures: every instruction set that this machine has, thread counts, the data folder. Hypothesis without luck."""

import os
import signal
from pathlib import Path

import hypothesis
import pytest
from tools import ROOT, run, tool

import chainrule as cr

signal.signal(signal.SIGINT, signal.default_int_handler)  # also where a shell began pytest with & and Ctrl-C ignored
hypothesis.settings.register_profile("default", deadline=None)
hypothesis.settings.register_profile("ci", deadline=None, derandomize=True, database=None)
hypothesis.settings.load_profile("ci" if "CI" in os.environ else "default")


@pytest.fixture(params=cr.available_isas())
def isa(request):
    before = cr.get_isa()
    cr.set_isa(request.param)
    yield request.param
    cr.set_isa(before)


@pytest.fixture(params=[1, 3])
def threads(request):
    cr.set_num_threads(request.param)
    yield request.param
    cr.set_num_threads(None)


@pytest.fixture(scope="session")
def chainrule_data():
    if "CHAINRULE_DATA" not in os.environ:
        pytest.skip("CHAINRULE_DATA does not name the folder with the data")
    return Path(os.environ["CHAINRULE_DATA"])


@pytest.fixture
def elsewhere(tmp_path, monkeypatch):
    """Work in an empty folder."""
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def houses(elsewhere):
    """Write a table with every kind of column there; return its name."""
    import tables  # which needs pandas; most tests do not

    tables.make_table().to_csv("houses.csv", index=False)
    return "houses.csv"


@pytest.fixture(scope="session")
def build(tmp_path_factory):
    """The folder of a fresh build of the library and its C++ tests, in which a warning is an error."""
    for name in ("cmake", "ctest", "ninja", os.environ.get("CXX", "c++")):
        tool(name)
    folder = tmp_path_factory.mktemp("build")
    run("cmake", "-S", ROOT, "-B", folder, "-G", "Ninja", "-DCHAINRULE_TESTS=ON", "-DCHAINRULE_WERROR=ON")
    run("cmake", "--build", folder)
    return folder
