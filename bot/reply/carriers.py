"""Decides which calls send the pages of one reply, and what to do if Slack refuses one. Pure.

`Reply` (reply.py) tracks what each page should show and what its message shows. `Carriers` stores no text of its own:

1. A new page is posted. If streams were offered (`offer_streams`) and nothing rules out a stream when the page gets its
   first words, the offer determines whether it is posted or starts as a native stream (`choose_carrier`).
2. A changed page is edited (`change_call`). If the page is shown by a stream, text is appended to the stream, which is
   stopped at the end of the page.
3. A stream that must end is stopped before anything else touches its message (`stop_call`). After that, the page is
   shown by edits, just as it is after any stream failure (streams.py).
4. After a refusal, the page is sent without the refused part or in another form (edits.py), or its stream ends. An
   `AfterRefusal` describes the effect on the reply's messages.

Only one page can begin at a time, because a reply never has two calls in flight.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace

from bot.errors import Refusal
from bot.reply.answer import Answer
from bot.reply.blocks import has_optional_parts
from bot.reply.edits import FORM_REFUSALS, Edits, Post, Update
from bot.reply.messages import AfterRefusal, Begin, Call, Change, Delete, PageView, Upload
from bot.reply.streams import AppendStream, Stage, StartStream, StopStream, Stream, StreamChooser, can_begin_stream

METHODS: Mapping[type[Call], str] = {
    Post: "chat.postMessage",
    Update: "chat.update",
    Upload: "files.completeUploadExternal",
    Delete: "chat.delete",
    StartStream: "chat.startStream",
    AppendStream: "chat.appendStream",
    StopStream: "chat.stopStream",
}


class Carriers:
    """Chooses edits or streams for a reply's pages. `has_stop`: whether Slack shows its own Stop button."""

    def __init__(self, answer: Answer, edits: Edits, *, has_stop: bool) -> None:
        self._answer = answer
        self._question = answer.job.question
        self._edits = edits
        self._has_stop = has_stop
        self._choose_stream: StreamChooser | None = None
        """A function that chooses streams for new pages, or None if all pages are shown by edits."""
        self._next_stream: Stream | None = None
        """The stream that will begin the next page, or None if a post will begin it."""
        self._is_chosen = False
        self._streams: dict[str, Stream] = {}
        """The streams that show pages, keyed by message `ts`. All other pages are shown by edits."""

    def offer_streams(self, choose_stream: StreamChooser) -> None:
        self._choose_stream = choose_stream

    def begin_with_post(self) -> None:
        self._next_stream = None

    def use_edits_only(self) -> None:
        self._choose_stream = None
        self.end_streams()

    def end_streams(self, now: float = math.inf) -> None:
        if self._next_stream is not None:
            self._next_stream.end(now)
        for stream in self._streams.values():
            stream.end(now)

    @property
    def can_choose_stream(self) -> bool:
        """Whether a page that begins now can still be shown by a stream."""
        return self._choose_stream is not None and not self._is_chosen and not self._edits.has_refusals

    def choose_carrier(self, call: Call | None, now: float) -> bool:
        """Chooses a stream or a post for a new page. Returns True for a stream, which limits all later pages."""
        if self._choose_stream is None or not isinstance(call, Post):
            return False
        view, page = call.view, call.page
        if not can_begin_stream(view, page, is_below_one=page >= self._edits.first_short_page):
            return False
        self._next_stream, self._is_chosen = self._choose_stream(now, view.has_stop), True
        if self._next_stream is None:
            return False
        self._edits.first_short_page = min(self._edits.first_short_page, page)
        return True

    def needed_calls(self, *, ended: bool) -> tuple[type[Call], ...]:
        streams = list(self._streams.values())
        if not streams and self._next_stream and self._choose_stream and not ended:
            streams = [self._next_stream]
        return streams[0].needed_calls if streams else (Update,)

    def begin_call(self, page: int, view: PageView) -> Begin:
        is_streamed = self._next_stream and self._choose_stream and view.growing
        return (StartStream if is_streamed else Post)(self._question, page, view)

    def change_call(self, page: int, ts: str, view: PageView, *, is_shown: bool, ended: bool) -> Change | None:
        """Returns the call that makes a page's message show its view, or None if no call is possible or needed.
        `is_shown`: whether the message already shows the view, although its stream might still be open. `ended`:
        whether the text is complete."""
        stream = self._streams.get(ts)
        if stream and not view.growing:
            return StopStream(self._question, page, ts, view, keeps_stop=self._has_stop and not ended)
        if is_shown:
            return None
        if stream:
            return AppendStream(self._question, page, ts, view)
        return Update(self._question, page, ts, view) if self._edits.can_edit(ended=ended) else None

    def stop_call(self, pages: Sequence[str], *, ended: bool) -> StopStream | None:
        """Returns the call that stops a stream that must end or whose page is gone, or None if there is no such
        stream."""
        for ts, stream in self._streams.items():
            if stream.must_stop or ts not in pages:
                page = pages.index(ts) if ts in pages else 0
                return StopStream(self._question, page, ts, keeps_stop=self._has_stop and not ended)
        return None

    def with_current_text(self, call: Call) -> Call | None:
        """Returns a call with the newest text, or None if there is nothing to send or another call must come first."""
        if not isinstance(call, Begin | Change) or (stream := self._stream_of(call)) is None:
            return call
        filled = stream.with_current_text(call)
        self._drop_ended_streams()
        return filled

    def on_done(self, call: Begin | Change, ts: str) -> None:
        stream = self._stream_of(call)
        if isinstance(call, Begin):
            self.on_page_begun()
            if stream is not None:
                self._streams[ts] = stream
        if stream is not None:
            stream.on_confirmed(call)
            self._drop_ended_streams()
        else:
            self._edits.on_confirmed(call)

    def on_page_begun(self) -> None:
        self._next_stream, self._is_chosen = None, False

    def on_rate_limit(self, call: object) -> None:
        if isinstance(call, StartStream):
            self.begin_with_post()

    def on_refused(self, call: Begin | Change, reason: Refusal) -> AfterRefusal | None:
        """Returns a refused call's effect on the reply's messages, or None if the call should be tried again."""
        if reason is Refusal.LINK_BLOCKED and self._answer.open_files:
            # Slack doesn't accept links to its files in this channel.
            self._answer.open_files = frozenset()
            return None
        if stream := self._stream_of(call):
            stream.on_refused(call, reason)
            self._drop_ended_streams()
            return AfterRefusal.UNKNOWN if stream.is_over and isinstance(call, Change) else None
        if reason in FORM_REFUSALS and self._edits.style.is_full and call.view and has_optional_parts(call.view):
            # Slack might accept the same page without charts and with buttons that everyone sees.
            self._edits.style = replace(self._edits.style, is_full=False)
            return None
        after = self._edits.on_refused(call, reason)
        if after is AfterRefusal.STOP and isinstance(call, Change):
            self._streams[call.ts] = Stream(stage=Stage.MUST_STOP)
        return after

    def _drop_ended_streams(self) -> None:
        if self._next_stream is not None and self._next_stream.is_over:
            self._next_stream = None
        self._streams = {ts: stream for ts, stream in self._streams.items() if not stream.is_over}

    def _stream_of(self, call: Begin | Change) -> Stream | None:
        if isinstance(call, Change):
            return self._streams.get(call.ts)
        return self._next_stream if isinstance(call, StartStream) else None
