"""Records what people in a question's thread see: growing, replaced and deleted messages, and the first response."""

from collections import defaultdict
from dataclasses import dataclass, field

from benchmarks.freshness import ShownStop, ShownWords, is_complete, words_in
from bot.core.actions import ReplyAction
from slack_sandbox.workspace import Change, Changed, Deleted, Posted, StatusSet, Workspace

Place = tuple[str, str]
"""A question: the channel's id and the ts. Its answer is in its thread."""


@dataclass
class Readers:
    """Listens to a workspace from the start.

    Each person who asks has the thread to themselves, so appends to a native stream are seen as well.
    """

    workspace: Workspace
    histories: dict[Place, list[ShownWords]] = field(default_factory=lambda: defaultdict(list))
    """What the bot's messages in each question's thread showed, in order."""
    sign_at_s: dict[Place, float] = field(default_factory=dict)
    """When each thread first had a status, or an agent's session that Slack shows with its own Stop."""
    stops: dict[Place, list[ShownStop]] = field(default_factory=lambda: defaultdict(list))
    """When each thread had Typist's button, Slack's own Stop, or a status that says how to stop."""
    posted: int = 0
    """The bot's messages, streams included."""
    _ways: dict[Place, set[str]] = field(default_factory=lambda: defaultdict(set))
    """What says how to stop in each thread: messages by their ts, "session" and "status"."""

    def __post_init__(self) -> None:
        self.workspace.listeners.append(self._on_change)

    def see_all_of(self, place: Place, words: int) -> bool:
        """Returns whether a thread shows so many words, each once and in order."""
        return is_complete(self.histories[place], words)

    def _on_change(self, change: Change) -> None:
        now_s = self.workspace.monotonic()
        match change:
            case StatusSet(channel, thread_ts, text):
                if text:
                    self.sign_at_s.setdefault((channel, thread_ts), now_s)
                self._says_how_to_stop((channel, thread_ts), "status", "stop" in text)
            case Changed(message) if message.session is not None:
                is_processing = message.session.status == "processing"
                if is_processing:
                    self.sign_at_s.setdefault((message.channel, message.ts), now_s)
                self._says_how_to_stop((message.channel, message.ts), "session", is_processing)
            case Posted(message) | Changed(message) | Deleted(message):
                if message.user_id != self.workspace.bot.id or message.thread_ts is None or message.ephemeral_to:
                    return
                self.posted += isinstance(change, Posted)
                words = None if isinstance(change, Deleted) else words_in(message.text, message.sent_blocks)
                place = message.channel, message.thread_ts
                self.histories[place].append(ShownWords(now_s, message.ts, words))
                has_button = words is not None and f"'{ReplyAction.STOP.value}'" in str(message.sent_blocks)
                self._says_how_to_stop(place, message.ts, has_button)

    def _says_how_to_stop(self, place: Place, way: str, is_there: bool) -> None:
        ways = self._ways[place]
        (ways.add if is_there else ways.discard)(way)
        self.stops[place].append(ShownStop(self.workspace.monotonic(), bool(ways)))
