"""What PyPI and GitHub show: the README without relative links, addresses, classifiers, the forms."""

import importlib.util
import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

import chainrule as cr

ROOT = Path(__file__).parent.parent
pytestmark = pytest.mark.skipif(not (ROOT / ".github").exists(), reason="an sdist has no .github")


@pytest.fixture(scope="module")
def publish():
    spec = importlib.util.spec_from_file_location("publish", ROOT / ".github" / "publish.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_published_readme_has_no_relative_link(publish):
    text = publish.absolute((ROOT / "README.md").read_text(encoding="utf-8"), "owner/name", "v1.2.3")
    links = re.findall(r"\]\(([^)]*)\)", text)
    assert len(links) > 10
    assert [link for link in links if not link.startswith("https://")] == []
    assert "![Time of" in text
    assert "(https://raw.githubusercontent.com/owner/name/v1.2.3/tests/bench/speed.svg)" in text
    assert "(https://github.com/owner/name/blob/v1.2.3/CHANGELOG.md)" in text


def test_published_pyproject_has_the_addresses_of_the_repository(publish):
    tomllib = pytest.importorskip("tomllib")  # Python 3.11
    text = publish.with_addresses((ROOT / "pyproject.toml").read_text(encoding="utf-8"), "owner/name")
    urls = tomllib.loads(text)["project"]["urls"]
    assert urls["Repository"] == "https://github.com/owner/name"
    assert urls["Documentation"] == "https://owner.github.io/name/"
    assert urls["Changelog"] == "https://github.com/owner/name/blob/main/CHANGELOG.md"


def test_classifiers_name_every_python_that_has_a_wheel():
    tomllib = pytest.importorskip("tomllib")
    pyproject = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    wheels = {name[2:].split("-")[0].rstrip("t") for name in pyproject["tool"]["cibuildwheel"]["build"]}
    named = {c.rpartition(" ")[2] for c in pyproject["project"]["classifiers"] if re.search(r":: 3\.\d+$", c)}
    assert {f"{version[0]}.{version[1:]}" for version in wheels} - {"3.15"} == named  # 3.15 is not released yet
    assert set(pyproject["project"]["classifiers"]) <= known_classifiers()


def known_classifiers():
    return set(pytest.importorskip("trove_classifiers").classifiers)


def test_readme_renders_on_pypi(tmp_path):
    pytest.importorskip("twine")
    pytest.importorskip("build.env")  # not "build": the folder of that name here can be imported too
    command = [sys.executable, "-m", "build", "--sdist", "--no-isolation", "--outdir", tmp_path, ROOT]
    subprocess.run(command, check=True, capture_output=True)
    [sdist] = tmp_path.glob("*.tar.gz")
    done = subprocess.run(
        [sys.executable, "-m", "twine", "check", "--strict", sdist], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout


def test_citation_names_the_project():
    text = (ROOT / "CITATION.cff").read_text(encoding="utf-8")
    assert "title: chainrule\n" in text
    assert "license: BSD-3-Clause\n" in text


def test_development_container_installs_what_the_tests_need():
    container = json.loads((ROOT / ".devcontainer" / "devcontainer.json").read_text(encoding="utf-8"))
    assert 'pip install ".[test]"' in container["onCreateCommand"]


def test_bug_form_asks_for_the_configuration():
    text = (ROOT / ".github" / "ISSUE_TEMPLATE" / "bug.yml").read_text(encoding="utf-8")
    assert "chainrule.show_config()" in text
    assert callable(cr.show_config)
