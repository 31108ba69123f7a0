"""Access control: who may ask, by the Typist admin's lists and the asker's kind of account. Pure.

A denied question gets an explanation: in a direct message, one without any reaction looks like a broken bot. In
channels there is one an hour, so that a script can't use up the app's ephemeral messages.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from functools import cached_property

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

    PERSON = texts.access.DENIED_USER
    CHANNEL = texts.access.DENIED_CHANNEL
    GUEST = texts.access.DENIED_GUEST
    EXTERNAL = texts.access.DENIED_EXTERNAL
    BOT = texts.access.DENIED_BOT
    UNKNOWN = texts.access.DENIED_UNKNOWN
    NO_MEMBER = texts.approvals.ONLY_MEMBERS_APPROVE
    """The asker has access, but what they ask for is for members only."""


_DENIALS = {
    UserKind.GUEST: Denial.GUEST,
    UserKind.EXTERNAL: Denial.EXTERNAL,
    UserKind.BOT: Denial.BOT,
    UserKind.DEACTIVATED: Denial.PERSON,
    None: Denial.UNKNOWN,
}


@dataclass(frozen=True)
class AccessRules:
    """The access settings, with Slack's IDs, and what they say of a question."""

    also: frozenset[UserKind] = frozenset()
    """The kinds of users who may ask besides members."""
    allow_users: frozenset[str] = frozenset()
    """If not empty, only these may ask: users by ID, whatever kind they are; the people of user groups, by ID (S…) or
    handle (@support); members with an address at a domain (@example.com)."""
    allow_channels: frozenset[str] = frozenset()
    """If not empty, Typist answers only in these channels and in direct messages."""

    @cached_property
    def allow_all_kinds(self) -> bool:
        """Whether every kind of user may ask, even an unknown one."""
        return self.also >= frozenset(OPTIONAL_KINDS)

    @cached_property
    def people(self) -> frozenset[str]:
        """The users in `allow_users`."""
        return frozenset(entry for entry in self.allow_users if entry[0] in "UW")

    @cached_property
    def domains(self) -> frozenset[str]:
        """The domains of e-mail addresses in `allow_users`."""
        return frozenset(entry[1:].lower() for entry in self.allow_users if entry[0] == "@" and "." in entry)

    @cached_property
    def groups(self) -> frozenset[str]:
        """The user groups in `allow_users`, by ID or handle."""
        return frozenset(entry.removeprefix("@") for entry in self.allow_users if entry[0] in "@S" and "." not in entry)

    def denial(self, question: Question, kind: UserKind | None, is_named: bool | None = False) -> Denial | None:
        """Returns why a question is denied, or None if it is allowed.

        `kind` is None if it isn't known. Then the question is allowed only if it would be for every kind. `is_named`:
        whether a group or domain of `allow_users` names the asker, None if Slack doesn't say.
        """
        channel_id, user_id = question.thread.channel_id, question.user_id
        if self.allow_channels and channel_id not in self.allow_channels and not question.thread.in_direct_message:
            return Denial.CHANNEL
        if self.allow_users:
            if user_id in self.allow_users or is_named:
                return None
            return Denial.UNKNOWN if is_named is None else Denial.PERSON
        if kind is UserKind.MEMBER or kind in self.also or self.allow_all_kinds:
            return None
        return _DENIALS[kind]

    def depend_on_kind(self, question: Question) -> bool:
        """Whether the decision depends on the asker's kind, so that Slack must be asked for it."""
        return len({self.denial(question, kind) for kind in (*UserKind, None)}) > 1

    def depend_on_name(self, question: Question) -> bool:
        """Whether the decision depends on the asker's groups or address, so that Slack must be asked for them."""
        is_asked = bool(self.groups or self.domains) and not question.from_bot
        return is_asked and self.denial(question, None) is Denial.PERSON


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
