"""Slack's composer: turns typed text into the `text` and the rich_text block that Slack stores.

`text` is mrkdwn with `&`, `<` and `>` escaped and names replaced by mentions. The block represents the same content as
rich_text elements: lists, quotes, code, styles, links and mentions.
"""

import re
import uuid
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby

from slack_sandbox.control import escape
from slack_sandbox.text.emoji import emoji_element
from slack_sandbox.workspace import Json

_TYPED = re.compile(
    r"(?P<token><@[UW][A-Z0-9]+>|<#C[A-Z0-9]+>|<!(?:here|channel|everyone)>)"
    r"|(?P<url>https?://[^\s<>]*[^\s<>.,;:!?)\]'\"*_~`])"
    r"|(?<![\w@])@(?P<name>[A-Za-z0-9][A-Za-z0-9._-]*)"
    r"|`(?P<code>[^`\n]+)`"
    r"|:(?P<emoji>[a-z0-9_+'-]+):"
    r"|(?<![\w*])\*(?P<bold>[^\s*<>@](?:[^*\n<>@]*[^\s*<>@])?)\*(?![\w*])"
    r"|(?<![\w~])~(?P<strike>[^\s~<>@](?:[^~\n<>@]*[^\s~<>@])?)~(?![\w~])"
    r"|(?<!\w)_(?P<italic>[^\s_<>@](?:[^_\n<>@]*[^\s_<>@])?)_(?!\w)"
)
_BROADCASTS = {"here", "channel", "everyone"}
_KINDS = {"@": ("user", "user_id"), "#": ("channel", "channel_id"), "!": ("broadcast", "range")}
_STYLES = ("code", "bold", "italic", "strike")
_FENCED = re.compile(r"(?:^|(?<=[ \t]))```\n?(?P<code>.*?)\n?```(?:[ \t]*\n|\Z|(?=[ \t]))", re.DOTALL | re.MULTILINE)
_ITEM = re.compile(r"(?P<space> *)(?:[-*•]|(?P<number>\d{1,4})[.)]) +(?P<content>.*)")
_BULLETS = "•◦▪"

UserId = Callable[[str], str | None]
"""Returns the user ID for a handle in any case, or None."""


@dataclass(frozen=True, slots=True)
class _Line:
    kind: str
    content: str
    indent: int = 0
    number: int | None = None


def compose(text: str, user_id: UserId) -> tuple[str, tuple[Json, ...]]:
    mrkdwn, elements, at = "", list[Json](), 0
    for match in _FENCED.finditer(text):
        before, before_elements = _paragraphs(text[at : match.start()], user_id)
        mrkdwn += before + escape(match[0])
        code = {"type": "rich_text_preformatted", "elements": _text_element(match["code"]), "border": 0}
        elements += [*before_elements, code]
        at = match.end()
    rest, rest_elements = _paragraphs(text[at:], user_id)
    elements += rest_elements
    block = {"type": "rich_text", "block_id": uuid.uuid4().hex[:5], "elements": elements or [_section([])]}
    return mrkdwn + rest, (block,)


def pasted_table(rows: Sequence[Sequence[str]]) -> Json:
    """Returns the table block for pasted rows: the first row is bold, numbers are text, and an empty cell is None."""
    heading, *others = rows
    cells = [list(map(_heading_cell, heading)), *(list(map(_cell, row)) for row in others)]
    return {"type": "table", "block_id": uuid.uuid4().hex[:5], "rows": cells}


def _cell(text: str) -> Json | None:
    return {"type": "raw_text", "text": text} if text else None


def _heading_cell(text: str) -> Json | None:
    if not text:
        return None
    bold = {"type": "text", "text": text, "style": {"bold": True}}
    return {"type": "rich_text", "block_id": uuid.uuid4().hex[:5], "elements": [_section([bold])]}


def _paragraphs(text: str, user_id: UserId) -> tuple[str, list[Json]]:
    mrkdwn, elements = "", list[Json]()
    for (kind, indent), group in groupby(_lines(text), key=lambda line: (line.kind, line.indent)):
        lines = list(group)
        if kind.startswith("list"):
            items = [_inline(line.content, user_id) for line in lines]
            markers = [f"{line.number}." if line.number is not None else _BULLETS[min(indent, 2)] for line in lines]
            mrkdwn += "".join(
                f"{'    ' * indent}{marker} {item}\n" for marker, (item, _) in zip(markers, items, strict=True)
            )
            elements.append(_list(lines, [item_elements for _, item_elements in items]))
            continue
        content = "".join(line.content for line in lines).removesuffix("\n" * (kind == "quote"))
        prose, prose_elements = _inline(content, user_id)
        if kind == "quote":
            mrkdwn += "".join(f"&gt; {line}\n" for line in prose.split("\n"))
            elements.append({"type": "rich_text_quote", "elements": prose_elements})
        else:
            mrkdwn += prose
            elements.append(_section(prose_elements))
    return mrkdwn if text.endswith("\n") else mrkdwn.removesuffix("\n"), elements


def _lines(text: str) -> Iterator[_Line]:
    """Yields the text's lines. A list item's indent is the number of its ancestors, not of its spaces."""
    ancestors: list[int] = []
    for line in text.splitlines(keepends=True):
        if item := _ITEM.fullmatch(line.removesuffix("\n")):
            ancestors = [space for space in ancestors if space < len(item["space"])]
            kind = "list ordered" if item["number"] else "list bullet"
            yield _Line(kind, item["content"], len(ancestors), int(item["number"]) if item["number"] else None)
            ancestors.append(len(item["space"]))
            continue
        ancestors = []
        yield _Line("quote", line[2:]) if line.startswith("> ") else _Line("prose", line)


def _list(lines: Sequence[_Line], items: Sequence[list[Json]]) -> Json:
    first = lines[0]
    attributes: Json = {"style": first.kind.split()[1], "indent": first.indent, "border": 0}
    if first.number is not None and first.number > 1:
        attributes["offset"] = first.number - 1
    return {"type": "rich_text_list", **attributes, "elements": [_section(item) for item in items]}


def _inline(text: str, user_id: UserId) -> tuple[str, list[Json]]:
    mrkdwn, elements, at = "", list[Json](), 0
    for match in _TYPED.finditer(text):
        token, element = _token(match, user_id)
        if element is None:
            continue
        plain = text[at : match.start()]
        mrkdwn += escape(plain) + token
        elements += [*_text_element(plain), element]
        at = match.end()
    return mrkdwn + escape(text[at:]), elements + _text_element(text[at:])


def _token(match: re.Match[str], user_id: UserId) -> tuple[str, Json | None]:
    if url := match["url"]:
        return f"<{escape(url)}>", {"type": "link", "url": url}
    if name := match["name"]:
        if name in _BROADCASTS:
            return f"<!{name}>", {"type": "broadcast", "range": name}
        found_id = user_id(name)
        return (f"<@{found_id}>", {"type": "user", "user_id": found_id}) if found_id else ("", None)
    if emoji := match["emoji"]:
        return match[0], emoji_element(emoji)
    for style in _STYLES:
        if content := match[style]:
            return escape(match[0]), {"type": "text", "text": content, "style": {style: True}}
    token = match["token"]
    kind, key = _KINDS[token[1]]
    return token, {"type": kind, key: token[2:-1]}


def _section(elements: list[Json]) -> Json:
    return {"type": "rich_text_section", "elements": elements}


def _text_element(text: str) -> list[Json]:
    return [{"type": "text", "text": text}] if text else []
