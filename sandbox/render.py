"""Messages as safe HTML for the page: blocks, Slack's mrkdwn, and Markdown through sandbox.markdown."""

import re
from collections.abc import Callable, Iterable, Mapping
from html import escape
from itertools import chain
from typing import Any

from sandbox.control import unescape
from sandbox.markdown import to_html
from sandbox.render_elements import ElementRenderer
from sandbox.workspace import Json, Message

_CODE = re.compile(r"\n?```\n?(?P<block>.*?)\n?```\n?|`(?P<inline>[^`\n]+)`", re.DOTALL)
_TOKEN = re.compile(r"<(?P<token>[^<>|\n][^<>\n]*)>")
_STYLES = [
    (re.compile(rf"(?<![\w{mark}]){mark}(?=\S)([^{mark}\n]+?)(?<=\S){mark}(?![\w{mark}])"), tag)
    for mark, tag in ((r"\*", "strong"), ("_", "em"), ("~", "s"))
]
_MOST_INDENT = 8
_LINK = re.compile(r"(?:https?|mailto):", re.IGNORECASE)


class Renderer:
    """`names` tells how users and channels are called, by id."""

    def __init__(self, names: Callable[[], Mapping[str, str]]) -> None:
        self._names = names
        self._elements = ElementRenderer(self._text, names)

    def html(self, message: Message) -> str:
        """What its blocks show, or its text where it has none, and what hangs below it."""
        shown = self.blocks(message.blocks) if message.blocks else self.mrkdwn(message.text)
        return shown + "".join(self._attachment(each) for each in message.attachments)

    def _attachment(self, attachment: Json) -> str:
        """A forwarded message, or what an app hangs below its own: apps' older form of blocks."""
        title, url = str(attachment.get("title", "")), str(attachment.get("title_link", ""))
        fields = [f"*{each.get('title', '')}*\n{each.get('value', '')}" for each in attachment.get("fields", ())]
        parts = [
            self._line("author", attachment.get("author_name") or attachment.get("service_name")),
            f'<div class="title">{_link(unescape(url), unescape(title))}</div>' if title else "",
            self._attached(attachment),
            *(self._line("said", field) for field in fields),
            self._line("context", attachment.get("footer")),
            self._line("context", f"Posted in <#{attachment['channel_id']}>") if attachment.get("is_share") else "",
        ]
        shown = "".join(parts) or self._line("said", attachment.get("fallback"))
        return f'{self._line("pretext", attachment.get("pretext"))}<div class="attachment">{shown}</div>'

    def _attached(self, attachment: Json) -> str:
        kept = [each.get("message", {}).get("blocks", ()) for each in attachment.get("message_blocks", ())]
        blocks = [*chain.from_iterable(kept), *attachment.get("blocks", ())]
        return self.blocks(blocks) or self._line("said", attachment.get("text"))

    def _line(self, kind: str, text: Any) -> str:
        return f'<div class="{kind}">{self.mrkdwn(str(text))}</div>' if text else ""

    def blocks(self, blocks: Iterable[Json]) -> str:
        """A message's or a view's blocks."""
        return "".join(self._block(block) for block in blocks)

    def mrkdwn(self, text: str) -> str:
        """Slack's own markup. Whatever is not markup is shown as it is, never as HTML."""
        parts, at = [], 0
        for code in _CODE.finditer(text):
            parts.append(self._styled(text[at : code.start()]))
            kept = code["block"] if code["block"] is not None else code["inline"]
            shown = escape(unescape(kept))
            parts.append(f"<pre><code>{shown}</code></pre>" if code["block"] is not None else f"<code>{shown}</code>")
            at = code.end()
        parts.append(self._styled(text[at:]))
        return "".join(parts)

    def _styled(self, text: str) -> str:
        shown, at = [], 0
        for match in _TOKEN.finditer(text):
            shown += [_marked_up(text[at : match.start()]), self._token(match["token"])]
            at = match.end()
        return "".join([*shown, _marked_up(text[at:])])

    def _token(self, token: str) -> str:
        target, _, label = token.partition("|")
        held = escape(target[1:])
        name = escape(unescape(label) or self._names().get(target[1:], target[1:]))
        match target[0]:
            case "@":
                return f'<span class="mention" data-user="{held}">@{name}</span>'
            case "#":
                return f'<span class="mention" data-channel="{held}">#{name}</span>'
            case "!" if target.startswith("!date^"):
                return f'<span class="date">{escape(unescape(label))}</span>'
            case "!":
                shown = label or target[1:].partition("^")[0]
                return f'<span class="mention">@{escape(shown.removeprefix("@"))}</span>'
        return _link(unescape(target), unescape(label or target))

    def _block(self, block: Json) -> str:
        match block["type"]:
            case "markdown":
                return to_html(block["text"])
            case "section":
                texts = [block["text"]] if "text" in block else []
                shown = "".join(f"<p>{self._text(text)}</p>" for text in [*texts, *block.get("fields", ())])
                return self._elements.beside(shown, block)
            case "header":
                return f"<h3>{self._text(block['text'])}</h3>"
            case "context":
                shown = " ".join(self._text(element) for element in block["elements"])
                return f'<div class="context">{shown}</div>'
            case "divider":
                return "<hr>"
            case "actions" | "context_actions" | "input":
                return self._elements.block(block)
            case "rich_text":
                return "".join(self._rich(element) for element in block.get("elements", ()))
        return f'<div class="context">[{escape(block["type"])}]</div>'

    def _text(self, text: Json) -> str:
        said = str(text.get("text") or text.get("alt_text") or "")
        return self.mrkdwn(said) if text.get("type") == "mrkdwn" else escape(said)

    def _rich(self, element: Json) -> str:
        inner = element.get("elements", ())
        match element.get("type"):
            case "rich_text_list":
                items = "".join(f"<li>{self._inline(item.get('elements', ()))}</li>" for item in inner)
                return _list(element, items)
            case "rich_text_preformatted":
                return f"<pre><code>{self._inline(inner)}</code></pre>"
            case "rich_text_quote":
                return f"<blockquote>{self._inline(inner)}</blockquote>"
        # Its last line ends where the next element begins.
        return f"<p>{self._inline(inner).removesuffix('<br>')}</p>"

    def _inline(self, elements: Iterable[Json]) -> str:
        return "".join(self._piece(element) for element in elements)

    def _piece(self, element: Json) -> str:
        match element.get("type"):
            case "user":
                return self._token(f"@{element.get('user_id', '')}")
            case "channel":
                return self._token(f"#{element.get('channel_id', '')}")
            case "broadcast":
                return self._token(f"!{element.get('range', '')}")
            case "link":
                return _link(str(element.get("url", "")), str(element.get("text") or element.get("url", "")))
            case "emoji":
                return f":{escape(str(element.get('name', '')))}:"
        shown = _lines(str(element.get("text", "")))
        for style, tag in (("bold", "strong"), ("italic", "em"), ("strike", "s"), ("code", "code")):
            if element.get("style", {}).get(style):
                shown = f"<{tag}>{shown}</{tag}>"
        return shown


def _list(element: Json, items: str) -> str:
    """Slack tells a list inside another as a list of its own, with an indent."""
    tag, held = ("ol", f' start="{element.get("offset", 0) + 1}"') if element.get("style") == "ordered" else ("ul", "")
    indent = min(int(element.get("indent", 0)), _MOST_INDENT)
    return f'<{tag} class="indent-{indent}"{held}>{items}</{tag}>'


def _marked_up(text: str) -> str:
    shown = escape(unescape(text))
    for pattern, tag in _STYLES:
        shown = pattern.sub(rf"<{tag}>\1</{tag}>", shown)
    return shown.replace("\n", "<br>")


def _lines(text: str) -> str:
    return escape(text).replace("\n", "<br>")


def _link(url: str, label: str) -> str:
    if not _LINK.match(url):
        return escape(label)
    return f'<a href="{escape(url)}" target="_blank" rel="noopener noreferrer">{escape(label)}</a>'
