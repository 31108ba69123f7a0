"""Databases for benchmarks: a SQLite file or a PostgreSQL server that can be restarted, cut off or frozen."""

import asyncio
import json
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import psycopg
import sqlalchemy as sa

from bot.clock import SystemClock
from bot.core.channel_settings import ChannelSettings
from bot.core.job import ANSWER_ROLES, ts_of
from bot.core.outbox import OutboxKind
from bot.store.audit import Audit
from bot.store.channel_settings import ChannelSettingsStore
from bot.store.database import Database as StoreDatabase
from bot.store.database import connected
from bot.store.rows import messages_of
from bot.store.schema import charges, jobs, outbox_entries, tool_calls, turns
from slack_sandbox.workspace import TEAM_ID
from tests.contracts.databases import PostgresqlServer, server

Engine = Literal["sqlite", "postgresql"]


@dataclass(frozen=True)
class RecordedJob:
    """A job as the database has it."""

    channel: str
    ts: str
    """The question's ts."""
    state: str
    """The end reason, or the status of a live job."""
    attempts: int
    page_ts: tuple[str, ...]
    answer: str | None
    """The answer of the last turn, or None."""
    created_at: float
    """Seconds since the epoch."""
    started_at: float | None = None
    """Time of the last claim, in seconds since the epoch."""
    answered_with: str | None = None
    """The ts of the later question that it was batched with."""
    version: int = 0
    """The version of the answer: 0 for the first."""
    text: str = ""
    """The question's text."""
    is_unshown: bool = False
    """The outbox still has to show its end, or to remove messages beside it."""
    output_tokens: int = 0
    """What all attempts at all versions of the answer have used."""
    interruptions: int = 0
    """How often an attempt at its newest version was interrupted, by its process or by its model."""


@dataclass(frozen=True)
class CallRow:
    """A call of a tool as the database has it."""

    channel: str
    question_ts: str
    version: int
    """The version of the answer that asked for it."""
    arguments: Mapping[str, Any]
    """Empty if the answer was deleted."""
    is_write: bool
    """Whether no admin declared its tool read-only."""
    state: str
    begun: bool
    decision: str | None = None
    """What a person decided about it."""
    ended_at: float | None = None
    """Seconds since the epoch."""
    step_no: int = 0
    index: int = 0

    @property
    def decided(self) -> bool:
        return self.decision is not None

    @property
    def key(self) -> tuple[str, str, int, int, int]:
        """Names the call among all."""
        return self.channel, self.question_ts, self.version, self.step_no, self.index

    @property
    def token(self) -> str:
        return str(self.arguments.get("token", ""))


@dataclass
class Database:
    """A SQLite file, which is always available."""

    url: str
    outages: list[tuple[float, float]] = field(default_factory=list)
    """When it was unavailable: start and end in monotonic seconds."""

    async def jobs(self) -> list[RecordedJob]:
        """Returns all jobs, oldest first."""
        return await asyncio.to_thread(_read_jobs, self.url)

    async def tool_calls(self) -> list[CallRow]:
        """Returns all calls of tools, in the order in which models asked for them."""
        return await asyncio.to_thread(_read_calls, self.url)

    async def size_bytes(self) -> int:
        """Returns the size of its data."""
        files = Path(self.url.removeprefix("sqlite:///")).parent.glob("typist.db*")
        return sum(file.stat().st_size for file in files)


_CUT = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid <> pg_backend_pid() AND usename = current_user"


@dataclass(kw_only=True)
class Postgresql(Database):
    """A PostgreSQL server for one benchmark."""

    server: PostgresqlServer
    _outage_lock: asyncio.Lock = field(default_factory=asyncio.Lock)

    async def size_bytes(self) -> int:
        """Returns the size of all its tables and indexes."""
        [(size,)] = await asyncio.to_thread(_executed, self.url, "SELECT pg_database_size(current_database())")
        return int(size)

    async def restart(self, away_s: float, *, crash: bool = False) -> None:
        """Stops the server, cleanly or as by a crash, and starts it again after `away_s`."""
        async with self._outage():
            await asyncio.to_thread(self.server.stop, "immediate" if crash else "fast")
            await asyncio.sleep(away_s)
            await asyncio.to_thread(self.server.start)

    async def cut(self) -> None:
        """Terminates all connections, as an administrator or a failing network does."""
        async with self._outage():
            await asyncio.to_thread(_executed, self.url, _CUT)

    async def freeze(self, for_s: float) -> None:
        """Freezes the server for a while: connections stay open and nothing answers."""
        async with self._outage():
            with self.server.standing_still():
                await asyncio.sleep(for_s)

    @asynccontextmanager
    async def _outage(self) -> AsyncIterator[None]:
        async with self._outage_lock:
            began_s = time.monotonic()
            yield
            self.outages.append((began_s, time.monotonic()))


@asynccontextmanager
async def database(engine: Engine, folder: Path) -> AsyncIterator[Database]:
    """Yields a new database: a file that stays in the folder, or a server that is stopped and removed."""
    if engine == "sqlite":
        yield Database(f"sqlite:///{folder}/typist.db")
        return
    with server() as started:
        # The data need not survive a power cut, and syncing would slow other work down.
        _executed(started.url, "ALTER SYSTEM SET fsync = off")
        _executed(started.url, "SELECT pg_reload_conf()")
        yield Postgresql(started.url, server=started)


async def audit_entries(url: str) -> list[dict[str, Any]]:
    """Returns the audit's entries as they are exported."""
    async with connected(url) as engine:
        return await Audit(StoreDatabase(engine, SystemClock())).page(1, 1_000_000)


async def write_settings(url: str, settings: Mapping[str, ChannelSettings]) -> None:
    """Writes the settings of channels, by the channel's ID."""
    async with connected(url) as engine:
        store = ChannelSettingsStore(StoreDatabase(engine, SystemClock()))
        for channel_id, own in settings.items():
            await store.write(TEAM_ID, channel_id, own)


def _executed(url: str, statement: str) -> list[Any]:
    """Runs a statement outside of a transaction, and returns its rows."""
    with psycopg.connect(url, autocommit=True) as connection:
        cursor = connection.execute(statement.encode())
        return cursor.fetchall() if cursor.description else []


def _read_jobs(url: str) -> list[RecordedJob]:
    newest_turn_first = sa.select(turns.c.answer).where(turns.c.job_id == jobs.c.id).order_by(turns.c.id.desc())
    answer = newest_turn_first.limit(1).correlate(jobs).scalar_subquery()
    output_tokens = sa.select(sa.func.sum(charges.c.output_tokens)).where(charges.c.job_id == jobs.c.id).correlate(jobs)
    later = jobs.alias()
    answered_with = sa.select(later.c.ts).where(later.c.id == jobs.c.answered_with).correlate(jobs).scalar_subquery()
    unshown = sa.exists().where(outbox_entries.c.job_id == jobs.c.id, outbox_entries.c.kind == OutboxKind.REPLY.value)
    columns = (
        jobs.c.channel_id.label("channel"),
        jobs.c.ts,
        sa.func.coalesce(jobs.c.end_reason, jobs.c.status).label("state"),
        jobs.c.attempts,
        jobs.c.created_at,
        jobs.c.started_at,
        answer.label("answer"),
        answered_with.label("answered_with"),
        jobs.c.version,
        jobs.c.text,
        unshown.label("is_unshown"),
        sa.cast(sa.func.coalesce(output_tokens.scalar_subquery(), 0), sa.Integer).label("output_tokens"),
        jobs.c.interruptions,
    )
    rows = _rows(url, sa.select(*columns, jobs.c.messages).order_by(jobs.c.id))
    names = [column.name for column in columns]
    return [
        RecordedJob(**{name: row._mapping[name] for name in names}, page_ts=ts_of(messages_of(row), *ANSWER_ROLES))
        for row in rows
    ]


def _read_calls(url: str) -> list[CallRow]:
    of_job = tool_calls.join(jobs, jobs.c.id == tool_calls.c.job_id)
    columns = (jobs.c.channel_id, jobs.c.ts, tool_calls)
    rows = _rows(url, sa.select(*columns).select_from(of_job).order_by(tool_calls.c.id))
    return [
        CallRow(
            row.channel_id,
            row.ts,
            row.version,
            json.loads(row.arguments or "{}"),
            not row.read_only,
            row.state,
            row.begun_at is not None,
            row.decision,
            row.ended_at,
            row.step_no,
            # A row is a tuple, and has a method of that name.
            row._mapping["index"],
        )
        for row in rows
    ]


def _rows(url: str, statement: sa.Select[Any]) -> Sequence[sa.Row[Any]]:
    engine = sa.create_engine(url.replace("postgresql://", "postgresql+psycopg://", 1))
    try:
        with engine.connect() as connection:
            return connection.execute(statement).all()
    finally:
        engine.dispose()
