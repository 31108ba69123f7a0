"""A reply's files: an answer of more than five pages, and code of more than one."""

import re
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.core import texts
from bot.core.job import End, sentence_notice
from bot.errors import EndReason, Refusal
from bot.reply.attachments import END_CHARS, AttachedFile, FileMessage, end_of_answer, file_keys, left_out_notice
from bot.reply.edits import Post, Update
from bot.reply.messages import Call, Delete, PageView, Upload, VisibleReply
from bot.reply.reply import MAX_PAGES, MAX_PAGES_WITHOUT_FILE, Reply
from bot.reply.scheduler import UPLOAD_TRIES
from slack_markdown.pages import PAGE_BYTES, PAGE_CHARS, Page
from slack_markdown.render import max_sent_chars
from slack_markdown.tests.markdown_texts import MARKDOWN
from tests.core.conversations import answer, question
from tests.core.readers import ReadersChannel, next_of, show_all
from tests.pictures import below
from tests.reply.outcomes import done, refused
from tests.reply.unreliable_slack import SUCCESS, CallEffect, SimulatedScheduler, UnreliableSlack

SEVEN_PAGES = "".join(f"Line {number} of a long answer.\n" for number in range(2_600))
LONG_CODE = "".join(f"print({number})\n" for number in range(1_500))


def test_answer_longer_than_five_pages_is_attached() -> None:
    reply, channel = Reply(answer()), ReadersChannel()
    reply.append(SEVEN_PAGES)
    show_all(reply, channel)
    assert len(channel.shown) == MAX_PAGES
    assert channel.shown["5.0"].notice == texts.answers.WRITING_LONG
    reply.append("The end.")
    assert reply.next_call() is None
    reply.finish(End(EndReason.WHOLE))
    show_all(reply, channel)
    ((file,),) = channel.files.values()
    assert file.content.decode() == f"{SEVEN_PAGES}The end."
    assert (file.title, file.name) == ("answer.md", f"answer-{question().ts}.md")
    shown = "".join(view.markdown for view in channel.shown.values())
    missing = len(SEVEN_PAGES.split()) + 2 - len(shown.split())
    notice = channel.shown["5.0"].notice
    heard = re.fullmatch(r"Continues in answer\.md: about ([\d,]+) more words\. The rest is below\.", notice)
    assert heard
    assert int(heard[1].replace(",", "")) == pytest.approx(missing, rel=0.06)
    assert list(channel.shown) == ["1.0", "2.0", "3.0", "4.0", "5.0", "7.0"], "the last one is below the file"
    last = channel.shown["7.0"]
    assert f"{SEVEN_PAGES}The end.".endswith(last.markdown)
    assert END_CHARS - 100 < len(last.markdown) <= END_CHARS
    assert last.end == replace(below(End(EndReason.WHOLE), reply.text), notices=(texts.answers.END_BELOW_FILE,))


def test_notice_and_end_follow_the_upload_of_the_file() -> None:
    reply, channel = Reply(answer()), ReadersChannel()
    reply.append(SEVEN_PAGES)
    reply.finish(End(EndReason.WHOLE, sentence_notice("Cut.")))
    for _ in range(MAX_PAGES):
        call = next_of(reply, Post)
        done(reply, call, channel.take(call))
    upload = next_of(reply, Upload)
    done(reply, upload, channel.take(upload))
    update = next_of(reply, Update)
    assert update.page == MAX_PAGES - 1
    assert update.view.notice.startswith("Continues in answer.md: ")
    done(reply, update, channel.take(update))
    last = next_of(reply, Post)
    assert (last.page, last.view.notice) == (MAX_PAGES, f"Cut. {texts.answers.END_BELOW_FILE}")


def test_sixth_page_that_ends_the_answer_leaves_nothing_out() -> None:
    reply, channel = Reply(answer()), ReadersChannel()
    text = SEVEN_PAGES[: 5 * PAGE_CHARS + 4_000]
    reply.append(text)
    reply.finish(End(EndReason.WHOLE))
    show_all(reply, channel)
    assert channel.text() == text
    notices = [view.notice for view in channel.shown.values()]
    assert notices == ["", "", "", "", "", texts.answers.WHOLE_ANSWER_ATTACHED]


WORDS = "Some words of it.\n"
BEFORE = WORDS * 500
LONG_LINE = "A sentence. " * 1_000
INDENTED = "  more of it\n\n"


@pytest.mark.parametrize(
    ("text", "start", "opening"),
    [
        (f"{BEFORE}\n## One\n\n{WORDS * 20}\n## Two\n\n{WORDS * 50}\n\n", "## One", ""),
        (f"{BEFORE}\n{WORDS * 70}\n## Last\n\nBye.\n", WORDS, ""),
        (f"{BEFORE}\nIn short, it works.\n", WORDS, ""),
        (f"{BEFORE}\n- one\n\n{INDENTED * 200}In short.\n{WORDS * 99}", "In short.", ""),
        (f"{BEFORE}```sh\n\n# no heading\n\nls\n```\nIn short.\n", WORDS, ""),
        (f"{LONG_LINE}\n\n## Conclusion\n\n{WORDS * 12}", "## Conclusion", ""),
        (LONG_LINE, "A sentence.", ""),
        (f"~~~py\n{WORDS * 500}", WORDS, "~~~py\n"),
        (f"~~~py\n{WORDS * 500}~~~\n\nBye.", WORDS, "~~~py\n"),
        ("word " * 5_000, "word ", ""),
        ("x" * 20_000, "x" * END_CHARS, ""),
    ],
    ids=[
        *(
            "first heading",
            "paragraph before a short section",
            "not the last words alone",
            "paragraph outside of a list",
        ),
        *("short section after a long line", "sentence"),
        *("no line of code", "code that is longer", "code and last words", "one line", "one word"),
    ],
)
def test_end_begins_where_readers_can_follow(text: str, start: str, opening: str) -> None:
    page = end_of_answer(text, Page(), 10_000 if len(text) > 10_000 else 6_000, PAGE_BYTES).page
    assert page.source == text[page.start :].rstrip()
    assert page.source.startswith(start)
    assert page.opening.text == opening
    assert len(page.source) <= END_CHARS + 20


def test_block_longer_than_the_end_is_shown_from_its_beginning() -> None:
    table = "| a | b |\n|---|---|\n" + "| 1 | 2 |\n" * 350
    page = end_of_answer(f"{BEFORE}\n{table}", Page(), PAGE_CHARS, PAGE_BYTES).page
    assert page.markdown.startswith("| a | b |\n|---|---|\n| 1 |")
    assert table.rstrip().endswith(page.source)


@given(MARKDOWN, st.sampled_from([40, 200, 1_000]))
def test_end_of_any_text_fits_on_a_page(text: str, limit: int) -> None:
    page = end_of_answer(text, Page(), limit, PAGE_BYTES).page
    assert text[page.start :].rstrip() == page.source.rstrip()
    assert max_sent_chars(page.markdown) <= limit or len(page.source) <= 1


@pytest.mark.parametrize(
    ("rest", "follows"),
    [
        ("## One\n\nText.\n\n```sh\n# a comment\n```\n\n### Two\n", "2 more sections"),
        ("~~~~\n# code\n```\n# code\n~~~~\n# One", "1 more section"),
        ("word " * 1_234, "about 1,200 more words"),
        ("#hashtag " * 3, "about 3 more words"),
        ("# a\n" * 5_001, "about 10,000 more words"),
    ],
)
def test_notice_says_what_follows_in_the_file(rest: str, follows: str) -> None:
    assert left_out_notice(rest) == f"Continues in answer.md: {follows}. The rest is below."


@pytest.mark.parametrize(("reason", "tries"), [(Refusal.MESSAGE_GONE, 1), (Refusal.TRANSIENT, UPLOAD_TRIES)])
def test_refused_upload_continues_the_answer_on_more_pages(reason: Refusal, tries: int) -> None:
    slack, uploads = UnreliableSlack(), list[Call]()

    def result_of(call: Call) -> CallEffect:
        uploads.extend([call] if isinstance(call, Upload) else [])
        return CallEffect(reason) if isinstance(call, Upload) else SUCCESS

    slack.result_of = result_of
    reply = Reply(answer())
    reply.append(SEVEN_PAGES)
    reply.finish(End(EndReason.WHOLE))
    SimulatedScheduler(reply, slack).run(30)
    assert len(uploads) == tries
    views = [view for _, view in slack.pages.values()]
    assert "".join(view.markdown for view in views) == SEVEN_PAGES
    assert [view.notice for view in views] == [""] * 7


def without_files(text: str = SEVEN_PAGES) -> tuple[Reply, ReadersChannel]:
    """Returns a reply whose upload was given up, in a channel that shows its first pages."""
    reply, channel = Reply(answer()), ReadersChannel()
    reply.append(text)
    reply.finish(End(EndReason.WHOLE))
    while not isinstance(call := reply.next_call(), Upload):
        assert call is not None
        done(reply, call, channel.take(call))
    reply.give_up(call)
    return reply, channel


@pytest.mark.parametrize(("tables", "is_cut"), [(20, False), (21, True), (30_000, True)])
def test_answer_without_a_file_fills_at_most_twenty_messages(tables: int, *, is_cut: bool) -> None:
    text = "|a|\n|-|\n|b|\n\n" * tables
    reply, channel = without_files(text)
    show_all(reply, channel)
    last = list(channel.shown.values())[-1]
    assert len(channel.shown) == MAX_PAGES_WITHOUT_FILE == 20
    assert text.startswith(channel.text())
    assert (channel.text() != text) is is_cut
    assert last.notice == (texts.answers.omitted_pages_text(20) if is_cut else "")
    assert last.end is not None


def test_upload_that_is_given_up_is_not_tried_in_another_form() -> None:
    reply, channel = without_files()
    edit = next_of(reply, Update)
    refused(reply, edit, Refusal.UNREADABLE)
    plain = next_of(reply, Update)
    assert plain.view.plain
    done(reply, plain, channel.take(plain))
    show_all(reply, channel)
    assert (channel.files, channel.text()) == ({}, SEVEN_PAGES)


def test_earlier_text_that_stays_is_shown_on_pages() -> None:
    reply, channel = Reply(answer(SEVEN_PAGES), VisibleReply(())), ReadersChannel()
    reply.append("Less.")
    reply.finish(End(EndReason.CUT, sentence_notice("Cut.")))
    show_all(reply, channel)
    assert all(len(view.markdown) <= PAGE_CHARS for view in channel.shown.values())
    ((file,),) = channel.files.values()
    assert file.content.decode() == SEVEN_PAGES


def test_code_longer_than_a_page_is_attached() -> None:
    reply, channel = Reply(answer()), ReadersChannel()
    text = f"Here:\n\n```Python title=x\n{LONG_CODE}```\n\nThat is all."
    reply.append(text)
    reply.finish(End(EndReason.WHOLE))
    show_all(reply, channel)
    ((file,),) = channel.files.values()
    assert (file.title, file.content.decode()) == ("code-1.py", LONG_CODE)
    assert list(channel.shown.values())[-1].end_chars == len(text)
    assert [view.notice for view in channel.shown.values()][-1] == texts.answers.CODE_BLOCK_ATTACHED


def test_code_that_slack_takes_no_file_of_is_shown_without() -> None:
    reply, channel = Reply(answer()), ReadersChannel()
    reply.append(f"```Python\n{LONG_CODE}```")
    reply.finish(End(EndReason.WHOLE))
    while not isinstance(call := reply.next_call(), Upload):
        assert call is not None
        done(reply, call, channel.take(call))
    refused(reply, call, Refusal.FORBIDDEN)
    assert show_all(reply, channel) == 1
    assert (channel.files, list(channel.shown.values())[-1].notice) == ({}, "")


def answer_file(text: str, name: str = "") -> AttachedFile:
    return AttachedFile(name or f"answer-{question().ts}.md", "answer.md", text.encode())


@pytest.mark.parametrize(
    ("before", "stays"),
    [(SEVEN_PAGES, True), ("Another answer.", False)],
    ids=["the same text", "another text"],
)
def test_files_of_an_earlier_attempt_stay_if_their_content_is_current(before: str, stays: bool) -> None:
    earlier_files = (answer_file(before),)
    reply = Reply(
        answer(), VisibleReply(("7.0",), file_messages=(FileMessage("8.0", ("F1",), file_keys(earlier_files)),))
    )
    channel = ReadersChannel({"7.0": PageView("")}, {"8.0": earlier_files})
    reply.append(SEVEN_PAGES)
    show_all(reply, channel)
    assert "8.0" in channel.files
    reply.finish(End(EndReason.WHOLE))
    show_all(reply, channel)
    ((file,),) = channel.files.values()
    assert file.content.decode() == SEVEN_PAGES
    assert ("8.0" in channel.files) is stays
    assert channel.deleted_files == ([] if stays else ["F1"])


def test_current_file_beside_another_one_is_uploaded_again_before_their_message_is_deleted() -> None:
    earlier_files = (answer_file(SEVEN_PAGES), answer_file("print()", "code-1.py"))
    reply = Reply(
        answer(), VisibleReply(("7.0",), file_messages=(FileMessage("8.0", ("F1", "F2"), file_keys(earlier_files)),))
    )
    channel = ReadersChannel({"7.0": PageView("")}, {"8.0": earlier_files})
    reply.append(SEVEN_PAGES)
    reply.finish(End(EndReason.WHOLE))
    calls = []
    while (call := reply.next_call()) is not None:
        calls.append(type(call))
        done(reply, call, channel.take(call))
    assert calls[-4:] == [Upload, Update, Post, Delete]
    ((file,),) = channel.files.values()
    assert file.content.decode() == SEVEN_PAGES


def test_files_of_an_earlier_version_are_deleted_while_the_new_one_grows() -> None:
    earlier_files = (answer_file(SEVEN_PAGES),)
    attached = (FileMessage("8.0", ("F1",), file_keys(earlier_files)),)
    reply = Reply(answer(), VisibleReply(("7.0",), file_messages=attached, is_outdated=True))
    channel = ReadersChannel({"7.0": PageView("")}, {"8.0": earlier_files})
    reply.append("Another answer.")
    show_all(reply, channel)
    assert channel.files == {}


def test_shorter_partial_answer_keeps_the_file_of_an_earlier_attempt() -> None:
    earlier_files = (answer_file(SEVEN_PAGES),)
    reply = Reply(
        answer(SEVEN_PAGES),
        VisibleReply(("7.0",), file_messages=(FileMessage("8.0", ("F1",), file_keys(earlier_files)),)),
    )
    channel = ReadersChannel({"7.0": PageView("")}, {"8.0": earlier_files})
    reply.append("Less.")
    reply.finish(End(EndReason.CUT, sentence_notice("Cut.")))
    show_all(reply, channel)
    assert "8.0" in channel.files
