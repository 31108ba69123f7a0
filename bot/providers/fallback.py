"""Asks the next model where one fails before its first word."""

import logging
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing

from bot.core.conversation import Prompt
from bot.core.stream import StreamEvent, Thinking
from bot.errors import Failure, ProviderError
from bot.ports.models import Provider

log = logging.getLogger(__name__)


class Fallback:
    """The first of these models that begins to answer, as its Completion says; or the last one's error.

    Every failure leads to the next model except a refusal, which is an answer: nobody is shopped around for.
    """

    def __init__(self, providers: Sequence[Provider]) -> None:
        self.model = providers[0].model
        self.names = tuple(provider.model for provider in providers)
        self._providers = tuple(providers)

    def led_by(self, model: str | None) -> "Fallback":
        """See Models."""
        return Fallback(sorted(self._providers, key=lambda provider: provider.model != model))

    async def stream(self, prompt: Prompt) -> AsyncGenerator[StreamEvent, None]:
        """See Provider."""
        for provider, following in zip(self._providers, (*self._providers[1:], None), strict=True):
            begun = False
            try:
                async with aclosing(provider.stream(prompt)) as deltas:
                    async for delta in deltas:
                        begun = begun or not isinstance(delta, Thinking)
                        yield delta
                return
            except ProviderError as error:
                if begun or following is None or error.failure is Failure.REFUSED:
                    raise
                log.warning(
                    "%s: %s (%s), falling back to %s",
                    error.model,
                    error.failure,
                    error.detail,
                    following.model,
                )
