"""Programs that tests run: compilers, CMake, binutils, mypy. If one is missing, the test is skipped, or fails in CI."""

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path
from typing import NoReturn

import pytest

sys.path.append(str(Path(__file__).parent / "cpp"))
from reuse_object import essence

ROOT = Path(__file__).parent.parent
PATH = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", os.defpath)])


def absent(name: str) -> NoReturn:
    refuse = pytest.fail if "CI" in os.environ else pytest.skip
    refuse(f"{name} is not installed")


def tool(name: str) -> str:
    return shutil.which(name, path=PATH) or absent(name)


def run(name: str | Path, *arguments: str | Path, cwd: Path = ROOT, stdin: str = "", **environment: str) -> str:
    """Return the output of a tool; the folder of the running Python is searched first."""
    command = [tool(str(name)), *arguments]
    variables = {**os.environ, "PATH": PATH, **environment}
    done = subprocess.run(command, cwd=cwd, env=variables, input=stdin, capture_output=True, text=True)
    assert done.returncode == 0, f"{command}\n{done.stdout[-5000:]}\n{done.stderr[-5000:]}"
    return done.stdout


def objects_left_by_pip() -> dict[str, dict[str, str | list[str]]]:
    """Return the objects in pip's build folder that are newer than all their sources, by their normalized command."""
    found = {}
    for folder in ROOT.glob("build/cp*"):
        # These queries make Ninja neither build nor search for the CMake of pip's environment, which no longer exists.
        commands = json.loads(run("ninja", "-C", folder, "-t", "compdb"))
        listed = run("ninja", "-C", folder, "-t", "deps")
        for name, lines in re.findall(r"^(\S+): .*\(VALID\)\n((?:    .*\n)*)", listed, re.MULTILINE):
            sources = [folder / line.strip() for line in lines.splitlines()]
            made = (folder / name).stat().st_mtime if (folder / name).exists() else 0.0
            if all(source.exists() and source.stat().st_mtime < made for source in sources):
                [command] = [shlex.split(entry["command"]) for entry in commands if entry["output"] == name]
                found[essence(command)] = {"object": str(folder / name), "sources": [*map(str, sources)]}
    return found


def reusing_objects(folder: Path) -> list[str]:
    """Return the CMake option for reusing those objects in this build folder; none if a compiler cache is used."""
    if "CMAKE_CXX_COMPILER_LAUNCHER" in os.environ:
        return []
    folder.mkdir(exist_ok=True)
    objects = folder / "objects.json"
    objects.write_text(json.dumps(objects_left_by_pip()))
    launcher = [sys.executable, ROOT / "tests" / "cpp" / "reuse_object.py", objects]
    return [f"-DCMAKE_CXX_COMPILER_LAUNCHER={';'.join(map(str, launcher))}"]
