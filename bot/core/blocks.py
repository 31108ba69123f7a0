"""A page's view as Slack takes it: a `markdown` block, and a short `text` beside it for notifications."""

from collections.abc import Mapping
from typing import Any

from bot.core.markdown import meant, neutral, rendered
from bot.core.plain import first_words
from bot.core.reply import View

THINKING = "Thinking…"
WRITING = "Writing…"
WAITING = "Your question is in line: I will answer it after the ones before it."


def message(view: View) -> dict[str, Any]:
    """The arguments of chat.postMessage and chat.update that show the view.

    `blocks` is always there: an empty list removes what an earlier call showed.
    """
    if view.plain:
        return {"text": neutral(_plain(view)), "blocks": []}
    blocks: list[dict[str, Any]] = []
    # Slack takes no empty block: all that has come may be held back still, as half a link is.
    if (text := rendered(view.markdown, growing=view.growing)).strip():
        blocks.append({"type": "markdown", "text": text})
    if note := _note(view):
        blocks.append({"type": "context", "elements": [{"type": "mrkdwn", "text": note}]})
    return {"text": short_text(view), "blocks": blocks}


def markdown_of(message: Mapping[str, Any]) -> str:
    """The text of a page in a message that shows it; "" where it shows none yet."""
    parts = [block.get("text", "") for block in message.get("blocks") or [] if block.get("type") == "markdown"]
    return meant("\n".join(parts))


def short_text(view: View) -> str:
    """What a notification and a screen reader say: the first words without Markdown's marks."""
    words = first_words(view.markdown, growing=view.growing)
    return neutral(words) or _escape(view.notice) or _growing(view)


def _note(view: View) -> str:
    if view.notice:
        return _escape(view.notice)
    return f"_{_growing(view)}_" if view.growing else ""


def _growing(view: View) -> str:
    if view.markdown.strip():
        return WRITING
    return WAITING if view.waiting else THINKING


def _plain(view: View) -> str:
    note = view.notice or (_growing(view) if view.growing else "")
    return "\n\n".join(part for part in (view.markdown.rstrip(), note) if part)


def _escape(sentence: str) -> str:
    """mrkdwn reads the three characters that Slack names."""
    return sentence.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
