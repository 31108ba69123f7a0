"""Shows a page of an answer as a native Slack stream, and switches to edits if anything goes wrong. Pure.

A streamed page starts as a message with its first words, grows by appends, and is stopped. Appended text can't be
changed, so only final text is appended (markdown/render.py). After every failure, the stream is stopped and the whole
page is edited, so a stream only has to track the text that it has appended.

A stream also ends before something that only an edit can show (`needs_edit`), such as a URL: Slack might fetch it, and
other people's words might have made the model write it. After a failed start, the page is posted, because according to
Slack there is no stream to stop. If Slack did start a stream, bot/reply/delivery.py finds it.
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
from slack_markdown.links import might_have_link
from slack_markdown.render import has_definitions, render_page, stable_prefix

_PERSON_ID = re.compile(r"[UW][A-Z0-9]+")


@dataclass(frozen=True, slots=True)
class StartStream(Begin):
    """Posts a page's first words as a new message, to which more text can be appended. `text` is set just before
    sending."""

    pending_role: ClassVar[MessageRole] = MessageRole.STARTING
    text: str = ""


@dataclass(frozen=True, slots=True)
class AppendStream(Change):
    view: PageView
    text: str = ""


@dataclass(frozen=True, slots=True)
class StopStream(Change):
    """Appends the rest of a page and the blocks below it, and stops the stream. If there is no view, nothing is
    appended."""

    frees_budget: ClassVar[bool] = True
    view: PageView | None = None
    text: str = ""
    keeps_stop: bool = field(default=False, compare=False)
    """Whether Slack's own Stop button stays, because the answer continues."""


def can_be_streamed(question: Question, *, is_alone: bool) -> bool:
    """Returns whether Slack allows a stream for a question and all readers would see it grow. `is_alone`: whether the
    asker is the only person in the thread. In a channel, only the recipient sees a stream grow."""
    thread = question.thread
    is_by_person = not question.is_from_bot and bool(_PERSON_ID.fullmatch(question.user_id))
    return thread.thread_ts is not None and is_by_person and (thread.in_direct_message or is_alone)


def needs_edit(view: PageView) -> bool:
    """Returns whether a page contains something that a stream can't show.

    - A URL: Slack's docs say that URLs in streams aren't unfurled, but that hasn't been measured. Edits are known not
      to make Slack fetch anything.
    - A link definition: it isn't known whether Slack finds a definition that comes later in a stream.
    - Calls that wait for a decision: a stream gets buttons only once it has stopped.
    - A chart: its mark must not be shown, but a stream might have appended part of it.
    """
    has_sources = view.end is not None and bool(view.end.sources)
    has_calls = bool(view.asks)
    markdown = view.markdown
    return has_sources or has_calls or might_have_link(markdown) or has_definitions(markdown) or has_charts(markdown)


def can_begin_stream(view: PageView, page: int, *, is_below_one: bool) -> bool:
    """Returns whether a stream can show a page from its first words on. `is_below_one`: whether a page above it began
    as a stream. Below edited pages, streams need Slack's own Stop button: a stream has no button, and only an answer
    that began as a stream has a status that explains how to stop it."""
    if view.version or needs_edit(view) or not (view.growing and view.markdown):
        return False
    return not page or view.has_stop or is_below_one


class Stage(Enum):
    STARTING = auto()
    OPEN = auto()
    MUST_STOP = auto()
    """The stream must be stopped and its page edited, because the message's content is unknown or has to change."""
    OVER = auto()
    """The stream didn't start, or Typist or Slack stopped it."""


_NEXT_STAGES: Mapping[Stage, tuple[Stage, ...]] = {
    Stage.STARTING: (Stage.OPEN, Stage.OVER),
    Stage.OPEN: (Stage.MUST_STOP, Stage.OVER),
    Stage.MUST_STOP: (Stage.OVER,),
    Stage.OVER: (),
}
"""The allowed transitions. All others have no effect."""

_NEEDED_CALLS: Mapping[Stage, tuple[type[Call], ...]] = {
    Stage.STARTING: (StartStream, AppendStream, StopStream),
    Stage.OPEN: (AppendStream, StopStream),
    Stage.MUST_STOP: (AppendStream, StopStream),
    Stage.OVER: (),
}


class Stream:
    """A native stream that shows one page, and expires at `until`. `stage` is MUST_STOP if Slack reports the stream as
    open."""

    def __init__(self, until: float = math.inf, stage: Stage = Stage.STARTING) -> None:
        self.stage = stage
        self._until = until
        self._appended_text = ""

    @property
    def needed_calls(self) -> tuple[type[Call], ...]:
        """The types of calls that the stream will still make. The budget reserves room for these calls."""
        return _NEEDED_CALLS[self.stage]

    @property
    def must_stop(self) -> bool:
        return self.stage is Stage.MUST_STOP

    @property
    def is_over(self) -> bool:
        return self.stage is Stage.OVER

    def with_current_text(self, call: Begin | Change) -> Begin | Change | None:
        """Returns a call with the newest text, or None if nothing should be sent yet. Calls are compared without their
        text."""
        match call:
            case StartStream(view=view):
                if needs_edit(view):
                    self._enter_stage(Stage.OVER)
                    return None
                text = stable_prefix(view.markdown)
                return replace(call, text=text) if text else None
            case AppendStream(view=view) | StopStream(view=PageView() as view):
                if needs_edit(view):
                    self._enter_stage(Stage.MUST_STOP)
                    return None
                if isinstance(call, AppendStream):
                    more = self._unsent_part(stable_prefix(view.markdown), can_be_shorter=True)
                    return replace(call, text=more) if more else None
                rest = self._unsent_part(render_page(view.markdown, growing=False))
                return None if rest is None else replace(call, text=rest)
        return call

    def _unsent_part(self, text: str, *, can_be_shorter: bool = False) -> str | None:
        """Returns the text that hasn't been appended yet, or None if there is none or the text already appended
        differs."""
        if text.startswith(self._appended_text):
            return text[len(self._appended_text) :]
        if not (can_be_shorter and self._appended_text.startswith(text)):
            self._enter_stage(Stage.MUST_STOP)
        return None

    def end(self, now: float) -> None:
        if now >= self._until:
            # If a start is in flight, its stream ends once Slack has responded.
            self._until = -math.inf
            self._enter_stage(Stage.MUST_STOP)

    def on_confirmed(self, call: Begin | Change) -> None:
        match call:
            case StartStream(text=text):
                self._appended_text = text
                self._enter_stage(Stage.OPEN)
            case AppendStream(text=text):
                self._appended_text += text
            case StopStream():
                self._enter_stage(Stage.OVER)

    def on_refused(self, call: Begin | Change, reason: Refusal) -> None:
        is_over = isinstance(call, StartStream) or reason is Refusal.STREAM_CLOSED or reason.is_gone
        self._enter_stage(Stage.OVER if is_over or (call.view is None and not reason.is_temporary) else Stage.MUST_STOP)

    def _enter_stage(self, stage: Stage) -> None:
        self.stage = stage if stage in _NEXT_STAGES[self.stage] else self.stage


StreamChooser = Callable[[float, bool], Stream | None]
"""A function that returns a stream for a page that begins at the given time, or None. The bool is whether Slack shows
its own Stop button."""
