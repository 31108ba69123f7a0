"""Questions that nobody heard are answered once, whenever the process that catches up is killed."""

import asyncio
import signal
from collections.abc import AsyncIterator
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest
import sqlalchemy as sa

from bot.settings import Settings
from bot.store.database import create_engine
from bot.store.schema import jobs, listening
from slack_sandbox.server import Sandbox
from slack_sandbox.testing.processes import WITHIN_S
from tests.forked import forked_bot
from tests.scenarios.conftest import Stage, connected, manifest, running
from tests.scenarios.process_ends import Step, die_at
from tests.scenarios.recorded_turns import recorded
from tests.streams.server import VendorServer

STEPS: list[Step] = [
    ("bot.store.listening", "Listening", "claim_gap", True),
    ("bot.services.intake", "Intake", "enqueue", False),
    ("bot.services.intake", "Intake", "enqueue", True),
    ("bot.store.listening", "Listening", "record_progress", False),
    ("bot.store.listening", "Listening", "record_progress", True),
    ("bot.store.listening", "Listening", "end_catch_up", False),
]
"""Where the process is killed: module, class, method, and whether after the method has returned."""


@pytest.fixture
async def sandbox() -> AsyncIterator[Sandbox]:
    async with Sandbox(manifest=manifest()) as sandbox:
        yield sandbox


@pytest.fixture(autouse=True)
def with_short_holds(monkeypatch: pytest.MonkeyPatch) -> None:
    """Lets the next process go on at once."""
    monkeypatch.setattr("bot.store.listening.HOLD_S", 0.5)
    monkeypatch.setattr("bot.services.catching_up.LOOK_S", 0.5)
    monkeypatch.setattr("bot.store.workers.LOCK_GRACE_S", 0.1)


async def ten_minutes_pass(url: str) -> None:
    """Has the database say that the last event was heard ten minutes earlier."""
    engine = create_engine(url)
    async with engine.begin() as connection:
        await connection.execute(sa.update(listening).values(heard_at=listening.c.heard_at - 600))
    await engine.dispose()


@pytest.mark.parametrize("step", STEPS, ids=lambda step: f"{'after' if step[3] else 'before'} {step[2]}")
@pytest.mark.long(after_row=2)
async def test_each_question_is_answered_once(
    sandbox: Sandbox, vendor: VendorServer, settings: Settings, database_url: str, tmp_path: Path, step: Step
) -> None:
    durable, stage = replace(settings, database_url=database_url, done_mention_s=0), Stage(sandbox, vendor)
    async with running(durable):
        await recorded(durable, sa.select(listening), bool)
    sandbox.faults.start("silent")
    await ten_minutes_pass(database_url)
    mention = await stage.mention()
    directs = [sandbox.dm(user) for user in ("ada", "grace")]
    asked = [mention, *[await sandbox.say(channel.removeprefix("D0").lower(), channel, "why?") for channel in directs]]
    env = {**connected(sandbox, vendor), "DATABASE_URL": database_url, "BOT_DONE_PING_S": "0"}
    async with forked_bot(tmp_path, "run", env=env, before=partial(die_at, step)) as process:
        assert await asyncio.wait_for(process.wait(), WITHIN_S) == -signal.SIGKILL
    async with running(durable):
        assert await stage.answers("general", mention) == ["The whole answer."]
        for channel in directs:
            assert await stage.answers(channel, None) == ["The whole answer."]
        await recorded(durable, sa.select(listening).where(listening.c.missed_from.is_(None)), bool)
    assert sorted(row.ts for row in await recorded(durable, sa.select(jobs.c.ts), bool)) == sorted(asked)
