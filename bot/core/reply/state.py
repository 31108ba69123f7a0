"""One reply: what Slack should show, what it does show, and the next call that brings the two closer. Pure.

A `Reply` receives text from the model, the result of each call, and how the answer ends. From the text it derives the
desired messages: pages, then files. It remembers the displayed ones. `next_call()` compares both and returns one call,
in this order:

1. posts and updates of pages, from the first that differs;
2. the upload of files that belong below the pages;
3. deletions of messages that no longer belong to the reply.

A call that fails is not recorded as displayed, so the comparison finds the same difference again, with newer text. A
take-over starts from what an earlier attempt displayed (`Shown`). Full pages never change, so an edit
costs the same however long the answer is.
"""

from dataclasses import dataclass, field, replace

from bot.core import texts
from bot.core.conversation import Question
from bot.core.job import EndReason
from bot.core.outbox import OutboxKind
from bot.core.pacing import Urgency
from bot.core.reply import attachments
from bot.core.reply.attachments import Attached, AttachedFile
from bot.core.reply.forms import MOST_REPLACED_IN_ALL, FormFallback
from bot.core.reply.pages import Page, Pages
from bot.errors import Refusal

MOST_PAGES = 5
"""A longer answer comes as a file, and only its first pages are messages."""
UPLOAD_TRIES = 3


@dataclass(frozen=True, slots=True)
class View:
    """What one page shows."""

    markdown: str
    growing: bool = False
    """More text may follow on this page."""
    queued: bool = False
    """The question is queued."""
    notice: str = ""
    """A sentence below the text, about the answer and not part of it."""
    ended: EndReason | None = None
    """Set on the last page once nothing will follow."""
    footer: str = ""
    """The line below an ended answer that names its model."""
    previous: bool = False
    """An earlier version of the answer is on record."""
    plain: bool = False
    """Sent without blocks, because Slack refused them."""
    end_chars: int = field(default=0, compare=False)
    """Characters of the answer that are shown up to the end of this page."""
    version: int = 0
    """The answer's version."""

    @property
    def live(self) -> bool:
        """Whether the answer still grows, on this page or a later one."""
        return self.growing or self.notice == texts.WRITING_LONG


@dataclass(frozen=True, slots=True)
class Ending:
    """How an answer ended, as its readers see it."""

    notice: str = ""
    end: EndReason = EndReason.WHOLE
    footer: str = ""
    previous: bool = False
    """An earlier version of the answer is on record."""

    @property
    def partial(self) -> bool:
        """Whether the text is incomplete. Then an earlier attempt's text stays if it is longer."""
        return self.end.is_partial


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

    def part(self, text: str) -> str:
        """Returns what stays of an incomplete answer: its text, or an earlier attempt's if that is longer."""
        return self.text if len(text) < max(self.chars, len(self.text)) and self.text else text


@dataclass(frozen=True, slots=True)
class Post:
    """Posts a page as a new message."""

    question: Question
    page: int
    view: View


@dataclass(frozen=True, slots=True)
class Update:
    """Edits a page's message."""

    question: Question
    page: int
    ts: str
    view: View


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


Call = Post | Update | Upload | Delete


class Reply:
    """The reply to one question.

    `shown`: what an earlier attempt displayed. It stays until this attempt's text is longer, unless it is outdated.
    `queued`: only the placeholder of a queued question is shown.
    """

    def __init__(self, question: Question, shown: Shown = Shown(), *, queued: bool = False, version: int = 0) -> None:
        self.question = question
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
        self._pages = Pages()
        self._ending: Ending | None = None
        self.queued = queued
        self._full_chars = self._pages.limit_chars
        self._ts: list[str] = list(shown.page_ts)
        self._shown: list[View | None] = [None] * len(shown.page_ts)
        self._earlier = shown
        self._chars = 0
        self._settled = 0
        self._replaced_ts: list[str] = []
        self._files: tuple[AttachedFile, ...] = ()
        self._attached: list[Attached] = list(shown.attached)
        self._upload_tries = UPLOAD_TRIES
        self._keeps_earlier_text = False

    @property
    def page_ts(self) -> tuple[str, ...]:
        """The messages that show the reply, in order."""
        return (*self._ts, *self._outside_thread)

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
        return self._ending is not None

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
        if self.ended:
            return Urgency.FINAL
        return Urgency.PROGRESS if isinstance(call, Update) and self.begun else Urgency.FIRST

    def append(self, delta: str) -> None:
        """Adds text from the model."""
        self._chars += len(delta)
        self._pages.append(delta)

    def finish(self, ending: Ending) -> None:
        """Records how the answer ended; no more text will come."""
        if ending.partial and (longer := self._earlier.part(text := self._pages.text())) != text:
            self._pages = Pages(self._pages.limit_chars, self._form.page_bytes)
            self._pages.append(longer)
            self._keeps_earlier_text = True
        self._ending = ending
        self._close()

    def next_call(self) -> Call | None:
        """Returns the call that brings Slack closest to what it should show, or None if Slack shows it."""
        if self.gone or self.unshown:
            return None
        if self._outside_thread:
            return Delete(self.question, self._outside_thread[0])
        is_longer = self._chars > self._earlier.chars or self._outdated
        if self._ts and not self.ended and not is_longer:
            return None
        return self._next_page() or self._next_other_call()

    def _next_page(self) -> Call | None:
        may_edit = self.ended or self._form.may_edit
        for page in range(self._settled, self._last + 1):
            view = self._view(page)
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
        if surplus := self._replaced_ts or self._ts[self._last + 1 :]:
            return Delete(self.question, surplus[0])
        return self._delete_of_files()

    def confirmed(self, call: Call, ts: str) -> None:
        """Records that Slack did a call; `ts` is the message's, "" if it isn't known."""
        if isinstance(call, Post | Update):
            self._succeeded()
        match call:
            case Post(page=page, view=view):
                self._ts.append(ts)
                self._shown.append(view)
                self._settle(page)
            case Update(page=page, view=view):
                if page < len(self._ts) and self._ts[page] == call.ts:
                    self._shown[page] = view
                    self._settle(page)
            case Upload(files=files):
                self._attached.append(Attached(ts, (), attachments.keys(files)))
            case Delete():
                self._forget(call.ts)

    def found(self, ts: str) -> None:
        """Records that a post whose answer was lost was done, whatever text it carried.

        A queued question's placeholder isn't edited later: once it is recorded, another process may own it.
        """
        self._shown.append(self._view(len(self._ts)) if self.queued else None)
        self._ts.append(ts)

    def refused(self, call: Call, reason: Refusal) -> None:
        """Records that Slack refused a call: the next call has another form, or is the same again."""
        if isinstance(call, Upload):
            self._refused_upload(reason)
        elif isinstance(call, Delete):
            if not reason.may_pass:
                self._forget(call.ts)
        elif reason.may_pass:
            self._escalate(call, reason)
        elif reason.is_gone:
            self.gone = True
        elif isinstance(call, Update) and reason in (Refusal.UNEDITABLE, Refusal.FORBIDDEN):
            self._replace(call.page)
        elif self._form.rejected(reason, self._pages.limit_chars):
            self._reform(call.page)
        else:
            self.unshown = True

    def posted_outside_thread(self, ts: str) -> None:
        """Records a page that Slack posted outside its thread: it is deleted, and the reply ends."""
        self._outside_thread.append(ts)

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
        self._replaced_ts += self._ts[page:]
        del self._ts[page:], self._shown[page:]
        self._settled = min(self._settled, page)
        self._form.replaced += 1

    @property
    def _last(self) -> int:
        """The last page that is shown. What comes after the fifth is in a file, unless Slack accepts no files."""
        full = len(self._pages.full)
        return min(full, MOST_PAGES - 1) if self._upload_tries else full

    def _view(self, page: int) -> View:
        shown = self._page(page)
        view = View(shown.markdown, plain=self._form.plain, end_chars=shown.end, version=self._version)
        if page < self._last:
            return view
        if self._ending and not self._missing():
            notices = (self._ending.notice, attachments.notice_of(self._files))
            view = replace(view, notice=" ".join(filter(None, notices)), footer=self._ending.footer)
            return replace(view, ended=self._ending.end, previous=self._ending.previous)
        if page < len(self._pages.full):
            return replace(view, notice=texts.WRITING_LONG)
        return replace(view, growing=True, queued=self.queued)

    def _page(self, page: int) -> Page:
        return self._pages.full[page] if page < len(self._pages.full) else self._pages.growing

    def _settle(self, page: int) -> None:
        """Marks a full page as final once Slack shows it, so that it isn't compared again."""
        if page == self._settled and page < self._last and self._shown[page] == self._view(page):
            self._settled += 1

    def _close(self) -> None:
        """Completes the pages, and decides which files belong below them."""
        self._pages.close()
        self._settled = min(self._settled, len(self._pages.full))
        if not self._upload_tries or not self._pages.full:
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
        """Lays the text out again from a page on, in the current form."""
        old = self._pages
        page_chars = self._form.page_chars(self._full_chars)
        self._pages = Pages(page_chars, self._form.page_bytes, first=replace(self._page(page), source=""))
        self._pages.full = old.full[:page]
        self._pages.append(old.text(page))
        self._settled = min(self._settled, page)
        if self.ended:
            self._close()

    def _forget(self, ts: str) -> None:
        if ts in self._outside_thread:
            self._outside_thread.remove(ts)
            self.gone = True
        elif ts in self._replaced_ts:
            self._replaced_ts.remove(ts)
        elif ts in self._ts:
            at = self._ts.index(ts)
            del self._ts[at], self._shown[at]
        self._attached = [message for message in self._attached if message.ts != ts]
