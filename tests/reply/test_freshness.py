"""An answer's freshness by the times of its words and calls, compared with the benchmark's reading of the messages."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.freshness import Progress, staleness_s
from bot.reply.answer import ARRIVALS_S, MAX_ARRIVALS, Freshness

WORD = 5


def test_delays_of_an_answer_that_is_shown_in_two_calls() -> None:
    freshness = Freshness()
    freshness.on_written(WORD, 10.0)
    freshness.on_send()
    freshness.on_shown(WORD, 10.5)
    freshness.on_written(WORD, 11.5)
    freshness.ended_at = 12.0
    assert freshness.staleness_s is None, "Slack doesn't show the last words yet"
    freshness.on_send()
    freshness.on_shown(2 * WORD, 12.5)
    freshness.on_end_shown(12.5)
    freshness.on_end_shown(12.75)
    assert freshness.first_word_delay_s == 0.5
    # Half a second, and then a second of growing age, in the 2.5 s between.
    assert freshness.staleness_s == pytest.approx((0.5**2 / 2 + 1.0**2 / 2) / 2.5)
    assert freshness.final_lag_s == 0.75


def test_answer_without_words_has_only_a_final_lag() -> None:
    freshness = Freshness(chars=100)
    freshness.on_shown(100, 1.0)
    freshness.ended_at = 2.0
    freshness.on_end_shown(2.5)
    assert (freshness.first_word_delay_s, freshness.staleness_s, freshness.final_lag_s) == (None, None, 0.5)


def test_answer_whose_words_slack_never_shows_has_no_delays() -> None:
    freshness = Freshness()
    freshness.on_written(WORD, 1.0)
    freshness.ended_at = 2.0
    assert (freshness.first_word_delay_s, freshness.staleness_s, freshness.final_lag_s) == (None, None, None)


def test_marks_before_the_first_word_are_no_words() -> None:
    freshness = Freshness()
    freshness.on_written(2, 1.0, has_word=False)
    freshness.on_shown(2, 1.5)
    freshness.on_written(WORD, 2.0)
    freshness.on_send()
    freshness.on_shown(2 + WORD, 2.75)
    assert (freshness.first_word_delay_s, freshness.staleness_s) == (0.75, 0.375)


def test_words_that_come_while_a_call_is_under_way_age_from_their_own_arrival() -> None:
    freshness = Freshness()
    freshness.on_written(WORD, 1.0)
    freshness.on_send()
    freshness.on_written(WORD, 1.0 + ARRIVALS_S / 2)
    freshness.on_shown(WORD, 2.0)
    freshness.on_shown(2 * WORD, 3.0)
    second_s = 2.0 - ARRIVALS_S / 2
    first_area, later_area = 1.0 / 2, (second_s**2 - (second_s - 1.0) ** 2) / 2
    assert freshness.staleness_s == pytest.approx((first_area + later_area) / 2.0)


@given(
    gaps=st.lists(st.floats(0.001, 2.0), min_size=1, max_size=60),
    shown_at=st.lists(st.tuples(st.integers(0, 120), st.floats(0.0, 1.0)), max_size=20),
)
def test_staleness_is_what_the_benchmark_reads_from_the_messages(
    gaps: list[float], shown_at: list[tuple[int, float]]
) -> None:
    sent_at = [sum(gaps[: number + 1]) for number in range(len(gaps))]
    end = sent_at[-1] + 1.0
    calls = sorted((tenth / 120 * end, latency) for tenth, latency in shown_at)
    freshness = Freshness()
    steps: list[Progress] = []
    words = 0
    free_at = 0.0
    for leaves_at, latency in [*calls, (end, 0.5)]:
        leaves_at = max(leaves_at, free_at)
        for at in sent_at[words:]:
            if at <= leaves_at:
                freshness.on_written(WORD, at)
                words += 1
        carried = words
        freshness.on_send()
        free_at = leaves_at + latency
        for at in sent_at[words:]:
            if at <= free_at:
                freshness.on_written(WORD, at)
                words += 1
        freshness.on_shown(carried * WORD, free_at)
        steps.append(Progress(free_at, carried))
    expected = staleness_s(sent_at, steps)
    # With many words unseen, arrivals become coarser: then the words seem older than they are.
    slack_s = ARRIVALS_S if len(gaps) <= MAX_ARRIVALS else 8 * max(ARRIVALS_S, *gaps)
    assert freshness.staleness_s is not None
    assert expected - 1e-9 <= freshness.staleness_s <= expected + slack_s
    assert freshness.first_word_delay_s is not None
