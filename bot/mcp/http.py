"""HTTP clients for MCP servers: responses are read up to a limit, compressed ones not at all."""

from collections.abc import AsyncIterator, Callable, Mapping
from http import HTTPStatus

import httpx2

from bot.mcp.config import MAX_MESSAGE_BYTES, TOO_LONG

CONNECT_S = 5.0
"""How long a TCP connection may take. Responses are bounded by the calls."""


class ResponseTooLong(httpx2.StreamError):
    """A response's body is too long. The SDK answers the request with an error of this text."""

    def __init__(self) -> None:
        super().__init__(f"The response {TOO_LONG}.")


def http_client(headers: Mapping[str, str], answered: Callable[[int], None]) -> httpx2.AsyncClient:
    """Returns a client that sends these headers and calls `answered` with the status of each response."""

    async def bound(response: httpx2.Response) -> None:
        answered(response.status_code)
        # A few bytes may be gigabytes when they are decompressed. Left as it is, such a body is no JSON.
        response.headers.pop("content-encoding", None)
        if not _is_events(response):
            assert isinstance(response.stream, httpx2.AsyncByteStream)
            response.stream = _Bounded(response.stream)

    client = httpx2.AsyncClient(
        headers=dict(headers), timeout=httpx2.Timeout(CONNECT_S, read=None), event_hooks={"response": [bound]}
    )
    client.headers["accept-encoding"] = "identity"
    return client


def _is_events(response: httpx2.Response) -> bool:
    """Whether the response is a stream of events, which may last for days. The SDK bounds each event."""
    kind = response.headers.get("content-type", "").lower()
    return response.status_code == HTTPStatus.OK and kind.startswith("text/event-stream")


class _Bounded(httpx2.AsyncByteStream):
    """A body that breaks off where it gets too long."""

    def __init__(self, stream: httpx2.AsyncByteStream) -> None:
        self._stream = stream

    async def __aiter__(self) -> AsyncIterator[bytes]:
        read_bytes = 0
        async for chunk in self._stream:
            read_bytes += len(chunk)
            if read_bytes > MAX_MESSAGE_BYTES:
                raise ResponseTooLong
            yield chunk

    async def aclose(self) -> None:
        await self._stream.aclose()
