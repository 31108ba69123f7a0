"""Defines what a reply consists of: its states, what its pages show, its messages, and the calls to Slack. Pure.

`Reply` (reply.py) finds the next call, and `Carriers` (carriers.py) by which one a page travels: pages are edited, in
one form or another (edits.py), or streamed (streams.py).

A reply that is BEGINNING or GROWING takes text. FINISH makes it ENDING: only calls are left, which show the rest. A
QUEUED one shows no more than the placeholder of a queued question. In the states after ENDING_AGAIN it is over: it
makes no more calls, and nothing changes that. Any other event that `LIFE_AFTER` doesn't have is an error.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import Enum, StrEnum, auto
from itertools import takewhile
from typing import ClassVar

from bot.core import texts
from bot.core.asks import Ask
from bot.core.conversation import Question
from bot.core.job import UNANSWERED, Job, MessageRole, RecordedMessage, ts_of
from bot.core.picture import Picture
from bot.core.unseen import visible
from bot.reply.attachments import Attached, AttachedFile
from bot.reply.look import DEFAULT_LOOK, ReplyLook
from slack_markdown.extent import counted_chars


@dataclass(frozen=True, slots=True)
class PageView:
    """What one page shows."""

    markdown: str
    growing: bool = False
    """More text may follow on this page."""
    queued: bool = False
    """The question is queued."""
    has_stop: bool = False
    """Slack shows its own Stop in the thread."""
    asks: tuple[Ask, ...] = ()
    """The calls that a person has to decide about."""
    rest_in_file: bool = False
    """The page is full, and the rest of the answer, which still grows, comes when it ends."""
    left_out: str = ""
    """What only a file has of the text between this page and the next one, as a sentence."""
    end: Picture | None = None
    """What stands below the whole answer: on the last page, once nothing will follow."""
    plain: bool = False
    """Sent without blocks, because Slack refused them."""
    end_chars: int = field(default=0, compare=False)
    """Characters of the answer that are shown up to the end of this page."""
    for_stream: bool = field(default=False, compare=False)
    """This page and all later ones hold no more than a stream carries."""
    version: int = 0
    """The answer's version."""
    activity: str = ""
    """What the model does while it doesn't write."""
    open_files: frozenset[str] = field(default=frozenset(), compare=False)
    """Ids of Slack's files that all readers may open: only their addresses are links."""
    look: ReplyLook = DEFAULT_LOOK
    transcript: str = ""
    """What is said in the question's recordings, above the text of the first page."""
    asked_on: str = ""
    """When the question was asked, above the text of the first page, if the answer comes late."""

    @property
    def live(self) -> bool:
        """Whether the answer still grows, on this page or a later one."""
        return self.growing or self.rest_in_file

    @property
    def notice(self) -> str:
        """A sentence about the answer, below its text."""
        if self.end is not None:
            return self.end.notice.strip()
        return texts.answers.WRITING_LONG if self.rest_in_file else self.left_out


@dataclass(frozen=True, slots=True)
class Shown:
    """What Slack shows of a reply when it is opened."""

    page_ts: tuple[str, ...] = ()
    shows_end: bool = False
    """The pages show the answer's end."""
    attached: tuple[Attached, ...] = ()
    """Messages with the reply's files."""
    outdated: bool = False
    """The pages show an earlier version, which is replaced at once."""
    replaced_ts: tuple[str, ...] = ()
    """Messages that belong to the reply no longer, and that are not deleted yet."""
    stream_page: int | None = None
    """The first page that holds no more than a stream carries, if there is one. All later pages do the same."""
    unanswered: tuple[MessageRole, ...] = ()
    """POSTING and STARTING, if an earlier attempt's post or stream may still arrive."""
    queued: bool = False
    """The question is queued: only its placeholder is to be shown."""
    has_stop: bool = False
    """Slack shows its own Stop while the answer grows."""

    @property
    def is_end_shown(self) -> bool:
        """Whether Slack shows the answer's end, and no message beside it."""
        return self.shows_end and not self.replaced_ts


NOTHING_SHOWN = Shown()


def current_pages(job: Job) -> list[RecordedMessage]:
    """Returns the pages on record that show the job's version of the answer."""
    pages = (message for message in job.messages if message.role is MessageRole.PAGE)
    return list(takewhile(lambda page: page.version == job.version, pages))


def with_unreplaced(messages: Sequence[RecordedMessage]) -> tuple[RecordedMessage, ...]:
    """Returns the messages on record, where one that no later page has replaced is a page again.

    The post that should have replaced it did not leave, or was refused before the process ended.
    """
    last = max((message.ts for message in messages if message.role is MessageRole.PAGE), default="")
    kept = [message for message in messages if message.role is MessageRole.REPLACED and message.ts > last]
    pages = [message for message in messages if message.role is MessageRole.PAGE]
    pages += [replace(message, role=MessageRole.PAGE) for message in kept]
    return (*pages, *(message for message in messages if message.role is not MessageRole.PAGE and message not in kept))


def shown_on_record(job: Job) -> Shown:
    """Returns what Slack shows of a job's reply by the record: each text is recorded before it is shown."""
    job = replace(job, messages=with_unreplaced(job.messages))
    current = current_pages(job)
    page_ts = ts_of(job.messages, MessageRole.PAGE)
    return Shown(
        page_ts=page_ts,
        outdated=bool(page_ts) and not current,
        replaced_ts=ts_of(job.messages, MessageRole.REPLACED, MessageRole.STRAY),
        stream_page=next((number for number, page in enumerate(current) if page.for_stream), None),
        unanswered=tuple(message.role for message in job.messages if message.role in UNANSWERED),
    )


class Life(StrEnum):
    """Where a reply is in its life."""

    QUEUED = auto()
    BEGINNING = auto()
    """Slack shows a placeholder, or what an earlier attempt left: it stays until there is more."""
    GROWING = auto()
    ENDING = auto()
    ENDING_AGAIN = auto()
    """The end is shown by new messages, because edits are spent."""
    SHOWN = auto()
    """Slack shows all of it."""
    GONE = auto()
    """Its messages were deleted, or the bot token is gone."""
    SHUT_OUT = auto()
    """Its channel is closed to Typist, and may be opened again."""
    UNSHOWN = auto()
    """Slack refused it for minutes, or for good. The outbox shows the end later."""
    ABANDONED = auto()
    """Another process has its job, or may have it by now."""

    @property
    def is_over(self) -> bool:
        """Whether no more calls are made."""
        return self in (Life.SHOWN, Life.GONE, Life.SHUT_OUT, Life.UNSHOWN, Life.ABANDONED)

    @property
    def has_ended(self) -> bool:
        """Whether no more text is shown. Of a reply that was left, another attempt may show more."""
        return self not in (Life.QUEUED, Life.BEGINNING, Life.GROWING, Life.ABANDONED)


class ReplyEvent(StrEnum):
    """What can happen to a reply."""

    GROW = auto()
    """There is more to show than before this attempt."""
    FINISH = auto()
    """No more text will come."""
    POST_AGAIN = auto()
    """New messages take the place of those that would have to be edited."""
    SHOW = auto()
    """Slack shows all that it should."""
    LOSE = auto()
    """Its messages or the bot token are gone."""
    SHUT_OUT = auto()
    """Its channel is closed to Typist."""
    GIVE_UP = auto()
    """Slack has refused it for too long, or its text can't be laid out."""
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
"""Where each event leads from a state in which a reply isn't over."""


def after(life: Life, event: ReplyEvent) -> Life:
    """Returns the state after an event. Raises ValueError if the event can't happen in a state."""
    if life.is_over:
        return life
    if (life, event) not in LIFE_AFTER:
        raise ValueError(f"{event} can't happen to a reply that is {life}")
    return LIFE_AFTER[life, event]


@dataclass(frozen=True, slots=True)
class Begin:
    """Shows a page in a new message."""

    unanswered: ClassVar[MessageRole]
    """The role of the new message while Slack hasn't responded to the call."""
    question: Question
    page: int
    view: PageView


@dataclass(frozen=True, slots=True)
class Change:
    """Changes a page's message. Without a view, what the message shows isn't known afterwards."""

    is_closing: ClassVar[bool] = False
    """Whether the call gives back what its page holds of a budget, so that it waits for no other call."""
    question: Question
    page: int
    ts: str
    view: PageView | None


@dataclass(frozen=True, slots=True)
class Upload:
    """Shares files below the pages, in one message."""

    question: Question
    files: tuple[AttachedFile, ...]


@dataclass(frozen=True, slots=True)
class Delete:
    """Deletes a message that no longer belongs to the reply, with its files."""

    question: Question
    ts: str
    file_ids: tuple[str, ...] = ()
    keeps_stop: bool = field(default=False, compare=False)
    """If the message still grows, Slack's own Stop stays when that is ended: the answer goes on."""


Call = Begin | Change | Upload | Delete


@dataclass(frozen=True, slots=True)
class CleanUp:
    """Deletes messages of the reply that aren't on record: what calls may have left whose responses were lost."""


class AfterRefusal(Enum):
    """What follows from a refused call for the reply, if not the same call again or another form."""

    REPLACE = auto()
    """A new message takes the place of the page's."""
    GONE = auto()
    """The messages were deleted, or the channel is closed to Typist."""
    STOP = auto()
    """The message still grows as a stream, which has to be stopped before an edit."""
    UNKNOWN = auto()
    """What the message shows isn't known, because the stream that showed it is over."""
    LATER = auto()
    """The call is of no use for now: once the answer has ended, the outbox shows it."""


MAX_COUNTED_CHARS = 2_800
"""As Slack counts characters in blocks, of which a section takes 3,000. Slack folds a long one behind "See more". The
answer's first page has that much less room."""


_READ_CHARS = 10_000
"""How much of each transcript is read: several times what is shown."""


def shown_transcript(transcripts: Iterable[str]) -> str:
    """Returns the transcripts, or a beginning that fits, with a mark; "" if nothing is said in any."""
    whole = list(transcripts)
    text = "\n\n".join(filter(None, (" ".join(visible(one[:_READ_CHARS]).split()) for one in whole)))
    chars = len(text)
    while counted_chars(text[:chars]) > MAX_COUNTED_CHARS:
        chars = chars * 9 // 10
    is_whole = chars == len(text) and all(len(one) <= _READ_CHARS for one in whole)
    return text if is_whole else f"{text[:chars].rstrip()}…"
