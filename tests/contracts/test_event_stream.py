"""Server-sent events are decoded as OpenAI's own decoder does, plus the two markers that it swallows."""

import json
from collections.abc import Iterable, Iterator
from itertools import pairwise
from time import process_time

import pytest
from hypothesis import given
from hypothesis import strategies as st
from openai._streaming import SSEDecoder

from bot.models.wire import COMMENT, DONE, MAX_EVENT_BYTES, EventTooLongError, ServerSentEvents
from tests.streams import speech


def read(chunks: Iterable[bytes]) -> list[object]:
    events = ServerSentEvents()
    return [event for chunk in chunks for event in events.receive(chunk)] + list(events.end())


@pytest.mark.parametrize(
    ("stream", "events"),
    [
        (b'data: {"a":1}\n\n', [{"a": 1}]),
        (b'event: x\nid: 7\ndata:{"a":1}\n\n', [{"a": 1}]),
        (b'data: {"a":\r\ndata: 1}\r\n\r\n', [{"a": 1}]),
        (b'data: {"a":1}\r\rdata: 2\r\r', [{"a": 1}, 2]),
        (b": keepalive\n\n:\n\ndata: 1\n\n", [COMMENT, COMMENT, 1]),
        (b"data: 1\n\ndata: [DONE]\n\n", [1, DONE]),
        (b"data: 1\n\ndata: [DONE]\n", [1, DONE]),
        (b"data: 1\n\ndata:[DONE]", [1, DONE]),
        (b'data: 1\n\ndata: {"a":2}', [1, {"a": 2}]),
        (b'data: 1\n\ndata: {"a":2}\n', [1, {"a": 2}]),
        (b'data: 1\n\ndata: {"a":\ndata: 2}\r\n', [1, {"a": 2}]),
        (b'data: 1\n\ndata: {"a":2', [1]),
        (b'data: 1\n\ndata: {"a":"\xc3', [1]),
        (b"data: 1\n\ndata: 2", [1]),
        (b'\xef\xbb\xbfdata: {"a":1}\n\n', [{"a": 1}]),
        (b"\xef\xbb\xbf: keepalive\n\ndata: 1\n\n", [COMMENT, 1]),
        (b'\xef\xbb\xbfdata: {"a":1}', [{"a": 1}]),
        (b"event: ping\n\ndata:\n\n\n\ndata: 1\n\n", [1]),
        (b'data: "\\ud83d"\n\n', ["\ud83d"]),
        (b"", []),
        # Words that keep a connection, and other ways to write the end.
        (b"data: ping\n\ndata: : OPENROUTER PROCESSING\n\ndata:   \n\ndata: 1\n\n", [COMMENT, COMMENT, 1]),
        (b"event: x\ndata: upstream timed out\n\ndata: \xff\n\n", [COMMENT, COMMENT]),
        (b"data: 1\n\ndata:  [DONE] \n\n", [1, DONE]),
        (b"data: 1\n\ndata: [done]", [1, DONE]),
        # Proxies: no empty line between events, and the server's line in one of their own.
        (b'data: {"a":1}\ndata: {"a":2}\ndata: [DONE]\n', [{"a": 1}, {"a": 2}, DONE]),
        (b'data: {"a":1}\r\ndata: {"a":2}', [{"a": 1}, {"a": 2}]),
        (b'data: {"a":{\ndata: "b": 1}\ndata: }\n\n', [{"a": {"b": 1}}]),
        (b'data: data: {"a":1}\n\ndata:data: [DONE]\n\n', [{"a": 1}, DONE]),
        # Errors by the name of their event or line, and one that a gateway writes as it is.
        (
            b"event: error\ndata: upstream timed out\n\ndata: 1\n\n",
            [{"type": "error", "error": "upstream timed out"}, 1],
        ),
        (b'data: 1\n\nerror: {"code": 2}\n\n', [1, {"type": "error", "error": {"code": 2}}]),
        (b'data: 1\n\nerror: {"code": 2}', [1, {"type": "error", "error": {"code": 2}}]),
        (b'event: error\ndata: {"half', [{"type": "error", "error": '{"half'}]),
        (b'event: error\ndata: {"type":"error","code":2}\n\n', [{"type": "error", "code": 2}]),
        (b'event: error\ndata: {"error":2}\n\n', [{"error": 2}]),
        (b'data: 1\n\n{"error": 2}\n\n', [1, {"error": 2}]),
        (b'data: 1\n\n{"error": 2}', [1, {"error": 2}]),
    ],
)
@pytest.mark.parametrize("size", [1, 2, 3, 100])
def test_stream_is_decoded_at_any_chunk_boundary(stream: bytes, events: list[object], size: int) -> None:
    assert read([stream[at : at + size] for at in range(0, len(stream), size)]) == events


@pytest.mark.parametrize("data", [b"{", b'{"a": "\xff"}', b'{"half'])
def test_broken_object_is_an_error(data: bytes) -> None:
    with pytest.raises(ValueError):
        read([b"data: " + data + b"\n\n"])


@pytest.mark.parametrize("data", [b"x", b"\xef\xbb\xbf"])
def test_line_without_end_is_an_error_after_linear_work(data: bytes) -> None:
    read_bytes = 0

    def body() -> Iterator[bytes]:
        nonlocal read_bytes
        yield b"data: "
        for _ in range(2**20):
            yield data * 16
            read_bytes += len(data) * 16

    began = process_time()
    with pytest.raises(EventTooLongError):
        read(body())
    assert read_bytes <= MAX_EVENT_BYTES
    # Joining the line at each of its 500,000 pieces would take minutes.
    assert process_time() - began < 15


def test_event_of_many_lines_is_bounded_too() -> None:
    lines = [b"data: " + b"x" * 2**16 + b"\n"] * (MAX_EVENT_BYTES // 2**16 + 1)
    with pytest.raises(EventTooLongError):
        read(lines)


def test_event_within_the_bound_is_read_whole() -> None:
    words = "x" * (MAX_EVENT_BYTES - 100)
    stream = 2 * (b'data: {"a":"' + words.encode() + b'"}\n\n')
    assert read(speech.split(stream, 2**16)) == [{"a": words}] * 2, "each event has the bound for itself"


LINES = st.sampled_from(
    [
        b'data: {"a": "\xc3\xa9"}',
        b"data:1",
        b"data:  [2]",
        b": ping",
        b"event: x",
        b"id: 3",
        b"retry: 5",
        b"x",
        b"",
        b"",
    ]
)
ENDS = st.sampled_from([b"\n", b"\r\n", b"\r"])


@given(st.lists(st.tuples(LINES, ENDS), max_size=12), st.lists(st.integers(0, 120)))
def test_decoder_agrees_with_the_sdk(lines: list[tuple[bytes, bytes]], cuts: list[int]) -> None:
    # Two JSON values in one event are invalid: each event has one.
    stream = b"".join(line + end + (end if line.startswith(b"data") else b"") for line, end in lines)
    at = sorted({0, *(cut for cut in cuts if cut < len(stream)), len(stream)})
    chunks = [stream[low:high] for low, high in pairwise(at)]
    sdk = [json.loads(event.data) for event in SSEDecoder().iter_bytes(iter(chunks)) if event.data]
    assert [event for event in read(chunks) if event != COMMENT] == sdk
