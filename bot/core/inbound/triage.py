"""Decides which messages the bot answers.

A message is answered if it is a direct message, mentions the bot, or is one that the channel's rules take without a
mention (engagement.py). Everything else is ignored, for a reason that the log names.

A message with an app's ID and without a client's counts as an app's, though a person may have authorized it: a bot that
answers another one by mistake may never stop. Forwarded or quoted text doesn't count as a mention.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from bot.core.conversation import Message, Question, ThreadKey
from bot.core.inbound.engagement import IN_DOUBT, Participants, TriageRules, reason_to_ignore
from bot.core.inbound.mentions import mentioned_users, without_address

ANSWERED_SUBTYPES = {None, "file_share", "thread_broadcast"}

STOP_WORD = "stop"
QUIET_WORDS = {"stay quiet", "please stay quiet", "stay quiet please", "stay quiet, please"}

SLACKS_OWN = frozenset({"USLACK", "USLACKBOT"})
"""The users that write Slack's own notices. Slack doesn't mark them as bots."""


@dataclass(frozen=True, slots=True)
class Identity:
    """The bot's own ids and name in a workspace."""

    team_id: str
    user_id: str
    bot_id: str
    name: str
    """The name that people type after an @."""
    has_pane: bool = False
    """Whether the app has the assistant pane, where each direct message begins a thread."""


@dataclass(frozen=True, slots=True)
class Ignore:
    """The message is not answered."""

    reason: str
    in_doubt: Question | None = None
    """The question that it would be, if a model is to decide."""


def triage(message: Message, me: Identity, participants: Participants, rules: TriageRules) -> Question | Ignore:
    """Returns the question that a message is, and in which thread. Direct messages never need a mention."""
    if message.bot_id is not None and rules.bots:
        return _triage_bot(message, me)
    return _triage_person(message, me, participants, rules)


def _triage_person(message: Message, me: Identity, participants: Participants, rules: TriageRules) -> Question | Ignore:
    if message.subtype not in ANSWERED_SUBTYPES:
        return Ignore(f"subtype {message.subtype}")
    if not by_person(message, me):
        return Ignore("not written by a person")
    if message.channel_type == "im":
        return _question(message, message.thread_ts or (message.ts if me.has_pane else None))
    if me.user_id in mentioned_users(message.text):
        return _question(message, message.thread_ts or message.ts)
    reason = reason_to_ignore(message, me.user_id, me.name, participants, rules)
    question = _question(message, message.thread_ts or message.ts)
    if not reason:
        return question
    return Ignore(reason, question if rules.gate and reason == IN_DOUBT else None)


def by_person(message: Message, me: Identity) -> bool:
    """Whether a person wrote the message: not this bot, another app or Slack itself."""
    if message.user_id is None or message.user_id in SLACKS_OWN:
        return False
    return message.bot_id is None and not message.by_app and message.user_id != me.user_id


def _triage_bot(message: Message, me: Identity) -> Question | Ignore:
    """Triages another bot's message, which always needs a mention: in a thread, it may be an answer to this bot."""
    if me.bot_id == message.bot_id or me.user_id == message.user_id:
        return Ignore("our own")
    if message.subtype not in ANSWERED_SUBTYPES | {"bot_message"}:
        return Ignore(f"subtype {message.subtype}")
    if me.user_id not in mentioned_users(message.text):
        return Ignore("another bot's, not addressed to us")
    return _question(message, message.thread_ts or message.ts)


def stop_in(message: Message, me: Identity) -> ThreadKey | None:
    """Returns the thread whose answer a message may stop: a person wrote "stop" there, and nothing else.

    It needs no mention, because the asker of an answer that is being written means that answer.
    """
    if message.subtype is not None or message.files or not by_person(message, me):
        return None
    if _words(message, me) != STOP_WORD:
        return None
    if message.channel_type == "im":
        return ThreadKey(
            message.team_id, message.channel_id, message.thread_ts or (message.ts if me.has_pane else None)
        )
    return message.thread if message.thread_ts else None


def asks_for_quiet(message: Message, me: Identity) -> bool:
    """Whether a person wrote "stay quiet" in a channel's thread, and nothing else."""
    if message.subtype not in ANSWERED_SUBTYPES or message.files or not by_person(message, me):
        return False
    return message.thread_ts is not None and message.channel_type != "im" and _words(message, me) in QUIET_WORDS


def _words(message: Message, me: Identity) -> str:
    return without_address(message.whole, me.user_id).strip(" .!\n").casefold()


def second_person_since(question: Question, by_people: Iterable[Message]) -> str | None:
    """Returns the ts of the first message by a second person in the question's thread, None if there is none."""
    if question.thread.thread_ts is None:
        return None
    first_ts = {question.user_id: question.ts}
    for message in by_people:
        writer = message.user_id or ""
        first_ts[writer] = min(message.ts, first_ts.get(writer, message.ts))
    return sorted(first_ts.values())[1] if len(first_ts) > 1 else None


def _question(message: Message, thread_ts: str | None) -> Question:
    thread = ThreadKey(message.team_id, message.channel_id, thread_ts)
    asker = message.user_id or message.bot_id or ""
    from_bot = message.bot_id is not None
    attached_chars = message.attached_chars
    return Question(thread, message.ts, asker, message.whole, message.files, from_bot, attached_chars)
