"""A chaos run written down for who looks for the cause of a fault: what was asked, called, said and shown, by time."""

from collections.abc import Iterator
from pathlib import Path

from benchmarks.script import words_in
from benchmarks.verdict import Evidence


def write_account(found: Evidence, path: Path) -> None:
    """A line for each thing that happened; times are seconds from the run's beginning."""
    happened = sorted(_happened(found), key=lambda each: each[0])
    path.write_text("".join(f"{at_s - found.began_s:8.2f} s  {what}\n" for at_s, what in happened))


def _happened(found: Evidence) -> Iterator[tuple[float, str]]:
    names = {(asked.channel, asked.ts): f"q{asked.line.number}" for asked in found.asked}
    for asked in found.asked:
        yield asked.at_s, f"q{asked.line.number} is asked: {asked.line.words} words, {asked.name}"
        for count, attempt in enumerate(found.attempts.get(asked.line.number, ()), start=1):
            yield attempt.at_s, f"q{asked.line.number} goes to the model: request {count}, {attempt.told}"
    for life in found.lives:
        name = names.get((life.channel, life.question_ts), "?")
        for moment in life.moments:
            shown = f"{len(words_in(moment.text))} words {moment.note!r}"
            yield moment.at_s, f"{name} shows {shown} in {life.ts}, page {life.page}"
        if life.deleted_s is not None:
            yield life.deleted_s, f"{name} loses {life.ts}"
    for call in found.calls:
        yield call.at_monotonic_s, f"{call.method} {call.channel or ''} {call.ts or ''} {call.error or ''}"
    for since, until in found.outages:
        yield since, "the database is away"
        yield until, "the database is back"
