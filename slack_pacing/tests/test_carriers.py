"""Whether edits or a stream carry a reply."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from slack_pacing.carriers import CarrierName, CarrierRoom, choose_carrier
from slack_pacing.pacer import OWN_GAP_S, Pacer

IDLE = CarrierRoom(0, OWN_GAP_S)
ROOMS = st.builds(CarrierRoom, st.integers(0, 50), st.floats(OWN_GAP_S, 60))


@pytest.mark.parametrize(("spare_starts", "spare_stops"), [(0, 5), (5, 0), (-3, 5), (5, -3)])
def test_edits_carry_where_a_stream_cannot_start_or_could_not_stop(spare_starts: int, spare_stops: int) -> None:
    busy = CarrierRoom(20, 30.0)
    assert choose_carrier(busy, IDLE, spare_starts=spare_starts, spare_stops=spare_stops) == "edit"


@pytest.mark.parametrize(("live", "carrier"), [(0, "edit"), (1, "stream")])
def test_second_answer_without_a_placeholder_is_streamed(live: int, carrier: CarrierName) -> None:
    edits = Pacer(50)
    for number in range(live):
        edits.on_reply_opened(number, 0.0)
    room = CarrierRoom(live, edits.newcomers_gap_s(0.0))
    assert choose_carrier(room, IDLE, spare_starts=20, spare_stops=20) is carrier


@pytest.mark.parametrize(
    ("forced", "spare_starts", "carrier"),
    [
        ("edit", 20, "edit"),
        ("stream", 20, "stream"),
        ("stream", 0, "edit"),
    ],
)
@pytest.mark.parametrize("edits", [IDLE, CarrierRoom(3, 2.0)])
def test_forced_carrier_is_chosen_while_a_stream_can_start(
    forced: CarrierName | None, spare_starts: int, carrier: CarrierName, edits: CarrierRoom
) -> None:
    assert choose_carrier(edits, IDLE, spare_starts=spare_starts, spare_stops=20, forced_carrier=forced) is carrier


@pytest.mark.parametrize(("has_stop", "carrier"), [(True, "stream"), (False, "edit")])
def test_of_two_that_cost_the_same_a_stream_carries_where_slack_shows_a_stop(
    has_stop: bool, carrier: CarrierName
) -> None:
    assert choose_carrier(IDLE, IDLE, spare_starts=1, spare_stops=1, has_stop=has_stop) is carrier
    slower = CarrierRoom(0, 2 * OWN_GAP_S)
    assert choose_carrier(IDLE, slower, spare_starts=1, spare_stops=1, has_stop=has_stop) == "edit"


@pytest.mark.parametrize(("gap_s", "is_fresh"), [(1.9, True), (2.0, True), (2.1, False)])
def test_words_are_fresh_while_they_are_a_second_old_on_average(gap_s: float, is_fresh: bool) -> None:
    assert CarrierRoom(7, gap_s).is_fresh is is_fresh


@pytest.mark.parametrize(("live", "staleness_s"), [(0, 0.5), (1, 0.75), (9, 0.95)])
def test_marginal_staleness_counts_what_the_other_replies_lose(live: int, staleness_s: float) -> None:
    """With n replies and a gap of n / r, all together are n * n / (2 r) stale."""
    assert CarrierRoom(live, 1.0).marginal_staleness_s == pytest.approx(staleness_s)
    calls_a_second = float(live + 1)
    difference_s = ((live + 1) ** 2 - live**2) / (2 * calls_a_second)
    assert CarrierRoom(live, 1.0).marginal_staleness_s == pytest.approx(difference_s)


@given(ROOMS, ROOMS, st.integers(1, 20), st.integers(1, 20))
def test_reply_goes_where_it_adds_least(edits: CarrierRoom, appends: CarrierRoom, starts: int, stops: int) -> None:
    carrier = choose_carrier(edits, appends, spare_starts=starts, spare_stops=stops, has_stop=True)
    chosen, other = (appends, edits) if carrier == "stream" else (edits, appends)
    assert chosen.marginal_staleness_s <= other.marginal_staleness_s
