"""OpenAI's Decisions API: how probable a statement about a text is, in a fraction of a second.

https://developers.openai.com/api/docs/guides/decisions. Only gpt-6-luna decides.
"""

from bot.models.failures import RequestAttempt
from bot.models.model_setup import VendorSettings
from bot.models.openai import VENDOR, open_sdk
from bot.models.prompt import Decision

MODEL = "gpt-6-luna"


class Decider:
    """Asks a server for decisions."""

    def __init__(self, settings: VendorSettings) -> None:
        self._sdk = open_sdk(settings)
        self._api_key = settings.api_key

    async def decide(self, text: str, statement: str) -> Decision:
        """Returns how probable the statement about the text is. Raises ProviderError."""
        with RequestAttempt(f"{VENDOR}/{MODEL}", self._api_key, (text,)):
            decided = await self._sdk.decisions.create(
                model=MODEL, input=text, questions=[{"type": "predicate", "name": "is_true", "instructions": statement}]
            )
            [answer] = decided.answers
            probability = float(answer.probability) if answer.type == "predicate" else 0.0
            return Decision(probability, int(decided.usage.input_tokens))

    async def aclose(self) -> None:
        """Closes the connections."""
        await self._sdk.close()
