"""Asks the next model if one fails before its first word.

Every failure leads to the next model except a refusal, which is an answer: Typist does not ask around for a model that
says yes. Once a model has written a word, its failure is the answer's failure, because another model would start the
answer over, below the words that are already in Slack. The Completion names the model that answered.

A prompt may contain steps of the same answer that only one vendor can read. Then only this vendor's models are asked.
"""

import logging
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing

from bot.core.conversation import Prompt
from bot.core.stream import SIGNS_OF_WORK, Opaque, StreamEvent
from bot.errors import EndReason, ProviderError
from bot.providers.models import Provider

log = logging.getLogger(__name__)


class Fallback:
    """Several models, of which the first one that begins to answer is used."""

    def __init__(self, providers: Sequence[Provider]) -> None:
        self.model = providers[0].model
        self.names = tuple(provider.model for provider in providers)
        self._providers = tuple(providers)

    def led_by(self, model: str | None, prompt: Prompt) -> "Fallback":
        """Returns the same models with `model` first; in their usual order if it is None or not among them.

        The order doesn't depend on the prompt.
        """
        return Fallback(sorted(self._providers, key=lambda provider: provider.model != model))

    async def stream(self, prompt: Prompt) -> AsyncGenerator[StreamEvent, None]:
        """Yields the events of the first model that begins to answer, or raises the last model's error."""
        providers = self._able_to_read(prompt)
        for provider, following in zip(providers, (*providers[1:], None), strict=True):
            begun = False
            try:
                async with aclosing(provider.stream(prompt)) as events:
                    async for event in events:
                        begun = begun or not isinstance(event, SIGNS_OF_WORK)
                        yield event
                return
            except ProviderError as error:
                if begun or following is None or error.reason is EndReason.REFUSED:
                    raise
                log.warning(
                    "model %s failed: %s (%s), falling back to %s",
                    error.model,
                    error.reason,
                    error.detail,
                    following.model,
                )

    def _able_to_read(self, prompt: Prompt) -> Sequence[Provider]:
        """Returns the models of the vendors of a prompt's opaque items; all models if there are none of either."""
        parts = [part for turn in prompt.turns for part in turn.parts]
        vendors = {part.vendor for part in parts if isinstance(part, Opaque)}
        able = [provider for provider in self._providers if provider.model.partition("/")[0] in vendors]
        return able or self._providers
