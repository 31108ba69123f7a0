"""A reply's messages as Slack stores them, by the sandbox's rules and without its sockets."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from bot.reply import blocks as reply_blocks
from bot.reply.edits import Post, Update
from bot.reply.messages import PageView
from bot.reply.reply import Reply
from slack_sandbox.blocks.rules import UPDATE_TEXT_BYTES, check_blocks, check_replacement
from slack_sandbox.blocks.stored import stored_text
from slack_sandbox.control import live_controls
from tests.core.conversations import answer
from tests.reply.outcomes import done

Json = dict[str, Any]


@dataclass
class StoredMessages:
    """The messages of one reply as Slack stores them; a call that Slack refuses raises SlackError."""

    messages: dict[str, Sequence[Json]] = field(default_factory=dict)

    def take(self, call: Post | Update) -> str:
        ts = call.ts if isinstance(call, Update) else f"{len(self.messages) + 1}.0"
        blocks = stored(call.view)
        if isinstance(call, Update) and not call.view.plain:
            check_replacement(self.messages[ts], blocks)
        self.messages[ts] = blocks
        return ts


def stored(view: PageView) -> Sequence[Json]:
    """Returns the blocks that Slack stores for a view. Raises SlackError."""
    message = reply_blocks.message(view)
    assert message["text"].strip()
    assert len(message["text"].encode(errors="replace")) <= UPDATE_TEXT_BYTES
    blocks = check_blocks(message["blocks"]) if message["blocks"] else stored_text(message["text"])
    assert not live_controls(message["text"], blocks), "a model's text must notify nobody"
    return blocks


def show(reply: Reply, slack: StoredMessages) -> None:
    while isinstance(call := reply.next_call(), Post | Update):
        done(reply, call, slack.take(call))


def grow(text: str, step: int, slack: StoredMessages) -> Reply:
    """Returns a reply that has shown a growing text and hasn't ended."""
    reply = Reply(answer())
    for start in range(0, len(text), step):
        reply.append(text[start : start + step])
        show(reply, slack)
    return reply


def kinds(message: Sequence[Json]) -> list[str]:
    return [block["type"] for block in message]


def leaves(node: Any) -> list[Json]:
    """Returns the elements with text, in order: text, links, mentions, cells and headers."""
    if isinstance(node, Sequence) and not isinstance(node, str):
        return [leaf for child in node for leaf in leaves(child)]
    if not isinstance(node, dict):
        return []
    if node.get("type") in ("text", "link", "user", "channel", "broadcast", "emoji", "raw_text", "plain_text"):
        return [node]
    return [leaf for key in ("text", "elements", "rows") for leaf in leaves(node.get(key))]


def shown_text(node: Any) -> str:
    return "".join(str(leaf.get("text", leaf.get("url", ""))) for leaf in leaves(node))
