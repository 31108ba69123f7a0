"""The audit log, which records who asked, approved, changed or erased something, but no content. Pure.

Each entry is written in the same transaction as the change (bot/store/audit.py) and exported as a line of JSON. Times,
models, costs and states don't identify anyone. The fields that identify people can be erased: the actor and `Subject`.
`Subject` includes the hash of a call's arguments, because short arguments can be guessed from their hash.
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import astuple, dataclass, field
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any

from bot.core.calls import RecordedCall
from bot.core.conversation import Question
from bot.core.job import Job


class EntryKind(StrEnum):
    QUESTION = "question"
    ANSWER = "answer"
    """An answer, attempt or step has ended. The entry includes the usage."""
    CALL = "call"
    DECISION = "decision"
    SETTING = "setting"
    ERASURE = "erasure"
    IDENTITY = "identity"
    """The asker's identity was sent to a gateway or an MCP server in headers. The entry doesn't include the headers'
    values."""
    REPLAY = "replay"
    """A question was sent to a model again for a comparison (services/replay.py)."""


@dataclass(frozen=True, slots=True)
class Subject:
    user_id: str = ""
    channel_id: str = ""
    thread_ts: str = ""
    ts: str = ""
    arguments_hash: str = ""

    @property
    def exported_fields(self) -> dict[str, str]:
        return {name: value for name, value in zip(SUBJECT_FIELDS, astuple(self), strict=True) if value}


@dataclass(frozen=True, slots=True)
class Entry:
    kind: EntryKind
    facts: Mapping[str, Any]
    team_id: str = ""
    job_id: int | None = None
    subject: Subject = field(default=Subject())
    actor_id: str = ""
    """The ID of the person who acted, or "" if it wasn't someone in Slack."""


SUBJECT_FIELDS = ("user", "channel", "thread", "ts", "arguments_sha256")
TEXTS = "texts"
"""Name of the field that contains the text, in exports that include content."""
_FIRST = ("id", "at", "kind", "team", "job", "user", "channel", "thread", "ts", "by")
_LAST = ("arguments_sha256", TEXTS)


def subject_of(question: Question, arguments_hash: str = "") -> Subject:
    thread = question.thread
    return Subject(question.user_id, thread.channel_id, thread.thread_ts or "", question.ts, arguments_hash)


def question_entry(question: Question, job_id: int, *, edited: bool = False) -> Entry:
    facts = {"bot": question.is_from_bot, "edited": edited, "files": len(question.files)}
    said = {name: value for name, value in facts.items() if value}
    return Entry(EntryKind.QUESTION, said, question.thread.team_id, job_id, subject_of(question))


def answer_entry(question: Question, job_id: int, turn: Mapping[str, Any]) -> Entry:
    return Entry(EntryKind.ANSWER, answer_facts(turn), question.thread.team_id, job_id, subject_of(question))


def answer_facts(turn: Mapping[str, Any]) -> dict[str, Any]:
    """Returns an answer's end reason, model and usage. `turn`: a row of `turns` joined with its charge."""
    names = ("model", "prompt_version", "input_tokens", "output_tokens", "cached_input_tokens", "web_searches")
    used = {name: turn[name] for name in names if turn.get(name)}
    cost = {} if turn.get("cost_usd") is None else {"cost_usd": turn["cost_usd"]}
    return {"end": turn["end_reason"], **used, **cost}


def call_entry(job: Job, call: RecordedCall) -> Entry:
    subject = subject_of(job.question, arguments_hash(call.arguments))
    facts = {"state": call.state.value, **call_facts(call, job.version)}
    return Entry(EntryKind.CALL, facts, job.question.thread.team_id, job.id, subject)


def call_facts(call: RecordedCall, version: int) -> dict[str, Any]:
    """Returns a call's position, and the tool's name if the tool was offered. A name that the model invented is left
    out, because `forget` couldn't remove it."""
    tool = {"tool": call.tool} if call.definition_hash else {}
    account = {"account": "own"} if call.uses_own_account else {}
    return {**tool, **account, "version": version, "step": call.step_no, "index": call.index}


def arguments_hash(arguments: Mapping[str, Any]) -> str:
    return hashlib.sha256(canonical_json(arguments).encode("ascii")).hexdigest()


def canonical_json(value: Any) -> str:
    return json.dumps(value, sort_keys=True, separators=(",", ":"))


def time_text(at: float) -> str:
    return f"{datetime.fromtimestamp(at, UTC):%Y-%m-%dT%H:%M:%S.%fZ}"


def json_line(line: Mapping[str, Any]) -> str:
    middle = sorted(line.keys() - {*_FIRST, *_LAST})
    order = [name for name in (*_FIRST, *middle, *_LAST) if name in line]
    return json.dumps({name: line[name] for name in order}, separators=(",", ":"))
