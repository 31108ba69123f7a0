"""Renders messages as safe HTML for the page: stored blocks, attachments and mrkdwn."""

import re
from collections.abc import Callable, Iterable, Mapping
from html import escape
from itertools import chain
from typing import Any

from slack_sandbox.control import unescape
from slack_sandbox.page.charts import chart_html
from slack_sandbox.page.elements import ElementRenderer
from slack_sandbox.page.rich_text import RichTextRenderer, channel_html, date_html, link_html
from slack_sandbox.text.emoji import emoji_text, split_emoji
from slack_sandbox.workspace import Json, Message

_CODE = re.compile(r"\n?```\n?(?P<block>.*?)\n?```\n?|`(?P<inline>[^`\n]+)`", re.DOTALL)
_TOKEN = re.compile(r"<(?P<token>[^<>|\n][^<>\n]*)>")
_STYLES = [
    (re.compile(rf"(?<![\w{mark}]){mark}(?=\S)([^{mark}\n]+?)(?<=\S){mark}(?![\w{mark}])"), tag)
    for mark, tag in ((r"\*", "strong"), ("_", "em"), ("~", "s"))
]
_FOLDED_CHARS, _FOLDED_LINES = 450, 5
"""The maximum size of a section that isn't collapsed."""
_TASK_MARKS: Mapping[str, str] = {"pending": "○", "in_progress": "◌", "complete": "✓", "error": "⚠"}


class Renderer:
    """Renders messages and blocks. `names` returns the names of users and channels by ID."""

    def __init__(self, names: Callable[[], Mapping[str, str]]) -> None:
        self._names = names
        self._elements = ElementRenderer(self._text, names)
        self._rich_text = RichTextRenderer(self._token)

    def html(self, message: Message) -> str:
        html = self.blocks(message.blocks) if message.blocks else self.mrkdwn(message.text)
        return html + "".join(self._attachment(entry) for entry in message.attachments)

    def _attachment(self, attachment: Json) -> str:
        """Returns an attachment: a forwarded message, or an app's legacy attachment."""
        title, url = str(attachment.get("title", "")), str(attachment.get("title_link", ""))
        fields = [f"*{entry.get('title', '')}*\n{entry.get('value', '')}" for entry in attachment.get("fields", ())]
        parts = [
            self._line("author", attachment.get("author_name") or attachment.get("service_name")),
            f'<div class="title">{link_html(unescape(url), unescape(title))}</div>' if title else "",
            self._attachment_body(attachment),
            *(self._line("said", field) for field in fields),
            self._line("context", attachment.get("footer")),
            self._line("context", f"Posted in <#{attachment['channel_id']}>") if attachment.get("is_share") else "",
        ]
        html = "".join(parts) or self._line("said", attachment.get("fallback"))
        return f'{self._line("pretext", attachment.get("pretext"))}<div class="attachment">{html}</div>'

    def _attachment_body(self, attachment: Json) -> str:
        forwarded = [entry.get("message", {}).get("blocks", ()) for entry in attachment.get("message_blocks", ())]
        blocks = [*chain.from_iterable(forwarded), *attachment.get("blocks", ())]
        return self.blocks(blocks) or self._line("said", attachment.get("text"))

    def _line(self, kind: str, text: Any) -> str:
        return f'<div class="{kind}">{self.mrkdwn(str(text))}</div>' if text else ""

    def blocks(self, blocks: Iterable[Json]) -> str:
        return "".join(self._block(block) for block in blocks)

    def mrkdwn(self, text: str) -> str:
        parts, at = [], 0
        for code in _CODE.finditer(text):
            parts.append(self._styled(text[at : code.start()]))
            code_text = code["block"] if code["block"] is not None else code["inline"]
            html = escape(unescape(code_text))
            parts.append(f"<pre><code>{html}</code></pre>" if code["block"] is not None else f"<code>{html}</code>")
            at = code.end()
        parts.append(self._styled(text[at:]))
        return "".join(parts)

    def _styled(self, text: str) -> str:
        parts, at = [], 0
        for match in _TOKEN.finditer(text):
            parts += [_style(_with_emoji(text[at : match.start()])), self._token(match["token"])]
            at = match.end()
        return "".join([*parts, _style(_with_emoji(text[at:]))])

    def _token(self, token: str) -> str:
        target, _, label = token.partition("|")
        target_id = escape(target[1:])
        name = escape(unescape(label) or self._names().get(target[1:], target[1:]))
        match target[0]:
            case "@":
                return f'<span class="mention" data-user="{target_id}">@{name}</span>'
            case "#":
                return channel_html(target[1:], name)
            case "!" if target.startswith("!date^"):
                _, timestamp, form, *_ = f"{target}^".split("^")
                return date_html(timestamp, form, unescape(label))
            case "!":
                group = label or target[1:].partition("^")[0]
                return f'<span class="mention">@{escape(group.removeprefix("@"))}</span>'
        return link_html(unescape(target), unescape(label or target))

    def _block(self, block: Json) -> str:
        match block["type"]:
            case "section":
                texts = [block["text"]] if "text" in block else []
                html = "".join(f"<p>{self._text(text)}</p>" for text in [*texts, *block.get("fields", ())])
                return self._elements.section(_fold(html) if _is_long(block) else html, block)
            case "header":
                return f"<h3>{self._text(block['text'])}</h3>"
            case "context":
                html = " ".join(self._text(element) for element in block["elements"])
                return f'<div class="context">{html}</div>'
            case "divider":
                return "<hr>"
            case "actions" | "context_actions" | "input":
                return self._elements.block(block)
            case "rich_text" | "table":
                rich_text = self._rich_text
                return rich_text.table(block) if block["type"] == "table" else rich_text.html(block)
            case "data_table" | "container" | "data_visualization" | "task_card" | "plan":
                return self._tasks(block) if block["type"] in ("task_card", "plan") else self._newer_block(block)
        return f'<div class="context">[{escape(block["type"])}]</div>'

    def _newer_block(self, block: Json) -> str:
        """Returns a container with its blocks, a data table with its caption, or a chart."""
        if block["type"] == "container":
            title = self._text(block["title"]) if "title" in block else self.blocks([block["rich_text_title"]])
            return f'<div class="attachment"><strong>{title}</strong>{self.blocks(block["child_blocks"])}</div>'
        if block["type"] == "data_table":
            return f'<div class="context">{escape(block["caption"])}</div>{self._rich_text.table(block)}'
        return chart_html(block)

    def _tasks(self, card: Json) -> str:
        if card["type"] == "plan":
            tasks = "".join(self._tasks(task) for task in card.get("tasks", ()))
            return f'<div class="plan"><strong>{escape(str(card.get("title", "")))}</strong>{tasks}</div>'
        mark = _TASK_MARKS.get(str(card.get("status")), "")
        parts = [self._rich_text.html(card[key]) for key in ("details", "output") if card.get(key)]
        parts += [link_html(source["url"], source.get("text") or source["url"]) for source in card.get("sources", ())]
        return f'<div class="context">{mark} {escape(str(card.get("title", "")))}{"".join(parts)}</div>'

    def _text(self, text: Json) -> str:
        content = str(text.get("text") or text.get("alt_text") or "")
        return self.mrkdwn(content) if text.get("type") == "mrkdwn" else escape(_with_emoji(content))


def _is_long(section: Json) -> bool:
    """Returns whether Slack shows only the beginning of a section. The number of lines isn't documented."""
    text = str(section.get("text", {}).get("text", ""))
    return not section.get("expand") and (len(text) > _FOLDED_CHARS or text.count("\n") > _FOLDED_LINES)


def _fold(html: str) -> str:
    summary = "<summary><span>See more</span><span>See less</span></summary>"
    return f'<div class="fold">{html}<details>{summary}</details></div>'


def _with_emoji(text: str) -> str:
    return "".join(part if isinstance(part, str) else emoji_text(part) for part in split_emoji(text))


def _style(text: str) -> str:
    html = escape(unescape(text))
    for pattern, tag in _STYLES:
        html = pattern.sub(rf"<{tag}>\1</{tag}>", html)
    return html.replace("\n", "<br>")
