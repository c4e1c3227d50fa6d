"""Past 2^31 rows, and with less memory than a call asks for: right, or MemoryError and everything as it was."""

import subprocess
import sys

import pytest

PROGRAM = """
import resource, numpy as np, chainrule as cr
resource.setrlimit(resource.RLIMIT_AS, (6 << 30, 6 << 30))
m = 2**31 + 8
X, y = (np.broadcast_to(np.float32(value), (m, 1)) for value in (2, 0))  # one number of memory
net = cr.Network([1, 1], loss="squared_error", dtype="float32", seed=0)
net.parameters[:] = 1
{action}
"""
REFUSED = """
try:
    {call}
except {error} as error:
    print(repr(error))
assert net.parameters.tolist() == [1, 1]
assert net.predict(X[:3]).tolist() == [[3.0]] * 3
"""


def output_of(action):
    program = PROGRAM.replace("{action}", action)
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="sets a limit on the address space")


def test_cost_of_more_than_2_to_the_31_rows_is_right():
    assert output_of("print(net.loss(X, y))") == "4.5"


@pytest.mark.parametrize(
    "call",
    [
        "net.predict(X)",
        "net.predict(np.broadcast_to(np.int8(1), (m, 1)))",
        "net.loss_and_gradients(X, y, inputs=True)",
        "net.fit(X, y, batch_size=7, epochs=1)",
        "net.fit(X, y, epochs=1, validation=(np.broadcast_to(np.int8(1), (m, 1)), y))",
        "net.fit(X, y, sample_weight=np.broadcast_to(np.int8(1), m), epochs=1)",
        "cr.Network([2**16, 2**15 + 1], loss='squared_error', seed=0)",
        "cr.Network([2**31 - 1, 2**31 - 1], loss='squared_error', seed=0)",
        "cr.init_params([2**31 - 1, 2**31 - 1])",
    ],
)
def test_too_large_calls_raise_memory_error(call):
    said = output_of(REFUSED.replace("{call}", call).replace("{error}", "MemoryError"))
    assert said, "nothing was refused"


@pytest.mark.parametrize(
    ("call", "message"),
    [
        ("cr.Network([m, 1], loss='squared_error')", "layer_sizes[0] is 2147483656"),
        ("net.predict(np.broadcast_to(np.float32(1), (2, m)))", "X has 2147483656 columns, the network expects 1"),
        ("net.fit(X, y[:-1])", "y has 2147483655 rows, X has 2147483656"),
    ],
)
def test_impossible_sizes_raise_value_error(call, message):
    assert message in output_of(REFUSED.replace("{call}", call).replace("{error}", "ValueError"))
