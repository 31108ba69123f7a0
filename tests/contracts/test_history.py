"""What is read of a conversation, with Slack's pages, limits and scopes, over real HTTP."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from bot.core.conversation import Message, Question, ThreadKey
from bot.core.lease import Lease
from bot.ports.clock import SystemClock
from bot.slack.client import SlackClient, new_session
from bot.slack.history import DIRECT_MESSAGES, NEWEST_MESSAGES, THREAD_CALLS, SlackHistory
from bot.slack.users import MOST_NAMES
from bot.slack.workspace import Workspace
from bot.store import Stores
from sandbox.faults import FaultSettings
from sandbox.people import Content
from sandbox.server import Sandbox
from sandbox.web_api import SCOPES
from sandbox.workspace import User


@asynccontextmanager
async def reading(sandbox: Sandbox) -> AsyncIterator[SlackHistory]:
    """A history of this sandbox, whose events nobody hears."""
    clock = SystemClock()
    async with sandbox, new_session() as session:
        store = await Stores.open("sqlite://", "w1", clock)
        client = SlackClient(sandbox.bot_token, sandbox.api_url, session)
        try:
            me = await client.identity()
            yield Workspace(
                me, client, ledger=store.rate_ledger, records=store.worker_queue, lease=Lease(), clock=clock
            ).history
        finally:
            await store.close()


def quiet(**how: object) -> Sandbox:
    return Sandbox(subscribed=frozenset(), keep_revisions=False, **how)  # type: ignore[arg-type]


async def thread(sandbox: Sandbox, replies: int) -> Question:
    """The last question of a thread with so many replies, itself included."""
    root = await sandbox.say("ada", "general", "the first")
    *_, last = [await sandbox.say("grace", "general", f"reply {number}", root) for number in range(replies)]
    return question(sandbox, "C0GENERAL", last, root)


def question(sandbox: Sandbox, channel_id: str, ts: str, thread_ts: str | None) -> Question:
    return Question(ThreadKey(sandbox.team_id, channel_id, thread_ts), ts, "U0GRACE", "?")


def texts(messages: list[Message]) -> list[str]:
    return [message.text for message in messages]


def calls(sandbox: Sandbox, method: str) -> int:
    return sum(call.method == method for call in sandbox.calls)


async def test_a_threads_first_message_and_all_its_replies_are_read_with_one_call() -> None:
    sandbox = quiet()
    async with reading(sandbox) as history:
        found = await history.messages(await thread(sandbox, 500))
    assert texts(found) == ["the first", *(f"reply {number}" for number in range(500))]
    assert not any(message.after_gap for message in found)
    assert calls(sandbox, "conversations.replies") == 1


async def test_of_a_longer_thread_the_first_message_and_the_newest_are_read_and_the_gap_is_known() -> None:
    sandbox = quiet()
    async with reading(sandbox) as history:
        found = await history.messages(await thread(sandbox, 2_300))
    assert texts(found) == ["the first", *(f"reply {number}" for number in range(2_300 - NEWEST_MESSAGES, 2_300))]
    assert [message.after_gap for message in found[:3]] == [False, True, False]
    assert calls(sandbox, "conversations.replies") == 3


async def test_of_a_thread_without_end_the_newest_are_reached_with_few_calls() -> None:
    sandbox = quiet()
    async with reading(sandbox) as history:
        asked = await thread(sandbox, 9_500)
        found = await history.messages(asked)
    first, *newest = texts(found)
    assert first == "the first"
    assert newest[-1] == "reply 9499"
    assert newest == [f"reply {number}" for number in range(9_500 - len(newest), 9_500)]
    assert found[1].after_gap
    assert calls(sandbox, "conversations.replies") <= THREAD_CALLS


async def test_of_a_direct_message_without_end_the_newest_are_read() -> None:
    sandbox = quiet()
    async with reading(sandbox) as history:
        place = sandbox.dm("ada")
        *_, last = [await sandbox.say("ada", place, f"{number}") for number in range(DIRECT_MESSAGES + 5)]
        found = await history.messages(question(sandbox, place, last, None))
    assert texts(found) == [str(number) for number in range(5, DIRECT_MESSAGES + 5)]
    assert found[0].after_gap


REPLIES = "conversations.replies"


async def read_but_for_the_end(
    sandbox: Sandbox, history: SlackHistory, fault: str, setting: FaultSettings
) -> list[Message]:
    """A thread of three pages, as it is read where the fault begins once the first one was given."""
    asked = await thread(sandbox, 2_300)
    # The second call waits until the fault is on.
    sandbox.faults.start("slow", method=REPLIES, delay_s=0.3)
    reading = asyncio.create_task(history.messages(asked))
    await sandbox.wait_for(lambda: calls(sandbox, REPLIES) == 1)
    sandbox.faults.start(fault, **setting, method=REPLIES)  # type: ignore[misc]
    return await reading


@pytest.mark.parametrize(
    ("fault", "setting"),
    [
        ("rate_limit", {"retry_after_s": 600}),
        ("refuse", {"error": "missing_scope"}),
        ("internal_error", {}),
        ("stream_timeout", {}),
        ("html_200", {}),
        ("drop_request", {}),
        ("no_answer", {}),
    ],
)
async def test_a_thread_that_slack_breaks_off_keeps_its_pages_and_a_gap_before_the_question(
    monkeypatch: pytest.MonkeyPatch, fault: str, setting: FaultSettings
) -> None:
    monkeypatch.setattr("bot.slack.history.READ_WITHIN_S", 5.0)
    sandbox = quiet()
    async with reading(sandbox) as history:
        *found, last = await read_but_for_the_end(sandbox, history, fault, setting)
    assert texts(found) == ["the first", *(f"reply {number}" for number in range(998))]
    assert [message.ts for message in found if message.after_gap] == []
    assert (last.text, last.after_gap) == ("?", True)


async def test_a_page_that_slack_gives_at_the_second_try_is_asked_for_alone() -> None:
    sandbox = quiet()
    async with reading(sandbox) as history:
        found = await read_but_for_the_end(sandbox, history, "rate_limit", {"times": 1, "retry_after_s": 1})
    assert texts(found) == ["the first", *(f"reply {number}" for number in range(1_300, 2_300))]
    assert calls(sandbox, REPLIES) == 4


@pytest.mark.parametrize(("direct", "method"), [(True, "conversations.history"), (False, REPLIES)])
async def test_a_conversation_that_slack_does_not_give_is_but_a_gap(direct: bool, method: str) -> None:
    sandbox = quiet()
    sandbox.faults.start("rate_limit", method=method, retry_after_s=600)
    async with reading(sandbox) as history:
        asked = await thread(sandbox, 2)
        if direct:
            place = sandbox.dm("ada")
            asked = question(sandbox, place, await sandbox.say("ada", place, "?"), None)
        found = await history.messages(asked)
    assert [(message.ts, message.text, message.after_gap) for message in found] == [(asked.ts, "?", True)]


async def test_an_app_is_known_by_its_name_and_what_it_sends_is_read() -> None:
    sandbox = quiet()
    async with reading(sandbox) as history:
        root = await sandbox.say_as_bot("ci", "general", "red")
        await sandbox.say_as_bot("alerts", "general", "down", root, old=True)
        content = Content("short", attachments=[{"title": "Log", "text": "1 &lt; 2"}])
        last = await sandbox.post("ci", "general", content, root)
        found = await history.messages(question(sandbox, "C0GENERAL", last, root))
    assert [(message.app_name, message.whole) for message in found] == [
        ("ci", "red"),
        ("alerts", "down"),
        ("ci", "short\n\n> Log\n> 1 &lt; 2"),
    ]


async def test_names_are_asked_for_once_also_by_those_who_ask_at_the_same_time() -> None:
    sandbox = quiet()
    async with reading(sandbox) as history:
        asked = ["U0ADA", "C0GENERAL", "U0NOBODY"]
        found = await asyncio.gather(*(history.names(asked) for _ in range(5)))
        assert [*found, await history.names(asked)] == [{"U0ADA": "ada", "C0GENERAL": "general"}] * 6
    assert calls(sandbox, "users.info") == 2
    assert calls(sandbox, "conversations.info") == 1


async def test_without_the_scopes_people_and_channels_have_no_names() -> None:
    sandbox = quiet(scopes=SCOPES - {"users:read", "channels:read", "groups:read", "im:read", "mpim:read"})
    async with reading(sandbox) as history:
        for _ in range(2):
            assert await history.names(["U0ADA", "C0GENERAL"]) == {}
    assert calls(sandbox, "users.info") == calls(sandbox, "conversations.info") == 1


@pytest.mark.parametrize("fault", ["rate_limit", "internal_error"])
async def test_a_name_that_could_not_be_had_is_asked_for_again(fault: str) -> None:
    sandbox = quiet()
    sandbox.faults.start(fault, method="users.info", times=1)
    async with reading(sandbox) as history:
        assert await history.names(["U0ADA"]) == {}
        assert await history.names(["U0ADA"]) == {"U0ADA": "ada"}


async def test_of_a_crowd_only_so_many_names_are_asked_for() -> None:
    sandbox = quiet()
    async with reading(sandbox) as history:
        crowd = [f"U{number:05}" for number in range(300)]
        sandbox.workspace.users |= {each: User(each, each.lower(), each, "#000000") for each in crowd}
        found = await history.names(crowd)
    assert list(found) == crowd[:MOST_NAMES]
    assert calls(sandbox, "users.info") == MOST_NAMES
