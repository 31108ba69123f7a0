"""Records what readers of questions' threads see: growing, replaced, and deleted messages, and first signs."""

from collections import defaultdict
from dataclasses import dataclass, field

from benchmarks.freshness import ShownWords, is_complete, words_in
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
    posted: int = 0
    """The bot's messages, streams included."""

    def __post_init__(self) -> None:
        self.workspace.listeners.append(self._on_change)

    def see_all_of(self, place: Place, words: int) -> bool:
        """Returns whether a thread shows so many words, each once and in order."""
        return is_complete(self.histories[place], words)

    def _on_change(self, change: Change) -> None:
        now_s = self.workspace.monotonic()
        match change:
            case StatusSet(channel, thread_ts, text) if text:
                self.sign_at_s.setdefault((channel, thread_ts), now_s)
            case Changed(message) if message.session is not None and message.session.status == "processing":
                self.sign_at_s.setdefault((message.channel, message.ts), now_s)
            case Posted(message) | Changed(message) | Deleted(message):
                if message.user_id != self.workspace.bot.id or message.thread_ts is None or message.ephemeral_to:
                    return
                self.posted += isinstance(change, Posted)
                words = None if isinstance(change, Deleted) else words_in(message.text, message.sent_blocks)
                self.histories[message.channel, message.thread_ts].append(ShownWords(now_s, message.ts, words))
