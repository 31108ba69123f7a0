"""What a channel has for itself: a model, a system prompt, and whether we wait to be mentioned in it."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

from bot.core import texts
from bot.core.reply.preview import beginning

LONGEST_PROMPT_CHARS = 2_000
"""Each question pays for it. Slack's input in a modal takes 3,000, so that it is we who say why."""
SHOWN_CHARS = 60


@dataclass(frozen=True, slots=True)
class ChannelSettings:
    """What is not set is as it is for all channels."""

    model: str | None = None
    """Asked first in this channel; the others in use stay behind it."""
    system_prompt: str = ""
    """Empty: the one for all."""
    mention_only: bool | None = None
    """Each question needs a mention. None: as it is for all."""


def problems(settings: ChannelSettings, models: Sequence[str]) -> dict[str, str]:
    """What can't be used, by the field's name, each with a sentence for who wrote it."""
    found = {}
    if settings.model is not None and settings.model not in models:
        found["model"] = texts.choose_a_model(models)
    if len(settings.system_prompt) > LONGEST_PROMPT_CHARS:
        found["system_prompt"] = texts.prompt_too_long(len(settings.system_prompt), LONGEST_PROMPT_CHARS)
    return found


def prompt_version(system_prompt: str) -> str:
    """Names a system prompt, so that what people think of answers can be told apart by it."""
    return hashlib.sha256(system_prompt.encode()).hexdigest()[:8]


@dataclass(frozen=True, slots=True)
class Usual:
    """What holds wherever a channel has nothing for itself."""

    models: tuple[str, ...]
    """Those in use, the first one asked first."""
    system_prompt: str
    mention_only: bool = False


@dataclass(frozen=True, slots=True)
class InForce:
    """What the next question in a place meets."""

    model: str
    system_prompt: str
    own_prompt: bool
    mention_only: bool


def in_force(settings: ChannelSettings, usual: Usual) -> InForce:
    """A channel's model that is not in use any more is not asked."""
    first = next(iter(usual.models), "")
    return InForce(
        settings.model if settings.model in usual.models else first,
        settings.system_prompt or usual.system_prompt,
        bool(settings.system_prompt),
        usual.mention_only if settings.mention_only is None else settings.mention_only,
    )


def is_direct(channel_id: str) -> bool:
    """Whether it is a direct message between two."""
    return channel_id.startswith("D")


def told(now: InForce, channel_id: str) -> str:
    """What is in force, as one line of plain text."""
    own_prompt = beginning(now.system_prompt, SHOWN_CHARS) if now.own_prompt else None
    return texts.settings_here(now.model, own_prompt, None if is_direct(channel_id) else now.mention_only)
