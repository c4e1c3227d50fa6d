"""The directive ``header``: a C++ header as a page, with its comments as text and its declarations as code."""

from pathlib import Path
from typing import Any

from docutils import nodes
from docutils.parsers.rst import Directive

HEADERS = Path(__file__).parent.parent.parent.parent / "cpp" / "include" / "chainrule"


def sections(text: str) -> list[tuple[str, str]]:
    """Return the comment and the code of each part of a header. Empty lines separate the parts.

    The comment is the one before the first line of code; comments within the code stay there.
    """
    found, part, depth = [], list[str](), 0
    for line in [*text.splitlines(), ""]:
        depth += line.count("{") - line.count("}") if not line.startswith("//") else 0
        if line or depth > 1:  # 1: inside the namespace
            part.append(line)
            continue
        comments = next((i for i, line in enumerate(part) if not line.startswith("//")), len(part))
        prose = "\n".join(comment.removeprefix("//").strip() for comment in part[:comments])
        found.append((prose, "\n".join(part[comments:])))
        part = []
    return found


def paragraph(text: str) -> nodes.paragraph:
    """Return a paragraph in which names between backticks are code."""
    parts = enumerate(text.split("`"))
    return nodes.paragraph("", "", *(nodes.literal("", part) if i % 2 else nodes.Text(part) for i, part in parts))


# Lines for the preprocessor that say nothing to a reader.
NOT_SHOWN = ("#pragma", "#include", "#if", "#else", "#endif", "#define CHAINRULE_C_API", 'extern "C"')


class Header(Directive):
    """Shows the public header that the argument names."""

    required_arguments = 1
    has_content = False

    def run(self) -> list[nodes.Node]:
        """Return the text and the code blocks."""
        path = HEADERS / self.arguments[0]
        self.state.document.settings.env.note_dependency(str(path))
        shown: list[nodes.Node] = []
        for prose, code in sections(path.read_text(encoding="utf-8")):
            code = "\n".join(line for line in code.splitlines() if not line.startswith(NOT_SHOWN))
            shown += [paragraph(" ".join(text.split("\n"))) for text in prose.split("\n\n") if text.strip()]
            if code.strip() and not code.strip().startswith(("namespace", "}")):
                shown.append(nodes.literal_block(code, code, language="cpp"))
        return shown


def setup(app: Any) -> dict[str, bool]:
    """Register with Sphinx."""
    app.add_directive("header", Header)
    return {"parallel_read_safe": True}
