"""The appearance of a workspace's replies, apart from their text. Pure."""

from dataclasses import dataclass

from bot.core import texts


@dataclass(frozen=True, slots=True)
class ReplyStyle:
    thinking: str = texts.answers.THINKING
    """The placeholder until the model writes or uses a tool."""
    admins: frozenset[str] = frozenset()
    """Typist admins' user IDs. Admins can click the buttons that are the asker's."""
    is_full: bool = True
    """False once Slack has refused an answer's form: charts are then only tables, and everyone sees all buttons."""


DEFAULT_STYLE = ReplyStyle()
