"""One reply: what Slack should show, what it does show, and the next call that brings the two closer. Pure.

A `Reply` receives text from the model, the result of each call, and how the answer ends. From the text it derives the
desired messages: pages, then files. It remembers the displayed ones. `next_call()` compares both and returns one call,
in this order:

1. posts and updates of pages, from the first that differs;
2. the upload of files that belong below the pages;
3. deletions of messages that no longer belong to the reply.

A page can also travel by a native stream (core/carriers.py): a start, appends, and a stop. What was appended stays, so
only text that can't change anymore is appended (markdown/stable.py). Whatever goes wrong with a stream ends in the
same way: it is stopped, and the page is edited as a whole. So a stream needs to be right only about what it has
appended, and an edit covers all else.

A call that fails is not recorded as displayed, so the comparison finds the same difference again, with newer text. A
take-over starts from what an earlier attempt displayed (`Shown`). Full pages never change, so an edit
costs the same however long the answer is. A page is laid out once all before it are displayed, so no step lays out
more than one: not a long delta, nor another form, nor the end.
"""

from dataclasses import dataclass, field, replace
from enum import Enum, auto

from bot.core import texts
from bot.core.carriers import MOST_CONFLICTS, STREAM_BYTES, Carrier
from bot.core.conversation import Question
from bot.core.job import End, EndReason
from bot.core.outbox import OutboxKind
from bot.core.pacing import Urgency
from bot.core.reply import attachments
from bot.core.reply.approvals import Ask
from bot.core.reply.attachments import Attached, AttachedFile
from bot.core.reply.forms import MOST_REPLACED_IN_ALL, FormFallback
from bot.core.reply.markdown.render import rendered
from bot.core.reply.markdown.stable import has_definitions, stable_prefix
from bot.core.reply.pages import Page, Pages
from bot.errors import Refusal

MOST_PAGES = 5
"""A longer answer comes as a file, and only its first pages are messages."""
UPLOAD_TRIES = 3
EDITS_AFTER_A_STEP = 2
"""After so many edits without a new search or call, the reply is edited as often as any other."""
UNEDITABLE = (Refusal.UNEDITABLE, Refusal.FORBIDDEN, Refusal.STREAM_OPEN, Refusal.STREAM_CLOSED)
"""Refusals of an edit after which a new message takes the old one's place."""


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
    """The page is full, and the answer that still grows will come as a file below it."""
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
    """Messages that newer ones with the answer's end have replaced, and that are not deleted yet."""
    stream_page: int | None = None
    """The first page that holds no more than a stream carries, if there is one. All later pages do the same."""

    @property
    def is_settled(self) -> bool:
        """Whether Slack shows the answer's end, and no message beside it."""
        return self.ended is not None and not self.replaced_ts

    def part(self, text: str) -> str:
        """Returns what stays of an incomplete answer: its text, or an earlier attempt's if that is longer."""
        return self.text if len(text) < max(self.chars, len(self.text)) and self.text else text


@dataclass(frozen=True, slots=True)
class Post:
    """Posts a page as a new message."""

    question: Question
    page: int
    view: PageView


@dataclass(frozen=True, slots=True)
class Update:
    """Edits a page's message."""

    question: Question
    page: int
    ts: str
    view: PageView


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
    """As for StopStream: a message that is an open stream is stopped before it is deleted."""


@dataclass(frozen=True, slots=True)
class StartStream:
    """Shows a page's first words in a new message that grows by appends. `text` is filled in when it leaves."""

    question: Question
    page: int
    view: PageView
    text: str = ""


@dataclass(frozen=True, slots=True)
class AppendStream:
    """Appends to a page that a stream carries. `text` is filled in when it leaves."""

    question: Question
    page: int
    ts: str
    view: PageView
    text: str = ""


@dataclass(frozen=True, slots=True)
class StopStream:
    """Appends the rest of a page and what belongs below it, and stops the stream; without a view it only stops it."""

    question: Question
    page: int
    ts: str
    view: PageView | None = None
    text: str = ""
    keeps_stop: bool = field(default=False, compare=False)
    """The answer goes on, and Slack's own Stop stays. Otherwise Slack removes it with the stream."""


Call = Post | Update | Upload | Delete | StartStream | AppendStream | StopStream


@dataclass(slots=True)
class OpenStream:
    """A page's message that Slack lets grow, and what it shows."""

    page: int
    ts: str
    sent: str
    is_broken: bool = False
    """It is stopped, and an edit shows the whole page: what Slack shows isn't known, or has to change."""


class Streaming(Enum):
    """Where a reply's stream stands."""

    NO = auto()
    STARTING = auto()
    OPEN = auto()


class Reply:
    """The reply to one question.

    `shown`: what an earlier attempt displayed. It stays until this attempt's text is longer, unless it is outdated.
    `queued`: only the placeholder of a queued question is shown.
    `has_stop`: Slack shows its own Stop while the answer grows.
    """

    def __init__(
        self,
        question: Question,
        shown: Shown = Shown(),
        *,
        queued: bool = False,
        version: int = 0,
        has_stop: bool = False,
    ) -> None:
        self.question = question
        self.has_stop = has_stop
        """Slack shows its own Stop while the answer grows."""
        self._version = version
        self._outdated = shown.outdated
        self.gone = False
        """The reply's messages were deleted, or its channel is closed to Typist."""
        self.unshown = False
        """Slack refused the reply for minutes, or for good. No more calls are made; the outbox shows the end later."""
        self._form = FormFallback()
        self._reduced_page = 0
        """Pages from here on are sent in the reduced form."""
        self._skips_deletions = False
        """Slack refused a deletion for minutes, so no more deletions are sent."""
        self._outside_thread: list[str] = []
        """Pages that Slack posted at the channel's root, because their thread was deleted."""
        self._pages = Pages(max_full=1)
        self._end: End | None = None
        self._asks: tuple[Ask, ...] = ()
        self._has_acted = False
        """There was an activity to show, so that an edit may show no more text than an earlier attempt."""
        self.queued = queued
        self._full_chars = self._pages.limit_chars
        self._ts: list[str] = list(shown.page_ts)
        self._shown: list[PageView | None] = [None] * len(shown.page_ts)
        self._earlier = shown
        self._chars = 0
        self._activity = ""
        self._edits_since_step = EDITS_AFTER_A_STEP
        """How often the reply was edited since a search or a call last began or ended."""
        self._settled = 0
        self._replaced_ts: list[str] = list(shown.replaced_ts)
        self._files: tuple[AttachedFile, ...] = ()
        self._attached: list[Attached] = list(shown.attached)
        self._upload_tries = UPLOAD_TRIES
        self._keeps_earlier_text = False
        self._is_posted_anew = False
        self._stream: OpenStream | None = None
        self._carried_page = -1
        """The last page whose carrier was chosen."""
        self._starts_page = -1
        """The page that a stream is about to carry."""
        self._stop_ts: list[str] = []
        """The placeholder above a stream: its button stops the answer, because a stream has no buttons."""
        self._points_below = True
        """The placeholder above a stream says that the answer is being written below, or never will."""
        self._conflicts = 0
        """How often Slack refused an edit because the message still grows as a stream."""
        self._stream_page = shown.stream_page
        """The first page that holds no more than a stream carries. A take-over breaks the pages where they were."""

    @property
    def page_ts(self) -> tuple[str, ...]:
        """The messages that show the reply, in order."""
        return (*self._ts, *self._stop_ts, *self._outside_thread)

    @property
    def text(self) -> str:
        """The answer's text so far."""
        return self._pages.text()

    @property
    def streaming(self) -> Streaming:
        """Which calls a stream of this reply still needs."""
        if self._stream is not None:
            return Streaming.OPEN
        return Streaming.STARTING if self._starts_page >= 0 and not self.ended else Streaming.NO

    @property
    def replaced_ts(self) -> tuple[str, ...]:
        """Messages that were replaced by new ones and have to be deleted."""
        return tuple(self._replaced_ts)

    @property
    def file_ts(self) -> tuple[str, ...]:
        """The messages that show the reply's files."""
        return tuple(message.ts for message in self._attached)

    @property
    def ended(self) -> bool:
        """Whether no more text will come, shown or not."""
        return self._end is not None

    @property
    def begun(self) -> bool:
        """Whether Slack shows some of the text, or the end."""
        return any(view is not None and (view.markdown or not view.growing) for view in self._shown)

    @property
    def placeholder_shown(self) -> bool:
        """Whether a queued question's placeholder is shown, or never will be."""
        is_shown = bool(self._ts) and not (self._outdated and self._shown[0] is None)
        return self.queued and (is_shown or self.gone or self.unshown)

    @property
    def leftover(self) -> OutboxKind | None:
        """The work that remains for the outbox: showing the end, or deleting pages at the channel's root."""
        if self._outside_thread:
            return OutboxKind.DELETE_REPLY
        return OutboxKind.SHOW_END if self.unshown or (self._skips_deletions and not self.gone) else None

    @property
    def finished(self) -> bool:
        """Whether the reply needs no more calls."""
        return self.gone or self.unshown or (self.ended and self.next_call() is None)

    def urgency_of(self, call: Call) -> Urgency:
        """Returns the urgency of a call."""
        if self.ended or isinstance(call, StopStream):
            return Urgency.FINAL
        is_edit = (
            isinstance(call, Update)
            and not self._is_pointer(call)
            and (self.begun or call.view.activity)
            and not call.view.asks
        )
        if is_edit and self._edits_since_step < EDITS_AFTER_A_STEP:
            return Urgency.STEP
        is_progress = is_edit or (isinstance(call, AppendStream) and self.begun)
        return Urgency.PROGRESS if is_progress else Urgency.FIRST

    def append(self, delta: str) -> None:
        """Adds text from the model."""
        self._chars += len(delta)
        self._pages.append(delta)
        self._keep_to_streams()

    def show_activity(self, activity: str, asks: tuple[Ask, ...] = ()) -> None:
        """Shows what the model is doing, or what it asks, below the text; "" shows that it writes again."""
        if (activity, asks) != (self._activity, self._asks):
            self._edits_since_step = 0
        self._activity, self._asks = activity, asks
        self._has_acted = self._has_acted or bool(activity or asks)

    def finish(self, end: End) -> None:
        """Records how the answer ended; no more text will come."""
        if end.reason.is_partial and (longer := self._earlier.part(text := self._pages.text())) != text:
            self._settled = 0
            self._pages = Pages(self._pages.limit_chars, self._form.page_bytes, max_full=1)
            self._pages.append(longer)
            self._keep_to_streams()
            self._keeps_earlier_text = True
        self._end = end
        self._close()
        self._settle()

    def next_call(self) -> Call | None:
        """Returns the call that brings Slack closest to what it should show, or None if Slack shows it."""
        if self.gone or self.unshown:
            return None
        if self._outside_thread:
            return Delete(self.question, self._outside_thread[0], keeps_stop=self.keeps_stop)
        is_longer = self._chars > self._earlier.chars or self._outdated
        is_longer = is_longer or (self._has_acted and self._chars == self._earlier.chars)
        if self._ts and not self.ended and not is_longer:
            return None
        return self._next_page() or self._next_other_call()

    @property
    def keeps_stop(self) -> bool:
        """Whether Slack's own Stop stays when a stream is stopped: the answer goes on."""
        return self.has_stop and not self.ended

    def pointer_below(self) -> Update | None:
        """Returns the edit by which the placeholder above a stream says where the answer is; None if it needs none.

        It is no part of `next_call`, because nothing waits for it: without it, the placeholder says "Thinking…".
        """
        stream = self._stream
        if self._points_below or stream is None or stream.is_broken or self.ended or self.gone or self.unshown:
            return None
        view = PageView("", growing=True, activity=texts.WRITING_BELOW, version=self._version)
        return Update(self.question, 0, self._stop_ts[0], view)

    def _is_pointer(self, call: Call) -> bool:
        return isinstance(call, Update) and call.ts in self._stop_ts

    def _next_page(self) -> Call | None:
        may_edit = self.ended or self._form.may_edit
        stream = self._stream
        if stream and (stream.is_broken or stream.page > self._last):
            return StopStream(self.question, stream.page, stream.ts, keeps_stop=self.keeps_stop)
        for page in range(self._settled, self._last + 1):
            view = self._view(page)
            if stream and page == stream.page:
                if not view.growing:
                    return StopStream(self.question, page, stream.ts, view, keeps_stop=self.keeps_stop)
                return AppendStream(self.question, page, stream.ts, view) if self._shown[page] != view else None
            if page == self._starts_page and view.growing:
                if not (self.has_stop or self.page_ts):
                    return Post(self.question, page, PageView("", growing=True, version=self._version))
                return StartStream(self.question, page, view)
            if page >= len(self._ts):
                return Post(self.question, page, view)
            if self._shown[page] != view and may_edit:
                return Update(self.question, page, self._ts[page], view)
        return None

    def _next_other_call(self) -> Call | None:
        """Returns the next call that is not about a page: files to share, and messages to delete."""
        if missing := self._missing():
            return Upload(self.question, missing)
        if self._skips_deletions:
            return None
        is_needed = self._stream and not (self.ended or self.has_stop)
        buttons = [] if is_needed else self._stop_ts
        unused = [] if self._has_more_pages else self._ts[self._last + 1 :]
        if surplus := self._replaced_ts or unused or buttons:
            return Delete(self.question, surplus[0], keeps_stop=self.keeps_stop)
        return self._delete_of_files()

    def confirmed(self, call: Call, ts: str) -> None:
        """Records that Slack did a call; `ts` is the message's, "" if it isn't known."""
        if self._is_pointer(call):
            self._points_below = True
            return
        if isinstance(call, Post | Update):
            self._succeeded()
            self._starts_page = -1 if call.view.markdown else self._starts_page
        match call:
            case Post(page=page, view=view):
                self._ts.append(ts)
                self._shown.append(view)
                self._settle()
            case Update(page=page, view=view):
                self._edits_since_step += 1
                if page < len(self._ts) and self._ts[page] == call.ts:
                    self._shown[page] = view
                    self._settle()
            case Upload(files=files):
                self._attached.append(Attached(ts, (), attachments.keys(files)))
            case Delete():
                self._forget(call.ts)
            case StartStream() | AppendStream() | StopStream():
                self._confirmed_in_stream(call, ts)

    def _confirmed_in_stream(self, call: StartStream | AppendStream | StopStream, ts: str) -> None:
        match call:
            case StartStream(page=page, view=view, text=text):
                if page < len(self._ts):
                    self._stop_ts.append(self._ts.pop())
                    self._shown.pop()
                    self._points_below = self.has_stop
                self._ts.append(ts)
                self._shown.append(view)
                self._stream, self._starts_page = OpenStream(page, ts, text), -1
            case AppendStream(page=page, view=view, text=text):
                if self._stream and self._stream.ts == call.ts:
                    self._stream.sent += text
                    self._shown[page] = view
            case StopStream(view=view):
                self._closed(call.ts, view)

    def _closed(self, ts: str, view: PageView | None = None) -> None:
        """Records that a message is no open stream anymore; without a view, an edit follows."""
        self._stream = None
        if ts in self._ts:
            page = self._ts.index(ts)
            self._shown[page] = view
            self._settle()

    def found(self, ts: str) -> None:
        """Records that a post whose answer was lost was done, whatever text it carried.

        A queued question's placeholder isn't edited later: once it is recorded, another process may own it.
        """
        self._shown.append(self._view(len(self._ts)) if self.queued else None)
        self._ts.append(ts)

    def refused(self, call: Call, reason: Refusal) -> None:
        """Records that Slack refused a call: the next call has another form, or is the same again."""
        if isinstance(call, Upload | Delete) or self._is_pointer(call):
            self._refused_other(call, reason)
        elif isinstance(call, StartStream | AppendStream | StopStream):
            self._refused_in_stream(call, reason)
        elif reason is Refusal.STREAM_OPEN and isinstance(call, Update) and self._conflicts < MOST_CONFLICTS:
            self._conflicts += 1
            self._stream = OpenStream(call.page, call.ts, "", is_broken=True)
        elif reason.may_pass:
            self._escalate(call, reason)
        elif reason.is_gone:
            self.gone = True
        elif isinstance(call, Update) and reason in UNEDITABLE:
            self._replace(call.page)
        elif self._form.rejected(reason, self._pages.limit_chars):
            self._reform(call.page)
        else:
            self.unshown = True

    def _refused_other(self, call: Call, reason: Refusal) -> None:
        """Records that Slack refused a call that is not about a page."""
        match call:
            case Upload():
                self._refused_upload(reason)
            case Update():
                self._points_below = True
            case Delete() if not reason.may_pass:
                self._forget(call.ts)

    def _refused_in_stream(self, call: StartStream | AppendStream | StopStream, reason: Refusal) -> None:
        """Records that Slack refused a call of a stream: edits go on, once the stream is stopped."""
        if isinstance(call, StartStream):
            self._starts_page = -1
        elif reason.is_gone:
            self.gone = True
        elif reason is Refusal.STREAM_CLOSED or (
            isinstance(call, StopStream) and call.view is None and not reason.may_pass
        ):
            self._closed(call.ts)
        else:
            self.leave_stream()

    def may_start_stream(self, call: Call) -> bool:
        """Whether a call begins a page that a stream may carry, and whose carrier isn't chosen yet.

        A stream needs a Stop beside it: Slack's own, or the placeholder's.
        """
        if not isinstance(call, Post | Update) or call.page <= self._carried_page or self._stream or self.ended:
            return False
        if not (call.view.growing and call.view.markdown) or self._version or self._form.is_reduced or self._form.plain:
            return False
        if isinstance(call, Update):
            shown = self._shown[call.page]
            return call.page == 0 and shown is not None and shown.growing and not (shown.markdown or shown.queued)
        return self.has_stop or bool(self._stop_ts) or not self._ts

    def carry(self, page: int, carrier: Carrier) -> None:
        """Records what carries a page that begins."""
        self._carried_page = page
        if carrier is Carrier.STREAM:
            self._starts_page = page
            self._stream_page = page if self._stream_page is None else self._stream_page
            self._keep_to_streams()

    def leave_stream(self) -> None:
        """Has the open stream stopped, and its page edited from now on."""
        if self._stream is not None:
            self._stream.is_broken = True

    def rate_limited(self, call: Call) -> None:
        """Records that Slack limits the rate of a call's method: a stream that can't start leaves its page to edits."""
        if isinstance(call, StartStream):
            self._starts_page = -1

    def filled(self, call: Call) -> Call | None:
        """Returns the call with its text, None if there is nothing to append yet, or another call is needed first."""
        match call:
            case StartStream(view=view):
                text = stable_prefix(view.markdown)
                return replace(call, text=text) if text else None
            case AppendStream(view=view) | StopStream(view=PageView() as view):
                # Whether Slack finds a definition that comes later in a stream is not known. In an edit it does.
                if has_definitions(view.markdown):
                    self.leave_stream()
                    return None
                if isinstance(call, AppendStream):
                    more = self._rest(stable_prefix(view.markdown))
                    return replace(call, text=more) if more else None
                rest = self._rest(rendered(view.markdown, growing=False))
                if rest is None:
                    self.leave_stream()
                    return None
                return replace(call, text=rest)
        return call

    def _rest(self, text: str) -> str | None:
        """Returns what remains to be appended of a text; None if something else was appended."""
        stream = self._stream
        if stream and text.startswith(stream.sent):
            return text[len(stream.sent) :]
        if not (stream and stream.sent.startswith(text)):
            self.leave_stream()
        return None

    def posted_outside_thread(self, ts: str) -> None:
        """Records a page that Slack posted outside its thread: it is deleted, and the reply ends."""
        self._outside_thread.append(ts)

    def may_be_posted_anew(self, call: Call) -> bool:
        """Whether a call is the edit of an ended answer's page that a new message may replace, which happens once."""
        return isinstance(call, Update) and self.ended and not self._is_posted_anew

    def post_anew(self, page: int) -> None:
        """Has new messages show a page and all later ones, because edits are spent. The old ones are deleted then."""
        self._is_posted_anew = True
        self._abandon_messages(page)

    def give_up(self) -> None:
        """Ends the reply without its next call, which Slack has refused for minutes."""
        match self.next_call():
            case Delete() if not self._outside_thread:
                self._skips_deletions = True
            case Upload():
                self._refused_upload(Refusal.FORBIDDEN)
            case _:
                self.unshown = True

    def _escalate(self, call: Post | Update, reason: Refusal) -> None:
        before, was_reduced = self._form.form, self._form.is_reduced
        is_replaced = self._form.escalated(reason, editing=isinstance(call, Update))
        if self._form.form is not before:
            self._reduced_page = min(call.page, self._reduced_page) if was_reduced else call.page
            self._reform(self._reduced_page)
        if is_replaced:
            self._replace(call.page)

    def _succeeded(self) -> None:
        before = self._form.form
        self._form.succeeded()
        if self._form.form is not before:
            self._reform(self._reduced_page)

    def _replace(self, page: int) -> None:
        """Replaces the messages of a page and of all later ones by new messages."""
        if self._form.replaced >= MOST_REPLACED_IN_ALL:
            self.unshown = True
            return
        self._abandon_messages(page)
        self._form.replaced += 1

    def _abandon_messages(self, page: int) -> None:
        """Has a page and all later ones posted again: the pages' order stays."""
        if any(self._stream and self._stream.ts == ts for ts in self._ts[page:]):
            self.leave_stream()
        self._replaced_ts += self._ts[page:]
        del self._ts[page:], self._shown[page:]
        self._settled = min(self._settled, page)

    @property
    def _last(self) -> int:
        """The last page that is shown. What comes after the fifth is in a file, unless Slack accepts no files."""
        last = len(self._pages.full) - (not self._pages.is_complete)
        return min(last, MOST_PAGES - 1) if self._upload_tries else last

    def _view(self, page: int) -> PageView:
        shown = self._page(page)
        view = PageView(shown.markdown, plain=self._form.plain, end_chars=shown.end, version=self._version)
        view = replace(view, for_stream=self._is_for_stream(page))
        if self._is_full(page):
            return view
        if self._end and not self._missing():
            notices = (self._end.notice, attachments.notice_of(self._files))
            return replace(view, end=replace(self._end, notice=" ".join(filter(None, notices))))
        if page < len(self._pages.full):
            return replace(view, rest_in_file=True, has_stop=self.has_stop)
        # While calls wait for a decision, nothing is processing, so Slack shows no Stop.
        view = replace(view, growing=True, queued=self.queued, has_stop=self.has_stop and not self._asks)
        return replace(view, activity=self._activity, asks=self._asks)

    def _page(self, page: int) -> Page:
        return self._pages.full[page] if page < len(self._pages.full) else self._pages.growing

    def _settle(self) -> None:
        """Marks full pages as final once Slack shows them, so that they aren't compared again, and lays out the next.

        While a page is not final, Slack has a call to make for it: nothing else would lay out the rest.
        """
        while self._settled < len(self._shown) and self._is_final(self._settled):
            self._settled += 1
            if self._has_more_pages and self._settled > self._last:
                self._pages.lay_out(self._settled + 1)
                self._keep_to_streams()
                if self.ended:
                    self._close()

    def _is_final(self, page: int) -> bool:
        """Whether Slack shows a full page as it stays."""
        return self._is_full(page) and self._shown[page] == self._view(page)

    def _is_full(self, page: int) -> bool:
        """Whether a page is followed by another one."""
        return page < self._last or self._has_more_pages

    @property
    def _has_more_pages(self) -> bool:
        """Whether messages follow whose pages aren't laid out. Without files, they hold the whole answer."""
        is_cut = self._upload_tries and len(self._pages.full) >= MOST_PAGES
        return not (is_cut or self._pages.is_complete)

    def _close(self) -> None:
        """Completes the pages, and decides which files belong below them."""
        self._pages.close()
        self._settled = min(self._settled, len(self._pages.full))
        if not self._upload_tries or not self._pages.full or self._has_more_pages:
            self._files = ()
            return
        text, ts = self._pages.text(), self.question.ts
        whole = [attachments.whole_answer(text, ts)] if len(self._pages.full) >= MOST_PAGES else []
        self._files = (*whole, *attachments.long_code(text, ts))

    def _missing(self) -> tuple[AttachedFile, ...]:
        """Returns the files that Slack doesn't show yet."""
        wanted = attachments.keys(self._files)
        shown = set[attachments.FileKey]().union(*(m.files for m in self._attached if m.files <= wanted))
        return tuple(file for file in self._files if file.key not in shown)

    def _delete_of_files(self) -> Delete | None:
        """Returns the deletion of files that belong to an earlier attempt's text."""
        if self._keeps_earlier_text or not (self.ended or self._outdated):
            return None
        wanted = attachments.keys(self._files)
        surplus = next((message for message in self._attached if not message.files <= wanted), None)
        return Delete(self.question, surplus.ts, surplus.file_ids) if surplus else None

    def _refused_upload(self, reason: Refusal) -> None:
        """Records that an upload was refused. Without files, the whole text is shown in pages."""
        self._upload_tries = self._upload_tries - 1 if reason.may_pass else 0
        if not self._upload_tries:
            self._files = ()

    def _reform(self, page: int) -> None:
        """Lays the text out again from a page on, in the current form, as far as the pages before it are shown."""
        old = self._pages
        page_chars = self._form.page_chars(self._full_chars)
        page_bytes = self._form.page_bytes
        if self._is_for_stream(page):
            page_bytes = min(page_bytes, STREAM_BYTES)
        first = replace(self._page(page), source="")
        self._settled = min(self._settled, page)
        self._pages = Pages(page_chars, page_bytes, first, max_full=self._settled + 1)
        self._pages.full = old.full[:page]
        self._pages.append(old.text(page))
        self._keep_to_streams()
        if self.ended:
            self._close()
        self._settle()

    def _is_for_stream(self, page: int) -> bool:
        return self._stream_page is not None and page >= self._stream_page

    def _keep_to_streams(self) -> None:
        """Lays out the first page for a stream and all later ones as such, once the text reaches them."""
        if self._is_for_stream(len(self._pages.full)) and self._pages.limit_bytes > STREAM_BYTES:
            self._reform(self._stream_page or 0)

    def _forget(self, ts: str) -> None:
        if ts in self._outside_thread:
            self._outside_thread.remove(ts)
            self.gone = True
        elif ts in self._replaced_ts:
            self._replaced_ts.remove(ts)
        elif ts in self._ts:
            at = self._ts.index(ts)
            del self._ts[at], self._shown[at]
        elif ts in self._stop_ts:
            self._stop_ts.remove(ts)
        self._attached = [message for message in self._attached if message.ts != ts]
