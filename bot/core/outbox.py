"""The outbox: pending updates to Slack, made at least once by any process.

REPLY and SIDE_MESSAGES entries only report that a question's record has changed: REPLY concerns the reply's messages,
and SIDE_MESSAGES the messages that mention the asker. The process that claims an entry reads the record and updates
Slack to match it (QuestionRecord, core/picture.py). Therefore, the update doesn't depend on what changed, on how often
it changed, or on earlier tries. An entry of another kind is a single call.
"""

from dataclasses import dataclass
from enum import Enum, StrEnum, auto

from bot.core.conversation import Question
from bot.core.job import MessageRole, RecordedMessage, Status, ts_of
from bot.errors import Backoff

OUTBOX_HOLD_S = 30.0
"""The time for which a claimed entry is reserved. After that, any process can claim the entry again."""
TRY_TIMEOUT_S = OUTBOX_HOLD_S - 5.0
"""Maximum duration of a try, which ends before another process can claim the entry."""
BACKOFF = Backoff(OUTBOX_HOLD_S, 3_600.0)
MAX_TRIES = 30
"""Maximum number of tries, which take about a day. After that, the entry is tried only if its job needs it again, or if
`wake` (bot/store/outbox.py) is called because Slack might accept the call now."""
WOKEN_TRIES = MAX_TRIES - 5
"""The number to which a woken entry's count of tries is lowered. If it were 0, the next try wouldn't look for an
earlier post."""
MAX_RATE_LIMITED_TRIES = 10
"""Maximum number of rate-limited tries that are repeated after only a minute, by which time calls are available
again."""


def wait_s(tries: int, *, was_rate_limited: bool = False) -> float:
    """Returns the delay after failed tries. `was_rate_limited`: Slack's rate limits prevented the last try."""
    return BACKOFF.wait_s(2 if was_rate_limited and tries <= MAX_RATE_LIMITED_TRIES else tries + 1)


TIDY_AFTER_S = 5.0


class OutboxKind(StrEnum):
    REPLY = "reply"
    TIDY = "tidy"
    """Move an earlier answer's buttons into a menu, once there are edits to spare."""
    SIDE_MESSAGES = "beside"
    """Mention the asker because a call or a late answer is waiting, or remove an outdated mention."""
    MAKE_CANVAS = "make_canvas"
    SHARE_TABLES = "share_tables"
    SEND_TO_CHANNEL = "send_to_channel"
    POST_QUESTION = "post_question"
    """Post a question from the message shortcut, an emoji, a choice, a suggested prompt or a schedule."""
    RESTATE_RUN = "restate_run"
    """Show in a run's post who stopped its schedule, or that nobody has."""


REPLY_EDIT_KINDS = OutboxKind.REPLY, OutboxKind.TIDY
"""Kinds of entries that edit a reply's messages. Only one process at a time handles them for a reply."""
COPY_ROLES = {
    OutboxKind.MAKE_CANVAS: MessageRole.LINK,
    OutboxKind.SHARE_TABLES: MessageRole.TABLES,
    OutboxKind.SEND_TO_CHANNEL: MessageRole.CHANNEL_COPY,
}
"""Roles of messages that are copies of answers, keyed by the kind of entry that creates the copy."""


class ReplyTarget(Enum):
    """The target state of a reply's messages, computed from the record."""

    NOTHING = auto()
    """The answer was deleted, or part of it was posted outside its thread."""
    NO_PLACEHOLDER = auto()
    UNLESS_FOLLOWED = auto()
    """The question was deleted. The answer stays only if a person has written after it."""
    ASKS = auto()
    END = auto()


@dataclass(frozen=True, slots=True)
class QuestionRecord:
    """The part of a question's record that determines its reply and separate messages."""

    status: Status
    attempts: int
    version: int
    messages: tuple[RecordedMessage, ...]
    side_messages: tuple[RecordedMessage, ...]
    answer_deleted: bool
    is_asked: bool
    """Whether at least one of the answer's questions still exists."""
    is_shown: bool
    mention_due_at: float | None
    can_mention: bool

    @property
    def target(self) -> ReplyTarget:
        if self.answer_deleted or ts_of(self.messages, MessageRole.STRAY):
            return ReplyTarget.NOTHING
        if self.is_waiting:
            return ReplyTarget.ASKS
        if self.attempts == 0:
            return ReplyTarget.NO_PLACEHOLDER
        return ReplyTarget.END if self.is_asked else ReplyTarget.UNLESS_FOLLOWED

    @property
    def outdated_messages(self) -> tuple[RecordedMessage, ...]:
        return tuple(message for message in self.side_messages if not self._is_mention_current(message))

    def _is_mention_current(self, message: RecordedMessage) -> bool:
        match message.role:
            case MessageRole.MENTION:
                return self.is_asked and not self.answer_deleted and message.version == self.version
            case MessageRole.ASK:
                return self.is_waiting and self.mention_due_at is None
        return not self.answer_deleted

    @property
    def is_waiting(self) -> bool:
        return self.status is Status.AWAITING_APPROVAL

    @property
    def should_mention(self) -> bool:
        """Whether to mention the asker now. If the answer has ended, Slack must show its end first."""
        if self.mention_due_at is None:
            return False
        return (
            self.can_mention
            if self.is_waiting
            else self.status is Status.ENDED and self.is_shown and not self.outdated_messages
        )

    def side_messages_due_at(self, now: float) -> float | None:
        """Returns the time at which a separate message has to be sent or removed, or None. If the record changes before
        then, the time changes too."""
        if self.outdated_messages or self.should_mention:
            return now
        due_at = self.mention_due_at if self.is_waiting else None
        return None if due_at is None else min(due_at, now + BACKOFF.max_s)


@dataclass(frozen=True, slots=True)
class OutboxEntry:
    id: int
    kind: OutboxKind
    due_at: float
    """The time after which another process can claim the entry. Each claim changes it, so that writes by earlier
    claimants fail."""
    tries: int
    job_id: int
    version: int
    question: Question
    page_ts: tuple[str, ...]
    target: ReplyTarget = ReplyTarget.END
    waits_until: float | None = None
    """The approval deadline, which tells a job's approvals apart, or None."""
    side_messages: tuple[RecordedMessage, ...] = ()
    """The separate messages. If one has no ts, it might have been posted even though the response was lost."""
    outdated_messages: tuple[RecordedMessage, ...] = ()
    mention_due_at: float | None = None
    """The time at which the mention became due, which tells mentions apart, or None."""
    about: str = ""
    times_added: int = 0
    """The number of times the entry had been added again before the claim. Later additions are still pending."""

    def __str__(self) -> str:
        return f"outbox entry {self.id} ({self.kind})"
