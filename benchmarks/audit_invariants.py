"""The invariants of a chaos run's audit: each question, end, call and decision has its entry. Pure.

Processes die in the middle of transactions. Nothing may be recorded without its entry, or twice, and no entry repeats a
text.
"""

from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any

from benchmarks.databases import CallRow, RecordedJob
from benchmarks.invariants import LIVE_STATES, Evidence
from benchmarks.tool_plan import TOKEN
from bot.core.audit import Kind, written
from bot.core.calls import CallState
from bot.errors import EndReason

_BEGUN = (CallState.BEGUN, CallState.DONE, CallState.FAILED, CallState.UNKNOWN)


def audit_violations(evidence: Evidence) -> list[str]:
    """Returns one sentence for each violated invariant."""
    lines = [written(entry) for entry in evidence.audit]
    texts = [f"entry {number} of the audit has a token" for number, line in enumerate(lines, 1) if TOKEN.search(line)]
    jobs = (sentence for job in evidence.jobs for sentence in _of_job(evidence, job))
    calls = (sentence for call in evidence.tool_calls for sentence in _of_call(evidence, call))
    return [*texts, *jobs, *calls]


def _of_job(evidence: Evidence, job: RecordedJob) -> Iterator[str]:
    entries = [entry for entry in evidence.audit if (entry.get("channel"), entry.get("ts")) == (job.channel, job.ts)]
    asked = sum(entry["kind"] == Kind.QUESTION and "edited" not in entry for entry in entries)
    if asked != 1:
        yield f"the question {job.ts} is in the audit {asked} times"
    ends = {entry.get("end") for entry in entries}
    is_erased = job.state == EndReason.QUESTION_DELETED and any(entry["kind"] == Kind.ERASURE for entry in entries)
    if job.state not in (*LIVE_STATES, *ends) and not is_erased:
        yield f"the answer to {job.ts} is {job.state}, and the audit has {', '.join(map(str, ends))}"


def _of_call(evidence: Evidence, call: CallRow) -> Iterator[str]:
    entries = [entry for entry in evidence.audit if _key(entry) == call.key]
    states = Counter(entry["state"] for entry in entries if entry["kind"] == Kind.CALL)
    state = CallState(call.state)
    needed = {*([CallState.BEGUN] if call.begun else []), *([state] if state in _BEGUN else [])}
    for each in needed:
        # A read-only call may begin again. It ends once.
        if states[each] < 1 or (states[each] > 1 and (each is not CallState.BEGUN or call.is_write)):
            yield f"the call {call.key} is {state}, and the audit has {states[each]} × {each}"
    if not call.begun and states[CallState.BEGUN]:
        yield f"the call {call.key} was not begun, and the audit says so"
    decisions = sum(entry["kind"] == Kind.DECISION for entry in entries)
    if decisions != int(call.decided):
        yield f"the call {call.key} was decided {int(call.decided)} times, and {decisions} times in the audit"


def _key(entry: Mapping[str, Any]) -> tuple[Any, ...]:
    return tuple(entry.get(name) for name in ("channel", "ts", "version", "step", "index"))


def audit_figures(evidence: Evidence) -> str:
    """Returns how many entries of each kind there are, as a line of text."""
    kinds = Counter(str(entry["kind"]) for entry in evidence.audit)
    return f"audit: {', '.join(f'{times} × {kind}' for kind, times in sorted(kinds.items()))}"
