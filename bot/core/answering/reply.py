"""What Slack should show for a question and what it does show: the difference is the next call. Pure."""

from dataclasses import dataclass, replace
from enum import StrEnum

from bot.core.answering import attachments
from bot.core.answering.attachments import Attached, File
from bot.core.answering.pages import FIRST_PAGE, Joint, Page, Pages
from bot.core.conversation import Question
from bot.errors import Refusal

PLAIN_CHARS = 3_900
"""Without blocks, chat.update takes 4,000 characters of text."""
SMALLEST_PAGE_CHARS = 1_000
MOST_PAGES = 5
"""A longer answer comes as a file; so many pages of it are shown."""
UPLOAD_TRIES = 3
GOES_ON = "Writing… This is longer than I show here: the whole answer will come as a file."
FIRST_JOINT = Joint.of(FIRST_PAGE)


class End(StrEnum):
    """How far an answer came."""

    WHOLE = "whole"
    LENGTH = "length"
    """To its length limit: it can go on."""
    PART = "part"
    """It failed."""
    STOPPED = "stopped"


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
    ended: End | None = None
    """The last page, and nothing will follow."""
    footer: str = ""
    """Who wrote the answer, in a few quiet words."""
    previous: bool = False
    """An earlier version of the answer is kept."""
    plain: bool = False
    """Without blocks, because Slack did not take them."""
    joint: Joint = FIRST_JOINT
    """How it joins the page before."""
    version: int = 0
    """Of the answer."""

    @property
    def live(self) -> bool:
        """The answer is not at its end, though the page may be."""
        return self.growing or self.notice == GOES_ON


@dataclass(frozen=True, slots=True)
class Ending:
    """How the answer ended, as far as the reader is told."""

    notice: str = ""
    end: End = End.WHOLE
    footer: str = ""
    previous: bool = False
    """An earlier version of the answer is kept."""

    @property
    def partial(self) -> bool:
        """The text is a part: what an earlier attempt left is kept, if it is more."""
        return self.end in (End.PART, End.STOPPED)


@dataclass(frozen=True, slots=True)
class Shown:
    """What Slack shows of a reply that an earlier attempt began."""

    page_ts: tuple[str, ...] = ()
    text: str = ""
    """What they say."""
    ended: End | None = None
    """Nothing would follow: only our record of that is missing."""
    attached: tuple[Attached, ...] = ()
    """Messages with its files."""
    outdated: bool = False
    """It is an earlier version's, and to be replaced at once."""

    @property
    def whole_id(self) -> str:
        """Of the file that has all of an answer whose pages show its beginning; "" where there is none."""
        return next((each.whole_id for each in self.attached if each.whole_id), "")


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
    files: tuple[File, ...]


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
        self._pages = Pages()
        self._ending: Ending | None = None
        self.waiting = waiting
        self._plain = False
        self._ts: list[str] = list(shown.page_ts)
        self._shown: list[View | None] = [None] * len(shown.page_ts)
        self._before = shown.text
        self._said = 0
        self._settled = 0
        self._orphans: list[str] = []
        self._files: tuple[File, ...] = ()
        self._attached: list[Attached] = list(shown.attached)
        self._upload_tries = UPLOAD_TRIES
        self._fell_back = False

    @property
    def page_ts(self) -> tuple[str, ...]:
        """The messages that show the reply, in order."""
        return tuple(self._ts)

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
        return self.waiting and (told or self.gone)

    @property
    def finished(self) -> bool:
        """Nothing is left to be done for it."""
        return self.gone or (self.ended and self.next_call() is None)

    def append(self, delta: str) -> None:
        """The model said more."""
        self._said += len(delta)
        self._pages.append(delta)

    def finish(self, ending: Ending) -> None:
        """No more text will come."""
        if ending.partial and self._said < len(self._before):
            self._pages = Pages(self._pages.limit_chars)
            self._pages.append(self._before)
            self._fell_back = True
        self._ending = ending
        self._close()

    def next_call(self) -> Call | None:
        """The one call that brings Slack nearest to what it should show; None when it does."""
        said_more = self._said > len(self._before) or self._outdated
        if self.gone or (self._ts and not self.ended and not said_more):
            return None
        for page in range(self._settled, self._last + 1):
            view = self._view(page)
            if page >= len(self._ts):
                return Post(self.question, page, view)
            if self._shown[page] != view:
                return Update(self.question, page, self._ts[page], view)
        if missing := self._missing():
            return Upload(self.question, missing)
        if surplus := self._orphans or self._ts[self._last + 1 :]:
            return Delete(self.question, surplus[0])
        return self._delete_of_files()

    def confirmed(self, call: Call, ts: str) -> None:
        """Slack did it; `ts` is the message's, "" where it is not known."""
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
        """Slack will not do it: the next call is another one."""
        if isinstance(call, Upload):
            self._refused_upload(reason)
        elif reason is Refusal.TRANSIENT:
            return
        elif isinstance(call, Delete):
            self._forget(call.ts)
        elif reason is Refusal.UNEDITABLE and isinstance(call, Update):
            self._orphans += self._ts[call.page :]
            del self._ts[call.page :], self._shown[call.page :]
        elif reason is Refusal.TOO_LONG and self._pages.limit_chars > SMALLEST_PAGE_CHARS:
            self._repage(call.page, self._pages.limit_chars // 2)
        elif reason in (Refusal.UNREADABLE, Refusal.TOO_LONG) and not self._plain:
            self._plain = True
            self._repage(call.page, min(self._pages.limit_chars, PLAIN_CHARS))
        else:
            self.gone = True

    @property
    def _last(self) -> int:
        """The last page that is shown: what is after the fifth is in a file, unless Slack takes none."""
        full = len(self._pages.full)
        return min(full, MOST_PAGES - 1) if self._upload_tries else full

    def _view(self, page: int) -> View:
        shown = self._page(page)
        view = View(shown.markdown, plain=self._plain, joint=Joint.of(shown), version=self._version)
        if page < self._last:
            return view
        if self._ending and not self._missing():
            notices = (self._ending.notice, attachments.sentence(self._files))
            told = replace(view, notice=" ".join(filter(None, notices)), footer=self._ending.footer)
            return replace(told, ended=self._ending.end, previous=self._ending.previous)
        if page < len(self._pages.full):
            return replace(view, notice=GOES_ON)
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

    def _missing(self) -> tuple[File, ...]:
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
        self._upload_tries = self._upload_tries - 1 if reason is Refusal.TRANSIENT else 0
        if not self._upload_tries:
            self._files = ()

    def _repage(self, page: int, page_chars: int) -> None:
        old = self._pages
        self._pages = Pages(page_chars, first=replace(self._page(page), source=""))
        self._pages.full = old.full[:page]
        self._pages.append(old.text(page))
        self._settled = min(self._settled, page)
        if self.ended:
            self._close()

    def _forget(self, ts: str) -> None:
        if ts in self._orphans:
            self._orphans.remove(ts)
        elif ts in self._ts:
            at = self._ts.index(ts)
            del self._ts[at], self._shown[at]
        self._attached = [each for each in self._attached if each.ts != ts]
