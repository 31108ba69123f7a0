"""Stores and workspaces of which a test replaces some parts."""

import asyncio
import copy
from collections.abc import Callable
from typing import Any, TypeVar

import pytest

from bot.core.job import Job, Lease
from bot.core.surfaces import Sign
from bot.core.triage import Identity
from bot.reply.answer import Answer
from bot.reply.scheduler import ScheduledReply
from bot.reply.workspace import Workspace
from bot.store import Stores
from bot.telemetry import OFF
from tests.clocks import WITHIN_S

T = TypeVar("T", Stores, Workspace)

ME = Identity("T1", "UBOT", "BBOT", "typist")


def having(owner: T, **parts: Any) -> T:
    """Returns stores or a workspace with other parts; everything else stays shared."""
    changed = copy.copy(owner)
    vars(changed).update(parts)
    return changed


def workspace_of(**parts: Any) -> Workspace:
    """Returns a workspace that has these parts, and no other part that calls Slack."""
    alone = {"me": ME, "lease": Lease(), "telemetry": OFF, "token_refused": lambda: False}
    return having(object.__new__(Workspace), **alone | parts)


def stores_of(**parts: Any) -> Stores:
    """Returns stores that have these parts only."""
    return having(object.__new__(Stores), **parts)


async def until(condition: Callable[[], bool], what: str) -> None:
    try:
        async with asyncio.timeout(WITHIN_S):
            while not condition():  # noqa: ASYNC110
                await asyncio.sleep(0.002)
    except TimeoutError:
        pytest.fail(f"waited {WITHIN_S:.0f} s until {what}")


class NoReplies:
    """The scheduler of a workspace in which nothing is answered. It keeps the ids of abandoned replies."""

    def __init__(self) -> None:
        self.abandoned: list[int] = []

    async def open(
        self, answer: Answer, *, sign: Sign = Sign.NONE, has_stop: bool = False, until: float = 0.0
    ) -> ScheduledReply:
        raise AssertionError("nothing is answered")

    def allow_stream(self, job: Job) -> None:
        raise AssertionError(f"job {job.id} has no reply")

    async def post_placeholder(self, job: Job, until: float) -> None:
        raise AssertionError(f"job {job.id} is not queued")

    def abandon(self, job_id: int) -> None:
        self.abandoned.append(job_id)
