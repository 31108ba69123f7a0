"""Modals and the Home tab: opening, input, submission, closing, and Slack's rules for views."""

from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import pytest
from slack_bolt.async_app import AsyncApp
from slack_sdk.web.async_client import AsyncWebClient

from slack_sandbox.client import Client
from slack_sandbox.server import Sandbox
from slack_sandbox.testing import manifests
from slack_sandbox.testing.bolt import actions, button, connected, new_app, option, plain
from slack_sandbox.testing.requests import error_name, error_of
from slack_sandbox.workspace import Json
from tests.conftest import ManualTime

pytestmark = pytest.mark.slack(manifest=manifests.classic())


def field(block_id: str, element: Json, **fields: Any) -> Json:
    return {"type": "input", "block_id": block_id, "label": plain(block_id.title()), "element": element, **fields}


MODEL = {"type": "static_select", "action_id": "model", "options": [option("small"), option("large")]}
FIELDS = [
    field("model", {**MODEL, "initial_option": option("small")}),
    field("prompt", {"type": "plain_text_input", "action_id": "prompt", "max_length": 10}),
    field("cap", {"type": "number_input", "action_id": "cap", "is_decimal_allowed": False}, optional=True),
    field("who", {"type": "multi_users_select", "action_id": "who"}, optional=True),
    field("how", {"type": "checkboxes", "action_id": "how", "options": [option("quick")]}, optional=True),
]


def view(*blocks: Json, **fields: Any) -> Json:
    """Returns a modal with these blocks, or with all fields."""
    content = {"title": plain("Settings"), "submit": plain("Save"), "close": plain("Cancel")}
    return {"type": "modal", "callback_id": "settings", **content, "blocks": list(blocks) or FIELDS, **fields}


class ModalApp:
    """A Bolt app that records what it receives. Its command provides trigger_ids."""

    def __init__(self, bolt: AsyncApp, sandbox: Sandbox) -> None:
        self.bolt, self.sandbox, self.web = bolt, sandbox, bolt.client
        self.web.token = sandbox.bot_token
        self.bodies: list[Json] = []
        self.answer: Json = {}

        async def record(ack: Any, body: Json) -> None:
            self.bodies.append(body)
            await ack(**self.answer)

        bolt.command("/bot")(record)
        bolt.view("settings")(record)
        bolt.view_closed("settings")(record)
        for name in ("model", "reset"):
            bolt.action(name)(record)

    @property
    def ada(self) -> Client:
        return self.sandbox.client("ada")

    async def trigger(self) -> str:
        await self.ada.command("general", "/bot settings")
        return str(self.bodies.pop()["trigger_id"])

    async def open_modal(self, content: Json | None = None) -> Json:
        view_json: Json = (await self.web.views_open(trigger_id=await self.trigger(), view=content or view()))["view"]
        return view_json


@pytest.fixture
async def modal_app(sandbox: Sandbox, session: aiohttp.ClientSession) -> AsyncIterator[ModalApp]:
    bolt = new_app(sandbox, session)
    async with connected(bolt, sandbox):
        yield ModalApp(bolt, sandbox)


async def test_submission_payload_has_all_field_values(modal_app: ModalApp) -> None:
    modal = await modal_app.open_modal(view(private_metadata="C0GENERAL"))
    assert (modal["root_view_id"], modal["previous_view_id"]) == (modal["id"], None)
    assert await modal_app.ada.submit({"prompt": "Be brief", "cap": "5", "who": ["U0ALAN"], "how": ["quick"]}) == {}
    (body,) = modal_app.bodies
    assert (body["type"], body["user"]["id"]) == ("view_submission", "U0ADA")
    assert body["view"]["private_metadata"] == "C0GENERAL"
    assert body["view"]["state"]["values"] == {
        "model": {"model": {"type": "static_select", "selected_option": option("small")}},
        "prompt": {"prompt": {"type": "plain_text_input", "value": "Be brief"}},
        "cap": {"cap": {"type": "number_input", "value": "5"}},
        "who": {"who": {"type": "multi_users_select", "selected_users": ["U0ALAN"]}},
        "how": {"how": {"type": "checkboxes", "selected_options": [option("quick")]}},
    }
    assert modal_app.ada.modal is None


@pytest.mark.parametrize(
    ("values", "wrong"),
    [
        ({}, "prompt"),
        ({"prompt": "far too long a prompt"}, "prompt"),
        ({"prompt": "x", "cap": "many"}, "cap"),
        ({"prompt": "x", "cap": "1.5"}, "cap"),
    ],
)
async def test_invalid_input_is_refused_before_it_reaches_the_app(
    modal_app: ModalApp, values: Json, wrong: str
) -> None:
    await modal_app.open_modal()
    assert list(await modal_app.ada.submit(values)) == [wrong]
    assert modal_app.bodies == []
    assert modal_app.ada.modal


async def test_modal_stays_open_after_errors_from_the_app(modal_app: ModalApp) -> None:
    await modal_app.open_modal()
    modal_app.answer = {"response_action": "errors", "errors": {"prompt": "Say more."}}
    assert await modal_app.ada.submit({"prompt": "x"}) == {"prompt": "Say more."}
    modal_app.answer = {}
    assert await modal_app.ada.submit({"prompt": "more"}) == {}
    assert modal_app.ada.modal is None


async def test_submission_response_can_update_push_and_clear(modal_app: ModalApp) -> None:
    root = await modal_app.open_modal()
    modal_app.answer = {"response_action": "update", "view": view(title=plain("Step 2"))}
    await modal_app.ada.submit({"prompt": "x"})
    assert modal_app.ada.modal
    assert (modal_app.ada.modal.id, modal_app.ada.modal.title) == (root["id"], "Step 2")
    modal_app.answer = {"response_action": "push", "view": view(title=plain("Step 3"))}
    await modal_app.ada.submit({})
    assert modal_app.ada.modal
    assert (modal_app.ada.modal.title, modal_app.ada.modal.previous_id) == ("Step 3", root["id"])
    modal_app.answer = {"response_action": "clear"}
    await modal_app.ada.submit({"prompt": "x"})
    assert modal_app.ada.modal is None


async def test_press_in_a_modal_has_its_field_values_and_allows_updates(modal_app: ModalApp) -> None:
    content = view(*FIELDS, actions(button("reset")), notify_on_close=True)
    modal = await modal_app.open_modal(content)
    assert modal_app.ada.modal
    await modal_app.ada.press_in_view(modal_app.ada.modal, "reset", values={"prompt": "kept"})
    (body,) = modal_app.bodies
    assert body["container"] == {"type": "view", "view_id": modal["id"]}
    assert "message" not in body
    assert body["view"]["state"]["values"]["prompt"]["prompt"]["value"] == "kept"
    updated = view(*FIELDS, title=plain("Reset"), notify_on_close=True)
    assert (
        await error_name(modal_app.web.views_update(view_id=modal["id"], hash="old", view=updated)) == "hash_conflict"
    )
    await modal_app.web.views_update(view_id=modal["id"], hash=modal["hash"], view=updated)
    await modal_app.web.views_push(trigger_id=body["trigger_id"], view=view(title=plain("Above"), notify_on_close=True))
    modal_app.bodies.clear()
    await modal_app.ada.close()
    assert modal_app.ada.modal
    assert modal_app.ada.modal.title == "Reset"
    assert await modal_app.ada.submit({}) == {}
    assert [body["type"] for body in modal_app.bodies] == ["view_closed", "view_submission"]


async def test_closing_the_stack_notifies_only_views_with_notify_on_close(modal_app: ModalApp) -> None:
    await modal_app.open_modal(view(actions(button("reset")), notify_on_close=True, submit=None))
    assert modal_app.ada.modal
    await modal_app.ada.press_in_view(modal_app.ada.modal, "reset")
    await modal_app.web.views_push(trigger_id=modal_app.bodies.pop()["trigger_id"], view=view())
    await modal_app.ada.close(whole_stack=True)
    assert [(body["type"], body["is_cleared"]) for body in modal_app.bodies] == [("view_closed", True)]
    assert modal_app.ada.modal is None


async def test_trigger_id_expires_after_one_use_or_three_seconds(modal_app: ModalApp, clock: ManualTime) -> None:
    used = await modal_app.trigger()
    await modal_app.web.views_open(trigger_id=used, view=view())
    expired = await modal_app.trigger()
    clock.now_s += 3.1
    for trigger_id, state in ((used, "exchanged"), (expired, "expired"), ("1.2.3", "invalid")):
        error = await error_of(modal_app.web, "views.open", trigger_id=trigger_id, view=view())
        assert error == f"{state}_trigger_id"
    unopened = await modal_app.trigger()
    assert await error_of(modal_app.web, "views.push", trigger_id=unopened, view=view()) == "invalid_trigger_id"


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
        view({"type": "data_visualization", "title": "Use", "chart": {"type": "pie", "segments": [{}]}}),
        view({"type": "markdown", "text": "**Hello**"}),
        view(field("a", {**MODEL, "options": [{"text": {"type": "mrkdwn", "text": "*a*"}, "value": "a"}]})),
        view(field("a", {**MODEL, "options": [{**option("a"), "description": plain("d" * 76)}]})),
        view(field("a", {"type": "checkboxes", "action_id": "a", "options": [option("b")], "initial_options": []})),
        view(field("a", {**MODEL, "focus_on_load": True}), field("b", {**MODEL, "focus_on_load": True})),
        view(field("a", MODEL, hint=plain(""))),
        {"type": "home", "blocks": []},
    ],
)
async def test_invalid_view_is_refused(modal_app: ModalApp, wrong: Json) -> None:
    trigger_id = await modal_app.trigger()
    assert await error_of(modal_app.web, "views.open", trigger_id=trigger_id, view=wrong) == "invalid_arguments"


async def test_home_tab_is_published_for_one_person(modal_app: ModalApp) -> None:
    events: list[Json] = []

    @modal_app.bolt.event("app_home_opened")
    async def record(event: Json) -> None:
        events.append(event)

    modal_app.ada.open_tab("home")
    home = {"type": "home", "blocks": [actions(button("reset"))]}
    first = (await modal_app.web.views_publish(user_id="U0ADA", view=home))["view"]
    again = (await modal_app.web.views_publish(user_id="U0ADA", view=home, hash=first["hash"]))["view"]
    assert (
        await error_name(modal_app.web.views_publish(user_id="U0ADA", view=home, hash=first["hash"])) == "hash_conflict"
    )
    modal_app.ada.open_tab("home")
    await modal_app.sandbox.wait_for(lambda: len(events) == 2)
    assert [(event["tab"], event["channel"], event.get("view", {}).get("id")) for event in events] == [
        ("home", modal_app.sandbox.dm("ada"), None),
        ("home", modal_app.sandbox.dm("ada"), again["id"]),
    ]
    assert modal_app.ada.home
    await modal_app.ada.press_in_view(modal_app.ada.home, "reset")
    assert modal_app.bodies[0]["view"]["type"] == "home"
    await modal_app.web.views_open(trigger_id=modal_app.bodies[0]["trigger_id"], view=view())
    assert modal_app.sandbox.client("grace").home is None


@pytest.mark.slack(manifest=manifests.classic(app_home={"home_tab_enabled": False, "messages_tab_enabled": True}))
async def test_publishing_without_a_home_tab_is_refused(web: AsyncWebClient) -> None:
    view = {"type": "home", "blocks": []}
    assert await error_of(web, "views.publish", user_id="U0ADA", view=view) == "not_enabled"
