"""A workspace's budgets: turns, streams, other processes, what was learned, and times when the database is away."""

import asyncio
from collections.abc import Callable, Coroutine
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import wraps
from types import SimpleNamespace
from typing import Any

import pytest

from slack_pacing.budget import (
    APPENDS,
    CALLS_PER_MINUTE,
    CHANNEL_POSTS,
    DEFAULT_RETRY_AFTER_S,
    REPLIES,
    STARTS,
    STOPS,
    WATCH_INTERVAL_S,
    RateBudget,
    retry_after_s,
)
from slack_pacing.carriers import CarrierName
from slack_pacing.ledger import OtherProcesses, Reservation
from slack_pacing.pacer import RECENT_QUESTIONS_S, USUAL_LIFE_S, CallsLeft, Urgency
from slack_pacing.posts import POST_BURST, PostRule
from slack_pacing.rates import ASK_AGAIN_S, MARGIN_S, OTHERS_MARGIN_S, WINDOW_S, LearnedLimit
from slack_pacing.tests.ledgers import LoneLedger, watching
from slack_pacing.tests.simulated_time import SimulatedClock, run_simulated

UPDATE, POST, READ = "chat.update", "chat.postMessage", "conversations.replies"
METHOD = "chat.delete"
RETRY_AFTER_S = 30.0
BUDGET = CALLS_PER_MINUTE[METHOD]


class RateLimited(Exception):
    def __init__(self, retry_after_s: float) -> None:
        self.retry_after_s = retry_after_s


@dataclass
class SetClock(SimulatedClock):
    """A clock that tests set."""

    now_s: float

    def monotonic(self) -> float:
        return self.now_s


def simulated(test: Callable[..., Coroutine[Any, Any, None]]) -> Callable[..., None]:
    """Runs a test in simulated time, in which it takes 2,000 seconds at most."""

    @wraps(test)
    def run(**arguments: Any) -> None:
        run_simulated(asyncio.wait_for(test(**arguments), 2_000))

    return run


def slack_error(status_code: int, headers: dict[str, str]) -> Exception:
    """Returns an error with a response, as slack_sdk's SlackApiError has one."""
    error = ConnectionError()
    error.response = SimpleNamespace(status_code=status_code, headers=headers)  # type: ignore[attr-defined]
    return error


def time_s() -> float:
    return asyncio.get_running_loop().time()


def new_budget(ledger: LoneLedger | None = None) -> RateBudget:
    return RateBudget(ledger or LoneLedger(), SimulatedClock())


async def turns(budget: RateBudget, count: int, method: str = METHOD, error: Exception | None = None) -> list[float]:
    """Takes turns one after another; returns the time of each."""
    times = []
    for _ in range(count):
        with suppress(ValueError):
            async with budget.paced_call(method):
                times.append(time_s())
                if error is not None:
                    raise error
    return times


@pytest.mark.parametrize("error", [None, ValueError()], ids=["calls that succeed", "calls that raise"])
@simulated
async def test_calls_of_a_minute_go_at_once_and_come_back_after_it(error: Exception | None) -> None:
    times = await turns(new_budget(), BUDGET + 2, error=error)
    assert times[:BUDGET] == [0] * BUDGET
    assert all(WINDOW_S + MARGIN_S <= at < WINDOW_S + 1 for at in times[BUDGET:])


@simulated
async def test_method_without_a_budget_goes_at_once() -> None:
    assert await turns(new_budget(), 500, "auth.test") == [0] * 500


@simulated
async def test_turn_that_is_canceled_during_its_reservation_is_given_back() -> None:
    ledger = LoneLedger(delay_s=5.0)
    budget = new_budget(ledger)
    waiting = [asyncio.create_task(turns(budget, 1)) for _ in range(BUDGET)]
    await asyncio.sleep(1)
    for task in waiting:
        task.cancel()
    await asyncio.wait(waiting)
    ledger.delay_s = 0.0
    assert await turns(budget, BUDGET) == [1] * BUDGET


class CountingLedger(LoneLedger):
    """Counts how often a post is asked for."""

    posts: int = 0

    async def reserve_post(self, channel_id: str, rule: PostRule) -> Reservation:
        self.posts += 1
        return await super().reserve_post(channel_id, rule)


@simulated
async def test_posts_in_one_channel_wait_without_asking_the_ledger_again_and_again() -> None:
    ledger, times = CountingLedger(), []
    budget = new_budget(ledger)
    for _ in range(POST_BURST + 2):
        async with budget.paced_call(POST, "C1"):
            times.append(time_s())
    assert times[-1] >= 1
    assert ledger.posts == len(times)


@pytest.mark.parametrize(
    ("error", "wait_s"),
    [
        (RateLimited(1.5), 1.5),
        (RateLimited(0), 0.0),
        (slack_error(429, {"Retry-After": "7"}), 7.0),
        (slack_error(429, {"Retry-After": "soon"}), DEFAULT_RETRY_AFTER_S),
        (slack_error(429, {}), DEFAULT_RETRY_AFTER_S),
        (slack_error(503, {"Retry-After": "7"}), None),
        (ConnectionResetError(), None),
    ],
)
def test_rate_limit_is_read_from_an_error_of_any_client(error: Exception, wait_s: float | None) -> None:
    assert retry_after_s(error) == wait_s


@simulated
async def test_rate_limit_in_a_turn_delays_the_next_one() -> None:
    budget = new_budget()
    with pytest.raises(RateLimited):
        async with budget.paced_call(METHOD):
            raise RateLimited(90.0)
    assert await turns(budget, 1) == [90]


@pytest.mark.parametrize(("channel_id", "at_s"), [("C1", 90), ("C2", 0)])
@simulated
async def test_rate_limit_of_a_channel_delays_its_next_post_alone(channel_id: str, at_s: float) -> None:
    budget = new_budget()
    with pytest.raises(RateLimited):
        async with budget.paced_call(POST, "C1"):
            raise RateLimited(90.0)
    async with budget.paced_call(POST, channel_id):
        assert time_s() == pytest.approx(at_s, abs=1)


@simulated
async def test_denied_call_is_requested_again_later_and_leaves_nothing_in_flight() -> None:
    """Another process has used all calls, which come back when they are a minute old."""
    ledger = LoneLedger(others=OtherProcesses(call_ages_s=(10.0,) * BUDGET))
    asyncio.get_running_loop().call_later(30, setattr, ledger, "others", OtherProcesses())
    times = await turns(new_budget(ledger), BUDGET)
    assert times == [pytest.approx(WINDOW_S + OTHERS_MARGIN_S - 10)] * BUDGET


@simulated
async def test_without_the_ledger_a_process_stays_within_what_it_knows() -> None:
    ledger = LoneLedger(others=OtherProcesses(call_ages_s=(1.0,) * 40, live_ages_s=(5.0,)))
    budget = new_budget(ledger)
    assert await take(budget, UPDATE)
    ledger.is_away = True
    granted = [await take(budget, UPDATE) for _ in range(CALLS_PER_MINUTE[UPDATE])]
    assert sum(granted) == CALLS_PER_MINUTE[UPDATE] - 40 - 1
    assert await take(budget, POST)


@simulated
async def test_ledger_that_denied_a_call_gets_no_request_at_once() -> None:
    ledger = LoneLedger(denies_until=30.0)
    assert await turns(new_budget(ledger), 1) == [pytest.approx(30, abs=1)]
    assert ledger.requests <= 1 + 30 / ASK_AGAIN_S + 1


@simulated
async def test_no_more_edits_are_tried_than_slack_guarantees() -> None:
    budget = new_budget()
    first = await turns(budget, 51, UPDATE)
    await asyncio.sleep(600 - time_s())
    later = await turns(budget, 81, UPDATE)
    assert (first.count(0), later.count(600)) == (50, 50)


NOW = 1_000.0
EDITED: list[str] = [REPLIES]
STARTING, OPEN = [STARTS, APPENDS, STOPS], [APPENDS, STOPS]
AUTO: CarrierName | None = None
STREAM: CarrierName = "stream"


@pytest.fixture
def clock() -> SetClock:
    return SetClock(NOW)


@pytest.fixture
def budget(clock: SetClock) -> RateBudget:
    return RateBudget(LoneLedger(), clock)


def send(budget: RateBudget, method: str, calls: int) -> None:
    for _ in range(calls):
        budget.on_send(method, NOW, None)
        budget.on_end(method)


def live_by_method(budget: RateBudget) -> dict[str, int]:
    """Returns how many live replies use each method's calls."""
    return {method: budget._pacers[method].live_replies for method in (REPLIES, STARTS, APPENDS, STOPS)}


@pytest.mark.parametrize(
    "used",
    [EDITED, STARTING, OPEN],
)
def test_calls_are_held_back_for_what_a_reply_still_needs(budget: RateBudget, used: list[str]) -> None:
    budget.on_reply_opened("other")
    budget.on_reply_opened("a")
    for step in (STARTING, OPEN, EDITED, used, used):
        budget.set_methods("a", step)
    edits = 2 if REPLIES in used else 1
    assert live_by_method(budget) == {method: int(method in used) for method in (STARTS, APPENDS, STOPS)} | {
        REPLIES: edits
    }
    budget.on_reply_closed("a")
    budget.on_reply_closed("other")
    assert set(live_by_method(budget).values()) == {0}


def gap_beside_streams_s(budget: RateBudget, clock: SetClock, *, life_s: float, every_s: float) -> float:
    """Returns the gap that a stream may expect after ten streamed answers, one after the other."""
    for key in range(10):
        budget.on_reply_opened(key)
        budget.set_methods(key, OPEN)
        clock.now_s += life_s
        budget.set_methods(key, EDITED)
        budget.on_reply_closed(key)
        clock.now_s += every_s - life_s
    budget.on_reply_opened("a")
    return budget.carrier_room(APPENDS, "a").gap_s


@pytest.mark.parametrize(
    ("shorter", "longer"),
    [
        ({"life_s": 5.0, "every_s": 60.0}, {"life_s": 60.0, "every_s": 60.0}),
        ({"life_s": 5.0, "every_s": 60.0}, {"life_s": 5.0, "every_s": 5.0}),
    ],
    ids=["long answers", "many questions"],
)
def test_appends_are_spread_over_the_answers_to_expect(shorter: dict[str, float], longer: dict[str, float]) -> None:
    gaps_s = []
    for load in (shorter, longer):
        clock = SetClock(NOW)
        gaps_s.append(gap_beside_streams_s(RateBudget(LoneLedger(), clock), clock, **load))
    assert gaps_s[0] < gaps_s[1]


def test_start_in_flight_counts_once(budget: RateBudget) -> None:
    for key in range(10):
        budget.on_reply_opened(key)
        budget.set_methods(key, STARTING)
        budget.on_send(STARTS, NOW, key)
    assert budget.spare_calls(STARTS) == CALLS_PER_MINUTE[STARTS] - 10
    assert budget.spare_calls(STOPS) == CALLS_PER_MINUTE[STOPS] - 10, "each stream still needs one"


def test_reply_that_is_not_live_holds_nothing_back(budget: RateBudget) -> None:
    budget.set_methods("queued", OPEN)
    assert set(live_by_method(budget).values()) == {0}


def test_stream_counts_from_when_its_reply_was_opened(budget: RateBudget, clock: SetClock) -> None:
    budget.on_reply_opened("a")
    clock.now_s += 5.0
    budget.set_methods("a", OPEN)
    clock.now_s += 5.0
    budget.on_reply_closed("a")
    assert budget._pacers[STOPS].usual_life_s == (USUAL_LIFE_S + 10.0) / 2


@pytest.mark.parametrize(
    ("started", "open_streams", "expected"),
    [
        (0, 0, "stream"),
        (CALLS_PER_MINUTE[STARTS] - 1, 0, "stream"),
        (CALLS_PER_MINUTE[STARTS], 0, "edit"),
        (0, CALLS_PER_MINUTE[STOPS] - 1, "stream"),
        (0, CALLS_PER_MINUTE[STOPS], "edit"),
    ],
)
def test_stream_needs_a_start_and_a_stop_that_no_other_needs(
    budget: RateBudget, started: int, open_streams: int, expected: CarrierName
) -> None:
    for number in range(open_streams):
        budget.on_reply_opened(number)
        budget.set_methods(number, OPEN)
    send(budget, STARTS, started)
    budget.on_reply_opened("a")
    assert budget.choose_carrier("a", forced_carrier=STREAM) is expected
    assert budget.choose_carrier("a", forced_carrier="edit") == "edit"


@pytest.mark.parametrize(
    ("edited", "streamed", "expected"),
    [(10, 0, "stream"), (0, 15, "edit"), (2, 15, "edit"), (15, 5, "stream")],
)
def test_less_crowded_budget_carries(budget: RateBudget, edited: int, streamed: int, expected: CarrierName) -> None:
    for number in range(edited + streamed):
        budget.on_reply_opened(number)
        if number >= edited:
            budget.set_methods(number, OPEN)
    budget.on_reply_opened("a")
    before = live_by_method(budget)
    assert budget.choose_carrier("a", forced_carrier=AUTO) is expected
    assert live_by_method(budget) == before, "the question changes nothing"
    assert budget.ready_at(REPLIES, NOW + WINDOW_S, Urgency.PROGRESS, "a") <= NOW + WINDOW_S
    budget.on_reply_closed("a")


@pytest.mark.parametrize(("method", "used"), [(STARTS, STARTING), (STOPS, OPEN)])
def test_last_start_or_stop_is_there_for_the_stream_that_needs_it(
    budget: RateBudget, method: str, used: list[str]
) -> None:
    budget.on_reply_opened("a")
    budget.set_methods("a", used)
    send(budget, method, CALLS_PER_MINUTE[method] - 1)
    assert budget.ready_at(method, NOW, Urgency.FIRST, "a") <= NOW


def test_appends_of_a_stream_may_use_their_whole_budget(budget: RateBudget) -> None:
    budget.on_reply_opened("a")
    budget.set_methods("a", OPEN)
    later = NOW + 30.0
    send(budget, APPENDS, CALLS_PER_MINUTE[APPENDS] - 1)
    assert budget.ready_at(APPENDS, later, Urgency.PROGRESS, "a") <= later
    send(budget, APPENDS, 1)
    assert budget.ready_at(APPENDS, later, Urgency.PROGRESS, "a") > later


def test_used_budget_carries_less(budget: RateBudget) -> None:
    budget.on_reply_opened("a")
    send(budget, REPLIES, 30)
    assert budget.choose_carrier("a", forced_carrier=AUTO) == "stream"
    send(budget, APPENDS, 100)
    assert budget.choose_carrier("a", forced_carrier=AUTO) == "edit"


@pytest.mark.parametrize("method", [STARTS, STOPS])
@simulated
async def test_denied_start_or_stop_leaves_answers_to_edits_for_a_moment(method: str) -> None:
    clock, ledger = SetClock(NOW), LoneLedger(denies_until=float("inf"))
    budget = RateBudget(ledger, clock)
    budget.on_reply_opened("a")
    budget.on_send(method, NOW, "a")
    assert not await budget.take_call(method)
    budget.on_withdrawn(method)
    assert budget.choose_carrier("a", forced_carrier=STREAM) == "edit"
    assert budget.ready_at(method, NOW, Urgency.FINAL, "a") == budget.final_at(method, NOW, 0) == NOW + ASK_AGAIN_S
    clock.now_s += ASK_AGAIN_S
    assert budget.choose_carrier("a", forced_carrier=STREAM) == "stream"


@simulated
async def test_what_is_left_for_live_replies_is_counted_over_all_processes() -> None:
    clock = SetClock(NOW - 10.0)
    others = OtherProcesses(live_ages_s=(RECENT_QUESTIONS_S - 0.1, RECENT_QUESTIONS_S, 60.0))
    budget = RateBudget(LoneLedger(others=others), clock)
    budget.on_reply_opened("old")
    clock.now_s = NOW - RECENT_QUESTIONS_S
    budget.on_reply_opened("at the edge")
    clock.now_s = NOW
    budget.on_reply_opened("new")
    budget.on_send(REPLIES, NOW, "new")
    assert await budget.take_call(REPLIES)
    budget.on_end(REPLIES)
    for method, calls in ((POST, 3), (METHOD, 2), (REPLIES, 4)):
        send(budget, method, calls)
    left = CallsLeft(
        240 - 3, 50 - 5, 50 - 2, live_replies=6, replies_without_message=1, recent_answers=2, usual_life_s=USUAL_LIFE_S
    )
    assert budget.calls_left(NOW, 1) == left
    crowded = replace(left, edits=0, posts=0)
    assert [budget.should_start_late(key, NOW, left) for key in ("old", "new")] == [False, False]
    assert budget.should_start_late("new", NOW, crowded)
    free = replace(left, edits=0, posts=99)
    assert [budget.should_start_late(key, NOW, replace(free, usual_life_s=19.9)) for key in ("old", "new")] == [
        True,
        False,
    ]


async def take(budget: RateBudget, method: str) -> bool:
    """Takes a call and returns whether it was granted."""
    budget.on_send(method, time_s(), None)
    granted = await budget.take_call(method)
    if granted:
        budget.on_end(method)
    else:
        budget.on_withdrawn(method)
    return granted


def can_go(budget: RateBudget, method: str, urgency: Urgency, key: str = "a") -> bool:
    return budget.ready_at(method, time_s(), urgency, key) <= time_s()


@simulated
async def test_ledger_is_followed_each_second_while_any_reply_is_live() -> None:
    ledger = LoneLedger()

    async def requests_in_10_s() -> int:
        before = ledger.requests
        await asyncio.sleep(10)
        return ledger.requests - before

    async with watching(ledger) as budget:
        await asyncio.sleep(0.5)
        assert await requests_in_10_s() == 0
        budget.on_reply_opened("a")
        budget.on_reply_opened("b")
        assert await requests_in_10_s() == 10
        budget.on_reply_closed("a")
        assert await requests_in_10_s() == 10
        budget.on_reply_closed("b")
        assert await requests_in_10_s() == 0
    assert not ledger.counted[UPDATE], "asking is no call"


@simulated
async def test_other_processes_live_replies_hold_back_calls_for_their_finals() -> None:
    async with watching(LoneLedger(others=OtherProcesses(live_ages_s=(5.0,) * CALLS_PER_MINUTE[UPDATE]))) as budget:
        budget.on_reply_opened("a")
        assert can_go(budget, UPDATE, Urgency.FIRST)
        await asyncio.sleep(1.5)
        assert not can_go(budget, UPDATE, Urgency.FIRST)


@simulated
async def test_other_processes_live_replies_hold_back_no_posts() -> None:
    budget = new_budget(LoneLedger(others=OtherProcesses(live_ages_s=(5.0,) * CALLS_PER_MINUTE[POST])))
    assert await take(budget, POST)
    assert can_go(budget, POST, Urgency.FIRST)


@simulated
async def test_ledger_that_is_just_back_may_still_deny_a_call() -> None:
    ledger = LoneLedger(is_away=True)
    budget = new_budget(ledger)
    assert await take(budget, UPDATE)
    ledger.is_away, ledger.denies_until = False, 10.0
    assert not await take(budget, UPDATE)


@simulated
async def test_429_while_the_database_is_away_is_told_with_its_age_when_it_is_back() -> None:
    ledger = LoneLedger()
    async with watching(ledger) as budget:
        await asyncio.sleep(10)
        ledger.is_away = True
        budget.on_rate_limit(UPDATE, RETRY_AFTER_S)
        await asyncio.sleep(100)
        assert not ledger.learned
        ledger.is_away = False
        await asyncio.sleep(2 * WATCH_INTERVAL_S)
    assert ledger.learned[UPDATE] == LearnedLimit(25.0, learned_at=10.0, held_until=40.0)


@pytest.mark.parametrize(
    ("theirs_at", "newest"), [(100.0, LearnedLimit(25.0, 200.0, 230.0)), (201.0, LearnedLimit(40.0, 201.0, 201.0))]
)
@simulated
async def test_newest_of_what_two_processes_learned_while_the_database_was_away_stays(
    theirs_at: float, newest: LearnedLimit
) -> None:
    ledger = LoneLedger()
    async with watching(ledger) as budget:
        await asyncio.sleep(200)
        budget.on_rate_limit(UPDATE, RETRY_AFTER_S)
        ledger.learned[UPDATE] = LearnedLimit(40.0, theirs_at, theirs_at)
        assert await budget.take_call(READ), "the record is read"
        await asyncio.sleep(2 * WATCH_INTERVAL_S)
    assert ledger.learned[UPDATE] == newest


@simulated
async def test_each_lesson_is_recorded_once() -> None:
    ledger = LoneLedger(learned={READ: LearnedLimit(20.0, 0.0, 10.0)})
    async with watching(ledger) as budget:
        await asyncio.sleep(WATCH_INTERVAL_S / 2)
        for limited, recorded in (
            ([], []),
            ([UPDATE], [UPDATE]),
            ([], []),
            ([UPDATE, POST], [UPDATE, CHANNEL_POSTS]),
            ([], []),
        ):
            ledger.learned.clear()
            await asyncio.sleep(200)
            for method in limited:
                budget.on_rate_limit(method, RETRY_AFTER_S, "C1")
            await asyncio.sleep(2 * WATCH_INTERVAL_S)
            assert await budget.take_call("chat.delete"), "the record is read"
            assert set(ledger.learned) == set(recorded)
