"""How the bot takes messages without a mention in a chaos run's channels. Pure: no I/O, no clock.

Each channel has another mode of bot/core/triage.py. A question comes without a mention wherever its
channel's mode takes it. A remark is a message that no mode takes: an answer to it is a violation.

Under faults, messages reach the bot late and in any order. So the rules here are narrower than the bot's: what they
expect holds whichever of the other messages the bot knows by then.
"""

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Literal

from benchmarks.question_plan import CHANGE_DELAY_S, FOLLOW_UP_DELAY_S, PlannedQuestion, Thread
from bot.core.channel_settings import ChannelSettings
from bot.core.triage import MAX_LINES, Engagement

CHANNEL_SETTINGS: Mapping[str, ChannelSettings] = {
    "general": ChannelSettings(engagement=Engagement.EVERYONE),
    "random": ChannelSettings(engagement=Engagement.FOLLOW_UPS, new_posts=True),
    "project-x": ChannelSettings(),
    "mpdm-ada--grace--typist-1": ChannelSettings(engagement=Engagement.MENTIONS),
}
"""By the channel's name. Follow-ups are the default."""
REMARK_EVERY = 3
"""Every third question is followed by a remark, if others are there."""
REPLY_DELAY_S = (1.0, 4.0)
Change = Literal["edit", "delete"]
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
    """The newest message with its ts if it is a question, None if it is a remark."""

    @property
    def last_asker(self) -> str:
        """Who wrote the newest message, empty if that is a remark, or a question that is deleted."""
        plan = self.last_asked[0] if self.last_asked else None
        return plan.person if plan is not None and plan.change != "delete" else ""


def why_unmentioned(
    plan: PlannedQuestion, thread: OpenThread | None, *, bot_wrote: bool, bot_answered_last: bool
) -> Unmentioned | None:
    """Returns why a channel takes a question without a mention, None if it needs one.

    `thread`: None if the question opens one. `bot_wrote`: whether a message of the bot was in it. `bot_answered_last`:
    whether the newest message had one.
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
    """Returns whether a remark may be taken for a question unless it begins with another's name.

    `thread`: None for a post. `bot_answered_last`: as in why_unmentioned.
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
    """Returns the run's remarks ordered by time. A post is followed by a reply, whose number is the next one."""
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
