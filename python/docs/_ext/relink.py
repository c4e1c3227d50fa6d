"""Puts files from outside the guide on the site, and directs links to them.

The pages of the guide are also read in the repository, where their links lead to files of other folders. On the site,
links to a file that is also a page lead to that page, and links to any other file download it.
"""

import os
import re
from pathlib import Path
from typing import Any

GUIDE = Path(__file__).parent.parent
ROOT = GUIDE.parent.parent
# Files from outside the guide that are pages of the site, by the name of the page.
PAGES = {
    "benchmarks": "tests/bench/NOTES.md",
    "changelog": "CHANGELOG.md",
    "contributing": ".github/CONTRIBUTING.md",
    "core": "cpp/README.md",
    "measuring": "tests/bench/README.md",
    "quality": "tests/bench/QUALITY.md",
    "testing": "tests/README.md",
}
# Pages whose table of links is also their part of the navigation.
LISTS = ("README", "background", "reference", "start")
_LINK = re.compile(r"(!?\[[^\]]*\]\()(?!https?:|#|mailto:)([^)#\s]+)(#[^)\s]*)?\)")


def relink(text: str, folder: Path) -> str:
    """Return a page from a folder with its links changed so that they hold on the site."""
    pages = {(ROOT / path).resolve(): name for name, path in PAGES.items()}

    def change(match: re.Match[str]) -> str:
        before, path, heading = match.groups()
        target = (folder / path).resolve()
        if target in pages:
            return f"{before}{pages[target]}.md{heading or ''})"
        if target.is_dir():
            return match[0].partition("](")[0].lstrip("![")
        return f"{before}{os.path.relpath(target, GUIDE)}{heading or ''})"

    return _LINK.sub(change, text)


def read(app: Any, docname: str, source: list[str]) -> None:
    """Change the links of a page that Sphinx has read; a page with only the name of a file has that file's text."""
    if docname in PAGES:
        path = ROOT / PAGES[docname]
        source[0] = relink(path.read_text(encoding="utf-8"), path.parent)
    elif Path(app.env.doc2path(docname)).suffix == ".md":
        source[0] = relink(source[0], GUIDE)
        if docname in LISTS:
            listed = "\n".join(dict.fromkeys(re.findall(r"^\| \[[^\]]*\]\((\w+)\.md\)", source[0], re.MULTILINE)))
            source[0] += f"\n```{{toctree}}\n:hidden:\n\n{listed}\n```\n"


def setup(app: Any) -> dict[str, bool]:
    """Register with Sphinx."""
    app.connect("source-read", read)
    return {"parallel_read_safe": True}
