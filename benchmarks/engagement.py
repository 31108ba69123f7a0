"""Measures which messages in labeled conversations the bot would answer without a mention.

    python -m benchmarks.engagement FILE [--json]

FILE contains one conversation per line: `{"lines": [{"by", "text", "to_bot"?}, ...]}`. `by` is BOT or a person, such as
P2, whom a text mentions as `@P2`. Only lines with `to_bot` are judged, which is true if people say that the line was
addressed to the bot. Each person's line goes through `triage`, which decides in production, with the participants that
the store would have recorded. The bot counts as having answered each question that `triage` accepts.

Figures are percentages from 0 to 100. *Precision* is the share of accepted lines that were addressed to the bot (100 if
none is accepted). *Recall* is the share of lines addressed to the bot that are accepted. `--json` prints one line:
`{"mentions": {"precision": 100.0, "recall": 0.0}, "follow-ups": ..., "everyone": ..., "two people": ...}`. *Two people*
is an older rule: only a person who is alone with the bot needs no mention. *Closings answered* is the default without
the rule that leaves thanks and agreement unanswered.

Lines can be labeled with `needs_answer` instead, as in benchmarks/closings.jsonl. The figures are then the share of
closings that stay unanswered, and the number of lost questions. Messages in doubt count as answered, because no model
is called. `--json` prints `{"unanswered": 100.0, "closings": 52, "lost": 0, "questions": 44}`.

Exits with 1 if the default is below its target.
"""

import argparse
import json
import re
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bot.core.closings import Closing
from bot.core.conversation import Message, Question
from bot.core.triage import (
    MAX_LINES,
    Engagement,
    Identity,
    Line,
    Participants,
    TriageRules,
    closing_of_message,
    needs_no_answer,
    triage,
)

TARGET_PRECISION, TARGET_RECALL = 88.0, 66.0
TARGET_UNANSWERED = 95.0
TWO_PEOPLE = "two people"
WITHOUT_CLOSINGS = "closings answered"
BOT = "BOT"
ME = Identity("T1", BOT, "BBOT", "typist")

_NAME = re.compile(r"@([A-Z][A-Z0-9]*)\b")
_ADDRESSED = re.compile(r"\s*@([A-Z][A-Z0-9]*)\b")


@dataclass(frozen=True, slots=True)
class Spoken:
    """A line of a conversation."""

    by: str
    text: str
    to_bot: bool | None
    """Whether it was spoken to the bot; None if it isn't judged."""
    needs_answer: bool | None = None
    """Whether it needs an answer; None if that isn't judged."""


@dataclass(frozen=True, slots=True)
class Score:
    """How a rule's decisions compare with people's, in percent."""

    precision: float
    recall: float


def read(lines: Iterable[str]) -> list[list[Spoken]]:
    """Returns the conversations in a file's lines. Raises ValueError, which names the line, or if none is judged."""
    conversations = []
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        try:
            conversations.append([_spoken(one) for one in json.loads(line)["lines"]])
        except (KeyError, TypeError) as error:
            raise ValueError(f'line {number} is no conversation: {{"lines": [{{"by", "text"}}, ...]}}') from error
        except ValueError as error:
            raise ValueError(f"line {number} is no conversation: {error}") from error
    if not any(line.to_bot is not None or line.needs_answer is not None for lines in conversations for line in lines):
        raise ValueError("no line has a to_bot or needs_answer, so there is nothing to judge")
    return conversations


def _spoken(line: Mapping[str, Any]) -> Spoken:
    by, text = line["by"], line["text"]
    to_bot, needs_answer = line.get("to_bot"), line.get("needs_answer")
    if not (isinstance(by, str) and isinstance(text, str)):
        raise ValueError("by and text must be strings")
    for label in (to_bot, needs_answer):
        if not (label is None or isinstance(label, bool)) or (by == BOT and label is not None):
            raise ValueError("to_bot must be true or false, and the bot's own lines must have none")
    return Spoken(by, text, to_bot, needs_answer)


def score(
    conversations: Iterable[Sequence[Spoken]], rules: TriageRules, *, lines_known: bool = True, closes: bool = True
) -> Score:
    """Returns how the rules do.

    `lines_known`: whether they know who wrote last, not only who ever did. `closes`: whether closings are left out.
    """
    judged = [
        pair for lines in conversations for pair in zip(lines, taken(lines, rules, lines_known, closes), strict=True)
    ]
    decisions = [(is_taken, spoken.to_bot) for spoken, is_taken in judged if spoken.to_bot is not None]
    right = decisions.count((True, True))
    all_taken, all_spoken = right + decisions.count((True, False)), right + decisions.count((False, True))
    return Score(_percent(right, all_taken), _percent(right, all_spoken))


def closings(conversations: Iterable[Sequence[Spoken]]) -> dict[str, float]:
    """Returns how many of the labeled closings stay unanswered, in percent, and how many questions do."""
    rules = TriageRules()
    judged = [pair for lines in conversations for pair in zip(lines, taken(lines, rules), strict=True)]
    answered = {need: [is_taken for line, is_taken in judged if line.needs_answer is need] for need in (True, False)}
    return {
        "unanswered": _percent(answered[False].count(False), len(answered[False])),
        "closings": len(answered[False]),
        "lost": answered[True].count(False),
        "questions": len(answered[True]),
    }


def taken(spoken: Sequence[Spoken], rules: TriageRules, lines_known: bool = True, closes: bool = True) -> list[bool]:
    """Returns for each line of a thread whether it is a question to the bot."""
    verdicts: list[bool] = []
    people: set[str] = set()
    lines: list[Line] = []
    takes_part, last_words = False, ""
    for number, line in enumerate(spoken):
        if line.by == BOT:
            answer = Line("", asker_id=_asker(line.text, lines))
            # It is the answer below a question that was taken, if there is one.
            lines += [answer] if lines[-1:] != [answer] else []
            takes_part, last_words = True, line.text
            verdicts.append(False)
            continue
        others = takes_part and bool(people - {line.by})
        known = tuple(lines[-MAX_LINES:]) if others and lines_known else ()
        message = _message(number, line)
        verdict = triage(message, ME, Participants(takes_part, others, lines=known), rules)
        is_taken = isinstance(verdict, Question)
        closing = closing_of_message(message, ME) if is_taken and takes_part and closes else None
        if closing and closing is not Closing.POSSIBLE and needs_no_answer(closing, last_words):
            verdicts.append(False)
            people.add(line.by)
            continue
        verdicts.append(is_taken)
        people.add(line.by)
        lines += [Line(line.by), Line("", asker_id=line.by)] if is_taken else [Line(line.by)]
        takes_part = takes_part or is_taken
    return verdicts


def _message(number: int, line: Spoken) -> Message:
    text = _NAME.sub(r"<@\1>", line.text.replace("<", "&lt;"))
    return Message("T1", "C1", f"{number + 1}.0", text, thread_ts="1.0" if number else None, user_id=line.by)


def _asker(text: str, lines: Sequence[Line]) -> str:
    """Returns the person the bot answers: the one that its line names first, or else the last writer."""
    if addressed := _ADDRESSED.match(text):
        return addressed[1]
    return next((line.writer_id for line in reversed(lines) if line.writer_id), "")


def _percent(part: int, whole: int) -> float:
    return round(100 * part / whole, 1) if whole else 100.0


def scores(conversations: Sequence[Sequence[Spoken]]) -> dict[str, Score]:
    """Returns how each mode does, and the rule before these."""
    by_mode = {str(mode): score(conversations, TriageRules(mode)) for mode in Engagement}
    before = score(conversations, TriageRules(), closes=False)
    return {**by_mode, TWO_PEOPLE: score(conversations, TriageRules(), lines_known=False), WITHOUT_CLOSINGS: before}


def main(arguments: Sequence[str] | None = None) -> int:
    """Prints the figures; returns 1 if the default is below its target."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("file", type=Path, metavar="FILE", help="labeled conversations, one JSON object a line")
    parser.add_argument("--json", action="store_true", help="print one line of JSON")
    options = parser.parse_args(arguments)
    try:
        with options.file.open(encoding="utf-8-sig") as file:
            conversations = read(file)
    except (OSError, ValueError) as error:
        parser.error(f"can't read {options.file}: {error}")
    if any(line.needs_answer is not None for lines in conversations for line in lines):
        figures: dict[str, Any] = closings(conversations)
        print(json.dumps(figures) if options.json else "\n".join(f"{name:12} {n:7.1f}" for name, n in figures.items()))
        return 0 if figures["unanswered"] >= TARGET_UNANSWERED and not figures["lost"] else 1
    by_mode = scores(conversations)
    if options.json:
        figures = {mode: {"precision": s.precision, "recall": s.recall} for mode, s in by_mode.items()}
        print(json.dumps(figures))
    else:
        print(f"{'mode':17} precision  recall")
        for mode, result in by_mode.items():
            print(f"{mode:17} {result.precision:9.1f} {result.recall:7.1f}")
    default = by_mode[Engagement.FOLLOW_UPS]
    return 0 if default.precision >= TARGET_PRECISION and default.recall >= TARGET_RECALL else 1


if __name__ == "__main__":
    sys.exit(main())
