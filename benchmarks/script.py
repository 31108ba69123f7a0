"""What people ask in a chaos run and what the model says: each word tells whose it is and where it belongs. Pure."""

import random
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

WORDS_A_LINE = 12
SHARE_HURRIED = 0.3
"""Of the questions, so many come while the one before in their thread is being answered."""
SHARE_HURRIED_AGAIN = 0.5
"""Of those that come after such a one: then several wait."""
HURRY_S = (0.2, 1.5)
EDITED_EVERY, DELETED_EVERY = 9, 11
"""Each so manieth question is edited or deleted, while it waits, is answered, or was."""
CHANGE_S = (0.5, 6.0)
"""So long after it was asked."""
EDITED_NUMBER = 10_000
"""Added to a question's number when it is edited: its answer has other words."""
LONG_EVERY = 25
"""Each so manieth answer takes two messages."""
LONG_WORDS, LONG_WORDS_PER_S = 1_600, 160
PEOPLE = ("ada", "grace", "alan")
CHANNELS = ("general", "random", "project-x", "mpdm-ada--grace--typist-1")
_MEMBERS = {"mpdm-ada--grace--typist-1": ("ada", "grace")}

_QUESTION = re.compile(r"q(\d+): (\d+) words, (\d+) a second")
_WORD = re.compile(r"\bq(\d+)w(\d+)\b")


@dataclass(frozen=True)
class Thread:
    """Where a conversation is held; a DM's root is one conversation, elsewhere the first question opens a thread."""

    number: int
    channel: str
    """A channel's name, or empty for the DM of the first person."""
    people: tuple[str, ...]
    """Who asks here, in turn."""
    at_root: bool = False


@dataclass(frozen=True)
class Line:
    """One question: when it is asked, in seconds from the beginning, where, and how it is answered."""

    number: int
    at_s: float
    thread: Thread
    person: str
    words: int
    words_per_s: int
    change: Literal["edit", "delete"] | None = None
    """What its writer does with it, `change_s` after it was asked."""
    change_s: float = 0.0

    @property
    def edited(self) -> "Line":
        """As it is asked after its edit."""
        return replace(self, number=self.number + EDITED_NUMBER)

    @property
    def text(self) -> str:
        return f"q{self.number}: {self.words} words, {self.words_per_s} a second"


def script(chooser: random.Random, questions: int, threads: int, minutes: float) -> list[Line]:
    """The whole run's questions, by time: each thread is opened, some go on while an answer is being written."""
    places = _threads(threads)
    span_s = minutes * 60
    lines: list[Line] = []
    at_s = sorted(chooser.uniform(0, span_s) for _ in range(questions))
    opened: list[Thread] = []
    hurried = False
    for number, due_s in enumerate(at_s):
        # The threads that are not open yet share what is left of the run.
        closed, left = threads - len(opened), questions - number
        share = SHARE_HURRIED_AGAIN if hurried else SHARE_HURRIED
        hurried = bool(lines) and closed < left and chooser.random() < share
        fresh = closed > 0 and chooser.random() < 2 * closed / left
        if hurried:
            thread = lines[-1].thread
            due_s = lines[-1].at_s + chooser.uniform(*HURRY_S)
        elif fresh or not opened:
            thread = places[len(opened)]
            opened.append(thread)
        else:
            thread = chooser.choice(opened)
        lines.append(_line(chooser, number, due_s, thread))
    chooser = random.Random(chooser.random())
    return [_changed(chooser, line) for line in sorted(lines, key=lambda line: line.at_s)]


def asked_in(text: str) -> list[tuple[int, int, int]]:
    """Number, words and words a second of each question in a text."""
    return [(int(number), int(words), int(words_per_s)) for number, words, words_per_s in _QUESTION.findall(text)]


def answer(number: int, words: int) -> list[str]:
    """The answer's deltas: words that say whose they are, in lines."""
    return [f"q{number}w{at}" + ("\n" if at % WORDS_A_LINE == 0 else " ") for at in range(1, words + 1)]


def going_on(number: int, words: int, so_far: str) -> list[str]:
    """The deltas of an answer that goes on after a part of it, in mid-word if need be."""
    whole, part = "".join(answer(number, words)), so_far.strip()
    if not whole.startswith(part):
        raise ValueError(f"this is no part of the answer to q{number}: {part[-40:]!r}")
    return re.findall(r"\s*\S+|\s+$", whole[len(part) :])


def words_in(text: str) -> list[tuple[int, int]]:
    """Question and place of each of the model's words in a text."""
    return [(int(number), int(at)) for number, at in _WORD.findall(text)]


def in_order(words: Sequence[tuple[int, int]], number: int) -> bool:
    """They are the first words of the question's answer: none of another's, none lost, none twice."""
    return list(words) == [(number, at) for at in range(1, len(words) + 1)]


def _threads(count: int) -> list[Thread]:
    """DMs at their root first, then threads in channels and DMs in turn."""
    roots = [Thread(number, "", (person,), at_root=True) for number, person in enumerate(PEOPLE[: max(1, count // 8)])]
    places = [(channel, _MEMBERS.get(channel, PEOPLE)) for channel in CHANNELS] + [("", (each,)) for each in PEOPLE]
    others = [Thread(number, *places[number % len(places)]) for number in range(len(roots), count)]
    # The roots are not all opened first.
    return [*others[:3], *roots, *others[3:]]


def _changed(chooser: random.Random, line: Line) -> Line:
    if line.number % DELETED_EVERY == DELETED_EVERY - 1:
        return replace(line, change="delete", change_s=chooser.uniform(*CHANGE_S))
    if line.number % EDITED_EVERY == EDITED_EVERY - 1:
        return replace(line, change="edit", change_s=chooser.uniform(*CHANGE_S))
    return line


def _line(chooser: random.Random, number: int, at_s: float, thread: Thread) -> Line:
    if number % LONG_EVERY == LONG_EVERY - 1:
        words, words_per_s = LONG_WORDS, LONG_WORDS_PER_S
    else:
        words, words_per_s = chooser.choice(((12, 12), (40, 20), (80, 20), (150, 25), (300, 30)))
    return Line(number, at_s, thread, chooser.choice(thread.people), words, words_per_s)
