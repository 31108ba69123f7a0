"""Claims jobs and sees each to its end: one at a time in a thread, many threads at once."""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from dataclasses import replace

from bot.core.conversation import Job, Question
from bot.errors import TypistError
from bot.ports import Clock, Replies, Store

MAX_CONCURRENT = 200
POLL_S = 1.0
"""A wake-up is a hint; this finds what no wake-up told of."""
HEARTBEAT_S = 1.0
DRAIN_S = 25.0
"""Live answers get this long to end; platforms kill 30 s after SIGTERM."""
FAREWELL_S = 2.0
"""What did not end in time gets this long to say so."""

log = logging.getLogger(__name__)


class Worker:
    """`answer` sees one job to its end."""

    def __init__(self, store: Store, replies: Replies, clock: Clock, answer: Callable[[Job], Awaitable[None]]) -> None:
        self._store = store
        self._replies = replies
        self._clock = clock
        self._answer = answer
        self._live: dict[int, tuple[Job, asyncio.Task[None]]] = {}
        self._announcements: dict[int, asyncio.Task[tuple[str, ...]]] = {}
        self._wake = asyncio.Event()
        self._stopping = False

    def wake(self) -> None:
        """There may be a job to claim."""
        self._wake.set()

    def announce(self, job_id: int, question: Question) -> None:
        """A job waits for another one of its thread; its asker is to see so."""
        self._announcements[job_id] = asyncio.create_task(self._replies.announce(job_id, question))
        self.wake()

    async def run(self) -> None:
        """Claims and answers until stopped; live answers go on then, for `drain` to wait for."""
        while not self._stopping:
            self._wake.clear()
            await self._claim()
            await self._pause()

    def stop(self) -> None:
        """Claims no more. A claim under way is let end: its jobs are ours."""
        self._stopping = True
        self.wake()

    async def drain(self, at_once: asyncio.Event) -> None:
        """Waits for live answers to end; those that do not in time, or before `at_once` is set, say so and end."""
        tasks = [task for _, task in self._live.values()]
        if not tasks:
            return
        log.info("waiting up to %.0f s for %d answers to end", DRAIN_S, len(tasks))
        ended = asyncio.gather(*tasks, return_exceptions=True)
        hurried = asyncio.create_task(at_once.wait())
        await asyncio.wait((ended, hurried), timeout=DRAIN_S, return_when=asyncio.FIRST_COMPLETED)
        hurried.cancel()
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks, timeout=FAREWELL_S)

    async def _claim(self) -> None:
        free = MAX_CONCURRENT - len(self._live)
        if free <= 0:
            return
        try:
            jobs = await self._store.claim(free)
        except TypistError as error:
            log.error("no job could be claimed: %s", error)
            return
        for job in jobs:
            task = asyncio.create_task(self._see_to(job))
            self._live[job.id] = (job, task)

    async def _see_to(self, job: Job) -> None:
        try:
            announcement = self._announcements.pop(job.id, None)
            if announcement is not None:
                job = replace(job, page_ts=await announcement)
            await self._answer(job)
        except Exception:
            log.exception("job %d was not seen to its end", job.id)
        finally:
            del self._live[job.id]
            self.wake()

    async def _pause(self) -> None:
        try:
            await asyncio.wait_for(self._wake.wait(), POLL_S)
        except TimeoutError:
            return

    async def heartbeat(self) -> None:
        """Says that our jobs are alive; lets go of those that are no longer ours. Until cancelled."""
        while True:
            await self._clock.sleep(HEARTBEAT_S)
            jobs = [job for job, _ in self._live.values()]
            if not jobs:
                continue
            try:
                ours = await self._store.heartbeat(jobs)
            except TypistError as error:
                log.error("no heartbeat: %s", error)
                continue
            for job in jobs:
                if job.id not in ours and job.id in self._live:
                    log.warning("job %d is no longer ours", job.id)
                    self._live[job.id][1].cancel()
