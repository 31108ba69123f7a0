"""The text of a message as a reader in Slack sees it: its blocks, and the attachments below them.

All parts are put together as mrkdwn, with its structure (lists, quotes, code, emphasis) as Markdown. Only the whole is
turned into the text of a message (core/inbound/mentions.py).
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from bot.core.entities import escape, unescape
from bot.core.inbound.marks import one_line
from bot.slack.format import mrkdwn, rich_text
from bot.slack.format.payload import Json, json_object, json_objects, string
from bot.slack.format.rich_text import quoted

MAX_ATTACHED_CHARS = 40_000
"""The length of the longest Slack message; attachments beyond it are left out whole."""
MAX_ELEMENTS = 1_500
"""Blocks with more elements count as empty: the text beside them has the same words, and is read in less time."""
MAX_DEPTH = 4
"""Forwarded messages and unknown blocks may be nested."""
MORE = "(More is attached.)"

_WRITTEN = ("rich_text", "table", "markdown", "header", "section", "context", "actions", "context_actions", "image")
"""The kinds of blocks that hold nothing but what the message's writer put there."""
_PARTS = ("blocks", "elements", "message_blocks", "attachments")
_BAR = re.compile(r"<[^<>]*>|\|")


def messages_in(answer: Json) -> list[Json]:
    """Returns the messages in an answer of Slack's. What has no ts is no message."""
    return [message for message in json_objects(answer, "messages") if string(message, "ts")]


def body_of(message: Json) -> str:
    """Returns the writer's text: the message's blocks, or its text if the blocks are empty or too many to read."""
    text = string(message, "text")
    written = [block for block in json_objects(message, "blocks") if block.get("type") in _WRITTEN]
    body = _blocks(written, mrkdwn.labels(text), MAX_DEPTH) or mrkdwn.emphasized(text)
    return mrkdwn.message_text(body)


def attached_to(message: Json) -> str:
    """Returns the text below the message: forwarded and quoted messages, link previews, attachments of apps.

    Blocks of unknown kinds may quote others as well, so they are not the writer's words either.
    """
    unknown = [block for block in json_objects(message, "blocks") if block.get("type") not in _WRITTEN]
    others = _blocks(unknown, mrkdwn.labels(string(message, "text")), MAX_DEPTH)
    below = _attachments(message, MAX_DEPTH)
    return mrkdwn.message_text("\n\n".join(filter(None, (quoted(others) if others else "", below))))


def app_name(message: Json) -> str | None:
    """Returns the name of the app that wrote the message, None for a person."""
    if not message.get("bot_id"):
        return None
    named = string(json_object(message, "bot_profile"), "name")
    return unescape(string(message, "username") or named) or None


def is_by_app(message: Json) -> bool:
    """Returns whether an app wrote the message: only people's own clients give messages an id."""
    return "app_id" in message and "client_msg_id" not in message


def _attachments(message: Json, depth: int) -> str:
    parts: list[str] = []
    size_chars = elements = 0
    for attachment in json_objects(message, "attachments"):
        elements += _element_count(attachment) if elements <= MAX_ELEMENTS else 0
        if elements > MAX_ELEMENTS:
            attachment = {key: value for key, value in attachment.items() if key not in _PARTS}
        if not (part := _attachment(attachment, depth)):
            continue
        size_chars += len(part)
        if size_chars > MAX_ATTACHED_CHARS:
            parts.append(MORE)
            break
        parts.append(part)
    return "\n\n".join(parts)


def _attachment(attachment: Json, depth: int) -> str:
    if depth == 0:
        return ""
    if attachment.get("is_share") or attachment.get("is_msg_unfurl") or attachment.get("message_blocks"):
        return _forwarded(attachment, depth)
    author = escape(unescape(string(attachment, "author_name") or string(attachment, "service_name")))
    title, url = string(attachment, "title"), string(attachment, "title_link")
    head = mrkdwn.link(url, unescape(title)) if title and url else title
    body = _blocks(json_objects(attachment, "blocks"), {}, depth) or _mrkdwn(attachment, "text")
    pretext, footer = _mrkdwn(attachment, "pretext"), string(attachment, "footer")
    inner = "\n".join(part for part in (pretext, author, head, body, *_fields(attachment), footer) if part)
    whole = (inner if inner.strip() else string(attachment, "fallback")).strip("\n")
    # Only our own words stand outside quotes: none of an app's can pass for a message that somebody forwarded.
    return quoted(whole) if whole.strip() else ""


def _forwarded(attachment: Json, depth: int) -> str:
    """Returns a message that a person forwarded (`is_share`), or whose link Slack unfurled."""
    labels = mrkdwn.labels(string(attachment, "text"))
    messages = [json_object(block, "message") for block in json_objects(attachment, "message_blocks")]
    parts = [_blocks(json_objects(message, "blocks"), labels, depth - 1) for message in messages]
    written = "\n\n".join(part for part in parts if part)
    text = written or _mrkdwn(attachment, "text") or _blocks(json_objects(attachment, "blocks"), {}, depth - 1)
    below = _attachments(attachment, depth - 1)
    text = "\n\n".join(part for part in (text, below) if part.strip()).strip("\n") or string(attachment, "fallback")
    head = f"{'Forwarded' if attachment.get('is_share') else 'Quoted'} from {_author(attachment)}:"
    return f"{head}\n{quoted(text)}" if len(text.splitlines()) > 1 else f"{head} {text}".rstrip()


def _author(attachment: Json) -> str:
    name = unescape(string(attachment, "author_name") or string(attachment, "author_subname"))
    if name := one_line(name).replace(":", ""):
        return escape(name)
    author_id = string(attachment, "author_id")
    return f"<@{author_id}>" if author_id.isalnum() else "somebody"


def _fields(attachment: Json) -> Iterator[str]:
    for field in json_objects(attachment, "fields"):
        title, value = string(field, "title"), _mrkdwn(field, "value")
        yield f"{title}: {value}" if title and value else title or value


def _blocks(blocks: Sequence[Json], labels: Mapping[str, str], depth: int) -> str:
    if _element_count({"blocks": blocks}) > MAX_ELEMENTS:
        return ""
    parts = [_block(block, labels, depth).strip("\n") for block in blocks]
    return "\n\n".join(part for part in parts if part.strip())


def _element_count(holder: Json) -> int:
    """Returns how many elements and other parts are in a message or attachment; counts no farther than needed."""
    left, count = [holder], 0
    while left and count <= MAX_ELEMENTS:
        node = left.pop()
        message = node.get("message")
        left += [message] if isinstance(message, Mapping) else []
        for key in _PARTS:
            parts = node.get(key)
            if isinstance(parts, Sequence):
                count += len(parts)
                left += [part for part in parts[:MAX_ELEMENTS] if isinstance(part, Mapping)]
    return count


def _block(block: Json, labels: Mapping[str, str], depth: int) -> str:
    match block.get("type"):
        case "rich_text":
            return rich_text.markup_of(block, labels)
        case "table":
            return _table(block, labels)
        case "markdown":
            return string(block, "text")
        case "header":
            words = " ".join(_text_of(block, "text").split())
            return f"**{words}**" if words else ""
        case "section":
            fields = map(_text_object, json_objects(block, "fields"))
            return "\n".join(filter(None, (_text_of(block, "text"), *fields, _button(json_object(block, "accessory")))))
        case "context" | "actions" | "context_actions":
            return " ".join(filter(None, map(_element, json_objects(block, "elements"))))
    return "\n".join(_any_texts(block, labels, depth))


def _element(element: Json) -> str:
    """Returns a text, an image's description, or a button's link."""
    return _text_object(element) or string(element, "alt_text") or _button(element)


def _button(element: Json) -> str:
    """Returns a button with an address as a link, "" for others: a model can't press them."""
    url = string(element, "url")
    return mrkdwn.link(url, unescape(_text_of(element, "text"))) if url else ""


def _table(block: Json, labels: Mapping[str, str]) -> str:
    rows = block.get("rows")
    lines = []
    for row in rows if isinstance(rows, list) else []:
        # An empty cell is null.
        cells = (
            [_cell(cell, labels) if isinstance(cell, Mapping) else "" for cell in row] if isinstance(row, list) else []
        )
        lines.append(f"| {' | '.join(cells)} |")
        if len(lines) == 1:
            lines.append("|" + " --- |" * len(cells))
    return "\n".join(lines)


def _cell(cell: Json, labels: Mapping[str, str]) -> str:
    match cell:
        case {"type": "rich_text"}:
            text = rich_text.markup_of(cell, labels)
        case {"type": "raw_number", "value": int() | float() as number}:
            text = f"{number:.15g}" if isinstance(number, float) else str(number)
        case _:
            text = str(cell.get("text", ""))
    return _BAR.sub(lambda bar: bar[0] if bar[0] != "|" else "\\|", " ".join(text.split()))


def _any_texts(node: Any, labels: Mapping[str, str], depth: int) -> Iterator[str]:
    """Yields the titles, texts and image descriptions of a block of unknown type."""
    if depth < 0:
        return
    if isinstance(node, Mapping):
        if node.get("type") == "rich_text":
            yield rich_text.markup_of(node, labels)
            return
        for key, value in node.items():
            if key in ("title", "text", "alt_text", "description") and isinstance(value, str) and value:
                yield value
            elif isinstance(value, Mapping | list):
                yield from _any_texts(value, labels, depth - 1)
    elif isinstance(node, list):
        for child in node:
            yield from _any_texts(child, labels, depth - 1)


def _text_of(holder: Json, key: str) -> str:
    """Returns the text of the text object under a key."""
    return _text_object(json_object(holder, key))


def _text_object(text_object: Json) -> str:
    return _mrkdwn(text_object, "text") if text_object.get("type") == "mrkdwn" else string(text_object, "text")


def _mrkdwn(holder: Json, key: str) -> str:
    return mrkdwn.emphasized(string(holder, key))
