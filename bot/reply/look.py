"""How replies look beside their text: one value, which wiring builds and every page carries whole. Pure."""

from dataclasses import dataclass

from bot.core import texts


@dataclass(frozen=True, slots=True)
class ReplyLook:
    """How a workspace's replies look. `blocks.py` reads it; the code on the way there only passes it on."""

    thinking: str = texts.answers.THINKING
    """The placeholder, until the model writes or uses a tool."""
    draws_charts: bool = True
    """False once Slack has refused an answer's charts: then only their tables are shown."""


DEFAULT_LOOK = ReplyLook()
