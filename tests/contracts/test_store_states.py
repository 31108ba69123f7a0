"""The states of a job: the table of core/job.py row by row, and calls in any order, held to a model of the store."""

import pytest
from hypothesis import HealthCheck, settings
from hypothesis.stateful import run_state_machine_as_test

from bot.core import texts
from bot.core.job import TRANSITIONS, Event, State
from bot.errors import EndReason
from tests.contracts.store_machine import Machine
from tests.contracts.store_paths import play


@pytest.mark.hypothesis
@pytest.mark.parametrize("database", ["memory", "postgresql"])
@pytest.mark.long(after_row=1)
def test_calls_in_any_order_agree_with_the_model(request: pytest.FixtureRequest, database: str) -> None:
    url = "sqlite://" if database == "memory" else request.getfixturevalue("postgresql_url")
    machine = type("DatabaseMachine", (Machine,), {"database_url": url})
    run_state_machine_as_test(
        machine,
        settings=settings(
            # An example is 30 calls, and takes as long as a hundred examples of most other tests.
            max_examples=max(3, settings().max_examples // 10),
            stateful_step_count=30,
            suppress_health_check=list(HealthCheck),
        ),
    )


WAYS = {
    State.ABSENT: "",
    State.QUEUED: "ask 1",
    State.RUNNING: "ask 1, claim",
    State.RELEASED: "ask 1, claim, release 1",
    State.AWAITING_APPROVAL: "ask 1, claim, step 1 asked, wait 1",
    State.ENDED: "ask 1, claim, finish 1",
    State.DENIED: "ask 1, claim, finish 1 denied",
    State.UNBEGUN: "ask 1, stop 1",
    State.BATCHED: "ask 1, ask 3, claim",
}
ACTS = {
    Event.ENQUEUE: "ask 1",
    Event.CLAIM: "claim",
    Event.BATCH: "ask 3, claim",
    Event.UNBATCH: "delete 3",
    Event.TAKE_OVER: "w2 watch w1",
    Event.RELEASE: "release 1",
    Event.FINISH: "finish 1",
    Event.DENY: "finish 1 denied",
    Event.REMOVE: "erase thread, finish 1",
    Event.WAIT: "step 1 asked, wait 1",
    Event.DECIDE: "w2 decide 1 approved",
    Event.EXPIRE: "w2 expire late",
    Event.STOP: "stop 1",
    Event.EDIT: "edit 1",
    Event.DELETE_QUESTION: "delete 1",
    Event.REGENERATE: "regenerate 1",
    Event.ERASE: "erase thread",
}
COMPOUND = {Event.ENQUEUE, Event.BATCH, Event.UNBATCH, Event.TAKE_OVER, Event.REMOVE}
"""Events that exist in some states only. In any other state, the same call is another event."""
TABLE = {row: after for row, after in TRANSITIONS.items() if State.UNPOSTED not in (row[0], after)}
"""Without questions that the bot posts first: tests/contracts/test_store_queue.py."""
NO_EFFECT = [
    (state, event)
    for state in WAYS
    for event in ACTS
    if (state, event) not in TRANSITIONS and event not in COMPOUND and state is not State.ABSENT
]


def test_each_way_leads_to_its_state() -> None:
    assert {state: play("sqlite://", way) for state, way in WAYS.items()} == {state: state for state in WAYS}


@pytest.mark.parametrize("database", ["sqlite", pytest.param("postgresql", marks=pytest.mark.long)])
@pytest.mark.parametrize(("state", "event"), TABLE, ids=str)
def test_each_transition_leads_to_the_state_in_the_table(
    request: pytest.FixtureRequest, state: State, event: Event, database: str
) -> None:
    url = "sqlite://" if database == "sqlite" else request.getfixturevalue("postgresql_url")
    assert play(url, f"{WAYS[state]}, {ACTS[event]}") is TRANSITIONS[state, event]


@pytest.mark.parametrize("database", ["sqlite", pytest.param("postgresql", marks=pytest.mark.long)])
@pytest.mark.parametrize(("state", "event"), NO_EFFECT, ids=str)
def test_event_missing_from_the_table_changes_nothing(
    request: pytest.FixtureRequest, state: State, event: Event, database: str
) -> None:
    url = "sqlite://" if database == "sqlite" else request.getfixturevalue("postgresql_url")
    assert play(url, f"{WAYS[state]}, {ACTS[event]}") is state


def test_attempt_at_an_outdated_version_releases_its_job() -> None:
    assert play("sqlite://", "ask 1, claim, edit 1, finish 1") is State.RELEASED


def test_each_state_can_be_reached_and_left() -> None:
    assert set(State) == {state for state, _ in TRANSITIONS} == set(TRANSITIONS.values())
    assert set(WAYS) == {state for state, _ in TABLE} == set(TABLE.values())
    assert set(Event) == {event for _, event in TRANSITIONS}
    assert set(ACTS) == {event for _, event in TABLE}


def test_each_end_reason_is_of_one_kind() -> None:
    """Each end reason is an answer, a stop or a failure. None of these are denials, interruptions that an answer
    continues after, and a channel that was closed to the bot."""
    kinds = {reason: (reason.is_answer, reason.is_stop, reason.is_failure) for reason in EndReason}
    none = {reason for reason, kind in kinds.items() if sum(kind) == 0}
    assert none == {
        EndReason.DENIED,
        EndReason.INTERRUPTED,
        EndReason.SHUT_OUT,
        EndReason.STEPPED,
        EndReason.TRANSCRIBED,
    }
    assert all(sum(kind) <= 1 for kind in kinds.values())
    assert all(reason.is_failure for reason in texts.models.MODEL_FAILURES)
