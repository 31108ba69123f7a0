"""Schedules on both databases: what is kept, which runs begin, how their ends count, and what the audit says."""

import asyncio
import json
from collections.abc import Awaitable, Callable
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest
import sqlalchemy as sa

from bot.core.calls import SCHEDULE, CallState
from bot.core.caps import Amount
from bot.core.conversation import Question, ThreadKey
from bot.core.job import End, Job, Notice, NoticeKind
from bot.core.outbox import REPLY_EDIT_KINDS, OutboxEntry, OutboxKind
from bot.core.schedules import (
    DAY_TOKENS,
    GRACE_S,
    MAX_FAILURES,
    MAX_IN_CHANNEL,
    MAX_PER_MEMBER,
    RUN_REPORT,
    RUN_TOKENS,
    PauseReason,
    Proposal,
    Rule,
    RunReport,
    Schedule,
    UnusableRule,
    run_id,
)
from bot.core.texts.schedules import already_scheduled
from bot.errors import EndReason
from bot.models.events import Usage
from bot.store import Stores
from bot.store.accounts import Owner
from bot.store.schema import UNDO_S, audit_entries, jobs, schedules
from tests.clocks import ManualClock
from tests.contracts.databases import Process
from tests.contracts.stores import (
    CALL,
    DONE,
    SAID,
    STEPPED,
    YES,
    answered,
    apart,
    asked,
    asking_step,
    begun,
    count,
    enqueued,
    one,
)

NINE = datetime(2026, 11, 26, 9, tzinfo=UTC).timestamp()
DAY_S = 86_400.0
DAILY = Proposal("Summarize.", Rule("UTC", "0 9 * * *"))
ONCE = Proposal("Ask.", Rule("UTC", at=NINE))
ONCE_EARLIER = Proposal("Ask.", Rule("UTC", at=NINE - 60))
FAILED = End(EndReason.STALLED)
CAPPED = End(EndReason.CAP_REACHED)


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock(NINE - 600)


async def created(store: Stores, proposal: Proposal = DAILY, channel_id: str = "C1", user_id: str = "U1") -> Schedule:
    schedule_id = await store.schedules.create("T1", channel_id, user_id, proposal)
    return await stored(store, schedule_id)


def another(number: int) -> Proposal:
    """Returns a proposal that equals none with another number."""
    return replace(DAILY, words=f"Summarize {number}.")


async def stored(store: Stores, schedule_id: int) -> Schedule:
    schedule = await store.schedules.read("T1", schedule_id)
    assert schedule is not None
    return schedule


async def runs(store: Stores) -> list[tuple[str, str]]:
    async with store.database.begin_read() as connection:
        rows = await connection.execute(sa.select(jobs.c.asked_as, jobs.c.status).order_by(jobs.c.id))
        return [(row.asked_as, row.status) for row in rows]


async def entries(store: Stores) -> list[OutboxEntry]:
    return await store.outbox.claim_due(100)


async def reported(store: Stores) -> list[RunReport]:
    """Returns the runs of which people are to be told now."""
    taken = await store.notifications.claim_due(100, (RUN_REPORT,))
    for due in taken:
        await store.notifications.complete(due)
    return [RunReport(**due.content) for due in taken]


async def posted(store: Stores) -> Job:
    [entry] = [entry for entry in await entries(store) if entry.kind is OutboxKind.POST_QUESTION]
    run = await store.schedules.run(entry.job_id)
    assert run is not None
    ts = f"{run.due_at:.6f}"
    question = Question(ThreadKey("T1", "C1", ts), ts, "U1", "Summarize.", attached_chars=10)
    await store.question_queue.enqueue(f"view {entry.job_id}", question, job_id=entry.job_id)
    await store.outbox.complete(entry)
    return await one(store)


async def ran(store: Stores, clock: ManualClock, end: End = DONE) -> Job:
    [schedule] = await store.schedules.all("T1", "C1")
    assert schedule.next_at is not None
    clock.now_s = schedule.next_at
    assert await store.schedules.begin_due() == 1
    job = await posted(store)
    assert await store.worker_queue.finish(job, end, YES)
    return job


async def said(store: Stores) -> list[dict[str, Any]]:
    async with store.database.begin_read() as connection:
        rows = await connection.execute(sa.select(audit_entries).order_by(audit_entries.c.id))
        facts = [(row, json.loads(row.facts)) for row in rows]
    return [{**fact, "by": row.by_id} for row, fact in facts if fact.get("setting") == "schedule"]


async def test_schedule_is_kept_as_it_was_proposed(timed: Stores, clock: ManualClock) -> None:
    daily = await created(timed, replace(DAILY, only_if_changed=True, accounts=("issues", "jira")))
    assert daily == Schedule(
        *(daily.id, "T1", "C1", "U1", "Summarize.", DAILY.rule),
        only_if_changed=True,
        run_tokens=RUN_TOKENS,
        day_tokens=DAY_TOKENS,
        next_at=NINE,
        last_at=None,
        failures=0,
        pause_reason=None,
        created_at=clock.now_s,
        accounts=("issues", "jira"),
    )
    once = await created(timed, ONCE, "C2", "U2")
    assert (once.rule, once.next_at, once.is_done) == (ONCE.rule, NINE, False)
    theirs, elsewhere = await created(timed, ONCE, "C1", "U2"), await created(timed, ONCE, "C2", "U1")
    assert (
        await timed.schedules.all("T1", "C1") == await timed.schedules.active_schedules("T1", "C1") == [daily, theirs]
    )
    assert await timed.schedules.all("T1", user_id="U1") == [daily, elsewhere]
    assert await timed.schedules.all("T1") == [daily, once, theirs, elsewhere]
    for found in (timed.schedules.all("T2", "C1"), timed.schedules.all("T2", user_id="U1")):
        assert await found == []
    assert (await timed.schedules.all("T2"), await timed.schedules.read("T2", daily.id)) == ([], None)
    assert await timed.schedules.read("T1", daily.id, is_stopped=True) is None
    assert await timed.schedules.stop("T1", daily.id, "U1")
    assert await timed.schedules.read("T1", daily.id, is_stopped=True) == replace(daily, next_at=None)


async def test_channel_has_a_limited_number_that_done_ones_dont_count_for(timed: Stores, clock: ManualClock) -> None:
    for number in range(MAX_IN_CHANNEL - 1):
        await created(timed, another(number))
    once = await created(timed, ONCE)
    with pytest.raises(UnusableRule, match="already has 20 schedules"):
        await timed.schedules.create("T1", "C1", "U2", DAILY)
    assert await timed.schedules.create("T1", "C2", "U2", DAILY)
    clock.now_s = NINE
    await timed.schedules.begin_due()
    assert [len(await timed.schedules.active_schedules(*place)) for place in (("T1", "C1"), ("T2", "C1"))] == [19, 0]
    added = await timed.schedules.create("T1", "C1", "U2", DAILY)

    async def changed(rule: Rule, most: int = MAX_IN_CHANNEL) -> bool:
        proposal = replace(ONCE, words="Ask.", rule=rule)
        return await timed.schedules.change("T1", once.id, "U1", proposal, RUN_TOKENS, DAY_TOKENS, most)

    assert await changed(ONCE.rule), "it stays done"
    with pytest.raises(UnusableRule, match="already has 20 schedules"):
        await changed(DAILY.rule)
    await timed.schedules.stop("T1", added, "U2")
    with pytest.raises(UnusableRule, match="You already have 10 schedules in this channel"):
        await changed(DAILY.rule, MAX_PER_MEMBER)
    assert await changed(DAILY.rule)
    assert (await stored(timed, once.id)).next_at == NINE + DAY_S


async def test_two_processes_create_no_more_than_the_limit(process: Process, clock: ManualClock) -> None:
    first, second = [await process(name, clock) for name in ("w1", "w2")]
    proposals = [another(number) for number in range(2 * MAX_IN_CHANNEL)]
    stores = (first, second) * MAX_IN_CHANNEL
    each = (store.schedules.create("T1", "C1", "U1", one) for store, one in zip(stores, proposals, strict=True))
    made = await asyncio.gather(*each, return_exceptions=True)
    assert sum(isinstance(one, int) for one in made) == MAX_IN_CHANNEL


async def test_two_processes_make_an_equal_schedule_once(process: Process, clock: ManualClock) -> None:
    first, second = [await process(name, clock) for name in ("w1", "w2")]
    same = replace(DAILY, words=" summarize."), replace(DAILY, rule=Rule("UTC", "00 9 * * 0-6")), DAILY
    each = (store.schedules.create("T1", "C1", "U1", one) for one in same for store in (first, second))
    made = await asyncio.gather(*each, return_exceptions=True)
    [number] = [one for one in made if isinstance(one, int)]
    assert {str(one) for one in made if not isinstance(one, int)} == {already_scheduled(number)}
    for channel_id, user_id in (("C2", "U1"), ("C1", "U2")):
        assert await first.schedules.create("T1", channel_id, user_id, DAILY)
    await first.schedules.stop("T1", number, "U1")
    assert await second.schedules.create("T1", "C1", "U1", DAILY)


async def test_one_person_has_a_share_of_a_channel_and_others_find_room(timed: Stores) -> None:
    create = timed.schedules.create
    for number in range(MAX_PER_MEMBER):
        await create("T1", "C1", "U1", another(number), MAX_PER_MEMBER)
    with pytest.raises(UnusableRule, match="You already have 10 schedules in this channel"):
        await create("T1", "C1", "U1", DAILY, MAX_PER_MEMBER)
    assert await create("T1", "C1", "U2", DAILY, MAX_PER_MEMBER)
    assert await create("T1", "C2", "U1", DAILY, MAX_PER_MEMBER)


async def test_who_changed_anothers_schedule_is_known_until_its_creator_changes_it(timed: Stores) -> None:
    daily = await created(timed)
    for by, words, changer in (
        ("U1", "Sing.", ""),
        ("U2", "Dance.", "U2"),
        ("U2", "Dance.", "U2"),
        ("U1", "Sing.", ""),
    ):
        await timed.schedules.change("T1", daily.id, by, replace(DAILY, words=words), RUN_TOKENS, DAY_TOKENS)
        assert (await stored(timed, daily.id)).changed_by == changer


@pytest.mark.parametrize(
    ("agreed", "by", "words", "acts"),
    [
        (("jira",), "U1", "Sing.", True),
        (("jira",), "U2", DAILY.words, True),
        (("jira",), "U2", "Sing.", False),
        ((), "U2", DAILY.words, False),
    ],
    ids=["the owner's other words", "another's other time", "another's words", "another's wish"],
)
async def test_account_acts_for_its_owners_words_alone(
    timed: Stores, agreed: tuple[str, ...], by: str, words: str, acts: bool
) -> None:
    daily = await created(timed, replace(DAILY, accounts=agreed))
    changed = replace(DAILY, words=words, accounts=("jira",), rule=Rule("UTC", "30 * * * *"))
    assert await timed.schedules.change("T1", daily.id, by, changed, RUN_TOKENS, DAY_TOKENS)
    assert await timed.accounts.allows_schedule(Owner("T1", "U1", "jira"), daily.id) is acts


async def test_time_that_has_passed_since_it_was_proposed_is_refused(timed: Stores, clock: ManualClock) -> None:
    clock.now_s = NINE
    with pytest.raises(UnusableRule):
        await created(timed, ONCE)
    assert await count(timed, schedules) == 0


async def test_changes_hold_from_the_next_due_time_on(timed: Stores) -> None:
    daily = await created(timed)
    hourly = Proposal("Look.", Rule("UTC", "30 * * * *"), only_if_changed=True)
    assert await timed.schedules.change("T1", daily.id, "U9", hourly, 1_000, 2_000)
    changed = await stored(timed, daily.id)
    assert (changed.words, changed.rule, changed.only_if_changed) == ("Look.", hourly.rule, True)
    assert (changed.run_tokens, changed.day_tokens, changed.user_id) == (1_000, 2_000, "U1")
    assert changed.next_at == NINE + 1800
    assert await timed.schedules.pause("T1", daily.id, PauseReason.BY_PERSON, "U9")
    assert await timed.schedules.change("T1", daily.id, "U9", DAILY, 1_000, 2_000)
    assert (await stored(timed, daily.id)).next_at is None
    assert await timed.schedules.resume("T1", daily.id, "U9")
    assert (await stored(timed, daily.id)).next_at == NINE


Change = Callable[[Stores, int], Awaitable[bool | float | None]]
PAUSE: Change = lambda store, id_: store.schedules.pause("T1", id_, PauseReason.BY_PERSON, "U1")  # noqa: E731
RESUME: Change = lambda store, id_: store.schedules.resume("T1", id_, "U1")  # noqa: E731
STOP: Change = lambda store, id_: store.schedules.stop("T1", id_, "U1")  # noqa: E731
RUN: Change = lambda store, id_: store.schedules.run_now("T1", id_, "U1")  # noqa: E731


@pytest.mark.parametrize(
    ("changes", "results"),
    [
        ([PAUSE, PAUSE, RESUME, RESUME], [True, False, True, False]),
        ([STOP, STOP, PAUSE, RESUME, RUN], [True, False, False, False, False]),
        ([RUN, RUN], [True, False]),
        ([PAUSE, RUN], [True, True]),
    ],
)
async def test_change_says_whether_it_had_an_effect(timed: Stores, changes: list[Change], results: list[bool]) -> None:
    schedule = await created(timed)
    assert [bool(await change(timed, schedule.id)) for change in changes] == results


@pytest.mark.parametrize("change", [STOP, PAUSE], ids=["stop", "pause"])
async def test_stop_and_pause_remove_a_run_that_is_not_posted_yet(
    timed: Stores, clock: ManualClock, change: Change
) -> None:
    schedule = await created(timed)
    clock.now_s = NINE
    await timed.schedules.begin_due()
    assert await change(timed, schedule.id)
    assert await runs(timed) == []
    assert await entries(timed) == []


async def test_people_are_told_of_a_run_that_was_skipped_before_a_pause(timed: Stores, clock: ManualClock) -> None:
    schedule = await created(timed)
    clock.now_s = NINE + GRACE_S + 1
    await timed.schedules.begin_due()
    assert await PAUSE(timed, schedule.id)
    assert await reported(timed) == [RunReport(schedule.id, NINE, PauseReason.MISSED)]


async def test_single_time_that_has_passed_cant_be_resumed(timed: Stores, clock: ManualClock) -> None:
    once = await created(timed, ONCE)
    await timed.schedules.pause("T1", once.id, PauseReason.BY_PERSON, "U1")
    clock.now_s = NINE + 1
    assert not await timed.schedules.resume("T1", once.id, "U1")
    assert await timed.schedules.begin_due() == 0


async def test_schedule_is_resumed_because_of_what_has_paused_it(timed: Stores) -> None:
    daily = await created(timed)
    resume = timed.schedules.resume
    assert await resume("T1", daily.id, "U1", PauseReason.SIGNED_OUT) is None
    await timed.schedules.pause("T1", daily.id, PauseReason.BY_PERSON, "U9")
    assert await resume("T1", daily.id, "U1", PauseReason.SIGNED_OUT) is None
    assert await resume("T1", daily.id, "U1") == daily.next_at
    await timed.schedules.pause("T1", daily.id, PauseReason.SIGNED_OUT)
    assert await resume("T2", daily.id, "U1", PauseReason.SIGNED_OUT) is None
    assert await resume("T1", daily.id, "U1", PauseReason.SIGNED_OUT) == daily.next_at


async def test_audit_says_what_changed_without_words(timed: Stores, clock: ManualClock) -> None:
    daily = await created(timed)
    await timed.schedules.change("T1", daily.id, "U2", replace(DAILY, words="Sing."), 5, DAY_TOKENS)
    await timed.schedules.change("T1", daily.id, "U2", replace(DAILY, words="Sing."), 5, DAY_TOKENS)
    await timed.schedules.pause("T1", daily.id, PauseReason.NO_ACCESS)
    await timed.schedules.resume("T1", daily.id, "U1")
    await timed.schedules.run_now("T1", daily.id, "U2")
    await timed.schedules.stop("T1", daily.id, "U1")
    await timed.schedules.restore("T1", daily.id, "U2", 0)
    assert [{name: fact for name, fact in entry.items() if name != "setting"} for entry in await said(timed)] == [
        {"schedule": daily.id, "change": "created", "by": "U1"},
        {"schedule": daily.id, "change": "changed", "fields": ["run_tokens", "text"], "run_tokens": 5, "by": "U2"},
        {"schedule": daily.id, "change": "paused", "reason": "no_access", "by": ""},
        {"schedule": daily.id, "change": "resumed", "by": "U1"},
        {"schedule": daily.id, "change": "run", "by": "U2"},
        {"schedule": daily.id, "change": "stopped", "by": "U1"},
        {"schedule": daily.id, "change": "restored", "by": "U2"},
    ]


async def test_due_time_is_one_run_over_all_processes(process: Process, clock: ManualClock) -> None:
    first, second = [await process(name, clock) for name in ("w1", "w2")]
    daily = await created(first)
    assert [await store.schedules.begin_due() for store in (first, second)] == [0, 0]
    clock.now_s = NINE
    begun = await asyncio.gather(*(store.schedules.begin_due() for store in (first, second) * 3))
    assert sum(begun) == 1
    assert await runs(first) == [(run_id(daily.id, NINE), "unposted")]
    after = await stored(first, daily.id)
    assert (after.last_at, after.next_at) == (NINE, NINE + DAY_S)


@pytest.mark.parametrize(
    ("away_s", "due_at", "skipped"),
    [
        (GRACE_S, NINE, None),
        (GRACE_S + 60, NINE, PauseReason.MISSED),
        (2 * DAY_S + 5, NINE + 2 * DAY_S, None),
        (3.5 * DAY_S, NINE, PauseReason.MISSED),
    ],
)
async def test_only_the_newest_missed_run_begins_and_later_than_an_hour_people_are_told(
    timed: Stores, clock: ManualClock, away_s: float, due_at: float, skipped: PauseReason | None
) -> None:
    daily = await created(timed)
    clock.now_s = NINE + away_s
    assert await timed.schedules.begin_due() == (skipped is None)
    found = [await timed.schedules.run(entry.job_id) for entry in await entries(timed)]
    assert [run.due_at for run in found if run] == ([] if skipped else [due_at])
    assert await reported(timed) == ([RunReport(daily.id, due_at, skipped)] if skipped else [])
    daily = await stored(timed, daily.id)
    assert (daily.pause_reason, daily.next_at) == (None, NINE + (away_s // DAY_S + 1) * DAY_S)
    assert await timed.schedules.begin_due() == 0


async def test_runs_beyond_the_limit_stay_due(timed: Stores, clock: ManualClock) -> None:
    for number in range(3):
        await created(timed, another(number))
    clock.now_s = NINE
    assert [await timed.schedules.begin_due(limit) for limit in (0, 2, 2, 2)] == [0, 2, 1, 0]


async def test_run_that_is_due_for_longest_begins_first(timed: Stores, clock: ManualClock) -> None:
    later, earlier = await created(timed, DAILY), await created(timed, ONCE_EARLIER)
    clock.now_s = NINE + 60
    assert await timed.schedules.begin_due(1) == 1
    assert [(await stored(timed, one.id)).next_at for one in (later, earlier)] == [NINE, None]


async def test_single_time_is_run_once(timed: Stores, clock: ManualClock) -> None:
    once = await created(timed, ONCE)
    clock.now_s = NINE + 60
    assert await timed.schedules.begin_due() == 1
    assert (await stored(timed, once.id)).is_done
    clock.now_s += DAY_S
    assert await timed.schedules.begin_due() == 0


async def test_missed_single_time_is_paused_and_said(timed: Stores, clock: ManualClock) -> None:
    once = await created(timed, ONCE)
    clock.now_s = NINE + GRACE_S + 60
    assert await timed.schedules.begin_due() == 0
    once = await stored(timed, once.id)
    [report] = await reported(timed)
    assert (once.pause_reason, report) == (PauseReason.MISSED, RunReport(once.id, NINE, PauseReason.MISSED))
    assert report.has_caused_pause(once)


async def test_paused_schedule_is_not_due(timed: Stores, clock: ManualClock) -> None:
    daily = await created(timed)
    await timed.schedules.pause("T1", daily.id, PauseReason.BY_PERSON, "U1")
    clock.now_s = NINE + 60
    assert await timed.schedules.begin_due() == 0
    assert await timed.schedules.resume("T1", daily.id, "U1")
    assert (await stored(timed, daily.id)).next_at == NINE + DAY_S


async def test_due_times_that_a_wrong_clock_skipped_are_run_when_it_is_right(
    process: Process, clock: ManualClock
) -> None:
    first = await process("w1", clock)
    daily = await created(first)
    clock.now_s = NINE + 3 * DAY_S
    assert await first.schedules.begin_due() == 1
    clock.now_s = NINE - 1
    second = await process("w2", clock)
    await second.schedules.begin_due()
    for day in range(5):
        clock.now_s = NINE + day * DAY_S
        await second.schedules.begin_due()
    due = sorted(run for run, _ in await runs(second))
    assert due == [run_id(daily.id, NINE + day * DAY_S) for day in range(5)]


async def test_zone_that_is_gone_pauses_its_schedule_and_no_other(timed: Stores, clock: ManualClock) -> None:
    gone, daily = await created(timed), await created(timed, user_id="U2")
    async with timed.database.begin_write() as connection:
        await connection.execute(sa.update(schedules).where(schedules.c.id == gone.id).values(zone="Mars/Olympus"))
    clock.now_s = NINE
    assert await timed.schedules.begin_due() == 1
    assert (await stored(timed, gone.id)).pause_reason is PauseReason.FAILURES
    assert [run for run, _ in await runs(timed)] == [run_id(daily.id, NINE)]
    assert await reported(timed) == [RunReport(gone.id, NINE, PauseReason.FAILURES)]


async def test_run_knows_its_schedule_and_the_answered_run_before(timed: Stores, clock: ManualClock) -> None:
    daily = await created(timed)
    first = await ran(timed, clock)
    await ran(timed, clock, FAILED)
    third = await ran(timed, clock)
    assert third.question.schedule_id == daily.id
    runs_of = [await timed.schedules.run(job.id) for job in (first, third)]
    assert [(run.due_at, run.previous_due_at) for run in runs_of if run] == [(NINE, None), (NINE + 2 * DAY_S, NINE)]
    person = await answered(timed)
    assert person.question.schedule_id is None
    assert await timed.schedules.run(person.id) is None


async def test_failures_in_a_row_pause_and_are_said_once(timed: Stores, clock: ManualClock) -> None:
    daily = await created(timed)
    for end in (FAILED, FAILED, DONE, FAILED, End(EndReason.STOPPED), FAILED):
        await ran(timed, clock, end)
    assert (await stored(timed, daily.id)).failures == MAX_FAILURES - 1
    last = await ran(timed, clock, FAILED)
    assert (await stored(timed, daily.id)).pause_reason is PauseReason.FAILURES
    [report] = await reported(timed)
    run = await timed.schedules.run(last.id)
    assert run is not None
    assert report == RunReport(daily.id, run.due_at)
    assert report.has_caused_pause(run.schedule)
    assert await timed.schedules.resume("T1", daily.id, "U1")
    assert (await stored(timed, daily.id)).failures == 0


@pytest.mark.parametrize(
    ("end", "paused"),
    [
        (End(EndReason.DENIED), PauseReason.NO_ACCESS),
        (End(EndReason.MISALIGNED), PauseReason.FAILURES),
        (End(EndReason.SHUT_OUT), PauseReason.PLACE_GONE),
        (replace(CAPPED, model="scripted/echo", usage=Usage(RUN_TOKENS, 0)), PauseReason.CAP),
        (replace(CAPPED, model="scripted/echo", usage=Usage(RUN_TOKENS - 1, 0)), None),
        # Of its creator, the channel or the workspace.
        (CAPPED, None),
        (replace(DONE, usage=Usage(RUN_TOKENS, 0)), None),
        (End(EndReason.STOPPED), None),
    ],
    ids=lambda value: getattr(value, "reason", str(value)),
)
async def test_end_of_a_run_pauses_at_once_where_the_next_would_end_the_same_way(
    timed: Stores, clock: ManualClock, end: End, paused: PauseReason | None
) -> None:
    daily = await created(timed)
    await ran(timed, clock, end)
    assert (await stored(timed, daily.id)).pause_reason is paused


@pytest.mark.parametrize(
    ("tokens_before", "paused"), [(DAY_TOKENS - 1, None), (DAY_TOKENS, PauseReason.CAP)], ids=["under", "at"]
)
async def test_tokens_of_a_day_pause_a_schedule_whose_run_reached_a_cap(
    timed: Stores, clock: ManualClock, tokens_before: int, paused: PauseReason | None
) -> None:
    daily = await created(timed)
    await ran(timed, clock, replace(DONE, usage=Usage(tokens_before, 0)))
    clock.now_s += 60
    assert await timed.schedules.run_now("T1", daily.id, "U1")
    assert await timed.worker_queue.finish(await posted(timed), CAPPED, "")
    assert (await stored(timed, daily.id)).pause_reason is paused


async def test_no_run_begins_by_hand_while_another_is_under_way(timed: Stores, clock: ManualClock) -> None:
    daily = await created(timed)
    clock.now_s = NINE
    assert await timed.schedules.begin_due() == 1
    assert not await RUN(timed, daily.id), "it isn't posted yet"
    job = await posted(timed)
    clock.now_s += 1
    assert not await RUN(timed, daily.id), "it is answered"
    assert await timed.worker_queue.finish(job, DONE, YES)
    assert [await RUN(timed, daily.id), await timed.schedules.run_now("T2", daily.id, "U1")] == [True, False]
    assert [run for run, _ in await runs(timed)] == [run_id(daily.id, NINE), run_id(daily.id, NINE + 1)]


async def test_answer_that_made_a_schedule_says_each_time_what_became_of_it(timed: Stores, clock: ManualClock) -> None:
    once = await created(timed, ONCE)
    job = await begun(timed, asked(1))
    call = replace(CALL, tool=SCHEDULE, state=CallState.READY)
    assert await timed.recorded_calls.record_step(job, asking_step(call), STEPPED, SAID)
    assert await timed.recorded_calls.begin_call(job, call)
    assert await timed.recorded_calls.end_call(job, replace(call, state=CallState.DONE, item_no=once.id))
    notice = Notice(NoticeKind.SCHEDULED, "Scheduled.", once.id)
    assert await timed.worker_queue.finish(job, replace(DONE, notices=(notice,)), YES)
    undone = await begun(timed, asked(2))
    taken_away = Notice(NoticeKind.STOPPED, "Stopped.", once.id)
    assert await timed.worker_queue.finish(undone, End(EndReason.COMMAND, (taken_away,)), "")
    assert await timed.recorded_answers.on_schedule_stopped(job.id, once.id + 1) is False
    assert await entries(timed) == []

    async def told() -> dict[int, tuple[frozenset[Notice], frozenset[int]]]:
        """Returns, by job, what its message has to show now: the notices that are undone, and the schedules over."""
        said_again = {}
        for entry in await entries(timed):
            if entry.kind in REPLY_EDIT_KINDS:
                shown = await timed.outbox.unshown_end(entry)
                assert shown is not None
                assert shown.record is not None
                said_again[entry.job_id] = (shown.record.undone_notices, shown.record.finished_schedules)
                await timed.outbox.complete(entry)
        return said_again

    none: frozenset[int] = frozenset()
    holds, is_undone = frozenset[Notice](), frozenset({notice})
    assert await timed.schedules.stop("T1", once.id, "U1")
    assert await told() == {job.id: (is_undone, none)}
    assert await timed.schedules.restore("T1", once.id, "U1", undone.id)
    assert await told() == {job.id: (holds, none), undone.id: (frozenset({taken_away}), none)}
    clock.now_s = NINE
    assert await timed.schedules.begin_due() == 1
    assert await told() == {job.id: (holds, frozenset({once.id}))}
    assert await timed.schedules.change("T1", once.id, "U1", replace(ONCE, rule=DAILY.rule), RUN_TOKENS, DAY_TOKENS)
    assert await told() == {job.id: (holds, none)}
    assert await timed.recorded_answers.on_schedule_stopped(job.id, once.id)
    assert await told() == {job.id: (holds, none)}


async def test_another_version_of_a_run_doesnt_count(timed: Stores, clock: ManualClock) -> None:
    daily = await created(timed)
    job = await ran(timed, clock, FAILED)
    for _ in range(MAX_FAILURES):
        await timed.question_queue.regenerate(job.id)
        await timed.worker_queue.finish(await one(timed), FAILED, "")
    assert (await stored(timed, daily.id)).failures == 1


async def due_run(store: Stores, clock: ManualClock) -> int:
    clock.now_s = NINE
    assert await store.schedules.begin_due() == 1
    [entry] = await entries(store)
    return entry.job_id


async def skipped(
    store: Stores, schedule: Schedule, job_id: int, because: PauseReason
) -> tuple[str, PauseReason | None, bool]:
    """Skips a run, and again in vain; returns its reason, its schedule's, and whether people read of a pause."""
    for _ in range(2):
        await store.schedules.skip(schedule, job_id, because)
    assert await store.schedules.run(job_id) is None
    [report], schedule = await reported(store), await stored(store, schedule.id)
    return report.skip_reason, schedule.pause_reason, report.has_caused_pause(schedule)


@pytest.mark.parametrize(
    ("because", "pausing"),
    [
        (PauseReason.QUOTA, [None, None, PauseReason.QUOTA]),
        (PauseReason.MISSED, [None, None, PauseReason.FAILURES]),
        (PauseReason.NOT_IN_CHANNEL, [PauseReason.NOT_IN_CHANNEL]),
        (PauseReason.FORBIDDEN, [PauseReason.FORBIDDEN]),
    ],
)
async def test_each_skipped_run_is_told_and_pauses_at_once_or_the_third_time(
    timed: Stores, clock: ManualClock, because: PauseReason, pausing: list[PauseReason | None]
) -> None:
    daily = await created(timed)
    for day, paused in enumerate(pausing):
        clock.now_s = NINE + day * DAY_S
        assert await timed.schedules.begin_due() == 1
        *_, job_id = [entry.job_id for entry in await entries(timed)]
        told = paused or because, paused, paused is not None
        assert await skipped(timed, daily, job_id, because) == told


async def test_run_that_is_skipped_keeps_nobody_from_running_it_in_the_same_second(
    timed: Stores, clock: ManualClock
) -> None:
    daily = await created(timed)
    await skipped(timed, daily, await due_run(timed, clock), PauseReason.QUOTA)
    clock.now_s += 0.1
    assert await timed.schedules.run_now("T1", daily.id, "U1")


async def test_skipped_run_of_a_paused_schedule_says_its_own_reason(timed: Stores) -> None:
    daily = await created(timed)
    assert await PAUSE(timed, daily.id)
    assert await RUN(timed, daily.id)
    [entry] = await entries(timed)
    told = PauseReason.QUOTA, PauseReason.BY_PERSON, False
    assert await skipped(timed, daily, entry.job_id, PauseReason.QUOTA) == told


async def test_single_run_that_is_skipped_pauses_its_schedule(timed: Stores, clock: ManualClock) -> None:
    once = await created(timed, ONCE)
    told = PauseReason.QUOTA, PauseReason.QUOTA, True
    assert await skipped(timed, once, await due_run(timed, clock), PauseReason.QUOTA) == told


async def test_usage_counts_for_its_run_its_day_and_its_month(timed: Stores, clock: ManualClock) -> None:
    daily = await created(timed)
    await answered(timed)
    first = await ran(timed, clock)
    assert await timed.schedules.tokens_used(daily, first.id) == (30, 30)
    clock.now_s += 60
    assert await timed.schedules.run_now("T1", daily.id, "U1")
    second = await posted(timed)
    assert await timed.schedules.tokens_used(daily, second.id) == (0, 30)
    await timed.worker_queue.finish(second, DONE, YES)
    assert await timed.schedules.tokens_used(daily, second.id) == (30, 60)
    assert (await stored(timed, daily.id)).usage == Amount(60)
    clock.now_s += 60
    assert await timed.schedules.run_now("T1", daily.id, "U1")
    third = replace(DONE, model="openai/gpt-6.1-sol", usage=Usage(1_000, 200))
    assert await timed.worker_queue.finish(await posted(timed), third, YES)
    assert (await stored(timed, daily.id)).usage == Amount(1_260, 0.004)
    assert [one.usage for one in await timed.schedules.all("T1", "C1")] == [Amount(1_260, 0.004)]
    clock.now_s += DAY_S
    assert await timed.schedules.tokens_used(daily, second.id) == (30, 0)
    clock.now_s += 3 * DAY_S
    assert (await stored(timed, daily.id)).usage == Amount(1_260, 0.004), "it is the last day of the month"
    clock.now_s += DAY_S
    assert (await stored(timed, daily.id)).usage == Amount()


async def test_erasing_a_person_removes_their_schedules_and_runs(timed: Stores, clock: ManualClock) -> None:
    await created(timed)
    others = await created(timed, user_id="U2", channel_id="C2")
    clock.now_s = NINE
    await timed.schedules.begin_due()
    await timed.erasure.erase(user_id="U1")
    assert await timed.schedules.all("T1", "C1") == []
    assert [schedule.id for schedule in await timed.schedules.all("T1", "C2")] == [others.id]
    assert await runs(timed) == [(run_id(others.id, NINE), "unposted")]


async def test_single_time_goes_with_texts_of_its_age(timed: Stores, clock: ManualClock) -> None:
    await created(timed, ONCE)
    daily = await created(timed)
    clock.now_s = NINE
    await timed.schedules.begin_due()
    await timed.erasure.expire(NINE)
    assert len(await timed.schedules.all("T1", "C1")) == 2
    await timed.erasure.expire(NINE + 1)
    assert [schedule.id for schedule in await timed.schedules.all("T1", "C1")] == [daily.id]


async def runs_queued(store: Stores, clock: ManualClock, number: int) -> None:
    for schedule in range(number):
        await created(store, another(schedule))
    clock.now_s = NINE
    assert await store.schedules.begin_due(number) == number
    for place, entry in enumerate(await entries(store)):
        run = await store.schedules.run(entry.job_id)
        assert run is not None
        ts = f"{NINE + place:.6f}"
        question = Question(ThreadKey("T1", "C1", ts), ts, "U1", "Summarize.", schedule_id=run.schedule.id)
        await store.question_queue.enqueue(f"view {entry.job_id}", question, job_id=entry.job_id)


async def test_persons_question_does_not_wait_behind_their_runs(worker: Process, clock: ManualClock) -> None:
    store = await worker("w1", clock, max_per_user=1)
    await runs_queued(store, clock, 2)
    first = await one(store)
    assert first.question.schedule_id is not None, "one run has the place of runs, and the other waits for it"
    taken = await store.question_queue.enqueue("Ev1", apart(1))
    assert taken
    assert not taken.needs_placeholder
    assert (await one(store)).question == apart(1)
    waits = await store.question_queue.enqueue("Ev2", apart(2))
    assert waits
    assert waits.needs_placeholder, "questions have one place, too"
    assert await store.worker_queue.finish(first, DONE, YES)
    second = await one(store)
    assert second.question.schedule_id not in (None, first.question.schedule_id)


async def test_people_come_before_runs_that_came_earlier(timed: Stores, clock: ManualClock) -> None:
    await runs_queued(timed, clock, 2)
    for number in (1, 2):
        await enqueued(timed, apart(number))
    people, runs_of = await timed.worker_queue.claim(2), await timed.worker_queue.claim(9)
    assert [job.question for job in people] == [apart(1), apart(2)]
    assert [job.question.schedule_id is not None for job in runs_of] == [True, True]


async def test_stop_can_be_undone_for_some_days(timed: Stores, clock: ManualClock) -> None:
    daily = await created(timed)

    async def restored() -> bool:
        return await timed.schedules.restore("T1", daily.id, "U1", 0)

    assert not await restored(), "it stands"
    assert await timed.schedules.stop("T1", daily.id, "U1")
    assert await timed.schedules.read("T1", daily.id) is None
    assert not await timed.schedules.stop("T1", daily.id, "U1")
    assert await timed.schedules.all("T1", user_id="U1") == []
    clock.now_s += DAY_S
    assert await timed.schedules.begin_due() == 0
    assert await restored()
    assert await timed.schedules.read("T1", daily.id) == replace(daily, next_at=NINE + DAY_S)

    await timed.schedules.stop("T1", daily.id, "U1")
    same = await created(timed)
    with pytest.raises(UnusableRule, match="already"):
        await restored()
    await timed.schedules.stop("T1", same.id, "U1")
    clock.now_s += UNDO_S + 1
    await timed.erasure.expire(0.0)
    assert not await restored()
    assert await count(timed, schedules) == 0


async def test_stopped_schedule_that_was_paused_stays_paused_when_it_is_back(store: Stores) -> None:
    daily = await created(store)
    await store.schedules.pause("T1", daily.id, PauseReason.BY_PERSON, "U1")
    await store.schedules.stop("T1", daily.id, "U1")
    assert await store.schedules.restore("T1", daily.id, "U1", 0)
    back = await stored(store, daily.id)
    assert (back.pause_reason, back.next_at) == (PauseReason.BY_PERSON, None)
