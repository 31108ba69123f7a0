"""The common base of all APIs' readers, which turn a vendor's events into those of models/stream.py."""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any

from bot.errors import EndReason
from bot.models.failures import RequestAttempt
from bot.models.stream import Citation, FinishReason, Opaque, Searching, Thinking, ToolCall, Usage
from bot.models.text_parts import TextParts
from bot.models.think_tags import ThinkTags
from bot.models.tool_calls import CallIds, tool_call
from bot.text import paired, paired_json

Delta = str | Thinking | Searching | Citation
"""What an event of a stream says. "" if it says nothing. Readers collect what is beside the text in a list."""


class AnswerReader(ABC):
    """Reads one answer. Events are plain dicts, because typed ones cost eight times as much CPU."""

    def __init__(self, attempt: RequestAttempt, call_ids: CallIds) -> None:
        self.finish_reason: FinishReason | None = None
        """Set by the vendor's terminal marker. None: the answer is not whole."""
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
        self._call_ids = call_ids
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
    def read_response(self, body: Any) -> str:
        """Returns the text of an answer that came as one JSON body. Raises ProviderError as read_event does."""

    def withheld_text(self) -> str:
        """Returns text that was withheld because it could have been reasoning. Called once, at the stream's end."""
        return ""

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
        call = tool_call(len(self._calls), self._call_ids.own(item.get(id_field)), item["name"], arguments)
        self._calls.append(call)
        return {**item, id_field: call.call_id}

    def _known(self, reasons: Mapping[str, FinishReason], reason: str) -> FinishReason:
        """Returns a vendor's finish reason by our name. Raises ProviderError for others: they are no good end."""
        if reason not in reasons:
            raise self._attempt.failed(EndReason.CUT, f"finish reason {reason}")
        return reasons[reason]

    def _cite(self, url: object, title: object) -> None:
        """Notes a source if it has a URL and was not cited before."""
        if isinstance(url, str) and paired(url) not in self._cited:
            self._cited.add(paired(url))
            self.beside_text.append(Citation(paired(url), paired(title) if isinstance(title, str) else ""))


class TaggedAnswerReader(AnswerReader):
    """Reads an API whose servers may leave reasoning in the text, between tags."""

    def __init__(self, attempt: RequestAttempt, call_ids: CallIds) -> None:
        super().__init__(attempt, call_ids)
        self._tags = ThinkTags(attempt.model)

    def withheld_text(self) -> str:
        return self._tags.end(complete=self.finish_reason is FinishReason.STOP)

    def _untagged(self, text: str) -> str:
        """Returns a whole answer's text without its reasoning."""
        untagged = self._tags.add(text)
        return ("" if isinstance(untagged, Thinking) else untagged) + self.withheld_text()
