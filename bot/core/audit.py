"""The audit: who asked, approved, changed and erased what, without texts. Pure.

An entry is written in the transaction of what it records (bot/store/audit.py), and exported as one line of JSON:

- **Facts** name nobody: times, models, tokens, costs, ends, tools, states.
- **Erasable fields**: the person and the place that an entry is about, with the hash of a call's arguments, which can
  be guessed if they are short (`Subject`); and the person who acted (`by`).
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any

from bot.core.calls import RecordedCall
from bot.core.conversation import Question
from bot.core.job import Job


class EntryKind(StrEnum):
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
    REPLAY = "replay"
    """A question was sent to a model again, for a comparison (services/replay.py)."""


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

    kind: EntryKind
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
    return Entry(EntryKind.QUESTION, said, question.thread.team_id, job_id, subject_of(question))


def answer_entry(question: Question, job_id: int, turn: Mapping[str, Any]) -> Entry:
    """Returns the entry of an answer, an attempt or a step that ended, from its row in `turns` and its charge."""
    return Entry(EntryKind.ANSWER, answer_facts(turn), question.thread.team_id, job_id, subject_of(question))


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
    return Entry(EntryKind.CALL, facts, job.question.thread.team_id, job.id, subject)


def call_facts(call: RecordedCall, version: int) -> dict[str, Any]:
    """Returns which call of an answer it is, with its tool if the model was offered that.

    Any other name is a text of the model, which `forget` couldn't remove from the audit.
    """
    tool = {"tool": call.tool} if call.definition_hash else {}
    account = {"account": "own"} if call.own_account else {}
    return {**tool, **account, "version": version, "step": call.step_no, "index": call.index}


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
