"""The app's Home: made when it is opened, for its person; more for admins."""

from collections.abc import AsyncIterator
from dataclasses import replace

import pytest

from bot.core.limits.caps import parse_caps
from bot.settings import Settings
from sandbox.client import Client
from sandbox.server import Sandbox
from tests.scenarios.conftest import Stage, running
from tests.streams.server import VendorServer


@pytest.fixture
async def stage(sandbox: Sandbox, vendor: VendorServer, settings: Settings) -> AsyncIterator[Stage]:
    caps = parse_caps("user/day=200000tokens,workspace/month=500000tokens")
    async with running(replace(settings, caps=caps, admins=frozenset({"U0GRACE"}), system_prompt="Be <kind>.")):
        yield Stage(sandbox, vendor)


async def home(stage: Stage, user: str) -> str:
    """What somebody reads in the Home that they have just opened."""
    client = stage.sandbox.client(user)
    client.open_tab("home")
    await stage.sandbox.wait_for(lambda: client.home)
    return text_of(client)


def text_of(client: Client) -> str:
    assert client.home
    held = [block.get("text") or (block.get("elements") or [None])[0] for block in client.home.blocks]
    return "\n".join(each["text"] for each in held if each)


async def test_a_person_sees_what_they_used_and_what_is_in_force(stage: Stage) -> None:
    asked = await stage.mention(user="alan")
    await stage.answers("general", asked)
    said = await home(stage, "alan")
    assert "Your quota of 200,000 tokens per day: " in said
    assert "*Model*: openai/test" in said
    assert "*System prompt*: Be &lt;kind&gt;." in said
    assert "This workspace" not in said


async def test_an_admin_sees_the_workspaces_use_by_model_and_its_settings(stage: Stage) -> None:
    asked = await stage.mention(user="alan")
    await stage.answers("general", asked)
    grace = stage.sandbox.client("grace")

    def opened_again() -> bool:
        # What was used is on record a moment after it is shown.
        grace.open_tab("home")
        return grace.home is not None and "openai/test: " in text_of(grace)

    await stage.sandbox.wait_for(opened_again)
    said = text_of(grace)
    assert "This workspace" in said
    assert "The workspace's quota of 500,000 tokens per month: 0% used" in said
    assert "Each person's quota of 200,000 tokens per day" in said
    assert "*Access*: members" in said


async def test_it_is_made_only_when_it_is_opened(stage: Stage) -> None:
    await home(stage, "alan")
    stage.sandbox.client("alan").open_tab("messages")
    asked = await stage.mention(user="alan")
    await stage.answers("general", asked)
    assert [call.method for call in stage.sandbox.calls].count("views.publish") == 1


async def test_slack_over_its_limit_leaves_it_as_it_was(stage: Stage, caplog: pytest.LogCaptureFixture) -> None:
    stage.sandbox.faults.start("refuse", method="views.publish", error="not_enabled", times=1)
    alan = stage.sandbox.client("alan")

    def opened_again() -> bool:
        # While it is being made, opening it once more does nothing.
        alan.open_tab("home")
        return alan.home is not None

    await stage.sandbox.wait_for(opened_again)
    assert "home of user U0ALAN not updated" in caplog.text
