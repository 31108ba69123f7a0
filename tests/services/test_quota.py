"""Quotas: what is reserved for an answer, and who is warned how often, with a real ledger."""

import asyncio
from dataclasses import replace

import pytest

from bot.clock import BACKOFF
from bot.core import texts
from bot.core.caps import (
    CAP_MARK,
    DAY_S,
    DAYS_IN_CHART,
    Amount,
    CapCheck,
    CapField,
    CapOwner,
    Period,
    Scope,
    parse_caps,
)
from bot.core.conversation import Question, ThreadKey
from bot.core.job import End, Job, StepEstimate
from bot.errors import CapReached, EndReason, StoreError
from bot.models.events import LONGER_THINKING_TOKENS, SEARCH_RESULT_TOKENS, THINKING_TOKENS, Usage
from bot.models.prices import ModelPrices
from bot.models.prompt import Effort
from bot.services.notifications import Notifier
from bot.services.quota import CapNotifications, Quota
from bot.store import Stores
from bot.store.usage import UsageLedger
from slack_sandbox.testing.processes import WITHIN_S
from tests.clocks import InstantClock
from tests.services.answering import MODEL, QUESTION, Accounts
from tests.services.parts import having, workspace_of

MAX_OUTPUT_TOKENS = 1_000
MODELS = ("openai/gpt-5-nano", "openai/gpt-5", "openai/gpt-5-mini", "openai/my-own")
"""The second one is the dearest, and the last one has no price."""


def asked(number: int, user_id: str = "U1") -> Question:
    return Question(ThreadKey("T1", "C1", f"{number}.0"), f"{number}.0", user_id, "Why?")


async def begun(stores: Stores, question: Question) -> Job:
    await stores.question_queue.enqueue(f"Ev{question.ts}", question)
    [job] = await stores.worker_queue.claim(1)
    return job


async def used(stores: Stores, question: Question, tokens: int) -> None:
    job = await begun(stores, question)
    await stores.worker_queue.finish(job, End(EndReason.WHOLE, model=MODEL, usage=Usage(tokens, 0)), "Because.")


def quota_of(stores: Stores, caps: str, accounts: Accounts, models: tuple[str, ...] = (MODEL,)) -> Quota:
    notifier = Notifier(stores, workspace_of(ephemeral=accounts))
    return Quota(stores, notifier, parse_caps(caps), models, MAX_OUTPUT_TOKENS, ModelPrices())


async def warned(quota: Quota, question: Question) -> None:
    quota.warn(question)
    for task in list(quota._background._tasks):
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


@pytest.mark.parametrize(("cap", "warnings"), [("user/day", 2), ("user/month", 1)])
async def test_warning_comes_once_in_the_period_of_its_cap(stores: Stores, cap: str, warnings: int) -> None:
    accounts = Accounts()
    quota = quota_of(stores, f"{cap}=100tokens", accounts)
    for number in (1, 2):
        await used(stores, asked(number), 90)
        await warned(quota, asked(number))
        await stores.clock.sleep(DAY_S)
    assert len(accounts.sentences) == warnings


async def test_nobody_is_warned_below_four_fifths_and_the_warning_still_comes_then(stores: Stores) -> None:
    accounts = Accounts()
    quota = quota_of(stores, "user/day=100tokens", accounts)
    for number, tokens, sentences in ((1, 79, 0), (2, 1, 1)):
        await used(stores, asked(number), tokens)
        await warned(quota, asked(number))
        assert len(accounts.sentences) == sentences


@pytest.mark.parametrize(
    ("searches", "effort", "input_tokens", "more_output"),
    [
        (0, Effort.NORMAL, 100, 0),
        (1, Effort.FAST, 100 + SEARCH_RESULT_TOKENS, 0),
        (0, Effort.THOROUGH, 100, LONGER_THINKING_TOKENS - THINKING_TOKENS),
    ],
    ids=["no search", "a search", "a longer thought"],
)
async def test_as_much_is_reserved_as_an_answer_may_use(
    stores: Stores, searches: int, effort: Effort, input_tokens: int, more_output: int
) -> None:
    reserved: list[Amount] = []

    class Ledger(UsageLedger):
        async def reserve(self, job: Job, most: Amount, caps: object) -> CapCheck:
            reserved.append(most)
            return CapCheck()

    quota = quota_of(stores, "user/day=100tokens", Accounts(), MODELS)
    await replace(quota, stores=having(stores, usage=Ledger(stores.database, stores._worker))).reserve(
        await begun(stores, asked(1)), 100, searches, effort
    )
    [most] = reserved
    output_tokens = MAX_OUTPUT_TOKENS + more_output
    usage = Usage(input_tokens, output_tokens, 0, input_tokens, searches)
    dearest = ModelPrices().cost_usd(MODELS[1], usage, stores.database.clock.now())
    assert dearest
    assert most == Amount(input_tokens + output_tokens, dearest)


async def test_answer_waits_for_room_and_is_refused_if_the_others_used_it_up(stores: Stores) -> None:
    [cap] = parse_caps("user/day=100tokens")
    answers: list[CapCheck | Exception] = [
        StoreError("away"),
        CapCheck(reserved_cap=cap),
        CapCheck(reserved_cap=cap),
        CapCheck(reserved_cap=cap),
        CapCheck(reached_cap=cap),
    ]

    class Ledger(UsageLedger):
        async def reserve(self, job: Job, most: Amount, caps: object) -> CapCheck:
            answer = answers.pop(0)
            if isinstance(answer, Exception):
                raise answer
            return answer

    with_ledger = having(stores, usage=Ledger(stores.database, stores._worker))
    quota = quota_of(with_ledger, "user/day=100tokens", Accounts())
    with pytest.raises(CapReached):
        await quota.reserve(await begun(stores, asked(1)), 100)
    clock = stores.database.clock
    assert isinstance(clock, InstantClock)
    assert clock.sleeps == [BACKOFF.wait_s(1), 0.5, 0.5]
    assert not answers


async def test_of_the_answers_that_wait_for_one_cap_only_the_first_asks_again(stores: Stores) -> None:
    [cap] = parse_caps("channel/day=100tokens")
    asked_for: list[int] = []

    class Ledger(UsageLedger):
        async def reserve(self, job: Job, most: Amount, caps: object) -> CapCheck:
            asked_for.append(job.id)
            return CapCheck(reserved_cap=cap)

    with_ledger = having(stores, usage=Ledger(stores.database, stores._worker))
    quota = quota_of(with_ledger, "channel/day=100tokens", Accounts())
    jobs = [await begun(stores, asked(number)) for number in (1, 2)]
    waiting = [asyncio.create_task(quota.reserve(job, 100)) for job in jobs]
    async with asyncio.timeout(WITHIN_S):
        while len(asked_for) < 10:  # noqa: ASYNC110
            await asyncio.sleep(0)
    for task in waiting:
        task.cancel()
    await asyncio.wait(waiting)
    assert asked_for.count(jobs[1].id) == 1
    del task, waiting
    assert not quota._locks, "a lock is kept that nobody waits for"


async def test_answer_has_cost_what_its_earlier_attempts_used() -> None:
    stores = await Stores.open("sqlite://", "w1", InstantClock(1_800_000_000.0), prices=ModelPrices())
    quota = quota_of(stores, "", Accounts())
    job = await begun(stores, asked(1))
    assert await quota.earlier_usd(job) == 0.0
    assert await stores.worker_queue.release(job, estimate=StepEstimate(1_000, 0, MODELS[1]))
    [again] = await stores.worker_queue.claim(1)
    cost_usd = ModelPrices().cost_usd(MODELS[1], Usage(1_000, 0), stores.database.clock.now())
    assert cost_usd
    assert await quota.earlier_usd(again) == pytest.approx(cost_usd)
    assert await quota.earlier_usd(replace(again, attempts=1)) == 0.0, "a first attempt has no earlier one"
    await stores.close()


async def test_persons_usage_is_their_own_with_the_caps_that_hold_for_them(stores: Stores) -> None:
    quota = quota_of(stores, "user/day=100tokens,channel/day=1000tokens,workspace/month=500tokens", Accounts())
    for number, user_id, tokens in ((1, "U1", 40), (2, "U2", 10)):
        await used(stores, asked(number, user_id), tokens)
    personal = await quota.personal_usage("T1", "U1")
    assert personal.usage_by_period[Period.DAY].tokens == 40
    assert [(use.cap.setting, use.percent) for use in personal.caps] == [
        ("user/day=100tokens", 40),
        ("workspace/month=500tokens", 10),
    ]
    await stores.caps.change("T1", CapOwner(Scope.USER, "U1"), {CapField.TOKENS_A_DAY: 80.0}, by="UADMIN")
    own = (await quota.personal_usage("T1", "U1")).caps[0]
    assert (own.cap.setting, own.percent) == ("user/day=80tokens", 50)


@pytest.mark.parametrize(
    ("cap", "unit", "first", "last"),
    [
        ("user/day=100tokens", texts.quotas.TOKENS_UNIT, 70, 90),
        ("user/day=0.6usd", texts.quotas.DOLLARS_UNIT, 0.25, 0.5),
    ],
)
async def test_each_admin_gets_a_chart_of_two_weeks_in_the_caps_unit(
    stores: Stores, cap: str, unit: str, first: float, last: float
) -> None:
    clock = stores.database.clock
    assert isinstance(clock, InstantClock)
    await stores.question_queue.enqueue("Ev1", QUESTION)
    await stores.usage.charge_message(QUESTION, Amount(70, 0.25), ())
    clock.now_s += (DAYS_IN_CHART - 1) * DAY_S
    await stores.usage.charge_message(QUESTION, Amount(90, 0.5), parse_caps(cap))
    [due] = await stores.notifications.claim_due(9, (CAP_MARK,))
    messages = await CapNotifications(stores, ("UC", "UA")).write(due.content)
    assert [*messages] == ["UA", "UC"]
    _, chart, _ = messages["UA"]["blocks"]
    [series] = chart["chart"]["series"]
    used = [point["value"] for point in series["data"]]
    assert (series["name"], used) == (unit, [first, *[0] * (DAYS_IN_CHART - 2), last])
