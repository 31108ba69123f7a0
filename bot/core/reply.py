"""What Slack should show for a question and what it does show: the difference is the next call. Pure."""

from dataclasses import dataclass

from bot.core.conversation import Question
from bot.core.pages import PAGE_CHARS, page_end
from bot.errors import Refusal

PLAIN_CHARS = 3_900
"""Without blocks, chat.update takes 4,000 characters of text."""
SMALLEST_PAGE_CHARS = 1_000


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
    ended: bool = False
    """The last page, and nothing will follow."""
    plain: bool = False
    """Without blocks, because Slack did not take them."""


@dataclass(frozen=True, slots=True)
class Ending:
    """How the answer ended, as far as the reader is told."""

    notice: str = ""
    partial: bool = False
    """The text is a part: what an earlier attempt left is kept, if it is more."""


@dataclass(frozen=True, slots=True)
class Shown:
    """What Slack shows of a reply that an earlier attempt began."""

    page_ts: tuple[str, ...] = ()
    pages: tuple[str, ...] = ()
    """The text of each."""
    ended: bool = False
    """It is the whole of it: only our record of that is missing."""

    @property
    def text(self) -> str:
        # What is sent ends before a page's last line break or space.
        return "\n".join(self.pages)


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
class Delete:
    """A message that is no page any more goes away."""

    question: Question
    ts: str


Call = Post | Update | Delete


class Reply:
    """One question's reply: told the text as it comes and what became of each call.

    A call that failed is just not recorded as shown, so that the next one carries the newest text.
    `shown`: what an earlier attempt left; it stays until the text of this one is longer.
    `waiting`: the placeholder says that its turn has not come.
    """

    def __init__(self, question: Question, shown: Shown = Shown(), *, waiting: bool = False) -> None:
        self.question = question
        self.gone = False
        self._full: list[str] = []
        self._tail = ""
        self._ending: Ending | None = None
        self.waiting = waiting
        self._page_chars = PAGE_CHARS
        self._plain = False
        self._ts: list[str] = list(shown.page_ts)
        self._shown: list[View | None] = [None] * len(shown.page_ts)
        self._before = shown.text
        self._said = 0
        self._settled = 0
        self._orphans: list[str] = []

    @property
    def page_ts(self) -> tuple[str, ...]:
        """The messages that show the reply, in order."""
        return tuple(self._ts)

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
        return self.waiting and (bool(self._ts) or self.gone)

    @property
    def finished(self) -> bool:
        """Nothing is left to be done for it."""
        return self.gone or (self.ended and self.next_call() is None)

    def append(self, delta: str) -> None:
        """The model said more."""
        self._said += len(delta)
        self._take(delta)

    def _take(self, text: str) -> None:
        self._tail += text
        while (end := page_end(self._tail, self._page_chars)) is not None:
            self._full.append(self._tail[:end])
            self._tail = self._tail[end:]

    def finish(self, ending: Ending) -> None:
        """No more text will come."""
        if ending.partial and self._said < len(self._before):
            self._full, self._tail = [], ""
            self._take(self._before)
        if not self._tail.strip() and self._full and not ending.notice:
            self._full[-1] += self._tail
            self._tail = self._full.pop()
        self._ending = ending

    def next_call(self) -> Call | None:
        """The one call that brings Slack nearest to what it should show; None when it does."""
        if self.gone or (self._ts and not self.ended and self._said <= len(self._before)):
            return None
        for page in range(self._settled, len(self._full) + 1):
            view = self._view(page)
            if page >= len(self._ts):
                return Post(self.question, page, view)
            if self._shown[page] != view:
                return Update(self.question, page, self._ts[page], view)
        surplus = self._orphans or self._ts[len(self._full) + 1 :]
        return Delete(self.question, surplus[0]) if surplus else None

    def confirmed(self, call: Call, ts: str) -> None:
        """Slack did it; `ts` is the message's."""
        match call:
            case Post(page=page, view=view):
                self._ts.append(ts)
                self._shown.append(view)
                self._settle(page)
            case Update(page=page, view=view):
                if page < len(self._ts) and self._ts[page] == call.ts:
                    self._shown[page] = view
                    self._settle(page)
            case Delete():
                self._forget(call.ts)

    def found(self, ts: str) -> None:
        """A post whose answer was lost turns out to have been done, whatever it showed."""
        self._ts.append(ts)
        self._shown.append(None)

    def refused(self, call: Call, reason: Refusal) -> None:
        """Slack will not do it: the next call is another one."""
        if reason is Refusal.TRANSIENT:
            return
        if isinstance(call, Delete):
            self._forget(call.ts)
        elif reason is Refusal.UNEDITABLE and isinstance(call, Update):
            self._orphans += self._ts[call.page :]
            del self._ts[call.page :], self._shown[call.page :]
        elif reason is Refusal.TOO_LONG and self._page_chars > SMALLEST_PAGE_CHARS:
            self._repage(call.page, self._page_chars // 2)
        elif reason in (Refusal.UNREADABLE, Refusal.TOO_LONG) and not self._plain:
            self._plain = True
            self._repage(call.page, min(self._page_chars, PLAIN_CHARS))
        else:
            self.gone = True

    def _view(self, page: int) -> View:
        if page < len(self._full):
            return View(self._full[page], plain=self._plain)
        if self._ending:
            return View(self._tail, notice=self._ending.notice, ended=True, plain=self._plain)
        return View(self._tail, growing=True, waiting=self.waiting, plain=self._plain)

    def _settle(self, page: int) -> None:
        """A full page never changes once shown, so that an edit's cost does not grow with the pages."""
        if page == self._settled and page < len(self._full) and self._shown[page] == self._view(page):
            self._settled += 1

    def _repage(self, page: int, page_chars: int) -> None:
        self._page_chars = page_chars
        text = "".join(self._full[page:]) + self._tail
        del self._full[page:]
        self._tail, self._settled = "", min(self._settled, page)
        self._take(text)

    def _forget(self, ts: str) -> None:
        if ts in self._orphans:
            self._orphans.remove(ts)
        elif ts in self._ts:
            at = self._ts.index(ts)
            del self._ts[at], self._shown[at]
