"""Asks the same model once more where a moment may mend it."""

import logging
from collections.abc import AsyncGenerator
from contextlib import aclosing

from bot.core.conversation import Prompt
from bot.core.stream import StreamEvent, Thinking
from bot.errors import Failure, ProviderError
from bot.ports.clock import Clock
from bot.ports.models import Provider

LONGEST_WAIT_S = 5.0
_SHORT_WAIT_S = 0.5

log = logging.getLogger(__name__)


class Retry:
    """Asks once more, before the first delta only: rate limited for a moment, overloaded, unreachable."""

    def __init__(self, provider: Provider, clock: Clock) -> None:
        self.model = provider.model
        self._provider = provider
        self._clock = clock

    async def stream(self, prompt: Prompt) -> AsyncGenerator[StreamEvent, None]:
        """See Provider."""
        begun = False
        try:
            async with aclosing(self._provider.stream(prompt)) as deltas:
                async for delta in deltas:
                    begun = begun or not isinstance(delta, Thinking)
                    yield delta
            return
        except ProviderError as error:
            delay_s = _delay_s(error)
            if begun or delay_s is None:
                raise
            log.info("%s: %s (%s), asked again in %.1f s", self.model, error.failure, error.detail, delay_s)
        await self._clock.sleep(delay_s)
        async with aclosing(self._provider.stream(prompt)) as deltas:
            async for delta in deltas:
                yield delta


def _delay_s(error: ProviderError) -> float | None:
    """How long to wait before asking again; None: it would be of no use, or take too long."""
    match error.failure:
        case Failure.RATE_LIMITED:
            delay_s = error.retry_after_s
        case Failure.OVERLOADED:
            delay_s = _SHORT_WAIT_S if error.retry_after_s is None else error.retry_after_s
        case Failure.UNREACHABLE:
            # Most often a kept connection that the vendor has closed meanwhile.
            delay_s = _SHORT_WAIT_S
        case _:
            delay_s = None
    return delay_s if delay_s is not None and delay_s <= LONGEST_WAIT_S else None
