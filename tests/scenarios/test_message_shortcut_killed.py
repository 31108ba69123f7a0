"""A question about a message is asked and answered once, whenever the process that asks it is killed."""

import asyncio
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest

from bot.core import texts
from bot.core.outbox import OUTBOX_HOLD_S
from bot.services import shortcut
from bot.settings import Settings
from bot.slack.views.question import ASK_ABOUT
from slack_sandbox.client import Client
from slack_sandbox.server import Sandbox
from slack_sandbox.testing.processes import WITHIN_S, wait_for_line
from slack_sandbox.workspace import Channel
from tests.clocks import LateClock
from tests.forked import forked_bot
from tests.scenarios.conftest import Stage, connected, running
from tests.scenarios.process_ends import Step, die_at
from tests.streams.server import VendorServer

# Slack redelivers all the time: the next process gets the event of a direct message before it looks for questions to
# continue.
pytestmark = [
    pytest.mark.usefixtures("with_frequent_looks"),
    pytest.mark.slack(redelivery_delays_s=(0.2,) * 150),
]

BEFORE_POST = ("bot.slack.surfaces", "Surfaces", "post_question", False)
AFTER_POST = ("bot.slack.surfaces", "Surfaces", "post_question", True)
ELSEWHERE = ("bot.store.unposted", "UnpostedQuestions", "record_direct_post", True)
STEPS = [
    ("bot.store.unposted", "UnpostedQuestions", "ask", True),
    BEFORE_POST,
    AFTER_POST,
    ("bot.services.intake", "Intake", "enqueue", False),
    ("bot.services.intake", "Intake", "enqueue", True),
    ("bot.store.outbox_entries", "OutboxEntries", "complete", True),
]
"""Where the process is killed: module, class, method, and whether after the method has returned."""


def named(step: Step) -> str:
    return f"{'after' if step[3] else 'before'} {step[2]}"


@pytest.fixture
def durable(settings: Settings, database_url: str) -> Settings:
    return replace(settings, database_url=database_url)


async def killed_while_asking(sandbox: Sandbox, vendor: VendorServer, url: str, folder: Path, step: Step) -> str:
    """Submits a modal to a process that is killed at this step, and returns the message that the question is about."""
    channel = "lobby" if "C0LOBBY" in sandbox.workspace.channels else "general"
    env = {**connected(sandbox, vendor), "DATABASE_URL": url}
    async with forked_bot(folder, "run", env=env, before=partial(die_at, step)) as process:
        await wait_for_line(process.stdout, "is connected to Slack")
        ts = await sandbox.say("alan", channel, "hello")
        client = sandbox.client("ada")
        assert await client.use_message_shortcut(channel, ts, ASK_ABOUT)
        submitting = asyncio.create_task(client.submit({"question": "why?"}))
        assert await asyncio.wait_for(process.wait(), WITHIN_S) == -signal.SIGKILL
        await asyncio.gather(submitting, return_exceptions=True)
    return ts


@asynccontextmanager
async def next_process(settings: Settings) -> AsyncIterator[LateClock]:
    """Starts a process after the lease of the one before has expired, and yields its clock."""
    clock = LateClock()
    clock.ahead_s = OUTBOX_HOLD_S + 1
    async with running(settings, clock):
        yield clock


@pytest.mark.parametrize("step", STEPS, ids=named)
@pytest.mark.long(after_row=2)
async def test_killed_process_leaves_a_question_that_is_asked_and_answered_once(
    sandbox: Sandbox, vendor: VendorServer, durable: Settings, tmp_path: Path, step: Step
) -> None:
    ts = await killed_while_asking(sandbox, vendor, durable.database_url, tmp_path, step)
    stage = Stage(sandbox, vendor)
    async with next_process(durable):
        question, answer = await stage.answers("general", ts, count=2)
        assert question.endswith("\nwhy?")
        assert answer == "The whole answer."
        await submitted_again(sandbox.client("ada"))
        await nothing_more(stage)
    assert len(stage.bots("general", ts)) == 2


async def submitted_again(client: Client) -> None:
    """Submits a modal again, as people do if it didn't close."""
    if client.modal is not None:
        assert await client.submit({"question": "why?"}) == {}


async def nothing_more(stage: Stage) -> None:
    """Checks that no second question or answer appears while another question is asked and answered."""
    before = len(stage.vendor.requests)
    await stage.answers("random", await stage.mention(channel="random", user="grace"))
    assert len(stage.vendor.requests) == before + 1 == 2


@pytest.fixture
def lobby(sandbox: Sandbox) -> None:
    """Adds a channel without the bot."""
    sandbox.workspace.channels["C0LOBBY"] = Channel("C0LOBBY", "lobby", "channel", ["U0ADA", "U0ALAN"])


@pytest.mark.usefixtures("lobby")
@pytest.mark.parametrize("step", STEPS, ids=named)
@pytest.mark.long(after_row=2)
async def test_process_killed_while_asking_in_a_direct_message_asks_and_answers_once(
    sandbox: Sandbox, vendor: VendorServer, durable: Settings, tmp_path: Path, step: Step
) -> None:
    await killed_while_asking(sandbox, vendor, durable.database_url, tmp_path, step)
    stage, dm = Stage(sandbox, vendor), sandbox.dm("ada")
    async with next_process(durable):
        await stage.answers(dm, None, count=2)
        await nothing_more(stage)
    assert len(stage.bots(dm)) == 2


@pytest.mark.usefixtures("lobby")
async def test_direct_message_whose_response_is_lost_is_not_repeated_and_is_answered(
    sandbox: Sandbox, vendor: VendorServer, durable: Settings
) -> None:
    clock = LateClock()
    stage, dm = Stage(sandbox, vendor), sandbox.dm("ada")
    async with running(durable, clock):
        ts = await sandbox.say("alan", "lobby", "hello")
        await sandbox.client("ada").use_message_shortcut("lobby", ts, ASK_ABOUT)
        sandbox.faults.start("lose_response", method="chat.postMessage", times=1, match_text="where I can")
        assert await sandbox.client("ada").submit({"question": "why?"}) == {}
        await sandbox.wait_for(lambda: sandbox.faults.active("lose_response") is None)
        clock.ahead_s = OUTBOX_HOLD_S + 1
        await stage.answers(dm, None, count=2)
        await nothing_more(stage)
    assert len(stage.bots(dm)) == 2


@pytest.mark.usefixtures("lobby")
async def test_process_killed_right_before_the_direct_message_leaves_a_notice(
    sandbox: Sandbox, vendor: VendorServer, durable: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shortcut, "MAX_TRIES", 2)
    await killed_while_asking(sandbox, vendor, durable.database_url, tmp_path, ELSEWHERE)
    async with next_process(durable):
        (notice,) = await sandbox.wait_for(lambda: list(sandbox.workspace.ephemerals))
        assert (notice.ephemeral_to, notice.text) == ("U0ADA", texts.shortcut.QUESTION_MAYBE_ASKED)
    assert Stage(sandbox, vendor).bots(sandbox.dm("ada")) == []
    assert not vendor.requests
