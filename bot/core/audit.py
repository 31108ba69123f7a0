"""The audit: who asked, approved, changed and erased what, as a chain of hashes that shows later changes. Pure.

An entry is written in the transaction of what it records, and sealed some seconds later (bot/store/audit.py): it gets
its number, and a hash over its content and the hash of the entry before it. So whoever changes, removes or inserts an
entry has to compute all later hashes again, and the newest hash shows that to anybody who kept it.

An entry is exported as one line of JSON:

- **Facts** name nobody: times, models, tokens, costs, ends, tools, states. The hash covers them as they are.
- **Opened fields** can be erased: the person and the place that an entry is about, with the hash of a call's
  arguments, which can be guessed if they are short (`Subject`); and the person who acted (`by`). The hash covers only
  a digest of each of the two groups. A digest is computed with a random salt, which is erased with the fields, so
  nobody can find out what they were by trying, and the chain stays as it was.
"""

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any

from bot.core.conversation import Job, Question
from bot.core.tool_calls import RecordedCall
from bot.errors import TypistError


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
BY_FIELDS = ("by",)
_DIGESTS = {"user_digest": ("user_salt", SUBJECT_FIELDS), "by_digest": ("by_salt", BY_FIELDS)}
"""By each digest: the salt and the fields that it is computed from."""
TEXTS = "texts"
"""The field with what was said, if it was asked for. No hash covers it."""
_UNCOVERED = {*SUBJECT_FIELDS, "user_salt", *BY_FIELDS, "by_salt", "hash", TEXTS}
_FIRST = ("no", "at", "kind", "team", "job", "user", "channel", "thread", "ts", "by")
_LAST = ("arguments_sha256", "user_salt", "user_digest", "by_salt", "by_digest", "previous", "hash", TEXTS)
NO_HASH = ""
"""What the first entry follows."""


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
    """Returns the entry of an answer, an attempt or a step that ended, from its row in `turns`."""
    return Entry(Kind.ANSWER, answer_facts(turn), question.thread.team_id, job_id, subject_of(question))


def answer_facts(turn: Mapping[str, Any]) -> dict[str, Any]:
    """Returns how an answer ended, with its model and usage, from its row in `turns`."""
    names = ("model", "prompt_version", "input_tokens", "output_tokens", "cached_input_tokens", "web_searches")
    used = {name: turn[name] for name in names if turn[name]}
    cost = {} if turn["cost_usd"] is None else {"cost_usd": turn["cost_usd"]}
    return {"end": turn["end_reason"], **used, **cost}


def call_entry(job: Job, call: RecordedCall) -> Entry:
    """Returns the entry of a call's state."""
    subject = subject_of(job.question, arguments_hash(call.arguments))
    facts = {"state": call.state.value, **call_facts(call, job.version)}
    return Entry(Kind.CALL, facts, job.question.thread.team_id, job.id, subject)


def call_facts(call: RecordedCall, version: int) -> dict[str, Any]:
    """Returns which call of an answer it is, with its tool if the model was offered that.

    Any other name is a text of the model, which `forget` couldn't remove from the chain.
    """
    tool = {"tool": call.tool} if call.definition_hash else {}
    return {**tool, "version": version, "step": call.step_no, "index": call.index}


def arguments_hash(arguments: Mapping[str, Any]) -> str:
    """Returns the SHA-256 of a call's arguments as canonical JSON."""
    return _sha256(canonical(arguments))


def canonical(value: Any) -> str:
    """Returns JSON in ASCII, with sorted keys and without spaces."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"))


def digest(salt: Any, opened: Mapping[str, str]) -> str:
    """Returns what the chain covers in place of fields that may be erased."""
    return _sha256(canonical([salt, opened]))


def time_text(at: float) -> str:
    """Formats a time in UTC with its microseconds."""
    return f"{datetime.fromtimestamp(at, UTC):%Y-%m-%dT%H:%M:%S.%fZ}"


def hash_of(line: Mapping[str, Any]) -> str:
    """Returns the hash of an entry: over the hash of the one before it, and all that is not erased on request."""
    return _sha256(canonical({name: value for name, value in line.items() if name not in _UNCOVERED}))


def written(line: Mapping[str, Any]) -> str:
    """Returns an entry as a line of JSON, its fields in a fixed order."""
    middle = sorted(line.keys() - {*_FIRST, *_LAST})
    order = [name for name in (*_FIRST, *middle, *_LAST) if name in line]
    return json.dumps({name: line[name] for name in order}, separators=(",", ":"))


class AuditBroken(TypistError):
    """An export isn't as Typist wrote it. Says which line, and why."""

    def __init__(self, number: int, why: str) -> None:
        super().__init__(f"Line {number:,}: {why}")


@dataclass(frozen=True, slots=True)
class Verified:
    """An export whose chain is unbroken."""

    entries: int = 0
    first: Mapping[str, Any] = field(default_factory=dict)
    last: Mapping[str, Any] = field(default_factory=dict)
    erased: int = 0
    """The entries whose person, place or approver was erased."""
    has_kept_hash: bool = False
    """Whether one of its hashes is the one that was kept elsewhere."""


def verify(lines: Iterable[str], kept_hash: str = NO_HASH) -> Verified:
    """Returns what a complete export holds; `lines` have no line ends. Raises AuditBroken at the first wrong line."""
    entries, erased, has_kept_hash = 0, 0, False
    first: Mapping[str, Any] = {}
    before: Mapping[str, Any] = {}
    for number, text in enumerate(lines, 1):
        line = _parsed(text, number)
        if before and (line["no"], line["previous"]) != (before["no"] + 1, before["hash"]):
            raise AuditBroken(number, f"entry {line['no']} doesn't follow entry {before['no']}, which is before it.")
        erased += _check(line, number)
        # The hash that an entry follows is as good: its own entry may have been too old to keep.
        has_kept_hash = has_kept_hash or kept_hash in (line["previous"], line["hash"])
        first, before, entries = first or line, line, number
    return Verified(entries, first, before, erased, has_kept_hash)


def _parsed(text: str, number: int) -> dict[str, Any]:
    try:
        line = json.loads(text)
        types = {"no": int, "at": str, "kind": str, "previous": str, "hash": str}
        is_entry = isinstance(line, dict) and all(type(line.get(name)) is of for name, of in types.items())
    except (ValueError, RecursionError):
        is_entry = False
    if not is_entry:
        raise AuditBroken(number, "this is not an entry of `typist audit export --json`.")
    # A name that comes twice, or a number written in another way, reads the same.
    if written(line) != text:
        raise AuditBroken(number, f"entry {line['no']} is not written as Typist writes it.")
    return line  # type: ignore[no-any-return]


def _check(line: Mapping[str, Any], number: int) -> bool:
    """Returns whether something was erased. Raises AuditBroken if the entry is not the one that was hashed."""
    is_erased = False
    for name, (salt, fields) in _DIGESTS.items():
        opened = {key: line[key] for key in fields if key in line}
        if not opened and salt not in line:
            is_erased = is_erased or name in line
        elif name not in line or digest(line.get(salt), opened) != line[name]:
            names = ", ".join(fields)
            raise AuditBroken(number, f"entry {line['no']} was changed: its digest of {names} doesn't match.")
    if hash_of(line) != line["hash"]:
        raise AuditBroken(number, f"entry {line['no']} was changed: its hash doesn't match.")
    return is_erased


def _sha256(text: str) -> str:
    """Returns the SHA-256 of canonical JSON."""
    return hashlib.sha256(text.encode("ascii")).hexdigest()
