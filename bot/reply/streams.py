"""Shows a page of an answer as a native stream of Slack, and leaves it to edits if anything goes wrong. Pure.

A page starts as a message with its first words, grows by appends, and is stopped. What was appended stays. So only
text that can't change anymore is appended (markdown/render.py). Whatever goes wrong with a stream ends in the same way:
it is stopped, and the page is edited as a whole. So a stream needs to be right only about what it has appended, and an
edit covers all else.

A stream is left in the same way before anything is appended that only an edit may show (`needs_edit`). One of these is
an address: words of others may have made the model write it, and Slack may fetch it.

A start that fails is the exception: as far as Slack says, there is no stream to stop, and the page is posted. If Slack
did start a stream, the delivery finds it (bot/reply/delivery.py).
"""

import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from enum import Enum, auto
from typing import ClassVar

from bot.core.conversation import Question
from bot.core.job import MessageRole
from bot.errors import Refusal
from bot.reply.charts import has_charts
from bot.reply.messages import Begin, Call, Change, PageView
from slack_markdown.links import has_address
from slack_markdown.render import has_definitions, rendered, stable_prefix

_PERSON = re.compile(r"[UW][A-Z0-9]+")


@dataclass(frozen=True, slots=True)
class StartStream(Begin):
    """Shows a page's first words in a new message that grows by appends. `text` is filled in when it leaves."""

    unanswered: ClassVar[MessageRole] = MessageRole.STARTING
    text: str = ""


@dataclass(frozen=True, slots=True)
class AppendStream(Change):
    """Appends to a page. `text` is filled in when it leaves."""

    view: PageView
    text: str = ""


@dataclass(frozen=True, slots=True)
class StopStream(Change):
    """Appends the rest of a page and what belongs below it, and stops the stream; without a view it only stops it."""

    is_closing: ClassVar[bool] = True
    view: PageView | None = None
    text: str = ""
    keeps_stop: bool = field(default=False, compare=False)
    """The answer goes on, and Slack's own Stop stays. Otherwise Slack removes it with the stream."""


def may_be_streamed(question: Question, *, is_alone: bool) -> bool:
    """Returns whether Slack lets a stream answer a question, and all of its readers see the stream grow.

    `is_alone`: the asker is the only person in the thread. In a channel only the recipient sees a stream grow.
    """
    thread = question.thread
    is_by_person = not question.from_bot and bool(_PERSON.fullmatch(question.user_id))
    return thread.thread_ts is not None and is_by_person and (thread.in_direct_message or is_alone)


def needs_edit(view: PageView) -> bool:
    """Whether a page has what no stream shows.

    - An address: Slack's docs say that a stream unfurls nothing, and nobody has measured it. Edits are known to fetch
      nothing.
    - A definition: whether Slack finds one that comes later in a stream isn't known, either.
    - Calls that wait for a decision: a stream has buttons only once it has stopped.
    - A chart: its mark isn't shown, and a stream has appended some of it.
    """
    has_sources = view.end is not None and bool(view.end.sources)
    has_calls = bool(view.asks)
    markdown = view.markdown
    return has_sources or has_calls or has_address(markdown) or has_definitions(markdown) or has_charts(markdown)


def may_begin(view: PageView, page: int, *, is_below_one: bool) -> bool:
    """Whether a stream may show a page from its first words on. `is_below_one`: a stream began an earlier page.

    Below edited pages only if Slack shows its own Stop: a stream has no button, and only the status of an answer that
    began as one says how to stop it.
    """
    if view.version or needs_edit(view) or not (view.growing and view.markdown):
        return False
    return not page or view.has_stop or is_below_one


class Stage(Enum):
    """Where a stream stands."""

    STARTING = auto()
    OPEN = auto()
    LEFT = auto()
    """The stream has to be stopped, and an edit shows the page: what Slack shows isn't known, or has to change."""
    OVER = auto()
    """The stream didn't start, or was stopped, by us or by Slack."""


_NEXT: Mapping[Stage, tuple[Stage, ...]] = {
    Stage.STARTING: (Stage.OPEN, Stage.OVER),
    Stage.OPEN: (Stage.LEFT, Stage.OVER),
    Stage.LEFT: (Stage.OVER,),
    Stage.OVER: (),
}
"""The stages that each one may lead to. What would lead to another one has no effect."""

_NEEDS: Mapping[Stage, tuple[type[Call], ...]] = {
    Stage.STARTING: (StartStream, AppendStream, StopStream),
    Stage.OPEN: (AppendStream, StopStream),
    Stage.LEFT: (AppendStream, StopStream),
    Stage.OVER: (),
}


class Stream:
    """The native stream that shows one page, with all states and refusals of it. It knows no other pages.

    `until`: the stream is left then, by the scheduler's clock. `stage`: LEFT if Slack says that a page still grows.
    """

    def __init__(self, until: float = math.inf, stage: Stage = Stage.STARTING) -> None:
        self.stage = stage
        self._until = until
        self._sent = ""
        """What Slack has appended."""

    @property
    def needs(self) -> tuple[type[Call], ...]:
        """The calls that the stream will still make: the budget keeps room for them."""
        return _NEEDS[self.stage]

    @property
    def is_left(self) -> bool:
        """Whether the stream has to be stopped before anything else shows its page."""
        return self.stage is Stage.LEFT

    @property
    def is_over(self) -> bool:
        """Whether edits show the page from now on."""
        return self.stage is Stage.OVER

    def filled(self, call: Begin | Change) -> Begin | Change | None:
        """Returns a call that leaves now with its text; None if there is nothing to send, or another one comes first.

        Without this, each look at the difference would render the page.
        """
        match call:
            case StartStream(view=view):
                if needs_edit(view):
                    self._enter(Stage.OVER)
                    return None
                text = stable_prefix(view.markdown)
                return replace(call, text=text) if text else None
            case AppendStream(view=view) | StopStream(view=PageView() as view):
                if needs_edit(view):
                    self._enter(Stage.LEFT)
                    return None
                if isinstance(call, AppendStream):
                    more = self._rest(stable_prefix(view.markdown), may_be_shorter=True)
                    return replace(call, text=more) if more else None
                rest = self._rest(rendered(view.markdown, growing=False))
                return None if rest is None else replace(call, text=rest)
        return call

    def _rest(self, text: str, *, may_be_shorter: bool = False) -> str | None:
        """Returns what remains to be appended of a text; None if nothing does, or something else was appended."""
        if text.startswith(self._sent):
            return text[len(self._sent) :]
        if not (may_be_shorter and self._sent.startswith(text)):
            self._enter(Stage.LEFT)
        return None

    def end(self, now: float) -> None:
        """Leaves the page to edits, if the stream has been open for as long as it may."""
        if now >= self._until:
            # A start may be in flight, whose stream is left once Slack has responded.
            self._until = -math.inf
            self._enter(Stage.LEFT)

    def on_confirmed(self, call: Begin | Change) -> None:
        """Notes that Slack did a call."""
        match call:
            case StartStream(text=text):
                self._sent = text
                self._enter(Stage.OPEN)
            case AppendStream(text=text):
                self._sent += text
            case StopStream():
                self._enter(Stage.OVER)

    def on_refused(self, call: Begin | Change, reason: Refusal) -> None:
        """Notes that Slack refused a call, after which an edit shows the page."""
        is_over = isinstance(call, StartStream) or reason is Refusal.STREAM_CLOSED or reason.is_gone
        self._enter(Stage.OVER if is_over or (call.view is None and not reason.may_pass) else Stage.LEFT)

    def _enter(self, stage: Stage) -> None:
        self.stage = stage if stage in _NEXT[self.stage] else self.stage


ChooseStream = Callable[[float, bool], Stream | None]
"""Returns the stream for a page that begins now; None: edits. Takes the time, and whether Slack shows its own Stop."""
