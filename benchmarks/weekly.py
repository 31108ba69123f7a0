"""Measures how long the weekly report blocks the process: `python -m benchmarks.weekly [--database sqlite|postgresql]`.

A company's week: so many attempts in its 40 busy hours, at random, as many the week before, and so many thumbs. Then
the report is made, three times. While one turn of the event loop lasts, the process answers nobody else.

Prints the report, how long it took, and the longest turn. Exits with 1 if every report had a turn longer than
LONGEST_MS: other programs on the machine lengthen turns, too.
"""

import argparse
import asyncio
import random
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from benchmarks.databases import Engine, database
from bot.clock import SystemClock
from bot.core.caps import DAY_S, HOUR_S, day_of
from bot.core.schedules import parse_weekly_rule
from bot.errors import EndReason
from bot.services.admin_notices import AdminNotices
from bot.services.weekly_report import WeeklyReport
from bot.store import Stores
from bot.store.schema import charges, feedback, jobs, turns

LONGEST_MS = 50.0
REPORTS = 3
BATCH = 5_000
TEAM_ID = "T1"
DUE = "mon 9:00"
PEOPLE, CHANNELS = 4_000, 800
ENDS = [EndReason.WHOLE] * 18 + [EndReason.STOPPED, EndReason.OVERLOADED]
REASONS = (None, "wrong", "too_long", "not_meant")
_TURN = {"version": 0, "origins": []}
_SAID = {"text": "Why is that so?", "status": "ended", "end_reason": "whole", "team_id": TEAM_ID}


async def fill(stores: Stores, attempts: int, thumbs: int, end: int) -> None:
    """Writes two weeks, the thumbs in the second one. `end`: the day after them, counted from 1970-01-01."""
    rng = random.Random(1)
    async with stores.database.engine.begin() as connection:
        times = sorted(_time(rng, end - days) for days in (14, 7) for _ in range(attempts))
        for at in range(0, len(times), BATCH):
            rows = [_attempt(rng, id_, time_s) for id_, time_s in enumerate(times[at : at + BATCH], at + 1)]
            for table in (jobs, charges, turns):
                await connection.execute(sa.insert(table), [row[table.name] for row in rows])
        liked = rng.sample(range(attempts + 1, 2 * attempts + 1), thumbs)
        for at in range(0, thumbs, BATCH):
            given = [
                {"job_id": id_, "user_id": "U1", "value": value, "at": (end - 3.0) * DAY_S, "reason": reason}
                for id_ in liked[at : at + BATCH]
                for value in [rng.choice((1, 1, -1))]
                for reason in [rng.choice(REASONS) if value < 0 else None]
            ]
            await connection.execute(sa.insert(feedback), given)


def _time(rng: random.Random, first: int) -> float:
    """Returns a time in a busy hour of the week that begins with a day."""
    hour = rng.randrange(40)
    return (first + hour // 8) * DAY_S + (9 + hour % 8 + rng.random()) * HOUR_S


def _attempt(rng: random.Random, id_: int, at: float) -> Mapping[str, dict[str, Any]]:
    """Returns the rows of one attempt."""
    user = rng.randrange(PEOPLE)
    place = {"user_id": f"U{user}", "channel_id": f"D{user}" if rng.random() < 0.3 else f"C{rng.randrange(CHANNELS)}"}
    model, ts = rng.choice(("openai/one", "openai/two")), f"{at:.3f}{id_:06}"
    used = {"input_tokens": rng.randrange(200, 9_000), "output_tokens": rng.randrange(20, 900)}
    usd = None if rng.random() < 0.01 else rng.random() / 50
    turn = {"answer": "Because.", "end_reason": rng.choice(ENDS).value, "first_token_s": rng.lognormvariate(0, 1)}
    return {
        "jobs": {"id": id_, "thread_ts": ts, "ts": ts, "created_at": at, **place, **_SAID},
        "charges": {"job_id": id_, "team_id": TEAM_ID, "day": day_of(at), "model": model, "cost_usd": usd}
        | {**place, "id": id_, **used},
        "turns": {
            "job_id": id_,
            "version": 0,
            "origins": [],
            "charge_id": id_,
            "model": model,
            "created_at": at,
            **turn,
        },
    }


@contextmanager
def longest_turn() -> Iterator[list[float]]:
    """Yields a list with the longest turn of the event loop, in ms, as it is known so far."""
    longest, run = [0.0], asyncio.Handle._run

    def timed(handle: asyncio.Handle) -> None:
        began = time.perf_counter()
        run(handle)
        longest[0] = max(longest[0], 1_000 * (time.perf_counter() - began))

    asyncio.Handle._run = timed  # type: ignore[method-assign,assignment]
    try:
        yield longest
    finally:
        asyncio.Handle._run = run  # type: ignore[method-assign]


async def measure(engine: Engine, attempts: int, thumbs: int, folder: Path) -> bool:
    """Returns whether a report was made without a long turn."""
    longest_ms = []
    async with database(engine, folder) as opened:
        clock = SystemClock()
        stores = await Stores.open(opened.url, "benchmark", clock)
        now, rule = clock.now(), parse_weekly_rule(DUE)
        await fill(stores, attempts, thumbs, day_of(max(at for at in rule.next_times(now - 8 * DAY_S, 2) if at <= now)))

        async def is_direct(_: str) -> bool:
            return False

        async def nothing_retires() -> Sequence[str]:
            return ()

        for number in range(REPORTS):
            admins = AdminNotices(stores.notifications, TEAM_ID, [f"U{number}"])
            report = WeeklyReport(rule, stores, nothing_retires, admins, is_direct)
            began = time.perf_counter()
            with longest_turn() as longest:
                await report.check()
            took_ms = 1_000 * (time.perf_counter() - began)
            longest_ms += longest
            [due] = await stores.notifications.claim_due(1, ())
            print(f"{due.content['text']}\n\n" if not number else "", end="")
            print(f"report {number + 1}: {took_ms:,.0f} ms, longest turn {longest[0]:.1f} ms (at most {LONGEST_MS:g})")
        await stores.close()
    return min(longest_ms) <= LONGEST_MS


def main() -> int:
    parser = argparse.ArgumentParser(description="Measures that the weekly report holds up nobody.")
    parser.add_argument("--database", choices=["sqlite", "postgresql"], default="sqlite")
    parser.add_argument("--attempts", type=int, default=100_000)
    parser.add_argument("--thumbs", type=int, default=20_000)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="weekly-") as folder:
        return 0 if asyncio.run(measure(options.database, options.attempts, options.thumbs, Path(folder))) else 1


if __name__ == "__main__":
    sys.exit(main())
