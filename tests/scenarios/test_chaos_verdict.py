"""The chaos run's verdict: nothing is wrong with answers as they are to be, and each fault is seen."""

from collections.abc import Callable
from dataclasses import replace

import pytest

from benchmarks.databases import Kept
from benchmarks.logs import log_faults
from benchmarks.script import EDITED_NUMBER, Line, Thread, answer
from benchmarks.speaker import Attempt, Told
from benchmarks.trouble import Storm
from benchmarks.verdict import BROKEN_OFF, Asked, Evidence, violations
from benchmarks.watcher import Life, Moment
from bot.core import texts
from sandbox.web_api import CallRecord

THREAD = Thread(0, "general", ("ada",))
ROOT = "100.000001"


def text(number: int, words: int = 30) -> str:
    return "".join(answer(number, words)).rstrip()


def said(number: int, at_s: float) -> Life:
    """A reply as it is to be: a sign, a part, the whole."""
    parts = (("", "Thinking…"), (text(number, 9), "Writing…"), (text(number), ""))
    moments = [Moment(at_s + step, shown, note) for step, (shown, note) in enumerate(parts)]
    return Life("C1", f"{100 + at_s:.6f}", ROOT, f"{100 + number}.000001", 0, moments)


def kept(number: int, life: Life) -> Kept:
    return Kept("C1", life.question_ts, "whole", 1, (life.ts,), text(number), created_at=1000.0 + number)


def good() -> Evidence:
    """Two questions of a thread, the second asked while the first was answered."""
    lives = [said(0, 1.5), said(1, 5.5)]
    return Evidence(
        asked=[
            Asked(Line(number, number, THREAD, "ada", 30, 30), "C1", life.question_ts, ROOT, float(number))
            for number, life in enumerate(lives)
        ],
        lives=lives,
        attempts={number: [Attempt(4.5 * number + 0.5, 30, Told.WHOLE)] for number in range(2)},
        calls=[],
        storms=[],
        outages=[],
        jobs=[kept(number, life) for number, life in enumerate(lives)],
        began_s=0.0,
        clock_offset_s=1000.0,
    )


def ended(note: str, told: Told, words: int, attempts: int = 1) -> Evidence:
    """The first answer broke off after nine words, with a sentence."""
    found = good()
    found.lives[0].moments[2:] = [Moment(3.0, text(0, 9), note)]
    first = replace(found.jobs[0], state="cut", attempts=attempts, answer=text(0, 9))
    tried = [Attempt(0.5, words, told)] * attempts
    return replace(found, jobs=[first, found.jobs[1]], attempts={**found.attempts, 0: tried})


def with_lives(change: Callable[[list[Life]], object]) -> Evidence:
    found = good()
    lives = list(found.lives)
    change(lives)
    return replace(found, lives=lives)


def with_job(**changes: object) -> Evidence:
    found = good()
    return replace(found, jobs=[replace(found.jobs[0], **changes), found.jobs[1]])  # type: ignore[arg-type]


def together(**changes: object) -> Evidence:
    """The first question waited, and was answered with the second one."""
    found = good()
    sign, later = found.lives
    sign.moments[:] = [Moment(1.5, "", f"_{texts.QUEUED}_")]
    sign.deleted_s = 5.0
    batched = {"state": "batched", "answer": "", "answered_with": later.question_ts, **changes}
    job = replace(found.jobs[0], **batched)  # type: ignore[arg-type]
    both = Attempt(5.0, 30, Told.WHOLE, frozenset({0, 1}))
    return replace(found, jobs=[job, found.jobs[1]], attempts={1: [both]})


def hanging() -> Evidence:
    found = together()
    found.lives[0].deleted_s = None
    return found


def edited(at_s: float, number: int) -> Evidence:
    """The second question was edited, and its answer is to this one."""
    found = good()
    [first, second], lives = found.asked, [said(0, 1.5), said(number, 5.5)]
    lives[1].question_ts = second.ts
    job = replace(found.jobs[1], version=int(number > 1), answer=text(number))
    attempts = {**found.attempts, number: found.attempts[1]}
    changed = replace(second, changed="edit", changed_s=at_s)
    return replace(found, asked=[first, changed], lives=lives, jobs=[found.jobs[0], job], attempts=attempts)


def edited_after_a_cut() -> Evidence:
    """Its answer had broken off before its first word."""
    found = edited(9.0, 1)
    note = BROKEN_OFF[Told.CUT]
    found.lives[1].moments[1:] = [Moment(5.6, "", note)]
    job = replace(found.jobs[1], state="cut", answer="")
    return replace(found, jobs=[found.jobs[0], job], attempts={**found.attempts, 1: [Attempt(5.0, 0, Told.CUT)]})


def edited_and_cut_at_once() -> Evidence:
    """Its answer started over, and broke off before a word."""
    found = edited(5.5, 1 + EDITED_NUMBER)
    found.lives[1].moments[1:] = [Moment(5.6, "", BROKEN_OFF[Told.CUT])]
    jobs = [found.jobs[0], replace(found.jobs[1], state="cut", answer="")]
    return replace(found, jobs=jobs, attempts={**found.attempts, 1 + EDITED_NUMBER: [Attempt(5.5, 0, Told.CUT)]})


def edited_while_nobody_was_there(*later: int) -> Evidence:
    """Who went on with its answer after a crash read the new words in Slack, and showed so many of the answer's."""
    found = edited(6.8, 1 + EDITED_NUMBER)
    _, half, _ = found.lives[1].moments
    moments = [replace(half, at_s=half.at_s + 0.1, text=text(1 + EDITED_NUMBER, words)) for words in later]
    found.lives[1].moments[1:2] = [replace(half, text=text(1, 9)), *moments]
    return replace(found, jobs=[found.jobs[0], replace(found.jobs[1], version=0)])


def begun_before_an_older_one_came() -> Evidence:
    """The second one's process died before it asked the model, and the first one was delivered late."""
    found = good()
    lives = [said(0, 8.0), said(1, 5.5)]
    lives[1].moments[1:] = [replace(moment, at_s=moment.at_s + 2.8) for moment in lives[1].moments[1:]]
    jobs = [replace(found.jobs[0], created_at=1006.0, page_ts=("108.000000",)), replace(found.jobs[1], attempts=2)]
    return replace(
        found, lives=lives, jobs=jobs, attempts={0: [Attempt(7.8, 30, Told.WHOLE)], 1: [Attempt(8.2, 30, Told.WHOLE)]}
    )


def deleted(number: int = 1, *, gone: bool = True, **changes: object) -> Evidence:
    """One of the two questions was deleted."""
    found = good()
    asked, jobs = list(found.asked), list(found.jobs)
    asked[number] = replace(asked[number], changed="delete", changed_s=8.0)
    jobs[number] = replace(jobs[number], **changes)  # type: ignore[arg-type]
    found.lives[number].deleted_s = 8.5 if gone else None
    return replace(found, asked=asked, jobs=jobs)


def growing(found: Evidence) -> Evidence:
    for life in found.lives:
        life.moments.pop()
    return found


def limited(at_s: float) -> Evidence:
    """A 429; Slack was told to answer so from 2 s to 4 s, and the database was away from 6 s to 7 s."""
    call = CallRecord("chat.update", at_s, 0.0, "C1", None, "ratelimited", {})
    return replace(good(), calls=[call], storms=[Storm("chat.update", 2.0, 4.0)], outages=[(6.0, 7.0)])


@pytest.mark.parametrize(
    "found",
    [
        good(),
        together(),
        limited(3.0),
        limited(6.5),
        ended(BROKEN_OFF[Told.CUT], Told.CUT, 9),
        ended(BROKEN_OFF[Told.STALLED], Told.STALLED, 9),
        ended(texts.INTERRUPTED, Told.HUNG_UP, 9, attempts=4),
        edited(6.0, 1 + EDITED_NUMBER),
        edited(9.0, 1),
        edited_after_a_cut(),
        edited_and_cut_at_once(),
        edited_while_nobody_was_there(),
        edited_while_nobody_was_there(6),
        begun_before_an_older_one_came(),
        deleted(),
        deleted(0, gone=False),
    ],
)
def test_what_is_as_it_should_be_is_let_be(found: Evidence) -> None:
    assert violations(found) == []


@pytest.mark.parametrize(
    ("found", "sentence"),
    [
        (with_lives(lambda lives: lives.pop(0)), "never answered"),
        (with_lives(lambda lives: lives.append(replace(lives[0], ts="109.000000"))), "pages [0, 0]"),
        (with_lives(lambda lives: lives[0].moments.pop()), "left hanging"),
        (with_lives(lambda lives: lives[0].moments.append(Moment(9, text(0, 20), ""))), "a step back from 30 to 20"),
        (with_lives(lambda lives: lives[0].moments.append(Moment(9, "", "Thinking…"))), "a step back from 30 to 0"),
        (edited_while_nobody_was_there(6, 4), "a step back from 6 to 4"),
        (with_lives(lambda lives: lives[0].moments.append(Moment(9, text(1), ""))), "its messages read q1w1-30"),
        (with_lives(lambda lives: lives[0].moments.append(Moment(9, text(0) + " q0w30", ""))), "q0w1-30, q0w30-30"),
        (with_lives(lambda lives: lives[0].moments.append(Moment(9, text(0) + " more", ""))), "31 and 30 words"),
        (with_lives(lambda lives: lives.append(replace(lives[0], question_ts=""))), "answers no question"),
        (with_lives(lambda lives: setattr(lives[0], "thread_ts", None)), "is in thread None"),
        (with_lives(lambda lives: lives[0].moments.append(Moment(9, text(0), "Again."))), "'Again.'"),
        (with_lives(lambda lives: lives[0].moments.append(Moment(9, text(0), "Done."))), "was answered from 5.00 s"),
        (with_lives(lambda lives: setattr(lives[1], "ts", "101.000000")), "above"),
        (with_job(state="running"), "its job is running"),
        (with_job(state="cut"), "its job is cut, and Slack shows 30 of 30 words"),
        (with_job(page_ts=()), "the database has its messages as ()"),
        (with_job(answer=text(0, 29)), "the database (whole) has another answer"),
        (with_job(ts="0"), "not in the database"),
        (hanging(), f"says {f'_{texts.QUEUED}_'!r}, and it was answered with q1"),
        (replace(together(), attempts={1: [Attempt(5.0, 30, Told.WHOLE)]}), "the model was not asked it"),
        (together(state="queued"), "its job is queued"),
        (replace(together(), asked=together().asked[:1]), "which is no later question of its thread"),
        (limited(5.0), "over the budget at 5.00 s"),
        (limited(30.0), "over the budget at 30.00 s"),
        (ended(BROKEN_OFF[Told.CUT], Told.WHOLE, 30), "9 of 30 words"),
        (ended(BROKEN_OFF[Told.CUT], Told.CUT, 12), "the model said 12 words before it broke off, 9 are shown"),
        (ended(texts.INTERRUPTED, Told.HUNG_UP, 9), "9 of 30 words and the sentence"),
        (edited(6.0, 1), "word 1 is 'q1w1', not 'q10001w1'"),
        (deleted(gone=False), "is there, though nobody wrote after it"),
        (deleted(text="q1"), "its text is in the database"),
        (deleted(state="running"), "deleted, and its job is running"),
        (growing(deleted(0, gone=False)), "deleted, and 101.500000 says 'Writing…'"),
    ],
)
def test_what_is_wrong_is_seen(found: Evidence, sentence: str) -> None:
    assert any(sentence in each for each in violations(found)), violations(found)


AWAY = "2026-11-20 08:00:00,000 ERROR bot.services.worker: worker: heartbeat failed: The database can't be used: no."


@pytest.mark.parametrize(
    ("log", "excused", "sentence"),
    [
        ("2026-11-20 08:00:00,000 INFO bot.services.metrics: job=1 end=whole", False, ""),
        (AWAY, True, ""),
        (AWAY, False, "an error in its log: bot.services.worker: worker: heartbeat failed"),
        (
            "2026-11-20 08:00:00,000 ERROR bot.services.worker: it broke",
            True,
            "an error in its log: bot.services.worker: it broke",
        ),
        ("Traceback (most recent call last):\n  File\nKeyError: 1", True, "before KeyError: 1"),
        ("Task exception was never retrieved", False, "'never retrieved' 1 times"),
        ("the token is xoxb-1", False, "a secret is in its log"),
        ("the answer was q1w1 q1w2", False, "words of a question or an answer are in its log: 'q1w1'"),
        ("the question was q1: 30 words", False, "words of a question or an answer"),
    ],
)
def test_a_log_says_no_more_than_it_may(log: str, excused: bool, sentence: str) -> None:
    found = log_faults(log, excused, ["xoxb-1"])
    assert any(sentence in each for each in found) if sentence else not found
