"""Messages that aren't quite JSON-RPC, in bytes and in streams of events: read as what they can only mean."""

import json
from collections.abc import AsyncIterator
from typing import Any

import httpx2
import pytest
from mcp_types import JSONRPCError, JSONRPCResponse

from bot.mcp.messages import MAX_REPAIRED_BYTES, parse_message
from bot.mcp.streamable_http import repair_events

RESULT = {"content": [{"type": "text", "text": "Hi."}]}
WHOLE = json.dumps({"jsonrpc": "2.0", "id": 7, "result": RESULT})
BARE = json.dumps({"id": 7, "result": RESULT})


def said(text: str) -> dict[str, Any]:
    return {"content": [{"type": "text", "text": text}]}


@pytest.mark.parametrize(
    ("data", "result"),
    [
        (WHOLE.encode(), RESULT),
        (BARE.encode(), RESULT),
        (b"\xef\xbb\xbf" + WHOLE.encode(), RESULT),
        (f"[{WHOLE}]".encode(), RESULT),
        (f'[{{"jsonrpc": "2.0", "method": "notifications/progress"}}, {BARE}]'.encode(), RESULT),
        (WHOLE.replace('"2.0"', "2.0").encode(), RESULT),
        # open-knowledge#472: a text that is cut in the middle of an emoji.
        (WHOLE.replace("Hi.", "Hi \\ud83d").encode(), said("Hi \ufffd")),
        (WHOLE.replace("Hi.", "Gr\xfc\xdfe").encode("latin-1"), said("Gr\ufffd\ufffde")),
        # As in a stream of events, with whatever type a gateway gives it.
        (f"data: {WHOLE}\n\n".encode(), RESULT),
        (f"event: message\r\ndata: {BARE}\r\n\r\n".encode(), RESULT),
        (f': ok\n\ndata:\n\nid: 1\ndata: {{"method": "notifications/message"}}\n\ndata: {BARE}'.encode(), RESULT),
        (f"id: 1\ndata: {BARE}\n\n".encode(), RESULT),
        (f"retry: 9\ndata: {BARE}\n\n".encode(), RESULT),
        (BARE.replace('"result"', '"error": null, "result"').encode(), RESULT),
        (f"[{BARE}, {BARE.replace('Hi.', 'Bye.')}]".encode(), RESULT),
        (b'{"jsonrpc": "2.0", "id": 7, "result": "plain"}', {"content": "plain"}),
        (b'{"jsonrpc": "2.0", "id": 7, "result": [1]}', {"content": [1]}),
        (b'{"jsonrpc": "2.0", "id": 7, "result": null}', {"content": None}),
    ],
)
def test_response_is_read_in_whatever_form_it_comes(data: bytes, result: dict[str, Any]) -> None:
    assert parse_message(data) == JSONRPCResponse(jsonrpc="2.0", id=7, result=result)


@pytest.mark.parametrize("request_id", ["99", '"x"', "null", "1.5", "[]"])
@pytest.mark.parametrize("form", [WHOLE, BARE])
def test_response_on_http_answers_its_request_whatever_it_says(form: str, request_id: str) -> None:
    message = parse_message(form.replace("7", request_id).encode(), 7)
    assert message == JSONRPCResponse(jsonrpc="2.0", id=7, result=RESULT)


@pytest.mark.parametrize(
    ("error", "code", "words", "data"),
    [
        ({"code": -32602, "message": "a is missing"}, -32602, "a is missing", None),
        ({"code": -32602, "message": "No.", "data": {"hint": "a"}}, -32602, "No.", {"hint": "a"}),
        ({"code": "EPERM", "message": "not allowed"}, 0, "not allowed", None),
        ({"code": True, "message": "No."}, 0, "No.", None),
        ({"code": 5}, 5, '{"code": 5}', None),
        ("just words", 0, "just words", None),
    ],
)
def test_error_that_names_no_request_keeps_what_it_says(error: object, code: int, words: str, data: object) -> None:
    message = parse_message(json.dumps({"id": None, "error": error}).encode(), 7)
    assert isinstance(message, JSONRPCError)
    assert (message.id, message.error.code, message.error.message, message.error.data) == (7, code, words, data)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"Listening on stdio",
        b"[]",
        b"{}",
        b"null",
        b"7",
        b'"text"',
        b'{"id": 7}',
        b'{"id": 7, "error": null}',
        b'{"id": true, "result": {}}',
        # Nothing but a whole message may ask for something.
        b'{"id": 7, "method": "sampling/createMessage", "result": {}}',
        b'[{"jsonrpc": "2.0", "id": 7, "method": "ping"}]',
        b'{"id": 7, "method": "ping"}',
        b"data: Listening",
        b"event: endpoint\ndata: /messages\n\n",
        b"data: " * 40_000,
        b"data:\n\n" * 30_000,
        b"[" * 100_000,
        b'{"id": 7, "result": ' * 100_000,
        BARE.encode() + b" " * MAX_REPAIRED_BYTES,
    ],
)
def test_what_is_no_message_is_none(data: bytes) -> None:
    assert parse_message(data) is None


class _Chunks(httpx2.AsyncByteStream):
    def __init__(self, data: bytes, size: int) -> None:
        self._data = data
        self._size = size

    async def __aiter__(self) -> AsyncIterator[bytes]:
        for at in range(0, len(self._data), self._size):
            yield self._data[at : at + self._size]


async def events(sent: bytes, size: int) -> list[tuple[str, str]]:
    """Returns the names and data of the events in a stream that comes in pieces of so many bytes."""
    request = httpx2.Request("POST", "http://x.test", json={"id": 7, "method": "tools/call"})
    read = b"".join([chunk async for chunk in repair_events(7, _Chunks(sent, size))])
    response = httpx2.Response(200, headers={"content-type": "text/event-stream"}, content=read, request=request)
    return [(one.event, one.data) async for one in httpx2.EventSource(response, max_event_size=None)]


EVENT = f"data: {WHOLE}\n\n".encode()


@pytest.mark.parametrize(
    ("sent", "read"),
    [
        (EVENT, [WHOLE]),
        (EVENT.rstrip(), [WHOLE]),
        (EVENT.replace(b"\n", b"\r\n"), [WHOLE]),
        (b"event: response\n" + EVENT, [WHOLE]),
        (b"data: ping\n\n" + EVENT + b"data: [DONE]\n\n", [WHOLE]),
        (b": ping\n\nevent: ping\ndata: {}\n\n" + EVENT, ["{}", WHOLE]),
        (b"id: 3\ndata:\n\n" + EVENT, ['""', WHOLE]),
        (
            json.dumps(json.loads(WHOLE), indent=1).replace("{\n", "data: {\n", 1).replace("\n", "\ndata: ").encode(),
            [WHOLE],
        ),
        (f"data: {BARE}\n\n".encode(), [WHOLE]),
        # A message that only its type calls an event.
        (BARE.encode(), [WHOLE]),
        (json.dumps(json.loads(WHOLE), indent=1).encode() + b"\n", [WHOLE]),
        (EVENT.replace(b"7", b"99"), [WHOLE]),
    ],
)
async def test_events_hold_messages_however_they_are_cut_and_called(sent: bytes, read: list[str]) -> None:
    for size in (1, 2, 3, 7, len(sent)):
        found = await events(sent, size)
        assert [json.loads(data or '""') for _, data in found] == [json.loads(data) for data in read]
        assert not [name for name, data in found if name != ("ping" if data == "{}" else "message")]


async def test_long_event_passes_as_it_came_and_the_next_is_read() -> None:
    long = WHOLE.replace("Hi.", "x" * MAX_REPAIRED_BYTES)
    sent = f"event: response\ndata: {long}\n\ndata: ping\n\n".encode() + EVENT
    for size in (1_000, len(sent)):
        found = [(name, json.loads(data)) for name, data in await events(sent, size)]
        assert found == [("response", json.loads(long)), ("message", json.loads(WHOLE))]
