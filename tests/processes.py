"""Calls functions of tests/children, each in a separate Python process."""

import json
import os
import subprocess
import sys
from pathlib import Path


def command(function, *arguments):
    """Return the command that calls a function such as "interrupt.steps" with arguments that JSON can represent."""
    return [sys.executable, "-m", "children", function, json.dumps(arguments)]


def environment(**variables):
    """Return environment variables with which a process finds this folder."""
    path = os.pathsep.join([str(Path(__file__).parent), *filter(None, [os.environ.get("PYTHONPATH")])])
    return {**os.environ, "PYTHONPATH": path, **variables}


def run(function, *arguments, status=0, **variables):
    """Call a function in a separate process, and return its output."""
    options = {"env": environment(**variables), "capture_output": True, "text": True, "timeout": 300}
    result = subprocess.run(command(function, *arguments), check=False, **options)
    assert result.returncode == status, result.stdout + result.stderr
    return result.stdout


def start(function, *arguments):
    """Start a call in a separate process; its output can be read from `stdout`."""
    options = {"env": environment(), "stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    return subprocess.Popen(command(function, *arguments), **options)


def state(pid):
    """Return the state of a process in /proc: "T" if it is stopped, "Z" if it has ended but still exists, "" if not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return ""
