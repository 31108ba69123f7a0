"""The appearance of a workspace's replies, apart from their text. Pure."""

from dataclasses import dataclass

from bot.core import texts


@dataclass(frozen=True, slots=True)
class ReplyStyle:
    thinking: str = texts.answers.THINKING
    """The placeholder that is shown until the model writes or uses a tool."""
    admins: frozenset[str] = frozenset()
    """The user IDs of Typist admins, who can also click the asker's buttons."""
    is_full: bool = True
    """False once Slack has refused an answer's form. From then on, charts are shown only as tables, and everyone sees
    all buttons."""


DEFAULT_STYLE = ReplyStyle()
