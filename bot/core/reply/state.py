"""What Slack should show for a question and what it does show: the difference is the next call. Pure."""

from dataclasses import dataclass, field, replace

from bot.core import texts
from bot.core.conversation import Question
from bot.core.job import EndReason
from bot.core.outbox import OutboxKind
from bot.core.pacing import Urgency
from bot.core.reply import attachments
from bot.core.reply.attachments import Attached, AttachedFile
from bot.core.reply.forms import MOST_REPLACED_IN_ALL, FormLadder
from bot.core.reply.pages import Page, Pages
from bot.errors import Refusal

MOST_PAGES = 5
"""A longer answer comes as a file; so many pages of it are shown."""
UPLOAD_TRIES = 3


@dataclass(frozen=True, slots=True)
class View:
    """What one page shows."""

    markdown: str
    growing: bool = False
    """More text may come on this page."""
    waiting: bool = False
    """Its turn has not come."""
    notice: str = ""
    """One plain sentence below the text, about the answer and never part of it."""
    ended: EndReason | None = None
    """The last page, and nothing will follow."""
    footer: str = ""
    """Who wrote the answer, in a few quiet words."""
    previous: bool = False
    """An earlier version of the answer is kept."""
    plain: bool = False
    """Without blocks, because Slack did not take them."""
    end_chars: int = field(default=0, compare=False)
    """How much of the answer's text is shown with it and the pages before, in characters."""
    version: int = 0
    """Of the answer."""

    @property
    def live(self) -> bool:
        """The answer is not at its end, though the page may be."""
        return self.growing or self.notice == texts.WRITING_LONG


@dataclass(frozen=True, slots=True)
class Ending:
    """How the answer ended, as far as the reader is told."""

    notice: str = ""
    end: EndReason = EndReason.WHOLE
    footer: str = ""
    previous: bool = False
    """An earlier version of the answer is kept."""

    @property
    def partial(self) -> bool:
        """The text is a part: what an earlier attempt left is kept, if it is more."""
        return self.end.is_partial


@dataclass(frozen=True, slots=True)
class Shown:
    """What Slack shows of a reply that an earlier attempt began."""

    page_ts: tuple[str, ...] = ()
    chars: int = 0
    """How much of the answer's text they show."""
    text: str = field(default="", repr=False)
    """What is on record of the answer; where they show more, what can be read in Slack."""
    ended: EndReason | None = None
    """Nothing would follow: only our record of that is missing."""
    attached: tuple[Attached, ...] = ()
    """Messages with its files."""
    outdated: bool = False
    """It is an earlier version's, and to be replaced at once."""

    def part(self, text: str) -> str:
        """What stays of a partial answer: its text, or what an earlier attempt left if that is more."""
        return self.text if len(text) < max(self.chars, len(self.text)) and self.text else text


@dataclass(frozen=True, slots=True)
class Post:
    """A new message for a page."""

    question: Question
    page: int
    view: View


@dataclass(frozen=True, slots=True)
class Update:
    """The page's message shows something else now."""

    question: Question
    page: int
    ts: str
    view: View


@dataclass(frozen=True, slots=True)
class Upload:
    """Files for below the pages, in one message."""

    question: Question
    files: tuple[AttachedFile, ...]


@dataclass(frozen=True, slots=True)
class Delete:
    """A message that is not the reply's any more goes away, with its files."""

    question: Question
    ts: str
    file_ids: tuple[str, ...] = ()


Call = Post | Update | Upload | Delete


class Reply:
    """One question's reply: told the text as it comes and what became of each call.

    A call that failed is just not recorded as shown, so that the next one carries the newest text.
    `shown`: what an earlier attempt left; it stays until the text of this one is longer, unless it is outdated.
    `waiting`: the placeholder says that its turn has not come.
    """

    def __init__(self, question: Question, shown: Shown = Shown(), *, waiting: bool = False, version: int = 0) -> None:
        self.question = question
        self._version = version
        self._outdated = shown.outdated
        self.gone = False
        """Nobody can read it any more."""
        self.unshown = False
        """Slack did not take it for minutes, or does not accept our token: nothing more is sent."""
        self._ladder = FormLadder()
        self._reduced_page = 0
        """From here on the ladder's form holds."""
        self._leaves_rest = False
        """Slack did not take a deletion for minutes: none is sent any more."""
        self._astray: list[str] = []
        """Posts that Slack put at the channel's root, because the thread was deleted."""
        self._pages = Pages()
        self._ending: Ending | None = None
        self.waiting = waiting
        self._full_chars = self._pages.limit_chars
        self._ts: list[str] = list(shown.page_ts)
        self._shown: list[View | None] = [None] * len(shown.page_ts)
        self._before = shown
        self._said = 0
        self._settled = 0
        self._orphans: list[str] = []
        self._files: tuple[AttachedFile, ...] = ()
        self._attached: list[Attached] = list(shown.attached)
        self._upload_tries = UPLOAD_TRIES
        self._fell_back = False

    @property
    def page_ts(self) -> tuple[str, ...]:
        """The messages that show the reply, in order."""
        return (*self._ts, *self._astray)

    @property
    def orphans(self) -> tuple[str, ...]:
        """Messages that others took the place of, and that are to be deleted."""
        return tuple(self._orphans)

    @property
    def file_ts(self) -> tuple[str, ...]:
        """The messages that show its files."""
        return tuple(each.ts for each in self._attached)

    @property
    def ended(self) -> bool:
        """Its text is complete, whether or not Slack shows it yet."""
        return self._ending is not None

    @property
    def begun(self) -> bool:
        """Some of its text, or its end, is shown."""
        return any(view is not None and (view.markdown or not view.growing) for view in self._shown)

    @property
    def announced(self) -> bool:
        """It waits for its turn, and says so; or it can't."""
        told = bool(self._ts) and not (self._outdated and self._shown[0] is None)
        return self.waiting and (told or self.gone or self.unshown)

    @property
    def leftover(self) -> OutboxKind | None:
        """What the outbox is to do later: say the reply's end, or take away what stands at the channel's root."""
        if self._astray:
            return OutboxKind.DELETE_REPLY
        return OutboxKind.SHOW_END if self.unshown or (self._leaves_rest and not self.gone) else None

    @property
    def finished(self) -> bool:
        """Nothing is left to be done for it."""
        return self.gone or self.unshown or (self.ended and self.next_call() is None)

    def urgency_of(self, call: Call) -> Urgency:
        """Returns what a call is for."""
        if self.ended:
            return Urgency.FINAL
        return Urgency.PROGRESS if isinstance(call, Update) and self.begun else Urgency.FIRST

    def append(self, delta: str) -> None:
        """The model said more."""
        self._said += len(delta)
        self._pages.append(delta)

    def finish(self, ending: Ending) -> None:
        """No more text will come."""
        if ending.partial and (kept := self._before.part(text := self._pages.text())) != text:
            self._pages = Pages(self._pages.limit_chars, self._ladder.page_bytes)
            self._pages.append(kept)
            self._fell_back = True
        self._ending = ending
        self._close()

    def next_call(self) -> Call | None:
        """The one call that brings Slack nearest to what it should show; None when it does."""
        if self.gone or self.unshown:
            return None
        if self._astray:
            return Delete(self.question, self._astray[0])
        said_more = self._said > self._before.chars or self._outdated
        if self._ts and not self.ended and not said_more:
            return None
        return self._next_page() or self._next_beside()

    def _next_page(self) -> Call | None:
        may_edit = self.ended or self._ladder.may_edit
        for page in range(self._settled, self._last + 1):
            view = self._view(page)
            if page >= len(self._ts):
                return Post(self.question, page, view)
            if self._shown[page] != view and may_edit:
                return Update(self.question, page, self._ts[page], view)
        return None

    def _next_beside(self) -> Call | None:
        """Files, and what is to go."""
        if missing := self._missing():
            return Upload(self.question, missing)
        if self._leaves_rest:
            return None
        if surplus := self._orphans or self._ts[self._last + 1 :]:
            return Delete(self.question, surplus[0])
        return self._delete_of_files()

    def confirmed(self, call: Call, ts: str) -> None:
        """Slack did it; `ts` is the message's, "" where it is not known."""
        if isinstance(call, Post | Update):
            self._worked()
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
        """A post whose answer was lost turns out to have been done, whatever it showed.

        A sign is not written again: once it is on record, the message may be another process's to write in.
        """
        self._shown.append(self._view(len(self._ts)) if self.waiting else None)
        self._ts.append(ts)

    def refused(self, call: Call, reason: Refusal) -> None:
        """Slack did not do it: the next call is another one, or the same again."""
        if isinstance(call, Upload):
            self._refused_upload(reason)
        elif isinstance(call, Delete):
            if not reason.may_pass:
                self._forget(call.ts)
        elif reason.may_pass:
            self._climb(call, reason)
        elif reason.is_gone:
            self.gone = True
        elif isinstance(call, Update) and reason in (Refusal.UNEDITABLE, Refusal.FORBIDDEN):
            self._replace(call.page)
        elif self._ladder.condemned(reason, self._pages.limit_chars):
            self._reform(call.page)
        else:
            self.unshown = True

    def went_astray(self, ts: str) -> None:
        """Slack posted a page at the channel's root, because its thread was deleted: the post goes, and all ends."""
        self._astray.append(ts)

    def give_up(self) -> None:
        """Slack has refused the next call for minutes: the reply ends without it."""
        match self.next_call():
            case Delete() if not self._astray:
                self._leaves_rest = True
            case Upload():
                self._refused_upload(Refusal.FORBIDDEN)
            case _:
                self.unshown = True

    def _climb(self, call: Post | Update, reason: Refusal) -> None:
        before, was_reduced = self._ladder.form, self._ladder.is_reduced
        is_replaced = self._ladder.refused(reason, editing=isinstance(call, Update))
        if self._ladder.form is not before:
            self._reduced_page = min(call.page, self._reduced_page) if was_reduced else call.page
            self._reform(self._reduced_page)
        if is_replaced:
            self._replace(call.page)

    def _worked(self) -> None:
        before = self._ladder.form
        self._ladder.worked()
        if self._ladder.form is not before:
            self._reform(self._reduced_page)

    def _replace(self, page: int) -> None:
        """New messages take the place of a page's and of those below it."""
        if self._ladder.replaced >= MOST_REPLACED_IN_ALL:
            self.unshown = True
            return
        self._orphans += self._ts[page:]
        del self._ts[page:], self._shown[page:]
        self._settled = min(self._settled, page)
        self._ladder.replaced += 1

    @property
    def _last(self) -> int:
        """The last page that is shown: what is after the fifth is in a file, unless Slack takes none."""
        full = len(self._pages.full)
        return min(full, MOST_PAGES - 1) if self._upload_tries else full

    def _view(self, page: int) -> View:
        shown = self._page(page)
        view = View(shown.markdown, plain=self._ladder.plain, end_chars=shown.end, version=self._version)
        if page < self._last:
            return view
        if self._ending and not self._missing():
            notices = (self._ending.notice, attachments.sentence(self._files))
            told = replace(view, notice=" ".join(filter(None, notices)), footer=self._ending.footer)
            return replace(told, ended=self._ending.end, previous=self._ending.previous)
        if page < len(self._pages.full):
            return replace(view, notice=texts.WRITING_LONG)
        return replace(view, growing=True, waiting=self.waiting)

    def _page(self, page: int) -> Page:
        return self._pages.full[page] if page < len(self._pages.full) else self._pages.growing

    def _settle(self, page: int) -> None:
        """A full page never changes once shown, so that an edit's cost does not grow with the pages."""
        if page == self._settled and page < self._last and self._shown[page] == self._view(page):
            self._settled += 1

    def _close(self) -> None:
        """The text is complete: are there files to go with it?"""
        self._pages.close()
        self._settled = min(self._settled, len(self._pages.full))
        if not self._upload_tries or not self._pages.full:
            self._files = ()
            return
        text, ts = self._pages.text(), self.question.ts
        whole = [attachments.whole(text, ts)] if len(self._pages.full) >= MOST_PAGES else []
        self._files = (*whole, *attachments.code(text, ts))

    def _missing(self) -> tuple[AttachedFile, ...]:
        """Files that Slack does not show yet."""
        wanted = attachments.keys(self._files)
        held = set[attachments.Key]().union(*(each.files for each in self._attached if each.files <= wanted))
        return tuple(file for file in self._files if file.key not in held)

    def _delete_of_files(self) -> Delete | None:
        """Those of an earlier attempt's text go away, where this one has another."""
        if self._fell_back or not (self.ended or self._outdated):
            return None
        wanted = attachments.keys(self._files)
        surplus = next((each for each in self._attached if not each.files <= wanted), None)
        return Delete(self.question, surplus.ts, surplus.file_ids) if surplus else None

    def _refused_upload(self, reason: Refusal) -> None:
        """The text must be reachable all the same: it goes on in pages."""
        self._upload_tries = self._upload_tries - 1 if reason.may_pass else 0
        if not self._upload_tries:
            self._files = ()

    def _reform(self, page: int) -> None:
        """Lays the text out anew from a page on, in the form in which it is sent now."""
        old = self._pages
        page_chars = self._ladder.page_chars(self._full_chars)
        self._pages = Pages(page_chars, self._ladder.page_bytes, first=replace(self._page(page), source=""))
        self._pages.full = old.full[:page]
        self._pages.append(old.text(page))
        self._settled = min(self._settled, page)
        if self.ended:
            self._close()

    def _forget(self, ts: str) -> None:
        if ts in self._astray:
            self._astray.remove(ts)
            self.gone = True
        elif ts in self._orphans:
            self._orphans.remove(ts)
        elif ts in self._ts:
            at = self._ts.index(ts)
            del self._ts[at], self._shown[at]
        self._attached = [each for each in self._attached if each.ts != ts]
