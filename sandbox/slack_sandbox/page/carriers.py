"""Tracks how each message of the app gets its text: through edits, through a native stream, or as a replacement for a
deleted message."""

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field

from slack_sandbox.page.calls import AnswerCalls, Place
from slack_sandbox.web_api.http import CallRecord
from slack_sandbox.workspace import Json, Message, SlackError, Workspace


@dataclass
class CarrierCounts:
    """Counts the calls for each message's text. `on_changed` is called with messages whose counts changed."""

    workspace: Workspace
    answers: AnswerCalls
    on_changed: Callable[[Message], None]
    _edits: Counter[Place] = field(default_factory=Counter)
    _appends: Counter[Place] = field(default_factory=Counter)
    _streams: set[Place] = field(default_factory=set)
    _replacing: set[Place] = field(default_factory=set)
    """Messages that follow a deleted one of the same answer."""

    def record(self, call: CallRecord) -> None:
        """Counts a call that took effect. Must be recorded in `answers` first."""
        if not call.ok or call.channel is None or call.ts is None:
            return
        place = (call.channel, call.ts)
        match call.method:
            case "chat.update":
                self._edits[place] += 1
            case "chat.startStream":
                self._streams.add(place)
            case "chat.appendStream":
                self._appends[place] += 1
            case "chat.delete":
                self._on_deleted(place)
                return
            case "chat.postMessage":
                # Nothing to count, but the question that the message answers is now known.
                pass
            case _:
                return
        self._notify(place)

    def json(self, message: Message) -> Json | None:
        """Returns how a message got its text, in the page's format, or None if the message was only posted."""
        place = (message.channel, message.ts)
        carrier = {"stream": place in self._streams, "replacing": place in self._replacing}
        counts = {"appends": self._appends[place], "edits": self._edits[place]}
        return carrier | counts if any((*carrier.values(), *counts.values())) else None

    def _on_deleted(self, place: Place) -> None:
        """Marks the later messages of the same answer as replacements for a deleted one."""
        for other in self.answers.messages_for_same_question(place):
            if other > place and other not in self._replacing:
                self._replacing.add(other)
                self._notify(other)

    def _notify(self, place: Place) -> None:
        try:
            self.on_changed(self.workspace.message(*place))
        except SlackError:
            # Deleted in the meantime.
            return
