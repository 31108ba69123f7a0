"""Small things that are to be done in Slack about an answer that has ended."""

from dataclasses import dataclass
from enum import StrEnum

from bot.core.conversation import Question

ERRAND_S = 30.0
"""Who takes an errand has so long for it."""


class ErrandKind(StrEnum):
    """What is to be done in Slack about a job that has ended."""

    CLEAR = "clear"
    """The message that said that it waits goes away."""
    DELETE = "delete"
    """Somebody deleted it: all of the reply goes."""
    REMOVE = "remove"
    """Its question was deleted: the reply goes, unless a person wrote after it."""
    OFFER = "offer"
    """Its question was edited since: its writer is offered another answer."""
    SHOW = "show"
    """Slack did not take the end of its answer: the reply says it later."""
    PING = "ping"
    """Its askers are told that it is ready."""


@dataclass(frozen=True, slots=True)
class Errand:
    """Something small that is to be done in Slack, at least once, by whatever process."""

    id: int
    kind: ErrandKind
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
