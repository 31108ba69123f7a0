"""The text of a message as a reader in Slack sees it: its blocks, and what is attached below them.

All parts are put together as mrkdwn, with its structure (lists, quotes, code, emphasis) as Markdown. Only the whole is
turned into the text of a message (core/inbound/mentions.py).
"""

import re
from collections.abc import Iterator, Mapping
from typing import Any

from bot.core.entities import escape, unescape
from bot.slack.format import mrkdwn, rich_text
from bot.slack.format.rich_text import Json, dicts, quoted

MOST_ATTACHED_CHARS = 40_000
"""As much as Slack lets one message hold; what is attached beyond is left out whole."""
MOST_DEPTH = 4
"""A forwarded message may hold another; a block of a kind unknown here, anything."""
MORE = "(More is attached.)"

_BAR = re.compile(r"<[^<>]*>|\|")


def body_of(message: Json) -> str:
    """What its writer wrote: its blocks, or its text where they say nothing."""
    text = _text(message, "text")
    body = _blocks(message, mrkdwn.labels(text), MOST_DEPTH) or mrkdwn.emphasised(text)
    return mrkdwn.message_text(body)


def attached_to(message: Json) -> str:
    """What hangs below: forwarded and quoted messages, previews of links, old-style attachments of apps."""
    return mrkdwn.message_text(_attachments(message, MOST_DEPTH))


def app_name(message: Json) -> str | None:
    """How the app that wrote a message calls itself; None for a person."""
    if not message.get("bot_id"):
        return None
    profile = message.get("bot_profile")
    named = _text(profile, "name") if isinstance(profile, Mapping) else ""
    return unescape(_text(message, "username") or named) or None


def _attachments(message: Json, depth: int) -> str:
    parts: list[str] = []
    size_chars = 0
    for attachment in dicts(message.get("attachments")):
        if not (part := _attachment(attachment, depth)):
            continue
        size_chars += len(part)
        if size_chars > MOST_ATTACHED_CHARS:
            parts.append(MORE)
            break
        parts.append(part)
    return "\n\n".join(parts)


def _attachment(attachment: Json, depth: int) -> str:
    if depth == 0:
        return ""
    if attachment.get("is_share") or attachment.get("is_msg_unfurl") or attachment.get("message_blocks"):
        return _forwarded(attachment, depth)
    author = escape(unescape(_text(attachment, "author_name") or _text(attachment, "service_name")))
    title, url = _text(attachment, "title"), _text(attachment, "title_link")
    head = mrkdwn.link(url, unescape(title)) if title and url else title
    body = _blocks(attachment, {}, depth) or _mrkdwn(attachment, "text")
    inner = "\n".join(part for part in (author, head, body, *_fields(attachment), _text(attachment, "footer")) if part)
    said = [_mrkdwn(attachment, "pretext"), quoted(inner.strip("\n")) if inner.strip() else ""]
    return "\n".join(part for part in said if part.strip()) or _text(attachment, "fallback")


def _forwarded(attachment: Json, depth: int) -> str:
    """`is_share`: somebody forwarded it; otherwise they wrote its address, and Slack shows it."""
    labels = mrkdwn.labels(_text(attachment, "text"))
    messages = [each.get("message") for each in dicts(attachment.get("message_blocks"))]
    parts = [_blocks(each, labels, depth - 1) for each in messages if isinstance(each, Mapping)]
    written = "\n\n".join(part for part in parts if part)
    said = written or _mrkdwn(attachment, "text") or _blocks(attachment, {}, depth - 1)
    below = _attachments(attachment, depth - 1)
    said = "\n\n".join(part for part in (said, below) if part.strip()).strip("\n") or _text(attachment, "fallback")
    head = f"{'Forwarded' if attachment.get('is_share') else 'Quoted'} from {_author(attachment)}:"
    return f"{head}\n{quoted(said)}" if "\n" in said else f"{head} {said}".rstrip()


def _author(attachment: Json) -> str:
    name = unescape(_text(attachment, "author_name") or _text(attachment, "author_subname"))
    if name:
        return escape(name)
    author_id = _text(attachment, "author_id")
    return f"<@{author_id}>" if author_id.isalnum() else "somebody"


def _fields(attachment: Json) -> Iterator[str]:
    for field in dicts(attachment.get("fields")):
        title, value = _text(field, "title"), _mrkdwn(field, "value")
        yield f"{title}: {value}" if title and value else title or value


def _blocks(holder: Json, labels: Mapping[str, str], depth: int) -> str:
    parts = [_block(block, labels, depth).strip("\n") for block in dicts(holder.get("blocks"))]
    return "\n\n".join(part for part in parts if part.strip())


def _block(block: Json, labels: Mapping[str, str], depth: int) -> str:
    match block.get("type"):
        case "rich_text":
            return rich_text.markup_of(block, labels)
        case "table":
            return _table(block, labels)
        case "markdown":
            return _text(block, "text")
        case "header":
            words = " ".join(_object(block, "text").split())
            return f"**{words}**" if words else ""
        case "section":
            fields = map(_said, dicts(block.get("fields")))
            return "\n".join(filter(None, (_object(block, "text"), *fields, _button(block.get("accessory")))))
        case "context" | "actions" | "context_actions":
            return " ".join(filter(None, map(_seen, dicts(block.get("elements")))))
    return "\n".join(_any_texts(block, labels, depth))


def _seen(element: Json) -> str:
    """A text, the words for a picture, a link."""
    return _said(element) or _text(element, "alt_text") or _button(element)


def _button(element: Any) -> str:
    """A button that leads somewhere is a link; any other can't be pressed by a model."""
    url = _text(element, "url") if isinstance(element, Mapping) else ""
    return mrkdwn.link(url, unescape(_object(element, "text"))) if url else ""


def _table(block: Json, labels: Mapping[str, str]) -> str:
    rows = block.get("rows")
    lines = []
    for row in rows if isinstance(rows, list) else []:
        cells = [_cell(cell, labels) for cell in dicts(row)]
        lines.append(f"| {' | '.join(cells)} |")
        if len(lines) == 1:
            lines.append("|" + " --- |" * len(cells))
    return "\n".join(lines)


def _cell(cell: Json, labels: Mapping[str, str]) -> str:
    match cell:
        case {"type": "rich_text"}:
            said = rich_text.markup_of(cell, labels)
        case {"type": "raw_number", "value": int() | float() as number}:
            said = f"{number:.15g}" if isinstance(number, float) else str(number)
        case _:
            said = str(cell.get("text", ""))
    return _BAR.sub(lambda bar: bar[0] if bar[0] != "|" else "\\|", " ".join(said.split()))


def _any_texts(node: Any, labels: Mapping[str, str], depth: int) -> Iterator[str]:
    """Whatever a block of another kind shows: its titles, texts and the words for its pictures."""
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
        for each in node:
            yield from _any_texts(each, labels, depth - 1)


def _object(holder: Json, key: str) -> str:
    """A text object's text."""
    value = holder.get(key)
    return _said(value) if isinstance(value, Mapping) else ""


def _said(text_object: Json) -> str:
    return _mrkdwn(text_object, "text") if text_object.get("type") == "mrkdwn" else _text(text_object, "text")


def _mrkdwn(holder: Json, key: str) -> str:
    return mrkdwn.emphasised(_text(holder, key))


def _text(holder: Json, key: str) -> str:
    value = holder.get(key)
    return value if isinstance(value, str) else ""
