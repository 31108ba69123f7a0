"""Renders `rich_text` and `table` blocks as safe HTML for the page."""

import re
from collections.abc import Callable, Iterable, Sequence
from html import escape
from urllib.parse import quote

from slack_sandbox.files import canvas_of
from slack_sandbox.page.highlight import code_html
from slack_sandbox.text.emoji import emoji_text
from slack_sandbox.wire import linked_message
from slack_sandbox.workspace import Json

_MAX_INDENT = 8
_LINK = re.compile(r"(?:https?|mailto):", re.IGNORECASE)
_STYLES = (("code", "code"), ("bold", "strong"), ("italic", "em"), ("strike", "s"))
_ALIGNED = frozenset({"left", "center", "right"})


class RichTextRenderer:
    """Renders rich_text and table blocks. `token` renders one of Slack's tokens, such as `@U123`."""

    def __init__(self, token: Callable[[str], str]) -> None:
        self._token = token

    def html(self, block: Json) -> str:
        return "".join(self._element(element) for element in block.get("elements", ()))

    def table(self, block: Json) -> str:
        columns = block.get("column_settings") or ()
        head, *rows = [self._row(row, columns, "td" if number else "th") for number, row in enumerate(block["rows"])]
        return (
            f'<div class="table" tabindex="0"><table><thead>{head}</thead><tbody>{"".join(rows)}</tbody></table></div>'
        )

    def _row(self, cells: Iterable[Json | None], columns: Sequence[Json], tag: str) -> str:
        # Alignment is a class because the content security policy forbids style attributes.
        aligned = [str((column or {}).get("align", "")) for column in columns]
        html = ""
        for number, cell in enumerate(cells):
            align = aligned[number] if number < len(aligned) and aligned[number] in _ALIGNED else ""
            html += f"<{tag}{f' class={chr(34)}{align}{chr(34)}' if align else ''}>{self._cell(cell)}</{tag}>"
        return f"<tr>{html}</tr>"

    def _cell(self, cell: Json | None) -> str:
        if cell is None:
            return ""
        if cell.get("type") == "rich_text":
            return "<br>".join(self._inline(element.get("elements", ())) for element in cell.get("elements", ()))
        return _lines(str(cell.get("text", cell.get("value", ""))))

    def _element(self, element: Json) -> str:
        children = element.get("elements", ())
        match element.get("type"):
            case "rich_text_list":
                items = "".join(f"<li>{self._inline(item.get('elements', ()))}</li>" for item in children)
                return _with_border(element, _list(element, items))
            case "rich_text_preformatted":
                return _with_border(element, self._code(element))
            case "rich_text_quote":
                return f"<blockquote>{self._inline(children)}</blockquote>"
        # A line break at the edge of another element would be shown as an empty line.
        paragraphs = (self._inline(part).removeprefix("<br>").removesuffix("<br>") for part in _paragraphs(children))
        return "".join(f"<p>{html}</p>" for html in paragraphs if html)

    def _code(self, element: Json) -> str:
        language = str(element.get("language", ""))
        children = element.get("elements", ())
        if any(part.get("type") != "text" for part in children):
            return f"<pre><code>{self._inline(children)}</code></pre>"
        code = code_html("".join(str(part.get("text", "")) for part in children), language)
        label = f"<figcaption>{escape(language)}</figcaption>" if language else ""
        return f'<figure class="code">{label}<pre tabindex="0"><code>{code}</code></pre></figure>'

    def _inline(self, elements: Iterable[Json]) -> str:
        return "".join(self._piece(element) for element in elements)

    def _piece(self, element: Json) -> str:
        html = self._unstyled(element)
        for style, tag in _STYLES:
            if (element.get("style") or {}).get(style):
                html = f"<{tag}>{html}</{tag}>"
        return html

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
                return date_html(element.get("timestamp"), str(element.get("format")), str(element.get("fallback", "")))
            case "link":
                return link_html(str(element.get("url", "")), str(element.get("text") or element.get("url", "")))
            case "emoji":
                return escape(emoji_text(element))
        return _lines(str(element.get("text", "")))


def date_html(timestamp: object, form: str, fallback: str) -> str:
    """Returns a time that the page shows in the reader's time zone."""
    at = escape(str(timestamp))
    return f'<span class="date" data-at="{at}" data-format="{escape(form)}">{escape(fallback)}</span>'


def channel_html(channel_id: str, name: str) -> str:
    """Returns a mention of a channel as a link to it. `name` is HTML."""
    place = f'href="/?channel={quote(channel_id, safe="")}" data-in="{escape(channel_id)}"'
    return f'<a class="mention" {place}>#{name}</a>'


def link_html(url: str, label: str) -> str:
    """Returns a link to http, https or mailto. For other schemes, returns only the label.

    Links to a canvas or a message lead to it on the page, because their Slack URLs don't exist.
    """
    if not _LINK.match(url):
        return escape(label)
    if canvas_id := canvas_of(url):
        return f'<a href="/sandbox/files/{canvas_id}" data-canvas="{canvas_id}">{escape(label)}</a>'
    if linked := linked_message(url):
        channel, ts = linked
        place = f'href="/?channel={channel}&amp;thread={ts}" data-in="{channel}" data-message="{ts}"'
        return f"<a {place}>{escape(label)}</a>"
    return f'<a href="{escape(url)}" target="_blank" rel="noopener noreferrer">{escape(label)}</a>'


def _paragraphs(elements: Iterable[Json]) -> list[list[Json]]:
    paragraphs: list[list[Json]] = [[]]
    for element in elements:
        if element.get("type") != "text" or element.get("style"):
            paragraphs[-1].append(element)
            continue
        first, *more = str(element.get("text", "")).split("\n\n")
        for number, text in enumerate([first, *more]):
            paragraphs += [[]] if number else []
            paragraphs[-1] += [{**element, "text": text}] if text else []
    return paragraphs


def _list(element: Json, items: str) -> str:
    """Returns one list. Slack stores a nested list as a separate list with an indent."""
    tag, start = ("ol", f' start="{element.get("offset", 0) + 1}"') if element.get("style") == "ordered" else ("ul", "")
    indent = min(int(element.get("indent", 0)), _MAX_INDENT)
    return f'<{tag} class="indent-{indent}"{start}>{items}</{tag}>'


def _with_border(element: Json, html: str) -> str:
    """Returns a list or code block, inside a quote if it has a border."""
    return f"<blockquote>{html}</blockquote>" if element.get("border") else html


def _lines(text: str) -> str:
    return escape(text).replace("\n", "<br>")
