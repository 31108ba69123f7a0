"""Sends a request to the same model once more if the failure may pass within seconds.

Four failures are worth a second request: a rate limit or another error whose Retry-After is short, an overloaded
vendor, a vendor that was not reached (most often because it closed an idle connection), and a model that wrote a tool
call which its vendor can't parse. No text may appear twice, so a failure after
the first piece of text is raised. Thinking and searching don't count: they are not part of the answer.

There is one retry. If the vendor fails twice within seconds, the fallback takes over, or the asker sees the failure.
"""

import logging
from collections.abc import AsyncGenerator
from contextlib import aclosing

from bot.clock import Clock
from bot.core.conversation import Prompt
from bot.core.stream import SIGNS_OF_WORK, StreamEvent
from bot.errors import EndReason, ProviderError
from bot.providers.models import Provider

MAX_WAIT_S = 5.0
_SHORT_WAIT_S = 0.5

log = logging.getLogger(__name__)


class Retry:
    """A model whose passing failures are answered by a second request."""

    def __init__(self, provider: Provider, clock: Clock) -> None:
        self.model = provider.model
        self._provider = provider
        self._clock = clock

    async def stream(self, prompt: Prompt) -> AsyncGenerator[StreamEvent, None]:
        """Yields the events of the first request, or of the second if the first one failed before any text."""
        begun = False
        try:
            async with aclosing(self._provider.stream(prompt)) as events:
                async for event in events:
                    begun = begun or not isinstance(event, SIGNS_OF_WORK)
                    yield event
            return
        except ProviderError as error:
            wait_s = _wait_s(error)
            if begun or wait_s is None:
                raise
            log.info("%s: %s (%s), asking again in %.1f s", self.model, error.reason, error.detail, wait_s)
        await self._clock.sleep(wait_s)
        async with aclosing(self._provider.stream(prompt)) as events:
            async for event in events:
                yield event


def _wait_s(error: ProviderError) -> float | None:
    """Returns how long to wait before the second request; None if a retry is useless or the wait too long."""
    match error.reason:
        # Unexpected errors are repeated only if the vendor says when.
        case EndReason.RATE_LIMITED | EndReason.UNEXPECTED:
            wait_s = error.retry_after_s
        case EndReason.OVERLOADED:
            wait_s = _SHORT_WAIT_S if error.retry_after_s is None else error.retry_after_s
        case EndReason.UNREACHABLE:
            wait_s = _SHORT_WAIT_S
        case _:
            wait_s = None
    return wait_s if wait_s is not None and wait_s <= MAX_WAIT_S else None
