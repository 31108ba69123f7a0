"""The pane beside a person's work: what is suggested in it, how its threads are called, what is looked at. Pure."""

from dataclasses import dataclass

from bot.core import texts
from bot.core.conversation import Question
from bot.core.inbound.channel_settings import is_direct
from bot.core.inbound.mentions import with_names, without_users
from bot.core.reply.preview import beginning, first_words

MOST_PROMPTS = 4
TITLE_CHARS = 60


@dataclass(frozen=True, slots=True)
class Suggestion:
    """A button: what is on it, and what pressing it asks."""

    title: str
    message: str


DEFAULT_SUGGESTIONS = tuple(Suggestion(title, message) for title, message in texts.PANE_SUGGESTIONS.items())


def parse_suggestions(text: str) -> tuple[Suggestion, ...]:
    """`title: message`, by `|`; without a title the message is on the button. Raises ValueError."""
    found = []
    for part in filter(None, (part.strip() for part in text.split("|"))):
        title, colon, message = (each.strip() for each in part.partition(":"))
        if colon and not (title and message):
            raise ValueError(f"must list prompts as title: message, separated by |; {part!r} isn't one")
        found.append(Suggestion(title, message or title))
    if len(found) > MOST_PROMPTS:
        raise ValueError(f"must have at most {MOST_PROMPTS} prompts")
    return tuple(found)


def in_pane(question: Question) -> bool:
    """In an app with a pane each direct message is a thread."""
    return is_direct(question.thread.channel_id) and question.thread.thread_ts is not None


def title_of(question: Question) -> str:
    """What a thread is called by its first question: a few plain words, without those whose names are not known."""
    words = first_words(with_names(without_users(question.text), {}), growing=False)
    return beginning(words, TITLE_CHARS) or texts.PANE_UNTITLED


def pane_context_line(channel: str) -> str:
    """One line of context for the model."""
    return f"Beside this conversation the person is looking at the channel #{channel}; you can't read it."
