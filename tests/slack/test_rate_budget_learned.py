"""What Slack's answers taught one process, in another one and after a restart: budgets on one real database."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

import pytest

from bot.core.pacing import CERTAIN_POSTS, LEARNED_FOR_S, POST_BURST, WINDOW_S, Learned, Urgency
from bot.slack.rate_budget import FOLLOW_S, IN_CHANNEL, RateBudget
from bot.store import Stores
from tests.clocks import SteppedClock
from tests.simulated_time import run_simulated
from tests.slack.schedules import LoneLedger, watching

UPDATE, POST, APPEND, READ = "chat.update", "chat.postMessage", "chat.appendStream", "conversations.replies"
RETRY_AFTER_S = 30.0


@dataclass
class Process:
    """A budget on a database, and the loop that follows other processes."""

    budget: RateBudget
    clock: SteppedClock

    @property
    def now(self) -> float:
        return self.clock.now_s

    async def passes(self, seconds: float) -> None:
        """Lets time pass, and one round of the loop."""
        self.clock.advance(seconds)
        await self.clock.slept.get()

    def refused(self, method: str, channel_id: str = "") -> None:
        """Sends a call that Slack answers with a 429."""
        self.budget.sent(method, self.now, None, channel_id)
        self.budget.limited(method, RETRY_AFTER_S, channel_id)
        self.budget.answered(method, channel_id)

    async def is_granted(self, method: str, channel_id: str = "") -> bool:
        """Asks for a call, which then doesn't leave."""
        self.budget.sent(method, self.now, None, channel_id)
        granted = await self.budget.take(method, channel_id)
        self.budget.withdrawn(method, channel_id)
        return granted

    def goes_in_s(self, method: str) -> float:
        """Returns how long the end of an answer would wait."""
        return self.budget.ready_at(method, self.now, Urgency.FINAL, None) - self.now

    def posts_at_once(self, channel_id: str, most: int = POST_BURST, *, are_answered: bool = True) -> int:
        """Posts until a post would have to wait; returns how many that were. Slack takes them, or is still silent."""
        posts = 0
        while posts < most and self.budget.post_at(POST, channel_id, self.now) <= self.now:
            posts += 1
            self.budget.sent(POST, self.now, None, channel_id)
            if are_answered:
                self.budget.answered(POST, channel_id)
        return posts


@asynccontextmanager
async def running(url: str, worker: str, now_s: float = 0.0, edit_budget: int = 50) -> AsyncIterator[Process]:
    """Starts a process and ends it, as a deployment does."""
    clock = SteppedClock(1_700_000_000.0 + now_s)
    stores = await Stores.open(url, worker, clock)
    budget = RateBudget(stores.rate_ledger, clock, edit_budget)
    watching = asyncio.create_task(budget.watch())
    await clock.slept.get()
    try:
        yield Process(budget, clock)
    finally:
        watching.cancel()
        await asyncio.wait((watching,))
        await stores.close()


@pytest.mark.parametrize("method", [UPDATE, APPEND, POST, READ])
async def test_429_of_one_process_holds_back_the_others_call_too(shared_url: str, method: str) -> None:
    async with running(shared_url, "w1") as ours, running(shared_url, "w2") as theirs:
        # Two channels, so that a 429 of posts is the workspace's.
        ours.refused(method, "C1")
        ours.refused(method, "C2")
        await ours.passes(FOLLOW_S)
        assert theirs.goes_in_s(method) == 0
        assert not await theirs.is_granted(method, "C3"), "the reservation tells it"
        assert theirs.goes_in_s(method) == RETRY_AFTER_S


async def test_burst_that_one_process_was_refused_is_not_tried_by_the_other_one(shared_url: str) -> None:
    async with running(shared_url, "w1") as ours, running(shared_url, "w2") as theirs:
        for process, channel_id in ((ours, "C1"), (theirs, "C2")):
            process.posts_at_once(channel_id, CERTAIN_POSTS)
        ours.refused(POST, "C1")
        await ours.passes(FOLLOW_S)
        assert theirs.posts_at_once("C2", 1, are_answered=False) == 1
        theirs.budget.withdrawn(POST, "C2")
        assert [await theirs.is_granted(POST, "C2") for _ in range(2)] == [False, True]
        assert theirs.posts_at_once("C2") == 0


async def test_live_replies_hear_of_another_processes_429_within_a_second(shared_url: str) -> None:
    async with running(shared_url, "w1") as ours, running(shared_url, "w2") as theirs:
        theirs.budget.opened("a")
        ours.refused(UPDATE)
        await ours.passes(FOLLOW_S)
        await theirs.passes(FOLLOW_S)
        assert theirs.goes_in_s(UPDATE) == RETRY_AFTER_S - FOLLOW_S
        for _ in range(40):
            await theirs.passes(FOLLOW_S)
        assert theirs.budget.spare(UPDATE) == 50 * 41 // 60 - 1, "calls come back from the 429 on, one is the reply's"


async def test_one_429_halves_the_budget_of_two_processes_once(shared_url: str) -> None:
    """The other process's calls in flight are refused as well, before and after it has heard of the first 429."""
    async with running(shared_url, "w1", edit_budget=200) as ours, running(shared_url, "w2", edit_budget=200) as theirs:
        for process in (ours, theirs):
            await process.passes(3_600)
        ours.refused(UPDATE)
        theirs.refused(UPDATE)
        for process in (ours, theirs, ours):
            await process.passes(FOLLOW_S)
            await process.is_granted(UPDATE)
        theirs.refused(UPDATE)
        for process in (ours, theirs):
            await process.passes(2 * WINDOW_S)
            assert process.budget.spare(UPDATE) in range(105, 115)


@pytest.mark.parametrize("down_s", [0.0, 10.0, 86_400.0])
async def test_restarted_process_waits_as_long_as_slack_said(shared_url: str, down_s: float) -> None:
    async with running(shared_url, "w1") as before:
        before.refused(UPDATE)
    async with running(shared_url, "w2", down_s) as after:
        assert after.goes_in_s(UPDATE) == max(0.0, RETRY_AFTER_S - down_s)


async def test_restarted_process_begins_with_the_budget_that_quiet_minutes_raised(shared_url: str) -> None:
    for number, (now_s, edits, appends) in enumerate([(0, 50, 100), (60, 55, 110), (300, 75, 150), (3_600, 100, 200)]):
        async with running(shared_url, f"w{number}", now_s, edit_budget=100) as process:
            assert [process.budget.spare(method) for method in (UPDATE, APPEND)] == [edits, appends]


async def test_restarted_process_tries_no_burst_that_slack_refused_within_the_hour(shared_url: str) -> None:
    async with running(shared_url, "w1") as before:
        before.posts_at_once("C1", CERTAIN_POSTS)
        before.refused(POST, "C1")
    for down_s, posts in ((0.0, CERTAIN_POSTS), (LEARNED_FOR_S - 1, CERTAIN_POSTS), (LEARNED_FOR_S, POST_BURST)):
        async with running(shared_url, f"after {down_s}", down_s) as after:
            assert after.posts_at_once("C2") == posts


async def test_burst_that_slack_took_is_certain_after_a_restart(shared_url: str) -> None:
    async with running(shared_url, "w1") as before:
        assert before.posts_at_once("C2", are_answered=False) == CERTAIN_POSTS
        assert before.posts_at_once("C1") == POST_BURST
    async with running(shared_url, "w2") as after:
        assert after.posts_at_once("C1", are_answered=False) == POST_BURST


def test_429_while_the_database_is_away_is_told_with_its_age_when_it_is_back() -> None:
    async def run() -> tuple[dict[str, Learned], Learned]:
        ledger = LoneLedger()
        async with watching(ledger) as budget:
            await asyncio.sleep(10)
            ledger.is_away = True
            budget.limited(UPDATE, RETRY_AFTER_S)
            await asyncio.sleep(100)
            while_away = dict(ledger.learned)
            ledger.is_away = False
            await asyncio.sleep(2 * FOLLOW_S)
        return while_away, ledger.learned[UPDATE]

    assert run_simulated(run()) == ({}, Learned(25.0, at=10.0, held_until=40.0))


@pytest.mark.parametrize(
    ("theirs_at", "newest"), [(100.0, Learned(25.0, 200.0, 230.0)), (201.0, Learned(40.0, 201.0, 201.0))]
)
def test_newest_of_what_two_processes_learned_while_the_database_was_away_stays(
    theirs_at: float, newest: Learned
) -> None:
    async def run() -> Learned:
        ledger = LoneLedger()
        async with watching(ledger) as budget:
            await asyncio.sleep(200)
            budget.limited(UPDATE, RETRY_AFTER_S)
            ledger.learned[UPDATE] = Learned(40.0, theirs_at, theirs_at)
            assert await budget.take(READ), "the record is read"
            await asyncio.sleep(2 * FOLLOW_S)
        return ledger.learned[UPDATE]

    assert run_simulated(run()) == newest


def test_each_lesson_is_recorded_once() -> None:
    async def run() -> list[set[str]]:
        ledger = LoneLedger(learned={READ: Learned(20.0, 0.0, 10.0)})
        recorded = []
        async with watching(ledger) as budget:
            await asyncio.sleep(FOLLOW_S / 2)
            for limited in ([], [UPDATE], [], [UPDATE, POST], []):
                ledger.learned.clear()
                await asyncio.sleep(200)
                for method in limited:
                    budget.limited(method, RETRY_AFTER_S, "C1")
                await asyncio.sleep(2 * FOLLOW_S)
                assert await budget.take("chat.delete"), "the record is read"
                recorded.append(set(ledger.learned))
        return recorded

    assert run_simulated(run()) == [set(), {UPDATE}, set(), {UPDATE, IN_CHANNEL}, set()]
