"""How the processes of a chaos run ended, and what their logs hold that no log may."""

import re
import signal
from collections import Counter
from collections.abc import Iterator, Sequence

from benchmarks.fleet import END_WITHIN_S, Bot

Span = tuple[float, float]

_SURPRISES = re.compile(
    r"Traceback \(most recent call last\)|never retrieved|never awaited|Unclosed|was destroyed but|CRITICAL"
)
_ERROR = re.compile(r"^\S+ \S+ ERROR (.*)$", re.MULTILINE)
_WORDS_OF_PEOPLE = re.compile(r"\bq\d+w\d+\b|\bq\d+: \d+ words")
_RENEWED = re.compile(r"^slack_bolt: Failed to run message listeners")
"""Where a connection that Slack closes is not replaced at once, the watch over the sockets does it."""
_LATE_S = 15.0
"""What a database that went away breaks may be told so much later."""


def misbehaviour(bots: Sequence[Bot], outages: Sequence[Span], secrets: Sequence[str]) -> list[str]:
    """A sentence each; empty where all is well. `outages` of the database excuse errors that are about it, and so do
    pauses: who wakes in the middle of a transaction finds it lost.
    """
    sentences = []
    for bot in bots:
        log = bot.log.read_text(errors="replace")
        life = bot.started_s, bot.ended_s or bot.started_s
        excused = any(_overlap(life, span) for span in (*outages, *bot.pauses))
        found = (*_end(bot, excused), *log_faults(log, excused, secrets))
        sentences += [f"{bot.name}: {sentence}" for sentence in found]
    return sentences


def log_faults(log: str, excused: bool, secrets: Sequence[str]) -> list[str]:
    """What a log holds and should not; `excused`: the database was away meanwhile."""
    return [*_surprises(log), *_errors(log, excused), *_told(log, secrets)]


def _end(bot: Bot, excused: bool) -> Iterator[str]:
    code = bot.process.returncode
    if bot.told is None:
        if bot.ready:
            yield f"ended by itself with {code}"
        elif not (excused and code == 1):
            yield f"did not start and ended with {code}"
    elif bot.told is signal.SIGTERM:
        took_s = (bot.ended_s or 0) - bot.told_s
        if code != 0 or took_s > END_WITHIN_S:
            yield f"ended with {code}, {took_s:.1f} s after SIGTERM"
    elif code != -bot.told:
        yield f"ended with {code} after signal {bot.told}"


def _surprises(log: str) -> Iterator[str]:
    found = Counter(match[0] for match in _SURPRISES.finditer(log))
    for what, times in found.items():
        at = log.index(what)
        last = log[at:].split("\n\n")[0].splitlines()
        yield f"{what!r} {times} times in its log, the first before {_shortly(last[-1])}"


def _errors(log: str, excused: bool) -> Iterator[str]:
    for line in dict.fromkeys(_ERROR.findall(log)):
        if not (excused and "database" in line.lower()) and not _RENEWED.match(line):
            yield f"an error in its log: {_shortly(line)}"


def _told(log: str, secrets: Sequence[str]) -> Iterator[str]:
    if any(secret in log for secret in secrets):
        yield "a secret is in its log"
    if words := _WORDS_OF_PEOPLE.search(log):
        yield f"words of a question or an answer are in its log: {words[0]!r}"


def _overlap(life: Span, outage: Span) -> bool:
    return life[0] <= outage[1] + _LATE_S and outage[0] <= life[1]


def _shortly(text: str) -> str:
    return text if len(text) < 200 else f"{text[:200]}…"
