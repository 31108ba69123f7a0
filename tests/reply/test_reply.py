"""A reply: whichever calls Slack refuses, it finally shows the whole text, page by page."""

from dataclasses import replace

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from benchmarks.hostile import milliseconds
from bot.core import texts
from bot.core.job import End, MessageRole, RecordedMessage
from bot.core.outbox import OutboxKind
from bot.core.pacing import STREAM_BYTES, Urgency
from bot.errors import EndReason, Refusal
from bot.markdown.extent import BLOCK_CHARS, HEADER_CHARS, counted_chars
from bot.markdown.pages import PAGE_CHARS
from bot.markdown.render import sent_chars
from bot.reply import blocks as reply_blocks
from bot.reply.answer import Answer
from bot.reply.edits import Post, Update
from bot.reply.messages import TURNS, Call, Life, PageView, Shown, Turn, Upload, after, shown_transcript
from bot.reply.reply import MAX_PAGES, Reply
from tests.core.conversations import answer, job, recorded_pages, reply_on_short_pages
from tests.core.readers import ReadersChannel, show_all


def test_reply_begins_with_a_placeholder() -> None:
    call = Reply(answer()).next_call()
    assert isinstance(call, Post)
    assert call.view == PageView("", growing=True)


def test_reply_shows_what_the_model_does_until_it_writes() -> None:
    reply, channel = Reply(answer()), ReadersChannel()
    show_all(reply, channel)
    for activity in ("Searching the web…", "Searching the web: bots…"):
        reply.show_activity(activity)
    call = reply.next_call()
    assert isinstance(call, Update)
    assert call.view == PageView("", growing=True, activity="Searching the web: bots…")
    assert reply.urgency_of(call) is Urgency.STEP
    show_all(reply, channel)
    assert reply.next_call() is None
    reply.append("Hello")
    reply.show_activity("Searching the web: more…")
    call = reply.next_call()
    assert isinstance(call, Update)
    assert call.view == PageView("Hello", growing=True, activity="Searching the web: more…")
    show_all(reply, channel)
    reply.show_activity("")
    call = reply.next_call()
    assert isinstance(call, Update)
    assert call.view == PageView("Hello", growing=True)
    assert reply.urgency_of(call) is Urgency.STEP


def test_transcript_stands_above_the_first_page_alone() -> None:
    reply, channel = Reply(answer()), ReadersChannel()
    show_all(reply, channel)
    reply.show_transcripts(["What day", " is it? ", ""])
    call = reply.next_call()
    assert isinstance(call, Update)
    heard = "What day\n\nis it?"
    assert call.view == PageView("", growing=True, transcript=heard)
    reply.append("word " * PAGE_CHARS)
    assert [reply._view(page).transcript for page in (0, 1)] == [heard, ""]
    reply.show_transcripts(["other words"])
    assert reply._view(0).transcript == heard, "pages stay where they break"


@pytest.mark.parametrize("said", ["word " * 2_000, "&" * 9_000, "漢" * 9_000], ids=["words", "entities", "ideographs"])
@pytest.mark.parametrize("text", ["word ", "# Heading\n\n", "&<> "])
def test_first_page_leaves_room_for_a_long_transcript(said: str, text: str) -> None:
    reply = Reply(Answer(replace(job(), transcripts={"F1": said})))
    reply.append(text * PAGE_CHARS)
    view = reply._view(0)
    [section, markdown, *_] = reply_blocks.message(view)["blocks"]
    assert section["text"]["text"].endswith("…”")
    assert counted_chars(section["text"]["text"]) <= 3_000
    headings = HEADER_CHARS * markdown["text"].count("# ")
    assert counted_chars(section["text"]["text"]) + len(markdown["text"]) + headings <= BLOCK_CHARS
    assert len(markdown["text"]) > 400


@pytest.mark.parametrize("repeated", ["word ", "a\u200b", "&"])
def test_transcripts_of_any_length_are_shown_in_about_the_same_time(repeated: str) -> None:
    short, long = (repeated * (chars // len(repeated)) for chars in (10_000, 500_000))
    assert shown_transcript([long]) == shown_transcript([short * 2])
    limit_ms = 5 * max(milliseconds(lambda text: shown_transcript([text]), short), 1.0)
    assert milliseconds(lambda text: shown_transcript([text]), long) < limit_ms


def test_transcript_is_short_where_slack_refuses_blocks() -> None:
    view = PageView("Friday.", transcript="word " * 100, plain=True)
    text = reply_blocks.message(view)["text"]
    assert text.startswith(texts.heard("word word")[:-1])
    assert text.endswith("…”\n\nFriday.")
    assert len(text) < 230


def test_edit_that_changes_what_the_model_does_is_less_urgent_than_text() -> None:
    reply, channel, urgencies = Reply(answer()), ReadersChannel(), []
    reply.append("I'll look. ")
    show_all(reply, channel)

    def send() -> None:
        call = reply.next_call()
        assert call is not None
        urgencies.append(reply.urgency_of(call))
        reply.confirmed(call, "")

    for activity in ("Running notes.list…", "Running notes.get…", ""):
        reply.show_activity(activity)
        send()
    reply.show_activity("Running notes.list…")
    reply.show_activity("")
    assert reply.next_call() is None, "the call was over before an edit could show it"
    reply.append("That's all.")
    send()
    reply.finish(End(EndReason.WHOLE))
    send()
    assert urgencies == [Urgency.STEP] * 3 + [Urgency.PROGRESS, Urgency.FINAL]


def test_first_words_after_a_step_are_first_words() -> None:
    reply, channel = Reply(answer()), ReadersChannel()
    reply.show_activity("Searching the web…")
    show_all(reply, channel)
    reply.append("Hello")
    reply.show_activity("")
    call = reply.next_call()
    assert call is not None
    assert reply.urgency_of(call) is Urgency.FIRST


def test_activity_that_is_shown_already_makes_no_edit_urgent() -> None:
    reply, channel = Reply(answer()), ReadersChannel()
    for word in ("One ", "two ", "three "):
        reply.append(word)
        show_all(reply, channel)
    reply.append("four ")
    reply.show_activity("")
    call = reply.next_call()
    assert call is not None
    assert reply.urgency_of(call) is Urgency.PROGRESS


def test_activity_below_an_earlier_attempts_text_is_removed_again() -> None:
    reply, channel = Reply(answer("Hello"), Shown(("5.1",))), ReadersChannel()
    reply.append("Hello")
    for activity in ("Searching the web…", ""):
        reply.show_activity(activity)
        show_all(reply, channel)
        assert channel.shown == {"5.1": PageView("Hello", growing=True, activity=activity)}


def test_what_the_model_does_is_shown_below_an_earlier_attempts_text() -> None:
    reply = Reply(answer("Hello"), Shown(("5.1",)))
    assert reply.next_call() is None
    reply.show_activity("Searching the web…")
    call = reply.next_call()
    assert isinstance(call, Update)
    assert call.view == PageView("Hello", growing=True, activity="Searching the web…")


def test_text_that_a_version_continues_stays_until_the_new_text_is_longer() -> None:
    reply = Reply(answer("One.\n\nTwo is"), Shown(("5.1",), outdated=True))
    reply.append("One.\n\n")
    for words, shown in (("", "One.\n\nTwo is"), ("Two", "One.\n\nTwo is"), (" is it, or", "One.\n\nTwo is it, or")):
        reply.append(words)
        call = reply.next_call()
        assert isinstance(call, Update)
        assert call.view == PageView(shown, growing=True)


def test_nothing_is_sent_while_slack_shows_everything() -> None:
    reply, channel = Reply(answer()), ReadersChannel()
    assert show_all(reply, channel) == 1
    reply.append("Hello")
    assert show_all(reply, channel) == 1
    assert reply.next_call() is None


def test_failed_call_is_followed_by_one_with_the_newest_text() -> None:
    reply, channel = Reply(answer()), ReadersChannel()
    show_all(reply, channel)
    reply.append("Hel")
    failed = reply.next_call()
    assert isinstance(failed, Update)
    reply.append("lo")
    reply.refused(failed, Refusal.TRANSIENT)
    again = reply.next_call()
    assert isinstance(again, Update)
    assert again.view.markdown == "Hello"


def test_text_that_arrives_during_a_call_is_shown_by_the_next() -> None:
    reply, channel = Reply(answer()), ReadersChannel()
    show_all(reply, channel)
    reply.append("Hel")
    call = reply.next_call()
    assert call is not None
    reply.append("lo")
    reply.confirmed(call, channel.take(call))
    show_all(reply, channel)
    assert channel.text() == "Hello"


def test_found_post_is_edited_to_show_the_newest_text() -> None:
    reply = Reply(answer())
    post = reply.next_call()
    assert isinstance(post, Post)
    reply.append("Hello")
    reply.finish(End(EndReason.WHOLE))
    reply.refused(post, Refusal.TRANSIENT)
    reply.found("7.0")
    call = reply.next_call()
    assert isinstance(call, Update)
    assert (call.ts, call.view) == ("7.0", PageView("Hello", end=End(EndReason.WHOLE)))


def test_notice_of_the_ending_is_shown_below_the_text() -> None:
    reply, channel = Reply(answer()), ReadersChannel()
    reply.append("Half an ans")
    reply.finish(End(EndReason.WHOLE, "The connection was lost."))
    show_all(reply, channel)
    assert list(channel.shown.values()) == [
        PageView("Half an ans", end=End(EndReason.WHOLE, "The connection was lost."))
    ]
    assert reply.life.is_over


def test_long_answer_continues_on_further_pages() -> None:
    text = "".join(f"line {number} of the answer\n" for number in range(2_000))
    reply, channel = Reply(answer()), ReadersChannel()
    for start in range(0, len(text), 7):
        reply.append(text[start : start + 7])
    reply.finish(End(EndReason.WHOLE))
    show_all(reply, channel)
    assert channel.text() == text
    assert len(channel.shown) > 3
    assert all(view.markdown.endswith("\n") for view in channel.shown.values())


def test_full_pages_are_not_edited_again() -> None:
    reply, channel = Reply(answer()), ReadersChannel()
    reply.append("x" * PAGE_CHARS + "y")
    show_all(reply, channel)
    reply.append("z")
    call = reply.next_call()
    assert isinstance(call, Update)
    assert call.page == 1


def test_reply_of_an_earlier_attempt_continues_in_its_messages() -> None:
    reply = Reply(answer(), Shown(("7.0",)))
    assert reply.next_call() is None
    reply.append("Hello")
    call = reply.next_call()
    assert isinstance(call, Update)
    assert call.ts == "7.0"


@pytest.mark.parametrize("delta_chars", [100, 100_000])
@pytest.mark.parametrize("stream_page", [0, 1, 2])
def test_take_over_breaks_the_pages_where_a_stream_had_them(stream_page: int, delta_chars: int) -> None:
    text = "".join(f"This is line {number} of the answer.\n" for number in range(1_200))
    deltas = [text[start : start + delta_chars] for start in range(0, len(text), delta_chars)]
    earlier, before = Reply(answer()), ReadersChannel()
    for delta in deltas:
        earlier.append(delta)
    earlier._edits.short_from = stream_page
    earlier._keep_to_form()
    earlier.finish(End(EndReason.WHOLE))
    show_all(earlier, before)
    pages = list(before.shown.values())
    assert [page.for_stream for page in pages] == [number >= stream_page for number in range(len(pages))]
    assert all((len(page.markdown) <= STREAM_BYTES) is page.for_stream for page in pages)

    reply = Reply(answer(deltas[0][:1]), Shown(tuple(before.shown), stream_page=stream_page))
    after = ReadersChannel(dict(before.shown))
    for delta in deltas:
        reply.append(delta)
    reply.finish(End(EndReason.WHOLE))
    show_all(reply, after)
    assert after.shown == before.shown


def test_earlier_attempts_text_stays_until_this_one_is_longer() -> None:
    reply = Reply(answer("Hello wor"), Shown(("7.0",)))
    reply.append("Hello wo")
    assert reply.next_call() is None
    reply.append("rld")
    call = reply.next_call()
    assert isinstance(call, Update)
    assert call.view.markdown == "Hello world"


def test_shorter_complete_answer_replaces_an_earlier_attempts_text() -> None:
    reply = Reply(answer("Hello wor"), Shown(("7.0",)))
    reply.append("Hi.")
    reply.finish(End(EndReason.WHOLE))
    call = reply.next_call()
    assert isinstance(call, Update)
    assert call.view == PageView("Hi.", end=End(EndReason.WHOLE))


def test_longer_one_of_two_partial_texts_stays() -> None:
    reply = Reply(answer("Hello wor"), Shown(("7.0",)))
    reply.append("Hel")
    reply.finish(End(EndReason.CUT, "Cut."))
    call = reply.next_call()
    assert isinstance(call, Update)
    assert call.view == PageView("Hello wor", end=End(EndReason.CUT, "Cut."))


def test_end_is_shown_on_a_full_page_that_only_white_space_follows() -> None:
    reply, channel = Reply(answer()), ReadersChannel()
    reply.append("x" * PAGE_CHARS + "\n")
    show_all(reply, channel)
    reply.append("\n")
    reply.finish(End(EndReason.WHOLE))
    show_all(reply, channel)
    assert [view.end for view in channel.shown.values()] == [End(EndReason.WHOLE)]


def test_messages_that_an_earlier_attempt_had_replaced_are_deleted() -> None:
    reply = Reply(answer(), Shown(("7.0",), replaced_ts=("6.0",)))
    channel = ReadersChannel({"6.0": PageView("a"), "7.0": PageView("b")})
    assert reply.recorded == (*recorded_pages("7.0"), RecordedMessage("6.0", MessageRole.REPLACED))
    reply.append("Hello")
    show_all(reply, channel)
    assert list(channel.shown) == ["7.0"]


def test_unneeded_messages_of_an_earlier_attempt_are_deleted() -> None:
    reply, channel = (
        Reply(answer(), Shown(("7.0", "8.0"))),
        ReadersChannel({"7.0": PageView("a"), "8.0": PageView("b")}),
    )
    reply.append("Hello")
    reply.finish(End(EndReason.WHOLE))
    show_all(reply, channel)
    assert channel.shown == {"7.0": PageView("Hello", end=End(EndReason.WHOLE))}


def test_deleted_message_is_left_alone() -> None:
    reply, channel = Reply(answer()), ReadersChannel()
    show_all(reply, channel)
    reply.append("Hello")
    call = reply.next_call()
    assert call is not None
    reply.refused(call, Refusal.MESSAGE_GONE)
    assert reply.gone
    assert reply.life.is_over
    assert reply.next_call() is None


def test_uneditable_message_is_replaced() -> None:
    reply, channel = Reply(answer()), ReadersChannel()
    show_all(reply, channel)
    reply.append("Hello")
    reply.finish(End(EndReason.WHOLE))
    call = reply.next_call()
    assert call is not None
    reply.refused(call, Refusal.UNEDITABLE)
    show_all(reply, channel)
    assert list(channel.shown.values()) == [PageView("Hello", end=End(EndReason.WHOLE))]


def test_end_is_posted_again_with_the_pages_that_differ_and_the_old_message_is_deleted() -> None:
    reply, channel = reply_on_short_pages(40), ReadersChannel()
    reply.append("one " * 15)
    show_all(reply, channel)
    first, second = reply.page_ts
    reply.append("and the end")
    reply.finish(End(EndReason.WHOLE))
    call = reply.next_call()
    assert isinstance(call, Update)
    assert (call.page, reply.may_be_posted_again(call)) == (1, True)
    reply.post_again(call.page)
    calls = []
    while (call := reply.next_call()) is not None:
        calls.append(type(call).__name__)
        reply.confirmed(call, channel.take(call))
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
    assert not reply.may_be_posted_again(growing)
    reply.finish(End(EndReason.WHOLE))
    final = reply.next_call()
    assert isinstance(final, Update)
    reply.post_again(final.page)
    show_all(reply, channel)
    assert not reply.may_be_posted_again(final)


@pytest.mark.parametrize("reason", [Refusal.TOO_LONG, Refusal.UNREADABLE])
def test_refused_page_is_shown_in_another_form(reason: Refusal) -> None:
    reply, channel = Reply(answer()), ReadersChannel()
    text = "word " * 2_000
    reply.append(text)
    reply.finish(End(EndReason.WHOLE))
    while (call := reply.next_call()) is not None:
        if not isinstance(call, Post | Update) or (
            len(call.view.markdown) < 4_000 if reason is Refusal.TOO_LONG else call.view.plain
        ):
            reply.confirmed(call, channel.take(call))
        else:
            reply.refused(call, reason)
    assert channel.text() == text


def test_urgency_tells_first_words_progress_and_the_end_apart() -> None:
    reply, urgencies = Reply(answer()), []

    def send() -> None:
        call = reply.next_call()
        assert call is not None
        urgencies.append((type(call), reply.urgency_of(call)))
        reply.confirmed(call, "5.0")

    send()
    for text in ("Because ", "it is."):
        reply.append(text)
        send()
    reply.finish(End(EndReason.WHOLE))
    send()
    assert urgencies == [
        (Post, Urgency.FIRST),
        (Update, Urgency.FIRST),
        (Update, Urgency.PROGRESS),
        (Update, Urgency.FINAL),
    ]


def test_further_page_is_as_urgent_as_first_words() -> None:
    reply = Reply(answer())
    reply.append("word " * PAGE_CHARS)
    show_page(reply, "5.0")
    call = reply.next_call()
    assert isinstance(call, Post)
    assert reply.urgency_of(call) is Urgency.FIRST


def show_page(reply: Reply, ts: str) -> None:
    """Lets Slack do the next call, which shows text."""
    call = reply.next_call()
    assert call is not None
    reply.confirmed(call, ts)
    assert reply.begun


def test_placeholder_of_a_queued_question_says_so() -> None:
    call = Reply(answer(), Shown(queued=True)).next_call()
    assert isinstance(call, Post)
    assert texts.QUEUED in str(reply_blocks.message(call.view))


def test_found_placeholder_is_not_posted_again() -> None:
    reply, channel = Reply(answer(), Shown(outdated=True, queued=True)), ReadersChannel()
    post = reply.next_call()
    assert isinstance(post, Post)
    ts = channel.take(post)
    reply.refused(post, Refusal.TRANSIENT)
    reply.found(ts)
    assert reply.life is Life.SHOWN
    assert reply.next_call() is None


@pytest.mark.parametrize(
    ("view", "text"),
    [
        (PageView("", growing=True), texts.THINKING),
        (PageView("# Title\n\n**Bold** and `code`"), "Title. Bold and code"),
        (PageView("**Bold** and hal", growing=True), "Bold and"),
        (PageView("word " * 100), ("word " * 30).strip() + "…"),
        (PageView("", end=End(EndReason.WHOLE, "It broke.")), "It broke."),
        (PageView("<!channel> hi"), "&lt;!channel> hi"),
    ],
)
def test_preview_is_readable_as_a_notification(view: PageView, text: str) -> None:
    assert reply_blocks.short_text(view) == text


class ReplyMachine(RuleBasedStateMachine):
    """Text arrives, and calls succeed and fail in any order. Finally Slack shows the text."""

    def __init__(self) -> None:
        super().__init__()
        # Short pages, so that few steps make many.
        self.reply, self.channel, self.text = reply_on_short_pages(40), ReadersChannel(), ""
        self.call: Call | None = None

    @precondition(lambda self: not self.reply.ended)
    @rule(delta=st.text("ab< \n", min_size=1, max_size=30))
    def append(self, delta: str) -> None:
        self.reply.append(delta)
        self.text += delta

    @precondition(lambda self: not self.reply.ended)
    @rule(notice=st.sampled_from(["", "Cut."]))
    def finish(self, notice: str) -> None:
        self.reply.finish(End(EndReason.WHOLE, notice))

    @precondition(lambda self: self.call is None)
    @rule()
    def send(self) -> None:
        self.call = self.reply.next_call()

    @precondition(lambda self: self.call is not None)
    @rule()
    def succeed(self) -> None:
        assert self.call is not None
        self.reply.confirmed(self.call, self.channel.take(self.call))
        self.call = None

    @precondition(lambda self: self.call is not None)
    @rule(reason=st.sampled_from([Refusal.TRANSIENT, Refusal.UNEDITABLE]))
    def fail(self, reason: Refusal) -> None:
        assert self.call is not None
        self.reply.refused(self.call, reason if isinstance(self.call, Update) else Refusal.TRANSIENT)
        self.call = None

    @precondition(lambda self: isinstance(self.call, Upload))
    @rule()
    def take_no_files(self) -> None:
        assert self.call is not None
        self.reply.refused(self.call, Refusal.MESSAGE_GONE)
        self.call = None

    @precondition(lambda self: isinstance(self.call, Post | Upload))
    @rule()
    def lose_the_answer(self) -> None:
        assert isinstance(self.call, Post | Upload)
        ts = self.channel.take(self.call)
        self.reply.refused(self.call, Refusal.TRANSIENT)
        again = self.reply.next_call()
        if isinstance(again, Post):
            self.reply.found(ts)
        elif isinstance(again, Upload):
            self.reply.confirmed(again, ts)
        else:
            # The last try failed, so the transport deletes the message when it cleans up.
            del self.channel.files[ts]
        self.call = None

    @precondition(lambda self: isinstance(self.call, Update))
    @rule()
    def find_edits_spent(self) -> None:
        """The scheduler asks this before it sends an edit of an answer's end."""
        assert isinstance(self.call, Update)
        if self.reply.may_be_posted_again(self.call):
            self.reply.post_again(self.call.page)
            assert not isinstance(self.reply.next_call(), Update)
            self.call = None

    @invariant()
    def no_page_is_over_the_limit(self) -> None:
        assert all(sent_chars(view.markdown.rstrip()) <= 40 for view in self.channel.shown.values())

    def teardown(self) -> None:
        if self.call is not None:
            self.reply.refused(self.call, Refusal.TRANSIENT)
        if not self.reply.ended:
            self.reply.finish(End(EndReason.WHOLE))
        show_all(self.reply, self.channel)
        if self.reply.unshown:
            # Slack refused too many replacements: the outbox shows the end later, and deletes what is left over.
            assert self.reply.for_outbox is OutboxKind.SHOW_END
            return
        views = [self.channel.shown[ts] for ts in self.reply.page_ts]
        assert list(self.reply.page_ts) == sorted(self.reply.page_ts, key=float), "pages stand in order"
        text = "".join(view.markdown for view in views)
        assert text == self.text[: views[-1].end_chars]
        if self.channel.files:
            (files,) = self.channel.files.values()
            assert [file.content.decode() for file in files] == [self.text]
            assert len(views) == MAX_PAGES
            assert self.text.startswith(text)
        else:
            assert text == self.text
        assert set(self.channel.shown) == set(self.reply.page_ts)
        assert not any(view.growing or texts.WRITING_LONG in view.notice for view in views)
        assert [view.end is not None for view in views] == [False] * (len(views) - 1) + [True]


TestReplyUnderFaults = ReplyMachine.TestCase
TestReplyUnderFaults.settings = settings(stateful_step_count=30)


@pytest.mark.parametrize("turn", Turn)
@pytest.mark.parametrize("life", Life)
def test_turn_that_the_table_does_not_have_is_refused_unless_the_reply_is_over(life: Life, turn: Turn) -> None:
    if life.is_over:
        assert after(life, turn) is life
    elif (life, turn) in TURNS:
        assert after(life, turn) is TURNS[life, turn]
    else:
        with pytest.raises(ValueError, match=f"{turn} can't happen to a reply that is {life}"):
            after(life, turn)
