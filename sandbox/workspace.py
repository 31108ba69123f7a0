"""What one Slack workspace holds: people, channels, messages, threads; and who is told when it changes."""

import time
from collections import defaultdict, deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from sandbox.control import live_controls

Json = dict[str, Any]
ChannelType = Literal["channel", "group", "im", "mpim"]

TEAM_ID = "T0SANDBOX"
PARTNERS_ID = "T0PARTNERS"
"""Another organisation, met in a shared channel."""
APP_ID = "A0TYPIST"
SLACK = "USLACK"
"""Who Slack's own notices come from."""
SLACKBOT = "USLACKBOT"
"""Whose name stands on messages that were deleted."""
STATUS_LIFE_S = 120.0
"""Slack takes a thread's status away after two minutes."""
_KEPT_REVISIONS = 2_000
"""Of one message."""
_KEPT_HISTORIES = 1_000
"""So many messages, the newest, have their revisions kept."""


class SlackError(Exception):
    """Slack's `ok: false`: `error` is its name, `fields` is what else the answer holds."""

    def __init__(self, error: str, **fields: Any) -> None:
        self.error = error
        self.fields = fields
        super().__init__(error)


@dataclass(frozen=True, slots=True)
class User:
    """A person, or a bot where `bot_id` is set."""

    id: str
    name: str
    real_name: str
    color: str
    bot_id: str | None = None
    team_id: str = TEAM_ID
    is_admin: bool = False
    is_owner: bool = False
    is_restricted: bool = False
    """A guest; in one channel alone where `is_ultra_restricted`."""
    is_ultra_restricted: bool = False
    deleted: bool = False
    """Deactivated: the account is kept, and Slack tells less of it."""


@dataclass(slots=True)
class Channel:
    """A place for messages; `user_id` is the person of a DM."""

    id: str
    name: str
    type: ChannelType
    members: list[str]
    user_id: str | None = None
    archived: bool = False
    creator: str | None = None
    """All that the Web API tells a bot of who manages a channel: roles are for an organisation's admins."""
    shared_with: str | None = None
    """Another organisation's team_id, by Slack Connect."""


@dataclass(frozen=True, slots=True)
class Message:
    """One message as Slack keeps it; `text` is escaped as Slack does it, `blocks` are as Slack stores them."""

    channel: str
    ts: str
    user_id: str
    text: str
    blocks: tuple[Json, ...] = ()
    thread_ts: str | None = None
    """The root's ts in a reply; None in a root, with replies or without."""
    subtype: str | None = None
    client_msg_id: str | None = None
    app_id: str | None = None
    """The app through which a person writes."""
    username: str | None = None
    """How an old-style integration calls itself."""
    files: tuple[Json, ...] = ()
    attachments: tuple[Json, ...] = ()
    """Forwarded messages, and what apps hang below theirs."""
    metadata: Json | None = None
    edited_ts: str | None = None
    title: str | None = None
    """Of an assistant's thread, in its root."""
    ephemeral_to: str | None = None
    sent_blocks: tuple[Json, ...] = ()
    """The blocks as the app sent them, empty where it sent text alone. Tests and benchmarks alone see them."""
    reactions: tuple[tuple[str, tuple[str, ...]], ...] = ()
    """Name and the users who gave it."""

    @property
    def root_ts(self) -> str:
        return self.thread_ts or self.ts


@dataclass(slots=True)
class Stream:
    """A native stream that is being written."""

    started_s: float
    text: str = ""


@dataclass(frozen=True, slots=True)
class Posted:
    message: Message


@dataclass(frozen=True, slots=True)
class Changed:
    """`announced` changes are events for apps; reactions and stream appends are not."""

    message: Message
    previous: Message
    announced: bool = True


@dataclass(frozen=True, slots=True)
class Deleted:
    message: Message


@dataclass(frozen=True, slots=True)
class TombstoneRemoved:
    """The last reply of a deleted root is gone, and the root's tombstone with it."""

    message: Message


@dataclass(frozen=True, slots=True)
class StatusSet:
    channel: str
    thread_ts: str
    text: str
    loading: tuple[str, ...] = ()
    """Said in turn while it lasts."""


Change = Posted | Changed | Deleted | TombstoneRemoved | StatusSet


@dataclass(frozen=True, slots=True)
class Revision:
    """What readers saw of a message from `at_s` (monotonic seconds) on."""

    at_s: float
    text: str
    blocks: tuple[Json, ...]
    sent_blocks: tuple[Json, ...]


@dataclass(frozen=True, slots=True)
class Notification:
    """A bot's message held a control sequence that Slack acts on."""

    channel: str
    ts: str
    control: str


@dataclass
class Workspace:
    """The state. Nothing waits here; listeners are called in the order of the changes."""

    bot: User
    monotonic: Callable[[], float] = time.monotonic
    keep_revisions: bool = True
    name: str = "Sandbox"
    declared_metadata: AbstractSet[str] = frozenset()
    """The types of metadata that the app's manifest declares."""
    users: dict[str, User] = field(default_factory=dict)
    channels: dict[str, Channel] = field(default_factory=dict)
    ephemerals: deque[Message] = field(default_factory=lambda: deque(maxlen=100))
    notified: list[Notification] = field(default_factory=list)
    listeners: list[Callable[[Change], None]] = field(default_factory=list)
    _messages: dict[str, dict[str, Message]] = field(default_factory=lambda: defaultdict(dict))
    _replies: dict[tuple[str, str], list[str]] = field(default_factory=lambda: defaultdict(list))
    _revisions: dict[tuple[str, str], deque[Revision]] = field(default_factory=dict)
    _status: dict[tuple[str, str], tuple[str, float]] = field(default_factory=dict)
    _gone: deque[Message] = field(default_factory=lambda: deque(maxlen=100))
    """Messages that were deleted a while ago: somebody may still have one on their screen."""
    _last_ts_us: int = 0

    def __post_init__(self) -> None:
        self.users[self.bot.id] = self.bot

    def user(self, name_or_id: str) -> User:
        """Raises SlackError("user_not_found")."""
        found = self.users.get(name_or_id) or next((u for u in self.users.values() if u.name == name_or_id), None)
        if found is None:
            raise SlackError("user_not_found")
        return found

    def channel(self, name_or_id: str) -> Channel:
        """Raises SlackError("channel_not_found")."""
        name = name_or_id.removeprefix("#")
        found = self.channels.get(name_or_id) or next((c for c in self.channels.values() if c.name == name), None)
        if found is None:
            raise SlackError("channel_not_found")
        return found

    def dm(self, name_or_id: str) -> Channel:
        """A person's DM with the bot. Raises SlackError("user_not_found")."""
        person = self.user(name_or_id)
        return next(c for c in self.channels.values() if c.user_id == person.id)

    def join(self, channel: str, user: str) -> None:
        members = self.channel(channel).members
        if (user_id := self.user(user).id) not in members:
            members.append(user_id)

    def leave(self, channel: str, user: str) -> None:
        self.channel(channel).members.remove(self.user(user).id)

    def next_ts(self) -> str:
        """A new ts, after all that were given before."""
        self._last_ts_us = max(self._last_ts_us + 1, time.time_ns() // 1000)
        return f"{self._last_ts_us // 1_000_000}.{self._last_ts_us % 1_000_000:06d}"

    def message(self, channel: str, ts: str) -> Message:
        """Raises SlackError("message_not_found")."""
        found = self._messages[channel].get(ts)
        if found is None:
            raise SlackError("message_not_found")
        return found

    def message_or_ephemeral(self, channel: str, ts: str) -> Message:
        """A message, also one that one person alone sees. Raises SlackError("message_not_found")."""
        return _find(self.ephemerals, channel, ts) or self.message(channel, ts)

    def message_even_if_deleted(self, channel: str, ts: str) -> Message:
        """A message, as it was where it is deleted. Raises SlackError("message_not_found")."""
        return _find(self._gone, channel, ts) or self.message_or_ephemeral(channel, ts)

    def messages(self, channel: str) -> Iterator[Message]:
        """All of a channel, replies too, oldest first."""
        return iter(self._messages[channel].values())

    def replies(self, channel: str, root_ts: str) -> list[Message]:
        """The replies in a thread, without its root, oldest first."""
        return [self._messages[channel][ts] for ts in self._replies.get((channel, root_ts), ())]

    def revisions(self, channel: str, ts: str) -> list[Revision]:
        """All that was ever shown of a message, as far as it is kept, oldest first."""
        return list(self._revisions.get((channel, ts), ()))

    def post(self, message: Message) -> Message:
        if message.ephemeral_to is not None:
            self.ephemerals.append(message)
        else:
            self._messages[message.channel][message.ts] = message
            if message.thread_ts is not None:
                self._replies[message.channel, message.thread_ts].append(message.ts)
        self._record(message)
        if message.user_id == self.bot.id:
            self.set_status(message.channel, message.root_ts, "")
        self._notify(Posted(message))
        return message

    def change(self, message: Message, *, announced: bool = True) -> Message:
        previous = self.message_or_ephemeral(message.channel, message.ts)
        if message.ephemeral_to is not None:
            self.ephemerals[self.ephemerals.index(previous)] = message
        else:
            self._messages[message.channel][message.ts] = message
        if (message.text, message.blocks) != (previous.text, previous.blocks):
            self._record(message)
        self._notify(Changed(message, previous, announced))
        return message

    def delete(self, message: Message) -> None:
        """Takes a message away; a root with replies stays as a tombstone, as in Slack."""
        self._gone.append(message)
        if message.ephemeral_to is not None:
            self.ephemerals.remove(message)
            self._notify(Deleted(message))
            return
        if self._replies.get((message.channel, message.ts)):
            gone = Message(message.channel, message.ts, SLACKBOT, "This message was deleted.", subtype="tombstone")
            self.change(gone)
            return
        root = None if message.thread_ts is None else self.message(message.channel, message.thread_ts)
        del self._messages[message.channel][message.ts]
        if root is None:
            self._notify(Deleted(message))
            return
        replies = self._replies[message.channel, root.ts]
        replies.remove(message.ts)
        self._notify(Deleted(message))
        if not replies and root.subtype == "tombstone":
            del self._messages[root.channel][root.ts]
            self._notify(TombstoneRemoved(root))

    def react(self, message: Message, name: str, user_id: str, *, add: bool) -> None:
        """Raises SlackError("already_reacted" or "no_reaction")."""
        given = dict(message.reactions)
        users = given.get(name, ())
        if (user_id in users) == add:
            raise SlackError("already_reacted" if add else "no_reaction")
        given[name] = (*users, user_id) if add else tuple(u for u in users if u != user_id)
        left = tuple((n, who) for n, who in given.items() if who)
        self.change(replace(message, reactions=left), announced=False)

    def set_status(self, channel: str, thread_ts: str, text: str, loading: tuple[str, ...] = ()) -> None:
        """An empty text takes the status away."""
        before = self.status(channel, thread_ts)
        self._status.pop((channel, thread_ts), None)
        if text:
            self._status[channel, thread_ts] = (text, self.monotonic() + STATUS_LIFE_S)
        if text != (before or "") or loading:
            self._notify(StatusSet(channel, thread_ts, text, loading))

    def status(self, channel: str, thread_ts: str) -> str | None:
        text, until_s = self._status.get((channel, thread_ts), (None, 0.0))
        return text if self.monotonic() < until_s else None

    def expire_statuses(self) -> None:
        """Tells listeners of the statuses whose time is over."""
        over = [key for key, (_, until_s) in self._status.items() if self.monotonic() >= until_s]
        for channel, thread_ts in over:
            del self._status[channel, thread_ts]
            self._notify(StatusSet(channel, thread_ts, ""))

    def names(self) -> Mapping[str, str]:
        """User and channel ids to how they are called."""
        return {u.id: u.name for u in self.users.values()} | {c.id: c.name for c in self.channels.values()}

    def _record(self, message: Message) -> None:
        if self.keep_revisions:
            kept = self._revisions.setdefault((message.channel, message.ts), deque(maxlen=_KEPT_REVISIONS))
            kept.append(Revision(self.monotonic(), message.text, message.blocks, message.sent_blocks))
            if len(self._revisions) > _KEPT_HISTORIES:
                del self._revisions[next(iter(self._revisions))]
        if message.user_id == self.bot.id:
            # Where text alone was sent, the blocks say the same once more.
            found = live_controls(message.text, message.blocks if message.sent_blocks else ())
            self.notified.extend(Notification(message.channel, message.ts, control) for control in found)

    def _notify(self, change: Change) -> None:
        for listener in self.listeners:
            listener(change)


def _find(messages: Iterable[Message], channel: str, ts: str) -> Message | None:
    return next((message for message in messages if (message.channel, message.ts) == (channel, ts)), None)
