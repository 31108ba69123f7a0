"""From a response's events to what it says: the parts of its text, the reader that all APIs share, and a response's.

An API's reader (openai.py, anthropic.py) turns the events of wire.py into those of events.py. Nothing here does I/O:
reading.py reads the socket, and hands `ResponseReader.receive` what came.
"""

import json
import re
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Mapping
from functools import partial
from typing import Any

from bot.errors import EndReason, ProviderError
from bot.models.calls import CallIds, offered_name, tool_call
from bot.models.events import Citation, FinishReason, Opaque, Searching, TextPart, Thinking, ToolCall, Unparsed, Usage
from bot.models.failures import RequestAttempt
from bot.models.prompt import Prompt
from bot.models.template_marks import TemplateMarks, unparsed_in
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
from bot.text import object_in, paired_json
from slack_markdown.growing_text import Pairing, paired

MIN_REPEATED_CHARS = 64
"""A shorter text may be said twice: 22 is two tokens."""
MAX_CALLS = 64
"""Tool calls of one step. Models ask for a few at once, and each one is recorded, checked and shown."""


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
        added = []
        for text in texts:
            parts.start_part()
            added.append(parts.add(text))
        return "".join(added)

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


def text_in(content: Any) -> str:
    """Returns the text of a message or a delta, which is mostly a string."""
    match content:
        case str():
            return content
        case int() | float():
            # A token that is a number, true or false, from Cloudflare's Workers AI (cloudflare/ai#651).
            return json.dumps(content)
        case list():
            # Of Mistral's parts, one is reasoning.
            return TextParts.joined(map(text_in, content))
        case {"text": text, **others} if others.get("type") in (None, "text", "output_text"):
            return text_in(text)
    return ""


def _leading_newlines(text: str) -> int:
    return len(text) - len(text.lstrip("\n"))


END_FORMS: tuple[tuple[re.Pattern[str], FinishReason | EndReason], ...] = tuple(
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
    event_field = "type"
    """What each event of a stream has."""

    def __init__(self, attempt: RequestAttempt, prompt: Prompt) -> None:
        """`prompt`: what the request asks."""
        self.finish_reason: FinishReason | None = None
        """Set by the vendor's terminal marker. None: the answer is not whole."""
        self.unknown_end: str | None = None
        """The vendor's name for the end, if nothing is known of it: text before it is an answer."""
        self.failure: ProviderError | None = None
        """A failure whose reason the vendor hasn't named, and still may."""
        self.usage: Usage | None = None
        self.answered_by = ""
        """The model, as the response names it."""
        self.effort = ""
        """The level of effort that the response names."""
        self.at_work = False
        """Whether the model does what readers don't see: it thinks, searches, or writes a tool call.

        Then any event, even a ping, is a sign of its work.
        """
        self.beside_text: list[Citation | Searching] = []
        """The sources found so far, each URL once, and the searches that no event of a stream told."""
        self._cited: set[str] = set()
        self._attempt = attempt
        self._parts = TextParts()
        self._last_delta = ""
        self.marks = TemplateMarks(prompt.code)
        """The marks of the model's template, which servers may leave in the text."""
        self._offers_tools = bool(prompt.tools)
        self._tool_name = partial(offered_name, offered=frozenset(tool.name for tool in prompt.tools))
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
        """Returns text that was withheld because it could have been a mark. Called once, at the stream's end.

        Raises the failure for which no reason came.
        """
        if self.failure:
            raise self.failure
        return self.marks.end(is_complete=self.finish_reason is FinishReason.STOP)

    def read_end(self) -> tuple[TextPart | ToolCall | Opaque, ...]:
        """Returns the tool calls of a whole answer and what must be sent back with their results, if it has calls.

        Of an answer that was cut short nothing is returned, because its last call may be incomplete.
        """
        if self.finish_reason is FinishReason.STOP and self._calls:
            self.finish_reason = FinishReason.TOOLS
        if self.finish_reason is not FinishReason.TOOLS:
            return ()
        text = self._attempt.text
        return (*([TextPart(text)] if text else ()), *self._calls, *self.opaque_items())

    @property
    def unparsed(self) -> Unparsed:
        """What the server has left in the answer's text; "" if it leaves no marks."""
        found = unparsed_in(self._attempt.text) if self.marks.may_be_left else ""
        return found if found != "call" or self._offers_tools else ""

    def opaque_items(self) -> list[Opaque]:
        """Returns what must be sent back if the answer goes on in another request."""
        return [Opaque(self._attempt.vendor, paired_json(item)) for item in self._items]

    def go_on(self) -> None:  # noqa: B027 - only Anthropic pauses
        """Prepares for the rest of a paused answer, which comes with the response to another request."""

    def _adds(self, text: str) -> bool:
        """Notes a delta; returns False if it repeats the whole text so far, as gateways do at the end (ragflow#15286).

        One that repeats the only delta before it may be the model's own.
        """
        is_again = len(text) >= MIN_REPEATED_CHARS and text != self._last_delta and self._attempt.has_all_of(text)
        self._last_delta = text or self._last_delta
        return not is_again

    def _call(self, item: Mapping[str, Any], id_field: str, arguments: object) -> Mapping[str, Any]:
        """Notes the tool call of an item; returns the item as it must be sent back, with the call's own id and name."""
        self._check_number(len(self._calls) + 1)
        own_id, name = self._call_ids.own(item.get(id_field)), self._tool_name(str(item["name"]))
        call = tool_call(len(self._calls), own_id, name, arguments)
        self._calls.append(call)
        return {**item, id_field: own_id, "name": name}

    def _check_number(self, calls: int) -> None:
        """Raises ProviderError for more calls than a step may have: the same request would ask for as many again."""
        if calls > MAX_CALLS:
            raise self._attempt.failed(EndReason.CUT, f"more than {MAX_CALLS} tool calls", may_pass=False)

    def _known(self, reason: str, details: object = None) -> FinishReason:
        """Returns a vendor's finish reason by our name. Raises ProviderError for one that is no good end.

        `details`: what the vendor says of it, for operators.
        """
        known = end_of(reason)
        if known is None:
            self.unknown_end = reason
            return FinishReason.STOP
        if isinstance(known, EndReason):
            said = [str(value) for value in object_in(details).values() if value and value != reason]
            raise self._attempt.failed(
                known, ": ".join([f"finish reason {reason}", *map(self._attempt.unquoted, said)])
            )
        return known

    def _cite_annotation(self, annotation: Mapping[str, Any]) -> None:
        """Notes the source that an annotation of the text names, if it does."""
        if annotation.get("type") == "url_citation":
            # Chat Completions has the source in an object of its own, though Xiaomi's hasn't.
            cited = object_in(annotation.get("url_citation")) or annotation
            self._cite(cited.get("url"), cited.get("title"))

    def _cite(self, url: object, title: object) -> None:
        """Notes a source if it has a URL and was not cited before."""
        if isinstance(url, str) and paired(url) not in self._cited:
            self._cited.add(paired(url))
            self.beside_text.append(Citation(paired(url), paired(title) if isinstance(title, str) else ""))


_BLANK = b"\xef\xbb\xbf \t\r\n"
"""What may stand before JSON and events: a byte order mark and whitespace."""
_STREAM_BEGINS = (b":", b"d", b"e", b"i", b"r")
"""A comment, or a field of an event: data, event, id, retry. No JSON of an answer begins like this."""
_MAX_BLANK_BYTES = 4096
_JSON = "application/json"


class ResponseReader:
    """Reads one response: a stream of events, or one JSON body of a server that can't stream.

    An answer that a vendor paused goes on in another response, whose reader has the same AnswerReader.
    """

    def __init__(self, media_type: str, reader: AnswerReader, attempt: RequestAttempt) -> None:
        self.is_done = False
        """Whether nothing that counts can follow."""
        self.events = 0
        """How many events have come. Comments don't count, and neither do pings, which are all alike."""
        self._last_event: Any = None
        self._media_type = media_type
        self._reader = reader
        self._attempt = attempt
        self._events: Events = AwsEvents() if media_type == AWS_EVENTS else ServerSentEvents()
        self._pairing = Pairing()
        self._has_signs = False
        self._has_own = self._has_others = False
        """Whether events of the API have come, and others."""
        self._body = bytearray()
        self._is_json = False if media_type == AWS_EVENTS else None
        """None: not known yet, because some servers call a stream of events JSON, and JSON a stream."""
        attempt.has_begun = media_type != _JSON

    @property
    def is_answered(self) -> bool:
        """Whether the vendor's terminal marker has come: then the answer is whole, however the vendor hangs up."""
        return self._reader.finish_reason is not None

    @property
    def is_over(self) -> bool:
        """Whether what follows only adds to the end."""
        return self.is_answered or self._reader.failure is not None

    def receive(self, data: bytes) -> Iterator[Delta]:
        """Yields what the next bytes of the response say. Raises what Events and the API's reader raise."""
        try:
            for event in self._events.receive(data if self._is_json is False else self._events_in(data)):
                yield from self._said(event)
                if self.is_done:
                    return
        except Exception:
            if not self.is_answered:
                raise
            self.is_done = True

    def end(self) -> Iterator[Delta]:
        """Yields what is known to be said only at the response's end. Called once, also where nothing more is read."""
        if self._is_json or (self._is_json is None and self._media_type == _JSON):
            yield from self._read_body()
            return
        if not self.is_answered:
            for event in self._events.end():
                yield from self._said(event)
        yield from self._encodable(self._reader.withheld_text(), is_last=True)
        if self._has_others and not self._has_own:
            raise self._attempt.failed(EndReason.UNREADABLE, "events of another API")
        if not self._has_signs and self._media_type not in ("text/event-stream", AWS_EVENTS):
            kind = self._media_type or "no content type"
            raise self._attempt.failed(EndReason.UNREADABLE, f"no stream of events but {kind}")

    def _events_in(self, data: bytes) -> bytes:
        """Keeps what may be JSON; returns what is to be read as events, once a body is known to have them."""
        self._body += data
        if len(self._body) > MAX_EVENT_BYTES:
            raise EventTooLongError
        if self._is_json is None:
            beginning = bytes(self._body.lstrip(_BLANK)[:1])
            if beginning or len(self._body) > _MAX_BLANK_BYTES:
                may_be = self._media_type == _JSON or beginning in (b"{", b"[")
                self._is_json = may_be and beginning not in _STREAM_BEGINS
        if self._is_json is not False:
            return b""
        self._attempt.has_begun = True
        return bytes(self._body)

    def _said(self, event: Any) -> Iterator[Delta]:
        """Yields what an event says, or a sign of work where it says nothing and the model is at work."""
        reader = self._reader
        self._has_signs = True
        self.events += event not in (COMMENT, self._last_event)
        self._last_event = event
        if event == DONE:
            reader.read_done()
            self.is_done = True
            return
        was_at_work, known = reader.at_work, len(reader.beside_text)
        # Some gateways send null or a word as an event that keeps the connection.
        event = event if isinstance(event, Mapping) else COMMENT
        self._has_own |= reader.event_field in event
        self._has_others |= event != COMMENT
        delta = reader.read_event(event)
        if isinstance(delta, str) and delta:
            yield from self._encodable(delta)
        elif delta and delta != Thinking():
            yield delta
        elif was_at_work or reader.at_work:
            yield Thinking(ended=not reader.at_work)
        yield from reader.beside_text[known:]
        self.is_done = reader.is_complete

    def _read_body(self) -> Iterator[Delta]:
        reader = self._reader
        self._attempt.has_begun = bytes(self._body[:_MAX_BLANK_BYTES].lstrip(_BLANK)[:1]) in (b"{", b"")
        known = len(reader.beside_text)
        answer = json.loads(bytes(self._body))
        if not isinstance(answer, dict) or not (answer.get(reader.answer_field) is not None or answer.get("error")):
            raise self._attempt.no_answer(answer)
        text = reader.read_response(answer)
        yield from self._encodable((text if isinstance(text, str) else "") + reader.withheld_text(), is_last=True)
        yield from reader.beside_text[known:]

    def _encodable(self, text: str, *, is_last: bool = False) -> Iterator[str]:
        """Yields text in a form that UTF-8 can encode."""
        whole = self._pairing.add(text) + (self._pairing.end() if is_last else "")
        if whole:
            yield whole
