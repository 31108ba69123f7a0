"""The invariants of a chaos run: correct answers have no violation, and each kind of violation is found."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import pytest

from benchmarks.databases import CallRow, RecordedJob
from benchmarks.faults import RateLimitFault
from benchmarks.fleet import log_faults
from benchmarks.invariants import AskedQuestion, Evidence, Remark, violations
from benchmarks.message_recorder import MessageHistory, Revision
from benchmarks.question_plan import EDITED_NUMBER, PlannedQuestion, PlannedRemark, RemarkKind, Thread, answer
from benchmarks.scripted_model import ModelRequest, RequestEnd
from benchmarks.tool_invariants import audit_violations, tool_violations
from benchmarks.tool_plan import seen_words
from benchmarks.vendor_failures import Failure
from bot.core import texts
from bot.errors import EndReason
from slack_sandbox.web_api.http import CallRecord

THREAD = Thread(0, "general", ("ada",))
ROOT = "100.000001"


def text(number: int, words: int = 30) -> str:
    return "".join(answer(number, words)).rstrip()


def complete_reply(number: int, at_s: float) -> MessageHistory:
    """Returns the history of a correct reply: a placeholder, a part, the complete answer."""
    parts = (("", "Thinking…"), (text(number, 9), "Writing…"), (text(number), ""))
    revisions = [Revision(at_s + step, shown, note) for step, (shown, note) in enumerate(parts)]
    return MessageHistory("C1", f"{100 + at_s:.6f}", ROOT, f"{100 + number}.000001", 0, revisions)


def recorded_job(number: int, history: MessageHistory) -> RecordedJob:
    return RecordedJob("C1", history.question_ts, "whole", 1, (history.ts,), text(number), created_at=1000.0 + number)


def correct_evidence() -> Evidence:
    """Returns evidence of two questions in a thread, the second asked during the first answer."""
    histories = [complete_reply(0, 1.5), complete_reply(1, 5.5)]
    return Evidence(
        questions=[
            AskedQuestion(
                PlannedQuestion(number, number, THREAD, "ada", 30, 30), "C1", history.question_ts, ROOT, float(number)
            )
            for number, history in enumerate(histories)
        ],
        histories=histories,
        model_requests={number: [ModelRequest(4.5 * number + 0.5, 30, RequestEnd.WHOLE)] for number in range(2)},
        calls=[],
        rate_limit_faults=[],
        outages=[],
        jobs=[recorded_job(number, history) for number, history in enumerate(histories)],
        began_s=0.0,
        clock_offset_s=1000.0,
    )


CUT_NOTE = texts.models.model_failure(EndReason.CUT, "scripted", goes_on=True)
CUT_REQUEST = ModelRequest(0.5, 9, RequestEnd.FAILED, failure=Failure.CUT, chars=40)
REST = ModelRequest(0.9, 21, RequestEnd.WHOLE, begun_words=9, chars=80)


def first_answer_cut(note: str, end: RequestEnd, interruptions: int = 0) -> Evidence:
    """Returns evidence of a first answer that was cut after nine words, with a notice, after so many interruptions."""
    attempts = 1 + interruptions
    evidence = correct_evidence()
    evidence.histories[0].revisions[2:] = [Revision(3.0, text(0, 9), note)]
    changes = {"state": "cut", "attempts": attempts, "interruptions": interruptions}
    first = replace(evidence.jobs[0], answer=text(0, 9), output_tokens=10, **changes)  # type: ignore[arg-type]
    requests = [replace(CUT_REQUEST, end=end, failure=Failure.CUT if end is RequestEnd.FAILED else None)] * attempts
    return replace(evidence, jobs=[first, evidence.jobs[1]], model_requests={**evidence.model_requests, 0: requests})


def charged(requests: Sequence[ModelRequest], output_tokens: int, attempts: int = 1) -> Evidence:
    """Returns evidence of a first answer that took these requests, with so many tokens on record."""
    evidence = with_job(output_tokens=output_tokens, attempts=attempts)
    return replace(evidence, model_requests={**evidence.model_requests, 0: requests})


def with_histories(change: Callable[[list[MessageHistory]], object]) -> Evidence:
    evidence = correct_evidence()
    histories = list(evidence.histories)
    change(histories)
    return replace(evidence, histories=histories)


def with_revision(text: str, note: str) -> Evidence:
    """Returns evidence whose first reply got one more edit at 9 s."""
    return with_histories(lambda histories: histories[0].revisions.append(Revision(9, text, note)))


def with_job(**changes: object) -> Evidence:
    evidence = correct_evidence()
    return replace(evidence, jobs=[replace(evidence.jobs[0], **changes), evidence.jobs[1]])  # type: ignore[arg-type]


def posted_again(deleted_s: float | None = 4.0) -> Evidence:
    """Returns evidence of a first answer whose end was posted in a new message, below the second question's reply."""
    evidence = correct_evidence()
    old, later = evidence.histories
    end = replace(old, ts="107.000000", revisions=[old.revisions.pop()])
    old.deleted_s = deleted_s
    job = replace(evidence.jobs[0], page_ts=(end.ts,))
    return replace(evidence, histories=[old, later, end], jobs=[job, evidence.jobs[1]])


def batched(**changes: object) -> Evidence:
    """Returns evidence of a queued first question that was answered with the second one."""
    evidence = correct_evidence()
    placeholder, later = evidence.histories
    placeholder.revisions[:] = [Revision(1.5, "", f"_{texts.answers.QUEUED}_")]
    placeholder.deleted_s = 5.0
    fields = {"state": "batched", "answer": "", "answered_with": later.question_ts, **changes}
    job = replace(evidence.jobs[0], **fields)  # type: ignore[arg-type]
    combined = ModelRequest(5.0, 30, RequestEnd.WHOLE, frozenset({0, 1}))
    return replace(evidence, jobs=[job, evidence.jobs[1]], model_requests={1: [combined]})


def with_remark(evidence: Evidence, ts: str = "103.000001") -> Evidence:
    """Returns the evidence with a message that must not be answered."""
    plan = PlannedRemark(0, 3.0, THREAD, "grace", "ada", RemarkKind.ASIDE)
    return replace(evidence, remarks=[Remark(plan, "C1", ts, ROOT, 3.0)])


def with_an_answered_remark(**changes: object) -> Evidence:
    evidence = with_remark(correct_evidence())
    answer_to_it = replace(complete_reply(2, 6.5), question_ts="103.000001")
    return replace(evidence, histories=[*evidence.histories, replace(answer_to_it, **changes)])  # type: ignore[arg-type]


def with_a_recorded_remark() -> Evidence:
    """Returns evidence where a message that must not be answered was answered with the second question."""
    evidence = with_remark(correct_evidence())
    job = replace(evidence.jobs[1], ts="103.000001", state="batched", answer="", answered_with="101.000001")
    return replace(evidence, jobs=[*evidence.jobs, job])


def batched_with_a_leftover_placeholder() -> Evidence:
    evidence = batched()
    evidence.histories[0].deleted_s = None
    return evidence


def edited(at_s: float, number: int) -> Evidence:
    """Returns evidence of an edited second question whose answer is to question `number`."""
    evidence = correct_evidence()
    [first, second], histories = evidence.questions, [complete_reply(0, 1.5), complete_reply(number, 5.5)]
    histories[1].question_ts = second.ts
    job = replace(evidence.jobs[1], version=int(number > 1), answer=text(number))
    requests = {**evidence.model_requests, number: evidence.model_requests[1]}
    changed = replace(second, changed="edit", changed_s=at_s)
    return replace(
        evidence, questions=[first, changed], histories=histories, jobs=[evidence.jobs[0], job], model_requests=requests
    )


def edited_while_no_process_ran(*later: int) -> Evidence:
    """Returns evidence of a question edited during a crash. The next process showed these numbers of words."""
    evidence = edited(6.8, 1 + EDITED_NUMBER)
    _, half, _ = evidence.histories[1].revisions
    revisions = [replace(half, at_s=half.at_s + 0.1, text=text(1 + EDITED_NUMBER, words)) for words in later]
    evidence.histories[1].revisions[1:2] = [replace(half, text=text(1, 9)), *revisions]
    return replace(evidence, jobs=[evidence.jobs[0], replace(evidence.jobs[1], version=0)])


def begun_before_an_older_question_arrived() -> Evidence:
    """Returns evidence of a second question claimed by a process that died, and a first one delivered late."""
    evidence = correct_evidence()
    histories = [complete_reply(0, 8.0), complete_reply(1, 5.5)]
    histories[1].revisions[1:] = [
        replace(revision, at_s=revision.at_s + 2.8) for revision in histories[1].revisions[1:]
    ]
    jobs = [
        replace(evidence.jobs[0], created_at=1006.0, page_ts=("108.000000",)),
        replace(evidence.jobs[1], attempts=2),
    ]
    return replace(
        evidence,
        histories=histories,
        jobs=jobs,
        model_requests={0: [ModelRequest(7.8, 30, RequestEnd.WHOLE)], 1: [ModelRequest(8.2, 30, RequestEnd.WHOLE)]},
    )


def begun_before_an_older_question_arrived_and_posted_again() -> Evidence:
    """Returns the same evidence, where the end of the second answer was posted in a new message."""
    evidence = begun_before_an_older_question_arrived()
    first, old = evidence.histories
    end = replace(old, ts="109.000000", revisions=[old.revisions.pop()])
    old.revisions[1:] = []
    old.deleted_s = end.last.at_s + 0.5
    jobs = [evidence.jobs[0], replace(evidence.jobs[1], page_ts=(end.ts,))]
    return replace(evidence, histories=[first, old, end], jobs=jobs)


def released_before_an_older_question_arrived(known_s: float = 6.0) -> Evidence:
    """Returns evidence of a second question that a process released before it showed or requested anything."""
    evidence = correct_evidence()
    histories = [complete_reply(0, 9.5), complete_reply(1, 8.0)]
    jobs = [
        replace(evidence.jobs[0], created_at=1000.0 + known_s, page_ts=("109.500000",)),
        replace(evidence.jobs[1], attempts=2, page_ts=("108.000000",), created_at=1005.0),
    ]
    requests = {0: [ModelRequest(9.6, 30, RequestEnd.WHOLE)], 1: [ModelRequest(8.2, 30, RequestEnd.WHOLE)]}
    return replace(evidence, histories=histories, jobs=jobs, model_requests=requests)


def deleted(number: int = 1, *, gone: bool = True, **changes: object) -> Evidence:
    evidence = correct_evidence()
    asked, jobs = list(evidence.questions), list(evidence.jobs)
    asked[number] = replace(asked[number], changed="delete", changed_s=8.0)
    jobs[number] = replace(jobs[number], **changes)  # type: ignore[arg-type]
    evidence.histories[number].deleted_s = 8.5 if gone else None
    return replace(evidence, questions=asked, jobs=jobs)


def growing(evidence: Evidence) -> Evidence:
    for history in evidence.histories:
        history.revisions.pop()
    return evidence


def rate_limited(*at_s: float, granted_s: float = 0.0) -> Evidence:
    """Returns evidence with 429s, one call that Slack took, a fault from 2 s to 4 s and no database from 6 s to 7 s."""
    granted = CallRecord("chat.update", granted_s, 0.0, "C1", None, None, {})
    return replace(
        correct_evidence(),
        calls=[granted, *(replace(granted, at_monotonic_s=at, error="ratelimited") for at in at_s)],
        rate_limit_faults=[RateLimitFault("chat.update", 2.0, 4.0)],
        outages=[(6.0, 7.0)],
    )


@pytest.mark.parametrize(
    "evidence",
    [
        correct_evidence(),
        batched(),
        rate_limited(3.0),
        rate_limited(6.5),
        rate_limited(66.0, granted_s=6.5),
        first_answer_cut(texts.models.interrupted(goes_on=True), RequestEnd.HUNG_UP, interruptions=3),
        first_answer_cut(CUT_NOTE, RequestEnd.FAILED, interruptions=2),
        charged((CUT_REQUEST, REST), 30),
        charged((CUT_REQUEST, REST), 32),
        charged((CUT_REQUEST, replace(REST, end=RequestEnd.HUNG_UP)), 10),
        charged((CUT_REQUEST, REST), 10, attempts=2),
        edited(6.0, 1 + EDITED_NUMBER),
        edited(9.0, 1),
        edited_while_no_process_ran(),
        edited_while_no_process_ran(6),
        begun_before_an_older_question_arrived(),
        begun_before_an_older_question_arrived_and_posted_again(),
        released_before_an_older_question_arrived(),
        deleted(),
        deleted(0, gone=False),
        posted_again(),
        with_remark(correct_evidence()),
        with_remark(deleted(gone=False)),
    ],
)
def test_correct_evidence_has_no_violation(evidence: Evidence) -> None:
    assert violations(evidence) == []


@pytest.mark.parametrize(
    ("evidence", "sentence"),
    [
        (with_histories(lambda histories: histories.pop(0)), "never answered"),
        (with_histories(lambda histories: histories.append(replace(histories[0], ts="109.000000"))), "pages [0, 0]"),
        (with_histories(lambda histories: histories[0].revisions.pop()), "unfinished"),
        (with_revision(text(0, 20), ""), "shrank from 30 to 20"),
        (with_revision("", "Thinking…"), "shrank from 30 to 0"),
        (edited_while_no_process_ran(6, 4), "shrank from 6 to 4"),
        (posted_again(deleted_s=None), "pages [0, 0]"),
        (posted_again(deleted_s=3.2), "shrank from 9 to 0"),
        (with_revision(text(1), ""), "its messages read q1w1-30"),
        (with_revision(text(0) + " q0w30", ""), "q0w1-30, q0w30-30"),
        (with_revision(text(0) + " more", ""), "31 and 30 words"),
        (
            with_histories(lambda histories: histories.append(replace(histories[0], question_ts=""))),
            "answers no question",
        ),
        (with_histories(lambda histories: setattr(histories[0], "thread_ts", None)), "is in thread None"),
        (with_revision(text(0), "Again."), "'Again.'"),
        (with_revision(text(0), "Done."), "was answered from 5.00 s"),
        (
            released_before_an_older_question_arrived(known_s=4.0),
            "was answered from 8.00 s on, before the answer to q0",
        ),
        (with_histories(lambda histories: setattr(histories[1], "ts", "101.000000")), "above"),
        (with_job(state="running"), "its job is running"),
        (with_job(state="cut"), "its job is cut, and Slack shows 30 of 30 words"),
        (with_job(page_ts=()), "the database has its messages as ()"),
        (with_job(answer=text(0, 29)), "the database (whole) has another answer"),
        (with_job(ts="0"), "not in the database"),
        (replace(correct_evidence(), jobs=[*correct_evidence().jobs] * 2), "2 times in the database"),
        (with_an_answered_remark(), "remark 0, of somebody who did not ask (C1 103.000001, thread 100.000001) was an"),
        (with_an_answered_remark(deleted_s=9.0), "was answered in 106.500000"),
        (with_a_recorded_remark(), "is a question in the database: batched"),
        (with_remark(deleted(gone=False), ts="100.500000"), "is there, though nobody wrote after it"),
        (batched_with_a_leftover_placeholder(), f"says {f'_{texts.answers.QUEUED}_'!r}, and it was answered with q1"),
        (
            replace(batched(), model_requests={1: [ModelRequest(5.0, 30, RequestEnd.WHOLE)]}),
            "the model was not asked it",
        ),
        (batched(state="queued"), "its job is queued"),
        (replace(batched(), questions=batched().questions[:1]), "which is no later question of its thread"),
        (rate_limited(5.0), "over the budget at 5.00 s"),
        (rate_limited(30.0), "over the budget at 30.00 s"),
        (rate_limited(67.0, granted_s=6.5), "over the budget at 67.00 s"),
        (rate_limited(65.0, 66.0, granted_s=6.5), "over the budget at 66.00 s"),
        (first_answer_cut(CUT_NOTE, RequestEnd.FAILED), f"9 of 30 words and the notice {CUT_NOTE!r}"),
        (first_answer_cut(CUT_NOTE, RequestEnd.FAILED, interruptions=1), "9 of 30 words and the notice"),
        (first_answer_cut(CUT_NOTE, RequestEnd.FAILED), "[model: 0.50 s cut after 9 words]"),
        (
            first_answer_cut(texts.models.interrupted(goes_on=True), RequestEnd.HUNG_UP),
            "9 of 30 words and the notice",
        ),
        (charged((CUT_REQUEST, replace(REST, end=RequestEnd.MISLED)), 30), "a text that is no part of its answer"),
        (charged((CUT_REQUEST, REST), 40), "40 output tokens are on record, and the model charged 30"),
        (charged((CUT_REQUEST, REST), 20), "only 20 output tokens are on record, and the model charged 30 [model: "),
        (edited(6.0, 1), "word 1 is 'q1w1', not 'q10001w1'"),
        (deleted(gone=False), "is there, though nobody wrote after it"),
        (deleted(text="q1"), "its text is in the database"),
        (deleted(state="running"), "deleted, and its job is running"),
        (growing(deleted(0, gone=False)), "deleted, and 101.500000 says 'Writing…'"),
    ],
)
def test_violation_is_found(evidence: Evidence, sentence: str) -> None:
    assert any(sentence in violation for violation in violations(evidence)), violations(evidence)


OUTAGE_LINE = (
    "2026-11-20 08:00:00,000 ERROR bot.services.worker: worker: heartbeat failed: The database can't be used: no."
)
ENDING_LINE = (
    "2026-11-20 08:00:00,000 ERROR bot.services.reply_actions: action approve failed: "
    "the store is closed, because this process is ending"
)


@pytest.mark.parametrize(
    ("log", "excused", "sentence"),
    [
        ("2026-11-20 08:00:00,000 INFO bot.services.answer_attempt: job 1: attempt ended: end=whole", False, ""),
        (OUTAGE_LINE, True, ""),
        (ENDING_LINE, False, ""),
        (OUTAGE_LINE, False, "an error in its log: bot.services.worker: worker: heartbeat failed"),
        (
            "2026-11-20 08:00:00,000 ERROR bot.services.worker: it broke",
            True,
            "an error in its log: bot.services.worker: it broke",
        ),
        ("Traceback (most recent call last):\n  File\nKeyError: 1", True, "before KeyError: 1"),
        ("Task exception was never retrieved", False, "'never retrieved' 1 times"),
        ("the token is xoxb-1", False, "a secret is in its log"),
        ("the answer was q1w1 q1w2", False, "text of a question or an answer is in its log: 'q1w1'"),
        ("the call was q1s0c1", False, "text of a question or an answer is in its log: 'q1s0c1'"),
        ("the question was q1: 30 words", False, "text of a question or an answer"),
    ],
)
def test_log_fault_is_found(log: str, excused: bool, sentence: str) -> None:
    faults = log_faults(log, excused, ["xoxb-1"])
    assert any(sentence in fault for fault in faults) if sentence else not faults, faults


TOOL_QUESTION = PlannedQuestion(1, 1, THREAD, "ada", 30, 30, with_tools=True)
"""It has two calls: q1s0c0 reads, q1s0c1 writes."""
READ_CALL, WRITE_CALL = TOOL_QUESTION.tokens


def answer_with_tools(**seen: str) -> str:
    return f"{text(1)} {''.join(seen_words(list(seen.items()))).strip()}"


def call(token: str, state: str, version: int = 0) -> CallRow:
    is_write, begun = token == WRITE_CALL, state not in ("ready", "asked", "denied")
    return CallRow("C1", "101.000001", version, {"token": token}, is_write, state, begun)


def with_tools(read: str, write: str, arrived: tuple[int, int], **seen: str) -> Evidence:
    """Returns evidence of an answer with tools: the states of its calls on record, their arrivals, and what it says."""
    evidence = correct_evidence()
    shown = answer_with_tools(**({READ_CALL: read, WRITE_CALL: write} | seen))
    evidence.histories[1].revisions[-1] = replace(evidence.histories[1].last, text=shown)
    states = {"not-made": "denied"}
    return replace(
        evidence,
        questions=[evidence.questions[0], replace(evidence.questions[1], plan=TOOL_QUESTION)],
        jobs=[evidence.jobs[0], replace(evidence.jobs[1], answer=shown)],
        model_requests={**evidence.model_requests, 1: [ModelRequest(5.0, 32, RequestEnd.WHOLE)]},
        tool_calls=[call(READ_CALL, states.get(read, read)), call(WRITE_CALL, states.get(write, write))],
        calls_arrived={token: n for token, n in zip((READ_CALL, WRITE_CALL), arrived, strict=True) if n},
    )


@pytest.mark.parametrize(
    "evidence",
    [
        with_tools("done", "done", (1, 1)),
        with_tools("done", "done", (3, 1)),
        with_tools("done", "unknown", (1, 0)),
        with_tools("done", "unknown", (1, 1)),
        with_tools("done", "not-made", (1, 0)),
    ],
)
def test_correct_calls_have_no_violation(evidence: Evidence) -> None:
    assert [*violations(evidence), *tool_violations(evidence)] == []


def made_for_two_versions(write: str, second: str, arrived: int) -> Evidence:
    """Returns evidence of a question whose answer started over after a write was under way."""
    evidence = with_tools("done", "made-before", (1, arrived))
    first = [call(READ_CALL, "done"), call(WRITE_CALL, write)]
    calls = [*first, call(READ_CALL, "done", 1), *([call(WRITE_CALL, second, 1)] if second else [])]
    jobs = [evidence.jobs[0], replace(evidence.jobs[1], version=1)]
    return replace(evidence, tool_calls=calls, jobs=jobs)


def test_write_of_an_earlier_version_counts_once() -> None:
    assert tool_violations(made_for_two_versions("begun", "", 1)) == []


@pytest.mark.parametrize(
    ("evidence", "sentence"),
    [
        (with_tools("done", "done", (1, 2)), "the call q1s0c1 was made 2 times"),
        (with_tools("done", "done", (1, 0)), "q1s0c1 is done on record, and arrived 0 times"),
        (with_tools("done", "done", (0, 1)), "q1s0c0 is done on record, and arrived 0 times"),
        (with_tools("done", "not-made", (1, 1)), "q1s0c1 is denied on record, and arrived 1 times"),
        (with_tools("done", "not-made", (1, 1)), "q1s0c1 was made, and the database has not begun it"),
        (with_tools("done", "begun", (1, 1)), "its call q1s0c1 is begun, and the answer has ended"),
        (with_tools("done", "unknown", (1, 1), q1s0c1="done"), "it says q1s0c1=done, and the database unknown"),
        (replace(with_tools("done", "done", (1, 1)), tool_calls=[]), "it says q1s0c0=done, and the database has no"),
        (made_for_two_versions("done", "done", 2), "the call q1s0c1 was made 2 times"),
    ],
)
def test_violation_of_calls_is_found(evidence: Evidence, sentence: str) -> None:
    reported = tool_violations(evidence)
    assert any(sentence in violation for violation in reported), reported


def test_answer_that_names_not_all_its_calls_is_incomplete() -> None:
    evidence = with_tools("done", "done", (1, 1))
    shown = f"{text(1)} {READ_CALL}=done"
    evidence.histories[1].revisions[-1] = replace(evidence.histories[1].last, text=shown)
    assert any("31 of 32 words" in violation for violation in violations(evidence))


def joined(request: ModelRequest) -> Evidence:
    """Returns evidence of a second question that was read while the model used tools for the first."""
    evidence = correct_evidence()
    placeholder = evidence.histories[1]
    placeholder.revisions[:] = [Revision(1.5, "", f"_{texts.answers.QUEUED}_")]
    placeholder.deleted_s = 2.0
    first, second = evidence.jobs
    batched_job = replace(second, state="batched", answer="", answered_with=first.ts)
    calls = [CallRow("C1", first.ts, 0, {"token": "q0s0c0"}, True, "done", True)]
    return replace(evidence, jobs=[first, batched_job], model_requests={0: [request]}, tool_calls=calls)


def replied_to(decision: str) -> Evidence:
    """Returns evidence of a first answer that asked for an approval when its asker wrote the second question."""
    evidence = first_answer_cut(texts.approvals.replied_instead_text(["call"]), RequestEnd.WHOLE)
    first = replace(evidence.jobs[0], state="stopped")
    call = CallRow("C1", first.ts, 0, {"token": "q0s0c0"}, True, "denied", False, decision)
    return replace(evidence, jobs=[first, evidence.jobs[1]], tool_calls=[call])


def test_answer_may_end_early_only_if_its_asker_wrote_instead_of_deciding() -> None:
    assert violations(replied_to("replied")) == []
    reported = violations(replied_to("denied"))
    assert any("9 of 30 words" in violation for violation in reported), reported
    assert any("its job is stopped" in violation for violation in reported), reported


def test_question_read_between_steps_is_answered_with_the_earlier_one() -> None:
    read = ModelRequest(1.0, 30, RequestEnd.WHOLE, frozenset({0, 1}))
    assert violations(joined(read)) == []
    unread = replace(read, question_numbers=frozenset({0}))
    assert any("the model was not asked it" in violation for violation in violations(joined(unread)))


@pytest.mark.parametrize(("output_tokens", "is_right"), [(30, True), (40, False)])
def test_new_version_that_answers_a_joined_question_charges_for_both(output_tokens: int, is_right: bool) -> None:
    evidence = joined(REST)
    evidence.histories[0].revisions.append(Revision(4.0, text(1), ""))
    job = replace(evidence.jobs[0], version=1, answer=text(1), output_tokens=output_tokens)
    evidence = replace(
        evidence,
        jobs=[job, evidence.jobs[1]],
        model_requests={0: [CUT_REQUEST], 1: [replace(REST, question_numbers=frozenset({0, 1}))]},
        tool_calls=[replace(call, version=1) for call in evidence.tool_calls],
    )
    assert (violations(evidence) == []) is is_right, violations(evidence)


def audited(evidence: Evidence, entries: Sequence[dict[str, Any]]) -> Evidence:
    return replace(evidence, audit=[{"id": number, **facts} for number, facts in enumerate(entries, 1)])


def entry(kind: str, ts: str = "101.000001", **facts: Any) -> dict[str, Any]:
    return {"kind": kind, "channel": "C1", "ts": ts, **facts}


def of_call(index: int, kind: str = "call", **facts: Any) -> dict[str, Any]:
    return entry(kind, version=0, step=0, index=index, **facts)


ANSWERED = with_tools("done", "done", (1, 1))
CALLED = replace(
    ANSWERED,
    tool_calls=[
        replace(row, index=at, decision="approved" if row.is_write else None)
        for at, row in enumerate(ANSWERED.tool_calls)
    ],
)
ENTRIES = [
    entry("question", "100.000001"),
    entry("answer", "100.000001", end="whole"),
    entry("question"),
    of_call(0, state="begun"),
    of_call(0, state="begun"),
    of_call(0, state="done"),
    of_call(1, "decision", decision="approved"),
    of_call(1, state="begun"),
    of_call(1, state="done"),
    entry("answer", end="stepped"),
    entry("answer", end="whole"),
]


def test_audit_of_each_event_has_no_violation() -> None:
    assert audit_violations(audited(CALLED, ENTRIES)) == []


def without(number: int) -> list[dict[str, Any]]:
    return [*ENTRIES[:number], *ENTRIES[number + 1 :]]


@pytest.mark.parametrize(
    ("entries", "sentence"),
    [
        (without(0), "the question 100.000001 is in the audit 0 times"),
        (without(1), "the answer to 100.000001 is whole, and the audit has None"),
        (without(5), "is done, and the audit has 0 × done"),
        (without(6), "was decided 1 times, and 0 times in the audit"),
        (without(7), "is done, and the audit has 0 × begun"),
        (without(8), "is done, and the audit has 0 × done"),
        (without(10), "the answer to 101.000001 is whole, and the audit has"),
        ([*ENTRIES, entry("question")], "the question 101.000001 is in the audit 2 times"),
        ([*ENTRIES, of_call(1, state="begun")], "is done, and the audit has 2 × begun"),
        ([*ENTRIES, of_call(0, state="done")], "is done, and the audit has 2 × done"),
        ([*ENTRIES, of_call(1, "decision", decision="denied")], "was decided 1 times, and 2 times in the audit"),
        ([*ENTRIES, entry("answer", end="whole", note=WRITE_CALL)], "entry 12 of the audit has a token"),
    ],
)
def test_event_without_its_entry_and_entry_without_its_event_are_found(
    entries: Sequence[dict[str, Any]], sentence: str
) -> None:
    reported = audit_violations(audited(CALLED, entries))
    assert any(sentence in violation for violation in reported), reported


def test_call_that_was_not_begun_is_found() -> None:
    denied = with_tools("done", "not-made", (1, 0))
    calls = [replace(call, index=at) for at, call in enumerate(denied.tool_calls)]
    [unbegun] = audit_violations(
        audited(replace(denied, tool_calls=calls), [*ENTRIES[:6], *ENTRIES[7:8], *ENTRIES[9:]])
    )
    assert unbegun.endswith("was not begun, and the audit says so")
