"""All that Slack's readers saw of the bot's messages, from the first to the last moment of each."""

import re
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

from bot.slack.outbox_sender import PING_EVENT
from sandbox.control import unescape
from sandbox.workspace import Change, Changed, Deleted, Message, Posted, Workspace

FOOTER = re.compile(r"(fell back to )?[a-z]+/\S+( · (stopped|incomplete))?")
"""Says who wrote an answer, and nothing that has gone wrong with it but in a sentence of its own."""


@dataclass(frozen=True)
class Moment:
    """What a message showed from `at_s` on."""

    at_s: float
    text: str
    """The answer's part, without what is said about it."""
    note: str
    """The line below it: a sign that more comes, or a sentence about how it ended."""


@dataclass
class Life:
    """One message of the bot's."""

    channel: str
    ts: str
    thread_ts: str | None
    question_ts: str
    """Of the question that it says it answers; empty where it says nothing."""
    page: int
    moments: list[Moment] = field(default_factory=list)
    deleted_s: float | None = None

    @property
    def last(self) -> Moment:
        return self.moments[-1]


class Watcher:
    """Listens to a workspace; `lives` has the bot's messages by channel and ts, in the order of their posts."""

    def __init__(self, workspace: Workspace) -> None:
        self.lives: dict[tuple[str, str], Life] = {}
        self.pings: Counter[tuple[str, str]] = Counter()
        """Messages that told an asker that the answer is whole, by channel and the question's ts."""
        self._workspace = workspace
        workspace.listeners.append(self._on_change)

    def of(self, channel: str, question_ts: str) -> list[Life]:
        """The messages that answer a question."""
        return [life for life in self.lives.values() if (life.channel, life.question_ts) == (channel, question_ts)]

    def _on_change(self, change: Change) -> None:
        if not isinstance(change, Posted | Changed | Deleted) or change.message.user_id != self._workspace.bot.id:
            return
        message, now_s = change.message, self._workspace.monotonic()
        if message.ephemeral_to is not None:
            return
        if (message.metadata or {}).get("event_type") == PING_EVENT:
            self.pings[message.channel, str(_said(message).get("question_ts"))] += isinstance(change, Posted)
            return
        match change:
            case Posted():
                life = _life(message)
                life.moments.append(_moment(message, now_s))
                self.lives[message.channel, message.ts] = life
            case Changed():
                self.lives[message.channel, message.ts].moments.append(_moment(message, now_s))
            case Deleted():
                self.lives[message.channel, message.ts].deleted_s = now_s


def _life(message: Message) -> Life:
    said = _said(message)
    question_ts, page = str(said.get("question_ts", "")), int(said.get("page", 0))
    return Life(message.channel, message.ts, message.thread_ts, question_ts, page)


def _said(message: Message) -> dict[str, Any]:
    return dict((message.metadata or {}).get("event_payload", {}))


def _moment(message: Message, at_s: float) -> Moment:
    if not message.sent_blocks:
        return Moment(at_s, unescape(message.text), "")
    text = "".join(block["text"] for block in message.sent_blocks if block["type"] == "markdown")
    quiet = [part for block in message.sent_blocks if block["type"] == "rich_text" for part in block["elements"]]
    notes = [part["elements"][0]["text"] for part in quiet]
    return Moment(at_s, unescape(text), " ".join(note for note in notes if not FOOTER.fullmatch(note)))
