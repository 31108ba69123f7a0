"""Checks the invariants of a chaos run on the recorded evidence. Pure: no I/O, no clock.

Each question must have one complete answer to its newest text, in its thread and in order, or none if it was deleted.
No other message may be answered. Slack and the database must agree, and all usage must be recorded exactly once. A
violation lists the requests for the answer, and which of these the model's vendor failed.
"""

import math
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise
from operator import itemgetter
from typing import Any, Literal

from benchmarks.databases import CallRow, RecordedJob
from benchmarks.faults import RateLimitFault
from benchmarks.message_recorder import MessageHistory
from benchmarks.question_plan import (
    EDITED_NUMBER,
    WORDS_A_LINE,
    PlannedQuestion,
    PlannedRemark,
    answer,
    in_order,
    words_in,
)
from benchmarks.scripted_model import ModelRequest, RequestEnd
from benchmarks.tool_plan import seen_in
from bot.core import texts
from bot.core.calls import Decision
from bot.core.job import Status
from bot.errors import EndReason
from slack_sandbox.web_api.http import CallRecord

LIVE_STATES = tuple(status.value for status in Status if status is not Status.ENDED)
INTERRUPTED = re.compile(r"interrupted three times|Press Continue")
INTERRUPTIONS = 2
"""So often an answer goes on by itself; the next interruption or failure of its model ends it."""
UNCOUNTED_TOKENS = 2
"""For each request, rounding and a last word may make the bot's count of a broken stream differ by so many tokens."""
UNFINISHED_NOTES = (
    texts.answers.THINKING,
    texts.answers.WRITING,
    texts.answers.QUEUED,
    texts.approvals.decide_until(""),
    texts.approvals.running_text("call", "", "", "").partition(":")[0],
)
CLAIM_DELAY_S = 1.0
"""A claim is stamped with the time of its request. It may then wait this long for another transaction."""
SIMULTANEOUS_S = 0.5
"""Rows committed less than this long before a claim may be invisible to it."""
MINUTE_S = 60.0
RECOUNT_S = 5.0
"""After a database outage, all processes count in the shared rate ledger again within this time."""


@dataclass(frozen=True)
class AskedQuestion:
    """A question that a person wrote in the sandbox."""

    plan: PlannedQuestion
    channel: str
    """The channel's ID."""
    ts: str
    thread_ts: str | None
    """The thread of the reply; None at the root of a direct message."""
    at_s: float
    """When it was written, in monotonic seconds."""
    changed: Literal["edit", "delete"] | None = None
    """What its author did with it later."""
    changed_s: float = 0.0
    """When the bot acknowledged the change, in monotonic seconds."""

    @property
    def thread(self) -> tuple[str, str | None]:
        return self.channel, self.thread_ts

    @property
    def name(self) -> str:
        return f"q{self.plan.number} ({self.channel} {self.ts}, thread {self.thread_ts})"


@dataclass(frozen=True)
class Remark:
    """A message in a channel that must not be answered."""

    plan: PlannedRemark
    channel: str
    """The channel's ID."""
    ts: str
    thread_ts: str
    """The thread that it is in or opens."""
    at_s: float
    """When it was written, in monotonic seconds."""

    @property
    def thread(self) -> tuple[str, str]:
        return self.channel, self.thread_ts

    @property
    def name(self) -> str:
        return f"remark {self.plan.number}, {self.plan.kind} ({self.channel} {self.ts}, thread {self.thread_ts})"


@dataclass(frozen=True)
class Evidence:
    """Everything that was recorded in one run."""

    questions: Sequence[AskedQuestion]
    histories: Sequence[MessageHistory]
    model_requests: Mapping[int, Sequence[ModelRequest]]
    calls: Sequence[CallRecord]
    rate_limit_faults: Sequence[RateLimitFault]
    outages: Sequence[tuple[float, float]]
    """When the database was unavailable: start and end in monotonic seconds."""
    jobs: Sequence[RecordedJob]
    began_s: float
    """Start of the run in monotonic seconds. Reported times count from here."""
    clock_offset_s: float
    """Add this to monotonic seconds to get seconds since the epoch."""
    pings: Mapping[tuple[str, str], int] = field(default_factory=dict)
    """Number of "answer is ready" messages by channel and question ts, and of mentions for each approval."""
    tool_calls: Sequence[CallRow] = ()
    """The calls of tools that the database has."""
    calls_arrived: Mapping[str, int] = field(default_factory=dict)
    """How often each call reached the tools' server, by its token."""
    audit: Sequence[Mapping[str, Any]] = ()
    """The entries of the audit, as they are exported."""
    remarks: Sequence[Remark] = ()

    def at(self, monotonic_s: float) -> str:
        """Formats a monotonic time as seconds since the run began."""
        return f"{monotonic_s - self.began_s:.2f} s"

    def replies(self, question: AskedQuestion) -> list[MessageHistory]:
        """Returns the undeleted messages that answer a question, ordered by page."""
        present = [history for history in self.all_messages(question) if history.deleted_s is None]
        return sorted(present, key=lambda history: (history.page, history.ts))

    def all_messages(self, question: AskedQuestion) -> list[MessageHistory]:
        """Returns all messages that ever answered a question, in the order of posting."""
        key = (question.channel, question.ts)
        return [history for history in self.histories if (history.channel, history.question_ts) == key]

    def job(self, question: AskedQuestion) -> RecordedJob | None:
        return next((job for job in self.jobs if (job.channel, job.ts) == (question.channel, question.ts)), None)

    def answered_with(self, question: AskedQuestion) -> str | None:
        """Returns the ts of the later question that this one was batched with, or None."""
        job = self.job(question)
        return None if job is None else job.answered_with

    def requests_for(self, question: AskedQuestion) -> str:
        """Returns what became of each request for a question's answer, and when it came; "" if there is none."""
        numbers = question.plan.number, question.plan.edited.number
        requests = [request for number in numbers for request in self.model_requests.get(number, ())]
        described = [f"{self.at(request.at_s)} {request.described}" for request in requests]
        return f" [model: {'; '.join(described)}]" if described else ""

    def joined(self, question: AskedQuestion) -> list[AskedQuestion]:
        """Returns the later questions that were read while the model used tools for this one."""
        return [
            other
            for other in self.questions
            if other.thread == question.thread and other.ts > question.ts and self.answered_with(other) == question.ts
        ]

    def calls_for(self, question: AskedQuestion) -> list[CallRow]:
        """Returns the calls of the newest version of an answer."""
        job = self.job(question)
        version = job.version if job else 0
        key = (question.channel, question.ts, version)
        return [call for call in self.tool_calls if (call.channel, call.question_ts, call.version) == key]


def violations(evidence: Evidence) -> list[str]:
    """Returns one sentence for each violated invariant."""
    sentences = [*_unrelated_messages(evidence), *_answered_remarks(evidence), *_over_budget(evidence)]
    for asked in evidence.questions:
        question, requests = _as_answered(evidence, asked), evidence.requests_for(asked)
        found = [*_check_question(evidence, question), *_check_requests(evidence, asked)]
        sentences += [f"{question.name}: {sentence}{requests}" for sentence in found]
    sentences += [f"{ts} was announced {times} times" for (_, ts), times in evidence.pings.items() if times > 1]
    return [*sentences, *_check_order_of_threads(evidence)]


def _check_question(evidence: Evidence, question: AskedQuestion) -> Iterator[str]:
    if question.changed == "delete":
        yield from _deleted(evidence, question)
    elif evidence.answered_with(question) is not None:
        yield from _check_batched(evidence, question)
    else:
        pages = evidence.replies(question)
        yield from _check_placement(question, pages)
        yield from _check_text(evidence, question, pages)
        yield from _check_record(evidence, question, pages)
        yield from _check_growth(evidence, question, evidence.all_messages(question))


def _as_answered(evidence: Evidence, question: AskedQuestion) -> AskedQuestion:
    """Returns the question with its edited text, unless its answer had ended before the edit."""
    pages, job, edited = evidence.replies(question), evidence.job(question), question.plan.edited
    says_new = any(number == edited.number for page in pages for number, _ in words_in(page.last.text))
    is_new = says_new or (job is not None and job.version > 0)
    ended_before = bool(pages) and pages[-1].last.at_s < question.changed_s + SIMULTANEOUS_S
    if job is not None and job.version:
        # A new version has read the questions that joined from the start. The model answers the last one.
        for other in reversed(evidence.joined(question)):
            plans = (other.plan.edited, other.plan)
            shown = {number for page in pages for number, _ in words_in(page.last.text)}
            if plan := next((plan for plan in plans if plan.number in shown), None):
                return replace(question, plan=plan)
    if question.changed != "edit" or (ended_before and not is_new):
        return question
    return replace(question, plan=edited)


def keeps_reply(question: AskedQuestion, written: Sequence[AskedQuestion | Remark]) -> bool:
    """Returns whether the reply to a deleted question may stay: someone wrote later in the thread."""
    return any(other.thread == question.thread and other.ts > question.ts for other in written)


def _deleted(evidence: Evidence, question: AskedQuestion) -> Iterator[str]:
    """Checks that a deleted question has no growing reply and that its text was erased."""
    job, pages = evidence.job(question), evidence.replies(question)
    if job is None or job.state in LIVE_STATES:
        yield f"deleted, and its job is {job and job.state}"
    elif job.text:
        yield "deleted, and its text is in the database"
    if growing := [page for page in pages if _growing(page)]:
        yield f"deleted, and {growing[0].ts} says {growing[0].last.note!r}"
    if pages and not keeps_reply(question, [*evidence.questions, *evidence.remarks]):
        yield f"deleted, and its reply {pages[0].ts} is there, though nobody wrote after it"


def finished(question: AskedQuestion, pages: Sequence[MessageHistory]) -> bool:
    """Returns whether Slack shows the end of this reply: no page still says that it is being written."""
    return bool(pages) and not any(_growing(page) for page in pages)


def _growing(page: MessageHistory) -> bool:
    return any(note in page.last.note for note in UNFINISHED_NOTES)


def _unrelated_messages(evidence: Evidence) -> Iterator[str]:
    """Finds bot messages that belong to no known question or remark."""
    known = {(question.channel, question.ts) for question in evidence.questions}
    known |= {(remark.channel, remark.ts) for remark in evidence.remarks}
    for history in evidence.histories:
        # A native stream whose start got no answer is deleted before it has metadata.
        is_lost_stream = not history.question_ts and history.deleted_s is not None
        if (history.channel, history.question_ts) not in known and not is_lost_stream:
            shown = history.last
            yield f"{history.channel} {history.ts} answers no question: {shown.text[:60]!r} {shown.note!r}"


def _answered_remarks(evidence: Evidence) -> Iterator[str]:
    """Finds messages that were answered, or taken for questions, and should not have been."""
    for remark in evidence.remarks:
        key = remark.channel, remark.ts
        if answers := [history for history in evidence.histories if (history.channel, history.question_ts) == key]:
            yield f"{remark.name} was answered in {', '.join(answer.ts for answer in answers)}"
        if states := [job.state for job in evidence.jobs if (job.channel, job.ts) == key]:
            yield f"{remark.name} is a question in the database: {', '.join(states)}"


def unexpected_rate_limits(evidence: Evidence) -> list[CallRecord]:
    """Returns the calls that got 429 outside the injected rate-limit faults."""
    faults = [(fault.method, fault.began_s, fault.ended_s) for fault in evidence.rate_limit_faults]
    refused = [call for call in evidence.calls if call.error == "ratelimited"]
    return [
        call
        for call in refused
        if not any(method == call.method and since <= call.at_monotonic_s <= until for method, since, until in faults)
    ]


def _over_budget(evidence: Evidence) -> Iterator[str]:
    """Finds calls over Slack's budget.

    During a database outage, processes can't share the rate ledger. Each call that left then may cost one 429 in the
    minute for which Slack counts it.
    """
    refused = unexpected_rate_limits(evidence)
    for call in refused:
        minute = [
            other
            for other in evidence.calls
            if other.method == call.method and 0 <= call.at_monotonic_s - other.at_monotonic_s <= MINUTE_S
        ]
        uncounted = [other for other in minute if _in_outage(evidence, other)]
        if sum(other in refused for other in minute) > len(uncounted):
            yield f"{call.method} was over the budget at {evidence.at(call.at_monotonic_s)}"


def _in_outage(evidence: Evidence, call: CallRecord) -> bool:
    return any(since <= call.at_monotonic_s <= until + RECOUNT_S for since, until in evidence.outages)


def _check_batched(evidence: Evidence, question: AskedQuestion) -> Iterator[str]:
    """Checks a question that was answered with another one of its thread: the model must have got both."""
    ts = evidence.answered_with(question)
    other = next((other for other in evidence.questions if (other.thread, other.ts) == (question.thread, ts)), None)
    if other is None or (other.ts < question.ts and not _used_tools(evidence, other)):
        yield f"answered with {ts}, which is no later question of its thread"
        return
    if evidence.answered_with(other) is not None:
        yield f"answered with {other.name}, which has no answer of its own"
    if pages := evidence.replies(question):
        yield f"unfinished: {pages[0].ts} says {pages[0].last.note!r}, and it was answered with {other.name}"
    is_joined = other.ts < question.ts
    other = _as_answered(evidence, other)
    numbers = {question.plan.number, question.plan.number % EDITED_NUMBER}
    unasked = [not numbers & request.question_numbers for request in evidence.model_requests.get(other.plan.number, ())]
    # An edit of the other question starts a new answer, so its requests are not compared.
    if other.changed is None and (all(unasked) if is_joined else any(unasked)):
        yield f"answered with {other.name}, and the model was not asked it"
    job = evidence.job(question)
    if job is None or job.state != EndReason.BATCHED or job.answer:
        yield f"answered with {other.name}, and its job is {job and job.state}"


def _used_tools(evidence: Evidence, question: AskedQuestion) -> bool:
    """Returns whether the model made calls for a question. Then later ones may have been read in between."""
    key = (question.channel, question.ts)
    return any((call.channel, call.question_ts) == key for call in evidence.tool_calls)


def _check_placement(question: AskedQuestion, pages: Sequence[MessageHistory]) -> Iterator[str]:
    """Checks that each page has one message, in the question's thread."""
    if not pages:
        yield "never answered"
    numbers = [page.page for page in pages]
    if numbers != list(range(len(pages))):
        yield f"pages {numbers}, messages {[page.ts for page in pages]}"
    for page in pages:
        if page.thread_ts != question.thread_ts:
            yield f"{page.ts} is in thread {page.thread_ts}"


def _check_text(evidence: Evidence, question: AskedQuestion, pages: Sequence[MessageHistory]) -> Iterator[str]:
    """Checks that the answer is complete, or a prefix with a notice of what a person or crashes did to it."""
    if not pages:
        return
    if growing := [page for page in pages if _growing(page)]:
        yield f"unfinished: {growing[0].ts} says {growing[0].last.note!r}"
        return
    shown = " ".join(page.last.text for page in pages).split()
    seen = seen_in(" ".join(shown))
    if [token for token, _ in seen] != question.plan.tokens[: len(seen)]:
        yield f"it says of calls {seen}, planned were {question.plan.tokens}"
    # What became of its calls is checked against the database (tool_invariants.py).
    ends = [f"{token}={what}" for token, what in seen]
    whole = [*"".join(answer(question.plan.number, question.plan.words)).split(), *ends]
    is_whole = len(shown) == question.plan.shown_words
    note = _note(pages)
    if shown == whole and is_whole and not note:
        return
    if shown != whole[: len(shown)]:
        yield f"garbled: {_difference(shown, whole)}"
    job = evidence.job(question)
    if INTERRUPTED.search(note) and job is not None and job.interruptions >= INTERRUPTIONS:
        return
    if note.startswith(texts.approvals.replied_instead_text(["call"])) and _was_replied_to(evidence, question):
        return
    yield f"{len(shown)} of {question.plan.shown_words} words and the notice {note!r}"


def _note(pages: Sequence[MessageHistory]) -> str:
    """Returns the notices below an answer, without the one about an edit of its question, which changes nothing."""
    return " ".join(page.last.note.replace(texts.answers.QUESTION_EDITED, "") for page in pages).strip()


def _check_record(evidence: Evidence, question: AskedQuestion, pages: Sequence[MessageHistory]) -> Iterator[str]:
    """Checks that the database has the same messages and text as Slack."""
    job = evidence.job(question)
    if job is None:
        yield "not in the database"
        return
    if (times := sum((job.channel, job.ts) == (question.channel, question.ts) for job in evidence.jobs)) > 1:
        yield f"{times} times in the database"
    is_stop = job.state not in LIVE_STATES and EndReason(job.state).is_stop
    if job.state in LIVE_STATES or (is_stop and not _was_replied_to(evidence, question)):
        yield f"its job is {job.state} after {job.attempts} attempts"
        return
    if job.page_ts != tuple(page.ts for page in pages):
        yield f"the database has its messages as {job.page_ts}, Slack has {[page.ts for page in pages]}"
    shown = " ".join(page.last.text for page in pages).split()
    if (job.answer or "").split() != shown:
        yield f"the database ({job.state}) has another answer: {_difference((job.answer or '').split(), shown)}"
    whole = len(shown) == question.plan.shown_words and not _note(pages)
    if EndReason(job.state).is_answer != whole:
        yield f"its job is {job.state}, and Slack shows {len(shown)} of {question.plan.shown_words} words"


def _check_requests(evidence: Evidence, question: AskedQuestion) -> Iterator[str]:
    """Checks what the model was asked, and that what it charged for all versions is on record once.

    The question is as it was asked first: an answer that shows a joined question's words charged for its own, too.
    """
    job = evidence.job(question)
    if job is None or question.changed == "delete" or job.answered_with is not None:
        return
    asked = [question.plan.number, *(other.plan.number for other in evidence.joined(question))]
    numbers = [number + edited for number in asked for edited in (0, EDITED_NUMBER)]
    requests = [request for number in numbers for request in evidence.model_requests.get(number, ())]
    if any(request.end is RequestEnd.MISLED for request in requests):
        yield "the model was asked to go on after a text that is no part of its answer"
    charged, unsure = sum(request.output_tokens for request in requests), UNCOUNTED_TOKENS * len(requests)
    if job.output_tokens > charged + unsure:
        yield f"{job.output_tokens} output tokens are on record, and the model charged {charged}"
    # A process that dies, or loses its job, may not know what its last request has used.
    knows_all = job.attempts <= 1 and not any(request.end is RequestEnd.HUNG_UP for request in requests)
    if knows_all and job.output_tokens < charged - unsure:
        yield f"only {job.output_tokens} output tokens are on record, and the model charged {charged}"


def _was_replied_to(evidence: Evidence, question: AskedQuestion) -> bool:
    """Returns whether its asker wrote in the thread instead of deciding about a call, which ends the answer."""
    wrote = any(
        (other.thread, other.plan.person) == (question.thread, question.plan.person) and other.ts > question.ts
        for other in evidence.questions
    )
    return wrote and any(call.decision == Decision.REPLIED for call in evidence.calls_for(question))


def _check_growth(evidence: Evidence, question: AskedQuestion, histories: Sequence[MessageHistory]) -> Iterator[str]:
    """Checks that the visible answer only grows over all its messages, unless a new version starts over."""
    job = evidence.job(question)
    if job is not None and job.version:
        return
    revisions: list[tuple[float, MessageHistory, str | None]] = [
        (revision.at_s, history, revision.text) for history in histories for revision in history.revisions
    ]
    revisions += [(history.deleted_s, history, None) for history in histories if history.deleted_s is not None]
    # An end that is posted again replaces an earlier message of its page, which is deleted afterwards.
    page_texts: dict[tuple[int, str], str] = {}
    shown_words = newest_number = 0
    for at_s, history, text in sorted(revisions, key=itemgetter(0)):
        page_texts.pop((history.page, history.ts), None)
        if text is not None:
            page_texts[history.page, history.ts] = text
        newest = {page: page_texts[page, ts] for page, ts in sorted(page_texts)}
        words = [word for page in sorted(newest) for word in words_in(newest[page])]
        # After a crash, the next process reads the question's edited text from Slack.
        if not any(in_order(words, number) for number in {question.plan.number, question.plan.number % EDITED_NUMBER}):
            yield f"at {evidence.at(at_s)} its messages read {_places(words)}"
            return
        if words and words[0][0] > newest_number:
            # The answer to the edited question replaces the earlier one from its first word.
            newest_number, shown_words = words[0][0], 0
        # A full page hands its last line to the next page.
        handed_on = WORDS_A_LINE + 1 if any(other.page == history.page + 1 for other in histories) else 0
        if len(words) < shown_words - handed_on:
            yield f"shrank from {shown_words} to {len(words)} words at {evidence.at(at_s)}, in {history.ts}"
        shown_words = len(words)


def _check_order_of_threads(evidence: Evidence) -> Iterator[str]:
    """Checks that each thread has one answer at a time, in the order of its recorded questions."""
    threads: dict[tuple[str, str | None], list[AskedQuestion]] = {}
    unbatched = [question for question in evidence.questions if evidence.answered_with(question) is None]
    # Questions batched with a deleted one are answered later than their order says.
    skipped = {question.thread for question in evidence.questions if question.changed == "delete"}
    for question in sorted(unbatched, key=lambda question: question.ts):
        if question.thread not in skipped:
            threads.setdefault(question.thread, []).append(question)
    for thread in threads.values():
        for earlier, later in pairwise(thread):
            # While an answer waits for an approval, others of its thread go on.
            if not any(call.decided for call in evidence.calls_for(earlier)):
                yield from _check_order(evidence, earlier, later)


def _check_order(evidence: Evidence, earlier: AskedQuestion, later: AskedQuestion) -> Iterator[str]:
    before, after = evidence.replies(earlier), evidence.replies(later)
    jobs = evidence.job(earlier), evidence.job(later)
    if not before or not after or jobs[0] is None or jobs[1] is None:
        return
    begun_s = _begun_s(evidence, later, jobs[1])
    ended_s = max(page.last.at_s for page in before)
    known_s = jobs[0].created_at - evidence.clock_offset_s
    # An attempt that left no trace may have begun as soon as the question was known. What was begun goes on first.
    earliest_s = begun_s if jobs[1].attempts <= 1 else jobs[1].created_at - evidence.clock_offset_s
    if known_s + SIMULTANEOUS_S < min(begun_s, earliest_s) and begun_s < ended_s - CLAIM_DELAY_S:
        yield (
            f"{later.name} was answered from {evidence.at(begun_s)} on, "
            f"before the answer to {earlier.name} ended at {evidence.at(ended_s)}"
        )
    # An end that is posted again may stand below the placeholder of a question that is queued meanwhile.
    first_ts = min(history.ts for history in evidence.all_messages(earlier))
    if first_ts > after[0].ts and jobs[0].created_at + SIMULTANEOUS_S < jobs[1].created_at:
        yield f"{later.name} has its reply {after[0].ts} above {first_ts} of {earlier.name}"


def _begun_s(evidence: Evidence, question: AskedQuestion, job: RecordedJob) -> float:
    """Returns when an answer began: at its only claim, or else at the first request or visible text."""
    requested_s = [request.at_s for request in evidence.model_requests.get(question.plan.number, ())]
    shown_s = [
        revision.at_s
        # An end that is posted again replaces the message in which the answer began.
        for message in evidence.all_messages(question)
        for revision in message.revisions
        if texts.answers.QUEUED not in revision.note
    ]
    begun_s = min(requested_s + shown_s, default=math.inf)
    if job.attempts == 1 and job.started_at is not None:
        begun_s = min(begun_s, job.started_at - evidence.clock_offset_s)
    return begun_s


def _difference(shown: Sequence[str], whole: Sequence[str]) -> str:
    for place, (here, there) in enumerate(zip(shown, whole, strict=False)):
        if here != there:
            return f"word {place + 1} is {here!r}, not {there!r} ({len(shown)} and {len(whole)} words)"
    return f"{len(shown)} and {len(whole)} words"


def _places(words: Sequence[tuple[int, int]]) -> str:
    """Formats word positions as ranges, such as q3w1-40."""
    runs: list[tuple[int, int, int]] = []
    for number, place in words:
        if runs and runs[-1][0] == number and runs[-1][2] == place - 1:
            runs[-1] = (number, runs[-1][1], place)
        else:
            runs.append((number, place, place))
    return ", ".join(f"q{number}w{first}-{last}" for number, first, last in runs)
