"""Wrappers that measure each model's requests, end stalled streams, and fall back to the next model.

The nesting is Fallback([StallTimeout(MeasuredProvider(vendor.model(name)))]), so MeasuredProvider sees every request.
The SDKs' retries are disabled because they don't know about other models, don't report that they are waiting, and
accept a Retry-After of any length.
"""

import asyncio
import logging
import math
import random
import re
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import aclosing, closing
from dataclasses import dataclass

from bot.clock import Clock
from bot.errors import Backoff, EndReason, ProviderError
from bot.models.events import (
    SIGNS_OF_WORK,
    Completion,
    Loading,
    Opaque,
    Retrying,
    Searching,
    StreamEvent,
    Thinking,
)
from bot.models.model import Provider
from bot.models.prompt import Prompt
from bot.telemetry import Telemetry

log = logging.getLogger(__name__)


class MeasuredProvider:
    def __init__(self, provider: Provider, telemetry: Telemetry, clock: Clock) -> None:
        self.model = provider.model
        self._provider = provider
        self._telemetry = telemetry
        self._clock = clock

    async def stream(self, prompt: Prompt) -> AsyncGenerator[StreamEvent, None]:
        request = self._telemetry.model_request(self.model, self._clock.monotonic())
        failure: EndReason | None = None
        try:
            async with aclosing(self._provider.stream(prompt)) as events:
                async for event in events:
                    request.record_first_chunk(self._clock.monotonic())
                    if isinstance(event, Completion) and event.usage is not None:
                        request.record_tokens(event.usage.input_tokens, event.usage.output_tokens)
                    yield event
        except ProviderError as error:
            failure = error.reason
            raise
        finally:
            request.record_end(failure, self._clock.monotonic())


MAX_SILENCE_S = 600.0
"""Twice the 300 s for which gpt-6-astra was reported to think silently (AntigmaLabs/ante#186)."""
LOADS_WITHIN_S = 300.0
"""The time limit for the first event from a server that might have to load the model. Large models take minutes."""
PAUSED_S = 1.0
"""If a timer is this late, the process or the machine was paused or busy with other work."""


def max_silence_s(stall_timeout_s: float) -> float:
    return max(stall_timeout_s, min(10 * stall_timeout_s, MAX_SILENCE_S))


class StallTimeout:
    """Closes a model's stream and fails as STALLED if no sign of work arrives in time.

    Signs of work are text and Thinking. The readers yield Thinking for anything that arrives while a model is thinking
    or writing a tool call, even for a ping. At other times, pings and empty events don't count, because vendors ping
    for dead models, too. A model that thinks silently, or searches, gets ten times as long, up to ten minutes. After
    that, only signs with content count. The consumer's own time isn't limited. If the process was paused, the limit
    restarts, because data that arrived during the pause hasn't been read yet."""

    def __init__(self, provider: Provider, stall_timeout_s: float, *, can_load: bool = False) -> None:
        """`can_load`: whether the server might have to load the model. The first event then gets LOADS_WITHIN_S."""
        self.model = provider.model
        self._provider = provider
        self._stall_timeout_s = stall_timeout_s
        self._can_load = can_load

    async def stream(self, prompt: Prompt) -> AsyncGenerator[StreamEvent, None]:
        time = asyncio.get_running_loop().time
        is_loading = self._can_load
        if is_loading:
            yield Loading()
        with closing(_Wait()) as wait:
            async with aclosing(self._provider.stream(prompt)) as events:
                longest_s = max(self._stall_timeout_s, MAX_SILENCE_S)
                limit_s = max(self._stall_timeout_s, LOADS_WITHIN_S) if is_loading else self._stall_timeout_s
                only_signs_s = 0.0
                while True:
                    left_s, began_s = longest_s - only_signs_s, time()
                    wait.begin(min(limit_s, left_s))
                    try:
                        event = await anext(events)
                    except StopAsyncIteration:
                        return
                    except asyncio.CancelledError:
                        if not wait.end():
                            raise
                        only_pings = f"only pings for {longest_s:g} s"
                        detail = f"nothing for {limit_s:g} s" if limit_s <= left_s else only_pings
                        raise ProviderError(EndReason.STALLED, self.model, detail=detail) from None
                    finally:
                        wait.end()
                    if is_loading:
                        is_loading = False
                        yield Loading(ended=True)
                    can_be_silent = is_only_sign = False
                    match event:
                        case Thinking():
                            can_be_silent, is_only_sign = not event.ended, event.chars == 0
                        case Searching():
                            can_be_silent = is_only_sign = not event.done
                    limit_s = max_silence_s(self._stall_timeout_s) if can_be_silent else self._stall_timeout_s
                    only_signs_s = only_signs_s + time() - began_s if is_only_sign else 0.0
                    yield event


class _Wait:
    """Limits each wait for a model's next event, using a single timer, because a timeout context for each token would
    take a third of the token's CPU time. A wait that takes too long is canceled. The limit restarts if the process was
    paused."""

    def __init__(self) -> None:
        self._deadline: float | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._is_over = False

    def begin(self, limit_s: float) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._task, self._cancellations, self._limit_s = task, task.cancelling(), limit_s
        self._deadline = asyncio.get_running_loop().time() + limit_s
        if self._timer is None or self._timer.when() > self._deadline:
            self._start_timer()

    def end(self) -> bool:
        """Ends the wait but keeps the timer for the next one. Returns whether only the limit canceled the task."""
        self._deadline = None
        was_over, self._is_over = self._is_over, False
        return was_over and self._task.uncancel() <= self._cancellations

    def close(self) -> None:
        if self._timer:
            self._timer.cancel()

    def _start_timer(self) -> None:
        self.close()
        assert self._deadline is not None
        self._timer = asyncio.get_running_loop().call_at(self._deadline, self._on_timer)

    def _on_timer(self) -> None:
        assert self._timer is not None
        due_s, now_s = self._timer.when(), asyncio.get_running_loop().time()
        self._timer = None
        if self._deadline is None:
            return
        if now_s - due_s > PAUSED_S:
            self._deadline = now_s + self._limit_s
        if now_s < self._deadline:
            self._start_timer()
        else:
            self._is_over = True
            self._task.cancel()


MAX_RETRIES = 2
PATIENCE_S = 60.0
"""The time after the first failure in which requests can start. The first request to another model can be later."""
_LOADING_REFUSAL = re.compile(r"\bloading\b", re.IGNORECASE)
"""Matches refusals by llama.cpp and Hugging Face while they load a model. They get LOADS_WITHIN_S."""
MAX_WAIT_S = 5.0
"""Maximum wait for the same model if another model hasn't been asked yet."""
BACKOFF = Backoff(0.5, 8.0)
JITTER = 0.25
"""The random share of a wait, which keeps answers that failed together from being retried together."""


@dataclass(frozen=True, slots=True)
class NextRequest:
    model: int
    wait_s: float


class RetryPlan:
    """Chooses the next request if one fails before the answer's first word. Pure: times are arguments.

    Each model gets two more tries with growing waits, as in both vendors' SDKs. Then, or as soon as a failure is
    permanent (a bad key) or asks for a long wait, the next model is asked at once. Once all models have failed, models
    with temporary failures are asked again until a minute after the first failure, because most outages end before an
    asker who sees the retries loses patience. A request that is charged although it fails gets only two more tries."""

    def __init__(
        self, models: int, jitter: Callable[[], float] = random.random, patience_s: float = PATIENCE_S
    ) -> None:
        """`models`: the number of models. `jitter`: returns a random number from 0 to 1."""
        self._jitter = jitter
        self._patience_s = patience_s
        self._model = 0
        self._failures = [0] * models
        self._ready_at_s = [-math.inf] * models
        self._retry_until_s = math.inf

    def next_request(self, error: ProviderError, now_s: float) -> NextRequest | None:
        """Returns the request to send after a failed one, or None if there shouldn't be another. A refusal is an
        answer, so no request follows it."""
        if error.reason.is_declined:
            return None
        failed = self._model
        is_loading = error.reason is EndReason.OVERLOADED and _LOADING_REFUSAL.search(error.detail) is not None
        patience_s = max(self._patience_s, LOADS_WITHIN_S) if is_loading and self._patience_s else self._patience_s
        self._retry_until_s = min(self._retry_until_s, now_s + patience_s)
        self._failures[failed] += 1
        self._ready_at_s[failed] = now_s + self._wait_s(error)
        self._model = self._next_model(now_s)
        wait_s = max(0.0, self._ready_at_s[self._model] - now_s)
        is_first = not self._failures[self._model]
        return NextRequest(self._model, wait_s) if is_first or now_s + wait_s <= self._retry_until_s else None

    def _next_model(self, now_s: float) -> int:
        failed, models = self._model, range(len(self._failures))
        unasked = next((model for model in models if not self._failures[model]), None)
        if unasked is None:
            return min(models, key=lambda model: self._ready_at_s[model])
        is_soon = self._ready_at_s[failed] <= min(now_s + MAX_WAIT_S, self._retry_until_s)
        return failed if is_soon and self._failures[failed] <= MAX_RETRIES else unasked

    def _wait_s(self, error: ProviderError) -> float:
        failures = self._failures[self._model]
        is_enough = error.reason.is_charged_without_text and failures > MAX_RETRIES
        if is_enough or not error.is_temporary:
            return math.inf
        share = JITTER * self._jitter()
        return max(BACKOFF.wait_s(failures) * (1 - share), (error.retry_after_s or 0.0) * (1 + share))


OnResult = Callable[[str, EndReason | Completion | None], None]
"""Called when a model starts to answer (None), completes an answer or fails (with the reason). Must not block."""


class Fallback:
    """Tries several models and uses the first model that starts to answer.

    Every failure before the answer's first word leads to another request (`RetryPlan`), except a refusal, which is an
    answer. Thinking and searching aren't part of the answer. After the first word, a failure ends the step, and
    services/answering.py continues after the text that is already in Slack. The Completion says which model answered.
    If only one vendor can read the steps in the prompt, only that vendor's models are asked."""

    def __init__(
        self,
        providers: Sequence[Provider],
        jitter: Callable[[], float] = random.random,
        patience_s: float = PATIENCE_S,
        on_result: OnResult = lambda model, result: None,
    ) -> None:
        self.model = providers[0].model
        self.names = tuple(provider.model for provider in providers)
        self._providers = tuple(providers)
        self._jitter = jitter
        self._patience_s = patience_s
        self._on_result = on_result

    def starting_with(self, model: str | None, prompt: Prompt) -> "Fallback":
        """Returns the models with `model` first, or in the usual order if `model` is None or not in use."""
        # Every prompt gets the same order.
        if model is None:
            return self
        in_order = sorted(self._providers, key=lambda provider: provider.model != model)
        return Fallback(in_order, self._jitter, self._patience_s, self._on_result)

    async def stream(self, prompt: Prompt) -> AsyncGenerator[StreamEvent, None]:
        # Only the vendor that returned opaque items can read them.
        vendors = {part.vendor for turn in prompt.turns for part in turn.parts if isinstance(part, Opaque)}
        able = [provider for provider in self._providers if provider.model.partition("/")[0] in vendors]
        providers = able or self._providers
        plan = RetryPlan(len(providers), self._jitter, self._patience_s)
        provider = providers[0]
        while True:
            begun = False
            try:
                async with aclosing(provider.stream(prompt)) as events:
                    async for event in events:
                        if not begun and not isinstance(event, SIGNS_OF_WORK):
                            begun = True
                            self._on_result(provider.model, None)
                        if isinstance(event, Completion):
                            self._on_result(provider.model, event)
                        yield event
                return
            except ProviderError as error:
                self._on_result(provider.model, error.reason)
                following = None if begun else plan.next_request(error, asyncio.get_running_loop().time())
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
                detail = error.detail or str(error.reason)
                retrying = Retrying(following.wait_s, error.reason.is_charged_without_text, detail, provider.model)
            yield retrying
            await asyncio.sleep(retrying.wait_s)
