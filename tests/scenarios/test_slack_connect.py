"""Channels that are shared with another organisation, Slack's own notices, and mentions that come by an edit."""

from collections.abc import AsyncIterator
from dataclasses import replace

import pytest
import sqlalchemy as sa

from bot.core.limits.access import UserKind
from bot.core.limits.caps import parse_caps
from bot.core.reply.actions import ReplyAction
from bot.settings import Settings
from bot.store.engine import create_engine
from bot.store.schema import jobs, usage_totals
from sandbox.files import Upload
from sandbox.server import Sandbox
from tests.scenarios.conftest import Stage, running
from tests.scenarios.test_reply_actions import on_record
from tests.streams.server import VendorServer

PARTNERS = "C0PARTNERS"


@pytest.fixture
def settings(settings: Settings, tmp_path_factory: pytest.TempPathFactory) -> Settings:
    path = tmp_path_factory.mktemp("data") / "typist.db"
    return replace(settings, database_url=f"sqlite:///{path}", allow_also=frozenset({UserKind.EXTERNAL}))


async def teams(settings: Settings) -> set[str]:
    engine = create_engine(settings.database_url)
    try:
        async with engine.connect() as connection:
            return {
                team for table in (jobs, usage_totals) for team in await connection.scalars(sa.select(table.c.team_id))
            }
    finally:
        await engine.dispose()


async def asked_by_emmy(stage: Stage, settings: Settings) -> str:
    asked = await stage.sandbox.say("emmy", PARTNERS, "@typist why?")
    await stage.answers(PARTNERS, asked)
    await on_record(settings)
    return asked


@pytest.mark.parametrize("host", [False, True], ids=["writer's", "host's"])
async def test_a_question_from_another_organisation_is_on_record_as_ours(
    stage: Stage, settings: Settings, host: bool
) -> None:
    if host:
        stage.sandbox.faults.start("foreign_team")
    await asked_by_emmy(stage, settings)
    assert await teams(settings) == {stage.sandbox.team_id}


async def test_the_buttons_of_an_answer_to_another_organisation_work(stage: Stage, settings: Settings) -> None:
    asked = await asked_by_emmy(stage, settings)
    (reply,) = stage.bots(PARTNERS, asked)
    assert await stage.sandbox.client("emmy").press(PARTNERS, reply.ts, ReplyAction.REGENERATE)
    await stage.sandbox.wait_for(lambda: len(stage.vendor.requests) == 2)
    await stage.answers(PARTNERS, asked)


async def test_a_cap_holds_for_questions_from_another_organisation(
    sandbox: Sandbox, vendor: VendorServer, settings: Settings
) -> None:
    capped = replace(settings, caps=parse_caps("workspace/day=1tokens"))
    async with running(capped):
        stage = Stage(sandbox, vendor)
        await stage.answers("general", await stage.mention())
        asked = await sandbox.say("emmy", PARTNERS, "@typist why?")
        (said,) = await stage.answers(PARTNERS, asked)
    assert "used up" in said
    assert len(vendor.requests) == 1


async def test_rows_under_a_foreign_id_are_ours_from_the_next_start_on(
    sandbox: Sandbox, vendor: VendorServer, settings: Settings
) -> None:
    stage = Stage(sandbox, vendor)
    async with running(settings):
        asked = await asked_by_emmy(stage, settings)
    engine = create_engine(settings.database_url)
    async with engine.begin() as connection:
        await connection.execute(jobs.update().values(team_id="T0PARTNERS"))
        await connection.execute(usage_totals.update().values(team_id="T0PARTNERS"))
    await engine.dispose()
    async with running(settings):
        (reply,) = stage.bots(PARTNERS, asked)
        assert await sandbox.client("emmy").press(PARTNERS, reply.ts, ReplyAction.REGENERATE)
        await sandbox.wait_for(lambda: len(vendor.requests) == 2)
        await stage.answers(PARTNERS, asked)
    assert await teams(settings) == {sandbox.team_id}


async def test_a_file_of_another_organisation_is_asked_for_and_read(stage: Stage) -> None:
    plan = Upload("plan.txt", b"Ship on Friday")
    asked = await stage.sandbox.share("emmy", PARTNERS, "@typist what is in it?", [plan])
    await stage.answers(PARTNERS, asked)
    assert "Ship on Friday" in str(stage.prompts()[0])


@pytest.fixture
async def quiet(stage: Stage) -> AsyncIterator[Stage]:
    """Where a question that is asked afterwards is the only one that is answered."""
    yield stage
    asked = await stage.mention("the only one?", channel="random")
    await stage.answers("random", asked)
    assert [prompt[-1]["content"] for prompt in stage.prompts()] == ["the only one?"]


async def test_a_notice_of_slacks_own_is_not_answered(quiet: Stage) -> None:
    await quiet.sandbox.notice("ada", "<@U0ADA> archived the channel <#C0RANDOM>")


async def test_what_an_app_writes_as_a_person_is_not_answered(quiet: Stage) -> None:
    await quiet.sandbox.say_through("A0DEPLOYS", "ada", "general", "<@BOT> deployed")
    await quiet.sandbox.say_through("A0DEPLOYS", "ada", quiet.sandbox.dm("ada"), "deployed")


async def test_a_notice_in_a_direct_message_names_nobody_in_its_prompt(stage: Stage) -> None:
    dm = stage.sandbox.dm("ada")
    await stage.sandbox.notice("ada", "The channel is archived")
    await stage.sandbox.say("ada", dm, "why?")
    await stage.answers(dm, None)
    assert stage.prompts() == [[{"role": "user", "content": "why?"}]]


async def test_an_edit_that_adds_a_mention_asks_where_the_bot_is_no_member(stage: Stage) -> None:
    stage.sandbox.workspace.leave("general", "typist")
    ts = await stage.sandbox.say("ada", "general", "why?")
    await stage.sandbox.edit("general", ts, "@typist why?")
    call, *_ = await stage.sandbox.wait_for(
        lambda: [each for each in stage.sandbox.calls if each.method == "chat.postMessage"]
    )
    assert (call.error, call.arguments["thread_ts"]) == ("not_in_channel", ts)


async def test_an_edited_mention_asks_once_though_it_comes_twice(stage: Stage) -> None:
    ts = await stage.sandbox.say("ada", "general", "why?")
    await stage.sandbox.edit("general", ts, "@typist why?")
    await stage.answers("general", ts)
    await stage.sandbox.wait_for(lambda: all(delivery.acked_at_s for delivery in stage.sandbox.deliveries))
    assert len(stage.bots("general", ts)) == len(stage.vendor.requests) == 1
