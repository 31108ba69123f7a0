"""Quotas that Typist admins set in App Home and in a channel's settings, and what they see of usage."""

from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import pytest

from bot.core import texts
from bot.core.caps import CapField, CapOwner, Scope, parse_caps
from bot.settings import Settings
from bot.slack.views.caps import SET_CHANNEL_CAPS, SET_PERSON_CAPS, SET_WORKSPACE_CAPS
from bot.store import Stores
from slack_sandbox.client import Client
from slack_sandbox.server import Sandbox
from slack_sandbox.workspace import TEAM_ID
from tests.scenarios.conftest import Stage, running, says
from tests.scenarios.surfaces import home, text_of
from tests.streams import speech
from tests.streams.server import VendorServer

GENERAL = CapOwner(Scope.CHANNEL, "C0GENERAL")
"""The channel that Ada created. Grace is an admin."""
ALAN = CapOwner(Scope.USER, "U0ALAN")
WORKSPACE = CapOwner(Scope.WORKSPACE, TEAM_ID)
MODEL = "openai/gpt-6.1-sol"
pytestmark = [
    pytest.mark.skips_waits,
    pytest.mark.usefixtures("one_day"),
    pytest.mark.bot(on_disk=True, models=(MODEL,), admins=frozenset({"U0GRACE"})),
]
WORDS = "word " * 100
USED_TOKENS = speech.INPUT_TOKENS + len(speech.tokens(WORDS))
"""Tokens that one answer uses, as the vendor reports it."""


@pytest.fixture
async def stage(sandbox: Sandbox, vendor: VendorServer, settings: Settings) -> AsyncIterator[Stage]:
    vendor.script(says(WORDS))
    async with running(replace(settings, caps=parse_caps("user/day=5000tokens"))):
        yield Stage(sandbox, vendor)


async def opened(stage: Stage, action_id: str, value: str | None = None, user: str = "grace") -> Client:
    await home(stage, user)
    client = stage.sandbox.client(user)
    assert client.home
    assert await client.press_in_view(client.home, action_id, value)
    await stage.sandbox.wait_for(lambda: client.modal)
    return client


def fields(client: Client) -> dict[str, Any]:
    """Returns the modal's quota fields by name, as their value or placeholder."""
    assert client.modal
    elements = {block["block_id"]: block["element"] for block in client.modal.blocks if block["type"] == "input"}
    return {
        name: element.get("initial_value") or element["placeholder"]["text"]
        for name, element in elements.items()
        if name in [*CapField]
    }


def said(client: Client) -> str:
    assert client.modal
    return str(client.modal.blocks[0]["text"]["text"])


async def asked(stage: Stage, user: str = "alan") -> str:
    [text] = await stage.answers("general", await stage.mention(user=user))
    return text


@pytest.mark.parametrize(
    ("action_id", "chosen", "owner", "refused"),
    [
        (SET_WORKSPACE_CAPS, None, WORKSPACE, f"This workspace's quota of {USED_TOKENS} tokens per month is used up."),
        (SET_PERSON_CAPS, "U0ALAN", ALAN, f"Your quota of {USED_TOKENS} tokens per month is used up."),
        (SET_CHANNEL_CAPS, "C0GENERAL", GENERAL, f"This channel's quota of {USED_TOKENS} tokens per month is used up."),
    ],
)
async def test_admin_sets_a_quota_in_app_home_and_it_holds_from_the_next_answer_on(
    stage: Stage, another_process: Stores, action_id: str, chosen: str | None, owner: CapOwner, refused: str
) -> None:
    assert await asked(stage) == WORDS.rstrip()
    grace = await opened(stage, action_id, chosen)
    assert fields(grace)["tokens_a_month"] == texts.quotas.NO_QUOTA
    assert await grace.submit({"tokens_a_month": str(USED_TOKENS)}) == {}
    assert grace.modal is None
    assert [cap.limit for cap in await another_process.caps.own_caps(TEAM_ID, owner)] == [USED_TOKENS]
    sentence = await asked(stage)
    assert sentence.startswith(refused)
    assert sentence.endswith("To get more before then, ask Grace to raise the quota in my Home tab.")
    await stage.sandbox.wait_for(lambda: f"quota of {USED_TOKENS} tokens per month: 100% used" in text_of(grace))


async def test_modal_shows_what_is_set_and_the_defaults_and_an_empty_field_restores_one(
    stage: Stage, another_process: Stores
) -> None:
    grace = await opened(stage, SET_PERSON_CAPS, "U0ALAN")
    assert fields(grace)["tokens_a_day"] == "Default: 5,000 tokens"
    assert await grace.submit({"tokens_a_day": "70", "dollars_a_month": "2.50"}) == {}
    grace = await opened(stage, SET_PERSON_CAPS, "U0ALAN")
    assert fields(grace) == {
        "dollars_a_month": "2.5",
        "dollars_a_day": texts.quotas.NO_QUOTA,
        "tokens_a_month": texts.quotas.NO_QUOTA,
        "tokens_a_day": "70",
    }
    assert said(grace).startswith("Quotas for <@U0ALAN>, ")
    assert await grace.submit({"tokens_a_day": None}) == {}
    assert [cap.setting for cap in await another_process.caps.own_caps(TEAM_ID, ALAN)] == ["user/month=2.5usd"]
    assert fields(await opened(stage, SET_PERSON_CAPS, "U0ALAN"))["tokens_a_day"] == "Default: 5,000 tokens"


async def test_admin_sets_a_channels_quota_among_its_settings(stage: Stage, another_process: Stores) -> None:
    grace = stage.sandbox.client("grace")
    await grace.command("general", "/typist prompt")
    assert fields(grace)["tokens_a_month"] == texts.quotas.NO_QUOTA
    not_a_number = {"tokens_a_month": texts.quotas.quota_not_a_number(in_dollars=False)}
    assert await grace.submit({"system_prompt": "Be brief.", "tokens_a_month": "0"}) == not_a_number
    errors = await grace.submit({"reaction": "not an emoji", "tokens_a_month": "0"})
    assert errors == not_a_number | {"reaction": texts.settings.REACTION_UNKNOWN}
    assert (await another_process.channel_settings.read(TEAM_ID, GENERAL.id)).system_prompt == ""
    assert await grace.submit({"reaction": "", "tokens_a_month": "9000"}) == {}
    assert (await another_process.channel_settings.read(TEAM_ID, GENERAL.id)).system_prompt == "Be brief."
    assert [cap.setting for cap in await another_process.caps.own_caps(TEAM_ID, GENERAL)] == [
        "channel/month=9000tokens"
    ]


async def test_direct_message_has_no_quotas_of_its_own(stage: Stage) -> None:
    grace = stage.sandbox.client("grace")
    await grace.command(stage.sandbox.dm("grace"), "/typist prompt")
    assert grace.modal
    assert fields(grace) == {}


async def test_someone_who_is_no_admin_anymore_is_told_so_and_changes_nothing(
    sandbox: Sandbox, vendor: VendorServer, settings: Settings, another_process: Stores
) -> None:
    stage = Stage(sandbox, vendor)
    async with running(settings):
        grace = await opened(stage, SET_WORKSPACE_CAPS)
        before = grace.home
    async with running(replace(settings, admins=frozenset({"U0ADA"}))):
        assert await grace.submit({"tokens_a_day": "1"}) == {
            "tokens_a_day": "Only Typist admins can set quotas. Ask Ada."
        }
        await grace.close()
        assert before
        assert await grace.press_in_view(before, SET_PERSON_CAPS, "U0ALAN")
        await sandbox.wait_for(lambda: grace.modal)
        assert said(grace) == "Only Typist admins can set quotas. Ask <@U0ADA>."
        assert fields(grace) == {}
        # The Home that she presses in is replaced by one for everybody.
        await sandbox.wait_for(lambda: texts.home.WORKSPACE_HEADING not in text_of(grace))
    assert await another_process.caps.all_caps(TEAM_ID) == []
