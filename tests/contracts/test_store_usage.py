"""The usage ledger: usage of past answers, reservations for running ones, and the caps that admins set."""

import asyncio
import random
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Any

import pytest
import sqlalchemy as sa

from bot.core import texts
from bot.core.calls import CallState
from bot.core.caps import (
    CAP_MARK,
    DAY_S,
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
    ScopeIds,
    day_of,
    parse_caps,
)
from bot.core.conversation import Question, ThreadKey
from bot.core.job import End, Job, StepEstimate
from bot.core.surfaces import DIRECT_MESSAGES, MonthUsage
from bot.core.usage import AnswerUsage, DownReason, UsageReport
from bot.errors import EndReason
from bot.models.events import Usage
from bot.store import Stores
from bot.store.schema import caps, charges, feedback, jobs, notifications, turns
from bot.store.usage import attempt_usages, thumbs
from tests.clocks import ManualClock
from tests.contracts.databases import Process
from tests.contracts.stores import (
    CALL,
    DONE,
    SAID,
    STEPPED,
    THREAD,
    YES,
    apart,
    asking_step,
    begun,
    by,
    count,
    enqueued,
)

MODEL = "openai/gpt-6.1-sol"
USAGE = Usage(1_000, 200)
COST_USD = 0.004
ANSWERED = replace(DONE, model=MODEL, usage=USAGE)
WINDOWS = [CapWindow(scope, period) for scope in Scope for period in Period]
DAY = CapWindow(Scope.USER, Period.DAY)
CAP = Cap(DAY, 5_000, in_dollars=False)
MOST = Amount(2_000, 1.0)
"""The most that one answer may use."""


def scope_ids(question: Question) -> ScopeIds:
    return ScopeIds(question.thread.team_id, question.user_id, question.thread.channel_id)


class TestSpending:
    async def test_usage_counts_for_asker_channel_and_workspace(self, store: Stores) -> None:
        assert await store.worker_queue.finish(await begun(store, apart(1)), ANSWERED, YES)
        assert await store.worker_queue.finish(await begun(store, apart(2)), ANSWERED, YES)
        spent = await store.usage.usage_by_window(scope_ids(apart(2)), WINDOWS)
        once, twice = Amount(1_200, COST_USD), Amount(2_400, 2 * COST_USD)
        assert spent == {window: once if window.scope is Scope.CHANNEL else twice for window in WINDOWS}
        assert await store.usage.usage_by_window(ScopeIds("T1", "U9", "C9"), [DAY]) == {DAY: Amount()}

    async def test_daily_usage_resets_while_monthly_usage_continues(self, timed: Stores, clock: ManualClock) -> None:
        await timed.worker_queue.finish(await begun(timed, apart(1)), ANSWERED, YES)
        clock.now_s += 86_400
        spent = await timed.usage.usage_by_window(scope_ids(apart(1)), WINDOWS)
        assert {window.period for window, amount in spent.items() if amount.tokens} == {Period.MONTH}
        clock.now_s += 31 * 86_400
        assert set((await timed.usage.usage_by_window(scope_ids(apart(1)), WINDOWS)).values()) == {Amount()}
        await timed.erasure.expire(clock.now_s)
        assert await count(timed, charges) == 1
        clock.now_s += 400 * 86_400
        await timed.erasure.expire(clock.now_s)
        assert await count(timed, charges) == 0

    async def test_taken_over_attempt_counts_by_estimate(self, process: Process, clock: ManualClock) -> None:
        dead, other = [await process(name, clock) for name in ("w1", "w2")]
        job = await begun(dead, apart(1))
        await dead.usage.reserve(job, MOST, [CAP])
        await dead.worker_queue.heartbeat({job: StepEstimate(1_000, 200, MODEL)})
        while not (again := await other.worker_queue.claim(1)):
            clock.now_s += 1
        assert await other.usage.usage_by_window(scope_ids(apart(1)), [DAY]) == {DAY: Amount(1_200, COST_USD)}
        assert await other.usage.reserve(again[0], Amount(3_799), [CAP]) == CapCheck()
        await other.worker_queue.finish(again[0], ANSWERED, YES)
        assert await other.usage.usage_by_window(scope_ids(apart(1)), [DAY]) == {DAY: Amount(2_400, 2 * COST_USD)}

    async def test_cost_so_far_is_that_of_the_newest_version(self, store: Stores) -> None:
        job = await begun(store, apart(1))
        assert await store.usage.cost_so_far(job.id) == 0.0
        await store.worker_queue.finish(job, ANSWERED, YES)
        await store.question_queue.regenerate(job.id)
        [job] = await store.worker_queue.claim(1)
        assert await store.usage.cost_so_far(job.id) == 0.0
        await store.recorded_calls.record_step(job, asking_step(), replace(STEPPED, model=MODEL, usage=USAGE), SAID)
        await store.worker_queue.release(job, estimate=StepEstimate(1_000, 200, MODEL, 1))
        assert await store.usage.cost_so_far(job.id) == pytest.approx(2 * COST_USD)
        [job] = await store.worker_queue.claim(1)
        await store.worker_queue.release(job, estimate=StepEstimate(1_000, 200, "openai/of-our-own", 1))
        assert await store.usage.cost_so_far(job.id) is None, "a model without a price"

    async def test_decision_about_a_message_counts_for_its_writer_in_a_thread_with_questions(
        self, store: Stores
    ) -> None:
        message = replace(apart(1), user_id="U2", ts="1700000009.000000")
        await store.usage.charge_message(message, Amount(90, 0.01), ())
        assert await count(store, charges) == 0, "the thread was erased"
        await enqueued(store, apart(1))
        await store.usage.charge_message(message, Amount(90, 0.01), ())
        await store.usage.charge_message(message, Amount(10, 0.02), (replace(CAP, limit=100),))
        assert await store.usage.usage_by_window(scope_ids(message), WINDOWS) == dict.fromkeys(
            WINDOWS, Amount(100, 0.03)
        )
        assert await store.usage.usage_by_window(scope_ids(apart(1)), [DAY]) == {DAY: Amount()}

    async def test_erased_person_counts_for_the_workspace_and_channel_only(self, store: Stores) -> None:
        await store.worker_queue.finish(await begun(store, apart(1)), ANSWERED, YES)
        await store.notifications.claim("T1", "U1", "denied")
        await store.erasure.erase(user_id="U1")
        assert await self._counting(store) == {Scope.CHANNEL: 1_200, Scope.WORKSPACE: 1_200}
        assert await store.notifications.claim("T1", "U1", "denied")
        await store.erasure.erase()
        assert await count(store, charges) == 0

    async def _counting(self, store: Stores) -> dict[Scope, int]:
        """Returns the scopes for which tokens count, with their number."""
        spent = await store.usage.usage_by_window(scope_ids(apart(1)), WINDOWS)
        return {window.scope: amount.tokens for window, amount in spent.items() if amount.tokens}

    async def test_running_job_of_an_erased_person_counts_without_their_name(self, store: Stores) -> None:
        job = await begun(store, apart(1))
        await store.erasure.erase(user_id="U1")
        await store.worker_queue.finish(job, ANSWERED, YES)
        assert await self._counting(store) == {Scope.CHANNEL: 1_200, Scope.WORKSPACE: 1_200}

    async def test_step_and_release_after_the_erasure_count_without_the_name(self, store: Stores) -> None:
        job = await begun(store, apart(1))
        await store.erasure.erase(user_id="U1")
        assert await store.recorded_calls.record_step(job, asking_step(CALL), STEPPED, SAID)
        assert await store.worker_queue.release(job, estimate=StepEstimate(7, 8, step_no=1))
        [again] = await store.worker_queue.claim(1)
        await store.worker_queue.finish(again, ANSWERED, YES)
        assert await self._counting(store) == dict.fromkeys((Scope.CHANNEL, Scope.WORKSPACE), 15 + 15 + 1_200)

    async def test_running_jobs_count_nothing_after_everything_is_erased(self, store: Stores) -> None:
        job = await begun(store, apart(1))
        await store.erasure.erase()
        await store.worker_queue.finish(job, ANSWERED, YES)
        assert await count(store, charges) == 0

    async def test_direct_messages_of_an_erased_person_name_no_channel(self, store: Stores) -> None:
        job = await begun(store, replace(by("U1", 1), thread=ThreadKey("T1", "D1", None)))
        await store.worker_queue.finish(job, ANSWERED, YES)
        await store.erasure.erase(user_id="U1")
        async with store.database.begin_read() as connection:
            assert (await connection.execute(sa.select(charges.c.user_id, charges.c.channel_id))).one() == ("", "D")
        today = day_of(store.clock.now())
        used = await store.usage.month_usage("T1", today, today + 1)
        once = Amount(1_200, COST_USD)
        assert (used.total, used.people, used.channels) == (once, {}, {DIRECT_MESSAGES: once})

    async def test_attempt_that_used_nothing_leaves_no_row(self, store: Stores) -> None:
        job = await begun(store, apart(1))
        assert await count(store, charges) == 1
        assert await store.worker_queue.release(job)
        assert await count(store, charges) == 0
        [job] = await store.worker_queue.claim(1)
        assert await store.worker_queue.finish(job, replace(ANSWERED, usage=None), YES)
        assert await count(store, charges) == 0

    @pytest.mark.parametrize("beats_late", [False, True])
    async def test_estimate_of_a_step_counts_nothing_once_it_is_on_record(
        self, process: Process, clock: ManualClock, beats_late: bool
    ) -> None:
        stores = [await process(name, clock) for name in ("w1", "w2")]
        job = await begun(stores[0], apart(1))
        await stores[0].worker_queue.heartbeat({job: StepEstimate(4_000, 0, MODEL, step_no=0)})
        await stores[0].recorded_calls.record_step(job, asking_step(CALL), replace(STEPPED, usage=USAGE), SAID)
        if beats_late:
            await stores[0].worker_queue.heartbeat({job: StepEstimate(5_000, 0, MODEL, step_no=0)})
        while not await stores[1].worker_queue.claim(1):
            clock.now_s += 1
        assert (await stores[1].usage.usage_by_window(scope_ids(apart(1)), [DAY]))[DAY].tokens == 1_200


class TestReserving:
    async def test_reservation_counts_for_others_until_its_job_ends(self, store: Stores) -> None:
        jobs_under_way = [await begun(store, apart(number)) for number in range(4)]
        rooms = [await store.usage.reserve(job, MOST, [CAP]) for job in jobs_under_way]
        assert rooms == [CapCheck(), CapCheck(), CapCheck(), CapCheck(reserved_cap=CAP)]
        await store.worker_queue.finish(jobs_under_way[0], ANSWERED, YES)
        assert await store.usage.reserve(jobs_under_way[3], MOST, [CAP]) == CapCheck(reserved_cap=CAP)
        await store.worker_queue.finish(jobs_under_way[1], ANSWERED, YES)
        assert await store.usage.reserve(jobs_under_way[3], MOST, [CAP]) == CapCheck()
        assert await store.usage.reserve(jobs_under_way[3], MOST, [CAP]) == CapCheck()

    @pytest.mark.parametrize(("scope", "other"), [(Scope.CHANNEL, apart(2)), (Scope.USER, by("U2", 2))])
    async def test_reservation_for_one_channel_or_person_leaves_the_room_of_another(
        self, store: Stores, scope: Scope, other: Question
    ) -> None:
        cap = Cap(CapWindow(scope, Period.DAY), MOST.tokens, in_dollars=False)
        assert await store.usage.reserve(await begun(store, apart(1)), MOST, [cap]) == CapCheck()
        assert await store.usage.reserve(await begun(store, other), MOST, [cap]) == CapCheck()

    async def test_dollars_are_capped_like_tokens(self, store: Stores) -> None:
        cap = Cap(CapWindow(Scope.WORKSPACE, Period.MONTH), COST_USD + 0.5, in_dollars=True)
        await store.worker_queue.finish(await begun(store, apart(1)), ANSWERED, YES)
        second, third = await begun(store, apart(2)), await begun(store, apart(3))
        assert await store.usage.reserve(second, MOST, [cap]) == CapCheck()
        assert await store.usage.reserve(third, MOST, [cap]) == CapCheck(reserved_cap=cap)
        await store.worker_queue.finish(second, replace(ANSWERED, usage=Usage(0, 100_000)), YES)
        assert await store.usage.reserve(third, MOST, [cap]) == CapCheck(reached_cap=cap)

    @pytest.mark.long(after_row=1)
    async def test_several_processes_pass_a_cap_by_at_most_one_answer(self, process: Process) -> None:
        stores = [await process(f"w{n}") for n in range(3)]
        for number in range(30):
            await enqueued(stores[0], by(f"U{number % 10}", number))
        cap = Cap(CapWindow(Scope.WORKSPACE, Period.DAY), 10_000, in_dollars=False)
        ends = await asyncio.gather(*(self._answer_all(store, cap) for store in stores))
        spent = (await stores[0].usage.usage_by_window(scope_ids(apart(1)), [cap.window]))[cap.window].tokens
        answered, refused = (sum(counts) for counts in zip(*ends, strict=True))
        assert answered + refused == 30
        assert spent == answered * 1_200
        assert cap.limit <= spent < cap.limit + 1_200

    async def _answer_all(self, store: Stores, cap: Cap) -> tuple[int, int]:
        """Returns how many questions were answered, and how many refused."""
        ends = await asyncio.gather(*(self._answer(store, job, cap) for job in await store.worker_queue.claim(10)))
        return ends.count(True), ends.count(False)

    async def _answer(self, store: Stores, job: Job, cap: Cap) -> bool:
        check = await store.usage.reserve(job, MOST, [cap])
        while check.reserved_cap:
            await asyncio.sleep(0.1)
            check = await store.usage.reserve(job, MOST, [cap])
        refused = End(EndReason.CAP_REACHED)
        assert await store.worker_queue.finish(job, refused if check.reached_cap else ANSWERED, YES)
        return check.reached_cap is None


class TestMonth:
    async def test_month_is_added_up_by_person_channel_model_and_tool(self, store: Stores) -> None:
        today = day_of(store.clock.now())
        for number, model in enumerate(("openai/gpt-6-luna", "openai/gpt-6-luna", "own/model")):
            job = await begun(store, by(f"U{number % 2}", number))
            usage = Usage(1_000_000, 0, web_searches=2)
            await store.worker_queue.finish(job, replace(DONE, model=model, usage=usage), YES)
        used = await store.usage.month_usage("T1", today, today + 1)
        once = Amount(1_000_000, used.total.cost_usd / 2)
        assert once.cost_usd > 0
        assert used == MonthUsage(
            total=Amount(3_000_000, 2 * once.cost_usd),
            people={"U0": Amount(2_000_000, once.cost_usd), "U1": once},
            channels={"C10000": once, "C10001": once, "C10002": Amount(1_000_000)},
            models={"openai/gpt-6-luna": once + once, "own/model": Amount(1_000_000)},
            calls={texts.settings.WEB_SEARCH.label: 6},
        )
        nothing = MonthUsage(Amount(), {}, {}, {}, {})
        assert await store.usage.month_usage("T2", today, today + 1) == nothing
        for first, end in ((today - 31, today), (today + 1, today + 2)):
            assert await store.usage.month_usage("T1", first, end) == nothing

    async def test_direct_messages_are_one_sum(self, store: Stores) -> None:
        for number in (1, 2):
            job = await begun(store, replace(by(f"U{number}", number), thread=ThreadKey("T1", f"D{number}", None)))
            await store.worker_queue.finish(job, ANSWERED, YES)
        today = day_of(store.clock.now())
        used = await store.usage.month_usage("T1", today, today + 1)
        assert used.channels == {DIRECT_MESSAGES: Amount(2_400, 2 * COST_USD)}

    async def test_channels_are_those_in_which_a_person_asked(self, timed: Stores, clock: ManualClock) -> None:
        async def asked_in(channel_id: str, number: int, user_id: str = "U1") -> Question:
            question = replace(by(user_id, number), thread=ThreadKey("T1", channel_id, f"{number}.0"))
            await timed.worker_queue.finish(await begun(timed, question), ANSWERED, YES)
            return question

        first = day_of(clock.now_s) + 1
        await asked_in("CBEFORE", 1)
        clock.now_s += 86_400
        for number, channel_id in enumerate(("C1", "C2", "D1", "C1"), 2):
            await asked_in(channel_id, number)
        theirs = await asked_in("C3", 6, "U2")
        # A decision about a message that isn't a question is charged to its writer.
        await timed.usage.charge_message(replace(theirs, user_id="U1"), Amount(10), ())
        assert await timed.usage.channels_of_asker("T1", "U1", first) == ["C1", "C2"]
        assert await timed.usage.channels_of_asker("T1", "U1", first - 1) == ["C1", "C2", "CBEFORE"]
        assert await timed.usage.channels_of_asker("T2", "U1", first) == []
        await timed.erasure.erase(user_id="U1")
        assert await timed.usage.channels_of_asker("T1", "U1", first) == []

    async def test_only_calls_that_were_made_count(self, store: Stores) -> None:
        job = await begun(store, apart(1))
        made, denied = (replace(CALL, index=index, call_id=f"call_{index}", state=CallState.READY) for index in (0, 1))
        await store.recorded_calls.record_step(job, asking_step(made, denied), STEPPED, SAID)
        assert await store.recorded_calls.begin_call(job, made)
        today = day_of(store.clock.now())
        assert (await store.usage.month_usage("T1", today, today + 1)).calls == {CALL.tool: 1}

    async def test_month_is_found_by_an_index_however_many_went_before(self, on_file: Process) -> None:
        store = await on_file("w1")
        plan = await plan_of(store, lambda: store.usage.month_usage("T1", 20_000, 20_031))
        for found in (
            "USING INDEX ix_charges_workspace (team_id=? AND day>? AND day<?)",
            "USING INDEX ix_tool_calls_created_at (created_at>? AND created_at<?)",
        ):
            assert any(found in step for step in plan), plan
        assert not any("SEARCH jobs" in step and "INTEGER PRIMARY KEY" not in step for step in plan), plan

    async def test_usage_of_an_owner_is_added_up_by_day(self, timed: Stores, clock: ManualClock) -> None:
        today = day_of(clock.now_s)
        for number in (1, 2):
            await timed.worker_queue.finish(await begun(timed, apart(number)), ANSWERED, YES)
            clock.now_s += 86_400
        owner = CapOwner(Scope.USER, "U1")
        once = Amount(1_200, COST_USD)
        assert await timed.usage.usage_by_day("T1", owner, today) == {today: once, today + 1: once}
        assert await timed.usage.usage_by_day("T1", owner, today + 1) == {today + 1: once}
        assert await timed.usage.usage_by_day("T1", CapOwner(Scope.CHANNEL, "U1"), today) == {}
        assert await timed.usage.usage_by_day("T1", CapOwner(Scope.CHANNEL, "C10002"), today) == {today + 1: once}
        assert await timed.usage.usage_by_day("T1", CapOwner(Scope.WORKSPACE, "T1"), today + 1) == {today + 1: once}
        assert await timed.usage.usage_by_day("T2", CapOwner(Scope.WORKSPACE, "T2"), today) == {}

    async def test_attempts_are_reported_with_all_that_they_used(self, timed: Stores, clock: ManualClock) -> None:
        question = replace(apart(1), user_id="U7")
        job = await begun(timed, question)
        clock.now_s += 7
        searched = replace(STEPPED, model=MODEL, usage=replace(USAGE, web_searches=2), first_token_s=1.5)
        await timed.recorded_calls.record_step(job, asking_step(), searched, SAID)
        await timed.worker_queue.finish(job, End(EndReason.CUT, model=MODEL, first_token_s=2.5), "")
        async with timed.database.engine.connect() as connection:
            stepped, ended = await attempt_usages(connection, clock.now_s)
            assert await attempt_usages(connection, clock.now_s + 1) == []
        at = (clock.now_s, job.id, "U7", question.thread.channel_id, MODEL)
        assert ended == AnswerUsage(*at, EndReason.CUT, None, None, None, 2.5)
        cost_usd = stepped.cost_usd
        assert stepped == AnswerUsage(*at, EndReason.STEPPED, 1_000, 200, cost_usd, 1.5, web_searches=2)
        assert cost_usd is not None
        assert cost_usd > COST_USD, "searches have a price, too"


async def plan_of(store: Stores, read: Callable[[], Awaitable[object]]) -> list[str]:
    statements: list[tuple[str, Any]] = []

    def keep(connection: Any, cursor: Any, statement: str, parameters: Any, *_: Any) -> None:
        statements.append((statement, parameters))

    # A file is read by connections of their own.
    sa.event.listen(sa.Engine, "before_cursor_execute", keep)
    await read()
    sa.event.remove(sa.Engine, "before_cursor_execute", keep)
    plan: list[str] = []
    async with store.database.engine.connect() as connection:
        for statement, parameters in statements:
            rows = await connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {statement}", parameters)
            plan += [str(row.detail) for row in rows]
    return plan


class TestWeek:
    """What the weekly report says of a workspace."""

    @pytest.mark.parametrize("is_even", [True, False])
    async def test_sums_are_those_of_the_attempts_and_thumbs_one_by_one(
        self, timed: Stores, clock: ManualClock, *, is_even: bool
    ) -> None:
        first = day_of(clock.now_s) + 7
        begins, ends = float(first * DAY_S), float((first + 7) * DAY_S)
        await write_weeks(timed, begins, seed=2 if is_even else 9)
        report, disliked = UsageReport("week", first), Counter[str]()
        async with timed.database.engine.connect() as connection:
            is_ours = jobs.c.team_id == "T1"
            used = await attempt_usages(connection, begins - 7 * DAY_S, turns.c.created_at < ends, is_ours)
            said = await thumbs(connection, begins, feedback.c.at < ends, is_ours)
        report.add_attempts(used, said)
        _, line = report.sorted_lines().values()
        assert (len(line.first_tokens_s) % 2 == 0) is is_even
        for thumb in said:
            disliked["" if thumb.channel_id.startswith("D") else thumb.channel_id] += thumb.value < 0
        week = await timed.usage.week_usage("T1", first, 2)
        assert (week.questions, week.people) == (len(line.questions), len(line.people))
        assert (week.answers, week.stopped, week.failed) == (line.answers, line.stopped, line.failed)
        assert sum(week.unanswered.values()) == line.unanswered
        assert week.usd == pytest.approx(line.cost_usd)
        assert week.unpriced_tokens == line.unpriced_tokens
        assert (week.median_s, week.slowest_s) == (line.median_first_token_s, line.slowest_first_token_s)
        assert week.thumbs == (line.thumbs_up, line.thumbs_down)
        assert week.reasons == line.down_reasons
        assert sorted(week.disliked.values(), reverse=True) == [number for _, number in disliked.most_common(2)]
        assert all(disliked[channel_id] == number for channel_id, number in week.disliked.items())

    async def test_week_of_nobody_has_no_median(self, timed: Stores) -> None:
        week = await timed.usage.week_usage("T1", 7, 2)
        assert (week.questions, week.people, week.usd, week.median_s) == (0, 0, 0.0, None)

    async def test_week_is_found_by_an_index_and_no_other_jobs_are_read(self, on_file: Process) -> None:
        store = await on_file("w1")
        plan = await plan_of(store, lambda: store.usage.week_usage("T1", 7, 2))
        assert any("USING INDEX ix_turns_created_at (created_at>? AND created_at<?)" in step for step in plan), plan
        assert not any("jobs" in step and "INTEGER PRIMARY KEY" not in step for step in plan), plan


async def write_weeks(store: Stores, begins: float, seed: int) -> None:
    """Writes attempts and thumbs of three weeks at random, the second of which begins then, in two workspaces."""
    rng = random.Random(seed)
    rows: dict[str, list[dict[str, Any]]] = {"jobs": [], "charges": [], "turns": [], "feedback": []}
    for id_ in range(1, 301):
        at = begins + rng.choice([rng.uniform(-7, 14) * DAY_S, 0.0, 7.0 * DAY_S])
        team_id, user_id = rng.choice(["T1", "T1", "T2"]), f"U{rng.randrange(9)}"
        place = {"team_id": team_id, "user_id": user_id, "channel_id": rng.choice(["C1", "C2", "C3", "D1", "D2"])}
        ended = {"text": "", "status": "ended", "end_reason": "whole"}
        rows["jobs"].append({"id": id_, "thread_ts": f"{id_}", "ts": f"{id_}", "created_at": at, **place, **ended})
        for version in range(rng.choice([1, 1, 3])):
            used = {"input_tokens": rng.choice([0, 50]), "output_tokens": rng.choice([0, 7])}
            charge = {"id": len(rows["charges"]) + 1, "job_id": id_, "day": day_of(at), **place, **used}
            rows["charges"].append({**charge, "cost_usd": rng.choice([None, 0.0, rng.random()])})
            end = {
                "version": version,
                "end_reason": rng.choice(list(EndReason)).value,
                "created_at": at + version,
                "answer": "",
            }
            first_s = rng.choice([None, rng.random()])
            charged = {"charge_id": rng.choice([None, charge["id"]]), "job_id": id_, "first_token_s": first_s}
            rows["turns"].append({"version": version, "origins": [], **end, **charged})
        value = rng.choice([1, -1])
        why = {"value": value, "reason": rng.choice([None, *DownReason]) if value < 0 else None}
        rows["feedback"].append({"job_id": id_, "user_id": "U9", "at": at, **why})
    async with store.database.engine.begin() as connection:
        for table in (jobs, charges, turns, feedback):
            await connection.execute(sa.insert(table), rows[table.name])


ADA = CapOwner(Scope.USER, "U1")
TOKENS_A_DAY = CapWindow(Scope.USER, Period.DAY)
MOST_TOKENS = Amount(100)
DEFAULTS = parse_caps("user/day=1000tokens,workspace/month=5000tokens")
MONTH_S = 31 * 86_400.0


def own_cap(owner: CapOwner, period: Period, limit: float) -> Cap:
    return Cap(CapWindow(owner.scope, period), limit, in_dollars=False)


async def used(store: Stores, number: int, tokens: int, user_id: str = "U1") -> None:
    job = await begun(store, by(user_id, number))
    await store.worker_queue.finish(job, replace(DONE, usage=Usage(tokens, 0)), YES)


async def told(store: Stores) -> list[str]:
    """Completes the notifications that are due, and returns what admins are told."""
    taken = await store.notifications.claim_due(20, (CAP_MARK,))
    for one in taken:
        await store.notifications.complete(one)
    assert all(one.content == {"team_id": "T1", "notice": one.key} for one in taken)
    return [one.key for one in taken]


async def short(store: Stores) -> list[tuple[int, str]]:
    """Returns the marks and caps that admins are told of."""
    parsed = map(CapNotice.parse, await told(store))
    return [(notice.percent, notice.cap.setting) for notice in parsed]


async def test_cap_of_ones_own_takes_the_place_of_the_default_until_it_is_removed(store: Stores) -> None:
    await used(store, 1, 500)
    job = await begun(store, apart(2))
    assert await store.usage.reserve(job, MOST_TOKENS, DEFAULTS) == CapCheck()
    assert await store.caps.change("T1", ADA, {CapField.TOKENS_A_DAY: 500.0}, by="UADMIN")
    lower = own_cap(ADA, Period.DAY, 500)
    assert await store.usage.reserve(job, MOST_TOKENS, DEFAULTS) == CapCheck(reached_cap=lower)
    assert await store.caps.own_caps("T1", ADA) == (lower,)
    assert await store.usage.reserve(await begun(store, by("U2", 3)), MOST_TOKENS, DEFAULTS) == CapCheck()
    await store.caps.change("T1", ADA, {CapField.TOKENS_A_DAY: None}, by="UADMIN")
    assert await store.usage.reserve(job, MOST_TOKENS, DEFAULTS) == CapCheck()
    assert await store.caps.own_caps("T1", ADA) == ()


async def test_cap_that_leaves_least_decides(store: Stores) -> None:
    question = by("U1", 1)
    channel = CapOwner(Scope.CHANNEL, question.thread.channel_id)
    await store.worker_queue.finish(await begun(store, question), replace(DONE, usage=Usage(400, 0)), YES)
    await store.caps.change("T1", ADA, {CapField.TOKENS_A_DAY: 9_000.0}, by="UADMIN")
    await store.caps.change("T1", channel, {CapField.TOKENS_A_MONTH: 400.0}, by="UADMIN")
    await store.caps.change("T1", CapOwner(Scope.WORKSPACE, "T1"), {CapField.TOKENS_A_MONTH: 8_000.0}, by="UADMIN")
    again = replace(question, ts="1700000009.000001")
    check = await store.usage.reserve(await begun(store, again), MOST_TOKENS, ())
    assert check == CapCheck(reached_cap=own_cap(channel, Period.MONTH, 400))


async def test_several_processes_pass_a_cap_that_an_admin_set_by_at_most_one_answer(process: Process) -> None:
    stores = [await process(f"w{n}") for n in range(2)]
    await stores[0].caps.change("T1", CapOwner(Scope.WORKSPACE, "T1"), {CapField.TOKENS_A_DAY: 250.0}, by="UADMIN")
    for number in range(10):
        await enqueued(stores[0], by(f"U{number}", number))
    jobs = [(store, job) for store in stores for job in await store.worker_queue.claim(5)]
    checks = await asyncio.gather(*(store.usage.reserve(job, MOST_TOKENS, ()) for store, job in jobs))
    assert checks.count(CapCheck()) == 3


async def test_unchanged_caps_count_as_no_change(store: Stores) -> None:
    limits = {CapField.TOKENS_A_DAY: 500.0, CapField.DOLLARS_A_MONTH: 20.0, CapField.DOLLARS_A_DAY: None}
    assert await store.caps.change("T1", ADA, limits, by="UADMIN")
    assert not await store.caps.change("T1", ADA, limits, by="UADMIN")
    assert await store.caps.change("T1", ADA, {CapField.DOLLARS_A_MONTH: 30.0}, by="UADMIN")
    assert {cap.setting for cap in await store.caps.own_caps("T1", ADA)} == {"user/day=500tokens", "user/month=30usd"}


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
    assert sorted(await store.caps.all_caps("T1"), key=lambda own: own.owner.scope) == [
        OwnCap(CapOwner(Scope.CHANNEL, "C9"), own_cap(CapOwner(Scope.CHANNEL, "C9"), Period.MONTH, 50), Amount()),
        OwnCap(ADA, own_cap(ADA, Period.DAY, 500), Amount(300)),
    ]
    assert await store.caps.all_caps("T2") == []


async def test_monthly_cap_in_the_list_has_the_use_of_earlier_days(timed: Stores, clock: ManualClock) -> None:
    await used(timed, 1, 300)
    clock.now_s += 86_400
    await used(timed, 2, 20)
    await timed.caps.change("T1", ADA, {CapField.TOKENS_A_DAY: 500.0, CapField.TOKENS_A_MONTH: 900.0}, by="UADMIN")
    used_of = {own.cap.setting: own.usage for own in await timed.caps.all_caps("T1")}
    assert used_of == {"user/day=500tokens": Amount(20), "user/month=900tokens": Amount(320)}


class TestMarks:
    @pytest.fixture
    async def store(self, worker: Process, clock: ManualClock) -> Stores:
        return await worker("w1", clock, caps=DEFAULTS)

    @pytest.mark.parametrize(
        "answers",
        [
            [(0, 790, []), (0, 10, [80]), (0, 100, []), (0, 100, [100]), (0, 100, [])],
            [(0, 1_200, [100])],
            [(0, 800, [80]), (86_400, 800, []), (MONTH_S, 800, [80])],
        ],
        ids=["once at 80 and 100 percent", "once if both are passed", "once a month of a person's daily cap"],
    )
    async def test_admins_are_told(
        self, store: Stores, clock: ManualClock, answers: list[tuple[float, int, list[int]]]
    ) -> None:
        """`answers`: the seconds before each, its tokens, and the marks that admins are told about."""
        for number, (passed_s, tokens, marks) in enumerate(answers):
            clock.now_s += passed_s
            await used(store, number, tokens)
            assert await short(store) == [(mark, "user/day=1000tokens") for mark in marks]

    async def test_each_person_and_the_workspace_have_marks_of_their_own(self, store: Stores) -> None:
        for number in range(5):
            await used(store, number + 1, 800, f"U{number}")
        about = await told(store)
        assert sorted(notice.split()[2] for notice in about) == ["T1", "U0", "U1", "U2", "U3", "U4"]

    async def test_raised_cap_is_another_one(self, store: Stores) -> None:
        await used(store, 1, 1_000)
        await store.caps.change("T1", ADA, {CapField.TOKENS_A_DAY: 1_500.0}, by="UADMIN")
        await used(store, 2, 200)
        assert await short(store) == [(100, "user/day=1000tokens"), (80, "user/day=1500tokens")]

    async def test_step_of_an_answer_under_way_passes_a_mark_too(self, store: Stores) -> None:
        job = await begun(store)
        usage = replace(STEPPED, usage=Usage(900, 0))
        await store.recorded_calls.record_step(job, asking_step(CALL), usage, SAID)
        assert await short(store) == [(80, "user/day=1000tokens")]

    async def test_handed_over_attempt_passes_a_mark_too(self, store: Stores) -> None:
        job = await begun(store, apart(1))
        await store.worker_queue.release(job, estimate=StepEstimate(900, 50, "m"))
        assert await short(store) == [(80, "user/day=1000tokens")]

    async def test_mark_that_an_erased_persons_usage_passes_is_told_with_the_next_answer(self, store: Stores) -> None:
        job = await begun(store)
        await store.erasure.erase(user_id="U1")
        await store.recorded_calls.record_step(job, asking_step(CALL), replace(STEPPED, usage=Usage(4_500, 0)), SAID)
        assert await short(store) == [], "the job may be gone"
        await used(store, 2, 10, "U2")
        assert await short(store) == [(80, "workspace/month=5000tokens")]

    async def test_marks_are_passed_once_over_all_processes(self, process: Process) -> None:
        stores = [await process(f"w{n}", caps=DEFAULTS) for n in range(2)]
        for number in range(20):
            await enqueued(stores[0], by(f"U{number}", number))
        jobs = [(store, job) for store in stores for job in await store.worker_queue.claim(10)]
        end = replace(DONE, usage=Usage(300, 0))
        await asyncio.gather(*(store.worker_queue.finish(job, end, YES) for store, job in jobs))
        assert sorted(await short(stores[0])) == [
            (80, "workspace/month=5000tokens"),
            (100, "workspace/month=5000tokens"),
        ]


async def test_erased_person_has_no_cap_and_is_in_no_notice(store: Stores) -> None:
    direct = Question(ThreadKey("T1", "D1", None), "1700000000.000001", "U1", "Why?")
    await store.question_queue.enqueue("Ev1", direct)
    for team_channel in ("80% user/day=1000tokens U1 2026-11", "80% channel/day=1000tokens D1 2026-11"):
        await store.notifications.claim("T1", "UADMIN", team_channel)
    await store.notifications.claim("T1", "UADMIN", "80% user/day=1000tokens U10 2026-11")
    await store.caps.change("T1", ADA, {CapField.TOKENS_A_DAY: 500.0}, by="UADMIN")
    await store.caps.change(
        "T1", CapOwner(Scope.CHANNEL, THREAD.channel_id), {CapField.TOKENS_A_DAY: 500.0}, by="UADMIN"
    )
    await store.erasure.erase(user_id="U1")
    assert [own.owner.scope for own in await store.caps.all_caps("T1")] == [Scope.CHANNEL]
    assert await count(store, notifications) == 1
    await store.erasure.erase()
    assert await count(store, caps) == 1
