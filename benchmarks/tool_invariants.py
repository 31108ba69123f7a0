"""Checks that server, database, answers and audit agree after a chaos run with tools. Pure: no I/O, no clock.

No call that may change something is made twice. One that is done on record was made once, one that nobody knows the end
of at most once, and any other never. Calls of read-only tools may be repeated. Each answer says of each of its calls
what the database says.

Processes die in the middle of transactions. No question, end, call or decision may be recorded without its entry in the
audit, or twice, and no entry repeats a text.
"""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from benchmarks.databases import CallRow, RecordedJob
from benchmarks.invariants import LIVE_STATES, AskedQuestion, Evidence
from benchmarks.question_plan import EDITED_NUMBER
from benchmarks.tool_plan import DONE, MADE_BEFORE, NOT_MADE, NOT_OFFERED, TOKEN, UNKNOWN, seen_in, steps_of
from bot.core.audit import EntryKind, json_line
from bot.core.calls import CallState
from bot.errors import EndReason

_SEEN_AS = {
    CallState.DONE: DONE,
    CallState.UNKNOWN: UNKNOWN,
    CallState.FAILED: NOT_MADE,
    CallState.DENIED: NOT_MADE,
}
"""What an answer says of a call that is over."""
_MAY_HAVE_ARRIVED = (CallState.BEGUN, CallState.UNKNOWN)


def tool_violations(evidence: Evidence) -> list[str]:
    """Returns one sentence for each violated invariant."""
    deleted = {question.plan.number for question in evidence.questions if question.changed == "delete"}
    sentences = [*_repeated(evidence), *_unrecorded(evidence, deleted), *_unlike_the_server(evidence)]
    for question in evidence.questions:
        if question.changed != "delete" and evidence.answered_with(question) is None:
            sentences += [f"{question.name}: {sentence}" for sentence in _unlike_the_answer(evidence, question)]
    return sentences


def _repeated(evidence: Evidence) -> Iterator[str]:
    for token, times in evidence.calls_arrived.items():
        if times > 1 and _is_write(token):
            yield f"the call {token} was made {times} times"


def _is_write(token: str) -> bool:
    match = TOKEN.fullmatch(token)
    assert match is not None, f"no token: {token}"
    planned = [call for calls in steps_of(int(match[1])) for call in calls]
    return next(call.is_write for call in planned if call.token == token)


def _unrecorded(evidence: Evidence, deleted: set[int]) -> Iterator[str]:
    """Finds calls that arrived, though the database says nowhere that they were begun."""
    begun = {call.token for call in evidence.tool_calls if call.begun}
    for token in evidence.calls_arrived:
        match = TOKEN.fullmatch(token)
        # The texts of a deleted question's calls are deleted, too.
        if token not in begun and match and int(match[1]) % EDITED_NUMBER not in deleted:
            yield f"the call {token} was made, and the database has not begun it"


def _unlike_the_server(evidence: Evidence) -> Iterator[str]:
    """Finds recorded states that don't go with how often the calls arrived. All versions of an answer count."""
    of_token: dict[str, list[CallRow]] = {}
    for call in evidence.tool_calls:
        if call.token:
            of_token.setdefault(call.token, []).append(call)
    for token, calls in of_token.items():
        arrived, states = evidence.calls_arrived.get(token, 0), [CallState(call.state) for call in calls]
        is_write, is_done = calls[0].is_write, CallState.DONE in states
        least = int(is_done)
        if is_write:
            most = states.count(CallState.DONE) + sum(state in _MAY_HAVE_ARRIVED for state in states)
        else:
            most = arrived
        if not least <= arrived <= most:
            yield f"the call {token} is {', '.join(states)} on record, and arrived {arrived} times"


def _unlike_the_answer(evidence: Evidence, question: AskedQuestion) -> Iterator[str]:
    job, calls = evidence.job(question), evidence.calls_for(question)
    if job is None or job.state in LIVE_STATES:
        return
    for call in calls:
        # An answer that failed may have ended before its calls were made.
        if EndReason(job.state).is_answer and not CallState(call.state).is_over:
            yield f"its call {call.token} is {call.state}, and the answer has ended"
    on_record = {call.token: _SEEN_AS.get(CallState(call.state)) for call in calls}
    for token, what in seen_in(" ".join(page.last.text for page in evidence.replies(question))):
        if token in on_record:
            if what != on_record[token]:
                yield f"it says {token}={what}, and the database {on_record[token]}"
        elif what not in (MADE_BEFORE, NOT_OFFERED):
            yield f"it says {token}={what}, and the database has no such call"


def tool_figures(evidence: Evidence, presses: Counter[str]) -> list[str]:
    """Returns the figures of a run with tools as lines of text."""
    calls, arrived = evidence.tool_calls, evidence.calls_arrived
    writes, reads = ([call for call in calls if call.is_write == is_write] for is_write in (True, False))
    repeated = Counter(_is_write(token) for token, times in arrived.items() if times > 1)
    seen = Counter(what for page in evidence.histories for _, what in seen_in(page.last.text))
    return [
        f"calls of tools: writes {_states(writes)}; reads {_states(reads)}",
        f"calls that reached the server: {sum(arrived.values())}; repeated: {repeated[True]} writes, "
        f"{repeated[False]} reads; done calls used again by another attempt: {len(_used_again(evidence))}",
        f"approvals: {sum(call.decided for call in calls)} calls decided, by "
        f"{', '.join(f'{times} × {button}' for button, times in sorted(presses.items()))}",
        f"answers say: {', '.join(f'{times} × {what}' for what, times in sorted(seen.items()))}",
    ]


def _used_again(evidence: Evidence) -> list[CallRow]:
    """Returns the calls that were done before the last attempt at their job began, which nobody was asked about."""
    jobs = {(job.channel, job.ts): job for job in evidence.jobs}
    waited = {(call.channel, call.question_ts) for call in evidence.tool_calls if call.decided}
    used_again = []
    for call in evidence.tool_calls:
        job = jobs[call.channel, call.question_ts]
        is_before = job.started_at is not None and call.ended_at is not None and call.ended_at < job.started_at
        is_newest = call.version == job.version and (call.channel, call.question_ts) not in waited
        if call.state == CallState.DONE and is_before and is_newest:
            used_again.append(call)
    return used_again


def _states(calls: Sequence[CallRow]) -> str:
    counted = Counter(call.state for call in calls)
    return ", ".join(f"{times} × {state}" for state, times in sorted(counted.items())) or "none"


_BEGUN = (CallState.BEGUN, CallState.DONE, CallState.FAILED, CallState.UNKNOWN)


def audit_violations(evidence: Evidence) -> list[str]:
    """Returns one sentence for each violated invariant."""
    lines = [json_line(entry) for entry in evidence.audit]
    texts = [f"entry {number} of the audit has a token" for number, line in enumerate(lines, 1) if TOKEN.search(line)]
    jobs = (sentence for job in evidence.jobs for sentence in _of_job(evidence, job))
    calls = (sentence for call in evidence.tool_calls for sentence in _of_call(evidence, call))
    return [*texts, *jobs, *calls]


def _of_job(evidence: Evidence, job: RecordedJob) -> Iterator[str]:
    entries = [entry for entry in evidence.audit if (entry.get("channel"), entry.get("ts")) == (job.channel, job.ts)]
    asked = sum(entry["kind"] == EntryKind.QUESTION and "edited" not in entry for entry in entries)
    if asked != 1:
        yield f"the question {job.ts} is in the audit {asked} times"
    ends = {entry.get("end") for entry in entries}
    is_erased = job.state == EndReason.QUESTION_DELETED and any(entry["kind"] == EntryKind.ERASURE for entry in entries)
    if job.state not in (*LIVE_STATES, *ends) and not is_erased:
        yield f"the answer to {job.ts} is {job.state}, and the audit has {', '.join(map(str, ends))}"


def _of_call(evidence: Evidence, call: CallRow) -> Iterator[str]:
    entries = [entry for entry in evidence.audit if _key(entry) == call.key]
    states = Counter(entry["state"] for entry in entries if entry["kind"] == EntryKind.CALL)
    state = CallState(call.state)
    needed = {*([CallState.BEGUN] if call.begun else []), *([state] if state in _BEGUN else [])}
    for each in needed:
        # A read-only call may begin again. It ends once.
        if states[each] < 1 or (states[each] > 1 and (each is not CallState.BEGUN or call.is_write)):
            yield f"the call {call.key} is {state}, and the audit has {states[each]} × {each}"
    if not call.begun and states[CallState.BEGUN]:
        yield f"the call {call.key} was not begun, and the audit says so"
    decisions = sum(entry["kind"] == EntryKind.DECISION for entry in entries)
    if decisions != int(call.decided):
        yield f"the call {call.key} was decided {int(call.decided)} times, and {decisions} times in the audit"


def _key(entry: Mapping[str, Any]) -> tuple[Any, ...]:
    return tuple(entry.get(name) for name in ("channel", "ts", "version", "step", "index"))


def audit_figures(evidence: Evidence) -> str:
    """Returns how many entries of each kind there are, as a line of text."""
    kinds = Counter(str(entry["kind"]) for entry in evidence.audit)
    return f"audit: {', '.join(f'{times} × {kind}' for kind, times in sorted(kinds.items()))}"
