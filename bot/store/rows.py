"""Converts between our types and table rows, and expresses core/job.py's conditions in SQL: live, begun, same thread.

No other module repeats these conditions. A database uses a partial index only if a condition has exactly the same form
as the index's (bot/store/schema.py), so statuses are literals in the statements, not parameters.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, fields
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.ext.asyncio import AsyncConnection

from bot.core.conversation import NO_NOTE, File, Note, Question, ThreadKey
from bot.core.job import (
    LATE_S,
    POSTING,
    End,
    Job,
    MessageRole,
    Notice,
    NoticeKind,
    RecordedMessage,
    Status,
    Wish,
)
from bot.core.unposted import QuotedMessage
from bot.errors import EndReason
from bot.models.events import Citation
from bot.models.prompt import Effort, parse_origins
from bot.store.database import is_postgresql
from bot.store.schema import JOB_HAS_CONTENT, jobs, turns, workers


def insert_into(connection: AsyncConnection, table: sa.Table) -> Any:
    """Returns an INSERT that supports ON CONFLICT, which SQLAlchemy defines separately for each dialect."""
    return (postgresql.insert if is_postgresql(connection) else sqlite.insert)(table)


async def upsert(
    connection: AsyncConnection, table: sa.Table, key: Mapping[str, Any], values: Mapping[str, Any]
) -> None:
    row = insert_into(connection, table).values({**key, **values})
    await connection.execute(row.on_conflict_do_update(index_elements=list(key), set_=dict(values)))


async def has_row(connection: AsyncConnection, *which: sa.ColumnElement[bool]) -> bool:
    return bool(await connection.scalar(sa.select(sa.exists().where(*which))))


def verbatim_condition(condition: str) -> sa.ColumnElement[bool]:
    """Returns a partial index's condition verbatim. Databases wouldn't use the index otherwise."""
    return sa.literal_column(f"({condition})")


NO_ANSWER: dict[str, Any] = {"answer": "", "sources": None, "note": None, "end": None}
NO_CALL_TEXTS: dict[str, Any] = {"arguments": "", "result": "", "binding": ""}
"""Values that clear a call's text. They also clear the hash of the arguments, because short arguments could be guessed
from it."""


def thread_of(row: sa.Row[Any]) -> ThreadKey:
    return ThreadKey(row.team_id, row.channel_id, row.thread_ts or None)


def known_fields(kind: type, values: Mapping[Any, Any]) -> dict[str, Any]:
    """Returns the values that a dataclass has fields for. Other values might come from newer versions of Typist."""
    return {field.name: values[field.name] for field in fields(kind) if field.name in values}


def question_of(row: sa.Row[Any]) -> Question:
    files = tuple(File(**known_fields(File, file)) for file in row.files)
    converted: dict[str, Any] = {
        "thread": thread_of(row),
        "ts": row.ts or "",
        "files": files,
        "is_from_bot": row.from_bot,
        "is_held": row.held is True,
    }
    return Question(**{**known_fields(Question, row._mapping), **converted})


def file_values(question: Question) -> list[dict[str, Any]]:
    return [asdict(file) for file in question.files]


def queued_values(question: Question, now: float) -> dict[str, Any]:
    return {
        **thread_values(question.thread),
        "ts": question.ts,
        "user_id": question.user_id,
        "text": question.text,
        "files": file_values(question),
        "from_bot": question.is_from_bot,
        "attached_chars": question.attached_chars,
        "is_command": question.is_command,
        "had_sign_in": question.had_sign_in,
        "held": True if question.is_held else None,
        "alert_kind": question.alert_kind,
        "status": Status.QUEUED.value,
        "created_at": now,
    }


def unposted_values(
    team_id: str, view_id: str, user_id: str, about: QuotedMessage, text: str, now: float
) -> dict[str, Any]:
    return {
        "team_id": team_id,
        # Its message might be posted outside the thread of the message that it is about.
        "channel_id": "",
        "thread_ts": "",
        "asked_as": view_id,
        "unposted": {"about": asdict(about)},
        "user_id": user_id,
        "text": text,
        "status": Status.UNPOSTED.value,
        "created_at": now,
    }


def messages_of(row: sa.Row[Any]) -> tuple[RecordedMessage, ...]:
    return tuple(RecordedMessage(**{**values, "role": MessageRole(values["role"])}) for values in row.messages)


def reply_values(messages: Sequence[RecordedMessage]) -> dict[str, Any]:
    return {"messages": [asdict(message) for message in messages], "placeholder_due_since": None}


def job_of(row: sa.Row[Any]) -> Job:
    messages = messages_of(row)
    # A process might have died after showing something that isn't in the database because it was unavailable. A
    # placeholder that wasn't recorded in time might have been posted anyway.
    is_unsure = row.interruptions > 0 or (row.placeholder_due_since is not None and not messages)
    if is_unsure and POSTING not in messages:
        messages += (POSTING,)
    return Job(
        row.id,
        question_of(row),
        row.attempts,
        messages,
        interruptions=row.interruptions,
        version=row.version,
        wish=wish_of(row),
        transcripts=transcripts_of(row),
        asked_at=row.created_at if row.asked_at is None else row.asked_at,
        stop_requested=row.stop_requested,
        is_offer=row.offered and not row.version,
        is_late=not row.version and row.started_at is not None and row.started_at - float(row.ts) > LATE_S,
    )


def wish_of(row: sa.Row[Any]) -> Wish:
    known = known_fields(Wish, row.wish or {})
    return Wish(**known | {"effort": next((effort for effort in Effort if effort == known.get("effort")), None)})


def transcripts_of(row: sa.Row[Any]) -> dict[str, str]:
    return {file_id: text for file_id, (_, text) in row.transcripts.items()}


_JSON_FIELDS = ("footer", "model", "first_token_s", "prompt_version", "effort")
_COLUMN_FIELDS = ("reason", "model", "first_token_s", "prompt_version", "origins", "note")


def turn_values(job_id: int, version: int, end: End, text: str, now: float) -> dict[str, Any]:
    return {
        "job_id": job_id,
        "version": version,
        "answer": text,
        "model": end.model,
        "end_reason": end.reason.value,
        "first_token_s": end.first_token_s,
        "prompt_version": end.prompt_version,
        "sources": source_values(end.sources),
        "origins": sorted(end.origins),
        "end": {name: value for name, value in end_values(end).items() if name not in _COLUMN_FIELDS},
        # Retention looks for turns with text.
        "note": note_values(end.note) if text else None,
        "created_at": now,
    }


def end_of_turn(row: sa.Row[Any]) -> End:
    columns = {name: getattr(row, "end_reason" if name == "reason" else name) for name in _COLUMN_FIELDS}
    return end_of({**columns, **(row.end or {})}, sources_of(row.sources))


def end_values(end: End) -> dict[str, Any]:
    """Returns an end in the form in which it is stored. Leaves out defaults, sources (which have a column) and usage
    (which is stored as a charge)."""
    usual = End(end.reason)
    values = {name: getattr(end, name) for name in _JSON_FIELDS if getattr(end, name) != getattr(usual, name)}
    if end.notices:
        values["notices"] = [[notice.kind.value, notice.text, notice.number] for notice in end.notices]
    note = {"note": note_values(end.note)} if end.note.text else {}
    return {**values, **note, "reason": end.reason.value, "origins": sorted(end.origins), "choices": list(end.choices)}


def end_of(values: Mapping[str, Any], sources: Sequence[Citation]) -> End:
    typed: dict[str, Any] = {"reason": EndReason(values["reason"]), "origins": parse_origins(values["origins"])}
    typed |= {"choices": tuple(values.get("choices", ())), "note": note_of(values.get("note"))}
    typed["notices"] = tuple(Notice(NoticeKind(kind), *rest) for kind, *rest in values.get("notices", ()))
    return End(**{**known_fields(End, values), **typed}, sources=sources)


def note_values(note: Note) -> list[Any] | None:
    return [note.text, sorted(note.origins)] if note.text else None


def note_of(values: Sequence[Any] | None) -> Note:
    return Note(values[0], parse_origins(values[1])) if values else NO_NOTE


def source_values(sources: Sequence[Citation]) -> list[list[str]] | None:
    return [[source.url, source.title] for source in sources] or None


def sources_of(values: Sequence[Sequence[str]] | None) -> tuple[Citation, ...]:
    return tuple(Citation(*value) for value in values or ())


UNPOSTED = sa.literal_column(f"'{Status.UNPOSTED.value}'", sa.Text)
QUEUED = sa.literal_column(f"'{Status.QUEUED.value}'", sa.Text)
RUNNING = sa.literal_column(f"'{Status.RUNNING.value}'", sa.Text)
AWAITING_APPROVAL = sa.literal_column(f"'{Status.AWAITING_APPROVAL.value}'", sa.Text)
CLOCKS_DIFFER_S = 10.0
"""Maximum difference between the clocks of two processes. At startup, a process sets its clock to the time of the
server or machine."""
Jobs = sa.FromClause


def is_queued(table: Jobs = jobs) -> sa.ColumnElement[bool]:
    """Returns whether a live job can be claimed because it is QUEUED or RELEASED."""
    return table.c.status == QUEUED


def is_running(table: Jobs = jobs) -> sa.ColumnElement[bool]:
    return table.c.status == RUNNING


IS_UNPOSTED = jobs.c.status == UNPOSTED
IS_AWAITING_APPROVAL = jobs.c.status == AWAITING_APPROVAL
IS_LIVE = sa.or_(is_queued(), is_running(), IS_AWAITING_APPROVAL)
HAS_ENDED = jobs.c.status == Status.ENDED.value
IS_AHEAD = sa.or_(is_running(), sa.and_(is_queued(), jobs.c.attempts > 0))
"""Whether the job precedes all others in its thread because it has begun and isn't waiting for a person."""
IS_BEGUN = sa.or_(IS_AHEAD, IS_AWAITING_APPROVAL)
"""Whether a worker is writing the job's answer, or the next attempt will continue it."""
IS_MIDWAY = turns.c.end_reason.in_([reason.value for reason in EndReason if reason.is_midway])
IS_DENIED = jobs.c.end_reason.is_not_distinct_from(EndReason.DENIED.value)
CAN_BE_REGENERATED = sa.and_(HAS_ENDED, jobs.c.answered_with.is_(None), ~IS_DENIED, ~jobs.c.answer_deleted)
"""Whether the job has ended and can be answered again. It can't if it was denied, if it shared a later job's answer, or
if its answer was deleted."""
HAS_ANSWER = sa.and_(jobs.c.attempts > 0, jobs.c.answered_with.is_(None), ~IS_DENIED)
"""Whether the job's answer has begun, even if it was deleted."""
HAS_CONTENT = verbatim_condition(JOB_HAS_CONTENT)
"""Whether the question has text or files, which means that it wasn't deleted and hasn't expired."""


def is_batched_with(*job_ids: int) -> sa.ColumnElement[bool]:
    """Returns whether a question wasn't deleted and is answered together with one of these jobs, which came later."""
    return sa.and_(jobs.c.answered_with.in_(job_ids), jobs.c.end_reason == EndReason.BATCHED.value)


def is_past(
    due_at: sa.ColumnElement[Any], now: float | sa.ColumnElement[float], max_wait_s: Any
) -> sa.ColumnElement[bool]:
    """Returns whether a stored time has passed. A time that is further away than the maximum wait also counts, because
    it comes from a wrong clock."""
    return sa.or_(due_at <= now, due_at > now + max_wait_s + CLOCKS_DIFFER_S)


def same_thread(one: Jobs, other: Jobs) -> sa.ColumnElement[bool]:
    return sa.and_(*(a == b for a, b in zip(thread_columns(one), thread_columns(other), strict=True)))


def in_thread(thread: ThreadKey, table: Jobs = jobs) -> sa.ColumnElement[bool]:
    return sa.and_(*(table.c[name] == value for name, value in thread_values(thread).items()))


THREAD = ("team_id", "channel_id", "thread_ts")


def thread_columns(table: Jobs = jobs) -> list[sa.ColumnElement[Any]]:
    return [table.c[name] for name in THREAD]


def thread_values(thread: ThreadKey) -> dict[str, str]:
    return dict(zip(THREAD, (thread.team_id, thread.channel_id, thread.thread_ts or ""), strict=True))


def has_jobs() -> sa.ColumnElement[bool]:
    """Returns whether a row of `workers` belongs to a worker with jobs, which other workers must watch."""
    return sa.exists().where(jobs.c.worker == workers.c.worker, is_running())
