"""Checks how the processes of a chaos run ended, and their logs for unexpected errors, secrets and user text."""

import re
import signal
from collections import Counter
from collections.abc import Iterator, Sequence

from benchmarks.fleet import END_WITHIN_S, BotProcess

Span = tuple[float, float]

_SURPRISES = re.compile(
    r"Traceback \(most recent call last\)|never retrieved|never awaited|Unclosed|was destroyed but|CRITICAL"
)
_ERROR = re.compile(r"^\S+ \S+ ERROR (.*)$", re.MULTILINE)
_USER_TEXT = re.compile(r"\bq\d+w\d+\b|\bq\d+s\d+c\d+\b|\bq\d+: \d+ words")
_RECONNECT_ERROR = re.compile(r"^slack_bolt: Failed to run message listeners")
"""Bolt logs this if it can't replace a closed connection at once. Typist's watch over the sockets then does it."""
_ENDING = "because this process is ending"
"""What a person does in the last moment of a process fails, and the person is told."""
_OUTAGE_EFFECT_S = 15.0
"""Errors caused by a database outage may be logged up to this long after it."""


def process_faults(bots: Sequence[BotProcess], outages: Sequence[Span], secrets: Sequence[str]) -> list[str]:
    """Returns one sentence for each fault of a process's end or log.

    Database outages excuse errors about the database. So do pauses: they can interrupt a transaction.
    """
    sentences = []
    for bot in bots:
        log = bot.log.read_text(errors="replace")
        lifetime = bot.started_s, bot.ended_s or bot.started_s
        excused = any(_overlap(lifetime, span) for span in (*outages, *bot.pauses))
        faults = (*_end(bot, excused), *log_faults(log, excused, secrets))
        sentences += [f"{bot.name}: {sentence}" for sentence in faults]
    return sentences


def log_faults(log: str, excused: bool, secrets: Sequence[str]) -> list[str]:
    """Returns one sentence for each fault of a log. `excused`: the database was unavailable meanwhile."""
    return [*_surprises(log), *_errors(log, excused), *_leaks(log, secrets)]


def _end(bot: BotProcess, excused: bool) -> Iterator[str]:
    code = bot.process.returncode
    if bot.end_signal is None:
        if bot.ready:
            yield f"ended by itself with code {code}"
        elif not (excused and code == 1):
            yield f"did not start: ended with code {code}"
    elif bot.end_signal is signal.SIGTERM:
        took_s = (bot.ended_s or 0) - bot.end_signal_s
        if code != 0 or took_s > END_WITHIN_S:
            yield f"ended with code {code}, {took_s:.1f} s after SIGTERM"
    elif code != -bot.end_signal:
        yield f"ended with code {code} after signal {bot.end_signal}"


def _surprises(log: str) -> Iterator[str]:
    counts = Counter(match[0] for match in _SURPRISES.finditer(log))
    for what, times in counts.items():
        at = log.index(what)
        last = log[at:].split("\n\n")[0].splitlines()
        yield f"{what!r} {times} times in its log, first before {_shortened(last[-1])}"


def _errors(log: str, excused: bool) -> Iterator[str]:
    for line in dict.fromkeys(_ERROR.findall(log)):
        is_expected = _RECONNECT_ERROR.match(line) or line.endswith(_ENDING)
        if not (excused and "database" in line.lower()) and not is_expected:
            yield f"an error in its log: {_shortened(line)}"


def _leaks(log: str, secrets: Sequence[str]) -> Iterator[str]:
    if any(secret in log for secret in secrets):
        yield "a secret is in its log"
    if words := _USER_TEXT.search(log):
        yield f"text of a question or an answer is in its log: {words[0]!r}"


def _overlap(lifetime: Span, outage: Span) -> bool:
    return lifetime[0] <= outage[1] + _OUTAGE_EFFECT_S and outage[0] <= lifetime[1]


def _shortened(text: str) -> str:
    return text if len(text) < 200 else f"{text[:200]}…"
