"""Catching up: questions that nobody heard are answered or offered an answer, once, when Typist is back."""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from benchmarks.databases import Engine
from benchmarks.outages import ToldClock, outages
from bot.core import texts
from bot.core.actions import ReplyAction
from bot.services import catching_up
from bot.services.catching_up import KEPT_CALLS
from bot.settings import Settings
from bot.store.schema import jobs, listening
from sandbox.server import Sandbox
from sandbox.web_api.budgets import FLOORS, WINDOW_S
from sandbox.workspace import Channel
from tests.scenarios.answers import on_record, press, rows
from tests.scenarios.conftest import Stage, buttons, manifest, running, says, settings_of, shown
from tests.scenarios.outages import until
from tests.streams.server import VendorServer

pytestmark = pytest.mark.skips_waits

TEN_MINUTES, HOUR = 600.0, 3_600.0
ALMOST_TWO_HOURS, OVER_TWO_HOURS = 1.9 * HOUR, 2.1 * HOUR
WAITS_S = 1_200
HISTORY = "conversations.history"
READING = (HISTORY, "conversations.replies", "users.conversations")


@dataclass
class Absence:
    """A bot that was heard from, and then is away. `clock`: what its processes are told."""

    stage: Stage
    settings: Settings
    clock: ToldClock

    @property
    def sandbox(self) -> Sandbox:
        return self.stage.sandbox

    @asynccontextmanager
    async def back(self, after_s: float, **changes: object) -> AsyncIterator[None]:
        """Runs a process that comes back after this time."""
        self.clock.ahead_s += after_s
        async with running(replace(self.settings, **changes), self.clock):  # type: ignore[arg-type]
            yield

    async def caught_up(self, looked_at: int = 1) -> dict[str, int]:
        """Waits until the catch-up is over, and returns what it has done."""
        row = await self.listened(lambda row: row.report)
        tally: dict[str, int] = row.report["tally"]
        assert tally["looked_at"] >= looked_at
        return tally

    async def listened(self, condition: Callable[[sa.Row[Any]], object]) -> sa.Row[Any]:
        """Waits until the record of the catch-up meets a condition, and returns it."""
        for _ in range(WAITS_S):
            if found := [row for row in await rows(self.settings, listening) if condition(row)]:
                return found[0]
            await asyncio.sleep(1)
        raise AssertionError(f"waited {WAITS_S} s for a record: {await rows(self.settings, listening)}")

    async def asked(self) -> list[str]:
        """Returns the ts of all questions on record."""
        jobs_on_record: Sequence[sa.Row[Any]] = await rows(self.settings, jobs)
        return sorted(row.ts for row in jobs_on_record)

    def lose_events(self) -> None:
        """Ends all deliveries, as Slack does after its last try."""
        self.sandbox.faults.start("silent")

    async def deliver_all_late(self) -> None:
        """Has Slack deliver all lost events after all."""
        self.sandbox.faults.stop("silent")
        for delivery in list(self.sandbox.deliveries):
            if delivery.acked_at_s is None:
                self.sandbox.sockets.redeliver(delivery)
        await until(lambda: all(delivery.acked_at_s for delivery in self.sandbox.deliveries), "acknowledgments")

    def reading_calls(self) -> int:
        return sum(call.method in READING for call in self.sandbox.calls)


@pytest.fixture
async def sandbox() -> AsyncIterator[Sandbox]:
    loop = asyncio.get_running_loop()
    async with Sandbox(manifest=manifest(), monotonic=loop.time) as sandbox:
        yield sandbox


@pytest.fixture
async def absence(sandbox: Sandbox, vendor: VendorServer, tmp_path: Path) -> Absence:
    """Returns a bot that ran, and is down now."""
    vendor.script(says("Because."))
    settings = replace(settings_of(sandbox, vendor), database_url=f"sqlite:///{tmp_path}/typist.db")
    absence = Absence(Stage(sandbox, vendor), settings, ToldClock())
    async with running(settings, absence.clock):
        await absence.listened(lambda row: row.heard_at)
    absence.lose_events()
    return absence


def late(asked: str, answer: str = "Because.") -> str:
    return f"{texts.asked_on(asked)}\n{answer}"


async def test_questions_of_ten_minutes_are_answered_without_a_word_about_it(absence: Absence) -> None:
    mention = await absence.stage.mention()
    direct = await absence.sandbox.say("grace", absence.sandbox.dm("grace"), "why?")
    await absence.sandbox.say("alan", "general", "nobody asked this")
    async with absence.back(TEN_MINUTES):
        assert await absence.stage.answers("general", mention) == ["Because."]
        assert await absence.stage.answers(absence.sandbox.dm("grace"), None) == ["Because."]
        tally = await absence.caught_up()
    assert (tally["answered"], tally["offered"], tally["unread"]) == (2, 0, 0)
    assert await absence.asked() == [mention, direct]


async def test_answer_within_two_hours_begins_with_when_its_question_was_asked(absence: Absence) -> None:
    mention = await absence.stage.mention()
    async with absence.back(ALMOST_TWO_HOURS):
        assert await absence.stage.answers("general", mention) == [late(mention)]


async def test_question_of_more_than_two_hours_is_offered_an_answer_and_answered_at_a_press(absence: Absence) -> None:
    mention = await absence.stage.mention()
    async with absence.back(OVER_TWO_HOURS):
        assert await absence.stage.answers("general", mention) == [texts.offer_after_absence(mention)]
        [offer] = absence.stage.bots("general", mention)
        assert buttons(offer) == [ReplyAction.REGENERATE]
        await on_record(absence.settings)
        refused = await press(absence.stage, offer, ReplyAction.REGENERATE, "grace")
        assert refused == texts.ONLY_ASKER_ANSWERS_NOW
        assert absence.stage.vendor.requests == []
        await press(absence.stage, offer, ReplyAction.REGENERATE)
        await until(lambda: "Because." in shown(absence.stage.bots("general", mention)[0]), "the answer")
        [answer] = absence.stage.bots("general", mention)
        assert ReplyAction.PREVIOUS not in buttons(answer)
        assert (await absence.caught_up())["offered"] == 1


async def test_question_to_which_somebody_else_replied_is_offered_an_answer(absence: Absence) -> None:
    replied = await absence.stage.mention()
    await absence.sandbox.say("grace", "general", "Because I say so.", replied)
    by_asker = await absence.stage.mention()
    await absence.sandbox.say("ada", "general", "Nobody there?", by_asker)
    async with absence.back(TEN_MINUTES):
        await until(lambda: absence.stage.bots("general", replied), "the offer")
        assert await absence.stage.answers("general", replied) == [texts.offer_after_absence(replied)]
        assert await absence.stage.answers("general", by_asker) == ["Because."]


async def test_edited_question_is_answered_as_it_is_now_and_a_deleted_one_is_not(absence: Absence) -> None:
    edited, deleted = await absence.stage.mention("who?"), await absence.stage.mention("what?")
    await absence.sandbox.edit("general", edited, "@typist where?")
    await absence.sandbox.delete("general", deleted)
    async with absence.back(TEN_MINUTES):
        assert await absence.stage.answers("general", edited) == ["Because."]
        await absence.caught_up()
    assert await absence.asked() == [edited]
    assert [prompt[-1]["content"].endswith("where?") for prompt in absence.stage.prompts()] == [True]


async def test_what_slack_delivers_late_after_all_is_answered_once(absence: Absence) -> None:
    asked = [await absence.stage.mention() for _ in range(3)]
    async with absence.back(TEN_MINUTES):
        await absence.caught_up()
        await absence.deliver_all_late()
        for ts in asked:
            assert await absence.stage.answers("general", ts) == ["Because."]
    assert await absence.asked() == asked
    assert len(absence.stage.vendor.requests) == 3


async def test_mentions_in_threads_are_found(absence: Absence, sandbox: Sandbox) -> None:
    root = await sandbox.say("grace", "random", "Look at this.")
    await sandbox.say("alan", "random", "Nice.", root)
    asked = await sandbox.say("ada", "random", "@typist why?", root)
    async with absence.back(TEN_MINUTES):
        await until(lambda: absence.stage.bots("random", root), "the answer")
        assert await absence.stage.answers("random", root) == ["Because."]
    assert await absence.asked() == [asked]


async def test_mention_in_an_old_thread_is_found_where_the_bot_was_asked_before(
    absence: Absence, sandbox: Sandbox
) -> None:
    sandbox.faults.stop("silent")
    async with absence.back(0):
        root = await absence.stage.mention()
        await absence.stage.answers("general", root)
    async with absence.back(HOUR):
        await absence.caught_up()
    absence.lose_events()
    sandbox.workspace.set_time(float(root) + HOUR + 60)
    asked = await sandbox.say("ada", "general", "@typist and then?", root)
    async with absence.back(TEN_MINUTES):
        assert await absence.stage.answers("general", root, count=2) == ["Because."] * 2
    assert await absence.asked() == [root, asked]


async def test_mention_in_a_group_message_is_found(absence: Absence, sandbox: Sandbox) -> None:
    asked = await sandbox.say("ada", "C0MPDM", "@typist why?")
    async with absence.back(TEN_MINUTES):
        await until(lambda: absence.stage.bots("C0MPDM", asked), "the answer")
        assert await absence.stage.answers("C0MPDM", asked) == ["Because."]


async def test_stop_whose_time_is_over_is_no_question(absence: Absence, sandbox: Sandbox) -> None:
    await sandbox.say("ada", sandbox.dm("ada"), "stop")
    async with absence.back(TEN_MINUTES):
        await absence.caught_up()
    assert await absence.asked() == []


@pytest.mark.parametrize(
    ("after_s", "changes"), [(300.0, {}), (TEN_MINUTES, {"catch_up_hours": 0})], ids=["back in time", "turned off"]
)
async def test_nothing_is_read(absence: Absence, after_s: float, changes: dict[str, int]) -> None:
    await absence.stage.mention()
    before = absence.reading_calls()
    async with absence.back(after_s, **changes):
        await asyncio.sleep(60)
    assert absence.reading_calls() == before
    assert await absence.asked() == []


async def test_no_question_is_older_than_the_setting_says(absence: Absence) -> None:
    await absence.stage.mention()
    async with absence.back(13 * HOUR):
        await absence.caught_up()
    assert await absence.asked() == []


async def test_sockets_that_are_up_and_silent_are_an_absence_too(absence: Absence, sandbox: Sandbox) -> None:
    sandbox.faults.stop("silent")
    async with running(absence.settings, absence.clock):
        first = await absence.stage.mention()
        await absence.stage.answers("general", first)
        await asyncio.sleep(2 * catching_up.LOOK_S)
        absence.lose_events()
        lost = await absence.stage.mention()
        absence.clock.ahead_s += TEN_MINUTES
        await asyncio.sleep(60)
        assert absence.stage.bots("general", lost) == []
        sandbox.faults.stop("silent")
        heard_again = await absence.stage.mention("and now?")
        assert await absence.stage.answers("general", heard_again) == ["Because."]
        await until(lambda: absence.stage.bots("general", lost), "the answer")
        assert await absence.stage.answers("general", lost) == ["Because."]


async def test_time_in_which_slack_could_not_be_reached_is_an_absence_too(absence: Absence, sandbox: Sandbox) -> None:
    async with running(absence.settings, absence.clock):
        await asyncio.sleep(2 * catching_up.LOOK_S)
        for fault in ("unavailable", "error_500", "drop_socket"):
            sandbox.faults.start(fault)
        lost = await absence.stage.mention()
        absence.clock.ahead_s += TEN_MINUTES
        await asyncio.sleep(60)
        assert absence.stage.bots("general", lost) == []
        for fault in ("unavailable", "error_500"):
            sandbox.faults.stop(fault)
        assert await absence.stage.answers("general", lost, timeout_s=120) == ["Because."]


async def test_a_429_in_the_middle_loses_nothing(absence: Absence, sandbox: Sandbox) -> None:
    asked = await absence.stage.mention()
    direct = await sandbox.say("emmy", sandbox.dm("emmy"), "why?")
    sandbox.faults.start("rate_limit", method="conversations.history", times=2, retry_after_s=30)
    async with absence.back(TEN_MINUTES):
        assert await absence.stage.answers("general", asked, timeout_s=600) == ["Because."]
        assert (await absence.caught_up())["unread"] == 0
    assert await absence.asked() == [asked, direct]


async def test_catching_up_leaves_calls_of_each_minute_to_live_answers(absence: Absence, sandbox: Sandbox) -> None:
    for number in range(FLOORS[HISTORY]):
        members = [sandbox.bot_user_id, "U0ADA"]
        channel = Channel(f"C0MANY{number:03}", f"many-{number:03}", "channel", members, creator="U0ADA")
        sandbox.workspace.channels[channel.id] = channel
    async with absence.back(TEN_MINUTES):
        await absence.caught_up(looked_at=FLOORS[HISTORY])
    read_at = [call.at_monotonic_s for call in sandbox.calls if call.method == HISTORY]
    in_first_minute = sum(at < read_at[0] + WINDOW_S for at in read_at)
    assert in_first_minute == FLOORS[HISTORY] - KEPT_CALLS


async def test_live_answer_has_the_next_calls_after_a_429(absence: Absence, sandbox: Sandbox) -> None:
    retry_after_s = 30
    sandbox.faults.start("rate_limit", method=HISTORY, times=1, retry_after_s=retry_after_s)
    async with absence.back(TEN_MINUTES):
        await until(lambda: absence.stage.calls(HISTORY), "the 429")
        sandbox.faults.stop("silent")
        # The answer to a bare mention reads the channel.
        asked = await absence.stage.mention("?", "random")
        assert await absence.stage.answers("random", asked, timeout_s=120) == ["Because."]
        assert (await absence.caught_up())["unread"] == 0
    limited, live, again, *_ = absence.stage.calls(HISTORY)
    assert (limited.error, live.arguments.get("latest"), again.error) == ("ratelimited", asked, None)
    assert again.at_monotonic_s - limited.at_monotonic_s > 2 * retry_after_s


@pytest.mark.long
async def test_slack_that_fails_for_minutes_is_asked_again(absence: Absence, sandbox: Sandbox) -> None:
    asked = await absence.stage.mention()
    sandbox.faults.start("error_500", method="conversations.history")
    async with absence.back(TEN_MINUTES):
        await asyncio.sleep(120)
        sandbox.faults.stop("error_500")
        assert await absence.stage.answers("general", asked, timeout_s=120) == ["Because."]
        assert (await absence.caught_up())["unread"] == 0


async def test_conversation_that_slack_never_gives_is_given_up_and_counted_as_unread(
    absence: Absence, sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(catching_up, "WITHIN_S", 300.0)
    asked = await absence.stage.mention(channel="random")
    sandbox.faults.start("error_500", method=HISTORY, containing="C0GENERAL")
    async with absence.back(TEN_MINUTES):
        assert await absence.stage.answers("random", asked) == ["Because."]
        assert (await absence.caught_up())["unread"] == 1


async def test_channel_that_closes_meanwhile_is_counted_as_unread(absence: Absence, sandbox: Sandbox) -> None:
    asked = await absence.stage.mention(channel="random")
    sandbox.faults.start("refuse", method="conversations.history", containing="C0GENERAL", error="not_in_channel")
    async with absence.back(TEN_MINUTES):
        assert await absence.stage.answers("random", asked) == ["Because."]
        assert (await absence.caught_up())["unread"] == 1


async def test_two_processes_at_once_answer_each_question_once(absence: Absence) -> None:
    asked = [await absence.stage.mention() for _ in range(5)]
    async with absence.back(TEN_MINUTES), absence.back(0):
        await absence.caught_up()
        for ts in asked:
            assert await absence.stage.answers("general", ts) == ["Because."]
    assert len(absence.stage.vendor.requests) == 5


async def test_catch_up_goes_on_where_a_process_ended(absence: Absence, sandbox: Sandbox) -> None:
    people = "ada", "grace", "alan"
    asked = [await sandbox.say(user, sandbox.dm(user), "why?") for user in people]
    sandbox.faults.start("slow", method="conversations.history", delay_s=3.0)

    async with absence.back(TEN_MINUTES):
        row = await absence.listened(lambda row: len(row.progress.get("done", ())) >= 2)
        before = set(row.progress["done"])
    sandbox.faults.stop("slow")
    calls = len(sandbox.calls)
    async with absence.back(60, done_mention_s=0):
        await absence.caught_up()
        for user in people:
            assert await absence.stage.answers(sandbox.dm(user), None) == ["Because."]
    assert await absence.asked() == asked
    read_again = {call.arguments.get("channel") for call in list(sandbox.calls)[calls:] if call.method == HISTORY}
    assert len(before & read_again) <= 1, "the place that was read as the process ended"


async def test_places_that_no_process_reached_in_time_are_counted_as_unread(
    absence: Absence, sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(catching_up, "WITHIN_S", 120.0)
    sandbox.faults.start("slow", method=HISTORY, delay_s=3.0)
    async with absence.back(TEN_MINUTES):
        await absence.listened(lambda row: row.progress.get("done"))
    async with absence.back(150):
        tally = await absence.caught_up()
    members = [channel.members for channel in sandbox.workspace.channels.values()]
    assert tally["unread"] > 0
    assert tally["looked_at"] + tally["unread"] == sum(sandbox.bot_user_id in ids for ids in members)


@pytest.mark.long
async def test_three_hundred_channels_are_read_within_slacks_limits(absence: Absence, sandbox: Sandbox) -> None:
    members = [sandbox.bot_user_id, "U0ADA"]
    for number in range(300):
        channel = Channel(f"C0MANY{number:03}", f"many-{number:03}", "channel", list(members), creator="U0ADA")
        sandbox.workspace.channels[channel.id] = channel
    last = await absence.stage.mention(channel="many-299")
    async with absence.back(TEN_MINUTES):
        assert await absence.stage.answers("many-299", last, timeout_s=1_200) == ["Because."]
        tally = await absence.caught_up(looked_at=300)
    assert (tally["answered"], tally["offered"], tally["unread"]) == (1, 0, 0)
    assert [call.method for call in sandbox.calls if call.error == "ratelimited"] == []


@pytest.mark.long
@pytest.mark.parametrize("engine", ["sqlite", "postgresql"])
async def test_outages_of_any_kind_leave_each_question_one_reply(engine: Engine, tmp_path: Path) -> None:
    _, violations = await outages(seed=7, engine=engine, folder=tmp_path)
    assert violations == []
