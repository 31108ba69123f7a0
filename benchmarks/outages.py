"""Simulates outages: for ten minutes or three hours, people ask questions that no bot can receive.

Run by `python -m benchmarks.chaos --outages`. Everything runs in one process, whose loop skips idle waits, and the
bots' clock says that hours have passed. The database, Slack's Web API and its sockets are real. Events during an outage
are lost. There are three types of outages: all bots are down, Slack is unreachable, or Slack's connections are open but
silent. The bots that come back meet further faults: rate limits, slow calls, failures, and crashes while they catch up.
Afterwards, Slack delivers some of the events after all.

Each question must have exactly one reply: an answer, or an offer if it is old or others have replied; deleted ones have
none. Batched questions share one.
"""

import asyncio
import random
from collections import Counter
from contextlib import AsyncExitStack
from dataclasses import dataclass, field, replace
from enum import StrEnum
from pathlib import Path

from benchmarks.databases import Database, Engine, database
from bot.core import texts
from bot.retry import CONNECTION
from bot.settings import Settings
from slack_sandbox.server import Sandbox
from tests.fast import FastClock
from tests.scenarios.conftest import manifest, running, says, settings_of, shown
from tests.streams.server import VendorServer

AWAY_S = (600.0, 10_800.0)
ANSWERED_WITHIN_S = 7_200.0
"""Older questions are offered an answer (services/catching_up.py)."""
OUTAGES = 6
QUESTIONS = (3, 10)
"""How many questions are asked in an outage, from and to."""
PEOPLE = ("ada", "alan")
COLLEAGUE = "grace"
CHANNELS = ("general", "random", "project-x")
ANSWER = "Because."
BACK_WITHIN_S = 30.0
"""The limit for the first reply after a return without further faults."""
SETTLED_S = 120.0
GIVE_UP_S = 900.0


class Kind(StrEnum):
    """What makes an outage."""

    DOWN = "all processes down"
    UNREACHABLE = "Slack unreachable"
    SILENT = "sockets up and silent"


class Fate(StrEnum):
    """What happens to a question during the outage."""

    PLAIN = "plain"
    EDITED = "edited"
    DELETED = "deleted"
    REPLIED = "replied to"


@dataclass(frozen=True)
class Asked:
    """A question that was asked during an outage."""

    channel: str
    ts: str
    fate: Fate
    away_s: float

    @property
    def is_offered(self) -> bool:
        return self.away_s > ANSWERED_WITHIN_S or self.fate is Fate.REPLIED


class ToldClock(FastClock):
    """Shows the loop's time plus `ahead_s`."""

    ahead_s = 0.0

    def now(self) -> float:
        return super().now() + self.ahead_s


@dataclass
class Outages:
    """One run."""

    sandbox: Sandbox
    settings: Settings
    store: Database
    chooser: random.Random
    clock: ToldClock = field(default_factory=ToldClock)
    asked: list[Asked] = field(default_factory=list)
    events: list[str] = field(default_factory=list)
    violations: list[str] = field(default_factory=list)

    async def run(self) -> None:
        """Goes through all outages, and checks the replies after each."""
        await self._up_for(10)
        for _ in range(OUTAGES):
            kind, away_s = self.chooser.choice(list(Kind)), self.chooser.choice(AWAY_S)
            before = len(self.asked)
            if kind is Kind.DOWN:
                await self._lose(away_s)
                first_s = await self._return(has_faults=self.chooser.random() < 0.5)
            else:
                first_s = await self._through(kind, away_s)
            figure = "with faults" if first_s is None else f"first reply after {first_s:.1f} s"
            self.events.append(f"{kind}, {away_s / 60:.0f} min: {len(self.asked) - before} questions, {figure}")
            # A bot that lost its connections waits up to 30 s for the next.
            within_s = BACK_WITHIN_S + (CONNECTION.backoff.max_s if kind is Kind.UNREACHABLE else 0)
            if first_s is not None and first_s > within_s:
                self.violations.append(f"{kind}: the first reply came {first_s:.1f} s after the return")
            await self._check()
        jobs = await self.store.jobs()
        self.events.append(f"replies: {dict(Counter(job.state for job in jobs))}")

    async def _up_for(self, seconds: float) -> None:
        async with running(self.settings, self.clock):
            await asyncio.sleep(seconds)

    async def _return(self, *, has_faults: bool) -> float | None:
        """Starts bots after an outage, and waits for all replies. Returns how long the first reply took, in seconds.

        None if the bots met further faults.
        """
        if has_faults:
            fault = self.chooser.choice(("rate_limit", "slow", "error_500"))
            self.sandbox.faults.start(fault, method="conversations.history", times=3)
            await self._up_for(self.chooser.uniform(1, 12))
            self._pass(self.chooser.uniform(30, 90))
        async with AsyncExitStack() as stack:
            began_s = asyncio.get_running_loop().time()
            await stack.enter_async_context(running(self.settings, self.clock))
            if self.chooser.random() < 0.5:
                await stack.enter_async_context(running(self.settings, self.clock))
            first_s = await self._settled(began_s)
        return None if has_faults else first_s

    async def _through(self, kind: Kind, away_s: float) -> float | None:
        """Keeps bots running during an outage. Returns how long after it the first reply came, in seconds."""
        faults = self.sandbox.faults
        async with running(self.settings, self.clock):
            await asyncio.sleep(10)
            if kind is Kind.UNREACHABLE:
                faults.start("unavailable")
                faults.start("error_500")
                faults.start("drop_socket")
            await self._lose(away_s)
            await asyncio.sleep(60)
            began_s = asyncio.get_running_loop().time()
            faults.stop("unavailable")
            faults.stop("error_500")
            if kind is Kind.SILENT:
                # The first event that Slack delivers again.
                await self.sandbox.say(COLLEAGUE, "general", "Is Slack back?")
            return await self._settled(began_s)

    async def _lose(self, away_s: float) -> None:
        """Has people ask while all events are lost, and lets the time pass."""
        self.sandbox.faults.start("silent")
        for _ in range(self.chooser.randint(*QUESTIONS)):
            self.asked.append(await self._ask(away_s))
            self._pass(0.1)
        self._pass(away_s)
        self.sandbox.faults.stop("silent")

    def _pass(self, seconds: float) -> None:
        self.clock.ahead_s += seconds
        self.sandbox.workspace.set_time(self.clock.now())

    async def _ask(self, away_s: float) -> Asked:
        person, fate = self.chooser.choice(PEOPLE), self.chooser.choice(list(Fate))
        self.sandbox.workspace.set_time(self.clock.now())
        if self.chooser.random() < 0.3:
            channel, thread, mention = self.sandbox.dm(person), None, ""
            fate = Fate.PLAIN if fate is Fate.REPLIED else fate
        else:
            channel, thread, mention = self.chooser.choice(CHANNELS), None, "@typist "
            if self.chooser.random() < 0.4:
                thread = await self.sandbox.say(COLLEAGUE, channel, "Look at this.")
        ts = await self.sandbox.say(person, channel, f"{mention}why is that?", thread)
        if fate is Fate.EDITED:
            await self.sandbox.edit(channel, ts, f"{mention}why is this?")
        elif fate is Fate.DELETED:
            await self.sandbox.delete(channel, ts)
        elif fate is Fate.REPLIED:
            await self.sandbox.say(COLLEAGUE, channel, "I know why.", thread or ts)
        return Asked(self.sandbox.workspace.channel(channel).id, ts, fate, away_s)

    async def _settled(self, began_s: float) -> float:
        """Waits until all questions have ended on record and late events are over. Returns when the first reply came.

        Slack delivers some of the lost events after all. Those of deleted and edited messages stay lost.
        """
        loop = asyncio.get_running_loop()
        replies, first_s = len(self._replies()), 0.0
        wanted = {asked.ts for asked in self.asked if asked.fate is not Fate.DELETED}
        while loop.time() < began_s + GIVE_UP_S:
            if not first_s and len(self._replies()) > replies:
                first_s = loop.time() - began_s
            if wanted <= {job.ts for job in await self.store.jobs() if job.state not in ("queued", "running")}:
                break
            await asyncio.sleep(0.5)
        plain = {asked.ts for asked in self.asked if asked.fate in (Fate.PLAIN, Fate.REPLIED)}
        for delivery in list(self.sandbox.deliveries):
            is_lost = delivery.acked_at_s is None and delivery.payload["event"].get("ts") in plain
            if is_lost and self.chooser.random() < 0.7:
                self.sandbox.sockets.redeliver(delivery)
        await asyncio.sleep(SETTLED_S)
        return first_s

    def _replies(self) -> dict[str, str]:
        """Returns what readers see of the bot's messages, by channel and ts."""
        workspace, bot = self.sandbox.workspace, self.sandbox.bot_user_id
        return {
            f"{channel} {message.ts}": shown(message)
            for channel in workspace.channels
            for message in workspace.messages(channel)
            if message.user_id == bot
        }

    async def _check(self) -> None:
        """Compares the replies with the questions."""
        jobs = {(job.channel, job.ts): job for job in await self.store.jobs()}
        replies = self._replies()
        pages: list[str] = []
        for asked in self.asked:
            job = jobs.pop((asked.channel, asked.ts), None)
            name = f"question {asked.ts} in {asked.channel} ({asked.fate}, {asked.away_s / 60:.0f} min)"
            if (job is None) is not (asked.fate is Fate.DELETED):
                self.violations.append(f"{name}: {'never found' if job is None else 'asked although it is gone'}")
            if job is None or job.answered_with:
                continue
            shown_pages = [f"{asked.channel} {ts}" for ts in job.page_ts]
            pages += shown_pages
            words = [replies.get(page, "") for page in shown_pages]
            expected = texts.answers.late_offer(asked.ts) if asked.is_offered else ANSWER
            if words != [expected]:
                self.violations.append(f"{name}: {words} instead of {expected!r}")
        self.violations += [f"{page}: a message that belongs to no reply" for page in set(replies) - set(pages)]
        self.violations += [f"message {ts} in {channel} was no question" for channel, ts in jobs]


async def outages(seed: int, engine: Engine, folder: Path) -> tuple[list[str], list[str]]:
    """Returns the figures and the violations of a run. Runs in a FastLoop (tests/fast.py)."""
    loop = asyncio.get_running_loop()
    async with (
        Sandbox(manifest=manifest(), monotonic=loop.time, seed=seed) as sandbox,
        VendorServer() as vendor,
        database(engine, folder) as store,
    ):
        vendor.script(says(ANSWER))
        settings = replace(
            settings_of(sandbox, vendor),
            database_url=store.url,
            done_mention_s=0,
            max_concurrent_per_user=100,
            welcome=False,
        )
        run = Outages(sandbox, settings, store, random.Random(seed))
        await run.run()
        # Faults limit conversations.history.
        limited = {call.method for call in sandbox.calls if call.error == "ratelimited"} - {"conversations.history"}
        run.violations += [f"{method} was rate limited" for method in limited]
        return run.events, run.violations
