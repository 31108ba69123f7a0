"""What Slack shows of our replies, where no database says what was answered."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

import pytest

from bot.core.conversation import Question, ThreadKey
from bot.core.job import End, MessageRole
from bot.errors import EndReason, Refusal, Refused
from bot.reply.delivery import MessageDelivery
from bot.reply.edits import Post
from bot.reply.messages import Delete, PageView
from bot.reply.outcomes import CallDone
from bot.reply.posted import COMPARED_CHARS, FoundPost, FoundStream, PostedReplies, is_answered, metadata_of
from bot.reply.reply import Reply
from bot.slack.history import LOOK_BACK_MESSAGES
from bot.slack.json_values import Payload
from tests.core.conversations import answer
from tests.pictures import ended

BEFORE, ASKED, AFTER, LATER = "1000.000001", "1000.000002", "1000.000003", "1000.000004"
ENDED = ended("Because.", End(EndReason.WHOLE))
FAILED = ended("", End(EndReason.STALLED))
OFFER = ended("", End(EndReason.OFFERED))
FIRST_PAGE = PageView("Because of")
PLACEHOLDER = PageView("Thinking…", growing=True)
QUEUED = PageView("Queued.", queued=True)


def page(ts: str, answers: str, view: PageView, edited: str = "") -> Payload:
    question = Question(ThreadKey("T1", "C1", None), answers, "U1", "why?")
    return {"ts": ts, "metadata": metadata_of(question, 0, view), **({"edited": {"ts": edited}} if edited else {})}


def other(ts: str) -> Payload:
    """Returns another message of ours: a notice, a run's post, a stream that has not ended."""
    return {"ts": ts, "text": "Hello."}


NOT_ON_RECORD: dict[str, tuple[list[Payload], bool | None]] = {
    "nothing": ([], False),
    "its answer": ([page(AFTER, ASKED, ENDED)], True),
    "its answer on two pages": ([page(AFTER, ASKED, FIRST_PAGE), page(LATER, ASKED, ENDED)], True),
    "why it has no answer": ([page(AFTER, ASKED, FAILED)], True),
    "the answer to a later question, which is for both": ([page(LATER, AFTER, ENDED)], True),
    "its answer below a notice": ([other(AFTER), page(LATER, ASKED, ENDED)], True),
    "an answer from before": ([page(BEFORE, BEFORE, ENDED)], False),
    "an answer from before, edited since: it may have joined that": ([page(BEFORE, BEFORE, ENDED, AFTER)], None),
    "the second page of an answer from before": ([page(AFTER, BEFORE, ENDED)], None),
    "its placeholder": ([page(AFTER, ASKED, PLACEHOLDER)], None),
    "the placeholder of a queued question": ([page(AFTER, ASKED, QUEUED)], None),
    "a half of its answer": ([page(AFTER, ASKED, FIRST_PAGE)], None),
    "an offer to answer": ([page(AFTER, ASKED, OFFER)], None),
    "a notice, or a stream that has not ended": ([other(AFTER)], None),
    "a notice from before": ([other(BEFORE)], False),
    "metadata of another form": (
        [{"ts": AFTER, "metadata": {"event_payload": [1], "event_type": "typist_reply"}}],
        None,
    ),
}


@pytest.mark.parametrize(("ours", "expected"), NOT_ON_RECORD.values(), ids=NOT_ON_RECORD)
def test_what_slack_shows_says_whether_a_question_is_answered(ours: list[Payload], expected: bool | None) -> None:
    assert is_answered(ASKED, ours, ()) is expected


ON_RECORD: dict[str, tuple[Payload, bool | None]] = {
    "an answer from before, which was continued since": (page(BEFORE, BEFORE, ENDED, AFTER), False),
    "the second page of an answer from before": (page(AFTER, BEFORE, ENDED), False),
    "a mention of another asker": (other(AFTER), False),
    "the answer to a later question, whose batch may have had this one": (page(LATER, AFTER, ENDED), None),
}


@pytest.mark.parametrize(("ours", "expected"), ON_RECORD.values(), ids=ON_RECORD)
def test_what_the_database_has_as_other_answers_says_little(ours: Payload, expected: bool | None) -> None:
    assert is_answered(ASKED, [ours], {ours["ts"]}) is expected


class Searches:
    """Slack's messages of a reply: none is found."""

    count = 0

    async def find_post(self, post: Post, known_ts: Collection[str]) -> None:
        self.count += 1


class Posts:
    async def post(self, **_: object) -> tuple[str, str]:
        return "C1", "5.1"


async def test_lost_post_is_looked_for_once_and_not_for_later_pages() -> None:
    searches, reply = Searches(), Reply(answer())
    senders: Any = SimpleNamespace(client=Posts(), posted=searches)
    delivery = MessageDelivery(senders, reply)
    delivery.lost.add(MessageRole.POSTING)
    for number in range(3):
        post = Post(answer().job.question, number, PageView("Words.", growing=True))
        assert await delivery.deliver(post, lambda: True) == CallDone("5.1")
    assert searches.count == 1


QUESTION = Question(ThreadKey("T1", "C1", "999.000009"), ASKED, "U1", "why?")
SECOND = PageView("And so.", growing=True, end_chars=70, version=3)
GONE = Refused("conversations.replies", "thread_not_found", Refusal.MESSAGE_GONE)


@dataclass
class Slack:
    thread: Sequence[Payload] | Refused = ()
    root: Sequence[Payload] = ()
    has_more: bool = False
    asked: list[Payload] = field(default_factory=list)

    @property
    def posted(self) -> PostedReplies:
        client: Any = self
        return PostedReplies(client, "UBOT")

    async def call(self, method: str, **arguments: Any) -> Payload:
        self.asked.append({"method": method, **arguments})
        found = self.thread if method == "conversations.replies" else self.root
        if isinstance(found, Refused):
            raise found
        return {"messages": found, "has_more": self.has_more}


def second(ts: str, *, question: Question = QUESTION, number: int = 1, view: PageView = SECOND) -> Payload:
    """Returns a message of the reply, by default its second page."""
    return {"ts": ts, "user": "UBOT", "metadata": metadata_of(question, number, view)}


def with_files(ts: str, *files: Payload) -> Payload:
    return {"ts": ts, "user": "UBOT", "files": list(files)}


OTHERS = Question(QUESTION.thread, BEFORE, "U1", "why?")
FOUND: dict[str, tuple[list[Payload], FoundPost | None]] = {
    "nothing": ([], None),
    "the page": ([second(AFTER)], FoundPost(AFTER, is_current=True)),
    "an earlier state of it": (
        [second(AFTER, view=PageView("And", growing=True, end_chars=7, version=3))],
        FoundPost(AFTER, is_current=False),
    ),
    "another version of it": (
        [second(AFTER, view=PageView("And so.", end_chars=70))],
        FoundPost(AFTER, is_current=False),
    ),
    "a page that is known": ([second("1000.000009")], None),
    "a page behind one that is known": (
        [second(LATER), second("1000.000009")],
        FoundPost(LATER, is_current=True),
    ),
    "two, of which the first counts": ([second(LATER), second(AFTER)], FoundPost(AFTER, is_current=True)),
    "another page": ([second(AFTER, number=0), second(LATER, number=2)], None),
    "a page of another reply": ([second(AFTER, question=OTHERS)], None),
    "metadata of another app": ([{**second(AFTER), "metadata": {"event_type": "other", "event_payload": {}}}], None),
}


@pytest.mark.parametrize(("messages", "found"), FOUND.values(), ids=FOUND)
async def test_post_without_an_answer_is_found_by_its_metadata(
    messages: list[Payload], found: FoundPost | None
) -> None:
    slack = Slack(messages)
    assert await slack.posted.find_post(Post(QUESTION, 1, SECOND), {"1000.000009"}) == found


@pytest.mark.parametrize("is_in_thread", [True, False])
async def test_reply_is_looked_for_from_its_question_on(is_in_thread: bool) -> None:
    thread = QUESTION.thread if is_in_thread else ThreadKey("T1", "D1", None)
    page = second(AFTER)
    slack = Slack([page], [page])
    assert await slack.posted.messages_since(Question(thread, ASKED, "U1", "why?")) == [page]
    from_then_on = {"oldest": ASKED, "limit": LOOK_BACK_MESSAGES, "include_all_metadata": True}
    place = (
        {"method": "conversations.replies", "channel": "C1", "ts": "999.000009"}
        if is_in_thread
        else {"method": "conversations.history", "channel": "D1"}
    )
    asked = [{name: value for name, value in call.items() if value is not None} for call in slack.asked]
    assert asked == [{**place, **from_then_on}]


async def test_page_whose_thread_is_gone_is_looked_for_at_the_channels_root() -> None:
    post = Post(QUESTION, 1, SECOND)
    with pytest.raises(Refused) as outside:
        await Slack(GONE, [{"ts": AFTER}, second(LATER)]).posted.find_post(post, ())
    assert (outside.value.reason, outside.value.ts) == (Refusal.OUTSIDE_THREAD, LATER)
    for refused in (GONE, Refused("conversations.replies", "timeout", Refusal.TRANSIENT)):
        with pytest.raises(Refused) as raised:
            await Slack(refused, [second(LATER)] if refused is not GONE else []).posted.find_post(post, ())
        assert raised.value is refused


FILE = {"id": "F1", "name": f"answer-{ASKED}.md", "size": 7}
CODE = {"id": "F2", "name": f"code-1-{ASKED}.py", "size": 8}
DELETED = {"id": "F3", "mode": "tombstone"}
SHOWN = [
    second(AFTER),
    with_files(LATER, FILE, {"id": "F8", "name": f"answer-{BEFORE}.md"}, CODE, {"id": "", "name": FILE["name"]}),
    with_files("1000.000005", DELETED),
    with_files("1000.000006", DELETED, {"id": "F9"}),
    with_files(BEFORE, DELETED),
    {**with_files("1000.000007", DELETED), "user": "U1"},
    {"ts": "1000.000008", "user": "UBOT", "text": "A note."},
]


@pytest.mark.parametrize("is_gone", [False, True])
@pytest.mark.parametrize("has_more", [False, True])
async def test_all_of_a_reply_is_deleted_its_files_and_what_those_left(is_gone: bool, has_more: bool) -> None:
    slack = Slack(GONE if is_gone else SHOWN, SHOWN if is_gone else (), has_more=has_more)
    calls, is_all = await slack.posted.deletions(QUESTION)
    assert [(call.ts, call.file_ids) for call in calls] == [(AFTER, ()), (LATER, ("F1", "F2")), ("1000.000005", ())]
    assert is_all is not (is_gone or has_more)
    known = await slack.posted.late_messages(QUESTION, {AFTER, "1000.000005"})
    assert known == [Delete(QUESTION, LATER, ("F1", "F2"))]


@pytest.mark.parametrize(("ids", "ts"), [(["F1"], LATER), (["F2", "F1"], LATER), (["F1", "F8"], None), (["F3"], None)])
async def test_files_are_found_by_their_ids_if_slack_shares_all_of_them(ids: list[str], ts: str | None) -> None:
    assert await Slack(SHOWN).posted.find_files(QUESTION, ids) == ts


STREAMED = {"ts": AFTER, "user": "UBOT", "text": "*Because* of 2, &amp; so"}
NO_STREAMS: tuple[Payload, ...] = (
    {**STREAMED, "user": "U1"},
    {**STREAMED, "ts": ASKED},
    {**STREAMED, "metadata": {"event_type": "other"}},
    {**STREAMED, "files": [FILE]},
    {**STREAMED, "subtype": "tombstone"},
)


async def test_stream_is_a_message_of_ours_below_the_question_without_metadata() -> None:
    found = await Slack([*NO_STREAMS, STREAMED]).posted.find_streams(QUESTION)
    assert found == [FoundStream(AFTER, "Becauseof2so")]


@pytest.mark.parametrize(
    ("letters", "shows"),
    [("", True), ("Becauseof2", True), ("becauseof2", False), ("soof", False), ("Becauseof2more", False)],
)
def test_stream_shows_an_answer_that_has_its_first_letters(letters: str, shows: bool) -> None:
    assert FoundStream(AFTER, letters).shows("**Because** of 2, so") is shows


@pytest.mark.parametrize(("chars", "shows"), [(COMPARED_CHARS - 1, False), (COMPARED_CHARS, True)])
def test_first_letters_of_a_stream_tell(chars: int, shows: bool) -> None:
    assert FoundStream(AFTER, f"{'a' * chars}b").shows("a" * COMPARED_CHARS) is shows
