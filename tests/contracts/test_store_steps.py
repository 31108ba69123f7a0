"""What a growing answer leaves on record for the next attempt beside its text, which the model of the store holds."""

from dataclasses import replace

import pytest

from bot.core.job import Checkpoint, End, Job, Piece, Pulse, StepEstimate, sentence_notice
from bot.core.outbox import OutboxKind, wait_s
from bot.errors import EndReason
from bot.models.events import Citation
from bot.store import Stores
from tests.clocks import ManualClock
from tests.contracts.databases import Process
from tests.contracts.stores import apart, begun, one

END = End(
    EndReason.LENGTH_LIMIT,
    sentence_notice("It is long."),
    "openai/test",
    model="openai/test",
    first_token_s=0.5,
    prompt_version="1",
)

SOURCES = (Citation("https://a.example/?q='%s'", "A 👩‍👩‍👧"), Citation("https://b.example", ""))


async def taken_on(store: Stores, job: Job) -> Job:
    await store.worker_queue.release(job)
    return await one(store)


async def test_heartbeat_records_all_answers_and_returns_its_pulse(store: Stores) -> None:
    two = [await begun(store, apart(number)) for number in (1, 2)]
    pulse = await store.worker_queue.heartbeat(
        dict.fromkeys(two, StepEstimate()), {job: Piece(0, f"{job.id}") for job in two}
    )
    assert pulse == Pulse(frozenset(job.id for job in two))
    for job in two:
        await store.worker_queue.release(job)
    assert [job.checkpoint.text for job in await store.worker_queue.claim(2)] == [f"{job.id}" for job in two]


async def test_piece_of_another_workers_job_is_not_recorded(worker: Process) -> None:
    store, other = await worker("w1"), await worker("w2")
    theirs = await begun(other)
    await other.worker_queue.checkpoint({theirs: Piece(0, "Theirs.")})
    late = {theirs: Piece(0, "Ours.")}
    assert await store.worker_queue.checkpoint(late) is False
    own = await begun(store, apart(2))
    assert await store.worker_queue.checkpoint({**late, own: Piece(0, "Ours.")}) is False
    assert (await taken_on(other, theirs)).checkpoint == Checkpoint("Theirs.")


async def test_end_is_recorded_with_the_last_piece(store: Stores) -> None:
    job = await begun(store)
    await store.worker_queue.checkpoint({job: Piece(0, "One.")})
    await store.worker_queue.checkpoint({job: Piece(4, "", END)})
    assert (await taken_on(store, job)).checkpoint == Checkpoint("One.", END)


async def test_end_that_slack_refused_is_recorded_with_its_sources(timed: Stores, clock: ManualClock) -> None:
    job = await begun(timed)
    end = replace(END, sources=SOURCES)
    assert await timed.worker_queue.finish(job, end, "One.", outbox_kind=OutboxKind.REPLY)
    clock.now_s += wait_s(0)
    [entry] = await timed.outbox.claim_due(10)
    to_show = await timed.outbox.unshown_end(entry)
    assert to_show is not None
    assert to_show.checkpoint == Checkpoint("One.", end, SOURCES)


async def test_sources_are_those_of_the_newest_piece(store: Stores) -> None:
    job, (first, second) = await begun(store), SOURCES
    await store.worker_queue.checkpoint({job: Piece(0, "One ", sources=(first,))})
    await store.worker_queue.checkpoint({job: Piece(4, "two", sources=(first, second))})
    again = await taken_on(store, job)
    assert again.checkpoint == Checkpoint("One two", sources=(first, second))
    await store.worker_queue.checkpoint({again: Piece(4, "2", END, (first,))})
    last = replace(END, sources=(first,))
    assert (await taken_on(store, again)).checkpoint == Checkpoint("One 2", last, (first,))


@pytest.mark.parametrize(
    ("first", "then", "text"),
    [
        ([Piece(0, "One "), Piece(9, "three.")], [], "One "),
        ([Piece(0, "One two thr")], [Piece(8, "three "), Piece(14, "four.")], "One two three four."),
        ([Piece(0, "One two three.")], [Piece(4, "")], "One "),
        ([Piece(0, "One two three.")], [Piece(0, "Four.", END)], "Four."),
    ],
    ids=["after a gap", "of a later attempt at its own position", "that a step ends with", "that starts over"],
)
async def test_pieces_are_read_where_they_begin(
    store: Stores, first: list[Piece], then: list[Piece], text: str
) -> None:
    job = await begun(store)
    for pieces in (first, then):
        for piece in pieces:
            await store.worker_queue.checkpoint({job: piece})
        job = await taken_on(store, job)
    assert job.checkpoint == Checkpoint(text, then[-1].end if then else None)


@pytest.mark.parametrize("text", ["👩‍👩‍👧 %s :id 'quoted' é", "a\0b", "\ud83d"])
async def test_text_that_databases_refuse_keeps_its_length(store: Stores, text: str) -> None:
    job = await begun(store)
    await store.worker_queue.checkpoint({job: Piece(0, text)})
    await store.worker_queue.checkpoint({job: Piece(len(text), "end")})
    recorded = (await taken_on(store, job)).checkpoint.text
    assert len(recorded) == len(text) + 3
    assert recorded.endswith("end")
