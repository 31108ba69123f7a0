"""What became of each question of a chaos run, and all that is not as it should be. Pure: reads what was recorded."""

import math
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise
from typing import Literal

from benchmarks.databases import Kept
from benchmarks.script import EDITED_NUMBER, WORDS_A_LINE, Line, answer, in_order, words_in
from benchmarks.speaker import Attempt, Told
from benchmarks.trouble import Storm
from benchmarks.watcher import Life
from bot.core import texts
from bot.core.job import EndReason, Status
from bot.errors import Failure
from sandbox.web_api import CallRecord

MODEL = "openai/scripted"
BROKEN_OFF = {
    Told.CUT: texts.model_failure(Failure.CUT, MODEL),
    Told.STALLED: texts.model_failure(Failure.STALLED, MODEL),
}
LIVE = tuple(status.value for status in Status if status is not Status.ENDED)
INTERRUPTED = re.compile(r"interrupted", re.IGNORECASE)
MOST_ATTEMPTS = 3
GROWING = (texts.THINKING, texts.WRITING, texts.QUEUED)
STAMPED_BEFORE_S = 1.0
"""A claim says when it was asked for, and may have waited for another one's transaction."""
SAME_TIME_S = 0.5
"""What is on record so little before may not have been seen yet."""
UNCOUNTED_S = 5.0
"""So soon after, all are counted together again."""


@dataclass(frozen=True)
class Asked:
    """A question as it was written."""

    line: Line
    channel: str
    """Its id."""
    ts: str
    thread_ts: str | None
    """Where the reply belongs."""
    at_s: float
    """Monotonic."""
    changed: Literal["edit", "delete"] | None = None
    """What its writer did with it."""
    changed_s: float = 0.0
    """When that was taken, monotonic."""

    @property
    def thread(self) -> tuple[str, str | None]:
        return self.channel, self.thread_ts

    @property
    def name(self) -> str:
        return f"q{self.line.number} ({self.channel} {self.ts}, thread {self.thread_ts})"


@dataclass(frozen=True)
class Evidence:
    """All that was recorded."""

    asked: Sequence[Asked]
    lives: Sequence[Life]
    attempts: Mapping[int, Sequence[Attempt]]
    calls: Sequence[CallRecord]
    storms: Sequence[Storm]
    outages: Sequence[tuple[float, float]]
    """From when to when the database was away, in monotonic seconds."""
    jobs: Sequence[Kept]
    began_s: float
    """Monotonic: sentences tell times from here on."""
    clock_offset_s: float
    """From monotonic seconds to those since the epoch."""
    pings: Mapping[tuple[str, str], int] = field(default_factory=dict)
    """How often an asker was told that the answer is whole, by channel and the question's ts."""

    def at(self, monotonic_s: float) -> str:
        """A time as sentences tell it."""
        return f"{monotonic_s - self.began_s:.2f} s"

    def replies(self, asked: Asked) -> list[Life]:
        """The messages that answer a question and were not taken away, page by page."""
        ours = [life for life in self.lives if (life.channel, life.question_ts) == (asked.channel, asked.ts)]
        return sorted((life for life in ours if life.deleted_s is None), key=lambda life: (life.page, life.ts))

    def job(self, asked: Asked) -> Kept | None:
        return next((job for job in self.jobs if (job.channel, job.ts) == (asked.channel, asked.ts)), None)

    def answered_with(self, asked: Asked) -> str | None:
        """The ts of the later question whose answer is this one's, too."""
        job = self.job(asked)
        return None if job is None else job.answered_with


def violations(found: Evidence) -> list[str]:
    """A sentence each; empty where all is well."""
    sentences = [*_strangers(found), *_limited(found)]
    for asked in (_as_answered(found, each) for each in found.asked):
        if asked.changed == "delete":
            sentences += [f"{asked.name}: {sentence}" for sentence in _deleted(found, asked)]
            continue
        if found.answered_with(asked) is not None:
            sentences += [f"{asked.name}: {sentence}" for sentence in _together(found, asked)]
            continue
        pages = found.replies(asked)
        for sentence in (*_placed(asked, pages), *_ended(found, asked, pages), *_kept(found, asked, pages)):
            sentences.append(f"{asked.name}: {sentence}")
        history = [life for life in found.lives if (life.channel, life.question_ts) == (asked.channel, asked.ts)]
        sentences += [f"{asked.name}: {sentence}" for sentence in _steps_back(found, asked, history)]
    sentences += [f"{ts} was announced {times} times" for (_, ts), times in found.pings.items() if times > 1]
    return [*sentences, *_out_of_order(found)]


def _as_answered(found: Evidence, asked: Asked) -> Asked:
    """With its newest words, but where its answer had ended before they were."""
    pages, job, edited = found.replies(asked), found.job(asked), asked.line.edited
    says_new = any(word[0] == edited.number for page in pages for word in words_in(page.last.text))
    is_new = says_new or (job is not None and job.version > 0)
    ended_before = bool(pages) and pages[-1].last.at_s < asked.changed_s + SAME_TIME_S
    if asked.changed != "edit" or (ended_before and not is_new):
        return asked
    return replace(asked, line=edited)


def stays(asked: Asked, everybody: Sequence[Asked]) -> bool:
    """Whether a person wrote after a question: what they wrote may be about its reply."""
    return any(each.thread == asked.thread and each.ts > asked.ts for each in everybody)


def _deleted(found: Evidence, asked: Asked) -> Iterator[str]:
    """Nobody is answered, and no word of it is kept."""
    job, pages = found.job(asked), found.replies(asked)
    if job is None or job.state in LIVE:
        yield f"deleted, and its job is {job and job.state}"
    elif job.text:
        yield "deleted, and its text is in the database"
    if growing := [page for page in pages if _growing(page)]:
        yield f"deleted, and {growing[0].ts} says {growing[0].last.note!r}"
    if pages and not stays(asked, found.asked):
        yield f"deleted, and its reply {pages[0].ts} is there, though nobody wrote after it"


def finished(asked: Asked, pages: Sequence[Life]) -> bool:
    """Slack shows an end of this reply: all of its messages, and none that says that more is to come."""
    return bool(pages) and not any(_growing(page) for page in pages)


def _growing(page: Life) -> bool:
    return any(sign in page.last.note for sign in GROWING)


def _strangers(found: Evidence) -> Iterator[str]:
    known = {(asked.channel, asked.ts) for asked in found.asked}
    for life in found.lives:
        if (life.channel, life.question_ts) not in known:
            yield f"{life.channel} {life.ts} answers no question: {life.last.text[:60]!r} {life.last.note!r}"


def limited(found: Evidence) -> list[CallRecord]:
    """Calls that were refused for being too many, though Slack was not told to refuse them."""
    storms = [(storm.method, storm.began_s, storm.ended_s) for storm in found.storms]
    refused = [call for call in found.calls if call.error == "ratelimited"]
    return [
        call
        for call in refused
        if not any(method == call.method and since <= call.at_monotonic_s <= until for method, since, until in storms)
    ]


def _limited(found: Evidence) -> Iterator[str]:
    """Processes that can't count together, because their database is away, may be over the budget."""
    for call in limited(found):
        if not any(since <= call.at_monotonic_s <= until + UNCOUNTED_S for since, until in found.outages):
            yield f"{call.method} was over the budget at {found.at(call.at_monotonic_s)}"


def _together(found: Evidence, asked: Asked) -> Iterator[str]:
    """Answered with a later question of its thread, which is judged by itself; the model was asked both."""
    ts = found.answered_with(asked)
    later = next((each for each in found.asked if (each.thread, each.ts) == (asked.thread, ts)), None)
    if later is None or later.ts < asked.ts:
        yield f"answered with {ts}, which is no later question of its thread"
        return
    if found.answered_with(later) is not None:
        yield f"answered with {later.name}, which has no answer of its own"
    if pages := found.replies(asked):
        yield f"left hanging: {pages[0].ts} says {pages[0].last.note!r}, and it was answered with {later.name}"
    later = _as_answered(found, later)
    # Where a question is edited, its answer starts over.
    if later.changed is None and any(
        not {asked.line.number, asked.line.number % EDITED_NUMBER} & attempt.questions
        for attempt in found.attempts.get(later.line.number, ())
    ):
        yield f"answered with {later.name}, and the model was not asked it"
    job = found.job(asked)
    if job is None or job.state != EndReason.BATCHED or job.answer:
        yield f"answered with {later.name}, and its job is {job and job.state}"


def _placed(asked: Asked, pages: Sequence[Life]) -> Iterator[str]:
    """One message for each page, in the question's thread."""
    if not pages:
        yield "never answered"
    numbers = [page.page for page in pages]
    if numbers != list(range(len(pages))):
        yield f"pages {numbers}, messages {[page.ts for page in pages]}"
    for page in pages:
        if page.thread_ts != asked.thread_ts:
            yield f"{page.ts} is in thread {page.thread_ts}"


def _ended(found: Evidence, asked: Asked, pages: Sequence[Life]) -> Iterator[str]:
    """Whole; or, where the model or the bot broke off, the part that came and a sentence."""
    if not pages:
        return
    if growing := [page for page in pages if _growing(page)]:
        yield f"left hanging: {growing[0].ts} says {growing[0].last.note!r}"
        return
    whole = "".join(answer(asked.line.number, asked.line.words)).split()
    shown = " ".join(page.last.text for page in pages).split()
    note = " ".join(page.last.note for page in pages).strip()
    if shown == whole and not note:
        return
    if shown != whole[: len(shown)]:
        yield f"garbled: {_difference(shown, whole)}"
    attempts = found.attempts.get(asked.line.number, ())
    # Who hung up was killed, or woke from a pause to find its job taken over: it said nothing in the end.
    last = next((attempt for attempt in reversed(attempts) if attempt.told is not Told.HUNG_UP), None)
    job = found.job(asked)
    if last is not None and last.told in BROKEN_OFF and note == BROKEN_OFF[last.told]:
        if len(shown) < last.words:
            yield f"the model said {last.words} words before it broke off, {len(shown)} are shown"
        return
    if INTERRUPTED.search(note) and job is not None and job.attempts >= MOST_ATTEMPTS:
        return
    told = [f"{attempt.told} after {attempt.words}, begun at {found.at(attempt.at_s)}" for attempt in attempts]
    yield f"{len(shown)} of {len(whole)} words and the sentence {note!r}; the model's attempts: {told}"


def _kept(found: Evidence, asked: Asked, pages: Sequence[Life]) -> Iterator[str]:
    """The database says the same as Slack."""
    job = found.job(asked)
    if job is None:
        yield "not in the database"
        return
    if job.state in LIVE or EndReason(job.state).is_stop:
        yield f"its job is {job.state} after {job.attempts} attempts"
        return
    if job.page_ts != tuple(page.ts for page in pages):
        yield f"the database has its messages as {job.page_ts}, Slack has {[page.ts for page in pages]}"
    shown = " ".join(page.last.text for page in pages).split()
    if (job.answer or "").split() != shown:
        yield f"the database ({job.state}) has another answer: {_difference((job.answer or '').split(), shown)}"
    whole = len(shown) == asked.line.words and not any(page.last.note for page in pages)
    if EndReason(job.state).is_answer != whole:
        yield f"its job is {job.state}, and Slack shows {len(shown)} of {asked.line.words} words"


def _steps_back(found: Evidence, asked: Asked, history: Sequence[Life]) -> Iterator[str]:
    """Over all its messages, what a reader sees of the answer only grows, unless it starts over."""
    job = found.job(asked)
    if job is not None and job.version:
        return
    moments = [(moment.at_s, life, moment.text) for life in history for moment in life.moments]
    moments += [(life.deleted_s, life, "") for life in history if life.deleted_s is not None]
    texts: dict[int, str] = {}
    seen = newest = 0
    for at_s, life, text in sorted(moments, key=lambda each: each[0]):
        texts[life.page] = text
        words = [word for page in sorted(texts) for word in words_in(texts[page])]
        # Who goes on after a crash reads in Slack how the question was edited meanwhile.
        if not any(in_order(words, number) for number in {asked.line.number, asked.line.number % EDITED_NUMBER}):
            yield f"at {found.at(at_s)} its messages read {_places(words)}"
            return
        if words and words[0][0] > newest:
            # The edited question's answer starts over: its first words stand where others did.
            newest, seen = words[0][0], 0
        # A page that is full hands its last line to the next one.
        handed_on = WORDS_A_LINE + 1 if any(other.page == life.page + 1 for other in history) else 0
        if len(words) < seen - handed_on:
            yield f"a step back from {seen} to {len(words)} words at {found.at(at_s)}, in {life.ts}"
        seen = len(words)


def _out_of_order(found: Evidence) -> Iterator[str]:
    """In a thread one answer at a time, in the order of the questions, as far as they were on record."""
    threads: dict[tuple[str, str | None], list[Asked]] = {}
    alone = [each for each in found.asked if found.answered_with(each) is None]
    # Those that ended with a question that was deleted are answered later than their place says.
    left = {each.thread for each in found.asked if each.changed == "delete"}
    for asked in sorted(alone, key=lambda each: each.ts):
        if asked.thread not in left:
            threads.setdefault(asked.thread, []).append(asked)
    for thread in threads.values():
        for earlier, later in pairwise(thread):
            yield from _overtaken(found, earlier, later)


def _overtaken(found: Evidence, earlier: Asked, later: Asked) -> Iterator[str]:
    before, after = found.replies(earlier), found.replies(later)
    jobs = found.job(earlier), found.job(later)
    if not before or not after or jobs[0] is None or jobs[1] is None:
        return
    begun_s = _begun_s(found, later, jobs[1])
    ended_s = max(page.last.at_s for page in before)
    known_s = jobs[0].created_at - found.clock_offset_s
    if known_s + SAME_TIME_S < begun_s < ended_s - STAMPED_BEFORE_S:
        span = f"from {found.at(begun_s)} on, and {earlier.name} before it until {found.at(ended_s)}"
        yield f"{later.name} was answered {span}"
    if before[0].ts > after[0].ts and jobs[0].created_at + SAME_TIME_S < jobs[1].created_at:
        yield f"{later.name} has its reply {after[0].ts} above {before[0].ts} of {earlier.name}"


def _begun_s(found: Evidence, asked: Asked, job: Kept) -> float:
    """When a question's answer was begun: at its claim, or, where that was not the only one, at what was first seen."""
    asks = [attempt.at_s for attempt in found.attempts.get(asked.line.number, ())]
    shows = [moment.at_s for page in found.replies(asked) for moment in page.moments if texts.QUEUED not in moment.note]
    begun_s = min(asks + shows, default=math.inf)
    if job.attempts == 1 and job.started_at is not None:
        begun_s = min(begun_s, job.started_at - found.clock_offset_s)
    return begun_s


def _difference(shown: Sequence[str], whole: Sequence[str]) -> str:
    for place, (here, there) in enumerate(zip(shown, whole, strict=False)):
        if here != there:
            return f"word {place + 1} is {here!r}, not {there!r} ({len(shown)} and {len(whole)} words)"
    return f"{len(shown)} and {len(whole)} words"


def _places(words: Sequence[tuple[int, int]]) -> str:
    """Runs of words, q3w1–40."""
    runs: list[tuple[int, int, int]] = []
    for number, place in words:
        if runs and runs[-1][0] == number and runs[-1][2] == place - 1:
            runs[-1] = (number, runs[-1][1], place)
        else:
            runs.append((number, place, place))
    return ", ".join(f"q{number}w{first}-{last}" for number, first, last in runs)
