"""Server-sent events as plain values, with the two things that the vendors' own decoders swallow.

A comment (`: keepalive`) shows that a silent model is at work, and the closing `[DONE]` shows that an answer without a
finish reason is whole. The format: https://html.spec.whatwg.org/multipage/server-sent-events.html
"""

import json
from collections.abc import AsyncGenerator, AsyncIterable
from enum import Enum, auto
from typing import Any


class Mark(Enum):
    """The parts of a stream besides its events."""

    COMMENT = auto()
    """A line that only keeps the connection alive."""
    DONE = auto()
    """`[DONE]`: nothing follows."""


async def read_events(chunks: AsyncIterable[bytes]) -> AsyncGenerator[Any, None]:
    """Yields the JSON of each event's data, and a Mark for each comment and for [DONE].

    Raises UnicodeDecodeError and json.JSONDecodeError for data that is neither, and the transport's errors.
    """
    rest, data, after_cr = b"", list[bytes](), False
    async for chunk in chunks:
        # CR LF ends one line, also where a chunk ends between the two.
        block = rest + (chunk[1:] if after_cr and chunk.startswith(b"\n") else chunk)
        after_cr = chunk.endswith(b"\r")
        lines = block.splitlines()
        rest = b"" if block.endswith((b"\n", b"\r")) else lines.pop() if lines else b""
        for line in lines:
            if line.startswith(b"data:"):
                data.append(line[6:] if line.startswith(b"data: ") else line[5:])
            elif line.startswith(b":"):
                yield Mark.COMMENT
            elif not line and data:
                value, data = b"\n".join(data), []
                if value:
                    yield _parsed(value)
    # Only an empty line ends an event, but [DONE] counts without one.
    data.append(rest.removeprefix(b"data:").strip())
    if b"".join(data) == b"[DONE]":
        yield Mark.DONE


def _parsed(data: bytes) -> Any:
    if data.startswith(b"[DONE]"):
        return Mark.DONE
    # Half a surrogate pair may come as bytes too: core/surrogates.py takes care of it.
    return json.loads(data.decode("utf-8", "surrogatepass"))
