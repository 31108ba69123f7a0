"""A workspace's budget that several processes share through the database, and its limits against the sandbox's."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

import pytest

from bot.store import Stores
from slack_pacing.budget import APPENDS, CALLS_PER_MINUTE, FIRST_WORDS, REPLIES, STARTS, WATCH_INTERVAL_S, RateBudget
from slack_pacing.pacer import Urgency
from slack_pacing.posts import CERTAIN_POSTS, LEARNED_FOR_S, POST_BURST
from slack_pacing.rates import WINDOW_S
from slack_sandbox.web_api.budgets import FLOORS
from tests.clocks import SteppedClock

UPDATE, POST, APPEND, READ = REPLIES, FIRST_WORDS, APPENDS, "conversations.replies"
RETRY_AFTER_S = 30.0


@pytest.mark.parametrize("method", ["conversations.info", "chat.getPermalink", "users.conversations"])
def test_calls_that_read_have_a_budget(method: str) -> None:
    assert method in CALLS_PER_MINUTE


def test_no_budget_is_larger_than_what_slack_takes() -> None:
    assert {method for method, calls in CALLS_PER_MINUTE.items() if calls > FLOORS[method]} == set()


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
        self.budget.on_send(method, self.now, None, channel_id)
        self.budget.on_rate_limit(method, RETRY_AFTER_S, channel_id)
        self.budget.on_end(method, channel_id)

    async def is_granted(self, method: str, channel_id: str = "") -> bool:
        """Asks for a call, which then doesn't leave."""
        self.budget.on_send(method, self.now, None, channel_id)
        granted = await self.budget.take_call(method, channel_id)
        self.budget.on_withdrawn(method, channel_id)
        return granted

    def edits_at_once(self) -> int:
        """Makes edits of an answer that goes on until one would have to wait; returns how many that were."""
        edits = 0
        while self.budget.ready_at(UPDATE, self.now, Urgency.PROGRESS, None) <= self.now:
            edits += 1
            self.budget.on_send(UPDATE, self.now, None)
        return edits

    def goes_in_s(self, method: str) -> float:
        """Returns how long the end of an answer would wait."""
        return self.budget.ready_at(method, self.now, Urgency.FINAL, None) - self.now

    def posts_at_once(self, channel_id: str, most: int = POST_BURST, *, are_answered: bool = True) -> int:
        """Posts until a post would have to wait; returns how many that were. Slack takes them, or is still silent."""
        posts = 0
        while posts < most and self.budget.post_ready_at(POST, channel_id, self.now) <= self.now:
            posts += 1
            self.budget.on_send(POST, self.now, None, channel_id)
            if are_answered:
                self.budget.on_end(POST, channel_id)
        return posts


@asynccontextmanager
async def running(url: str, worker: str, now_s: float = 0.0) -> AsyncIterator[Process]:
    """Starts a process and ends it, as a deployment does."""
    clock = SteppedClock(1_700_000_000.0 + now_s)
    stores = await Stores.open(url, worker, clock)
    budget = RateBudget(stores.rate_ledger, clock)
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
        await ours.passes(WATCH_INTERVAL_S)
        assert theirs.goes_in_s(method) == 0
        assert not await theirs.is_granted(method, "C3"), "the reservation tells it"
        assert theirs.goes_in_s(method) == RETRY_AFTER_S


async def test_burst_that_one_process_was_refused_is_not_tried_by_the_other_one(shared_url: str) -> None:
    async with running(shared_url, "w1") as ours, running(shared_url, "w2") as theirs:
        for process, channel_id in ((ours, "C1"), (theirs, "C2")):
            process.posts_at_once(channel_id, CERTAIN_POSTS)
        ours.refused(POST, "C1")
        await ours.passes(WATCH_INTERVAL_S)
        assert theirs.posts_at_once("C2", 1, are_answered=False) == 1
        theirs.budget.on_withdrawn(POST, "C2")
        assert [await theirs.is_granted(POST, "C2") for _ in range(2)] == [False, True]
        assert theirs.posts_at_once("C2") == 0


@pytest.mark.parametrize("method", [UPDATE, STARTS])
async def test_call_that_was_granted_and_never_left_is_given_back_within_a_second(shared_url: str, method: str) -> None:
    """A process whose lease has lapsed meanwhile sends nothing."""
    async with running(shared_url, "w1") as ours, running(shared_url, "w2") as theirs:
        for number in range(CALLS_PER_MINUTE[method]):
            assert await ours.is_granted(method, f"C{number}")
        assert not await theirs.is_granted(method, "C0")
        ours.budget.on_send(method, ours.now, None, "C1")
        ours.budget.on_withdrawn(method, "C1", was_granted=True)
        await ours.passes(WATCH_INTERVAL_S)
        await theirs.passes(WATCH_INTERVAL_S)
        assert await theirs.is_granted(method, "C1")


async def test_live_replies_hear_of_another_processes_429_within_a_second(shared_url: str) -> None:
    async with running(shared_url, "w1") as ours, running(shared_url, "w2") as theirs:
        theirs.budget.on_reply_opened("a")
        ours.refused(UPDATE)
        await ours.passes(WATCH_INTERVAL_S)
        await theirs.passes(WATCH_INTERVAL_S)
        assert theirs.goes_in_s(UPDATE) == RETRY_AFTER_S - WATCH_INTERVAL_S
        for _ in range(40):
            await theirs.passes(WATCH_INTERVAL_S)
        assert theirs.budget.spare_calls(UPDATE) == 50 * 41 // 60 - 1, (
            "calls come back from the 429 on, one is the reply's"
        )


async def test_one_429_halves_the_budget_of_two_processes_once(shared_url: str) -> None:
    """The other process's calls in flight are refused as well, before and after it has heard of the first 429."""
    async with running(shared_url, "w1") as ours, running(shared_url, "w2") as theirs:
        for process in (ours, theirs):
            await process.passes(3_600)
        ours.refused(UPDATE)
        theirs.refused(UPDATE)
        for process in (ours, theirs, ours):
            await process.passes(WATCH_INTERVAL_S)
            await process.is_granted(UPDATE)
        theirs.refused(UPDATE)
        for process in (ours, theirs):
            await process.passes(2 * WINDOW_S)
            assert process.edits_at_once() in range(30, 36), "25 a minute, and five more after each of two minutes"


@pytest.mark.parametrize("down_s", [0.0, 10.0, 86_400.0])
async def test_restarted_process_waits_as_long_as_slack_said(shared_url: str, down_s: float) -> None:
    async with running(shared_url, "w1") as before:
        before.refused(UPDATE)
    async with running(shared_url, "w2", down_s) as after:
        assert after.goes_in_s(UPDATE) == max(0.0, RETRY_AFTER_S - down_s)


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
