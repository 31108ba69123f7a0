"""Schedules as people meet them: proposed by a model, created, found, changed, run, paused, resumed and stopped."""

import asyncio
import json
import re
from collections.abc import Callable
from typing import Any

import pytest
import sqlalchemy as sa

from bot.core import texts
from bot.core.access import UserKind
from bot.core.actions import ReplyAction
from bot.core.calls import SCHEDULE
from bot.core.schedules import MAX_PER_MEMBER, PauseReason, Proposal, Rule
from bot.slack.views.schedules import ScheduleAction, ScheduleField
from bot.store import Stores
from bot.store.schema import schedules
from slack_sandbox.blocks.elements import interactive
from slack_sandbox.client import Client
from slack_sandbox.workspace import TEAM_ID, Message
from tests.scenarios.answers import press
from tests.scenarios.conftest import Stage, buttons, grows, says, shown
from tests.scenarios.surfaces import home_with, last_notice, queued_placeholders
from tests.scenarios.tools import asking, calls, ended
from tests.streams.server import VendorRequest, VendorResponse

pytestmark = [
    pytest.mark.skips_waits,
    pytest.mark.usefixtures("with_frequent_looks"),
    pytest.mark.bot(on_disk=True, admins=frozenset({"U0GRACE"})),
]

GENERAL = "C0GENERAL"
WORDS = "Summarize what happened in this channel since your last summary."
WEEKDAYS = {"words": WORDS, "cron": "0 9 * * 1-5"}
AT_NINE = "Weekdays at 09:00 (UTC)"


def proposes(arguments: dict[str, Any]) -> Callable[[VendorRequest], VendorResponse]:
    """Returns a model that proposes a schedule where somebody wants one, says what it read of that, or answers."""

    def script(request: VendorRequest) -> VendorResponse:
        last = request.body["messages"][-1]
        if last["role"] == "tool":
            return says(f"I read: {last['content']}")
        is_wanted = any(words in json.dumps(last) for words in ("every weekday", "make it", "the Monday one"))
        return calls("", (SCHEDULE, arguments)) if is_wanted else says("Two pull requests were merged.")

    return script


async def proposed(stage: Stage, arguments: dict[str, Any] | None = None) -> tuple[str, Message]:
    """Has Alan ask for a schedule; returns the question's ts, and the reply with the card."""
    stage.vendor.script(proposes(arguments or WEEKDAYS))
    asked = await stage.mention("every weekday at 9, sum up what happened here", user="alan")
    return asked, await asking(stage, asked)


async def stored(stores: Stores, words: str = WORDS, user_id: str = "U0ALAN") -> int:
    proposal = Proposal(words, Rule("Europe/Berlin", "0 9 * * 1-5"))
    return await stores.schedules.create(TEAM_ID, GENERAL, user_id, proposal)


def modal_text(client: Client) -> str:
    return json.dumps(client.modal.blocks, ensure_ascii=False) if client.modal else ""


def modal_actions(client: Client) -> list[str]:
    return [element["action_id"] for _, element in interactive(client.modal.blocks)] if client.modal else []


async def press_in_list(stage: Stage, client: Client, action: ScheduleAction, outcome: str) -> None:
    """Presses a button in an open list, and waits until the list says so."""
    assert client.modal is not None
    assert await client.press_in_view(client.modal, action)
    await stage.sandbox.wait_for(lambda: outcome in modal_text(client))


async def with_button(stage: Stage, action: ScheduleAction) -> Message:
    """Waits for the bot's only post in #general with this button."""
    [post] = await stage.sandbox.wait_for(lambda: [post for post in stage.bots("general") if action in buttons(post)])
    return post


async def opened_change(stage: Stage, client: Client) -> None:
    assert client.modal is not None
    assert await client.press_in_view(client.modal, ScheduleAction.CHANGE)
    await stage.sandbox.wait_for(lambda: ScheduleField.OTHER in modal_actions(client))


async def test_member_creates_finds_changes_runs_pauses_resumes_and_stops_a_schedule(
    stage: Stage, another_process: Stores
) -> None:
    sandbox, alan = stage.sandbox, stage.sandbox.client("alan")
    asked, message = await proposed(stage)
    for words in (
        WORDS,
        f"{AT_NINE}. Next: ",
        texts.schedules.NEXT_TIME,
        texts.schedules.terms((), is_once=False),
    ):
        assert words in shown(message)
    assert buttons(message) == [ReplyAction.APPROVE, ReplyAction.DENY]
    assert await press(stage, message, ReplyAction.APPROVE, "alan") is None
    message = await ended(stage, asked)
    assert re.search(r"Created schedule \d+: weekdays at 09:00 \(UTC\), next on \w+day, ", shown(message))
    assert "Approved by" not in shown(message)
    assert buttons(message)[0] == ScheduleAction.STOP

    await alan.command("general", "/typist help")
    assert "• `/typist schedules` lists what's scheduled here" in last_notice(stage)
    await alan.command("general", "/typist schedules")
    for words in (WORDS, AT_NINE, "Next: <!date^", "UTC> (your time)", "created by <@U0ALAN>", "nothing this month"):
        assert words in modal_text(alan)

    await opened_change(stage, alan)
    fridays: dict[str, Any] = {
        ScheduleField.DAYS: ["5"],
        ScheduleField.TIME: "16:30",
        ScheduleField.WORDS: "Sum up the week.",
    }
    assert await alan.submit(fridays) == {}
    await sandbox.wait_for(lambda: texts.schedules.SCHEDULE_PRESSED[ScheduleAction.CHANGE] in modal_text(alan))
    for words in ("Sum up the week.", "Fridays at 16:30 (UTC)"):
        assert words in modal_text(alan)

    await press_in_list(stage, alan, ScheduleAction.RUN, texts.schedules.SCHEDULE_PRESSED[ScheduleAction.RUN])
    post = await with_button(stage, ScheduleAction.STOP)
    assert "Scheduled by Alan · Fridays at 16:30" in json.dumps(post.blocks, ensure_ascii=False)
    assert await stage.answers("general", post.ts, 2) == [shown(post), "Two pull requests were merged."]

    for action, state in (
        (ScheduleAction.PAUSE, "*Paused*"),
        (ScheduleAction.RESUME, "Next: <!date^"),
        (ScheduleAction.STOP, texts.schedules.NOTHING_HERE),
    ):
        await press_in_list(stage, alan, action, texts.schedules.SCHEDULE_PRESSED[action])
        assert state in modal_text(alan)
    assert await another_process.schedules.all(TEAM_ID, GENERAL) == []


async def test_asker_alone_agrees(stage: Stage, another_process: Stores) -> None:
    asked, message = await proposed(stage, {**WEEKDAYS, "words": f"{WORDS}\u202e", "only_if_changed": True})
    assert texts.schedules.ONLY_IF_CHANGED in shown(message)
    for action in (ReplyAction.APPROVE, ReplyAction.DENY):
        for user in ("ada", "grace"):
            assert await press(stage, message, action, user) == texts.actions.only_asker_agrees("U0ALAN")
    assert await another_process.schedules.all(TEAM_ID, GENERAL) == []
    assert await press(stage, message, ReplyAction.APPROVE, "alan") is None
    await ended(stage, asked)
    [schedule] = await another_process.schedules.all(TEAM_ID, GENERAL)
    alan = stage.sandbox.client("alan")
    await alan.command("general", "/typist schedules")
    assert texts.schedules.ONLY_IF_SOMETHING_IS_NEW in modal_text(alan)
    await press_in_list(stage, alan, ScheduleAction.RUN, texts.schedules.ONLY_IF_CHANGED)
    assert (schedule.user_id, schedule.words, schedule.only_if_changed) == ("U0ALAN", f"{WORDS}\ufffd", True)


async def test_model_knows_what_is_scheduled_and_proposes_to_change_and_to_stop_it(
    stage: Stage, another_process: Stores
) -> None:
    mine = await stored(another_process)
    theirs = await stored(another_process, "Sum up for Grace.", "U0GRACE")
    other_place = Proposal("Sum up the merger.", Rule("Europe/Berlin", "0 9 * * 1-5"))
    elsewhere = await another_process.schedules.create(TEAM_ID, "C0PROJECTX", "U0ALAN", other_place)

    async def asked_for(arguments: dict[str, Any]) -> str:
        stage.vendor.script(proposes(arguments))
        return await stage.mention("make it ten instead", user="alan")

    asked = await asked_for({"number": str(mine), "cron": "0 10 * * 1-5", "words": None, "at": None, "stop": False})
    card = await asking(stage, asked)
    told = json.dumps(stage.vendor.requests[-1].body["tools"])
    assert f"number {mine}, weekdays at 09:00 (Berlin); number {theirs}, weekdays" in told
    assert f"number {elsewhere}" not in told
    assert WORDS not in told, "a prompt without others' words stays one"
    for words in (
        "Change this schedule?",
        WORDS,
        "Weekdays at 10:00 (Berlin), instead of weekdays at 09:00. Next:",
    ):
        assert words in shown(card)
    assert await press(stage, card, ReplyAction.APPROVE, "alan") is None
    assert f"Changed schedule {mine}: weekdays at 10:00 (Berlin), next on " in shown(await ended(stage, asked))
    schedules = await another_process.schedules.all(TEAM_ID, GENERAL)
    assert [(one.id, one.rule.cron) for one in schedules] == [(mine, "0 10 * * 1-5"), (theirs, "0 9 * * 1-5")]

    for arguments, read in (
        *(
            (arguments, f"Number {mine}, of Alan, weekdays at 10:00 (Berlin): {WORDS}")
            for arguments in ({}, {"words": "", "stop": False}, {"stop": True})
        ),
        ({"words": WORDS, "cron": "0 10 * * MON-FRI", "zone": "Europe/Berlin"}, f"already scheduled as number {mine}"),
        ({"number": mine, "cron": "0 10 * * MON-FRI"}, f"already scheduled as number {mine}"),
        ({"number": theirs, "stop": True}, texts.schedules.NOT_YOUR_SCHEDULE),
        ({"number": elsewhere, "stop": True}, texts.schedules.nothing_to_stop(str(elsewhere))),
        ({"number": mine, "cron": "0 9 */14 * 2"}, texts.schedules.STEPS_BEGIN_AGAIN),
    ):
        assert read in shown(await ended(stage, await asked_for(arguments)))
    asked = await asked_for({"number": mine, "cron": "0 11 * * *"})
    card = await asking(stage, asked)
    await another_process.schedules.stop(TEAM_ID, mine, "U0GRACE")
    assert await press(stage, card, ReplyAction.APPROVE, "alan") is None
    said = shown(await ended(stage, asked))
    assert f"I read: {texts.schedules.SCHEDULE_GONE}" in said
    assert said.count(texts.schedules.SCHEDULE_GONE) == 2, "people read it, too"
    assert "Approved by" not in said
    mine = await stored(another_process)

    asked = await asked_for({"number": mine, "words": "Sum up the week."})
    card = await asking(stage, asked)
    await another_process.schedules.pause(TEAM_ID, mine, PauseReason.BY_PERSON, "U0ALAN")
    assert await press(stage, card, ReplyAction.APPROVE, "alan") is None
    changed = await ended(stage, asked)
    assert f"Changed schedule {mine}: weekdays at 09:00 (Berlin). It stays paused." in shown(changed)

    await another_process.schedules.change(
        TEAM_ID, mine, "U0ALAN", Proposal(WORDS, Rule("UTC", "0 9 * * 1-5"), only_if_changed=True), 1_000, 1_000
    )
    for runs_always in (False, True):
        asks_for = {"only_if_changed": False} if runs_always else {}
        asked = await asked_for({"number": mine, "words": "Sum up the month.", **asks_for})
        card = await asking(stage, asked)
        assert (texts.schedules.ONLY_IF_CHANGED in shown(card)) is not runs_always
        assert (texts.schedules.ALSO_IF_UNCHANGED in shown(card)) is runs_always
        assert await press(stage, card, ReplyAction.DENY, "alan") is None
        await ended(stage, asked)

    asked = await asked_for({"number": mine, "stop": True})
    card = await asking(stage, asked)
    assert "Stop this schedule?" in shown(card)
    assert await press(stage, card, ReplyAction.APPROVE, "alan") is None
    assert f"Stopped schedule {mine}, weekdays at 09:00 (UTC). It won't run anymore." in shown(
        await ended(stage, asked)
    )
    assert [one.id for one in await another_process.schedules.all(TEAM_ID, GENERAL)] == [theirs]


@pytest.mark.parametrize("is_stopped_elsewhere", [False, True])
async def test_answer_whose_schedule_is_stopped_says_so_and_offers_no_stop(
    stage: Stage, another_process: Stores, is_stopped_elsewhere: bool
) -> None:
    asked, message = await proposed(stage)
    assert await press(stage, message, ReplyAction.APPROVE, "alan") is None
    message = await ended(stage, asked)
    [created] = await another_process.schedules.all(TEAM_ID, GENERAL)
    forged = await press(stage, message, ScheduleAction.STOP, "alan", str(created.id + 1))
    assert forged == texts.schedules.SCHEDULE_GONE
    if is_stopped_elsewhere:
        await another_process.schedules.stop(TEAM_ID, created.id, "U0GRACE")
    else:
        assert await press(stage, message, ScheduleAction.STOP, "alan") is None
    said = texts.schedules.SCHEDULE_STOPPED
    await stage.sandbox.wait_for(lambda: f"\n{said}" in shown(stage.bots("general", asked)[0]))
    [message] = stage.bots("general", asked)
    refused = texts.access.with_admins(texts.schedules.NOT_YOUR_SCHEDULE, ["<@U0GRACE>"])
    assert await press(stage, message, ScheduleAction.RESTORE, "ada", str(created.id)) == refused
    assert "\nCreated schedule" not in shown(message)
    assert not {ScheduleAction.STOP, ReplyAction.REGENERATE} & set(buttons(message))
    assert await another_process.schedules.all(TEAM_ID, GENERAL) == []


async def test_commands_of_one_batch_see_what_those_before_them_did(stage: Stage, another_process: Stores) -> None:
    mine, other = await stored(another_process), await stored(another_process, "Remind us of the retro.")
    are_queued = asyncio.Event()
    stage.vendor.script(grows("First. " * 40, gates={250: are_queued.wait}))
    asked = await stage.mention("first?", user="alan")
    await stage.sandbox.wait_for(lambda: stage.bots("general", asked))
    for words in (f"stop schedule {mine}", "what is scheduled here?", f"stop schedule {mine} "):
        await stage.sandbox.say("alan", "general", f"@typist {words}", asked)
    await queued_placeholders(stage, 3, "general", asked)
    are_queued.set()
    _, answer = await stage.answers("general", asked, count=2)
    assert f"(number {other}, " in answer
    assert (
        f"(number {mine}, "
        not in answer.partition(texts.schedules.stopped_notice(mine, "weekdays at 09:00 (Berlin)", WORDS))[0]
    )
    assert texts.schedules.nothing_to_stop(str(mine)) in answer
    assert [one.id for one in await another_process.schedules.all(TEAM_ID, GENERAL)] == [other]


async def test_plain_words_list_and_stop_schedules_without_a_model(stage: Stage, another_process: Stores) -> None:
    mine, theirs = await stored(another_process), await stored(another_process, "Remind us of the retro.", "U0GRACE")

    async def told(words: str, user: str = "alan") -> str:
        return shown(await ended(stage, await stage.mention(words, user=user)))

    listed = await told("what is scheduled here?")
    for line in (
        f"(number {mine}, ",
        WORDS,
        "Alan",
        f"(number {theirs}, ",
        "Remind us of the retro.",
        "Grace",
        "Weekdays at 09:00",
    ):
        assert line in listed
    assert texts.schedules.NOT_YOUR_SCHEDULE in await told("stop the retro reminder")
    assert texts.schedules.nothing_to_stop("999") in await told("stop schedule 999")
    stopped = texts.schedules.stopped_notice(mine, "weekdays at 09:00 (Berlin)", WORDS)
    asked = await stage.mention("stop the summary", user="alan")
    answer = await ended(stage, asked)
    assert stopped in shown(answer)
    refused = texts.access.with_admins(texts.actions.only_asker("U0ALAN", "undo this"), ["<@U0GRACE>"])
    assert await press(stage, answer, ReplyAction.UNDO, "ada") == refused
    assert await press(stage, answer, ReplyAction.UNDO, "alan") is None
    await stage.sandbox.wait_for(lambda: texts.schedules.RESTORED in shown(stage.bots("general", asked)[0]))
    assert ReplyAction.UNDO not in buttons(stage.bots("general", asked)[0])
    assert f"(number {mine}, " in await told("what is scheduled here?")
    stage.vendor.script(says("Whose?"))
    assert "Whose?" in await told("cancel my summary", "grace")
    stage.vendor.requests.clear()
    assert stopped in await told("stop the summary")
    assert stage.vendor.requests == []
    assert "Regenerate" not in stopped
    theirs_stopped = await told(f"cancel schedule {theirs}", "grace")
    assert (
        f"Stopped schedule {theirs}, weekdays at 09:00 (Berlin): “Remind us of the retro.” It won't" in theirs_stopped
    )
    assert texts.schedules.NOTHING_HERE in await told("What's scheduled?")
    assert await another_process.schedules.all(TEAM_ID, GENERAL) == []
    stage.vendor.script(says("Which one?"))
    assert "Which one?" in await told("stop the presses")


async def test_words_mean_the_answer_that_is_being_written_before_any_schedule(
    stage: Stage, another_process: Stores
) -> None:
    mine, goes_on = await stored(another_process), asyncio.Event()
    stage.vendor.script(grows("A summary. " * 40, gates={250: goes_on.wait}))
    asked = await stage.mention("sum up what happened", user="alan")
    await stage.sandbox.wait_for(lambda: any("A summary." in shown(one) for one in stage.bots("general", asked)))
    await stage.sandbox.say("alan", "general", "stop the summary", asked)
    await stage.sandbox.wait_for(lambda: ReplyAction.CONTINUE in buttons(stage.bots("general", asked)[0]))
    goes_on.set()
    await stage.settled()
    assert len(stage.bots("general", asked)) == 1
    assert [one.id for one in await another_process.schedules.all(TEAM_ID, GENERAL)] == [mine]
    await stage.sandbox.say("alan", "general", "@typist stop the summary", asked)
    await stage.answers("general", asked, 2)
    assert await another_process.schedules.all(TEAM_ID, GENERAL) == []


async def test_words_about_somebody_elses_answer_stop_no_schedule(stage: Stage, another_process: Stores) -> None:
    mine, goes_on = await stored(another_process), asyncio.Event()
    stage.vendor.script(grows("A summary. " * 40, gates={250: goes_on.wait}))
    asked = await stage.mention("sum up what happened", user="ada")
    await stage.sandbox.wait_for(lambda: any("A summary." in shown(one) for one in stage.bots("general", asked)))
    await stage.sandbox.say("alan", "general", "@typist stop the summary", asked)
    await queued_placeholders(stage, 1, "general", asked)
    stage.vendor.script(says("Which one?"))
    goes_on.set()
    assert "Which one?" in (await stage.answers("general", asked, 2))[1]
    assert [one.id for one in await another_process.schedules.all(TEAM_ID, GENERAL)] == [mine]


async def test_person_who_writes_stop_below_anothers_answer_learns_who_can_stop_it(stage: Stage) -> None:
    goes_on = asyncio.Event()
    stage.vendor.script(grows("A summary. " * 40, gates={250: goes_on.wait}))
    asked = await stage.mention("sum up what happened", user="ada")
    await stage.sandbox.wait_for(lambda: any("A summary." in shown(one) for one in stage.bots("general", asked)))
    await stage.sandbox.say("alan", "general", "stop", asked)
    told = stage.sandbox.workspace.ephemerals
    sentence = texts.actions.only_asker("U0ADA", texts.actions.ONLY_ASKER["stop"])
    await stage.sandbox.wait_for(lambda: [one for one in told if one.text == sentence])
    goes_on.set()
    assert "stopped" not in (await stage.answers("general", asked))[0]


async def test_list_in_a_conversation_has_the_beginning_of_each_task(stage: Stage, another_process: Stores) -> None:
    await stored(another_process, "Sum up. " * 100)
    listed = shown(await ended(stage, await stage.mention("what is scheduled here?", user="alan")))
    assert "Sum up. Sum" in listed
    assert len(listed) < 400


async def test_declined_proposal_creates_nothing(stage: Stage, another_process: Stores) -> None:
    asked, message = await proposed(stage)
    assert await press(stage, message, ReplyAction.DENY, "alan") is None
    assert "I didn't create this schedule, as Alan decided" in shown(await ended(stage, asked))
    assert await another_process.schedules.all(TEAM_ID, GENERAL) == []


async def test_schedule_that_is_over_gets_another_time_only_where_there_is_room(
    stage: Stage, another_process: Stores
) -> None:
    once, alan = Proposal(WORDS, Rule("UTC", at=2_000_000_000.0)), stage.sandbox.client("alan")
    await another_process.schedules.create(TEAM_ID, GENERAL, "U0ALAN", once)
    async with another_process.database.begin_write() as connection:
        await connection.execute(sa.update(schedules).values(next_at=None))
    for number in range(MAX_PER_MEMBER):
        await stored(another_process, f"{WORDS} {number}")
    await alan.command("general", "/typist schedules")
    listed = modal_text(alan)
    assert texts.schedules.SCHEDULE_OVER in listed
    assert f"{texts.schedules.ONCE}: <!date^2000000000^" in listed
    await opened_change(stage, alan)
    full = texts.schedules.member_limit_reached(MAX_PER_MEMBER)
    assert await alan.submit({ScheduleField.OTHER: "0 9 * * 1"}) == {ScheduleField.WORDS: full}


async def test_schedule_that_was_stopped_meanwhile_is_not_changed(stage: Stage, another_process: Stores) -> None:
    created, alan = await stored(another_process), stage.sandbox.client("alan")
    await alan.command("general", "/typist schedules")
    await opened_change(stage, alan)
    await another_process.schedules.stop(TEAM_ID, created, "U0GRACE")
    assert await alan.submit({ScheduleField.WORDS: "Sum up the week."}) == {
        ScheduleField.WORDS: texts.schedules.SCHEDULE_GONE
    }


async def test_person_finds_their_schedules_in_home_in_settings_and_in_a_direct_message(
    stage: Stage, another_process: Stores
) -> None:
    await stored(another_process)
    await stored(another_process, "Sum up the week for Grace.", "U0GRACE")
    alan, grace = stage.sandbox.client("alan"), stage.sandbox.client("grace")
    at_home = await home_with(stage, "alan", texts.schedules.YOUR_SCHEDULES)
    assert WORDS in at_home
    assert "for Grace" not in at_home
    assert alan.home is not None
    assert await alan.press_in_view(alan.home, ScheduleAction.LIST)
    await stage.sandbox.wait_for(lambda: WORDS in modal_text(alan))
    assert "in <#C0GENERAL>" in modal_text(alan)
    assert "for Grace" not in modal_text(alan)
    await press_in_list(stage, alan, ScheduleAction.STOP, texts.schedules.NO_SCHEDULES_OF_YOURS)
    await stage.sandbox.wait_for(
        lambda: alan.home is not None and texts.schedules.YOUR_SCHEDULES not in str(alan.home.blocks)
    )

    await grace.command("general", "/typist settings")
    assert grace.modal is not None
    assert await grace.press_in_view(grace.modal, ScheduleAction.LIST)
    await stage.sandbox.wait_for(lambda: "for Grace" in modal_text(grace))
    await grace.close()
    assert "model" in modal_actions(grace), "the list was above the settings"
    await grace.close()
    await grace.command(stage.sandbox.dm("grace"), "/typist schedules")
    assert "for Grace" in modal_text(grace)


@pytest.mark.bot(allow_also=frozenset({UserKind.GUEST}))
async def test_guest_who_may_ask_is_offered_no_schedule(stage: Stage) -> None:
    for user, is_offered in (("ada", True), ("edith", False)):
        await stage.answers("random", await stage.mention(channel="random", user=user))
        assert (SCHEDULE in str(stage.vendor.requests[-1].body["tools"])) is is_offered
