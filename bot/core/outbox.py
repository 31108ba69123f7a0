"""The outbox: calls to Slack beside a reply's own, each made at least once by any process.

Most of them remain after a job has ended, and wait for that. Those in ABOUT_APPROVALS are for a job that waits for a
person, and CLEAR_ASK for one that no longer does. POST_QUESTION is for a job that has no message yet.
"""

from dataclasses import dataclass
from enum import StrEnum

from bot.core.conversation import Question
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
    """The kinds of calls that remain."""

    CLEAR_PLACEHOLDER = "clear_placeholder"
    """Delete the placeholder of a job that ended in the queue."""
    DELETE_REPLY = "delete_reply"
    """A person deleted the answer: delete the reply with its files."""
    RETRACT_REPLY = "retract_reply"
    """A person deleted the question: delete the reply, unless a person wrote after it."""
    SHOW_VERSION = "show_version"
    """The record of an ended answer has changed: show what follows from it."""
    SHOW_END = "show_end"
    """Slack did not accept the end of an answer, or the deletion of messages beside it: show it in the reply alone."""
    MENTION_ASKERS = "mention_askers"
    """An answer took long: mention its asker once."""
    ASK_APPROVAL = "ask_approval"
    """A call has waited for an approval for some time: mention the asker once, while it still waits."""
    CLEAR_ASK = "clear_ask"
    """A mention is no longer true, because its approval or its answer is over: delete it."""
    SHOW_DECISION = "show_decision"
    """A person decided about one of several calls: show that in the reply, which still asks about the others."""
    CLOSE_CHOICES = "close_choices"
    """As SHOW_VERSION, by a process of the version before."""
    MAKE_CANVAS = "make_canvas"
    """A person wants the answer as a canvas: make it, and show its link."""
    POST_QUESTION = "post_question"
    """A question by the message shortcut, an emoji, a choice, a suggested prompt or a schedule: post it."""
    TELL_ADMINS = "tell_admins"
    """The job's usage has passed a mark of a cap: tell the Typist admins once."""
    TELL_PAUSE = "tell_pause"
    """The job is a run that was skipped, or whose end has paused its schedule: tell the people there once."""
    TELL_SIGNED_OUT = "tell_signed_out"
    """The job found that a server didn't renew its asker's sign-in: tell them once."""
    TELL_UNPOSTED = "tell_unposted"
    """Slack let nothing of the answer be posted where it was asked for: tell the asker in their direct message."""


ABOUT_APPROVALS = (OutboxKind.ASK_APPROVAL, OutboxKind.SHOW_DECISION)
"""Due only while the job waits."""
ABOUT_NO_REPLY = (
    OutboxKind.TELL_ADMINS,
    OutboxKind.TELL_PAUSE,
    OutboxKind.TELL_SIGNED_OUT,
    OutboxKind.POST_QUESTION,
)
"""Due at any time, also while the job is live or has no message yet."""
EDITS_END = (OutboxKind.SHOW_END, OutboxKind.CLOSE_CHOICES, OutboxKind.SHOW_VERSION)
"""About the end of one version of an answer."""
EDITS_REPLY = (*EDITS_END, OutboxKind.SHOW_DECISION)
"""While a process holds such an entry, nobody claims its job."""


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
    waits_until: float | None = None
    """Until when the job waits for an approval, which tells its approvals apart; None if it waits for none."""
    ask_ts: str | None = None
    """The message that asks for an approval and isn't deleted yet."""
    mention_ts: str | None = None
    """The message that mentioned the asker because the answer is ready."""
    about: str = ""
    """The CapNotice that admins are told, the server of a sign-in, or the person who wants a canvas."""
