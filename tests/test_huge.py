"""More than 2^31 rows, and too little memory: the right result, or MemoryError and unchanged objects."""

import sys

import pytest
from processes import run

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="needs a limit on the address space")


def test_cost_of_more_than_2_to_the_31_rows_is_right():
    assert run("huge.cost") == "4.5\n"


@pytest.mark.parametrize(
    "call",
    [
        "predict",
        "predict integers",
        "gradients",
        "fit",
        "validation",
        "weights",
        "wide network",
        "widest network",
        "parameters",
    ],
)
def test_too_large_calls_raise_memory_error(call):
    assert run("huge.refused", call), "nothing was refused"


@pytest.mark.parametrize(
    ("call", "message"),
    [
        ("layer", "layer_sizes[0] is 2147483656"),
        ("columns", "X has 2147483656 columns, the network expects 1"),
        ("targets", "y has 2147483655 rows, X has 2147483656"),
    ],
)
def test_impossible_sizes_raise_value_error(call, message):
    assert message in run("huge.refused", call)
