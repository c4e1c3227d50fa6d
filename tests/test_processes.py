"""Other processes: fork, spawn, loky; the end of the interpreter; other libraries; memory over many fits."""

import os
import sys

import pytest
from processes import run

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")


def test_fifty_forked_children_train_with_the_same_bits():
    """The parent trains in between with the same bits."""
    assert run("forks.one_after_another", 50) == "alive\n"


def test_fifty_forks_while_another_thread_trains():
    assert run("forks.while_another_thread_trains", 50) == "alive\n"


def test_fork_in_a_callback_works():
    assert run("forks.in_a_callback") == f"{[True] * 5}\n"


@pytest.mark.parametrize("method", ["fork", "spawn", "forkserver"])
def test_multiprocessing_children_train_with_the_same_bits(method):
    assert run("forks.pool", method) == "same\n"


def test_loky_workers_share_the_threads():
    pytest.importorskip("joblib")
    assert run("forks.loky") == "True\nTrue\n"


def test_threadpoolctl_limits_the_threads():
    pytest.importorskip("sklearn")
    assert run("forks.limits_of_threadpoolctl") == "1\nTrue True\nTrue\n"


@pytest.mark.parametrize("daemon", [True, False])
@pytest.mark.parametrize("many", [False, True])
def test_the_interpreter_ends_during_a_fit(many, daemon):
    for _ in range(3):
        message = run("interpreter_end.during_a_fit", many, daemon)
        assert sorted(message.split()) == (["end"] if daemon else ["end", "trained"])


def assert_the_interpreter_ends(*arguments, times=5):
    for _ in range(times):
        assert run("interpreter_end.at_any_moment", *arguments) == "end\n"


@pytest.mark.parametrize("kind", ["callbacks", "loss", "schedules"])
def test_the_interpreter_ends_while_python_functions_are_called(kind):
    assert_the_interpreter_ends("python_functions", kind)


def test_the_interpreter_ends_while_a_custom_loss_gets_its_rows():
    assert_the_interpreter_ends("rows_of_a_custom_loss", times=10)


@pytest.mark.parametrize("name", ["update", "forward"])
def test_the_interpreter_ends_while_the_array_functions_call_numpy(name):
    assert_the_interpreter_ends("array_functions", name)


@pytest.mark.parametrize("settings", [{"batch_size": 64}, "schedules"])
def test_training_while_the_interpreter_ends(settings):
    assert run("interpreter_end.fit_at_the_end", settings) == "60\n"


@pytest.mark.parametrize("other", ["torch", "sklearn.linear_model"])
@pytest.mark.parametrize("first", [True, False])
def test_fits_next_to_other_threaded_libraries(other, first):
    """Each library has its own threads; both orders of import are tested."""
    pytest.importorskip(other.split(".")[0])
    assert run("beside.fits", other, first) == "both\n"


@pytest.mark.skipif(sys.version_info < (3, 12), reason="pybind11 hangs before Python 3.12")
def test_import_in_a_subinterpreter_works_or_raises():
    """After an import in the main interpreter, NumPy or pybind11 rejects the second import."""
    assert run("forks.subinterpreter") in ("works\nmain interpreter (1, 1)\n", "refused\nmain interpreter (1, 1)\n")


@pytest.mark.skipif(not os.path.exists("/proc/self/status"), reason="needs /proc")
def test_memory_does_not_grow():
    """Less than 2 KiB for each of 1,000 fits."""
    assert int(run("memory.many_fits")) < 1000 * 2048
