"""The oldest results of tools make room for newer ones."""

from dataclasses import replace
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from bot.core.step_turns import DROPPED, with_room
from bot.core.tool_calls import CallState, RecordedCall, Step

SIZES = st.lists(st.lists(st.integers(0, 5_000), min_size=1, max_size=8), max_size=16)
"""The sizes of results, in characters, by step and call."""


def steps_of(sizes: list[list[int]]) -> list[Step]:
    """Returns steps whose calls have returned results of these sizes."""
    call = RecordedCall(0, 0, "", "notes__list", {}, "a hash", CallState.DONE)
    return [
        Step(
            number,
            "Looking.",
            (),
            "openai/test",
            tuple(replace(call, step_no=number, index=at, result="x" * size) for at, size in enumerate(of_step)),
        )
        for number, of_step in enumerate(sizes)
    ]


def results(steps: list[Step]) -> list[str]:
    return [call.result for step in steps for call in step.calls]


@given(SIZES, st.integers(0, 30_000))
def test_results_fit_except_for_those_of_the_last_step(sizes: list[list[int]], limit: int) -> None:
    steps = steps_of(sizes)
    shortened = with_room(steps, len, limit)
    earlier = results(shortened[:-1])
    remaining, last = [result for result in earlier if result != DROPPED], results(shortened[-1:])
    assert shortened[-1:] == steps[-1:], "the model hasn't read it"
    if any(len(result) > len(DROPPED) for result in remaining):
        assert sum(map(len, (*remaining, *last))) <= limit
    assert len(earlier) == len(results(steps[:-1]))
    if sum(map(len, results(steps))) <= limit:
        assert shortened == steps


@given(SIZES, st.integers(1_000, 30_000))
def test_oldest_results_go_and_short_ones_stay(sizes: list[list[int]], limit: int) -> None:
    steps = steps_of(sizes)
    pairs = list(zip(results(steps), results(with_room(steps, len, limit)), strict=True))
    dropped = [after == DROPPED for before, after in pairs if len(before) > len(DROPPED)]
    assert dropped == sorted(dropped, reverse=True)
    assert all(after in (before, DROPPED) for before, after in pairs)
    assert all(after == before for before, after in pairs if len(before) <= len(DROPPED))


def test_most_requests_begin_like_the_one_before() -> None:
    steps = steps_of([[5_000]] * 40)
    requests = [results(with_room(steps[: number + 1], len, 80_000)) for number in range(40)]
    same = [after[: len(before)] == before for before, after in pairwise(requests)]
    assert same.count(False) == 6, "each time, results of 20,000 characters go"
    assert same[:15] == [True] * 15


def test_what_a_person_or_an_admin_denied_stays_as_it_is() -> None:
    steps = steps_of([[5_000], [5_000]])
    denied = replace(steps[0].calls[0], state=CallState.DENIED, result="An admin denies this tool.")
    steps = [replace(steps[0], calls=(denied,)), steps[1]]
    assert with_room(steps, len, 0) == steps
