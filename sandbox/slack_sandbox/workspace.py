"""The state of one Slack workspace: people, channels, messages and threads. Listeners are notified of changes."""

import time
from collections import defaultdict, deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from slack_sandbox.control import live_controls
from slack_sandbox.emoji_aliases import ALIASES

Json = dict[str, Any]
ChannelType = Literal["channel", "group", "im", "mpim"]
SessionStatus = Literal["active", "processing", "suspended", "closed"]

TEAM_ID = "T0SANDBOX"
PARTNERS_ID = "T0PARTNERS"
"""The other organization of the shared channel."""
APP_ID = "A0BOT"
SLACK = "USLACK"
"""The author of Slack's own notices."""
SLACKBOT = "USLACKBOT"
"""The author of the tombstone that replaces a deleted root."""
UTC = "Etc/UTC"
STATUS_LIFE_S = 120.0
"""The time after which Slack removes a thread's status."""
_KEPT_REVISIONS = 2_000
_KEPT_HISTORIES = 1_000


class SlackError(Exception):
    """A response with `ok: false`. `error` is the error's name; `fields` are the response's other fields."""

    def __init__(self, error: str, **fields: Any) -> None:
        self.error = error
        self.fields = fields
        super().__init__(error)


@dataclass(frozen=True, slots=True)
class User:
    """A person, or a bot if `bot_id` is set."""

    id: str
    name: str
    real_name: str
    """The name in messages and mentions. It is also the display name."""
    color: str
    bot_id: str | None = None
    team_id: str = TEAM_ID
    is_admin: bool = False
    is_owner: bool = False
    is_restricted: bool = False
    """A guest. With `is_ultra_restricted`, a single-channel guest."""
    is_ultra_restricted: bool = False
    deleted: bool = False
    """A deactivated account. Slack keeps it and shows fewer fields."""
    tz: str = UTC
    """The person's time zone by its IANA name, such as Europe/Berlin."""

    @property
    def is_member(self) -> bool:
        """Whether this is a member of the workspace: neither a guest nor somebody of another organization."""
        return not self.is_restricted and self.team_id == TEAM_ID

    @property
    def email(self) -> str | None:
        return None if self.bot_id or self.id in (SLACK, SLACKBOT) else f"{self.name}@sandbox.example"


@dataclass(slots=True)
class Channel:
    """A channel, group or direct message. `user_id` is the person in a direct message with the bot."""

    id: str
    name: str
    type: ChannelType
    members: list[str]
    user_id: str | None = None
    archived: bool = False
    creator: str | None = None
    """The only information about a channel's managers that bots get. Only admins can see channel roles."""
    shared_with: str | None = None
    topic: str = ""
    """Written as in Slack's responses, with `&`, `<` and `>` as entities. The same applies to `purpose`."""
    purpose: str = ""
    tabs: dict[str, str] = field(default_factory=dict)
    """The ts when each canvas became a tab, by the canvas's ID."""


@dataclass(frozen=True, slots=True)
class Session:
    status: SessionStatus
    title: str = ""
    expires_s: int | None = None
    """When `processing` ends by itself, in seconds since the epoch, or None in other states."""


@dataclass(frozen=True, slots=True)
class Message:
    """A message as Slack stores it. `text` has `&`, `<` and `>` as entities."""

    channel: str
    ts: str
    user_id: str
    text: str
    blocks: tuple[Json, ...] = ()
    thread_ts: str | None = None
    subtype: str | None = None
    client_msg_id: str | None = None
    app_id: str | None = None
    slackbot_for: str | None = None
    """The bot_id of the app whose message Slackbot posted."""
    username: str | None = None
    """The name that an old-style integration gave itself."""
    files: tuple[Json, ...] = ()
    attachments: tuple[Json, ...] = ()
    metadata: Json | None = None
    edited_ts: str | None = None
    title: str | None = None
    ephemeral_to: str | None = None
    sent_blocks: tuple[Json, ...] = ()
    """The blocks as the app sent them; empty for text alone. Only tests and benchmarks see them."""
    reactions: tuple[tuple[str, tuple[str, ...]], ...] = ()
    """Pairs of a reaction's name and the users who added it."""
    streaming_state: Literal["in_progress", "completed"] | None = None
    """Whether a native stream is still growing; None for other messages."""
    stream_recipient: str | None = None
    """The only person in a channel who sees a native stream grow. Everybody sees it once it stops."""
    session: Session | None = None

    @property
    def root_ts(self) -> str:
        return self.thread_ts or self.ts

    @property
    def only_for(self) -> str | None:
        """The only person who can see the message now, or None if all members of the channel can."""
        return self.stream_recipient if self.streaming_state == "in_progress" else self.ephemeral_to


@dataclass(frozen=True, slots=True)
class Task:
    id: str
    title: str
    status: str
    details: str = ""
    output: str = ""
    sources: tuple[Json, ...] = ()


@dataclass(frozen=True, slots=True)
class Stream:
    started_s: float
    display_mode: str = "timeline"
    """`timeline` shows a card for each task where it first occurred, and `plan` shows all tasks in one block."""
    mode: Literal["text", "chunks"] | None = None
    """The type of its content, set by the first call with content."""
    parts: tuple[str | Task | tuple[Json, ...], ...] = ()
    """Its content in order: Markdown, tasks as they were first sent, and blocks."""
    tasks: Mapping[str, Task] = field(default_factory=dict)
    plan_title: str = ""

    @property
    def text(self) -> str:
        return "".join(part for part in self.parts if isinstance(part, str))


@dataclass(frozen=True, slots=True)
class Posted:
    message: Message


@dataclass(frozen=True, slots=True)
class Changed:
    """A changed message. Only `announced` changes become message_changed; reactions and stream appends don't."""

    message: Message
    previous: Message
    announced: bool = True


@dataclass(frozen=True, slots=True)
class Deleted:
    message: Message


@dataclass(frozen=True, slots=True)
class TombstoneRemoved:
    """The tombstone of a deleted root, removed together with the last reply."""

    message: Message


@dataclass(frozen=True, slots=True)
class StatusSet:
    channel: str
    thread_ts: str
    text: str
    loading: tuple[str, ...] = ()
    """Messages that Slack shows in turn while the status lasts."""


@dataclass(frozen=True, slots=True)
class Reacted:
    message: Message
    name: str
    user_id: str
    added: bool


@dataclass(frozen=True, slots=True)
class Joined:
    channel: str
    user_id: str
    inviter_id: str = ""


Change = Joined | Posted | Changed | Deleted | TombstoneRemoved | StatusSet | Reacted


@dataclass(frozen=True, slots=True)
class Revision:
    """A version of a message that readers saw from `at_s` on, in monotonic seconds."""

    at_s: float
    text: str
    blocks: tuple[Json, ...]
    sent_blocks: tuple[Json, ...]


@dataclass(frozen=True, slots=True)
class Notification:
    channel: str
    ts: str
    control: str


class Log:
    is_long = False
    """Whether messages are read on demand, so that the page loads them in pages."""

    def __init__(self) -> None:
        self._messages: dict[str, Message] = {}
        self._replies: dict[str, list[str]] = defaultdict(list)

    def get(self, ts: str) -> Message | None:
        return self._messages.get(ts)

    def has(self, ts: str) -> bool:
        return ts in self._messages

    def put(self, message: Message) -> None:
        if message.ts not in self._messages and message.thread_ts is not None:
            self._replies[message.thread_ts].append(message.ts)
        self._messages[message.ts] = message

    def drop(self, ts: str) -> None:
        message = self._messages.pop(ts)
        if message.thread_ts is not None:
            self._replies[message.thread_ts].remove(ts)

    def all(self) -> Iterator[Message]:
        """Yields all messages including replies, oldest first."""
        return self.posted()

    def posted(self) -> Iterator[Message]:
        """Yields the messages that were posted or changed since the start."""
        return iter(self._messages.values())

    def in_channel(self) -> Sequence[str]:
        """Returns the ts of the messages in the channel itself, not only in a thread; oldest first."""
        return [ts for ts, message in self._messages.items() if is_in_channel(message)]

    def replies(self, root_ts: str) -> Sequence[str]:
        return self._replies.get(root_ts, ())


def is_in_channel(message: Message) -> bool:
    """Returns whether a message is shown in its channel: a root, or a reply that was also sent there."""
    return message.thread_ts is None or message.subtype == "thread_broadcast"


class _Names(Mapping[str, str]):
    def __init__(self, users: Mapping[str, User], channels: Mapping[str, Channel]) -> None:
        self._users, self._channels = users, channels

    def __getitem__(self, key: str) -> str:
        return self._users[key].real_name if key in self._users else self._channels[key].name

    def __iter__(self) -> Iterator[str]:
        return iter((*self._users, *self._channels))

    def __len__(self) -> int:
        return len(self._users) + len(self._channels)


@dataclass
class Workspace:
    """The workspace's state. Methods don't block. Listeners are called in the order of the changes."""

    bot: User
    monotonic: Callable[[], float] = time.monotonic
    keep_revisions: bool = True
    name: str = "Sandbox"
    declared_metadata: AbstractSet[str] = frozenset()
    users: dict[str, User] = field(default_factory=dict)
    channels: dict[str, Channel] = field(default_factory=dict)
    user_groups: dict[str, list[str]] = field(default_factory=dict)
    ephemerals: deque[Message] = field(default_factory=lambda: deque(maxlen=100))
    pins: dict[tuple[str, str], tuple[int, str]] = field(default_factory=dict)
    """When each message was pinned (in seconds since the epoch) and by which user, by channel and ts. The oldest pin
    comes first."""
    notified: list[Notification] = field(default_factory=list)
    listeners: list[Callable[[Change], None]] = field(default_factory=list)
    _logs: dict[str, Log] = field(default_factory=lambda: defaultdict(Log))
    _revisions: dict[tuple[str, str], deque[Revision]] = field(default_factory=dict)
    _status: dict[tuple[str, str], tuple[StatusSet, float]] = field(default_factory=dict)
    """The status and its expiry in monotonic seconds, by channel and thread."""
    _deleted: deque[Message] = field(default_factory=lambda: deque(maxlen=100))
    """Recently deleted messages. A person might still see one and press its buttons."""
    _last_ts_us: int = 0

    def __post_init__(self) -> None:
        self.users[self.bot.id] = self.bot

    def user(self, name_or_id: str) -> User:
        """Returns a user by name or ID. Raises SlackError("user_not_found")."""
        user = self.users.get(name_or_id) or next((u for u in self.users.values() if u.name == name_or_id), None)
        if user is None:
            raise SlackError("user_not_found")
        return user

    def channel(self, name_or_id: str) -> Channel:
        """Returns a channel by name or ID. Raises SlackError("channel_not_found")."""
        name = name_or_id.removeprefix("#")
        channel = self.channels.get(name_or_id) or next((c for c in self.channels.values() if c.name == name), None)
        if channel is None:
            raise SlackError("channel_not_found")
        return channel

    def dm(self, name_or_id: str) -> Channel:
        """Returns a person's direct message with the bot. Raises SlackError: user_not_found, cannot_dm_bot."""
        person = self.user(name_or_id)
        dm = next((c for c in self.channels.values() if c.user_id == person.id), None)
        if dm is None:
            raise SlackError("cannot_dm_bot")
        return dm

    def join(self, channel: str, user: str, inviter: str = "") -> None:
        """Adds a user to a channel; `inviter` is "" if nobody invited them. Raises SlackError."""
        members = self.channel(channel).members
        if (user_id := self.user(user).id) not in members:
            members.append(user_id)
            self._notify(Joined(self.channel(channel).id, user_id, self.user(inviter).id if inviter else ""))

    def leave(self, channel: str, user: str) -> None:
        self.channel(channel).members.remove(self.user(user).id)

    def set_time(self, now_s: float) -> None:
        """Gives later messages a later ts, in seconds since 1970, for tests that depend on the time."""
        self._last_ts_us = max(self._last_ts_us, int(now_s * 1_000_000))

    def next_ts(self) -> str:
        self._last_ts_us = max(self._last_ts_us + 1, time.time_ns() // 1000)
        return f"{self._last_ts_us // 1_000_000}.{self._last_ts_us % 1_000_000:06d}"

    def message(self, channel: str, ts: str) -> Message:
        message = self._logs[channel].get(ts)
        if message is None:
            raise SlackError("message_not_found")
        return message

    def message_or_ephemeral(self, channel: str, ts: str) -> Message:
        """Returns a message, including ephemeral ones. Raises SlackError("message_not_found")."""
        return _find(self.ephemerals, channel, ts) or self.message(channel, ts)

    def message_or_deleted(self, channel: str, ts: str) -> Message:
        """Returns a message, including ephemeral and recently deleted ones. Raises SlackError("message_not_found")."""
        return _find(self._deleted, channel, ts) or self.message_or_ephemeral(channel, ts)

    def add_log(self, channel: str, log: Log) -> None:
        """Sets the log that stores a channel's messages. Listeners aren't notified of messages that the log already
        contains."""
        self._logs[channel] = log

    def pin(self, channel: str, ts: str, user_id: str) -> None:
        """Pins a message. Raises SlackError: message_not_found, already_pinned."""
        self.message(channel, ts)
        if (channel, ts) in self.pins:
            raise SlackError("already_pinned")
        self.pins[channel, ts] = int(float(self.next_ts())), user_id

    def log(self, channel: str) -> Log:
        return self._logs[channel]

    def messages(self, channel: str) -> Iterator[Message]:
        return self._logs[channel].all()

    def replies(self, channel: str, root_ts: str) -> list[Message]:
        return [self.message(channel, ts) for ts in self._logs[channel].replies(root_ts)]

    def revisions(self, channel: str, ts: str) -> list[Revision]:
        return list(self._revisions.get((channel, ts), ()))

    def post(self, message: Message) -> Message:
        """Adds a message and returns it. A message of the bot ends the thread's status."""
        if message.ephemeral_to is not None:
            self.ephemerals.append(message)
        else:
            self._logs[message.channel].put(message)
        self._record(message)
        if message.user_id == self.bot.id:
            self.set_status(message.channel, message.root_ts, "")
        self._notify(Posted(message))
        return message

    def change(self, message: Message, *, announced: bool = True) -> Message:
        """Replaces the message that has the same ts. Raises SlackError("message_not_found")."""
        previous = self.message_or_ephemeral(message.channel, message.ts)
        if message.ephemeral_to is not None:
            self.ephemerals[self.ephemerals.index(previous)] = message
        else:
            self._logs[message.channel].put(message)
        if (message.text, message.blocks) != (previous.text, previous.blocks):
            self._record(message)
        self._notify(Changed(message, previous, announced))
        return message

    def delete(self, message: Message) -> None:
        """Deletes a message. A root with replies becomes a tombstone, as in Slack."""
        self._deleted.append(message)
        self.pins.pop((message.channel, message.ts), None)
        if message.ephemeral_to is not None:
            self.ephemerals.remove(message)
            self._notify(Deleted(message))
            return
        log = self._logs[message.channel]
        if log.replies(message.ts):
            tombstone = Message(message.channel, message.ts, SLACKBOT, "This message was deleted.", subtype="tombstone")
            self.change(tombstone)
            return
        root = None if message.thread_ts is None else self.message(message.channel, message.thread_ts)
        log.drop(message.ts)
        self._notify(Deleted(message))
        if root is not None and root.subtype == "tombstone" and not log.replies(root.ts):
            log.drop(root.ts)
            self._notify(TombstoneRemoved(root))

    def react(self, message: Message, name: str, user_id: str, *, add: bool) -> None:
        """Adds or removes a reaction, under its canonical name. Raises SlackError: already_reacted, no_reaction."""
        plain, tone, number = name.partition("::")
        name = f"{ALIASES.get(plain, plain)}{tone}{number}"
        reactions = dict(message.reactions)
        users = reactions.get(name, ())
        if (user_id in users) == add:
            raise SlackError("already_reacted" if add else "no_reaction")
        reactions[name] = (*users, user_id) if add else tuple(u for u in users if u != user_id)
        remaining = tuple((n, user_ids) for n, user_ids in reactions.items() if user_ids)
        self.change(replace(message, reactions=remaining), announced=False)
        self._notify(Reacted(message, name, user_id, add))

    def set_status(self, channel: str, thread_ts: str, text: str, loading: tuple[str, ...] = ()) -> None:
        status = StatusSet(channel, thread_ts, text, loading)
        before = self._live_status(channel, thread_ts)
        self._status.pop((channel, thread_ts), None)
        if text:
            self._status[channel, thread_ts] = status, self.monotonic() + STATUS_LIFE_S
        if status != before:
            self._notify(status)

    def status(self, channel: str, thread_ts: str) -> str | None:
        return self._live_status(channel, thread_ts).text or None

    def loading_messages(self, channel: str, thread_ts: str) -> tuple[str, ...]:
        return self._live_status(channel, thread_ts).loading

    def _live_status(self, channel: str, thread_ts: str) -> StatusSet:
        none = StatusSet(channel, thread_ts, "")
        status, until_s = self._status.get((channel, thread_ts), (none, 0.0))
        return status if self.monotonic() < until_s else none

    def expire_statuses(self) -> None:
        expired = [key for key, (_, until_s) in self._status.items() if self.monotonic() >= until_s]
        for channel, thread_ts in expired:
            del self._status[channel, thread_ts]
            self._notify(StatusSet(channel, thread_ts, ""))

    def names(self) -> Mapping[str, str]:
        return _Names(self.users, self.channels)

    def _record(self, message: Message) -> None:
        if self.keep_revisions:
            history = self._revisions.setdefault((message.channel, message.ts), deque(maxlen=_KEPT_REVISIONS))
            history.append(Revision(self.monotonic(), message.text, message.blocks, message.sent_blocks))
            if len(self._revisions) > _KEPT_HISTORIES:
                del self._revisions[next(iter(self._revisions))]
        if message.user_id == self.bot.id:
            # For text alone, the stored blocks repeat the text.
            controls = live_controls(message.text, message.blocks if message.sent_blocks else ())
            self.notified.extend(Notification(message.channel, message.ts, control) for control in controls)

    def _notify(self, change: Change) -> None:
        for listener in self.listeners:
            listener(change)


def _find(messages: Iterable[Message], channel: str, ts: str) -> Message | None:
    return next((message for message in messages if (message.channel, message.ts) == (channel, ts)), None)
