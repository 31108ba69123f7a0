"""Turns a response's events into text, citations and tool calls. Contains the base class for the APIs' readers.

An API's reader (openai.py, anthropic.py) turns events from wire.py into events from events.py. This module does no I/O:
reading.py reads the socket and passes the bytes to `ResponseReader.receive`.
"""

import json
import re
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Mapping
from functools import partial
from typing import Any

from bot.errors import EndReason, ProviderError
from bot.models.calls import CallIds, offered_name, parse_call
from bot.models.events import Citation, FinishReason, Opaque, Searching, TextPart, Thinking, ToolCall, Unparsed, Usage
from bot.models.failures import RequestAttempt
from bot.models.prompt import Prompt
from bot.models.template_marks import TemplateMarks, unparsed_content
from bot.models.wire import (
    AWS_EVENTS,
    COMMENT,
    DONE,
    MAX_EVENT_BYTES,
    AwsEvents,
    Events,
    EventTooLongError,
    ServerSentEvents,
)
from bot.text import object_in, with_joined_surrogates
from slack_markdown.growing_text import Pairing, join_halves

MIN_REPEATED_CHARS = 64
"""Minimum length of text to recognize as repeated. Shorter text can occur twice, because 22 might be two tokens."""
MAX_CALLS = 64
"""Maximum tool calls per step. Models request only a few at once, and every call is recorded, checked and shown."""


class TextParts:
    """Inserts a blank line between an answer's text parts, each of which begins with a call to start_part().

    An answer can consist of commentary and the final text, or of text before and after a tool call. Vendors' streams
    don't separate these parts. Consecutive text blocks are one part, because Anthropic starts a content block at each
    citation, even within a sentence."""

    @classmethod
    def join(cls, texts: Iterable[str]) -> str:
        parts = cls()
        added = []
        for text in texts:
            parts.start_part()
            added.append(parts.add(text))
        return "".join(added)

    def __init__(self) -> None:
        self._part_started = False
        self._has_text = False
        self._tail = ""

    def start_part(self) -> None:
        self._part_started = True

    def add(self, text: str) -> str:
        if self._part_started and text:
            self._part_started = False
            if self._has_text:
                newlines = len(self._tail) - len(self._tail.rstrip("\n")) + len(text) - len(text.lstrip("\n"))
                text = "\n" * max(0, 2 - newlines) + text
        self._has_text = self._has_text or bool(text.strip())
        self._tail = text[-2:] if len(text) > 1 else (self._tail + text)[-2:]
        return text


class RepeatedComment:
    """Drops a final message that repeats the commentary before it, ignoring whitespace. The message is withheld until
    it differs from the commentary."""

    def __init__(self) -> None:
        self._comment, self._is_comment = list[str](), False
        self._expected, self._repeated_chars = "", 0
        self._withheld: list[str] | None = None

    def start_message(self, phase: object) -> None:
        self._expected, self._comment = "".join(self._comment), []
        self._is_comment = phase == "commentary"
        self._withheld = [] if self._expected and not self._is_comment else None
        self._repeated_chars = 0

    def add(self, text: str) -> str:
        """Returns the text to show, which is "" while the message repeats the commentary."""
        bare = "".join(text.split())
        if self._withheld is None:
            self._comment += [bare] if self._is_comment else []
            return text
        self._withheld.append(text)
        if self._expected.startswith(bare, self._repeated_chars):
            self._repeated_chars += len(bare)
            return ""
        return self.end_message()

    def end_message(self) -> str:
        """Returns the withheld text, or "" if it repeats all of the commentary."""
        text, self._withheld = "".join(self._withheld or ()), None
        return "" if "".join(text.split()) == self._expected else text


def text_of_content(content: Any) -> str:
    match content:
        case str():
            return content
        case int() | float():
            # Cloudflare's Workers AI sends tokens that are numbers, true or false as JSON values (cloudflare/ai#651).
            return json.dumps(content)
        case list():
            # One of Mistral's parts is reasoning.
            return TextParts.join(map(text_of_content, content))
        case {"text": text, **others} if others.get("type") in (None, "text", "output_text"):
            return text_of_content(text)
    return ""


FINISH_REASON_PATTERNS: tuple[tuple[re.Pattern[str], FinishReason | EndReason], ...] = tuple(
    (re.compile(pattern), end)
    for pattern, end in (
        # Gemini: function_call_filter: MALFORMED_FUNCTION_CALL
        (r"function call filter|malformed", EndReason.CUT),
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
        (r"error|fail|abort|cancel|network|interrupt|disconnect|time ?out|unexpected|invalid", EndReason.CUT),
        (r"^(?:stop|end turn|stop sequence|tool use|tool calls?|function call)$", FinishReason.STOP),
        (r"^(?:eos|eos token|completed?|end)$", FinishReason.STOP),
    )
)
"""Patterns for finish reasons. The first match counts. If there is none, the text counts as complete."""
NO_REASONS = ("null", "none")
_WORDS_WITHIN = re.compile(r"(?<=[a-z])(?=[A-Z])|[^A-Za-z]+")


def parse_finish_reason(reason: str) -> FinishReason | EndReason | None:
    name = _WORDS_WITHIN.sub(" ", reason[:100]).strip().lower()
    return next((end for form, end in FINISH_REASON_PATTERNS if form.search(name)), None)


Delta = str | Thinking | Searching | Citation
"""The content of one stream event, or ""."""


class AnswerReader(ABC):
    """Base class for readers of an answer. Events are dicts, because typed events take eight times as much CPU time."""

    answer_field: str
    event_field = "type"

    def __init__(self, attempt: RequestAttempt, prompt: Prompt, max_output_tokens: int) -> None:
        self.finish_reason: FinishReason | None = None
        """The reason in the vendor's terminal marker, or None if the answer isn't complete."""
        self.unknown_finish_reason: str | None = None
        """The vendor's finish reason if FINISH_REASON_PATTERNS doesn't match it. The text still counts as an answer."""
        self.failure: ProviderError | None = None
        """A failure whose reason hasn't been reported yet."""
        self.usage: Usage | None = None
        self.answering_model = ""
        self.effort = ""
        self.is_working = False
        """Whether the model is thinking, searching or writing a tool call, so that even a ping is a sign of work."""
        self.side_events: list[Citation | Searching] = []
        """Events other than text: sources (each URL once) and searches that didn't have their own event."""
        self._cited_urls: set[str] = set()
        self._attempt = attempt
        self._max_output_tokens = max_output_tokens
        self._parts = TextParts()
        self._last_delta = ""
        self.has_progress = False
        """Whether thinking text is a note for readers, because only such notes were requested."""
        self.marks = TemplateMarks(prompt.code)
        self._offers_tools = bool(prompt.tools)
        self._tool_name = partial(offered_name, offered=frozenset(tool.name for tool in prompt.tools))
        self._call_ids = CallIds(prompt)
        self._calls: list[ToolCall] = []
        self._items: list[Mapping[str, Any]] = []

    @property
    def is_complete(self) -> bool:
        return self.finish_reason is not None

    @abstractmethod
    def read_event(self, event: Any) -> Delta:
        """Returns a stream event's content, or "" if there is none. Raises ProviderError if it reports a failure."""

    def read_done(self) -> None:  # noqa: B027 - most APIs have their own marker
        """Handles the stream's [DONE] line."""

    @abstractmethod
    def read_response(self, body: Any) -> Delta:
        """Returns a JSON response's content, except `withheld_text`. Raises ProviderError if it reports a failure."""

    def withheld_text(self) -> str:
        """Returns the text that was withheld as possible markup. Raises `failure` if its reason was never reported."""
        # Called once, at the end of the stream.
        if self.failure:
            raise self.failure
        return self.marks.end(is_complete=self.finish_reason is FinishReason.STOP)

    def read_end(self) -> tuple[TextPart | ToolCall | Opaque, ...]:
        """Returns a complete answer's tool calls, its text, and the items to send back with the calls' results."""
        # If an answer was cut off, its last call might be incomplete.
        if self.finish_reason is FinishReason.STOP and self._calls:
            self.finish_reason = FinishReason.TOOLS
        if self.finish_reason is not FinishReason.TOOLS:
            return ()
        text = self._attempt.text
        return (*([TextPart(text)] if text else ()), *self._calls, *self.opaque_items())

    @property
    def unparsed(self) -> Unparsed:
        """The markup that the server failed to remove from the answer's text, or ""."""
        found = unparsed_content(self._attempt.text) if self.marks.is_expected else ""
        return found if found != "call" or self._offers_tools else ""

    def opaque_items(self) -> list[Opaque]:
        return [Opaque(self._attempt.vendor, with_joined_surrogates(item)) for item in self._items]

    def prepare_continuation(self) -> None:  # noqa: B027 - only Anthropic pauses
        """Prepares to read the rest of a paused answer, which arrives in another response."""

    def _record_delta(self, text: str) -> bool:
        """Records a delta. Returns False if it repeats the whole text, as gateways do at the end (ragflow#15286)."""
        # If there was only one delta before it, the model itself might have repeated it.
        is_again = len(text) >= MIN_REPEATED_CHARS and text != self._last_delta and self._attempt.is_whole_text(text)
        self._last_delta = text or self._last_delta
        return not is_again

    def _add_call(self, item: Mapping[str, Any], id_field: str, arguments: object) -> Mapping[str, Any]:
        self._check_call_count(len(self._calls) + 1)
        unique_id, name = self._call_ids.unique_id(item.get(id_field)), self._tool_name(str(item["name"]))
        call = parse_call(len(self._calls), unique_id, name, arguments)
        self._calls.append(call)
        return {**item, id_field: unique_id, "name": name}

    def _check_call_count(self, calls: int) -> None:
        """Raises a permanent ProviderError if a step has too many calls. The same request would cause them again."""
        if calls > MAX_CALLS:
            raise self._attempt.failure(EndReason.CUT, f"more than {MAX_CALLS} tool calls", is_temporary=False)

    def _translate_reason(self, reason: str, details: object = None) -> FinishReason:
        """Converts a vendor's finish reason. Raises ProviderError, with `details`, if the answer failed."""
        known = parse_finish_reason(reason)
        if known is None:
            self.unknown_finish_reason = reason
            return FinishReason.STOP
        if isinstance(known, EndReason):
            said = [str(value) for value in object_in(details).values() if value and value != reason]
            raise self._attempt.failure(
                known, ": ".join([f"finish reason {reason}", *map(self._attempt.without_quotes, said)])
            )
        return known

    def _cite_annotation(self, annotation: Mapping[str, Any]) -> None:
        if annotation.get("type") == "url_citation":
            # Chat Completions nests the source in an object; Xiaomi doesn't.
            cited = object_in(annotation.get("url_citation")) or annotation
            self._cite(cited.get("url"), cited.get("title"))

    def _cite(self, url: object, title: object) -> None:
        if isinstance(url, str) and join_halves(url) not in self._cited_urls:
            self._cited_urls.add(join_halves(url))
            self.side_events.append(Citation(join_halves(url), join_halves(title) if isinstance(title, str) else ""))


_BLANK = b"\xef\xbb\xbf \t\r\n"
_STREAM_BEGINS = (b":", b"d", b"e", b"i", b"r")
"""The first bytes of comments and event fields (data, event, id, retry). JSON never begins with any of them."""
_MAX_BLANK_BYTES = 4096
_JSON = "application/json"


class ResponseReader:
    """Reads one response: a stream of events, or a single JSON body from a server that can't stream. A paused answer
    continues in another response, whose ResponseReader shares the AnswerReader."""

    def __init__(self, media_type: str, reader: AnswerReader, attempt: RequestAttempt) -> None:
        self.is_done = False
        self.events = 0
        """The number of events so far, not counting comments or pings (which repeat the previous event)."""
        self._last_event: Any = None
        self._media_type = media_type
        self._reader = reader
        self._attempt = attempt
        self._events: Events = AwsEvents() if media_type == AWS_EVENTS else ServerSentEvents()
        self._pairing = Pairing()
        self._has_events = False
        self._has_api_events = self._has_content_events = False
        self._body = bytearray()
        self._is_json = False if media_type == AWS_EVENTS else None
        """None until this is known, because some servers label event streams as JSON, or JSON as an event stream."""
        attempt.has_begun = media_type != _JSON

    @property
    def is_answered(self) -> bool:
        """Whether the vendor's terminal marker has arrived, so that a lost connection doesn't matter."""
        return self._reader.finish_reason is not None

    @property
    def is_over(self) -> bool:
        """Whether the answer or failure is known, so that later events only add details."""
        return self.is_answered or self._reader.failure is not None

    def receive(self, data: bytes) -> Iterator[Delta]:
        """Yields the content of the next bytes. Raises the same exceptions as `Events` and the API's reader."""
        try:
            for event in self._events.receive(data if self._is_json is False else self._events_in(data)):
                yield from self._deltas_in(event)
                if self.is_done:
                    return
        except Exception:
            if not self.is_answered:
                raise
            self.is_done = True

    def end(self) -> Iterator[Delta]:
        """Yields content that is known only when the response ends. Call this once, even if reading stopped early."""
        if self._is_json or (self._is_json is None and self._media_type == _JSON):
            yield from self._read_body()
            return
        if not self.is_answered:
            for event in self._events.end():
                yield from self._deltas_in(event)
        yield from self._encodable(self._reader.withheld_text(), is_last=True)
        if self._has_content_events and not self._has_api_events:
            raise self._attempt.failure(EndReason.UNREADABLE, "events of another API")
        if not self._has_events and self._media_type not in ("text/event-stream", AWS_EVENTS):
            kind = self._media_type or "no content type"
            raise self._attempt.failure(EndReason.UNREADABLE, f"no stream of events but {kind}")

    def _events_in(self, data: bytes) -> bytes:
        """Buffers bytes until it is clear whether the body is JSON. Returns the bytes to parse as events."""
        self._body += data
        if len(self._body) > MAX_EVENT_BYTES:
            raise EventTooLongError
        if self._is_json is None:
            beginning = bytes(self._body.lstrip(_BLANK)[:1])
            if beginning or len(self._body) > _MAX_BLANK_BYTES:
                can_be_json = self._media_type == _JSON or beginning in (b"{", b"[")
                self._is_json = can_be_json and beginning not in _STREAM_BEGINS
        if self._is_json is not False:
            return b""
        self._attempt.has_begun = True
        return bytes(self._body)

    def _deltas_in(self, event: Any) -> Iterator[Delta]:
        reader = self._reader
        self._has_events = True
        self.events += event not in (COMMENT, self._last_event)
        self._last_event = event
        if event == DONE:
            reader.read_done()
            self.is_done = True
            return
        was_working, known = reader.is_working, len(reader.side_events)
        # Some gateways keep the connection alive with an event that is null or a word.
        event = event if isinstance(event, Mapping) else COMMENT
        self._has_api_events |= reader.event_field in event
        self._has_content_events |= event != COMMENT
        delta = reader.read_event(event)
        if isinstance(delta, str) and delta:
            yield from self._encodable(delta)
        elif delta and delta != Thinking():
            yield delta
        elif was_working or reader.is_working:
            yield Thinking(ended=not reader.is_working)
        yield from reader.side_events[known:]
        self.is_done = reader.is_complete

    def _read_body(self) -> Iterator[Delta]:
        reader = self._reader
        self._attempt.has_begun = bytes(self._body[:_MAX_BLANK_BYTES].lstrip(_BLANK)[:1]) in (b"{", b"")
        known = len(reader.side_events)
        answer = json.loads(bytes(self._body))
        if not isinstance(answer, dict) or not (answer.get(reader.answer_field) is not None or answer.get("error")):
            raise self._attempt.missing_answer_failure(answer)
        text = reader.read_response(answer)
        yield from self._encodable((text if isinstance(text, str) else "") + reader.withheld_text(), is_last=True)
        yield from reader.side_events[known:]

    def _encodable(self, text: str, *, is_last: bool = False) -> Iterator[str]:
        whole = self._pairing.add(text) + (self._pairing.end() if is_last else "")
        if whole:
            yield whole
