"""The Store's contract: on SQLite in memory, on a SQLite file, and on a real PostgreSQL."""

import asyncio
from dataclasses import replace

import pytest
import sqlalchemy as sa

from bot.core.conversation import File, Job, Question, ThreadKey
from bot.core.inbound.channel_settings import ChannelSettings
from bot.core.inbound.triage import Participants
from bot.core.job import EndReason, Enqueued, Outcome, Pulse, Spent, Status
from bot.errors import StoreError
from bot.ports.clock import SystemClock
from bot.store import Stores
from bot.store.schema import jobs, seen_events, turns
from tests.contracts.stores import DIRECT, DONE, OTHER_THREAD, THREAD, Workers, asked, count, enqueued

pytest_plugins = ["tests.contracts.databases"]


async def take_over(store: Stores, job: Job) -> None:
    """Another worker takes the job, as is done with those of a worker that went silent."""
    async with store.database.engine.begin() as connection:
        await connection.execute(
            sa.update(jobs).where(jobs.c.id == job.id).values(worker="other", attempts=job.attempts + 1)
        )


class TestEnqueue:
    async def test_a_question_becomes_a_job_as_it_was_asked(self, store: Stores) -> None:
        question = asked(1, text="<@UBOT> héllo 👩‍👩‍👧 {%s} :id 'quoted'")
        taken = await store.queue.enqueue("Ev1", question)
        [job] = await store.worker_queue.claim(10)
        assert taken == Enqueued(job.id, waiting=False)
        assert job == Job(job.id, question, attempts=1, page_ts=())

    async def test_an_event_is_taken_once(self, store: Stores) -> None:
        assert await store.queue.enqueue("Ev1", asked(1))
        assert await store.queue.enqueue("Ev1", asked(1)) is None
        assert len(await store.worker_queue.claim(10)) == 1

    async def test_a_message_is_taken_once_though_two_events_bring_it(self, store: Stores) -> None:
        assert await store.queue.enqueue("Ev1", asked(1))
        assert await store.queue.enqueue("Ev2", asked(1)) is None
        assert len(await store.worker_queue.claim(10)) == 1

    async def test_an_event_that_brought_nothing_new_is_seen_all_the_same(self, store: Stores) -> None:
        await store.queue.enqueue("Ev1", asked(1))
        await store.queue.enqueue("Ev2", asked(1))
        assert await store.queue.enqueue("Ev2", asked(2)) is None

    async def test_the_same_ts_elsewhere_is_another_message(self, store: Stores) -> None:
        places = [ThreadKey("T1", "C1", None), ThreadKey("T1", "C2", None), ThreadKey("T2", "C1", None)]
        for place in places:
            assert await store.queue.enqueue(f"Ev {place}", asked(1, place))
        assert [job.question.thread for job in await store.worker_queue.claim(10)] == places

    async def test_of_twin_events_at_once_exactly_one_wins(self, worker: Workers) -> None:
        stores = [await worker("w1"), await worker("w2")]
        for number in range(20):
            twins = await asyncio.gather(
                stores[0].queue.enqueue(f"EvA{number}", asked(number)),
                stores[number % 2].queue.enqueue(f"EvB{number}", asked(number)),
            )
            assert sum(twin is not None for twin in twins) == 1

    @pytest.mark.parametrize(
        ("before", "waits"),
        [
            ("nothing", False),
            ("one to do", True),
            ("one being done", True),
            ("one done", False),
            ("one after it that was begun", True),
            ("one in another thread", False),
        ],
    )
    async def test_tells_whether_another_job_is_before_it(self, store: Stores, before: str, waits: bool) -> None:
        if before != "nothing":
            number = 3 if "after" in before else 1
            await enqueued(store, asked(number, OTHER_THREAD if "another" in before else THREAD))
        if "begun" in before:
            await store.worker_queue.release((await store.worker_queue.claim(1))[0])
        if before in ("one being done", "one done"):
            [job] = await store.worker_queue.claim(1)
            if before == "one done":
                assert await store.worker_queue.finish(job, DONE)
        taken = await store.queue.enqueue("Ev2", asked(2))
        assert taken is not None
        assert taken.waiting is waits

    async def test_keeps_what_slack_said_of_its_files(self, store: Stores) -> None:
        file = File("F1", "a\0b \ud83d ☃.png", "image/png", "png", "hosted", "visible", "https://files.slack.com/F1")
        asked_with = replace(asked(1), files=(file, File("F2", "b")))
        await enqueued(store, asked_with)
        [job] = await store.worker_queue.claim(1)
        assert job.question == asked_with

    async def test_text_that_no_database_takes_is_kept_as_far_as_it_can_be(self, store: Stores) -> None:
        await enqueued(store, asked(1, text="a\0b \ud83d c \ud83d\ude00"))
        [job] = await store.worker_queue.claim(1)
        assert job.question.text == "a\ufffdb \ufffd c 😀"


class TestClaim:
    async def test_nothing_to_do_gives_nothing(self, store: Stores) -> None:
        assert await store.worker_queue.claim(10) == []

    async def test_what_waits_in_a_thread_is_answered_together_by_the_one_written_last(self, store: Stores) -> None:
        for number in (2, 1, 3):
            await enqueued(store, asked(number))
        [job] = await store.worker_queue.claim(10)
        assert (job.question, job.earlier) == (asked(3), (asked(1), asked(2)))
        assert await store.worker_queue.claim(10) == []

    async def test_a_thread_is_answered_one_at_a_time(self, store: Stores) -> None:
        await enqueued(store, asked(1))
        [first] = await store.worker_queue.claim(10)
        for number in (3, 2):
            await enqueued(store, asked(number))
        assert await store.worker_queue.claim(10) == []
        assert await store.worker_queue.finish(first, DONE)
        [job] = await store.worker_queue.claim(10)
        assert (job.question, job.earlier) == (asked(3), (asked(2),))

    async def test_what_was_begun_is_done_before_what_waits_and_alone(self, store: Stores) -> None:
        await enqueued(store, asked(2))
        await store.worker_queue.release((await store.worker_queue.claim(1))[0])
        for number in (3, 1):
            await enqueued(store, asked(number))
        [job] = await store.worker_queue.claim(10)
        assert (job.question, job.earlier) == (asked(2), ())

    async def test_the_root_of_a_direct_message_is_one_thread(self, store: Stores) -> None:
        await enqueued(store, asked(1, DIRECT))
        await enqueued(store, asked(2, DIRECT))
        [job] = await store.worker_queue.claim(10)
        assert (job.question, job.earlier) == (asked(2, DIRECT), (asked(1, DIRECT),))
        assert await store.worker_queue.claim(10) == []

    async def test_many_threads_are_answered_at_once_the_oldest_first(self, store: Stores) -> None:
        ids = [await enqueued(store, asked(n, ThreadKey("T1", f"C{n}", None))) for n in range(30)]
        assert [job.id for job in await store.worker_queue.claim(100)] == ids

    async def test_a_limit_takes_the_oldest(self, store: Stores) -> None:
        ids = [await enqueued(store, asked(n, ThreadKey("T1", f"C{n}", None))) for n in range(5)]
        assert [job.id for job in await store.worker_queue.claim(2)] == ids[:2]
        assert await store.worker_queue.claim(0) == []
        assert [job.id for job in await store.worker_queue.claim(2)] == ids[2:4]

    async def test_two_workers_never_get_the_same_job_nor_the_same_thread(self, worker: Workers) -> None:
        workers = [await worker("w1"), await worker("w2")]
        threads = [ThreadKey("T1", f"C{n}", None) for n in range(8)]
        for number in range(24):
            await enqueued(workers[0], asked(number, threads[number % 8]))
        done: list[Question] = []

        async def work(store: Stores) -> None:
            while len(done) < 24:
                for job in await store.worker_queue.claim(3):
                    assert await store.worker_queue.finish(job, DONE)
                    done.extend((*job.earlier, job.question))

        async with asyncio.timeout(20):
            await asyncio.gather(*(work(store) for store in workers))
        assert len(set(done)) == 24
        for thread in threads:
            of_thread = [question.ts for question in done if question.thread == thread]
            assert of_thread == sorted(of_thread)

    async def test_a_race_that_is_lost_takes_nothing(self, postgresql_url: str) -> None:
        store = await Stores.open(postgresql_url, "w1", SystemClock())
        later = await enqueued(store, asked(2))
        async with store.database.engine.begin() as other:
            await other.execute(sa.update(jobs).where(jobs.c.id == later).values(status=Status.RUNNING.value))
            await enqueued(store, asked(1))
            claim = asyncio.create_task(store.worker_queue.claim(1))
            blocked = sa.text("SELECT EXISTS (SELECT FROM pg_locks WHERE NOT granted)")
            async with asyncio.timeout(10):
                while not await other.scalar(blocked):
                    pass
        assert await claim == []
        await store.close()


class TestFence:
    async def test_a_heartbeat_returns_those_still_ours(self, worker: Workers) -> None:
        store, other = await worker("w1"), await worker("w2")
        for number in range(4):
            await enqueued(store, asked(number, ThreadKey("T1", f"C{number}", None)))
        kept, lost, done = await store.worker_queue.claim(3)
        [theirs] = await other.worker_queue.claim(3)
        await take_over(store, lost)
        await store.worker_queue.finish(done, DONE)
        claimed = dict.fromkeys([kept, lost, done, theirs], Spent())
        assert await store.worker_queue.heartbeat(claimed) == Pulse(frozenset({kept.id}))
        assert await store.worker_queue.heartbeat({}) == Pulse()

    async def test_a_late_worker_writes_nothing(self, store: Stores) -> None:
        await enqueued(store, asked(1))
        [job] = await store.worker_queue.claim(1)
        await store.worker_queue.record_pages(job.id, ["5.1"])
        await take_over(store, job)
        await store.worker_queue.record_pages(job.id, ["5.1", "5.2"])
        assert await store.worker_queue.finish(job, DONE) is False
        assert await store.recorded_answers.replies(THREAD) == {"5.1": ""}
        await enqueued(store, asked(2))
        assert await store.worker_queue.claim(1) == [], "the thread is still busy"

    async def test_a_job_ends_once(self, store: Stores) -> None:
        await enqueued(store, asked(1))
        [job] = await store.worker_queue.claim(1)
        await store.worker_queue.record_pages(job.id, ["5.1"])
        assert await store.worker_queue.finish(job, DONE) is True
        assert await store.worker_queue.finish(job, Outcome(EndReason.CUT, "No.")) is False
        assert await store.recorded_answers.replies(THREAD) == {"5.1": DONE.answer}

    @pytest.mark.parametrize("reason", [EndReason.WHOLE, EndReason.CUT, EndReason.STOPPED])
    async def test_however_a_job_ends_its_thread_goes_on(self, store: Stores, reason: EndReason) -> None:
        await enqueued(store, asked(1))
        [job] = await store.worker_queue.claim(1)
        second = await enqueued(store, asked(2))
        assert await store.worker_queue.finish(job, Outcome(reason, ""))
        assert [job.id for job in await store.worker_queue.claim(1)] == [second]


BEFORE, LATER = "1600000000.000000", "1800000000.000000"


class TestThread:
    async def test_takes_part_where_it_was_asked(self, store: Stores) -> None:
        assert await store.participants.at_message(THREAD, "U1", LATER) == Participants()
        await enqueued(store, asked(1))
        assert await store.participants.at_message(THREAD, "U1", LATER) == Participants(takes_part=True)
        assert await store.participants.at_message(OTHER_THREAD, "U1", LATER) == Participants()
        assert (
            await store.participants.at_message(ThreadKey("T2", THREAD.channel_id, THREAD.thread_ts), "U1", LATER)
            == Participants()
        )

    async def test_once_somebody_else_writes_it_is_shared_for_everybody(self, store: Stores) -> None:
        await enqueued(store, asked(1))
        assert await store.participants.at_message(THREAD, "U2", asked(2).ts) == Participants(
            takes_part=True, others=True
        )
        assert await store.participants.at_message(THREAD, "U1", LATER) == Participants(takes_part=True, others=True)

    async def test_who_came_before_we_were_asked_may_be_told_later(self, store: Stores) -> None:
        await store.participants.mark_group(THREAD, BEFORE)
        await store.participants.mark_group(THREAD, BEFORE)
        assert await store.participants.at_message(THREAD, "U1", LATER) == Participants()
        await enqueued(store, asked(1))
        assert await store.participants.at_message(THREAD, "U1", LATER) == Participants(takes_part=True, others=True)
        assert await store.erasure.erase(thread=THREAD) == 1
        await store.queue.enqueue("Ev2", asked(2))
        assert await store.participants.at_message(THREAD, "U1", LATER) == Participants(takes_part=True)

    async def test_what_came_after_a_message_does_not_count_however_late_it_is_delivered(self, store: Stores) -> None:
        before, between, after = (asked(number).ts for number in (1, 3, 5))
        await enqueued(store, asked(1))
        await enqueued(store, replace(asked(4), user_id="U2"))
        assert await store.participants.at_message(THREAD, "U2", after) == Participants(takes_part=True, others=True)
        assert await store.participants.at_message(THREAD, "U1", between) == Participants(takes_part=True)
        assert await store.participants.at_message(THREAD, "U1", after) == Participants(takes_part=True, others=True)
        await store.participants.mark_group(THREAD, before)
        assert await store.participants.at_message(THREAD, "U1", between) == Participants(takes_part=True, others=True)

    async def test_a_message_that_is_delivered_again_finds_it_shared_though_the_other_person_was_forgotten(
        self, store: Stores
    ) -> None:
        before, again = asked(2).ts, asked(3).ts
        await enqueued(store, asked(1))
        await enqueued(store, replace(asked(2), user_id="U2"))
        assert await store.participants.at_message(THREAD, "U1", again) == Participants(takes_part=True, others=True)
        assert await store.erasure.erase(user_id="U2") == 1
        assert await store.participants.at_message(THREAD, "U1", again) == Participants(takes_part=True, others=True)
        assert await store.participants.at_message(THREAD, "U1", before) == Participants(takes_part=True)

    async def test_replies_are_the_markdown_at_the_first_page(self, store: Stores) -> None:
        markdown = "# Yes\n\n" + "| a | b |\n" * 2_000 + "end \U0001f600"
        for number, pages in ((1, ["5.1", "5.2", "5.3"]), (2, ["6.1"]), (3, [])):
            await enqueued(store, asked(number))
            [job] = await store.worker_queue.claim(1)
            await store.worker_queue.record_pages(job.id, pages[:1])
            await store.worker_queue.record_pages(job.id, pages)
            assert await store.worker_queue.finish(job, Outcome(EndReason.WHOLE, markdown if number == 1 else ""))
        assert await store.recorded_answers.replies(THREAD) == {"5.1": markdown, "5.2": "", "5.3": "", "6.1": ""}
        assert await store.recorded_answers.replies(OTHER_THREAD) == {}

    async def test_a_reply_that_still_grows_has_pages_without_text(self, store: Stores) -> None:
        await enqueued(store, asked(1))
        [job] = await store.worker_queue.claim(1)
        await store.worker_queue.record_pages(job.id, ["5.1", "5.2"])
        assert await store.recorded_answers.replies(THREAD) == {"5.1": "", "5.2": ""}

    async def test_the_outcome_is_kept_with_its_usage(self, store: Stores) -> None:
        await enqueued(store, asked(1))
        [job] = await store.worker_queue.claim(1)
        await store.worker_queue.finish(job, DONE)
        async with store.database.engine.begin() as connection:
            turn = (await connection.execute(sa.select(turns))).one()
            job_row = (await connection.execute(sa.select(jobs.c.status, jobs.c.end_reason))).one()
        assert tuple(job_row) == (Status.ENDED, EndReason.WHOLE)
        assert (turn.job_id, turn.answer, turn.model) == (job.id, DONE.answer, "scripted/echo")
        assert (turn.end_reason, turn.input_tokens, turn.output_tokens) == (EndReason.WHOLE, 10, 20)
        assert turn.cached_input_tokens == 5


class TestDurability:
    async def test_a_channel_has_what_was_last_set_for_it(self, store: Stores) -> None:
        assert await store.channel_settings.read("T1", "C1") == ChannelSettings()
        for settings in (ChannelSettings("openai/test", "Rhyme.", True), ChannelSettings(mention_only=False)):
            await store.channel_settings.write("T1", "C1", settings)
            assert await store.channel_settings.read("T1", "C1") == settings
        assert await store.channel_settings.read("T1", "C2") == ChannelSettings()

    async def test_who_comes_after_its_close_is_told_so(self, database_url: str) -> None:
        store = await Stores.open(database_url, "w1", SystemClock())
        await store.close()
        with pytest.raises(StoreError, match="closed"):
            await store.database.ping()

    async def test_a_restart_loses_nothing(self, shared_url: str) -> None:
        before = await Stores.open(shared_url, "w1", SystemClock())
        await enqueued(before, asked(1))
        [job] = await before.worker_queue.claim(1)
        await enqueued(before, asked(2))
        await before.worker_queue.record_pages(job.id, ["5.1"])
        await before.worker_queue.finish(job, DONE)
        await before.close()

        after = await Stores.open(shared_url, "w2", SystemClock())
        assert await after.queue.enqueue("Ev1", asked(1)) is None
        assert await after.recorded_answers.replies(THREAD) == {"5.1": DONE.answer}
        assert [job.question for job in await after.worker_queue.claim(10)] == [asked(2)]
        await after.close()

    async def test_a_cancelled_caller_breaks_nothing_off(self, store: Stores) -> None:
        for number in range(1, 11):
            call = asyncio.create_task(store.queue.enqueue(f"Ev{number}", asked(number)))
            for _ in range(number):
                await asyncio.sleep(0)
            call.cancel()
            with pytest.raises(asyncio.CancelledError):
                await call
        async with asyncio.timeout(10):
            while await count(store, jobs) < 10:
                pass
        assert await count(store, seen_events) == 10

    async def test_closing_waits_for_what_was_begun(self, shared_url: str) -> None:
        before = await Stores.open(shared_url, "w1", SystemClock())
        call = asyncio.create_task(before.queue.enqueue("Ev1", asked(1)))
        await asyncio.sleep(0)
        call.cancel()
        await before.close()
        after = await Stores.open(shared_url, "w1", SystemClock())
        assert [job.question for job in await after.worker_queue.claim(1)] == [asked(1)]
        await after.close()
