"""Calls functions of tests/children, each in a separate Python process."""

import json
import os
import subprocess
import sys
from pathlib import Path


def command(function, *arguments):
    """The command that calls a function such as "interrupt.steps" with arguments that JSON can write."""
    return [sys.executable, "-m", "children", function, json.dumps(arguments)]


def environment(**variables):
    """The variables of a process that finds this folder."""
    path = os.pathsep.join([str(Path(__file__).parent), *filter(None, [os.environ.get("PYTHONPATH")])])
    return {**os.environ, "PYTHONPATH": path, **variables}


def run(function, *arguments, status=0, **variables):
    """Call it, and return what it printed."""
    options = {"env": environment(**variables), "capture_output": True, "text": True, "timeout": 300}
    result = subprocess.run(command(function, *arguments), check=False, **options)
    assert result.returncode == status, result.stdout + result.stderr
    return result.stdout


def start(function, *arguments):
    """Call it, and go on meanwhile; what it prints is read from `stdout`."""
    options = {"env": environment(), "stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    return subprocess.Popen(command(function, *arguments), **options)
