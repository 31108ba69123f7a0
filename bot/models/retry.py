"""Decides which request follows one that failed before the answer's first word. Pure: times are arguments.

Each model gets two further tries after waits that grow, as from both vendors' SDKs; then the next model is asked at
once. A model is left sooner if its failure lasts (a bad key), or if it asks for a long wait. Once all models have
failed, those whose failure may pass are asked again for a minute, counted from the first failure, because most outages
are shorter than the patience of an asker who sees that Typist tries again. But a request that is charged although it
fails gets its two further tries and no more.

The SDKs' own retries are off. They know no other model, tell nobody that they wait, and accept a Retry-After of any
length.
"""

import math
import random
from collections.abc import Callable
from dataclasses import dataclass

from bot.backoff import Backoff
from bot.errors import EndReason, ProviderError

FURTHER_TRIES = 2
PATIENCE_S = 60.0
"""No request begins later than this after the first failure, except the first one to another model."""
MAX_WAIT_S = 5.0
"""A model that asks for a longer wait is left if another one hasn't been asked yet."""
BACKOFF = Backoff(0.5, 8.0)
JITTER = 0.25
"""The part of a wait that is random, so that answers that failed together don't come back together."""


@dataclass(frozen=True, slots=True)
class Next:
    """The next request."""

    model: int
    """The place of its model among those that may answer."""
    wait_s: float


class Tries:
    """The requests for one answer until its first word. The first one goes to the first model."""

    def __init__(
        self, models: int, jitter: Callable[[], float] = random.random, patience_s: float = PATIENCE_S
    ) -> None:
        """`models`: how many may answer. `jitter` returns a number from 0 to 1."""
        self._jitter = jitter
        self._patience_s = patience_s
        self._model = 0
        self._failures = [0] * models
        self._ready_at_s = [-math.inf] * models
        """When each model may be asked again."""
        self._until_s = math.inf

    def after(self, error: ProviderError, now_s: float) -> Next | None:
        """Returns what follows a failed request; None if nothing does. A refusal is an answer."""
        if error.reason is EndReason.REFUSED:
            return None
        failed = self._model
        self._until_s = min(self._until_s, now_s + self._patience_s)
        self._failures[failed] += 1
        self._ready_at_s[failed] = now_s + self._wait_s(error)
        self._model = self._next_model(now_s)
        wait_s = max(0.0, self._ready_at_s[self._model] - now_s)
        is_first = not self._failures[self._model]
        return Next(self._model, wait_s) if is_first or now_s + wait_s <= self._until_s else None

    def _next_model(self, now_s: float) -> int:
        failed, models = self._model, range(len(self._failures))
        unasked = next((model for model in models if not self._failures[model]), None)
        if unasked is None:
            return min(models, key=lambda model: self._ready_at_s[model])
        is_soon = self._ready_at_s[failed] <= min(now_s + MAX_WAIT_S, self._until_s)
        return failed if is_soon and self._failures[failed] <= FURTHER_TRIES else unasked

    def _wait_s(self, error: ProviderError) -> float:
        """Returns how long the model that failed is left alone."""
        failures = self._failures[self._model]
        is_enough = error.reason.is_charged_without_text and failures > FURTHER_TRIES
        if is_enough or not error.may_pass:
            return math.inf
        share = JITTER * self._jitter()
        return max(BACKOFF.wait_s(failures) * (1 - share), (error.retry_after_s or 0.0) * (1 + share))
