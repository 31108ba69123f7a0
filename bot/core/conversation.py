"""Conversations as plain data: threads, messages, questions, jobs, and the prompt for a model."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Literal

from bot.core.documents import Document
from bot.core.job import Checkpoint
from bot.core.stream import Citation, Opaque, ToolCall
from bot.core.tool_calls import Step
from bot.core.tools import Permission, ToolRule
from bot.core.trust import TOOL, UNKNOWN, Origins, folded

Role = Literal["user", "assistant"]


def is_direct(channel_id: str) -> bool:
    """Whether the channel is a direct message between two."""
    return channel_id.startswith("D")


@dataclass(frozen=True, slots=True)
class ThreadKey:
    """Identifies a conversation in Slack. Jobs of one thread are answered in order, one at a time."""

    team_id: str
    channel_id: str
    thread_ts: str | None
    """None outside threads in a direct message, which is one long conversation."""

    @property
    def in_direct_message(self) -> bool:
        """Whether the conversation is in a direct message with one person."""
        return is_direct(self.channel_id)

    def __str__(self) -> str:
        return f"{self.team_id}/{self.channel_id}/{self.thread_ts or 'root'}"


class Effort(StrEnum):
    """How much a model thinks about an answer."""

    FAST = "fast"
    NORMAL = "normal"
    """As much as the model does by itself."""
    THOROUGH = "thorough"


@dataclass(frozen=True, slots=True)
class QueuedThreads:
    """The threads of a workspace that have live jobs."""

    queued: tuple[ThreadKey, ...]
    """Threads with queued questions in which nothing is answered, in the order in which they are claimed."""
    answered: frozenset[ThreadKey]
    """Threads in which a question is being answered."""
    asking: frozenset[ThreadKey]
    """Threads in which a reply waits for a person's approval."""


@dataclass(frozen=True, slots=True)
class File:
    """A file that was shared with a message, by Slack's description. Only the bytes show its type for certain."""

    id: str
    name: str
    mimetype: str = ""
    filetype: str = ""
    mode: str = ""
    """hosted, snippet, external, tombstone, hidden_by_limit, ..."""
    access: str = ""
    """visible, check_file_info, ...: Slack's file_access."""
    url: str = ""
    """The download address, which needs the bot's token."""
    user_id: str = ""
    """The person who shared it."""
    is_clip: bool = False
    """Whether a person recorded it in Slack, with sound or with a picture too."""
    transcript: str | None = field(default=None, repr=False)
    """All that is said in it, None if nobody has written that down."""
    captions_url: str = ""
    """Where Slack has its transcript as WebVTT, "" if Slack has none."""
    seconds: float = 0.0
    """How long it plays, if Slack says so."""
    size_bytes: int = 0
    """0 if Slack doesn't say it."""


@dataclass(frozen=True, slots=True)
class Message:
    """A message as Slack delivers it, in an event or in a thread's history."""

    team_id: str
    channel_id: str
    ts: str
    text: str = field(repr=False)
    """The writer's own text, as Markdown with mentions (core/inbound/mentions.py)."""
    attached: str = field(default="", repr=False)
    """What Slack shows below its text, in the same form: forwarded and quoted messages, unfurls, apps' attachments."""
    channel_type: str = "channel"
    """channel, group, im or mpim, as Slack's events name it."""
    thread_ts: str | None = None
    user_id: str | None = None
    bot_id: str | None = None
    app_name: str | None = None
    """The name of the app that wrote it."""
    by_app: bool = False
    """Whether an app wrote it, in its own name or a person's, even if the message names no bot."""
    subtype: str | None = None
    parent_user_id: str | None = None
    """The author of the thread's first message, if Slack says so."""
    files: tuple[File, ...] = ()
    edited_ts: str = ""
    """The time of its last edit; "" if it was never edited."""
    after_gap: bool = False
    """Whether messages before it are missing because there were too many or Slack didn't return them."""

    @property
    def thread(self) -> ThreadKey:
        """The thread that it is in; for a message in none, the conversation."""
        return ThreadKey(self.team_id, self.channel_id, self.thread_ts)

    @property
    def whole(self) -> str:
        """Everything that a reader sees of the message."""
        return "\n\n".join(part for part in (self.text, self.attached) if part.strip())

    @property
    def attached_chars(self) -> int:
        """How many of the last characters of the whole are no words of the writer."""
        return len(self.attached) if self.attached.strip() else 0


@dataclass(frozen=True, slots=True)
class Question:
    """A message to answer, and its thread."""

    thread: ThreadKey
    ts: str
    user_id: str
    text: str = field(repr=False)
    """Everything that a reader sees of the message, including the bot's mention, as Markdown with mentions
    (core/inbound/mentions.py)."""
    files: tuple[File, ...] = ()
    from_bot: bool = False
    """Whether the asker is another bot."""
    attached_chars: int = 0
    """How many of the text's last characters are no words of the asker, but what Slack shows below them."""

    @property
    def own_text(self) -> str:
        """The asker's own words."""
        return self.text[: max(0, len(self.text) - self.attached_chars)].rstrip() if self.attached_chars else self.text

    @property
    def attached(self) -> str:
        """What Slack shows below the asker's words: forwarded and quoted messages, link previews."""
        return self.text[-self.attached_chars :] if self.attached_chars else ""

    def as_message(self) -> Message:
        """The question as a message of its conversation."""
        return Message(
            team_id=self.thread.team_id,
            channel_id=self.thread.channel_id,
            ts=self.ts,
            text=self.own_text,
            attached=self.attached,
            by_app=self.from_bot,
            thread_ts=self.thread.thread_ts,
            user_id=self.user_id,
            files=self.files,
        )


@dataclass(frozen=True, slots=True)
class RecordedReply:
    """One of the bot's own messages, as it is on record."""

    text: str = field(repr=False)
    """An answer's Markdown, at its first page; "" at its other pages, and for replies without a model's text."""
    origins: Origins = UNKNOWN
    """What the answer had read."""
    asker: str = ""
    """The person whose questions it answers."""


@dataclass(frozen=True, slots=True)
class FollowUp:
    """A question that an answer under way took along."""

    question: Question
    step_no: int
    """The model's step that read it first."""


class MessageRole(StrEnum):
    """What a message of a reply is there for."""

    PAGE = "page"
    STOP_BUTTON = "stop_button"
    """It is there for its button, below a page whose carrier has none; or it is the placeholder until that is there."""
    FILE = "file"
    REPLACED = "replaced"
    """A newer message shows its page, and it has to be deleted."""
    STRAY = "stray"
    """Slack posted it at the channel's root, because its thread was deleted."""
    POSTING = "posting"
    """A post without an answer: Slack may show a message, or more than one, that isn't on record."""
    STARTING = "starting"
    """The same of a stream's start, whose message Slack doesn't tell from others."""


UNANSWERED = (MessageRole.POSTING, MessageRole.STARTING)
READ_ROLES = (MessageRole.PAGE, MessageRole.STOP_BUTTON, MessageRole.STRAY)
"""Of the messages that readers see of a reply, apart from its files."""


@dataclass(frozen=True, slots=True)
class RecordedMessage:
    """A message of a reply, as it is on record."""

    ts: str
    """Empty while its post has no answer."""
    role: MessageRole
    version: int = 0
    """The version of the answer that a page shows."""
    for_stream: bool = False
    """It is a page that holds no more than a stream carries."""


POSTING = RecordedMessage("", MessageRole.POSTING)


def ts_of(messages: Sequence[RecordedMessage], *roles: MessageRole) -> tuple[str, ...]:
    """Returns the messages with these roles, in the order of the roles and then of the messages."""
    return tuple(message.ts for role in roles for message in messages if message.role is role)


def page_ts(messages: Sequence[RecordedMessage]) -> tuple[str, ...]:
    """Returns the messages that readers see of a reply, apart from its files: its pages come first."""
    return ts_of(messages, *READ_ROLES)


@dataclass(frozen=True, slots=True)
class Job:
    """A question as its worker claimed it. core/job.py explains attempts and versions."""

    id: int
    question: Question
    attempts: int
    """The number of claims, including this one; with the worker's name, it fences later writes."""
    messages: tuple[RecordedMessage, ...] = ()
    """The messages of its reply on record; its pages come first, in order. POSTING is among them if a process died."""
    interruptions: int = 0
    """The number of earlier attempts whose process died or was paused for too long."""
    so_far: str = field(default="", repr=False)
    """The answer so far, if this version continues one that was stopped or reached its length limit."""
    sources: Sequence[Citation] = ()
    """The web pages that the answer so far cites."""
    so_far_origins: Origins = UNKNOWN
    """What the answer so far had read."""
    has_previous: bool = False
    """An earlier version of the answer is on record, which this version does not continue."""
    checkpoint: Checkpoint = field(default_factory=Checkpoint)
    """The text that earlier attempts at this version recorded."""
    earlier: tuple[Question, ...] = ()
    """The earlier questions of its batch, which share its answer."""
    follow_ups: tuple[FollowUp, ...] = ()
    """The later questions that it took along."""
    steps: tuple[Step, ...] = field(default=(), repr=False, compare=False)
    """The steps of this version that earlier attempts recorded."""
    version: int = 0
    """How often the answer was started over. What Slack shows of an earlier version is replaced."""
    effort: Effort | None = None
    """What somebody chose for this answer; None: the channel's."""
    transcripts: Mapping[str, str] = field(default_factory=dict, repr=False, compare=False)
    """What is said in recordings that came with its question, by the files' ids."""
    asked_at: float = field(default=0.0, compare=False)
    """Since when the asker waits, in seconds since the epoch: for this version, or since they decided about a call."""
    stop_requested: bool = False
    """Somebody stopped it before it was claimed: its attempt asks nobody, and ends the reply."""

    @property
    def page_ts(self) -> tuple[str, ...]:
        """The messages on record that readers see of its reply, apart from its files."""
        return page_ts(self.messages)

    @property
    def fixed_text(self) -> str:
        """The part of the answer that no attempt writes again: the answer so far, and the text of recorded steps."""
        return self.so_far + "".join(step.text for step in self.steps)


@dataclass(frozen=True, slots=True)
class Media:
    """An image or a PDF for a model."""

    name: str
    media_type: str
    """image/png, image/jpeg, image/webp or application/pdf."""
    base64: str = field(repr=False)
    """The bytes in base64, the form that all vendors accept."""
    alternative: Document | None = None
    """A PDF's text, for models that don't take PDFs."""


@dataclass(frozen=True, slots=True)
class TextPart:
    """Text among the other parts of a turn."""

    text: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class ToolResult:
    """What a tool returned, as the model reads it."""

    call_id: str
    name: str
    """The tool's name, which some vendors want again."""
    text: str = field(repr=False)
    is_error: bool = False


TurnPart = TextPart | ToolCall | ToolResult | Opaque


@dataclass(frozen=True, slots=True)
class Turn:
    """The words of one side of the conversation, as the model reads them."""

    role: Role
    text: str = field(repr=False)
    media: tuple[Media, ...] = ()
    """The images and PDFs that were shared with it."""
    parts: tuple[TurnPart, ...] = field(default=(), repr=False)
    """What a model's earlier step in this answer consisted of, or the results of its tools.

    If there are any, they are sent in place of `text`: to the vendor of the opaque items nothing but these items, to
    others everything else.
    """
    origins: Origins = field(default=UNKNOWN, compare=False)
    """Whose words they are."""


@dataclass(frozen=True, slots=True)
class ToolDefinition:
    """A function that the model may ask for."""

    name: str
    """server__tool, of letters, digits, _ and -, at most 64."""
    description: str = field(repr=False)
    parameters: Mapping[str, Any] = field(repr=False)
    """The JSON Schema of its arguments."""
    definition_hash: str = ""
    """Identifies what an admin has agreed to: name, title, description and parameters."""
    origins: Origins = field(default=TOOL, compare=False)
    """OURS if it is our own, or if an admin has read it and agreed to it."""
    rule: ToolRule = field(default=ToolRule(Permission.ASK), compare=False)
    """What an admin has decided about it."""
    is_dispensable: bool = field(default=False, compare=False)
    """Nobody misses it: a model that refuses tools, or takes them only at a price, is asked without it."""


@dataclass(frozen=True, slots=True)
class WebSearch:
    """The model may search the web, if its vendor offers that."""

    allowed_domains: tuple[str, ...] = ()
    """Searches stay within these domains and their subdomains; empty: the whole web."""


@dataclass(frozen=True, slots=True)
class Prompt:
    """Everything a model reads for one answer. Turns alternate; the first and the last are the user's."""

    system: str = field(repr=False)
    turns: tuple[Turn, ...]
    cache_key: str = ""
    """Identifies the conversation to a vendor's cache, without revealing anything about it."""
    tools: tuple[ToolDefinition, ...] = ()
    web_search: WebSearch | None = None
    """None: the model may not search the web."""
    effort: Effort = Effort.NORMAL
    system_origins: Origins = field(default=UNKNOWN, compare=False)
    """Whose words the system prompt holds."""

    @property
    def origins(self) -> Origins:
        """Whose words a model reads with it."""
        parts = (*(turn.origins for turn in self.turns), *(tool.origins for tool in self.tools))
        return folded((self.system_origins, *parts))
