"""What a channel has for itself: a model, a system prompt, and whether we wait to be mentioned in it."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

LONGEST_PROMPT_CHARS = 3_000
"""As much as Slack's input in a modal takes."""


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
        found["model"] = f"Choose one of the models in use: {', '.join(models)}."
    if len(settings.system_prompt) > LONGEST_PROMPT_CHARS:
        found["system_prompt"] = f"Keep it within {LONGEST_PROMPT_CHARS:,} characters."
    return found


def prompt_version(system_prompt: str) -> str:
    """Names a system prompt, so that what people think of answers can be told apart by it."""
    return hashlib.sha256(system_prompt.encode()).hexdigest()[:8]
