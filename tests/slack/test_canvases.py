"""Canvases at the boundary to Slack: answers that say less than they should, and refusals."""

from collections.abc import Collection
from contextlib import nullcontext
from dataclasses import dataclass
from typing import Any

import pytest

from bot.core.canvases import CANVAS
from bot.core.conversation import CHECK_FILE_INFO, File, Question, ThreadKey
from bot.core.surfaces import AppContext
from bot.core.texts.files import Unread
from bot.errors import RateLimited, Refusal, Refused, StoreError
from bot.slack.canvases import NEEDS_CHANNEL, Canvases
from bot.slack.canvases_and_pins import ChannelPages
from bot.slack.client import TURN_WITHIN_S
from bot.slack.refusals import reason_of
from files_to_markdown.document import MAX_CHARS, Document
from slack_pacing.tests.simulated_time import run_simulated
from tests.slack.scripted import Answer, Json, ScriptedClient

CHANNEL = ThreadKey("T1", "C1", "1.0")
QUESTION = Question(CHANNEL, "5.0", "U1", "Why?")
HERE: Json = {"id": "F1", "name": "Plan", "mimetype": CANVAS, "channels": ["C1"]}


@dataclass
class Client(ScriptedClient):
    scopes: Collection[str] | None = None
    opened: str | StoreError = ""
    """The canvas that U1 has open next to the pane."""

    def __post_init__(self) -> None:
        client: Any = self
        self.canvases = Canvases(client, self.scopes, "UBOT", self.open_now)

    async def open_now(self, team_id: str, user_id: str) -> AppContext:
        if isinstance(self.opened, StoreError):
            raise self.opened
        return AppContext("C9", canvas_id=self.opened if (team_id, user_id) == ("T1", "U1") else "")


@pytest.mark.parametrize(
    ("answer", "is_shared"),
    [
        ({}, True),
        ({"failed_to_update_user_ids": [], "failed_to_update_channel_ids": []}, True),
        ({"failed_to_update_user_ids": ["U1"]}, False),
        ({"failed_to_update_channel_ids": ["C1"]}, False),
    ],
    ids=str,
)
async def test_canvas_that_slack_shares_with_nobody_is_not_shared(answer: Json, is_shared: bool) -> None:
    client = Client({"canvases.access.set": answer})
    with nullcontext() if is_shared else pytest.raises(Refused, match="failed for some"):
        await client.canvases.share("F1", CHANNEL, "U1")


GROUP = {"channel": {"id": "C1", "is_mpim": True}}
SHARED_WITH: dict[str, tuple[ThreadKey, Json, list[Json]]] = {
    "the person of a direct message": (ThreadKey("T1", "D1", "1.0"), {}, [{"user_ids": ["U1"]}]),
    "a channel": (
        CHANNEL,
        {"conversations.info": {"channel": {"id": "C1", "is_mpim": False}}},
        [{"method": "conversations.info", "channel": "C1"}, {"channel_ids": ["C1"]}],
    ),
    "a channel that Slack does not describe": (
        CHANNEL,
        {"conversations.info": Refused("conversations.info", "missing_scope", Refusal.FORBIDDEN)},
        [{"method": "conversations.info", "channel": "C1"}, {"channel_ids": ["C1"]}],
    ),
    "the people of a group's direct message": (
        CHANNEL,
        {"conversations.info": GROUP, "conversations.members": {"members": ["U2", "UBOT", "U1"]}},
        [
            {"method": "conversations.info", "channel": "C1"},
            {"method": "conversations.members", "channel": "C1"},
            {"user_ids": ["U2", "U1"]},
        ],
    ),
}


@pytest.mark.parametrize(("thread", "answers", "asked"), SHARED_WITH.values(), ids=SHARED_WITH)
async def test_canvas_is_shared_with_those_who_read_the_conversation(
    thread: ThreadKey, answers: Json, asked: list[Json]
) -> None:
    client = Client(answers)
    await client.canvases.share("F1", thread, "U1")
    *before, readers = asked
    assert client.asked == [
        *before,
        {"method": "canvases.access.set", "canvas_id": "F1", "access_level": "read", **readers},
    ]


async def test_canvas_is_shared_later_if_slack_may_describe_the_channel_then() -> None:
    client = Client({"conversations.info": Refused("conversations.info", "timeout", Refusal.TRANSIENT)})
    with pytest.raises(Refused, match="timeout"):
        await client.canvases.share("F1", CHANNEL, "U1")


@pytest.mark.parametrize("error", ["", NEEDS_CHANNEL, "storage_limit_reached"])
async def test_canvas_is_made_in_the_channels_tab_only_where_slack_takes_no_other(error: str) -> None:
    answers: list[Answer] = [{"canvas_id": "F2"}]
    if error:
        answers.insert(0, Refused("canvases.create", error, reason_of(error)))
    client = Client({"canvases.create": answers})
    plan = {
        "method": "canvases.create",
        "title": "Plan",
        "document_content": {"type": "markdown", "markdown": "# Plan"},
    }
    is_refused = error == "storage_limit_reached"
    with pytest.raises(Refused) if is_refused else nullcontext():
        assert await client.canvases.create("Plan", "# Plan", "C1", lambda: True) == "F2"
    assert client.asked == ([plan, {**plan, "channel_id": "C1"}] if error == NEEDS_CHANNEL else [plan])


@pytest.mark.parametrize(
    ("scopes", "content", "can_write"),
    [
        (None, Document("x"), True),
        ({"canvases:read"}, Document("x"), False),
        ({"canvases:write"}, Unread.CANVAS_SCOPE, True),
        (set(), Unread.CANVAS_SCOPE, False),
    ],
    ids=str,
)
async def test_canvases_are_read_and_made_as_the_scopes_allow(
    scopes: Collection[str] | None, content: Document | Unread, can_write: bool
) -> None:
    client = Client({"canvases.getContent": {"content": "x"}}, scopes=scopes)
    opened = await client.canvases.read([File("F1", "Plan")], QUESTION)
    assert (opened["F1"].content, client.canvases.can_write) == (content, can_write)
    asked = [] if content is Unread.CANVAS_SCOPE else [{"method": "canvases.getContent", "canvas_id": "F1"}]
    assert client.asked == asked


async def test_address_of_a_canvas_is_its_permalink() -> None:
    client = Client({"files.info": {"file": {"id": "F1", "permalink": "https://a.example/docs/F1", "url": "b"}}})
    assert await client.canvases.link("F1") == "https://a.example/docs/F1"
    assert client.asked == [{"method": "files.info", "file": "F1"}]


async def test_answers_without_an_id_or_an_address_are_failures_that_may_pass() -> None:
    canvases = Client().canvases
    with pytest.raises(Refused) as created:
        await canvases.create("Plan", "# Plan", "C1", bool)
    with pytest.raises(Refused) as linked:
        await canvases.link("F1")
    assert [created.value.reason, linked.value.reason] == [Refusal.TRANSIENT, Refusal.TRANSIENT]


@pytest.mark.parametrize(
    ("reason", "is_raised"), [(Refusal.MESSAGE_GONE, False), (Refusal.TRANSIENT, True), (Refusal.TOKEN_GONE, True)]
)
async def test_canvas_that_is_gone_needs_no_deletion(reason: Refusal, is_raised: bool) -> None:
    client = Client({"canvases.delete": Refused("canvases.delete", "error", reason)})
    with pytest.raises(Refused) if is_raised else nullcontext():
        await client.canvases.delete("F1")


REFUSALS: dict[str, Unread] = {
    "missing_scope": Unread.CANVAS_SCOPE,
    **dict.fromkeys(("canvas_not_found", "file_not_found", "not_visible", "access_denied"), Unread.CANVAS_NOT_FOUND),
    **dict.fromkeys(("canvas_deleted", "file_deleted"), Unread.DELETED),
    "internal_error": Unread.FAILED,
}


@pytest.mark.parametrize("method", ["files.info", "canvases.getContent"])
@pytest.mark.parametrize(("name", "reason"), REFUSALS.items(), ids=REFUSALS)
async def test_each_refusal_of_a_linked_canvas_has_its_reason(method: str, name: str, reason: Unread) -> None:
    client = Client({"files.info": {"file": HERE}, method: Refused(method, name, reason_of(name))})
    opened = await client.canvases.read([File("F1", "a canvas", CANVAS, access=CHECK_FILE_INFO)], QUESTION)
    assert opened["F1"].content is reason


@pytest.mark.parametrize("answer", [{}, {"content": None}, RateLimited("canvases.getContent", 1.0)], ids=str)
async def test_canvas_that_slack_gives_no_text_of_is_not_read(answer: Json | RateLimited) -> None:
    opened = await Client({"canvases.getContent": answer}).canvases.read([File("F1", "Plan")], QUESTION)
    assert opened["F1"].content is Unread.FAILED


@pytest.mark.parametrize("chars", [MAX_CHARS, MAX_CHARS + 1])
async def test_long_canvas_is_cut_and_says_so(chars: int) -> None:
    client = Client({"canvases.getContent": {"content": "x" * chars}})
    opened = await client.canvases.read([File("F1", "Plan")], QUESTION)
    content = opened["F1"].content
    assert isinstance(content, Document)
    assert (len(content.text), bool(content.left_out)) == (MAX_CHARS, chars > MAX_CHARS)


def test_canvases_of_one_question_share_one_wait() -> None:
    client = Client({"canvases.getContent": {"content": "x"}}, after_s=0.4 * TURN_WITHIN_S)
    opened = run_simulated(client.canvases.read([File(f"F{number}", "Plan") for number in range(5)], QUESTION))
    assert [file.content for file in opened.values()] == [Document("x")] * 2 + [Unread.TOO_SLOW] * 3


@pytest.mark.parametrize(
    ("described", "content"),
    [
        (HERE, Document("x")),
        ({**HERE, "channels": [], "shares": {"public": {"C1": []}}}, Document("x")),
        ({**HERE, "channels": [], "linked_channel_id": "C1"}, Document("x")),
        ({**HERE, "channels": ["C2"]}, Unread.CANVAS_NOT_SHARED),
        ({**HERE, "channels": ["C2"], "user": "U1"}, Unread.CANVAS_NOT_SHARED),
        ({**HERE, "mimetype": "text/plain"}, Unread.KIND),
        ({**HERE, "mode": "tombstone"}, Unread.DELETED),
        ({}, Unread.CANVAS_NOT_SHARED),
    ],
    ids=str,
)
async def test_canvas_that_a_message_only_names_is_read_where_all_readers_may_open_it(
    described: Json, content: Document | Unread
) -> None:
    client = Client({"files.info": {"file": described}, "canvases.getContent": {"content": "x"}})
    opened = await client.canvases.read([File("F1", "Plan", CANVAS, access=CHECK_FILE_INFO)], QUESTION)
    assert opened["F1"].content == content


ELSEWHERE: Json = {**HERE, "channels": ["C9"], "user": "U9"}
PANE = ThreadKey("T1", "D1", "1.0")


@pytest.mark.parametrize(
    ("thread", "asker", "opened", "is_read"),
    [
        (PANE, "U1", "F1", True),
        (PANE, "U1", "F2", False),
        (PANE, "U1", "", False),
        (PANE, "U2", "F1", False),
        (PANE, "U1", StoreError("away"), False),
        (CHANNEL, "U1", "F1", False),
    ],
    ids=["open in the pane", "another one", "none", "of somebody else", "unknown", "others read the answer"],
)
async def test_canvas_of_another_channel_is_read_in_the_pane_to_who_has_it_open(
    thread: ThreadKey, asker: str, opened: str | StoreError, is_read: bool
) -> None:
    client = Client({"files.info": {"file": ELSEWHERE}, "canvases.getContent": {"content": "A launch."}}, opened=opened)
    question = Question(thread, "5.0", asker, "Why?")
    pages: Any = ChannelPages(client, client.canvases, None, reads_tabs=False)  # type: ignore[arg-type]
    result = await pages.canvas_result(question, {"canvas": "F1"})
    assert result
    title, _ = await client.canvases.title_and_link("F1", question)
    assert title == ("Plan" if is_read else "")
    assert (result.is_error, "# Plan\n\nA launch." in result.text) == (not is_read, is_read)
    assert result.can_be_stored is not is_read, "people edit canvases, so the text isn't kept"
