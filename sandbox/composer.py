"""Slack's composer: what a person types becomes the text and the rich_text block that Slack keeps."""

import re
import uuid
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby

from sandbox.control import escape
from sandbox.workspace import Json

_TYPED = re.compile(
    r"(?P<kept><@[UW][A-Z0-9]+>|<#C[A-Z0-9]+>|<!(?:here|channel|everyone)>)"
    r"|(?P<url>https?://[^\s<>]*[^\s<>.,;:!?)\]'\"*_~`])"
    r"|(?<![\w@])@(?P<name>[a-z0-9][a-z0-9._-]*)"
    r"|`(?P<code>[^`\n]+)`"
    r"|(?<![\w*])\*(?P<bold>[^\s*<>@](?:[^*\n<>@]*[^\s*<>@])?)\*(?![\w*])"
    r"|(?<![\w~])~(?P<strike>[^\s~<>@](?:[^~\n<>@]*[^\s~<>@])?)~(?![\w~])"
    r"|(?<!\w)_(?P<italic>[^\s_<>@](?:[^_\n<>@]*[^\s_<>@])?)_(?!\w)"
)
_BROADCASTS = {"here", "channel", "everyone"}
_KINDS = {"@": ("user", "user_id"), "#": ("channel", "channel_id"), "!": ("broadcast", "range")}
_STYLES = ("code", "bold", "italic", "strike")
_FENCED = re.compile(r"^```\n?(?P<code>.*?)\n?```(?:\n|\Z)", re.DOTALL | re.MULTILINE)
_ITEM = re.compile(r"(?P<space> *)(?:[-*•]|(?P<number>\d{1,4})[.)]) +(?P<said>.*)")
_BULLETS = "•◦▪"

UserId = Callable[[str], str | None]
"""From a person's name to their id."""


@dataclass(frozen=True, slots=True)
class _Line:
    """One that was typed, and where it belongs."""

    kind: str
    said: str
    indent: int = 0
    number: int | None = None


def compose(text: str, user_id: UserId) -> tuple[str, tuple[Json, ...]]:
    """The text, and a block with its lists, quotes, code and styles."""
    kept, elements, at = "", list[Json](), 0
    for match in _FENCED.finditer(text):
        before, found = _paragraphs(text[at : match.start()], user_id)
        kept += before + escape(match[0])
        code = {"type": "rich_text_preformatted", "elements": _text_element(match["code"]), "border": 0}
        elements += [*found, code]
        at = match.end()
    rest, found = _paragraphs(text[at:], user_id)
    elements += found
    block = {"type": "rich_text", "block_id": uuid.uuid4().hex[:5], "elements": elements or [_section([])]}
    return kept + rest, (block,)


def pasted_table(rows: Sequence[Sequence[str | float]]) -> Json:
    """A table that was copied from elsewhere, with its first row bold and its numbers as numbers."""
    heading, *others = [[_cell(cell) for cell in row] for row in rows]
    bold = [_bold(cell) if cell["type"] == "raw_text" else cell for cell in heading]
    return {"type": "table", "block_id": uuid.uuid4().hex[:5], "rows": [bold, *others]}


def _cell(said: str | float) -> Json:
    return {"type": "raw_text", "text": said} if isinstance(said, str) else {"type": "raw_number", "value": said}


def _bold(cell: Json) -> Json:
    text = {"type": "text", "text": cell["text"], "style": {"bold": True}}
    return {"type": "rich_text", "elements": [_section([text])]}


def _paragraphs(text: str, user_id: UserId) -> tuple[str, list[Json]]:
    kept, elements = "", list[Json]()
    for (kind, indent), group in groupby(_lines(text), key=lambda line: (line.kind, line.indent)):
        lines = list(group)
        if kind.startswith("list"):
            said = [_inline(line.said, user_id) for line in lines]
            signs = [f"{line.number}." if line.number is not None else _BULLETS[min(indent, 2)] for line in lines]
            kept += "".join(f"{'    ' * indent}{sign} {words}\n" for sign, (words, _) in zip(signs, said, strict=True))
            elements.append(_list(lines, [found for _, found in said]))
            continue
        words, found = _inline("".join(line.said for line in lines).removesuffix("\n" * (kind == "quote")), user_id)
        if kind == "quote":
            kept += "".join(f"&gt; {line}\n" for line in words.split("\n"))
            elements.append({"type": "rich_text_quote", "elements": found})
        else:
            kept += words
            elements.append(_section(found))
    return kept if text.endswith("\n") else kept.removesuffix("\n"), elements


def _lines(text: str) -> Iterator[_Line]:
    """A list's indents count by how many of its lines so far are less indented."""
    outer: list[int] = []
    for line in text.splitlines(keepends=True):
        if item := _ITEM.fullmatch(line.removesuffix("\n")):
            outer = [space for space in outer if space < len(item["space"])]
            kind = "list ordered" if item["number"] else "list bullet"
            yield _Line(kind, item["said"], len(outer), int(item["number"]) if item["number"] else None)
            outer.append(len(item["space"]))
            continue
        outer = []
        yield _Line("quote", line[2:]) if line.startswith("> ") else _Line("words", line)


def _list(lines: Sequence[_Line], items: Sequence[list[Json]]) -> Json:
    first = lines[0]
    how: Json = {"style": first.kind.split()[1], "indent": first.indent, "border": 0}
    if first.number is not None and first.number > 1:
        how["offset"] = first.number - 1
    return {"type": "rich_text_list", **how, "elements": [_section(item) for item in items]}


def _inline(text: str, user_id: UserId) -> tuple[str, list[Json]]:
    kept, elements, at = "", list[Json](), 0
    for match in _TYPED.finditer(text):
        token, element = _token(match, user_id)
        if element is None:
            continue
        plain = text[at : match.start()]
        kept += escape(plain) + token
        elements += [*_text_element(plain), element]
        at = match.end()
    return kept + escape(text[at:]), elements + _text_element(text[at:])


def _token(match: re.Match[str], user_id: UserId) -> tuple[str, Json | None]:
    if url := match["url"]:
        return f"<{escape(url)}>", {"type": "link", "url": url}
    if name := match["name"]:
        if name in _BROADCASTS:
            return f"<!{name}>", {"type": "broadcast", "range": name}
        found = user_id(name)
        return (f"<@{found}>", {"type": "user", "user_id": found}) if found else ("", None)
    for style in _STYLES:
        if said := match[style]:
            return escape(match[0]), {"type": "text", "text": said, "style": {style: True}}
    kept = match["kept"]
    kind, key = _KINDS[kept[1]]
    return kept, {"type": kind, key: kept[2:-1]}


def _section(elements: list[Json]) -> Json:
    return {"type": "rich_text_section", "elements": elements}


def _text_element(text: str) -> list[Json]:
    return [{"type": "text", "text": text}] if text else []
