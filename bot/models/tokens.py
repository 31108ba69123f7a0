"""Estimates how many tokens a text is. A tokenizer would be exact, but fetches its tables from the network."""

import json
from collections.abc import Sequence

from bot.models.prompt import PDF, Media, Prompt, ToolDefinition, Turn
from bot.models.stream import Opaque, ToolCall, Usage

BYTES_PER_TOKEN = {"openai": 3.0, "azure": 3.0, "anthropic": 2.0}
"""Bytes per token by vendor: cautious first guesses, which reported usage corrects."""
TURN_TOKENS = 4
"""The tokens that a vendor adds for each turn."""
LEARNING_RATE = 0.2
IMAGE_TOKENS = 1_600
"""Roughly what vendors count for an image at their largest resolution."""
PDF_PAGE_TOKENS = 2_000
"""The tokens of a PDF page: its text and its image."""
PDF_PAGE_BYTES = 75_000
RESULTS_SHARE = 5
"""What tools return may take so many times the room of a conversation: a model compares what it has found."""
MEASURABLE_BYTES = 300
"""Shorter prompts don't correct the estimate, because the vendor's own additions outweigh their text."""


class TokenEstimate:
    """Estimates for the models in use, each corrected by the usage that its answers report."""

    def __init__(self, models: tuple[str, ...]) -> None:
        self._bytes_per_token = {model: BYTES_PER_TOKEN.get(model.split("/")[0], 2.0) for model in models}

    def tokens(self, text: str) -> int:
        """Returns the estimate of the model that counts most: the prompt must fit a fallback too."""
        return int(len(text.encode(errors="replace")) / min(self._bytes_per_token.values())) + TURN_TOKENS

    def prompt_tokens(self, prompt: Prompt) -> int:
        """Returns the estimate of all that a request with this prompt sends: texts, files, definitions and steps."""
        texts = [prompt.system, *(text for turn in prompt.turns for text in _sent_texts(turn))]
        media = (self._media_tokens(media) for turn in prompt.turns for media in turn.media)
        return sum(map(self.tokens, texts)) + self.definitions_tokens(prompt.tools) + sum(media)

    def _media_tokens(self, media: Media) -> int:
        if media.media_type != PDF:
            return IMAGE_TOKENS
        pages = PDF_PAGE_TOKENS * (1 + len(media.base64) * 3 // 4 // PDF_PAGE_BYTES)
        # Some models get the text in its place.
        return max(pages, self.tokens(media.alternative.text) if media.alternative else 0)

    def definitions_tokens(self, tools: Sequence[ToolDefinition]) -> int:
        """Returns the estimate of tools' definitions, which every request of an answer sends."""
        return sum(self.tokens(_definition(tool)) for tool in tools)

    def learn(self, model: str, prompt: Prompt, usage: Usage) -> None:
        """Corrects the estimate of a model by the usage of an answer."""
        # Neither media nor what a search found is in the prompt's texts, and encrypted items are not texts. A paused
        # answer has sent the prompt more than once.
        if usage.web_searches or usage.requests or any(turn.media or _opaque_items(turn) for turn in prompt.turns):
            return
        texts = [*prompt_texts(prompt), *map(_definition, prompt.tools)]
        size_bytes = sum(len(text.encode(errors="replace")) for text in texts)
        if model not in self._bytes_per_token or usage.input_tokens <= 0 or size_bytes < MEASURABLE_BYTES:
            return
        measured = min(6.0, max(1.0, size_bytes / usage.input_tokens))
        estimate = self._bytes_per_token[model]
        self._bytes_per_token[model] = estimate + LEARNING_RATE * (measured - estimate)


def prompt_texts(prompt: Prompt) -> list[str]:
    """Returns what people and the model wrote in a prompt, and what tools returned."""
    return [prompt.system, *(turn.whole for turn in prompt.turns)]


def room_for_conversation(limit_tokens: int, taken_tokens: int) -> int:
    """Returns what definitions of tools and the answer so far leave of BOT_HISTORY_TOKENS to the conversation.

    That is at least half.
    """
    return max(limit_tokens // 2, limit_tokens - taken_tokens)


def room_for_results(limit_tokens: int) -> int:
    """Returns how many tokens of tools' results a request may have, by BOT_HISTORY_TOKENS."""
    return RESULTS_SHARE * limit_tokens


def _definition(tool: ToolDefinition) -> str:
    return json.dumps({"name": tool.name, "description": tool.description, "parameters": dict(tool.parameters)})


def _sent_texts(turn: Turn) -> list[str]:
    """Returns what a vendor gets of a turn: its own items, which hold all of a step, or else the text and the calls."""
    calls = (part for part in turn.parts if isinstance(part, ToolCall))
    arguments = (f"{call.name} {json.dumps(dict(call.arguments or {}))}" for call in calls)
    return _opaque_items(turn) or [turn.whole, *arguments]


def _opaque_items(turn: Turn) -> list[str]:
    return [json.dumps(dict(part.item)) for part in turn.parts if isinstance(part, Opaque)]
