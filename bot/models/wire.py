"""Parses a response's bytes into server-sent events or Amazon's binary events, without I/O.

As in h11, the caller reads the socket and passes the bytes to `receive`, then calls `end`. Every byte is examined a
bounded number of times.
"""

import json
from abc import ABC, abstractmethod
from base64 import b64decode
from collections.abc import Iterator, Mapping
from typing import Any

MAX_EVENT_BYTES = 8 * 2**20
"""Maximum size of an event. A response's last event repeats the whole answer, including encrypted reasoning."""
_BOM = b"\xef\xbb\xbf"
COMMENT: Mapping[str, Any] = {}
"""The event for a line that has no content and only keeps the connection alive."""
DONE = "[DONE]"


class EventTooLongError(ConnectionAbortedError):
    """Raised if an event is longer than MAX_EVENT_BYTES. The rest of the stream isn't read."""

    def __str__(self) -> str:
        return f"more than {MAX_EVENT_BYTES} bytes"


class Events(ABC):
    @abstractmethod
    def receive(self, data: bytes) -> Iterator[Any]:
        """Yields the JSON in each event that `data` completes. Raises ValueError if the format is wrong."""

    def end(self) -> Iterator[Any]:
        """Yields the last events, which are complete only because the stream has ended."""
        yield from ()


class ServerSentEvents(Events):
    """Reads the JSON in server-sent events, as well as two types of lines that the vendors' decoders discard.

    A comment (`: keepalive`) shows that a silent model is working, and a final `[DONE]` shows that an answer without a
    finish reason is complete. Format: https://html.spec.whatwg.org/multipage/server-sent-events.html

    Some servers end a stream without the empty line after the last event, so a complete last object is accepted too.
    Raises UnicodeDecodeError and json.JSONDecodeError for a broken object, and EventTooLongError."""

    def __init__(self) -> None:
        self._pieces: list[bytes] = []
        self._line_bytes = 0
        self._data: list[bytes] = []
        self._data_bytes = 0
        self._is_error = False
        self._after_cr = False
        self._is_first = True

    def receive(self, data: bytes) -> Iterator[Any]:
        # CR LF is a single line ending, even if a piece ends between the two.
        block = data[1:] if self._after_cr and data.startswith(b"\n") else data
        self._after_cr = data.endswith(b"\r") if data else self._after_cr
        for piece in block.splitlines(keepends=True):
            self._pieces.append(piece)
            self._line_bytes += len(piece)
            if self._line_bytes > MAX_EVENT_BYTES:
                raise EventTooLongError
            if piece.endswith((b"\n", b"\r")):
                yield from self._end_line()

    def end(self) -> Iterator[Any]:
        if self._pieces:
            yield from self._end_line()
        last = b"\n".join(self._data).strip()
        if last and self._is_error:
            yield _parse_error(last)
        elif last.startswith((b"{", b"[")):
            try:
                event = _parse_event(last)
            except ValueError:
                # The stream was cut off within this event.
                return
            yield event

    def _end_line(self) -> Iterator[Any]:
        line = (b"".join(self._pieces) if len(self._pieces) > 1 else self._pieces[0]).rstrip(b"\r\n")
        self._pieces = []
        self._line_bytes = 0
        if self._is_first:
            self._is_first = False
            line = line.removeprefix(_BOM)
        if line.startswith(b":"):
            yield COMMENT
        elif line:
            yield from self._add_line(line)
        else:
            yield from self._end_event()

    def _add_line(self, line: bytes) -> Iterator[Any]:
        """Adds a data line to the current event. If the line begins a new event, yields the current event."""
        # All other fields except an error's name are ignored.
        # llama.cpp and its forks use this field name for an error's data.
        is_error = line.startswith(b"error:")
        self._is_error |= is_error or (line.startswith(b"event:") and line[6:].strip() == b"error")
        # Gateways insert their own errors into a stream without a field name.
        if is_error or line.startswith((b"data:", b"{")):
            # Proxies wrap the upstream server's line in one of their own.
            field = b"error:" if is_error else b"data:"
            data = line.removeprefix(field).removeprefix(b" ").removeprefix(b"data:").removeprefix(b" ")
            if self._data and self._data[-1].endswith(b"}") and data.startswith((b"{", b"[DONE]")):
                # JSON can't continue like this, so the empty line between two events is missing.
                yield from self._end_event()
            self._data.append(data)
            self._data_bytes += len(line)
            if self._data_bytes > MAX_EVENT_BYTES:
                raise EventTooLongError

    def _end_event(self) -> Iterator[Any]:
        value, is_error = b"\n".join(self._data).strip(), self._is_error
        self._data = []
        self._data_bytes = 0
        self._is_error = False
        if value:
            yield _parse_error(value) if is_error else _parse_event(value)


def _parse_event(data: bytes) -> Any:
    if data[:6].upper() == b"[DONE]":
        return DONE
    try:
        # Half a surrogate pair can also arrive as bytes: slack_markdown/growing_text.py handles it.
        return json.loads(data.decode("utf-8", "surrogatepass"))
    except ValueError:
        if data.startswith(b"{"):
            raise
        # Gateways keep a connection alive with a word as data, or with the upstream server's comment.
        return COMMENT


def _parse_error(data: bytes) -> Any:
    """Returns an error event in the format that all APIs share. Some servers send only the error's text."""
    try:
        error = json.loads(data)
    except ValueError:
        error = data.decode("utf-8", "replace")
    is_whole = isinstance(error, Mapping) and ("error" in error or error.get("type") == "error")
    return error if is_whole else {"type": "error", "error": error}


AWS_EVENTS = "application/vnd.amazon.eventstream"


class AwsEvents(Events):
    """Reads the JSON in Amazon Bedrock's stream events, which are binary messages with checksums.

    Format:
    https://docs.aws.amazon.com/AmazonS3/latest/developerguide/RESTSelectObjectAppendix.html#RESTSelectObjectAppendix-message-format
    Contents: https://docs.aws.amazon.com/bedrock/latest/APIReference/API_runtime_ResponseStream.html

    A failure is yielded as an error event in Anthropic's format. Events without `bytes`, which Amazon might add, are
    skipped because they don't come from the model. Raises ValueError if the format is wrong, and botocore's errors for
    a wrong checksum or a message that is too long."""

    def __init__(self) -> None:
        # From the extra bedrock.
        from botocore.eventstream import EventStreamBuffer

        self._buffer = EventStreamBuffer()

    def receive(self, data: bytes) -> Iterator[Any]:
        self._buffer.add_data(data)
        for message in self._buffer:
            body = json.loads(message.payload or b"{}")
            if message.headers.get(":message-type") != "event":
                code = message.headers.get(":exception-type") or message.headers.get(":error-code")
                said = body.get("message") or message.headers.get(":error-message")
                yield {"type": "error", "error": {"type": code, "message": said}}
            elif "bytes" in body:
                yield json.loads(b64decode(body["bytes"]))
