"""Slack's rich_text blocks, in which people's messages come, as mrkdwn with structure and styles in Markdown.

docs.slack.dev, "Rich text block".
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from itertools import groupby

from bot.core.entities import escape
from bot.core.inbound.files import canvas_mention
from bot.core.reply.markdown.escaping import fenced, longest_ticks
from bot.slack.format.mrkdwn import CANVAS, OWN_EMOJI, link, tells_more
from bot.slack.format.payload import Json, count, json_object, json_objects, string

INDENT = "    "
MAX_INDENT = 8
"""Slack's own limit."""

_REFERENCES = {
    "user": ("@", "user_id"),
    "channel": ("#", "channel_id"),
    "usergroup": ("!subteam^", "usergroup_id"),
    "broadcast": ("!", "range"),
}
_CODE_POINT = re.compile(r"[0-9a-c][0-9a-f]{1,3}|[ef][0-9a-f]{3}|[1-9a-f][0-9a-f]{4}", re.IGNORECASE)
"""Any code point that text can hold, in hexadecimal."""
_ID = re.compile(r"\w+\Z")
_MARKS = (("strike", "~~"), ("italic", "_"), ("bold", "**"))
_STYLES = ("code", *(style for style, _ in _MARKS))


def markup_of(block: Json, labels: Mapping[str, str]) -> str:
    """Returns the block as mrkdwn; `labels` are the names in the message itself, by id."""
    text = ""
    previous_kind = ""
    for element in json_objects(block, "elements"):
        kind = str(element.get("type"))
        part = _part(kind, element, labels).strip("\n")
        if not part.strip():
            continue
        text += ("\n" if kind == previous_kind == "rich_text_list" else "\n\n") if text else ""
        text += part
        previous_kind = kind
    return text


def words_of(block: Json) -> str:
    """Returns the text of a block that the bot posted, as mrkdwn; Slack turned its emoji and links into elements."""
    lines = [map(_typed, json_objects(element, "elements")) for element in json_objects(block, "elements")]
    return "\n".join(_inline(line, {}) for line in lines)


def quoted(text: str) -> str:
    """Returns the text as a quote in Markdown, in which each line is marked, whatever ends it."""
    return "\n".join(f"> {line}".rstrip() for line in text.splitlines() or [""])


def _part(kind: str, element: Json, labels: Mapping[str, str]) -> str:
    inner = json_objects(element, "elements")
    match kind:
        case "rich_text_list":
            part = "\n".join(_items(element, inner, labels))
        case "rich_text_preformatted":
            part = _code_block(inner, string(element, "language"))
        case "rich_text_quote":
            return quoted(_inline(inner, labels).strip("\n"))
        case _:
            return _inline(inner, labels)
    # A border on anything else means that it is inside a quote.
    return quoted(part) if part and element.get("border") == 1 else part


def _items(element: Json, items: Iterable[Json], labels: Mapping[str, str]) -> Iterator[str]:
    indent = INDENT * min(count(element, "indent"), MAX_INDENT)
    for number, item in enumerate(items, start=count(element, "offset") + 1):
        sign = f"{number}. " if element.get("style") == "ordered" else "- "
        text = _inline(json_objects(item, "elements"), labels).strip("\n")
        yield indent + sign + text.replace("\n", f"\n{indent}{' ' * len(sign)}")


def _code_block(inner: Iterable[Json], language: str) -> str:
    code = "".join(map(_code, inner))
    return fenced(escape(code.strip("\n")), language if re.fullmatch(r"[\w+#.-]{1,30}", language) else "")


def _code(element: Json) -> str:
    """Returns an element of a code block, where nothing is markup: a link's address stands beside its label."""
    text, url = string(element, "text"), string(element, "url")
    return f"{text} ({url})" if tells_more(url, text) else text or url


def _inline(elements: Iterable[Json], labels: Mapping[str, str]) -> str:
    """Returns a line of elements; adjacent elements of one style are marked together."""
    parts = []
    for styles, group in groupby(elements, key=_styles):
        text = "".join(_piece(element, labels, "code" in styles) for element in group)
        parts.append("\n".join(_marked(line, styles) for line in text.split("\n")))
    return "".join(parts)


def _styles(element: Json) -> frozenset[str]:
    """Returns an element's styles. Mentions have none, so that a message still begins with its mention."""
    if element.get("type") not in ("text", "link", "emoji"):
        return frozenset()
    style = json_object(element, "style")
    styles = frozenset(name for name in _STYLES if style.get(name) is True)
    # As code, a link would lose its address.
    return styles - {"code"} if tells_more(string(element, "url"), string(element, "text")) else styles


def _marked(line: str, styles: frozenset[str]) -> str:
    """Puts a style's marks around the words without their outer spaces: Markdown allows no space inside marks."""
    words = line.strip()
    if not words or not styles:
        return line
    before, after = line[: len(line) - len(line.lstrip())], line[len(line.rstrip()) :]
    if "code" in styles:
        ticks = "`" * (longest_ticks(words) + 1)
        words = f"{ticks} {words} {ticks}" if "`" in words[:1] + words[-1:] else f"{ticks}{words}{ticks}"
    for style, mark in _MARKS:
        words = f"{mark}{words}{mark}" if style in styles else words
    return before + words + after


def _piece(element: Json, labels: Mapping[str, str], as_code: bool) -> str:
    kind = str(element.get("type"))
    if kind in _REFERENCES:
        mark, key = _REFERENCES[kind]
        return _reference(mark, string(element, key), labels)
    text = string(element, "text")
    match kind:
        case "link":
            url = string(element, "url")
            return escape(text or url) if as_code or not url else link(url, text)
        case "emoji":
            name = string(element, "name")
            return f":{escape(name)}:" if element.get("unicode") or "|" in name else f"<!{OWN_EMOJI}^{escape(name)}>"
        case "canvas":
            return _canvas(string(element, "label"), string(element, "file_id"))
        case "color":
            return escape(string(element, "value"))
        case "date":
            date = string(element, "fallback")
            if date and (url := string(element, "url")):
                return link(url, date)
            return escape(date) or f"<!date^{count(element, 'timestamp')}>"
    return escape(text)


def _canvas(title: str, file_id: str) -> str:
    if not _ID.match(file_id):
        return escape(title)
    return " ".join(
        filter(None, (link(f"!{CANVAS}^{file_id}", title) if title.strip() else "", canvas_mention(file_id)))
    )


def _typed(element: Json) -> Json:
    """Returns an emoji as it was typed: as a character, or as its name if it is the workspace's own."""
    if element.get("type") != "emoji":
        return element
    code_points = string(element, "unicode").split("-")
    if not all(_CODE_POINT.fullmatch(code_point) for code_point in code_points):
        return {"type": "text", "text": f":{string(element, 'name')}:"}
    return {"type": "text", "text": "".join(chr(int(code_point, 16)) for code_point in code_points)}


def _reference(mark: str, id_: str, labels: Mapping[str, str]) -> str:
    if not _ID.match(id_):
        return ""
    return f"<{mark}{id_}|{labels[id_]}>" if id_ in labels else f"<{mark}{id_}>"
