"""External menus: the app suggests options for typed text, and gets the chosen option."""

from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import pytest
from slack_bolt.async_app import AsyncApp

from slack_sandbox.server import Sandbox
from slack_sandbox.testing import manifests
from slack_sandbox.testing.bolt import actions, connected, new_app, option, plain
from slack_sandbox.testing.requests import error_name
from slack_sandbox.workspace import Json

pytestmark = pytest.mark.slack(manifest=manifests.classic())

GENERAL = "C0GENERAL"
MENU = {"type": "external_select", "action_id": "city", "placeholder": plain("City")}
MANY = {"type": "multi_external_select", "action_id": "cities", "min_query_length": 0}
CITIES = ("Berlin", "Bergen", "Oslo")


class CityApp:
    """A Bolt app with an external menu. It records the payloads that it receives."""

    def __init__(self, bolt: AsyncApp, sandbox: Sandbox) -> None:
        self.sandbox, self.bolt, self.web = sandbox, bolt, bolt.client
        self.web.token = sandbox.bot_token
        self.answer: Json | None = None
        self.bodies: list[Json] = []

        async def suggest(ack: Any, body: Json) -> None:
            self.bodies.append(body)
            options = [option(city) for city in CITIES if city.lower().startswith(body["value"])]
            await ack(self.answer or {"options": options})

        async def record(ack: Any, body: Json) -> None:
            self.bodies.append(body)
            await ack()

        async def open_modal(ack: Any, body: Json) -> None:
            await ack()
            blocks = [
                {"type": "input", "block_id": "one", "label": plain("City"), "element": MENU},
                {"type": "input", "block_id": "many", "label": plain("Cities"), "element": MANY, "optional": True},
            ]
            content = {"title": plain("Trip"), "submit": plain("Book"), "callback_id": "trip"}
            await self.web.views_open(
                trigger_id=body["trigger_id"], view={"type": "modal", **content, "blocks": blocks}
            )

        bolt.options("city")(suggest)
        bolt.options("cities")(suggest)
        bolt.action("city")(record)
        bolt.view("trip")(record)
        bolt.shortcut("ask_anything")(open_modal)

    async def post(self, **fields: Any) -> str:
        posted = await self.web.chat_postMessage(channel=GENERAL, text="x", blocks=[actions({**MENU, **fields})])
        return str(posted["ts"])


@pytest.fixture
async def app(sandbox: Sandbox, session: aiohttp.ClientSession) -> AsyncIterator[CityApp]:
    app = CityApp(new_app(sandbox, session), sandbox)
    async with connected(app.bolt, sandbox):
        yield app


async def test_suggested_option_is_chosen_in_a_message(app: CityApp) -> None:
    ts, ada = await app.post(), app.sandbox.client("ada")
    assert await ada.suggest("general", ts, "city", "ber") == [option("Berlin"), option("Bergen")]
    asked = app.bodies[-1]
    assert (asked["value"], asked["block_id"], asked["container"]["message_ts"]) == ("ber", "controls", ts)
    assert await ada.press("general", ts, "city", "Bergen")
    chosen = {"type": "external_select", "selected_option": option("Bergen")}
    assert app.bodies[-1]["actions"][0].items() >= chosen.items()
    assert app.bodies[-1]["state"]["values"] == {"controls": {"city": chosen}}
    assert "options" not in app.bodies[-1]["message"]["blocks"][0]["elements"][0]


async def test_suggested_options_are_submitted_with_a_modal(app: CityApp) -> None:
    ada = app.sandbox.client("ada")
    await ada.use_global_shortcut("ask_anything")
    assert ada.modal is not None
    await ada.suggest_in_view(ada.modal, "city", "osl")
    app.answer = {"option_groups": [{"label": plain("North"), "options": [option("Bergen"), option("Oslo")]}]}
    assert await ada.suggest_in_view(ada.modal, "cities", "") == [option("Bergen"), option("Oslo")]
    assert await ada.submit({"city": "Oslo", "cities": ["Bergen", "Oslo"]}) == {}
    values = app.bodies[-1]["view"]["state"]["values"]
    assert values["one"]["city"]["selected_option"] == option("Oslo")
    assert values["many"]["cities"]["selected_options"] == [option("Bergen"), option("Oslo")]


async def test_option_of_an_earlier_query_can_still_be_chosen(app: CityApp) -> None:
    ts, ada = await app.post(), app.sandbox.client("ada")
    await ada.suggest("general", ts, "city", "ber")
    await ada.suggest("general", ts, "city", "osl")
    await ada.press("general", ts, "city", "Berlin")
    assert app.bodies[-1]["actions"][0]["selected_option"] == option("Berlin")


async def test_initial_option_needs_no_suggestion(app: CityApp) -> None:
    ts = await app.post(initial_option=option("Oslo"))
    await app.sandbox.client("ada").press("general", ts, "city", "Oslo")
    assert app.bodies[-1]["actions"][0]["selected_option"] == option("Oslo")


@pytest.mark.parametrize(
    ("fields", "typed", "asked"), [({}, "be", 0), ({}, "ber", 1), ({"min_query_length": 0}, "", 1)]
)
async def test_app_is_asked_after_the_menus_shortest_query(app: CityApp, fields: Json, typed: str, asked: int) -> None:
    ts = await app.post(**fields)
    await app.sandbox.client("ada").suggest("general", ts, "city", typed)
    assert len(app.bodies) == asked


@pytest.mark.parametrize(
    "answer",
    [{"options": [option(str(number)) for number in range(101)]}, {"options": [{"value": "x"}]}, {"text": "x"}],
)
async def test_answer_that_is_no_list_of_options_is_refused(app: CityApp, answer: Json) -> None:
    app.answer, ts = answer, await app.post()
    assert (
        await error_name(app.sandbox.client("ada").suggest("general", ts, "city", "ber")) == "invalid_response_options"
    )


async def test_menu_that_nobody_answers_for_says_so(app: CityApp) -> None:
    ts = await app.post(action_id="zip")
    app.sandbox.sockets.ack_timeout_s = 0.2
    assert await error_name(app.sandbox.client("ada").suggest("general", ts, "zip", "101")) == "app_not_responding"


async def test_only_external_menus_have_suggestions(app: CityApp) -> None:
    ts = await app.post(type="users_select")
    assert await error_name(app.sandbox.client("ada").suggest("general", ts, "city", "ada")) == "action_not_found"
