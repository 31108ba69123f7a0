"""Small things that are to be done in Slack about an answer that has ended."""

from dataclasses import dataclass
from enum import StrEnum

from bot.core.conversation import Question
from bot.core.job import Piece

OUTBOX_HOLD_S = 30.0
"""Who takes an entry has so long for it."""
LONGEST_WAIT_S = 3_600.0
MOST_TRIES = 30
"""With the growing waits between them these take about a day."""


def wait_s(tries: int) -> float:
    """Returns how long an entry waits that failed for now, after so many tries: longer than it was held."""
    return min(LONGEST_WAIT_S, OUTBOX_HOLD_S * 2.0 ** min(tries, 10))


class OutboxKind(StrEnum):
    """What is to be done in Slack about a job that has ended."""

    CLEAR_PLACEHOLDER = "clear_placeholder"
    """The message that said that it waits goes away."""
    DELETE_REPLY = "delete_reply"
    """Somebody deleted it: all of the reply goes."""
    RETRACT_REPLY = "retract_reply"
    """Its question was deleted: the reply goes, unless a person wrote after it."""
    OFFER_REGENERATE = "offer_regenerate"
    """Its question was edited since: its writer is offered another answer."""
    SHOW_END = "show_end"
    """Slack did not take the end of its answer: the reply says it later."""
    MENTION_ASKERS = "mention_askers"
    """Its askers are told that it is ready."""


@dataclass(frozen=True, slots=True)
class OutboxEntry:
    """Something small that is to be done in Slack, at least once, by whatever process."""

    id: int
    kind: OutboxKind
    due_at: float
    """When it may be taken again, if it is not done until then."""
    tries: int
    """How often it was taken, this time included."""
    job_id: int
    """Of the job that has the answer: a later question's, where they were answered together."""
    version: int
    question: Question
    page_ts: tuple[str, ...]
    """The messages of the job's reply."""
    askers: tuple[str, ...]
    """Whose questions it answers."""


@dataclass(frozen=True, slots=True)
class Leftover:
    """What Slack did not take when a job ended, for the outbox."""

    kind: OutboxKind
    piece: Piece | None = None
    """The last of the answer's text, with how it ends, if that is not on record yet."""
