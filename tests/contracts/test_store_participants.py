"""Who asks how much: a person's jobs under way, what is set aside and used, and what people are told once."""

import asyncio
from collections.abc import Sequence
from dataclasses import replace

import pytest
import sqlalchemy as sa

from bot.core.conversation import Job, Question
from bot.core.job import EndReason, Outcome, Spent
from bot.core.limits.access import BotQuestions
from bot.core.limits.caps import Amount, Cap, CapRoom, CapWindow, Period, Scope, Spender
from bot.core.limits.prices import cost_usd
from bot.core.stream import Usage
from bot.ports.clock import SystemClock
from bot.store import Stores
from bot.store.schema import jobs, usage_totals
from tests.contracts.stores import DONE, THREAD, Workers, apart, asked, count, enqueued
from tests.contracts.test_store_states import ToldClock

pytest_plugins = ["tests.contracts.databases"]

MODEL = "openai/gpt-6.1-sol"
USAGE = Usage(1_000, 200)
COST_USD = cost_usd(MODEL, USAGE) or 0.0
ANSWERED = replace(DONE, model=MODEL, usage=USAGE)
WINDOWS = [CapWindow(scope, period) for scope in Scope for period in Period]
DAY = CapWindow(Scope.USER, Period.DAY)
CAP = Cap(DAY, 5_000, in_dollars=False)
MOST = Amount(2_000, 1.0)
"""What one answer may use."""


def by(user_id: str, number: int) -> Question:
    return replace(apart(number), user_id=user_id)


def spender(question: Question) -> Spender:
    return Spender(question.thread.team_id, question.user_id, question.thread.channel_id)


async def under_way(store: Stores, number: int) -> Job:
    await enqueued(store, apart(number))
    [job] = await store.worker_queue.claim(1)
    return job


class TestPerson:
    @pytest.fixture
    async def stores(self, shared_url: str) -> Sequence[Stores]:
        return [await Stores.open(shared_url, f"w{n}", SystemClock(), most_per_user=2) for n in range(3)]

    async def test_has_no_more_under_way_than_one_may_and_holds_nobody_up(self, stores: Sequence[Stores]) -> None:
        for number in range(8):
            await enqueued(stores[0], by("U1", number))
        for number in range(8, 10):
            await enqueued(stores[0], by("U2", number))
        first = await stores[0].worker_queue.claim(3)
        rest = await stores[1].worker_queue.claim(9)
        assert sorted(job.question.user_id for job in first + rest) == ["U1", "U1", "U2", "U2"]
        assert [job.question.ts for job in first[:2]] == [apart(0).ts, apart(1).ts]
        assert await stores[2].worker_queue.claim(9) == []
        await stores[0].worker_queue.finish(first[0], DONE)
        assert [job.question.ts for job in await stores[2].worker_queue.claim(9)] == [apart(2).ts]
        for store in stores:
            await store.close()

    async def test_neither_when_several_processes_claim_at_once(self, stores: Sequence[Stores]) -> None:
        for number in range(12):
            await enqueued(stores[0], by(f"U{number % 2}", number))
        claimed: list[Job] = []
        for _ in range(6):
            rounds = await asyncio.gather(*(store.worker_queue.claim(9) for store in stores))
            assert sum(len(each) for each in rounds) <= 4
            async with stores[0].database.engine.begin() as connection:
                live = sa.select(jobs.c.user_id, sa.func.count()).where(jobs.c.status == "running")
                assert all(number <= 2 for _, number in await connection.execute(live.group_by(jobs.c.user_id)))
            for store, taken in zip(stores, rounds, strict=True):
                claimed += taken
                await asyncio.gather(*(store.worker_queue.finish(job, DONE) for job in taken))
        assert len(claimed) == 12
        for store in stores:
            await store.close()

    async def test_is_told_to_wait(self, stores: Sequence[Stores]) -> None:
        taken = [await stores[0].queue.enqueue(f"Ev{n}", by("U1", n)) for n in range(3)]
        other = await stores[1].queue.enqueue("Ev3", by("U2", 3))
        assert [bool(each and each.waiting) for each in (*taken, other)] == [False, False, True, False]
        at_once = await asyncio.gather(*(stores[2].queue.enqueue(f"Ev3{n}", by("U3", 30 + n)) for n in range(4)))
        assert [bool(each and each.waiting) for each in at_once] == [False, False, True, True]
        for store in stores:
            await store.close()


class TestSpending:
    async def test_what_an_answer_used_counts_for_its_asker_its_channel_and_the_workspace(self, store: Stores) -> None:
        assert await store.worker_queue.finish(await under_way(store, 1), ANSWERED)
        assert await store.worker_queue.finish(await under_way(store, 2), ANSWERED)
        spent = await store.usage.used(spender(apart(2)), WINDOWS)
        once, twice = Amount(1_200, COST_USD), Amount(2_400, 2 * COST_USD)
        assert spent == {window: once if window.scope is Scope.CHANNEL else twice for window in WINDOWS}
        assert await store.usage.used(Spender("T1", "U9", "C9"), [DAY]) == {DAY: Amount()}

    async def test_a_day_ends_and_a_month_goes_on(self, database_url: str) -> None:
        clock = ToldClock()
        store = await Stores.open(database_url, "w1", clock)
        await store.worker_queue.finish(await under_way(store, 1), ANSWERED)
        clock.time_s += 86_400
        spent = await store.usage.used(spender(apart(1)), WINDOWS)
        assert {window.period for window, amount in spent.items() if amount.tokens} == {Period.MONTH}
        clock.time_s += 31 * 86_400
        assert set((await store.usage.used(spender(apart(1)), WINDOWS)).values()) == {Amount()}
        clock.time_s += 62 * 86_400
        await store.erasure.expire(0)
        assert await count(store, usage_totals) == 0
        await store.close()

    async def test_an_attempt_that_was_handed_over_counts_by_estimate(self, store: Stores) -> None:
        job = await under_way(store, 1)
        await store.worker_queue.heartbeat({job: Spent(1_000, 200, MODEL)})
        assert await store.worker_queue.release(job)
        assert await store.usage.used(spender(apart(1)), [DAY]) == {DAY: Amount(1_200, COST_USD)}

    async def test_so_does_one_that_was_taken_over(self, shared_url: str) -> None:
        clock = ToldClock()
        opened = [await Stores.open(shared_url, name, clock) for name in ("w1", "w2")]
        dead, other = (Stores(one.database.engine, name, clock) for one, name in zip(opened, ("w1", "w2"), strict=True))
        job = await under_way(dead, 1)
        await dead.usage.reserve(job, MOST, [CAP])
        await dead.worker_queue.heartbeat({job: Spent(1_000, 200, MODEL)})
        while not (again := await other.worker_queue.claim(1)):
            clock.time_s += 1
        assert await other.usage.used(spender(apart(1)), [DAY]) == {DAY: Amount(1_200, COST_USD)}
        assert await other.usage.reserve(again[0], Amount(3_799), [CAP]) == CapRoom()
        await other.worker_queue.finish(again[0], ANSWERED)
        assert await other.usage.used(spender(apart(1)), [DAY]) == {DAY: Amount(2_400, 2 * COST_USD)}
        await dead.database.engine.dispose()
        await other.database.engine.dispose()

    async def test_a_late_end_counts_nothing(self, store: Stores) -> None:
        job = await under_way(store, 1)
        await store.worker_queue.release(job)
        assert not await store.worker_queue.finish(job, ANSWERED)
        assert await store.usage.used(spender(apart(1)), [DAY]) == {DAY: Amount()}

    async def test_a_person_who_is_forgotten_leaves_no_sum_with_their_name(self, store: Stores) -> None:
        await store.worker_queue.finish(await under_way(store, 1), ANSWERED)
        await store.notices.claim("T1", "U1", "denied")
        await store.erasure.erase(user_id="U1")
        spent = await store.usage.used(spender(apart(1)), WINDOWS)
        assert {window.scope for window, amount in spent.items() if amount.tokens} == {Scope.CHANNEL, Scope.WORKSPACE}
        assert await store.notices.claim("T1", "U1", "denied")
        await store.erasure.erase()
        assert await count(store, usage_totals) == 0

    async def test_nor_does_the_end_of_what_they_asked(self, store: Stores) -> None:
        job = await under_way(store, 1)
        await store.erasure.erase(user_id="U1")
        await store.worker_queue.finish(job, ANSWERED)
        assert await count(store, usage_totals) == 0


class TestReserving:
    async def test_what_is_set_aside_is_not_there_for_others_until_its_job_ends(self, store: Stores) -> None:
        jobs_under_way = [await under_way(store, number) for number in range(4)]
        rooms = [await store.usage.reserve(job, MOST, [CAP]) for job in jobs_under_way]
        assert rooms == [CapRoom(), CapRoom(), CapRoom(), CapRoom(held=CAP)]
        await store.worker_queue.finish(jobs_under_way[0], ANSWERED)
        assert await store.usage.reserve(jobs_under_way[3], MOST, [CAP]) == CapRoom(held=CAP)
        await store.worker_queue.finish(jobs_under_way[1], ANSWERED)
        assert await store.usage.reserve(jobs_under_way[3], MOST, [CAP]) == CapRoom()
        assert await store.usage.reserve(jobs_under_way[3], MOST, [CAP]) == CapRoom()

    async def test_what_is_used_up_is_not_waited_for(self, store: Stores) -> None:
        await store.worker_queue.finish(await under_way(store, 1), replace(ANSWERED, usage=Usage(5_000, 0)))
        assert await store.usage.reserve(await under_way(store, 2), MOST, [CAP]) == CapRoom(reached=CAP)

    async def test_dollars_are_capped_as_tokens_are(self, store: Stores) -> None:
        cap = Cap(CapWindow(Scope.WORKSPACE, Period.MONTH), COST_USD + 0.5, in_dollars=True)
        await store.worker_queue.finish(await under_way(store, 1), ANSWERED)
        second, third = await under_way(store, 2), await under_way(store, 3)
        assert await store.usage.reserve(second, MOST, [cap]) == CapRoom()
        assert await store.usage.reserve(third, MOST, [cap]) == CapRoom(held=cap)
        await store.worker_queue.finish(second, replace(ANSWERED, usage=Usage(0, 100_000)))
        assert await store.usage.reserve(third, MOST, [cap]) == CapRoom(reached=cap)

    async def test_a_job_that_is_no_longer_ours_sets_nothing_aside(self, store: Stores) -> None:
        lost, ours = await under_way(store, 1), await under_way(store, 2)
        await store.worker_queue.release(lost)
        await store.worker_queue.claim(1)
        await store.usage.reserve(lost, Amount(5_000), [CAP])
        assert await store.usage.reserve(ours, MOST, [CAP]) == CapRoom()

    async def test_several_processes_never_pass_a_cap_by_more_than_one_answer(self, shared_url: str) -> None:
        stores = [await Stores.open(shared_url, f"w{n}", SystemClock()) for n in range(3)]
        for number in range(30):
            await enqueued(stores[0], by(f"U{number % 10}", number))
        cap = Cap(CapWindow(Scope.WORKSPACE, Period.DAY), 10_000, in_dollars=False)
        ends = await asyncio.gather(*(self._answer_all(store, cap) for store in stores))
        spent = (await stores[0].usage.used(spender(apart(1)), [cap.window]))[cap.window].tokens
        answered, refused = (sum(each) for each in zip(*ends, strict=True))
        assert answered + refused == 30
        assert spent == answered * 1_200
        assert cap.limit <= spent < cap.limit + 1_200
        for store in stores:
            await store.close()

    async def _answer_all(self, store: Stores, cap: Cap) -> tuple[int, int]:
        """How many were answered, and how many refused."""
        ends = await asyncio.gather(*(self._answer(store, job, cap) for job in await store.worker_queue.claim(10)))
        return ends.count(True), ends.count(False)

    async def _answer(self, store: Stores, job: Job, cap: Cap) -> bool:
        room = await store.usage.reserve(job, MOST, [cap])
        while room.held:
            await asyncio.sleep(0.1)
            room = await store.usage.reserve(job, MOST, [cap])
        refused = Outcome(EndReason.CAP_REACHED, "")
        assert await store.worker_queue.finish(job, refused if room.reached else ANSWERED)
        return room.reached is None


class TestTellOnce:
    async def test_a_notice_is_told_once_in_so_long_by_all_processes(self, database_url: str) -> None:
        clock = ToldClock()
        store = await Stores.open(database_url, "w1", clock)
        told = await asyncio.gather(*(store.notices.claim("T1", "U1", "denied", 3_600) for _ in range(5)))
        assert sorted(told) == [False, False, False, False, True]
        assert await store.notices.claim("T1", "U2", "denied", 3_600)
        assert await store.notices.claim("T1", "U1", "another")
        clock.time_s += 3_599
        assert not await store.notices.claim("T1", "U1", "denied", 3_600)
        clock.time_s += 1
        assert await store.notices.claim("T1", "U1", "denied", 3_600)
        assert not await store.notices.claim("T1", "U1", "another")
        await store.close()


class TestBots:
    async def test_their_questions_in_a_row_and_in_an_hour_are_known(self, database_url: str) -> None:
        clock = ToldClock()
        store = await Stores.open(database_url, "w1", clock)
        bots = [replace(asked(number), user_id=f"B{number % 2}", from_bot=True) for number in range(4)]
        for question in (asked(9), *bots[:2]):
            await enqueued(store, question)
        assert await store.bot_questions.count(bots[0]) == BotQuestions(in_a_row=0, in_an_hour=1)
        for number in (10, 11):
            await enqueued(store, replace(bots[number % 2], ts=f"1700000000.{number:06d}"))
        assert await store.bot_questions.count(bots[0]) == BotQuestions(in_a_row=2, in_an_hour=2)
        clock.time_s += 3_601
        assert await store.bot_questions.count(bots[0]) == BotQuestions(in_a_row=2, in_an_hour=0)
        [job] = await store.worker_queue.claim(1)
        assert job.question.from_bot is (job.question.user_id != "U1")
        await store.close()

    async def test_who_may_not_ask_leaves_no_thread_that_we_take_part_in(self, worker: Workers) -> None:
        store = await worker("w1")
        await enqueued(store, asked(1))
        [job] = await store.worker_queue.claim(1)
        await store.worker_queue.finish(job, Outcome(EndReason.DENIED, ""))
        assert not (await store.participants.at_message(THREAD, "U1", "9")).takes_part
