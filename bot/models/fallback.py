"""Asks the same model again, and then the next one, if a request fails before the answer's first word.

Every failure leads to another request (retry.py) except a refusal, which is an answer: Typist does not ask around for a
model that says yes. Thinking and searching are no words: they are not part of the answer. Once a model has written a
word, its failure is the step's failure, because another request would start the answer over, below the words that are
already in Slack (services/answering.py goes on after them). The Completion names the model that answered.

A prompt may contain steps of the same answer that only one vendor can read. Then only this vendor's models are asked.
"""

import asyncio
import logging
import random
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import aclosing

from bot.errors import ProviderError
from bot.models.model import Provider
from bot.models.prompt import Prompt
from bot.models.retry import PATIENCE_S, Tries
from bot.models.stream import SIGNS_OF_WORK, Opaque, Retrying, StreamEvent

log = logging.getLogger(__name__)


class Fallback:
    """Several models, of which the first one that begins to answer is used."""

    def __init__(
        self,
        providers: Sequence[Provider],
        jitter: Callable[[], float] = random.random,
        patience_s: float = PATIENCE_S,
    ) -> None:
        self.model = providers[0].model
        self.names = tuple(provider.model for provider in providers)
        self._providers = tuple(providers)
        self._jitter = jitter
        self._patience_s = patience_s

    def led_by(self, model: str | None, prompt: Prompt) -> "Fallback":
        """Returns the same models with `model` first; in their usual order if it is None or not among them.

        The order doesn't depend on the prompt.
        """
        in_order = sorted(self._providers, key=lambda provider: provider.model != model)
        return Fallback(in_order, self._jitter, self._patience_s)

    async def stream(self, prompt: Prompt) -> AsyncGenerator[StreamEvent, None]:
        """Yields the events of the first request that begins to answer, or raises the last one's error."""
        providers = self._able_to_read(prompt)
        tries = Tries(len(providers), self._jitter, self._patience_s)
        provider = providers[0]
        while True:
            begun = False
            try:
                async with aclosing(provider.stream(prompt)) as events:
                    async for event in events:
                        begun = begun or not isinstance(event, SIGNS_OF_WORK)
                        yield event
                return
            except ProviderError as error:
                following = None if begun else tries.after(error, asyncio.get_running_loop().time())
                if following is None:
                    raise
                provider = providers[following.model]
                log.warning(
                    "model %s failed: %s (%s), asking %s in %.1f s",
                    error.model,
                    error.reason,
                    error.detail,
                    provider.model,
                    following.wait_s,
                )
                retrying = Retrying(following.wait_s, error.reason.is_charged_without_text)
            yield retrying
            await asyncio.sleep(retrying.wait_s)

    def _able_to_read(self, prompt: Prompt) -> Sequence[Provider]:
        """Returns the models of the vendors of a prompt's opaque items; all models if there are none of either."""
        parts = [part for turn in prompt.turns for part in turn.parts]
        vendors = {part.vendor for part in parts if isinstance(part, Opaque)}
        able = [provider for provider in self._providers if provider.model.partition("/")[0] in vendors]
        return able or self._providers
