"""Writes the timeline of a chaos run for debugging: questions, model requests, Slack calls and messages by time."""

from collections.abc import Iterator
from operator import itemgetter
from pathlib import Path

from benchmarks.invariants import Evidence
from benchmarks.question_plan import words_in


def write_timeline(evidence: Evidence, path: Path) -> None:
    """Writes one line for each event. Times are seconds since the run began."""
    events = sorted(_events(evidence), key=itemgetter(0))
    path.write_text("".join(f"{at_s - evidence.began_s:8.2f} s  {what}\n" for at_s, what in events))


def _events(evidence: Evidence) -> Iterator[tuple[float, str]]:
    names = {(question.channel, question.ts): f"q{question.plan.number}" for question in evidence.questions}
    names |= {(remark.channel, remark.ts): f"remark {remark.plan.number}" for remark in evidence.remarks}
    for question in evidence.questions:
        yield question.at_s, f"q{question.plan.number} is asked: {question.plan.words} words, {question.name}"
        for count, request in enumerate(evidence.model_requests.get(question.plan.number, ()), start=1):
            yield request.at_s, f"q{question.plan.number} goes to the model: request {count}, {request.described}"
    for remark in evidence.remarks:
        yield remark.at_s, f"{remark.name} is written"
    for history in evidence.histories:
        name = names.get((history.channel, history.question_ts), "?")
        for revision in history.revisions:
            shown = f"{len(words_in(revision.text))} words {revision.note!r}"
            yield revision.at_s, f"{name} shows {shown} in {history.ts}, page {history.page}"
        if history.deleted_s is not None:
            yield history.deleted_s, f"{name}: {history.ts} is deleted"
    for call in evidence.calls:
        yield call.at_monotonic_s, f"{call.method} {call.channel or ''} {call.ts or ''} {call.error or ''}"
    for since, until in evidence.outages:
        yield since, "the database is unavailable"
        yield until, "the database is available again"
