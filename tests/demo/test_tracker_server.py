"""The demo's tracker: a person signs in with the real bot, and the card's answer shows that person's tasks."""

import re
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass
from html import unescape
from urllib.parse import parse_qsl, urlsplit

import aiohttp
import pytest

from bot.core import texts
from bot.core.actions import ReplyAction
from demo.guide import sandbox_settings
from demo.models import GO_ON, cards_model
from demo.scenes import SCENES
from demo.scripted_model import ScriptedModel
from demo.tracker_server import TASKS, TrackerServer
from slack_sandbox.client import Client
from slack_sandbox.server import Sandbox
from slack_sandbox.workspace import Message
from tests.mcp.servers import be_patient
from tests.scenarios.conftest import Stage, buttons, manifest, running, says, settings_of, shown
from tests.streams.server import VendorServer

[QUESTION] = next(scene for scene in SCENES if scene.title == "Sign in as yourself").scripts
_HIDDEN = re.compile(r'<input type="hidden" name="([^"]*)" value="([^"]*)">')
_LINK = re.compile(r"'url': '([^']*)'")


@dataclass(frozen=True)
class Browser:
    """What a person's browser does on the tracker's pages."""

    session: aiohttp.ClientSession

    async def sign_in(self, link: str, person: str) -> str:
        """Presses a person's button on the page; returns the address of the page that doesn't open."""
        async with self.session.get(link) as page:
            fields = {name: unescape(value) for name, value in _HIDDEN.findall(await page.text())}
        async with self.session.post(link, data={**fields, "person": person}, allow_redirects=False) as answer:
            return answer.headers["Location"]

    async def status_of(self, url: str, form: Mapping[str, str]) -> int:
        async with self.session.post(url, data=form) as answer:
            return answer.status


@pytest.fixture
async def tracker() -> AsyncIterator[TrackerServer]:
    async with TrackerServer() as tracker:
        yield tracker


@pytest.fixture
async def browser() -> AsyncIterator[Browser]:
    async with aiohttp.ClientSession(trust_env=False) as session:
        yield Browser(session)


@pytest.fixture
async def stage(tracker: TrackerServer) -> AsyncIterator[Stage]:
    be_patient()
    async with (
        AsyncExitStack() as stack,
        VendorServer() as vendor,
        ScriptedModel(GO_ON, 10_000) as scripted,
        Sandbox(manifest=manifest()) as sandbox,
    ):
        vendor.script(says("The model's own words."))
        settings = sandbox_settings(settings_of(sandbox, vendor), tracker.url)
        async with running(settings, wrap_models=await cards_model(settings, scripted, stack)):
            yield Stage(sandbox, vendor)


async def asked(stage: Stage, action: str) -> Message:
    """Asks the card's question; returns its answer as soon as it has a button."""
    channel = stage.sandbox.dm("ada")
    ts = await stage.sandbox.say("ada", channel, QUESTION)
    answers = stage.sandbox.wait_for(
        lambda: [one for one in stage.bots(channel) if float(one.ts) > float(ts) and action in buttons(one)]
    )
    return (await answers)[-1]


async def ended(stage: Stage, message: Message) -> Message:
    answers = stage.sandbox.wait_for(
        lambda: [
            one for one in stage.bots(message.channel) if one.ts == message.ts and ReplyAction.DELETE in buttons(one)
        ]
    )
    return (await answers)[-1]


async def link_in(client: Client, message: Message) -> str:
    await client.press(message.channel, message.ts, ReplyAction.SIGN_IN)
    assert client.modal is not None
    link = _LINK.search(str(client.modal.blocks))
    assert link is not None
    return link[1]


async def test_card_shows_the_tasks_of_the_person_who_signed_in_and_next_time_asks_nothing(
    stage: Stage, tracker: TrackerServer, browser: Browser
) -> None:
    ada = stage.sandbox.client("ada")
    message = await asked(stage, ReplyAction.SIGN_IN)
    address = await browser.sign_in(await link_in(ada, message), "Grace")
    assert await ada.submit({"address": address}) == {}
    answer = await ended(stage, message)
    assert all(task in shown(answer) for task in TASKS["Grace"])
    assert not any(task in shown(answer) for task in TASKS["Ada"])
    assert tracker.signed_in == ["Grace"]
    again = await asked(stage, ReplyAction.DELETE)
    assert all(task in shown(again) for task in TASKS["Grace"])


async def test_card_goes_on_without_an_account_where_a_person_does_not_sign_in(stage: Stage) -> None:
    message = await asked(stage, ReplyAction.SIGN_IN)
    await stage.sandbox.client("ada").press(message.channel, message.ts, ReplyAction.DENY)
    answer = await ended(stage, message)
    assert "Without your account, I can't see your tasks." in shown(answer)
    assert texts.accounts.signed_in_message("tracker") not in shown(answer)


async def test_code_of_the_tracker_is_worth_nothing_with_another_verifier(
    stage: Stage, tracker: TrackerServer, browser: Browser
) -> None:
    link = await link_in(stage.sandbox.client("ada"), await asked(stage, ReplyAction.SIGN_IN))
    asked_for = dict(parse_qsl(urlsplit(link).query))
    code = dict(parse_qsl(urlsplit(await browser.sign_in(link, "Ada")).query))["code"]
    form = {"grant_type": "authorization_code", "code": code, "code_verifier": "x" * 43}
    form |= {name: asked_for[name] for name in ("client_id", "redirect_uri")}
    assert await browser.status_of(tracker.url.replace("/mcp", "/token"), form) == 400
    assert tracker.signed_in == []
