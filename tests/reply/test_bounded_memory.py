"""What is remembered of each channel and each person is bounded: the oldest are forgotten first."""

from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass

import pytest

from bot.core.conversation import Question, ThreadKey
from bot.errors import Refusal, Refused
from bot.reply.delivery import MessageTransport
from bot.reply.posted import PostedReplies
from bot.slack.users import ChannelReaders
from slack_sandbox.server import Sandbox
from slack_sandbox.workspace import Channel
from tests.clocks import InstantClock
from tests.slack.workspaces import connected, workspace_of

BOUND = 3
MEMBERS = ["U0ADA", "U0GRACE", "U0BOT"]
REFUSED = Refused("chat.startStream", "not_allowed", Refusal.FORBIDDEN)


@dataclass
class Memory:
    """What remembers, in a workspace where channel C1n is the nth."""

    sandbox: Sandbox
    transport: MessageTransport
    readers: ChannelReaders

    async def learn_that_streams_are_refused(self, number: int) -> None:
        self.transport.streams.on_refused(parse_posted_question(number), REFUSED)

    async def knows_that_streams_are_refused(self, number: int) -> bool:
        return not self.transport.streams.can_start(parse_posted_question(number))

    async def learn_readers(self, number: int) -> None:
        assert await self.readers.has_only_insiders(parse_posted_question(number).thread)

    async def knows_readers(self, number: int) -> bool:
        before = len(self.sandbox.calls)
        await self.learn_readers(number)
        return len(self.sandbox.calls) == before


def parse_posted_question(number: int) -> Question:
    return Question(ThreadKey("T1", f"C1{number}", "1.0"), "1.0", "U0ADA", "Why?")


@pytest.fixture
async def memory() -> AsyncIterator[Memory]:
    async with connected(subscribed=frozenset()) as (sandbox, client):
        for number in range(BOUND + 1):
            sandbox.workspace.channels[f"C1{number}"] = Channel(f"C1{number}", f"c{number}", "channel", MEMBERS)
        workspace = await workspace_of(client, InstantClock())
        posted = PostedReplies(workspace.paced, workspace.me.user_id)
        transport = MessageTransport(client, workspace.paced, posted, workspace.users)
        yield Memory(sandbox, transport, ChannelReaders(workspace.paced, workspace.users))


Learn = Callable[[Memory, int], Awaitable[None]]
Knows = Callable[[Memory, int], Awaitable[bool]]


@pytest.mark.parametrize(
    ("bound", "learn", "knows"),
    [
        (
            "bot.reply.delivery.MAX_REFUSALS",
            Memory.learn_that_streams_are_refused,
            Memory.knows_that_streams_are_refused,
        ),
        ("bot.slack.users.MAX_CACHED", Memory.learn_readers, Memory.knows_readers),
    ],
)
async def test_oldest_is_forgotten_beyond_the_bound(
    memory: Memory, monkeypatch: pytest.MonkeyPatch, bound: str, learn: Learn, knows: Knows
) -> None:
    monkeypatch.setattr(bound, BOUND)
    for number in range(BOUND + 1):
        await learn(memory, number)
    assert [await knows(memory, number) for number in range(BOUND, -1, -1)] == [True] * BOUND + [False]
