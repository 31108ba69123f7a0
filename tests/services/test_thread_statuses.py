"""Statuses of threads, where the database's answer is older than what happened meanwhile."""

import asyncio

from bot.clock import SystemClock
from bot.core import texts
from bot.core.conversation import QueuedThreads, ThreadKey
from bot.services.thread_statuses import ThreadStatuses
from bot.store.queue.producers import QuestionQueue
from tests.clocks import WITHIN_S
from tests.services.answering import NoPane

THREAD = ThreadKey("T1", "C1", "1.1")


class RecordedStatuses(NoPane):
    """Keeps the statuses that Slack is sent."""

    def __init__(self) -> None:
        self.sent: asyncio.Queue[str] = asyncio.Queue()

    async def set_status(self, thread: ThreadKey, status: str) -> None:
        self.sent.put_nowait(status)


class QueueOfAnEnd(QuestionQueue):
    """Answers that something is answered in the thread; by the time it says so, that has ended."""

    def __init__(self) -> None:
        self.statuses: list[ThreadStatuses] = []

    async def queued_threads(self, team_id: str) -> QueuedThreads:
        self.statuses[0].ended(THREAD)
        return QueuedThreads((), frozenset({THREAD}), frozenset())


async def test_status_of_an_answer_that_ends_during_a_look_at_the_queue_is_removed() -> None:
    pane, queue = RecordedStatuses(), QueueOfAnEnd()
    statuses = ThreadStatuses(pane, queue, SystemClock(), THREAD.team_id)
    queue.statuses.append(statuses)
    assert await statuses.confirmed(THREAD, texts.STATUS_THINKING, WITHIN_S)
    statuses.follow(THREAD)
    async with asyncio.timeout(WITHIN_S):
        assert [await pane.sent.get(), await pane.sent.get()] == [texts.STATUS_THINKING, ""]
