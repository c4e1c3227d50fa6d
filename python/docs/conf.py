"""Settings of the documentation site: ``pip install ".[docs]" && sphinx-build -W python/docs site``."""

import socket
import sys
from pathlib import Path
from typing import Any

import chainrule

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE / "_ext"))

project = "chainrule"
author = "The chainrule developers"
copyright = f"2026, {author}"
release = version = chainrule.__version__

extensions = [
    "headers",
    "relink",
    "myst_parser",
    "numpydoc",
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "sphinx.ext.intersphinx",
    "sphinx.ext.mathjax",
    "sphinx_copybutton",
    "sphinx_design",
    "sphinx_gallery.gen_gallery",
]
exclude_patterns = ["gallery/*.rst", "gallery/README*"]
root_doc = "index"
templates_path = ["_templates"]
default_role = "py:obj"
nitpicky = False

myst_enable_extensions = ["colon_fence", "dollarmath", "deflist"]
myst_heading_anchors = 4

autodoc_typehints = "none"  # the docstrings state the types
autodoc_default_options = {"members": True, "inherited-members": "BaseEstimator,ClassifierMixin,RegressorMixin,object"}
autosummary_generate = True
numpydoc_show_class_members = False
numpydoc_xref_param_type = False
intersphinx_mapping = {
    "numpy": ("https://numpy.org/doc/stable", None),
    "pandas": ("https://pandas.pydata.org/docs", None),
    "python": ("https://docs.python.org/3", None),
    "sklearn": ("https://scikit-learn.org/stable", None),
}
try:
    socket.getaddrinfo("docs.python.org", 443)
except OSError:  # without a network the site is built without links to other projects
    intersphinx_mapping = {}
suppress_warnings = ["config.cache"]  # sphinx_gallery_conf holds objects that are not stored between builds

sphinx_gallery_conf = {
    "examples_dirs": "gallery",
    "gallery_dirs": "auto_gallery",
    "filename_pattern": r"\.py$",
    "within_subsection_order": "FileNameSortKey",
    "abort_on_example_error": True,
    "capture_repr": (),
    "download_all_examples": False,
    "remove_config_comments": True,
    "show_memory": False,
    "show_signature": False,
    "min_reported_time": 1e9,
}

html_theme = "pydata_sphinx_theme"
html_title = "chainrule"
html_static_path = ["_static"]
html_css_files = ["narrow.css"]
toc_object_entries_show_parents = "hide"
html_sidebars = {"index": []}
html_theme_options = {
    "navigation_with_keys": False,
    "show_prev_next": True,
    "show_toc_level": 2,
    "secondary_sidebar_items": ["page-toc"],
    "footer_start": ["copyright"],
    "footer_end": [],
    "header_links_before_dropdown": 6,
}
html_show_sourcelink = False
copybutton_exclude = ".linenos, .gp, .go"
copybutton_prompt_text = r">>> |\.\.\. "
copybutton_prompt_is_regexp = True


def skip(app: Any, what: str, name: str, thing: Any, omitted: bool, options: Any) -> bool | None:
    """Leave out methods that scikit-learn defines: its documentation has them."""
    return True if str(getattr(thing, "__module__", "")).startswith("sklearn.") else None


def escape(app: Any, what: str, name: str, thing: Any, options: Any, lines: list[str]) -> None:
    """Keep the bars of absolute values, which would be substitutions."""
    lines[:] = [line if ">>>" in line else line.replace("|", r"\|") for line in lines]


def setup(app: Any) -> None:
    """Register with Sphinx."""
    app.connect("autodoc-skip-member", skip)
    app.connect("autodoc-process-docstring", escape, priority=900)
