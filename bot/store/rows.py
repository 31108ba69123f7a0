"""Converts between our types and the tables' rows."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, fields
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.ext.asyncio import AsyncConnection

from bot.core.conversation import POSTING, Effort, File, Job, MessageRole, Question, RecordedMessage, ThreadKey
from bot.core.job import End, Spent
from bot.core.limits.caps import ScopeIds
from bot.core.stream import Citation, Usage
from bot.errors import EndReason
from bot.prices import ModelPrices
from bot.store.postgresql import on_postgresql


def insert_into(connection: AsyncConnection, table: sa.Table) -> Any:
    """Returns an INSERT with ON CONFLICT, which each dialect has in a module of its own."""
    return (postgresql.insert if on_postgresql(connection) else sqlite.insert)(table)


async def put(connection: AsyncConnection, table: sa.Table, key: Mapping[str, Any], values: Mapping[str, Any]) -> None:
    """Writes a row, in place of the one with this primary key if there is one."""
    row = insert_into(connection, table).values({**key, **values})
    await connection.execute(row.on_conflict_do_update(index_elements=list(key), set_=dict(values)))


def thread_of(row: sa.Row[Any]) -> ThreadKey:
    return ThreadKey(row.team_id, row.channel_id, row.thread_ts or None)


def question_of(row: sa.Row[Any]) -> Question:
    files = tuple(map(_file_of, row.files))
    return Question(thread_of(row), row.ts, row.user_id, row.text, files, row.from_bot, row.attached_chars)


def file_values(question: Question) -> list[dict[str, Any]]:
    return [asdict(file) for file in question.files]


def messages_of(row: sa.Row[Any]) -> tuple[RecordedMessage, ...]:
    return tuple(RecordedMessage(**{**values, "role": MessageRole(values["role"])}) for values in row.messages)


def message_values(messages: Sequence[RecordedMessage]) -> list[dict[str, Any]]:
    return [asdict(message) for message in messages]


def job_of(row: sa.Row[Any]) -> Job:
    messages = messages_of(row)
    # A process may have died while it showed what the database, being away, doesn't have. A placeholder that was not
    # recorded in time may have been posted nevertheless.
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
        effort=Effort(row.effort) if row.effort else None,
        transcripts=transcripts_of(row),
        asked_at=row.created_at if row.asked_at is None else row.asked_at,
        stop_requested=row.stop_requested,
    )


def transcripts_of(row: sa.Row[Any]) -> dict[str, str]:
    """Returns a job's transcripts by their files' ids."""
    return {file_id: text for file_id, (_, text) in row.transcripts.items()}


def scope_ids_of(question: Question) -> ScopeIds:
    return ScopeIds(question.thread.team_id, question.user_id, question.thread.channel_id)


def _file_of(values: Mapping[str, Any]) -> File:
    """Returns a stored file, without fields that a newer version of Typist may have added."""
    return File(**{field.name: values[field.name] for field in fields(File) if field.name in values})


def turn_values(job_id: int, end: End, text: str, now: float, prices: ModelPrices | None) -> dict[str, Any]:
    """Returns a turn's row; `prices` may be None for an end without usage."""
    usage, model = end.usage, end.model
    return {
        "job_id": job_id,
        "answer": text,
        "model": model,
        "end_reason": end.reason.value,
        "input_tokens": usage and usage.input_tokens,
        "output_tokens": usage and usage.output_tokens,
        "cached_input_tokens": usage and usage.cached_input_tokens,
        "web_searches": usage and usage.web_searches,
        "cost_usd": prices.cost_usd(model, usage, now) if prices and model and usage else None,
        "first_token_s": end.first_token_s,
        "prompt_version": end.prompt_version,
        "sources": source_values(end.sources),
        "origins": sorted(end.origins),
        "created_at": now,
    }


def source_values(sources: Sequence[Citation]) -> list[list[str]] | None:
    """Returns an answer's sources as they are stored: (URL, title) of each, None if there are none."""
    return [[source.url, source.title] for source in sources] or None


def sources_of(values: Sequence[Sequence[str]] | None) -> tuple[Citation, ...]:
    """Returns stored sources."""
    return tuple(Citation(*value) for value in values or ())


def interrupted_values(job_id: int, spent: Spent, now: float, prices: ModelPrices | None) -> dict[str, Any]:
    """Returns the turn of an interrupted attempt, which has usage but no answer."""
    usage = Usage(spent.input_tokens, spent.output_tokens)
    return turn_values(job_id, End(EndReason.INTERRUPTED, model=spent.model, usage=usage), "", now, prices)
