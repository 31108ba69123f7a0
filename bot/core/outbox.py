"""The outbox: what Slack is still to be told, at least once, by any process.

Two kinds of entries say that the record of a question has changed, and not what to do: REPLY, for the messages of its
reply, and BESIDE, for those that mention the asker. Whoever takes one reads the record, and has Slack show what follows
from it (QuestionRecord, core/picture.py). So it doesn't matter what has changed, how often, and what an earlier try has
done. The other kinds are calls of their own: a canvas, and a question that has no message yet. What people are told
beside answers is no entry about a job, but a notification (core/notifications.py), which is sent with the same waits.
"""

from dataclasses import dataclass
from enum import Enum, StrEnum, auto

from bot.core.conversation import Question
from bot.core.job import MessageRole, RecordedMessage, Status, ts_of
from bot.errors import Backoff

OUTBOX_HOLD_S = 30.0
"""How long a process that takes an entry holds it; then any process may take it again."""
TRY_WITHIN_S = OUTBOX_HOLD_S - 5.0
"""The longest that a try takes: it ends before another process may take the entry."""
BACKOFF = Backoff(OUTBOX_HOLD_S, 3_600.0)
MAX_TRIES = 30
"""With the growing waits between tries, an entry is tried for about a day. Then it is set aside: nobody takes it until
its job says again that it is needed, or `wake` (bot/store/outbox.py) hears that Slack may do the call by now."""
WOKEN_TRIES = MAX_TRIES - 5
"""No more tries count of an entry that is woken, so it has a few left. It isn't taken for new: a try looks for the
message that an earlier one may have posted."""
MAX_IN_VAIN = 10
"""So many tries that got no turn within Slack's rate limits are repeated after a minute, when calls are free again."""


def wait_s(tries: int, *, had_no_turn: bool = False) -> float:
    """Returns how long an entry waits after a failed try, by the number of tries; at least OUTBOX_HOLD_S.

    `had_no_turn`: the try waited for Slack's rate limits until its time was up.
    """
    return BACKOFF.wait_s(2 if had_no_turn and tries <= MAX_IN_VAIN else tries + 1)


class OutboxKind(StrEnum):
    """What an entry is about."""

    REPLY = "reply"
    """The record of a question has changed: its reply is to show what follows."""
    BESIDE = "beside"
    """The asker is to be mentioned, because a call has waited for them for some time or their answer has come late; or
    such a message is no longer true."""
    MAKE_CANVAS = "make_canvas"
    """A person wants the answer as a canvas: make it, and show its link."""
    POST_QUESTION = "post_question"
    """A question by the message shortcut, an emoji, a choice, a suggested prompt or a schedule: post it."""


class Shows(Enum):
    """What follows from the record for the messages of a reply."""

    NOTHING = auto()
    """The answer was deleted, or some of it came to stand outside of its thread."""
    NO_PLACEHOLDER = auto()
    """The job ended in the queue."""
    UNLESS_FOLLOWED = auto()
    """The question was deleted: the answer stays only if a person wrote after it."""
    ASKS = auto()
    """The reply asks about calls."""
    END = auto()
    """The answer has ended."""


@dataclass(frozen=True, slots=True)
class QuestionRecord:
    """The part of a question's record that decides what Slack is to show of it, in its reply and beside it."""

    status: Status
    attempts: int
    version: int
    messages: tuple[RecordedMessage, ...]
    """The messages of its reply."""
    beside: tuple[RecordedMessage, ...]
    """The messages beside its reply."""
    answer_deleted: bool
    is_asked: bool
    """Not all questions that its answer is for were deleted."""
    is_shown: bool
    """Slack shows the reply as it is recorded."""
    mention_at: float | None
    """From when on the asker is to be mentioned; None: not, or no more."""
    may_mention: bool
    """That time has come."""

    @property
    def shows(self) -> Shows:
        """What the reply is to show."""
        if self.answer_deleted or ts_of(self.messages, MessageRole.STRAY):
            return Shows.NOTHING
        if self.waits:
            return Shows.ASKS
        if self.attempts == 0:
            return Shows.NO_PLACEHOLDER
        return Shows.END if self.is_asked else Shows.UNLESS_FOLLOWED

    @property
    def stale(self) -> tuple[RecordedMessage, ...]:
        """The messages beside the reply that aren't true any more."""
        return tuple(message for message in self.beside if not self._is_true(message))

    def _is_true(self, message: RecordedMessage) -> bool:
        match message.role:
            case MessageRole.MENTION:
                return self.is_asked and not self.answer_deleted and message.version == self.version
            case MessageRole.ASK:
                return self.waits and self.mention_at is None
        return not self.answer_deleted

    @property
    def waits(self) -> bool:
        """Whether the job waits for an approval."""
        return self.status is Status.AWAITING_APPROVAL

    @property
    def mentions(self) -> bool:
        """Whether the asker is to be mentioned now. That the answer is ready is said once Slack shows its end."""
        if self.mention_at is None:
            return False
        return self.may_mention if self.waits else self.status is Status.ENDED and self.is_shown and not self.stale

    @property
    def is_beside_due(self) -> bool:
        """Whether something is to be done beside the reply, or nothing is to come there."""
        return bool(self.stale) or self.mentions or (self.mention_at is None and not self.waits)

    @property
    def is_beside_left(self) -> bool:
        """Whether a message beside the reply is still to come or to go, as one that asks once the job waits no more."""
        asks = any(message.role is MessageRole.ASK for message in self.beside)
        return asks or self.mention_at is not None or bool(self.stale)


@dataclass(frozen=True, slots=True)
class OutboxEntry:
    """An outbox entry, as the process that took it has it."""

    id: int
    kind: OutboxKind
    due_at: float
    """When another process may take it. It also fences: a process that takes the entry later gets another time."""
    tries: int
    """How often it was taken, including this time."""
    job_id: int
    """The job with the answer: in a batch, the newest question's."""
    version: int
    question: Question
    page_ts: tuple[str, ...]
    """The messages of the job's reply."""
    shows: Shows = Shows.END
    """What follows for the reply from the record, as it was when the entry was taken."""
    waits_until: float | None = None
    """Until when the job waits for an approval, which tells its approvals apart; None if it waits for none."""
    beside: tuple[RecordedMessage, ...] = ()
    """The messages beside the reply. One without a ts may have been posted unheard."""
    stale: tuple[RecordedMessage, ...] = ()
    """Those among them that aren't true any more."""
    mention_at: float | None = None
    """Since when the asker is to be mentioned, which tells mentions apart; None if they aren't to be now."""
    about: str = ""
    """The person who wants a canvas."""
    changes: int = 0
    """How often it was added again until it was taken: what comes later is still to be done."""

    def __str__(self) -> str:
        return f"outbox entry {self.id} ({self.kind})"
