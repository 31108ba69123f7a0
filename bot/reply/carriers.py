"""Decides by which calls the pages of one reply travel, and what follows where Slack refuses one. Pure.

`Reply` (reply.py) knows what each page should show, and what its message shows. `Carriers` knows no text beside that:

1. A page that begins is posted. If streams are offered (`offer`), and nothing speaks against one when the page gets its
   first words, the offer chooses between a post and a native stream (`choose`).
2. A page that differs is edited (`change`). If a stream shows it, the stream appends, and stops with the page's last
   words.
3. A stream that has to be left is stopped before anything else touches its message (`release`). Then edits show the
   page, as they do after anything that goes wrong with a stream (streams.py).
4. A refusal leads to the same page without what Slack refuses in it, to the end of its stream, or to another form
   (edits.py). What it means for the reply's messages is an `AfterRefusal`.

Messages are known by their `ts`. At most one page begins at a time, because no two calls of a reply are under way at
once.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace

from bot.errors import Refusal
from bot.reply.answer import Answer
from bot.reply.charts import has_charts
from bot.reply.edits import ABOUT_FORM, Edits, Post, Update
from bot.reply.messages import AfterRefusal, Begin, Call, Change, Delete, PageView, Upload
from bot.reply.streams import AppendStream, ChooseStream, Stage, StartStream, StopStream, Stream, may_begin
from slack_markdown.render import has_word, rendered

METHODS: Mapping[type[Call], str] = {
    Post: "chat.postMessage",
    Update: "chat.update",
    Upload: "files.completeUploadExternal",
    Delete: "chat.delete",
    StartStream: "chat.startStream",
    AppendStream: "chat.appendStream",
    StopStream: "chat.stopStream",
}
"""The Slack method whose budget a call uses."""


class Carriers:
    """Carries the pages of a reply, each by edits or by a stream.

    `edits`: the form of the pages. `has_stop`: Slack shows its own Stop while the answer grows.
    """

    def __init__(self, answer: Answer, edits: Edits, *, has_stop: bool) -> None:
        self._answer = answer
        self._question = answer.job.question
        self._edits = edits
        self._has_stop = has_stop
        self._offer: ChooseStream | None = None
        """Chooses streams for pages that begin; None: edits show them all."""
        self._next_stream: Stream | None = None
        """What begins the next page; None: a post does."""
        self._is_chosen = False
        """Whether a post or a stream was chosen to begin the next page."""
        self._streams: dict[str, Stream] = {}
        """The streams that show pages, by their messages. Edits show all other pages."""

    def offer(self, offer: ChooseStream) -> None:
        """Allows streams for pages that begin."""
        self._offer = offer

    def let_edits_begin(self) -> None:
        """Has no stream begin the next page."""
        self._next_stream = None

    def use_edits_only(self) -> None:
        """Shows all pages by edits from now on."""
        self._offer = None
        self.end_streams()

    def end_streams(self, now: float = math.inf) -> None:
        """Has edits go on with each page whose stream has been open for as long as it may."""
        if self._next_stream is not None:
            self._next_stream.end(now)
        for stream in self._streams.values():
            stream.end(now)

    @property
    def may_choose(self) -> bool:
        """Whether a page that begins now may be given to a stream, and wasn't given to a post before."""
        return self._offer is not None and not self._is_chosen and not self._edits.had_refusals

    def choose(self, call: Call | None, now: float) -> bool:
        """Decides whether a stream or a post begins a page; returns whether a stream does.

        `call`: the reply's next one. This page and all later ones hold no more than a stream carries then.
        """
        if self._offer is None or not isinstance(call, Post):
            return False
        view, page = call.view, call.page
        if not may_begin(view, page, is_below_one=page >= self._edits.short_from):
            return False
        self._next_stream, self._is_chosen = self._offer(now, view.has_stop), True
        if self._next_stream is None:
            return False
        self._edits.short_from = min(self._edits.short_from, page)
        return True

    def needs(self, *, ended: bool) -> tuple[type[Call], ...]:
        """Returns the calls with which the growing page will still be shown."""
        streams = list(self._streams.values())
        if not streams and self._next_stream and self._offer and not ended:
            streams = [self._next_stream]
        return streams[0].needs if streams else (Update,)

    def begin(self, page: int, view: PageView) -> Begin:
        """Returns the call that shows a page in a new message."""
        is_streamed = self._next_stream and self._offer and view.growing
        return (StartStream if is_streamed else Post)(self._question, page, view)

    def change(self, page: int, ts: str, view: PageView, *, is_shown: bool, ended: bool) -> Change | None:
        """Returns the call that brings a page's message closer to what it should show; None if there is none.

        `is_shown`: the message shows it, but maybe as a stream that is still open. `ended`: no more text will come.
        """
        stream = self._streams.get(ts)
        if stream and not view.growing:
            return StopStream(self._question, page, ts, view, keeps_stop=self._has_stop and not ended)
        if is_shown:
            return None
        if stream:
            return AppendStream(self._question, page, ts, view)
        return Update(self._question, page, ts, view) if self._edits.may_edit(ended=ended) else None

    def release(self, pages: Sequence[str], *, ended: bool) -> StopStream | None:
        """Returns the stop of a stream that is left, or whose message is none of the pages'; None if there is none."""
        for ts, stream in self._streams.items():
            if stream.is_left or ts not in pages:
                page = pages.index(ts) if ts in pages else 0
                return StopStream(self._question, page, ts, keeps_stop=self._has_stop and not ended)
        return None

    def filled(self, call: Call) -> Call | None:
        """Returns a call with its text, as it leaves now; None if it has none to send, or another call comes first."""
        if not isinstance(call, Begin | Change) or (stream := self._stream_of(call)) is None:
            return call
        filled = stream.filled(call)
        self._drop_over()
        return filled

    def on_done(self, call: Begin | Change, ts: str) -> None:
        """Notes that Slack posted or changed a page's message."""
        stream = self._stream_of(call)
        if isinstance(call, Begin):
            self.on_page_begun()
            if stream is not None:
                self._streams[ts] = stream
        if stream is not None:
            stream.on_confirmed(call)
            self._drop_over()
        else:
            self._edits.on_confirmed(call)

    def on_page_begun(self) -> None:
        """Notes that a page has its message: nothing is chosen for the next one."""
        self._next_stream, self._is_chosen = None, False

    def on_rate_limit(self, call: object) -> None:
        """Notes that a call would have to wait. No page waits for a stream."""
        if isinstance(call, StartStream):
            self.let_edits_begin()

    def on_refused(self, call: Begin | Change, reason: Refusal) -> AfterRefusal | None:
        """Notes that Slack refused a call; returns what follows for the reply's messages, None if another call does."""
        if reason is Refusal.LINK_BLOCKED and self._answer.open_files:
            # Slack takes no links to its files there.
            self._answer.open_files = frozenset()
            return None
        if reason in ABOUT_FORM and self._edits.look.draws_charts and call.view and has_charts(call.view.markdown):
            # The same page may be taken without them.
            self._edits.look = replace(self._edits.look, draws_charts=False)
            return None
        if stream := self._stream_of(call):
            stream.on_refused(call, reason)
            self._drop_over()
            return AfterRefusal.UNKNOWN if stream.is_over and isinstance(call, Change) else None
        after = self._edits.on_refused(call, reason)
        if after is AfterRefusal.STOP and isinstance(call, Change):
            self._streams[call.ts] = Stream(stage=Stage.LEFT)
        return after

    def _drop_over(self) -> None:
        """Hands pages whose stream is over to edits."""
        if self._next_stream is not None and self._next_stream.is_over:
            self._next_stream = None
        self._streams = {ts: stream for ts, stream in self._streams.items() if not stream.is_over}

    def _stream_of(self, call: Begin | Change) -> Stream | None:
        """Returns the stream of the page that a call is about; None: edits show it."""
        if isinstance(call, Change):
            return self._streams.get(call.ts)
        return self._next_stream if isinstance(call, StartStream) else None


def lacks_word(call: Begin | Change, shown: PageView | None) -> bool:
    """Whether a call would show a page's first text, such as `#`, and no word of it. `shown`: what its message shows.

    A call that shows something else, such as a search, doesn't wait for words.
    """
    view = call.view
    if view is None or not (view.growing and view.markdown) or view.activity or view.asks:
        return False
    if shown is not None and shown.markdown:
        return False
    text = call.text if isinstance(call, StartStream) else rendered(view.markdown, growing=True)
    return not has_word(text, growing=False)
