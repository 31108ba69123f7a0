"""A reply's states, pages and messages, and its calls to Slack. Pure.

A reply accepts text while it is BEGINNING or GROWING. After FINISH, the reply is ENDING, and only the calls that show
the remaining text are made. A QUEUED reply shows only the placeholder of a queued question. In the states listed after
ENDING_AGAIN, a reply is over: it makes no more calls, and no event changes its state. In other states, an event that
`LIFE_AFTER` doesn't list is an error.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import Enum, StrEnum, auto
from itertools import takewhile
from typing import ClassVar

from bot.core import texts
from bot.core.asks import ApprovalCard
from bot.core.conversation import Question
from bot.core.job import PENDING_ROLES, Job, MessageRole, RecordedMessage, ts_of
from bot.core.picture import Picture
from bot.core.unseen import visible
from bot.reply.attachments import AttachedFile, FileMessage
from bot.reply.style import DEFAULT_STYLE, ReplyStyle
from slack_markdown.extent import counted_chars


@dataclass(frozen=True, slots=True)
class PageView:
    markdown: str
    growing: bool = False
    queued: bool = False
    has_stop: bool = False
    asks: tuple[ApprovalCard, ...] = ()
    rest_in_file: bool = False
    """Whether the page is full, and the rest of the answer will be shown only when the answer ends."""
    left_out: str = ""
    """A sentence about the text between this page and the next, which only a file contains."""
    end: Picture | None = None
    """The content below the answer, if this is its last page."""
    plain: bool = False
    end_chars: int = field(default=0, compare=False)
    """The length of the answer, in characters, up to the end of the page."""
    for_stream: bool = field(default=False, compare=False)
    """Whether this page and all later pages are limited to the size that a stream allows."""
    version: int = 0
    activity: str = ""
    open_files: frozenset[str] = field(default=frozenset(), compare=False)
    """IDs of Slack files that all readers can open. Only URLs of these files become links."""
    style: ReplyStyle = DEFAULT_STYLE
    asker: str = field(default="", compare=False)
    """The asker's ID, if other people can read the reply. They don't see buttons that only the asker can click."""
    transcript: str = ""
    asked_on: str = ""
    """The time of a late answer's question, shown above the first page."""

    @property
    def is_live(self) -> bool:
        return self.growing or self.rest_in_file

    @property
    def notice(self) -> str:
        if self.end is not None:
            return self.end.notice.strip()
        return texts.answers.WRITING_LONG if self.rest_in_file else self.left_out


@dataclass(frozen=True, slots=True)
class VisibleReply:
    """The part of a reply that Slack already shows when the reply is opened."""

    page_ts: tuple[str, ...] = ()
    shows_end: bool = False
    file_messages: tuple[FileMessage, ...] = ()
    is_outdated: bool = False
    """Whether the pages show an earlier version, which is replaced at once."""
    replaced_ts: tuple[str, ...] = ()
    """Messages that no longer belong to the reply but haven't been deleted yet."""
    stream_page: int | None = None
    """The first page that is limited to the size that a stream allows, or None if no page is."""
    pending_roles: tuple[MessageRole, ...] = ()
    """POSTING, STARTING or both, if an earlier attempt's post or stream might still arrive."""
    queued: bool = False
    has_stop: bool = False

    @property
    def is_end_shown(self) -> bool:
        return self.shows_end and not self.replaced_ts


NOTHING_SHOWN = VisibleReply()


def current_pages(job: Job) -> list[RecordedMessage]:
    pages = (message for message in job.messages if message.role is MessageRole.PAGE)
    return list(takewhile(lambda page: page.version == job.version, pages))


def restore_unreplaced(messages: Sequence[RecordedMessage]) -> tuple[RecordedMessage, ...]:
    """Returns the recorded messages, in which a replaced message is a page again if its replacement was never
    posted."""
    last = max((message.ts for message in messages if message.role is MessageRole.PAGE), default="")
    kept = [message for message in messages if message.role is MessageRole.REPLACED and message.ts > last]
    pages = [message for message in messages if message.role is MessageRole.PAGE]
    pages += [replace(message, role=MessageRole.PAGE) for message in kept]
    return (*pages, *(message for message in messages if message.role is not MessageRole.PAGE and message not in kept))


def recorded_reply(job: Job) -> VisibleReply:
    """Returns the recorded part of a job's reply that Slack shows. Text is always recorded before it is shown."""
    job = replace(job, messages=restore_unreplaced(job.messages))
    current = current_pages(job)
    page_ts = ts_of(job.messages, MessageRole.PAGE)
    return VisibleReply(
        page_ts=page_ts,
        is_outdated=bool(page_ts) and not current,
        replaced_ts=ts_of(job.messages, MessageRole.REPLACED, MessageRole.STRAY),
        stream_page=next((number for number, page in enumerate(current) if page.for_stream), None),
        pending_roles=tuple(message.role for message in job.messages if message.role in PENDING_ROLES),
    )


class Life(StrEnum):
    QUEUED = auto()
    BEGINNING = auto()
    """Slack shows a placeholder or an earlier attempt's text, which stays until this attempt has more text."""
    GROWING = auto()
    ENDING = auto()
    ENDING_AGAIN = auto()
    """New messages will show the end, because no edits are left."""
    SHOWN = auto()
    GONE = auto()
    SHUT_OUT = auto()
    """Typist can't access the channel, but might regain access."""
    UNSHOWN = auto()
    """Slack refused the reply for minutes, or permanently. The outbox will show the end later."""
    ABANDONED = auto()
    """Another process owns the job, or might."""

    @property
    def is_over(self) -> bool:
        return self in (Life.SHOWN, Life.GONE, Life.SHUT_OUT, Life.UNSHOWN, Life.ABANDONED)

    @property
    def has_ended(self) -> bool:
        """Whether the reply will show no more text. An abandoned reply hasn't ended: another attempt can show more
        text."""
        return self not in (Life.QUEUED, Life.BEGINNING, Life.GROWING, Life.ABANDONED)


class ReplyEvent(StrEnum):
    GROW = auto()
    """There is now more to show than at the beginning of the attempt."""
    FINISH = auto()
    POST_AGAIN = auto()
    """New messages will replace messages that would otherwise have to be edited."""
    SHOW = auto()
    LOSE = auto()
    SHUT_OUT = auto()
    GIVE_UP = auto()
    """Slack has refused the reply for too long, or its text can't be laid out."""
    ABANDON = auto()


LIFE_AFTER: Mapping[tuple[Life, ReplyEvent], Life] = {
    (Life.BEGINNING, ReplyEvent.GROW): Life.GROWING,
    (Life.GROWING, ReplyEvent.GROW): Life.GROWING,
    (Life.BEGINNING, ReplyEvent.FINISH): Life.ENDING,
    (Life.GROWING, ReplyEvent.FINISH): Life.ENDING,
    (Life.ENDING, ReplyEvent.POST_AGAIN): Life.ENDING_AGAIN,
    (Life.QUEUED, ReplyEvent.SHOW): Life.SHOWN,
    (Life.ENDING, ReplyEvent.SHOW): Life.SHOWN,
    (Life.ENDING_AGAIN, ReplyEvent.SHOW): Life.SHOWN,
    **{
        (life, event): over
        for life in Life
        if not life.is_over
        for event, over in (
            (ReplyEvent.LOSE, Life.GONE),
            (ReplyEvent.SHUT_OUT, Life.SHUT_OUT),
            (ReplyEvent.GIVE_UP, Life.UNSHOWN),
            (ReplyEvent.ABANDON, Life.ABANDONED),
        )
    },
}
"""The state after each event, for states in which a reply isn't over."""


def next_life(life: Life, event: ReplyEvent) -> Life:
    """Returns the state after an event. Raises ValueError if the event can't happen in that state."""
    if life.is_over:
        return life
    if (life, event) not in LIFE_AFTER:
        raise ValueError(f"{event} can't happen to a reply that is {life}")
    return LIFE_AFTER[life, event]


@dataclass(frozen=True, slots=True)
class Begin:
    pending_role: ClassVar[MessageRole]
    question: Question
    page: int
    view: PageView


@dataclass(frozen=True, slots=True)
class Change:
    """Changes a page's message. If `view` is None, the message's content is unknown after the call."""

    frees_budget: ClassVar[bool] = False
    """Whether the call frees budget that is reserved for its page, and therefore doesn't wait for other calls."""
    question: Question
    page: int
    ts: str
    view: PageView | None


@dataclass(frozen=True, slots=True)
class Upload:
    question: Question
    files: tuple[AttachedFile, ...]


@dataclass(frozen=True, slots=True)
class Delete:
    question: Question
    ts: str
    file_ids: tuple[str, ...] = ()
    keeps_stop: bool = field(default=False, compare=False)
    """Whether Slack's own Stop button stays if the message is an open stream, because the answer continues."""


Call = Begin | Change | Upload | Delete


@dataclass(frozen=True, slots=True)
class CleanUp:
    """Deletes the reply's unrecorded messages, which calls with lost responses might have created."""


class AfterRefusal(Enum):
    """The effect of a refused call on the reply, unless it is sent again or in another form."""

    REPLACE = auto()
    GONE = auto()
    STOP = auto()
    """The message is still an open stream, which must be stopped before an edit."""
    UNKNOWN = auto()
    """The message's content is unknown, because its stream is over."""
    LATER = auto()
    """Retrying is useless for now. Once the answer has ended, the outbox will show it."""


MAX_COUNTED_CHARS = 2_800
"""Maximum length of the shown transcripts, counted the way Slack counts characters in blocks. A section accepts 3,000,
but Slack folds a long section behind "See more". The answer's first page has that much less room."""


_MAX_READ_CHARS = 10_000
"""Maximum length of a transcript that is processed. It is several times the length that is shown."""


def shown_transcript(transcripts: Iterable[str]) -> str:
    """Returns the transcripts, cut off with an ellipsis if they don't fit, or "" if nobody speaks in them."""
    whole = list(transcripts)
    text = "\n\n".join(filter(None, (" ".join(visible(one[:_MAX_READ_CHARS]).split()) for one in whole)))
    chars = len(text)
    while counted_chars(text[:chars]) > MAX_COUNTED_CHARS:
        chars = chars * 9 // 10
    is_whole = chars == len(text) and all(len(one) <= _MAX_READ_CHARS for one in whole)
    return text if is_whole else f"{text[:chars].rstrip()}…"
