"""The words of the project as plain data: a thread, a question in it, the job it becomes, turns and pages."""

from dataclasses import dataclass, field
from typing import Literal

from bot.core.job import Checkpoint

Role = Literal["user", "assistant"]


@dataclass(frozen=True, slots=True)
class ThreadKey:
    """Where a conversation lives in Slack; jobs of one key are answered in order, one at a time."""

    team_id: str
    channel_id: str
    thread_ts: str | None
    """None: the root of a direct message, which is one conversation without end."""

    def __str__(self) -> str:
        return f"{self.team_id}/{self.channel_id}/{self.thread_ts or 'root'}"


@dataclass(frozen=True, slots=True)
class File:
    """A file that was shared with a message, as Slack tells of it: only its bytes say what it is."""

    id: str
    name: str
    mimetype: str = ""
    filetype: str = ""
    mode: str = ""
    """hosted, snippet, external, tombstone, hidden_by_limit, ..."""
    access: str = ""
    """visible, check_file_info, ...: Slack's file_access."""
    url: str = ""
    """Where its bytes are, for who has the token."""


@dataclass(frozen=True, slots=True)
class Message:
    """A message as Slack delivers it, in an event or in a thread's history."""

    team_id: str
    channel_id: str
    ts: str
    text: str = field(repr=False)
    """What its writer wrote, as Markdown with mentions (core/inbound/mentions.py)."""
    attached: str = field(default="", repr=False)
    """What hangs below it, in the same form: forwarded and quoted messages, previews, attachments of apps."""
    channel_type: str = "channel"
    """channel, group, im or mpim, as Slack's events name it."""
    thread_ts: str | None = None
    user_id: str | None = None
    bot_id: str | None = None
    app_name: str | None = None
    """How the app that wrote it calls itself."""
    by_app: bool = False
    """An app wrote it, though it names no bot: as itself, or as a person who lets it."""
    subtype: str | None = None
    parent_user_id: str | None = None
    """Who wrote the thread's first message, when Slack says so."""
    files: tuple[File, ...] = ()
    edited_ts: str = ""
    """When its writer last edited it; "" where nobody did."""
    after_gap: bool = False
    """Messages before it were not read: there were too many, or Slack did not give them."""

    @property
    def whole(self) -> str:
        """All that a reader sees of it."""
        return "\n\n".join(part for part in (self.text, self.attached) if part.strip())


@dataclass(frozen=True, slots=True)
class Question:
    """A message that is to be answered, and where."""

    thread: ThreadKey
    ts: str
    user_id: str
    text: str = field(repr=False)
    """All that a reader sees of the message, the bot's mention included, as Markdown with mentions
    (core/inbound/mentions.py)."""
    files: tuple[File, ...] = ()
    from_bot: bool = False
    """Another bot asks."""

    def as_message(self) -> Message:
        """The question as a message of its conversation."""
        return Message(
            team_id=self.thread.team_id,
            channel_id=self.thread.channel_id,
            ts=self.ts,
            text=self.text,
            thread_ts=self.thread.thread_ts,
            user_id=self.user_id,
            files=self.files,
        )


@dataclass(frozen=True, slots=True)
class Job:
    """A question as the worker gets it that claimed it. core/job.py explains attempts and versions."""

    id: int
    question: Question
    attempts: int
    """How often it was claimed, including this time; with the worker's name it fences later writes."""
    page_ts: tuple[str, ...] = ()
    """The messages already posted for its reply, in order."""
    may_have_posts: bool = False
    """Slack may show more of its reply than is on record: an interrupted attempt's pages, or a placeholder."""
    interruptions: int = 0
    """Earlier attempts whose process died, or was away for too long."""
    so_far: str = field(default="", repr=False)
    """The answer so far, where this version continues it from its length limit."""
    checkpoint: Checkpoint = field(default_factory=Checkpoint)
    """What earlier attempts at this version left on record."""
    earlier: tuple[Question, ...] = ()
    """Questions of its batch: they were queued before it, and its answer is theirs, too."""
    version: int = 0
    """How often the answer was started anew in place. What Slack shows of an earlier version is replaced."""
    asked_at: float = field(default=0.0, compare=False)
    """Since when the asker waits for this version, in seconds since the epoch."""


@dataclass(frozen=True, slots=True)
class Media:
    """An image or a PDF, as a model is given it."""

    name: str
    media_type: str
    """image/png, image/jpeg, image/webp or application/pdf."""
    base64: str = field(repr=False)
    """Its bytes, as all vendors take them."""


@dataclass(frozen=True, slots=True)
class Turn:
    """What one side said, as the model is told it."""

    role: Role
    text: str = field(repr=False)
    media: tuple[Media, ...] = ()
    """What was shared with it, to be looked at."""


@dataclass(frozen=True, slots=True)
class Prompt:
    """All that a model is given; turns begin and end with the user's and alternate."""

    system: str = field(repr=False)
    turns: tuple[Turn, ...]
    cache_key: str = ""
    """The same for all prompts of a conversation, and telling nothing of it: vendors find their caches by it."""
