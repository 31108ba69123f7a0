"""The outbox's calls to Slack: what a deletion takes along, what keeps a reply, and what an earlier try has done."""

from collections.abc import Collection, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field, replace
from typing import Any

import pytest

from bot.core import texts
from bot.core.conversation import Question, ThreadKey
from bot.core.job import MENTION_ROLES, SIDE_ROLES, MessageRole, RecordedMessage
from bot.core.outbox import OutboxEntry, OutboxKind
from bot.core.unposted import MessageQuestion, QuotedMessage
from bot.errors import Refusal, Refused
from bot.reply.messages import Delete
from bot.reply.outbox_sender import OutboxSender, SideMessage, approval_reminder, link_message, ready_message
from bot.slack.blockkit import remark
from bot.slack.posted_questions import posted_question

Json = dict[str, Any]

QUESTION = Question(ThreadKey("T1", "C1", "1.0"), "5.0", "U1", "Why?")
OTHER_QUESTION = replace(QUESTION, ts="4.0")
ENTRY = OutboxEntry(7, OutboxKind.REPLY, 0.0, 1, 3, 2, QUESTION, ("6.1", "6.2"))
FAILED = Refused("chat.delete", "timeout", Refusal.TRANSIENT)
GONE = Refused("chat.delete", "message_not_found", Refusal.MESSAGE_GONE)
CLOSED = Refused("chat.delete", "channel_not_found", Refusal.CHANNEL_GONE)


@dataclass
class Channel:
    messages: Sequence[Json] = ()
    nearby: Sequence[str] = ()
    """The reply's messages that a look finds, and whether those are all."""
    is_all: bool = True
    error: Refused | None = None
    deleted: list[str] = field(default_factory=list)
    posted: list[Json] = field(default_factory=list)
    refused: list[Refused] = field(default_factory=list)
    """What Slack says of the next posts."""

    def __post_init__(self) -> None:
        every: Any = self
        self.sender = OutboxSender(every, every, every)

    async def delete(self, call: Delete) -> None:
        self.deleted.append(call.ts)
        if self.error:
            raise self.error

    async def deletions(self, question: Question) -> tuple[list[Delete], bool]:
        return [Delete(question, ts) for ts in self.nearby], self.is_all

    async def late_messages(self, question: Question, known_ts: Collection[str]) -> list[Delete]:
        return [Delete(question, ts) for ts in self.nearby if ts not in known_ts]

    def is_own(self, message: Json) -> bool:
        return bool(message.get("user") == "UBOT")

    async def messages_since(self, question: Question) -> Sequence[Json]:
        return self.messages

    async def post(self, channel_id: str, thread_ts: str | None, **message: Any) -> tuple[str, str]:
        self.posted.append({"channel": channel_id, "thread_ts": thread_ts, **message})
        if self.refused:
            raise self.refused.pop()
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
    assert await channel.sender.delete_if_unanswered(ENTRY) is is_removed
    assert channel.deleted == (["6.1"] if is_removed else [])


MENTION = RecordedMessage("", MessageRole.MENTION, 2)
ASK, LINK = (replace(MENTION, role=role) for role in (MessageRole.ASK, MessageRole.LINK))
READY = ready_message(ENTRY)


@pytest.mark.parametrize(
    ("beside", "roles", "found"),
    [
        ([], MENTION_ROLES, []),
        ([replace(MENTION, ts="8.0")], MENTION_ROLES, []),
        ([LINK], MENTION_ROLES, []),
        ([MENTION], MENTION_ROLES, ["8.0", "8.1"]),
        ([MENTION, replace(ASK, ts="8.1")], MENTION_ROLES, ["8.0"]),
        ([LINK], SIDE_ROLES, ["8.0", "8.1", "8.2"]),
    ],
    ids=["no post", "on record", "post of another role", "unheard", "another is on record", "all roles"],
)
async def test_message_beside_a_reply_is_looked_for_only_if_its_post_has_no_answer_on_record(
    beside: Sequence[RecordedMessage], roles: Sequence[MessageRole], found: list[str]
) -> None:
    asks = approval_reminder(replace(ENTRY, waits_until=99.0), ["remember"])
    shown = [
        READY,
        asks,
        link_message(ENTRY, 1, "https://x.test"),
        ready_message(replace(ENTRY, question=OTHER_QUESTION)),
    ]
    messages = [{"ts": f"8.{number}", "user": "UBOT", "metadata": one.metadata} for number, one in enumerate(shown)]
    channel = Channel([*messages, {"ts": "8.9", "text": "Because."}])
    unrecorded_messages = await channel.sender.unrecorded_messages(replace(ENTRY, side_messages=tuple(beside)), roles)
    copies = Channel([{**message, "user": "UAPP"} for message in messages])
    assert not await copies.sender.unrecorded_messages(replace(ENTRY, side_messages=tuple(beside)), roles)
    assert unrecorded_messages == {message["ts"]: message["metadata"] for message in messages if message["ts"] in found}


@pytest.mark.parametrize(
    ("message", "text", "event", "payload"),
    [
        (READY, texts.answers.answer_ready("<@U1>"), "typist_ping", {"version": 2}),
        (
            approval_reminder(replace(ENTRY, waits_until=99.0), ["remember"]),
            "<@U1> should I remember what I proposed above?",
            "typist_ask",
            {"version": 2, "waits_until": "99.0"},
        ),
        (
            link_message(ENTRY, 1, "https://x.test"),
            texts.answers.canvas_made("<https://x.test>"),
            "typist_canvas",
            {"version": 1},
        ),
    ],
    ids=["ready", "asks", "canvas"],
)
async def test_message_beside_a_reply_stands_in_its_thread_and_says_whose_it_is(
    message: SideMessage, text: str, event: str, payload: Json
) -> None:
    channel = Channel()
    assert await channel.sender.post_side_message(ENTRY, message, bool) == "9.0"
    metadata = {"event_type": event, "event_payload": {"question_ts": "5.0", **payload}}
    shown = {} if message is READY else {"blocks": remark(text)}
    assert channel.posted == [{"channel": "C1", "thread_ts": "1.0", "text": text, "metadata": metadata, **shown}]
    assert message.as_recorded("9.0") == RecordedMessage("9.0", message.role, payload["version"])


async def test_messages_beside_a_reply_are_deleted_in_their_order() -> None:
    channel = Channel(error=GONE)
    await channel.sender.delete_side_messages(ENTRY, ["9.1", "8.0", "9.0"])
    assert channel.deleted == ["8.0", "9.0", "9.1"]
