"""Runs of schedules: posted and answered by themselves, with their creator's rights, and paused where they can't be."""

import json
from datetime import UTC, datetime, timedelta

import pytest
import sqlalchemy as sa

from bot.core import texts
from bot.core.calls import READ_CHANNEL
from bot.core.caps import DAY_S, CapField, CapOwner, Scope
from bot.core.schedules import PauseReason, Proposal, Rule, Schedule
from bot.settings import Settings
from bot.slack.views.schedules import ScheduleAction
from bot.store import Stores
from bot.store.schema import schedules
from slack_sandbox.blocks.elements import interactive
from slack_sandbox.server import Sandbox
from slack_sandbox.workspace import TEAM_ID, Message
from tests.scenarios.conftest import Stage, buttons, running, says, shown
from tests.scenarios.test_read_channel import reads
from tests.scenarios.tools import Notes, by_results, results_in
from tests.streams import speech
from tests.streams.server import VendorServer

pytestmark = [
    pytest.mark.skips_waits,
    pytest.mark.usefixtures("with_frequent_looks"),
    pytest.mark.bot(on_disk=True),
]

WORDS = "Summarize what happened here."
ANSWER = "Two pull requests were merged."
AT = datetime.now(UTC) + timedelta(hours=12)
"""A time of day that doesn't come while the tests run, so that no run is due by itself."""
DAILY = Proposal(WORDS, Rule("UTC", f"0 {AT:%-H} * * *"))
AT_ITS_TIME = f"day at {AT:%H}:00 (UTC)"


async def created(store: Stores, proposal: Proposal = DAILY, channel_id: str = "C0GENERAL") -> Schedule:
    schedule_id = await store.schedules.create(TEAM_ID, channel_id, "U0ADA", proposal)
    assert schedule_id is not None
    return await stored(store, schedule_id)


async def stored(store: Stores, schedule_id: int) -> Schedule:
    schedule = await store.schedules.read(TEAM_ID, schedule_id)
    assert schedule is not None
    return schedule


async def run(store: Stores, schedule: Schedule) -> None:
    """Begins another run once the one before is over."""
    for _ in range(200):
        if await store.schedules.run_now(TEAM_ID, schedule.id, "U0ADA"):
            return
        await store.clock.sleep(0.05)
    raise AssertionError("a run is under way")


async def set_times(store: Stores, **times: float | None) -> None:
    """Sets due times of all schedules, however long ago."""
    async with store.database.begin_write() as connection:
        await connection.execute(sa.update(schedules).values(times))


def blocks(message: Message) -> str:
    return json.dumps(message.blocks, ensure_ascii=False)


def posts(stage: Stage, channel: str = "general") -> list[Message]:
    return [message for message in stage.bots(channel) if "Scheduled by" in blocks(message)]


async def posted(stage: Stage, number: int = 1, channel: str = "general") -> Message:
    """Waits for the post of a run, and for its answer; returns the post."""
    await stage.sandbox.wait_for(lambda: len(posts(stage, channel)) == number)
    post = posts(stage, channel)[-1]
    await answers(stage, post)
    return post


async def answers(stage: Stage, post: Message, number: int = 1) -> list[str]:
    _, *below = await stage.answers(post.channel, post.ts, 1 + number)
    return below


async def pause_notices(stage: Stage, *places: str) -> list[Message]:
    """Waits until each of these places has been told of one pause; returns the notices."""

    def told(place: str) -> list[Message]:
        return [message for message in stage.bots(place) if message.text.startswith("I paused a schedule of ")]

    await stage.sandbox.wait_for(lambda: all(map(told, places)))
    return [message for place in places for message in told(place)]


async def test_run_is_posted_in_its_place_and_answered_below(stage: Stage, another_process: Stores) -> None:
    stage.vendor.script(says(ANSWER))
    schedule = await created(another_process)
    await run(another_process, schedule)
    post = await posted(stage)
    assert WORDS in blocks(post)
    assert f"Scheduled by Ada · Every {AT_ITS_TIME}" in blocks(post)
    assert "later than planned" not in blocks(post)
    assert "<@" not in blocks(post)
    assert buttons(post) == [ScheduleAction.STOP]
    [(_, stop)] = interactive(post.blocks)
    assert stop["value"] == str(schedule.id)
    assert await answers(stage, post) == [ANSWER]


@pytest.mark.parametrize("way", ["list", "button", "words"])
async def test_everybody_sees_in_the_post_of_a_run_who_stopped_its_schedule(
    stage: Stage, another_process: Stores, way: str
) -> None:
    stage.vendor.script(says(ANSWER))
    schedule, ada = await created(another_process), stage.sandbox.client("ada")
    for number in (1, 2):
        await run(another_process, schedule)
        await posted(stage, number)
    clicked, newest = posts(stage)
    if way == "list":
        await ada.command("general", "/typist schedules")
        assert ada.modal is not None
        assert await ada.press_in_view(ada.modal, ScheduleAction.STOP)
    elif way == "button":
        assert await ada.press("general", clicked.ts, ScheduleAction.STOP)
    else:
        await stage.mention(f"stop schedule {schedule.id}")
    of_runs = [newest.ts, clicked.ts] if way == "button" else [newest.ts]

    def are_all(stopped: bool) -> bool:
        shown = [post for post in posts(stage) if post.ts in of_runs]
        return all((" · Stopped by Ada" in blocks(post)) is stopped is not bool(buttons(post)) for post in shown)

    await stage.sandbox.wait_for(lambda: are_all(stopped=True))
    assert await another_process.schedules.restore(TEAM_ID, schedule.id, "U0ADA", 0, clicked.ts)
    await stage.sandbox.wait_for(lambda: are_all(stopped=False))


async def test_due_run_is_begun_by_the_bot_itself(stage: Stage, another_process: Stores) -> None:
    now = another_process.clock.now()
    schedule = await created(another_process, Proposal(WORDS, Rule("UTC", at=now + 3600)))
    await set_times(another_process, once_at=now, next_at=now)
    post = await posted(stage)
    assert "Scheduled by <@U0ADA>" in blocks(post)
    assert blocks(post).count("<@") == 1, "a reminder notifies its creator, once"
    assert buttons(post) == [], "it is over"
    assert (await stored(another_process, schedule.id)).is_done
    await stage.settled()
    assert len(posts(stage)) == 1


async def test_missed_run_is_made_up_for_and_says_that_it_is_late(
    sandbox: Sandbox, vendor: VendorServer, settings: Settings, another_process: Stores
) -> None:
    now = another_process.clock.now()
    ten_minutes_ago = Rule("UTC", f"{datetime.fromtimestamp(now - 600, UTC):%M %H} * * *")
    schedule = await created(another_process, Proposal(WORDS, ten_minutes_ago))
    await set_times(another_process, next_at=ten_minutes_ago.due_after(now - 3 * DAY_S))
    async with running(settings):
        stage = Stage(sandbox, vendor)
        assert "later than planned" in blocks(await posted(stage))
        await stage.settled()
        assert len(posts(stage)) == 1
    assert (await stored(another_process, schedule.id)).next_at == ten_minutes_ago.due_after(now)


async def test_replies_continue_the_thread_of_a_run(stage: Stage, another_process: Stores) -> None:
    stage.vendor.script(says(ANSWER), says("By Alan."))
    await run(another_process, await created(another_process))
    post = await posted(stage)
    await stage.sandbox.say("ada", "general", "By whom?", post.ts)
    assert await answers(stage, post, 2) == [ANSWER, "By Alan."]
    asked = str(stage.prompts()[-1])
    assert WORDS in asked
    assert ANSWER in asked


@pytest.mark.bot(slack_search=True)
async def test_run_reads_what_happened_since_the_last_one_and_changes_nothing(
    sandbox: Sandbox, vendor: VendorServer, settings: Settings, another_process: Stores
) -> None:
    tools = Notes()
    vendor.script(by_results(reads(since="2026-01-01T00:00:00+00:00"), says(ANSWER)))
    stage = Stage(sandbox, vendor)
    await sandbox.say("grace", "general", "We launch on Friday")
    async with running(settings, tools=tools):
        schedule = await created(another_process)
        await run(another_process, schedule)
        await posted(stage)
        await run(another_process, schedule)
        await posted(stage, 2)
    [result, *_] = results_in(vendor.requests[1])
    assert "We launch on Friday" in result
    offered = {tool["function"]["name"] for request in vendor.requests for tool in request.body["tools"]}
    assert offered == {READ_CHANNEL, "notes__list"}
    first, *_, last = [str(request.body["messages"]) for request in vendor.requests]
    assert "There was no run before: it was created at" in first
    assert f"by the rule: every {AT_ITS_TIME}. The run before was at" in last
    assert "You do a task at a scheduled time." in last


async def test_creator_who_is_gone_pauses_the_schedule_and_is_told_once(stage: Stage, another_process: Stores) -> None:
    schedule = await created(another_process)
    stage.sandbox.workspace.leave("general", "ada")
    await run(another_process, schedule)
    for notice in await pause_notices(stage, "general", stage.sandbox.dm("ada")):
        assert texts.schedules.PAUSE_REASONS[PauseReason.NOT_IN_CHANNEL] in notice.text
        assert buttons(notice) == [ScheduleAction.RESUME, ScheduleAction.STOP]
    assert (await stored(another_process, schedule.id)).pause_reason is PauseReason.NOT_IN_CHANNEL
    assert posts(stage) == []
    assert stage.vendor.requests == []


async def test_run_that_a_quota_stops_says_so_once_with_the_next_time(stage: Stage, another_process: Stores) -> None:
    await stage.answers("general", await stage.mention(user="ada"))
    await another_process.caps.change(
        TEAM_ID, CapOwner(Scope.USER, "U0ADA"), {CapField.TOKENS_A_MONTH: 1.0}, by="U0GRACE"
    )
    schedule = await created(another_process)
    await run(another_process, schedule)

    def told() -> list[Message]:
        return [
            message for message in stage.bots("general") if message.text.startswith("I skipped the run scheduled for ")
        ]

    await stage.sandbox.wait_for(told)
    await stage.settled()
    [notice] = told()
    assert f"{texts.schedules.SKIP_REASONS['quota']}. Next: <!date^{int(schedule.next_at or 0)}^" in notice.text
    assert WORDS in blocks(notice)
    assert posts(stage) == []
    assert (await stored(another_process, schedule.id)).pause_reason is None


@pytest.mark.parametrize("in_day", [False, True], ids=["a run's", "a day's"])
async def test_run_that_uses_up_its_tokens_ends_and_pauses_its_schedule(
    stage: Stage, another_process: Stores, in_day: bool
) -> None:
    stage.vendor.script(reads())
    schedule = await created(another_process)
    most = 2 * speech.INPUT_TOKENS
    limits = (300_000, most) if in_day else (most, 300_000)
    assert await another_process.schedules.change(TEAM_ID, schedule.id, "U0ADA", DAILY, *limits)
    await run(another_process, schedule)
    used_up = texts.schedules.schedule_used_up(most, in_day=in_day)
    post = await posted(stage)
    await stage.sandbox.wait_for(lambda: shown(stage.bots("general", post.ts)[-1]) == used_up)
    await pause_notices(stage, "general", stage.sandbox.dm("ada"))
    assert (await stored(another_process, schedule.id)).pause_reason is PauseReason.CAP
