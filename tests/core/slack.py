"""Slack's own rules for a reply's messages: the sandbox's, without its sockets."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from bot.core.reply.state import Post, Reply, Update, View
from bot.slack.format import reply_blocks
from sandbox.control import live_controls
from sandbox.rules import UPDATE_TEXT_BYTES, check_blocks, check_replacement
from sandbox.stored import stored_text
from tests.core.conversations import question

Json = dict[str, Any]


@dataclass
class Slack:
    """What Slack holds of one reply; a call that it refuses raises SlackError."""

    messages: dict[str, Sequence[Json]] = field(default_factory=dict)

    def take(self, call: Post | Update) -> str:
        """Posts or updates; returns the message's ts."""
        ts = call.ts if isinstance(call, Update) else f"{len(self.messages) + 1}.0"
        kept = stored(call.view)
        if isinstance(call, Update) and not call.view.plain:
            check_replacement(self.messages[ts], kept)
        self.messages[ts] = kept
        return ts


def stored(view: View) -> Sequence[Json]:
    """The blocks that Slack stores for a view. Raises SlackError."""
    message = reply_blocks.message(view)
    assert message["text"].strip()
    assert len(message["text"].encode(errors="replace")) <= UPDATE_TEXT_BYTES
    kept = check_blocks(message["blocks"]) if message["blocks"] else stored_text(message["text"])
    assert not live_controls(message["text"], kept), "nobody is notified by what a model writes"
    return kept


def show(reply: Reply, slack: Slack) -> None:
    """Sends what the reply has for Slack, but files."""
    while isinstance(call := reply.next_call(), Post | Update):
        reply.confirmed(call, slack.take(call))


def grow(text: str, step: int, slack: Slack) -> Reply:
    """A reply that has shown a text as it came, not ended yet."""
    reply = Reply(question())
    for start in range(0, len(text), step):
        reply.append(text[start : start + step])
        show(reply, slack)
    return reply


def kinds(message: Sequence[Json]) -> list[str]:
    """The types of its blocks."""
    return [block["type"] for block in message]


def leaves(node: Any) -> list[Json]:
    """The elements that say something, in order: text, links, mentions, cells and headers."""
    if isinstance(node, Sequence) and not isinstance(node, str):
        return [leaf for child in node for leaf in leaves(child)]
    if not isinstance(node, dict):
        return []
    if node.get("type") in ("text", "link", "user", "channel", "broadcast", "emoji", "raw_text", "plain_text"):
        return [node]
    return [leaf for key in ("text", "elements", "rows") for leaf in leaves(node.get(key))]


def said(node: Any) -> str:
    """What a reader sees of blocks."""
    return "".join(str(leaf.get("text", leaf.get("url", ""))) for leaf in leaves(node))
