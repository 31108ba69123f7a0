"""The pacer against the rule of slack_pacing/pacer.py, with times as arguments."""

import itertools
import math
from collections.abc import Hashable, Mapping
from dataclasses import dataclass, replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from slack_pacing.pacer import (
    AVERAGED_ANSWERS,
    FINAL_WAIT_S,
    MAX_RESERVED,
    MIN_RESERVED,
    OWN_GAP_S,
    STEP_GAP_S,
    USUAL_LIFE_S,
    CallsLeft,
    Pacer,
    Urgency,
    should_post_final,
)
from slack_pacing.rates import MARGIN_S, OTHERS_MARGIN_S, WINDOW_S, LearnedLimit, LearnedRate

FINAL, FIRST, PROGRESS = Urgency.FINAL, Urgency.FIRST, Urgency.PROGRESS


def send(pacer: Pacer, now: float, key: int, latency_s: float = 0.0) -> None:
    pacer.on_send(now, key)
    pacer.on_end(now + latency_s)


def edits_of_one(pacer: Pacer, until: float, start: float = 0.0) -> list[float]:
    """Returns the times of a single reply's edits if there is always new text."""
    pacer.on_reply_opened("long", start)
    now = start
    edits: list[float] = []
    while now < until:
        ready_at = pacer.ready_at(now, PROGRESS if edits else FIRST, "long")
        if ready_at <= now:
            pacer.on_send(now, "long")
            pacer.on_end(now)
            edits.append(now)
        now = max(ready_at, now + 0.01)
    return edits


def test_single_reply_is_edited_often_at_first_and_never_stays_stale() -> None:
    edits = edits_of_one(Pacer(), until=300)
    gaps = [after - before for before, after in itertools.pairwise(edits)]
    assert min(gaps) >= OWN_GAP_S - 1e-6
    assert sum(at < 15 for at in edits) >= 13
    assert max(gaps) < 7


@pytest.mark.parametrize("replies", [1, 4, 12])
@pytest.mark.parametrize("drained_until", [10, 30, 59])
def test_busy_replies_leave_calls_for_a_newcomer_and_for_all_finals(replies: int, drained_until: int) -> None:
    pacer = Pacer()
    for key in range(replies):
        pacer.on_reply_opened(key, 0.0)
        send(pacer, 0.0, key)
    for step in range(1, drained_until * 20):
        for key in range(replies):
            send_if_ready(pacer, step / 20, key)
    now = float(drained_until)
    pacer.on_reply_opened("newcomer", now)
    assert pacer.ready_at(now, FIRST, "newcomer") <= now
    send(pacer, now, -1)
    for key in [*range(replies), "newcomer"]:
        assert pacer.ready_at(now, FINAL, key) <= now
        send(pacer, now, -1)
        pacer.on_reply_closed(key, now)


def test_questions_at_other_processes_count_for_newcomers_too() -> None:
    quiet, busy = Pacer(), Pacer()
    for tenth in range(600):
        busy.on_shared_calls(tenth / 10, call_ages_s=(), live_ages_s=[tenth % 50 / 10])
    busy.on_shared_calls(60.0, call_ages_s=(), live_ages_s=())
    assert len(edits_of_one(quiet, until=100, start=60)) > len(edits_of_one(busy, until=100, start=60))


@pytest.mark.parametrize("seconds_between", [3, 4, 6])
def test_stops_are_shown_at_once_from_the_first_minute_while_many_people_ask(seconds_between: int) -> None:
    """Each reply is edited as often as possible for four seconds, and then stopped."""
    pacer, waited = Pacer(), 0
    live: dict[int, bool] = {}
    for step in range(180 * 10):
        now = step / 10
        if step % (10 * seconds_between) == 0:
            pacer.on_reply_opened(step, now)
            live[step] = False
        for key in list(live):
            if now >= key / 10 + 4:
                if pacer.ready_at(now, FINAL, key) > now:
                    waited += 1
                else:
                    send(pacer, now, key)
                    pacer.on_reply_closed(key, now)
                    del live[key]
            elif pacer.ready_at(now, PROGRESS if live[key] else FIRST, key) <= now:
                send(pacer, now, key)
                live[key] = True
    assert waited == 0


def test_simultaneous_replies_all_get_first_words_and_finals_at_once() -> None:
    pacer = Pacer()
    for key in range(20):
        pacer.on_reply_opened(key, 0.0)
    for key in range(20):
        assert pacer.ready_at(0.3, FIRST, key) <= 0.3
        send(pacer, 0.3, key)
    for key in range(20):
        assert pacer.ready_at(15.0, FINAL, key) <= 15.0
        send(pacer, 15.0, key)
        pacer.on_reply_closed(key, 15.0)


def send_if_ready(pacer: Pacer, now: float, key: int) -> bool:
    ready = pacer.ready_at(now, PROGRESS, key) <= now
    if ready:
        send(pacer, now, key)
    return ready


@pytest.mark.parametrize("urgency", list(Urgency))
@pytest.mark.parametrize("retry_after_s", [1.0, 30.0, 90.0])
def test_rate_limit_is_obeyed_and_then_calls_go_again(urgency: Urgency, retry_after_s: float) -> None:
    pacer = Pacer()
    pacer.on_reply_opened("a", 0.0)
    pacer.on_send(1.0, "a")
    pacer.on_rate_limit(1.1, retry_after_s)
    pacer.on_end(1.1)
    now = 1.1
    while (ready_at := pacer.ready_at(now, urgency, "a")) > now:
        now = ready_at
    assert 1.1 + retry_after_s <= now <= 1.1 + max(retry_after_s, WINDOW_S) + 1


def test_posts_without_an_open_reply_are_held_to_their_budget() -> None:
    pacer = Pacer(calls_per_minute=240)
    sent = 0
    while pacer.ready_at(0.0, FIRST, sent) <= 0.0:
        send(pacer, 0.0, sent)
        sent += 1
    assert sent == 240


@dataclass
class Call:
    """The times of one call."""

    sent: float
    answered: float
    arrived: float


Action = tuple[str, int, float, float, float]
ACTIONS = st.lists(
    st.tuples(
        st.sampled_from(["open", "close", "final", "first", "progress", "progress", "wait", "limited"]),
        st.integers(0, 7),
        st.one_of(st.just(0.0), st.floats(0, 2), st.floats(0, 30)),  # seconds that pass before the action
        st.one_of(st.just(0.0), st.floats(0, 3), st.floats(0, 70)),  # latency in seconds
        st.floats(0, 1),  # when the call arrives, as a part of the latency
    ),
    max_size=200,
)


class World:
    """Performs actions as far as the pacer allows, and records the calls as Slack sees them."""

    def __init__(self, budget: int) -> None:
        self.pacer, self.budget = Pacer(budget), budget
        self.now = 0.0
        self.live: set[int] = set()
        self.calls: list[Call] = []
        self.under_way: list[Call] = []

    def pass_time(self, until: float) -> None:
        for call in sorted(self.under_way, key=lambda call: call.answered):
            if call.answered <= until:
                self.pacer.on_end(call.answered)
                self.under_way.remove(call)
        self.now = until

    def act(self, action: Action) -> None:
        name, key, passes_s, latency_s, arrives = action
        self.pass_time(self.now + passes_s)
        if name == "open" and key not in self.live and self.unreserved() > 0:
            self.live.add(key)
            self.pacer.on_reply_opened(key, self.now)
        elif name == "close" and key in self.live:
            self.live.remove(key)
            self.pacer.on_reply_closed(key, self.now)
        elif name == "limited":
            self.pacer.on_rate_limit(self.now, latency_s)
        elif name in ("final", "first", "progress") and key in self.live:
            self.call(Urgency[name.upper()], key, latency_s, arrives)

    def call(self, urgency: Urgency, key: int, latency_s: float, arrives: float) -> None:
        ready_at = self.pacer.ready_at(self.now, urgency, key)
        assert math.isfinite(ready_at)
        if ready_at > self.now:
            return
        self.record(key, latency_s, arrives)
        if urgency is FINAL:
            self.live.remove(key)
            self.pacer.on_reply_closed(key, self.now)

    def record(self, key: Hashable, latency_s: float, arrives: float) -> None:
        self.pacer.on_send(self.now, key)
        call = Call(self.now, self.now + latency_s, self.now + latency_s * arrives)
        self.calls.append(call)
        self.under_way.append(call)

    def unreserved(self) -> int:
        """Returns the calls that are neither used within the minute and its margin nor held back for a final."""
        used = sum(call.answered + WINDOW_S + 1 > self.now for call in self.calls)
        return self.budget - used - len(self.live)


def assert_no_minute_over(budget: int, calls: list[Call]) -> None:
    arrivals = sorted(call.arrived for call in calls)
    for first, beyond in zip(arrivals, arrivals[budget:], strict=False):
        assert beyond - first >= WINDOW_S


@given(st.integers(1, 12), ACTIONS)
def test_budget_is_never_exceeded_at_slack(budget: int, actions: list[Action]) -> None:
    world = World(budget)
    for action in actions:
        world.act(action)
    assert_no_minute_over(budget, world.calls)


@given(
    st.integers(1, 5),
    st.lists(st.tuples(st.sampled_from([0.0, 0.1, 5.0, 70.0]), st.sampled_from([0.0, 0.5, 1.0])), max_size=25),
    st.sampled_from([FINAL, FIRST]),
)
def test_budget_is_never_exceeded_at_slack_by_calls_sent_as_soon_as_allowed(
    budget: int, latencies: list[tuple[float, float]], urgency: Urgency
) -> None:
    world = World(budget)
    for latency_s, arrives in latencies:
        while (ready_at := world.pacer.ready_at(world.now, urgency, "posts")) > world.now:
            world.pass_time(ready_at)
        world.record("posts", latency_s, arrives)
    assert_no_minute_over(budget, world.calls)


@given(st.integers(1, 12), ACTIONS)
def test_final_never_waits_if_its_call_could_be_held_back(budget: int, actions: list[Action]) -> None:
    world = World(budget)
    for action in actions:
        if action[0] != "limited":
            world.act(action)
        for key in world.live:
            assert world.pacer.ready_at(world.now, FINAL, key) <= world.now


@given(st.integers(1, 12), ACTIONS, st.sampled_from(list(Urgency)))
def test_single_reply_gets_calls_again_after_any_history(budget: int, actions: list[Action], urgency: Urgency) -> None:
    world = World(budget)
    for action in actions:
        world.act(action)
    for key in world.live:
        world.pacer.on_reply_closed(key, world.now)
    world.pass_time(max([world.now, *(call.answered for call in world.under_way)]))
    world.pacer.on_reply_opened("last", world.now)
    now, bound = world.now, world.now + 900
    while (ready_at := world.pacer.ready_at(now, urgency, "last")) > now and now < bound:
        now = ready_at
    assert now < bound or (urgency is not FINAL and budget < 4)


def used(pacer: Pacer, calls: int, now: float = 0.0) -> None:
    """Uses up calls."""
    for _ in range(calls):
        send(pacer, now, -1)


def can_go(pacer: Pacer, now: float, urgency: Urgency, key: Hashable = "a") -> bool:
    return pacer.ready_at(now, urgency, key) <= now


@pytest.mark.parametrize("answered_at", [0.0, 3.0])
def test_call_comes_back_exactly_at_the_edge_of_the_window(answered_at: float) -> None:
    pacer = Pacer(calls_per_minute=1)
    pacer.on_send(0.0, "a")
    pacer.on_end(answered_at)
    edge = answered_at + WINDOW_S + MARGIN_S
    assert pacer.ready_at(answered_at, FINAL, "a") == edge
    assert not can_go(pacer, math.nextafter(edge, 0), FINAL)
    assert can_go(pacer, edge, FINAL)


def test_call_of_another_process_comes_back_at_its_own_edge() -> None:
    pacer = Pacer(calls_per_minute=1)
    pacer.on_shared_calls(100.0, call_ages_s=[10.0], live_ages_s=())
    edge = 90.0 + WINDOW_S + OTHERS_MARGIN_S
    assert pacer.ready_at(100.0, FINAL, "a") == edge
    assert not can_go(pacer, math.nextafter(edge, 0), FINAL)
    assert can_go(pacer, edge, FINAL)


def test_calls_of_other_processes_that_come_back_in_an_answers_life_are_expected() -> None:
    pacer = Pacer(calls_per_minute=3)
    send(pacer, 100.0, 1)
    back_soon, back_late = 100.0 - WINDOW_S + 1, 100.0
    pacer.on_shared_calls(100.0, call_ages_s=[100.0 - back_soon, 100.0 - back_late], live_ages_s=())
    assert pacer.calls_free_within_life(100.0) == 1


@pytest.mark.parametrize("live", [1, 3, 10])
def test_first_words_need_a_call_beyond_those_held_for_finals(live: int) -> None:
    """With as many free calls as live replies, only finals may go; with one more, first words too."""
    for free, may_begin in ((live, False), (live + 1, True)):
        pacer = Pacer()
        used(pacer, 50 - free)
        for key in range(live):
            pacer.on_reply_opened(key, -300.0)
        assert can_go(pacer, 0.0, FIRST, 0) is may_begin
        assert can_go(pacer, 0.0, FINAL, 0)


def test_first_words_need_a_call_beyond_other_processes_finals() -> None:
    for free, may_begin in ((3, False), (4, True)):
        pacer = Pacer()
        pacer.on_reply_opened("a", -300.0)
        used(pacer, 50 - free)
        pacer.on_shared_calls(0.0, call_ages_s=(), live_ages_s=[200.0, 200.0])
        assert can_go(pacer, 0.0, FIRST) is may_begin


@pytest.mark.parametrize(
    ("silence_s", "kept_calls"),
    [(0.0, 5 + 0.4), (30.0, 2 + 3.4 / math.e), (300.0, 2.0)],
    ids=["a question just now", "a question half a minute ago", "no question for minutes"],
)
def test_progress_leaves_calls_for_first_words_of_newcomers(silence_s: float, kept_calls: float) -> None:
    """The reply was edited long ago. Beyond the call for its final, `kept_calls` are held back for newcomers."""
    for free, may_edit in ((math.floor(1 + kept_calls), False), (math.floor(1 + kept_calls) + 1, True)):
        pacer = Pacer()
        pacer.on_reply_opened("a", -600.0)
        pacer.on_reply_opened("asked later", -silence_s)
        pacer.on_reply_closed("asked later", -silence_s)
        used(pacer, 50 - free)
        assert can_go(pacer, 0.0, PROGRESS) is may_edit


def test_no_calls_are_kept_for_newcomers_whose_first_words_are_posted() -> None:
    for posts_first_words, may_edit in ((False, False), (True, True)):
        pacer = Pacer()
        pacer.on_reply_opened("a", -600.0)
        pacer.on_reply_opened("just asked", 0.0, posts_first_words=posts_first_words)
        used(pacer, 50 - 2 - 3)
        assert can_go(pacer, 0.0, PROGRESS) is may_edit


def test_some_replies_are_edited_in_the_middle_of_their_lives_where_edits_are_fewer() -> None:
    pacer = Pacer()
    for key in range(40):
        pacer.on_reply_opened(key, 0.0, posts_first_words=True)
    times = [0.1 * tenth for tenth in range(200) if send_if_ready(pacer, 0.1 * tenth, tenth % 40)]
    assert len(times) == 50 - 40 - MIN_RESERVED
    assert min(times) > USUAL_LIFE_S / 4
    assert max(times) < USUAL_LIFE_S / 2 + 4.0


def test_at_most_ten_calls_are_kept_for_newcomers() -> None:
    pacer = Pacer()
    for second in range(120):
        pacer.on_reply_opened(second, float(second))
        pacer.on_reply_closed(second, second + 0.5)
    assert pacer.calls_per_minute - pacer.progress_calls(120.0) == MAX_RESERVED


@pytest.mark.parametrize("waits", [(40.0, 2.0), (2.0, 40.0)])
def test_longer_one_of_two_rate_limits_applies(waits: tuple[float, float]) -> None:
    pacer = Pacer()
    for retry_after_s in waits:
        pacer.on_rate_limit(100.0, retry_after_s)
    assert pacer.ready_at(100.0, FINAL, "a") == 140.0


def progress_in_a_minute(pacer: Pacer, start: float) -> int:
    """How many edits a lone reply that has lived for long gets in a minute."""
    return sum(at >= start + WINDOW_S for at in edits_of_one(pacer, until=start + 2 * WINDOW_S, start=start))


def test_a_rate_limit_halves_the_progress_of_the_next_minutes() -> None:
    unlimited, limited = Pacer(), Pacer()
    limited.on_rate_limit(100.0, 1.0)
    before, after = progress_in_a_minute(unlimited, 101.0), progress_in_a_minute(limited, 101.0)
    assert before // 4 < after <= before // 2 + 5


@pytest.mark.parametrize(
    ("limits", "like", "from_s"), [(1, 0, 500.0), (4, 1, 140.0)], ids=["minutes later", "while the first one lasts"]
)
def test_so_many_rate_limits_leave_as_much_progress_as_so_few(limits: int, like: int, from_s: float) -> None:
    progress = []
    for number in (limits, like):
        pacer = Pacer()
        for second in range(number):
            pacer.on_rate_limit(100.0 + second, 30.0)
        progress.append(progress_in_a_minute(pacer, from_s))
    assert progress[0] == progress[1]


def test_progress_goes_on_however_many_rate_limits_come() -> None:
    pacer = Pacer()
    for minute in range(20):
        pacer.on_rate_limit(minute * 10.0, 5.0)
    assert progress_in_a_minute(pacer, 200.0) > 0


@pytest.mark.parametrize("urgency", [FINAL, FIRST])
def test_finals_and_first_words_have_the_whole_minute_though_progress_is_halved(urgency: Urgency) -> None:
    counts = []
    for limits in (0, 3):
        pacer = Pacer()
        for number in range(limits):
            pacer.on_rate_limit(-200.0 + 20.0 * number, 1.0)
        pacer.on_reply_opened("a", 0.0)
        counts.append(0)
        while can_go(pacer, 0.0, urgency):
            send(pacer, 0.0, -1)
            counts[-1] += 1
    assert counts[0] == counts[1] > 40


@given(
    st.integers(1, 100),
    st.lists(st.tuples(st.booleans(), st.floats(0, 600)), max_size=20),
    st.lists(st.floats(0, 3_600), max_size=5),
)
def test_process_that_learns_from_another_knows_the_same_from_then_on(
    guaranteed: int, history: list[tuple[bool, float]], later: list[float]
) -> None:
    theirs, ours = (LearnedRate(guaranteed) for _ in range(2))
    now = 100.0
    for is_limited, passes_s in history:
        if is_limited:
            theirs.on_rate_limit(now, now + 1.0)
        now += passes_s
        ours.learned = theirs.learned
        assert guaranteed / 10 <= ours.calls_at(now) <= guaranteed
        for at in (now, *(now + later_s for later_s in later)):
            assert ours.calls_at(at) == theirs.calls_at(at)


def test_longer_one_of_two_processes_rate_limits_applies() -> None:
    pacer = Pacer()
    pacer.on_rate_limit(100.0, 60.0)
    pacer.learn(LearnedLimit(25.0, learned_at=101.0, held_until=110.0), 102.0)
    assert [pacer.must_wait(now) for now in (111.0, 159.9, 160.0)] == [True, True, False]


@pytest.mark.parametrize("urgency", list(Urgency))
@pytest.mark.parametrize("heard_after_s", [0.0, 2.0, 20.0, 59.0, 300.0])
def test_429_of_another_process_holds_calls_back_as_our_own_does(urgency: Urgency, heard_after_s: float) -> None:
    theirs, ours = Pacer(), Pacer()
    for pacer in (theirs, ours):
        pacer.on_reply_opened("a", 0.0)
    theirs.on_rate_limit(100.0, 30.0)
    learned = theirs.learned
    assert learned is not None
    heard_at = 100.0 + heard_after_s
    ours.learn(learned, heard_at)
    assert ours.must_wait(heard_at) is theirs.must_wait(heard_at) is (heard_after_s < 30)
    for now in (heard_at, heard_at + 20, heard_at + 31, heard_at + 62, heard_at + 300):
        assert ours.ready_at(now, urgency, "a") == theirs.ready_at(now, urgency, "a")


@pytest.mark.parametrize(
    ("ahead", "expected_at"), [(0, 30.0), (9, 30.0), (10, 60.0), (29, 60.0), (30, 80.0), (49, 80.0)]
)
def test_final_is_expected_when_the_calls_of_those_before_it_are_back(ahead: int, expected_at: float) -> None:
    pacer = Pacer(50)
    used(pacer, 20, now=-MARGIN_S)
    used(pacer, 20, now=20.0 - MARGIN_S)
    assert pacer.final_at(30.0, ahead) == pytest.approx(expected_at)


def test_final_is_expected_after_a_minute_where_calls_are_in_flight_and_not_before_a_rate_limit_ends() -> None:
    pacer = Pacer(1)
    pacer.on_send(0.0, "a")
    assert pacer.final_at(0.0, 0) == WINDOW_S
    pacer.on_rate_limit(0.0, 90.0)
    assert pacer.final_at(0.0, 0) == 90.0


QUIET = CallsLeft(
    posts=240, edits=50, deletions=50, live_replies=1, replies_without_message=1, recent_answers=1, usual_life_s=15.0
)
CROWD = replace(QUIET, posts=140, live_replies=120, replies_without_message=30, recent_answers=60)
BEGINNINGS: Mapping[str, tuple[CallsLeft, float, bool]] = {
    "alone": (QUIET, 0.0, False),
    "20 at once": (replace(QUIET, live_replies=20, replies_without_message=20, recent_answers=20), 0.0, False),
    "50 at once": (replace(QUIET, live_replies=50, replies_without_message=50, recent_answers=50), 0.0, False),
    "the 95th of 100 within ten seconds": (replace(QUIET, posts=165, live_replies=75, recent_answers=50), 0.0, False),
    "the 95th of 200 within ten seconds": (replace(QUIET, posts=165, live_replies=75, recent_answers=95), 0.0, True),
    "the last of 200 at once": (
        replace(QUIET, live_replies=200, replies_without_message=200, recent_answers=200),
        0.0,
        False,
    ),
    "an edit is left for its end": (replace(CROWD, edits=91), 0.0, False),
    "even late in its life": (replace(CROWD, edits=91), 60.0, False),
    "no edit is left": (replace(CROWD, edits=90), 0.0, True),
    "the others need the posts": (replace(CROWD, edits=91, posts=29), 0.0, True),
    "a post is left for each": (replace(CROWD, edits=91, posts=30), 0.0, False),
    "posts for all and for whoever asks next": (
        replace(QUIET, live_replies=75, recent_answers=50, posts=126),
        0.0,
        False,
    ),
    "one post less": (replace(QUIET, live_replies=75, recent_answers=50, posts=125), 0.0, True),
    "half of its life is left": (replace(QUIET, live_replies=75, recent_answers=50), 7.5, False),
    "less of its life is left": (replace(QUIET, live_replies=75, recent_answers=50), 7.6, True),
    "a deletion is left": (replace(QUIET, live_replies=75, recent_answers=0, deletions=25), 0.0, False),
    "the others need the deletions": (replace(QUIET, live_replies=75, recent_answers=0, deletions=24), 0.0, True),
    "nothing is left": (
        CallsLeft(0, 0, 0, live_replies=1, replies_without_message=1, recent_answers=0, usual_life_s=15.0),
        0.0,
        True,
    ),
}


@pytest.mark.parametrize(("left", "age_s", "is_late"), BEGINNINGS.values(), ids=BEGINNINGS)
def test_answer_begins_late_where_its_first_words_would_take_the_calls_of_others_ends(
    left: CallsLeft, age_s: float, is_late: bool
) -> None:
    assert left.should_start_late(age_s) is is_late


@pytest.mark.parametrize(
    ("edit_at", "post_at", "is_posted"),
    [
        (100.0, 100.0, False),
        (100.0 + FINAL_WAIT_S, 100.0, False),
        (100.1 + FINAL_WAIT_S, 100.0, True),
        (130.0, 129.0, True),
        (130.0, 130.0, False),
    ],
)
def test_final_is_posted_again_only_if_that_is_sooner_and_an_edit_too_late(
    edit_at: float, post_at: float, is_posted: bool
) -> None:
    assert should_post_final(100.0, edit_at, post_at) is is_posted


@pytest.mark.parametrize(
    ("has_reserve", "gaps_s"),
    [(True, [0.5, 0.5, 1.22, 2.24, 4.29, 8.37]), (False, [0.5, 0.5, 1.18, 2.03, 3.52, 5.85])],
    ids=["edits", "appends"],
)
def test_newcomer_may_expect_the_gap_that_it_gets_beside_so_many_others(has_reserve: bool, gaps_s: list[float]) -> None:
    expected, received = [], []
    for others in (0, 1, 5, 10, 20, 40):
        pacer = Pacer(100, has_reserve=has_reserve)
        for key in range(others):
            pacer.on_reply_joined(key, since=50.0, now=50.0)
        expected.append(pacer.newcomers_gap_s(50.0))
        pacer.on_reply_joined("newcomer", since=50.0, now=50.0)
        received.append(max(OWN_GAP_S, pacer.gap_s("newcomer", 50.0, pacer.pace(50.0))))
    assert expected == pytest.approx(received)
    assert expected == pytest.approx(gaps_s, abs=0.01)


def test_method_that_replies_only_join_expects_as_many_more_as_have_joined() -> None:
    gaps_s = []
    for joined in (1, 6):
        pacer = Pacer(100, has_reserve=False)
        for key in range(joined):
            pacer.on_reply_joined(key, since=0.0, now=float(key))
            pacer.on_reply_left(key)
        gaps_s.append(pacer.newcomers_gap_s(10.0))
    assert gaps_s[0] == OWN_GAP_S
    assert gaps_s[1] > 2 * OWN_GAP_S


def test_lives_of_replies_that_use_a_method_no_longer_count_for_it() -> None:
    gaps_s = []
    for life_s in (5.0, 100.0):
        pacer = Pacer(20, has_reserve=False)
        for key in range(AVERAGED_ANSWERS):
            pacer.on_reply_joined(key, since=0.0, now=0.0)
            pacer.on_reply_left(key)
            pacer.record_lifetime(life_s)
        gaps_s.append(pacer.newcomers_gap_s(0.0))
    assert gaps_s[0] < gaps_s[1]


def test_spare_calls_are_those_beyond_one_for_each_live_reply() -> None:
    pacer = Pacer(20)
    assert pacer.spare_calls(0.0) == 20
    for key in range(3):
        pacer.on_reply_joined(key, since=0.0, now=0.0)
    send(pacer, 0.0, 0)
    assert pacer.spare_calls(0.0) == 20 - 3 - 1
    pacer.on_rate_limit(10.0, 30.0)
    assert [pacer.spare_calls(now) > 0 for now in (39.9, 80.0)] == [False, True]
    assert pacer.spare_calls(39.9) == 0
    pacer.on_reply_left(1)
    assert pacer.live_replies == 2


def test_progress_without_finals_to_hold_back_may_use_every_call() -> None:
    counts = []
    for has_reserve in (True, False):
        pacer = Pacer(10, has_reserve=has_reserve)
        pacer.on_reply_joined("a", since=0.0, now=0.0)
        counts.append(0)
        while can_go(pacer, 30.0, PROGRESS):
            send(pacer, 0.0, -1)
            counts[-1] += 1
    assert counts[0] < counts[1] == 10


def test_learned_rate_is_never_less_than_a_tenth_and_grows_from_the_rate_limit_on() -> None:
    rate = LearnedRate(50)
    for _ in range(10):
        rate.on_rate_limit(100.0, 101.0)
    assert [rate.calls_at(now) for now in (159.0, 160.0, 220.0)] == [5.0, 10.0, 15.0]


def free_calls(pacer: Pacer, now: float) -> int:
    """Uses up the calls that may go now, and returns how many they were."""
    calls = 0
    while can_go(pacer, now, FINAL):
        pacer.on_send(now, "counted")
        calls += 1
    return calls


def next_edit_s(pacer: Pacer, now: float, key: Hashable = "a") -> float:
    """Edits a reply, and returns how long its next edit takes to be due."""
    pacer.on_send(now, key)
    pacer.on_end(now)
    again = now
    while not can_go(pacer, again, PROGRESS, key):
        again = max(pacer.ready_at(again, PROGRESS, key), again + 0.01)
        assert again < now + 120
    return again - now


@pytest.mark.parametrize("held_for_finals", [0, 1])
def test_scarce_calls_are_waited_for_one_by_one(held_for_finals: int) -> None:
    """Calls come back at different times. A final needs one; first words need one more for each live reply."""
    pacer = Pacer(calls_per_minute=3)
    for second in (0.0, 10.0, 20.0):
        used(pacer, 1, second)
    for key in range(held_for_finals):
        pacer.on_reply_opened(key, 20.0)
    assert pacer.ready_at(20.0, FINAL, "a") == WINDOW_S + MARGIN_S
    assert pacer.ready_at(20.0, FIRST, "a") == WINDOW_S + MARGIN_S + 10 * held_for_finals


def test_only_the_call_that_never_left_is_given_back() -> None:
    pacer = Pacer(calls_per_minute=2)
    pacer.on_send(0.0, "a")
    pacer.on_send(0.0, "b")
    pacer.on_withdrawn()
    assert free_calls(pacer, 0.0) == 1


@pytest.mark.parametrize(("later_s", "back"), [(6.0, 5), (30.0, 25), (59.0, 49)])
def test_calls_that_a_rate_limit_hides_come_back_evenly(later_s: float, back: int) -> None:
    pacer = Pacer(calls_per_minute=50)
    pacer.on_rate_limit(0.0, 1.0)
    assert pacer.ready_at(1.0, FINAL, "a") == pytest.approx(1.2), (
        "Slack's wait is over, but no call is known to be free"
    )
    assert free_calls(pacer, later_s) == back


@pytest.mark.parametrize(("urgency", "gap_s"), [(PROGRESS, OWN_GAP_S), (Urgency.STEP, STEP_GAP_S)])
def test_edits_of_steps_are_a_second_apart_and_others_less(urgency: Urgency, gap_s: float) -> None:
    pacer = Pacer(calls_per_minute=10_000)
    pacer.on_reply_opened("a", 0.0)
    pacer.on_send(5.0, "a")
    pacer.on_end(5.1)
    assert pacer.ready_at(5.0 + gap_s - 0.2, urgency, "a") == pytest.approx(5.0 + gap_s)
    assert pacer.ready_at(5.0 + gap_s, urgency, "a") <= 5.0 + gap_s
    assert pacer.ready_at(5.2, FINAL, "a") <= 5.2


def test_pace_does_not_depend_on_the_clocks_origin() -> None:
    def gaps(start: float) -> list[float]:
        pacer = Pacer(calls_per_minute=20)
        pacer.on_reply_opened("before", start - 30)
        pacer.on_reply_closed("before", start - 10)
        return [at - start for at in edits_of_one(pacer, start + 60, start)]

    assert gaps(4_096.0) == pytest.approx(gaps(64.0), abs=0.05)


def test_scarce_calls_split_the_rest_of_an_answer_into_equal_parts() -> None:
    """One edit and the final are left for an answer that is expected to last 20 s, and some newcomers' calls."""
    pacer = Pacer(calls_per_minute=50)
    used(pacer, 41)
    pacer.on_reply_opened("a", 0.0)
    assert 5 < next_edit_s(pacer, 0.0) < 9


def test_edits_go_sooner_if_used_calls_come_back_soon() -> None:
    soon, late = Pacer(calls_per_minute=50), Pacer(calls_per_minute=50)
    used(soon, 41, -45.0)
    used(late, 41, -5.0)
    for pacer in (soon, late):
        pacer.on_reply_opened("a", 0.0)
    assert next_edit_s(soon, 0.0) < 0.8 * next_edit_s(late, 0.0)


def test_replies_that_end_soon_leave_more_calls_to_others() -> None:
    """Answers last 20 s. Ten other replies are halfway, or they have only begun."""

    def beside(age_s: float) -> float:
        pacer = Pacer(calls_per_minute=50)
        pacer.on_reply_opened("a", 1_000.0)
        pacer.on_shared_calls(1_000.0, call_ages_s=(), live_ages_s=[age_s] * 10)
        return next_edit_s(pacer, 1_000.0)

    assert beside(10.0) < 0.8 * beside(0.0)


def test_answers_that_ended_at_once_do_not_stop_later_edits() -> None:
    pacer = Pacer()
    for key in range(AVERAGED_ANSWERS):
        pacer.on_reply_opened(key, 0.0)
        pacer.on_reply_closed(key, 0.0)
    pacer.on_reply_opened("a", 0.0)
    assert next_edit_s(pacer, 0.0) < 2


def test_expected_life_of_an_answer_follows_recent_answers() -> None:
    """Hundreds of long answers are forgotten after as many short ones as the pacer remembers."""

    def after(lives_s: list[float]) -> list[float]:
        pacer = Pacer(calls_per_minute=30)
        for key, life_s in enumerate(lives_s):
            pacer.on_reply_opened(key, 1_000.0 - life_s)
            pacer.on_reply_closed(key, 1_000.0)
        return edits_of_one(pacer, until=2_060, start=2_000)

    short, long = [5.0] * AVERAGED_ANSWERS, [100.0] * 200
    assert after(long + short) == after(short)
    assert sum(at < 2_010 for at in after(short)) > sum(at < 2_010 for at in after(long))


def kept_calls(pacer: Pacer, now: float, live: int) -> int:
    """Returns how many free calls progress leaves, beyond those for finals. The reply "a" was edited long ago."""
    while can_go(pacer, now, PROGRESS):
        pacer.on_send(now, "newcomer")
    return free_calls(pacer, now) - live


def test_questions_within_a_minute_add_up() -> None:
    """A question out of silence counts 0.4 and a second one 1, beside the five kept after a question."""
    pacer = Pacer()
    for second in (0.0, 10.0):
        pacer.on_reply_opened(second, second)
        pacer.on_reply_closed(second, second)
    pacer.on_reply_opened("a", -600.0)
    pacer.on_reply_opened("b", 10.0)
    assert kept_calls(pacer, 10.0, live=2) == math.floor(5 + 0.4 * math.exp(-1 / 3) + 1)


def test_reply_of_another_process_counts_as_one_question_however_often_it_is_reported() -> None:
    pacer = Pacer()
    pacer.on_reply_opened("a", -600.0)
    for second in range(60):
        pacer.on_shared_calls(float(second), call_ages_s=(), live_ages_s=[float(second)])
    assert kept_calls(pacer, 60.0, live=2) == math.floor(2 + 3.4 * math.exp(-2))


def test_report_without_live_replies_is_not_a_question() -> None:
    pacer = Pacer()
    pacer.on_reply_opened("a", -600.0)
    pacer.on_shared_calls(0.0, call_ages_s=(), live_ages_s=())
    assert kept_calls(pacer, 0.0, live=1) == 2
