"""Modals and the Home: what apps open, what people do there, and what is refused."""

from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import pytest
from slack_bolt.async_app import AsyncApp
from slack_sdk.errors import SlackApiError
from slack_sdk.web.async_client import AsyncWebClient

from sandbox.client import Client
from sandbox.server import Sandbox
from sandbox.workspace import Json
from tests.sandbox import manifests
from tests.sandbox.bolt import actions, button, connected, new_app, option, plain
from tests.sandbox.conftest import ManualClock


def field(block_id: str, element: Json, **more: Any) -> Json:
    return {"type": "input", "block_id": block_id, "label": plain(block_id.title()), "element": element, **more}


MODEL = {"type": "static_select", "action_id": "model", "options": [option("small"), option("large")]}
FIELDS = [
    field("model", {**MODEL, "initial_option": option("small")}),
    field("prompt", {"type": "plain_text_input", "action_id": "prompt", "max_length": 10}),
    field("cap", {"type": "number_input", "action_id": "cap", "is_decimal_allowed": False}, optional=True),
    field("who", {"type": "multi_users_select", "action_id": "who"}, optional=True),
    field("how", {"type": "checkboxes", "action_id": "how", "options": [option("quick")]}, optional=True),
]


def view(*blocks: Json, **more: Any) -> Json:
    """A modal; with all fields where none are given."""
    shown = {"title": plain("Settings"), "submit": plain("Save"), "close": plain("Cancel")}
    return {"type": "modal", "callback_id": "settings", **shown, "blocks": list(blocks) or FIELDS, **more}


class Stage:
    """A Bolt app whose command gives a trigger_id, and that keeps what it hears."""

    def __init__(self, bolt: AsyncApp, sandbox: Sandbox) -> None:
        self.bolt, self.sandbox, self.web = bolt, sandbox, bolt.client
        self.web.token = sandbox.bot_token
        self.bodies: list[Json] = []
        self.answer: Json = {}

        async def hear(ack: Any, body: Json) -> None:
            self.bodies.append(body)
            await ack(**self.answer)

        bolt.command("/typist")(hear)
        bolt.view("settings")(hear)
        bolt.view_closed("settings")(hear)
        for name in ("model", "reset"):
            bolt.action(name)(hear)

    @property
    def ada(self) -> Client:
        return self.sandbox.client("ada")

    async def trigger(self) -> str:
        await self.ada.command("general", "/typist settings")
        return str(self.bodies.pop()["trigger_id"])

    async def opened(self, shown: Json | None = None) -> Json:
        """A modal that Ada has open."""
        view_json: Json = (await self.web.views_open(trigger_id=await self.trigger(), view=shown or view()))["view"]
        return view_json


@pytest.fixture
async def sandbox(clock: ManualClock) -> AsyncIterator[Sandbox]:
    async with Sandbox(monotonic=clock, manifest=manifests.classic()) as sandbox:
        yield sandbox


@pytest.fixture
async def stage(sandbox: Sandbox, session: aiohttp.ClientSession) -> AsyncIterator[Stage]:
    bolt = new_app(sandbox, session)
    async with connected(bolt, sandbox):
        yield Stage(bolt, sandbox)


async def test_a_modal_is_filled_in_and_submitted(stage: Stage) -> None:
    opened = await stage.opened(view(private_metadata="C0GENERAL"))
    assert (opened["root_view_id"], opened["previous_view_id"]) == (opened["id"], None)
    assert await stage.ada.submit({"prompt": "Be brief", "cap": "5", "who": ["U0ALAN"], "how": ["quick"]}) == {}
    (body,) = stage.bodies
    assert (body["type"], body["user"]["id"]) == ("view_submission", "U0ADA")
    assert body["view"]["private_metadata"] == "C0GENERAL"
    assert body["view"]["state"]["values"] == {
        "model": {"model": {"type": "static_select", "selected_option": option("small")}},
        "prompt": {"prompt": {"type": "plain_text_input", "value": "Be brief"}},
        "cap": {"cap": {"type": "number_input", "value": "5"}},
        "who": {"who": {"type": "multi_users_select", "selected_users": ["U0ALAN"]}},
        "how": {"how": {"type": "checkboxes", "selected_options": [option("quick")]}},
    }
    assert stage.ada.modal is None


@pytest.mark.parametrize(
    ("values", "wrong"),
    [
        ({}, "prompt"),
        ({"prompt": "far too long a prompt"}, "prompt"),
        ({"prompt": "x", "cap": "many"}, "cap"),
        ({"prompt": "x", "cap": "1.5"}, "cap"),
    ],
)
async def test_what_is_plainly_wrong_never_reaches_the_app(stage: Stage, values: Json, wrong: str) -> None:
    await stage.opened()
    assert list(await stage.ada.submit(values)) == [wrong]
    assert stage.bodies == []
    assert stage.ada.modal


async def test_an_app_says_what_is_wrong_and_is_asked_again(stage: Stage) -> None:
    await stage.opened()
    stage.answer = {"response_action": "errors", "errors": {"prompt": "Say more."}}
    assert await stage.ada.submit({"prompt": "x"}) == {"prompt": "Say more."}
    stage.answer = {}
    assert await stage.ada.submit({"prompt": "more"}) == {}
    assert stage.ada.modal is None


async def test_a_submission_can_update_push_and_clear(stage: Stage) -> None:
    root = await stage.opened()
    stage.answer = {"response_action": "update", "view": view(title=plain("Step 2"))}
    await stage.ada.submit({"prompt": "x"})
    assert stage.ada.modal
    assert (stage.ada.modal.id, stage.ada.modal.title) == (root["id"], "Step 2")
    stage.answer = {"response_action": "push", "view": view(title=plain("Step 3"))}
    await stage.ada.submit({})
    assert stage.ada.modal
    assert (stage.ada.modal.title, stage.ada.modal.previous_id) == ("Step 3", root["id"])
    stage.answer = {"response_action": "clear"}
    await stage.ada.submit({"prompt": "x"})
    assert stage.ada.modal is None


async def test_a_press_in_a_modal_tells_its_fields_and_lets_it_be_updated(stage: Stage) -> None:
    shown = view(*FIELDS, actions(button("reset")), notify_on_close=True)
    opened = await stage.opened(shown)
    assert stage.ada.modal
    await stage.ada.press_in_view(stage.ada.modal, "reset", values={"prompt": "kept"})
    (body,) = stage.bodies
    assert body["container"] == {"type": "view", "view_id": opened["id"]}
    assert "message" not in body
    assert body["view"]["state"]["values"]["prompt"]["prompt"]["value"] == "kept"
    updated = view(*FIELDS, title=plain("Reset"), notify_on_close=True)
    with pytest.raises(SlackApiError, match="hash_conflict"):
        await stage.web.views_update(view_id=opened["id"], hash="old", view=updated)
    await stage.web.views_update(view_id=opened["id"], hash=opened["hash"], view=updated)
    await stage.web.views_push(trigger_id=body["trigger_id"], view=view(title=plain("Above"), notify_on_close=True))
    stage.bodies.clear()
    await stage.ada.close()
    assert stage.ada.modal
    assert stage.ada.modal.title == "Reset"
    assert await stage.ada.submit({}) == {}
    assert [body["type"] for body in stage.bodies] == ["view_closed", "view_submission"]


async def test_closing_everything_is_told_of_each_view_that_wants_it(stage: Stage) -> None:
    await stage.opened(view(actions(button("reset")), notify_on_close=True, submit=None))
    assert stage.ada.modal
    await stage.ada.press_in_view(stage.ada.modal, "reset")
    await stage.web.views_push(trigger_id=stage.bodies.pop()["trigger_id"], view=view())
    await stage.ada.close(everything=True)
    assert [(body["type"], body["is_cleared"]) for body in stage.bodies] == [("view_closed", True)]
    assert stage.ada.modal is None


async def test_a_trigger_is_good_once_and_for_three_seconds(stage: Stage, clock: ManualClock) -> None:
    used = await stage.trigger()
    await stage.web.views_open(trigger_id=used, view=view())
    late = await stage.trigger()
    clock.now_s += 3.1
    for trigger_id, error in ((used, "exchanged_trigger_id"), (late, "expired_trigger_id"), ("1.2.3", "invalid_")):
        with pytest.raises(SlackApiError, match=error):
            await stage.web.views_open(trigger_id=trigger_id, view=view())
    with pytest.raises(SlackApiError, match="invalid_trigger_id"):
        await stage.web.views_push(trigger_id=await stage.trigger(), view=view())


@pytest.mark.parametrize(
    "wrong",
    [
        view(title=plain("t" * 25)),
        view(title=None),
        view(submit=None),
        view(private_metadata="m" * 3_001),
        view(callback_id="c" * 256),
        view(field("a", {"type": "plain_text_input", "action_id": "a", "max_length": 3_001})),
        view(field("a", {"type": "feedback_buttons", "action_id": "a"})),
        {"type": "home", "blocks": []},
    ],
)
async def test_what_slack_refuses_of_a_view(stage: Stage, wrong: Json) -> None:
    with pytest.raises(SlackApiError, match="invalid_arguments"):
        await stage.web.views_open(trigger_id=await stage.trigger(), view=wrong)


async def test_the_home_is_published_for_a_person_and_opened(stage: Stage) -> None:
    opened: list[Json] = []

    @stage.bolt.event("app_home_opened")
    async def keep(event: Json) -> None:
        opened.append(event)

    stage.ada.open_tab("home")
    home = {"type": "home", "blocks": [actions(button("reset"))]}
    first = (await stage.web.views_publish(user_id="U0ADA", view=home))["view"]
    again = (await stage.web.views_publish(user_id="U0ADA", view=home, hash=first["hash"]))["view"]
    with pytest.raises(SlackApiError, match="hash_conflict"):
        await stage.web.views_publish(user_id="U0ADA", view=home, hash=first["hash"])
    stage.ada.open_tab("home")
    await stage.sandbox.wait_for(lambda: len(opened) == 2)
    assert [(event["tab"], event["channel"], event.get("view", {}).get("id")) for event in opened] == [
        ("home", stage.sandbox.dm("ada"), None),
        ("home", stage.sandbox.dm("ada"), again["id"]),
    ]
    assert stage.ada.home
    await stage.ada.press_in_view(stage.ada.home, "reset")
    assert stage.bodies[0]["view"]["type"] == "home"
    await stage.web.views_open(trigger_id=stage.bodies[0]["trigger_id"], view=view())
    assert stage.sandbox.client("grace").home is None


async def test_without_a_home_tab_none_is_published(session: aiohttp.ClientSession) -> None:
    manifest = manifests.classic(app_home={"home_tab_enabled": False, "messages_tab_enabled": True})
    async with Sandbox(manifest=manifest) as sandbox:
        web = AsyncWebClient(sandbox.bot_token, base_url=sandbox.api_url, session=session)
        with pytest.raises(SlackApiError, match="not_enabled"):
            await web.views_publish(user_id="U0ADA", view={"type": "home", "blocks": []})
