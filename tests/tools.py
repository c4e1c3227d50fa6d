"""Programs that tests run: compilers, CMake, binutils, mypy. One that is absent skips the test, or fails it in CI."""

import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import NoReturn

import pytest

ROOT = Path(__file__).parent.parent
PATH = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", os.defpath)])


def absent(name: str) -> NoReturn:
    refuse = pytest.fail if "CI" in os.environ else pytest.skip
    refuse(f"{name} is not installed")


def tool(name: str) -> str:
    return shutil.which(name, path=PATH) or absent(name)


def run(name: str | Path, *arguments: str | Path, cwd: Path = ROOT, stdin: str = "", **environment: str) -> str:
    """What a tool prints; it is looked for beside the running Python first."""
    command = [tool(str(name)), *arguments]
    variables = {**os.environ, "PATH": PATH, **environment}
    done = subprocess.run(command, cwd=cwd, env=variables, input=stdin, capture_output=True, text=True)
    assert done.returncode == 0, f"{command}\n{done.stdout[-5000:]}\n{done.stderr[-5000:]}"
    return done.stdout
