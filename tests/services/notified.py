"""Slack as the sender of notifications sees it, and the outbox that sends what is due."""

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from bot.services.notifications import Notifier, Writer
from bot.services.outbox import Outbox
from bot.slack.blockkit import Json
from bot.store import Stores
from slack_sandbox.testing.processes import WITHIN_S
from tests.services.parts import workspace_of


class _NoRuns:
    def max_runs_to_begin(self) -> int:
        return 0


@dataclass
class Recipients:
    """People and channels, and what they read. Slack raises `problems` one after the other."""

    read: list[tuple[str, str]] = field(default_factory=list)
    problems: list[Exception] = field(default_factory=list)
    loses_responses: bool = False
    """Whether a message arrives although Slack has a problem."""
    still: Callable[[], bool] = bool
    keys: set[tuple[str, str]] = field(default_factory=set)

    async def notify(self, recipient: str, message: Json, key: str, still: Callable[[], bool]) -> None:
        await asyncio.sleep(0)
        problem = self.problems.pop(0) if self.problems else None
        if problem is None or self.loses_responses:
            self.read.append((recipient, message["text"]))
            self.keys.add((recipient, key))
        self.still = still
        if problem:
            raise problem

    async def is_notified(self, recipient: str, message: Json, key: str, since: float) -> bool:
        return (recipient, key) in self.keys

    async def get_due(self, stores: Stores, writers: Mapping[str, Writer] | None = None) -> None:
        unused: Any = None
        runs: Any = _NoRuns()
        workspace = workspace_of(surfaces=self)
        notifier = Notifier(stores, workspace)
        outbox = Outbox(stores, workspace, (), notifier, writers or {}, unused, unused, unused, runs)
        outbox.check_now()
        await outbox.end(WITHIN_S)


async def told_directly(stores: Stores) -> list[tuple[str, str]]:
    """Returns who is to be told what in their direct message."""
    return [(due.recipient, due.content["text"]) for due in await stores.notifications.claim_due(99, ())]
