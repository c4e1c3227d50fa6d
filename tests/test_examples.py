"""The scripts under python/examples run and reach what they promise."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).parent.parent / "python" / "examples"


def run(script, *arguments):
    command = [sys.executable, EXAMPLES / script, *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=300)


def test_example_xor_learns():
    done = run("xor.py")
    assert done.returncode == 0, done.stderr
    assert [round(float(p)) for p in re.findall(r": (\d\.\d+)$", done.stdout, re.MULTILINE)] == [0, 1, 1, 0]


def test_example_half_moons_learns(tmp_path):
    pytest.importorskip("matplotlib")
    done = run("half_moons.py", tmp_path / "moons.png")
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "moons.png").stat().st_size > 10_000
    assert float(re.search(r"accuracy (\S+)", done.stdout)[1]) > 0.97


def test_example_fashion_mnist_learns(chainrule_data):
    done = run("fashion_mnist.py", chainrule_data)
    assert done.returncode == 0, done.stderr
    assert len(re.findall(r"^epoch .*cost", done.stdout, re.MULTILINE)) == 10
    assert float(re.search(r"test accuracy (\S+),", done.stdout)[1]) >= 0.87


def test_fashion_mnist_without_data_names_the_download(tmp_path):
    done = run("fashion_mnist.py", tmp_path)
    assert done.returncode == 1
    assert "https://github.com/zalandoresearch" in done.stderr
    assert "Traceback" not in done.stderr
