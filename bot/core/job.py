"""A job's life as plain data: taken on, claimed, worked on, ended; and the calls to Slack that all processes share."""

from dataclasses import dataclass, field
from enum import StrEnum

from bot.core.stream import Usage


class Status(StrEnum):
    """Where a job is in its life."""

    TODO = "todo"
    DOING = "doing"
    DONE = "done"
    FAILED = "failed"
    STOPPED = "stopped"
    REFUSED = "refused"
    """Its asker may not ask."""


@dataclass(frozen=True, slots=True)
class Enqueued:
    """A question was taken on."""

    job_id: int
    waiting: bool
    """Another job of its thread is before it, or there was no room."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a job ended; status is none of todo and doing."""

    status: Status
    answer: str
    """The model's Markdown as far as it came; empty where no model was asked."""
    model: str | None = None
    finish_reason: str | None = None
    """A FinishReason, or the Failure's name."""
    usage: Usage | None = None
    """As the vendor reported it, else by estimate; None where no model was asked."""
    first_token_s: float | None = None
    prompt_version: str | None = None
    """Of the system prompt that the model had (core/inbound/channel_settings.py)."""


@dataclass(frozen=True, slots=True)
class Closing:
    """How an answer ends: what its readers are told, and what is kept beside its text."""

    status: Status
    end: str
    """An End (core/reply/state.py)."""
    notice: str = ""
    footer: str = ""
    model: str | None = None
    finish_reason: str | None = None
    first_token_s: float | None = None
    prompt_version: str | None = None


@dataclass(frozen=True, slots=True)
class Piece:
    """What is to go on record of an answer under way."""

    start: int
    """In characters of the answer; what was on record from here on is replaced."""
    text: str = field(repr=False)
    closing: Closing | None = None
    """With the last piece."""

    @property
    def end(self) -> int:
        """How much of the answer is on record then."""
        return self.start + len(self.text)


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """What is on record of an answer that was broken off."""

    text: str = field(default="", repr=False)
    closing: Closing | None = None
    """The text is complete, and only the end's record is missing."""


@dataclass(frozen=True, slots=True)
class Spent:
    """Tokens that an attempt used so far, by estimate: what counts if it breaks off."""

    input_tokens: int = 0
    output_tokens: int = 0
    model: str | None = None


@dataclass(frozen=True, slots=True)
class Pulse:
    """What a heartbeat brings back."""

    ours: frozenset[int] = frozenset()
    """Ids of the jobs that are still ours."""
    to_stop: frozenset[int] = frozenset()
    """Ids of those among them that somebody asked to stop."""
    to_restart: frozenset[int] = frozenset()
    """Ids of those among them whose question was edited since they were claimed."""


@dataclass(frozen=True, slots=True)
class Others:
    """What the other processes do in our workspace; ages are in seconds."""

    call_ages_s: tuple[float, ...] = ()
    """Of their calls of one method in the last minute."""
    live_ages_s: tuple[float, ...] = ()
    """Of their live replies."""


@dataclass(frozen=True, slots=True)
class Reservation:
    """Whether one more call of a method fits into the minute that all processes share."""

    granted: bool
    others: Others
