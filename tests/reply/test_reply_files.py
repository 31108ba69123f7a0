"""A reply's files: an answer of more than five pages, and code of more than one."""

import re

import pytest

from bot.core import texts
from bot.core.job import End
from bot.errors import EndReason, Refusal
from bot.markdown.pages import PAGE_CHARS
from bot.reply.attachments import Attached, AttachedFile, file_keys, files_notice, whole_answer
from bot.reply.edits import Post, Update
from bot.reply.messages import Call, Delete, PageView, Shown, Upload
from bot.reply.outcomes import CallGivenUp
from bot.reply.reply import MAX_PAGES, MAX_PAGES_WITHOUT_FILE, Reply
from bot.reply.scheduler import UPLOAD_TRIES
from tests.core.conversations import answer, question
from tests.core.readers import ReadersChannel, next_of, show_all
from tests.reply.outcomes import done, refused
from tests.reply.unreliable_slack import SUCCESS, CallEffect, SimulatedScheduler, UnreliableSlack

SEVEN_PAGES = "".join(f"Line {number} of a long answer.\n" for number in range(2_600))
LONG_CODE = "".join(f"print({number})\n" for number in range(1_500))


def test_answer_longer_than_five_pages_is_attached() -> None:
    reply, channel = Reply(answer()), ReadersChannel()
    reply.append(SEVEN_PAGES)
    show_all(reply, channel)
    assert len(channel.shown) == MAX_PAGES
    assert channel.shown["5.0"].notice == texts.WRITING_LONG
    reply.append("The end.")
    assert reply.next_call() is None
    reply.finish(End(EndReason.WHOLE))
    show_all(reply, channel)
    ((file,),) = channel.files.values()
    assert file.content.decode() == f"{SEVEN_PAGES}The end."
    assert (file.title, file.name) == ("answer.md", f"answer-{question().ts}.md")
    shown = "".join(view.markdown for view in channel.shown.values())
    missing = len(SEVEN_PAGES.split()) + 2 - len(shown.split())
    said = re.fullmatch(r"Continues in answer\.md, which has all of it: about ([\d,]+) more words\.", notice(channel))
    assert said
    assert int(said[1].replace(",", "")) == pytest.approx(missing, rel=0.06)
    assert channel.shown["5.0"].end


def test_notice_about_a_file_follows_its_upload() -> None:
    reply, channel = Reply(answer()), ReadersChannel()
    reply.append(SEVEN_PAGES)
    reply.finish(End(EndReason.WHOLE, "Cut."))
    for _ in range(MAX_PAGES):
        call = next_of(reply, Post)
        done(reply, call, channel.take(call))
    upload = next_of(reply, Upload)
    done(reply, upload, channel.take(upload))
    last = next_of(reply, Update)
    assert last.page == 4
    assert last.view.notice.startswith("Cut. Continues in answer.md, which has all of it: ")


def notice(channel: ReadersChannel) -> str:
    return channel.shown["5.0"].notice


@pytest.mark.parametrize(
    ("rest", "follows"),
    [
        ("## One\n\nText.\n\n```sh\n# a comment\n```\n\n### Two\n", "2 more sections"),
        ("~~~~\n# code\n```\n# code\n~~~~\n# One", "1 more section"),
        ("word " * 1_234, "about 1,200 more words"),
        ("#hashtag " * 3, "about 3 more words"),
    ],
)
def test_notice_says_what_follows_in_the_file(rest: str, follows: str) -> None:
    said = files_notice((whole_answer(rest, "1.0"),), rest)
    assert said == f"Continues in answer.md, which has all of it: {follows}."


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
    reply.came(call, CallGivenUp())
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
    assert last.notice == (texts.rest_left_out(20) if is_cut else "")
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
    reply, channel = Reply(answer(SEVEN_PAGES), Shown(())), ReadersChannel()
    reply.append("Less.")
    reply.finish(End(EndReason.CUT, "Cut."))
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
    assert [view.notice for view in channel.shown.values()][-1] == texts.CODE_BLOCK_ATTACHED


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
    reply = Reply(answer(), Shown(("7.0",), attached=(Attached("8.0", ("F1",), file_keys(earlier_files)),)))
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
    reply = Reply(answer(), Shown(("7.0",), attached=(Attached("8.0", ("F1", "F2"), file_keys(earlier_files)),)))
    channel = ReadersChannel({"7.0": PageView("")}, {"8.0": earlier_files})
    reply.append(SEVEN_PAGES)
    reply.finish(End(EndReason.WHOLE))
    calls = []
    while (call := reply.next_call()) is not None:
        calls.append(type(call))
        done(reply, call, channel.take(call))
    assert calls[-3:] == [Upload, Update, Delete]
    ((file,),) = channel.files.values()
    assert file.content.decode() == SEVEN_PAGES


def test_files_of_an_earlier_version_are_deleted_while_the_new_one_grows() -> None:
    earlier_files = (answer_file(SEVEN_PAGES),)
    attached = (Attached("8.0", ("F1",), file_keys(earlier_files)),)
    reply = Reply(answer(), Shown(("7.0",), attached=attached, outdated=True))
    channel = ReadersChannel({"7.0": PageView("")}, {"8.0": earlier_files})
    reply.append("Another answer.")
    show_all(reply, channel)
    assert channel.files == {}


def test_shorter_partial_answer_keeps_the_file_of_an_earlier_attempt() -> None:
    earlier_files = (answer_file(SEVEN_PAGES),)
    reply = Reply(answer(SEVEN_PAGES), Shown(("7.0",), attached=(Attached("8.0", ("F1",), file_keys(earlier_files)),)))
    channel = ReadersChannel({"7.0": PageView("")}, {"8.0": earlier_files})
    reply.append("Less.")
    reply.finish(End(EndReason.CUT, "Cut."))
    show_all(reply, channel)
    assert "8.0" in channel.files
