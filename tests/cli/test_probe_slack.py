"""`typist probe-slack` as a process: it refuses other channels, and cleans up after Ctrl-C."""

import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from bot.slack.manifest import app_manifest
from slack_sandbox.server import Sandbox
from slack_sandbox.workspace import Channel
from tests.forked import forked_bot, forked_command
from tests.scenarios.conftest import connected
from tests.streams.server import VendorServer

CHANNEL = "C0PROBE12345"


@asynccontextmanager
async def slack() -> AsyncIterator[Sandbox]:
    async with Sandbox(manifest=app_manifest(agent=True), budgets={"blocks.validate": 1_000}) as sandbox:
        members = ["U0ADA", sandbox.bot_user_id]
        sandbox.workspace.channels[CHANNEL] = Channel(CHANNEL, "typist-probe", "channel", members, creator="U0ADA")
        yield sandbox


async def test_command_rejects_other_channels() -> None:
    async with slack() as sandbox, VendorServer() as vendor:
        env = connected(sandbox, vendor)
        code, out, err = await forked_command(Path(), "probe-slack", "--channel", "C0GENERAL", "--yes", env=env)
    assert (code, out) == (2, "")
    assert "The channel's name must begin with typist-probe." in err


@pytest.mark.wide
async def test_interrupted_command_deletes_its_posts_and_prints_its_report() -> None:
    async with slack() as sandbox, VendorServer() as vendor:
        env = connected(sandbox, vendor)
        async with forked_bot(Path(), "probe-slack", "--channel", CHANNEL, "--yes", env=env) as process:
            await sandbox.wait_for(lambda: [one for one in sandbox.messages(CHANNEL) if "Burst" in one.text])
            process.send_signal(signal.SIGINT)
            out = (await process.stdout.read()).decode()
            assert await process.wait() == 130
        assert sandbox.messages(CHANNEL) == []
    assert "| = | forms.all |" in out
    assert "a simulated Slack" in out
