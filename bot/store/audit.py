"""Stores the audit: adds, reads and erases its entries.

An entry is written in the transaction of the change that it records, so neither exists without the other. Entries never
change, except that erasure empties the fields that identify people, and retention deletes the oldest. Anyone who can
write to the database can also add entries, so auditors need an export kept by somebody else (security.md).
"""

import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from bot.core import audit
from bot.core.audit import TEXTS, Entry, EntryKind, Subject
from bot.core.conversation import Question, is_direct_message
from bot.store.database import Operations, reads, writes
from bot.store.rows import verbatim_condition
from bot.store.schema import AUDIT_HAS_BY, audit_entries, jobs, tool_calls, turns

_SUBJECT = ("user_id", "channel_id", "thread_ts", "ts", "arguments_hash")


async def append(connection: AsyncConnection, now: float, entries: Iterable[Entry]) -> None:
    rows = [
        {
            "at": now,
            "kind": entry.kind.value,
            "team_id": entry.team_id,
            "job_id": entry.job_id,
            "facts": audit.canonical_json(entry.facts),
            **{name: getattr(entry.subject, name) for name in _SUBJECT},
            "by_id": entry.actor_id,
        }
        for entry in entries
    ]
    if rows:
        await connection.execute(sa.insert(audit_entries), rows)


async def record_setting(
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
    """Records that a person changed a setting, in the same transaction as the change. `facts`: the new value as JSON,
    without names or text. `user_id`: the person that the setting concerns, if any."""
    # A direct message's channel identifies a person.
    subject = Subject(user_id or (by if is_direct_message(channel_id) else ""), channel_id)
    await append(connection, now, [Entry(EntryKind.SETTING, {"setting": setting, **facts}, team_id, None, subject, by)])


def job_entry(
    row: sa.Row[Any], kind: EntryKind, facts: Mapping[str, Any], arguments_hash: str = "", by: str = ""
) -> Entry:
    subject = Subject(row.user_id, row.channel_id, row.thread_ts, row.ts or "", arguments_hash)
    return Entry(kind, facts, row.team_id, row.id, subject, by)


async def erase_subjects(connection: AsyncConnection, *which: sa.ColumnElement[bool]) -> None:
    await connection.execute(sa.update(audit_entries).where(*which).values(dict.fromkeys(_SUBJECT, "")))


async def erase_person(connection: AsyncConnection, user_id: str | None) -> None:
    """Clears the fields that identify a person, or everybody if `user_id` is None, as the subject or author of
    entries."""
    await erase_subjects(connection, audit_entries.c.user_id == user_id if user_id else sa.true())
    by_them = audit_entries.c.by_id == user_id if user_id else sa.true()
    await connection.execute(sa.update(audit_entries).where(by_them, verbatim_condition(AUDIT_HAS_BY)).values(by_id=""))


class Audit(Operations):
    @writes
    async def record_identity(
        self, connection: AsyncConnection, question: Question, job_id: int, receiver: str, sent_fields: Sequence[str]
    ) -> None:
        facts = {"to": receiver, "sent": list(sent_fields)}
        entry = Entry(EntryKind.IDENTITY, facts, question.thread.team_id, job_id, audit.subject_of(question))
        await append(connection, self._now(), [entry])

    @reads
    async def first_id_since(self, connection: AsyncConnection, since: float) -> int | None:
        # Several processes write at the same time, so times and IDs aren't in exactly the same order.
        first = sa.select(sa.func.min(audit_entries.c.id)).where(audit_entries.c.at >= since)
        found: int | None = await connection.scalar(first)
        return found

    @reads
    async def page(
        self, connection: AsyncConnection, first: int, limit: int, *, texts: bool = False, user_id: str = ""
    ) -> list[dict[str, Any]]:
        """Returns audit entries in export format, starting from the ID `first`. `texts`: whether to include stored
        text. `user_id`: if given, includes only entries about or by this person, and text only for entries about
        them."""
        entries = sa.select(audit_entries).where(audit_entries.c.id >= first).order_by(audit_entries.c.id).limit(limit)
        if user_id:
            entries = entries.where(sa.or_(audit_entries.c.user_id == user_id, audit_entries.c.by_id == user_id))
        rows = (await connection.execute(entries)).all()
        lines = [_exported_entry(row) for row in rows]
        if not texts:
            return lines
        said = await entry_texts(connection, rows)
        return [
            line | {TEXTS: these} if these and user_id in ("", row.user_id) else line
            for row, line, these in zip(rows, lines, said, strict=True)
        ]

    @reads
    async def count_ended_sign_ins(
        self, connection: AsyncConnection, team_id: str, since: float, until: float
    ) -> Counter[str]:
        """Returns how many sign-ins to each MCP server weren't renewed, and therefore ended, between two times."""
        changes = sa.select(audit_entries.c.facts).where(
            audit_entries.c.at >= since,
            audit_entries.c.at < until,
            audit_entries.c.team_id == team_id,
            audit_entries.c.kind == EntryKind.SETTING.value,
        )
        changed = map(json.loads, await connection.scalars(changes))
        return Counter(facts["server"] for facts in changed if facts.get("account") == "ended")


def _exported_entry(row: sa.Row[Any]) -> dict[str, Any]:
    subject = Subject(row.user_id, row.channel_id, row.thread_ts, row.ts, row.arguments_hash)
    of_place = {"team": row.team_id or None, "job": row.job_id}
    line = {**of_place, **json.loads(row.facts), **subject.exported_fields, "by": row.by_id or None}
    given = {name: value for name, value in line.items() if value is not None}
    return {"id": row.id, "at": audit.time_text(row.at), "kind": row.kind, **given}


async def entry_texts(connection: AsyncConnection, rows: Sequence[sa.Row[Any]]) -> list[dict[str, Any]]:
    """Returns each entry's text: the newest text of a question, an answer, or the arguments and result of a call."""
    job_ids = {row.job_id for row in rows if row.job_id is not None}
    by_key: dict[tuple[Any, ...], dict[str, Any]] = {}
    for job in await connection.execute(sa.select(jobs.c.id, jobs.c.text).where(jobs.c.id.in_(job_ids))):
        by_key[EntryKind.QUESTION.value, job.id] = _non_empty(question=job.text)
    for turn in await connection.execute(sa.select(turns).where(turns.c.job_id.in_(job_ids))):
        by_key[EntryKind.ANSWER.value, turn.job_id, turn.created_at, turn.end_reason] = _non_empty(answer=turn.answer)
    for call in await connection.execute(sa.select(tool_calls).where(tool_calls.c.job_id.in_(job_ids))):
        # A row is a tuple, which has a method named index.
        key = EntryKind.CALL.value, call.job_id, call.version, call.step_no, call._mapping["index"]
        by_key[key] = _non_empty(arguments=json.loads(call.arguments or "null"), result=call.result)
    return [by_key.get(_text_key(row), {}) for row in rows]


def _text_key(row: sa.Row[Any]) -> tuple[Any, ...]:
    facts = json.loads(row.facts)
    match row.kind:
        case EntryKind.ANSWER:
            # A turn and its entry have the same time.
            return row.kind, row.job_id, row.at, facts["end"]
        case EntryKind.CALL | EntryKind.DECISION:
            return EntryKind.CALL.value, row.job_id, facts.get("version"), facts.get("step"), facts.get("index")
    return row.kind, row.job_id


def _non_empty(**texts: Any) -> dict[str, Any]:
    return {name: text for name, text in texts.items() if text}
