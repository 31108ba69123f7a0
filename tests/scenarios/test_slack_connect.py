"""Slack Connect channels, Slack's own notices, and mentions that are added by an edit."""

import pytest
import sqlalchemy as sa

from bot.core import texts
from bot.core.access import UserKind
from bot.core.actions import ReplyAction
from bot.core.caps import parse_caps
from bot.settings import Settings
from bot.store.database import create_engine
from bot.store.schema import charges, jobs
from slack_sandbox.files import UploadedFile
from tests.scenarios.answers import on_record
from tests.scenarios.conftest import Stage

pytestmark = [pytest.mark.skips_waits, pytest.mark.bot(on_disk=True, allow_also=frozenset({UserKind.EXTERNAL}))]

PARTNERS = "C0PARTNERS"


async def teams(settings: Settings) -> set[str]:
    engine = create_engine(settings.database_url)
    try:
        async with engine.connect() as connection:
            return {team for table in (jobs, charges) for team in await connection.scalars(sa.select(table.c.team_id))}
    finally:
        await engine.dispose()


async def asked_by_emmy(stage: Stage, settings: Settings) -> str:
    asked = await stage.sandbox.say("emmy", PARTNERS, "@typist why?")
    await stage.answers(PARTNERS, asked)
    await on_record(settings)
    return asked


@pytest.mark.parametrize("host", [False, True], ids=["writer's", "host's"])
async def test_question_from_another_organisation_is_recorded_under_our_team(
    stage: Stage, settings: Settings, host: bool
) -> None:
    if host:
        stage.sandbox.faults.start("foreign_team")
    await asked_by_emmy(stage, settings)
    assert await teams(settings) == {stage.sandbox.team_id}


async def test_buttons_work_for_people_of_another_organisation(stage: Stage, settings: Settings) -> None:
    asked = await asked_by_emmy(stage, settings)
    (reply,) = stage.bots(PARTNERS, asked)
    assert await stage.sandbox.client("emmy").press(PARTNERS, reply.ts, ReplyAction.REGENERATE)
    await stage.vendor.request(1)
    await stage.answers(PARTNERS, asked)


@pytest.mark.bot(caps=parse_caps("workspace/day=1tokens"))
async def test_cap_applies_to_questions_from_another_organisation(stage: Stage) -> None:
    await stage.answers("general", await stage.mention())
    asked = await stage.sandbox.say("emmy", PARTNERS, "@typist why?")
    (text,) = await stage.answers(PARTNERS, asked)
    assert "used up" in text
    assert len(stage.vendor.requests) == 1


async def test_file_of_another_organisation_is_looked_up_and_read(stage: Stage) -> None:
    plan = UploadedFile("plan.txt", b"Ship on Friday")
    asked = await stage.sandbox.share("emmy", PARTNERS, "@typist what is in it?", [plan])
    await stage.answers(PARTNERS, asked)
    assert "Ship on Friday" in str(stage.prompts()[0])


async def test_mention_added_by_an_edit_asks_where_the_bot_is_no_member_and_its_writer_is_told(stage: Stage) -> None:
    stage.sandbox.workspace.leave("general", "typist")
    ts = await stage.sandbox.say("ada", "general", "why?")
    await stage.sandbox.edit("general", ts, "@typist why?")
    [notice] = await stage.sandbox.wait_for(lambda: stage.bots(stage.sandbox.dm("ada")))
    assert notice.text == texts.answers.not_posted("C0GENERAL")
    refused, _ = stage.calls("chat.postMessage")
    assert (refused.error, refused.arguments["thread_ts"]) == ("not_in_channel", ts)
