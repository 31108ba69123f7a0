"""Who had written in a thread before a message."""

from dataclasses import replace

import pytest
import sqlalchemy as sa

from bot.core.conversation import ThreadKey
from bot.core.inbound.engagement import MAX_LINES, Line, Participants
from bot.core.job import End
from bot.errors import EndReason
from bot.store import Stores
from bot.store.participants import LINES_KEPT
from bot.store.schema import OF_THREADS, thread_lines
from tests.contracts.stores import OTHER_THREAD, THREAD, Workers, asked, count, enqueued

BEFORE, LATER = "1600000000.000000", "1800000000.000000"


class TestThread:
    async def test_bot_takes_part_where_it_was_asked(self, store: Stores) -> None:
        assert await store.participants.at_message(THREAD, "U1", LATER) == Participants()
        await enqueued(store, asked(1))
        assert await store.participants.at_message(THREAD, "U1", LATER) == Participants(takes_part=True)
        assert await store.participants.at_message(OTHER_THREAD, "U1", LATER) == Participants()
        assert (
            await store.participants.at_message(ThreadKey("T2", THREAD.channel_id, THREAD.thread_ts), "U1", LATER)
            == Participants()
        )

    async def test_bot_takes_no_part_before_it_was_asked_however_late_a_message_arrives(self, store: Stores) -> None:
        await enqueued(store, asked(2))
        for user_id in ("U1", "U2"):
            assert await store.participants.at_message(THREAD, user_id, asked(1).ts) == Participants()

    async def test_thread_is_shared_for_everyone_once_someone_else_writes(self, store: Stores) -> None:
        await enqueued(store, asked(1))
        assert (await store.participants.at_message(THREAD, "U2", asked(2).ts)).others
        assert (await store.participants.at_message(THREAD, "U1", LATER)).others

    async def test_starter_is_the_first_asker_unless_somebody_else_wrote_the_first_message(self, store: Stores) -> None:
        assert await store.participants.starter(THREAD) == ""
        await enqueued(store, replace(asked(1), user_id="U0", from_bot=True))
        assert await store.participants.starter(THREAD) == ""
        await enqueued(store, asked(3))
        await enqueued(store, replace(asked(2), user_id="U2"))
        assert await store.participants.starter(THREAD) == "U2"
        await store.participants.mark_group(THREAD, asked(1).ts, "U4")
        for number in range(10, 50):
            await store.participants.record_line(THREAD, "U1", asked(number).ts)
        assert await store.participants.starter(THREAD) == "U4"
        assert (await store.participants.at_message(THREAD, "U3", LATER)).starter == "U4"
        await store.erasure.erase(user_id="U4")
        assert await store.participants.starter(THREAD) == "U2"

    async def test_first_message_by_somebody_else_is_the_one_that_joins(self, store: Stores) -> None:
        await enqueued(store, asked(1))
        joined = [
            (await store.participants.at_message(THREAD, user, asked(number).ts)).joined
            for number, user in enumerate(("U1", "U2", "U2", "U3"), start=2)
        ]
        assert joined == [False, True, False, False]

    async def test_earlier_participants_may_be_recorded_before_the_first_question(self, store: Stores) -> None:
        await store.participants.mark_group(THREAD, BEFORE)
        await store.participants.mark_group(THREAD, BEFORE)
        assert await store.participants.at_message(THREAD, "U1", LATER) == Participants()
        await enqueued(store, asked(1))
        assert (await store.participants.at_message(THREAD, "U1", LATER)).others
        assert await store.erasure.erase(thread=THREAD) == 1
        await store.queue.enqueue("Ev2", asked(2))
        assert await store.participants.at_message(THREAD, "U1", LATER) == Participants(takes_part=True)

    async def test_thread_stays_shared_from_its_first_message_by_somebody_else(self, store: Stores) -> None:
        await enqueued(store, asked(1))
        for number in (2, 4):
            await store.participants.mark_group(THREAD, asked(number).ts)
        assert (await store.participants.at_message(THREAD, "U1", asked(3).ts)).others

    async def test_messages_after_the_asked_one_do_not_count_however_late_it_arrives(self, store: Stores) -> None:
        before, between, after = (asked(number).ts for number in (1, 3, 5))
        await enqueued(store, asked(1))
        await enqueued(store, replace(asked(4), user_id="U2"))
        assert (await store.participants.at_message(THREAD, "U2", after)).others
        assert await store.participants.at_message(THREAD, "U1", between) == Participants(takes_part=True)
        assert (await store.participants.at_message(THREAD, "U1", after)).others
        await store.participants.mark_group(THREAD, before)
        assert (await store.participants.at_message(THREAD, "U1", between)).others

    async def test_redelivered_message_finds_the_thread_shared_after_the_other_person_was_erased(
        self, store: Stores
    ) -> None:
        before, again = asked(2).ts, asked(3).ts
        await enqueued(store, asked(1))
        await enqueued(store, replace(asked(2), user_id="U2"))
        assert (await store.participants.at_message(THREAD, "U1", again)).others
        assert await store.erasure.erase(user_id="U2") == 1
        assert (await store.participants.at_message(THREAD, "U1", again)).others
        assert await store.participants.at_message(THREAD, "U1", before) == Participants(takes_part=True)


class TestLines:
    async def test_lines_are_the_messages_and_the_answers_below_questions_in_order(self, store: Stores) -> None:
        """Messages that come later don't count, and a redelivered one is the same line."""
        await enqueued(store, asked(1))
        for user_id, number in (("U3", 5), ("U2", 2), ("U2", 2)):
            await store.participants.record_line(THREAD, user_id, asked(number).ts)
        await enqueued(store, replace(asked(4), user_id="U2"))
        found = await store.participants.at_message(THREAD, "U1", asked(5).ts)
        assert found.lines == (Line("U1"), Line("", "U1"), Line("U2"), Line("U2"), Line("", "U2"))
        assert (await store.participants.at_message(OTHER_THREAD, "U1", LATER)).lines == ()

    async def test_only_the_last_lines_are_kept(self, store: Stores) -> None:
        await enqueued(store, asked(1))
        for number in range(2, 100):
            await store.participants.record_line(THREAD, f"U{number}", asked(number).ts)
        found = await store.participants.at_message(THREAD, "U2", LATER)
        assert found.lines == tuple(Line(f"U{number}") for number in range(100 - MAX_LINES, 100))
        async with store.database.engine.connect() as connection:
            assert await connection.scalar(sa.select(sa.func.count()).select_from(thread_lines)) == LINES_KEPT

    @pytest.mark.parametrize("is_under_way", [False, True])
    @pytest.mark.parametrize("others_ask", [False, True])
    async def test_facts_about_a_thread_go_with_the_last_question_of_an_erased_person(
        self, store: Stores, is_under_way: bool, others_ask: bool
    ) -> None:
        await enqueued(store, asked(1))
        await store.participants.mark_group(THREAD, asked(2).ts)
        await store.participants.record_line(THREAD, "U2", asked(2).ts)
        await store.participants.switch(THREAD, quiet=True, ts=asked(2).ts)
        claimed = await store.worker_queue.claim(1) if is_under_way else []
        if others_ask:
            await enqueued(store, replace(asked(3), user_id="U2"))
        assert await store.erasure.erase(user_id="U1") == 1
        for job in claimed:
            await store.worker_queue.finish(job, End(EndReason.STOPPED), "")
        assert [await count(store, table) for table in OF_THREADS] == [int(others_ask)] * len(OF_THREADS)

    async def test_erased_writer_stays_somebody_else(self, store: Stores) -> None:
        await enqueued(store, asked(1))
        await enqueued(store, replace(asked(2), user_id="U2"))
        await store.participants.record_line(THREAD, "U3", asked(3).ts)
        await store.erasure.erase(user_id="U3")
        assert (await store.participants.at_message(THREAD, "U1", LATER)).lines[-1] == Line("")
        await store.erasure.erase(thread=THREAD)
        await enqueued(store, asked(4))
        await store.participants.mark_group(THREAD, BEFORE)
        assert (await store.participants.at_message(THREAD, "U1", LATER)).lines == (Line("U1"), Line("", "U1"))


class TestQuiet:
    async def test_newest_switch_counts_for_the_messages_after_it(self, store: Stores) -> None:
        async def quiet(number: int) -> bool:
            return (await store.participants.at_message(THREAD, "U1", asked(number).ts)).quiet

        await enqueued(store, asked(1))
        assert await store.participants.switch(THREAD, quiet=True, ts=asked(3).ts)
        assert [await quiet(number) for number in (2, 3, 4)] == [False, False, True]
        assert not await store.participants.switch(THREAD, quiet=False, ts=asked(2).ts), "Slack delivered it late"
        assert not await store.participants.switch(THREAD, quiet=True, ts=asked(3).ts), "Slack delivered it again"
        assert await quiet(4)
        assert await store.participants.switch(THREAD, quiet=False, ts=asked(5).ts)
        assert not await quiet(6)
        assert not (await store.participants.at_message(OTHER_THREAD, "U1", LATER)).quiet


class TestBots:
    async def test_denied_question_does_not_make_the_bot_take_part(self, worker: Workers) -> None:
        store = await worker("w1")
        await enqueued(store, asked(1))
        [job] = await store.worker_queue.claim(1)
        await store.worker_queue.finish(job, End(EndReason.DENIED), "")
        assert not (await store.participants.at_message(THREAD, "U1", "9")).takes_part
