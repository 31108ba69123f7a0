"""Reading a conversation over real HTTP, with Slack's pages, rate limits and scopes."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest

from bot.core.conversation import Message, Question, ThreadKey
from bot.reply.workspace import Workspace
from bot.slack.history import DIRECT_MESSAGES, MAX_CALLS, NEWEST_MESSAGES, History
from bot.slack.users import MAX_NAMES
from slack_sandbox.faults import FaultSettings
from slack_sandbox.people import Content
from slack_sandbox.server import Sandbox
from slack_sandbox.web_api.http import SCOPES
from slack_sandbox.workspace import User
from tests.fast import FastClock
from tests.slack.workspaces import connected_workspace

pytestmark = pytest.mark.skips_waits


QUIET: Any = {"subscribed": frozenset(), "keep_revisions": False}
"""Settings of a sandbox that sends no events."""


@pytest.fixture
async def workspace_in() -> AsyncIterator[tuple[Sandbox, Workspace]]:
    async with connected_workspace(FastClock(), **QUIET) as opened:
        yield opened


@pytest.fixture
def sandbox(workspace_in: tuple[Sandbox, Workspace]) -> Sandbox:
    return workspace_in[0]


@pytest.fixture
def workspace(workspace_in: tuple[Sandbox, Workspace]) -> Workspace:
    return workspace_in[1]


@pytest.fixture
def history(workspace: Workspace) -> History:
    return workspace.history


async def thread(sandbox: Sandbox, replies: int) -> Question:
    root = await sandbox.say("ada", "general", "the first")
    *_, last = [await sandbox.say("grace", "general", f"reply {number}", root) for number in range(replies)]
    return question(sandbox, "C0GENERAL", last, root)


def question(sandbox: Sandbox, channel_id: str, ts: str, thread_ts: str | None) -> Question:
    return Question(ThreadKey(sandbox.team_id, channel_id, thread_ts), ts, "U0GRACE", "?")


def texts(messages: list[Message]) -> list[str]:
    return [message.text for message in messages]


def calls(sandbox: Sandbox, method: str) -> int:
    return sum(call.method == method for call in sandbox.calls)


async def test_thread_is_read_with_one_call(sandbox: Sandbox, history: History) -> None:
    read = await history.messages(await thread(sandbox, 500))
    assert texts(read) == ["the first", *(f"reply {number}" for number in range(500))]
    assert not any(message.is_after_gap for message in read)
    assert calls(sandbox, "conversations.replies") == 1


async def test_long_thread_is_read_as_first_message_gap_and_newest_messages(sandbox: Sandbox, history: History) -> None:
    read = await history.messages(await thread(sandbox, 2_300))
    assert texts(read) == ["the first", *(f"reply {number}" for number in range(2_300 - NEWEST_MESSAGES, 2_300))]
    assert [message.is_after_gap for message in read[:3]] == [False, True, False]
    assert calls(sandbox, "conversations.replies") == 3


@pytest.mark.long
async def test_newest_messages_of_a_huge_thread_are_reached_with_few_calls(sandbox: Sandbox, history: History) -> None:
    asked = await thread(sandbox, 9_500)
    read = await history.messages(asked)
    first, *newest = texts(read)
    assert first == "the first"
    assert newest[-1] == "reply 9499"
    assert newest == [f"reply {number}" for number in range(9_500 - len(newest), 9_500)]
    assert read[1].is_after_gap
    assert calls(sandbox, "conversations.replies") <= MAX_CALLS


async def test_direct_message_is_read_as_it_ended_before_a_ts(sandbox: Sandbox, history: History) -> None:
    place = sandbox.dm("ada")
    sent = [await sandbox.say("ada", place, f"{number}") for number in range(DIRECT_MESSAGES + 5)]
    asked = question(sandbox, place, sent[1], None)
    read = await history.messages(asked, sent[2])
    assert texts(read) == ["0", "1"]


async def test_newest_messages_of_a_huge_direct_message_are_read(sandbox: Sandbox, history: History) -> None:
    place = sandbox.dm("ada")
    *_, last = [await sandbox.say("ada", place, f"{number}") for number in range(DIRECT_MESSAGES + 5)]
    read = await history.messages(question(sandbox, place, last, None))
    assert texts(read) == [str(number) for number in range(5, DIRECT_MESSAGES + 5)]
    assert read[0].is_after_gap


REPLIES = "conversations.replies"


async def read_with_a_fault_after_the_first_page(
    sandbox: Sandbox, history: History, fault: str, setting: FaultSettings
) -> list[Message]:
    asked = await thread(sandbox, 2_300)
    # The second call waits until the fault has started.
    sandbox.faults.start("slow", method=REPLIES, delay_s=0.3)
    reading = asyncio.create_task(history.messages(asked))
    await sandbox.wait_for(lambda: calls(sandbox, REPLIES) == 1)
    sandbox.faults.start(fault, **setting, method=REPLIES)  # type: ignore[misc]
    return await reading


@pytest.mark.parametrize(
    ("fault", "setting"),
    [
        ("rate_limit", {"retry_after_s": 600}),
        pytest.param("refuse", {"error": "missing_scope"}, marks=pytest.mark.long),
        pytest.param("internal_error", {}, marks=pytest.mark.long),
        pytest.param("stream_timeout", {}, marks=pytest.mark.long),
        pytest.param("html_200", {}, marks=pytest.mark.long),
        ("drop_request", {}),
        pytest.param("no_answer", {}, marks=pytest.mark.long),
    ],
)
@pytest.mark.long(after_row=1)
async def test_thread_that_fails_midway_keeps_its_pages_and_a_gap_before_the_question(
    sandbox: Sandbox, history: History, monkeypatch: pytest.MonkeyPatch, fault: str, setting: FaultSettings
) -> None:
    monkeypatch.setattr("bot.slack.history.READ_WITHIN_S", 5.0)
    *read, last = await read_with_a_fault_after_the_first_page(sandbox, history, fault, setting)
    assert texts(read) == ["the first", *(f"reply {number}" for number in range(998))]
    assert [message.ts for message in read if message.is_after_gap] == []
    assert (last.text, last.is_after_gap) == ("?", True)


async def test_all_pages_together_are_read_within_the_limit(
    sandbox: Sandbox, history: History, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bot.slack.history.READ_WITHIN_S", 12.0)
    asked = await thread(sandbox, 2_300)
    sandbox.faults.start("slow", method=REPLIES, delay_s=5.0)
    *read, last = await history.messages(asked)
    assert len(read) == NEWEST_MESSAGES + 1, "two pages were read"
    assert (last.text, last.is_after_gap) == ("?", True)


async def test_failed_page_is_retried_alone(sandbox: Sandbox, history: History) -> None:
    read = await read_with_a_fault_after_the_first_page(
        sandbox, history, "rate_limit", {"times": 1, "retry_after_s": 1}
    )
    assert texts(read) == ["the first", *(f"reply {number}" for number in range(1_300, 2_300))]
    assert calls(sandbox, REPLIES) == 4


@pytest.mark.parametrize(("direct", "method"), [(True, "conversations.history"), (False, REPLIES)])
async def test_unreadable_conversation_is_a_gap(sandbox: Sandbox, history: History, direct: bool, method: str) -> None:
    sandbox.faults.start("rate_limit", method=method, retry_after_s=600)
    asked = await thread(sandbox, 2)
    if direct:
        place = sandbox.dm("ada")
        asked = question(sandbox, place, await sandbox.say("ada", place, "?"), None)
    read = await history.messages(asked)
    assert [(message.ts, message.text, message.is_after_gap) for message in read] == [(asked.ts, "?", True)]


async def test_message_that_is_ours_or_gone_is_none(sandbox: Sandbox, workspace: Workspace) -> None:
    theirs, deleted = [await sandbox.say("ada", "general", text) for text in ("one", "two")]
    await sandbox.say("grace", "general", "a reply", deleted)
    await sandbox.delete("general", deleted)
    ours = await workspace.surfaces.post_in_channel("C0GENERAL", {"text": "three"})
    found = [
        await workspace.history.message(sandbox.team_id, "C0GENERAL", ts) for ts in (theirs, deleted, ours, "1.000000")
    ]
    assert [message and message.text for message in found] == ["one", None, None, None]


async def test_app_messages_are_read_under_the_apps_name(sandbox: Sandbox, history: History) -> None:
    root = await sandbox.say_as_bot("ci", "general", "red")
    await sandbox.say_as_bot("alerts", "general", "down", root, is_legacy=True)
    content = Content("short", attachments=[{"title": "Log", "text": "1 &lt; 2"}])
    last = await sandbox.post("ci", "general", content, root)
    read = await history.messages(question(sandbox, "C0GENERAL", last, root))
    assert [(message.app_name, message.full_text) for message in read] == [
        ("ci", "red"),
        ("alerts", "down"),
        ("ci", "short\n\nLog\n1 &lt; 2"),
    ]


async def test_concurrent_readers_look_each_name_up_once(sandbox: Sandbox, workspace: Workspace) -> None:
    asked = ["U0ADA", "C0GENERAL", "U0NOBODY"]
    read = await asyncio.gather(*(workspace.users.names(asked) for _ in range(5)))
    assert [*read, await workspace.users.names(asked)] == [{"U0ADA": "Ada", "C0GENERAL": "general"}] * 6
    assert calls(sandbox, "users.info") == 2
    assert calls(sandbox, "conversations.info") == 1


async def test_people_and_channels_have_no_names_without_the_scopes() -> None:
    scopes = SCOPES - {"users:read", "channels:read", "groups:read", "im:read", "mpim:read"}
    async with connected_workspace(FastClock(), **QUIET, scopes=scopes) as (sandbox, workspace):
        for _ in range(2):
            assert await workspace.users.names(["U0ADA", "C0GENERAL"]) == {}
    assert calls(sandbox, "users.info") == calls(sandbox, "conversations.info") == 1


@pytest.mark.parametrize("fault", ["rate_limit", "internal_error"])
async def test_failed_name_lookup_is_repeated(sandbox: Sandbox, workspace: Workspace, fault: str) -> None:
    sandbox.faults.start(fault, method="users.info", times=1)
    assert await workspace.users.names(["U0ADA"]) == {}
    await asyncio.sleep(60)
    assert await workspace.users.names(["U0ADA"]) == {"U0ADA": "Ada"}


async def test_number_of_names_looked_up_is_limited(sandbox: Sandbox, workspace: Workspace) -> None:
    crowd = [f"U{number:05}" for number in range(300)]
    sandbox.workspace.users |= {user_id: User(user_id, user_id.lower(), user_id, "#000000") for user_id in crowd}
    read = await workspace.users.names(crowd)
    assert list(read) == crowd[:MAX_NAMES]
    assert calls(sandbox, "users.info") == MAX_NAMES
