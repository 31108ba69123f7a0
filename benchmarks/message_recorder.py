"""Records every state of the bot's messages that readers in Slack could see."""

import re
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

from bot.core.texts.models import OWN_NAMES
from bot.reply.outbox_sender import ASK_EVENT, MENTION_EVENT
from bot.slack.posted_questions import modal_id_of
from slack_sandbox.control import unescape
from slack_sandbox.workspace import Change, Changed, Deleted, Message, Posted, Workspace

MODEL = "openai/scripted"
"""The model that answers in what is recorded."""
FOOTER = re.compile(rf"{OWN_NAMES.label(MODEL)}( · \d+ tools?)?( · (stopped|incomplete))?")
"""The footer names the model, how many tools it used, and the answer's state. It isn't a notice."""
DECIDED = re.compile(r"(\d+ calls? )?(approved|denied) by .+", re.IGNORECASE)
"""Who decided about the answer's calls (texts.decided). That isn't a notice either."""


@dataclass(frozen=True)
class Revision:
    """What a message showed from `at_s` until its next revision."""

    at_s: float
    text: str
    """The part of the answer, without notice and footer."""
    note: str
    """The notice below the answer: that more text follows, or how the answer ended."""


@dataclass
class MessageHistory:
    """All revisions of one message of the bot."""

    channel: str
    ts: str
    thread_ts: str | None
    question_ts: str
    """The ts of the question in the message's metadata; empty if it has none."""
    page: int
    revisions: list[Revision] = field(default_factory=list)
    deleted_s: float | None = None

    @property
    def last(self) -> Revision:
        return self.revisions[-1]


class MessageRecorder:
    """Listens to a workspace. `histories` has the bot's messages by channel and ts, in the order of posting."""

    def __init__(self, workspace: Workspace) -> None:
        self.histories: dict[tuple[str, str], MessageHistory] = {}
        self.pings: Counter[tuple[str, str]] = Counter()
        """Number of "answer is ready" messages by channel and question ts, and of mentions for each approval."""
        self.run_posts: list[tuple[str, Message]] = []
        """The posts of schedules' runs, each with the run's id."""
        self._workspace = workspace
        workspace.listeners.append(self._on_change)

    def for_question(self, channel: str, question_ts: str) -> list[MessageHistory]:
        """Returns the histories of the messages that answer a question."""
        key = (channel, question_ts)
        return [history for history in self.histories.values() if (history.channel, history.question_ts) == key]

    def _on_change(self, change: Change) -> None:
        if not isinstance(change, Posted | Changed | Deleted) or change.message.user_id != self._workspace.bot.id:
            return
        message, now_s = change.message, self._workspace.monotonic()
        if message.ephemeral_to is not None:
            return
        if (run_id := modal_id_of({"blocks": message.blocks})) is not None:
            self.run_posts += [(run_id, message)] if isinstance(change, Posted) else []
            return
        if (about := _announced(message)) is not None:
            self.pings[message.channel, about] += isinstance(change, Posted)
            return
        match change:
            case Posted():
                history = MessageHistory(message.channel, message.ts, message.thread_ts, *_of_question(message))
                history.revisions.append(_revision(message, now_s))
                self.histories[message.channel, message.ts] = history
            case Changed():
                history = self.histories[message.channel, message.ts]
                history.revisions.append(_revision(message, now_s))
                if not history.question_ts:
                    # A native stream has no metadata before its stop.
                    history.question_ts, history.page = _of_question(message)
            case Deleted():
                self.histories[message.channel, message.ts].deleted_s = now_s


def _announced(message: Message) -> str | None:
    """Returns what a message beside the answer mentions askers for: a question's answer, or an approval for it."""
    payload = _event_payload(message)
    match (message.metadata or {}).get("event_type"):
        case str(event) if event == MENTION_EVENT:
            return str(payload["question_ts"])
        case str(event) if event == ASK_EVENT:
            return f"{payload['question_ts']}, approval of version {payload['version']} until {payload['waits_until']}"
    return None


def _of_question(message: Message) -> tuple[str, int]:
    """Returns the question that a message's metadata names, and the page."""
    payload = _event_payload(message)
    return str(payload.get("question_ts", "")), int(payload.get("page", 0))


def _event_payload(message: Message) -> dict[str, Any]:
    return dict((message.metadata or {}).get("event_payload", {}))


def _revision(message: Message, at_s: float) -> Revision:
    if not message.sent_blocks:
        return Revision(at_s, unescape(message.text), "")
    text = "".join(block["text"] for block in message.sent_blocks if block["type"] == "markdown")
    parts = [part for block in message.sent_blocks if block["type"] in _LINES for part in block["elements"]]
    words = [_words(part) for part in parts]
    notices = [line for line in words if not FOOTER.fullmatch(line) and not DECIDED.fullmatch(line)]
    return Revision(at_s, unescape(text), " ".join(notices))


_LINES = ("rich_text", "context")
"""The blocks of lines about the answer."""


def _words(element: dict[str, Any]) -> str:
    """Returns the words of a part of rich text or of small print; those of a list are its first item's."""
    if "elements" in element:
        return _words(element["elements"][0])
    return str(element.get("text") or element.get("fallback") or "")
