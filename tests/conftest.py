"""Fixtures: the instruction sets of this machine, thread counts, the data folder. Hypothesis is deterministic."""

import contextlib
import os
import signal
from pathlib import Path

import hypothesis
import numpy as np
import pytest
from tools import ROOT, reusing_objects, run, tool

import chainrule as cr

signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell that starts pytest with & ignores SIGINT
hypothesis.settings.register_profile("default", deadline=None)
hypothesis.settings.register_profile("ci", deadline=None, derandomize=True, database=None)
hypothesis.settings.load_profile("ci" if "CI" in os.environ else "default")


def pytest_collection_modifyitems(items):
    """Run the longest tests first, so that workers end together; a single worker then builds the C++ library."""
    items.sort(key=lambda item: "together" not in item.fixturenames and "test_sklearn_suite" not in item.nodeid)


@pytest.fixture(autouse=True)
def same_random_numbers_in_every_run():
    """Seed the generator that estimators without a random_state draw from."""
    np.random.seed(0)  # noqa: NPY002 - the generator of scikit-learn


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
    """Write a table with every kind of column to the empty folder; return its name."""
    import tables  # needs pandas, unlike most tests

    tables.make_table().to_csv("houses.csv", index=False)
    return "houses.csv"


@pytest.fixture(scope="session")
def together(tmp_path_factory):
    """A folder shared by all workers, and a lock so that only one of them writes at a time."""
    fcntl = pytest.importorskip("fcntl")
    folder = tmp_path_factory.getbasetemp()
    folder = folder.parent if "PYTEST_XDIST_WORKER" in os.environ else folder

    @contextlib.contextmanager
    def locked():
        with open(folder / "together.lock", "w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield

    return folder, locked


@pytest.fixture(scope="session")
def build(together):
    """The build folder of the library and its C++ tests, shared by all workers; compiler warnings are errors."""
    for name in ("cmake", "ctest", "ninja", os.environ.get("CXX", "c++")):
        tool(name)
    folder = together[0] / "build"
    with together[1]():
        options = ["-G", "Ninja", "-DCHAINRULE_TESTS=ON", "-DCHAINRULE_WERROR=ON", *reusing_objects(folder)]
        run("cmake", "-S", ROOT, "-B", folder, *options)
        run("cmake", "--build", folder)
    return folder
