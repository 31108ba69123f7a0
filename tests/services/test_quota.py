"""Quotas: what is reserved for an answer, and who is warned how often, with a real ledger."""

import asyncio
from dataclasses import replace

import pytest

from bot.core.conversation import Job, Question, ThreadKey
from bot.core.job import End
from bot.core.limits.caps import Amount, CapCheck, parse_caps
from bot.core.stream import SEARCH_RESULT_TOKENS, Usage
from bot.errors import CapReached, EndReason, StoreError
from bot.prices import ModelPrices
from bot.services.insisting import BACKOFF
from bot.services.quota import Quota
from bot.store import Stores
from bot.store.usage_ledger import UsageLedger
from tests.clocks import WITHIN_S, InstantClock
from tests.services.answering import MODEL, Accounts

MAX_OUTPUT_TOKENS = 1_000
MODELS = ("openai/gpt-5-nano", "openai/gpt-5")


def asked(number: int, user_id: str = "U1") -> Question:
    return Question(ThreadKey("T1", "C1", f"{number}.0"), f"{number}.0", user_id, "Why?")


async def begun(stores: Stores, question: Question) -> Job:
    await stores.queue.enqueue(f"Ev{question.ts}", question)
    [job] = await stores.worker_queue.claim(1)
    return job


async def used(stores: Stores, question: Question, tokens: int) -> None:
    job = await begun(stores, question)
    await stores.worker_queue.finish(job, End(EndReason.WHOLE, model=MODEL, usage=Usage(tokens, 0)), "Because.")


def quota_of(stores: Stores, caps: str, accounts: Accounts, models: tuple[str, ...] = (MODEL,)) -> Quota:
    ledger = stores.usage
    clock = stores.database.clock
    own = stores.caps
    return Quota(
        parse_caps(caps), models, MAX_OUTPUT_TOKENS, ModelPrices(), ledger, own, stores.notices, accounts, clock
    )


async def warned(quota: Quota, question: Question) -> None:
    quota.warn(question)
    for task in list(quota._warnings):
        await task


@pytest.mark.parametrize(
    ("cap", "warnings"), [("user/day", 2), ("channel/day", 1), ("workspace/day", 1)], ids=lambda value: str(value)
)
async def test_warning_comes_once_for_those_whom_the_cap_limits_together(
    stores: Stores, cap: str, warnings: int
) -> None:
    accounts = Accounts()
    quota = quota_of(stores, f"{cap}=100tokens", accounts)
    for number, user_id in enumerate(("U1", "U2"), 1):
        await used(stores, asked(number, user_id), 90)
        await warned(quota, asked(number, user_id))
        await warned(quota, asked(number, user_id))
    assert len(accounts.sentences) == warnings


async def test_nobody_is_warned_below_four_fifths_and_the_warning_still_comes_then(stores: Stores) -> None:
    accounts = Accounts()
    quota = quota_of(stores, "user/day=100tokens", accounts)
    for number, tokens, sentences in ((1, 79, 0), (2, 1, 1)):
        await used(stores, asked(number), tokens)
        await warned(quota, asked(number))
        assert len(accounts.sentences) == sentences


@pytest.mark.parametrize(
    ("searches", "tokens"),
    [(0, 100 + MAX_OUTPUT_TOKENS), (1, 100 + SEARCH_RESULT_TOKENS + MAX_OUTPUT_TOKENS)],
    ids=["no search", "a search"],
)
async def test_as_much_is_reserved_as_an_answer_may_use(stores: Stores, searches: int, tokens: int) -> None:
    reserved: list[Amount] = []

    class Ledger(UsageLedger):
        async def reserve(self, job: Job, most: Amount, caps: object) -> CapCheck:
            reserved.append(most)
            return CapCheck()

    quota = quota_of(stores, "user/day=100tokens", Accounts(), MODELS)
    await replace(quota, usage=Ledger(stores.database, stores._worker)).reserve(
        await begun(stores, asked(1)), 100, searches
    )
    [most] = reserved
    usage = Usage(tokens - MAX_OUTPUT_TOKENS, MAX_OUTPUT_TOKENS, 0, tokens - MAX_OUTPUT_TOKENS, searches)
    dearest = ModelPrices().cost_usd(MODELS[1], usage, stores.database.clock.now())
    assert dearest
    assert most == Amount(tokens, dearest)


async def test_answer_waits_for_room_and_is_refused_if_the_others_used_it_up(stores: Stores) -> None:
    [cap] = parse_caps("user/day=100tokens")
    answers: list[CapCheck | Exception] = [
        StoreError("away"),
        CapCheck(reserved=cap),
        CapCheck(reserved=cap),
        CapCheck(reserved=cap),
        CapCheck(reached=cap),
    ]

    class Ledger(UsageLedger):
        async def reserve(self, job: Job, most: Amount, caps: object) -> CapCheck:
            answer = answers.pop(0)
            if isinstance(answer, Exception):
                raise answer
            return answer

    quota = replace(quota_of(stores, "user/day=100tokens", Accounts()), usage=Ledger(stores.database, stores._worker))
    with pytest.raises(CapReached):
        await quota.reserve(await begun(stores, asked(1)), 100)
    clock = stores.database.clock
    assert isinstance(clock, InstantClock)
    assert clock.sleeps == [BACKOFF.wait_s(1), 0.5, 0.5]
    assert (answers, len(quota._lines)) == ([], 0)


async def test_of_the_answers_that_wait_for_one_cap_only_the_first_asks_again(stores: Stores) -> None:
    [cap] = parse_caps("channel/day=100tokens")
    asked_for: list[int] = []

    class Ledger(UsageLedger):
        async def reserve(self, job: Job, most: Amount, caps: object) -> CapCheck:
            asked_for.append(job.id)
            return CapCheck(reserved=cap)

    quota = replace(
        quota_of(stores, "channel/day=100tokens", Accounts()), usage=Ledger(stores.database, stores._worker)
    )
    jobs = [await begun(stores, asked(number)) for number in (1, 2)]
    waiting = [asyncio.create_task(quota.reserve(job, 100)) for job in jobs]
    async with asyncio.timeout(WITHIN_S):
        while len(asked_for) < 10:  # noqa: ASYNC110
            await asyncio.sleep(0)
    for task in waiting:
        task.cancel()
    await asyncio.wait(waiting)
    assert asked_for.count(jobs[1].id) == 1
