"""A database is lost and restored from a backup: nothing is answered again, and nothing that was asked is left out."""

from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest
import sqlalchemy as sa

from bot.core import texts
from bot.settings import Settings
from bot.store.schema import jobs, listening
from slack_sandbox.server import Sandbox
from tests.forked import forked_command
from tests.scenarios.conftest import Stage, manifest, running, shown
from tests.scenarios.recorded_turns import recorded
from tests.scenarios.test_catching_up_killed import ten_minutes_pass, with_short_holds
from tests.streams.server import VendorServer

__all__ = ["with_short_holds"]
ANSWER = "The whole answer."
REMEMBERING = f"{ANSWER}\ntest · 1 memory"


@pytest.fixture
async def sandbox() -> AsyncIterator[Sandbox]:
    async with Sandbox(manifest=manifest()) as sandbox:
        yield sandbox


async def test_after_a_restore_each_question_has_one_answer(
    sandbox: Sandbox, vendor: VendorServer, settings: Settings, database_url: str, tmp_path: Path
) -> None:
    stage, directly, root = Stage(sandbox, vendor), sandbox.dm("ada"), ""
    durable = replace(settings, database_url=database_url, done_mention_s=0)

    async def command(*arguments: str) -> str:
        code, out, err = await forked_command(tmp_path, *arguments, "nightly", env={"DATABASE_URL": database_url})
        assert (code, err) == (0, "")
        return out

    async with running(durable):
        told = await stage.mention("remember: we deploy on Tuesdays")
        assert await stage.answers("general", told) == [texts.memory.remembered_notice("#general", 1)]
        root = await sandbox.say("grace", "random", "Look at this.")
        for round_ in (1, 2):
            mention = await stage.mention()
            assert await stage.answers("general", mention) == [REMEMBERING]
            await sandbox.say("ada", "random", "@typist why?", root)
            await sandbox.say("ada", directly, "why?")
            assert await stage.answers("random", root, round_) == [ANSWER] * round_
            assert await stage.answers(directly, None, round_) == [ANSWER] * round_
            if round_ == 1:
                await recorded(durable, sa.select(listening), bool)
                assert await command("backup") == "Backed up 4 questions to nightly.\n"
    sandbox.faults.start("silent")
    asked, before = len(vendor.requests), shown_in(stage)
    missed = [await stage.mention("And what is missed?"), await sandbox.say("ada", directly, "and that?")]
    assert (await command("restore", "--yes")).startswith("Restored 4 questions as of ")
    await ten_minutes_pass(database_url)
    async with running(durable):
        assert await stage.answers("general", missed[0]) == [REMEMBERING]
        assert await stage.answers(directly, None, 3) == [ANSWER] * 3
        (row,) = await recorded(durable, sa.select(listening).where(listening.c.report.is_not(None)), bool)
        assert (row.report["tally"]["answered"], row.report["tally"]["offered"]) == (2, 0)
    assert len(vendor.requests) == asked + 2
    now = shown_in(stage)
    assert len(before) == 1 + 3 * 2
    assert {ts: now[ts] for ts in before} == before
    assert len(now) == len(before) + 2
    assert len(await recorded(durable, sa.select(jobs.c.ts), bool)) == 4 + 2


def shown_in(stage: Stage) -> dict[str, str]:
    workspace = stage.sandbox.workspace
    found = [message for channel_id in workspace.channels for message in workspace.messages(channel_id)]
    return {message.ts: shown(message) for message in found if message.user_id == stage.sandbox.bot_user_id}
