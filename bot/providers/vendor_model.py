"""One model of a vendor: asks over the vendor's API, and reads what comes as it comes."""

import asyncio
import json
import logging
import ssl
from collections.abc import AsyncGenerator, Collection
from contextlib import aclosing, suppress
from functools import cache
from typing import Any, Protocol

import httpx2

from bot.core.conversation import Media, Prompt
from bot.core.inbound.files import newest_media_within, without_media
from bot.core.inbound.tokens import prompt_texts
from bot.core.stream import Completion, FinishReason, StreamEvent, Thinking, Usage
from bot.core.surrogates import Pairing
from bot.errors import Failure, ProviderError
from bot.providers.event_stream import Mark, events_of
from bot.providers.failures import RequestAttempt
from bot.providers.optional_parameters import OptionalParameter, refused

# What a server may call it that a model can't look at something: a bad request, too much of it, no such endpoint.
_MEDIA_MAY_BE_WHY = (Failure.UNEXPECTED, Failure.CONTEXT_TOO_LONG, Failure.UNKNOWN_MODEL)

log = logging.getLogger(__name__)

# No read timeout: a model may think for long, and pings keep a read alive that stalls. See stall.py.
TIMEOUT = httpx2.Timeout(None, connect=5.0)
DRAIN_S = 0.1
# Follow-ups come within a minute or two: a kept connection saves them the handshakes.
LIMITS = httpx2.Limits(max_connections=1000, keepalive_expiry=120.0)


@cache
def tls() -> ssl.SSLContext:
    """Whose certificates vendors are known by: read once, as that takes as long as all else of a vendor's client."""
    return httpx2.create_ssl_context()


class Reader(Protocol):
    """Reads one answer in a vendor's form."""

    finish_reason: FinishReason | None
    """Set by the vendor's terminal marker; None: the answer is not whole."""
    usage: Usage | None
    thinking: bool
    """The model has begun to reason and has not ended: whatever comes now, be it a ping, is a sign of its work."""

    @property
    def ended(self) -> bool:
        """Nothing that counts can follow."""
        ...

    def read(self, event: Any) -> str | Thinking:
        """The text in an event of a stream, "" in most. Raises ProviderError where it reports a failure."""
        ...

    def done(self) -> None:
        """The stream said [DONE]."""
        ...

    def read_whole(self, body: Any) -> str:
        """The text of an answer that came as one."""
        ...

    def held(self) -> str:
        """Text that was held back because reasoning might have followed; asked for once, at the end."""
        ...


class Api(Protocol):
    """What each API does in its own way."""

    secret: str
    """What must never be seen in an error."""
    most_media_bytes: int
    """Of base64, in one request."""
    wishes: frozenset[OptionalParameter]
    """What it is asked for where the model does not refuse it."""

    def takes(self, media: Media) -> bool:
        """Whether a model may be given this at all, as far as is documented."""
        ...

    async def ask(self, name: str, prompt: Prompt, wishes: Collection[OptionalParameter]) -> httpx2.Response:
        """Sends the prompt; returns as soon as the vendor begins to answer, where it streams."""
        ...

    def reader(self, attempt: RequestAttempt, wishes: Collection[OptionalParameter]) -> Reader:
        """For one answer, whose events it is given as plain dicts: typed ones cost eight times as much."""
        ...


class VendorModel:
    """The Provider for one model of an API."""

    def __init__(self, vendor: str, name: str, api: Api) -> None:
        self.model = f"{vendor}/{name}"
        self._name = name
        self._api = api
        self._refused: frozenset[OptionalParameter] = frozenset()
        """Remembered while the process lasts: a request that is refused costs its asker a moment."""

    async def stream(self, prompt: Prompt) -> AsyncGenerator[StreamEvent, None]:
        """See Provider. What is refused for its images or PDFs, as it seems, is asked once more without them."""
        fit = newest_media_within(prompt.turns, self._api.most_media_bytes)
        offered, left_out = without_media(prompt, lambda media: media in fit and self._api.takes(media))
        begun = False
        try:
            async with aclosing(self._answer(offered, left_out)) as answer:
                async for said in answer:
                    begun = begun or not isinstance(said, Thinking)
                    yield said
            return
        except ProviderError as error:
            bare, more = without_media(offered, lambda media: False)
            if begun or not more or error.failure not in _MEDIA_MAY_BE_WHY:
                raise
            log.info("%s: %s (%s), asked again without %d files", self.model, error.failure, error.detail, len(more))
        async with aclosing(self._answer(bare, (*left_out, *more))) as answer:
            async for said in answer:
                yield said

    async def _answer(self, prompt: Prompt, left_out: tuple[str, ...]) -> AsyncGenerator[StreamEvent, None]:
        """One request. An answer without a word is a failure too: EMPTY, or ONLY_THOUGHT."""
        with RequestAttempt(self.model, self._api.secret, prompt_texts(prompt)) as attempt:
            response, wishes = await self._ask(prompt)
            reader = self._api.reader(attempt, wishes)
            silent = True
            async with aclosing(response):
                attempt.connected = True
                async with aclosing(self._deltas(response, reader, attempt)) as deltas:
                    async for delta in deltas:
                        silent = silent and (isinstance(delta, Thinking) or not delta.strip())
                        yield delta
            if reader.finish_reason is None:
                raise attempt.failed(Failure.CUT, "the stream ended without its terminal marker")
            if silent:
                length = reader.finish_reason is FinishReason.LENGTH
                raise attempt.failed(
                    Failure.ONLY_THOUGHT if length else Failure.EMPTY,
                    f"no text, finish reason {reader.finish_reason}",
                )
            yield Completion(self.model, reader.finish_reason, reader.usage, left_out)

    async def _ask(self, prompt: Prompt) -> tuple[httpx2.Response, frozenset[OptionalParameter]]:
        """With the wishes that were granted: what the model refuses by its name is left out from then on."""
        while True:
            wishes = self._api.wishes - self._refused
            try:
                return await self._api.ask(self._name, prompt, wishes), wishes
            except Exception as error:
                more = refused(wishes, error)
                if not more:
                    raise
            self._refused |= more
            log.info("%s: asked again without %s", self.model, ", ".join(sorted(wish.name.lower() for wish in more)))

    async def _deltas(
        self, response: httpx2.Response, reader: Reader, attempt: RequestAttempt
    ) -> AsyncGenerator[str | Thinking, None]:
        """What the reader reads, in text that can be sent and stored."""
        pairing = Pairing()
        async with aclosing(self._said(response, reader, attempt)) as said:
            async for each in said:
                if isinstance(each, Thinking):
                    yield each
                elif text := pairing.take(each):
                    attempt.private.append(text)
                    yield text
        if text := pairing.end():
            yield text

    async def _said(
        self, response: httpx2.Response, reader: Reader, attempt: RequestAttempt
    ) -> AsyncGenerator[str | Thinking, None]:
        kind = response.headers.get("content-type", "").partition(";")[0].strip()
        if kind == "application/json":
            # Also the answer of a server that cannot stream, or an error under a status of 200.
            if whole := reader.read_whole(json.loads(await response.aread())):
                yield whole
            return
        seen = False
        try:
            async with aclosing(events_of(response)) as events:
                async for event in events:
                    seen = True
                    if delta := _heard(reader, event):
                        yield delta
                    if reader.ended or event is Mark.DONE:
                        await _drained(events)
                        break
        except Exception:
            # After the terminal marker the answer is whole, however the vendor hangs up.
            if reader.finish_reason is None:
                raise
        if held := reader.held():
            yield held
        if not seen and kind != "text/event-stream":
            raise attempt.failed(Failure.UNEXPECTED, f"no stream of events but {kind or 'something unnamed'}")


def _heard(reader: Reader, event: Any) -> str | Thinking:
    """The text in an event; a sign of work where there is none and the model thinks."""
    thought = reader.thinking
    if event is Mark.DONE:
        reader.done()
        return ""
    said = "" if event is Mark.COMMENT else reader.read(event)
    if not said and (thought or reader.thinking):
        return Thinking(over=not reader.thinking)
    return said


async def _drained(events: AsyncGenerator[Any, None]) -> None:
    """Reads what is left if it comes at once: only then is the connection kept for the next request."""
    with suppress(TimeoutError):
        async with asyncio.timeout(DRAIN_S):
            async for _ in events:
                pass
