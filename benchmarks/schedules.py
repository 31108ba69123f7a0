"""Checks that schedules in eight time zones run exactly once at each due time over a year.

Run: python -m benchmarks.schedules [--database sqlite|postgresql] [--days 366] [--seed 1]

Two processes look for due schedules in a real database, as the bot's outbox does, while simulated time runs fast. They
are killed (SIGKILL) at random moments and restarted, and sometimes both are down for up to three hours. Clocks step
forward and back, which a process notices when it is restarted. People pause and resume schedules.

The runs in the database are compared with due times that are found minute by minute of UTC, without the code that the
bot uses for that, and with the rules for what is missed: of several due times only the newest, and none older than an
hour. Prints figures and differences; exits with 1 if there is a difference.
"""

import argparse
import asyncio
import math
import multiprocessing
import os
import random
import sys
import tempfile
import time
from bisect import bisect_right
from collections.abc import Iterator, Mapping, MutableSequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import sqlalchemy as sa
from cronsim import CronSim

from benchmarks.databases import Engine, database
from bot.clock import Clock, SystemClock
from bot.core.schedules import GRACE_S, PauseReason, Proposal, Rule, run_id
from bot.errors import StoreError
from bot.store import Stores
from bot.store.database import create_engine
from bot.store.migrate import migrate
from bot.store.schema import jobs

ZONES = (
    "Europe/Berlin",
    "America/New_York",
    "Australia/Lord_Howe",  # By half an hour.
    "Pacific/Auckland",
    "America/St_Johns",
    "Africa/Casablanca",  # Back for Ramadan.
    "Asia/Kolkata",  # Never.
    "UTC",
)
OFTEN = ("0 * * * *", "*/20 1-3 * * *")
"""In the first three zones."""
RULES = (
    "30 2 * * *",
    "0,30 0-2 * * *",
    "45 1 * * SUN",
    "0 9 * * MON-FRI",
    "0 18 L * *",
    "30 8 * * MON#1,FRI#2",
    "5 0 1 */3 *",
    "0 2 29 2 *",
)
ONCE_DAYS = (20, 88, 94, 240, 277, 298)
"""In a run of a year, some of them are days on which clocks change."""
BEGINS = datetime(2027, 12, 31, 22, 7, tzinfo=UTC)
STEP_S = (120, 1140)
"""From one look to the next. Shorter than the shortest rule, so that only a time without looks misses anything.

If nothing is due for longer, the next look comes soon after something is.
"""
KILL_EVERY, AWAY_EVERY, PAUSE_EVERY, JUMP_EVERY = 200, 900, 500, 4000
"""In looks, on average."""
LOOKED_WITHIN_S = 60.0
Run = tuple[int, float]
"""A schedule and a due time."""


class SharedClock(SystemClock):
    """Shows the time that the benchmark sets, in all processes."""

    def __init__(self, shared: MutableSequence[float]) -> None:
        self._shared = shared

    def now(self) -> float:
        return self._shared[0]

    def anchored_at(self, now_s: float) -> Clock:
        return self


def look(url: str, shared: MutableSequence[float], name: str, index: int) -> None:
    """Looks for due schedules, as one process of the bot, and notes the times at which it has looked."""

    async def looking() -> None:
        stores, parent = await Stores.open(url, name, SharedClock(shared)), os.getppid()
        # Nobody stops it if the benchmark is killed.
        while os.getppid() == parent:
            at = shared[0]
            if shared[1 + index] != at:
                with suppress(StoreError):
                    await stores.schedules.begin_due()
                    shared[1 + index] = at
            await asyncio.sleep(0.0002)

    asyncio.run(looking())


@dataclass
class Looker:
    """A process that looks, and those that take its place."""

    url: str
    shared: MutableSequence[float]
    index: int
    started: int = 0
    process: multiprocessing.process.BaseProcess | None = None

    def start(self) -> None:
        self.started += 1
        name = f"looker-{self.index}-{self.started}"
        # Forked: starting Python would take longer than all its looks.
        context = multiprocessing.get_context("fork")
        self.process = context.Process(target=look, args=(self.url, self.shared, name, self.index), daemon=True)
        self.process.start()

    def kill(self) -> None:
        assert self.process is not None
        self.process.kill()
        self.process.join()
        self.process = None


@dataclass
class Expected:
    """What the rules say of one schedule, look by look."""

    due: list[float]
    is_once: bool
    looked_until: float
    is_paused: bool = False

    @property
    def next_at(self) -> float:
        """The first due time that wasn't looked at yet."""
        following = bisect_right(self.due, self.looked_until)
        return self.due[following] if following < len(self.due) else math.inf

    def look(self, now: float) -> float | None:
        """Returns the due time that a look must run, unless it was run before."""
        if self.is_paused or now <= self.looked_until:
            return None
        newest = bisect_right(self.due, now) - 1
        is_new = newest >= 0 and self.due[newest] > self.looked_until
        self.looked_until = now
        if not is_new:
            return None
        in_time = self.due[newest] >= now - GRACE_S
        # One that is missed for good is paused.
        self.is_paused = self.is_once and not in_time
        return self.due[newest] if in_time else None


@dataclass
class Year:
    """One simulated year."""

    stores: Stores
    lookers: list[Looker]
    shared: MutableSequence[float]
    rng: random.Random
    days: int
    expected: dict[int, Expected] = field(default_factory=dict)
    runs: set[Run] = field(default_factory=set)
    figures: dict[str, int] = field(default_factory=dict)

    def count(self, what: str) -> None:
        self.figures[what] = self.figures.get(what, 0) + 1

    async def create(self) -> None:
        """Creates all schedules."""
        now, ends = self.shared[0], self.shared[0] + (self.days + 10) * 86_400
        for zone in ZONES:
            crons = (*RULES, *(OFTEN if zone in ZONES[:3] else ()))
            minutes = list(minutes_of(zone, now - 86_400, ends))
            rules = [(Rule(zone, cron), due_times(cron, minutes)) for cron in crons]
            for day in ONCE_DAYS:
                at = (now // 60 + day * 1440 + self.rng.randrange(1440)) * 60
                rules.append((Rule(zone, at=at), [at]))
            for number, (rule, due) in enumerate(rules):
                channel = f"C{zone}{number // 15}"
                schedule_id = await self.stores.schedules.create("T1", channel, "U1", Proposal("Look.", rule))
                assert schedule_id is not None
                self.expected[schedule_id] = Expected([at for at in due if at > now], rule.at is not None, now)

    async def pass_by(self) -> None:
        """Lets the time pass until the year is over."""
        ends = self.shared[0] + self.days * 86_400
        while self.shared[0] < ends:
            # Before the time goes on: what was looked at until now is known.
            if self.rng.random() < 1 / AWAY_EVERY:
                await self.be_away()
            if self.rng.random() < 1 / JUMP_EVERY:
                await self.jump()
            now = self.shared[0]
            next_at = min(one.next_at for one in self.expected.values())
            self.shared[0] = max(now + self.rng.uniform(*STEP_S), next_at + self.rng.uniform(0, STEP_S[0]))
            if self.rng.random() < 1 / KILL_EVERY:
                self.restart(self.rng.choice(self.lookers))
            await self.looked()
            if self.rng.random() < 1 / PAUSE_EVERY:
                await self.pause_or_resume()

    async def looked(self) -> None:
        """Waits until both processes have looked at this time; one may be killed meanwhile, and is started again.

        If the time went on while one of them still looks, which takes it minutes of this year, the other would pass
        over what that one holds.
        """
        now = self.shared[0]
        killed = self.rng.choice(self.lookers) if self.rng.random() < 1 / KILL_EVERY else None
        if killed is not None:
            await asyncio.sleep(self.rng.uniform(0, 0.003))
            self.restart(killed)
        await self.all_looked()
        self.note(now)
        self.count("looks")

    def note(self, now: float) -> None:
        for schedule_id, expected in self.expected.items():
            due_at = expected.look(now)
            if due_at is not None:
                self.runs.add((schedule_id, due_at))

    def restart(self, looker: Looker) -> None:
        self.count("kills")
        looker.kill()
        looker.start()

    async def be_away(self) -> None:
        """Has no process look for up to three hours."""
        self.count("times without any process")
        await self.start_at(self.shared[0] + self.rng.uniform(600, 10_800))

    async def jump(self) -> None:
        """Has all processes start with a clock that is ahead, and again with the right one after some looks."""
        self.count("steps of the clock, forward and back")
        right = self.shared[0]
        await self.start_at(right + self.rng.choice((1_500, 5_000, 90_000, 700_000)))
        for _ in range(5):
            self.shared[0] += self.rng.uniform(*STEP_S)
            await self.looked()
        await self.start_at(right)
        # From here on, due times come again. Those that were run are not run again.
        for expected in self.expected.values():
            expected.looked_until = min(expected.looked_until, right)

    async def start_at(self, now: float) -> None:
        for looker in self.lookers:
            looker.kill()
        self.shared[:] = [now, 0.0, 0.0]
        for looker in self.lookers:
            looker.start()
        # Both correct due times when they look for the first time.
        await self.all_looked()
        self.note(now)

    async def all_looked(self) -> None:
        until = time.monotonic() + LOOKED_WITHIN_S
        while set(self.shared[1:]) != {self.shared[0]}:
            if time.monotonic() > until:
                raise TimeoutError("no process has looked")
            await asyncio.sleep(0.0002)

    async def pause_or_resume(self) -> None:
        """Pauses a schedule, or resumes one."""
        schedule_id, expected = self.rng.choice(list(self.expected.items()))
        now = self.shared[0]
        if expected.is_paused:
            expected.is_paused = not await self.stores.schedules.resume("T1", schedule_id, "U1")
            expected.looked_until = now
            self.count("resumed")
        elif await self.stores.schedules.pause("T1", schedule_id, PauseReason.BY_PERSON, "U1"):
            expected.is_paused = True
            self.count("paused")
        # No process that is forked later has this one's connections.
        await self.stores.database.engine.dispose()


def minutes_of(zone: str, begins: float, ends: float) -> Iterator[tuple[float, datetime, list[datetime]]]:
    """Yields each minute of UTC, what a clock on the wall shows then, and the times that it has just skipped."""
    info = ZoneInfo(zone)
    before = datetime.fromtimestamp(begins // 60 * 60 - 60, info).replace(tzinfo=None)
    for minute in range(int(begins // 60), int(ends // 60)):
        here = datetime.fromtimestamp(60 * minute, info)
        wall = here.replace(tzinfo=None, fold=0)
        skipped = int((wall - before) / timedelta(minutes=1)) - 1
        yield 60.0 * minute, here, [wall - timedelta(minutes=m) for m in range(1, skipped + 1)]
        before = wall


def due_times(cron: str, minutes: list[tuple[float, datetime, list[datetime]]]) -> list[float]:
    """Returns the due times of a rule, looking at each minute."""
    fields, parts = CronSim(cron, datetime(2027, 1, 1)), cron.split()
    goes_by_the_wall = parts[0].startswith("*") or parts[1].startswith("*")
    days: dict[date, bool] = {}

    def matches(wall: datetime) -> bool:
        if wall.minute not in fields.minutes or wall.hour not in fields.hours or wall.month not in fields.months:
            return False
        day = wall.date()
        if day not in days:
            days[day] = fields.match_day(day)
        return days[day]

    found = []
    for at, here, skipped in minutes:
        is_due = matches(here)
        if not goes_by_the_wall:
            is_due = here.fold == 0 and (is_due or any(map(matches, skipped)))
        if is_due:
            found.append(at)
    return found


async def differences(year: Year) -> list[str]:
    """Returns each run too many or too few, as a sentence."""
    async with year.stores.database.begin_read() as connection:
        rows = await connection.execute(sa.select(jobs.c.asked_as, sa.func.count()).group_by(jobs.c.asked_as))
        made: Mapping[str, int] = {row[0]: row[1] for row in rows}
    expected = {run_id(*run) for run in year.runs}
    # A time that is missed for good has a job, which tells people.
    told = {run_id(id_, one.due[0]) for id_, one in year.expected.items() if one.is_once and one.is_paused and one.due}
    lost = [f"{run} was not made" for run in sorted(expected - made.keys())]
    too_many = [f"{run} was made, and is not due" for run in sorted(made.keys() - expected - told)]
    multiplied = [f"{run} was made {times} times" for run, times in made.items() if times > 1]
    return [*lost, *too_many, *multiplied]


async def simulate(kind: Engine, folder: Path, days: int, seed: int) -> int:
    """Runs a year; returns the number of differences."""
    shared: MutableSequence[float] = multiprocessing.get_context("fork").Array(
        "d", [BEGINS.timestamp(), 0.0, 0.0], lock=False
    )
    async with database(kind, folder) as store:
        engine = create_engine(store.url)
        await migrate(engine)
        stores = Stores(engine, "people", SharedClock(shared))
        year = Year(stores, [Looker(store.url, shared, index) for index in range(2)], shared, random.Random(seed), days)
        began_s = time.monotonic()
        await year.create()
        await engine.dispose()
        for looker in year.lookers:
            looker.start()
        try:
            await year.pass_by()
        finally:
            for looker in year.lookers:
                looker.kill()
        found = await differences(year)
        await engine.dispose()
    ended = shared[0]
    due = sum(len([at for at in one.due if at <= ended]) for one in year.expected.values())
    print(
        f"{kind}, seed {seed}: {days} days in {len(ZONES)} zones, {len(year.expected)} schedules, {due} due times, "
        f"{len(year.runs)} runs; {time.monotonic() - began_s:.0f} s"
    )
    print("  " + ", ".join(f"{number} {what}" for what, number in sorted(year.figures.items())))
    print("  " + (f"{len(found)} differences" if found else "each run once, none lost, none multiplied"))
    for sentence in found[:20]:
        print(f"  {sentence}")
    return len(found)


def main() -> int:
    parser = argparse.ArgumentParser(description="Simulates a year of schedules and compares each run.")
    parser.add_argument("--database", choices=("postgresql", "sqlite"), default="sqlite")
    parser.add_argument("--days", type=int, default=366)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        return 1 if asyncio.run(simulate(options.database, Path(folder), options.days, options.seed)) else 0


if __name__ == "__main__":
    sys.exit(main())
