"""Ctrl-C, other signals and their handlers, each in a separate process: calls end soon, and the network is usable."""

import sys

import pytest
from children.interrupt import LONG
from processes import run

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="a process cannot send itself signals on Windows")


@pytest.mark.parametrize("batch_size", [None, 32, 1])
def test_interrupted_fit_keeps_the_last_complete_step(batch_size):
    assert run("interrupt.steps", batch_size) == "interrupted\n"


@pytest.mark.parametrize("name", LONG)
def test_ctrl_c_ends_every_long_call(name):
    """This only tests that the process ends; `tests/checks/interrupt.sh` measures the delay."""
    assert float(run("interrupt.long_call", name, 0.5)) < 60


def test_ctrl_c_does_not_stop_a_fit_in_another_thread():
    assert run("interrupt.fit_in_another_thread") == "callback\n"


@pytest.mark.parametrize("name", ["SIGINT", "SIGTERM", "SIGALRM"])
@pytest.mark.parametrize("many", [False, True])
def test_exception_of_a_signal_handler_is_raised_by_the_call(name, many):
    assert run("interrupt.handler_that_raises", name, many) == "True 1\n"


def test_handler_that_returns_does_not_stop_the_call():
    assert run("interrupt.handler_that_predicts") == "ran\n"


def test_second_ctrl_c_leaves_a_usable_network():
    assert run("interrupt.second_ctrl_c") == "1\n"


def test_ctrl_c_in_a_callback_ends_after_its_epoch():
    assert run("interrupt.callback_that_presses") == "3 interrupted\n"


def test_asyncio_handler_runs_while_an_executor_trains():
    assert run("interrupt.event_loop") == "callback\n"


def test_wakeup_fd_receives_the_signal():
    assert run("interrupt.wakeup_fd") == "True\n"


def test_ctrl_c_while_the_command_reads_prints_one_line(tmp_path):
    """`test_cli` tests Ctrl-C while the network trains."""
    pytest.importorskip("pandas")
    assert run("interrupt.command_that_reads", str(tmp_path / "table.csv")) == "chainrule: interrupted\n 1\n"
