"""Prepares a checkout for PyPI: python .github/publish.py OWNER/NAME REF.

The README links to files of the repository, which PyPI does not have. This program makes them absolute links to the
repository at a tag or commit, and adds the addresses of the repository to pyproject.toml. So no file has to contain
the place where the project is published. The workflow `site` publishes the documentation.
"""

import re
import sys
from pathlib import Path

ROOT = Path(__file__).parent.parent
LINK = re.compile(r"(!?)(\[[^\]]*\]\()(?!https?:|#)([^)\s]+)\)")


def absolute(text: str, repository: str, ref: str) -> str:
    """Return a page whose relative links lead to the repository."""

    def change(match: re.Match[str]) -> str:
        picture, before, path = match.groups()
        place = (
            f"https://raw.githubusercontent.com/{repository}/{ref}"
            if picture
            else f"https://github.com/{repository}/blob/{ref}"
        )
        return f"{picture}{before}{place}/{path})"

    return LINK.sub(change, text)


def with_addresses(pyproject: str, repository: str) -> str:
    """Return pyproject.toml with the table of addresses."""
    home = f"https://github.com/{repository}"
    owner, name = repository.split("/")
    addresses = {
        "Repository": home,
        "Documentation": f"https://{owner.lower()}.github.io/{name}/",
        "Changelog": f"{home}/blob/main/CHANGELOG.md",
        "Issues": f"{home}/issues",
    }
    lines = [f'{label} = "{address}"' for label, address in addresses.items()]
    table = "\n".join(["[project.urls]", *lines])
    return pyproject.replace("[project.optional-dependencies]", f"{table}\n\n[project.optional-dependencies]", 1)


if __name__ == "__main__":
    repository, ref = sys.argv[1:]
    readme, pyproject = ROOT / "README.md", ROOT / "pyproject.toml"
    readme.write_text(absolute(readme.read_text(encoding="utf-8"), repository, ref), encoding="utf-8")
    pyproject.write_text(with_addresses(pyproject.read_text(encoding="utf-8"), repository), encoding="utf-8")
