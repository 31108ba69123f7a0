"""What is held back for native streams, and which carrier the budgets leave to an answer: with told times."""

import pytest

from bot.core.carriers import CarrierKind, CarrierSetting
from bot.core.pacing import ASK_AGAIN_S, MARGIN_S, USUAL_LIFE_S, WINDOW_S, Urgency
from bot.core.reply.streams import Stream
from bot.slack.rate_budget import CALLS_PER_MINUTE, REPLIES, RateBudget
from bot.slack.replies.streams import chosen_carrier
from tests.clocks import ManualClock
from tests.slack.schedules import LoneLedger

NOW = 1_000.0
STARTS, APPENDS, STOPS = "chat.startStream", "chat.appendStream", "chat.stopStream"
EDITED: list[str] = [REPLIES]
STARTING, OPEN = [STARTS, APPENDS, STOPS], [APPENDS, STOPS]
AUTO, STREAM = CarrierSetting.AUTO, CarrierSetting.STREAM


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock(NOW)


@pytest.fixture
def budget(clock: ManualClock) -> RateBudget:
    return RateBudget(LoneLedger(), clock)


def send(budget: RateBudget, method: str, calls: int) -> None:
    for _ in range(calls):
        budget.sent(method, NOW, None)
        budget.answered(method)


def carrier(budget: RateBudget, setting: CarrierSetting) -> CarrierKind:
    """Returns what carries the reply "a"."""
    chosen = chosen_carrier(budget, "a", setting, NOW, has_stop=False)
    return CarrierKind.STREAM if isinstance(chosen, Stream) else CarrierKind.EDITS


def live_by_method(budget: RateBudget) -> dict[str, int]:
    """Returns how many live replies use each method's calls."""
    return {method: budget._pacers[method].live for method in (REPLIES, STARTS, APPENDS, STOPS)}


@pytest.mark.parametrize(
    "used",
    [EDITED, STARTING, OPEN],
)
def test_calls_are_held_back_for_what_a_reply_still_needs(budget: RateBudget, used: list[str]) -> None:
    budget.opened("other")
    budget.opened("a")
    for step in (STARTING, OPEN, EDITED, used, used):
        budget.uses("a", step)
    edits = 2 if REPLIES in used else 1
    assert live_by_method(budget) == {method: int(method in used) for method in (STARTS, APPENDS, STOPS)} | {
        REPLIES: edits
    }
    budget.closed("a")
    budget.closed("other")
    assert set(live_by_method(budget).values()) == {0}


def gap_beside_streams_s(budget: RateBudget, clock: ManualClock, *, life_s: float, every_s: float) -> float:
    """Returns the gap that a stream may expect after ten streamed answers, one after the other."""
    for key in range(10):
        budget.opened(key)
        budget.uses(key, OPEN)
        clock.now_s += life_s
        budget.uses(key, EDITED)
        budget.closed(key)
        clock.now_s += every_s - life_s
    budget.opened("a")
    return budget.room(APPENDS, "a").gap_s


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
        clock = ManualClock(NOW)
        gaps_s.append(gap_beside_streams_s(RateBudget(LoneLedger(), clock), clock, **load))
    assert gaps_s[0] < gaps_s[1]


def test_start_in_flight_counts_once(budget: RateBudget) -> None:
    for key in range(10):
        budget.opened(key)
        budget.uses(key, STARTING)
        budget.sent(STARTS, NOW, key)
    assert budget.spare(STARTS) == CALLS_PER_MINUTE[STARTS] - 10
    assert budget.spare(STOPS) == CALLS_PER_MINUTE[STOPS] - 10, "each stream still needs one"


def test_reply_that_is_not_live_holds_nothing_back(budget: RateBudget) -> None:
    budget.uses("queued", OPEN)
    assert set(live_by_method(budget).values()) == {0}


def test_stream_counts_from_when_its_reply_was_opened(budget: RateBudget, clock: ManualClock) -> None:
    budget.opened("a")
    clock.now_s += 5.0
    budget.uses("a", OPEN)
    clock.now_s += 5.0
    budget.closed("a")
    assert budget._pacers[STOPS]._usual_s() == (USUAL_LIFE_S + 10.0) / 2


@pytest.mark.parametrize(
    ("started", "open_streams", "expected"),
    [
        (0, 0, CarrierKind.STREAM),
        (CALLS_PER_MINUTE[STARTS] - 1, 0, CarrierKind.STREAM),
        (CALLS_PER_MINUTE[STARTS], 0, CarrierKind.EDITS),
        (0, CALLS_PER_MINUTE[STOPS] - 1, CarrierKind.STREAM),
        (0, CALLS_PER_MINUTE[STOPS], CarrierKind.EDITS),
    ],
)
def test_stream_needs_a_start_and_a_stop_that_no_other_needs(
    budget: RateBudget, started: int, open_streams: int, expected: CarrierKind
) -> None:
    for number in range(open_streams):
        budget.opened(number)
        budget.uses(number, OPEN)
    send(budget, STARTS, started)
    budget.opened("a")
    assert carrier(budget, STREAM) is expected
    assert carrier(budget, CarrierSetting.EDIT) is CarrierKind.EDITS


@pytest.mark.parametrize(
    ("edited", "streamed", "expected"),
    [(10, 0, CarrierKind.STREAM), (0, 15, CarrierKind.EDITS), (2, 15, CarrierKind.EDITS), (15, 5, CarrierKind.STREAM)],
)
def test_less_crowded_budget_carries(budget: RateBudget, edited: int, streamed: int, expected: CarrierKind) -> None:
    for number in range(edited + streamed):
        budget.opened(number)
        if number >= edited:
            budget.uses(number, OPEN)
    budget.opened("a")
    before = live_by_method(budget)
    assert carrier(budget, AUTO) is expected
    assert live_by_method(budget) == before, "the question changes nothing"
    assert budget.ready_at(REPLIES, NOW + WINDOW_S, Urgency.PROGRESS, "a") <= NOW + WINDOW_S
    budget.closed("a")


@pytest.mark.parametrize(("method", "used"), [(STARTS, STARTING), (STOPS, OPEN)])
def test_last_start_or_stop_is_there_for_the_stream_that_needs_it(
    budget: RateBudget, method: str, used: list[str]
) -> None:
    budget.opened("a")
    budget.uses("a", used)
    send(budget, method, CALLS_PER_MINUTE[method] - 1)
    assert budget.ready_at(method, NOW, Urgency.FIRST, "a") <= NOW


def test_appends_of_a_stream_may_use_their_whole_budget(budget: RateBudget) -> None:
    budget.opened("a")
    budget.uses("a", OPEN)
    later = NOW + 30.0
    send(budget, APPENDS, CALLS_PER_MINUTE[APPENDS] - 1)
    assert budget.ready_at(APPENDS, later, Urgency.PROGRESS, "a") <= later
    send(budget, APPENDS, 1)
    assert budget.ready_at(APPENDS, later, Urgency.PROGRESS, "a") > later


def test_used_budget_carries_less(budget: RateBudget) -> None:
    budget.opened("a")
    send(budget, REPLIES, 30)
    assert carrier(budget, AUTO) is CarrierKind.STREAM
    send(budget, APPENDS, 100)
    assert carrier(budget, AUTO) is CarrierKind.EDITS


@pytest.mark.parametrize("method", [STARTS, STOPS])
async def test_denied_start_or_stop_leaves_answers_to_edits_for_a_moment(method: str) -> None:
    clock, ledger = ManualClock(NOW), LoneLedger(denies_until=float("inf"))
    budget = RateBudget(ledger, clock)
    budget.opened("a")
    budget.sent(method, NOW, "a")
    assert not await budget.take(method)
    budget.withdrawn(method)
    assert carrier(budget, STREAM) is CarrierKind.EDITS
    assert budget.ready_at(method, NOW, Urgency.FINAL, "a") == budget.final_at(method, NOW, 0) == NOW + ASK_AGAIN_S
    clock.now_s += ASK_AGAIN_S
    assert carrier(budget, STREAM) is CarrierKind.STREAM


def test_final_is_expected_when_the_calls_of_those_before_it_are_back(budget: RateBudget, clock: ManualClock) -> None:
    send(budget, REPLIES, CALLS_PER_MINUTE[REPLIES] - 2)
    clock.now_s += 7.0
    send(budget, REPLIES, 2)
    later = NOW + 7.0
    back_at = NOW + WINDOW_S + MARGIN_S
    assert budget.final_at(REPLIES, later, 0) == back_at
    assert budget.final_at(REPLIES, later, CALLS_PER_MINUTE[REPLIES] - 3) == back_at
    assert budget.final_at(REPLIES, later, CALLS_PER_MINUTE[REPLIES] - 2) == back_at + 7.0
