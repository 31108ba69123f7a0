"""Creates schedules in a chaos run. Each is due once while faults are injected, and asks a different question."""

import asyncio
import random
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import sqlalchemy as sa

from benchmarks.invariants import AskedQuestion
from benchmarks.message_recorder import MessageRecorder
from benchmarks.question_plan import CHANNELS, EDITED_NUMBER, PlannedQuestion, Thread
from bot.clock import SystemClock
from bot.core.schedules import Proposal, Rule
from bot.store.database import Database, connected
from bot.store.schedules import ScheduleStore
from bot.store.schema import schedules
from slack_sandbox.workspace import TEAM_ID, Workspace

FIRST_NUMBER = 5_000
"""The number of the first schedule's question. Other questions have lower ones, or 10,000 more."""
RUN_NUMBERS = range(FIRST_NUMBER, EDITED_NUMBER)
WORDS, WORDS_PER_S = (20, 200), 60


def plan_schedules(rng: random.Random, number: int, minutes: float) -> list[PlannedQuestion]:
    """Returns the questions of so many schedules, with the times at which they are due."""
    return [
        PlannedQuestion(
            FIRST_NUMBER + n,
            rng.uniform(2.0, minutes * 60),
            Thread(FIRST_NUMBER + n, CHANNELS[n % len(CHANNELS)], ("ada",)),
            "ada",
            rng.randint(*WORDS),
            WORDS_PER_S,
        )
        for n in range(number)
    ]


@dataclass(frozen=True)
class Scheduled:
    """The schedules of a run."""

    url: str
    recorder: MessageRecorder
    created: Mapping[int, PlannedQuestion]
    """What each asks, by its id."""

    @classmethod
    async def create(
        cls, url: str, workspace: Workspace, recorder: MessageRecorder, planned: Sequence[PlannedQuestion]
    ) -> "Scheduled":
        """Creates a schedule for each question."""
        created, now = {}, time.time()
        async with connected(url) as engine:
            store = ScheduleStore(Database(engine, SystemClock()))
            for plan in planned:
                channel, user = workspace.channel(plan.thread.channel), workspace.user(plan.person)
                proposal = Proposal(plan.text, Rule("UTC", at=now + plan.at_s))
                schedule_id = await store.create(TEAM_ID, channel.id, user.id, proposal)
                assert schedule_id is not None
                created[schedule_id] = plan
        return cls(url, recorder, created)

    async def posted(self, within_s: float) -> list[AskedQuestion]:
        """Waits until each schedule has its post, at most `within_s`; returns the posts as questions."""
        until = time.monotonic() + within_s
        while len(self._posts()) < len(self.created) and time.monotonic() < until:  # noqa: ASYNC110 - the bot posts
            await asyncio.sleep(0.5)
        asked = [(self.created[schedule_id_of(run_id)], post) for run_id, post in self.recorder.run_posts]
        return [AskedQuestion(plan, post.channel, post.ts, post.ts, time.monotonic()) for plan, post in asked]

    async def violations(self) -> list[str]:
        """Returns one sentence for each schedule that was lost, posted more than once, or paused."""
        async with connected(self.url) as engine, engine.connect() as connection:
            rows = await connection.execute(sa.select(schedules.c.id, schedules.c.paused))
            paused = {row.id: row.paused for row in rows}
        return list(self._violations(paused))

    def _violations(self, paused: Mapping[int, str]) -> Iterator[str]:
        posts = self._posts()
        for schedule_id, plan in self.created.items():
            if (times := posts[schedule_id]) != 1:
                yield f"schedule {schedule_id} (q{plan.number}) was posted {times} times"
            if paused.get(schedule_id) != "":
                yield f"schedule {schedule_id} (q{plan.number}) is paused: {paused.get(schedule_id)}"

    def _posts(self) -> Counter[int]:
        return Counter(schedule_id_of(run_id) for run_id, _ in self.recorder.run_posts)


def schedule_id_of(run_id: str) -> int:
    """Returns the schedule that a run's id names."""
    return int(run_id.split(":")[1])
