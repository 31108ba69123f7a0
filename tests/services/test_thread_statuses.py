"""Statuses of threads, where the database's answer is older than what happened meanwhile."""

import asyncio
from collections.abc import Callable

import pytest

from bot.clock import SystemClock
from bot.core import texts
from bot.core.conversation import QueuedThreads, ThreadKey
from bot.errors import StoreError
from bot.services.thread_statuses import ThreadStatuses
from bot.store.queue.producers import QuestionQueue
from tests.clocks import WITHIN_S
from tests.services.answering import RecordedStatuses

THREAD = ThreadKey("T1", "C1", "1.1")


class QueueWithLooks(QuestionQueue):
    """Says what each look finds, one after the other, and then nothing."""

    def __init__(self, *found: QueuedThreads | Exception) -> None:
        self._found: list[QueuedThreads | Exception] = [*found, QueuedThreads((), frozenset(), frozenset())]
        self.at_an_answer: Callable[[], object] = lambda: None
        """Happens while a look finds that something is answered."""

    async def queued_threads(self, team_id: str) -> QueuedThreads:
        found = self._found.pop(0) if len(self._found) > 1 else self._found[0]
        if isinstance(found, Exception):
            raise found
        if found.answered:
            self.at_an_answer()
        return found


QUEUED = QueuedThreads((THREAD,), frozenset(), frozenset())
ANSWERED = QueuedThreads((), frozenset({THREAD}), frozenset())


@pytest.mark.skips_waits
async def test_status_of_an_answer_that_ends_during_a_look_at_the_queue_is_removed() -> None:
    pane, queue = RecordedStatuses(), QueueWithLooks(ANSWERED)
    statuses = ThreadStatuses(pane, queue, SystemClock(), THREAD.team_id)
    queue.at_an_answer = lambda: statuses.ended(THREAD)
    assert await statuses.confirmed(THREAD, texts.STATUS_THINKING, WITHIN_S)
    statuses.follow(THREAD)
    async with asyncio.timeout(WITHIN_S):
        assert [await pane.sent.get(), await pane.sent.get()] == [texts.STATUS_THINKING, ""]


@pytest.mark.skips_waits
async def test_place_in_the_queue_is_removed_by_the_end_of_a_short_answer_whose_claim_a_look_found_first() -> None:
    pane, queue = RecordedStatuses(), QueueWithLooks(QUEUED, ANSWERED)
    statuses = ThreadStatuses(pane, queue, SystemClock(), THREAD.team_id)

    def answer() -> None:
        statuses.answering(THREAD, texts.STATUS_THINKING)
        statuses.ended(THREAD)

    queue.at_an_answer = lambda: asyncio.get_running_loop().call_soon(answer)
    statuses.follow(THREAD)
    async with asyncio.timeout(WITHIN_S):
        assert [await pane.sent.get(), await pane.sent.get()] == [texts.status_queued(1), ""]


@pytest.mark.skips_waits
async def test_place_in_the_queue_is_shown_after_a_look_that_failed() -> None:
    pane, queue = RecordedStatuses(), QueueWithLooks(StoreError("away"), ValueError("unforeseen"), QUEUED)
    statuses = ThreadStatuses(pane, queue, SystemClock(), THREAD.team_id)
    statuses.follow(THREAD)
    async with asyncio.timeout(WITHIN_S):
        assert await pane.sent.get() == texts.status_queued(1)
