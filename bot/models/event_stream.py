"""Server-sent events as plain values, with the two things that the vendors' own decoders swallow.

A comment (`: keepalive`) shows that a silent model is at work, and the closing `[DONE]` shows that an answer without a
finish reason is whole. The format: https://html.spec.whatwg.org/multipage/server-sent-events.html

Servers end a stream without the empty line that ends its last event. So an object that is whole counts without one.
"""

import asyncio
import json
from collections.abc import AsyncGenerator, AsyncIterable, AsyncIterator
from enum import Enum, auto
from typing import Any

MAX_EVENT_BYTES = 8 * 2**20
"""The longest event: the last one of a response repeats the whole answer, with its encrypted reasoning."""
LINES_AT_ONCE = 100
"""A gateway's cache sends a whole answer at once. After so many lines, the process does what else is due."""
_BOM = b"\xef\xbb\xbf"


class Mark(Enum):
    """The parts of a stream besides its events."""

    COMMENT = auto()
    """A line that only keeps the connection alive."""
    DONE = auto()
    """`[DONE]`: nothing follows."""


class EventTooLongError(ConnectionAbortedError):
    """An event is longer than MAX_EVENT_BYTES. The rest of its stream is not read, so that it is cut there."""

    def __str__(self) -> str:
        return f"more than {MAX_EVENT_BYTES} bytes"


async def read_events(chunks: AsyncIterable[bytes]) -> AsyncGenerator[Any, None]:
    """Yields the JSON of each event's data, and a Mark for each comment and for [DONE].

    Raises UnicodeDecodeError and json.JSONDecodeError for data that is neither, EventTooLongError, and the transport's
    errors.
    """
    data: list[bytes] = []
    data_bytes = 0
    async for line in _lines(chunks):
        if line.startswith(b"data:"):
            data.append(line[6:] if line.startswith(b"data: ") else line[5:])
            data_bytes += len(line)
            if data_bytes > MAX_EVENT_BYTES:
                raise EventTooLongError
        elif line.startswith(b":"):
            yield Mark.COMMENT
        elif not line and data:
            value = b"\n".join(data)
            data = []
            data_bytes = 0
            if value:
                yield _parsed(value)
    last = b"\n".join(data).strip()
    if last == b"[DONE]":
        yield Mark.DONE
    elif last.startswith(b"{"):
        try:
            event = _parsed(last)
        except ValueError:
            # The stream was cut within this event.
            return
        yield event


async def _lines(chunks: AsyncIterable[bytes]) -> AsyncIterator[bytes]:
    """Yields the lines of a stream, at last the one that has no end. Each byte is looked at a fixed number of times."""
    pieces: list[bytes] = []
    held_bytes = 0
    lines = 0
    after_cr = False
    is_first = True
    async for chunk in chunks:
        # CR LF ends one line, also where a chunk ends between the two.
        block = chunk[1:] if after_cr and chunk.startswith(b"\n") else chunk
        after_cr = chunk.endswith(b"\r") if chunk else after_cr
        for line in block.splitlines(keepends=True):
            pieces.append(line)
            held_bytes += len(line)
            if held_bytes > MAX_EVENT_BYTES:
                raise EventTooLongError
            lines += 1
            if lines % LINES_AT_ONCE == 0:
                await asyncio.sleep(0)
            if line.endswith((b"\n", b"\r")):
                whole = b"".join(pieces).rstrip(b"\r\n")
                pieces = []
                held_bytes = 0
                yield whole.removeprefix(_BOM) if is_first else whole
                is_first = False
    if pieces:
        yield b"".join(pieces).removeprefix(_BOM if is_first else b"")


def _parsed(data: bytes) -> Any:
    if data.startswith(b"[DONE]"):
        return Mark.DONE
    # Half a surrogate pair may come as bytes too: text.py takes care of it.
    return json.loads(data.decode("utf-8", "surrogatepass"))
