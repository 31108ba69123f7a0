"""Says of each message whether it is for us. Pure: what the Store knows is told."""

from collections.abc import Iterable
from dataclasses import dataclass

from bot.core.conversation import Message, Question, ThreadKey
from bot.core.inbound.mentions import begins_with_mention, mentioned_users

ANSWERED_SUBTYPES = {None, "file_share", "thread_broadcast"}

SLACKS_OWN = frozenset({"USLACK", "USLACKBOT"})
"""Who Slack's notices come from. It says that they are no bots."""


@dataclass(frozen=True, slots=True)
class Identity:
    """Who we are in a workspace."""

    team_id: str
    user_id: str
    bot_id: str
    name: str
    """How people write to us, after an @."""
    has_pane: bool = False
    """The app has the Agents feature: each direct message begins a thread."""


@dataclass(frozen=True, slots=True)
class Answer:
    """The message is to be answered."""

    question: Question


@dataclass(frozen=True, slots=True)
class Ignore:
    """The message is not for us."""

    reason: str


@dataclass(frozen=True, slots=True)
class Participants:
    """Who is in a message's thread, as far as it is on record."""

    takes_part: bool = False
    """We were asked something in it before."""
    others: bool = False
    """Somebody else than the message's writer asked or wrote something in it."""


@dataclass(frozen=True, slots=True)
class TriageRules:
    """What those who run the bot have it listen to."""

    mention_only: bool = False
    bots: bool = False
    """Other bots may ask, if they mention us."""


def triage(
    message: Message, me: Identity, company: Participants, hearing: TriageRules = TriageRules()
) -> Answer | Ignore:
    """A thread that is between us and one person needs no mention, unless it is `mention_only`; nor does a DM."""
    if message.bot_id is not None and hearing.bots:
        return _of_bot(message, me)
    return _of_person(message, me, company, hearing.mention_only)


def _of_person(message: Message, me: Identity, company: Participants, mention_only: bool) -> Answer | Ignore:
    if message.subtype not in ANSWERED_SUBTYPES:
        return Ignore(f"subtype {message.subtype}")
    if not by_person(message, me):
        return Ignore("not written by a person")
    if message.channel_type == "im":
        return _answer(message, message.thread_ts or (message.ts if me.has_pane else None))
    if me.user_id in mentioned_users(message.text):
        return _answer(message, message.thread_ts or message.ts)
    reason = _not_for_us(message, me, company, mention_only)
    return Ignore(reason) if reason else _answer(message, message.thread_ts)


def _not_for_us(message: Message, me: Identity, company: Participants, mention_only: bool) -> str:
    """Why a message in a channel that does not mention us is not for us; empty where it is."""
    if message.thread_ts is None:
        return "not addressed to us"
    if not company.takes_part and message.parent_user_id != me.user_id:
        return "a thread without us"
    if mention_only or company.others:
        return "no mention in a thread of several people" if company.others else "no mention"
    if begins_with_mention(message.text) and mentioned_users(message.text)[0] != me.user_id:
        return "addressed to somebody else"
    return ""


def by_person(message: Message, me: Identity) -> bool:
    """Neither ours nor another app's, nor a notice of Slack's own."""
    if message.user_id is None or message.user_id in SLACKS_OWN:
        return False
    return message.bot_id is None and not message.by_app and message.user_id != me.user_id


def _of_bot(message: Message, me: Identity) -> Answer | Ignore:
    """Another bot has to mention us each time: what it says in a thread of ours may be its answer to us."""
    if me.bot_id == message.bot_id or me.user_id == message.user_id:
        return Ignore("our own")
    if message.subtype not in ANSWERED_SUBTYPES | {"bot_message"}:
        return Ignore(f"subtype {message.subtype}")
    if me.user_id not in mentioned_users(message.text):
        return Ignore("another bot's, not addressed to us")
    return _answer(message, message.thread_ts or message.ts)


def company_since(question: Question, by_people: Iterable[Message]) -> str | None:
    """The message by which a second person came into a question's thread; None where nobody did."""
    if question.thread.thread_ts is None:
        return None
    first_ts = {question.user_id: question.ts}
    for message in by_people:
        writer = message.user_id or ""
        first_ts[writer] = min(message.ts, first_ts.get(writer, message.ts))
    return sorted(first_ts.values())[1] if len(first_ts) > 1 else None


def _answer(message: Message, thread_ts: str | None) -> Answer:
    thread = ThreadKey(message.team_id, message.channel_id, thread_ts)
    asker, from_bot = message.user_id or message.bot_id or "", message.bot_id is not None
    return Answer(Question(thread, message.ts, asker, message.whole, message.files, from_bot))
