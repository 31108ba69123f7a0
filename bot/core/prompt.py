"""From a Slack conversation to what the model is given: turns by its rules, the newest that fit."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby

from bot.core.conversation import Message, Prompt, Question, Turn
from bot.core.triage import Identity, words_of
from bot.errors import QuestionTooLong

DEFAULT_SYSTEM_PROMPT = (
    "You are Typist, a helpful colleague in a Slack workspace. Be concise: people read you in a chat. "
    "Write Markdown, which Slack renders: short paragraphs, lists, tables and fenced code where they help. "
    "When several people talk, each of their messages begins with the writer's name; yours never do. "
    "Say so when you do not know."
)

CONVERSING_SUBTYPES = {None, "file_share", "thread_broadcast", "bot_message"}


@dataclass(frozen=True, slots=True)
class Conversation:
    """A question and what was said before it in its conversation."""

    question: Question
    messages: Sequence[Message]
    """As Slack tells them; the question may be among them."""
    replies: Mapping[str, str]
    """What the bot's own messages say, by ts (Store.replies)."""


@dataclass(frozen=True, slots=True)
class Spoken:
    """One message, and who said it: None is the bot."""

    speaker: str | None
    text: str


def spoken(conversation: Conversation, me: Identity) -> list[Spoken]:
    """Who said what, oldest first, the question last.

    People's messages count up to the question; our own answers always do: a thread's jobs are done in
    order, so that each answer on record belongs to an earlier question.
    """
    question = conversation.question
    said = []
    for message in conversation.messages:
        ours = message.user_id == me.user_id or message.bot_id == me.bot_id
        if ours and message.ts < question.ts:
            said.append(Spoken(None, conversation.replies.get(message.ts, message.text)))
        elif ours:
            said.append(Spoken(None, conversation.replies.get(message.ts, "")))
        elif message.ts < question.ts and message.subtype in CONVERSING_SUBTYPES:
            said.append(Spoken(message.user_id or message.bot_id, words_of(message.text, me.user_id)))
    said.append(Spoken(question.user_id, words_of(question.text, me.user_id)))
    return [each for each in said if each.text.strip()]


def fit(said: Sequence[Spoken], tokens: Callable[[str], int], limit_tokens: int) -> list[Spoken]:
    """The question (the last one) and as many whole messages before it as fit, newest first.

    Raises QuestionTooLong where the question alone does not fit.
    """
    question = said[-1]
    left = limit_tokens - tokens(question.text)
    if left < 0:
        raise QuestionTooLong(limit_tokens - left, limit_tokens)
    kept = [question]
    for each in reversed(said[:-1]):
        left -= tokens(each.text)
        if left < 0:
            break
        kept.append(each)
    while kept[-1].speaker is None:
        kept.pop()
    return kept[::-1]


def prompt_of(system: str, said: Sequence[Spoken], names: Mapping[str, str]) -> Prompt:
    """Turns that alternate and begin with a user's; of several people each message begins with its writer."""
    people = {each.speaker for each in said if each.speaker}
    turns = []
    for is_bot, group in groupby(said, key=lambda each: each.speaker is None):
        texts = [
            f"{names.get(each.speaker, each.speaker)}: {each.text.strip()}"
            if each.speaker and len(people) > 1
            else each.text.strip()
            for each in group
        ]
        turns.append(Turn("assistant" if is_bot else "user", "\n\n".join(texts)))
    return Prompt(system, tuple(turns))
