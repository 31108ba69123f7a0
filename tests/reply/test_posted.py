"""What Slack shows of our replies, where no database says what was answered."""

from collections.abc import Collection
from types import SimpleNamespace
from typing import Any

import pytest

from bot.core.conversation import Question, ThreadKey
from bot.core.job import End, MessageRole
from bot.errors import EndReason
from bot.reply.delivery import MessageDelivery
from bot.reply.edits import Post
from bot.reply.messages import PageView
from bot.reply.outcomes import CallDone
from bot.reply.posted import is_answered, metadata_of
from bot.reply.reply import Reply
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
    """Returns a message of a reply as Slack lists it."""
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

    async def find(self, post: Post, known_ts: Collection[str]) -> None:
        self.count += 1


class Posts:
    """A client whose posts arrive."""

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
