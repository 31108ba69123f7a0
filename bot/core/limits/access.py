"""Who may ask. Pure: who somebody is, is told."""

from dataclasses import dataclass
from enum import StrEnum

from bot.core import texts
from bot.core.conversation import Question

MOST_BOT_ROUNDS = 3
"""Questions of other bots that are answered in a thread, one after another without a person's between them."""
MOST_BOT_QUESTIONS_AN_HOUR = 20
"""Of one bot, wherever it asks: one that begins a thread for each of our answers would never end either."""


class UserKind(StrEnum):
    """What somebody is to our workspace."""

    MEMBER = "members"
    GUEST = "guests"
    EXTERNAL = "external"
    """Of another organisation, by Slack Connect."""
    BOT = "bots"


class Denial(StrEnum):
    """Why somebody may not ask, as the sentence that tells them."""

    PERSON = texts.DENIED_USER
    CHANNEL = texts.DENIED_CHANNEL
    GUEST = texts.DENIED_GUEST
    EXTERNAL = texts.DENIED_EXTERNAL
    BOT = texts.DENIED_BOT
    UNKNOWN = texts.DENIED_UNKNOWN


_DENIALS = {
    UserKind.GUEST: Denial.GUEST,
    UserKind.EXTERNAL: Denial.EXTERNAL,
    UserKind.BOT: Denial.BOT,
    None: Denial.UNKNOWN,
}


@dataclass(frozen=True, slots=True)
class AccessRules:
    """What those who run the bot decide; ids are Slack's. A deny list goes before everything else."""

    also: frozenset[UserKind] = frozenset()
    """Who may ask beside the workspace's members."""
    allow_users: frozenset[str] = frozenset()
    """Where it is not empty, these and nobody else may ask, whatever they are."""
    deny_users: frozenset[str] = frozenset()
    allow_channels: frozenset[str] = frozenset()
    """Where it is not empty, the bot answers in these channels alone, and in direct messages."""
    deny_channels: frozenset[str] = frozenset()

    @property
    def anybody(self) -> bool:
        """Whether every kind may ask, so that Slack need not say what somebody is."""
        return self.also >= frozenset(UserKind) - {UserKind.MEMBER}


def denial(rules: AccessRules, question: Question, kind: UserKind | None) -> Denial | None:
    """Why the asker may not ask; None where they may.

    `kind` is None where it is not known, or was not asked for: then only what holds for every kind lets anybody in.
    """
    channel_id, user_id = question.thread.channel_id, question.user_id
    if user_id in rules.deny_users:
        return Denial.PERSON
    if channel_id in rules.deny_channels:
        return Denial.CHANNEL
    if rules.allow_channels and channel_id not in rules.allow_channels and not channel_id.startswith("D"):
        return Denial.CHANNEL
    if rules.allow_users:
        return None if user_id in rules.allow_users else Denial.PERSON
    if kind is UserKind.MEMBER or kind in rules.also or rules.anybody:
        return None
    return _DENIALS[kind]


def depends_on_kind(rules: AccessRules, question: Question) -> bool:
    """Whether the answer depends on what the asker is. If not, an unknown kind gives the same answer as any other."""
    return len({denial(rules, question, kind) for kind in (*UserKind, None)}) > 1


@dataclass(frozen=True, slots=True)
class BotQuestions:
    """What other bots asked of late."""

    in_a_row: int
    """The newest questions in the thread, back to a person's."""
    in_an_hour: int
    """Of this bot, anywhere."""

    @property
    def too_many(self) -> bool:
        """Two bots that answer each other would never end."""
        return self.in_a_row >= MOST_BOT_ROUNDS or self.in_an_hour >= MOST_BOT_QUESTIONS_AN_HOUR
