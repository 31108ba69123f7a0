"""Caps that admins set: which of them hold, and who is told when one is nearly used up."""

import asyncio
from dataclasses import replace

import pytest

from bot.clock import SystemClock
from bot.core.caps import (
    Amount,
    Cap,
    CapCheck,
    CapField,
    CapNotice,
    CapOwner,
    CapWindow,
    OwnCap,
    Period,
    Scope,
    parse_caps,
)
from bot.core.conversation import Question, ThreadKey
from bot.core.job import Job, Spent
from bot.core.outbox import OutboxKind
from bot.models.events import Usage
from bot.store import Stores
from bot.store.schema import caps, notices
from tests.clocks import ManualClock
from tests.contracts.stores import CALL, DONE, STEPPED, THREAD, YES, asked, asking_step, by, count, enqueued, one

ADA = CapOwner(Scope.USER, "U1")
TOKENS_A_DAY = CapWindow(Scope.USER, Period.DAY)
MOST = Amount(100)
DEFAULTS = parse_caps("user/day=1000tokens,workspace/month=5000tokens")
MONTH_S = 31 * 86_400.0


def own_cap(owner: CapOwner, period: Period, limit: float) -> Cap:
    return Cap(CapWindow(owner.scope, period), limit, in_dollars=False)


async def begun(store: Stores, number: int, user_id: str = "U1") -> Job:
    await enqueued(store, by(user_id, number))
    return await one(store)


async def used(store: Stores, number: int, tokens: int, user_id: str = "U1") -> None:
    job = await begun(store, number, user_id)
    await store.worker_queue.finish(job, replace(DONE, usage=Usage(tokens, 0)), YES)


async def told(store: Stores) -> list[str]:
    """Completes the outbox entries that are due, and returns what admins are told."""
    taken = await store.outbox.take(20)
    for entry in taken:
        await store.outbox.complete(entry)
    return [entry.about for entry in taken if entry.kind is OutboxKind.TELL_ADMINS]


async def short(store: Stores) -> list[tuple[int, str]]:
    """Returns the marks and caps that admins are told of."""
    parsed = map(CapNotice.parse, await told(store))
    return [(notice.percent, notice.cap.setting) for notice in parsed]


async def test_cap_of_ones_own_takes_the_place_of_the_default_until_it_is_removed(store: Stores) -> None:
    await used(store, 1, 500)
    job = await begun(store, 2)
    assert await store.usage.reserve(job, MOST, DEFAULTS) == CapCheck()
    assert await store.caps.change("T1", ADA, {CapField.TOKENS_A_DAY: 500.0}, by="UADMIN")
    lower = own_cap(ADA, Period.DAY, 500)
    assert await store.usage.reserve(job, MOST, DEFAULTS) == CapCheck(reached=lower)
    assert await store.caps.own("T1", ADA) == (lower,)
    assert await store.usage.reserve(await begun(store, 3, "U2"), MOST, DEFAULTS) == CapCheck()
    await store.caps.change("T1", ADA, {CapField.TOKENS_A_DAY: None}, by="UADMIN")
    assert await store.usage.reserve(job, MOST, DEFAULTS) == CapCheck()
    assert await store.caps.own("T1", ADA) == ()


async def test_own_cap_may_be_higher_than_the_default(store: Stores) -> None:
    await used(store, 1, 1_500)
    await store.caps.change("T1", ADA, {CapField.TOKENS_A_DAY: 2_000.0}, by="UADMIN")
    assert await store.usage.reserve(await begun(store, 2), MOST, DEFAULTS) == CapCheck()


async def test_cap_that_leaves_least_decides(store: Stores) -> None:
    question = by("U1", 1)
    channel = CapOwner(Scope.CHANNEL, question.thread.channel_id)
    await enqueued(store, question)
    await store.worker_queue.finish(await one(store), replace(DONE, usage=Usage(400, 0)), YES)
    await store.caps.change("T1", ADA, {CapField.TOKENS_A_DAY: 9_000.0}, by="UADMIN")
    await store.caps.change("T1", channel, {CapField.TOKENS_A_MONTH: 400.0}, by="UADMIN")
    await store.caps.change("T1", CapOwner(Scope.WORKSPACE, "T1"), {CapField.TOKENS_A_MONTH: 8_000.0}, by="UADMIN")
    again = replace(question, ts="1700000009.000001")
    await enqueued(store, again)
    check = await store.usage.reserve(await one(store), MOST, ())
    assert check == CapCheck(reached=own_cap(channel, Period.MONTH, 400))


async def test_several_processes_pass_a_cap_that_an_admin_set_by_at_most_one_answer(shared_url: str) -> None:
    stores = [await Stores.open(shared_url, f"w{n}", SystemClock()) for n in range(2)]
    await stores[0].caps.change("T1", CapOwner(Scope.WORKSPACE, "T1"), {CapField.TOKENS_A_DAY: 250.0}, by="UADMIN")
    for number in range(10):
        await enqueued(stores[0], by(f"U{number}", number))
    jobs = [(store, job) for store in stores for job in await store.worker_queue.claim(5)]
    checks = await asyncio.gather(*(store.usage.reserve(job, MOST, ()) for store, job in jobs))
    assert checks.count(CapCheck()) == 3
    for store in stores:
        await store.close()


async def test_unchanged_caps_count_as_no_change(store: Stores) -> None:
    limits = {CapField.TOKENS_A_DAY: 500.0, CapField.DOLLARS_A_MONTH: 20.0, CapField.DOLLARS_A_DAY: None}
    assert await store.caps.change("T1", ADA, limits, by="UADMIN")
    assert not await store.caps.change("T1", ADA, limits, by="UADMIN")
    assert await store.caps.change("T1", ADA, {CapField.DOLLARS_A_MONTH: 30.0}, by="UADMIN")
    assert {cap.setting for cap in await store.caps.own("T1", ADA)} == {"user/day=500tokens", "user/month=30usd"}


async def test_each_change_is_recorded_with_who_made_it(store: Stores) -> None:
    limits = {CapField.TOKENS_A_DAY: 500.0, CapField.DOLLARS_A_MONTH: 20.0}
    await store.caps.change("T1", ADA, limits, by="UADMIN")
    await store.caps.change("T1", ADA, {**limits, CapField.TOKENS_A_DAY: None}, by="UOTHER")
    await store.caps.change("T1", ADA, {CapField.TOKENS_A_DAY: None}, by="UOTHER")
    await store.caps.change("T1", CapOwner(Scope.CHANNEL, "C9"), {CapField.TOKENS_A_DAY: 5.0}, by="UADMIN")
    await store.caps.change("T1", CapOwner(Scope.WORKSPACE, "T1"), {CapField.TOKENS_A_DAY: 6.0}, by="UADMIN")
    kept = {"setting", "scope", "by", "user", "channel", *CapField}
    lines = [{name: value for name, value in line.items() if name in kept} for line in await store.audit.page(1, 99)]
    caps_of = {"setting": "caps", "scope": "user", "user": "U1"}
    assert lines == [
        {**caps_of, "by": "UADMIN", "tokens_a_day": 500.0, "dollars_a_month": 20.0},
        {**caps_of, "by": "UOTHER", "tokens_a_day": "default"},
        {"setting": "caps", "scope": "channel", "channel": "C9", "by": "UADMIN", "tokens_a_day": 5.0},
        {"setting": "caps", "scope": "workspace", "by": "UADMIN", "tokens_a_day": 6.0},
    ]
    assert [str(line["tokens_a_day"]) for line in lines] == ["500", "default", "5", "6"], "no decimal point"
    assert str(lines[0]["dollars_a_month"]) == "20", "no decimal point"


async def test_list_of_caps_has_what_is_used_of_each(store: Stores) -> None:
    await used(store, 1, 300)
    await store.caps.change("T1", ADA, {CapField.TOKENS_A_DAY: 500.0}, by="UADMIN")
    await store.caps.change("T1", CapOwner(Scope.CHANNEL, "C9"), {CapField.TOKENS_A_MONTH: 50.0}, by="UADMIN")
    assert sorted(await store.caps.all("T1"), key=lambda own: own.owner.scope) == [
        OwnCap(CapOwner(Scope.CHANNEL, "C9"), own_cap(CapOwner(Scope.CHANNEL, "C9"), Period.MONTH, 50), Amount()),
        OwnCap(ADA, own_cap(ADA, Period.DAY, 500), Amount(300)),
    ]
    assert await store.caps.all("T2") == []


async def test_monthly_cap_in_the_list_has_the_use_of_earlier_days(database_url: str) -> None:
    clock = ManualClock()
    store = await Stores.open(database_url, "w1", clock)
    await used(store, 1, 300)
    clock.now_s += 86_400
    await used(store, 2, 20)
    await store.caps.change("T1", ADA, {CapField.TOKENS_A_DAY: 500.0, CapField.TOKENS_A_MONTH: 900.0}, by="UADMIN")
    used_of = {own.cap.setting: own.used for own in await store.caps.all("T1")}
    assert used_of == {"user/day=500tokens": Amount(20), "user/month=900tokens": Amount(320)}
    await store.close()


class TestMarks:
    @pytest.fixture
    async def store(self, database_url: str) -> Stores:
        self.clock = ManualClock()
        return await Stores.open(database_url, "w1", self.clock, caps=DEFAULTS)

    async def test_admins_are_told_at_80_and_at_100_percent_and_only_once(self, store: Stores) -> None:
        await used(store, 1, 790)
        assert await short(store) == []
        await used(store, 2, 10)
        assert await short(store) == [(80, "user/day=1000tokens")]
        await used(store, 3, 100)
        assert await short(store) == []
        await used(store, 4, 100)
        await used(store, 5, 100)
        assert await short(store) == [(100, "user/day=1000tokens")]
        await store.close()

    async def test_answer_that_passes_both_marks_is_told_once(self, store: Stores) -> None:
        await used(store, 1, 1_200)
        assert await short(store) == [(100, "user/day=1000tokens")]
        await store.close()

    async def test_daily_cap_of_a_person_is_mentioned_once_a_month(self, store: Stores) -> None:
        await used(store, 1, 800)
        self.clock.now_s += 86_400
        await used(store, 2, 800)
        assert await short(store) == [(80, "user/day=1000tokens")]
        self.clock.now_s += MONTH_S
        await used(store, 3, 800)
        assert await short(store) == [(80, "user/day=1000tokens")]
        await store.close()

    async def test_each_person_and_the_workspace_have_marks_of_their_own(self, store: Stores) -> None:
        for number in range(5):
            await used(store, number + 1, 800, f"U{number}")
        about = await told(store)
        assert sorted(notice.split()[2] for notice in about) == ["T1", "U0", "U1", "U2", "U3", "U4"]
        await store.close()

    async def test_raised_cap_is_another_one(self, store: Stores) -> None:
        await used(store, 1, 1_000)
        await store.caps.change("T1", ADA, {CapField.TOKENS_A_DAY: 1_500.0}, by="UADMIN")
        await used(store, 2, 200)
        assert await short(store) == [(100, "user/day=1000tokens"), (80, "user/day=1500tokens")]
        await store.close()

    async def test_step_of_an_answer_under_way_passes_a_mark_too(self, store: Stores) -> None:
        await enqueued(store, asked(1))
        job = await one(store)
        usage = replace(STEPPED, usage=Usage(900, 0))
        await store.recorded_calls.record(job, asking_step(CALL), usage, None)
        assert await short(store) == [(80, "user/day=1000tokens")]
        await store.close()

    async def test_handed_over_attempt_passes_a_mark_too(self, store: Stores) -> None:
        job = await begun(store, 1)
        await store.worker_queue.release(job, spent=Spent(900, 50, "m"))
        assert await short(store) == [(80, "user/day=1000tokens")]
        await store.close()

    async def test_marks_are_passed_once_over_all_processes(self, shared_url: str) -> None:
        stores = [await Stores.open(shared_url, f"w{n}", SystemClock(), caps=DEFAULTS) for n in range(2)]
        for number in range(20):
            await enqueued(stores[0], by(f"U{number}", number))
        jobs = [(store, job) for store in stores for job in await store.worker_queue.claim(10)]
        end = replace(DONE, usage=Usage(300, 0))
        await asyncio.gather(*(store.worker_queue.finish(job, end, YES) for store, job in jobs))
        assert sorted(await short(stores[0])) == [
            (80, "workspace/month=5000tokens"),
            (100, "workspace/month=5000tokens"),
        ]
        for store in stores:
            await store.close()


async def test_erased_person_has_no_cap_and_is_in_no_notice(store: Stores) -> None:
    direct = Question(ThreadKey("T1", "D1", None), "1700000000.000001", "U1", "Why?")
    await store.question_queue.enqueue("Ev1", direct)
    for team_channel in ("80% user/day=1000tokens U1 2026-11", "80% channel/day=1000tokens D1 2026-11"):
        await store.notices.claim("T1", "UADMIN", team_channel)
    await store.notices.claim("T1", "UADMIN", "80% user/day=1000tokens U10 2026-11")
    await store.caps.change("T1", ADA, {CapField.TOKENS_A_DAY: 500.0}, by="UADMIN")
    await store.caps.change(
        "T1", CapOwner(Scope.CHANNEL, THREAD.channel_id), {CapField.TOKENS_A_DAY: 500.0}, by="UADMIN"
    )
    await store.erasure.erase(user_id="U1")
    assert [own.owner.scope for own in await store.caps.all("T1")] == [Scope.CHANNEL]
    assert await count(store, notices) == 1
    await store.erasure.erase()
    assert await count(store, caps) == 1
