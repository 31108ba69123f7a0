"""The recorded answers of a thread."""

import pytest
import sqlalchemy as sa

from bot.core.job import End, Status
from bot.errors import EndReason
from bot.store import Stores
from bot.store.schema import jobs, turns
from tests.contracts.stores import DONE, OTHER_THREAD, THREAD, YES, asked, enqueued, texts_of
from tests.core.conversations import recorded_pages


class TestThread:
    async def test_reply_is_its_markdown_at_the_first_page(self, store: Stores) -> None:
        markdown = "# Yes\n\n" + "| a | b |\n" * 2_000 + "end \U0001f600"
        for number, pages in ((1, ["5.1", "5.2", "5.3"]), (2, ["6.1"]), (3, [])):
            await enqueued(store, asked(number))
            [job] = await store.worker_queue.claim(1)
            await store.worker_queue.record_messages(job, recorded_pages(*pages[:1]))
            await store.worker_queue.record_messages(job, recorded_pages(*pages))
            assert await store.worker_queue.finish(job, End(EndReason.WHOLE), markdown if number == 1 else "")
        assert texts_of(await store.recorded_answers.replies(THREAD)) == {
            "5.1": markdown,
            "5.2": "",
            "5.3": "",
            "6.1": "",
        }
        assert texts_of(await store.recorded_answers.replies(OTHER_THREAD)) == {}

    async def test_growing_reply_has_pages_without_text(self, store: Stores) -> None:
        await enqueued(store, asked(1))
        [job] = await store.worker_queue.claim(1)
        await store.worker_queue.record_messages(job, recorded_pages("5.1", "5.2"))
        assert texts_of(await store.recorded_answers.replies(THREAD)) == {"5.1": "", "5.2": ""}

    async def test_outcome_is_recorded_with_its_usage(self, store: Stores) -> None:
        await enqueued(store, asked(1))
        [job] = await store.worker_queue.claim(1)
        await store.worker_queue.finish(job, DONE, YES)
        async with store.database.engine.begin() as connection:
            turn = (await connection.execute(sa.select(turns))).one()
            job_row = (await connection.execute(sa.select(jobs.c.status, jobs.c.end_reason))).one()
        assert tuple(job_row) == (Status.ENDED, EndReason.WHOLE)
        assert (turn.job_id, turn.answer, turn.model) == (job.id, YES, "scripted/echo")
        assert (turn.end_reason, turn.input_tokens, turn.output_tokens) == (EndReason.WHOLE, 10, 20)
        assert turn.cached_input_tokens == 5

    async def test_previous_version_can_be_read_before_the_end_of_the_newest_is_on_record(self, store: Stores) -> None:
        await enqueued(store, asked(1))
        for answer, previous in (("First.", ""), ("Second.", "First."), ("Third.", "Second.")):
            [job] = await store.worker_queue.claim(1)
            recorded = [await store.recorded_answers.of_job(THREAD, job.id)]
            assert await store.worker_queue.finish(job, End(EndReason.WHOLE), answer)
            recorded.append(await store.recorded_answers.of_job(THREAD, job.id))
            assert [record and record.previous for record in recorded] == [previous, previous]
            assert await store.queue.regenerate(job.id)

    @pytest.mark.parametrize("end_reason", [EndReason.STOPPED, EndReason.STEP_LIMIT])
    async def test_answer_that_is_continued_is_no_previous_version_of_itself(
        self, store: Stores, end_reason: EndReason
    ) -> None:
        await enqueued(store, asked(1))
        [job] = await store.worker_queue.claim(1)
        assert await store.worker_queue.finish(job, End(end_reason), "One, t")
        assert await store.queue.regenerate(job.id, continues=True)
        [again] = await store.worker_queue.claim(1)
        recorded = [await store.recorded_answers.of_job(THREAD, job.id)]
        assert await store.worker_queue.finish(again, End(EndReason.WHOLE), f"{again.so_far}wo.")
        recorded.append(await store.recorded_answers.of_job(THREAD, job.id))
        assert [record and record.previous for record in recorded] == ["", ""]
