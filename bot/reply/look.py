"""The appearance of replies apart from their text: one value that wiring builds and every page carries. Pure."""

from dataclasses import dataclass

from bot.core import texts


@dataclass(frozen=True, slots=True)
class ReplyLook:
    """The look of a workspace's replies. `blocks.py` reads it; other code only passes it on."""

    thinking: str = texts.answers.THINKING
    """The placeholder until the model writes or uses a tool."""
    draws_charts: bool = True
    """False once Slack has refused an answer's charts; then only their tables are shown."""


DEFAULT_LOOK = ReplyLook()
