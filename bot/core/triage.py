"""Says of each message whether it is for us. Pure: what the Store knows is told."""

import re
from dataclasses import dataclass

from bot.core.conversation import Message, Question, ThreadKey

ANSWERED_SUBTYPES = {None, "file_share", "thread_broadcast"}

_MENTION = re.compile(r"<@([A-Z0-9]+)(?:\|[^>]*)?>")


@dataclass(frozen=True, slots=True)
class Identity:
    """Who we are in a workspace."""

    team_id: str
    user_id: str
    bot_id: str


@dataclass(frozen=True, slots=True)
class Answer:
    """The message is to be answered."""

    question: Question


@dataclass(frozen=True, slots=True)
class Ignore:
    """The message is not for us."""

    reason: str


def triage(message: Message, me: Identity, takes_part: bool) -> Answer | Ignore:
    """`takes_part`: we were asked something in the message's thread before."""
    if message.subtype not in ANSWERED_SUBTYPES:
        return Ignore(f"subtype {message.subtype}")
    if message.user_id is None or message.bot_id is not None or message.user_id == me.user_id:
        return Ignore("not written by a person")
    mentioned = _MENTION.findall(message.text)
    if message.channel_type == "im":
        return _answer(message, message.thread_ts)
    if me.user_id in mentioned:
        return _answer(message, message.thread_ts or message.ts)
    if message.thread_ts is None:
        return Ignore("not addressed to us")
    if not takes_part and message.parent_user_id != me.user_id:
        return Ignore("a thread without us")
    if mentioned and mentioned[0] != me.user_id and message.text.lstrip().startswith("<@"):
        return Ignore("addressed to somebody else")
    return _answer(message, message.thread_ts)


def words_of(text: str, bot_user_id: str) -> str:
    """What a person wrote, without the mention that addresses us and with Slack's escapes undone."""
    words = re.sub(rf"<@{bot_user_id}(?:\|[^>]*)?>", "", text)
    return words.replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&").strip()


def _answer(message: Message, thread_ts: str | None) -> Answer:
    thread = ThreadKey(message.team_id, message.channel_id, thread_ts)
    return Answer(Question(thread, message.ts, message.user_id or "", message.text))
