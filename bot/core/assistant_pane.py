"""The assistant pane: suggested prompts, titles of threads, and the pane context for the model. Pure.

The pane context is kept per person, for hours: agents' events name no thread, and a person has one screen.
"""

from dataclasses import dataclass
from enum import StrEnum, auto

from bot.core import texts
from bot.core.conversation import Question
from bot.core.inbound.mentions import with_names, without_users
from bot.core.reply.preview import beginning, first_words

MAX_PROMPTS = 4
TITLE_CHARS = 60


class Sign(StrEnum):
    """Whether a status, or an agent's session, tells readers that an answer has begun, before its first message."""

    NONE = auto()
    MAY_BE_SEEN = auto()
    """Slack takes a status there. Outside the pane, reports differ about whether people see it."""
    SEEN = auto()
    """Slack's docs promise that the asker sees it."""


@dataclass(frozen=True, slots=True)
class Suggestion:
    """A suggested prompt: the title on its button, and the message that a press sends."""

    title: str
    message: str


DEFAULT_SUGGESTIONS = tuple(Suggestion(title, message) for title, message in texts.PANE_SUGGESTIONS.items())


def parse_suggestions(text: str) -> tuple[Suggestion, ...]:
    """Parses the setting: `title: message`, separated by `|`. Raises ValueError.

    A prompt without a title has the message as its title.
    """
    suggestions = []
    for part in filter(None, (part.strip() for part in text.split("|"))):
        title, colon, message = (field.strip() for field in part.partition(":"))
        if colon and not (title and message):
            raise ValueError(f"must list prompts as title: message, separated by |; {part!r} isn't one")
        suggestions.append(Suggestion(title, message or title))
    if len(suggestions) > MAX_PROMPTS:
        raise ValueError(f"must have at most {MAX_PROMPTS} prompts")
    return tuple(suggestions)


def in_pane(question: Question) -> bool:
    """Whether a question was asked in the pane: in an app with a pane, each direct message is in a thread."""
    return question.thread.in_direct_message and question.thread.thread_ts is not None


def title_of(question: Question) -> str:
    """Returns a thread's title: the first words of its first question, without mentions."""
    words = first_words(with_names(without_users(question.text), {}), growing=False)
    return beginning(words, TITLE_CHARS) or texts.PANE_UNTITLED


def pane_context_line(channel: str) -> str:
    """Returns the line that tells the model which channel the person has open."""
    return f"Beside this conversation the person is looking at the channel #{channel}; you can't read it."
