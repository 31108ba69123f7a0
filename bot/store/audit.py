"""The audit in the database: entries, the chain that seals them, and what erasure and retention leave of it.

Entries are written in the transaction of what they record, so neither is ever there without the other. They are not
chained there: a chain needs one order, and on PostgreSQL all transactions would have to wait for each other's commit.
Instead, any process seals what has been committed (`Audit.seal`), every few seconds and before each export. Sealers
take turns. An entry's number is its place in the chain; entries of transactions at the same moment may be sealed in
another order than they were written. What is not sealed yet can still be changed without a trace.

Erasure empties the fields that name people. Their digests stay, and so does the chain (core/audit.py). Retention
removes entries from the oldest on, so that the rest is a chain; the newest stays, because the next one follows it.
"""

import json
import secrets
from collections.abc import Iterable, Mapping
from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from bot.core import audit
from bot.core.audit import NO_HASH, TEXTS, Entry, Kind, Subject
from bot.core.conversation import is_direct
from bot.store.audit_texts import texts_of
from bot.store.database import Operations, reads, writes
from bot.store.postgresql import one_at_a_time
from bot.store.schema import AUDIT_HAS_BY, audit_entries, jobs

MAX_SEALED = 200
"""In one transaction, which holds up SQLite's other writers for some milliseconds."""
MAX_DROPPED = 100
SALT_BYTES = 16

ASKED: tuple[sa.Column[Any], ...] = (
    jobs.c.id,
    jobs.c.team_id,
    jobs.c.channel_id,
    jobs.c.thread_ts,
    jobs.c.ts,
    jobs.c.user_id,
)
"""The columns of a job that `entry_of` needs."""
_SUBJECT = ("user_id", "channel_id", "thread_ts", "ts", "arguments_hash", "user_salt")
_SEALED = {
    audit_entries.c.no: sa.bindparam("new_no", type_=sa.BigInteger),
    audit_entries.c.previous: sa.bindparam("new_previous", type_=sa.Text),
    audit_entries.c.hash: sa.bindparam("new_hash", type_=sa.Text),
}


async def append(connection: AsyncConnection, now: float, entries: Iterable[Entry]) -> None:
    """Writes entries in the transaction of what they record."""
    rows = [_values(entry, now) for entry in entries]
    if rows:
        await connection.execute(sa.insert(audit_entries), rows)


async def setting_changed(
    connection: AsyncConnection,
    now: float,
    setting: str,
    facts: Mapping[str, Any],
    *,
    by: str,
    team_id: str = "",
    channel_id: str = "",
    user_id: str = "",
) -> None:
    """Writes that a person changed a setting, in the transaction of the change.

    `facts` say what it is now, as JSON without names and texts; `user_id` is the person that it is about, if any.
    """
    # A direct message's channel is as good as a name.
    subject = Subject(user_id or (by if is_direct(channel_id) else ""), channel_id)
    await append(connection, now, [Entry(Kind.SETTING, {"setting": setting, **facts}, team_id, None, subject, by)])


def entry_of(row: sa.Row[Any], kind: Kind, facts: Mapping[str, Any], arguments_hash: str = "", by: str = "") -> Entry:
    """Returns an entry about a job; `row` has the columns ASKED."""
    subject = Subject(row.user_id, row.channel_id, row.thread_ts, row.ts, arguments_hash)
    return Entry(kind, facts, row.team_id, row.id, subject, by)


async def erase_subjects(connection: AsyncConnection, *which: sa.ColumnElement[bool]) -> None:
    """Makes entries forget whom and what they are about."""
    await connection.execute(sa.update(audit_entries).where(*which).values(dict.fromkeys(_SUBJECT, "")))


async def erase_person(connection: AsyncConnection, user_id: str | None) -> None:
    """Makes entries forget a person, or everybody: those about them, and who acted in those by them."""
    await erase_subjects(connection, audit_entries.c.user_id == user_id if user_id else sa.true())
    by_them = audit_entries.c.by_id == user_id if user_id else sa.true()
    # In the words of the partial index, or no database would use it.
    has_by: sa.ColumnElement[bool] = sa.literal_column(f"({AUDIT_HAS_BY})")
    await connection.execute(sa.update(audit_entries).where(by_them, has_by).values(by_id="", by_salt=""))


class Audit(Operations):
    """Seals and reads the audit's entries, and removes the oldest."""

    async def seal(self) -> int:
        """Chains the entries that have been committed; returns how many."""
        sealed = 0
        while await self._has_unsealed():
            count = await self._seal_some()
            sealed += count
            if count < MAX_SEALED:
                # Others are being written or erased at this moment. The next time is theirs.
                break
        return sealed

    @reads
    async def newest(self, connection: AsyncConnection) -> tuple[int, str]:
        """Returns the number and the hash of the newest sealed entry; 0 and "" if there is none."""
        return await _newest(connection)

    @reads
    async def first_since(self, connection: AsyncConnection, since: float) -> int | None:
        """Returns the number of the first sealed entry that is not older than `since`; None if all are."""
        numbers = sa.select(audit_entries.c.no).where(audit_entries.c.no.is_not(None), audit_entries.c.at >= since)
        # In the chain's order, the search ends at the first; the others are most of the table.
        return await connection.scalar(numbers.order_by(audit_entries.c.no).limit(1))

    @reads
    async def page(
        self, connection: AsyncConnection, first: int, limit: int, *, texts: bool = False
    ) -> list[dict[str, Any]]:
        """Returns sealed entries from a number on, as they are exported; with the `texts` that are still stored."""
        sealed = sa.select(audit_entries).where(audit_entries.c.no >= first).order_by(audit_entries.c.no).limit(limit)
        rows = (await connection.execute(sealed)).all()
        lines = [_line(row, row.no, row.previous) | {"hash": row.hash} for row in rows]
        if not texts:
            return lines
        said = await texts_of(connection, rows)
        return [line | {TEXTS: these} if these else line for line, these in zip(lines, said, strict=True)]

    async def expire(self, before: float) -> int:
        """Removes sealed entries older than `before` (seconds since the epoch), oldest first; returns how many."""
        newest, _ = await self.newest()
        first_kept = await self.first_since(before) or newest
        dropped = 0
        while count := await self._drop(first_kept):
            dropped += count
        return dropped

    @reads
    async def _has_unsealed(self, connection: AsyncConnection) -> bool:
        return bool(await connection.scalar(sa.select(sa.exists().where(audit_entries.c.no.is_(None)))))

    @writes
    async def _seal_some(self, connection: AsyncConnection) -> int:
        await one_at_a_time(connection, "audit")
        # Erasure may hold rows of many entries, and wait for others. They are sealed after it.
        unsealed = sa.select(audit_entries).where(audit_entries.c.no.is_(None)).order_by(audit_entries.c.id)
        rows = (await connection.execute(unsealed.limit(MAX_SEALED).with_for_update(skip_locked=True))).all()
        newest, previous = await _newest(connection)
        sealed = []
        for no, row in enumerate(rows, newest + 1):
            new_hash = audit.hash_of(_line(row, no, previous))
            sealed.append({"entry_id": row.id, "new_no": no, "new_previous": previous, "new_hash": new_hash})
            previous = new_hash
        if sealed:
            this = audit_entries.c.id == sa.bindparam("entry_id", type_=sa.BigInteger)
            await connection.execute(sa.update(audit_entries).where(this).values(_SEALED), sealed)
        return len(sealed)

    @writes
    async def _drop(self, connection: AsyncConnection, first_kept: int) -> int:
        """Removes some of the entries before this number, from the oldest on: the rest must be one chain."""
        oldest = await connection.scalar(sa.select(sa.func.min(audit_entries.c.no)))
        before = min(first_kept, (oldest or first_kept) + MAX_DROPPED)
        return (await connection.execute(sa.delete(audit_entries).where(audit_entries.c.no < before))).rowcount


async def _newest(connection: AsyncConnection) -> tuple[int, str]:
    sealed = sa.select(audit_entries.c.no, audit_entries.c.hash).where(audit_entries.c.no.is_not(None))
    row = (await connection.execute(sealed.order_by(audit_entries.c.no.desc()).limit(1))).one_or_none()
    return (row.no, row.hash) if row else (0, NO_HASH)


def _values(entry: Entry, now: float) -> dict[str, Any]:
    opened, by = entry.subject.opened, {"by": entry.by} if entry.by else {}
    user_salt, by_salt = (secrets.token_hex(SALT_BYTES) if fields else "" for fields in (opened, by))
    return {
        "at": now,
        "kind": entry.kind.value,
        "team_id": entry.team_id,
        "job_id": entry.job_id,
        "facts": audit.canonical(entry.facts),
        "user_id": entry.subject.user_id,
        "channel_id": entry.subject.channel_id,
        "thread_ts": entry.subject.thread_ts,
        "ts": entry.subject.ts,
        "arguments_hash": entry.subject.arguments_hash,
        "user_salt": user_salt,
        "user_digest": audit.digest(user_salt, opened) if opened else "",
        "by_id": entry.by,
        "by_salt": by_salt,
        "by_digest": audit.digest(by_salt, by) if by else "",
    }


def _line(row: sa.Row[Any], no: int, previous: str) -> dict[str, Any]:
    """Returns an entry as it is exported, without its hash. What is empty or erased is left out."""
    subject = Subject(row.user_id, row.channel_id, row.thread_ts, row.ts, row.arguments_hash)
    line = {
        "team": row.team_id or None,
        "job": row.job_id,
        **json.loads(row.facts),
        **subject.opened,
        "by": row.by_id or None,
        "user_salt": row.user_salt or None,
        "user_digest": row.user_digest or None,
        "by_salt": row.by_salt or None,
        "by_digest": row.by_digest or None,
    }
    given = {name: value for name, value in line.items() if value is not None}
    return {"no": no, "at": audit.time_text(row.at), "kind": row.kind, **given, "previous": previous}
