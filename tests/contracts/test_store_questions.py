"""Questions with files and by bots: what the model of the store leaves out (store_model.py)."""

from dataclasses import replace
from typing import Any

import pytest

from bot.core.conversation import File, Question
from bot.core.job import FollowUp, Piece, Spent
from bot.store import Stores
from bot.store.schema import checkpoints, steps
from tests.charged_turns import CHARGED_TURNS
from tests.contracts.stores import (
    DONE,
    OTHER_THREAD,
    STEPPED,
    YES,
    asked,
    asking_step,
    count,
    delete_question,
    enqueued,
    one,
)

EDITED = replace(asked(1), text="Why not?")
FILE = File("F1", "a.txt")


async def test_message_that_is_no_question_can_be_neither_edited_nor_deleted_nor_regenerated(store: Stores) -> None:
    assert not await store.question_queue.edit(EDITED, "2.0")
    assert not await delete_question(store, 1)
    assert not await store.question_queue.regenerate(12345)


@pytest.mark.parametrize(
    ("text", "files", "ended", "is_question"),
    [("Why?", (), True, True), ("", (FILE,), True, True), ("", (), False, True), ("", (), True, False)],
    ids=["words", "a file", "empty and queued", "empty and ended"],
)
async def test_message_with_words_or_files_is_a_question_and_an_empty_one_only_until_it_ends(
    store: Stores, text: str, files: tuple[File, ...], ended: bool, is_question: bool
) -> None:
    await enqueued(store, replace(asked(1), text=text, files=files))
    if ended:
        assert await store.worker_queue.finish(await one(store), DONE, YES)
    assert await store.question_queue.edit(EDITED, "2.0") is is_question
    assert await delete_question(store, 1) is is_question
    assert not await store.question_queue.edit(EDITED, "3.0"), "it is deleted"


async def test_deleted_question_leaves_no_file_to_answer_about(store: Stores) -> None:
    job_id = await enqueued(store, replace(asked(1), text="", files=(FILE,)))
    assert await store.worker_queue.finish(await one(store), DONE, YES)
    assert await delete_question(store, 1)
    assert await store.question_queue.regenerate(job_id) is None


@pytest.mark.parametrize(
    ("changes", "restarts"),
    [({"text": "Why not?"}, True), ({"files": (FILE,)}, True), ({"attached_chars": 2}, False), ({}, False)],
    ids=["words", "files", "where the words end", "nothing"],
)
async def test_edit_of_words_or_files_restarts_the_answer_and_all_of_it_is_stored(
    store: Stores, changes: dict[str, Any], restarts: bool
) -> None:
    await enqueued(store, asked(1))
    job = await one(store)
    await store.worker_queue.checkpoint({job: Piece(0, "Because")})
    assert await store.recorded_calls.record(job, asking_step(), STEPPED, None)
    assert await store.question_queue.edit(replace(asked(1), **changes), "2.0")
    assert (await store.worker_queue.heartbeat({job: Spent()})).to_restart == ({job.id} if restarts else set())
    left = [await count(store, table) for table in (checkpoints, steps)]
    assert left == ([0, 0] if restarts else [1, 1])
    assert await store.worker_queue.release(job)
    assert (await one(store)).question == replace(asked(1), **changes)


@pytest.mark.parametrize(
    ("follow_up", "is_taken"),
    [
        (asked(2), True),
        (asked(2, OTHER_THREAD), False),
        (replace(asked(2), files=(FILE,)), False),
        (replace(asked(2), from_bot=True), False),
    ],
    ids=["below", "in another thread", "with a file", "by a bot"],
)
async def test_running_answer_takes_along_only_plain_questions(
    store: Stores, follow_up: Question, is_taken: bool
) -> None:
    await enqueued(store, asked(1))
    job = await one(store)
    await enqueued(store, follow_up)
    assert await store.recorded_calls.take_follow_ups(job, 1) == ((FollowUp(follow_up, 1),) if is_taken else ())
    assert await store.worker_queue.finish(job, DONE, YES)
    assert [left.question for left in await store.worker_queue.claim(9)] == ([] if is_taken else [follow_up])


async def test_batched_question_has_a_turn_without_usage(store: Stores) -> None:
    first = await enqueued(store, asked(1))
    await enqueued(store, asked(2))
    await one(store)
    async with store.database.begin_read() as connection:
        [turn] = (await connection.execute(CHARGED_TURNS)).all()
    assert (turn.job_id, turn.end_reason, turn.answer, turn.input_tokens) == (first, "batched", "", None)
