"""Canvases at the boundary to Slack: answers that say less than they should, and refusals."""

import asyncio
from contextlib import nullcontext
from dataclasses import dataclass, field
from typing import Any

import pytest

from bot.core.conversation import File, Question, ThreadKey
from bot.core.files import CANVAS, CHECK_FILE_INFO, Unread
from bot.errors import RateLimited, Refusal, Refused
from bot.slack.canvases import Canvases
from bot.slack.client import TURN_WITHIN_S
from bot.slack.refusals import reason_of
from files_to_markdown.document import MAX_CHARS, Document
from tests.simulated_time import run_simulated

Json = dict[str, Any]

CHANNEL = ThreadKey("T1", "C1", "1.0")
QUESTION = Question(CHANNEL, "5.0", "U1", "Why?")
HERE: Json = {"id": "F1", "name": "Plan", "mimetype": CANVAS, "channels": ["C1"]}


@dataclass
class Client:
    """Slack, which answers each method as the test says, and else with nothing. `after_s`: how long a call takes."""

    answers: dict[str, Json | Refused | RateLimited] = field(default_factory=dict)
    after_s: float = 0.0

    def __post_init__(self) -> None:
        client: Any = self
        self.canvases = Canvases(client, None, "UBOT")

    async def call(self, method: str, **arguments: Any) -> Json:
        await asyncio.sleep(self.after_s)
        answer = self.answers.get(method, {})
        if isinstance(answer, Refused | RateLimited):
            raise answer
        return answer


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
