"""The outbox's calls to Slack: what a deletion takes along, what keeps a reply, and what an earlier try has done."""

from collections.abc import Callable, Collection, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field, replace
from typing import Any

import pytest

from bot.core import texts
from bot.core.conversation import Question, ThreadKey
from bot.core.outbox import OutboxEntry, OutboxKind
from bot.core.unposted import MessageQuestion, QuotedMessage
from bot.errors import Refusal, Refused
from bot.reply.late import PING_EVENT, OutboxSender
from bot.reply.messages import Delete
from bot.slack.posted_questions import posted_question

Json = dict[str, Any]

QUESTION = Question(ThreadKey("T1", "C1", "1.0"), "5.0", "U1", "Why?")
ENTRY = OutboxEntry(7, OutboxKind.REPLY, 0.0, 1, 3, 2, QUESTION, ("6.1", "6.2"), ask_ts="6.9")
FAILED = Refused("chat.delete", "timeout", Refusal.TRANSIENT)
GONE = Refused("chat.delete", "message_not_found", Refusal.MESSAGE_GONE)
CLOSED = Refused("chat.delete", "channel_not_found", Refusal.CHANNEL_GONE)


@dataclass
class Channel:
    """A channel of Slack, with the calls that it got."""

    messages: Sequence[Json] = ()
    nearby: Sequence[str] = ()
    """The reply's messages that a look finds, and whether those are all."""
    is_all: bool = True
    error: Refused | None = None
    deleted: list[str] = field(default_factory=list)
    posted: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.senders = self.files = self
        every: Any = self
        self.sender = OutboxSender(every, every, every, "UBOT")

    async def delete_paced(self, call: Delete) -> None:
        self.deleted.append(call.ts)
        if self.error:
            raise self.error

    async def deletions(self, question: Question) -> tuple[list[Delete], bool]:
        return [Delete(question, ts) for ts in self.nearby], self.is_all

    async def late_messages(self, question: Question, known_ts: Collection[str]) -> list[Delete]:
        return [Delete(question, ts) for ts in self.nearby if ts not in known_ts]

    async def messages_since(self, question: Question) -> Sequence[Json]:
        return self.messages

    async def post(self, channel_id: str, thread_ts: str | None, **message: Any) -> tuple[str, str]:
        self.posted.append(message["text"])
        return channel_id, "9.0"


@pytest.mark.parametrize(("page_ts", "deleted"), [(("6.1",), ["6.1"]), ((), ["6.3"])], ids=["on record", "looked for"])
async def test_placeholder_is_looked_for_if_none_is_on_record(page_ts: tuple[str, ...], deleted: list[str]) -> None:
    channel = Channel(nearby=["6.3"])
    await channel.sender.clear(replace(ENTRY, page_ts=page_ts))
    assert channel.deleted == deleted


@pytest.mark.parametrize(
    ("tries", "is_all", "deleted"),
    [(1, True, ["6.2", "6.3", "6.1"]), (2, True, ["6.2", "6.3"]), (2, False, ["6.2", "6.3", "6.1"])],
    ids=["first try", "all are listed", "some are too far back"],
)
async def test_messages_on_record_are_deleted_though_slack_does_not_list_them(
    tries: int, is_all: bool, deleted: list[str]
) -> None:
    channel = Channel(nearby=["6.2", "6.3"], is_all=is_all)
    await channel.sender.delete(replace(ENTRY, tries=tries))
    assert channel.deleted == deleted


@pytest.mark.parametrize(("error", "is_raised"), [(GONE, False), (FAILED, True), (CLOSED, True)], ids=str)
async def test_deletion_goes_on_behind_a_message_that_is_gone(error: Refused, is_raised: bool) -> None:
    channel = Channel(nearby=["6.1", "6.2"], error=error)
    with pytest.raises(Refused) if is_raised else nullcontext():
        await channel.sender.delete(ENTRY)
    assert channel.deleted == (["6.1"] if is_raised else ["6.1", "6.2"])


ABOUT = QuotedMessage("C1", "6.1", "1.0", "", "", offered_by=3)
CHOSEN = MessageQuestion("T1", "V1", "U2", ABOUT, "This", 0.0)


@pytest.mark.parametrize(
    ("message", "is_removed"),
    [
        ({"ts": "7.0", "user": "U2"}, False),
        ({"ts": "7.0", "user": "U2", "subtype": "file_share"}, False),
        ({"ts": "7.0", "user": "UBOT", **posted_question(CHOSEN, elsewhere=False)}, False),
        ({"ts": "4.0", "user": "U2"}, True),
        ({"ts": "5.0", "user": "U1"}, True),
        ({"ts": "7.0", "user": "UBOT", "text": "Because."}, True),
        ({"ts": "7.0", "user": "UCI", "bot_id": "BCI"}, True),
        ({"ts": "7.0", "bot_id": "BCI", "subtype": "bot_message"}, True),
        ({"ts": "7.0", "user": "U2", "subtype": "channel_join"}, True),
    ],
    ids=["words", "file", "choice", "before", "the question", "ours", "app", "app without a user", "join"],
)
async def test_reply_stays_if_a_person_wrote_after_its_question(message: Json, is_removed: bool) -> None:
    channel = Channel([message], nearby=["6.1"])
    assert await channel.sender.remove(ENTRY) is is_removed
    assert channel.deleted == (["6.1"] if is_removed else [])


def mention(**more: Any) -> Json:
    payload = {"question_ts": QUESTION.ts, "version": 2, **more}
    return {"ts": "8.0", "metadata": {"event_type": PING_EVENT, "event_payload": payload}}


@pytest.mark.parametrize(
    ("tries", "messages", "ts"),
    [(1, [mention()], "9.0"), (2, [mention()], "8.0"), (2, [mention(version=1)], "9.0"), (2, [], "9.0")],
    ids=["first try", "an earlier try's", "an earlier version's", "none"],
)
async def test_asker_is_mentioned_unless_an_earlier_try_has_done_so(
    tries: int, messages: Sequence[Json], ts: str
) -> None:
    channel = Channel(messages)
    assert await channel.sender.mention(replace(ENTRY, tries=tries), bool) == ts
    assert channel.posted == ([texts.answers.answer_ready("<@U1>")] if ts == "9.0" else [])


@pytest.mark.parametrize(
    ("tries", "mention_ts", "deleted"),
    [(1, None, ["6.9"]), (2, None, ["6.9", "8.0"]), (2, "8.0", ["6.9"])],
    ids=["first try", "an earlier try's", "the one that is on record"],
)
async def test_mention_that_an_earlier_try_has_posted_unheard_is_cleared_too(
    tries: int, mention_ts: str | None, deleted: list[str]
) -> None:
    others = [{"ts": "8.1", "text": "Because."}, mention(question_ts="4.0")]
    channel = Channel([mention(version=1), *({**other, "ts": "8.2"} for other in others)])
    await channel.sender.clear_ask(replace(ENTRY, tries=tries, mention_ts=mention_ts))
    assert channel.deleted == deleted


@pytest.mark.parametrize(("ask_ts", "deleted"), [("6.9", ["6.9"]), (None, [])])
async def test_mention_because_of_an_earlier_approval_goes_first(ask_ts: str | None, deleted: list[str]) -> None:
    channel = Channel()
    still: Callable[[], bool] = bool
    assert (
        await channel.sender.ask_approval(replace(ENTRY, ask_ts=ask_ts, waits_until=99.0), ["remember"], still) == "9.0"
    )
    assert (channel.deleted, channel.posted) == (deleted, ["<@U1> shall I remember what I proposed above?"])
