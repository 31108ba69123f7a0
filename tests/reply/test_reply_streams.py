"""A reply whose pages travel by native streams: what starts, what is appended, and how every fault ends in an edit."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import pytest

from bot.core.asks import ApprovalCard
from bot.core.conversation import Question, ThreadKey
from bot.core.job import End
from bot.errors import EndReason, Refusal
from bot.models.events import Citation
from bot.reply.answer import Answer
from bot.reply.edits import PLAIN_TEXT_WEIGHT, Post, Update
from bot.reply.messages import Call, Delete, VisibleReply
from bot.reply.reply import Reply
from bot.reply.streams import AppendStream, Stage, StartStream, StopStream, Stream, can_be_streamed
from slack_markdown.render import render_page
from slack_pacing.carriers import STREAM_BYTES, CarrierName
from slack_pacing.pacer import Urgency
from tests.core.conversations import answer, job, question
from tests.core.readers import C, next_of
from tests.pictures import below
from tests.reply.outcomes import done, refused

STAY_OPEN = [reason for reason in Refusal if not reason.is_gone and reason is not Refusal.STREAM_CLOSED]
"""Refusals after which the stream may still be open."""
GONE = [reason for reason in Refusal if reason.is_gone]


@dataclass
class StreamingThread:
    """A thread that does every call, as its readers see it. `sent` has the calls."""

    texts: dict[str, str] = field(default_factory=dict)
    open: set[str] = field(default_factory=set)
    sent: list[Call] = field(default_factory=list)
    posted: int = 0

    def take(self, call: Call) -> str:
        assert call.question == question()
        self.sent.append(call)
        match call:
            case Post(view=view):
                return self._new(view.markdown)
            case StartStream(text=text):
                assert text, "a stream starts with words"
                ts = self._new(text)
                self.open.add(ts)
                return ts
            case AppendStream(ts=ts, text=text) | StopStream(ts=ts, text=text):
                assert ts in self.open
                assert text or isinstance(call, StopStream), "nothing is appended"
                self.texts[ts] += text
                if isinstance(call, StopStream):
                    self.open.remove(ts)
                return ts
            case Update(ts=ts, view=view):
                assert ts not in self.open, "an open stream can't be edited"
                self.texts[ts] = view.markdown
                return ts
            case Delete(ts=ts):
                assert ts not in self.open, "an open stream can't be deleted"
                del self.texts[ts]
                return ts
        raise AssertionError(call)

    def _new(self, text: str) -> str:
        self.posted += 1
        self.texts[f"{self.posted}.0"] = text
        return f"{self.posted}.0"


def streaming(reply: Reply) -> Stage | None:
    """Returns where the reply's stream stands; None without one."""
    streams = [*reply.carriers._streams.values(), reply.carriers._next_stream]
    return next((stream.stage for stream in streams if stream is not None), None)


def next_filled(reply: Reply, carrier: CarrierName | None = "stream") -> Call | None:
    """Returns the reply's next call with its text. `carrier`: what is offered for a page that begins."""
    if carrier is not None:
        reply.carriers.offer_streams(lambda now, has_stop: Stream() if carrier == "stream" else None)
    for _ in range(5):
        reply.prepare_next_call(0.0)
        call = reply.next_call()
        filled = call and reply.carriers.with_current_text(call)
        if filled is not None or reply.next_call() == call:
            return filled
    raise AssertionError(f"{call} is never filled")


def filled_of(reply: Reply, kind: type[C]) -> C:
    """Returns the reply's next call with its text, which is of this kind."""
    call = next_filled(reply)
    assert isinstance(call, kind)
    return call


def advance(reply: Reply, thread: StreamingThread, carrier: CarrierName = "stream") -> Call | None:
    call = next_filled(reply, carrier)
    if call is not None:
        done(reply, call, thread.take(call))
    return call


def show_all(reply: Reply, thread: StreamingThread) -> None:
    for _ in range(50):
        if advance(reply, thread) is None:
            return
    raise AssertionError("the reply still has calls")


def streamed(text: str = "One two three ") -> tuple[Reply, StreamingThread]:
    """Returns a reply whose first words a stream has brought, in a thread where Slack shows its own Stop."""
    reply, thread = Reply(answer(), VisibleReply(has_stop=True)), StreamingThread()
    reply.append(text)
    assert isinstance(advance(reply, thread), StartStream)
    return reply, thread


def test_words_grow_in_a_stream_until_its_stop() -> None:
    reply, thread = Reply(answer(), VisibleReply(has_stop=True)), StreamingThread()
    reply.append("One two")
    assert streaming(reply) is None
    start = filled_of(reply, StartStream)
    assert (start.page, start.text, streaming(reply)) == (0, "One", Stage.STARTING)
    assert reply.urgency_of(start) is Urgency.FIRST
    done(reply, start, thread.take(start))
    assert (streaming(reply), reply.page_ts, reply.has_begun) == (Stage.OPEN, ("1.0",), True)
    assert next_filled(reply) is None, "the last word may still grow"

    reply.append(" three")
    append = filled_of(reply, AppendStream)
    assert (append.page, append.ts, append.text) == (0, "1.0", " two")
    assert reply.urgency_of(append) is Urgency.PROGRESS
    done(reply, append, thread.take(append))
    assert next_filled(reply) is None

    reply.finish(End(EndReason.WHOLE, footer="model"))
    stop = filled_of(reply, StopStream)
    assert stop.view is not None
    assert (stop.page, stop.ts, stop.text) == (0, "1.0", " three")
    assert stop.view.end == below(End(EndReason.WHOLE, footer="model"), reply.text)
    assert reply.urgency_of(stop) is Urgency.FINAL
    done(reply, stop, thread.take(stop))
    assert (streaming(reply), reply.life.is_over, reply.page_ts) == (None, True, ("1.0",))
    assert thread.texts == {"1.0": "One two three"}


@pytest.mark.parametrize("has_stop", [True, False])
def test_stop_of_a_stream_keeps_slacks_own_stop_while_the_answer_goes_on(has_stop: bool) -> None:
    for is_over in (False, True):
        reply, thread = Reply(answer(), VisibleReply(has_stop=has_stop)), StreamingThread()
        reply.append("One two three ")
        while not isinstance(advance(reply, thread), StartStream):
            pass
        if is_over:
            reply.finish(End(EndReason.WHOLE))
        else:
            reply.carriers.end_streams()
        call = filled_of(reply, StopStream)
        assert call.keeps_stop == (has_stop and not is_over)


def test_reply_that_asks_for_an_approval_has_a_stop_of_its_own() -> None:
    reply = Reply(answer(), VisibleReply(has_stop=True))
    reply.show_activity((ApprovalCard("notes.add", "{}", "value"),))
    call = next_of(reply, Post)
    assert not call.view.has_stop


def test_stream_does_not_start_before_a_word_is_complete() -> None:
    reply = Reply(answer(), VisibleReply(has_stop=True))
    reply.append("Donau")
    assert (next_filled(reply), streaming(reply)) == (None, Stage.STARTING)
    reply.append("dampfschiff ")
    start = filled_of(reply, StartStream)
    assert start.text == "Donaudampfschiff"


def test_stream_that_has_brought_all_words_needs_no_call() -> None:
    reply, _ = streamed("One two ")
    assert reply.next_call() is None


@pytest.mark.parametrize("is_over", [False, True])
def test_budget_keeps_room_for_a_stream_that_may_still_start(is_over: bool) -> None:
    reply = Reply(answer(), VisibleReply(has_stop=True))
    reply.append("One ")
    assert reply.carriers.needed_calls(ended=reply.has_ended) == (Update,)
    assert isinstance(next_filled(reply), StartStream)
    if is_over:
        reply.finish(End(EndReason.WHOLE))
    assert reply.carriers.needed_calls(ended=reply.has_ended) == (
        (Update,) if is_over else (StartStream, AppendStream, StopStream)
    )


def ended(reply: Reply) -> None:
    reply.append("One ")
    reply.finish(End(EndReason.WHOLE))


def silent(reply: Reply) -> None:
    """The model hasn't said a word."""


def after_refusals(*reasons: Refusal) -> Callable[[Reply], None]:
    def begin(reply: Reply) -> None:
        reply.append("One ")
        for reason in reasons:
            call = next_of(reply, Post)
            refused(reply, call, reason)

    return begin


def with_full_page(reply: Reply) -> None:
    """Edits have carried the first page, and the second begins."""
    reply.append("word " * 4_000)
    advance(reply, StreamingThread(), "edit")


def words(reply: Reply) -> None:
    reply.append("One ")


def words_below_others(reply: Reply) -> None:
    """Edits have shown words before a stream was allowed."""
    words(reply)
    done(reply, reply.next_call(), "1.0")  # type: ignore[arg-type]
    words(reply)


def words_below_a_placeholder(reply: Reply) -> None:
    done(reply, reply.next_call(), "1.0")  # type: ignore[arg-type]
    reply.append("One ")


@pytest.mark.parametrize(
    ("options", "begin", "can_start"),
    [
        ({}, words, True),
        ({"shown": VisibleReply(has_stop=True)}, words, True),
        ({"shown": VisibleReply(has_stop=True)}, words_below_a_placeholder, False),
        ({}, words_below_a_placeholder, False),
        ({}, silent, False),
        ({"shown": VisibleReply(has_stop=True)}, words_below_others, False),
        ({"shown": VisibleReply(has_stop=True)}, ended, False),
        ({"answer": Answer(job(version=1))}, words, False),
        ({"shown": VisibleReply(("1.0",))}, words, False),
        ({}, after_refusals(Refusal.UNREADABLE), False),
        ({}, after_refusals(*[Refusal.UNKNOWN] * (PLAIN_TEXT_WEIGHT // 2)), False),
        ({"shown": VisibleReply(has_stop=True)}, with_full_page, True),
        ({}, with_full_page, False),
    ],
    ids=[
        "first words",
        "below Slack's own Stop",
        "in place of a placeholder, with Slack's own Stop",
        "in place of a placeholder",
        "without a word",
        "in place of words",
        "an answer that has ended",
        "a new version, whose message shows the old one",
        "a message of an earlier attempt",
        "without blocks",
        "in plain text",
        "a later page below Slack's own Stop",
        "a later page, below one with a Stop button",
    ],
)
def test_what_a_stream_may_carry(options: dict[str, Any], begin: Callable[[Reply], None], can_start: bool) -> None:
    reply = Reply(**{"answer": answer(), **options})
    begin(reply)
    reply.carriers.offer_streams(lambda now, has_stop: Stream())
    reply.prepare_next_call(0.0)
    assert isinstance(reply.next_call(), StartStream) is can_start


@pytest.mark.parametrize("has_stop", [False, True])
def test_later_page_starts_a_stream_of_its_own(has_stop: bool) -> None:
    reply, thread = Reply(answer(), VisibleReply(has_stop=has_stop)), StreamingThread()
    text = "word " * 4_000
    for start in range(0, len(text), 500):
        reply.append(text[start : start + 500])
        show_all(reply, thread)
    reply.finish(End(EndReason.WHOLE))
    show_all(reply, thread)
    kinds = [type(call) for call in thread.sent if not isinstance(call, AppendStream)]
    assert kinds == [StartStream, StopStream] * 3
    stops = [call for call in thread.sent if isinstance(call, StopStream)]
    assert [stop.keeps_stop for stop in stops] == [has_stop, has_stop, False]
    assert [len(page) for page in thread.texts.values()][:2] == [STREAM_BYTES - 1] * 2
    assert "".join(f"{page} " for page in thread.texts.values()) == text


@pytest.mark.parametrize("by", ["us", "Slack"])
def test_bare_stop_names_the_page_of_its_stream(by: str) -> None:
    reply, thread = Reply(answer(), VisibleReply(has_stop=True)), StreamingThread()
    for _ in range(30):
        reply.append("word " * 100)
        show_all(reply, thread)
    assert len(thread.texts) == 2
    reply.carriers.end_streams()
    if by == "Slack":
        show_all(reply, thread)
        reply.append("more ")
        edit = filled_of(reply, Update)
        refused(reply, edit, Refusal.STREAM_OPEN)
    assert next_filled(reply) == StopStream(question(), 1, "2.0")


LINKS = [
    "https://evil.example/?d=…",
    "[here](//evil.example)",
    "<https:evil.example>",
    "www.evil.example",
    "http&colon;//e.example",
]


@pytest.mark.parametrize("link", LINKS)
@pytest.mark.parametrize("is_confirmed", [True, False], ids=["open", "starting"])
def test_stream_is_left_before_an_address(is_confirmed: bool, link: str) -> None:
    reply = Reply(answer(), VisibleReply(has_stop=True))
    reply.append("One two ")
    start = filled_of(reply, StartStream)
    if is_confirmed:
        done(reply, start, "1.0")
    reply.append(f"three {link} four ")
    if not is_confirmed:
        done(reply, start, "1.0")
    assert next_filled(reply) == StopStream(question(), 0, "1.0", keeps_stop=True)
    done(reply, StopStream(question(), 0, "1.0", keeps_stop=True), "1.0")
    assert isinstance(next_filled(reply), Update)


@pytest.mark.parametrize("is_offered", [True, False], ids=["before the stream is chosen", "after"])
def test_no_stream_begins_with_an_address(is_offered: bool) -> None:
    reply = Reply(answer(), VisibleReply(has_stop=True))
    reply.append("One two ")
    if not is_offered:
        assert isinstance(next_filled(reply), StartStream)
    reply.append("https://evil.example/?d=… ")
    assert isinstance(next_filled(reply), Post)


def test_pages_of_a_stream_stay_when_edits_go_on() -> None:
    reply, thread = streamed("word " * 100)
    reply.append("word " * 2_900)
    reply.carriers.end_streams()
    reply.finish(End(EndReason.WHOLE))
    show_all(reply, thread)
    assert [len(page) for page in thread.texts.values()] == [STREAM_BYTES, 15_000 - STREAM_BYTES]
    updates = [call for call in thread.sent if isinstance(call, Post | Update)]
    assert all(call.view.for_stream for call in updates)


@pytest.mark.parametrize("reason", Refusal)
def test_refused_start_leaves_the_page_to_edits(reason: Refusal) -> None:
    reply, thread = Reply(answer(), VisibleReply(has_stop=True)), StreamingThread()
    reply.append("One two ")
    start = filled_of(reply, StartStream)
    refused(reply, start, reason)
    assert streaming(reply) is None
    assert isinstance(advance(reply, thread), Post)
    reply.append("three ")
    assert isinstance(advance(reply, thread), Update)
    assert thread.texts == {"1.0": "One two three "}


def test_append_that_must_wait_leaves_the_stream_open() -> None:
    reply, _ = streamed()
    reply.append("four ")
    append = filled_of(reply, AppendStream)
    reply.carriers.begin_with_post()
    assert (streaming(reply), next_filled(reply)) == (Stage.OPEN, append)


def refused_in_stream(reason: Refusal, *, at_the_end: bool) -> tuple[Reply, StreamingThread]:
    """Returns a reply with an append, or a stop with the rest of its text, that Slack refused."""
    reply, thread = streamed()
    reply.append("four ")
    if at_the_end:
        reply.finish(End(EndReason.WHOLE))
    call = next_filled(reply)
    assert isinstance(call, StopStream if at_the_end else AppendStream)
    refused(reply, call, reason)
    return reply, thread


@pytest.mark.parametrize("at_the_end", [False, True])
@pytest.mark.parametrize("reason", [*STAY_OPEN, Refusal.STREAM_CLOSED])
def test_stream_whose_call_is_refused_is_stopped_if_it_may_be_open_and_edited(
    reason: Refusal, at_the_end: bool
) -> None:
    reply, thread = refused_in_stream(reason, at_the_end=at_the_end)
    stop, is_closed = next_filled(reply), reason is Refusal.STREAM_CLOSED
    if is_closed:
        thread.open.clear()
    else:
        assert stop == StopStream(question(), 0, "1.0")
        assert reply.urgency_of(stop) is Urgency.FINAL
    show_all(reply, thread)
    assert [type(call) for call in thread.sent] == [StartStream, *([] if is_closed else [StopStream]), Update]
    assert (thread.texts, streaming(reply)) == ({"1.0": "One two three four "}, None)


@pytest.mark.parametrize("at_the_end", [False, True])
@pytest.mark.parametrize("reason", GONE)
def test_stream_in_a_place_that_is_gone_ends_the_reply_once_edits_find_nothing(
    reason: Refusal, at_the_end: bool
) -> None:
    reply, _ = refused_in_stream(reason, at_the_end=at_the_end)
    for _ in range(2):
        assert not reply.is_gone
        refused(reply, filled_of(reply, Update), reason)
    assert (reply.is_gone, reply.next_call(), reply.life.is_over) == (True, None, True)


@pytest.mark.parametrize("reason", GONE)
def test_stream_that_slack_missed_once_is_stopped_and_edited(reason: Refusal) -> None:
    reply, thread = refused_in_stream(reason, at_the_end=True)
    refused(reply, filled_of(reply, Update), Refusal.STREAM_OPEN)
    show_all(reply, thread)
    assert (thread.texts, thread.open, reply.is_gone) == ({"1.0": "One two three four "}, set(), False)


@pytest.mark.parametrize("reason", [reason for reason in Refusal if not reason.is_gone])
def test_bare_stop_is_repeated_only_if_the_refusal_may_pass(reason: Refusal) -> None:
    reply, thread = streamed()
    reply.carriers.end_streams()
    stop = next_filled(reply)
    assert stop == StopStream(question(), 0, "1.0")
    refused(reply, stop, reason)
    if reason.is_temporary:
        assert next_filled(reply) == stop
    else:
        thread.open.clear()
        assert isinstance(advance(reply, thread), Update)


def test_message_that_still_grows_as_a_stream_is_stopped_and_then_replaced() -> None:
    reply, thread = streamed()
    reply.carriers.end_streams()
    show_all(reply, thread)
    reply.append("four ")
    for _ in range(2):
        edit = filled_of(reply, Update)
        refused(reply, edit, Refusal.STREAM_OPEN)
        thread.open.add("1.0")
        thread.sent.clear()
        assert advance(reply, thread) == StopStream(question(), 0, "1.0")
    edit = filled_of(reply, Update)
    refused(reply, edit, Refusal.STREAM_OPEN)
    show_all(reply, thread)
    assert [type(call) for call in thread.sent] == [StopStream, Post, Delete]
    assert thread.texts == {"2.0": "One two three four "}


LABEL, DEFINITION = "See [the docs] for more. ", "\n\n[the docs]: https://docs.example/\n\nDone. "
HEADER, *ROWS = (" | ".join(cell * 22) + "\n" for cell in (["a"], ["---"], ["1"]))
"""A table so wide that Slack takes it only as code is known by the row below its header."""
SOURCES = (Citation("https://a.example", "A"),)


@pytest.mark.parametrize(
    ("text", "change", "end"),
    [
        (LABEL, lambda reply: reply.append(DEFINITION), None),
        (LABEL, lambda reply: reply.append(DEFINITION), End(EndReason.WHOLE)),
        (LABEL, lambda reply: reply.append("\n\n[the docs]: docs.html\n\nMore. "), None),
        (HEADER, lambda reply: reply.append("".join(ROWS) + "\nMore. "), None),
        (HEADER, lambda reply: reply.append("".join(ROWS) + "\nMore. "), End(EndReason.WHOLE)),
        ("One two ", lambda reply: reply.show_activity((ApprovalCard("notes/write", "{}", "1:0:a"),)), None),
        ("One two ", lambda reply: reply.carriers.end_streams(), None),
        ("One two ", lambda reply: None, End(EndReason.WHOLE, sources=SOURCES)),
    ],
    ids=["address", "address at the end", "definition", "table", "table at the end", "approval", "left", "sources"],
)
def test_page_that_only_an_edit_can_show_leaves_its_stream(
    text: str, change: Callable[[Reply], None], end: End | None
) -> None:
    reply, thread = streamed(text)
    assert text.startswith(thread.texts["1.0"])
    change(reply)
    if end is not None:
        reply.finish(end)
    show_all(reply, thread)
    assert [type(call) for call in thread.sent] == [StartStream, StopStream, Update]
    assert thread.sent[1] == StopStream(question(), 0, "1.0")
    assert thread.texts == {"1.0": reply.text}
    if end is None:
        reply.append("More. ")
        show_all(reply, thread)
        assert [type(call) for call in thread.sent[3:]] == [Update]


def test_end_that_is_posted_again_stops_the_stream_first() -> None:
    reply, thread = streamed()
    reply.finish(End(EndReason.WHOLE))
    reply.post_again(0)
    show_all(reply, thread)
    assert [type(call) for call in thread.sent] == [StartStream, StopStream, Post, Delete]
    assert thread.sent[1] == StopStream(question(), 0, "1.0")
    assert thread.texts == {"2.0": "One two three "}


def test_pages_that_are_posted_again_are_no_longer_than_a_stream_carries() -> None:
    reply, thread = streamed("word " * 100)
    reply.append("word " * 3_000)
    show_all(reply, thread)
    reply.finish(End(EndReason.WHOLE))
    reply.post_again(0)
    show_all(reply, thread)
    posts = [call for call in thread.sent if isinstance(call, Post)]
    assert [call.page for call in posts] == [0, 1]
    assert all(call.view.for_stream and len(call.view.markdown) <= STREAM_BYTES for call in posts)


def test_stop_appends_what_was_held_back_as_an_ended_page_shows_it() -> None:
    reply, thread = streamed("One two ")
    text = "One two *three"
    assert render_page(text, growing=False) != render_page(text, growing=True)
    reply.append("*three")
    reply.finish(End(EndReason.WHOLE))
    show_all(reply, thread)
    assert thread.texts == {"1.0": render_page(text, growing=False)}


def test_words_that_may_change_after_all_are_not_appended_and_the_stream_stays_open() -> None:
    reply, thread = streamed("Well :)_")
    assert thread.texts == {"1.0": "Well :)"}
    reply.append("then")
    assert (next_filled(reply), streaming(reply)) == (None, Stage.OPEN)
    reply.append("_ four ")
    show_all(reply, thread)
    assert (thread.texts, streaming(reply)) == ({"1.0": "Well :)_then_ four"}, Stage.OPEN)


def asked_in(
    thread_ts: str | None = "1.0", channel: str = "C1", user_id: str = "U1", *, from_bot: bool = False
) -> Question:
    return Question(ThreadKey("T1", channel, thread_ts), "1.0", user_id, "why?", is_from_bot=from_bot)


@pytest.mark.parametrize(
    ("asked", "is_alone", "may"),
    [
        (asked_in(), True, True),
        (asked_in(), False, False),
        (asked_in(channel="D1"), False, True),
        (asked_in(None, channel="D1"), True, False),
        (asked_in(user_id="W1"), True, True),
        (asked_in(user_id="B1"), True, False),
        (asked_in(from_bot=True), True, False),
    ],
)
def test_streams_carry_answers_to_one_person_in_a_thread(asked: Question, is_alone: bool, may: bool) -> None:
    assert can_be_streamed(asked, is_alone=is_alone) is may
