"""Who can read a channel, as far as Slack tells: outsiders, and everybody whom Slack doesn't tell about, count."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace

import pytest

from bot.core.conversation import ThreadKey
from bot.core.lease import Lease
from bot.slack.channel_readers import MAX_LOOKED_UP, TRUSTED_S, ChannelReaders
from bot.slack.client import SlackClient, new_session
from bot.slack.paced_client import PacedClient
from bot.slack.workspace import Workspace
from sandbox.server import Sandbox
from sandbox.workspace import User
from tests.clocks import InstantClock
from tests.slack.schedules import LoneLedger, RecordsInMemory


@dataclass
class ReadersStage:
    sandbox: Sandbox
    clock: InstantClock
    readers: ChannelReaders

    async def are_insiders(self, channel_id: str) -> bool:
        return await self.readers.are_insiders(ThreadKey("T1", channel_id, "1.0"))

    def calls(self, method: str) -> int:
        return sum(call.method == method for call in self.sandbox.calls)


@pytest.fixture
async def stage() -> AsyncIterator[ReadersStage]:
    clock = InstantClock()
    async with Sandbox(subscribed=frozenset()) as sandbox, new_session() as session:
        client = SlackClient(sandbox.bot_token, sandbox.api_url, session)
        me = await client.identity()
        workspace = Workspace(me, client, ledger=LoneLedger(), records=RecordsInMemory(), lease=Lease(), clock=clock)
        paced = PacedClient(client, workspace.budget, clock)
        yield ReadersStage(sandbox, clock, ChannelReaders(paced, workspace.users))


@pytest.mark.parametrize(
    ("channel_id", "insiders"),
    [("C0GENERAL", True), ("C0PROJECTX", True), ("C0MPDM", True), ("C0RANDOM", False), ("C0PARTNERS", False)],
    ids=["members and bots", "private", "group message", "guests", "Slack Connect"],
)
async def test_channel_with_guests_or_other_organizations_has_outsiders(
    stage: ReadersStage, channel_id: str, insiders: bool
) -> None:
    assert await stage.are_insiders(channel_id) is insiders


async def test_direct_message_has_one_reader(stage: ReadersStage) -> None:
    assert await stage.are_insiders("D0EDITH")
    assert stage.calls("conversations.members") == 0


async def test_guest_who_joins_counts_a_minute_later(stage: ReadersStage) -> None:
    assert await stage.are_insiders("C0GENERAL")
    stage.sandbox.workspace.channel("C0GENERAL").members.append("U0EDITH")
    stage.clock.now_s += TRUSTED_S
    assert not await stage.are_insiders("C0GENERAL")


async def test_one_guest_among_many_people_counts_and_all_are_listed_at_once(stage: ReadersStage) -> None:
    workspace, general = stage.sandbox.workspace, stage.sandbox.workspace.channel("C0GENERAL")
    for number in range(MAX_LOOKED_UP + 5):
        person = User(f"U0P{number}", f"p{number}", f"P{number}", "#64748b")
        workspace.users[person.id] = person
        general.members.append(person.id)
    assert await stage.are_insiders("C0GENERAL")
    assert (stage.calls("users.list"), stage.calls("users.info")) == (1, 0)
    workspace.users["U0P7"] = replace(workspace.users["U0P7"], is_restricted=True)
    stage.clock.now_s += 3_600
    assert not await stage.are_insiders("C0GENERAL")


@pytest.mark.parametrize("method", ["conversations.info", "conversations.members", "users.info"])
@pytest.mark.parametrize("fault", ["refuse", "slow"])
async def test_what_slack_does_not_tell_counts_as_outsiders(
    stage: ReadersStage, monkeypatch: pytest.MonkeyPatch, method: str, fault: str
) -> None:
    monkeypatch.setattr("bot.slack.channel_readers.WITHIN_S", 0.5)
    stage.sandbox.faults.start(fault, method=method, error="missing_scope", delay_s=5.0)
    async with asyncio.timeout(4):
        assert not await stage.are_insiders("C0GENERAL")
