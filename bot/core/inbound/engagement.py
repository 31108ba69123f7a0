"""When the bot speaks in a channel without being mentioned. Pure.

A channel may have each new post answered. In a thread, the rules look at who wrote, not at the words: question marks
and politeness say little, and whose turn it is says much. A message that begins with another person's name, or that
shares a file among people, is never taken. `python -m benchmarks.engagement` measures the rules on labeled
conversations.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import StrEnum

from bot.core.conversation import Message
from bot.core.inbound.mentions import addresses_another

IN_DOUBT = "no mention in a thread of several people"
"""The reason to ignore a message that may well be spoken to the bot."""
MAX_LINES = 8
"""How many lines without anybody else make a thread a conversation between the bot and one person again."""


class Engagement(StrEnum):
    """Which messages in a thread are questions without a mention, once the bot takes part in it."""

    MENTIONS = "mentions"
    """None."""
    FOLLOW_UPS = "follow-ups"
    """Those of a person who is alone with the bot, or whose question the bot just answered."""
    EVERYONE = "everyone"
    """Everybody's."""


@dataclass(frozen=True, slots=True)
class Line:
    """A line of a thread: a person's message, or an answer of the bot, which stands below its question."""

    writer: str
    """The person; "" for the bot, and for a person who was erased."""
    asker: str = ""
    """The person the bot answers; "" in a person's line."""


@dataclass(frozen=True, slots=True)
class Participants:
    """The recorded participants of a message's thread."""

    takes_part: bool = False
    """Whether the bot was asked something in it before."""
    others: bool = False
    """Whether somebody other than the message's writer wrote in it."""
    joined: bool = field(default=False, compare=False)
    """Whether the message is the first by somebody else."""
    starter: str = field(default="", compare=False)
    """The person who wrote its first message, or below an app's message, who asked the bot first; "" if nobody did."""
    quiet: bool = False
    """Whether the bot was asked to answer only mentions in it."""
    lines: Sequence[Line] = ()
    """The last lines before the message, oldest first: at most MAX_LINES, and none if there are no others."""


@dataclass(frozen=True, slots=True)
class TriageRules:
    """The settings that triage depends on."""

    engagement: Engagement = Engagement.FOLLOW_UPS
    new_posts: bool = False
    """Whether each new post of the channel is a question."""
    gate: bool = False
    """Whether a model decides about the follow-ups that the rules leave in doubt."""
    bots: bool = False
    """Whether other bots may ask, if they mention the bot."""


def reason_to_ignore(
    message: Message, bot_user_id: str, bot_name: str, participants: Participants, rules: TriageRules
) -> str:
    """Returns why a person's message in a channel, without a mention of the bot, is ignored; "" if it is answered."""
    if addresses_another(message.text, bot_name):
        return "addressed to somebody else"
    if message.thread_ts is None:
        if not rules.new_posts:
            return "not addressed to us"
        return "" if message.text.strip() else "a post without words"
    return _reason_to_ignore_reply(message, bot_user_id, participants, rules)


def _reason_to_ignore_reply(message: Message, bot_user_id: str, participants: Participants, rules: TriageRules) -> str:
    if not participants.takes_part and message.parent_user_id != bot_user_id:
        return "a thread without us"
    if participants.quiet:
        return "asked to stay quiet"
    if rules.engagement is Engagement.MENTIONS:
        return "no mention"
    if participants.others and message.files:
        return "a file among several people"
    if rules.engagement is Engagement.EVERYONE or _is_follow_up(message.user_id or "", participants):
        return ""
    return IN_DOUBT


def _is_follow_up(writer: str, participants: Participants) -> bool:
    """Whether the writer is alone with the bot, in the whole thread or its last lines, or was just answered."""
    if not participants.others:
        return True
    lines = participants.lines
    if lines and lines[-1].asker == writer:
        return True
    # Lines from before the bot took part aren't known. So only a full record shows that nobody else wrote.
    return len(lines) == MAX_LINES and all(writer in (line.writer, line.asker) for line in lines)
