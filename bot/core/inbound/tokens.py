"""How many tokens a text is, by estimate: a tokenizer would fetch its tables from the network at run time."""

from bot.core.conversation import Media, Prompt
from bot.core.inbound.files import PDF
from bot.core.stream import Usage

BYTES_PER_TOKEN = {"openai": 3.0, "anthropic": 2.0}
"""Cautious first guesses (facts: OpenAI 3, Claude 2); the usage that answers report corrects them."""
TURN_TOKENS = 4
"""What a vendor adds for each turn."""
LEARNING_RATE = 0.2
IMAGE_TOKENS = 1_600
"""What vendors count for an image of the size they look at, about."""
PDF_PAGE_TOKENS = 2_000
"""Its text and its picture."""
PDF_PAGE_BYTES = 75_000
TELLING_BYTES = 300
"""Of shorter prompts the vendor's own additions say more than the text does."""


class TokenEstimate:
    """Estimates for the models in use, each corrected by what its answers report."""

    def __init__(self, models: tuple[str, ...]) -> None:
        self._bytes_per_token = {model: BYTES_PER_TOKEN.get(model.split("/")[0], 2.0) for model in models}

    def tokens(self, text: str) -> int:
        """For whichever of the models counts most: a fallback must be able to read the prompt as well."""
        return int(len(text.encode(errors="replace")) / min(self._bytes_per_token.values())) + TURN_TOKENS

    def learn(self, model: str, prompt: Prompt, usage: Usage) -> None:
        """An answer came with its usage."""
        if any(turn.media for turn in prompt.turns):
            return
        size_bytes = sum(len(text.encode(errors="replace")) for text in prompt_texts(prompt))
        if model not in self._bytes_per_token or usage.input_tokens <= 0 or size_bytes < TELLING_BYTES:
            return
        seen = min(6.0, max(1.0, size_bytes / usage.input_tokens))
        known = self._bytes_per_token[model]
        self._bytes_per_token[model] = known + LEARNING_RATE * (seen - known)


def prompt_texts(prompt: Prompt) -> list[str]:
    """Everything in a prompt that is read as text."""
    return [prompt.system, *(turn.text for turn in prompt.turns)]


def media_tokens(prompt: Prompt) -> int:
    """For all the images and PDFs in a prompt, roughly."""
    return sum(_media_tokens(media) for turn in prompt.turns for media in turn.media)


def _media_tokens(media: Media) -> int:
    if media.media_type != PDF:
        return IMAGE_TOKENS
    return PDF_PAGE_TOKENS * (1 + len(media.base64) * 3 // 4 // PDF_PAGE_BYTES)
