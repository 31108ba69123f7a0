"""What a reply consists of: what its pages show, its messages, and the calls that change them. Pure.

`Reply` (reply.py) finds the next call; a `Carrier` (edits.py, streams.py) knows how one message travels.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from enum import Enum, auto
from itertools import takewhile
from typing import Protocol

from bot.core import texts
from bot.core.conversation import UNANSWERED, Job, MessageRole, Question, RecordedMessage, ts_of
from bot.core.job import End
from bot.core.reply.approvals import Ask
from bot.core.reply.attachments import Attached, AttachedFile
from bot.errors import EndReason, Refusal


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
    end: End | None = None
    """How the answer ended: on the last page, once nothing will follow."""
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
    transcript: str = ""
    """What is said in the question's recordings, above the text of the first page."""

    @property
    def live(self) -> bool:
        """Whether the answer still grows, on this page or a later one."""
        return self.growing or self.rest_in_file

    @property
    def notice(self) -> str:
        """A sentence about the answer, below its text."""
        if self.end is not None:
            return self.end.notice.strip()
        return texts.WRITING_LONG if self.rest_in_file else ""


@dataclass(frozen=True, slots=True)
class Shown:
    """What Slack shows of a reply that an earlier attempt began."""

    page_ts: tuple[str, ...] = ()
    chars: int = 0
    """Characters of the answer that the pages show."""
    text: str = field(default="", repr=False)
    """The recorded text of the answer; if the pages show more, the text as read from Slack."""
    ended: EndReason | None = None
    """Set if the pages show the answer's end: only its record is missing."""
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

    @property
    def is_end_shown(self) -> bool:
        """Whether Slack shows the answer's end, and no message beside it."""
        return self.ended is not None and not self.replaced_ts

    def part(self, text: str) -> str:
        """Returns what stays of an incomplete answer: its text, or an earlier attempt's if that is longer."""
        return self.text if len(text) < max(self.chars, len(self.text)) and self.text else text


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
    text = job.checkpoint.text
    page_ts = ts_of(job.messages, MessageRole.PAGE)
    return Shown(
        page_ts=page_ts,
        chars=len(text) if current else 0,
        text=text,
        outdated=bool(page_ts) and not current,
        replaced_ts=ts_of(job.messages, MessageRole.STOP_BUTTON, MessageRole.REPLACED, MessageRole.STRAY),
        stream_page=next((number for number, page in enumerate(current) if page.for_stream), None),
        unanswered=tuple(message.role for message in job.messages if message.role in UNANSWERED),
    )


@dataclass(frozen=True, slots=True)
class Begin:
    """Shows a page in a new message."""

    question: Question
    page: int
    view: PageView

    @property
    def must_be_on_record(self) -> bool:
        """Whether Slack doesn't tell the message from others, so that only the record makes a take-over look for it."""
        return False


@dataclass(frozen=True, slots=True)
class Change:
    """Changes a page's message. Without a view, what the message shows isn't known afterwards."""

    question: Question
    page: int
    ts: str
    view: PageView | None

    @property
    def is_closing(self) -> bool:
        """Whether the call gives back what its carrier holds, so that it waits for no other call."""
        return False


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


class Verdict(Enum):
    """What follows from a refused call for the reply, if not the same call again or another form."""

    REPLACE = auto()
    """A new message takes the place of the page's."""
    GONE = auto()
    """The messages were deleted, or the channel is closed to Typist."""
    LATER = auto()
    """The same call is of no use for now: once the answer has ended, the outbox shows it."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a page should show, and what a carrier has to know of its answer."""

    question: Question
    page: int
    view: PageView
    ended: bool = False
    keeps_stop: bool = False
    """Slack's own Stop stays, because the answer goes on."""


class Carrier(Protocol):
    """How a page travels. All states and refusals of that way are its own; it knows no other pages.

    A `Reply` sends each page by edits unless `Reply.carry` gives it another carrier when it begins.
    """

    @property
    def has_buttons(self) -> bool:
        """Whether a growing page has buttons. Otherwise a message below it has the Stop button."""
        ...

    @property
    def page_bytes(self) -> int:
        """The most text of a page, in UTF-8."""
        ...

    @property
    def needs(self) -> tuple[type[Call], ...]:
        """The calls that it will still make: the budget keeps room for them."""
        ...

    @property
    def is_over(self) -> bool:
        """Whether it carries its page no longer: edits go on."""
        ...

    def first_call(self, wanted: Wanted) -> Begin:
        """Returns the call that begins a page."""
        ...

    def next_call(self, wanted: Wanted, message: "ReplyMessage") -> Change | None:
        """Returns the call that brings a message closer to what is wanted; None if it shows that."""
        ...

    def release(self, wanted: Wanted, ts: str, *, is_page: bool) -> Change | None:
        """Returns the call that has to come before anything else touches the message.

        `is_page`: the message still shows a page.
        """
        ...

    def filled(self, call: Begin | Change) -> Begin | Change | None:
        """Returns a call that leaves now with its text; None if there is nothing to send, or another call comes first.

        Without this, each look at the difference would render the page.
        """
        ...

    def leave(self, now: float) -> None:
        """Leaves its page to edits, if it has carried it for as long as it may."""
        ...

    def confirmed(self, call: Begin | Change) -> None:
        """Notes that Slack did a call."""
        ...

    def refused(self, call: Begin | Change, reason: Refusal) -> "Verdict | Carrier | None":
        """Notes that Slack refused a call; returns a carrier if that one has the message from now on."""
        ...

    def limited(self, call: Begin | Change) -> None:
        """Notes that a call would have to wait, for its rate or for its channel."""
        ...


@dataclass(slots=True, eq=False)
class ReplyMessage:
    """One message of a reply."""

    role: MessageRole
    ts: str
    carrier: Carrier
    shown: PageView | Attached | None = None
    """What Slack shows in it; None if that isn't known."""
