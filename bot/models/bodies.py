"""Limits the size of error responses, and of other responses that aren't streams.

The vendors' SDKs read and decompress an error's entire body before they report its status. A body of 200 kB can
decompress to 200 MB. So the SDKs use our clients (`limited_client`), which stop reading at a limit. The limit counts
decompressed bytes, which arrive in pieces of at most 1 MiB.
"""

import asyncio
from collections.abc import AsyncIterable
from contextlib import aclosing
from typing import Any

import httpx2

from bot.models.wire import MAX_EVENT_BYTES, EventTooLongError

MAX_ERROR_BYTES = 64 * 2**10
"""Maximum size of an error's body. Vendors' errors are less than a kilobyte."""
ERROR_WITHIN_S = 10.0
"""Time limit for reading an error's body. After that, the part received so far is used."""
_TRANSFER_HEADERS = ("content-encoding", "content-length", "transfer-encoding")


def limited_client(http_client: type[httpx2.AsyncClient]) -> type[httpx2.AsyncClient]:
    class BoundedClient(http_client):  # type: ignore[misc,valid-type]
        async def send(self, request: httpx2.Request, *, stream: bool = False, **more: Any) -> httpx2.Response:
            response: httpx2.Response = await super().send(request, stream=True, **more)
            if not response.is_success:
                content = await _read_beginning(response)
            elif stream:
                return response
            else:
                async with aclosing(response):
                    content = await read_body(response.aiter_bytes())
            return _decompressed_response(response, content)

    return BoundedClient


async def read_body(chunks: AsyncIterable[bytes]) -> bytes:
    """Reads a whole body. Raises EventTooLongError if the body exceeds the size limit for a stream event."""
    read: list[bytes] = []
    read_bytes = 0
    async for chunk in chunks:
        read.append(chunk)
        read_bytes += len(chunk)
        if read_bytes > MAX_EVENT_BYTES:
            raise EventTooLongError
    return b"".join(read)


async def _read_beginning(response: httpx2.Response) -> bytes:
    read = bytearray()
    # Nested compression could expand to a lot of data in one piece.
    is_nested = "," in response.headers.get("content-encoding", "")
    try:
        async with asyncio.timeout(ERROR_WITHIN_S), aclosing(response), aclosing(response.aiter_bytes()) as chunks:
            while not is_nested and len(read) < MAX_ERROR_BYTES:
                read += await anext(chunks)
    except (StopAsyncIteration, TimeoutError, httpx2.HTTPError, OSError):
        pass
    return bytes(read[:MAX_ERROR_BYTES])


def _decompressed_response(response: httpx2.Response, content: bytes) -> httpx2.Response:
    headers = [(name, value) for name, value in response.headers.multi_items() if name.lower() not in _TRANSFER_HEADERS]
    return httpx2.Response(
        response.status_code, headers=headers, content=content, request=response.request, extensions=response.extensions
    )
