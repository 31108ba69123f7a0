"""The appearance of a workspace's replies, apart from their text. Pure."""

from dataclasses import dataclass

from bot.core import texts


@dataclass(frozen=True, slots=True)
class ReplyLook:
    thinking: str = texts.answers.THINKING
    """The placeholder until the model writes or uses a tool."""
    draws_charts: bool = True
    """Whether charts are drawn. False once Slack has refused a chart, so that only tables are shown."""


DEFAULT_LOOK = ReplyLook()
