"""Questions about a message, which people ask in a modal."""

from dataclasses import dataclass, field

ASK_S = 30.0
"""For so long one process alone sees to a question about a message."""


@dataclass(frozen=True, slots=True)
class AskAbout:
    """The message that is asked about, and where it is asked and told."""

    channel_id: str
    ts: str
    thread_ts: str
    """Of the thread that it is in, or that it would begin."""
    quote: str
    """Its beginning, without markup: Slack keeps 3,000 characters with a modal."""
    response_url: str


@dataclass(frozen=True, slots=True)
class Ask:
    """A submitted question about a message, in the hands of one process until `due_at`."""

    team_id: str
    view_id: str
    user_id: str
    about: AskAbout = field(repr=False)
    text: str = field(repr=False)
    created_at: float
    due_at: float
    """When another process may go on with it, in seconds since the epoch."""
    tries: int
    """How often a process took it, this time included."""
    elsewhere: bool
    """An earlier try began to post it in the asker's direct message."""
    posted: tuple[str, str] | None
    """The channel and ts of its message, where Slack's event told them."""
    done: bool
    """It is a job: there is nothing left to do."""
