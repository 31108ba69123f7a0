"""Estimates how many tokens a text is. A tokenizer would be exact, but fetches its tables from the network."""

import json

from bot.core.conversation import Media, Prompt
from bot.core.inbound.files import PDF
from bot.core.stream import Usage

BYTES_PER_TOKEN = {"openai": 3.0, "anthropic": 2.0}
"""Bytes per token by vendor: cautious first guesses, which reported usage corrects."""
TURN_TOKENS = 4
"""The tokens that a vendor adds for each turn."""
LEARNING_RATE = 0.2
IMAGE_TOKENS = 1_600
"""Roughly what vendors count for an image at their largest resolution."""
PDF_PAGE_TOKENS = 2_000
"""The tokens of a PDF page: its text and its image."""
PDF_PAGE_BYTES = 75_000
MEASURABLE_BYTES = 300
"""Shorter prompts don't correct the estimate, because the vendor's own additions outweigh their text."""


class TokenEstimate:
    """Estimates for the models in use, each corrected by the usage that its answers report."""

    def __init__(self, models: tuple[str, ...]) -> None:
        self._bytes_per_token = {model: BYTES_PER_TOKEN.get(model.split("/")[0], 2.0) for model in models}

    def tokens(self, text: str) -> int:
        """Returns the estimate of the model that counts most: the prompt must fit a fallback too."""
        return int(len(text.encode(errors="replace")) / min(self._bytes_per_token.values())) + TURN_TOKENS

    def learn(self, model: str, prompt: Prompt, usage: Usage) -> None:
        """Corrects the estimate of a model by the usage of an answer."""
        # Neither media nor what a search found is in the prompt's texts.
        if any(turn.media for turn in prompt.turns) or usage.web_searches:
            return
        size_bytes = sum(len(text.encode(errors="replace")) for text in prompt_texts(prompt))
        if model not in self._bytes_per_token or usage.input_tokens <= 0 or size_bytes < MEASURABLE_BYTES:
            return
        measured = min(6.0, max(1.0, size_bytes / usage.input_tokens))
        estimate = self._bytes_per_token[model]
        self._bytes_per_token[model] = estimate + LEARNING_RATE * (measured - estimate)


def prompt_texts(prompt: Prompt) -> list[str]:
    """Returns all texts of a prompt."""
    tools = (f"{tool.description} {json.dumps(dict(tool.parameters))}" for tool in prompt.tools)
    return [prompt.system, *(turn.text for turn in prompt.turns), *tools]


def media_tokens(prompt: Prompt) -> int:
    """Returns a rough estimate for all images and PDFs in a prompt."""
    return sum(_media_tokens(media) for turn in prompt.turns for media in turn.media)


def _media_tokens(media: Media) -> int:
    if media.media_type != PDF:
        return IMAGE_TOKENS
    return PDF_PAGE_TOKENS * (1 + len(media.base64) * 3 // 4 // PDF_PAGE_BYTES)
