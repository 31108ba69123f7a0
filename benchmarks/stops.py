"""Measures how fast Stop works: presses it at random moments and times the last edit and the vendor's stream.

python -m benchmarks.stops [--seed N]

One process on SQLite, then two on PostgreSQL, where either of them may get the press. Exits with 1 if a stop takes
longer than a second, an answer is left unfinished, or its usage isn't recorded.

About 20 questions a minute are asked. Each answer needs two of the 50 edits that Slack allows in a minute, for its
first words and its end, so Slack allows 25 answers a minute at most.
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
from benchmarks.numbered_model import NumberedModel, question
from benchmarks.process import connected_to
from bot.core import texts
from bot.core.reply.actions import ReplyAction
from bot.store.schema import jobs, turns
from sandbox.server import Sandbox
from sandbox.workspace import Message

STOPS = 50
GAPS_S = (1.5, 4.5)
"""Seconds between two questions, from and to."""
WORDS, WORDS_PER_S, FIRST_WORD_S = 600, 40, 0.5
LATEST_PRESS_S = 6.0
LIMIT_S = 1.0
UNFINISHED_S = 5.0
SETTLED_S = 2.0
MAX_EDITS = 2
"""The edit that was in progress at the press, and the final one."""
CHANNELS = ("general", "random", "project-x")


@dataclass(frozen=True)
class Stopped:
    """One stop. Times are seconds since the press."""

    last_edit_s: float
    """When readers saw the last change; infinite if the answer was left unfinished."""
    hung_up_s: float | None
    """When the vendor's connection was closed; None if the model hadn't been asked at the press."""
    edits: int
    """Number of edits that readers saw after the press."""


@dataclass(frozen=True)
class StopsResult:
    """The result of one run."""

    name: str
    stopped: Sequence[Stopped]
    elsewhere: int
    """Presses that reached a process other than the one that was writing the answer."""
    unsettled: int
    """Jobs that aren't recorded as stopped, or whose tokens aren't recorded although a model was asked."""
    limited: int
    """Calls that got 429."""

    @property
    def meets_targets(self) -> bool:
        """Returns whether every stop met its targets."""
        return not (self.slow or self.unfinished or self.unsettled or self.limited or self.most_edits > MAX_EDITS)

    @property
    def slow(self) -> int:
        """Returns how many stops missed the time limit, for the last edit or for the vendor's stream."""
        return sum(max(stop.last_edit_s, stop.hung_up_s or 0.0) > LIMIT_S for stop in self.stopped)

    @property
    def unfinished(self) -> int:
        """Returns how many stops left the reply growing, or the vendor's stream open, beyond the wait."""
        return sum(math.inf in (stop.last_edit_s, stop.hung_up_s) for stop in self.stopped)

    @property
    def most_edits(self) -> int:
        return max(stop.edits for stop in self.stopped)

    @property
    def edits_s(self) -> list[float]:
        return sorted(stop.last_edit_s for stop in self.stopped)

    @property
    def hung_ups_s(self) -> list[float]:
        return sorted(stop.hung_up_s for stop in self.stopped if stop.hung_up_s is not None)


async def measure(name: str, engine: Engine, processes: int, rng: random.Random) -> StopsResult:
    """Asks and stops all answers, and returns the figures."""
    with tempfile.TemporaryDirectory() as directory:
        folder = Path(directory)
        async with (
            Sandbox() as sandbox,
            NumberedModel(WORDS_PER_S, FIRST_WORD_S) as model,
            database(engine, folder) as store,
        ):
            fleet = Fleet(folder, _environment(sandbox, model, store.url))
            try:
                for _ in range(processes):
                    await fleet.start()
                await asyncio.sleep(SETTLED_S)
                stopping = []
                for number in range(STOPS):
                    wait_s = rng.uniform(0, LATEST_PRESS_S)
                    stopping.append(asyncio.create_task(_stop(sandbox, model, number, wait_s)))
                    await asyncio.sleep(rng.uniform(*GAPS_S))
                stopped = await asyncio.gather(*stopping)
                await asyncio.sleep(SETTLED_S)
                unsettled = await asyncio.to_thread(_unsettled, store.url)
                limited = sum(call.error == "ratelimited" for call in sandbox.calls)
            finally:
                fleet.kill()
            logs = [bot.log.read_text() for bot in fleet.bots]
    return StopsResult(name, stopped, _elsewhere(logs), unsettled, limited)


async def _stop(sandbox: Sandbox, model: NumberedModel, number: int, wait_s: float) -> Stopped:
    """Asks, waits `wait_s` from the placeholder on, and presses Stop."""
    channel = CHANNELS[number % len(CHANNELS)]
    asked = await sandbox.say("ada", channel, f"@typist {question(number, WORDS)}")
    (reply,) = await sandbox.wait_for(lambda: _replies(sandbox, channel, asked), 20)
    await asyncio.sleep(wait_s)
    pressed_s, revisions_before = time.monotonic(), len(sandbox.revisions(channel, reply.ts))
    was_asked = number in model.sent_at_s
    if not await sandbox.client("ada").press(channel, reply.ts, ReplyAction.STOP.value):
        return Stopped(math.inf, None, 0)
    give_up_s = pressed_s + UNFINISHED_S
    while _growing(_replies(sandbox, channel, asked)[0]) and time.monotonic() < give_up_s:  # noqa: ASYNC110 - polled
        await asyncio.sleep(0.01)
    await asyncio.sleep(LIMIT_S + SETTLED_S)
    after = sandbox.revisions(channel, reply.ts)[revisions_before:]
    if _growing(_replies(sandbox, channel, asked)[0]) or not after:
        return Stopped(math.inf, None, len(after))
    hung_up_s = model.hung_up_at_s.get(number, math.inf if was_asked else None)
    return Stopped(after[-1].at_s - pressed_s, hung_up_s and hung_up_s - pressed_s, len(after))


def _replies(sandbox: Sandbox, channel: str, asked: str) -> list[Message]:
    return [message for message in sandbox.messages(channel, asked) if message.user_id == sandbox.bot_user_id]


def _growing(message: Message) -> bool:
    return any(note in str(message.sent_blocks) for note in (texts.THINKING, texts.WRITING))


def _unsettled(url: str) -> int:
    engine = sa.create_engine(url.replace("postgresql://", "postgresql+psycopg://", 1))
    query = sa.select(jobs.c.end_reason, turns.c.model, turns.c.output_tokens, turns.c.cost_usd).outerjoin_from(
        jobs, turns
    )
    with engine.connect() as connection:
        rows = connection.execute(query).all()
    engine.dispose()
    settled = [
        row for row in rows if row.end_reason == "stopped" and (row.model is None or row.output_tokens is not None)
    ]
    return STOPS - len(settled)


def _elsewhere(logs: Sequence[str]) -> int:
    """Counts presses logged by one process of answers that another one canceled."""
    pressed = [_ids(log, ": action stop by") for log in logs]
    canceled = [_ids(log, ": canceled: stopped") for log in logs]
    return sum(len(theirs - ours) for theirs, ours in zip(pressed, canceled, strict=True))


def _ids(log: str, words: str) -> set[str]:
    return {line.partition(words)[0].rpartition("job ")[2] for line in log.splitlines() if words in line}


def _environment(sandbox: Sandbox, model: NumberedModel, database_url: str) -> dict[str, str]:
    return {
        **connected_to(sandbox),
        "OPENAI_BASE_URL": model.url,
        "BOT_MODELS": "openai/numbered",
        "BOT_MAX_CONCURRENT_PER_USER": "1000",
        "DATABASE_URL": database_url,
    }


def show(result: StopsResult) -> None:
    """Prints the figures of one run in three lines."""
    sys.stdout.write(
        f"{result.name}: {len(result.stopped)} stops, {result.elsewhere} pressed at another process; "
        f"{result.slow} over {LIMIT_S:g} s, {result.unfinished} unfinished, {result.unsettled} not recorded; "
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
    """Measures both deployments and returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.stops", description=__doc__)
    parser.add_argument("--seed", type=int, default=random.randrange(10_000))
    seed = parser.parse_args().seed
    sys.stdout.write(f"seed {seed}\n")
    rng = random.Random(seed)
    results = []
    for name, engine, processes in (("one process, SQLite", "sqlite", 1), ("two, PostgreSQL", "postgresql", 2)):
        results.append(await measure(name, engine, processes, rng))  # type: ignore[arg-type]
        show(results[-1])
    return 0 if all(result.meets_targets for result in results) else 1


if __name__ == "__main__":
    sys.exit(asyncio.run(main()))
