"""Questions that Typist posts on behalf of their askers. Until it is posted, a question is an UNPOSTED job (job.py).
Pure."""

from dataclasses import dataclass, field

from bot.core import texts
from bot.core.conversation import escape, unescape
from slack_markdown.render import beginning

_REACTION = "reaction"
_SUGGESTION = "suggestion"
REMINDER_CHARS = 200


@dataclass(frozen=True, slots=True)
class QuotedMessage:
    """The message that a question is about, and the response_url for responding to the asker."""

    channel_id: str
    """The message's channel, or the asker's `direct_message_placeholder` if the question goes to a direct message."""
    ts: str
    thread_ts: str
    """The ts of the message's thread, or of the thread that a reply would begin, or "" for an answer outside
    threads."""
    quote: str | None
    """The part of the message's plain text that a post can quote. None if the question was asked with a reaction and
    the message hasn't been read yet."""
    response_url: str
    """Empty if the question was asked with a reaction or a button."""
    offered_by: int | None = None
    """The job whose answer is this message and offers the question as a choice, or None for a person's message."""


@dataclass(frozen=True, slots=True)
class MessageQuestion:
    """A question without a message, such as one from the message shortcut, an emoji, a choice or a schedule. A choice
    was written by a model that might have read anything, not by the person who clicks it. The choice's text is
    therefore treated as quoted text (models/prompt.py). Only the words that say which choice was clicked count as the
    asker's."""

    team_id: str
    view_id: str
    """The modal's ID, or an ID made from the emoji and message, the choice's answer, or the click on a suggested
    prompt."""
    user_id: str
    about: QuotedMessage = field(repr=False)
    text: str = field(repr=False)
    created_at: float
    has_begun_direct_post: bool = False
    """Whether an earlier try began to post the question as a direct message to the asker."""
    posted_message: tuple[str, str] | None = None
    """The channel and ts of the question's message, if Slack's event has arrived."""
    schedule_id: int | None = None
    """The ID of the schedule that asks the question. A model wrote the schedule's text, so it also counts as quoted
    text."""
    is_held: bool = False
    """Whether this is a run with a rule in words that hasn't done its work yet, so that nothing is posted."""
    has_worked: bool = False
    """Whether the answer is already recorded."""


def reaction_view_id(emoji: str, channel_id: str, ts: str) -> str:
    """Returns the view_id of a question that was asked with a reaction. It is the same for everyone who adds this
    emoji."""
    return f"{_REACTION}:{emoji}:{channel_id}:{ts}"


def emoji_of(view_id: str) -> str:
    """Returns the name of the emoji with which a question was asked, or "" if it was asked in another way."""
    kind, _, rest = view_id.partition(":")
    return rest.partition(":")[0] if kind == _REACTION else ""


def suggestion_view_id(place: str, user_id: str, number: int, at_ts: str) -> str:
    """Returns the view_id of a suggested prompt's question. A person's clicks within a minute get the same ID."""
    return f"{_SUGGESTION}:{place}:{user_id}:{number}:{int(float(at_ts)) // 60}"


def is_suggested(view_id: str) -> bool:
    return view_id.startswith(f"{_SUGGESTION}:")


def direct_message_placeholder(user_id: str) -> str:
    """Returns a placeholder for the ID of a person's direct message, for use until Slack has provided the ID."""
    return f"D{user_id}"


def quote_in_post(about: QuotedMessage, *, elsewhere: bool) -> str:
    """Returns the quote for a post: the full quote if the post is `elsewhere`, a cut quote in a thread, or "" below the
    quoted message."""
    if elsewhere:
        return about.quote or ""
    return "" if about.ts == about.thread_ts else beginning(about.quote or "", REMINDER_CHARS)


def post_text(about: QuotedMessage, question: str, *, elsewhere: bool) -> tuple[str, str]:
    """Returns the asker's words as they appear in the post, and the quote, in the form used for history
    (core/conversation.py)."""
    if about.offered_by is not None:
        return texts.shortcut.MY_CHOICE, escape(question)
    quote = escape(unescape(quote_in_post(about, elsewhere=elsewhere)))
    quoted = "\n".join(f"&gt; {line}" for line in quote.splitlines())
    return escape(question), quoted
