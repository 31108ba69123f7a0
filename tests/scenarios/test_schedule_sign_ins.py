"""A schedule that paused because its creator's sign-in ended: they sign in below its notice, and it goes on."""

import json
from collections.abc import AsyncIterator

import pytest

from bot.core import texts
from bot.core.actions import ReplyAction
from bot.core.schedules import PauseReason, Proposal, Rule, Schedule
from bot.settings import Settings
from bot.slack.views.schedules import ScheduleAction
from bot.store import Stores
from slack_sandbox.server import Sandbox
from slack_sandbox.workspace import Message
from tests.mcp.servers import be_patient
from tests.mcp.sign_in_server import SignInServer, sign_in_server
from tests.scenarios.conftest import Stage, buttons, running, says
from tests.scenarios.test_accounts import has_signed_in, link_in, with_jira
from tests.scenarios.test_schedule_runs import created, pause_notices, run, stored
from tests.streams.server import VendorServer

WEEKDAYS = Rule("Europe/Berlin", "0 9 * * 1-5")
pytestmark = [pytest.mark.skips_waits, pytest.mark.bot(on_disk=True), pytest.mark.usefixtures("with_frequent_looks")]


@pytest.fixture
async def jira() -> AsyncIterator[SignInServer]:
    async with sign_in_server() as server:
        yield server


@pytest.fixture
async def stage(sandbox: Sandbox, vendor: VendorServer, settings: Settings, jira: SignInServer) -> AsyncIterator[Stage]:
    be_patient()
    vendor.script(says("Found it."))
    async with running(with_jira(settings, jira)):
        yield Stage(sandbox, vendor)


async def paused(stage: Stage, stores: Stores, rule: Rule = WEEKDAYS) -> tuple[Schedule, Message]:
    """Returns a schedule of Ada's that her missing sign-in pauses, and the notice in her direct message."""
    schedule = await created(stores, Proposal("List my tickets.", rule, accounts=("jira",)))
    await run(stores, schedule)
    *_, notice = await pause_notices(stage, "general", stage.sandbox.dm("ada"))
    return await stored(stores, schedule.id), notice


async def pressed(stage: Stage, notice: Message, schedule: Schedule, user: str = "ada") -> str | None:
    before = {ephemeral.ts for ephemeral in stage.sandbox.workspace.ephemerals}
    assert await stage.sandbox.client(user).press(notice.channel, notice.ts, ReplyAction.SIGN_IN, str(schedule.id))
    return next((one.text for one in stage.sandbox.workspace.ephemerals if one.ts not in before), None)


def told(stage: Stage) -> list[str]:
    """Returns what Typist wrote to Ada after the notice."""
    return [message.text for message in stage.bots(stage.sandbox.dm("ada"))[1:]]


async def test_creator_signs_in_below_the_notice_and_reads_when_the_schedule_runs_next(
    stage: Stage, jira: SignInServer, another_process: Stores
) -> None:
    ada = stage.sandbox.client("ada")
    schedule, notice = await paused(stage, another_process)
    assert schedule.pause_reason is PauseReason.SIGNED_OUT
    assert texts.schedules.sign_in_ended_reason(["jira"]) in notice.text
    assert buttons(notice) == [ReplyAction.SIGN_IN, ScheduleAction.STOP]
    assert await pressed(stage, notice, schedule, "grace") == texts.schedules.ONLY_CREATOR_SIGNS_IN
    first = await jira.visit(await link_in(stage, ada, notice))
    address = await jira.visit(await link_in(stage, ada, notice))
    assert await ada.submit({"address": first}) == {"address": texts.accounts.ADDRESS_IS_OLD}
    assert await ada.submit({"address": address}) == {}
    [outcome] = await stage.sandbox.wait_for(lambda: told(stage))
    resumed = await stored(another_process, schedule.id)
    assert (resumed.pause_reason, jira.people.access.popitem()[1].subject) == (None, "ada")
    assert outcome == texts.schedules.resumed_message(
        1, WEEKDAYS.description, texts.times.token(resumed.next_at or 0.0)
    )
    assert await pressed(stage, notice, schedule) == texts.schedules.WAITS_FOR_NO_SIGN_IN
    assert told(stage) == [outcome]


@pytest.mark.parametrize("public", [False, True])
async def test_address_for_one_schedule_signs_in_for_no_other(
    stage: Stage, jira: SignInServer, another_process: Stores, public: bool
) -> None:
    ada = stage.sandbox.client("ada")
    schedule, notice = await paused(stage, another_process)
    address = await jira.visit(await link_in(stage, ada, notice))
    assert ada.modal is not None
    place = json.loads(ada.modal.content["private_metadata"])
    other = schedule.id + 1 if public else "5 0.0.0.abc"
    ada.modal.content["private_metadata"] = json.dumps({**place, "value": str(other)})
    expected = texts.schedules.SCHEDULE_GONE if public else texts.actions.ANSWER_UNKNOWN
    assert await ada.submit({"address": address}) == {"address": expected}
    assert not jira.people.access


async def test_schedule_whose_single_time_has_passed_is_offered_to_run_now(
    stage: Stage, jira: SignInServer, another_process: Stores
) -> None:
    at = another_process.clock.now() + 1
    schedule, notice = await paused(stage, another_process, Rule("UTC", at=at))
    assert buttons(notice) == [ReplyAction.SIGN_IN, ScheduleAction.RUN, ScheduleAction.STOP]
    while another_process.clock.now() < at:
        await another_process.clock.sleep(0.1)
    await has_signed_in(another_process, jira)
    assert await pressed(stage, notice, schedule) == texts.schedules.SIGNED_IN_TOO_LATE
    assert (await stored(another_process, schedule.id)).pause_reason is PauseReason.SIGNED_OUT
