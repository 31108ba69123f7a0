"""Reads a response's bytes in chunks, less often if many responses are being read, and no longer than necessary."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing, suppress

import httpx2

from bot.models.failures import RequestAttempt
from bot.models.streams import AnswerReader, Delta, ResponseReader

PIECE_BYTES = 2_048
"""Maximum bytes to process without yielding to other tasks. A gateway's cache sends a whole answer at once."""
MANY_RESPONSES = 10
PAUSE_S = 0.002
"""Pause after each chunk, for each response being read. Reading 200 responses word by word would use a whole core."""
MAX_PAUSE_S = 0.4
REST_S = 10.0
"""Time limit for data such as usage that follows a finish reason. Some servers never end their streams."""


async def read_deltas(
    response: httpx2.Response, reader: AnswerReader, attempt: RequestAttempt
) -> AsyncGenerator[Delta, None]:
    media_type = response.headers.get("Content-Type", "").partition(";")[0].strip()
    received = ResponseReader(media_type, reader, attempt)
    async with aclosing(response), aclosing(paced_chunks(response.aiter_bytes())) as chunks:
        attempt.is_connected = True
        rest = _RestReader()
        while not received.is_done and (chunk := await rest.next_chunk(chunks, received)) is not None:
            for at in range(0, len(chunk), PIECE_BYTES):
                if at:
                    await asyncio.sleep(0)
                for delta in received.receive(chunk[at : at + PIECE_BYTES]):
                    yield delta
                if received.is_done:
                    break
        if received.is_done:
            # Reads what arrives at once, so that the next request can reuse the connection.
            with suppress(TimeoutError):
                async with asyncio.timeout(0.1):
                    while await anext(chunks, None) is not None:
                        pass
        for delta in received.end():
            yield delta


class _RestReader:
    _deadline = 0.0
    _events = -1

    async def next_chunk(self, chunks: AsyncIterator[bytes], received: ResponseReader) -> bytes | None:
        if not received.is_over:
            return await anext(chunks, None)
        if received.events > self._events:
            self._deadline, self._events = asyncio.get_running_loop().time() + REST_S, received.events
        try:
            async with asyncio.timeout_at(self._deadline):
                return await anext(chunks, None)
        except (TimeoutError, httpx2.HTTPError, OSError):
            return None


_open_responses: set[object] = set()


async def paced_chunks(chunks: AsyncIterator[bytes]) -> AsyncGenerator[bytes, None]:
    """Yields a response's chunks. If many responses are being read, it pauses after each, so that chunks get longer."""
    this = object()
    _open_responses.add(this)
    try:
        async for chunk in chunks:
            yield chunk
            if len(_open_responses) >= MANY_RESPONSES:
                await asyncio.sleep(min(MAX_PAUSE_S, len(_open_responses) * PAUSE_S))
    finally:
        _open_responses.discard(this)
