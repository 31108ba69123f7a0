"""Plans people's messages and the model's answers in a chaos run, based on a seed. Pure: no I/O, no clock.

Each word of an answer contains its question and its position, so that missing, doubled and foreign words are detected.

Each channel has a different mode of bot/core/triage.py. A question has no mention if its channel's mode takes it
without one. A remark is a message that no mode takes: an answer to it is a violation.

Under faults, messages reach the bot late and in any order. So the rules here are narrower than the bot's: a question
without a mention is taken, and a remark isn't, whichever of the other messages have reached the bot.
"""

import random
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Literal

from benchmarks.tool_plan import tokens_of
from bot.core.channel_settings import ChannelSettings
from bot.core.triage import MAX_LINES, Engagement

WORDS_A_LINE = 12
FOLLOW_UP_SHARE = 0.3
"""Share of questions asked while the previous one in their thread is being answered."""
REPEATED_FOLLOW_UP_SHARE = 0.5
"""The same share right after such a question, so that several are queued."""
FOLLOW_UP_DELAY_S = (0.2, 1.5)
SAME_PERSON_SHARE = 0.4
"""Share of questions in a thread that are by the person who asked there last."""
EDITED_EVERY, DELETED_EVERY = 9, 11
"""Every 9th question is edited and every 11th deleted: queued, running or answered."""
CHANGE_DELAY_S = (0.5, 6.0)
"""How long after asking, from and to."""
EDITED_NUMBER = 10_000
"""Added to the number of an edited question, so that its answer has different words."""
LONG_EVERY = 25
"""Every 25th answer takes two messages."""
LONG_WORDS, LONG_WORDS_PER_S = 1_600, 160
PEOPLE = ("ada", "grace", "alan")
CHANNELS = ("general", "random", "project-x", "C0MPDM")
_MEMBERS = {"C0MPDM": ("ada", "grace")}

Change = Literal["edit", "delete"]
_WITH_TOOLS = ", with tools"
_QUESTION = re.compile(rf"q(\d+): (\d+) words, (\d+) a second({_WITH_TOOLS})?")
_WORD = re.compile(r"\bq(\d+)w(\d+)\b")


@dataclass(frozen=True)
class Thread:
    """Where a conversation takes place: the root of a direct message, or a thread that the first question opens."""

    number: int
    channel: str
    """The channel's name, or empty for the first person's direct message."""
    people: tuple[str, ...]
    """The people who may ask here."""
    at_root: bool = False


@dataclass(frozen=True)
class PlannedQuestion:
    """One question: when it is asked (seconds since the run began), where, and how it is answered."""

    number: int
    at_s: float
    thread: Thread
    person: str
    words: int
    words_per_s: int
    change: Change | None = None
    """What its author does with it, `change_s` after asking."""
    change_s: float = 0.0
    with_tools: bool = False
    """Whether the model makes the calls of tool_plan.py before it completes the answer."""

    @property
    def edited(self) -> "PlannedQuestion":
        """Returns the question after its edit."""
        return replace(self, number=self.number + EDITED_NUMBER)

    @property
    def text(self) -> str:
        return (
            f"q{self.number}: {self.words} words, {self.words_per_s} a second{_WITH_TOOLS if self.with_tools else ''}"
        )

    @property
    def tokens(self) -> list[str]:
        """The tokens of the calls that the model makes. The answer ends with a word for each."""
        return tokens_of(self.number) if self.with_tools else []

    @property
    def shown_words(self) -> int:
        """The number of words of the complete answer."""
        return self.words + len(self.tokens)


@dataclass(frozen=True)
class AskedText:
    """A question as the model reads it."""

    number: int
    words: int
    words_per_s: int
    with_tools: bool


def plan_questions(
    rng: random.Random, questions: int, threads: int, minutes: float, tools_share: float = 0.0
) -> list[PlannedQuestion]:
    """Returns the run's questions ordered by time. Each thread has a question, and some have follow-ups.

    A follow-up is asked while the question before it is being answered. `tools_share`: the share of questions for which
    the model uses tools.
    """
    places = _threads(threads)
    span_s = minutes * 60
    planned: list[PlannedQuestion] = []
    at_s = sorted(rng.uniform(0, span_s) for _ in range(questions))
    opened: list[Thread] = []
    follow_up = False
    for number, due_s in enumerate(at_s):
        # The unopened threads are spread over the rest of the run.
        unopened, remaining = threads - len(opened), questions - number
        share = REPEATED_FOLLOW_UP_SHARE if follow_up else FOLLOW_UP_SHARE
        follow_up = bool(planned) and unopened < remaining and rng.random() < share
        opens_thread = unopened > 0 and rng.random() < 2 * unopened / remaining
        if follow_up:
            thread = planned[-1].thread
            due_s = planned[-1].at_s + rng.uniform(*FOLLOW_UP_DELAY_S)
        elif opens_thread or not opened:
            thread = places[len(opened)]
            opened.append(thread)
        else:
            thread = rng.choice(opened)
        before = next((question.person for question in reversed(planned) if question.thread == thread), None)
        goes_on = before is not None and rng.random() < SAME_PERSON_SHARE
        person = before if before is not None and goes_on else rng.choice(thread.people)
        if number % LONG_EVERY == LONG_EVERY - 1:
            words, words_per_s = LONG_WORDS, LONG_WORDS_PER_S
        else:
            words, words_per_s = rng.choice(((12, 12), (40, 20), (80, 20), (150, 25), (300, 30)))
        planned.append(PlannedQuestion(number, due_s, thread, person, words, words_per_s))
    rng = random.Random(rng.random())
    changed = [_with_change(rng, question) for question in sorted(planned, key=lambda question: question.at_s)]
    return [replace(question, with_tools=rng.random() < tools_share) for question in changed]


def asked_in(text: str) -> list[AskedText]:
    """Returns the questions in a text."""
    return [
        AskedText(int(number), int(words), int(words_per_s), bool(with_tools))
        for number, words, words_per_s, with_tools in _QUESTION.findall(text)
    ]


def answer(number: int, words: int) -> list[str]:
    """Returns the answer's deltas: words such as q3w1, in lines of 12."""
    return [f"q{number}w{at}" + ("\n" if at % WORDS_A_LINE == 0 else " ") for at in range(1, words + 1)]


def continued(deltas: Sequence[str], so_far: str) -> list[str]:
    """Returns the rest of an answer's deltas after its beginning `so_far`, which may end within a word."""
    whole, part = "".join(deltas), so_far.strip()
    if not whole.startswith(part):
        raise ValueError(f"not a prefix of the answer: …{part[-40:]!r}")
    return re.findall(r"\s*\S+|\s+$", whole[len(part) :])


def words_in(text: str) -> list[tuple[int, int]]:
    """Returns question number and position of each of the model's words in a text."""
    return [(int(number), int(at)) for number, at in _WORD.findall(text)]


def in_order(words: Sequence[tuple[int, int]], number: int) -> bool:
    """Returns whether these are the first words of a question's answer: each once and in order, and no others."""
    return list(words) == [(number, at) for at in range(1, len(words) + 1)]


def _threads(count: int) -> list[Thread]:
    """Returns threads, in turn in each channel and direct message, and the roots of some direct messages."""
    roots = [Thread(number, "", (person,), at_root=True) for number, person in enumerate(PEOPLE[: max(1, count // 8)])]
    places = [(channel, _MEMBERS.get(channel, PEOPLE)) for channel in CHANNELS] + [("", (person,)) for person in PEOPLE]
    others = [Thread(number, *places[number % len(places)]) for number in range(len(roots), count)]
    # The run starts with threads, not with all the roots.
    return [*others[:3], *roots, *others[3:]]


def _with_change(rng: random.Random, question: PlannedQuestion) -> PlannedQuestion:
    change: Change | None = None
    if question.number % DELETED_EVERY == DELETED_EVERY - 1:
        change = "delete"
    elif question.number % EDITED_EVERY == EDITED_EVERY - 1:
        change = "edit"
    return replace(question, change=change, change_s=rng.uniform(*CHANGE_DELAY_S)) if change else question


CHANNEL_SETTINGS: Mapping[str, ChannelSettings] = {
    "general": ChannelSettings(engagement=Engagement.EVERYONE),
    "random": ChannelSettings(engagement=Engagement.FOLLOW_UPS, new_posts=True),
    "project-x": ChannelSettings(),
    "C0MPDM": ChannelSettings(engagement=Engagement.MENTIONS),
}
"""By the channel's name. Follow-ups are the default."""
REMARK_EVERY = 3
"""Every third question is followed by a remark, if others are there."""
REPLY_DELAY_S = (1.0, 4.0)
CHANGES: Sequence[Change | None] = (None, None, "edit", "delete")
POST_CHANGES: Sequence[Change | None] = (None, "edit")
"""Nobody can reply to a post that was deleted."""


class Unmentioned(StrEnum):
    """Why a question needs no mention."""

    NEW_POST = "new post"
    EVERYONE = "in everyone's thread"
    ALONE = "alone with the bot"
    JUST_ANSWERED = "asked last"


class RemarkKind(StrEnum):
    """Why a message must not be answered."""

    NAMED = "begins with another's name"
    ASIDE = "of somebody who did not ask"
    POST = "post"
    """It opens a thread without the bot."""
    REPLY = "reply below a post"


@dataclass(frozen=True)
class PlannedRemark:
    """A message that must not be answered: when it is written (seconds since the run began), where and by whom."""

    number: int
    at_s: float
    thread: Thread
    person: str
    other: str
    """The person whose name it begins with, if it does."""
    kind: RemarkKind
    change: Change | None = None
    """What its author does with it, `change_s` after writing."""
    change_s: float = 0.0

    @property
    def words(self) -> str:
        return f"remark {self.number}, lunch at noon?"

    def text(self, *, named: bool) -> str:
        return f"@{self.other} {self.words}" if named else self.words

    @property
    def edited_text(self) -> str:
        """Other words, and no name: the bot takes no message for an edit that removes somebody's name."""
        return f"{self.words} Or at one"


@dataclass
class OpenThread:
    """What people have written in a thread, including messages that were deleted."""

    writers: set[str] = field(default_factory=set)
    askers: set[str] = field(default_factory=set)
    remarks: int = 0
    last_asked: tuple[PlannedQuestion, str] | None = None
    """The newest message with its ts, if it is a question. None if it is a remark."""

    @property
    def last_asker(self) -> str:
        """The person who wrote the newest message. Empty if it is a remark, or a question that will be deleted."""
        plan = self.last_asked[0] if self.last_asked else None
        return plan.person if plan is not None and plan.change != "delete" else ""


def why_unmentioned(
    plan: PlannedQuestion, thread: OpenThread | None, *, bot_wrote: bool, bot_answered_last: bool
) -> Unmentioned | None:
    """Returns why a question in a channel needs no mention. None if it needs one.

    `thread`: the question's thread, None if the question opens it. `bot_wrote`: the bot has written in the thread.
    `bot_answered_last`: the newest message of the thread is a question that the bot has answered.
    """
    settings = CHANNEL_SETTINGS[plan.thread.channel]
    if thread is None:
        return Unmentioned.NEW_POST if settings.new_posts else None
    if not bot_wrote or settings.engagement is Engagement.MENTIONS:
        return None
    if thread.writers == {plan.person}:
        return Unmentioned.ALONE
    if settings.engagement is Engagement.EVERYONE:
        return Unmentioned.EVERYONE
    return Unmentioned.JUST_ANSWERED if bot_answered_last and thread.last_asker == plan.person else None


def needs_a_name(plan: PlannedRemark, thread: OpenThread | None, *, bot_answered_last: bool) -> bool:
    """Returns whether a remark has to begin with another person's name, because it could be taken for a question.

    `thread`: None for a post. `bot_answered_last`: see why_unmentioned.
    """
    settings = CHANNEL_SETTINGS[plan.thread.channel]
    if plan.kind is RemarkKind.POST:
        return settings.new_posts
    if plan.kind is RemarkKind.REPLY:
        return False
    if plan.kind is RemarkKind.NAMED or thread is None or settings.engagement is Engagement.EVERYONE:
        return True
    if settings.engagement is Engagement.MENTIONS or (bot_answered_last and thread.last_asker not in ("", plan.person)):
        return False
    # With so many remarks, the last lines might be those of one person again.
    return plan.person in thread.askers or thread.remarks >= MAX_LINES - 1


def plan_remarks(rng: random.Random, questions: Sequence[PlannedQuestion]) -> list[PlannedRemark]:
    """Returns the run's remarks ordered by time. Each post has a reply, with the next number."""
    remarks: list[PlannedRemark] = []
    for question in questions[::REMARK_EVERY]:
        others = [person for person in question.thread.people if person != question.person]
        if not others:
            continue
        person, at_s = rng.choice(others), question.at_s + rng.uniform(*FOLLOW_UP_DELAY_S)
        kind = rng.choice((RemarkKind.NAMED, RemarkKind.ASIDE, RemarkKind.ASIDE, RemarkKind.POST))
        change = rng.choice(POST_CHANGES if kind is RemarkKind.POST else CHANGES)
        change_s = rng.uniform(*CHANGE_DELAY_S)
        remark = PlannedRemark(len(remarks), at_s, question.thread, person, question.person, kind, change, change_s)
        remarks.append(remark)
        if kind is RemarkKind.POST:
            at_s += rng.uniform(*REPLY_DELAY_S)
            reply = PlannedRemark(len(remarks), at_s, question.thread, question.person, person, RemarkKind.REPLY)
            remarks.append(reply)
    return sorted(remarks, key=lambda remark: remark.at_s)
