"""Access control: who may ask, by the Typist admin's lists and the asker's kind of account. Pure.

A denied question gets an explanation: in a direct message, one without any reaction looks like a broken bot. In
channels there is one an hour, so that a script can't use up the app's ephemeral messages.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum

from bot.core import texts
from bot.core.conversation import Question

MAX_ADMINS_NAMED = 3
MAX_BOT_QUESTIONS_IN_A_ROW = 3
"""How many questions of bots are answered in a row in one thread."""
MAX_BOT_QUESTIONS_AN_HOUR = 20
"""How many questions of one bot are answered in an hour. A bot may begin a new thread for each answer."""


class UserKind(StrEnum):
    """An asker's kind of account in our workspace."""

    MEMBER = "members"
    GUEST = "guests"
    EXTERNAL = "external"
    """A member of another organization, by Slack Connect."""
    BOT = "bots"
    DEACTIVATED = "deactivated"
    """Slack no longer tells of what kind the account was. No setting names it."""


OPTIONAL_KINDS = (UserKind.GUEST, UserKind.EXTERNAL, UserKind.BOT)
"""The kinds that an admin may let in besides members."""


class Denial(StrEnum):
    """Why a question is denied. The value is the sentence that the asker reads."""

    PERSON = texts.DENIED_USER
    CHANNEL = texts.DENIED_CHANNEL
    GUEST = texts.DENIED_GUEST
    EXTERNAL = texts.DENIED_EXTERNAL
    BOT = texts.DENIED_BOT
    UNKNOWN = texts.DENIED_UNKNOWN
    NO_MEMBER = texts.ONLY_MEMBERS_APPROVE
    """They have access, but what they ask for is for members only."""


_DENIALS = {
    UserKind.GUEST: Denial.GUEST,
    UserKind.EXTERNAL: Denial.EXTERNAL,
    UserKind.BOT: Denial.BOT,
    UserKind.DEACTIVATED: Denial.PERSON,
    None: Denial.UNKNOWN,
}


@dataclass(frozen=True, slots=True)
class AccessRules:
    """The access settings, with Slack's IDs."""

    also: frozenset[UserKind] = frozenset()
    """The kinds of users who may ask besides members."""
    allow_users: frozenset[str] = frozenset()
    """If not empty, only these users may ask, whatever kind they are."""
    allow_channels: frozenset[str] = frozenset()
    """If not empty, Typist answers only in these channels and in direct messages."""

    @property
    def allow_all_kinds(self) -> bool:
        """Whether every kind of user may ask, even an unknown one."""
        return self.also >= frozenset(OPTIONAL_KINDS)


def denial(rules: AccessRules, question: Question, kind: UserKind | None) -> Denial | None:
    """Returns why a question is denied, or None if it is allowed.

    `kind` is None if it isn't known. Then the question is allowed only if it would be for every kind.
    """
    channel_id, user_id = question.thread.channel_id, question.user_id
    if rules.allow_channels and channel_id not in rules.allow_channels and not question.thread.in_direct_message:
        return Denial.CHANNEL
    if rules.allow_users:
        return None if user_id in rules.allow_users else Denial.PERSON
    if kind is UserKind.MEMBER or kind in rules.also or rules.allow_all_kinds:
        return None
    return _DENIALS[kind]


def depends_on_kind(rules: AccessRules, question: Question) -> bool:
    """Whether the decision depends on the asker's kind, so that Slack must be asked for it."""
    return len({denial(rules, question, kind) for kind in (*UserKind, None)}) > 1


@dataclass(frozen=True, slots=True)
class DenialNotice:
    """How often a denied asker gets an explanation."""

    name: str
    """The name under which the database keeps the time of the last one."""
    every_s: float
    """The asker gets at most one in this time."""


IN_DIRECT_MESSAGE = DenialNotice("denied_in_direct_message", 60.0)
IN_CHANNELS = DenialNotice("denied", 3600.0)
UNCHECKED = DenialNotice("access_not_checked", 0.0)


def denial_notice(question: Question, denial: Denial) -> DenialNotice:
    """Returns how often the asker of a denied question gets an explanation.

    In a direct message, silence looks like a fault, so only the questions of one minute share an explanation. In
    channels, people mostly talk to each other, and one explanation an hour is enough. A person whose access can't be
    checked may have it, so each such question gets one.
    """
    if denial is Denial.UNKNOWN:
        return UNCHECKED
    return IN_DIRECT_MESSAGE if question.thread.in_direct_message else IN_CHANNELS


@dataclass(frozen=True, slots=True)
class BotQuestions:
    """How many questions other bots asked recently."""

    in_a_row: int
    """Questions of bots in the thread since the last question of a person."""
    in_an_hour: int
    """Questions of this bot in the last hour, anywhere."""

    @property
    def too_many(self) -> bool:
        """Whether another answer may keep two bots answering each other forever."""
        return self.in_a_row >= MAX_BOT_QUESTIONS_IN_A_ROW or self.in_an_hour >= MAX_BOT_QUESTIONS_AN_HOUR


def admins_named(admins: Iterable[str]) -> list[str]:
    """Returns the ids of the admins that a sentence names, MAX_ADMINS_NAMED at most."""
    return sorted(admins)[:MAX_ADMINS_NAMED]
