"""A response's bytes become events, without I/O: `receive` a piece of them, and `end` where they end.

Events are server-sent, or Amazon's binary ones. As in h11, the caller reads the socket and hands over what came. No
byte is looked at more than a fixed number of times.
"""

import json
from abc import ABC, abstractmethod
from base64 import b64decode
from collections.abc import Iterator, Mapping
from typing import Any

MAX_EVENT_BYTES = 8 * 2**20
"""The longest event: the last one of a response repeats the whole answer, with its encrypted reasoning."""
_BOM = b"\xef\xbb\xbf"
COMMENT: Mapping[str, Any] = {}
"""A line that only keeps the connection alive: an event that says nothing."""
DONE = "[DONE]"
"""Nothing follows."""


class EventTooLongError(ConnectionAbortedError):
    """An event is longer than MAX_EVENT_BYTES. The rest of its stream is not read, so that it is cut there."""

    def __str__(self) -> str:
        return f"more than {MAX_EVENT_BYTES} bytes"


class Events(ABC):
    """Reads the events of one response."""

    @abstractmethod
    def receive(self, data: bytes) -> Iterator[Any]:
        """Yields the JSON of each event that `data` completes. Raises ValueError for what is not in the format."""

    def end(self) -> Iterator[Any]:
        """Yields the events that are complete because nothing follows."""
        yield from ()


class ServerSentEvents(Events):
    """Reads the JSON of server-sent events, with the two things that the vendors' own decoders swallow.

    A comment (`: keepalive`) shows that a silent model is at work, and the closing `[DONE]` shows that an answer
    without a finish reason is whole. The format: https://html.spec.whatwg.org/multipage/server-sent-events.html

    Servers end a stream without the empty line that ends its last event. So an object that is whole counts without one.

    Raises UnicodeDecodeError and json.JSONDecodeError for an object that is broken, and EventTooLongError.
    """

    def __init__(self) -> None:
        self._pieces: list[bytes] = []
        """The line that has no end yet."""
        self._line_bytes = 0
        self._data: list[bytes] = []
        """The lines of data of the event that has no end yet."""
        self._data_bytes = 0
        self._is_error = False
        """Whether the event that has no end yet is called an error."""
        self._after_cr = False
        self._is_first = True

    def receive(self, data: bytes) -> Iterator[Any]:
        # CR LF ends one line, also where a piece ends between the two.
        block = data[1:] if self._after_cr and data.startswith(b"\n") else data
        self._after_cr = data.endswith(b"\r") if data else self._after_cr
        for piece in block.splitlines(keepends=True):
            self._pieces.append(piece)
            self._line_bytes += len(piece)
            if self._line_bytes > MAX_EVENT_BYTES:
                raise EventTooLongError
            if piece.endswith((b"\n", b"\r")):
                yield from self._ended(self._line())

    def end(self) -> Iterator[Any]:
        if self._pieces:
            yield from self._ended(self._line())
        last = b"\n".join(self._data).strip()
        if last and self._is_error:
            yield _error(last)
        elif last.startswith((b"{", b"[")):
            try:
                event = _parsed(last)
            except ValueError:
                # The stream was cut within this event.
                return
            yield event

    def _line(self) -> bytes:
        """Returns the line that has ended."""
        line = (b"".join(self._pieces) if len(self._pieces) > 1 else self._pieces[0]).rstrip(b"\r\n")
        self._pieces = []
        self._line_bytes = 0
        if self._is_first:
            self._is_first = False
            return line.removeprefix(_BOM)
        return line

    def _ended(self, line: bytes) -> Iterator[Any]:
        """Yields what a line says, or the event that it ends."""
        if line.startswith(b":"):
            yield COMMENT
        elif line:
            yield from self._noted(line)
        else:
            yield from self._event()

    def _noted(self, line: bytes) -> Iterator[Any]:
        """Adds a line of data to its event; yields the event before, if the line begins another one.

        Of other fields, only an error's name counts.
        """
        # llama.cpp and its forks write an error's data in a field of this name.
        is_error = line.startswith(b"error:")
        self._is_error |= is_error or (line.startswith(b"event:") and line[6:].strip() == b"error")
        # Gateways write an error of their own into a stream without the field's name.
        if is_error or line.startswith((b"data:", b"{")):
            # Proxies put a line of the server behind them into one of their own.
            field = b"error:" if is_error else b"data:"
            data = line.removeprefix(field).removeprefix(b" ").removeprefix(b"data:").removeprefix(b" ")
            if self._data and self._data[-1].endswith(b"}") and data.startswith((b"{", b"[DONE]")):
                # No JSON goes on like this: the empty line between two events is missing.
                yield from self._event()
            self._data.append(data)
            self._data_bytes += len(line)
            if self._data_bytes > MAX_EVENT_BYTES:
                raise EventTooLongError

    def _event(self) -> Iterator[Any]:
        """Yields the event that has ended."""
        value, is_error = b"\n".join(self._data).strip(), self._is_error
        self._data = []
        self._data_bytes = 0
        self._is_error = False
        if value:
            yield _error(value) if is_error else _parsed(value)


def _parsed(data: bytes) -> Any:
    if data[:6].upper() == b"[DONE]":
        return DONE
    try:
        # Half a surrogate pair may come as bytes too: slack_markdown/growing_text.py takes care of it.
        return json.loads(data.decode("utf-8", "surrogatepass"))
    except ValueError:
        if data.startswith(b"{"):
            raise
        # Gateways keep a connection alive with a word as data, or with a comment of the server behind them.
        return COMMENT


def _error(data: bytes) -> Any:
    """Returns an event that is called an error, in the form that all APIs share: some servers send its words alone."""
    try:
        error = json.loads(data)
    except ValueError:
        error = data.decode("utf-8", "replace")
    is_whole = isinstance(error, Mapping) and ("error" in error or error.get("type") == "error")
    return error if is_whole else {"type": "error", "error": error}


AWS_EVENTS = "application/vnd.amazon.eventstream"
"""The media type of such a stream."""


class AwsEvents(Events):
    """Reads the JSON of the events of Amazon Bedrock's stream: binary messages with checksums.

    The format: https://docs.aws.amazon.com/AmazonS3/latest/developerguide/RESTSelectObjectAppendix.html#RESTSelectObjectAppendix-message-format
    and what is in it: https://docs.aws.amazon.com/bedrock/latest/APIReference/API_runtime_ResponseStream.html

    A failure is yielded in Anthropic's form of an error event.
    Only an event with `bytes` holds one of the model's: others, which Amazon may add, are skipped.

    Raises ValueError for what is not in the format, and botocore's errors for a wrong checksum or a message that is too
    long.
    """

    def __init__(self) -> None:
        # Of the extra bedrock.
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
