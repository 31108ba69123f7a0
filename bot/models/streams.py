"""From the bytes of a response to what it says: its events, the parts of its text, and the reader that all APIs share.

The events are server-sent, or Amazon's binary ones. An API's reader (openai.py, anthropic.py) turns them into those of
events.py.
"""

import asyncio
import json
import re
from abc import ABC, abstractmethod
from base64 import b64decode
from collections.abc import AsyncGenerator, AsyncIterable, AsyncIterator, Iterable, Mapping
from typing import Any

from bot.errors import EndReason
from bot.models.calls import CallIds, tool_call
from bot.models.events import Citation, FinishReason, Opaque, Searching, Thinking, ToolCall, Usage
from bot.models.failures import RequestAttempt
from bot.models.prompt import Prompt
from bot.models.template_marks import TemplateMarks
from bot.text import paired, paired_json

MAX_EVENT_BYTES = 8 * 2**20
"""The longest event: the last one of a response repeats the whole answer, with its encrypted reasoning."""
MAX_CALLS = 64
"""Tool calls of one step. Models ask for a few at once, and each one is recorded, checked and shown."""
LINES_AT_ONCE = 100
"""A gateway's cache sends a whole answer at once. After so many lines, the process does what else is due."""
_BOM = b"\xef\xbb\xbf"


COMMENT: Mapping[str, Any] = {}
"""A line that only keeps the connection alive: an event that says nothing."""
DONE = "[DONE]"
"""Nothing follows."""


class EventTooLongError(ConnectionAbortedError):
    """An event is longer than MAX_EVENT_BYTES. The rest of its stream is not read, so that it is cut there."""

    def __str__(self) -> str:
        return f"more than {MAX_EVENT_BYTES} bytes"


async def read_events(chunks: AsyncIterable[bytes]) -> AsyncGenerator[Any, None]:
    """Yields the JSON of each server-sent event's data, with the two things that the vendors' own decoders swallow.

    A comment (`: keepalive`) shows that a silent model is at work, and the closing `[DONE]` shows that an answer
    without a finish reason is whole. The format: https://html.spec.whatwg.org/multipage/server-sent-events.html

    Servers end a stream without the empty line that ends its last event. So an object that is whole counts without one.

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
            yield COMMENT
        elif not line and data:
            value = b"\n".join(data)
            data = []
            data_bytes = 0
            if value:
                yield _parsed(value)
    last = b"\n".join(data).strip()
    if last == b"[DONE]":
        yield DONE
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
        return DONE
    # Half a surrogate pair may come as bytes too: bot/text.py takes care of it.
    return json.loads(data.decode("utf-8", "surrogatepass"))


AWS_EVENTS = "application/vnd.amazon.eventstream"
"""The media type of such a stream."""


async def read_aws_events(chunks: AsyncIterable[bytes]) -> AsyncGenerator[Any, None]:
    """Yields the JSON of each event of Amazon Bedrock's stream: binary messages with checksums.

    The format: https://docs.aws.amazon.com/AmazonS3/latest/developerguide/RESTSelectObjectAppendix.html#RESTSelectObjectAppendix-message-format
    and what is in it: https://docs.aws.amazon.com/bedrock/latest/APIReference/API_runtime_ResponseStream.html

    A failure is yielded in Anthropic's form of an error event.
    Only an event with `bytes` holds one of the model's: others, which Amazon may add, are skipped.

    Raises ValueError for what is not in the format, botocore's errors for a wrong checksum or a message that is too
    long, and the transport's errors.
    """
    # Of the extra bedrock.
    from botocore.eventstream import EventStreamBuffer

    buffer = EventStreamBuffer()
    async for chunk in chunks:
        buffer.add_data(chunk)
        for message in buffer:
            body = json.loads(message.payload or b"{}")
            if message.headers.get(":message-type") != "event":
                code = message.headers.get(":exception-type") or message.headers.get(":error-code")
                said = body.get("message") or message.headers.get(":error-message")
                yield {"type": "error", "error": {"type": code, "message": said}}
            elif "bytes" in body:
                yield json.loads(b64decode(body["bytes"]))


class TextParts:
    """Puts a blank line between the text parts of one answer, which begin at start_part().

    An answer may hold a commentary and the final text, or text before and after a tool call. Nothing stands between
    such parts in the vendors' streams. Anthropic begins a content block at each citation, within a sentence, so text
    blocks that follow each other directly are one part.
    """

    @classmethod
    def joined(cls, texts: Iterable[str]) -> str:
        """Returns the text of an answer that came whole, from the texts of its parts."""
        parts = cls()
        joined = ""
        for text in texts:
            parts.start_part()
            joined += parts.add(text)
        return joined

    def __init__(self) -> None:
        self._part_started = False
        self._has_text = False
        self._tail = ""
        """The last two characters, which may be newlines."""

    def start_part(self) -> None:
        """Begins another part, to which the text that is added next belongs."""
        self._part_started = True

    def add(self, text: str) -> str:
        """Returns the text to append to the answer, after newlines where `text` starts another part."""
        if self._part_started and text:
            self._part_started = False
            if self._has_text:
                newlines = _leading_newlines(self._tail[::-1]) + _leading_newlines(text)
                text = "\n" * max(0, 2 - newlines) + text
        self._has_text = self._has_text or bool(text.strip())
        self._tail = text[-2:] if len(text) > 1 else (self._tail + text)[-2:]
        return text


def _leading_newlines(text: str) -> int:
    return len(text) - len(text.lstrip("\n"))


END_FORMS: tuple[tuple[re.Pattern[str], FinishReason | EndReason], ...] = tuple(
    (re.compile(pattern), end)
    for pattern, end in (
        # Vendors' names for a refusal: Anthropic, OpenAI, Gemini, Bedrock, z.ai, Cohere.
        (
            r"refus|filter|safety|sensitive|prohibit|block|guardrail|moderat|policy|recitation|spii|toxic|violation"
            r"|model armor|^language$",
            EndReason.REFUSED,
        ),
        (r"context window exceeded", EndReason.CONTEXT_TOO_LONG),
        (r"insufficient|overload|unavailable|capacity", EndReason.OVERLOADED),
        (r"rate limit|throttl|quota|not |incomplete|unfinished|in progress|queued|pending", EndReason.CUT),
        (r"length|max(?:imum)? (?:output |new |completion )?(?:tokens|len)|limit", FinishReason.LENGTH),
        (r"error|fail|abort|cancel|network|interrupt|disconnect|time ?out|malformed|unexpected|invalid", EndReason.CUT),
        (r"^(?:stop|end turn|stop sequence|tool use|tool calls?|function call)$", FinishReason.STOP),
        (r"^(?:eos|eos token|completed?|end)$", FinishReason.STOP),
    )
)
"""What ends are called, by the form of their names: the first that fits. Text whose end has any other name is whole."""
NO_REASONS = ("null", "none")
"""Servers' texts for an end that hasn't come."""
_WORDS_WITHIN = re.compile(r"(?<=[a-z])(?=[A-Z])|[^A-Za-z]+")


def end_of(reason: str) -> FinishReason | EndReason | None:
    """Returns what a vendor's name for an end means; None if nothing is known of it."""
    name = _WORDS_WITHIN.sub(" ", reason[:100]).strip().lower()
    return next((end for form, end in END_FORMS if form.search(name)), None)


Delta = str | Thinking | Searching | Citation
"""What an event of a stream says. "" if it says nothing. Readers collect what is beside the text in a list."""


class AnswerReader(ABC):
    """Reads one answer: the base of all APIs' readers.

    Events are plain dicts, because typed ones cost eight times as much CPU.
    """

    answer_field: str
    """What a JSON body has that is an answer."""

    def __init__(self, attempt: RequestAttempt, prompt: Prompt) -> None:
        """`prompt`: what the request asks."""
        self.finish_reason: FinishReason | None = None
        """Set by the vendor's terminal marker. None: the answer is not whole."""
        self.unknown_end: str | None = None
        """The vendor's name for the end, if nothing is known of it: text before it is an answer."""
        self.usage: Usage | None = None
        self.at_work = False
        """Whether the model does what readers don't see: it thinks, searches, or writes a tool call.

        Then any event, even a ping, is a sign of its work.
        """
        self.beside_text: list[Citation | Searching] = []
        """The sources found so far, each URL once, and the searches that no event of a stream told."""
        self._cited: set[str] = set()
        self._attempt = attempt
        self._parts = TextParts()
        self.marks = TemplateMarks(prompt.code)
        """Those of the model's template, which servers may leave in the text."""
        self._offers_tools = bool(prompt.tools)
        self._call_ids = CallIds(prompt)
        self._calls: list[ToolCall] = []
        self._items: list[Mapping[str, Any]] = []
        """All that must be sent back to the vendor if the answer goes on in another request."""

    @property
    def is_complete(self) -> bool:
        """Whether nothing that counts can follow."""
        return self.finish_reason is not None

    @abstractmethod
    def read_event(self, event: Any) -> Delta:
        """Returns what an event of a stream says, "" for most. Raises ProviderError if it reports a failure."""

    def read_done(self) -> None:  # noqa: B027 - most APIs have their own marker
        """Notes the stream's [DONE]."""

    @abstractmethod
    def read_response(self, body: Any) -> Delta:
        """Returns what an answer that came as one JSON body says, up to `withheld_text`.

        Raises ProviderError as read_event does.
        """

    def withheld_text(self) -> str:
        """Returns text that was withheld because it could have been a mark. Called once, at the stream's end."""
        return self.marks.end(is_complete=self.finish_reason is FinishReason.STOP)

    def read_end(self) -> tuple[ToolCall | Opaque, ...]:
        """Returns the tool calls of a whole answer and what must be sent back with their results, if it has calls.

        Of an answer that was cut short nothing is returned, because its last call may be incomplete.
        """
        if self.finish_reason is FinishReason.STOP and self._calls:
            self.finish_reason = FinishReason.TOOLS
        return (*self._calls, *self.opaque_items()) if self.finish_reason is FinishReason.TOOLS else ()

    def opaque_items(self) -> list[Opaque]:
        """Returns what must be sent back if the answer goes on in another request."""
        return [Opaque(self._attempt.vendor, paired_json(item)) for item in self._items]

    def go_on(self) -> None:  # noqa: B027 - only Anthropic pauses
        """Prepares for the rest of a paused answer, which comes with the response to another request."""

    def _call(self, item: Mapping[str, Any], id_field: str, arguments: object) -> Mapping[str, Any]:
        """Notes the tool call of an item; returns the item as it must be sent back, with the call's own id."""
        self._check_number(len(self._calls) + 1)
        call = tool_call(len(self._calls), self._call_ids.own(item.get(id_field)), item["name"], arguments)
        self._calls.append(call)
        return {**item, id_field: call.call_id}

    def _check_number(self, calls: int) -> None:
        """Raises ProviderError for more calls than a step may have: the same request would ask for as many again."""
        if calls > MAX_CALLS:
            raise self._attempt.failed(EndReason.CUT, f"more than {MAX_CALLS} tool calls", may_pass=False)

    def _known(self, reason: str) -> FinishReason:
        """Returns a vendor's finish reason by our name. Raises ProviderError for one that is no good end."""
        known = end_of(reason)
        if known is None:
            self.unknown_end = reason
            return FinishReason.STOP
        if isinstance(known, EndReason):
            raise self._attempt.failed(known, f"finish reason {reason}")
        return known

    def _cite_annotation(self, annotation: Mapping[str, Any]) -> None:
        """Notes the source that an annotation of the text names, if it does."""
        if annotation.get("type") == "url_citation":
            # Chat Completions has the source in an object of its own, though Xiaomi's hasn't.
            cited = annotation.get("url_citation") or annotation
            self._cite(cited.get("url"), cited.get("title"))

    def _cite(self, url: object, title: object) -> None:
        """Notes a source if it has a URL and was not cited before."""
        if isinstance(url, str) and paired(url) not in self._cited:
            self._cited.add(paired(url))
            self.beside_text.append(Citation(paired(url), paired(title) if isinstance(title, str) else ""))
