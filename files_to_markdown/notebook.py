"""Converts Jupyter notebooks (ipynb) to Markdown, with the cells and the text of their outputs.

Source: https://nbformat.readthedocs.io/en/latest/format_description.html. Versions before 4 keep cells in worksheets.
"""

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from files_to_markdown.document import Draft, Part, code_block
from files_to_markdown.markup import read_html

_COLORS = re.compile(r"\x1b\[[0-9;]{0,20}m")
_TEXTS = ("text/markdown", "text/latex", "text/plain", "text")
"""Formats of an output, best first. HTML output usually has a plain-text alternative, which is shorter."""
_PAGES = ("text/html", "html")
_OBJECT = re.compile(r"\s*<[\w.]{1,100} object(?: at 0x[0-9a-f]{1,16})?>\s*", re.IGNORECASE)
"""Matches plain text that contains only the name of a class."""


def read_notebook(text: str, draft: Draft) -> None:
    try:
        notebook = json.loads(text)
    except (ValueError, RecursionError):
        notebook = None
    cells = [cell for cell in _cells(notebook) if isinstance(cell, Mapping)] if isinstance(notebook, Mapping) else []
    if not cells:
        draft.add_beginning_and_end(text)
        return
    language = _language(notebook)
    for cell in cells:
        source = _join_lines(cell.get("source", cell.get("input")))
        draft.add(code_block(source, language) if cell.get("cell_type") == "code" else source)
        attachments = cell.get("attachments")
        draft.record_left_out(Part.PICTURE, count=len(attachments) if isinstance(attachments, Mapping) else 0)
        for output in _objects(cell.get("outputs")):
            _add_output(output, draft)


def _cells(notebook: Mapping[str, Any]) -> Iterator[Any]:
    yield from _objects(notebook.get("cells"))
    for sheet in _objects(notebook.get("worksheets")):
        yield from _objects(sheet.get("cells"))


def _objects(value: object) -> list[Mapping[str, Any]]:
    return [item for item in value if isinstance(item, Mapping)] if isinstance(value, Sequence) else []


def _join_lines(value: object, separator: str = "") -> str:
    """Joins text that is stored either as a string or as a list of lines."""
    if isinstance(value, list):
        return separator.join(line for line in value if isinstance(line, str))
    return value if isinstance(value, str) else ""


def _language(notebook: Mapping[str, Any]) -> str:
    about: Any = notebook.get("metadata")
    for name in ("language_info", "name"):
        about = about.get(name) if isinstance(about, Mapping) else None
    return about if isinstance(about, str) and re.fullmatch(r"[\w+#-]{1,20}", about) else "python"


def _add_output(output: Mapping[str, Any], draft: Draft) -> None:
    """Adds a cell's printed output, result or error."""
    forms = output.get("data")
    data = forms if isinstance(forms, Mapping) else output
    said = _best_format(data, _TEXTS)
    page = _best_format(data, _PAGES)
    is_picture = any(name.startswith("image/") or name in ("png", "jpeg", "svg") for name in data)
    if output.get("output_type") in ("error", "pyerr"):
        said = f"{output.get('ename')}: {output.get('evalue')}\n{_join_lines(output.get('traceback'), chr(10))}"
    is_drawn = not said and ("<script" in page or (data is forms and bool(data) and not page))
    draft.record_left_out(Part.PICTURE, count=is_picture or is_drawn)
    # The plain format of a picture only names its class.
    if said.strip() and not is_picture:
        draft.add(f"Output:\n{code_block(_COLORS.sub('', said))}")
    elif page and not is_picture:
        draft.add("Output:", "\n")
        read_html(page, draft)


def _best_format(data: Mapping[str, Any], forms: Sequence[str]) -> str:
    texts = (_join_lines(data.get(form)) for form in forms)
    return next((text for text in texts if text and not _OBJECT.fullmatch(text)), "")
