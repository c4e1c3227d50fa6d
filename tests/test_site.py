"""The documentation site: it builds without warnings, has every public name, and its links have targets."""

import html.parser
import os
import re
import subprocess
import sys
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest

import chainrule as cr

ROOT = Path(__file__).parent.parent
DOCS = ROOT / "python" / "docs"
pytest.importorskip("sphinx_gallery")


def test_site_builds_without_warnings_and_is_complete(tmp_path):
    """One test, because several tests would build the pages once in each worker process."""
    site = build(tmp_path)
    assert dead_links(site) == []
    assert public_names_without_page(site) == set()
    assert headers_that_are_not_shown(site) == []
    assert "`" not in re.sub("<.*?>", "", re.sub("<pre>.*?</pre>", "", page_of_headers(site), flags=re.DOTALL))
    assert programs_without_picture(site) == []


def build(folder):
    command = [sys.executable, "-m", "sphinx", "--fail-on-warning", "--keep-going", "-E", "-q", "-d", folder / "trees"]
    environment = {**os.environ, "MPLBACKEND": "agg"}
    done = subprocess.run(
        [*command, DOCS, folder / "html"], capture_output=True, text=True, env=environment, check=False
    )
    assert done.returncode == 0, done.stderr
    return folder / "html"


class Links(html.parser.HTMLParser):
    def __init__(self, page):
        super().__init__()
        self.links, self.names = set(), set()
        self.feed(page.read_text(encoding="utf-8"))

    def handle_starttag(self, tag, attributes):
        given = dict(attributes)
        self.names |= {given[key] for key in ("id", "name") if given.get(key)}
        self.links |= {given[key] for key in ("href", "src") if given.get(key)}


def dead_links(site):
    pages = {page: Links(page) for page in site.rglob("*.html") if "_static" not in page.parts}
    assert len(pages) > 80
    dead = []
    for page, found in pages.items():
        for link in found.links:
            parts = urlsplit(link)
            if parts.scheme or parts.netloc or link.startswith("#"):
                continue
            target = (page.parent / unquote(parts.path)).resolve()
            named = parts.fragment in ("", *(pages[target].names if target in pages else ()))
            if not target.exists() or not named:
                dead.append((page.relative_to(site).as_posix(), link))
    return dead


def public_names_without_page(site):
    pages = {page.stem.rpartition(".")[2] for page in (site / "generated").glob("*.html")}
    return {name for name in cr.__all__ if name not in ("__version__", "plots")} - pages


def page_of_headers(site):
    page = (site / "reference_cpp.html").read_text(encoding="utf-8")
    return page.partition("<article")[2].partition("</article>")[0]


def headers_that_are_not_shown(site):
    page = re.sub(r"<[^>]+>", "", page_of_headers(site))
    assert "struct NetworkOptions" in page
    headers = (ROOT / "cpp" / "include" / "chainrule").glob("*.h")
    shown = set(re.findall(r"chainrule/(\w+\.h)\b(?!pp)", page))
    return [file.name for file in headers if file.name != "api.h" and file.name not in shown]


def programs_without_picture(site):
    programs = [program.stem for program in (DOCS / "gallery").glob("plot_*.py")]
    assert len(programs) > 5
    return [name for name in programs if not list((site / "_images").glob(f"sphx_glr_{name}_*.png"))]
