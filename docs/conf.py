"""Settings of the docs site, which `make site` builds with Sphinx from the Markdown as it is.

The source folder is the repository, so relative links work on the site and on the repository's host. docs/README.md is
the navigation: a page that it doesn't list is an orphan, and an error. Links to other files become downloads.
"""

import re
from pathlib import Path, PurePosixPath
from typing import Any

REPOSITORY = Path(__file__).parents[1]
INDEX = PurePosixPath("docs/README.md")

project = "Typist"
version = release = re.findall(r'__version__ = "(.+)"', (REPOSITORY / "bot/__init__.py").read_text())[0]
extensions = ["myst_parser"]
root_doc = "README"
include_patterns = [
    "*.md",
    "docs/**",
    "sandbox/*.md",
    "*_markdown/*.md",
    "slack_pacing/*.md",
    "tests/scenarios/*.md",
]
myst_heading_anchors = 6
nitpicky = True
html_title = f"Typist {version}"
html_theme = "pydata_sphinx_theme"
html_theme_options = {"navbar_center": [], "secondary_sidebar_items": ["page-toc"], "footer_end": []}
html_sidebars = {"**": ["navigation"]}
templates_path = ["templates"]
html_show_sourcelink = html_copy_source = False


def toctrees(index: str) -> str:
    """Returns the site's navigation: a list for each section of docs/README.md, in MyST."""
    lists = [":caption: Typist\n\ndocs/README"]
    for section in re.split(r"^## ", index, flags=re.MULTILINE)[1:]:
        heading = section.partition("\n")[0]
        linked = re.findall(r"\]\(([^)#]+\.md)\)", section)
        pages = [str(_resolved(INDEX.parent / path).with_suffix("")) for path in linked]
        lists.append("\n".join((f":caption: {heading}", "", *pages)))
    return "".join(f"\n```{{toctree}}\n:hidden:\n{listed}\n```\n" for listed in lists)


def _resolved(path: PurePosixPath) -> PurePosixPath:
    """Returns a path without `..`."""
    parts: list[str] = []
    for part in path.parts:
        if part == "..":
            parts.pop()
        else:
            parts.append(part)
    return PurePosixPath(*parts)


def _add_navigation(_: Any, name: str, source: list[str]) -> None:
    if name == root_doc:
        source[0] += toctrees((REPOSITORY / INDEX).read_text())


def _write_first_page(app: Any, error: Exception | None) -> None:
    """Writes index.html, which web servers look for, and which leads to the README."""
    if error is None:
        page = f'<!doctype html><meta charset="utf-8"><meta http-equiv="refresh" content="0; url={root_doc}.html">\n'
        (Path(app.outdir) / "index.html").write_text(page)


def setup(app: Any) -> None:
    from pygments.lexers.special import TextLexer

    # The repository's host draws these diagrams. Their text is readable, too.
    app.add_lexer("mermaid", TextLexer)
    app.connect("source-read", _add_navigation)
    app.connect("build-finished", _write_first_page)
