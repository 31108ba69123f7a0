"""The HTTP client for remote MCP servers. It limits the size of responses, and repairs responses that deviate slightly
from the protocol.

The SDK's transport reports an error status without the body of the response. If a server refuses a call, this client
therefore replaces the body with a JSON-RPC error that includes the server's message.
"""

import asyncio
import json
import math
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from http import HTTPStatus
from typing import Any, TypeVar
from weakref import WeakValueDictionary

import httpx2
from mcp.client.streamable_http import MCP_SESSION_ID
from mcp_types import (
    INTERNAL_ERROR,
    ErrorData,
    JSONRPCError,
    JSONRPCMessage,
    RequestId,
    jsonrpc_message_adapter,
)
from pydantic import ValidationError

from bot import network
from bot.mcp.challenges import challenge_values
from bot.mcp.config import MAX_MESSAGE_BYTES, TOO_LONG
from bot.mcp.messages import MAX_REPAIRED_BYTES, parse_message
from bot.mcp.sentences import REFUSED_BY_STATUS, SCOPE_LACKING
from bot.models.waits import retry_after_s

T = TypeVar("T")

HTTP_REFUSED = -31400
"""Typist's own error code for a call that the server refused with HTTP 4xx and without a JSON-RPC error
(`http_client`)."""
SIGN_IN_WANTED = -31401
SCOPE_WANTED = -31403
"""The code instead of HTTP_REFUSED if the server requires a scope that the token lacks. The error's data is {SCOPE: the
scopes}."""
HTTP_LIMITED = -31429
"""The code instead of HTTP_REFUSED if the server responded with HTTP 429 and stated how long to wait. The error's data
is {RETRY_AFTER_S: seconds}."""
RETRY_AFTER_S = "retry_after_s"
SCOPE = "scope"


class ResponseTooLong(httpx2.StreamError):
    """A response's body is too long. The SDK turns this exception into an error for the request, with the same text."""

    def __init__(self) -> None:
        super().__init__(f"The response {TOO_LONG}.")


def http_client(
    url: str, headers: Mapping[str, str], listener: Callable[[int, bool, bool], None]
) -> httpx2.AsyncClient:
    """Returns a client that sends `headers` and limits the size of bodies. For each response to a JSON-RPC request,
    calls `listener` with the status, whether the request belongs to a session, and whether people must sign in."""

    async def on_response(response: httpx2.Response) -> None:
        status = response.status_code
        needs_sign_in = _needs_sign_in(response)
        if _request_id(response.request) is not None:
            listener(status, MCP_SESSION_ID in response.request.headers, needs_sign_in)
        # A few bytes can decompress to gigabytes. Left compressed, such a body isn't JSON.
        response.headers.pop("content-encoding", None)
        await _correct_content_type(response)
        assert isinstance(response.stream, httpx2.AsyncByteStream)
        if (exchange := response.request.extensions.get(_EXCHANGE)) is not None:
            response.stream = _ConvertedBody(response.stream, partial(_stop_if_canceled, exchange))
        response.stream = _repaired_body(response)
        if status >= HTTPStatus.BAD_REQUEST and CALL_MARKER in response.request.content:
            words = network.refusal(status, url) or REFUSED_BY_STATUS.format(status=status)
            refused = _refusal_error(response, words, needs_sign_in=needs_sign_in)
            await _replace_with_error(response, refused, headers.values())

    # A TCP connection can take 5 s. Calls limit their responses.
    client = _Client(
        headers={"user-agent": network.USER_AGENT},
        timeout=httpx2.Timeout(5.0, read=None),
        # After a redirect, httpx2 hasn't read the content of the new request, which `on_response` inspects.
        event_hooks={"request": [httpx2.Request.aread], "response": [on_response]},
        verify=network.tls(),
        proxy=network.httpx2_proxy(url),
        trust_env=False,
    )
    client.headers |= {**headers, "accept-encoding": "identity"}
    return client


_EXCHANGE = "typist.exchange"


class _Exchange:
    """The HTTP request and response of a call. Both end when the call is canceled, even if the server doesn't end
    them."""

    def __init__(self) -> None:
        self._timeout: asyncio.Timeout | None = None
        self._is_over = False

    def end(self) -> None:
        self._is_over = True
        if self._timeout is not None:
            self._timeout.reschedule(0.0)

    async def wait_for(self, result: Awaitable[T]) -> T:
        async with asyncio.timeout(0.0 if self._is_over else None) as self._timeout:
            try:
                return await result
            finally:
                self._timeout = None


class _Client(httpx2.AsyncClient):
    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self._exchanges: WeakValueDictionary[RequestId, _Exchange] = WeakValueDictionary()

    async def send(self, request: httpx2.Request, **options: Any) -> httpx2.Response:
        message = json.loads(await request.aread() or b"{}")
        if message.get("method") == "notifications/cancelled":
            if exchange := self._exchanges.get(message["params"].get("requestId")):
                exchange.end()
        elif message.get("method") == "tools/call":
            request.extensions[_EXCHANGE] = exchange = self._exchanges[message["id"]] = _Exchange()
            with suppress(TimeoutError):
                return await exchange.wait_for(super().send(request, **options))
            # The SDK expects nothing more after this status.
            return httpx2.Response(HTTPStatus.ACCEPTED, request=request)
        return await super().send(request, **options)


def _request_id(request: httpx2.Request) -> RequestId | None:
    """Returns the ID of the JSON-RPC request in an HTTP request, or None for a notification or a GET that opens a
    stream."""
    message = json.loads(request.content or b"{}")
    return message.get("id") if "method" in message else None


CALL_MARKER = b'"tools/call"'
"""Bytes that occur in every request that calls a tool. If another request contains them, its refusal is converted
too."""
MAX_ERROR_BYTES = 64_000
MAX_SCOPE_CHARS = 200
_GATEWAY_STATUSES = range(502, 600)
"""HTTP statuses with which a gateway reports that it doesn't know how a call ended."""


def _needs_sign_in(response: httpx2.Response) -> bool:
    """Returns whether a response states where people sign in (RFC 9728, the basis of MCP's authorization)."""
    names_where = bool(challenge_values(response.headers, "resource_metadata"))
    return names_where and response.status_code == HTTPStatus.UNAUTHORIZED


def _content_type(response: httpx2.Response) -> str:
    kind: str = response.headers.get("content-type", "").lower()
    return kind


async def _correct_content_type(response: httpx2.Response) -> None:
    """Sets a response's content type to JSON if its body is a message. If a server doesn't set a type, its web
    framework adds one, which can be wrong."""
    has_type = _content_type(response).startswith(("application/json", "text/event-stream"))
    request_id = _request_id(response.request)
    if has_type or response.status_code != HTTPStatus.OK or request_id is None:
        return
    whole = await _body_start(response, MAX_MESSAGE_BYTES)
    if parse_message(whole, request_id) is not None:
        response.headers["content-type"] = "application/json"
    response.stream = httpx2.ByteStream(whole)


def _repaired_body(response: httpx2.Response) -> httpx2.AsyncByteStream:
    assert isinstance(response.stream, httpx2.AsyncByteStream)
    if response.status_code != HTTPStatus.OK:
        return _ConvertedBody(response.stream, _limit_size)
    # An event stream can last for days. The SDK limits each event.
    is_events = _content_type(response).startswith("text/event-stream")
    convert = partial(repair_events if is_events else _repair_message, _request_id(response.request))
    return _ConvertedBody(response.stream, convert)


async def _body_start(response: httpx2.Response, max_bytes: int = MAX_ERROR_BYTES) -> bytes:
    assert isinstance(response.stream, httpx2.AsyncByteStream)
    chunks: list[bytes] = []
    read_bytes = 0
    with suppress(httpx2.HTTPError, httpx2.StreamError):
        async for chunk in response.stream:
            chunks.append(chunk)
            read_bytes += len(chunk)
            if read_bytes > max_bytes:
                break
    await response.stream.aclose()
    return b"".join(chunks)[:max_bytes]


def _refusal_error(response: httpx2.Response, text: str, *, needs_sign_in: bool) -> ErrorData:
    wait_s = retry_after_s(response.headers, "", is_limit=False)
    if response.status_code == HTTPStatus.TOO_MANY_REQUESTS and wait_s is not None:
        return ErrorData(code=HTTP_LIMITED, message=text, data={RETRY_AFTER_S: math.ceil(wait_s)})
    if "insufficient_scope" in challenge_values(response.headers, "error"):
        scope = " ".join(challenge_values(response.headers, "scope"))[:MAX_SCOPE_CHARS]
        return ErrorData(code=SCOPE_WANTED, message=f"{text} {SCOPE_LACKING.format(scope=scope)}", data={SCOPE: scope})
    return ErrorData(code=SIGN_IN_WANTED if needs_sign_in else HTTP_REFUSED, message=text)


async def _replace_with_error(response: httpx2.Response, refusal: ErrorData, secrets: Iterable[str]) -> None:
    """Replaces a refusing response's body with a JSON-RPC error, unless `_error_body` returns None."""
    error = _error_body(response, refusal, await _body_start(response), secrets)
    if error is not None:
        response.headers["content-type"] = "application/json"
        response.stream = httpx2.ByteStream(error)


def _error_body(response: httpx2.Response, refused: ErrorData, body: bytes, secrets: Iterable[str]) -> bytes | None:
    """Returns a refusal as a JSON-RPC error without `secrets`. Returns None if the refusal comes from a gateway that
    doesn't know how the call ended."""
    with suppress(ValidationError):
        if refused.code == HTTP_REFUSED and isinstance(
            jsonrpc_message_adapter.validate_json(body, by_name=False), JSONRPCError
        ):
            return body
    if response.status_code in _GATEWAY_STATUSES:
        return None
    text = body.decode("utf-8", "replace").strip()
    # A server that refuses a key might quote it.
    quotes = any(secret.split()[-1] in text for secret in secrets)
    # The body is a web page for people.
    if text and _content_type(response).startswith(("text/plain", "application/")) and not quotes:
        refused = refused.model_copy(update={"message": f"{refused.message}\n{text}"})
    if response.status_code >= HTTPStatus.INTERNAL_SERVER_ERROR:
        refused = refused.model_copy(update={"code": INTERNAL_ERROR})
    return JSONRPCError(jsonrpc="2.0", id=None, error=refused).model_dump_json(by_alias=True).encode()


class _Canceled(httpx2.SSEError, httpx2.StreamError):
    """Raised to end a response. If a different error were raised, the SDK would continue the stream in another request
    or end the session."""


@dataclass(eq=False)
class _ConvertedBody(httpx2.AsyncByteStream):
    stream: httpx2.AsyncByteStream
    convert: Callable[[httpx2.AsyncByteStream], AsyncIterator[bytes]]

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self.convert(self.stream)

    async def aclose(self) -> None:
        await self.stream.aclose()


async def _limit_size(stream: httpx2.AsyncByteStream) -> AsyncIterator[bytes]:
    read_bytes = 0
    async for chunk in stream:
        read_bytes += len(chunk)
        if read_bytes > MAX_MESSAGE_BYTES:
            raise ResponseTooLong
        yield chunk


async def _stop_if_canceled(exchange: _Exchange, stream: httpx2.AsyncByteStream) -> AsyncIterator[bytes]:
    chunks = aiter(stream)
    try:
        while (chunk := await exchange.wait_for(anext(chunks, None))) is not None:
            yield chunk
    except TimeoutError:
        raise _Canceled("canceled") from None


async def _repair_message(request_id: RequestId | None, stream: httpx2.AsyncByteStream) -> AsyncIterator[bytes]:
    """Yields a body that consists of a single message. If the message is a response, it is given this request's ID."""
    body = b"".join([chunk async for chunk in _limit_size(stream)])
    message = parse_message(body, request_id) if len(body) <= MAX_REPAIRED_BYTES else None
    yield _message_json(message) if message is not None else body


async def repair_events(request_id: RequestId | None, stream: httpx2.AsyncByteStream) -> AsyncIterator[bytes]:
    """Yields an event stream in which every event contains a message, whatever the event's name is. Long events aren't
    changed."""
    event: list[bytes] = []
    line: list[bytes] = []
    held_bytes, is_long = 0, False
    async for chunk in stream:
        first, *others = chunk.split(b"\n")
        line.append(first)
        for other in others:
            event.append(b"".join(line))
            line = [other]
            if not event[-1].strip(b"\r"):
                lines = event[:-1] if is_long else _repair_event(event[:-1], request_id)
                yield b"\n".join((*lines, b"", b""))
                event, held_bytes, is_long = [], 0, False
        held_bytes += len(chunk)
        if held_bytes > MAX_REPAIRED_BYTES:
            yield b"\n".join((*event, b"".join(line)))
            event, line, held_bytes, is_long = [], [], 0, True
    event.append(b"".join(line))
    # A server might end without the blank line.
    yield b"\n".join((*(event if is_long else _repair_event(event, request_id)), b"", b""))


def _repair_event(lines: list[bytes], request_id: RequestId | None) -> list[bytes]:
    """Returns an event's lines without data that isn't JSON, such as a "ping" that keeps the connection alive."""
    data = b"\n".join(one.removeprefix(b"data:") for one in lines if one.startswith(b"data:")).strip()
    if lines and lines[0].lstrip().startswith(b"{"):
        # The response isn't an event stream, whatever its type is.
        data, lines = b"\n".join(lines), []
    if not data or len(data) > MAX_REPAIRED_BYTES:
        return lines
    others = [one for one in lines if not one.startswith((b"data:", b"event:"))]
    if (message := parse_message(data, request_id)) is not None:
        return [*others, b"data: " + _message_json(message)]
    return lines if data.startswith(b"{") else others


def _message_json(message: JSONRPCMessage) -> bytes:
    return message.model_dump_json(by_alias=True, exclude_unset=True).encode()
