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
from bot.settings import Settings
from bot.store import Stores
from bot.store.database import create_engine
from bot.store.schema import jobs, listening
from slack_sandbox.server import Sandbox
from slack_sandbox.testing.gate import rounds
from slack_sandbox.workspace import Channel
from tests.scenarios.answers import on_record, press, rows
from tests.scenarios.conftest import Stage, buttons, grows, manifest, running, says, settings_of, shown
from tests.scenarios.outages import until
from tests.streams.server import VendorServer

pytestmark = pytest.mark.skips_waits

TEN_MINUTES, HOUR = 600.0, 3_600.0
ALMOST_TWO_HOURS, OVER_TWO_HOURS = 1.9 * HOUR, 2.1 * HOUR
WAITS_S = 1_200
HISTORY = "conversations.history"


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

    async def answered(self, channel: str, thread_ts: str | None, count: int = 1) -> None:
        """Waits until a place has so many answers, and checks that it has no other reply."""
        assert await self.stage.answers(channel, thread_ts, count, timeout_s=WAITS_S) == ["Because."] * count

    async def caught_up(self, looked_at: int = 1) -> dict[str, int]:
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
        jobs_on_record: Sequence[sa.Row[Any]] = await rows(self.settings, jobs)
        return sorted(row.ts for row in jobs_on_record)

    def lose_events(self) -> None:
        """Ends all deliveries, as Slack does after its last try."""
        self.sandbox.faults.start("silent")

    async def deliver_all_late(self) -> None:
        self.sandbox.faults.stop("silent")
        for delivery in list(self.sandbox.deliveries):
            if delivery.acked_at_s is None:
                self.sandbox.sockets.redeliver(delivery)
        await until(lambda: all(delivery.acked_at_s for delivery in self.sandbox.deliveries), "acknowledgments")

    def add_channels(self, count: int) -> None:
        """Adds channels with the bot, named many-000 and so on."""
        for number in range(count):
            members = [self.sandbox.bot_user_id, "U0ADA"]
            channel = Channel(f"C0MANY{number:03}", f"many-{number:03}", "channel", members, creator="U0ADA")
            self.sandbox.workspace.channels[channel.id] = channel


@pytest.fixture
async def sandbox() -> AsyncIterator[Sandbox]:
    loop = asyncio.get_running_loop()
    async with Sandbox(manifest=manifest(), monotonic=loop.time) as sandbox:
        yield sandbox


@pytest.fixture
async def absence(sandbox: Sandbox, vendor: VendorServer, tmp_path: Path) -> Absence:
    vendor.script(says("Because."))
    settings = replace(settings_of(sandbox, vendor), database_url=f"sqlite:///{tmp_path}/typist.db")
    absence = Absence(Stage(sandbox, vendor), settings, ToldClock())
    async with running(settings, absence.clock):
        await absence.listened(lambda row: row.heard_at)
    absence.lose_events()
    return absence


async def test_questions_of_ten_minutes_are_answered_wherever_they_were_asked(
    absence: Absence, sandbox: Sandbox
) -> None:
    root = await sandbox.say("grace", "random", "Look at this.")
    await sandbox.say("alan", "random", "Nice.", root)
    await sandbox.say("alan", "general", "nobody asked this")
    await sandbox.say("ada", sandbox.dm("ada"), "stop")
    mention = await absence.stage.mention()
    direct = await sandbox.say("grace", sandbox.dm("grace"), "why?")
    in_thread = await sandbox.say("ada", "random", "@typist why?", root)
    in_group = await sandbox.say("ada", "C0MPDM", "@typist why?")
    async with absence.back(TEN_MINUTES):
        await absence.answered("general", mention)
        await absence.answered(sandbox.dm("grace"), None)
        await absence.answered("random", root)
        await absence.answered("C0MPDM", in_group)
        tally = await absence.caught_up()
    assert (tally["answered"], tally["offered"], tally["unread"]) == (4, 0, 0)
    assert await absence.asked() == [mention, direct, in_thread, in_group], "the time of a stop is over"


async def test_answer_within_two_hours_begins_with_when_its_question_was_asked(absence: Absence) -> None:
    mention = await absence.stage.mention()
    async with absence.back(ALMOST_TWO_HOURS):
        assert await absence.stage.answers("general", mention) == [f"{texts.answers.asked_on(mention)}\nBecause."]


async def test_question_of_more_than_two_hours_is_offered_an_answer_and_answered_at_a_press(absence: Absence) -> None:
    mention = await absence.stage.mention()
    async with absence.back(OVER_TWO_HOURS):
        assert await absence.stage.answers("general", mention) == [texts.answers.late_offer(mention)]
        [offer] = absence.stage.bots("general", mention)
        assert buttons(offer) == [ReplyAction.REGENERATE]
        await on_record(absence.settings)
        assert absence.stage.vendor.requests == []
        await press(absence.stage, offer, ReplyAction.REGENERATE)
        await until(lambda: "Because." in shown(absence.stage.bots("general", mention)[0]), "the answer")
        [answer] = absence.stage.bots("general", mention)
        assert ReplyAction.PREVIOUS not in buttons(answer)
        assert (await absence.caught_up())["offered"] == 1


async def test_edited_question_is_answered_as_it_is_now_and_a_deleted_one_is_not(absence: Absence) -> None:
    edited, deleted = await absence.stage.mention("who?"), await absence.stage.mention("what?")
    await absence.sandbox.edit("general", edited, "@typist where?")
    await absence.sandbox.delete("general", deleted)
    async with absence.back(TEN_MINUTES):
        await absence.answered("general", edited)
        await absence.caught_up()
    assert await absence.asked() == [edited]
    assert [prompt[-1]["content"].endswith("where?") for prompt in absence.stage.prompts()] == [True]


async def test_what_slack_delivers_late_after_all_is_answered_once(absence: Absence) -> None:
    asked = [await absence.stage.mention() for _ in range(3)]
    async with absence.back(TEN_MINUTES):
        await absence.caught_up()
        await absence.deliver_all_late()
        for ts in asked:
            await absence.answered("general", ts)
    assert await absence.asked() == asked
    assert len(absence.stage.vendor.requests) == 3


@pytest.mark.long
async def test_what_was_answered_before_it_was_erased_is_left_alone(absence: Absence, sandbox: Sandbox) -> None:
    """The database doesn't know it anymore, as after a restore from a backup. Slack shows it."""
    stage, directly = absence.stage, sandbox.dm("ada")
    sandbox.faults.stop("silent")
    async with absence.back(0):
        mention = await stage.mention()
        root = await sandbox.say("grace", "random", "Look at this.")
        await sandbox.say("ada", "random", "@typist why?", root)
        told = await stage.mention("remember: we deploy on Tuesdays")
        await sandbox.say("ada", directly, "why?")
        placed = [("general", mention), ("random", root), ("general", told), (directly, None)]
        before = [await stage.answers(*place) for place in placed]
    await on_record(absence.settings)
    stores = await Stores.open(absence.settings.database_url, "admin", absence.clock)
    await stores.erasure.erase()
    await stores.close()
    absence.lose_events()
    missed = await stage.mention()
    again = await sandbox.say("ada", directly, "and why?")
    async with absence.back(TEN_MINUTES):
        await absence.answered("general", missed)
        assert await stage.answers(directly, None, 2) == ["Because."] * 2
        tally = await absence.caught_up()
        assert [await stage.answers(*place) for place in placed[:3]] == before[:3]
    assert (tally["answered"], tally["offered"]) == (2, 0)
    assert await absence.asked() == sorted([missed, again])


async def test_question_with_a_placeholder_that_nobody_knows_is_offered_an_answer(
    absence: Absence, sandbox: Sandbox
) -> None:
    sandbox.faults.stop("silent")
    released = asyncio.Event()
    absence.stage.vendor.script(grows("Because.", gates={2: released.wait}), says("Because."))
    async with absence.back(0, drain_s=0):
        asked = await sandbox.say("ada", sandbox.dm("ada"), "why?")
        await sandbox.wait_for(lambda: absence.stage.bots(sandbox.dm("ada")))
    engine = create_engine(absence.settings.database_url)
    async with engine.begin() as connection:
        await connection.execute(sa.delete(jobs))
    await engine.dispose()
    absence.lose_events()
    async with absence.back(TEN_MINUTES):
        assert (await absence.caught_up())["offered"] == 1
        await until(lambda: len(absence.stage.bots(sandbox.dm("ada"))) == 2, "the offer")
        assert shown(absence.stage.bots(sandbox.dm("ada"))[1]) == texts.answers.late_offer(asked)


@pytest.mark.long
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
        await absence.answered("general", heard_again)
        await absence.answered("general", lost)


@pytest.mark.long
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
        await absence.answered("general", lost)


@pytest.mark.long
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
            await absence.answered(sandbox.dm(user), None)
    assert await absence.asked() == asked
    read_again = {call.arguments.get("channel") for call in list(sandbox.calls)[calls:] if call.method == HISTORY}
    assert len(before & read_again) <= 1, "the place that was read as the process ended"


async def test_places_that_no_process_reached_in_time_are_counted_as_unread(
    absence: Absence, sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(catching_up, "CATCH_UP_TIMEOUT_S", 120.0)
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
    absence.add_channels(300)
    last = await absence.stage.mention(channel="many-299")
    async with absence.back(TEN_MINUTES):
        await absence.answered("many-299", last)
        tally = await absence.caught_up(looked_at=300)
    assert (tally["answered"], tally["offered"], tally["unread"]) == (1, 0, 0)
    assert [call.method for call in sandbox.calls if call.error == "ratelimited"] == []


@pytest.mark.long
@pytest.mark.parametrize("engine", rounds(["sqlite"], ["sqlite", "postgresql"]))
async def test_outages_of_any_kind_leave_each_question_one_reply(engine: Engine, tmp_path: Path) -> None:
    _, violations = await outages(seed=7, engine=engine, folder=tmp_path)
    assert violations == []
