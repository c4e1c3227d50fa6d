"""Documentation: the examples in docstrings, README and guide run, and links have targets."""

import doctest
import importlib
import importlib.util
import inspect
import pkgutil
import re
import warnings
from pathlib import Path

import pytest

import chainrule as cr

ROOT = Path(__file__).parent.parent
GUIDE = sorted(page.relative_to(ROOT).as_posix() for page in ROOT.glob("python/docs/*.md"))
PAGES = ["README.md", *GUIDE]
LINKED = [*PAGES, ".github/CONTRIBUTING.md", "cpp/README.md", "tests/README.md"]
LINKED += ["tests/bench/README.md", "tests/bench/NOTES.md", "tests/bench/QUALITY.md"]
MODULES = sorted(
    {module.name for module in pkgutil.walk_packages(cr.__path__, "chainrule.")}
    - {"chainrule._core", "chainrule.__main__"}
)
PUBLIC = [name for name in cr.__all__ if not name.startswith("__") and not inspect.ismodule(getattr(cr, name))]


@pytest.fixture(autouse=True)
def elsewhere(tmp_path, monkeypatch):
    """Examples may write files."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MPLBACKEND", "agg")


# Packages that the tests do not install, where an example imports them. Warnings that these packages emit are ignored.
FOREIGN = re.compile(r"^import (torch|mlflow|optuna|shap)$", re.MULTILINE)


class Finder(doctest.DocTestFinder):
    """Also finds the examples of decorated functions."""

    def _from_module(self, module, thing):
        return super()._from_module(module, inspect.unwrap(thing))


def failures(module):
    runner = doctest.DocTestRunner()
    for test in Finder().find(module):
        if not absent("".join(example.source for example in test.examples)):
            runner.run(test)
    return runner.failures


def absent(code):
    """Return the packages that an example imports and that the tests do not install."""
    return [package for package in FOREIGN.findall(code) if importlib.util.find_spec(package) is None]


def imported(module):
    """Import a module; skip the test if it needs an extra that the tests do not install."""
    try:
        return importlib.import_module(module)
    except ImportError as error:
        if 'pip install "chainrule[' not in str(error):
            raise
        pytest.skip(str(error))


@pytest.mark.parametrize("module", MODULES)
def test_examples_in_module_docstrings_run(module):
    assert failures(imported(module)) == 0


def test_examples_in_the_package_docstring_run():
    assert failures(cr) == 0


def test_examples_of_decorated_functions_are_found():
    names = {test.name for test in Finder().find(importlib.import_module("chainrule.network")) if test.examples}
    assert {"chainrule.network.Network", "chainrule.network.Network.fit"} <= names


@pytest.mark.parametrize("name", PUBLIC)
def test_every_public_name_is_documented(name):
    thing = getattr(cr, name)
    assert thing.__doc__
    if thing.__module__ != "chainrule._core":
        assert ">>>" in thing.__doc__


@pytest.mark.parametrize("name", [n for n in PUBLIC if inspect.isbuiltin(getattr(cr, n))])
def test_examples_in_the_extension_run(name):
    documented = getattr(cr, name)
    test = doctest.DocTestParser().get_doctest(documented.__doc__, {}, name, None, 0)
    assert doctest.DocTestRunner().run(test).failed == 0


@pytest.mark.parametrize("page", PAGES)
def test_python_blocks_run(page):
    """The blocks of a page share one namespace."""
    blocks = re.findall(r"^```python\n(.*?)^```", (ROOT / page).read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)
    if missing := absent("\n".join(blocks)):
        pytest.skip(f"{', '.join(missing)} is not installed")
    namespace = {"__name__": "page"}
    with warnings.catch_warnings():
        if FOREIGN.search("\n".join(blocks)):
            warnings.simplefilter("ignore")
        for number, block in enumerate(blocks, 1):
            exec(compile(block, f"{page}, Python block {number}", "exec"), namespace)


@pytest.mark.parametrize("page", LINKED)
def test_links_lead_to_files_and_headings(page):
    """Every linked file and heading exists."""
    for path, heading in re.findall(
        r"\]\((?!https?:)([^)#]*)(?:#([^)]+))?\)", (ROOT / page).read_text(encoding="utf-8")
    ):
        target = (ROOT / page).parent / path if path else ROOT / page
        assert target.exists(), path
        if heading:
            titles = re.findall(r"^#+ (.*)", target.read_text(encoding="utf-8"), re.MULTILINE)
            assert heading in [re.sub(r"[^\w -]", "", title.lower()).replace(" ", "-") for title in titles]


TABLES = {
    "Network": [cr.Network],
    "Network.fit": [cr.Network.fit],
    "Stop": [cr.Stop],
    "Estimators": [cr.MLPClassifier, cr.MLPRegressor],
}


@pytest.mark.parametrize("section", TABLES)
def test_parameters_page_lists_every_parameter_and_default(section):
    """A row is | `name` | default | ..., or has several names and defaults."""
    text = (ROOT / "python" / "docs" / "parameters.md").read_text(encoding="utf-8")
    [table] = re.findall(rf"^## {section}\n(.*?)(?=^## |\Z)", text, re.MULTILINE | re.DOTALL)
    listed = {}
    for names, defaults in re.findall(r"^\| (`.*?) \| (.*?) *\|", table, re.MULTILINE):
        several = re.findall(r"`(\w+)`", names)
        listed |= dict(
            zip(several, defaults.split("`, `") if several[1:] and defaults else [defaults] * len(several), strict=True)
        )
    parameters = [p for f in TABLES[section] for p in inspect.signature(f).parameters.values() if p.name != "self"]
    assert listed.keys() == {parameter.name for parameter in parameters}
    for parameter in parameters:
        if parameter.default is not parameter.empty:
            assert repr(parameter.default).replace("'", '"') in listed[parameter.name], parameter
