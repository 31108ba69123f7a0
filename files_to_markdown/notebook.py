"""Notebooks of Jupyter (ipynb) as Markdown: the cells and the text of their outputs.

Source: https://nbformat.readthedocs.io/en/latest/format_description.html. Versions before 4 keep cells in worksheets.
"""

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from files_to_markdown.document import Draft, Part, code_block

_COLORS = re.compile(r"\x1b\[[0-9;]{0,20}m")
_TEXTS = ("text/markdown", "text/latex", "text/plain", "text")
"""Of one output in several forms, best first. A page of HTML always has a plain form beside it."""


def read_notebook(text: str, draft: Draft) -> None:
    """Adds the cells of a notebook to a draft, or the text as it is if it isn't one."""
    try:
        notebook = json.loads(text)
    except (ValueError, RecursionError):
        notebook = None
    cells = [cell for cell in _cells(notebook) if isinstance(cell, Mapping)] if isinstance(notebook, Mapping) else []
    if not cells:
        draft.add_ends(text)
        return
    language = _language(notebook)
    for cell in cells:
        source = _joined(cell.get("source", cell.get("input")))
        draft.add(code_block(source, language) if cell.get("cell_type") == "code" else source)
        attachments = cell.get("attachments")
        draft.leave_out(Part.PICTURE, count=len(attachments) if isinstance(attachments, Mapping) else 0)
        for output in _items(cell.get("outputs")):
            _add_output(output, draft)


def _cells(notebook: Mapping[str, Any]) -> Iterator[Any]:
    yield from _items(notebook.get("cells"))
    for sheet in _items(notebook.get("worksheets")):
        yield from _items(sheet.get("cells"))


def _items(value: object) -> list[Mapping[str, Any]]:
    """Returns the objects of a list, [] for anything else."""
    return [item for item in value if isinstance(item, Mapping)] if isinstance(value, Sequence) else []


def _joined(value: object) -> str:
    """Returns a text that stands as a string or as a list of lines."""
    if isinstance(value, list):
        return "".join(line for line in value if isinstance(line, str))
    return value if isinstance(value, str) else ""


def _language(notebook: Mapping[str, Any]) -> str:
    about: Any = notebook.get("metadata")
    for name in ("language_info", "name"):
        about = about.get(name) if isinstance(about, Mapping) else None
    return about if isinstance(about, str) and re.fullmatch(r"[\w+#-]{1,20}", about) else "python"


def _add_output(output: Mapping[str, Any], draft: Draft) -> None:
    """Adds what a cell has printed, returned or failed with."""
    data = output.get("data") if isinstance(output.get("data"), Mapping) else output
    assert data is not None
    said = next(filter(None, (_joined(data.get(form)) for form in _TEXTS)), "")
    is_picture = any(name.startswith("image/") or name in ("png", "jpeg", "svg") for name in data)
    draft.leave_out(Part.PICTURE, count=is_picture)
    if output.get("output_type") in ("error", "pyerr"):
        said = f"{output.get('ename')}: {output.get('evalue')}\n{_joined(output.get('traceback'))}"
    # The plain form of a picture only names its class.
    if said.strip() and not is_picture:
        draft.add(f"Output:\n{code_block(_COLORS.sub('', said))}")
