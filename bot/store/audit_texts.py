"""The texts that belong to audit entries, as far as they are still stored. The audit itself has none."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from bot.core.audit import Kind
from bot.store.schema import jobs, tool_calls, turns

Key = tuple[Any, ...]


async def texts_of(connection: AsyncConnection, rows: Sequence[sa.Row[Any]]) -> list[dict[str, Any]]:
    """Returns the texts of each entry: of a question its newest words, of a call its arguments and result."""
    job_ids = {row.job_id for row in rows if row.job_id is not None}
    by_key = {
        **await _read(connection, sa.select(jobs.c.id, jobs.c.text).where(jobs.c.id.in_(job_ids)), _of_question),
        **await _read(connection, sa.select(turns).where(turns.c.job_id.in_(job_ids)), _of_answer),
        **await _read(connection, sa.select(tool_calls).where(tool_calls.c.job_id.in_(job_ids)), _of_call),
    }
    return [by_key.get(_key(row), {}) for row in rows]


async def _read(connection: AsyncConnection, statement: sa.Select[Any], of: Any) -> dict[Key, dict[str, Any]]:
    return dict(of(row._mapping) for row in await connection.execute(statement))


def _key(row: sa.Row[Any]) -> Key:
    facts = json.loads(row.facts)
    match row.kind:
        case Kind.ANSWER:
            # A turn and its entry have one time.
            return row.kind, row.job_id, row.at, facts["end"]
        case Kind.CALL | Kind.DECISION:
            return Kind.CALL.value, row.job_id, facts.get("version"), facts.get("step"), facts.get("index")
    return row.kind, row.job_id


def _of_question(row: Mapping[str, Any]) -> tuple[Key, dict[str, Any]]:
    return (Kind.QUESTION.value, row["id"]), _given(question=row["text"])


def _of_answer(row: Mapping[str, Any]) -> tuple[Key, dict[str, Any]]:
    return (Kind.ANSWER.value, row["job_id"], row["created_at"], row["end_reason"]), _given(answer=row["answer"])


def _of_call(row: Mapping[str, Any]) -> tuple[Key, dict[str, Any]]:
    key = (Kind.CALL.value, row["job_id"], row["version"], row["step_no"], row["index"])
    arguments = json.loads(row["arguments"]) if row["arguments"] else None
    return key, _given(arguments=arguments, result=row["result"])


def _given(**texts: Any) -> dict[str, Any]:
    return {name: text for name, text in texts.items() if text}
