"""Decides which messages the bot answers. Pure.

A message is answered if it is a direct message, mentions the bot, or matches the channel's rules for answering without
a mention. In a thread, these rules consider who wrote the message rather than its words, because whose turn it is says
more than question marks and politeness do. A message that begins with another person's name, or that shares a file in a
thread of several people, never matches. `python -m benchmarks.engagement` measures the rules on labeled conversations.
A small model can decide on messages that the rules leave in doubt.

A message with an app's ID but no client's ID is treated as an app's message, even if a person authorized it: a bot that
answers another bot by mistake might never stop. Mentions in forwarded text, quotations and code don't count, because
they repeat other text.
"""

import re
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum

from bot.core.alerts import alert_kind
from bot.core.closings import Closing, closing_of_text, has_question_mark, is_courtesy, unaccented
from bot.core.conversation import (
    ANSWERED_SUBTYPES,
    SLACK_USER_IDS,
    Message,
    Question,
    ThreadKey,
    addressed_user_ids,
    is_addressed_to_another,
    mentioned_user_ids,
    plain_command,
    with_names,
    without_bot_mention,
)

# Stop words in English and a dozen of the most used languages. The Stop button below the answer works in all.
_STOP_WORDS = (
    "stop|cancel|abort|halt|enough|that's enough|stopp|stoppe|abbrechen|hör (?:bitte )?auf|arrête|arrêtez|annule|"
    "annuler|para|parar|alto|detente|cancela|cancelar|pare|ferma|fermati|annulla|basta|hou op|ophouden|стоп|отмена|"
    "хватит|прекрати|остановись|dur|yeter|iptal|停止|停下|停下来|停一下|停|够了|取消|中止|ストップ|止めて|やめて|"
    "중지|멈춰|멈춰줘|그만|그만해|취소|توقف|قف|रुको"
)
_STOP = re.compile(
    unaccented(
        r"(?:(?:(?:can|could|would|will)\s+you|you\s+can|just)\s+(?:please\s+)?)?"
        rf"请?(?:{_STOP_WORDS})(?:\s?(?:ください|下さい|주세요))?"
        rf"(?:[\s,.!]+(?:{_STOP_WORDS}|it|this|that|now|here|writing|typing|generating|answering|responding|talking))*"
    )
)
_HERE = r"(?:\s+(?:in\s+)?here|\s+in\s+(?:this|the)\s+thread)"
_MENTIONED = (
    r"\s+(?:(?:you're|you\s+are|i|we|someone|somebody|anyone)\s+)?(?:mention(?:s|ed)?|tag(?:s|ged)?)(?:\s+you)?"
)
_UNLESS = rf"(?:\s+(?:unless|until){_MENTIONED})"
_WORK = r"(?:schedule|task|summary|summaries|reports?|reminders?|digests?|updates?)"
"""Words for schedules. A command with other words needs a model, because "Stop the deploy" might not refer to the
reminder about it."""
STOPS_WORK = re.compile(
    rf"(?:stop|cancel)\s+(?P<whose>the|my|this|our)\s+(?P<about>(?:\w{{1,40}}\s+){{0,2}}{_WORK})"
    r"(?:\s+(?:here|in\s+here|in\s+this\s+channel))?"
)
"""Matches a command to stop the answer in progress or, if there is none, a schedule (core/schedules.py)."""
_QUIET_WORDS = (
    "shut up|sei (?:bitte )?(?:still|ruhig|leise)|tais-toi|sois silencieux|reste silencieux|cállate|guarda silencio|"
    "fica quieto|fique quieto|fique em silêncio|stai zitto|fai silenzio|wees stil|hou je stil|помолчи|молчи|"
    "не отвечай здесь|sessiz ol|保持安静|别说话|静かにして|黙って|조용히 해|اصمت|चुप रहो"
)
_QUIET = re.compile(
    unaccented(
        rf"(?:stay|be|keep)\s+(?:quiet|silent){_HERE}?(?:\s+(?:(?:for\s+)?now|from\s+now\s+on))?{_UNLESS}?"
        r"|(?:only\s+(?:answer|reply|respond)|(?:answer|reply|respond)\s+only)"
        rf"{_HERE}?(?:\s+to\s+mentions|\s+(?:when|if){_MENTIONED})"
        rf"|(?:stop\s+(?:answer|reply|respond)ing|(?:you\s+)?(?:don't|do\s+not)\s+(?:(?:have|need)\s+to\s+)?"
        rf"(?:answer|reply|respond))(?:{_HERE}{_UNLESS}?|{_UNLESS})"
        rf"|请?(?:{_QUIET_WORDS})(?:\s?(?:ください|下さい|주세요))?"
    )
)
_BOT_SUBTYPES = ANSWERED_SUBTYPES | {"bot_message"}
MAX_LINES = 8
"""After this many lines by only the bot and one person, a thread counts as their conversation."""


class Engagement(StrEnum):
    """Rules for messages without a mention in threads that the bot has joined."""

    MENTIONS = "mentions"
    FOLLOW_UPS = "follow-ups"
    """Messages from a person who is alone with the bot, or whose question the bot just answered."""
    EVERYONE = "everyone"


@dataclass(frozen=True, slots=True)
class Line:
    """A line of a thread: a person's message, or the bot's answer, which comes after its question."""

    writer_id: str
    """The author's ID, or "" for the bot and for a person who was erased."""
    asker_id: str = ""
    """The ID of the person whom the bot answers, or "" for a person's line."""


@dataclass(frozen=True, slots=True)
class Participants:
    has_bot: bool = False
    """Whether someone has asked the bot in the thread."""
    has_others: bool = False
    """Whether someone other than the message's author has written in the thread."""
    begins_group: bool = field(default=False, compare=False)
    """Whether `has_others` is true but the thread hasn't been recorded as a group conversation yet."""
    starter_id: str = field(default="", compare=False)
    """The author of the thread's first message or, after an app's message, the first person to ask the bot, or ""."""
    is_quiet: bool = False
    """Whether the bot should answer only mentions in the thread."""
    lines: Sequence[Line] = ()
    """The last lines before the message, oldest first, at most MAX_LINES of them. Empty if nobody else has written."""


UNKNOWN_PARTICIPANTS = Participants()


@dataclass(frozen=True, slots=True)
class TriageRules:
    engagement: Engagement = Engagement.FOLLOW_UPS
    answers_new_posts: bool = False
    gate: bool = False
    """Whether a model decides on follow-ups that the rules leave in doubt."""
    holds_posts: bool = False
    """Whether a rule in words decides if the answer to a new post is worth posting (core/silence.py)."""
    allows_bots: bool = False
    """Whether other bots can ask questions by mentioning the bot."""
    alert_runs: int = 0
    """Maximum number of alerts per channel and day that start an answer. 0 turns alerts off."""
    alert_apps: Collection[str] = ()
    """The IDs of the apps whose posts are alerts in the channel."""


@dataclass(frozen=True, slots=True)
class Identity:
    team_id: str
    user_id: str
    bot_id: str
    name: str
    has_pane: bool = False
    """Whether the app has the assistant pane, where each direct message begins a thread."""


class IgnoreReason(StrEnum):
    SUBTYPE = "of a subtype that is no question"
    NO_PERSON = "not written by a person"
    OUR_OWN = "our own"
    OTHER_BOT = "another bot's, not addressed to us"
    OTHER_ADDRESSEE = "addressed to somebody else"
    NOT_ADDRESSED = "not addressed to us"
    NO_WORDS = "a post without words, or with nothing but courtesy"
    OTHER_THREAD = "a thread without us"
    QUIET = "asked to stay quiet"
    NO_MENTION = "no mention"
    SHARED_FILE = "a file among several people"
    IN_DOUBT = "no mention in a thread of several people"
    CLOSING = "thanks, or words that need no answer"


@dataclass(frozen=True, slots=True)
class Ignore:
    reason: IgnoreReason
    doubtful_question: Question | None = None
    """The question to answer if a model decides that the message is a question for the bot."""
    closing: Closing | None = None


def triage(message: Message, me: Identity, participants: Participants, rules: TriageRules) -> Question | Ignore:
    """Returns the question in a message, with the thread to answer in, or the reason to ignore the message."""
    if message.app_id in rules.alert_apps and can_be_alert(message, me, rules):
        kind = alert_kind(message.app_id, message.full_text)
        return replace(message.as_question(message.ts), is_from_bot=True, is_held=rules.holds_posts, alert_kind=kind)
    if message.bot_id is not None and rules.allows_bots:
        return _triage_bot(message, me)
    if message.subtype not in ANSWERED_SUBTYPES:
        return Ignore(IgnoreReason.SUBTYPE)
    if not is_from_person(message, me):
        return Ignore(IgnoreReason.NO_PERSON)
    if message.channel_type == "im":
        return message.as_question(message.thread_ts or (message.ts if me.has_pane else None))
    question = message.as_question(message.thread_ts or message.ts)
    if me.user_id in addressed_user_ids(message.text):
        return question
    reason = reason_to_ignore(message, me, participants, rules)
    if reason is None:
        return replace(question, is_held=True) if rules.holds_posts and message.thread_ts is None else question
    return Ignore(reason, question if rules.gate and reason is IgnoreReason.IN_DOUBT else None)


def reason_to_ignore(  # noqa: PLR0911
    message: Message, me: Identity, participants: Participants, rules: TriageRules
) -> IgnoreReason | None:
    """Returns the reason to ignore a person's channel message that doesn't mention the bot, or None if it should be
    answered."""
    if is_addressed_to_another(message.text, me.name):
        return IgnoreReason.OTHER_ADDRESSEE
    if message.thread_ts is None:
        if not rules.answers_new_posts:
            return IgnoreReason.NOT_ADDRESSED
        has_words = message.text.strip() and (_has_attachments(message) or not is_courtesy(message.text, me.name))
        return None if has_words else IgnoreReason.NO_WORDS
    if not participants.has_bot and message.parent_user_id != me.user_id:
        return IgnoreReason.OTHER_THREAD
    if participants.is_quiet:
        return IgnoreReason.QUIET
    if rules.engagement is Engagement.MENTIONS:
        return IgnoreReason.NO_MENTION
    if participants.has_others and message.files:
        return IgnoreReason.SHARED_FILE
    if rules.engagement is Engagement.EVERYONE or _is_follow_up(message.user_id or "", participants):
        return None
    return IgnoreReason.IN_DOUBT


def _is_follow_up(writer: str, participants: Participants) -> bool:
    """Returns whether the author is alone with the bot, in the whole thread or its last lines, or was just answered. On
    700 labeled conversations, the last condition raises the share of recognized follow-ups from 48% to 72%; 91% of the
    messages recognized by it were meant for the bot."""
    if not participants.has_others:
        return True
    lines = participants.lines
    if lines and lines[-1].asker_id == writer:
        return True
    # Lines from before the bot joined are unknown, so only a full record shows that nobody else wrote.
    return len(lines) == MAX_LINES and all(writer in (line.writer_id, line.asker_id) for line in lines)


def is_from_person(message: Message, me: Identity) -> bool:
    if message.user_id is None or message.user_id in SLACK_USER_IDS:
        return False
    return message.bot_id is None and not message.is_from_app and message.user_id != me.user_id


def can_be_alert(message: Message, me: Identity, rules: TriageRules) -> bool:
    """Returns whether an app posted the message in a channel, outside threads and without mentioning the bot. A message
    in a thread or with a mention might be an answer to the bot."""
    is_on = rules.alert_runs > 0 and message.channel_type != "im"
    is_apps = bool(message.app_id) and (message.is_from_app or message.bot_id is not None) and not _is_own(message, me)
    is_post = message.thread_ts is None and message.subtype in _BOT_SUBTYPES
    return is_on and is_apps and is_post and me.user_id not in mentioned_user_ids(message.full_text)


def _is_own(message: Message, me: Identity) -> bool:
    return me.bot_id == message.bot_id or me.user_id == message.user_id


def _triage_bot(message: Message, me: Identity) -> Question | Ignore:
    """Triages another bot's message. A mention is required, because the message might be an answer to this bot."""
    if _is_own(message, me):
        return Ignore(IgnoreReason.OUR_OWN)
    if message.subtype not in _BOT_SUBTYPES:
        return Ignore(IgnoreReason.SUBTYPE)
    if me.user_id not in addressed_user_ids(message.text):
        return Ignore(IgnoreReason.OTHER_BOT)
    return message.as_question(message.thread_ts or message.ts)


def thread_to_stop(message: Message, me: Identity) -> ThreadKey | None:
    """Returns the thread whose answer a message ("stop" or a similar word) might stop, or None. In a thread, such a
    message needs no mention, because the asker means the answer that is being written. In a channel outside threads,
    the message needs a mention, can't be a command such as "Stop the summary", and can refer to an answer in a
    thread."""
    if message.subtype is not None or message.files or not is_from_person(message, me):
        return None
    words, is_told = _own_words(message, me), bool(message.channel_type == "im" or message.thread_ts)
    if STOPS_WORK.fullmatch(words) is None:
        is_told = _STOP.fullmatch(words) is not None and (is_told or me.user_id in addressed_user_ids(message.text))
    return ThreadKey(message.team_id, message.channel_id, message.thread_ts) if is_told else None


def is_quiet_request(message: Message, me: Identity) -> bool:
    """Returns whether a person's message in a thread asks Typist to answer only mentions from now on, and nothing
    else."""
    if message.subtype not in ANSWERED_SUBTYPES or message.files or not is_from_person(message, me):
        return False
    is_in_thread = message.thread_ts is not None and message.channel_type != "im"
    return is_in_thread and _QUIET.fullmatch(_own_words(message, me)) is not None


LAST_CHARS = 300
"""The number of characters at the end of an answer that are checked for a question."""


def closing_of_message(message: Message, me: Identity) -> Closing | None:
    """Returns the type of a message's closing, or None if the message might need an answer."""
    if _has_attachments(message):
        return None
    return closing_of_text(without_bot_mention(message.full_text, me.user_id), me.name)


def _has_attachments(message: Message) -> bool:
    return bool(message.files or message.attached_chars)


def needs_no_answer(closing: Closing, last_words: str) -> bool:
    """Returns whether a closing needs no answer after the bot's `last_words`. Agreement needs an answer if the bot
    asked a question."""
    return closing is Closing.THANKS or not has_question_mark(last_words[-LAST_CHARS:])


def _own_words(message: Message, me: Identity) -> str:
    words = without_bot_mention(message.full_text, me.user_id)
    return "" if has_question_mark(words) else unaccented(plain_command(words, me.user_id, me.name))


def second_writer_ts(question: Question, by_people: Iterable[Message]) -> str | None:
    """Returns the ts of the first message by a second person in the question's thread, or None."""
    if question.thread.thread_ts is None:
        return None
    first_ts = {question.user_id: question.ts}
    for message in by_people:
        writer = message.user_id or ""
        first_ts[writer] = min(message.ts, first_ts.get(writer, message.ts))
    return sorted(first_ts.values())[1] if len(first_ts) > 1 else None


# The input of a small model that decides whether an ambiguous message is addressed to the bot.

USD_PER_TOKEN = 0.10 / 1_000_000
"""The price of a decision's input at OpenAI. Output is free."""
MAX_MESSAGES = 12
MAX_CHARS = 500
MIN_PROBABILITY = 0.8
"""Minimum probability for accepting a decision. With this minimum, 199 of 201 decisions were right
(etsabary/luna-decisions-benchmark)."""


def transcript(messages: Iterable[Message], ts: str, me: Identity) -> str:
    """Returns the end of a thread up to the message `ts`, without people's names or IDs."""
    last = [message for message in messages if message.ts <= ts][-MAX_MESSAGES:]
    writers = [message.user_id or "" for message in last if is_from_person(message, me)]
    mentioned = [user_id for message in last for user_id in mentioned_user_ids(message.text)]
    people = [user_id for user_id in dict.fromkeys((*writers, *mentioned)) if user_id != me.user_id]
    names = {user_id: f"person {number}" for number, user_id in enumerate(people, start=1)} | {me.user_id: me.name}
    # A message is on one line, because further lines could imitate another author.
    said = [" ".join(with_names(message.text, names).split())[:MAX_CHARS] for message in last]
    return "\n".join(f"[{names.get(m.user_id or '', 'an app')}] {text}" for m, text in zip(last, said, strict=True))


def closing_statement(me: Identity) -> str:
    return (
        f"The last message only thanks or agrees, or says goodbye. It asks {me.name}, the bot, nothing, and gives it "
        "nothing to do."
    )


def gate_statement(me: Identity) -> str:
    return (
        f"The last message is spoken to {me.name}, the bot, and needs its answer. It is not spoken to another person, "
        "and it is no remark or thanks that nobody has to answer."
    )
