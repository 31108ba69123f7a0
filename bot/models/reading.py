"""How the bytes of a response are read: in pieces, less often while many responses are, and no longer than needed."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing, suppress

import httpx2

from bot.models.failures import RequestAttempt
from bot.models.streams import AnswerReader, Delta, ResponseReader

PIECE_BYTES = 2_048
"""A gateway's cache sends a whole answer at once. After so many bytes, the process does what else is due."""
MANY_READ = 10
"""From so many responses at once on, each is read less often."""
PAUSE_S = 0.002
"""The pause of each response, for each of them: 200 would take a whole core to be read word by word."""
MAX_PAUSE_S = 0.4
REST_S = 10.0
"""How long what may follow a finish reason, such as usage, may take. Some servers don't end their streams."""


async def deltas_of(
    response: httpx2.Response, reader: AnswerReader, attempt: RequestAttempt
) -> AsyncGenerator[Delta, None]:
    """Yields what a response says, and closes it."""
    media_type = response.headers.get("Content-Type", "").partition(";")[0].strip()
    received = ResponseReader(media_type, reader, attempt)
    async with aclosing(response), aclosing(unhurried(response.aiter_bytes())) as chunks:
        attempt.connected = True
        rest = _Rest()
        while not received.is_done and (chunk := await rest.next_of(chunks, received)) is not None:
            for at in range(0, len(chunk), PIECE_BYTES):
                if at:
                    await asyncio.sleep(0)
                for delta in received.receive(chunk[at : at + PIECE_BYTES]):
                    yield delta
                if received.is_done:
                    break
        if received.is_done:
            await _drain(chunks)
        for delta in received.end():
            yield delta


class _Rest:
    """The chunks behind an answer's end: only what comes soon is read, while comments may come forever."""

    def __init__(self) -> None:
        self._until = 0.0
        self._events = -1

    async def next_of(self, chunks: AsyncIterator[bytes], received: ResponseReader) -> bytes | None:
        """Returns the next chunk of a response; None at its end. Raises the transport's errors."""
        if not received.is_over:
            return await anext(chunks, None)
        if received.events > self._events:
            self._until, self._events = asyncio.get_running_loop().time() + REST_S, received.events
        try:
            async with asyncio.timeout_at(self._until):
                return await anext(chunks, None)
        except (TimeoutError, httpx2.HTTPError, OSError):
            return None


_read_now: set[object] = set()
"""The responses that this process reads now."""


async def unhurried(chunks: AsyncIterator[bytes]) -> AsyncGenerator[bytes, None]:
    """Yields what a response brings. While many are read, what comes within a moment after a chunk is the next one."""
    this = object()
    _read_now.add(this)
    try:
        async for chunk in chunks:
            yield chunk
            if len(_read_now) >= MANY_READ:
                await asyncio.sleep(min(MAX_PAUSE_S, len(_read_now) * PAUSE_S))
    finally:
        _read_now.discard(this)


async def _drain(chunks: AsyncIterator[bytes]) -> None:
    """Reads the rest of the response if it comes at once, which keeps the connection for the next request."""
    with suppress(TimeoutError):
        async with asyncio.timeout(0.1):
            async for _ in chunks:
                pass
