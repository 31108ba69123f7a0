"""Stop, pressed at random moments: how soon no more text comes and the vendor's stream is closed.

python -m benchmarks.stops [--seed N]

One process on SQLite, then two on PostgreSQL, where a press reaches either of them. Exits 1 where a stop took longer
than a second, where an answer was left hanging, or where what it used is not on record.

Questions come one after the other, some 20 a minute: each answer needs two of the 50 edits that Slack allows in a
minute, its first words and its end, so that nobody can show more than 25 in time.
"""

import argparse
import asyncio
import math
import random
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import sqlalchemy as sa

from benchmarks.databases import Engine, database
from benchmarks.fleet import Fleet
from benchmarks.vendor import NumberedWords, question
from bot.core import texts
from bot.core.reply.actions import ReplyAction
from bot.store.schema import jobs, turns
from sandbox.server import Sandbox
from sandbox.workspace import Message

STOPS = 50
GAPS_S = (1.5, 4.5)
"""From one question to the next."""
WORDS, WORDS_PER_S, FIRST_WORD_S = 600, 40, 0.5
LATEST_S = 6.0
LIMIT_S = 1.0
HANGING_S = 5.0
SETTLED_S = 2.0
MOST_EDITS = 2
"""The one that was under way at the press, and the final."""
CHANNELS = ("general", "random", "project-x")


@dataclass(frozen=True)
class Stopped:
    """One stop, in seconds from the press."""

    last_edit_s: float
    """To the moment from which readers saw the last change; infinite where it was left hanging."""
    hung_up_s: float | None
    """To the vendor's connection closed; None where the model was not asked by then."""
    edits: int
    """Changes that readers saw after the press."""


@dataclass(frozen=True)
class Result:
    """A run's."""

    name: str
    stopped: Sequence[Stopped]
    elsewhere: int
    """Presses that reached another process than the one that wrote the answer."""
    unsettled: int
    """Jobs that are not on record as stopped, or whose model was asked and no tokens are."""
    limited: int
    """Calls that Slack answered with 429."""

    @property
    def good(self) -> bool:
        return not (self.slow or self.hanging or self.unsettled or self.limited or self.most_edits > MOST_EDITS)

    @property
    def slow(self) -> int:
        """Stops that took longer than they may, in either way."""
        return sum(max(each.last_edit_s, each.hung_up_s or 0.0) > LIMIT_S for each in self.stopped)

    @property
    def hanging(self) -> int:
        """Stops after which Slack showed an answer that grows, or the vendor was listened to, for seconds."""
        return sum(math.inf in (each.last_edit_s, each.hung_up_s) for each in self.stopped)

    @property
    def most_edits(self) -> int:
        return max(each.edits for each in self.stopped)

    @property
    def edits_s(self) -> list[float]:
        return sorted(each.last_edit_s for each in self.stopped)

    @property
    def hung_ups_s(self) -> list[float]:
        return sorted(each.hung_up_s for each in self.stopped if each.hung_up_s is not None)


async def measure(name: str, engine: Engine, processes: int, chooser: random.Random) -> Result:
    """All stops, each at its time."""
    with tempfile.TemporaryDirectory() as directory:
        folder = Path(directory)
        async with (
            Sandbox() as sandbox,
            NumberedWords(WORDS_PER_S, FIRST_WORD_S) as model,
            database(engine, folder) as kept,
        ):
            fleet = Fleet(folder, _environment(sandbox, model, kept.url))
            try:
                for _ in range(processes):
                    await fleet.start()
                await asyncio.sleep(SETTLED_S)
                stopping = []
                for number in range(STOPS):
                    wait_s = chooser.uniform(0, LATEST_S)
                    stopping.append(asyncio.create_task(_stop(sandbox, model, number, wait_s)))
                    await asyncio.sleep(chooser.uniform(*GAPS_S))
                stopped = await asyncio.gather(*stopping)
                await asyncio.sleep(SETTLED_S)
                unsettled = await asyncio.to_thread(_unsettled, kept.url)
                limited = sum(call.error == "ratelimited" for call in sandbox.calls)
            finally:
                fleet.kill()
            logs = [bot.log.read_text() for bot in fleet.bots]
    return Result(name, stopped, _elsewhere(logs), unsettled, limited)


async def _stop(sandbox: Sandbox, model: NumberedWords, number: int, wait_s: float) -> Stopped:
    """Asks, waits from the placeholder on, and presses."""
    channel = CHANNELS[number % len(CHANNELS)]
    asked = await sandbox.say("ada", channel, f"@typist {question(number, WORDS)}")
    (reply,) = await sandbox.wait_for(lambda: _replies(sandbox, channel, asked), 20)
    await asyncio.sleep(wait_s)
    pressed_s, seen = time.monotonic(), len(sandbox.revisions(channel, reply.ts))
    was_asked = number in model.said_at_s
    if not await sandbox.client("ada").press(channel, reply.ts, ReplyAction.STOP.value):
        return Stopped(math.inf, None, 0)
    give_up_s = pressed_s + HANGING_S
    while _growing(_replies(sandbox, channel, asked)[0]) and time.monotonic() < give_up_s:  # noqa: ASYNC110 - polled
        await asyncio.sleep(0.01)
    await asyncio.sleep(LIMIT_S + SETTLED_S)
    after = sandbox.revisions(channel, reply.ts)[seen:]
    if _growing(_replies(sandbox, channel, asked)[0]) or not after:
        return Stopped(math.inf, None, len(after))
    hung_up_s = model.hung_up_at_s.get(number, math.inf if was_asked else None)
    return Stopped(after[-1].at_s - pressed_s, hung_up_s and hung_up_s - pressed_s, len(after))


def _replies(sandbox: Sandbox, channel: str, asked: str) -> list[Message]:
    return [message for message in sandbox.messages(channel, asked) if message.user_id == sandbox.bot_user_id]


def _growing(message: Message) -> bool:
    return any(sign in str(message.sent_blocks) for sign in (texts.THINKING, texts.WRITING))


def _unsettled(url: str) -> int:
    engine = sa.create_engine(url.replace("postgresql://", "postgresql+psycopg://", 1))
    found = sa.select(jobs.c.end_reason, turns.c.model, turns.c.output_tokens, turns.c.cost_usd).outerjoin_from(
        jobs, turns
    )
    with engine.connect() as connection:
        rows = connection.execute(found).all()
    engine.dispose()
    settled = [
        row for row in rows if row.end_reason == "stopped" and (row.model is None or row.output_tokens is not None)
    ]
    return STOPS - len(settled)


def _elsewhere(logs: Sequence[str]) -> int:
    """By what each process says of presses, and of answers that it broke off."""
    pressed = [_ids(log, ": action stop by") for log in logs]
    broken_off = [_ids(log, ": canceled: stopped") for log in logs]
    return sum(len(theirs - ours) for theirs, ours in zip(pressed, broken_off, strict=True))


def _ids(log: str, words: str) -> set[str]:
    return {line.partition(words)[0].rpartition("job ")[2] for line in log.splitlines() if words in line}


def _environment(sandbox: Sandbox, model: NumberedWords, database_url: str) -> dict[str, str]:
    return {
        "SLACK_BOT_TOKEN": sandbox.bot_token,
        "SLACK_APP_TOKEN": sandbox.app_token,
        "BOT_SLACK_API_URL": sandbox.api_url,
        "OPENAI_BASE_URL": model.url,
        "BOT_MODELS": "openai/numbered",
        "BOT_MAX_CONCURRENT_PER_USER": "1000",
        "DATABASE_URL": database_url,
    }


def show(result: Result) -> None:
    """Three lines."""
    sys.stdout.write(
        f"{result.name}: {len(result.stopped)} stops, {result.elsewhere} pressed at another process; "
        f"{result.slow} over {LIMIT_S:g} s, {result.hanging} hanging, {result.unsettled} not settled; "
        f"most edits after a press {result.most_edits}; {result.limited} calls with 429\n"
        f"  to the last edit                      {_spread(result.edits_s)}\n"
        f"  to the vendor's connection closed{len(result.hung_ups_s):4} {_spread(result.hung_ups_s)}\n"
    )
    sys.stdout.flush()


def _spread(values: Sequence[float]) -> str:
    return f"p50 {_percentile(values, 0.5):.2f}, p95 {_percentile(values, 0.95):.2f}, max {values[-1]:.2f} s"


def _percentile(values: Sequence[float], share: float) -> float:
    return values[math.ceil(len(values) * share) - 1]


async def main() -> int:
    """The exit code."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.stops", description=__doc__)
    parser.add_argument("--seed", type=int, default=random.randrange(10_000))
    seed = parser.parse_args().seed
    sys.stdout.write(f"seed {seed}\n")
    chooser = random.Random(seed)
    results = []
    for name, engine, processes in (("one process, SQLite", "sqlite", 1), ("two, PostgreSQL", "postgresql", 2)):
        results.append(await measure(name, engine, processes, chooser))  # type: ignore[arg-type]
        show(results[-1])
    return 0 if all(result.good for result in results) else 1


if __name__ == "__main__":
    sys.exit(asyncio.run(main()))
