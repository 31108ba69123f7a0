"""Rights as they are at the moment: of the asker when a call is made, and of the person who presses a button."""

import asyncio
from collections.abc import AsyncIterator, Callable
from dataclasses import replace

import pytest

from bot.core import texts
from bot.core.actions import ReplyAction
from bot.core.texts.access import Denial
from bot.settings import Settings
from slack_sandbox.server import Sandbox
from tests.scenarios.answers import press, reply
from tests.scenarios.conftest import Stage, grows, running, says, shown
from tests.scenarios.surfaces import queued_placeholders
from tests.scenarios.tools import ADD_MILK, Notes, asking, ended, value_of
from tests.streams.server import VendorServer

pytestmark = pytest.mark.skips_waits


@pytest.fixture
def notes() -> Notes:
    return Notes()


@pytest.fixture
async def stage(sandbox: Sandbox, vendor: VendorServer, settings: Settings, notes: Notes) -> AsyncIterator[Stage]:
    sandbox.people.add_person("gia", guest=True)
    vendor.script(ADD_MILK)
    async with running(replace(settings, admins=frozenset({"U0GRACE", "U0GIA"})), tools=notes):
        yield Stage(sandbox, vendor)


TO_GUESTS = "Guests don't have access to this bot. Ask <@U0GIA> or <@U0GRACE>."


def become_guest(stage: Stage, user_id: str) -> None:
    people = stage.sandbox.workspace.users
    people[user_id] = replace(people[user_id], is_restricted=True)


async def test_guest_reads_no_call_and_approves_none(stage: Stage, notes: Notes) -> None:
    asked = await stage.mention()
    message = await asking(stage, asked)
    value = value_of(message)
    for action in (ReplyAction.APPROVE, ReplyAction.ALLOW_ALWAYS, ReplyAction.ARGUMENTS):
        assert await press(stage, message, action, "gia", value=value) == TO_GUESTS
    assert stage.sandbox.client("gia").modal is None
    assert notes.written == []
    await press(stage, message, ReplyAction.APPROVE)
    message = await ended(stage, asked)
    assert await press(stage, message, ReplyAction.DETAILS, "gia") == TO_GUESTS


async def test_member_regenerates_while_slack_does_not_say_who_presses(stage: Stage) -> None:
    """Nothing is shown or called by it: what Slack said lately is enough."""
    stage.vendor.script(says("First."), says("Second."))
    asked = await stage.mention()
    message = await ended(stage, asked)
    stage.sandbox.faults.start("slow", method="users.info", delay_s=10.0)
    assert await press(stage, message, ReplyAction.REGENERATE) is None
    await stage.sandbox.wait_for(lambda: "Second." in shown(stage.bots("general", asked)[0]))


def leave(stage: Stage, user_id: str) -> None:
    stage.sandbox.people.deactivate(user_id)


@pytest.mark.parametrize(("change", "denial"), [(become_guest, Denial.GUEST), (leave, Denial.PERSON)])
async def test_queued_asker_who_lost_access_reads_that_in_place_of_an_answer(
    stage: Stage, change: Callable[[Stage, str], None], denial: Denial
) -> None:
    is_queued = asyncio.Event()
    stage.vendor.script(grows("First. " * 40, gates={250: is_queued.wait}), says("Not for guests."))
    asked = await stage.mention("first?")
    await stage.sandbox.wait_for(lambda: stage.bots("general", asked))
    await stage.sandbox.say("alan", "general", "@typist and mine?", asked)
    [placeholder] = await queued_placeholders(stage, 1, "general", asked)
    change(stage, "U0ALAN")
    is_queued.set()
    assert (await reply(stage, asked, texts.access.with_admins(denial, ["Gia", "Grace"]))).ts == placeholder
    assert len(stage.vendor.requests) == 1, "no model is asked"
