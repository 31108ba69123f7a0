"""A question that somebody asked by the shortcut: the bot writes it into the thread for them, for all to see.

Slack lets nobody write as somebody else. That it is theirs is in the block_id, so that history reads it as theirs.
"""

from collections.abc import Mapping
from typing import Any

from bot.core.entities import escape, unescape
from bot.core.message_question import AskAbout
from bot.core.reply.preview import beginning
from bot.slack.format import mrkdwn, rich_text

_BLOCK = "asked-by-"
_MARK = "asked-in-"
_ELEMENT_CHARS = 3_000
_REMINDER_CHARS = 200
_NOTICE_CHARS = 150


def reminder(about: AskAbout) -> str:
    """What recalls the message where it is not far: nothing where the thread begins with it."""
    return "" if about.ts == about.thread_ts else beginning(about.quote, _REMINDER_CHARS)


def message(user_id: str, intro: str, quote: str, question: str) -> dict[str, Any]:
    """The arguments of chat.postMessage; `intro` is in Slack's markup, the rest is plain text."""
    blocks: list[dict[str, Any]] = [
        {"type": "context", "elements": [{"type": "mrkdwn", "text": intro, "verbatim": True}]}
    ]
    if quote:
        said = {"type": "plain_text", "text": quote[:_ELEMENT_CHARS]}
        blocks.append({"type": "context", "block_id": f"{_BLOCK}{user_id}-about", "elements": [said]})
    words = {"type": "rich_text_quote", "elements": [{"type": "text", "text": question}]}
    blocks.append({"type": "rich_text", "block_id": f"{_BLOCK}{user_id}", "elements": [words]})
    return {"text": escape(beginning(question, _NOTICE_CHARS)), "blocks": blocks}


def marked(message: Mapping[str, Any], view_id: str) -> dict[str, Any]:
    """The message with the id of the modal that it was asked in, so that a later try finds it."""
    intro, *others = message["blocks"]
    return {**message, "blocks": [{**intro, "block_id": mark_of(view_id)}, *others]}


def mark_of(view_id: str) -> str:
    """The block_id that stands for a modal."""
    return f"{_MARK}{view_id}"


def view_of(message: Mapping[str, Any]) -> str | None:
    """Returns the id of the modal in which a message of ours was asked, None for any other message."""
    ids = (str(block.get("block_id", "")) for block in message.get("blocks") or ())
    return next((each.removeprefix(_MARK) for each in ids if each.startswith(_MARK)), None)


def asked_in(message: Mapping[str, Any]) -> tuple[str, str] | None:
    """Whose question one of our messages holds, and its text (core/inbound/mentions.py); None where it holds none."""
    parts = [each for each in message.get("blocks") or () if str(each.get("block_id", "")).startswith(_BLOCK)]
    if not parts:
        return None
    user_id = parts[-1]["block_id"].removeprefix(_BLOCK)
    quoted = ["\n".join(f"&gt; {line}" for line in _words(part).splitlines()) for part in parts[:-1]]
    return user_id, mrkdwn.message_text("\n\n".join((*quoted, _words(parts[-1]))))


def _words(block: Mapping[str, Any]) -> str:
    """Slack returns a rich_text's emoji and addresses as elements of their own: one text comes back as several."""
    if block.get("type") == "rich_text":
        return rich_text.words_of(block)
    # Whether Slack escapes plain text as it tells it is not documented: either way it is escaped once.
    return " ".join(escape(unescape(str(each.get("text", "")))) for each in rich_text.dicts(block.get("elements")))
