"""`rich_text` and `table` blocks as safe HTML for the page."""

import re
from collections.abc import Callable, Iterable, Sequence
from html import escape

from sandbox.emoji import sign_of
from sandbox.highlight import code_html
from sandbox.workspace import Json

_MAX_INDENT = 8
_LINK = re.compile(r"(?:https?|mailto):", re.IGNORECASE)
_STYLES = (("code", "code"), ("bold", "strong"), ("italic", "em"), ("strike", "s"))
_ALIGNED = frozenset({"left", "center", "right"})


class RichTextRenderer:
    """`token` renders one of Slack's tokens, such as `@U123`."""

    def __init__(self, token: Callable[[str], str]) -> None:
        self._token = token

    def html(self, block: Json) -> str:
        """A rich_text block."""
        return "".join(self._element(element) for element in block.get("elements", ()))

    def table(self, block: Json) -> str:
        """A table block; its first row is its header."""
        columns = block.get("column_settings") or ()
        head, *rows = [self._row(row, columns, "td" if number else "th") for number, row in enumerate(block["rows"])]
        return (
            f'<div class="table" tabindex="0"><table><thead>{head}</thead><tbody>{"".join(rows)}</tbody></table></div>'
        )

    def _row(self, cells: Iterable[Json], columns: Sequence[Json], tag: str) -> str:
        # Alignment is a class: a strict content security policy allows no style attribute.
        aligned = [str((column or {}).get("align", "")) for column in columns]
        shown = ""
        for number, cell in enumerate(cells):
            align = aligned[number] if number < len(aligned) and aligned[number] in _ALIGNED else ""
            shown += f"<{tag}{f' class={chr(34)}{align}{chr(34)}' if align else ''}>{self._cell(cell)}</{tag}>"
        return f"<tr>{shown}</tr>"

    def _cell(self, cell: Json) -> str:
        if cell.get("type") == "rich_text":
            return "<br>".join(self._inline(element.get("elements", ())) for element in cell.get("elements", ()))
        return _lines(str(cell.get("text", cell.get("value", ""))))

    def _element(self, element: Json) -> str:
        inner = element.get("elements", ())
        match element.get("type"):
            case "rich_text_list":
                items = "".join(f"<li>{self._inline(item.get('elements', ()))}</li>" for item in inner)
                return _quoted(element, _list(element, items))
            case "rich_text_preformatted":
                return _quoted(element, self._code(element))
            case "rich_text_quote":
                return f"<blockquote>{self._inline(inner)}</blockquote>"
        # Its last line ends where the next element begins.
        return "".join(f"<p>{self._inline(each).removesuffix('<br>')}</p>" for each in _paragraphs(inner))

    def _code(self, element: Json) -> str:
        language = str(element.get("language", ""))
        inner = element.get("elements", ())
        if any(each.get("type") != "text" for each in inner):
            return f"<pre><code>{self._inline(inner)}</code></pre>"
        code = code_html("".join(str(each.get("text", "")) for each in inner), language)
        label = f"<figcaption>{escape(language)}</figcaption>" if language else ""
        return f'<figure class="code">{label}<pre tabindex="0"><code>{code}</code></pre></figure>'

    def _inline(self, elements: Iterable[Json]) -> str:
        return "".join(self._piece(element) for element in elements)

    def _piece(self, element: Json) -> str:
        shown = self._unstyled(element)
        for style, tag in _STYLES:
            if (element.get("style") or {}).get(style):
                shown = f"<{tag}>{shown}</{tag}>"
        return shown

    def _unstyled(self, element: Json) -> str:
        match element.get("type"):
            case "user":
                return self._token(f"@{element.get('user_id', '')}")
            case "channel":
                return self._token(f"#{element.get('channel_id', '')}")
            case "usergroup":
                return self._token(f"!subteam^{element.get('usergroup_id', '')}|@group")
            case "broadcast":
                return self._token(f"!{element.get('range', '')}")
            case "date":
                return f'<span class="date">{escape(str(element.get("fallback", "")))}</span>'
            case "link":
                return link_html(str(element.get("url", "")), str(element.get("text") or element.get("url", "")))
            case "emoji":
                return escape(sign_of(element))
        return _lines(str(element.get("text", "")))


def link_html(url: str, label: str) -> str:
    """A link that leads to the web or to a mail program; its label alone where it would lead elsewhere."""
    if not _LINK.match(url):
        return escape(label)
    return f'<a href="{escape(url)}" target="_blank" rel="noopener noreferrer">{escape(label)}</a>'


def _paragraphs(elements: Iterable[Json]) -> list[list[Json]]:
    """A section's elements, parted at its empty lines."""
    parted: list[list[Json]] = [[]]
    for element in elements:
        if element.get("type") != "text" or element.get("style"):
            parted[-1].append(element)
            continue
        first, *more = str(element.get("text", "")).split("\n\n")
        for number, text in enumerate([first, *more]):
            parted += [[]] if number else []
            parted[-1] += [{**element, "text": text}] if text else []
    return parted


def _list(element: Json, items: str) -> str:
    """Slack tells a list inside another as a list of its own, with an indent."""
    tag, held = ("ol", f' start="{element.get("offset", 0) + 1}"') if element.get("style") == "ordered" else ("ul", "")
    indent = min(int(element.get("indent", 0)), _MAX_INDENT)
    return f'<{tag} class="indent-{indent}"{held}>{items}</{tag}>'


def _quoted(element: Json, shown: str) -> str:
    """Lists and code with a border stand in a quote."""
    return f"<blockquote>{shown}</blockquote>" if element.get("border") else shown


def _lines(text: str) -> str:
    return escape(text).replace("\n", "<br>")
