"""Replies in Slack, which grow while a model writes."""

import math
from collections.abc import Iterable
from typing import Protocol

from bot.core.answer import Answer
from bot.core.assistant_pane import Sign
from bot.core.conversation import Job, RecordedMessage
from bot.core.freshness import Freshness
from bot.core.job import End
from bot.core.outbox import OutboxKind
from bot.core.reply.approvals import Ask
from bot.core.reply.messages import Shown
from bot.slack.users import Users


class LiveReply(Protocol):
    """A reply that is being shown."""

    @property
    def shown(self) -> Shown:
        """What an earlier attempt at the job left in Slack."""
        ...

    @property
    def messages(self) -> tuple[RecordedMessage, ...]:
        """The reply's messages, as they go on record."""
        ...

    @property
    def calls(self) -> int:
        """How many calls Slack took to show the reply: posts, edits, and those of streams."""
        ...

    @property
    def freshness(self) -> Freshness:
        """How far what Slack shows is behind what the model has written."""
        ...

    @property
    def gone(self) -> bool:
        """Whether the message was deleted or the channel closed to the bot, so that nobody will read on."""
        ...

    @property
    def unshown(self) -> bool:
        """Whether Slack took none of the reply's calls for minutes, so that no more are made."""
        ...

    @property
    def for_outbox(self) -> OutboxKind | None:
        """What remains for the outbox to do."""
        ...

    def append(self, delta: str) -> None:
        """Adds text of the model, to be shown when the pace allows."""
        ...

    def show_activity(self, activity: str) -> None:
        """Shows what the model is doing, when the pace allows; "" shows that it writes again."""
        ...

    def show_transcripts(self, transcripts: Iterable[str]) -> None:
        """Shows what is said in the question's recordings above the answer, before there is text."""
        ...

    async def ask(self, asks: tuple[Ask, ...]) -> None:
        """Shows calls with buttons to approve or deny them; returns when Slack shows them, or never will."""
        ...

    async def finish(self, end: End) -> None:
        """Ends the text; returns when Slack shows all of it, or never will."""
        ...

    async def leave(self) -> None:
        """Leaves the reply as it is, for another process to continue; returns when no call is under way."""
        ...


class Replies(Protocol):
    """Shows replies, at a pace that all live ones share (slack/replies/scheduler.py). Tests show them in memory."""

    async def open(
        self, answer: Answer, *, sign: Sign = Sign.NONE, has_stop: bool = False, until: float = math.inf
    ) -> LiveReply:
        """Begins a job's reply with a placeholder, or continues what an earlier attempt left.

        The answer records all text that is appended to the reply.

        With a `sign` the thread's status says that the model is thinking. The placeholder waits two minutes for the
        first words if readers see the status for certain, or a few seconds where calls are scarce if they may. With
        `has_stop` Slack shows its own Stop, so the reply has no such button. Nothing is sent later than `until`, by the
        monotonic clock.
        """
        ...

    def allow_stream(self, job: Job) -> None:
        """Lets a native stream carry the open reply to a job."""
        ...

    async def post_placeholder(self, job: Job, until: float) -> None:
        """Posts the placeholder of a queued job; returns once it is on record, or can't be.

        Posts nothing later than `until`, by the monotonic clock: another process may have begun the job by then.
        """
        ...

    def abandon(self, job_id: int) -> None:
        """Sends nothing more for a job, because another process has it now."""
        ...


async def show_end(reply: LiveReply, end: End, users: Users) -> None:
    """Shows the end of an answer, with the names of the people who decided about its calls."""
    names = await users.names(end.deciders) if end.decided else {}
    await reply.finish(end.naming(names))
