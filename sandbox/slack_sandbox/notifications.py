"""Counts the notifications that Slack sends to each person.

A post notifies people immediately. A native stream notifies them once, when it stops, with its first text. Edits and
ephemeral messages don't notify anyone. The recipients are assumed from the default settings of Slack's clients:
everybody in a direct message, the people that a message mentions, and in a thread its author and everyone who has
replied.
"""

import re
from collections import Counter, deque
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field

from slack_sandbox.workspace import Change, Changed, Json, Message, Posted, Workspace

_MENTION = re.compile(r"<@(\w+)")
_MAX_SENT = 1_000
_EVERYBODY = re.compile(r"<!(?:channel|here|everyone)\b")


@dataclass(frozen=True, slots=True)
class SentNotification:
    user_id: str
    channel: str
    ts: str
    text: str


@dataclass
class Notifications:
    """Listens to the workspace, keeps its newest notifications in order, and counts all notifications."""

    workspace: Workspace
    sent: deque[SentNotification] = field(default_factory=lambda: deque(maxlen=_MAX_SENT))
    _counts: Counter[str] = field(default_factory=Counter)
    _first_texts: dict[tuple[str, str], str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.workspace.listeners.append(self._on_change)

    def counts_json(self) -> list[Json]:
        return [{"user_id": user_id, "count": count} for user_id, count in sorted(self._counts.items())]

    def _on_change(self, change: Change) -> None:
        match change:
            case Posted(message) | Changed(message) if message.streaming_state == "in_progress":
                if message.text:
                    self._first_texts.setdefault((message.channel, message.ts), message.text)
            case Posted(message) if message.ephemeral_to is None:
                self._notify(message, message.text)
            case Changed(message, previous) if previous.streaming_state == "in_progress":
                self._notify(message, self._first_texts.pop((message.channel, message.ts), message.text))

    def _notify(self, message: Message, text: str) -> None:
        for user_id in sorted(self._recipients(message) - {message.user_id, self.workspace.bot.id}):
            self._counts[user_id] += 1
            self.sent.append(SentNotification(user_id, message.channel, message.ts, text))

    def _recipients(self, message: Message) -> AbstractSet[str]:
        members = set(self.workspace.channel(message.channel).members)
        is_direct = self.workspace.channel(message.channel).type in ("im", "mpim")
        if is_direct or _EVERYBODY.search(message.text):
            return members
        readers = set(_MENTION.findall(message.text))
        if message.thread_ts is not None:
            readers |= {reply.user_id for reply in self.workspace.replies(message.channel, message.thread_ts)}
            readers.add(self.workspace.message(message.channel, message.thread_ts).user_id)
        return readers & members
