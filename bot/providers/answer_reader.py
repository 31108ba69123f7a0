"""The common base of all APIs' readers, which turn a vendor's events into text and signs of thinking."""

from abc import ABC, abstractmethod
from typing import Any

from bot.core.stream import FinishReason, Thinking, Usage
from bot.providers.failures import RequestAttempt
from bot.providers.text_parts import TextParts
from bot.providers.think_tags import ThinkTags


class AnswerReader(ABC):
    """Reads one answer. Events are plain dicts, because typed ones cost eight times as much CPU."""

    def __init__(self, attempt: RequestAttempt) -> None:
        self.finish_reason: FinishReason | None = None
        """Set by the vendor's terminal marker. None: the answer is not whole."""
        self.usage: Usage | None = None
        self.thinking = False
        """Whether the model is thinking. Then any event, even a ping, is a sign of its work."""
        self._attempt = attempt
        self._parts = TextParts()

    @property
    def is_complete(self) -> bool:
        """Whether nothing that counts can follow."""
        return self.finish_reason is not None

    @abstractmethod
    def read_event(self, event: Any) -> str | Thinking:
        """Returns the text in an event of a stream, "" in most. Raises ProviderError if it reports a failure."""

    def read_done(self) -> None:  # noqa: B027 - most APIs have their own marker
        """Notes the stream's [DONE]."""

    @abstractmethod
    def read_response(self, body: Any) -> str:
        """Returns the text of an answer that came as one JSON body. Raises ProviderError as read_event does."""

    def withheld_text(self) -> str:
        """Returns text that was withheld because it could have been reasoning. Called once, at the stream's end."""
        return ""


class TaggedAnswerReader(AnswerReader):
    """Reads an API whose servers may leave reasoning in the text, between tags."""

    def __init__(self, attempt: RequestAttempt) -> None:
        super().__init__(attempt)
        self._tags = ThinkTags(attempt.model)

    def withheld_text(self) -> str:
        return self._tags.end(complete=self.finish_reason is FinishReason.STOP)

    def _untagged(self, text: str) -> str:
        """Returns a whole answer's text without its reasoning."""
        untagged = self._tags.add(text)
        return ("" if isinstance(untagged, Thinking) else untagged) + self.withheld_text()
