"""The audit: who asked, approved, changed and erased what, without texts.

An entry is exported as one line of JSON:

- **Facts** name nobody: times, models, tokens, costs, ends, tools, states.
- **Erasable fields**: the person and the place that an entry is about, with the hash of a call's arguments, which can
  be guessed if they are short (`Subject`); and the person who acted (`by`).

Entries are written in the transaction of what they record, so neither is ever there without the other. They are never
changed, except that erasure empties the fields that name people, and retention removes the oldest. Whoever can write to
the database can write anything, so proof for auditors is an export that somebody else keeps (docs/security.md).
"""

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from bot.core.calls import RecordedCall
from bot.core.conversation import Question, is_direct
from bot.core.job import Job
from bot.store.database import Operations, reads, writes
from bot.store.rows import in_words
from bot.store.schema import AUDIT_HAS_BY, audit_entries, jobs, tool_calls, turns


class Kind(StrEnum):
    """What an entry records."""

    QUESTION = "question"
    """A question was asked, or edited."""
    ANSWER = "answer"
    """An answer ended, or one of its attempts or steps, with what it used."""
    CALL = "call"
    """A call of a tool was asked for, begun, or is over."""
    DECISION = "decision"
    """A person decided about a call, or nobody did in time."""
    SETTING = "setting"
    ERASURE = "erasure"
    """Texts were deleted because a person wanted it."""


@dataclass(frozen=True, slots=True)
class Subject:
    """The person and the place that an entry is about."""

    user_id: str = ""
    channel_id: str = ""
    thread_ts: str = ""
    ts: str = ""
    """The question's."""
    arguments_hash: str = ""

    @property
    def opened(self) -> dict[str, str]:
        """The fields of an exported line."""
        values = (self.user_id, self.channel_id, self.thread_ts, self.ts, self.arguments_hash)
        return {name: value for name, value in zip(SUBJECT_FIELDS, values, strict=True) if value}


@dataclass(frozen=True, slots=True)
class Entry:
    """What the audit says of one event."""

    kind: Kind
    facts: Mapping[str, Any]
    team_id: str = ""
    job_id: int | None = None
    subject: Subject = field(default=Subject())
    by: str = ""
    """The person who decided, changed a setting or deleted; "" if it was nobody in Slack."""


SUBJECT_FIELDS = ("user", "channel", "thread", "ts", "arguments_sha256")
TEXTS = "texts"
"""The field with what was said, if it was asked for."""
_FIRST = ("id", "at", "kind", "team", "job", "user", "channel", "thread", "ts", "by")
_LAST = ("arguments_sha256", TEXTS)


def subject_of(question: Question, arguments_hash: str = "") -> Subject:
    """Returns who asked a question, and where."""
    thread = question.thread
    return Subject(question.user_id, thread.channel_id, thread.thread_ts or "", question.ts, arguments_hash)


def question_entry(question: Question, job_id: int, *, edited: bool = False) -> Entry:
    """Returns the entry of a question as it was asked or edited."""
    facts = {"bot": question.from_bot, "edited": edited, "files": len(question.files)}
    said = {name: value for name, value in facts.items() if value}
    return Entry(Kind.QUESTION, said, question.thread.team_id, job_id, subject_of(question))


def answer_entry(question: Question, job_id: int, turn: Mapping[str, Any]) -> Entry:
    """Returns the entry of an answer, an attempt or a step that ended, from its row in `turns` and its charge."""
    return Entry(Kind.ANSWER, answer_facts(turn), question.thread.team_id, job_id, subject_of(question))


def answer_facts(turn: Mapping[str, Any]) -> dict[str, Any]:
    """Returns how an answer ended, with its model and usage, from its row in `turns` and its charge."""
    names = ("model", "prompt_version", "input_tokens", "output_tokens", "cached_input_tokens", "web_searches")
    used = {name: turn[name] for name in names if turn.get(name)}
    cost = {} if turn.get("cost_usd") is None else {"cost_usd": turn["cost_usd"]}
    return {"end": turn["end_reason"], **used, **cost}


def call_entry(job: Job, call: RecordedCall) -> Entry:
    """Returns the entry of a call's state."""
    subject = subject_of(job.question, arguments_hash(call.arguments))
    facts = {"state": call.state.value, **call_facts(call, job.version)}
    return Entry(Kind.CALL, facts, job.question.thread.team_id, job.id, subject)


def call_facts(call: RecordedCall, version: int) -> dict[str, Any]:
    """Returns which call of an answer it is, with its tool if the model was offered that.

    Any other name is a text of the model, which `forget` couldn't remove from the audit.
    """
    tool = {"tool": call.tool} if call.definition_hash else {}
    return {**tool, "version": version, "step": call.step_no, "index": call.index}


def arguments_hash(arguments: Mapping[str, Any]) -> str:
    """Returns the SHA-256 of a call's arguments as canonical JSON."""
    return hashlib.sha256(canonical(arguments).encode("ascii")).hexdigest()


def canonical(value: Any) -> str:
    """Returns JSON in ASCII, with sorted keys and without spaces."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"))


def time_text(at: float) -> str:
    """Formats a time in UTC with its microseconds."""
    return f"{datetime.fromtimestamp(at, UTC):%Y-%m-%dT%H:%M:%S.%fZ}"


def written(line: Mapping[str, Any]) -> str:
    """Returns an entry as a line of JSON, its fields in a fixed order."""
    middle = sorted(line.keys() - {*_FIRST, *_LAST})
    order = [name for name in (*_FIRST, *middle, *_LAST) if name in line]
    return json.dumps({name: line[name] for name in order}, separators=(",", ":"))


MAX_DROPPED = 100
"""In one transaction, which holds up SQLite's other writers for some milliseconds."""

ASKED: tuple[sa.Column[Any], ...] = (
    jobs.c.id,
    jobs.c.team_id,
    jobs.c.channel_id,
    jobs.c.thread_ts,
    jobs.c.ts,
    jobs.c.user_id,
)
"""The columns of a job that `entry_of` needs."""
_SUBJECT = ("user_id", "channel_id", "thread_ts", "ts", "arguments_hash")


async def append(connection: AsyncConnection, now: float, entries: Iterable[Entry]) -> None:
    """Writes entries in the transaction of what they record."""
    rows = [
        {
            "at": now,
            "kind": entry.kind.value,
            "team_id": entry.team_id,
            "job_id": entry.job_id,
            "facts": canonical(entry.facts),
            **{name: getattr(entry.subject, name) for name in _SUBJECT},
            "by_id": entry.by,
        }
        for entry in entries
    ]
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
    subject = Subject(row.user_id, row.channel_id, row.thread_ts, row.ts or "", arguments_hash)
    return Entry(kind, facts, row.team_id, row.id, subject, by)


async def erase_subjects(connection: AsyncConnection, *which: sa.ColumnElement[bool]) -> None:
    """Makes entries forget whom and what they are about."""
    await connection.execute(sa.update(audit_entries).where(*which).values(dict.fromkeys(_SUBJECT, "")))


async def erase_person(connection: AsyncConnection, user_id: str | None) -> None:
    """Makes entries forget a person, or everybody: those about them, and who acted in those by them."""
    await erase_subjects(connection, audit_entries.c.user_id == user_id if user_id else sa.true())
    by_them = audit_entries.c.by_id == user_id if user_id else sa.true()
    await connection.execute(sa.update(audit_entries).where(by_them, in_words(AUDIT_HAS_BY)).values(by_id=""))


class Audit(Operations):
    """Reads the audit's entries, and removes the oldest."""

    @reads
    async def first_since(self, connection: AsyncConnection, since: float) -> int | None:
        """Returns the id of the first entry that is not older than `since`; None if all are."""
        # Processes write at once, so the order of times isn't quite that of ids.
        first = sa.select(sa.func.min(audit_entries.c.id)).where(audit_entries.c.at >= since)
        found: int | None = await connection.scalar(first)
        return found

    @reads
    async def page(
        self, connection: AsyncConnection, first: int, limit: int, *, texts: bool = False
    ) -> list[dict[str, Any]]:
        """Returns entries from an id on, as they are exported; with the `texts` that are still stored."""
        entries = sa.select(audit_entries).where(audit_entries.c.id >= first).order_by(audit_entries.c.id).limit(limit)
        rows = (await connection.execute(entries)).all()
        lines = [_line(row) for row in rows]
        if not texts:
            return lines
        said = await texts_of(connection, rows)
        return [line | {TEXTS: these} if these else line for line, these in zip(lines, said, strict=True)]

    async def expire(self, before: float) -> int:
        """Removes entries older than `before` (seconds since the epoch), oldest first; returns how many."""
        dropped = 0
        while count := await self._drop(before):
            dropped += count
        return dropped

    @writes
    async def _drop(self, connection: AsyncConnection, before: float) -> int:
        oldest = sa.select(audit_entries.c.id).order_by(audit_entries.c.at).limit(MAX_DROPPED)
        too_old = audit_entries.c.id.in_(oldest.where(audit_entries.c.at < before))
        return (await connection.execute(sa.delete(audit_entries).where(too_old))).rowcount


def _line(row: sa.Row[Any]) -> dict[str, Any]:
    """Returns an entry as it is exported. What is empty or erased is left out."""
    subject = Subject(row.user_id, row.channel_id, row.thread_ts, row.ts, row.arguments_hash)
    of_place = {"team": row.team_id or None, "job": row.job_id}
    line = {**of_place, **json.loads(row.facts), **subject.opened, "by": row.by_id or None}
    given = {name: value for name, value in line.items() if value is not None}
    return {"id": row.id, "at": time_text(row.at), "kind": row.kind, **given}


async def texts_of(connection: AsyncConnection, rows: Sequence[sa.Row[Any]]) -> list[dict[str, Any]]:
    """Returns the texts of each entry: of a question its newest words, of a call its arguments and result."""
    job_ids = {row.job_id for row in rows if row.job_id is not None}
    by_key: dict[tuple[Any, ...], dict[str, Any]] = {}
    for job in await connection.execute(sa.select(jobs.c.id, jobs.c.text).where(jobs.c.id.in_(job_ids))):
        by_key[Kind.QUESTION.value, job.id] = _given(question=job.text)
    for turn in await connection.execute(sa.select(turns).where(turns.c.job_id.in_(job_ids))):
        by_key[Kind.ANSWER.value, turn.job_id, turn.created_at, turn.end_reason] = _given(answer=turn.answer)
    for call in await connection.execute(sa.select(tool_calls).where(tool_calls.c.job_id.in_(job_ids))):
        # A row is a tuple, and has a method of that name.
        key = Kind.CALL.value, call.job_id, call.version, call.step_no, call._mapping["index"]
        by_key[key] = _given(arguments=json.loads(call.arguments or "null"), result=call.result)
    return [by_key.get(_key(row), {}) for row in rows]


def _key(row: sa.Row[Any]) -> tuple[Any, ...]:
    facts = json.loads(row.facts)
    match row.kind:
        case Kind.ANSWER:
            # A turn and its entry have one time.
            return row.kind, row.job_id, row.at, facts["end"]
        case Kind.CALL | Kind.DECISION:
            return Kind.CALL.value, row.job_id, facts.get("version"), facts.get("step"), facts.get("index")
    return row.kind, row.job_id


def _given(**texts: Any) -> dict[str, Any]:
    return {name: text for name, text in texts.items() if text}
