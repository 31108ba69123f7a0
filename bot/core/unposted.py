"""Questions that Typist posts for their askers: what they are about, how they were asked, what their posts say. Pure.

Each is a job in the state UNPOSTED (job.py) until Slack has its message.
"""

from dataclasses import dataclass, field

from bot.core import texts
from bot.core.conversation import escape, unescape
from slack_markdown.render import beginning

_REACTION = "reaction"
_SUGGESTION = "suggestion"
REMINDER_CHARS = 200


@dataclass(frozen=True, slots=True)
class QuotedMessage:
    """The message that a question is about, and the response_url for its asker."""

    channel_id: str
    """The message's channel; direct_message_of the asker, if the question is asked in a direct message at once."""
    ts: str
    thread_ts: str
    """The ts of its thread, or of the thread that a reply to it would begin; "" if it is an answer outside threads."""
    quote: str | None
    """The message's text without markup, as much as a post can quote; None until it is read, after a reaction."""
    response_url: str
    """Empty if the question was asked by a reaction or a button."""
    offered_by: int | None = None
    """The job whose answer the message is, if the answer offers the question as a choice; None for people's words."""


@dataclass(frozen=True, slots=True)
class MessageQuestion:
    """A question that has no message yet: a job in the state UNPOSTED.

    People ask it with the message shortcut in a modal, by an emoji, or by a press on a suggested prompt or a choice
    (core/choices.py). A choice's words are not the presser's: a model wrote them, which may have read anything. So they
    count as quoted (models/prompt.py), and the asker's own words say that they chose.
    """

    team_id: str
    view_id: str
    """The id of the modal in which it was asked; of a reaction, the emoji and the message; of a choice, the answer.

    Of a suggested prompt, the press.
    """
    user_id: str
    about: QuotedMessage = field(repr=False)
    text: str = field(repr=False)
    created_at: float
    elsewhere: bool = False
    """Whether an earlier try began to post it as a direct message to the asker."""
    posted: tuple[str, str] | None = None
    """The channel and ts of its message, if Slack's event has arrived."""
    schedule: int | None = None
    """The schedule whose run it is: its words are a model's, and count as quoted as well."""


def reaction_id(emoji: str, channel_id: str, ts: str) -> str:
    """Returns the view_id of a question by reaction: the same for everybody who adds this emoji to this message."""
    return f"{_REACTION}:{emoji}:{channel_id}:{ts}"


def emoji_of(view_id: str) -> str:
    """Returns the name of the emoji that asked a question; "" if a person's words or choice did."""
    kind, _, rest = view_id.partition(":")
    return rest.partition(":")[0] if kind == _REACTION else ""


def suggestion_id(place: str, user_id: str, number: int, at_ts: str) -> str:
    """Returns the view_id of a question by a suggested prompt: the same for all of a person's presses in a minute.

    `place`: the message, or the channel without one. `number`: which prompt it is. `at_ts`: when it was pressed.
    """
    return f"{_SUGGESTION}:{place}:{user_id}:{number}:{int(float(at_ts)) // 60}"


def is_suggested(view_id: str) -> bool:
    """Returns whether a question was asked by a suggested prompt."""
    return view_id.startswith(f"{_SUGGESTION}:")


def direct_message_of(user_id: str) -> str:
    """Returns what stands for the id of a person's direct message where Slack hasn't told it."""
    return f"D{user_id}"


def quote_above(about: QuotedMessage, *, elsewhere: bool) -> str:
    """Returns what the post quotes of the message: the whole quote if it is posted `elsewhere`.

    In the message's own thread a reminder is enough, and nothing at all if the thread begins with the message.
    """
    if elsewhere:
        return about.quote or ""
    return "" if about.ts == about.thread_ts else beginning(about.quote or "", REMINDER_CHARS)


def text_of_post(about: QuotedMessage, question: str, *, elsewhere: bool) -> tuple[str, str]:
    """Returns the asker's words in the post, and what it quotes, as history reads both (core/conversation.py)."""
    if about.offered_by is not None:
        return texts.shortcut.MY_CHOICE, escape(question)
    quote = escape(unescape(quote_above(about, elsewhere=elsewhere)))
    quoted = "\n".join(f"&gt; {line}" for line in quote.splitlines())
    return escape(question), quoted
