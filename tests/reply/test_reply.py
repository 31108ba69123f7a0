"""A reply: whichever calls Slack refuses, it finally shows the whole text, page by page."""

from collections.abc import Callable
from dataclasses import replace

import pytest

from bot.core import texts
from bot.core.asks import ApprovalCard
from bot.core.job import POSTING, End, MessageRole, RecordedMessage, sentence_notice
from bot.errors import EndReason, RateLimited, Refusal, Refused
from bot.reply import blocks as reply_blocks
from bot.reply.answer import Answer
from bot.reply.edits import Post, Update
from bot.reply.messages import (
    LIFE_AFTER,
    MAX_COUNTED_CHARS,
    Delete,
    Life,
    PageView,
    ReplyEvent,
    VisibleReply,
    next_life,
    shown_transcript,
)
from bot.reply.outcomes import (
    CallDone,
    CallFound,
    CallLimited,
    CallLost,
    CallRefused,
    CallUnsent,
    Outcome,
)
from bot.reply.reply import Reply
from slack_markdown.escaping import JOINER
from slack_markdown.extent import BLOCK_CHARS, HEADER_CHARS, counted_chars
from slack_markdown.pages import PAGE_CHARS
from slack_markdown.tests.costs import milliseconds
from slack_pacing.carriers import STREAM_BYTES
from slack_pacing.pacer import Urgency
from tests.core.conversations import answer, job, recorded_pages, reply_on_short_pages
from tests.core.readers import ReadersChannel, next_of, show_all
from tests.pictures import below, ended
from tests.reply.outcomes import done, found, refused

LEFT, OLD = "Hello wor", "One.\n\nTwo is"
WHOLE, CUT = End(EndReason.WHOLE), End(EndReason.CUT, sentence_notice("Cut."))
MESSAGE, OUTDATED = VisibleReply(("7.0",)), VisibleReply(("7.0",), is_outdated=True)


@pytest.mark.parametrize(
    ("shown", "left", "words", "end", "view"),
    [
        (VisibleReply(), "", (), None, PageView("", growing=True)),
        (VisibleReply(), "", ("Half an ", "ans"), CUT, ended("Half an ans", CUT)),
        (MESSAGE, "", (), None, None),
        (MESSAGE, "", ("Hello",), None, PageView("Hello", growing=True)),
        (MESSAGE, LEFT, ("Hello wo",), None, None),
        (MESSAGE, LEFT, ("Hello wo", "rld"), None, PageView("Hello world", growing=True)),
        (MESSAGE, LEFT, ("Hi.",), WHOLE, ended("Hi.", WHOLE)),
        (MESSAGE, LEFT, ("Hel",), CUT, ended(LEFT, CUT)),
        (OUTDATED, OLD, ("One.\n\n", "Two"), None, PageView(OLD, growing=True)),
        (OUTDATED, OLD, ("One.\n\n", "Two", " is it, or"), None, PageView("One.\n\nTwo is it, or", growing=True)),
    ],
)
def test_next_call_shows_what_readers_are_to_see_of_this_attempt_and_an_earlier_one(
    shown: VisibleReply, left: str, words: tuple[str, ...], end: End | None, view: PageView | None
) -> None:
    reply, channel = Reply(answer(left), shown), ReadersChannel()
    for delta in words:
        reply.append(delta)
    if end is not None:
        reply.finish(end)
    call = reply.next_call()
    assert getattr(call, "view", None) == view
    assert isinstance(call, Update if shown.page_ts else Post) is (view is not None)
    assert show_all(reply, channel) == (view is not None), "then nothing is sent"
    assert reply.life.is_over is (end is not None)


@pytest.mark.parametrize("shown", [VisibleReply(("7.0",), replaced_ts=("8.0",)), VisibleReply(("7.0", "8.0"))])
def test_messages_that_show_no_page_are_deleted(shown: VisibleReply) -> None:
    reply, channel = Reply(answer(), shown), ReadersChannel({"7.0": PageView("a"), "8.0": PageView("b")})
    role = MessageRole.REPLACED if shown.replaced_ts else MessageRole.PAGE
    assert reply.recorded_messages == (*recorded_pages("7.0"), RecordedMessage("8.0", role))
    reply.append("Hello")
    reply.finish(WHOLE)
    show_all(reply, channel)
    assert channel.shown == {"7.0": ended("Hello", WHOLE)}


@pytest.mark.parametrize("left", ["A list.", "- an item\n" * 1_000])
def test_reply_that_starts_over_shows_nothing_of_an_earlier_attempts_text(left: str) -> None:
    channel = ReadersChannel({"7.0": PageView(left[:1_000]), "8.0": PageView("more")})
    reply = Reply(answer(left), VisibleReply(("7.0", "8.0")))
    reply.start_over()
    reply.append("Four.")
    reply.finish(WHOLE)
    show_all(reply, channel)
    assert channel.shown == {"7.0": ended("Four.", WHOLE)}


def test_reply_shows_what_the_model_does_until_it_writes() -> None:
    reply, channel = Reply(answer()), ReadersChannel()
    show_all(reply, channel)
    for activity in ("Searching the web…", "Searching the web: bots…"):
        reply.show_activity(activity)
    call = next_of(reply, Update)
    assert call.view == PageView("", growing=True, activity="Searching the web: bots…")
    assert reply.urgency_of(call) is Urgency.STEP
    show_all(reply, channel)
    assert reply.next_call() is None
    reply.append("Hello")
    reply.show_activity("Searching the web: more…")
    call = next_of(reply, Update)
    assert call.view == PageView("Hello", growing=True, activity="Searching the web: more…")
    show_all(reply, channel)
    reply.show_activity("")
    call = next_of(reply, Update)
    assert call.view == PageView("Hello", growing=True)
    assert reply.urgency_of(call) is Urgency.STEP


ASK = ApprovalCard("notes.add", "{}", "value")


@pytest.mark.parametrize(
    ("view", "lacks"),
    [
        (PageView("", growing=True), False),
        (PageView("#", growing=True), True),
        (PageView("# A", growing=True), False),
        (PageView("#", growing=True, activity="Searching…"), False),
        (PageView("#", growing=True, asks=(ASK,)), False),
        (ended("#", WHOLE), False),
    ],
    ids=["nothing", "marks", "a word", "an activity", "approvals", "an end"],
)
def test_marks_wait_for_a_word_unless_something_else_is_shown(view: PageView, lacks: bool) -> None:
    reply = Reply(answer())
    assert reply.shows_no_word(Post(answer().job.question, 0, view)) is lacks


def test_transcript_stands_above_the_first_page_alone() -> None:
    reply, channel = Reply(answer()), ReadersChannel()
    show_all(reply, channel)
    reply.show_transcripts(["What day", " is it? ", ""])
    call = next_of(reply, Update)
    heard = "What day\n\nis it?"
    assert call.view == PageView("", growing=True, transcript=heard)
    reply.append("word " * PAGE_CHARS)
    assert [reply.page_view(page).transcript for page in (0, 1)] == [heard, ""]
    reply.show_transcripts(["other words"])
    assert reply.page_view(0).transcript == heard, "pages stay where they break"


@pytest.mark.parametrize("said", ["word " * 2_000, "&" * 9_000, "漢" * 9_000], ids=["words", "entities", "ideographs"])
@pytest.mark.parametrize("text", ["word ", "# Heading\n\n", "&<> "])
def test_first_page_leaves_room_for_a_long_transcript(said: str, text: str) -> None:
    reply = Reply(Answer(replace(job(), transcripts={"F1": said})))
    reply.append(text * PAGE_CHARS)
    view = reply.page_view(0)
    [section, markdown, *_] = reply_blocks.message(view)["blocks"]
    assert section["text"]["text"].endswith("…”")
    assert counted_chars(section["text"]["text"]) <= 3_000
    headings = HEADER_CHARS * markdown["text"].count("# ")
    assert counted_chars(section["text"]["text"]) + len(markdown["text"]) + headings <= BLOCK_CHARS
    assert len(markdown["text"]) > 400


@pytest.mark.parametrize("char", ["x", "&", "<"])
def test_transcript_is_cut_only_where_slack_would_fold_it(char: str) -> None:
    most = MAX_COUNTED_CHARS // counted_chars(char)
    for count in (most - 1, most):
        assert shown_transcript([char * count]) == char * count
    cut = shown_transcript([char * (most + 1)])
    assert (cut, len(cut) > most // 2) == (f"{char * (len(cut) - 1)}…", True)


@pytest.mark.parametrize("repeated", ["word ", "a\u200b", "&"])
def test_transcripts_of_any_length_are_shown_in_about_the_same_time(repeated: str) -> None:
    short, long = (repeated * (chars // len(repeated)) for chars in (10_000, 500_000))
    assert shown_transcript([long]) == shown_transcript([short * 2])
    limit_ms = 5 * max(milliseconds(lambda text: shown_transcript([text]), short), 1.0)
    assert milliseconds(lambda text: shown_transcript([text]), long) < limit_ms


def test_transcript_is_short_where_slack_refuses_blocks() -> None:
    view = PageView("Friday.", transcript="word " * 100, plain=True)
    text = reply_blocks.message(view)["text"]
    assert text.startswith(texts.answers.transcript_line("word word")[:-1])
    assert text.endswith("…”\n\nFriday.")
    assert len(text) < 230


def test_reader_sees_times_by_their_own_clock_above_and_below_text() -> None:
    asked, resets = texts.times.token(1_764_000_000), texts.times.token(1_764_028_800)
    end = End(EndReason.CAP_REACHED, sentence_notice(texts.quotas.quota_used_up("your quota", 1_764_028_800)))
    view = PageView("Friday.", asked_on=texts.answers.asked_on("1764000000.5"), end=below(end, "Friday."))
    for form in (view, replace(view, plain=True)):
        text = reply_blocks.message(form)["text"]
        assert text.startswith(f"Asked {asked}.\n\nFriday.\n\nYour quota is used up. It resets {resets}.")
    above, _, below_text, *_ = reply_blocks.message(view)["blocks"]
    elements = [element for block in (above, below_text) for element in block["elements"][0]["elements"]]
    assert [one["timestamp"] for one in elements if one["type"] == "date"] == [1_764_000_000, 1_764_028_800]
    # In a model's text, nothing becomes a token.
    assert "<" not in reply_blocks.message(PageView(asked, plain=True))["text"]


def test_activity_below_an_earlier_attempts_text_is_removed_again() -> None:
    reply, channel = Reply(answer("Hello"), VisibleReply(("5.1",))), ReadersChannel()
    reply.append("Hello")
    for activity in ("Searching the web…", ""):
        reply.show_activity(activity)
        show_all(reply, channel)
        assert channel.shown == {"5.1": PageView("Hello", growing=True, activity=activity)}


def leaves_twice(reply: Reply, post: Post) -> None:
    reply.on_send(post)
    reply.on_send(post)


def came_before_it_left(reply: Reply, post: Post) -> None:
    reply.on_outcome(post, CallDone("1.0"))


def came_twice(reply: Reply, post: Post) -> None:
    done(reply, post, "1.0")
    reply.on_outcome(post, CallDone("1.0"))


def came_for_another_call(reply: Reply, post: Post) -> None:
    reply.on_send(post)
    reply.on_outcome(Delete(reply.job.question, "1.0"), CallDone())


@pytest.mark.parametrize("happens", [leaves_twice, came_before_it_left, came_twice, came_for_another_call])
def test_call_leaves_alone_and_has_one_outcome(happens: Callable[[Reply, Post], None]) -> None:
    reply = Reply(answer())
    with pytest.raises(ValueError, match=r"can't be sent|wasn't sent"):
        happens(reply, next_of(reply, Post))


@pytest.mark.parametrize(
    ("outcome", "is_on_record"),
    [
        (CallDone("1.0"), False),
        (CallFound("1.0"), False),
        (CallRefused(Refused("chat.postMessage", "no_text", Refusal.UNREADABLE)), False),
        (CallLimited(RateLimited("chat.postMessage", 1.0)), False),
        (CallLost(), True),
        (CallLost(Refused("chat.postMessage", "internal_error", Refusal.TRANSIENT)), True),
        (CallUnsent(), False),
    ],
    ids=str,
)
def test_message_that_a_call_may_have_made_stays_on_record_only_if_the_call_is_lost(
    outcome: Outcome, *, is_on_record: bool
) -> None:
    reply = Reply(answer())
    post = next_of(reply, Post)
    reply.on_send(post)
    assert POSTING in reply.recorded_messages
    reply.on_outcome(post, outcome)
    assert (POSTING in reply.recorded_messages) is is_on_record


def test_found_post_is_edited_to_show_the_newest_text() -> None:
    reply = Reply(answer())
    post = next_of(reply, Post)
    reply.append("Hello")
    reply.finish(End(EndReason.WHOLE))
    refused(reply, post, Refusal.TRANSIENT)
    found(reply, post, "7.0")
    call = next_of(reply, Update)
    assert (call.ts, call.view) == ("7.0", ended("Hello", End(EndReason.WHOLE)))


def test_full_pages_are_not_edited_again() -> None:
    reply, channel = Reply(answer()), ReadersChannel()
    reply.append("x" * PAGE_CHARS + "y")
    show_all(reply, channel)
    reply.append("z")
    call = next_of(reply, Update)
    assert call.page == 1


@pytest.mark.parametrize("delta_chars", [100, 100_000])
@pytest.mark.parametrize("stream_page", [0, 1, 2])
def test_take_over_breaks_the_pages_where_a_stream_had_them(stream_page: int, delta_chars: int) -> None:
    text = "".join(f"This is line {number} of the answer.\n" for number in range(1_200))
    deltas = [text[start : start + delta_chars] for start in range(0, len(text), delta_chars)]
    earlier, before = Reply(answer()), ReadersChannel()
    for delta in deltas:
        earlier.append(delta)
    earlier._edits.first_short_page = stream_page
    earlier.apply_form()
    earlier.finish(End(EndReason.WHOLE))
    show_all(earlier, before)
    pages = list(before.shown.values())
    assert [page.for_stream for page in pages] == [number >= stream_page for number in range(len(pages))]
    assert all((len(page.markdown) <= STREAM_BYTES) is page.for_stream for page in pages)

    reply = Reply(answer(deltas[0][:1]), VisibleReply(tuple(before.shown), stream_page=stream_page))
    after = ReadersChannel(dict(before.shown))
    for delta in deltas:
        reply.append(delta)
    reply.finish(End(EndReason.WHOLE))
    show_all(reply, after)
    assert after.shown == before.shown


def test_end_is_shown_on_a_full_page_that_only_white_space_follows() -> None:
    reply, channel = Reply(answer()), ReadersChannel()
    reply.append("x" * PAGE_CHARS + "\n")
    show_all(reply, channel)
    reply.append("\n")
    reply.finish(End(EndReason.WHOLE))
    show_all(reply, channel)
    assert [view.end for view in channel.shown.values()] == [below(End(EndReason.WHOLE), reply.text)]


def test_end_is_posted_again_with_the_pages_that_differ_and_the_old_message_is_deleted() -> None:
    reply, channel = reply_on_short_pages(40), ReadersChannel()
    reply.append("one " * 15)
    show_all(reply, channel)
    first, second = reply.page_ts
    reply.append("and the end")
    reply.finish(End(EndReason.WHOLE))
    edit = next_of(reply, Update)
    assert (edit.page, reply.can_be_posted_again(edit)) == (1, True)
    reply.post_again(edit.page)
    calls = []
    while (call := reply.next_call()) is not None:
        calls.append(type(call).__name__)
        done(reply, call, channel.take(call))
    assert calls == ["Post", "Delete"]
    assert reply.page_ts[0] == first
    assert second not in channel.shown
    assert channel.text() == "one " * 15 + "and the end"


def test_only_an_ended_answer_is_posted_again_and_only_once() -> None:
    reply, channel = Reply(answer()), ReadersChannel()
    show_all(reply, channel)
    reply.append("one")
    growing = reply.next_call()
    assert growing is not None
    assert not reply.can_be_posted_again(growing)
    reply.finish(End(EndReason.WHOLE))
    final = next_of(reply, Update)
    reply.post_again(final.page)
    assert not reply.can_be_posted_again(final)


def test_urgency_tells_first_words_steps_progress_and_the_end_apart() -> None:
    reply, urgencies = Reply(answer()), list[str]()

    def send() -> None:
        call = reply.next_call()
        assert call is not None
        urgencies.append(reply.urgency_of(call).name)
        done(reply, call, f"{len(urgencies)}.0")

    send()
    for activity in ("Searching…", "Searching for bots…"):
        reply.show_activity(activity)
        send()
    reply.append("Because ")
    reply.show_activity("")
    send()
    reply.append("it is. ")
    send()
    calling: tuple[str | tuple[ApprovalCard], ...] = ("Running notes.list…", "", (ASK,), "")
    for call in calling:
        reply.show_activity(call)
        send()
    reply.show_activity("Running notes.list…")
    reply.show_activity("")
    assert reply.next_call() is None, "the call was over before an edit could show it"
    reply.append("word " * PAGE_CHARS)
    send()
    send()
    reply.finish(WHOLE)
    send()
    first = ["FIRST", "STEP", "STEP"]
    last = ["PROGRESS", "STEP", "STEP", "FIRST", "PROGRESS", "PROGRESS", "FIRST", "FINAL"]
    assert urgencies == [*first, "FIRST", *last], "an answer's and a page's first words, and approvals, don't wait"


def test_placeholder_of_a_queued_question_says_so() -> None:
    call = Reply(answer(), VisibleReply(queued=True)).next_call()
    assert isinstance(call, Post)
    assert texts.answers.QUEUED in str(reply_blocks.message(call.view))


def test_found_placeholder_is_not_posted_again() -> None:
    reply, channel = Reply(answer(), VisibleReply(is_outdated=True, queued=True)), ReadersChannel()
    post = next_of(reply, Post)
    ts = channel.take(post)
    refused(reply, post, Refusal.TRANSIENT)
    found(reply, post, ts)
    assert reply.life is Life.SHOWN
    assert reply.next_call() is None


@pytest.mark.parametrize(
    ("view", "text"),
    [
        (PageView("", growing=True), texts.answers.THINKING),
        (PageView("# Title\n\n**Bold** and `code`"), "Title. Bold and code"),
        (PageView("**Bold** and hal", growing=True), "Bold and"),
        (PageView("word " * 100), ("word " * 30).strip() + "…"),
        (ended("", End(EndReason.WHOLE, sentence_notice("It broke."))), "It broke."),
        (PageView("<!channel> hi"), f"@{JOINER}channel hi"),
    ],
)
def test_preview_is_readable_as_a_notification(view: PageView, text: str) -> None:
    assert reply_blocks.short_text(view) == text


@pytest.mark.parametrize("turn", ReplyEvent)
@pytest.mark.parametrize("life", Life)
def test_turn_that_the_table_does_not_have_is_refused_unless_the_reply_is_over(life: Life, turn: ReplyEvent) -> None:
    if life.is_over:
        assert next_life(life, turn) is life
    elif (life, turn) in LIFE_AFTER:
        assert next_life(life, turn) is LIFE_AFTER[life, turn]
    else:
        with pytest.raises(ValueError, match=f"{turn} can't happen to a reply that is {life}"):
            next_life(life, turn)
