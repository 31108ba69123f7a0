"""The calls that models ask for, on record before they are made. Every method raises StoreError."""

from collections.abc import Mapping
from typing import Protocol

from bot.core.conversation import FollowUp, Job, ThreadKey
from bot.core.job import Outcome, Piece
from bot.core.tool_steps import Decision, Round, ToolStep


class ToolSteps(Protocol):
    """Records an attempt's steps. A worker that lost the job, or whose version is outdated, writes nothing."""

    async def record(self, job: Job, step: Round, outcome: Outcome, piece: Piece | None) -> bool:
        """Records a step before any of its calls is made, with its usage and the answer's text up to its end.

        Returns False if the job is lost or outdated.
        """
        ...

    async def begin(self, job: Job, step: ToolStep) -> bool:
        """Records that a READY call is about to be made; returns False if it must not be.

        A BEGUN call may begin again if its tool is declared read-only. Nothing begins once a stop is requested.
        """
        ...

    async def end(self, job: Job, step: ToolStep) -> bool:
        """Records a call's end, with its state and result; returns False if it is over, or the job is lost."""
        ...

    async def steps(self, job: Job, step_no: int) -> tuple[ToolStep, ...]:
        """Returns the calls of a step as they are now."""
        ...

    async def take_follow_ups(self, job: Job, step_no: int) -> tuple[FollowUp, ...]:
        """Takes along what the job's asker has asked in its thread meanwhile; the step with this number reads it.

        Questions are taken in their order, up to the first that is somebody else's, has files, or was begun.
        """
        ...

    async def wait(self, job: Job, piece: Piece | None, mention_at: float | None) -> bool:
        """Gives the job up until its ASKED calls are decided, with the last piece of its text.

        The outbox mentions the asker at `mention_at` if the job still waits then; None: never. Returns False, and
        changes nothing, if none is left to decide, or if the job is lost, stopped or outdated.
        """
        ...

    async def made_before(self, job: Job) -> tuple[ToolStep, ...]:
        """Returns the calls of earlier versions that may have changed something."""
        ...

    async def always_allowed(self, thread: ThreadKey) -> Mapping[str, str]:
        """Returns the tools that an admin always allows in a thread's channel, with the definitions' hashes."""
        ...


class Approvals(Protocol):
    """Decides about calls on behalf of people."""

    async def shown(self, job_id: int) -> tuple[ToolStep, ...]:
        """Returns all calls of the newest version of a job's answer, in their order."""
        ...

    async def decide(self, job_id: int, version: int, step: ToolStep, decision: Decision, user_id: str) -> bool:
        """Records a decision, which works once; returns False if the call waits no longer, or is another one now."""
        ...

    async def allow_always(self, thread: ThreadKey, step: ToolStep, user_id: str) -> None:
        """Records that a tool, as it is defined now, needs no approval in a thread's channel."""
        ...

    async def expire(self) -> int:
        """Denies the calls that nobody decided about in time; returns how many jobs go on now."""
        ...
