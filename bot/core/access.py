"""Access control, based on the Typist admin's lists and the asker's user type. Pure."""

from dataclasses import dataclass
from enum import StrEnum
from functools import cached_property

from bot.core.conversation import Question
from bot.core.texts.access import Denial

MAX_ADMINS_LISTED = 3
MAX_BOT_QUESTIONS_IN_A_ROW = 3
MAX_BOT_QUESTIONS_AN_HOUR = 20
"""Maximum number of questions answered per bot per hour, across all threads, because a bot might start many threads."""


class UserKind(StrEnum):
    MEMBER = "members"
    GUEST = "guests"
    EXTERNAL = "external"
    """A member of another organization who is connected through Slack Connect."""
    BOT = "bots"
    DEACTIVATED = "deactivated"
    """A deactivated account. Slack no longer reports its type, and no setting grants it access."""


OPTIONAL_KINDS = (UserKind.GUEST, UserKind.EXTERNAL, UserKind.BOT)


_DENIALS = {
    UserKind.GUEST: Denial.GUEST,
    UserKind.EXTERNAL: Denial.EXTERNAL,
    UserKind.BOT: Denial.BOT,
    UserKind.DEACTIVATED: Denial.PERSON,
    None: Denial.UNKNOWN,
}


@dataclass(frozen=True)
class AccessRules:
    extra_kinds: frozenset[UserKind] = frozenset()
    allow_users: frozenset[str] = frozenset()
    """If not empty, only these users can ask, whatever their user type. An entry is a user's ID, a user group's ID (S…)
    or handle (@support), or an email domain (@example.com)."""
    allow_channels: frozenset[str] = frozenset()
    """If not empty, Typist answers only in these channels and in direct messages."""

    @cached_property
    def allows_all_kinds(self) -> bool:
        return self.extra_kinds >= frozenset(OPTIONAL_KINDS)

    @cached_property
    def people(self) -> frozenset[str]:
        return frozenset(entry for entry in self.allow_users if entry[0] in "UW")

    @cached_property
    def domains(self) -> frozenset[str]:
        return frozenset(entry[1:].lower() for entry in self.allow_users if entry[0] == "@" and "." in entry)

    @cached_property
    def groups(self) -> frozenset[str]:
        return frozenset(entry.removeprefix("@") for entry in self.allow_users if entry[0] in "@S" and "." not in entry)

    def denial(self, question: Question, kind: UserKind | None, is_listed: bool | None = False) -> Denial | None:
        """Returns why a question is denied, or None if it is allowed. `kind`: the asker's user type, or None if
        unknown. `is_listed`: whether a group or domain in `allow_users` includes the asker, or None if Slack doesn't
        say."""
        channel_id, user_id = question.thread.channel_id, question.user_id
        if self.allow_channels and channel_id not in self.allow_channels and not question.thread.in_direct_message:
            return Denial.CHANNEL
        if question.alert_kind:
            return None
        if self.allow_users:
            if user_id in self.allow_users or is_listed:
                return None
            return Denial.UNKNOWN if is_listed is None else Denial.PERSON
        if kind is UserKind.MEMBER or kind in self.extra_kinds or self.allows_all_kinds:
            return None
        return _DENIALS[kind]

    def needs_user_type(self, question: Question) -> bool:
        return len({self.denial(question, kind) for kind in (*UserKind, None)}) > 1

    def needs_groups_or_email(self, question: Question) -> bool:
        is_asked = bool(self.groups or self.domains) and not question.is_from_bot
        return is_asked and self.denial(question, None) is Denial.PERSON


@dataclass(frozen=True, slots=True)
class DenialNotice:
    name: str
    """The database key under which the time of the last explanation is stored."""
    every_s: float


DIRECT_MESSAGE_NOTICE = DenialNotice("denied_in_direct_message", 60.0)
CHANNEL_NOTICE = DenialNotice("denied", 3600.0)
UNCHECKED_NOTICE = DenialNotice("access_not_checked", 0.0)


def denial_notice(question: Question, denial: Denial) -> DenialNotice:
    """Returns the notice for a denial, with the minimum time between two notices. That time is longer in channels,
    where a script could otherwise use up the app's ephemeral messages."""
    if denial is Denial.UNKNOWN:
        return UNCHECKED_NOTICE
    return DIRECT_MESSAGE_NOTICE if question.thread.in_direct_message else CHANNEL_NOTICE


@dataclass(frozen=True, slots=True)
class BotQuestions:
    in_a_row: int
    """The number of bot questions in the thread since a person's last question."""
    in_an_hour: int

    @property
    def is_over_limit(self) -> bool:
        return self.in_a_row >= MAX_BOT_QUESTIONS_IN_A_ROW or self.in_an_hour >= MAX_BOT_QUESTIONS_AN_HOUR
